"""Who is told of episodes: the screen, callbacks, the checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit._logging import log_episode
from nnjit.agents._checkpoint import AgentCheckpoint
from nnjit.agents._learner import Learner
from nnjit.agents._record import Best, EpisodeReport, Record, UserCallback

__all__ = ["Telling"]


class Telling:
    """Tells all who listen of the episodes of a fit.

    Parameters
    ----------
    agent : Agent
        That learns.
    callback : callable or None
        What ``fit`` was given.
    checkpoint : AgentCheckpoint or None
    """

    def __init__(
        self, agent: Any, callback: UserCallback | None, checkpoint: AgentCheckpoint | None
    ) -> None:
        self._agent, self._callback, self._checkpoint = agent, callback, checkpoint
        self._every = int(agent.verbose)
        self._fit: Any = None
        self._episode: Any = None
        if getattr(agent, "_skl_callbacks", None):
            self._fit = agent._init_callback_context(max_subtasks=None)
            self._fit.call_on_fit_task_begin(estimator=agent)

    def begin(self) -> None:
        """Tell that an episode begins."""
        if self._fit is not None:
            self._episode = self._fit.subcontext(task_name="episode")
            self._episode.call_on_fit_task_begin(estimator=self._agent)

    def end(self, learner: Learner, record: Record, best: Best, rng: np.random.RandomState) -> bool:
        """Tell that it is over; return whether learning is to stop."""
        stop = False
        log_episode(len(record.ends), learner.steps, record.lengths[-1], record.returns[-1])
        if self._every or self._callback is not None:
            number = len(record.ends)
            report = EpisodeReport(
                self._agent, number, learner.steps, record.lengths[-1], record.returns[-1]
            )
            if self._every and number % self._every == 0:
                print(report)
            if self._callback is not None:
                stop = bool(self._callback(report))
        if self._episode is not None:
            fitted = lambda: self._agent._as_fitted(learner, record)  # noqa: E731
            stop |= bool(
                self._episode.call_on_fit_task_end(
                    estimator=self._agent, reconstruction_attributes=fitted
                )
            )
        if self._checkpoint is not None:
            self._checkpoint.after_episode(learner, record, best, rng)
        return stop

    def finish(
        self, learner: Learner, record: Record, best: Best, rng: np.random.RandomState
    ) -> None:
        """Tell that the fit is over."""
        if self._checkpoint is not None:
            self._checkpoint.write(learner, record, best, rng)
        if self._fit is not None:
            self._fit.call_on_fit_task_end(estimator=self._agent, reconstruction_attributes={})
