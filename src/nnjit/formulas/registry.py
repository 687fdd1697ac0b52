"""What there is to choose from: activations, losses and solvers by their names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
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
    "offered_solvers",
    "outputs_of",
    "regression_losses",
    "solver",
]

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
    """Rates of a step, None where that is the base rate, and the step of one parameter."""

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
        Factor of the initial bound, sqrt(gain / (fan_in + fan_out)).
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
        ``step(w, g, *vectors, *rates, *hyperparameters)`` returns the new w and vectors of one
        parameter with gradient g.
    vectors : tuple of str
        What it keeps for each parameter, zeros at first. 'average' is the name of the average of
        the parameters, which is kept beside them for any solver.
    hyperparameters : mapping of str to float
        Names and defaults.
    powers : tuple of str
        Hyperparameters whose t-th powers `rate` gets in step t = 1, 2, ...
    scheduled : bool
        Whether a schedule of the learning rate applies to it; in scikit-learn to 'sgd' alone.
    rates : tuple of str
        Names of the numbers that `rate` returns, a tuple if there are several. `step` gets them in
        this order; the first is the one that multiplies an update.
    penalized : tuple of str
        Hyperparameters that are 0 in the steps of parameters without an L2 penalty.
    squares : tuple of str
        Vectors that are no less than 0, and may overflow: such a parameter stands still.
    variant_of : str or None
        The solver of which it is an option, switched on by an estimator's parameter of its name.
    """

    name: str
    make: Make
    vectors: tuple[str, ...] = ()
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    powers: tuple[str, ...] = ()
    scheduled: bool = False
    rates: tuple[str, ...] = ("rate",)
    penalized: tuple[str, ...] = ()
    squares: tuple[str, ...] = ()
    variant_of: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyperparameters", MappingProxyType(dict(self.hyperparameters)))
        self._check_names("powers", self.powers, "hyperparameters", self.hyperparameters)
        self._check_names("penalized", self.penalized, "hyperparameters", self.hyperparameters)
        self._check_names("squares", self.squares, "vectors", self.vectors)
        if "average" in self.vectors:
            raise ValueError(
                f"a vector of the solver {self.name!r} is called 'average', which is the name of "
                "the average of the parameters"
            )

    def _check_names(self, trait: str, names: Iterable[str], of: str, known: Iterable[str]) -> None:
        unknown = {*names} - {*known}
        if unknown:
            raise ValueError(
                f"{trait} of the solver {self.name!r} are of its {of} {sorted(known)}, got "
                f"{sorted(unknown)}"
            )

    def __hash__(self) -> int:
        return hash((self.name, self.make))

    def step_rates(
        self, rate: float, settings: Mapping[str, float], powers: Iterable[float]
    ) -> tuple[float, ...]:
        """Return the rates of a step, in the order of `rates`.

        Parameters
        ----------
        rate : float
            The base rate.
        settings : mapping of str to float
            All hyperparameters.
        powers : iterable of float
            Of those that `powers` names, in this step.
        """
        formula = self.numpy().rate
        if formula is None:
            return (rate,)
        found = formula(rate, *[settings[name] for name in self.hyperparameters], *powers)
        return found if len(self.rates) > 1 else (found,)

    def _tuple(self) -> type[Any]:
        return SolverFormulas


ACTIVATIONS: dict[str, Activation] = {}
LOSSES: dict[tuple[str, str], Loss] = {}
SOLVERS: dict[str, Solver] = {}


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
        raise ValueError(f"loss must be one of {known}, got {name!r}")
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


def offered_solvers() -> tuple[str, ...]:
    """Return the names of the stochastic solvers; variants of one are options of it."""
    return tuple(name for name, entry in SOLVERS.items() if entry.variant_of is None)


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
        raise ValueError(f"{kind} must be one of {sorted(entries)}, got {name!r}")
    return entries[name]
