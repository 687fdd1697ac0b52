"""Losses by row in the CPU's engine: against the oracle, differences and their definition."""

import functools

import numba
import numpy as np
import pytest

import naive
from engine_problems import DTYPES, tolerance
from entries_of_tests import actions
from nnjit.backends.cpu import CpuEngine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network

CATEGORICAL, GAUSSIAN = ("clipped_policy", "softmax"), ("clipped_gaussian_policy", "identity")
PAIRS = [CATEGORICAL, GAUSSIAN]
OPTIONS = [{}, {"clip": np.inf, "entropy": 0.02}, {"clip": 0.05, "entropy": 0.4}]
OUTPUTS = 4
SIZES = (1, 7, 17) if numba.config.DISABLE_JIT else (1, 7, 8, 17, 255, 257, 600)
every_pair = pytest.mark.parametrize("pair", PAIRS, ids="-".join)
every_precision = pytest.mark.parametrize("dtype", DTYPES)


def linear(pair, options, dtype, n):
    """(engine of a linear network, its packed parameters, X, y, weights)."""
    network = Network(3, (Dense(OUTPUTS, "identity"),), *pair, tuple(options.items()))
    engine, rng = CpuEngine(network, dtype), np.random.default_rng(n)
    theta = rng.normal(0, 0.4, network.n_parameters).astype(dtype).astype(float)
    X, w = rng.normal(size=(n, 3)).astype(dtype), rng.integers(0, 3, n).astype(dtype)
    w[0] = 1
    return engine, theta, X, actions(engine.loss_entry, n, OUTPUTS, rng).astype(dtype), w


def oracles_loss(pair, options, theta, X, y, w):
    """Mean loss by the oracle, in float64."""
    X, y, w = (one.astype(float) for one in (X, y, w))
    z = logits(theta, X)
    return (w * naive.losses_of_rows(*pair, y, z, **options)).sum() / w.sum()


@every_pair
@every_precision
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_loss_and_gradient_are_the_oracles(pair, options, dtype):
    for n in SIZES:
        engine, theta, X, y, w = linear(pair, options, dtype, n)
        value, gradient = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.0)
        expected = oracles_loss(pair, options, theta, X, y, w)
        limits = {"rtol": tolerance(dtype), "atol": tolerance(dtype)}
        np.testing.assert_allclose(value, expected, **limits)
        if n in (7, 17, 257):
            oracle = functools.partial(oracles_loss, pair, options, X=X, y=y, w=w)
            differences = naive.central_differences(oracle, theta)
            atol = 1e-4 if dtype == np.float32 else 1e-8
            np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=atol)


@every_pair
def test_gradient_of_a_deep_network_is_that_of_differences(pair):
    layers = (Dense(5, "tanh"), Dense(3, "silu"), Dense(OUTPUTS, "identity"))
    engine = CpuEngine(Network(3, layers, *pair, (("entropy", 0.1),)), np.float64)
    rng, n = np.random.default_rng(4), 11
    X, y = rng.normal(size=(n, 3)), actions(engine.loss_entry, n, OUTPUTS, rng)
    theta = rng.normal(0, 0.7, engine.network.n_parameters)
    dataset = engine.dataset(X, y)
    _, gradient = engine.loss_gradient(theta, dataset, 0.3)
    loss = functools.partial(engine.loss_gradient, dataset=dataset, alpha=0.3)
    differences = naive.central_differences(lambda theta: loss(theta)[0], theta)
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-8)


@every_pair
@every_precision
def test_a_minibatch_moves_the_parameters_against_that_gradient(pair, dtype):
    engine, theta, X, y, w = linear(pair, {"entropy": 0.1}, dtype, 40)
    _, gradient = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.1)
    dataset, optimizer = engine.dataset(X, y, w), engine.optimizer("sgd", momentum=0.0)
    optimizer.learning_rate = 0.25
    engine.pack([theta[: 3 * OUTPUTS].reshape(3, OUTPUTS), theta[3 * OUTPUTS :]])
    result = engine.train(dataset, np.arange(40), 40, optimizer, 0.1, 0, 1)
    moved = (theta - np.concatenate([one.ravel() for one in engine.unpack()])) / 0.25
    np.testing.assert_allclose(moved, gradient, rtol=tolerance(dtype), atol=tolerance(dtype))
    assert result.finite and result.skipped == 0


def logits(theta, X):
    return X @ theta[: 3 * OUTPUTS].reshape(3, OUTPUTS) + theta[3 * OUTPUTS :]


