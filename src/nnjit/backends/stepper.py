"""Series that come one point of time after the other."""

import numpy as np

from nnjit.backends.dataset import as_data
from nnjit.backends.layout import aligned_zeros
from nnjit.backends.plan import ForwardPlan

__all__ = ["PooledStepper", "Stepper"]


class Stepper:
    """A prediction of one point of a series, which goes on from the states behind the last.

    Everything is made once: a step is one call into compiled code.

    Parameters
    ----------
    engine : CpuEngine
        Of a network for series of one point that carries states, or for vectors.

    Attributes
    ----------
    x : ndarray of shape (channels,)
        The point, to be filled in.
    out : ndarray of shape (n_outputs,)
        Its outputs, or logits.
    memory : tuple of ndarray
        What is left to the next step; zeros at the beginning.
    """

    def __init__(self, engine):
        network, dtype = engine.network, engine.dtype
        self.x = aligned_zeros(network.inputs, dtype)
        self.out = aligned_zeros(network.sizes[-1], dtype)
        states = aligned_zeros(sum(network.carried), dtype)
        self.memory = (states,)
        program = engine._program(sparse=False, training=False)
        self._plans = [self._plan(engine, program, logits) for logits in (False, True)]
        states[:] = 0

    def _plan(self, engine, program, logits):
        plan = ForwardPlan(engine, program, 1)
        plan.carry(self.memory[0][np.newaxis], np.zeros(1, np.int64))
        data, _ = as_data(self.x[np.newaxis], engine.dtype)
        plan.run(data, 1, self.out, logits)
        return plan

    def step(self, logits=False):
        """Take the point in `x`; whether all that is computed is surely finite."""
        return self._plans[logits].again()


class PooledStepper:
    """The same where the layers behind the states read their mean or their largest values so far.

    Parameters
    ----------
    before, behind : CpuEngine
        Of the layers before global pooling, for series of one point, and behind it.
    method : {'mean', 'max'}
    """

    def __init__(self, before, behind, method):
        self._before, self._behind = Stepper(before), Stepper(behind)
        self._mean = method == "mean"
        self.x, self.out = self._before.x, self._behind.out
        # in float64, which the sum of a long series needs
        self._pooled, self._count = np.zeros(len(self._behind.x)), np.zeros(1)
        self.memory = (*self._before.memory, self._pooled, self._count)

    def step(self, logits=False):
        """Take the point in `x`; whether all that is computed is surely finite."""
        finite, values = self._before.step(), self._before.out
        self._count += 1.0
        if self._mean:
            self._pooled += values
            np.divide(self._pooled, self._count, out=self._behind.x, casting="same_kind")
        else:
            if self._count == 1.0:
                self._pooled[:] = values
            np.maximum(self._pooled, values, out=self._pooled)
            self._behind.x[:] = self._pooled
        return self._behind.step(logits) and finite
