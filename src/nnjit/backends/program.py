"""A network as a program: typed records of its steps, for one kind of input.

A kind of layer says in its `cpu.py` which units compute it and what its record holds; here the
values of a block of rows get their places, and neighbours are told of each other. Such a module has

- ``units(single)``: its units in one precision, by name: forward, backward and gradient, see
  `nnjit.core.jobs.job.Step`;
- ``make_step(program, number, layer)``: the record of one layer, which `Program.place` completes;

and, if it likes,

- ``ROWS_ALONE``: the gradient of some rows of a matrix can be had without the others;
- ``MASKS_INPUTS``: its backward pass can end in the derivative of a ReLU below;
- ``VARIANTS``: names of modules beside it with units of their own, 'csr' where it takes CSR rows.
"""

import functools
import importlib
from typing import NamedTuple

import numpy as np

from nnjit.backends.layout import lanes_of, make_layout, round_up, row_stride
from nnjit.core.jobs.job import Step
from nnjit.core.jobs.records import address_of
from nnjit.core.maps.inputs import input_unit
from nnjit.formulas import find_activation

__all__ = ["Program", "Rows", "make_program"]


class Rows(NamedTuple):
    """Rows of a block's workspace: inputs and values come first, then these."""

    kept: int  # values that backward passes read beside the layers' outputs
    delta: int
    ones: int
    weights: int
    spare: int  # two
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
        The record of each layer.
    rows : Rows
    scratch : int
        Elements of the scratch for each row of a block, sample-major.
    """

    def __init__(self, network, layout, dtype, sparse, training):
        self.network, self.layout, self.dtype = network, layout, np.dtype(dtype)
        self.sparse, self.training = sparse, training
        self.single = self.dtype == np.float32
        self.sizes = network.sizes
        self._starts = np.cumsum([0, *self.sizes]).tolist()
        self._kept = np.cumsum(
            [0, *[layer.kept(n) for layer, n in zip(network.layers, self.sizes, strict=False)]]
        ).tolist()
        self._kinds = [_cpu(layer.kind) for layer in network.layers]
        self._check_input()
        self.rows = _rows(self._starts[-1], self.sizes[0], self._kept[-1], training)
        self.scratch = 0
        self.of_layer = [
            kind.make_step(self, number, layer)
            for number, (kind, layer) in enumerate(zip(self._kinds, network.layers, strict=True))
        ]
        self.steps = [*([] if sparse else [self._input()]), *self._in_order()]
        self.addresses = np.array([address_of(step) for step in self.steps], np.int64)

    @property
    def rows_alone(self):
        """Whether every kind can compute the gradient of some rows of a matrix alone."""
        return all(getattr(kind, "ROWS_ALONE", False) for kind in self._kinds)

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
            yield step

    def _check_input(self):
        if self.sparse and "csr" not in getattr(self._kinds[0], "VARIANTS", ()):
            raise ValueError(f"A {self.network.layers[0].kind} layer takes no sparse rows.")

    def _input(self):
        step = Step.table(1)
        step["forward_at"] = input_unit(self.single).address
        step["outputs"] = self.sizes[0]
        return step

    def place(self, step, number, units):
        """Enter a layer's units, and where its values and deltas lie, into its record."""
        step["inputs"], step["outputs"] = self.sizes[number], self.sizes[number + 1]
        step["input_row"], step["output_row"] = self._starts[number], self._starts[number + 1]
        kept = self._kept[number + 1] - self._kept[number]
        step["kept_row"] = self.rows.kept + self._kept[number] if kept else -1
        step["forward_at"] = units["forward"].address
        if self.training:
            step["delta_row"] = self.delta_row(number + 1)
            step["input_delta_row"] = self.delta_row(number)
            step["backward_at"] = units["backward"].address
            if "gradient" in units:  # else it has no parameters
                step["gradient_at"] = units["gradient"].address
        return step

    def input_row(self, number):
        """Where the values begin that come into a layer."""
        return self._starts[number]

    def delta_row(self, number):
        """Where their deltas begin, in training; -1 where nobody asks for them."""
        return self.rows.delta - self.sizes[0] + self._starts[number] if number > 0 else -1

    def take_scratch(self, columns):
        """Reserve sample-major scratch; (its start and stride, in elements of each row)."""
        start, stride = self.scratch, row_stride(columns, self.dtype)
        self.scratch += stride
        return start, stride

    def masks_below(self, number):
        """Whether a layer's backward pass ends in the derivative of a ReLU below it.

        It does not where that layer's delta is a sum, of which this is only the first term.
        """
        below = self.network.layers[number - 1] if number > 0 else None
        activation = getattr(below, "activation", None)
        return bool(
            activation
            and all(first != number for first, _ in self.network.shortcuts)
            and find_activation(activation).epilogue == "relu"
            and getattr(self._kinds[number], "MASKS_INPUTS", False)
        )

    def masked_above(self, number):
        """Whether the layer above a layer does that for it."""
        return number + 1 < len(self._kinds) and self.masks_below(number + 1)

    def workspace_size(self, rows):
        """Elements that one block of `rows` rows needs."""
        stride, whole = row_stride(rows, self.dtype), round_up(rows, lanes_of(self.dtype))
        return self.rows.scratch * stride + whole * self.scratch


def make_program(network, dtype, sparse, training):
    """The `Program` of a network; a search makes many engines of the same few networks.

    Parameters
    ----------
    network : nnjit.layers.network.Network
    dtype : numpy dtype
    sparse, training : bool
        Whether rows are CSR; whether there is a backward pass.
    """
    names = {getattr(layer, "activation", None) for layer in network.layers} - {None}
    entries = tuple(map(find_activation, sorted(names)))  # one may take another's place
    return _make_program(network, np.dtype(dtype), sparse, training, entries)


@functools.lru_cache(maxsize=64)
def _make_program(network, dtype, sparse, training, entries):
    return Program(network, make_layout(network, dtype), dtype, sparse, training)


def _rows(total, inputs, kept, training):
    """Rows of a workspace: inputs and values, and in training their deltas and weights."""
    delta = ones = total
    if training:
        ones = total + total - inputs
    spare = ones + 2 if training else ones
    return Rows(spare + 2, delta, ones, ones + 1, spare, spare + 2 + kept)


def _cpu(kind):
    """The CPU's side of a kind of layer."""
    return importlib.import_module(f"nnjit.layers.{kind}.cpu")
