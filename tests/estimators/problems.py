"""Small data sets, one for each kind of target, and how estimators are compared on them."""

import warnings

import numpy as np
from sklearn import neural_network as peer
from sklearn.exceptions import ConvergenceWarning

import nnjit

N_SAMPLES, N_FEATURES = 96, 8


def inputs(seed=0):
    """Inputs with a third of zeros, so that a sparse matrix of them is one."""
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((N_SAMPLES, N_FEATURES))
    X[rng.uniform(size=X.shape) < 1 / 3] = 0.0
    return X


def problem(kind, seed=0):
    """Return X and y."""
    X = inputs(seed)
    rng = np.random.RandomState(seed + 1)
    signal = X @ rng.standard_normal((N_FEATURES, 3)) + 0.3 * rng.standard_normal((N_SAMPLES, 3))
    if kind == "binary":
        return X, (signal[:, 0] > 0).astype(int)
    if kind == "multiclass":
        return X, signal.argmax(axis=1) * 2 + 1
    if kind == "strings":
        return X, np.array(["ape", "bee", "cow"], dtype=object)[signal.argmax(axis=1)]
    if kind == "multilabel":
        return X, (signal > 0).astype(int)
    if kind == "regression":
        return X, np.tanh(signal[:, 0])
    if kind == "multioutput":
        return X, np.tanh(signal)
    if kind == "poisson":
        return X, rng.poisson(np.exp(0.3 * signal[:, 0])).astype(float)
    raise ValueError(kind)


CLASSIFICATION = ["binary", "multiclass", "strings", "multilabel"]
REGRESSION = ["regression", "multioutput", "poisson"]


def weights(seed=5):
    return np.random.RandomState(seed).uniform(0.1, 3.0, N_SAMPLES)


def pair(kind, **parameters):
    """Return our estimator and scikit-learn's, with the same parameters."""
    name = "MLPClassifier" if kind in CLASSIFICATION else "MLPRegressor"
    if kind == "poisson":
        parameters["loss"] = "poisson"
    return getattr(nnjit, name)(**parameters), getattr(peer, name)(**parameters)


def network_of(family, kind, **parameters):
    """Return the classifier or regressor of a family, such as "Conv", for a kind of target."""
    loss = {"loss": "poisson"} if kind == "poisson" else {}
    name = family + ("Classifier" if kind in CLASSIFICATION else "Regressor")
    return getattr(nnjit, name)(**loss, **parameters)


def quietly(function, *args, **kwargs):
    """Call without ConvergenceWarnings and overflow warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


def outcome(function, *args, **kwargs):
    """Return ('returned', value) or (type of the exception, its text)."""
    try:
        return "returned", quietly(function, *args, **kwargs)
    except Exception as error:
        return type(error), str(error)


def assert_same_network(ours, theirs, rtol=1e-6):
    """Compare parameters and histories to a relative tolerance.

    Parameters that are small beside the largest of their layer are compared to rtol times a
    thousandth of that one: they are differences of larger terms.
    """
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.out_activation_ == theirs.out_activation_
    assert ours.t_ == theirs.t_
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=rtol)
    for name in ("loss_curve_", "validation_scores_", "best_loss_", "best_validation_score_"):
        assert hasattr(ours, name) == hasattr(theirs, name), name
        if getattr(theirs, name, None) is None:
            assert getattr(ours, name, None) is None, name
        else:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=rtol)
    for a, b in zip(
        ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
    ):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-3 * rtol * np.abs(b).max())


def assert_same_bits(one, other):
    """Compare two fitted networks and all their parameters, to the bit."""
    networks, arrays = zip(one._give_parameters(), other._give_parameters(), strict=True)
    assert networks[0] == networks[1]
    for a, b in zip(*arrays, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
