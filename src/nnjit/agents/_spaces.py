"""What an environment shows and what it takes, as plain data that can be pickled without it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nnjit._types import Array

__all__ = ["Space", "read_space"]


@dataclass(frozen=True)
class Space:
    """A Gymnasium space that agents know.

    Attributes
    ----------
    kind : {'box', 'discrete'}
        Arrays of numbers between bounds, or one of n whole numbers.
    shape : tuple of int
        Of a box; ``()`` for a discrete space.
    n, start : int
        How many numbers a discrete space has, and the first of them.
    low, high : tuple of float
        Bounds of each number of a box, in C order.
    dtype : str
        Type of its numbers.
    """

    kind: str
    shape: tuple[int, ...] = ()
    n: int = 0
    start: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Values of a row: the numbers of a box, or one for each number of a discrete space."""
        return self.n if self.kind == "discrete" else math.prod(self.shape)

    @property
    def precision(self) -> np.dtype[Any]:
        """Type of rows: float64 for a box of such numbers, else float32."""
        return np.dtype(np.float64 if self.dtype == "float64" else np.float32)

    def to_row(self, dtype: np.dtype[Any]) -> Callable[[Any], Array]:
        """Return the function that makes a row (size,) of an observation.

        A row may share memory with the observation. The function raises a ValueError that says
        what is wrong with one that is not of this space, or has NaN or infinities in it.
        """
        return self._one_hot(dtype) if self.kind == "discrete" else self._flat(dtype)

    def _one_hot(self, dtype: np.dtype[Any]) -> Callable[[Any], Array]:
        rows, start, n = np.eye(self.n, dtype=dtype), self.start, self.n

        def row(observation: Any) -> Array:
            number = int(observation) - start
            if not 0 <= number < n or number + start != observation:
                raise ValueError(f"{observation!r} is not in {self}")
            found: Array = rows[number]
            return found

        return row

    def _flat(self, dtype: np.dtype[Any]) -> Callable[[Any], Array]:
        shape, flat = self.shape, len(self.shape) == 1

        def row(observation: Any) -> Array:
            found = np.asarray(observation, dtype)
            if found.shape != shape:
                raise ValueError(f"it has shape {found.shape}, but {shape} is that of the space")
            if not flat:
                found = found.reshape(-1)
            if not math.isfinite(np.dot(found, found)) and not np.isfinite(found).all():
                raise ValueError(f"it is {observation!r:.200}, which is not finite")
            return found

        return row

    def to_rows(self, observations: ArrayLike, dtype: np.dtype[Any]) -> Array:
        """Return many observations as rows (n_observations, size).

        Raises
        ------
        ValueError
            If they are not of this space.
        """
        given = np.asarray(observations)
        if given.ndim != len(self.shape) + 1 or given.shape[1:] != self.shape:
            raise ValueError(
                f"Expected observations of shape (n_observations, *{self.shape}), got an array of "
                f"shape {given.shape}."
            )
        if self.kind == "box":
            rows = given.astype(dtype, copy=False).reshape(len(given), self.size)
            if not np.isfinite(rows).all():
                raise ValueError("Input observations contains NaN or infinity.")
            return rows
        numbers = given.astype(np.int64) - self.start
        if not ((numbers >= 0) & (numbers < self.n) & (numbers + self.start == given)).all():
            raise ValueError(f"Not all observations are in {self}.")
        return np.eye(self.n, dtype=dtype)[numbers]

    def to_actions(self, choices: Array) -> Array:
        """Return choices, numbers from 0 on or arrays within no bounds, as actions (n, *shape)."""
        if self.kind == "discrete":
            return choices.astype(np.int64) + self.start
        clipped: Array = np.clip(choices, self.low, self.high)
        return clipped.reshape(len(choices), *self.shape).astype(self.dtype)

    def __str__(self) -> str:
        if self.kind == "discrete":
            return f"Discrete({self.n}, start={self.start})"
        return f"Box(shape={self.shape}, dtype={self.dtype})"


def read_space(space: Any, name: str, kinds: tuple[str, ...], agent: str) -> Space:
    """Return a Gymnasium space as data.

    Parameters
    ----------
    space : gymnasium.Space
    name : {'observation', 'action'}
        For the message.
    kinds : tuple of str
        Those that the agent knows.
    agent : str
        Name of its class, for the message.

    Raises
    ------
    ValueError
        If it is none of these kinds, or empty.
    """
    from gymnasium import spaces

    found = None
    if isinstance(space, spaces.Discrete):
        found = Space("discrete", n=int(space.n), start=int(space.start), dtype="int64")
    elif isinstance(space, spaces.Box) and 0 not in space.shape:
        low, high = (tuple(map(float, np.ravel(bound))) for bound in (space.low, space.high))
        found = Space(
            "box", tuple(map(int, space.shape)), 0, 0, low, high, np.dtype(space.dtype).name
        )
    if found is None or found.kind not in kinds:
        known = " or ".join(f"gymnasium.spaces.{kind.capitalize()}" for kind in kinds)
        raise ValueError(
            f"{agent} needs an environment whose {name} space is {known}, got {space!r:.200}."
            f"{_advice(space, name, found)}"
        )
    return found


def _advice(space: Any, name: str, found: Space | None) -> str:
    """Return what may be done about a space that an agent does not know, after a space."""
    if name == "observation":
        return " gymnasium.wrappers.FlattenObservation makes a box of many others."
    if found is not None and found.kind == "box":
        return " PolicyAgent takes such actions."
    return ""
