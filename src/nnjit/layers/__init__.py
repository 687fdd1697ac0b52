"""Layers by kind, a folder each: what a layer is (`spec.py`, plain data), and its code for the CPU.

`network.py` puts layers together. Nothing here that is imported with nnjit compiles or loads Numba.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "Augment",
    "Conv",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRU",
    "GaussianNoise",
    "GlobalPool",
    "LSTM",
    "Normalization",
    "ParametricActivation",
    "PeriodicEmbedding",
    "PiecewiseLinear",
    "Pool",
    "RNN",
    "RadialBasis",
    "Residual",
    "Scaling",
    "TiedDense",
]

_KINDS = {
    "Augment": "augmentation",
    "Conv": "convolution",
    "Dense": "dense",
    "Dropout": "dropout",
    "Embedding": "embedding",
    "Flatten": "flatten",
    "GRU": "gru",
    "GaussianNoise": "noise",
    "GlobalPool": "global_pooling",
    "LSTM": "lstm",
    "Normalization": "normalization",
    "ParametricActivation": "parametric",
    "PeriodicEmbedding": "periodic",
    "PiecewiseLinear": "piecewise",
    "Pool": "pooling",
    "RNN": "rnn",
    "RadialBasis": "radial",
    "Residual": "residual",
    "Scaling": "scaling",
    "TiedDense": "tied",
}

if TYPE_CHECKING:
    from nnjit.layers.augmentation.spec import Augment
    from nnjit.layers.convolution.spec import Conv
    from nnjit.layers.dense.spec import Dense
    from nnjit.layers.dropout.spec import Dropout
    from nnjit.layers.embedding.spec import Embedding
    from nnjit.layers.flatten.spec import Flatten
    from nnjit.layers.global_pooling.spec import GlobalPool
    from nnjit.layers.gru.spec import GRU
    from nnjit.layers.lstm.spec import LSTM
    from nnjit.layers.noise.spec import GaussianNoise
    from nnjit.layers.normalization.spec import Normalization
    from nnjit.layers.parametric.spec import ParametricActivation
    from nnjit.layers.periodic.spec import PeriodicEmbedding
    from nnjit.layers.piecewise.spec import PiecewiseLinear
    from nnjit.layers.pooling.spec import Pool
    from nnjit.layers.radial.spec import RadialBasis
    from nnjit.layers.residual.spec import Residual
    from nnjit.layers.rnn.spec import RNN
    from nnjit.layers.scaling.spec import Scaling
    from nnjit.layers.tied.spec import TiedDense
else:

    def __getattr__(name: str) -> Any:
        if name not in _KINDS:
            raise AttributeError(f"module 'nnjit.layers' has no attribute {name!r}")
        found = getattr(importlib.import_module(f"nnjit.layers.{_KINDS[name]}.spec"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_KINDS})
