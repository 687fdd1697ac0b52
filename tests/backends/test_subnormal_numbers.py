"""Numbers too small for all their digits, on which processors are slow, do not stay in a solver."""

import numpy as np
import pytest

from engine_problems import DTYPES
from entries_of_tests import add_entries
from nnjit.backends.select import make_engine
from nnjit.core.jobs.rounding import flushes_subnormals
from nnjit.formulas import SOLVERS
from nnjit.layers.network import mlp

pytestmark = pytest.mark.skipif(
    not flushes_subnormals(), reason="this processor, or plain Python, computes with them as ever"
)
every_solver = pytest.mark.parametrize("solver", [*SOLVERS, "plain", "three"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
OPTIONS = {"plain": {}, "clipped": {"clip_norm": 1e9}, "averaged": {"average": 0.5}}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
N, BATCH = 40, 8
# Of the weights of a column: nothing reaches those of the first, next to nothing the second's.
DEAD, FAINT, ALIVE = 0, 1, 2


def is_subnormal(values):
    return (values != 0) & (np.abs(values) < np.finfo(values.dtype).smallest_normal)


def engine_and_data(dtype, faint=0.0, width=2):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 3)).astype(dtype)
    X[:, DEAD], X[:, FAINT] = 0, X[:, FAINT] * dtype(faint)
    engine = make_engine(mlp(3, (), width, "identity", "squared_error", "identity"), dtype)
    engine.pack([rng.standard_normal((3, width)).astype(dtype), np.ones(width, dtype)])
    return engine, engine.dataset(X, rng.standard_normal((N, width)).astype(dtype))


def started(engine, solver, value, **options):
    """An optimizer all of whose vectors are at some value."""
    optimizer = engine.optimizer(solver, **options)
    optimizer.learning_rate = 0.01
    optimizer.vectors[:] = value
    return optimizer


def train(engine, dataset, optimizer, alpha=0.0, epochs=3):
    orders = np.tile(np.arange(N), (epochs, 1))
    return engine.train_epochs(dataset, orders, BATCH, optimizer, alpha)


def of_weights(optimizer, name, width=2):
    """A vector as the weights are: one row for each column of X."""
    return optimizer.state()["vectors"][name][: 3 * width].reshape(3, width)


@every_solver
@every_option
@every_dtype
def test_no_vector_keeps_subnormal_numbers(dtype, options, solver, monkeypatch):
    add_entries(monkeypatch)
    engine, dataset = engine_and_data(dtype)
    value = np.finfo(dtype).smallest_normal / 8
    optimizer = started(engine, solver, value, **options)
    train(engine, dataset, optimizer)
    for name in optimizer.solver.vectors:
        vector = of_weights(optimizer, name)
        assert not is_subnormal(vector).any()
        assert (vector[DEAD] == 0).all() and vector[ALIVE].all()


@every_dtype
def test_moments_that_decay_end_at_zero(dtype):
    """They would stop at some subnormal number whose product with beta rounds to itself."""
    engine, dataset = engine_and_data(dtype)
    optimizer = started(engine, "adam", np.finfo(dtype).smallest_normal * 8, beta_2=0.75)
    train(engine, dataset, optimizer, epochs=30)
    for name in ("first_moment", "second_moment"):
        assert (of_weights(optimizer, name)[DEAD] == 0).all()


@pytest.mark.parametrize("solver", ["adam", "amsgrad", "adamw", "rmsprop", "adagrad"])
@every_dtype
def test_subnormal_squares_count_as_zero(dtype, solver):
    """The gradient of the column is an ordinary number."""
    faint = float(np.sqrt(np.finfo(dtype).smallest_normal)) / 64
    engine, dataset = engine_and_data(dtype, faint)
    optimizer = started(engine, solver, 0)
    train(engine, dataset, optimizer)
    for name in optimizer.solver.squares:
        assert (of_weights(optimizer, name)[FAINT] == 0).all()
    for name in set(optimizer.solver.vectors) - set(optimizer.solver.squares):
        assert of_weights(optimizer, name)[FAINT].all()


@pytest.mark.parametrize("solver", ["adamw", "lion"])
@every_dtype
def test_weights_that_decay_end_at_zero(dtype, solver):
    engine, dataset = engine_and_data(dtype)
    weights, biases = engine.unpack()
    weights[DEAD] = np.finfo(dtype).smallest_normal * 4
    engine.pack([weights, biases])
    train(engine, dataset, started(engine, solver, 0, weight_decay=50.0))
    assert (engine.unpack()[0][DEAD] == 0).all()


@every_dtype
def test_averages_of_weights_that_became_zero_end_at_zero(dtype):
    engine, dataset = engine_and_data(dtype)
    weights, biases = engine.unpack()
    weights[DEAD] = 0
    engine.pack([weights, biases])
    optimizer = started(engine, "sgd", np.finfo(dtype).smallest_normal * 4, average=0.5)
    optimizer.clock[0] = 1000  # the first steps would take the weights as they are
    optimizer.vectors[0] = 0
    train(engine, dataset, optimizer)
    assert (of_weights(optimizer, "average")[DEAD] == 0).all()


@every_dtype
def test_subnormal_numbers_are_as_ever_after_a_fit(dtype):
    """The processor's mode is that of a thread, and not ours to keep."""
    engine, dataset = engine_and_data(dtype)
    normal = np.full(64, np.finfo(dtype).smallest_normal)
    train(engine, dataset, started(engine, "adam", 0, clip_norm=0.1))
    assert is_subnormal(normal / dtype(2)).all()


@every_dtype
def test_inputs_may_be_subnormal(dtype):
    """Only while parameters move are such numbers 0: predictions see them."""
    engine, _ = engine_and_data(dtype)
    engine.pack([np.ones((3, 2), dtype), np.zeros(2, dtype)])
    X = np.full((4, 3), np.finfo(dtype).smallest_subnormal)
    np.testing.assert_array_equal(engine.predict(X), np.full((4, 2), X[0].sum()))
