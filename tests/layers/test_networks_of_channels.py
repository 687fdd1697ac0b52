"""Whole networks for series and images: threads, company, unequal series, values that are NaN."""

import numba
import numpy as np
import pytest
from comparing import parameters

from engine_problems import DTYPES
from nnjit.backends import plan, tuner
from nnjit.backends.cpu import CpuEngine
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.global_pooling.spec import GlobalPool
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.pooling.spec import Pool
from nnjit.layers.residual.spec import Residual

# Plain Python's sums are NumPy's, whose order is their own.
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
every_precision = pytest.mark.parametrize("dtype", DTYPES)
OUTPUTS = 3


def block(filters, kernel, activation="relu"):
    return Conv(filters, kernel, "identity"), Normalization("batch", activation)


# name -> (shape of a row, layers below the last)
NETWORKS = {
    "LeNet": (
        (1, 12, 12),
        (
            Conv(6, 5), Pool("max"), Conv(8, 3, "tanh", padding="valid"), Pool("max"), Flatten(),
            Dense(19, "relu"), Dropout(0.2),
        ),
    ),
    "FCN": ((2, 21), (*block(9, 8), *block(12, 5), *block(9, 3), GlobalPool("mean"))),
    "residual": (
        (3, 5, 6),
        (*block(5, 3), *block(5, 3, "identity"), *block(5, 3), Residual(4), GlobalPool("max")),
    ),
    "strides, dilation and groups": (
        (2, 40),
        (
            Conv(6, 4, stride=2, groups=2), Pool("mean", 3, 1), Conv(6, 3, "tanh", dilation=3),
            Residual(1), Flatten(),
        ),
    ),
}  # fmt: skip
every_network = pytest.mark.parametrize("name", NETWORKS)


def network_of(shape, layers, loss="log_loss", output="softmax"):
    layers = (*layers, Dense(OUTPUTS, "identity"))
    return Network(size_of(shape), layers, loss, output, shape=shape)


def engine_of(name, dtype):
    made = network_of(*NETWORKS[name])
    engine = CpuEngine(made, dtype)
    engine.pack(parameters(made, dtype))
    return engine


def samples(shape, n, dtype, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, size_of(shape))).astype(dtype), rng.integers(0, OUTPUTS, n)


def packed(engine):
    arrays = engine.unpack()
    return np.concatenate([arrays[n].ravel() for n in engine.network.packing()]).astype(float)


# Threads and company


def trained(name, dtype, n=110, batch=48, epochs=3):
    """Parameters, losses, what the solver keeps, and predictions after some epochs."""
    engine = engine_of(name, dtype)
    optimizer = engine.optimizer("adam", seed=5)
    optimizer.learning_rate = 0.01
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(epochs)])
    X, y = samples(NETWORKS[name][0], n, dtype)
    losses = engine.train_epochs(engine.dataset(X, y), orders, batch, optimizer, 1e-3)
    kept = [one for vectors in optimizer.state()["vectors"].values() for one in vectors]
    return [*engine.unpack(), np.array(losses), np.array(kept), engine.predict(X)]


