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
from engine_problems import some_differences
from networks_of_kinds import LAYERS, OUTPUTS, SHAPES, network, parameters
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine
from nnjit.layers.layer import size_of
from nnjit.layers.network import Network
from nnjit.layers.registry import find_kind, kinds

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
COMPILED = not numba.config.DISABLE_JIT
DTYPES = [np.float32, np.float64]


def is_exact(kind, number, form):
    """Whether its gradient is that of the loss, and not of one without the distant past."""
    truncate = getattr(find_kind(kind).examples()[number], "truncate", None)
    return truncate is None or truncate >= SHAPES[form][-1]


# Whether it reads the rows themselves or the values of another layer, whose delta it has to make.
PLACES = ["first", "second"]
every_layer = pytest.mark.parametrize("kind, number, form", LAYERS)
every_place = pytest.mark.parametrize("place", PLACES)
every_precision = pytest.mark.parametrize("dtype", DTYPES)


def samples(form, dtype, n, seed=1):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, size_of(SHAPES[form]))), rng.standard_normal((n, OUTPUTS))
    return x.astype(dtype), y.astype(dtype), rng.integers(1, 4, n).astype(dtype)


def packed(network, arrays):
    return np.concatenate([arrays[number].ravel() for number in network.packing()]).astype(float)


def gradient(kind, number, form, place, dtype, n=37):
    """Loss and gradient of a small network with the layer."""
    made = network(kind, number, form, place)
    engine = make_engine(made, dtype)
    return engine.loss_gradient(
        packed(made, parameters(made, dtype)), engine.dataset(*samples(form, dtype, n)), 0.1
    )


def predictions(kind, number, form, place, dtype, x):
    made = network(kind, number, form, place)
    engine = make_engine(made, dtype)
    engine.pack(parameters(made, dtype))
    return engine.predict(x)


def trained(kind, number, form, place, dtype, epochs=2):
    """Parameters and losses after some epochs of Adam."""
    n, batch = (100, 40) if COMPILED or form == "vector" else (25, 10)
    made = network(kind, number, form, place)
    engine = make_engine(made, dtype)
    engine.pack(parameters(made, dtype))
    optimizer = engine.optimizer("adam", seed=11)
    optimizer.learning_rate = 0.01
    orders = np.array([np.random.default_rng(k).permutation(n) for k in range(epochs)])
    losses = engine.train_epochs(
        engine.dataset(*samples(form, dtype, n)), orders, batch, optimizer, 0.1
    )
    return engine.unpack(), losses


def test_every_kind_gives_examples_of_itself():
    for kind in kinds():
        examples = find_kind(kind).examples()
        assert examples
        assert all(example.kind == kind for example in examples)


@every_layer
def test_a_layer_tells_its_sizes(kind, number, form):
    layer = find_kind(kind).examples()[number]
    shape = SHAPES[form]
    assert size_of(layer.outputs(shape)) >= 1
    assert layer.kept(shape) >= 0
    assert layer.work(shape) >= 1
    names = [parameter.name for parameter in layer.parameters(shape)]
    assert len(set(names)) == len(names)


@every_layer
def test_a_network_with_it_goes_through_json_and_back(kind, number, form):
    made = network(kind, number, form, "second")
    assert Network.from_state(json.loads(json.dumps(made.to_state()))) == made
    assert kind in str(made)


@pytest.mark.parametrize("kind, number, form", [one for one in LAYERS if is_exact(*one)])
@every_place
def test_gradient_by_differences(kind, number, form, place):
    made = network(kind, number, form, place)
    engine = make_engine(made, np.float64)
    dataset = engine.dataset(*samples(form, np.float64, 20 if COMPILED else 4))
    theta = packed(made, parameters(made, np.float64))
    _, found = engine.loss_gradient(theta, dataset, 0.1)
    some, numeric = some_differences(
        lambda t: engine.loss_gradient(t, dataset, 0.1)[0], theta, step=1e-6
    )
    # what is not trained comes last, and has no gradient
    trained = sum(one.size for _, one in made.parameters() if one.trained)
    assert not found[trained:].any()
    close = np.abs(found[some] - numeric) <= 1e-6 * np.abs(found).max()
    assert close[some < trained].all()


