"""The state of a stochastic solver on the device."""

import numpy as np

from nnjit.backends.cuda.memory import upload
from nnjit.backends.solver_state import SolverState
from nnjit.formulas.registry import Solver

__all__ = ["GRADIENT", "CudaOptimizer"]


def _gradient(m):
    def step(w, g, gradient, rate):
        return w, g

    return None, step


# What L-BFGS asks for: nothing moves, and the gradient is there to be read.
GRADIENT = Solver("gradient", _gradient, vectors=("gradient",))


class CudaOptimizer(SolverState):
    """State of a stochastic solver over one engine's parameters.

    Its `state` is that of the CPU's optimizer, so that either goes on where the other stopped.

    Attributes
    ----------
    vectors : device array
        All vectors of the solver, one after the other; one element if there are none.
    rates : ndarray of float64 or None
        Base rates of the minibatches of the next call, in the place of `learning_rate`.
    """

    def __init__(self, solver, n_parameters, dtype, hyperparameters, seed=0):
        super().__init__(solver, hyperparameters, seed=seed)
        self.n_parameters = n_parameters
        size = len(solver.vectors) * n_parameters
        self.vectors = upload("The optimizer", np.zeros(size, dtype))

    def _part(self, name):
        start = self.solver.vectors.index(name) * self.n_parameters
        return self.vectors[start : start + self.n_parameters]

    def _read(self, name):
        return self._part(name).copy_to_host()

    def _write(self, name, packed):
        self._part(name).copy_to_device(np.ascontiguousarray(packed, self.vectors.dtype))
