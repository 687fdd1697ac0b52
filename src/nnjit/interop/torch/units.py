"""Layers over values or whole channels, one by one, that PyTorch has no modules for."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nnjit.interop.torch.activations import activation_module

__all__ = ["Augmentation", "GaussianNoise", "ParametricActivation", "Scaling"]


def _by_unit(values: Any, x: Any) -> Any:
    """Return one number for each value of a vector, or each channel, in the shape of x."""
    return values.view(-1, *(1,) * (x.dim() - 2))


class GaussianNoise(nn.Module):
    """Normal numbers added in training.

    Parameters
    ----------
    scale : float
        Their standard deviation.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def extra_repr(self) -> str:
        """Return the scale."""
        return f"{self.scale:g}"

    def forward(self, x: Any) -> Any:
        """Return the values, in training with noise."""
        return x + self.scale * torch.randn_like(x) if self.training else x


class Augmentation(nn.Module):
    """Rows as they are; the changes of training are ours alone, but for noise.

    Parameters
    ----------
    shift, flip, crop, noise
        See `nnjit.layers.Augment`.
    """

    def __init__(self, shift: Any, flip: bool, crop: float, noise: float) -> None:
        super().__init__()
        self.shift, self.flip, self.crop, self.noise = shift, flip, crop, noise

    def extra_repr(self) -> str:
        """Return what it does in training."""
        return f"shift={self.shift}, flip={self.flip}, crop={self.crop}, noise={self.noise}"

    def forward(self, x: Any) -> Any:
        """Return the rows.

        Raises
        ------
        RuntimeError
            In training, if points are to be moved.
        """
        if not self.training:
            return x
        if self.flip or self.crop or self.shift not in (0, (0,), (0, 0)):
            raise RuntimeError(
                f"Augmentation({self.extra_repr()}) moves points in nnjit's own training only. "
                "Change the rows before they come in (torchvision.transforms has such changes), "
                "and take this module out or call eval() on it."
            )
        return x + self.noise * torch.randn_like(x)


class Scaling(nn.Module):
    """A learned factor for each value of a vector, or for each channel.

    Parameters
    ----------
    factors : tensor of shape (units,)
    rate : float
        Factor on the learning rate here; PyTorch's solvers do not look at it.
    """

    def __init__(self, factors: Any, rate: float) -> None:
        super().__init__()
        self.factors, self.rate = nn.Parameter(factors), rate

    def forward(self, x: Any) -> Any:
        """Return the products."""
        return x * _by_unit(self.factors, x)


class ParametricActivation(nn.Module):
    """(1 - a) x + a phi(x) with a learned a for each value of a vector, or for each channel.

    Parameters
    ----------
    activation : str
        Name of phi.
    shares : tensor of shape (units,)
    rate : float
        Factor on the learning rate here; PyTorch's solvers do not look at it.
    """

    def __init__(self, activation: str, shares: Any, rate: float) -> None:
        super().__init__()
        self.activation = activation_module(activation)
        self.shares, self.name, self.rate = nn.Parameter(shares), activation, rate

    def forward(self, x: Any) -> Any:
        """Return the values."""
        shares = _by_unit(self.shares, x)
        return (1.0 - shares) * x + shares * self.activation(x)
