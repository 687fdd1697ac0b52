"""Dense layers where one row is predicted along the units, its weights left where they are."""

import ctypes
import mmap
import os
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from nnjit import MLPClassifier
from nnjit.backends.select import make_engine
from nnjit.layers.dense.cpu import ROW_WEIGHTS
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network
from nnjit.layers.tied.spec import TiedDense

DTYPES = [np.float32, np.float64]


def series_network(points, hidden, outputs, activation):
    """Vectors of series: a layer for each number of hidden units."""
    layers = [Flatten(), *(Dense(units, activation) for units in hidden)]
    layers.append(Dense(outputs, "identity"))
    return Network(points, tuple(layers), "log_loss", "softmax", shape=(1, points))


def engine_with_parameters(network, dtype):
    rng = np.random.default_rng(0)
    engine = make_engine(network, dtype)
    arrays = [rng.standard_normal(one.shape) for _, one in network.parameters()]
    engine.pack([(a / np.sqrt(a.shape[0])).astype(dtype) for a in arrays])
    return engine


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("points", [1, 7, 300])  # more than a block of the sum
@pytest.mark.parametrize("hidden", [(), (1,), (15, 17), (16,), (128, 33)])
def test_one_row_has_the_bits_that_it_has_among_others(dtype, activation, points, hidden):
    engine = engine_with_parameters(series_network(points, hidden, 3, activation), dtype)
    X = np.random.default_rng(1).standard_normal((20, points)).astype(dtype)
    whole = engine.predict(X)
    for k in (0, 7, 19):
        np.testing.assert_array_equal(engine.predict(X[k : k + 1]), whole[k : k + 1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("outputs", [1, 2, 9, 16, 100])
def test_weights_are_not_read_behind_the_parameters(dtype, outputs):
    network = series_network(5, (), outputs, "relu")
    if outputs == 1:
        network = Network(5, network.layers, "squared_error", "identity", shape=(1, 5))
    engine = engine_with_parameters(network, dtype)
    program = engine._program(False, training=False)
    (step,) = (step for step in program.of_layer[1:])
    weights = engine.layout.of(1)[0]
    lanes = program.lanes
    end = weights.stop - weights.row + -(-outputs // lanes) * lanes
    own = step["forward_at"] != engine._program(False, training=True).of_layer[1]["forward_at"]
    assert bool(own.all()) == (end <= engine.layout.n_flat)


def perceptron(inputs, hidden, outputs, activation="relu"):
    layers = [*(Dense(units, activation) for units in hidden), Dense(outputs, "identity")]
    return Network(inputs, tuple(layers), "log_loss", "softmax")


def forward_unit(engine, layer, rows):
    return engine._forward_plan(rows, False)._program.of_layer[layer]["forward_at"][0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("inputs", [64, 65, 300])
@pytest.mark.parametrize("hidden", [(64,), (65, 63), (128, 100), (16, 300)])
def test_one_row_of_vectors_has_the_bits_that_it_has_among_others(
    dtype, activation, inputs, hidden
):
    engine = engine_with_parameters(perceptron(inputs, hidden, 3, activation), dtype)
    arrays = engine.unpack()
    X = np.random.default_rng(1).standard_normal((20, inputs)).astype(dtype)
    whole = engine.predict(X)
    for k in (0, 7, 19):
        engine.pack(arrays)
        np.testing.assert_array_equal(engine.predict(X[k : k + 1]), whole[k : k + 1])
        engine.pack(arrays, rows=1)
        np.testing.assert_array_equal(engine.predict(X[k : k + 1]), whole[k : k + 1])
    assert engine.lent.any() == any(a.size >= ROW_WEIGHTS and a.shape[-1] > 16 for a in arrays)


def test_small_layers_and_several_rows_keep_to_one_way():
    engine = engine_with_parameters(perceptron(64, (100,), 10), np.float32)
    several = [forward_unit(engine, layer, 2) for layer in range(2)]
    assert forward_unit(engine, 0, 1) != several[0]
    assert forward_unit(engine, 1, 1) == several[1]


def lent_engine(dtype):
    """An engine whose parameters are lent, and their owner's arrays."""
    engine = engine_with_parameters(perceptron(70, (80,), 4), dtype)
    arrays = engine.unpack()
    engine.pack([np.zeros_like(a) for a in arrays])
    engine.pack(arrays, rows=1)
    assert engine.lent[0] == arrays[0].ctypes.data and engine.lent[1] == 0
    return engine, arrays


def stepped(engine, x):
    stepper = engine.one_row
    stepper.x[:] = x
    stepper.step()
    return stepper.out.copy()


def trained(engine, X):
    rows = engine.dataset(X, np.arange(len(X)))
    order, optimizer = np.arange(len(X)), engine.optimizer("sgd", momentum=0.9)
    engine.train(rows, order, 2, optimizer, 0.0, 0, 2)
    engine.train_epochs(rows, np.stack([order, order]), 2, optimizer, 0.0)
    return engine.unpack()[0]


def gradient(engine, X):
    packed = np.linspace(-1, 1, engine.network.n_parameters)
    return engine.loss_gradient(packed, engine.dataset(X, np.arange(len(X))), 0.0)[1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_lent_is_taken_in_for_anything_but_one_dense_row(dtype):
    X = np.random.default_rng(1).standard_normal((3, 70)).astype(dtype)
    engine, arrays = lent_engine(dtype)
    plain = engine_with_parameters(engine.network, dtype)
    uses = {
        "rows": lambda one: one.predict(X),
        "a sparse row": lambda one: one.predict(sp.csr_matrix(X[:1])),
        "samples": lambda one: one.predict_samples(X[:1], 2, 0),
        "parameters": lambda one: one.unpack()[0],
        "one vector after the other": lambda one: stepped(one, X[0]),
        "training": lambda one: trained(one, X),
        "a gradient": lambda one: gradient(one, X),
    }
    for name, use in uses.items():
        plain.pack(arrays)
        engine.pack([np.zeros_like(a) for a in arrays])
        engine.pack(arrays, rows=1)
        np.testing.assert_array_equal(use(engine), use(plain), err_msg=name)
        np.testing.assert_array_equal(engine.predict(X[:1]), plain.predict(X[:1]), err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_plain_arrays_of_the_precision_are_lent(dtype):
    X = np.random.default_rng(1).standard_normal((1, 70)).astype(dtype)
    engine, arrays = lent_engine(dtype)
    expected = engine.predict(X)
    shifted = np.zeros(arrays[0].nbytes + 1, np.uint8)[1:].view(dtype).reshape(arrays[0].shape)
    shifted[...] = arrays[0]
    others = {
        "Fortran": np.asfortranarray(arrays[0]),
        "strided": np.repeat(arrays[0], 2, axis=1)[:, ::2],
        "not aligned": shifted,
        "long double": arrays[0].astype(np.longdouble),
    }
    for name, weights in others.items():
        engine.pack([weights, *arrays[1:]], rows=1)
        assert not engine.lent.any(), name
        np.testing.assert_array_equal(engine.predict(X), expected, err_msg=name)
    read_only = arrays[0].copy()
    read_only.flags.writeable = False
    engine.pack([read_only, *arrays[1:]], rows=1)
    assert engine.lent.any()
    np.testing.assert_array_equal(engine.predict(X), expected)


def test_no_array_of_another_shape_is_lent():
    engine, arrays = lent_engine(np.float64)
    with pytest.raises(ValueError, match="broadcast"):
        engine.pack([arrays[0][:5].copy(), *arrays[1:]], rows=1)
    assert not engine.lent.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_that_a_tied_layer_reads_too_are_not_lent(dtype):
    layers = Dense(100, "relu"), Dense(90, "relu"), TiedDense(1), Dense(3, "identity")
    engine = engine_with_parameters(Network(64, layers, "log_loss", "softmax"), dtype)
    arrays, X = engine.unpack(), np.random.default_rng(1).standard_normal((2, 64)).astype(dtype)
    whole = engine.predict(X)
    engine.pack([np.zeros_like(a) for a in arrays])
    engine.pack(arrays, rows=1)
    assert engine.lent.astype(bool).tolist() == [True, False, False, False]
    np.testing.assert_array_equal(engine.predict(X[:1]), whole[:1])


@pytest.mark.parametrize("hidden", [(8,), (100,)])
def test_one_plan_does_for_a_row_and_for_a_few_in_turn(hidden):
    engine = engine_with_parameters(perceptron(64, hidden, 3), np.float32)
    X = np.random.default_rng(1).standard_normal((20, 64)).astype(np.float32)
    whole, _, _ = engine.predict(X), engine.predict(X[:1]), engine.predict(X)
    plan = engine._forward
    for n in (1, 20, 1, 3, 20):
        np.testing.assert_array_equal(engine.predict(X[:n]), whole[:n])
        assert engine._forward is plan
    rows = sp.csr_matrix(X)
    engine.predict(rows)
    plan = engine._forward
    for n in (1, 20, 1):
        engine.predict(rows[:n])
        assert engine._forward is plan


def test_weights_are_not_read_behind_their_owners_memory():
    """The last of them end where a page ends that nothing follows."""
    page = mmap.PAGESIZE
    weights = np.random.default_rng(0).standard_normal((64, 81)).astype(np.float32)
    size = -(-weights.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    base = np.frombuffer(memory, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    behind = ctypes.c_void_p(base.ctypes.data + size)
    assert libc.mprotect(behind, ctypes.c_size_t(page), 0) == 0, os.strerror(ctypes.get_errno())
    try:
        at_the_end = base[size - weights.nbytes : size].view(np.float32).reshape(64, 81)
        at_the_end[...] = weights
        engine = engine_with_parameters(perceptron(64, (81,), 2), np.float32)
        arrays = engine.unpack()
        x = np.ones((1, 64), np.float32)
        engine.pack([weights, *arrays[1:]])
        expected = engine.predict(x)
        engine.pack([at_the_end, *arrays[1:]], rows=1)
        assert engine.lent[0] == at_the_end.ctypes.data
        np.testing.assert_array_equal(engine.predict(x), expected)
    finally:
        libc.mprotect(behind, ctypes.c_size_t(page), mmap.PROT_READ | mmap.PROT_WRITE)


def test_a_prediction_of_one_row_sees_what_is_written_or_assigned_to_the_weights():
    X, y = load_digits(return_X_y=True)
    network = MLPClassifier((100,), max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(X, y)

    def check():
        whole = network.predict_proba(X[:2])
        np.testing.assert_array_equal(network.predict_proba(X[:1]), whole[:1])
        return whole

    before = check()
    network.coefs_[0][:, 3] *= 2
    written = check()
    network.coefs_[0] = network.coefs_[0] * 2
    assigned = check()
    network.coefs_[0] = np.asfortranarray(network.coefs_[0] / 2)
    np.testing.assert_array_equal(check(), written)
    assert not np.array_equal(before, written) and not np.array_equal(written, assigned)
    network.coefs_[0][0, 0] = np.inf
    with pytest.raises(ValueError, match="coefs_"):
        network.predict(X[:1])
