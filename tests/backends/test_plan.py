"""Blocks, parts and calls of networks of series and images: they follow from shapes alone."""

from types import SimpleNamespace

import numpy as np
import pytest

from nnjit.backends import plan
from nnjit.backends.select import make_engine
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.global_pooling.spec import GlobalPool
from nnjit.layers.gru.spec import GRU
from nnjit.layers.network import Network, mlp
from nnjit.layers.pooling.spec import Pool

DTYPES = [np.float32, np.float64]


def images(*layers, shape=(1, 8, 8)):
    return Network(
        int(np.prod(shape)), (*layers, Dense(3, "identity")), "log_loss", "softmax", shape=shape
    )


SMALL = images(Conv(4, 3), Pool("max", 2), Flatten())
LENET = images(
    Conv(6, 5), Pool("max", 2), Conv(16, 5, padding="valid"), Pool("max", 2), Flatten(),
    Dense(120), Dense(84), shape=(1, 28, 28),
)  # fmt: skip
MNIST = images(
    Conv(32, 3, padding="valid"), Conv(64, 3, padding="valid"), Pool("max", 2), Flatten(),
    Dense(128), shape=(1, 28, 28),
)  # fmt: skip


def fcn(filters, time):
    layers = [Conv(n, kernel) for n, kernel in zip(filters, (8, 5, 3), strict=True)]
    return images(*layers, GlobalPool("mean"), shape=(1, time))


SERIES, LONG = fcn((16, 32, 16), 150), fcn((128, 256, 128), 1460)
STATES, TINY = images(GRU(32), shape=(12, 29)), images(GRU(2), shape=(1, 100))
NETWORKS = {
    "small": SMALL, "lenet": LENET, "mnist": MNIST, "series": SERIES, "long": LONG,
    "states": STATES, "tiny": TINY,
}  # fmt: skip


def priced(network, dtype=np.float32, lanes=None):
    """What sizes are told by, of an engine and of its program, on a machine with AVX-512."""
    itemsize = np.dtype(dtype).itemsize
    engine = SimpleNamespace(
        network=network, dtype=np.dtype(dtype), layout=SimpleNamespace(n_flat=network.n_parameters)
    )
    values = 2 * sum(network.sizes) + 5  # and deltas
    return engine, SimpleNamespace(lanes=lanes or 64 // itemsize, row_bytes=values * itemsize)


def blocks(network, batch_size, dtype=np.float32):
    return plan._blocks(*priced(network, dtype), batch_size)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 16, 31, 64, 100, 128, 200, 1000])
def test_every_part_has_rows_and_about_as_many(name, dtype, batch_size):
    rows, parts = blocks(NETWORKS[name], batch_size, dtype)
    assert rows >= 1 and 1 <= parts <= plan.MOST_PARTS
    dealt = np.zeros(parts, int)
    for number, first in enumerate(range(0, batch_size, rows)):
        dealt[number % parts] += min(rows, batch_size - first)
    assert dealt.sum() == batch_size and dealt.min() > 0
    assert dealt.max() - dealt.min() <= rows


def test_a_minibatch_of_series_is_shared_below_a_vector_of_rows():
    assert blocks(SERIES, 16) == (8, 2)
    assert blocks(LONG, 16)[1] > 2


def test_more_than_two_threads_get_parts_of_large_work():
    assert blocks(LENET, 128) == (32, 4)
    assert blocks(MNIST, 128) == (32, 4)
    assert blocks(SMALL, 32) == (32, 1)  # of little work


def test_minibatches_of_recurrent_networks_are_shared_where_their_states_fill_vectors():
    assert blocks(STATES, 32) == (16, 2)
    assert blocks(STATES, 16) == (8, 2)
    assert blocks(STATES, 14) == (14, 1)
    assert blocks(TINY, 62) == (32, 1)
    assert blocks(images(GRU(128), shape=(32, 100)), 64) == (16, 4)


