"""All units that the CPU's engine may need, whatever the network: for warming up and for checks."""

import importlib

from nnjit.core.jobs import driver, prediction, segments, sorting, training
from nnjit.core.maps import activations, groups, inputs, losses, outputs, sequences, solvers
from nnjit.formulas import ACTIVATIONS, SOLVERS, known_pairs
from nnjit.layers.recurrence import cpu as recurrence
from nnjit.layers.recurrence.mask import mask_unit
from nnjit.layers.registry import kinds

__all__ = ["FAMILIES", "all_units"]

FAMILIES = ("driver", "layer", "activation", "loss", "output", "solver")


def all_units(single):
    """Yield (family, name, unit) of every unit in one precision, in the order of the families.

    Parameters
    ----------
    single : bool
        float32 or float64.
    """
    yield "driver", "drive", driver.DRIVE
    phases = training.units(single) | segments.units(single) | prediction.units(single)
    for name, unit in phases.items():
        yield "driver", name, unit
    yield "driver", "input", inputs.input_unit(single)
    yield "driver", "packed input", inputs.packed_input_unit(single)
    yield "driver", "sort rows", sorting.SORT
    yield "driver", "scatter rows", sorting.scatter_unit(single)
    for kind in kinds():
        for module in _modules(kind):
            for unit in module.units(single).values():
                yield "layer", unit.function.__name__.rsplit("_", 1)[0], unit
    for name, unit in recurrence.units(single).items():
        yield "layer", f"recurrence_{name}", unit
    yield "layer", "recurrence_mask", mask_unit(single)
    for name, entry in ACTIVATIONS.items():
        if entry.hidden and name != "identity":
            yield "activation", name, activations.value_unit(name, single)
            yield "activation", f"{name}, backward", activations.backward_unit(name, single)
    for name, output in known_pairs():
        yield "loss", f"{name}, {output}", losses.loss_unit(name, output, single)
    yield "loss", "groups", groups.GROUP_LOSSES
    yield "loss", "points of series", sequences.point_losses_unit(single)
    for output in dict.fromkeys(output for _, output in known_pairs()):
        if output != "identity":
            yield "output", output, outputs.output_unit(output, single)
    yield "output", "groups", groups.GROUP_OUTPUTS
    yield "output", "points of series", sequences.point_outputs_unit(single)
    for name in SOLVERS:
        yield "solver", name, solvers.solver_unit(name, single)
    yield "solver", "gradient", solvers.gradient_unit(single)
    yield "solver", "average", solvers.average_unit(single)


def _modules(kind):
    """A kind's modules with units for the CPU: `cpu.py` and what it lists as its variants."""
    cpu = importlib.import_module(f"nnjit.layers.{kind}.cpu")
    yield cpu
    for variant in getattr(cpu, "VARIANTS", ()):
        yield importlib.import_module(f"nnjit.layers.{kind}.{variant}")
