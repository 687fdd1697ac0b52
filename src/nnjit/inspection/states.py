"""What a recurrent layer carries over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._cases import (
    Stack,
    as_cases,
    case_number,
    case_of,
    draw_case,
    find_arrays,
    recurrent_number,
    valid_points,
)
from nnjit.inspection._drawing import (
    GREY,
    SEQUENTIAL,
    sign_colors,
    stacked_panels,
    strongest,
    symmetric_limit,
    whole_points,
)
from nnjit.inspection._recurrence import layer_name, outputs_over_time, states_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Beside this many states each has its number.
_NUMBERS_UP_TO = 20


class StateDisplay:
    """States of a recurrent layer over time: what it carries from one point of a case to the next.

    Each state is a line of a heat map below the case, or a curve: blue is negative, orange
    positive, white zero; dark to yellow from zero on where none is negative, as of 'relu'. A
    network with a target at every point has its outputs below. Behind the end of a series nothing
    is drawn.

    Parameters
    ----------
    case : array-like of shape (channels, time)
        What the network gets, NaN behind the end of a series.
    values : array-like of shape (states, time)
        The states behind each point. Those of a second direction, which goes over the series from
        its end, come last.
    outputs : array-like of shape (n_outputs, time), default=None
        What the network says at each point.
    layer_name : str, default='recurrent'
        Name of the layer, for the title.
    output_names : list of str, default=None
        One per output.
    bidirectional : bool, default=False
        Whether the second half of the states is of a second direction.

    Attributes
    ----------
    units_ : ndarray of int
        The states drawn.
    ax_ : matplotlib Axes
        The panel of the case.
    axes_ : list of matplotlib Axes
        The panels of the case, of the states and, where there are some, of the outputs.
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
        The states as a heat map, None for curves.
    lines_ : list of matplotlib Line2D
        The states as curves, empty for a heat map.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import StateDisplay
    >>> series = np.sin(np.arange(30.0)).reshape(1, 30)
    >>> states = np.tanh(np.cumsum([series[0], -0.5 * series[0]], axis=1))
    >>> display = StateDisplay(series, states).plot()
    >>> display.units_
    array([0, 1])
    """

    def __init__(
        self,
        case: ArrayLike,
        values: ArrayLike,
        *,
        outputs: ArrayLike | None = None,
        layer_name: str = "recurrent",
        output_names: list[str] | None = None,
        bidirectional: bool = False,
    ) -> None:
        self.case = case
        self.values = values
        self.outputs = outputs
        self.layer_name = layer_name
        self.output_names = output_names
        self.bidirectional = bidirectional

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        case: int = 0,
        *,
        layer: int = -1,
        units: Sequence[int] | None = None,
        max_units: int = 16,
        lines: bool = False,
        ax: Axes | None = None,
    ) -> StateDisplay:
        """Run a case through a fitted network up to a recurrent layer and draw the states.

        Parameters
        ----------
        estimator : estimator
            A fitted network with recurrent layers, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        X : array-like
            Cases, as `estimator` takes them, or one alone.
        case : int, default=0
            Number of the case among them, negative from the last one.
        layer : int, default=-1
            Number of the recurrent layer, negative from the last one. Of a layer that hands on its
            last state alone all are drawn, too.
        units : sequence of int, default=None
            Numbers of the states to draw; None for the `max_units` with the largest sums of
            squares.
        max_units : int, default=16
            Most states drawn.
        lines : bool, default=False
            Whether states are curves and not a heat map.
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; a new figure if None.

        Returns
        -------
        StateDisplay
            Drawn.

        Raises
        ------
        TypeError
            If the network is not one for series.
        ValueError
            If there is no such layer, case or state.
        """
        stack, rows = find_arrays(cls.__name__, estimator, as_cases(estimator, X))
        place = recurrent_number(stack.network, layer)
        number = case_number(rows, case)
        row = rows[number : number + 1]
        given: dict[str, Any] = {}
        if stack.network.target_shape:
            given["outputs"] = outputs_over_time(stack, row)[0]
            given["output_names"] = _output_names(stack)
        display = cls(
            case_of(stack, row[0]),
            states_of(stack, row, place)[0],
            layer_name=layer_name(stack.network, place),
            bidirectional=getattr(stack.network.layers[place], "bidirectional", False),
            **given,
        )
        return display.plot(ax=ax, units=units, max_units=max_units, lines=lines)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        units: Sequence[int] | None = None,
        max_units: int = 16,
        lines: bool = False,
    ) -> StateDisplay:
        """Draw the case, the states and the outputs.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; a new figure if None.
        units : sequence of int, default=None
            Numbers of the states to draw; None for the `max_units` with the largest sums of
            squares.
        max_units : int, default=16
            Most states drawn.
        lines : bool, default=False
            Whether states are curves and not a heat map.

        Returns
        -------
        StateDisplay
            This display.

        Raises
        ------
        ValueError
            If there is no such state, or the states have other points than the case.
        """
        case = np.asarray(self.case, dtype=np.float64)
        values = np.asarray(self.values, dtype=np.float64)
        if case.ndim != 2 or values.ndim != 2 or case.shape[1] != values.shape[1]:
            raise ValueError(
                "A case has the shape (channels, time), and its states (states, time): "
                f"{case.shape} and {values.shape}."
            )
        self.units_ = _chosen(values, units, max_units)
        shares = [1.0, 1.5] if self.outputs is None else [1.0, 1.5, 1.0]
        height = 1.6 * len(shares) + 0.09 * max(len(self.units_), 6)
        self.axes_, bar = stacked_panels("StateDisplay", ax, (7.2, height), shares)
        self.ax_ = self.axes_[0]
        self.figure_: Any = self.ax_.figure
        channels = draw_case(self.ax_, case)
        if len(channels) > 1:
            self._name(self.ax_, channels)
        self.ax_.set_ylabel("input")
        self.ax_.set_title(self._title(len(values)), fontsize="medium")
        self.image_: Any = None
        self.lines_: list[Any] = []
        if lines:
            bar.remove()
            self._draw_lines(self.axes_[1], values)
        else:
            self._draw_heat(self.axes_[1], bar, values)
        if self.outputs is not None:
            self._draw_outputs(self.axes_[2], np.asarray(self.outputs, dtype=np.float64))
        for panel in self.axes_[:-1]:
            panel.tick_params(labelbottom=False)
        self.axes_[-1].set_xlabel("time")
        whole_points(self.axes_[-1])
        self.ax_.set_xlim(-0.5, max(valid_points(case), 1) - 0.5)
        return self

    def _title(self, states: int) -> str:
        title = f"{self.layer_name}: {states} states"
        if self.bidirectional:
            title = f"{self.layer_name}: {states // 2} states forward, {states // 2} backward"
        if len(self.units_) < states:
            title += f", {len(self.units_)} drawn"
        return title

    def _is_backward(self, unit: int) -> bool:
        return self.bidirectional and 2 * unit >= len(np.asarray(self.values))

    def _draw_heat(self, ax: Axes, bar: Axes, values: NDArray[np.float64]) -> None:
        shown = values[self.units_]
        limit = symmetric_limit(shown[np.isfinite(shown)])
        signed = bool((shown < 0).any())
        self.image_ = ax.imshow(
            shown,
            aspect="auto",
            interpolation="nearest",
            cmap=sign_colors() if signed else SEQUENTIAL,
            vmin=-limit if signed else 0.0,
            vmax=limit,
            extent=(-0.5, values.shape[1] - 0.5, len(shown) - 0.5, -0.5),
        )
        ticks = np.arange(0, len(shown), max(1, math.ceil(len(shown) / _NUMBERS_UP_TO)))
        ax.set_yticks(ticks, [str(self.units_[i]) for i in ticks], fontsize="small")
        ax.set_ylabel("state")
        forward = sum(not self._is_backward(unit) for unit in self.units_)
        if 0 < forward < len(shown):
            ax.axhline(forward - 0.5, color="black", lw=1.0)
        self.figure_.colorbar(self.image_, cax=bar, label="state")

    def _draw_lines(self, ax: Axes, values: NDArray[np.float64]) -> None:
        self.lines_ = draw_case(ax, values[self.units_])
        for unit, line in zip(self.units_, self.lines_):
            line.set_label(str(unit))
            line.set_linestyle("--" if self._is_backward(unit) else "-")
        ax.axhline(0.0, color="0.8", lw=0.8, zorder=0)
        ax.set_ylabel("state")
        self._name(ax, self.lines_)

    def _draw_outputs(self, ax: Axes, outputs: NDArray[np.float64]) -> None:
        drawn = draw_case(ax, outputs)
        names = self.output_names or [f"output {i}" for i in range(len(outputs))]
        for name, line in zip(names, drawn):
            line.set_label(str(name))
        ax.set_ylabel("output")
        if len(drawn) > 1 or self.output_names is not None:
            self._name(ax, drawn)

    def _name(self, ax: Axes, lines: list[Any]) -> None:
        """Write the names of some lines, beside them where the figure makes room for that."""
        if lines[0].get_color() == GREY:  # too many
            return
        place: dict[str, Any] = {"loc": "upper right"}
        if self.figure_.get_layout_engine() is not None:
            place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.03), "frameon": False}
        ax.legend(handles=lines, fontsize="small", **place)


def _chosen(
    values: NDArray[np.float64], units: Sequence[int] | None, max_units: int
) -> NDArray[np.intp]:
    """Return the numbers of the states to draw."""
    if units is None:
        return strongest(np.square(np.nan_to_num(values)).sum(axis=1), max_units)
    chosen = np.asarray(units)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu":
        raise ValueError(f"units is a sequence of at least one int, got {units!r}.")
    if not ((-len(values) <= chosen) & (chosen < len(values))).all():
        raise ValueError(
            f"There are {len(values)} states: units must be from {-len(values)} to "
            f"{len(values) - 1}, got {chosen.tolist()}."
        )
    return np.asarray(chosen % len(values), np.intp)


def _output_names(stack: Stack) -> list[str] | None:
    """Return names of the outputs at a point: of classes, else None."""
    classes = getattr(stack.estimator, "classes_", None)
    if classes is None:
        return None
    names = classes[1:] if stack.network.outputs == 1 else classes
    return [f"class {name}" for name in names]
