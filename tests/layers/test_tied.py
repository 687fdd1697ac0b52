"""Dense layers with the weights of another one, transposed: one parameter, with both gradients."""

import numba
import numpy as np
import pytest
from comparing import assert_agree
from pytorch_tied import (
    ALPHA,
    BATCH,
    CODE,
    DECAY,
    EPSILON,
    FEATURES,
    HIDDEN,
    MOMENTUM,
    RATE,
    ROWS,
    SHOWN,
    SOLVERS,
    STEPS,
    problem,
    stored,
)
from scipy import sparse

import naive
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine
from nnjit.core.simd import TILE
from nnjit.formulas import SOLVERS as ENTRIES
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.network import Network
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.stack import check_shapes
from nnjit.layers.tied.spec import TiedDense

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
WIDTH = TILE.bytes // 4  # rows of a vector of float32


def autoencoder(inputs, hidden, activation="relu"):
    """Two layers with weights, and two tied to them."""
    layers = (
        Dense(hidden, activation), Dense(3, activation), TiedDense(1, activation),
        TiedDense(3, "identity"),
    )  # fmt: skip
    return Network(inputs, layers, "squared_error", "identity")


CHAIN = [0, 0, 1, 3]  # of these, for the oracle


def parameters(network, seed=0):
    rng = np.random.default_rng(seed)
    scale = [np.sqrt(one.shape[0]) if len(one.shape) == 2 else 2 for _, one in network.parameters()]
    shapes = [one.shape for _, one in network.parameters()]
    return [rng.standard_normal(shape) / s for shape, s in zip(shapes, scale, strict=True)]


def rows_of(network, n, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, network.inputs)), rng.standard_normal((n, network.outputs))


def epochs_of(network, arrays, x, y, batch, dtype, name="sgd", epochs=1, alpha=0.1):
    """Parameters after some epochs, and their losses."""
    engine = make_engine(network, dtype)
    engine.pack([one.astype(dtype) for one in arrays])
    optimizer = engine.optimizer(name)
    optimizer.learning_rate = 0.02
    orders = np.tile(np.arange(len(y)), (epochs, 1))
    dataset = engine.dataset(x.astype(dtype), y.astype(dtype))
    losses = engine.train_epochs(dataset, orders, batch, optimizer, alpha)
    return engine.unpack(), losses


def trained_by_the_oracle(arrays, chain, x, y, batch, activation, alpha=0.1):
    arrays, total = [one.copy() for one in arrays], 0.0
    solver = naive.SGD(0.02, 0.9, nesterov=True)
    for start in range(0, len(x), batch):
        rows = slice(start, start + batch)
        loss, grads = naive.tied_network_gradient(
            arrays, chain, x[rows], y[rows], activation, alpha
        )
        total += loss * len(y[rows])
        solver.step(arrays, grads)
    return arrays, [total]


@every_precision
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("inputs, hidden", [(1, 1), (5, 7), (WIDTH, 9), (2 * WIDTH + 1, WIDTH + 1)])
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH + 1, 257])
def test_steps_are_those_of_the_oracle(dtype, activation, inputs, hidden, rows):
    """On both ways to the gradient of the weights, in tiles and in blocks that are not whole."""
    if numba.config.DISABLE_JIT and rows * inputs > 100:
        rows = 3
    network = autoencoder(inputs, hidden, activation)
    arrays, (x, y) = parameters(network), rows_of(network, rows)
    expected = trained_by_the_oracle(arrays, CHAIN, x, y, rows, activation)
    assert_agree(epochs_of(network, arrays, x, y, rows, dtype), expected, dtype)


@every_precision
def test_any_number_of_layers_share_the_weights_of_one(dtype):
    layers = Dense(4, "tanh"), TiedDense(1, "tanh"), Dense(4, "tanh"), TiedDense(3, "tanh")
    both = *layers, Dense(4, "tanh"), TiedDense(5, "tanh"), Dense(2, "identity")
    network, chain = Network(6, both, "squared_error", "identity"), [0, 1, 0, 3, 0, 5, 0]
    arrays, (x, y) = parameters(network), rows_of(network, 40)
    expected = trained_by_the_oracle(arrays, chain, x, y, 15, "tanh")
    assert_agree(epochs_of(network, arrays, x, y, 15, dtype), expected, dtype)


