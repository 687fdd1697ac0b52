"""Bits by counters: the same everywhere, and without any pattern where they are used."""

import itertools

import numba
import numpy as np
import pytest
from scipy import stats

import naive
from nnjit.core.scalar import helper
from nnjit.formulas.library import library
from nnjit.formulas.random import array_normals, arrays, counters, normals, threshold_of

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
ROWS = 256
# A p-value of a test with fixed numbers: it does not change from run to run.
LEAST = 1e-4


def draw(seed=0, step=0, layer=0, units=64, rows=ROWS):
    """Bits (units, rows), as NumPy makes them."""
    functions = arrays()
    begin = functions.key(seed, step, layer)
    places = np.arange(rows, dtype=np.uint32)
    return np.array([functions.bits(*functions.unit_key(*begin, k), places) for k in range(units)])


def uniform(bits):
    """Centred, of variance 1."""
    return (bits / 2.0**32 - 0.5) * np.sqrt(12)


def correlation(a, b):
    """Mean product in units of its standard deviation."""
    return float((uniform(a) * uniform(b)).mean() * np.sqrt(a.size))


def test_numpy_computes_the_bits_of_the_oracle():
    for seed, step, layer in ((0, 0, 0), (7, 3, 2), (2**31, 2**40 + 5, 1), (2**63 - 1, 1, 9)):
        expected = [
            [naive.dropout_bits(seed, step, layer, unit, row) for row in range(4)]
            for unit in range(3)
        ]
        np.testing.assert_array_equal(draw(seed, step, layer, 3, 4), expected)


def test_numbers_and_arrays_have_the_same_bits():
    functions = arrays()
    begin = functions.unit_key(*functions.key(3, 1, 4), 1)
    places = np.arange(5, dtype=np.uint32)
    single = [functions.bits(*begin, place) for place in places]
    np.testing.assert_array_equal(single, functions.bits(*begin, places))
    assert all(type(value) is np.uint32 for value in single)


@jit_only
def test_compiled_code_computes_the_same_bits():
    functions = counters(numba.njit)
    key, unit_key, bits = functions.key, functions.unit_key, functions.bits

    @numba.njit
    def fill(out, seed, step, layer):
        a, b = key(seed, step, layer)
        for k in range(out.shape[0]):
            first, second = unit_key(a, b, k)
            for j in range(out.shape[1]):
                out[k, j] = bits(first, second, np.uint32(j))

    for seed, step in ((0, 0), (5, 2**33 + 1), (2**63 - 1, 17)):
        found = np.empty((5, 9), np.uint32)
        fill(found, seed, step, 3)
        np.testing.assert_array_equal(found, draw(seed, step, 3, 5, 9))


def test_a_threshold_is_the_rate_of_all_bits():
    assert threshold_of(0.0) == 0 and threshold_of(0.5) == 2**31
    assert threshold_of(0.25) == 2**30 and threshold_of(np.nextafter(1.0, 0)) == 2**32 - 1


def test_high_and_low_bits_are_uniform():
    bits = draw(seed=1, units=1024).ravel()
    for shift in (0, 8, 16, 24):
        counts = np.bincount(bits >> np.uint32(shift) & np.uint32(255), minlength=256)
        assert LEAST < stats.chisquare(counts).pvalue < 1 - LEAST
    shares = [(bits >> np.uint32(k) & np.uint32(1)).mean() for k in range(32)]
    assert np.abs(np.array(shares) - 0.5).max() < 4.5 * 0.5 / np.sqrt(bits.size)


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_rows_and_units_drop_about_as_often_as_they_should(rate):
    """The counts of each unit, and of each row, scatter as binomial ones do."""
    kept = draw(seed=2, units=1024) >= threshold_of(rate)
    for axis in (0, 1):
        n = kept.shape[axis]
        z = (kept.sum(axis=axis) - n * (1 - rate)) / np.sqrt(n * rate * (1 - rate))
        assert LEAST < stats.chi2.sf((z**2).sum(), z.size) < 1 - LEAST
    assert abs(kept.mean() - (1 - rate)) < 4.5 * np.sqrt(rate * (1 - rate) / kept.size)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 8, 16, 64])
def test_neighbouring_units_and_rows_are_not_correlated(lag):
    bits = draw(seed=3, units=1024)
    assert abs(correlation(bits[lag:], bits[:-lag])) < 4.5
    assert abs(correlation(bits[:, lag:], bits[:, :-lag])) < 4.5
    assert abs(correlation(bits[lag:, lag:], bits[:-lag, :-lag])) < 4.5


@pytest.mark.parametrize("name", ["seed", "step", "layer"])
def test_other_seeds_steps_and_layers_are_not_correlated(name):
    """Whether neighbours, a single bit apart, or a common sum of two words."""
    numbers = [0, 1, 2, 3, 4, 8, 1024, 2**20, 2**31, 2**33]
    drawn = [draw(**{name: number}, units=256) for number in numbers]
    for a, b in itertools.combinations(drawn, 2):
        assert abs(correlation(a, b)) < 4.5
    for a, b in (({"seed": 1, "step": 2}, {"seed": 2, "step": 1}), ({"seed": 1}, {"step": 1})):
        assert abs(correlation(draw(**a, units=256), draw(**b, units=256))) < 4.5


