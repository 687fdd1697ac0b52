"""What there is to choose from: activations, losses and solvers by their names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from nnjit.formulas.library import arrays, library

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "SOLVERS",
    "Activation",
    "ActivationFormulas",
    "Domain",
    "Loss",
    "LossFormulas",
    "ClassLossFormulas",
    "Solver",
    "SolverFormulas",
    "activation",
    "find_activation",
    "find_loss",
    "find_solver",
    "hidden_activations",
    "loss",
    "losses_of",
    "outputs_of",
    "regression_losses",
    "solver",
]

FAN_BOTH, FAN_IN = "both", "in"

Formula = Callable[..., Any]
Make = Callable[[Any], tuple[Any, ...]]


class ActivationFormulas(NamedTuple):
    """phi(z), phi'(z), and delta * phi'(z) by what the entry reads."""

    value: Formula
    derivative: Formula
    backward: Formula


class LossFormulas(NamedTuple):
    """Loss of one output of one row, and its derivative by the pre-activation."""

    value: Formula
    slope: Formula


class ClassLossFormulas(NamedTuple):
    """Loss by the probability p of a row's class, and -p times its derivative by p."""

    value: Formula
    factor: Formula | None


class SolverFormulas(NamedTuple):
    """The rate of a step, None where it is the base rate, and the step of one parameter."""

    rate: Formula | None
    step: Formula


class _Entry:
    """What all entries have in common."""

    name: str
    make: Make

    def _tuple(self) -> type[Any]:
        raise NotImplementedError

    def functions(self, single: bool, helper: Callable[[Formula], Formula]) -> Any:
        """Return the formulas in one precision, each compiled by `helper`."""
        made = self.make(library(single, helper))
        return self._tuple()(*[formula and helper(formula) for formula in made])

    def numpy(self, dtype: Any = "float64") -> Any:
        """Return the formulas as functions of NumPy arrays and numbers."""
        return self._tuple()(*self.make(arrays(dtype)))

    def _arguments(self, number: int) -> tuple[str, ...]:
        """Names of a formula's arguments, in order."""
        formula = self.make(arrays())[number]
        return tuple(inspect.signature(formula).parameters) if formula else ()


@dataclass(frozen=True)
class Activation(_Entry):
    """An activation function.

    Attributes
    ----------
    name : str
    make : callable
        Takes a library (see `nnjit.formulas.library`) and returns value(z), derivative(z) and
        backward(delta, ...), which reads z, h = phi(z) or both and is told so by their names.
    gain : float
        Factor of the initial bound, sqrt(gain / fan).
    fan : {'both', 'in'}
        What a layer with fan_in inputs and fan_out outputs has as the fan: their sum, as Glorot's
        rule and scikit-learn's do, or its inputs, as He's (gain 6) and LeCun's (3).
    range : tuple of float
        Ends of the interval of values; infinite where there is none.
    hidden : bool
        Whether it is offered for hidden layers.
    epilogue : str or None
        What a register tile does instead of a pass of its own, 'relu' alone.
    reads : tuple of str
        What `backward` reads beside delta: ('h',), ('z',) or ('z', 'h').
    """

    name: str
    make: Make
    gain: float = 6.0
    range: tuple[float, float] = (-float("inf"), float("inf"))
    hidden: bool = True
    epilogue: str | None = None
    fan: str = FAN_BOTH
    reads: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        reads = self._arguments(2)[1:]
        if reads not in {("h",), ("z",), ("z", "h"), ()}:
            raise ValueError(
                f"backward of the activation {self.name!r} takes delta and z, h, or z and h, in "
                f"this order; got delta and {reads}"
            )
        object.__setattr__(self, "reads", reads)

    def _tuple(self) -> type[Any]:
        return ActivationFormulas

    @property
    def bounded(self) -> bool:
        """Whether both ends of the range are finite: it saturates at them."""
        return math.isfinite(self.range[0]) and math.isfinite(self.range[1])

    @property
    def dies(self) -> bool:
        """Whether value and derivative are 0 for z < 0, so that a unit may never learn again."""
        formulas, z = self.numpy(), np.array([-1e3, -1.0, -1e-3])
        return not (np.any(formulas.value(z)) or np.any(formulas.derivative(z)))


