"""Dropout layers: masks, gradients and steps against the oracle, on any shape of the work."""

import itertools

import numba
import numpy as np
import pytest
from scipy import sparse

import naive
from engine_problems import some_differences
from nnjit.backends import plan, tuner
from nnjit.backends.program import make_program
from nnjit.backends.select import make_engine
from nnjit.core.simd import TILE
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.network import Network, mlp
from nnjit.layers.residual.spec import Residual

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
SEED = 2**33 + 7
WIDTH = TILE.bytes // 4
UNITS = 5, 9, 6, 3
RATES = 0.2, 0.5, 0.3  # of the inputs and behind both hidden layers


def limit(dtype):
    return 1e-11 if dtype == np.float64 else 3e-4


def alone(units, rate):
    """A network that is dropout: its dense layer is the identity."""
    made = Network(units, (Dropout(rate), Dense(units, "identity")), "squared_error", "identity")
    return made, [np.eye(units), np.zeros(units)]


def perceptron(activation="relu", rates=RATES, units=UNITS):
    inputs, *hidden, outputs = units
    return mlp(
        inputs, hidden, outputs, activation, "squared_error", "identity",
        dropout=rates[1:], input_dropout=rates[0],
    )  # fmt: skip


def problem(n, dtype, units=UNITS, seed=0):
    """Weights, biases, rows and targets."""
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(units))
    coefs = [(rng.standard_normal(pair) / np.sqrt(pair[0])).astype(dtype) for pair in pairs]
    intercepts = [(rng.standard_normal(pair[1]) / 4).astype(dtype) for pair in pairs]
    x, y = rng.standard_normal((n, units[0])), rng.standard_normal((n, units[-1]))
    return coefs, intercepts, x.astype(dtype), y.astype(dtype)


def in_layers(coefs, intercepts):
    return [array for layer in zip(coefs, intercepts, strict=True) for array in layer]


def engine_for(network, coefs, intercepts, dtype):
    engine = make_engine(network, dtype)
    engine.pack(in_layers(coefs, intercepts))
    return engine


def factors_of(network, step, rows):
    """What the oracle multiplies the inputs of every dense layer by."""
    found, waiting = [], None
    for number, (layer, size) in enumerate(zip(network.layers, network.sizes, strict=False)):
        if layer.kind == "dropout":
            waiting = naive.dropout_factors(SEED, step, number, rows, size, layer.rate)
            continue
        found.append(np.ones((rows, size)) if waiting is None else waiting)
        waiting = None
    return found


def train_as_the_oracle(network, activation, parameters, x, y, batch, alpha):
    """One epoch of SGD with Nesterov's momentum; the sum of losses times rows."""
    coefs, intercepts = parameters
    solver, total = naive.SGD(0.05, 0.9, nesterov=True), 0.0
    for step, start in enumerate(range(0, len(x), batch)):
        rows = slice(start, min(start + batch, len(x)))
        factors = factors_of(network, step, rows.stop - start)
        loss, *grads = naive.dropout_network_gradient(
            coefs, intercepts, x[rows], y[rows], factors, "squared_error", activation, alpha
        )
        total += loss * (rows.stop - start)
        solver.step([*coefs, *intercepts], [*grads[0], *grads[1]])
    return total


def trained(network, dtype, n, batch, epochs=1, seed=SEED, name="sgd", run=None):
    """Parameters and losses after some epochs through the rows in their order."""
    coefs, intercepts, x, y = problem(n, dtype, network_units(network))
    engine = engine_for(network, coefs, intercepts, dtype)
    optimizer = engine.optimizer(name, seed=seed)
    optimizer.learning_rate = 0.05
    dataset = engine.dataset(x, y)
    if run is not None:
        return engine.unpack() if (found := run(engine, dataset, optimizer)) is None else found
    orders = np.tile(np.arange(n), (epochs, 1))
    losses = engine.train_epochs(dataset, orders, batch, optimizer, 0.1)
    return engine.unpack(), losses


