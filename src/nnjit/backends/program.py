"""A network as a program: typed records of its steps, for one kind of input.

A kind of layer says in its `cpu.py` which units compute it and what its record holds; here the
values of a block of rows get their places, and neighbours are told of each other. Such a module has

- ``units(single)``: its units in one precision, by name: forward, backward unless delta stays as it
  is, and gradient if there are parameters, see `nnjit.core.jobs.job.Step`;
- ``make_step(program, number, layer)``: the record of one layer, which `Program.place` completes;

and, if it likes,

- ``ROWS_ALONE``: the gradient of some rows of a matrix can be had without the others;
- ``MASKS_INPUTS``: its backward pass can end in the derivative of a ReLU below;
- ``OWN_DERIVATIVE``: its outputs are not those of its activation alone, so no layer above may end
  its backward pass in the derivative of that;
- ``VARIANTS``: names of modules beside it with units of their own, 'csr' where it takes CSR rows;
- ``reads_outputs(layer)``: whether its backward pass reads its outputs as they were (that of
  `nnjit.layers.activation` where it ends in an activation);
- ``IN_PLACE``: it changes delta in place, and the values too if the layer below reads them no more;
- ``CHANGES_SIGNS``: values in place may get another sign, which a ReLU below reads later;
- ``make_halves(program, step)``: where it joins rows, the two steps in place of one between which
  the parts of a minibatch meet, and the units that put together what these have measured, behind
  the first one's forward pass and behind the second one's backward pass (0 for nothing);
- ``SORTS_ROWS``: where series are of unequal length, it needs the rows of a block by their lengths,
  the longest first;
- ``TRAINING_ONLY``: in a prediction its outputs are its inputs, unless samples are drawn.
"""

import functools
import importlib
import math
from typing import NamedTuple

import numpy as np

from nnjit.backends.layout import lanes_of, make_layout, round_up, row_stride
from nnjit.core.jobs.job import Step
from nnjit.core.jobs.records import address_of
from nnjit.core.maps.inputs import input_unit, packed_input_unit
from nnjit.core.maps.losses import spare_rows
from nnjit.formulas import find_activation

__all__ = ["Program", "Rows", "make_program"]


class Rows(NamedTuple):
    """Rows of a block's workspace: inputs and values come first, then these."""

    kept: int  # values that backward passes read beside the layers' outputs
    delta: int
    ones: int
    weights: int
    spare: int  # two, or more where the loss needs them
    scratch: int  # sample-major, from here on


