"""An environment as agents use it: checked, and its errors told with their place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.agents._spaces import Space

__all__ = ["Environment", "opened"]

_INSTALL = (
    "Agents need Gymnasium, which is not installed: pip install 'nnjit[agents]', or "
    "pip install gymnasium."
)


@contextmanager
def opened(env: Any) -> Iterator[Any]:
    """Have an environment, or make the one of a name and close it in the end.

    Raises
    ------
    ImportError
        If Gymnasium is not installed.
    TypeError
        If this is no environment.
    ValueError
        If it is a vector of environments.
    """
    try:
        import gymnasium
    except ImportError:
        raise ImportError(_INSTALL) from None
    if isinstance(env, str):
        # the checker warns of what `Environment` refuses, and costs a third of a step
        made: Any = gymnasium.make(env, disable_env_checker=True)
        try:
            yield made
        finally:
            made.close()
        return
    if hasattr(env, "num_envs"):
        raise ValueError(
            f"env is a vector of {env.num_envs} environments: agents take one environment."
        )
    if not all(hasattr(env, name) for name in ("reset", "step", "observation_space")):
        raise TypeError(
            "env must be an environment of Gymnasium's or the name of a registered one, got "
            f"{env!r:.200}."
        )
    yield env


class Environment:
    """One environment, in which steps and episodes are counted.

    Parameters
    ----------
    env : gymnasium.Env
    observations, actions : Space
        Its spaces.
    dtype : numpy dtype
        Of the rows that observations become.
    steps, episodes : int, default=0
        What has gone before, for messages.
    """

    def __init__(
        self,
        env: Any,
        observations: Space,
        actions: Space,
        dtype: np.dtype[Any],
        steps: int = 0,
        episodes: int = 0,
    ) -> None:
        self._reset, self._step = env.reset, env.step
        self._row = observations.to_row(dtype)
        self._give = _giver(actions)
        self.steps, self.episodes = steps, episodes

    def reset(self, seed: int) -> Array:
        """Begin an episode; return the first observation as a row."""
        self.episodes += 1
        try:
            observation, _ = self._reset(seed=seed)
        except Exception as error:
            raise self._failure("reset", error) from error
        try:
            return self._row(observation)
        except (TypeError, ValueError) as error:
            raise self._refusal("observation", error) from None

    def step(self, action: Any) -> tuple[Array, float, bool, bool]:
        """Take an action, as an agent has it: the number of one from 0 on, or an array.

        Returns
        -------
        row : ndarray
            The next observation.
        reward : float
        terminated, truncated : bool
            Whether the episode came to its end, or was only broken off.

        Raises
        ------
        RuntimeError
            If the environment raises; its error is the cause.
        ValueError
            If an observation or a reward is not what it should be.
        """
        self.steps += 1
        try:
            observation, reward, terminated, truncated, _ = self._step(self._give(action))
        except Exception as error:
            raise self._failure("step", error) from error
        try:
            row = self._row(observation)
        except (TypeError, ValueError) as error:
            raise self._refusal("observation", error) from None
        try:
            reward = float(reward)
        except (TypeError, ValueError) as error:
            raise self._refusal("reward", error) from None
        if not math.isfinite(reward):
            raise self._refusal("reward", f"it is {reward}")
        return row, reward, bool(terminated), bool(truncated)

    @property
    def _place(self) -> str:
        return f"step {self.steps:,}, episode {self.episodes:,}"

    def _failure(self, method: str, error: Exception) -> RuntimeError:
        return RuntimeError(
            f"The environment raised {type(error).__name__} in {method}() ({self._place}): {error}"
        )

    def _refusal(self, what: str, reason: object) -> ValueError:
        return ValueError(f"The environment gave an invalid {what} ({self._place}): {reason}.")


def _giver(actions: Space) -> Callable[[Any], Any]:
    """Return the function that makes an action of the environment's of one of an agent's."""
    if actions.kind == "discrete":
        start = actions.start
        return int if start == 0 else lambda number: int(number) + start
    low, high = (np.reshape(bound, actions.shape) for bound in (actions.low, actions.high))
    dtype = np.dtype(actions.dtype)

    def give(action: Any) -> Array:
        clipped: Array = np.clip(np.reshape(action, actions.shape), low, high).astype(dtype)
        return clipped

    return give
