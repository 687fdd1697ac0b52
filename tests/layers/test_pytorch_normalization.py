"""Normalization and residual layers against PyTorch's, in float64, after fifty steps."""

import numpy as np
import pytest
from pytorch_normalization import (
    CASES,
    MOMENTUM,
    RATE,
    ROWS,
    SHOWN,
    STEPS,
    UNITS,
    all_of_pytorch,
    problem,
    stored,
)

from nnjit.backends.select import make_engine
from nnjit.layers.network import mlp


def steps_of_ours(name):
    """Parameters after the steps, the loss of the last one, and outputs of some rows then."""
    method, residual, activation, weighted, batch = CASES[name]
    arrays, X, y, w, orders = problem(method, batch)
    inputs, *hidden, outputs = UNITS
    network = mlp(
        inputs, hidden, outputs, activation, "log_loss", "softmax",
        normalization=method, residual=residual,
    )  # fmt: skip
    engine = make_engine(network, np.float64)
    engine.pack(arrays)
    dataset = engine.dataset(X, y, w if weighted else None)
    optimizer = engine.optimizer("sgd", momentum=MOMENTUM, nesterov=0.0)
    optimizer.learning_rate = RATE
    left, batches = STEPS, -(-ROWS // batch)
    for order in orders:
        done = min(left, batches)
        engine.train(dataset, order, batch, optimizer, 0.0, 0, done - 1)
        result = engine.train(dataset, order, batch, optimizer, 0.0, done - 1, done)
        left -= done
        if not left:
            break
    rows = min(batch, ROWS - (done - 1) * batch)
    return [*engine.unpack(), np.array(result.loss / rows), engine.predict(X[:SHOWN])]


def assert_agree(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_fifty_steps_are_those_of_pytorch(name):
    assert_agree(steps_of_ours(name), stored()[name])


def test_what_is_stored_is_what_pytorch_finds():
    pytest.importorskip("torch")
    found, kept = all_of_pytorch(), stored()
    assert list(found) == list(kept) == list(CASES)
    for name in CASES:
        assert_agree(found[name], kept[name])
