"""The state of a stochastic solver over one network's flat parameters."""

import numpy as np

from nnjit.core import layout, optimizers

__all__ = ["Optimizer", "SolverState", "copy_packed", "hyper_vector", "packed_copy"]


def copy_packed(packed, views):
    """Copy a packed vector into weight and bias views, in order."""
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


def hyper_vector(
    loss, dtype, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8, momentum=0.9, nesterov=True
):
    """The float64 vector of hyperparameters that kernels read (see `nnjit.core.optimizers`)."""
    hyper = np.zeros(optimizers.HYPER)
    hyper[optimizers.BETA_1], hyper[optimizers.BETA_2] = beta_1, beta_2
    hyper[optimizers.EPSILON] = epsilon
    hyper[optimizers.MOMENTUM], hyper[optimizers.NESTEROV] = momentum, float(nesterov)
    hyper[optimizers.DELTA_SCALE] = 1.0
    info = np.finfo(dtype)
    hyper[optimizers.EPS] = info.tiny if loss == "poisson" else info.eps
    return hyper


class SolverState:
    """What a stochastic solver carries from step to step beside vectors of the parameters' size.

    Attributes
    ----------
    learning_rate : float
        Read at every call of an engine's `train`; for Adam the base rate.
    """

    def __init__(self, kind, hyper):
        self.kind = kind
        self.learning_rate = 0.0
        self.code = optimizers.SOLVERS[kind]
        self.hyper = hyper
        self.clock = np.array([0.0, 1.0, 1.0])

    @property
    def t(self):
        """Steps done."""
        return int(self.clock[optimizers.STEPS])

    def _scalars(self):
        return {"learning_rate": np.float64(self.learning_rate), "clock": self.clock.copy()}

    def _load_scalars(self, state, n_parameters):
        """Check that a state is for this network and solver; restore all but its vectors."""
        wanted = {"first": n_parameters, "second": n_parameters if self.kind == "adam" else 0}
        for name, size in wanted.items():
            if np.shape(state[name]) != (size,):
                raise ValueError(
                    f"The optimizer state is for another network or solver: {name!r} has shape "
                    f"{np.shape(state[name])}, expected {(size,)}."
                )
        self.learning_rate = float(state["learning_rate"])
        self.clock[:] = state["clock"]


class Optimizer(SolverState):
    """State of a stochastic solver over one engine's flat parameters."""

    def __init__(self, kind, lay, dtype, hyper):
        super().__init__(kind, hyper)
        self._layout = lay
        self._first = layout.aligned_zeros(lay.n_flat, dtype)
        self._second = layout.aligned_zeros(lay.n_flat if kind == "adam" else 0, dtype)

    def _vectors(self):
        """(name, views of all weight matrices and biases) of each vector; no views where it is
        empty."""
        for name, flat in [("first", self._first), ("second", self._second)]:
            weights, biases = layout.weight_views(self._layout, flat) if len(flat) else ([], [])
            yield name, weights + biases

    def state(self):
        """Copies of everything a later `load_state` needs to go on bit for bit.

        Vectors are in packing order without padding, so they fit another machine's layout.
        """
        dtype = self._first.dtype
        return {
            **self._scalars(),
            **{name: packed_copy(views, dtype) for name, views in self._vectors()},
        }

    def load_state(self, state):
        """Restore what `state` returned.

        Raises
        ------
        ValueError
            If it belongs to another network or solver.
        """
        vectors = dict(self._vectors())
        self._load_scalars(state, sum(view.size for view in vectors["first"]))
        for name, views in vectors.items():
            copy_packed(state[name], views)
