"""The step of a solver over the parameters, and what decides about it.

Every block finds the loss and the weight of the minibatch by itself, with the same additions in
the same order, so that nobody has to tell the others.
"""

import functools

from nnjit.backends.cuda._cuda import cuda, device
from nnjit.backends.cuda.control import (
    ALPHA,
    CLOCK,
    LOSS,
    RATE,
    RUNNING,
    SCHEDULED,
    SKIPPED,
    layout_of,
)
from nnjit.backends.cuda.scalars import device_formulas, real_of
from nnjit.backends.cuda.tuples import cast, reader, writer, zero_unless

__all__ = ["RANGE_PER_THREAD", "make_clock", "make_step", "make_sums", "make_update"]

# Elements of the parameters that one thread updates before its block takes the next range.
RANGE_PER_THREAD = 2


@functools.cache
def make_sums(threads):
    """Device function ``total(values, first, n, scratch)``: a sum in a fixed tree.

    Every thread of the block gets it; `scratch` holds one float64 per thread. `tree(value,
    scratch)` adds up one value per thread.
    """

    @device
    def tree(value, scratch):
        t = cuda.threadIdx.x
        cuda.syncthreads()
        scratch[t] = value
        width = threads
        while width > 1:
            half = (width + 1) // 2
            cuda.syncthreads()
            if t + half < width:
                scratch[t] += scratch[t + half]
            width = half
        cuda.syncthreads()
        return scratch[0]

    @device
    def total(values, first, n, scratch):
        value = 0.0
        for i in range(cuda.threadIdx.x, n, threads):
            value += values[first + i]
        return tree(value, scratch)

    return tree, total


@functools.cache
def make_step(single, solver):
    """``step(i, w, gradient, n, rates, vectors, settings)``: the new value of parameter i of n.

    `rates` and `settings` are those of the step and the solver's hyperparameters as tuples of
    reals.
    """
    formula, count = device_formulas(solver, single).step, len(solver.vectors)
    before, keep = reader(count, real_of(single)), writer(count, 1)

    @device
    def step(i, w, gradient, n, rates, vectors, settings):
        arguments = (w, gradient) + before(vectors, i, n) + rates + settings
        after = formula(*arguments)
        keep(vectors, i, n, after)
        return after[0]

    return step


@functools.cache
def _make_gradient(single):
    """``gradient(i, w, net, slots, buffers, scale)``: that of the minibatch and of the penalty."""
    real = real_of(single)
    zero = real(0)

    @device
    def gradient(i, w, net, slots, buffers, scale):
        total = buffers.grads[i]
        for slot in range(1, slots):
            total += buffers.grads[slot * net.n_params + i]
        alpha = real(buffers.control[ALPHA]) if i < net.n_weights else zero
        return (total + alpha * w) * scale

    return gradient


@functools.cache
def make_update(single, threads, formulas):
    """Device functions (weigh, update).

    ``weigh(team, net, buffers, scratch)`` fills the squared weights of an even step.
    ``update(team, net, buffers, params, rows, weighted, slots, number, epoch, opening, scratch)``
    ends minibatch `number` of a run, of `rows` rows, whose losses and weights lie in the buffers:
    it moves the parameters, unless the loss is not finite or all weights are zero, and writes the
    next step's state. `opening` says that it is the first of its epoch; `params` is a copy that is
    kept up to date, or ``buffers.params`` itself.
    """
    real, solver = real_of(single), formulas.solver
    names, layout = list(solver.hyperparameters), layout_of(solver)
    step, gradient_of = make_step(single, solver), _make_gradient(single)
    settings_of, settings_at = reader(len(names), real), layout.hyperparameters
    penalized = tuple(names.index(name) for name in solver.penalized)
    settings_for = zero_unless(penalized, len(names), real)
    decide, in_precision = _make_decision(threads, solver), cast(len(solver.rates), real)
    tree, _ = make_sums(threads)
    per_range = threads * RANGE_PER_THREAD

    @device
    def weigh(team, net, buffers, scratch):
        t, ranges = cuda.threadIdx.x, (net.n_weights + per_range - 1) // per_range
        for number in range(team.worker, ranges, team.workers):
            square = 0.0
            for i in range(number * per_range + t, (number + 1) * per_range, threads):
                if i < net.n_weights:
                    square += float(buffers.params[i] * buffers.params[i])
            square = tree(square, scratch)
            if t == 0:
                buffers.squares[number] = square

    @device
    def update(
        team, net, buffers, params, rows, weighted, slots, number, epoch, opening, scratch
    ):  # fmt: skip
        moving, weight, found = decide(
            team.worker, net, buffers, rows, weighted, number, epoch, opening, scratch
        )
        t, settings = cuda.threadIdx.x, settings_of(buffers.control, settings_at, 1)
        rates, odd = in_precision(found), number % 2
        scale = real(1.0 / weight) if moving else real(0)
        weight_ranges = (net.n_weights + per_range - 1) // per_range
        ranges = (net.n_params + per_range - 1) // per_range
        for part in range(team.worker, ranges, team.workers):
            square = 0.0
            for i in range(part * per_range + t, (part + 1) * per_range, threads):
                if i < net.n_params:
                    w = buffers.params[i]
                    if moving:
                        gradient = gradient_of(i, w, net, slots, buffers, scale)
                        w = step(
                            i, w, gradient, net.n_params, rates, buffers.vectors,
                            settings_for(settings, i < net.n_weights),
                        )  # fmt: skip
                        buffers.params[i] = w
                        params[i] = w
                    if i < net.n_weights:
                        square += float(w * w)
            square = tree(square, scratch)
            if t == 0 and part < weight_ranges:
                buffers.squares[(1 - odd) * weight_ranges + part] = square

    return weigh, update


