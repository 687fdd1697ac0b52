"""Whole networks of any layers, one layer after the other, for the oracle (naive.py).

A pass over a layer takes what comes in, (n, channels, *points) or (n, values), its parameters and
the points that each row of series has, behind which values are 0; None where all have all.
"""

import numpy as np

import naive
import naive_recurrence

# Each: (layer, x, parameters, lengths, training) -> outputs and what the way back needs, and
# (layer, delta, x, parameters, kept) -> gradients by x and by each parameter.


def dense_forward(layer, x, parameters, lengths, training):
    h = naive.dense_forward(x, *parameters, layer.activation)
    return h, h


def dense_backward(layer, delta, x, parameters, h):
    dx, *gradients = naive.dense_backward(delta, x, parameters[0], h, layer.activation)
    return dx, gradients


def options_of(layer, axes):
    sizes = [
        one if isinstance(one, tuple) else (one,) * axes for one in (layer.stride, layer.dilation)
    ]
    return *sizes, layer.groups, layer.padding


def rows_alone(x, lengths):
    """Each row of series as far as it goes, (1, channels, points)."""
    lengths = [x.shape[-1]] * len(x) if lengths is None else lengths
    return [row[np.newaxis, ..., :n] for row, n in zip(x, lengths)]


def put_together(rows, shape, dtype):
    """Rows of unequal length, 0 behind their ends."""
    found = np.zeros((len(rows), *shape), dtype)
    for values, row in zip(found, rows):
        values[..., : row.shape[-1]] = row[0]
    return found


def convolution_forward(layer, x, parameters, lengths, training):
    options, rows = options_of(layer, x.ndim - 2), rows_alone(x, lengths)
    phi, empty = naive.ACTIVATIONS[layer.activation], np.zeros((1, layer.filters, 0))
    found = [
        phi(naive.convolve(row, *parameters, *options)) if layer.length(row.shape[-1]) else empty
        for row in rows
    ]
    return put_together(found, layer.outputs(x.shape[1:]), x.dtype), (rows, found)


def convolution_backward(layer, delta, x, parameters, kept):
    totals, back = [np.zeros_like(one) for one in parameters], []
    for row, h, d in zip(*kept, delta):
        if not h.shape[-1]:
            back.append(np.zeros_like(row))
            continue
        dz = d[np.newaxis, ..., : h.shape[-1]] * naive.DERIVATIVES[layer.activation](h)
        dx, *found = naive.convolve_backward(dz, row, parameters[0], *options_of(layer, x.ndim - 2))
        back.append(dx)
        totals = [a + b for a, b in zip(totals, found)]
    return put_together(back, x.shape[1:], x.dtype), totals


def windows_of(layer, x):
    axes = layer.axes(x.shape[1:])
    return tuple(axis[1] for axis in axes), tuple(axis[2] for axis in axes)


def pooling_forward(layer, x, parameters, lengths, training):
    return naive.pool_forward(x, layer.method, *windows_of(layer, x), lengths), lengths


def pooling_backward(layer, delta, x, parameters, lengths):
    return naive.pool_backward(delta, x, layer.method, *windows_of(layer, x), lengths), []


def global_pooling_forward(layer, x, parameters, lengths, training):
    return naive.global_pool_forward(x, layer.method, lengths), lengths


def global_pooling_backward(layer, delta, x, parameters, lengths):
    return naive.global_pool_backward(delta, x, layer.method, lengths), []


def normalization_forward(layer, x, parameters, lengths, training):
    scale, shift, *running = parameters
    statistics = () if training else running
    if x.ndim == 2:
        z = naive.normalize(x, scale, shift, 0, *statistics)
    else:
        z = naive.normalize_channels(x, scale, shift, lengths, *statistics)
    there = naive.points_there(x, lengths)
    h = naive.ACTIVATIONS[layer.activation](z) * (there[:, np.newaxis] if x.ndim > 2 else 1)
    return h, (h, lengths)


def normalization_backward(layer, delta, x, parameters, kept):
    h, lengths = kept
    dz = delta * naive.DERIVATIVES[layer.activation](h)
    if x.ndim == 2:
        dx, *gradients = naive.normalize_backward(dz, x, parameters[0], 0)
    else:
        dx, *gradients = naive.normalize_channels_backward(dz, x, parameters[0], lengths)
    return dx, [*gradients, None, None]  # none by the running statistics


def embedding_forward(layer, x, parameters, lengths, training):
    return naive.embed(x, *parameters, layer.levels), None


