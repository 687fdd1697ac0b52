"""The state of a stochastic solver over one network's flat parameters on the CPU."""

import numpy as np

from nnjit.backends.layout import aligned_zeros
from nnjit.backends.solver_state import SolverState

__all__ = ["Optimizer", "copy_packed", "packed_copy"]


def copy_packed(packed, views):
    """Copy a packed vector into views of parameters, in order."""
    start = 0
    for view in views:
        view[...] = packed[start : start + view.size].reshape(view.shape)
        start += view.size


def packed_copy(views, dtype):
    """One new vector with all views' elements, in order."""
    packed, start = np.empty(sum(view.size for view in views), dtype), 0
    for view in views:
        packed[start : start + view.size].reshape(view.shape)[...] = view
        start += view.size
    return packed


class Optimizer(SolverState):
    """State of a stochastic solver over one engine's flat parameters.

    Attributes
    ----------
    vectors : ndarray of shape (n_vectors, n_flat)
        In the order of the solver's entry.
    """

    def __init__(self, solver, hyperparameters, layout, dtype, seed=0):
        super().__init__(solver, hyperparameters, seed)
        n = len(solver.vectors)
        self.vectors = aligned_zeros(n * layout.n_flat, dtype).reshape(n, layout.n_flat)
        self._layout = layout

    @property
    def n_parameters(self):
        """Number of parameters, padding not counted."""
        return sum(int(np.prod(place.shape)) for place in self._layout.places)

    def _views(self, name):
        return self._layout.packed_views(self.vectors[list(self.solver.vectors).index(name)])

    def _read(self, name):
        return packed_copy(self._views(name), self.vectors.dtype)

    def _write(self, name, packed):
        copy_packed(packed, self._views(name))
