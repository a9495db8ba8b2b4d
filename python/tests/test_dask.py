"""python -m elman.dask: its inputs, flags, failures and exit codes. test_kill.py has the kills."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import elman

distributed = pytest.importorskip("distributed")
psutil = pytest.importorskip("psutil")

NAMES = ["0.npy", "1.npy", "2.npy"]


@pytest.fixture
def folder(tmp_path, rnn):
    """Two layers a.npz and b.npz, and inputs of which 2.npy does not fit."""
    (tmp_path / "in").mkdir()
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", **elman.RNN(4, 8).state_dict())
    for number, name in enumerate(NAMES):
        np.save(tmp_path / "in" / name, elman.randn(3, 4 if number < 2 else 5))
    return tmp_path


@pytest.fixture
def scheduler(tmp_path_factory):
    """The address of a cluster whose worker runs in another folder than the drivers."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    address = elsewhere / "scheduler.json"
    started = [
        subprocess.Popen([sys.executable, "-m", *command], cwd=elsewhere, stderr=subprocess.DEVNULL)
        for command in (
            ["distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(address)],
            ["distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard", "--scheduler-file", str(address)],
        )
    ]
    with distributed.Client(scheduler_file=str(address), timeout=60) as client:
        client.wait_for_workers(1, timeout=60)
        yield client.scheduler.address
    for process in started:
        process.terminate()
        process.wait()


def driver(folder, *arguments, **options):
    command = [sys.executable, "-m", "elman.dask", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, **options)


def drive(folder, *arguments, **options):
    """The exit code of a driver, and its standard error."""
    process = driver(folder, *arguments, **options)
    stderr = process.communicate(timeout=240)[1]
    return process.returncode, stderr


def failed(folder):
    return [json.loads(line) for line in (folder / "failed.jsonl").read_text().splitlines()]


def outputs(folder):
    return sorted(os.listdir(os.fsencode(folder)))


def test_drivers_of_one_scheduler_share_no_task_and_paths_are_the_drivers(folder, scheduler):
    options = ["in/0.npy", "in/1.npy", "--scheduler", scheduler]
    both = [driver(folder, "-w", f"{name}.npz", "-o", f"out-{name}", *options) for name in "ab"]
    for process in both:
        stderr = process.communicate(timeout=240)[1]
        assert process.returncode == 0, stderr
    for name in "ab":
        assert outputs(folder / f"out-{name}") == [b"0.npy", b"1.npy", b"job.json"]
    assert (folder / "out-a" / "0.npy").read_bytes() != (folder / "out-b" / "0.npy").read_bytes()


def test_a_scheduler_that_ends_leaves_the_rest_for_another_try(folder, tmp_path):
    script = tmp_path / "rnn"
    script.write_text(
        f"#!{sys.executable}\nimport os, signal, sys, time\n"
        "if '--pending' in sys.argv: print(sys.stdin.read(), end=''); sys.exit()\n"
        f"os.kill(int(open({str(tmp_path / 'pid')!r}).read()), signal.SIGKILL)\n"
        "time.sleep(60)\n"
    )
    script.chmod(0o755)
    address, out = tmp_path / "scheduler.json", tmp_path / "out"
    out.mkdir()
    start = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    ended = subprocess.Popen([*start, "--scheduler-file", str(address)], stderr=subprocess.DEVNULL)
    (tmp_path / "pid").write_text(str(ended.pid))
    with distributed.Client(scheduler_file=str(address), timeout=60) as client:
        scheduler = client.scheduler.address
    start = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", scheduler]
    worker = subprocess.Popen([*start, "--death-timeout", "5"], stderr=subprocess.DEVNULL)
    environment = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "3"}
    code, stderr = drive(
        folder, "in/0.npy", "-w", "a.npz", "-o", "out", "--rnn", str(script), "--scheduler", scheduler, env=environment
    )
    ended.wait()
    worker.kill()
    worker.wait()
    assert code == 75 and stderr.endswith("in/0.npy: the scheduler lost the task (exit code 75)\n"), stderr
    code, stderr = drive(folder, "in/0.npy", "-w", "a.npz", "-o", "out", "--scheduler", scheduler, env=environment)
    assert code == 75 and "Traceback" not in stderr, stderr


