"""Fifty steps of PyTorch's optimizers on a small network, as expectations for ours.

    python tests/training/pytorch_solvers.py        writes pytorch_solvers.json anew

needs NumPy and PyTorch. The network has tanh units and a softmax; the loss of a minibatch is the
mean cross-entropy and ALPHA / 2 times the sum of squared weights over the rows, as in nnjit.

The L2 penalty and the decay are of the weights alone. PyTorch adds the epsilon of Adam to another
term than scikit-learn and nnjit do, so that it is next to nothing where they are compared.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".json")
UNITS, ROWS, BATCH, STEPS, ALPHA, RATE = (4, 6, 3), 60, 12, 50, 0.05, 0.02
TINY = 1e-30

# name -> (optimizer of PyTorch and its keywords, solver of nnjit and its keywords)
CASES = {
    "sgd": ("SGD", {"momentum": 0.9}, "sgd", {"momentum": 0.9, "nesterov": 0.0}),
    "nesterov": (
        "SGD", {"momentum": 0.9, "nesterov": True}, "sgd", {"momentum": 0.9, "nesterov": 1.0},
    ),
    "adam": ("Adam", {"eps": TINY}, "adam", {"epsilon": TINY}),
    "amsgrad": ("Adam", {"eps": TINY, "amsgrad": True}, "amsgrad", {"epsilon": TINY}),
    "adamw": (
        "AdamW", {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        "adamw", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1},
    ),
    "rmsprop": ("RMSprop", {"alpha": 0.99, "eps": 1e-6}, "rmsprop",
                {"beta_2": 0.99, "epsilon": 1e-6}),
    "lion": (None, {"betas": (0.9, 0.99), "weight_decay": 0.1}, "lion",
             {"beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.1}),
    "adagrad": ("Adagrad", {"eps": 1e-6}, "adagrad", {"epsilon": 1e-6}),
}  # fmt: skip
# name -> (case of a solver, option)
OPTIONS = {
    "clip_norm": ("sgd", {"clip_norm": 0.1}),
    "clip_value": ("sgd", {"clip_value": 0.02}),
    "average": ("adamw", {"average": 0.9}),
    "average of clipped steps": ("adam", {"average": 0.95, "clip_norm": 0.1}),
}


def problem():
    """(weights and biases in turn, X, classes, rows of each step)."""
    rng = np.random.default_rng(7)
    arrays = []
    for fan_in, fan_out in zip(UNITS, UNITS[1:]):
        arrays += [rng.normal(0, 0.7, (fan_in, fan_out)), rng.normal(0, 0.2, fan_out)]
    X, y = rng.normal(size=(ROWS, UNITS[0])), rng.integers(0, UNITS[-1], ROWS)
    epochs = STEPS * BATCH // ROWS
    return arrays, X, y, np.array([rng.permutation(ROWS) for _ in range(epochs)])


def lion(torch, groups, betas):
    """The optimizer that PyTorch does not have, of its tensors."""
    moments = {}

    @torch.no_grad()
    def step():
        for group in groups:
            for w in group["params"]:
                m = moments.setdefault(w, torch.zeros_like(w))
                along = torch.lerp(w.grad, m, betas[0]).sign()
                w.sub_(RATE * (along + group["weight_decay"] * w))
                m.lerp_(w.grad, 1 - betas[1])

    return step


def steps_of_pytorch(kind, keywords, clip_norm=None, clip_value=None, average=None):
    """Parameters after STEPS steps, or their averages."""
    import torch

    arrays, X, y, orders = problem()
    net = torch.nn.ParameterList([torch.tensor(a) for a in arrays])
    X, y, keywords = torch.tensor(X), torch.tensor(y), dict(keywords)
    decay = keywords.pop("weight_decay", 0.0)
    groups = [
        {"params": list(net)[0::2], "weight_decay": decay},
        {"params": list(net)[1::2], "weight_decay": 0.0},
    ]
    if kind is None:
        step = lion(torch, groups, **keywords)
    else:
        step = getattr(torch.optim, kind)(groups, lr=RATE, **keywords).step
    averaged = average and torch.optim.swa_utils.AveragedModel(
        net, avg_fn=lambda a, w, t: a + (1 - min(average, t / (t + 9))) * (w - a)
    )
    for rows in orders.reshape(-1, BATCH):
        hidden = torch.tanh(X[rows] @ net[0] + net[1])
        loss = torch.nn.functional.cross_entropy(hidden @ net[2] + net[3], y[rows])
        loss = loss + ALPHA / 2 * sum((w**2).sum() for w in list(net)[0::2]) / BATCH
        net.zero_grad()
        loss.backward()
        if clip_norm:
            torch.nn.utils.clip_grad_norm_(net, clip_norm)
        if clip_value:
            torch.nn.utils.clip_grad_value_(net, clip_value)
        step()
        if average:
            averaged.update_parameters(net)
    found = averaged.module if average else net
    return [p.detach().numpy().copy() for p in found]


def all_of_pytorch():
    found = {name: steps_of_pytorch(*case[:2]) for name, case in CASES.items()}
    for name, (solver, option) in OPTIONS.items():
        found[name] = steps_of_pytorch(*CASES[solver][:2], **option)
    return found


def stored():
    """What PyTorch has found, by name."""
    found = json.loads(FILE.read_text())
    return {name: [np.array(array) for array in arrays] for name, arrays in found.items()}


if __name__ == "__main__":
    lists = {name: [a.tolist() for a in arrays] for name, arrays in all_of_pytorch().items()}
    lines = [f"{json.dumps(name)}: {json.dumps(arrays)}" for name, arrays in lists.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
