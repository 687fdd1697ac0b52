"""Rows of a block stand by the lengths of their series: results are those of any other order."""

import numba
import numpy as np
import pytest

from nnjit.backends import plan
from nnjit.backends.cpu import CpuEngine
from nnjit.layers.augmentation.spec import Augment
from nnjit.layers.convolution import cpu as convolution
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.dropout.spec import Dropout
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.global_pooling.spec import GlobalPool
from nnjit.layers.network import Network
from nnjit.layers.noise.spec import GaussianNoise
from nnjit.layers.normalization.spec import Normalization

compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="takes too long")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
SHAPE = (2, 9)

NETWORKS = {
    "plain": (Conv(5, 3), GlobalPool("mean")),
    "dropped": (Conv(5, 3, "tanh"), Dropout(0.3), GaussianNoise(0.2), GlobalPool("max"), Dense(20),
                GaussianNoise(0.1), Dropout(0.4)),
    "augmented": (Augment(noise=0.2, shift=2), Conv(4, 3), GlobalPool("mean")),
    "joined": (Conv(4, 3, "identity"), Normalization("batch", "relu"), GlobalPool("mean")),
    "flat": (Conv(3, 3), Flatten()),
}  # fmt: skip
every_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture
def sorts(monkeypatch):
    """Have convolutions ask for sorted rows."""
    return lambda: monkeypatch.setattr(convolution, "SORTS_ROWS", True, raising=False)


def engine_of(name, dtype, outputs=3):
    network = Network(
        int(np.prod(SHAPE)), (*NETWORKS[name], Dense(outputs, "identity")),
        "log_loss", "softmax", shape=SHAPE,
    )  # fmt: skip
    engine, rng = CpuEngine(network, dtype), np.random.default_rng(0)
    engine.pack([
        np.abs(values) + 0.5 if one.name in ("scale", "variance") else values
        for _, one in network.parameters()
        for values in [rng.standard_normal(one.shape) / 2]
    ])  # fmt: skip
    return engine


def samples(n, dtype, order="C", outputs=3):
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, *SHAPE))
    for row, length in zip(x, rng.integers(1, SHAPE[1] + 1, n), strict=True):
        row[:, length:] = np.nan
    y, weights = rng.integers(0, outputs, n), rng.integers(0, 4, n)
    return np.asarray(x.reshape(n, -1), dtype, order=order), y, weights.astype(dtype)


def trained(name, n, batch_size, dtype, **options):
    """Parameters and losses after two epochs that leave some rows out."""
    engine = engine_of(name, dtype)
    dataset, rng = engine.dataset(*samples(n, dtype)), np.random.default_rng(5)
    orders = np.stack([rng.permutation(n)[: n - n // 5] for _ in range(2)])
    optimizer = engine.optimizer("sgd", momentum=0.5, **options)
    optimizer.learning_rate = 0.1
    losses = engine.train_epochs(dataset, orders, batch_size, optimizer, 0.01)
    return losses, np.concatenate([part.ravel() for part in engine.unpack()]), engine


def close(dtype):
    return {"rtol": 2e-4, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}


@every_network
@every_precision
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [1, 2, 5, 16, 33, pytest.param(300, marks=compiled_only)])
def test_predictions_are_those_of_unsorted_rows(name, dtype, order, n, sorts):
    x, *_ = samples(n, dtype, order)
    expected = [engine_of(name, dtype).predict(x, kind) for kind in ("activation", "logits")]
    sorts()
    engine = engine_of(name, dtype)
    for kind, values in zip(("activation", "logits"), expected, strict=True):
        np.testing.assert_array_equal(engine.predict(x, kind), values)


@every_precision
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 11, 23, 24, 57, 58, 133, 255])
def test_rows_stand_the_longest_first_and_equal_ones_as_they_were(dtype, n, sorts):
    sorts()
    engine = engine_of("plain", dtype)
    x, *_ = samples(n, dtype)
    lengths = (~np.isnan(x.reshape(n, *SHAPE)[:, 0])).sum(axis=1)
    engine.predict(x)
    made = engine._forward
    at = made._integers[plan.Job.places["order_bytes"]]
    own = made._kept["work"].view(np.uint8)[at : at + 8 * n].view(np.int64)
    np.testing.assert_array_equal(own, np.argsort(-lengths, kind="stable"))


