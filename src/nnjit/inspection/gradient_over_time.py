"""How much gradient reaches each point of time: vanishing and exploding gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._cases import find_arrays, recurrent_number
from nnjit.inspection._drawing import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILLION,
    new_axes,
    whole_points,
)
from nnjit.inspection._network import check_loss, find_network
from nnjit.inspection._recurrence import layer_name, state_gradients
from nnjit.inspection.gradient_check import engine_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE)
_CURVE = "gradient over time"


class GradientOverTimeDisplay:
    r"""Norm of the loss gradient by a recurrent layer's state at each point of time.

    .. math:: \| \partial L / \partial h_t \|, \quad \frac{\partial L}{\partial h_{t-1}} =
        \frac{\partial h_t}{\partial h_{t-1}}^T \frac{\partial L}{\partial h_t} + \text{(what
        layers above read of } h_{t-1})

    Norms that fall by orders of magnitude towards the beginning are a vanishing gradient, norms
    that grow an exploding one. Drawn again on the same axes, displays compare networks.

    Parameters
    ----------
    norms : array-like of shape (time,) or (n_curves, time)
        Euclidean norms, NaN where there is nothing to draw.
    labels : list of str, default=None
        What the curves are.
    layer_name : str, default=None
        Name of the layer, for the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The curves.
    zeros_ : list of matplotlib Line2D
        Marks at the foot of the axes of the points where a curve is zero.

    Examples
    --------
    >>> from nnjit.inspection import GradientOverTimeDisplay
    >>> display = GradientOverTimeDisplay([1e-3, 1e-2, 1e-1]).plot()  # it vanishes
    >>> display.lines_[0].get_ydata()
    array([0.001, 0.01 , 0.1  ])
    """

    def __init__(
        self,
        norms: ArrayLike,
        *,
        labels: Sequence[str] | None = None,
        layer_name: str | None = None,
    ) -> None:
        self.norms = norms
        self.labels = labels
        self.layer_name = layer_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        layer: int = -1,
        point: int | None = None,
        name: str | None = None,
        ax: Axes | None = None,
    ) -> GradientOverTimeDisplay:
        """Draw how much of the loss's gradient gets to the states at each point of time.

        The gradient is that of the loss of each case by itself, L2 term left out; of several
        cases the root of the mean squared norm is drawn, at each point of the cases that have it.
        Nothing is dropped, and batch normalization has its running statistics. Where `truncate`
        of the layer cuts the way back, so it does here. Bidirectional layers have a curve for
        each direction, an LSTM one for its cells c as well as for h.

        Parameters
        ----------
        estimator : estimator
            A fitted network with recurrent layers, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        X : array-like
            Cases, as `estimator` takes them.
        y : array-like
            Their targets.
        layer : int, default=-1
            Number of the recurrent layer, negative from the last one.
        point : int, default=None
            With ``targets="sequence"``, the point whose loss is looked at, negative from the end
            of each case; None for the mean over all points.
        name : str, default=None
            Name of the network, for the legend.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        GradientOverTimeDisplay
            Drawn.

        Raises
        ------
        TypeError
            If the network is not one for series.
        ValueError
            If there is no such layer or point, or a residual layer leads around the layer.
        """
        stack, rows = find_arrays(cls.__name__, estimator, X)
        place = recurrent_number(stack.network, layer)
        if point is not None and not stack.network.target_shape:
            raise ValueError(
                "point is for networks with a target at every point; this one has one for a case."
            )
        part, _, y = find_network(estimator, X, y, any_kind=True)
        check_loss(part)
        target = engine_target(part, stack.network, rows, y)
        if len(target) != len(rows):
            raise ValueError(f"X has {len(rows)} cases, but y {len(target)}.")
        found = state_gradients(stack, rows, target, place, point)
        display = cls(
            _root_mean_square(found),
            labels=_labels(stack.network.layers[place], name),
            layer_name=layer_name(stack.network, place),
        )
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> GradientOverTimeDisplay:
        """Draw the norms on a logarithmic scale.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, beside the curves that are there; a new figure if None.

        Returns
        -------
        GradientOverTimeDisplay
            This display.
        """
        norms = np.atleast_2d(np.asarray(self.norms, dtype=np.float64))
        self.ax_ = new_axes("GradientOverTimeDisplay", ax, (7.2, 3.6))
        self.figure_: Any = self.ax_.figure
        self.ax_.set_yscale("log")
        labels: Sequence[str | None] = self.labels or [None] * len(norms)
        shared = any(line.get_gid() == _CURVE for line in self.ax_.lines)
        self.lines_: list[Any] = []
        self.zeros_: list[Any] = []
        for curve, label in zip(norms, labels, strict=True):
            self._draw(curve, label)
        self.ax_.set_xlabel("time")
        self.ax_.set_ylabel("norm of the loss gradient\nby the state")
        # Curves of layers with several names are told apart by their labels.
        other = shared and self.ax_.get_title() != self.layer_name
        self.ax_.set_title("" if other else self.layer_name or "", fontsize="medium")
        whole_points(self.ax_)
        self.ax_.grid(visible=True, axis="y", color="0.9")
        self.ax_.set_axisbelow(True)
        if any(not text.startswith("_") for text in self.ax_.get_legend_handles_labels()[1]):
            self.ax_.legend(fontsize="small")
        return self

    def _draw(self, norms: NDArray[np.float64], label: str | None) -> None:
        number = sum(line.get_gid() == _CURVE for line in self.ax_.lines)
        color, style = _COLORS[number % len(_COLORS)], "-" if number < len(_COLORS) else "--"
        # A logarithmic scale has no place for zeros.
        positive = np.where(norms == 0, np.nan, norms)
        alone = np.isfinite(positive).sum() < 2
        (line,) = self.ax_.plot(
            positive,
            color=color,
            ls=style,
            lw=1.6,
            marker="o" if alone else "",
            label=label,
            gid=_CURVE,
        )
        self.lines_.append(line)
        zeros = np.flatnonzero(norms == 0)
        if len(zeros):
            (marks,) = self.ax_.plot(
                zeros,
                np.full(len(zeros), 0.02 + 0.025 * number),
                transform=self.ax_.get_xaxis_transform(),
                color=color,
                ls="",
                marker="x",
                ms=4,
                label=None if self._names_zeros() else "zero",
            )
            self.zeros_.append(marks)

    def _names_zeros(self) -> bool:
        return "zero" in self.ax_.get_legend_handles_labels()[1]


def _root_mean_square(gradients: Any) -> NDArray[np.float64]:
    """Return the norms (n_curves, time) of all rows' gradients, direction by direction."""
    rows = [[states for way in row for states in way] for row in gradients]
    time = max(len(row[0]) for row in rows)
    squares = np.full((len(rows), len(rows[0]), time), np.nan)
    for square, row in zip(squares, rows):
        for curve, states in zip(square, row):
            curve[: len(states)] = np.square(states).sum(axis=1)
    return np.asarray(np.sqrt(np.nanmean(squares, axis=0)))


def _labels(layer: Any, name: str | None) -> list[str] | None:
    """Return what the curves of a layer are called."""
    ways = ["forward", "backward"] if layer.bidirectional else [""]
    kinds = ["h", "c"] if layer.states > 1 else [""]
    labels = [" ".join(filter(None, (way, kind))) for way in ways for kind in kinds]
    if len(labels) == 1:
        return None if name is None else [name]
    return labels if name is None else [f"{name}, {label}" for label in labels]
