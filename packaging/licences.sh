#!/usr/bin/env bash
# Prints the licences of everything in a binary, for those who pass it on: packaging/licences.sh [PACKAGE...]
#
# PACKAGE is elman, the default, or elman-python. Needs cargo, with its registry in the usual place.
set -euo pipefail
cd "$(dirname "$0")/.."
packages=("${@:-elman}")
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src

cat LICENSE
printf '\n== The font of rnn plot\n\n'
cat src/bin/rnn/plot/DejaVuSans-LICENSE.txt
printf '\n== The standard library of Rust\n\nMIT or Apache-2.0, https://www.rust-lang.org/policies/licenses\n'
cargo tree --locked "${packages[@]/#/--package=}" --edges normal,no-proc-macro --prefix none --format '{p}|{l}' |
    grep -v '^$\|^elman' | sed 's/ v\([^ |]*\)[^|]*/-\1/; s/ (\*)$//' | sort -u |
    while IFS='|' read -r package licence; do
        printf '\n== %s: %s\n\n' "$package" "$licence"
        # One licence of those that a package offers is enough. The first line is the shortest.
        texts=("$registry"/*/"$package"/LICEN[CS]E-MIT* "$registry"/*/"$package"/LICEN[CS]E*)
        for text in "${texts[@]}"; do
            if [ -f "$text" ]; then
                cat "$text"
                continue 2
            fi
        done
        echo "packaging/licences.sh: $package: expected a file LICENSE* in $registry" >&2
        exit 1
    done