def test_pairs_of_rows_fill_the_square_evenly():
    bits = draw(seed=4, units=1024) >> np.uint32(28)
    for pairs in (bits[:, 1:] * 16 + bits[:, :-1], bits[1:] * 16 + bits[:-1]):
        counts = np.bincount(pairs.ravel(), minlength=256)
        assert LEAST < stats.chisquare(counts).pvalue < 1 - LEAST


def test_every_bit_of_a_counter_counts_for_all_bits():
    """A flipped bit of unit or row flips each of the 32 half of the time."""
    rng = np.random.default_rng(0)
    functions = arrays()
    for flip in range(0, 20, 3):
        flips = np.zeros(32)
        for seed in range(300):
            begin = functions.key(seed, 0, 0)
            unit, row = (int(x) for x in rng.integers(0, 2**20, 2))
            one = functions.bits(*functions.unit_key(*begin, unit), np.uint32(row))
            for other in ((unit ^ 1 << flip, row), (unit, row ^ 1 << flip)):
                key = functions.unit_key(*begin, other[0])
                changed = int(one) ^ int(functions.bits(*key, np.uint32(other[1])))
                flips += [changed >> k & 1 for k in range(32)]
        assert np.abs(flips / 600 - 0.5).max() < 5 * 0.5 / np.sqrt(600)


def test_no_two_masks_of_a_long_training_are_alike():
    """64 bits of a key tell units apart: none comes again in 100 steps of 3 layers."""
    functions, units = arrays(), np.arange(512)
    keys = [
        functions.unit_key(*functions.key(9, step, layer), units)
        for step in range(100)
        for layer in range(3)
    ]
    together = np.concatenate([a.astype(np.uint64) << np.uint64(32) | b for a, b in keys])
    assert len(np.unique(together)) == 100 * 3 * 512


# -- normal numbers ---------------------------------------------------------------------

DTYPES = [np.float32, np.float64]
EDGES = np.array([0, 1, 2**29 - 1, 2**29, 2**30, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)


def word_pairs():
    """Every pair of the edges, and some others."""
    first, second = (grid.ravel() for grid in np.meshgrid(EDGES, EDGES))
    drawn = draw(seed=8, units=2, rows=2000)
    return np.concatenate([first, drawn[0]]), np.concatenate([second, drawn[1]])


def compiled_normals(dtype, first, second):
    normal_pair = normals(library(dtype == np.float32, helper), helper)

    @numba.njit
    def fill(first, second, out):
        for i in range(len(first)):
            out[0, i], out[1, i] = normal_pair(first[i], second[i])

    out = np.empty((2, len(first)), dtype)
    fill(first, second, out)
    return out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", ["numpy", pytest.param("compiled", marks=jit_only)])
def test_normal_numbers_are_those_of_the_oracle(dtype, target):
    first, second = word_pairs()
    expected = [naive.normal_pair(*pair) for pair in zip(first.tolist(), second.tolist())]
    if target == "numpy":
        found = np.array(array_normals(dtype)(first, second))
    else:
        found = compiled_normals(dtype, first, second)
    assert found.dtype == dtype
    # in float32 a word near 2^32 is 1, so that a radius near 0 is 0
    limit = 1e-14 if dtype == np.float64 else 4e-4
    np.testing.assert_allclose(found, np.transpose(expected), rtol=0, atol=limit)


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers_have_the_moments_and_the_tails_of_normal_numbers(dtype):
    drawn = draw(seed=6, units=2048, rows=512)
    pair = np.array(array_normals(dtype)(drawn[::2], drawn[1::2])).astype(np.float64)
    z, n = pair.ravel(), pair.size
    # expectation and variance of the first powers
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((z**power).mean() - mean) < 4.5 * np.sqrt(variance / n), power
    assert stats.kstest(z, "norm").pvalue > LEAST
    for limit in (2.0, 3.0, 4.0):
        share = stats.norm.sf(limit)
        for beyond in ((z > limit).sum(), (z < -limit).sum()):
            assert stats.binomtest(int(beyond), n, share).pvalue > LEAST
    assert abs((pair[0] * pair[1]).mean()) < 4.5 / np.sqrt(n / 2)
    assert abs((pair[0] ** 2 * pair[1] ** 2).mean() - 1) < 4.5 * np.sqrt(8 / (n / 2))


def test_the_largest_normal_number_is_that_of_the_smallest_word():
    largest = array_normals()(np.zeros(1, np.uint32), np.zeros(1, np.uint32))[0]
    np.testing.assert_allclose(largest, np.sqrt(2 * 33 * np.log(2)), rtol=1e-12)
