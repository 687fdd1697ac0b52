"""Twenty steps of PyTorch on a network with embeddings, as expectations for ours.

    python tests/layers/pytorch_embedding.py        writes pytorch_embedding.json anew

needs NumPy and PyTorch. The loss of a minibatch is half the squared error, summed over the outputs,
plus the L2 penalty of the weight matrices; none of the vectors.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
PLAIN, LEVELS, DIMENSION, HIDDEN, OUTPUTS = 2, (5, 1, 3), 3, 6, 2
STEPS, RATE, MOMENTUM, ALPHA, ROWS, BATCH = 20, 0.02, 0.9, 0.3, 40, 13
EPSILON, DECAY = 1e-4, 0.05
SOLVERS = "sgd", "adamw"
SHOWN = 3  # rows of whose outputs


def problem():
    """(Vectors, weights and biases; rows; targets; order of each epoch)."""
    rng = np.random.default_rng(8)
    width = PLAIN + len(LEVELS) * DIMENSION
    shapes = [(sum(LEVELS), DIMENSION), (width, HIDDEN), HIDDEN, (HIDDEN, OUTPUTS), OUTPUTS]
    arrays = [rng.normal(0, 0.4, shape) for shape in shapes]
    codes = [rng.integers(0, levels, ROWS) for levels in LEVELS]
    X = np.column_stack([rng.normal(0, 1, (ROWS, PLAIN)), *codes])
    epochs = -(-STEPS // -(-ROWS // BATCH))
    orders = np.array([rng.permutation(ROWS) for _ in range(epochs)])
    return arrays, X, rng.normal(0, 1, (ROWS, OUTPUTS)), orders


def minibatches(orders):
    return [order[k : k + BATCH] for order in orders for k in range(0, ROWS, BATCH)][:STEPS]


def outputs_of_pytorch(torch, arrays, x):
    vectors, w, b, v, c = arrays
    tables, codes = vectors.split(LEVELS), x[:, PLAIN:].long()
    found = [torch.nn.functional.embedding(codes[:, k], table) for k, table in enumerate(tables)]
    return torch.tanh(torch.hstack([x[:, :PLAIN], *found]) @ w + b) @ v + c


def steps_of_pytorch(solver):
    """Parameters after the steps, and outputs of some rows then."""
    import torch

    arrays, X, y, orders = problem()
    arrays = [torch.tensor(array, requires_grad=True) for array in arrays]
    X, y, weights = torch.tensor(X), torch.tensor(y), [arrays[1], arrays[3]]
    if solver == "sgd":
        optimizer = torch.optim.SGD(arrays, lr=RATE, momentum=MOMENTUM, nesterov=True)
    else:
        others = [arrays[0], arrays[2], arrays[4]]
        groups = [
            {"params": weights, "weight_decay": DECAY},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=RATE, eps=EPSILON)
    for rows in minibatches(orders):
        squares = (outputs_of_pytorch(torch, arrays, X[rows]) - y[rows]).square().sum()
        penalty = sum(array.square().sum() for array in weights)
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
