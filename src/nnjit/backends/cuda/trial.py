"""Whether formulas that came from elsewhere can be compiled for a device at all."""

import functools

import numpy as np

from nnjit.backends.cuda._cuda import kernel, launch
from nnjit.backends.cuda.arguments import Samples
from nnjit.backends.cuda.memory import upload
from nnjit.backends.cuda.output import make_output, make_row_gradient
from nnjit.backends.cuda.scalars import device_formulas, formulas_of, make_activations, real_of
from nnjit.backends.cuda.updates import make_clock, make_step
from nnjit.formulas.registry import Activation, Loss, find_activation, find_solver

__all__ = ["why_not_compiled"]

# Where the formulas are that this package's tests compile.
OWN = {f"nnjit.formulas.{name}" for name in ("activations", "losses", "solvers")}


def why_not_compiled(network, single, solver=None):
    """None if all formulas that a network and its solver need can be compiled, else the reason.

    Parameters
    ----------
    network : Network
    single : bool
        Whether it is of float32.
    solver : str, optional
        Name of the solver's entry.
    """
    formulas = formulas_of(network)
    entries = [*formulas.hidden, formulas.loss]
    if formulas.loss.output != "softmax":
        entries.append(find_activation(formulas.loss.output))
    if solver is not None:
        entries.append(find_solver(solver))
    for entry in entries:
        if entry.make.__module__ not in OWN and (reason := _why_not(entry, single)):
            return reason
    return None


@functools.lru_cache(maxsize=256)
def _why_not(entry, single):
    kind, run = _trial_of(entry, single)
    values = np.full(64, 0.5, real_of(single)), np.full(64, 0.5), np.ones(64, np.int32)
    arrays = [upload("A trial", array) for array in values]
    try:
        launch(kernel(run), 1, 1, *arrays)
        arrays[0].copy_to_host()
    except Exception as error:  # whatever a compiler may think of a formula
        text = " ".join(str(error).split())
        return (
            f"the {kind} {entry.name!r} cannot be compiled for a device ({type(error).__name__}: "
            f"{text:.300}); it works with device='cpu' if it can be compiled there"
        )
    return None


def _trial_of(entry, single):
    """What an entry is, and a kernel of reals, float64 and integers that calls its formulas."""
    if isinstance(entry, Activation):
        return "activation", _activation(entry, single)
    if isinstance(entry, Loss):
        return "loss", _loss(entry, single)
    return "solver", _solver(entry, single)


def _activation(entry, single):
    value = device_formulas(entry, single).value
    backward = make_activations(single, (entry,)).backward

    def run(reals, doubles, integers):
        reals[0] = value(reals[1])
        reals[0] += backward(0, (reals[1], reals[2], reals[0]))

    return run


def _loss(entry, single):
    row_gradient, activate_row = make_row_gradient(single, entry), make_output(single, entry)

    def run(reals, doubles, integers):
        samples = Samples(reals, 1, 1, integers, integers, reals, 1, integers, reals, 0, integers)
        activate_row(reals, 0, 2)
        reals[7] = row_gradient(reals, 0, 2, reals, 4, samples, 0, reals[2], reals[3], doubles)

    return run


def _solver(entry, single):
    step, (_, rates_of) = make_step(single, entry), make_clock(entry)
    real, count = real_of(single), len(entry.hyperparameters)
    settings, rates = (real(0.5),) * count, (real(0.5),) * len(entry.rates)
    powers = (0.5,) * len(entry.powers)

    def run(reals, doubles, integers):
        doubles[0] = rates_of(0.5, doubles, powers)[0]
        reals[0] = step(0, reals[1], reals[2], 1, rates, reals, settings)

    return run
