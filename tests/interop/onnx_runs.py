"""An ONNX model on onnxruntime's CPU, and how near its numbers have to be."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator

NEEDED = "ONNX needs pip install 'nnjit[onnx]'"
onnx = pytest.importorskip("onnx", reason=NEEDED)
onnxruntime = pytest.importorskip("onnxruntime", reason=NEEDED)
# Relative and absolute.
PRECISION = {np.float32: 1e-5, np.float64: 1e-12}


class Session:
    """A model that has passed ONNX's checker, on one thread."""

    def __init__(self, model):
        onnx.checker.check_model(model, full_check=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.model = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.names = [one.name for one in self.model.get_outputs()]
        single = self.model.get_inputs()[0].type == "tensor(float)"
        self.dtype = np.float32 if single else np.float64

    def __call__(self, X):
        """The outputs by name."""
        given = np.asarray(X, self.dtype)
        return dict(zip(self.names, self.model.run(None, {"X": given})))


class OfLayers(BaseEstimator):
    """A fitted network of any layers with any parameters, as far as its layers are read."""

    def __init__(self, network=None, arrays=None):
        self.network, self.arrays = network, arrays
        self.out_activation_ = "identity"

    def fit(self, X, y):
        return self

    def _give_parameters(self, n_features=None):
        return self.network, self.arrays


def close(found, expected, dtype, times=1.0):
    tolerance = times * PRECISION[np.dtype(dtype).type]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
