"""elman.arrow.Mapper on batches of Arrow."""

import doctest
import pickle

import numpy as np
import pytest

import elman

pa = pytest.importorskip("pyarrow")
arrow = pytest.importorskip("elman.arrow")

LENGTHS = [3, 0, 5, 1]


@pytest.fixture
def rnn():
    elman.manual_seed(0)
    return elman.RNN(4, 6, 2, bidirectional=True).eval()


@pytest.fixture
def values():
    return elman.randn(sum(LENGTHS), 4)


def column(values, kind):
    offsets = np.cumsum([0, *LENGTHS]).astype(np.int32)
    if kind == "flat":
        return pa.ListArray.from_arrays(4 * offsets, values.ravel())
    if kind == "lists":
        steps = pa.ListArray.from_arrays(np.arange(0, values.size + 1, 4, np.int32), values.ravel())
    else:
        steps = pa.FixedSizeListArray.from_arrays(values.ravel(), 4)
    of = pa.LargeListArray if kind == "large" else pa.ListArray
    return of.from_arrays(offsets.astype(np.int64) if kind == "large" else offsets, steps)


@pytest.mark.parametrize("kind", ["fixed", "lists", "flat", "large"])
@pytest.mark.parametrize("pool", ["steps", "last", "state"])
def test_every_kind_of_column_has_the_results_of_the_layer(rnn, values, kind, pool):
    expected, hn = rnn(elman.ragged(values, np.cumsum([0, *LENGTHS])))
    mapper = pickle.loads(pickle.dumps(arrow.Mapper(rnn, "x", pool=pool)))
    table = pa.table({"id": [1, 2, 3, 4], "x": column(values, kind)})
    results = mapper(table)["output"].combine_chunks()
    assert results.is_null().to_pylist() == [False, True, False, False]
    if pool == "steps":
        found = np.array([step for row in results.to_pylist() if row for step in row], np.float32)
        np.testing.assert_array_equal(found, expected.values)
    else:
        found = np.array([row for row in results.to_pylist() if row], np.float32)
        pooled = {"last": expected.values[[2, 7, 8]], "state": np.concatenate([hn[-2], hn[-1]], 1)[[0, 2, 3]]}
        np.testing.assert_array_equal(found, pooled[pool])
    # A slice of a batch, and chunks.
    batch = table.to_batches()[0]
    for part in (batch.slice(1, 3), batch.slice(2)):
        assert mapper(part)["output"].to_pylist() == results.slice(4 - len(part)).to_pylist()
    chunked = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert mapper(chunked)["output"].to_pylist() == results.to_pylist()
    assert [one["output"].to_pylist() for one in mapper(iter([batch]))] == [results.to_pylist()]
    assert mapper(table["x"]).to_pylist() == results.to_pylist()


def test_the_column_of_an_empty_table(rnn):
    table = pa.table({"x": column(np.zeros((9, 4), np.float32), "fixed")}).slice(0, 0)
    assert arrow.Mapper(rnn, "x", pool="last")(table)["output"].to_pylist() == []


def test_the_pools_of_a_layer_are_those_of_a_model(rnn, values, tmp_path):
    np.savez(tmp_path / "w.npz", **rnn.state_dict())
    for pool in ("steps", "last", "state"):
        of_model = arrow.Mapper(tmp_path / "w.npz", "x", pool=pool)
        found = arrow.Mapper(rnn, "x", pool=pool)(column(values, "fixed"))
        assert found.to_pylist() == of_model(column(values, "fixed")).to_pylist()


def test_a_mapper_leaves_the_layer_in_its_mode(rnn):
    rnn.train()
    mapper = arrow.Mapper(rnn, "x")
    assert (rnn.training, mapper.model.training) == (True, False)


