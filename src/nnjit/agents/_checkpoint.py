"""The course of an agent's learning on disk: written at ends of episodes, and gone on from.

The file is that of `nnjit.training.checkpoint`: plain arrays and JSON, no pickle. What is in it has
to be what the learner that reads it has itself: the same names, types and shapes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit._warnings import warn
from nnjit.agents._learner import Learner
from nnjit.agents._record import Best, Record
from nnjit.agents._spaces import Space
from nnjit.estimators._checkpoint import text_of
from nnjit.training.archive import DamagedError, require, shown
from nnjit.training.checkpoint import (
    fingerprint,
    previous,
    read,
    refuse_generator,
    refuse_no_file,
    restored_generator,
    split_tree,
)
from nnjit.training.checkpoint import write as write_file
from nnjit.training.snapshot import Values, generator_state

__all__ = ["AgentCheckpoint"]

Tree = dict[str, Any]
# May differ between the run that was cut off and the one that goes on.
_FREE = ("checkpoint", "checkpoint_interval", "verbose", "warm_start")
_MOST_TEXT = 1 << 20


class AgentCheckpoint:
    """The file of one fit.

    Parameters
    ----------
    agent : Agent
    learner : Learner
        As learning begins.
    observations, actions : Space
        Of the environment.

    Raises
    ------
    ValueError
        If no file can be there, or the generator is not one of NumPy's.
    """

    def __init__(self, agent: Any, learner: Learner, observations: Space, actions: Space) -> None:
        self._path = os.fspath(agent.checkpoint)
        refuse_no_file(self._path)
        refuse_generator(agent._random_state)
        self._by_episodes = isinstance(agent.checkpoint_interval, Integral)
        self._interval = agent.checkpoint_interval
        self._identity = {
            name: text_of(value)
            for name, value in agent.get_params(deep=False).items()
            if name not in _FREE
        } | {
            "agent": type(agent).__name__,
            "the observations": repr(observations),
            "the actions": repr(actions),
        }
        if learner.steps:  # a warm start
            arrays = [array for one in learner.parameters().values() for array in one]
            self._identity["the starting weights"] = fingerprint(*arrays)
        self._written, self._episodes = time.monotonic(), 0

    def resume(
        self, learner: Learner, record: Record, best: Best, rng: np.random.RandomState
    ) -> np.random.RandomState:
        """Put a learner, a record and the best networks where the file says, if there is one.

        Returns
        -------
        rng : RandomState
            The one to go on with.

        Raises
        ------
        ValueError
            If the file is of another run, or no file can be read.
        """
        found = self._newest_sound(self._contents(learner, record, best, rng), learner)
        if found is None:
            return rng
        for name, arrays in _listed(found["networks"]).items():
            learner.engines[name].pack(arrays)
        best.first = found["best"]["first"]
        if found["best"]["known"]:
            best.mean, best.networks = found["best"]["mean"], _listed(found["best"]["networks"])
        learner.steps, learner.first = found["steps"], found["first"]
        for name, numbers in found["record"].items():
            getattr(record, name)[:] = numbers.tolist()
        self._episodes = len(record.ends)
        return restored_generator(rng, found["rng"])

    def after_episode(
        self, learner: Learner, record: Record, best: Best, rng: np.random.RandomState
    ) -> None:
        """Write if it is time to."""
        since = (
            len(record.ends) - self._episodes
            if self._by_episodes
            else time.monotonic() - self._written
        )
        if since >= self._interval:
            self.write(learner, record, best, rng)

    def write(
        self, learner: Learner, record: Record, best: Best, rng: np.random.RandomState
    ) -> None:
        """Write where learning stands."""
        plain, arrays = split_tree(self._contents(learner, record, best, rng), "")
        write_file(self._path, {**plain, "identity": self._identity}, arrays)
        self._written, self._episodes = time.monotonic(), len(record.ends)

    @staticmethod
    def _contents(learner: Learner, record: Record, best: Best, rng: np.random.RandomState) -> Tree:
        present = {name: engine.unpack() for name, engine in learner.engines.items()}
        known = best.networks is not None
        return {
            "networks": _numbered(present),
            "best": {
                "first": best.first,
                "known": known,
                "mean": best.mean if known else 0.0,
                "networks": _numbered(best.networks or present),
            },
            "learner": learner.state(),
            "record": {
                "returns": np.array(record.returns, np.float64),
                "lengths": np.array(record.lengths, np.int64),
                "ends": np.array(record.ends, np.int64),
            },
            "rng": rng.get_state(legacy=False),
            "steps": learner.steps,
            "first": learner.first,
        }

    def _newest_sound(self, template: Tree, learner: Learner) -> Tree | None:
        """Return the contents of the file, or of the one before if it is damaged or missing.

        The learner has its state of them.
        """
        damaged: list[str] = []
        for path in (self._path, previous(self._path)):
            try:
                found = self._of_run(path, template, learner)
            except FileNotFoundError:
                continue
            except OSError as error:
                damaged.append(f"{path}: {error}")
                continue
            if damaged:
                warn(
                    f"The checkpoint is damaged ({damaged[0]}). Learning goes on from the one "
                    f"before it, {path}.",
                    module="nnjit",
                )
            return found
        if damaged:
            raise ValueError(
                f"No checkpoint can be read ({'; '.join(damaged)}). Remove the file to learn from "
                "the start."
            )
        return None

    def _of_run(self, path: str, template: Tree, learner: Learner) -> Tree:
        """Return the contents of a file, of which nothing is believed."""
        plain, arrays = read(path, most_text=_MOST_TEXT)
        theirs = plain.pop("identity", None)
        require(type(theirs) is dict, "it does not say which run it is of")
        different = sorted(
            str(name)
            for name in {*theirs, *self._identity}
            if theirs.get(name) != self._identity.get(name)
        )
        if different:
            raise ValueError(
                f"The checkpoint {path!r} is of another run: {', '.join(map(shown, different))} "
                "differ. Fit with the same parameters and environment to go on with it, name "
                "another file, or remove it."
            )
        template = {name: own for name, own in template.items() if name != "rng"}
        found = _joined(template, plain, arrays, "")
        found["rng"] = generator_state(Values(plain, arrays))
        lengths = {len(one) for one in found["record"].values()}
        require(len(lengths) == 1, "its records are of different lengths")
        require(0 <= found["first"] <= found["steps"], "its steps are no numbers of steps")
        try:
            learner.load_state(found["learner"])
        except ValueError as error:
            raise DamagedError(str(error)) from None
        return found


def _numbered(networks: Mapping[str, list[Array]]) -> Tree:
    """Return the parameters of networks as a tree."""
    return {
        name or "acting": {str(number): array for number, array in enumerate(arrays)}
        for name, arrays in networks.items()
    }


def _listed(tree: Tree) -> dict[str, list[Array]]:
    """Return the parameters of which `_numbered` made this."""
    return {
        "" if name == "acting" else name: list(arrays.values()) for name, arrays in tree.items()
    }


def _joined(template: Tree, plain: Any, arrays: Mapping[str, Array], prefix: str) -> Tree:
    """Return a tree like the template, of what a file has in its place."""
    require(type(plain) is dict, "a part of it is missing")
    found: Tree = {}
    for name, own in template.items():
        place = f"{prefix}{name}"
        if isinstance(own, dict):
            found[name] = _joined(own, plain.get(name), arrays, f"{place}.")
        elif isinstance(own, np.ndarray):
            found[name] = _fitting(own, arrays.get(place), place)
        else:
            value = plain.get(name)
            sound = type(value) is type(own) and (
                not isinstance(value, float) or math.isfinite(value) or value == own
            )
            require(sound, f"{place} is not what it should be")
            found[name] = value
    return found


def _fitting(own: Array, found: Array | None, place: str) -> Array:
    """Return an array of a file, which has the type and shape of our own; records are longer."""
    if found is None or found.dtype != own.dtype:
        raise DamagedError(f"{place} is missing or of another type")
    grows = place.startswith("record.")
    require(found.shape == own.shape or (grows and found.ndim == 1), f"{place} has another shape")
    sound = own.dtype.kind != "f" or np.isfinite(found).all()
    require(sound, f"{place} has numbers that are not finite")
    return np.array(found, own.dtype, order="C")
