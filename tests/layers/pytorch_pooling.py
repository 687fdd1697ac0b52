"""PyTorch's pooling, outputs and gradients by the inputs, as expectations for ours.

    python tests/layers/pytorch_pooling.py        writes pytorch_pooling.json anew

needs NumPy and PyTorch. Values are whole numbers, so that there are many ties.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
ROWS = 3

# name -> (method, shape, size, stride); no size: over all points
CASES = {
    "max, image": ("max", (2, 6, 6), 2, 2),
    "max, image, left over": ("max", (1, 5, 7), 2, 2),
    "max, image, overlapping": ("max", (2, 7, 6), 3, 1),
    "max, image, by axis": ("max", (1, 7, 8), (3, 2), (2, 1)),
    "max, image, apart": ("max", (1, 6, 8), 2, 3),
    "max, constant": ("max", (1, 6, 6), 3, 2),
    "max, series": ("max", (3, 9), 2, 2),
    "max, series, overlapping": ("max", (2, 11), 4, 2),
    "mean, image": ("mean", (2, 6, 6), 2, 2),
    "mean, image, overlapping": ("mean", (1, 7, 6), 3, 2),
    "mean, image, by axis": ("mean", (1, 7, 8), (3, 2), (2, 1)),
    "mean, series": ("mean", (3, 9), 3, 3),
    "mean, series, overlapping": ("mean", (2, 11), 4, 1),
    "global mean, image": ("mean", (3, 4, 5), None, None),
    "global mean, series": ("mean", (2, 13), None, None),
    "global max, image": ("max", (3, 4, 5), None, None),
    "global max, series": ("max", (2, 13), None, None),
}
# Points that the rows have of series that are shorter than others.
LENGTHS = {"global mean, series": (13, 4, 1), "global max, series": (2, 13, 7)}


def inputs_of(name):
    _, shape, *_ = CASES[name]
    if "constant" in name:
        return np.full((ROWS, *shape), -2.0)
    x = np.random.default_rng(len(name)).integers(-2, 3, (ROWS, *shape)).astype(float)
    for row, length in zip(x, LENGTHS.get(name, ()), strict=name in LENGTHS):
        row[:, length:] = 0
    return x


def delta_of(name, shape):
    return np.random.default_rng(7).integers(-16, 17, (ROWS, *shape)) / 8


def pool_of_pytorch(torch, name, x):
    method, shape, size, stride = CASES[name]
    axes, functional = len(shape) - 1, torch.nn.functional
    if size is None:
        form = {"mean": f"adaptive_avg_pool{axes}d", "max": f"adaptive_max_pool{axes}d"}[method]
        return getattr(functional, form)(x, 1).flatten(1)
    form = {"mean": f"avg_pool{axes}d", "max": f"max_pool{axes}d"}[method]
    return getattr(functional, form)(x, size, stride)


def passes_of_pytorch(name):
    """Outputs, and the gradient by the inputs of the sum of outputs times delta."""
    import torch

    x = torch.tensor(inputs_of(name), requires_grad=True)
    if name in LENGTHS:  # each row by itself, without what is behind its end
        parts = [
            pool_of_pytorch(torch, name, x[i : i + 1, :, :n]) for i, n in enumerate(LENGTHS[name])
        ]
        outputs = torch.cat(parts)
    else:
        outputs = pool_of_pytorch(torch, name, x)
    delta = torch.tensor(delta_of(name, tuple(outputs.shape[1:])))
    (outputs * delta).sum().backward()
    return [outputs.detach().numpy(), x.grad.numpy()]


def all_of_pytorch():
    return {name: passes_of_pytorch(name) for name in CASES}


def stored():
    """What PyTorch has found, by name."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    lists = {name: [a.tolist() for a in arrays] for name, arrays in all_of_pytorch().items()}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in lists.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
