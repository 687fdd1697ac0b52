"""Augmentation against the oracle, which draws the same: on any block, thread and series."""

import itertools

import numba
import numpy as np
import pytest
from comparing import assert_agree
from comparing import tolerance_of_noise as tolerance
from packed import REMAINS, OneLayer
from scipy import stats

import naive
from nnjit.backends import plan, tuner
from nnjit.backends.program import make_program
from nnjit.backends.select import make_engine
from nnjit.core.simd import TILE
from nnjit.layers.augmentation.spec import Augment
from nnjit.layers.convolution.spec import Conv
from nnjit.layers.dense.spec import Dense
from nnjit.layers.flatten.spec import Flatten
from nnjit.layers.network import Network

jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
DTYPES = [np.float32, np.float64]
every_precision = pytest.mark.parametrize("dtype", DTYPES)
SEED = 2**33 + 7
WIDTH = TILE.bytes // 4  # rows of a vector of float32
OPTIONS = {
    "nothing": {},
    "shift": {"shift": 2},
    "flip": {"flip": True},
    "crop": {"crop": 0.5},
    "noise": {"noise": 0.5},
    "moved and noisy": {"shift": 1, "flip": True, "noise": 0.25},
    "all": {"shift": 3, "flip": True, "crop": 0.3, "noise": 0.1},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
SHAPES = [(1, 6, 7), (3, 4, 5), (2, 9), (1, 1), (3, 2, 1)]
LEAST = 1e-4  # p-value of a test with fixed numbers


def rows_of(n, shape, dtype, lengths=None, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, *shape)).astype(dtype)
    for row, length in zip(x, lengths if lengths is not None else [], strict=lengths is not None):
        row[:, length:] = 0
    return x


@every_precision
@every_option
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, WIDTH - 1, WIDTH + 1])
def test_rows_are_those_of_the_oracle(dtype, options, shape, rows):
    x = rows_of(rows, shape, dtype)
    found = OneLayer(Augment(**options), shape, dtype, rows).forward(x, None, SEED, 3, 40)
    expected = naive.augment(x, SEED, 3, 0, **options, first=40)
    np.testing.assert_allclose(found, expected, **tolerance(dtype))


@every_precision
def test_each_axis_may_have_a_shift_of_its_own(dtype):
    x = rows_of(9, (2, 6, 5), dtype)
    for shift in ((3, 0), (0, 2), (5, 4)):
        found = OneLayer(Augment(shift), (2, 6, 5), dtype, 9).forward(x, None, 1, 2)
        np.testing.assert_array_equal(found, naive.augment(x, 1, 2, 0, shift))


@every_precision
@every_option
def test_of_a_shorter_series_its_own_points_are_changed(dtype, options):
    lengths = [9, 1, 4, 7, 2, 9, 3, 8, 5]
    x = rows_of(9, (2, 9), dtype, lengths)
    found = OneLayer(Augment(**options), (2, 9), dtype, 9).forward(x, lengths, SEED, 5)
    expected = naive.augment(x, SEED, 5, 0, **options, lengths=lengths)
    np.testing.assert_allclose(found, expected, **tolerance(dtype))
    for row, length in zip(found, lengths, strict=True):
        assert (row[:, length:] == 0).all()


@every_precision
@every_option
def test_a_series_does_not_depend_on_what_it_is_filled_up_with(dtype, options):
    x = rows_of(5, (3, 8), dtype)
    expected = OneLayer(Augment(**options), (3, 8), dtype, 5).forward(x, None, SEED, 1)
    for longer in (9, 30):
        filled = np.zeros((5, 3, longer), dtype)
        filled[:, :, :8] = x
        one = OneLayer(Augment(**options), (3, longer), dtype, 5)
        found = one.forward(filled, [8] * 5, SEED, 1)
        np.testing.assert_array_equal(found[:, :, :8], expected)
        assert (found[:, :, 8:] == 0).all()


