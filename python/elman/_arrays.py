"""Arguments as arrays of NumPy, without a copy if possible. The extension calls these functions."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np


_Packed = namedtuple("_Packed", "data batch_sizes sorted_indices unsorted_indices")


class PackedSequence(_Packed):
    """Sequences of different lengths without padding, as torch.nn.utils.rnn.PackedSequence: step by step the rows of
    all sequences that have this step, the longest sequence first.

    >>> import numpy as np
    >>> PackedSequence(np.array([1.0, 4.0, 2.0, 3.0]), [2, 1, 1]).batch_sizes
    array([2, 1, 1])
    """

    __slots__ = ()

    def __new__(cls, data: Any, batch_sizes: Any, sorted_indices: Any = None, unsorted_indices: Any = None):
        lists = [
            None if indices is None else to_indices(indices, name)
            for indices, name in ((sorted_indices, "sorted_indices"), (unsorted_indices, "unsorted_indices"))
        ]
        if lists[0] is None and lists[1] is not None:
            lists[0] = np.argsort(lists[1])
        elif lists[1] is None and lists[0] is not None:
            lists[1] = np.argsort(lists[0])
        return super().__new__(cls, to_array(data, "data"), to_indices(batch_sizes, "batch_sizes"), *lists)

    def __getnewargs__(self) -> tuple:
        return tuple(self)


class Ragged(namedtuple("Ragged", "values offsets")):
    """Sequences one after the other, as Arrow keeps lists: sequence n is ``values[offsets[n]:offsets[n + 1]]``."""

    __slots__ = ()


def ragged(values: Any, offsets: Any) -> Ragged:
    """Sequences one after the other, as input of RNN and Model; the output has the same form.

    >>> import elman
    >>> rnn = elman.RNN(2, 3)
    >>> output, hn = rnn(elman.ragged(elman.randn(5, 2), [0, 2, 2, 5]))
    >>> output.values.shape, output.offsets.tolist(), hn.shape
    ((5, 3), [0, 2, 2, 5], (1, 3, 3))
    """
    return Ragged(to_array(values, "values"), to_indices(offsets, "offsets"))


def to_array(value: Any, name: str) -> np.ndarray:
    """An array in the memory of an object, aligned."""
    if isinstance(value, np.ndarray):
        if np.ma.is_masked(value):
            raise ValueError(f"{name}: expected no masked values, got {np.ma.count_masked(value)}")
        value = np.asarray(value)
        # Memory that is not aligned is copied: the extension dereferences aligned pointers.
        return value if value.flags.aligned else value.copy()
    module = type(value).__module__.partition(".")[0]
    if module == "torch":
        return _of_torch(value, name)
    if module == "pyarrow":
        return to_array(_of_arrow(value, name), name)
    for protocol in ("__array_interface__", "__dlpack__", "__array__"):
        if hasattr(value, protocol):
            return to_array(_of_dlpack(value, name) if protocol == "__dlpack__" else np.asarray(value), name)
    try:
        return to_array(np.asarray(memoryview(value)), name)
    except TypeError:
        found = type(value).__name__
        raise TypeError(f"{name}: expected an array, got {found}") from None


def _of_dlpack(value: Any, name: str) -> np.ndarray:
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError) as error:
        raise TypeError(f"{name}: expected an array on the CPU, got {error}") from None


def _of_torch(value: Any, name: str) -> np.ndarray:
    if getattr(value, "requires_grad", False):
        raise TypeError(f"{name}: expected a tensor without requires_grad, got one with it; use {name}.detach()")
    device = getattr(value, "device", None)
    if device is not None and device.type != "cpu":
        raise TypeError(f"{name}: expected a tensor on the CPU, got one on {device}; use {name}.cpu()")
    try:
        return value.numpy()
    except (AttributeError, TypeError, RuntimeError) as error:
        raise TypeError(f"{name}: expected a dense tensor of numbers, got {error}") from None


def _of_arrow(value: Any, name: str) -> Any:
    """The numbers of an array of Arrow: of one dimension, or of lists of one length as rows."""
    if hasattr(value, "combine_chunks"):
        value = value.combine_chunks()
    if not hasattr(value, "null_count"):
        return np.asarray(value)
    if value.null_count:
        raise ValueError(f"{name}: expected no missing values, got {value.null_count}")
    size = getattr(value.type, "list_size", None)
    if size is None:
        return value.to_numpy(zero_copy_only=False)
    # flatten() keeps a slice of the array; .values would be all of it.
    rows = _of_arrow(value.flatten(), name)
    return rows.reshape((len(value), size) + rows.shape[1:])


def ragged_parts(input: Any) -> tuple[Any, Any]:
    """The values and offsets of ragged sequences, or of an array of lists of Arrow."""
    if type(input).__module__.partition(".")[0] != "pyarrow":
        return input.values, input.offsets
    import pyarrow as pa

    if not (pa.types.is_list(input.type) or pa.types.is_large_list(input.type)):
        raise TypeError(f"input: expected lists, got {input.type}")
    if input.null_count:
        raise ValueError(f"input: expected no missing sequences, got {input.null_count}")
    offsets = input.offsets.to_numpy()
    # flatten() keeps a slice of the array; .values would be all of it.
    return input.flatten(), offsets - offsets[0]


def to_state(value: Any, name: str, dtype: str) -> np.ndarray:
    """A tensor of a state_dict in the dtype of a layer: numbers are converted, as PyTorch copies them."""
    if getattr(value, "requires_grad", False):
        value = value.detach()
    # NumPy has no such type.
    if str(getattr(value, "dtype", None)) == "torch.bfloat16":
        value = value.float()
    array = to_array(value, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected numbers, got {array.dtype}")
    return array.astype(dtype, copy=False)


def to_indices(value: Any, name: str) -> np.ndarray:
    """An array of int64, (N)."""
    array = np.asarray(value, np.int64) if isinstance(value, (list, tuple)) and not value else None
    if array is None:
        array = np.asarray(value) if isinstance(value, (list, tuple)) else to_array(value, name)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        found = f"{array.dtype} in shape {list(array.shape)}"
        raise TypeError(f"{name}: expected whole numbers in one dimension, got {found}")
    return array.astype(np.int64, copy=False)


def dtype_name(value: Any) -> str:
    """The name of a type of NumPy or PyTorch."""
    text = str(value)
    return text.partition(".")[2] if text.startswith("torch.") else np.dtype(value).name


def like_packed(packed: Any, data: np.ndarray) -> PackedSequence:
    """An output in the form of a packed input."""
    if isinstance(packed, PackedSequence):
        return _Packed.__new__(PackedSequence, data, *packed[1:])
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)


def like_ragged(input: Any, values: np.ndarray) -> Ragged:
    """An output in the form of a ragged input, from offset 0 on."""
    offsets = to_indices(input.offsets, "offsets")
    return Ragged(values, offsets - offsets[0] if offsets[0] else offsets)
