"""The networks of series and images, and autoencoders, that every speed comparison of such uses."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np

from nnjit.layers import GRU, LSTM, RNN, Conv, Dense, Flatten, GlobalPool, Normalization, Pool
from nnjit.layers.network import Network

__all__ = ["NETWORK_CASES", "RECURRENT", "NetworkCase", "make_parameters", "make_rows"]

RECURRENT = ("rnn", "gru", "lstm")  # kinds of layers
# Of Japanese vowels (Kudo, Toyama and Shimbo 1999), 9 speakers' series of 12 channels: those for
# training by their lengths, from 7 on. The file lies beside the repository, or series are made up.
_VOWELS = Path(__file__).parents[3] / "shared" / "data" / "japanese_vowels.npz"
_VOWEL_LENGTHS = (1, 0, 2, 10, 18, 22, 21, 22, 41, 28, 27, 22, 13, 8, 14, 5, 11, 2, 2, 1)


@dataclasses.dataclass(frozen=True)
class NetworkCase:
    """Steps of Adam on one network.

    Attributes
    ----------
    name : str
    shape : tuple of int
        (channels, time) or (channels, height, width) of a row; (features,) of a vector.
    layers : tuple of Layer
        Without the last one, whose units are the classes.
    classes : int
        0 for an autoencoder, which gives out its rows.
    batch : int
    steps : int
        Minibatches that are timed together.
    budget : float
        How many times nnjit's step the better of PyTorch's should take in float32.
    jax_budget : float, optional
        The same of JAX's, with which recurrent networks are compared.
    vowels : bool
        Rows are Japanese vowels, of unequal length.
    """

    name: str
    shape: tuple
    layers: tuple
    classes: int
    batch: int
    steps: int
    budget: float
    jax_budget: float | None = None
    vowels: bool = False

    @property
    def network(self):
        inputs = int(np.prod(self.shape))
        layers = (*self.layers, Dense(self.classes or inputs, "identity"))
        shape = self.shape if len(self.shape) > 1 else ()
        end = ("log_loss", "softmax") if self.classes else ("squared_error", "identity")
        return Network(inputs, layers, *end, shape=shape)

    @property
    def products(self):
        """Multiply-adds of one step: forward, weights' and inputs' gradients, these but for the
        first layer; of series of unequal length, those of the points that there are."""
        network, there, work = self.network, 1.0, []
        if self.vowels:
            there = np.mean(_vowels()[1]) / self.shape[-1]
        for layer, shape in zip(network.layers, network.shapes):
            if layer.kind in RECURRENT:
                matrices = [one.shape for one in layer.parameters(shape) if len(one.shape) > 1]
                work.append(there * shape[-1] * sum(map(np.prod, matrices)))
            elif layer.kind in ("convolution", "dense"):
                work.append(layer.work(shape))
        first, inputs = network.layers[0], work[0]
        if first.kind in RECURRENT:
            inputs *= self.shape[0] / (self.shape[0] + first.units)
        return self.batch * (3 * sum(work) - inputs)


@functools.cache
def _vowels():
    """(series of shape (n, 12, 29), their lengths, numbers of the speakers)."""
    if _VOWELS.exists():
        with np.load(_VOWELS) as file:
            rows = file["train_idx"]
            speakers = np.unique(file["y"][rows], return_inverse=True)[1]
            return file["X"][rows], file["lengths"][rows], speakers
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.repeat(np.arange(7, 27), _VOWEL_LENGTHS))
    X = rng.standard_normal((len(lengths), 12, 29))
    X[np.broadcast_to(np.arange(29) >= lengths[:, None, None], X.shape)] = np.nan
    return X, lengths, rng.integers(0, 9, len(lengths))


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


def _autoencoder(hidden, components):
    """Encoder and decoder of one hidden layer each."""
    return Dense(hidden), Dense(components, "identity"), Dense(hidden)


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
        NetworkCase("GRU 32, vowels, 32", (12, 29), (GRU(32),), 9, 32, 100, 8.0, 2.0, True),
        NetworkCase("LSTM 32, vowels, 32", (12, 29), (LSTM(32),), 9, 32, 100, 3.0, None, True),
        NetworkCase("tanh 32, vowels, 32", (12, 29), (RNN(32),), 9, 32, 100, 8.0, None, True),
        NetworkCase("GRU 128, 100 steps, 64", (32, 100), (GRU(128),), 9, 64, 6, 1.5),
        NetworkCase("autoencoder 30-64-32, 32", (30,), _autoencoder(64, 32), 0, 32, 2000, 10.0),
        NetworkCase("autoencoder 784-128-32, 128", (784,), _autoencoder(128, 32), 0, 128, 100, 1.3),
    )
}


def make_rows(case, dtype, steps, seed=0):
    """Standard normal rows for so many minibatches, and classes that the first values tell.

    Series of unequal length end in NaN; there are few of them, which come again and again.

    Returns
    -------
    X : ndarray of shape (steps * batch, values)
    y : ndarray of shape (steps * batch,), int64
        X itself for an autoencoder.
    """
    if case.vowels:
        series, _, speakers = _vowels()
        rows = np.arange(steps * case.batch) % len(series)
        return series[rows].reshape(len(rows), -1).astype(dtype), speakers[rows].astype(np.int64)
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((steps * case.batch, case.network.inputs), dtype=np.float32)
    if not case.classes:
        return (X := X.astype(dtype, copy=False)), X
    y = np.abs(X[:, :8].sum(axis=1) * 3).astype(np.int64) % case.classes
    return X.astype(dtype, copy=False), y


def make_parameters(network, dtype):
    """Uniform weights by what goes into a unit; scales and variances are 1."""
    rng = np.random.default_rng(0)
    for _, parameter in network.parameters():
        if len(parameter.shape) > 1:
            share = 1 if parameter.name == "recurrent_weights" else 6
            bound = np.sqrt(share / np.prod(parameter.shape[:-1]))
            yield rng.uniform(-bound, bound, parameter.shape).astype(dtype)
        else:
            ones = parameter.name in ("scale", "variance")
            yield np.full(parameter.shape, float(ones), dtype)
