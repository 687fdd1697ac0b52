"""How rows are cut into blocks, held out and visited."""

import signal
import threading
import types
import weakref

import numpy as np
import pytest

from nnjit.estimators._blocked_fit import ArrayInBlocks
from nnjit.training import blocks as module
from nnjit.training import reading, snapshot
from nnjit.training.archive import DamagedError
from nnjit.training.blocks import BlockedRows, Blocks
from nnjit.training.reading import read_ahead


class Engine:
    """Gives back what it is to train on."""

    def dataset(self, X, y, sample_weight=None):
        return X.copy(), y.copy(), None if sample_weight is None else sample_weight.copy()


def blocked(n=103, block=10, buffer=30, held_out=None, shuffle=True, weights=False, engine=None):
    X = np.column_stack([np.arange(n), -np.arange(n)]).astype(float)
    rows = BlockedRows(
        engine or Engine(), ArrayInBlocks(X), np.arange(n), np.arange(n) + 0.5 if weights else None,
        Blocks(np.arange(0, n, block), n, held_out), shuffle,
    )  # fmt: skip
    rows._capacity = buffer
    return rows


def visited(rows, seed=0, batch_size=7):
    """The rows of an epoch in their order, and the sizes of its minibatches."""
    order, sizes = [], []
    for (X, y, weights), numbers, of_rows in rows.epoch(np.random.RandomState(seed), batch_size):
        assert np.array_equal(X[:, 0], y) and np.array_equal(X[:, 1], -y)
        if weights is not None:
            assert np.array_equal(weights, y + 0.5) and np.array_equal(of_rows, weights)
        order += X[numbers, 0].astype(int).tolist()
        sizes += [len(numbers[k : k + batch_size]) for k in range(0, len(numbers), batch_size)]
    return order, sizes


