"""The examples of the docstrings."""

import ast
import doctest
import subprocess
from pathlib import Path

import pytest

import elman
import elman._arrays
import elman._sequences
from elman import _native


@pytest.mark.parametrize("module", [elman, elman._arrays, elman._sequences], ids=lambda module: module.__name__)
def test_module(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize("name", ["RNN", "manual_seed"])
def test_extension(name):
    finder, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    test = finder.get_doctest(getattr(elman, name).__doc__, {}, name, None, 0)
    assert test.examples and runner.run(test).failed == 0


def test_every_public_name_is_documented_and_typed():
    stub = ast.parse((Path(elman.__file__).parent / "_native.pyi").read_text())
    typed = {node.name: node for node in stub.body if hasattr(node, "name")}
    for name in elman.__all__:
        value = getattr(elman, name)
        assert name == "__version__" or value.__doc__, name
        if name != "__version__" and getattr(_native, name, None) is value:
            assert name in typed, name
    for name in ("RNN", "Model"):
        members = {node.name for node in typed[name].body}
        public = {member for member in vars(getattr(elman, name)) if not member.startswith("_")}
        assert public == {member for member in members if not member.startswith("_")}


def test_the_manifests_have_one_version(fixtures, rnn):
    version = f'version = "{elman.__version__}"'
    for manifest in ("pyproject.toml", "Cargo.toml", "python/Cargo.toml"):
        assert version in (fixtures.parent / manifest).read_text().splitlines(), manifest
    printed = subprocess.run([rnn, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert printed.split()[1] == elman.__version__
