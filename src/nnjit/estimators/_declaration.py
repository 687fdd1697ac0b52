"""How estimators come to their parameters: each is declared once, in the body of a class.

There ``name: type = parameter(default=..., kind=..., text=...)`` says all about one.
`parameter_group` marks a class that declares parameters for others to inherit; `with_parameters`
gives an estimator its constructor, `_parameter_constraints` and the Parameters section of its
docstring.

To a type checker a group is a dataclass, and an estimator inherits its constructor. So the first
base of an estimator is one group that joins all others: in a dataclass that inherits from
scikit-learn's classes, which have no types, mypy would let any keyword pass.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple, TypeVar, cast, dataclass_transform

from sklearn.utils._param_validation import Interval, StrOptions

from nnjit._types import names

_T = TypeVar("_T")
_Class = TypeVar("_Class", bound=type)
_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Kind(NamedTuple):
    """What values a parameter takes: in words, and as scikit-learn's constraints."""

    words: str
    constraints: Sequence[Any]


def choice(among: Any) -> Kind:
    """Return the kind of a parameter that is one of some names, or of those in a ``Literal``."""
    options = among if isinstance(among, tuple) else names(among)
    return Kind("{" + ", ".join(map(repr, options)) + "}", [StrOptions({*options})])


def interval(number: type, low: float, high: float | None, closed: str) -> Kind:
    """Return the kind of an `Integral` or a `Real` between bounds."""
    constraint = Interval(number, low, high, closed=closed)
    return Kind("float" if number is Real else "int", [constraint])


class Parameter(NamedTuple):
    """All about one parameter."""

    default: Any
    kind: Any
    text: Any
    kw_only: bool
    annotation: Any = None

    def as_argument(self, name: str) -> inspect.Parameter:
        """Return it as a part of a signature."""
        kind = inspect.Parameter.KEYWORD_ONLY if self.kw_only else _POSITIONAL
        return inspect.Parameter(name, kind, default=self.default, annotation=self.annotation)

    def entry(self, name: str) -> str:
        """Return its entry in a docstring."""
        text = inspect.cleandoc(self.text).replace("\n", "\n    ")
        return f"{name} : {self.kind.words}, default={self.default!r}\n    {text}"


def parameter(
    *, default: _T, kind: Kind | None = None, text: str | None = None, kw_only: bool = True
) -> _T:
    """Declare a parameter; to a type checker the value is the default.

    The default is immutable. Kind and text may be left out if they are those of a parameter of
    the same name that the class inherits. With `kw_only` it cannot be given by position.
    """
    return cast(_T, Parameter(default, kind, text, kw_only))


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(parameter,))
def parameter_group(cls: _Class) -> _Class:
    """Have a class pass the parameters in its body on to the classes that inherit from it."""
    group: Any = cls
    own = {name: value for name, value in vars(cls).items() if isinstance(value, Parameter)}
    types = inspect.get_annotations(cls, eval_str=True) if own else {}
    for name in own:
        delattr(cls, name)  # as an attribute it would hide that a constructor has not set it
    group._own_parameters = {n: one._replace(annotation=types[n]) for n, one in own.items()}
    return cls


def with_parameters(cls: _Class) -> _Class:
    """Give an estimator the constructor, constraints and docstring of its parameters.

    As in a dataclass the parameters of the last base come first. Those that may be given by
    position precede the others; those in the class's `_parameter_order` stay together, in that
    order. In the docstring the line ``{parameters}`` stands for them, ``{NAME}`` for the text of
    that name in the class's `_shared_docs`.
    """
    estimator: Any = parameter_group(cls)
    declared = _in_order(_collect(cls), getattr(cls, "_parameter_order", ()))
    estimator.__init__ = _make_constructor(cls, declared)
    estimator._parameter_constraints = {n: [*p.kind.constraints] for n, p in declared.items()}
    if cls.__doc__:  # which python -OO leaves out
        entries = "\n".join(one.entry(name) for name, one in declared.items())
        texts = {"parameters": entries, **getattr(cls, "_shared_docs", {})}
        estimator.__doc__ = _complete(cls.__doc__, texts)
    return cls


def _collect(cls: type) -> dict[str, Parameter]:
    """Return all parameters of a class, completed by those that they override."""
    found: dict[str, Parameter] = {}
    for base in reversed(cls.__mro__):
        for name, one in vars(base).get("_own_parameters", {}).items():
            over = found.get(name, one)
            found[name] = one._replace(kind=one.kind or over.kind, text=one.text or over.text)
            if not (found[name].kind and found[name].text):
                raise TypeError(f"Parameter {name!r} of {base.__name__} needs a kind and a text.")
    return found


def _in_order(declared: dict[str, Parameter], order: Sequence[str]) -> dict[str, Parameter]:
    """Return those by position, those before the first in `order`, those in `order`, the rest."""
    present = sorted(declared, key=lambda name: declared[name].kw_only)
    listed = [name for name in order if name in declared]
    start = min(map(present.index, listed), default=0)
    return {name: declared[name] for name in dict.fromkeys((*present[:start], *listed, *present))}


def _make_constructor(cls: type, declared: dict[str, Parameter]) -> Callable[..., None]:
    """Return a constructor that sets an attribute for each parameter and does nothing else."""
    defaults = {name: one.default for name, one in declared.items()}
    positional = [name for name, one in declared.items() if not one.kw_only]

    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:
        values = {**defaults, **dict(zip(positional, args)), **kwargs}
        if len(args) > len(positional) or len(values) > len(defaults) or kwargs and args:
            _refuse_misfits(made.__qualname__, defaults, positional, args, kwargs)
        for name, value in values.items():
            setattr(self, name, value)

    made: Any = __init__
    made.__module__, made.__qualname__ = cls.__module__, f"{cls.__qualname__}.__init__"
    made.__annotations__ = {n: one.annotation for n, one in declared.items()} | {"return": None}
    itself = inspect.Parameter("self", _POSITIONAL)
    parameters = [one.as_argument(name) for name, one in declared.items()]
    made.__signature__ = inspect.Signature([itself, *parameters], return_annotation=None)
    return __init__


def _refuse_misfits(
    function: str, names: Any, positional: list[str], args: Any, kwargs: dict[str, Any]
) -> None:
    """Raise, in Python's words, if a function cannot be called with these arguments."""
    most, given = len(positional) + 1, len(args) + 1
    for name in kwargs:
        if name not in names:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
        if name in positional[: len(args)]:
            raise TypeError(f"{function}() got multiple values for argument {name!r}")
    if given > most:
        takes = f"from 1 to {most} positional arguments" if positional else "1 positional argument"
        raise TypeError(f"{function}() takes {takes} but {given} were given")


def _complete(docstring: str, texts: dict[str, str]) -> str:
    """Return a docstring with texts in place of lines like ``{parameters}``."""

    def text(line: re.Match[str]) -> str:
        return re.sub("^(?=.)", line[1], texts[line[2]].strip(), flags=re.MULTILINE)

    return re.sub(r"^( *)\{(\w+)\}$", text, docstring, flags=re.MULTILINE)
