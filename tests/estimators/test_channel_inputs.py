"""X of networks for series and images: all forms mean the same, and what is wrong is named."""

import pickle

import numpy as np
import pytest
from cases import (
    FlatClassifier,
    FlatRegressor,
    ImageClassifier,
    PooledClassifier,
    SeriesOnly,
    TwoLayers,
    ragged,
    saved,
    series,
)
from problems import quietly
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from nnjit import ConvClassifier, ConvRegressor, HiddenFeatures, NetworkClassifier, SeriesScaler
from nnjit.exceptions import TrainingWarning
from nnjit.layers import Conv, Dense, Flatten

SETTINGS = {"max_iter": 6, "random_state": 3, "batch_size": 16, "n_iter_no_change": 100}


def fitted(X, y, kind=FlatClassifier, **parameters):
    return quietly(kind(**SETTINGS | parameters).fit, X, y)


def flat(X):
    return X.reshape(len(X), -1)


def assert_same(model, X, other, other_X):
    """Both have learned the same, to the bit, and predict the same."""
    np.testing.assert_array_equal(model.coefs_, other.coefs_)
    assert model.coefs_.dtype == other.coefs_.dtype
    assert model.input_shape_ == other.input_shape_
    assert model.n_features_in_ == other.n_features_in_
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(other_X))


# All forms mean the same


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_and_arrays_and_lists_of_series_are_the_same(dtype):
    X, y = series(dtype=dtype)
    model = fitted(X, y)
    assert model.input_shape_ == (3, 7) and model.n_features_in_ == 21
    assert model.coefs_.dtype == dtype
    for form in (flat(X), list(X), np.asfortranarray(X), np.asfortranarray(flat(X)), X.tolist()):
        if dtype == np.float32 and isinstance(form, list) and isinstance(form[0], list):
            continue  # Python's numbers are float64
        assert_same(model, X, fitted(form, y, input_shape=(3, 7)), form)
    assert_same(model, X, fitted(X, y, input_shape=[3, 7]), flat(X))
    assert_same(model, X, fitted(X, y, input_shape=np.array([3, 7])), list(X))


def test_series_of_one_channel_need_no_axis_for_it():
    X, y = series(channels=1)
    model = fitted(X, y)
    assert model.input_shape_ == (1, 7)
    for shape in (None, (7,), (1, 7)):
        assert_same(model, X, fitted(X[:, 0], y, input_shape=shape), X[:, 0])
        assert_same(model, X, fitted(list(X[:, 0]), y, input_shape=shape), X)
    assert_same(model, X, fitted(X[:, 0], y, channels_last=True), X.transpose(0, 2, 1))


def test_channels_may_come_last():
    X, y = series()
    turned = np.ascontiguousarray(X.transpose(0, 2, 1))
    model = fitted(X, y)
    last = {"channels_last": True}
    assert_same(model, X, fitted(turned, y, **last), turned)
    assert_same(model, X, fitted(X.transpose(0, 2, 1), y, **last), flat(turned))
    assert_same(model, X, fitted(flat(turned), y, input_shape=(7, 3), **last), turned)
    assert_same(model, X, fitted(list(turned), y, input_shape=(7, 3), **last), list(turned))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tail_of_nan_is_a_shorter_series_of_a_list(dtype):
    X, listed, y = ragged(dtype=dtype)
    model = fitted(X, y)
    assert np.isfinite(model.coefs_).all()
    assert_same(model, X, fitted(flat(X), y, input_shape=(3, 7)), flat(X))
    assert_same(model, X, fitted(listed, y), listed)
    objects = np.empty(len(listed), object)
    objects[:] = listed
    assert_same(model, X, fitted(objects, y), objects)
    turned = [one.T for one in listed]
    assert_same(model, X, fitted(turned, y, channels_last=True), turned)
    last = X.transpose(0, 2, 1)
    assert_same(model, X, fitted(last, y, channels_last=True), flat(last))
    nested = [one.tolist() for one in listed]
    if dtype == np.float64:
        assert_same(model, X, fitted(nested, y), nested)


