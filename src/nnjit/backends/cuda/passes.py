"""One forward and backward pass over some rows of a minibatch by a team of blocks.

A team is one block, or all blocks of the grid; it works through the phases of a pass in step.
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
    INPUTS_AT,
    KEPT_AT,
    UNITS_AT,
    WEIGHTS,
    Cut,
    Matrix,
    Result,
)
from nnjit.backends.cuda.control import DELTA_SCALE
from nnjit.backends.cuda.dropout import make_dropping
from nnjit.backends.cuda.output import make_row_gradient
from nnjit.backends.cuda.products import make_products
from nnjit.backends.cuda.scalars import LINEAR, real_of

__all__ = ["Phases", "make_forward", "make_gather", "make_pass", "make_phases"]


class Phases(NamedTuple):
    """Device functions made by `make_phases`; between two of them a team has to wait.

    ``gather(team, net, samples, work, start, rows)`` copies rows start.. of the order to the
    input's place in the workspace, CSR rows as dense ones.
    ``forward(team, tiles, layer, net, params, inputs, work, rows)`` computes one layer from a
    matrix; the last layer's results are pre-activations.
    ``output(team, net, samples, buffers, work, start, rows, row_at)`` applies the output
    activation and leaves the rows' losses and weights from `row_at` on, and the first delta.
    ``backward(team, tiles, layer, net, params, work, grads, grads_at, rows, step, add)`` computes
    a layer's gradient, and the delta below it.
    """

    gather: object
    forward: object
    output: object
    backward: object


@functools.cache
def make_phases(single, tile, formulas):
    """Compile the phases of a pass for one precision, one tile and a network's formulas."""
    products = make_products(single, tile, formulas.hidden)
    return Phases(
        make_gather(single, tile.threads),
        make_forward(products, True),
        _make_output_phase(single, tile.threads, formulas.loss),
        _make_backward(products),
    )


