"""Learning curves written to CSV by a callback."""

import csv
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nnjit import MLPClassifier, SelfOrganizingMap
from nnjit.callbacks import LearningCurveCSV

pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_iris(return_X_y=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "curve.csv"


def network(**parameters):
    return MLPClassifier((5,), max_iter=3, random_state=0, **parameters)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_epoch_is_a_line_with_what_was_measured(path):
    model = network(early_stopping=True, learning_rate="cosine")
    model.set_callbacks(LearningCurveCSV(path)).fit(X, y)
    found = rows(path)
    assert [row["epoch"] for row in found] == ["1", "2", "3"]
    assert [float(row["loss"]) for row in found] == model.loss_curve_
    assert [float(row["validation_score"]) for row in found] == model.validation_scores_
    assert [float(row["learning_rate"]) for row in found] == model.learning_rate_curve_
    assert {row["validation_loss"] for row in found} == {""}
    seconds = [float(row["seconds"]) for row in found]
    assert 0 < seconds[0] <= seconds[1] <= seconds[2]


def test_a_fit_with_the_callback_has_the_numbers_of_one_without(path):
    plain, told = network().fit(X, y), network().set_callbacks(LearningCurveCSV(path)).fit(X, y)
    for a, b in zip(plain.coefs_, told.coefs_):
        np.testing.assert_array_equal(a, b)


def test_lbfgs_and_maps_have_curves_too(path):
    callback = LearningCurveCSV(path, append=True)
    model = network(solver="lbfgs").set_callbacks(callback).fit(X, y)
    found = SelfOrganizingMap((3, 3), max_iter=2).set_callbacks(callback).fit(X)
    written = rows(path)
    assert [row["estimator"] for row in written] == ["MLPClassifier"] * 3 + [
        "SelfOrganizingMap"
    ] * 2
    assert float(written[2]["loss"]) == model.loss_
    errors = [float(row["loss"]) for row in written[3:]]
    assert errors == list(found.quantization_error_curve_)


def test_a_new_fit_begins_the_file_anew(path):
    model = network().set_callbacks(LearningCurveCSV(path))
    model.fit(X, y).fit(X, y)
    assert len(rows(path)) == 3


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_tells_its_fits_apart(path, n_jobs):
    pipeline = make_pipeline(StandardScaler(), network())
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 1.0]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(LearningCurveCSV(path)).fit(X, y)
    found = rows(path)
    by_fit = {}
    for row in found:
        by_fit.setdefault(row["fit"], []).append(row["epoch"])
    assert len(by_fit) == 5  # two candidates in two folds, and the refit
    assert set(map(tuple, by_fit.values())) == {("1", "2", "3")}


def test_a_file_that_cannot_be_written_ends_the_fit_before_training(tmp_path):
    model = network().set_callbacks(LearningCurveCSV(tmp_path / "no" / "folder.csv"))
    with pytest.raises(FileNotFoundError):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


class Removes(LearningCurveCSV):
    """Removes the file before the second epoch."""

    def on_fit_task_begin(self, estimator, context):
        super().on_fit_task_begin(estimator, context)
        if context.task_name == "epoch" and context.task_id == 1:
            self.path.unlink()


def test_a_file_that_is_moved_away_begins_anew_with_its_heading(path):
    network().set_callbacks(Removes(path)).fit(X, y)
    assert [row["epoch"] for row in rows(path)] == ["2", "3"]


def test_fits_beside_one_another_share_a_callback(path):
    callback = LearningCurveCSV(path, append=True)

    def fit(seed):
        model = MLPClassifier((5,), max_iter=20, tol=0.0, random_state=seed)
        return [model.set_callbacks(callback).fit(X, y).n_iter_ for _ in range(5)]

    callback.setup(None, None)
    with ThreadPoolExecutor(3) as pool:
        assert [*pool.map(fit, range(3))] == [[20] * 5] * 3
    assert len(rows(path)) == 300
