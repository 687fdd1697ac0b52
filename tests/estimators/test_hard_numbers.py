"""Numbers at the edge: a finite model, or a clear error; never a silent NaN."""

import numpy as np
import pytest
import scipy.sparse as sp
from problems import outcome, quietly
from sklearn.exceptions import ConvergenceWarning

import nnjit

N_SAMPLES, N_FEATURES = 60, 5


def ordinary(dtype):
    return np.random.RandomState(0).standard_normal((N_SAMPLES, N_FEATURES)).astype(dtype)


def one_column(X, factor):
    X = X.copy()
    X[:, 2] *= X.dtype.type(factor)
    return X


INPUTS = {
    "ordinary": lambda X: X,
    "1e30": lambda X: X * X.dtype.type(1e30),
    "largest": lambda X: np.sign(X) * np.finfo(X.dtype).max,
    "subnormal": lambda X: X * np.finfo(X.dtype).smallest_subnormal * X.dtype.type(1000),
    "constant columns": np.ones_like,
    "zeros": np.zeros_like,
    "one column of 1e30": lambda X: one_column(X, 1e30),
    "one column of 1e-300": lambda X: one_column(X, 1e-300),
}
SETTINGS = {
    "adam": {"solver": "adam"},
    "adam, rate 1e6": {"solver": "adam", "learning_rate_init": 1e6},
    "sgd": {"solver": "sgd"},
    "sgd, rate 1e6": {"solver": "sgd", "learning_rate_init": 1e6},
    "sgd, rate 1e300": {"solver": "sgd", "learning_rate_init": 1e300},
    "lbfgs": {"solver": "lbfgs"},
    "early stopping": {"solver": "sgd", "early_stopping": True, "validation_fraction": 0.3},
}
ADVICE = "Scale the inputs"


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "huge target", "poisson"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_finite_model_or_clear_error(kind, dtype, case, settings):
    X = ordinary(dtype)
    signal = X @ np.array([1, -1, 0.5, 0, 2], dtype)
    y = {
        "binary": signal > 0,
        "multiclass": np.digitize(signal, [-1, 1]),
        "regression": signal,
        "huge target": signal * dtype(1e30),
        "poisson": np.exp(signal).round(),
    }[kind]
    loss = {"loss": "poisson"} if kind == "poisson" else {}
    classifier = kind in ("binary", "multiclass")
    model = (nnjit.MLPClassifier if classifier else nnjit.MLPRegressor)(
        hidden_layer_sizes=(8,), max_iter=15, random_state=0, **SETTINGS[settings], **loss
    )
    X = INPUTS[case](X)
    result, message = outcome(model.fit, X, y)
    if result != "returned":
        assert result is ValueError
        assert message.startswith("Solver produced non-finite parameter weights.")
        assert ADVICE in message
        assert not hasattr(model, "coefs_")
        return
    assert all(np.isfinite(a).all() for a in model.coefs_ + model.intercepts_)
    if not SETTINGS[settings].get("early_stopping"):
        assert np.isfinite(model.loss_)
        assert np.isfinite(getattr(model, "loss_curve_", [0.0])).all()
    for name in ("predict_proba", "predict_log_proba") if classifier else ("predict",):
        result, value = outcome(getattr(model, name), X)
        if result != "returned":
            assert result is ValueError
            assert "overflows" in value
            continue
        assert np.isfinite(value).all()
        if name == "predict_proba":
            assert ((value >= 0) & (value <= 1)).all()
            np.testing.assert_allclose(value.sum(axis=1), 1.0, rtol=1e-5)


def test_logits_of_ten_thousand():
    X = ordinary(np.float64)
    model = nnjit.MLPClassifier(max_iter=3, random_state=0)
    quietly(model.fit, X, np.digitize(X[:, 0], [-1, 1]))
    model.coefs_ = [1e3 * w for w in model.coefs_]
    log_p = model.predict_log_proba(X)
    assert log_p.min() < -1e4
    assert np.isfinite(log_p).all()
    quietly(model.set_params(warm_start=True).fit, X, np.digitize(X[:, 0], [-1, 1]))
    assert np.isfinite(model.loss_)


# Predictions that overflow


LARGE = {np.float32: 3e38, np.float64: 1e308}


def linear(kind, dtype, weights=((1, 0, 1), (0, 1, 1))):
    """An identity network whose logits are (s, s, 2 s), or 2 s, with s the sum of a row."""
    rng = np.random.RandomState(0)
    X, activation = rng.standard_normal((40, 3)).astype(dtype), {"activation": "identity"}
    y = {
        "binary": X[:, 0] > 0,
        "multiclass": np.digitize(X[:, 0], [-0.5, 0.5]),
        "multilabel": (X > 0).astype(int),
        "regression": X[:, 0],
        "multioutput": X,
        "poisson": np.abs(X[:, 0]).round(),
    }[kind]
    if kind in ("binary", "multiclass", "multilabel"):
        model = nnjit.MLPClassifier((2,), **activation, max_iter=1)
    else:
        loss = "poisson" if kind == "poisson" else "squared_error"
        model = nnjit.MLPRegressor(loss, (2,), **activation, max_iter=1)
    quietly(model.fit, X, y)
    last = np.array(weights, dtype)
    if model.n_outputs_ == 1:
        last = last.sum(axis=1, keepdims=True) / 2
    model.coefs_ = [np.ones((3, 2), dtype), last]
    model.intercepts_ = [np.zeros(len(w[0]), dtype) for w in model.coefs_]
    return model


