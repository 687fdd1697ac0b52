"""Recurrent layers by themselves, on a block of rows, against the oracle."""

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import REMAINS, OneLayer

import naive
import naive_recurrence
from engine_problems import DTYPES, tolerance
from nnjit.core.simd import TILE
from nnjit.layers import GRU, LSTM, RNN
from nnjit.layers.layer import size_of

COMPILED = not numba.config.DISABLE_JIT
compiled_only = pytest.mark.skipif(not COMPILED, reason="takes too long")
every_precision = pytest.mark.parametrize("dtype", DTYPES)
WIDTH = TILE.bytes // 4  # rows of a vector of float32
CELLS = {
    "tanh": RNN,
    "relu": lambda units, *options, **more: RNN(units, *options, activation="relu", **more),
    "gru": GRU,
    "lstm": LSTM,
}
every_cell = pytest.mark.parametrize("cell", CELLS)
# units, channels, points, rows: on both sides of the edges of tiles and vectors
SIZES = [
    (1, 1, 1, 1),
    (1, 3, 4, WIDTH),
    (5, 1, 1, 3),
    (3, 2, 7, WIDTH + 1),
    (WIDTH, 4, 3, 2),
    (WIDTH + 1, WIDTH - 1, 5, WIDTH - 1),
    (2, WIDTH + 1, 2, 2 * WIDTH + 3),
    (2 * WIDTH + 1, 5, 2, 4),
] if COMPILED else [(1, 1, 1, 1), (3, 2, 3, 5)]  # fmt: skip


