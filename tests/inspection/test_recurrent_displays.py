"""Displays of recurrent networks: states and gradients over time, and what all networks share."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import naive_networks
import naive_recurrence
from nnjit import (
    HiddenFeatures,
    MLPClassifier,
    NetworkClassifier,
    NetworkRegressor,
    RecurrentClassifier,
)
from nnjit.inspection import (
    ActivationDisplay,
    FeatureMapDisplay,
    GradientFlowDisplay,
    GradientOverTimeDisplay,
    LossCurveDisplay,
    NetworkDisplay,
    RelevanceDisplay,
    StateDisplay,
    WeightsDisplay,
    check_gradient,
)
from nnjit.inspection._cases import find_stack
from nnjit.inspection._recurrence import state_gradients
from nnjit.layers import (
    GRU,
    LSTM,
    RNN,
    Conv,
    Dense,
    Dropout,
    GaussianNoise,
    GlobalPool,
    Normalization,
    Residual,
    TiedDense,
)

# Three epochs, none of which counts as better.
QUICK = {"max_iter": 9, "random_state": 0, "tol": 10.0, "n_iter_no_change": 1}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def rendered(display):
    display.figure_.canvas.draw()
    return display


@pytest.fixture(scope="module")
def series():
    """Series of two channels and 5 to 12 points, and which channel is larger."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(2, n)) for n in (12, 7, 5, 9, *rng.integers(5, 13, 20))]
    return X, np.array([("low", "high")[int(x[0].mean() > x[1].mean())] for x in X])


def at_points(X):
    """A value for each point of series: the sum of the first channel so far."""
    return [np.cumsum(x[0]) for x in X]


@pytest.fixture(scope="module")
def classifier(series):
    return RecurrentClassifier(5, **QUICK).fit(*series)


@pytest.fixture(scope="module")
def tagger(series):
    """Three classes at every point, by states of both directions."""
    X, _ = series
    y = [np.digitize(values, [-1, 1]) for values in at_points(X)]
    layers = [LSTM(4, bidirectional=True, return_sequences=True), Conv(3, 1, "tanh")]
    return NetworkClassifier(layers, targets="sequence", **QUICK).fit(X, y), X, y


# --- gradient over time --------------------------------------------------------------------


def loss_of(model, layer_place, x, y, moved=None, at=None, way=0, kind=0):
    """Half the squared error, of one series, where `moved` is added to the state behind a point.

    The mean over the points where each has a target. By the oracle alone.
    """
    stack, _ = find_stack(model, [x])
    network, arrays = stack.network, [one.astype(np.float64) for one in stack.arrays]
    values, before = x[np.newaxis], []
    for number, (layer, own) in enumerate(
        zip(network.layers, naive_networks.by_layer(network, arrays))
    ):
        before.append(values)
        if number == layer_place:
            values = moved_states(layer, values[0], own, moved, at, way, kind)[np.newaxis]
        elif layer.kind == "residual":
            values = values + before[number - layer.span]
        elif layer.kind == "tied":
            own = [naive_networks.by_layer(network, arrays)[number - layer.back][0].T, *own]
            values = naive_networks.PASSES["dense"][0](layer, values, own, None, False)[0]
        elif layer.kind not in ("dropout", "noise"):
            values = naive_networks.PASSES[layer.kind][0](layer, values, own, None, False)[0]
    if values.ndim == 3:
        return np.square(values[0].T - np.reshape(y, (-1, 1))).mean() / 2
    return np.square(values[0] - y).mean() / 2


def moved_states(layer, x, parameters, moved, at, way, kind):
    """Outputs of a recurrent layer, some state of which is moved before the next point reads it."""
    sequences, ends = [], []
    for d, own in enumerate(naive_recurrence.of_directions(layer, parameters)):
        order = slice(None, None, -1 if d else 1)
        point = None if at is None else (x.shape[1] - 1 - at if d else at)
        state, states = naive_recurrence.start_of(layer, np.float64), []
        for t, inputs in enumerate(x.T[order]):
            forward = naive_recurrence.CELLS[layer.kind][0]
            state, _ = forward(inputs, state, own, 1.0, **naive_recurrence.options_of(layer))
            if d == way and t == point:
                state = moved_state(layer, inputs, state, own, moved, kind)
            states.append(state[0])
        sequences.append(np.array(states)[order].T)
        ends.append(state[0])
    return np.concatenate(sequences if layer.return_sequences else ends)


