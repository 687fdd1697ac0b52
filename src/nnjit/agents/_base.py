"""What all agents share: the loop over steps and episodes, acting, scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from nnjit._logging import told_fit
from nnjit._site import LinksToItsPage
from nnjit._types import Array, FloatArray
from nnjit._warnings import warn
from nnjit.agents._acting import OVERFLOW, Actor
from nnjit.agents._checkpoint import AgentCheckpoint
from nnjit.agents._environment import Environment, opened
from nnjit.agents._learner import Learner
from nnjit.agents._parameters import AgentParameters
from nnjit.agents._record import Best, Record, UserCallback
from nnjit.agents._spaces import Space, read_space
from nnjit.agents._telling import Telling
from nnjit.backends import select
from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._assigned import checked_parameters, units_of
from nnjit.estimators._base import SET_BACK
from nnjit.estimators._callbacks import CallbackSupport
from nnjit.estimators._methods import checks_parameters
from nnjit.estimators._names import activation_names, hidden_layer_activations
from nnjit.estimators._persistence import checked, stamped
from nnjit.estimators._prediction import prediction_engine
from nnjit.estimators._rollback import unchanged_on_error
from nnjit.estimators.parameters import RandomState
from nnjit.layers.network import Network, mlp
from nnjit.training.engine import Engine
from nnjit.training.solvers import StochasticSolver, make_solver

__all__ = ["Agent"]

_ATTRIBUTES = """
coefs_ : list of ndarray of shape (units of layer i, units of layer i + 1)
    Weights of the network that acts. They can be assigned before predicting.
intercepts_ : list of ndarray of shape (units of layer i + 1,)
    Its biases.
returns_ : list of float
    Sum of the rewards of each episode that came to its end in ``fit``, in order.
lengths_ : list of int
    Steps of each of them.
episode_ends_ : list of int
    Number of the last step of each of them, counted from the beginning of learning.
n_steps_ : int
    Steps that have been learned from.
observation_space_, action_space_ : Space
    What the environment shows and takes, as plain data: `kind` ('box' or 'discrete'), `shape`,
    `n`, `start`, `low`, `high` and `dtype`.
n_features_in_ : int
    Numbers of an observation as the network sees it: those of a box in C order, or one for each
    number of a discrete space, of which one is 1 and the others 0.
n_layers_ : int
    Number of layers, input and output included.
n_outputs_ : int
    Number of output units.
