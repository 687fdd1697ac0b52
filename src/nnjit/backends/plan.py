"""Shapes of the work and the buffers for it: what is made once for many compiled calls.

Blocks, parts and chunks follow from the shapes alone, so that threads change no result.
"""

import functools
import struct
from itertools import groupby
from typing import NamedTuple

import numpy as np

from nnjit.backends.layout import (
    aligned_zeros,
    lanes_of,
    round_up,
    row_stride,
    untouched_zeros,
)
from nnjit.backends.segments import cut
from nnjit.backends.tuner import Tuner
from nnjit.core.jobs import job, prediction, segments, threads, training
from nnjit.core.jobs.driver import open_job, runner
from nnjit.core.jobs.job import Block, Chunk, Job, Phase, Step
from nnjit.core.jobs.records import address_of
from nnjit.core.jobs.sorting import SORT, scatter_unit
from nnjit.core.maps.groups import GROUP_LOSSES, GROUP_OUTPUTS
from nnjit.core.maps.losses import loss_unit
from nnjit.core.maps.outputs import output_unit, overflows
from nnjit.core.maps.sequences import PointsJob, point_losses_unit, point_outputs_unit
from nnjit.core.maps.solvers import average_unit, gradient_unit, solver_unit
from nnjit.core.simd import TILE
from nnjit.layers.recurrence.layer import RecurrentLayer

__all__ = ["ForwardPlan", "GradientPlan", "TrainPlan"]

# Work from which two threads beat one, in multiply-adds.
PARALLEL_TRAIN = 150_000  # of a minibatch
PARALLEL_PREDICT = 4_000_000
# So many times as much it has to be where rows depend on one another, which makes more phases.
JOINED_WORK = 10
# Rows of one block: its values should stay in the second-level cache.
BLOCK_ROWS = 256
# Where rows are series or images they follow from bytes. Each block reads all parameters and writes
# their gradient, so that it has at least so many times as many bytes; and two vectors of rows, with
# which a convolution's border runs at full speed, unless these are more bytes than the last.
ARRAY_BYTES, PER_PARAMETER, MOST_BYTES = 1 << 20, 4, 1 << 25
# Parts of a minibatch of those are more than two where each has so many multiply-adds, which is so
# many for each parameter, of whose gradient it makes one of its own.
PART_WORK, PART_SHARE, MOST_PARTS = 4_000_000, 128, 8
# Vectors, if not two vectors of rows, that neighbouring points and the rows of a part fill at least
# where there are two parts, and where there are more: short ones cost what threads would gain, but
# where work is so many times what threads need.
VECTORS_OF_TWO, VECTORS_OF_MORE, SHORT_WORK = 14, 64, 1000
# Multiply-adds of the forward pass in one call of a full-batch gradient: some 50 ms.
PRODUCTS_PER_CALL = 1e9
# Threads of a training job: its phases have few tasks more.
MOST_WORKERS = 64
# Elements of one chunk of parameters that reads its gradient from the parts' buffers.
CHUNK_SIZE = 8192
# Such chunks that the penalized parameters, and the others, are cut into at least where threads
# share them; their unit.
PLAIN_CHUNKS, CHUNK_UNIT = 4, 128
# Weights from which chunks compute their own gradient, and elements of such a chunk: its rows
# of the gradient stay in the second-level cache and repay reading the deltas once more.
FUSED_WEIGHTS = 16_384
FUSED_CHUNK = 16_384
# The same over CSR rows, in whose entries every chunk has to look for its own.
SPARSE_CHUNK = 65_536
# Fused chunks that a network is cut into at least, so that threads have something to share.
FUSED_CHUNKS = 8
# What every prediction writes: neighbours in the record, written as one.
_PREDICTED = ("x_at", "x_size", "x_row", "x_column", "n_samples", "out_at", "logits")
_PREDICTED_AT = 8 * Job.places[_PREDICTED[0]]  # bytes
_predicted = struct.Struct(f"{len(_PREDICTED)}q")
assert tuple(Job.places)[Job.places[_PREDICTED[0]] :][: len(_PREDICTED)] == _PREDICTED
# Bytes from one worker's block record to the next, with one for its points behind it: no cache
# line is shared.
_BLOCK_BYTES = round_up(2 * Block.dtype.itemsize, 128)
# Bytes of the workspace in which points of series are that have targets of their own, and the most
# points: these should stay in the first-level cache.
POINTS_BYTES, MOST_POINTS = 1 << 15, 512


