"""What the functions take, what they return, and what they refuse."""

import doctest
import inspect
import threading

import numpy as np
import pytest

import naive
from nnjit import functional as F
from nnjit.formulas import ACTIVATIONS, Activation, find_activation

DTYPES = [np.float32, np.float64]
RNG = np.random.default_rng(0)
S = naive.softmax(RNG.normal(size=(6, 4)))

# name -> arguments; all outputs have the shape of the first argument unless named below
ARGUMENTS = {
    "relu": (RNG.normal(size=(6, 4)),),
    "relu_derivative": (RNG.normal(size=(6, 4)),),
    "sigmoid": (RNG.normal(size=(6, 4)),),
    "sigmoid_derivative": (RNG.normal(size=(6, 4)),),
    "tanh": (RNG.normal(size=(6, 4)),),
    "tanh_derivative": (RNG.normal(size=(6, 4)),),
    "hadamard": (RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))),
    "softmax": (RNG.normal(size=(6, 4)),),
    "log_softmax": (RNG.normal(size=(6, 4)),),
    "softmax_jacobian": (RNG.normal(size=(6, 4)),),
    "softmax_vjp": (S, RNG.normal(size=(6, 4))),
    "dense_forward": (
        RNG.normal(size=(6, 3)),
        RNG.normal(size=(3, 4)),
        RNG.normal(size=4),
    ),
    "squared_error_gradient": (RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))),
    "poisson_gradient": (RNG.poisson(1.0, (6, 4)).astype(float), RNG.uniform(0.1, 2, (6, 4))),
    "cross_entropy_gradient": (np.eye(4)[RNG.integers(0, 4, 6)], S),
}
SHAPES = {"softmax_jacobian": (6, 4, 4)}
LOSSES = {
    "squared_error": ARGUMENTS["squared_error_gradient"],
    "poisson": ARGUMENTS["poisson_gradient"],
    "cross_entropy": ARGUMENTS["cross_entropy_gradient"],
}
every = pytest.mark.parametrize("name", sorted(ARGUMENTS))


def as_dtype(name, dtype):
    return tuple(np.array(a, dtype) for a in {**ARGUMENTS, **LOSSES}[name])


def variants(array):
    """The same numbers in other clothes."""
    read_only = array.copy()
    read_only.flags.writeable = False
    padded = np.zeros(tuple(2 * n + 1 for n in array.shape), array.dtype)
    spread = padded[tuple(slice(1, None, 2) for _ in array.shape)]
    spread[...] = array
    yield "fortran", np.asfortranarray(array)
    yield "strided", spread
    yield "reversed", np.ascontiguousarray(array[::-1])[::-1]
    yield "byte-swapped", array.astype(array.dtype.newbyteorder())
    yield "read-only", read_only
    yield "subclass", array.view(type("Sub", (np.ndarray,), {}))


def test_every_public_function_is_covered():
    backward = {"dense_backward"}
    windows = {"convolve", "convolve_backward"}  # those of test_convolution.py
    windows |= {f"{kind}_pool{way}" for kind in ("max", "mean") for way in ("", "_backward")}
    assert set(F.__all__) == set(ARGUMENTS) | set(LOSSES) | backward | windows


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept_and_inputs_are_not_changed(name, dtype):
    arguments = as_dtype(name, dtype)
    before = [a.copy() for a in arguments]
    result = getattr(F, name)(*arguments)
    assert result.dtype == dtype
    assert result.shape == SHAPES.get(name, (6, 4))
    for a, b in zip(arguments, before):
        assert a.tobytes() == b.tobytes()


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_memory_layout(name, dtype):
    arguments = as_dtype(name, dtype)
    expected = getattr(F, name)(*arguments)
    for other in zip(*(variants(a) for a in arguments)):
        result = getattr(F, name)(*(array for _, array in other))
        assert result.dtype == dtype, other[0][0]
        assert result.tobytes() == expected.tobytes(), other[0][0]
    lists = getattr(F, name)(*(a.astype(float).tolist() for a in arguments))
    np.testing.assert_allclose(lists, expected, rtol=1e-4, atol=1e-5)
    assert lists.dtype == np.float64


@every
def test_integers_and_mixed_dtypes_become_float64(name):
    arguments = [np.ones_like(a, dtype=np.int32) for a in ARGUMENTS[name]]
    assert getattr(F, name)(*arguments).dtype == np.float64
    mixed = [a.astype(np.float32) for a in ARGUMENTS[name]]
    mixed[-1] = ARGUMENTS[name][-1]
    assert getattr(F, name)(*mixed).dtype == np.float64


@every
@pytest.mark.parametrize("dtype", DTYPES)
def test_out(name, dtype):
    arguments = as_dtype(name, dtype)
    function = getattr(F, name)
    expected = function(*arguments)
    for _, out in variants(np.zeros_like(expected)):
        if out.flags.writeable:
            assert function(*arguments, out=out) is out
            np.testing.assert_array_equal(out, expected)


@every
def test_out_may_be_an_input_or_overlap_one(name):
    function = getattr(F, name)
    expected = function(*ARGUMENTS[name])
    for number, argument in enumerate(ARGUMENTS[name]):
        if argument.shape != expected.shape:
            continue
        copies = [a.copy() for a in ARGUMENTS[name]]
        result = function(*copies, out=copies[number])
        assert result is copies[number]
        np.testing.assert_array_equal(result, expected)
        # shifted by one row within a larger array
        memory = np.empty((7, 4))
        memory[:6] = argument
        copies = [a.copy() for a in ARGUMENTS[name]]
        copies[number] = memory[:6]
        np.testing.assert_array_equal(function(*copies, out=memory[1:]), expected)


