"""Losses of agents, by row: what a network says of the action that was taken.

A policy's outputs are a distribution over actions. Its log-probability of an action, and its
entropy, are sums of terms: ``term(...)`` returns a term's share of both, and ``term_slope(...)``
the derivatives of both shares by each of the outputs that the term is made of. ``value(...)`` is
the loss of a row by the two sums, and ``slope(...)`` its derivatives by them.

J. Schulman et al., Proximal policy optimization algorithms, arXiv:1707.06347, 2017, equations 7
and 9; without the clipping the policy gradient of R. Williams, Machine Learning 8, 1992.
"""

import math
from typing import Any

from nnjit.formulas.registry import loss

__all__ = ["LOG_STD_RANGE", "clipped_gaussian_policy", "clipped_policy"]

# Beyond these a logarithm of a standard deviation counts as the end: what is squared stays finite.
LOG_STD_RANGE = (-20.0, 20.0)
# From this logarithm on the ratio of two probabilities goes on along its tangent, so that a
# probability that was next to nothing makes no infinite loss.
_LARGEST = 20.0
_OF_ROW: dict[str, Any] = {
    "by_row": True,
    "parameters": {"clip": 0.2, "entropy": 0.0},
    "unbounded": ("clip",),
    "regression": False,
}


def _clipped(m):
    """-min(r A, clip(r, 1 - e, 1 + e) A) - c H with r = exp(log p - log p when it was taken).

    A is the advantage, e the parameter `clip`, infinite for no clipping, c the parameter `entropy`
    and H the entropy.
    """
    zero, one, largest, exp, select, bounded = (
        m.zero,
        m.one,
        m.real(_LARGEST),
        m.exp,
        m.select,
        m.clip,
    )

    def value(log_p, row_entropy, advantage, former, clip, entropy):
        x = log_p - former
        inside = select(x > largest, largest, x)
        ratio = exp(inside) * (one + (x - inside))
        free, kept = ratio * advantage, bounded(ratio, one - clip, one + clip) * advantage
        return -select(kept < free, kept, free) - entropy * row_entropy

    def slope(log_p, row_entropy, advantage, former, clip, entropy):
        x = log_p - former
        inside = select(x > largest, largest, x)
        grown = exp(inside)
        ratio = grown * (one + (x - inside))
        free, kept = ratio * advantage, bounded(ratio, one - clip, one + clip) * advantage
        return select(kept < free, zero, -grown * advantage), -entropy

    return value, slope


def _categorical():
    """Terms of a softmax: y is 1 for the action that was taken, else 0."""

    def term(y, p, log_p):
        return y * log_p, -p * log_p

    def term_slope(y, p, log_p):
        return y, -p * log_p - p

    return term, term_slope


def _gaussian(m):
    """Terms of independent normal distributions: y is a coordinate of the action."""
    zero, half, one, exp, select, bounded = m.zero, m.half, m.one, m.exp, m.select, m.clip
    low, high = map(m.real, LOG_STD_RANGE)
    offset, spread = m.real(0.5 * math.log(2 * math.pi)), m.real(0.5 + 0.5 * math.log(2 * math.pi))

    def term(y, mean, log_std):
        scale = bounded(log_std, low, high)
        away = (y - mean) * exp(-scale)
        return -half * away * away - scale - offset, scale + spread

    def term_slope(y, mean, log_std):
        narrow = exp(-bounded(log_std, low, high))
        away = (y - mean) * narrow
        moves = select(log_std < low, zero, select(log_std > high, zero, one))
        return away * narrow, zero, moves * (away * away - one), moves

    return term, term_slope


@loss(output="softmax", **_OF_ROW)
def clipped_policy(m):
    """Of one action among several; targets are its number, A, and log p when it was taken."""
    return (*_clipped(m), *_categorical())


@loss(output="identity", **_OF_ROW)
def clipped_gaussian_policy(m):
    """Of d real numbers; outputs are their means and then the logarithms of their deviations.

    Targets are the d numbers, A, and log p when they were taken.
    """
    return (*_clipped(m), *_gaussian(m))