def moved_state(layer, inputs, state, own, moved, kind):
    if kind == 0:
        return (state[0] + moved, *state[1:])
    # a move of c moves h as well, by the output gate
    gate = state[0] / np.tanh(state[1])
    return gate * np.tanh(state[1] + moved), state[1] + moved


LAYERS = {
    "last rnn": [RNN(3), Dense(4, "tanh")],
    "relu": [RNN(3, activation="relu", return_sequences=True), GlobalPool("mean")],
    "gru": [GRU(3), Dropout(0.5)],
    "lstm": [LSTM(3, recurrent_dropout=0.3), Dense(2, "tanh")],
    "both ways": [GRU(3, bidirectional=True)],
    "both ways of lstm": [LSTM(2, bidirectional=True, return_sequences=True), GlobalPool("max")],
    "below": [GRU(3, return_sequences=True), Normalization("batch", "tanh"), LSTM(2)],
    "above": [Conv(3, 3, "tanh"), GRU(3, return_sequences=True), Conv(2, 3), GlobalPool("mean")],
    "residual above": [GRU(3, return_sequences=True), Conv(3, 1, "tanh"), Residual(1), RNN(2)],
    "normalized vector": [GRU(3), Normalization("batch", "tanh")],
    "noise and tied": [RNN(3), GaussianNoise(0.2), Dense(2, "tanh"), TiedDense(1, "tanh")],
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_by_states_are_differences_of_the_loss(name, series):
    X, _ = series
    y = np.array([x.sum() for x in X])
    model = NetworkRegressor(LAYERS[name], batch_size=8, **QUICK).fit(X, y)
    check_differences(model, X[:3], y[:3], y[:3, np.newaxis])


@pytest.mark.parametrize(
    "layer",
    [RNN(3), GRU(3), LSTM(3), GRU(2, bidirectional=True)],
    ids=lambda layer: f"{layer.kind} {layer.directions}",
)
def test_gradients_where_each_point_has_a_target(layer, series):
    X, _ = series
    layers = [type(layer)(layer.units, layer.bidirectional, True), Conv(2, 1, "tanh")]
    model = NetworkRegressor(layers, targets="sequence", **QUICK).fit(X, at_points(X))
    target = np.full((3, 12, 1), np.nan)
    for row, values in zip(target, at_points(X)):
        row[: len(values), 0] = values
    check_differences(model, X[:3], at_points(X)[:3], np.nan_to_num(target))


def check_differences(model, X, y, target):
    stack, rows = find_stack(model, X)
    for place, layer in enumerate(stack.network.layers):
        if not hasattr(layer, "recurrent_dropout"):
            continue
        found = state_gradients(stack, rows, target, place, None)
        for x, one, of_row in zip(X, y, found, strict=True):
            assert len(of_row) == layer.directions
            for way, states in enumerate(of_row):
                assert [part.shape for part in states] == [(x.shape[1], layer.units)] * layer.states
                for kind, gradient in enumerate(states):
                    expected = differences(model, place, x, one, way, kind, layer.units)
                    np.testing.assert_allclose(gradient, expected, atol=1e-8)


def differences(model, place, x, y, way, kind, units, step=1e-5):
    found = np.zeros((x.shape[1], units))
    for t in range(x.shape[1]):
        for unit, move in enumerate(step * np.eye(units)):
            above = loss_of(model, place, x, y, move, t, way, kind)
            below = loss_of(model, place, x, y, -move, t, way, kind)
            found[t, unit] = (above - below) / (2 * step)
    return found


def oracle_gradients(layer, x, parameters, slopes):
    """Gradients by h at all points, by the oracle's cells."""
    forward, backward = naive_recurrence.CELLS[layer.kind]
    options = naive_recurrence.options_of(layer)
    state, kept, found = naive_recurrence.start_of(layer, np.float64), [], []
    for point in x:
        state, of_point = forward(point, state, parameters, 1.0, **options)
        kept.append(of_point)
    later = naive_recurrence.start_of(layer, np.float64)
    for t in reversed(range(len(x))):
        found.append(slopes[t] + later[0])
        _, later, _ = backward((found[-1], *later[1:]), kept[t], parameters, 1.0, **options)
        if layer.truncate is not None and t % layer.truncate == 0:
            later = naive_recurrence.start_of(layer, np.float64)
    return np.array(found[::-1])


@pytest.mark.parametrize("layer", [GRU(3, truncate=4), LSTM(3, truncate=3), RNN(2, truncate=1)])
def test_a_truncated_gradient_ends_where_it_does_in_training(layer, series):
    X, _ = series
    y = np.array([x.sum() for x in X])
    model = NetworkRegressor([layer], **QUICK).fit(X, y)
    stack, rows = find_stack(model, X[:1])
    ((found, *_),) = state_gradients(stack, rows, y[:1, np.newaxis], 0, None)[0]
    slopes = np.zeros((12, layer.units))
    slopes[-1] = (model.predict(X[:1]) - y[0]) * model.coefs_[1][:, 0]
    parameters = [*stack.parameters_of(0).values()]
    expected = oracle_gradients(layer, X[0].T, parameters, slopes)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    cut = 11 // layer.truncate * layer.truncate
    assert found[cut:].any() and not found[:cut].any()
    display = rendered(GradientOverTimeDisplay.from_estimator(model, X[:1], y[:1]))
    np.testing.assert_array_equal(display.zeros_[0].get_xdata(), np.arange(cut))


def test_gradient_over_time_of_several_cases_is_a_root_mean_square(classifier, series):
    X, y = series
    alone = [
        GradientOverTimeDisplay.from_estimator(classifier, X[i : i + 1], y[i : i + 1]).norms[0]
        for i in range(3)
    ]
    assert [len(norms) for norms in alone] == [12, 7, 5]
    display = rendered(GradientOverTimeDisplay.from_estimator(classifier, X[:3], y[:3]))
    for t, norm in enumerate(display.norms[0]):
        present = [norms[t] for norms in alone if len(norms) > t]
        assert norm == pytest.approx(np.sqrt(np.mean(np.square(present))))
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), display.norms[0])
    assert display.ax_.get_title() == "gru 0"
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_legend() is None


