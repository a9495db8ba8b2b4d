"""The last state of a layer for each row of a DuckDB table. Run with DuckDB 1.4 or newer: pip install 'elman[arrow]' duckdb"""

import duckdb
import pyarrow as pa

import elman
from elman.arrow import Mapper

elman.manual_seed(0)
mapper = Mapper(elman.RNN(2, 3), "x", pool="last")

connection = duckdb.connect()
connection.execute("create table shards as select i as id, [[i, 1.0], [0.5, i]]::float[][] as x from range(5) t(i)")
# An iterator of batches, so that a table larger than memory passes through.
reader = connection.sql("select id, x from shards").to_arrow_reader(2)
results = pa.Table.from_batches(mapper(reader))
print(connection.sql("select id, len(output) as features, output from results order by id"))
