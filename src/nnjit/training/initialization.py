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


def normal_arrays(
    rng: np.random.RandomState, fan_in: int, fan_out: int, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    r"""Draw the weights and then the biases of one dense layer in the 'ntk' parametrization.

    Weights are normal of variance :math:`1 / n_{in}`, biases of 1, in float64 and then cast.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Advanced by ``fan_in * fan_out + fan_out`` normal draws.
    fan_in, fan_out : int
        Number of inputs and outputs of the layer.
    dtype : numpy dtype
        Of the returned arrays.

    Returns
    -------
    weights : ndarray of shape (fan_in, fan_out)
    biases : ndarray of shape (fan_out,)
    """
    weights = rng.standard_normal((fan_in, fan_out)) / math.sqrt(fan_in)
    biases = rng.standard_normal(fan_out)
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


def orthogonal(rng: np.random.RandomState, size: int) -> Array:
    r"""Draw an orthogonal matrix, all of which are equally likely.

    Rows of standard normal numbers are made orthogonal to those before and of length 1 (modified
    Gram-Schmidt), in sums that NumPy itself takes: BLAS might share them among threads, so that
    bits would depend on their number.

    Parameters
    ----------
    rng : numpy.random.RandomState
        Advanced by ``size * size`` normal draws.
    size : int

    Returns
    -------
    ndarray of shape (size, size), float64

    References
    ----------
    F. Mezzadri, "How to generate random matrices from the classical compact groups", Notices of the
    AMS 54, 2007.
    """
    rows = rng.standard_normal((size, size))
    for number, row in enumerate(rows):
        row /= math.sqrt(float(np.einsum("i,i", row, row)))
        later = rows[number + 1 :]
        later -= np.einsum("ij,j->i", later, row)[:, np.newaxis] * row
    return rows


def recurrent_arrays(
    rng: np.random.RandomState,
    channels: int,
    units: int,
    gates: int,
    dtype: np.dtype[Any],
    open_gate: int | None = None,
) -> list[Array]:
    r"""Draw the weights of one direction of a recurrent layer, in float64 and then cast.

    Each gate's weights of the inputs are uniform between -b and b, LeCun's
    :math:`b = \sqrt{3 / n_{in}}`: of inputs of variance 1 come sums of variance 1, whatever the
    number of units, whereas Glorot's bound leaves little of a single channel that goes into many.
    The weights of the states are an orthogonal matrix for each gate, which neither shrinks nor
    stretches what goes through it from point to point. Biases are 0, but those of an LSTM's forget
    gate 1, so that it forgets little at first.

    Parameters
    ----------
    rng : numpy.random.RandomState
    channels, units : int
        What comes in at each point, and values of the state.
    gates : int
        Blocks of weights that each unit has.
    dtype : numpy dtype
        Of the returned arrays.
    open_gate : int or None
        Number of the gate whose biases are 1.

    Returns
    -------
    list of ndarray
        Weights (channels, gates * units), recurrent weights (units, gates * units) and biases
        (gates * units,).

    References
    ----------
    Y. LeCun, L. Bottou, G. Orr and K. Müller, "Efficient backprop", 1998, section 4.6.

    A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", ICLR 2014 (orthogonal matrices).

    R. Jozefowicz, W. Zaremba and I. Sutskever, "An empirical exploration of recurrent network
    architectures", ICML 2015 (the bias of the forget gate).
    """
    bound = math.sqrt(3 / channels)
    weights = rng.uniform(-bound, bound, (channels, gates * units))
    recurrent = np.concatenate([orthogonal(rng, units) for _ in range(gates)], axis=1)
    biases = np.zeros(gates * units, dtype)
    if open_gate is not None:
        biases[open_gate * units : (open_gate + 1) * units] = 1
    return [weights.astype(dtype, copy=False), recurrent.astype(dtype, copy=False), biases]