@jit_only
@every_precision
@pytest.mark.parametrize("fused", [0, 10**9])
def test_steps_in_blocks_parts_and_threads_have_the_same_bits(dtype, fused, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    monkeypatch.setattr(plan, "FUSED_CHUNK", 64)
    monkeypatch.setattr(plan, "BLOCK_ROWS", 32)
    network, results = autoencoder(19, 17), []
    arrays, (x, y) = parameters(network), rows_of(network, 100)
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        parallel = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

        def always(self, function, first, last, parallel=parallel):
            function(parallel, first, last)

        monkeypatch.setattr(tuner.Tuner, "run", always)
        results.append(epochs_of(network, arrays, x, y, 60, dtype))
    assert_agree(results[0], trained_by_the_oracle(arrays, CHAIN, x, y, 60, "relu"), dtype)
    for found, losses in results[1:]:
        assert losses == results[0][1]
        for a, b in zip(found, results[0][0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_solver_moves_the_one_parameter(name):
    """Which predictions read in both layers."""
    network = autoencoder(5, 4, "tanh")
    arrays, (x, y) = parameters(network), rows_of(network, 30)
    assert network.n_parameters == sum(one.size for one in arrays)
    found, losses = epochs_of(network, arrays, x, y, 30, np.float64, name, epochs=30)
    assert losses[-1] < losses[0]
    engine = make_engine(network, np.float64)
    engine.pack(found)
    w, b, v, c, d, e = found
    hidden = np.tanh(np.tanh(x @ w + b) @ v + c)
    np.testing.assert_allclose(engine.predict(x), np.tanh(hidden @ v.T + d) @ w.T + e, rtol=1e-11)


@pytest.mark.parametrize("solver", SOLVERS)
def test_twenty_steps_are_those_of_pytorch(solver):
    arrays, X, orders = problem()
    layers = (
        Dense(HIDDEN, "tanh"), Dense(CODE, "identity"), TiedDense(1), TiedDense(3, "identity")
    )  # fmt: skip
    network = Network(FEATURES, layers, "squared_error", "identity")
    engine = make_engine(network, np.float64)
    engine.pack(arrays)
    options = {"sgd": {"momentum": MOMENTUM}, "adamw": {"epsilon": EPSILON, "weight_decay": DECAY}}
    optimizer, done = engine.optimizer(solver, **options[solver]), 0
    optimizer.learning_rate = RATE
    dataset, batches = engine.dataset(X, X), -(-ROWS // BATCH)
    for order in orders:
        engine.train(dataset, order, BATCH, optimizer, ALPHA, 0, min(batches, STEPS - done))
        done += batches
    *expected, outputs = stored()[solver]
    for a, b in zip(engine.unpack(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-8)
    np.testing.assert_allclose(engine.predict(X[:SHOWN]), outputs, rtol=0, atol=1e-8)


@every_precision
@pytest.mark.parametrize("fused", [0, 10**9])
def test_sparse_rows_go_into_the_layer_with_the_weights(dtype, fused, monkeypatch):
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    network = autoencoder(9, 6, "tanh")
    arrays, (x, y) = parameters(network), rows_of(network, 40)
    x *= np.random.default_rng(3).random(x.shape) < 0.4
    dense = epochs_of(network, arrays, x, y, 15, dtype)
    assert_agree(epochs_of(network, arrays, sparse.csr_array(x), y, 15, dtype), dense, dtype)


@pytest.mark.parametrize("between", [Dropout(0.3), Normalization("batch", "relu")], ids=str)
def test_gradient_with_other_layers_between(between):
    layers = Dense(5, "tanh"), between, Dense(3, "gelu"), TiedDense(1, "gelu"), TiedDense(4, "mish")
    network = Network(6, (*layers, Dense(2, "identity")), "squared_error", "identity")
    arrays, (x, y) = parameters(network), rows_of(network, 20)
    arrays = [np.abs(a) + 0.3 if a.ndim == 1 else a for a in arrays]  # variances are positive
    engine = make_engine(network, np.float64)
    theta = np.concatenate([arrays[number].ravel() for number in network.packing()])
    trained = sum(one.size for _, one in network.parameters() if one.trained)
    dataset, some = engine.dataset(x, y), np.linspace(0, trained - 1, 40).astype(int)
    _, found = engine.loss_gradient(theta, dataset, 0.1)

    def loss(values):
        moved = theta.copy()
        moved[some] = values
        return engine.loss_gradient(moved, dataset, 0.1)[0]

    numeric = naive.central_differences(loss, theta[some], step=1e-6)
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=1e-6 * np.abs(found).max())


def test_units_follow_from_the_layer_with_the_weights():
    network = autoencoder(5, 7)
    assert [one.units for one in network.layers] == [7, 3, 7, 5]
    assert network.widths == (5, 7, 3, 7, 5) and network.hidden_ends == (1, 2, 3)
    assert [one.shape for _, one in network.parameters()] == [
        (5, 7),
        (7,),
        (7, 3),
        (3,),
        (7,),
        (5,),
    ]
    assert check_shapes((Dense(7), TiedDense(1)), 5) == 5


@pytest.mark.parametrize(
    ("layers", "message"),
    {
        "none there": ([TiedDense(1)], "there are 0 layers before it, got back=1"),
        "too far": ([Dense(3), TiedDense(2)], "there are 1 layers before it, got back=2"),
        "another kind": ([Dense(3), Dropout(0.1), TiedDense(1)], "those of a dense layer, but"),
        "itself tied": ([Dense(3), TiedDense(1), TiedDense(1)], "those of a dense layer, but"),
        "other values": ([Dense(3), Dense(4), TiedDense(2)], "4 values come into it, but 3 come"),
        "other units": ([Dense(3), TiedDense(1, units=4)], "units=4, but 5 values come into the"),
    }.values(),
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(layers, message):
    number = len(layers) - 1
    with pytest.raises(ValueError, match=rf"Layer {number}, tied\(.*does not fit: .*{message}"):
        Network(5, (*layers, Dense(1, "identity")), "squared_error", "identity")
    with pytest.raises(ValueError, match=rf"layers\[{number}\], TiedDense.*not fit: .*{message}"):
        check_shapes(tuple(layers), 5)


def test_arrays_are_refused():
    layers = Conv(3, 3), TiedDense(1), Dense(1, "identity")
    with pytest.raises(ValueError, match="those of a dense layer, but back=1 is Conv"):
        Network(10, layers, "squared_error", "identity", shape=(2, 5))


@pytest.mark.parametrize("back", [0, -1, 1.0, True, None])
def test_back_is_a_number_of_layers(back):
    with pytest.raises(ValueError, match="an int of at least 1: got back="):
        TiedDense(back)


def test_alone_it_has_no_units():
    with pytest.raises(ValueError, match="follow from the layers before it"):
        TiedDense(1).outputs(3)
