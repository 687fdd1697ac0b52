"""Steps taken by one policy, in order of time, until it is updated from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnjit._types import Array, FloatArray
from nnjit.core.arrays.advantages import advantages

__all__ = ["Rollout"]


class Rollout:
    """A rollout: up to `size` steps of episodes, one behind the other.

    Parameters
    ----------
    size, n_inputs, n_columns : int
        Steps, numbers of an observation, and numbers by which an action is remembered.
    dtype : numpy dtype
        Of observations and actions.

    Attributes
    ----------
    observations, following : ndarray of shape (size, n_inputs)
        What was seen before each step and behind it.
    actions : ndarray of shape (size, n_columns)
    rewards : ndarray of shape (size,), float64
    terminated, last : ndarray of shape (size,), uint8
        Whether the episode came to its end with this step; whether the step that follows here is of
        another episode.
    count : int
        Steps that are there; the others are what happens to be left.
    """

    def __init__(self, size: int, n_inputs: int, n_columns: int, dtype: np.dtype[Any]) -> None:
        self.size = size
        self.observations = np.zeros((size, n_inputs), dtype)
        self.following = np.zeros((size, n_inputs), dtype)
        self.actions = np.zeros((size, n_columns), dtype)
        self.rewards = np.zeros(size)
        self.terminated = np.zeros(size, np.uint8)
        self.last = np.zeros(size, np.uint8)
        self.count = 0

    def begin(self, row: Array, action: Any) -> None:
        """Remember an observation and what is done."""
        self.observations[self.count] = row
        self.actions[self.count] = action

    def complete(self, row: Array, reward: float, terminated: bool, over: bool) -> None:
        """Remember what came of it."""
        count = self.count
        self.following[count] = row
        self.rewards[count] = reward
        self.terminated[count] = terminated
        self.last[count] = over
        self.count = count + 1

    def cut(self) -> None:
        """Have the next step belong to another episode."""
        self.last[self.count - 1 : self.count] = 1

    def advantages(
        self, values: FloatArray, following: FloatArray, gamma: float, decay: float
    ) -> FloatArray:
        """Return how much better than expected each action was.

        Parameters
        ----------
        values, following : ndarray of shape (count,), float64
            Of the observations before and behind each step.
        gamma, decay : float
            Discount, and what the errors of later values count less.
        """
        n = self.count
        self.cut()
        found = np.empty(n)
        advantages(
            self.rewards[:n], values, following, self.terminated[:n], self.last[:n],
            gamma, decay, found,
        )  # fmt: skip
        return found

    def state(self) -> dict[str, Any]:
        """Return copies of all that ``load_state`` needs."""
        return {name: getattr(self, name).copy() for name in _ARRAYS} | {"count": self.count}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned; one of another size is not gone on from."""
        if len(state["rewards"]) != self.size:
            return
        for name in _ARRAYS:
            getattr(self, name)[...] = state[name]
        self.count = state["count"]


_ARRAYS = ("observations", "following", "actions", "rewards", "terminated", "last")
