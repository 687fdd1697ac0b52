"""The parameters of the networks, in groups: default, type, constraint and text of each, once.

An estimator has the parameters of the groups that its own group joins. There it may declare one of
them again, with another default, kind or text.
"""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
import os
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, Options, RealNotInt, StrOptions

from nnjit._types import (
    ActivationName,
    CellName,
    ClassificationLossName,
    NormalizationName,
    OutputName,
    PaddingName,
    PoolName,
    RegressionLossName,
    ScheduleName,
    SolverName,
    StatePoolName,
    TargetsName,
    names,
)
from nnjit.estimators._declaration import Kind, choice, interval, parameter, parameter_group
from nnjit.estimators._device import DeviceName
from nnjit.estimators._names import Activations, EntryName, NamesEach
from nnjit.formulas import (
    classification_losses,
    hidden_activations,
    offered_solvers,
    regression_losses,
)
from nnjit.layers.augmentation.spec import Augment
from nnjit.layers.dense.spec import Dense
from nnjit.layers.layer import Layer

HiddenSizes: TypeAlias = int | Sequence[int] | NDArray[np.integer[Any]]
Numbers: TypeAlias = Sequence[Any] | NDArray[Any]
ClassWeight: TypeAlias = dict[Any, Any] | list[Any] | Literal["balanced"] | None
RandomState: TypeAlias = int | np.random.RandomState | None
Sizes: TypeAlias = int | Sequence[int | Sequence[int]] | NDArray[np.integer[Any]]
Shares: TypeAlias = float | Sequence[float] | NDArray[np.floating[Any]]

_FLAG = Kind("bool", ["boolean"])
_COUNT = interval(Integral, 1, None, "left")
_NOT_NEGATIVE = interval(Real, 0, None, "left")
_POSITIVE = interval(Real, 0, None, "neither")
_UNSIGNED = interval(Integral, 0, None, "left")
_BELOW_ONE = interval(Real, 0, 1, "left")


def _optional(kind: Kind) -> Kind:
    """Return the kind of a parameter that may also be None."""
    return Kind(f"{kind.words} or None", [*kind.constraints, None])


@parameter_group
class Architecture:
    """Layers of a multi-layer perceptron."""

    hidden_layer_sizes: HiddenSizes = parameter(
        default=(100,),
        kind=Kind("int or array-like of int", ["array-like", *_COUNT.constraints]),
        text="Units of each hidden layer; ``()`` for a linear model.",
        kw_only=False,
    )
    activation: ActivationName | Sequence[ActivationName] | NDArray[np.str_] = parameter(
        default="relu",
        kind=Kind(
            choice(ActivationName).words + " or array-like of such",
            [EntryName(hidden_activations, "register_activation"), Activations()],
        ),
        text="""Activation of the hidden layers, or one for each: x, 1 / (1 + exp(-x)), tanh(x),
            max(0, x), and those that scikit-learn does not have, with PyTorch's slopes and
            scales, of which all but the last two start from He's weights (selu: LeCun's); also
            the name of one of your own, see `nnjit.register_activation`.""",
        kw_only=False,
    )


