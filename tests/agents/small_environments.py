"""Environments so small that what is to be learned in them can be worked out."""

import pytest

gymnasium = pytest.importorskip("gymnasium")

import numpy as np  # noqa: E402
from gymnasium import spaces  # noqa: E402


class Corridor(gymnasium.Env):
    """Some places in a row: 1 for the step to the last one, which ends the episode.

    Each episode begins at a place that follows from its seed, and is broken off after 20 steps.

    Parameters
    ----------
    seen : {'box', 'image', 'discrete'}
        How the place is shown.
    fails : dict of int to callable, optional
        What happens in the step of that number, counted over all episodes.
    """

    def __init__(self, places=5, seen="box", first=0, dtype=np.float32, fails=None):
        self.places, self.seen, self.first, self.dtype = places, seen, first, dtype
        shape = (places,) if seen == "box" else (places, 2)
        self.observation_space = (
            spaces.Discrete(places, start=first)
            if seen == "discrete"
            else spaces.Box(0, 1, shape, dtype)
        )
        self.action_space = spaces.Discrete(2, start=first)
        self.fails, self.steps, self.seeds, self.taken = fails or {}, 0, [], []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        self.at, self.length = seed % (self.places - 1), 0
        return self._show(), {}

    def step(self, action):
        self.steps += 1
        self.length += 1
        self.taken.append(action)
        assert action in self.action_space
        self.at = max(0, self.at + (1 if action - self.first == 1 else -1))
        over = self.at == self.places - 1
        result = self._show(), float(over), over, self.length >= 20, {}
        return self.fails[self.steps](*result) if self.steps in self.fails else result

    def _show(self):
        if self.seen == "discrete":
            return self.at + self.first
        shown = np.zeros(self.observation_space.shape, self.dtype)
        shown[self.at] = 1
        return shown


class Constant(gymnasium.Env):
    """Nothing changes, every step gives 1, and after `length` steps the episode is over."""

    observation_space, action_space = spaces.Box(0, 1, (1,)), spaces.Discrete(2)

    def __init__(self, terminates, length=1):
        self.terminates, self.length = terminates, length

    def reset(self, *, seed=None, options=None):
        self.left = self.length
        return np.ones(1, np.float32), {}

    def step(self, action):
        self.left -= 1
        over = self.left == 0
        return np.ones(1, np.float32), 1.0, over and self.terminates, over, {}