def test_a_list_of_unequal_series_of_one_channel():
    X, listed, y = ragged(channels=1)
    model = fitted(X, y)
    plain = [one[0] for one in listed]
    assert_same(model, X, fitted(plain, y), [one.tolist() for one in plain])
    assert_same(model, X, fitted(X[:, 0], y), listed)
    pandas = pytest.importorskip("pandas")
    column = pandas.Series(plain)
    assert_same(model, X, fitted(column, y), column)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_as_rows_and_arrays_and_lists(channels):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, channels, 4, 5))
    y = flat(X)[:, :3].argmax(axis=1)
    model = fitted(X, y)
    assert model.input_shape_ == (channels, 4, 5)
    shape = {"input_shape": (channels, 4, 5)}
    assert_same(model, X, fitted(flat(X), y, **shape), flat(X))
    assert_same(model, X, fitted(list(X), y, **shape), list(X))
    last = X.transpose(0, 2, 3, 1)
    turned = {"input_shape": (4, 5, channels), "channels_last": True}
    assert_same(model, X, fitted(last, y, channels_last=True), last)
    assert_same(model, X, fitted(flat(last), y, **turned), last)
    if channels == 1:
        assert_same(model, X, fitted(X[:, 0], y, **shape), X[:, 0])
        assert_same(model, X, fitted(X[:, 0], y, **turned), flat(X))


def test_where_the_layers_are_for_images_two_numbers_are_their_sides():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 4, 5)), np.arange(40) % 3
    model = fitted(X[:, np.newaxis], y)
    for form, shape in ((X, None), (X, (4, 5)), (flat(X), (4, 5)), (list(X), (1, 4, 5))):
        assert_same(model, flat(X), fitted(form, y, ImageClassifier, input_shape=shape), X)
    last = fitted(flat(X), y, ImageClassifier, input_shape=(4, 5), channels_last=True)
    assert_same(model, flat(X), last, X)


@pytest.mark.parametrize("kind", [int, bool, np.int8, np.uint8, np.float16, object])
def test_numbers_of_other_types_become_float64(kind):
    X, y = series()
    X = abs(3 * X).astype(np.int8).astype(bool if kind is bool else np.float64)
    model = fitted(X.astype(np.float64), y)
    for form in (X.astype(kind), flat(X).astype(kind), list(X.astype(kind))):
        assert_same(model, X, fitted(form, y, input_shape=(3, 7)), form)
    shorter = [*X.astype(kind)[:-1], X[-1].astype(kind)[:, :4]]
    assert fitted(shorter, y).coefs_.dtype == np.float64


