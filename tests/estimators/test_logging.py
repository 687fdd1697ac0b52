"""What fits tell the loggers of the standard library."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

from nnjit import MLPClassifier, MLPRegressor, SelfOrganizingMap, TabularClassifier
from nnjit.core.compiler.units import Unit
from nnjit.training import loop

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)


def network(**parameters):
    return MLPClassifier((5,), max_iter=4, random_state=0, **parameters)


def of(caplog, logger):
    return [record for record in caplog.records if record.name == logger]


def test_a_fit_is_one_line_at_level_info(caplog):
    caplog.set_level(logging.INFO, "nnjit")
    model = network(early_stopping=True).fit(X, y)
    [record] = of(caplog, "nnjit.fit")
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("MLPClassifier fitted in ")
    assert (record.estimator, record.n_iter, record.loss) == ("MLPClassifier", 4, model.loss_)
    assert record.best_validation_score == model.best_validation_score_
    assert record.seconds > 0
    assert of(caplog, "nnjit.epoch") == []


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_epochs_are_lines_at_level_debug(caplog, solver):
    caplog.set_level(logging.DEBUG, "nnjit.epoch")
    model = network(solver=solver).fit(X, y)
    records = of(caplog, "nnjit.epoch")
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    losses = [record.loss for record in records]
    assert losses == (model.loss_curve_ if solver == "adam" else losses)
    assert losses[-1] == model.loss_


def test_an_epoch_tells_of_validation_rows_and_the_rate(caplog):
    caplog.set_level(logging.DEBUG, "nnjit.epoch")
    model = MLPRegressor(max_iter=3, early_stopping=True, learning_rate="cosine")
    model.fit(X, y, X_val=X, y_val=y)
    records = of(caplog, "nnjit.epoch")
    assert [record.validation_score for record in records] == model.validation_scores_
    assert [record.validation_loss for record in records] == model.validation_loss_curve_
    assert [record.learning_rate for record in records] == model.learning_rate_curve_


def test_maps_and_estimators_of_tables_tell_too(caplog):
    caplog.set_level(logging.DEBUG, "nnjit")
    found = SelfOrganizingMap((3, 3), max_iter=2).fit(X)
    losses = [record.loss for record in of(caplog, "nnjit.epoch")]
    assert losses == list(found.quantization_error_curve_)
    caplog.clear()
    TabularClassifier(preset="fast", random_state=0).fit(X, y)
    assert [r.estimator for r in of(caplog, "nnjit.fit")][-1] == "TabularClassifier"


def test_a_fit_that_fails_is_not_told_as_fitted(caplog):
    caplog.set_level(logging.INFO, "nnjit")
    with pytest.raises(ValueError):
        network().fit(X, y[:-1])
    assert of(caplog, "nnjit.fit") == []


def test_the_log_changes_no_number(caplog):
    quiet = network().fit(X, y)
    caplog.set_level(logging.DEBUG, "nnjit")
    told = network().fit(X, y)
    for a, b in zip(quiet.coefs_, told.coefs_):
        np.testing.assert_array_equal(a, b)
    assert quiet.loss_curve_ == told.loss_curve_


def test_epochs_still_run_several_in_a_call_where_nobody_listens(caplog, monkeypatch):
    calls = []
    once = loop.train_epoch
    monkeypatch.setattr(loop, "train_epoch", lambda *a: calls.append(1) or once(*a))
    caplog.set_level(logging.INFO, "nnjit")
    network().fit(X, y)
    assert calls == []
    caplog.set_level(logging.DEBUG, "nnjit.epoch")
    network().fit(X, y)
    assert len(calls) == 4


def test_what_is_compiled_is_told(caplog):
    def three(out):
        pass

    caplog.set_level(logging.DEBUG, "nnjit.compiler")
    unit = Unit(three, "a_unit_of_this_test")
    assert unit.address
    assert unit.address
    [record] = of(caplog, "nnjit.compiler")
    assert record.unit == "a_unit_of_this_test" and record.seconds > 0
    assert ("loaded" if record.loaded else "compiled") in record.getMessage()


def test_nothing_is_shown_unasked():
    code = (
        "from nnjit import MLPClassifier\n"
        "MLPClassifier((3,), solver='lbfgs', tol=1.0).fit([[0.0], [1.0]], [0, 1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
