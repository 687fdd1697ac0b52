"""Scalar functions, softmax with its Jacobian, losses and single updates on the device."""

import numpy as np
import pytest
from device_arrays import Foreign, to_device

import naive
from engine_problems import DTYPES, tolerance
from nnjit.backends.cuda import softmax as device_softmax
from nnjit.backends.cuda._cuda import cuda, kernel
from nnjit.backends.cuda.scalars import activation_functions, scalar_functions
from nnjit.backends.cuda.updates import make_elements, make_sums
from nnjit.core import scalar
from nnjit.core.layout import ACTIVATIONS

POINTS = [-120.0, -20.5, -1.0, -1e-3, 0.0, 1e-30, 0.5, 3.25, 87.0, np.inf, np.nan]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's threads are NumPy's
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "log", "log1p", "softplus", "relu"])
def test_scalar_functions_are_those_of_the_cpu(dtype, name):
    """One source: the same bits but for contracted multiply-adds."""
    function = scalar_functions(dtype == np.float32)[name]

    def each(x, out):
        for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
            out[i] = function(x[i])

    x = np.array(POINTS, dtype)
    out = to_device(np.zeros_like(x))
    with np.errstate(all="ignore"):
        kernel(each)[2, 3](to_device(x), out)
        expected = np.array([getattr(scalar, name)(value) for value in x], dtype)
    ulp = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(out.copy_to_host(), expected, rtol=ulp, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["identity", "logistic", "tanh", "relu", "exp"])
def test_activations_and_their_derivatives(dtype, name):
    activate, slope = activation_functions(dtype == np.float32, dtype)
    code = ACTIVATIONS[name]

    def both(z, h, d):
        for i in range(cuda.grid(1), z.size, cuda.gridsize(1)):
            h[i] = activate(code, z[i])
            d[i] = slope(code, h[i])

    z = np.array([-3.0, -0.5, 0.0, 0.25, 2.0], dtype)
    h, d = to_device(np.zeros_like(z)), to_device(np.zeros_like(z))
    kernel(both)[1, 2](to_device(z), h, d)
    expected = naive.ACTIVATIONS[name](z)
    np.testing.assert_allclose(h.copy_to_host(), expected, rtol=1e-6)
    np.testing.assert_allclose(d.copy_to_host(), naive.DERIVATIVES[name](expected), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (5, 2), (7, 9)])
def test_softmax_jacobian_and_its_product(dtype, shape):
    rng = np.random.default_rng(0)
    x, v = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    x[0] *= 300
    s = naive.softmax(x)
    rtol, atol = tolerance(dtype), np.finfo(dtype).eps * 8
    got = device_softmax.softmax(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, s, rtol=rtol, atol=atol)
    for form in (x, np.asfortranarray(x)):
        np.testing.assert_array_equal(device_softmax.softmax(form), got)
        jacobian = device_softmax.softmax_jacobian(form)
        np.testing.assert_allclose(jacobian, naive.softmax_jacobian(x), rtol=rtol, atol=atol)
    product = device_softmax.softmax_vjp(s, v)
    np.testing.assert_allclose(product, naive.softmax_vjp(s, v), rtol=rtol, atol=atol)


def test_softmax_gives_back_what_it_got():
    x = np.random.default_rng(0).standard_normal((3, 4))
    jacobian = device_softmax.softmax_jacobian(to_device(x))
    assert jacobian.shape == (3, 4, 4)
    np.testing.assert_allclose(jacobian.copy_to_host(), naive.softmax_jacobian(x), rtol=1e-12)
    s = device_softmax.softmax(Foreign(x))
    product = device_softmax.softmax_vjp(s, x).copy_to_host()
    np.testing.assert_allclose(product, naive.softmax_vjp(naive.softmax(x), x), atol=1e-15)
    assert device_softmax.softmax_jacobian(x[:0]).shape == (0, 4, 4)
    with pytest.raises(ValueError, match="same shape"):
        device_softmax.softmax_vjp(x, x[:2])


@pytest.mark.parametrize("threads", [1, 2, 5, 8])
def test_sums_have_a_fixed_tree(threads):
    _, total = make_sums(threads)

    def add_up(values, out):
        scratch = cuda.shared.array(threads, numba_float64)
        out[cuda.threadIdx.x] = total(values, 1, values.size - 1, scratch)

    from numba import types

    numba_float64 = types.float64
    values = np.random.default_rng(0).standard_normal(14)
    launcher, results = kernel(add_up), []
    for _ in range(3):
        out = to_device(np.zeros(threads))
        launcher[1, threads](to_device(values), out)
        results.append(out.copy_to_host())
    np.testing.assert_allclose(results[0], values[1:].sum(), rtol=1e-14)
    assert len({result.tobytes() for result in results}) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_of_sgd_and_adam_by_hand(dtype):
    sgd, adam = make_elements(dtype)

    def one(w, first, second, out):
        half, tenth = first.dtype.type(0.5), second.dtype.type(0.25)
        out[0] = sgd(w[0], w[1], first, 0, half, tenth, False)
        out[1] = sgd(w[0], w[1], first, 1, half, tenth, True)
        out[2] = adam(w[0], w[1], first, second, 2, half, half, tenth, tenth)

    w = np.array([3.0, 2.0], dtype)  # parameter and gradient
    first, second = np.array([4.0, 4.0, 1.0], dtype), np.array([0.0, 0.0, 4.0], dtype)
    first_d, second_d, out = to_device(first), to_device(second), to_device(np.zeros(3, dtype))
    kernel(one)[1, 1](to_device(w), first_d, second_d, out)
    # v = 0.25 * 4 - 0.5 * 2 = 0; Nesterov: + 0.25 v - 1; m = 0.5 + 1, v = 1 + 0.75 * 4 = 4
    np.testing.assert_allclose(out.copy_to_host(), [3, 2, 3 - 0.5 * 1.5 / 2.25], rtol=1e-6)
    np.testing.assert_allclose(first_d.copy_to_host(), [0, 0, 1.5])
    np.testing.assert_allclose(second_d.copy_to_host(), [0, 0, 4])
