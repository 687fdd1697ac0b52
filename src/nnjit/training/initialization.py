"""Starting values of the parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.formulas import find_activation
from nnjit.formulas.registry import FAN_IN


def glorot_bound(fan_in: int, fan_out: int, activation: str) -> float:
    r"""Half-width of the uniform distribution from which a layer is drawn.

    .. math:: b = \sqrt{f / (n_{in} + n_{out})} \quad\text{or}\quad b = \sqrt{f / n_{in}}

    as the activation's entry says, with f its gain. The first is Glorot's, for scikit-learn's
    activations and what saturates as tanh does: f is 2 for the logistic function, which is four
    times flatter at the origin than tanh, as in scikit-learn, and 6 for every other. The second is
    He's with f = 6 and LeCun's with f = 3 (selu).

    Parameters
    ----------
    fan_in, fan_out : int
        Number of inputs and outputs of the layer.
    activation : str
        Name of the hidden layer's activation; of the output layer it is that of the layer before.

    Returns
    -------
    float

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, eq. 16.

    K. He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10 and 14.

    G. Klambauer et al., "Self-normalizing neural networks", NIPS 2017.
    """
    entry = find_activation(activation)
    fan = fan_in if entry.fan == FAN_IN else fan_in + fan_out
    return math.sqrt(entry.gain / fan)


def glorot_uniform(
    rng: np.random.RandomState, fan_in: int, fan_out: int, activation: str, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Draw the weights and then the biases of one dense layer.

    Both are drawn in float64 and then cast, so that float32 and float64 networks start from the
    same numbers and leave the generator in the same state. The biases are drawn from the bound of
    the weights, as in scikit-learn.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Advanced by ``fan_in * fan_out + fan_out`` uniform draws.
    fan_in, fan_out : int
        Number of inputs and outputs of the layer.
    activation : str
        See `glorot_bound`.
    dtype : numpy dtype
        Type of the returned arrays.

    Returns
    -------
    weights : ndarray of shape (fan_in, fan_out)
    biases : ndarray of shape (fan_out,)
    """
    bound = glorot_bound(fan_in, fan_out, activation)
    weights = rng.uniform(-bound, bound, (fan_in, fan_out))
    biases = rng.uniform(-bound, bound, fan_out)
    return weights.astype(dtype, copy=False), biases.astype(dtype, copy=False)


def filter_arrays(
    rng: np.random.RandomState,
    weights: tuple[int, ...],
    activation: str,
    dtype: np.dtype[Any],
) -> list[Array]:
    r"""Draw the weights of a convolution, in float64 and then cast; its biases are 0.

    They are uniform between -b and b, :math:`b = \sqrt{f / n_{in}}`, with the number of values that
    a filter reads. f is 6 for ReLU, as He has it; for other activations that start from Glorot's
    bound, half of the f there, which is that bound where as many values come out as go in; else
    that of `glorot_bound`. How many filters there are plays no part: with a single channel going
    in, the weights of many would be too small to learn from.

    Parameters
    ----------
    rng : numpy.random.RandomState
    weights : tuple of int
        Shape of the weights: points of the kernel along each axis, channels of a group, filters.
    activation : str
        Name of the activation behind the convolution, or behind its normalization.
    dtype : numpy dtype
        Of the returned arrays.

    Returns
    -------
    list of ndarray
        Weights and biases.

    References
    ----------
    K. He et al., "Delving deep into rectifiers", ICCV 2015, eq. 10.
    """
    entry = find_activation(activation)
    whole = entry.fan == FAN_IN or entry.epilogue == "relu"
    bound = math.sqrt(entry.gain / (1 if whole else 2) / math.prod(weights[:-1]))
    return [
        rng.uniform(-bound, bound, weights).astype(dtype, copy=False),
        np.zeros(weights[-1], dtype),
    ]