def test_columns_that_do_not_fit_are_refused(rnn, values):
    mapper = arrow.Mapper(rnn, "x")
    for array, error, text in [
        (pa.array([1.0]), TypeError, "x: expected lists, got double"),
        (pa.array(["a"]), TypeError, "x: expected lists, got string"),
        (pa.array([["a"] * 4]), TypeError, "x: expected numbers, got string"),
        (pa.array([[None] * 4]), TypeError, "x: expected numbers, got null"),
        (pa.array([[[1.0] * 4, None]]), ValueError, "x: expected no missing values within a sequence, got 1"),
        (pa.array([[1.0, 2.0, 3.0]]), ValueError, r"x: expected 4 features \(input_size\) in each step, got 3"),
        (pa.array([[[1.0, 2.0]]]), ValueError, r"x: expected 4 features \(input_size\) in each step, got 2"),
        (pa.array([[1.0, 2.0, 3.0, None]]), ValueError, "x: expected no missing values within a sequence, got 1"),
    ]:
        with pytest.raises(error, match=text):
            mapper(pa.table({"x": array}))
    with pytest.raises(ValueError, match="expected the path of weights with pool=mean, got RNN"):
        arrow.Mapper(rnn, "x", pool="mean")
    with pytest.raises(ValueError, match="output: expected the name of a new column, got output"):
        mapper(pa.table({"x": column(values, "fixed"), "output": [1, 2, 3, 4]}))
    # Missing sequences, and no sequence with a step.
    for array in (pa.array([None, [[1.0] * 4]]), pa.array([[], None]), pa.array([None], pa.list_(pa.float32(), 4))):
        assert mapper(array).is_null().to_pylist() == [not row for row in array.to_pylist()]


def test_a_model_with_a_head_gives_the_names_of_classes(fixtures):
    mapper = arrow.Mapper(fixtures / "sine" / "model.pt", "x", pool="last", head="fc", nonlinearity="tanh")
    again = pickle.loads(pickle.dumps(mapper))
    table = pa.table({"x": pa.array([[0.5, 0.25], None], pa.list_(pa.float32()))})
    results = mapper(table)["output"].to_pylist()
    assert len(results[0]) == 1 and results[1] is None
    assert again(table)["output"].to_pylist() == results
    model = elman.Model(fixtures / "sine" / "model.pt", pool="last", head="fc", nonlinearity="tanh")
    prediction, _ = model(np.array([[0.5], [0.25]], np.float32))
    assert results[0] == prediction.tolist()


def test_doc():
    result = doctest.testmod(arrow)
    assert result.attempted and not result.failed


def test_text_and_ids(tmp_path):
    elman.manual_seed(0)
    np.savez(tmp_path / "w.npz", **elman.RNN(3, 4).state_dict())
    arguments = {"one_hot": True, "vocab": ["a", "b", " "], "pool": "state", "function": "argmax", "labels": list("wxyz")}
    model = elman.Model(tmp_path / "w.npz", **arguments)
    classes, _ = model(["ab a", "b"])
    ids, offsets = model.tokens(["ab a", "b"])
    assert (ids.tolist(), offsets.tolist()) == ([0, 1, 2, 0, 1], [0, 4, 5])
    mapper = pickle.loads(pickle.dumps(arrow.Mapper(model, "x")))
    names = ["wxyz"[index] for index in classes]
    assert mapper(pa.table({"x": ["ab a", None, "b"]}))["output"].to_pylist() == [names[0], None, names[1]]
    assert mapper(pa.table({"x": [[0, 1, 2, 0], [1]]}))["output"].to_pylist() == names
    for array, found in (([[0.9, 1.2]], "double"), ([["a"]], "string")):
        with pytest.raises(TypeError, match=f"x: expected ids, which are integers, got {found}"):
            mapper(pa.table({"x": array}))
    with pytest.raises(ValueError, match="line 2, column 1: 'c' is not in the vocabulary"):
        model(["a", "c"])
    with pytest.raises(ValueError, match="expected ids from 0 to 2, got 3 at step 1 of sequence 0"):
        model(np.array([0, 3]))
