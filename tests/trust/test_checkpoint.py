"""Checkpoints: cut off at any moment, a fit goes on to the same bits."""

import copy
import io
import json
import os
import pickle
import re
import signal
import threading
import tracemalloc
import types
import warnings
import zipfile

import numpy as np
import pytest
import scipy.sparse as sp
from fresh_python import jit_only
from problems import problem, quietly
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from nnjit import MLPClassifier, MLPRegressor
from nnjit.training import checkpoint as file_format
from nnjit.training import snapshot

NETWORK = {"hidden_layer_sizes": (6,), "batch_size": 25, "max_iter": 9, "n_iter_no_change": 100}
SETTINGS = {
    "adam": {"solver": "adam"},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "adaptive": {
        "solver": "sgd", "learning_rate": "adaptive", "tol": 10.0, "n_iter_no_change": 1,
    },
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "tol": 1e-3},
    "in order": {"shuffle": False},
    "adamw": {"solver": "adamw", "clip_norm": 0.1},
    "amsgrad": {"amsgrad": True, "clip_value": 0.01},
    "average": {"average": 0.9},
    "average, early stopping": {
        "solver": "lion", "average": 0.5, "early_stopping": True, "validation_fraction": 0.3,
    },
    "normalization": {"normalization": "batch", "residual": True, "hidden_layer_sizes": (6, 6)},
    "normalization, early stopping": {
        "normalization": "batch", "early_stopping": True, "validation_fraction": 0.3,
    },
    "cosine": {"learning_rate": "cosine", "warmup": 5},
    "callable": {"learning_rate": lambda step, steps: 0.01 / (1 + step), "solver": "sgd"},
    "plateau": {"learning_rate": "plateau", "tol": 10.0, "n_iter_no_change": 1, "warmup": 0.3},
    "loss as score": {"early_stopping": True, "scoring": "loss", "restore_best": False},
}  # fmt: skip


class CutOffError(BaseException):
    """Stands for a process that ends: nothing in a fit catches it."""


def model_of(kind, **parameters):
    cls = MLPClassifier if kind in ("binary", "multiclass", "multilabel") else MLPRegressor
    if kind == "poisson":
        parameters["loss"] = "poisson"
    return cls(**{**NETWORK, "random_state": 0, **parameters})


def cut_off(monkeypatch, epochs, function, *args):
    """Call a fit that ends after some epochs as if the process had been killed."""
    after = file_format.Checkpoint.after_epoch
    done = []

    def counted(self, engine, state, optimizer, over):
        after(self, engine, state, optimizer, over)
        done.append(state.epoch)
        if len(done) == epochs:
            raise CutOffError

    with monkeypatch.context() as patch:
        patch.setattr(file_format.Checkpoint, "after_epoch", counted)
        with pytest.raises(CutOffError):
            quietly(function, *args)


def assert_same_bits(a, b):
    (_, ours), (_, theirs) = a._give_parameters(), b._give_parameters()
    for x, y in zip(ours, theirs, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    for name in (
        "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_",
        "n_iter_", "t_", "n_skipped_batches_", "_no_improvement_count", "_converged",
        "learning_rate_curve_", "validation_loss_curve_",
    ):  # fmt: skip
        assert getattr(a, name) == getattr(b, name), name
    ours, theirs = (m._random_state.get_state(legacy=False)["state"] for m in (a, b))
    np.testing.assert_array_equal(ours["key"], theirs["key"])
    assert ours["pos"] == theirs["pos"]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "poisson"])
def test_going_on_gives_the_bits_of_an_uninterrupted_fit(kind, settings, monkeypatch, tmp_path):
    X, y = problem(kind)
    whole = quietly(model_of(kind, **SETTINGS[settings]).fit, X, y)
    path = tmp_path / "run"
    for interval, epochs in ((1, (1, 3)), (2, (3,)), (3, (4, 2))):
        parameters = {"checkpoint": path, "checkpoint_interval": interval, **SETTINGS[settings]}
        for count in epochs:
            cut_off(monkeypatch, count, model_of(kind, **parameters).fit, X, y)
        resumed = quietly(model_of(kind, **parameters).fit, X, y)
        assert_same_bits(resumed, whole)
        for model in (whole, resumed):  # and they go on alike
            model = copy.deepcopy(model)
            if not model.early_stopping:
                model.partial_fit(X, y)
        path.unlink()
        (tmp_path / "run.previous").unlink()


def test_the_file_has_the_parameters_and_their_average(tmp_path):
    path, model = saved(tmp_path, average=0.9, solver="rmsprop")
    arrays = file_format.read(str(path))[1]
    average = arrays["solver.vectors.average"]
    fitted = [*model.coefs_, *model.intercepts_]
    np.testing.assert_array_equal(average, np.concatenate([a.ravel() for a in fitted]))
    assert (arrays["parameters.0.weights"] != model.coefs_[0]).any()
    np.testing.assert_array_equal(arrays["parameters.0.weights"], model._optimizer.parameters[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("solver.vectors.average"),
        lambda arrays: arrays["solver.vectors.average"].fill(np.inf),
        lambda arrays: arrays.update({"solver.vectors.average": np.zeros(3)}),
    ],
)
def test_an_average_that_no_run_has_is_refused(change, tmp_path):
    path, model = saved(tmp_path, average=0.9)
    (tmp_path / "run.previous").unlink()
    rewritten(path, lambda meta, arrays: change(arrays))
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        clone(model).fit(*problem("multiclass"))


