"""Learning-rate schedules: the rate of each step, after an epoch and on a plateau."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SCHEDULES",
    "AdaptiveRate",
    "ConstantRate",
    "InverseScalingRate",
    "PlateauAction",
    "Schedule",
    "Span",
    "StepRates",
    "make_schedule",
]

# Below this rate schedules that wait for plateaus give up instead of lowering it once more.
SMALLEST_RATE = 1e-6
ADAPTIVE_DIVISOR = 5.0
# Of PyTorch's OneCycleLR: the first share of the steps rises from a part of the rate, the others
# fall to a part of where it began.
RISING_SHARE, RISES_FROM, FALLS_TO = 0.3, 25.0, 1e4

UserRate: TypeAlias = Callable[[int, int], Any]


class PlateauAction(NamedTuple):
    """What a schedule answers when the loss or the score has stopped improving.

    Whether training is to stop, the rate to go on with, the words that end the progress message.
    """

    stop: bool
    rate: float
    text: str


class Span(NamedTuple):
    """Length of a schedule: all its steps, and those of an epoch."""

    steps: int
    epoch: int


class Schedule(Protocol):
    """A rule for the learning rate."""

    varies: bool  # the rate may change at all
    steady: bool  # where no plateau is reached, all rates are known beforehand
    spans: bool  # they depend on the number of all steps

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return the rate of a step, counted from 0, where `rate` is that of the epoch."""

    def after_epoch(self, rate: float, samples_seen: int) -> float:
        """Return the rate of the next epoch."""

    def on_plateau(self, rate: float) -> PlateauAction:
        """Return what to do when there is no more improvement."""

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether `rate` may have become of the initial one after `samples_seen` samples."""


SCHEDULES: dict[str, type[Any]] = {}


def schedule(name: str) -> Callable[[type[Any]], type[Any]]:
    """Register the decorated class, a dataclass whose fields `make_schedule` fills, by its name."""

    def register(cls: type[Any]) -> type[Any]:
        SCHEDULES[name] = cls
        return cls

    return register


@schedule("constant")
@dataclass(frozen=True)
class ConstantRate:
    """The rate stays as it is; a plateau ends training."""

    varies = False
    steady = True
    spans = False

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return `rate` unchanged."""
        return rate

    def after_epoch(self, rate: float, samples_seen: int) -> float:
        """Return `rate` unchanged."""
        return rate

    def on_plateau(self, rate: float) -> PlateauAction:
        """Ask for training to stop."""
        return PlateauAction(True, rate, " Stopping.")

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether the two rates are the same."""
        return rate == initial_rate


@schedule("invscaling")
@dataclass(frozen=True)
class InverseScalingRate(ConstantRate):
    r"""The rate falls with the number t of samples seen: :math:`\eta_0 / (t + 1)^p`.

    Parameters
    ----------
    initial_rate : float
        :math:`\eta_0`, the rate of the first epoch.
    power : float
        The exponent p.
    """

    initial_rate: float
    power: float

    varies = True
    steady = False

    def after_epoch(self, rate: float, samples_seen: int) -> float:
        """Return the rate after `samples_seen` samples, whatever it was before."""
        return float(self.initial_rate / (samples_seen + 1) ** self.power)

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether it is the formula's, but for another machine's rounding."""
        return math.isclose(rate, self.after_epoch(rate, samples_seen), rel_tol=1e-9)


@schedule("adaptive")
@dataclass(frozen=True)
class AdaptiveRate(ConstantRate):
    """The rate is divided by five on each plateau; training ends once it is below 1e-6."""

    varies = True

    def _lowered(self, rate: float) -> float:
        return rate / ADAPTIVE_DIVISOR

    def on_plateau(self, rate: float) -> PlateauAction:
        """Lower the rate, or ask for training to stop where it is too small already."""
        if rate <= SMALLEST_RATE:
            return PlateauAction(True, rate, " Learning rate too small. Stopping.")
        rate = self._lowered(rate)
        return PlateauAction(False, rate, f" Setting learning rate to {rate:f}")

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether some divisions by five lead there."""
        while rate < initial_rate < math.inf:
            initial_rate = self._lowered(initial_rate)
        return rate == initial_rate


@schedule("plateau")
@dataclass(frozen=True)
class PlateauRate(AdaptiveRate):
    """The rate is multiplied by `decay` on each plateau; training ends once it is below 1e-6."""

    decay: float

    def _lowered(self, rate: float) -> float:
        return rate * self.decay

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether some multiplications lead there, but for rounding."""
        if not 0.0 < rate < initial_rate or self.decay == 1.0:
            return rate == initial_rate
        times = round(math.log(rate / initial_rate) / math.log(self.decay))
        return math.isclose(rate, initial_rate * self.decay**times, rel_tol=1e-9)


@schedule("cosine")
@dataclass(frozen=True)
class CosineRate(ConstantRate):
    r"""Half a wave from the rate down to 0: :math:`\eta_0 (1 + \cos(\pi t / T)) / 2`.

    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    varies = True
    spans = True

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return the rate of step t of T."""
        return rate * (1.0 + math.cos(math.pi * step / span.steps)) / 2.0


