"""elman.RNN against torch.nn.RNN: shapes, numbers and call times. Skipped without PyTorch.

Alone, with PyTorch and the installed wheel: python python/tests/test_torch.py
"""

import statistics
import sys
import timeit

import numpy as np
import pytest

import elman

torch = pytest.importorskip("torch")
if __name__ != "__main__" and not hasattr(torch, "nn"):
    pytest.skip("PyTorch is broken", allow_module_level=True)

# Random layers that are compared.
CONFIGURATIONS = 300
# Largest error against float64, beside twice PyTorch's own, relative to the largest value.
SLACK = {np.float32: 1e-7, np.float64: 4e-16}
# Sizes of the call times: input_size, hidden_size, num_layers; L, N.
SMALL = ((10, 20, 2), (5, 3))
GRID = [
    ((1, 8, 1), (1, 1)),
    ((10, 20, 2), (1, 1)),
    SMALL,
    ((10, 20, 2), (100, 1)),
    ((64, 128, 2), (100, 8)),
    ((128, 256, 1), (128, 64)),
    ((512, 512, 1), (100, 1)),
    ((256, 256, 2), (50, 128)),
]


def pair(random, dtype):
    """The same random layer twice, and its arguments."""
    arguments = {
        "input_size": int(random.integers(1, 40)),
        "hidden_size": int(random.integers(1, 70)),
        "num_layers": int(random.integers(1, 4)),
        "nonlinearity": str(random.choice(["tanh", "relu"])),
        "bias": bool(random.integers(4)),
        "batch_first": bool(random.integers(2)),
        "bidirectional": bool(random.integers(2)),
    }
    theirs = torch.nn.RNN(**arguments, dtype=getattr(torch, np.dtype(dtype).name)).eval()
    own = elman.RNN(**arguments, dtype=dtype).eval()
    own.load_state_dict(theirs.state_dict())
    return own, theirs, arguments


def inputs(random, arguments, dtype):
    """A form, an input, the lengths of its sequences and a state, with None for what is left out."""
    form = str(random.choice(["unbatched", "padded", "lengths", "packed", "sorted"]))
    steps, batch = int(random.integers(1, 30)), int(random.integers(1, 20))
    features = arguments["input_size"]
    axes = [batch, steps] if arguments["batch_first"] else [steps, batch]
    shape = [steps, features] if form == "unbatched" else [*axes, features]
    states = arguments["num_layers"] * (1 + arguments["bidirectional"])
    state = [states, *([batch] if form != "unbatched" else []), arguments["hidden_size"]]
    h_0 = random.standard_normal(state).astype(dtype) if random.integers(2) else None
    lengths = random.integers(1, steps + 1, batch)
    lengths[random.integers(batch)] = steps
    if form == "sorted":
        lengths = -np.sort(-lengths)
    return form, random.standard_normal(shape).astype(dtype), lengths, h_0


def of_torch(rnn, form, input, lengths, h_0, batch_first):
    """The results of PyTorch, in the type of the layer."""
    dtype = next(rnn.parameters()).dtype
    input, h_0 = (None if own is None else torch.from_numpy(own).to(dtype) for own in (input, h_0))
    with torch.inference_mode():
        if form in ("unbatched", "padded"):
            output, h_n = rnn(input, h_0)
            return output, h_n
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            input, torch.from_numpy(lengths), batch_first, enforce_sorted=form == "sorted"
        )
        output, h_n = rnn(packed, h_0)
        padded, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first)
        return padded, h_n


