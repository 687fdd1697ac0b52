"""Losses of one row, with the output activation that they were made for, or with any.

Each returns value(...) and slope(...). slope is the derivative by the pre-activation z where an
output activation stands beside the loss, else by the output p. Arguments are any of the target y,
z, p and the loss's own parameters, by name. A loss of classes returns value(p) and factor(p) for
the probability p of the row's class; None stands for a factor of 1.

Probabilities are clipped to [eps, 1 - eps], eps the spacing of numbers at 1, as in scikit-learn.
"""

import math

from nnjit.formulas.registry import Domain, loss

__all__ = [
    "absolute_error",
    "any_poisson",
    "any_squared_error",
    "binary_focal",
    "binary_log_loss",
    "class_focal",
    "class_log_loss",
    "gamma",
    "any_gamma",
    "any_masked_mean_squared_error",
    "huber",
    "log_cosh",
    "masked_huber",
    "masked_mean_squared_error",
    "masked_squared_error",
    "poisson",
    "quantile",
    "smoothed_binary_log_loss",
    "smoothed_class_log_loss",
    "squared_error",
    "squared_error_of_classes",
]

COUNTS = Domain("y >= 0", "negative values", lambda y: y >= 0)
POSITIVE = Domain("y > 0", "values that are not positive", lambda y: y > 0)
BITS = Domain("y in {0, 1}", "other values", lambda y: (y == 0) | (y == 1))
ABOVE_ZERO = (0.0, math.inf)


# --- values ------------------------------------------------------------------------------


@loss(output="identity", mean_over_outputs=True, gradient_of_sum=True)
def squared_error(m):
    """1/2 (p - y)^2."""
    half = m.half

    def value(y, p):
        return half * (p - y) * (p - y)

    def slope(y, p):
        return p - y

    return value, slope


@loss(output="exp", domain=COUNTS)
def poisson(m):
    """Half the deviance, y log(y / p) - y + p; 0 for y log(y / p) at y = 0.

    The logarithm is taken of a mean of at least the smallest normal number: one that underflowed
    costs much, not infinitely much.
    """
    zero, one, tiny, log, select = m.zero, m.one, m.tiny, m.log, m.select

    def value(y, p):
        mean = select(p < tiny, tiny, p)
        ratio = select(y == zero, one, y / mean)
        return y * log(ratio) - y + p

    def slope(y, p):
        return p - y

    return value, slope


@loss("squared_error", mean_over_outputs=True)
def any_squared_error(m):
    """1/2 (p - y)^2."""
    return squared_error(m)


@loss("poisson", domain=COUNTS, range=ABOVE_ZERO, mean_over_outputs=True)
def any_poisson(m):
    """Half the deviance, as above; the slope by p is 1 - y / p."""
    value, _ = poisson(m)
    one, floor, select = m.one, m.real(m.tiny / m.eps), m.select

    def slope(y, p):
        return one - y / select(p < floor, floor, p)

    return value, slope


@loss(mean_over_outputs=True)
def absolute_error(m):
    """|p - y|; the slope at 0 is 0."""
    zero, one, select = m.zero, m.one, m.select

    def value(y, p):
        return abs(p - y)

    def slope(y, p):
        return select(p > y, one, select(p < y, -one, zero))

    return value, slope


@loss(mean_over_outputs=True, parameters={"huber_delta": 1.35})
def huber(m):
    """r^2 / 2 for |r| up to delta, delta (|r| - delta / 2) beyond, with r = p - y."""
    half, clip, select = m.half, m.clip, m.select

    def value(y, p, huber_delta):
        r = abs(p - y)
        return select(r > huber_delta, huber_delta * (r - half * huber_delta), half * r * r)

    def slope(y, p, huber_delta):
        return clip(p - y, -huber_delta, huber_delta)

    return value, slope


