#!/usr/bin/env bash
# Tries what stands in dist/, each in a place where nothing else is installed: packaging/check.sh [PYTHON...]
#
# The static program in a root of its own, as in the container; the Debian package, unpacked; the wheel in a new
# environment of each PYTHON. All of them have to print the bytes of fixtures/. Needs unshare, dpkg-deb and, for the wheel,
# PyPI, where NumPy comes from.
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

example=(run --input x.npy --hidden 20 --layers 2)
same() {
    cmp "$1/output.npy" fixtures/readme-output.npy
    cmp "$1/h_n.npy" fixtures/readme-h_n.npy
}

image=$work/image
install -D dist/rnn "$image/rnn"
install -d -m 1777 "$image/tmp"
cp fixtures/x.npy "$image"
unshare -r chroot "$image" /rnn "${example[@]}"
same "$image"
# An .npz has to be a file that can seek: the program copies a pipe to /tmp.
cat fixtures/init.npz | unshare -r chroot "$image" /rnn info - > "$work/info"
echo "static program: $(stat -c %s dist/rnn) bytes, the example's bytes"

for package in dist/*.deb; do
    root=$work/debian
    dpkg-deb --raw-extract "$package" "$root"
    (cd "$root" && md5sum --check --quiet DEBIAN/md5sums)
    cp fixtures/x.npy "$root"
    (cd "$root" && usr/bin/rnn "${example[@]}" --quiet)
    same "$root"
    pages=("$root"/usr/share/man/man1/*.gz)
    for page in "${pages[@]}"; do
        gzip -dc "$page" | grep -q '^\.TH'
    done
    bash -n "$root/usr/share/bash-completion/completions/rnn"
    echo "$package: $(stat -c %s "$package") bytes, ${#pages[@]} manual pages, the example's bytes"
done

for python do
    environment=$work/$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    "$python" -m venv "$environment"
    "$environment/bin/pip" install -q --disable-pip-version-check dist/elman-*-manylinux*.whl
    (cd "$environment" && bin/rnn --version && bin/python - "$repository/fixtures") << 'END'
import sys

import elman
import numpy as np

elman.manual_seed(0)
rnn = elman.RNN(10, 20, 2)
input, h0 = elman.randn(5, 3, 10), elman.randn(2, 3, 20)
expected = np.load(sys.argv[1] + "/seed-doc.npz")
for own, name in zip(rnn(input, h0), ["output", "h_n"]):
    assert np.abs(own - expected[name]).max() < 1e-6, name
print("Python %d.%d: the numbers of PyTorch's example" % sys.version_info[:2], "with NumPy", np.__version__)
END
done
