"""The list of failures in a folder of outputs, failed.jsonl."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

# The record of a failure: input, code and error.
Failure = dict[str, Any]


def record(folder: str, results: Mapping[str, Optional[Failure]]) -> None:
    """Adds the failures among the results of inputs to the list, and removes the lines of the others.

    A line belongs to the file of the folder that could not be made: the lines of other inputs stay, until a driver has
    their results. A list without lines is removed."""
    path, draft = Path(folder, "failed.jsonl"), Path(folder, ".failed.jsonl")
    with locked(folder):
        lines = path.read_text().splitlines() if path.exists() else []
        known = {os.path.basename(failure["input"]): failure for failure in map(json.loads, lines)}
        known.update({os.path.basename(path): failure for path, failure in results.items()})
        failures = [known[name] for name in sorted(known) if known[name]]
        if not failures:
            path.unlink(missing_ok=True)
            return
        # The draft has one name, so that the next driver replaces one that a killed driver has left.
        with open(draft, "w") as file:
            file.writelines(json.dumps(failure) + "\n" for failure in failures)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Keeps other drivers out of the list of a folder, if its file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield
    finally:
        os.close(descriptor)
