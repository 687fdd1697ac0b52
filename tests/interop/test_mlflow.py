"""MLflow logs the fits of bare estimators."""

import sys
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnjit import MLPClassifier, SelfOrganizingMap, TabularClassifier
from nnjit._logging import FIT_LISTENERS
from nnjit.interop.mlflow import autolog

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    found = pytest.importorskip("mlflow", minversion="3.0", reason="MLflow 3 is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.set_tracking_uri((tmp_path / "runs").as_uri())
        yield found
    autolog(disable=True)
    while found.active_run() is not None:
        found.end_run("KILLED")


def runs(mlflow):
    return mlflow.search_runs(output_format="list")


def network(**parameters):
    return MLPClassifier(max_iter=4, random_state=0, **parameters)


def test_a_fit_is_a_run_with_parameters_and_curves(mlflow):
    autolog(log_models=False)
    model = network(early_stopping=True, learning_rate="cosine").fit(X, y)
    [run] = runs(mlflow)
    assert run.info.status == "FINISHED"
    assert run.data.tags["estimator_class"] == "nnjit.estimators.mlp.MLPClassifier"
    assert run.data.params["learning_rate"] == "cosine"
    assert run.data.metrics["n_iter"] == 4
    for name, curve in (
        ("loss", model.loss_curve_),
        ("validation_score", model.validation_scores_),
        ("learning_rate", model.learning_rate_curve_),
    ):
        history = mlflow.MlflowClient().get_metric_history(run.info.run_id, name)
        assert [(one.step, one.value) for one in history] == list(enumerate(curve, start=1))


def test_an_active_run_is_used_and_left_open(mlflow):
    autolog(log_models=False)
    with mlflow.start_run() as run:
        SelfOrganizingMap((3, 3), max_iter=2).fit(X)
        assert mlflow.active_run().info.run_id == run.info.run_id
    [run] = runs(mlflow)
    assert "quantization_error" in run.data.metrics


def test_fits_within_others_are_the_outer_ones_business(mlflow):
    autolog(log_models=False)
    make_pipeline(StandardScaler(), network()).fit(X, y)
    GridSearchCV(network(), {"alpha": [0.1, 1.0]}, cv=2).fit(X, y)
    assert runs(mlflow) == []
    TabularClassifier(preset="fast", random_state=0).fit(X, y)
    [run] = runs(mlflow)
    assert run.data.tags["estimator_name"] == "TabularClassifier"


def test_a_failed_fit_is_a_failed_run(mlflow):
    autolog(log_models=False)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        network().fit(X, y[:-1])
    assert [run.info.status for run in runs(mlflow)] == ["FAILED"]
    assert mlflow.active_run() is None


def test_the_model_comes_back(mlflow, tmp_path):
    pytest.importorskip("skops", reason="skops is not installed")
    autolog()
    model = network().fit(X, y)
    [run] = runs(mlflow)
    [logged] = mlflow.search_logged_models(output_format="list")
    assert logged.source_run_id == run.info.run_id
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert "model.skops" in files and "model.pkl" not in files
    loaded = mlflow.sklearn.load_model(logged.model_uri)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_trouble_in_mlflow_loses_no_fit(mlflow, monkeypatch):
    autolog(log_models=False)
    monkeypatch.setattr(mlflow, "log_params", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.warns(UserWarning, match="did not log this fit's parameters: disk full"):
        model = network().fit(X, y)
    assert model.n_iter_ == 4
    monkeypatch.setattr(mlflow, "start_run", lambda: (_ for _ in ()).throw(OSError("no server")))
    with pytest.warns(UserWarning, match="did not log this fit"):
        assert network().fit(X, y).n_iter_ == 4


def test_a_parameter_without_a_text_loses_no_fit(mlflow):
    class Mute(np.random.RandomState):
        def __str__(self):
            raise OSError("no words")

    autolog(log_models=False)
    with pytest.warns(UserWarning, match="did not log this fit's parameters: no words"):
        MLPClassifier(max_iter=4, random_state=Mute(0)).fit(X, y)
    [run] = runs(mlflow)
    assert run.info.status == "FINISHED" and run.data.metrics["n_iter"] == 4


def test_a_second_fit_in_a_run_with_other_parameters_has_its_curves_in_it(mlflow):
    autolog(log_models=False)
    with mlflow.start_run() as run:
        network().fit(X, y)
        with pytest.warns(UserWarning, match="did not log this fit's parameters: "):
            second = network(alpha=0.5).fit(X, y)
    losses = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [one.value for one in losses[-4:]] == second.loss_curve_
    assert mlflow.get_run(run.info.run_id).data.params["alpha"] == "0.0001"


def test_it_can_be_turned_off_and_is_on_once(mlflow):
    autolog(log_models=False)
    autolog(log_models=False)
    assert len(FIT_LISTENERS) == 1
    autolog(disable=True)
    network().fit(X, y)
    assert runs(mlflow) == [] and FIT_LISTENERS == []


def test_without_mlflow_the_error_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ImportError, match="pip install mlflow"):
        autolog()
    assert FIT_LISTENERS == []


def test_listening_changes_no_number(mlflow):
    plain = network().fit(X, y)
    autolog(log_models=False)
    logged = network().fit(X, y)
    for a, b in zip(plain.coefs_, logged.coefs_):
        np.testing.assert_array_equal(a, b)
