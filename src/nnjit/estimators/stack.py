"""Networks of layers that the user chooses."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
from dataclasses import fields
from typing import Any, Self

from nnjit._types import RegressionLossName
from nnjit.estimators._declaration import parameter, parameter_group, with_parameters
from nnjit.estimators._layer_parameters import LayerParameters
from nnjit.estimators._layered import ON_A_GPU, LayeredNetwork
from nnjit.estimators._sequence_targets import SequenceLabels, SequenceValues
from nnjit.estimators._stream import StreamedPredictions
from nnjit.estimators._watching import Given
from nnjit.estimators.parameters import (
    ClassificationLoss,
    ClassWeights,
    InputShape,
    Layers,
    RegressionLoss,
    StratifiedStopping,
    Targets,
    Training,
)
from nnjit.layers.dense.spec import Dense
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.recurrence.layer import RecurrentLayer
from nnjit.layers.stack import check_shapes, checked_layers, is_layer, takes_vectors

__all__ = ["NetworkClassifier", "NetworkRegressor"]


class LayerStack(LayerParameters, StreamedPredictions, LayeredNetwork, Layers):
    """A network of the layers in `layers`."""

    @property
    def _accepted_sparse(self) -> Any:
        dense_first = isinstance(next(iter(self._valid_layers()), None), Dense)
        return ["csr", "csc"] if dense_first and not self._takes_arrays() else False

    def _valid_layers(self) -> tuple[Layer, ...]:
        """Return the layers that are asked for, none where something is wrong with them."""
        given = tuple(self.layers) if isinstance(self.layers, (list, tuple)) else ()
        return given if all(map(is_layer, given)) else ()

    def _hidden_layers(self, shape: Shape) -> tuple[Layer, ...]:
        layers = checked_layers(self.layers)
        check_shapes(layers, shape)
        return layers

    def _output_layer(self, layers: tuple[Layer, ...], shape: Shape, outputs: int) -> Layer:
        end = check_shapes(layers, shape)
        if isinstance(end, tuple):
            raise ValueError(
                f"What comes out of layers has the shape {end}, but the output layer takes "
                "vectors: end with Flatten() or GlobalPool(), or with a recurrent layer without "
                "return_sequences" + (", or give targets='sequence'." if len(end) == 2 else ".")
            )
        return super()._output_layer(layers, shape, outputs)

    def _fit_on(self, given: Given, incremental: bool, validation: Given | None) -> Self:
        checked_layers(self.layers)  # before X is looked at, whose forms follow from them
        self._leave_layers(incremental)
        if not self._takes_arrays() and getattr(given.X, "ndim", 2) > 2:
            raise ValueError(
                f"Found array with dim {given.X.ndim}, while dim <= 2 is required by "
                f"{type(self).__name__} where layers take vectors. For series and images begin with"
                " Flatten(), or with a layer that takes these, or give input_shape."
            )
        return super()._fit_on(given, incremental, validation)

    def _takes_arrays(self) -> bool:
        if "layers_" in self.__dict__:
            return "input_shape_" in self.__dict__
        return self.input_shape is not None or not takes_vectors(self._valid_layers())

    def _axes(self) -> int | None:
        layers: Any = self._valid_layers()
        if any(isinstance(layer, RecurrentLayer) for layer in layers):
            return 1
        values = [
            getattr(layer, one.name)
            for layer in layers
            if layer.kind != "embedding"  # its levels are of columns
            for one in fields(layer)
        ]
        return next((len(value) for value in values if isinstance(value, tuple)), None)

    def _no_dropout(self) -> str:
        return "but none of its layers draws at random"

    def _without_device_code(self) -> str:
        for number, layer in enumerate(checked_layers(self.layers)):
            if layer.kind not in ON_A_GPU:
                return f"layers[{number}], {layer}, has"
        return ""


_NOTES = """
Rows are vectors where the layers take vectors and no `input_shape` is given: such a network of
``Dense`` layers is an `MLPClassifier` or `MLPRegressor`, to the bit. Else they are series or
images.

Weights start as in the MLPs, by the activation of their layer, or of the normalization or
``ParametricActivation`` right behind it; a convolution's as He has it, by the number of values that
a filter reads, with biases of 0. Of a recurrent layer each gate's weights of the inputs start from
LeCun's bound, those of the states as an orthogonal matrix; biases are 0, but 1 of an LSTM's forget
gate. The centres of ``RadialBasis`` are those of k-means of what comes into it; rows should be
scaled then. The vectors of an ``Embedding`` are standard normal numbers. The edges of
``PiecewiseLinear`` are quantiles of what comes into it, of 100,000 rows where there are more; the
numbers of ``PeriodicEmbedding`` are drawn as it says.
"""


@parameter_group
class _ClassifierParameters(
    StratifiedStopping, ClassificationLoss, ClassWeights, Targets, Training, InputShape, Layers
):
    pass


@with_parameters
class NetworkClassifier(_ClassifierParameters, SequenceLabels, LayerStack):
    r"""Classifier that is a network of your own layers.

    The layers are those in `nnjit.layers`, in the order in which rows go through them; the output
    layer, a softmax or logistic one by the classes, follows by itself. Training minimizes the
    cross-entropy, or another `loss`, and the L2 penalty of the weights.

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
    NetworkRegressor : The same for regression.
    ConvClassifier : Convolutions and pooling, by keywords.
    MLPClassifier : Dense layers, by keywords.

    Notes
    -----
    {notes}
    {forms}
    {points}

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnjit import NetworkClassifier
    >>> from nnjit.layers import Dense, Dropout, Normalization
    >>> X, y = load_iris(return_X_y=True)
    >>> layers = [Dense(30, "identity"), Normalization("batch", "relu"), Dropout(0.2), Dense(10)]
    >>> model = NetworkClassifier(layers, max_iter=300, random_state=0).fit(X, y)
    >>> [weights.shape for weights in model.coefs_]
    [(4, 30), (30, 10), (10, 3)]
    >>> model.set_params(layers__3__units=20).layers[3]
    Dense(units=20, activation='relu')
    """

    _shared_docs = {**LayerStack._shared_docs, "notes": _NOTES}


@parameter_group
class _RegressorParameters(RegressionLoss, Targets, Training, InputShape, Layers):
    loss: RegressionLossName = parameter(default="squared_error")


@with_parameters
class NetworkRegressor(_RegressorParameters, SequenceValues, LayerStack):
    r"""Regressor that is a network of your own layers.

    The layers are those in `nnjit.layers`, in the order in which rows go through them; the output
    layer follows by itself. Training minimizes the loss and the L2 penalty of the weights.

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
    NetworkClassifier : The same for classification.
    ConvRegressor : Convolutions and pooling, by keywords.
    MLPRegressor : Dense layers, by keywords.

    Notes
    -----
    {notes}
    {forms}
    {points}

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit import NetworkRegressor
    >>> from nnjit.layers import Dense, Residual
    >>> X = np.linspace(-1, 1, 200)[:, np.newaxis]
    >>> layers = [Dense(20, "tanh"), Dense(20, "tanh"), Residual(1)]
    >>> model = NetworkRegressor(layers, solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
    >>> model.score(X, X[:, 0] ** 2) > 0.99
    True
    """

    _shared_docs = {**LayerStack._shared_docs, "notes": _NOTES}
