"""Series in windows whose states are carried on: in training, predictions, and point by point."""

import itertools

import numpy as np
import pytest

import naive_recurrence
from nnjit.backends import windows
from nnjit.backends.select import make_engine
from nnjit.backends.windows import cut_series
from nnjit.layers import GRU, LSTM, RNN, Conv, Dense, Dropout, GlobalPool
from nnjit.layers.network import Network

DTYPES = [np.float32, np.float64]
POINTS = 4


def network_of(layers, time, channels=2, outputs=1, loss="squared_error", output="identity"):
    """A network with an output at every point, or one behind the last layer of vectors."""
    series = layers[-1].kind in ("convolution", "dropout") or layers[-1].__dict__.get(
        "return_sequences", False
    )
    last = Conv(outputs, 1, "identity") if series else Dense(outputs, "identity")
    shape = (channels, time)
    return Network(channels * time, (*layers, last), loss, output, shape=shape)


def cells(**options):
    options = {"return_sequences": True, **options}
    return [RNN(3, **options), GRU(3, **options), LSTM(3, **options)]


def engine_of(network, dtype, seed=0):
    engine, rng = make_engine(network, np.dtype(dtype)), np.random.default_rng(seed)
    engine.pack([rng.normal(0, 0.5, one.shape) for _, one in network.parameters()])
    return engine


def series(network, lengths, dtype, seed=1):
    """Rows of series of these lengths and targets at every point; anything behind the ends."""
    rng, (channels, time) = np.random.default_rng(seed), network.shape
    X = rng.normal(size=(len(lengths), channels, time)).astype(dtype)
    y = rng.normal(size=(len(lengths), time, 1)).astype(dtype)
    for row, target, n in zip(X, y, lengths):
        row[:, n:] = np.nan
        target[n:] = 1e6
    return X.reshape(len(X), -1), y


# --- cutting -------------------------------------------------------------------------------


def test_series_are_cut_into_windows_of_which_the_last_may_be_shorter():
    network = network_of([RNN(3, return_sequences=True, truncate=POINTS)], 11)
    X, y = series(network, (11, 6, 4), np.float64)
    cut = cut_series(X, y, None, network, POINTS, np.float64)
    assert cut.windows.first.tolist() == [0, 3, 5, 6]
    whole, pieces = X.reshape(3, 2, 11), cut.X.reshape(-1, 2, POINTS)
    np.testing.assert_array_equal(pieces[0], whole[0, :, :4])
    np.testing.assert_array_equal(pieces[2, :, :3], whole[0, :, 8:])
    assert np.isnan(pieces[2, :, 3]).all()
    np.testing.assert_array_equal(cut.y[4, :2], y[1, 4:6])
    assert cut.weights is None
    assert cut.windows.state_rows.tolist() == [-1, 0, 0, -2, 1, -3, -4]
    assert not cut.X[-1].any(), "the empty row"


def test_windows_of_a_minibatch_go_side_by_side_and_empty_rows_fill_it_up():
    network = network_of([RNN(3, return_sequences=True, truncate=POINTS)], 11)
    X, y = series(network, (11, 6, 4), np.float64)
    found = cut_series(X, y, None, network, POINTS, np.float64).windows
    order = found.order(np.array([1, 0, 2]), 2)
    assert order.reshape(-1, 2).tolist() == [[3, 0], [4, 1], [6, 2], [5, 6]]
    assert found.count_batches(np.array([1, 0, 2]), 2) == 4
    assert found.order(np.array([], int), 2).shape == (0,)


