"""Gated recurrent units as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.recurrence.layer import RecurrentLayer

__all__ = ["GRU"]


@dataclass(frozen=True)
class GRU(RecurrentLayer):
    r"""Gated recurrent units: gates say how much of a state is forgotten, and how much renewed.

    With the inputs x_t at point t of a series, the states h_t, h_0 being 0, and * element by
    element::

        r_t = sigmoid(W_r^T x_t + U_r^T h_{t-1} + b_r)                 reset gate
        z_t = sigmoid(W_z^T x_t + U_z^T h_{t-1} + b_z)                 update gate
        n_t = tanh(W_n^T x_t + b_n + r_t * (U_n^T h_{t-1} + c))        new state
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    The reset gate acts behind the product, so that all gates are one product.

    Attributes
    ----------
    units, bidirectional, return_sequences, recurrent_dropout, truncate
        See `RNN`.

    Notes
    -----
    As PyTorch's GRU but for the order of axes, and with one vector of biases where its two only
    appear in a sum: weights have the shape (channels, 3 units), recurrent weights (units, 3 units),
    both in the order r, z, n; the recurrent biases c are those of n.

    K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
    machine translation", EMNLP 2014.
    """

    kind: ClassVar[str] = "gru"
    gates: ClassVar[int] = 3
    planes: ClassVar[int] = 4
    recurrent_gates: ClassVar[int] = 1