def embedding_backward(layer, delta, x, parameters, kept):
    dx, gradient = naive.embed_backward(delta, x, *parameters, layer.levels)
    return dx, [gradient]


def flatten_forward(layer, x, parameters, lengths, training):
    return x.reshape(len(x), -1), None


def flatten_backward(layer, delta, x, parameters, kept):
    return delta.reshape(x.shape), []


def recurrence_forward(layer, x, parameters, lengths, training):
    outputs, _, kept = naive_recurrence.recurrent_forward(layer, x, parameters, lengths)
    return outputs, kept


def recurrence_backward(layer, delta, x, parameters, kept):
    return naive_recurrence.recurrent_backward(layer, delta, x, parameters, kept)


def scaling_forward(layer, x, parameters, lengths, training):
    return naive.scaling_forward(x, *parameters), None


def scaling_backward(layer, delta, x, parameters, kept):
    dx, *gradients = naive.scaling_backward(delta, x, *parameters)
    return dx, gradients


def parametric_forward(layer, x, parameters, lengths, training):
    there = naive.points_there(x, lengths)[:, np.newaxis] if x.ndim > 2 else 1
    return naive.parametric_forward(x, *parameters, layer.activation) * there, there


def parametric_backward(layer, delta, x, parameters, there):
    dx, *gradients = naive.parametric_backward(delta * there, x, *parameters, layer.activation)
    return dx, gradients


PASSES = {
    "convolution": (convolution_forward, convolution_backward),
    "dense": (dense_forward, dense_backward),
    "embedding": (embedding_forward, embedding_backward),
    "flatten": (flatten_forward, flatten_backward),
    "global_pooling": (global_pooling_forward, global_pooling_backward),
    "normalization": (normalization_forward, normalization_backward),
    "parametric": (parametric_forward, parametric_backward),
    "pooling": (pooling_forward, pooling_backward),
    "scaling": (scaling_forward, scaling_backward),
    **dict.fromkeys(naive_recurrence.CELLS, (recurrence_forward, recurrence_backward)),
}


def by_layer(network, arrays):
    """The parameters of each layer."""
    found = [[] for _ in network.layers]
    for (number, _), array in zip(network.parameters(), arrays):
        found[number].append(array)
    return found


def forward(network, arrays, x, lengths=None, training=True):
    """What comes into each layer, the outputs last; and what each layer keeps."""
    values, kept = [x.reshape(len(x), *(network.shape or (-1,)))], []
    for number, (layer, own) in enumerate(zip(network.layers, by_layer(network, arrays))):
        given = values[-1]
        if layer.kind == "residual":
            values.append(given + values[number - layer.span])
            kept.append(None)
            continue
        behind = network.lengths[number]
        there = None if lengths is None or behind is None else [behind[n] for n in lengths]
        outputs, more = PASSES[layer.kind][0](layer, given, own, there, training)
        values.append(outputs)
        kept.append(more)
    return values, kept


def backward(network, arrays, values, kept, delta):
    """Gradient by each parameter from that by the outputs; None by running statistics."""
    found, deltas = [], [0] * len(network.layers) + [delta]
    layers = list(enumerate(zip(network.layers, by_layer(network, arrays))))
    for number, (layer, own) in reversed(layers):
        if layer.kind == "residual":
            deltas[number] = deltas[number] + deltas[number + 1]
            deltas[number - layer.span] = deltas[number - layer.span] + deltas[number + 1]
            continue
        dx, gradients = PASSES[layer.kind][1](
            layer, deltas[number + 1], values[number], own, kept[number]
        )
        deltas[number] = deltas[number] + dx
        found = [*gradients, *found]
    return found


def squared_error(network, arrays, x, y, lengths=None, w=None):
    """Mean of (y - outputs)^2 / 2 and its gradient by each parameter.

    y is (n, K), or (n, time, K) where each point that a row has is a sample with the row's weight.
    """
    values, kept = forward(network, arrays, x, lengths)
    w = np.ones(len(x)) if w is None else w
    if y.ndim == 3:
        there = naive.points_there(values[-1], lengths)
        outputs, targets = values[-1].transpose(0, 2, 1)[there], y[there]
        w = np.repeat(w, there.sum(axis=1))
    else:
        outputs, targets = values[-1], y
    share = (w / w.sum())[:, np.newaxis]
    loss, each = naive.squared_error(targets, outputs, w), (outputs - targets) / y.shape[-1] * share
    delta = each
    if y.ndim == 3:
        delta = np.zeros_like(values[-1])
        delta.transpose(0, 2, 1)[there] = each
    return loss, backward(network, arrays, values, kept, delta)
