"""Where a network's parameters lie in one flat buffer, and the values of a block of rows.

Parameters are one flat array in scikit-learn's packing order, all that are penalized (the weight
matrices), then the others, and last what no solver trains, so that gradients, vectors of a solver
and updates are single sweeps. A matrix is row-major; an array of more axes is one whose rows are
all axes but the last; where its rows would be a multiple of 512
bytes apart they are set one vector further apart, because power-of-two strides fall into few cache
sets. The padding is zero and stays zero.

Values are feature-major: those of a layer for a block of rows are (values, stride), vectors running
along the samples, so that no layer is padded in its units and softmax and the losses vectorize over
samples. Bad strides are avoided there too.
"""

import math
from typing import NamedTuple

import numpy as np

from nnjit.core.simd import TILE

__all__ = [
    "Layout",
    "Place",
    "aligned_empty",
    "aligned_zeros",
    "make_layout",
    "row_stride",
    "untouched_zeros",
]

_BAD_STRIDE = 512  # bytes


class Place(NamedTuple):
    """Where one parameter lies in the flat buffer."""

    layer: int
    piece: int  # its number among those of its layer
    shape: tuple[int, ...]
    penalized: bool
    start: int
    row: int  # elements from one row to the next; 1 for a vector
    trained: bool
    rate: float  # factor on the learning rate

    @property
    def stop(self):
        """One behind its last element, padding included."""
        return self.start + self.rows * self.row

    @property
    def rows(self):
        """Rows of the matrix that it is, all axes but the last being one; elements of a vector."""
        return math.prod(self.shape[:-1]) if len(self.shape) > 1 else self.shape[0]

    def view(self, flat):
        """The parameter as an array of its shape, in a flat array."""
        part = flat[self.start : self.stop]
        if len(self.shape) == 1:
            return part
        return part.reshape(-1, self.row)[:, : self.shape[-1]].reshape(self.shape)


class Layout(NamedTuple):
    """The places of all parameters, in the order of `Network.parameters`."""

    places: tuple[Place, ...]
    n_flat: int  # elements of the flat buffer, padding included
    n_penalized: int  # of these, the first so many
    n_trained: int  # those that the solver moves: the first so many

    def views(self, flat):
        """All parameters in a flat array."""
        return [place.view(flat) for place in self.places]

    def packed_views(self, flat):
        """The same in packing order."""
        return [place.view(flat) for place in sorted(self.places, key=lambda place: place.start)]

    @property
    def trained(self):
        """The places of the parameters that the solver moves."""
        return [place for place in self.places if place.trained]

    def of(self, layer):
        """The places of one layer's parameters."""
        return [place for place in self.places if place.layer == layer]


def lanes_of(dtype):
    """Elements of one vector register."""
    return TILE.bytes // np.dtype(dtype).itemsize


def round_up(value, multiple):
    return -(-value // multiple) * multiple


def row_stride(n, dtype):
    """Elements from one row of n elements to the next: whole vectors, no bad stride."""
    stride = round_up(n, lanes_of(dtype))
    if stride * np.dtype(dtype).itemsize % _BAD_STRIDE == 0:
        stride += lanes_of(dtype)
    return stride


def make_layout(network, dtype):
    """Lay out the parameters of a network in one precision."""
    itemsize = np.dtype(dtype).itemsize
    found, number = [], {}
    for layer, parameter in network.parameters():
        piece = number[layer] = number.get(layer, -1) + 1
        found.append((layer, piece, parameter))
    places, start, ends = {}, 0, []
    for section in ((True, True), (True, False), (False, False)):
        for layer, piece, parameter in found:
            if section != (parameter.trained, parameter.penalized):
                continue
            row = 1
            if len(parameter.shape) >= 2:
                columns = parameter.shape[-1]
                row = columns + (lanes_of(dtype) if columns * itemsize % _BAD_STRIDE == 0 else 0)
            place = Place(
                layer, piece, parameter.shape, parameter.penalized, start, row, parameter.trained,
                parameter.rate,
            )  # fmt: skip
            places[layer, piece], start = place, place.stop
        ends.append(start)
    n_penalized, n_trained, n_flat = ends
    ordered = tuple(places[layer, piece] for layer, piece, _ in found)
    return Layout(ordered, n_flat, n_penalized, n_trained)


def aligned_empty(n, dtype):
    """Uninitialized array that starts on a cache line."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.empty(n * itemsize + 2 * 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * itemsize].view(dtype)


def aligned_zeros(n, dtype):
    array = aligned_empty(n, dtype)
    array[:] = 0
    return array


def untouched_zeros(n, dtype):
    """The same as `aligned_zeros`, of which a large one takes memory only as it is written to."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(n * itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * itemsize].view(dtype)
