"""The state of a stochastic solver on the device."""

import numpy as np

from nnjit.backends.cuda.memory import allocate, upload
from nnjit.backends.optimizer import SolverState

__all__ = ["CudaOptimizer"]


class CudaOptimizer(SolverState):
    """State of a stochastic solver over one engine's parameters.

    Its `state` is that of the CPU's optimizer, so that either goes on where the other stopped.
    """

    def __init__(self, kind, n_params, dtype, hyper):
        super().__init__(kind, hyper)
        self._n = n_params
        zeros = np.zeros(n_params, dtype)
        self.first = upload("The optimizer", zeros)
        if kind == "adam":
            self.second = upload("The optimizer", zeros)
        else:
            self.second = allocate("The optimizer", second=(1, dtype))["second"]

    def state(self):
        """Host copies of everything a later `load_state` needs to go on bit for bit."""
        second = self.second.copy_to_host()
        return {
            **self._scalars(),
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
        self._load_scalars(state, self._n)
        dtype = self.first.dtype
        self.first.copy_to_device(np.ascontiguousarray(state["first"], dtype))
        if self.kind == "adam":
            self.second.copy_to_device(np.ascontiguousarray(state["second"], dtype))
