"""Checkpoints and pickles that earlier versions have written (see former_problem.py)."""

import io
import json
import pickle
import warnings

import numpy as np
import pytest
from former_problem import EPOCHS, FOLDER, SOLVERS, data, fitted, model_for

import nnjit
from nnjit.training import checkpoint as file_format


def loaded(solver):
    """The estimator in a pickle of an earlier version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another version
        return pickle.loads((FOLDER / f"{solver}.pickle").read_bytes())


def parameters(model):
    return [*model.coefs_, *model.intercepts_]


def assert_close(models):
    for a, b in zip(*map(parameters, models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.fixture
def run(tmp_path, request):
    """A copy of the checkpoint of a solver."""

    def copy(solver):
        path = tmp_path / "run"
        path.write_bytes((FOLDER / f"{solver}.checkpoint").read_bytes())
        return path

    return copy


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_checkpoint_of_format_1_is_gone_on_from(solver, run):
    path = run(solver)
    assert file_format.read(str(path))[0]["format"] == 1
    resumed = fitted(solver, max_iter=9, checkpoint=path)
    assert resumed.n_iter_ == 9 > EPOCHS
    assert_close([resumed, fitted(solver, max_iter=9)])
    np.testing.assert_allclose(
        resumed.loss_curve_, fitted(solver, max_iter=9).loss_curve_, rtol=1e-9
    )
    assert file_format.read(str(path))[0]["format"] == 2


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_checkpoint_of_format_1_is_not_just_trained_over(solver, run, monkeypatch):
    """Its epochs are not done again."""
    done = []
    after_epoch = file_format.Checkpoint.after_epoch
    monkeypatch.setattr(
        file_format.Checkpoint,
        "after_epoch",
        lambda self, engine, state, *rest: (
            done.append(state.epoch), after_epoch(self, engine, state, *rest)
        ),
    )  # fmt: skip
    fitted(solver, max_iter=5, checkpoint=run(solver))
    assert done == [4, 5]


def test_a_checkpoint_of_format_1_of_another_run_is_refused(run):
    path = run("adam")
    for other in ({"hidden_layer_sizes": (4, 3)}, {"beta_1": 0.5}):
        with pytest.raises(ValueError, match="is of another run: .*differ"):
            model_for("adam", checkpoint=path).set_params(**other).fit(*data())


def changed(path, change):
    """Write a file of format 1 anew after a change, with the right digest."""
    meta, arrays = file_format.read(str(path))
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(meta, arrays)
    meta["digest"] = file_format._digest(meta, arrays)
    stream = io.BytesIO()
    np.savez(stream, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    path.write_bytes(stream.getvalue())


def put(name, at, value):
    def change(meta, arrays):
        arrays[name].flat[at] = value

    return change


def replaced(name, new):
    def change(meta, arrays):
        arrays[name] = np.asarray(new(arrays[name]))

    return change


HOSTILE = {
    "clock of another step": ("adam", put("solver.clock", 0, 1.0)),
    "clock of a power of one": ("adam", put("solver.clock", 1, 1.0)),
    "clock negative": ("adam", put("solver.clock", 2, -0.5)),
    "clock too short": ("adam", replaced("solver.clock", lambda a: a[:2])),
    "clock missing": ("adam", lambda meta, arrays: arrays.pop("solver.clock")),
    "clock of no powers": ("sgd", put("solver.clock", 2, np.nan)),
    "moments not finite": ("adam", put("solver.first", 0, np.inf)),
    "squares negative": ("adam", put("solver.second", 0, -1.0)),
    "no squares": ("adam", replaced("solver.second", lambda a: a[:0])),
    "squares of a solver without": ("sgd", replaced("solver.second", lambda a: np.zeros(3))),
    "velocities too few": ("sgd", replaced("solver.first", lambda a: a[1:])),
    "weights not finite": ("adam", put("weights.0", 0, np.nan)),
    "weights transposed": ("sgd", replaced("weights.0", lambda a: a.T)),
    "biases missing": ("sgd", lambda meta, arrays: arrays.pop("weights.bias.1")),
    "best weights too few": ("adam", replaced("best_weights.bias.0", lambda a: a[:-1])),
    "steps of another clock": ("sgd", lambda meta, arrays: meta.update(steps=meta["steps"] - 3)),
}


@pytest.mark.parametrize("damage", HOSTILE)
def test_values_in_format_1_that_no_run_has_are_refused(damage, run):
    solver, change = HOSTILE[damage]
    path = run(solver)
    changed(path, change)
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        fitted(solver, max_iter=9, checkpoint=path)


def test_an_array_of_text_for_a_name_of_format_1_is_refused(run):
    path = run("adam")
    changed(path, replaced("weights.0", lambda a: a.astype("U3")))
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        fitted("adam", max_iter=9, checkpoint=path)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_pickle_of_an_earlier_version_predicts_and_trains_on(solver):
    former, present = loaded(solver), fitted(solver, max_iter=EPOCHS)
    X, y = data()
    np.testing.assert_allclose(former.predict(X), present.predict(X), rtol=1e-9)
    for model in (former, present):
        model.set_params(early_stopping=False)
        for _ in range(3):
            model.partial_fit(X, y)
    assert_close([former, present])


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_pickle_of_an_earlier_version_becomes_scikit_learns(solver):
    theirs = loaded(solver).to_sklearn()
    expected = fitted(solver, max_iter=EPOCHS).to_sklearn()
    name = "ms" if solver == "adam" else "velocities"
    for a, b in zip(*(getattr(m._optimizer, name) for m in (theirs, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_networks_are_found_where_earlier_versions_had_them():
    """Pickles name the module of a class."""
    from nnjit.estimators import classifier, regressor

    assert classifier.MLPClassifier is nnjit.MLPClassifier
    assert regressor.MLPRegressor is nnjit.MLPRegressor
    for module in (classifier, regressor):
        with pytest.raises(AttributeError, match="has no attribute 'Perceptron'"):
            module.Perceptron  # noqa: B018


def test_the_files_are_those_of_former_versions():
    for solver in SOLVERS:
        meta, arrays = file_format.read(str(FOLDER / f"{solver}.checkpoint"))
        assert meta["format"] == 1 and "solver.first" in arrays
        assert meta["epoch"] == EPOCHS
