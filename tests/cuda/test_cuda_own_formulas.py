"""Formulas that a user has registered, on the device."""

import math

import numpy as np
import pytest

import nnjit
from engine_problems import DTYPES, in_layers, problem, tolerance
from nnjit.backends.cpu import CpuEngine
from nnjit.backends.cuda.engine import CudaEngine
from nnjit.formulas import registry
from nnjit.layers.network import mlp

pytestmark = pytest.mark.skipif(
    not hasattr(nnjit, "register_activation"), reason="nobody can register a formula"
)


def swing(z):
    return z + 0.25 * math.exp(-z * z)


def swing_slope(z):
    return 1.0 - 0.5 * z * math.exp(-z * z)


@pytest.fixture
def registered():
    nnjit.register_activation("swing", swing, swing_slope)
    yield
    registry.OWN.pop(("activation", "swing"))
    del registry.ACTIVATIONS["swing"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_activation_of_ones_own_trains_as_on_the_cpu(registered, dtype):
    units, results = (3, 4, 2), []
    coefs, intercepts, X, y, _, _ = problem("squared_error", dtype, 9, units)
    network = mlp(3, (4,), 2, "swing", "squared_error", "identity")
    for kind in (CudaEngine, CpuEngine):
        engine = kind(network, dtype)
        engine.pack(in_layers(coefs, intercepts))
        dataset, optimizer = engine.dataset(X, y), engine.optimizer("adam")
        optimizer.learning_rate = 0.02
        engine.train(dataset, np.arange(9), 4, optimizer, 0.1, 0, 3)
        results.append(engine.unpack())
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance(dtype), atol=tolerance(dtype))
