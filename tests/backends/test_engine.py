"""The compiled network against the oracle: gradients, epochs, prediction, bits."""

import itertools
import threading

import numba
import numpy as np
import pytest
from scipy import sparse

import naive
from engine_problems import (
    ACTIVATIONS,
    DTYPES,
    LOSSES,
    apart,
    assert_epochs_equal_the_oracle,
    in_layers,
    network,
    packed,
    problem,
    some_differences,
    tolerance,
)
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine
from nnjit.core.jobs import threads
from nnjit.layers.network import mlp

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes too long")


def engine_for(loss, activation, units, dtype):
    return make_engine(network(units, activation, loss), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_equals_the_oracle(dtype, loss, activation, weighted):
    shapes = [
        (5, (3, 4, 2)),
        (33, (7, 16, 17, 3)),
        (300, (9, 31, 1 if loss != "multinomial" else 2)),
    ]
    for seed, (n, units) in enumerate(shapes):
        coefs, intercepts, X, y, dense, w = problem(loss, dtype, n, units, weighted, seed)
        engine = engine_for(loss, activation, units, dtype)
        value, gradient = engine.loss_gradient(
            packed(coefs, intercepts), engine.dataset(X, y, w), 0.3
        )
        arguments = (coefs, intercepts, X, dense, loss, activation, 0.3, w)
        expected = packed(*naive.network_gradient(*arguments))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance(dtype) * scale)
        np.testing.assert_allclose(value, naive.network_loss(*arguments), rtol=tolerance(dtype))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_by_differences(loss, activation, weighted):
    units = (4, 5, 6, 3)
    coefs, intercepts, X, y, _, w = problem(loss, np.float64, 20, units, weighted, seed=5)
    engine = engine_for(loss, activation, units, np.float64)
    dataset = engine.dataset(X, y, w)
    theta = packed(coefs, intercepts)
    _, gradient = engine.loss_gradient(theta, dataset, 0.1)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-5
    )
    error = np.abs(gradient[some] - numeric).max() / np.abs(gradient).max()
    assert error < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("loss", LOSSES)