def predicting(model):
    names = ("predict_proba", "predict_log_proba") if hasattr(model, "classes_") else ()
    return [getattr(model, name) for name in ("predict", *names)]


KINDS = ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_logit_that_overflows_is_an_error_that_names_the_row(kind, dtype):
    model, large = linear(kind, dtype), LARGE[dtype]
    for row in ((large, large, 0), (-large, -large, 0), (large, large, -large), (large,) * 3):
        for before, after in ((0, 0), (2, 0), (1, 300), (400, 7)):
            X = np.ones((before + 1 + after, 3), dtype)
            X[before] = row
            for form in (X, np.asfortranarray(X), X.tolist(), sp.csr_matrix(X)):
                for method in predicting(model):
                    with pytest.raises(ValueError, match=f"prediction of row {before} overflows"):
                        method(form)
    with pytest.raises(ValueError, match="row 0 and of 2 others overflows: sums in the network"):
        model.predict(np.array([row, (1, 1, 1), row, row], dtype))
    with pytest.raises(ValueError, match="overflows"):
        model.score(X, np.ones((len(X), model.n_outputs_)).squeeze())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("error")
def test_finite_logits_of_any_size_have_the_right_probabilities(dtype):
    large = dtype(LARGE[dtype])
    X = np.array([[large, -large / 4, 0], [-large / 2, 0, 0], [large / 2, -large / 2, 3]], dtype)
    model = linear("multiclass", dtype, [[1, 0, 0.5], [-1, 0.5, 0.5]])
    # logits are (0, s / 2, s), with s of 3/4, -1/2 and about 0 times the largest
    np.testing.assert_array_equal(model.predict_proba(X)[:2], [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(model.predict(X[:2]), [2, 0])
    log_p = model.predict_log_proba(X[:2])
    np.testing.assert_allclose(log_p[0] / large, [-0.75, -0.375, 0], rtol=1e-5)
    np.testing.assert_allclose(log_p[1] / large, [0, -0.25, -0.5], rtol=1e-5)
    for kind in ("binary", "multilabel"):
        model = linear(kind, dtype, [[1, 0, 0.5], [0, 0.5, 0.5]])
        p = model.predict_proba(X[:2] / 2)
        assert ((p == 0) | (p == 1)).all()
        assert np.isfinite(model.predict_log_proba(X[:2] / 2)).all()
    model = linear("regression", dtype, [[0.5], [0.5]])
    np.testing.assert_allclose(model.predict(X[:2]) / large, [0.375, -0.25], rtol=1e-5)
    many = np.repeat(X[:1], 600, axis=0)  # the sum of the predictions overflows
    np.testing.assert_array_equal(model.predict(many), np.repeat(model.predict(X[:1]), 600))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_log_probability_that_overflows_is_an_error(dtype):
    large = LARGE[dtype]
    model = linear("multiclass", dtype, [[1, -1, 0], [0, 0, 0]])
    X = np.array([[1, 1, 1], [large, 0, 0]], dtype)
    np.testing.assert_array_equal(model.predict_proba(X)[1], [1, 0, 0])
    with pytest.raises(ValueError, match="prediction of row 1 overflows"):
        model.predict_log_proba(X)


def test_a_poisson_mean_that_overflows_says_of_what():
    model = linear("poisson", np.float64, [[1], [1]])
    assert model.predict([[200, 0, 0], [-1e9, 0, 0]])[1] == 0
    with pytest.raises(
        ValueError, match=r"row 1 overflows: exp\(1000\) exceeds the largest float64"
    ):
        model.predict([[1, 0, 0], [1000, 0, 0]])


def test_the_error_of_a_float32_network_names_the_way_out():
    model = linear("multiclass", np.float32)
    X = np.array([[3e38, 3e38, 0]])
    with pytest.raises(ValueError, match="or assign coefs_ and intercepts_ in float64"):
        model.predict(X)
    model.coefs_ = [w.astype(float) for w in model.coefs_]
    model.intercepts_ = [b.astype(float) for b in model.intercepts_]
    np.testing.assert_array_equal(model.predict_proba(X), [[0, 0, 1]])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_validation_rows_that_overflow_score_nan_and_are_told_of(kind):
    """Training rows are ordinary: the loss is finite, and nothing else would say a word."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((40, 3))
    y = {
        "binary": X[:, 0] > 0,
        "multiclass": np.arange(40) % 3,
        "multilabel": (X > 0).astype(int),
        "regression": X[:, 0],
    }[kind]
    model = (nnjit.MLPRegressor if kind == "regression" else nnjit.MLPClassifier)(
        hidden_layer_sizes=(4,),
        activation="identity",
        early_stopping=True,
        max_iter=3,
        random_state=0,
    )
    quietly(model.fit, X, y)
    X[model._validation_split.rows()[1]] = 1e308 * np.array([1, 1, 1])
    model.set_params(warm_start=True)  # finds these rows again
    weights = [1e3 * w for w in model.coefs_]
    model.coefs_ = weights
    with pytest.warns(ConvergenceWarning, match="No epoch could be scored"):
        model.fit(X, y)
    assert np.isnan(model.validation_scores_[-3:]).all()
    for a, b in zip(model.coefs_, weights):
        np.testing.assert_array_equal(a, b)
