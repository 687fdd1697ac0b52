"""Minibatches whose rows depend on one another, in parts that meet on the way."""

import numba
import numpy as np
import pytest

import naive
from engine_problems import some_differences
from nnjit.backends import plan, tuner
from nnjit.backends.cpu import CpuEngine
from nnjit.backends.program import make_program
from nnjit.backends.segments import cut
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.residual.spec import Residual

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
TINY = 10**9  # PARALLEL_TRAIN from which on every minibatch is one part


def batch(activation="tanh"):
    return Normalization("batch", activation)


# name -> (shape of a row, layers)
NETWORKS = {
    "vectors": (
        4, (Dense(9, "identity"), batch(), Dense(9, "identity"), batch("relu"), Residual(2))
    ),
    "first": (4, (batch("gelu"), Dense(5, "relu"), batch(), batch("logistic"))),
    "dropped": (4, (Dense(17, "identity"), batch("relu"), Dropout(0.3), Dense(5, "relu"))),
    "series": ((2, 7), (batch("relu"), batch("logistic"), Residual(1), Flatten())),
    "ragged": ((2, 7), (batch("relu"), batch("logistic"), Residual(1), Flatten())),
    "images": ((3, 2, 4), (batch("gelu"), Dropout(0.3), batch(), Flatten(), Dense(5, "relu"))),
}  # fmt: skip
every_network = pytest.mark.parametrize("name", NETWORKS)
GROUPS = (2, 3)


def network_of(name, groups=()):
    shape, layers = NETWORKS[name]
    inputs, given = (shape, ()) if isinstance(shape, int) else (int(np.prod(shape)), shape)
    outputs, loss = (5, ("log_loss", "softmax")) if groups else (2, ("squared_error", "identity"))
    layers = (*layers, Dense(outputs, "identity"))
    return Network(inputs, layers, *loss, groups=groups, shape=given)


def samples(name, n, dtype, groups=()):
    rng = np.random.default_rng(n)
    made = network_of(name)
    x = rng.normal(1.0, 2.0, (n, made.inputs))
    if name == "ragged":
        there = naive.points_there(x.reshape(n, *made.shape), rng.integers(1, 8, n))
        x[~np.repeat(there[:, np.newaxis], made.shape[0], axis=1).reshape(n, -1)] = np.nan
    y = rng.standard_normal((n, 2)).astype(dtype)
    if groups:
        y = np.column_stack([rng.integers(0, size, n) for size in groups])
    return x.astype(dtype), y, rng.integers(1, 4, n).astype(dtype)


def engine_of(network, dtype):
    rng, engine = np.random.default_rng(0), CpuEngine(network, dtype)
    engine.pack([
        np.abs(values) + 0.5 if one.name in ("scale", "variance") else values
        for _, one in network.parameters()
        for values in [rng.standard_normal(one.shape) / 2]
    ])  # fmt: skip
    return engine


def packed(engine):
    arrays = engine.unpack()
    return np.concatenate([arrays[k].ravel() for k in engine.network.packing()]).astype(float)


def gradient(name, n, dtype):
    """Loss, gradient and parts over all rows at once."""
    engine = engine_of(network_of(name), dtype)
    loss, found = engine.loss_gradient(
        packed(engine), engine.dataset(*samples(name, n, dtype)), 0.1
    )
    return loss, found, engine._full_batch.n_parts


def trained(name, n, rows, dtype, epochs=2, groups=(), weights=None, pieces=(), **options):
    """Parameters, losses and parts after some epochs of SGD."""
    engine = engine_of(network_of(name, groups), dtype)
    optimizer = engine.optimizer("sgd", seed=5, **options)
    optimizer.learning_rate = 0.02
    x, y, w = samples(name, n, dtype, groups)
    dataset = engine.dataset(x, y, w if weights is None else weights)
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(epochs)])
    if not pieces:
        losses = engine.train_epochs(dataset, orders, rows, optimizer, 0.1)
        return engine.unpack(), losses, engine._current.n_parts
    losses = [
        sum(
            engine.train(dataset, order, rows, optimizer, 0.1, first, last).loss
            for first, last in pieces
        )
        for order in orders
    ]
    return engine.unpack(), losses, engine._current.n_parts


def in_parts(monkeypatch, parts=4):
    """Have every minibatch be cut, into fewer parts where vectors of rows do not go so often."""
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "_blocks", lambda *given: (1, parts))


def assert_close(found, expected, dtype):
    limit = 1e-11 if dtype == np.float64 else 3e-4
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


def test_passes_are_cut_where_rows_meet():
    """Behind the first half of a layer on the way up, and behind the second on the way down."""
    network = network_of("vectors")
    program = make_program(network, np.float64, sparse=False, training=True)
    segments = cut(program)
    # input, dense, two halves, join of the residual layer, dense, two halves, residual, dense
    assert len(segments.steps) == len(program.steps) + 2
    phases = segments.phases(1, "after_gradients", 9)
    n = len(segments.steps)
    assert [phase[2] for phase in phases] == [2, 3, 4, 5, 9]
    assert phases[0][3] == 0 and phases[-1][4] == 2 * n + 1
    assert all(before[4] == after[3] for before, after in zip(phases, phases[1:], strict=False))
    assert [phase[1] for phase in phases] == ["after_segment"] * 4 + ["after_gradients"]
    where = [int(phase[4]) for phase in phases[:-1]]
    assert [position + mirror for position, mirror in zip(where, where[::-1], strict=True)] == [
        2 * n + 1
    ] * 4


