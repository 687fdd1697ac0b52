"""Dropout: values, and later their deltas, left out by bits that follow from counters.

Values go to a copy, since the layer below still reads its own; deltas are replaced where they lie.
The bits are those of the CPU: seed, step, layer, row's place in the minibatch and unit decide.
"""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.backends.cuda._cuda import cuda, device
from nnjit.backends.cuda.arguments import (
    DROP,
    FAN_IN,
    FIELDS,
    INPUTS_AT,
    THRESHOLD,
    UNITS_AT,
    Draw,
)
from nnjit.backends.cuda.control import CLOCK, layout_of
from nnjit.backends.cuda.scalars import real_of
from nnjit.formulas.random import counters

__all__ = ["Dropping", "make_draw", "make_dropping"]


class Dropping(NamedTuple):
    """Device functions; ``(team, draw, layer, net, work, rows, row_at)`` are their arguments.

    ``values`` writes a layer's inputs with some left out, ``deltas`` does the same to the deltas of
    these; ``drops(net, layer)`` says whether the layer has any such.
    """

    drops: object
    values: object
    deltas: object


@functools.cache
def make_dropping(single, threads):
    """Compile dropout for one precision and one size of blocks."""
    draws, real = counters(device), real_of(single)
    key, unit_key, bits, zero = draws.key, draws.unit_key, draws.bits, real(0)

    @device
    def drops(net, layer):
        return net.layers[layer * FIELDS + DROP] >= 0

    @device
    def drop(team, draw, layer, net, work, source, target, rows, row_at):
        row = layer * FIELDS
        units, threshold = net.layers[row + FAN_IN], net.layers[row + THRESHOLD]
        first, second = key(draw.seed, draw.step, net.layers[row + DROP])
        scale = real(net.scales[layer])
        begin = team.worker * threads + cuda.threadIdx.x
        for e in range(begin, rows * units, team.workers * threads):
            a, b = unit_key(first, second, e % units)
            drawn = bits(a, b, np.uint32(row_at + e // units))
            work[target + e] = zero if drawn < threshold else work[source + e] * scale

    @device
    def values(team, draw, layer, net, work, rows, row_at):
        row = layer * FIELDS
        source = (net.layers[row + UNITS_AT] - net.layers[row + FAN_IN]) * rows
        target = net.layers[row + INPUTS_AT] * rows
        drop(team, draw, layer, net, work, source, target, rows, row_at)

    @device
    def deltas(team, draw, layer, net, work, rows, row_at):
        turn = (net.n_layers - 1 - layer) % 2
        at = (net.units_total + (1 - turn) * net.widest) * rows  # as in the phase `backward`
        drop(team, draw, layer, net, work, at, at, rows, row_at)

    return Dropping(drops, values, deltas)


@functools.cache
def make_draw(solver, drops):
    """``draw(control, schedule, number)``: what the bits of a run's minibatch follow from."""
    layout = layout_of(solver)
    even, size = layout.state, layout.state_size

    @device
    def nothing(control, schedule, number):
        return Draw(0, 0)

    @device
    def draw(control, schedule, number):
        return Draw(schedule.seed, int(control[even + number % 2 * size + CLOCK]))

    return draw if drops else nothing
