"""Long short-term memory as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.recurrence.layer import RecurrentLayer

__all__ = ["LSTM"]


@dataclass(frozen=True)
class LSTM(RecurrentLayer):
    r"""Long short-term memory: a cell that is added to, and gates around it.

    With the inputs x_t at point t of a series, the states h_t and cells c_t, h_0 and c_0 being 0,
    and * element by element::

        i_t = sigmoid(W_i^T x_t + U_i^T h_{t-1} + b_i)    input gate
        f_t = sigmoid(W_f^T x_t + U_f^T h_{t-1} + b_f)    forget gate
        g_t = tanh(W_g^T x_t + U_g^T h_{t-1} + b_g)       candidate
        o_t = sigmoid(W_o^T x_t + U_o^T h_{t-1} + b_o)    output gate
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Attributes
    ----------
    units, bidirectional, return_sequences, recurrent_dropout, truncate
        See `RNN`. What comes out are the h_t.

    Notes
    -----
    As PyTorch's LSTM but for the order of axes, and with one vector of biases instead of a sum of
    two: weights have the shape (channels, 4 units), recurrent weights (units, 4 units), both in the
    order i, f, g, o.

    S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997. F. Gers,
    J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12, 2000.
    """

    kind: ClassVar[str] = "lstm"
    gates: ClassVar[int] = 4
    planes: ClassVar[int] = 5
    states: ClassVar[int] = 2
