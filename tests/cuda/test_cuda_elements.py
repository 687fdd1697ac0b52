"""Formulas of every entry, softmax with its Jacobian, and sums on the device."""

import numba
import numpy as np
import pytest
from device_arrays import Foreign, to_device
from numba import types

import naive
from engine_problems import DTYPES, tolerance
from entries_of_tests import FOCAL, PAIRS, PLAIN, SILU, SOFTPLUS, SQUARES, THREE
from nnjit.backends.cuda import softmax as device_softmax
from nnjit.backends.cuda._cuda import cuda, kernel
from nnjit.backends.cuda.arguments import Samples
from nnjit.backends.cuda.output import make_output, make_row_gradient
from nnjit.backends.cuda.scalars import (
    LINEAR,
    device_formulas,
    device_library,
    has_labels,
    make_activations,
)
from nnjit.backends.cuda.updates import make_step, make_sums
from nnjit.core import scalar
from nnjit.formulas import ACTIVATIONS, SOLVERS, find_loss

POINTS = [-120.0, -20.5, -1.0, -1e-3, 0.0, 1e-30, 0.5, 3.25, 87.0, np.inf, np.nan]
N = 9  # elements, or rows
# All that are registered, and others that somebody might add; nothing below knows their names.
EVERY_ACTIVATION = [*ACTIVATIONS.values(), SILU, SOFTPLUS]
MADE_UP = [SQUARES, FOCAL]
EVERY_LOSS = [
    *(find_loss(*pair) for pair in PAIRS if pair not in {(e.name, e.output) for e in MADE_UP}),
    *MADE_UP,
]
EVERY_SOLVER = [*SOLVERS.values(), PLAIN, THREE]


def each(entries):
    names = [f"{entry.name}-{getattr(entry, 'output', '')}".strip("-") for entry in entries]
    return pytest.mark.parametrize("entry", entries, ids=names)


def on_single(dtype):
    return dtype == np.float32


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator's threads are NumPy's
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh", "log", "log1p", "softplus"])
def test_scalar_functions_are_those_of_the_cpu(dtype, name):
    """One source: the same bits but for the multiply-adds that the CPU contracts."""
    function = getattr(device_library(on_single(dtype)), name)

    def each(x, out):
        for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
            out[i] = function(x[i])

    x = np.array(POINTS, dtype)
    out = to_device(np.zeros_like(x))
    with np.errstate(all="ignore"):
        kernel(each)[2, 3](to_device(x), out)
        expected = on_the_cpu(name, x)
    ulp = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(out.copy_to_host(), expected, rtol=ulp, atol=0)


def on_the_cpu(name, x):
    """A scalar function of the CPU in a loop, since only compiled code can call it."""
    function, out = getattr(scalar, name), np.empty_like(x)

    @numba.njit(fastmath={"contract"}, error_model="numpy")
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    run(x, out)
    return out


@each(EVERY_ACTIVATION)
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_are_those_of_numpy(dtype, entry):
    formulas = device_formulas(entry, on_single(dtype))
    value, derivative = formulas.value, formulas.derivative
    _, _, later, backward, _ = make_activations(on_single(dtype), (SILU, entry, SILU))

    def all_of_it(z, delta, out):
        for i in range(cuda.grid(1), z.size, cuda.gridsize(1)):
            h = value(z[i])
            out[0, i], out[1, i] = later(1, z[i]), derivative(z[i])
            out[2, i], out[3, i] = backward(1, (delta[i], z[i], h)), later(LINEAR, z[i])

    z = np.array([-3.0, -0.5, 0.0, 0.25, 2.0, 30.0], dtype)
    delta = np.array([1.0, -2.0, 0.5, 3.0, -1.0, 2.0], dtype)
    out = to_device(np.zeros((4, z.size), dtype))
    kernel(all_of_it)[1, 2](to_device(z), to_device(delta), out)
    arrays, wide = entry.numpy(), z.astype(np.float64)
    h = arrays.value(wide)
    reads = [{"z": wide, "h": h}[name] for name in entry.reads]
    slope = np.broadcast_to(arrays.derivative(wide), z.shape)
    expected = [h, slope, arrays.backward(delta.astype(np.float64), *reads), wide]
    np.testing.assert_allclose(
        out.copy_to_host(), expected, rtol=tolerance(dtype) / 10, atol=tolerance(dtype) / 10
    )


