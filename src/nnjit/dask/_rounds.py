"""Rounds of local epochs, after each of which the parts' parameters are averaged."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.dask._cluster import Parts
from nnjit.dask._part import LocalEpochs, Round, train
from nnjit.estimators._arrays import pack_parameters, unpack_parameters
from nnjit.formulas import find_solver
from nnjit.training.engine import Engine, Optimizer
from nnjit.training.state import EpochPlan, TrainingState

__all__ = ["Rounds"]


class Rounds:
    """Trains an engine's network on parts; see `nnjit.training.loop.run_epochs`.

    In a round every part goes through some epochs by itself, from the same parameters and solver's
    vectors, with minibatches of its own. Then both are averaged, by the weights of the parts' rows.

    Parameters
    ----------
    parts : Parts
    engine : engine
        Of the client: holds the averages.
    state : TrainingState
        Its solver stands where the run begins.
    plan : EpochPlan
    local_epochs : int
        Epochs of a round.
    split_batches : bool
        Whether the minibatches of the plan are split among the parts.
    """

    def __init__(
        self,
        parts: Parts,
        engine: Engine,
        state: TrainingState,
        plan: EpochPlan,
        local_epochs: int,
        split_batches: bool,
    ) -> None:
        self._parts, self._engine, self._state, self._plan = parts, engine, state, plan
        self._local_epochs = local_epochs
        self._shared_rows = state.n_rows_of_epoch if split_batches else None
        self._begin = state.solver.copy()
        self._seed = int(state.rng.randint(2**31 - 1))

    def __call__(self, optimizer: Optimizer) -> Generator[tuple[float, float], None, None]:
        """Run rounds and yield each epoch's loss and last rate."""
        state, plan, engine = self._state, self._plan, self._engine
        while True:
            epochs = min(self._local_epochs, plan.max_epochs - state.epoch)
            epochs = 1 if plan.single_epoch else epochs
            solver = self._begin.copy()
            solver.rate, solver.last_rate = state.solver.rate, None
            if state.epoch:
                solver.arrays = optimizer.state()
            given = Round(
                pack_parameters(engine.network, engine.unpack()).astype(engine.dtype),
                solver, plan, self._shared_rows, state.epoch, epochs, self._seed,
            )  # fmt: skip
            found = [one for one in self._parts.each(train, given) if one.packed is not None]
            state.skipped_batches += sum(one.skipped for one in found)
            finite = all(map(math.isfinite, (loss for one in found for loss in one.losses)))
            if finite:
                self._take(found, optimizer)
            rates = self._rates(found)
            for number in range(epochs if finite else 1):
                yield (_loss(found, number) if finite else math.nan), rates

    def _take(self, found: Sequence[LocalEpochs], optimizer: Optimizer) -> None:
        """Have the engine and the solver hold the averages."""
        engine, weights = self._engine, [one.weight for one in found]
        packed = _average([one.packed for one in found], weights)
        engine.pack(unpack_parameters(engine.network, packed, engine.dtype))
        vectors = {
            name: _average([one.vectors[name] for one in found], weights).astype(engine.dtype)
            for name in found[0].vectors
        }
        # Of the steps those of the part that made most: it is their powers that correct a bias.
        steps = optimizer.t + max(one.steps for one in found)
        solver = self._state.solver
        powers = [
            float(solver.hyperparameters[name]) ** steps for name in find_solver(solver.name).powers
        ]
        optimizer.load_state(
            {**optimizer.state(), "steps": steps, "powers": np.array(powers), "vectors": vectors}
        )

    @staticmethod
    def _rates(found: Sequence[LocalEpochs]) -> float:
        return max((one.rate for one in found), default=0.0)


def _loss(found: Sequence[LocalEpochs], epoch: int) -> float:
    """Return the mean over all rows of the loss of an epoch."""
    n_rows = sum(one.n_rows for one in found)
    return sum(one.n_rows * one.losses[epoch] for one in found) / n_rows


def _average(vectors: Sequence[Any], weights: Sequence[float]) -> Array:
    """Return the mean of vectors by weights, summed in order and in float64."""
    total = np.zeros(vectors[0].shape)
    for vector, weight in zip(vectors, weights):
        total += weight * vector.astype(np.float64)
    return np.asarray(total / sum(weights))
