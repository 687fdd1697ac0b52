"""Targets at every point of series: the same as a dense network that is applied to each point."""

import numba
import numpy as np
import pytest

import naive
from engine_problems import DTYPES, tolerance
from entries_of_tests import JOINED, PAIRS, add_entries, targets
from nnjit.backends import plan, tuner
from nnjit.backends.cpu import CpuEngine
from nnjit.backends.dataset import points_there
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.network import Network
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.pooling.spec import Pool
from nnjit.training.lbfgs import minimize_lbfgs, objective_of
from nnjit.training.scoring import MeanLoss

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
every_precision = pytest.mark.parametrize("dtype", DTYPES)
CHANNELS, OUTPUTS, HIDDEN = 3, 4, 5
MANY = 9 if numba.config.DISABLE_JIT else 60

# Losses of labels, of a mean over the outputs, with a logit, and with an output that overflows.
SOME = [("log_loss", "softmax"), ("squared_error", "identity"), ("log_loss", "logistic"),
        ("poisson", "exp"), ("quantile", "identity")]  # fmt: skip
some_losses = pytest.mark.parametrize("pair", SOME, ids="-".join)


def pointwise(pair, outputs=OUTPUTS, points=7, **options):
    """A network that does the same with each point of a series."""
    layers = Conv(HIDDEN, 1, "tanh"), Conv(outputs, 1, "identity")
    given = tuple(options.items())
    return Network(CHANNELS * points, layers, *pair, given, shape=(CHANNELS, points))


def dense(pair, outputs=OUTPUTS, **options):
    """The network of one point."""
    layers = Dense(HIDDEN, "tanh"), Dense(outputs, "identity")
    return Network(CHANNELS, layers, *pair, tuple(options.items()))


class Series:
    """Series of unequal length with targets and weights at every point, and all points as rows."""

    def __init__(self, engine, n, points=7, weights=None, whole=False, seed=0, columns=None):
        rng, dtype = np.random.default_rng(seed), engine.dtype
        entry, outputs = engine.loss_entry, engine.network.outputs
        X = rng.normal(size=(n, CHANNELS, points)).astype(dtype)
        self.lengths = rng.integers(1, points + 1, n)
        self.lengths[rng.integers(n)] = points
        if whole:
            self.lengths[:] = points
        self.there = np.arange(points) < self.lengths[:, np.newaxis]
        y = targets(entry, n * points, outputs if columns is None else columns)
        self.y = y.reshape(n, points, *y.shape[1:]).astype(int if entry.labels else dtype)
        self.w = None
        if weights is not None:
            shape = (n, points) if weights == "points" else (n,)
            self.w = rng.integers(0, 3, shape).astype(dtype)
            self.w[0] = 1
        self.rows = X.transpose(0, 2, 1)[self.there]
        X.transpose(0, 2, 1)[~self.there] = np.nan
        self.X = X.reshape(n, -1)

    @property
    def of_points(self):
        """Rows, targets and weights of all points that there are."""
        w = self.w
        if w is not None:
            w = np.broadcast_to(w.reshape(len(w), -1), self.there.shape)[self.there]
        return self.rows, self.y[self.there], w

    def dataset(self, engine):
        return engine.dataset(self.X, self.y, self.w)


def parameters(network, seed=1):
    return np.random.default_rng(seed).normal(0, 0.6, network.n_parameters)


def pack(engine, theta):
    """Parameters from one vector, in packing order."""
    arrays, start = engine.unpack(), 0
    for number in engine.network.packing():
        size = arrays[number].size
        arrays[number] = theta[start : start + size].reshape(arrays[number].shape)
        start += size
    engine.pack(arrays)


def vector_of(engine):
    arrays = engine.unpack()
    return np.concatenate([arrays[n].ravel() for n in engine.network.packing()]).astype(float)


def both(pair, dtype, points=7, outputs=OUTPUTS, **options):
    """(engine of series, engine of points, packed parameters of either)."""
    of_series = CpuEngine(pointwise(pair, outputs, points, **options), dtype)
    of_points = CpuEngine(dense(pair, outputs, **options), dtype)
    theta = parameters(of_points.network).astype(dtype).astype(float)
    for engine in (of_series, of_points):
        pack(engine, theta)
    return of_series, of_points, theta