def test_frames_have_their_names_and_pass_pipelines():
    pandas = pytest.importorskip("pandas")
    X, y = series()
    frame = pandas.DataFrame(flat(X), columns=[f"v{k}" for k in range(21)])
    model = fitted(frame, y, input_shape=(3, 7))
    assert list(model.feature_names_in_) == list(frame)
    assert_same(model, frame, fitted(X, y), X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[::-1].rename(columns={"v0": "w0"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        model.predict(flat(X))
    quietly(model.fit, X, y)  # names are gone
    assert not hasattr(model, "feature_names_in_")


def test_regressors_read_the_same_forms():
    X, listed, y = ragged()
    target = np.stack([y, -y], axis=1).astype(float)
    model, other = (fitted(form, target, FlatRegressor) for form in (X, listed))
    np.testing.assert_array_equal(model.coefs_, other.coefs_)
    np.testing.assert_array_equal(model.predict(flat(X)), other.predict(listed))
    assert model.score(X, target) == other.score(listed, target)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_rows_are_not_copied_for_prediction(solver, monkeypatch):
    X, y = series()
    model = fitted(X, y, solver=solver)
    seen = []
    monkeypatch.setattr(
        FlatClassifier, "_engine_rows", lambda self, X, name="X": seen.append(X) or X
    )
    model.predict(X)
    model.predict(flat(X))
    assert all(np.shares_memory(one, X) for one in seen) and len(seen) == 2


# Other lengths than those of the fit


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shorter_series_are_filled_up(dtype):
    X, listed, y = ragged(dtype=dtype)
    model = fitted(X, y)
    X[:, :, 5:] = np.nan
    expected = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X[:, :, :5]), expected)
    np.testing.assert_array_equal(model.predict_proba([one[:, :5] for one in listed]), expected)
    one = model.predict_proba(X[3:4, :, :2])
    np.testing.assert_array_equal(one, model.predict_proba([X[3, :, :2]]))
    whole = fitted([one[:, :5] for one in listed], y, input_shape=(3, 7))
    assert_same(whole, X, fitted(X[:, :, :5], y, input_shape=(3, 7)), X)
    assert whole.input_shape_ == (3, 7)


def test_a_prediction_does_not_depend_on_the_cases_beside_it():
    X, listed, y = ragged()
    model = fitted(X, y)
    together = model.predict_proba(listed)
    for k, one in enumerate(listed):
        np.testing.assert_array_equal(model.predict_proba([one]), together[k : k + 1])
        np.testing.assert_array_equal(model.predict_proba(flat(X)[k : k + 1]), together[k : k + 1])


def test_a_flat_network_refuses_longer_series():
    X, listed, y = ragged()
    model = fitted(X, y)
    longer = [np.zeros((3, 9)), *listed]
    for form in (longer, np.zeros((2, 3, 9))):
        with pytest.raises(ValueError, match="dense layer behind the flat values is for 21"):
            model.predict(form)
    with pytest.raises(ValueError, match=r"X has cases of shape \(3, 9\), but the network is for"):
        fitted(np.zeros((2, 3, 9)), [0, 1], input_shape=(3, 7))
    with pytest.raises(ValueError, match="X has cases of shape"):
        model.partial_fit(longer, [0, *y])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_behind_global_pooling_series_may_be_longer(dtype):
    X, listed, y = ragged(dtype=dtype)
    model = fitted(X, y, ConvClassifier, filters=4, global_pool="mean")
    expected = model.predict_proba(X)
    filled = np.concatenate([X, np.full((40, 3, 5), np.nan, dtype)], axis=2)
    np.testing.assert_array_equal(model.predict_proba(filled), expected)
    longer = np.random.default_rng(0).normal(size=(5, 3, 12)).astype(dtype)
    beside = model.predict_proba([*listed, *longer])
    np.testing.assert_array_equal(beside[:40], expected)
    alone = [model.predict_proba(one[np.newaxis]) for one in longer]
    np.testing.assert_array_equal(np.vstack(alone), beside[40:])
    np.testing.assert_array_equal(model.predict_proba(X), expected)  # and back
    last = longer.transpose(0, 2, 1)
    model.set_params(channels_last=True)
    np.testing.assert_array_equal(model.predict_proba(last), beside[40:])
    assert model.activations(last).shape == (5, 64)


def test_a_list_of_one_series_is_no_row():
    _, cases, y = ragged(channels=1)
    vectors = [one[0] for one in cases]
    network = ConvClassifier(
        4, pool=None, global_pool="mean", hidden_layer_sizes=(), max_iter=3, random_state=0
    )
    for model in (network, make_pipeline(SeriesScaler(), network)):
        quietly(model.fit, vectors, y)
        expected = model.predict_proba(vectors)
        for number in (0, 1, 2):
            for one in (vectors[number], vectors[number].tolist()):
                np.testing.assert_array_equal(model.predict_proba([one])[0], expected[number])
        pair = model.predict_proba([np.ones(5), np.zeros(5)])  # shorter, of equal length
        np.testing.assert_array_equal(pair, model.predict_proba(np.stack([[[1] * 5], [[0] * 5]])))


def test_rows_are_as_long_as_those_of_the_fit():
    X, y = series(channels=1)
    model = fitted(X, y, ConvClassifier, filters=4, global_pool="mean")
    for width in (5, 9):
        with pytest.raises(ValueError, match=f"X has {width} features, but ConvClassifier is expe"):
            model.predict(np.zeros((2, width)))


def test_without_global_pooling_series_may_not_be_longer():
    X, y = series()
    model = fitted(X, y, ConvClassifier, filters=4)
    with pytest.raises(ValueError, match="layers that read every point of a series"):
        model.predict(np.zeros((2, 3, 9)))
    with pytest.raises(ValueError, match="layers that read every point of a series"):
        model.activations([np.zeros((3, 9)), np.zeros((3, 4))])


def test_a_series_of_which_a_layer_leaves_nothing_is_named():
    X, y = series(time=8)
    X[5, :, 3:] = np.nan
    message = "Case 5 of X has 3 points, but nothing is left of series of less than 4 behind"
    with pytest.raises(ValueError, match=message):
        fitted(X, y, PooledClassifier)


# The networks of the package


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("global_pool", [None, "max", "mean"])
def test_convolutions_read_all_forms_alike(padding, global_pool):
    X, y = series(time=16)
    X[3, :, 12:], X[9, :, 11:] = np.nan, np.nan
    listed = [one[:, ~np.isnan(one[0])] for one in X]
    settings = {"filters": (4, 5), "padding": padding, "global_pool": global_pool}
    model = fitted(X, y, ConvClassifier, **settings)
    last = X.transpose(0, 2, 1)
    for form, shape, turned in (
        (flat(X), (3, 16), False),
        (listed, None, False),
        (last, None, True),
        (flat(last), (16, 3), True),
        ([one.T for one in listed], None, True),
    ):
        other = ConvClassifier(**SETTINGS, **settings, input_shape=shape, channels_last=turned)
        quietly(other.fit, form, y)
        for one, same in zip(model.coefs_, other.coefs_, strict=True):
            np.testing.assert_array_equal(one, same)
        np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(form))