class _SharesEach(Interval):
    """Constraint: a share for each of several layers."""

    def __init__(self) -> None:
        super().__init__(Real, 0, 1, closed="left")

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value is a sequence of shares."""
        if isinstance(val, str) or not hasattr(val, "__len__"):
            return False
        return all(super(_SharesEach, self).is_satisfied_by(share) for share in val)

    def __str__(self) -> str:
        return "a sequence of floats in the range [0.0, 1.0), one for each hidden layer"


@parameter_group
class HiddenLayers:
    """What hidden layers have that scikit-learn's do not: it comes after what those have."""

    dropout: Shares = parameter(
        default=0.0,
        kind=Kind("float or sequence of float", [*_BELOW_ONE.constraints, _SharesEach()]),
        text="""Share of the outputs of the hidden layers, or of each, that is set to 0 at random in
            every step of training, the others being divided by one minus it; in [0, 1).
            Predictions leave nothing out (but see `predict_samples`), nor does 'lbfgs', which
            is refused. `loss_` and `loss_curve_` are those with the masks of the steps.""",
    )
    input_dropout: float = parameter(
        default=0.0,
        kind=_BELOW_ONE,
        text="The same for the features; sparse X is refused in training then.",
    )
    normalization: NormalizationName | None = parameter(
        default=None,
        kind=Kind("{'batch', 'layer'} or None", [StrOptions({*names(NormalizationName)}), None]),
        text="""What is done to the pre-activations z of the hidden layers: made of mean 0 and
            variance 1, then scaled and shifted by learned numbers, as PyTorch's BatchNorm1d and
            LayerNorm do. 'batch': each unit over the rows of a minibatch, in predictions by running
            statistics; sample weights do not count there, 'lbfgs' is refused, and as the
            rows depend on one another, threads share the steps of the solver alone. 'layer': each
            row over the units.""",
    )
    residual: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether the inputs of a hidden layer are added to its outputs, wherever it has as
            many units as inputs.""",
    )


class _CaseShape(Interval):
    """Constraint: the shape of a series or an image."""

    def __init__(self) -> None:
        super().__init__(Integral, 1, None, closed="left")

    def is_satisfied_by(self, val: Any) -> bool:
        """Whether a value is a sequence of one to three sizes."""
        if isinstance(val, str | bytes) or not hasattr(val, "__len__") or not 1 <= len(val) <= 3:
            return False
        return all(
            super(_CaseShape, self).is_satisfied_by(size) and not isinstance(size, bool)
            for size in val
        )

    def __str__(self) -> str:
        return "a sequence of one to three ints in the range [1, inf)"


@parameter_group
class InputShape:
    """In what form series and images come."""

    input_shape: Sequence[int] | NDArray[np.integer[Any]] | None = parameter(
        default=None,
        kind=Kind("sequence of int or None", [_CaseShape(), None]),
        text="""Shape of a case: ``(time,)`` or ``(channels, time)`` of a series, ``(height,
            width)`` or ``(channels, height, width)`` of an image. Two numbers are those of an image
            if they are equal, or if sizes in the layers are pairs; ``(1, height, width)`` is one in
            any case. A row of X has its values in C order. None for what X itself tells: rows are
            series of one channel, an array of three axes holds series, one of four images.""",
    )
    channels_last: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether channels come last in `input_shape` and in X, as ``(time, channels)`` and
            ``(height, width, channels)``.""",
    )


