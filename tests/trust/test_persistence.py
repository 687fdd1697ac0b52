"""Pickles that other versions of nnjit and other processes write."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from problems import problem, quietly
from sklearn.base import clone

import nnjit
from nnjit.estimators import _persistence

KINDS = ["multiclass", "regression"]


def fitted(kind):
    X, y = problem(kind)
    name = "MLPClassifier" if kind == "multiclass" else "MLPRegressor"
    return (
        quietly(
            getattr(nnjit, name)(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit, X, y
        ),
        X,
        y,
    )


@pytest.fixture
def written_by(monkeypatch):
    """Pickle a model as another version would have."""

    def write(model, version, state_format):
        with monkeypatch.context() as patch:
            patch.setattr(_persistence, "__version__", version)
            patch.setattr(_persistence, "STATE_FORMAT", state_format)
            return pickle.dumps(model)

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_of_this_version_says_so_and_loads_without_a_word(kind):
    model, X, _ = fitted(kind)
    content = pickle.dumps(model)
    assert nnjit.__version__.encode() in content
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = pickle.loads(content)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert vars(loaded).keys() == vars(model).keys()  # the stamp is in the pickle only


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_of_an_older_version_loads_with_a_warning(kind, written_by):
    model, X, y = fitted(kind)
    content = written_by(model, "0.0.1", _persistence.STATE_FORMAT)
    with pytest.warns(UserWarning, match=r"pickled by nnjit 0\.0\.1 and is loaded by nnjit"):
        loaded = pickle.loads(content)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.partial_fit(X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_of_a_newer_format_is_refused(kind, written_by):
    content = written_by(fitted(kind)[0], "9.1", _persistence.STATE_FORMAT + 1)
    with pytest.raises(ValueError, match=r"pickled by nnjit 9\.1 in format 3.*Upgrade nnjit"):
        pickle.loads(content)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_came_later_have_their_defaults(kind):
    """State as it was before versions were written and `checkpoint` was a parameter."""
    model, X, y = fitted(kind)
    state = dict(vars(model))
    del state["checkpoint"], state["checkpoint_interval"]
    loaded = type(model).__new__(type(model))
    with pytest.warns(UserWarning, match="pickled by nnjit before"):
        loaded.__setstate__(state)
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    quietly(clone(loaded).fit, X, y)


def test_another_process_loads_it_and_computes_the_same_bits(tmp_path):
    """Nothing of the compiled code or of this CPU is in the pickle."""
    model, X, _ = fitted("multiclass")
    (tmp_path / "model").write_bytes(pickle.dumps((model, X)))
    code = (
        "import pickle, sys; model, X = pickle.load(open(sys.argv[1], 'rb'));"
        "sys.stdout.buffer.write(model.predict_proba(X).tobytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model"], capture_output=True, timeout=120
    )
    assert done.stdout == model.predict_proba(X).tobytes(), done.stderr


def test_a_truncated_pickle_is_an_error():
    content = pickle.dumps(fitted("multiclass")[0])
    for length in (1, len(content) // 2, len(content) - 1):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            pickle.loads(content[:length])
