"""Formulas of one's own: what is registered, and what is refused."""

import math

import numba
import numpy as np
import pytest
from targets import PRECISIONS, close, derivative, slope

from entries_of_tests import registries_kept
from nnjit import register_activation, register_loss, register_solver
from nnjit.core.own import in_precision
from nnjit.core.scalar import compiled
from nnjit.formulas import LOSSES, find_activation, find_loss, find_solver


@pytest.fixture(autouse=True)
def kept():
    with registries_kept():
        yield


def bent(z):
    return 0.5 * (math.sqrt(z * z + 1.0) - 1.0) + z


def bent_slope(z):
    return 0.5 * z / math.sqrt(z * z + 1.0) + 1.0


def wrong_from_two_on(z):
    return bent_slope(z) if z < 2.0 else 0.0


def cube(y, p):
    return abs(p - y) ** 3 / 3.0


def cube_slope(y, p):
    return abs(p - y) * (p - y)


def plain(w, g, rate):
    return (w - rate * g,)


def test_an_activation_is_found_under_its_name_with_its_traits():
    assert register_activation("bent", bent, bent_slope, gain=3.0, fan="in") == "bent"
    entry = find_activation("bent")
    assert (entry.gain, entry.fan, entry.range) == (3.0, "in", (-math.inf, math.inf))
    z = np.linspace(-3, 3, 21)
    np.testing.assert_allclose(entry.numpy().value(z), [bent(x) for x in z])
    np.testing.assert_allclose(
        entry.numpy().derivative(z), derivative(entry.numpy().value, z), rtol=1e-6
    )


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_compiled_formulas_have_the_networks_precision(dtype):
    register_activation("bent", bent, bent_slope)
    value, slope, backward = compiled(find_activation("bent"), dtype == np.float32)

    @numba.njit
    def run(z, delta):
        return value(z), slope(z), backward(delta, z)

    for z in (-2.5, 0.0, 1.25):
        results = run(dtype(z), dtype(2))
        close(np.array(results), [bent(z), bent_slope(z), 2 * bent_slope(z)], dtype)
    kinds = run.nopython_signatures[0].return_type
    assert {str(kind) for kind in kinds} == {np.dtype(dtype).name}


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
def test_constants_and_whole_numbers_do_not_lift_float32():
    inner = 3.0

    def formula(z):
        return 1 / (1 + math.exp(-inner * z)) + 0.25

    def result(function):
        compiled_function = numba.njit(function)
        compiled_function(np.float32(1))
        return str(compiled_function.nopython_signatures[0].return_type)

    assert result(formula) == "float64"
    assert result(in_precision(formula, True, {})) == "float32"
    assert result(in_precision(formula, False, {})) == "float64"


def test_constants_that_float32_does_not_have_stay_as_they_are():
    def guarded(p):
        return math.log(p + 1e-300) * 2.5

    code = in_precision(guarded, True, {}).__code__
    found = {type(value): value for value in code.co_consts if value is not None}
    assert found == {float: 1e-300, np.float32: np.float32(2.5)}


def test_integers_stay_integers_beside_exponents_and_indices():
    def power(z):
        return 3 * z**2

    def loop(z):
        total = z
        for _ in range(2):
            total = total * z
        return total

    for function in (power, loop):
        made = in_precision(function, True, {})
        assert not any(isinstance(value, np.float32) for value in made.__code__.co_consts)


def test_a_wrong_slope_is_refused_with_the_point_where_it_differs():
    message = r"slope of the activation 'bent' .* at z = (\S+) it gives 0.0, but .* give 1\.[45]"
    with pytest.raises(ValueError, match=message):
        register_activation("bent", bent, wrong_from_two_on)
    with pytest.raises(ValueError, match="bent"):
        find_activation("bent")
    with pytest.raises(ValueError, match=r"loss 'cubic' .* at y = \S+, p = \S+ it gives"):
        register_loss("cubic", cube, lambda y, p: p - y)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        (("two words", bent, bent_slope), ValueError, "identifier"),
        ((3, bent, bent_slope), ValueError, "identifier"),
        (("relu", bent, bent_slope), ValueError, "nnjit has activation 'relu' already"),
        (("softmax", bent, bent_slope), ValueError, "nnjit has activation 'softmax' already"),
        (("bent", math.tanh, bent_slope), TypeError, "value must be a Python function"),
        (("bent", bent, cube_slope), TypeError, r"slope must take 1 arguments.*cube_slope\(y, p\)"),
        (
            ("bent", lambda z: math.log(z), lambda z: 1.0 / z),
            ValueError,
            "raises ValueError.*at z =",
        ),
        (("bent", lambda z: math.nan, bent_slope), ValueError, "is nan at z ="),
    ],
)
def test_what_is_no_activation_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        register_activation(*arguments)


