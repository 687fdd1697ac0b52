"""Modules of PyTorch as layers: one after the other, with the shape of what comes into each."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from nnjit._types import Array
from nnjit.interop.torch import chain, outputs, padding, units, vectors
from nnjit.interop.torch.activations import activation_name
from nnjit.interop.torch.arrays import as_array
from nnjit.interop.torch.cells import cells_of
from nnjit.interop.torch.leaves import Leaf, leaves_of, refusal
from nnjit.interop.torch.recurrent import Recurrent
from nnjit.layers import (
    Augment,
    Conv,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Normalization,
    ParametricActivation,
    PeriodicEmbedding,
    PiecewiseLinear,
    Pool,
    RadialBasis,
    Residual,
    Scaling,
    TiedDense,
)
from nnjit.layers.layer import Layer, Shape

__all__ = ["ReadNetwork", "read_modules"]

_MANY = 2**40  # values of a vector that any layer takes
_CELLS = (nn.RNN, nn.GRU, nn.LSTM)
# Layers whose own activation is that of a module right behind them.
_ACTIVATED = ("convolution", "dense", "normalization", "tied")


@dataclass
class ReadNetwork:
    """What was read.

    Attributes
    ----------
    layers : list of Layer
    arrays : list of dict of str to ndarray
        Parameters of each by their names here.
    shape : int, tuple of int or None
        Of what came out of the last one so far, for each row; None until a module tells it.
    input_shape : tuple of int
        Of series or images; ``()`` for vectors.
    inputs : int
        Values of a row.
    channels_last, by_points : bool
    head : str
        What is made of logits: 'softmax', 'two', 'groups', 'quantiles', or ''.
    groups, quantiles : tuple
    origin : ndarray or None
    unit : float
        Of a radial network's rows.
    """

    layers: list[Any] = field(default_factory=list)
    arrays: list[dict[str, Array]] = field(default_factory=list)
    shape: Shape | None = None
    input_shape: tuple[int, ...] = ()
    inputs: int = 0
    channels_last: bool = False
    by_points: bool = False
    head: str = ""
    groups: tuple[int, ...] = ()
    quantiles: tuple[float, ...] = ()
    origin: Array | None = None
    unit: float = 1.0
    # where the layers of modules begin, and what the next module has to be
    starts: dict[tuple[int, int], int] = field(default_factory=dict)
    padded: Any = None
    pooled: bool = False

    def add(self, layer: Layer, **arrays: Any) -> None:
        """Add a layer; its arrays may be tensors.

        Raises
        ------
        ValueError
            If one is not finite.
        """
        if self.shape is not None:
            self.shape = layer.outputs(self.shape)
        taken = {name: as_array(one) for name, one in arrays.items()}
        for name, one in taken.items():
            if not np.isfinite(one).all():
                raise ValueError(f"its {name} contain NaN or infinity")
        self.layers.append(layer)
        self.arrays.append(taken)

    def take_width(self, width: int) -> None:
        """Have vectors of so many values come in next.

        Raises
        ------
        ValueError
            If something else comes in.
        """
        if self.shape is None:
            added = sum(layer.outputs(_MANY) - _MANY for layer in self.layers)
            self.inputs, self.shape = width - added, width
        if self.shape != width:
            raise ValueError(f"it takes {width} values, but {_words(self.shape)} come in")

    def take_channels(self, count: int | None = None) -> tuple[int, ...]:
        """Return the shape of series or images that come in, of so many channels.

        Raises
        ------
        ValueError
            If something else comes in, or it is not known.
        """
        if self.shape is None:
            raise ValueError(
                "it takes series or images: give input_shape=(channels, time) or (channels, "
                "height, width)"
            )
        if not isinstance(self.shape, tuple) or count not in (None, self.shape[0]):
            wanted = "channels" if count is None else f"{count} channels"
            raise ValueError(f"it takes {wanted}, but {_words(self.shape)} come in")
        return self.shape

    def take_units(self, count: int) -> None:
        """Have so many units come in: values of a vector, or channels."""
        if isinstance(self.shape, tuple):
            self.take_channels(count)
        else:
            self.take_width(count)


def _words(shape: Shape) -> str:
    return f"arrays of shape {shape}" if isinstance(shape, tuple) else f"{shape}"


def read_modules(module: Any, input_shape: Sequence[int] | None) -> ReadNetwork:
    """Read a module, or several in order; see `nnjit.interop.from_torch`."""
    read = ReadNetwork()
    if input_shape is not None:
        _take_shape(read, input_shape)
    leaves = [*leaves_of(module)]
    for number, leaf in enumerate(leaves):
        try:
            _read_leaf(read, leaf, leaves[number + 1 :])
        except ValueError as error:
            raise ValueError(
                f"Module {leaf.place!r}, {_text(leaf.module)}, cannot be taken over: "
                f"{str(error).removesuffix('.')}."
            ) from None
    if read.padded is not None or read.pooled:
        raise ValueError("The last module is one that needs another behind it.")
    if read.shape is None:
        raise ValueError(f"There is no layer with weights in {_text(module)}.")
    return read


def _text(module: Any) -> str:
    text = " ".join(repr(module).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def _take_shape(read: ReadNetwork, given: Sequence[int]) -> None:
    try:
        shape = tuple(map(operator.index, given))
    except TypeError:
        shape = ()
    shape = (1, *shape) if len(shape) == 1 else shape
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ValueError(
            "input_shape is (channels, time) or (channels, height, width), all of them ints from 1 "
            f"on, got {given!r}."
        )
    read.shape = read.input_shape = shape
    read.inputs = math.prod(shape)


def _read_leaf(read: ReadNetwork, leaf: Leaf, following: list[Leaf]) -> None:
    """Add what a module is, and remember which layer it begins.

    Raises
    ------
    ValueError
        That says why it is none of ours.
    """
    _check(read, leaf)
    layers, padded = len(read.layers), read.padded
    name = activation_name(leaf.module)
    if name is not None:
        _activate(read, name)
    elif type(leaf.module) in _CELLS:
        _add_cells(read, leaf, following)
    elif type(leaf.module) in (chain.Residual, vectors.TiedLinear):
        _link(read, leaf)
    elif type(leaf.module) in _READ:
        _READ[type(leaf.module)](read, leaf.module)
    elif type(leaf.module) is not nn.Identity:
        raise ValueError("nnjit has no layer that does the same")
    begins = len(read.layers) > layers or read.padded is not None
    if leaf.position is not None and begins and padded is None:
        read.starts[leaf.position] = layers


def _check(read: ReadNetwork, leaf: Leaf) -> None:
    """Refuse a module where it cannot be."""
    kind = type(leaf.module)
    for inner in leaf.module.modules():
        if why := refusal(inner):
            raise ValueError(why)
    if read.head and kind is not nn.Identity:
        raise ValueError("it stands behind what makes predictions of the logits")
    if read.padded is not None and kind not in (nn.Conv1d, nn.Conv2d):
        raise ValueError("a convolution has to follow the padding in front of it")
    if read.pooled and kind is not nn.Flatten:
        raise ValueError("Flatten() has to follow the pooling in front of it")


# What reads the modules of a type, by the type


def _activate(read: ReadNetwork, name: str) -> None:
    last = read.layers[-1] if read.layers else None
    if last is not None and last.kind in _ACTIVATED and last.activation == "identity":
        read.layers[-1] = replace(last, activation=name)
        return
    if read.shape is None:
        raise ValueError(
            "nothing tells how many values come into it: that takes a layer with weights in front, "
            "or input_shape where rows are series or images"
        )
    count = read.shape[0] if isinstance(read.shape, tuple) else read.shape
    # phi with a share of 1 that is not trained
    read.add(ParametricActivation(name, rate=0.0), shares=np.ones(count, _dtype_of(read)))


def _add_cells(read: ReadNetwork, leaf: Leaf, following: list[Leaf]) -> None:
    if not leaf.listed:
        raise ValueError(
            "of a Sequential it gives a tuple to the next module; give from_torch a list of modules"
        )
    again = next((one for one in following if type(one.module) is not nn.Dropout), None)
    is_before_others = again is not None and type(again.module) in _CELLS
    for layer, arrays in cells_of(leaf.module, is_before_others):
        read.take_channels(arrays["weights"].shape[0] if arrays else None)
        read.add(layer, **arrays)


def _dtype_of(read: ReadNetwork) -> Any:
    found = [one.dtype for arrays in read.arrays for one in arrays.values()]
    return np.float64 if np.dtype(np.float64) in found else np.float32


def _link(read: ReadNetwork, leaf: Leaf) -> None:
    """Add a layer that says how far back the one is that it goes by."""
    module = leaf.module
    tied = type(module) is vectors.TiedLinear
    back: int = module.back if tied else module.span
    owner, number = leaf.position or (0, -1)
    first = read.starts.get((owner, number - back))
    layers = len(read.layers) - (-1 if first is None else first)
    if first is None or layers < 1:
        raise ValueError(f"no layer begins {back} modules before it")
    if not tied:
        span = Residual(layers)
        sizes = _shapes(read)
        if sizes[first] != sizes[-1]:
            raise ValueError(f"it adds {_words(sizes[first])} to {_words(sizes[-1])}")
        read.add(span)
        return
    bias = as_array(module.bias)
    read.add(TiedDense(layers, "identity", len(bias)), biases=bias)


def _shapes(read: ReadNetwork) -> list[Shape]:
    """Return the shapes of what comes into each layer so far, and out of the last."""
    found: list[Shape] = [read.input_shape or read.inputs]
    for layer in read.layers:
        found.append(layer.outputs(found[-1]))
    return found


def _linear(read: ReadNetwork, module: Any) -> None:
    read.take_width(module.in_features)
    weights = as_array(module.weight).T
    read.add(
        Dense(module.out_features, "identity"),
        weights=np.ascontiguousarray(weights),
        biases=_or(module.bias, 0.0, weights.shape[1:], weights.dtype),
    )


def _or(values: Any, default: float, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return a tensor as an array, or if there is none one of a number."""
    return np.full(shape, default, dtype) if values is None else as_array(values)


