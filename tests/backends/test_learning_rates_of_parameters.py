"""Learning rates of single parameters: each moves by its factor, however the parameters are cut."""

import math

import numba
import numpy as np
import pytest

from engine_problems import DTYPES, problem
from nnjit.backends import plan
from nnjit.backends.select import make_engine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network, mlp

UNITS = (7, 20, 9, 3)
compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="long as plain Python")


def network(parametrization="ntk", units=UNITS):
    inputs, *hidden, outputs = units
    return mlp(
        inputs, hidden, outputs, "tanh", "log_loss", "softmax", parametrization=parametrization
    )


def start(parametrization, dtype, units=UNITS, n=40):
    coefs, intercepts, X, y, _, _ = problem("multinomial", dtype, n, units)
    engine = make_engine(network(parametrization, units), dtype)
    engine.pack([array for pair in zip(coefs, intercepts) for array in pair])
    return engine, engine.dataset(X, y)


def moved(parametrization, dtype, steps=1, units=UNITS, n=40, **options):
    """By how much each parameter moves in some steps of gradient descent over all rows."""
    engine, dataset = start(parametrization, dtype, units, n)
    before = engine.unpack()
    optimizer = engine.optimizer("sgd", momentum=0.0, nesterov=0.0, **options)
    optimizer.learning_rate = 0.1
    for _ in range(steps):
        engine.train(dataset, np.arange(n), n, optimizer, 0.01, 0, 1)
    return [after - one for after, one in zip(engine.unpack(), before)]


def factors(units=UNITS):
    """Those of weights and biases, layer by layer."""
    return [factor for n in units[:-1] for factor in (1 / math.sqrt(n), 0.1)]


def test_weights_move_by_the_root_of_their_inputs_and_biases_by_a_tenth():
    rates = [one.rate for _, one in network().parameters()]
    np.testing.assert_allclose(rates, factors())
    assert {one.rate for _, one in network("standard").parameters()} == {1.0}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fused_from", [0, 10**9])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.05}])
def test_each_parameter_moves_by_its_own_rate(options, fused_from, dtype, monkeypatch):
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused_from)
    plain, scaled = (moved(one, dtype, **options) for one in ("standard", "ntk"))
    limit = 3 * np.finfo(dtype).eps  # parameters of about 1 are rounded when they move
    for ours, theirs, factor in zip(scaled, plain, factors(), strict=True):
        np.testing.assert_allclose(ours, factor * theirs, rtol=1e-5, atol=limit)
        assert np.abs(ours).max() > 10 * limit


@compiled_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_chunks_of_many_threads_end_where_rates_change(dtype, monkeypatch):
    """Large enough to be shared: fused and plain chunks make the same steps."""
    units, found = (64, 150, 40, 7), []
    for fused_from in (0, 10**9):
        monkeypatch.setattr(plan, "FUSED_WEIGHTS", fused_from)
        found.append(moved("ntk", dtype, 3, units, 900))
    limit = 1e-12 if dtype == np.float64 else 1e-5
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=limit)


@pytest.mark.parametrize("solver", ["adam", "adamw", "lion"])
def test_every_solver_multiplies_its_base_rate(solver):
    """One step from moments of 0, where the step is proportional to the rate."""
    steps = []
    for parametrization in ("standard", "ntk"):
        engine, dataset = start(parametrization, np.float64)
        before, optimizer = engine.unpack(), engine.optimizer(solver)
        optimizer.learning_rate = 0.01
        engine.train(dataset, np.arange(40), 40, optimizer, 0.0, 0, 1)
        steps.append([after - one for after, one in zip(engine.unpack(), before)])
    for plain, scaled, factor in zip(*steps, factors(), strict=True):
        np.testing.assert_allclose(scaled, factor * plain, rtol=1e-9, atol=1e-15)


def test_the_network_of_a_checkpoint_keeps_its_parametrization():
    for one in (network(), network("standard")):
        assert Network.from_state(one.to_state()) == one
    assert "parametrization" not in network("standard").to_state()
    assert "parametrization 'ntk'" in str(network())
    with pytest.raises(ValueError, match="parametrization must be 'standard' or 'ntk', got 'mup'"):
        Network(3, (Dense(1, "identity"),), "squared_error", "identity", parametrization="mup")
