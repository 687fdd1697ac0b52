"""Maps, hidden layers, scaled series and agents as ONNX models."""

import warnings

import numpy as np
import pytest
from frame_runs import assert_alike, run
from onnx_runs import close
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline

import nnjit
from nnjit.interop.onnx import to_onnx

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 5)) * 3 + 40
GAPS = X.copy()
GAPS[RNG.random(X.shape) < 0.1] = np.nan
GAPS[:, 0] = X[:, 0]
LABELS = np.array(["a", "bä", "c"])[np.digitize(X[:, 1], [39, 41])]
FEW = LABELS[:60]
SERIES = RNG.normal(size=(60, 2, 8)) * 5 + 30
for _k, _series in enumerate(SERIES):  # some end before others
    _series[:, 8 - _k % 3 :] = np.nan
PRECISION = {np.float32: 2e-5, np.float64: 1e-10}
DTYPES = pytest.mark.parametrize("dtype", PRECISION)


def fitted(model, X, y=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


@DTYPES
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_clusters", [None, 3])
def test_a_map_tells_the_nearest_unit_and_all_distances(dtype, metric, n_clusters):
    rows = GAPS.astype(dtype) - dtype(40 * (metric == "cosine"))
    som = nnjit.SelfOrganizingMap((3, 5), metric=metric, n_clusters=n_clusters, max_iter=4)
    exported = to_onnx(som.fit(rows))
    assert_alike(exported, som, rows, PRECISION[dtype])


def test_distances_of_rows_that_lie_on_a_unit_do_not_cancel():
    som = nnjit.SelfOrganizingMap((3, 3), max_iter=4).fit(X.astype(np.float32))
    rows = som.weights_.reshape(-1, 5)
    assert_alike(to_onnx(som), som, rows, 1e-6)
    assert_alike(to_onnx(som, output="label"), som, rows)


@DTYPES
@pytest.mark.parametrize("per", ["channel", "case"])
@pytest.mark.parametrize("last", [False, True])
def test_series_are_scaled(dtype, per, last):
    cases = SERIES.copy()
    cases[3] = 5.1  # constant
    rows = (np.moveaxis(cases, 1, 2) if last else cases).reshape(60, -1).astype(dtype)
    shape = (8, 2) if last else (2, 8)
    scaler = nnjit.SeriesScaler(per, input_shape=shape, channels_last=last).fit(rows)
    assert_alike(to_onnx(scaler, rows), scaler, rows, PRECISION[dtype] / 10)


HIDDEN = {
    "first of two": (nnjit.MLPClassifier((7, 4), max_iter=3), 0, X, LABELS),
    "last of two": (nnjit.MLPClassifier((7, 4), max_iter=3), -1, X, LABELS),
    "centers": (nnjit.RBFRegressor(random_state=0), 0, X, X[:, 0]),
    "feature maps": (nnjit.ConvClassifier(input_shape=(2, 8), max_iter=2), 0, SERIES, FEW),
    "states": (
        nnjit.RecurrentClassifier(6, input_shape=(2, 8), max_iter=2),
        0,
        SERIES,
        FEW,
    ),
}


@DTYPES
@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_features(name, dtype):
    network, layer, rows, y = HIDDEN[name]
    rows = rows.reshape(len(rows), -1).astype(dtype)
    model = fitted(nnjit.HiddenFeatures(network.set_params(random_state=0), layer=layer), rows, y)
    assert_alike(to_onnx(model), model, rows, PRECISION[dtype])


def test_a_series_goes_from_its_scaler_to_a_network():
    rows = SERIES.reshape(60, -1)
    model = make_pipeline(
        nnjit.SeriesScaler(input_shape=(2, 8)),
        nnjit.RecurrentClassifier(6, input_shape=(2, 8), max_iter=2, random_state=0),
    )
    fitted(model, rows, FEW)
    assert_alike(to_onnx(model, rows), model, rows, 1e-10)


@pytest.mark.parametrize(
    "model", [nnjit.SelfOrganizingMap(), nnjit.HiddenFeatures(nnjit.MLPClassifier()),
              nnjit.SeriesScaler()]
)  # fmt: skip
def test_what_is_not_fitted_is_refused(model):
    with pytest.raises(NotFittedError):
        to_onnx(model)


@pytest.mark.parametrize("agent", ["QAgent", "PolicyAgent"])
def test_the_greedy_policy_of_an_agent(agent):
    gymnasium = pytest.importorskip("gymnasium", reason="agents need Gymnasium")
    learned = getattr(nnjit.agents, agent)(random_state=0).fit("CartPole-v1", n_steps=600)
    environment = gymnasium.make("CartPole-v1")
    rows, _ = environment.reset(seed=0)
    rows = np.stack([rows + 0.1 * RNG.normal(size=4) for _ in range(50)]).astype(np.float32)
    np.testing.assert_array_equal(run(to_onnx(learned), rows)["action"], learned.predict(rows))


def test_actions_within_bounds_of_an_agent():
    pytest.importorskip("gymnasium", reason="agents need Gymnasium")
    learned = nnjit.agents.PolicyAgent(random_state=0).fit("Pendulum-v1", n_steps=400)
    rows = RNG.normal(size=(50, 3)).astype(np.float32) * 3
    found = run(to_onnx(learned), rows)["action"]
    close(found, learned.predict(rows), np.float32)
