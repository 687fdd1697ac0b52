"""Networks that embed numbers beside PyTorch's."""

import numpy as np
import pytest
from pytorch_numeric import (
    BATCH,
    BINS,
    COSINES,
    FEATURES,
    HIDDEN,
    KINDS,
    MOMENTUM,
    OUTPUTS,
    RATE,
    ROWS,
    SHOWN,
    STEPS,
    UNITS,
    problem,
    stored,
)

from nnjit.backends.select import make_engine
from nnjit.layers import Dense, PeriodicEmbedding, PiecewiseLinear
from nnjit.layers.network import Network


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_steps_are_those_of_pytorch(kind):
    arrays, X, y, orders = problem(kind)
    encoding = {
        "periodic": PeriodicEmbedding(FEATURES, COSINES, UNITS),
        "piecewise": PiecewiseLinear(FEATURES, BINS),
    }
    dense = Dense(3, "identity"), Dense(HIDDEN, "tanh"), Dense(OUTPUTS, "identity")
    layers = (dense[0], encoding[kind], *dense[1:])
    engine = make_engine(Network(3, layers, "squared_error", "identity"), np.float64)
    engine.pack(arrays)
    optimizer, done = engine.optimizer("sgd", momentum=MOMENTUM), 0
    optimizer.learning_rate = RATE
    dataset, batches = engine.dataset(X, y), -(-ROWS // BATCH)
    for order in orders:
        engine.train(dataset, order, BATCH, optimizer, 0.0, 0, min(batches, STEPS - done))
        done += batches
    *expected, outputs = stored()[kind]
    for a, b in zip(engine.unpack(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)
    np.testing.assert_allclose(engine.predict(X[:SHOWN]), outputs, rtol=0, atol=1e-10)
