"""Whole networks for series and images in PyTorch, as expectations for ours.

    python tests/layers/pytorch_networks.py        writes pytorch_networks.json anew

needs NumPy and PyTorch. Of each network there are outputs, the loss of a minibatch and all its
gradients, and where twenty steps of each solver lead to, running statistics included.

A layer is a tuple: its kind, and then

- convolution: filters, kernel, stride, dilation, groups, padding, activation
- normalization: activation (it is over the minibatch)
- pooling: method, size, stride
- global_pooling: method
- residual: layers that it leads around
- flatten: nothing
- dense: units, activation
"""

import json
from pathlib import Path

import numpy as np
from pytorch_convolution import convolve_by_pytorch, output_points

FILE = Path(__file__).with_suffix(".json")
STEPS, RATE, BATCH, OUTPUTS = 20, 0.02, 13, 3
SAMPLES, EPSILON, MOMENTUM = 30, 1e-4, 0.9
STATISTICS_EPSILON, STATISTICS_SHARE = 1e-5, 0.1
SHOWN = 3  # rows of whose outputs, and elements of each array, that are kept
SOLVERS = "sgd", "adamw"


def convolution(filters, kernel, activation="relu", stride=1, dilation=1, groups=1, padding="same"):
    each = [one if isinstance(one, tuple) else (one,) * len(kernel) for one in (stride, dilation)]
    return "convolution", filters, kernel, *each, groups, padding, activation


def block(filters, kernel, activation="relu"):
    """Layers of a convolution that is normalized."""
    return [convolution(filters, kernel, "identity"), ("normalization", activation)]


END = ("dense", OUTPUTS, "identity")
# name -> (shape of a row, layers)
NETWORKS = {
    "LeNet": (
        (1, 14, 14),
        [
            convolution(3, (5, 5), "tanh"), ("pooling", "max", (2, 2), (2, 2)),
            convolution(5, (4, 4), padding="valid"), ("pooling", "max", (2, 2), (2, 2)),
            ("flatten",), ("dense", 7, "relu"), END,
        ],
    ),
    "LeNet of series": (
        (2, 30),
        [
            convolution(4, (5,)), ("pooling", "max", (2,), (2,)),
            convolution(6, (4,), "tanh", padding="valid"), ("pooling", "max", (3,), (2,)),
            ("flatten",), ("dense", 6, "tanh"), END,
        ],
    ),
    "FCN": (
        (2, 25),
        [
            *block(5, (8,)), *block(7, (5,)), *block(5, (3,)), ("global_pooling", "mean"), END,
        ],
    ),
    "FCN of images": (
        (1, 7, 6),
        [
            *block(4, (3, 3)), *block(6, (3, 2)), *block(4, (3, 3)), ("global_pooling", "mean"),
            END,
        ],
    ),
    "residual, of series": (
        (2, 17),
        [
            *block(5, (4,)), *block(5, (5,)), *block(5, (3,), "identity"), ("residual", 4),
            *block(5, (3,)), ("residual", 2), ("global_pooling", "mean"), END,
        ],
    ),
    "residual": (
        (3, 6, 7),
        [
            *block(3, (3, 3)), *block(3, (3, 3)), ("residual", 4),
            ("pooling", "mean", (2, 2), (2, 2)), ("flatten",), END,
        ],
    ),
    "strides, dilation and groups, of series": (
        (4, 33),
        [
            convolution(6, (4,), "tanh", stride=2, groups=2), ("pooling", "mean", (3,), (1,)),
            convolution(9, (3,), dilation=3, groups=3), convolution(8, (3,), padding="valid"),
            ("global_pooling", "max"), END,
        ],
    ),
    "strides, dilation and groups": (
        (2, 13, 12),
        [
            convolution(4, (3, 4), stride=(1, 2), groups=2), ("pooling", "mean", (3, 2), (2, 1)),
            convolution(6, (3, 2), "tanh", dilation=(1, 2), groups=2),
            convolution(8, (2, 3), "identity", padding="valid"), ("normalization", "tanh"),
            ("global_pooling", "max"), END,
        ],
    ),
}  # fmt: skip


def parameters_of(layer, shape, rng):
    """Parameters as a layer keeps them; the last two of a normalization are its statistics."""
    if layer[0] == "normalization":
        n = shape[0]
        return [rng.normal(1, 0.3, n), rng.normal(0, 0.3, n), np.zeros(n), np.ones(n)]
    if layer[0] == "convolution":
        _, filters, kernel, _, _, groups, *_ = layer
        fan = *kernel, shape[0] // groups, filters
    elif layer[0] == "dense":
        fan = shape[0], layer[1]
    else:
        return []
    return [rng.normal(size=fan) / np.sqrt(np.prod(fan[:-1])), rng.normal(0, 0.2, fan[-1])]


