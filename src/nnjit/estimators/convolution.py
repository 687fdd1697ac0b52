"""Convolutional networks for images and series."""

# Without `from __future__ import annotations`, so that help() shows the values in a Literal.
import operator
from typing import Any

import numpy as np

from nnjit._types import RegressionLossName
from nnjit.estimators._declaration import parameter, parameter_group, with_parameters
from nnjit.estimators._layered import LayeredNetwork, SmallMinibatches
from nnjit.estimators.classifier import BaseClassifier
from nnjit.estimators.parameters import (
    Augmentation,
    ClassificationLoss,
    ClassWeights,
    Convolutions,
    InputShape,
    RegressionLoss,
    SmallSets,
    StratifiedStopping,
)
from nnjit.estimators.regressor import BaseRegressor
from nnjit.layers.axes import channels
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.presets.convolutional import convolutional

__all__ = ["ConvClassifier", "ConvRegressor"]


class ConvolutionalNetwork(SmallMinibatches, LayeredNetwork, Augmentation, Convolutions):
    """Convolutions, pooling and dense layers by keywords."""

    def _hidden_layers(self, shape: Shape) -> tuple[Layer, ...]:
        sizes: Any = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        filters: Any = self.filters
        activation: Any = self.activation
        dropout: Any = self.dropout
        return convolutional(
            channels(shape, "convolution"),
            filters,
            self.kernel_size,
            [*map(operator.index, sizes)],
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            padding=self.padding,
            pool=self.pool,
            pool_size=self.pool_size,
            global_pool=self.global_pool,
            activation=activation,
            normalization=self.normalization,
            dropout=dropout,
            residual=bool(self.residual),
            augment=self.augment,
        )

    def _axes(self) -> int | None:
        given: list[Any] = [self.kernel_size, self.stride, self.dilation, self.pool_size]
        values = [one for value in given if hasattr(value, "__len__") for one in value]
        return next((len(one) for one in values if hasattr(one, "__len__")), None)

    def _random_option(self) -> str:
        name = "dropout" if self.augment is None else "augment"
        return f"{name}={getattr(self, name)!r}"


@parameter_group
class _Shared(SmallSets, InputShape, Augmentation, Convolutions):
    pass


_NOTES = """
Defaults are made for sets of some dozens of rows as well as for large ones. Minibatches are a tenth
of the rows where these are few, since a set of 67 in a single minibatch would give one step an
epoch, and at most 64. The rate is halved whenever the training loss has not fallen by `tol` for
`n_iter_no_change` epochs, and training ends when it is below 1e-6: on series of 67 and 270 cases
that is after some 230 epochs, without more being lost or gained by going on for longer. The last
weights are kept: those of the epoch of least training loss (``restore_best="loss"``) are no better
where the rate falls, and worse where that loss was one of running statistics not yet settled.

The FCN of Wang et al. for series is ``filters=(128, 256, 128), kernel_size=(8, 5, 3), pool=None,
global_pool="mean", hidden_layer_sizes=(), normalization="batch"``; a quarter of its filters does
for small sets. With batch normalization ``learning_rate_init=0.003`` is worth a try: in pairs of
eight fits with filters=(16, 32, 16) it gained 6.2 +- 1.7 points of accuracy on made-up outlines (60
series of 200 points, six classes) and 1.3 +- 0.4 on 100 digits as series, and nothing beyond two
standard errors on three other sets. Training for longer, ``max_iter=600, n_iter_no_change=20``,
gained 5.5 +- 1.5 on the outlines but lost 2.0 +- 0.4 on 60 very noisy series. Values should be
scaled, pixels to 1, series by `SeriesScaler`.

Weights start as in the MLPs, by the activation; a convolution's as He has it, by the number of
values that a filter reads, with biases of 0. They have the axes (height, width, channels,
filters), or (time, channels, filters): ``weights.transpose(3, 2, 0, 1)``, or ``(2, 1, 0)``, is
PyTorch's. There is no device code; ``device="auto"`` runs on the CPU.
"""


@parameter_group
class _ClassifierParameters(StratifiedStopping, ClassificationLoss, ClassWeights, _Shared):
    pass


@with_parameters
class ConvClassifier(_ClassifierParameters, BaseClassifier, ConvolutionalNetwork):
    r"""Convolutional network that classifies images or series.

    Each of `filters` convolutions slides over the points of a row: with the channels x, the output
    h of a filter at point p is

    .. math:: h_{fp} = \phi\Big(b_f + \sum_{k, c} w_{kcf} \, x_{c,\, p + k}\Big)

    where k runs over the points of the kernel. Pooling takes the largest value, or the mean, of
    windows of h. What comes out of the last convolution goes through dense layers to the output
    layer, a softmax or logistic one by the classes. Training minimizes the cross-entropy, or
    another `loss`, and the L2 penalty of the weights.

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
    ConvRegressor : The same for regression.
    NetworkClassifier : Layers in any other order.

    Notes
    -----
    {notes}
    {forms}

    References
    ----------
    {references}

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from nnjit import ConvClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = ConvClassifier((8, 16), input_shape=(1, 8, 8), max_iter=40, tol=0.02)
    >>> model = model.set_params(random_state=0).fit(X[:1000] / 16, y[:1000])
    >>> [weights.shape for weights in model.coefs_]
    [(3, 3, 1, 8), (3, 3, 8, 16), (64, 64), (64, 10)]
    >>> model.score(X[1000:] / 16, y[1000:]) > 0.9
    True
    """

    _shared_docs = {**ConvolutionalNetwork._shared_docs, "notes": _NOTES}


@parameter_group
class _RegressorParameters(RegressionLoss, _Shared):
    loss: RegressionLossName = parameter(default="squared_error")


@with_parameters
class ConvRegressor(_RegressorParameters, BaseRegressor, ConvolutionalNetwork):
    r"""Convolutional network for values that belong to images or series.

    Each of `filters` convolutions slides over the points of a row: with the channels x, the output
    h of a filter at point p is

    .. math:: h_{fp} = \phi\Big(b_f + \sum_{k, c} w_{kcf} \, x_{c,\, p + k}\Big)

    where k runs over the points of the kernel. Pooling takes the largest value, or the mean, of
    windows of h. What comes out of the last convolution goes through dense layers to the output
    layer. Training minimizes the loss and the L2 penalty of the weights.

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
    ConvClassifier : The same for classification.
    NetworkRegressor : Layers in any other order.

    Notes
    -----
    {notes}
    {forms}

    References
    ----------
    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit import ConvRegressor
    >>> time = np.arange(40)
    >>> periods = np.linspace(4, 20, 100)
    >>> X = np.sin(2 * np.pi * time / periods[:, np.newaxis])
    >>> model = ConvRegressor(8, 7, global_pool="mean", learning_rate_init=0.01, random_state=0)
    >>> model.fit(X, periods / 20).score(X, periods / 20) > 0.9
    True
    """

    _shared_docs = {**ConvolutionalNetwork._shared_docs, "notes": _NOTES}
