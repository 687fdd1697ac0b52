"""What is made of logits, where that is more than one of PyTorch's activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

__all__ = [
    "Clipped",
    "Complement",
    "GroupedSoftmax",
    "MemberMean",
    "TwoClasses",
    "Uncrossed",
    "Unscaled",
]


class TwoClasses(nn.Module):
    """Probabilities (..., 2) of both classes by the one logit of the second."""

    def forward(self, z: Any) -> Any:
        """Return them."""
        return torch.sigmoid(torch.cat([-z, z], dim=-1))


class Complement(nn.Module):
    """Probabilities (..., 2) of both classes by that of the second."""

    def forward(self, p: Any) -> Any:
        """Return them."""
        return torch.cat([1.0 - p, p], dim=-1)


class GroupedSoftmax(nn.Module):
    """A softmax of each group of logits, one group after the other.

    Parameters
    ----------
    sizes : sequence of int
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.sizes}"

    def forward(self, z: Any) -> Any:
        """Return the probabilities, side by side."""
        return torch.cat([torch.softmax(part, -1) for part in z.split(self.sizes, -1)], dim=-1)


class Uncrossed(nn.Module):
    """The values of a row sorted so that they ascend with their quantiles.

    Parameters
    ----------
    quantiles : sequence of float
    """

    def __init__(self, quantiles: Sequence[float]) -> None:
        super().__init__()
        self.quantiles = tuple(quantiles)
        ranks = torch.tensor(self.quantiles, dtype=torch.float64).argsort().argsort()
        self.register_buffer("ranks", ranks, persistent=False)

    def extra_repr(self) -> str:
        """Return the quantiles."""
        return f"{self.quantiles}"

    def forward(self, values: Any) -> Any:
        """Return the values."""
        return values.sort(dim=-1).values[..., self.ranks]


class Unscaled(nn.Module):
    """Standardized values in the units of the targets.

    Parameters
    ----------
    shift, scale, mean : tensor of shape (n_outputs,) or (1,)
        Values become ``(values + shift) * scale + mean``.
    """

    def __init__(self, shift: Any, scale: Any, mean: Any) -> None:
        super().__init__()
        for name, value in (("shift", shift), ("scale", scale), ("mean", mean)):
            self.register_buffer(name, value)

    def forward(self, values: Any) -> Any:
        """Return the values."""
        return (values + self.shift) * self.scale + self.mean


class Clipped(nn.Module):
    """Values not outside of those of the fit.

    Parameters
    ----------
    low, high : tensor of shape (n_outputs,)
    """

    def __init__(self, low: Any, high: Any) -> None:
        super().__init__()
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, values: Any) -> Any:
        """Return the values."""
        return torch.minimum(torch.maximum(values, self.low), self.high)


class MemberMean(nn.Module):
    """The mean of what some modules make of the same rows.

    Parameters
    ----------
    members : iterable of torch.nn.Module
    groups : sequence of int
        Numbers of values that sum to 1, one after the other: they are divided by their sum.
    """

    def __init__(self, members: Any, groups: Sequence[int] = ()) -> None:
        super().__init__()
        self.members, self.groups = nn.ModuleList(members), tuple(groups)

    def forward(self, x: Any) -> Any:
        """Return the mean, in float64 as the estimator has it."""
        mean = sum(member(x).to(torch.float64) for member in self.members) / len(self.members)
        if not self.groups:
            return mean
        parts = mean.split(self.groups, -1)
        return torch.cat([part / part.sum(dim=-1, keepdim=True) for part in parts], dim=-1)
