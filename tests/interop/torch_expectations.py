"""What PyTorch makes of rows by weights that were drawn, for where it is not installed.

    python tests/interop/torch_expectations.py        writes torch_expectations.npz anew

needs nnjit and PyTorch. Of each module there are rows, PyTorch's outputs for them, and what
from_torch read: the network as data, and its arrays.
"""

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_suffix(".npz")
ROWS = 6


def modules():
    """Name -> (module or list of such that from_torch reads, module that computes, shape)."""
    from torch import nn
    from torch_networks import network_with

    from networks_of_kinds import LAYERS
    from nnjit.interop import to_torch

    found = {
        "dense": (nn.Sequential(
            nn.Linear(5, 4), nn.GELU(), nn.LayerNorm(4), nn.ELU(), nn.Linear(4, 4),
            nn.BatchNorm1d(4), nn.Softplus(threshold=60), nn.Linear(4, 3),
        ), (5,)),
        "images": (nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(4), nn.SiLU(),
            nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(4, 3, (2, 4)), nn.Tanh(), nn.MaxPool2d((1, 2)),
            nn.Flatten(), nn.Linear(18, 2),
        ), (2, 6, 7)),
        "series": (nn.Sequential(
            nn.Conv1d(2, 4, 3, dilation=2, padding=2), nn.Mish(), nn.AvgPool1d(3, 2),
            nn.Conv1d(4, 3, 2), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(3, 2),
        ), (2, 11)),
    }  # fmt: skip
    made = {name: (drawn(module), shape) for name, (module, shape) in found.items()}
    for kind, number, form in LAYERS:
        model, _, _ = network_with(kind, number, form, np.float64)
        shape = model._give_parameters()[0].shape or (4,)
        made[f"{kind} {number} {form}"] = to_torch(model), shape
    return made


def drawn(module):
    """The module with all its parameters and statistics drawn by NumPy, which stays the same."""
    import torch

    rng = np.random.default_rng(0)
    module = module.double().eval()
    with torch.no_grad():
        for name, one in module.state_dict().items():
            if one.is_floating_point():
                values = rng.uniform(-0.6, 0.6, tuple(one.shape)) + ("running" in name)
                one.copy_(torch.from_numpy(values))
    return module


def rows_of(shape):
    """Rows of that shape; some series end in NaN."""
    X = np.random.default_rng(1).standard_normal((ROWS, *shape))
    if len(shape) == 2:
        for series, points in zip(X[::2], (5, 7, 6)):
            series[:, points:] = np.nan
    return X


def of_pytorch():
    """Name -> (network as data, its arrays, PyTorch's outputs)."""
    import torch

    from nnjit.interop import from_torch

    found = {}
    for name, (module, shape) in modules().items():
        given = rows_of(shape)
        if name == "series":  # a module of PyTorch's own knows no ends
            given = np.nan_to_num(given)
        model = from_torch(module, input_shape=shape if len(shape) > 1 else None)
        network, arrays = model._give_parameters()
        with torch.no_grad():
            outputs = module(torch.from_numpy(given)).numpy()
        found[name] = network.to_state(), [*arrays], given, outputs
    return found


def stored():
    """The same from the file."""
    with np.load(FILE) as held:
        networks, values = json.loads(str(held["networks"])), held["values"]
    found, start = {}, 0
    for name, (state, shapes) in networks.items():
        arrays = []
        for shape in shapes:
            size = int(np.prod(shape))
            arrays.append(values[start : start + size].reshape(shape))
            start += size
        found[name] = state, arrays[:-2], *arrays[-2:]
    return found


def main():
    networks, values = {}, []
    for name, (state, own, rows, outputs) in of_pytorch().items():
        arrays = [*own, rows, outputs]
        networks[name] = state, [one.shape for one in arrays]
        values += [one.ravel() for one in arrays]
    np.savez_compressed(FILE, networks=json.dumps(networks), values=np.concatenate(values))


if __name__ == "__main__":
    import sys

    sys.path[:0] = [str(FILE.parent), str(FILE.parents[1])]
    main()
