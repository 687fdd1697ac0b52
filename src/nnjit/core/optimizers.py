"""Parameter updates over a range of the flat buffer.

The gradient arrives as a sum over the batch's rows; the true gradient of an element is
``(gradient + alpha * w) * scale`` with alpha only for weights and scale = 1 / (sum of
the batch's weights).
"""

import numpy as np

from nnjit.core.compiler.jit import inline, vectorized

__all__ = ["CLOCK", "HYPER", "SOLVERS", "add_slots", "advance", "sum_of_squares", "update_range"]

GRADIENT, SGD, ADAM = 0, 1, 2
SOLVERS = {"gradient": GRADIENT, "sgd": SGD, "adam": ADAM}

# entries of the float64 vector of hyperparameters
RATE, ALPHA, BETA_1, BETA_2, EPSILON, MOMENTUM, NESTEROV, DELTA_SCALE, EPS = range(9)
HYPER = 9
# entries of the float64 vector that an optimizer carries from step to step
STEPS, BETA_1_POWER, BETA_2_POWER = range(3)
CLOCK = 3


@inline
def advance(hyper, clock):
    """Count one step; beta^t is carried along as a product."""
    clock[STEPS] += 1.0
    clock[BETA_1_POWER] *= hyper[BETA_1]
    clock[BETA_2_POWER] *= hyper[BETA_2]


@vectorized
def add_slots(grads, n_flat, slots, low, high):
    """Add the partial gradients of slots 1, 2, ... to slot 0."""
    total = grads[low:high]
    for slot in range(1, slots):
        part = grads[slot * n_flat + low : slot * n_flat + high]
        for i in range(len(total)):
            total[i] += part[i]


@vectorized
def finish_gradient(params, grads, target, alpha, scale):
    """target = (grads + alpha * params) * scale."""
    for i in range(len(params)):
        target[i] = (grads[i] + alpha * params[i]) * scale


@vectorized
def sgd_step(params, grads, velocity, alpha, scale, rate, momentum, nesterov):
    """Gradient descent with (Nesterov's) momentum; Sutskever et al., ICML 2013."""
    one, zero = params.dtype.type(1), params.dtype.type(0)
    along, ahead = (momentum, one) if nesterov else (one, zero)  # no branch in the loop
    for i in range(len(params)):
        step = rate * ((grads[i] + alpha * params[i]) * scale)
        v = momentum * velocity[i] - step
        velocity[i] = v
        params[i] += along * v - ahead * step


@vectorized
def adam_step(params, grads, first, second, alpha, scale, rate, beta_1, beta_2, epsilon):
    """Adam with the bias corrections folded into `rate`; Kingma and Ba, ICLR 2015."""
    one = params.dtype.type(1)
    for i in range(len(params)):
        g = (grads[i] + alpha * params[i]) * scale
        m = beta_1 * first[i] + (one - beta_1) * g
        v = beta_2 * second[i] + (one - beta_2) * (g * g)
        first[i] = m
        second[i] = v
        params[i] -= rate * m / (np.sqrt(v) + epsilon)


@inline
def sum_of_squares(values):
    """Sum of squares in the array's precision, as a float64."""
    total = values.dtype.type(0)
    for i in range(len(values)):
        total += values[i] * values[i]
    return float(total)


@inline
def update_range(solver, hyper, clock, w, g, m, v, penalized, scale):
    """One step for a range of parameters `w` with gradient `g`.

    m, v : INOUT, the optimizer's vectors (v is empty unless the solver has two). For
    `GRADIENT` nothing moves and `m` receives the gradient.
    """
    real = w.dtype.type
    alpha = real(hyper[ALPHA]) if penalized else real(0)
    if solver == ADAM:
        bias = np.sqrt(1.0 - clock[BETA_2_POWER]) / (1.0 - clock[BETA_1_POWER])
        adam_step(
            w, g, m, v, alpha, real(scale), real(hyper[RATE] * bias),
            real(hyper[BETA_1]), real(hyper[BETA_2]), real(hyper[EPSILON]),
        )  # fmt: skip
    elif solver == SGD:
        nesterov = hyper[NESTEROV] != 0.0
        sgd_step(w, g, m, alpha, real(scale), real(hyper[RATE]), real(hyper[MOMENTUM]), nesterov)
    else:
        finish_gradient(w, g, m, alpha, real(scale))
