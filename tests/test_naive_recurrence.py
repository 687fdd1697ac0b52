"""The oracle's recurrent layers: gradients against differences, and one cell by hand."""

import numpy as np
import pytest

import naive
import naive_recurrence
from nnjit.layers import GRU, LSTM, RNN

LENGTHS = 4, 1, 3
LAYERS = [
    cell(2, **options)
    for cell in (RNN, GRU, LSTM)
    for options in (
        {},
        {"return_sequences": True},
        {"bidirectional": True},
        {"bidirectional": True, "return_sequences": True},
    )
] + [RNN(3, activation="relu")]


def problem(layer, lengths=LENGTHS, channels=3, seed=0):
    """Rows, parameters, a delta of the outputs, and the factors of a dropout."""
    rng, n, points = np.random.default_rng(seed), len(lengths), max(lengths)
    x = rng.normal(size=(n, channels, points))
    parameters = [rng.normal(size=one.shape) for one in layer.parameters((channels, points))]
    width = layer.units * layer.directions
    delta = rng.normal(size=(n, width, points) if layer.return_sequences else (n, width))
    return x, parameters, delta, rng.choice([0.0, 1.5], (layer.directions, n, layer.units))


def test_backward_is_the_derivative_of_forward():
    """Along a direction at random through the rows, and through each parameter."""
    for layer in LAYERS:
        x, parameters, delta, factors = problem(layer)
        given = layer, x, parameters, LENGTHS
        _, _, kept = naive_recurrence.recurrent_forward(*given, factors=factors)
        dx, gradients = naive_recurrence.recurrent_backward(layer, delta, x, parameters, kept)
        for number, (array, gradient) in enumerate(zip((x, *parameters), (dx, *gradients))):
            way = np.random.default_rng(number).normal(size=array.shape)

            def value(t, number=number, given=given, delta=delta, factors=factors, way=way):
                layer, x, parameters, lengths = given
                arrays = [x, *parameters]
                arrays[number] = arrays[number] + t * way
                outputs, *_ = naive_recurrence.recurrent_forward(
                    layer, arrays[0], arrays[1:], lengths, factors=factors
                )
                return (outputs * delta).sum()

            expected = naive.central_differences(value, np.zeros(1))
            np.testing.assert_allclose((gradient * way).sum(), expected[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("cell", [RNN, GRU, LSTM])
def test_truncated_gradients_are_those_of_windows_whose_first_states_are_constants(cell):
    layer, whole = (cell(2, return_sequences=True, truncate=k) for k in (3, None))
    x, parameters, delta, _ = problem(layer, lengths=(8, 5))
    lengths = 8, 5
    outputs, ends, kept = naive_recurrence.recurrent_forward(layer, x, parameters, lengths)
    dx, gradients = naive_recurrence.recurrent_backward(layer, delta, x, parameters, kept)
    starts, totals = None, [0] * len(parameters)
    for first in range(0, 8, 3):
        window = slice(first, first + 3)
        points = np.clip(np.array(lengths) - first, 0, x[:, :, window].shape[2])
        arguments = whole, x[:, :, window], parameters
        found, starts, kept = naive_recurrence.recurrent_forward(*arguments, points, starts)
        np.testing.assert_allclose(found, outputs[:, :, window], rtol=1e-15)
        back, more = naive_recurrence.recurrent_backward(
            whole, delta[:, :, window], *arguments[1:], kept
        )
        np.testing.assert_allclose(back, dx[:, :, window], rtol=1e-13)
        totals = [a + b for a, b in zip(totals, more)]
    for a, b in zip(gradients, totals):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    np.testing.assert_array_equal(starts, ends)


def test_the_second_direction_is_the_first_over_the_series_from_its_end():
    layer, forward = (GRU(2, both, return_sequences=True) for both in (True, False))
    x, parameters, *_ = problem(layer, lengths=(5, 5))
    outputs, *_ = naive_recurrence.recurrent_forward(layer, x, parameters)
    turned, *_ = naive_recurrence.recurrent_forward(forward, x[:, :, ::-1], parameters[4:])
    np.testing.assert_array_equal(outputs[:, 2:], turned[:, :, ::-1])


def test_a_unit_that_adds_up_what_it_sees():
    layer, x = RNN(1, activation="relu"), np.arange(1.0, 6.0).reshape(1, 1, 5)
    one = np.ones((1, 1))
    outputs, *_ = naive_recurrence.recurrent_forward(layer, x, [one, one, np.zeros(1)])
    assert outputs == [[15.0]]
