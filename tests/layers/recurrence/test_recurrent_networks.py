"""Networks with recurrent layers: the oracle, threads, company, filling, long series."""

import numba
import numpy as np
import pytest
from comparing import packed, parameters, unpacked
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import naive
import naive_networks
from engine_problems import DTYPES, tolerance
from nnjit.backends import plan, tuner
from nnjit.backends.cpu import CpuEngine
from nnjit.core.simd import TILE
from nnjit.layers import (
    GRU,
    LSTM,
    RNN,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Normalization,
    Pool,
    Residual,
)
from nnjit.layers.network import Network

# What takes long without compilation is tried with cells alone, in test_recurrent_cells.py.
pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes too long")
every_precision = pytest.mark.parametrize("dtype", DTYPES)
WIDTH = TILE.bytes // 4
CHANNELS, POINTS, OUTPUTS = 3, 9, 2

NETWORKS = {
    "rnn": (RNN(7),),
    "gru": (GRU(6),),
    "lstm": (LSTM(5),),
    "stacked": (GRU(5, return_sequences=True), LSTM(4, return_sequences=True), RNN(6)),
    "both ways": (
        LSTM(4, True, True), GRU(3, bidirectional=True), Dense(5, "relu"),
    ),
    "convolutions": (
        Conv(6, 4), Pool("max"), Conv(4, 3, "tanh"), GRU(6, return_sequences=True, truncate=2),
        GlobalPool("mean"),
    ),
    "residual": (
        RNN(3, return_sequences=True, activation="relu"), Residual(1),
        GRU(3, return_sequences=True), LSTM(3, return_sequences=True), Residual(2),
        GlobalPool("max"),
    ),
    "batch": (
        Conv(5, 3, "identity"), Normalization("batch", "relu"), GRU(4, True, True),
        Normalization("batch"), LSTM(5), Normalization("batch", "tanh"),
    ),
    "to the end": (LSTM(3, return_sequences=True), Conv(2, 3, padding="valid"), Flatten()),
}  # fmt: skip
RANDOM = {
    "dropout": (
        Dropout(0.2), GRU(6, return_sequences=True, recurrent_dropout=0.3), Dropout(0.4),
        LSTM(5, True, recurrent_dropout=0.5), Dropout(0.3),
    ),
}  # fmt: skip
every_network = pytest.mark.parametrize("name", NETWORKS)


def network_of(layers, points=POINTS, channels=CHANNELS):
    layers = (*layers, Dense(OUTPUTS, "identity"))
    return Network(channels * points, layers, "squared_error", "identity", shape=(channels, points))


def samples(made, n, dtype, unequal=True, seed=1, least=1):
    """Series with NaN behind their ends, their lengths, and targets."""
    rng, (channels, points) = np.random.default_rng(seed), made.shape
    X = rng.standard_normal((n, channels, points)).astype(dtype)
    lengths = rng.integers(least, points + 1, n) if unequal else np.full(n, points)
    for series, length in zip(X, lengths, strict=True):
        series[:, length:] = np.nan
    return X, lengths, rng.standard_normal((n, OUTPUTS)).astype(dtype)


def rows_of(X):
    return X.reshape(len(X), -1)


def engine_of(made, dtype, seed=0):
    engine = CpuEngine(made, dtype)
    engine.pack(parameters(made, dtype, seed))
    return engine


def found_with(made, X, y, dtype, seed=0, w=None):
    """Predictions, loss and gradient."""
    engine, arrays = engine_of(made, dtype, seed), parameters(made, dtype, seed)
    dataset = engine.dataset(rows_of(X), y, w)
    return engine.predict(rows_of(X)), *engine.loss_gradient(packed(made, arrays), dataset, 0.0)


def assert_near(found, expected, dtype, factor=1):
    limit = factor * tolerance(dtype) * max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def assert_equal_the_oracle(made, n, dtype, unequal=True, seed=0, least=1):
    X, lengths, y = samples(made, n, dtype, unequal, seed + 1, least)
    w = np.random.default_rng(seed).integers(1, 4, n).astype(dtype)
    outputs, loss, gradient = found_with(made, X, y, dtype, seed, w)
    arrays = [array.astype(float) for array in parameters(made, dtype, seed)]
    given = np.nan_to_num(X.astype(float))
    values, _ = naive_networks.forward(made, arrays, given, lengths, training=False)
    assert_near(outputs, values[-1], dtype)
    expected = naive_networks.squared_error(made, arrays, given, y.astype(float), lengths, w)
    value, gradients = expected
    np.testing.assert_allclose(loss, value, rtol=tolerance(dtype))
    for a, b in zip(unpacked(made, gradient), gradients, strict=True):
        if b is not None:
            assert_near(a, b, dtype, factor=3)


# The oracle


