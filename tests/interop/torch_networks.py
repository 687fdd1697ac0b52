"""Small fitted networks with every kind of layer, for the tests of PyTorch's modules."""

from dataclasses import replace

import numpy as np

from networks_of_kinds import OUTPUTS, SHAPES
from nnjit import NetworkRegressor
from nnjit.layers import Conv, Dense, Flatten
from nnjit.layers.layer import size_of
from nnjit.layers.registry import find_kind


def layers_with(kind, number, form):
    """Layers among which there is the example, with those below it that it leads around."""
    layer, shape = find_kind(kind).examples()[number], SHAPES[form]
    is_vector = form == "vector"
    units = shape if is_vector else shape[0]
    around = Dense(units, "relu") if is_vector else Conv(units, 3, "relu")
    if hasattr(layer, "back"):
        layer, around = replace(layer, units=shape), Dense(3, "relu")
    layers = [around] * getattr(layer, "span", getattr(layer, "back", 0)) + [layer]
    if not is_vector and isinstance(layer.outputs(shape), tuple):
        layers += [Conv(3, 2, "tanh"), Flatten()]
    return layers


def samples(form, dtype, n=23, seed=1):
    """Rows and targets; of series some end in NaN."""
    rng, shape = np.random.default_rng(seed), SHAPES[form]
    X = rng.standard_normal((n, size_of(shape)))
    if form == "series":
        for row, points in zip(X.reshape(n, *shape)[::3], [5, 3, 8, 4, 7, 6, 3, 9]):
            row[:, points:] = np.nan
    return X.astype(dtype), rng.standard_normal((n, OUTPUTS)).astype(dtype)


def with_random_parameters(estimator, seed=0):
    """The estimator with all that it has learned drawn anew."""
    rng, (network, arrays) = np.random.default_rng(seed), estimator._give_parameters()
    drawn = []
    for (_, one), array in zip(network.parameters(), arrays):
        values = (rng.standard_normal(one.shape) / 2).astype(array.dtype)
        values = np.sort(values) if one.name == "edges" else values
        drawn.append(np.abs(values) + 0.1 if one.name == "variance" else values)
    estimator._take_parameters(drawn)
    return estimator


def network_with(kind, number, form, dtype):
    """A fitted network with the layer, and rows and targets."""
    X, y = samples(form, dtype)
    shape = SHAPES[form]
    model = NetworkRegressor(
        layers_with(kind, number, form),
        input_shape=None if form == "vector" else shape,
        solver="sgd", random_state=0,
    )  # fmt: skip
    return with_random_parameters(model.partial_fit(X, y)), X, y


def equal(first, second):
    """Whether lists of arrays are the same to the bit."""
    return len(first) == len(second) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(first, second)
    )
