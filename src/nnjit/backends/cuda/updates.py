"""The step of a solver over the parameters, and what decides about it.

Every block finds the loss and the weight of the minibatch by itself, with the same additions in
the same order, so that nobody has to tell the others. What one step leaves to the next (clock,
loss so far, squared weights) is kept twice, for even and for odd steps: a block that is early
never overwrites what a late one is still to read.
"""

import functools
import math

from nnjit.backends.cuda._cuda import cuda, device
from nnjit.core.optimizers import (
    ADAM,
    ALPHA,
    BETA_1,
    BETA_2,
    EPSILON,
    HYPER,
    MOMENTUM,
    NESTEROV,
    RATE,
    SGD,
)

__all__ = ["CONTROL", "RANGE_PER_THREAD", "STATE", "make_sums", "make_update"]

# Entries of the state of a step.
STEPS, BETA_1_POWER, BETA_2_POWER, LOSS, SKIPPED, RUNNING = range(6)
STATE = 6
CONTROL = HYPER + 2 * STATE
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
def make_elements(real):
    """Device functions (sgd, adam) of one parameter each; the formulas of core/optimizers.py.

    Both take the parameter, its gradient, the moments and their index, and the settings of the
    solver; they return the new parameter.
    """
    one = real(1)

    @device
    def sgd(w, gradient, velocity, i, rate, momentum, nesterov):
        step = rate * gradient
        v = momentum * velocity[i] - step
        velocity[i] = v
        return w + (momentum * v - step if nesterov else v)

    @device
    def adam(w, gradient, first, second, i, rate, beta_1, beta_2, epsilon):
        m = beta_1 * first[i] + (one - beta_1) * gradient
        v = beta_2 * second[i] + (one - beta_2) * (gradient * gradient)
        first[i] = m
        second[i] = v
        return w - rate * m / (math.sqrt(v) + epsilon)

    return sgd, adam


@functools.cache
def make_step(single, real):
    """Device function ``step``: the new value of parameter i, whatever the solver."""
    sgd, adam = make_elements(real)
    zero = real(0)

    @device
    def step(i, w, net, solver, slots, buffers, scale, rate):
        control = buffers.control
        gradient = buffers.grads[i]
        for slot in range(1, slots):
            gradient += buffers.grads[slot * net.n_params + i]
        alpha = real(control[ALPHA]) if i < net.n_weights else zero
        gradient = (gradient + alpha * w) * scale
        if solver == ADAM:
            return adam(
                w, gradient, buffers.first, buffers.second, i, rate, real(control[BETA_1]),
                real(control[BETA_2]), real(control[EPSILON]),
            )  # fmt: skip
        if solver == SGD:
            nesterov = control[NESTEROV] != 0.0
            return sgd(w, gradient, buffers.first, i, rate, real(control[MOMENTUM]), nesterov)
        buffers.first[i] = gradient
        return w

    return step


@functools.cache
def make_update(single, real, threads):
    """Device functions (weigh, update).

    ``weigh(worker, workers, net, buffers, scratch)`` fills the squared weights of an even step.
    ``update(worker, workers, net, solver, buffers, params, rows, weighted, slots, odd, epoch,
    opening, scratch)`` ends a minibatch of `rows` rows, whose losses and weights lie in the
    buffers: it moves the parameters, unless the loss is not finite or all weights are zero, and
    writes the next step's state. `opening` says that it is the first of its epoch; `params` is a
    copy that is kept up to date, or ``buffers.params`` itself.
    """
    step = make_step(single, real)
    decide = _make_decision(threads)
    tree, _ = make_sums(threads)
    per_range = threads * RANGE_PER_THREAD

    @device
    def weigh(worker, workers, net, buffers, scratch):
        t = cuda.threadIdx.x
        for number in range(worker, (net.n_weights + per_range - 1) // per_range, workers):
            square = 0.0
            for i in range(number * per_range + t, (number + 1) * per_range, threads):
                if i < net.n_weights:
                    square += float(buffers.params[i] * buffers.params[i])
            square = tree(square, scratch)
            if t == 0:
                buffers.squares[number] = square

    @device
    def update(
        worker, workers, net, solver, buffers, params, rows, weighted, slots, odd, epoch, opening,
        scratch,
    ):  # fmt: skip
        moving, weight, bias = decide(
            worker, net, buffers, rows, weighted, odd, epoch, opening, scratch
        )
        t = cuda.threadIdx.x
        scale = real(1.0 / weight) if moving else real(0)
        rate = real(buffers.control[RATE] * (bias if solver == ADAM else 1.0))
        weight_ranges = (net.n_weights + per_range - 1) // per_range
        for number in range(worker, (net.n_params + per_range - 1) // per_range, workers):
            square = 0.0
            for i in range(number * per_range + t, (number + 1) * per_range, threads):
                if i < net.n_params:
                    w = buffers.params[i]
                    if moving:
                        w = step(i, w, net, solver, slots, buffers, scale, rate)
                        buffers.params[i] = w
                        params[i] = w
                    if i < net.n_weights:
                        square += float(w * w)
            square = tree(square, scratch)
            if t == 0 and number < weight_ranges:
                buffers.squares[(1 - odd) * weight_ranges + number] = square

    return weigh, update


@functools.cache
def _make_decision(threads):
    """Device function that finds whether to move; (moving, weight, Adam's bias correction)."""
    _, total = make_sums(threads)
    per_range = threads * RANGE_PER_THREAD

    @device
    def decide(worker, net, buffers, rows, weighted, odd, epoch, opening, scratch):
        control = buffers.control
        now, then = HYPER + odd * STATE, HYPER + (1 - odd) * STATE
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
        power_1, power_2 = control[now + BETA_1_POWER], control[now + BETA_2_POWER]
        if moving:
            power_1 *= control[BETA_1]
            power_2 *= control[BETA_2]
        if worker == 0 and cuda.threadIdx.x == 0:
            control[then + STEPS] = control[now + STEPS] + (1.0 if moving else 0.0)
            control[then + BETA_1_POWER], control[then + BETA_2_POWER] = power_1, power_2
            counted = running and not skipped
            before = 0.0 if opening else control[now + LOSS]
            control[then + LOSS] = before + (loss * rows if counted else 0.0)
            buffers.losses[epoch] = control[then + LOSS]
            control[then + SKIPPED] = control[now + SKIPPED] + (1.0 if running and skipped else 0.0)
            control[then + RUNNING] = 1.0 if running and finite else 0.0
        bias = math.sqrt(1.0 - power_2) / (1.0 - power_1) if moving else 1.0
        return moving, weight, bias

    return decide
