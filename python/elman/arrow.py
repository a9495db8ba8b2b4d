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

import os
from typing import Any, Iterable, Iterator, Optional, Union

import numpy as np
import pyarrow as pa

from . import _native
from ._arrays import Ragged

Batch = Union["pa.RecordBatch", "pa.Table"]


class Mapper:
    """Adds the results of a model to batches of Arrow. It is pickled by value.

    ``weights`` is a path, an RNN or a Model; the other arguments are those of Model. ``column`` holds a sequence in each
    row: ``list<fixed_size_list<float>[H_in]>``, ``list<list<float>>``, or a flat ``list<float>`` of H_in numbers for each
    step; ``list<int>`` for a model with an encoder, and strings for one with a vocabulary. Missing and empty sequences
    give a missing result.

    The result is a column ``output``: a list for each step, or with a ``pool`` one for each sequence. With
    ``function="argmax"`` it is the class, or its name if the model has labels.

    Calling it maps a RecordBatch, a Table (Ray Data), an iterator of RecordBatches (Spark's mapInArrow), or a single
    array (DuckDB, Polars, DataFusion).
    """

    def __init__(self, weights: Any, column: str, output: str = "output", pool: Optional[str] = None, **arguments: Any):
        self.column, self.output = column, output
        self.model = weights
        self._last = pool == "last" and isinstance(weights, _native.RNN)
        if isinstance(weights, (str, os.PathLike)):
            self.model = _native.Model(weights, pool=pool, **arguments)
        elif arguments or (pool not in (None, "steps") and not self._last):
            given = sorted(arguments) or [f"pool={pool}"]
            raise ValueError(f"expected the path of weights with {', '.join(given)}, got {type(weights).__name__}")
        if isinstance(weights, _native.RNN):
            self.model.eval()

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
        valid = sequences.is_valid().to_numpy(zero_copy_only=False).copy()
        ragged = self._ragged(sequences)
        output, state = self.model(ragged)
        lengths = np.diff(ragged.offsets)
        valid &= lengths > 0
        if self._last:
            return _rows(_last(state, self.model.bidirectional), valid)
        if isinstance(output, Ragged):
            return _steps(output, valid)
        if isinstance(output, tuple):
            names = ["values", "indices"]
            if isinstance(output[0], Ragged):
                return pa.StructArray.from_arrays([_steps(own, valid) for own in output], names)
            return pa.StructArray.from_arrays([_rows(own, valid) for own in output], names)
        if output.ndim > 1:
            return _rows(output, valid)
        classes = pa.array(output, mask=~valid)
        labels = getattr(self.model, "labels", None)
        return pa.array(labels).take(classes) if labels else classes

    def _ragged(self, sequences: pa.Array) -> Ragged:
        """A column as values and offsets."""
        if pa.types.is_string(sequences.type) or pa.types.is_large_string(sequences.type):
            return self.model.tokens(sequences.fill_null("").to_pylist())
        if pa.types.is_fixed_size_list(sequences.type):
            sequences = sequences.cast(pa.list_(sequences.type.value_type))
        if not (pa.types.is_list(sequences.type) or pa.types.is_large_list(sequences.type)):
            raise TypeError(f"{self.column}: expected lists or strings, got {sequences.type}")
        if sequences.null_count:
            sequences = sequences.fill_null([])
        offsets = sequences.offsets.to_numpy().astype(np.int64)
        offsets, inner = offsets - offsets[0], sequences.flatten()
        if getattr(self.model, "takes_ids", False):
            return Ragged(_numbers(inner, "int64", self.column), offsets)
        features = self.model.input_size
        if pa.types.is_list(inner.type) or pa.types.is_large_list(inner.type):
            counts = np.diff(inner.offsets.to_numpy())
            wrong = counts[counts != features]
        elif pa.types.is_fixed_size_list(inner.type):
            wrong = [] if inner.type.list_size == features else [inner.type.list_size]
        else:
            wrong = [own for own in np.diff(offsets) if own % features]
            offsets = offsets // features
        if len(wrong):
            raise ValueError(f"{self.column}: expected {features} features (input_size) in each step, got {wrong[0]}")
        numbers = inner if pa.types.is_primitive(inner.type) else inner.flatten()
        return Ragged(_numbers(numbers, self.model.dtype, self.column).reshape(-1, features), offsets)


def _numbers(array: pa.Array, dtype: str, column: str) -> np.ndarray:
    """Numbers without missing ones, in the type of the model: its own are not copied."""
    if array.null_count:
        raise ValueError(f"{column}: expected no missing values within a sequence, got {array.null_count}")
    return array.to_numpy(zero_copy_only=False).astype(dtype, copy=False)


def _last(state: np.ndarray, bidirectional: bool) -> np.ndarray:
    """The last layer's h_n, its directions side by side."""
    last = state[-2:] if bidirectional else state[-1:]
    return np.concatenate(list(last), axis=1)


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
