"""Somebody's own functions of numbers, run on values of a graph.

What they take from `math` is replaced by operators. Where one asks whether a condition holds, it is
run once for either answer, and a node chooses between the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import CellType, FunctionType, ModuleType
from typing import Any

from nnjit.interop.onnx.graph import Graph, Undecided, Value

__all__ = ["traced"]

# Runs of a function, one for each way through its conditions.
_MOST_WAYS = 64
_OPERATORS = {
    "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "sinh": "Sinh", "cosh": "Cosh", "asin": "Asin", "acos": "Acos", "atan": "Atan",
    "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "fabs": "Abs", "floor": "Floor",
    "ceil": "Ceil",
}  # fmt: skip


def traced(
    graph: Graph, function: Callable[..., Any], erf: Callable[[Value], Value]
) -> Callable[..., Any]:
    """Return a function of numbers as one of values.

    Parameters
    ----------
    graph : Graph
    function : function
        Made of Python's arithmetic, conditions and `math`.
    erf : callable
        The error function of a value.

    Returns
    -------
    callable
        It raises what the function raises where it does something else with its arguments.
    """
    symbolic = _rebuilt(function, _mathematics(graph, erf), {})

    def of_values(*arguments: Any) -> Any:
        return _every_way(graph, symbolic, arguments)

    return of_values


def _every_way(graph: Graph, function: Callable[..., Any], arguments: Any) -> Any:
    """Return what a function makes of values, its conditions being nodes."""
    ways = [0]

    def follow(answers: list[tuple[Value, bool]]) -> Any:
        ways[0] += 1
        if ways[0] > _MOST_WAYS:
            raise ValueError(f"there are more than {_MOST_WAYS} ways through its conditions")
        graph.answers = {condition.name: answer for condition, answer in answers}
        try:
            return function(*arguments)
        except Undecided as asked:
            condition = asked.condition
        finally:
            graph.answers = {}
        found = [follow([*answers, (condition, answer)]) for answer in (True, False)]
        if not any(isinstance(one, Value) for one in found):
            found[0] = graph.constant(found[0], arguments[0].dtype)
        return graph.where(condition, *found)

    return follow([])


def _mathematics(graph: Graph, erf: Callable[[Value], Value]) -> dict[str, Any]:
    """Return the functions of `math` as functions of values, and of numbers still."""

    def either(name: str, of_value: Callable[..., Any]) -> Any:
        plain = getattr(math, name)

        def applied(*given: Any) -> Any:
            if any(isinstance(one, Value) for one in given):
                return of_value(*given)
            return plain(*given)

        return applied

    def operator(op: str) -> Any:
        return lambda x: graph.add(op, x)

    def hypot(*given: Any) -> Any:
        return graph.add("Sqrt", sum(one * one for one in given))

    def copysign(x: Any, y: Any) -> Any:
        return graph.where(y < 0.0, -abs(x), abs(x))

    found = {name: either(name, operator(op)) for name, op in _OPERATORS.items()}
    others: dict[str, Callable[..., Any]] = {
        "expm1": lambda x: graph.add("Exp", x) - 1.0,
        "log1p": lambda x: graph.add("Log", x + 1.0),
        "log2": lambda x: graph.add("Log", x) * (1.0 / math.log(2.0)),
        "log10": lambda x: graph.add("Log", x) * (1.0 / math.log(10.0)),
        "exp2": lambda x: 2.0**x,
        "pow": lambda x, y: x**y,
        "erf": erf,
        "erfc": lambda x: 1.0 - erf(x),
        "hypot": hypot,
        "copysign": copysign,
    }
    return found | {name: either(name, one) for name, one in others.items()}


class _Mathematics:
    """Stands for the module `math`."""

    def __init__(self, functions: dict[str, Any]) -> None:
        self._functions = functions

    def __getattr__(self, name: str) -> Any:
        if name in self._functions:
            return self._functions[name]
        found = getattr(math, name)
        if callable(found):
            raise ValueError(f"math.{name} has no counterpart in ONNX")
        return found


def _rebuilt(function: Any, functions: dict[str, Any], known: dict[int, Any]) -> Any:
    """Return a function that finds other mathematics where it looks for `math`."""
    if id(function) in known:
        return known[id(function)]

    def replaced(value: Any) -> Any:
        value = getattr(value, "py_func", value)  # of a function that Numba has compiled
        if isinstance(value, ModuleType) and value.__name__ == "math":
            return _Mathematics(functions)
        name = getattr(value, "__name__", "")
        if not isinstance(value, FunctionType | type) and getattr(math, name, None) is value:
            return getattr(_Mathematics(functions), name)
        return _rebuilt(value, functions, known) if isinstance(value, FunctionType) else value

    names = dict.fromkeys(_names_of(function.__code__))
    around = {name: function.__globals__[name] for name in names if name in function.__globals__}
    scope = {**function.__globals__}
    made = FunctionType(
        function.__code__,
        scope,
        function.__name__,
        function.__defaults__,
        tuple(CellType() for _ in function.__closure__ or ()),
    )
    made.__kwdefaults__ = function.__kwdefaults__
    known[id(function)] = made
    scope.update({name: replaced(value) for name, value in around.items()})
    for cell, given in zip(made.__closure__ or (), function.__closure__ or ()):
        cell.cell_contents = replaced(given.cell_contents)
    return made


def _names_of(code: Any) -> Iterator[str]:
    """Yield the names that code looks up, and code inside of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            yield from _names_of(constant)
