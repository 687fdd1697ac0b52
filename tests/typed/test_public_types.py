"""The public interface as its user's type checker sees it: mypy reads this file, pytest runs it.

A line that ends in ``type: ignore`` is a mistake that mypy has to find: it reports a comment that
is not needed.
"""

from __future__ import annotations

from typing import Any, Literal, assert_type

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

import nnjit
from nnjit import (
    AutoEncoder,
    ConvClassifier,
    ConvRegressor,
    HiddenFeatures,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    RecurrentClassifier,
    RecurrentRegressor,
    SelfOrganizingMap,
    SeriesScaler,
    TabularClassifier,
    TabularRegressor,
    inspection,
    layers,
)
from nnjit import functional as F
from nnjit.exceptions import TrainingWarning

X = np.random.default_rng(0).standard_normal((40, 3))
LABELS = (X[:, 0] > 0).astype(np.int64)

Floats = NDArray[np.floating[Any]]


def test_classifier() -> None:
    model = MLPClassifier((8, 4), "tanh", solver="lbfgs", random_state=0, max_iter=20)
    assert_type(model.fit(X, LABELS), MLPClassifier)
    assert_type(model.predict(X), NDArray[Any])
    assert_type(model.predict_proba(csr_matrix(X)), Floats)
    assert_type(model.predict_log_proba(X.tolist()), Floats)
    assert_type(model.score(X, LABELS), float)
    assert_type(model.set_params(alpha=0.1), MLPClassifier)
    assert_type(model.get_params(), dict[str, Any])
    assert_type(model.coefs_, list[Floats])
    assert_type(model.classes_, NDArray[Any])
    assert_type(model.activations(X, layer=0), Floats)
    features = HiddenFeatures(MLPClassifier((4,), max_iter=1, class_weight={0: 2.0}), layer=0)
    assert_type(features, HiddenFeatures)
    assert_type(HiddenFeatures(model, prefit=True).transform(X), Floats)
    assert_type(model.n_iter_, int)
    assert_type(model.alpha, float)
    assert_type(model.early_stopping, bool)
    assert_type(model.batch_size, int | Literal["auto"])
    assert_type(MLPClassifier.from_sklearn(model.to_sklearn()), MLPClassifier)
    assert [w.shape for w in model.coefs_] == [(3, 8), (8, 4), (4, 1)]


def test_regressor() -> None:
    model = MLPRegressor("poisson", batch_size="auto", max_iter=1, random_state=0)
    assert_type(model.partial_fit(X, LABELS, sample_weight=[1.0] * len(X)), MLPRegressor)
    assert_type(model.predict(X), Floats)
    assert_type(model.loss_curve_, list[float])
    assert_type(model.best_validation_score_, float | None)
    assert len(model.loss_curve_) == 1


def test_scaler_of_series() -> None:
    scaler = SeriesScaler("case", input_shape=(1, 3))
    assert_type(scaler.fit(X), SeriesScaler)
    assert_type(scaler.transform([X[0], X[1, :2]]), Floats | list[Floats])
    with pytest.raises(ValueError, match="per"):
        SeriesScaler("point").fit(X)  # type: ignore[arg-type]


def test_map() -> None:
    som = SelfOrganizingMap((2, 3), topology="rectangular", n_clusters=2, max_iter=2)
    assert_type(som.fit(X, sample_weight=[1.0] * len(X)), SelfOrganizingMap)
    assert_type(som.predict(X), NDArray[np.int64])
    assert_type(som.transform(X), Floats)
    assert_type(som.topographic_error_, float)
    assert_type(inspection.SOMDisplay(som.weights_), inspection.SOMDisplay)
    with pytest.raises(ValueError, match="topology"):
        SelfOrganizingMap(topology="square").fit(X)  # type: ignore[arg-type]


def test_convolutions_and_layers() -> None:
    images = X[:, :, np.newaxis, np.newaxis]
    conv = ConvClassifier((2,), 1, pool=None, augment={"flip": True}, max_iter=1, random_state=0)
    assert_type(conv.fit(images, LABELS), ConvClassifier)
    assert_type(conv.activations(images, 0), Floats)
    assert_type(conv.layers_[0].kind, str)
    assert_type(conv.input_shape_, tuple[int, ...])
    curve = ConvRegressor(4, global_pool="mean", padding=["valid"], kernel_size=[(2,)], max_iter=1)
    assert_type(curve.fit(X, LABELS).predict(X), Floats)
    own = NetworkClassifier([layers.Conv(4), layers.Flatten(), layers.Dense(3)], max_iter=1)
    assert_type(own.set_params(layers__0__filters=2), NetworkClassifier)
    assert_type(own.fit(X, LABELS).coefs_, list[Floats])
    assert_type(NetworkRegressor(loss="huber").max_iter, int)
    assert len(own.coefs_) == 3