@every_network
@every_precision
def test_predictions_and_gradients_equal_the_oracle(name, dtype):
    made = network_of(NETWORKS[name])
    least = 3 if name == "to the end" else 1
    for n, unequal in [(1, True), (5, True), (WIDTH, False), (2 * WIDTH + 1, True)]:
        assert_equal_the_oracle(made, n, dtype, unequal, least=least)


@st.composite
def recurrent_layers(draw, every):
    both, units = draw(st.booleans()), draw(st.integers(1, 9))
    cell = draw(st.sampled_from([RNN, GRU, LSTM]))
    options = {"activation": draw(st.sampled_from(["tanh", "relu"]))} if cell is RNN else {}
    truncate = None if both else draw(st.sampled_from([None, None, 1, 3]))
    return cell(units, both, every, truncate=truncate, **options)


@st.composite
def stacks(draw):
    """Layers over series of some channels, with a recurrent one at least."""
    channels = width = draw(st.integers(1, 4))
    layers = []
    for kind in draw(st.lists(st.sampled_from("rrcpnd"), max_size=4)):
        if kind == "r":
            part = draw(recurrent_layers(True))
        elif kind == "c":
            options = draw(st.sampled_from([{}, {"stride": 2}, {"dilation": 2}]))
            part = Conv(draw(st.integers(1, 6)), draw(st.integers(1, 4)), "tanh", **options)
        elif kind == "p":
            method, size = draw(st.sampled_from(["max", "mean"])), draw(st.integers(1, 3))
            part = Pool(method, size, draw(st.integers(1, 2)))
        elif kind == "n":
            part = Normalization("batch", draw(st.sampled_from(["tanh", "identity"])))
        else:
            units = (width, False, True)
            layers += [draw(st.sampled_from([RNN(*units), GRU(*units), LSTM(*units)]))]
            part = Residual(1)
        layers.append(part)
        width = part.outputs((width, 99))[0]
    ends = st.sampled_from([(GlobalPool("mean"),), (GlobalPool("max"),), (Flatten(),), (GRU(3),)])
    last = draw(recurrent_layers(draw(st.booleans())))
    end = draw(ends) if last.return_sequences else ()
    return channels, (*layers, last, *end)


@given(
    stack=stacks(),
    points=st.integers(1, 12),
    n=st.sampled_from([1, 2, 5, WIDTH, WIDTH + 1, 40]),
    unequal=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def equal_the_oracle(stack, points, n, unequal, dtype, seed):
    channels, layers = stack
    try:
        made = network_of(layers, points, channels)
    except ValueError:  # no window fits
        assume(False)
    alive = [one > 0 for one in made.lengths if one is not None]
    least = int(np.all(alive, axis=0).argmax())
    batch = any(layer.kind == "normalization" for layer in layers)
    # means of few values that are nearly equal, which rounding makes anything
    assume(not batch or (n > 4 and dtype == np.float64))
    assert_equal_the_oracle(made, n, dtype, unequal, seed, least)


def test_random_networks_equal_the_oracle():
    settings(max_examples=60, deadline=None, derandomize=True, database=None)(equal_the_oracle)()


def test_gradients_of_unequal_series_by_differences():
    for name in ("stacked", "both ways", "residual"):
        made = network_of(NETWORKS[name], 5)
        X, _, y = samples(made, 4, np.float64)
        engine = engine_of(made, np.float64)
        dataset, theta = engine.dataset(rows_of(X), y), packed(made, parameters(made, np.float64))
        _, found = engine.loss_gradient(theta, dataset, 0.0)
        numeric = naive.central_differences(
            lambda t, engine=engine, dataset=dataset: engine.loss_gradient(t, dataset, 0.0)[0],
            theta,
        )
        np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-6 * np.abs(found).max())


@every_precision
def test_long_series_equal_the_oracle(dtype):
    for layers in [(GRU(5),), (LSTM(4, True, True), GlobalPool("mean")), (RNN(4),)]:
        made = network_of(layers, 2000)
        X, lengths, y = samples(made, 3, dtype)
        lengths[0], X[0] = 2000, np.nan_to_num(X[0])
        outputs, loss, gradient = found_with(made, X, y, dtype)
        arrays = [array.astype(float) for array in parameters(made, dtype)]
        given = np.nan_to_num(X.astype(float)), y.astype(float)
        value, gradients = naive_networks.squared_error(made, arrays, *given, lengths)
        values, _ = naive_networks.forward(made, arrays, given[0], lengths)
        assert_near(outputs, values[-1], dtype)
        np.testing.assert_allclose(loss, value, rtol=tolerance(dtype))
        for a, b in zip(unpacked(made, gradient), gradients, strict=True):
            assert_near(a, b, dtype, factor=3)