def test_the_list_of_failures_has_the_error_and_keeps_those_of_other_inputs(folder):
    (folder / "other").mkdir()
    (folder / "other" / "x.npy").write_bytes(b"")
    options = ["-w", "a.npz", "-o", "out", "--workers", "1"]
    code, stderr = drive(folder, "in/*.npy", *options)
    error = "in/2.npy: input: expected 4 features (input_size) on the last axis, got 5 in shape [3, 5]"
    assert (code, failed(folder / "out")) == (65, [{"input": "in/2.npy", "code": 65, "error": error}])
    assert stderr.endswith(f"elman.dask: {error} (exit code 65)\n")
    # A driver that was killed leaves a draft.
    (folder / "out" / ".failed.jsonl").write_text("{")
    assert drive(folder, "other/x.npy", *options)[0] == 65
    assert [failure["input"] for failure in failed(folder / "out")] == ["in/2.npy", "other/x.npy"]
    np.save(folder / "in" / "2.npy", elman.randn(3, 4))
    np.save(folder / "other" / "x.npy", elman.randn(3, 4))
    assert drive(folder, "in/2.npy", *options)[0] == 0
    assert [failure["input"] for failure in failed(folder / "out")] == ["other/x.npy"]
    assert drive(folder, "other/x.npy", *options)[0] == 0
    assert outputs(folder / "out") == [b"0.npy", b"1.npy", b"2.npy", b"job.json", b"x.npy"]


def test_every_name_of_a_file_is_run(folder):
    """Names with the signs of a pattern, a line separator of Unicode, bytes that are not UTF-8, and a leading dash."""
    names = [b"c[1].npy", b"c1.npy", "u\u0085\u2028.npy".encode(), b"n\xff.npy", b"-d.npz"]
    for name in names[:4]:
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            np.save(file, elman.randn(2, 4))
    (folder / "a.npz").rename(folder / "-d.npz")
    arguments = [os.fsdecode(name) for name in names[:4] if name != b"c1.npy"]
    code, stderr = drive(folder, *arguments, "--weights=-d.npz", "--output=-out", "--workers", "1")
    assert code == 0, stderr
    assert outputs(folder / "-out") == sorted([*(names[0], names[2], names[3]), b"job.json"])


@pytest.mark.parametrize(
    "more, text",
    [
        (["--", "--shard", "1/2"], "expected flags behind -- that apply to every input, got --shard"),
        (["--", "--list=x"], "expected flags behind -- that apply to every input, got --list"),
        (["--", "-ix"], "expected flags behind -- that apply to every input, got -i"),
        (["--", "--help"], "expected flags of a run behind --, got --help"),
        (["--", "-q"], "cannot be used multiple times"),
    ],
)
def test_flags_that_select_inputs_are_refused(more, text, folder):
    code, stderr = drive(folder, "in/0.npy", "-w", "a.npz", "-o", "out", *more)
    assert code == 2 and text in stderr
    assert "Traceback" not in stderr


def test_failures_of_the_driver_have_an_exit_code_and_no_traceback(folder):
    options = ["in/0.npy", "-w", "a.npz", "-o", "out"]
    for more, code, text in [
        (["--rnn", "/nowhere/rnn"], 74, "/nowhere/rnn"),
        (["--scheduler", "nowhere"], 2, "nowhere"),
    ]:
        found, stderr = drive(folder, *options, *more)
        assert (found, text in stderr, "Traceback" in stderr) == (code, True, False), stderr
    without = "import sys; sys.modules['distributed'] = None; import elman.dask; sys.exit(elman.dask.main(sys.argv[1:]))"
    ended = subprocess.run([sys.executable, "-c", without, *options], cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 70 and "hint: pip install 'elman[dask]'" in ended.stderr, ended


def test_an_interrupt_ends_the_driver_and_its_runs(folder):
    script, started = folder / "rnn", folder / "started"
    script.write_text(
        f"#!{sys.executable}\nimport os, sys, time\n"
        "if '--pending' in sys.argv: print(sys.stdin.read(), end=''); sys.exit()\n"
        f"with open({str(started)!r}, 'w') as file: file.write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    script.chmod(0o755)
    (folder / "out").mkdir()
    process = driver(folder, "in/0.npy", "-w", "a.npz", "-o", "out", "--workers", "1", "--rnn", str(script))
    deadline = time.monotonic() + 60
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=60)[1]
    assert (process.returncode, "Traceback" in stderr) == (128 + signal.SIGINT, False), stderr
    try:
        psutil.Process(int(started.read_text())).wait(10)
    except psutil.NoSuchProcess:
        pass
