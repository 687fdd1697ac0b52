"""What there is to choose from: activations, losses and solvers by their names."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from nnjit.formulas.library import arrays, library

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "OF_TERM",
    "SOLVERS",
    "Activation",
    "ActivationFormulas",
    "Domain",
    "Loss",
    "LossFormulas",
    "ClassLossFormulas",
    "RowLossFormulas",
    "Solver",
    "SolverFormulas",
    "activation",
    "classification_losses",
    "default_output",
    "find_activation",
    "find_loss",
    "find_solver",
    "hidden_activations",
    "known_pairs",
    "loss",
    "losses_of",
    "offered_solvers",
    "outputs_of",
    "regression_losses",
    "solver",
]

FAN_BOTH, FAN_IN = "both", "in"
SOFTMAX = "softmax"

Formula = Callable[..., Any]
Make = Callable[[Any], tuple[Any, ...]]


class ActivationFormulas(NamedTuple):
    """phi(z), phi'(z), and delta * phi'(z) by what the entry reads."""

    value: Formula
    derivative: Formula
    backward: Formula


class LossFormulas(NamedTuple):
    """Loss of one output of one row, and its derivative by the pre-activation or the output."""

    value: Formula
    slope: Formula


class ClassLossFormulas(NamedTuple):
    """Loss by the probability p of a row's class, and -p times its derivative by p."""

    value: Formula
    factor: Formula | None


class RowLossFormulas(NamedTuple):
    """Loss of a row by two sums over its outputs, and what these are sums of; see `Loss`."""

    value: Formula
    slope: Formula
    term: Formula
    term_slope: Formula


# What a row's loss by the sums may read, and a term of these behind either output.
OF_ROW = ("log_p", "row_entropy", "advantage", "former")
OF_TERM = {SOFTMAX: ("y", "p", "log_p"), "identity": ("y", "mean", "log_std")}