@parameter_group
class RadialLayer:
    """Centres and widths of a radial-basis-function network."""

    n_centers: int | Literal["auto"] = parameter(
        default="auto",
        kind=Kind("int or 'auto'", [StrOptions({"auto"}), *_COUNT.constraints]),
        text="""Number of centres; 'auto' is a fifth of the rows and at most 100, or the number of
            those in `init`. There are fewer where not so many rows are distinct.""",
        kw_only=False,
    )
    init: Literal["kmeans", "random"] | Numbers = parameter(
        default="kmeans",
        kind=Kind(
            "{'kmeans', 'random'} or array-like of shape (n_centers, n_features)",
            [StrOptions({"kmeans", "random"}), "array-like"],
        ),
        text="""Centres to begin with: those of scikit-learn's k-means (of a sample of 256 rows for
            each centre where there are more), rows drawn at random, or given ones.""",
    )
    width: Literal["nearest"] | float | Numbers = parameter(
        default="nearest",
        kind=Kind(
            "'nearest', float or array-like of shape (n_centers,)",
            [StrOptions({"nearest"}), *_POSITIVE.constraints, "array-like"],
        ),
        text="""Widths to begin with: each centre's mean distance to the two nearest others (at
            least a tenth of the median), one for all, or one for each.""",
    )
    normalized: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether the bumps are divided by their sum, so that every row is near to some
            centre however far it lies.""",
    )
    train: Literal["all", "output"] = parameter(
        default="all",
        kind=Kind("{'all', 'output'}", [StrOptions({"all", "output"})]),
        text="""'all': when the output layer has been fitted, centres, widths and weights are
            trained together by `solver`. 'output': centres and widths stay as they are, and the
            output layer alone is fitted, in closed form for the squared error and else by
            L-BFGS whatever `solver` says. There is then no early stopping, no ``partial_fit``
            and no checkpoint.""",
    )


_INTS = Kind("int or sequence of int", [*_COUNT.constraints, "array-like"])
_PAIRS = Kind("int or sequence of int or pair", [*_COUNT.constraints, "array-like"])
_PADDINGS, _POOLS = names(PaddingName), names(PoolName)


@parameter_group
class Convolutions:
    """Convolutions, what follows each, and the dense layers behind them."""

    filters: int | Sequence[int] | NDArray[np.integer[Any]] = parameter(
        default=(16, 32),
        kind=_INTS,
        text="""Filters of each convolution; an int is one convolution. Of what follows here a
            sequence has one value for each convolution, too; and of `kernel_size`, `stride`,
            `dilation` and `pool_size` such a value may be a pair, for height and width: `(3, 5)`
            is 3 for the first of two convolutions and 5 for the second, `((3, 5), (3, 5))` is
            3 x 5 for both.""",
        kw_only=False,
    )
    kernel_size: Sizes = parameter(
        default=3, kind=_PAIRS, text="Points of the kernels along each axis.", kw_only=False
    )
    stride: Sizes = parameter(
        default=1, kind=_PAIRS, text="Points from one output of a convolution to the next."
    )
    dilation: Sizes = parameter(
        default=1, kind=_PAIRS, text="Points from one point of a kernel to the next."
    )
    groups: int | Sequence[int] | NDArray[np.integer[Any]] = parameter(
        default=1,
        kind=_INTS,
        text="""Parts that the channels and the filters are divided into; a filter reads the
            channels of its own part.""",
    )
    padding: PaddingName | Sequence[PaddingName] = parameter(
        default="same",
        kind=Kind(f"{choice(_PADDINGS).words} or sequence", [NamesEach(_PADDINGS)]),
        text="""'same': around series and images there are zeros, so that as many points come out
            as go in, divided by the stride and rounded up. 'valid': kernels lie inside.""",
    )
    pool: PoolName | Sequence[PoolName | None] | None = parameter(
        default="max",
        kind=Kind(f"{choice(_POOLS).words}, None or sequence", [NamesEach((*_POOLS, None)), None]),
        text="""What is taken of the windows behind each convolution: the largest value, the mean,
            or None for no pooling.""",
    )
    pool_size: Sizes = parameter(
        default=2,
        kind=_PAIRS,
        text="""Points of a window along each axis, and from one window to the next. What is left
            over at the end is in none. Where an axis has fewer points, the window has as many, and
            where that is one point along each axis, there is no pooling.""",
    )
    global_pool: PoolName | None = parameter(
        default=None,
        kind=Kind(f"{choice(_POOLS).words} or None", [StrOptions({*_POOLS}), None]),
        text="""What the dense layers read of each channel: the mean or the largest of all its
            points, of a series those that it has; None for every point. Only with global pooling
            series may be longer than those of the fit.""",
    )
    hidden_layer_sizes: HiddenSizes = parameter(
        default=(64,),
        kind=Kind("int or array-like of int", ["array-like", *_COUNT.constraints]),
        text="""Units of each dense layer between convolutions and output layer; ``()`` for none,
            as the FCN has it behind global pooling.""",
    )
    activation: ActivationName | Sequence[ActivationName] | NDArray[np.str_] = parameter(
        default="relu",
        kind=Kind(
            choice(ActivationName).words + " or array-like of such",
            [EntryName(hidden_activations, "register_activation"), Activations()],
        ),
        text="""Activation of convolutions and dense layers, or one for each, the convolutions'
            first; as of `MLPClassifier`.""",
    )
    normalization: Literal["batch"] | None = parameter(
        default=None,
        kind=Kind("{'batch'} or None", [StrOptions({"batch"}), None]),
        text="""'batch': what comes out of each filter is made of mean 0 and variance 1 over the
            points of all rows of a minibatch, then scaled and shifted by learned numbers, before
            the activation; of a dense layer each unit. In predictions by running statistics, as
            PyTorch's BatchNorm does. Sample weights do not count there, 'lbfgs' is refused.""",
    )
    dropout: Shares = parameter(
        default=0.0,
        kind=Kind("float or sequence of float", [*_BELOW_ONE.constraints, _SharesEach()]),
        text="""Share of the values behind convolutions (and their pooling) and dense layers, or
            behind each, the convolutions' first, that is set to 0 at random in every step of
            training, the others being divided by one minus it; in [0, 1). Predictions leave
            nothing out (but see `predict_samples`). 'lbfgs' is refused.""",
    )
    residual: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether what comes into a convolution, or a dense layer, is added to what comes out
            (before the pooling) wherever both have the same shape.""",
    )


@parameter_group
class Recurrences:
    """Recurrent layers, what is read of their states, and the dense layers behind them."""

    units: int | Sequence[int] | NDArray[np.integer[Any]] = parameter(
        default=(32,),
        kind=_INTS,
        text="""Units of each recurrent layer; an int is one layer. Each layer after the first
            reads the states of the one before, point by point.""",
        kw_only=False,
    )
    cell: CellName = parameter(
        default="gru",
        kind=choice(CellName),
        text="""What recurrent layers are: 'gru', gated recurrent units; 'lstm', long short-term
            memory; 'tanh' or 'relu', the plain layer with this activation. `nnjit.layers.GRU`,
            ``LSTM`` and ``RNN`` have the formulas.""",
        kw_only=False,
    )
    bidirectional: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether each recurrent layer has as many units again, which go over the series from
            its end to its beginning, so that a state knows what comes later as well.""",
    )
    pool: StatePoolName = parameter(
        default="last",
        kind=choice(StatePoolName),
        text="""What the layers behind read of the last recurrent layer: the state at the end of
            each series (of units that go backward, that at its beginning), or the mean or the
            largest of each unit over all points that a series has. With ``targets='sequence'``
            each point has its own state, and only the default goes.""",
    )
    hidden_layer_sizes: HiddenSizes = parameter(
        default=(),
        kind=Kind("int or array-like of int", ["array-like", *_COUNT.constraints]),
        text="""Units of each dense layer between recurrent layers and output layer; ``()`` for
            none.""",
    )
    activation: ActivationName | Sequence[ActivationName] | NDArray[np.str_] = parameter(
        default="relu",
        kind=Kind(
            choice(ActivationName).words + " or array-like of such",
            [EntryName(hidden_activations, "register_activation"), Activations()],
        ),
        text="""Activation of the dense layers, or one for each; as of `MLPClassifier`. Recurrent
            layers have that of their `cell`.""",
    )
    dropout: Shares = parameter(
        default=0.0,
        kind=Kind("float or sequence of float", [*_BELOW_ONE.constraints, _SharesEach()]),
        text="""Share of the values behind recurrent and dense layers, or behind each, the
            recurrent ones first, that is set to 0 at random in every step of training, the
            others being divided by one minus it; in [0, 1). Predictions leave nothing out
            (but see `predict_samples`). 'lbfgs' is refused.""",
    )
    recurrent_dropout: float = parameter(
        default=0.0,
        kind=_BELOW_ONE,
        text="""The same for the states on their way from one point of time to the next, where a
            series has the same units left out at all its points, as Gal and Ghahramani have it.""",
    )
    truncate: int | None = parameter(
        default=None,
        kind=_optional(_COUNT),
        text="""Backpropagation through time ends after so many points: no gradient goes from a
            point whose number, from 0, is a multiple of it to the one before. States go on as
            ever. None for all the way. Not with `bidirectional`. Where each point has a target and
            all layers go forward, longer series are trained on in windows of so many points, an
            update each, in memory that does not grow with their length.""",
    )


