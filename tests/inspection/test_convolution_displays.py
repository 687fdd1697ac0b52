"""Displays of networks for series and images: filters, feature maps, what speaks for a class."""

import itertools
import warnings

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import logit
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from nnjit import MLPClassifier, NetworkClassifier, NetworkRegressor
from nnjit import functional as F
from nnjit.exceptions import TrainingWarning
from nnjit.inspection import (
    ActivationDisplay,
    FeatureMapDisplay,
    FilterDisplay,
    GradientFlowDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    RelevanceDisplay,
    WeightsDisplay,
    check_gradient,
)
from nnjit.inspection._relevance import _stretched
from nnjit.layers import (
    Augment,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Normalization,
    ParametricActivation,
    Pool,
    RadialBasis,
    Residual,
    Scaling,
)
from nnjit.layers.network import Network

# Three epochs, none of which counts as better.
QUICK = {"max_iter": 9, "batch_size": 16, "random_state": 0, "tol": 10.0, "n_iter_no_change": 1}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def rendered(display):
    display.figure_.canvas.draw()
    return display


@pytest.fixture(scope="module")
def images():
    """Images of 6 x 7 points in which one of three places is bright, and which."""
    rng = np.random.default_rng(0)
    X, y = 0.1 * rng.random((60, 1, 6, 7)), rng.integers(0, 3, 60)
    for image, place in zip(X, y):
        image[0, 2:5, 2 * place : 2 * place + 3] += 1.0
    return X, np.array(["left", "middle", "right"])[y]


@pytest.fixture(scope="module")
def cnn(images):
    """Convolution, pooling, convolution, dense layer."""
    layers = [Conv(5, 3), Pool("max", 2), Conv(4, (2, 3)), Flatten(), Dense(6)]
    return NetworkClassifier(layers, **QUICK).fit(*images)