class Program:
    """The steps of a network, and where a block's values lie.

    Attributes
    ----------
    steps : list of ndarray
        One record each; the first one is the input, if it is dense.
    addresses : ndarray of int64
        Of the steps.
    of_layer : list of ndarray
        The record of each layer, None for one that is left out.
    first : int
        Number of the first layer that is not; 0 if all are left out.
    rows : Rows
    scratch : int
        Elements of the scratch for each row of a block, sample-major.
    lendable : list of int
        Places among the network's parameters of those that one row may read where they are.
    """

    def __init__(self, network, layout, dtype, sparse, training, sampling=False, one_row=False):
        self.network, self.layout, self.dtype = network, layout, np.dtype(dtype)
        self.sparse, self.training, self.sampling = sparse, training, sampling
        self.one_row, self.lendable = one_row, []
        self.single = self.dtype == np.float32
        self.sizes, self.shapes = network.sizes, network.shapes
        self._kept = np.cumsum(
            [0, *[self._kept_of(*one) for one in zip(network.layers, self.shapes, strict=False)]]
        ).tolist()
        self._kinds = [_cpu(layer.kind) for layer in network.layers]
        self._left_out = [self._leaves_out(kind) for kind in self._kinds]
        self.first = self._left_out.index(False) if False in self._left_out else 0
        self._check_input()
        self._starts, n_values = self._value_rows()
        self._delta_starts, n_deltas = self._delta_rows()
        n_deltas, spare = (n_deltas, spare_rows(network)) if training else (0, 2)
        self.rows = _rows(n_values, n_deltas, self._kept[-1], training, spare)
        self.scratch, self._arrays = 0, []
        self.of_layer, self._takers = [], {}
        for number, (kind, layer) in enumerate(zip(self._kinds, network.layers, strict=True)):
            left_out = self._left_out[number]
            self.of_layer.append(None if left_out else kind.make_step(self, number, layer))
        self.steps = [*([] if sparse else [self._input()]), *self._in_order()]
        self.addresses = np.array([address_of(step) for step in self.steps], np.int64)

    @property
    def rows_alone(self):
        """Whether every kind can compute the gradient of some rows of a matrix alone."""
        return all(getattr(kind, "ROWS_ALONE", False) for kind in self._kinds)

    @property
    def sorts_rows(self):
        """Whether a kind needs the rows of a block by the lengths of their series."""
        return any(getattr(kind, "SORTS_ROWS", False) for kind in self._kinds)

    @property
    def lanes(self):
        """Rows of one vector."""
        return lanes_of(self.dtype)

    def _in_order(self):
        """The steps of the layers, and in training of what joins deltas in front of them."""
        for number, step in enumerate(self.of_layer):
            for first, last in self.network.shortcuts:
                if first == number and self.training and self.delta_row(first) >= 0:
                    yield self._kinds[last].make_join(self, first, last)
            if step is not None:
                yield step

    def _check_input(self):
        if self.sparse and "csr" not in getattr(self._kinds[self.first], "VARIANTS", ()):
            kind = self.network.layers[self.first].kind
            raise ValueError(f"A {kind} layer takes no sparse rows.")

    def _kept_of(self, layer, inputs):
        """Values of a row that a layer keeps beside its outputs."""
        alone = None if self.training else getattr(layer, "kept_forward", None)
        return layer.kept(inputs) if alone is None else alone(inputs)

    def _leaves_out(self, kind):
        """Whether layers of a kind are none for this program."""
        return getattr(kind, "TRAINING_ONLY", False) and not (self.training or self.sampling)

    def _value_rows(self):
        """Where the inputs and the values of each layer begin, and the number of all rows."""
        starts, total = [0], self.sizes[0]
        for number, size in enumerate(self.sizes[1:]):
            if self._left_out[number] or self._in_place(number):
                starts.append(starts[-1])
            else:
                starts.append(total)
                total += size
        return starts, total

    def _in_place(self, number):
        """Whether a layer's outputs take the place of its inputs."""
        if not getattr(self._kinds[number], "IN_PLACE", False):
            return False
        if any(first == number for first, _ in self.network.shortcuts):
            return False  # a residual layer reads the inputs later
        if number == 0 or not self.training:
            return True
        if getattr(self._kinds[number], "CHANGES_SIGNS", False) and self._ends_in_relu(number - 1):
            return False
        reads = getattr(self._kinds[number - 1], "reads_outputs", lambda layer: True)
        return not reads(self.network.layers[number - 1])

    def _ends_in_relu(self, number):
        """Whether a layer ends in a ReLU."""
        if getattr(self._kinds[number], "OWN_DERIVATIVE", False):
            return False
        activation = getattr(self.network.layers[number], "activation", None)
        return bool(activation) and find_activation(activation).epilogue == "relu"

    def _delta_rows(self):
        """The same for their deltas, from 0 on; -1 where nothing that is trained lies below."""
        starts, total, asked = [-1], 0, False
        for number, (layer, size) in enumerate(
            zip(self.network.layers, self.sizes[1:], strict=True)
        ):
            in_place = asked and getattr(self._kinds[number], "IN_PLACE", False)
            asked = asked or any(one.trained for one in layer.parameters(self.shapes[number]))
            starts.append(starts[-1] if in_place else total if asked else -1)
            total += size if asked and not in_place else 0
        return starts, total

    def _input(self):
        step = Step.table(1)
        packed = isinstance(self.shapes[0], tuple)
        step["forward_at"] = (packed_input_unit if packed else input_unit)(self.single).address
        step["outputs"] = self.sizes[0]
        self.enter_shape(step, 0)
        return step

    def enter_shape(self, step, number):
        """Enter into the record how the values lie that come into a layer, or out of the last."""
        shape, lengths = self.shapes[number], self.network.lengths[number]
        if isinstance(shape, tuple):
            step["packed"], step["channels"] = 1, shape[0]
            step["points"] = math.prod(shape[1:])
        if lengths is not None:
            step["lengths_at"] = self.keep(lengths)

    def place(self, step, number, units):
        """Enter a layer's units, and where its values and deltas lie, into its record."""
        step["inputs"], step["outputs"] = self.sizes[number], self.sizes[number + 1]
        step["input_row"], step["output_row"] = self._starts[number], self._starts[number + 1]
        self.enter_shape(step, number + 1)
        kept = self._kept[number + 1] - self._kept[number]
        step["kept_row"] = self.rows.kept + self._kept[number] if kept else -1
        step["forward_at"] = units["forward"].address
        if self.training:
            step["delta_row"] = self.delta_row(number + 1)
            step["input_delta_row"] = self.delta_row(number)
            if step["delta_row"] >= 0 and "backward" in units:
                step["backward_at"] = units["backward"].address
            if "gradient" in units:
                step["gradient_at"] = units["gradient"].address
        return step

    def kind(self, number):
        """The module of a layer's kind."""
        return self._kinds[number]

    def input_row(self, number):
        """Where the values begin that come into a layer."""
        return self._starts[number]

    def delta_row(self, number):
        """Where their deltas begin, in training; -1 where nobody asks for them."""
        start = self._delta_starts[number]
        return self.rows.delta + start if start >= 0 else -1

    def gradient_step(self, number, piece):
        """The record whose unit makes the gradient of a layer's parameter: its own, or a later one.

        Parameters
        ----------
        number, piece : int
            Of the layer, and of the parameter among those of the layer.
        """
        return self._takers.get((number, piece), self.of_layer[number])

    def take_gradient(self, number, piece, step):
        """Have a later layer's record make that gradient; the address of what made it before."""
        before = self.gradient_step(number, piece)
        self._takers[number, piece] = step
        return address_of(before)

    def keep(self, array):
        """Keep an array that records point to as long as these; its address."""
        self._arrays.append(array)
        return address_of(array)

    def lend(self, place):
        """Let a parameter be read where its owner has it; its place among those of the job."""
        self.lendable.append(self.layout.places.index(place))
        return place.layer

    def take_back(self, place):
        """Have a parameter among those of the job after all, since another layer reads it too."""
        number = self.layout.places.index(place)
        self.lendable = [one for one in self.lendable if one != number]

    def take_scratch(self, columns):
        """Reserve sample-major scratch; (its start and stride, in elements of each row)."""
        start, stride = self.scratch, row_stride(columns, self.dtype)
        self.scratch += stride
        return start, stride

    def masks_below(self, number):
        """Whether a layer's backward pass ends in the derivative of a ReLU below it.

        It does not where that layer's delta is a sum, of which this is only the first term.
        """
        return bool(
            number > 0
            and self._ends_in_relu(number - 1)
            and all(first != number for first, _ in self.network.shortcuts)
            and getattr(self._kinds[number], "MASKS_INPUTS", False)
        )

    def masked_above(self, number):
        """Whether the layer above a layer does that for it."""
        return number + 1 < len(self._kinds) and self.masks_below(number + 1)

    @property
    def row_bytes(self):
        """What a row of a block has in the workspace, but for padding."""
        return (self.rows.scratch + self.scratch) * self.dtype.itemsize

    def workspace_size(self, rows):
        """Elements that one block of `rows` rows needs."""
        stride, whole = row_stride(rows, self.dtype), round_up(rows, lanes_of(self.dtype))
        return self.rows.scratch * stride + whole * self.scratch