@every_precision
@every_option
def test_a_row_follows_from_its_place_and_not_from_its_block(dtype, options):
    rows, layer, shape = 2 * WIDTH + 3, Augment(**options), (2, 5, 4)
    x = rows_of(rows, shape, dtype)
    whole = OneLayer(layer, shape, dtype, rows).forward(x, None, SEED, 2)
    for start, stop in [(0, 1), (5, 6), (2, WIDTH), (1, WIDTH + 2)]:
        one = OneLayer(layer, shape, dtype, stop - start)
        part = one.forward(x[start:stop], None, SEED, 2, first=start)
        np.testing.assert_array_equal(part, whole[start:stop])


@every_precision
@every_option
@pytest.mark.parametrize("rows", [1, 5, WIDTH])
def test_nothing_is_written_beside_its_values(dtype, options, rows):
    one = OneLayer(Augment(**options), (3, 3, 5), dtype, rows)
    one.forward(rows_of(rows, (3, 3, 5), dtype))
    first = int(one.step["output_row"][0]) * one.stride
    assert (one.work[first + 45 * rows : first + 45 * one.stride] == REMAINS).all()


@jit_only
def test_each_shift_is_as_likely_and_zeros_come_in():
    rows, steps = 500, 8
    x = np.tile(np.arange(1, 8.0), (rows, 1, 1))
    one, counts = OneLayer(Augment(2), (1, 7), np.float64, rows), np.zeros(5)
    for step in range(steps):
        for row in one.forward(x, None, 11, step)[:, 0]:
            moved = int(np.argmax(row == 4)) - 3
            counts[moved + 2] += 1
            inside = (np.arange(7) >= moved) & (np.arange(7) < 7 + moved)
            np.testing.assert_array_equal(row, np.where(inside, np.arange(1, 8.0) - moved, 0))
    assert LEAST < stats.chisquare(counts).pvalue < 1 - LEAST


def test_at_least_one_point_stays():
    x = np.ones((200, 1, 3))
    found = OneLayer(Augment(50), (1, 3), np.float64, 200).forward(x, [3, 1] * 100)
    assert (found[::2].sum(axis=2) >= 1).all() and (found[1::2, 0, 0] == 1).all()
    assert len(np.unique(found[::2, 0], axis=0)) == 5


@jit_only
def test_half_of_the_rows_are_mirrored():
    x = np.tile(np.arange(12.0).reshape(1, 3, 4), (4000, 1, 1, 1))
    found = OneLayer(Augment(flip=True), (1, 3, 4), np.float64, 4000).forward(x, None, 5, 0)
    mirrored = (found == x[..., ::-1]).all(axis=(1, 2, 3))
    assert (mirrored | (found == x).all(axis=(1, 2, 3))).all()
    assert stats.binomtest(int(mirrored.sum()), 4000).pvalue > LEAST


@jit_only
def test_a_crop_is_a_window_anywhere_of_any_size():
    """Of points that count themselves, slope and beginning tell share and place."""
    n, crop = 41, 0.4
    x = np.tile(np.arange(float(n)), (4000, 1, 1))
    found = OneLayer(Augment(crop=crop), (1, n), np.float64, 4000).forward(x, None, 3, 1)[:, 0]
    kept = (found[:, -1] - found[:, 0]) / (n - 1)
    np.testing.assert_allclose(np.diff(found, axis=1), kept[:, np.newaxis] * np.ones(n - 1))
    assert stats.kstest((1 - kept) / crop, "uniform").pvalue > LEAST
    assert stats.kstest(found[:, 0] / ((1 - kept) * (n - 1)), "uniform").pvalue > LEAST
    assert found.min() >= 0 and found.max() <= n - 1


