"""Fits and predictions of rows that are not in memory, read in blocks."""

import re
import signal
import threading

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnjit.estimators._rows as in_blocks
import nnjit.estimators._sources as sources
import nnjit.rows._source as source
import nnjit.training.blocks as blocks
from nnjit import (
    AutoEncoder,
    ConvClassifier,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    RBFClassifier,
    RecurrentClassifier,
)
from nnjit.estimators._blocked_fit import ArrayInBlocks
from nnjit.layers import Dense, PiecewiseLinear
from nnjit.rows import MappedRows, RowSource
from nnjit.rows import blocks as blocks_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N, WIDTH = 3000, 12
RNG = np.random.RandomState(0)
X = RNG.normal(size=(N, WIDTH)).astype(np.float32)
LABELS = np.array(["low", "high", "none"])[(X[:, 0] > 0) + (X[:, 1] > 1).astype(int)]
VALUES = (X[:, 0] - 2 * X[:, 1] * X[:, 2]).astype(np.float32)
WEIGHTS = RNG.randint(0, 4, N).astype(float)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 64 rows, eight of them in a buffer."""
    monkeypatch.setattr(source, "BLOCK_BYTES", 64 * 4 * WIDTH)
    monkeypatch.setattr(blocks, "BUFFER_BYTES", 512 * 4 * WIDTH)
    monkeypatch.setattr(in_blocks, "BUFFER_BYTES", 512 * 4 * WIDTH)


class Counted(RowSource):
    """Counts what is read of an array."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.reads, self.threads = [], set()

    def read(self, start, stop):
        self.reads.append((start, stop))
        self.threads.add(threading.get_ident())
        return self.array[start:stop]


def memmap_of(array, folder):
    np.save(folder / "rows.npy", array)
    return np.load(folder / "rows.npy", mmap_mode="r")


def hdf5_of(array, folder, **options):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    file = h5py.File(folder / "rows.h5", "w")
    return file.create_dataset("rows", data=array, **options)


def zarr_of(array, folder):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    chunks = (32, *array.shape[1:])
    if int(zarr.__version__.split(".")[0]) < 3:
        return zarr.array(array, chunks=chunks)
    return zarr.create_array(str(folder / "rows.zarr"), data=array, chunks=chunks)


STORES = {
    "memmap": memmap_of,
    "HDF5": hdf5_of,
    "HDF5 in chunks": lambda array, folder: hdf5_of(array, folder, chunks=(16, *array.shape[1:])),
    "Zarr": zarr_of,
    "one's own": lambda array, folder: Counted(array),
}


@pytest.fixture(params=STORES)
def stored(request, tmp_path):
    return lambda array: STORES[request.param](array, tmp_path)


def classifier(**parameters):
    given = {"shuffle": "blocks", "random_state": 3, "max_iter": 4, "hidden_layer_sizes": 9}
    return MLPClassifier(**{**given, **parameters})


def assert_same(one, other):
    for a, b in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_]):
        assert np.array_equal(a, b)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "t_", "n_iter_"):
        assert getattr(one, name, None) == getattr(other, name, None)


OPTIONS = {
    "plain": {},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2},
    "scorer": {"early_stopping": True, "scoring": "balanced_accuracy"},
    "odd minibatches": {"batch_size": 777},
    "class weights": {"class_weight": "balanced", "dropout": 0.2},
    "one cycle": {"learning_rate": "one_cycle", "average": 0.9},
}


@pytest.mark.parametrize(
    ("store", "name"),
    [*((store, "early stopping") for store in STORES), *(("memmap", name) for name in OPTIONS)],
)
def test_a_fit_is_the_same_wherever_the_rows_lie(store, name, tmp_path):
    rows, options = STORES[store](X, tmp_path), OPTIONS[name]
    expected = classifier(**options).fit(X, LABELS, sample_weight=WEIGHTS)
    found = classifier(**options).fit(rows, LABELS, sample_weight=WEIGHTS)
    assert_same(found, expected)
    for method in ("predict", "predict_proba", "predict_log_proba", "activations"):
        assert np.array_equal(getattr(found, method)(rows), getattr(expected, method)(X))
    assert found.score(rows, LABELS) == expected.score(X, LABELS)


