"""Formulas of the registry as C: they are called with a library whose functions write text.

A formula is traced: every operation on an `Expression` makes another one. What appears more than
once becomes a variable. Functions of the user's own, in which Python decides what is computed, are
run once for each way through them.
"""

from __future__ import annotations

import builtins
import functools
import math
import types
from collections.abc import Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import numpy as np

from nnjit.formulas.registry import find_activation
from nnjit.interop.c.text import Real

__all__ = ["activation_lines"]

# Decisions of one way through a user's function, and operations of its expression, at most.
_DEEPEST, _MOST = 10, 2000
_COMPARISONS = ("<", ">", "<=", ">=", "==", "!=", "!", "&&", "||")
# Functions of Python's math that C has under the same name; those that are called otherwise.
_OF_MATH = (
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign", "cos",
    "cosh", "erf", "erfc", "exp", "exp2", "expm1", "fabs", "floor", "fmod", "hypot",
    "log", "log10", "log1p", "log2", "pow", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip
_RENAMED = {"gamma": "tgamma"}


class _Undecided(Exception):
    """A condition that the way through a function has not decided yet."""

    def __init__(self, condition: Expression) -> None:
        self.condition = condition


# What has been decided on the way through a user's function, and how much of it has been used.
_WAY: ContextVar[tuple[list[bool], list[int]] | None] = ContextVar("_WAY", default=None)


class Expression:
    """An operation on others; a number or a variable if it is on none."""

    __slots__ = ("operands", "operator")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, operator: str, *operands: Any) -> None:
        self.operator = operator
        self.operands: tuple[Expression, ...] = tuple(map(_expression, operands))

    @property
    def is_condition(self) -> bool:
        """Whether it is true or false."""
        return self.operator in _COMPARISONS

    def __add__(self, other: Any) -> Expression:
        return Expression("+", self, other)

    def __radd__(self, other: Any) -> Expression:
        return Expression("+", other, self)

    def __sub__(self, other: Any) -> Expression:
        return Expression("-", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return Expression("-", other, self)

    def __mul__(self, other: Any) -> Expression:
        return Expression("*", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return Expression("*", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return Expression("/", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return Expression("/", other, self)

    def __pow__(self, other: Any) -> Expression:
        if isinstance(other, int | float) and other in (2, 3):
            return self * self if other == 2 else self * self * self
        return Expression("pow", self, other)

    def __rpow__(self, other: Any) -> Expression:
        return Expression("pow", other, self)

    def __neg__(self) -> Expression:
        return Expression("negative", self)

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return Expression("fabs", self)

    def __lt__(self, other: Any) -> Expression:
        return Expression("<", self, other)

    def __gt__(self, other: Any) -> Expression:
        return Expression(">", self, other)

    def __le__(self, other: Any) -> Expression:
        return Expression("<=", self, other)

    def __ge__(self, other: Any) -> Expression:
        return Expression(">=", self, other)

    def __eq__(self, other: Any) -> Any:
        return Expression("==", self, other)

    def __ne__(self, other: Any) -> Any:
        return Expression("!=", self, other)

    def __bool__(self) -> bool:
        way = _WAY.get()
        if way is None:
            raise TypeError("it decides by a number what is computed")
        decided, used = way
        used[0] += 1
        if used[0] > len(decided):
            raise _Undecided(self if self.is_condition else self != 0.0)
        return decided[used[0] - 1]


class _Leaf(Expression):
    """A number, or a variable."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        super().__init__("leaf")
        self.value = value


def _expression(given: Any) -> Expression:
    if isinstance(given, Expression):
        return given
    if isinstance(given, (bool, int, float, np.floating, np.integer)):
        return _Leaf(float(given))
    raise TypeError(f"it computes with {type(given).__name__}")


# The library of formulas


def _select(condition: Any, a: Any, b: Any) -> Any:
    return Expression("?", condition, a, b)


def _sigmoid(x: Any) -> Any:
    e = Expression("exp", -abs(x))
    return _select(x < 0.0, e, 1.0) / (1.0 + e)


def _softplus(x: Any) -> Any:
    rest = Expression("log1p", Expression("exp", -abs(x)))
    return _select(x < 0.0, 0.0, x) + rest


def _clip(value: Any, low: Any, high: Any) -> Any:
    raised = _select(value < low, low, value)
    return _select(raised > high, high, raised)


def _normal_pdf(x: Any) -> Any:
    return Expression("exp", -0.5 * (x * x)) * (1.0 / math.sqrt(2.0 * math.pi))


def _turns(name: str) -> Callable[[Any], Any]:
    def of_turns(x: Any) -> Any:
        return Expression(name, (2.0 * math.pi) * (x - Expression("rint", x)))

    return of_turns


def _library(real: Real) -> SimpleNamespace:
    """Return what a formula may use; see `nnjit.formulas.library.library`."""
    info = np.finfo(real.dtype)
    called = ("exp", "expm1", "log", "log1p", "tanh", "erf", "sqrt")
    functions = {name: functools.partial(Expression, name) for name in called}
    return SimpleNamespace(
        real=_expression, zero=_Leaf(0.0), half=_Leaf(0.5), one=_Leaf(1.0), two=_Leaf(2.0),
        eps=_Leaf(float(info.eps)), tiny=_Leaf(float(info.tiny)), huge=_Leaf(float(info.max)),
        sigmoid=_sigmoid, softplus=_softplus, select=_select, clip=_clip, own=_own,
        normal_cdf=lambda x: 0.5 * Expression("erfc", -(x * math.sqrt(0.5))),
        normal_pdf=_normal_pdf, cos_2pi=_turns("cos"), sin_2pi=_turns("sin"),
        part=lambda function: function, **functions,
    )  # fmt: skip


# Functions of the user's own


def _math_function(name: str) -> Callable[..., Any]:
    """Return a function of Python's math that takes expressions as well."""
    own, in_c = getattr(math, name), _RENAMED.get(name, name)

    def of_any(*values: Any) -> Any:
        if any(isinstance(value, Expression) for value in values):
            return Expression(in_c, *values)
        return own(*values)

    return of_any


@functools.cache
def _math() -> SimpleNamespace:
    names = [name for name in (*_OF_MATH, *_RENAMED) if hasattr(math, name)]
    found = {name: getattr(math, name) for name in dir(math) if not name.startswith("__")}
    return SimpleNamespace(**{**found, **{name: _math_function(name) for name in names}})


def _with_math(value: Any, known: dict[int, Any]) -> Any:
    """Return a value that a function reads, `math` and functions taking expressions in it."""
    if value is math:
        return _math()
    if isinstance(value, types.BuiltinFunctionType) and value.__module__ == "math":
        return getattr(_math(), value.__name__)
    if isinstance(value, types.FunctionType):
        return _traceable(value, known)
    return value


def _traceable(function: types.FunctionType, known: dict[int, Any]) -> types.FunctionType:
    """Return a copy of a function that takes expressions, and those that it calls with it."""
    if id(function) in known:
        return known[id(function)]  # type: ignore[no-any-return]
    names = dict.fromkeys(function.__code__.co_names)
    read = {name: function.__globals__[name] for name in names if name in function.__globals__}
    around: dict[str, Any] = {"__builtins__": builtins}
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    copy = types.FunctionType(
        function.__code__, around, function.__name__, function.__defaults__, cells
    )
    known[id(function)] = copy
    around.update({name: _with_math(value, known) for name, value in read.items()})
    for cell, given in zip(cells, function.__closure__ or (), strict=True):
        cell.cell_contents = _with_math(given.cell_contents, known)
    return copy


def _own(function: types.FunctionType) -> Callable[..., Any]:
    """Return somebody's own function as one of expressions."""
    copy = _traceable(function, {})

    def of_expressions(*values: Any) -> Any:
        return _by_ways(lambda: copy(*values), [])

    return of_expressions


def _by_ways(compute: Callable[[], Any], decided: list[bool]) -> Any:
    """Return what is computed, by each way that conditions can lead."""
    if len(decided) > _DEEPEST:
        raise TypeError(f"there are more than {_DEEPEST} conditions on a way through it")
    token = _WAY.set((decided, [0]))
    try:
        return _expression(compute())
    except _Undecided as found:
        condition = found.condition
    finally:
        _WAY.reset(token)
    return _select(
        condition, _by_ways(compute, [*decided, True]), _by_ways(compute, [*decided, False])
    )


# C


class _Writer:
    """Writes an expression: variables for what is used more than once, and what is returned."""

    def __init__(self, real: Real) -> None:
        self.real = real
        self.lines: list[str] = []
        self._numbers: dict[Any, int] = {}  # of operations that are the same
        self._uses: dict[int, int] = {}
        self._nodes: list[tuple[Expression, tuple[int, ...]]] = []
        self._written: dict[int, str] = {}

    def write(self, expression: Expression) -> str:
        """Return the text of an expression; `lines` have to stand before it."""
        number = self._number(expression)
        self._uses[number] = 1
        return self._text(number)

    def _number(self, expression: Expression) -> int:
        """Return the number of an operation, the same for the same operation."""
        operands = tuple(self._number(one) for one in expression.operands)
        value = expression.value if isinstance(expression, _Leaf) else None
        key = (expression.operator, repr(value), operands)
        if key not in self._numbers:
            self._numbers[key] = len(self._nodes)
            self._nodes.append((expression, operands))
            if len(self._nodes) > _MOST:
                raise TypeError(f"it has more than {_MOST} operations")
            for one in operands:
                self._uses[one] = self._uses.get(one, 0) + 1
        return self._numbers[key]

    def _text(self, number: int) -> str:
        if number in self._written:
            return self._written[number]
        expression, operands = self._nodes[number]
        text = self._operation(expression, [self._text(one) for one in operands])
        if self._uses[number] > 1 and operands:
            variable = f"t{len(self.lines)}"
            kind = "int" if expression.is_condition else self.real.name
            self.lines.append(f"const {kind} {variable} = {_bare(text)};")
            text = variable
        self._written[number] = text
        return text

    def _operation(self, expression: Expression, texts: list[str]) -> str:
        operator, suffix = expression.operator, self.real.suffix
        if isinstance(expression, _Leaf):
            return self._leaf(expression.value)
        if operator == "?":
            return f"({texts[0]} ? {texts[1]} : {texts[2]})"
        if operator == "negative":
            return f"(-{texts[0]})"
        if len(texts) == 2 and not operator[0].isalpha():
            return f"({texts[0]} {operator} {texts[1]})"
        return f"{operator}{suffix}({', '.join(map(_bare, texts))})"

    def _leaf(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        if math.isnan(value):
            raise ValueError("it has a NaN")
        if np.isinf(np.asarray(value).astype(self.real.dtype)):
            huge = f"HUGE_VAL{self.real.suffix.upper()}"
            return huge if value > 0 else f"(-{huge})"
        text = self.real.literal(value)
        return f"({text})" if value < 0 else text


def _bare(text: str) -> str:
    """Return a text without the parentheses around all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if place == len(text) - 1 else text
    return text


def activation_lines(name: str, real: Real) -> list[str]:
    """Return the body of a C function of z that is an activation.

    Parameters
    ----------
    name : str
        Of the activation.
    real : Real
        The type of z.

    Raises
    ------
    ValueError
        If it is somebody's own, and does what cannot be written in C.
    """
    writer = _Writer(real)
    try:
        with np.errstate(over="ignore"):
            value = find_activation(name).make(_library(real))[0]
            text = writer.write(_expression(value(_Leaf("z"))))
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"The activation {name!r} cannot be written in C: {error}.") from None
    return [*writer.lines, f"return {_bare(text)};"]
