"""Multi-layer perceptrons, with scikit-learn's names and in its order."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit._types import Array, FloatArray
from nnjit.estimators._arrays import common_dtype
from nnjit.estimators._assigned import checked_parameters, units_of
from nnjit.estimators._base import SET_BACK, NetworkEstimator
from nnjit.estimators._conversion import ScikitLearnConversion
from nnjit.estimators._declaration import parameter, parameter_group, with_parameters
from nnjit.estimators._overrides import warn_of_ignored_overrides
from nnjit.estimators.classifier import NetworkClassifier
from nnjit.estimators.parameters import Architecture, ClassWeights, RegressionLoss, Training
from nnjit.estimators.regressor import NetworkRegressor
from nnjit.layers.network import Network, mlp
from nnjit.training.initialization import glorot_uniform

__all__ = ["BaseMultilayerPerceptron", "MLPClassifier", "MLPRegressor"]

_WEIGHTS = """
coefs_ : list of ndarray of shape (units of layer i, units of layer i + 1)
    Weights. They can be assigned before predicting.
intercepts_ : list of ndarray of shape (units of layer i + 1,)
    Biases.
"""
_REFERENCES = """
D. Rumelhart, G. Hinton and R. Williams, "Learning representations by back-propagating errors",
Nature 323, 1986.

X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks", AISTATS 2010 (initial weights).

"""


class BaseMultilayerPerceptron(ScikitLearnConversion, NetworkEstimator, Architecture):
    """A network of dense layers; its weights and biases are `coefs_` and `intercepts_`."""

    _shared_docs = {
        "attributes": _WEIGHTS.lstrip() + NetworkEstimator._shared_docs["attributes"].lstrip(),
        "references": _REFERENCES + NetworkEstimator._shared_docs["references"].lstrip(),
    }

    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]

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

    def _perceptron(self, units: Sequence[int]) -> Network:
        """Return the network of layers of so many units, the inputs first."""
        inputs, *hidden, outputs = units
        return mlp(
            inputs,
            hidden,
            outputs,
            self.activation,
            self._engine_loss(),
            self.out_activation_,
            **self._loss_options(),
            **self._layer_options(),
        )

    def _layer_options(self) -> dict[str, Any]:
        """Return what the hidden layers have beside units and activation, as `mlp` takes it."""
        return {}

    def _as_attributes(self, arrays: list[Array]) -> dict[str, Any]:
        return {"coefs_": arrays[0::2], "intercepts_": arrays[1::2]}

    def _give_parameters(self, n_features: int | None = None) -> tuple[Network, list[Array]]:
        coefs, intercepts = checked_parameters(self, n_features)
        return self._perceptron(units_of(coefs)), in_layers(coefs, intercepts)

    def _present_parameters(self) -> tuple[Any, list[Any]]:
        others = (
            self.n_layers_,
            getattr(self, "n_outputs_", None),  # a regressor needs none
            self.activation,
            self.out_activation_,
            self.loss,
            getattr(self, "_label_binarizer", None),
        )
        return others, in_layers(self.coefs_, self.intercepts_)

    def _layer_units(self) -> list[int]:
        """Return the number of units of each layer, by the shapes of the parameters."""
        return units_of(checked_parameters(self)[0])

    def _parameter_dtype(self) -> np.dtype[Any]:
        return common_dtype((*self.coefs_, *self.intercepts_))

    # Initial parameters

    def _initial_parameters(
        self,
        network: Network,
        X: Any,
        target: Array,
        sample_weight: Array | None,
        dtype: np.dtype[Any],
    ) -> list[Array]:
        layer_units = list(network.sizes)
        self._initialize(self._indicators(target), layer_units, dtype)
        coefs, intercepts = checked_parameters(self)
        if units_of(coefs) != layer_units:  # an overridden method made them
            raise ValueError(
                f"The initial weights are those of layers of {units_of(coefs)} units; "
                f"{layer_units} are asked for."
            )
        return in_layers(coefs, intercepts)

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
        layers = [
            self._init_coef(fan_in, fan_out, dtype)
            for fan_in, fan_out in zip(layer_units[:-1], layer_units[1:])
        ]
        self.coefs_ = [np.asarray(weights) for weights, _ in layers]
        self.intercepts_ = [np.asarray(biases) for _, biases in layers]

    def _init_coef(self, fan_in: int, fan_out: int, dtype: np.dtype[Any]) -> tuple[Array, Array]:
        return glorot_uniform(self._random_state, fan_in, fan_out, self.activation, dtype)

    def _check_architecture(self, network: Network) -> None:
        present, wanted = units_of(self.coefs_), list(network.sizes)
        if present != wanted:
            raise ValueError(
                f"The fitted network has layers of {present} units, but hidden_layer_sizes="
                f"{self.hidden_layer_sizes!r} and the data ask for {wanted}. {SET_BACK}"
            )


def in_layers(coefs: Sequence[Array], intercepts: Sequence[Array]) -> list[Array]:
    """Return weights and biases in the order of a network's `parameters`.

    Raises
    ------
    ValueError
        If there are not as many of the ones as of the others.
    """
    return [array for layer in zip(coefs, intercepts, strict=True) for array in layer]


@parameter_group
class _ClassifierParameters(ClassWeights, Training, Architecture):
    early_stopping: bool = parameter(
        default=False,
        text="""Whether to hold out rows, stop when the score on them no longer improves, and
            return the weights of the best epoch. Rows are held out class by class, except of a
            multilabel target, or where a class has too few of them. Rows of sample weight 0 are
            left out. A warm start keeps the rows that were held out.""",
    )


@with_parameters
class MLPClassifier(_ClassifierParameters, NetworkClassifier, BaseMultilayerPerceptron):
    r"""Multi-layer perceptron classifier, trained by compiled code.

    A drop-in for `sklearn.neural_network.MLPClassifier`: the same parameters, attributes and
    numbers. It minimizes the cross-entropy

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
class _RegressorParameters(Training, Architecture, RegressionLoss):
    pass


@with_parameters
class MLPRegressor(_RegressorParameters, NetworkRegressor, BaseMultilayerPerceptron):
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
        'exp' for the Poisson loss, else 'identity'.
    {attributes}

    See Also
    --------
    MLPClassifier : The same for classification.

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from nnjit import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> model = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X, y)
    >>> model.predict(X[:2]).shape
    (2,)
    """