@parameter_group
class Augmentation:
    """How rows are changed in training."""

    augment: Augment | dict[str, Any] | None = parameter(
        default=None,
        kind=Kind("dict, Augment or None", [dict, Augment, None]),
        text="""How the rows are changed at random, anew in every step of training: a dict such as
            ``{"shift": 2, "flip": True, "crop": 0.1, "noise": 0.05}``, each where it is asked for,
            or `nnjit.layers.Augment`. `shift`: by up to so many points along each axis (a pair:
            along height and width), zeros coming in; `flip`: half of the rows are mirrored, images
            left to right, series in time; `crop`: up to this share of each axis is cut off and the
            rest stretched; `noise`: normal numbers of this standard deviation are added.
            Predictions take the rows as they are; 'lbfgs' is refused.""",
    )


@parameter_group
class Targets:
    """What a target belongs to."""

    targets: TargetsName = parameter(
        default="one",
        kind=choice(TargetsName),
        text="""'one' target of each case, or a 'sequence': one of each point of a series, for
            which see the notes. This is a parameter and no class of its own, since network and
            parameters are the same but for the output layer, and so that scikit-learn's tools see
            the classifier or regressor that it is.""",
    )


@parameter_group
class Layers:
    """Any layers."""

    layers: Sequence[Layer] = parameter(
        default=(Dense(100),),
        kind=Kind("list or tuple of layers", [list, tuple]),
        text="""The layers in order, as in `nnjit.layers`; the output layer follows by itself. Their
            attributes are parameters as well: ``layers__0__filters`` is that of the first layer,
            and ``layers__0`` that layer.""",
        kw_only=False,
    )


