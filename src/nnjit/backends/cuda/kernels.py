"""The kernels that Python launches.

Training comes in three forms with the same bits wherever the schedule is the same:

- `slices`: one launch for a whole run of minibatches; each block takes slices of the minibatch
  through the network by itself, with weights and activations in shared memory where they fit.
  With more than one block the grid waits twice per minibatch.
- `grid`: one launch too; all blocks share every product and wait after each phase.
- phases: a launch per phase, where a device has no cooperative launch.

A kernel is made for one precision, one tile and the formulas of a network, not for its shape.
"""

import functools
from typing import NamedTuple

from numba import types

from nnjit.backends.cuda._cuda import cuda, device, kernel, smaller, type_of
from nnjit.backends.cuda.arguments import FAN_OUT, FIELDS, UNITS_AT, Team
from nnjit.backends.cuda.dropout import make_draw, make_dropping
from nnjit.backends.cuda.output import make_output
from nnjit.backends.cuda.passes import make_forward, make_gather, make_pass, make_phases
from nnjit.backends.cuda.products import make_products
from nnjit.backends.cuda.scalars import real_of
from nnjit.backends.cuda.updates import make_update

__all__ = [
    "PhaseKernels",
    "PredictionKernels",
    "grid_kernel",
    "phase_kernels",
    "prediction_kernels",
    "slice_kernel",
]


@device
def wait_for_block():
    cuda.syncthreads()


@device
def wait_for_grid():
    cuda.cg.this_grid().sync()


@device
def minibatch(schedule, number):
    """Epoch, place in the order, and rows of a minibatch; numbers go on from epoch to epoch."""
    epoch, first = number // schedule.per_epoch, number % schedule.per_epoch * schedule.batch_size
    rows = smaller(schedule.batch_size, schedule.n_order - first)
    return epoch, epoch * schedule.n_order + first, rows


def _tile_memory(single, tile):
    """Type of the elements, and the shapes of the two shared arrays of a product."""
    return type_of(real_of(single)), tile.a_shape, tile.b_shape


@functools.cache
def slice_kernel(single, tile, formulas, cooperative, shared_params, shared_work):
    """Compile the kernel of the form `slices`.

    `cooperative` is for more than one block. Dynamic shared memory holds a copy of the parameters
    and the workspace of a slice, each if asked for.
    """
    threads, (numba_type, a_shape, b_shape) = tile.threads, _tile_memory(single, tile)
    wait = wait_for_grid if cooperative else wait_for_block
    run = make_pass(single, tile, formulas, wait_for_block)
    draw_of = make_draw(formulas.solver, formulas.drops)
    weigh, update = make_update(single, threads, formulas)

    def slices(net, samples, schedule, buffers, first, last):
        block, blocks, t = cuda.blockIdx.x, cuda.gridDim.x, cuda.threadIdx.x
        tile_a = cuda.shared.array(a_shape, numba_type)
        tile_b = cuda.shared.array(b_shape, numba_type)
        scratch = cuda.shared.array(threads, types.float64)
        room = cuda.shared.array(0, numba_type)
        size = net.row_values * schedule.rows
        params, work = buffers.params, buffers.work[block * size : (block + 1) * size]
        if shared_params:
            params = room[: net.n_params]
        if shared_work:
            work = room[net.n_params if shared_params else 0 :]
        weigh(Team(block, blocks), net, buffers, scratch)
        wait()
        for batch in range(first, last):
            if shared_params and (cooperative or batch == first):
                for i in range(t, net.n_params, threads):
                    params[i] = buffers.params[i]
                cuda.syncthreads()
            epoch, start, rows = minibatch(schedule, batch)
            draw = draw_of(buffers.control, schedule, batch - first)
            slots = (rows + schedule.rows - 1) // schedule.rows
            for slot in range(block, slots, blocks):
                at = slot * schedule.rows
                count = smaller(schedule.rows, rows - at)
                run(
                    Team(0, 1), (tile_a, tile_b), net, samples, buffers, params, work, draw,
                    slot * net.n_params, start + at, count, at, count, 0,
                )  # fmt: skip
            wait()
            update(
                Team(block, blocks), net, buffers, params, rows, samples.weighted, slots,
                batch - first, epoch, batch % schedule.per_epoch == 0, scratch,
            )  # fmt: skip
            wait()

    return kernel(slices)


@functools.cache
def grid_kernel(single, tile, formulas):
    """Compile the kernel of the form `grid`."""
    threads, (numba_type, a_shape, b_shape) = tile.threads, _tile_memory(single, tile)
    run = make_pass(single, tile, formulas, wait_for_grid)
    draw_of = make_draw(formulas.solver, formulas.drops)
    weigh, update = make_update(single, threads, formulas)

    def grid(net, samples, schedule, buffers, first, last):
        team = Team(cuda.blockIdx.x, cuda.gridDim.x)
        tile_a = cuda.shared.array(a_shape, numba_type)
        tile_b = cuda.shared.array(b_shape, numba_type)
        scratch = cuda.shared.array(threads, types.float64)
        weigh(team, net, buffers, scratch)
        wait_for_grid()
        for batch in range(first, last):
            epoch, start, rows = minibatch(schedule, batch)
            draw = draw_of(buffers.control, schedule, batch - first)
            for at in range(0, rows, schedule.rows):
                count = smaller(schedule.rows, rows - at)
                run(
                    team, (tile_a, tile_b), net, samples, buffers, buffers.params, buffers.work,
                    draw, 0, start + at, count, at, schedule.step, 1 if at > 0 else 0,
                )  # fmt: skip
            slots = (smaller(rows, schedule.rows) + schedule.step - 1) // schedule.step
            update(
                team, net, buffers, buffers.params, rows, samples.weighted, slots,
                batch - first, epoch, batch % schedule.per_epoch == 0, scratch,
            )  # fmt: skip
            wait_for_grid()

    return kernel(grid)


