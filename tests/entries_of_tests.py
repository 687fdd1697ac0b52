"""Entries as somebody might add them, of every kind that those of the package are not."""

import contextlib
import logging

import numpy as np

from nnjit.formulas import ACTIVATIONS, LOSSES, SOLVERS, find_loss, outputs_of
from nnjit.formulas.registry import OWN, Activation, Loss, Solver


def _silu(m):
    """z sigmoid(z), whose derivative needs z as well as h."""
    one, sigmoid = m.one, m.sigmoid

    def value(z):
        return z * sigmoid(z)

    def derivative(z):
        return sigmoid(z) * (one + z * (one - sigmoid(z)))

    def backward(delta, z, h):
        return delta * (h + sigmoid(z) * (one - h))

    return value, derivative, backward


def _softplus(m):
    """log(1 + e^z), whose derivative is taken from z alone."""
    sigmoid, softplus = m.sigmoid, m.softplus

    def value(z):
        return softplus(z)

    def derivative(z):
        return sigmoid(z)

    def backward(delta, z):
        return delta * sigmoid(z)

    return value, derivative, backward


def _quantile_like(m):
    """A smooth loss with two parameters, in y, z and p; the output is logistic."""
    one, log1p, exp = m.one, m.log1p, m.exp

    def value(p, rate, y, z, shift):
        return rate * (p - y) * (p - y) + log1p(exp(-shift * z))

    def slope(shift, z, y, p, rate):
        return (rate + rate) * (p - y) * p * (one - p) - shift / (one + exp(shift * z))

    return value, slope


def _focal(m):
    """-(1 - p)^gamma log(p) with gamma = 2 and a weight."""
    one, two, eps, log, clip = m.one, m.two, m.eps, m.log, m.clip
    high = one - eps

    def value(p, weight):
        q = one - p
        return -weight * q * q * log(clip(p, eps, high))

    def factor(weight, p):
        q = one - p
        return weight * (q * q - two * q * p * log(clip(p, eps, high)))

    return value, factor


def _plain(m):
    """Gradient descent without anything."""

    def step(w, g, rate):
        return (w - rate * g,)

    return None, step


def _three(m):
    """A rule of three vectors, whose rate decays by a power."""
    one = m.one

    def rate(rate, decay, share, power):
        return rate * (one + power)

    def step(w, g, mean, last, travelled, rate, decay, share):
        mean = decay * mean + share * g
        down = rate * (mean + share * last)
        return w - down, mean, g, travelled + down * down

    return rate, step


SILU = Activation("silu", _silu)
SOFTPLUS = Activation("softplus", _softplus, range=(0.0, float("inf")))
SQUARES = Loss("squares", _quantile_like, "logistic", True, None, {"rate": 0.75, "shift": 0.5})
FOCAL = Loss("weighted", _focal, "softmax", parameters={"weight": 1.5}, classes=True)
PLAIN = Solver("plain", _plain)
THREE = Solver("three", _three, ("mean", "last", "travelled"), {"decay": 0.5, "share": 0.25},
               ("decay",))  # fmt: skip

HIDDEN = [entry.name for entry in ACTIVATIONS.values() if entry.hidden]
# What the estimators offer as output activations, and what they have of themselves.
OUTPUTS = ("identity", "logistic", "tanh", "softplus", "exp", "softmax")
JOINED = [
    (name, output)
    for name in dict.fromkeys(name for name, _ in LOSSES)
    for output in outputs_of(name)
    if output in OUTPUTS and not find_loss(name, output).by_row
]
PAIRS = [*JOINED, *((entry.name, entry.output) for entry in (SQUARES, FOCAL))]


def add_entries(monkeypatch):
    """Register the entries for one test; nothing in the package knows them."""
    for registry, entry in [
        (ACTIVATIONS, SILU), (ACTIVATIONS, SOFTPLUS), (SOLVERS, PLAIN), (SOLVERS, THREE)
    ]:  # fmt: skip
        monkeypatch.setitem(registry, entry.name, entry)
    for entry in (SQUARES, FOCAL):
        monkeypatch.setitem(LOSSES, (entry.name, entry.output), entry)


@contextlib.contextmanager
def registries_kept():
    """Have the registries afterwards as they were before; what a test registers is gone."""
    registries = ACTIVATIONS, LOSSES, SOLVERS, OWN
    before = [dict(registry) for registry in registries]
    try:
        yield
    finally:
        for registry, entries in zip(registries, before):
            registry.clear()
            registry.update(entries)


@contextlib.contextmanager
def loggers_kept():
    """Have the root logger and those of nnjit afterwards as they were before."""

    def loggers():
        return [logging.root, *(logging.getLogger(name) for name in names())]

    def names():
        return [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "nnjit"]

    before = {logger: (logger.level, logger.handlers[:]) for logger in loggers()}
    try:
        yield
    finally:
        for logger in loggers():
            level, handlers = before.get(logger, (logging.NOTSET, []))
            logger.setLevel(level)
            logger.handlers[:] = handlers


def targets(entry, n, outputs):
    """Targets inside a loss's domain, in float64."""
    rng = np.random.default_rng(2)
    if entry.labels:
        return rng.integers(0, outputs, n)
    if entry.by_row:
        return actions(entry, n, outputs, rng)
    y = rng.choice([-1.5, 0.0, 0.25, 1.0, 3.0], (n, outputs))
    if entry.name.startswith("masked"):
        y[rng.random((n, outputs)) < 0.3] = np.nan
    return y if entry.domain is None else np.where(entry.domain.holds(y), y, 1.0)


def actions(entry, n, outputs, rng):
    """Targets of a loss by row: actions, advantages and former log-probabilities, in float64."""
    if entry.output == "softmax":
        taken, former = rng.integers(0, outputs, (n, 1)), -np.log(outputs)
    else:
        taken, former = rng.normal(0, 1.5, (n, outputs // 2)), -0.75 * outputs
    return np.column_stack([taken, rng.normal(size=n), rng.normal(former, 0.5, n)])
