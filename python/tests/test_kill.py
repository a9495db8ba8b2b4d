"""python -m elman.dask under SIGKILL: workers, runs and the driver itself.

Each seed kills 3 workers, 3 processes `rnn` and 1 driver, which is started again, while 40 shards run on 2 workers. The
outputs are those of one process on one machine, byte for byte. ELMAN_KILL_SEEDS=10 runs 10 seeds instead of 1.
"""

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import elman

pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

SHARDS, BAD = 40, (7, 19, 33)
SEEDS = int(os.environ.get("ELMAN_KILL_SEEDS", "1"))
# Seconds until a driver that makes no progress fails the test.
LIMIT = 240

# Each run is written down with the number of its process, which exec keeps; then it takes a moment, so that it can be
# killed.
WRAPPER = """#!{python}
import os, sys, time
path = sys.stdin.readline() if "--pending" not in sys.argv else None
if path:
    with open({log!r}, "a") as log:
        log.write(f"{{os.getpid()}} {{path}}")
    read, write = os.pipe()
    os.write(write, path.encode())
    os.close(write)
    os.dup2(read, 0)
    time.sleep(0.3)
os.execv({rnn!r}, ["rnn", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory, rnn):
    """A folder of weights and shards, 3 of which are not valid, and the outputs of one process."""
    folder = tmp_path_factory.mktemp("shards")
    elman.manual_seed(0)
    np.savez(folder / "w.npz", **elman.RNN(4, 8).state_dict())
    (folder / "in").mkdir()
    for number in range(SHARDS):
        path = folder / "in" / f"{number:02}.npy"
        np.save(path, elman.randn(number + 1, 3, 5 if number in BAD else 4))
    whole = [rnn, "run", "-w", "w.npz", "-i", "in", "-o", "whole/", "-q"]
    ended = subprocess.run(whole, cwd=folder, capture_output=True)
    assert ended.returncode == 65, ended
    return folder


class Drivers:
    """The drivers of one folder of outputs."""

    def __init__(self, shards, folder, rnn):
        self.shards, self.folder, self.log = shards, folder, folder / "starts"
        self.log.touch()
        self.wrapper = folder / "rnn"
        self.wrapper.write_text(WRAPPER.format(python=sys.executable, log=str(self.log), rnn=rnn))
        self.wrapper.chmod(self.wrapper.stat().st_mode | stat.S_IXUSR)
        self.seen = {}

    def start(self, *more):
        options = ["-w", "w.npz", "-o", str(self.folder / "out"), "--workers", "2", "--rnn", str(self.wrapper)]
        command = [sys.executable, "-m", "elman.dask", "in/*.npy", *options, "--retries", "9", *more]
        return psutil.Popen(
            command,
            cwd=self.shards,
            stderr=open(self.folder / "stderr", "a"),
            env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "9"},
        )

    def starts(self):
        """The runs so far: process and number of the shard."""
        words = (line.split() for line in self.log.read_text().splitlines())
        return [(int(own[0]), int(Path(own[1]).stem)) for own in words if len(own) == 2]

    def family(self, driver):
        """The processes below a driver, which are remembered for the end."""
        try:
            children = driver.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.seen.update({child.pid: child for child in children})
        return children

    def running(self, driver):
        """A run of a good shard that goes on, or None."""
        good = {pid for pid, shard in self.starts() if shard not in BAD}
        return next((child for child in self.family(driver) if child.pid in good), None)

    def left(self):
        """Processes that still live, 10 seconds after all others."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            alive = [own for own in self.seen.values() if own.is_running() and own.status() != "zombie"]
            if not alive:
                return []
            time.sleep(0.1)
        return alive

    def files(self):
        return {path.name: path.read_bytes() for path in (self.folder / "out").iterdir()}


