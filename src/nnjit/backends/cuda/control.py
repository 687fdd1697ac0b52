"""The vector of float64 by which kernels are told what to do, and say where they stand.

First the settings of a run, then the solver's hyperparameters, then what one step leaves to the
next, twice, for even and for odd steps: a block that is early never overwrites what a late one is
still to read.
"""

from typing import NamedTuple

__all__ = ["Layout", "layout_of"]

# SCHEDULED is 1 where every minibatch has a base rate of its own, in place of RATE.
RATE, ALPHA, DELTA_SCALE, SCHEDULED, SETTINGS = range(5)
# The state of a step: the minibatches' losses, how many were left out, whether to go on, and the
# solver's clock, which is the steps and then its powers.
LOSS, SKIPPED, RUNNING, CLOCK = range(4)


class Layout(NamedTuple):
    """Where things lie in the vector of one solver."""

    hyperparameters: int
    state: int  # of even steps
    state_size: int
    size: int

    def state_at(self, odd):
        """Where the state of even or of odd steps lies."""
        start = self.state + odd * self.state_size
        return slice(start, start + self.state_size)


def layout_of(solver):
    """The layout for a solver."""
    state = SETTINGS + len(solver.hyperparameters)
    state_size = CLOCK + 1 + len(solver.powers)
    return Layout(SETTINGS, state, state_size, state + 2 * state_size)
