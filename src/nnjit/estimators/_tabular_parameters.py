"""The parameters of the estimators of tables: what the preset says, and how to say otherwise."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

from sklearn.utils._param_validation import Interval, StrOptions

from nnjit._types import ActivationName, ScheduleName, names
from nnjit.estimators._declaration import Kind, choice, parameter, parameter_group
from nnjit.estimators._names import EntryName
from nnjit.estimators.parameters import HiddenSizes, Numbers, RandomState
from nnjit.formulas import hidden_activations

__all__ = ["PredictedValues", "PresetName", "TableRecipe"]

PresetName: TypeAlias = Literal["fast", "default", "best"]
NumericEmbedding: TypeAlias = Literal["periodic", "piecewise", "none", "mixed", "varied"]

_FLAG = Kind("bool or None", ["boolean", None])
_COUNT = Kind("int or None", [Interval(Integral, 1, None, closed="left"), None])
_POSITIVE = Kind("float or None", [Interval(Real, 0, None, closed="neither"), None])
_NOT_NEGATIVE = Kind("float or None", [Interval(Real, 0, None, closed="left"), None])
_BELOW_ONE = Kind("float or None", [Interval(Real, 0, 1, closed="left"), None])


@parameter_group
class TableRecipe:
    """How tables are learned. None always stands for what the preset says."""

    preset: PresetName = parameter(
        default="default",
        kind=choice(PresetName),
        text="""A recipe: what all parameters stand for that are None. 'fast' is for a first look
            and for large tables, 'best' takes longest; see the notes.""",
        kw_only=False,
    )
    n_members: int | None = parameter(
        default=None,
        kind=_COUNT,
        text="Networks whose predictions are averaged, each with a seed and held-out rows of its "
        "own.",
    )
    categorical_features: Numbers | str | None = parameter(
        default=None,
        kind=Kind("array-like of str, int or bool, or None", ["array-like", None]),
        text="""Columns that hold categories: names, numbers, or a mask. The kinds of all others,
            or with None of all, are found from their types and values.""",
    )
    hidden_layer_sizes: HiddenSizes | None = parameter(
        default=None,
        kind=Kind(
            "int, array-like of int or None",
            ["array-like", Interval(Integral, 1, None, closed="left"), None],
        ),
        text="Units of each hidden layer; ``()`` for a linear model.",
    )
    activation: ActivationName | None = parameter(
        default=None,
        kind=Kind(
            f"{choice(ActivationName).words} or None",
            [EntryName(hidden_activations, "register_activation"), None],
        ),
        text="Activation of the hidden layers, as of `MLPClassifier`.",
    )
    parametric: bool | None = parameter(
        default=None,
        kind=_FLAG,
        text="""Whether each hidden unit learns how much of its activation there is, and how much of
            what came in: ``(1 - a) x + a phi(x)``.""",
    )
    numeric_embedding: NumericEmbedding | None = parameter(
        default=None,
        kind=Kind(
            "{'periodic', 'piecewise', 'none', 'mixed', 'varied'} or None",
            [StrOptions({*names(NumericEmbedding)}), None],
        ),
        text="""What becomes of each number first: some learned waves of it beside itself
            ('periodic'), its place between quantiles of the training rows ('piecewise'), or
            nothing else ('none'). So that the errors of members differ more, these have 'none' and
            'periodic' in turn ('mixed'), or 'none', 'periodic' and 'piecewise' ('varied').""",
    )
    one_hot: int | None = parameter(
        default=None,
        kind=Kind("int or None", [Interval(Integral, 2, None, closed="left"), None]),
        text="Categories up to which a column becomes a column of zeros and ones for each.",
    )
    embedding_dimension: int | None = parameter(
        default=None,
        kind=Kind("int or None", [Interval(Integral, 0, None, closed="left"), None]),
        text="""Numbers learned for each category of a column that has more categories; 0 for none:
            all are zeros and ones then, however many.""",
    )
    smooth_clip: bool | None = parameter(
        default=None,
        kind=_FLAG,
        text="""Whether numbers, scaled by their median and quartiles, are drawn in where they are
            large: ``z / sqrt(1 + (z / 3) ** 2)``, which is below 3.""",
    )
    scaling_layer: bool | None = parameter(
        default=None,
        kind=_FLAG,
        text="Whether all inputs of the first hidden layer are multiplied by learned factors.",
    )
    parametrization: Literal["standard", "ntk"] | None = parameter(
        default=None,
        kind=Kind("{'standard', 'ntk'} or None", [StrOptions({"standard", "ntk"}), None]),
        text="""'ntk': weights start from normal numbers and each matrix has a learning rate that
            goes with the root of its inputs, biases a tenth. 'standard': as of
            `MLPClassifier`.""",
    )
    dropout: float | None = parameter(
        default=None,
        kind=_BELOW_ONE,
        text="Share of the outputs of hidden layers that each step of training leaves out.",
    )
    weight_decay: float | None = parameter(
        default=None,
        kind=_NOT_NEGATIVE,
        text="Decay of the weights in each step, in units of the learning rate.",
    )
    learning_rate: ScheduleName | Callable[[int, int], Any] | None = parameter(
        default=None,
        kind=Kind(
            f"{choice(ScheduleName).words}, callable or None",
            [*choice(ScheduleName).constraints, callable, None],
        ),
        text="Schedule of the learning rate, as of `MLPClassifier`.",
    )
    learning_rate_init: float | None = parameter(
        default=None, kind=_POSITIVE, text="Highest learning rate."
    )
    beta_2: float | None = parameter(
        default=None, kind=_BELOW_ONE, text="Decay rate of AdamW's second moment, in [0, 1)."
    )
    batch_size: int | Literal["auto"] | None = parameter(
        default=None,
        kind=Kind("int, 'auto' or None", [StrOptions({"auto"}), *_COUNT.constraints]),
        text="Rows in a minibatch; 'auto' goes with the number of rows.",
    )
    max_iter: int | None = parameter(
        default=None,
        kind=_COUNT,
        text="""Epochs of each member. None is fewer than the preset's for large tables, of which
            some are enough.""",
    )
    validation_fraction: float | None = parameter(
        default=None,
        kind=Kind("float or None", [Interval(Real, 0, 0.5, closed="both"), None]),
        text="""Share of the rows that each member holds out, to end with the weights of the epoch
            that predicts them best. 0 for none: members learn all rows, to the last epoch. None
            are held out where ``fit`` is given `X_val`.""",
    )
    max_time: float | None = parameter(
        default=None,
        kind=_POSITIVE,
        text="""Seconds after which ``fit`` ends with what was learned so far; without a limit if
            None. The same limit need not give the same network twice.""",
    )
    random_state: RandomState = parameter(
        default=None,
        kind=Kind("int, RandomState instance or None", ["random_state"]),
        text="Source of the members' seeds and of the rows that they hold out.",
    )
    verbose: bool | int = parameter(
        default=False,
        kind=Kind("bool or int", ["verbose"]),
        text="Whether to print what became of the columns, and then of the members.",
    )


@parameter_group
class PredictedValues:
    """What the values of a regression are predicted as."""

    quantile: float | Numbers | None = parameter(
        default=None,
        kind=Kind(
            "float, array-like of float or None",
            [Interval(Real, 0, 1, closed="neither"), "array-like", None],
        ),
        text="""Quantile to predict in place of the mean, above 0 and below 1. Of several, distinct
            ones, there is a prediction for each; they do not cross. y has one column then.""",
    )
    clip_predictions: bool | None = parameter(
        default=None,
        kind=_FLAG,
        text="Whether predictions outside the range of the training values are set to its ends.",
    )
