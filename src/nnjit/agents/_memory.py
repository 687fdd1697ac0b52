"""Transitions to learn from again: plain arrays, the oldest written over first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnjit._types import Array

__all__ = ["Memory"]


class Memory:
    """The last transitions, each with the sum of the rewards of the n steps that follow it.

    Parameters
    ----------
    size : int
        Most transitions.
    inputs : int
        Numbers of an observation.
    n_actions : int
    dtype : numpy dtype
        Of observations and rewards.
    gamma : float
        Discount of a step.
    n_step : int
        Rewards that are added up before a value is estimated; fewer at the end of an episode.

    Attributes
    ----------
    observations, actions : ndarray of shape (size, inputs), (size,)
        Where a transition begins, and what was done.
    rewards : ndarray of shape (size,)
        Discounted sums.
    following : ndarray of shape (size, inputs)
        Where it leads to.
    discounts : ndarray of shape (size,)
        Factor on the value there: gamma to the power of its steps, 0 where the episode is over.
    ready : int
        Transitions that are complete; each can be drawn.
    """

    def __init__(
        self,
        size: int,
        inputs: int,
        n_actions: int,
        dtype: np.dtype[Any],
        gamma: float,
        n_step: int,
    ) -> None:
        self.size, self.n_actions = size, n_actions
        self.observations = np.zeros((size, inputs), dtype)
        self.following = np.zeros((size, inputs), dtype)
        self.actions = np.zeros(size, np.int64)
        self.rewards, self.discounts = np.zeros(size, dtype), np.zeros(size, dtype)
        self.ready = 0
        self._next = 0  # where the next transition goes
        self._pending: list[int] = []  # places of those that are not complete, the oldest first
        self._powers = [gamma**k for k in range(n_step + 1)]

    def begin(self, row: Array, action: int) -> None:
        """Have a transition begin."""
        place = self._next
        if self.ready + len(self._pending) == self.size:
            self.ready -= 1
        self.observations[place] = row
        self.actions[place] = action
        self.rewards[place] = 0.0
        self._pending.append(place)
        self._next = place + 1 if place + 1 < self.size else 0

    def complete(self, row: Array, reward: float, terminated: bool, over: bool) -> None:
        """Add a reward to the transitions that are not complete, and complete those that then are.

        Parameters
        ----------
        row : ndarray of shape (inputs,)
            The observation that the last step led to.
        reward : float
        terminated : bool
            Whether nothing is worth anything any more.
        over : bool
            Whether the episode is over, by that or otherwise.
        """
        pending, powers = self._pending, self._powers
        count = len(pending)
        for k in range(count):
            self.rewards[pending[k]] += powers[count - 1 - k] * reward
        if over:
            for k in range(count):
                self._close(pending[k], row, 0.0 if terminated else powers[count - k])
            pending.clear()
        elif count == len(powers) - 1:
            self._close(pending.pop(0), row, powers[count])

    def _close(self, place: int, row: Array, discount: float) -> None:
        self.following[place] = row
        self.discounts[place] = discount
        self.ready += 1

    def draw(self, count: int, rng: np.random.RandomState) -> Array:
        """Return the places of so many transitions, each as likely as the others."""
        oldest = self._next - len(self._pending) - self.ready
        places: Array = rng.randint(0, self.ready, count)
        places += oldest
        places %= self.size
        return places

    def cut(self) -> None:
        """Forget the transitions that are not complete: their episode does not go on."""
        self._next = (self._next - len(self._pending)) % self.size
        self._pending.clear()

    def state(self) -> dict[str, Any]:
        """Return all that is there as arrays, which are not copied, and numbers."""
        return {
            "observations": self.observations,
            "following": self.following,
            "actions": self.actions,
            "rewards": self.rewards,
            "discounts": self.discounts,
            "ready": self.ready,
            "next": self._next,
            "gamma": self._powers[1],
            "n_step": len(self._powers) - 1,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned, unless it was of another size or kind of transitions.

        Raises
        ------
        ValueError
            If its numbers are none of places or actions.
        """
        before = state["actions"].size, state["gamma"], state["n_step"]
        if before != (self.size, self._powers[1], len(self._powers) - 1):
            return
        ready, place, actions = state["ready"], state["next"], state["actions"]
        if not (0 <= ready <= self.size and 0 <= place < self.size):
            raise ValueError(f"A memory of {self.size} transitions has no {ready} at {place}.")
        if actions.min() < 0 or actions.max() >= self.n_actions:
            raise ValueError(f"{actions.max()} is no action.")
        for name in ("observations", "following", "actions", "rewards", "discounts"):
            getattr(self, name)[...] = state[name]
        self.ready, self._next = ready, place
        self._pending.clear()