def test_padding_does_not_change_gradients_over_time(classifier, series):
    X, y = series
    expected = GradientOverTimeDisplay.from_estimator(classifier, X[1:2], y[1:2]).norms
    padded = np.full((1, 2, 20), np.nan)
    padded[0, :, :7] = X[1]
    found = GradientOverTimeDisplay.from_estimator(classifier, padded, y[1:2]).norms
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_gradient_of_the_loss_at_one_point_goes_back_from_there_alone(series):
    X, _ = series
    y = at_points(X)
    layers = [GRU(3, return_sequences=True)]
    model = NetworkRegressor(layers, targets="sequence", **QUICK).fit(X, y)
    for point, last in ((3, 3), (-1, 11), (-4, 8)):
        display = GradientOverTimeDisplay.from_estimator(model, X[:1], y[:1], point=point)
        norms = display.norms[0]
        assert norms[: last + 1].all() and not norms[last + 1 :].any()
        slope = model.predict(X[:1])[0][last] - y[0][last]
        assert norms[last] == pytest.approx(abs(slope) * np.linalg.norm(model.coefs_[-1]))
    whole = GradientOverTimeDisplay.from_estimator(model, X[:1], y[:1])
    stack, rows = find_stack(model, X[:1])
    parts = [
        state_gradients(stack, rows, y[0][np.newaxis, :, np.newaxis], 0, t)[0][0][0]
        for t in range(12)
    ]
    np.testing.assert_allclose(np.linalg.norm(np.mean(parts, axis=0), axis=1), whole.norms[0])