def assert_gradients_agree(of_series, of_points, theta, series, alpha=0.3):
    dtype = of_series.dtype
    value, gradient = of_series.loss_gradient(theta, series.dataset(of_series), alpha)
    data = of_points.dataset(*series.of_points)
    expected, of_dense = of_points.loss_gradient(theta, data, alpha)
    np.testing.assert_allclose(value, expected, rtol=tolerance(dtype))
    atol = tolerance(dtype) * max(1.0, np.abs(of_dense).max())
    np.testing.assert_allclose(gradient, of_dense, rtol=0, atol=atol)


# Losses and gradients


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_every_loss_and_its_gradient_are_those_of_all_points(pair, monkeypatch):
    add_entries(monkeypatch)
    engines = both(pair, np.float64)
    for n, weights in ((1, None), (MANY, "points")):
        assert_gradients_agree(*engines, Series(engines[0], n, weights=weights))


OPTIONS = [
    (("huber", "identity"), {"huber_delta": (0.5, 2.0, 0.1, 1.0)}),
    (("quantile", "identity"), {"quantile": (0.9, 0.1, 0.5, 0.2)}),
    (("smoothed_log_loss", "softmax"), {"label_smoothing": 0.3}),
    (("focal", "softmax"), {"focal_gamma": 0.5}),
]


@pytest.mark.parametrize(("pair", "options"), OPTIONS, ids=lambda case: str(case))
@every_precision
def test_parameters_of_losses_of_all_outputs_or_of_each(pair, options, dtype):
    engines = both(pair, dtype, **options)
    assert_gradients_agree(*engines, Series(engines[0], MANY, weights="rows"))


@some_losses
@every_precision
@pytest.mark.parametrize("weights", [None, "rows", "points"])
@pytest.mark.parametrize("whole", [False, True])
def test_losses_at_every_point_by_weights_and_lengths(pair, dtype, weights, whole):
    for n, points in ((1, 1), (3, 1), (1, 9), (8, 5), (MANY, 17)):
        engines = both(pair, dtype, points)
        assert_gradients_agree(*engines, Series(engines[0], n, points, weights, whole, seed=n))


@jit_only
@some_losses
@every_precision
def test_series_as_long_as_the_points_that_come_at_a_time_and_one_more(pair, dtype):
    most = plan._points_workspace(OUTPUTS, np.dtype(dtype)).most
    for points in (most - 1, most, most + 1, 2 * most + 3):
        engines = both(pair, dtype, points)
        for n, whole in ((1, True), (3, False)):
            series = Series(engines[0], n, points, "points", whole, seed=points)
            assert_gradients_agree(*engines, series)
            assert_predictions_agree(*engines, series)


@jit_only
def test_one_series_of_many_points():
    engines = both(("log_loss", "softmax"), np.float64, 50_000)
    series = Series(engines[0], 1, 50_000, whole=True)
    assert_gradients_agree(*engines, series)
    assert_predictions_agree(*engines, series)


@pytest.mark.parametrize("outputs", [1, 2, 300])
@every_precision
def test_one_output_and_very_many(outputs, dtype):
    for pair in (("log_loss", "softmax"), ("squared_error", "identity")):
        engines = both(pair, dtype, outputs=outputs)
        series = Series(engines[0], 9)
        assert_gradients_agree(*engines, series)
        assert_predictions_agree(*engines, series)


@every_precision
def test_one_target_for_all_outputs_of_a_point(dtype):
    engines = both(("quantile", "identity"), dtype, quantile=(0.9, 0.1, 0.5, 0.2))
    assert_gradients_agree(*engines, Series(engines[0], MANY, columns=1, weights="points"))


# series' own convolutions beside those of single points
LAYERS = {
    "convolutions": (Conv(6, 5, "tanh"), Conv(5, 4, "logistic")),
    "batch": (Conv(4, 3, "identity"), Normalization("batch", "tanh"), Conv(5, 4, "tanh")),
    "strides": (Conv(4, 3, "tanh", stride=2), Pool("mean", 3, 1)),
}
every_network = pytest.mark.parametrize("name", LAYERS)