def test_two_numbers_are_an_image_where_kernels_are_pairs():
    X = np.random.default_rng(0).normal(size=(40, 24))
    y = np.arange(40) % 2
    model = ConvClassifier((4,), ((3, 2),), input_shape=(4, 6), **SETTINGS)
    assert quietly(model.fit, X, y).input_shape_ == (1, 4, 6)
    np.testing.assert_array_equal(model.predict(X), model.predict(X.reshape(40, 4, 6)))
    assert fitted(X, y, ConvClassifier, filters=4, input_shape=(4, 6)).input_shape_ == (4, 6)
    assert fitted(X[:, :16], y, ConvClassifier, input_shape=(4, 4)).input_shape_ == (1, 4, 4)


def test_a_stack_that_begins_with_a_dense_layer_reads_vectors():
    X, y = series()
    model = fitted(flat(X), y, NetworkClassifier, layers=[Dense(5)])
    assert not hasattr(model, "input_shape_") and model.n_features_in_ == 21
    with pytest.raises(ValueError, match="Found array with dim 3"):
        model.predict(X)
    assert not get_tags(model).input_tags.three_d_array
    model.set_params(layers=[Conv(3), Flatten()])
    assert quietly(model.fit, X, y).input_shape_ == (3, 7)
    model.set_params(layers=[Dense(5)])
    assert not hasattr(quietly(model.fit, flat(X), y), "input_shape_")
    expected = fitted(flat(X), y, NetworkClassifier, layers=[Dense(5)])
    np.testing.assert_array_equal(model.predict_proba(flat(X)), expected.predict_proba(flat(X)))


