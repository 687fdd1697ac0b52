"""Layers on series and images that are there for vectors too: normalization, dropout, residual.

Their values lie packed, with the samples innermost, so what is tried is odd numbers of rows.
"""

import numba
import numpy as np
import pytest
from comparing import packed

import naive
from engine_problems import DTYPES, some_differences
from nnjit.backends.cpu import CpuEngine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.residual.spec import Residual

every_precision = pytest.mark.parametrize("dtype", DTYPES)
every_number = pytest.mark.parametrize("n", [1, 5, 17])
SHAPES = {"series": (3, 7), "image": (2, 3, 5)}
every_shape = pytest.mark.parametrize("form", SHAPES)
OUTPUTS = 2


def limit(dtype):
    return 1e-3 if dtype == np.float32 else 1e-10


def stack(shape, *layers):
    """A network that ends in a dense layer on all values."""
    layers = (*layers, Flatten(), Dense(OUTPUTS, "identity"))
    return Network(size_of(shape), layers, "squared_error", "identity", shape=shape)


def alone(shape, *layers):
    """A network that gives out the values of its layers."""
    size = size_of(shape)
    layers = (*layers, Flatten(), Dense(size, "identity"))
    return Network(size, layers, "squared_error", "identity", shape=shape)


def parameters(made, seed=0):
    rng = np.random.default_rng(seed)
    found = [rng.standard_normal(one.shape) / 2 for _, one in made.parameters()]
    return [
        np.abs(array) + 0.5 if one.name in ("scale", "variance") else array
        for array, (_, one) in zip(found, made.parameters(), strict=True)
    ]


def unpacked(made, vector):
    ends = np.cumsum([made.parameters()[number][1].size for number in made.packing()])
    found = [None] * len(ends)
    for number, part in zip(made.packing(), np.split(vector, ends[:-1]), strict=True):
        found[number] = part.reshape(made.parameters()[number][1].shape)
    return found


def samples(n, shape, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (n, *shape)), rng.standard_normal((n, OUTPUTS))


def lengths_of(n, shape, form):
    """Points of each series, None where all have all."""
    if form != "ragged":
        return None
    return np.random.default_rng(n).integers(1, shape[-1] + 1, n)


def rows_of(x, lengths, dtype):
    """X as an engine takes it: points that a series does not have are NaN."""
    x = x.copy()
    if lengths is not None:
        x[~np.repeat(naive.points_there(x, lengths)[:, np.newaxis], x.shape[1], axis=1)] = np.nan
    return x.reshape(len(x), -1).astype(dtype)


def without_tails(x, lengths):
    return np.where(naive.points_there(x, lengths)[:, np.newaxis], x, 0)


# -- batch normalization ----------------------------------------------------------------

FORMS = {**SHAPES, "ragged": (3, 7)}
every_form = pytest.mark.parametrize("form", FORMS)
ACTIVATIONS = ["identity", "relu", "logistic", "gelu"]  # of these logistic is not 0 at 0
PHI = {**naive.ACTIVATIONS, "gelu": naive.MORE_ACTIVATIONS["gelu"][0]}
SLOPES = {
    "gelu": naive.MORE_ACTIVATIONS["gelu"][1],
    "identity": np.ones_like,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "logistic": lambda z: naive.logistic(z) * (1 - naive.logistic(z)),
}


def normalized(shape, activation, **options):
    """Two normalizations, the second of which makes the delta of what is not an input."""
    return stack(
        shape, Normalization("batch", activation, **options), Normalization("batch", activation)
    )


def forward(arrays, x, lengths, activation, running=False):
    """(inputs, pre-activations) of both normalizations, and what is flattened."""
    found = []
    for scale, shift, mean, variance in (arrays[:4], arrays[4:8]):
        statistics = (mean, variance) if running else ()
        z = naive.normalize_channels(x, scale, shift, lengths, *statistics)
        found.append((x, z))
        x = without_tails(PHI[activation](z), lengths)
    return found, x