def test_windows_behind_the_last_weight_of_a_series_are_left_out():
    network = network_of([RNN(3, return_sequences=True, truncate=POINTS)], 11)
    X, y = series(network, (11, 6, 4), np.float64)
    of_rows = cut_series(X, y, np.array([1.0, 0, 2]), network, POINTS, np.float64)
    assert of_rows.windows.first.tolist() == [0, 3, 3, 4]
    assert of_rows.weights.tolist() == [1, 1, 1, 2, 0]
    weights = np.ones((3, 11))
    weights[0, 7:] = weights[2] = 0
    of_points = cut_series(X, y, weights, network, POINTS, np.float64)
    assert of_points.windows.first.tolist() == [0, 2, 4, 4]
    assert of_points.weights.tolist() == [[1] * 4, [1] * 3 + [0], [1] * 4, [1] * 4, [0] * 4]


def test_a_network_trains_in_windows_only_where_each_layer_can_be_carried_on():
    def window(*layers, time=9):
        return network_of(list(layers), time).window

    gru = GRU(3, return_sequences=True, truncate=4)
    assert window(gru) == 4
    assert window(Conv(3, 1), Dropout(0.2), gru, gru) == 4
    assert window(gru, time=4) is None  # a single window
    assert window(GRU(3, return_sequences=True)) is None
    assert window(gru, GRU(3, return_sequences=True, truncate=5)) is None
    assert window(gru, GRU(3, return_sequences=True, bidirectional=True)) is None
    assert window(Conv(3, 3), gru) is None
    assert window(GRU(3, truncate=4)) is None  # one target for all points


# --- training ------------------------------------------------------------------------------


def outputs_and_gradient(network, arrays, X, y, starts, weights):
    """The weighted mean of (y - o)^2 / 2 over points, its gradient, and the states left.

    By the definition, for windows that begin from given states.
    """
    layer, *head = network.layers[0], arrays[-2:]
    own, (w, b) = arrays[:-2], head[0]
    lengths = [(~np.isnan(row[0])).sum() for row in X]
    x = np.nan_to_num(X)
    h, states, kept = naive_recurrence.recurrent_forward(layer, x, own, lengths, starts)
    out = np.einsum("nut,uk->ntk", h, w[0]) + b
    error = np.where(weights[..., np.newaxis] > 0, out - y, 0.0)
    each = weights[..., np.newaxis] / weights.sum()
    delta = error * each
    dw = np.einsum("nut,ntk->uk", h, delta)[np.newaxis]
    dh = np.einsum("ntk,uk->nut", delta, w[0])
    _, found = naive_recurrence.recurrent_backward(layer, dh, x, own, kept)
    return (error**2 * each).sum() / 2, [*found, dw, delta.sum((0, 1))], states


def train_by_definition(network, arrays, X, y, weights, groups, rate):
    """Steps of SGD over groups of series, window by window; the losses and the parameters."""
    losses, (channels, time) = [], network.shape
    layer = network.layers[0]
    X = X.reshape(len(X), channels, time)
    for group in groups:
        starts = [naive_recurrence.start_of(layer, X.dtype)] * len(group)
        for first in range(0, time, POINTS):
            part = X[group, :, first : first + POINTS]
            there = ~np.isnan(part[:, 0]) * weights[group][:, first : first + POINTS]
            if not there.any():
                break
            loss, gradient, starts = outputs_and_gradient(
                network, arrays, part, y[group, first : first + POINTS], starts, there
            )
            arrays = [a - rate * g for a, g in zip(arrays, gradient)]
            losses.append(loss)
    return losses, arrays


