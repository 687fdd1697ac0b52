"""MLPClassifier and MLPRegressor with device='cuda'."""

import math
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from device_arrays import Foreign, to_device
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nnjit
from entries_of_tests import registries_kept
from nnjit.backends import select
from nnjit.backends.cuda import _cuda, memory
from nnjit.layers.network import mlp

SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "batch_size": 6, "random_state": 0}


def data(kind, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((14, 3)).astype(dtype)
    if kind == "binary":
        return X, np.where(X[:, 0] > 0, "yes", "no")
    if kind == "multiclass":
        return X, np.digitize(X[:, 0], [-0.5, 0.5])
    if kind == "multilabel":
        return X, (X[:, :2] > 0).astype(int)
    return X, X[:, :2].sum(axis=1).astype(dtype) ** 2


def quietly(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def model_for(kind, **options):
    if kind in ("regression", "poisson"):
        loss = "poisson" if kind == "poisson" else "squared_error"
        return nnjit.MLPRegressor(**{**SMALL, "loss": loss, **options})
    return nnjit.MLPClassifier(**{**SMALL, **options})


def same_fit(a, b, rtol):
    for x, y in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert type(x) is np.ndarray
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(a.loss_, b.loss_, rtol=rtol)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "poisson"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_fits_are_those_of_the_cpu(kind, solver):
    X, y = data(kind)
    gpu, cpu = (
        quietly(model_for(kind, solver=solver, device=d).fit, X, y) for d in ("cuda", "cpu")
    )
    same_fit(gpu, cpu, 1e-8)
    if hasattr(cpu, "classes_"):
        np.testing.assert_array_equal(gpu.predict(X), cpu.predict(X))
    else:
        np.testing.assert_allclose(gpu.predict(X), cpu.predict(X))
    for method in ("predict_proba", "predict_log_proba"):
        if hasattr(cpu, method):
            np.testing.assert_allclose(getattr(gpu, method)(X), getattr(cpu, method)(X))


def test_float32_stays_float32():
    X, y = data("multiclass", np.float32)
    gpu, cpu = (quietly(model_for("", device=d).fit, X, y) for d in ("cuda", "cpu"))
    same_fit(gpu, cpu, 1e-5)
    assert gpu.predict_proba(X).dtype == np.float32


@pytest.mark.parametrize(
    "options",
    [{"early_stopping": True, "validation_fraction": 0.3}, {"shuffle": False, "batch_size": 14}],
    ids=str,
)
def test_options_of_the_loop(options):
    X, y = data("multiclass")
    gpu, cpu = (quietly(model_for("", device=d, **options).fit, X, y) for d in ("cuda", "cpu"))
    same_fit(gpu, cpu, 1e-8)
    assert gpu.validation_scores_ == cpu.validation_scores_


def test_partial_fit_moves_between_devices():
    """What the CPU began a GPU goes on with, moments included."""
    X, y = data("multiclass")
    whole, mixed = model_for(""), model_for("")
    for device in ("cpu", "cuda", "cpu"):
        quietly(whole.partial_fit, X, y, classes=[0, 1, 2])
        mixed.set_params(device=device)
        quietly(mixed.partial_fit, X, y, classes=[0, 1, 2])
    same_fit(mixed, whole, 1e-8)


def test_sample_weight_and_sparse_rows():
    X, y = data("multiclass")
    X[X < 0.3] = 0
    w = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    dense = quietly(model_for("", device="cuda").fit, X, y, w)
    for form in (sp.csr_array(X), sp.csc_matrix(X)):
        sparse = quietly(model_for("", device="cuda").fit, form, y, w)
        same_fit(sparse, dense, 1e-12)
        np.testing.assert_array_equal(sparse.predict(form), dense.predict(X))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_device_arrays_are_taken_and_given_back(kind, early_stopping):
    X, y = data(kind, np.float32)
    options = {"early_stopping": early_stopping, "validation_fraction": 0.3}
    host = quietly(model_for(kind, device="cuda", **options).fit, X, y)
    target = y if kind == "binary" else to_device(y)  # text cannot lie on a device
    model = quietly(model_for(kind, device="cuda", **options).fit, to_device(X), target)
    same_fit(model, host, 0)
    assert model.n_features_in_ == 3
    predicted = model.predict(to_device(X))
    if kind == "binary":
        assert isinstance(predicted, np.ndarray)
    else:
        assert _cuda.is_device_array(predicted)
        predicted = predicted.copy_to_host()
    np.testing.assert_array_equal(predicted, host.predict(X))
    for method in ("predict_proba", "predict_log_proba"):
        if hasattr(model, method):
            got = getattr(model, method)(to_device(X))
            assert _cuda.is_device_array(got)
            np.testing.assert_array_equal(got.copy_to_host(), getattr(host, method)(X))
    assert type(model.predict(X)) is np.ndarray
    assert model.score(to_device(X), target) == host.score(X, y)


def test_arrays_of_other_libraries_and_types():
    X, y = data("regression")
    whole = np.round(X * 4).astype(np.int64)
    expected = quietly(model_for("regression", device="cuda").fit, whole.astype(float), y)
    model = quietly(model_for("regression", device="cuda").fit, Foreign(whole), y)
    same_fit(model, expected, 0)
    with pytest.raises(ValueError, match="NaN or infinity"):
        model_for("regression", device="cuda").fit(Foreign(np.full((4, 2), np.nan)), y[:4])
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"):
        model.predict(to_device(y))
    with pytest.raises(ValueError, match="3 features"):
        model.predict(to_device(X[:, :2]))


def test_a_pickle_predicts_where_there_is_no_gpu(monkeypatch):
    X, y = data("multiclass")
    model = quietly(model_for("", device="cuda").fit, X, y)
    expected = model.predict_proba(X)
    content = pickle.dumps(model)
    assert b"numba" not in content and b"backends" not in content
    loaded = pickle.loads(content)
    assert loaded.device == "cuda"
    monkeypatch.setattr(_cuda, "why_unavailable", lambda: "there is none")
    monkeypatch.setattr(select, "_said", set())
    with pytest.warns(UserWarning, match="device='cuda' runs on the CPU: there is none"):
        np.testing.assert_allclose(loaded.predict_proba(X), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        loaded.predict(X)
        pickle.loads(pickle.dumps(model)).predict(X)
    with pytest.raises(RuntimeError, match="cannot be used: there is none.*pip install"):
        loaded.fit(X, y)


def test_parameters_clone_pipeline_and_html():
    model = model_for("", device="cuda:0")
    assert clone(model).get_params() == model.get_params()
    assert "cuda:0" in repr(model) and "cuda:0" in model._repr_html_()
    X, y = data("multiclass")
    pipeline = make_pipeline(StandardScaler(), model)
    assert quietly(pipeline.fit, X, y).score(X, y) >= 0


def test_a_checkpoint_goes_on_where_it_stopped(tmp_path):
    X, y = data("multiclass")
    options = {"device": "cuda", "checkpoint_interval": 1}
    whole = quietly(model_for("", device="cuda", max_iter=3).fit, X, y)
    path = tmp_path / "state"
    quietly(model_for("", checkpoint=path, **{**options, "max_iter": 1}).fit, to_device(X), y)
    resumed = model_for("", checkpoint=path, **{**options, "max_iter": 3})
    same_fit(quietly(resumed.fit, X, y), whole, 0)
    assert resumed.n_iter_ == 3
    with pytest.raises(ValueError, match="device"):
        model_for("", checkpoint=path, checkpoint_interval=1).fit(X, y)


def test_a_linear_model():
    X, y = data("regression")
    gpu, cpu = (
        quietly(model_for("regression", device=d, hidden_layer_sizes=()).fit, X, y)
        for d in ("cuda", "cpu")
    )
    same_fit(gpu, cpu, 1e-8)


def test_a_device_that_is_not_there():
    X, y = data("multiclass")
    with pytest.raises(RuntimeError, match=r"device='cuda:7' cannot be used: there are \d"):
        model_for("", device="cuda:7").fit(X, y)


def test_running_out_of_memory_leaves_the_estimator_as_it_was(monkeypatch):
    X, y = data("multiclass")
    model = quietly(model_for("", device="cuda").fit, X, y)
    before = [w.copy() for w in model.coefs_]
    allocate = memory.allocate

    def fail(purpose, **sizes):
        if purpose == "Training":
            raise memory.memory_error(purpose, 12_345_678)
        return allocate(purpose, **sizes)

    monkeypatch.setattr("nnjit.backends.cuda.plan.allocate", fail)
    for solver in ("adam", "lbfgs"):
        model.set_params(solver=solver)
        with pytest.raises(MemoryError, match="Training needs 12,345,678 bytes of GPU memory"):
            model.fit(X, y)
        for a, b in zip(model.coefs_, before, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
def test_a_larger_fit_on_the_gpu_is_that_of_the_cpu():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 40))
    y = np.digitize(X[:, :3].sum(axis=1), [-1, 1])
    for hidden, batch in [((10,), 32), ((100,), 200), ((300, 200), 500)]:
        options = {"hidden_layer_sizes": hidden, "batch_size": batch, "max_iter": 2}
        gpu, cpu = (quietly(model_for("", device=d, **options).fit, X, y) for d in ("cuda", "cpu"))
        same_fit(gpu, cpu, 1e-7)
        again = quietly(model_for("", device="cuda", **options).fit, X, y)
        for a, b in zip(gpu.coefs_, again.coefs_, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.gpu
def test_cupy_and_torch_arrays():
    cupy = pytest.importorskip("cupy")
    X, y = data("regression", np.float32)
    model = quietly(model_for("regression", device="cuda").fit, cupy.asarray(X), cupy.asarray(y))
    got = model.predict(cupy.asarray(X))
    assert isinstance(got, cupy.ndarray)
    np.testing.assert_allclose(got.get(), model.predict(X))


@pytest.mark.gpu
def test_real_memory_runs_out_with_a_clear_error():
    from nnjit.backends.cuda._cuda import cuda

    free, _ = cuda.current_context().get_memory_info()
    with pytest.raises(MemoryError, match=r"needs [\d,]+ bytes of GPU memory"):
        memory.allocate("Training", work=(free, np.float64))
    # Other processes may come and go.
    assert cuda.current_context().get_memory_info()[0] >= 0.9 * free


@pytest.mark.parametrize("kind", ["binary", "multiclass", "poisson"])
def test_assigned_parameters_are_checked_as_on_the_cpu(kind):
    X, y = data(kind)
    model = quietly(model_for(kind, device="cuda", activation="identity").fit, X, y)
    given = model.coefs_
    names = ["predict"] if kind == "poisson" else ["predict", "predict_proba", "predict_log_proba"]
    for wrong in (np.ones((4, 3)), np.ones((100_000, 3)), np.ones((3, 4)), None):
        model.coefs_ = [wrong, *given[1:]]
        for form in (X, sp.csr_array(X), to_device(X)):
            for name in names:
                with pytest.raises(ValueError, match="coefs_"):
                    getattr(model, name)(form)
    # another depth, in integers
    model.coefs_ = [np.ones((3, 2), int), np.ones((2, 2), int), np.ones((2, model.n_outputs_), int)]
    model.intercepts_ = [np.arange(w.shape[1]) for w in model.coefs_]
    model.n_layers_ = 4
    outputs = getattr(model, names[-1])(X)
    np.testing.assert_allclose(outputs, getattr(model.set_params(device="cpu"), names[-1])(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "poisson"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator is NumPy
def test_predictions_that_overflow_are_refused_as_on_the_cpu(kind, dtype):
    X, y = data(kind, dtype)
    model = quietly(model_for(kind, device="cuda", activation="identity").fit, X, y)
    model.coefs_ = [np.ones_like(w) for w in model.coefs_]
    X = np.ones((3, 3), dtype)
    X[1] = np.finfo(dtype).max / 2
    names = ["predict", *(["predict_proba"] if hasattr(model, "classes_") else [])]
    for form in (X, np.asfortranarray(X), sp.csr_array(X), to_device(X)):
        for name in names:
            with pytest.raises(ValueError, match="prediction of row 1 overflows"):
                getattr(model, name)(form)
    assert len(model.predict(to_device(X[:1].copy()))) == 1
    assert np.isfinite(getattr(model, names[-1])(X[[0, 2]])).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator is NumPy
def test_a_poisson_mean_that_overflows_is_refused():
    X, y = data("poisson")
    model = quietly(model_for("poisson", device="cuda", activation="identity").fit, X, y)
    model.coefs_, model.intercepts_ = [np.ones((3, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    with pytest.raises(ValueError, match=r"row 2 overflows: exp\(900\) exceeds"):
        model.predict(np.array([[1, 1, 1], [-1e6, 0, 0], [100, 100, 100]]))


def test_sizes_that_do_not_fit_the_network_are_refused_by_the_engine():
    engine = select.make_engine(mlp(3, (2,), 2, "relu", "log_loss", "softmax"), np.float64, "cuda")
    X, y = np.ones((5, 3)), np.array([0, 1, 0, 1, 0])
    for wrong in (np.ones((5, 4)), sp.csr_array(np.ones((5, 2)))):
        for call in (engine.predict, engine.predict_checked, lambda X: engine.dataset(X, y)):
            with pytest.raises(ValueError, match="the network has 3 inputs"):
                call(wrong)
    for labels in (y + 1, y - 1, y[1:]):  # a label is where a gradient is written
        with pytest.raises(ValueError, match="The target has"):
            engine.dataset(X, labels)


def test_formulas_of_ones_own_are_there_as_well():
    def bent(z):
        return 0.5 * (math.sqrt(z * z + 1.0) - 1.0) + z

    def bent_slope(z):
        return 0.5 * z / math.sqrt(z * z + 1.0) + 1.0

    def rounded(y, p):
        return math.sqrt(1.0 + (p - y) * (p - y)) - 1.0

    def rounded_slope(y, p):
        return (p - y) / math.sqrt(1.0 + (p - y) * (p - y))

    def heavy(w, g, mean, rate, beta_1):
        mean = beta_1 * mean + (1.0 - beta_1) * g
        return w - rate * mean, mean

    X = np.random.default_rng(0).standard_normal((12, 3))
    y = np.tanh(X[:, 0] - X[:, 1])
    with registries_kept():
        nnjit.register_activation("bent", bent, bent_slope)
        nnjit.register_loss("rounded", rounded, rounded_slope)
        nnjit.register_solver("heavy", heavy, vectors=("mean",), hyperparameters={"beta_1": 0.9})
        given = {"loss": "rounded", "activation": ("bent", "mish"), "solver": "heavy"}
        fits = [
            quietly(
                nnjit.MLPRegressor(
                    hidden_layer_sizes=(4, 3), max_iter=2, random_state=0, device=device, **given
                ).fit,
                X,
                y,
            )
            for device in ("cpu", "cuda")
        ]
    for ours, theirs in zip(*[fit.coefs_ for fit in fits]):
        np.testing.assert_allclose(theirs, ours, rtol=1e-10)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_rows_in_blocks_are_those_of_the_cpu(solver, monkeypatch, tmp_path):
    monkeypatch.setattr("nnjit.rows._source.BLOCK_BYTES", 2 * 3 * 8)
    monkeypatch.setattr("nnjit.training.blocks.BUFFER_BYTES", 6 * 3 * 8)
    X, y = data("multiclass")
    np.save(tmp_path / "rows.npy", X)
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    options = {"solver": solver, "shuffle": "blocks", "batch_size": 4}
    on_cpu = quietly(model_for("multiclass", **options).fit, rows, y)
    on_gpu = quietly(model_for("multiclass", device="cuda", **options).fit, rows, y)
    same_fit(on_gpu, on_cpu, 1e-9)
    np.testing.assert_allclose(on_gpu.predict_proba(rows), on_cpu.predict_proba(X), rtol=1e-9)
