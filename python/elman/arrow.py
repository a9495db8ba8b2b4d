"""A model over batches of Arrow: one object for everything that maps them.

>>> import pyarrow as pa, elman
>>> from elman.arrow import Mapper
>>> mapper = Mapper(elman.RNN(2, 3), "x", pool="last")
>>> x = pa.array([[[1.0, 2.0], [3.0, 4.0]], [], None], pa.list_(pa.list_(pa.float32(), 2)))
>>> table = mapper(pa.table({"id": [1, 2, 3], "x": x}))
>>> table.column_names, table["output"].type
(['id', 'x', 'output'], ListType(list<item: float>))
>>> table["output"].null_count
2
"""

from __future__ import annotations

import copy
import os
from typing import Any, Iterable, Iterator, Optional, Union

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from . import _native
from ._arrays import Ragged

Batch = Union["pa.RecordBatch", "pa.Table"]


class Mapper:
    """Adds the results of a model to batches of Arrow. It is pickled by value.

    ``weights`` is a path, a Model, or an RNN, of which the mapper has a copy in evaluation mode. The other arguments are
    those of Model; an RNN takes ``pool`` "steps", "last" or "state". ``column`` holds a sequence in each row:
    ``list<fixed_size_list<float>[H_in]>``, ``list<list<float>>``, or a flat ``list<float>`` of H_in numbers for each step;
    ``list<int>`` for a model with an encoder, and strings for one with a vocabulary. Missing and empty sequences give a
    missing result.

    The result is a new column ``output``: a list for each step, or with a ``pool`` one for each sequence. With
    ``function="argmax"`` it is the class, or its name if the model has labels; by ``pool="steps"`` a list of classes.

    Calling it maps a RecordBatch, a Table (Ray Data), an iterator of RecordBatches (Spark's mapInArrow), or a single
    array (DuckDB, Polars, DataFusion).
    """

    def __init__(self, weights: Any, column: str, output: str = "output", pool: Optional[str] = None, **arguments: Any):
        self.column, self.output = column, output
        self.model, self._pool = weights, None
        if isinstance(weights, (str, os.PathLike)):
            self.model = _native.Model(weights, pool=pool, **arguments)
        elif not arguments and isinstance(weights, _native.RNN) and pool in (None, "steps", "last", "state"):
            self.model, self._pool = copy.deepcopy(weights).eval(), pool
        elif arguments or pool is not None:
            given = sorted(arguments) or [f"pool={pool}"]
            raise ValueError(f"expected the path of weights with {', '.join(given)}, got {type(weights).__name__}")

    def __call__(self, batch: Any) -> Any:
        if isinstance(batch, (pa.RecordBatch, pa.Table)):
            return self.mapped(batch)
        if isinstance(batch, (pa.Array, pa.ChunkedArray)):
            return self.results(batch)
        return self.all_mapped(batch)

    def all_mapped(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Each batch with its results."""
        for batch in batches:
            yield self.mapped(batch)

    def mapped(self, batch: Batch) -> Batch:
        """A batch with its results."""
        if self.output in batch.schema.names:
            raise ValueError(f"output: expected the name of a new column, got {self.output}")
        results = self.results(batch.column(self.column))
        fields = [*batch.schema, pa.field(self.output, results.type)]
        columns = [*batch.columns, results]
        return type(batch).from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))

    def results(self, sequences: Any) -> pa.Array:
        """The results of a column."""
        if isinstance(sequences, pa.ChunkedArray):
            sequences = sequences.combine_chunks()
            if isinstance(sequences, pa.ChunkedArray):
                sequences = pa.concat_arrays(sequences.chunks)
        ragged = self._ragged(sequences)
        output, state = self.model(ragged)
        valid = np.diff(ragged.offsets) > 0
        if self._pool in ("last", "state"):
            return _rows(self._pooled(output, state, valid), valid)
        if isinstance(output, Ragged):
            return _steps(output, valid)
        if isinstance(output, tuple):
            names = ["values", "indices"]
            arrays = [_steps(part, valid) if isinstance(part, Ragged) else _rows(part, valid) for part in output]
            return pa.StructArray.from_arrays(arrays, names)
        if output.ndim > 1:
            return _rows(output, valid)
        classes = pa.array(output, mask=~valid)
        labels = getattr(self.model, "labels", None)
        return pa.array(labels).take(classes) if labels else classes

    def _pooled(self, output: Ragged, state: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """A row for each sequence; those of empty sequences have no meaning."""
        if self._pool == "last":
            rows = np.zeros((len(valid), output.values.shape[1]), output.values.dtype)
            rows[valid] = output.values[output.offsets[1:][valid] - 1]
            return rows
        # The last layer's h_n, its directions side by side.
        return np.concatenate(list(state[-2:] if self.model.bidirectional else state[-1:]), axis=1)

    def _ragged(self, sequences: pa.Array) -> Ragged:
        """A column as values and offsets. Missing sequences are empty."""
        takes_text = isinstance(self.model, _native.Model)
        if takes_text and (pa.types.is_string(sequences.type) or pa.types.is_large_string(sequences.type)):
            return self.model.tokens(sequences.fill_null("").to_pylist())
        if not _is_list(sequences.type):
            raise TypeError(f"{self.column}: expected lists{' or strings' * takes_text}, got {sequences.type}")
        offsets = _offsets(sequences)
        inner = sequences.drop_null().flatten()
        if getattr(self.model, "takes_ids", False):
            return Ragged(self._numbers(inner, "int64"), offsets)
        features = self.model.input_size
        if _is_list(inner.type):
            self._refuse_nulls(inner)
            lengths, inner = np.diff(_offsets(inner)), inner.flatten()
            wrong = lengths[lengths != features]
        else:
            lengths = np.diff(offsets)
            wrong = lengths[lengths % features != 0]
            offsets = offsets // features
        if len(wrong):
            raise ValueError(f"{self.column}: expected {features} features (input_size) in each step, got {wrong[0]}")
        return Ragged(self._numbers(inner, self.model.dtype).reshape(-1, features), offsets)

    def _numbers(self, array: pa.Array, dtype: str) -> np.ndarray:
        """The values in the model's dtype, copied only to convert; a null is an error."""
        is_number = pa.types.is_integer(array.type) or (dtype != "int64" and pa.types.is_floating(array.type))
        # An array without values may have the type null.
        if not is_number and len(array):
            expected = "ids, which are integers" if dtype == "int64" else "numbers"
            raise TypeError(f"{self.column}: expected {expected}, got {array.type}")
        self._refuse_nulls(array)
        return array.to_numpy(zero_copy_only=False).astype(dtype, copy=False)

    def _refuse_nulls(self, array: pa.Array) -> None:
        if array.null_count:
            raise ValueError(f"{self.column}: expected no missing values within a sequence, got {array.null_count}")


def _is_list(of: pa.DataType) -> bool:
    return pa.types.is_list(of) or pa.types.is_large_list(of) or pa.types.is_fixed_size_list(of)


def _offsets(lists: pa.Array) -> np.ndarray:
    """The offsets of lists of any kind in their flattened values."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _rows(rows: np.ndarray, valid: np.ndarray) -> pa.Array:
    """One list for each sequence."""
    # Not a fixed_size_list, which Spark does not know.
    offsets = rows.shape[1] * np.concatenate([[0], np.cumsum(valid)])
    return _lists(pa.array(rows[valid].ravel()), offsets, valid)


def _steps(output: Ragged, valid: np.ndarray) -> pa.Array:
    """A list of steps for each sequence."""
    values = output.values
    inner = pa.array(values) if values.ndim == 1 else _rows(values, np.ones(len(values), bool))
    return _lists(inner, output.offsets, valid)


def _lists(values: pa.Array, offsets: np.ndarray, valid: np.ndarray) -> pa.Array:
    """Lists between offsets; those that are not valid are missing, and have no values."""
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError("output: expected less than 2^31 values in a batch; use smaller batches")
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32), mask=np.append(~valid, False)), values)
