"""Series that come one point after the other: predict_stream of networks with recurrent layers."""

import pickle

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from nnjit import NetworkClassifier, NetworkRegressor, RecurrentClassifier, RecurrentRegressor
from nnjit.layers import GRU, LSTM, RNN, Conv, Dropout, Flatten, GlobalPool

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CHANNELS, TIME = 3, 12
FEW = {"max_iter": 3, "tol": 1.0, "random_state": 0}


def data(classes=3, dtype=np.float64, n=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, CHANNELS, TIME)).astype(dtype)
    return X, np.array(["one", "two", "three"])[rng.integers(classes, size=n)]


def so_far(case):
    """A series up to each of its points."""
    return [case[:, :n] for n in range(1, case.shape[1] + 1)]


def tolerance(dtype):
    return 1e-5 if dtype == np.float32 else 1e-12


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
@pytest.mark.parametrize("pool", ["last", "mean", "max"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stream_says_what_the_series_up_to_there_would(cell, pool, dtype):
    X, y = data(dtype=dtype)
    model = RecurrentClassifier(5, cell, pool=pool, hidden_layer_sizes=4, **FEW).fit(X, y)
    stream, labels = model.predict_stream(), model.predict_stream()
    for case in X[:3]:
        stream.reset(), labels.reset()
        found = [stream.predict_proba(x) for x in case.T]
        assert found[0].dtype == dtype
        expected = model.predict_proba(so_far(case))
        np.testing.assert_allclose(found, expected, rtol=tolerance(dtype))
        assert [labels.predict(x) for x in case.T] == model.predict(so_far(case)).tolist()


def test_a_stream_of_two_classes_gives_both_probabilities():
    X, y = data(classes=2)
    model = RecurrentClassifier(5, **FEW).fit(X, y)
    stream, labels = model.predict_stream(), model.predict_stream()
    expected = model.predict_proba(so_far(X[0]))
    np.testing.assert_allclose([stream.predict_proba(x) for x in X[0].T], expected, rtol=1e-12)
    assert [labels.predict(x) for x in X[0].T] == model.predict(so_far(X[0])).tolist()


def test_a_probability_that_is_almost_1_leaves_the_other_its_digits():
    X, y = data(classes=2)
    model = RecurrentClassifier(5, **FEW).fit(X, y)
    model.intercepts_[-1] = np.array([50.0])
    stream = model.predict_stream()
    expected = model.predict_proba(so_far(X[0]))
    assert (expected[:, 1] == 1).all()
    np.testing.assert_allclose([stream.predict_proba(x) for x in X[0].T], expected, rtol=1e-9)


def test_a_stream_of_several_columns_of_labels():
    X, y = data()
    both = np.column_stack([y, np.arange(len(y)) % 2 == 0])
    model = RecurrentClassifier(5, **FEW).fit(X, both)
    stream = model.predict_stream()
    found = [stream.predict(x) for x in X[0].T]
    np.testing.assert_array_equal(found, model.predict(so_far(X[0])))


@pytest.mark.parametrize("columns", [1, 2])
def test_a_stream_of_a_regressor_gives_its_values(columns):
    X, _ = data()
    y = X.sum(axis=2)[:, :columns] if columns > 1 else X.sum(axis=(1, 2))
    model = RecurrentRegressor(5, **FEW).fit(X, y)
    stream = model.predict_stream()
    found = [stream.predict(x) for x in X[0].T]
    np.testing.assert_allclose(found, model.predict(so_far(X[0])), rtol=1e-12)


def test_quantiles_of_a_stream_do_not_cross():
    X, _ = data()
    model = RecurrentRegressor(5, loss="quantile", quantile=[0.9, 0.1], **FEW)
    model.fit(X, X.sum(axis=(1, 2)))
    stream = model.predict_stream()
    found = [stream.predict(x) for x in X[0].T]
    np.testing.assert_allclose(found, model.predict(so_far(X[0])), rtol=1e-12)


def test_layers_of_any_kind_that_look_at_one_point_go_with_a_stream():
    X, y = data()
    layers = [
        Conv(4, 1),
        Dropout(0.2),
        RNN(4, return_sequences=True),
        LSTM(4, return_sequences=True),
        GRU(3),
    ]
    model = NetworkClassifier(layers, **FEW).fit(X, y)
    stream = model.predict_stream()
    expected = model.predict_proba(so_far(X[0]))
    np.testing.assert_allclose([stream.predict_proba(x) for x in X[0].T], expected, rtol=1e-12)


def test_a_single_channel_may_come_as_a_number():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, TIME))
    model = RecurrentRegressor(4, **FEW).fit(X, X.sum(axis=1))
    stream, other = model.predict_stream(), model.predict_stream()
    assert [stream.predict(x) for x in X[0]] == [other.predict([x]) for x in X[0]]


