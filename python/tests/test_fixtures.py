"""elman.RNN and elman.randn against the numbers of PyTorch that the repository holds."""

import json

import numpy as np
import pytest

import elman

# Largest difference from PyTorch, relative to the largest value: both are rounded.
TOLERANCE = {"f32": 1e-6, "f64": 2e-15}


@pytest.fixture
def cases(fixtures):
    return json.loads((fixtures / "cases.json").read_text())


@pytest.fixture
def stored(fixtures):
    """A function that loads FILE.npz:NAME or FILE.npy of the fixtures, and gives None for None."""
    archives = {}

    def load(place):
        if place is None:
            return None
        file, _, name = place.partition(":")
        if file not in archives:
            archives[file] = np.load(fixtures / file)
        return archives[file][name] if name else archives[file]

    return load


def test_passes_have_the_numbers_of_pytorch(cases, stored, fixtures):
    for case in cases["run"]:
        layer = elman.load(
            fixtures / case["weights"], nonlinearity=case["nonlinearity"], batch_first=case["batch_first"]
        )
        results = layer(stored(case["input"]), stored(case["h0"]))
        for name, found in zip(("output", "h_n"), results):
            expected = stored(case[name])
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype), case["name"]
            error = np.abs(found - expected).max() / max(np.abs(expected).max(), 1)
            assert error <= TOLERANCE[case["dtype"]], (case["name"], name, error)


def test_draws_have_the_bits_of_pytorch(cases, stored):
    for case in cases["randn"]:
        elman.manual_seed(int(case["seed"]))
        found = elman.randn(case["shape"], dtype={"f32": np.float32, "f64": np.float64}[case["dtype"]])
        assert found.tobytes() == stored(case["values"]).tobytes(), case["name"]