@functools.cache
def _make_decision(threads, solver):
    """Device function that finds whether to move; (moving, weight, the rates of this step)."""
    _, total = make_sums(threads)
    per_range = threads * RANGE_PER_THREAD
    layout, (carried, rates_of) = layout_of(solver), make_clock(solver)
    even, size, count = layout.state, layout.state_size, len(solver.powers)
    write_powers, none = writer(count, 0), (0.0,) * len(solver.rates)

    @device
    def decide(worker, net, buffers, rows, weighted, number, epoch, opening, scratch):
        control, odd = buffers.control, number % 2
        now, then = even + odd * size, even + (1 - odd) * size
        ranges = (net.n_weights + per_range - 1) // per_range
        weight = total(buffers.row_weight, 0, rows, scratch) if weighted else float(rows)
        loss = total(buffers.row_loss, 0, rows, scratch)
        loss += 0.5 * control[ALPHA] * total(buffers.squares, odd * ranges, ranges, scratch)
        skipped = weight == 0.0
        if not skipped:
            loss /= weight
        running = control[now + RUNNING] != 0.0
        finite = skipped or loss - loss == 0.0
        moving = running and finite and not skipped
        powers = carried(control, now + CLOCK + 1, moving)
        if worker == 0 and cuda.threadIdx.x == 0:
            control[then + CLOCK] = control[now + CLOCK] + (1.0 if moving else 0.0)
            write_powers(control, then + CLOCK + 1, 1, powers)
            counted = running and not skipped
            before = 0.0 if opening else control[now + LOSS]
            control[then + LOSS] = before + (loss * rows if counted else 0.0)
            buffers.losses[epoch] = control[then + LOSS]
            control[then + SKIPPED] = control[now + SKIPPED] + (1.0 if running and skipped else 0.0)
            control[then + RUNNING] = 1.0 if running and finite else 0.0
        rates = none
        if moving:
            base = buffers.rates[number] if control[SCHEDULED] != 0.0 else control[RATE]
            rates = rates_of(base, control, powers)
        return moving, weight, rates

    return decide


@functools.cache
def make_clock(solver):
    """Device functions (carried, rates), in float64.

    ``carried(control, at, moving)`` are the powers at `at`, each once more multiplied by its base
    if a step is done; ``rates(base, control, powers)`` are the rates of a step with these.
    """
    settings_at, several = layout_of(solver).hyperparameters, len(solver.rates) > 1
    names = list(solver.hyperparameters)
    carried = _carried(tuple(settings_at + names.index(name) for name in solver.powers))
    settings_of, formula = reader(len(names), float), device_formulas(solver, False).rate

    @device
    def base_rate(base, control, powers):
        return (base,)

    @device
    def one_rate(base, control, powers):
        arguments = (base,) + settings_of(control, settings_at, 1) + powers
        return (formula(*arguments),)

    @device
    def rates(base, control, powers):
        arguments = (base,) + settings_of(control, settings_at, 1) + powers
        return formula(*arguments)

    if formula is None:
        return carried, base_rate
    return carried, rates if several else one_rate


def _carried(bases):
    if not bases:

        @device
        def no_powers(control, at, moving):
            return ()

        return no_powers
    before, base, last = _carried(bases[:-1]), bases[-1], len(bases) - 1

    @device
    def powers(control, at, moving):
        power = control[at + last]
        return before(control, at, moving) + (power * control[base] if moving else power,)

    return powers
