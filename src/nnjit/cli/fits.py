"""Fits of the demo, timed: from a cold start, and again."""

from __future__ import annotations

import dataclasses
import time
import warnings
from typing import Any

from nnjit._types import Array
from nnjit.cli.problem import Rows
from nnjit.cli.progress import fit_progress

__all__ = ["Fit", "timed_fit", "timed_fit_with_progress"]

_LONG_FIT_SECONDS = 20.0
_LONG_WITH_COMPILATION = 60.0  # where it is not known how much of the time the compiler took


@dataclasses.dataclass
class Fit:
    """A fitted model with the seconds of its first fit and of a later one.

    Attributes
    ----------
    model : estimator
    first, later : float
    test : tuple of (X, y)
        Test rows in the form that the model takes.
    """

    model: Any
    first: float
    later: float
    test: Rows

    @property
    def network(self) -> Any:
        """The last step of a Pipeline that may stand in a `TransformedTargetRegressor`."""
        pipeline = getattr(self.model, "regressor_", self.model)
        return pipeline[-1]

    @property
    def score(self) -> float:
        return float(self.model.score(*self.test))


def timed_fit_with_progress(label: str, model: Any, train: Rows, test: Rows, epochs: int) -> Fit:
    """Fit a Pipeline with an MLP with progress from a cold start, then twice more, quietly.

    The first of the two may still compile: what threads share is made when a process has trained
    so long that they pay. The shorter time counts.
    """
    start = time.perf_counter()
    with (
        fit_progress(label, epochs) as progress,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        model.fit(*train)
    first = time.perf_counter() - start
    _print_messages(progress.messages, caught)
    later = first
    if progress.seconds_after_first_epoch < _LONG_FIT_SECONDS:
        getattr(model, "regressor", model)[-1].set_params(verbose=False)
        later = min(_seconds_of_fit(model, train) for _ in range(2))
    return Fit(model, first, later, test)


def timed_fit(label: str, model: Any, train: Rows, test: Rows) -> Fit:
    """Fit a model that shows no progress, from a cold start, and again where that was short."""
    print(f"{label} ...", flush=True)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*train)
    first = time.perf_counter() - start
    _print_messages([], caught)
    later = _seconds_of_fit(model, train) if first < _LONG_WITH_COMPILATION else first
    return Fit(model, first, min(first, later), test)


def _print_messages(messages: list[str], caught: list[warnings.WarningMessage]) -> None:
    for message in dict.fromkeys(messages + [str(warning.message) for warning in caught]):
        print(f"  {message}")


def _seconds_of_fit(model: Any, train: tuple[Any, Array]) -> float:
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(*train)
    return time.perf_counter() - start