@every_layer
@every_place
def test_float32_is_close_to_float64(kind, number, form, place):
    (loss, found), (wide_loss, wide) = (gradient(kind, number, form, place, t) for t in DTYPES)
    np.testing.assert_allclose(loss, wide_loss, rtol=1e-4)
    np.testing.assert_allclose(found, wide, rtol=0, atol=1e-4 * np.abs(wide).max())
    x = samples(form, np.float32, 9)[0]
    narrow = predictions(kind, number, form, place, np.float32, x)
    assert narrow.dtype == np.float32
    expected = predictions(kind, number, form, place, np.float64, x.astype(np.float64))
    np.testing.assert_allclose(narrow, expected, rtol=1e-4, atol=1e-4)


@every_layer
@every_place
@every_precision
def test_a_row_is_predicted_the_same_in_any_company(kind, number, form, place, dtype):
    x = samples(form, dtype, 300 if COMPILED else 20)[0]
    whole = predictions(kind, number, form, place, dtype, x)
    for start, stop in [(0, 1), (3, 4), (1, 17), (2, len(x))]:
        part = predictions(kind, number, form, place, dtype, x[start:stop])
        np.testing.assert_array_equal(part, whole[start:stop])


@jit_only  # plain Python trains below
@every_layer
@every_place
@every_precision
def test_training_lowers_the_loss(kind, number, form, place, dtype):
    # the losses of a layer that draws at random go up and down
    epochs = 30 if network(kind, number, form, place).is_random else 2
    _, losses = trained(kind, number, form, place, dtype, epochs=epochs)
    assert losses[-1] < losses[0]


@jit_only
@every_layer
@every_place
@every_precision
def test_bits_do_not_depend_on_threads(kind, number, form, place, dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    before, results = numba.get_num_threads(), []
    try:
        for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(count)

            def always(self, function, first, last, count=count):
                function(count > 1, first, last)

            monkeypatch.setattr(tuner.Tuner, "run", always)
            results.append(trained(kind, number, form, place, dtype))
    finally:
        numba.set_num_threads(before)
    (one, losses), (two, again) = results
    assert losses == again
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@every_layer
@every_place
@every_precision
def test_fused_chunks_move_the_parameters_as_the_others_do(
    kind, number, form, place, dtype, monkeypatch
):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 10**9)
    expected, expected_losses = trained(kind, number, form, place, dtype)
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 0)
    found, losses = trained(kind, number, form, place, dtype)
    limit = 1e-11 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(losses, expected_losses, rtol=limit)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)


@every_layer
def test_sparse_rows_are_taken_or_refused_by_name(kind, number, form):
    x = samples(form, np.float64, 20)[0] * (
        np.random.default_rng(2).random((20, size_of(SHAPES[form]))) < 0.5
    )
    expected = predictions(kind, number, form, "first", np.float64, x)
    try:
        found = predictions(kind, number, form, "first", np.float64, sparse.csr_array(x))
    except ValueError as error:
        # of some other layer, where this one is left out of a prediction
        kinds = {layer.kind for layer in network(kind, number, form, "first").layers}
        assert any(f"A {one} layer takes no sparse rows" in str(error) for one in kinds)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-11)


_WITHOUT_JIT = """
import json
import test_kinds
import numpy as np
print(json.dumps([
    test_kinds.gradient(kind, number, form, place, np.float64, 5)[1].tolist()
    for kind, number, form in test_kinds.LAYERS for place in test_kinds.PLACES
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
    for kind, number, form in LAYERS:
        for place in PLACES:
            _, compiled = gradient(kind, number, form, place, np.float64, 5)
            np.testing.assert_allclose(next(plain), compiled, rtol=1e-9, atol=1e-12)
