"""Convolutions: the oracle at odd shapes, tables, series of unequal length, blocks and threads."""

import itertools

import numba
import numpy as np
import pytest
from comparing import packed, unpacked
from hypothesis import given, settings
from hypothesis import strategies as st

import naive
from engine_problems import DTYPES
from nnjit.backends import plan, tuner
from nnjit.backends.cpu import CpuEngine
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.convolution.tables import Run, Window, make_tables
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network
from nnjit.layers.residual.spec import Residual

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes too long")
every_precision = pytest.mark.parametrize("dtype", DTYPES)
OUTPUTS = 2


def tolerance(dtype):
    return 3e-4 if dtype == np.float32 else 1e-11


def network(shape, *convolutions):
    layers = *convolutions, Flatten(), Dense(OUTPUTS, "identity")
    return Network(size_of(shape), layers, "squared_error", "identity", shape=shape)


def parameters(made, dtype, seed=0):
    rng, found = np.random.default_rng(seed), []
    for _, one in made.parameters():
        scale = np.sqrt(max(1, np.prod(one.shape[:-1])))
        found.append((rng.standard_normal(one.shape) / scale).astype(dtype))
    return found


def samples(made, n, dtype, seed=1):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, made.inputs)), rng.standard_normal((n, OUTPUTS))
    return X.astype(dtype), y.astype(dtype)


def options(layer, axes):
    """Stride and dilation for each axis, groups and padding, as the oracle wants them."""
    sizes = [
        one if isinstance(one, tuple) else (one,) * axes for one in (layer.stride, layer.dilation)
    ]
    return *sizes, layer.groups, layer.padding


def oracle(made, arrays, X, y):
    """Loss, its gradient by each parameter, and the logits."""
    values, kept = X.reshape(len(X), *made.shape), []
    convolutions = made.layers[:-2]
    for number, layer in enumerate(convolutions):
        z = naive.convolve(values, *arrays[2 * number :][:2], *options(layer, len(made.shape) - 1))
        kept.append((values, naive.ACTIVATIONS[layer.activation](z)))
        values = kept[-1][1]
    flat, (weights, biases) = values.reshape(len(X), -1), arrays[-2:]
    logits = flat @ weights + biases
    delta = (logits - y) / y.size
    found = [flat.T @ delta, delta.sum(axis=0)]
    delta = (delta @ weights.T).reshape(values.shape)
    for number in reversed(range(len(convolutions))):
        layer, (below, h) = convolutions[number], kept[number]
        delta = delta * naive.DERIVATIVES[layer.activation](h)
        delta, *gradients = naive.convolve_backward(
            delta, below, arrays[2 * number], *options(layer, len(made.shape) - 1)
        )
        found = [*gradients, *found]
    return naive.squared_error(y, logits), found, logits


def assert_equal_the_oracle(made, n, dtype, seed=0):
    arrays, (X, y) = parameters(made, dtype, seed), samples(made, n, dtype, seed + 1)
    wide = [array.astype(float) for array in (*arrays, X, y)]
    value, expected, logits = oracle(made, wide[:-2], *wide[-2:])
    engine = CpuEngine(made, dtype)
    found_value, gradient = engine.loss_gradient(packed(made, arrays), engine.dataset(X, y), 0.0)
    np.testing.assert_allclose(found_value, value, rtol=tolerance(dtype))
    for a, b in zip(unpacked(made, gradient), expected, strict=True):
        limit = tolerance(dtype) * max(np.abs(b).max(), 1e-3)
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)
    scale = np.abs(logits).max()
    np.testing.assert_allclose(engine.predict(X), logits, rtol=0, atol=tolerance(dtype) * scale)


# The oracle


@st.composite
def layers_over(draw, axes):
    """A shape of so many axes of points, and a convolution that fits it."""
    groups = draw(st.integers(1, 2))
    points = draw(st.tuples(*[st.integers(1, 9)] * axes))
    kernel = draw(st.tuples(*[st.integers(1, 5)] * axes))
    dilation = draw(st.tuples(*[st.integers(1, 3)] * axes))
    fits = all(n > d * (k - 1) for n, k, d in zip(points, kernel, dilation, strict=True))
    layer = Conv(
        groups * draw(st.integers(1, 10)),
        kernel,
        draw(st.sampled_from(["relu", "tanh", "identity"])),
        draw(st.tuples(*[st.integers(1, 3)] * axes)),
        dilation,
        groups,
        draw(st.sampled_from(["same", "valid"])) if fits else "same",
    )
    return (groups * draw(st.integers(1, 7)), *points), layer