@jit_only
@every_precision
def test_noise_is_normal_and_of_that_deviation(dtype):
    rows, shape = 1000, (3, 5, 7)
    found = OneLayer(Augment(noise=0.25), shape, dtype, rows).forward(
        np.zeros((rows, *shape), dtype)
    )
    noise = found.astype(np.float64).ravel() / 0.25
    assert abs(noise.mean()) < 4.5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 4.5 * np.sqrt(2 / noise.size)
    assert stats.kstest(noise, "norm").pvalue > LEAST
    values = found.reshape(rows, -1).astype(np.float64)
    correlations = np.corrcoef(values, rowvar=False)[np.triu_indices(values.shape[1], 1)]
    assert np.abs(correlations).max() < 5.5 / np.sqrt(rows)


def test_channels_move_together_and_have_noise_of_their_own():
    x = rows_of(20, (1, 6, 6), np.float64)
    both = np.concatenate([x, x], axis=1)
    for options in (OPTIONS["crop"], {"shift": 2, "flip": True}):
        found = OneLayer(Augment(**options), (2, 6, 6), np.float64, 20).forward(both)
        np.testing.assert_array_equal(found[:, 0], found[:, 1])
    found = OneLayer(Augment(noise=1.0), (2, 6, 6), np.float64, 20).forward(both)
    assert (found[:, 0] != found[:, 1]).all()


def test_seeds_steps_and_rows_draw_other_numbers():
    x = np.tile(rows_of(1, (1, 9), np.float64), (30, 1, 1))
    one = OneLayer(Augment(**OPTIONS["all"]), (1, 9), np.float64, 30)
    drawn = [one.forward(x, None, seed, step) for seed, step in ((0, 0), (1, 0), (0, 1))]
    for a, b in itertools.combinations(drawn, 2):
        assert (a != b).any(axis=(1, 2)).all()
    assert len(np.unique(drawn[0].reshape(30, -1), axis=0)) == 30


# -- in a network -----------------------------------------------------------------------


def network(shape, **options):
    size = int(np.prod(shape))
    layers = Augment(**options), Flatten(), Dense(5, "tanh"), Dense(2, "identity")
    return Network(size, layers, "squared_error", "identity", shape=shape)


def plain(shape):
    made = network(shape)
    return Network(made.inputs, made.layers[1:], "squared_error", "identity", shape=shape)


def problem(made, n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [(rng.standard_normal(one.shape) / 2).astype(dtype) for _, one in made.parameters()]
    x, y = rng.standard_normal((n, made.inputs)), rng.standard_normal((n, 2))
    return arrays, x.astype(dtype), y.astype(dtype)


def epoch(made, arrays, x, y, batch, dtype, step=0):
    """Parameters after one epoch of gradient descent."""
    engine = make_engine(made, dtype)
    engine.pack(arrays)
    optimizer = engine.optimizer("sgd", momentum=0.0, nesterov=0.0, seed=SEED)
    optimizer.learning_rate = 0.05
    orders = np.arange(len(x))[np.newaxis]
    losses = engine.train_epochs(engine.dataset(x, y), orders, batch, optimizer, 0.1)
    return engine.unpack(), losses


def epoch_of_the_oracle(shape, options, arrays, x, y, batch, lengths=None):
    """The same without the layer, on rows that the oracle has changed, step by step."""
    made, total = plain(shape), 0.0
    for step, start in enumerate(range(0, len(x), batch)):
        rows = slice(start, start + batch)
        changed = naive.augment(
            x[rows].reshape(-1, *shape), SEED, step, 0, **options,
            lengths=None if lengths is None else lengths[rows],
        )  # fmt: skip
        flat = changed.reshape(len(changed), -1)
        arrays, (loss,) = epoch(made, arrays, flat, y[rows], batch, np.float64)
        total += loss
    return arrays, [total]


@every_precision
@every_option
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 7)])
def test_steps_are_those_on_changed_rows(dtype, options, shape):
    made = network(shape, **options)
    arrays, x, y = problem(made, 50, np.float64)
    expected = epoch_of_the_oracle(shape, options, arrays, x, y, 20)
    found = epoch(made, arrays, x.astype(dtype), y.astype(dtype), 20, dtype)
    assert_agree(found, expected, dtype)


