"""The step of a solver over one chunk of the flat parameters.

The gradient arrives as a sum over the minibatch's rows; the true gradient of an element is
``(gradient + alpha * w) * scale`` with alpha only where the chunk is penalized and scale = 1 / (sum
of the minibatch's weights). Where it was clipped it arrives finished, but for a factor.
"""

import functools

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized, viewing
from nnjit.core.compiler.units import Unit
from nnjit.core.jobs.job import (
    BATCH,
    FACTOR,
    POWERS,
    REPORT,
    STATE,
    STEPS,
    WEIGHT,
    chunk_of,
    job_of,
    params_of,
)
from nnjit.core.jobs.records import view
from nnjit.core.maps.entries import once_for
from nnjit.core.maps.tuples import cast, take, zero_unless
from nnjit.core.scalar import compiled
from nnjit.formulas import find_solver

__all__ = ["average_unit", "gradient_unit", "solver_unit"]


@viewing
def vector_of(job, number, like):
    """One of the solver's vectors."""
    vectors = view(job.vectors_at, job.n_vectors * job.n_flat, like)
    return vectors[number * job.n_flat : (number + 1) * job.n_flat]


@inline
def scale_of(job):
    """What a gradient is still multiplied by."""
    report = view(job.report_at, REPORT, np.float64(0))
    return report[FACTOR] if job.finished else 1.0 / report[WEIGHT]


@inline
def alpha_of(job, chunk):
    """The L2 penalty that a chunk's gradient still lacks."""
    return job.alpha if chunk.penalized and not job.finished else 0.0


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
        low, high = chunk.low, chunk.high
        finish_gradient(
            params_of(job, like)[low:high], view(gradient_at, high - low, like),
            vector_of(job, 0, like)[low:high], real(alpha_of(job, chunk)), real(scale_of(job)),
        )  # fmt: skip

    return Unit(gradient, f"solver_gradient_{'single' if single else 'double'}")


# After t steps an average has the decay rate t / (t + 9) at most: it is of about the last tenth of
# them, and has soon forgotten where it began however slowly it moves in the end.
_BEGINNING = 9.0


@vectorized
def move_average(average, w, share):
    """Go that share of the way from the averages to the parameters."""
    for i in range(len(w)):
        average[i] += share * (w[i] - average[i])


@functools.cache
def average_unit(single):
    """Unit (job, chunk): the average of a chunk's parameters.

    With t steps before this one its decay rate is t / (t + 9), at most the one asked for.
    """
    like = np.float32(0) if single else np.float64(0)
    real = type(like)

    def average(job_at, chunk_at):
        job, chunk = job_of(job_at), chunk_of(chunk_at)
        low, high = chunk.low, chunk.high
        w = params_of(job, like)[low:high]
        averages = vector_of(job, job.n_vectors - 1, like)[low:high]
        before = view(job.clock_at, POWERS, np.float64(0))[STEPS] - 1.0
        share = max(job.average_share, _BEGINNING / (before + _BEGINNING))
        move_average(averages, w, real(share))

    return Unit(average, f"solver_average_of_parameters_{'single' if single else 'double'}")


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
        sweep(
            job, low, high, params_of(job, like)[low:high], view(gradient_at, high - low, like),
            real(alpha_of(job, chunk)), real(scale_of(job)),
            scalars(rate_of(job) * chunk.rate, settings, clock, chunk.penalized),
        )  # fmt: skip

    return Unit(solver, f"solver_{name}_{'single' if single else 'double'}")


def _scalars(entry, real):
    """Function of compiled code: the rates of a step and the hyperparameters, in precision."""
    n, names = len(entry.hyperparameters), list(entry.hyperparameters)
    own, powers = take(n), take(len(entry.powers))
    decayed = zero_unless(tuple(names.index(name) for name in entry.penalized), n)
    in_precision = cast(real, len(entry.rates) + n)
    rate = entry.functions(False, inline).rate  # in float64 whatever the network's precision
    if rate is None:

        @inline
        def scalars(base, settings, clock, penalized):
            return in_precision((base, *decayed(own(settings, 0), penalized)))

    elif len(entry.rates) == 1:

        @inline
        def scalars(base, settings, clock, penalized):
            values = own(settings, 0)
            here = rate(base, *values, *powers(clock, POWERS))
            return in_precision((here, *decayed(values, penalized)))

    else:

        @inline
        def scalars(base, settings, clock, penalized):
            values = own(settings, 0)
            here = rate(base, *values, *powers(clock, POWERS))
            return in_precision((*here, *decayed(values, penalized)))

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
