"""Each display is drawn, and what was drawn is looked at."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn import neural_network as peer
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnjit
from nnjit.inspection import (
    ActivationDisplay,
    CentersDisplay,
    GradientFlowDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    WeightsDisplay,
)
from nnjit.inspection._drawing import BLUE, GREEN, GREY, VERMILLION, sign_colors
from nnjit.inspection._network import layer_values, loss_gradient

plt = pytest.importorskip("matplotlib.pyplot")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def figures():
    plt.switch_backend("Agg")
    yield
    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def rendered(display):
    """Render the figure, and check that something other than white is in it."""
    figure = display.figure_
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())
    assert (pixels[..., :3] < 250).any()
    return display


# Loss curve


def test_loss_and_validation_score(classifier):
    display = rendered(LossCurveDisplay.from_estimator(classifier, name="wine"))
    network = classifier[-1]
    assert len(display.axes_) == 2
    assert display.ax_ is display.axes_[0]
    loss, score = (line.get_ydata() for line in display.lines_)
    np.testing.assert_array_equal(loss, network.loss_curve_)
    np.testing.assert_array_equal(score, network.validation_scores_)
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), np.arange(1, 13))
    assert display.axes_[1].get_ylabel() == "validation accuracy"
    assert display.axes_[1].get_xlabel() == "epoch"
    best = int(np.argmax(network.validation_scores_)) + 1
    assert texts(display.axes_[1]) == [f"best {max(score):.3f}, epoch {best}"]
    assert display.ax_.get_legend().get_texts()[0].get_text() == "wine"


def test_two_fits_in_the_same_panels_have_two_colours(classifier):
    first = LossCurveDisplay.from_estimator(classifier, name="a")
    second = rendered(LossCurveDisplay.from_estimator(classifier, name="b", ax=first.axes_))
    assert second.axes_ == first.axes_
    assert len(first.ax_.lines) == 2
    assert first.lines_[0].get_color() != second.lines_[0].get_color()


def test_given_axes_are_divided(classifier):
    figure, (left, right) = plt.subplots(1, 2)
    display = rendered(LossCurveDisplay.from_estimator(classifier, ax=right))
    assert display.ax_ is right
    assert display.figure_ is figure
    assert len(figure.axes) == 3
    assert not left.lines


@pytest.mark.parametrize("house", [nnjit, peer], ids=["nnjit", "scikit-learn"])
@pytest.mark.parametrize("schedule", ["invscaling", "adaptive"])
def test_learning_rate_is_that_of_the_fit(house, schedule, regression, capsys):
    _, X, y = regression
    network = house.MLPRegressor(
        hidden_layer_sizes=(5,), solver="sgd", learning_rate=schedule, learning_rate_init=0.02,
        max_iter=40, tol=0.05, n_iter_no_change=2, random_state=0, verbose=True,
    )  # fmt: skip
    network.fit(X, y)
    display = rendered(LossCurveDisplay.from_estimator(network))
    rates = display.lines_[1].get_ydata()
    assert display.axes_[1].get_ylabel() == "learning rate"
    assert len(rates) == network.n_iter_
    assert rates[0] == 0.02
    if schedule == "invscaling":
        np.testing.assert_allclose(rates[1:], 0.02 / np.sqrt(60 * np.arange(1, len(rates)) + 1))
    else:
        # The fit itself says when it lowers the rate.
        printed = capsys.readouterr().out
        announced = [float(part.split()[0]) for part in printed.split("learning rate to ")[1:]]
        assert len(announced) >= 2
        drawn = list(dict.fromkeys(rates))[1:]
        np.testing.assert_allclose(drawn, announced[: len(drawn)], atol=5e-7)
        assert len(announced) - len(drawn) <= 1  # lowered after the last epoch


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "step"])
def test_the_rate_of_each_epoch_and_both_losses_are_drawn(schedule, wine):
    X, y = StandardScaler().fit_transform(wine.data), wine.target
    network = nnjit.MLPClassifier(
        (5,), learning_rate=schedule, learning_rate_step=4, max_iter=12, random_state=0
    )
    network.fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    display = rendered(LossCurveDisplay.from_estimator(network))
    assert [panel.get_ylabel() for panel in display.axes_] == [
        "loss", "validation accuracy", "learning rate",
    ]  # fmt: skip
    drawn = [line.get_ydata() for line in (*display.lines_, display.validation_line_)]
    recorded = (
        network.loss_curve_, network.validation_scores_,
        network.learning_rate_curve_, network.validation_loss_curve_,
    )  # fmt: skip
    for values, expected in zip(drawn, recorded, strict=True):
        np.testing.assert_array_equal(values, expected)
    assert display.axes_[2].get_yscale() == ("log" if schedule == "step" else "linear")
    assert display.validation_line_.get_linestyle() == "--"
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["training", "validation"]
    network.set_params(scoring="loss").fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    second = rendered(LossCurveDisplay.from_estimator(network, name="b", ax=display.axes_[:2]))
    assert len(second.axes_) == 2  # the score would be the loss once more
    assert second.lines_[0].get_color() != display.lines_[0].get_color()
    assert second.validation_line_.get_color() == second.lines_[0].get_color()
    network.set_params(scoring="f1_macro").fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    third = LossCurveDisplay.from_estimator(network)
    assert third.axes_[1].get_ylabel() == "validation f1_macro"


def test_shorter_curves_are_of_the_last_epochs():
    display = LossCurveDisplay(
        [4.0, 3.0, 2.0, 1.0], validation_loss=[2.5, 1.5], validation_score=[0.5, 0.4],
        learning_rate=[0.1],
    )  # fmt: skip
    rendered(display.plot())
    epochs = [line.get_xdata().tolist() for line in (*display.lines_, display.validation_line_)]
    assert epochs == [[1, 2, 3, 4], [3, 4], [4], [3, 4]]
    assert texts(display.axes_[1]) == ["best 0.500, epoch 3"]


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 4, 12, 60, 230, 2000])
@pytest.mark.parametrize("given", [False, True])
def test_ticks_are_whole_epochs_from_1(n_epochs, given):
    ax = plt.subplots(figsize=(3, 3))[1] if given else None
    loss = np.linspace(2, 1, n_epochs)
    display = rendered(LossCurveDisplay(loss, validation_score=-loss).plot(ax))
    for panel in display.axes_:
        low, high = panel.get_xlim()
        assert low < 1
        assert high > n_epochs
        ticks = [tick for tick in panel.get_xticks() if low <= tick <= high]
        assert 1 <= len(ticks) <= 9
        assert all(tick == int(tick) and 1 <= tick <= n_epochs for tick in ticks)
    if n_epochs < 8:
        assert ticks == list(range(1, n_epochs + 1))


def test_a_longer_second_fit_widens_the_panels():
    first = LossCurveDisplay([2.0, 1.0]).plot()
    LossCurveDisplay(np.linspace(2, 1, 40)).plot(first.axes_)
    assert rendered(first).ax_.get_xlim()[1] > 40
    LossCurveDisplay([2.0, 1.0, 0.5]).plot(first.axes_)
    assert first.ax_.get_xlim()[1] > 40


def test_large_fall_is_logarithmic_and_bad_numbers_are_drawn():
    assert rendered(LossCurveDisplay([100.0, 1.0]).plot()).ax_.get_yscale() == "log"
    assert rendered(LossCurveDisplay([2.0, 1.0, np.nan]).plot()).ax_.get_yscale() == "linear"
    rendered(LossCurveDisplay([1.0], validation_score=[np.nan]).plot())


def test_lbfgs_has_no_curve(wine):
    network = nnjit.MLPClassifier((3,), solver="lbfgs", max_iter=2).fit(wine.data, wine.target)
    with pytest.raises(ValueError, match="lbfgs"):
        LossCurveDisplay.from_estimator(network)


# Network


def test_small_network_is_drawn_whole(classifier, wine):
    display = rendered(NetworkDisplay.from_estimator(classifier, wine.data[0], max_units=13))
    network = classifier[-1]
    assert [len(lines.get_segments()) for lines in display.lines_] == [13 * 5, 5 * 4, 4 * 3]
    values = layer_values(network, classifier[:-1].transform(wine.data[:1]))
    for circles, layer in zip(display.units_, values):
        np.testing.assert_allclose(circles.get_array(), layer[0])
    written = texts(display.ax_)
    for text in ("input", "hidden 1", "hidden 2", "output", "13 units", "x12", "2"):
        assert text in written


def test_colour_and_thickness_of_lines_follow_the_weights():
    display = rendered(NetworkDisplay([np.array([[1.0, -2.0]])]).plot())
    from matplotlib.colors import to_rgba

    (lines,) = display.lines_
    # Sorted by size: 1, then -2.
    np.testing.assert_allclose(
        lines.get_colors()[:, :3], [to_rgba(c)[:3] for c in (VERMILLION, BLUE)]
    )
    thin, thick = lines.get_linewidths()
    assert thin < thick
    assert np.isfinite(lines.get_colors()).all()


def test_large_network_shows_the_strongest_units_and_says_so(regression):
    network, _, _ = regression
    display = rendered(NetworkDisplay.from_estimator(network, max_units=6))
    assert [len(units) for units in display.shown_] == [6, 6, 6, 3]
    written = " ".join(texts(display.ax_))
    assert "6 of 64 units" in written
    assert "largest weights" in written
    strength = np.square(network.coefs_[0]).sum(axis=1)
    assert set(display.shown_[0]) == set(np.argsort(strength)[-6:])


def test_numbers_stand_in_the_circles_of_small_networks():
    values = [np.array([0.25, -1.5]), np.array([0.75])]
    display = NetworkDisplay([np.ones((2, 1))], activations=values).plot()
    assert {"0.25", "-1.50", "0.75"} <= set(texts(rendered(display).ax_))


def test_input_names_come_from_the_data_frame(wine):
    frame = pd.DataFrame(wine.data[:, :3], columns=["alcohol", "acid", "ash"])
    network = nnjit.MLPClassifier((3,), max_iter=2).fit(frame, wine.target)
    display = rendered(NetworkDisplay.from_estimator(network, frame.iloc[[0]]))
    assert {"alcohol", "acid", "ash"} <= set(texts(display.ax_))


LONG = [f"median_household_income_in_district_{i}_thousands_of_dollars" for i in range(13)]


@pytest.fixture(scope="module")
def long_names(wine):
    """A network whose inputs and classes have long names."""
    frame = pd.DataFrame(wine.data, columns=LONG)
    kinds = np.array(["barolo riserva of the year", "grignolino", "barbera d'asti superiore"])
    return nnjit.MLPClassifier((5, 4), max_iter=2).fit(frame, kinds[wine.target])


def inside(text, figure):
    box, page = text.get_window_extent(), figure.bbox
    return box.x0 >= page.x0 and box.x1 <= page.x1


@pytest.mark.parametrize("where", ["own", "given", "given, constrained"])
def test_long_names_are_written_whole(where, long_names):
    layout = "constrained" if "constrained" in where else None
    left, right = (
        [None, None] if where == "own" else plt.subplots(1, 2, figsize=(12, 5), layout=layout)[1]
    )
    network = NetworkDisplay.from_estimator(long_names, ax=left, max_units=13)
    weights = rendered(WeightsDisplay.from_estimator(long_names, ax=right))
    rendered(network)
    drawn = [*network.ax_.texts, *weights.ax_.get_yticklabels()]
    names = [text.get_text().replace("\n", "") for text in drawn]
    assert all(names.count(name) == 2 for name in LONG)
    assert {"barolo riserva of the year", "barbera d'asti superiore"} <= set(names)
    for display, texts_of in ((network, network.ax_.texts), (weights, drawn[-13:])):
        assert all(inside(text, display.figure_) for text in texts_of)
    if where != "own":
        right_of_network = max(text.get_window_extent().x1 for text in network.ax_.texts)
        assert min(text.get_window_extent().x0 for text in drawn[-13:]) > right_of_network


def test_one_row_only(classifier, wine):
    with pytest.raises(ValueError, match="2 rows"):
        NetworkDisplay.from_estimator(classifier, wine.data[:2])


# Weights


def test_images_stand_in_a_mosaic(regression):
    network, _, _ = regression
    display = rendered(WeightsDisplay.from_estimator(network, image_shape=(8, 8), max_units=9))
    mosaic = np.ma.filled(display.image_.get_array(), np.nan)
    assert mosaic.shape == (3 * 9 + 1, 3 * 9 + 1)
    for place, unit in enumerate(display.units_):
        top, left = place // 3 * 9 + 1, place % 3 * 9 + 1
        picture = mosaic[top : top + 8, left : left + 8]
        np.testing.assert_array_equal(picture.ravel(), network.coefs_[0][:, unit])
    assert "9 of 40 units" in display.ax_.get_title()
    low, high = display.image_.get_clim()
    assert low == -high


def test_heat_map_has_the_names_of_the_features(classifier, wine):
    display = rendered(WeightsDisplay.from_estimator(classifier, feature_names=wine.feature_names))
    weights = classifier[-1].coefs_[0]
    np.testing.assert_array_equal(display.image_.get_array(), weights)
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == wine.feature_names
    assert "of" not in display.ax_.get_title().split()


def test_signs_have_the_colours_of_the_network():
    from matplotlib.colors import to_rgba

    weights = np.array([[1.0, -1.0], [0.5, -0.5], [0.0, 0.0]])
    display = rendered(WeightsDisplay(weights).plot())
    drawn = display.image_.to_rgba(weights)
    np.testing.assert_allclose(drawn[1], [to_rgba(VERMILLION), to_rgba(BLUE)], atol=0.02)
    np.testing.assert_allclose(drawn[2], 1.0, atol=0.02)
    assert display.image_.get_cmap().name == sign_colors().name


def test_large_heat_map_says_what_it_leaves_out(regression):
    display = rendered(WeightsDisplay.from_estimator(regression[0], max_features=10))
    assert display.image_.get_array().shape == (10, 36)
    assert "10 of 64 features" in display.ax_.get_title()
    assert "36 of 40 units" in display.ax_.get_title()


def test_shapes_that_do_not_fit_are_refused(regression):
    with pytest.raises(ValueError, match="49 pixels"):
        WeightsDisplay.from_estimator(regression[0], image_shape=(7, 7))
    with pytest.raises(ValueError, match="64 feature names"):
        WeightsDisplay.from_estimator(regression[0], feature_names=["a"])


# Activations


def test_dead_units_are_counted():
    values = [np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])]
    display = rendered(ActivationDisplay(values, "relu").plot())
    assert display.inactive_values_[0] == pytest.approx(4 / 6)
    assert display.inactive_units_[0] == pytest.approx(1 / 3)
    assert texts(display.ax_) == ["67% of values zero\n1 of 3 units dead"]


@pytest.mark.parametrize(
    ("activation", "row"), [("tanh", [-0.999, 0.0, 0.5]), ("logistic", [0.999, 0.5, 0.3])]
)
def test_saturated_units_are_counted(activation, row):
    display = rendered(ActivationDisplay([np.array([row])], activation).plot())
    assert display.inactive_values_[0] == pytest.approx(1 / 3)
    assert "1 of 3 units saturated" in texts(display.ax_)[0]


def test_one_histogram_per_hidden_layer(classifier, wine):
    display = rendered(ActivationDisplay.from_estimator(classifier, wine.data))
    assert len(display.histograms_) == 2
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == [
        "hidden 1\n5 units",
        "hidden 2\n4 units",
    ]
    assert "178 rows" in display.ax_.get_title()


def test_histogram_heights_are_the_counts():
    values = np.array([[0.05], [0.15], [0.15], [0.95]])
    (fill,) = rendered(ActivationDisplay([values], "logistic").plot()).histograms_
    heights = -fill.get_paths()[0].vertices[:, 1]
    assert sorted(np.unique(heights.round(3))) == [0.0, 0.375, 0.75]


def test_identity_has_no_inactive_units_and_linear_models_no_layer(regression):
    _, X, y = regression
    network = nnjit.MLPRegressor(hidden_layer_sizes=(4,), activation="identity", max_iter=2)
    assert np.isnan(ActivationDisplay.from_estimator(network.fit(X, y), X).inactive_values_).all()
    linear = nnjit.MLPRegressor(hidden_layer_sizes=(), max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="no hidden layer"):
        ActivationDisplay.from_estimator(linear, X)


# Gradient flow


def test_dots_are_the_norms_of_the_gradient(regression):
    network, X, y = regression
    display = rendered(GradientFlowDisplay.from_estimator(network, X, y))
    gradient = loss_gradient(network, X, y)
    for points, kind in (
        (display.weight_points_, gradient.weights),
        (display.bias_points_, gradient.biases),
    ):
        np.testing.assert_allclose(points.get_ydata(), [np.linalg.norm(g) for g in kind])
    assert not display.ax_.patches  # a bar's length says nothing on a logarithmic scale
    labels = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert labels == ["hidden 1\n64×40", "hidden 2\n40×30", "output\n30×3"]
    assert display.ax_.get_yscale() == "log"
    bottom, top = display.ax_.get_ylim()
    assert top / bottom > 50
    assert len(texts(display.ax_)) == 3


def test_zero_gradient_is_written_out():
    display = rendered(GradientFlowDisplay([0.0, 1e-3], [0.0, 1e-2], relative=[0.0, 0.1]).plot())
    assert "weights and biases: zero" in texts(display.ax_)
    assert np.isnan(display.weight_points_.get_ydata()).tolist() == [True, False]
    assert texts(rendered(GradientFlowDisplay([0.0], [0.5]).plot()).ax_) == ["weights: zero"]
    rendered(GradientFlowDisplay([0.0], [0.0]).plot())


# All


def test_scikit_learns_network_is_drawn_by_all(wine):
    network = peer.MLPClassifier((30,) * 3, max_iter=3).fit(wine.data, wine.target)
    for display in (
        LossCurveDisplay.from_estimator(network),
        NetworkDisplay.from_estimator(network, wine.data[0]),
        WeightsDisplay.from_estimator(network),
        ActivationDisplay.from_estimator(network, wine.data),
        GradientFlowDisplay.from_estimator(network, wine.data, wine.target),
    ):
        rendered(display)


@pytest.mark.parametrize("house", [nnjit, peer], ids=["nnjit", "scikit-learn"])
def test_a_transformed_target_is_drawn_by_all(house, wine):
    network = house.MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=3, early_stopping=True, random_state=0
    )
    pipeline = make_pipeline(StandardScaler(), network)
    estimator = TransformedTargetRegressor(pipeline, transformer=StandardScaler())
    X = pd.DataFrame(wine.data[:, 1:], columns=wine.feature_names[1:])
    y = wine.data[:, 0]
    estimator.fit(X, y)
    inner = estimator.regressor_[-1]
    curve, units, weights, values, flow = (
        rendered(display)
        for display in (
            LossCurveDisplay.from_estimator(estimator),
            NetworkDisplay.from_estimator(estimator, X.iloc[:1]),
            WeightsDisplay.from_estimator(estimator),
            ActivationDisplay.from_estimator(estimator, X),
            GradientFlowDisplay.from_estimator(estimator, X, y),
        )
    )
    np.testing.assert_array_equal(curve.lines_[0].get_ydata(), inner.loss_curve_)
    np.testing.assert_array_equal(weights.weights, inner.coefs_[0])
    assert [t.get_text() for t in weights.ax_.get_yticklabels()] == wine.feature_names[1:]
    assert "malic_acid" in texts(units.ax_)
    rows = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(values.values[0], layer_values(inner, rows)[1])
    gradient = loss_gradient(inner, rows, StandardScaler().fit_transform(y[:, np.newaxis]))
    np.testing.assert_allclose(
        flow.weight_points_.get_ydata(), [np.linalg.norm(g) for g in gradient.weights]
    )


def test_without_matplotlib_the_import_works_and_drawing_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from nnjit.inspection import LossCurveDisplay\n"
        "try:\n    LossCurveDisplay([1.0]).plot()\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "LossCurveDisplay needs matplotlib" in done.stdout, done.stderr
    assert "pip install" in done.stdout


# Centres of a radial layer

CENTERS = np.array([[0.0, 0.0, 5.0], [4.0, 1.0, 6.0], [2.0, 3.0, 7.0]])


def colors_of(patches):
    from matplotlib.colors import to_hex

    return [to_hex(patch.get_edgecolor()).upper() for patch in patches]


def test_every_centre_has_a_circle_of_its_width():
    display = rendered(CentersDisplay(CENTERS, [1, 2, 0.5]).plot())
    assert [circle.radius for circle in display.circles_] == [1, 2, 0.5]
    np.testing.assert_array_equal([c.center for c in display.circles_], CENTERS[:, :2])
    np.testing.assert_array_equal(display.points_.get_offsets(), CENTERS[:, :2])
    assert colors_of(display.circles_) == [GREY] * 3
    assert display.ax_.get_legend() is None
    low, high = display.ax_.get_xlim()
    assert low <= -1 and high >= 6, "a circle is cut off"
    assert display.ax_.get_aspect() == 1


def test_two_of_more_features_are_drawn_under_their_names():
    names = ["length", "width", "depth"]
    display = CentersDisplay(CENTERS, np.ones(3), feature_names=names).plot(features=(2, 0))
    np.testing.assert_array_equal(display.points_.get_offsets(), CENTERS[:, [2, 0]])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("depth", "length")


def test_circles_have_the_colour_of_the_class_of_their_largest_weight():
    weights = [[0, 1, 2], [3, 1, 2], [0, 5, 2]]
    X, y = CENTERS + 0.1, np.array(["c", "a", "b"])
    display = CentersDisplay(CENTERS, np.ones(3), weights=weights, classes=list("abc"), X=X, y=y)
    display = rendered(display.plot())
    assert colors_of(display.circles_) == [GREEN, BLUE, VERMILLION]
    assert [len(rows.get_offsets()) for rows in display.rows_] == [1, 1, 1]
    np.testing.assert_allclose(display.rows_[2].get_offsets(), X[:1, :2])
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["a", "b", "c"]


@pytest.mark.parametrize("classes", [None, ["no", "yes"]])
def test_one_output_colours_by_its_sign(classes):
    display = CentersDisplay(CENTERS, np.ones(3), weights=[[-1], [2], [-3]], classes=classes)
    assert colors_of(display.plot().circles_) == [BLUE, VERMILLION, BLUE]


def test_rows_of_a_regression_are_coloured_by_their_values():
    y = np.array([0.5, -1.0, 2.0])
    display = rendered(CentersDisplay(CENTERS, np.ones(3), X=CENTERS, y=y).plot())
    np.testing.assert_array_equal(display.rows_[0].get_array(), y)
    display = CentersDisplay(CENTERS, np.ones(3), X=CENTERS, weights=np.ones((3, 2))).plot()
    assert len(display.rows_[0].get_offsets()) == 3
    assert colors_of(display.circles_) == [GREY] * 3


def test_centres_go_where_they_are_told(figures):
    figure, (left, right) = plt.subplots(1, 2)
    display = CentersDisplay(CENTERS, np.ones(3)).plot(ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure


@pytest.mark.parametrize(
    "arguments, features, message",
    [
        ((CENTERS[:, :1], np.ones(3)), (0, 1), "two features or more"),
        ((CENTERS, np.ones(2)), (0, 1), "3 centres need as many widths"),
        ((CENTERS, np.ones(3)), (0, 3), "two numbers from 0 to 2"),
        ((CENTERS, np.ones(3)), (0,), "two numbers from 0 to 2"),
    ],
)
def test_centres_that_cannot_be_drawn(arguments, features, message):
    with pytest.raises(ValueError, match=message):
        CentersDisplay(*arguments).plot(features=features)
    with pytest.raises(ValueError, match="as many rows of weights"):
        CentersDisplay(CENTERS, np.ones(3), weights=np.ones(2)).plot()


@pytest.mark.parametrize("kind", ["RBFClassifier", "RBFRegressor"])
def test_centres_of_an_estimator_in_a_pipeline(kind):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(5, 2, (60, 3)), columns=["length", "width", "depth"])
    y = (X["length"] > 5).to_numpy()
    y = np.where(y, "long", "short") if kind == "RBFClassifier" else y.astype(float)
    network = getattr(nnjit, kind)(6, max_iter=2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network).fit(X, y)
    display = rendered(CentersDisplay.from_estimator(pipeline, X, y, features=(0, 2)))
    np.testing.assert_array_equal(display.points_.get_offsets(), network.centers_[:, [0, 2]])
    np.testing.assert_allclose([circle.radius for circle in display.circles_], network.widths_)
    assert display.ax_.get_ylabel() == "depth"
    assert sum(len(rows.get_offsets()) for rows in display.rows_) == 60
    assert abs(display.rows_[0].get_offsets()[:, 1].mean()) < 1, "not scaled"


def test_centres_of_a_multilabel_network_without_rows():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)), rng.integers(0, 2, (30, 3))
    network = nnjit.RBFClassifier(4, max_iter=2).fit(X, y)
    assert len(CentersDisplay.from_estimator(network, X, y).circles_) == 4


def test_a_network_without_centres_is_refused(classifier):
    with pytest.raises(TypeError, match="A network with centres is needed"):
        CentersDisplay.from_estimator(classifier)
    with pytest.raises(TypeError, match="is needed"):
        CentersDisplay.from_estimator(StandardScaler())