@each(EVERY_LOSS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", [1, 3])
def test_losses_and_their_derivatives_are_those_of_numpy(dtype, entry, units):
    """Rows with weights; parameters that are not the defaults, and by output where they may be."""
    row_gradient = make_row_gradient(on_single(dtype), entry)
    activate_row = make_output(on_single(dtype), entry)

    def rows(z, delta, p, samples, scale, parameters, losses):
        for j in range(cuda.grid(1), losses.size, cuda.gridsize(1)):
            activate_row(p, j * units, units)
            losses[j] = row_gradient(
                z, j * units, units, delta, j * units, samples, j, samples.weights[j],
                scale[0], parameters,
            )  # fmt: skip

    z, y, weights, parameters = loss_problem(entry, dtype, units)
    labels = y if has_labels(entry) else np.zeros(1, np.int32)
    targets = np.zeros(1, dtype) if has_labels(entry) else y.ravel()
    none, scale = to_device(np.zeros(1, dtype)), np.array([0.5], dtype)
    samples = Samples(none, units, 1, to_device(labels), to_device(np.zeros(1, np.int64)),
                      to_device(targets), units, to_device(labels), to_device(weights), 1,
                      to_device(np.arange(N)))  # fmt: skip
    delta, p, losses = (to_device(np.zeros(n, dtype)) for n in (N * units, N * units, N))
    p.copy_to_device(z.ravel())
    settings = to_device(np.append(parameters.ravel(), 0.0))
    kernel(rows)[2, 3](to_device(z.ravel()), delta, p, samples, to_device(scale), settings, losses)
    outputs, values, slopes = expected_losses(entry, z, y, parameters)
    limits = {"rtol": tolerance(dtype), "atol": tolerance(dtype) / 10}
    np.testing.assert_allclose(p.copy_to_host().reshape(N, units), outputs, **limits)
    np.testing.assert_allclose(losses.copy_to_host(), values, **limits)
    scale = 1.0 if entry.classes else 0.5
    np.testing.assert_allclose(
        delta.copy_to_host().reshape(N, units), slopes * weights[:, None] * scale, **limits
    )


def loss_problem(entry, dtype, units):
    """(logits, targets, weights, parameters by output) for the rows of a loss."""
    rng = np.random.default_rng(units)
    z, weights = rng.normal(size=(N, units)).astype(dtype), rng.integers(0, 4, N).astype(dtype)
    if has_labels(entry):
        y = rng.integers(0, units, N).astype(np.int32)
    else:
        y = rng.choice([-1.5, 0.0, 0.25, 1.0, 3.0], (N, units))
        if entry.domain is not None:
            y = np.where(entry.domain.holds(y), y, 1.0)
        y = y.astype(dtype)
    parameters = np.array([list(entry.parameters.values())] * units).reshape(units, -1) + 0.25
    if not has_labels(entry):
        parameters += np.arange(units)[:, None] / 8
    return z, y, weights, parameters


def expected_losses(entry, z, y, parameters):
    """Outputs, losses of the rows and their derivatives by the logits, from NumPy's formulas."""
    z, units = z.astype(np.float64), z.shape[1]
    given = dict(zip(entry.parameters, parameters.T, strict=True))
    if entry.classes:
        p = naive.softmax(z)
        here = {"p": p[np.arange(N), y], **{name: given[name][0] for name in given}}
        value, factor = evaluated(entry, here)
        factor = 1.0 if factor is None else factor
        return p, value, np.reshape(factor, (-1, 1)) * (p - np.eye(units)[y])
    softmax = entry.output == "softmax"
    p = naive.softmax(z) if softmax else ACTIVATIONS[entry.output].numpy().value(z)
    y, choices = (np.eye(units)[y], units) if softmax else (y.astype(np.float64), 2)
    value, slope = evaluated(entry, {**given, "y": y, "z": z, "p": p, "choices": float(choices)})
    if getattr(entry, "by_output", False) and softmax:
        slope = p * (slope - (slope * p).sum(axis=1, keepdims=True))
    elif getattr(entry, "by_output", False):
        slope = slope * ACTIVATIONS[entry.output].numpy().derivative(z)
    return p, value.mean(axis=1) if entry.mean_over_outputs else value.sum(axis=1), slope


def evaluated(entry, here):
    """The two formulas of a loss where its arguments have these values."""
    return [
        formula and formula(*[here[name] for name in reads])
        for formula, reads in zip(
            entry.numpy(), (entry.value_reads, entry.slope_reads), strict=True
        )
    ]


@each(EVERY_SOLVER)
@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_of_solvers_are_those_of_numpy(dtype, entry):
    step = make_step(on_single(dtype), entry)
    settings = tuple(dtype(value) for value in entry.hyperparameters.values())

    rates = tuple(dtype(0.25 + number / 8) for number in range(len(entry.rates)))

    def step_all(w, g, vectors):
        for i in range(cuda.grid(1), w.size, cuda.gridsize(1)):
            w[i] = step(i, w[i], g[i], w.size, rates, vectors, settings)

    rng = np.random.default_rng(0)
    w, g = rng.normal(size=(2, N)).astype(dtype)
    vectors = rng.uniform(0.5, 1.0, (len(entry.vectors), N)).astype(dtype)
    w_d, vectors_d = to_device(w), to_device(vectors.ravel() if entry.vectors else w[:1])
    kernel(step_all)[2, 3](w_d, to_device(g), vectors_d)
    arguments = w, g, *vectors, *rates, *settings
    expected = entry.numpy().step(*[np.float64(argument) for argument in arguments])
    moved = vectors_d.copy_to_host().reshape(-1, N) if entry.vectors else []
    got = [w_d.copy_to_host(), *moved]
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance(dtype) / 10)


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
        scratch = cuda.shared.array(threads, types.float64)
        out[cuda.threadIdx.x] = total(values, 1, values.size - 1, scratch)

    values = np.random.default_rng(0).standard_normal(14)
    launcher, results = kernel(add_up), []
    for _ in range(3):
        out = to_device(np.zeros(threads))
        launcher[1, threads](to_device(values), out)
        results.append(out.copy_to_host())
    np.testing.assert_allclose(results[0], values[1:].sum(), rtol=1e-14)
    assert len({result.tobytes() for result in results}) == 1
