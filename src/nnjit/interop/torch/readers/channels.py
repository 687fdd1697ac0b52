"""Modules that take series or images: convolutions, the padding before them, pooling, Flatten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnjit.interop.torch.arrays import array_or, as_array
from nnjit.interop.torch.padding import padding_name
from nnjit.interop.torch.read_network import ReadNetwork
from nnjit.layers import Augment, Conv, Flatten, GlobalPool, Pool

__all__ = ["augmentation", "convolution", "flatten", "global_pool", "pad", "pool"]


def convolution(read: ReadNetwork, module: Any) -> None:
    inputs = read.take_channels(module.in_channels)
    axes = len(module.kernel_size)
    if len(inputs) != axes + 1:
        raise ValueError(f"it takes other arrays than those of shape {inputs} that come in")
    name = padding_name(module, inputs[1:], read.padded)
    read.padded = None
    weights = as_array(module.weight).transpose(*range(2, axes + 2), 1, 0)
    layer = Conv(
        module.out_channels,
        _size(module.kernel_size),
        "identity",
        _size(module.stride),
        _size(module.dilation),
        module.groups,
        name,
    )
    biases = array_or(module.bias, 0.0, weights.shape[-1:], weights.dtype)
    read.add(layer, weights=np.ascontiguousarray(weights), biases=biases)


def _size(size: Any) -> Any:
    """Return one number for all axes where they have the same."""
    sizes = size if isinstance(size, tuple) else (size,)
    return int(sizes[0]) if len(set(sizes)) == 1 else tuple(map(int, sizes))


def pad(read: ReadNetwork, module: Any) -> None:
    read.take_channels()
    read.padded = module.padding


def pool(method: str) -> Callable[[ReadNetwork, Any], None]:
    def add(read: ReadNetwork, module: Any) -> None:
        read.take_channels()
        wanted = {
            "padding": (0, (0,), (0, 0)), "dilation": (1, (1,), (1, 1)), "ceil_mode": (False,),
            "return_indices": (False,), "divisor_override": (None,),
        }  # fmt: skip
        for name, known in wanted.items():
            given = getattr(module, name, known[0])
            if given not in known:
                raise ValueError(f"windows of a pooling layer have no {name}={given!r}")
        size, stride = _size(module.kernel_size), _size(module.stride)
        read.add(Pool(method, size, None if stride == size else stride))

    return add


def global_pool(method: str) -> Callable[[ReadNetwork, Any], None]:
    def add(read: ReadNetwork, module: Any) -> None:
        read.take_channels()
        if module.output_size not in (1, (1,), (1, 1)):
            raise ValueError("only pooling over all points, output_size=1, is taken")
        read.add(GlobalPool(method))
        read.pooled = True

    return add


def flatten(read: ReadNetwork, module: Any) -> None:
    if module.start_dim != 1 or module.end_dim != -1:
        raise ValueError("only Flatten(1, -1), of each row, is taken")
    read.pooled = False
    if isinstance(read.shape, tuple):
        read.add(Flatten())


def augmentation(read: ReadNetwork, module: Any) -> None:
    read.take_channels()
    read.add(Augment(module.shift, module.flip, module.crop, module.noise))
