"""A layer over a Spark frame, batch by batch. pip install 'elman[arrow]' pyspark pandas"""

from pyspark.sql import SparkSession

import elman
from elman.arrow import Mapper

elman.manual_seed(0)
mapper = Mapper(elman.RNN(2, 3), "x", pool="last")

spark = SparkSession.builder.master("local[2]").getOrCreate()
frame = spark.createDataFrame(
    [(0, [[0.0, 1.0], [0.5, 0.0]]), (1, [[1.0, 1.0]])], "id long, x array<array<float>>"
)
# The mapper travels with its weights; a worker needs no file.
results = frame.mapInArrow(mapper, "id long, x array<array<float>>, output array<float>")
for row in results.orderBy("id").collect():
    print(row.id, row.output)
