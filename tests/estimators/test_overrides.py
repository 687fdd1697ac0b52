"""Subclasses that override scikit-learn's private methods: honoured, or warned of."""

import pickle
import warnings
from abc import ABCMeta

import numpy as np
import pytest
from problems import CLASSIFICATION, REGRESSION, assert_same_network, outcome, problem, quietly
from sklearn import neural_network as peer
from sklearn.base import clone

import nnjit
from nnjit.estimators._overrides import _IGNORED
from nnjit.estimators.mlp import BaseMultilayerPerceptron

KINDS = CLASSIFICATION + REGRESSION


class ScaledNormal:
    """He's initialization, by scikit-learn's hook."""

    def _init_coef(self, fan_in, fan_out, dtype):
        weights = self._random_state.normal(0, np.sqrt(2 / fan_in), (fan_in, fan_out))
        return weights.astype(dtype), np.full(fan_out, 0.01, dtype=dtype)


class Halved:
    """What scikit-learn draws, halved."""

    def _init_coef(self, fan_in, fan_out, dtype):
        weights, biases = super()._init_coef(fan_in, fan_out, dtype)
        return weights / 2, biases / 2


class LastLayerZero:
    """An override of `_initialize` that goes on from scikit-learn's."""

    def _initialize(self, y, layer_units, dtype):
        super()._initialize(y, layer_units, dtype)
        self.coefs_[-1] = np.zeros_like(self.coefs_[-1])
        assert y.shape == (len(y), self.n_outputs_)


class Mean:
    """An override of `_initialize` that looks at the target."""

    def _initialize(self, y, layer_units, dtype):
        super()._initialize(y, layer_units, dtype)
        self.intercepts_[-1] = y.mean(axis=0).astype(dtype)


class Clipped:
    """An override of `_fit`, called as scikit-learn calls it."""

    def _fit(self, X, y, sample_weight=None, incremental=False):
        return super()._fit(np.clip(X, -1, 1), y, sample_weight, incremental)


MIXINS = [ScaledNormal, Halved, LastLayerZero, Mean, Clipped]


def pair(mixin, kind, **parameters):
    """Return networks of both libraries whose classes have the same override."""
    name = "MLPClassifier" if kind in CLASSIFICATION else "MLPRegressor"
    if kind == "poisson":
        parameters["loss"] = "poisson"
    parameters = {"hidden_layer_sizes": (5, 3), "random_state": 1, "max_iter": 8, **parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [
            type("Mine", (mixin, getattr(library, name)), {})(**parameters)
            for library in (nnjit, peer)
        ]


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mixin", MIXINS, ids=lambda mixin: mixin.__name__)
def test_the_override_has_the_effect_that_it_has_in_scikit_learn(mixin, kind, solver):
    X, y = problem(kind)
    ours, theirs = pair(mixin, kind, solver=solver)
    for model in (ours, theirs):
        quietly(model.fit, X, y)
    assert_same_network(ours, theirs)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("mixin", MIXINS, ids=lambda mixin: mixin.__name__)
def test_every_way_to_fit_honours_it(mixin, kind):
    X, y = problem(kind)
    ways = {
        "lbfgs": {"solver": "lbfgs", "alpha": 0.1},
        "warm_start": {"warm_start": True, "n_iter_no_change": 100},
        "one layer": {"hidden_layer_sizes": ()},
    }
    for way, parameters in ways.items():
        ours, theirs = pair(mixin, kind, **parameters)
        for model in (ours, theirs):
            quietly(model.fit, X, y)
            if way == "warm_start":
                quietly(model.fit, X, y)
        assert_same_network(ours, theirs)
    ours, theirs = pair(mixin, kind)
    classes = {"classes": np.unique(y)} if kind == "multiclass" else {}
    for model in (ours, theirs):
        quietly(model.partial_fit, X, y, **classes)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-6)


def test_the_shapes_and_the_dtype_that_are_asked_for():
    calls = []

    class Recorded(nnjit.MLPRegressor):
        def _init_coef(self, fan_in, fan_out, dtype):
            calls.append((fan_in, fan_out, np.dtype(dtype)))
            return super()._init_coef(fan_in, fan_out, dtype)

    X, y = problem("regression")
    for dtype in (np.float32, np.float64):
        model = quietly(Recorded(hidden_layer_sizes=(5, 3), max_iter=1).fit, X.astype(dtype), y)
        sizes = [(X.shape[1], 5), (5, 3), (3, 1)]
        assert calls == [(*size, np.dtype(dtype)) for size in sizes]
        assert model.coefs_[0].dtype == dtype
        calls.clear()


