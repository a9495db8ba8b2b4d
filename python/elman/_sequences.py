"""The functions of torch.nn.utils.rnn on arrays of any type of number.

>>> import numpy as np
>>> a, b, c = np.array([1, 2, 3]), np.array([4, 5]), np.array([6])
>>> packed = pack_sequence([a, b, c])
>>> packed.data, packed.batch_sizes
(array([1, 4, 6, 2, 5, 3]), array([3, 2, 1]))
>>> pad_packed_sequence(packed, batch_first=True)
(array([[1, 2, 3],
       [4, 5, 0],
       [6, 0, 0]]), array([3, 2, 1]))
>>> pad_sequence([c, a], padding_value=-1, padding_side="left")
array([[-1,  1],
       [-1,  2],
       [ 6,  3]])
"""

from __future__ import annotations

from typing import Any, Iterable

import numpy as np

from . import _native
from ._arrays import PackedSequence, _Packed, to_array

# The extension moves items of these sizes, whatever they mean.
_SIZES = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def _items(value: Any, name: str) -> tuple[np.ndarray, np.dtype]:
    """The items of an array as unsigned numbers, and their type."""
    array = to_array(value, name)
    size = _SIZES.get(array.dtype.itemsize)
    if size is None or array.dtype.hasobject:
        raise TypeError(f"{name}: expected numbers of at most 8 bytes, got {array.dtype}")
    items = array.view(size)
    # Complex numbers of 8 bytes may lie on multiples of 4.
    return items if items.flags.aligned else items.copy(), array.dtype


def _all_items(sequences: Iterable[Any]) -> tuple[list[np.ndarray], np.dtype]:
    items, types = [], []
    for n, sequence in enumerate(sequences):
        array, dtype = _items(sequence, f"sequence {n}")
        items.append(array)
        types.append(dtype)
        if dtype != types[0]:
            raise TypeError(f"sequence {n}: expected {types[0]}, as sequence 0 is, got {dtype}")
    return items, types[0] if types else np.dtype(np.uint8)


def _packed(parts: tuple, dtype: np.dtype) -> PackedSequence:
    data, *rest = parts
    return _Packed.__new__(PackedSequence, data.view(dtype), *rest)


def _one(value: Any, dtype: np.dtype) -> np.ndarray:
    return np.array([value]).astype(dtype).view(_SIZES[dtype.itemsize])


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs the first lengths[n] steps of each sequence of a padded batch, (L, N, *) or (N, L, *).

    Unlike in PyTorch, lengths may be 0."""
    items, dtype = _items(input, "input")
    return _packed(_native.pack_padded_sequence(items, lengths, batch_first, enforce_sorted), dtype)


def pad_packed_sequence(
    sequence: Any, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The padded batch of a packed sequence, and the length of each sequence, in the original order."""
    items, dtype = _items(sequence.data, "data")
    indices = (sequence.sorted_indices, sequence.unsorted_indices)
    padded, lengths = _native.pad_packed_sequence(
        items, sequence.batch_sizes, indices, batch_first, _one(padding_value, dtype), total_length
    )
    return padded.view(dtype), lengths


def pack_sequence(sequences: Iterable[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of sequences, (their length, *) each."""
    items, dtype = _all_items(sequences)
    return _packed(_native.pack_sequence(items, enforce_sorted), dtype)


def pad_sequence(
    sequences: Iterable[Any], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> np.ndarray:
    """The padded batch of a list of sequences, (their length, *) each."""
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side: expected left or right, got {padding_side}")
    items, dtype = _all_items(sequences)
    left = padding_side == "left"
    return _native.pad_sequence(items, batch_first, _one(padding_value, dtype), left).view(dtype)


def unpack_sequence(packed_sequences: Any) -> list[np.ndarray]:
    """The sequences of a packed one, in the original order."""
    packed = packed_sequences
    items, dtype = _items(packed.data, "data")
    sequences = _native.unpack_sequence(items, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
    return [sequence.view(dtype) for sequence in sequences]


def unpad_sequence(padded_sequence: Any, lengths: Any, batch_first: bool = False) -> list[np.ndarray]:
    """The first lengths[n] steps of each sequence of a padded batch."""
    items, dtype = _items(padded_sequence, "padded_sequence")
    return [sequence.view(dtype) for sequence in _native.unpad_sequence(items, lengths, batch_first)]
