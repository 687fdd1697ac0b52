"""Activations by their names here, as modules of PyTorch and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nnjit.formulas import find_activation
from nnjit.formulas.registry import ACTIVATIONS, OWN

__all__ = ["Exp", "OwnActivation", "activation_module", "activation_name"]

# PyTorch's Softplus is z from its threshold on: from here log(1 + exp(-z)) counts nothing beside z.
_SOFTPLUS_THRESHOLD = 40.0
_LEAK = 0.01


class Exp(nn.Module):
    """e^z, for outputs that are positive."""

    def forward(self, z: Any) -> Any:
        """Return it."""
        return torch.exp(z)


class _OwnFormula(torch.autograd.Function):
    """Somebody's own functions of numbers, value by value."""

    @staticmethod
    def forward(ctx: Any, z: Any, name: str) -> Any:
        ctx.save_for_backward(z)
        ctx.name = name
        return _applied(name, "value", z)

    @staticmethod
    def backward(ctx: Any, *delta: Any) -> Any:
        return delta[0] * _applied(ctx.name, "derivative", *ctx.saved_tensors), None


def _applied(name: str, formula: str, z: Any) -> Any:
    values = z.detach().cpu().numpy()
    found = getattr(find_activation(name).numpy(values.dtype), formula)(values)
    return torch.as_tensor(found, dtype=z.dtype, device=z.device)


class OwnActivation(nn.Module):
    """An activation that was registered under a name; a pickle holds the name alone.

    Parameters
    ----------
    name : str
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = find_activation(name).name

    def extra_repr(self) -> str:
        """Return the name."""
        return repr(self.name)

    def forward(self, z: Any) -> Any:
        """Return phi(z)."""
        return _OwnFormula.apply(z, self.name)


_MAKE: dict[str, Callable[[], Any]] = {
    "identity": nn.Identity,
    "logistic": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(_LEAK),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": lambda: nn.Softplus(threshold=_SOFTPLUS_THRESHOLD),
    "hard_tanh": nn.Hardtanh,
    "softsign": nn.Softsign,
    "exp": Exp,
}
_NAMES = {type(make()): name for name, make in _MAKE.items() if name != "identity"}
# What a module has to be to be the activation of that name.
_HAS_TO_BE: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": _LEAK},
    "elu": {"alpha": 1.0},
    "gelu": {"approximate": "none"},
    "softplus": {"beta": 1.0},
    "hard_tanh": {"min_val": -1.0, "max_val": 1.0},
}


def activation_module(name: str) -> Any:
    """Return a new module for an activation.

    Raises
    ------
    ValueError
        If PyTorch has none and it is not registered.
    """
    if name in _MAKE:
        return _MAKE[name]()
    if ("activation", name) in OWN and name in ACTIVATIONS:
        return OwnActivation(name)
    raise ValueError(f"The activation {name!r} has no module of PyTorch.")


def activation_name(module: Any) -> str | None:
    """Return the name of the activation that a module is, None if it is none.

    Raises
    ------
    ValueError
        If it is one of other numbers than here, such as another slope; the message says which.
    """
    if type(module) is OwnActivation:
        return str(module.name)
    name = _NAMES.get(type(module))
    for attribute, value in _HAS_TO_BE.get(name or "", {}).items():
        given = getattr(module, attribute)
        if given != value:
            raise ValueError(f"{name!r} has {attribute}={value!r} here, not {given!r}")
    if name == "softplus" and module.threshold < 20.0:
        raise ValueError(f"'softplus' is no straight line from threshold={module.threshold!r} on")
    return name
