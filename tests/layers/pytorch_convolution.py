"""PyTorch's convolutions, one by one and in small networks, as expectations for ours.

    python tests/layers/pytorch_convolution.py        writes pytorch_convolution.json anew

needs NumPy and PyTorch. PyTorch pads by as many points on both sides; where 'same' reaches further
behind the end, zeros are put there before.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
ROWS, SHOWN = 5, 8  # rows of a single convolution, and those of whose outputs are kept
STEPS, RATE, BATCH, OUTPUTS = 20, 0.02, 17, 3
SAMPLES, EPSILON = 40, 1e-4

# name -> (shape of a row, filters, kernel, stride, dilation, groups, padding)
LAYERS = {
    "series": ((3, 17), 5, (4,), (1,), (1,), 1, "same"),
    "series, stride and dilation": ((2, 23), 4, (3,), (2,), (3,), 1, "same"),
    "series, valid, groups": ((4, 16), 6, (5,), (3,), (1,), 2, "valid"),
    "series of fewer points than the kernel": ((2, 4), 3, (9,), (1,), (1,), 1, "same"),
    "image": ((2, 9, 7), 5, (3, 3), (1, 1), (1, 1), 1, "same"),
    "image, even kernel": ((3, 8, 5), 4, (2, 4), (1, 1), (1, 1), 1, "same"),
    "image, stride and dilation": ((2, 13, 11), 3, (3, 2), (2, 3), (2, 1), 1, "same"),
    "image, valid": ((3, 10, 9), 7, (5, 4), (1, 1), (1, 1), 1, "valid"),
    "image, valid, stride": ((1, 12, 15), 8, (3, 5), (3, 2), (1, 2), 1, "valid"),
    "image, a channel each": ((6, 7, 6), 6, (3, 3), (1, 1), (1, 1), 6, "same"),
    "image, groups": ((6, 8, 8), 9, (3, 3), (2, 1), (1, 2), 3, "same"),
}
# name -> (shape of a row, activation, solver, convolutions as above but for the shape)
NETWORKS = {
    "images, momentum": (
        (2, 9, 8), "relu", "sgd",
        [(6, (3, 3), (1, 1), (1, 1), 1, "same"), (8, (3, 2), (2, 1), (1, 1), 2, "valid")],
    ),
    "images, AdamW": (
        (1, 8, 8), "tanh", "adamw",
        [(5, (3, 3), (1, 1), (1, 1), 1, "same"), (4, (3, 3), (1, 1), (2, 2), 1, "same")],
    ),
    "series, momentum": (
        (3, 20), "tanh", "sgd",
        [(7, (8,), (1,), (1,), 1, "same"), (6, (5,), (2,), (1,), 1, "same")],
    ),
    "series, AdamW": (
        (1, 24), "relu", "adamw",
        [(8, (5,), (1,), (2,), 1, "valid"), (6, (3,), (1,), (1,), 2, "same")],
    ),
}  # fmt: skip


def output_points(points, kernel, stride, dilation, padding):
    """Points that come out, and zeros in front of and behind those of each axis."""
    sizes, zeros = [], []
    for n, k, s, d in zip(points, kernel, stride, dilation):
        reach = d * (k - 1)
        count = -(-n // s) if padding == "same" else (n - reach - 1) // s + 1
        before = reach // 2 if padding == "same" else 0
        sizes.append(count)
        zeros.append((before, max(0, s * (count - 1) + reach - before - n + 1)))
    return tuple(sizes), zeros


def layer_problem(layer, seed):
    """(x, weights in our order, biases, what the outputs are multiplied with and summed)."""
    shape, filters, kernel, stride, dilation, groups, padding = layer
    rng = np.random.default_rng(seed)
    outputs, _ = output_points(shape[1:], kernel, stride, dilation, padding)
    return [
        rng.normal(size=(ROWS, *shape)),
        rng.normal(size=(*kernel, shape[0] // groups, filters)),
        rng.normal(size=filters),
        rng.normal(size=(ROWS, filters, *outputs)),
    ]


def network_problem(name):
    """(parameters layer by layer, X, classes, rows of each step)."""
    shape, _, _, convolutions = NETWORKS[name]
    rng, arrays = np.random.default_rng(sorted(NETWORKS).index(name) + 100), []
    channels, *points = shape
    for filters, kernel, stride, dilation, groups, padding in convolutions:
        weights = rng.normal(size=(*kernel, channels // groups, filters))
        arrays += [weights / np.sqrt(np.prod(weights.shape[:-1])), rng.normal(0, 0.2, filters)]
        points, _ = output_points(points, kernel, stride, dilation, padding)
        channels = filters
    size = channels * int(np.prod(points))
    arrays += [rng.normal(size=(size, OUTPUTS)) / np.sqrt(size), rng.normal(0, 0.2, OUTPUTS)]
    X = rng.normal(size=(SAMPLES, int(np.prod(shape))))
    y = rng.integers(0, OUTPUTS, SAMPLES)
    return arrays, X, y, [rng.permutation(SAMPLES)[:BATCH] for _ in range(STEPS)]


def of_pytorch(weights):
    """Weights in PyTorch's order of axes, (filters, channels, *kernel)."""
    axes = weights.ndim
    return weights.permute(axes - 1, axes - 2, *range(axes - 2))