@pytest.mark.parametrize("batch_size", [1, 7, 30, 64, 103])
@pytest.mark.parametrize("weights", [False, True])
def test_an_epoch_visits_every_row_once_in_full_minibatches(batch_size, weights):
    order, sizes = visited(blocked(weights=weights), batch_size=batch_size)
    assert sorted(order) == list(range(103))
    assert sizes == [batch_size] * (103 // batch_size) + [103 % batch_size] * (103 % batch_size > 0)


def test_the_order_is_that_of_blocks_and_then_of_the_rows_of_each_buffer():
    order, _ = visited(blocked(), seed=5)
    rng = np.random.RandomState(5)
    expected, numbers = [], rng.permutation(11)
    groups, group, count = [], [], 0
    for number in numbers:
        size = 3 if number == 10 else 10
        if count + size > 30:
            groups.append(sorted(group))
            group, count = [], 0
        group.append(number)
        count += size
    for numbers in [*groups, sorted(group)]:
        rows = [row for k in numbers for row in range(10 * k, min(10 * k + 10, 103))]
        expected += [rows[k] for k in rng.permutation(len(rows))]
    assert order == expected


def test_epochs_differ_and_the_same_seed_repeats_them():
    rows, rng = blocked(), np.random.RandomState(1)
    epochs = [
        [X[numbers, 0].tolist() for (X, *_), numbers, _ in rows.epoch(rng, 7)] for _ in range(2)
    ]
    assert epochs[0] != epochs[1]
    assert visited(blocked(), seed=3) == visited(blocked(), seed=3)


def test_without_shuffling_rows_come_as_they_lie():
    assert visited(blocked(shuffle=False))[0] == list(range(103))


def test_rows_that_are_held_out_are_not_visited():
    held_out = np.array([[0, 3], [8, 21], [50, 60], [101, 103]])
    order, _ = visited(blocked(held_out=held_out))
    hidden = np.concatenate([np.arange(*run) for run in held_out])
    assert sorted(order) == sorted(set(range(103)) - set(hidden.tolist()))


@pytest.mark.parametrize(("n", "fraction"), [(1000, 0.1), (57, 0.3), (103, 0.9), (20, 0.06)])
def test_a_share_of_the_rows_is_held_out_all_over_the_file(n, fraction):
    blocks = Blocks(np.arange(0, n, 10), n).hold_out(fraction, np.random.RandomState(0))
    rows = blocks.held_out_rows()
    assert len(rows) == blocks.n_held_out == np.ceil(fraction * n)
    assert (np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < n
    if n == 1000:  # of each hundred about ten
        assert (abs(np.bincount(rows // 100) - 10) <= 1).all()
    other = Blocks(np.arange(0, n, 10), n).hold_out(fraction, np.random.RandomState(1))
    assert not np.array_equal(other.held_out_rows(), rows)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_too_few_rows_to_hold_out_or_to_train_on_are_refused(fraction):
    with pytest.raises(ValueError, match="too small"):
        Blocks(np.arange(0, 100, 10), 100).hold_out(fraction, np.random.RandomState(0))


def test_no_more_than_two_buffers_are_made_for_all_epochs(monkeypatch):
    sizes, made = [], np.empty

    def empty(shape, *others, **more):
        if isinstance(shape, tuple) and len(shape) == 2 and shape[0] > 20:
            sizes.append(shape)
        return made(shape, *others, **more)

    rows = blocked(n=1003)
    monkeypatch.setattr(module.np, "empty", empty)
    visited(rows)
    visited(rows, seed=1)
    assert sizes == [(36, 2), (36, 2)]  # 30 rows and those that a minibatch leaves over
    visited(rows, batch_size=9)
    assert sizes[2:] == [(38, 2), (38, 2)]


def test_the_next_result_is_made_in_a_thread_while_one_is_in_use():
    begun = [threading.Event() for _ in range(4)]
    calls = [lambda k=k: begun[k].set() or threading.get_ident() for k in range(4)]
    for k, thread in enumerate(read_ahead(calls)):
        assert thread != threading.get_ident()
        assert k == 3 or begun[k + 1].wait(timeout=60)
        assert k + 2 > 3 or not begun[k + 2].is_set()


def test_an_error_of_the_reader_is_raised_where_rows_are_used_and_its_thread_ends():
    def fail():
        raise OSError("the disk is gone")

    before = threading.active_count()
    results = read_ahead([lambda: 1, fail, lambda: 2])
    assert next(results) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)
    assert threading.active_count() == before
    results = read_ahead([lambda: 1, lambda: 2, lambda: 3])
    next(results)
    results.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("moment", ["begin", "end"])
def test_ctrl_c_while_a_thread_comes_or_goes_is_heard(moment, monkeypatch, heard):
    """Python calls back when the thread is gone, and loses what is raised in there."""

    class Pool(reading.ThreadPoolExecutor):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            if moment == "begin":
                signal.raise_signal(signal.SIGINT)
            else:
                weakref.finalize(self, signal.raise_signal, signal.SIGINT)

    monkeypatch.setattr(reading, "ThreadPoolExecutor", Pool)
    before, found = threading.active_count(), []
    with pytest.raises(KeyboardInterrupt):
        found.extend(read_ahead([lambda: 1, lambda: 2]))
    assert found == ([] if moment == "begin" else [1, 2])
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("ends", "weights"),
    [
        ([3, 1, 4, 6], None),
        ([1, 3, 4], None),
        ([], None),
        ([0, 10], None),
        ([4, 5], None),
        ([2, 12], None),
        ([-2, 3], None),
        ([1, 4], [1, 0, 0, 0, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_a_checkpoint_with_other_ends_than_those_of_runs_is_not_believed(ends, weights):
    weights = None if weights is None else np.array(weights, float)
    terms = types.SimpleNamespace(
        held_out=True, n_samples=10, sample_weight=weights, in_blocks=True
    )
    arrays = {"training_rows": np.empty(0, np.int64), "validation_rows": np.array(ends, np.int64)}
    with pytest.raises(DamagedError):
        snapshot._rows(snapshot.Values({}, arrays), terms)
    arrays["validation_rows"] = np.array([1, 3, 4, 6])
    rows = snapshot._rows(snapshot.Values({}, arrays), terms)
    assert snapshot._rows_of_epoch(np.empty(0), rows, terms) == 6
