"""The examples of the docstrings."""

import doctest

import pytest

import elman
import elman._arrays
import elman._sequences


@pytest.mark.parametrize("module", [elman, elman._arrays, elman._sequences], ids=lambda own: own.__name__)
def test_module(module):
    result = doctest.testmod(module)
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize("name", ["RNN", "manual_seed"])
def test_extension(name):
    finder, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    test = finder.get_doctest(getattr(elman, name).__doc__, {}, name, None, 0)
    assert test.examples and runner.run(test).failed == 0


def test_every_public_name_is_documented_and_typed():
    from pathlib import Path

    stub = (Path(elman.__file__).parent / "_native.pyi").read_text()
    for name in elman.__all__:
        own = getattr(elman, name)
        assert name == "__version__" or own.__doc__, name
        if getattr(own, "__module__", "").endswith("_native"):
            assert f"def {name}(" in stub or f"class {name}:" in stub, name