def test_gradients_in_float32_are_accurate_over_many_points():
    """Sums of 2e5 numbers one after another would be wrong in the third digit."""
    made = network_of((RNN(3, return_sequences=True), GlobalPool("mean")), 1000, 1)
    arrays = parameters(made, np.float64)
    arrays[1][:], arrays[2][:], arrays[3][:] = 0, 0.3, 0.1
    gradients = []
    for dtype in DTYPES:
        engine = CpuEngine(made, dtype)
        X, y = np.full((200, 1000), 0.1, dtype), np.ones((200, OUTPUTS), dtype)
        dataset = engine.dataset(X, y)
        gradients.append(unpacked(made, engine.loss_gradient(packed(made, arrays), dataset, 0)[1]))
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-5)


# A target at every point


def test_a_target_at_every_point_equals_the_oracle():
    for layers in [
        (GRU(5, return_sequences=True),),
        (Conv(4, 3, "tanh"), LSTM(3, True, True), Normalization("batch")),
    ]:
        made = Network(
            CHANNELS * POINTS, (*layers, Conv(OUTPUTS, 1, "identity")), "squared_error", "identity",
            shape=(CHANNELS, POINTS),
        )  # fmt: skip
        for n, unequal in [(1, False), (7, True), (40, True)]:
            X, lengths, _ = samples(made, n, np.float64, unequal)
            y = np.random.default_rng(n).normal(size=(n, POINTS, OUTPUTS))
            w = np.random.default_rng(n).integers(1, 4, n).astype(float)
            outputs, loss, gradient = found_with(made, X, y, np.float64, w=w)
            arrays, given = parameters(made, np.float64), np.nan_to_num(X)
            values, _ = naive_networks.forward(made, arrays, given, lengths, training=False)
            there = np.arange(POINTS) < lengths[:, np.newaxis]
            expected = values[-1].transpose(0, 2, 1)
            assert_near(outputs[there], expected[there], np.float64)
            assert (outputs[~there] == 0).all()
            value, gradients = naive_networks.squared_error(made, arrays, given, y, lengths, w)
            np.testing.assert_allclose(loss, value, rtol=1e-11)
            for a, b in zip(unpacked(made, gradient), gradients, strict=True):
                if b is not None:
                    assert_near(a, b, np.float64, factor=3)


# Bits


def trained(made, dtype, n=90, batch=40, epochs=2, unequal=True):
    """Parameters, losses and predictions after some epochs."""
    engine = engine_of(made, dtype)
    optimizer = engine.optimizer("adam", seed=5)
    optimizer.learning_rate = 0.01
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(epochs)])
    X, _, y = samples(made, n, dtype, unequal)
    losses = engine.train_epochs(engine.dataset(rows_of(X), y), orders, batch, optimizer, 1e-3)
    return [*engine.unpack(), np.array(losses), engine.predict(rows_of(X))]


@pytest.mark.parametrize("name", ["stacked", "both ways", "convolutions", "batch", "dropout"])
@every_precision
def test_bits_do_not_depend_on_threads(name, dtype, monkeypatch):
    made = network_of({**NETWORKS, **RANDOM}[name])
    for parallel in (0, plan.PARALLEL_TRAIN):
        monkeypatch.setattr(plan, "PARALLEL_TRAIN", parallel)
        results = []
        for threads in (1, 2, 4):
            monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
            several = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

            def always(self, function, first, last, several=several):
                function(several, first, last)

            monkeypatch.setattr(tuner.Tuner, "run", always)
            results.append(trained(made, dtype))
        assert all(np.isfinite(one).all() for one in results[0])
        for found in results[1:]:
            for a, b in zip(found, results[0], strict=True):
                np.testing.assert_array_equal(a, b)


@every_network
@every_precision
def test_a_row_is_predicted_the_same_in_any_company_and_block(name, dtype, monkeypatch):
    made = network_of(NETWORKS[name])
    X = rows_of(samples(made, 300, dtype, least=3)[0])
    engine = engine_of(made, dtype)
    whole = engine.predict(X)
    assert np.isfinite(whole).all()
    for part in (slice(0, 1), slice(299, 300), slice(5, 8), slice(1, 18), slice(280, 297)):
        np.testing.assert_array_equal(engine.predict(X[part]), whole[part])
    for number in (0, 17, 299):
        among = np.repeat(X[number : number + 1], 17, axis=0)
        np.testing.assert_array_equal(engine.predict(among), whole[[number] * 17])
    np.testing.assert_array_equal(engine.predict(X[::-1]), whole[::-1])
    for rows in (64, 16):
        monkeypatch.setattr(plan, "BLOCK_ROWS", rows)
        np.testing.assert_array_equal(engine_of(made, dtype).predict(X), whole)


