"""What every kind of layer has to keep, with the examples that it gives of itself."""

import json
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from scipy import sparse

import naive
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network
from nnjit.layers.registry import find_kind, kinds

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
INPUTS, OUTPUTS = 4, 2
LAYERS = [(kind, number) for kind in kinds() for number in range(len(find_kind(kind).examples()))]
# Whether it reads the rows themselves or the values of another layer, whose delta it has to make.
PLACES = ["first", "second"]
every_layer = pytest.mark.parametrize("kind, number", LAYERS)
every_place = pytest.mark.parametrize("place", PLACES)
every_precision = pytest.mark.parametrize("dtype", DTYPES)


def network(kind, number, place):
    """A network with the layer, which has below it those that it may lead around."""
    below = (Dense(5, "tanh"),) if place == "second" else ()
    layer = find_kind(kind).examples()[number]
    width = below[-1].units if below else INPUTS
    around = (Dense(width, "relu"),) * getattr(layer, "span", 0)
    return Network(INPUTS, (*below, *around, layer, Dense(OUTPUTS)), "squared_error", "identity")


def parameters(network, dtype, seed=0):
    rng, found = np.random.default_rng(seed), []
    for _, one in network.parameters():
        values = (rng.standard_normal(one.shape) / 2).astype(dtype)
        found.append(np.abs(values) if one.name == "variance" else values)
    return found


def samples(dtype, n, seed=1):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, INPUTS)), rng.standard_normal((n, OUTPUTS))
    return x.astype(dtype), y.astype(dtype), rng.integers(1, 4, n).astype(dtype)


def packed(network, arrays):
    return np.concatenate([arrays[number].ravel() for number in network.packing()]).astype(float)


def gradient(kind, number, place, dtype, n=37):
    """Loss and gradient of a small network with the layer."""
    made = network(kind, number, place)
    engine = make_engine(made, dtype)
    return engine.loss_gradient(
        packed(made, parameters(made, dtype)), engine.dataset(*samples(dtype, n)), 0.1
    )


def predictions(kind, number, place, dtype, x):
    made = network(kind, number, place)
    engine = make_engine(made, dtype)
    engine.pack(parameters(made, dtype))
    return engine.predict(x)


def trained(kind, number, place, dtype, n=100, batch=40, epochs=2):
    """Parameters and losses after some epochs of Adam."""
    made = network(kind, number, place)
    engine = make_engine(made, dtype)
    engine.pack(parameters(made, dtype))
    optimizer = engine.optimizer("adam", seed=11)
    optimizer.learning_rate = 0.01
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(epochs)])
    losses = engine.train_epochs(engine.dataset(*samples(dtype, n)), orders, batch, optimizer, 0.1)
    return engine.unpack(), losses


def test_every_kind_gives_examples_of_itself():
    for kind in kinds():
        examples = find_kind(kind).examples()
        assert examples
        assert all(example.kind == kind for example in examples)


@every_layer
def test_a_layer_tells_its_sizes(kind, number):
    layer = find_kind(kind).examples()[number]
    assert layer.outputs(INPUTS) >= 1
    assert layer.kept(INPUTS) >= 0
    assert layer.work(INPUTS) >= 1
    names = [parameter.name for parameter in layer.parameters(INPUTS)]
    assert len(set(names)) == len(names)


@every_layer
def test_a_network_with_it_goes_through_json_and_back(kind, number):
    made = network(kind, number, "second")
    assert Network.from_state(json.loads(json.dumps(made.to_state()))) == made
    assert kind in str(made)


@every_layer
@every_place
def test_gradient_by_differences(kind, number, place):
    made = network(kind, number, place)
    engine = make_engine(made, np.float64)
    dataset = engine.dataset(*samples(np.float64, 20))
    theta = packed(made, parameters(made, np.float64))
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    numeric = naive.central_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-5
    )
    np.testing.assert_allclose(found, numeric, rtol=0, atol=1e-6 * np.abs(found).max())


@every_layer
@every_place
def test_float32_is_close_to_float64(kind, number, place):
    (loss, found), (wide_loss, wide) = (gradient(kind, number, place, t) for t in DTYPES)
    np.testing.assert_allclose(loss, wide_loss, rtol=1e-4)
    np.testing.assert_allclose(found, wide, rtol=0, atol=1e-4 * np.abs(wide).max())
    x = samples(np.float32, 9)[0]
    narrow = predictions(kind, number, place, np.float32, x)
    assert narrow.dtype == np.float32
    expected = predictions(kind, number, place, np.float64, x.astype(np.float64))
    np.testing.assert_allclose(narrow, expected, rtol=1e-4, atol=1e-4)


@every_layer
@every_place
@every_precision
def test_a_row_is_predicted_the_same_in_any_company(kind, number, place, dtype):
    x = samples(dtype, 300 if not numba.config.DISABLE_JIT else 20)[0]
    whole = predictions(kind, number, place, dtype, x)
    for start, stop in [(0, 1), (3, 4), (1, 17), (2, len(x))]:
        part = predictions(kind, number, place, dtype, x[start:stop])
        np.testing.assert_array_equal(part, whole[start:stop])


@every_layer
@every_place
@every_precision
def test_training_lowers_the_loss(kind, number, place, dtype):
    # the losses of a layer that draws at random go up and down
    epochs = 30 if network(kind, number, place).is_random else 2
    _, losses = trained(kind, number, place, dtype, epochs=epochs)
    assert losses[-1] < losses[0]


@jit_only
@every_layer
@every_place
@every_precision
def test_bits_do_not_depend_on_threads(kind, number, place, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    before, results = numba.get_num_threads(), []
    try:
        for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(count)

            def always(self, function, first, last, count=count):
                function(count > 1, first, last)

            monkeypatch.setattr(tuner.Tuner, "run", always)
            results.append(trained(kind, number, place, dtype))
    finally:
        numba.set_num_threads(before)
    (one, losses), (two, again) = results
    assert losses == again
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@every_layer
@every_place
@every_precision
def test_fused_chunks_move_the_parameters_as_the_others_do(kind, number, place, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 10**9)
    expected, expected_losses = trained(kind, number, place, dtype)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 0)
    found, losses = trained(kind, number, place, dtype)
    limit = 1e-11 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(losses, expected_losses, rtol=limit)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)


@every_layer
def test_sparse_rows_are_taken_or_refused_by_name(kind, number):
    x = samples(np.float64, 20)[0] * (np.random.default_rng(2).random((20, INPUTS)) < 0.5)
    expected = predictions(kind, number, "first", np.float64, x)
    try:
        found = predictions(kind, number, "first", np.float64, sparse.csr_array(x))
    except ValueError as error:
        assert f"A {kind} layer takes no sparse rows" in str(error)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-11)


_WITHOUT_JIT = """
import json
import test_kinds
import numpy as np
print(json.dumps([
    test_kinds.gradient(kind, number, place, np.float64, 5)[1].tolist()
    for kind, number in test_kinds.LAYERS for place in test_kinds.PLACES
]))
"""


@jit_only
def test_plain_python_computes_the_same():
    folders = [os.path.dirname(__file__), os.path.dirname(naive.__file__)]
    path = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_JIT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "NUMBA_DISABLE_JIT": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    plain = iter(json.loads(done.stdout))
    for kind, number in LAYERS:
        for place in PLACES:
            _, compiled = gradient(kind, number, place, np.float64, 5)
            np.testing.assert_allclose(next(plain), compiled, rtol=1e-9, atol=1e-12)
