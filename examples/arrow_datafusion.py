"""A layer as a function of DataFusion. pip install 'elman[arrow]' datafusion"""

import pyarrow as pa
from datafusion import SessionContext, udf

import elman
from elman.arrow import Mapper

elman.manual_seed(0)
mapper = Mapper(elman.RNN(2, 3), "x", pool="last")

column = pa.list_(pa.list_(pa.float32()))
last_state = udf(mapper, [column], pa.list_(pa.float32()), "immutable", "last_state")
x = pa.array([[[0.0, 1.0], [0.5, 0.0]], [[1.0, 1.0]]], column)
context = SessionContext()
context.register_udf(last_state)
context.from_arrow(pa.table({"id": [0, 1], "x": x}), "shards")
print(context.sql("select id, last_state(x) as output from shards"))
