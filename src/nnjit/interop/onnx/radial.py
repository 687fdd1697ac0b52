"""Radial layers: squared distances by one Gemm, and exponentials of them."""

from __future__ import annotations

import numpy as np

from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.graph import Value
from nnjit.interop.onnx.registry import layer

__all__ = ["radial"]


@layer("radial")
def radial(chain: Chain, number: int, x: Value) -> Value:
    """h_k = exp(-|x - c_k|^2 / (2 s_k^2)), or the softmax of the exponents."""
    graph, spec = chain.graph, chain.spec(number)
    centers, log_widths = (chain.parameter(number, name) for name in ("centers", "log_widths"))
    exact = centers.astype(np.float64)
    squares = np.square(exact).sum(axis=1)
    distances = graph.add("Gemm", x, -2.0 * exact.T, squares)
    distances = graph.add("Relu", distances + graph.reduce("Sum", x * x, 1, keepdims=True))
    z = distances * (-0.5 * np.exp(-2.0 * log_widths.astype(np.float64)))
    return graph.add("Softmax", z, axis=1) if spec.normalized else graph.add("Exp", z)