@pytest.mark.parametrize("kind", [np.int64, ">f8"])
def test_numbers_that_float32_cannot_hold_keep_their_values(kind, tmp_path):
    numbers = (2**30 + 40 * X).astype(kind)
    found = MLPRegressor(shuffle="blocks", max_iter=2, random_state=0)
    expected = MLPRegressor(shuffle="blocks", max_iter=2, random_state=0)
    assert_same(found.fit(memmap_of(numbers, tmp_path), VALUES), expected.fit(numbers, VALUES))


class OneArray(Counted):
    """Gives all blocks in the same array."""

    def __init__(self, array):
        super().__init__(array)
        self.same = np.empty_like(array)

    def read(self, start, stop):
        self.same[: stop - start] = self.array[start:stop]
        return self.same[: stop - start]


def test_a_source_may_give_all_blocks_in_the_same_array():
    options = {"early_stopping": True, "validation_fraction": 0.3}
    found = classifier(**options).fit(OneArray(X), LABELS)
    expected = classifier(**options).fit(X, LABELS)
    assert_same(found, expected)
    assert np.array_equal(found.predict_proba(OneArray(X)), expected.predict_proba(X))
    rows = OneArray(X)  # the rows that are held out and those trained on come in one array
    found = classifier(early_stopping=True).fit(rows, LABELS, X_val=rows, y_val=LABELS)
    expected = classifier(early_stopping=True).fit(X, LABELS, X_val=X, y_val=LABELS)
    assert_same(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, "float32"])
def test_the_type_of_a_source_may_be_given_as_numpy_takes_it(dtype):
    rows = Counted(X)
    rows.dtype = dtype
    assert len(next(blocks_of(rows))) == 64
    assert_same(classifier().fit(rows, LABELS), classifier().fit(X, LABELS))


@pytest.mark.parametrize("kind", [tuple, np.array])
def test_names_of_features_may_be_any_sequence_of_as_many(kind):
    rows = Named(X, kind([f"f{i}" for i in range(WIDTH)]))
    model = classifier().fit(rows, LABELS)
    assert model.feature_names_in_.tolist() == [f"f{i}" for i in range(WIDTH)]
    assert len(model.predict(rows)) == N
    with pytest.raises(ValueError, match="12 features, but 3 names of them"):
        classifier().fit(Named(X, kind(["a", "b", "c"])), LABELS)


class Named(Counted):
    """Has names of its features."""

    feature_names = None

    def __init__(self, array, names):
        super().__init__(array)
        self.feature_names = names


def test_what_takes_rows_in_any_order_is_told_to_have_them_in_memory():
    with pytest.raises(TypeError, match=r"such as cross-validation.* in memory, X\[:\]"):
        cross_val_score(classifier(), Counted(X), LABELS, error_score="raise")
    with pytest.raises(TypeError, match=r"read in slices .* in memory, X\[:\]"):
        make_pipeline(StandardScaler(), classifier()).fit(Counted(X), LABELS)


class NoEngine:
    """Gives back what it is to train on."""

    def dataset(self, rows, y, sample_weight=None):
        return y


def order_of_epoch(rng, batch_size):
    """Numbers of the rows in the order of an epoch in blocks."""
    rows = ArrayInBlocks(X)
    cut = blocks.Blocks(rows.block_starts(), N)
    epoch = blocks.BlockedRows(NoEngine(), rows, np.arange(N), None, cut, True)
    return np.concatenate([y[order] for y, order, _ in epoch.epoch(rng, batch_size)])