def test_out_and_both_factors_may_be_one_array():
    a = np.array([[1.0, -2.0, 3.0]])
    np.testing.assert_array_equal(F.hadamard(a, a, out=a), [[1, 4, 9]])


@every
def test_bad_out(name):
    arguments = ARGUMENTS[name]
    function = getattr(F, name)
    shape = function(*arguments).shape
    with pytest.raises(ValueError, match=r"out must have shape"):
        function(*arguments, out=np.empty((*shape, 1)))
    with pytest.raises(TypeError, match="out must have dtype float64, got float32"):
        function(*arguments, out=np.empty(shape, np.float32))
    with pytest.raises(TypeError, match="out must be a NumPy array, got list"):
        function(*arguments, out=[])
    locked = np.empty(shape)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        function(*arguments, out=locked)


@pytest.mark.parametrize("name", sorted({**ARGUMENTS, **LOSSES}))
def test_what_is_not_real_is_refused(name):
    arguments = list({**ARGUMENTS, **LOSSES}[name])
    for bad in (arguments[0] + 1j, np.full(arguments[0].shape, "a"), arguments[0].astype(object)):
        with pytest.raises(TypeError, match="must hold real numbers, got dtype"):
            getattr(F, name)(bad, *arguments[1:])


@pytest.mark.parametrize(
    "name", ["hadamard", "softmax_vjp", "squared_error", "poisson", "cross_entropy"]
)
def test_different_shapes_are_refused(name):
    first, second = {**ARGUMENTS, **LOSSES}[name]
    with pytest.raises(ValueError, match="must have the same shape"):
        getattr(F, name)(first, second[:, :3])


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmax_jacobian"])
def test_softmax_needs_rows_and_columns(name):
    function = getattr(F, name)
    with pytest.raises(ValueError, match="dimensions"):
        function(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match="dimensions"):
        function(3.0)
    with pytest.raises(ValueError, match="at least one column"):
        function(np.ones((2, 0)))


def test_vectors_and_scalars():
    np.testing.assert_allclose(F.softmax([1.0, 1.0]), [0.5, 0.5])
    np.testing.assert_allclose(F.softmax_vjp([0.5, 0.5], [1.0, 0.0]), [0.25, -0.25])
    assert F.relu(-2.0) == 0
    assert F.sigmoid(np.zeros((2, 3, 4))).shape == (2, 3, 4)
    assert F.tanh(np.float32(0)).dtype == np.float32


def test_no_rows():
    for name in ("relu", "softmax", "log_softmax", "tanh_derivative"):
        assert getattr(F, name)(np.empty((0, 4))).shape == (0, 4)
    assert F.softmax_jacobian(np.empty((0, 4))).shape == (0, 4, 4)
    assert F.dense_forward(np.empty((0, 3)), np.ones((3, 2))).shape == (0, 2)
    gradients = F.dense_backward(np.empty((0, 2)), np.empty((0, 3)), np.ones((3, 2)))
    assert [g.shape for g in gradients] == [(0, 3), (3, 2), (2,)]
    assert not gradients[1].any() and not gradients[2].any()
    np.testing.assert_array_equal(F.dense_forward(np.ones((2, 0)), np.ones((0, 3)), [1, 2, 3]),
                                  [[1, 2, 3]] * 2)  # fmt: skip
    with pytest.raises(ValueError, match="at least one row"):
        F.squared_error([], [])


def test_nan_passes_through():
    z = np.array([[np.nan, 1.0], [0.0, 1.0]])
    for name in ("relu", "sigmoid", "sigmoid_derivative", "tanh", "tanh_derivative"):
        assert np.isnan(getattr(F, name)(z)).tolist() == [[True, False], [False, False]]
    for name in ("softmax", "log_softmax"):
        assert np.isnan(getattr(F, name)(z)).tolist() == [[True, True], [False, False]]
    assert np.isnan(F.hadamard(z, z)).sum() == 1
    assert np.isnan(F.dense_forward(z, np.ones((2, 3)))).tolist() == [[True] * 3, [False] * 3]
    assert np.isnan(F.squared_error(z, np.zeros_like(z)))


def test_parallel_work_gives_the_same_bits_from_many_threads():
    """Callers in several threads at once: one runs the parallel twin, the others the serial."""
    z = np.random.default_rng(0).normal(size=(3000, 10)).astype(np.float32)
    expected = F.softmax_jacobian(z).tobytes()
    results = []

    def work():
        for _ in range(5):
            results.append(F.softmax_jacobian(z).tobytes() == expected)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20


def test_examples_in_the_docstrings():
    result = doctest.testmod(F)
    assert result.failed == 0
    for name in F.__all__:
        function = getattr(F, name)
        text = inspect.getdoc(function)
        assert ">>>" in text, name
        for section in ("Parameters", "Returns", "Raises", "Examples"):
            assert f"\n{section}\n{'-' * len(section)}\n" in text, (name, section)
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not p.empty for p in signature.parameters.values()), name


def test_a_derivative_that_needs_the_pre_activation_is_refused(monkeypatch):
    def reading_z(m):
        value, derivative, _ = find_activation("relu").make(m)
        return value, derivative, lambda delta, z: delta * derivative(z)

    monkeypatch.setitem(ACTIVATIONS, "shy", Activation("shy", reading_z))
    ones = np.ones((2, 2))
    with pytest.raises(ValueError, match="derivative of 'shy' needs pre-activations"):
        F.dense_backward(ones, ones, ones, ones, "shy")