def network_of(name, pair, points=11):
    layers = (*LAYERS[name], Conv(OUTPUTS, 1, "identity"))
    return Network(CHANNELS * points, layers, *pair, shape=(CHANNELS, points))


def of_layers(name, dtype, n, points=11, pair=("log_loss", "softmax"), weights=None, seed=0):
    """(engine, X, y, weights) of series of unequal length."""
    engine = CpuEngine(network_of(name, pair, points), dtype)
    pack(engine, parameters(engine.network))
    arrays = engine.unpack()
    for (_, one), array in zip(engine.network.parameters(), arrays, strict=True):
        if one.name in ("scale", "variance"):
            array[:] = np.abs(array) + 0.5
    engine.pack(arrays)
    series, steps = Series(engine, n, points, seed=seed), engine.network.steps
    rng = np.random.default_rng(seed + 1)
    y = targets(engine.loss_entry, n * steps, OUTPUTS)
    y = y.reshape(n, steps, *y.shape[1:]).astype(int if engine.loss_entry.labels else dtype)
    w = None if weights is None else rng.integers(0, 3, (n, steps)).astype(dtype)
    return engine, series.X, y, w


@every_network
@some_losses
def test_gradient_by_differences(name, pair):
    if numba.config.DISABLE_JIT and (name, pair) != ("strides", SOME[0]):
        pytest.skip("takes long without compiled code")
    engine, X, y, w = of_layers(name, np.float64, 5, pair=pair, weights="points")
    theta = parameters(engine.network) / 2
    dataset = engine.dataset(X, y, w)
    _, gradient = engine.loss_gradient(theta, dataset, 0.1)
    numeric = naive.central_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-5
    )
    assert np.abs(gradient - numeric).max() / np.abs(gradient).max() < 1e-6


@pytest.mark.parametrize("pair", [pair for pair in JOINED if pair[0] in naive.ELEMENTS])
def test_loss_is_the_mean_of_the_oracles_over_the_points_there_are(pair):
    engine, X, y, w = of_layers("convolutions", np.float64, 6, pair=pair, weights="points")
    theta = parameters(engine.network)
    value, _ = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.0)
    there = points_there(X, engine.network)
    wanted = np.eye(OUTPUTS)[y] if engine.loss_entry.labels else y
    z = engine.predict(X, "logits")[there]
    rows = naive.losses_of_rows(*pair, wanted[there], z)
    np.testing.assert_allclose(value, (w[there] * rows).sum() / w[there].sum(), rtol=1e-10)


@every_network
@some_losses
@every_precision
def test_the_loss_of_a_prediction_is_that_of_the_objective(name, pair, dtype):
    for weights in (None, "points"):
        engine, X, y, w = of_layers(name, dtype, 12, pair=pair, weights=weights)
        theta = vector_of(engine)
        measured = MeanLoss(X, y, w)(engine.predict(X), engine)
        if name != "batch":  # which predicts by other statistics
            value, _ = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.0)
            np.testing.assert_allclose(measured, value, rtol=tolerance(dtype))
        else:
            assert np.isfinite(measured)


def test_the_loss_of_a_prediction_by_weights_of_whole_rows():
    engine, X, y, _ = of_layers("convolutions", np.float64, 12)
    w = np.random.default_rng(0).integers(0, 3, 12).astype(float)
    theta = vector_of(engine)
    value, _ = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.0)
    np.testing.assert_allclose(MeanLoss(X, y, w)(engine.predict(X), engine), value, rtol=1e-12)


# What stands behind the end of a series


@every_network
@every_precision
def test_nothing_is_read_of_targets_and_weights_behind_the_ends(name, dtype):
    engine, X, y, w = of_layers(name, dtype, 12, pair=("squared_error", "identity"), weights="y")
    there = points_there(X, engine.network)
    theta = parameters(engine.network)
    expected = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.1)
    y, w = y.copy(), w.copy()
    y[~there], w[~there] = np.nan, np.nan
    found = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.1)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


