"""An agent that learns what each action is worth."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np

from nnjit._types import Array
from nnjit.agents._base import Agent
from nnjit.agents._learner import make_network
from nnjit.agents._memory import Memory
from nnjit.agents._parameters import AgentParameters
from nnjit.agents._q_learner import QLearner, QPlan
from nnjit.agents._spaces import Space
from nnjit.estimators._declaration import (
    Kind,
    interval,
    parameter,
    parameter_group,
    with_parameters,
)

__all__ = ["QAgent"]

_COUNT = interval(Integral, 1, None, "left")
_UNSIGNED = interval(Integral, 0, None, "left")
_SHARE = interval(Real, 0, 1, "both")
_POSITIVE = interval(Real, 0, None, "neither")


@parameter_group
class QLearning:
    """How values are learned."""

    n_step: int = parameter(
        default=3,
        kind=_COUNT,
        text="""Rewards that are added up before the target network says what is still to come;
            fewer where the episode ends before.""",
    )
    double: bool = parameter(
        default=True,
        kind=Kind("bool", ["boolean"]),
        text="""Whether the network chooses the action whose value the target network gives (double
            Q-learning), or the target network does both.""",
    )
    huber_delta: float = parameter(
        default=1.0,
        kind=_POSITIVE,
        text="Error of a value from which its loss is linear, as of `nnjit.MLPRegressor`.",
    )
    memory_size: int = parameter(
        default=100_000, kind=_COUNT, text="Transitions that are remembered; the last ones."
    )
    learning_starts: int = parameter(
        default=1000, kind=_UNSIGNED, text="Steps before the first update."
    )
    update_interval: int = parameter(
        default=64, kind=_COUNT, text="Steps from one round of updates to the next."
    )
    n_updates: int = parameter(
        default=32, kind=_COUNT, text="Minibatches in a round, an update each."
    )
    target_update: float = parameter(
        default=0.2,
        kind=Kind(
            "int or float", [*_COUNT.constraints, interval(Real, 0, 1, "neither").constraints[0]]
        ),
        text="""After how many updates (an int) the target network becomes equal to the network; or
            by which share (a float below 1) of the difference it is moved after each round.""",
    )
    epsilon_start: float = parameter(
        default=1.0,
        kind=_SHARE,
        text="Probability of an action at random at the beginning of learning.",
    )
    epsilon_end: float = parameter(
        default=0.02, kind=_SHARE, text="The same when `epsilon_steps` have been taken."
    )
    epsilon_steps: int = parameter(
        default=10_000,
        kind=_COUNT,
        text="Steps in which it falls from the one to the other, in a straight line.",
    )


@parameter_group
class _Parameters(QLearning, AgentParameters):
    learning_rate: Literal["constant", "linear"] = parameter(default="linear")
    batch_size: int = parameter(default=32)


@with_parameters
class QAgent(_Parameters, Agent):
    r"""Learns what each action is worth, and takes the best one: double deep Q-learning.

    A network :math:`Q(s, a)` has an output for each action: what can be expected of the rewards
    from now on, each discounted by gamma to the power of the steps until it comes, if that action
    is taken at the observation s and the best ones after it. While it learns, the agent takes a
    random action with a probability epsilon that falls, and else the best. What happens goes to a
    memory. After every `update_interval` steps `n_updates` minibatches are drawn from it; the
    target of a transition is

    .. math:: y = \sum_{k<n} \gamma^k r_k + \gamma^n \bar Q(s_n, \arg\max_a Q(s_n, a))

    with a target network :math:`\bar Q` that follows slowly; the second term is left out where the
    episode came to its end, and stays where it was only broken off. The loss is Huber's of the
    output of the action taken; what the others should be is not known and counts nothing.

    Environments are those of Gymnasium whose observations are boxes or numbers and whose actions
    are numbers: ``pip install 'nnjit[agents]'``.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    nnjit.MLPRegressor : Learns values that are known.

    Notes
    -----
    Given an int as `random_state`, a fit gives the same bits again if an episode of the environment
    follows from the seed of its reset and the actions. The targets of a round are computed together
    with the networks as they are at its beginning, and its updates are one compiled call. What the
    network sees is not scaled: observations should be of about 1 in size, and rewards too.

    With `warm_start` the networks, the solver and what is recorded go on; so does the memory, but
    not in a copy from a pickle or where `gamma`, `n_step` or `memory_size` have changed. Epsilon
    goes on falling with all steps, the learning rate begins anew.

    References
    ----------
    V. Mnih et al., "Human-level control through deep reinforcement learning", Nature 518, 2015.

    H. van Hasselt, A. Guez and D. Silver, "Deep reinforcement learning with double Q-learning",
    AAAI 2016.

    R. Sutton, "Learning to predict by the methods of temporal differences", Machine Learning 3,
    1988 (sums over several steps).

    Examples
    --------
    >>> from nnjit.agents import QAgent
    >>> agent = QAgent(random_state=0).fit("CartPole-v1", n_steps=6000)
    >>> agent.score("CartPole-v1", n_episodes=5, random_state=0) > 60
    True
    >>> agent.act([0.0, 0.0, 0.1, 0.5])  # the pole falls to the right
    1
    """

    def _make_learner(
        self,
        observations: Space,
        actions: Space,
        dtype: np.dtype[Any],
        rng: np.random.RandomState,
    ) -> QLearner:
        delta = float(self.huber_delta)
        network = self._network(observations.size, actions.n, "masked_huber", huber_delta=delta)
        engine = make_network(network, dtype, rng)
        target = make_network(network, dtype, np.random.RandomState(0))
        memory = Memory(
            int(self.memory_size), observations.size, actions.n, dtype, float(self.gamma),
            int(self.n_step),
        )  # fmt: skip
        plan = QPlan(
            batch_size=int(self.batch_size),
            n_updates=int(self.n_updates),
            update_interval=int(self.update_interval),
            learning_starts=int(self.learning_starts),
            target_update=self.target_update,
            epsilon_start=float(self.epsilon_start),
            epsilon_end=float(self.epsilon_end),
            epsilon_steps=int(self.epsilon_steps),
            double=bool(self.double),
            falls=self.learning_rate == "linear",
        )
        return QLearner(engine, target, memory, self._make_solver(), plan, rng)

    def _decide(self, outputs: Array) -> Array:
        best: Array = outputs.argmax(axis=1)
        return best
