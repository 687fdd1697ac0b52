"""Activations in a graph: those of the package, and somebody's own."""

import math
from math import exp as exponential

import numba
import numpy as np
import pytest
from onnx_runs import Session, close

from entries_of_tests import registries_kept
from nnjit import MLPRegressor, register_activation
from nnjit.formulas import ACTIVATIONS
from nnjit.interop import to_onnx
from nnjit.interop.onnx.formulas import activation, library_of
from nnjit.interop.onnx.graph import Graph

Z = np.concatenate([np.linspace(-12, 12, 97), [-800.0, -60.0, -1e-6, 1e-6, 60.0, 800.0]])


def applied(function, dtype, opset=18):
    """What a function of (graph, value) makes of Z."""
    graph = Graph(opset)
    X = graph.input("X", dtype, ("n", 1))
    graph.output("h", function(graph, X), ("n", 1))
    return Session(graph.model("formula"))(Z[:, np.newaxis])["h"][:, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_that_of_the_package(name, dtype, opset):
    with np.errstate(over="ignore"):
        expected = ACTIVATIONS[name].numpy(dtype).value(Z.astype(dtype))
    found = applied(lambda graph, z: activation(graph, name, z), dtype, opset)
    assert found.dtype == dtype
    close(found, expected, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name",
    ["exp", "expm1", "sigmoid", "tanh", "softplus", "erf", "normal_cdf", "normal_pdf"],
)
def test_functions_of_the_library(name, dtype):
    from nnjit.formulas.library import arrays

    with np.errstate(over="ignore"):
        expected = getattr(arrays(dtype), name)(Z.astype(dtype))
    found = applied(lambda graph, z: getattr(library_of(graph, dtype), name)(z), dtype)
    close(found, expected, dtype)


@pytest.mark.parametrize("name", ["cos_2pi", "sin_2pi"])
def test_circular_functions(name):
    from nnjit.formulas.library import arrays

    found = applied(lambda graph, z: getattr(library_of(graph, np.float64), name)(z), np.float64)
    close(found, getattr(arrays(), name)(Z), np.float64)


# -- somebody's own ----------------------------------------------------------------------

SHARPNESS = 3.0


@numba.njit
def gate(z):
    return 1.0 / (1.0 + math.exp(-SHARPNESS * z))


def own_swish(z):
    return z * gate(z)


def own_swish_slope(z):
    share = gate(z)
    return share + SHARPNESS * z * share * (1.0 - share)


def steps(z):
    if z > 1.0:
        return 1.0 + math.log(z)
    if z < -1.0:
        return -1.0 - math.log(abs(z))
    return max(z, -1.0)


def steps_slope(z):
    return 1.0 / abs(z) if abs(z) > 1.0 else 1.0


def made_around(width):
    def bump(z):
        return exponential(-((z / width) ** 2))

    def slope(z):
        return -2.0 * z / width**2 * exponential(-((z / width) ** 2))

    return bump, slope


def counted(z):
    return float(int(z)) * 0.0 + z


def gamma_of(z):
    return math.lgamma(1.0 + z * z)


OWN = {
    "own_swish": (own_swish, own_swish_slope),
    "own_steps": (steps, steps_slope),
    "own_bump": made_around(1.5),
}


@pytest.fixture
def registries():
    with registries_kept():
        yield


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OWN)
def test_a_function_of_numbers_becomes_arithmetic(name, dtype, registries):
    value, slope = OWN[name]
    register_activation(name, value, slope)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)).astype(dtype), rng.normal(size=40)
    model = MLPRegressor(hidden_layer_sizes=(8,), activation=name, max_iter=3, random_state=0)
    with pytest.warns(Warning, match="Maximum iterations"):
        model.fit(X, y)
    close(Session(to_onnx(model))(3 * X)["prediction"], model.predict(3 * X), dtype)


def test_what_is_no_arithmetic_is_refused_by_name(registries):
    register_activation("own_counted", counted, lambda z: 1.0)
    graph = Graph(18)
    z = graph.input("X", np.float64, ("n", 1))
    with pytest.raises(ValueError, match="'own_counted' cannot leave for ONNX"):
        activation(graph, "own_counted", z)


def test_a_function_that_onnx_lacks_is_named(registries):
    def slope(z):  # of lgamma by differences, near enough
        return (gamma_of(z + 1e-5) - gamma_of(z - 1e-5)) / 2e-5

    register_activation("own_gamma", gamma_of, slope)
    graph = Graph(18)
    z = graph.input("X", np.float64, ("n", 1))
    with pytest.raises(ValueError, match="math.lgamma has no counterpart"):
        activation(graph, "own_gamma", z)
