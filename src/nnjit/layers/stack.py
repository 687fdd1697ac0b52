"""A stack of layers as a user gives it: what is none, and the first layer that does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import is_dataclass
from numbers import Integral
from typing import Any

from nnjit.formulas import hidden_activations
from nnjit.formulas.registry import hint
from nnjit.layers.layer import Layer, Shape, size_of
from nnjit.layers.registry import find_kind, kinds

__all__ = ["check_points", "check_shapes", "checked_layers", "is_layer", "takes_vectors"]

# Values of a vector that any layer which takes vectors is content with.
_MANY = 2**40


def is_layer(given: Any) -> bool:
    """Whether this is a layer as data."""
    kind = getattr(given, "kind", None)
    known = isinstance(kind, str) and kind in kinds()
    return known and is_dataclass(given) and type(given) is find_kind(kind)


def checked_layers(given: Any) -> tuple[Layer, ...]:
    """Return what was given as layers.

    Parameters
    ----------
    given : iterable

    Returns
    -------
    tuple of Layer

    Raises
    ------
    ValueError
        If something is no layer, or its activation is none.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"layers must be a list of layer descriptions, got {given!r:.200}.")
    layers = tuple(given)
    for number, layer in enumerate(layers):
        if not is_layer(layer):
            raise ValueError(
                f"layers[{number}] is no layer description: {layer!r:.200}. Take those in "
                "nnjit.layers, such as Dense(100)."
            )
        name, known = getattr(layer, "activation", "identity"), hidden_activations()
        if name not in known:
            raise ValueError(
                f"layers[{number}], {layer}: activation must be one of {list(known)}, got "
                f"{name!r}{hint(name, 'activation')}."
            )
    return layers


def check_shapes(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    """Return the shape that comes out of layers.

    Parameters
    ----------
    layers : tuple of Layer
    shape : int or tuple of int
        Of what goes in.

    Returns
    -------
    int or tuple of int

    Raises
    ------
    ValueError
        That names the first layer that does not fit.
    """
    shapes = [shape]
    for number, layer in enumerate(layers):
        try:
            shapes.append(_outputs(layer, layers[:number], shapes))
        except ValueError as error:
            raise ValueError(f"layers[{number}], {layer}, does not fit: {error}") from None
    return shapes[-1]


def check_points(layers: tuple[Layer, ...], shape: Shape) -> None:
    """Check that every point of a series comes out of layers as it went in, at the same place.

    Parameters
    ----------
    layers : tuple of Layer
    shape : tuple of int
        (channels, time) of what goes in.

    Raises
    ------
    ValueError
        That names the first layer that does not keep the points.
    """
    for number, layer in enumerate(layers):
        where = f"layers[{number}], {layer}, does not go with a target at every point: "
        if getattr(layer, "moves", False):
            raise ValueError(where + "it moves the points, but not their targets.")
        before, shape = shape, layer.outputs(shape)
        if not isinstance(before, tuple) or not isinstance(shape, tuple) or len(shape) != 2:
            raise ValueError(
                f"{where}it makes {_words(shape)} of {_words(before)}. Layers such as Conv(n, 1), "
                "or recurrent ones with return_sequences=True, keep the points."
            )
        points, length = before[1], getattr(layer, "length", None)
        if shape[1] != points or (length is not None and length(1) != 1):
            raise ValueError(
                f"{where}of series of {points} points it leaves {shape[1]}. It has to keep all of "
                "them: no stride, no pooling, padding='same'."
            )


def _words(shape: Shape) -> str:
    """Return what values of a shape are."""
    return f"arrays of shape {shape}" if isinstance(shape, tuple) else f"{shape} values"


def _outputs(layer: Any, before: tuple[Layer, ...], shapes: list[Shape]) -> Shape:
    """Return what comes out of a layer, checked, by the layers before it and their shapes."""
    inputs = shapes[-1]
    if hasattr(layer, "settled"):
        layer = layer.settled(before, shapes)
    outputs = layer.outputs(inputs)
    size = size_of(outputs)
    if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
        raise ValueError(f"it has {outputs!r} outputs; there must be at least one.")
    span = getattr(layer, "span", None)
    if span is not None:
        if not isinstance(span, Integral) or not 1 <= span < len(shapes):
            raise ValueError(f"there are {len(shapes) - 1} layers before it, got span={span!r}.")
        source = shapes[-1 - span]
        if source != inputs:
            raise ValueError(f"it adds values of shape {source} to those of shape {inputs}.")
    return outputs


def takes_vectors(layers: Iterable[Layer]) -> bool:
    """Whether the rows that go in are vectors, not series or images.

    So it is unless a layer that takes arrays of channels only comes before one that takes vectors
    only.
    """
    for layer in layers:
        if not _takes(layer, _MANY):
            return False
        if not (_takes(layer, (1, 1)) or _takes(layer, (1, 1, 1))):
            return True
    return True


def _takes(layer: Layer, shape: Shape) -> bool:
    try:
        layer.outputs(shape)
    except ValueError:
        return False
    return True