def test_curves_of_several_networks_share_axes(tagger, classifier, series):
    network, X, y = tagger
    first = GradientOverTimeDisplay.from_estimator(classifier, *series, name="gru")
    second = GradientOverTimeDisplay.from_estimator(network, X, y, name="lstm", ax=first.ax_)
    rendered(second)
    names = [text.get_text() for text in second.ax_.get_legend().get_texts()]
    assert names == ["gru", "lstm, forward h", "lstm, forward c", "lstm, backward h",
                     "lstm, backward c"]  # fmt: skip
    lines = [*first.lines_, *second.lines_]
    assert len({line.get_color() for line in lines}) == 5
    assert second.ax_.get_title() == ""  # of two layers


def test_gradients_over_time_that_are_not_there_are_refused(classifier, tagger, series):
    X, y = series
    draw = GradientOverTimeDisplay.from_estimator
    with pytest.raises(ValueError, match="The network has 1 recurrent layer: layer must be from"):
        draw(classifier, X, y, layer=1)
    with pytest.raises(ValueError, match="point is for networks with a target at every point"):
        draw(classifier, X, y, point=3)
    with pytest.raises(ValueError, match="X has 2 cases, but y 3"):
        draw(classifier, X[:2], y[:3])
    network, _, of_points = tagger
    with pytest.raises(ValueError, match="A case has 5 points, there is none with number 5"):
        draw(network, X[2:3], of_points[2:3], point=5)
    layers = [GRU(2, return_sequences=True), Residual(1), GlobalPool("mean")]
    around = NetworkClassifier(layers, **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="Layer 1 adds what comes from below recurrent layer 0"):
        draw(around, X, y)
    convolutional = NetworkClassifier([Conv(3), GlobalPool()], **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="The network has no recurrent layers"):
        draw(convolutional, X, y)
    vectors = MLPClassifier((2,), **QUICK).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(TypeError, match="needs a network for series or images"):
        draw(vectors, [[0.0]], [0])


# --- states ----------------------------------------------------------------------------------


def test_states_are_those_of_the_oracle(classifier, series):
    X, _ = series
    display = rendered(StateDisplay.from_estimator(classifier, X, 1))
    stack, _ = find_stack(classifier)
    layer, parameters = GRU(5, return_sequences=True), [*stack.parameters_of(0).values()]
    expected, *_ = naive_recurrence.recurrent_forward(layer, X[1][np.newaxis], parameters)
    np.testing.assert_allclose(display.values[:, :7], expected[0], atol=1e-6)
    assert np.isnan(display.values[:, 7:]).all()
    np.testing.assert_array_equal(display.case[:, :7], X[1])
    assert display.outputs is None and len(display.axes_) == 2
    drawn = np.ma.filled(display.image_.get_array(), np.nan)
    np.testing.assert_array_equal(drawn, display.values)
    assert display.ax_.get_xlim() == (-0.5, 6.5)
    assert display.ax_.get_title() == "gru 0: 5 states"
    alone = StateDisplay.from_estimator(classifier, X[1])
    np.testing.assert_array_equal(alone.values[:, :7], display.values[:, :7])


def test_states_at_the_end_are_what_the_layers_above_read(series):
    X, y = series
    layers = [GRU(4, return_sequences=True), LSTM(3, bidirectional=True)]
    model = NetworkClassifier(layers, **QUICK).fit(X, y)
    read = model.activations(X, 1)
    for case in (0, 3, -1):
        display = StateDisplay.from_estimator(model, X, case)
        last = X[case].shape[1] - 1
        np.testing.assert_array_equal(display.values[:3, last], read[case, :3])
        np.testing.assert_array_equal(display.values[3:, 0], read[case, 3:])
    below = StateDisplay.from_estimator(model, X, 0, layer=0)
    np.testing.assert_array_equal(below.values, model.activations(X, 0)[0])
    assert rendered(display).ax_.get_title() == "lstm 0: 3 states forward, 3 backward"


