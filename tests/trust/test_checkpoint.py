"""Checkpoints: cut off at any moment, a fit goes on to the same bits."""

import json
import os
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from fresh_python import jit_only
from problems import problem, quietly
from sklearn.base import clone

from nnjit import MLPClassifier, MLPRegressor
from nnjit.training import checkpoint as file_format

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
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    for name in (
        "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_",
        "n_iter_", "t_", "n_skipped_batches_", "_no_improvement_count", "_converged",
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
            model = pickle.loads(pickle.dumps(model))
            if not model.early_stopping:
                model.partial_fit(X, y)
        path.unlink()
        (tmp_path / "run.previous").unlink()


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
    with pytest.raises(ValueError, match="checkpoint needs solver"):
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
    archive = {**arrays, "weights.0": np.array([Bomb()], dtype=object)}
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