@every_network
@pytest.mark.parametrize("parallel", [0, plan.PARALLEL_TRAIN])
@every_precision
def test_bits_do_not_depend_on_threads(name, parallel, dtype, monkeypatch):
    """The last minibatch of an epoch is smaller: 48, 48 and 14 of 110 rows."""
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", parallel)
    results = []
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        several = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

        def always(self, function, first, last, several=several):
            function(several, first, last)

        monkeypatch.setattr(tuner.Tuner, "run", always)
        results.append(trained(name, dtype))
    for found in results[1:]:
        for a, b in zip(found, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@every_network
@every_precision
def test_equal_runs_give_equal_bits(name, dtype):
    for a, b in zip(trained(name, dtype, 30, 12), trained(name, dtype, 30, 12), strict=True):
        np.testing.assert_array_equal(a, b)


@every_network
@every_precision
def test_a_row_is_predicted_the_same_in_any_company(name, dtype):
    engine = engine_of(name, dtype)
    X, _ = samples(NETWORKS[name][0], 300, dtype)
    whole = engine.predict(X)
    for start, stop in [(0, 1), (299, 300), (5, 8), (1, 18), (280, 297), (2, 300)]:
        np.testing.assert_array_equal(engine.predict(X[start:stop]), whole[start:stop])
    for number in (0, 17, 299):
        among = np.repeat(X[number : number + 1], 17, axis=0)
        np.testing.assert_array_equal(engine.predict(among), whole[[number] * 17])
    np.testing.assert_array_equal(engine.predict(np.asfortranarray(X)), whole)


# Series of unequal length

# name -> layers whose parameters do not depend on the number of points
OF_ANY_LENGTH = {
    "convolutions": (Conv(6, 5), Conv(5, 4, "tanh"), GlobalPool("mean")),
    "pooling": (Conv(6, 4, "tanh"), Pool("max"), Conv(5, 3), Pool("mean", 3, 1), GlobalPool("max")),
    "strides": (Conv(4, 3, stride=2, groups=2), Conv(7, 3, "tanh", dilation=2), GlobalPool("mean")),
    "residual": (Conv(5, 3), Conv(5, 3), Residual(1), GlobalPool("max")),
    "batch": (*block(6, 8), *block(5, 5), GlobalPool("mean")),
    "batch, residual": (*block(5, 3), *block(5, 3, "tanh"), Residual(2), Pool("max"),
                        GlobalPool("mean")),
}  # fmt: skip
POINTS, CHANNELS = 16, 2


def points_needed(layers):
    """Fewest points that leave each layer one."""
    made = network_of((CHANNELS, POINTS), layers)
    alive = [one[: POINTS + 1] > 0 for one in made.lengths if one is not None]
    return int(np.all(alive, axis=0).argmax())


def unequal(layers, n, dtype, seed=2):
    """Series (n, channels, points) with NaN behind them; the first two the shortest and a whole."""
    rng, least = np.random.default_rng(seed), points_needed(layers)
    X, y = samples((CHANNELS, POINTS), n, dtype, seed)
    X = X.reshape(n, CHANNELS, POINTS)
    lengths = rng.integers(least, POINTS + 1, n)
    lengths[:2] = [least, POINTS][:n]
    for series, length in zip(X, lengths, strict=True):
        series[:, length:] = np.nan
    return X, y


def of_length(X, points):
    """The same series, each filled up to so many points."""
    wide = np.full((*X.shape[:2], points), np.nan, X.dtype)
    wide[:, :, : X.shape[2]] = X
    return wide


def found_with(layers, X, y, dtype):
    """Predictions, loss and gradient of a network for series of so many points."""
    made = network_of(X.shape[1:], layers)
    engine = CpuEngine(made, dtype)
    engine.pack(parameters(made, dtype))
    rows = X.reshape(len(X), -1)
    return engine.predict(rows), *engine.loss_gradient(packed(engine), engine.dataset(rows, y), 0.1)


@pytest.mark.parametrize("name", OF_ANY_LENGTH)
@pytest.mark.parametrize("n", [1, 3, 13, 40])
@every_precision
def test_what_series_are_filled_up_to_changes_nothing(name, n, dtype):
    """No bit of a prediction, nor of the gradient of few rows; many are cut into parts by work."""
    layers = OF_ANY_LENGTH[name]
    X, y = unequal(layers, n, dtype)
    outputs, loss, gradient = found_with(layers, X, y, dtype)
    assert np.isfinite(outputs).all()
    assert np.isfinite(gradient).all()
    for points in (POINTS + 1, POINTS + 5, 3 * POINTS):
        found, its_loss, its_gradient = found_with(layers, of_length(X, points), y, dtype)
        np.testing.assert_array_equal(found, outputs)
        if n < 40 and not name.startswith("batch"):
            assert its_loss == loss
            np.testing.assert_array_equal(its_gradient, gradient)
        limit = 2e-4 if dtype == np.float32 else 1e-11
        np.testing.assert_allclose(its_loss, loss, rtol=limit)
        atol = limit * np.abs(gradient).max()
        np.testing.assert_allclose(its_gradient, gradient, rtol=0, atol=atol)


@pytest.mark.parametrize("name", OF_ANY_LENGTH)
@every_precision
def test_a_series_by_itself_without_filling_is_predicted_as_among_others(name, dtype):
    layers = OF_ANY_LENGTH[name]
    X, y = unequal(layers, 20, dtype)
    outputs, *_ = found_with(layers, X, y, dtype)
    for number, series in enumerate(X[:8]):
        alone = series[np.newaxis, :, np.isfinite(series[0])]
        found, *_ = found_with(layers, alone, y[number : number + 1], dtype)
        np.testing.assert_array_equal(found[0], outputs[number])


@pytest.mark.parametrize("name", ["convolutions", "strides", "residual", "batch"])
@every_precision
def test_series_of_one_point(name, dtype):
    layers = OF_ANY_LENGTH[name]
    assert points_needed(layers) == 1
    X, y = samples((CHANNELS, 1), 9, dtype)
    X = X.reshape(9, CHANNELS, 1)
    outputs, loss, gradient = found_with(layers, X, y, dtype)
    found, its_loss, its_gradient = found_with(layers, of_length(X, 7), y, dtype)
    np.testing.assert_array_equal(found, outputs)
    limit = 2e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(its_loss, loss, rtol=limit)
    np.testing.assert_allclose(its_gradient, gradient, rtol=0, atol=limit)


# Values that are NaN


@every_network
@pytest.mark.parametrize("value", [np.nan, np.inf])
@every_precision
def test_what_is_not_finite_is_told_and_stays_in_its_row(name, value, dtype):
    engine = engine_of(name, dtype)
    shape = NETWORKS[name][0]
    X, _ = samples(shape, 20, dtype)
    expected, finite = engine.predict_checked(X)
    assert finite
    spoilt = X.copy().reshape(-1, *shape)
    spoilt[7, 0, ..., 2] = value
    found, finite = engine.predict_checked(spoilt.reshape(X.shape))
    assert not finite
    if np.isnan(value):
        assert np.isnan(found[7]).any()
    others = np.arange(20) != 7
    np.testing.assert_array_equal(found[others], expected[others])
    again, finite = engine.predict_checked(X)
    assert finite
    np.testing.assert_array_equal(again, expected)


@every_network
@every_precision
def test_nothing_is_left_of_nan_for_the_next_minibatch(name, dtype):
    """Smaller blocks of later rows leave room between their values where NaN were."""
    engine = engine_of(name, dtype)
    X, y = samples(NETWORKS[name][0], 45, dtype)
    spoilt = X.copy()
    spoilt[:, 1] = np.nan
    spoilt[:, -1] = np.inf
    theta, optimizer = packed(engine), engine.optimizer("sgd", seed=0)
    optimizer.learning_rate = 0.0
    assert not np.isfinite(engine.loss_gradient(theta, engine.dataset(spoilt, y), 0.0)[0])
    both, rows = engine.dataset(np.concatenate([spoilt, X]), np.tile(y, 2)), 32
    assert not engine.train(both, np.arange(rows), rows, optimizer, 0.0, 0, 1).finite
    engine.predict(spoilt)
    engine.pack(parameters(engine.network, dtype))  # running statistics
    fresh = engine_of(name, dtype)
    beside = fresh.optimizer("sgd", seed=0)
    beside.learning_rate = optimizer.learning_rate = 0.1
    optimizer.load_state(beside.state())
    for n in (13, 5):
        order = np.arange(45, 45 + n)
        found = engine.train(both, order, rows, optimizer, 0.0, 0, 1)
        expected = fresh.train(both, order, rows, beside, 0.0, 0, 1)
        assert found == expected
        assert found.finite
        for a, b in zip(engine.unpack(), fresh.unpack(), strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_array_equal(a, b)
