"""The pieces of a prediction: outputs back in rows, and whether inputs and outputs are finite."""

import numpy as np
import pytest

from nnjit.core.compiler.jit import kernel
from nnjit.core.jobs.prediction import all_finite, write_rows
from nnjit.core.simd import TILE

DTYPES = [np.float32, np.float64]
EDGES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 100]


@kernel
def run_write_rows(work, z, stride, units, rows, out, at):
    write_rows(work, z, stride, units, rows, out, at)


@kernel
def run_all_finite(work, at, units, lanes, stride):
    return all_finite(work, at, units, lanes, stride)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", EDGES)
def test_write_rows_stays_inside_its_block(dtype, units):
    rng, lanes = np.random.default_rng(0), TILE.bytes // np.dtype(dtype).itemsize
    for rows in [*EDGES, 240, 256]:
        stride = -(-rows // lanes) * lanes
        work = rng.standard_normal(3 + units * stride + lanes).astype(dtype)
        out = rng.standard_normal(5 + rows * units + 100).astype(dtype)
        before = out.copy()
        run_write_rows(work, 3, stride, units, rows, out, 5)
        expected = work[3 : 3 + units * stride].reshape(units, stride)[:, :rows].T
        np.testing.assert_array_equal(out[5 : 5 + rows * units].reshape(rows, units), expected)
        np.testing.assert_array_equal(out[:5], before[:5])
        np.testing.assert_array_equal(out[5 + rows * units :], before[5 + rows * units :])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_value_that_is_not_finite_is_seen(dtype, value):
    at, units, lanes, stride = 5, 3, 33, 40
    # What lies around and between the rows does not count.
    work = np.full(at + units * stride + 2, np.nan, dtype)
    inside = work[at : at + units * stride].reshape(units, stride)[:, :lanes]
    inside[:] = np.random.default_rng(0).standard_normal((units, lanes))
    assert run_all_finite(work, at, units, lanes, stride)
    for place in np.ndindex(inside.shape):
        kept, inside[place] = inside[place], value
        assert not run_all_finite(work, at, units, lanes, stride)
        inside[place] = kept
    inside[:] = np.finfo(dtype).max  # the sum overflows: not sure
    assert not run_all_finite(work, at, units, lanes, stride)