def test_nothing_is_put_together_for_a_delta_that_nobody_asks_for():
    network = Network(3, (batch(), Dense(1, "identity")), "squared_error", "identity")
    segments = cut(make_program(network, np.float64, sparse=False, training=True))
    assert len(segments.phases(0, "after_run", 0)) == 2


@every_network
@pytest.mark.parametrize("n", [17, 40, 150])
@every_precision
def test_gradient_in_parts_is_that_of_one(name, n, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", TINY)
    loss, expected, parts = gradient(name, n, dtype)
    assert parts == 1
    in_parts(monkeypatch)
    found_loss, found, parts = gradient(name, n, dtype)
    assert parts == 4 or (n < 150 and parts > 1)
    np.testing.assert_allclose(found_loss, loss, rtol=1e-12 if dtype == np.float64 else 1e-5)
    limit = 1e-12 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit * np.abs(expected).max())


@every_network
@pytest.mark.parametrize("fused", [0, TINY])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5}], ids=["free", "clipped"])
@every_precision
def test_steps_in_parts_are_those_of_one(name, fused, options, dtype, monkeypatch):
    """The rest of an epoch is a minibatch of one row."""
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", TINY)
    expected, expected_losses, parts = trained(name, 161, 80, dtype, **options)
    assert parts == 1
    in_parts(monkeypatch)
    found, losses, parts = trained(name, 161, 80, dtype, **options)
    assert parts > 1
    assert_close([*found, losses], [*expected, expected_losses], dtype)


@every_precision
def test_several_softmaxes_in_parts_are_as_in_one(dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", TINY)
    expected, expected_losses, _ = trained("vectors", 90, 40, dtype, groups=GROUPS)
    in_parts(monkeypatch)
    found, losses, parts = trained("vectors", 90, 40, dtype, groups=GROUPS)
    assert parts > 1
    assert_close([*found, losses], [*expected, expected_losses], dtype)


@pytest.mark.parametrize("name", ["vectors", "ragged"])
@every_precision
def test_minibatches_without_weight_are_left_out_in_parts_too(name, dtype, monkeypatch):
    """Neither parameters nor running statistics move, as in one part; rows without weight count."""
    n, rows = 160, 40
    order = np.random.default_rng(0).permutation(n)
    weights = np.ones(n, dtype)
    weights[order[rows : 2 * rows]] = 0
    weights[order[:7]] = 0
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", TINY)
    expected, losses, _ = trained(name, n, rows, dtype, epochs=1, weights=weights)
    in_parts(monkeypatch)
    found, again, parts = trained(name, n, rows, dtype, epochs=1, weights=weights)
    assert parts > 1
    assert_close([*found, again], [*expected, losses], dtype)


@every_precision
def test_calls_may_end_behind_any_minibatch(dtype, monkeypatch):
    in_parts(monkeypatch)
    together, *_ = trained("dropped", 161, 40, dtype)
    for pieces in ([(0, 5)], [(0, 1), (1, 3), (3, 5)]):
        found, *_ = trained("dropped", 161, 40, dtype, pieces=pieces)
        for a, b in zip(found, together, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_not_finite_ends_the_job_in_parts_too(monkeypatch):
    in_parts(monkeypatch)
    engine = engine_of(network_of("vectors"), np.float64)
    x, y, w = samples("vectors", 80, np.float64)
    y[50:] = np.inf
    optimizer = engine.optimizer("sgd")
    result = engine.train(engine.dataset(x, y, w), np.arange(80), 40, optimizer, 0.0, 0, 2)
    assert not result.finite
    assert optimizer.clock[0] == 1.0  # the first minibatch moved the parameters


@jit_only
@every_network
@pytest.mark.parametrize("fused", [0, TINY])
@every_precision
def test_bits_do_not_depend_on_threads(name, fused, dtype, monkeypatch):
    in_parts(monkeypatch)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    results = []
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        several = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

        def always(self, function, first, last, several=several):
            function(several, first, last)

        monkeypatch.setattr(tuner.Tuner, "run", always)
        results.append([*trained(name, 161, 80, dtype)[:2], *gradient(name, 150, dtype)[:2]])
    for arrays, *others in results[1:]:
        for a, b in zip(arrays, results[0][0], strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(others, results[0][1:], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name", ["vectors", "ragged", pytest.param("images", marks=jit_only)]
)  # plain Python takes a minute for images
def test_gradient_in_parts_by_differences(name, monkeypatch):
    in_parts(monkeypatch)
    engine = engine_of(network_of(name), np.float64)
    dataset, theta = engine.dataset(*samples(name, 40, np.float64)), packed(engine)
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    assert engine._full_batch.n_parts > 1
    trained = sum(one.size for _, one in engine.network.parameters() if one.trained)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-5, first=trained
    )
    atol = 1e-6 * np.abs(found).max()
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=atol)


def test_little_work_is_one_part():
    """Its phases would cost more than threads bring."""
    engine = CpuEngine(network_of("vectors"), np.float64)
    engine.loss_gradient(packed(engine), engine.dataset(*samples("vectors", 200, np.float64)), 0.0)
    assert engine._full_batch.n_parts == 1 and engine._full_batch._segments is None
