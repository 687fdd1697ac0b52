"""Multi-layer perceptrons, with scikit-learn's names and in its order."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from nnjit._types import Array, FloatArray, NormalizationName
from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._assigned import (
    NORMALIZATION,
    checked_normalization,
    checked_parameters,
    normalization_arrays,
    units_of,
)
from nnjit.estimators._base import SET_BACK, NetworkEstimator
from nnjit.estimators._conversion import ScikitLearnConversion
from nnjit.estimators._declaration import parameter_group, with_parameters
from nnjit.estimators._names import activation_names, hidden_layer_activations
from nnjit.estimators._overrides import warn_of_ignored_overrides
from nnjit.estimators._sampling import SampledPredictions
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators.classifier import BaseClassifier
from nnjit.estimators.parameters import (
    Architecture,
    ClassificationLoss,
    ClassWeights,
    HiddenLayers,
    RegressionLoss,
    StratifiedStopping,
    Training,
)
from nnjit.estimators.regressor import BaseRegressor
from nnjit.layers.network import Network, mlp
from nnjit.training.initialization import glorot_uniform, normal_arrays

__all__ = ["BaseMultilayerPerceptron", "MLPClassifier", "MLPRegressor"]

_WEIGHTS = """
coefs_ : list of ndarray of shape (units of layer i, units of layer i + 1)
    Weights. They can be assigned before predicting.
intercepts_ : list of ndarray of shape (units of layer i + 1,)
    Biases.
normalization_ : list of dict
    Only with `normalization`: of each hidden layer the learned 'scale' and 'shift', and for
    'batch' the running 'mean' and 'variance', arrays of shape (units,).
"""
_REFERENCES = """
D. Rumelhart, G. Hinton and R. Williams, "Learning representations by back-propagating errors",
Nature 323, 1986.

X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks", AISTATS 2010 (initial weights).

