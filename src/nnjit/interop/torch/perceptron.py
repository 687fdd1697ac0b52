"""Layers as the keywords of an MLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnjit.layers.layer import Layer
from nnjit.layers.network import mlp

__all__ = ["perceptron_parameters"]


def perceptron_parameters(inputs: int, layers: Sequence[Layer]) -> dict[str, Any] | None:
    """Return the parameters of an MLP with these layers, None if it can have none such.

    Parameters
    ----------
    inputs : int
    layers : sequence of Layer
        The output layer last.
    """
    rest: list[Any] = [*layers]
    found: dict[str, Any] = {}
    if rest[0].kind == "dropout":
        found["input_dropout"] = rest.pop(0).rate
    blocks: list[dict[str, Any]] = []
    for layer in rest[:-1]:
        if layer.kind == "dense":
            blocks.append({})
        if not blocks or layer.kind in blocks[-1]:
            return None
        blocks[-1][layer.kind] = layer
    found |= _of_blocks(blocks)
    sizes = found["hidden_layer_sizes"]
    options = {name: found[name] for name in found if name != "hidden_layer_sizes"}
    try:
        made = mlp(
            inputs, sizes, rest[-1].units, options.pop("activation"), "", "identity", **options
        )
    except (AttributeError, ValueError):
        return None
    if made.layers != tuple(layers):
        return None
    return {name: _one(value) for name, value in found.items()}


def _of_blocks(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the parameters that hidden layers tell."""
    first = blocks[0] if blocks else {}
    activations = [block.get("normalization", block["dense"]).activation for block in blocks]
    found: dict[str, Any] = {
        "hidden_layer_sizes": tuple(block["dense"].units for block in blocks),
        "activation": activations or "relu",
    }
    if "normalization" in first:
        found["normalization"] = first["normalization"].method
    rates = [block["dropout"].rate if "dropout" in block else 0.0 for block in blocks]
    if any(rates):
        found["dropout"] = rates
    if any("residual" in block for block in blocks):
        found["residual"] = True
    return found


def _one(value: Any) -> Any:
    """Return one for all layers where they have the same."""
    return value[0] if isinstance(value, list) and len({*value}) == 1 else value