@pytest.mark.parametrize("axes", [1, 2])
def test_gradients_and_predictions_equal_the_oracle_at_odd_shapes(axes):
    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(
        layers_over(axes),
        st.sampled_from([1, 5, 16, 17, 33]),
        st.sampled_from(DTYPES),
        st.sampled_from(["relu", "tanh"]),
    )
    def check(given, n, dtype, below):
        shape, layer = given
        # the convolution of one point below asks for the delta of the other one's inputs
        first = Conv(shape[0], 1, below)
        assert_equal_the_oracle(network(shape, first, layer), n, dtype)

    check()


DEEP = {
    "image": (
        (2, 9, 7),
        Conv(5, 3),
        Conv(6, (3, 2), padding="valid"),
        Conv(4, 3, "tanh", stride=2),
    ),
    "strides": ((3, 11, 8), Conv(4, 3, stride=(2, 3)), Conv(8, 2, groups=4), Conv(3, (1, 3))),
    "series": ((1, 40), Conv(9, 8), Conv(17, 5, dilation=2), Conv(6, 3, stride=2)),
    "of one point": ((4, 1), Conv(5, 3), Conv(6, 1, "tanh")),
    "kernels beyond the image": ((2, 3, 2), Conv(3, (5, 7)), Conv(2, 4, dilation=2)),
    "a channel each": ((6, 7, 7), Conv(6, 3, groups=6), Conv(12, 3, groups=6)),
    "wide": ((40, 12), Conv(70, 7), Conv(33, 3)),
}


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("n", [1, 5, 16, 17, 33])
@every_precision
def test_several_convolutions_equal_the_oracle(name, n, dtype):
    shape, *convolutions = DEEP[name]
    assert_equal_the_oracle(network(shape, *convolutions), n, dtype)


@compiled_only
@every_precision
def test_long_series_and_many_rows_equal_the_oracle(dtype):
    """Gradients go over more points than are gone over at once, biases over more than are added."""
    assert_equal_the_oracle(network((2, 700), Conv(5, 4), Conv(3, 3)), 40, dtype)
    assert_equal_the_oracle(network((1, 20, 21), Conv(5, 4), Conv(3, 3, stride=2)), 300, dtype)


@compiled_only
def test_gradients_of_every_option_by_differences():
    for shape, layer in [
        ((2, 5, 4), Conv(2, 3, "tanh", padding="valid")),
        ((2, 5, 4), Conv(4, (2, 3), "tanh", stride=(2, 1), dilation=(1, 2), groups=2)),
        ((3, 9), Conv(2, 4, "tanh", stride=3, dilation=2)),
    ]:
        made = network(shape, Conv(shape[0], 2, "tanh"), layer)
        engine = CpuEngine(made, np.float64)
        dataset = engine.dataset(*samples(made, 4, np.float64))
        theta = packed(made, parameters(made, np.float64))
        _, found = engine.loss_gradient(theta, dataset, 0.0)
        numeric = naive.central_differences(
            lambda t, engine=engine, dataset=dataset: engine.loss_gradient(t, dataset, 0.0)[0],
            theta,
            step=1e-6,
        )
        np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-7 * np.abs(found).max())


# Tables

TABLES = [
    ((1, 28, 28), Conv(6, 5)),
    ((6, 14, 14), Conv(16, 5, padding="valid")),
    ((4, 9, 8), Conv(6, (3, 2), stride=(2, 3), dilation=(1, 2), groups=2)),
    ((3, 8, 6), Conv(2, (3, 1), stride=1)),
    ((2, 3, 2), Conv(3, (5, 7))),
    ((2, 5), Conv(3, 9, dilation=3)),
    ((4, 50), Conv(4, 8, stride=3, groups=2)),
    ((2, 30), Conv(3, 4, dilation=2, padding="valid")),
]
every_table = pytest.mark.parametrize("shape, layer", TABLES)