def _convolution(read: ReadNetwork, module: Any) -> None:
    inputs = read.take_channels(module.in_channels)
    axes = len(module.kernel_size)
    if len(inputs) != axes + 1:
        raise ValueError(f"it takes other arrays than those of shape {inputs} that come in")
    name = padding.padding_name(module, inputs[1:], read.padded)
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
    biases = _or(module.bias, 0.0, weights.shape[-1:], weights.dtype)
    read.add(layer, weights=np.ascontiguousarray(weights), biases=biases)


def _size(size: Any) -> Any:
    """Return one number for all axes where they have the same."""
    sizes = size if isinstance(size, tuple) else (size,)
    return int(sizes[0]) if len(set(sizes)) == 1 else tuple(map(int, sizes))


def _pad(read: ReadNetwork, module: Any) -> None:
    read.take_channels()
    read.padded = module.padding


def _pool(method: str) -> Callable[[ReadNetwork, Any], None]:
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


def _global_pool(method: str) -> Callable[[ReadNetwork, Any], None]:
    def add(read: ReadNetwork, module: Any) -> None:
        read.take_channels()
        if module.output_size not in (1, (1,), (1, 1)):
            raise ValueError("only pooling over all points, output_size=1, is taken")
        read.add(GlobalPool(method))
        read.pooled = True

    return add


