"""What losses have in common: columns of targets, sums over rows, formulas by what they read."""

from nnjit.core.compiler.jit import vectorized
from nnjit.core.maps.tuples import pick
from nnjit.core.scalar import helper

__all__ = ["gather_column", "ordered", "weighted_sum"]


@vectorized
def gather_column(values, width, column, order, rows, row):
    """row[j] = values[order[j], column] for a row-major matrix of `width` columns."""
    for j in range(rows):
        row[j] = values[order[j] * width + column]


@vectorized
def weighted_sum(row, weights, rows):
    """sum_j weights[j] row[j] in float64, in the order of j."""
    total = 0.0
    for j in range(rows):
        total += float(weights[j]) * float(row[j])
    return total


def ordered(formula, reads, names):
    """The formula as a function of a tuple of what has these names, whatever it reads of it."""
    chosen = pick(tuple(names.index(read) for read in reads))

    @helper
    def in_order(values):
        return formula(*chosen(values))

    return in_order
