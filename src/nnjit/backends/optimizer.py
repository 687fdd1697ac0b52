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


def _check_options(clip_norm, clip_value, average):
    if clip_norm is not None and clip_value is not None:
        raise ValueError(
            f"Only one of clip_norm and clip_value can be given, got {clip_norm!r} and "
            f"{clip_value!r}."
        )
    for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0, got {value!r}.")
    if average is not None and not 0 < average < 1:
        raise ValueError(f"average must be between 0 and 1, got {average!r}.")


class Optimizer(SolverState):
    """State of a stochastic solver over one engine's flat parameters.

    Attributes
    ----------
    vectors : ndarray of shape (n_vectors, n_flat)
        In the order of the solver's entry; the average, if there is one, is the last.
    clip_norm, clip_value : float or None
        Most of the norm of a minibatch's gradient, or of each of its elements.
    """

    def __init__(
        self, solver, hyperparameters, layout, dtype,
        *, clip_norm=None, clip_value=None, average=None, seed=0,
    ):  # fmt: skip
        super().__init__(solver, hyperparameters, average, seed)
        _check_options(clip_norm, clip_value, average)
        self.clip_norm, self.clip_value = clip_norm, clip_value
        n = len(self.vector_names)
        self.vectors = aligned_zeros(n * layout.n_flat, dtype).reshape(n, layout.n_flat)
        self._layout = layout

    @property
    def n_parameters(self):
        """Number of parameters, padding not counted."""
        return sum(int(np.prod(place.shape)) for place in self._layout.places)

    @property
    def clips(self):
        """Whether gradients are clipped."""
        return self.clip_norm is not None or self.clip_value is not None

    def averages(self):
        """See `SolverState.averages`."""
        if self.average is None or self.t == 0:
            return None
        return [view.copy() for view in self._layout.views(self.vectors[-1])]

    def _views(self, name):
        return self._layout.packed_views(self.vectors[self.vector_names.index(name)])

    def _read(self, name):
        return packed_copy(self._views(name), self.vectors.dtype)

    def _write(self, name, packed):
        copy_packed(packed, self._views(name))
