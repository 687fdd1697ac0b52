"""Displays of self-organizing maps are drawn, and what was drawn is looked at."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from nnjit import MLPClassifier, SelfOrganizingMap
from nnjit.inspection import SOMDisplay
from nnjit.inspection._drawing import BLUE, GREEN, ORANGE

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def figures():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def model(wine):
    som = SelfOrganizingMap((4, 5), n_clusters=3, max_iter=10)
    return make_pipeline(StandardScaler(), som).fit(wine[0])


def rendered(display):
    """Render the figure, and check that something other than white is in it."""
    display.figure_.canvas.draw()
    pixels = np.asarray(display.figure_.canvas.buffer_rgba())
    assert (pixels[..., :3] < 250).any()
    return display


def paths(units):
    return np.array([path.vertices[:-1] for path in units.get_paths()])


@pytest.mark.parametrize("topology, corners", [("hexagonal", 6), ("rectangular", 4)])
def test_units_fill_the_map_and_do_not_overlap(topology, corners):
    display = SOMDisplay(np.zeros((4, 6, 2)), topology=topology).plot()
    found = paths(rendered(display).units_[0])
    assert found.shape == (24, corners, 2)
    x, y = found[..., 0], found[..., 1]
    areas = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(axis=1))
    side_by_side = 1.0 if corners == 4 else np.sqrt(0.75)
    np.testing.assert_allclose(areas, side_by_side)
    low, high = display.ax_.get_xlim()
    assert low < x.min() and high > x.max()
    bottom, top = display.ax_.get_ylim()
    assert bottom > y.max() and top < y.min(), "row 0 is on top"


def test_the_u_matrix_is_the_mean_distance_to_neighbours():
    weights = np.array([[[0.0], [1.0], [4.0]], [[0.0], [1.0], [8.0]]])
    display = SOMDisplay(weights, topology="rectangular").plot("u_matrix")
    expected = [0.5, 4 / 3, 3.5, 0.5, 8 / 3, 5.5]
    np.testing.assert_allclose(rendered(display).units_[0].get_array(), expected)
    closed = SOMDisplay(weights, topology="rectangular", periodic=True).plot("u_matrix")
    assert closed.units_[0].get_array()[0] == pytest.approx((1 + 4 + 0) / 3)


def test_planes_are_in_the_units_and_under_the_names_of_the_rows(model, wine):
    display = rendered(SOMDisplay.from_estimator(model, kind="planes", max_planes=3))
    names = list(wine[0].columns)
    assert len(display.axes_) == len(display.units_) == len(display.features_) == 3
    scaled = model[-1].weights_.reshape(20, -1)
    np.testing.assert_array_equal(
        display.features_, np.sort(scaled.std(axis=0).argsort()[::-1][:3])
    )
    weights = model[0].inverse_transform(scaled)
    for ax, units, feature in zip(display.axes_, display.units_, display.features_):
        assert ax.get_title() == names[feature]
        np.testing.assert_allclose(units.get_array(), weights[:, feature])


def test_planes_behind_steps_without_an_inverse_are_those_of_the_map(wine):
    X = wine[0].iloc[:, :2]
    som = SelfOrganizingMap((2, 3), max_iter=2)
    model = make_pipeline(PolynomialFeatures(2, include_bias=False), som).fit(X)
    display = SOMDisplay.from_estimator(model, kind="planes")
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == list(model[0].get_feature_names_out())
    np.testing.assert_array_equal(display.units_[1].get_array(), som.weights_.reshape(6, -1)[:, 1])
    alone = SOMDisplay.from_estimator(som, kind="planes", feature_names=list("abcde"))
    assert [ax.get_title() for ax in alone.axes_] == list("abcde")


def test_hits_are_areas_of_the_colour_of_the_most_frequent_class(model, wine):
    X, y = wine
    display = rendered(SOMDisplay.from_estimator(model, X, y, kind="hits"))
    units = model[:-1].transform(X)
    units = model[-1].transform(units).argmin(axis=1)
    counts = np.array([np.bincount(y[units == u], minlength=3) for u in range(20)])
    np.testing.assert_array_equal(display.hits.reshape(20, 3), counts)
    areas = np.ptp(paths(display.inner_)[..., 0], axis=1) ** 2
    np.testing.assert_allclose(areas / areas.max(), counts.sum(1) / counts.sum(1).max(), atol=1e-9)
    colors = display.inner_.get_facecolor()
    for u in np.flatnonzero(counts.any(axis=1)):
        expected = (BLUE, ORANGE, GREEN)[counts[u].argmax()]
        np.testing.assert_allclose(colors[u], plt.matplotlib.colors.to_rgba(expected), atol=1e-6)
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["0", "1", "2"]
    written = [text.get_text() for text in display.ax_.texts]
    assert written == [str(n) for n in counts.sum(axis=1) if n]


def test_hits_without_classes_have_one_colour(model, wine):
    display = rendered(SOMDisplay.from_estimator(model, wine[0], kind="hits"))
    assert display.hits.shape == (4, 5) and display.hits.sum() == 178
    assert display.ax_.get_legend() is None
    assert len(np.unique(display.inner_.get_facecolor(), axis=0)) == 1


def test_segments_have_a_colour_each():
    segments = np.arange(20).reshape(4, 5)
    display = rendered(SOMDisplay(np.zeros((4, 5, 1)), segments=segments).plot("segments"))
    assert len(np.unique(display.units_[0].get_facecolor(), axis=0)) == 20
    assert len(display.ax_.get_legend().get_texts()) == 20
    assert display.ax_.get_title() == "20 segments"


def test_maps_go_where_they_are_told(model, wine):
    figure, axes = plt.subplots(2, 2)
    for kind, ax in zip(("u_matrix", "planes", "hits", "segments"), axes.ravel()):
        display = SOMDisplay.from_estimator(model, *wine, kind=kind, ax=ax, max_planes=4)
        assert display.ax_ is ax
        assert display.figure_ is figure
        assert len(display.units_) == (4 if kind == "planes" else 1)
    rendered(display)


def test_maps_that_cannot_be_drawn(model, wine):
    weights = np.zeros((2, 3, 4))
    for display, kind, message in (
        (SOMDisplay(weights), "umatrix", "kind must be one of"),
        (SOMDisplay(weights[0]), "u_matrix", r"shape \(rows, columns, n_features\)"),
        (SOMDisplay(weights), "hits", "needs rows X"),
        (SOMDisplay(weights), "segments", "needs a map with n_clusters"),
        (SOMDisplay(weights, hits=np.ones((3, 2))), "hits", "2 x 3 units, but hits are of shape"),
        (SOMDisplay(weights, segments=np.ones(5)), "segments", "2 x 3 units, but segments"),
        (SOMDisplay(weights, hits=np.ones((2, 3, 2)), classes=["a"]), "hits", "1 names"),
    ):
        with pytest.raises(ValueError, match=message):
            display.plot(kind)
    with pytest.raises(ValueError, match="178 rows, but y has 2"):
        SOMDisplay.from_estimator(model, wine[0], [0, 1], kind="hits")
    with pytest.raises(TypeError, match="SelfOrganizingMap is needed"):
        SOMDisplay.from_estimator(MLPClassifier())