@functools.cache
def make_gather(single, threads):
    """Compile the phase `gather`."""
    zero = real_of(single)(0)

    @device
    def gather_sparse(team, n, samples, work, start, rows):
        t = cuda.threadIdx.x
        for j in range(team.worker, rows, team.workers):
            for k in range(t, n, threads):
                work[j * n + k] = zero
            cuda.syncthreads()
            sample = samples.order[start + j]
            for p in range(samples.indptr[sample] + t, samples.indptr[sample + 1], threads):
                work[j * n + samples.indices[p]] = samples.x[p]

    @device
    def gather(team, net, samples, work, start, rows):
        n, t = net.layers[FAN_IN], cuda.threadIdx.x
        if samples.x_row == 0:
            gather_sparse(team, n, samples, work, start, rows)
        elif n >= threads:
            for j in range(team.worker, rows, team.workers):
                at = samples.order[start + j] * samples.x_row
                for k in range(t, n, threads):
                    work[j * n + k] = samples.x[at + k * samples.x_column]
        else:
            for e in range(team.worker * threads + t, rows * n, team.workers * threads):
                at = samples.order[start + e // n] * samples.x_row
                work[e] = samples.x[at + e % n * samples.x_column]

    return gather


@functools.cache
def make_forward(products, keeps):
    """Compile the phase `forward`; `keeps` says to keep what a backward pass needs."""
    product = products.forward

    @device
    def forward(team, tiles, layer, net, params, inputs, work, rows):
        layers, row = net.layers, layer * FIELDS
        fan_in, fan_out = layers[row + FAN_IN], layers[row + FAN_OUT]
        kept_at = layers[row + KEPT_AT] * rows if keeps else -1
        weights = Matrix(params, layers[row + WEIGHTS], fan_out, 1)
        to = Result(
            work, layers[row + UNITS_AT] * rows, params, layers[row + BIAS], work, kept_at,
            layers[row + ACTIVATION],
        )  # fmt: skip
        product(team, tiles, (rows, fan_out, fan_in), inputs, weights, to, Cut(fan_in, 0, 0))

    return forward


def _make_output_phase(single, threads, loss):
    row_gradient, real = make_row_gradient(single, loss), real_of(single)
    one = real(1)

    @device
    def output(team, net, samples, buffers, work, start, rows, row_at):
        row = (net.n_layers - 1) * FIELDS
        units, z, delta = (
            net.layers[row + FAN_OUT], net.layers[row + UNITS_AT] * rows, net.units_total * rows,
        )  # fmt: skip
        scale = real(buffers.control[DELTA_SCALE])
        first = team.worker * threads + cuda.threadIdx.x
        for j in range(first, rows, team.workers * threads):
            sample = samples.order[start + j]
            weight = samples.weights[sample] if samples.weighted else one
            loss_of_row = row_gradient(
                work, z + j * units, units, work, delta + j * units, samples, sample, weight,
                scale, buffers.loss_parameters,
            )  # fmt: skip
            buffers.row_loss[row_at + j] = float(loss_of_row) * float(weight)
            buffers.row_weight[row_at + j] = float(weight)

    return output


def _make_backward(products):
    weight_gradient, input_gradient = products.weight_gradient, products.input_gradient

    @device
    def backward(team, tiles, layer, net, params, work, grads, grads_at, rows, step, add):
        layers, row = net.layers, layer * FIELDS
        fan_in, fan_out = layers[row + FAN_IN], layers[row + FAN_OUT]
        below = (layers[row + UNITS_AT] - fan_in) * rows
        turn = (net.n_layers - 1 - layer) % 2
        delta = Matrix(work, (net.units_total + turn * net.widest) * rows, fan_out, 1)
        other = (net.units_total + (1 - turn) * net.widest) * rows
        inputs = Matrix(work, layers[row + INPUTS_AT] * rows, 1, fan_in)  # transposed
        to = Result(
            grads, grads_at + layers[row + WEIGHTS], grads, grads_at + layers[row + BIAS],
            work, -1, LINEAR,
        )  # fmt: skip
        cut = Cut(step, net.n_params, add)
        weight_gradient(team, tiles, (fan_in, fan_out, rows), inputs, delta, to, cut)
        if layer > 0:
            weights = Matrix(params, layers[row + WEIGHTS], 1, fan_out)  # transposed
            to = Result(
                work, other, work, below, work, layers[row - FIELDS + KEPT_AT] * rows,
                layers[row - FIELDS + ACTIVATION],
            )  # fmt: skip
            input_gradient(
                team, tiles, (rows, fan_in, fan_out), delta, weights, to, Cut(fan_out, 0, 0)
            )

    return backward


@functools.cache
def make_pass(single, tile, formulas, wait):
    """Compile a whole pass of a team that meets in the device function `wait`."""
    gather, forward, output, backward = make_phases(single, tile, formulas)
    drop_values, drop_deltas = _make_drops(single, tile.threads, formulas.drops, wait)

    @device
    def run(
        team, tiles, net, samples, buffers, params, work, draw, grads_at, start, rows, row_at, step,
        add,
    ):  # fmt: skip
        gather(team, net, samples, work, start, rows)
        wait()
        for layer in range(net.n_layers):
            drop_values(team, draw, layer, net, work, rows, row_at)
            fan_in, at = net.layers[layer * FIELDS + FAN_IN], net.layers[layer * FIELDS + INPUTS_AT]
            inputs = Matrix(work, at * rows, fan_in, 1)
            forward(team, tiles, layer, net, params, inputs, work, rows)
            wait()
        output(team, net, samples, buffers, work, start, rows, row_at)
        wait()
        for layer in range(net.n_layers - 1, -1, -1):
            backward(
                team, tiles, layer, net, params, work, buffers.grads, grads_at, rows, step, add
            )
            wait()
            if layer > 0:
                drop_deltas(team, draw, layer, net, work, rows, row_at)

    return run


def _make_drops(single, threads, asked, wait):
    """The two sides of dropout where a layer has it, each with a wait."""

    @device
    def nothing(team, draw, layer, net, work, rows, row_at):
        pass

    if not asked:
        return nothing, nothing
    drops, values, deltas = make_dropping(single, threads)

    @device
    def drop_values(team, draw, layer, net, work, rows, row_at):
        if drops(net, layer):
            values(team, draw, layer, net, work, rows, row_at)
            wait()

    @device
    def drop_deltas(team, draw, layer, net, work, rows, row_at):
        if drops(net, layer):
            deltas(team, draw, layer, net, work, rows, row_at)
            wait()

    return drop_values, drop_deltas