"""
_MOST_SEED = 2**31 - 1


class Agent(LinksToItsPage, CallbackSupport, AgentParameters, BaseEstimator, ABC):
    """Base of agents.

    A subclass supplies

    - `_action_kinds`, the kinds of action spaces that it knows;
    - `_make_learner`, a new `Learner` for an environment with these spaces: the networks, made by
      ``make_network(self._network(inputs, outputs, loss), dtype, rng)``, and all that is done in
      and after a step;
    - `_decide`, the actions that outputs of the network say are best: their numbers from 0 on,
      or arrays for a box.

    It is declared as::

        @parameter_group
        class _Parameters(SomeGroup, AgentParameters): ...

        @with_parameters
        class SomeAgent(_Parameters, Agent): ...
    """

    _shared_docs = {"attributes": _ATTRIBUTES}
    _action_kinds: tuple[str, ...] = ("discrete",)
    # what the house's ways of predicting ask an estimator for
    device = "cpu"
    out_activation_ = "identity"

    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]
    returns_: list[float]
    lengths_: list[int]
    episode_ends_: list[int]
    n_steps_: int
    observation_space_: Space
    action_space_: Space
    n_features_in_: int
    n_layers_: int
    n_outputs_: int
    _random_state: np.random.RandomState
    _record: Record
    _learned: dict[str, Any]

    # What a kind of agent supplies

    @abstractmethod
    def _make_learner(
        self,
        observations: Space,
        actions: Space,
        dtype: np.dtype[Any],
        rng: np.random.RandomState,
    ) -> Learner:
        """Return a learner that knows nothing yet."""

    @abstractmethod
    def _decide(self, outputs: Array) -> Array:
        """Return the best actions by the network's outputs (n, n_outputs), a row each."""

    # What it has for that

    def _network(self, inputs: int, outputs: int, loss: str, **loss_parameters: float) -> Network:
        """Return a network of the hidden layers that the parameters ask for."""
        given: Any = self.hidden_layer_sizes
        sizes = [int(size) for size in (given if hasattr(given, "__iter__") else [given])]
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        activations = hidden_layer_activations(self.activation, len(sizes))
        options: Any = {"loss_parameters": tuple(loss_parameters.items())}
        return mlp(inputs, sizes, outputs, activations, loss, "identity", **options)

    def _make_solver(self) -> StochasticSolver:
        """Return the solver that the parameters ask for."""
        options = {} if self.clip_norm is None else {"clip_norm": float(self.clip_norm)}
        return make_solver(self.solver, learning_rate_init=self.learning_rate_init, options=options)

    # Learning

    @checks_parameters
    def fit(
        self, env: Any, n_steps: int = 100_000, *, callback: UserCallback | None = None
    ) -> Self:
        """Learn by acting in an environment.

        Parameters
        ----------
        env : gymnasium.Env or str
            The environment, or the name of a registered one, such as 'CartPole-v1', which is made
            and closed again. Each episode is begun by ``env.reset`` with a seed that `random_state`
            gives.
        n_steps : int, default=100_000
            Steps to take, over as many episodes as that gives; the last one may be cut off.
        callback : callable, default=None
            Called at each episode's end with a report that has the attributes `agent`, `episode`
            (its number), `n_steps` (of all so far), `length` and `total` (the sum of its rewards).
            Where it returns something true, learning ends.

        Returns
        -------
        self : object
            This agent, fitted.

        Raises
        ------
        ImportError
            If Gymnasium is not installed.
        TypeError
            If `env` is no environment.
        ValueError
            If its spaces are none that the agent knows, a reward or an observation is not finite,
            or the loss is not finite any more.
        RuntimeError
            If the environment raises; its own error is the cause.

        Warns
        -----
        UserWarning
            If Ctrl-C ended learning.

        Notes
        -----
        What is wrong before the first step leaves the agent as it was. Whatever ends learning
        later, an error, Ctrl-C or the callback, the agent keeps what it had learned by then, and
        can be used.
        """
        check_count("n_steps", n_steps)
        with opened(env) as made, told_fit(self):
            self._fit(made, int(n_steps), callback)
        return self

    def _fit(self, env: Any, n_steps: int, callback: UserCallback | None) -> None:
        with unchanged_on_error(self):
            observations, actions = self._spaces_of(env)
            learner, record = self._begin(observations, actions)
            best = Best(len(record.ends))
            checkpoint = self._open_checkpoint(learner, record, best, observations, actions)
            learner.last = learner.first + n_steps
            environment = Environment(
                env, observations, actions, observations.precision, learner.steps,
                len(record.ends),
            )  # fmt: skip
            self.observation_space_, self.action_space_ = observations, actions
        telling = Telling(self, callback, checkpoint)
        try:
            self._episodes(environment, learner, record, best, telling)
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
        finally:
            learner.finish()
            self._take_over(learner, record, best)
        telling.finish(learner, record, best, self._random_state)

    def _spaces_of(self, env: Any) -> tuple[Space, Space]:
        """Return the spaces of observations and of actions as data."""
        agent = type(self).__name__
        return (
            read_space(env.observation_space, "observation", ("box", "discrete"), agent),
            read_space(env.action_space, "action", self._action_kinds, agent),
        )

    def _begin(self, observations: Space, actions: Space) -> tuple[Learner, Record]:
        """Return a learner and a record, new ones or those of a fit that is gone on from."""
        going_on = self.warm_start and hasattr(self, "coefs_")
        if not (going_on and hasattr(self, "_random_state")):
            self._random_state = check_random_state(self.random_state)
        dtype = observations.precision
        learner = self._make_learner(observations, actions, dtype, self._random_state)
        if not going_on:
            return learner, Record()
        self._check_spaces(observations, actions, f"warm_start cannot go on: {SET_BACK}")
        self._go_on(learner)
        return learner, self._record.copy()

    def _check_spaces(self, observations: Space, actions: Space, refusal: str) -> None:
        """Refuse an environment of other spaces than that which has been learned in."""
        for name, now in (("observation_space_", observations), ("action_space_", actions)):
            before = getattr(self, name)
            if (before.kind, before.shape, before.n) != (now.kind, now.shape, now.n):
                raise ValueError(
                    f"The environment's {name[:-1]} is {now}, but {name} is {before}: {refusal}"
                )

    def _go_on(self, learner: Learner) -> None:
        """Have a learner go on from what the agent has learned."""
        given = {name: self._arrays_of(name) for name in learner.engines}
        for name, engine in learner.engines.items():
            wanted = [one.shape for _, one in engine.network.parameters()]
            if [np.shape(array) for array in given[name]] != wanted:
                raise ValueError(
                    f"warm_start cannot go on: {_prefix(name)}coefs_ and {_prefix(name)}intercepts_"
                    f" are not of the network that the parameters ask for. {SET_BACK}"
                )
        learner.load_state(self._learned["learner"])
        learner.steps = learner.first = self.n_steps_
        learner.load_parameters(given)

    def _open_checkpoint(
        self, learner: Learner, record: Record, best: Best, observations: Space, actions: Space
    ) -> AgentCheckpoint | None:
        """Return the checkpoint that is asked for, having gone on from its file if there is one."""
        if self.checkpoint is None:
            return None
        checkpoint = AgentCheckpoint(self, learner, observations, actions)
        self._random_state = checkpoint.resume(learner, record, best, self._random_state)
        return checkpoint

    def _episodes(
        self,
        environment: Environment,
        learner: Learner,
        record: Record,
        best: Best,
        telling: Telling,
    ) -> None:
        """Go through episodes until enough steps are taken, or a callback wants no more."""
        rng, step, last = self._random_state, environment.step, learner.last
        act, take = learner.act, learner.take
        while learner.steps < last:
            telling.begin()
            row = environment.reset(int(rng.randint(_MOST_SEED)))
            learner.begin(row)
            total, length, over = 0.0, 0, False
            while not over:
                if learner.steps >= last:
                    return
                row, reward, terminated, truncated = step(act(row))
                learner.steps += 1
                total += reward
                length += 1
                take(row, reward, terminated, truncated)
                over = terminated or truncated
            learner.after_episode(total)
            record.add(total, length, learner.steps)
            if self.restore_best:
                best.after_episode(record, learner)
            if telling.end(learner, record, best, rng):
                return

    def _take_over(self, learner: Learner, record: Record, best: Best) -> None:
        """Set the fitted attributes."""
        for name, value in self._as_fitted(learner, record, best.networks).items():
            setattr(self, name, value)
        self._record = record
        self._learned = {"learner": learner.state()}

    def _as_fitted(
        self,
        learner: Learner,
        record: Record,
        networks: dict[str, list[Array]] | None = None,
    ) -> dict[str, Any]:
        """Return what has been learned and recorded as fitted attributes.

        The networks are those that the learner has now unless others are given.
        """
        found: dict[str, Any] = {}
        for name, arrays in (networks or learner.parameters()).items():
            found[f"{_prefix(name)}coefs_"] = arrays[::2]
            found[f"{_prefix(name)}intercepts_"] = arrays[1::2]
        coefs = found["coefs_"]
        return found | {
            "returns_": list(record.returns),
            "lengths_": list(record.lengths),
            "episode_ends_": list(record.ends),
            "n_steps_": learner.steps,
            "n_features_in_": len(coefs[0]),
            "n_layers_": len(coefs) + 1,
            "n_outputs_": coefs[-1].shape[1],
        }

    # The network that acts, which the ways of predicting ask for

    def _arrays_of(self, name: str) -> list[Any]:
        """Return the parameters of a network, weights and biases in turn."""
        pairs = zip(*(getattr(self, f"{_prefix(name)}{kind}_") for kind in ("coefs", "intercepts")))
        return [array for pair in pairs for array in pair]

    def _give_parameters(self, n_features: int | None = None) -> tuple[Network, list[Array]]:
        coefs, intercepts = checked_parameters(self, n_features)
        inputs, *hidden, outputs = units_of(coefs)
        activations = hidden_layer_activations(self.activation, len(hidden))
        network = mlp(inputs, hidden, outputs, activations, "squared_error", "identity")
        return network, [array for pair in zip(coefs, intercepts) for array in pair]

    def _present_parameters(self) -> tuple[Any, list[Any]]:
        others = self.n_layers_, self.n_outputs_, activation_names(self.activation)
        return others, self._arrays_of("")

    def _make_engine(self, ready: bool = False, n_features: int | None = None) -> Engine:
        network, arrays = self._give_parameters(n_features)
        engine: Engine = select.make_engine(network, common_dtype(arrays))
        engine.pack(arrays)
        return engine

    # Acting

    def predict(self, observations: ArrayLike) -> Array:
        """Return the best action for each of some observations.

        Parameters
        ----------
        observations : array-like of shape (n_observations, ...)
            Each as the environment gives it: an array of the shape of its box, or a number.

        Returns
        -------
        actions : ndarray of shape (n_observations, ...)
            As the environment takes them: numbers, or arrays of the shape of its box.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the agent has learned nothing yet.
        ValueError
            If the observations are not of the environment's space, or a value overflows.
        """
        outputs = self._outputs(observations)
        return self.action_space_.to_actions(self._decide(outputs))

    def _outputs(self, observations: ArrayLike) -> Array:
        """Return the network's outputs (n_observations, n_outputs)."""
        check_is_fitted(self, "coefs_")
        engine = prediction_engine(self, self.observation_space_.size)
        rows = self.observation_space_.to_rows(observations, engine.dtype)
        outputs, finite = engine.predict_checked(rows)
        if not finite and not np.isfinite(outputs).all():
            raise ValueError(OVERFLOW)
        return outputs

    def act(self, observation: ArrayLike) -> Any:
        """Return the best action for one observation, some microseconds later.

        Parameters
        ----------
        observation : array-like or int
            As the environment gives it.

        Returns
        -------
        action : int or ndarray
            As the environment takes it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the agent has learned nothing yet.
        ValueError
            If the observation is not of the environment's space, or a value overflows.
        """
        if "coefs_" not in self.__dict__:
            check_is_fitted(self, "coefs_")
        return Actor(self).act(observation)

    def score(self, env: Any, n_episodes: int = 10, *, random_state: RandomState = None) -> float:
        """Return the mean over episodes of the sum of rewards, taking the best actions.

        Parameters
        ----------
        env : gymnasium.Env or str
            The environment, or the name of a registered one.
        n_episodes : int, default=10
            Episodes to act in. They have to come to an end.
        random_state : int, RandomState instance or None, default=None
            Gives the seeds with which episodes begin.

        Returns
        -------
        mean_return : float
            Not discounted.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the agent has learned nothing yet.
        ValueError
            If its spaces are not those that the agent has learned in, or an observation or a reward
            is not finite.
        RuntimeError
            If the environment raises.
        """
        check_is_fitted(self, "coefs_")
        check_count("n_episodes", n_episodes)
        rng = check_random_state(random_state)
        with opened(env) as made:
            observations, actions = self._spaces_of(made)
            self._check_spaces(observations, actions, "score needs the environment learned in")
            actor = Actor(self)
            environment = Environment(made, observations, actions, actor.dtype)
            returns = [actor.play(environment, rng) for _ in range(n_episodes)]
        return float(np.mean(returns))

    # Pickling

    def __getstate__(self) -> dict[str, Any]:
        state = stamped(super().__getstate__())
        if "_learned" in state:
            state["_learned"] = _without_memory(state["_learned"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(checked(self, state))


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an int in the range [1, inf), got {value!r}.")


def _prefix(name: str) -> str:
    """Return what the fitted attributes of a network of this name begin with."""
    return f"{name}_" if name else ""


def _without_memory(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_memory(value) if isinstance(value, dict) else value
        for name, value in state.items()
        if name != "memory"
    }
