"""Layers over vectors that PyTorch has no modules for; formulas are those of the layers' specs.

Arrays have the shapes that they have here. What the networks here do not train is a buffer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

__all__ = [
    "CategoryEmbedding",
    "PeriodicEmbedding",
    "PiecewiseLinear",
    "RadialBasis",
    "Standardize",
    "TiedLinear",
]


class Standardize(nn.Module):
    """(x - origin) / unit: rows as a radial network takes them.

    Parameters
    ----------
    origin : tensor of shape (n_features,)
    unit : float
    """

    def __init__(self, origin: Any, unit: float) -> None:
        super().__init__()
        self.register_buffer("origin", origin)
        self.unit = unit

    def extra_repr(self) -> str:
        """Return the unit."""
        return f"unit={self.unit:g}"

    def forward(self, x: Any) -> Any:
        """Return the rows."""
        return (x - self.origin) * (1.0 / self.unit)


class RadialBasis(nn.Module):
    """Gaussian bumps around centres; their widths are ``log_widths.exp()``.

    Parameters
    ----------
    centers : tensor of shape (n_centers, n_features)
    log_widths : tensor of shape (n_centers,)
    normalized : bool
        Whether the values of a row are divided by their sum.
    """

    def __init__(self, centers: Any, log_widths: Any, normalized: bool) -> None:
        super().__init__()
        self.centers = nn.Parameter(centers)
        self.log_widths = nn.Parameter(log_widths)
        self.normalized = normalized

    def extra_repr(self) -> str:
        """Return the number of centres, and whether it is normalized."""
        return f"{len(self.centers)}, normalized={self.normalized}"

    def forward(self, x: Any) -> Any:
        """Return the bumps (n, n_centers) at the rows."""
        # by differences: |x|^2 + |c|^2 - 2 x.c cancels
        distances = torch.cdist(
            x, self.centers, compute_mode="donot_use_mm_for_euclid_dist"
        ).square()
        z = -0.5 * distances * torch.exp(-2.0 * self.log_widths)
        return torch.softmax(z, dim=-1) if self.normalized else torch.exp(z)


class CategoryEmbedding(nn.Module):
    """A vector for the code of each of the last columns; the other values are handed on.

    Parameters
    ----------
    levels : sequence of int
        How many codes each of these columns has. What is no code counts as code 0.
    vectors : tensor of shape (sum of levels, dimension)
        Of all columns, one table above the other.
    rate : float
        Factor on the learning rate here; PyTorch's solvers do not look at it.
    """

    def __init__(self, levels: Sequence[int], vectors: Any, rate: float) -> None:
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(vectors, freeze=False)
        self.levels, self.rate = tuple(levels), rate
        sizes = torch.tensor(self.levels, device=vectors.device)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("firsts", sizes.cumsum(0) - sizes, persistent=False)

    def forward(self, x: Any) -> Any:
        """Return the values that are no codes, and the vectors."""
        plain, codes = x[:, : -len(self.levels)], x[:, -len(self.levels) :]
        known = (codes >= 0) & (codes < self.sizes)  # neither is true of NaN
        places = torch.where(known, codes, 0.0).to(torch.int64) + self.firsts
        return torch.cat([plain, self.vectors(places).flatten(1)], dim=1)


class PeriodicEmbedding(nn.Module):
    """The first values, each with what is made of cosines of it; the others are handed on.

    Parameters
    ----------
    frequencies, phases : tensor of shape (features, frequencies)
    amplitudes : tensor of shape (features, frequencies, units)
    offsets : tensor of shape (features, units)
    scale : float
        Standard deviation of the first frequencies here.
    rate : float
        Factor on the learning rate here; PyTorch's solvers do not look at it.
    """

    def __init__(
        self,
        frequencies: Any,
        phases: Any,
        amplitudes: Any,
        offsets: Any,
        scale: float,
        rate: float,
    ) -> None:
        super().__init__()
        self.frequencies, self.phases = nn.Parameter(frequencies), nn.Parameter(phases)
        self.amplitudes, self.offsets = nn.Parameter(amplitudes), nn.Parameter(offsets)
        self.scale, self.rate = scale, rate

    def forward(self, x: Any) -> Any:
        """Return what becomes of the rows."""
        features = len(self.frequencies)
        values, others = x[:, :features, None], x[:, features:]
        turns = self.frequencies * values + self.phases / (2 * math.pi)
        cosines = torch.cos(2 * math.pi * (turns - turns.detach().round()))
        made = torch.einsum("nfk,fku->nfu", cosines, self.amplitudes) + self.offsets
        return torch.cat([torch.cat([values, made], dim=2).flatten(1), others], dim=1)


class PiecewiseLinear(nn.Module):
    """How far the first values have come through their bins; the others are handed on.

    Parameters
    ----------
    edges : tensor of shape (features, bins + 1)
    """

    def __init__(self, edges: Any) -> None:
        super().__init__()
        self.register_buffer("edges", edges)

    def forward(self, x: Any) -> Any:
        """Return what becomes of the rows."""
        features, low, high = len(self.edges), self.edges[:, :-1], self.edges[:, 1:]
        width = high - low
        real = width >= 2 * torch.finfo(width.dtype).smallest_normal
        factor = torch.where(real, 1.0 / torch.where(real, width, 1.0), 0.0)
        count = real.cumsum(1)
        first, last = real & (count == 1), real & (count == count[:, -1:])
        values, others = x[:, :features, None], x[:, features:]
        through = (values - low) * factor
        ahead, behind = (values < low) & ~first, (values >= high) & ~last
        through = torch.where(ahead, 0.0, torch.where(behind & real, 1.0, through))
        return torch.cat([through.flatten(1), others], dim=1)


class TiedLinear(nn.Module):
    """A linear layer with the transposed weights of the one `back` modules before it in a `Chain`.

    Parameters
    ----------
    back : int
    bias : tensor of shape (out_features,)
    """

    def __init__(self, back: int, bias: Any) -> None:
        super().__init__()
        self.back, self.bias = back, nn.Parameter(bias)

    def extra_repr(self) -> str:
        """Return where its weights are."""
        return f"back={self.back}"

    def forward(self, x: Any, weight: Any) -> Any:
        """Return the values by the weights (in_features, out_features)."""
        return F.linear(x, weight.t(), self.bias)
