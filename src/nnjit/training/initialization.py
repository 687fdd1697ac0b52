"""Starting values of the parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.formulas import find_activation


def glorot_bound(fan_in: int, fan_out: int, activation: str) -> float:
    r"""Half-width of the uniform distribution from which a layer is drawn.

    .. math:: b = \sqrt{f / (n_{in} + n_{out})}

    with f the activation's gain: 2 for the logistic function, which is four times flatter at the
    origin than tanh, as in scikit-learn, and 6 for every other.

    Parameters
    ----------
    fan_in, fan_out : int
        Number of inputs and outputs of the layer.
    activation : str
        Name of the network's hidden activation.

    Returns
    -------
    float

    References
    ----------
    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, eq. 16.
    """
    return math.sqrt(find_activation(activation).gain / (fan_in + fan_out))


def glorot_uniform(
    rng: np.random.RandomState, fan_in: int, fan_out: int, activation: str, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Draw the weights and then the biases of one dense layer.

    Both are drawn in float64 and then cast, so that float32 and float64 networks start from the
    same numbers and leave the generator in the same state.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Advanced by ``fan_in * fan_out + fan_out`` uniform draws.
    fan_in, fan_out : int
        Number of inputs and outputs of the layer.
    activation : str
        Name of the network's hidden activation (see `glorot_bound`).
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
