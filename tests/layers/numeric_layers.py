"""One layer for numeric columns on a block of rows, in one precision."""

import numpy as np
from packed import OneLayer

__all__ = ["NumericLayer", "tolerance"]


def tolerance(dtype):
    return {"rtol": 0, "atol": 1e-12 if dtype == np.float64 else 3e-5}


class NumericLayer(OneLayer):
    """The same with deltas of 0 where a vector of rows is filled up, as engines have them."""

    def backward(self, delta):
        row, size = int(self.step["delta_row"][0]), delta.shape[1]
        self.work[row * self.stride : (row + size) * self.stride] = 0
        return super().backward(delta)