class _Plan:
    """A job record and what keeps its memory."""

    def __init__(self, engine, program):
        self._table, self._kept = Job.table(1), {}
        self._integers, self._reals = self._table.view(np.int64), self._table.view(np.float64)
        self._runner = runner()
        self.tuner = Tuner(self._runner)
        self._dtype, self._program = engine.dtype, program
        self._arrays = bool(engine.network.shape)
        self._points = None
        if engine.network.target_shape:
            self._points = _points_workspace(engine.network.outputs, engine.dtype)
        self._state = aligned_zeros(job.STATE, np.int64)
        self.report = np.zeros(job.REPORT)
        self._set(
            n_flat=engine.layout.n_flat,
            n_steps=len(program.steps),
            outputs=engine.network.sizes[-1],
            ones_row=program.rows.ones,
            weights_row=program.rows.weights,
            spare_row=program.rows.spare,
            scratch_row=program.rows.scratch,
        )
        self._keep(
            params=engine.parameters,
            steps=program.addresses,
            state=self._state,
            report=self.report,
        )
        if engine.network.output != "identity":
            self._set(output_at=output_unit(engine.network.output, program.single).address)
        self._at = address_of(self._table)

    def _keep_ends(self, engine):
        """Enter the records of what ends the network in parts, when all that they share is."""
        if self._points is not None:
            self._keep_points(engine)
        self._keep_groups(engine)

    def _keep_points(self, engine):
        """Enter the record of the points of series that have targets of their own."""
        of, table, (steps,) = self._points, PointsJob.table(1), engine.network.target_shape
        table.view(np.int64)[: len(Job.places)] = self._integers
        step = Step.table(1)
        step["outputs"] = step["delta_row"] = of.outputs
        self._kept["step of points"] = step, np.array([address_of(step)])
        samples = self._integers[Job.places["n_samples"]] * steps
        targets = self._kept.get("targets")
        entered = {
            "steps_at": address_of(self._kept["step of points"][1]), "n_steps": 1,
            "outputs": of.outputs, "n_samples": samples, "block_rows": of.most,
            "stride": of.stride, "ones_row": 2 * of.outputs, "weights_row": 2 * of.outputs + 1,
            "spare_row": 2 * of.outputs + 2, "work_size": of.size, "offset_bytes": self._points_at,
            "numbers_bytes": of.values * self._dtype.itemsize,
            "target_columns": 0 if targets is None else targets.size // max(1, samples),
        }  # fmt: skip
        for name, value in entered.items():
            table[name] = value
        self._keep(points=table)
        if self._program.training:
            weights = self.dataset.data.point_weights
            table["weights_at"] = address_of(weights) if weights.size else 0
            self._set(loss_at=point_losses_unit(self._program.single).address)
        else:
            self._set(output_at=point_outputs_unit(self._program.single).address)

    def _keep_groups(self, engine):
        """Enter a record for each of several softmaxes."""
        sizes = engine.network.groups
        if not sizes:
            return
        last, count = self._program.of_layer[-1], len(sizes)
        groups, steps = np.repeat(self._table, count), np.repeat(last, count)
        first = np.cumsum([0, *sizes[:-1]])
        steps["output_row"] += first
        steps["delta_row"] += first
        at = address_of(steps) + steps.itemsize * np.arange(count)
        groups["steps_at"] = address_of(at) + at.itemsize * np.arange(count)
        groups["n_steps"], groups["outputs"] = 1, sizes
        groups["labels_at"] += 4 * self._integers[Job.places["n_samples"]] * np.arange(count)
        self._kept["steps of groups"] = steps, at
        self._keep(groups=groups)
        self._set(n_groups=count, output_at=GROUP_OUTPUTS.address)
        if self._program.training:
            self._set(loss_at=GROUP_LOSSES.address)

    def _set(self, **fields):
        for name, value in fields.items():
            numbers = self._reals if name in Job.reals else self._integers
            numbers[Job.places[name]] = value

    def _keep(self, **arrays):
        """Enter the addresses of arrays, 0 for one without elements, and keep them alive."""
        for name, array in arrays.items():
            self._kept[name] = array
            self._integers[Job.places[f"{name}_at"]] = address_of(array) if array.size else 0

    def _keep_samples(self, data, n_samples):
        self._keep(x=data.x, lengths=data.lengths)
        self._set(x_size=data.x.size, x_row=data.x_row, x_column=data.x_column, n_samples=n_samples)
        if data.x_column == 0:
            self._keep(indices=data.indices, indptr=data.indptr)

    def carry(self, states, rows):
        """Have samples go on from states and leave theirs there, see `Job`."""
        self._keep(states=states, state_rows=rows)
        self._set(state_size=states.shape[1])

    def _keep_workspaces(self, rows, workers, number):
        """Workspaces for that number of blocks of `rows` rows, and a block for every worker."""
        size = round_up(self._program.workspace_size(rows), 64)
        if self._points is not None:
            self._points_at = size * self._dtype.itemsize
            size += self._points.size
        if self._program.sorts_rows:
            size = self._keep_sorting(rows, size)
        self._set(
            block_rows=rows,
            stride=row_stride(rows, self._dtype),
            work_size=size,
            work_bytes=size * self._dtype.itemsize,
            workers=workers,
            block_bytes=_BLOCK_BYTES,
        )
        # the pages behind packed values of fewer rows than a vector need not be there
        zeros = untouched_zeros if self._arrays else aligned_zeros
        self._keep(
            work=zeros(number * size, self._dtype),
            blocks=aligned_zeros(workers * _BLOCK_BYTES, np.uint8),
        )

    def _keep_sorting(self, rows, size):
        """Have rows be sorted, by numbers behind their values; elements of a workspace then."""
        itemsize = self._dtype.itemsize
        self._set(sort_at=SORT.address, order_bytes=size * itemsize)
        if not self._program.training:
            self._set(scatter_at=scatter_unit(self._program.single).address)
        return size + round_up(2 * 8 * rows // itemsize, 64)

    def _keep_phases(self, made, *phases):
        """Enter the phases: (task, close, number of the next one), units by name.

        Those that are segments have the other fields of a `Phase` behind these.
        """
        table = Phase.table(len(phases))
        for number, (task, close, following, *segment) in enumerate(phases):
            segment = segment or (0, 0, 0, 0)
            table[number] = made[task].address, made[close].address, following, *segment
        self._keep(phases=table)

    def _keep_claims(self, n):
        self._claims = np.zeros(n, np.int64)
        self._set(n_claims=n)
        self._keep(claims=self._claims)

    def _call(self, parallel, first, last, phase, tasks, batch):
        open_job(self._integers, self._state, self._claims, first, last, phase, tasks, batch)
        workers = min(self._workers, threads.free_threads()) if parallel else 1
        threads.call(self._runner, parallel, self._at, workers)


class ForwardPlan(_Plan):
    """Buffers for predictions of about as many rows."""

    def __init__(self, engine, program, n):
        super().__init__(engine, program)
        self._takes_lengths, self._made_for = len(engine.network.shape) == 2, n
        self._most = _array_rows(engine, program) if self._arrays else BLOCK_ROWS
        self._work_needed = PARALLEL_PREDICT / _work(engine)
        self._parts_of = functools.partial(_array_parts, engine, self._program.lanes)
        self._rows, self._parallel = self._shape(n)
        self._workers = threads.thread_count() if self._parallel else 1
        self._keep_workspaces(self._rows, self._workers, self._workers)
        task = "predict_task" if self._points is None else "predict_points_task"
        self._keep_phases(prediction.units(program.single), (task, "after_blocks", 0))
        self._keep(lent=engine.lent)
        self._keep(order=np.arange(self._rows))
        self._keep_claims(0)
        self._set(output_overflows=overflows(engine.network.output, program.single))
        if program.sampling:
            self._clock = np.zeros(1)
            self._keep(clock=self._clock)
        self._keep_ends(engine)

    def _shape(self, n):
        """Rows of a block where n rows are predicted, and whether threads share the blocks."""
        rows = min(self._most, round_up(n, self._program.lanes))
        if self._arrays and n >= self._work_needed:
            rows = min(rows, -(-n // self._parts_of(n)))
            return rows, n > rows
        return rows, n >= self._work_needed and n > BLOCK_ROWS

    @property
    def one_row(self):
        """Whether a single row goes the way that such rows may have of their own."""
        return self._program.one_row

    def serves(self, n, sparse):
        """Whether n rows fit these buffers and threads."""
        if sparse != self._program.sparse:
            return False
        if n == self._made_for:  # one row after the other, say
            return True
        rows, parallel = self._shape(n)
        if parallel or n > self._most:
            return parallel == self._parallel and rows <= self._rows <= 2 * rows
        return n <= self._rows < 2 * n + max(BLOCK_ROWS // 8, 2 * self._program.lanes)

    def sample(self, seed, number):
        """Have the next run draw what belongs to a sample of predictions."""
        self._set(seed=seed)
        self._clock[job.STEPS] = number

    def run(self, data, n, out, logits):
        """Write the outputs of n rows to `out`; whether all is surely finite, see predict_block."""
        self.report[job.FINITE] = 1.0
        x = data.x
        _predicted.pack_into(
            self._integers, _PREDICTED_AT,
            address_of(x), x.size, data.x_row, data.x_column, n, address_of(out), logits,
        )  # fmt: skip
        if self._program.sparse:
            self._keep(indices=data.indices, indptr=data.indptr)
        if self._takes_lengths:
            self._keep(lengths=data.lengths)
        blocks = -(-n // self._rows)
        if self._claims.size < blocks:
            self._keep_claims(blocks)
        if self._parallel:  # on one thread as well in pieces, between which Ctrl-C is heard
            self.tuner.run(self._run, 0, blocks)
        else:
            self._run(False, 0, blocks)
        return bool(self.report[job.FINITE] == 1.0)

    def _run(self, parallel, first, last):
        self._call(parallel, first, last, 0, last - first, first)
        return True

    def again(self):
        """Run once more what was run last, of a single block, on what its arrays hold now."""
        self.report[job.FINITE] = 1.0
        self._call(False, 0, 1, 0, 1, 0)
        return self.report[job.FINITE] == 1.0


class _BackwardPlan(_Plan):
    """Buffers for gradients over one data set: parts, chunks and a solver's vectors."""

    def __init__(self, engine, program, dataset, n_order, batch_size, fusing):
        super().__init__(engine, program)
        self.dataset, network = dataset, engine.network
        self._work = _work(engine)
        rows, self.n_parts = _blocks(engine, program, batch_size)
        self.parallel = self.n_parts > 1
        self._segments = None
        if network.joins_rows:  # a part is one block, whose values stay until all have met
            if batch_size * self._work < JOINED_WORK * PARALLEL_TRAIN:
                self.n_parts = 1  # and threads share the update
            rows, self.n_parts = _joined_rows(batch_size, self.n_parts, program)
            if self.n_parts > 1 or network.shape:
                self._segments = cut(program)
        self._fused = (
            fusing
            and batch_size <= rows * self.n_parts
            and engine.layout.n_penalized >= FUSED_WEIGHTS
            and program.rows_alone
            and not (self._arrays and _keeps_less(engine, program, batch_size, self.n_parts))
        )
        self._rows = rows
        self._workers = min(threads.thread_count(), MOST_WORKERS) if self.parallel else 1
        data = dataset.data
        self._keep_samples(data, dataset.n_samples)
        self._keep(targets=data.targets, labels=data.labels, weights=data.weights)
        if dataset.windows is not None:
            self.carry(dataset.windows.states, dataset.windows.state_rows)
        self._keep(loss_parameters=engine.loss_parameters)
        # a workspace for each part, not for each thread
        apart = self._fused or self.n_parts == 1 or self._segments is not None
        self._keep_workspaces(rows, self._workers, self.n_parts if apart else self._workers)
        mean, columns = self._takes_mean(engine.loss_entry), data.targets.size
        self._set(
            loss_at=loss_unit(network.loss, network.output, program.single).address,
            delta_scale=1.0 / network.outputs if mean else 1.0,
            target_columns=columns // max(1, dataset.n_samples),
            n_parts=self.n_parts,
            batch_size=batch_size,
            n_order=n_order,
            fused=self._fused,
        )
        self._keep_chunks(engine.layout)
        self._losses, self._squares = np.zeros(self.n_parts), np.zeros(self._n_chunks)
        self._keep(losses=self._losses, squares=self._squares)
        self._keep_claims(max(self.n_parts, self._n_chunks))
        if self._segments is not None:
            self._keep_segments()

    def _keep_segments(self):
        """Enter the steps that meet on the way, and a block for each part."""
        self._kept["segments"] = self._segments
        self._set(n_steps=len(self._segments.steps))
        number = max(self._workers, self.n_parts)
        self._keep(
            steps=self._segments.addresses,
            blocks=aligned_zeros(number * _BLOCK_BYTES, np.uint8),
        )

    def _passes(self, start, close, following):
        """The phases of the passes, of which the first one has the number `start`."""
        if self._segments is not None:
            return self._segments.phases(start, close, following)
        return [("gradient_task", close, following)]

    def _phase_units(self):
        single = self._program.single
        return training.units(single) | segments.units(single)

    @staticmethod
    def _takes_mean(loss):
        """Whether the gradient is that of the mean over the outputs, not of the sum."""
        return loss.gradient_of_mean

    def _keep_chunks(self, layout):
        """Cut the parameters into chunks, and make what their gradient is written to."""
        if self._fused:
            chunks = _fused_chunks(layout, SPARSE_CHUNK if self._program.sparse else FUSED_CHUNK)
            size = round_up(max(high - low for low, high, *_ in chunks), 64)
            self._set(scratch_size=size, scratch_bytes=size * self._dtype.itemsize)
            self._keep(scratch=aligned_zeros(self._workers * size, self._dtype))
        else:
            chunks = _plain_chunks(layout, self.parallel)
            self._keep(partials=aligned_zeros(self.n_parts * layout.n_flat, self._dtype))
        self._n_chunks = len(chunks)
        pieces = [_piece(place) for place in _last_first(layout.trained)]
        self._set(n_chunks=len(chunks), n_pieces=len(pieces))
        program = self._program
        self._keep(chunks=_chunk_table(chunks, program), pieces=_chunk_table(pieces, program))

    def _keep_solver(self, solver_at, vectors, settings, clock, powers=()):
        self._set(solver_at=solver_at, n_vectors=len(vectors), n_powers=len(powers))
        self._keep(
            vectors=vectors, settings=settings, clock=clock, powers=np.array(powers, np.int64)
        )


class TrainPlan(_BackwardPlan):
    """Shape of the work and buffers for one data set, batch size and optimizer."""

    def __init__(self, engine, program, dataset, n_order, batch_size, optimizer):
        self._for = n_order, batch_size
        batch_size = min(batch_size, n_order)
        clips = optimizer.clips
        # a whole gradient is there at once, before anything moves, where it is clipped
        super().__init__(engine, program, dataset, n_order, batch_size, fusing=not clips)
        self.optimizer, entry = optimizer, optimizer.solver
        self._keep_solver(
            solver_unit(entry.name, program.single).address,
            optimizer.vectors,
            optimizer.settings,
            optimizer.clock,
            [list(entry.hyperparameters).index(name) for name in entry.powers],
        )
        if optimizer.average is not None:
            self._set(
                average_at=average_unit(program.single).address,
                average_share=1.0 - optimizer.average,
            )
        if clips:
            self._keep_clipping(optimizer)
        behind = 1 + len(self._passes(1, "after_gradients", 0))
        self._keep_phases(
            self._phase_units(),
            ("weigh_task", "after_update", 1),
            *self._passes(1, "after_gradients", behind),
            *([("clip_task", "after_clip", behind + 1)] if clips else ()),
            ("update_task", "after_update", 1),
        )
        self.epoch_batches = -(-n_order // batch_size)
        self._set(epoch_batches=self.epoch_batches)
        self._keep_ends(engine)
        self.epoch_losses, self.order = np.zeros(0), None

    def _keep_clipping(self, optimizer):
        norm, value = optimizer.clip_norm, optimizer.clip_value
        self._set(
            finished=1, clip_norm=0.0 if norm is None else norm,
            clip_value=np.inf if value is None else value,
        )  # fmt: skip
        self._keep(gradient_squares=np.zeros(self._n_chunks))

    def begin(self, orders, epochs, alpha, first, last):
        """Visit the samples in the order of each epoch, int64 arrays that are kept.

        The optimizer's rates, if it has any, are those of the minibatches first..last-1.
        """
        if orders is not self.order:
            self.order = orders
            self._keep(order=orders)
        rate, rates_at = self.optimizer.learning_rate, self._rates(first, last)
        self._set(
            epochs=epochs, rate=rate, rates_at=rates_at, alpha=alpha, seed=self.optimizer.seed
        )
        if len(self.epoch_losses) < epochs:
            self.epoch_losses = np.zeros(epochs)
            self._keep(epoch_losses=self.epoch_losses)
        self.epoch_losses[:] = 0.0
        self.report[job.LOSS], self.report[job.SKIPPED], self.report[job.FINITE] = 0.0, 0.0, 1.0

    def _rates(self, first, last):
        """Where minibatch 0 would have its rate; 0 where all have the same."""
        rates = self.optimizer.rates
        if rates is None:
            return 0
        if rates.dtype != np.float64 or rates.shape != (last - first,) or rates.strides != (8,):
            raise ValueError(f"One rate is needed for each of {last - first} minibatches.")
        self._kept["rates"] = rates
        return address_of(rates) - 8 * first

    def run(self, parallel, first, last):
        """Minibatches first..last-1, by all threads or by one; False after a loss not finite."""
        # as if the minibatch before the first one had just moved the parameters
        self._call(parallel, first, last, 0, self._n_chunks, first - 1)
        return self.report[job.FINITE] == 1.0

    def serves(self, dataset, n_order, batch_size, optimizer):
        """Whether this plan was made for these."""
        return (
            self.dataset is dataset
            and self.optimizer is optimizer
            and self._for == (n_order, batch_size)
        )


class GradientPlan(_BackwardPlan):
    """The gradient of the loss over all samples of one data set."""

    def __init__(self, engine, program, dataset):
        n = length = dataset.n_samples
        if engine.network.shape and not engine.network.joins_rows:
            length = min(n, max(MOST_PARTS // 2, int(PRODUCTS_PER_CALL / _work(engine))))
        super().__init__(engine, program, dataset, n, length, fusing=False)
        # in runs of whole rounds of blocks, so that Ctrl-C is heard
        round_ = self._rows * self.n_parts
        length = max(1, int(PRODUCTS_PER_CALL / self._work / round_)) * round_
        self._runs = -(-n // length)
        self._set(batch_size=length, epoch_batches=self._runs, epochs=1, accumulates=1)
        self.vector = aligned_zeros(engine.layout.n_flat, self._dtype)
        nothing = np.zeros(1)
        self._keep_solver(gradient_unit(program.single).address, self.vector, nothing, nothing)
        self._set(n_vectors=1)
        passes = self._passes(0, "after_run", 0)
        self._update = len(passes)  # number of the phase
        self._keep_phases(self._phase_units(), *passes, ("update_task", "after_all", self._update))
        self._keep(order=np.arange(n))
        self._keep_ends(engine)

    @staticmethod
    def _takes_mean(loss):
        return loss.mean_over_outputs

    def gradient(self, weight, alpha):
        """Loss over all samples, of this weight together; the gradient goes to `vector`."""
        self._set(alpha=alpha)
        self.report[:] = 0.0
        if self.parallel:
            self.tuner.run(self._run, 0, self._runs)
        else:
            for number in range(self._runs):
                self._run(False, number, number + 1)
        self.report[job.WEIGHT] = weight
        self._call(False, 0, 1, self._update, self._n_chunks, 0)
        return (self.report[job.LOSS] + 0.5 * alpha * self.report[job.PENALTY]) / weight

    def _run(self, parallel, first, last):
        self._call(parallel, first, last, 0, self.n_parts, first)
        return True


class _PointsWorkspace(NamedTuple):
    """Where the points of a block have their values; see `nnjit.core.maps.sequences`."""

    outputs: int  # logits of a point
    most: int  # points at a time
    stride: int
    values: int  # elements of all values
    size: int  # and of the points' numbers behind them


def _points_workspace(outputs, dtype):
    """The `_PointsWorkspace` of so many logits of a point."""
    rows, unit = 2 * outputs + 4, 2 * lanes_of(dtype)
    most = POINTS_BYTES // (rows * dtype.itemsize) // unit * unit
    most = max(unit, min(MOST_POINTS, most))
    stride = row_stride(most, dtype)
    values = round_up(rows * stride, 64)
    return _PointsWorkspace(
        outputs, most, stride, values, values + round_up(2 * most * 8 // dtype.itemsize, 64)
    )


def _work(engine):
    """Multiply-adds of the forward pass for each row; padding is read as well."""
    return engine.network.work + engine.layout.n_flat - engine.network.n_parameters


def _blocks(engine, program, batch_size):
    """Rows of a block and parts for minibatches of so many rows."""
    work, lanes, wanted = _work(engine), program.lanes, 1
    if engine.network.shape:
        return _array_blocks(engine, program, batch_size)
    if batch_size * work >= PARALLEL_TRAIN and batch_size > lanes:
        wanted = 2 if batch_size <= 2 * BLOCK_ROWS else 4
    rows = min(BLOCK_ROWS, round_up(-(-batch_size // wanted), lanes))
    return rows, min(wanted, -(-batch_size // rows))


def _array_blocks(engine, program, batch_size):
    """The same for series and images."""
    parts = _array_parts(engine, program.lanes, batch_size)
    rows = _even_rows(batch_size, parts, _array_rows(engine, program), program.lanes)
    return rows, min(parts, -(-batch_size // rows))


def _keeps_less(engine, program, batch_size, parts):
    """Whether a gradient for each part takes less memory than the values of a whole minibatch."""
    gradient = engine.layout.n_flat * engine.dtype.itemsize
    return parts * gradient < batch_size * program.row_bytes


def _array_parts(engine, lanes, batch_size):
    """Parts of a minibatch of series or images, a power of two."""
    total, neighbours = batch_size * _work(engine), _neighbours(engine.network)

    def fills(parts, vectors):
        return batch_size // parts >= min(2 * lanes, -(-vectors * lanes // neighbours))

    parts, needed = 1, PARALLEL_TRAIN * (1 if fills(2, VECTORS_OF_TWO) else SHORT_WORK)
    if total >= needed and batch_size > 1:
        parts = 2
        worth = min(MOST_PARTS, total // max(PART_WORK, PART_SHARE * engine.layout.n_flat))
        while 2 * parts <= worth and fills(2 * parts, VECTORS_OF_MORE):
            parts *= 2
    return parts


def _neighbours(network):
    """Values beside one another for each row: those of points, or of units at a point of time."""
    units = [layer.units for layer in network.layers if isinstance(layer, RecurrentLayer)]
    return min([network.shape[-1], *units])


def _array_rows(engine, program):
    """About how many rows of series or images a block has."""
    row, two = program.row_bytes, 2 * program.lanes
    parameters = engine.layout.n_flat * engine.dtype.itemsize
    rows = max(ARRAY_BYTES // row, PER_PARAMETER * parameters // row, min(two, MOST_BYTES // row))
    return max(1, min(BLOCK_ROWS, rows if rows < two else (rows + two // 2) // two * two))


def _even_rows(batch_size, parts, rows, lanes):
    """Rows of a block, about as many as given, such that the parts have about equally many."""
    per_part = -(-batch_size // parts)
    even = -(-per_part // max(1, round(per_part / rows)))
    around = {even}
    for unit in (lanes, 2 * lanes):
        around |= {even // unit * unit, round_up(even, unit)}
    return min(
        sorted(n for n in around if 0 < n <= max(even, BLOCK_ROWS)),
        key=lambda rows: _largest_part(batch_size, parts, rows, 2 * lanes),
    )


def _largest_part(batch_size, parts, rows, unit):
    """Price of the largest of the parts: what does not fill two vectors costs as if it did."""
    blocks = [min(rows, batch_size - first) for first in range(0, batch_size, parts * rows)]
    return sum(blocks) + sum(round_up(n, unit) for n in blocks)


def _joined_rows(batch_size, parts, program):
    """Rows of each of some parts of a minibatch whose rows depend on one another, and the parts."""
    # packed values need no whole vectors of rows
    least = program.lanes if isinstance(program.shapes[0], int) or parts == 1 else 1
    rows = round_up(-(-batch_size // parts), least)
    return rows, -(-batch_size // rows)


def _chunk_table(chunks, program):
    """Chunk records of (low, high, penalized, layer, piece, first, rows, columns, row, rate)."""
    table = Chunk.table(len(chunks))
    for number, (low, high, penalized, layer, piece, *others) in enumerate(chunks):
        step = address_of(program.gradient_step(layer, piece))
        table[number] = (low, high, penalized, step, piece, *others)
    return table


def _piece(place):
    """A whole parameter."""
    rows, columns = (place.rows, place.shape[-1]) if len(place.shape) > 1 else (0, 0)
    return (place.start, place.stop, place.penalized, place.layer, place.piece, 0, rows, columns,
            place.row, place.rate)  # fmt: skip


def _last_first(places):
    return sorted(places, key=lambda place: (place.layer, place.piece), reverse=True)


def _plain_chunks(layout, parallel):
    """Chunks of about equal size, in each of which all parameters move in the same way."""
    chunks = []
    for start, stop, penalized, rate in _sections(layout):
        size = CHUNK_SIZE
        if parallel:
            size = min(size, round_up(max(1, -(-(stop - start) // PLAIN_CHUNKS)), CHUNK_UNIT))
        for low in range(start, stop, size):
            chunks.append((low, min(low + size, stop), penalized, 0, 0, 0, 0, 0, 0, rate))
    return chunks


def _sections(layout):
    """(start, stop, penalized, rate) of the flat parameters that are moved in the same way."""
    places = sorted(layout.trained, key=lambda place: place.start)
    for (penalized, rate), group in groupby(places, key=lambda one: (one.penalized, one.rate)):
        group = list(group)
        yield group[0].start, group[-1].stop, penalized, rate


def _fused_chunks(layout, size):
    """Chunks of whole rows of one matrix, in multiples of the tile, and whole vectors."""
    chunks, height = [], TILE.rows
    size = min(size, layout.n_penalized // FUSED_CHUNKS)
    for place in sorted(layout.trained, key=lambda place: place.start):
        if len(place.shape) == 1:
            chunks.append(_piece(place))
            continue
        step = max(height, size // place.row // height * height)
        for first in range(0, place.rows, step):
            rows = min(step, place.rows - first)
            low = place.start + first * place.row
            chunks.append((low, low + rows * place.row, place.penalized, place.layer, place.piece,
                          first, rows, place.shape[-1], place.row, place.rate))  # fmt: skip
    return chunks