@schedule("one_cycle")
@dataclass(frozen=True)
class OneCycleRate(ConstantRate):
    """Up from a 25th of the rate in three tenths of the steps, then down to 4e-6 times it.

    Both by half a wave of the cosine. L. Smith and N. Topin, "Super-convergence: very fast training
    of neural networks using large learning rates", 2018, as PyTorch has it.
    """

    varies = True
    spans = True

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return the rate of a step."""
        lowest = rate / RISES_FROM
        top, last = RISING_SHARE * span.steps - 1.0, span.steps - 1.0
        if step <= top:
            return _cosine(lowest, rate, step / top)
        return _cosine(rate, lowest / FALLS_TO, (step - top) / (last - top))


@schedule("coslog")
@dataclass(frozen=True)
class LogCosineRate(ConstantRate):
    r"""Four waves, each twice as long as the one before: up from 0 and down to 0 again.

    .. math:: \eta_0 (1 - \cos(2 \pi \log_2(1 + 15 t / T))) / 2

    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and
    boosted trees on tabular data", NeurIPS 2024.
    """

    varies = True
    spans = True

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return the rate of step t of T."""
        waves = math.log2(1.0 + 15.0 * step / span.steps)
        return rate * (1.0 - math.cos(2.0 * math.pi * waves)) / 2.0


def _cosine(start: float, end: float, share: float) -> float:
    """Return what lies between two values on half a wave of the cosine."""
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1.0)


@schedule("exponential")
@dataclass(frozen=True)
class ExponentialRate(ConstantRate):
    """The rate falls by `decay` in every `epochs` epochs, a little in each step."""

    decay: float
    epochs: float

    varies = True

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return the rate of a step."""
        return float(rate * self.decay ** (step / (self.epochs * span.epoch)))


@schedule("step")
@dataclass(frozen=True)
class StaircaseRate(ExponentialRate):
    """The rate falls by `decay` after every `epochs` epochs, all at once."""

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return the rate of a step."""
        return float(rate * self.decay ** (step // (self.epochs * span.epoch)))


@dataclass(frozen=True)
class CallableRate(ConstantRate):
    """The rate is what a function of the user says of (step, steps)."""

    function: UserRate

    varies = True
    spans = True

    def at_step(self, rate: float, step: int, span: Span) -> float:
        """Return the rate of a step.

        Raises
        ------
        ValueError
            If it is no positive finite number. Errors of the function are passed on.
        """
        given = self.function(step, span.steps)
        if not (isinstance(given, Real) or getattr(given, "shape", None) == ()):
            raise ValueError(f"{self._text(step, span)} {given!r}.")
        value = float(given)
        if not 0.0 < value < math.inf:
            raise ValueError(f"{self._text(step, span)} {value!r}.")
        return value

    def _text(self, step: int, span: Span) -> str:
        return (
            "The callable learning_rate must return a positive finite number; at step "
            f"{step} of {span.steps} it returned"
        )


def make_schedule(
    learning_rate: str | UserRate,
    initial_rate: float,
    power: float = 0.5,
    decay: float = 0.1,
    epochs: float = 10,
) -> Schedule:
    """Return a schedule.

    Parameters
    ----------
    learning_rate : str or callable
        A name in `SCHEDULES`, or a function of (step, steps).
    initial_rate, power, decay, epochs : float
        What classes have as fields.

    Returns
    -------
    Schedule

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if not isinstance(learning_rate, str):
        return CallableRate(learning_rate)
    if learning_rate not in SCHEDULES:
        raise ValueError(f"learning_rate must be one of {[*SCHEDULES]}, got {learning_rate!r}")
    cls = SCHEDULES[learning_rate]
    known = {
        "initial_rate": float(initial_rate), "power": power, "decay": decay, "epochs": epochs,
    }  # fmt: skip
    made: Schedule = cls(**{field.name: known[field.name] for field in fields(cls)})
    return made


class StepRates:
    """The rates of a run, minibatch by minibatch: those of a schedule after a linear warm-up.

    In step t the warm-up has (t + 1) / warmup of the schedule's first rate; the schedule has the
    steps that are left. Where they are over (``partial_fit``) its last rate stays.

    Parameters
    ----------
    schedule : Schedule
    warmup : int or float
        Steps, or a share of all steps.
    n_epochs, epoch : int
        Epochs of the run, and minibatches of each.
    """

    def __init__(self, schedule: Schedule, warmup: float, n_epochs: int, epoch: int) -> None:
        total = n_epochs * epoch
        steps = warmup if isinstance(warmup, Integral) else round(warmup * total)
        self.warmup = int(steps)
        self._span = Span(max(total - self.warmup, 1), epoch)
        self._schedule = schedule
        self._by_step = type(schedule).at_step is not ConstantRate.at_step

    def of(
        self,
        step: int,
        n_batches: int,
        rate: float,
        moving: Callable[[], NDArray[np.bool_]] | None = None,
    ) -> NDArray[np.float64] | None:
        """Return the rates of some minibatches, None where all have `rate`, the epoch's.

        Parameters
        ----------
        step : int
            Steps done before.
        n_batches : int
        rate : float
        moving : callable or None
            Says which of the minibatches have weight and so are a step; all if None.
        """
        if not self._by_step and step >= self.warmup:
            return None
        steps = np.arange(step, step + n_batches)
        if moving is not None:
            # one without weight has the rate of the last step before it
            steps = np.maximum(step + np.cumsum(moving()) - 1, 0)
        return self._at(steps, rate)

    def _at(self, steps: NDArray[np.int64], rate: float) -> NDArray[np.float64]:
        at_step, span = self._schedule.at_step, self._span
        # One by one, since vectors of cosines may round otherwise where they are cut otherwise.
        after = np.clip(steps - self.warmup, 0, span.steps - 1).tolist()
        rates = np.array([at_step(rate, step, span) for step in after])
        rising = steps < self.warmup
        # In one division, so that the last step of the warm-up has the rate itself.
        rates[rising] = rates[rising] * (steps[rising] + 1) / max(self.warmup, 1)
        return rates
