"""The plain recurrent layer as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnjit.layers.recurrence.layer import RecurrentLayer

__all__ = ["ACTIVATIONS", "RNN"]

ACTIVATIONS = ("tanh", "relu")


@dataclass(frozen=True)
class RNN(RecurrentLayer):
    r"""A plain recurrent layer (Elman): units that see the inputs and their own last states.

    With the inputs x_t at point t of a series and the states h_t, h_0 being 0::

        h_t = phi(W^T x_t + U^T h_{t-1} + b)

    Going back in time, with g_t the derivative of the loss by h_t and d_t that by the sum,

        d_t = g_t phi'(h_t),  g_{t-1} = (what the layer above says) + U d_t
        dL/dW = sum over rows, t of x_t d_t^T,  dL/dU = that of h_{t-1} d_t^T,  dL/db = that of d_t

    Attributes
    ----------
    units : int
        Values of the state.
    bidirectional : bool
        Whether a second set of as many units goes over the series from its end to its beginning.
        What comes out are the states of the first and then those of the second.
    return_sequences : bool
        Whether the states at all points come out, a series of `units` channels; else the last ones,
        of each direction where it ends.
    recurrent_dropout : float
        Share of the values of h_{t-1} dropped in front of U in training; the same ones at all
        points of a row. The others are divided by 1 - recurrent_dropout.
    truncate : int or None
        Backpropagation through time stops so often: no gradient goes from point `k truncate` to
        the one before, points being counted from 0. None for all the way. Where each point has a
        target, and all layers go forward or look at one point alone, longer series are trained on
        in windows of so many points, with an update behind each; states are carried on.
    activation : {'tanh', 'relu'}
        Name of phi.

    Notes
    -----
    As PyTorch's RNN but for the order of axes, and with one vector of biases instead of a sum of
    two: weights have the shape (channels, units), recurrent weights (units, units).

    J. Elman, "Finding structure in time", Cognitive Science 14, 1990. P. Werbos, "Backpropagation
    through time", Proceedings of the IEEE 78, 1990. Y. Gal and Z. Ghahramani, "A theoretically
    grounded application of dropout in recurrent neural networks", NeurIPS 2016.
    """

    activation: str = "tanh"
    kind: ClassVar[str] = "rnn"
    gates: ClassVar[int] = 1
    planes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation not in ACTIVATIONS:
            known = " or ".join(map(repr, ACTIVATIONS))
            raise ValueError(f"The activation of an RNN is {known}, got {self.activation!r}.")

    @classmethod
    def examples(cls) -> tuple[RNN, ...]:
        """Return small layers of the kind, for tests."""
        return (*super().examples(), cls(3, activation="relu"))