def network_units(network):
    return [network.inputs, *(one.units for one in network.layers if one.kind == "dense")]


@every_precision
@pytest.mark.parametrize("units", [1, 7, WIDTH, 2 * WIDTH + 1])
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH, WIDTH + 1, 255, 256, 257, 600])
def test_masks_are_those_of_the_oracle(dtype, units, rows):
    made, parameters = alone(units, 0.3)
    engine = make_engine(made, dtype)
    engine.pack(parameters)
    x = np.random.default_rng(rows).standard_normal((rows, units)).astype(dtype)
    factors = [naive.dropout_factors(SEED, number, 0, rows, units, 0.3) for number in range(2)]
    found = engine.predict_samples(x, 2, SEED)
    np.testing.assert_allclose(found, x * np.array(factors), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(found == 0, np.array(factors) == 0)


@jit_only
@every_precision
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_the_mean_stays_and_the_variance_is_that_of_the_mask(dtype, rate):
    made, parameters = alone(64, rate)
    engine = make_engine(made, dtype)
    engine.pack(parameters)
    found = engine.predict_samples(np.ones((256, 64), dtype), 50, 3).astype(np.float64)
    values = np.unique(found)
    np.testing.assert_allclose(values, [0, 1 / (1 - rate)], rtol=1e-6)
    variance = rate / (1 - rate)
    assert abs(found.mean() - 1) < 4.5 * np.sqrt(variance / found.size)
    assert abs(found.var() / variance - 1) < 0.02


@every_precision
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n, batch", [(40, 13), (50, 50), (33, 16)])
def test_steps_are_those_of_the_oracle(dtype, activation, n, batch):
    network = perceptron(activation)
    coefs, intercepts, x, y = problem(n, np.float64)
    wanted = train_as_the_oracle(network, activation, (coefs, intercepts), x, y, batch, 0.1)
    found, losses = trained(network, dtype, n, batch)
    np.testing.assert_allclose(losses, [wanted], rtol=limit(dtype))
    for a, b in zip(found, in_layers(coefs, intercepts), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit(dtype))


@jit_only
@every_precision
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("fused", [0, 10**9])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_steps_in_blocks_parts_and_threads_are_those_of_the_oracle(
    dtype, activation, fused, threads, monkeypatch
):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused)
    monkeypatch.setattr(plan, "BLOCK_ROWS", 32)
    monkeypatch.setattr(plan.threads, "thread_count", lambda: threads)
    parallel = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

    def always(self, function, first, last):
        function(parallel, first, last)

    monkeypatch.setattr(tuner.Tuner, "run", always)
    network, n, batch = perceptron(activation), 300, 160
    coefs, intercepts, x, y = problem(n, np.float64)
    train_as_the_oracle(network, activation, (coefs, intercepts), x, y, batch, 0.1)
    found, _ = trained(network, dtype, n, batch)
    for a, b in zip(found, in_layers(coefs, intercepts), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit(dtype))
    monkeypatch.setattr(plan.threads, "thread_count", lambda: 1)
    monkeypatch.setattr(tuner.Tuner, "run", lambda self, run, first, last: run(False, first, last))
    for a, b in zip(found, trained(network, dtype, n, batch)[0], strict=True):
        np.testing.assert_array_equal(a, b)


@every_precision
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_by_differences_with_the_mask_fixed(dtype, activation):
    """The float32 gradient against differences of the float64 loss with the same masks."""
    network = perceptron(activation)
    coefs, intercepts, x, y = problem(21, np.float64, seed=4)
    wide, engine = make_engine(network, np.float64), make_engine(network, dtype)
    theta = np.concatenate([a.ravel() for a in (*coefs, *intercepts)])
    samples = wide.dataset(x, y)
    some, numeric = some_differences(
        lambda t: wide.loss_gradient(t, samples, 0.1)[0], theta, step=1e-5
    )
    dataset = engine.dataset(x.astype(dtype), y.astype(dtype))
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    error = 1e-6 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=error * np.abs(numeric).max())