def test_a_fit_in_blocks_is_one_in_memory_that_visits_the_rows_in_that_order():
    given = {"batch_size": 50, "hidden_layer_sizes": 9}
    by_blocks = MLPRegressor(shuffle="blocks", random_state=1, **given).partial_fit(X, VALUES)
    rng = np.random.RandomState(1)
    with pytest.warns(UserWarning, match="batch_size"):  # draws the weights, and no order
        MLPRegressor(shuffle=False, random_state=rng, **given).partial_fit(X[:1], VALUES[:1])
    order = order_of_epoch(rng, 50)
    assert sorted(order) == list(range(N))
    in_memory = MLPRegressor(shuffle=False, random_state=1, **given)
    in_memory.partial_fit(X[order], VALUES[order])
    assert all(map(np.array_equal, by_blocks.coefs_, in_memory.coefs_))
    assert by_blocks.loss_ == pytest.approx(in_memory.loss_, rel=1e-12)


def test_without_shuffling_a_fit_is_that_of_an_array_to_the_bit(stored):
    expected = MLPRegressor(shuffle=False, random_state=0, max_iter=3).fit(X, VALUES)
    found = MLPRegressor(shuffle=False, random_state=0, max_iter=3).fit(stored(X), VALUES)
    for a, b in zip(expected.coefs_, found.coefs_):
        assert np.array_equal(a, b)
    assert found.loss_curve_ == pytest.approx(expected.loss_curve_, rel=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_change_no_bit(threads):
    import numba

    wide = np.tile(X, 12)  # enough work for several
    made = []
    before = numba.get_num_threads()
    for number in {1, min(threads, numba.config.NUMBA_NUM_THREADS)}:
        numba.set_num_threads(number)
        made.append(classifier(hidden_layer_sizes=200, max_iter=2).fit(wide, LABELS))
    numba.set_num_threads(before)
    assert_same(made[0], made[-1])


def test_lbfgs_adds_up_the_gradients_of_all_blocks(tmp_path):
    rows, options = memmap_of(X.astype(np.float64), tmp_path), {"solver": "lbfgs", "alpha": 0.1}
    for weights in (None, WEIGHTS):
        expected = classifier(shuffle=True, max_iter=15, **options)
        expected.fit(X.astype(np.float64), LABELS, sample_weight=weights)
        found = classifier(max_iter=15, **options).fit(rows, LABELS, sample_weight=weights)
        assert found.loss_ == pytest.approx(expected.loss_, rel=1e-8)
        for a, b in zip(found.coefs_, expected.coefs_):
            np.testing.assert_allclose(a, b, atol=1e-6)


def test_blocks_that_weigh_nothing_are_left_out_of_the_gradient(tmp_path):
    weights = np.where(np.arange(N) < 700, 0.0, WEIGHTS)
    rows = X.astype(np.float64)
    expected = classifier(shuffle=True, solver="lbfgs", alpha=1.0).fit(rows, LABELS, weights)
    found = classifier(solver="lbfgs", alpha=1.0).fit(memmap_of(rows, tmp_path), LABELS, weights)
    assert found.loss_ == pytest.approx(expected.loss_, rel=1e-9)
    adam = classifier(batch_size=64).fit(Counted(X), LABELS, weights)
    assert_same(adam, classifier(batch_size=64).fit(X, LABELS, weights))
    assert adam.n_skipped_batches_ == 0  # rows of no weight are mixed with others


def test_each_epoch_reads_every_row_once_in_a_thread_of_its_own():
    rows = Counted(X)
    classifier(max_iter=3).fit(rows, LABELS)
    read = np.zeros(N, int)
    for start, stop in rows.reads[1:]:  # the first looks at one row
        read[start:stop] += 1
    # and the advice on inputs looks at the first rows
    assert set(read[700:]) == {3} and read[:700].max() <= 4
    assert {stop - start for start, stop in rows.reads[2:]} <= {64, N % 64}
    assert len(rows.threads) > 1


def test_targets_and_weights_may_lie_in_a_file(stored):
    rows, values, weights = Counted(X), stored(VALUES), WEIGHTS
    found = MLPRegressor(shuffle="blocks", random_state=0, max_iter=2).fit(rows, values, weights)
    expected = MLPRegressor(shuffle="blocks", random_state=0, max_iter=2).fit(X, VALUES, WEIGHTS)
    assert_same(found, expected)


def test_partial_fit_and_a_warm_start_go_on():
    rows = Counted(X)
    one, other = classifier(warm_start=True, max_iter=2), classifier(warm_start=True, max_iter=2)
    for _ in range(2):
        one.fit(X, LABELS)
        other.fit(rows, LABELS)
    assert_same(one, other)
    one, other = classifier(), classifier()
    for _ in range(2):
        one.partial_fit(X, LABELS, classes=np.unique(LABELS))
        other.partial_fit(rows, LABELS, classes=np.unique(LABELS))
    assert_same(one, other)


def test_a_warm_start_holds_out_the_same_rows_in_whatever_way_it_shuffles():
    model = classifier(warm_start=True, early_stopping=True, max_iter=2).fit(Counted(X), LABELS)
    _, held_out = model._validation_split.rows()
    for shuffle in ("blocks", True):
        model.set_params(shuffle=shuffle).fit(X, LABELS)
        assert np.array_equal(model._validation_split.rows()[1], held_out)
    assert len(held_out) == N // 10


def test_validation_rows_may_be_read_in_blocks():
    rows = Counted(X)
    for n in (400, N):  # in memory, and more than a buffer holds
        given = {"X_val": X[:n], "y_val": LABELS[:n]}
        expected = classifier(early_stopping=True).fit(X, LABELS, **given)
        given = {"X_val": rows if n == N else rows[:n], "y_val": LABELS[:n]}
        found = classifier(early_stopping=True).fit(rows, LABELS, **given)
        assert_same(found, expected)
        assert found.validation_loss_curve_ == expected.validation_loss_curve_


def test_a_memory_map_of_validation_rows_is_read_in_blocks_too(tmp_path, monkeypatch):
    rows, read = memmap_of((10 * X).astype(np.int16), tmp_path), []  # to be converted to float64
    expected = classifier().fit(rows[:], LABELS, X_val=np.array(rows), y_val=LABELS)
    block = in_blocks.PreparedRows._block
    monkeypatch.setattr(
        in_blocks.PreparedRows,
        "_block",
        lambda self, *at: read.append(self.name) or block(self, *at),
    )
    found = classifier().fit(rows, LABELS, X_val=rows, y_val=LABELS)
    assert_same(found, expected)
    assert found.validation_loss_curve_ == expected.validation_loss_curve_
    assert "X_val" in read


def test_a_fit_that_was_cut_off_goes_on_to_the_bit(tmp_path):
    rows = Counted(X)
    for options in ({}, {"early_stopping": True}):
        path = tmp_path / f"{len(options)}.npz"
        expected = classifier(max_iter=5, **options).fit(rows, LABELS)
        given = {"checkpoint": str(path), "checkpoint_interval": 1, **options}
        classifier(max_iter=2, **given).fit(rows, LABELS)
        found = classifier(max_iter=5, **given).fit(X, LABELS)
        assert_same(found, expected)
        other = X + (np.arange(N) == N - 1)[:, np.newaxis].astype(np.float32)
        with pytest.raises(ValueError, match="the data"):
            classifier(max_iter=6, **given).fit(other, LABELS)


@pytest.mark.parametrize(("bad", "row"), [(np.nan, 1234), (np.inf, 0)])
def test_a_row_that_is_not_finite_is_named_and_the_estimator_stays_as_it_was(stored, bad, row):
    broken = X.copy()
    broken[row, 5] = bad
    model = classifier().fit(X, LABELS)
    before, rows = [one.copy() for one in model.coefs_], stored(broken)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"contains (NaN|infinity).*row {row}[.]"):
            method(rows, LABELS)
    assert all(map(np.array_equal, before, model.coefs_))
    with pytest.raises(ValueError, match=f"row {row}[.]"):
        model.predict(rows)
    assert not [one for one in threading.enumerate() if one.name.startswith("nnjit-rows")]


