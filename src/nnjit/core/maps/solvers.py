"""The step of a solver over one chunk of the flat parameters.

The gradient arrives as a sum over the minibatch's rows; the true gradient of an element is
``(gradient + alpha * w) * scale`` with alpha only where the chunk is penalized and scale = 1 / (sum
of the minibatch's weights).
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import (
    BATCH,
    POWERS,
    REPORT,
    STATE,
    WEIGHT,
    chunk_of,
    job_of,
    params_of,
)
from nnjit.core.jobs.records import view
from nnjit.core.maps.entries import once_for
from nnjit.core.maps.tuples import cast, take
from nnjit.core.scalar import compiled
from nnjit.formulas import find_solver

__all__ = ["gradient_unit", "solver_unit"]


@viewing
def vector_of(job, number, like):
    """One of the solver's vectors."""
    vectors = view(job.vectors_at, job.n_vectors * job.n_flat, like)
    return vectors[number * job.n_flat : (number + 1) * job.n_flat]


@inline
def scale_of(job):
    return 1.0 / view(job.report_at, REPORT, np.float64(0))[WEIGHT]


@inline
def rate_of(job):
    """The base rate of the minibatch that the job is at."""
    if job.rates_at == 0:
        return job.rate
    batch = view(job.state_at, STATE, np.int64(0))[BATCH]
    return view(job.rates_at, batch + 1, np.float64(0))[batch]


@vectorized
def finish_gradient(w, gradient, target, alpha, scale):
    """target = (gradient + alpha w) scale."""
    for i in range(len(w)):
        target[i] = (gradient[i] + alpha * w[i]) * scale


@functools.cache
def gradient_unit(single):
    """Unit (job, chunk, gradient): the true gradient, to the first vector; nothing moves."""
    like = np.float32(0) if single else np.float64(0)
    real = type(like)

    def gradient(job_at, chunk_at, gradient_at):
        job, chunk = job_of(job_at), chunk_of(chunk_at)
        alpha = job.alpha if chunk.penalized else 0.0
        low, high = chunk.low, chunk.high
        finish_gradient(
            params_of(job, like)[low:high], view(gradient_at, high - low, like),
            vector_of(job, 0, like)[low:high], real(alpha), real(scale_of(job)),
        )  # fmt: skip

    return Unit(gradient, f"solver_gradient_{'single' if single else 'double'}")


@once_for(find_solver)
def solver_unit(name, single):
    """Unit (job, chunk, gradient): the step of one chunk."""
    entry = find_solver(name)
    like = np.float32(0) if single else np.float64(0)
    real = type(like)
    sweep = _SWEEPS[len(entry.vectors)](compiled(entry, single).step, single)
    scalars = _scalars(entry, real)
    n_settings, n_clock = len(entry.hyperparameters), POWERS + len(entry.powers)

    def solver(job_at, chunk_at, gradient_at):
        job, chunk = job_of(job_at), chunk_of(chunk_at)
        low, high = chunk.low, chunk.high
        settings = view(job.settings_at, n_settings, np.float64(0))
        clock = view(job.clock_at, n_clock, np.float64(0))
        alpha = real(job.alpha) if chunk.penalized else real(0)
        sweep(
            job, low, high, params_of(job, like)[low:high], view(gradient_at, high - low, like),
            alpha, real(scale_of(job)), scalars(rate_of(job), settings, clock),
        )  # fmt: skip

    return Unit(solver, f"solver_{name}_{'single' if single else 'double'}")


def _scalars(entry, real):
    """Function of compiled code: the rate of this step and the hyperparameters, in precision."""
    own, powers = take(len(entry.hyperparameters)), take(len(entry.powers))
    in_precision = cast(real, 1 + len(entry.hyperparameters))
    rate = entry.functions(False, inline).rate  # in float64 whatever the network's precision
    if rate is None:

        @inline
        def scalars(base, settings, clock):
            return in_precision((base, *own(settings, 0)))

    else:

        @inline
        def scalars(base, settings, clock):
            values = own(settings, 0)
            return in_precision((rate(base, *values, *powers(clock, POWERS)), *values))

    return scalars


def _no_vectors(step, single):
    @vectorized
    def move(w, g, alpha, scale, scalars):
        for i in range(len(w)):
            (w[i],) = step(w[i], (g[i] + alpha * w[i]) * scale, *scalars)

    @inline
    def sweep(job, low, high, w, g, alpha, scale, scalars):
        move(w, g, alpha, scale, scalars)

    return sweep


def _one_vector(step, single):
    like = np.float32(0) if single else np.float64(0)

    @vectorized
    def move(w, g, a, alpha, scale, scalars):
        for i in range(len(w)):
            w[i], a[i] = step(w[i], (g[i] + alpha * w[i]) * scale, a[i], *scalars)

    @inline
    def sweep(job, low, high, w, g, alpha, scale, scalars):
        move(w, g, vector_of(job, 0, like)[low:high], alpha, scale, scalars)

    return sweep


def _two_vectors(step, single):
    like = np.float32(0) if single else np.float64(0)

    @vectorized
    def move(w, g, a, b, alpha, scale, scalars):
        for i in range(len(w)):
            w[i], a[i], b[i] = step(w[i], (g[i] + alpha * w[i]) * scale, a[i], b[i], *scalars)

    @inline
    def sweep(job, low, high, w, g, alpha, scale, scalars):
        a, b = vector_of(job, 0, like)[low:high], vector_of(job, 1, like)[low:high]
        move(w, g, a, b, alpha, scale, scalars)

    return sweep


def _three_vectors(step, single):
    like = np.float32(0) if single else np.float64(0)

    @vectorized
    def move(w, g, a, b, c, alpha, scale, scalars):
        for i in range(len(w)):
            w[i], a[i], b[i], c[i] = step(
                w[i], (g[i] + alpha * w[i]) * scale, a[i], b[i], c[i], *scalars
            )

    @inline
    def sweep(job, low, high, w, g, alpha, scale, scalars):
        a, b = vector_of(job, 0, like)[low:high], vector_of(job, 1, like)[low:high]
        move(w, g, a, b, vector_of(job, 2, like)[low:high], alpha, scale, scalars)

    return sweep


_SWEEPS = _no_vectors, _one_vector, _two_vectors, _three_vectors