@every_precision
def test_epochs_in_one_call_one_by_one_and_cut_have_the_same_bits(dtype):
    network, n, batch = perceptron("tanh"), 50, 8
    together, losses = trained(network, dtype, n, batch, epochs=3, name="adam")

    def one_by_one(engine, dataset, optimizer):
        order = np.arange(n)
        for _ in range(3):
            engine.train(dataset, order, batch, optimizer, 0.1, 0, 7)

    def cut(engine, dataset, optimizer):
        order = np.arange(n)
        for first, last in ((0, 7), (0, 2), (2, 3), (3, 7), (0, 7)):
            engine.train(dataset, order, batch, optimizer, 0.1, first, last)

    def resumed(engine, dataset, optimizer):
        order, state = np.arange(n), None
        for _ in range(3):
            optimizer = engine.optimizer("adam", seed=SEED if state is None else 0)
            if state is not None:
                optimizer.load_state(state)
            optimizer.learning_rate = 0.05
            engine.train(dataset, order, batch, optimizer, 0.1, 0, 7)
            state = optimizer.state()
        assert state["seed"] == SEED

    for run in (one_by_one, cut, resumed):
        found = trained(network, dtype, n, batch, name="adam", run=run)
        for a, b in zip(found, together, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(losses) == 3


def test_seeds_and_steps_change_the_masks():
    network = perceptron()
    results = [trained(network, np.float64, 20, 20, seed=seed)[1][0] for seed in range(3)]
    assert len(set(results)) == 3
    _, losses = trained(network, np.float64, 20, 20, epochs=3)
    coefs, intercepts, x, y = problem(20, np.float64)
    without = trained(perceptron(rates=(0.0, 0.0, 0.0)), np.float64, 20, 20, epochs=3)[1]
    assert len(set(losses)) == 3 and losses != without


@every_precision
@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_predictions_are_those_of_the_network_without_it(dtype, activation):
    coefs, intercepts, x, _ = problem(70, dtype)
    dropping = engine_for(perceptron(activation), coefs, intercepts, dtype)
    plain = engine_for(perceptron(activation, (0.0, 0.0, 0.0)), coefs, intercepts, dtype)
    np.testing.assert_array_equal(dropping.predict(x), plain.predict(x))
    program, same = (
        make_program(one.network, dtype, sparse=False, training=False) for one in (dropping, plain)
    )
    assert len(program.steps) == len(same.steps) and program.rows == same.rows
    np.testing.assert_array_equal(
        dropping.predict(sparse.csr_array(x)), plain.predict(sparse.csr_array(x))
    )


@every_precision
def test_samples_follow_from_seed_number_and_row(dtype):
    coefs, intercepts, x, _ = problem(300, dtype)
    engine = engine_for(perceptron("tanh"), coefs, intercepts, dtype)
    found = engine.predict_samples(x, 4, 5)
    np.testing.assert_array_equal(engine.predict_samples(x, 4, 5), found)
    np.testing.assert_array_equal(engine.predict_samples(x, 2, 5), found[:2])
    for rows in (1, 15, 257):
        np.testing.assert_array_equal(engine.predict_samples(x[:rows], 4, 5), found[:, :rows])
    assert (engine.predict_samples(x, 4, 6) != found).any(axis=2).all()
    assert (found[1:] != found[:-1]).any(axis=2).all()
    assert engine.predict_samples(x[:0], 4, 5).shape == (4, 0, 3)


def test_values_lie_in_place_where_the_layer_below_reads_them_no_more():
    relu, tanh = (
        make_program(perceptron(activation), np.float64, sparse=False, training=True)
        for activation in ("relu", "tanh")
    )
    for program, apart in ((relu, False), (tanh, True)):
        inputs, *hidden = [step for step in program.of_layer if "threshold" in step.dtype.names]
        assert inputs["input_row"] == inputs["output_row"] and inputs["backward_at"] == 0
        assert program.of_layer[1]["input_delta_row"] == -1  # no delta of the inputs is asked for
        for step in hidden:
            assert (step["input_row"] != step["output_row"]) == apart
            assert step["delta_row"] == step["input_delta_row"]
            assert step["mask_inputs"] == (not apart)
    assert relu.of_layer[1]["derivative_at"] == 0  # the dropout above does it
    assert tanh.of_layer[1]["derivative_at"] != 0


def assert_gradient_is_that_of_differences(network, n=30):
    """In float64, the masks being those of the first step."""
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.3, 1, one.shape) for _, one in network.parameters()]
    for array in arrays:
        array *= np.sign(rng.standard_normal(array.shape)) if array.ndim == 2 else 1
    engine = make_engine(network, np.float64)
    theta = np.concatenate([arrays[number].ravel() for number in network.packing()])
    x = rng.standard_normal((n, network.inputs))
    dataset = engine.dataset(x, rng.standard_normal((n, network.outputs)))
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    trained = sum(one.size for _, one in network.parameters() if one.trained)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-5, first=trained
    )
    atol = 1e-6 * np.abs(numeric).max()
    np.testing.assert_allclose(found[some], numeric, rtol=0, atol=atol)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("residual", [False, True])