@every_precision
@pytest.mark.parametrize("outputs", [1, 63, 64, 65, 130])
def test_outputs_of_any_number_go_to_their_rows(dtype, outputs, sorts):
    x, *_ = samples(50, dtype)
    expected = engine_of("plain", dtype, outputs).predict(x, "logits")
    sorts()
    np.testing.assert_array_equal(engine_of("plain", dtype, outputs).predict(x, "logits"), expected)


@every_network
@every_precision
@pytest.mark.parametrize(
    ("n", "batch_size"),
    [(7, 3), (60, 17), (60, 60), pytest.param(300, 299, marks=compiled_only)],
)
def test_training_is_that_of_unsorted_rows(name, dtype, n, batch_size, sorts):
    expected = trained(name, n, batch_size, dtype, clip_norm=5.0)
    sorts()
    found = trained(name, n, batch_size, dtype, clip_norm=5.0)
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(mine, theirs, **close(dtype))


@every_precision
def test_sorted_rows_are_found_again_where_chunks_make_their_gradient(dtype, sorts, monkeypatch):
    monkeypatch.setattr(plan, "FUSED_WEIGHTS", 1)
    monkeypatch.setattr(plan, "_keeps_less", lambda *_: False)
    monkeypatch.setattr(plan, "_array_blocks", lambda *_: (8, 2))
    expected = trained("flat", 60, 15, dtype)
    sorts()
    found = trained("flat", 60, 15, dtype)
    assert found[2]._current._fused
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_allclose(mine, theirs, **close(dtype))


@every_network
@every_precision
def test_threads_change_no_bit_of_sorted_rows(name, dtype, sorts, monkeypatch):
    sorts()
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 1)
    monkeypatch.setattr(plan, "VECTORS_OF_TWO", 1)
    monkeypatch.setattr(plan, "JOINED_WORK", 1)
    found = []
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        losses, parameters, engine = trained(name, 150, 64, dtype)
        assert engine._current.n_parts > 1
        found.append((losses, parameters.tobytes()))
    assert found[0] == found[1] == found[2]


@every_precision
def test_gradients_of_all_rows_are_those_of_unsorted_rows(dtype, sorts):
    def gradient():
        engine = engine_of("plain", dtype)
        flat = np.concatenate([
            engine.unpack()[k].ravel() for k in engine.network.packing()
        ]).astype(float)  # fmt: skip
        return engine.loss_gradient(flat, engine.dataset(*samples(90, dtype)), 0.1)

    (loss, expected) = gradient()
    sorts()
    found = gradient()
    np.testing.assert_allclose(found[0], loss, **close(dtype))
    np.testing.assert_allclose(found[1], expected, **close(dtype))


@pytest.mark.parametrize("name", ["dropped", "augmented"])
@every_precision
def test_what_is_drawn_for_a_row_does_not_depend_on_those_beside_it(name, dtype, sorts):
    x, *_ = samples(40, dtype)
    expected = engine_of(name, dtype).predict_samples(x, 3, seed=7)
    sorts()
    found = engine_of(name, dtype).predict_samples(x, 3, seed=7)
    np.testing.assert_array_equal(found, expected)
    fewer = engine_of(name, dtype).predict_samples(x[:9], 3, seed=7)
    np.testing.assert_array_equal(fewer, expected[:, :9])


@every_precision
def test_series_of_one_length_are_not_sorted(dtype, sorts):
    x = np.random.default_rng(0).standard_normal((30, 18)).astype(dtype)
    expected = engine_of("plain", dtype).predict(x)
    sorts()
    engine = engine_of("plain", dtype)
    np.testing.assert_array_equal(engine.predict(x), expected)
    ragged, *_ = samples(30, dtype)
    engine.predict(ragged)  # the same buffers
    np.testing.assert_array_equal(engine.predict(x), expected)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
def test_networks_that_need_no_order_have_no_units_for_it():
    engine = engine_of("plain", np.float32)
    engine.predict(samples(10, np.float32)[0])
    assert not engine._forward._integers[plan.Job.places["sort_at"]]
