"""The networks of series and images that every speed comparison of such uses."""

from __future__ import annotations

import dataclasses

import numpy as np

from nnjit.layers import Conv, Dense, Flatten, GlobalPool, Normalization, Pool
from nnjit.layers.network import Network

__all__ = ["NETWORK_CASES", "NetworkCase", "make_parameters", "make_rows"]


@dataclasses.dataclass(frozen=True)
class NetworkCase:
    """Steps of Adam on one network.

    Attributes
    ----------
    name : str
    shape : tuple of int
        (channels, time) or (channels, height, width) of a row.
    layers : tuple of Layer
        Without the last one, whose units are the classes.
    classes, batch : int
    steps : int
        Minibatches that are timed together.
    budget : float
        How many times nnjit's step the better of PyTorch's should take in float32.
    """

    name: str
    shape: tuple
    layers: tuple
    classes: int
    batch: int
    steps: int
    budget: float

    @property
    def network(self):
        layers = (*self.layers, Dense(self.classes, "identity"))
        inputs = int(np.prod(self.shape))
        return Network(inputs, layers, "log_loss", "softmax", shape=self.shape)

    @property
    def products(self):
        """Multiply-adds of one step: forward, weights' and inputs' gradients, these but for the
        first layer."""
        network = self.network
        work = [
            layer.work(shape)
            for layer, shape in zip(network.layers, network.shapes)
            if layer.kind in ("convolution", "dense")
        ]
        return self.batch * (3 * sum(work) - work[0])


def _fcn(filters, normalization):
    """The fully convolutional network of Wang, Yan and Oates (IJCNN 2017), with any filters."""
    layers = []
    for channels, kernel in zip(filters, (8, 5, 3)):
        layers.append(Conv(channels, kernel, "identity" if normalization else "relu"))
        if normalization:
            layers.append(Normalization("batch", "relu"))
    return (*layers, GlobalPool("mean"))


_DIGITS = (
    Conv(16, 3), Pool("max", 2), Conv(32, 3), Pool("max", 2), Flatten(), Dense(64),
)  # fmt: skip
_LENET = (
    Conv(6, 5), Pool("max", 2), Conv(16, 5, padding="valid"), Pool("max", 2),
    Flatten(), Dense(120), Dense(84),
)  # fmt: skip
_MNIST_CNN = (
    Conv(32, 3, padding="valid"), Conv(64, 3, padding="valid"), Pool("max", 2),
    Flatten(), Dense(128),
)  # fmt: skip
_SMALL, _LARGE = (16, 32, 16), (128, 256, 128)

NETWORK_CASES = {
    case.name: case
    for case in (
        NetworkCase("8x8, 16-32-64, 64", (1, 8, 8), _DIGITS, 10, 64, 400, 4.0),
        NetworkCase("LeNet-5, 28x28, 128", (1, 28, 28), _LENET, 10, 128, 60, 3.5),
        NetworkCase("FCN 16-32-16, 150, 16", (1, 150), _fcn(_SMALL, False), 2, 16, 300, 4.0),
        NetworkCase("FCN 16-32-16 BN, 150, 16", (1, 150), _fcn(_SMALL, True), 2, 16, 300, 4.0),
        NetworkCase("FCN 128-256-128, 150, 16", (1, 150), _fcn(_LARGE, False), 2, 16, 6, 1.3),
        NetworkCase("FCN 128-256-128 BN, 150, 16", (1, 150), _fcn(_LARGE, True), 2, 16, 6, 1.3),
        NetworkCase("mnist_cnn, 28x28, 128", (1, 28, 28), _MNIST_CNN, 10, 128, 3, 1.6),
    )
}


def make_rows(case, dtype, steps, seed=0):
    """Standard normal rows for so many minibatches, and classes that the first values tell.

    Returns
    -------
    X : ndarray of shape (steps * batch, values)
    y : ndarray of shape (steps * batch,), int64
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((steps * case.batch, case.network.inputs), dtype=np.float32)
    y = np.abs(X[:, :8].sum(axis=1) * 3).astype(np.int64) % case.classes
    return X.astype(dtype, copy=False), y


def make_parameters(network, dtype):
    """Uniform weights by what goes into a unit; scales and variances are 1."""
    rng = np.random.default_rng(0)
    for _, parameter in network.parameters():
        if len(parameter.shape) > 1:
            bound = np.sqrt(6 / np.prod(parameter.shape[:-1]))
            yield rng.uniform(-bound, bound, parameter.shape).astype(dtype)
        else:
            ones = parameter.name in ("scale", "variance")
            yield np.full(parameter.shape, float(ones), dtype)
