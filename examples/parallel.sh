#!/usr/bin/env bash
# GNU parallel: 4 processes at a time on one machine.
#
#   examples/parallel.sh w.npz in/ out/
#
# Each process takes every fourth file. --resume goes on after an interruption, and a shard whose failure may not recur
# (exit code 71, 74, 75, or a signal) is tried again twice.
set -euo pipefail
export weights=$1 inputs=$2 outputs=${3%/}/ shards=${SHARDS:-4}

# The paths travel in the environment, so that they need no quotes.
seq 0 $((shards - 1)) | parallel --jobs "$shards" --halt never '
    for try in 1 2 3; do
        rnn run -w "$weights" -i "$inputs" -o "$outputs" --shard {}/"$shards" --resume --threads 1 -q && exit 0
        code=$?
        case $code in 2|65|66|70|73) exit $code ;; esac
    done
    exit $code
'
