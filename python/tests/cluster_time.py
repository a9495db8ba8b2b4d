"""The time of `python -m elman.dask` beside that of `xargs -P2 rnn run`: 20,000 ragged sequences in 40 shards.

    python python/tests/cluster_time.py [--hidden 512] [--rounds 3]

Both run on 2 processes of one thread each, in alternating rounds; the ratio is that of the medians. The time of
elman.dask includes the start and the end of its cluster.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import elman
from elman.dask import program

SHARDS, SEQUENCES, FEATURES = 40, 500, 32
# Lengths are spread evenly from 1 to this: 52 on average.
LONGEST = 103


def write(folder: Path, hidden: int) -> None:
    """Weights of two layers, and the shards: each an archive with an array for each sequence."""
    elman.manual_seed(0)
    np.savez(folder / "w.npz", **elman.RNN(FEATURES, hidden, 2).state_dict())
    lengths = np.random.default_rng(0).integers(1, LONGEST + 1, (SHARDS, SEQUENCES))
    (folder / "in").mkdir()
    for shard, own in enumerate(lengths):
        sequences = {f"{n:03}": elman.randn(int(length), FEATURES) for n, length in enumerate(own)}
        np.savez(folder / "in" / f"{shard:02}.npz", **sequences)


def timed(folder: Path, command: list) -> float:
    """The seconds of a command that writes the folder out/."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    took = time.perf_counter() - began
    assert len(list((folder / "out").glob("*.npy"))) == SHARDS
    return took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    one = f"{program()} run -w w.npz -i in/{{}} -o out/{{}}.npy --pool last --threads 1 -q"
    xargs = ["sh", "-c", f"ls in | xargs -P2 -I{{}} {one}"]
    dask = [sys.executable, "-m", "elman.dask", "-w", "w.npz", "-o", "out", "in/*.npz", "--workers", "2"]
    dask += ["--pool", "last"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.hidden)
        times = [(timed(folder, xargs), timed(folder, dask)) for _ in range(options.rounds)]
    for own in times:
        print("xargs {:.2f} s, elman.dask {:.2f} s".format(*own))
    first, second = (statistics.median(own) for own in zip(*times))
    print(f"medians {first:.2f} s, {second:.2f} s, ratio {second / first:.2f}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