@loss(mean_over_outputs=True, parameters={"quantile": 0.5})
def quantile(m):
    """Pinball: q r for r = y - p at least 0, (q - 1) r below; the slope at 0 is 0."""
    zero, one, select = m.zero, m.one, m.select

    def value(y, p, quantile):
        r = y - p
        return select(r < zero, (quantile - one) * r, quantile * r)

    def slope(y, p, quantile):
        return select(p > y, one - quantile, select(p < y, -quantile, zero))

    return value, slope


def _gamma(m, floor):
    """value(y, p), with a mean of at least `floor` and a ratio whose logarithm is finite."""
    one, tiny, log, select = m.one, m.tiny, m.log, m.select

    def value(y, p):
        ratio = y / select(p < floor, floor, p)
        return ratio - log(select(ratio < tiny, tiny, ratio)) - one

    return value


@loss(output="exp", domain=POSITIVE, mean_over_outputs=True)
def gamma(m):
    """Half the deviance, log(p / y) + y / p - 1.

    A mean that underflowed costs much, not infinitely much, as for Poisson.
    """
    one, floor, select = m.one, m.real(m.tiny / m.eps), m.select

    def slope(y, p):
        return one - y / select(p < floor, floor, p)

    return _gamma(m, floor), slope


@loss("gamma", domain=POSITIVE, range=ABOVE_ZERO, mean_over_outputs=True)
def any_gamma(m):
    """The same; the slope by p is (1 - y / p) / p, of a mean whose square is no underflow."""
    one, floor, select = m.one, m.real(math.sqrt(m.tiny / m.eps)), m.select

    def slope(y, p):
        mean = select(p < floor, floor, p)
        return (one - y / mean) / mean

    return _gamma(m, floor), slope


@loss(mean_over_outputs=True)
def log_cosh(m):
    """log cosh(p - y), as |r| + log(1 + e^(-2 |r|)) - log 2, which does not overflow."""
    two, log_2, softplus, tanh = m.two, m.real(math.log(2.0)), m.softplus, m.tanh

    def value(y, p):
        r = abs(p - y)
        return r + (softplus(-two * r) - log_2)

    def slope(y, p):
        return tanh(p - y)

    return value, slope


# --- values of which some are not known ---------------------------------------------------


def _known_residual(m):
    """p - y, and 0 where y is NaN; a NaN comes to no product."""
    zero, select = m.zero, m.select

    def residual(y, p):
        return select(y == y, p - y, zero)

    return residual


@loss(output="identity", regression=False)
def masked_squared_error(m):
    """1/2 (p - y)^2 where y is known; 0, and without a slope, where y is NaN.

    Added up over the outputs: with one target a row, as for the value of the action taken, it is
    the usual loss of that output.
    """
    half, residual = m.half, m.part(_known_residual(m))

    def value(y, p):
        r = residual(y, p)
        return half * r * r

    def slope(y, p):
        return residual(y, p)

    return value, slope


@loss(output="identity", regression=False, parameters={"huber_delta": 1.0})
def masked_huber(m):
    """`huber` where y is known; 0, and without a slope, where y is NaN. A sum as above."""
    half, clip, select, residual = m.half, m.clip, m.select, m.part(_known_residual(m))

    def value(y, p, huber_delta):
        r = abs(residual(y, p))
        return select(r > huber_delta, huber_delta * (r - half * huber_delta), half * r * r)

    def slope(y, p, huber_delta):
        return clip(residual(y, p), -huber_delta, huber_delta)

    return value, slope


@loss(output="identity", mean_over_outputs=True, gradient_of_sum=True, regression=False)
def masked_mean_squared_error(m):
    """1/2 (p - y)^2 where y is known, as a mean over all outputs, with the gradient of their sum.

    That is `squared_error` of targets without NaN.
    """
    return masked_squared_error(m)


@loss("masked_mean_squared_error", mean_over_outputs=True, regression=False)
def any_masked_mean_squared_error(m):
    """The same with the gradient of the mean."""
    return masked_squared_error(m)


# --- classes -----------------------------------------------------------------------------


