"""Modules that take vectors: linear ones, embeddings of columns, radial units."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnjit.interop.torch.arrays import array_or, as_array
from nnjit.interop.torch.read_network import ReadNetwork
from nnjit.layers import Dense, Embedding, PeriodicEmbedding, PiecewiseLinear, RadialBasis

__all__ = ["categories", "embedding", "linear", "periodic", "piecewise", "radial"]


def linear(read: ReadNetwork, module: Any) -> None:
    read.take_width(module.in_features)
    weights = as_array(module.weight).T
    read.add(
        Dense(module.out_features, "identity"),
        weights=np.ascontiguousarray(weights),
        biases=array_or(module.bias, 0.0, weights.shape[1:], weights.dtype),
    )


def embedding(read: ReadNetwork, module: Any) -> None:
    if read.layers or read.shape is not None:
        raise ValueError("the codes of an embedding are the rows, and come first")
    if module.max_norm is not None:
        raise ValueError("vectors have no max_norm")
    read.inputs = read.shape = 1
    read.add(Embedding((module.num_embeddings,), module.embedding_dim), vectors=module.weight)


def categories(read: ReadNetwork, module: Any) -> None:
    table = as_array(module.vectors.weight)
    read.add(Embedding(module.levels, table.shape[1], module.rate), vectors=table)


def periodic(read: ReadNetwork, module: Any) -> None:
    features, frequencies, made = module.amplitudes.shape
    layer = PeriodicEmbedding(features, frequencies, made, module.scale, module.rate)
    names = ("frequencies", "phases", "amplitudes", "offsets")
    read.add(layer, **{name: getattr(module, name) for name in names})


def piecewise(read: ReadNetwork, module: Any) -> None:
    features, ends = module.edges.shape
    read.add(PiecewiseLinear(features, ends - 1), edges=module.edges)


def radial(read: ReadNetwork, module: Any) -> None:
    read.take_width(module.centers.shape[1])
    layer = RadialBasis(len(module.centers), bool(module.normalized))
    read.add(layer, centers=module.centers, log_widths=module.log_widths)