def of_elman(rnn, form, input, lengths, h_0, batch_first):
    if form in ("unbatched", "padded"):
        return rnn(input, h_0)
    if form == "lengths":
        return rnn(input, h_0, lengths)
    packed = elman.pack_padded_sequence(input, lengths, batch_first, form == "sorted")
    output, h_n = rnn(packed, h_0)
    return elman.pad_packed_sequence(output, batch_first)[0], h_n


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_layers(dtype):
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    for number in range(CONFIGURATIONS // 2):
        own, theirs, arguments = pair(random, dtype)
        form, *rest = inputs(random, arguments, dtype)
        results = of_elman(own, form, *rest, arguments["batch_first"])
        pytorchs = of_torch(theirs, form, *rest, arguments["batch_first"])
        wide = of_torch(theirs.double(), form, *rest, arguments["batch_first"])
        for name, found, expected, exact in zip(("output", "h_n"), results, pytorchs, wide):
            label = f"{number}: {name} of {form} {own} {rest[0].shape}"
            assert found.shape == tuple(expected.shape) and found.dtype == dtype, label
            exact = exact.numpy()
            error = np.abs(found - exact).max(initial=0)
            theirs_error = np.abs(expected.numpy() - exact).max(initial=0)
            largest = max(1.0, np.abs(exact).max(initial=0))
            # In double precision PyTorch is its own exact value; sums of some hundred terms differ by their roundings.
            limit = 2 * theirs_error + SLACK[dtype] * largest * (100 if dtype is np.float64 else 1)
            assert error <= limit, f"{label}: {error:.3g}, PyTorch's {theirs_error:.3g}"


def test_fresh_weights_masks_and_samples_have_the_bits_of_pytorch():
    for seed in (0, 5, -3):
        torch.manual_seed(seed)
        elman.manual_seed(seed)
        arguments = (7, 9, 3, "relu", True, False, 0.3, True)
        theirs, own = torch.nn.RNN(*arguments), elman.RNN(*arguments)
        for name, weight in theirs.state_dict().items():
            assert weight.numpy().tobytes() == own.state_dict()[name].tobytes(), name
        x = torch.randn(6, 4, 7)
        assert x.numpy().tobytes() == elman.randn(6, 4, 7).tobytes()
        with torch.no_grad():
            np.testing.assert_allclose(own(x)[0], theirs(x)[0].numpy(), rtol=1e-5, atol=1e-5)
        assert elman.get_rng_state().tobytes() == torch.get_rng_state().numpy().tobytes()


def test_tensors_are_read_without_a_copy_and_refused_with_a_reason():
    from elman._arrays import to_array

    x = torch.randn(5, 3, 10)
    rnn = elman.RNN(10, 20)
    assert to_array(x, "input").ctypes.data == x.data_ptr()
    np.testing.assert_array_equal(rnn(x)[0], rnn(x.numpy())[0])
    packed = torch.nn.utils.rnn.pack_sequence([x[:, 0], x[:3, 1]])
    assert isinstance(rnn(packed)[0], elman.PackedSequence)
    with pytest.raises(TypeError, match="input: expected a tensor without requires_grad"):
        rnn(x.requires_grad_())
    for other in (torch.zeros(5, 3, 10, dtype=torch.bfloat16), torch.zeros(5, 3, 10).to_sparse()):
        with pytest.raises(TypeError, match="input: expected"):
            rnn(other)
    with pytest.raises(TypeError, match="float32, the dtype of the layer, got float64"):
        rnn(torch.zeros(5, 3, 10, dtype=torch.double))


def call_times(layer, size, tries=9):
    """Microseconds of a call of PyTorch and of this module: medians of alternating tries on the same threads."""
    elman.set_num_threads(torch.get_num_threads())
    own, theirs = elman.RNN(*layer).eval(), torch.nn.RNN(*layer).eval()
    x = elman.randn(*size, layer[0])
    y = torch.from_numpy(x)
    with torch.inference_mode():
        both = [timeit.Timer(lambda: theirs(y)), timeit.Timer(lambda: own(x))]
        counts = [max(1, int(0.02 / min(timer.repeat(3, 1)))) for timer in both]
        times = [[timer.timeit(n) / n * 1e6 for timer, n in zip(both, counts)] for _ in range(tries)]
    return statistics.median(a / b for a, b in times), min(a for a, _ in times), min(b for _, b in times)


def test_a_small_call_is_ten_times_as_quick():
    ratio, theirs, own = call_times(*SMALL)
    assert ratio >= 10, f"{theirs:.1f} us, {own:.1f} us"


@pytest.mark.parametrize("layer, size", GRID)
def test_no_call_is_slower(layer, size):
    # One more try, because other processes may take a core meanwhile.
    assert max(call_times(layer, size)[0] for _ in range(2)) >= 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("layer; L, N: PyTorch us, elman us, ratio")
    for layer, size in GRID:
        ratio, theirs, own = call_times(layer, size)
        print(f"{layer}; {size}: {theirs:.1f}, {own:.1f}, {ratio:.1f}")
    sys.exit(pytest.main([__file__, "-q", "-k", "not call"]))
