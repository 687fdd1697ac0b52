"""Every solver, clipping and averages against PyTorch's, in float64, after fifty steps."""

import numpy as np
import pytest
from pytorch_solvers import (
    ALPHA,
    BATCH,
    CASES,
    OPTIONS,
    RATE,
    UNITS,
    all_of_pytorch,
    problem,
    stored,
)

from nnjit.backends.select import make_engine
from nnjit.formulas import SOLVERS
from nnjit.layers.network import mlp

NAMES = [*CASES, *OPTIONS]


def steps_of_ours(name):
    solver, options = OPTIONS.get(name, (name, {}))
    _, _, entry, hyperparameters = CASES[solver]
    arrays, X, y, orders = problem()
    inputs, *hidden, outputs = UNITS
    network = mlp(inputs, hidden, outputs, "tanh", "log_loss", "softmax")
    engine = make_engine(network, np.float64)
    engine.pack(arrays)
    optimizer = engine.optimizer(entry, **hyperparameters, **options)
    optimizer.learning_rate = RATE
    engine.train_epochs(engine.dataset(X, y), orders, BATCH, optimizer, ALPHA)
    return optimizer.averages() or engine.unpack()


def assert_agree(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_every_solver_is_compared():
    assert {case[2] for case in CASES.values()} == set(SOLVERS)


@pytest.mark.parametrize("name", NAMES)
def test_fifty_steps_are_those_of_pytorch(name):
    assert_agree(steps_of_ours(name), stored()[name])


@pytest.mark.parametrize("name", [name for name in NAMES if name in OPTIONS])
def test_options_change_the_steps(name):
    plain = steps_of_ours(OPTIONS[name][0])
    assert max(np.abs(a - b).max() for a, b in zip(plain, stored()[name], strict=True)) > 1e-3


def test_what_is_stored_is_what_pytorch_finds():
    pytest.importorskip("torch")
    found, kept = all_of_pytorch(), stored()
    assert list(found) == list(kept) == NAMES
    for name in NAMES:
        assert_agree(found[name], kept[name])