def make_program(network, dtype, sparse, training, sampling=False, one_row=False):
    """The `Program` of a network; a search makes many engines of the same few networks.

    Parameters
    ----------
    network : nnjit.layers.network.Network
    dtype : numpy dtype
    sparse, training : bool
        Whether rows are CSR; whether there is a backward pass.
    sampling : bool
        Whether a prediction draws what training draws.
    one_row : bool
        Whether a block of a prediction may be a single row. That always has a way of its own where
        rows are series or images, since one of them is work enough for a call.
    """
    one_row = not training and not sparse and (one_row or bool(network.shape))
    names = {getattr(layer, "activation", None) for layer in network.layers} - {None}
    entries = tuple(map(find_activation, sorted(names)))  # one may take another's place
    return _make_program(network, np.dtype(dtype), sparse, training, sampling, one_row, entries)


@functools.lru_cache(maxsize=64)
def _make_program(network, dtype, sparse, training, sampling, one_row, entries):
    layout = make_layout(network, dtype)
    return Program(network, layout, dtype, sparse, training, sampling, one_row)


def _rows(values, deltas, kept, training, n_spare):
    """Rows of a workspace: inputs and values, and in training their deltas and weights."""
    delta, ones = values, values + deltas
    spare = ones + 2 if training else ones
    end = spare + n_spare
    return Rows(end, delta, ones, ones + 1, spare, end + kept)


def _cpu(kind):
    """The CPU's side of a kind of layer."""
    return importlib.import_module(f"nnjit.layers.{kind}.cpu")