"""


class BaseMultilayerPerceptron(
    ScikitLearnConversion, HiddenLayers, SampledPredictions, Architecture
):
    """A network of dense layers; its weights and biases are `coefs_` and `intercepts_`."""

    _shared_docs = {
        "attributes": _WEIGHTS.lstrip() + NetworkEstimator._shared_docs["attributes"].lstrip(),
        "references": _REFERENCES + NetworkEstimator._shared_docs["references"].lstrip(),
    }

    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]
    normalization_: list[dict[str, FloatArray]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        warn_of_ignored_overrides(cls, BaseMultilayerPerceptron)

    # The network and its parameters

    def _network(self, inputs: int, outputs: int) -> Network:
        sizes: Any = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return self._perceptron([inputs, *map(operator.index, sizes), outputs])

    def _perceptron(self, units: Sequence[int], **fitted: Any) -> Network:
        """Return the network of layers of so many units, the inputs first.

        What it was fitted with may differ from what the parameters ask for.
        """
        inputs, *hidden, outputs = units
        options = {**self._layer_options(), **fitted}
        return mlp(
            inputs,
            hidden,
            outputs,
            hidden_layer_activations(self.activation, len(hidden)),
            self._engine_loss(),
            self.out_activation_,
            **self._loss_options(),
            **options,
        )

    def _layer_options(self) -> dict[str, Any]:
        """Return what the hidden layers have beside units and activation, as `mlp` takes it."""
        return {
            "normalization": self.normalization,
            "residual": bool(self.residual),
            "dropout": self.dropout,
            "input_dropout": self.input_dropout,
        }

    def _as_attributes(self, arrays: list[Array]) -> dict[str, Any]:
        layers = by_matrices(arrays)
        found: dict[str, Any] = {
            "coefs_": [layer[0] for layer in layers],
            "intercepts_": [layer[1] for layer in layers],
        }
        if len(layers[0]) > 2:
            found["normalization_"] = [dict(zip(NORMALIZATION, layer[2:])) for layer in layers[:-1]]
        return found

    def _give_parameters(self, n_features: int | None = None) -> tuple[Network, list[Array]]:
        coefs, intercepts = checked_parameters(self, n_features)
        units = units_of(coefs)
        others = checked_normalization(self, units)
        network = self._perceptron(units, normalization=_method_of(others))
        return network, in_layers(coefs, intercepts, others)

    def _present_parameters(self) -> tuple[Any, list[Any]]:
        others = (
            self.n_layers_,
            getattr(self, "n_outputs_", None),  # a regressor needs none
            activation_names(self.activation),
            self.out_activation_,
            self.loss,
            bool(self.residual),
            getattr(self, "_label_binarizer", None),
            self.dropout if isinstance(self.dropout, float) else tuple(np.ravel(self.dropout)),
            self.input_dropout,
        )
        more = self._normalization_arrays() if hasattr(self, "normalization_") else ()
        return others, in_layers(self.coefs_, self.intercepts_, more)

    def _normalization_arrays(self) -> list[list[Any]]:
        """Return the arrays of the normalizations as they are, a list for each hidden layer."""
        return normalization_arrays(getattr(self, "normalization_", ()))

    def _forget(self) -> None:
        super()._forget()
        self.__dict__.pop("normalization_", None)

    def _layer_units(self) -> list[int]:
        """Return the number of units of each layer, by the shapes of the parameters."""
        return units_of(checked_parameters(self)[0])

    def _parameter_dtype(self) -> np.dtype[Any]:
        others = [array for layer in self._normalization_arrays() for array in layer]
        return common_dtype((*self.coefs_, *self.intercepts_, *others))

    def _train(self, call: TrainingCall) -> None:
        if self.input_dropout and sp.issparse(call.X):
            raise ValueError(
                f"input_dropout={self.input_dropout!r} needs dense X in training; sparse X can be "
                "used with dropout."
            )
        super()._train(call)

    def _no_dropout(self) -> str:
        return f"but dropout={self.dropout!r} and input_dropout={self.input_dropout!r}"

    def _random_option(self) -> str:
        name = "input_dropout" if self.input_dropout else "dropout"
        return f"{name}={getattr(self, name)!r}"

    # Initial parameters

    def _initial_parameters(
        self,
        network: Network,
        X: Any,
        target: Array,
        sample_weight: Array | None,
        dtype: np.dtype[Any],
    ) -> list[Array]:
        layer_units = list(network.widths)
        self._initialize(self._indicators(target), layer_units, dtype)
        coefs, intercepts = checked_parameters(self)
        if units_of(coefs) != layer_units:  # an overridden method made them
            raise ValueError(
                f"The initial weights are those of layers of {units_of(coefs)} units; "
                f"{layer_units} are asked for."
            )
        given = iter(in_layers(coefs, intercepts))
        return [
            np.full(parameter.shape, parameter.start, dtype)
            if parameter.name in NORMALIZATION
            else next(given)
            for _, parameter in network.parameters()
        ]

    def _indicators(self, target: Array) -> Array:
        """Return the target as scikit-learn hands it to `_initialize`, where that is overridden."""
        overridden = type(self)._initialize is not BaseMultilayerPerceptron._initialize
        if not overridden or target.ndim == 2:
            return target
        one_hot: Array = target[:, np.newaxis] == np.arange(self._output_count(target))
        return one_hot

    # Named, called and given what scikit-learn's are, since subclasses override them.

    def _initialize(self, y: Array, layer_units: list[int], dtype: np.dtype[Any]) -> None:
        self.n_iter_ = 0
        self.t_ = 0
        self.n_outputs_ = layer_units[-1]
        self.n_layers_ = len(layer_units)
        self.out_activation_ = self._output_activation()
        shapes = zip(layer_units[:-1], layer_units[1:])
        if isinstance(activation_names(self.activation), tuple):
            hidden = hidden_layer_activations(self.activation, len(layer_units) - 2)
            # the output layer like the last hidden one, as where all have the same
            names = (*hidden, *(hidden[-1:] or ("identity",)))
            layers = [
                self._init_coef(*shape, dtype, activation=name)
                for shape, name in zip(shapes, names, strict=True)
            ]
        else:
            layers = [self._init_coef(*shape, dtype) for shape in shapes]
        self.coefs_ = [np.asarray(weights) for weights, _ in layers]
        self.intercepts_ = [np.asarray(biases) for _, biases in layers]

    def _init_coef(
        self, fan_in: int, fan_out: int, dtype: np.dtype[Any], activation: Any = None
    ) -> tuple[Array, Array]:
        if self.parametrization == "ntk":
            return normal_arrays(self._random_state, fan_in, fan_out, dtype)
        name: Any = self.activation if activation is None else activation
        return glorot_uniform(self._random_state, fan_in, fan_out, name, dtype)

    def _check_architecture(self, network: Network) -> None:
        present, wanted = units_of(self.coefs_), list(network.widths)
        if present != wanted:
            raise ValueError(
                f"The fitted network has layers of {present} units, but hidden_layer_sizes="
                f"{self.hidden_layer_sizes!r} and the data ask for {wanted}. {SET_BACK}"
            )
        fitted = _method_of(self._normalization_arrays())
        if fitted != self.normalization and len(wanted) > 2:
            raise ValueError(
                f"The fitted network has normalization={fitted!r}, but normalization="
                f"{self.normalization!r} is asked for. {SET_BACK}"
            )


def in_layers(
    coefs: Sequence[Array], intercepts: Sequence[Array], others: Sequence[Sequence[Array]] = ()
) -> list[Array]:
    """Return weights and biases in the order of a network's `parameters`.

    Parameters
    ----------
    coefs, intercepts : sequence of ndarray
    others : sequence of sequence of ndarray
        What each hidden layer has beside them; empty if none has anything.

    Raises
    ------
    ValueError
        If there are not as many of the ones as of the others.
    """
    layers = zip(coefs, intercepts, strict=True)
    if not others:  # the way of most, taken in every prediction
        return [array for layer in layers for array in layer]
    return [
        array
        for layer, more in zip(layers, [*others, ()], strict=True)
        for array in (*layer, *more)
    ]


def by_matrices(arrays: Sequence[Array]) -> list[list[Array]]:
    """Return a network's parameters by dense layers: each begins with its matrix of weights."""
    layers: list[list[Array]] = []
    for array in arrays:
        if array.ndim == 2:
            layers.append([])
        layers[-1].append(array)
    return layers


