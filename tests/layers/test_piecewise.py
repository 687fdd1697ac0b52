"""Piecewise-linear encodings against the oracle, and their edges."""

import numpy as np
import pytest
from numeric_layers import NumericLayer, tolerance

import naive
from nnjit.backends.program import make_program
from nnjit.backends.select import make_engine
from nnjit.core.simd import TILE
from nnjit.layers import Dense, PiecewiseLinear
from nnjit.layers.network import Network
from nnjit.layers.piecewise.edges import choose_edges

DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
WIDTH = TILE.bytes // 4  # rows of a vector of float32
SIZES = [(1, 0, 1), (3, 2, 5), (2, 1, WIDTH + 1)]  # features, other values, bins


def ascending(features, bins, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return np.sort(rng.standard_normal((features, bins + 1)).astype(dtype).round(2))


def alone(features, others, bins, dtype, rows, edges):
    layer = PiecewiseLinear(features, bins)
    return NumericLayer(layer, features + others, dtype, rows, parameters=[edges])


@every_precision
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH + 1, 100])
def test_values_and_deltas_are_those_of_the_oracle(dtype, sizes, rows):
    features, others, bins = sizes
    rng, edges = np.random.default_rng(rows), ascending(features, bins, dtype)
    one = alone(*sizes, dtype, rows, edges)
    x = (2 * rng.standard_normal((rows, features + others))).astype(dtype)
    x[0, 0] = edges[0, -1]  # on an edge
    delta = rng.standard_normal((rows, features * bins + others)).astype(dtype)
    given, wide = (x.astype(float), edges.astype(float)), delta.astype(float)
    limit = {"rtol": 1e-5 if dtype == np.float32 else 1e-12, "atol": tolerance(dtype)["atol"]}
    np.testing.assert_allclose(one.forward(x), naive.piecewise_forward(*given), **limit)
    expected = naive.piecewise_backward(wide, *given)
    np.testing.assert_allclose(one.backward(delta), expected, **limit)


@every_precision
def test_bins_without_a_width_are_none(dtype):
    """Neither in the middle nor at the ends, whose place the next bins take."""
    edges = np.array([[0, 0, 1, 1, 3, 3], [2, 2, 2, 2, 2, 2]], dtype)
    one = alone(2, 0, 5, dtype, 4, edges)
    x = np.array([[-1, 0], [0.5, 2], [2, 5], [5, 2]], dtype)
    expected = [[0, -1, 0, 0, 0], [0, 0.5, 0, 0, 0], [0, 1, 0, 0.5, 0], [0, 1, 0, 2, 0]]
    np.testing.assert_array_equal(one.forward(x), np.hstack([expected, np.zeros((4, 5))]))
    found = one.backward(np.ones((4, 10), dtype))
    np.testing.assert_array_equal(found, [[1, 0], [1, 0], [0.5, 0], [0.5, 0]])


@every_precision
def test_a_bin_too_narrow_for_an_inverse_is_none(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    one = alone(1, 0, 3, dtype, 2, np.array([[0, 0, tiny, 1]], dtype))
    found = one.forward(np.array([[0.5], [2.0]], dtype))
    np.testing.assert_allclose(found, [[0, 0, 0.5], [0, 0, 2]])


def test_slopes_are_those_of_differences():
    edges = ascending(2, 4, np.float64)
    one, delta = (
        alone(2, 1, 4, np.float64, 30, edges),
        np.random.default_rng(1).normal(size=(30, 9)),
    )
    x = np.random.default_rng(2).standard_normal((30, 3))
    expected = naive.central_differences(lambda values: (one.forward(values) * delta).sum(), x)
    one.forward(x)
    np.testing.assert_allclose(one.backward(delta), expected, rtol=1e-6, atol=1e-6)


def test_no_delta_is_made_for_layers_below_which_nothing_is_trained():
    layers = (PiecewiseLinear(2, 3), Dense(5, "relu"), Dense(1, "identity"))
    made = Network(3, layers, "squared_error", "identity")
    encoding, dense, _ = make_program(made, np.float32, False, True).of_layer
    assert encoding["delta_row"] == dense["input_delta_row"] == -1
    assert encoding["backward_at"] == 0


def test_no_solver_moves_the_edges():
    layers = (Dense(4, "tanh"), PiecewiseLinear(2, 3), Dense(1, "identity"))
    made = Network(3, layers, "squared_error", "identity")
    rng, engine = np.random.default_rng(0), make_engine(made, np.float64)
    arrays = [np.sort(rng.standard_normal(one.shape)) for _, one in made.parameters()]
    engine.pack(arrays)
    optimizer = engine.optimizer("adam")
    optimizer.learning_rate = 0.01
    data = engine.dataset(rng.standard_normal((20, 3)), rng.standard_normal((20, 1)))
    engine.train(data, np.arange(20), 5, optimizer, 0.1, 0, 4)
    for before, after, (_, one) in zip(arrays, engine.unpack(), made.parameters(), strict=True):
        assert np.array_equal(before, after) == (one.name == "edges")


# -- edges ------------------------------------------------------------------------------


def test_bins_have_as_many_rows_each():
    values = np.random.default_rng(0).permutation(400).astype(np.float32)[:, np.newaxis]
    (edges,) = choose_edges(values, 8)
    counts = np.histogram(values, edges)[0]
    assert edges[0] == 0 and edges[-1] == 399
    assert counts.tolist() == [49, *[50] * 6, 51]  # of a value on an edge the bin above it


def test_few_values_are_the_edges_themselves():
    values = np.array([[3.0, 1.0, 0.0], [3.0, 2.0, 0.5], [7.0, 1.0, 0.25], [7.0, 9.0, 0.75]])
    expected = [[3, 7, 7, 7], [1, 2, 9, 9], [0, 0.25, 0.5, 0.75]]
    np.testing.assert_array_equal(choose_edges(values, 3), expected)


def test_a_value_of_many_rows_is_one_edge():
    values = np.concatenate([np.zeros(80), np.arange(1, 21)])[:, np.newaxis]
    np.testing.assert_array_equal(choose_edges(values, 10), [[0, 10, 20, *[20] * 8]])


def test_a_column_of_one_value_has_no_bins():
    np.testing.assert_array_equal(choose_edges(np.full((9, 1), 4.0), 3), np.full((1, 4), 4.0))


@every_precision
def test_weights_count_as_rows_that_stand_there_more_often(dtype):
    rng = np.random.default_rng(1)
    values, weights = rng.standard_normal((60, 3)).astype(dtype), rng.integers(1, 4, 60)
    expected = choose_edges(np.repeat(values, weights, axis=0), 7)
    np.testing.assert_array_equal(choose_edges(values, 7, weights.astype(dtype)), expected)
    plain = choose_edges(values, 7, np.full(60, 0.1, dtype))
    np.testing.assert_array_equal(plain, choose_edges(values, 7))


def test_what_is_no_encoding_is_refused():
    with pytest.raises(ValueError, match="bins is an int of at least 1, got 0"):
        PiecewiseLinear(2, 0)
    with pytest.raises(ValueError, match="of 3 features takes at least as many values, got 2"):
        PiecewiseLinear(3).outputs(2)
