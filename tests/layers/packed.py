"""One layer without a network around it, between packed arrays or vectors: its units on a block.

The layer is made by a `Program` of a network that ends behind it, so that its record is what an
engine would run; then values and deltas are laid down and taken up by hand.
"""

import ctypes

import numba
import numpy as np

from nnjit.backends.layout import aligned_zeros, make_layout, row_stride
from nnjit.backends.program import Program
from nnjit.core.jobs.job import Block, Chunk, Job
from nnjit.core.jobs.records import address_of
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network

# What lies where no value of a block is: it must not be read into any result.
REMAINS = 1e30


class OneLayer:
    """A layer for rows of a shape, in one precision, on a block of at most `rows` rows.

    Its parameters are in `parameters`, if it has any.

    Attributes
    ----------
    step : record
    work : ndarray
        The block's workspace.
    """

    def __init__(self, layer, shape, dtype, rows, masks=False, parameters=()):
        self.layer, self.shape, self.dtype = layer, shape, np.dtype(dtype)
        after = layer.outputs(shape)
        flatten = (Flatten(),) if isinstance(after, tuple) else ()
        layers = (layer, *flatten, Dense(1, "identity"))
        given = shape if isinstance(shape, tuple) else ()
        self.network = Network(size_of(shape), layers, "", "identity", shape=given)
        self.program = _Alone(self.network, dtype, masks)
        self.step, self.after = self.program.of_layer[0], after
        self.stride = row_stride(rows, dtype)
        self.work = np.full(self.program.workspace_size(rows), REMAINS, dtype)
        self.params = aligned_zeros(self.program.layout.n_flat, dtype)
        self.places = self.program.layout.of(0)
        for place, values in zip(self.places, parameters, strict=False):
            place.view(self.params)[...] = values

    def _job(self, rows, lengths, seed, clock, states):
        self._clock = np.array([float(clock)])
        job, program = Job.table(1), self.program.rows
        job["work_size"], job["stride"], job["n_samples"] = self.work.size, self.stride, rows
        job["spare_row"], job["scratch_row"] = program.spare, program.scratch
        job["seed"], job["clock_at"] = seed, address_of(self._clock)
        if lengths is not None:
            self._lengths = np.array(lengths, np.int64)
            job["lengths_at"] = address_of(self._lengths)
        job["params_at"], job["n_flat"] = address_of(self.params), self.params.size
        if states is not None:
            self._states, self._state_rows = states[0], np.array(states[1], np.int64)
            job["states_at"], job["state_size"] = address_of(self._states), states[0].shape[1]
            job["state_rows_at"] = address_of(self._state_rows)
        return job

    def _block(self, rows, first):
        self._order, block, lanes = np.arange(rows), Block.table(1), self.program.lanes
        block["order_at"], block["rows"], block["first"] = address_of(self._order), rows, first
        block["lanes"] = -(-rows // lanes) * lanes
        block["work_at"] = address_of(self.work)
        return block

    def _run(self, name, *more):
        unit = self.program.units[name]
        given = [*(address_of(one) for one in (self.job, self.step, self.block)), *more]
        if numba.config.DISABLE_JIT:
            unit.function(*given)
        else:
            ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(given))(unit.address)(*given)

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

    def forward(self, x, lengths=None, seed=0, clock=0, first=0, states=None):
        """Outputs for rows x of the layer's shape.

        `states` are those that rows of series go on from: an array, and for each row where its own
        stand there (see `Job`).
        """
        rows = len(x)
        self.job, self.block = (
            self._job(rows, lengths, seed, clock, states),
            self._block(rows, first),
        )
        self.put(int(self.step["input_row"][0]), self.shape, x)
        self._run("forward")
        return self.get(int(self.step["output_row"][0]), self.after, rows)

    def backward(self, delta):
        """Delta of the inputs, for the rows that have just gone forward."""
        rows = len(delta)
        self.put(int(self.step["delta_row"][0]), self.after, delta)
        self._run("backward")
        return self.get(int(self.step["input_delta_row"][0]), self.shape, rows)

    def gradients(self):
        """Gradient by each parameter, for the rows that have just gone backward."""
        return [self.gradient(number) for number in range(len(self.places))]

    def gradient(self, number, first=0, rows=None, added_to=None):
        """Gradient by a parameter, or by some rows of it, or the sum of it and what there is."""
        place, vector = self.places[number], len(self.places[number].shape) == 1
        rows = place.rows if rows is None else rows
        low = place.start + first * place.row
        chunk, size = Chunk.table(1), rows * place.row
        chunk["low"], chunk["high"], chunk["row"] = low, low + size, place.row
        chunk["step_at"], chunk["piece"] = address_of(self.step), place.piece
        if not vector:
            chunk["first"], chunk["rows"], chunk["columns"] = first, rows, place.shape[-1]
        target = aligned_zeros(size, self.dtype)
        values = target.reshape(rows, place.row)[:, : 1 if vector else place.shape[-1]]
        values[...] = REMAINS if added_to is None else added_to.reshape(values.shape)
        self._run("gradient", address_of(chunk), address_of(target), int(added_to is not None), 0)
        return values.reshape(-1) if vector else values


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