@jit_only
@pytest.mark.parametrize("name", ["convolutions", "batch"])
@pytest.mark.parametrize("n", [1, 3, 13])
@every_precision
def test_what_series_are_filled_up_to_changes_no_bit(name, n, dtype):
    engine, X, y, w = of_layers(name, dtype, n, weights="points")
    outputs, theta, arrays = engine.predict(X), vector_of(engine), engine.unpack()
    assert outputs.shape == (n, 11, OUTPUTS)
    value, gradient = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.1)
    for points in (12, 30):
        wide = np.full((n, CHANNELS, points), np.nan, dtype)
        wide[:, :, :11] = X.reshape(n, CHANNELS, 11)
        fill = ((0, 0), (0, points - 11))
        other = CpuEngine(network_of(name, ("log_loss", "softmax"), points), dtype)
        other.pack(arrays)
        rows = wide.reshape(n, -1)
        found = other.predict(rows)
        np.testing.assert_array_equal(found[:, :11], outputs)
        assert (found[:, 11:] == 0).all()
        its_value, its_gradient = other.loss_gradient(
            theta, other.dataset(rows, np.pad(y, fill), np.pad(w, fill)), 0.1
        )
        if name != "batch":  # whose sums over the minibatch are in blocks of values
            np.testing.assert_array_equal(its_gradient, gradient)
        atol = tolerance(dtype) * np.abs(gradient).max()
        np.testing.assert_allclose(its_gradient, gradient, rtol=0, atol=atol)
        np.testing.assert_allclose(its_value, value, rtol=tolerance(dtype))


# Predictions


def assert_predictions_agree(of_series, of_points, theta, series):
    for engine in (of_series, of_points):
        pack(engine, theta)
    dtype, limit = of_series.dtype, 3e-5 if of_series.dtype == np.float32 else 1e-12
    for output in ("activation", "logits"):
        found = of_series.predict(series.X, output)
        assert found.shape == (*series.there.shape, of_series.network.outputs)
        assert found.dtype == dtype
        expected = of_points.predict(series.rows, output)
        np.testing.assert_allclose(found[series.there], expected, rtol=limit, atol=limit)
        assert (found[~series.there] == 0).all()


@some_losses
@every_precision
def test_predictions_are_those_of_single_points(pair, dtype):
    for n, points in ((1, 1), (7, 1), (1, 12), (3, 5), (MANY, 9)):
        engines = both(pair, dtype, points)
        for whole in (False, True):
            assert_predictions_agree(*engines, Series(engines[0], n, points, whole=whole))


@jit_only
@every_network
@every_precision
def test_a_series_is_predicted_the_same_in_any_company(name, dtype):
    n = 300
    engine, X, *_ = of_layers(name, dtype, n)
    whole = engine.predict(X)
    for start, stop in [(0, 1), (n - 1, n), (5, 8), (1, 18), (2, n)]:
        np.testing.assert_array_equal(engine.predict(X[start:stop]), whole[start:stop])
    np.testing.assert_array_equal(engine.predict(X[::-1]), whole[::-1])
    np.testing.assert_array_equal(engine.predict(np.asfortranarray(X)), whole)


def test_no_series_have_no_predictions():
    engine = CpuEngine(pointwise(("log_loss", "softmax")), np.float64)
    assert engine.predict(np.empty((0, 21))).shape == (0, 7, OUTPUTS)


def overflowing(engine):
    """Parameters, in packing order, of which every logit is a sum that overflows."""
    most = 0.9 * np.finfo(engine.dtype).max
    sizes = CHANNELS * HIDDEN, HIDDEN * OUTPUTS, HIDDEN, OUTPUTS
    return np.repeat([0.0, most, 20.0, 0.0], sizes)


@some_losses
@every_precision
def test_whether_everything_is_finite_is_told(pair, dtype):
    engine, _, theta = both(pair, dtype)
    series = Series(engine, 20)
    expected, finite = engine.predict_checked(series.X)
    assert finite
    spoilt = series.X.copy()
    spoilt[7, 0] = np.inf
    found, finite = engine.predict_checked(spoilt)
    assert not finite
    others = np.arange(20) != 7
    np.testing.assert_array_equal(found[others], expected[others])
    pack(engine, overflowing(engine))
    assert not engine.predict_checked(series.X)[1]
    pack(engine, theta)
    again, finite = engine.predict_checked(series.X)
    assert finite
    np.testing.assert_array_equal(again, expected)