def shape_after(layer, shape):
    """(channels, *points), or (units,) of a vector; None where the layer does not fit."""
    channels, *points = shape
    if layer[0] == "convolution":
        _, filters, kernel, stride, dilation, groups, padding, _ = layer
        if channels % groups or filters % groups:
            return None
        points, _ = output_points(points, kernel, stride, dilation, padding)
        return (filters, *points) if min(points) > 0 else None
    if layer[0] == "pooling":
        points = [(n - k) // s + 1 for n, k, s in zip(points, *layer[2:])]
        return (channels, *points) if min(points) > 0 else None
    after = {"global_pooling": (channels,), "flatten": (int(np.prod(shape)),)}
    return (layer[1],) if layer[0] == "dense" else after.get(layer[0], shape)


def problem(shape, layers, seed):
    """(parameters layer by layer, X, classes, rows of each step)."""
    rng, arrays = np.random.default_rng(seed), []
    X = rng.normal(size=(SAMPLES, int(np.prod(shape))))
    for layer in layers:
        arrays.append(parameters_of(layer, shape, rng))
        shape = shape_after(layer, shape)
    y = rng.integers(0, OUTPUTS, SAMPLES)
    return arrays, X, y, [rng.permutation(SAMPLES)[:BATCH] for _ in range(STEPS)]


def torch_on_one_thread():
    """PyTorch, whose threads wait for each other longer than networks as small as these take."""
    import torch

    torch.set_num_threads(1)
    return torch


class NetworkOfPyTorch:
    """A network with these parameters."""

    def __init__(self, torch, shape, layers, arrays):
        self.torch, self.shape, self.layers = torch, shape, layers
        self.parameters = [[torch.tensor(one) for one in held] for held in arrays]
        self.trained = [one for held in self.parameters for one in held[:2]]
        for one in self.trained:
            one.requires_grad_()

    def logits(self, x, training=False):
        """What goes into the softmax; running statistics follow in training."""
        before, x = [], x.reshape(-1, *self.shape)
        for layer, held in zip(self.layers, self.parameters):
            before.append(x)
            x = before[-1 - layer[1]] + x if layer[0] == "residual" else self.after(
                layer, x, held, training
            )  # fmt: skip
        return x

    def after(self, layer, x, held, training):
        kind, *options = layer
        functions, axes = self.torch.nn.functional, x.ndim - 2
        if kind == "flatten":
            return x.flatten(1)
        if "pooling" in kind:
            # max_pool gives the delta of a maximum to the first point that has it, max does not say
            method, *sizes = [*options, x.shape[2:]] if kind == "global_pooling" else options
            name = "max" if method == "max" else "avg"
            found = getattr(functions, f"{name}_pool{axes}d")(x, *sizes)
            return found.flatten(1) if kind == "global_pooling" else found
        if kind == "convolution":
            x = convolve_by_pytorch(self.torch, x, *held, *options[1:-1])
        elif kind == "dense":
            x = x @ held[0] + held[1]
        else:
            scale, shift, *running = held
            x = functions.batch_norm(
                x, *running, scale, shift, training, STATISTICS_SHARE, STATISTICS_EPSILON
            )
        phi = {"relu": self.torch.relu, "tanh": self.torch.tanh}
        return phi.get(options[-1], lambda z: z)(x)

    def loss(self, x, y):
        return self.torch.nn.functional.cross_entropy(self.logits(x, training=True), y)

    def outputs(self, x):
        with self.torch.no_grad():
            return self.torch.softmax(self.logits(x), dim=1).numpy()

    def arrays(self):
        return [one.detach().numpy().copy() for held in self.parameters for one in held]


def gradients_of_pytorch(shape, layers, seed):
    """[outputs, loss of a minibatch, gradient by each parameter that is trained]."""
    torch = torch_on_one_thread()
    arrays, X, y, steps = problem(shape, layers, seed)
    network = NetworkOfPyTorch(torch, shape, layers, arrays)
    X, y = torch.tensor(X), torch.tensor(y)
    outputs = network.outputs(X)  # before the statistics move
    loss = network.loss(X[steps[0]], y[steps[0]])
    loss.backward()
    return [outputs, np.array(loss.item()), *(one.grad.numpy() for one in network.trained)]


def steps_of_pytorch(shape, layers, seed, solver):
    """Parameters and statistics after the steps, the loss of the last one, and outputs then."""
    torch = torch_on_one_thread()
    arrays, X, y, steps = problem(shape, layers, seed)
    network = NetworkOfPyTorch(torch, shape, layers, arrays)
    X, y = torch.tensor(X), torch.tensor(y)
    optimizer = (
        torch.optim.AdamW(network.trained, lr=RATE, eps=EPSILON, weight_decay=0.0)
        if solver == "adamw"
        else torch.optim.SGD(network.trained, lr=RATE, momentum=MOMENTUM)
    )
    for rows in steps:
        loss = network.loss(X[rows], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [*network.arrays(), np.array(loss.item()), network.outputs(X)]


def seed_of(name):
    return sorted(NETWORKS).index(name) + 300


def all_of_pytorch():
    found = {}
    for name, network in NETWORKS.items():
        found[name] = gradients_of_pytorch(*network, seed_of(name))
        for solver in SOLVERS:
            found[f"{name}, {solver}"] = steps_of_pytorch(*network, seed_of(name), solver)
    return found


def brief(array):
    """What is stored of an array: two sums, which see every element, and some elements."""
    values = np.ravel(array)
    return np.array([values.sum(), values @ np.cos(np.arange(values.size)), *values[:SHOWN]])


def stored():
    """What PyTorch has found, by name, as `brief` has it."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    lists = {name: [brief(a).tolist() for a in arrays] for name, arrays in all_of_pytorch().items()}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in lists.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
