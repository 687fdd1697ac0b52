"""An agent that learns what to do, with a critic beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from nnjit._types import ActivationName, Array, FloatArray
from nnjit.agents._acting import OVERFLOW
from nnjit.agents._base import Agent
from nnjit.agents._distributions import Categorical, Gaussian, distribution_over
from nnjit.agents._learner import make_network
from nnjit.agents._parameters import AgentParameters
from nnjit.agents._policy_learner import PolicyLearner, PolicyPlan
from nnjit.agents._rollout import Rollout
from nnjit.agents._spaces import Space
from nnjit.backends import select
from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._declaration import (
    Kind,
    interval,
    parameter,
    parameter_group,
    with_parameters,
)
from nnjit.estimators._names import hidden_layer_activations
from nnjit.layers.network import mlp

__all__ = ["PolicyAgent"]

_COUNT = interval(Integral, 1, None, "left")
_SHARE = interval(Real, 0, 1, "both")
_POSITIVE = interval(Real, 0, None, "neither")
# What the output layers' initial weights are multiplied by: at first all actions are about equally
# likely, and all values about 0.
_SMALL = 0.01


@parameter_group
class PolicyLearning:
    """How a policy is learned."""

    rollout_size: int = parameter(
        default=1024,
        kind=_COUNT,
        text="Steps that are taken with a policy before it is updated from them, once.",
    )
    n_epochs: int = parameter(
        default=10, kind=_COUNT, text="Times that the updates go through these steps."
    )
    gae_lambda: float = parameter(
        default=0.95,
        kind=_SHARE,
        text="""What an error of the critic's value k steps later counts in an action's advantage,
            to the power of k (generalized advantage estimation). With 1 the advantage is the sum of
            the rewards that came less the value, with 0 it trusts the next value alone.""",
    )
    clip_ratio: float | None = parameter(
        default=0.2,
        kind=Kind("float or None", [*_POSITIVE.constraints, None]),
        text="""How far the ratio of an action's probability to what it was when it was taken may
            get from 1 before nothing more is gained by it; None for the plain policy gradient.""",
    )
    entropy: float = parameter(
        default=0.0,
        kind=interval(Real, 0, None, "left"),
        text="Weight of the policy's entropy: above 0 it stays undecided for longer.",
    )
    initial_std: float = parameter(
        default=1.0,
        kind=_POSITIVE,
        text="""Standard deviation, at first, of actions in a box, half as wide as which is 1. Of no
            effect on discrete actions.""",
    )


@parameter_group
class _Parameters(PolicyLearning, AgentParameters):
    activation: ActivationName | Sequence[ActivationName] | NDArray[np.str_] = parameter(
        default="tanh", kw_only=False
    )
    learning_rate: Literal["constant", "linear"] = parameter(default="linear")
    clip_norm: float | None = parameter(default=0.5)
    restore_best: bool = parameter(default=False)


@with_parameters
class PolicyAgent(_Parameters, Agent):
    r"""Learns what to do: an actor and a critic, with clipped updates.

    Two networks of the same hidden layers look at an observation. The actor's outputs are a
    distribution over actions: a softmax for discrete actions; for those in a box the means and the
    logarithms of the standard deviations of normal numbers. While it learns, actions are drawn from
    it; afterwards the likeliest is taken. The critic says what is still to come on average,
    :math:`v(s)`. What came in fact is better or worse than that, the action's advantage A: the
    feedback that moves the actor, to do more of what was rewarded and less of what was punished.

    .. math:: A_t = \sum_k (\gamma \lambda)^k
              (r_{t+k} + \gamma v(s_{t+k+1}) - v(s_{t+k}))

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}
    critic_coefs_, critic_intercepts_ : list of ndarray
        Weights and biases of the critic.

    See Also
    --------
    QAgent : Learns what each of some actions is worth.

    References
    ----------
    J. Schulman, F. Wolski, P. Dhariwal, A. Radford and O. Klimov, "Proximal policy optimization
    algorithms", arXiv:1707.06347, 2017.

    J. Schulman, P. Moritz, S. Levine, M. Jordan and P. Abbeel, "High-dimensional continuous control
    using generalized advantage estimation", ICLR 2016.

    Examples
    --------
    >>> from nnjit.agents import PolicyAgent
    >>> agent = PolicyAgent(random_state=0).fit("CartPole-v1", n_steps=30_000)
    >>> agent.score("CartPole-v1", random_state=1) > 400
    True
    >>> agent.act([0.0, 0.0, 0.2, 0.0])  # the pole leans to the right
    1
    """

    _action_kinds = ("discrete", "box")

    critic_coefs_: list[FloatArray]
    critic_intercepts_: list[FloatArray]

    def _make_learner(
        self,
        observations: Space,
        actions: Space,
        dtype: np.dtype[Any],
        rng: np.random.RandomState,
    ) -> PolicyLearner:
        distribution = distribution_over(actions)
        inputs, clip = observations.size, self.clip_ratio
        options = (
            ("clip", math.inf if clip is None else float(clip)),
            ("entropy", float(self.entropy)),
        )
        network = replace(
            self._network(inputs, distribution.n_outputs, "squared_error"),
            loss=distribution.loss, output=distribution.output, loss_parameters=options,
        )  # fmt: skip
        actor = make_network(network, dtype, rng, _SMALL)
        if isinstance(distribution, Gaussian):
            arrays = actor.unpack()
            arrays[-1][distribution.n_columns :] = math.log(self.initial_std)
            actor.pack(arrays)
        critic = make_network(self._network(inputs, 1, "squared_error"), dtype, rng, _SMALL)
        plan = PolicyPlan(
            batch_size=int(self.batch_size),
            n_epochs=int(self.n_epochs),
            gamma=float(self.gamma),
            gae_lambda=float(self.gae_lambda),
            falls=self.learning_rate == "linear",
        )
        rollout = Rollout(int(self.rollout_size), inputs, distribution.n_columns, dtype)
        solvers = self._make_solver(), self._make_solver()
        return PolicyLearner(actor, critic, solvers, distribution, rollout, plan, rng)

    def _decide(self, outputs: Array) -> Array:
        distribution = distribution_over(self.action_space_)
        if isinstance(distribution, Gaussian):
            return distribution.best(outputs)
        best: Array = outputs.argmax(axis=1)
        return best

    def predict_proba(self, observations: ArrayLike) -> Array:
        """Return how likely each action is, for each of some observations.

        Parameters
        ----------
        observations : array-like of shape (n_observations, ...)
            Each as the environment gives it.

        Returns
        -------
        probabilities : ndarray of shape (n_observations, n_actions)
            Those of a row sum to 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the agent has learned nothing yet.
        ValueError
            If actions are not discrete, the observations are not of the environment's space, or a
            value overflows.
        """
        outputs = self._outputs(observations)
        distribution = distribution_over(self.action_space_)
        if not isinstance(distribution, Categorical):
            raise ValueError(
                f"predict_proba needs discrete actions; those of {self.action_space_} have no "
                "probabilities."
            )
        return distribution.probabilities(outputs)

    def predict_values(self, observations: ArrayLike) -> FloatArray:
        """Return what the critic says is still to come, for each of some observations.

        Parameters
        ----------
        observations : array-like of shape (n_observations, ...)
            Each as the environment gives it.

        Returns
        -------
        values : ndarray of shape (n_observations,)
            Sum of the rewards to come, each discounted by `gamma` for every step until then.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the agent has learned nothing yet.
        ValueError
            If the observations are not of the environment's space, or a value overflows.
        """
        check_is_fitted(self, "critic_coefs_")
        arrays = self._arrays_of("critic")
        inputs, *hidden = (len(weights) for weights in arrays[::2])
        activations = hidden_layer_activations(self.activation, len(hidden))
        network = mlp(inputs, hidden, 1, activations, "squared_error", "identity")
        engine = select.make_engine(network, common_dtype(arrays))
        engine.pack(arrays)
        outputs: FloatArray
        outputs = engine.predict(self.observation_space_.to_rows(observations, engine.dtype))[:, 0]
        if not np.isfinite(outputs).all():
            raise ValueError(OVERFLOW)
        return outputs
