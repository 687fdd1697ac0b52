"""Names of a graph made unlike those of any other."""

from __future__ import annotations

from typing import Any

__all__ = ["prefixed"]


def prefixed(graph: Any, prefix: str) -> Any:
    """Return a copy of a graph in which all names begin with a prefix.

    Bodies of loops and branches are renamed with it, and what they read from outside:
    `onnx.compose.add_prefix` leaves out the constants among that.

    Parameters
    ----------
    graph : onnx.GraphProto
    prefix : str

    Returns
    -------
    onnx.GraphProto
    """
    copied = type(graph)()
    copied.CopyFrom(graph)
    _rename(copied, prefix)
    return copied


def _rename(graph: Any, prefix: str) -> None:
    named = (*graph.initializer, *graph.value_info, *graph.input, *graph.output)
    for one in named:
        one.name = prefix + one.name
    for sparse in graph.sparse_initializer:
        sparse.values.name = prefix + sparse.values.name
    for node in graph.node:
        node.name = prefix + node.name if node.name else ""  # of which there may be several
        for names in (node.input, node.output):
            names[:] = [prefix + name if name else "" for name in names]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.output:
                    _rename(inner, prefix)
