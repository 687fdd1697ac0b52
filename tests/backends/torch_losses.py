"""Parameters after 50 steps with PyTorch's losses in float64, kept for where it is not installed.

python tests/backends/torch_losses.py    writes torch_losses.json anew
"""

import json
from pathlib import Path

import numpy as np

KEPT = Path(__file__).with_suffix(".json")
ROWS, INPUTS, HIDDEN, OUTPUTS = 35, 4, 5, 3
BATCH, EPOCHS, RATE = 7, 10, 0.05
# (loss, output activation, parameters) as the engine has them
CASES = [
    ("squared_error", "tanh", {}),
    ("absolute_error", "identity", {}),
    ("absolute_error", "exp", {}),
    ("huber", "identity", {"huber_delta": 0.4}),
    ("huber", "softplus", {}),
    ("quantile", "identity", {"quantile": 0.8}),
    ("quantile", "tanh", {"quantile": (0.1, 0.5, 0.9)}),
    ("log_cosh", "identity", {}),
    ("log_cosh", "logistic", {}),
    ("gamma", "exp", {}),
    ("gamma", "softplus", {}),
    ("poisson", "softplus", {}),
    ("log_loss", "softmax", {}),
    ("smoothed_log_loss", "softmax", {"label_smoothing": 0.1}),
    ("smoothed_log_loss", "logistic", {"label_smoothing": 0.1}),
    ("squared_error_of_classes", "softmax", {}),
    ("squared_error_of_classes", "softmax", {"label_smoothing": 0.1}),
    ("squared_error_of_classes", "logistic", {}),
    ("focal", "softmax", {}),
    ("focal", "logistic", {"focal_gamma": 0.5}),
    ("clipped_policy", "softmax", {"entropy": 0.05}),
    ("clipped_gaussian_policy", "identity", {"clip": 0.3, "entropy": 0.05}),
]


def outputs_of(loss):
    """As many as a loss gets: means and deviations of two coordinates, or OUTPUTS."""
    return 4 if loss == "clipped_gaussian_policy" else OUTPUTS


def problem(loss, output):
    """(X, y, parameters layer by layer); y holds class numbers for a softmax."""
    outputs, rng = outputs_of(loss), np.random.RandomState(0)
    X = rng.normal(size=(ROWS, INPUTS))
    arrays = [0.5 * rng.normal(size=shape) for shape in
              ((INPUTS, HIDDEN), (HIDDEN,), (HIDDEN, outputs), (outputs,))]  # fmt: skip
    if loss == "clipped_policy":
        taken, advantages = rng.randint(outputs, size=ROWS), rng.normal(size=ROWS)
        return X, np.c_[taken, advantages, np.full(ROWS, -1.1)], arrays
    if loss == "clipped_gaussian_policy":
        return X, np.c_[rng.normal(size=(ROWS, 3)), np.full(ROWS, -2.5)], arrays
    labels, y = rng.randint(OUTPUTS, size=ROWS), rng.normal(size=(ROWS, OUTPUTS))
    if output == "softmax":
        return X, labels, arrays
    if output == "logistic" and loss not in ("log_cosh",):
        return X, (y > 0).astype(float), arrays
    return X, np.exp(y) if loss in ("gamma", "poisson") else y, arrays


def torch_loss(loss, output, parameters, y, z):
    """Mean loss of logits z, from PyTorch's own losses where it has them."""
    import torch
    from torch.nn import functional as F

    if loss.endswith("log_loss") and output == "softmax":
        return F.cross_entropy(z, y, **parameters)
    if loss.endswith("policy"):
        return torch_policy(output, parameters, y, z)
    smoothing = parameters.get("label_smoothing", 0.0)
    if output == "softmax":
        p, y = z.softmax(dim=1), F.one_hot(y, OUTPUTS).to(z)
        t = y * (1 - smoothing) + smoothing / OUTPUTS
    else:
        p = {"identity": lambda z: z, "tanh": torch.tanh, "exp": torch.exp,
             "softplus": F.softplus, "logistic": torch.sigmoid}[output](z)  # fmt: skip
        t = y * (1 - smoothing) + smoothing / 2
    if loss == "smoothed_log_loss":
        return F.binary_cross_entropy_with_logits(z, t, reduction="none").sum(dim=1).mean()
    if loss == "squared_error_of_classes":
        return 0.5 * F.mse_loss(p, t, reduction="none").sum(dim=1).mean()
    if loss == "focal":
        gamma = parameters.get("focal_gamma", 2.0)
        if output == "softmax":
            of_true = (p * y).sum(dim=1)
            return -((1 - of_true) ** gamma * of_true.log()).mean()
        of_true = torch.where(y == 1, p, 1 - p)
        return -((1 - of_true) ** gamma * of_true.log()).sum(dim=1).mean()
    if loss == "quantile":
        q = torch.tensor(parameters["quantile"], dtype=z.dtype)
        return torch.maximum(q * (y - p), (q - 1) * (y - p)).mean()
    return {
        "squared_error": lambda: 0.5 * F.mse_loss(p, y),
        "absolute_error": lambda: F.l1_loss(p, y),
        "huber": lambda: F.huber_loss(p, y, delta=parameters.get("huber_delta", 1.35)),
        "log_cosh": lambda: torch.log(torch.cosh(p - y)).mean(),
        "gamma": lambda: (torch.log(p / y) + y / p - 1).mean(),
        "poisson": lambda: F.poisson_nll_loss(p, y, log_input=False, eps=0.0),
    }[loss]()


def torch_policy(output, parameters, y, z):
    """Loss by row, with PyTorch's distributions."""
    import torch
    from torch.distributions import Categorical, Independent, Normal

    if output == "softmax":
        policy, action = Categorical(logits=z), y[:, 0]
    else:
        means, log_stds = z.chunk(2, dim=1)
        policy, action = Independent(Normal(means, log_stds.exp()), 1), y[:, :-2]
    ratio, advantage = torch.exp(policy.log_prob(action) - y[:, -1]), y[:, -2]
    clip = parameters.get("clip", 0.2)
    kept = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    return -(kept + parameters["entropy"] * policy.entropy()).mean()


def trained(loss, output, parameters):
    """Weights and biases after the steps, in one list, by PyTorch."""
    import torch

    X, y, arrays = (torch.tensor(a) if isinstance(a, np.ndarray) else a
                    for a in problem(loss, output))  # fmt: skip
    arrays = [torch.tensor(array, requires_grad=True) for array in arrays]
    solver = torch.optim.SGD(arrays, lr=RATE)
    for step in range(EPOCHS * ROWS // BATCH):
        rows = slice(step * BATCH % ROWS, step * BATCH % ROWS + BATCH)
        weights, biases, last, offsets = arrays
        z = torch.tanh(X[rows] @ weights + biases) @ last + offsets
        solver.zero_grad()
        torch_loss(loss, output, parameters, y[rows], z).backward()
        solver.step()
    return [value for array in arrays for value in array.detach().ravel().tolist()]


def name_of(case):
    loss, output, parameters = case
    return " ".join([loss, output, *(f"{key}={value}" for key, value in parameters.items())])


def computed():
    """Parameters after the steps by the name of the case."""
    return {name_of(case): trained(*case) for case in CASES}


if __name__ == "__main__":
    KEPT.write_text(json.dumps(computed(), indent=0) + "\n", encoding="utf-8")
