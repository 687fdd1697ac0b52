"""One layer between packed arrays, without a network around it: its units on a block of rows.

The layer is made by a `Program` of a network that ends behind it, so that its record is what an
engine would run; then values and deltas are laid down and taken up by hand.
"""

import ctypes

import numba
import numpy as np

from nnjit.backends.layout import make_layout, row_stride
from nnjit.backends.program import Program
from nnjit.core.jobs.job import Block, Job
from nnjit.core.jobs.records import address_of
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network

# What lies where no value of a block is: it must not be read into any result.
REMAINS = 1e30


class OneLayer:
    """A layer for rows of a shape, in one precision, on a block of at most `rows` rows.

    Attributes
    ----------
    step : record
    work : ndarray
        The block's workspace.
    """

    def __init__(self, layer, shape, dtype, rows, masks=False):
        self.layer, self.shape, self.dtype = layer, shape, np.dtype(dtype)
        after = layer.outputs(shape)
        flatten = (Flatten(),) if isinstance(after, tuple) else ()
        layers = (layer, *flatten, Dense(1, "identity"))
        self.network = Network(size_of(shape), layers, "", "identity", shape=shape)
        self.program = _Alone(self.network, dtype, masks)
        self.step, self.after = self.program.of_layer[0], after
        self.stride = row_stride(rows, dtype)
        self.work = np.full(self.program.workspace_size(rows), REMAINS, dtype)

    def _job(self, rows, lengths, seed, clock):
        self._clock = np.array([float(clock)])
        job, program = Job.table(1), self.program.rows
        job["work_size"], job["stride"], job["n_samples"] = self.work.size, self.stride, rows
        job["spare_row"], job["scratch_row"] = program.spare, program.scratch
        job["seed"], job["clock_at"] = seed, address_of(self._clock)
        if lengths is not None:
            self._lengths = np.array(lengths, np.int64)
            job["lengths_at"] = address_of(self._lengths)
        return job

    def _block(self, rows, first):
        self._order, block, lanes = np.arange(rows), Block.table(1), self.program.lanes
        block["order_at"], block["rows"], block["first"] = address_of(self._order), rows, first
        block["lanes"] = -(-rows // lanes) * lanes
        block["work_at"] = address_of(self.work)
        return block

    def _run(self, name, rows):
        unit = self.program.units[name]
        addresses = [address_of(one) for one in (self.job, self.step, self.block)]
        if numba.config.DISABLE_JIT:
            unit.function(*addresses)
        else:
            ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(unit.address)(*addresses)

    def _places(self, row, shape, rows):
        """Places of the values of all rows in the workspace, (rows, values)."""
        step = rows if isinstance(shape, tuple) else self.stride
        values = row * self.stride + np.arange(size_of(shape)) * step
        return values + np.arange(rows)[:, np.newaxis]

    def put(self, row, shape, values):
        rows = len(values)
        self.work[self._places(row, shape, rows)] = values.reshape(rows, -1)

    def get(self, row, shape, rows):
        found = self.work[self._places(row, shape, rows)]
        return found.reshape(rows, *(shape if isinstance(shape, tuple) else (shape,)))

    def padding(self, row, shape, rows):
        """What is behind the rows of a vector's values, up to whole vectors."""
        lanes = int(self.block["lanes"][0])
        at = row * self.stride + np.arange(size_of(shape))[:, np.newaxis] * self.stride
        return self.work[at + np.arange(rows, lanes)]

    def forward(self, x, lengths=None, seed=0, clock=0, first=0):
        """Outputs for rows x of the layer's shape."""
        rows = len(x)
        self.job, self.block = self._job(rows, lengths, seed, clock), self._block(rows, first)
        self.put(int(self.step["input_row"][0]), self.shape, x)
        self._run("forward", rows)
        return self.get(int(self.step["output_row"][0]), self.after, rows)

    def backward(self, delta):
        """Delta of the inputs, for the rows that have just gone forward."""
        rows = len(delta)
        self.put(int(self.step["delta_row"][0]), self.after, delta)
        self._run("backward", rows)
        return self.get(int(self.step["input_delta_row"][0]), self.shape, rows)


class _Alone(Program):
    """The program of a network whose first layer is asked for the delta of its inputs."""

    def __init__(self, network, dtype, masks):
        self.units, self._masks = None, masks
        super().__init__(network, make_layout(network, dtype), dtype, sparse=False, training=True)

    def _delta_rows(self):
        if getattr(self.network.layers[0], "changes_rows", False):
            return super()._delta_rows()  # nothing goes back through it
        starts = np.cumsum([0, *self.sizes]).tolist()
        return starts[:-1], starts[-1]

    def masks_below(self, number):
        return self._masks

    def place(self, step, number, units):
        self.units = units if number == 0 else self.units
        return super().place(step, number, units)