def test_outputs_at_all_points_stand_below_the_states(tagger):
    network, X, _ = tagger
    display = rendered(StateDisplay.from_estimator(network, X, 3))
    expected = network.predict_proba(X[3:4])[0]
    np.testing.assert_allclose(display.outputs[:, :9], expected.T, atol=1e-6)
    assert np.isnan(display.outputs[:, 9:]).all()
    names = [text.get_text() for text in display.axes_[2].get_legend().get_texts()]
    assert names == ["class 0", "class 1", "class 2"]
    assert display.axes_[2].get_xlabel() == "time"


def test_states_as_curves_and_some_of_them(tagger):
    network, X, _ = tagger
    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    display = StateDisplay.from_estimator(network, X, units=[1, -1], lines=True, ax=right)
    rendered(display)
    assert display.image_ is None and display.ax_ is right and display.figure_ is figure
    assert not left.lines
    np.testing.assert_array_equal(display.units_, [1, 7])
    for line, unit in zip(display.lines_, (1, 7), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), display.values[unit])
        assert line.get_label() == str(unit)
    assert [line.get_linestyle() for line in display.lines_] == ["-", "--"]
    strongest = display.plot(max_units=3)
    sums = np.nansum(np.square(display.values), axis=1)
    np.testing.assert_array_equal(strongest.units_, np.sort(np.argsort(-sums)[:3]))
    assert strongest.ax_.get_title().endswith(", 3 drawn")


def test_states_that_are_not_there_are_refused(classifier, series):
    X, _ = series
    draw = StateDisplay.from_estimator
    with pytest.raises(ValueError, match="X has 24 cases, there is none with number 24"):
        draw(classifier, X, 24)
    with pytest.raises(ValueError, match="The network has 1 recurrent layer"):
        draw(classifier, X, layer=-2)
    with pytest.raises(ValueError, match="There are 5 states: units must be from -5 to 4"):
        draw(classifier, X, units=[5])
    with pytest.raises(ValueError, match="units is a sequence of at least one int"):
        draw(classifier, X, units=[])
    with pytest.raises(ValueError, match="A case has the shape"):
        StateDisplay(np.ones((1, 4)), np.ones((2, 3))).plot()


# --- what all networks share -------------------------------------------------------------------


def test_weights_of_recurrent_layers_have_names_of_gates(classifier, tagger):
    display = rendered(WeightsDisplay.from_estimator(classifier))
    np.testing.assert_array_equal(display.weights, classifier.coefs_[0])
    assert list(display.feature_names) == ["channel 0", "channel 1"]
    assert display.unit_names[:6] == ["r0", "r1", "r2", "r3", "r4", "z0"]
    assert display.ax_.get_xlabel() == "gate and unit"
    network, _, _ = tagger
    for name in ("recurrent_weights", "reverse_weights", "reverse_recurrent_weights"):
        display = rendered(WeightsDisplay.from_estimator(network, parameter=name))
        np.testing.assert_array_equal(display.weights, network.layer_parameters_[0][name])
        assert display.ax_.get_title() == f"lstm 0, {name}"
    with pytest.raises(ValueError, match=r"'weights' or 'recurrent_weights', got parameter='U'"):
        WeightsDisplay.from_estimator(classifier, parameter="U")


def test_tied_weights_are_drawn_as_those_of_the_other_layer_transposed():
    X = np.random.default_rng(0).standard_normal((30, 5))
    layers = [Dense(4, "tanh"), GaussianNoise(0.1), Dense(2, "identity"), TiedDense(1, "tanh")]
    model = NetworkRegressor(layers, **QUICK).fit(X, X[:, 0])
    display = rendered(WeightsDisplay.from_estimator(model, layer=2))
    np.testing.assert_array_equal(display.weights, model.coefs_[1].T)
    assert display.ax_.get_title() == "weights of tied 0"
    names = rendered(ActivationDisplay.from_estimator(model, X)).layer_names
    assert names == ["dense 0", "dense 1", "tied 0"]
    assert len(rendered(GradientFlowDisplay.from_estimator(model, X, X[:, 0])).layer_names) == 4
    assert "tied 0" in {
        one.get_text() for one in rendered(NetworkDisplay.from_estimator(model)).ax_.texts
    }
    assert check_gradient(model, X, X[:, 0]).error < 1e-6


