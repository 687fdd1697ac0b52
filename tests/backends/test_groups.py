"""Several softmaxes side by side against the oracle: gradients, epochs, prediction, bits."""

import itertools

import numba
import numpy as np
import pytest

import naive
from engine_problems import DTYPES, in_layers, packed, some_differences, tolerance
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine
from nnjit.layers.network import mlp

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
GROUPS = [(2, 2), (3, 1, 4), (1, 17, 2)]


def problem(dtype, n, units, groups, weighted=False, seed=0):
    """(coefs, intercepts, X, class numbers, one-hot targets, weights)."""
    rng = np.random.default_rng(seed)
    units = (*units, sum(groups))
    X = rng.standard_normal((n, units[0])).astype(dtype)
    y = np.stack([rng.integers(0, size, n) for size in groups], axis=1).astype(np.int32)
    dense = np.hstack([np.eye(size, dtype=dtype)[y[:, k]] for k, size in enumerate(groups)])
    coefs = [(rng.standard_normal(shape) / np.sqrt(shape[0])).astype(dtype)
             for shape in itertools.pairwise(units)]  # fmt: skip
    intercepts = [rng.standard_normal(k).astype(dtype) / 4 for k in units[1:]]
    w = rng.integers(0, 4, n).astype(dtype) if weighted else None
    return coefs, intercepts, X, y, dense, w


def engine_for(units, groups, dtype):
    inputs, *hidden = units
    network = mlp(inputs, hidden, sum(groups), "tanh", "log_loss", "softmax", groups=groups)
    return make_engine(network, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_equals_the_oracle(dtype, groups, weighted):
    for n, units in ((5, (3,)), (33, (7, 16, 17)), (300, (9, 31))):
        coefs, intercepts, X, y, dense, w = problem(dtype, n, units, groups, weighted)
        engine = engine_for(units, groups, dtype)
        value, gradient = engine.loss_gradient(
            packed(coefs, intercepts), engine.dataset(X, y, w), 0.3
        )
        loss, output = naive.grouped(groups)
        arguments = (coefs, intercepts, X, dense, (loss, output), "tanh", 0.3, w)
        expected = packed(*naive.network_gradient(*arguments))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance(dtype) * scale)
        np.testing.assert_allclose(value, naive.network_loss(*arguments), rtol=tolerance(dtype))


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_by_differences(groups, weighted):
    coefs, intercepts, X, y, _, w = problem(np.float64, 20, (4, 5), groups, weighted, seed=5)
    engine = engine_for((4, 5), groups, np.float64)
    dataset = engine.dataset(X, y, w)
    theta = packed(coefs, intercepts)
    _, gradient = engine.loss_gradient(theta, dataset, 0.1)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-5
    )
    assert np.abs(gradient[some] - numeric).max() / np.abs(gradient).max() < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", GROUPS)
def test_a_row_is_predicted_the_same_in_any_company(dtype, groups):
    coefs, intercepts, X, *_ = problem(dtype, 300, (11, 33), groups)
    engine = engine_for((11, 33), groups, dtype)
    engine.pack(in_layers(coefs, intercepts))
    whole = engine.predict(X)
    _, output = naive.grouped(groups)
    logits = naive.network_forward(coefs, intercepts, X, "tanh", "identity")[-1]
    np.testing.assert_allclose(whole, output(logits), rtol=tolerance(dtype), atol=1e-6)
    np.testing.assert_allclose(engine.predict(X, output="logits"), logits, atol=1e-4)
    for start, stop in [(0, 1), (3, 4), (1, 17), (250, 300), (5, 262)]:
        np.testing.assert_array_equal(engine.predict(X[start:stop]), whole[start:stop])


@pytest.mark.parametrize("dtype", DTYPES)
def test_epochs_equal_the_oracle(dtype):
    groups, n, batch = (3, 2, 4), 150, 32
    coefs, intercepts, X, y, dense, w = problem(dtype, n, (6, 18), groups, True, seed=3)
    w[64:96] = 0  # the third minibatch of the first epoch is skipped
    engine = engine_for((6, 18), groups, dtype)
    engine.pack(in_layers(coefs, intercepts))
    dataset, optimizer = engine.dataset(X, y, w), engine.optimizer("adam")
    optimizer.learning_rate, reference = 0.01, naive.Adam(0.01)
    for order in (np.arange(n), np.random.default_rng(1).permutation(n)):
        result = engine.train(dataset, order, batch, optimizer, 0.1, 0, -(-n // batch))
        expected = naive.train_epoch(
            coefs, intercepts, X, dense, order, batch, reference, naive.grouped(groups), "tanh",
            0.1, w,
        )  # fmt: skip
        np.testing.assert_allclose(result.loss, expected, rtol=tolerance(dtype))
        assert result.skipped == (order[1] == 1)
    limit = tolerance(dtype)
    for got, wanted in zip(engine.unpack(), in_layers(coefs, intercepts), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_group_of_all_logits_is_what_no_group_is_to_the_bit(dtype):
    coefs, intercepts, X, y, _, w = problem(dtype, 200, (6, 18), (5,), True)
    results = []
    for groups, labels in (((), y[:, 0]), ((5,), y)):
        network = mlp(6, (18,), 5, "tanh", "log_loss", "softmax", groups=groups)
        engine = make_engine(network, dtype)
        engine.pack(in_layers(coefs, intercepts))
        optimizer = engine.optimizer("adam")
        optimizer.learning_rate = 0.01
        dataset = engine.dataset(X, labels, w)
        loss = engine.train(dataset, np.arange(200), 32, optimizer, 0.1, 0, 7).loss
        results.append([np.array(loss), *engine.unpack(), engine.predict(X)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@jit_only
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [700, 2500])
def test_bits_do_not_depend_on_threads(dtype, batch, monkeypatch):
    groups, n, units = (4, 3, 2), 2500, (64, 150)
    assert batch * (64 * 150 + 150 * 9) >= plan.PARALLEL_TRAIN
    coefs, intercepts, X, y, _, w = problem(dtype, n, units, groups, True)
    order = np.random.default_rng(0).permutation(n)
    before, results = numba.get_num_threads(), []
    try:
        for count in (1, 2, min(4, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))

            def always(tuner, function, first, last, parallel=count > 1):
                function(parallel, first, last)

            monkeypatch.setattr(tuner.Tuner, "run", always)
            engine = engine_for(units, groups, dtype)
            engine.pack(in_layers(coefs, intercepts))
            optimizer = engine.optimizer("adam")
            optimizer.learning_rate = 0.01
            dataset = engine.dataset(X, y, w)
            loss = engine.train(dataset, order, batch, optimizer, 0.1, 0, -(-n // batch)).loss
            results.append([np.array(loss), *engine.unpack(), engine.predict(X)])
    finally:
        numba.set_num_threads(before)
    for found in results[1:]:
        for a, b in zip(found, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_class_numbers_without_an_output_are_refused_by_column():
    _, _, X, y, _, _ = problem(np.float64, 20, (6, 18), (3, 2))
    engine = engine_for((6, 18), (3, 2), np.float64)
    with pytest.raises(ValueError, match=r"The target has shape \(20,\), but \(20, 2\) is needed"):
        engine.dataset(X, y[:, 0])
    y[4, 1] = 2
    with pytest.raises(ValueError, match="class numbers from 0 to 2, but the network has 2 out"):
        engine.dataset(X, y)
