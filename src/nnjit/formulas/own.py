"""Activations, losses and solvers of your own, made of plain functions of numbers.

They are written with Python's arithmetic and `math`, tried out when they are registered, and
compiled when a network first needs them.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from nnjit.formulas.registry import (
    ACTIVATIONS,
    FAN_BOTH,
    FAN_IN,
    LOSSES,
    OWN,
    SOLVERS,
    Activation,
    Domain,
    Loss,
    Solver,
    add_own,
    find_activation,
)

__all__ = [
    "import_modules", "modules_of", "register_activation", "register_loss", "register_solver",
]  # fmt: skip

Function = Callable[..., Any]
Interval = tuple[float, float]

_REALS = (-math.inf, math.inf)
_POINTS, _REACH, _STEP = 200, 6.0, 1e-6


def register_activation(
    name: str,
    value: Function,
    slope: Function,
    *,
    gain: float = 6.0,
    fan: str = FAN_BOTH,
    range: Interval = _REALS,
) -> Any:
    r"""Make an activation of your own known under a name.

    From then on the MLPs take the name as an `activation`, on the CPU in float32 and float64, on
    a GPU, and in displays. The functions are compiled when a network first needs them, and
    kept on disk if they come from a file. A name of your own may be given anew, to other
    functions; networks then use those.

    Parameters
    ----------
    name : str
        An identifier, and not the name of an activation of the package.
    value : function
        The activation phi(z) of one number z. It may use arithmetic, conditions, `math` and
        numbers from around it, as far as Numba compiles that.
    slope : function
        The derivative phi'(z).
    gain : float, default=6.0
        Initial weights are uniform between -b and b with b = sqrt(gain / fan).
    fan : {'both', 'in'}, default='both'
        The fan there: the inputs of a layer and its outputs together (Glorot), or its inputs (He
        with a gain of 6, LeCun with 3).
    range : tuple of float, default=(-inf, inf)
        Ends of the interval of values. Where both are finite, displays show which units saturate.

    Returns
    -------
    name : str
        The name; type checkers take it for one of the package's.

    Raises
    ------
    TypeError
        If the functions are no Python functions of one argument.
    ValueError
        If `slope` is not the derivative of `value` (the message says where), a value is out of
        range, or the name is taken.

    Notes
    -----
    An estimator is pickled with the name alone and the name of the module that registers it,
    which is imported where it is loaded. So in a search with several processes, or where a
    pickle is to be loaded elsewhere, register in a module that can be imported, not in a
    notebook or a script.

    Write whole numbers as 2.0 rather than 2 where a float32 network should compute in float32: in
    a function that has exponents or indices Numba takes integers for reasons to go on in float64.
    The result is right in any case.

    Examples
    --------
    >>> import math
    >>> import nnjit
    >>> def swish2(z):
    ...     return z / (1.0 + math.exp(-2.0 * z))
    >>> def swish2_slope(z):
    ...     share = 1.0 / (1.0 + math.exp(-2.0 * z))
    ...     return share + 2.0 * z * share * (1.0 - share)
    >>> nnjit.register_activation("swish2", swish2, swish2_slope, fan="in")
    'swish2'
    >>> model = nnjit.MLPRegressor(activation="swish2", solver="lbfgs", tol=1e-2)
    >>> model.fit([[0.0], [0.5], [1.0]], [0.0, 1.0, 0.0]).predict([[0.5]]).shape
    (1,)
    """
    _check_name(name)
    _check_function(value, "value", 1)
    _check_function(slope, "slope", 1)
    low, high = _interval(range, "range")
    if fan not in (FAN_BOTH, FAN_IN) or not 0 < gain < math.inf:
        raise ValueError(f"gain must be above 0 and fan 'both' or 'in', got {gain!r} and {fan!r}.")
    points = [(z,) for z in _numbers(low=-_REACH, high=_REACH)]
    where = f"activation {name!r}"
    _check_slope(where, ("z",), value, slope, points, inside=_REALS)
    for (z,) in points:
        if not low <= value(z) <= high:
            raise ValueError(f"The {where} is {value(z)!r} at z = {z!r}, out of its range {range}.")
    entry = Activation(name, _activation_of(value, slope), float(gain), (low, high), fan=fan)
    add_own("activation", name, ACTIVATIONS, name, entry)
    return name


def register_loss(
    name: str,
    value: Function,
    slope: Function,
    *,
    output: str = "identity",
    targets: Interval = _REALS,
) -> Any:
    r"""Make a loss of your own known under a name, for the regressors.

    A network is then trained on the mean of the loss over rows and outputs. See
    `register_activation` for what functions may use, and for pickles.

    Parameters
    ----------
    name : str
        An identifier, and not the name of a loss of the package.
    value : function
        The loss of one target y and one output p of the network, ``value(y, p)``.
    slope : function
        Its derivative by the output, ``slope(y, p)``. The one by the pre-activation follows.
    output : str, default='identity'
        The output activation, whose values p is one of: 'identity', 'logistic', 'tanh', 'exp',
        or another by its name.
    targets : tuple of float, default=(-inf, inf)
        Ends of the interval of targets, which belong to it; a fit refuses others.

    Returns
    -------
    name : str
        The name; type checkers take it for one of the package's.

    Raises
    ------
    TypeError
        If the functions are no Python functions of two arguments.
    ValueError
        If `slope` is not the derivative of `value` (the message says where), there is no such
        output activation, or the name is taken.

    Examples
    --------
    >>> import math
    >>> import nnjit
    >>> def pseudo_huber(y, p):
    ...     return math.sqrt(1.0 + (p - y) * (p - y)) - 1.0
    >>> def pseudo_huber_slope(y, p):
    ...     return (p - y) / math.sqrt(1.0 + (p - y) * (p - y))
    >>> nnjit.register_loss("pseudo_huber", pseudo_huber, pseudo_huber_slope)
    'pseudo_huber'
    >>> model = nnjit.MLPRegressor("pseudo_huber", (8,), solver="lbfgs", tol=1e-2)
    >>> model.fit([[0.0], [0.5], [1.0]], [0.0, 1.0, 90.0]).predict([[0.5]]).shape
    (1,)
    """
    _check_name(name)
    _check_function(value, "value", 2)
    _check_function(slope, "slope", 2)
    low, high = _interval(targets, "targets")
    activation = find_activation(output)
    p = activation.numpy().value(np.array(_numbers(-_REACH / 2, _REACH / 2, seed=1))).tolist()
    y = _numbers(max(low, min(high, 0.0) - _REACH), min(high, max(low, 0.0) + _REACH))
    where = f"loss {name!r}"
    points = list(zip(y, p, strict=True))
    _check_slope(where, ("y", "p"), value, slope, points, inside=activation.range)
    domain = None
    if (low, high) != _REALS:
        text = f"{low!r} <= y <= {high!r}"
        domain = Domain(text, "other values", lambda y: (y >= low) & (y <= high))
    entry = Loss(
        name,
        _loss_of(value, slope),
        output,
        mean_over_outputs=True,
        domain=domain,
        by_output=True,
    )
    add_own("loss", name, LOSSES, (name, output), entry)
    return name


def register_solver(
    name: str,
    step: Function,
    *,
    rate: Function | None = None,
    vectors: Sequence[str] = (),
    hyperparameters: Mapping[str, float] | None = None,
    powers: Sequence[str] = (),
    scheduled: bool = False,
) -> Any:
    r"""Make a stochastic solver of your own known under a name.

    It moves each parameter by itself, given the gradient over the minibatch, penalty included. See
    `register_activation` for what functions may use, and for pickles.

    Parameters
    ----------
    name : str
        An identifier, and not the name of a solver of the package.
    step : function
        ``step(w, g, *vectors, rate, *hyperparameters)`` returns the new parameter and its new
        vectors, as a tuple, for a parameter w with the gradient g.
    rate : function, default=None
        ``rate(rate, *hyperparameters, *powers)`` returns the rate of a step given the base
        rate, which it is without the function.
    vectors : sequence of str, default=()
        Names of the numbers that are kept for each parameter, 0 at first; three at most.
    hyperparameters : dict, default=None
        Names and values. One that an estimator has as a parameter is taken from there, such as
        `momentum` or `beta_1`.
    powers : sequence of str, default=()
        Hyperparameters whose t-th powers `rate` gets in step t = 1, 2, ...
    scheduled : bool, default=False
        Whether `learning_rate` applies to it.

    Returns
    -------
    name : str
        The name; type checkers take it for one of the package's.

    Raises
    ------
    TypeError
        If the functions are no Python functions of that many arguments.
    ValueError
        If a step does not return so many finite numbers, or the name is taken.

    Examples
    --------
    >>> import nnjit
    >>> def sign_step(w, g, mean, rate, beta_1):
    ...     mean = beta_1 * mean + (1.0 - beta_1) * g
    ...     return (w - rate if mean > 0.0 else w + rate), mean
    >>> nnjit.register_solver(
    ...     "sign_descent", sign_step, vectors=("mean",), hyperparameters={"beta_1": 0.9}
    ... )
    'sign_descent'
    >>> model = nnjit.MLPRegressor(solver="sign_descent", max_iter=20, tol=1.0)
    >>> model.fit([[0.0], [0.5], [1.0]], [0.0, 1.0, 0.0]).predict([[0.5]]).shape
    (1,)
    """
    _check_name(name)
    settings = {key: float(given) for key, given in (hyperparameters or {}).items()}
    if len(vectors) > 3:
        raise ValueError(f"A solver keeps at most three vectors, got {list(vectors)}.")
    _check_function(step, "step", 3 + len(vectors) + len(settings))
    if rate is not None:
        _check_function(rate, "rate", 1 + len(settings) + len(powers))
    _check_step(name, step, len(vectors), list(settings.values()))
    make = _solver_of(step, rate, len(vectors))
    entry = Solver(name, make, tuple(vectors), settings, tuple(powers), scheduled)
    add_own("solver", name, SOLVERS, name, entry)
    return name


# The formulas of an entry: results are in the network's precision, whatever the functions give


def _activation_of(value: Function, slope: Function) -> Any:
    def make(m: Any) -> Any:
        real, phi, derivative_of = m.real, m.own(value), m.own(slope)

        def own_value(z: Any) -> Any:
            return real(phi(z))

        def own_derivative(z: Any) -> Any:
            return real(derivative_of(z))

        def backward(delta: Any, z: Any) -> Any:
            return delta * real(derivative_of(z))

        return own_value, own_derivative, backward

    make.functions = value, slope  # type: ignore[attr-defined]
    return make


def _loss_of(value: Function, slope: Function) -> Any:
    def make(m: Any) -> Any:
        real, loss, loss_slope = m.real, m.own(value), m.own(slope)

        def own_value(y: Any, p: Any) -> Any:
            return real(loss(y, p))

        def own_slope(y: Any, p: Any) -> Any:
            return real(loss_slope(y, p))

        return own_value, own_slope

    make.functions = value, slope  # type: ignore[attr-defined]
    return make


def _solver_of(step: Function, rate: Function | None, n_vectors: int) -> Any:
    def make(m: Any) -> Any:
        real, move, base = m.real, m.own(step), rate and m.own(rate)

        def own_rate(rate: Any, *others: Any) -> Any:
            return base(rate, *others)  # type: ignore[misc]

        def with_none(w: Any, g: Any, *others: Any) -> Any:
            return (real(move(w, g, *others)[0]),)

        def with_one(w: Any, g: Any, *others: Any) -> Any:
            w, a = move(w, g, *others)
            return real(w), real(a)

        def with_two(w: Any, g: Any, *others: Any) -> Any:
            w, a, b = move(w, g, *others)
            return real(w), real(a), real(b)

        def with_three(w: Any, g: Any, *others: Any) -> Any:
            w, a, b, c = move(w, g, *others)
            return real(w), real(a), real(b), real(c)

        return rate and own_rate, (with_none, with_one, with_two, with_three)[n_vectors]

    make.functions = step, rate  # type: ignore[attr-defined]
    return make


# Trials


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"The name must be an identifier, got {name!r}.")


def _check_function(function: Any, what: str, count: int) -> None:
    """Refuse what is no Python function of so many arguments."""
    if not isinstance(function, FunctionType):
        raise TypeError(f"{what} must be a Python function, got {function!r}.")
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        raise TypeError(
            f"{what} must take {count} arguments, but it is "
            f"{function.__name__}{inspect.signature(function)}."
        ) from None


def _interval(given: Any, what: str) -> Interval:
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise ValueError(f"{what} must be two numbers, the lower first, got {given!r}.")
    return low, high


def _numbers(low: float, high: float, seed: int = 0) -> list[float]:
    """Return numbers of an interval, which meet no kink but by chance."""
    found: list[float] = np.random.RandomState(seed).uniform(low, high, _POINTS).tolist()
    return found


def _tried(where: str, function: Function, names: Sequence[str], point: Sequence[float]) -> Any:
    """Return what a function makes of numbers, which have names; ValueError if it is no number."""
    at = ", ".join(f"{name} = {number!r}" for name, number in zip(names, point))
    try:
        found = function(*point)
        if isinstance(found, tuple) or math.isfinite(found):
            return found
    except Exception as error:
        raise ValueError(
            f"{function.__name__} of the {where} raises {type(error).__name__}: {error}, at {at}."
        ) from error
    raise ValueError(f"{function.__name__} of the {where} is {found!r} at {at}.")


def _check_slope(
    where: str,
    names: Sequence[str],
    value: Function,
    slope: Function,
    points: Iterable[tuple[float, ...]],
    inside: Interval,
) -> None:
    """Compare a slope by the last argument with differences of the value."""
    for *others, x in points:
        step = _STEP * max(1.0, abs(x))
        below, above = max(x - step, inside[0]), min(x + step, inside[1])
        low, high = (_tried(where, value, names, [*others, at]) for at in (below, above))
        expected = (high - low) / (above - below)
        found = _tried(where, slope, names, [*others, x])
        # of the formula of differences, and of the rounding of values
        allowed = 1e-5 * max(1.0, abs(expected)) + 1e-8 * max(abs(low), abs(high))
        if abs(found - expected) > allowed:
            at = ", ".join(f"{name} = {number!r}" for name, number in zip(names, [*others, x]))
            raise ValueError(
                f"slope of the {where} is not the derivative of its value: at {at} it gives "
                f"{found!r}, but differences of the value give {expected:.9g}."
            )


def _check_step(name: str, step: Function, n_vectors: int, settings: Sequence[float]) -> None:
    """Refuse steps that do not return so many finite numbers."""
    where = f"solver {name!r}"
    names = ["w", "g", *[f"vector {i + 1}" for i in range(n_vectors)], "rate", "hyperparameters"]
    moments = [0.0] * n_vectors
    for w, g in zip(_numbers(-1.0, 1.0), _numbers(-1.0, 1.0, seed=1)):
        found = _tried(where, step, names, [w, g, *moments, 0.01, *settings])
        if not isinstance(found, tuple) or len(found) != 1 + n_vectors:
            raise ValueError(
                f"step of the {where} must return a tuple of {1 + n_vectors} numbers, the new "
                f"parameter and the vectors, got {found!r}."
            )
        if not all(map(math.isfinite, found)):
            raise ValueError(f"step of the {where} gives {found} for w = {w!r} and g = {g!r}.")
        moments = list(found[1:])


# Pickles


def modules_of(named: Mapping[str, Any]) -> list[str]:
    """Return the modules that register what an estimator names, if it is not the package's.

    Parameters
    ----------
    named : mapping
        An estimator's parameters; of interest are activation, loss and solver.

    Returns
    -------
    list of str
    """
    entries = [OWN.get(key) for key in _own_names(named)]
    functions = [entry[1].make.functions[0] for entry in entries if entry is not None]
    return sorted({function.__module__ for function in functions} - {"__main__"})


def import_modules(named: Mapping[str, Any], modules: Iterable[str]) -> None:
    """Import the modules of `modules_of` where a name is unknown and they can be found."""
    known = {"activation": ACTIVATIONS, "solver": {*SOLVERS, "lbfgs"}}
    known["loss"] = {"log_loss", *[name for name, _ in LOSSES]}
    if all(name in known[kind] for kind, name in _own_names(named)):
        return
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:  # whoever needs the name says so
            pass


def _own_names(named: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (kind, name) of what an estimator names."""
    found = []
    for kind in ("activation", "loss", "solver"):
        given = named.get(kind)
        names = given if isinstance(given, (list, tuple, np.ndarray)) else [given]
        found += [(kind, str(name)) for name in names if isinstance(name, str)]
    return found