def test_a_row_that_is_too_large_for_the_network_is_named():
    large = X.astype(float)
    large[1234, 5] = 1e300
    model = classifier().fit(X, LABELS)
    with pytest.raises(ValueError, match="too large for dtype.'float32'.: row 1234[.]"):
        model.predict(Counted(large))


@pytest.mark.parametrize(
    ("rows", "target", "words"),
    [
        (X[:, :5], None, "X has 5 features, but MLPClassifier is expecting 12 features as input"),
        (X[:0], LABELS[:0], "Found array with 0 sample"),
        (X[:, :0], LABELS, "Found array with 0 feature"),
        (X.reshape(N, 3, 4), LABELS, "dim 3"),
        (X, LABELS[:-1], "inconsistent numbers of samples"),
        (X.astype("S4"), LABELS, "numbers are needed"),
        (X[0, 0], LABELS, "got scalar X instead"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, target, words):
    model = classifier().fit(X, LABELS)
    with pytest.raises(ValueError, match=words):
        if target is None:
            model.predict(Counted(rows))
        model.fit(Counted(rows), target)


def test_values_are_checked_as_those_of_rows_in_memory():
    y = X[:, 0].astype(float)
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, random_state=0)
    model.shuffle = "blocks"
    expected = model.fit(Counted(X), y).loss_curve_
    assert model.fit(Counted(X), list(map(str, y))).loss_curve_ == expected
    infinite = np.where(np.arange(N) == 7, np.inf, y).astype(object)
    for wrong, error, words in (
        (infinite, ValueError, "Input y contains infinity"),
        (["rye"] * N, ValueError, "could not convert string to float: 'rye'"),
        (csr_array(y[:, np.newaxis]), TypeError, "Sparse data was passed for y"),
    ):
        with pytest.raises(error, match=words):
            model.fit(Counted(X), wrong)


def test_a_held_out_row_that_is_not_finite_has_its_number_in_the_file():
    runs = classifier(early_stopping=True).fit(Counted(X), LABELS)._validation_split.runs
    row = int(runs[5, 1]) - 1
    broken = X.copy()
    broken[row, 5] = np.nan
    with pytest.raises(ValueError, match=f"row {row}[.]"):
        classifier(early_stopping=True).fit(Counted(broken), LABELS)


@pytest.mark.parametrize("part", [np.s_[:1], np.s_[:-1], np.s_[:, :1], np.s_[:, 0]])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_block_of_another_shape_than_promised_is_refused_not_repeated(part, solver):
    class Short(Counted):
        def read(self, start, stop):
            return self.array[start:stop] if start < 64 else self.array[start:stop][part]

    model = classifier(solver=solver)
    for method in (lambda rows: model.fit(rows, LABELS), classifier().fit(X, LABELS).predict):
        with pytest.raises(
            ValueError, match=r"X of shape \(3000, 12\) has given rows 64 to 127 in"
        ):
            method(Short(X))


@pytest.mark.parametrize("first", [0, 64])
def test_sparse_blocks_are_refused_wherever_they_come(first):
    class Sparse(Counted):
        def read(self, start, stop):
            block = self.array[start:stop]
            return block if start < first else csr_array(block)

    for parameters in ({}, {"early_stopping": True}):
        with pytest.raises(TypeError, match="these are sparse"):
            classifier(**parameters).fit(Sparse(X), LABELS)


def test_what_needs_all_rows_says_so():
    rows = Counted(X)
    with pytest.raises(ValueError, match="use shuffle='blocks'"):
        classifier(shuffle=True).fit(rows, LABELS)
    for model in (RBFClassifier(), AutoEncoder()):
        with pytest.raises(ValueError, match="looks at all rows at once"):
            model.fit(rows, LABELS)
        with pytest.raises(ValueError, match="shuffle='blocks' cannot be used with"):
            model.set_params(shuffle="blocks").fit(X, LABELS)
    edges = NetworkClassifier([PiecewiseLinear(4), Dense(3)], shuffle="blocks")
    with pytest.raises(ValueError, match="looks at all rows at once"):
        edges.fit(rows, LABELS)
    with pytest.raises(ValueError, match="targets='sequence'"):
        RecurrentClassifier(targets="sequence", shuffle="blocks").fit(X, X > 0)
    with pytest.raises(ValueError, match="needs dense X"):
        from scipy import sparse

        classifier().fit(sparse.csr_array(X), LABELS)
    with pytest.raises(TypeError, match="gives slices of rows"):
        rows[[0, 1]]


def test_a_file_is_read_whole_where_rows_are_visited_in_any_order(tmp_path):
    rows = hdf5_of(X, tmp_path)
    expected = classifier(shuffle=True).fit(X, LABELS)
    assert_same(classifier(shuffle=True).fit(rows, LABELS), expected)
    memory_map = memmap_of(X, tmp_path)
    assert_same(classifier(shuffle=True).fit(memory_map, LABELS), expected)


def test_it_is_said_that_a_large_file_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_LARGE", 1000)
    with pytest.warns(ConvergenceWarning, match="read into memory whole, .*shuffle='blocks'"):
        classifier(shuffle=True).fit(hdf5_of(X, tmp_path), LABELS)


def test_small_memory_maps_are_predicted_as_arrays_and_large_ones_by_blocks(tmp_path, monkeypatch):
    model, rows = classifier().fit(X, LABELS), memmap_of(X, tmp_path)
    expected, calls = model.predict_proba(X), []
    forward = in_blocks.forward_blocks
    monkeypatch.setattr(
        in_blocks, "forward_blocks", lambda *given: calls.append(1) or forward(*given)
    )
    assert np.array_equal(model.predict_proba(rows[:100]), expected[:100]) and not calls
    assert np.array_equal(model.predict_proba(rows), expected) and calls


def test_images_and_series_are_read_in_any_form(stored):
    images = X.reshape(N, 1, 3, 4)
    options = {"shuffle": "blocks", "max_iter": 2, "random_state": 0, "filters": 4}
    expected = ConvClassifier(input_shape=(1, 3, 4), **options).fit(X, LABELS)
    rows = stored(images)
    found = ConvClassifier(**options).fit(rows, LABELS)
    assert_same(found, expected)
    assert np.array_equal(found.predict_proba(rows), expected.predict_proba(X))


def test_series_of_unequal_length_are_read_by_blocks_and_a_bad_case_is_named(tmp_path):
    series = X.copy()
    series[::3, 7:] = np.nan
    options = {"shuffle": "blocks", "max_iter": 2, "random_state": 0, "units": 4}
    expected = RecurrentClassifier(**options).fit(series, LABELS)
    assert_same(RecurrentClassifier(**options).fit(memmap_of(series, tmp_path), LABELS), expected)
    series[2000, 2] = np.nan
    series[2000, 5] = 1.0
    with pytest.raises(ValueError, match="case 2000"):
        RecurrentClassifier(**options).fit(Counted(series), LABELS)


def test_integers_are_computed_in_float64_and_mapped_rows_in_what_comes_out():
    pixels = (np.abs(X) * 50).astype(np.uint8)
    found = classifier().fit(Counted(pixels), LABELS)
    assert found.coefs_[0].dtype == np.float64
    scaled = MappedRows(pixels, lambda block: block.astype(np.float32) / 255)
    expected = classifier().fit(pixels.astype(np.float32) / 255, LABELS)
    assert_same(classifier().fit(scaled, LABELS), expected)


def test_a_scaler_that_has_gone_through_the_blocks_scales_rows_as_they_are_read():
    rows, scaler = Counted(X * 30 + 7), StandardScaler()
    for block in source.blocks(rows):
        scaler.partial_fit(block)
    mapped = MappedRows(rows, scaler.transform)
    assert np.abs(mapped[:].mean(axis=0)).max() < 1e-3
    assert classifier(max_iter=40).fit(mapped, LABELS).score(mapped, LABELS) > 0.8
    with pytest.raises(ValueError, match="returns 63 rows for 64"):
        MappedRows(X, lambda block: block[: max(1, len(block) - 1)]).read(0, 64)
    with pytest.raises(TypeError, match="gives slices"):
        MappedRows([[1.0]], abs)


def test_blocks_follow_chunks_that_are_large(tmp_path):
    rows = hdf5_of(X, tmp_path, chunks=(100, WIDTH))
    starts = source.ArrayRows(rows).block_starts(64)
    assert starts.tolist() == list(range(0, N, 100))
    assert [len(block) for block in source.blocks(rows, 128)] == [100] * 30
    assert [len(block) for block in source.blocks(X, 1000)] == [1000] * 3


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="needs signals")
@pytest.mark.usefixtures("heard")
def test_ctrl_c_between_two_buffers_keeps_what_was_learned():
    class Interrupting(Counted):
        def read(self, start, stop):
            if len(self.reads) == 70:  # in the second epoch
                signal.raise_signal(signal.SIGINT)
            return super().read(start, stop)

    rows = Interrupting(X)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model = classifier(max_iter=1000, tol=0.0).fit(rows, LABELS)
    assert 1 <= model.n_iter_ < 1000
    assert model.score(Counted(X), LABELS) > 0.2
    assert not [one for one in threading.enumerate() if one.name.startswith("nnjit-rows")]


