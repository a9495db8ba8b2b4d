#!/usr/bin/env bash
# Builds dist/rnn, which needs no library of the system: packaging/static.sh
#
# glibc is linked statically, because the program is a quarter slower with musl. Needs cargo and the static libraries of
# glibc (libc6-dev, glibc-static).
set -euo pipefail
cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')

# With --target, the flag does not reach build scripts and macros, which have to be dynamic.
RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --release --bin rnn --target "$host"
install -D "${CARGO_TARGET_DIR:-target}/$host/release/rnn" dist/rnn
dist/rnn --version
