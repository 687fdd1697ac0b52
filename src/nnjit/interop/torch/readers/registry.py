"""What reads the modules of each type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from nnjit.interop.torch import chain, outputs, units, vectors
from nnjit.interop.torch.leaves import Leaf
from nnjit.interop.torch.read_network import ReadNetwork
from nnjit.interop.torch.readers.channels import (
    augmentation,
    convolution,
    flatten,
    global_pool,
    pad,
    pool,
)
from nnjit.interop.torch.readers.ends import groups, points, quantiles, softmax, two_classes
from nnjit.interop.torch.readers.inputs import images, series, standardize, unflatten
from nnjit.interop.torch.readers.links import residual, tied
from nnjit.interop.torch.readers.recurrent import recurrent
from nnjit.interop.torch.readers.units import (
    batch_normalization,
    dropout,
    layer_normalization,
    noise,
    parametric,
    scaling,
)
from nnjit.interop.torch.readers.vectors import (
    categories,
    embedding,
    linear,
    periodic,
    piecewise,
    radial,
)
from nnjit.interop.torch.recurrent import Recurrent

__all__ = ["LINKS", "READERS"]

READERS: dict[type, Callable[[ReadNetwork, Any], None]] = {
    nn.AdaptiveAvgPool1d: global_pool("mean"),
    nn.AdaptiveAvgPool2d: global_pool("mean"),
    nn.AdaptiveMaxPool1d: global_pool("max"),
    nn.AdaptiveMaxPool2d: global_pool("max"),
    nn.AvgPool1d: pool("mean"),
    nn.AvgPool2d: pool("mean"),
    nn.BatchNorm1d: batch_normalization,
    nn.BatchNorm2d: batch_normalization,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Dropout: dropout,
    nn.Embedding: embedding,
    nn.Flatten: flatten,
    nn.LayerNorm: layer_normalization,
    nn.Linear: linear,
    nn.LogSoftmax: softmax,
    nn.MaxPool1d: pool("max"),
    nn.MaxPool2d: pool("max"),
    nn.Softmax: softmax,
    nn.Unflatten: unflatten,
    nn.ZeroPad1d: pad,
    nn.ZeroPad2d: pad,
    Recurrent: recurrent,
    chain.ChannelsFirst: images,
    chain.PointsLast: points,
    chain.SeriesInput: series,
    outputs.GroupedSoftmax: groups,
    outputs.TwoClasses: two_classes,
    outputs.Uncrossed: quantiles,
    units.Augmentation: augmentation,
    units.GaussianNoise: noise,
    units.ParametricActivation: parametric,
    units.Scaling: scaling,
    vectors.CategoryEmbedding: categories,
    vectors.PeriodicEmbedding: periodic,
    vectors.PiecewiseLinear: piecewise,
    vectors.RadialBasis: radial,
    vectors.Standardize: standardize,
}
# Those that go by where another module begins.
LINKS: dict[type, Callable[[ReadNetwork, Leaf], None]] = {
    chain.Residual: residual,
    vectors.TiedLinear: tied,
}
