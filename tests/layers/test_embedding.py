"""Embeddings of categories against the oracle, with codes of every kind."""

import numba
import numpy as np
import pytest
from comparing import packed
from pytorch_embedding import (
    ALPHA,
    BATCH,
    DECAY,
    DIMENSION,
    EPSILON,
    HIDDEN,
    LEVELS,
    MOMENTUM,
    OUTPUTS,
    PLAIN,
    RATE,
    ROWS,
    SHOWN,
    SOLVERS,
    STEPS,
    problem,
    stored,
)

import naive_networks
from engine_problems import some_differences
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine
from nnjit.core.simd import TILE
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.embedding.spec import Embedding
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.residual.spec import Residual

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
HIDDEN_LAYER = (Dense(7, "tanh"),)
WIDTH = TILE.bytes // 4  # rows of a vector of float32
NO_CODES = [np.nan, np.inf, -np.inf, -1, -0.5, 1e30, -1e30, 2.0**31, 2.0**63]


def network(plain, levels, dimension, behind=HIDDEN_LAYER, below=()):
    """Numbers and codes, an embedding, and an output layer of two units."""
    layers = (*below, Embedding(levels, dimension), *behind, Dense(2, "identity"))
    return Network(plain + len(levels), layers, "squared_error", "identity")


def samples(made, levels, n, seed=0):
    """Parameters, rows and targets."""
    rng = np.random.default_rng(seed)
    scale = [np.sqrt(one.shape[0]) if one.name == "weights" else 1 for _, one in made.parameters()]
    arrays = [
        rng.standard_normal(one.shape) / size
        for (_, one), size in zip(made.parameters(), scale, strict=True)
    ]
    numbers = rng.standard_normal((n, made.inputs - len(levels)))
    codes = [rng.integers(0, one, n) for one in levels]
    return arrays, np.column_stack([numbers, *codes]), rng.standard_normal((n, 2))


def assert_is_the_oracle(made, arrays, x, y, dtype):
    """Loss, gradient and predictions."""
    limit = 1e-11 if dtype == np.float64 else 2e-5
    engine = make_engine(made, dtype)
    engine.pack([one.astype(dtype) for one in arrays])
    dataset = engine.dataset(x.astype(dtype), y.astype(dtype))
    loss, found = engine.loss_gradient(packed(made, arrays), dataset, 0.0)
    expected_loss, expected = naive_networks.squared_error(made, arrays, x, y)
    np.testing.assert_allclose(loss, expected_loss, rtol=limit)
    expected = packed(made, expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit * np.abs(expected).max())
    outputs = naive_networks.forward(made, arrays, x)[0][-1]
    np.testing.assert_allclose(engine.predict(x.astype(dtype)), outputs, rtol=0, atol=10 * limit)


@every_precision
@pytest.mark.parametrize(
    "plain, levels, dimension",
    [(0, (1,), 1), (3, (4, 9), 3), (0, (2, 1, 300), 8), (WIDTH + 1, (7,), WIDTH + 1),
     (2, (5, 3), 128)],
)  # fmt: skip
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH + 1, 257])
def test_gradient_and_predictions_are_those_of_the_oracle(dtype, plain, levels, dimension, rows):
    """In blocks that are not whole, and of vectors that are set apart in memory."""
    if numba.config.DISABLE_JIT and rows > 1:
        rows = 5
    made = network(plain, levels, dimension)
    assert_is_the_oracle(made, *samples(made, levels, rows), dtype)


@every_precision
def test_what_is_no_code_counts_as_code_zero(dtype):
    """And no gradient of it goes anywhere else."""
    levels = (4, 2)
    made = network(1, levels, 3)
    arrays, x, y = samples(made, levels, 2 * len(NO_CODES) + 5)
    given = x.astype(dtype)
    for column, count in zip((1, 2), levels):
        rows = slice((column - 1) * len(NO_CODES), column * len(NO_CODES))
        x[rows, column], given[rows, column] = 0, NO_CODES
        x[-column, column], given[-column, column] = 0, count
    engine, found = make_engine(made, dtype), []
    engine.pack([one.astype(dtype) for one in arrays])
    for rows in (given, x.astype(dtype)):
        dataset = engine.dataset(rows, y.astype(dtype))
        _, gradient = engine.loss_gradient(packed(made, arrays), dataset, 0.0)
        found.append((engine.predict(rows), gradient))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert_is_the_oracle(made, arrays, given, y, dtype)


@every_precision
def test_a_code_is_rounded_down(dtype):
    made = network(0, (3,), 2)
    engine = make_engine(made, dtype)
    engine.pack([one.astype(dtype) for one in samples(made, (3,), 1)[0]])
    given = np.array([[0.25], [1.0], [1.75], [2.999]], dtype)
    np.testing.assert_array_equal(engine.predict(given), engine.predict(np.floor(given)))


CHAINS = {
    "above a dense layer": ((Dense(6, "relu"),), (Dense(5, "tanh"),)),
    "above a sum": ((Dense(5, "relu"), Residual(1)), (Dense(5, "tanh"),)),
    "under dropout": ((), (Dropout(0.3), Dense(5, "tanh"))),
    "under a normalization": ((Dense(4, "tanh"),), (Normalization("batch", "relu"),)),
    "under another one": ((Embedding((3, 2), 2),), (Dense(5, "tanh"),)),
    "in a shortcut": ((), (Dense(7, "relu"), Residual(1), Dense(5, "tanh"))),
}