def _method_of(normalizations: Sequence[Sequence[Array]]) -> NormalizationName | None:
    """Return which normalization has these arrays; one over the minibatch has running ones."""
    if not normalizations:
        return None
    return "batch" if len(normalizations[0]) == len(NORMALIZATION) else "layer"


@parameter_group
class _ClassifierParameters(
    StratifiedStopping, ClassificationLoss, ClassWeights, HiddenLayers, Training, Architecture
):
    pass


@with_parameters
class MLPClassifier(_ClassifierParameters, BaseClassifier, BaseMultilayerPerceptron):
    r"""Multi-layer perceptron classifier, trained by compiled code.

    A drop-in for `sklearn.neural_network.MLPClassifier`: the same parameters, attributes and
    numbers. It minimizes the cross-entropy (or another loss, see `loss`)

    .. math:: -\frac{1}{\sum_i w_i} \sum_i w_i \sum_k y_{ik} \log p_{ik}
              + \frac{\alpha}{2 \sum_i w_i} \|W\|^2

    where p is the softmax of the outputs for more than two classes; two classes have one output,
    and each label of a multilabel target has its own, with the logistic function and the binary
    cross-entropy. For y with several columns of several classes each there is a softmax for every
    column, and their cross-entropies are added up.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of such
        Class labels; a list with those of each column for y with several columns of classes.
    out_activation_ : str
        'softmax' for more than two classes or several columns, else 'logistic'.
    {attributes}

    See Also
    --------
    MLPRegressor : The same for regression.

    References
    ----------
    {references}

    T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollar, "Focal loss for dense object detection",
    ICCV 2017 ('focal').

    C. Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016
    (`label_smoothing`).

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from nnjit import MLPClassifier
    >>> X, y = make_classification(n_samples=100, random_state=1)
    >>> model = MLPClassifier(random_state=1, max_iter=300).fit(X, y)
    >>> model.predict(X[:5]).shape
    (5,)
    """


@parameter_group
class _RegressorParameters(HiddenLayers, Training, Architecture, RegressionLoss):
    pass


@with_parameters
class MLPRegressor(_RegressorParameters, BaseRegressor, BaseMultilayerPerceptron):
    r"""Multi-layer perceptron regressor, trained by compiled code.

    A drop-in for `sklearn.neural_network.MLPRegressor`: the same parameters, attributes and
    numbers. It minimizes

    .. math:: \frac{1}{\sum_i w_i} \sum_i w_i \ell(y_i, o_i)
              + \frac{\alpha}{2 \sum_i w_i} \|W\|^2

    with the output o and the loss :math:`\ell` named by the first parameter.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    out_activation_ : str
        `output_activation`, or if that is None the one of the loss.
    quantiles_ : ndarray of shape (n_quantiles,)
        Quantiles, of a network fitted by the quantile loss.
    {attributes}

    See Also
    --------
    MLPClassifier : The same for classification.

    References
    ----------
    {references}

    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46, 1978 ('quantile').

    P. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35,
    1964 ('huber').

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from nnjit import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> model = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y)
    >>> model.predict(X[:2]).shape
    (2,)
    """