def longest_first(rows, points, seed=0, least=1):
    """Points of each row as they stand in a block; one row has all, and some are of one point."""
    rng = np.random.default_rng(seed)
    lengths = np.sort(rng.integers(least, points + 1, rows))[::-1].copy()
    lengths[0], lengths[rows // 2 + 1 :] = points, least
    return lengths


def problem(layer, channels, points, rows, dtype, lengths=None, seed=0):
    """Rows, parameters and a delta of the outputs, 0 behind the ends of the rows."""
    rng, shape = np.random.default_rng(seed), (channels, points)
    x = rng.standard_normal((rows, *shape)).astype(dtype)
    parameters = []
    for one in layer.parameters(shape):
        scale = np.sqrt(one.shape[0]) if len(one.shape) > 1 else 2
        parameters.append((rng.standard_normal(one.shape) / scale).astype(dtype))
    after = layer.outputs(shape)
    delta = rng.standard_normal((rows, size_of(after))).astype(dtype)
    delta = delta.reshape(rows, *(after if isinstance(after, tuple) else (after,)))
    for series in (x, *([delta] if isinstance(after, tuple) else [])):
        for row, n in zip(series, [points] * rows if lengths is None else lengths, strict=True):
            row[:, n:] = 0
    return x, parameters, delta


def assert_near(found, expected, dtype):
    limit = tolerance(dtype) * max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def wide(arrays):
    return [array.astype(np.float64) for array in arrays]


def check(layer, channels, points, rows, dtype, lengths=None, seed=0):
    """Both passes and all gradients are those of the oracle."""
    x, parameters, delta = problem(layer, channels, points, rows, dtype, lengths, seed)
    one = OneLayer(layer, (channels, points), dtype, rows, parameters=parameters)
    found = [one.forward(x, lengths), one.backward(delta), *one.gradients()]
    x, delta, *parameters = wide([x, delta, *parameters])
    outputs, _, kept = naive_recurrence.recurrent_forward(layer, x, parameters, lengths)
    dx, gradients = naive_recurrence.recurrent_backward(layer, delta, x, parameters, kept)
    for a, b in zip(found, [outputs, dx, *gradients], strict=True):
        assert_near(a, b, dtype)


@every_cell
@every_precision
def test_both_passes_and_all_gradients_are_those_of_the_oracle(cell, dtype):
    for number, (units, channels, points, rows) in enumerate(SIZES):
        both, every = number % 2 == 0, number // 2 % 2 == 0
        for lengths in (None, longest_first(rows, points)):
            check(CELLS[cell](units, both, every), channels, points, rows, dtype, lengths)
            if COMPILED:
                other = CELLS[cell](units, not both, every)
                check(other, channels, points, rows, dtype, lengths)


@compiled_only
def test_odd_shapes():
    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(
        cell=st.sampled_from(sorted(CELLS)),
        units=st.integers(1, WIDTH + 3),
        channels=st.integers(1, WIDTH + 3),
        points=st.integers(1, 9),
        rows=st.integers(1, 2 * WIDTH + 1),
        both=st.booleans(),
        every=st.booleans(),
        truncate=st.integers(0, 4),
        unequal=st.booleans(),
        dtype=st.sampled_from(DTYPES),
    )
    def odd(cell, units, channels, points, rows, both, every, truncate, unequal, dtype):
        layer = CELLS[cell](
            units, both, every, truncate=None if both or truncate == 0 else truncate
        )
        lengths = longest_first(rows, points, seed=rows) if unequal else None
        check(layer, channels, points, rows, dtype, lengths, seed=units)

    odd()


@every_cell
def test_gradients_stop_where_they_are_truncated(cell):
    for points, k in [(7, 3), (6, 3), (5, 1), (4, 9)]:
        layer = CELLS[cell](4, return_sequences=True, truncate=k)
        check(layer, 2, points, 5, np.float64, longest_first(5, points))
    check(CELLS[cell](4, truncate=3), 2, 8, 3, np.float64, np.array([8, 6, 1]))


@every_cell
def test_a_row_without_points_leaves_zeros(cell):
    """A convolution below may have left it none."""
    lengths = np.array([4, 2, 0, 0])
    for both in (False, True):
        for every in (False, True):
            check(CELLS[cell](3, both, every), 2, 4, 4, np.float64, lengths)
        check(CELLS[cell](3, both), 2, 4, 2, np.float64, np.array([0, 0]))


# Bits


def passes(layer, x, parameters, delta, lengths, dtype):
    one = OneLayer(layer, x.shape[1:], dtype, len(x), parameters=parameters)
    return one, one.forward(x, lengths), one.backward(delta)


@every_cell
@every_precision
def test_a_row_does_not_depend_on_the_rows_beside_it(cell, dtype):
    rows, points = (2 * WIDTH + 3, 6) if COMPILED else (7, 3)
    for both in (False, True):
        layer, lengths = CELLS[cell](5, both, True), longest_first(rows, points)
        x, parameters, delta = problem(layer, 3, points, rows, dtype, lengths)
        _, whole, whole_delta = passes(layer, x, parameters, delta, lengths, dtype)
        for part in (
            slice(0, 1),
            slice(5, 6),
            slice(2, WIDTH),
            slice(1, rows, 2),
            slice(rows - 1, rows),
        ):
            given = x[part], parameters, delta[part], lengths[part], dtype
            _, found, found_delta = passes(layer, *given)
            np.testing.assert_array_equal(found, whole[part])
            np.testing.assert_array_equal(found_delta, whole_delta[part])


@every_cell
@every_precision
def test_a_series_does_not_depend_on_what_it_is_filled_up_with(cell, dtype):
    rows, points, longer = 5, 4, 11
    for both in (False, True):
        for every in (False, True):
            layer, lengths = CELLS[cell](6, both, every), longest_first(rows, points)
            x, parameters, delta = problem(layer, 2, points, rows, dtype, lengths)
            one, outputs, dx = passes(layer, x, parameters, delta, lengths, dtype)
            more = [
                np.zeros((*a.shape[:2], longer), dtype) if a.ndim > 2 else a for a in (x, delta)
            ]
            for a, b in zip(more, (x, delta), strict=True):
                a[..., : b.shape[-1]] = b
            other, found, found_dx = passes(layer, more[0], parameters, more[1], lengths, dtype)
            for a, b in ((found, outputs), (found_dx, dx)):
                np.testing.assert_array_equal(a[..., : b.shape[-1]], b)
                assert (a[..., b.shape[-1] :] == 0).all()
            for a, b in zip(other.gradients(), one.gradients(), strict=True):
                np.testing.assert_array_equal(a, b)


@every_cell
@every_precision
def test_nothing_is_written_beside_its_values(cell, dtype):
    """Behind the last value another layer's may begin."""
    for both, every, rows in [(False, True, 3), (True, True, WIDTH), (True, True, 1)]:
        layer, shape = CELLS[cell](3, both, every), (2, 5)
        lengths = longest_first(rows, 5)
        x, parameters, delta = problem(layer, *shape, rows, dtype, lengths)
        one, *_ = passes(layer, x, parameters, delta, lengths, dtype)
        for name, form in (("output_row", one.after), ("input_delta_row", shape)):
            first, size = int(one.step[name][0]) * one.stride, size_of(form)
            assert (one.work[first + size * rows : first + size * one.stride] == REMAINS).all()


@every_cell
@every_precision
def test_a_nan_stays_in_its_row_and_in_its_future(cell, dtype):
    rows, points, spoilt = 5, 6, (1, 3)
    for both in (False, True):
        layer, lengths = CELLS[cell](4, both, True), np.array([6, 6, 4, 2, 1])
        x, parameters, delta = problem(layer, 2, points, rows, dtype, lengths)
        _, expected, _ = passes(layer, x, parameters, delta, lengths, dtype)
        x[spoilt[0], 0, spoilt[1]] = np.nan
        _, found, _ = passes(layer, x, parameters, delta, lengths, dtype)
        others, forward = np.arange(rows) != spoilt[0], found[spoilt[0], :4]
        np.testing.assert_array_equal(found[others], expected[others])
        np.testing.assert_array_equal(forward[:, :3], expected[spoilt[0], :4, :3])
        if cell != "relu" or np.isnan(forward[:, 3:]).any():
            assert np.isnan(forward[:, 3:]).all()
        if both:
            np.testing.assert_array_equal(found[1, 4:, 4:], expected[1, 4:, 4:])


@every_cell
@every_precision
def test_gates_may_be_open_or_shut_altogether(cell, dtype):
    layer = CELLS[cell](3, return_sequences=True)
    x, parameters, delta = problem(layer, 2, 4, 5, dtype)
    for scale in (1e3, 1e5):
        given = x * dtype(scale), [parameters[0], parameters[1] / 4, *parameters[2:]], delta
        one, outputs, dx = passes(layer, *given, None, dtype)
        for found in (outputs, dx, *one.gradients()):
            assert np.isfinite(found).all()
        wide_x, *wide_parameters = wide([given[0], *given[1]])
        expected, *_ = naive_recurrence.recurrent_forward(layer, wide_x, wide_parameters)
        assert_near(outputs, expected, dtype)


@every_cell
@every_precision
def test_gradients_of_some_rows_alone_and_sums_of_gradients(cell, dtype):
    layer, rows = CELLS[cell](9, bidirectional=True), 7
    lengths = longest_first(rows, 5)
    x, parameters, delta = problem(layer, 10, 5, rows, dtype, lengths)
    one, *_ = passes(layer, x, parameters, delta, lengths, dtype)
    for number, whole in enumerate(one.gradients()):
        if whole.ndim > 1:
            for first, count in [(0, 6), (6, len(whole) - 6)]:
                part = one.gradient(number, first, count)
                np.testing.assert_array_equal(part, whole[first : first + count])
        added = one.gradient(number, added_to=np.ones(whole.shape, dtype))
        assert_near(added, whole + 1, dtype)


# States that are carried, and dropout


@every_cell
@every_precision
def test_windows_that_go_on_from_each_other_are_the_whole_series(cell, dtype):
    rows, points, k = 5, 11, 4
    layer, lengths = CELLS[cell](6, return_sequences=True), np.array([11, 10, 8, 5, 1])
    x, parameters, delta = problem(layer, 3, points, rows, dtype, lengths)
    _, whole, _ = passes(layer, x, parameters, delta, lengths, dtype)
    size = layer.carried((3, points))
    states, places = np.full((7, size), REMAINS, dtype), np.array([4, 0, 6, 2, 3])
    states[[1, 5]], found = 5, np.zeros_like(whole)
    for first in range(0, points, k):
        part = slice(first, min(first + k, points))
        there = np.clip(lengths - first, 0, part.stop - part.start)
        one = OneLayer(layer, (3, part.stop - part.start), dtype, rows, parameters=parameters)
        begins = -1 - places if first == 0 else places
        found[:, :, part] = one.forward(x[:, :, part], there, states=(states, begins))
    np.testing.assert_array_equal(found, whole)
    assert (states[[1, 5]] == 5).all()
    wide_x, *wide_parameters = wide([x, *parameters])
    _, last, _ = naive_recurrence.recurrent_forward(layer, wide_x, wide_parameters, lengths)
    expected = np.array([np.concatenate(state) for state in last])
    assert_near(states[places], expected, dtype)


@every_cell
@every_precision
def test_gradients_of_a_window_take_the_state_in_front_as_a_constant(cell, dtype):
    layer, lengths = CELLS[cell](4, return_sequences=True), np.array([5, 3, 1])
    x, parameters, delta = problem(layer, 2, 5, 3, dtype, lengths)
    states = np.random.default_rng(3).standard_normal((3, layer.carried((2, 5)))).astype(dtype)
    starts = [tuple(np.split(row, layer.states)) for row in states.astype(np.float64)]
    one = OneLayer(layer, (2, 5), dtype, 3, parameters=parameters)
    found = [one.forward(x, lengths, states=(states, [0, 1, 2])), one.backward(delta)]
    found += one.gradients()
    x, delta, *parameters = wide([x, delta, *parameters])
    outputs, last, kept = naive_recurrence.recurrent_forward(layer, x, parameters, lengths, starts)
    dx, gradients = naive_recurrence.recurrent_backward(layer, delta, x, parameters, kept)
    for a, b in zip(found, [outputs, dx, *gradients], strict=True):
        assert_near(a, b, dtype)
    assert_near(states, np.array([np.concatenate(state) for state in last]), dtype)


@every_cell
@every_precision
def test_dropout_of_states_is_the_same_at_all_points_of_a_row(cell, dtype):
    rate, seed, clock, first = 0.4, 2**33 + 7, 3, 20
    for both in (False, True):
        layer, rows = CELLS[cell](5, both, True, recurrent_dropout=rate), 9
        lengths = longest_first(rows, 6)
        x, parameters, delta = problem(layer, 3, 6, rows, dtype, lengths)
        one = OneLayer(layer, (3, 6), dtype, rows, parameters=parameters)
        found = [one.forward(x, lengths, seed, clock, first), one.backward(delta)]
        found += one.gradients()
        drawn = naive.dropout_factors(seed, clock, 0, first + rows, 5 * layer.directions, rate)
        factors = np.split(drawn[first:], layer.directions, axis=1)
        assert len(np.unique(factors[0])) == 2
        x, delta, *parameters = wide([x, delta, *parameters])
        given = layer, x, parameters, lengths
        outputs, _, kept = naive_recurrence.recurrent_forward(*given, factors=factors)
        dx, gradients = naive_recurrence.recurrent_backward(layer, delta, x, parameters, kept)
        for a, b in zip(found, [outputs, dx, *gradients], strict=True):
            assert_near(a, b, dtype)
