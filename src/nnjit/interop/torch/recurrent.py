"""Recurrent layers: PyTorch's RNN, GRU and LSTM over series with the channels first.

Each series is gone over as far as it goes, and backwards from its own end; what is carried on may
be dropped in training, and gradients cut off, as in `nnjit.layers.RNN`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["Recurrent"]

_RUN = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "GRU": torch.gru,
    "LSTM": torch.lstm,
}
_PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Recurrent(nn.Module):
    """States of a recurrent layer: series in, (n, channels, time), and series or last states out.

    Parameters
    ----------
    rnn : torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM
        Of one layer. It holds the parameters.
    return_sequences : bool
        Whether the states at all points come out, (n, units, time), or the last ones, (n, units),
        of each direction where it ends.
    recurrent_dropout : float
        Share of the values of a state dropped in front of the recurrent weights in training.
    truncate : int or None
        After how many points gradients are cut off.
    """

    def __init__(
        self,
        rnn: Any,
        return_sequences: bool,
        recurrent_dropout: float = 0.0,
        truncate: int | None = None,
    ) -> None:
        super().__init__()
        self.rnn, self.return_sequences = rnn, return_sequences
        self.recurrent_dropout, self.truncate = recurrent_dropout, truncate

    def extra_repr(self) -> str:
        """Return what the layer within does not say."""
        return (
            f"return_sequences={self.return_sequences}, recurrent_dropout="
            f"{self.recurrent_dropout:g}, truncate={self.truncate}"
        )

    def forward(self, x: Any, lengths: Any = None) -> Any:
        """Return the states; `lengths` (n,) are the points of each series, None for all."""
        series = x.transpose(1, 2)
        found = [self._one_way(series, lengths, "")]
        if self.rnn.bidirectional:
            turned = _turned(series, lengths)
            states = self._one_way(turned, lengths, "_reverse")
            found.append(_turned(states, lengths) if self.return_sequences else states)
        states = torch.cat(found, dim=-1)
        return states.transpose(1, 2) if self.return_sequences else states

    def _one_way(self, series: Any, lengths: Any, suffix: str) -> Any:
        """Return the states behind all points, or the last ones, of one direction."""
        weights = [getattr(self.rnn, f"{name}_l0{suffix}") for name in _PARAMETERS]
        drops = self.training and self.recurrent_dropout > 0.0
        states = (self._point_by_point if drops else self._whole)(series, weights)
        if self.return_sequences:
            return states
        return states[:, -1] if lengths is None else _at(states, lengths - 1)

    def _whole(self, series: Any, weights: list[Any]) -> Any:
        """Return the states behind all points, by PyTorch's own way through time."""
        run, is_lstm = _RUN[self.rnn.mode], self.rnn.mode == "LSTM"
        start = series.new_zeros(1, series.shape[0], self.rnn.hidden_size)
        state, found = (start, start), []
        parts = (series,) if self.truncate is None else series.split(self.truncate, dim=1)
        for part in parts:
            before = tuple(one.detach() for one in state)
            states, *left = run(
                part, before if is_lstm else before[0], weights, True, 1, 0.0, self.training,
                False, True,
            )  # fmt: skip
            found.append(states)
            state = tuple(left)
        return torch.cat(found, dim=1)

    def _point_by_point(self, series: Any, weights: list[Any]) -> Any:
        """Return the same where values of the states are dropped, the same ones at all points."""
        h = series.new_zeros(series.shape[0], self.rnn.hidden_size)
        state: tuple[Any, ...] = (h, h) if self.rnn.mode == "LSTM" else (h,)
        kept, found = F.dropout(torch.ones_like(h), self.recurrent_dropout), []
        for number, x in enumerate(series.unbind(1)):
            if self.truncate is not None and number % self.truncate == 0:
                state = tuple(one.detach() for one in state)
            state = self._pass(x, state, kept, *weights)
            found.append(state[0])
        return torch.stack(found, dim=1)

    def _pass(
        self, x: Any, state: tuple[Any, ...], kept: Any, w: Any, u: Any, b: Any, c: Any
    ) -> tuple[Any, ...]:
        """Return the state behind a point."""
        h, mode = state[0], self.rnn.mode
        of_x, of_h = F.linear(x, w, b), F.linear(h * kept, u, c)
        if mode == "GRU":
            (r, z, n), (r_h, z_h, n_h) = of_x.chunk(3, 1), of_h.chunk(3, 1)
            z, n = torch.sigmoid(z + z_h), torch.tanh(n + torch.sigmoid(r + r_h) * n_h)
            return ((1.0 - z) * n + z * h,)
        if mode == "LSTM":
            i, f, g, o = (of_x + of_h).chunk(4, 1)
            cell = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(cell), cell
        return ((torch.relu if mode == "RNN_RELU" else torch.tanh)(of_x + of_h),)


def _at(states: Any, points: Any) -> Any:
    """Return the states (n, units) at one point of each series."""
    places = points.clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[2])
    return states.gather(1, places).squeeze(1)


def _turned(series: Any, lengths: Any) -> Any:
    """Return series (n, time, channels) from their own ends to their beginnings."""
    if lengths is None:
        return series.flip(1)
    points, ends = torch.arange(series.shape[1], device=series.device), lengths.view(-1, 1)
    places = torch.where(points < ends, ends - 1 - points, points)
    return series.gather(1, places.unsqueeze(2).expand(-1, -1, series.shape[2]))
