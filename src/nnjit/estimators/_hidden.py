"""Outputs of a hidden layer: the first layers of a network, run as a network of their own."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted

from nnjit._types import FloatArray
from nnjit.backends import select
from nnjit.estimators._arrays import common_dtype, engine_input
from nnjit.estimators._assigned import refuse_non_finite
from nnjit.estimators._device import as_given, first_rows, host_rows, rows_on_device
from nnjit.estimators._sources import source_for_prediction
from nnjit.layers.network import Network
from nnjit.training.reading import are_read, outputs_of

__all__ = ["hidden_activations", "outputs_of_first", "up_to"]


def up_to(network: Network, layer: Any) -> Network:
    """Return what a network is up to the end of one of its hidden layers.

    Parameters
    ----------
    network : Network
    layer : int
        Number of the hidden layer from 0, or negative from the last one.

    Raises
    ------
    TypeError
        If `layer` is no integer.
    ValueError
        If there is no such layer.
    """
    ends, number = network.hidden_ends, operator.index(layer)
    if not ends:
        raise ValueError("The network has no hidden layer.")
    if not -len(ends) <= number < len(ends):
        layers = "1 hidden layer" if len(ends) == 1 else f"{len(ends)} hidden layers"
        raise ValueError(
            f"The network has {layers}: layer must be from {-len(ends)} to {len(ends) - 1}, got "
            f"{number}."
        )
    return network.first(ends[number])


def hidden_activations(estimator: Any, X: Any, layer: Any) -> FloatArray:
    """Return the outputs of a hidden layer; see `NetworkEstimator.activations`."""
    return outputs_of_first(estimator, X, lambda network: up_to(network, layer))


def outputs_of_first(
    estimator: Any, X: Any, part: Callable[[Network], Network], what: str = "activations"
) -> FloatArray:
    """Return what comes out of the first layers of a fitted network, which `part` chooses.

    Messages call it `what`.
    """
    check_is_fitted(estimator)
    source = source_for_prediction(estimator, X)
    rows = None if source is not None else rows_on_device(X, estimator._engine_device())
    if source is not None:
        from nnjit.estimators._rows import prepare

        host: Any = prepare(estimator, source, longer=True)
    else:
        host = estimator._given_rows(host_rows(X) if rows is None else first_rows(rows, None))
    whole, arrays = estimator._give_parameters(host.shape[1])
    network = part(whole)
    engine = select.make_engine(network, common_dtype(arrays))
    engine.pack(arrays[: len(network.parameters())])
    taken = engine_input(host, engine.dtype)
    taken = taken if are_read(taken) else estimator._engine_rows(taken)
    outputs, finite = outputs_of(engine, taken)
    if not (finite or np.isfinite(outputs).all() or get_config()["assume_finite"]):
        refuse_non_finite(estimator._as_attributes(arrays))
        first = int(np.isfinite(outputs).all(axis=1).argmin())
        raise ValueError(
            f"The {what} of row {first} overflow: sums in the network exceed the largest "
            f"{engine.dtype.name}. Scale the rows as those of the fit were scaled."
        )
    shape = network.shapes[-1]
    if isinstance(shape, tuple):
        outputs = outputs.reshape(len(outputs), *shape)
    given: FloatArray = as_given(outputs, rows, X)
    return given