def test_scikit_learns_estimator_shuffles_all_rows():
    theirs = classifier().fit(X, LABELS).to_sklearn()
    assert theirs.shuffle is True
    assert np.array_equal(theirs.predict(X), classifier().fit(Counted(X), LABELS).predict(X))


def test_slices_of_sources_are_those_of_arrays():
    rows = Counted(X)
    for part in (slice(5, 9), slice(-3, None), slice(None, 7, 3), slice(9, 4), slice(9, 4, -2)):
        assert np.array_equal(rows[part], X[part])
    assert len(rows) == N and rows.ndim == 2


def test_blocks_of_nothing_are_none_and_what_has_no_rows_is_refused():
    assert list(source.blocks(X[:0])) == []
    assert [len(one) for one in source.blocks(X[:5], 2)] == [2, 2, 1]
    for wrong in ((X, 0), (X, -3), (np.array(1.0), None)):
        with pytest.raises(ValueError, match="at least 1|got a scalar"):
            list(source.blocks(*wrong))


def test_nothing_is_imported_for_arrays_of_other_libraries():
    import subprocess
    import sys

    code = (
        "import sys, numpy as np, nnjit.rows\n"
        "from nnjit.rows import blocks\n"
        "list(blocks(np.zeros((3, 2))))\n"
        "print({'h5py', 'zarr'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "set()", re.sub(r"\s+", " ", done.stderr)


def test_what_reads_rows_in_blocks_is_loaded_when_there_are_such():
    import subprocess
    import sys

    code = (
        "import sys, warnings, numpy as np, nnjit\n"
        "warnings.simplefilter('ignore')\n"
        "def loaded():\n"
        "    return [name in sys.modules for name in\n"
        "            ('nnjit.estimators._blocked_fit', 'nnjit.training.blocks')]\n"
        "X, model = np.eye(9), nnjit.MLPRegressor(max_iter=1)\n"
        "model.fit(X, X[0]).predict(X)\n"
        "found = loaded()\n"
        "model.set_params(shuffle='blocks').fit(X, X[0])\n"
        "print(found + loaded())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip() == "[False, False, True, True]", done.stderr[-800:]
