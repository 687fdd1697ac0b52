"""The formulas of the registry as device functions: one source, a second compilation."""

import functools
from typing import NamedTuple

import numpy as np

from nnjit.backends.cuda._cuda import device
from nnjit.backends.cuda.tuples import taking
from nnjit.core.own import in_precision
from nnjit.formulas.library import library
from nnjit.formulas.registry import find_activation, find_loss

__all__ = [
    "LINEAR",
    "Activations",
    "Formulas",
    "device_formulas",
    "device_library",
    "formulas_of",
    "has_labels",
    "loss_settings",
    "make_activations",
    "real_of",
]

# In place of an activation's number: none.
LINEAR = -1


class Formulas(NamedTuple):
    """What of the registry a network's kernels are made of, and with it the key to them."""

    hidden: tuple  # the hidden layers' Activations, each once; layers tell them by their place
    loss: object  # Loss, with the output activation
    solver: object = None  # Solver; None for a prediction
    drops: bool = False  # whether there is dropout


def formulas_of(network):
    """Formulas of a network, but for the solver.

    Raises
    ------
    ValueError
        If one of its names is not known, or loss and output do not go together.
    """
    dense = [layer for layer in network.layers if hasattr(layer, "activation")]
    names = dict.fromkeys(layer.activation for layer in dense[:-1])
    hidden = sorted(map(find_activation, names), key=lambda entry: entry.epilogue is not None)
    drops = any(getattr(layer, "rate", 0.0) for layer in network.layers)
    return Formulas(tuple(hidden), find_loss(network.loss, network.output), drops=drops)


def has_labels(loss):
    """Whether the target of a loss is the number of a class."""
    return loss.classes or loss.output == "softmax"


def loss_settings(network, loss):
    """Parameters of a network's loss, float64, for each output in the order of the entry."""
    given = {**loss.parameters, **dict(network.loss_parameters)}
    columns = [np.broadcast_to(given[name], network.outputs) for name in loss.parameters]
    return np.array(columns, np.float64).T.reshape(network.outputs, -1)


def real_of(single):
    """NumPy's type of a precision."""
    return np.float32 if single else np.float64


def device_library(single):
    """The library of formulas in one precision, for the device."""
    return library(bool(single), device)


def _own(single, function):
    """Somebody's own function for the device, with our functions in place of those of `math`."""
    names, ours = ("exp", "expm1", "log", "log1p", "tanh", "erf"), device_library(single)
    return device(in_precision(function, single, {name: getattr(ours, name) for name in names}))


device.own = _own  # type: ignore[attr-defined]  # see `nnjit.formulas.library`


@functools.cache
def device_formulas(entry, single):
    """The formulas of an entry in one precision, as device functions."""
    return entry.functions(bool(single), device)


class Activations(NamedTuple):
    """Device functions for layers with any of some activations, each told by its number.

    ``at_once(number, z)`` is phi(z) where a tile does that, else z; ``is_left(number)`` says that
    ``later(number, z)`` is still to be applied. ``backward(number, (delta, z, h))`` is
    delta phi'(z). LINEAR leaves values as they are. `reads_z` is no function: whether one of them
    needs z. All threads of a launch have the same number, so the branches do not diverge.
    """

    at_once: object
    is_left: object
    later: object
    backward: object
    reads_z: bool


@functools.cache
def make_activations(single, entries):
    """Activations of some entries; those that a tile applies at once are the last of them."""
    made = [device_formulas(entry, single) for entry in entries]
    left = sum(entry.epilogue is None for entry in entries)
    backwards = [
        taking(formulas.backward, ("delta", *entry.reads), ("delta", "z", "h"))
        for formulas, entry in zip(made, entries, strict=True)
    ]

    @device
    def is_left(number):
        return 0 <= number < left

    @device
    def same(value):
        return value

    @device
    def delta_of(values):
        return values[0]

    values = [formulas.value for formulas in made]
    return Activations(
        _chosen(values[left:], same, left),
        is_left,
        _chosen(values[:left], same),
        _chosen(backwards, delta_of),
        any("z" in entry.reads for entry in entries),
    )


def _chosen(functions, otherwise, first=0):
    """Device function (number, x) that calls the function of that number, counted from `first`."""
    if not functions:

        @device
        def choose_none(number, x):
            return otherwise(x)

        return choose_none
    function, others = functions[0], _chosen(functions[1:], otherwise, first + 1)

    @device
    def choose(number, x):
        return function(x) if number == first else others(number, x)

    return choose