def oracle(arrays, x, y, w, lengths, activation):
    """Loss and its gradient by each parameter; none by running statistics."""
    x = without_tails(x, lengths)
    (first, second), top = forward(arrays, x, lengths, activation)
    weights, biases = arrays[8:]
    flat = top.reshape(len(x), -1)
    p = flat @ weights + biases
    delta = naive.logits_gradient(y, p, w) / OUTPUTS
    found = [flat.T @ delta, delta.sum(axis=0)]
    delta = (delta @ weights.T).reshape(top.shape)
    for (below, z), scale in ((second, arrays[4]), (first, arrays[0])):
        dz = delta * SLOPES[activation](z)
        delta, *gradients = naive.normalize_channels_backward(dz, below, scale, lengths)
        found = [*gradients, np.zeros_like(scale), np.zeros_like(scale), *found]
    return naive.squared_error(y, p, w), found


@every_form
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n", [1, 5, 17, 40])
@every_precision
def test_gradient_through_normalized_channels_is_that_of_the_oracle(form, activation, n, dtype):
    shape = FORMS[form]
    made, lengths = normalized(shape, activation), lengths_of(n, shape, form)
    arrays, (x, y) = parameters(made), samples(n, shape)
    w = np.random.default_rng(2).integers(1, 4, n).astype(float)
    expected_loss, expected = oracle(arrays, x, y, w, lengths, activation)
    engine = CpuEngine(made, dtype)
    dataset = engine.dataset(rows_of(x, lengths, dtype), y.astype(dtype), w.astype(dtype))
    loss, found = engine.loss_gradient(packed(made, arrays), dataset, 0.0)
    np.testing.assert_allclose(loss, expected_loss, rtol=limit(dtype))
    scale = max(np.abs(one).max() for one in expected)
    for a, b in zip(unpacked(made, found), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit(dtype) * scale)


@every_form
@pytest.mark.parametrize("activation", ["relu", "logistic"])
@every_precision
def test_predictions_of_normalized_channels_are_those_of_the_oracle(form, activation, dtype):
    """By running statistics, whatever rows stand together."""
    shape, n = FORMS[form], 20 if numba.config.DISABLE_JIT else 300
    made, lengths = normalized(shape, activation), lengths_of(n, shape, form)
    arrays, (x, _) = parameters(made), samples(n, shape)
    top = forward(arrays, without_tails(x, lengths), lengths, activation, running=True)[1]
    expected = top.reshape(n, -1) @ arrays[-2] + arrays[-1]
    engine = CpuEngine(made, dtype)
    engine.pack(arrays)
    rows = rows_of(x, lengths, dtype)
    found = engine.predict(rows)
    np.testing.assert_allclose(found, expected, rtol=limit(dtype), atol=limit(dtype))
    for start, stop in [(0, 1), (3, 4), (1, 17), (2, n)]:
        np.testing.assert_array_equal(engine.predict(rows[start:stop]), found[start:stop])


