"""What there is no device code for is refused by name, or goes to the CPU with device='auto'."""

import warnings

import numpy as np
import pytest

from entries_of_tests import SILU
from nnjit import MLPClassifier, MLPRegressor
from nnjit.backends import select
from nnjit.backends.cpu import CpuEngine
from nnjit.backends.cuda.engine import CudaEngine
from nnjit.formulas import ACTIVATIONS, LOSSES, SOLVERS
from nnjit.formulas.registry import Activation, Loss, Solver
from nnjit.layers.dense.spec import Dense
from nnjit.layers.network import Network, mlp

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((20, 3)), np.arange(20) % 3
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(select, "_said", set())


def quietly(method, *arguments):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        return method(*arguments)


def assert_only_the_cpu(model, reason):
    """The device is refused for this reason, a fitted model stays as it is, 'auto' is the CPU."""
    with pytest.raises(ValueError, match=f"device='cuda' cannot be used: .*{reason}"):
        model.set_params(device="cuda").fit(X, Y)
    assert not hasattr(model, "coefs_") and not hasattr(model, "n_features_in_")
    auto, cpu = (type(model)(**{**model.get_params(), "device": d}) for d in ("auto", "cpu"))
    with pytest.warns(UserWarning, match=f"device='auto' runs on the CPU: .*{reason}"):
        quietly(auto.fit, X, Y)
    quietly(cpu.fit, X, Y)
    for ours, theirs in zip(auto.coefs_, cpu.coefs_, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name, value", [("clip_norm", 0.5), ("clip_value", 0.1), ("average", 0.9)])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_options_of_solvers_are_refused_by_name(kind, name, value):
    assert_only_the_cpu(kind(**SMALL, **{name: value}), f"no device code for {name}")
    engine = CudaEngine(mlp(3, (3,), 1, "relu", "squared_error", "identity"), np.float64)
    with pytest.raises(ValueError, match=f"no device code for {name}"):
        engine.optimizer("adam", **{name: value})


def test_learning_rates_of_single_parameters_are_refused_by_name():
    model = MLPClassifier(**SMALL, parametrization="ntk")
    assert_only_the_cpu(model, "no device code for the parametrization 'ntk'")


def test_a_fitted_estimator_is_as_it_was_after_a_refusal():
    model = quietly(MLPClassifier(**SMALL, warm_start=True).fit, X, Y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    model.set_params(device="cuda", average=0.9)
    with pytest.raises(ValueError, match="no device code for average"):
        model.fit(X, Y)
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert before.keys() == after.keys()
    assert all(after[name] is before[name] for name in before)


def test_several_softmaxes_are_refused_by_name():
    network = Network(
        3, (Dense(3, "relu"), Dense(5, "identity")), "log_loss", "softmax", groups=(2, 3)
    )
    with pytest.raises(ValueError, match="no device code for several softmaxes"):
        CudaEngine(network, np.float64)
    with pytest.warns(UserWarning, match="several softmaxes"):
        assert isinstance(select.make_engine(network, np.float64, "auto"), CpuEngine)


def test_losses_by_row_are_refused_by_name():
    network = mlp(3, (3,), 2, "relu", "clipped_policy", "softmax")
    with pytest.raises(ValueError, match="no device code for the loss 'clipped_policy'"):
        CudaEngine(network, np.float64)


def _not_for_devices(m):
    """Formulas of an activation that only NumPy and the CPU can take."""

    def value(z):
        raise TypeError("no such thing in a kernel")

    return value, value, lambda delta, h: delta


def _loss_not_for_devices(m):
    def value(y, p):
        return p - y

    def slope(y, p):
        return refused(p)

    return value, slope


def _solver_not_for_devices(m):
    def step(w, g, rate):
        return (refused(w),)

    return None, step


def refused(x):
    raise TypeError("no such thing in a kernel")


def test_an_activation_that_does_not_compile_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "lonely", Activation("lonely", _not_for_devices))
    network = mlp(3, (2,), 1, "lonely", "squared_error", "identity")
    with pytest.raises(ValueError, match="the activation 'lonely' cannot be compiled"):
        CudaEngine(network, np.float32)
    with pytest.warns(UserWarning, match="the activation 'lonely' cannot be compiled"):
        assert isinstance(select.make_engine(network, np.float32, "auto"), CpuEngine)


def test_a_loss_that_does_not_compile_is_refused_by_name(monkeypatch):
    entry = Loss("odd", _loss_not_for_devices, "identity")
    monkeypatch.setitem(LOSSES, ("odd", "identity"), entry)
    network = mlp(3, (2,), 1, "relu", "odd", "identity")
    with pytest.raises(ValueError, match=r"the loss 'odd' cannot be compiled for a device"):
        CudaEngine(network, np.float64)


def test_a_solver_that_does_not_compile_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(SOLVERS, "odd", Solver("odd", _solver_not_for_devices))
    network = mlp(3, (2,), 1, "relu", "squared_error", "identity")
    with pytest.raises(ValueError, match="the solver 'odd' cannot be compiled"):
        CudaEngine(network, np.float64).optimizer("odd")
    with pytest.warns(UserWarning, match="the solver 'odd' cannot be compiled"):
        select.make_engine(network, np.float64, "auto", solver="odd")


def test_formulas_from_elsewhere_that_compile_are_taken(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "silu", SILU)
    network = mlp(3, (2,), 1, "silu", "squared_error", "identity")
    engine = select.make_engine(network, np.float32, "cuda", solver="adam")
    assert isinstance(engine, CudaEngine)
