"""What an agent learns with while it is in an environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.backends import select
from nnjit.layers.network import Network
from nnjit.training.engine import Engine
from nnjit.training.initialization import glorot_uniform

__all__ = ["Learner", "make_network"]


class Learner(ABC):
    """One course of learning: networks, their solver, and what has been seen.

    The loop over steps calls, in this order: ``begin`` with the first observation of an episode;
    then for each step ``act``, which says what to do, and ``take`` with what came of it; after
    the last ``after_episode``; when learning ends, wherever that is, ``finish``. Observations are
    rows (n_inputs,) that may be written over by the environment in its next step: what is kept of
    them is copied.

    Parameters
    ----------
    engines : dict of str to Engine
        The networks by name. '' is the one that acts: its weights become `coefs_` and
        `intercepts_`, those of 'critic' ``critic_coefs_`` and ``critic_intercepts_``.

    Attributes
    ----------
    steps : int
        Steps taken, those of earlier fits included. The loop counts before it calls ``take``.
    first, last : int
        Number of the steps before this fit, and at its end.
    """

    def __init__(self, engines: dict[str, Engine]) -> None:
        self.engines = engines
        self.steps = self.first = self.last = 0

    def begin(self, row: Array) -> None:  # noqa: B027  (needed by some)
        """Hear that an episode begins."""

    @abstractmethod
    def act(self, row: Array) -> Any:
        """Return what to do: the number of an action from 0 on, or an array for a box."""

    @abstractmethod
    def take(self, row: Array, reward: float, terminated: bool, truncated: bool) -> None:
        """Learn from a step.

        Parameters
        ----------
        row : ndarray of shape (n_inputs,)
            The observation that it led to.
        reward : float
        terminated, truncated : bool
            Whether the episode is over: at its end, after which there are no more rewards; or
            broken off, where there would have been more.
        """

    def after_episode(self, total: float) -> None:  # noqa: B027
        """Hear that an episode is over, and the sum of its rewards."""

    def finish(self) -> None:  # noqa: B027
        """Hear that the fit is over; an episode may have been cut off."""

    def parameters(self) -> dict[str, list[Array]]:
        """Return what has been learned: the arrays of each network."""
        return {name: engine.unpack() for name, engine in self.engines.items()}

    def load_parameters(self, parameters: Mapping[str, list[Array]]) -> None:
        """Go on from what ``parameters`` returned, behind ``load_state``."""
        for name, arrays in parameters.items():
            self.engines[name].pack(arrays)

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what ``load_state`` needs to go on bit for bit at the beginning of an episode.

        Nested dicts of arrays and of what JSON can hold. What is under 'memory' may be large: it is
        in checkpoints and not in pickles. The networks' parameters, `steps` and the random numbers
        need not be in it.
        """

    @abstractmethod
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned; 'memory' may be missing.

        A file may say so that only looks like one: names, types and shapes have been checked, and
        values that would do harm are a ValueError.
        """

    @property
    def progress(self) -> float:
        """Share of the steps of this fit that have been taken."""
        return min(1.0, (self.steps - self.first) / max(1, self.last - self.first))


def make_network(
    network: Network, dtype: np.dtype[Any], rng: np.random.RandomState, scale: float = 1.0
) -> Engine:
    """Return an engine with a network of dense layers at its initial weights.

    They are those of an MLP (Glorot's, He's); what the output layer has is multiplied by `scale`.
    """
    layers: Any = network.layers
    sizes = network.sizes
    arrays: list[Array] = []
    for number, layer in enumerate(layers):
        # the output layer's are drawn for the activation before it
        activation = (
            layers[max(0, number - 1)].activation if layer is layers[-1] else (layer.activation)
        )
        arrays += glorot_uniform(rng, sizes[number], sizes[number + 1], activation, dtype)
    arrays[-2:] = [(array * scale).astype(dtype) for array in arrays[-2:]]
    engine: Engine = select.make_engine(network, dtype)
    engine.pack(arrays)
    return engine
