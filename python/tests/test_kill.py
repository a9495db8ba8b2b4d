"""python -m elman.dask under SIGKILL: workers, runs and the driver itself.

Each seed kills 3 workers, 3 processes `rnn` and 1 driver, which is started again, while 40 shards run on 2 workers. Each
kill hits a run in its middle. The outputs are those of one process on one machine, byte for byte, and each shard is
started once, and once more for each kill of its run. ELMAN_KILL_SEEDS=10 runs 10 seeds instead of 1.
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

# A run takes some tenths of a second: it is long enough to be killed in its middle.
HIDDEN, STEPS = 512, 12_000
# Seconds in which a driver learns of a run that has ended before a kill.
NOTICE = 0.3

# Each run is written down with the number of its process, which exec keeps.
WRAPPER = """#!{python}
import os, sys
path = sys.stdin.readline() if "--pending" not in sys.argv else None
if path:
    with open({log!r}, "a") as log:
        log.write(f"{{os.getpid()}} {{path}}")
    read, write = os.pipe()
    os.write(write, path.encode())
    os.close(write)
    os.dup2(read, 0)
os.execv({rnn!r}, ["rnn", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory, rnn):
    """A folder of weights and shards, 3 of which are not valid, and the outputs of one process."""
    folder = tmp_path_factory.mktemp("shards")
    elman.manual_seed(0)
    np.savez(folder / "w.npz", **elman.RNN(4, HIDDEN).state_dict())
    (folder / "in").mkdir()
    for number in range(SHARDS):
        path = folder / "in" / f"{number:02}.npy"
        np.save(path, elman.randn(STEPS + number, 5 if number in BAD else 4))
    whole = [rnn, "run", "-w", "w.npz", "-i", "in", "-o", "whole/", "--pool", "last", "-q"]
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
        options = ["-w", "w.npz", "-o", str(self.folder / "out"), "--pool", "last", "--rnn", str(self.wrapper)]
        command = [sys.executable, "-m", "elman.dask", "in/*.npy", *options, "--workers", "2", "--retries", "9", *more]
        return psutil.Popen(
            command,
            cwd=self.shards,
            stderr=open(self.folder / "stderr", "a"),
            env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "9"},
        )

    def starts(self):
        """The runs so far: process and number of the shard."""
        words = (line.split() for line in self.log.read_text().splitlines())
        return [(int(line[0]), int(Path(line[1]).stem)) for line in words if len(line) == 2]

    def counts(self):
        """The number of starts of each shard."""
        shards = [shard for _, shard in self.starts()]
        return [shards.count(shard) for shard in range(SHARDS)]

    def family(self, driver):
        """The processes below a driver, which are remembered for the end."""
        try:
            children = driver.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.seen.update({child.pid: child for child in children})
        return children

    def running(self, driver):
        """A process that runs `rnn` on a good shard, with the number of the shard, or None."""
        good = {pid: shard for pid, shard in self.starts() if shard not in BAD}
        for child in self.family(driver):
            try:
                if child.pid in good and child.cmdline()[:1] == ["rnn"]:
                    return child, good[child.pid]
            except psutil.Error:
                pass
        return None

    def has_output(self, shard):
        return (self.folder / "out" / f"{shard:02}.npy").exists()

    def left(self):
        """Processes that still live, 10 seconds after all others."""
        _, alive = psutil.wait_procs([child for child in self.seen.values() if is_alive(child)], 10)
        return [child for child in alive if is_alive(child)]

    def files(self):
        return {path.name: path.read_bytes() for path in (self.folder / "out").iterdir()}


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def waited(condition, driver):
    """The first result of a condition that is not None, or None if the driver ends first."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        found = condition()
        if found is not None or driver.poll() is not None:
            return found
        time.sleep(0.02)
    pytest.fail("the driver makes no progress")


def stopped(drivers, driver, delay):
    """A run of a good shard, stopped in its middle, and its shard. None if the driver has ended."""
    while found := waited(lambda: drivers.running(driver), driver):
        process, shard = found
        time.sleep(delay)
        try:
            process.suspend()
            if process.status() == psutil.STATUS_STOPPED:
                return found
        except psutil.NoSuchProcess:
            pass
    return None


def kill(drivers, driver, what, delay):
    """Kills a run of a good shard, or the worker above it. Returns the shard, or None if the driver has ended."""
    found = stopped(drivers, driver, delay)
    if found is None:
        return None
    process, shard = found
    time.sleep(NOTICE)
    (process.parent() if what == "worker" else process).kill()
    return shard


def check_outputs(drivers, shards):
    files = drivers.files()
    failed = [json.loads(line) for line in files.pop("failed.jsonl").decode().splitlines()]
    job = json.loads(files.pop("job.json"))
    assert job["weights"]
    assert files == {path.name: path.read_bytes() for path in (shards / "whole").iterdir()}
    assert [Path(failure["input"]).stem for failure in failed] == [f"{number:02}" for number in BAD]
    assert {failure["code"] for failure in failed} == {65}
    assert all("expected 4 features (input_size)" in failure["error"] for failure in failed)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_outputs_are_those_of_one_machine(seed, shards, tmp_path, rnn):
    chance = random.Random(seed)
    drivers = Drivers(shards, tmp_path, rnn)
    kills = ["worker"] * 3 + ["rnn"] * 3 + ["driver"]
    chance.shuffle(kills)
    driver, expected, done = drivers.start(), [1] * SHARDS, []
    for what in kills:
        time.sleep(chance.uniform(0, 0.3))
        delay = chance.uniform(0, 0.1)
        if what != "driver":
            shard = kill(drivers, driver, what, delay)
            if shard is not None:
                # The run is started again, and no other one.
                expected[shard] += 1
                done.append(what)
        elif stopped(drivers, driver, delay) is not None:
            driver.kill()
            driver.wait()
            assert drivers.left() == []
            counts = drivers.counts()
            assert all(count <= most for count, most in zip(counts, expected)), (counts, expected)
            expected = [count + (not drivers.has_output(shard)) for shard, count in enumerate(counts)]
            driver = drivers.start()
            done.append(what)
    while driver.poll() is None:
        drivers.family(driver)
        time.sleep(0.05)
    assert driver.returncode == 65, (tmp_path / "stderr").read_text()
    assert sorted(done) == sorted(kills)
    check_outputs(drivers, shards)
    assert drivers.counts() == expected
    assert drivers.left() == []
    # The same command again has only the bad shards to run.
    again = drivers.start()
    assert again.wait(LIMIT) == 65
    assert drivers.counts() == [count + (shard in BAD) for shard, count in enumerate(expected)]
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
    "more, code, text",
    [
        (["--", "--pool", "nowhere"], 2, "nowhere"),
        (["--", "--head", "fc"], 65, "fc"),
        (["--workers", "0"], 2, "expected at least 1 worker"),
    ],
)
def test_flags_that_no_run_would_take_start_no_cluster(more, code, text, shards, tmp_path, rnn):
    options = ["-w", "w.npz", "-o", str(tmp_path / "out"), "--rnn", rnn]
    code_of = "import sys, elman.dask; code = elman.dask.main(sys.argv[1:]); sys.exit(code)"
    watched = f"import atexit, sys; atexit.register(lambda: print('distributed' in sys.modules)); {code_of}"
    command = [sys.executable, "-c", watched, "in/01.npy", *options, *more]
    ended = subprocess.run(command, cwd=shards, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, text in ended.stderr) == (code, "False\n", True), ended


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