def expected_taps(shape, layer):
    """(point out, point of the kernel, point in), numbered in C order."""
    kernel = layer.parameters(shape)[0].shape[:-2]
    stride, dilation, _, padding = options(layer, len(shape) - 1)
    outputs, taps = naive.convolution_taps(shape[1:], kernel, stride, dilation, padding)
    return [
        tuple(
            int(np.ravel_multi_index(point, sizes))
            for point, sizes in zip(tap, (outputs, kernel, shape[1:]), strict=True)
        )
        for tap in taps
    ]


def records(tables, at, count, kind):
    """Records in a table, as dictionaries."""
    rows = tables.values[at : at + len(kind.places) * count].reshape(count, -1).tolist()
    return [dict(zip(kind.places, row, strict=True)) for row in rows]


def taps_of_runs(tables, at, count):
    """Each point, in the order of the runs, with its taps: (weights, place that is read)."""
    values, found = tables.values, {}
    for run in records(tables, at, count, Run):
        pairs = values[run["taps"] : run["taps"] + 2 * run["depth"]].reshape(-1, 2).tolist()
        for further in range(run["points"]):
            assert run["point"] + further not in found
            found[run["point"] + further] = [(a, run["reads"] + further + b) for a, b in pairs]
    return found


@every_table
def test_every_point_has_the_taps_of_the_definition(shape, layer):
    row, of_group = 20, shape[0] // layer.groups
    tables = make_tables(layer, shape, row, True)
    expected = {p: [] for p in range(size_of(layer.outputs(shape)[1:]))}
    for p, k, q in expected_taps(shape, layer):
        expected[p] += [
            ((k * of_group + c) * row, c * size_of(shape[1:]) + q) for c in range(of_group)
        ]
    found = taps_of_runs(tables, tables.runs, tables.n_runs)
    assert found == expected  # in this order too
    assert list(found) == sorted(found)


