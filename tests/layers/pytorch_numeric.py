"""Twenty steps of PyTorch on networks that embed numbers, as expectations for ours.

    python tests/layers/pytorch_numeric.py        writes pytorch_numeric.json anew

needs NumPy and PyTorch. The loss of a minibatch is half the squared error, summed over the outputs.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
FEATURES, OTHERS, COSINES, UNITS, BINS, HIDDEN, OUTPUTS = 2, 1, 3, 2, 4, 5, 2
STEPS, RATE, MOMENTUM, ROWS, BATCH = 20, 0.02, 0.9, 40, 13
KINDS = "periodic", "piecewise"
SHOWN = 3  # rows of whose outputs


def problem(kind):
    """(Parameters; rows; targets; order of each epoch); a dense layer is below the encoding."""
    rng = np.random.default_rng(6)
    embedding = [(FEATURES, COSINES)] * 2 + [(FEATURES, COSINES, UNITS), (FEATURES, UNITS)]
    values = OTHERS + FEATURES * (1 + UNITS if kind == "periodic" else BINS)
    given = embedding if kind == "periodic" else [(FEATURES, BINS + 1)]
    shapes = [(3, 3), 3, *given, (values, HIDDEN), HIDDEN, (HIDDEN, OUTPUTS), OUTPUTS]
    arrays = [rng.normal(0, 0.6, shape) for shape in shapes]
    if kind == "piecewise":
        arrays[2].sort()
        arrays[2][1, 2] = arrays[2][1, 1]  # a bin that is none
    epochs = -(-STEPS // -(-ROWS // BATCH))
    orders = np.array([rng.permutation(ROWS) for _ in range(epochs)])
    return arrays, rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, OUTPUTS)), orders


def minibatches(orders):
    return [order[k : k + BATCH] for order in orders for k in range(0, ROWS, BATCH)][:STEPS]


def embedded(torch, arrays, x):
    frequencies, phases, amplitudes, offsets = arrays
    values = x[:, :FEATURES, None]
    cosines = torch.cos(2 * torch.pi * frequencies * values + phases)
    made = (cosines[:, :, None] @ amplitudes)[:, :, 0] + offsets
    return torch.cat([torch.cat([values, made], 2).flatten(1), x[:, FEATURES:]], 1)


def encoded(torch, arrays, x):
    (edges,) = arrays
    widths = edges.diff()
    # not by 0, or the derivative of what is left out would be NaN
    t = (x[:, :FEATURES, None] - edges[:, :-1]) / torch.where(widths > 0, widths, 1.0)
    least, most = torch.zeros(BINS), torch.ones(BINS)
    least[0], most[-1] = -torch.inf, torch.inf
    t = torch.where(widths > 0, torch.minimum(torch.maximum(t, least), most), 0.0)
    return torch.cat([t.flatten(1), x[:, FEATURES:]], 1)


def outputs_of_pytorch(torch, kind, arrays, x):
    w, b, *own, v, c, u, d = arrays
    values = (embedded if kind == "periodic" else encoded)(torch, own, x @ w + b)
    return torch.tanh(values @ v + c) @ u + d


def steps_of_pytorch(kind):
    """Parameters after the steps, and outputs of some rows then."""
    import torch

    torch.set_default_dtype(torch.float64)
    arrays, X, y, orders = problem(kind)
    fixed = 2 if kind == "piecewise" else None
    arrays = [torch.tensor(a, requires_grad=k != fixed) for k, a in enumerate(arrays)]
    X, y = torch.tensor(X), torch.tensor(y)
    trained = [array for array in arrays if array.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=RATE, momentum=MOMENTUM, nesterov=True)
    for rows in minibatches(orders):
        loss = (outputs_of_pytorch(torch, kind, arrays, X[rows]) - y[rows]).square().sum() / 2
        optimizer.zero_grad()
        (loss / len(rows)).backward()
        optimizer.step()
    with torch.no_grad():
        outputs = outputs_of_pytorch(torch, kind, arrays, X[:SHOWN])
    return [*(array.detach().numpy() for array in arrays), outputs.numpy()]


def stored():
    """What PyTorch has found, by kind."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    found = {kind: [a.tolist() for a in steps_of_pytorch(kind)] for kind in KINDS}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in found.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