def test_initial_weights_of_any_kind_of_array():
    X, y = problem("regression")

    def fitted(convert):
        class Identity(nnjit.MLPRegressor):
            def _init_coef(self, fan_in, fan_out, dtype):
                return convert(np.eye(fan_in, fan_out)), convert(np.zeros(fan_out))

        return quietly(Identity(hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit, X, y)

    expected = fitted(np.asarray)
    for convert in (np.ndarray.tolist, np.asfortranarray, lambda a: a.astype(int)):
        model = fitted(convert)
        for ours, theirs in zip(model.coefs_, expected.coefs_, strict=True):
            assert ours.dtype == np.float64
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda fan_in, fan_out: (np.zeros((fan_out, fan_in)), np.zeros(fan_out)),
        lambda fan_in, fan_out: (np.zeros((fan_in, fan_out)), np.zeros((fan_out, 1))),
        lambda fan_in, fan_out: (np.zeros((fan_in, fan_out)), 0.0),
        lambda fan_in, fan_out: (np.zeros((fan_in + 3, fan_out + 3)), np.zeros(fan_out + 3)),
        lambda fan_in, fan_out: (np.zeros(fan_in * fan_out), np.zeros(fan_out)),
    ],
    ids=["transposed", "column of biases", "number", "larger", "flat"],
)
def test_initial_weights_of_another_shape_are_refused(wrong):
    class Wrong(nnjit.MLPRegressor):
        def _init_coef(self, fan_in, fan_out, dtype):
            return wrong(fan_in, fan_out)

    X, y = problem("regression")
    model = Wrong(hidden_layer_sizes=(4,), max_iter=1)
    kind, message = outcome(model.fit, X, y)
    assert kind is ValueError
    assert "do not fit together" in message or "The initial weights are those of" in message
    assert not hasattr(model, "coefs_")


def test_callbacks_reach_a_fit_that_is_overridden():
    pytest.importorskip("sklearn.callback")
    from test_callbacks import Recorder

    X, y = problem("binary")
    model, _ = pair(Clipped, "binary", max_iter=3)
    recorder = Recorder()
    quietly(model.set_callbacks(recorder).fit, X, y)
    assert sum("epoch" in str(event) for event in recorder.events) >= 3


# What is not called


def not_called(self, *args, **kwargs):
    raise AssertionError


@pytest.mark.parametrize("name", _IGNORED)
@pytest.mark.parametrize("base", [nnjit.MLPClassifier, nnjit.MLPRegressor])
def test_an_override_without_effect_is_warned_of_when_the_class_is_made(base, name):
    assert hasattr(getattr(peer, base.__name__), name)
    with pytest.warns(UserWarning, match=f"Mine has {name}, which scikit-learn's") as caught:
        Mine = ABCMeta("Mine", (base,), {name: not_called})

    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Younger(Mine):
            """Is not warned of again."""

    kind = "binary" if base is nnjit.MLPClassifier else "regression"
    X, y = problem(kind)
    for parameters in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        model = Younger(max_iter=2, **parameters)
        quietly(model.fit, X, y).predict(X)
        assert np.isfinite(model.score(X, y))


def test_a_mixin_is_warned_of_and_all_its_methods_are_named():
    class Mixin:
        _unpack = _backprop = not_called

    with pytest.warns(UserWarning, match="Mine has _backprop, _unpack, which") as caught:

        class Mine(Mixin, nnjit.MLPRegressor):
            pass

    assert [warning.filename for warning in caught] == [__file__]


def test_no_method_of_ours_has_the_name_of_one_that_is_not_called():
    for cls in (BaseMultilayerPerceptron, nnjit.MLPClassifier, nnjit.MLPRegressor):
        assert [name for name in _IGNORED if hasattr(cls, name)] == []


def test_every_private_method_of_scikit_learn_is_honoured_or_warned_of():
    """A new one shows here."""
    theirs = {
        name
        for cls in (peer.MLPClassifier, peer.MLPRegressor)
        for part in cls.__mro__
        if part.__module__ == "sklearn.neural_network._multilayer_perceptron"
        for name, value in vars(part).items()
        if name.startswith("_") and not name.startswith("__") and callable(value)
    }
    honoured = {"_fit", "_init_coef", "_initialize", "_check_solver"}
    assert theirs - honoured - {"_abc_impl"} <= set(_IGNORED)
    for name in honoured:
        assert hasattr(nnjit.MLPClassifier, name)


def test_an_ordinary_subclass_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Mine(nnjit.MLPClassifier):
            def fit(self, X, y, sample_weight=None):
                return super().fit(X, y, sample_weight)

    X, y = problem("binary")
    model = quietly(clone(Mine(max_iter=2)).fit, X, y)
    assert isinstance(pickle.dumps(nnjit.MLPClassifier(max_iter=2)), bytes)
    assert set(model.predict(X)) <= {0, 1}