@pytest.mark.parametrize(
    "traits, message",
    [
        ({"range": (0.0, math.inf)}, "out of its range"),
        ({"range": (1.0, 0.0)}, "range must be two numbers"),
        ({"range": 3}, "range must be two numbers"),
        ({"gain": 0.0}, "gain must be above 0"),
        ({"fan": "out"}, "fan 'both' or 'in'"),
    ],
)
def test_traits_that_do_not_fit_are_refused(traits, message):
    with pytest.raises(ValueError, match=message):
        register_activation("bent", bent, bent_slope, **traits)


def test_a_name_is_given_anew_and_the_former_functions_are_gone():
    register_activation("mine", bent, bent_slope)
    first = find_activation("mine")
    register_activation("mine", lambda z: 2.0 * z, lambda z: 2.0)
    assert find_activation("mine") is not first
    assert find_activation("mine").numpy().value(np.array([1.5]))[0] == 3.0
    register_loss("cubic", cube, cube_slope)
    register_loss("cubic", cube, cube_slope, output="exp")
    assert [output for name, output in LOSSES if name == "cubic"] == ["exp"]


@pytest.mark.parametrize("output", ["identity", "logistic", "tanh", "exp", "gelu", "softplus"])
def test_the_slope_of_a_loss_is_taken_through_its_output_activation(output):
    register_loss("cubic", cube, cube_slope, output=output, targets=(-1.0, 3.0))
    entry, phi = find_loss("cubic", output), find_activation(output).numpy().value
    formulas, rng = entry.numpy(), np.random.default_rng(0)
    y, z = rng.uniform(-1, 3, 50), rng.normal(size=50)

    expected = derivative(lambda z: formulas.value(y, phi(z)), z)
    np.testing.assert_allclose(
        slope(entry, formulas, {"y": y, "z": z, "p": phi(z)}), expected, rtol=1e-5, atol=1e-7
    )
    assert entry.domain.holds(np.array([-2.0, -1.0, 3.0])).tolist() == [False, True, True]


def test_losses_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="activation must be one of"):
        register_loss("cubic", cube, cube_slope, output="softmax")
    with pytest.raises(ValueError, match="nnjit has loss 'squared_error' already"):
        register_loss("squared_error", cube, cube_slope)
    with pytest.raises(ValueError, match="targets must be two numbers"):
        register_loss("cubic", cube, cube_slope, targets=(0.0,))


def test_a_solver_is_found_with_what_it_keeps():
    def step(w, g, mean, rate, beta_1):
        mean = beta_1 * mean + (1.0 - beta_1) * g
        return w - rate * mean, mean

    register_solver(
        "heavy",
        step,
        vectors=("mean",),
        hyperparameters={"beta_1": 0.5},
        powers=("beta_1",),
        rate=lambda rate, beta_1, power: rate / (1.0 - power),
    )
    entry = find_solver("heavy")
    assert (entry.vectors, dict(entry.hyperparameters)) == (("mean",), {"beta_1": 0.5})
    assert entry.numpy().rate(0.1, 0.5, 0.5) == pytest.approx(0.2)
    w, mean = entry.numpy().step(np.array([1.0, 2.0]), np.array([1.0, -1.0]), 0.0, 0.1, 0.5)
    np.testing.assert_allclose([w, mean], [[0.95, 2.05], [0.5, -0.5]])


@pytest.mark.parametrize(
    "step, traits, error, message",
    [
        (lambda w, g, rate: w - rate * g, {}, ValueError, "must return a tuple of 1 numbers"),
        (plain, {"vectors": ("mean",)}, TypeError, "step must take 4 arguments"),
        (plain, {"rate": lambda rate, x: rate}, TypeError, "rate must take 1 arguments"),
        (lambda w, g, rate: (w / 0.0,), {}, ValueError, "raises ZeroDivisionError"),
        (lambda w, g, rate: (math.inf,), {}, ValueError, r"gives \(inf,\)"),
        (plain, {"vectors": ("a", "b", "c", "d")}, ValueError, "at most three"),
        (
            lambda w, g, rate, average: (w - rate * average * g,),
            {"hyperparameters": {"average": 0.5}},
            ValueError,
            "a hyperparameter of the solver 'mine' is called 'average'",
        ),
    ],
)
def test_what_is_no_solver_is_refused(step, traits, error, message):
    with pytest.raises(error, match=message):
        register_solver("mine", step, **traits)


def test_lbfgs_and_the_packages_solvers_keep_their_names():
    for name in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match=f"nnjit has solver {name!r} already"):
            register_solver(name, plain)


def test_an_unknown_name_says_how_to_make_it_known():
    with pytest.raises(ValueError, match="call nnjit.register_activation first"):
        find_activation("bent")
    with pytest.raises(ValueError, match="call nnjit.register_loss first"):
        find_loss("cubic", "identity")
    with pytest.raises(ValueError, match="call nnjit.register_solver first"):
        find_solver("heavy")
