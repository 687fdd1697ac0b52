"""Losses of one row, each with the output activation that it goes with.

Each returns value(...) and slope(...), its derivative by the pre-activation z; their arguments are
any of the target y, z, the output p and the loss's own parameters, by name. A loss of classes
returns value(p) and factor(p) for the probability p of the row's class; None stands for a factor
of 1.

Probabilities are clipped to [eps, 1 - eps], eps the spacing of numbers at 1, as in scikit-learn.
"""

from nnjit.formulas.registry import Domain, loss

__all__ = ["binary_log_loss", "class_log_loss", "poisson", "squared_error"]

COUNTS = Domain("y >= 0", "negative values", lambda y: y >= 0)
BITS = Domain("y in {0, 1}", "other values", lambda y: (y == 0) | (y == 1))


@loss(output="identity", mean_over_outputs=True)
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


@loss("log_loss", output="logistic", domain=BITS, regression=False)
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


@loss("log_loss", output="softmax", classes=True, regression=False)
def class_log_loss(m):
    """-log(p)."""
    one, eps, log, clip = m.one, m.eps, m.log, m.clip
    high = one - eps

    def value(p):
        return -log(clip(p, eps, high))

    return value, None