def test_gradient_flow_has_the_weights_of_the_states_apart(tagger):
    network, X, y = tagger
    display = rendered(GradientFlowDisplay.from_estimator(network, X, y))
    assert display.layer_names == [
        "lstm 0\n2×16", "lstm 0\nstates\n4×16", "lstm 0\nbackward\n2×16",
        "lstm 0\nbackward\nstates\n4×16", "convolution 0\n1×8×3", "output\n1×3×3",
    ]  # fmt: skip
    assert np.isfinite(display.weight_norms).all()
    np.testing.assert_array_equal(np.isnan(display.bias_norms), [False, True] * 2 + [False] * 2)
    check = check_gradient(network, X, y, n_parameters=None)
    total = np.square(display.weight_norms).sum() + np.nansum(np.square(display.bias_norms))
    penalty = network.alpha / len(X)
    assert np.linalg.norm(check.gradient) == pytest.approx(np.sqrt(total), abs=10 * penalty)


@pytest.mark.parametrize("targets", ["one", "sequence"])
def test_gradients_are_checked_all_the_way_back_through_time(targets, series):
    X, _ = series
    sequences = targets == "sequence"
    layer = GRU(3, return_sequences=sequences, recurrent_dropout=0.2, truncate=2)
    y = at_points(X) if sequences else np.array([x.sum() for x in X])
    model = NetworkRegressor([layer], targets=targets, **QUICK).fit(X, y)
    assert check_gradient(model, X, y, n_parameters=None).error < 1e-7


def test_boxes_of_a_recurrent_network_have_its_values(tagger, classifier, series):
    network, X, _ = tagger
    display = rendered(NetworkDisplay.from_estimator(network, X[1:2]))
    assert [box.name for box in display.boxes_] == ["input", "lstm 0", "convolution 0", "output"]
    assert display.boxes_[1].details == ["bidirectional", "return_sequences"]
    expected = network.predict_proba(X[1:2])[0]
    assert display.activations[-1].shape == (3, 12)
    np.testing.assert_allclose(display.activations[-1][:, :7], expected.T, atol=1e-6)
    assert np.isnan(display.activations[-1][:, 7:]).all()
    display = rendered(NetworkDisplay.from_estimator(classifier, series[0][:1]))
    np.testing.assert_allclose(
        display.activations[-1], classifier.predict_proba(series[0][:1])[0, 1:], atol=1e-6
    )


def test_activations_of_gated_cells_are_between_ends_of_a_tanh(tagger, classifier, series):
    network, X, _ = tagger
    display = rendered(ActivationDisplay.from_estimator(network, X))
    assert list(display.activation) == ["tanh", "tanh"]
    assert display.values[0].shape == (sum(x.shape[1] for x in X), 8)
    display = rendered(ActivationDisplay.from_estimator(classifier, series[0]))
    np.testing.assert_allclose(display.values[0], classifier.activations(series[0], 0), atol=1e-6)


def test_relevance_is_of_a_single_target(classifier, tagger, series):
    display = rendered(RelevanceDisplay.from_estimator(classifier, series[0][1]))
    assert display.method == "occlusion"
    assert np.isfinite(display.relevance[:7]).all()
    network, X, _ = tagger
    with pytest.raises(ValueError, match="target at every point has no single output"):
        RelevanceDisplay.from_estimator(network, X[0])


def test_loss_curves_and_hidden_features_of_recurrent_networks(tagger, classifier, series):
    network, X, _ = tagger
    curve = rendered(LossCurveDisplay.from_estimator(network))
    np.testing.assert_array_equal(curve.loss, network.loss_curve_)
    assert network.activations(X, 0).shape == (24, 8, 12)
    assert HiddenFeatures(network, layer=0, prefit=True).fit(X).transform(X).shape == (24, 96)
    features = HiddenFeatures(classifier, prefit=True).fit(series[0])
    np.testing.assert_array_equal(
        features.transform(series[0]), classifier.activations(series[0], -1)
    )
    with pytest.raises(ValueError, match="The network has no convolution layers"):
        FeatureMapDisplay.from_estimator(classifier, series[0][0])
