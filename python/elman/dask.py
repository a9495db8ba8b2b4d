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
import logging
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any, Callable, Iterable, Iterator, Optional

from elman._failed import Failure, record

# Exit codes of failures that may not recur: a failing system, a full disk, a locked file.
RETRIED = (71, 74, 75)
# The exit code of a process that a signal ended, as shells have it, less the number of the signal.
SIGNALLED = 128
# Flags that the driver sets, or that select inputs: each run has one input.
RESERVED = ("-i", "--input", "-o", "--output", "-w", "--weights", "--list", "--shard", "--resume", "--pending")


class Failed(Exception):
    """A run that failed, with its exit code and error. The scheduler keeps an exception, so that the death of the worker
    does not repeat the run, as it does for a result that the driver has not read."""

    @property
    def is_retried(self) -> bool:
        code = self.args[0]
        return code in RETRIED or code > SIGNALLED


def program() -> str:
    """The path of `rnn`: the script of this package, or the one on the search path."""
    script = os.path.join(sysconfig.get_path("scripts"), "rnn")
    found = script if os.path.exists(script) else shutil.which("rnn")
    if found is None:
        raise FileNotFoundError("rnn: expected the program on the search path, got none")
    return found


def flags(options: argparse.Namespace) -> list[str]:
    """The flags of every run, which reads the path of its input from standard input."""
    pool = [f"--pool={options.pool}"] if options.pool else []
    folder = os.path.join(options.output, "")
    return [f"--weights={options.weights}", "--list=-", f"--output={folder}", "--resume", "-q", *pool, *options.flags]


def exit_code_of(returned: int) -> int:
    """The exit code of a process as shells have it."""
    return returned if returned >= 0 else SIGNALLED - returned


def pending(options: argparse.Namespace, inputs: Iterable[str]) -> list[str]:
    """The inputs that are left. `rnn` lists them, and checks the weights, the flags and the folder."""
    command = [options.rnn or program(), "run", *flags(options), "--pending"]
    ended = subprocess.run(command, input=os.fsencode("".join(path + "\n" for path in inputs)), stdout=subprocess.PIPE)
    if ended.returncode:
        sys.exit(exit_code_of(ended.returncode))
    left = [path for path in os.fsdecode(ended.stdout).split("\n") if path]
    if not set(left) <= set(inputs):
        raise ValueError(f"expected flags of a run behind --, got {' '.join(options.flags)}")
    return left


def dying_with_parent() -> Optional[Callable[[], None]]:
    """A `preexec_fn`: on Linux, the kernel kills the run when its worker dies."""
    if sys.platform != "linux":
        return None
    # Found before the fork: another thread might hold the loader's lock then.
    prctl, death_signal, parent = ctypes.CDLL(None).prctl, 1, os.getpid()

    def die_with_parent() -> None:
        prctl(death_signal, signal.SIGKILL)
        # The worker may have died before the call.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return die_with_parent


def run(rnn: Optional[str], flags: list[str], folder: str, path: str, threads: int) -> None:
    """Runs one input in a folder, which relative paths start from. Raises Failed."""
    try:
        ended = subprocess.run(
            [rnn or program(), "run", *flags],
            cwd=folder,
            input=os.fsencode(path + "\n"),
            capture_output=True,
            env={"RAYON_NUM_THREADS": str(threads), **os.environ, "RUST_BACKTRACE": "0"},
            preexec_fn=dying_with_parent(),
        )
    except OSError as error:
        # The worker lacks the program, the folder, or memory: another worker may have it.
        raise Failed(71, str(error)) from None
    if ended.returncode:
        code = exit_code_of(ended.returncode)
        raise Failed(code, error_of(os.fsdecode(ended.stderr), code))


def error_of(stderr: str, code: int) -> str:
    """The error among the lines of a run, which may have notes, a hint, and a last line that counts the failures."""
    lines = [line for line in stderr.split("\n") if line and not line.endswith("1 of 1 file failed")]
    errors = [line[len("rnn: ") :] for line in lines if line.startswith("rnn: ")]
    error = (errors or lines[-1:] or [""])[0]
    suffix = f" (exit code {code})"
    return error[: -len(suffix)] if error.endswith(suffix) else error