@pytest.mark.parametrize("layer", cells(truncate=POINTS), ids=lambda layer: layer.kind)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_window_is_a_step_that_goes_on_from_the_states_behind_the_last(layer, dtype):
    network, rate = network_of([layer], 11), 0.1
    lengths = (11, 6, 4, 9, 11)
    X, y = series(network, lengths, dtype)
    engine = engine_of(network, dtype)
    arrays = engine.unpack()
    dataset, order = engine.windows(X, y), np.array([3, 0, 2, 1, 4])
    optimizer = engine.optimizer("sgd", momentum=0.0)
    optimizer.learning_rate = rate
    rows = dataset.windows.order(order, 2)
    result = engine.train(dataset, rows, 2, optimizer, 0.0, 0, len(rows) // 2)
    groups = [order[:2], order[2:4], order[4:]]
    losses, expected = train_by_definition(network, arrays, X, y, np.ones((5, 11)), groups, rate)
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    assert result.finite
    assert result.loss == pytest.approx(2 * sum(losses), rel=tolerance)
    for found, one in zip(engine.unpack(), expected):
        np.testing.assert_allclose(found, one, rtol=tolerance, atol=tolerance)


def test_calls_may_end_between_any_two_windows():
    network = network_of([GRU(3, return_sequences=True, truncate=POINTS)], 11)
    X, y = series(network, (11, 6, 4, 9, 11), np.float64)
    found = []
    for size in (1, 2, 100):
        engine = engine_of(network, np.float64)
        dataset, optimizer = engine.windows(X, y), engine.optimizer("adam")
        optimizer.learning_rate = 0.01
        rows = dataset.windows.order(np.arange(5), 2)
        for first in range(0, len(rows) // 2, size):
            last = min(first + size, len(rows) // 2)
            engine.train(dataset, rows, 2, optimizer, 0.0, first, last)
        found.append(np.concatenate([one.ravel() for one in engine.unpack()]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_window_without_weight_carries_its_states_on():
    network, rate = network_of([GRU(3, return_sequences=True, truncate=POINTS)], 12), 0.1
    X, y = series(network, (12,), np.float64)
    weights = np.ones((1, 12))
    weights[0, 4:8] = 0
    engine = engine_of(network, np.float64)
    arrays = engine.unpack()
    dataset, optimizer = engine.windows(X, y, weights), engine.optimizer("sgd", momentum=0.0)
    optimizer.learning_rate = rate
    result = engine.train(dataset, dataset.windows.order(np.arange(1), 1), 1, optimizer, 0, 0, 3)
    assert result.skipped == 0

    layer, pieces = network.layers[0], X.reshape(1, 2, 3, POINTS)
    starts = [naive_recurrence.start_of(layer, X.dtype)]
    for number, there in enumerate([1.0, 0.0, 1.0]):
        part, target = pieces[:, :, number], y[:, number * POINTS : (number + 1) * POINTS]
        each = np.ones((1, POINTS))
        _, gradient, starts = outputs_and_gradient(network, arrays, part, target, starts, each)
        arrays = [a - there * rate * g for a, g in zip(arrays, gradient)]
    for found, one in zip(engine.unpack(), arrays):
        np.testing.assert_allclose(found, one, rtol=1e-12, atol=1e-12)


# --- predictions ---------------------------------------------------------------------------

ENDS = {
    "points": lambda layer: [layer],
    "two layers": lambda layer: [Conv(3, 1, "tanh"), layer, GRU(4, return_sequences=True)],
}


def predictions(network, lengths, dtype, monkeypatch, points=None):
    """Of series as a whole, and in windows of so many points."""
    X, _ = series(network, lengths, dtype)
    found = []
    for long, size in ((10**9, 10**9), (points or 1, points or POINTS)):
        monkeypatch.setattr(windows, "_LONG", long)
        monkeypatch.setattr(windows, "_points", lambda rows, size=size: size)
        found.append(engine_of(network, dtype).predict_checked(X))
    return found


@pytest.mark.parametrize("layer", cells(), ids=lambda layer: layer.kind)
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_at_every_point_are_the_same_bits_in_windows(layer, ends, dtype, monkeypatch):
    network = network_of(ENDS[ends](layer), 11, loss="squared_error")
    for lengths, points in itertools.product([(11,) * 9, (11, 3, 8, 1, 5, 4, 11)], [1, 4, 7]):
        whole, in_windows = predictions(network, lengths, dtype, monkeypatch, points)
        assert whole[0].shape == (len(lengths), 11, 1)
        np.testing.assert_array_equal(whole[0], in_windows[0])
        assert whole[1] and in_windows[1]


@pytest.mark.parametrize("layer", cells(return_sequences=False), ids=lambda layer: layer.kind)
@pytest.mark.parametrize("dtype", DTYPES)
def test_predictions_from_last_states_are_the_same_bits_in_windows(layer, dtype, monkeypatch):
    network = network_of([GRU(5, return_sequences=True), layer], 11)
    for lengths, points in itertools.product([(11,) * 9, (11, 3, 8, 1, 5, 4, 11)], [1, 4, 7]):
        whole, in_windows = predictions(network, lengths, dtype, monkeypatch, points)
        assert whole[0].shape == (len(lengths), 1)
        np.testing.assert_array_equal(whole[0], in_windows[0])


def test_what_a_hidden_layer_gives_out_is_the_same_in_windows(monkeypatch):
    network = network_of([GRU(5, return_sequences=True), LSTM(3, return_sequences=True)], 11)
    whole, in_windows = predictions(network.first(2), (11, 3, 8), np.float64, monkeypatch)
    assert whole[0].shape == (3, 33)
    np.testing.assert_array_equal(whole[0], in_windows[0])


def test_a_value_that_is_not_finite_is_told_of_in_windows_as_well(monkeypatch):
    network = network_of([GRU(3, return_sequences=True)], 11)
    X, _ = series(network, (11, 11), np.float64)
    for value in (np.nan, np.inf):
        bad = X.copy()
        bad[1, 5] = value
        monkeypatch.setattr(windows, "_LONG", 1)
        monkeypatch.setattr(windows, "_points", lambda rows: POINTS)
        assert not engine_of(network, np.float64).predict_checked(bad)[1]
        assert engine_of(network, np.float64).predict_checked(X)[1]


def test_few_rows_have_longer_windows():
    assert [windows._points(rows) for rows in (1, 2, 3, 8, 9, 1000, 5000)] == [
        1024, 512, 256, 128, 128, 128, 128,
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_series_of_some_hundred_points_are_predicted_in_windows(dtype):
    network = network_of([GRU(3, return_sequences=True), GRU(2)], 2 * windows._LONG + 3)
    assert windows.goes_by_windows(network)
    X, _ = series(network, (1, windows._POINTS, windows._LONG + 1, network.shape[1]), dtype)
    found = engine_of(network, dtype).predict(X)
    for row, n in zip(range(4), (1, windows._POINTS, windows._LONG + 1, network.shape[1])):
        alone = network.of_points(n)
        x = np.ascontiguousarray(X.reshape(4, *network.shape)[row, :, :n]).reshape(1, -1)
        np.testing.assert_array_equal(found[row], engine_of(alone, dtype).predict(x)[0])


# --- one point after the other -------------------------------------------------------------


@pytest.mark.parametrize("layer", cells(), ids=lambda layer: layer.kind)
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_point_after_the_other_gives_what_the_whole_series_does(layer, dtype):
    network = network_of([layer, Dropout(0.5)], 6)
    X, _ = series(network, (6,), dtype)
    engine = engine_of(network, dtype)
    stepper, whole = engine.stepper(), engine.predict(X)[0]
    for x, expected in zip(X.reshape(2, 6).T, whole):
        stepper.x[:] = x
        assert stepper.step()
        np.testing.assert_array_equal(stepper.out, expected)


@pytest.mark.parametrize("method", ["mean", "max"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_pooled_so_far_is_that_of_the_series_up_to_there(method, dtype):
    network = network_of([GRU(3, return_sequences=True), GlobalPool(method), Dense(4, "tanh")], 6)
    X, _ = series(network, (6,), dtype)
    engine = engine_of(network, dtype)
    stepper = engine.stepper()
    for n in range(1, 7):
        stepper.x[:] = X.reshape(2, 6)[:, n - 1]
        assert stepper.step()
        so_far = X.copy().reshape(1, 2, 6)
        so_far[:, :, n:] = np.nan
        expected = engine.predict(so_far.reshape(1, -1))[0]
        close = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(stepper.out, expected, rtol=close)