def test_epochs_equal_the_oracle(dtype, solver, loss):
    units, n, batch = (6, 18, 5, 3), 150, 32
    data = problem(loss, dtype, n, units, True, seed=3)
    w = data[-1]
    w[64:96] = 0  # the third minibatch of the first epoch is skipped
    rng = np.random.default_rng(1)
    orders = [np.arange(n), rng.permutation(n), rng.permutation(n)]
    engine = engine_for(loss, "tanh", units, dtype)
    assert_epochs_equal_the_oracle(engine, solver, loss, data, orders, batch)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sparse_and_column_major_input(dtype):
    """CSR, C and Fortran order give the oracle's gradient and prediction."""
    units, n = (40, 20, 4), 70
    coefs, intercepts, X, y, dense, w = problem("multinomial", dtype, n, units, True)
    X[np.random.default_rng(0).random(X.shape) < 0.8] = 0
    arguments = (coefs, intercepts, X, dense, "multinomial", "relu", 0.1, w)
    expected = packed(*naive.network_gradient(*arguments))
    outputs = naive.network_forward(coefs, intercepts, X, "relu", "softmax")[-1]
    for form in (X, np.asfortranarray(X), sparse.csr_array(X), sparse.csr_matrix(X)):
        engine = engine_for("multinomial", "relu", units, dtype)
        theta = packed(coefs, intercepts)
        _, gradient = engine.loss_gradient(theta, engine.dataset(form, y, w), 0.1)
        np.testing.assert_allclose(
            gradient, expected, rtol=0, atol=tolerance(dtype) * np.abs(expected).max()
        )
        np.testing.assert_allclose(engine.predict(form), outputs, rtol=tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_row_is_predicted_the_same_in_any_company(dtype, loss):
    units = (11, 33, 4)
    coefs, intercepts, X, *_ = problem(loss, dtype, 700, units)
    engine = engine_for(loss, "logistic", units, dtype)
    engine.pack(in_layers(coefs, intercepts))
    whole = engine.predict(X)
    outputs = naive.network_forward(coefs, intercepts, X, "logistic", LOSSES[loss][1])[-1]
    np.testing.assert_allclose(whole, outputs, rtol=tolerance(dtype), atol=1e-6)
    for start, stop in [(0, 1), (3, 4), (1, 17), (250, 300), (5, 262), (699, 700)]:
        np.testing.assert_array_equal(engine.predict(X[start:stop]), whole[start:stop])
    np.testing.assert_array_equal(engine.predict(X[::-1]), whole[::-1])
    np.testing.assert_array_equal(engine.predict(np.asfortranarray(X)), whole)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_what_would_be_read_outside_its_arrays_is_refused(dtype, loss):
    """Kernels check nothing, so their engine has to."""
    units, n = (5, 7, 3), 20
    _, _, X, y, _, w = problem(loss, dtype, n, units, True)
    engine = engine_for(loss, "relu", units, dtype)
    for wrong in (X[:, :4], np.hstack([X, X]), sparse.csr_matrix(X[:, 1:])):
        for call in (engine.predict, engine.predict_checked, lambda X: engine.dataset(X, y)):
            with pytest.raises(ValueError, match="the network has 5 inputs"):
                call(wrong)
    for wrong in (y[1:], np.vstack([y, y]), y[:, None]):
        with pytest.raises(ValueError, match="The target has shape"):
            engine.dataset(X, wrong)
    with pytest.raises(ValueError, match="The sample weights have shape"):
        engine.dataset(X, y, w[1:])
    if y.ndim == 1:
        for label in (-1, 3):
            with pytest.raises(ValueError, match="class numbers from .* the network has 3 outputs"):
                engine.dataset(X, np.where(np.arange(n) == 4, label, y))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", ["identity", "logistic", "softmax", "exp", "tanh", "relu"])
def test_a_prediction_tells_whether_its_logits_and_outputs_are_finite(dtype, output):
    engine = make_engine(mlp(3, (2,), 4, "identity", "squared_error", output), dtype)
    last = np.zeros((2, 4), dtype)
    last[:, 2] = 1
    engine.pack([np.eye(3, 2, dtype=dtype), np.zeros(2, dtype), last, np.zeros(4, dtype)])
    large = np.finfo(dtype).max / 2
    for n in (1, 17) if numba.config.DISABLE_JIT else (1, 3, 17, 300, 700):
        for form in (np.array, np.asfortranarray, sparse.csr_matrix):
            X = np.zeros((n, 3), dtype)
            assert engine.predict_checked(form(X))[1]
            X[n // 2, 2] = np.nan
            assert not engine.predict_checked(form(X))[1]
            X[n // 2] = [large, large, -large]  # whose sum is finite
            assert engine.predict_checked(form(X))[1] == (output != "exp")
            X[n // 2, :2] *= dtype(1.5)
            assert not engine.predict_checked(form(X))[1]


def train_with(count, loss, dtype, units, n, batch, cuts, monkeypatch, order=None):
    """Parameters, loss and optimizer state after two epochs with `count` threads."""
    coefs, intercepts, X, y, _, w = problem(loss, dtype, n, units, True)
    engine = engine_for(loss, "relu", units, dtype)
    engine.pack(in_layers(coefs, intercepts))
    dataset = engine.dataset(X, y, w)
    optimizer = engine.optimizer("adam")
    optimizer.learning_rate = 0.001
    order = np.random.default_rng(0).permutation(n)
    n_batches = -(-n // batch)

    def always(tuner, function, first, last):  # the choice left to the clock, forced
        function(count > 1, first, last)

    monkeypatch.setattr(tuner.Tuner, "run", always)
    losses = []
    for _ in range(2):
        bounds = [0, *[c for c in cuts if c < n_batches], n_batches]
        losses.append(
            [engine.train(dataset, order, batch, optimizer, 0.1, a, b).loss
             for a, b in itertools.pairwise(bounds)]
        )  # fmt: skip
    state = optimizer.state()
    return [*engine.unpack(), *state["vectors"].values()], losses


@jit_only
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [200, 700, 2500])
def test_bits_do_not_depend_on_threads(dtype, batch, monkeypatch):
    units, n = (64, 150, 7), 2500
    assert batch * (64 * 150 + 150 * 7) >= plan.PARALLEL_TRAIN
    before = numba.get_num_threads()
    results = []
    try:
        for count in (1, 2, min(4, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
            results.append(
                train_with(count, "multinomial", dtype, units, n, batch, (), monkeypatch)
            )
    finally:
        numba.set_num_threads(before)
    for arrays, losses in results[1:]:
        assert losses == results[0][1]
        for a, b in zip(arrays, results[0][0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_the_cuts_of_an_epoch(dtype, monkeypatch):
    units, n, batch = (5, 9, 3), 100, 8
    one, _ = train_with(1, "multinomial", dtype, units, n, batch, (), monkeypatch)
    many, _ = train_with(1, "multinomial", dtype, units, n, batch, (1, 5, 6), monkeypatch)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n, batch", [(40, 8), (41, 8), (300, 200)])
def test_several_epochs_in_one_call(n, batch, dtype):
    """Bits of the same epochs one by one; one that is not finite ends them all."""
    units = (5, 9, 3)
    coefs, intercepts, X, y, _, _ = problem("multinomial", dtype, n, units)
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(4)])

    def start(X):
        engine = engine_for("multinomial", "relu", units, dtype)
        engine.pack(in_layers(coefs, intercepts))
        optimizer = engine.optimizer("adam")
        optimizer.learning_rate = 0.01
        return engine, engine.dataset(X, y), optimizer

    engine, dataset, optimizer = start(X)
    losses = engine.train_epochs(dataset, orders, batch, optimizer, 0.1)
    other, dataset, optimizer = start(X)
    batches = -(-n // batch)
    for order, loss in zip(orders, losses, strict=True):
        assert other.train(dataset, order, batch, optimizer, 0.1, 0, batches).loss == loss
    np.testing.assert_array_equal(packed(*apart(engine.unpack())), packed(*apart(other.unpack())))
    X[7] = np.inf
    engine, dataset, optimizer = start(X)
    losses = engine.train_epochs(dataset, orders, batch, optimizer, 0.1)
    assert len(losses) == 1 and not np.isfinite(losses[0])


@pytest.mark.parametrize("driver", [False, pytest.param(True, marks=jit_only)])
def test_phases_are_counted_from_zero_again(driver, monkeypatch):
    """After a thousand million minibatches of one fit."""
    from nnjit.core.jobs import job

    def always(tuner, function, first, last):
        function(driver, first, last)

    monkeypatch.setattr(tuner.Tuner, "run", always)
    units, n, batch = (64, 150, 7), 400, 200
    coefs, intercepts, X, y, _, _ = problem("multinomial", np.float64, n, units)
    results = []
    for generation in (None, 2**30 - 5, 2**30, 2**30 + 1):
        engine = engine_for("multinomial", "relu", units, np.float64)
        engine.pack(in_layers(coefs, intercepts))
        dataset, optimizer = engine.dataset(X, y), engine.optimizer("adam")
        optimizer.learning_rate = 0.01
        for number in range(4):
            engine.train(dataset, np.arange(n), batch, optimizer, 0.1, 0, 2)
            state = engine._current._state
            if number == 0 and generation is not None:
                state[job.GENERATION] = generation
        assert generation is None or 0 < state[job.GENERATION] < 100
        results.append(packed(*apart(engine.unpack())))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_a_loss_that_is_not_finite_stops_before_the_update():
    units = (3, 4, 1)
    coefs, intercepts, X, y, _, _ = problem("squared_error", np.float64, 20, units)
    X[13] = np.inf
    engine = engine_for("squared_error", "relu", units, np.float64)
    engine.pack(in_layers(coefs, intercepts))
    optimizer = engine.optimizer("sgd")
    optimizer.learning_rate = 0.0
    result = engine.train(engine.dataset(X, y), np.arange(20), 5, optimizer, 0.1, 0, 4)
    assert not result.finite
    assert optimizer.t == 2
    for a, b in zip(engine.unpack()[0::2], coefs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_poisson_mean_that_underflows_costs_a_finite_loss(dtype):
    """exp(z) = 0 with y > 0; scikit-learn's loss is infinite there and its gradient finite."""
    engine = engine_for("poisson", "identity", (1, 1), dtype)
    X, y = np.ones((4, 1), dtype), np.full((4, 1), 3, dtype)
    loss, gradient = engine.loss_gradient(np.array([0.0, -1000.0]), engine.dataset(X, y), 0.0)
    tiny = float(np.finfo(dtype).tiny)
    np.testing.assert_allclose(loss, 3 * np.log(3 / tiny) - 3, rtol=1e-5)
    np.testing.assert_allclose(gradient, [-3, -3])


def test_read_only_and_foreign_arrays_are_taken_and_left_alone():
    units = (6, 8, 2)
    coefs, intercepts, X, y, _, w = problem("squared_error", np.float64, 50, units, True)
    engine = engine_for("squared_error", "tanh", units, np.float64)
    theta = packed(coefs, intercepts)
    expected = engine.loss_gradient(theta, engine.dataset(X, y, w), 0.1)
    swapped = X.astype(X.dtype.newbyteorder())
    strided = np.repeat(X, 2, axis=0)[::2, :]
    unaligned = np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(X.shape)
    locked = X.copy()
    locked.flags.writeable = False
    for form in (swapped, strided, unaligned, locked):
        bytes_before = form.tobytes()
        got = engine.loss_gradient(theta, engine.dataset(form, y, w), 0.1)
        assert got[0] == expected[0]
        np.testing.assert_array_equal(got[1], expected[1])
        np.testing.assert_array_equal(engine.predict(form), engine.predict(X))
        assert form.tobytes() == bytes_before


def test_optimizer_state_resumes_bit_for_bit():
    units, n = (5, 9, 3), 100
    coefs, intercepts, X, y, _, _ = problem("multinomial", np.float32, n, units)
    for kind in ("adam", "sgd"):
        engine = engine_for("multinomial", "relu", units, np.float32)
        engine.pack(in_layers(coefs, intercepts))
        dataset, optimizer = engine.dataset(X, y), engine.optimizer(kind)
        optimizer.learning_rate = 0.01
        engine.train(dataset, np.arange(n), 10, optimizer, 0.1, 0, 5)
        saved, weights = optimizer.state(), engine.unpack()
        engine.train(dataset, np.arange(n), 10, optimizer, 0.1, 5, 10)
        other = engine_for("multinomial", "relu", units, np.float32)
        other.pack(weights)
        resumed = other.optimizer(kind)
        resumed.load_state(saved)
        other.train(other.dataset(X, y), np.arange(n), 10, resumed, 0.1, 5, 10)
        for a, b in zip(engine.unpack(), other.unpack(), strict=True):
            np.testing.assert_array_equal(a, b)


def unsorted_csr(X):
    """CSR whose rows have their entries from right to left."""
    matrix = sparse.csr_array(X)
    for start, stop in itertools.pairwise(matrix.indptr):
        for part in (matrix.indices, matrix.data):
            part[start:stop] = part[start:stop][::-1].copy()
    return matrix


def trained(units, n, batch, dtype, kind, loss, weighted, form=np.ascontiguousarray):
    """Parameters and losses of two epochs, in one call, over a problem with the given shapes."""
    coefs, intercepts, X, y, _, w = problem(loss, dtype, n, units, weighted)
    X[np.random.default_rng(0).random(X.shape) < 0.6] = 0
    engine = engine_for(loss, "tanh", units, dtype)
    engine.pack(in_layers(coefs, intercepts))
    dataset, optimizer = engine.dataset(form(X), y, w), engine.optimizer(kind)
    optimizer.learning_rate = 1e-3
    rng = np.random.default_rng(1)
    orders = np.array([rng.permutation(n), rng.permutation(n)])
    losses = engine.train_epochs(dataset, orders, batch, optimizer, 0.1)
    assert engine._current._fused == (plan.FUSED_WEIGHTS == 0)
    return packed(*apart(engine.unpack())), np.array(losses)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize(
    "units, n, batch",
    [
        ((5, 9, 3), 40, 8),
        ((17, 64, 33, 2), 90, 37),
        pytest.param((40, 128, 1), 300, 130, marks=compiled_only),
        pytest.param((64, 150, 7), 900, 700, marks=compiled_only),
    ],
)
def test_fused_chunks_move_the_parameters_as_the_others_do(
    units, n, batch, kind, dtype, monkeypatch
):
    """Whole batches and a rest, one part and several, padded rows, chunks of one tile."""
    for loss, weighted in (("multinomial", True), ("squared_error", False)):
        monkeypatch.setattr(plan, "FUSED_WEIGHTS", 10**9)
        expected, expected_losses = trained(units, n, batch, dtype, kind, loss, weighted)
        monkeypatch.setattr(plan, "FUSED_WEIGHTS", 0)
        sizes = (1, 2000, 16_384)
        forms = (unsorted_csr, np.asfortranarray, np.ascontiguousarray)
        compiled = not numba.config.DISABLE_JIT
        for size, form in itertools.product(sizes, forms) if compiled else zip(sizes, forms):
            monkeypatch.setattr(plan, "FUSED_CHUNK", size)
            monkeypatch.setattr(plan, "SPARSE_CHUNK", size)
            got, losses = trained(units, n, batch, dtype, kind, loss, weighted, form)
            limit = 1e-11 if dtype == np.float64 else 2e-4
            np.testing.assert_allclose(got, expected, rtol=0, atol=limit)
            np.testing.assert_allclose(losses, expected_losses, rtol=limit)


@pytest.mark.parametrize("dtype", DTYPES)
def test_padding_counts_as_work_where_minibatches_are_cut_into_parts(dtype):
    """Which cut it is decides the order of sums, so that bits depend on it."""
    units = (32, 512 // np.dtype(dtype).itemsize, 3)
    engine = engine_for("multinomial", "tanh", units, dtype)
    padding = engine.layout.n_flat - engine.network.n_parameters
    assert padding > 0
    n = -(-plan.PARALLEL_TRAIN // (engine.network.work + padding))
    assert n * engine.network.work < plan.PARALLEL_TRAIN
    _, _, X, y, _, _ = problem("multinomial", dtype, n, units)
    made = plan.GradientPlan(engine, engine._program(False, training=True), engine.dataset(X, y))
    assert made.n_parts == 2


@pytest.mark.parametrize("fused_from", [0, 10**9])
def test_parameter_padding_stays_zero(fused_from, monkeypatch):
    """Rows 512 bytes apart are padded; the padding must not take part."""
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused_from)
    units = (4, 128, 3)
    coefs, intercepts, X, y, _, _ = problem("multinomial", np.float32, 40, units)
    engine = engine_for("multinomial", "relu", units, np.float32)
    engine.pack(in_layers(coefs, intercepts))
    assert engine.layout.n_flat > engine.network.n_parameters
    optimizer = engine.optimizer("adam")
    optimizer.learning_rate = 0.1
    engine.train(engine.dataset(X, y), np.arange(40), 10, optimizer, 0.1, 0, 4)
    flat = engine.parameters.copy()
    for parameter in engine.layout.views(flat):
        parameter[...] = 0
    assert not flat.any()


@jit_only
def test_drivers_are_called_as_the_guard_says(monkeypatch):
    calls = []

    class Spy:
        @staticmethod
        def serial(*arguments):
            calls.append("serial")

        @staticmethod
        def parallel(*arguments):
            calls.append("parallel")
            second = threading.Thread(target=threads.call, args=(Spy, True))
            second.start()  # another caller while the first is inside
            second.join()

    monkeypatch.setattr(threads, "thread_count", lambda: 2)
    threads.call(Spy, True)
    threads.call(Spy, False)
    assert calls == ["parallel", "serial", "serial"]
    monkeypatch.setattr(threads, "thread_count", lambda: 1)
    threads.call(Spy, True)
    assert calls[-1] == "serial"
