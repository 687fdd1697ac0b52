"""Learning-rate schedules: what the rate becomes after an epoch and on a plateau."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

# Below this rate the adaptive schedule gives up instead of dividing once more.
SMALLEST_ADAPTIVE_RATE = 1e-6
ADAPTIVE_DIVISOR = 5.0


class PlateauAction(NamedTuple):
    """What a schedule answers when the loss or the score has stopped improving.

    Whether training is to stop, the rate to go on with, the words that end the progress message.
    """

    stop: bool
    rate: float
    text: str


class Schedule(Protocol):
    """A rule for the learning rate."""

    steady: bool  # the rate changes on a plateau only

    def after_epoch(self, rate: float, samples_seen: int) -> float:
        """Return the rate of the next epoch."""

    def on_plateau(self, rate: float) -> PlateauAction:
        """Return what to do when there is no more improvement."""

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether `rate` may have become of the initial one after `samples_seen` samples."""


class ConstantRate:
    """The rate stays as it is; a plateau ends training."""

    steady = True

    def after_epoch(self, rate: float, samples_seen: int) -> float:
        """Return `rate` unchanged."""
        return rate

    def on_plateau(self, rate: float) -> PlateauAction:
        """Ask for training to stop."""
        return PlateauAction(True, rate, " Stopping.")

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether the two rates are the same."""
        return rate == initial_rate


class InverseScalingRate(ConstantRate):
    r"""The rate falls with the number t of samples seen: :math:`\eta_0 / (t + 1)^p`.

    Parameters
    ----------
    initial_rate : float
        :math:`\eta_0`, the rate of the first epoch.
    power : float
        The exponent p.
    """

    steady = False

    def __init__(self, initial_rate: float, power: float) -> None:
        self.initial_rate = float(initial_rate)
        self.power = power

    def after_epoch(self, rate: float, samples_seen: int) -> float:
        """Return the rate after `samples_seen` samples, whatever it was before."""
        return float(self.initial_rate / (samples_seen + 1) ** self.power)

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether it is the formula's, but for another machine's rounding."""
        return math.isclose(rate, self.after_epoch(rate, samples_seen), rel_tol=1e-9)


class AdaptiveRate(ConstantRate):
    """The rate is divided by five on each plateau; training ends once it is below 1e-6."""

    def on_plateau(self, rate: float) -> PlateauAction:
        """Lower the rate, or ask for training to stop where it is too small already."""
        if rate <= SMALLEST_ADAPTIVE_RATE:
            return PlateauAction(True, rate, " Learning rate too small. Stopping.")
        rate /= ADAPTIVE_DIVISOR
        return PlateauAction(False, rate, f" Setting learning rate to {rate:f}")

    def reaches(self, rate: float, initial_rate: float, samples_seen: int) -> bool:
        """Return whether some divisions by five lead there."""
        while rate < initial_rate < math.inf:
            initial_rate /= ADAPTIVE_DIVISOR
        return rate == initial_rate


SCHEDULES: dict[str, Callable[[float, float], Schedule]] = {
    "constant": lambda initial_rate, power: ConstantRate(),
    "invscaling": InverseScalingRate,
    "adaptive": lambda initial_rate, power: AdaptiveRate(),
}


def make_schedule(name: str, initial_rate: float, power: float) -> Schedule:
    """Return the schedule called `name` ('constant', 'invscaling' or 'adaptive')."""
    return SCHEDULES[name](initial_rate, power)
