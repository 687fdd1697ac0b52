"""What kinds of layers share that end in an activation: its fields, its two passes, its units.

A module `cpu.py` beside such a kind derives its record from `ActivatedStep`, fills these fields by
`enter_activation` and has its passes call `activate` at their end and `differentiate` at their
beginning. It passes `reads_outputs` on to the program.
"""

from nnjit.core.compiler.jit import inline
from nnjit.core.compiler.units import call
from nnjit.core.jobs.job import Step, row_lanes, row_length, work_of
from nnjit.core.maps import activations
from nnjit.core.maps.activations import copy
from nnjit.formulas import find_activation

__all__ = ["ActivatedStep", "activate", "differentiate", "enter_activation", "reads_outputs"]


class ActivatedStep(Step):
    """What a layer that ends in an activation has beside that."""

    z_row: int  # where the pre-activations are kept in training, -1 where nobody reads them
    activation_at: int  # unit (h, n) in place; 0 where there is none, or it is done already
    derivative_at: int  # unit (z, h, delta, n) in place on delta; 0 likewise


@inline
def activate(job, step, block, like):
    """The activation in place; z is kept where its derivative needs it."""
    work, stride = work_of(job, block, like), row_length(job, block, step.packed)
    at, lanes = step.output_row * job.stride, row_lanes(block, step.packed)
    if step.z_row >= 0:
        for t in range(step.outputs):
            z, kept = at + t * stride, step.z_row * job.stride + t * stride
            copy(work[z : z + lanes], work[kept : kept + lanes])
    if step.activation_at != 0:
        n = (step.outputs - 1) * stride + lanes
        call(step.activation_at, (block.work_at + at * work.itemsize, n))


@inline
def differentiate(job, step, block, like):
    """Multiply delta by the activation's derivative."""
    work, stride = work_of(job, block, like), row_length(job, block, step.packed)
    if step.derivative_at != 0:
        size = work.itemsize * job.stride
        n = (step.outputs - 1) * stride + row_lanes(block, step.packed)
        start = block.work_at
        call(
            step.derivative_at,
            (
                start + max(step.z_row, 0) * size,
                start + step.output_row * size,
                start + step.delta_row * size,
                n,
            ),
        )


def reads_outputs(layer):
    """Whether the backward pass needs the outputs as they were; of a ReLU's the sign is enough."""
    entry = find_activation(layer.activation)
    return "h" in entry.reads and entry.epilogue != "relu"


def enter_activation(program, number, layer, step, done=False):
    """Enter the activation of a layer into its record.

    Parameters
    ----------
    program : Program
    number : int
        Of the layer.
    layer : nnjit.layers.layer.Layer
        With the attribute `activation`.
    step : record
        That of the layer, an `ActivatedStep`; what the layer keeps begins with the
        pre-activations, if they are read.
    done : bool
        Whether the layer's own arithmetic ends in the activation.
    """
    entry = find_activation(layer.activation)
    keeps = program.training and "z" in entry.reads
    step["z_row"] = step["kept_row"] if keeps else -1
    if entry.name == "identity":
        return
    if not done:
        step["activation_at"] = activations.value_unit(entry.name, program.single).address
    if program.training and not (entry.epilogue and program.masked_above(number)):
        step["derivative_at"] = activations.backward_unit(entry.name, program.single).address