class PhaseKernels(NamedTuple):
    """A kernel per phase; their arguments are those of the phases without team and tiles.

    ``drop_values`` and ``drop_deltas`` take (layer, net, schedule, buffers, number, rows, row_at).
    """

    gather: object
    forward: object
    output: object
    backward: object
    weigh: object
    update: object
    drop_values: object
    drop_deltas: object


@functools.cache
def phase_kernels(single, tile, formulas):
    """Kernels of the form phases; each is compiled when it is first launched."""
    phases = make_phases(single, tile, formulas)
    weigh_ranges, update_ranges = make_update(single, tile.threads, formulas)
    threads, (numba_type, a_shape, b_shape) = tile.threads, _tile_memory(single, tile)

    def output(net, samples, buffers, start, rows, row_at):
        team = Team(cuda.blockIdx.x, cuda.gridDim.x)
        phases.output(team, net, samples, buffers, buffers.work, start, rows, row_at)

    def backward(layer, net, buffers, rows, step, add):
        team = Team(cuda.blockIdx.x, cuda.gridDim.x)
        tile_a = cuda.shared.array(a_shape, numba_type)
        tile_b = cuda.shared.array(b_shape, numba_type)
        phases.backward(
            team, (tile_a, tile_b), layer, net, buffers.params, buffers.work, buffers.grads, 0,
            rows, step, add,
        )  # fmt: skip

    def weigh(net, buffers):
        scratch = cuda.shared.array(threads, types.float64)
        weigh_ranges(Team(cuda.blockIdx.x, cuda.gridDim.x), net, buffers, scratch)

    def update(net, buffers, rows, weighted, slots, number, epoch, opening):
        scratch = cuda.shared.array(threads, types.float64)
        update_ranges(
            Team(cuda.blockIdx.x, cuda.gridDim.x), net, buffers, buffers.params, rows, weighted,
            slots, number, epoch, opening, scratch,
        )  # fmt: skip

    gather = _gather_kernel(single, threads)
    forward = _forward_kernel(single, tile, phases.forward)
    made = map(kernel, (output, backward, weigh, update))
    return PhaseKernels(gather, forward, *made, *_drop_kernels(single, threads, formulas.solver))


def _drop_kernels(single, threads, solver):
    _, values, deltas = make_dropping(single, threads)
    draw_of = make_draw(solver, True)

    def drop_values(layer, net, schedule, buffers, number, rows, row_at):
        team = Team(cuda.blockIdx.x, cuda.gridDim.x)
        draw = draw_of(buffers.control, schedule, number)
        values(team, draw, layer, net, buffers.work, rows, row_at)

    def drop_deltas(layer, net, schedule, buffers, number, rows, row_at):
        team = Team(cuda.blockIdx.x, cuda.gridDim.x)
        draw = draw_of(buffers.control, schedule, number)
        deltas(team, draw, layer, net, buffers.work, rows, row_at)

    return kernel(drop_values), kernel(drop_deltas)


@functools.cache
def _gather_kernel(single, threads):
    gather_rows = make_gather(single, threads)

    def gather(net, samples, work, start, rows):
        gather_rows(Team(cuda.blockIdx.x, cuda.gridDim.x), net, samples, work, start, rows)

    return kernel(gather)


def _forward_kernel(single, tile, layer_forward):
    numba_type, a_shape, b_shape = _tile_memory(single, tile)

    def forward(layer, net, params, inputs, work, rows):
        team = Team(cuda.blockIdx.x, cuda.gridDim.x)
        tile_a = cuda.shared.array(a_shape, numba_type)
        tile_b = cuda.shared.array(b_shape, numba_type)
        layer_forward(team, (tile_a, tile_b), layer, net, params, inputs, work, rows)

    return kernel(forward)


class PredictionKernels(NamedTuple):
    """Kernels of a prediction.

    ``gather`` and ``forward`` are those of the phases, but nothing is kept for a backward pass.
    ``finish(net, work, rows, out, out_at, logits, overflows)`` applies the output activation and
    brings the rows to their place; `overflows`, int32, becomes 1 if a logit or an output is not
    finite.
    """

    gather: object
    forward: object
    finish: object


@functools.cache
def prediction_kernels(single, tile, formulas):
    """Kernels of a prediction; each is compiled when it is first launched."""
    products = make_products(single, tile, formulas.hidden)
    return PredictionKernels(
        _gather_kernel(single, tile.threads),
        _forward_kernel(single, tile, make_forward(products, False)),
        _finish_kernel(single, formulas.loss),
    )


@functools.cache
def _finish_kernel(single, loss):
    activate_row = make_output(single, loss)

    def finish(net, work, rows, out, out_at, logits, overflows):
        row = (net.n_layers - 1) * FIELDS
        units, z = net.layers[row + FAN_OUT], net.layers[row + UNITS_AT] * rows
        for j in range(cuda.grid(1), rows, cuda.gridsize(1)):
            for t in range(units):
                gap = work[z + j * units + t] - work[z + j * units + t]
                if gap != gap:
                    overflows[0] = 1  # whoever writes writes the same
            if not logits:
                activate_row(work, z + j * units, units)
            for t in range(units):
                value = work[z + j * units + t]
                out[out_at + j * units + t] = value
                gap = value - value
                if gap != gap:
                    overflows[0] = 1

    return kernel(finish)
