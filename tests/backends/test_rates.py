"""A rate for each minibatch of a call: against the oracle, in pieces, and on any threads."""

import itertools

import numba
import numpy as np
import pytest

import naive
from engine_problems import DTYPES, apart, in_layers, network, packed, problem, tolerance
from nnjit.backends import plan, tuner
from nnjit.backends.select import make_engine

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
EPOCHS = 3


def start(dtype, units, n, weighted=False, solver="adam", **hyperparameters):
    """Engine, data set and optimizer of a problem, which is returned as well."""
    data = problem("multinomial", dtype, n, units, weighted)
    engine = make_engine(network(units, "tanh", "multinomial"), dtype)
    engine.pack(in_layers(*data[:2]))
    optimizer = engine.optimizer(solver, **hyperparameters)
    optimizer.learning_rate = 99.0  # not to be used
    return engine, engine.dataset(data[2], data[3], data[5]), optimizer, data


def orders_of(n):
    return np.array([np.random.default_rng(k).permutation(n) for k in range(EPOCHS)])


def rates_of(n_batches):
    return np.random.default_rng(9).uniform(1e-4, 1e-2, EPOCHS * n_batches)


def trained(dtype, units, n, batch, cuts=None):
    """Parameters after some epochs: all in one call, or each in calls between the cuts."""
    engine, dataset, optimizer, _ = start(dtype, units, n)
    n_batches = -(-n // batch)
    orders, rates = orders_of(n), rates_of(n_batches)
    if cuts is None:
        optimizer.rates = rates
        engine.train_epochs(dataset, orders, batch, optimizer, 0.1)
        return packed(*apart(engine.unpack()))
    for epoch, order in enumerate(orders):
        for first, last in itertools.pairwise([0, *cuts, n_batches]):
            optimizer.rates = rates[epoch * n_batches + first : epoch * n_batches + last]
            engine.train(dataset, order, batch, optimizer, 0.1, first, last)
    return packed(*apart(engine.unpack()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("weighted", [False, True])
def test_each_step_has_its_rate(solver, weighted, dtype):
    units, n, batch = (5, 9, 3), 41, 8
    engine, dataset, optimizer, data = start(dtype, units, n, weighted, solver)
    coefs, intercepts, X, _, dense, w = data
    reference = naive.SGD(0.0, 0.9, True) if solver == "sgd" else naive.Adam(0.0)
    orders, rates = orders_of(n), rates_of(6)
    for epoch, order in enumerate(orders):
        optimizer.rates = rates[6 * epoch : 6 * epoch + 6]
        engine.train(dataset, order, batch, optimizer, 0.1, 0, 6)
        for number in range(6):
            reference.rate = optimizer.rates[number]
            rows = order[batch * number : batch * number + batch]
            naive.train_epoch(
                coefs, intercepts, X, dense, rows, batch, reference,
                "multinomial", "tanh", 0.1, w,
            )  # fmt: skip
    for a, b in zip(apart(engine.unpack()), (coefs, intercepts), strict=True):
        for ours, expected in zip(a, b, strict=True):
            limit = 10 * tolerance(dtype)
            np.testing.assert_allclose(ours, expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 8, 40])
def test_bits_do_not_depend_on_the_calls(batch, dtype):
    whole = trained(dtype, (5, 9, 3), 40, batch)
    for cuts in ([], [1] if batch < 40 else []):
        np.testing.assert_array_equal(trained(dtype, (5, 9, 3), 40, batch, cuts), whole)


@jit_only
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [200, 700])
def test_bits_do_not_depend_on_threads(batch, dtype, monkeypatch):
    units, n = (64, 150, 7), 1500
    assert batch * (64 * 150 + 150 * 7) >= plan.PARALLEL_TRAIN
    before, results = numba.get_num_threads(), []
    try:
        for count in (1, 2, 4):
            numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))

            def in_pieces(tuner, function, first, last, parallel=count > 1):
                for number in range(first, last):
                    function(parallel, number, number + 1)

            monkeypatch.setattr(tuner.Tuner, "run", in_pieces)
            results.append(trained(dtype, units, n, batch))
    finally:
        numba.set_num_threads(before)
    for one in results[1:]:
        np.testing.assert_array_equal(one, results[0])


def test_equal_rates_are_the_rate():
    engine, dataset, optimizer, _ = start(np.float64, (5, 9, 3), 40)
    other, same, constant, _ = start(np.float64, (5, 9, 3), 40)
    optimizer.rates, constant.learning_rate = np.full(5, 0.003), 0.003
    for one, data, state in ((engine, dataset, optimizer), (other, same, constant)):
        one.train(data, orders_of(40)[0], 8, state, 0.1, 0, 5)
    for a, b in zip(engine.unpack(), other.unpack(), strict=True):
        np.testing.assert_array_equal(a, b)
    optimizer.rates, optimizer.learning_rate = None, 0.003  # and they are left again
    for one, data, state in ((engine, dataset, optimizer), (other, same, constant)):
        one.train(data, orders_of(40)[1], 8, state, 0.1, 0, 5)
    for a, b in zip(engine.unpack(), other.unpack(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "rates",
    [np.ones(4), np.ones(6), np.ones(5, np.float32), np.ones((5, 1)), np.ones(10)[::2]],
    ids=["few", "many", "float32", "matrix", "strided"],
)
def test_rates_that_are_not_one_for_each_minibatch_are_refused(rates):
    engine, dataset, optimizer, _ = start(np.float64, (5, 9, 3), 40)
    before = engine.unpack()
    optimizer.rates = rates
    with pytest.raises(ValueError, match="One rate is needed for each of 5 minibatches"):
        engine.train(dataset, orders_of(40)[0], 8, optimizer, 0.1, 0, 5)
    for a, b in zip(engine.unpack(), before, strict=True):
        np.testing.assert_array_equal(a, b)
