"""Networks that go to ONNX by way of scikit-learn's form and skl2onnx, which stays possible."""

import numpy as np
import pytest
from problems import CLASSIFICATION, pair, problem, quietly
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NEEDED = "ONNX needs pip install 'nnjit[onnx]'"
skl2onnx = pytest.importorskip("skl2onnx", reason=NEEDED)
onnxruntime = pytest.importorskip("onnxruntime", reason=NEEDED)

KINDS = [*CLASSIFICATION, "regression", "multioutput"]
PRECISION = {np.float32: 5e-6, np.float64: 1e-12}


def fitted(kind, dtype, **parameters):
    X, y = problem(kind)
    X = X.astype(dtype)
    model, _ = pair(kind, hidden_layer_sizes=(9, 6), max_iter=30, random_state=0, **parameters)
    return X, quietly(model.fit, X, y)


def run(graph, X):
    """Outputs of an ONNX graph, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # skl2onnx declares the labels of a multilabel target as 1-D
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: X})


def graph_of(theirs, kind, X):
    options = {"zipmap": False} if kind in CLASSIFICATION else None
    return skl2onnx.to_onnx(theirs, X[:1], options=options)


def assert_runs_alike(graph, model, kind, X):
    outputs, tolerance = run(graph, X), PRECISION[X.dtype.type]
    if kind not in CLASSIFICATION:
        expected = model.predict(X)
        # skl2onnx puts several outputs below each other.
        np.testing.assert_allclose(
            outputs[0].reshape(expected.shape), expected, rtol=tolerance, atol=tolerance
        )
        return
    labels, p = outputs
    np.testing.assert_allclose(p, model.predict_proba(X), rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(labels, model.predict(X))


# onnxruntime has no double-precision Binarizer, which skl2onnx uses for multilabel targets.
CASES = [(k, t) for k in KINDS for t in PRECISION if (k, t) != ("multilabel", np.float64)]


@pytest.mark.parametrize("kind, dtype", CASES)
def test_the_graph_predicts_what_the_network_does(kind, dtype):
    X, model = fitted(kind, dtype)
    assert_runs_alike(graph_of(model.to_sklearn(), kind, X), model, kind, X)


def test_a_pipeline_with_the_network_in_its_place():
    X, y = problem("multiclass")
    X = X.astype(np.float32)
    model, _ = pair("multiclass", hidden_layer_sizes=(9,), early_stopping=True, random_state=0)
    model = quietly(make_pipeline(StandardScaler(), model).fit, X, y)
    theirs = make_pipeline(*model[:-1], model[-1].to_sklearn())
    assert_runs_alike(graph_of(theirs, "multiclass", X), model, "multiclass", X)


def test_poisson_is_refused_by_skl2onnx():
    """docs/guide/interchange.md says so; once it is not, the sentence can go."""
    X, model = fitted("poisson", np.float64)
    with pytest.raises(KeyError, match="exp"):
        graph_of(model.to_sklearn(), "poisson", X)