@every_table
def test_every_input_has_the_taps_that_read_it(shape, layer):
    row, of_group = 20, shape[0] // layer.groups
    tables = make_tables(layer, shape, row, True)
    outputs = layer.outputs(shape)
    expected = {q: [] for q in range(size_of(shape[1:]))}
    for p, k, q in expected_taps(shape, layer):
        expected[q] += [
            (k * of_group * row + f, f * size_of(outputs[1:]) + p)
            for f in range(layer.filters // layer.groups)
        ]
    found = taps_of_runs(tables, tables.delta_runs, tables.n_delta_runs)
    assert {q: sorted(taps) for q, taps in found.items()} == {
        q: sorted(taps) for q, taps in expected.items()
    }


def pairs_of_window(tables, window, step, width, top):
    """(place read, point) of a window's rows of points from `top` on, for its first weights."""
    rows = window["bottom"] - top
    reads = window["reads"] + (top - window["top"]) * step
    point = window["point"] + (top - window["top"]) * width
    if window["joined"]:
        return [(reads + i, point + i) for i in range(rows * width)]
    at, count = window["segments"], rows * window["row_segments"]
    segments = tables.values[at : at + 3 * count].reshape(-1, 3).tolist()
    return [(reads + a + i, point + b + i) for a, b, length in segments for i in range(length)]


@every_table
def test_every_window_holds_the_points_that_its_taps_are_inside_of(shape, layer):
    """Whatever row of points is the first."""
    of_group, outputs = shape[0] // layer.groups, (*layer.outputs(shape)[1:], 1)
    tables, size = make_tables(layer, shape, 20, True), size_of(shape[1:])
    stride = options(layer, len(shape) - 1)[0][0]
    step, width = stride * size_of(shape[2:]), outputs[1]
    for start in (0, 1, outputs[0] // 2):
        expected = {row: set() for row in range(size_of(layer.parameters(shape)[0].shape[:-1]))}
        for p, k, q in expected_taps(shape, layer):
            for c in range(of_group if p >= start * width else 0):
                expected[k * of_group + c].add((c * size + q, p))
        found = {}
        for window in records(tables, tables.windows, tables.n_windows, Window):
            top = max(start, window["top"])
            pairs = pairs_of_window(tables, window, step, width, top)
            for row in range(window["rows"]):
                assert window["adds"] == (window["row"] + row in found)
                known = found.setdefault(window["row"] + row, set())
                moved = {(read + row * window["step"], point) for read, point in pairs}
                assert len(moved) == len(pairs) and not known & moved
                known |= moved
        assert found == expected


def test_points_with_the_same_taps_are_one_run():
    """The middle of a row, of a series all of it, and rows that follow each other."""
    count = [
        make_tables(layer, shape, 8, True).n_runs
        for shape, layer in [
            ((1, 100), Conv(4, 1)),
            ((1, 100), Conv(4, 5)),
            ((1, 100), Conv(4, 5, padding="valid")),
            ((1, 10, 12), Conv(4, 1)),
            ((1, 10, 12), Conv(4, (3, 1))),
            ((1, 10, 12), Conv(4, 3, padding="valid")),
            ((1, 10, 12), Conv(4, 3)),
        ]
    ]
    assert count == [1, 5, 1, 1, 3, 8, 30]


# Numbers


@every_precision
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_nan_reaches_what_reads_it_and_nothing_else(dtype, activation):
    made = Network(30, (Conv(1, 3, activation), Flatten()), "", "identity", shape=(1, 5, 6))
    engine = CpuEngine(made, dtype)
    engine.pack(parameters(made, dtype))
    X = np.ones((19, 30), dtype)
    X[7, 2 * 6 + 3] = np.nan
    expected = np.zeros((19, 5, 6), bool)
    expected[7, 1:4, 2:5] = True
    np.testing.assert_array_equal(np.isnan(engine.predict(X)).reshape(19, 5, 6), expected)


def test_bias_gradients_in_float32_are_accurate_over_many_points():
    """A sum of 1e6 equal numbers one after another would be 1 % wrong."""
    made = network((1, 2000), Conv(3, 1, "identity"))
    arrays = parameters(made, np.float32)
    arrays[1][:], arrays[2][:] = 0.0, 0.1  # every output is 0, every delta the same
    gradients = []
    for dtype in DTYPES:
        engine = CpuEngine(made, dtype)
        X, y = np.zeros((200, 2000), dtype), np.ones((200, OUTPUTS), dtype)
        dataset = engine.dataset(X, y)
        gradients.append(unpacked(made, engine.loss_gradient(packed(made, arrays), dataset, 0)[1]))
    np.testing.assert_allclose(gradients[0][1], gradients[1][1], rtol=3e-5)


# Blocks, threads, and layers between


@every_precision
def test_predictions_do_not_depend_on_the_block(dtype, monkeypatch):
    made = network((2, 9, 7), Conv(5, 3), Conv(6, (3, 2), padding="valid"))
    X = samples(made, 50, dtype)[0]
    results = []
    for rows in (256, 48, 16):
        monkeypatch.setattr(plan, "BLOCK_ROWS", rows)
        engine = CpuEngine(made, dtype)
        engine.pack(parameters(made, dtype))
        results += [engine.predict(X), np.vstack([engine.predict(X[:7]), engine.predict(X[7:])])]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def trained(made, dtype, n=200, batch=70, epochs=2):
    engine = CpuEngine(made, dtype)
    engine.pack(parameters(made, dtype))
    optimizer = engine.optimizer("adam")
    optimizer.learning_rate = 0.01
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(epochs)])
    losses = engine.train_epochs(
        engine.dataset(*samples(made, n, dtype)), orders, batch, optimizer, 0.1
    )
    return losses, engine.unpack()


@jit_only
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["image", "series", "strides"])
@every_precision
def test_bits_do_not_depend_on_threads(name, fused, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 0 if fused else 10**9)
    shape, *convolutions = DEEP[name]
    made, before, results = network(shape, *convolutions), numba.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))

            def always(self, function, first, last, count=count):
                function(count > 1, first, last)

            monkeypatch.setattr(tuner.Tuner, "run", always)
            results.append(trained(made, dtype))
    finally:
        numba.set_num_threads(before)
    for losses, arrays in results[1:]:
        assert losses == results[0][0]
        for a, b in zip(arrays, results[0][1], strict=True):
            np.testing.assert_array_equal(a, b)


BETWEEN = {
    "dropout": (Conv(4, 3), Dropout(0.5), Conv(4, 3, "tanh")),
    "residual": (Conv(4, 3), Conv(4, 3), Residual(1), Conv(4, 2)),
    "nested residual": (Conv(4, 3), Conv(4, 3, "tanh"), Conv(4, 3), Residual(2), Residual(1)),
}