class Domain(NamedTuple):
    """Which targets a loss takes.

    Attributes
    ----------
    text : str
        What they have to be, such as 'y >= 0'.
    outside : str
        What others are called, such as 'negative values'.
    holds : callable
        Which elements of an array are inside.
    """

    text: str
    outside: str
    holds: Callable[[Any], Any]


@dataclass(frozen=True)
class Loss(_Entry):
    """A loss together with the output activation that it goes with.

    Attributes
    ----------
    name, output : str
        Its name, and that of the output activation p = output(z).
    make : callable
        Takes a library and returns value(...) and slope(...), whose arguments are any of y, z, p
        and the parameters, by their names. slope is the derivative of value by z. With
        `classes` it returns value(p) and factor(p) of the probability p of a row's class, and
        then the derivative by output k is factor(p) (p_k - [k is the class]); None stands for 1.
    mean_over_outputs : bool
        Whether the loss of a row is the mean over the outputs, not their sum. (The derivative is
        that of the sum all the same, as in scikit-learn.)
    domain : Domain or None
        Which y it takes; all real numbers if None.
    parameters : mapping of str to float
        Names and defaults of its parameters.
    regression : bool
        Whether it is offered for regression.
    classes : bool
        Whether y is the number of a class.
    value_reads, slope_reads : tuple of str
        Names of the two formulas' arguments, in order.
    """

    name: str
    make: Make
    output: str
    mean_over_outputs: bool = False
    domain: Domain | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    regression: bool = True
    classes: bool = False
    value_reads: tuple[str, ...] = field(init=False)
    slope_reads: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        known = {"p"} if self.classes else {"y", "z", "p", *self.parameters}
        for number, attribute in enumerate(("value_reads", "slope_reads")):
            reads = self._arguments(number)
            if not set(reads) <= known | set(self.parameters):
                raise ValueError(
                    f"formulas of the loss {self.name!r} may read {sorted(known)}, got {reads}"
                )
            object.__setattr__(self, attribute, reads)

    def __hash__(self) -> int:
        return hash((self.name, self.output, self.make))

    def _tuple(self) -> type[Any]:
        return ClassLossFormulas if self.classes else LossFormulas


@dataclass(frozen=True)
class Solver(_Entry):
    """A rule by which a minibatch's gradient moves the parameters.

    Attributes
    ----------
    name : str
    make : callable
        Takes a library and returns rate and step. ``rate(rate, *hyperparameters, *powers)``, in
        float64 and once a step, is the rate of that step; None where it is the base rate.
        ``step(w, g, *vectors, rate, *hyperparameters)`` returns the new w and vectors of one
        parameter with gradient g.
    vectors : tuple of str
        What it keeps for each parameter, zeros at first.
    hyperparameters : mapping of str to float
        Names and defaults.
    powers : tuple of str
        Hyperparameters whose t-th powers `rate` gets in step t = 1, 2, ...
    scheduled : bool
        Whether a schedule of the learning rate applies to it; in scikit-learn to 'sgd' alone.
    """

    name: str
    make: Make
    vectors: tuple[str, ...] = ()
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    powers: tuple[str, ...] = ()
    scheduled: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyperparameters", MappingProxyType(dict(self.hyperparameters)))
        unknown = set(self.powers) - set(self.hyperparameters)
        if unknown:
            raise ValueError(
                f"powers of the solver {self.name!r} are of its hyperparameters "
                f"{sorted(self.hyperparameters)}, got {sorted(unknown)}"
            )

    def __hash__(self) -> int:
        return hash((self.name, self.make))

    def _tuple(self) -> type[Any]:
        return SolverFormulas


ACTIVATIONS: dict[str, Activation] = {}
LOSSES: dict[tuple[str, str], Loss] = {}
SOLVERS: dict[str, Solver] = {}


# Those that are not the package's, by kind and name; they may be replaced.
OWN: dict[tuple[str, str], Any] = {}
_revisions = [0]


