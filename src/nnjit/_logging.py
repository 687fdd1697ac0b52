"""What fits tell the loggers of the standard library: ``nnjit.fit``, ``nnjit.epoch`` and so on.

Nothing is shown unless a program asks for it, by `logging.basicConfig` or a handler of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

__all__ = [
    "FIT_LISTENERS",
    "curves_of",
    "epochs_are_logged",
    "log_episode",
    "log_epoch",
    "told_fit",
]

logging.getLogger("nnjit").addHandler(logging.NullHandler())
_FITS = logging.getLogger("nnjit.fit")
_EPOCHS = logging.getLogger("nnjit.epoch")
_EPISODES = logging.getLogger("nnjit.episode")

# Attributes with a value for each epoch, the first that there is, by what they tell of.
CURVES = {
    "loss": ("loss_curve_", "quantization_error_curve_"),
    "validation_score": ("validation_scores_",),
    "validation_loss": ("validation_loss_curve_",),
    "learning_rate": ("learning_rate_curve_",),
    "episode_return": ("returns_",),
}

# Each is called with an estimator whose `fit` begins, for a block that this fit then runs in.
FIT_LISTENERS: list[Callable[[Any], AbstractContextManager[Any]]] = []


def curves_of(estimator: Any) -> dict[str, list[float]]:
    """Return what a fitted estimator has a value of for each epoch.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    dict
    """
    found = {}
    for name, attributes in CURVES.items():
        curves = (getattr(estimator, attribute, None) for attribute in attributes)
        curve = next((curve for curve in curves if curve is not None and len(curve)), None)
        if curve is not None:
            found[name] = [float(value) for value in curve]
    return found


def epochs_are_logged() -> bool:
    """Whether anybody wants a record of each epoch (level DEBUG)."""
    return _EPOCHS.isEnabledFor(logging.DEBUG)


def log_epoch(epoch: int, loss: float, **more: float | None) -> None:
    """Log an epoch that is over; the record has all values as attributes too.

    Parameters
    ----------
    epoch : int
        From 1 on.
    loss : float
        Training loss.
    **more : float or None
        Other values by name, such as validation_score; None for one that there is not.
    """
    if not epochs_are_logged():
        return
    values = {name: value for name, value in more.items() if value is not None}
    text = "".join(f", {name.replace('_', ' ')} {value:.6g}" for name, value in values.items())
    _EPOCHS.debug(
        "epoch %d: loss %.8f%s", epoch, loss, text, extra={"epoch": epoch, "loss": loss, **values}
    )


def log_episode(episode: int, step: int, length: int, total: float) -> None:
    """Log an agent's episode that is over (level DEBUG).

    Parameters
    ----------
    episode, step : int
        How many there have been.
    length : int
        Steps of this episode.
    total : float
        Sum of its rewards.
    """
    if _EPISODES.isEnabledFor(logging.DEBUG):
        values = {"episode": episode, "step": step, "length": length, "total_reward": total}
        text = "episode %(episode)d at step %(step)d: return %(total_reward).6g"
        _EPISODES.debug(text, values, extra=values)


@contextmanager
def told_fit(estimator: Any) -> Iterator[None]:
    """Have those who listen told of a fit, and log it if it ends well (level INFO).

    Parameters
    ----------
    estimator : estimator
    """
    start = time.perf_counter()
    with ExitStack() as stack:
        for listener in FIT_LISTENERS:
            stack.enter_context(listener(estimator))
        yield
    if _FITS.isEnabledFor(logging.INFO):
        _log_fit(estimator, time.perf_counter() - start)


def _log_fit(estimator: Any, seconds: float) -> None:
    names = {"n_iter": "epochs", "loss": "loss", "best_validation_score": "best validation score"}
    found = {name: getattr(estimator, f"{name}_", None) for name in names}
    found = {name: value for name, value in found.items() if isinstance(value, int | float)}
    text = "".join(f", {names[name]} {value:.6g}" for name, value in found.items())
    _FITS.info(
        "%s fitted in %.3g s%s",
        type(estimator).__name__,
        seconds,
        text,
        extra={"estimator": type(estimator).__name__, "seconds": seconds, **found},
    )
