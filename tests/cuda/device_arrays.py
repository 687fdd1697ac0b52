"""Arrays on the device to hand in."""

import numpy as np

from nnjit.backends.cuda._cuda import SIMULATED, _numba_cuda


def to_device(array):
    return _numba_cuda.to_device(np.ascontiguousarray(array))


class Foreign:
    """An array of another library: nothing but `__cuda_array_interface__`."""

    def __init__(self, array):
        self.kept = array if SIMULATED else _numba_cuda.to_device(array)
        source = "__array_interface__" if SIMULATED else "__cuda_array_interface__"
        self.__cuda_array_interface__ = {**getattr(self.kept, source), "version": 3}
