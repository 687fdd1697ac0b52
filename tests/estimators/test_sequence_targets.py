"""Networks with a label or values at every point of a series: targets='sequence'."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from problems import quietly
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import accuracy_score, get_scorer, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from nnjit import (
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    SeriesScaler,
)
from nnjit.exceptions import TrainingWarning
from nnjit.inspection import check_gradient
from nnjit.layers import (
    Augment,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Normalization,
    Pool,
    Residual,
)

N, CHANNELS, TIME = 24, 2, 9
KINDS = ["one class", "binary", "multiclass", "strings", "values", "several values"]
VALUES = ("values", "several values")
every_kind = pytest.mark.parametrize("kind", KINDS)
raggedness = pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])


def lengths_of_cases(ragged, seed=0):
    if not ragged:
        return np.full(N, TIME)
    lengths = np.random.RandomState(seed).randint(1, TIME + 1, N)
    lengths[:3] = TIME, 1, TIME
    return lengths


def problem(kind, ragged=True, seed=0):
    """Return lists with the series and the targets of each case."""
    rng = np.random.RandomState(seed)
    X = [rng.standard_normal((CHANNELS, n)) for n in lengths_of_cases(ragged, seed)]
    return X, [target(kind, x) for x in X]


def target(kind, x):
    signal = np.cumsum(x[0]) + 0.2 * x[1]
    if kind == "values":
        return np.tanh(signal)
    if kind == "several values":
        return np.tanh(np.stack([signal, x[1]], axis=1))
    number = 2 * (signal > 0) + (x[1] > 0.5)
    if kind == "one class":
        return np.full_like(number, 7)
    if kind == "binary":
        return number // 2 + 4
    return number if kind == "multiclass" else np.array(["ape", "bee", "cow", "dog"])[number]


def padded(cases, behind=np.nan):
    """Return cases as an array (n, time, ...), `behind` standing behind their ends."""
    cases = [np.asarray(one) for one in cases]
    steps = max(map(len, cases))
    dtype = np.result_type(*cases, type(behind)) if behind is not None else object
    array = np.full((len(cases), steps, *cases[0].shape[1:]), behind, dtype)
    for row, one in zip(array, cases):
        row[: len(one)] = one
    return array


def as_array(X):
    """Return series as an array (n, channels, time) that ends in NaN."""
    return padded([x.T for x in X]).transpose(0, 2, 1)


def points(cases):
    """Return all points one after the other, the channels being columns."""
    return np.concatenate([case.T for case in cases])


LAYERS = (Conv(5, 3),)


def model_of(kind, layers=LAYERS, **parameters):
    cls = NetworkRegressor if kind in VALUES else NetworkClassifier
    settings = {"max_iter": 6, "random_state": 3, "batch_size": 8, "learning_rate_init": 0.01}
    return cls(layers, targets="sequence", **{**settings, **parameters})


def fitted(kind, ragged=True, **parameters):
    X, y = problem(kind, ragged)
    return quietly(model_of(kind, **parameters).fit, X, y), X, y


def arrays_of(model):
    return model._give_parameters()[1]


def assert_same(one, other):
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


# Points are samples


def twins(kind, X, y, **parameters):
    """Return a network of convolutions of one point, and the same one of points as rows."""
    settings = {"max_iter": 1, "shuffle": False, "random_state": 0, "warm_start": True, "tol": 0.0}
    settings |= parameters
    model = model_of(kind, [Conv(5, 1, "tanh")], **{**settings, "batch_size": len(X)})
    cls = MLPRegressor if kind in VALUES else MLPClassifier
    settings["learning_rate_init"] = 0.01
    settings |= {"hidden_layer_sizes": (5,), "activation": "tanh"}
    mlp = cls(**{**settings, "batch_size": sum(map(len, y))})
    quietly(model.fit, X, y)
    quietly(mlp.fit, points(X), np.concatenate(y))
    for place, weights in enumerate(model.coefs_):
        mlp.coefs_[place] = weights[0].copy()
        mlp.intercepts_[place] = model.intercepts_[place].copy()
    for one in (model, mlp):
        one.set_params(max_iter=5)
    return model, mlp


def assert_close(model, mlp, rtol=1e-8):
    for place, weights in enumerate(model.coefs_):
        np.testing.assert_allclose(weights[0], mlp.coefs_[place], rtol=rtol, atol=rtol)
        np.testing.assert_allclose(
            model.intercepts_[place], mlp.intercepts_[place], rtol=rtol, atol=rtol
        )


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@raggedness
@every_kind
def test_points_are_the_samples_of_an_mlp(kind, ragged, weighted):
    X, y = problem(kind, ragged)
    lengths = [*map(len, y)]
    row_weights = np.random.RandomState(1).uniform(0.1, 2, N) if weighted else None
    weights = None if row_weights is None else np.repeat(row_weights, lengths)
    options = {} if kind in VALUES or not weighted else {"class_weight": "balanced"}
    model, mlp = twins(kind, X, y, **options)
    V, v = problem(kind, ragged, seed=0 if kind == "several values" else 5)
    quietly(model.fit, X, y, row_weights, X_val=V, y_val=v)
    quietly(mlp.fit, points(X), np.concatenate(y), weights,
            X_val=points(V), y_val=np.concatenate(v))  # fmt: skip
    assert_close(model, mlp)
    for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
        ours, theirs = getattr(model, name), getattr(mlp, name)
        np.testing.assert_allclose(ours[-5:], theirs[-5:], rtol=1e-8, atol=1e-12, err_msg=name)
    flat = np.concatenate(model.predict(X))
    expected = mlp.predict(points(X))
    if kind in VALUES:
        np.testing.assert_allclose(flat, expected, rtol=1e-6, atol=1e-9)
    else:
        np.testing.assert_array_equal(flat, expected)
        for method in ("predict_proba", "predict_log_proba"):
            ours = np.concatenate(getattr(model, method)(X))
            np.testing.assert_allclose(ours, getattr(mlp, method)(points(X)), atol=1e-8)
    score = model.score(X, y, row_weights)
    assert score == pytest.approx(mlp.score(points(X), np.concatenate(y), weights), abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "several values"])
def test_lbfgs_minimizes_the_loss_of_all_points(kind, weighted):
    X, y = problem(kind)
    row_weights = np.random.RandomState(1).uniform(0.1, 2, N) if weighted else None
    weights = None if row_weights is None else np.repeat(row_weights, [*map(len, y)])
    model, mlp = twins(kind, X, y)
    options = {"solver": "lbfgs", "max_iter": 15}
    quietly(model.set_params(**options).fit, X, y, row_weights)
    quietly(mlp.set_params(**options).fit, points(X), np.concatenate(y), weights)
    assert model.loss_ == pytest.approx(mlp.loss_, rel=1e-5)
    assert_close(model, mlp, rtol=1e-3)


def test_a_convolution_reads_the_neighbours_of_a_point():
    rng = np.random.RandomState(0)
    X = rng.choice([-1.0, 1.0], (200, 1, 12))
    before = np.concatenate([np.zeros((200, 1)), X[:, 0, :-1]], axis=1)
    y = np.where(before * X[:, 0] > 0, "same", "changed")
    model = model_of("strings", [Conv(8, 3)], max_iter=60, batch_size=20).fit(X[:150], y[:150])
    assert model.score(X[150:], y[150:]) == 1.0


# y in its forms


def forms(kind):
    """Return y of the ragged problem in all forms, by name."""
    _, y = problem(kind)
    if kind == "several values":
        return {
            "list": y,
            "tuple": tuple(y),
            "lists": [one.tolist() for one in y],
            "NaN": padded(y),
            "numbers behind": padded(y, 1e9),
            "objects": padded(y, None),
        }
    objects = np.empty(N, object)
    objects[:] = y
    longest = padded([one.astype(object) for one in y], None)
    found = {
        "list": y,
        "tuple": tuple(y),
        "lists": [one.tolist() for one in y],
        "lists with None behind": longest.tolist(),
        "array of arrays": objects,
        "series of arrays": pd.Series(y),
        "objects": longest,
        "frame": pd.DataFrame(longest),
        "entries behind": padded(y, y[0][0]),
    }
    if kind != "strings":
        found["NaN"] = padded(y)
        found["frame of numbers"] = pd.DataFrame(padded(y))
    if kind in ("binary", "multiclass"):
        found["nullable frame"] = pd.DataFrame(padded(y)).astype("Int64")
        found["unknown behind"] = padded(y, 99)
        found["one column"] = padded(y, 0)[..., np.newaxis]
    return found


@pytest.mark.parametrize("kind", ["binary", "multiclass", "strings", "values", "several values"])
def test_all_forms_of_y_are_the_same_to_the_bit(kind):
    X, _ = problem(kind)
    rows = as_array(X)
    expected, *_ = fitted(kind)
    for name, y in forms(kind).items():
        for given in (X, rows):
            model = quietly(model_of(kind).fit, given, y)
            assert_same(model, expected)
            assert model.score(given, y) == expected.score(X, forms(kind)["list"]), name
        if kind in VALUES:
            continue
        assert [*map(str, model.classes_)] == [*map(str, map(kind_of_class(y), expected.classes_))]


def kind_of_class(y):
    """Return what labels among NaN are: numbers with a point."""
    floats = getattr(y, "dtype", None) == np.float64 or str(getattr(y, "dtypes", "")) == "float64"
    floats = floats or (isinstance(y, pd.DataFrame) and (y.dtypes == np.float64).all())
    return float if floats else lambda label: label


def test_labels_are_those_of_all_valid_points():
    X, y = problem("multiclass")
    y[4] = np.full_like(y[4], 11)
    model = quietly(model_of("multiclass").fit, as_array(X), padded(y, 99))
    np.testing.assert_array_equal(model.classes_, [0, 1, 2, 3, 11])
    assert model.n_outputs_ == 5 and model.out_activation_ == "softmax"
    assert model.layers_[-1] == Conv(5, 1, "identity")
    assert [one.shape for one in model.coefs_] == [(3, CHANNELS, 5), (1, 5, 5)]
    assert quietly(model_of("binary").fit, *problem("binary")).out_activation_ == "logistic"


@every_kind
def test_series_of_one_point(kind):
    X, y = problem(kind, ragged=False)
    X, y = [one[:, :1] for one in X], [one[:1] for one in y]
    y[3] = y[5]
    model = quietly(model_of(kind).fit, as_array(X), padded(y) if kind in VALUES else np.array(y))
    predicted = model.predict(as_array(X))
    assert predicted.shape == np.shape(y)
    assert_same(model, quietly(model_of(kind).fit, X, y))
    assert model.score(X, y) == model.score(as_array(X), np.array(y))


def test_float32_stays():
    X, y = problem("values")
    model = quietly(model_of("values").fit, [x.astype(np.float32) for x in X], y)
    assert {one.dtype for one in arrays_of(model)} == {np.dtype(np.float32)}
    assert model.predict(X)[0].dtype == np.float32


# What is no y


@pytest.mark.parametrize("kind", ["multiclass", "strings", "values", "several values"])
def test_as_many_entries_as_points(kind):
    X, y = problem(kind)
    n = len(y[5])
    more = [*y[:5], np.concatenate([y[5], y[5][:1]]), *y[6:]]
    less = [*y[:5], y[5][:-1], *y[6:]]
    for given, count in ((more, n + 1), (less, n - 1)):
        words = f"Case 5 of y has {count} entr(y|ies), but its series has {n} points?"
        with pytest.raises(ValueError, match=words):
            model_of(kind).fit(X, given)
        with pytest.raises(ValueError, match=words.replace("y has", "y_val has")):
            model_of(kind).fit(X, y, X_val=X, y_val=given)
        with pytest.raises(ValueError, match=words):
            fitted(kind)[0].score(X, given)
    with pytest.raises(ValueError, match=f"Case 5 of y has {n - 1} entr"):
        model_of(kind).fit(X, padded(less, None))


def test_arrays_have_room_for_all_points_and_no_more():
    X, y = problem("multiclass", ragged=False)
    X, y = as_array(X), padded(y, 0)
    with pytest.raises(ValueError, match="Case 0 of y has 8 entries, but its series has 9 points"):
        model_of("multiclass").fit(X, y[:, :-1])
    longer = np.concatenate([y, y[:, :2]], axis=1)
    with pytest.raises(ValueError, match="Case 0 of y has 11 entries, but its series has 9 points"):
        model_of("multiclass").fit(X, longer)
    model = quietly(model_of("multiclass").fit, X, y)
    with pytest.raises(ValueError, match="Case 0 of y has 9 entries, but its series has 7 points"):
        model.score(X[:, :, :7], y)
    missing = np.concatenate([y, np.full((N, 2), np.nan)], axis=1)
    assert model.score(X, missing) == model.score(X, y)


def test_a_missing_entry_names_its_case_and_point():
    X, y = problem("values", ragged=False)
    y[7][2] = np.nan
    with pytest.raises(ValueError, match="Input y contains NaN or None: case 7 .* point 2 of 9"):
        model_of("values").fit(X, y)
    X, y = problem("strings", ragged=False)
    y = [one.astype(object) for one in y]
    y[2][4] = None
    with pytest.raises(ValueError, match="Input y contains NaN or None: case 2 .* point 4 of 9"):
        model_of("strings").fit(X, y)


@pytest.mark.parametrize(
    ("kind", "change", "error", "words"),
    [
        ("multiclass", lambda y: None, ValueError, "requires y to be passed"),
        ("values", lambda y: None, ValueError, "requires y to be passed"),
        ("multiclass", lambda y: y[:-1], ValueError, "inconsistent numbers of samples: .24, 23"),
        ("multiclass", lambda y: [one[0] for one in y], ValueError, "give targets='one'"),
        ("values", lambda y: np.zeros(N), ValueError, "give targets='one'"),
        ("values", lambda y: [], ValueError, "has an entry for each point"),
        ("multiclass", lambda y: "abc", ValueError, "has an entry for each point"),
        ("multiclass", lambda y: sp.csr_matrix(np.ones((N, TIME))), ValueError, "no sparse"),
        (
            "multiclass",
            lambda y: np.ones((N, TIME, 2), int),
            ValueError,
            "one label for each point.* has 2 entries. Several labels of a point",
        ),
        ("multiclass", lambda y: [np.eye(4)[one] for one in y], ValueError, "has 4 entries"),
        ("multiclass", lambda y: [one + 0.5 for one in y], ValueError, "continuous"),
        ("multiclass", lambda y: [*y[:-1], y[-1] * np.inf], ValueError, "NaN|infinity"),
        (
            "multiclass",
            lambda y: [y[0].astype(str), *y[1:]],
            TypeError,
            "uniformly strings or numbers",
        ),
        ("values", lambda y: [*y[:-1], y[-1] + np.inf], ValueError, "y contains infinity"),
        ("values", lambda y: [one.astype(str) for one in y], ValueError, "strings"),
        ("values", lambda y: [one.astype("M8[s]") for one in y], TypeError, "dates"),
        ("values", lambda y: np.zeros((N, TIME, 2, 2)), ValueError, "has 2 x 2 entries"),
        (
            "several values",
            lambda y: [*y[:4], y[4][:, :1], *y[5:]],
            ValueError,
            "Case 4 of y has 1 entries at a point, but case 0 has 2",
        ),
        ("several values", lambda y: [*y[:3], [[1], [1, 2]], *y[4:]], ValueError, "Case 3 of y is"),
    ],
)  # fmt: skip
def test_what_is_no_target_of_points_is_refused(kind, change, error, words):
    X, y = problem(kind)
    with np.errstate(invalid="ignore"):
        given = change(y)
    with pytest.raises(error, match=words):
        model_of(kind).fit(X, given)


@every_kind
def test_an_error_leaves_the_estimator_as_it_was(kind):
    model, X, y = fitted(kind)
    before, state = pickle.dumps(model), model.predict(X)
    with pytest.raises(ValueError, match="Case 5"):
        model.fit(X, [*y[:5], y[5][:0], *y[6:]])
    assert pickle.dumps(model) == before
    np.testing.assert_array_equal(np.concatenate(model.predict(X)), np.concatenate(state))
    fresh = model_of(kind)
    with pytest.raises(ValueError, match="Case 5"):
        fresh.fit(X, [*y[:5], y[5][:0], *y[6:]])
    assert vars(fresh) == vars(model_of(kind))


def test_wrong_names_are_refused():
    X, y = problem("multiclass")
    with pytest.raises(ValueError, match="'targets' parameter of NetworkClassifier must be a str"):
        NetworkClassifier([Conv(3)], targets="every").fit(X, y)


# The network


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([Conv(3), GlobalPool("max")], r"layers\[1\], GlobalPool.* it makes 3 values of arrays"),
        ([Conv(3, 2), Flatten()], r"layers\[1\], Flatten.* it makes 27 values of arrays"),
        ([Conv(3), Pool("max", 2)], r"layers\[1\], Pool.* series of 9 points it leaves 4"),
        ([Conv(3, 3, padding="valid")], r"layers\[0\], Conv.* series of 9 points it leaves 7"),
        ([Conv(2), Conv(3, 3, stride=2)], r"layers\[1\], Conv.* series of 9 points it leaves 5"),
        ([Augment(flip=True), Conv(3)], r"layers\[0\], Augment.* moves the points"),
        ([Dense(4)], r"layers\[0\], Dense.* does not fit"),
    ],
)  # fmt: skip
def test_layers_that_do_not_keep_the_points_are_refused(layers, words):
    for kind in ("multiclass", "values"):
        X, y = problem(kind)
        with pytest.raises(ValueError, match=words):
            model_of(kind, layers).fit(X, y)


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [Conv(4, 1)],
        [Augment(noise=0.1), Conv(4, 3, "identity"), Normalization("batch", "relu"), Dropout(0.1)],
        [Conv(4, 3), Conv(4, 5, dilation=2), Residual(1)],
    ],
    ids=len,
)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "several values"])
def test_layers_that_keep_the_points(kind, layers):
    X, y = problem(kind)
    model = quietly(model_of(kind, layers, max_iter=40).fit, X, y)
    assert model.loss_ < model.loss_curve_[0]
    assert [len(one) for one in model.predict(X)] == [*map(len, y)]


def test_images_have_no_points_of_time():
    X = np.zeros((6, 1, 4, 4))
    with pytest.raises(ValueError, match="cases of shape .1, 4, 4., which are images"):
        model_of("values").fit(X, np.zeros((6, 4)))
    model = model_of("values", input_shape=(4, 4))  # of series, however square they look
    quietly(model.fit, np.zeros((6, 16)), np.zeros((6, 4)))
    assert model.input_shape_ == (4, 4)


def test_rows_of_vectors_are_series_of_one_channel():
    X, y = problem("values", ragged=False)
    rows = as_array(X)[:, 0]
    model = quietly(model_of("values", [Conv(3)]).fit, rows, y)
    assert model.input_shape_ == (1, TIME) and model.predict(rows).shape == (N, TIME)


def test_channels_may_come_last():
    X, y = problem("multiclass")
    model = quietly(model_of("multiclass", channels_last=True).fit, [x.T for x in X], y)
    assert_same(model, fitted("multiclass")[0])
    array = as_array(X).transpose(0, 2, 1)
    assert model.score(array, padded(y, 0)) == model.score([x.T for x in X], y)


def test_there_is_no_device_code():
    X, y = problem("multiclass")
    for layers in ([Conv(3)], []):
        with pytest.raises(ValueError, match="no code for a GPU: device='cuda' cannot be used"):
            model_of("multiclass", layers, device="cuda").fit(X, y)
        quietly(model_of("multiclass", layers, device="auto").fit, X, y)


def test_a_network_with_one_target_says_how_to_have_more():
    X, y = problem("multiclass", ragged=False)
    with pytest.raises(ValueError, match=", or give targets='sequence'"):
        NetworkClassifier([Conv(3)]).fit(as_array(X), [one[0] for one in y])


# Predictions


@pytest.mark.parametrize("kind", ["binary", "multiclass", "strings", "values", "several values"])
def test_predictions_are_arrays_of_arrays_and_lists_of_others(kind):
    model, X, y = fitted(kind)
    methods = ["predict"] if kind in VALUES else ["predict", "predict_proba", "predict_log_proba"]
    for method in methods:
        predict = getattr(model, method)
        single = [predict([x])[0] for x in X]
        for given in (X, as_array(X), pd.Series(X)):
            found = predict(given)
            assert isinstance(found, list)
            for one, other, target in zip(found, single, y, strict=True):
                assert len(one) == len(target)
                np.testing.assert_array_equal(one, other)
        whole = as_array([x for x in X if x.shape[1] == TIME])
        found = predict(whole)
        assert isinstance(found, np.ndarray) and found.shape[:2] == (len(whole), TIME)
        assert isinstance(predict([*whole]), list)
        np.testing.assert_array_equal(found, predict([*whole]))
        assert predict(whole[:, :, :4]).shape[:2] == (len(whole), 4)
        longer = np.concatenate([whole, whole], axis=2)
        assert predict(longer).shape[:2] == (len(whole), 2 * TIME)
    if kind == "several values":
        assert found.shape == (*found.shape[:2], 2)
    elif kind == "values":
        assert found.ndim == 2


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_probabilities_sum_to_one_and_have_logarithms(kind):
    model, X, y = fitted(kind)
    p, log_p = (np.concatenate(one) for one in (model.predict_proba(X), model.predict_log_proba(X)))
    assert p.shape == (sum(map(len, y)), len(model.classes_))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(log_p), p)
    labels = model.classes_[p.argmax(axis=1)]
    np.testing.assert_array_equal(labels, np.concatenate(model.predict(X)))


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_logarithms_of_what_rounds_to_zero_come_from_the_logits(kind):
    model, X, y = fitted(kind)
    model.coefs_[-1] = model.coefs_[-1] * 4000
    found = np.concatenate(model.predict_log_proba(X))
    assert np.isfinite(found).all() and found.min() < -800
    whole = np.concatenate(model.predict_log_proba(as_array(X)))
    np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("kind", ["multiclass", "values"])
def test_an_overflow_names_the_point(kind):
    model, X, y = fitted(kind, layers=[Conv(5, 1)])
    model.coefs_[0] = np.abs(model.coefs_[0]) + 0.1
    X[7] = X[7].copy()
    X[7][:, -1] = 1e308
    words = f"prediction of point {X[7].shape[1] - 1} of row 7 .*overflows"
    with pytest.raises(ValueError, match=words):
        quietly(model.predict, X)


def test_samples_of_predictions():
    model, X, y = fitted("multiclass", layers=[Conv(6), Dropout(0.5)])
    found = model.predict_samples(X, 5)
    assert [one.shape for one in found] == [(5, len(one), 4) for one in y]
    whole = as_array(X[:1] + X[2:3])
    assert model.predict_samples(whole, 5).shape == (5, 2, TIME, 4)
    model, X, y = fitted("values", layers=[Conv(6), Dropout(0.5)])
    assert model.predict_samples(whole, 5).shape == (5, 2, TIME)
    assert [one.shape for one in model.predict_samples(X, 3)] == [(3, len(one)) for one in y]


def test_quantiles_of_every_point():
    X, y = problem("values")
    levels = [0.1, 0.5, 0.9]
    model = quietly(model_of("values", loss="quantile", quantile=levels, max_iter=30).fit, X, y)
    found = model.predict(X)
    assert [one.shape for one in found] == [(len(one), 3) for one in y]
    assert (np.diff(np.concatenate(found), axis=1) >= 0).all()
    interval = model.predict_interval(X, 0.8)
    for one, other in zip(interval, found, strict=True):
        np.testing.assert_array_equal(one, other[:, [0, 2]])
    whole = as_array(X[:1] + X[2:3])
    assert model.predict_interval(whole, 0.8).shape == (2, TIME, 2)
    assert model.score(X, y) < 1


def test_activations_are_series():
    model, X, _ = fitted("multiclass")
    assert model.activations(as_array(X)).shape == (N, 5, TIME)


# Looking inside


@every_kind
def test_the_gradient_is_that_of_the_loss_of_all_points(kind):
    model, X, y = fitted(kind, layers=[Conv(4, 3, "tanh")])
    weights = np.random.RandomState(0).uniform(size=N)
    for given in (X, as_array(X)):
        check = check_gradient(model, given, y, weights, n_parameters=None)
        assert check.error < 1e-7
    whole, X, y = fitted(kind, ragged=False, layers=[Conv(4, 3, "tanh")])
    assert check_gradient(whole, X, y, n_parameters=None).error < 1e-7
    with pytest.raises(ValueError, match="Case 3 of y has 8 entries"):
        check_gradient(whole, X, [*y[:3], y[3][1:], *y[4:]])
    if kind == "strings":
        with pytest.raises(ValueError, match="y contains previously unseen labels"):
            check_gradient(whole, X, [*y[:-1], np.full_like(y[-1], "emu")])


# Scores


@pytest.mark.parametrize("kind", ["multiclass", "strings", "values", "several values"])
def test_the_score_counts_the_points_by_the_weights_of_their_rows(kind):
    model, X, y = fitted(kind)
    weights = np.random.RandomState(0).uniform(size=N)
    metric = r2_score if kind in VALUES else accuracy_score
    flat, predicted = np.concatenate(y), np.concatenate(model.predict(X))
    each = np.repeat(weights, [*map(len, y)])
    assert model.score(X, y) == pytest.approx(metric(flat, predicted))
    expected = metric(flat, predicted, sample_weight=each)
    for given in (X, as_array(X)):
        assert model.score(given, padded(y, None), weights) == pytest.approx(expected)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(X, y, weights[:-1])
    with pytest.raises(ValueError, match="at least one non-zero"):
        model.score(X, y, np.zeros(N))


def test_unknown_labels_count_as_wrong():
    model, X, y = fitted("multiclass")
    other = [*y[:-1], np.full_like(y[-1], 50)]
    right = np.concatenate(y[:-1]) == np.concatenate(model.predict(X[:-1]))
    assert model.score(X, other) == pytest.approx(right.sum() / sum(map(len, y)))


def test_rows_without_a_weight_are_not_learned():
    X, y = problem("values")
    weights = np.ones(N)
    weights[::3] = 0
    wild = [one + 1e6 * (weights[k] == 0) for k, one in enumerate(y)]
    settings = {"batch_size": N, "max_iter": 8}
    assert_same(
        quietly(model_of("values", **settings).fit, X, y, weights),
        quietly(model_of("values", **settings).fit, X, wild, weights),
    )


def test_class_weights_are_those_of_points():
    X, y = problem("binary")
    flat = np.concatenate(y)
    counts = {label: len(flat) / (2 * (flat == label).sum()) for label in (4, 5)}
    balanced = quietly(model_of("binary", class_weight="balanced").fit, as_array(X), padded(y, 9))
    assert_same(balanced, quietly(model_of("binary", class_weight=counts).fit, X, y))
    heavy = quietly(model_of("binary", class_weight={4: 1, 5: 50}, max_iter=50).fit, X, y)
    assert (np.concatenate(heavy.predict(X)) == 5).mean() > 0.9
    with pytest.raises(ValueError, match="there is none left"):
        model_of("binary", class_weight={4: 0, 5: 0}).fit(X, y)


def test_classes_without_a_weight_are_told_of(monkeypatch):
    monkeypatch.setattr("nnjit.estimators._advice._said", set())
    X, y = problem("multiclass")
    y = [np.where(one == 3, 2, one) for one in y]
    y[4] = np.full_like(y[4], 3)
    weights = np.ones(N)
    weights[4] = 0
    with pytest.warns(TrainingWarning, match=r"belongs to the classes \[3\]"):
        model_of("multiclass").fit(X, y, weights)


# Validation


@pytest.mark.parametrize("scoring", [None, "loss"])
@pytest.mark.parametrize("kind", ["binary", "strings", "several values"])
def test_early_stopping_holds_out_whole_cases(kind, scoring):
    options = {"early_stopping": True, "validation_fraction": 0.25, "scoring": scoring}
    model, X, y = fitted(kind, **options, max_iter=12)
    rows = model._validation_split.rows()[1]
    assert len(rows) == 6 and len(model.validation_scores_) == model.n_iter_
    held_out = [X[k] for k in rows], [y[k] for k in rows]
    if scoring is None:
        assert model.best_validation_score_ == pytest.approx(model.score(*held_out))
    else:
        assert model.best_validation_score_ == -min(model.validation_loss_curve_)
    again = quietly(clone(model).set_params(warm_start=True, max_iter=3).fit, X, y)
    quietly(again.fit, X, y)
    assert len(again.validation_scores_) == 6
    given = quietly(clone(model).fit, X, y, X_val=held_out[0], y_val=held_out[1])
    assert given.best_validation_score_ is not None


def test_a_users_scorer_gets_the_users_own_y():
    X, y = problem("strings")
    seen = []

    def scorer(estimator, X, y):
        seen.append((X, y))
        return estimator.score(X, y)

    model = model_of("strings", scoring=scorer, early_stopping=True, max_iter=3)
    quietly(model.fit, X, y)
    rows = model._validation_split.rows()[1].tolist()
    assert len(seen) == 3
    numbers = {id(one): k for cases in (X, y) for k, one in enumerate(cases)}
    for X_seen, y_seen in seen:
        held_out = [numbers[id(one)] for one in X_seen]
        assert sorted(held_out) == rows
        assert [numbers[id(one)] for one in y_seen] == held_out
    own = quietly(clone(model).set_params(scoring=None).fit, X, y)
    np.testing.assert_allclose(own.validation_scores_, model.validation_scores_)
    seen.clear()
    array = padded(y, None)
    quietly(model.fit, as_array(X), array)
    np.testing.assert_array_equal(seen[0][1], array[held_out])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("binary", "roc_auc"),
        ("multiclass", "f1_macro"),
        ("strings", "neg_log_loss"),
        ("several values", "neg_mean_absolute_error"),
    ],
)
def test_a_scorer_of_scikit_learn_counts_points(kind, name, weighted):
    X, y = problem(kind)
    V, v = problem(kind, seed=4)
    weights = np.random.RandomState(2).uniform(1, 2, N) if weighted else None
    model = model_of(kind, scoring=name, max_iter=2)
    quietly(model.fit, X, y, X_val=as_array(V), y_val=padded(v, None), sample_weight_val=weights)
    method = "predict_proba" if name in ("roc_auc", "neg_log_loss") else "predict"
    found = np.concatenate(getattr(model, method)(V))
    found = found[:, 1] if name == "roc_auc" else found
    scorer = get_scorer(name)
    each = None if weights is None else np.repeat(weights, [*map(len, v)])
    options = {} if scorer._kwargs == {} else scorer._kwargs
    expected = scorer._sign * scorer._score_func(
        np.concatenate(v), found, sample_weight=each, **options
    )
    assert model.validation_scores_[-1] == pytest.approx(expected)
    quietly(model.set_params(early_stopping=True).fit, X, y)
    assert len(model.validation_scores_) == 2


def test_validation_labels_are_those_of_the_fit():
    X, y = problem("strings")
    other = [np.where(one == "cow", "emu", one) for one in y]
    with pytest.raises(ValueError, match="y_val contains previously unseen labels: .*emu"):
        model_of("strings").fit(X, y, X_val=X, y_val=other)
    X, y = problem("several values")
    with pytest.raises(ValueError, match="y_val has 1 columns, but y has 2"):
        model_of("values").fit(X, y, X_val=X, y_val=[one[:, 0] for one in y])


# Going on


@every_kind
def test_a_warm_start_goes_on(kind):
    X, y = problem(kind)
    model = model_of(kind, warm_start=True, max_iter=3, shuffle=False)
    for _ in range(2):
        quietly(model.fit, X, y)
    assert len(model.loss_curve_) == 6
    if kind in VALUES:
        return
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        model.fit(X, [*y[:-1], np.full_like(y[-1], "emu" if kind == "strings" else 70)])


def test_targets_cannot_change_in_a_warm_start():
    X, y = problem("multiclass", ragged=False)
    model = quietly(model_of("multiclass", warm_start=True).fit, X, y)
    predicted = model.predict(X)
    model.set_params(targets="one")
    np.testing.assert_array_equal(model.predict(X), predicted)  # by what was fitted
    assert model.score(X, y) > 0
    with pytest.raises(ValueError):
        model.fit(X, [one[0] for one in y])
    model.set_params(warm_start=False, layers=[Conv(3), GlobalPool("max")])
    quietly(model.fit, X, [one[0] for one in y])
    assert model.predict(X).shape == (N,)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "strings", "values", "several values"])
def test_partial_fit_is_an_epoch(kind):
    X, y = problem(kind)
    classes = {} if kind in VALUES else {"classes": np.unique(np.concatenate(y))}
    model = model_of(kind, shuffle=False)
    for _ in range(3):
        quietly(model.partial_fit, X, y, **classes)
    assert_same(model, quietly(model_of(kind, shuffle=False, max_iter=3).fit, X, y))
    quietly(model.partial_fit, X[:5], y[:5])  # not all classes
    if kind == "strings":
        with pytest.raises(ValueError, match="classes not in `self.classes_`"):
            model.partial_fit(X[:1], [np.full_like(y[0], "emu")])
        with pytest.raises(ValueError, match="classes must be passed"):
            model_of(kind).partial_fit(X, y)


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("kind", ["multiclass", "several values"])
def test_a_checkpoint_goes_on_to_the_bit(kind, options, tmp_path):
    X, y = problem(kind)
    options = {**options, "checkpoint_interval": 1}
    if kind not in VALUES:
        options["class_weight"] = "balanced"
    whole = quietly(model_of(kind, **options).fit, X, y)
    path = tmp_path / "run"
    quietly(model_of(kind, **options, max_iter=3, checkpoint=path).fit, X, y)
    resumed = quietly(model_of(kind, **options, checkpoint=path).fit, as_array(X), padded(y, None))
    assert_same(resumed, whole)
    assert resumed.loss_curve_ == whole.loss_curve_
    other = [*y[:-1], y[-1][::-1].copy()]
    other[-1][0] = other[-1][0] + 1 if kind in VALUES else (other[-1][0] + 1) % 4
    with pytest.raises(ValueError, match="the data"):
        model_of(kind, **options, checkpoint=path).fit(X, other)


# scikit-learn's tools


@every_kind
def test_pickles_and_clones(kind):
    model, X, y = fitted(kind)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        np.concatenate(again.predict(X)), np.concatenate(model.predict(X))
    )
    copied = clone(model)
    assert copied.targets == copied.get_params()["targets"] == "sequence"
    assert_same(quietly(copied.fit, X, y), model)
    assert is_regressor(model) if kind in VALUES else is_classifier(model)


@pytest.mark.parametrize("kind", ["multiclass", "strings", "values", "several values"])
def test_searches_and_pipelines(kind):
    X, y = problem(kind)
    splitter = KFold(3)
    grid = {"layers__0__filters": [2, 4], "alpha": [0.1, 0.001]}
    search = quietly(GridSearchCV(model_of(kind), grid, cv=splitter, error_score="raise").fit, X, y)
    best = quietly(clone(search.best_estimator_).fit, X, y)
    assert_same(best, search.best_estimator_)
    parts = []
    for training, test in splitter.split(X):
        part = quietly(clone(best).fit, [X[k] for k in training], [y[k] for k in training])
        parts.append(part.score([X[k] for k in test], [y[k] for k in test]))
    assert search.best_score_ == pytest.approx(np.mean(parts))
    quietly(GridSearchCV(model_of(kind), {"alpha": [0.1]}, cv=3, error_score="raise").fit, X, y)
    pipe = make_pipeline(SeriesScaler(), model_of(kind))
    scores = quietly(cross_val_score, pipe, as_array(X), padded(y, None), cv=splitter)
    assert len(scores) == 3 and np.isfinite(scores).all()


def test_targets_at_points_need_no_finite_check():
    X, y = problem("multiclass")
    with config_context(assume_finite=True):
        assert_same(quietly(model_of("multiclass").fit, X, y), fitted("multiclass")[0])
