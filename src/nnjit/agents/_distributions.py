"""Distributions over actions, of which a policy's network gives the parameters."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from nnjit._types import Array
from nnjit.agents._spaces import Space
from nnjit.formulas.policies import LOG_STD_RANGE

__all__ = ["Categorical", "Distribution", "Gaussian", "distribution_over"]

_HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


class Distribution(Protocol):
    """What a learner asks of a distribution.

    Attributes
    ----------
    loss, output : str
        The loss of its formulas, and the output activation that this goes with.
    n_outputs : int
        Of the network.
    n_columns : int
        Numbers by which an action is remembered.
    """

    loss: str
    output: str
    n_outputs: int
    n_columns: int

    def draw(self, outputs: Array, rng: np.random.RandomState) -> Any:
        """Return an action by the network's outputs (n_outputs,) before their activation."""

    def to_environment(self, action: Any) -> Any:
        """Return the action that `draw` returned as the environment's box has it."""

    def log_probabilities(self, outputs: Array, actions: Array) -> Array:
        """Return log p of actions (n, n_columns) by outputs (n, n_outputs), in float64."""

    def takes(self, actions: Array) -> bool:
        """Return whether these (n, n_columns) are actions."""


class Categorical:
    """One of some actions, with probabilities that are a softmax of the outputs."""

    loss, output, n_columns = "clipped_policy", "softmax", 1

    def __init__(self, n_actions: int) -> None:
        self.n_outputs = n_actions

    def draw(self, outputs: Array, rng: np.random.RandomState) -> int:
        """Return the number of an action."""
        logits = outputs.tolist()
        most, exp = max(logits), math.exp
        shares = [exp(logit - most) for logit in logits]
        left = sum(shares) * rng.random_sample()
        for number, share in enumerate(shares):
            left -= share
            if left < 0.0:
                return number
        return shares.index(1.0)  # rounding left a bit: the likeliest

    def to_environment(self, action: int) -> int:
        """Return the action."""
        return action

    def takes(self, actions: Array) -> bool:
        """Return whether these are numbers of actions."""
        whole = (actions >= 0) & (actions < self.n_outputs) & (actions == np.floor(actions))
        return bool(whole.all())

    def log_probabilities(self, outputs: Array, actions: Array) -> Array:
        """Return log p of the actions."""
        numbers = actions.astype(np.int64)
        found: Array = np.take_along_axis(self._log_softmax(outputs), numbers, axis=1)[:, 0]
        return found

    def probabilities(self, outputs: Array) -> Array:
        """Return p of all actions (n, n_outputs), as outputs (n, n_outputs) are."""
        found: Array = np.exp(self._log_softmax(outputs)).astype(outputs.dtype)
        return found

    @staticmethod
    def _log_softmax(outputs: Array) -> Array:
        logits = outputs.astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        found: Array = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return found


class Gaussian:
    """Independent normal numbers.

    The outputs are their means and then the logarithms of their standard deviations, in units in
    which a box's bounds are -1 and 1. A box without bounds has its own units.
    """

    loss, output = "clipped_gaussian_policy", "identity"

    def __init__(self, low: Array, high: Array) -> None:
        self.n_columns = len(low)
        self.n_outputs = 2 * len(low)
        bounded = np.isfinite(low) & np.isfinite(high)
        with np.errstate(invalid="ignore"):
            self._center = np.where(bounded, 0.5 * low + 0.5 * high, 0.0)
            self._half = np.where(bounded, 0.5 * high - 0.5 * low, 1.0)

    def draw(self, outputs: Array, rng: np.random.RandomState) -> Array:
        """Return an action in the network's units."""
        mean, log_std = outputs[: self.n_columns], outputs[self.n_columns :]
        drawn: Array = mean + np.exp(np.clip(log_std, *LOG_STD_RANGE)) * rng.standard_normal(
            self.n_columns
        )
        return drawn

    def best(self, outputs: Array) -> Array:
        """Return the means (n, n_columns) of outputs, as the environment's box has them."""
        return self.to_environment(outputs[:, : self.n_columns])

    def to_environment(self, action: Array) -> Array:
        """Return an action, or rows of some, in the units of the box."""
        scaled: Array = self._center + self._half * action
        return scaled

    def takes(self, actions: Array) -> bool:
        """Return whether these are finite numbers."""
        return bool(np.isfinite(actions).all())

    def log_probabilities(self, outputs: Array, actions: Array) -> Array:
        """Return the logarithm of the density at the actions."""
        mean, log_std = np.split(outputs.astype(np.float64), 2, axis=1)
        log_std = np.clip(log_std, *LOG_STD_RANGE)
        away = (actions - mean) * np.exp(-log_std)
        found: Array = (-0.5 * away * away - log_std - _HALF_LOG_2_PI).sum(axis=1)
        return found


def distribution_over(actions: Space) -> Categorical | Gaussian:
    """Return the distribution over a space of actions."""
    if actions.kind == "discrete":
        return Categorical(actions.n)
    return Gaussian(np.array(actions.low), np.array(actions.high))