@every_form
@pytest.mark.parametrize("batch", [1, 7, 20])
@every_precision
def test_running_statistics_count_the_points_of_each_minibatch(form, batch, dtype):
    """The rest of an epoch is a smaller minibatch, and of series none has as many points."""
    shape, n, momentum = FORMS[form], 47, 0.3
    made = normalized(shape, "relu", momentum=momentum)
    arrays, (x, y), lengths = parameters(made), samples(n, shape), lengths_of(n, shape, form)
    engine = CpuEngine(made, dtype)
    engine.pack(arrays)
    optimizer = engine.optimizer("sgd", momentum=0.0)
    optimizer.learning_rate = 0.0
    order = np.random.default_rng(3).permutation(n)
    dataset = engine.dataset(rows_of(x, lengths, dtype), y.astype(dtype))
    engine.train(dataset, order, batch, optimizer, 0.0, 0, -(-n // batch))
    mean, variance = arrays[2:4]
    for start in range(0, n, batch):
        rows = order[start : start + batch]
        there = naive.points_there(x[rows], None if lengths is None else lengths[rows])
        values = np.moveaxis(x[rows], 1, -1)[there]
        unbiased = values.var(axis=0) * len(values) / max(len(values) - 1, 1)
        mean = mean + momentum * (values.mean(axis=0) - mean)
        variance = variance + momentum * (unbiased - variance)
    for a, b in zip(engine.unpack()[2:4], (mean, variance), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="too many values for plain Python")
@pytest.mark.parametrize("form", ["series", "ragged"])
def test_very_many_values_far_from_zero_keep_their_variance_in_float32(form):
    """2 * 10^5 values of a channel, 10000 + noise, of which float32 keeps three digits."""
    shape, n = (2, 2000), 100
    rng = np.random.default_rng(0)
    x = (1e4 + rng.standard_normal((n, *shape))).astype(np.float32).astype(float)
    x[: n // 2] += 3.0  # what a running sum would lose
    lengths = rng.integers(1, shape[1] + 1, n) if form == "ragged" else None
    values = np.moveaxis(x, 1, -1)[naive.points_there(x, lengths)]
    made = stack(shape, Normalization("batch", momentum=1.0))
    engine = CpuEngine(made, np.float32)
    engine.pack([np.zeros(one.shape) for _, one in made.parameters()])
    optimizer = engine.optimizer("sgd")
    optimizer.learning_rate = 0.0
    dataset = engine.dataset(rows_of(x, lengths, np.float32), np.zeros((n, OUTPUTS), np.float32))
    engine.train(dataset, np.arange(n), n, optimizer, 0.0, 0, 1)
    mean, variance = engine.unpack()[2:4]
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(variance, values.var(axis=0, ddof=1), rtol=2e-6)


def test_what_stands_behind_the_end_of_a_series_changes_nothing():
    """A series of 7 points is the same among rows of 7 and of 9; a shift would give it two more."""
    n, lengths = 12, np.random.default_rng(0).integers(1, 8, 12)
    found = []
    for points in (7, 9):
        x, y = samples(n, (3, 7))
        x = np.concatenate([x, np.zeros((n, 3, points - 7))], axis=2)
        made = normalized((3, points), "logistic")
        arrays = parameters(made)
        weights = np.random.default_rng(5).standard_normal((3, 9, OUTPUTS))[:, :points]
        arrays[-2:] = weights.reshape(-1, OUTPUTS), np.array([0.5, -1.0])
        engine = CpuEngine(made, np.float64)
        dataset = engine.dataset(rows_of(x, lengths, np.float64), y)
        loss, slope = engine.loss_gradient(packed(made, arrays), dataset, 0.0)
        *first, dense, biases = unpacked(made, slope)
        found.append([loss, *first, dense.reshape(3, points, OUTPUTS)[:, :7], biases])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


# -- dropout ----------------------------------------------------------------------------

SEED = 2**33 + 7


@every_shape
@every_number
@every_precision
def test_masks_of_packed_values_are_those_of_the_oracle(form, n, dtype):
    """Each value of a row is a unit."""
    shape, rate = SHAPES[form], 0.3
    made, size = alone(shape, Dropout(rate)), size_of(shape)
    engine = CpuEngine(made, dtype)
    engine.pack([np.eye(size), np.zeros(size)])
    x = samples(n, shape)[0].reshape(n, -1).astype(dtype)
    factors = [naive.dropout_factors(SEED, number, 0, n, size, rate) for number in range(2)]
    found = engine.predict_samples(x, 2, SEED)
    np.testing.assert_allclose(found, x * np.array(factors), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(found == 0, np.array(factors) == 0)
    np.testing.assert_array_equal(engine.predict(x), x)


def tanh_and_dropout(shape):
    """What the dropout reads is read again in the backward pass, so it has rows of its own."""
    return stack(shape, Normalization("batch", "tanh"), Dropout(0.4))


def relu_and_dropout(shape):
    """The dropout's backward pass ends in the derivative of the ReLU below."""
    return stack(shape, Normalization("batch", "relu"), Dropout(0.4))


@every_shape
@every_number
@pytest.mark.parametrize("network", [tanh_and_dropout, relu_and_dropout])
@every_precision
def test_deltas_of_packed_values_are_dropped_as_they_are(form, n, network, dtype):
    shape = SHAPES[form]
    made, size = network(shape), size_of(shape)
    scale, shift, *_, weights, biases = arrays = parameters(made)
    x, y = samples(n, shape)
    activation = made.layers[0].activation
    z = naive.normalize_channels(x, scale, shift)
    h = PHI[activation](z)
    factors = naive.dropout_factors(SEED, 0, 1, n, size, 0.4).reshape(h.shape)
    flat = (h * factors).reshape(n, -1)
    delta = (flat @ weights + biases - y) / n  # in a minibatch that of the sum over the outputs
    dz = (delta @ weights.T).reshape(h.shape) * factors * naive.DERIVATIVES[activation](h)
    _, d_scale, d_shift = naive.normalize_channels_backward(dz, x, scale)
    engine = CpuEngine(made, dtype)
    engine.pack(arrays)
    optimizer = engine.optimizer("sgd", seed=SEED, momentum=0.0)
    optimizer.learning_rate = 1.0
    dataset = engine.dataset(x.reshape(n, -1).astype(dtype), y.astype(dtype))
    engine.train(dataset, np.arange(n), n, optimizer, 0.0, 0, 1)
    slopes = [before - after for before, after in zip(arrays, engine.unpack(), strict=True)]
    expected = [d_scale, d_shift, flat.T @ delta, delta.sum(axis=0)]
    most = max(np.abs(one).max() for one in expected)
    for a, b in zip([*slopes[:2], *slopes[4:]], expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit(dtype) * most)


# -- residual layers --------------------------------------------------------------------

BLOCKS = {
    "around one layer": (Normalization("batch", "tanh"), Residual(1)),
    "around two": (
        Normalization("batch", "relu"), Normalization("batch", "tanh"), Residual(2)
    ),
    "nested": (
        Normalization("batch", "relu"), Normalization("batch", "tanh"), Residual(1),
        Normalization("batch", "relu"), Residual(4),
    ),
    "around dropout": (
        Normalization("batch", "relu"), Normalization("batch", "relu"), Dropout(0.3), Residual(2)
    ),
    "below a normalization": (
        Normalization("batch", "relu"), Residual(1), Normalization("batch", "relu")
    ),
}  # fmt: skip
every_block = pytest.mark.parametrize("block", BLOCKS)


@every_shape
@every_number
@every_precision
def test_packed_values_are_added_up(form, n, dtype):
    """The inputs, and their values normalized by running statistics."""
    shape = SHAPES[form]
    made, size = alone(shape, Normalization("batch"), Residual(1)), size_of(shape)
    arrays = [*parameters(made)[:4], np.eye(size), np.zeros(size)]
    engine = CpuEngine(made, dtype)
    engine.pack(arrays)
    x = samples(n, shape)[0]
    scale, shift, mean, variance = arrays[:4]
    expected = x + naive.normalize_channels(x, scale, shift, None, mean, variance)
    found = engine.predict(x.reshape(n, -1).astype(dtype))
    np.testing.assert_allclose(found, expected.reshape(n, -1), rtol=limit(dtype), atol=limit(dtype))


@every_form
@pytest.mark.parametrize("n", [5, 17])
@every_block
def test_gradient_around_packed_layers_by_differences(form, n, block):
    shape = FORMS[form]
    made, lengths = stack(shape, *BLOCKS[block]), lengths_of(n, shape, form)
    engine, (x, y) = CpuEngine(made, np.float64), samples(n, shape)
    dataset, theta = (
        engine.dataset(rows_of(x, lengths, np.float64), y),
        packed(made, parameters(made)),
    )
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    trained = sum(one.size for _, one in made.parameters() if one.trained)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-6, first=trained
    )
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=2e-6 * np.abs(found).max())
    narrow = CpuEngine(made, np.float32)
    dataset = narrow.dataset(rows_of(x, lengths, np.float32), y.astype(np.float32))
    np.testing.assert_allclose(
        narrow.loss_gradient(theta, dataset, 0.1)[1], found, rtol=0, atol=1e-3 * np.abs(found).max()
    )
