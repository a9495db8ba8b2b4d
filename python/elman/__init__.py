"""PyTorch's torch.nn.RNN on NumPy arrays.

>>> import elman
>>> elman.manual_seed(0)
0
>>> rnn = elman.RNN(10, 20, 2)          # nn.RNN(10, 20, 2)
>>> input = elman.randn(5, 3, 10)       # torch.randn(5, 3, 10)
>>> h0 = elman.randn(2, 3, 20)          # torch.randn(2, 3, 20)
>>> output, hn = rnn(input, h0)
>>> output.shape
(5, 3, 20)

Input may be an array of NumPy, a CPU tensor of PyTorch, an array of Arrow, or any object with DLPack, the buffer
protocol or ``__array_interface__``. An (L, N, H_in) array is not copied if its memory is aligned and in row-major order.
"""

from ._arrays import PackedSequence, Ragged, ragged
from ._native import (
    RNN,
    Model,
    __version__,
    get_num_threads,
    get_rng_state,
    initial_seed,
    load,
    manual_seed,
    randn,
    set_num_threads,
    set_rng_state,
)
from ._sequences import (
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

__all__ = [
    "RNN",
    "Model",
    "PackedSequence",
    "Ragged",
    "__version__",
    "get_num_threads",
    "get_rng_state",
    "initial_seed",
    "load",
    "manual_seed",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "ragged",
    "randn",
    "set_num_threads",
    "set_rng_state",
    "unpack_sequence",
    "unpad_sequence",
]
