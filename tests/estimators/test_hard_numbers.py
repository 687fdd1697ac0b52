"""Numbers at the edge: a finite model, or a clear error; never a silent NaN."""

import numpy as np
import pytest
from problems import outcome, quietly

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
    if classifier:
        p = model.predict_proba(X)
        log_p = model.predict_log_proba(X)
        if np.isfinite(log_p).all():
            assert ((p >= 0) & (p <= 1)).all()
            np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-5)


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
