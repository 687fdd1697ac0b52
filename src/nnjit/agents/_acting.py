"""One observation after the other through a fitted agent's network."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.agents._environment import Environment
from nnjit.estimators._prediction import prediction_engine

__all__ = ["OVERFLOW", "Actor"]

OVERFLOW = (
    "The prediction overflows: the network's outputs are not finite. Its weights may have diverged."
)


class Actor:
    """A fitted agent that takes the best actions, with the parameters that it has now."""

    def __init__(self, agent: Any) -> None:
        engine: Any = prediction_engine(agent, agent.observation_space_.size)
        self._agent, self.dtype = agent, engine.dtype
        self._stepper = engine.one_row

    def act(self, observation: Any) -> Any:
        """Return the best action as the environment takes it."""
        agent = self._agent
        try:
            row = agent.observation_space_.to_row(self.dtype)(observation)
        except (TypeError, ValueError) as error:
            raise ValueError(f"The observation is invalid: {error}.") from None
        choice, actions = self._choose(row), agent.action_space_
        if actions.kind == "discrete":
            return int(choice) + actions.start
        return actions.to_actions(np.asarray(choice)[np.newaxis])[0]

    def play(self, environment: Environment, rng: np.random.RandomState) -> float:
        """Return the sum of the rewards of an episode."""
        row, total, over = environment.reset(int(rng.randint(2**31 - 1))), 0.0, False
        while not over:
            row, reward, terminated, truncated = environment.step(self._choose(row))
            total += reward
            over = terminated or truncated
        return total

    def _choose(self, row: Array) -> Any:
        stepper = self._stepper
        stepper.x[:] = row
        if not stepper.step(True) and not np.isfinite(stepper.out).all():
            raise ValueError(OVERFLOW)
        return self._agent._decide(stepper.out[np.newaxis])[0]
