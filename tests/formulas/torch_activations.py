"""Values and derivatives of PyTorch's activations in float64, kept for where it is not installed.

python tests/formulas/torch_activations.py    writes torch_activations.json anew
"""

import json
from pathlib import Path

KEPT = Path(__file__).with_suffix(".json")
# Names of `torch.nn.functional`, all as they are by default.
FUNCTIONS = {
    "elu": "elu",
    "gelu": "gelu",
    "hard_tanh": "hardtanh",
    "leaky_relu": "leaky_relu",
    "mish": "mish",
    "selu": "selu",
    "silu": "silu",
    "softplus": "softplus",
    "softsign": "softsign",
}
POINTS = [-30.0, -12.5, -6.0, -3.1, -2.0, -1.2, -0.7, -0.3, -1e-3, -1e-9, 1e-9, 1e-3, 0.2, 0.6,
          0.9, 1.1, 1.7, 2.5, 4.0, 8.0, 15.0, 19.0, 30.0]  # fmt: skip


def computed():
    """(values, derivatives) of every activation at the points, by PyTorch."""
    import torch

    found = {}
    for name, function in FUNCTIONS.items():
        z = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
        values = getattr(torch.nn.functional, function)(z)
        values.sum().backward()
        found[name] = [values.tolist(), z.grad.tolist()]
    return found


if __name__ == "__main__":
    KEPT.write_text(json.dumps(computed(), indent=1) + "\n", encoding="utf-8")
