"""What the tests share: the repository's fixtures, and the binary `rnn` of the installed wheel."""

import os
import shutil
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


@pytest.fixture
def fixtures():
    return FIXTURES


@pytest.fixture(scope="session")
def rnn():
    """The path of the binary: beside this interpreter, or on the search path."""
    search = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    found = shutil.which("rnn", path=search)
    assert found, "the wheel brings a program rnn"
    return found
