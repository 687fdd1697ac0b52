"""Dense layers: one Gemm, and the activation."""

from __future__ import annotations

from nnjit.interop.onnx.chain import Chain
from nnjit.interop.onnx.formulas import activation
from nnjit.interop.onnx.graph import Value
from nnjit.interop.onnx.registry import layer

__all__ = ["dense", "tied"]


@layer("dense")
def dense(chain: Chain, number: int, x: Value) -> Value:
    """h = phi(x W + b)."""
    weights, biases = (chain.parameter(number, name) for name in ("weights", "biases"))
    z = chain.graph.add("Gemm", x, weights, biases)
    return activation(chain.graph, chain.spec(number).activation, z)


@layer("tied")
def tied(chain: Chain, number: int, x: Value) -> Value:
    """h = phi(x W' + b), W being the constant of the other layer."""
    spec = chain.spec(number)
    weights = chain.parameter(number - spec.back, "weights")
    z = chain.graph.add("Gemm", x, weights, chain.parameter(number, "biases"), transB=1)
    return activation(chain.graph, spec.activation, z)