def log_probabilities(pair, theta, X, y):
    """Of the actions in `y` by the oracle: with an advantage of 1 the loss is minus the ratio."""
    plain = np.c_[y[:, :-2], np.ones(len(y)), np.zeros(len(y))]
    return np.log(-naive.losses_of_rows(*pair, plain, logits(theta, X), clip=np.inf))


@every_pair
def test_without_clipping_it_is_the_policy_gradient(pair):
    """-A grad log p at the policy that took the actions, whatever the sign of A."""
    engine, theta, X, y, _ = linear(pair, {"clip": np.inf}, np.float64, 30)
    y[:, -1] = log_probabilities(pair, theta, X, y)
    assert (y[:, -2] < 0).any() and (y[:, -2] > 0).any()
    _, gradient = engine.loss_gradient(theta, engine.dataset(X, y), 0.0)
    expected = naive.central_differences(
        lambda theta: -(y[:, -2] * log_probabilities(pair, theta, X, y)).mean(), theta
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@every_pair
@pytest.mark.parametrize("advantage", [1.0, -1.0])
@pytest.mark.parametrize("change", [0.5, -0.5])
def test_an_action_that_became_likely_enough_is_pushed_no_further(pair, advantage, change):
    """Nor one that became unlikely enough; the way back is open."""
    engine, theta, X, y, _ = linear(pair, {}, np.float64, 30)
    y[:, -2], y[:, -1] = advantage, log_probabilities(pair, theta, X, y) - change
    _, gradient = engine.loss_gradient(theta, engine.dataset(X, y), 0.0)
    assert gradient.any() == (advantage * change < 0)


@every_pair
@every_precision
def test_nothing_overflows(pair, dtype):
    """At logits and deviations out of all proportion, and at actions next to impossible."""
    engine, theta, X, y, _ = linear(pair, {"entropy": 0.01}, dtype, 24)
    y[::3, -1] = -1e4
    for scale in (1.0, 1e2, 1e4):
        value, gradient = engine.loss_gradient(theta * scale, engine.dataset(X, y), 0.0)
        assert np.isfinite(value) and np.isfinite(gradient).all()


def test_probabilities_are_the_predictions_of_a_softmax():
    engine, theta, X, *_ = linear(CATEGORICAL, {}, np.float64, 24)
    engine.pack([theta[: 3 * OUTPUTS].reshape(3, OUTPUTS), theta[3 * OUTPUTS :]])
    expected = naive.softmax(logits(theta, X))
    np.testing.assert_allclose(engine.predict(X), expected, rtol=1e-12)


@every_pair
def test_targets_that_would_be_read_outside_are_refused(pair):
    engine, _, X, y, w = linear(pair, {}, np.float64, 24)
    shape = (24, y.shape[1])
    for bad in (y[:, :-1], y[:23], y[:, :1], np.c_[y, y]):
        with pytest.raises(ValueError, match=rf"but \({shape[0]}, {shape[1]}\) is needed"):
            engine.dataset(X, bad, w)
    with pytest.raises(ValueError, match="The sample weights have shape"):
        engine.dataset(X, y, w[:5])


@pytest.mark.parametrize("action", [-1.0, 4.0, np.nan])
def test_an_action_that_there_is_not_is_refused(action):
    engine, _, X, y, _ = linear(CATEGORICAL, {}, np.float64, 24)
    y[3, 0] = action
    with pytest.raises(ValueError, match="class numbers from"):
        engine.dataset(X, y)
    y[3, 0] = 1.5
    with pytest.raises(ValueError, match="no whole numbers"):
        engine.dataset(X, y)


def test_what_a_loss_by_row_is_not_for_is_refused():
    layers = (Dense(OUTPUTS, "identity"),)
    y, X = np.zeros((5, 3)), np.zeros((5, 3))
    groups = CpuEngine(Network(3, layers, *CATEGORICAL, groups=(2, 2)), np.float64)
    with pytest.raises(ValueError, match="'clipped_policy' is of one action for each row"):
        groups.dataset(X, y)
    odd = CpuEngine(Network(3, (Dense(3, "identity"),), *GAUSSIAN), np.float64)
    with pytest.raises(ValueError, match="a mean and a deviation"):
        odd.dataset(X, y)
    with pytest.raises(ValueError, match="entropy of the loss must be finite"):
        Network(3, layers, *CATEGORICAL, (("entropy", np.inf),))
    with pytest.raises(ValueError, match="clip of the loss must be finite"):
        Network(3, layers, *CATEGORICAL, (("clip", np.nan),))
    with pytest.raises(ValueError, match="'clipped_policy' does not go with"):
        _ = CpuEngine(Network(3, layers, "clipped_policy", "identity"), np.float64).loss_entry