@pytest.mark.parametrize("below, behind", CHAINS.values(), ids=CHAINS)
def test_gradient_in_any_place(below, behind):
    """Its inputs' deltas are right, and what it leaves may be written over unless it is read."""
    levels = (4, 3)
    made = network(3, levels, 3 if below else 2, behind, below)
    arrays, x, y = samples(made, levels, 20)
    arrays = [3 * np.abs(a) if a.ndim == 1 else 3 * a for a in arrays]  # codes above 0 too
    engine = make_engine(made, np.float64)
    dataset, theta = engine.dataset(x, y), packed(made, arrays)
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-6
    )
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=1e-6 * np.abs(found).max())


def test_rows_that_were_series_have_codes_behind_a_flatten_layer():
    layers = Conv(2, 3, "relu"), Flatten(), Embedding((3, 3), 2), Dense(2, "identity")
    made = Network(8, layers, "squared_error", "identity", shape=(2, 4))
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(one.shape) for _, one in made.parameters()]
    x, y = rng.standard_normal((9, 8)), rng.standard_normal((9, 2))
    assert_is_the_oracle(made, arrays, x, y, np.float64)


def epoch(made, arrays, x, y, batch, dtype):
    """Parameters after one epoch of gradient descent, and its loss."""
    engine = make_engine(made, dtype)
    engine.pack([one.astype(dtype) for one in arrays])
    optimizer = engine.optimizer("sgd", momentum=0.0, nesterov=0.0)
    optimizer.learning_rate = 0.05
    dataset, orders = engine.dataset(x.astype(dtype), y.astype(dtype)), np.arange(len(x))[None]
    losses = engine.train_epochs(dataset, orders, batch, optimizer, 0.0)
    return engine.unpack(), losses


@jit_only
@every_precision
@pytest.mark.parametrize("fused", [0, 10**9])
def test_steps_in_blocks_parts_and_threads_have_the_same_bits(dtype, fused, monkeypatch):
    """Where chunks of a table compute their own gradient, and where parts are added up."""
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    monkeypatch.setattr(plan, "FUSED_CHUNK", 64)
    monkeypatch.setattr(plan, "BLOCK_ROWS", 32)
    levels, results = (40, 3), []
    made = network(3, levels, 5, (Dense(17, "tanh"),))
    arrays, x, y = samples(made, levels, 100)
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        parallel = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

        def always(self, function, first, last, parallel=parallel):
            function(parallel, first, last)

        monkeypatch.setattr(tuner.Tuner, "run", always)
        results.append(epoch(made, arrays, x, y, 100, dtype))
    _, gradients = naive_networks.squared_error(made, arrays, x, y)
    # the squared error's delta in a minibatch is that of the sum over both outputs
    expected = [a - 0.05 * 2 * g for a, g in zip(arrays, gradients, strict=True)]
    for found, wanted in zip(results[0][0], expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12 if dtype == np.float64 else 1e-6)
    for found, losses in results[1:]:
        assert losses == results[0][1]
        for a, b in zip(found, results[0][0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("solver", SOLVERS)
def test_twenty_steps_are_those_of_pytorch(solver):
    """Vectors are no matrix of weights: neither the penalty nor weight decay draws them to 0."""
    arrays, X, y, orders = problem()
    layers = Embedding(LEVELS, DIMENSION), Dense(HIDDEN, "tanh"), Dense(OUTPUTS, "identity")
    made = Network(PLAIN + len(LEVELS), layers, "squared_error", "identity")
    engine = make_engine(made, np.float64)
    engine.pack(arrays)
    options = {"sgd": {"momentum": MOMENTUM}, "adamw": {"epsilon": EPSILON, "weight_decay": DECAY}}
    optimizer, done = engine.optimizer(solver, **options[solver]), 0
    optimizer.learning_rate = RATE
    dataset, batches = engine.dataset(X, y), -(-ROWS // BATCH)
    for order in orders:
        engine.train(dataset, order, BATCH, optimizer, ALPHA, 0, min(batches, STEPS - done))
        done += batches
    *expected, outputs = stored()[solver]
    for a, b in zip(engine.unpack(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-8)
    np.testing.assert_allclose(engine.predict(X[:SHOWN]), outputs, rtol=0, atol=1e-8)


def test_a_layer_is_the_same_of_lists_and_numpy_numbers():
    layer = Embedding([np.int64(3), 5], np.int32(2), rate=0.1)
    assert layer == Embedding((3, 5), 2, 0.1) and hash(layer) == hash(Embedding((3, 5), 2, 0.1))
    (vectors,) = layer.parameters(4)
    assert vectors.shape == (8, 2) and vectors.rate == 0.1 and not vectors.penalized
    assert layer.outputs(4) == 2 + 2 * 2


@pytest.mark.parametrize("levels", [(), (0,), (3, -1), (2.5,), (True,), "34", 3, (2**24 + 1,)])
def test_levels_are_counts_of_categories(levels):
    with pytest.raises(ValueError, match=r"[Ll]evels (are|is)"):
        Embedding(levels)


@pytest.mark.parametrize(
    "options, message",
    [({"dimension": 0}, "dimension is an int of at least 1, got 0"),
     ({"rate": -1.0}, "rate of a embedding layer is a factor of at least 0"),
     ({"rate": np.nan}, "rate of a embedding layer is a factor of at least 0")],
)  # fmt: skip
def test_dimension_and_rate_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Embedding((3,), **options)


def test_rows_need_a_value_for_each_column_and_are_vectors():
    with pytest.raises(ValueError, match="there are 2 columns of codes, but only 1 values"):
        Network(1, (Embedding((3, 4)), Dense(2, "identity")), "squared_error", "identity")
    with pytest.raises(ValueError, match="A embedding layer takes vectors"):
        Embedding((3,)).outputs((2, 5))