def _flatten(read: ReadNetwork, module: Any) -> None:
    if module.start_dim != 1 or module.end_dim != -1:
        raise ValueError("only Flatten(1, -1), of each row, is taken")
    read.pooled = False
    if isinstance(read.shape, tuple):
        read.add(Flatten())


def _unflatten(read: ReadNetwork, module: Any) -> None:
    kinds = [layer.kind for layer in read.layers]
    if module.dim != 1 or kinds not in ([], ["flatten"]):
        raise ValueError("rows can be given a shape in front of all layers only")
    read.layers.clear()  # Flatten, where input_shape said that there is something to flatten
    read.arrays.clear()
    _take_shape(read, module.unflattened_size)


def _series(read: ReadNetwork, module: Any) -> None:
    if not read.input_shape:
        _take_shape(read, (module.channels, module.points))
    read.take_channels(module.channels)
    read.channels_last = module.channels_last


def _images(read: ReadNetwork, module: Any) -> None:
    _take_shape(read, module.shape)
    read.channels_last = True


def _batch_normalization(read: ReadNetwork, module: Any) -> None:
    if module.running_mean is None or module.momentum is None:
        raise ValueError("it has no running statistics that follow with a momentum")
    images = isinstance(read.shape, tuple) and len(read.shape) == 3
    if images != (type(module) is nn.BatchNorm2d):
        what = "the rows" if read.shape is None else _words(read.shape)
        raise ValueError(f"it is no normalization of {what}")
    read.take_units(module.num_features)
    shape, dtype = tuple(module.running_mean.shape), as_array(module.running_mean).dtype
    read.add(
        Normalization("batch", "identity", float(module.momentum), float(module.eps)),
        scale=_or(module.weight, 1.0, shape, dtype),
        shift=_or(module.bias, 0.0, shape, dtype),
        mean=module.running_mean,
        variance=module.running_var,
    )


def _layer_normalization(read: ReadNetwork, module: Any) -> None:
    if len(module.normalized_shape) != 1 or isinstance(read.shape, tuple):
        raise ValueError("only vectors are normalized by rows")
    scale = _or(module.weight, 1.0, module.normalized_shape, np.float32)
    read.take_width(len(scale))
    read.add(
        Normalization("layer", "identity", epsilon=float(module.eps)),
        scale=scale,
        shift=_or(module.bias, 0.0, scale.shape, scale.dtype),
    )


def _dropout(read: ReadNetwork, module: Any) -> None:
    read.add(Dropout(float(module.p)))


def _embedding(read: ReadNetwork, module: Any) -> None:
    if read.layers or read.shape is not None:
        raise ValueError("the codes of an embedding are the rows, and come first")
    if module.max_norm is not None:
        raise ValueError("vectors have no max_norm")
    read.inputs = read.shape = 1
    read.add(Embedding((module.num_embeddings,), module.embedding_dim), vectors=module.weight)