@parameter_group
class Coding:
    """A code, what makes it and what makes rows of it again."""

    n_components: int = parameter(
        default=2, kind=_COUNT, text="Numbers in the code of a row.", kw_only=False
    )
    hidden_layer_sizes: HiddenSizes = parameter(
        default=(64,),
        kind=Kind("int or array-like of int", ["array-like", *_COUNT.constraints]),
        text="""Units of each hidden layer of the encoder, from the rows to the code; the decoder
            has the same in the opposite order. ``()`` for none: a linear code.""",
        kw_only=False,
    )
    activation: ActivationName | Sequence[ActivationName] | NDArray[np.str_] = parameter(
        default="relu",
        kind=Kind(
            choice(ActivationName).words + " or array-like of such",
            [EntryName(hidden_activations, "register_activation"), Activations()],
        ),
        text="""Activation of the hidden layers, or one for each of the encoder's, which the
            decoder has in the opposite order; as of `MLPClassifier`. The code has none.""",
    )
    output_activation: Literal["auto"] | OutputName = parameter(
        default="auto",
        kind=choice(("auto", *names(OutputName))),
        text="""What makes values of a row of the last layer's sums z: z, 1 / (1 + exp(-z)),
            tanh(z), log(1 + exp(z)) or exp(z). 'auto' is the second, logistic, where all values of
            the rows of the fit lie from 0 to 1, and identity elsewhere and where all hidden
            activations are 'identity'.""",
    )
    noise: float = parameter(
        default=0.0,
        kind=_NOT_NEGATIVE,
        text="""Standard deviation of normal numbers that are added to all values of a row in every
            step of training, in the units of X: 0.3 is much for features scaled to a deviation of
            1. What is to come out is the row as it is.""",
    )
    mask: float = parameter(
        default=0.0,
        kind=_BELOW_ONE,
        text="""Share of the values of each row that is set to 0 at random in every step of
            training, the others being divided by one minus it; in [0, 1). It may stand beside
            `noise`, which comes first.""",
    )
    tied: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether the decoder has the weights of the encoder, transposed, and only biases of
            its own: half the parameters. Not with `layers`.""",
    )
    contamination: float = parameter(
        default=0.1,
        kind=interval(Real, 0, 0.5, "right"),
        text="""Share of the training rows that `predict` takes for outliers, above 0 and at most
            0.5.""",
    )
    n_members: int = parameter(
        default=1,
        kind=_COUNT,
        text="""Networks, each from a seed of its own, whose errors are averaged where outliers are
            told. The first one is the transformer. They train beside one another, on a core each;
            one after the other, to the same bits, with `verbose`, callbacks or a scorer of your
            own, or on a GPU.""",
    )
    layers: Sequence[Layer] | None = parameter(
        default=None,
        kind=Kind("list or tuple of layers, or None", [list, tuple, None]),
        text="""The encoder in front of the code as layers of `nnjit.layers`, such as convolutions
            or recurrent ones, in place of the dense ones. `hidden_layer_sizes` reversed is the
            decoder then. Their attributes are parameters as well: ``layers__0__filters`` is that
            of the first layer, and ``layers__0`` that layer.""",
    )


@parameter_group
class RegressionLoss:
    """What a regressor minimizes."""

    loss: RegressionLossName = parameter(
        default="squared_error",
        kind=Kind(
            choice(regression_losses()).words, [EntryName(regression_losses, "register_loss")]
        ),
        text="""Loss of an output o for a target y, with r = y - o. 'squared_error' is r^2 / 2;
            'absolute_error' \\|r\\|; 'huber' r^2 / 2 up to `huber_delta` and then
            ``huber_delta (|r| - huber_delta / 2)``; 'log_cosh' ``log(cosh(r))``; 'quantile'
            ``quantile r`` for r >= 0 and ``(quantile - 1) r`` below. 'poisson' is half the Poisson
            deviance, ``y log(y / o) - y + o``, for targets that are not negative, and 'gamma' half
            the gamma deviance, ``log(o / y) + y / o - 1``, for positive ones. The loss of a row is
            the mean over its outputs (with 'poisson' and exp their sum, as in scikit-learn; and
            the minibatch solvers take the gradient of the sum with 'squared_error' and
            identity).""",
        kw_only=False,
    )
    huber_delta: float = parameter(
        default=1.35, kind=_POSITIVE, text="Error from which 'huber' is linear."
    )
    quantile: float | Numbers = parameter(
        default=0.5,
        kind=Kind(
            "float or array-like of float",
            [*interval(Real, 0, 1, "neither").constraints, "array-like"],
        ),
        text="""Quantile of 'quantile', above 0 and below 1. Of several, distinct ones, each gets
            an output of its own, for y of one column; predictions do not cross.""",
    )
    output_activation: OutputName | None = parameter(
        default=None,
        kind=Kind(choice(OutputName).words + " or None", [StrOptions({*names(OutputName)}), None]),
        text="""What makes outputs of the last layer's sums z: z, 1 / (1 + exp(-z)), tanh(z),
            log(1 + exp(z)) or exp(z). None is exp for 'poisson' and 'gamma', which need an output
            that is not negative, and else identity.""",
    )


@parameter_group
class ClassificationLoss:
    """What a classifier minimizes."""

    loss: ClassificationLossName = parameter(
        default="log_loss",
        kind=choice(tuple(classification_losses())),
        text="""'log_loss' is the cross-entropy; 'squared_error' half the sum of the squared errors
            of the outputs; 'focal' ``-(1 - p) ** focal_gamma log(p)`` for the probability p of
            what is true. Each goes with the softmax and with the logistic output.""",
    )
    label_smoothing: float = parameter(
        default=0.0,
        kind=_BELOW_ONE,
        text="""Share s, in [0, 1), of the target that is spread evenly: ``y (1 - s) + s / K`` for
            a softmax of K outputs, ``y (1 - s) + s / 2`` for a logistic output. Not with
            'focal'.""",
    )
    focal_gamma: float = parameter(
        default=2.0, kind=_NOT_NEGATIVE, text="Exponent of 'focal'; 0 is the log loss."
    )


@parameter_group
class ClassWeights:
    """How much each class counts."""

    class_weight: ClassWeight = parameter(
        default=None,
        kind=Kind(
            "dict, list of dicts, 'balanced' or None", [dict, list, StrOptions({"balanced"}), None]
        ),
        text="""Factors of the rows' sample weights: by class, or a list with a dict for each label
            (whose classes are 0 and 1) or column of y, whose factors are multiplied.
            'balanced' stands for ``n_samples / (n_classes * rows of the class)``, and is refused
            by ``partial_fit``, which sees some of the rows. They are weights in everything that
            training does, scores of held-out rows included; ``score`` knows nothing of them.""",
    )


@parameter_group
class Solver:
    """How the loss is minimized."""

    solver: SolverName = parameter(
        default="adam",
        kind=Kind(
            choice(SolverName).words,
            [EntryName(lambda: (*offered_solvers(), "lbfgs"), "register_solver")],
        ),
        text="""'lbfgs' minimizes the loss over all rows by SciPy's L-BFGS-B; all others, the
            stochastic solvers, go through the rows in minibatches. With the gradient g of a
            minibatch, in which that of the L2 penalty is included, each parameter w moves by

            - 'sgd': momentum, ``v = momentum * v - rate * g; w += v``, or Nesterov's;
            - 'adam': ``m = beta_1 m + (1 - beta_1) g; v = beta_2 v + (1 - beta_2) g ** 2;
              w -= rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t) * m / (sqrt(v) + epsilon)``
              in step t;
            - 'adamw': ``w -= rate * weight_decay * w`` and then Adam's step with
              ``sqrt(v / (1 - beta_2 ** t)) + epsilon`` as denominator;
            - 'rmsprop': ``v = beta_2 v + (1 - beta_2) g ** 2;
              w -= rate * g / (sqrt(v) + epsilon)`` (PyTorch's default for beta_2 is 0.99);
            - 'lion': ``w -= rate * (sign(beta_1 m + (1 - beta_1) g) + weight_decay * w);
              m = beta_2 m + (1 - beta_2) g`` (the paper has a beta_2 of 0.99, and a rate of a
              third to a tenth of Adam's);
            - 'adagrad': ``s += g ** 2; w -= rate * g / (sqrt(s) + epsilon)`` (with a rate of
              some 0.01).""",
    )
    batch_size: int | Literal["auto"] = parameter(
        default="auto",
        kind=Kind("int or 'auto'", [StrOptions({"auto"}), *_COUNT.constraints]),
        text="Rows in a minibatch; 'auto' is ``min(200, n_samples)``. Not used by 'lbfgs'.",
    )
    learning_rate: ScheduleName | Callable[[int, int], Any] = parameter(
        default="constant",
        kind=Kind(
            f"{choice(ScheduleName).words} or callable",
            [*choice(ScheduleName).constraints, callable],
        ),
        text="""Schedule of the learning rate. Of 'sgd' alone: 'invscaling',
            ``learning_rate_init / (t + 1) ** power_t`` after t rows; 'adaptive', divided by 5 on
            each plateau instead of stopping, until it is below 1e-6. Of every solver but 'lbfgs',
            step by step over ``max_iter`` epochs: 'cosine', down to 0 by half a wave; 'one_cycle',
            up from a 25th and down to almost nothing (PyTorch's ``OneCycleLR``); 'coslog', four
            waves up from 0 and down to it, each twice as long as the one before; 'exponential' and
            'step', times `learning_rate_decay` in every `learning_rate_step` epochs, a little in
            each step or all at once; 'plateau', times `learning_rate_decay` on each plateau,
            otherwise as 'adaptive'. A callable of (step, steps), both int, returns the rate of a
            step, the first of which is 0.""",
    )
    learning_rate_init: float = parameter(
        default=0.001,
        kind=_POSITIVE,
        text="Learning rate of the stochastic solvers, of 'sgd' the first.",
    )
    power_t: float = parameter(default=0.5, kind=_NOT_NEGATIVE, text="Exponent of 'invscaling'.")
    warmup: float = parameter(
        default=0,
        kind=Kind(
            "int or float", [*_UNSIGNED.constraints, Interval(RealNotInt, 0, 1, closed="left")]
        ),
        text="""Steps (an int), or their share of all steps (a float below 1), in which the rate
            rises linearly to the first one of the schedule, which has the steps that follow.""",
    )
    learning_rate_decay: float = parameter(
        default=0.1,
        kind=interval(Real, 0, 1, "right"),
        text="Factor of 'exponential', 'step' and 'plateau', above 0 and at most 1.",
    )
    learning_rate_step: float = parameter(
        default=10,
        kind=_POSITIVE,
        text="Epochs in which 'exponential' and 'step' apply the factor once.",
    )
    momentum: float = parameter(
        default=0.9, kind=interval(Real, 0, 1, "both"), text="Momentum of 'sgd', from 0 to 1."
    )
    nesterovs_momentum: bool = parameter(
        default=True, kind=_FLAG, text="Whether that momentum is Nesterov's."
    )
    beta_1: float = parameter(
        default=0.9,
        kind=_BELOW_ONE,
        text="Decay rate of the first moment m of 'adam', 'adamw' and 'lion', in [0, 1).",
    )
    beta_2: float = parameter(
        default=0.999,
        kind=_BELOW_ONE,
        text="""Decay rate of the second moment v of 'adam', 'adamw' and 'rmsprop', and of the
            momentum m of 'lion', in [0, 1).""",
    )
    epsilon: float = parameter(
        default=1e-8,
        kind=_POSITIVE,
        text="Term that keeps denominators from zero, of all but 'sgd' and 'lion'.",
    )
    max_fun: int = parameter(
        default=15000, kind=_COUNT, text="Most evaluations of the loss by 'lbfgs'."
    )
    amsgrad: bool = parameter(
        default=False,
        kind=_FLAG,
        text="Whether 'adam' divides by the root of the largest second moment so far.",
    )
    weight_decay: float = parameter(
        default=0.01,
        kind=_NOT_NEGATIVE,
        text="""Decay of the weights in each step of 'adamw' and 'lion', in units of the learning
            rate. It concerns the parameters that `alpha` penalizes: no biases.""",
    )
    clip_norm: float | None = parameter(
        default=None,
        kind=_optional(_POSITIVE),
        text="""Most of the norm of a minibatch's gradient, of all parameters together: above it
            the gradient is multiplied by ``clip_norm / (norm + 1e-6)``. Not for 'lbfgs'.""",
    )
    clip_value: float | None = parameter(
        default=None,
        kind=_optional(_POSITIVE),
        text="""Most of the absolute value of each element of a minibatch's gradient; what is
            beyond is set to it. Only one of `clip_norm` and `clip_value`. Not for 'lbfgs'.""",
    )
    average: float | None = parameter(
        default=None,
        kind=_optional(interval(Real, 0, 1, "neither")),
        text="""Decay rate d of an average of the parameters, ``a = d a + (1 - d) w`` after each
            step, such as 0.999; with t steps before, it is ``t / (t + 9)`` at most, so that the
            initial weights are soon forgotten. The average is what is fitted: it
            predicts, and validation scores are its own. Training goes on with w: ``partial_fit``
            continues from it unless something else has been assigned, a warm start of ``fit``
            begins at the average. Not for 'lbfgs'.""",
    )
    parametrization: Literal["standard", "ntk"] = parameter(
        default="standard",
        kind=choice(("standard", "ntk")),
        text="""'ntk', for neural tangent kernel: weights that add up n values start as normal
            numbers of variance 1 / n, their biases of variance 1, and the learning rate of the
            weights is divided by the root of n, that of the biases by 10. One learning rate, some
            0.04 of 'adam', then fits layers of any widths. Not for the weights of a recurrent
            layer's states; 'lbfgs' has no rates.""",
    )


@parameter_group
class Regularization:
    """What keeps weights small."""

    alpha: float = parameter(
        default=0.0001,
        kind=_NOT_NEGATIVE,
        text="""L2 penalty: alpha / 2 times the sum of squared weights, divided by the sum of the
            minibatch's sample weights, is added to the loss.""",
    )


@parameter_group
class Stopping:
    """When training ends."""

    max_iter: int = parameter(
        default=200, kind=_COUNT, text="Most epochs, or most iterations of 'lbfgs'."
    )
    tol: float = parameter(
        default=1e-4,
        kind=_NOT_NEGATIVE,
        text="""Least improvement of the loss or the score that counts; for 'lbfgs' the largest
            gradient component at which it stops.""",
    )
    early_stopping: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether to hold out rows, stop when the score on them no longer improves, and
            return the weights of the best epoch. Rows of sample weight 0 are left out. A warm
            start keeps the rows that were held out. None are where ``fit`` is given `X_val`.""",
    )
    validation_fraction: float = parameter(
        default=0.1, kind=_BELOW_ONE, text="Share of the rows that early stopping holds out."
    )
    scoring: str | Callable[..., Any] | None = parameter(
        default=None,
        kind=Kind("str, callable or None", [str, callable, None]),
        text="""Score of the validation rows: accuracy or R2 if None; 'loss' for minus the loss
            without the penalty; the name of a scikit-learn scorer; or a callable of
            (estimator, X, y).""",
    )
    restore_best: bool | Literal["loss"] = parameter(
        default=True,
        kind=Kind("bool or 'loss'", ["boolean", StrOptions({"loss"})]),
        text="""Whether `early_stopping` returns the weights of the best epoch, not the last.
            'loss' is as True, and ``fit`` without early stopping returns those of the epoch of
            least training loss then; not for 'lbfgs', which ends there.""",
    )
    n_iter_no_change: float = parameter(
        default=10,
        kind=Kind("int or inf", [*_COUNT.constraints, Options(Real, {np.inf})]),
        text="""Training stops after this many epochs, and one more, without an improvement of
            `tol`.""",
    )


@parameter_group
class StratifiedStopping:
    """What classifiers hold out."""

    early_stopping: bool = parameter(
        default=False,
        text="""Whether to hold out rows, stop when the score on them no longer improves, and
            return the weights of the best epoch. Rows are held out class by class, except of a
            multilabel target, or where a class has too few of them. Rows of sample weight 0 are
            left out. A warm start keeps the rows that were held out.
            None are where ``fit`` is given `X_val`.""",
    )


@parameter_group
class Checkpoints:
    """How a fit that is cut off goes on."""

    checkpoint: str | os.PathLike[str] | None = parameter(
        default=None,
        kind=Kind("str or path-like", [str, os.PathLike, None]),
        text="""File that ``fit`` writes the state of training to, and goes on from if it is there:
            cut off at any moment and called again with the same data and parameters (only
            ``max_iter`` may differ), it gives the result of an uninterrupted fit to the bit.
            The one before is kept as ``PATH.previous``, and used where the file is damaged. Not
            for 'lbfgs'; ``partial_fit`` takes no notice of it.""",
    )
    checkpoint_interval: float = parameter(
        default=30.0,
        kind=Kind("int or float", _NOT_NEGATIVE.constraints),
        text="""Epochs (an int) or seconds (a float) from one checkpoint to the next. The last
            epoch is always written.""",
    )


@parameter_group
class Run:
    """Where a fit runs, from which random numbers, and what it prints."""

    shuffle: bool | Literal["blocks"] = parameter(
        default=True,
        kind=Kind("bool or 'blocks'", ["boolean", StrOptions({"blocks"})]),
        text="""Whether the rows are shuffled before each epoch; 'blocks' for rows that are not in
            memory (memory maps, HDF5, Zarr, `nnjit.rows`): blocks of some 4 MB are read in random
            order and the rows of 64 MB shuffled together. Not for RBF networks and
            autoencoders.""",
    )
    random_state: RandomState = parameter(
        default=None,
        kind=Kind("int, RandomState instance or None", ["random_state"]),
        text="""Source of the initial weights, the held-out rows, the seed of dropout where there
            is some, and the shuffles, in this order. Given an int, successive calls of
            ``partial_fit`` continue one stream.""",
    )
    verbose: bool | int = parameter(
        default=False,
        kind=Kind("bool or int", ["verbose"]),
        text="""2 prints a table of loss, score, learning rate and time, any other level the loss
            of each epoch as scikit-learn does.""",
    )
    warm_start: bool = parameter(
        default=False,
        kind=_FLAG,
        text="""Whether ``fit`` goes on from the weights that are there. 'lbfgs' takes over nothing
            else: its estimate of the curvature is SciPy's and begins anew, so that one long fit
            mostly gets further than several short ones with as many iterations.""",
    )
    device: str = parameter(
        default="cpu",
        kind=Kind("{'cpu', 'cuda', 'cuda:N', 'auto'}", [DeviceName()]),
        text="""Where to compute: on the CPU, on the first or the N-th CUDA device (counted from
            0), or on the first where there is one and else on the CPU. What is fitted holds
            NumPy arrays only and predicts on the CPU where there is no such device.""",
    )


class Training(Run, Checkpoints, Stopping, Regularization, Solver):
    """What all networks have that are trained by gradients."""

    # scikit-learn's; what it does not have comes after.
    _parameter_order = (
        *("solver", "alpha", "batch_size", "learning_rate", "learning_rate_init", "power_t"),
        *("max_iter", "shuffle", "random_state", "tol", "verbose", "warm_start", "momentum"),
        *("nesterovs_momentum", "early_stopping", "validation_fraction", "beta_1", "beta_2"),
        *("epsilon", "n_iter_no_change", "max_fun"),
    )


@parameter_group
class SmallSets(Training):
    """Defaults of networks that are made for sets of some dozens of rows as well."""

    batch_size: int | Literal["auto"] = parameter(
        default="auto",
        text="""Rows in a minibatch; 'auto' is a tenth of the rows, but from 8 to 64. Not used by
            'lbfgs'.""",
    )
    learning_rate: ScheduleName | Callable[[int, int], Any] = parameter(default="plateau")
    learning_rate_decay: float = parameter(default=0.5)
    max_iter: int = parameter(default=300)
