"""Twenty steps of PyTorch on a network that scales and mixes activations, as expectations for ours.

    python tests/layers/pytorch_scaling.py        writes pytorch_scaling.json anew

needs NumPy and PyTorch. The network is that of tabular data: factors for the features, then dense
layers with activations of which each unit takes a share. The loss of a minibatch is its
cross-entropy plus the L2 penalty of the weights.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
FEATURES, FIRST, SECOND, CLASSES = 7, 9, 6, 3
STEPS, RATE, MOMENTUM, ALPHA, ROWS, BATCH = 20, 0.02, 0.9, 0.3, 40, 13
EPSILON, DECAY = 1e-4, 0.05
SOLVERS = "sgd", "adamw"
SHOWN = 3  # rows of whose logits


def problem():
    """(Parameters layer by layer; rows; classes; order of each epoch)."""
    rng = np.random.default_rng(5)
    shapes = [
        (FEATURES,), (FEATURES, FIRST), (FIRST,), (FIRST,), (FIRST, SECOND), (SECOND,), (SECOND,),
        (SECOND, CLASSES), (CLASSES,),
    ]  # fmt: skip
    arrays = [rng.normal(0, 0.5, shape) for shape in shapes]
    for number in (0, 3, 6):  # factors and shares
        arrays[number] += 0.8
    epochs = -(-STEPS // -(-ROWS // BATCH))
    orders = np.array([rng.permutation(ROWS) for _ in range(epochs)])
    return arrays, rng.normal(0, 1, (ROWS, FEATURES)), rng.integers(0, CLASSES, ROWS), orders


def minibatches(orders):
    return [order[k : k + BATCH] for order in orders for k in range(0, ROWS, BATCH)][:STEPS]


def logits_of_pytorch(torch, arrays, x):
    factors, first, b, shares, second, c, more_shares, last, d = arrays
    z = (x * factors) @ first + b
    z = torch.lerp(z, torch.nn.functional.selu(z), shares) @ second + c
    return torch.lerp(z, torch.nn.functional.mish(z), more_shares) @ last + d


def steps_of_pytorch(solver):
    """Parameters after the steps, and logits of some rows then."""
    import torch

    arrays, X, y, orders = problem()
    arrays = [torch.tensor(array, requires_grad=True) for array in arrays]
    X, y = torch.tensor(X), torch.tensor(y)
    if solver == "sgd":
        optimizer = torch.optim.SGD(arrays, lr=RATE, momentum=MOMENTUM, nesterov=True)
    else:
        groups = [
            {"params": [one for one in arrays if one.ndim == 2], "weight_decay": DECAY},
            {"params": [one for one in arrays if one.ndim == 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=RATE, eps=EPSILON)
    for rows in minibatches(orders):
        logits = logits_of_pytorch(torch, arrays, X[rows])
        penalty = sum(array.square().sum() for array in arrays if array.ndim == 2)
        loss = torch.nn.functional.cross_entropy(logits, y[rows]) + ALPHA * penalty / 2 / len(rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        logits = logits_of_pytorch(torch, arrays, X[:SHOWN])
    return [*(array.detach().numpy() for array in arrays), logits.numpy()]


def stored():
    """What PyTorch has found, by solver."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    found = {name: [a.tolist() for a in steps_of_pytorch(name)] for name in SOLVERS}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in found.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
