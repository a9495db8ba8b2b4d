"""The last state of a layer for each row of a Polars frame. Run with Polars 1.0 or newer: pip install 'elman[arrow]' polars"""

import polars as pl

import elman
from elman.arrow import Mapper

elman.manual_seed(0)
mapper = Mapper(elman.RNN(2, 3), "x", pool="last")

frame = pl.DataFrame({"id": [0, 1], "x": [[[0.0, 1.0], [0.5, 0.0]], [[1.0, 1.0]]]})
frame = frame.cast({"x": pl.List(pl.List(pl.Float32))})
results = frame.lazy().with_columns(
    pl.col("x")
    .map_batches(lambda x: pl.from_arrow(mapper(x.to_arrow())), return_dtype=pl.List(pl.Float32))
    .alias("output")
)
print(results.collect())