@loss("log_loss", output="logistic", domain=BITS, regression=False, classification="log_loss")
def binary_log_loss(m):
    """-log(p) where y is 1, -log(1 - p) where it is 0."""
    half, one, eps, log, clip, select = m.half, m.one, m.eps, m.log, m.clip, m.select
    high = one - eps

    def value(y, p):
        clipped = clip(p, eps, high)
        return -log(select(y > half, clipped, one - clipped))

    def slope(y, p):
        return p - y

    return value, slope


@loss("log_loss", output="softmax", classes=True, regression=False, classification="log_loss")
def class_log_loss(m):
    """-log(p)."""
    one, eps, log, clip = m.one, m.eps, m.log, m.clip
    high = one - eps

    def value(p):
        return -log(clip(p, eps, high))

    return value, None


SMOOTHING = {"label_smoothing": 0.0}


@loss("smoothed_log_loss", output="logistic", domain=BITS, parameters=SMOOTHING, regression=False)
def smoothed_binary_log_loss(m):
    """-t log(p) - (1 - t) log(1 - p) with t = y (1 - s) + s / 2."""
    half, one, eps, log, clip = m.half, m.one, m.eps, m.log, m.clip
    high = one - eps

    def value(y, p, label_smoothing):
        clipped, target = clip(p, eps, high), y * (one - label_smoothing) + half * label_smoothing
        return -(target * log(clipped) + (one - target) * log(one - clipped))

    def slope(y, p, label_smoothing):
        return p - (y * (one - label_smoothing) + half * label_smoothing)

    return value, slope


@loss("smoothed_log_loss", output="softmax", parameters=SMOOTHING, regression=False)
def smoothed_class_log_loss(m):
    """-t log(p) with t = y (1 - s) + s / K, to be added up over the K outputs."""
    one, eps, log, clip = m.one, m.eps, m.log, m.clip
    high = one - eps

    def value(y, p, choices, label_smoothing):
        target = y * (one - label_smoothing) + label_smoothing / choices
        return -target * log(clip(p, eps, high))

    def slope(y, p, choices, label_smoothing):
        return p - (y * (one - label_smoothing) + label_smoothing / choices)

    return value, slope


@loss(
    domain=BITS,
    range=(0.0, 1.0),
    parameters=SMOOTHING,
    regression=False,
    classification="squared_error",
)
def squared_error_of_classes(m):
    """1/2 (p - t)^2 with t = y (1 - s) + s / K, to be added up over the outputs."""
    half, one = m.half, m.one

    def value(y, p, choices, label_smoothing):
        r = p - (y * (one - label_smoothing) + label_smoothing / choices)
        return half * r * r

    def slope(y, p, choices, label_smoothing):
        return p - (y * (one - label_smoothing) + label_smoothing / choices)

    return value, slope


def _focal(m):
    """value(p, gamma) and factor(p, gamma) of the probability of what is true."""
    one, eps, exp, log, clip = m.one, m.eps, m.exp, m.log, m.clip
    high = one - eps

    def value(p, focal_gamma):
        sure = clip(p, eps, high)
        return -exp(focal_gamma * log(one - sure)) * log(sure)

    def factor(p, focal_gamma):
        sure = clip(p, eps, high)
        q = one - sure
        return exp(focal_gamma * log(q)) * (one - focal_gamma * sure * log(sure) / q)

    return value, factor


@loss(
    "focal",
    output="softmax",
    classes=True,
    parameters={"focal_gamma": 2.0},
    regression=False,
    classification="focal",
)
def class_focal(m):
    """-(1 - p)^gamma log(p), which is less of what is classified well already."""
    return _focal(m)


@loss(
    "focal",
    output="logistic",
    domain=BITS,
    parameters={"focal_gamma": 2.0},
    regression=False,
    classification="focal",
)
def binary_focal(m):
    """The same of p where y is 1, of 1 - p where it is 0."""
    of_true, factor_of_true = map(m.part, _focal(m))
    half, one, select = m.half, m.one, m.select

    def value(y, p, focal_gamma):
        return of_true(select(y > half, p, one - p), focal_gamma)

    def slope(y, p, focal_gamma):
        return (p - y) * factor_of_true(select(y > half, p, one - p), focal_gamma)

    return value, slope
