"""Recurrent and dense layers for series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from nnjit.layers.augmentation.spec import Augment
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.global_pooling.spec import GlobalPool
from nnjit.layers.gru.spec import GRU
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.lstm.spec import LSTM
from nnjit.layers.presets.values import augmentation, each, is_int, plain
from nnjit.layers.rnn.spec import RNN

__all__ = ["CELLS", "recurrent"]

# What recurrent layers are made of, by the name that a user gives.
CELLS: Mapping[str, Callable[..., Layer]] = {
    "gru": GRU,
    "lstm": LSTM,
    "tanh": partial(RNN, activation="tanh"),
    "relu": partial(RNN, activation="relu"),
}


def recurrent(
    shape: tuple[int, ...],
    units: int | Sequence[int],
    cell: str,
    hidden: Sequence[int],
    *,
    bidirectional: bool = False,
    pool: str = "last",
    activation: str | Sequence[str] = "relu",
    dropout: float | Sequence[float] = 0.0,
    recurrent_dropout: float = 0.0,
    truncate: int | None = None,
    augment: Augment | Mapping[str, Any] | None = None,
    each_point: bool = False,
) -> tuple[Layer, ...]:
    """Return recurrent layers, what makes a vector of their states, and dense layers.

    Parameters
    ----------
    shape : tuple of int
        (channels, time) of a row.
    units : int or sequence of int
        Units of the recurrent layers, each of which reads the states of the one before.
    cell : {'gru', 'lstm', 'tanh', 'relu'}
        What they are.
    hidden : sequence of int
        Units of the dense layers.
    bidirectional : bool
        Whether a second set of units goes over the series from its end.
    pool : {'last', 'mean', 'max'}
        What the dense layers read of the last recurrent layer's states.
    activation : str or sequence of str
        Of the dense layers, or of each.
    dropout : float or sequence of float
        Behind all layers, or behind each recurrent and each dense layer.
    recurrent_dropout, truncate : object
        See `nnjit.layers.RNN`.
    augment : Augment, mapping or None
        How rows are changed at random in training.
    each_point : bool
        Whether the states at every point go on, each by itself: `pool` is none then, and dense
        layers are convolutions of kernel size 1.

    Returns
    -------
    tuple of Layer
        The output layer is not among them.

    Raises
    ------
    ValueError
        If something does not fit; the message names the parameter and the layer.
    """
    widths = _widths(units)
    dropouts = each("dropout", dropout, len(widths), len(hidden), "recurrent layers")
    layers: list[Layer] = [] if augment is None else [augmentation(augment)]
    now: Shape = layers[0].outputs(shape) if layers else shape
    for i, width in enumerate(widths):
        try:
            layer = CELLS[cell](
                width,
                bidirectional=bidirectional,
                return_sequences=i < len(widths) - 1 or pool != "last" or each_point,
                recurrent_dropout=recurrent_dropout,
                truncate=truncate,
            )
            now = layer.outputs(now)
        except ValueError as error:
            raise ValueError(
                f"Recurrent layer {i} of {len(widths)} does not fit: {error}"
            ) from None
        layers += [layer, *_left_out(dropouts[i])]
    if pool != "last" and not each_point:
        layers.append(GlobalPool(pool))
    shares = dropouts[len(widths) :]
    for width, name, share in zip(hidden, _activations(activation, hidden), shares, strict=True):
        layers.append(Conv(width, 1, name) if each_point else Dense(width, name))
        layers += _left_out(share)
    return tuple(layers)


def _left_out(share: Any) -> list[Layer]:
    return [Dropout(float(share))] if share else []


def _widths(units: Any) -> tuple[Any, ...]:
    """Return the units of each recurrent layer."""
    if is_int(units):
        return (units,)
    if isinstance(units, str) or not hasattr(units, "__len__") or not len(units):
        raise ValueError(
            f"units is an int, or a sequence of at least one for each recurrent layer: {units!r}."
        )
    found: tuple[Any, ...] = plain(units if hasattr(units, "tolist") else list(units))
    return found


def _activations(given: Any, hidden: Sequence[int]) -> tuple[str, ...]:
    """Return the activation of each dense layer."""
    if isinstance(given, str):
        return (given,) * len(hidden)
    if len(given) != len(hidden):
        raise ValueError(
            f"activation={given!r} has {len(given)} values, but there are {len(hidden)} hidden "
            "layers: give one for all of them, or one for each."
        )
    return tuple(plain(given))