@compiled_only
@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.parametrize("shape", [(2, 9), (3, 4, 5)])
def test_gradients_with_other_layers_between_by_differences(name, shape):
    made = network(shape, *BETWEEN[name])
    engine = CpuEngine(made, np.float64)
    dataset = engine.dataset(*samples(made, 6, np.float64))
    theta = packed(made, parameters(made, np.float64))
    _, found = engine.loss_gradient(theta, dataset, 0.0)
    numeric = naive.central_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.0)[0], theta, step=1e-6
    )
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-6 * np.abs(found).max())


# Series of unequal length

SERIES = {
    "same": (Conv(5, 4), Conv(3, 5, "tanh", dilation=2)),
    "valid": (Conv(5, 4, padding="valid"), Conv(3, 3, "tanh")),
    "strides": (Conv(5, 3, "logistic", stride=2), Conv(3, 3)),
    "groups": (Conv(4, 3, groups=2), Conv(4, 3, groups=2)),
}


def lengthened(X, channels, points, more):
    """The same series with NaN behind them, as if others were longer."""
    wide = np.full((len(X), channels, points + more), np.nan, X.dtype)
    wide[:, :, :points] = X.reshape(-1, channels, points)
    return wide.reshape(len(X), -1)


def ragged_pair(name, dtype, n, size=14, more=6):
    """Networks for series of two sizes with the same numbers, and the same series for both."""
    short, long = (network((2, points), *SERIES[name]) for points in (size, size + more))
    arrays = parameters(short, dtype)
    wide = [array.copy() for array in arrays]
    filters, points = long.shapes[-3]
    wide[-2] = np.ones((filters, points, OUTPUTS), dtype)  # of points that are not there
    wide[-2][:, : short.shapes[-3][1]] = arrays[-2].reshape(filters, -1, OUTPUTS)
    wide[-2] = wide[-2].reshape(-1, OUTPUTS)
    X, y = samples(short, n, dtype)
    X = X.reshape(n, 2, size)
    for number, length in enumerate(np.random.default_rng(3).integers(6, size + 1, n)):
        X[number, :, length:] = np.nan
    X[0, :, :6] = 1.0
    X = X.reshape(n, -1)
    return (short, arrays, X), (long, wide, lengthened(X, 2, size, more)), y


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("n, size, more", [(1, 14, 6), (5, 14, 6), (33, 14, 6), (19, 150, 77)])
@every_precision
def test_what_series_were_filled_up_to_changes_no_bit(name, n, size, more, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 10**12)  # longer series may be shared by threads
    *pair, y = ragged_pair(name, dtype, n, size, more)
    predictions, gradients = [], []
    for made, arrays, X in pair:
        engine = CpuEngine(made, dtype)
        engine.pack(arrays)
        predictions.append(engine.predict(X))
        _, found = engine.loss_gradient(packed(made, arrays), engine.dataset(X, y), 0.0)
        gradients.append(unpacked(made, found))
    assert np.isfinite(predictions[0]).all()
    np.testing.assert_array_equal(*predictions)
    limit = tolerance(dtype) if numba.config.DISABLE_JIT else 0  # the order is that of NumPy's sums
    for a, b in itertools.islice(zip(*gradients, strict=True), 4):  # of the convolutions
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)


@pytest.mark.parametrize("name", SERIES)
@every_precision
def test_a_series_by_itself_is_predicted_as_among_longer_ones(name, dtype):
    (made, arrays, X), *_ = ragged_pair(name, dtype, 33)
    engine = CpuEngine(made, dtype)
    engine.pack(arrays)
    whole = engine.predict(X)
    for number in (0, 5, 32):
        np.testing.assert_array_equal(engine.predict(X[number : number + 1])[0], whole[number])


@compiled_only
def test_gradients_of_unequal_series_by_differences():
    for name in SERIES:
        (made, arrays, X), _, y = ragged_pair(name, np.float64, 5)
        engine = CpuEngine(made, np.float64)
        dataset, theta = engine.dataset(X, y), packed(made, arrays)
        _, found = engine.loss_gradient(theta, dataset, 0.0)
        numeric = naive.central_differences(
            lambda t, engine=engine, dataset=dataset: engine.loss_gradient(t, dataset, 0.0)[0],
            theta,
            step=1e-6,
        )
        np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-6 * np.abs(found).max())