@every_precision
def test_steps_on_series_of_unequal_length(dtype):
    shape, options = (2, 7), OPTIONS["all"]
    made = network(shape, **options)
    arrays, x, y = problem(made, 50, np.float64)
    lengths = np.random.default_rng(3).integers(1, 8, 50)
    behind = np.arange(7) >= lengths[:, np.newaxis]
    given = x.reshape(-1, *shape)
    given[np.broadcast_to(behind[:, np.newaxis], given.shape)] = 0
    expected = epoch_of_the_oracle(shape, options, arrays, x, y, 20, lengths)
    given[np.broadcast_to(behind[:, np.newaxis], given.shape)] = np.nan
    assert_agree(epoch(made, arrays, x.astype(dtype), y.astype(dtype), 20, dtype), expected, dtype)


@jit_only
@every_precision
def test_steps_in_blocks_parts_and_threads_have_the_same_bits(dtype, monkeypatch):
    monkeypatch.setattr(plan, "PARALLEL_TRAIN", 0)
    monkeypatch.setattr(plan, "BLOCK_ROWS", 32)
    shape, options = (2, 3, 4), OPTIONS["all"]
    made, results = network(shape, **options), []
    arrays, x, y = problem(made, 300, np.float64)
    for threads in (1, 2, 4):
        monkeypatch.setattr(plan.threads, "thread_count", lambda threads=threads: threads)
        parallel = min(threads, numba.config.NUMBA_NUM_THREADS) > 1

        def always(self, function, first, last, parallel=parallel):
            function(parallel, first, last)

        monkeypatch.setattr(tuner.Tuner, "run", always)
        results.append(epoch(made, arrays, x.astype(dtype), y.astype(dtype), 160, dtype))
    assert_agree(results[0], epoch_of_the_oracle(shape, options, arrays, x, y, 160), dtype)
    for found, losses in results[1:]:
        assert losses == results[0][1]
        for a, b in zip(found, results[0][0], strict=True):
            np.testing.assert_array_equal(a, b)


@every_precision
def test_predictions_take_rows_as_they_are(dtype):
    shape = (2, 3, 4)
    made, without = network(shape, **OPTIONS["all"]), plain(shape)
    arrays, x, _ = problem(made, 70, dtype)
    outputs = []
    for one in (made, without):
        engine = make_engine(one, dtype)
        engine.pack(arrays)
        outputs.append(engine.predict(x))
    np.testing.assert_array_equal(*outputs)
    program, same = (make_program(one, dtype, False, False) for one in (made, without))
    assert len(program.steps) == len(same.steps) and program.rows == same.rows


def test_a_layer_with_parameters_below_is_refused_by_name():
    layers = Flatten(), Dense(4, "relu"), Dense(2, "identity")
    Network(12, (Augment(1), Augment(noise=0.1), *layers), "", "identity", shape=(3, 4))
    with pytest.raises(
        ValueError,
        match=r"Layer 1, augmentation\(1\), changes the rows: it has to come first, but layer 0, "
        r"convolution",
    ):
        Network(12, (Conv(3, 3), Augment(1), *layers), "", "identity", shape=(3, 4))


def test_it_belongs_to_no_hidden_layer_of_its_own():
    assert plain((3, 4)).hidden_ends == (2,)
    assert network((3, 4), shift=1).hidden_ends == (3,)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"shift": -1}, "shift is an int of at least 0"),
        ({"shift": 1.5}, "shift is an int of at least 0"),
        ({"flip": "left"}, "flip is True or False, got 'left'"),
        ({"crop": 1.0}, r"crop is a share in \[0, 1\), got 1.0"),
        ({"crop": "half"}, r"crop is a share in \[0, 1\)"),
        ({"noise": -0.5}, "noise is a standard deviation of at least 0"),
        ({"noise": float("nan")}, "noise is a standard deviation of at least 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Augment(**options)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="takes series of shape"):
        Augment(1).outputs(12)
    with pytest.raises(ValueError, match=r"shift=\(1, 2\) has 2 numbers, but series have one axis"):
        Augment((1, 2)).outputs((1, 9))
