"""SelfOrganizingMap: batch training by its definition, missing values, segments, partial_fit."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_distances, nan_euclidean_distances
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

import naive
from nnjit import SelfOrganizingMap
from nnjit.core.jobs import threads
from nnjit.training import self_organizing
from nnjit.training.map_grid import Grid


@pytest.fixture(scope="module")
def digits():
    X = load_digits().data
    return np.ascontiguousarray(StandardScaler().fit_transform(X[:, X.std(axis=0) > 0]))


@pytest.fixture(scope="module")
def fitted(digits):
    return SelfOrganizingMap((10, 10), topology="rectangular").fit(digits)


def with_gaps(X, share, seed=0):
    rng = np.random.default_rng(seed)
    missing = rng.random(X.shape) < share
    missing[np.arange(len(X)), rng.integers(X.shape[1], size=len(X))] = False
    return np.where(missing, np.nan, X).astype(X.dtype)


def matrix(som):
    return som.weights_.reshape(-1, som.weights_.shape[-1])


def same_map(one, other):
    return one.weights_.tobytes() == other.weights_.tobytes()


# Training


@pytest.mark.parametrize("topology", ["hexagonal", "rectangular"])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_epochs_are_those_of_the_definition(digits, topology, gaps):
    X = with_gaps(digits[:300, :12], gaps)
    rng = np.random.default_rng(0)
    start, row_weights = rng.normal(size=(20, 12)), rng.integers(0, 3, size=300)
    som = SelfOrganizingMap((4, 5), topology=topology, init=start, max_iter=6)
    som.fit(X, sample_weight=row_weights)
    places = np.column_stack(Grid(4, 5, topology == "hexagonal", False).places())
    weights, errors = start, []
    for epoch in range(6):
        nearest = naive.map_distances(X, weights).min(axis=1)
        errors.append(np.average(nearest, weights=row_weights))
        sigma = 2.5 * (0.5 / 2.5) ** (epoch / 5)
        weights = naive.map_epoch(X, weights, places, sigma, row_weights)
    np.testing.assert_allclose(matrix(som), weights, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(som.quantization_error_curve_, errors, rtol=1e-9)
    nearest = naive.map_distances(X, weights)
    np.testing.assert_array_equal(som.labels_, nearest.argmin(axis=1))
    expected = np.average(nearest.min(axis=1), weights=row_weights)
    np.testing.assert_allclose(som.quantization_error_, expected, rtol=1e-9)


def test_a_map_of_digits_is_close_to_its_rows_and_in_order(fitted, digits):
    """A tenth of the rows at most lies between units that are no neighbours."""
    assert fitted.quantization_error_ < 4.35
    assert fitted.topographic_error_ < 0.1
    assert fitted.n_iter_ == len(fitted.quantization_error_curve_) == 30
    assert fitted.weights_.shape == (10, 10, 61)
    assert fitted.quantization_error_curve_[-1] < fitted.quantization_error_curve_[0]
    np.testing.assert_array_equal(fitted.labels_, fitted.predict(digits))


def test_topographic_error_is_that_of_minisom(fitted, digits):
    distances = fitted.transform(digits)
    first, second = distances.argsort(axis=1)[:, :2].T
    places = np.stack(np.divmod(np.arange(100), 10), axis=1)
    apart = np.abs(places[first] - places[second]).max(axis=1) > 1
    assert fitted.topographic_error_ == pytest.approx(apart.mean(), abs=1e-12)


def test_bits_depend_neither_on_threads_nor_on_pieces(digits, monkeypatch):
    X = with_gaps(digits, 0.1)
    expected = SelfOrganizingMap((6, 6), max_iter=3).fit(X)
    monkeypatch.setattr(self_organizing, "_PARALLEL", 0)
    monkeypatch.setattr(self_organizing, "_PARALLEL_SUMS", 0)
    monkeypatch.setattr(self_organizing, "_ROWS", 1 << 8)
    for count in (1, 2, 4):
        monkeypatch.setattr(self_organizing, "thread_count", lambda: count)  # noqa: B023
        som = SelfOrganizingMap((6, 6), max_iter=3).fit(X)
        assert same_map(som, expected)
        assert som.labels_.tobytes() == expected.labels_.tobytes()
    if threads.thread_count() > 1:
        assert threads._started


def test_the_order_of_the_rows_does_not_matter(digits):
    som = SelfOrganizingMap((5, 5), max_iter=10).fit(digits)
    turned = SelfOrganizingMap((5, 5), max_iter=10).fit(digits[::-1])
    np.testing.assert_allclose(som.weights_, turned.weights_, rtol=1e-9, atol=1e-11)


def test_a_row_of_weight_two_is_two_rows(digits):
    X = digits[:200]
    counts = np.random.RandomState(0).randint(0, 3, size=200)
    twice = SelfOrganizingMap((4, 4), max_iter=5).fit(np.repeat(X, counts, axis=0))
    weighted = SelfOrganizingMap((4, 4), max_iter=5).fit(X, sample_weight=counts)
    np.testing.assert_allclose(weighted.weights_, twice.weights_, rtol=1e-9, atol=1e-11)
    assert weighted.quantization_error_ == pytest.approx(twice.quantization_error_)
    assert weighted.topographic_error_ == pytest.approx(twice.topographic_error_)


@pytest.mark.parametrize("offset, scale", [(1e4, 1.0), (0.0, 1e30), (0.0, 1e-30)])
def test_float32_far_from_the_origin_large_and_small(digits, offset, scale):
    X = digits[:500, :10]
    X = (X * scale + offset).astype(np.float32)
    plain = SelfOrganizingMap((4, 4), max_iter=5).fit((X.astype(np.float64) - offset) / scale)
    som = SelfOrganizingMap((4, 4), max_iter=5).fit(X)
    assert som.weights_.dtype == som.transform(X).dtype == np.float32
    weights = (som.weights_.astype(np.float64) - offset) / scale
    np.testing.assert_allclose(weights, plain.weights_, atol=2e-3)
    assert np.mean(som.labels_ == plain.labels_) > 0.99
    assert som.quantization_error_ == pytest.approx(plain.quantization_error_ * scale, rel=1e-3)
    assert som.transform(X).min(axis=1).mean() == pytest.approx(som.quantization_error_, rel=1e-3)


def test_a_map_that_closes_has_no_edges(digits):
    """Units at the border of a plane map are drawn inwards; there are none on a torus."""
    spread = {}
    for periodic in (False, True):
        som = SelfOrganizingMap((6, 6), periodic=periodic, sigma_end=2.0).fit(digits)
        first, second = Grid(6, 6, True, True).edges()
        apart = np.linalg.norm(matrix(som)[first] - matrix(som)[second], axis=1)
        spread[periodic] = apart.max() / apart.mean()
    assert spread[True] < 0.7 * spread[False]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), [3, 4], np.array([2, 2])])
def test_shapes(shape):
    X = load_iris().data
    som = SelfOrganizingMap(shape, max_iter=5).fit(X)
    assert som.weights_.shape == (*np.asarray(shape), 4)
    assert som.transform(X).shape == (150, np.prod(shape))
    assert np.isfinite(som.weights_).all()


def test_rows_that_are_all_the_same():
    X = np.full((7, 3), 2.5)
    som = SelfOrganizingMap((3, 3)).fit(X)
    np.testing.assert_allclose(som.weights_, 2.5)
    assert som.quantization_error_ == 0


# Where it starts


def test_pca_start_lies_in_the_plane_of_the_components(digits):
    from sklearn.decomposition import PCA

    how = self_organizing.Comparison(False, False)
    pca = PCA(2).fit(digits)
    for X in (digits, digits[:40]):  # more rows than features, and fewer
        pca.fit(X)
        start = self_organizing.linear_start(X, Grid(3, 5, True, False), how, None)
        corners = pca.transform(start.reshape(3, 5, -1)[[0, -1], [0, -1]])
        deviations = np.sqrt(pca.explained_variance_ * (len(X) - 1) / len(X))
        np.testing.assert_allclose(np.abs(corners), np.tile(deviations, (2, 1)), rtol=1e-9)
        np.testing.assert_allclose(pca.inverse_transform(pca.transform(start)), start, atol=1e-9)


def test_random_start_draws_different_rows(digits):
    how = self_organizing.Comparison(False, False)
    rng = np.random.RandomState(0)
    weights = np.r_[np.zeros(50), np.ones(30)]
    start = self_organizing.random_start(digits[:80], 30, how, weights, rng)
    order = np.lexsort(start.T)
    rows = digits[50:80]
    np.testing.assert_array_equal(start[order], rows[np.lexsort(rows.T)])
    a, b, c = (
        SelfOrganizingMap((4, 4), init="random", random_state=seed, max_iter=3).fit(digits)
        for seed in (0, 0, 1)
    )
    assert same_map(a, b)
    assert not same_map(a, c)


def test_a_map_with_more_units_than_rows_starts_too(digits):
    for init in ("pca", "random"):
        som = SelfOrganizingMap((5, 5), init=init, random_state=0).fit(digits[:6])
        assert som.quantization_error_ < 1.0


# Missing values


def test_distances_of_missing_values_are_scikit_learns(digits):
    X = with_gaps(digits, 0.3)
    som = SelfOrganizingMap((5, 5), max_iter=5).fit(X)
    expected = nan_euclidean_distances(X, matrix(som))
    np.testing.assert_allclose(som.transform(X), expected, rtol=1e-9)
    np.testing.assert_array_equal(som.labels_, expected.argmin(axis=1))
    assert som.quantization_error_ == pytest.approx(expected.min(axis=1).mean())
    assert -som.score(X) == pytest.approx(som.quantization_error_)


def test_missing_values_move_a_map_little(digits, fitted):
    som = SelfOrganizingMap((10, 10), topology="rectangular").fit(with_gaps(digits, 0.1))
    assert -som.score(digits) < 1.03 * fitted.quantization_error_


def test_rows_and_columns_without_any_value_are_refused():
    X = load_iris().data.copy()
    som = SelfOrganizingMap((3, 3), max_iter=3).fit(X)
    before = som.weights_
    X[[4, 9]] = np.nan
    for method in (som.fit, som.partial_fit, som.predict, som.transform, som.score):
        with pytest.raises(ValueError, match="Row 4, 9 of X: all values are missing"):
            method(X)
    X = load_iris().data.copy()
    X[1:, 2] = np.nan
    with pytest.raises(ValueError, match="Column 2 of X: all values are missing"):
        som.fit(X, sample_weight=np.arange(150))
    assert som.weights_ is before
    assert som.predict(X).shape == (150,)


# Cosine


def test_cosine_is_the_angle(digits):
    X = with_gaps(digits, 0.0)
    som = SelfOrganizingMap((5, 5), metric="cosine", max_iter=10).fit(X)
    np.testing.assert_allclose(np.linalg.norm(som.weights_, axis=2), 1.0, rtol=1e-12)
    np.testing.assert_allclose(som.transform(X), cosine_distances(X, matrix(som)), atol=1e-12)
    scaled = SelfOrganizingMap((5, 5), metric="cosine", max_iter=10)
    scaled.fit(X * np.random.RandomState(0).uniform(1, 100, size=(len(X), 1)))
    np.testing.assert_allclose(scaled.weights_, som.weights_, atol=1e-9)
    plain = SelfOrganizingMap((5, 5), max_iter=1, init=matrix(som)).fit(normalize(X))
    directions = normalize(matrix(plain))
    again = SelfOrganizingMap((5, 5), metric="cosine", max_iter=1, init=matrix(som)).fit(X)
    np.testing.assert_allclose(matrix(again), directions, atol=1e-12)


# Segments


def test_segments_are_connected_and_predicted(digits):
    som = SelfOrganizingMap((8, 8), n_clusters=5, periodic=True).fit(digits)
    assert som.segments_.shape == (8, 8)
    assert sorted(set(som.segments_.ravel())) == [0, 1, 2, 3, 4]
    first = [list(som.segments_.ravel()).index(k) for k in range(5)]
    assert first == sorted(first)
    units = som.transform(digits).argmin(axis=1)
    np.testing.assert_array_equal(som.labels_, som.segments_.ravel()[units])
    np.testing.assert_array_equal(som.predict(digits), som.labels_)
    one, other = Grid(8, 8, True, True).edges()
    from scipy.sparse.csgraph import connected_components

    for k in range(5):
        inside = np.flatnonzero(som.segments_.ravel() == k)
        graph = Grid(8, 8, True, True).connectivity()[np.ix_(inside, inside)]
        assert connected_components(graph)[0] == 1


def test_segments_find_the_irises():
    X, y = load_iris(return_X_y=True)
    labels = SelfOrganizingMap((6, 8), n_clusters=3).fit_predict(X)
    assert adjusted_rand_score(y, labels) > 0.7


def test_no_segments_are_left_of_another_fit():
    X = load_iris().data
    som = SelfOrganizingMap((3, 3), n_clusters=2).fit(X)
    som.set_params(n_clusters=None).fit(X)
    assert not hasattr(som, "segments_")
    assert set(som.labels_) <= set(range(9))
    assert (SelfOrganizingMap((1, 1), n_clusters=1).fit_predict(X) == 0).all()


# partial_fit


def test_partial_fit_is_the_weighted_mean_of_its_docstring(digits):
    X, start = digits[:60, :8], np.random.default_rng(0).normal(size=(12, 8))
    places = np.column_stack(Grid(3, 4, True, False).places())
    som = SelfOrganizingMap((3, 4), init=start, max_iter=4, forgetting=0.3)
    weights, masses = start, np.zeros((12, 1))
    rows, gaps = np.array_split(X, 3), with_gaps(X[:25], 0.4)
    for call, part in enumerate([*rows, gaps]):
        som.partial_fit(part)
        bumps = naive.map_bumps(places, 2.0 * (0.5 / 2.0) ** (call / 3))
        units = naive.map_distances(part, weights).argmin(axis=1)
        sums, counts = naive.map_sums(part, units, 12, np.ones(len(part)))
        masses = masses * 0.7 ** (len(part) / 12)
        total = masses + bumps @ counts
        weights = (masses * weights + bumps @ sums) / total
        masses = total
        np.testing.assert_allclose(matrix(som), weights, rtol=1e-9, atol=1e-11)
    assert som.n_iter_ == 4
    np.testing.assert_array_equal(som.labels_, som.predict(gaps))


def test_minibatches_lead_to_as_good_a_map(digits, fitted):
    rng = np.random.RandomState(0)
    som = SelfOrganizingMap((10, 10), topology="rectangular", max_iter=60)
    for _ in range(5):
        for rows in np.array_split(rng.permutation(len(digits)), 18):
            som.partial_fit(digits[rows])
    assert -som.score(digits) < 1.02 * fitted.quantization_error_


def test_a_fitted_map_follows_rows_that_have_moved():
    X = load_iris().data
    som = SelfOrganizingMap((4, 4)).fit(X)
    assert som.n_iter_ == 30
    for _ in range(20):
        som.partial_fit(X + 1)
    assert -som.score(X + 1) < 0.5
    assert som.score(X) < -1
    with pytest.raises(ValueError, match=r"shape \(4, 4\), but the parameter shape is \(5, 5\)"):
        som.set_params(shape=(5, 5)).partial_fit(X)


# As an estimator


def test_callbacks_are_told_of_every_epoch():
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    from test_callbacks import Recorder

    class Unlabelled(Recorder):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            return super().on_fit_task_end(
                estimator, context, X=(), y=(), fitted_estimator=fitted_estimator
            )

    X, recorder = load_iris().data, Unlabelled(stop_after=4)
    som = SelfOrganizingMap((3, 4), n_clusters=2).set_callbacks(recorder).fit(X)
    assert recorder.events[:5] == ["setup", "begin fit", "begin epoch", "end epoch", "begin epoch"]
    assert recorder.events[-2:] == ["end fit", "teardown"]
    assert som.n_iter_ == 4
    at_epoch = recorder.estimators[3]
    assert same_map(at_epoch, som)
    np.testing.assert_array_equal(at_epoch.predict(X), som.labels_)


def test_ctrl_c_keeps_the_map_of_the_last_epoch(monkeypatch):
    X, moved, epochs = load_iris().data, self_organizing.moved, []

    def interrupted(*arguments):
        epochs.append(1)
        if len(epochs) == 4:
            raise KeyboardInterrupt
        return moved(*arguments)

    start = SelfOrganizingMap((3, 4), sigma=2.0, sigma_end=2.0, max_iter=3).fit(X)
    monkeypatch.setattr(self_organizing, "moved", interrupted)
    som = SelfOrganizingMap((3, 4), sigma=2.0, sigma_end=2.0)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        som.fit(X)
    assert som.n_iter_ == 3
    assert same_map(som, start)
    np.testing.assert_array_equal(som.labels_, som.predict(X))


def test_verbose_prints_the_error_of_each_epoch(capsys):
    X = load_iris().data
    som = SelfOrganizingMap((3, 3), max_iter=2, verbose=True).fit(X).partial_fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"Iteration {k}, quantization error = {error:.8f}"
        for k, error in enumerate(som.quantization_error_curve_, start=1)
    ]


def test_it_works_in_pipelines_searches_and_pickles():
    frame = load_iris(as_frame=True).data
    model = make_pipeline(StandardScaler(), SelfOrganizingMap(max_iter=3))
    search = GridSearchCV(model, {"selforganizingmap__shape": [(2, 2), (4, 5)]}).fit(frame)
    assert search.best_params_ == {"selforganizingmap__shape": (4, 5)}
    som = SelfOrganizingMap((2, 3), max_iter=3).set_output(transform="pandas").fit(frame)
    found = som.transform(frame)
    assert list(found.columns[:2]) == ["selforganizingmap0", "selforganizingmap1"]
    assert isinstance(found, pd.DataFrame) and found.shape == (150, 6)
    again = pickle.loads(pickle.dumps(som))
    np.testing.assert_array_equal(again.predict(frame), som.predict(frame))
    again.partial_fit(frame)
    assert same_map(again, som.partial_fit(frame))
    assert not hasattr(clone(som), "weights_")


def test_rows_in_any_memory_give_the_same_map(digits):
    expected = SelfOrganizingMap((3, 3), max_iter=3).fit(digits)
    frozen = digits.copy()
    frozen.flags.writeable = False
    for X in (np.asfortranarray(digits), frozen, digits.tolist(), pd.DataFrame(digits)):
        assert same_map(SelfOrganizingMap((3, 3), max_iter=3).fit(X), expected)


def test_rows_that_are_not_in_order_are_copied_piece_by_piece(digits, monkeypatch):
    from nnjit.estimators import self_organizing_map

    expected = SelfOrganizingMap((3, 3), max_iter=3).fit(digits)
    monkeypatch.setattr(self_organizing_map, "_FEW", 1000)
    monkeypatch.setattr(self_organizing, "_PIECE", 1000)
    assert same_map(SelfOrganizingMap((3, 3), max_iter=3).fit(np.asfortranarray(digits)), expected)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"shape": (3,)}, "shape must be two numbers from 1 on"),
        ({"shape": (3, 0)}, "shape must be two numbers from 1 on"),
        ({"shape": (3.5, 2)}, "shape must be two numbers from 1 on"),
        ({"shape": 3}, "'shape' parameter of SelfOrganizingMap"),
        ({"topology": "round"}, "'topology' parameter of SelfOrganizingMap"),
        ({"metric": "manhattan"}, "'metric' parameter of SelfOrganizingMap"),
        ({"init": "linear"}, "'init' parameter of SelfOrganizingMap"),
        ({"init": np.ones((3, 4))}, r"init have shape \(3, 4\), not \(2, 3, 4\) or \(6, 4\)"),
        ({"init": np.full((6, 4), np.nan)}, "init contain NaN or infinity"),
        ({"sigma": 0.2}, "sigma=0.2 is less than sigma_end=0.5"),
        ({"sigma": -1.0}, "'sigma' parameter of SelfOrganizingMap"),
        ({"n_clusters": 7}, "n_clusters=7 is more than the 6 units of the map"),
        ({"forgetting": 1.0}, "'forgetting' parameter of SelfOrganizingMap"),
    ],
)
def test_bad_parameters_are_refused_and_nothing_changes(parameters, message):
    X = load_iris().data
    som = SelfOrganizingMap((2, 3), max_iter=2).fit(X)
    before = dict(vars(som))
    som.set_params(**parameters)
    for method in (som.fit, som.partial_fit) if "init" not in parameters else (som.fit,):
        with pytest.raises(ValueError, match=message):
            method(X)
    assert vars(som) == {**before, **parameters}


def test_bad_rows_are_refused_and_nothing_changes():
    X = load_iris().data
    som = SelfOrganizingMap((2, 3), max_iter=2).fit(X)
    before = dict(vars(som))
    dates = np.full((5, 4), np.datetime64("2020-01-01"))
    for rows, weights, error, message in (
        (csr_matrix(X), None, TypeError, "[Ss]parse data was passed"),
        (dates, None, TypeError, "dates or durations"),
        (np.where(X > 5, np.inf, X), None, ValueError, "infinity"),
        (X, np.zeros(150), ValueError, "at least one non-zero"),
        (X, -np.ones(150), ValueError, "Negative values"),
        (X, np.ones(3), ValueError, "sample_weight"),
    ):
        for method in (som.fit, som.partial_fit):
            with pytest.raises(error, match=message):
                method(rows, sample_weight=weights)
    with pytest.raises(ValueError, match="expecting 4 features"):
        som.partial_fit(X[:, :2])
    assert vars(som) == before


def test_fits_and_predictions_are_quiet(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in ("euclidean", "cosine"):
            som = SelfOrganizingMap((4, 4), n_clusters=3, metric=metric, max_iter=3)
            som.fit(with_gaps(digits, 0.2)).partial_fit(digits).predict(digits)