def test_recurrent_networks() -> None:
    series = [X[k : k + 3 + k % 2].T for k in range(30)]
    model = RecurrentClassifier((3,), "lstm", bidirectional=True, truncate=None, max_iter=1)
    assert_type(model.fit(series, LABELS[:30]), RecurrentClassifier)
    assert_type(model.layer_parameters_, list[dict[str, Floats]])
    assert_type(model.cell, Literal["gru", "lstm", "tanh", "relu"])
    other = RecurrentRegressor(units=4, pool="mean", loss="huber", max_iter=1)
    assert_type(other.fit(X, LABELS).predict(X), Floats)
    with pytest.raises(ValueError, match="cell"):
        RecurrentClassifier(cell="rnn").fit(X, LABELS)  # type: ignore[arg-type]
    own = NetworkClassifier([layers.GRU(4, return_sequences=True), layers.LSTM(2)], max_iter=1)
    assert_type(own.set_params(layers__0__units=2).fit(X, LABELS).coefs_, list[Floats])


def test_autoencoder() -> None:
    model = AutoEncoder(1, (4,), mask=0.1, n_members=2, max_iter=2, random_state=0)
    assert_type(model.fit(X, X_val=X, sample_weight=[1.0] * len(X)), AutoEncoder)
    assert_type(model.transform(X), Floats)
    assert_type(model.inverse_transform([[0.5]]), Floats)
    assert_type(model.score_samples(X), Floats)
    assert_type(model.predict(X), NDArray[np.intp])
    assert_type(model.score(X), float)
    assert_type(model.offset_, float)
    assert_type(AutoEncoder(layers=[layers.Conv(2)], tied=False), AutoEncoder)
    with pytest.raises(ValueError, match="output_activation"):
        AutoEncoder(output_activation="softmax").fit(X)  # type: ignore[arg-type]


def test_tables() -> None:
    model = TabularClassifier("fast", n_members=2, hidden_layer_sizes=4, max_iter=1, random_state=0)
    assert_type(model.fit(X, LABELS, X_val=X, y_val=LABELS), TabularClassifier)
    assert_type(model.predict(X), NDArray[Any])
    assert_type(model.report_.members[0].best_epoch, int)
    assert_type(model.preset, Literal["fast", "default", "best"])
    values = TabularRegressor(
        quantile=(0.1, 0.9), hidden_layer_sizes=4, max_iter=1, scaling_layer=True
    )
    assert_type(values.fit(X, X[:, 0]).predict_interval(X, coverage=0.8), Floats)
    assert_type(values.score(X, X[:, 0]), float)
    assert len(values.quantiles_) == 2
    with pytest.raises(ValueError, match="preset"):
        TabularClassifier("good").fit(X, LABELS)  # type: ignore[arg-type]


def test_mistakes_are_found() -> None:
    with pytest.raises(ValueError, match="solver"):
        MLPClassifier(solver="adem").fit(X, LABELS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        MLPClassifier(hidden_layer_sizes="100").fit(X, LABELS)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        MLPRegressor().fit(X)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="activation"):
        F.dense_forward(X, X.T, activation="swish")  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        nnjit.functionals  # type: ignore[attr-defined]  # noqa: B018


def test_mistakes_in_a_constructor_are_found() -> None:
    with pytest.raises(TypeError, match="'alpa'"):
        MLPClassifier(alpa=0.1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'quantile'"):
        MLPClassifier(quantile=0.5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="from 1 to 3 positional"):
        MLPClassifier((3,), "tanh", "adam")  # type: ignore[call-arg]
    for model in (
        MLPClassifier(alpha="0.1"),  # type: ignore[arg-type]
        MLPClassifier(early_stopping=None),  # type: ignore[arg-type]
        MLPRegressor((3,)),  # type: ignore[arg-type]
        MLPRegressor("hubert"),  # type: ignore[arg-type]
        MLPRegressor(output_activation="relu"),  # type: ignore[arg-type]
        MLPClassifier(loss="huber"),  # type: ignore[arg-type]
        MLPRegressor(device=0),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match="parameter of MLP"):
            model.fit(X, LABELS)


class Wide(MLPClassifier):
    def __init__(self, width: int = 7, *, alpha: float = 0.1) -> None:
        super().__init__((width,), "tanh", alpha=alpha)
        self.width = width


def test_a_subclass_with_a_constructor_of_its_own() -> None:
    assert_type(Wide(3).width, int)
    assert_type(Wide().partial_fit(X, LABELS, classes=[0, 1]), Wide)
    with pytest.raises(TypeError):
        Wide(tol=0.1)  # type: ignore[call-arg]


def test_functional() -> None:
    assert_type(F.relu([1.0, -1.0]), Floats)
    assert_type(nnjit.functional.softmax_jacobian(X), Floats)
    assert_type(F.dense_backward(X, X, np.eye(3)), tuple[Floats, Floats, Floats])
    assert_type(F.cross_entropy([1], [[0.5, 0.5]], kind="multinomial"), float)
    out = np.empty_like(X)
    assert F.tanh(X, out=out) is out


def test_inspection() -> None:
    model = MLPClassifier((4,), solver="lbfgs", random_state=0, max_iter=5, tol=10.0).fit(X, LABELS)
    check = inspection.check_gradient(model, X, LABELS, random_state=0)
    assert_type(check, inspection.GradientCheck)
    assert_type(check.error, float)
    display = inspection.LossCurveDisplay([1.0, 0.5], name="loss")
    assert_type(display, inspection.LossCurveDisplay)
    assert check.error < 1e-5


def test_the_rest() -> None:
    assert_type(nnjit.__version__, str)
    assert_type(nnjit.show_versions(), None)
    assert issubclass(TrainingWarning, UserWarning)