# What an engine's optimizer takes beside a solver's hyperparameters.
_OF_ANY_SOLVER = {"average", "clip_norm", "clip_value", "seed"}


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
    """A loss together with the output activation that it goes with, or without any.

    Its formulas have one of four forms:

    - with an output activation, value(...) and slope(...), the derivative of value by z;
    - with `classes`, for softmax, value(p) and factor(p) of the probability p of a row's class:
      the derivative by z_k is factor(p) (p_k - [k is the class]); None stands for a factor of 1;
    - without an output activation, value(...) and slope(...), the derivative of value by p. Then
      `find_loss` joins it to any output activation that stays in `range`;
    - with `by_row`, for an action that was taken, value(...) and slope(...), a pair, of its
      log-probability `log_p` and the entropy `row_entropy`, which are sums of what term(...)
      returns. term_slope(...) are the derivatives of these two, by each of the outputs that a term
      has. value and slope read `advantage` and `former`, the log-probability when it was taken,
      too; a term reads `y` and, behind a softmax, `p` and `log_p` of one output, else the `mean`
      and the `log_std` of one coordinate, whose outputs are all means and then all others.

    Arguments are any of the target y, z, the output p, `choices`, the number of classes among
    which a target chooses (the outputs of a softmax, else 2), and the parameters, by their names.
    A softmax has the class's row of zeros and a one as y, and no z.

    Attributes
    ----------
    name : str
    make : callable
        Takes a library and returns the two formulas.
    output : str or None
        The output activation p = output(z).
    mean_over_outputs : bool
        Whether the loss of a row is the mean over the outputs, not their sum.
    domain : Domain or None
        Which y it takes; all real numbers if None.
    parameters : mapping of str to float
        Names and defaults of its parameters.
    regression : bool
        Whether it is offered for regression.
    classes : bool
        Whether its formulas are of the probability of a row's class.
    gradient_of_sum : bool
        Whether stochastic solvers take the derivative of the sum over the outputs where the loss
        is their mean. scikit-learn does, and its own pairs have it so here.
    range : tuple of float
        Ends of the interval of the outputs that a loss without an output activation takes.
    classification : str or None
        Name by which it is offered for classification.
    by_output : bool
        Whether `slope` is the derivative by p.
    by_row : bool
        Whether its formulas are of all outputs of a row together. See `target_columns`.
    unbounded : tuple of str
        Parameters that may be infinite.
    link : Activation or None
        The activation whose `backward` makes of that the derivative by z; None for a softmax.
        `find_loss` sets it.
    value_reads, slope_reads : tuple of str
        Names of the two formulas' arguments, in order.
    term_reads : tuple of tuple of str
        Those of `term` and `term_slope`; empty unless `by_row`.
    """

    name: str
    make: Make
    output: str | None = None
    mean_over_outputs: bool = False
    domain: Domain | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    regression: bool = True
    classes: bool = False
    gradient_of_sum: bool = False
    range: tuple[float, float] = (-math.inf, math.inf)
    classification: str | None = None
    by_output: bool = False
    link: Activation | None = None
    by_row: bool = False
    unbounded: tuple[str, ...] = ()
    value_reads: tuple[str, ...] = field(init=False)
    slope_reads: tuple[str, ...] = field(init=False)
    term_reads: tuple[tuple[str, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "by_output", self.by_output or self.output is None)
        for number, attribute in enumerate(("value_reads", "slope_reads")):
            known = self._readable() | {*self.parameters}
            object.__setattr__(self, attribute, self._checked_reads(number, known))
        terms = {*OF_TERM[str(self.output)]} if self.by_row else set()
        reads = tuple(self._checked_reads(number, terms) for number in ((2, 3) if terms else ()))
        object.__setattr__(self, "term_reads", reads)

    def _readable(self) -> set[str]:
        """Return what value and slope may read beside the parameters."""
        if self.by_row:
            return {*OF_ROW}
        if self.classes:
            return {"p"}
        no_z = self.by_output or self.output == SOFTMAX
        return {"y", "p", "choices"} if no_z else {"y", "z", "p", "choices"}

    def _checked_reads(self, number: int, known: set[str]) -> tuple[str, ...]:
        reads = self._arguments(number)
        if not set(reads) <= known:
            raise ValueError(
                f"formulas of the loss {self.name!r} may read "
                f"{sorted(known - {*self.parameters})}, got {reads}"
            )
        return reads

    def __hash__(self) -> int:
        return hash((self.name, self.output, self.make))

    def _tuple(self) -> type[Any]:
        if self.by_row:
            return RowLossFormulas
        return ClassLossFormulas if self.classes else LossFormulas

    @property
    def labels(self) -> bool:
        """Whether y is the number of a class."""
        return self.classes or (self.output == SOFTMAX and not self.by_row)

    def target_columns(self, outputs: int) -> int:
        """Return how many columns the targets of so many outputs have.

        Those of a loss by row are the number of the action, or its coordinates; the advantage; and
        the log-probability of the action when it was taken.

        Raises
        ------
        ValueError
            If so many outputs are no means and as many deviations.
        """
        if not self.by_row:
            return outputs
        if self.output == SOFTMAX:
            return 3
        if outputs % 2:
            raise ValueError(
                f"Loss {self.name!r} needs a mean and a deviation for each coordinate of an "
                f"action, got {outputs} outputs."
            )
        return outputs // 2 + 2

    @property
    def reads_z(self) -> bool:
        """Whether the formulas, or the way back through the output activation, need z."""
        behind = self.link.reads if self.link else ()
        return "z" in (*self.value_reads, *self.slope_reads, *behind)

    @property
    def gradient_of_mean(self) -> bool:
        """Whether a stochastic solver's gradient is divided by the number of outputs."""
        return self.mean_over_outputs and not self.gradient_of_sum

    def takes(self, output: Any) -> bool:
        """Whether a loss without an output activation can be joined to this one."""
        if self.output is not None:
            return bool(output == self.output)
        if output == SOFTMAX:
            inside = self.domain is None or self.domain.holds(np.array([0.0, 1.0])).all()
            return bool(inside) and self.range[0] <= 0.0 and self.range[1] >= 1.0
        if not isinstance(output, str) or output not in ACTIVATIONS:
            return False
        low, high = ACTIVATIONS[output].range
        return self.range[0] <= low and high <= self.range[1]

    def settings(
        self, given: Iterable[tuple[str, float | tuple[float, ...]]], outputs: int
    ) -> list[tuple[float, ...]]:
        """Return the values of the parameters for each output.

        Parameters
        ----------
        given : iterable of (str, float or tuple of float)
            Those that are not at their defaults, one number for all outputs or one for each.
        outputs : int

        Raises
        ------
        ValueError
            If one is not known, or not given as often as there are outputs.
        """
        values: dict[str, Any] = dict(self.parameters)
        for name, value in given:
            if name not in values:
                raise ValueError(
                    f"Loss {self.name!r} has the parameters {sorted(self.parameters)}, got "
                    f"{name!r}."
                )
            values[name] = value
        for name, value in values.items():
            if not isinstance(value, tuple):
                values[name] = (value,) * outputs
            elif self.labels or self.by_row or len(value) != outputs:
                of_all = self.labels or self.by_row
                raise ValueError(
                    f"{name}={value} of the loss {self.name!r} is not one number"
                    + ("." if of_all else f" for each of {outputs} outputs.")
                )
        return [tuple(value[t] for value in values.values()) for t in range(outputs)]


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
        taken = _OF_ANY_SOLVER & {*self.hyperparameters}
        if taken:
            raise ValueError(
                f"a hyperparameter of the solver {self.name!r} is called {min(taken)!r}, which is "
                "something that any solver may be asked for"
            )
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
# By name and output activation, None for those given by p.
LOSSES: dict[tuple[str, str | None], Loss] = {}
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

    Where the pair is not registered, a loss of that name without an output activation is joined to
    this one.

    Raises
    ------
    ValueError
        That lists the losses if there is none of that name, else what goes together.
    """
    known = {pair[0] for pair in LOSSES}
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"loss must be one of {sorted(known)}, got {name!r}{hint(name, 'loss')}")
    entry = LOSSES.get((name, output)) if isinstance(output, str) else None
    if entry is not None and not entry.by_output:
        return entry
    entry = entry or LOSSES.get((name, None))
    if entry is None or not entry.takes(output):
        raise ValueError(
            f"loss {name!r} does not go with output activation {output!r}; it goes with "
            f"{_listed(outputs_of(name))}, and with {output!r} go {_listed(losses_of(output))}"
        )
    return _joined(entry, output, ACTIVATIONS.get(output))


@functools.lru_cache(maxsize=256)
def _joined(entry: Loss, output: str, link: Activation | None) -> Loss:
    """Return a loss that is given by p, with an output activation."""
    return replace(entry, output=output, link=link, by_output=True)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def hidden_activations() -> tuple[str, ...]:
    """Return the names of the activations that are offered for hidden layers."""
    return tuple(name for name, entry in ACTIVATIONS.items() if entry.hidden)


def offered_solvers() -> tuple[str, ...]:
    """Return the names of the stochastic solvers; variants of one are options of it."""
    return tuple(name for name, entry in SOLVERS.items() if entry.variant_of is None)


def regression_losses() -> tuple[str, ...]:
    """Return the names of the losses that are offered for regression."""
    return tuple(dict.fromkeys(entry.name for entry in LOSSES.values() if entry.regression))


def classification_losses() -> dict[str, str]:
    """Return the names of the losses that are offered for classification, and of their entries."""
    offered = [entry for entry in LOSSES.values() if entry.classification]
    return {str(entry.classification): entry.name for entry in offered}


def default_output(name: str) -> str:
    """Return the output activation of a loss of a regression where none is asked for."""
    (output, *_) = [output for loss, output in LOSSES if loss == name]
    return output or "identity"


def outputs_of(name: str) -> tuple[str, ...]:
    """Return the output activations that a loss goes with, none if there is no such loss."""
    found = [entry.output for (loss, _), entry in LOSSES.items() if loss == name and entry.output]
    if (name, None) in LOSSES:
        entry = LOSSES[name, None]
        found += [output for output in (*ACTIVATIONS, SOFTMAX) if entry.takes(output)]
    return tuple(dict.fromkeys(found))


def losses_of(output: str) -> tuple[str, ...]:
    """Return the losses that an output activation goes with, those made for it first."""
    made = [name for name, theirs in LOSSES if theirs == output and theirs is not None]
    others = [name for (name, own), entry in LOSSES.items() if own is None and entry.takes(output)]
    return tuple(dict.fromkeys((*made, *others)))


def known_pairs() -> tuple[tuple[str, str], ...]:
    """Return losses and output activations that the estimators of the package join by default."""
    pairs = [pair for pair in LOSSES if pair[1] is not None]
    for name, output in LOSSES:
        if output is None:
            entry = LOSSES[name, None]
            usual = (default_output(name),) if entry.regression else ("logistic", SOFTMAX)
            if not entry.regression and not entry.classification:
                usual = ("logistic",)  # of values between 0 and 1, for an autoencoder
            pairs += [(name, one) for one in usual]
    return tuple(dict.fromkeys(pairs))  # type: ignore[arg-type]


def _found(entries: Mapping[str, Any], name: Any, kind: str) -> Any:
    if not isinstance(name, str) or name not in entries:
        raise ValueError(f"{kind} must be one of {sorted(entries)}, got {name!r}{hint(name, kind)}")
    return entries[name]


def hint(name: Any, kind: str) -> str:
    """Return what to do about a name that is unknown, as the end of a message."""
    if not isinstance(name, str):
        return ""
    return f". If it is your own, call nnjit.register_{kind} first, in this process as well"
