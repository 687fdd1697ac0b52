"""Clipped updates of a policy, by the advantages that a critic sees in what it did."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from nnjit._types import Array, FloatArray
from nnjit.agents._acting import OVERFLOW
from nnjit.agents._distributions import Distribution
from nnjit.agents._learner import Learner
from nnjit.agents._rollout import Rollout
from nnjit.backends.stepper import Stepper
from nnjit.estimators._trainable_network import NON_FINITE
from nnjit.training.engine import Engine, Optimizer
from nnjit.training.solvers import StochasticSolver

__all__ = ["PolicyLearner", "PolicyPlan", "Standard"]


class PolicyPlan(NamedTuple):
    """Settings of a `PolicyLearner`, as `PolicyAgent` has them."""

    batch_size: int
    n_epochs: int
    gamma: float
    gae_lambda: float
    falls: bool  # whether the learning rate does


class Standard:
    """Mean and standard deviation of all numbers there have been, in whose units others are.

    Parameters
    ----------
    count, mean, squares : float
        How many there have been, and the sum of the squares of their distances from the mean.
    """

    def __init__(self, count: float = 0.0, mean: float = 0.0, squares: float = 0.0) -> None:
        self.count, self.mean, self.squares = count, mean, squares

    @property
    def scale(self) -> float:
        """The standard deviation; 1 where there is none."""
        spread = math.sqrt(self.squares / self.count) if self.count else 0.0
        return spread if spread > 1e-8 * abs(self.mean) else 1.0

    def add(self, numbers: FloatArray) -> None:
        """Take in more of them (Chan, Golub and LeVeque, 1979)."""
        n, mean = len(numbers), float(numbers.mean())
        total, apart = self.count + n, mean - self.mean
        self.squares += float(np.square(numbers - mean).sum()) + apart**2 * self.count * n / total
        self.mean += apart * n / total
        self.count = total


class PolicyLearner(Learner):
    r"""Learns what to do, and from the critic how much better than expected it was.

    A rollout of steps is taken with actions at random, by the probabilities that the policy gives
    them. Then the critic's values v give the advantages A of the actions (see `Rollout`), and the
    policy is moved over some epochs of minibatches by the loss

    .. math:: -\min(r A, \mathrm{clip}(r, 1 - \epsilon, 1 + \epsilon) A) - c H, \quad
              r = p(a) / p_{old}(a)

    of standardized advantages, the critic by the squared error of A + v. It gives values in units
    of the standard deviation of all those that it has been shown, from their mean on. When these
    move its output layer is changed such that it says the same as before.

    Parameters
    ----------
    actor, critic : Engine
    solvers : tuple of StochasticSolver
        The actor's and the critic's.
    distribution : Distribution
        Over actions, by the actor's outputs.
    rollout : Rollout
    plan : PolicyPlan
    rng : numpy.random.RandomState

    References
    ----------
    J. Schulman et al., "Proximal policy optimization algorithms", arXiv:1707.06347, 2017.

    H. van Hasselt et al., "Learning values across many orders of magnitude", NIPS 2016 (an output
    layer that says the same in other units).
    """

    def __init__(
        self,
        actor: Engine,
        critic: Engine,
        solvers: tuple[StochasticSolver, StochasticSolver],
        distribution: Distribution,
        rollout: Rollout,
        plan: PolicyPlan,
        rng: np.random.RandomState,
    ) -> None:
        super().__init__({"": actor, "critic": critic})
        self._actor, self._critic = actor, critic
        self._rates = [solver.rate for solver in solvers]
        self._optimizers = [
            solver.start(engine) for solver, engine in zip(solvers, (actor, critic), strict=True)
        ]
        self._distribution, self._rollout, self._plan, self._rng = distribution, rollout, plan, rng
        self._stepper = Stepper(actor)
        self.standard = Standard()
        # Data sets are made once, of arrays that are filled anew for each round of updates.
        size, columns = rollout.size, distribution.n_columns
        self._policy_targets = np.zeros((size, columns + 2), actor.dtype)
        self._returns = np.zeros((size, 1), actor.dtype)
        self._data = [
            actor.dataset(rollout.observations, self._policy_targets),
            critic.dataset(rollout.observations, self._returns),
        ]

    # A step

    def begin(self, row: Array) -> None:
        """Hear that an episode begins; the one before may have been cut off by the end of a fit."""
        self._rollout.cut()

    def act(self, row: Array) -> Any:
        """Return an action at random, by the policy's probabilities."""
        stepper = self._stepper
        stepper.x[:] = row
        if not stepper.step(True) and not np.isfinite(stepper.out).all():
            raise ValueError(OVERFLOW)
        action = self._distribution.draw(stepper.out, self._rng)
        self._rollout.begin(row, action)
        return self._distribution.to_environment(action)

    def take(self, row: Array, reward: float, terminated: bool, truncated: bool) -> None:
        """Remember a step, and learn where the rollout or the fit is over."""
        rollout = self._rollout
        rollout.complete(row, reward, terminated, terminated or truncated)
        if rollout.count == rollout.size or self.steps == self.last:
            try:
                self._update()
            finally:
                rollout.count = 0  # what an update that was broken off has begun with is not new

    # Learning

    def _update(self) -> None:
        """Learn from the rollout."""
        rollout, plan = self._rollout, self._plan
        n = rollout.count
        values, following = map(self._values, (rollout.observations[:n], rollout.following[:n]))
        advantages = rollout.advantages(values, following, plan.gamma, plan.gae_lambda)
        self._set_returns(advantages + values)
        self._set_policy_targets(advantages)
        begun = max(0, self.steps - n - self.first) / max(1, self.last - self.first)
        for optimizer, rate in zip(self._optimizers, self._rates, strict=True):
            optimizer.learning_rate = rate * ((1.0 - begun) if plan.falls else 1.0)
        for _ in range(plan.n_epochs):
            order = self._rng.permutation(n)
            for engine, data, optimizer in zip(
                (self._actor, self._critic), self._data, self._optimizers, strict=True
            ):
                self._epoch(engine, data, optimizer, order)

    def _epoch(self, engine: Engine, data: Any, optimizer: Optimizer, order: Array) -> None:
        batches = -(-len(order) // self._plan.batch_size)
        result = engine.train(data, order, self._plan.batch_size, optimizer, 0.0, 0, batches)
        if not result.finite:
            raise ValueError(
                f"{NON_FINITE} The loss was not finite in step {self.steps:,}. Scale the "
                "observations, or lower learning_rate_init."
            )

    def _values(self, observations: Array) -> FloatArray:
        """Return what the critic says that observations are worth."""
        outputs = self._critic.predict(observations)[:, 0].astype(np.float64)
        found: FloatArray = outputs * self.standard.scale + self.standard.mean
        return found

    def _set_returns(self, returns: FloatArray) -> None:
        """Put the critic's targets where its engine reads them, in units that may be new."""
        standard, arrays = self.standard, self._critic.unpack()
        mean, scale = standard.mean, standard.scale
        standard.add(returns)
        arrays[-2] *= scale / standard.scale
        arrays[-1] += (mean - standard.mean) / scale
        arrays[-1] *= scale / standard.scale
        self._critic.pack(arrays)
        self._returns[: len(returns), 0] = (returns - standard.mean) / standard.scale

    def _set_policy_targets(self, advantages: FloatArray) -> None:
        """Put the actor's targets where its engine reads them."""
        n, targets = len(advantages), self._policy_targets
        actions = self._rollout.actions[:n]
        outputs = self._actor.predict(self._rollout.observations[:n], "logits")
        targets[:n, :-2] = actions
        targets[:n, -2] = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        targets[:n, -1] = self._distribution.log_probabilities(outputs, actions)

    def finish(self) -> None:
        """Drop the buffers of training."""
        for engine in self.engines.values():
            engine.release()

    # What it goes on from

    def parameters(self) -> dict[str, list[Array]]:
        """Return the arrays of both networks; the critic's give values in units of the rewards."""
        standard, found = self.standard, super().parameters()
        weights, bias = (array.astype(np.float64) for array in found["critic"][-2:])
        outputs = weights * standard.scale, bias * standard.scale + standard.mean
        found["critic"][-2:] = [array.astype(self._critic.dtype) for array in outputs]
        return found

    def load_parameters(self, parameters: Mapping[str, list[Array]]) -> None:
        """Go on from what ``parameters`` returned."""
        standard, critic = self.standard, list(parameters["critic"])
        weights, bias = (np.asarray(array, np.float64) for array in critic[-2:])
        critic[-2:] = weights / standard.scale, (bias - standard.mean) / standard.scale
        super().load_parameters({**parameters, "critic": critic})

    def state(self) -> dict[str, Any]:
        """See `Learner.state`."""
        standard = self.standard
        return {
            "solvers": {
                name: _solver_state(optimizer)
                for name, optimizer in zip(("actor", "critic"), self._optimizers, strict=True)
            },
            "values": {name: float(value) for name, value in vars(standard).items()},
            "memory": self._rollout.state(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Learner.load_state`."""
        values, memory = state["values"], state.get("memory")
        if values["count"] < 0 or values["squares"] < 0:
            raise ValueError("There are no such mean and standard deviation of values.")
        if memory is not None:
            self._check_rollout(memory)
        for name, optimizer in zip(("actor", "critic"), self._optimizers, strict=True):
            _load_solver_state(optimizer, state["solvers"][name])
        self.standard = Standard(**values)
        if memory is not None:
            self._rollout.load_state(memory)

    def _check_rollout(self, memory: Mapping[str, Any]) -> None:
        """Refuse a rollout that there cannot be."""
        count, actions = memory["count"], memory["actions"]
        if not 0 <= count < max(1, len(actions)):
            raise ValueError(f"A rollout of {len(actions)} steps has {count} of them.")
        if not self._distribution.takes(actions):
            raise ValueError("A rollout has actions that there are not.")


def _solver_state(optimizer: Optimizer) -> dict[str, Any]:
    state = optimizer.state()
    return {"steps": state["steps"], "powers": state["powers"], **state["vectors"]}


def _load_solver_state(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    vectors = dict(state)
    rest = {name: vectors.pop(name) for name in ("steps", "powers")}
    rate = optimizer.learning_rate
    optimizer.load_state({**rest, "vectors": vectors, "learning_rate": rate})