def _categories(read: ReadNetwork, module: Any) -> None:
    table = as_array(module.vectors.weight)
    read.add(Embedding(module.levels, table.shape[1], module.rate), vectors=table)


def _periodic(read: ReadNetwork, module: Any) -> None:
    features, frequencies, made = module.amplitudes.shape
    layer = PeriodicEmbedding(features, frequencies, made, module.scale, module.rate)
    names = ("frequencies", "phases", "amplitudes", "offsets")
    read.add(layer, **{name: getattr(module, name) for name in names})


def _piecewise(read: ReadNetwork, module: Any) -> None:
    features, ends = module.edges.shape
    read.add(PiecewiseLinear(features, ends - 1), edges=module.edges)


def _radial(read: ReadNetwork, module: Any) -> None:
    read.take_width(module.centers.shape[1])
    layer = RadialBasis(len(module.centers), bool(module.normalized))
    read.add(layer, centers=module.centers, log_widths=module.log_widths)


def _standardize(read: ReadNetwork, module: Any) -> None:
    if read.layers or read.shape is not None:
        raise ValueError("it comes in front of all others")
    read.origin, read.unit = as_array(module.origin), float(module.unit)
    read.take_width(len(read.origin))


def _scaling(read: ReadNetwork, module: Any) -> None:
    read.take_units(len(module.factors))
    read.add(Scaling(module.rate), factors=module.factors)


def _parametric(read: ReadNetwork, module: Any) -> None:
    read.take_units(len(module.shares))
    read.add(ParametricActivation(module.name, module.rate), shares=module.shares)


def _noise(read: ReadNetwork, module: Any) -> None:
    read.add(GaussianNoise(module.scale))


def _augmentation(read: ReadNetwork, module: Any) -> None:
    read.take_channels()
    read.add(Augment(module.shift, module.flip, module.crop, module.noise))


def _recurrent(read: ReadNetwork, module: Any) -> None:
    layer: Any
    ((layer, arrays),) = cells_of(module.rnn, module.return_sequences)
    read.take_channels(arrays["weights"].shape[0])
    more = {"recurrent_dropout": module.recurrent_dropout, "truncate": module.truncate}
    read.add(replace(layer, **more), **arrays)


def _points(read: ReadNetwork, module: Any) -> None:
    read.take_channels()
    read.by_points = True


def _softmax(read: ReadNetwork, module: Any) -> None:
    if module.dim not in (None, -1, 2 if read.by_points else 1):
        raise ValueError("it goes over another axis than that of the outputs")
    read.head = "softmax"


def _two(read: ReadNetwork, module: Any) -> None:
    read.head = "two"


def _groups(read: ReadNetwork, module: Any) -> None:
    read.head, read.groups = "groups", module.sizes


def _quantiles(read: ReadNetwork, module: Any) -> None:
    read.head, read.quantiles = "quantiles", module.quantiles


_READ: dict[type, Callable[[ReadNetwork, Any], None]] = {
    nn.AdaptiveAvgPool1d: _global_pool("mean"),
    nn.AdaptiveAvgPool2d: _global_pool("mean"),
    nn.AdaptiveMaxPool1d: _global_pool("max"),
    nn.AdaptiveMaxPool2d: _global_pool("max"),
    nn.AvgPool1d: _pool("mean"),
    nn.AvgPool2d: _pool("mean"),
    nn.BatchNorm1d: _batch_normalization,
    nn.BatchNorm2d: _batch_normalization,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Dropout: _dropout,
    nn.Embedding: _embedding,
    nn.Flatten: _flatten,
    nn.LayerNorm: _layer_normalization,
    nn.Linear: _linear,
    nn.LogSoftmax: _softmax,
    nn.MaxPool1d: _pool("max"),
    nn.MaxPool2d: _pool("max"),
    nn.Softmax: _softmax,
    nn.Unflatten: _unflatten,
    nn.ZeroPad1d: _pad,
    nn.ZeroPad2d: _pad,
    Recurrent: _recurrent,
    chain.ChannelsFirst: _images,
    chain.PointsLast: _points,
    chain.SeriesInput: _series,
    outputs.GroupedSoftmax: _groups,
    outputs.TwoClasses: _two,
    outputs.Uncrossed: _quantiles,
    units.Augmentation: _augmentation,
    units.GaussianNoise: _noise,
    units.ParametricActivation: _parametric,
    units.Scaling: _scaling,
    vectors.CategoryEmbedding: _categories,
    vectors.PeriodicEmbedding: _periodic,
    vectors.PiecewiseLinear: _piecewise,
    vectors.RadialBasis: _radial,
    vectors.Standardize: _standardize,
}