def convolve_by_pytorch(torch, x, weights, biases, kernel, stride, dilation, groups, padding):
    _, zeros = output_points(x.shape[2:], kernel, stride, dilation, padding)
    functions = torch.nn.functional
    convolve = functions.conv1d if len(kernel) == 1 else functions.conv2d
    padded = functions.pad(x, [n for axis in reversed(zeros) for n in axis])
    return convolve(
        padded, of_pytorch(weights), biases, stride=stride, dilation=dilation, groups=groups
    )


def layer_of_pytorch(layer, seed=0):
    """Outputs, and gradients by x, weights and biases."""
    import torch

    *arrays, dz = layer_problem(layer, seed)
    x, weights, biases = (torch.tensor(array, requires_grad=True) for array in arrays)
    z = convolve_by_pytorch(torch, x, weights, biases, *layer[2:])
    (z * torch.tensor(dz)).sum().backward()
    return [z.detach().numpy(), *(one.grad.numpy() for one in (x, weights, biases))]


def network_of_pytorch(name):
    """Parameters after the steps, the loss of the last one, and outputs of some rows then."""
    import torch

    shape, activation, solver, convolutions = NETWORKS[name]
    arrays, X, y, steps = network_problem(name)
    parameters = [torch.tensor(array, requires_grad=True) for array in arrays]
    X, y = torch.tensor(X).reshape(-1, *shape), torch.tensor(y)
    optimizer = (
        torch.optim.AdamW(parameters, lr=RATE, eps=EPSILON, weight_decay=0.0)
        if solver == "adamw"
        else torch.optim.SGD(parameters, lr=RATE, momentum=0.9)
    )

    def logits_of(x):
        for number, (_, *options) in enumerate(convolutions):
            weights, biases = parameters[2 * number : 2 * number + 2]
            z = convolve_by_pytorch(torch, x, weights, biases, *options)
            x = torch.relu(z) if activation == "relu" else torch.tanh(z)
        return x.reshape(len(x), -1) @ parameters[-2] + parameters[-1]

    for rows in steps:
        loss = torch.nn.functional.cross_entropy(logits_of(X[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        outputs = torch.softmax(logits_of(X[:SHOWN]), dim=1)
    return [*(one.detach().numpy() for one in parameters), np.array(loss.item()), outputs.numpy()]


def all_of_pytorch():
    found = {name: layer_of_pytorch(layer) for name, layer in LAYERS.items()}
    return found | {name: network_of_pytorch(name) for name in NETWORKS}


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
