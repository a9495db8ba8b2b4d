#!/usr/bin/env bash
# Builds a Debian package of the static program, with manual pages and completions: packaging/debian.sh
#
# Needs dist/rnn, from packaging/static.sh, and dpkg-deb. DEBFULLNAME and DEBEMAIL name the maintainer.
set -euo pipefail
cd "$(dirname "$0")/.."
program=dist/rnn
version=$("$program" --version | head -n 1 | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-The elman authors} <${DEBEMAIL:-elman@localhost}>"
umask 022
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

install -D "$program" "$root/usr/bin/rnn"

# Pages and completions are the program's own. The page of `help` only names the others.
pages=$root/usr/share/man/man1
mkdir -p "$pages"
"$program" man | gzip -9n > "$pages/rnn.1.gz"
for command in $("$program" --help | sed -n '/^Commands:/,/^$/ s/^  \([a-z]\+\)  .*/\1/p'); do
    if [ "$command" != help ]; then
        "$program" man "$command" | gzip -9n > "$pages/rnn-$command.1.gz"
    fi
done
completions() {
    mkdir -p "$root/usr/share/$2"
    "$program" completions "$1" > "$root/usr/share/$2/$3"
}
completions bash bash-completion/completions rnn
completions zsh zsh/vendor-completions _rnn
completions fish fish/vendor_completions.d rnn.fish

documents=$root/usr/share/doc/rnn-elman
mkdir -p "$documents"
{
    packaging/licences.sh
    printf '\n== The GNU C Library, linked statically\n\n'
    echo 'LGPL-2.1, /usr/share/common-licenses/LGPL-2.1. packaging/static.sh links the program with another version.'
} > "$documents/copyright"
gzip -9n > "$documents/changelog.gz" << END
rnn-elman ($version) unstable; urgency=medium

  * CHANGELOG.md in the sources has the changes.

 -- $maintainer  $(date -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")
END

mkdir "$root/DEBIAN"
cat > "$root/DEBIAN/control" << END
Package: rnn-elman
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -k -s "$root/usr" | cut -f 1)
Section: science
Priority: optional
Description: PyTorch's torch.nn.RNN for the shell
 Reads weights and tensors from files, computes the forward pass on all cores,
 and writes output and h_n.
END
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"
# Not every dpkg reads zstd, which some systems choose.
dpkg-deb -Zxz --root-owner-group --build "$root" "dist/rnn-elman_${version}_$architecture.deb"