def outcomes(options: argparse.Namespace, client: Any, inputs: list[str]) -> Iterator[tuple[str, Optional[Failure]]]:
    """Runs all inputs, and yields each with its failure, if any, as its last run ends."""
    from distributed import as_completed

    threads = max(1, cores() // options.workers) if options.scheduler is None else 1
    arguments = (options.rnn, flags(options), os.getcwd())

    def submit(path: str) -> Any:
        # Every task has a key of its own: drivers that share a scheduler must not share tasks.
        return client.submit(run, *arguments, path, threads, pure=False)

    tasks = {submit(path): (path, options.retries) for path in inputs}
    completed = as_completed(tasks)
    for future in completed:
        # A future that nothing refers to is forgotten, and not run again if the worker dies that has its result.
        path, retries = tasks.pop(future)
        error = error_in(future)
        del future
        if isinstance(error, Failed) and error.is_retried and retries:
            again = submit(path)
            tasks[again] = path, retries - 1
            completed.add(again)
            del again
        else:
            yield path, None if error is None else failure_of(path, error)


def error_in(future: Any) -> Optional[BaseException]:
    """The exception of a task that has ended, or None."""
    if future.status == "finished":
        return None
    # A task that is lost with its scheduler has no exception.
    try:
        return future.exception() or CancelledError()
    except CancelledError as error:
        return error


def failure_of(path: str, error: BaseException) -> Failure:
    """The record of a task that ended with an exception."""
    code, text = 70, f"{type(error).__name__}: {error}"
    if isinstance(error, Failed):
        code, text = error.args
    elif isinstance(error, CancelledError):
        code, text = 75, "the scheduler lost the task"
    elif type(error).__name__ == "KilledWorker":
        # Dask gives up a task whose worker died again and again.
        code, text = SIGNALLED + signal.SIGKILL, "killed"
    return {"input": path, "code": code, "error": text}


@contextmanager
def connected(options: argparse.Namespace) -> Iterator[Any]:
    """A client of the scheduler, or of a cluster of processes on this machine."""
    from distributed import Client, LocalCluster

    if options.scheduler:
        with Client(options.scheduler) as client:
            yield client
        return
    # Worker processes, so that killing one leaves the others running. Their logs repeat the failures.
    with LocalCluster(
        n_workers=options.workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    ) as cluster, Client(cluster) as client:
        yield client


def run_all(options: argparse.Namespace, inputs: list[str], results: dict[str, Optional[Failure]]) -> None:
    """Runs all inputs on a cluster, with progress on standard error, and adds the results as they arrive."""
    said, failed = time.monotonic(), 0
    with connected(options) as client:
        for done, (path, failure) in enumerate(outcomes(options, client, inputs), 1):
            results[path] = failure
            failed += failure is not None
            if time.monotonic() >= said + 1 or done == len(inputs):
                said = time.monotonic()
                say(f"{done} of {len(inputs)} done, {failed} failed")


def say(text: str) -> None:
    """Prints a line to standard error, and ignores write errors."""
    try:
        print(f"elman.dask: {text}", file=sys.stderr, flush=True)
    except OSError:
        pass


def exit_code(codes: set[int]) -> int:
    """The exit code of many runs, as `rnn run` has it for a folder."""
    if len(codes) < 2:
        return next(iter(codes), 0)
    return 74 if any(Failed(code).is_retried for code in codes) else 65


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    where.add_argument("--workers", type=int, default=cores(), help="processes of a cluster on this machine")
    parser.add_argument("--retries", type=int, default=3, help="more tries after exit codes 71, 74, 75 and signals")
    parser.add_argument("--rnn", help="the program, on every worker")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    options.flags = arguments[cut + 1 :]
    if options.workers < 1 or options.retries < 0:
        parser.error("expected at least 1 worker and 0 retries")
    for flag in options.flags:
        name = flag.partition("=")[0] if flag.startswith("--") else flag[:2]
        if name in RESERVED:
            parser.error(f"expected flags behind -- that apply to every input, got {name}")
    return options


def found(patterns: list[str]) -> list[str]:
    """The paths of inputs, sorted. A path that exists is no pattern, and a pattern without a match is a path."""
    paths = ([pattern] if os.path.lexists(pattern) else glob.glob(pattern) or [pattern] for pattern in patterns)
    return sorted({path for matches in paths for path in matches})


def drive(options: argparse.Namespace) -> int:
    """Runs what is left, and records the failures, also if the cluster fails midway."""
    inputs = found(options.inputs)
    left = set(pending(options, inputs))
    results: dict[str, Optional[Failure]] = {path: None for path in inputs if path not in left}
    try:
        if left:
            run_all(options, sorted(left), results)
    finally:
        record(options.output, results)
    failures = [failure for failure in results.values() if failure]
    for failure in failures:
        path, error = failure["input"], failure["error"]
        say(f"{error if path in error else f'{path}: {error}'} (exit code {failure['code']})")
    return exit_code({failure["code"] for failure in failures})


def main(arguments: Optional[list[str]] = None) -> int:
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    try:
        return drive(options)
    except KeyboardInterrupt:
        return SIGNALLED + signal.SIGINT
    except ImportError as error:
        say(f"{error}\nhint: pip install 'elman[dask]'")
        return 70
    except ValueError as error:
        say(str(error))
        return 2
    except OSError as error:
        # A scheduler that does not answer, or a folder that cannot be written to.
        say(str(error))
        return 75 if options.scheduler else 74


if __name__ == "__main__":
    sys.exit(main())
