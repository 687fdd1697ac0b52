"""Twenty steps of PyTorch on autoencoders with tied weights, as expectations for ours.

    python tests/layers/pytorch_tied.py        writes pytorch_tied.json anew

needs NumPy and PyTorch. The loss of a minibatch is half the squared error, summed over the outputs,
plus the L2 penalty of the weights, each matrix once.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
FEATURES, HIDDEN, CODE = 9, 6, 3
STEPS, RATE, MOMENTUM, ALPHA, ROWS, BATCH = 20, 0.02, 0.9, 0.3, 40, 13
EPSILON, DECAY = 1e-4, 0.05
SOLVERS = "sgd", "adamw"
SHOWN = 3  # rows of whose outputs


def problem():
    """(Weights and biases of the encoder, biases of the decoder; rows; order of each epoch)."""
    rng = np.random.default_rng(5)
    shapes = [(FEATURES, HIDDEN), HIDDEN, (HIDDEN, CODE), CODE, HIDDEN, FEATURES]
    arrays = [rng.normal(0, 0.4, shape) for shape in shapes]
    epochs = -(-STEPS // -(-ROWS // BATCH))
    orders = np.array([rng.permutation(ROWS) for _ in range(epochs)])
    return arrays, rng.normal(0, 1, (ROWS, FEATURES)), orders


def minibatches(orders):
    return [order[k : k + BATCH] for order in orders for k in range(0, ROWS, BATCH)][:STEPS]


def outputs_of_pytorch(torch, arrays, x):
    first, b, second, c, d, e = arrays
    code = torch.tanh(x @ first + b) @ second + c
    return torch.relu(code @ second.T + d) @ first.T + e


def steps_of_pytorch(solver):
    """Parameters after the steps, and outputs of some rows then."""
    import torch

    arrays, X, orders = problem()
    arrays = [torch.tensor(array, requires_grad=True) for array in arrays]
    X = torch.tensor(X)
    if solver == "sgd":
        optimizer = torch.optim.SGD(arrays, lr=RATE, momentum=MOMENTUM, nesterov=True)
    else:
        groups = [
            {"params": [one for one in arrays if one.ndim == 2], "weight_decay": DECAY},
            {"params": [one for one in arrays if one.ndim == 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=RATE, eps=EPSILON)
    for rows in minibatches(orders):
        squares = (outputs_of_pytorch(torch, arrays, X[rows]) - X[rows]).square().sum()
        penalty = sum(array.square().sum() for array in arrays if array.ndim == 2)
        loss = (squares + ALPHA * penalty) / 2 / len(rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        outputs = outputs_of_pytorch(torch, arrays, X[:SHOWN])
    return [*(array.detach().numpy() for array in arrays), outputs.numpy()]


def stored():
    """What PyTorch has found, by solver."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    found = {name: [a.tolist() for a in steps_of_pytorch(name)] for name in SOLVERS}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in found.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