@pytest.fixture(scope="module")
def series():
    """Series of two channels and 8 to 20 points, NaN behind, and which channel is larger."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2, 20))
    for case, length in zip(X, rng.integers(8, 21, 40)):
        case[:, length:] = np.nan
    X[0] = rng.normal(size=(2, 20))  # one is whole
    X[1, :, 9:] = np.nan
    return X, np.where(np.nanmean(X[:, 0], axis=1) > np.nanmean(X[:, 1], axis=1), "up", "down")


@pytest.fixture(scope="module")
def fcn(series):
    """Two convolutions with batch normalization, global mean pooling, one logit."""
    layers = [
        Conv(6, 4, "identity"),
        Normalization("batch", "relu"),
        Conv(5, 3, "identity"),
        Normalization("batch", "relu"),
        GlobalPool("mean"),
    ]
    return NetworkClassifier(layers, **QUICK).fit(*series)


def log_odds(network, cases, place):
    return logit(network.predict_proba(cases)[:, place])


# --- filters -----------------------------------------------------------------------------


def test_filters_of_one_channel_are_the_weights(cnn):
    display = rendered(FilterDisplay.from_estimator(cnn))
    np.testing.assert_array_equal(display.values_, cnn.coefs_[0][:, :, 0].transpose(2, 0, 1))
    np.testing.assert_array_equal(display.filters_, np.arange(5))
    drawn = np.ma.filled(display.image_.get_array(), np.nan)
    # 5 pictures of 3 x 3 in a mosaic with frames
    assert drawn.shape == (9, 13)
    np.testing.assert_array_equal(drawn[1:4, 5:8], cnn.coefs_[0][:, :, 0, 1])
    assert np.isnan(drawn[4]).all()
    low, high = display.image_.get_clim()
    assert -low == high == np.abs(cnn.coefs_[0]).max()
    assert display.ax_.get_title() == "convolution 0, one image each"


def test_filters_of_several_channels_are_a_norm_or_one_channel(cnn):
    weights = cnn.coefs_[1]  # (2, 3, 5, 4)
    display = rendered(FilterDisplay.from_estimator(cnn, -1))
    expected = np.linalg.norm(weights, axis=2).transpose(2, 0, 1)
    np.testing.assert_allclose(display.values_, expected)
    assert display.image_.get_clim()[0] == 0
    assert display.ax_.get_title() == "convolution 1, norm over the channels"
    display = rendered(FilterDisplay.from_estimator(cnn, 1, channel=-2, max_filters=3))
    chosen = np.argsort(-np.square(weights[:, :, 3]).sum(axis=(0, 1)))[:3]
    np.testing.assert_array_equal(display.filters_, np.sort(chosen))
    np.testing.assert_array_equal(
        display.values_, weights[:, :, 3, np.sort(chosen)].transpose(2, 0, 1)
    )
    assert "channel 3\n3 of 4 filters" in display.ax_.get_title()


def test_filters_of_series_are_curves(fcn):
    display = rendered(FilterDisplay.from_estimator(fcn, channel=1))
    weights = fcn.coefs_[0][:, 1].T
    np.testing.assert_array_equal(display.values_, weights)
    assert display.image_ is None and len(display.lines_) == 6
    for line, curve in zip(display.lines_, weights):
        y = line.get_ydata()
        # scaled alike and shifted to its cell
        np.testing.assert_allclose(
            np.diff(y), np.diff(curve) / (2 * np.abs(weights).max()), atol=1e-12
        )
    assert len(rendered(FilterDisplay(np.ones((1, 1, 2))).plot()).lines_) == 2


def test_filters_that_are_not_there_are_refused(cnn, fcn, images):
    with pytest.raises(ValueError, match="2 convolution layers: layer must be from -2 to 1, got 2"):
        FilterDisplay.from_estimator(cnn, 2)
    with pytest.raises(ValueError, match="The filters read 5 channels: channel must be from -5"):
        FilterDisplay.from_estimator(cnn, 1, channel=5)
    with pytest.raises(ValueError, match=r"Filters have the shape .* got \(3, 3\)"):
        FilterDisplay(np.ones((3, 3))).plot()
    with pytest.raises(TypeError, match="FilterDisplay needs a network for series or images"):
        X, y = images
        FilterDisplay.from_estimator(MLPClassifier((2,), **QUICK).fit(X.reshape(60, -1), y))
    with pytest.raises(NotFittedError):
        FilterDisplay.from_estimator(NetworkClassifier([Conv(2), Flatten()]))
    flat = NetworkClassifier([Flatten(), Dense(3)], input_shape=(1, 6, 7), **QUICK).fit(*images)
    with pytest.raises(ValueError, match="The network has no convolution layers"):
        FilterDisplay.from_estimator(flat)


# --- feature maps ------------------------------------------------------------------------


def test_feature_maps_are_what_the_layers_give(cnn, images):
    X, _ = images
    first = F.relu(F.convolve(X[3:4], cnn.coefs_[0], cnn.intercepts_[0]))
    second = F.relu(F.convolve(F.max_pool(first, 2), cnn.coefs_[1], cnn.intercepts_[1]))
    for layer, expected in enumerate((first, second)):
        display = rendered(FeatureMapDisplay.from_estimator(cnn, X[3], layer))
        np.testing.assert_allclose(display.maps, expected[0], atol=1e-12)
        np.testing.assert_array_equal(display.case, X[3])
    assert display.axes_[1].get_title() == "convolution 1: 4 maps of 3×3"
    assert display.ax_ is display.axes_[0]
    drawn = np.ma.filled(display.image_.get_array(), np.nan)
    np.testing.assert_allclose(drawn[1:4, 1:4], second[0, 0], atol=1e-12)
    np.testing.assert_allclose(drawn[1:4, 5:8], second[0, 1], atol=1e-12)


def test_the_strongest_maps_are_drawn_and_signs_have_colours(images):
    X, _ = images
    maps = np.arange(-6.0, 6.0).reshape(6, 1, 2)
    display = rendered(FeatureMapDisplay(X[0], maps).plot(max_maps=3))
    np.testing.assert_array_equal(display.maps_, [0, 1, 5])
    assert display.image_.get_clim() == (-6, 6)
    assert display.axes_[1].get_title() == "convolution: 6 maps of 1×2, the 3 strongest"
    display = rendered(FeatureMapDisplay(X[0], np.abs(maps)).plot())
    assert display.image_.get_clim() == (0, 6)


def test_feature_maps_of_a_series_end_where_it_ends(fcn, series):
    X, _ = series
    whole = np.nan_to_num(X[1:2])
    entry = fcn.normalization_[0]
    z = F.convolve(whole, fcn.coefs_[0], fcn.intercepts_[0])[0]
    scale = entry["scale"] / np.sqrt(entry["variance"] + Normalization.epsilon)
    expected = F.relu(((z.T - entry["mean"]) * scale + entry["shift"]).T)
    display = rendered(FeatureMapDisplay.from_estimator(fcn, X[1]))
    np.testing.assert_allclose(display.maps[:, :9], expected[:, :9], atol=1e-10)
    assert np.isnan(display.maps[:, 9:]).all()
    assert np.isnan(display.case[:, 9:]).all() and display.case.shape == (2, 20)
    drawn = np.ma.filled(display.image_.get_array(), np.nan)
    np.testing.assert_array_equal(drawn, display.maps)
    assert display.image_.get_extent() == [-0.5, 19.5, 5.5, -0.5]
    assert [line.get_label() for line in display.ax_.lines] == ["channel 0", "channel 1"]


def test_a_case_comes_in_any_form(cnn, images):
    X, _ = images
    expected = FeatureMapDisplay.from_estimator(cnn, X[:1]).maps
    for x in (X[0], X[0, 0], X[0].reshape(-1), X[:1].reshape(1, -1), X[:1, 0]):
        np.testing.assert_array_equal(FeatureMapDisplay.from_estimator(cnn, x).maps, expected)
    with pytest.raises(ValueError, match="One case is drawn; x has 2 cases"):
        FeatureMapDisplay.from_estimator(cnn, X[:2])


def test_a_series_of_another_length_comes_alone(fcn, series):
    X, y = series
    for length in (9, 26):
        x = np.resize(X[0], (2, length))
        expected = FeatureMapDisplay.from_estimator(fcn, [x]).maps
        np.testing.assert_array_equal(FeatureMapDisplay.from_estimator(fcn, x).maps, expected)
        assert RelevanceDisplay.from_estimator(fcn, x).relevance.size == max(length, 20)
    single = NetworkClassifier([Conv(3), GlobalPool()], **QUICK).fit(np.nan_to_num(X[:, 0]), y)
    expected = FeatureMapDisplay.from_estimator(single, X[0, :1][np.newaxis, :, :9]).maps
    for x in (X[0, 0, :9], X[0, :1, :9]):
        np.testing.assert_array_equal(FeatureMapDisplay.from_estimator(single, x).maps, expected)


def test_a_list_of_one_series_and_what_wraps_the_network(fcn, series):
    X, y = series
    expected = FeatureMapDisplay.from_estimator(fcn, X[1]).maps
    short = FeatureMapDisplay.from_estimator(fcn, [X[1, :, :9]])
    np.testing.assert_allclose(short.maps[:, :9], expected[:, :9], atol=1e-12)
    halved = make_pipeline(FunctionTransformer(lambda Z: Z / 2), fcn)
    display = FeatureMapDisplay.from_estimator(halved, 2 * X[1:2])
    np.testing.assert_allclose(display.maps, expected, atol=1e-12)
    np.testing.assert_array_equal(display.case, X[1])  # as the network gets it
    search = GridSearchCV(fcn, {"alpha": [0.1]}, cv=2).fit(X, y)
    assert FilterDisplay.from_estimator(search).values_.shape == (6, 4)


# --- relevance ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", [0, 1])
def test_the_mean_of_a_class_activation_map_is_the_logit(fcn, series, case):
    X, _ = series
    z = log_odds(fcn, X[case : case + 1], 1)[0]
    display = rendered(RelevanceDisplay.from_estimator(fcn, X[case], target="up"))
    assert display.method == "class_activation"
    assert display.target == "class up"
    assert np.nanmean(display.relevance) + fcn.intercepts_[-1][0] == pytest.approx(z, abs=1e-9)
    assert np.isnan(display.relevance).sum() == np.isnan(X[case, 0]).sum()
    other = RelevanceDisplay.from_estimator(fcn, X[case], target="down")
    np.testing.assert_array_equal(other.relevance, -display.relevance)
    predicted = RelevanceDisplay.from_estimator(fcn, X[case])
    assert predicted.target == f"class {fcn.predict(X[case : case + 1])[0]}"
    drawn = np.ma.filled(display.image_.get_array(), np.nan)
    np.testing.assert_array_equal(drawn[0], display.relevance)
    assert display.ax_.get_title() == "class up, class activation map"


def test_class_activation_maps_of_images(images):
    X, y = images
    network = NetworkClassifier([Conv(6, 3), Pool("mean", 2), GlobalPool()], **QUICK).fit(X, y)
    maps = F.mean_pool(F.relu(F.convolve(X[:1], network.coefs_[0], network.intercepts_[0])), 2)[0]
    for number, name in enumerate(network.classes_):
        display = rendered(RelevanceDisplay.from_estimator(network, X[0], target=name))
        small = np.tensordot(network.coefs_[1][:, number], maps, axes=1)  # (3, 3)
        expected = _stretched(_stretched(small, 6).T, 7).T
        np.testing.assert_allclose(display.relevance, expected, atol=1e-12)


def test_stretching_keeps_what_is_constant_or_linear():
    np.testing.assert_array_equal(_stretched(np.array([1.0, 2.0, 4.0]), 3), [1, 2, 4])
    np.testing.assert_array_equal(_stretched(np.full(3, 2.0), 7), np.full(7, 2.0))
    # points 0.5 and 2.5 are the middles of the two halves of four
    np.testing.assert_allclose(_stretched(np.array([0.0, 2.0]), 4), [0, 0.5, 1.5, 2])
    assert _stretched(np.ones((2, 5)), 6).shape == (6, 5)


def occluded(network, case, sizes, fill, place):
    """Mean fall of the log odds over the windows that hold a point, by the definition."""
    points = case.shape[1:] if case.ndim == 3 else (int((~np.isnan(case[0])).sum()),)
    whole = log_odds(network, case[np.newaxis], place)[0]
    falls = {}
    starts = [sorted({*range(0, n - k + 1, max(1, k // 3)), n - k}) for n, k in zip(points, sizes)]
    for at in itertools.product(*starts):
        hidden = case.copy()
        window = tuple(slice(i, i + k) for i, k in zip(at, sizes))
        hidden[(slice(None), *window)] = fill
        fall = whole - log_odds(network, hidden[np.newaxis], place)[0]
        for point in itertools.product(*(range(s.start, s.stop) for s in window)):
            falls.setdefault(point, []).append(fall)
    relevance = np.full(case.shape[1:], np.nan)
    for point, values in falls.items():
        relevance[point] = np.mean(values)
    return relevance


@pytest.mark.parametrize("window, sizes", [(None, (1, 1)), (3, (3, 3)), ((2, 7), (2, 7))])
def test_occlusion_of_an_image_is_its_definition(cnn, images, window, sizes):
    X, _ = images
    for target, fill in [("left", "mean"), ("right", 0.0)]:
        place = list(cnn.classes_).index(target)
        value = X[0].mean() if fill == "mean" else fill
        expected = occluded(cnn, X[0], sizes, value, place)
        display = RelevanceDisplay.from_estimator(
            cnn, X[0], target=target, window=window, fill=fill
        )
        assert display.method == "occlusion"
        assert display.relevance.shape == (6, 7)
        np.testing.assert_allclose(display.relevance, expected, atol=1e-8)
    np.testing.assert_array_equal(rendered(display).image_.get_array(), display.relevance)


def test_occlusion_of_a_series_leaves_out_what_it_has_not(fcn, series):
    X, _ = series
    mean = np.nanmean(X[1], axis=1, keepdims=True)
    for target, place in [("up", 1), ("down", 0)]:
        display = RelevanceDisplay.from_estimator(
            fcn, X[1], target=target, method="occlusion", window=4
        )
        expected = occluded(fcn, X[1], (4,), mean, place)
        np.testing.assert_allclose(display.relevance, expected, atol=1e-8)
        assert np.isnan(display.relevance[9:]).all()
    rendered(display)


def test_occlusion_finds_the_bright_place(images):
    X, y = images
    layers = [Conv(8, 3), Pool("max", 2), Flatten(), Dense(16)]
    network = NetworkClassifier(
        layers, max_iter=60, batch_size=16, random_state=0, learning_rate_init=0.01, tol=0.0,
        n_iter_no_change=60,
    )  # fmt: skip
    network.fit(X, y)
    for name, columns in [("left", slice(0, 3)), ("right", slice(4, 7))]:
        case = X[y == name][0]
        relevance = RelevanceDisplay.from_estimator(network, case, window=3, fill=0.0).relevance
        inside = relevance[2:5, columns].mean()
        assert inside > 2 * abs(np.delete(relevance, np.r_[columns], axis=1).mean())


def test_relevance_for_a_regressor(series):
    X, _ = series
    y = np.stack([np.nanmean(X[:, 0], axis=1), np.nanmax(X[:, 1], axis=1)], axis=1)
    network = NetworkRegressor([Conv(4, 3), GlobalPool()], **QUICK).fit(X, y)
    display = rendered(RelevanceDisplay.from_estimator(network, X[0], target=1))
    expected = network.predict(X[:1])[0, 1] - network.intercepts_[-1][1]
    assert display.relevance.mean() == pytest.approx(expected, abs=1e-9)
    assert display.target == "output 1"
    hidden = X[:1].copy()
    hidden[:] = np.mean(hidden, axis=2, keepdims=True)
    display = RelevanceDisplay.from_estimator(network, X[0], method="occlusion", window=20)
    fall = network.predict(X[:1])[0, 0] - network.predict(hidden)[0, 0]
    np.testing.assert_allclose(display.relevance, np.full(20, fall), atol=1e-8)
    with pytest.raises(ValueError, match=r"target is the number of an output, 0 to 1: 2"):
        RelevanceDisplay.from_estimator(network, X[0], target=2)


def test_what_has_no_relevance_is_refused(cnn, fcn, images, series):
    X, _ = images
    for options, message in [
        ({"target": "up"}, r"target is one of the classes \['left', 'middle', 'right'\], got 'up'"),
        ({"method": "class_activation"}, "needs a network that ends in global mean pooling"),
        ({"method": "gradient"}, "method is 'auto', 'class_activation' or 'occlusion'"),
        ({"window": 7}, r"window is an int, or one for each axis, of 1 to \(6, 7\) points: 7"),
        ({"window": (2, 2, 2)}, "window is an int"),
        ({"fill": "zero"}, "fill is a number or 'mean', got 'zero'"),
        ({"fill": np.nan}, "fill is a number"),
    ]:
        with pytest.raises(ValueError, match=message):
            RelevanceDisplay.from_estimator(cnn, X[0], **options)
    with pytest.raises(ValueError, match="One case is drawn; x has 40 cases"):
        RelevanceDisplay.from_estimator(fcn, series[0])
    with pytest.raises(ValueError, match=r"\(1, 6, 7\) and \(6, 6\)"):
        RelevanceDisplay(X[0], np.ones((6, 6))).plot()


def test_given_axes_are_used(cnn, fcn, images, series):
    figure, axes = plt.subplots(1, 3, figsize=(12, 3))
    for ax, display in zip(
        axes,
        [
            FilterDisplay.from_estimator(cnn, ax=axes[0]),
            FeatureMapDisplay.from_estimator(fcn, series[0][0], ax=axes[1]),
            RelevanceDisplay.from_estimator(cnn, images[0][0], ax=axes[2]),
        ],
        strict=True,
    ):
        assert display.ax_ is ax
        assert display.figure_ is figure
    figure.canvas.draw()
    assert rendered(FeatureMapDisplay.from_estimator(cnn, images[0][0], ax=plt.gca())).axes_


# --- the other displays ------------------------------------------------------------------


def test_activations_of_a_convolution_are_counted_at_all_points(cnn, images):
    X, _ = images
    display = rendered(ActivationDisplay.from_estimator(cnn, X))
    maps = F.relu(F.convolve(X, cnn.coefs_[0], cnn.intercepts_[0]))
    np.testing.assert_allclose(
        display.values[0], maps.transpose(0, 2, 3, 1).reshape(-1, 5), atol=1e-12
    )
    assert display.inactive_values_[0] == (maps == 0).mean()
    assert [len(values) for values in display.values] == [60 * 42, 60 * 9, 60]
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["convolution 0\n5 units", "convolution 1\n4 units", "dense 0\n6 units"]
    assert display.ax_.get_title().startswith("60 rows;")


def test_activations_behind_the_end_of_a_series_do_not_count(fcn, series):
    X, _ = series
    display = rendered(ActivationDisplay.from_estimator(fcn, X))
    points = int((~np.isnan(X[:, 0])).sum())
    assert [values.shape for values in display.values] == [(points, 6), (points, 5)]
    assert list(display.activation) == ["relu", "relu"]  # those behind the normalization
    assert all((values >= 0).all() for values in display.values)


def test_a_parametric_activation_belongs_to_the_layer_below():
    """Whose values are drawn behind it, without an end where they would be saturated."""
    X = np.random.default_rng(0).standard_normal((30, 4))
    layers = [Scaling(6.0), Dense(5, "identity"), ParametricActivation("tanh"), Dense(3, "relu")]
    model = NetworkClassifier(layers, max_iter=3, random_state=0).fit(X, X[:, 0] > 0)
    display = rendered(ActivationDisplay.from_estimator(model, X))
    np.testing.assert_allclose(display.values[0], model.activations(X, 0), atol=1e-12)
    assert display.layer_names == ["dense 0", "dense 1"]
    assert list(display.activation) == ["identity", "relu"]
    assert len(rendered(GradientFlowDisplay.from_estimator(model, X, X[:, 0] > 0)).layer_names) == 3
    texts = {one.get_text() for one in rendered(NetworkDisplay.from_estimator(model)).ax_.texts}
    assert any("scaling" in one for one in texts) and any("parametric" in one for one in texts)
    assert check_gradient(model, X, X[:, 0] > 0).error < 1e-6


def test_gradient_flow_is_that_of_the_loss(cnn, images):
    X, y = images
    network = NetworkClassifier(**{**cnn.get_params(deep=False), "alpha": 0.0}).fit(X, y)
    display = rendered(GradientFlowDisplay.from_estimator(network, X, y))
    check = check_gradient(network, X, y, n_parameters=None, step=1e-6)
    n_weights = sum(weights.size for weights in network.coefs_)
    # all weights and then all biases
    squares = np.square(check.differences)
    starts = np.cumsum([0, *(weights.size for weights in network.coefs_[:-1])])
    np.testing.assert_allclose(
        display.weight_norms, np.sqrt(np.add.reduceat(squares[:n_weights], starts)), rtol=1e-5
    )
    starts = np.cumsum([0, *(biases.size for biases in network.intercepts_[:-1])])
    np.testing.assert_allclose(
        display.bias_norms, np.sqrt(np.add.reduceat(squares[n_weights:], starts)), rtol=1e-5
    )
    sizes = [np.linalg.norm(weights) for weights in network.coefs_]
    np.testing.assert_allclose(display.relative, display.weight_norms / sizes)
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == [
        "convolution 0\n3×3×1×5", "convolution 1\n2×3×5×4", "dense 0\n36×6", "output\n6×3",
    ]  # fmt: skip


def test_gradient_and_loss_of_series_of_unequal_length(fcn, series):
    X, y = series
    # steps so small that none crosses a kink of a ReLU
    check = check_gradient(fcn, X, y, random_state=0, step=1e-6)
    assert check.error < 1e-6
    assert len(rendered(GradientFlowDisplay.from_estimator(fcn, X, y)).weight_norms) == 3
    curve = rendered(LossCurveDisplay.from_estimator(fcn)).lines_[0].get_ydata()
    np.testing.assert_array_equal(curve, fcn.loss_curve_)


def test_advice_for_series_that_are_not_scaled_names_their_scaler(fcn, series):
    X, y = series
    network = NetworkClassifier(**fcn.get_params(deep=False))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.warns(TrainingWarning, match=r"The input .*SeriesScaler\(input_shape=\(2, 20"):
            network.fit(1000 * X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        network.fit(X, y)  # NaN behind the ends is nothing large


# --- the network as boxes ----------------------------------------------------------------


def written(display):
    return [text.get_text() for text in display.ax_.texts]


def test_a_network_of_images_is_a_box_for_each_layer(cnn):
    display = rendered(NetworkDisplay.from_estimator(cnn))
    assert [(box.name, box.shape, box.n_parameters) for box in display.boxes_] == [
        ("input", (1, 6, 7), 0),
        ("convolution 0", (5, 6, 7), 3 * 3 * 5 + 5),
        ("pooling", (5, 3, 3), 0),
        ("convolution 1", (4, 3, 3), 2 * 3 * 5 * 4 + 4),
        ("flatten", 36, 0),
        ("dense 0", 6, 36 * 6 + 6),
        ("output", 3, 6 * 3 + 3),
    ]
    texts = written(display)
    assert "5×6×7\n3×3\nrelu\n50 parameters" in texts
    assert "5×3×3\nmax 2×2\nno parameters" in texts
    assert "3\nsoftmax\n21 parameters" in texts
    assert {"input", "flatten", "left", "middle", "right"} <= set(texts)
    total = sum(array.size for array in (*cnn.coefs_, *cnn.intercepts_))
    assert display.ax_.get_title() == f"6 layers, {total} parameters"
    assert display.lines_ == display.units_ == display.shown_ == display.images_ == []


def test_planes_follow_the_shapes(cnn):
    display = rendered(NetworkDisplay.from_estimator(cnn))
    assert [len(planes) for planes in display.planes_] == [1, 5, 5, 4, 1, 1, 1]
    _, convolution, pooling, *_, flat, dense, _ = (planes[-1] for planes in display.planes_)
    for size, before, after in (("height", 6, 3), ("width", 7, 3)):
        ratio = getattr(pooling, f"get_{size}")() / getattr(convolution, f"get_{size}")()
        assert ratio == pytest.approx(np.sqrt(after / before))
    assert flat.get_height() > dense.get_height() and flat.get_width() == dense.get_width()
    few = NetworkDisplay.from_estimator(cnn, max_units=2)
    assert max(map(len, few.planes_)) == 2
    assert [name for name in ("left", "middle", "right") if name in written(few)] == [
        "left", "right",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="At least one"):
        NetworkDisplay.from_estimator(cnn, max_units=0)


def test_boxes_stand_in_order_and_apart(cnn):
    display = rendered(NetworkDisplay.from_estimator(cnn))
    fronts = [planes[-1] for planes in display.planes_]
    for planes, front in zip(display.planes_, fronts[1:]):
        assert max(plane.get_x() + plane.get_width() for plane in planes) < front.get_x()
    boxes = [text.get_window_extent() for text in display.ax_.texts if text.get_text()]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    page = display.figure_.bbox
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 for box in boxes)
    assert all(page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)


def test_fronts_have_the_values_of_a_case(cnn, images):
    case = images[0][0]
    display = rendered(NetworkDisplay.from_estimator(cnn, case))
    maps = F.relu(F.convolve(case[np.newaxis], cnn.coefs_[0], cnn.intercepts_[0]))
    strongest = np.square(maps[0]).sum(axis=(1, 2)).argmax()
    drawn = [np.asarray(image.get_array()) for image in display.images_]
    np.testing.assert_array_equal(drawn[0], case[0])
    np.testing.assert_allclose(drawn[1], maps[0, strongest], atol=1e-12)
    pooled = F.max_pool(maps, 2)[0]
    strongest = np.square(pooled).sum(axis=(1, 2)).argmax()
    np.testing.assert_allclose(drawn[2], pooled[strongest], atol=1e-12)
    np.testing.assert_allclose(drawn[-1][:, 0], cnn.predict_proba(case[np.newaxis])[0])
    for image, planes in zip(display.images_, display.planes_, strict=True):
        left, right, bottom, top = image.get_extent()
        front = planes[-1].get_bbox()
        np.testing.assert_allclose([left, bottom, right, top], front.extents)
    with pytest.raises(ValueError, match="x has 60 rows"):
        NetworkDisplay.from_estimator(cnn, images[0])


def test_boxes_of_series_say_the_normalization_and_end_where_the_case_does(fcn, series):
    display = rendered(NetworkDisplay.from_estimator(fcn, series[0][1]))
    assert [(box.name, box.shape, box.n_parameters) for box in display.boxes_] == [
        ("input", (2, 20), 0),
        ("convolution 0", (6, 20), 4 * 2 * 6 + 6),
        ("normalization", (6, 20), 12),  # running statistics are not trained
        ("convolution 1", (5, 20), 3 * 6 * 5 + 5),
        ("normalization", (5, 20), 10),
        ("global pooling", 5, 0),
        ("output", 1, 6),
    ]
    assert {"6×20\nkernel 4\n54 parameters", "6×20\nbatch\nrelu\n12 parameters"} <= set(
        written(display)
    )
    assert "up, else down" in written(display)
    for image in display.images_[:5]:
        ends = np.ma.getmaskarray(image.get_array())[0]
        np.testing.assert_array_equal(ends, np.arange(20) >= 9)


def test_a_layer_of_which_a_short_series_has_no_point_is_drawn():
    layers = (Pool("max", 2), GlobalPool("mean"), Dense(1, "identity"))
    network = Network(8, layers, "squared_error", "identity", shape=(2, 4))
    values = [np.full((2, 4), np.nan), np.full((2, 2), np.nan), np.zeros(2), np.ones(1)]
    values[0][:, 0] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = rendered(NetworkDisplay([], activations=values, network=network).plot())
    assert np.ma.getmaskarray(display.images_[1].get_array()).all()
    assert display.images_[1].get_clim() == (0.0, 1.0)


def test_a_residual_layer_has_an_arc_from_what_it_adds(images):
    X, y = images
    layers = [
        Augment(shift=1), Conv(3, 3), Conv(3, 3, stride=(1, 2), padding="same"), Conv(3, 3),
        Dropout(0.25), Residual(2), GlobalPool("max"),
    ]  # fmt: skip
    network = NetworkClassifier(layers, **QUICK).fit(X, y)
    display = rendered(NetworkDisplay.from_estimator(network, X[0]))
    (arc,) = display.ax_.lines
    left, *_, right = arc.get_xdata()
    tops = [max(plane.get_y() + plane.get_height() for plane in p) for p in display.planes_]
    assert display.planes_[3][-1].get_x() < left < display.planes_[4][-1].get_x()
    assert display.planes_[6][-1].get_x() < right < display.planes_[7][-1].get_x()
    assert max(arc.get_ydata()) > max(tops)
    details = [box.details for box in display.boxes_]
    assert details[1] == ["shift 1"]
    assert details[3] == ["3×3", "relu", "stride 1×2"]
    assert details[5:7] == [["rate 0.25"], ["+ input of", "convolution 2"]]
    # what is only there in training changes nothing
    same = [np.asarray(display.images_[i].get_array()) for i in (0, 1, 4, 5)]
    np.testing.assert_array_equal(same[0], same[1])
    np.testing.assert_array_equal(same[2], same[3])


def test_many_layers_stand_in_lines_and_fit_into_given_axes(images):
    X, y = images
    layers = [*[Conv(2, 3)] * 14, Flatten()]
    network = NetworkClassifier(layers, **QUICK).fit(X, y)
    display = rendered(NetworkDisplay.from_estimator(network))
    assert display.figure_.get_figwidth() < 14
    tops = [planes[0].get_bbox().y1 for planes in display.planes_]
    bottoms = [planes[-1].get_y() for planes in display.planes_]
    middles = np.round(np.add(tops, bottoms), 6)
    assert len(set(middles)) == 2 and (np.diff(middles) <= 0).all()
    ax = plt.subplots(1, 2, figsize=(12, 5))[1][1]
    display = rendered(NetworkDisplay.from_estimator(network, ax=ax))
    assert display.ax_ is ax
    room = ax.get_window_extent()
    texts = [text for text in ax.texts if text.get_text()]
    assert all(text.get_window_extent().x0 > room.x0 - 2 for text in texts)
    assert all(text.get_window_extent().x1 < room.x1 + 2 for text in texts)
    assert 1 < max(text.get_fontsize() for text in texts) < 8


def test_a_stack_of_dense_layers_is_drawn_as_an_mlp_is(images):
    X, y = images[0].reshape(60, -1)[:, 14:20], images[1]
    stack = NetworkClassifier([Dense(5, "tanh"), Dense(4, "tanh")], **QUICK)
    mlp = MLPClassifier((5, 4), "tanh", **QUICK).fit(X, y)
    one = rendered(NetworkDisplay.from_estimator(stack.fit(X, y), X[0]))
    other = rendered(NetworkDisplay.from_estimator(mlp, X[0]))
    assert written(one) == written(other)
    assert one.boxes_ == one.planes_ == []
    for ours, theirs in zip(one.units_, other.units_, strict=True):
        np.testing.assert_allclose(ours.get_array(), theirs.get_array())
    for ours, theirs in zip(one.lines_, other.lines_, strict=True):
        np.testing.assert_allclose(ours.get_linewidths(), theirs.get_linewidths())
    stack.set_params(layers=[Dense(5, "tanh"), Dropout(0.25)]).fit(X, y)
    display = rendered(NetworkDisplay.from_estimator(stack, X[0]))
    hidden = np.tanh(X[0] @ stack.coefs_[0] + stack.intercepts_[0])
    for values, expected in zip(
        display.activations, (X[0], hidden, stack.predict_proba(X[:1])[0]), strict=True
    ):
        np.testing.assert_allclose(values, expected)
    stack.set_params(layers=[RadialBasis(4)]).fit(X, y)
    boxes = rendered(NetworkDisplay.from_estimator(stack, X[0])).boxes_
    assert [(box.name, box.n_parameters) for box in boxes] == [
        ("input", 0), ("radial", 6 * 4 + 4), ("output", 15),
    ]  # fmt: skip


# --- weights -----------------------------------------------------------------------------


def test_weights_of_a_convolution_are_points_and_channels_by_filters(cnn):
    display = rendered(WeightsDisplay.from_estimator(cnn))
    np.testing.assert_array_equal(display.image_.get_array(), cnn.coefs_[0].reshape(9, 5))
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == [f"point {i}, {j}" for i in range(3) for j in range(3)]
    assert display.ax_.get_title() == "weights of convolution 0"
    assert display.ax_.get_xlabel() == "filter of convolution 0"
    display = rendered(WeightsDisplay.from_estimator(cnn, 1, max_features=30))
    matrix = display.image_.get_array()
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    weights = cnn.coefs_[1]  # (2, 3, 5, 4)
    np.testing.assert_array_equal(matrix[names.index("point 1, 2; channel 3")], weights[1, 2, 3])
    picture = WeightsDisplay.from_estimator(cnn, image_shape=(3, 3))
    drawn = np.ma.filled(picture.image_.get_array(), np.nan)
    np.testing.assert_array_equal(drawn[1:4, 5:8], cnn.coefs_[0][:, :, 0, 1])


def test_weights_of_dense_layers_behind_arrays_are_named_by_channel_and_point(cnn, fcn):
    display = rendered(WeightsDisplay.from_estimator(cnn, -2, max_features=36))
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names[:4] == [f"point 0, {j}; channel 0" for j in range(3)] + ["point 1, 0; channel 0"]
    assert names[-1] == "point 2, 2; channel 3"
    np.testing.assert_array_equal(display.image_.get_array(), cnn.coefs_[2])
    display = rendered(WeightsDisplay.from_estimator(fcn, -1))
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == [f"unit {i}" for i in range(5)]
    assert display.ax_.get_title() == "weights of output"
    series = rendered(WeightsDisplay.from_estimator(fcn))
    names = [label.get_text() for label in series.ax_.get_yticklabels()]
    assert names[:3] == ["point 0; channel 0", "point 0; channel 1", "point 1; channel 0"]


def test_weights_of_any_layer_of_an_mlp_are_drawn(images):
    X, y = images[0].reshape(60, -1), images[1]
    network = MLPClassifier((5, 4), **QUICK).fit(X, y)
    display = rendered(WeightsDisplay.from_estimator(network, 1))
    np.testing.assert_array_equal(display.image_.get_array(), network.coefs_[1])
    assert display.ax_.get_title() == "weights of hidden 2"
    assert display.ax_.get_yticklabels()[4].get_text() == "unit 4"
    assert WeightsDisplay.from_estimator(network, -3).ax_.get_title().startswith("first-layer")
    for layer in (3, -4):
        with pytest.raises(ValueError, match=f"from -3 to 2, got {layer}"):
            WeightsDisplay.from_estimator(network, layer)
