"""Recurrent layers of PyTorch as ours, with one vector of biases where it adds two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.torch.arrays import as_array
from nnjit.layers import GRU, LSTM, RNN, Dropout
from nnjit.layers.layer import Layer

__all__ = ["cells_of"]


def cells_of(module: Any, return_sequences: bool) -> Iterator[tuple[Layer, dict[str, Array]]]:
    """Yield layers and their arrays by name, the dropout between them included.

    Parameters
    ----------
    module : torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM
        Of any number of layers.
    return_sequences : bool
        Whether the states at all points come out of the last one.

    Raises
    ------
    ValueError
        If its states are projected.
    """
    if module.proj_size:
        raise ValueError("states are not projected here: proj_size")
    kinds: dict[str, Any] = {"RNN_TANH": RNN, "RNN_RELU": RNN, "GRU": GRU, "LSTM": LSTM}
    options: dict[str, Any] = {"bidirectional": module.bidirectional}
    if module.mode.startswith("RNN"):
        options["activation"] = module.mode.removeprefix("RNN_").lower()
    last = module.num_layers - 1
    for number in range(module.num_layers):
        whole = return_sequences or number < last
        layer = kinds[module.mode](module.hidden_size, return_sequences=whole, **options)
        yield layer, _arrays(module, number, layer)
        if module.dropout and number < last:
            yield Dropout(float(module.dropout)), {}


def _arrays(module: Any, number: int, layer: Any) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for prefix, suffix in (("", ""), ("reverse_", "_reverse"))[: layer.directions]:
        weights, recurrent = (
            as_array(getattr(module, f"weight_{name}_l{number}{suffix}")).T for name in ("ih", "hh")
        )
        biases, second = (
            as_array(getattr(module, f"bias_{name}_l{number}{suffix}"))
            if module.bias
            else np.zeros(weights.shape[1], weights.dtype)
            for name in ("ih", "hh")
        )
        own = layer.units * layer.recurrent_gates  # those that the reset gate multiplies
        both = len(biases) - own
        biases[:both] += second[:both]
        found |= {
            f"{prefix}weights": np.ascontiguousarray(weights),
            f"{prefix}recurrent_weights": np.ascontiguousarray(recurrent),
            f"{prefix}biases": biases,
        }
        if own:
            found[f"{prefix}recurrent_biases"] = second[both:]
    return found
