"""Recurrent layers by their definition: the part of the oracle (naive.py) that goes over series.

One row after the other, one point of time after the other. Rows of series are (n, channels, time).
A state is a tuple of vectors, (h,) or of an LSTM (h, c). `factors` are what dropout multiplies the
values of h by where they enter the recurrent product. A cell's parameters are the weights
(channels, gates units), the recurrent weights (units, gates units), the biases (gates units,) and
of a GRU the recurrent biases (units,).
"""

import numpy as np

from naive import ACTIVATIONS, DERIVATIVES, logistic

# --- cells: one point of one row -----------------------------------------------------------


def rnn_forward(x, state, parameters, factors, activation="tanh"):
    """The state behind a point, and what the way back needs."""
    w, u, b = parameters
    h = ACTIVATIONS[activation](x @ w + (state[0] * factors) @ u + b)
    return (h,), (x, state, h)


def rnn_backward(d_state, kept, parameters, factors, activation="tanh"):
    """Gradients by x, by the state before, and by each parameter, from that by the state behind."""
    w, u, _ = parameters
    x, (before,), h = kept
    dz = d_state[0] * DERIVATIVES[activation](h)
    found = [np.outer(x, dz), np.outer(before * factors, dz), dz]
    return dz @ w.T, ((dz @ u.T) * factors,), found


def gru_forward(x, state, parameters, factors):
    w, u, b, c = parameters
    (before,) = state
    of_x, of_h = np.split(x @ w + b, 3), np.split((before * factors) @ u, 3)
    r, z = logistic(of_x[0] + of_h[0]), logistic(of_x[1] + of_h[1])
    inner = of_h[2] + c
    n = np.tanh(of_x[2] + r * inner)
    return ((1 - z) * n + z * before,), (x, state, r, z, n, inner)


def gru_backward(d_state, kept, parameters, factors):
    w, u, *_ = parameters
    x, (before,), r, z, n, inner = kept
    (dh,) = d_state
    d_new = dh * (1 - z) * (1 - n**2)
    d_reset = d_new * inner * r * (1 - r)
    d_update = dh * (before - n) * z * (1 - z)
    of_x = np.concatenate([d_reset, d_update, d_new])
    of_h = np.concatenate([d_reset, d_update, d_new * r])
    found = [np.outer(x, of_x), np.outer(before * factors, of_h), of_x, d_new * r]
    return of_x @ w.T, (dh * z + (of_h @ u.T) * factors,), found


def lstm_forward(x, state, parameters, factors):
    w, u, b = parameters
    h, c = state
    i, f, g, o = np.split(x @ w + (h * factors) @ u + b, 4)
    i, f, g, o = logistic(i), logistic(f), np.tanh(g), logistic(o)
    cell = f * c + i * g
    return (o * np.tanh(cell), cell), (x, state, i, f, g, o, cell)


def lstm_backward(d_state, kept, parameters, factors):
    w, u, _ = parameters
    x, (h, c), i, f, g, o, cell = kept
    dh, dc = d_state
    dc = dc + dh * o * (1 - np.tanh(cell) ** 2)
    d_o = dh * np.tanh(cell) * o * (1 - o)
    d_i, d_f, d_g = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2)
    dz = np.concatenate([d_i, d_f, d_g, d_o])
    found = [np.outer(x, dz), np.outer(h * factors, dz), dz]
    return dz @ w.T, ((dz @ u.T) * factors, dc * f), found


CELLS = {
    "rnn": (rnn_forward, rnn_backward),
    "gru": (gru_forward, gru_backward),
    "lstm": (lstm_forward, lstm_backward),
}

# --- one series ----------------------------------------------------------------------------


def start_of(layer, dtype):
    """The state in front of a series."""
    return (np.zeros(layer.units, dtype),) * layer.states


def options_of(layer):
    return {"activation": layer.activation} if layer.kind == "rnn" else {}


def series_forward(layer, x, parameters, start, factors):
    """The states h at all points of a series (time, channels), the last state, and what is kept."""
    forward, state, states, kept = CELLS[layer.kind][0], start, [], []
    for point in x:
        state, of_point = forward(point, state, parameters, factors, **options_of(layer))
        states.append(state[0])
        kept.append(of_point)
    return np.array(states).reshape(len(x), layer.units), state, kept


def series_backward(layer, d_states, kept, parameters, factors):
    """Gradients by the series and by each parameter from those by h at all points."""
    backward, dtype = CELLS[layer.kind][1], d_states.dtype
    dx = np.zeros((len(kept), len(parameters[0])), dtype)
    totals, later = [np.zeros_like(one) for one in parameters], start_of(layer, dtype)
    for t in reversed(range(len(kept))):
        d_state = (d_states[t] + later[0], *later[1:])
        dx[t], later, found = backward(d_state, kept[t], parameters, factors, **options_of(layer))
        for total, one in zip(totals, found):
            total += one
        if layer.truncate is not None and t % layer.truncate == 0:
            later = start_of(layer, dtype)
    return dx, totals


# --- rows of series of unequal length --------------------------------------------------------


def of_directions(layer, parameters):
    """The parameters of each direction."""
    count = len(parameters) // layer.directions
    return [parameters[:count], parameters[count:]][: layer.directions]


def recurrent_forward(layer, x, parameters, lengths=None, starts=None, factors=None):
    """Outputs of a layer, the last states of its rows, and what `recurrent_backward` needs.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
    x : (n, channels, time)
    lengths : points that each row has, behind which outputs are 0; None where all have all
    starts : for each row the state in front of it, of a layer with one direction
    factors : for each direction (n, units), what dropout multiplies h by
    """
    lengths = [x.shape[2]] * len(x) if lengths is None else lengths
    units = layer.units
    sequences = np.zeros((len(x), units * layer.directions, x.shape[2]), x.dtype)
    ends, kept = np.zeros(sequences.shape[:2], x.dtype), {}
    last = [start_of(layer, x.dtype)] * len(x) if starts is None else list(starts)
    for i, n in enumerate(lengths):
        for d, own in enumerate(of_directions(layer, parameters)):
            way, rows = slice(None, None, -1 if d else 1), slice(d * units, (d + 1) * units)
            masks = 1.0 if factors is None else factors[d][i]
            start = last[i] if d == 0 else start_of(layer, x.dtype)
            states, state, kept[i, d] = series_forward(layer, x[i, :, :n].T[way], own, start, masks)
            sequences[i, rows, :n] = states[way].T
            ends[i, rows] = state[0]
            last[i] = state if d == 0 else last[i]
    outputs = sequences if layer.return_sequences else ends
    return outputs, last, (kept, lengths, factors)


def recurrent_backward(layer, delta, x, parameters, given):
    """Gradients by x and by each parameter from that by the outputs; starts are constants."""
    (kept, lengths, factors), dx = given, np.zeros_like(x)
    totals = [np.zeros_like(one) for one in parameters]
    for i, n in enumerate(lengths):
        for d, own in enumerate(of_directions(layer, parameters)):
            way = slice(None, None, -1 if d else 1)
            rows = slice(d * layer.units, (d + 1) * layer.units)
            d_states = np.zeros((n, layer.units), x.dtype)
            if layer.return_sequences:
                d_states[:] = delta[i, rows, :n].T[way]
            elif n:
                d_states[-1] = delta[i, rows]
            masks = 1.0 if factors is None else factors[d][i]
            back, found = series_backward(layer, d_states, kept[i, d], own, masks)
            dx[i, :, :n] += back[way].T
            for total, one in zip(of_directions(layer, totals)[d], found):
                total += one
    return dx, totals
