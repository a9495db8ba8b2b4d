"""A layer over a Ray data set. pip install 'elman[arrow]' 'ray[data]'"""

import ray

import elman
from elman.arrow import Mapper

elman.manual_seed(0)
mapper = Mapper(elman.RNN(2, 3), "x", pool="last")

# One core stays free: actors that take every core leave none for reading.
ray.init(num_cpus=2)
rows = [{"id": 0, "x": [[0.0, 1.0], [0.5, 0.0]]}, {"id": 1, "x": [[1.0, 1.0]]}]
results = ray.data.from_items(rows).map_batches(mapper, batch_format="pyarrow", num_cpus=1)
for row in results.sort("id").iter_rows():
    print(row["id"], row["output"])
