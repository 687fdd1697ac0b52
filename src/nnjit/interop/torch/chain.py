"""Modules one after the other, some of which look at where series end or at what came before.

A series is 0 behind its end in front of each module that looks at several points.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nnjit.interop.torch.recurrent import Recurrent
from nnjit.interop.torch.vectors import TiedLinear

__all__ = [
    "Chain",
    "ChannelsFirst",
    "ChannelsLastRows",
    "PointsLast",
    "Residual",
    "SeriesInput",
    "SeriesRows",
]


class SeriesInput(nn.Module):
    """Rows of series, whose ends are NaN in all channels, as a `Chain` takes them.

    Parameters
    ----------
    channels, points : int
        Of the series that were fitted. Others may be shorter, and where nothing depends on the
        number of points longer.
    channels_last : bool
        Whether the values of a row lie with the channels last.
    """

    def __init__(self, channels: int, points: int, channels_last: bool) -> None:
        super().__init__()
        self.channels, self.points, self.channels_last = channels, points, channels_last

    def extra_repr(self) -> str:
        """Return the shape."""
        last = ", channels_last=True" if self.channels_last else ""
        return f"{self.channels}, {self.points}{last}"

    def forward(self, x: Any) -> Any:
        """Return series (n, channels, time), 0 behind their ends."""
        return self.read(x)[0]

    def read(self, x: Any) -> tuple[Any, Any]:
        """Return the same, and how many points each has."""
        shape = (-1, self.channels) if self.channels_last else (self.channels, -1)
        x = x.flatten(1).unflatten(1, shape)
        x = x.transpose(1, 2) if self.channels_last else x
        lengths = (~x.isnan().all(dim=1)).sum(dim=1)
        return _ended(x, lengths), lengths


class ChannelsFirst(nn.Module):
    """Rows of images whose channels are last, as images (n, channels, height, width).

    Parameters
    ----------
    channels, height, width : int
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.shape = (channels, height, width)

    def extra_repr(self) -> str:
        """Return the shape."""
        return f"{self.shape}"

    def forward(self, x: Any) -> Any:
        """Return the images."""
        channels, height, width = self.shape
        return x.flatten(1).unflatten(1, (height, width, channels)).movedim(3, 1)


class ChannelsLastRows(nn.Module):
    """Rows in the network's order, as rows whose channels are last.

    Parameters
    ----------
    shape : tuple of int
        (channels, time) or (channels, height, width).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Any) -> Any:
        """Return the rows."""
        return x.unflatten(1, self.shape).movedim(1, -1).flatten(1)


class SeriesRows(nn.Module):
    """Rows of series that are given back, NaN behind the ends of those that came in.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Any, ends: Any) -> Any:
        """Return the rows; `ends` (n,) are the points of what came in."""
        return _ended(x.unflatten(1, (self.channels, -1)), ends, float("nan")).flatten(1)


class PointsLast(nn.Module):
    """What is made of each point, (n, time, outputs); NaN behind the ends of series."""

    def forward(self, x: Any, lengths: Any = None) -> Any:
        """Return it."""
        x = x if lengths is None else _ended(x, lengths, float("nan"))
        return x.transpose(1, 2)


class Residual(nn.Module):
    """Marks where a `Chain` adds what came into the module `span` modules before.

    Parameters
    ----------
    span : int
    """

    def __init__(self, span: int) -> None:
        super().__init__()
        self.span = span

    def extra_repr(self) -> str:
        """Return the span."""
        return f"span={self.span}"

    def forward(self, x: Any, former: Any) -> Any:
        """Return the sum."""
        return x + former


class Chain(nn.Sequential):
    """A sequence of modules in which there may be `SeriesInput`, `Residual` and `TiedLinear`."""

    def forward(self, x: Any) -> Any:
        """Return what comes out of the last module."""
        links = [(number, one) for number, one in enumerate(self) if isinstance(one, Residual)]
        kept, came_in = {number - one.span for number, one in links}, {}
        lengths = ends = None
        for number, module in enumerate(self):
            if number in kept:
                came_in[number] = x
            if isinstance(module, SeriesInput):
                x, lengths = module.read(x)
                ends = lengths
            elif isinstance(module, SeriesRows):
                x = module(x, ends)
            elif isinstance(module, Residual):
                x = module(x, came_in[number - module.span])
            elif isinstance(module, TiedLinear):
                x = module(x, self[number - module.back].weight)
            elif lengths is None or x.dim() != 3:
                x = module(x)
            else:
                x, lengths = _over_series(module, x, lengths)
        return x


# Tuples, for torch.export of PyTorch 2.4 knows no unions of types.
_WINDOWED = (nn.Conv1d, nn.MaxPool1d, nn.AvgPool1d)
_OF_SERIES = (Recurrent, PointsLast)


def _over_series(module: Any, x: Any, lengths: Any) -> tuple[Any, Any]:
    """Return what a module makes of series of some lengths, and how long they are then."""
    if isinstance(module, _WINDOWED):
        return module(_ended(x, lengths)), _windows(module, lengths)
    if isinstance(module, nn.ConstantPad1d):
        return module(_ended(x, lengths)), lengths + sum(module.padding)
    if isinstance(module, _OF_SERIES):
        return module(x, lengths), lengths
    if isinstance(module, nn.AdaptiveAvgPool1d):
        whole = _ended(x, lengths).sum(dim=2, keepdim=True)
        return whole / lengths.view(-1, 1, 1), None
    if isinstance(module, nn.AdaptiveMaxPool1d):
        return _ended(x, lengths, -float("inf")).max(dim=2, keepdim=True).values, None
    if isinstance(module, nn.Flatten):
        return module(_ended(x, lengths)), None
    if isinstance(module, nn.BatchNorm1d) and module.training:
        return _normalized(module, x, lengths), lengths
    return module(x), lengths


def _there(x: Any, lengths: Any) -> Any:
    """Return which points (n, time) series have."""
    return torch.arange(x.shape[2], device=x.device) < lengths.view(-1, 1)


def _ended(x: Any, lengths: Any, behind: float = 0.0) -> Any:
    """Return series (n, channels, time) with one number behind their ends."""
    return x.masked_fill(~_there(x, lengths).unsqueeze(1), behind)


def _normalized(module: Any, x: Any, lengths: Any) -> Any:
    """Return a batch normalization in training, over the points that there are."""
    there = _there(x, lengths)
    found = torch.zeros_like(x.transpose(1, 2))
    found[there] = module(x.transpose(1, 2)[there])
    return found.transpose(1, 2)


def _windows(module: Any, lengths: Any) -> Any:
    """Return how many windows there are in series of some lengths."""
    kernel, stride, dilation = (
        _one(getattr(module, name, 1)) for name in ("kernel_size", "stride", "dilation")
    )
    reach = dilation * (kernel - 1)
    padding = module.padding
    around = reach if padding == "same" else 0 if padding == "valid" else 2 * _one(padding)
    return torch.clamp((lengths + around - reach - 1).div(stride, rounding_mode="floor") + 1, min=0)


def _one(size: Any) -> int:
    return int(size[0] if isinstance(size, tuple) else size)