def waited(condition, driver):
    """The first result of a condition that is not None, or None if the driver ends first."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        found = condition()
        if found is not None or driver.poll() is not None:
            return found
        time.sleep(0.02)
    pytest.fail("the driver makes no progress")


def kill(drivers, driver, what):
    """Kills a run of a good shard, or the worker above it. Returns False if the driver has ended."""
    victim = waited(lambda: drivers.running(driver), driver)
    if victim is None:
        return False
    try:
        (victim.parent() if what == "worker" else victim).kill()
    except (psutil.NoSuchProcess, AttributeError):
        # It has ended meanwhile: the next one.
        return kill(drivers, driver, what)
    return True


def check_outputs(drivers, shards):
    files = drivers.files()
    failed = [json.loads(line) for line in files.pop("failed.jsonl").decode().splitlines()]
    job = json.loads(files.pop("job.json"))
    assert job["weights"]
    assert files == {path.name: path.read_bytes() for path in (shards / "whole").iterdir()}
    assert [Path(own["input"]).stem for own in failed] == [f"{number:02}" for number in BAD]
    assert {own["code"] for own in failed} == {65}
    assert all("expected 4 features (input_size)" in own["error"] for own in failed)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_outputs_are_those_of_one_machine(seed, shards, tmp_path, rnn):
    chance = random.Random(seed)
    drivers = Drivers(shards, tmp_path, rnn)
    kills = ["worker"] * 3 + ["rnn"] * 3 + ["driver"]
    chance.shuffle(kills)
    driver, begun, done = drivers.start(), 1, []
    for what in kills:
        time.sleep(chance.uniform(0, 0.3))
        if what != "driver":
            done += [what] if kill(drivers, driver, what) else []
        elif waited(lambda: drivers.running(driver), driver) is not None:
            driver.kill()
            driver.wait()
            driver, begun = drivers.start(), begun + 1
            done.append(what)
    while driver.poll() is None:
        drivers.family(driver)
        time.sleep(0.05)
    assert driver.returncode == 65, (tmp_path / "stderr").read_text()
    assert sorted(done) == sorted(kills)
    check_outputs(drivers, shards)
    starts = [shard for _, shard in drivers.starts()]
    # A bad shard is tried once by each driver; a good one again only after a kill.
    assert all(1 <= starts.count(shard) <= begun for shard in BAD), starts
    assert len(starts) <= SHARDS + len(BAD) + 2 * len(kills)
    assert drivers.left() == []
    # The same command again has only the bad shards to run.
    before = len(starts)
    again = drivers.start()
    assert again.wait(LIMIT) == 65
    assert sorted(shard for _, shard in drivers.starts()[before:]) == list(BAD)
    check_outputs(drivers, shards)


def test_two_drivers_in_one_folder_are_harmless(shards, tmp_path, rnn):
    drivers = Drivers(shards, tmp_path, rnn)
    both = [drivers.start(), drivers.start()]
    assert [driver.wait(LIMIT) for driver in both] == [65, 65], (tmp_path / "stderr").read_text()
    check_outputs(drivers, shards)


def test_a_repeat_with_nothing_to_do_starts_no_cluster(shards, tmp_path, rnn):
    options = ["-w", "w.npz", "-o", str(tmp_path / "out"), "--rnn", rnn]
    good = [f"in/{number:02}.npy" for number in (1, 2)]
    code = (
        "import sys, elman.dask\n"
        "code = elman.dask.main(sys.argv[1:])\n"
        "print(code, 'distributed' in sys.modules)"
    )
    said = []
    for _ in range(2):
        command = [sys.executable, "-c", code, *good, *options, "--workers", "1"]
        said.append(subprocess.run(command, cwd=shards, stdout=subprocess.PIPE, text=True).stdout)
    assert said == ["0 True\n", "0 False\n"]


@pytest.mark.parametrize(
    "more, code",
    [(["--", "--pool", "nowhere"], 2), (["--", "--head", "fc"], 65), (["--workers", "0"], 2)],
)
def test_flags_that_no_run_would_take_start_no_cluster(more, code, shards, tmp_path, rnn):
    options = ["-w", "w.npz", "-o", str(tmp_path / "out"), "--rnn", rnn]
    command = [sys.executable, "-m", "elman.dask", "in/01.npy", *options, *more]
    ended = subprocess.run(command, cwd=shards, capture_output=True, text=True)
    assert ended.returncode == code, ended


def test_a_run_that_may_succeed_later_is_tried_again(shards, tmp_path):
    """A program that fails with 75 twice, and one that a signal ends every time."""
    count = tmp_path / "count"
    count.write_text("")
    script = tmp_path / "rnn"
    script.write_text(
        f"#!{sys.executable}\nimport os, signal, sys\n"
        "if '--pending' in sys.argv: print(sys.stdin.read(), end=''); sys.exit()\n"
        f"with open({str(count)!r}, 'a') as log: log.write('x')\n"
        f"tries = os.path.getsize({str(count)!r})\n"
        "if os.environ['MODE'] == 'signal': os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(75 if tries < 3 else 0)\n"
    )
    script.chmod(0o755)
    (tmp_path / "out").mkdir()
    options = ["-w", "w.npz", "-o", str(tmp_path / "out"), "--rnn", str(script), "--workers", "1", "--retries", "2"]
    command = [sys.executable, "-m", "elman.dask", "in/01.npy", *options]
    for mode, code, tries in (("busy", 0, 3), ("signal", 128 + signal.SIGTERM, 3)):
        count.write_text("")
        ended = subprocess.run(command, cwd=shards, env={**os.environ, "MODE": mode})
        assert (ended.returncode, len(count.read_text())) == (code, tries)
