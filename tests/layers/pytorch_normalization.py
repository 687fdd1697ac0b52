"""Fifty steps of PyTorch's normalizations on small networks, as expectations for ours.

    python tests/layers/pytorch_normalization.py        writes pytorch_normalization.json anew

needs NumPy and PyTorch. A hidden layer is Linear, BatchNorm1d or LayerNorm, the activation, and the
sum with its inputs where there are residual layers; the loss of a minibatch is the weighted mean
cross-entropy behind a softmax.

Of series and images there are two batch normalizations, BatchNorm1d on (rows, channels, time) or
BatchNorm2d, each with the activation behind it, and Linear on all that comes out: loss and
gradients of the first minibatch, and the same number of steps.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
UNITS, STEPS, RATE, MOMENTUM = (5, 5, 6, 6, 3), 50, 0.05, 0.9
ROWS, BATCH = 360, 36
LARGE = 300  # rows of a minibatch of more than one block
SHOWN = 8  # rows whose outputs are compared

# name -> (normalization, residual, activation, weighted, rows of a minibatch)
CASES = {
    "batch": ("batch", False, "relu", False, BATCH),
    "batch, tanh, weighted": ("batch", False, "tanh", True, BATCH),
    "batch, residual": ("batch", True, "relu", False, BATCH),
    "batch, large": ("batch", False, "logistic", False, LARGE),
    "layer": ("layer", False, "relu", False, BATCH),
    "layer, residual, weighted": ("layer", True, "tanh", True, BATCH),
    "layer, large": ("layer", True, "relu", False, LARGE),
    "residual": (None, True, "relu", False, BATCH),
}

CLASSES = 3
# name -> (shape of a row, activation, weighted, rows of a minibatch)
ARRAY_CASES = {
    "series": ((3, 11), "relu", False, BATCH),
    "series, tanh, weighted": ((2, 7), "tanh", True, BATCH),
    "series, large": ((2, 5), "logistic", False, LARGE),
    "images": ((3, 4, 5), "relu", False, BATCH),
    "images, tanh, weighted": ((2, 3, 3), "tanh", True, BATCH),
}


def problem(method, batch):
    """(parameters layer by layer, X, classes, weights, order of the rows in each epoch)."""
    rng = np.random.default_rng(7)
    arrays = []
    for depth, (fan_in, fan_out) in enumerate(zip(UNITS, UNITS[1:])):
        arrays += [rng.normal(0, 0.7, (fan_in, fan_out)), rng.normal(0, 0.2, fan_out)]
        if method and depth < len(UNITS) - 2:
            arrays += [rng.normal(1, 0.3, fan_out), rng.normal(0, 0.3, fan_out)]
            if method == "batch":
                arrays += [np.zeros(fan_out), np.ones(fan_out)]
    X, y = rng.normal(1.0, 2.0, (ROWS, UNITS[0])), rng.integers(0, UNITS[-1], ROWS)
    w = rng.uniform(0.5, 2.0, ROWS)
    epochs = -(-STEPS // (ROWS // batch))
    return arrays, X, y, w, np.array([rng.permutation(ROWS) for _ in range(epochs)])


def minibatches(orders, batch):
    """Rows of each step; the rest of an epoch is a smaller minibatch."""
    cut = [order[start : start + batch] for order in orders for start in range(0, ROWS, batch)]
    return cut[:STEPS]


def network_of_pytorch(torch, method, activation, arrays):
    """(dense layers, normalizations, activation) with these parameters."""
    nn, given = torch.nn, iter([torch.tensor(array) for array in arrays])
    dense, normalizations = nn.ModuleList(), nn.ModuleList()
    for depth, (fan_in, fan_out) in enumerate(zip(UNITS, UNITS[1:])):
        layer = nn.Linear(fan_in, fan_out, dtype=torch.float64)
        layer.weight.data, layer.bias.data = next(given).T.contiguous(), next(given)
        dense.append(layer)
        if method and depth < len(UNITS) - 2:
            kind = nn.BatchNorm1d if method == "batch" else nn.LayerNorm
            layer = kind(fan_out, dtype=torch.float64)
            layer.weight.data, layer.bias.data = next(given), next(given)
            if method == "batch":
                layer.running_mean, layer.running_var = next(given), next(given)
            normalizations.append(layer)
    phi = {"relu": torch.relu, "tanh": torch.tanh, "logistic": torch.sigmoid}[activation]
    return nn.ModuleList([dense, normalizations]), phi


def logits_of_pytorch(net, phi, residual, x):
    dense, normalizations = net
    for depth, layer in enumerate(dense[:-1]):
        h = layer(x)
        h = phi(normalizations[depth](h) if len(normalizations) else h)
        x = h + x if residual and h.shape == x.shape else h
    return dense[-1](x)


def arrays_of_pytorch(net):
    """Parameters and running statistics, layer by layer."""
    dense, normalizations = net
    found = []
    for depth, layer in enumerate(dense):
        found += [layer.weight.T, layer.bias]
        if depth < len(normalizations):
            normalization = normalizations[depth]
            found += [normalization.weight, normalization.bias]
            if hasattr(normalization, "running_mean"):
                found += [normalization.running_mean, normalization.running_var]
    return [tensor.detach().numpy().copy() for tensor in found]


def steps_of_pytorch(method, residual, activation, weighted, batch):
    """Parameters after the steps, the loss of the last one, and outputs of some rows then."""
    import torch

    arrays, X, y, w, orders = problem(method, batch)
    net, phi = network_of_pytorch(torch, method, activation, arrays)
    X, y = torch.tensor(X), torch.tensor(y)
    w = torch.tensor(w) if weighted else torch.ones(ROWS, dtype=torch.float64)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM)
    for rows in minibatches(orders, batch):
        logits = logits_of_pytorch(net, phi, residual, X[rows])
        losses = torch.nn.functional.cross_entropy(logits, y[rows], reduction="none")
        loss = (losses * w[rows]).sum() / w[rows].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        outputs = torch.softmax(logits_of_pytorch(net, phi, residual, X[:SHOWN]), dim=1)
    return [*arrays_of_pytorch(net), np.array(loss.item()), outputs.numpy()]


def array_problem(shape, batch):
    """(parameters layer by layer, X, classes, weights, order of the rows in each epoch)."""
    rng, channels, values = np.random.default_rng(8), shape[0], int(np.prod(shape))
    arrays = []
    for _ in range(2):
        arrays += [rng.normal(1, 0.3, channels), rng.normal(0, 0.3, channels)]
        arrays += [np.zeros(channels), np.ones(channels)]
    arrays += [rng.normal(0, 0.2, (values, CLASSES)), rng.normal(0, 0.2, CLASSES)]
    X, y = rng.normal(1.0, 2.0, (ROWS, *shape)), rng.integers(0, CLASSES, ROWS)
    w, epochs = rng.uniform(0.5, 2.0, ROWS), -(-STEPS // (ROWS // batch))
    return arrays, X, y, w, np.array([rng.permutation(ROWS) for _ in range(epochs)])


class Channels:
    """PyTorch's network on series or images."""

    def __init__(self, torch, shape, activation, arrays):
        nn, given = torch.nn, iter([torch.tensor(array) for array in arrays])
        kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
        self.normalizations = [kind(shape[0], dtype=torch.float64) for _ in range(2)]
        for layer in self.normalizations:
            layer.weight.data, layer.bias.data = next(given), next(given)
            layer.running_mean, layer.running_var = next(given), next(given)
        self.dense = nn.Linear(int(np.prod(shape)), CLASSES, dtype=torch.float64)
        self.dense.weight.data, self.dense.bias.data = next(given).T.contiguous(), next(given)
        self.phi = {"relu": torch.relu, "tanh": torch.tanh, "logistic": torch.sigmoid}[activation]

    def logits(self, x):
        for layer in self.normalizations:
            x = self.phi(layer(x))
        return self.dense(x.flatten(1))

    def trained(self):
        layers = [*self.normalizations, self.dense]
        return [one for layer in layers for one in (layer.weight, layer.bias)]

    def arrays(self):
        """Parameters and running statistics in our order."""
        found = []
        for layer in self.normalizations:
            found += [layer.weight, layer.bias, layer.running_mean, layer.running_var]
        found += [self.dense.weight.T, self.dense.bias]
        return [tensor.detach().numpy().copy() for tensor in found]


