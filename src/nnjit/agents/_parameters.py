"""The parameters that agents share."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nnjit._types import ActivationName, StochasticSolverName
from nnjit.estimators._declaration import Kind, choice, interval, parameter, parameter_group
from nnjit.estimators._names import EntryName
from nnjit.estimators.parameters import Architecture, Checkpoints, HiddenSizes, RandomState
from nnjit.formulas import offered_solvers

_COUNT = interval(Integral, 1, None, "left")
_POSITIVE = interval(Real, 0, None, "neither")


@parameter_group
class AgentNetwork(Architecture):
    """The network of an agent."""

    hidden_layer_sizes: HiddenSizes = parameter(
        default=(64, 64),
        text="Units of each hidden layer; ``()`` for linear functions of the observation.",
        kw_only=False,
    )
    activation: ActivationName | Sequence[ActivationName] | NDArray[np.str_] = parameter(
        default="relu",
        text="Activation of the hidden layers, or one for each; as of `nnjit.MLPClassifier`.",
        kw_only=False,
    )


@parameter_group
class Rewards:
    """What rewards are worth."""

    gamma: float = parameter(
        default=0.99,
        kind=interval(Real, 0, 1, "both"),
        text="""Discount: a reward k steps later counts gamma ** k times as much as one now.""",
    )


@parameter_group
class Updates:
    """How the network is updated."""

    solver: StochasticSolverName = parameter(
        default="adam",
        kind=Kind(
            choice(StochasticSolverName).words, [EntryName(offered_solvers, "register_solver")]
        ),
        text="Solver of the updates; as of `nnjit.MLPClassifier`.",
    )
    learning_rate_init: float = parameter(
        default=0.001, kind=_POSITIVE, text="Learning rate of the first step."
    )
    learning_rate: Literal["constant", "linear"] = parameter(
        default="constant",
        kind=choice(("constant", "linear")),
        text="""Whether the learning rate stays, or falls to 0 in a straight line over the steps of
            ``fit``.""",
    )
    batch_size: int = parameter(default=64, kind=_COUNT, text="Transitions in a minibatch.")
    clip_norm: float | None = parameter(
        default=None,
        kind=Kind("float or None", [*_POSITIVE.constraints, None]),
        text="Most of the norm of a minibatch's gradient; None for no bound.",
    )


@parameter_group
class BestNetwork:
    """Which network is kept."""

    restore_best: bool = parameter(
        default=True,
        kind=Kind("bool", ["boolean"]),
        text="""Whether ``fit`` ends with the network that was there after the ten episodes in a row
            of the highest mean return, and not with the last one: what an agent learns is not
            always better than what it knew. With fewer than ten episodes it is the last one.""",
    )


@parameter_group
class AgentCheckpoints(Checkpoints):
    """How a fit that is cut off goes on."""

    checkpoint: str | None = parameter(
        default=None,
        text="""File that ``fit`` writes the state of learning to at the end of episodes, and goes
            on from if it is there: networks, solver, replay memory, what has been recorded and the
            random numbers. Cut off at any moment and called again with the same parameters and
            `n_steps`, it gives the result of an uninterrupted fit to the bit, if an episode of the
            environment follows from its seed and the actions. The one before is kept as
            ``PATH.previous``, and used where the file is damaged.""",
    )
    checkpoint_interval: float = parameter(
        default=30.0,
        text="""Episodes (an int) or seconds (a float) from one checkpoint to the next. The end is
            always written.""",
    )


@parameter_group
class AgentRun:
    """From which random numbers an agent learns, and what it prints."""

    random_state: RandomState = parameter(
        default=None,
        kind=Kind("int, RandomState instance or None", ["random_state"]),
        text="""Source of the initial weights, the seeds with which episodes begin, and all that the
            agent draws.""",
    )
    verbose: bool | int = parameter(
        default=False,
        kind=Kind("bool or int", ["verbose"]),
        text="""A number n prints a line after every n episodes, True after each.""",
    )
    warm_start: bool = parameter(
        default=False,
        kind=Kind("bool", ["boolean"]),
        text="Whether ``fit`` goes on from what has been learned.",
    )


class AgentParameters(AgentRun, AgentCheckpoints, BestNetwork, Updates, Rewards, AgentNetwork):
    """What all agents have."""
