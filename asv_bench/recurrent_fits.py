"""Training steps and predictions of recurrent networks by PyTorch and by JAX.

One recurrent layer, its last states, and a dense layer; each function takes what has been imported
and the samples, and returns what runs one epoch, and what predicts one row.
"""

from __future__ import annotations

import numpy as np
from benchmarks.network_cases import make_parameters
from peer_fits import BETAS, EPSILON, LEARNING_RATE

__all__ = ["jax_recurrent", "torch_recurrent"]


def _series(case, X):
    """(n, time, channels) with zeros behind the ends, and the lengths; no point that none has."""
    series = X.reshape(-1, *case.shape).transpose(0, 2, 1)
    lengths = (~np.isnan(series[:, :, 0])).sum(axis=1)
    return np.nan_to_num(series[:, : lengths.max()], copy=True), lengths


# -- PyTorch ------------------------------------------------------------------------------


def torch_recurrent(torch, case, X, y, packed):
    """Minibatches are padded to their longest series, or packed."""
    series, lengths = _series(case, X)
    inputs, target = torch.from_numpy(series), torch.from_numpy(y)
    lengths = torch.from_numpy(lengths)
    model = _torch_module(torch, case, packed).to(inputs.dtype)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, BETAS, EPSILON, fused=True)
    loss_function = torch.nn.CrossEntropyLoss()

    def epoch():
        model.train()
        for rows in torch.split(torch.randperm(len(inputs)), case.batch):
            optimizer.zero_grad(set_to_none=True)
            loss_function(model(inputs[rows], lengths[rows]), target[rows]).backward()
            optimizer.step()

    def predict():
        model.eval()
        with torch.inference_mode():
            return model(inputs[:1], lengths[:1]).numpy()

    return epoch, predict


def _torch_module(torch, case, packed):
    """The network in PyTorch."""
    nn, (layer,) = torch.nn, case.layers
    kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[layer.kind]

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = kind(case.shape[0], layer.units)
            self.output = nn.Linear(layer.units, case.classes)

        def forward(self, x, lengths):
            if packed:
                series = nn.utils.rnn.pack_padded_sequence(
                    x, lengths, batch_first=True, enforce_sorted=False
                )
                states = self.cells(series)[1]
                return self.output((states[0] if layer.kind == "lstm" else states)[-1])
            states, _ = self.cells(x[:, : lengths.max()].transpose(0, 1))
            return self.output(states[lengths - 1, torch.arange(len(lengths))])

    return Recurrent()


# -- JAX ----------------------------------------------------------------------------------


def jax_recurrent(jax, case, X, y):
    """A step is compiled as a whole, for series padded to the longest of all."""
    np_ = jax.numpy
    series, lengths = _series(case, X)
    x, lengths, y = np_.asarray(series), np_.asarray(lengths), np_.asarray(y)
    network = case.network
    names = [parameter.name for _, parameter in network.parameters()]
    values = list(make_parameters(network, x.dtype))
    last = len(values) - 2  # the dense layer's follow the recurrent one's
    cells = {name: np_.asarray(value) for name, value in zip(names[:last], values)}
    parameters = {"cells": cells, "output": [np_.asarray(value) for value in values[last:]]}
    logits = _jax_logits(jax, case)

    def loss(parameters, x, lengths, y):
        scores = jax.nn.log_softmax(logits(parameters, x, lengths))
        return -np_.take_along_axis(scores, y[:, None], 1).mean()

    def step(parameters, moments, number, x, lengths, y, rows):
        gradient = jax.grad(loss)(parameters, x[rows], lengths[rows], y[rows])
        return *_jax_adam(jax, parameters, moments, number + 1, gradient), number + 1

    step = jax.jit(step, donate_argnums=(0, 1))
    zeros = jax.tree.map(np_.zeros_like, parameters)
    state = [parameters, (zeros, jax.tree.map(np_.zeros_like, parameters)), np_.asarray(0)]
    rng = np.random.default_rng(0)

    def epoch():
        order = rng.permutation(len(x))
        for first in range(0, len(order), case.batch):
            state[:] = step(*state, x, lengths, y, order[first : first + case.batch])
        jax.block_until_ready(state)

    one, forward = (x[:1], lengths[:1]), jax.jit(logits)
    return epoch, lambda: np.asarray(forward(state[0], *one))


def _jax_adam(jax, parameters, moments, number, gradient):
    """Parameters and moments after a step of Adam."""
    first, second = BETAS
    m = jax.tree.map(lambda m, g: first * m + (1 - first) * g, moments[0], gradient)
    v = jax.tree.map(lambda v, g: second * v + (1 - second) * g * g, moments[1], gradient)

    def moved(w, m, v):
        m, v = m / (1 - first**number), v / (1 - second**number)
        return (w - LEARNING_RATE * m / (jax.numpy.sqrt(v) + EPSILON)).astype(w.dtype)

    return jax.tree.map(moved, parameters, m, v), (m, v)


def _jax_logits(jax, case):
    """Function (parameters, series, lengths): the inputs of all points in one product, a scan."""
    np_, (layer,) = jax.numpy, case.layers
    cell = {"rnn": _jax_rnn, "gru": _jax_gru, "lstm": _jax_lstm}[layer.kind]

    def logits(parameters, x, lengths):
        own, (weights, biases) = parameters["cells"], parameters["output"]
        projected = np_.swapaxes(x, 0, 1) @ own["weights"] + own["biases"]
        zeros = np_.zeros((len(x), layer.units), x.dtype)

        def point(carried, here):
            t, gates = here
            new = cell(jax, own, carried, gates)
            there = (t < lengths)[:, None]
            return tuple(np_.where(there, a, b) for a, b in zip(new, carried)), None

        states, _ = jax.lax.scan(
            point, (zeros,) * layer.states, (np_.arange(x.shape[1]), projected)
        )
        return states[0] @ weights + biases

    return logits


def _jax_rnn(jax, own, carried, gates):
    return (jax.numpy.tanh(gates + carried[0] @ own["recurrent_weights"]),)


def _jax_gru(jax, own, carried, gates):
    (h,) = carried
    r, z, n = jax.numpy.split(gates, 3, 1)
    of_r, of_z, of_n = jax.numpy.split(h @ own["recurrent_weights"], 3, 1)
    r, z = jax.nn.sigmoid(r + of_r), jax.nn.sigmoid(z + of_z)
    n = jax.numpy.tanh(n + r * (of_n + own["recurrent_biases"]))
    return (n + z * (h - n),)


def _jax_lstm(jax, own, carried, gates):
    h, c = carried
    i, f, g, o = jax.numpy.split(gates + h @ own["recurrent_weights"], 4, 1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
    return jax.nn.sigmoid(o) * jax.numpy.tanh(c), c