def test_an_output_that_overflows_is_told():
    engine, _, theta = both(("poisson", "exp"), np.float64)
    series = Series(engine, 20)
    assert engine.predict_checked(series.X)[1]
    theta[-OUTPUTS:] = 800.0
    pack(engine, theta)
    assert np.isfinite(engine.predict(series.X, "logits")).all()
    assert not engine.predict_checked(series.X)[1]


@every_precision
def test_samples_of_predictions_draw_for_every_point(dtype):
    layers = Conv(8, 3, "tanh"), Dropout(0.5), Conv(OUTPUTS, 1, "identity")
    network = Network(CHANNELS * 9, layers, "log_loss", "softmax", shape=(CHANNELS, 9))
    engine = CpuEngine(network, dtype)
    pack(engine, parameters(network))
    series = Series(engine, 20, 9)
    samples = engine.predict_samples(series.X, 3, seed=2)
    assert samples.shape == (3, 20, 9, OUTPUTS)
    np.testing.assert_array_equal(samples, engine.predict_samples(series.X, 3, seed=2))
    np.testing.assert_array_equal(samples[:, 4:7], engine.predict_samples(series.X, 3, 2)[:, 4:7])
    assert (samples[:, ~series.there] == 0).all()
    np.testing.assert_allclose(samples[:, series.there].sum(axis=-1), 1, rtol=1e-5)
    assert not (samples[0] == samples[1]).all()


# Training


@pytest.mark.parametrize("weights", [None, "rows", "points"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_minibatches_are_those_of_their_points(weights, solver):
    """Twenty steps; the third minibatch has no weight and is skipped."""
    of_series, of_points, _ = both(("log_loss", "softmax"), np.float64)
    n, batch = 35, 7
    series = Series(of_series, n, weights=weights)
    order = np.random.default_rng(4).permutation(n)
    if weights is not None:
        series.w[order[14:21]] = 0
    numbers = np.cumsum(series.there).reshape(series.there.shape) - 1
    optimizers = [engine.optimizer(solver) for engine in (of_series, of_points)]
    for one in optimizers:
        one.learning_rate = 0.05
    data, rows = series.dataset(of_series), of_points.dataset(*series.of_points)
    for _ in range(4):
        result = of_series.train(data, order, batch, optimizers[0], 0.1, 0, n // batch)
        total, skipped = 0.0, 0
        for first in range(0, n, batch):
            chosen = order[first : first + batch]
            points = numbers[chosen][series.there[chosen]]
            one = of_points.train(rows, points, len(points), optimizers[1], 0.1, 0, 1)
            total += one.loss / len(points) * batch
            skipped += one.skipped
        assert result.skipped == skipped == (weights is not None)
        np.testing.assert_allclose(result.loss, total, rtol=1e-12)
    for found, expected in zip(of_series.unpack(), of_points.unpack(), strict=True):
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=0, atol=1e-12)


def test_lbfgs_finds_the_minimum_over_all_points():
    engines = both(("squared_error", "identity"), np.float64)
    series, (of_series, of_points, theta) = Series(engines[0], 12, weights="points"), engines
    options = {"max_iter": 400, "max_fun": 1000, "tol": 1e-9, "verbose": False}
    whole = objective_of(of_series, series.dataset(of_series), 0.5)
    found = minimize_lbfgs(whole, theta, **options)
    data = of_points.dataset(*series.of_points)
    expected = minimize_lbfgs(objective_of(of_points, data, 0.5), theta, **options)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-7)


def trained(name, dtype, n=110, batch=48, epochs=3, pair=("log_loss", "softmax")):
    """Parameters, losses, gradient of all and predictions after some epochs."""
    engine, X, y, w = of_layers(name, dtype, n, pair=pair, weights="points")
    optimizer = engine.optimizer("adam", seed=5)
    optimizer.learning_rate = 0.01
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(epochs)])
    dataset = engine.dataset(X, y, w)
    losses = engine.train_epochs(dataset, orders, batch, optimizer, 1e-3)
    after, outputs = engine.unpack(), engine.predict(X)
    value, gradient = engine.loss_gradient(vector_of(engine), dataset, 0.1)
    return [*after, np.array(losses), outputs, np.array(value), gradient]


