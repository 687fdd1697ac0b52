"""What is recorded of the episodes of an agent, and told about each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from nnjit._types import Array
from nnjit.agents._learner import Learner

__all__ = ["Best", "EpisodeReport", "Record", "UserCallback"]

# Episodes whose mean return says how good a network is.
_WINDOW = 10


class EpisodeReport(NamedTuple):
    """What a callback hears of an episode."""

    agent: Any  # in the middle of its fit: its parameters, but nothing fitted yet
    episode: int  # its number, from 1 on
    n_steps: int  # steps of all episodes up to its end
    length: int  # its own
    total: float  # sum of its rewards

    def __str__(self) -> str:
        return (
            f"Episode {self.episode:d}, step {self.n_steps:d}, length = {self.length:d}, "
            f"return = {self.total:.6g}"
        )


UserCallback: TypeAlias = Callable[[EpisodeReport], Any]


@dataclass
class Record:
    """Episodes that came to their end: sum of rewards, steps, and number of the last step."""

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def copy(self) -> Record:
        """Return one that can be added to without changing this one."""
        return Record(list(self.returns), list(self.lengths), list(self.ends))

    def add(self, total: float, length: int, end: int) -> None:
        """Add an episode."""
        self.returns.append(total)
        self.lengths.append(length)
        self.ends.append(end)


@dataclass
class Best:
    """The networks behind the best ten episodes in a row of a fit.

    Attributes
    ----------
    first : int
        Episodes before the fit.
    mean : float
        Mean return of the ten; minus infinity before there are so many.
    networks : dict of str to list of ndarray, or None
        Parameters at their end, those of the last ten of several that are equally good.
    """

    first: int = 0
    mean: float = -math.inf
    networks: dict[str, list[Array]] | None = None

    def after_episode(self, record: Record, learner: Learner) -> None:
        """Look at the episode that has been recorded last."""
        if len(record.returns) - self.first < _WINDOW:
            return
        mean = math.fsum(record.returns[-_WINDOW:]) / _WINDOW
        if mean >= self.mean:
            self.mean, self.networks = mean, learner.parameters()
