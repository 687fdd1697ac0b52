"""The state of a stochastic solver over one network's flat parameters."""

import numpy as np

from nnjit.core import layout, optimizers

__all__ = ["Optimizer", "copy_packed", "packed_copy"]


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


class Optimizer:
    """State of a stochastic solver over one engine's flat parameters.

    Attributes
    ----------
    learning_rate : float
        Read at every call of `CpuEngine.train`; for Adam the base rate.
    """

    def __init__(self, kind, lay, dtype, hyper):
        self.kind = kind
        self.learning_rate = 0.0
        self._code = optimizers.SOLVERS[kind]
        self._hyper = hyper
        self._layout = lay
        n_flat = lay.n_flat
        self._first = layout.aligned_zeros(n_flat, dtype)
        self._second = layout.aligned_zeros(n_flat if kind == "adam" else 0, dtype)
        self._clock = np.array([0.0, 1.0, 1.0])

    @property
    def t(self):
        """Steps done."""
        return int(self._clock[optimizers.STEPS])

    def state(self):
        """Copies of everything a later `load_state` needs to go on bit for bit.

        Vectors are in packing order without padding, so they fit another machine's layout.
        """
        state = {"learning_rate": np.float64(self.learning_rate), "clock": self._clock.copy()}
        for name, flat in [("first", self._first), ("second", self._second)]:
            weights, biases = layout.weight_views(self._layout, flat) if len(flat) else ([], [])
            state[name] = packed_copy(weights + biases, flat.dtype)
        return state

    def load_state(self, state):
        """Restore what `state` returned.

        Raises
        ------
        ValueError
            If it belongs to another network or solver.
        """
        n = sum(int(row[layout.FAN_OUT]) * (int(row[layout.FAN_IN]) + 1)
                for row in self._layout.layers)  # fmt: skip
        wanted = {"first": n, "second": n if len(self._second) else 0}
        for name, size in wanted.items():
            if np.shape(state[name]) != (size,):
                raise ValueError(
                    f"The optimizer state is for another network or solver: {name!r} has shape "
                    f"{np.shape(state[name])}, expected {(size,)}."
                )
        self.learning_rate = float(state["learning_rate"])
        self._clock[:] = state["clock"]
        for name, flat in [("first", self._first), ("second", self._second)]:
            if len(flat):
                weights, biases = layout.weight_views(self._layout, flat)
                copy_packed(state[name], weights + biases)
