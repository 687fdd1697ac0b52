"""The oracle of whole networks: gradients against differences, rows of unequal length."""

import numpy as np

import naive
import naive_networks
from nnjit.layers import (
    GRU,
    LSTM,
    Conv,
    Dense,
    Flatten,
    GlobalPool,
    Normalization,
    ParametricActivation,
    Pool,
    Residual,
    Scaling,
)
from nnjit.layers.network import Network

POINTS, CHANNELS, LENGTHS = 7, 2, (7, 3, 5)
NETWORKS = (
    (
        Conv(3, 2, "tanh"), Conv(3, 3, "tanh"), Residual(1), Normalization("batch", "tanh"),
        GRU(3, return_sequences=True), Residual(1), Pool("mean", 2, 1), LSTM(2, True, True),
        GlobalPool("max"), Dense(3, "tanh"), Normalization("batch"),
    ),
    (
        Conv(2, 3, "tanh", stride=2), Pool("max", 2, 1), Scaling(),
        ParametricActivation("logistic"), Flatten(), Dense(3, "logistic"),
        ParametricActivation("mish"),
    ),
)  # fmt: skip


def problem(layers, seed=0):
    made = Network(
        CHANNELS * POINTS, (*layers, Dense(2, "identity")), "squared_error", "identity",
        shape=(CHANNELS, POINTS),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.2, 1, one.shape) for _, one in made.parameters()]
    arrays = [a * rng.choice([-1, 1], a.shape) for a in arrays]
    x = rng.normal(size=(len(LENGTHS), CHANNELS, POINTS))
    for row, length in zip(x, LENGTHS):
        row[:, length:] = 0
    return made, arrays, x, rng.normal(size=(len(x), 2))


def test_gradients_are_those_of_the_loss():
    """Along a direction at random through each parameter."""
    for layers in NETWORKS:
        made, arrays, x, y = problem(layers)
        _, gradients = naive_networks.squared_error(made, arrays, x, y, LENGTHS)
        for number, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
            if gradient is None:
                continue
            way = np.random.default_rng(number).normal(size=array.shape)

            def value(t, number=number, made=made, arrays=arrays, x=x, y=y, way=way):
                given = [one + t * way if k == number else one for k, one in enumerate(arrays)]
                return naive_networks.squared_error(made, given, x, y, LENGTHS)[0]

            expected = naive.central_differences(value, np.zeros(1))
            np.testing.assert_allclose((gradient * way).sum(), expected[0], rtol=1e-5, atol=1e-8)


def test_a_row_of_a_series_is_what_it_is_alone():
    """With statistics that are given, and where time is gone in the end."""
    made, arrays, x, _ = problem(NETWORKS[0])
    arrays = [abs(a) for a in arrays]  # variances
    values, _ = naive_networks.forward(made, arrays, x, LENGTHS, training=False)
    for row, length, expected in zip(x, LENGTHS, values[-1]):
        alone = Network(
            CHANNELS * length, made.layers, "squared_error", "identity", shape=(CHANNELS, length)
        )
        found, _ = naive_networks.forward(alone, arrays, row[np.newaxis, :, :length], None, False)
        np.testing.assert_allclose(found[-1][0], expected, rtol=1e-13)
