"""Models of frames and of rows on onnxruntime's CPU, with what `feeds` makes of these."""

import numpy as np
from onnx_runs import onnx, onnxruntime

from nnjit.interop.onnx import feeds

OUTPUTS_OF = {
    "label": "predict",
    "probabilities": "predict_proba",
    "prediction": "predict",
    "features": "transform",
}


def session(model):
    """A model that has passed ONNX's checker, on one thread."""
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(model, X, **given):
    """The outputs by name; `given` takes the place of what `feeds` gives."""
    made = session(model)
    names = [one.name for one in made.get_outputs()]
    return dict(zip(names, made.run(None, feeds(made, X) | given)))


def assert_alike(model, estimator, X, tolerance=1e-5):
    """Several rows and one row come out as the estimator's methods give them."""
    for rows in (X, X[:1]):
        for name, found in run(model, rows).items():
            expected = getattr(estimator, OUTPUTS_OF[name])(rows)
            assert found.shape == np.shape(expected)
            if name == "label":
                np.testing.assert_array_equal(found, expected)
            else:
                np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