def test_parameters_that_a_file_does_not_name_have_their_defaults(monkeypatch, tmp_path):
    """It was written before they came."""
    path, whole = saved(tmp_path)
    rewritten(path, lambda meta, arrays: meta["identity"].pop("clip_norm"))
    assert_same_bits(quietly(clone(whole).fit, *problem("multiclass")), whole)
    with pytest.raises(ValueError, match="is of another run: clip_norm differ"):
        clone(whole).set_params(clip_norm=1.0).fit(*problem("multiclass"))


@pytest.mark.parametrize("options", [
    {"loss": "quantile", "quantile": [0.1, 0.9]}, {"loss": "huber", "huber_delta": 0.3},
    {"output_activation": "tanh", "loss": "log_cosh"},
])  # fmt: skip
def test_other_losses(options, monkeypatch, tmp_path):
    X, y = problem("regression")
    whole = quietly(model_of("regression", **options).fit, X, y)
    path = tmp_path / "run"
    model = model_of("regression", checkpoint=path, checkpoint_interval=1, **options)
    cut_off(monkeypatch, 4, model.fit, X, y)
    assert_same_bits(quietly(clone(model).fit, X, y), whole)
    with pytest.raises(ValueError, match="loss"):
        clone(model).set_params(loss="absolute_error").fit(X, y)


@pytest.mark.parametrize("form", ["float32", "sparse", "fortran", "weighted"])
def test_other_inputs(form, monkeypatch, tmp_path):
    X, y = problem("regression")
    X = {
        "float32": X.astype(np.float32), "sparse": sp.csr_array(X),
        "fortran": np.asfortranarray(X), "weighted": X,
    }[form]  # fmt: skip
    weight = np.arange(len(y)) % 3.0 if form == "weighted" else None
    whole = quietly(model_of("regression").fit, X, y, weight)
    model = model_of("regression", checkpoint=str(tmp_path / "run"), checkpoint_interval=1)
    cut_off(monkeypatch, 4, model.fit, X, y, weight)
    assert_same_bits(quietly(clone(model).fit, X, y, weight), whole)


@pytest.mark.parametrize("seed", [None, "instance"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_without_a_seed_the_file_has_the_random_state(seed, early_stopping, monkeypatch, tmp_path):
    """Cut off and gone on from, a run equals the same run not cut off, whatever the seed."""
    X, y = problem("multiclass")

    def parameters(name):
        return {
            "random_state": None if seed is None else np.random.RandomState(3),
            "checkpoint": tmp_path / name, "checkpoint_interval": 1,
            "early_stopping": early_stopping,
        }  # fmt: skip

    np.random.seed(3)
    whole = quietly(model_of("multiclass", **parameters("whole")).fit, X, y)
    whole = pickle.loads(pickle.dumps(whole))  # with a copy of the global generator
    np.random.seed(3)
    cut_off(monkeypatch, 4, model_of("multiclass", **parameters("cut")).fit, X, y)
    np.random.seed(12345)
    before = np.random.get_state()[1].copy()
    again = parameters("cut")
    if seed == "instance":
        again["random_state"] = np.random.RandomState(99)
    resumed = quietly(model_of("multiclass", **again).fit, X, y)
    assert_same_bits(resumed, whole)
    if seed == "instance":
        np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_a_finished_run_is_not_trained_again(monkeypatch, tmp_path):
    X, y = problem("regression")
    model = model_of("regression", checkpoint=tmp_path / "run", tol=10.0, n_iter_no_change=2)
    quietly(model.fit, X, y)
    assert model.n_iter_ < model.max_iter
    from nnjit.training import loop

    monkeypatch.setattr(loop, "train_epoch", None)
    assert_same_bits(clone(model).fit(X, y), model)


def test_more_epochs_than_before(tmp_path):
    X, y = problem("regression")
    model = model_of("regression", checkpoint=tmp_path / "run", max_iter=4)
    quietly(model.fit, X, y)
    longer = quietly(clone(model).set_params(max_iter=9).fit, X, y)
    assert_same_bits(longer, quietly(model_of("regression").fit, X, y))


def test_warm_start_from_the_same_weights(monkeypatch, tmp_path):
    X, y = problem("regression")
    first = quietly(model_of("regression", warm_start=True).fit, X, y)
    whole = quietly(pickle.loads(pickle.dumps(first)).fit, X, y)
    parameters = {"checkpoint": tmp_path / "run", "checkpoint_interval": 1}
    model = pickle.loads(pickle.dumps(first)).set_params(**parameters)
    cut_off(monkeypatch, 4, model.fit, X, y)
    assert_same_bits(quietly(model.fit, X, y), whole)
    with pytest.raises(ValueError, match="the starting weights differ"):
        model.fit(X, y)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"alpha": 0.5}, "alpha"),
        ({"random_state": 1}, "random_state"),
        ({"hidden_layer_sizes": (7,)}, "hidden_layer_sizes, the layers"),
        ({"solver": "sgd"}, "solver"),
        ("row", "the data"),
        ("target", "the data"),
        ("weight", "the data"),
        ("dtype", "the data, the layers"),
    ],
)
def test_another_run_is_refused_and_named(change, named, tmp_path):
    X, y = problem("regression")
    path = tmp_path / "run"
    model = quietly(model_of("regression", checkpoint=path).fit, X, y)
    before = path.read_bytes()
    other, weight = clone(model), None
    if isinstance(change, dict):
        other.set_params(**change)
    X, y = X.copy(), y.copy()
    if change == "row":
        X[3, 0] = np.nextafter(X[3, 0], 9.0)
    if change == "target":
        y[3] += 1
    if change == "weight":
        weight = np.ones(len(y))
    if change == "dtype":
        X = X.astype(np.float32)
    with pytest.raises(ValueError, match=f"is of another run: {named} differ"):
        other.fit(X, y, weight)
    assert not hasattr(other, "coefs_")
    assert path.read_bytes() == before