def of_length(X, points):
    """The same series, each filled up to so many points."""
    filled = np.full((*X.shape[:2], points), np.nan, X.dtype)
    filled[:, :, : X.shape[2]] = X
    return filled


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "to the end"])
@every_precision
def test_what_series_are_filled_up_to_changes_nothing(name, dtype):
    """No bit of a prediction, nor of the gradient of few rows; many are cut into parts by work."""
    for n in (1, 3, 5, 40):
        made = network_of(NETWORKS[name])
        X, _, y = samples(made, n, dtype, least=2)
        outputs, loss, gradient = found_with(made, X, y, dtype)
        assert np.isfinite(outputs).all()
        for points in (POINTS + 1, POINTS + 5, 5 * POINTS):
            longer = network_of(NETWORKS[name], points)
            found, its_loss, its_gradient = found_with(longer, of_length(X, points), y, dtype)
            np.testing.assert_array_equal(found, outputs)
            if n < 8 and name != "batch":
                assert its_loss == loss
                np.testing.assert_array_equal(its_gradient, gradient)
            np.testing.assert_allclose(its_loss, loss, rtol=tolerance(dtype))
            assert_near(its_gradient, gradient, dtype)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "to the end"])
@every_precision
def test_a_series_by_itself_without_filling_is_predicted_as_among_others(name, dtype):
    made = network_of(NETWORKS[name])
    X, lengths, y = samples(made, 20, dtype, least=2)
    lengths[0] = 2
    X[0, :, 2:] = np.nan
    outputs, *_ = found_with(made, X, y, dtype)
    for number, length in enumerate(lengths[:8]):
        alone = X[number : number + 1, :, :length]
        engine = engine_of(network_of(NETWORKS[name], length), dtype)
        np.testing.assert_array_equal(engine.predict(rows_of(alone))[0], outputs[number])


@every_precision
def test_equal_lengths_said_and_not_said_are_the_same(dtype):
    """With lengths rows are sorted, and stay where they are."""
    made, longer = network_of(NETWORKS["stacked"]), network_of(NETWORKS["stacked"], POINTS + 1)
    for n in (1, 7, 40):
        X, _, y = samples(made, n, dtype, unequal=False)
        plain = found_with(made, X, y, dtype)
        said = found_with(longer, of_length(X, POINTS + 1), y, dtype)
        np.testing.assert_array_equal(said[0], plain[0])
        for a, b in zip(said[1:], plain[1:], strict=True):
            assert_near(a, b, dtype)


@every_precision
def test_equal_runs_give_equal_bits_and_training_lowers_the_loss(dtype):
    for name in ("stacked", "both ways", "batch"):
        made = network_of(NETWORKS[name])
        one, two = (trained(made, dtype, 40, 12, epochs=4) for _ in range(2))
        assert one[-2][-1] < one[-2][0]
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(a, b)


@every_precision
def test_samples_follow_from_seed_number_and_row(dtype):
    made = network_of(RANDOM["dropout"])
    engine, X = engine_of(made, dtype), rows_of(samples(made, 40, dtype)[0])
    found = engine.predict_samples(X, 3, 5)
    np.testing.assert_array_equal(engine.predict_samples(X, 3, 5), found)
    for rows in (1, 17):
        np.testing.assert_array_equal(engine.predict_samples(X[:rows], 3, 5), found[:, :rows])
    assert (found[0] != found[1]).any(axis=1).all()
    assert (engine.predict_samples(X, 3, 6) != found).any(axis=2).all()
    plain = engine.predict(X)
    np.testing.assert_array_equal(engine.predict(X), plain)
    many = engine.predict_samples(X[:2], 2000, 1).astype(float)
    spread = many.std(axis=0) / np.sqrt(len(many))
    assert (spread > 0).all()
    # gates are not linear, so the mean is near what is predicted, not at it
    assert (np.abs(many.mean(axis=0) - plain[:2]) < 4 * spread + 0.3).all()


@every_network
@every_precision
def test_nothing_is_left_of_nan_for_the_next_minibatch(name, dtype):
    made = network_of(NETWORKS[name])
    engine, fresh = engine_of(made, dtype), engine_of(made, dtype)
    X, _, y = samples(made, 45, dtype, least=3)
    X, spoilt = rows_of(X), rows_of(samples(made, 45, dtype, unequal=False)[0])
    spoilt[:, :2], spoilt[:, -1] = np.inf, -np.inf
    theta = packed(made, parameters(made, dtype))
    engine.loss_gradient(theta, engine.dataset(spoilt, y), 0.0)
    engine.predict(spoilt)
    engine.pack(parameters(made, dtype))  # running statistics
    for n in (45, 13, 5):
        np.testing.assert_array_equal(engine.predict(X[:n]), fresh.predict(X[:n]))
        one, two = (
            each.loss_gradient(theta, each.dataset(X[:n], y[:n]), 0.0) for each in (engine, fresh)
        )
        assert np.isfinite(one[1]).all()
        assert one[0] == two[0]
        np.testing.assert_array_equal(one[1], two[1])
