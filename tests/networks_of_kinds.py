"""A small network with each example of every kind of layer, on all forms of rows that it takes."""

from dataclasses import replace

import numpy as np

from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network
from nnjit.layers.registry import find_kind, kinds

OUTPUTS = 2
# What a row may be; a layer is tried on all that it takes.
SHAPES = {"vector": 4, "series": (2, 9), "image": (2, 4, 5)}


def takes(layer, shape):
    try:
        layer.outputs(shape)
    except ValueError:
        return False
    return True


LAYERS = [
    (kind, number, form)
    for kind in kinds()
    for number, layer in enumerate(find_kind(kind).examples())
    for form, shape in SHAPES.items()
    if takes(layer, shape)
]


def network(kind, number, form, place):
    """A network with the layer, which has below it those that it may lead around."""
    layer, shape = find_kind(kind).examples()[number], SHAPES[form]
    if getattr(layer, "changes_rows", False):
        place = "first"  # nothing that is trained may lie below it
    if form == "vector":
        below = (Dense(5, "tanh"),) if place == "second" else ()
        around = Dense(below[-1].units if below else shape, "relu")
    else:
        below = (Conv(4, 3, "tanh"),) if place == "second" else ()
        around = Conv(below[-1].filters if below else shape[0], 3, "relu")
    if hasattr(layer, "back"):  # its weights are no square matrix
        layer, around = replace(layer, units=around.units), Dense(3, "relu")
    layers = [*below, *(around,) * getattr(layer, "span", getattr(layer, "back", 0)), layer]
    if isinstance(layer.outputs(shape), tuple):
        layers.append(Flatten())
    layers.append(Dense(OUTPUTS, "identity"))
    given = shape if isinstance(shape, tuple) else ()
    return Network(size_of(shape), tuple(layers), "squared_error", "identity", shape=given)


def parameters(network, dtype, seed=0):
    rng, found = np.random.default_rng(seed), []
    for _, one in network.parameters():
        values = (rng.standard_normal(one.shape) / 2).astype(dtype)
        values = np.sort(values) if one.name == "edges" else values
        found.append(np.abs(values) if one.name == "variance" else values)
    return found
