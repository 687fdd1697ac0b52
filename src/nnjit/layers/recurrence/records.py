"""What the units of recurrent layers are told, and where values lie that a layer keeps.

What belongs to one point of time is a matrix of rows x units, a row's values side by side, so that
vectors run along the units, however few rows there are; the matrices of neighbouring points lie
one behind the other. Of the inputs and outputs, which are packed (see `nnjit.core.jobs.job.Step`),
the former are read as they lie, the latter transposed point by point.
"""

import itertools

import numpy as np

from nnjit.core.compiler.jit import inline
from nnjit.core.jobs.job import Step
from nnjit.core.jobs.records import Record, address_of, reader
from nnjit.formulas.random import threshold_of
from nnjit.layers.recurrence.layer import STEPS

__all__ = [
    "DIRECTION_BYTES",
    "Direction",
    "RecurrentStep",
    "after",
    "before",
    "direction_of",
    "fed_at",
    "make_step",
    "kept_at",
    "plane_at",
    "recurrent_plane",
    "recurrent_step_of",
    "state_at",
    "state_size",
]


class RecurrentStep(Step):
    """What a recurrent layer has beside that. `points` and `lengths_at` are its inputs'."""

    units: int
    gates: int
    recurrent_gates: int  # the last ones, of which what comes from the states is kept apart
    states: int  # values that a unit carries
    steps: int  # points that are kept at once: in training all of them
    chunk: int  # points whose inputs go through the weights at once, or come back
    truncate: int  # no delta goes from such a multiple to the point before; 0 for all the way
    sequences: int  # 1: the states at all points come out, else the last ones
    input_channels: int
    directions_at: int  # (n_directions,) Direction records
    n_directions: int
    # unit (planes, bytes of a plane, states before, states after, bytes of all values of one kind
    # of these, elements): the gates, and the states behind a point
    cell_forward_at: int
    # unit (the same, delta of the states, bytes of one kind of these): deltas in place of the
    # gates; what goes straight to the states before
    cell_backward_at: int
    one_at: int  # a single 1
    lengths: int  # where these begin, in values of a row behind kept_row
    spare: int  # units
    staged: int  # inputs of a chunk
    transposed: int  # the recurrent weights, in the scratch, elements of a row
    transposed_inputs: int  # the other weights
    partial: int  # sums of gradients over some points
    # recurrent dropout
    mask_at: int  # unit (job, step, block): draws what is dropped; 0 where nothing is
    number: int  # of the layer, for which its bits are drawn
    threshold: int  # values whose bits are below are dropped; 0 where none is
    scale: float  # of the others
    carried: int  # where the layer's part of a carried state begins


class Direction(Record):
    """One way through time."""

    weights: int  # offsets of the parameters
    weights_row: int
    recurrent: int
    recurrent_row: int
    biases: int
    recurrent_biases: int
    reverse: int  # 1: from the end to the beginning
    first: int  # of its units among the outputs
    # where these begin, in values of a row behind kept_row; see `layer.Regions`
    planes: int
    state: int
    fed: int
    mask: int
    last: int
    delta: int


DIRECTION_BYTES = Direction.dtype.itemsize
recurrent_step_of, direction_of = reader(RecurrentStep), reader(Direction)


# -- places in the workspace --------------------------------------------------------------


@inline
def kept_at(job, step, value):
    """Where something begins that a layer keeps."""
    return (step.kept_row + value) * job.stride


@inline
def plane_at(job, step, block, direction, plane, point):
    """A gate at one of the points that are kept."""
    place = kept_at(job, step, direction.planes + plane * step.steps * step.units)
    return place + point * block.rows * step.units


@inline
def recurrent_plane(step, gate):
    """The plane of what comes from the states: the gate's own, or one behind all gates."""
    return gate + step.recurrent_gates if gate >= step.gates - step.recurrent_gates else gate


