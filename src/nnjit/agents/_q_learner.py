"""Double Q-learning from a memory of transitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nnjit._types import Array
from nnjit.agents._learner import Learner
from nnjit.agents._memory import Memory
from nnjit.estimators._trainable_network import NON_FINITE
from nnjit.training.engine import Engine
from nnjit.training.solvers import StochasticSolver

__all__ = ["QLearner", "QPlan"]

_AHEAD = 1024  # uniform numbers are drawn together


class QPlan(NamedTuple):
    """Settings of a `QLearner`, as `QAgent` has them."""

    batch_size: int
    n_updates: int
    update_interval: int
    learning_starts: int
    target_update: float
    epsilon_start: float
    epsilon_end: float
    epsilon_steps: int
    double: bool
    falls: bool  # whether the learning rate does


class QLearner(Learner):
    r"""Learns what actions are worth.

    Every `update_interval` steps minibatches are drawn together, and their targets

    .. math:: y = r + \gamma^n \bar Q(s', \arg\max_a Q(s', a))

    are computed at once, with the network Q as it is then and the target network
    :math:`\bar Q`. Then Q is moved minibatch by minibatch in one compiled call.

    Parameters
    ----------
    engine, target : Engine
        The network and the target network, of the same layers.
    memory : Memory
    solver : StochasticSolver
    plan : QPlan
    rng : numpy.random.RandomState
    """

    def __init__(
        self,
        engine: Engine,
        target: Engine,
        memory: Memory,
        solver: StochasticSolver,
        plan: QPlan,
        rng: np.random.RandomState,
    ) -> None:
        super().__init__({"": engine})
        self._engine, self._target, self._memory = engine, target, memory
        self._plan, self._rng = plan, rng
        self._rate = solver.rate
        self._optimizer: Any = solver.start(engine)
        on_the_cpu: Any = engine
        self._stepper = on_the_cpu.one_row
        rows, outputs = plan.batch_size * plan.n_updates, engine.network.outputs
        self._rows = np.zeros((rows, engine.network.inputs), engine.dtype)
        self._targets = np.zeros((rows, outputs), engine.dtype)
        self._dataset = engine.dataset(self._rows, self._targets)
        self._order = np.arange(rows)
        self._outputs = outputs
        self._copied = 0  # updates when the target network was made equal
        self._chances = [0.0] * _AHEAD  # uniform numbers, of which so many have been used
        self._used = _AHEAD
        self._action = 0
        self._copy_target(1.0)

    # A step

    def act(self, row: Array) -> int:
        """Return an action: with probability epsilon any, else the best."""
        if self._used == _AHEAD:
            self._chances, self._used = self._rng.random_sample(_AHEAD).tolist(), 0
        epsilon, chance = self._epsilon(), self._chances[self._used]
        self._used += 1
        if chance < epsilon:
            action = int(chance / epsilon * self._outputs)
        else:
            stepper = self._stepper
            stepper.x[:] = row
            stepper.step(True)
            values = stepper.out.tolist()
            action = values.index(max(values))
        self._memory.begin(row, action)
        return action

    def _epsilon(self) -> float:
        plan = self._plan
        share = self.steps / plan.epsilon_steps
        if share >= 1.0:
            return plan.epsilon_end
        return plan.epsilon_start + share * (plan.epsilon_end - plan.epsilon_start)

    def take(self, row: Array, reward: float, terminated: bool, truncated: bool) -> None:
        """Remember a step, and learn from many where it is time to."""
        self._memory.complete(row, reward, terminated, terminated or truncated)
        plan = self._plan
        if self.steps % plan.update_interval == 0 and self.steps >= plan.learning_starts:
            if self._memory.ready:
                self._update()

    # Learning

    def _update(self) -> None:
        plan, optimizer = self._plan, self._optimizer
        self._fill(self._memory.draw(len(self._rows), self._rng))
        optimizer.learning_rate = self._rate * ((1.0 - self.progress) if plan.falls else 1.0)
        result = self._engine.train(
            self._dataset, self._order, plan.batch_size, optimizer, 0.0, 0, plan.n_updates
        )
        if not result.finite:
            raise ValueError(
                f"{NON_FINITE} The loss was not finite in step {self.steps:,}. Scale the "
                "observations and the rewards, or lower learning_rate_init."
            )
        if plan.target_update < 1:
            self._copy_target(plan.target_update)
        elif optimizer.t - self._copied >= plan.target_update:
            self._copy_target(1.0)

    def _fill(self, places: Array) -> None:
        """Put transitions and their targets where the engine reads them."""
        memory = self._memory
        following = memory.following[places]
        values = self._target.predict(following, "logits")
        if self._plan.double:
            best = self._engine.predict(following, "logits").argmax(axis=1)
            value = values[self._order, best]
        else:
            value = values.max(axis=1)
        value *= memory.discounts[places]
        value += memory.rewards[places]
        np.take(memory.observations, places, axis=0, out=self._rows)
        self._targets.fill(np.nan)
        self._targets[self._order, memory.actions[places]] = value

    def _copy_target(self, share: float) -> None:
        """Move the target network by a share of its way to the network."""
        if share == 1.0:
            self._target.pack(self._engine.unpack())
        else:
            pairs = zip(self._target.unpack(), self._engine.unpack(), strict=True)
            self._target.pack([old + share * (new - old) for old, new in pairs])
        self._copied = self._optimizer.t

    def finish(self) -> None:
        """Leave nothing half done."""
        self._memory.cut()
        self._engine.release()

    # What it goes on from

    def state(self) -> dict[str, Any]:
        """See `Learner.state`."""
        solver = self._optimizer.state()
        return {
            "target": {str(k): array for k, array in enumerate(self._target.unpack())},
            "solver": {"steps": solver["steps"], "powers": solver["powers"], **solver["vectors"]},
            "copied": self._copied,
            "chances": np.array(self._chances),
            "used": self._used,
            "memory": self._memory.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Learner.load_state`."""
        self._target.pack(list(state["target"].values()))
        vectors = dict(state["solver"])
        rest = {name: vectors.pop(name) for name in ("steps", "powers")}
        optimizer = self._optimizer
        rate = optimizer.learning_rate
        if vectors.keys() == set(optimizer.vector_names):  # else it is another solver now
            optimizer.load_state({**rest, "vectors": vectors, "learning_rate": rate})
            self._copied = state["copied"]
        if not 0 <= state["used"] <= _AHEAD:
            raise ValueError(f"There are no {state['used']} of {_AHEAD} uniform numbers.")
        self._chances, self._used = state["chances"].tolist(), state["used"]
        if "memory" in state:
            self._memory.load_state(state["memory"])
