"""Convolutions, pooling and dense layers for images and series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnjit.layers.augmentation.spec import Augment
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.global_pooling.spec import GlobalPool
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.normalization.spec import Normalization
from nnjit.layers.pooling.spec import Pool
from nnjit.layers.presets.values import augmentation, each, is_int, is_name, plain
from nnjit.layers.residual.spec import Residual

__all__ = ["convolutional"]


@dataclass(frozen=True)
class _Block:
    """One convolution and what follows it."""

    convolution: Conv
    activation: str
    pool: str | None
    pool_size: Any
    dropout: float


def convolutional(
    shape: tuple[int, ...],
    filters: int | Sequence[int],
    kernel_size: Any,
    hidden: Sequence[int],
    *,
    stride: Any = 1,
    dilation: Any = 1,
    groups: Any = 1,
    padding: str | Sequence[str] = "same",
    pool: str | Sequence[str | None] | None = "max",
    pool_size: Any = 2,
    global_pool: str | None = None,
    activation: str | Sequence[str] = "relu",
    normalization: str | None = None,
    dropout: float | Sequence[float] = 0.0,
    residual: bool = False,
    augment: Augment | Mapping[str, Any] | None = None,
) -> tuple[Layer, ...]:
    """Return convolutions, what makes a vector of their outputs, and dense layers.

    A block is a convolution, normalization (and then the activation), the sum with what came in,
    pooling and dropout, each where it is asked for.

    Parameters
    ----------
    shape : tuple of int
        (channels, time) or (channels, height, width) of a row.
    filters, kernel_size, stride, dilation, groups, padding, pool, pool_size : object
        One value for all convolutions, or a sequence with one for each. Of `kernel_size`, `stride`,
        `dilation` and `pool_size` such a one may itself be a sequence of one int for each axis.
    hidden : sequence of int
        Units of the dense layers.
    global_pool : {'mean', 'max'} or None
        What is taken of each channel over all its points; None for all points one after the other.
    activation, dropout : object
        One for all, or one for each convolution and each dense layer.
    normalization : {'batch'} or None
        What is done to the pre-activations of convolutions and dense layers.
    residual : bool
        Whether what came in is added to the outputs wherever both have the same shape.
    augment : Augment, mapping or None
        How rows are changed at random in training.

    Returns
    -------
    tuple of Layer
        The output layer is not among them.

    Raises
    ------
    ValueError
        If something does not fit; the message names the parameter and the convolution.
    """
    count = _count(filters)
    activations = each("activation", activation, count, len(hidden), "convolutions")
    dropouts = each("dropout", dropout, count, len(hidden), "convolutions")
    values = {
        "filters": _per_convolution("filters", filters, count, is_int),
        "kernel_size": _per_convolution("kernel_size", kernel_size, count, is_int),
        "stride": _per_convolution("stride", stride, count, is_int),
        "dilation": _per_convolution("dilation", dilation, count, is_int),
        "groups": _per_convolution("groups", groups, count, is_int),
        "padding": _per_convolution("padding", padding, count, is_name),
    }
    pools = _per_convolution("pool", pool, count, is_name)
    pool_sizes = _per_convolution("pool_size", pool_size, count, is_int)
    layers: list[Layer] = [] if augment is None else [augmentation(augment)]
    now: Shape = layers[0].outputs(shape) if layers else shape
    for i in range(count):
        given = {name: value[i] for name, value in values.items()}
        first = "identity" if normalization else activations[i]
        try:
            block = _Block(
                Conv(activation=first, **given),
                activations[i],
                pools[i],
                pool_sizes[i],
                dropouts[i],
            )
            made, now = _block(block, now, normalization, residual)
        except ValueError as error:
            raise ValueError(f"Convolution {i} of {count} does not fit: {error}") from None
        layers += made
    layers.append(GlobalPool(global_pool) if global_pool else Flatten())
    inputs = layers[-1].outputs(now)
    for units, name, share in zip(hidden, activations[count:], dropouts[count:], strict=True):
        layers += _dense(units, name, share, normalization, residual and units == inputs)
        inputs = units
    return tuple(layers)


def _block(
    block: _Block, inputs: Shape, normalization: str | None, residual: bool
) -> tuple[list[Layer], Shape]:
    """Return the layers of a block and the shape that comes out."""
    layers: list[Layer] = [block.convolution]
    outputs = block.convolution.outputs(inputs)
    if normalization:
        layers.append(Normalization(normalization, block.activation))
    if residual and outputs == inputs:
        layers.append(Residual(len(layers)))
    if block.pool is not None:
        pool = _pool(block.pool, block.pool_size, outputs)
        if pool is not None:
            layers.append(pool)
            outputs = pool.outputs(outputs)
    if block.dropout:
        layers.append(Dropout(block.dropout))
    return layers, outputs


def _pool(method: str, size: Any, inputs: tuple[int, ...]) -> Pool | None:
    """Return pooling whose windows are no larger than an axis; None where each is one point."""
    wanted = [
        window
        for _, window, _ in Pool(method, size).axes(inputs)  # checked, one for each axis
    ]
    windows = tuple(min(one, points) for one, points in zip(wanted, inputs[1:], strict=True))
    if max(windows) == 1:
        return None
    return Pool(method, size if windows == tuple(wanted) else windows)


def _dense(
    units: int, activation: str, dropout: float, normalization: str | None, residual: bool
) -> list[Layer]:
    """Return the layers that are called one hidden layer."""
    layers: list[Layer] = [Dense(units, "identity" if normalization else activation)]
    if normalization:
        layers.append(Normalization(normalization, activation))
    if dropout:
        layers.append(Dropout(dropout))
    if residual:
        layers.append(Residual(len(layers)))
    return layers


def _count(filters: Any) -> int:
    """Return the number of convolutions: of the numbers of filters, an int being one."""
    if is_int(filters):
        return 1
    if isinstance(filters, str) or not hasattr(filters, "__len__") or not len(filters):
        raise ValueError(
            f"filters is an int, or a sequence of at least one for each convolution: {filters!r}."
        )
    return len(filters)


def _per_convolution(
    name: str, given: Any, count: int, is_one: Callable[[Any], bool]
) -> tuple[Any, ...]:
    """Return a parameter's value for each convolution."""
    if given is None or is_one(given):
        return (given,) * count
    if isinstance(given, str) or not hasattr(given, "__len__"):
        raise ValueError(f"{name} is one value, or a sequence of one for each, got {given!r}.")
    if len(given) != count:
        pairs = name in ("kernel_size", "stride", "dilation", "pool_size")
        more = ", which may be a pair with one int for each axis" if pairs else ""
        raise ValueError(
            f"{name}={given!r} has {len(given)} values, but there are {count} convolutions: give "
            f"one for all of them, or a sequence with one for each{more}."
        )
    return tuple(plain(one) for one in given)