def test_a_regressor_of_series_in_all_forms():
    X, listed, y = ragged()
    models = [fitted(form, y / 2, ConvRegressor, filters=4) for form in (X, listed)]
    np.testing.assert_array_equal(models[0].predict(listed), models[1].predict(X))


# What is wrong is named


def with_value(value, *place):
    X, _ = series()
    X[place] = value
    return X


def one_channel_shorter():
    X, _, _ = ragged()
    X[0, 1, 4:] = np.nan
    return X


BAD = {
    "NaN inside": (with_value(np.nan, 4, 1, 2), "Input X contains NaN: case 4; channel 1 has it a"),
    "NaN first": (with_value(np.nan, 4, 0, 0), "contains NaN: case 4; .* at point 0 of 7"),
    "lengths": (one_channel_shorter(), "case 0; channel 0 has 7 points and channel 1 has 4"),
    "no point": (with_value(np.nan, 2), "contains NaN: case 2; a series has at least one point"),
    "infinity": (with_value(np.inf, 3, 0, 6), "Input X contains infinity .*: case 3"),
    "empty": ([np.zeros((3, 2)), np.zeros((3, 0))], "Case 1 of X has no point"),
    "channels": ([np.zeros((3, 2)), np.zeros((2, 4))], "Case 1 of X has 2 channels, but case 0"),
    "scalar": ([np.zeros((3, 2)), 1.0], r"case 1 has shape \(\)"),
    "images": ([np.zeros((1, 2, 2)), np.zeros((1, 2, 3))], "which only series may have"),
    "ragged case": ([[[1.0, 2.0], [1.0]], [[1.0], [2.0]]], "Case 0 of X is no array"),
    "text": ([["a", "b"], ["c"]], "Case 0 of X: .*could not convert string to float"),
    "text in an array": (np.full((2, 3, 7), "a"), "could not convert string to float"),
    "five axes": (np.zeros((2, 1, 2, 2, 2)), "Found array with dim 5, while dim <= 4"),
    "no case": (np.zeros((0, 3, 7)), r"Found array with 0 sample\(s\)"),
    "no value": (np.zeros((2, 3, 0)), r"Found array with 0 feature\(s\)"),
    "one axis": (np.zeros(21), "Expected 2D array, got 1D array instead"),
    "complex": (np.zeros((2, 3, 7), complex), "Complex data not supported"),
    "complex list": ([np.zeros((3, 7), complex), np.zeros((3, 2))], "Complex data not supported"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_cases_are_refused_and_named(what):
    X, message = BAD[what]
    y = np.arange(len(X)) % 2
    with pytest.raises(ValueError, match=message):
        quietly(FlatClassifier(max_iter=1).fit, X, y)
    good, labels = series()
    model = fitted(good, labels)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=message):
        model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert pickle.dumps(model) == before


def test_bad_rows_are_named_with_the_channels_last_too():
    X = with_value(np.nan, 4, 1, 2).transpose(0, 2, 1)
    for form, shape in ((X, None), (flat(X), (7, 3))):
        model = FlatClassifier(input_shape=shape, channels_last=True)
        with pytest.raises(ValueError, match="case 4; channel 1 has it at point 2 of 7"):
            model.fit(form, np.arange(40) % 2)


@pytest.mark.parametrize("value, place", [(np.nan, (0, 100)), (np.inf, (1, 599))])
def test_the_bad_one_of_many_cases_is_named(value, place):
    X = np.ones((1500, 2, 600))
    X[7, :, 500:] = np.nan
    X[1234, *place] = value
    with pytest.raises(ValueError, match="case 1234"):
        FlatClassifier().fit(X, np.arange(1500) % 2)


def test_images_have_no_nan_at_all():
    X = np.zeros((6, 2, 3, 3))
    X[4, 1, 2, 2] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN: case 4; an image has none"):
        FlatClassifier().fit(X, np.arange(6))


def test_dates_and_sparse_matrices_are_refused_as_elsewhere():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = series()
    days = np.zeros((40, 3, 7), "M8[D]")
    for form in (days, list(days), [*days[:-1], days[-1][:, :3]], list(days.astype(object))):
        with pytest.raises(TypeError, match="X contains dates or durations"):
            FlatClassifier().fit(form, y)
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        FlatClassifier().fit(sparse.csr_matrix(flat(X)), y)


@pytest.mark.parametrize(
    "X, message",
    [
        (np.zeros((2, 20)), "X has 20 features, but FlatClassifier is expecting 21 features"),
        (np.zeros((2, 2, 7)), r"X has cases of shape \(2, 7\), but the network is for \(3, 7\)"),
        (np.zeros((2, 7, 3)), r"X has cases of shape \(7, 3\), but the network is for \(3, 7\)"),
        (np.zeros((2, 1, 3, 7)), r"cases of shape \(1, 3, 7\), but the network is for \(3, 7\)"),
        ([np.zeros((2, 7)), np.zeros((2, 6))], r"but the network is for \(3, 7\), which is \(chan"),
    ],
)
def test_cases_of_another_shape_are_refused(X, message):
    model = fitted(*series())
    with pytest.raises(ValueError, match=message):
        model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.activations(X)
    with pytest.raises(
        ValueError, match=message.replace("FlatClassifier is expecting 21", "")[:14]
    ):
        FlatClassifier(input_shape=(3, 7)).fit(X, [0, 1])


def test_images_of_another_size_are_refused():
    rng = np.random.default_rng(0)
    model = fitted(rng.normal(size=(30, 1, 4, 5)), np.arange(30) % 2)
    for shape in ((2, 1, 4, 4), (2, 2, 4, 5), (2, 4, 4), (2, 1, 8, 5)):
        with pytest.raises(ValueError, match=r"but the network is for \(1, 4, 5\)"):
            model.predict(np.zeros(shape))


@pytest.mark.parametrize("shape", [(), (0,), (2, -1), (1, 2, 3, 4), "ab", 4, (2.5,), (True, 2)])
def test_an_input_shape_that_is_none_is_refused(shape):
    with pytest.raises(ValueError, match="The 'input_shape' parameter of FlatClassifier must be"):
        FlatClassifier(input_shape=shape).fit(*series())


def test_rows_that_do_not_have_the_shape_are_refused():
    X, y = series()
    with pytest.raises(ValueError, match="X has 21 features, but input_shape is of 20: 4 x 5"):
        FlatClassifier(input_shape=(4, 5)).fit(flat(X), y)


def test_two_equal_numbers_are_the_sides_of_an_image():
    X = np.random.default_rng(0).normal(size=(30, 16))
    y = np.arange(30) % 3
    model = fitted(X, y, input_shape=(4, 4))
    assert model.input_shape_ == (1, 4, 4)
    squares = X.reshape(30, 4, 4)
    assert_same(model, squares, fitted(squares, y, input_shape=(4, 4), channels_last=True), X)
    assert fitted(squares, y).input_shape_ == (4, 4)  # three axes are series where nothing is said
    assert fitted(X, y, SeriesOnly, input_shape=(4, 4)).input_shape_ == (4, 4)
    assert fitted(X, y, input_shape=(2, 8)).input_shape_ == (2, 8)


def test_what_may_be_an_image_and_is_read_as_a_series_is_told(monkeypatch):
    monkeypatch.setattr("nnjit.estimators._advice._said", set())
    X = np.random.default_rng(0).normal(size=(30, 16 * 20))
    message = (
        r"input_shape=\(16, 20\) is read as series of 16 channels and 20 points.*\(1, 16, 20\)"
    )
    with pytest.warns(TrainingWarning, match=message):
        FlatClassifier(input_shape=(16, 20), max_iter=200, tol=1).fit(X, np.arange(30) % 2)


def test_advice_on_large_inputs_looks_past_the_ends(monkeypatch):
    monkeypatch.setattr("nnjit.estimators._advice._said", set())
    X, _, y = ragged()
    with pytest.warns(TrainingWarning, match=r"order of 10000.*make_pipeline\(SeriesScaler\("):
        FlatClassifier(max_iter=200, tol=1e9).fit(1e4 * X, y)


def test_y_is_checked_as_elsewhere():
    X, y = series()
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        FlatClassifier().fit(X, None)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FlatClassifier().fit(X, y[:-1])
    with pytest.raises(ValueError, match="Input y contains NaN"):
        FlatRegressor().fit(X, np.full(40, np.nan))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        FlatClassifier().fit(list(X), y[:-1])


def test_assume_finite_leaves_the_look_at_nan_out():
    from sklearn import config_context

    X, y = series()
    model = fitted(X, y)
    with config_context(assume_finite=True):
        assert np.isnan(model.predict_proba(with_value(np.nan, 4, 1, 2))[4]).all()


# Fitting on, validation rows, checkpoints


def test_a_network_is_not_fitted_on_for_another_shape():
    X, y = series()
    model = fitted(X, y, warm_start=True)
    quietly(model.fit, list(X), y)
    with pytest.raises(ValueError, match=r"is for cases of shape \(3, 7\), but input_shape=\(7, 3"):
        model.set_params(input_shape=(7, 3)).fit(flat(X), y)
    model.set_params(input_shape=None, warm_start=False)
    assert quietly(model.fit, X.transpose(0, 2, 1), y).input_shape_ == (7, 3)


def test_partial_fit_takes_lists():
    X, listed, y = ragged()
    models = FlatClassifier(**SETTINGS), FlatClassifier(**SETTINGS)
    for _ in range(3):
        for model, form in zip(models, (X, listed)):
            model.partial_fit(form, y, classes=[0, 1, 2])
    assert_same(models[0], X, models[1], listed)
    shorter = [one[:, :4] for one in listed]
    models[0].partial_fit(shorter, y)
    assert models[0].input_shape_ == (3, 7)


@pytest.mark.parametrize("scoring", [None, "accuracy", "loss"])
def test_held_out_and_given_validation_rows_come_in_all_forms(scoring):
    X, listed, y = ragged()
    stopping = {"early_stopping": True, "scoring": scoring}
    assert_same(fitted(X, y, **stopping), X, fitted(listed, y, **stopping), listed)
    models = []
    for form in (X, listed, flat(X)):
        model = FlatClassifier(**SETTINGS, **stopping, input_shape=(3, 7))
        models.append(quietly(model.fit, form[:30], y[:30], X_val=form[30:], y_val=y[30:]))
    for other in models[1:]:
        assert_same(models[0], X, other, X)
        assert models[0].validation_scores_ == other.validation_scores_


def test_bad_validation_rows_are_named():
    X, y = series()
    model = FlatClassifier()
    for bad, message in (
        (with_value(np.nan, 4, 1, 2), "Input X_val contains NaN: case 4; channel 1"),
        (np.zeros((40, 2, 7)), r"X_val has cases of shape \(2, 7\)"),
        (np.zeros((40, 3, 8)), r"X_val has cases of shape \(3, 8\)"),
        (np.zeros((40, 20)), "X_val has 20 features, but FlatClassifier is expecting 21"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, X_val=bad, y_val=y)
    X8, y = series(time=8)
    short = X8.copy()
    short[7, :, 2:] = np.nan
    with pytest.raises(ValueError, match="Case 7 of X_val has 2 points"):
        PooledClassifier().fit(X8, y, X_val=short, y_val=y)


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    X, listed, y = ragged()
    whole = FlatClassifier(**SETTINGS)
    cut = clone(whole).set_params(checkpoint=tmp_path / "run", max_iter=3)
    quietly(cut.fit, X, y)
    resumed = quietly(clone(cut).set_params(max_iter=SETTINGS["max_iter"]).fit, listed, y)
    assert_same(quietly(whole.fit, X, y), X, resumed, X)


def test_pickles_and_clones_keep_the_shape():
    X, listed, y = ragged()
    model = fitted(listed, y, input_shape=(3, 7))
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.input_shape_ == (3, 7) and clone(model).input_shape == (3, 7)
    np.testing.assert_array_equal(loaded.predict_proba(listed), model.predict_proba(X))


def test_tags_say_what_x_may_be():
    tags = get_tags(FlatClassifier()).input_tags
    assert tags.two_d_array and tags.three_d_array and not tags.sparse
    # NaN is legal behind the end of a series only, which is not what scikit-learn means by it.
    assert not tags.allow_nan


# In scikit-learn's tools


@pytest.mark.parametrize("form", ["list", "array", "rows"])
def test_model_selection_takes_all_forms(form):
    X, listed, y = ragged(n=60)
    data = {"list": listed, "array": X, "rows": flat(X)}[form]
    model = FlatClassifier(**SETTINGS, input_shape=(3, 7))
    train, test, y_train, y_test = train_test_split(data, y, random_state=0)
    score = quietly(model.fit, train, y_train).score(test, y_test)
    predicted = quietly(cross_val_predict, model, data, y, cv=3)
    grid = quietly(GridSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=3).fit, data, y)
    expected = quietly(cross_val_predict, model, X, y, cv=3)
    np.testing.assert_array_equal(predicted, expected)
    train, test, y_train, y_test = train_test_split(X, y, random_state=0)
    assert score == quietly(model.fit, train, y_train).score(test, y_test)
    assert (grid.predict(data) == grid.best_estimator_.predict(X)).all()


def test_hidden_features_of_series():
    X, listed, y = ragged()
    model = make_pipeline(HiddenFeatures(TwoLayers(**SETTINGS)), LogisticRegression())
    predicted = quietly(model.fit, listed, y).predict_proba(listed)
    np.testing.assert_array_equal(predicted, model.predict_proba(X))


# Public data


def test_japanese_vowels_come_as_a_list_or_with_tails_of_nan():
    data = saved("japanese_vowels.npz")
    X, y, lengths = data["X"], data["y"], data["lengths"]
    train, test = data["train_idx"], data["test_idx"]
    listed = [one[:, :n] for one, n in zip(X, lengths)]
    settings = {"max_iter": 60, "learning_rate_init": 0.01, "input_shape": (12, 29)}
    model = fitted(X[train], y[train], **settings)
    other = fitted([listed[k] for k in train], y[train], **settings)
    assert_same(model, X[test], other, [listed[k] for k in test])
    assert model.score(X[test], y[test]) > 0.9


def test_japanese_vowels_are_told_apart_by_convolutions():
    data = saved("japanese_vowels.npz")
    listed = [one[:, :n] for one, n in zip(data["X"], data["lengths"])]
    train, test = ([listed[k] for k in data[name]] for name in ("train_idx", "test_idx"))
    network = ConvClassifier(
        (32, 32), global_pool="mean", hidden_layer_sizes=(), pool=None, max_iter=25,
        learning_rate_init=0.01, random_state=0,
    )  # fmt: skip
    model = quietly(make_pipeline(SeriesScaler(), network).fit, train, data["y"][data["train_idx"]])
    assert network.input_shape_ == (12, 26)  # the longest of the test series are longer
    assert model.score(test, data["y"][data["test_idx"]]) > 0.9


def test_italian_power_demand_comes_as_rows_or_an_array():
    data = saved("italy_power_demand.npz")
    X, y, train, test = (data[name] for name in ("X", "y", "train_idx", "test_idx"))
    model = fitted(X[train], y[train], max_iter=200)
    assert model.input_shape_ == (1, 24)
    assert_same(model, X[test], fitted(X[train, 0], y[train], max_iter=200), X[test, 0])
    assert model.score(X[test], y[test]) > 0.9