def revision() -> int:
    """Return how often an entry has been added that is not the package's."""
    return _revisions[0]


def add_own(kind: str, name: str, entries: dict[Any, Any], key: Any, entry: Any) -> None:
    """Enter what is not the package's in place of what had its name.

    Raises
    ------
    ValueError
        If the package has one of that name.
    """
    taken = {key if isinstance(key, str) else key[0] for key in entries}
    if name in taken and (kind, name) not in OWN or name in ("softmax", "lbfgs"):
        raise ValueError(f"nnjit has {kind} {name!r} already; choose another name.")
    former, _ = OWN.get((kind, name), (None, None))
    if former is not None:
        entries.pop(former)
    entries[key] = entry
    OWN[kind, name] = key, entry
    _revisions[0] += 1


def activation(**traits: Any) -> Callable[[Make], Make]:
    """Register the decorated function as the activation of its name."""

    def register(make: Make) -> Make:
        entry = Activation(make.__name__, make, **traits)
        ACTIVATIONS[entry.name] = entry
        return make

    return register


def loss(name: str | None = None, **traits: Any) -> Callable[[Make], Make]:
    """Register the decorated function as a loss, under its own name if none is given."""

    def register(make: Make) -> Make:
        entry = Loss(name or make.__name__, make, **traits)
        LOSSES[entry.name, entry.output] = entry
        return make

    return register


def solver(**traits: Any) -> Callable[[Make], Make]:
    """Register the decorated function as the solver of its name."""

    def register(make: Make) -> Make:
        entry = Solver(make.__name__, make, **traits)
        SOLVERS[entry.name] = entry
        return make

    return register


def find_activation(name: str) -> Activation:
    """Return an activation; ValueError that lists them all if there is none of that name."""
    return _found(ACTIVATIONS, name, "activation")  # type: ignore[no-any-return]


def find_solver(name: str) -> Solver:
    """Return a solver; ValueError that lists them all if there is none of that name."""
    return _found(SOLVERS, name, "solver")  # type: ignore[no-any-return]


def find_loss(name: str, output: str) -> Loss:
    """Return the loss of a name for an output activation.

    Raises
    ------
    ValueError
        That lists the losses if there is none of that name, else the pairs that go together.
    """
    pairs = sorted(LOSSES)
    if name not in [pair[0] for pair in pairs]:
        known = sorted({pair[0] for pair in pairs})
        raise ValueError(f"loss must be one of {known}, got {name!r}{hint(name, 'loss')}")
    if (name, output) not in pairs:
        listed = ", ".join(f"{theirs!r} with {out!r}" for theirs, out in pairs)
        raise ValueError(
            f"loss {name!r} does not go with output activation {output!r}; these pairs go "
            f"together: {listed}"
        )
    return LOSSES[name, output]


def hidden_activations() -> tuple[str, ...]:
    """Return the names of the activations that are offered for hidden layers."""
    return tuple(name for name, entry in ACTIVATIONS.items() if entry.hidden)


def regression_losses() -> tuple[str, ...]:
    """Return the names of the losses that are offered for regression."""
    return tuple(dict.fromkeys(entry.name for entry in LOSSES.values() if entry.regression))


def outputs_of(name: str) -> tuple[str, ...]:
    """Return the output activations that a loss goes with, none if there is no such loss."""
    return tuple(output for loss, output in LOSSES if loss == name)


def losses_of(output: str) -> tuple[str, ...]:
    """Return the losses that an output activation goes with."""
    return tuple(name for name, theirs in LOSSES if theirs == output)


def _found(entries: Mapping[str, Any], name: Any, kind: str) -> Any:
    if not isinstance(name, str) or name not in entries:
        raise ValueError(f"{kind} must be one of {sorted(entries)}, got {name!r}{hint(name, kind)}")
    return entries[name]


def hint(name: Any, kind: str) -> str:
    """Return what to do about a name that is unknown, as the end of a message."""
    if not isinstance(name, str):
        return ""
    return f". If it is your own, call nnjit.register_{kind} first, in this process as well"