@inline
def state_at(job, step, block, direction, slot):
    """The states (the first kind of them) between two points; slot 0 is in front of point 0."""
    return kept_at(job, step, direction.state) + slot * block.rows * step.units


@inline
def state_size(job, step):
    """Elements from one kind of states to the next."""
    return (step.steps + 1) * step.units * job.stride


@inline
def before(direction, point):
    """The slot of the states that a point goes on from."""
    return point + 1 if direction.reverse else point


@inline
def after(direction, point):
    """The slot of those that it leaves."""
    return point if direction.reverse else point + 1


@inline
def fed_at(job, step, block, direction, point):
    """What enters the recurrent product at a point."""
    if step.threshold > 0:
        return kept_at(job, step, direction.fed) + point * block.rows * step.units
    return state_at(job, step, block, direction, before(direction, point))


# -- records ------------------------------------------------------------------------------


def make_step(program, number, layer, units, cells):
    """The record of a recurrent layer.

    Parameters
    ----------
    program : Program
        Of the network that the layer is part of.
    number : int
        Of the layer.
    layer : nnjit.layers.recurrence.layer.RecurrentLayer
    units : dict
        Those of all recurrent layers.
    cells : dict
        Those of the kind: forward and, for training, backward.
    """
    step = program.place(RecurrentStep.table(1), number, units)
    inputs, training = program.shapes[number], program.training
    channels, points = inputs
    step["points"], step["input_channels"] = points, channels
    step["lengths_at"] = address_of(program.network.lengths[number])
    for name in ("units", "gates", "recurrent_gates", "states"):
        step[name] = getattr(layer, name)
    step["steps"] = points if training else min(points, STEPS)
    step["chunk"] = min(points, STEPS)
    step["truncate"], step["sequences"] = layer.truncate or 0, layer.return_sequences
    step["carried"] = sum(program.network.carried[:number])
    step["cell_forward_at"] = cells["forward"].address
    if training:
        step["cell_backward_at"] = cells["backward"].address
    step["one_at"] = program.keep(np.ones(1, program.dtype))
    if layer.random and (training or program.sampling):
        step["number"], step["threshold"] = number, threshold_of(layer.recurrent_dropout)
        step["scale"] = 1.0 / (1.0 - layer.recurrent_dropout)
    _enter_directions(program, number, layer, step)
    return step


def _enter_directions(program, number, layer, step):
    """Where the parameters lie, and what each direction keeps."""
    inputs, training = program.shapes[number], program.training
    places = program.layout.of(number)
    each = len(places) // layer.directions
    directions, at = Direction.table(layer.directions), 0
    for way in range(layer.directions):
        weights, recurrent, biases, *own = places[way * each : (way + 1) * each]
        record = directions[way]
        record["weights"], record["weights_row"] = weights.start, weights.row
        record["recurrent"], record["recurrent_row"] = recurrent.start, recurrent.row
        record["biases"] = biases.start
        record["recurrent_biases"] = own[0].start if own else 0
        record["reverse"], record["first"] = way, way * layer.units
        regions = layer.regions(inputs, training)
        starts = itertools.accumulate(regions, initial=at)
        names = "planes", "state", "fed", "mask", "last", "delta"
        for name, start in zip(names, starts, strict=False):
            record[name] = start
        at += sum(regions)
    step["directions_at"], step["n_directions"] = program.keep(directions), layer.directions
    _, spare, staged = layer.spares(inputs, training)
    step["spare"], step["staged"] = at, at + spare
    step["lengths"] = at + spare + staged
    if training:
        _reserve_scratch(program, layer, step)


def _reserve_scratch(program, layer, step):
    """Scratch of the same size for any number of rows of a block."""
    channels = int(step["input_channels"][0])
    for name, columns in (
        ("transposed", layer.units),
        ("transposed_inputs", channels),
        ("partial", channels + layer.units + 2),
    ):
        size = layer.directions * layer.gates * layer.units * columns
        size += program.lanes  # read in whole vectors
        step[name], _ = program.take_scratch(-(-size // program.lanes))