def test_gradient_among_normalizations_and_residual_layers(activation, normalization, residual):
    network = mlp(
        6, (6, 6, 5), 2, activation, "squared_error", "identity", dropout=(0.5, 0.0, 0.25),
        input_dropout=0.2, normalization=normalization, residual=residual,
    )  # fmt: skip
    assert_gradient_is_that_of_differences(network)


@pytest.mark.parametrize(
    "layers",
    [
        (Dropout(0.5), Dropout(0.25), Dense(6, "relu"), Dropout(0.5), Dropout(0.5)),
        (Dropout(0.3), Dense(6, "relu"), Residual(2), Dense(5, "relu")),
        (Dense(6, "relu"), Dropout(0.3), Residual(1), Dense(5, "tanh")),
        (Dense(6, "relu"), Dropout(0.3), Dense(6, "relu"), Residual(2), Dropout(0.2)),
        (Dense(6, "relu"), Dense(6, "relu"), Residual(1), Dropout(0.2), Residual(2)),
    ],
    ids=lambda layers: "-".join(layer.kind for layer in layers),
)
def test_gradient_in_any_place(layers):
    """Where it may write over nothing that a layer beside it reads later."""
    assert_gradient_is_that_of_differences(
        Network(6, (*layers, Dense(2, "identity")), "squared_error", "identity")
    )


def test_sparse_rows_are_predicted_as_dense_ones_are():
    network = mlp(
        6, (6, 6), 2, "relu", "squared_error", "identity", dropout=0.5, input_dropout=0.2,
        residual=True,
    )  # fmt: skip
    coefs, intercepts, x, _ = problem(40, np.float64, (6, 6, 6, 2))
    engine = engine_for(network, coefs, intercepts, np.float64)
    np.testing.assert_allclose(
        engine.predict(sparse.csr_array(x)), engine.predict(x), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, np.nan, "0.5", None])
def test_a_rate_is_a_share(rate):
    with pytest.raises(ValueError, match=r"in \[0, 1\), got"):
        Dropout(rate)


def test_rates_are_as_many_as_hidden_layers():
    with pytest.raises(ValueError, match="dropout has 2 values, but there are 1 hidden layers"):
        mlp(3, (4,), 1, "relu", "squared_error", "identity", dropout=(0.1, 0.2))


def test_sparse_rows_whose_values_would_be_dropped_are_refused_by_name():
    coefs, intercepts, x, y = problem(20, np.float64)
    engine = engine_for(perceptron(), coefs, intercepts, np.float64)
    with pytest.raises(ValueError, match="A dropout layer takes no sparse rows"):
        engine.loss_gradient(
            np.zeros(engine.network.n_parameters), engine.dataset(sparse.csr_array(x), y), 0.0
        )
