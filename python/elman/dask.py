"""`rnn run` on many files, shared among the workers of a Dask cluster.

    python -m elman.dask -w model.pt -o out/ 'shards/*.npz' --workers 8
    python -m elman.dask -w model.pt -o out/ 'shards/*.npz' --scheduler tcp://host:8786 -- --pool last --argmax

A task is one process `rnn run` on one file. Paths travel, not arrays: weights, inputs and outputs are on a file system
that every worker sees. The same command again goes on where the last one ended, by the rule of `rnn run --resume`.
"""

from __future__ import annotations

import argparse
import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Optional

# Exit codes that may be another one in the next try: a failing system, a full disk, a locked file.
RETRIED = (71, 74, 75)
# The exit code of a process that a signal ended, as shells have it, less the number of the signal.
SIGNALLED = 128


class Retried(Exception):
    """A run that failed and may succeed the next time: its exit code and the last line of its errors."""


def program() -> str:
    """The path of `rnn`: the script of this package, or the one on the search path."""
    own = os.path.join(sysconfig.get_path("scripts"), "rnn")
    found = own if os.path.exists(own) else shutil.which("rnn")
    if found is None:
        raise FileNotFoundError("rnn: expected the program on the search path, got none")
    return found


def command(options: argparse.Namespace) -> list[str]:
    """The command of every run, which reads the path of its input from standard input."""
    pool = ["--pool", options.pool] if options.pool else []
    run = [options.rnn or program(), "run", "-w", options.weights, "--list", "-"]
    return [*run, "-o", os.path.join(options.output, ""), "--resume", *pool, *options.flags]


def pending(options: argparse.Namespace, inputs: Iterable[str]) -> list[str]:
    """The inputs that are left, which `rnn` itself says: it checks the weights, the flags and the folder, too."""
    text = "".join(path + "\n" for path in inputs)
    ended = subprocess.run([*command(options), "--pending"], input=text, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        sys.exit(ended.returncode if ended.returncode > 0 else SIGNALLED - ended.returncode)
    return ended.stdout.splitlines()


def dying_with_parent() -> Optional[Callable[[], Any]]:
    """What a new process calls so that it ends with the worker that starts it, on Linux."""
    if sys.platform != "linux":
        return None
    # Found before the fork: another thread might hold the loader's lock then.
    prctl, death_signal = ctypes.CDLL(None).prctl, 1
    return lambda: prctl(death_signal, signal.SIGKILL)


def run(command: list[str], path: str, threads: int) -> Optional[dict[str, Any]]:
    """Runs one input. Returns None, or the failure that another try would meet again.

    Raises Retried for a failure that another try may not meet."""
    ended = subprocess.run(
        command + ["-q"],
        input=path + "\n",
        capture_output=True,
        text=True,
        env={"RAYON_NUM_THREADS": str(threads), **os.environ, "RUST_BACKTRACE": "0"},
        preexec_fn=dying_with_parent(),
    )
    code = ended.returncode if ended.returncode >= 0 else SIGNALLED - ended.returncode
    if code == 0:
        return None
    # The last line counts the failures, which is one here.
    lines = [line for line in ended.stderr.splitlines() if not line.endswith("1 of 1 file failed")]
    failure = {"input": path, "code": code, "error": lines[-1] if lines else ""}
    if code in RETRIED or code > SIGNALLED:
        raise Retried(code, failure["error"])
    return failure


def failure_of(path: str, error: BaseException) -> dict[str, Any]:
    """The record of a task that ended with an exception."""
    if isinstance(error, Retried):
        return {"input": path, "code": error.args[0], "error": error.args[1]}
    # Dask gives up a task whose worker died again and again.
    killed = type(error).__name__ == "KilledWorker"
    return {"input": path, "code": SIGNALLED + signal.SIGKILL if killed else 70, "error": "killed" if killed else str(error)}


def outcomes(options: argparse.Namespace, client: Any, inputs: list[str]) -> Iterator[Optional[dict[str, Any]]]:
    """Runs all inputs, and yields what came of each, in the order in which they end."""
    from distributed import as_completed

    threads = max(1, (os.cpu_count() or 1) // options.workers) if options.scheduler is None else 1
    submit = client.submit
    tasks = {
        submit(run, command(options), path, threads, key=f"rnn-{path}", pure=False, retries=options.retries): path
        for path in inputs
    }
    for future in as_completed(tasks):
        error = future.exception()
        yield future.result() if error is None else failure_of(tasks[future], error)


def run_all(options: argparse.Namespace, inputs: list[str]) -> list[dict[str, Any]]:
    """Runs all inputs on a cluster, with progress on standard error. Returns the failures."""
    from distributed import Client, LocalCluster

    if options.scheduler:
        address: Any = options.scheduler
    else:
        # Processes, because the death of one must not be that of the others.
        address = LocalCluster(
            n_workers=options.workers, threads_per_worker=1, processes=True, dashboard_address=None
        )
    failures, said = [], time.monotonic()
    with Client(address) as client:
        try:
            for done, failure in enumerate(outcomes(options, client, inputs), 1):
                failures += [failure] if failure else []
                if time.monotonic() >= said + 1 or done == len(inputs):
                    said = time.monotonic()
                    say(f"{done} of {len(inputs)} done, {len(failures)} failed")
        finally:
            if options.scheduler is None:
                address.close()
    return failures


def say(text: str) -> None:
    """Writes a line for people. One that cannot be written changes nothing."""
    try:
        print(f"elman.dask: {text}", file=sys.stderr, flush=True)
    except OSError:
        pass


def record(folder: str, failures: list[dict[str, Any]]) -> None:
    """Replaces failed.jsonl, or removes it if there is no failure."""
    path = Path(folder, "failed.jsonl")
    if not failures:
        path.unlink(missing_ok=True)
        return
    descriptor, name = tempfile.mkstemp(prefix=".failed-", suffix=".jsonl", dir=folder)
    try:
        with open(descriptor, "w") as file:
            for failure in sorted(failures, key=lambda own: own["input"]):
                file.write(json.dumps(failure) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def exit_code(codes: set[int]) -> int:
    """The exit code of many runs, as `rnn run` has it for a folder."""
    if len(codes) < 2:
        return next(iter(codes), 0)
    return 74 if any(code in RETRIED or code > SIGNALLED for code in codes) else 65


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m elman.dask", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="PATTERN", help="paths or patterns of the inputs")
    parser.add_argument("-w", "--weights", required=True, help="as in rnn run")
    parser.add_argument("-o", "--output", required=True, help="the folder of the outputs")
    parser.add_argument("--pool", help="as in rnn run")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--scheduler", help="the address of a cluster, such as tcp://host:8786")
    where.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes of a cluster on this machine")
    parser.add_argument("--retries", type=int, default=3, help="more tries after exit codes 71, 74, 75 and signals")
    parser.add_argument("--rnn", help="the program, on every worker")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    options.flags = arguments[cut + 1 :]
    if options.workers < 1 or options.retries < 0:
        parser.error("expected at least 1 worker and 0 retries")
    return options


def main(arguments: Optional[list[str]] = None) -> int:
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    inputs = sorted({path for pattern in options.inputs for path in glob.glob(pattern) or [pattern]})
    left = pending(options, inputs)
    failures = run_all(options, left) if left else []
    record(options.output, failures)
    for failure in failures:
        say(f"{failure['input']}: {failure['error']} (exit code {failure['code']})")
    return exit_code({failure["code"] for failure in failures})


if __name__ == "__main__":
    sys.exit(main())
