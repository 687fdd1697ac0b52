"""The kernels are plain Python too: the same results with the JIT switched off."""

import os
import subprocess
import sys

import numba
import pytest

CODE = """
import numpy as np
from nnjit import functional as F

rng = np.random.default_rng(0)
z, v, w = rng.normal(size=(19, 5)), rng.normal(size=(19, 5)), rng.normal(size=(5, 17))
y = np.eye(5)[rng.integers(0, 5, 19)]
x, filters = rng.normal(size=(2, 2, 7, 6)), rng.normal(size=(3, 2, 2, 3))
for dtype in (np.float32, np.float64):
    z, v, w, y, x, filters = (a.astype(dtype) for a in (z, v, w, y, x, filters))
    s = F.softmax(z)
    h = F.dense_forward(z, w, activation="tanh")
    results = [
        F.relu(z), F.relu_derivative(z), F.sigmoid(z), F.sigmoid_derivative(z), F.tanh(z),
        F.tanh_derivative(z), F.hadamard(z, v), s, F.log_softmax(z), F.softmax_jacobian(z),
        F.softmax_vjp(s, v), h, *F.dense_backward(h, z, w, h, "tanh"),
        F.squared_error(z, v), F.squared_error_gradient(z, v), F.poisson(y, s),
        F.poisson_gradient(y, s), F.cross_entropy(y, s), F.cross_entropy_gradient(y, s),
        F.cross_entropy(y.argmax(axis=1), s), F.cross_entropy_gradient(y, s, kind="multilabel"),
        F.cross_entropy_gradient(y.argmax(axis=1), s, wrt="logits"),
        F.convolve(x, filters), *F.convolve_backward(x, filters, F.convolve(x, filters)),
        F.max_pool(x, 2), F.max_pool_backward(x, F.max_pool(x, 3, 2), 3, 2),
        F.mean_pool(x, 2), F.mean_pool_backward(x, F.mean_pool(x, 3, 2), 3, 2),
    ]
    print(" ".join(f"{np.abs(r).sum():.5g}" for r in results))
"""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")
def test_plain_python_gives_the_same_numbers():
    outputs = []
    for disable in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disable}
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            capture_output=True, text=True, env=environment, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        outputs.append([float(word) for word in done.stdout.split()])
    assert len(outputs[0]) == 2 * 32
    for compiled, plain in zip(*outputs):
        assert abs(compiled - plain) <= 2e-5 * abs(compiled)
