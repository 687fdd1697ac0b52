"""The Hadamard product."""

import numpy as np
import pytest

from nnjit.core.arrays.activations import PIECE
from nnjit.core.arrays.hadamard import hadamard


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 8, 16, 17, 33, 64, 65, 100, PIECE, 2 * PIECE + 3])
def test_product(size, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, size)).astype(dtype)
    out = np.empty_like(a)
    hadamard.serial(a, b, False, out)
    assert out.tobytes() == (a * b).tobytes()
    hadamard.serial(a, b, True, b)
    assert b.tobytes() == out.tobytes()


def test_twins_agree_to_the_bit():
    a, b = np.random.default_rng(0).normal(size=(2, 3 * PIECE + 5)).astype(np.float32)
    serial, parallel = np.empty_like(a), np.empty_like(a)
    hadamard.serial(a, b, False, serial)
    hadamard.parallel(a, b, False, parallel)
    assert serial.tobytes() == parallel.tobytes()
