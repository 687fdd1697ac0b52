"""The state of a stochastic solver on the device."""

import numpy as np

from nnjit.backends.cuda.memory import allocate, upload
from nnjit.core import optimizers

__all__ = ["CudaOptimizer"]


class CudaOptimizer:
    """State of a stochastic solver over one engine's parameters.

    Its `state` is that of the CPU's optimizer, so that either goes on where the other stopped.

    Attributes
    ----------
    learning_rate : float
        Read at every call of `CudaEngine.train`; for Adam the base rate.
    """

    def __init__(self, kind, n_params, dtype, hyper):
        self.kind = kind
        self.learning_rate = 0.0
        self.code = optimizers.SOLVERS[kind]
        self.hyper = hyper
        self.clock = np.array([0.0, 1.0, 1.0])
        self._n = n_params
        zeros = np.zeros(n_params, dtype)
        self.first = upload("The optimizer", zeros)
        if kind == "adam":
            self.second = upload("The optimizer", zeros)
        else:
            self.second = allocate("The optimizer", second=(1, dtype))["second"]

    @property
    def t(self):
        """Steps done."""
        return int(self.clock[optimizers.STEPS])

    def state(self):
        """Host copies of everything a later `load_state` needs to go on bit for bit."""
        second = self.second.copy_to_host()
        return {
            "learning_rate": np.float64(self.learning_rate),
            "clock": self.clock.copy(),
            "first": self.first.copy_to_host(),
            "second": second if self.kind == "adam" else second[:0],
        }

    def load_state(self, state):
        """Restore what `state` returned, here or on the CPU.

        Raises
        ------
        ValueError
            If it belongs to another network or solver.
        """
        wanted = {"first": self._n, "second": self._n if self.kind == "adam" else 0}
        for name, size in wanted.items():
            if np.shape(state[name]) != (size,):
                raise ValueError(
                    f"The optimizer state is for another network or solver: {name!r} has shape "
                    f"{np.shape(state[name])}, expected {(size,)}."
                )
        self.learning_rate = float(state["learning_rate"])
        self.clock[:] = state["clock"]
        dtype = self.first.dtype
        self.first.copy_to_device(np.ascontiguousarray(state["first"], dtype))
        if self.kind == "adam":
            self.second.copy_to_device(np.ascontiguousarray(state["second"], dtype))
