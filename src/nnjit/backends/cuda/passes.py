"""One forward and backward pass over some rows of a minibatch by a team of blocks.

A team is one block, or all blocks of the grid; it works through the phases of a pass in step.
`worker` and `workers` number the blocks of the team.
"""

import functools
from typing import NamedTuple

from nnjit.backends.cuda._cuda import cuda, device
from nnjit.backends.cuda.arguments import (
    ACTIVATION,
    BIAS,
    FAN_IN,
    FAN_OUT,
    FIELDS,
    UNITS_AT,
    WEIGHTS,
)
from nnjit.backends.cuda.output import make_output
from nnjit.backends.cuda.products import make_products
from nnjit.core.activations import IDENTITY
from nnjit.core.optimizers import DELTA_SCALE, EPS

__all__ = ["Phases", "make_pass", "make_phases"]


class Phases(NamedTuple):
    """Device functions made by `make_phases`; between two of them a team has to wait.

    ``gather(worker, workers, net, samples, work, start, rows)`` copies rows start.. of the order
    to the input's place in the workspace, CSR rows as dense ones.
    ``forward(worker, workers, tiles, layer, net, params, a, a_at, a_row, a_column, work, rows)``
    computes one layer from the inputs in `a`; the last layer's are pre-activations.
    ``output(worker, workers, net, samples, buffers, work, start, rows, row_at)`` applies the output
    activation and leaves the rows' losses and weights from `row_at` on, and the first delta.
    ``backward(worker, workers, tiles, layer, net, params, work, grads, grads_at, rows, step, add)``
    computes a layer's gradient, and the delta below it.
    """

    gather: object
    forward: object
    output: object
    backward: object


@functools.cache
def make_phases(single, real, tile):
    """Compile the phases of a pass for one precision and one tile."""
    products = make_products(single, real, tile)
    return Phases(
        _make_gather(real, tile.threads),
        _make_forward(products),
        _make_output_phase(single, real, tile.threads),
        _make_backward(products),
    )


@functools.cache
def _make_gather(real, threads):
    zero = real(0)

    @device
    def gather_sparse(worker, workers, n, samples, work, start, rows):
        t = cuda.threadIdx.x
        for j in range(worker, rows, workers):
            for k in range(t, n, threads):
                work[j * n + k] = zero
            cuda.syncthreads()
            sample = samples.order[start + j]
            for p in range(samples.indptr[sample] + t, samples.indptr[sample + 1], threads):
                work[j * n + samples.indices[p]] = samples.x[p]

    @device
    def gather(worker, workers, net, samples, work, start, rows):
        n, t = net.layers[FAN_IN], cuda.threadIdx.x
        if samples.x_row == 0:
            gather_sparse(worker, workers, n, samples, work, start, rows)
        elif n >= threads:
            for j in range(worker, rows, workers):
                at = samples.order[start + j] * samples.x_row
                for k in range(t, n, threads):
                    work[j * n + k] = samples.x[at + k * samples.x_column]
        else:
            for e in range(worker * threads + t, rows * n, workers * threads):
                at = samples.order[start + e // n] * samples.x_row
                work[e] = samples.x[at + e % n * samples.x_column]

    return gather


def _make_forward(products):
    product = products.forward

    @device
    def forward(worker, workers, tiles, layer, net, params, a, a_at, a_row, a_column, work, rows):
        layers, row = net.layers, layer * FIELDS
        fan_in, fan_out = layers[row + FAN_IN], layers[row + FAN_OUT]
        code = layers[row + ACTIVATION] if layer + 1 < net.n_layers else IDENTITY
        product(
            worker, workers, tiles, rows, fan_out, fan_in, a, a_at, a_row, a_column,
            params, layers[row + WEIGHTS], fan_out, 1, work, layers[row + UNITS_AT] * rows,
            params, layers[row + BIAS], code, fan_in, 0, 0,
        )  # fmt: skip

    return forward


def _make_output_phase(single, real, threads):
    activate_row, row_gradient = make_output(single, real)
    one = real(1)

    @device
    def output(worker, workers, net, samples, buffers, work, start, rows, row_at):
        row = (net.n_layers - 1) * FIELDS
        units, code = net.layers[row + FAN_OUT], net.layers[row + ACTIVATION]
        z, delta = net.layers[row + UNITS_AT] * rows, net.units_total * rows
        eps, scale = real(buffers.control[EPS]), real(buffers.control[DELTA_SCALE])
        for j in range(worker * threads + cuda.threadIdx.x, rows, workers * threads):
            sample = samples.order[start + j]
            weight = samples.weights[sample] if samples.weighted else one
            activate_row(code, work, z + j * units, units)
            loss = row_gradient(
                code, net.loss, work, z + j * units, units, work, delta + j * units, samples,
                sample, weight, eps, scale,
            )  # fmt: skip
            buffers.row_loss[row_at + j] = float(loss) * float(weight)
            buffers.row_weight[row_at + j] = float(weight)

    return output


def _make_backward(products):
    weight_gradient, input_gradient = products.weight_gradient, products.input_gradient

    @device
    def backward(
        worker, workers, tiles, layer, net, params, work, grads, grads_at, rows, step, add
    ):
        layers, row = net.layers, layer * FIELDS
        fan_in, fan_out = layers[row + FAN_IN], layers[row + FAN_OUT]
        below = (layers[row + UNITS_AT] - fan_in) * rows
        turn = (net.n_layers - 1 - layer) % 2
        delta = (net.units_total + turn * net.widest) * rows
        other = (net.units_total + (1 - turn) * net.widest) * rows
        weight_gradient(
            worker, workers, tiles, fan_in, fan_out, rows, work, below, 1, fan_in,
            work, delta, fan_out, 1, grads, grads_at + layers[row + WEIGHTS],
            grads, grads_at + layers[row + BIAS], 0, step, net.n_params, add,
        )  # fmt: skip
        if layer > 0:
            input_gradient(
                worker, workers, tiles, rows, fan_in, fan_out, work, delta, fan_out, 1,
                params, layers[row + WEIGHTS], 1, fan_out, work, other,
                work, below, layers[row - FIELDS + ACTIVATION], fan_out, 0, 0,
            )  # fmt: skip

    return backward


@functools.cache
def make_pass(single, real, tile, wait):
    """Compile a whole pass of a team that meets in the device function `wait`."""
    gather, forward, output, backward = make_phases(single, real, tile)

    @device
    def run(
        worker,
        workers,
        tiles,
        net,
        samples,
        buffers,
        params,
        work,
        grads_at,
        start,
        rows,
        row_at,
        step,
        add,
    ):
        gather(worker, workers, net, samples, work, start, rows)
        wait()
        for layer in range(net.n_layers):
            fan_in = net.layers[layer * FIELDS + FAN_IN]
            below = (net.layers[layer * FIELDS + UNITS_AT] - fan_in) * rows
            forward(worker, workers, tiles, layer, net, params, work, below, fan_in, 1, work, rows)
            wait()
        output(worker, workers, net, samples, buffers, work, start, rows, row_at)
        wait()
        for layer in range(net.n_layers - 1, -1, -1):
            backward(
                worker,
                workers,
                tiles,
                layer,
                net,
                params,
                work,
                buffers.grads,
                grads_at,
                rows,
                step,
                add,
            )
            wait()

    return run