def array_steps_of_pytorch(shape, activation, weighted, batch):
    """First loss and gradients; parameters after the steps, the last loss, outputs of some rows."""
    import torch

    arrays, X, y, w, orders = array_problem(shape, batch)
    net, first = Channels(torch, shape, activation, arrays), []
    X, y = torch.tensor(X), torch.tensor(y)
    w = torch.tensor(w) if weighted else torch.ones(ROWS, dtype=torch.float64)
    optimizer = torch.optim.SGD(net.trained(), lr=RATE, momentum=MOMENTUM)
    for rows in minibatches(orders, batch):
        losses = torch.nn.functional.cross_entropy(net.logits(X[rows]), y[rows], reduction="none")
        loss = (losses * w[rows]).sum() / w[rows].sum()
        optimizer.zero_grad()
        loss.backward()
        slopes = [one.grad.T if one.ndim == 2 else one.grad for one in net.trained()]
        first = first or [np.array(loss.item()), *(one.numpy().copy() for one in slopes)]
        optimizer.step()
    for layer in net.normalizations:
        layer.eval()
    with torch.no_grad():
        outputs = torch.softmax(net.logits(X[:SHOWN]), dim=1)
    return [*first, *net.arrays(), np.array(loss.item()), outputs.numpy()]


def all_of_pytorch():
    return {
        **{name: steps_of_pytorch(*case) for name, case in CASES.items()},
        **{name: array_steps_of_pytorch(*case) for name, case in ARRAY_CASES.items()},
    }


def stored():
    """What PyTorch has found, by name."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    lists = {name: [a.tolist() for a in arrays] for name, arrays in all_of_pytorch().items()}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in lists.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