def test_a_copy_and_a_pickle_go_on_by_themselves():
    X, y = data()
    for pool in ("last", "mean"):
        stream = RecurrentClassifier(5, pool=pool, **FEW).fit(X, y).predict_stream()
        before, after = X[0].T[:6], X[0].T[6:]
        for x in before:
            stream.predict(x)
        others = [stream.copy(), pickle.loads(pickle.dumps(stream))]
        found = [stream.predict_proba(x) for x in after]
        for other in others:
            np.testing.assert_array_equal([other.predict_proba(x) for x in after], found)


def test_reset_begins_a_new_series():
    X, y = data()
    stream = RecurrentClassifier(5, "lstm", **FEW).fit(X, y).predict_stream()
    first = [stream.predict_proba(x) for x in X[0].T]
    assert stream.reset() is stream
    np.testing.assert_array_equal([stream.predict_proba(x) for x in X[0].T], first)


def test_a_stream_keeps_the_network_that_it_was_made_of():
    X, y = data()
    model = RecurrentClassifier(5, **FEW).fit(X, y)
    stream, other = model.predict_stream(), model.predict_stream()
    expected = [other.predict_proba(x) for x in X[0].T]
    model.coefs_[0][:] = 7
    model.fit(X[:, :, ::-1], y)
    np.testing.assert_array_equal([stream.predict_proba(x) for x in X[0].T], expected)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1.0, 2.0], r"x has shape \(2,\), but one point of the series has 3 channels"),
        (1.0, r"x has shape \(\), but one point"),
        ([[1.0, 2.0, 3.0]], r"x has shape \(1, 3\)"),
        ([1.0, np.nan, 2.0], "Input x contains NaN"),
        ([1.0, np.inf, 2.0], "Input x contains infinity or a value too large"),
        (["a", "b", "c"], "x must hold numbers"),
    ],
)
def test_what_is_no_point_is_refused_and_leaves_the_stream_where_it_was(x, message):
    X, y = data()
    for pool in ("last", "mean", "max"):
        model = RecurrentClassifier(5, pool=pool, **FEW).fit(X, y)
        stream, other = model.predict_stream(), model.predict_stream()
        for point in X[0].T[:3]:
            stream.predict(point), other.predict(point)
        with pytest.raises(ValueError, match=message):
            stream.predict(x)
        point = X[0].T[3]
        np.testing.assert_array_equal(stream.predict_proba(point), other.predict_proba(point))


def test_a_prediction_that_overflows_is_refused():
    X, _ = data()
    model = RecurrentRegressor(5, **FEW).fit(X, X.sum(axis=(1, 2)))
    model.coefs_[-1][:] = 1e308
    model.intercepts_[-1][:] = 1e308
    model.coefs_[0][:] = 1e3
    stream = model.predict_stream()
    with pytest.raises(ValueError, match="The prediction overflows"):
        for x in X[0].T:
            stream.predict(x)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([GRU(3, bidirectional=True)], r"layers_\[0\], .*has bidirectional=True and begins at"),
        ([Conv(3, 3), GRU(3)], r"layers_\[0\], .*reads more than one point"),
        ([GRU(3, return_sequences=True), Flatten()], r"layers_\[1\], Flatten.*reads more than one"),
        ([Conv(3, 1), GlobalPool()], "needs a recurrent layer, but the network has none"),
    ],
)
def test_networks_that_need_the_whole_series_are_refused_by_name(layers, message):
    X, _ = data()
    model = NetworkRegressor(layers, **FEW).fit(X, X.sum(axis=(1, 2)))
    with pytest.raises(ValueError, match=message):
        model.predict_stream()


def test_vectors_have_no_stream():
    X, _ = data()
    model = NetworkRegressor([], **FEW).fit(X[:, 0], X.sum(axis=(1, 2)))
    with pytest.raises(ValueError, match="needs a recurrent layer"):
        model.predict_stream()


def test_a_stream_needs_a_fit():
    with pytest.raises(NotFittedError):
        RecurrentClassifier().predict_stream()