def test_solvers_and_methods_without_checkpoints(tmp_path):
    X, y = problem("regression")
    with pytest.raises(ValueError, match="checkpoint needs a stochastic solver"):
        model_of("regression", solver="lbfgs", checkpoint=tmp_path / "run").fit(X, y)
    model_of("regression", checkpoint=tmp_path / "run").partial_fit(X, y)
    assert not list(tmp_path.iterdir())
    for bad in ({"checkpoint": 3}, {"checkpoint_interval": -1}, {"checkpoint_interval": "1 s"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            model_of("regression", **bad).fit(X, y)


def test_interval_in_epochs_and_in_seconds(monkeypatch, tmp_path):
    X, y = problem("regression")
    written, now = [], [0.0]
    write = file_format.write
    monkeypatch.setattr(
        file_format, "write", lambda p, m, a: (written.append(m["epoch"]), write(p, m, a))
    )
    monkeypatch.setattr(file_format.time, "monotonic", lambda: now[0])
    loop_end = file_format.Checkpoint.after_epoch

    def a_second_per_epoch(self, *args):
        now[0] += 1.0
        loop_end(self, *args)

    monkeypatch.setattr(file_format.Checkpoint, "after_epoch", a_second_per_epoch)
    for interval, expected in ((4, [4, 8, 9]), (2.5, [3, 6, 9]), (1, [*range(1, 10)]), (99, [9])):
        written.clear()
        path = tmp_path / str(interval)
        quietly(model_of("regression", checkpoint=path, checkpoint_interval=interval).fit, X, y)
        assert written == expected


# The file


def saved(tmp_path, **parameters):
    """(path, model) of a finished run of nine checkpoints."""
    X, y = problem("multiclass")
    path = tmp_path / "run"
    model = model_of("multiclass", checkpoint=path, checkpoint_interval=1, **parameters)
    return path, quietly(model.fit, X, y)


@pytest.mark.parametrize("how", ["half", "a byte less", "empty", "one bit", "nonsense", "missing"])
def test_a_damaged_file_is_refused_and_the_one_before_used(how, tmp_path):
    path, whole = saved(tmp_path)
    content = bytearray(path.read_bytes())
    if how == "one bit":
        content[len(content) // 2] ^= 4
    path.write_bytes(
        {"half": content[: len(content) // 2], "a byte less": content[:-1], "empty": b"",
         "nonsense": b"\x00" * 1000}.get(how, content)
    )  # fmt: skip
    if how == "missing":  # killed between the two renamings
        path.unlink()
    X, y = problem("multiclass")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        resumed = clone(whole).fit(X, y)
    assert_same_bits(resumed, whole)
    damaged = ["checkpoint is damaged" in str(w.message) for w in caught]
    assert sum(damaged) == (how != "missing")


def test_two_damaged_files_are_an_error_that_says_what_to_do(tmp_path):
    path, whole = saved(tmp_path)
    path.write_bytes(b"")
    (tmp_path / "run.previous").write_bytes(b"")
    X, y = problem("multiclass")
    with pytest.raises(ValueError, match="Remove the file to train from the start"):
        clone(whole).fit(X, y)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_no_code_runs_when_a_strangers_file_is_opened(tmp_path, monkeypatch):
    """A pickle, and an archive with a pickle in it, are refused unopened."""
    monkeypatch.chdir(tmp_path)
    path, whole = saved(tmp_path)
    (tmp_path / "run.previous").unlink()
    meta, arrays = file_format.read(path)
    archive = {**arrays, "parameters.0.weights": np.array([Bomb()], dtype=object)}
    X, y = problem("multiclass")
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        clone(whole).fit(X, y)
    np.savez(tmp_path / "evil.npz", meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
             **archive)  # fmt: skip
    os.replace(tmp_path / "evil.npz", path)
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        clone(whole).fit(X, y)
    assert not (tmp_path / "exploded").exists()


def test_contents_are_arrays_and_json(tmp_path):
    path, model = saved(tmp_path, early_stopping=True)
    with np.load(path, allow_pickle=False) as archive:
        meta = json.loads(bytes(archive["meta"]))
        assert all(archive[name].dtype.kind in "fiu" for name in archive.files)
        np.testing.assert_array_equal(archive["loss_curve"], model.loss_curve_)
        np.testing.assert_array_equal(archive["scores"], model.validation_scores_)
    assert meta["format"] == file_format.FORMAT
    assert meta["epoch"] == 9


def test_another_format_is_refused_by_name(tmp_path, monkeypatch):
    path, model = saved(tmp_path)
    meta, arrays = file_format.read(path)
    with monkeypatch.context() as patch:
        patch.setattr(file_format, "FORMAT", 99)
        patch.setattr(file_format, "__version__", "77.0")
        file_format.write(str(path), meta, arrays)
    X, y = problem("multiclass")
    with pytest.raises(ValueError, match=r"format 99, written by nnjit 77\.0; this is nnjit"):
        clone(model).fit(X, y)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path, model = saved(tmp_path)
    before = path.read_bytes()
    meta, arrays = file_format.read(path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_format.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file_format.write(str(path), meta, arrays)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "run.previous"]


@pytest.mark.parametrize("call", [1, 3])
def test_ctrl_c_while_an_archive_is_made_ends_the_fit(call, tmp_path, monkeypatch, heard):
    """In the middle of an archive zipfile makes a ValueError of it."""
    written, open_entry = [], zipfile.ZipFile.open

    def interrupted(archive, name, mode="r", **options):
        entry = open_entry(archive, name, mode, **options)
        if mode == "w" and getattr(name, "filename", name).startswith("order"):
            written.append(name)
            if len(written) == call:
                signal.raise_signal(signal.SIGINT)
        return entry

    X, y = problem("binary")
    path = tmp_path / "run"
    model = model_of("binary", checkpoint=path, checkpoint_interval=1, max_iter=20)
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", interrupted)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = clone(model).fit(X, y)
    assert [str(one.message) for one in caught] == ["Training interrupted by user."]
    assert (found.n_iter_, len(found.loss_curve_)) == (call, call)
    expected = quietly(clone(model).set_params(checkpoint=None).fit, X, y)
    assert_same_bits(quietly(clone(model).fit, X, y), expected)


# Values that no run has, in files whose digest is right


def rewritten(path, change):
    """Write a file anew after a change of (meta, arrays)."""
    meta, arrays = file_format.read(str(path))
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(meta, arrays)
    meta = {**meta, "format": file_format.FORMAT, "nnjit": "0"}
    meta["digest"] = file_format._digest(meta, arrays)
    stream = io.BytesIO()
    np.savez(stream, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    path.write_bytes(stream.getvalue())


def value(name, new):
    """A change of one value of the JSON, under a dotted name."""

    def change(meta, arrays):
        *path, last = name.split(".")
        for part in path:
            meta = meta[part]
        meta[last] = new(meta[last]) if callable(new) else new

    return change


def array(name, new):
    """A change of one array."""

    def change(meta, arrays):
        arrays[name] = np.asarray(new(arrays[name]))

    return change


def element(name, at, number):
    def change(meta, arrays):
        arrays[name].flat[at] = number

    return change


def missing(name):
    def change(meta, arrays):
        del (arrays if name in arrays else meta)[name]

    return change


def generator(name, state, **changes):
    """The state of another generator, with changes."""

    def change(meta, arrays):
        tree = np.random.RandomState(getattr(np.random, name)(0)).get_state(legacy=False)
        tree.update(changes)
        tree["state"].update(state)
        meta["rng"], found = file_format.split_tree(tree, "rng.")
        arrays.update(found)

    return change


HUGE = 10**400
HOSTILE = {
    "order too large": array("order", lambda a: a + 10**9),
    "order negative": array("order", lambda a: a - 10**7),
    "one row of order": element("order", 3, 10**6),
    "a row twice": array("order", lambda a: np.full_like(a, a[0])),
    "order too short": array("order", lambda a: a[:-1]),
    "order empty": array("order", lambda a: a[:0]),
    "order in two dimensions": array("order", lambda a: a[None]),
    "order of reals": array("order", lambda a: a.astype(float)),
    "order missing": missing("order"),
    "training rows too large": element("training_rows", 0, 10**9),
    "validation rows negative": element("validation_rows", 0, -1),
    "validation rows of the training": array("validation_rows", lambda a: a[:1].repeat(len(a))),
    "no validation rows": array("validation_rows", lambda a: a[:0]),
    "generator named test": value("rng.bit_generator", "test"),
    "generator named seed": value("rng.bit_generator", "seed"),
    "generator a number": value("rng.bit_generator", 1),
    "generator missing": missing("rng"),
    "position behind the key": value("rng.state.pos", 10**6),
    "position before the key": value("rng.state.pos", -1),
    "position a real": value("rng.state.pos", 3.0),
    "key of zeros": array("rng.state.key", np.zeros_like),
    "key too short": array("rng.state.key", lambda a: a[:3]),
    "key of wide integers": array("rng.state.key", lambda a: a.astype(np.uint64)),
    "gauss infinite": value("rng.gauss", float("inf")),
    "gauss twice": value("rng.has_gauss", 2),
    "even increment": generator("PCG64", {"inc": 2}),
    "state of 129 bits": generator("PCG64DXSM", {"state": 2**128}),
    "half a word too large": generator("SFC64", {}, uinteger=2**32),
    "position behind the buffer": generator("Philox", {}, buffer_pos=10**6),
    "weights not finite": element("parameters.0.weights", 0, np.nan),
    "biases not finite": element("parameters.1.biases", 0, -np.inf),
    "weights transposed": array("parameters.0.weights", lambda a: a.T),
    "weights of another dtype": array("parameters.1.weights", lambda a: a.astype(np.float32)),
    "weights of text": array("parameters.1.weights", lambda a: a.astype("U3")),
    "weights missing": missing("parameters.0.biases"),
    "best weights not finite": element("best_parameters.1.weights", 0, np.inf),
    "best weights too few": array("best_parameters.0.biases", lambda a: a[:-1]),
    "best weights complex": array("best_parameters.0.weights", lambda a: a.astype(complex)),
    "powers of another step": element("solver.powers", 0, 0.9),
    "powers of one": element("solver.powers", 0, 1.0),
    "powers negative": element("solver.powers", 1, -0.5),
    "powers too few": array("solver.powers", lambda a: a[:1]),
    "another network": value("network.layers", lambda layers: layers[1:]),
    "another loss": value("network.loss", "poisson"),
    "no network": missing("network"),
    "a network of text": value("network", "dense"),
    "moments not finite": element("solver.vectors.first_moment", 0, np.nan),
    "squares negative": element("solver.vectors.second_moment", 0, -1.0),
    "moments too many": array("solver.vectors.first_moment", lambda a: np.r_[a, a]),
    "no moments": array("solver.vectors.second_moment", lambda a: a[:0]),
    "learning rate a vector": array("solver.learning_rate", lambda a: [a, a]),
    "learning rate too large": value("rate", 1e3),
    "learning rate not a number": value("rate", float("nan")),
    "learning rate of no schedule": value("rate", lambda rate: rate * 0.9),
    "steps negative": value("steps", -1),
    "steps huge": value("steps", HUGE),
    "a step more": lambda meta, arrays: (
        value("steps", meta["steps"] + 1)(meta, arrays),
        element("solver.powers", 0, 0.9 ** meta["steps"])(meta, arrays),
        element("solver.powers", 1, 0.999 ** meta["steps"])(meta, arrays),
    ),
    "epoch zero": value("epoch", 0),
    "epoch true": value("epoch", True),
    "epoch huge": value("epoch", HUGE),
    "epoch a text": value("epoch", "9"),
    "another epoch": value("epoch", 8),
    "samples of another epoch": value("samples_seen", lambda n: n + 1),
    "samples huge": value("samples_seen", HUGE),
    "loss not a number": value("loss", float("nan")),
    "loss of no epoch": value("loss", -1.0),
    "losses not a number": element("loss_curve", -1, np.nan),
    "losses too few": array("loss_curve", lambda a: a[1:]),
    "losses of text": array("loss_curve", lambda a: a.astype(str)),
    "scores too many": array("scores", lambda a: np.r_[a, 1.0]),
    "best not a number": value("best", float("nan")),
    "best infinite": value("best", float("inf")),
    "best a worse one": value("best", -1e9),
    "best missing": missing("best"),
    "count negative": value("count", -1),
    "count huge": value("count", HUGE),
    "converged against the count": value("converged", True),
    "converged a number": value("converged", 0),
    "skipped batches without weights": value("skipped_batches", 1),
    "skipped batches negative": value("skipped_batches", -1),
    "identity a list": value("identity", []),
    "identity of numbers": value("identity.alpha", 1),
    "no identity": missing("identity"),
    "deep JSON": value("loss", json.loads("[" * 500 + "]" * 500)),
}


@pytest.fixture(scope="module")
def stopped_early(tmp_path_factory):
    """(path, model, bytes of both files) of a run with every kind of value in its file."""
    folder = tmp_path_factory.mktemp("sound")
    path, model = saved(folder, early_stopping=True, validation_fraction=0.3, batch_size=20)
    return path, model, path.read_bytes(), (folder / "run.previous").read_bytes()


@pytest.mark.parametrize("change", HOSTILE)
def test_every_value_is_checked_before_it_is_used(change, stopped_early):
    path, whole, newest, before = stopped_early
    X, y = problem("multiclass")
    older = path.with_name("run.previous")
    path.write_bytes(newest)
    older.write_bytes(before)
    rewritten(path, HOSTILE[change])
    refused = path.read_bytes()
    with pytest.warns(UserWarning, match=r"checkpoint is damaged .* goes on from the one before"):
        resumed = quietly(clone(whole).fit, X, y)
    assert_same_bits(resumed, whole)
    path.write_bytes(refused)
    older.write_bytes(refused)
    model = clone(whole)
    parameters = dict(vars(model))
    with pytest.raises(ValueError, match="No checkpoint can be read .*Remove the file") as error:
        model.fit(X, y)
    assert vars(model) == parameters
    assert len(str(error.value)) < 1000 and str(error.value).isprintable()


def test_a_negative_variance_is_refused(tmp_path):
    path, model = saved(tmp_path, normalization="batch")
    (tmp_path / "run.previous").unlink()
    rewritten(path, element("parameters.1.variance", 0, -1.0))
    with pytest.raises(ValueError, match="No checkpoint can be read .*variance is negative"):
        clone(model).fit(*problem("multiclass"))


def test_a_generator_is_looked_up_by_no_strangers_name(tmp_path, monkeypatch):
    """numpy.random has functions too: test() would start a test run."""
    path, whole = saved(tmp_path)
    called = []
    for name in ("test", "seed", "rand", "get_state"):
        with monkeypatch.context() as patch:
            patch.setattr(np.random, name, lambda *args, name=name: called.append(name))
            rewritten(path, value("rng.bit_generator", name))
            (tmp_path / "run.previous").unlink(missing_ok=True)
            X, y = problem("multiclass")
            with pytest.raises(ValueError, match=f"there is no generator {name}"):
                clone(whole).fit(X, y)
    assert called == []


@pytest.mark.parametrize("name", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_every_generator_of_numpy_goes_on(name, monkeypatch, tmp_path):
    X, y = problem("regression")

    def model(**parameters):
        bits = getattr(np.random, name)(7)
        rng = np.random.RandomState(bits)
        rng.standard_normal(3)
        return model_of("regression", random_state=rng, **parameters)

    whole = quietly(model().fit, X, y)
    parameters = {"checkpoint": tmp_path / "run", "checkpoint_interval": 1}
    cut_off(monkeypatch, 4, model(**parameters).fit, X, y)
    resumed = quietly(model(**parameters).fit, X, y)
    assert resumed.loss_curve_ == whole.loss_curve_
    states = [m._random_state.get_state(legacy=False) for m in (whole, resumed)]
    assert repr(states[0]) == repr(states[1])


def test_a_generator_that_no_file_could_hold_is_refused_at_once(tmp_path):
    class Strange(np.random.MT19937):
        pass

    X, y = problem("regression")
    model = model_of("regression", random_state=np.random.RandomState(Strange(0)))
    quietly(model.fit, X, y)
    model.set_params(checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match=r"needs one of NumPy's generators .* has Strange"):
        model.fit(X, y)


def test_a_warm_start_may_have_a_history_of_its_own(monkeypatch, tmp_path):
    """Losses and scores of earlier runs are in the file, a NaN of one that diverged too."""
    X, y = problem("regression")
    first = model_of("regression", warm_start=True, early_stopping=True, validation_fraction=0.3)
    quietly(first.fit, X, y)
    first.loss_curve_[-1] = first.validation_scores_[-1] = float("nan")
    whole = quietly(pickle.loads(pickle.dumps(first)).fit, X, y)
    assert len(whole.loss_curve_) == 18
    parameters = {"checkpoint": tmp_path / "run", "checkpoint_interval": 1}
    model = pickle.loads(pickle.dumps(first)).set_params(**parameters)
    cut_off(monkeypatch, 4, model.fit, X, y)
    resumed = quietly(model.fit, X, y)
    np.testing.assert_array_equal(resumed.loss_curve_, whole.loss_curve_)
    np.testing.assert_array_equal(resumed.validation_scores_, whole.validation_scores_)
    for a, b in zip(resumed.coefs_, whole.coefs_):
        np.testing.assert_array_equal(a, b)


def test_validation_rows_without_weight_are_refused(tmp_path):
    """They could not be scored."""
    X, y = problem("regression")
    weight = np.ones(len(y))
    weight[:10] = 0.0
    model = model_of("regression", early_stopping=True, checkpoint=tmp_path / "run")
    quietly(model.fit, X, y, weight)

    def weightless(meta, arrays):
        arrays["validation_rows"] = np.arange(10)
        arrays["training_rows"] = arrays["order"] = np.arange(10, len(y))
        meta["samples_seen"] = 9 * (len(y) - 10)

    rewritten(tmp_path / "run", weightless)
    with pytest.raises(ValueError, match="validation_rows have no weight"):
        clone(model).fit(X, y, weight)


@pytest.mark.parametrize(
    ("training", "validation", "sound"),
    [
        ([0, 1, 2], [3, 4, 5], True),
        ([1, 2], [3, 4, 5], True),  # row 0 has no weight
        ([0, 1, 2], [4, 5], False),
        ([2], [3, 4, 5], False),
        ([1, 2, 2], [3, 4, 5], False),
        ([1, 2], [3, 4, 5, 6], False),
        ([1, 2, 3, 4], [5], False),
        ([], [0, 1, 2, 3, 4, 5], False),
    ],
)
def test_a_division_of_the_rows_may_leave_out_those_without_weight(training, validation, sound):
    terms = types.SimpleNamespace(
        held_out=True,
        n_samples=6,
        sample_weight=np.array([0.0, 1, 1, 1, 1, 1]),
        in_blocks=False,
    )
    arrays = {
        "training_rows": np.array(training, np.int64),
        "validation_rows": np.array(validation, np.int64),
    }
    values = snapshot.Values({}, arrays)
    if sound:
        found = snapshot._rows(values, terms)
        assert [rows.tolist() for rows in found] == [training, validation]
    else:
        with pytest.raises(OSError, match="rows"):
            snapshot._rows(values, terms)


@pytest.mark.parametrize("how", ["big-endian", "Fortran order", "int32 rows"])
def test_files_of_other_machines_go_on(how, tmp_path):
    path, whole = saved(tmp_path, early_stopping=True)

    def change(meta, arrays):
        for name, content in arrays.items():
            if how == "big-endian":
                arrays[name] = content.astype(content.dtype.newbyteorder(">"))
            elif how == "Fortran order":
                arrays[name] = content.copy("F")
            elif content.dtype == np.int64:
                arrays[name] = content.astype(np.int32)

    rewritten(path, change)
    X, y = problem("multiclass")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        warnings.filterwarnings("error", message="The checkpoint")
        resumed = clone(whole).set_params(checkpoint_interval=99).fit(X, y)
    assert_same_bits(resumed, whole)
    for a in (*resumed.coefs_, *resumed.intercepts_):
        assert a.dtype.isnative and a.flags.writeable and a.flags.aligned


# Archives that claim what is not so


def rezipped(path, change=None, method=zipfile.ZIP_STORED):
    """Write the entries of a file into a new archive, each changed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w", method) as new:
        for name in old.namelist():
            content = old.read(name)
            with new.open(name, "w", force_zip64=True) as entry:
                entry.write(content if change is None else change(name, content))
    path.write_bytes(stream.getvalue())


def claiming(number):
    def change(name, content):
        if name != "order.npy":
            return content
        return re.sub(rb"\(\d+,\), \} *\n", b"(%d,), }\n" % number, content).replace(
            b"v\x00", b"%c\x00" % content[:128].index(b"\n", 10), 1
        )

    return change


def header_byte(signature, offset, new):
    def change(path):
        content = bytearray(path.read_bytes())
        content[content.index(signature) + offset] = new
        path.write_bytes(content)

    return change


ARCHIVES = {
    "encrypted": header_byte(b"PK\x01\x02", 8, 1),
    "encrypted entry": header_byte(b"PK\x03\x04", 6, 1),
    "of a later version": header_byte(b"PK\x01\x02", 6, 99),
    "another method": header_byte(b"PK\x03\x04", 8, 97),
    "of a large shape": lambda path: rezipped(path, claiming(10**13)),
    "of a shape without end": lambda path: rezipped(path, claiming(10**30)),
    "deflated": lambda path: rezipped(path, method=zipfile.ZIP_DEFLATED),
    "bzip2": lambda path: rezipped(path, method=zipfile.ZIP_BZIP2),
    "a bomb": lambda path: rezipped(
        path,
        lambda name, content: bytes(50_000_000) if name == "order.npy" else content,
        zipfile.ZIP_DEFLATED,
    ),
    "a large file": lambda path: os.truncate(path, 2**40),
    "many entries": lambda path: rezipped_many(path),
}


def rezipped_many(path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for i in range(20_000):
            archive.writestr(f"{i}.npy", b"")
    path.write_bytes(stream.getvalue())


@pytest.mark.parametrize("how", ARCHIVES)
def test_what_an_archive_claims_is_not_believed(how, tmp_path):
    """The file before it is used, and no memory taken that the file does not have."""
    path, whole = saved(tmp_path)
    before = path.with_name("run.previous").read_bytes()
    ARCHIVES[how](path)
    X, y = problem("multiclass")
    model = clone(whole)
    tracemalloc.start()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert_same_bits(model, whole)
    if "version" not in how and how != "encrypted":  # of the directory, which nobody needs
        assert any("checkpoint is damaged" in str(w.message) for w in caught)
        assert path.with_name("run.previous").read_bytes() == before
    assert peak < 20_000_000


def test_an_object_array_is_refused_by_its_header(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, whole = saved(tmp_path)
    (tmp_path / "run.previous").unlink()
    content = pickle.dumps(Bomb())
    np.savez(tmp_path / "evil.npz", meta=np.array([content]), order=[Bomb()])
    os.replace(tmp_path / "evil.npz", path)
    X, y = problem("multiclass")
    with pytest.raises(ValueError, match="meta is not an array of numbers"):
        clone(whole).fit(X, y)
    assert not (tmp_path / "exploded").exists()


# What can stand at a path


@pytest.mark.parametrize("place", ["run", "run.previous"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_a_path_that_can_be_no_file_is_refused_before_training(kind, place, tmp_path):
    path = tmp_path / place
    if kind == "folder":
        path.mkdir()
    elif not hasattr(os, "mkfifo"):
        pytest.skip("there are none here")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(os.devnull)
    X, y = problem("regression")
    model = model_of("regression", checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match=f"{place}' is a folder or a device"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
    assert [p.name for p in tmp_path.iterdir()] == [place]


def test_a_folder_that_is_not_there_is_said_before_training(tmp_path):
    X, y = problem("regression")
    model = model_of("regression", checkpoint=tmp_path / "none" / "run")
    with pytest.raises(ValueError, match="cannot be written: there is no folder"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")


def test_a_pipe_is_not_waited_for(tmp_path):
    """Neither where it takes a file's place later."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are none here")
    os.mkfifo(tmp_path / "run")
    with pytest.raises(OSError, match="not a file"):
        file_format.read(str(tmp_path / "run"))


def test_a_link_is_read_and_replaced_and_its_target_left_alone(tmp_path):
    path, whole = saved(tmp_path)
    target = tmp_path / "elsewhere"
    os.replace(path, target)
    content = target.read_bytes()
    path.symlink_to(target)
    X, y = problem("multiclass")
    longer = quietly(clone(whole).set_params(max_iter=11).fit, X, y)
    assert longer.n_iter_ == 11
    assert target.read_bytes() == content
    assert not path.is_symlink()
    path.unlink()
    path.symlink_to(tmp_path / "nothing")  # leads nowhere: there is no file yet
    (tmp_path / "run.previous").unlink()
    quietly(clone(whole).fit, X, y)
    assert not path.is_symlink() and not (tmp_path / "nothing").exists()


def test_a_link_planted_for_the_temporary_file_is_not_written_through(tmp_path, monkeypatch):
    path, _ = saved(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("theirs")
    monkeypatch.setattr(file_format.secrets, "token_hex", lambda n: "guessed")
    (tmp_path / f"run.{os.getpid()}.guessed.tmp").symlink_to(victim)
    meta, arrays = file_format.read(str(path))
    with pytest.raises(FileExistsError):
        file_format.write(str(path), meta, arrays)
    assert victim.read_text() == "theirs"


def test_writers_at_the_same_time_leave_whole_files(tmp_path):
    path, _ = saved(tmp_path)
    contents, errors = file_format.read(str(path)), []

    def write():
        try:
            for _ in range(30):
                file_format.write(str(path), *contents)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "run.previous"]
    for name in ("run", "run.previous"):
        assert file_format.read(str(tmp_path / name))[0] == contents[0]


def test_a_damaged_file_never_takes_the_place_of_the_sound_one(tmp_path, monkeypatch):
    """Cut off in the middle of the first write after a damage, the sound file is still there."""
    path, whole = saved(tmp_path)
    path.write_bytes(b"damaged")
    before = path.with_name("run.previous").read_bytes()
    X, y = problem("multiclass")
    replace = os.replace

    def cut(source, target):
        if os.fspath(target) == os.fspath(path):
            raise CutOffError
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(file_format.os, "replace", cut)
        with pytest.raises(CutOffError), pytest.warns(UserWarning, match="is damaged"):
            quietly(clone(whole).fit, X, y)
    assert path.with_name("run.previous").read_bytes() == before
    assert_same_bits(quietly(clone(whole).fit, X, y), whole)


def test_a_network_that_has_diverged_is_not_written(tmp_path):
    """The update after a finite loss overflows: the last good file is the one to keep."""
    X, y = problem("regression")
    model = model_of(
        "regression", solver="sgd", learning_rate_init=1e308, batch_size=len(y), max_iter=1,
        checkpoint=tmp_path / "run",
    )  # fmt: skip
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        quietly(model.fit, X, 1e6 * y)
    assert not list(tmp_path.iterdir())


# kill -9

KILLED = """
import sys, warnings
import numpy as np
from nnjit import MLPClassifier
warnings.simplefilter("ignore")

rng = np.random.RandomState(0)
X = rng.standard_normal((400, 20))
y = (X[:, 0] * X[:, 1] > 0).astype(int)
model = MLPClassifier(
    (50,), max_iter=int(sys.argv[2]), n_iter_no_change=10**6, tol=0.0, random_state=0,
    early_stopping=True, checkpoint=sys.argv[1] or None, checkpoint_interval=3,
)
print("begins", flush=True)
model.fit(X, y)
parts = [*model.coefs_, *model.intercepts_, model.loss_curve_, model.validation_scores_]
import hashlib
print(hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in parts)).hexdigest())
"""

# One process that forks a child per attempt, with everything loaded: that takes longer than the
# runs themselves.
KILLER = """
import os, random, signal, sys, time
import numpy as np
from nnjit import MLPClassifier
from nnjit.training import checkpoint as file_format
from nnjit.training import snapshot

MLPClassifier(max_iter=1).fit(np.random.rand(20, 20), np.arange(20) % 2)
path, kills = sys.argv[1], int(sys.argv[3])
program = sys.argv[4]
random.seed(0)
killed, epoch = 0, 0
while killed < kills:
    pid = os.fork()
    if pid == 0:
        sys.argv = ["", path, sys.argv[2]]
        signal.alarm(60)
        exec(program, {})
        os._exit(0)
    time.sleep(random.uniform(0.05, 0.5))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "it had ended"
    killed += 1
    if os.path.exists(path):
        newest = file_format.read(path)[0]["epoch"]  # whole, whenever it was
    elif os.path.exists(path + ".previous"):
        newest = file_format.read(path + ".previous")[0]["epoch"]
    else:
        newest = 0
    assert newest >= epoch, "a checkpoint was lost"
    epoch = newest
print(epoch)
"""


@jit_only
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_fifty_times(tmp_path):
    """kill -9 at random moments: a sound file each time, and in the end the same bits."""
    from fresh_python import run_python

    path = tmp_path / "run"
    run_python(KILLED, "", 1)  # everything is compiled
    epoch = int(run_python(KILLER, path, 10**7, 50, KILLED, limit=300).split()[-1])
    assert epoch > 50
    assert {p.name.split(".")[1:2] == ["previous"] or p.name == "run" or p.suffix == ".tmp"
            for p in tmp_path.iterdir()} == {True}  # fmt: skip
    resumed = run_python(KILLED, path, epoch + 20)
    assert resumed == run_python(KILLED, "", epoch + 20)


# Curves that are in a file where there is something to record


@pytest.mark.parametrize(
    "change",
    [
        array("rates", lambda a: a[:-1]),
        array("rates", lambda a: a.astype(np.float32)),
        missing("validation_losses"),
        array("validation_losses", lambda a: a[None]),
        array("scores", lambda a: np.append(a, 0.0)),
        missing("scores"),
        value("rate", 0.002),
        value("steps", lambda n: n - 1),
    ],
)
def test_curves_that_no_run_has_are_refused(change, tmp_path):
    X, y = problem("multiclass")
    model = model_of("multiclass", checkpoint=tmp_path / "run", learning_rate="cosine", warmup=3)
    quietly(model.fit, X, y, X_val=X[:9], y_val=y[:9])
    rewritten(tmp_path / "run", change)
    with pytest.raises(ValueError, match="No checkpoint can be read"):
        clone(model).fit(X, y, X_val=X[:9], y_val=y[:9])


def test_a_file_from_before_rates_were_recorded_is_gone_on_from(monkeypatch, tmp_path):
    X, y = problem("multiclass")
    settings = {**SETTINGS["adaptive"], "checkpoint": tmp_path / "run", "checkpoint_interval": 1}
    cut_off(monkeypatch, 4, model_of("multiclass", **settings).fit, X, y)

    def older(meta, arrays):
        del arrays["rates"]
        for name in ("warmup", "scoring", "restore_best", "learning_rate_decay"):
            del meta["identity"][name]

    rewritten(tmp_path / "run", older)
    (tmp_path / "run.previous").unlink()
    resumed = quietly(model_of("multiclass", **settings).fit, X, y)
    whole = quietly(model_of("multiclass", **SETTINGS["adaptive"]).fit, X, y)
    np.testing.assert_array_equal(resumed.coefs_[0], whole.coefs_[0])
    assert np.isnan(resumed.learning_rate_curve_[:4]).all()
    assert resumed.learning_rate_curve_[4:] == whole.learning_rate_curve_[4:]