@jit_only
@every_network
@pytest.mark.parametrize("parallel", [0, plan.PARALLEL_TRAIN])
@every_precision
def test_bits_do_not_depend_on_threads(name, parallel, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", parallel)
    monkeypatch.setattr(plan, "PARALLEL_PREDICT", parallel)
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


@jit_only
@every_precision
def test_rows_that_join_are_taken_in_segments(dtype, monkeypatch):
    """Batch normalization in parts of a minibatch gives what it does in one."""
    expected = trained("batch", dtype)
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "JOINED_WORK", 0)
    for found, wanted in zip(trained("batch", dtype), expected, strict=True):
        limit = 2e-3 if dtype == np.float32 else 1e-10
        np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit)


# Points of images, and what is refused


def test_points_of_images_have_targets_as_well():
    shape, pair = (CHANNELS, 4, 5), ("log_loss", "softmax")
    layers = Conv(HIDDEN, 1, "tanh"), Conv(OUTPUTS, 1, "identity")
    engine = CpuEngine(Network(60, layers, *pair, shape=shape), np.float64)
    of_points, theta = CpuEngine(dense(pair), np.float64), parameters(dense(pair))
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, CHANNELS, 20)), rng.integers(0, OUTPUTS, (6, 20))
    value, gradient = engine.loss_gradient(theta, engine.dataset(X.reshape(6, -1), y), 0.1)
    rows = X.transpose(0, 2, 1).reshape(-1, CHANNELS)
    expected = of_points.loss_gradient(theta, of_points.dataset(rows, y.ravel()), 0.1)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=1e-13)
    outputs = engine.predict(X.reshape(6, -1))
    np.testing.assert_allclose(outputs.reshape(-1, OUTPUTS), of_points.predict(rows), rtol=1e-12)


def test_the_shape_of_a_rows_targets():
    assert pointwise(("log_loss", "softmax")).target_shape == (7,)
    assert pointwise(("log_loss", "softmax"), points=1).target_shape == (1,)
    assert dense(("log_loss", "softmax")).target_shape == ()
    assert network_of("strides", ("log_loss", "softmax")).target_shape == (4,)
    beginning = pointwise(("log_loss", "softmax")).first(1)
    assert beginning.target_shape == ()
    assert CpuEngine(beginning, np.float64).predict(np.zeros((2, 21))).shape == (2, HIDDEN * 7)


def test_groups_of_logits_at_every_point_are_refused():
    layers = (Conv(4, 1, "identity"),)
    with pytest.raises(ValueError, match="A target at every point of a series is one of a single"):
        Network(21, layers, "log_loss", "softmax", groups=(2, 2), shape=(CHANNELS, 7))


def test_targets_and_weights_of_another_shape_are_refused():
    of_labels = CpuEngine(pointwise(("log_loss", "softmax")), np.float64)
    of_values = CpuEngine(pointwise(("squared_error", "identity")), np.float64)
    X, labels, values = np.zeros((5, 21)), np.zeros((5, 7), int), np.zeros((5, 7, OUTPUTS))
    for wrong in (labels[:, :6], labels[:4], labels[:, 0], labels[:, :, np.newaxis]):
        with pytest.raises(ValueError, match=r"The target has shape .*, but \(5, 7\) is needed"):
            of_labels.dataset(X, wrong)
    for wrong in (values[:, :6], values[:, 0], values[:, :, :2], labels.astype(float)):
        with pytest.raises(ValueError, match=r"The target has shape .*, but \(5, 7, 4\) is needed"):
            of_values.dataset(X, wrong)
    for wrong in (np.ones(4), np.ones((5, 6)), np.ones((5, 1))):
        with pytest.raises(ValueError, match="The sample weights have shape"):
            of_labels.dataset(X, labels, wrong)
    labels[2, 3] = OUTPUTS
    with pytest.raises(ValueError, match="class numbers from 0 to 4, but the network has 4 outp"):
        of_labels.dataset(X, labels)
    flat = CpuEngine(dense(("log_loss", "softmax")), np.float64)
    with pytest.raises(ValueError, match="The sample weights have shape"):
        flat.dataset(np.zeros((5, 3)), labels[:, 0], np.ones((5, 7)))
