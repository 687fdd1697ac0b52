"""The parameters that training of a stack of layers starts from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.backends import select
from nnjit.layers.layer import Layer, Parameter
from nnjit.layers.network import Network
from nnjit.layers.periodic.initialization import periodic_arrays
from nnjit.layers.piecewise.edges import choose_edges
from nnjit.layers.radial.initialization import choose_centers, choose_widths
from nnjit.layers.recurrence.layer import RecurrentLayer
from nnjit.training.initialization import (
    filter_arrays,
    glorot_uniform,
    normal_arrays,
    recurrent_arrays,
)

__all__ = ["starting_values"]

# k-means looks at so many rows for each centre.
_ROWS_PER_CENTER = 256
# Quantiles of more rows hardly differ.
_ROWS_FOR_EDGES = 100_000
_FORGET_GATE = 1  # the number of an LSTM's


def starting_values(
    network: Network,
    X: Any,
    sample_weight: Array | None,
    rng: np.random.RandomState,
    dtype: np.dtype[Any],
) -> list[Array]:
    """Return initial parameters, those drawn at random layer by layer, weights before biases.

    Parameters
    ----------
    network : Network
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Training rows; only looked at for centres and for edges of bins.
    sample_weight : ndarray of shape (n_samples,) or None
    rng : numpy.random.RandomState
    dtype : numpy dtype
        Of the arrays.

    Returns
    -------
    list of ndarray
        In the order of the network's `parameters`.

    Raises
    ------
    ValueError
        If a radial layer asks for more centres than there are rows that differ.
    """
    arrays: list[Array] = []
    for number, layer in enumerate(network.layers):
        parameters = layer.parameters(network.shapes[number])
        if layer.kind == "radial":
            arrays += _bumps(network, number, arrays, X, sample_weight, rng, dtype)
        elif isinstance(layer, RecurrentLayer):
            arrays += _cells(layer, parameters, rng, dtype)
        elif layer.kind == "convolution":
            activation = _activation(network.layers, number)
            arrays += filter_arrays(rng, parameters[0].shape, activation, dtype)
        elif layer.kind == "dense":
            fan_in, fan_out = parameters[0].shape
            if network.parametrization == "ntk":
                arrays += normal_arrays(rng, fan_in, fan_out, dtype)
                continue
            activation = _activation(network.layers, number)
            arrays += glorot_uniform(rng, fan_in, fan_out, activation, dtype)
        elif layer.kind == "periodic":
            arrays += periodic_arrays(layer, parameters, rng, dtype)
        elif layer.kind == "embedding":
            arrays += [rng.standard_normal(one.shape).astype(dtype) for one in parameters]
        elif layer.kind == "piecewise":
            arrays += _edges(network, number, arrays, X, sample_weight, rng, dtype)
        else:
            arrays += [np.full(one.shape, one.start, dtype) for one in parameters]
    return arrays


def _activation(layers: Sequence[Layer], number: int) -> str:
    """Return the activation that a layer's weights are drawn for.

    That is its own, that of the normalization or parametric activation right behind it, and for
    the output layer that of the last layer before.
    """
    last = len(layers) - 1
    own: str = getattr(layers[number], "activation", "identity")
    if number == last:
        before = [getattr(layer, "activation", None) for layer in layers[:last]]
        return next((name for name in reversed(before) if name), own)
    behind = layers[number + 1]
    if own == "identity" and behind.kind in ("normalization", "parametric"):
        own = getattr(behind, "activation", own)
    return own


def _cells(
    layer: RecurrentLayer,
    parameters: Sequence[Parameter],
    rng: np.random.RandomState,
    dtype: np.dtype[Any],
) -> list[Array]:
    """Return the arrays of a recurrent layer, direction by direction."""
    channels = parameters[0].shape[0]
    open_gate = _FORGET_GATE if layer.kind == "lstm" else None
    each, arrays = len(parameters) // layer.directions, []
    for direction in range(layer.directions):
        arrays += recurrent_arrays(rng, channels, layer.units, layer.gates, dtype, open_gate)
        more = parameters[direction * each + 3 : (direction + 1) * each]
        arrays += [np.zeros(one.shape, dtype) for one in more]
    return arrays


def _edges(
    network: Network,
    number: int,
    below: list[Array],
    X: Any,
    sample_weight: Array | None,
    rng: np.random.RandomState,
    dtype: np.dtype[Any],
) -> list[Array]:
    """Return the edges of a piecewise-linear layer, by what comes into it."""
    layer: Any = network.layers[number]
    values, weights = _values_into(
        network, number, below, X, sample_weight, rng, dtype, _ROWS_FOR_EDGES
    )
    return [choose_edges(values[:, : layer.features], layer.bins, weights)]


def _values_into(
    network: Network,
    number: int,
    below: list[Array],
    X: Any,
    sample_weight: Array | None,
    rng: np.random.RandomState,
    dtype: np.dtype[Any],
    most: int,
) -> tuple[Array, Array | None]:
    """Return what comes into a layer for training rows with a weight, and the weights.

    Of more than `most` rows so many are drawn.
    """
    rows = np.arange(X.shape[0]) if sample_weight is None else np.flatnonzero(sample_weight)
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    weights = None if sample_weight is None else sample_weight[rows]
    values = X[rows].astype(dtype, copy=False)
    if number:
        engine = select.make_engine(network.first(number), dtype)
        engine.pack(below)
        values = engine.predict(values)
    return values, weights


def _bumps(
    network: Network,
    number: int,
    below: list[Array],
    X: Any,
    sample_weight: Array | None,
    rng: np.random.RandomState,
    dtype: np.dtype[Any],
) -> list[Array]:
    """Return centres, by k-means of what comes into a radial layer, and logarithms of widths."""
    layer: Any = network.layers[number]
    most = _ROWS_PER_CENTER * layer.centers
    values, weights = _values_into(network, number, below, X, sample_weight, rng, dtype, most)
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(np.square(values).sum()):
            raise ValueError(f"What comes into layer {number}, {layer}, overflows. Scale the rows.")
    centers = choose_centers(values, layer.centers, "kmeans", rng, weights)
    if len(centers) < layer.centers:
        raise ValueError(
            f"Layer {number}, {layer}, has {layer.centers} centres, but only {len(centers)} "
            "different rows come into it."
        )
    return [centers, np.log(choose_widths(centers, "nearest", values))]
