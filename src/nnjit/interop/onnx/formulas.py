"""Formulas in a graph: those of the registry, traced with a library whose functions add nodes.

ONNX's own operator stands where it is the same function. In float64 onnxruntime has none of those
made of several steps (Elu, Gelu, Softplus ...), nor Erf: there all is arithmetic, exp and log.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from nnjit.formulas.library import normal_tail
from nnjit.formulas.registry import OWN, find_activation
from nnjit.interop.onnx.graph import Graph, Value
from nnjit.interop.onnx.own import traced

__all__ = ["activation", "library_of", "output_activation"]

# Operators of these functions in any type, and those that onnxruntime has in float32 alone, with
# the opset that they came in and their attributes.
_ANY = {"relu": "Relu", "logistic": "Sigmoid", "tanh": "Tanh", "exp": "Exp"}
_SINGLE: dict[str, tuple[str, int, dict[str, Any]]] = {
    "leaky_relu": ("LeakyRelu", 16, {"alpha": 0.01}),
    "elu": ("Elu", 6, {}),
    "selu": ("Selu", 6, {}),
    "gelu": ("Gelu", 20, {}),
    "mish": ("Mish", 18, {}),
    "softplus": ("Softplus", 1, {}),
    "softsign": ("Softsign", 1, {}),
}
_FAR = 39.0  # standard deviations behind which the normal distribution is 0 or 1


def activation(graph: Graph, name: str, z: Value) -> Value:
    """Return an activation of a value.

    Parameters
    ----------
    graph : Graph
    name : str
        One of the registry's, somebody's own among them.
    z : Value

    Raises
    ------
    ValueError
        That names somebody's own function, if it cannot be written as arithmetic.
    """
    if name == "identity":
        return z
    if name in _ANY:
        return graph.add(_ANY[name], z)
    op, since, attributes = _SINGLE.get(name, ("", 0, {}))
    if op and z.dtype == np.float32 and graph.opset >= since:
        return graph.add(op, z, **attributes)
    entry = find_activation(name)
    try:
        value, *_ = entry.make(library_of(graph, z.dtype))
        found = value(z)
    except Exception as error:
        if ("activation", name) not in OWN:
            raise
        raise ValueError(
            f"The activation {name!r} cannot leave for ONNX: its function is no arithmetic that "
            f"could be written as a graph ({error})."
        ) from error
    return found if isinstance(found, Value) else z * 0.0 + found


def output_activation(graph: Graph, name: str, z: Value, groups: tuple[int, ...] = ()) -> Value:
    """Return the outputs of logits (n, n_outputs), a softmax for each group if there are some."""
    if name != "softmax":
        return activation(graph, name, z)
    if not groups:
        return graph.add("Softmax", z, axis=1)
    ends = np.cumsum((0, *groups)).tolist()
    parts = [graph.columns(z, *pair) for pair in zip(ends, ends[1:])]
    return graph.concatenate([graph.add("Softmax", part, axis=1) for part in parts], 1)


def library_of(graph: Graph, dtype: Any) -> Any:
    """Return the library of formulas (see `nnjit.formulas.library`) whose functions add nodes."""
    info, typed = np.finfo(dtype), np.dtype(dtype)

    def one(op: str) -> Any:
        return lambda x: graph.add(op, _value(x))

    def _value(x: Any) -> Value:
        return x if isinstance(x, Value) else graph.constant(x, typed)

    def select(condition: Any, a: Any, b: Any) -> Any:
        if not isinstance(condition, Value):
            return a if condition else b
        if not (isinstance(a, Value) or isinstance(b, Value)):
            a = graph.constant(a, typed)
        return graph.where(condition, a, b)

    def clip(value: Any, low: float, high: float) -> Value:
        return graph.add("Clip", _value(value), low, high)

    def softplus(x: Value) -> Value:
        return graph.add("Relu", x) + graph.add("Log", graph.add("Exp", -abs(x)) + 1.0)

    def normal_cdf(x: Value) -> Value:
        if typed == np.float32:
            return (graph.add("Erf", x * math.sqrt(0.5)) + 1.0) * 0.5
        a = graph.add("Min", abs(x), _FAR)
        tail = graph.add("Exp", a * a * -0.5) * normal_tail(a)
        return graph.where(x < 0.0, tail, 1.0 - tail)

    def erf(x: Value) -> Value:
        if typed == np.float32:
            return graph.add("Erf", x)
        return normal_cdf(x * math.sqrt(2.0)) * 2.0 - 1.0

    def cos_2pi(x: Value) -> Value:  # by a sine: older versions of onnxruntime lack Cos in float64
        return graph.add("Sin", (0.25 - abs(x - graph.add("Round", x))) * (2.0 * math.pi))

    def sin_2pi(x: Value) -> Value:
        return graph.add("Sin", (x - graph.add("Round", x)) * (2.0 * math.pi))

    return SimpleNamespace(
        real=lambda x: x, zero=0.0, half=0.5, one=1.0, two=2.0,
        eps=float(info.eps), tiny=float(info.tiny), huge=float(info.max),
        exp=one("Exp"), expm1=lambda x: graph.add("Exp", _value(x)) - 1.0,
        log=one("Log"), log1p=lambda x: graph.add("Log", _value(x) + 1.0),
        sigmoid=one("Sigmoid"), tanh=one("Tanh"), sqrt=one("Sqrt"), softplus=softplus,
        erf=erf, normal_cdf=normal_cdf,
        normal_pdf=lambda x: graph.add("Exp", x * x * -0.5) * (1.0 / math.sqrt(2.0 * math.pi)),
        cos_2pi=cos_2pi, sin_2pi=sin_2pi, select=select, clip=clip,
        own=lambda function: traced(graph, function, erf), part=lambda function: function,
    )  # fmt: skip
