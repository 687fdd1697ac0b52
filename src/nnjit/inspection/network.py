"""The network as lectures draw it: columns of units joined by lines, or a row of boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from nnjit.inspection._boxes import Box, Row, boxes_of
from nnjit.inspection._cases import Stack, all_values, as_cases, find_stack, is_plain
from nnjit.inspection._drawing import (
    GREY,
    NEGATIVE,
    POSITIVE,
    SEQUENTIAL,
    default_names,
    fit_texts,
    new_axes,
    strongest,
    symmetric_limit,
)
from nnjit.inspection._network import (
    find_network,
    holds_stack,
    known_names,
    layer_names,
    layer_values,
    output_names,
)
from nnjit.layers.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns of at most this many units have room for numbers inside the circles.
NUMBERS_UP_TO = 10
MAX_LINES = 2500
# Inches: of a column's heading, and of a circle with some air beside it.
_HEADING, _MARGIN = 0.8, 0.35
# Inches that boxes go on for in a figure of their own, and that a title needs.
_LINE_OF_BOXES, _TITLE = 13.0, 0.35


class NetworkDisplay:
    """Layers as columns of circles and weights as lines, or layers as a row of boxes.

    Lines are orange for positive and blue for negative weights, the thicker the larger the weight
    beside the largest of its layer. A layer of more than `max_units` units is drawn
    by those with the largest weights, and the picture says so. Given the activations of one row,
    circles are filled by them, each layer on a scale of its own from its lowest to its highest.

    A network for series or images, or of other layers than dense ones, is a row of boxes instead,
    one for the input and for each layer: a series or an image is a stack of planes, which are
    as long and as high as the square roots of its points, and more where there are more channels;
    a vector is a bar. Below each stand its shape, (channels, time) or (channels, height, width),
    what it was given, and how many parameters are trained. Values of one row stand on the fronts,
    of series and images those of the channel with the largest sum of squares; an input of three
    channels is in colours.

    Parameters
    ----------
    coefs : list of ndarray of shape (units of layer i, units of layer i + 1)
        Weights; not drawn of boxes.
    activations : list of ndarray of shape (units of layer i,), default=None
        Values of all layers, inputs included, for one row; behind `network`'s layers in their
        shapes.
    layer_names : list of str, default=None
        One per layer.
    input_names, output_names : list of str, default=None
        One per input, one per output unit. Inputs without names are x0, x1, ...
    network : nnjit.layers.network.Network, default=None
        Layers to draw as boxes; None for columns of units.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib LineCollection
        The weights between each two neighbouring layers.
    units_ : list of matplotlib PathCollection
        The circles of each layer.
    shown_ : list of ndarray of int
        The indices of the units drawn of each layer.
    boxes_ : list of Box
        Of boxes, what is said of the input and of each layer: `name`, `kind`, `shape`, `details`
        (kernel, activation and the like) and `n_parameters`. Empty for columns of units, as
        `planes_` and `images_` are; those of units are empty for boxes.
    planes_ : list of list of matplotlib Rectangle
        The planes of each box, the front one last.
    images_ : list of matplotlib AxesImage
        The values on the front of each box.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import NetworkDisplay
    >>> display = NetworkDisplay([np.eye(3), np.ones((3, 1))]).plot()
    >>> [len(units) for units in display.shown_]
    [3, 3, 1]

    A network for images is a row of boxes:

    >>> from nnjit.layers import Conv, Dense, Flatten
    >>> from nnjit.layers.network import Network
    >>> layers = (Conv(4, 3), Flatten(), Dense(10, "identity"))
    >>> network = Network(64, layers, "log_loss", "softmax", shape=(1, 8, 8))
    >>> display = NetworkDisplay([], network=network).plot()
    >>> [(box.name, box.shape, box.n_parameters) for box in display.boxes_[1:3]]
    [('convolution 0', (4, 8, 8), 40), ('flatten', 256, 0)]
    """

    def __init__(
        self,
        coefs: list[NDArray[Any]],
        *,
        activations: list[NDArray[Any]] | None = None,
        layer_names: list[str] | None = None,
        input_names: Any = None,
        output_names: Any = None,
        network: Network | None = None,
    ) -> None:
        self.coefs = coefs
        self.activations = activations
        self.layer_names = layer_names
        self.input_names = input_names
        self.output_names = output_names
        self.network = network

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Any = None,
        *,
        input_names: Any = None,
        ax: Axes | None = None,
        max_units: int = 12,
    ) -> NetworkDisplay:
        """Draw a fitted network, and the values of its units for the row `x` if one is given.

        Parameters
        ----------
        estimator : estimator
            A fitted MLP or network for series or images, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        x : array-like of shape (n_features,) or (1, n_features), default=None
            One row, as `estimator` takes it; a series or an image in any of its forms.
        input_names : list of str, default=None
            One per input of the network. If None, those the estimator or the steps before it
            know, or x0, x1, ...
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_units : int, default=12
            Most units drawn of a layer; of boxes, most planes, and most names of outputs: of
            more, every second or third one is written.

        Returns
        -------
        NetworkDisplay
            Drawn.

        Raises
        ------
        ValueError
            If `x` is more than one row.
        """
        if holds_stack(estimator):
            display = cls._of_layers(estimator, x, input_names)
            return display.plot(ax=ax, max_units=max_units)
        if x is not None and not hasattr(x, "iloc") and not sp.issparse(x):
            x = np.atleast_2d(x)
        network, rows, _ = find_network(estimator, x)
        activations = None
        if rows is not None:
            if rows.shape[0] != 1:
                raise ValueError(f"The values of one row are drawn; x has {rows.shape[0]} rows.")
            rows = rows.toarray() if sp.issparse(rows) else rows
            activations = [values[0] for values in layer_values(network, rows)]
        display = cls(
            network.coefs_,
            activations=activations,
            layer_names=layer_names(network),
            input_names=known_names(estimator) if input_names is None else input_names,
            output_names=output_names(network),
        )
        return display.plot(ax=ax, max_units=max_units)

    @classmethod
    def _of_layers(cls, estimator: Any, x: Any, input_names: Any) -> NetworkDisplay:
        """Return the display of a network of layers of any kinds, by its engine."""
        stack, rows = find_stack(estimator, None if x is None else as_cases(estimator, x))
        if rows is not None and len(rows) != 1:
            raise ValueError(f"The values of one row are drawn; x has {len(rows)} rows.")
        values = None if rows is None else all_values(stack, rows)
        if not is_plain(stack.network):
            names = _class_names(stack)
            return cls(
                stack.estimator.coefs_,
                activations=values,
                output_names=names,
                network=stack.network,
            )
        kinds = ["dense", *(layer.kind for layer in stack.network.layers)]  # the input is drawn
        return cls(
            stack.estimator.coefs_,
            activations=values and [one for one, kind in zip(values, kinds) if kind == "dense"],
            layer_names=layer_names(stack.estimator),
            input_names=known_names(estimator) if input_names is None else input_names,
            output_names=output_names(stack.estimator),
        )

    def plot(self, ax: Axes | None = None, *, max_units: int = 12) -> NetworkDisplay:
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_units : int, default=12
            Most units drawn of a layer; of boxes, most planes, and most names of outputs: of
            more, every second or third one is written.

        Returns
        -------
        NetworkDisplay
            This display.
        """
        self.shown_: list[NDArray[np.intp]] = []
        self.lines_: list[Any] = []
        self.units_: list[Any] = []
        self.boxes_: list[Box] = []
        self.planes_: list[list[Any]] = []
        self.images_: list[Any] = []
        if self.network is not None:
            return self._plot_boxes(self.network, ax, max_units)
        self.shown_ = self._choose(max_units)
        tallest = max(len(units) for units in self.shown_)
        size = (max(5.6, 1.9 * len(self.shown_)), 1.6 + 0.4 * max(tallest, 5))
        self.ax_ = new_axes("NetworkDisplay", ax, size)
        self.figure_ = self.ax_.figure
        positions = [self._column(i, tallest) for i in range(len(self.shown_))]
        self.lines_ = [self._draw_weights(i, positions) for i in range(len(self.coefs))]
        self.units_ = [self._draw_units(i, positions[i], tallest) for i in range(len(positions))]
        headings = self._write_headings(tallest)
        self.ax_.set_ylim(-2.6, tallest + 0.5)
        self._fit_width(headings, positions, tallest, own=ax is None)
        self.ax_.axis("off")
        return self

    def _plot_boxes(self, network: Network, ax: Axes | None, max_units: int) -> NetworkDisplay:
        """Draw a box for each layer; the axes are measured in inches."""
        if max_units < 1:
            raise ValueError(f"At least one unit has to be drawn, got {max_units}.")
        self.boxes_ = boxes_of(network)
        self.ax_ = new_axes("NetworkDisplay", ax, (6.4, 3.0))
        self.figure_ = self.ax_.figure
        names = [] if self.output_names is None else [*map(str, self.output_names)]
        shortcuts = [(below, number + 1) for below, number in network.shortcuts]
        row = Row(self.ax_, self.boxes_, shortcuts, names, max_units)
        figure: Any = self.figure_
        box = self.ax_.get_window_extent()
        room = box.width / figure.dpi, box.height / figure.dpi
        width, height = row.place(_LINE_OF_BOXES) if ax is None else row.fit(*room)
        self.planes_ = row.draw()
        if self.activations is not None:
            self.images_ = [row.fill(i, values) for i, values in enumerate(self.activations)]
        self.ax_.set_aspect("equal")
        self.ax_.set_xlim(0.0, width)
        self.ax_.set_ylim(-height, 0.0)
        self.ax_.axis("off")
        total = sum(box.n_parameters for box in self.boxes_)
        self.ax_.set_title(f"{len(network.layers)} layers, {total:,} parameters", fontsize="medium")
        if ax is None:
            figure.set_size_inches(width + 0.1, height + _TITLE)
        else:
            row.scale_texts(min(1.0, room[0] / width, room[1] / height))
        return self

    def _choose(self, max_units: int) -> list[NDArray[np.intp]]:
        """Return which units of each layer are drawn: those with the largest weights."""
        shown = []
        for i in range(len(self.coefs) + 1):
            strength = np.zeros(1)
            if i > 0:
                strength = strength + np.square(self.coefs[i - 1]).sum(axis=0)
            if i < len(self.coefs):
                strength = strength + np.square(self.coefs[i]).sum(axis=1)
            shown.append(strongest(strength, max_units))
        return shown

    def _total(self, i: int) -> int:
        return int(self.coefs[0].shape[0] if i == 0 else self.coefs[i - 1].shape[1])

    def _column(self, i: int, tallest: int) -> NDArray[np.float64]:
        """Return the places of a layer's circles, first unit on top, centred in height."""
        n = len(self.shown_[i])
        y = (tallest - 1) / 2 + np.arange(n)[::-1] - (n - 1) / 2
        return np.column_stack([np.full(n, float(i)), y])

    def _draw_weights(self, i: int, positions: list[NDArray[np.float64]]) -> Any:
        from matplotlib.collections import LineCollection

        weights = self.coefs[i][np.ix_(self.shown_[i], self.shown_[i + 1])].ravel()
        weights = np.asarray(weights, dtype=np.float64)
        left = np.repeat(positions[i], len(positions[i + 1]), axis=0)
        right = np.tile(positions[i + 1], (len(positions[i]), 1))
        # The weakest lines first, and below the others.
        order = np.argsort(np.abs(weights), kind="stable")[-MAX_LINES:]
        share = np.abs(weights) / symmetric_limit(weights)
        lines = LineCollection(
            list(np.stack([left, right], axis=1)[order]),
            colors=[NEGATIVE if w < 0 else POSITIVE for w in weights[order]],
            linewidths=list((0.2 + 2.4 * share**1.5)[order]),
            alpha=(0.08 + 0.8 * share**1.5)[order],
            zorder=1,
        )
        self.ax_.add_collection(lines)
        return lines

    def _draw_units(self, i: int, position: NDArray[np.float64], tallest: int) -> Any:
        area = 520.0 if tallest <= NUMBERS_UP_TO else 170.0
        if self.activations is None:
            return self.ax_.scatter(
                position[:, 0],
                position[:, 1],
                s=area,
                c="white",
                edgecolors="black",
                linewidths=1.2,
                zorder=2,
            )
        values = np.asarray(self.activations[i], dtype=np.float64)
        shown = values[self.shown_[i]]
        low, high = values.min(), values.max()
        circles = self.ax_.scatter(
            position[:, 0],
            position[:, 1],
            s=area,
            c=shown,
            cmap=SEQUENTIAL,
            vmin=low,
            vmax=high if high > low else low + 1.0,
            edgecolors="black",
            linewidths=1.2,
            zorder=2,
        )
        if tallest <= NUMBERS_UP_TO:
            middle = (low + high) / 2
            for (x, y), value in zip(position, shown):
                dark = value < middle or high == low
                color = "white" if dark else "black"
                text = f"{value:.2f}" if abs(value) < 10 else f"{value:.3g}"
                self.ax_.text(
                    x, y, text, ha="center", va="center", fontsize=7.5, color=color, zorder=3
                )
        return circles

    def _write_headings(self, tallest: int) -> list[Any]:
        """Write names and sizes of the columns, which are returned, and notes below them."""
        names = self.layer_names or [f"layer {i}" for i in range(len(self.shown_))]
        reduced = False
        headings = []
        for i, (name, units) in enumerate(zip(names, self.shown_)):
            total = self._total(i)
            reduced |= len(units) < total
            count = f"{total} units" if total != 1 else "1 unit"
            if len(units) < total:
                count = f"{len(units)} of {count}"
            headings += [
                self.ax_.text(i, tallest - 0.3, name, ha="center", va="bottom", weight="bold"),
                self.ax_.text(i, -0.65, count, ha="center", va="top", fontsize="small"),
            ]
        notes = ["lines: orange +, blue −, thickness by size within the layer"]
        if self.activations is not None:
            notes.append("fill: value, dark lowest to yellow highest of the layer")
        if reduced:
            notes.append("of large layers, the units with the largest weights")
        self.ax_.text(
            (len(self.shown_) - 1) / 2,
            -1.15,
            "\n".join(notes),
            ha="center",
            va="top",
            fontsize="small",
            color=GREY,
        )
        return headings

    def _fit_width(
        self, headings: list[Any], positions: list[NDArray[np.float64]], tallest: int, own: bool
    ) -> None:
        """Name the units of the first and the last column, and make room for the names."""
        inputs = default_names(self._total(0)) if self.input_names is None else self.input_names
        left = self._write_names(0, positions, inputs, -1)
        right = self._write_names(-1, positions, self.output_names, 1)
        figure: Any = self.figure_
        box = self.ax_.get_window_extent()  # all in inches, by the figure as it is now
        width, row = box.width / figure.dpi, box.height / figure.dpi / (tallest + 3.1)
        n_gaps = len(positions) - 1
        # What the headings leave for the names; half of it at most for the outputs'.
        room = max(6.0 if own else width - _HEADING * n_gaps - 2 * _MARGIN, 0.3 * width)
        right_margin = _MARGIN + fit_texts(right, room / 2, row)
        left_margin = _MARGIN + fit_texts(left, room + _MARGIN - right_margin, row)
        if own:
            width = max(5.6, 1.5 * n_gaps + left_margin + right_margin)
            figure.set_figwidth(width)
        gap = max(width - left_margin - right_margin, 0.25 * width) / n_gaps
        self.ax_.set_xlim(-left_margin / gap, n_gaps + right_margin / gap)
        fit_texts(headings, gap - 0.05, row)

    def _write_names(
        self, column: int, positions: list[NDArray[np.float64]], names: Any, side: int
    ) -> list[Any]:
        if names is None:
            return []
        return [
            self.ax_.annotate(
                str(names[unit]),
                (x, y),
                xytext=(16 * side, 0),
                textcoords="offset points",
                ha="right" if side < 0 else "left",
                va="center",
                fontsize="small",
                color="0.3",
            )
            for unit, (x, y) in zip(self.shown_[column], positions[column])
        ]


def _class_names(stack: Stack) -> Any:
    """Return what the outputs stand for; of a single one which of two classes it is for."""
    if stack.network.target_shape:  # the box has points along its side
        return None
    names = output_names(stack.estimator)
    classes: Any = getattr(stack.estimator, "classes_", ())
    if names is None and len(classes) == 2 and stack.network.outputs == 1:
        return [f"{classes[1]}, else {classes[0]}"]
    return names