def test_short_rows_are_not_cut_into_pieces_that_fill_no_vectors():
    assert blocks(LENET, 16) == (8, 2)
    assert blocks(LENET, 8) == (8, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_block_is_as_large_as_the_second_level_cache_or_two_vectors_of_rows(name, dtype):
    engine, program = priced(NETWORKS[name], dtype)
    rows = plan._array_rows(engine, program)
    parameters = plan.PER_PARAMETER * engine.network.n_parameters * engine.dtype.itemsize
    most = max(plan.ARRAY_BYTES, 2 * program.lanes * program.row_bytes, parameters)
    assert rows * program.row_bytes <= 1.5 * most
    assert rows == 1 or rows * program.row_bytes <= 1.5 * max(plan.MOST_BYTES, parameters)


def test_where_a_row_is_larger_than_all_caches_a_block_has_few():
    huge = images(Conv(64, 3), Conv(64, 3), GlobalPool(), shape=(3, 1024, 1024))
    assert plan._array_rows(*priced(huge)) == 1


@pytest.mark.parametrize("name", NETWORKS)
def test_partial_gradients_take_little_work_and_little_memory(name):
    network = NETWORKS[name]
    for batch_size in (16, 64, 128, 512):
        _, parts = blocks(network, batch_size)
        values = batch_size * sum(network.sizes)
        assert parts <= 2 or parts * network.n_parameters <= values
        assert parts <= 2 or batch_size * network.work >= parts * plan.PART_WORK


def test_dense_networks_are_cut_as_they_have_been():
    """Bits depend on it: rows in whole vectors, two parts, and four of large minibatches."""
    network = mlp(64, (100,), 10, "relu", "log_loss", "softmax")
    for batch_size, expected in [
        (1, (16, 1)), (16, (16, 1)), (20, (32, 1)), (21, (16, 2)), (200, (112, 2)),
        (512, (256, 2)), (513, (144, 4)), (5000, (256, 4)),
    ]:  # fmt: skip
        assert blocks(network, batch_size) == expected


def forward_plan(network, n):
    """How a prediction of n rows is cut: (rows of a block, whether threads share blocks)."""
    engine, program = priced(network)
    made = SimpleNamespace(
        _arrays=bool(network.shape), _most=plan._array_rows(engine, program), _program=program,
        _work_needed=plan.PARALLEL_PREDICT / network.work,
        _parts_of=lambda n: plan._array_parts(engine, program.lanes, n),
    )  # fmt: skip
    return plan.ForwardPlan._shape(made, n)


@pytest.mark.parametrize("name", NETWORKS)
def test_few_rows_of_much_work_are_predicted_by_several_threads(name):
    network = NETWORKS[name]
    for n in (1, 5, 16, 64, 1000):
        rows, parallel = forward_plan(network, n)
        assert 1 <= rows <= plan.BLOCK_ROWS
        assert not parallel or (n > rows and n * network.work >= plan.PARALLEL_PREDICT)
    assert forward_plan(network, 1)[1] is False
    assert forward_plan(LONG, 8) == (1, True)
    assert forward_plan(MNIST, 16) == (8, True)


def test_one_serial_call_of_a_prediction_is_short():
    """Ctrl-C is heard between calls, and calls of blocks that threads share are timed."""
    for network in NETWORKS.values():
        for n in (1, 10, 100, 10_000):
            rows, parallel = forward_plan(network, n)
            assert parallel or min(rows, n) * network.work <= plan.PRODUCTS_PER_CALL


def test_a_full_gradient_comes_in_runs_of_bounded_work(monkeypatch):
    network, n = images(Flatten(), Dense(20, "tanh")), 300
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((n, network.inputs)), rng.integers(0, 3, n)
    theta = rng.standard_normal(network.n_parameters) / 8

    def gradient():
        engine = make_engine(network, np.float64)
        found = engine.loss_gradient(theta, engine.dataset(X, y), 0.1)
        return found, engine._full_batch

    (loss, expected), whole = gradient()
    assert whole._runs == 1
    monkeypatch.setattr(plan, "PRODUCTS_PER_CALL", 40 * network.work)
    (again, found), cut = gradient()
    assert 8 <= cut._runs <= 300
    np.testing.assert_allclose(again, loss, rtol=1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_run_of_the_largest_network_is_a_few_rows():
    batch_size = max(plan.MOST_PARTS // 2, int(plan.PRODUCTS_PER_CALL / LONG.work))
    rows, parts = blocks(LONG, batch_size)
    assert rows * parts * LONG.work <= 2 * plan.PRODUCTS_PER_CALL
