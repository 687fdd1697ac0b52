"""Which boxes stand for the layers of a network, and their drawing as a row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnjit.inspection._cases import blocks_of
from nnjit.inspection._drawing import GREY, SEQUENTIAL, extent
from nnjit.layers.layer import Layer, Shape
from nnjit.layers.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Pale, and told apart by their lightness as well; kinds that are not here are white.
_COLORS = {
    "input": "#F2F2F2",
    "convolution": "#A9D3F2",
    "pooling": "#F7D998",
    "global_pooling": "#F7D998",
    "dense": "#A6DCC9",
    "radial": "#A6DCC9",
    "normalization": "#E8CBDB",
    "rnn": "#F4BFA6",
    "gru": "#F4BFA6",
    "lstm": "#F4BFA6",
}
# All in inches: the longest side of an image; the upright side of a series; a vector's width; from
# one plane of a stack to the next; between two boxes; below headings; the margin.
_SIDE, _STRIP, _BAR, _STEP, _GAP, _AIR, _MARGIN = 1.1, 0.2, 0.2, 0.045, 0.32, 0.12, 0.15
_ARC = 0.22  # for the arcs of residual layers
_LINE = 0.14  # of class names
_FONT = 8.0


class Box(NamedTuple):
    """What is said of a layer.

    Attributes
    ----------
    name : str
        Its kind, numbered where it has weights; 'input', and 'output' of the last one.
    kind : str
    shape : int or tuple of int
        Of what comes out.
    details : list of str
        What it was given: kernel, activation and the like.
    n_parameters : int
        Parameters that are trained.
    """

    name: str
    kind: str
    shape: Shape
    details: list[str]
    n_parameters: int

    @property
    def text(self) -> str:
        """What stands below the box."""
        lines = [_product(self.shape), *self.details]
        if self.kind != "input":
            lines += [_parameters(self.n_parameters)]
        return "\n".join(lines)


def _product(sizes: Shape) -> str:
    return "×".join(map(str, sizes if isinstance(sizes, tuple) else (sizes,)))


def _parameters(count: int) -> str:
    if count == 0:
        return "no parameters"
    return f"{count:,} parameter{'s' if count > 1 else ''}"


def boxes_of(network: Network) -> list[Box]:
    """Return what is said of the input and of every layer."""
    names = {block.place: block.name for block in blocks_of(network)}
    found = [Box("input", "input", network.shapes[0], [], 0)]
    for place, layer in enumerate(network.layers):
        name = names.get(place, layer.kind.replace("_", " "))
        details = _details(layer, network.shapes[place])
        if layer.kind == "residual":
            below = place - layer.span  # type: ignore[attr-defined]
            details = ["+ input of", names.get(below, network.layers[below].kind)]
        if place == len(network.layers) - 1 and network.loss:
            details = _activation(network.output)
        parameters = layer.parameters(network.shapes[place])
        count = sum(one.size for one in parameters if one.trained)
        found.append(Box(name, layer.kind, network.shapes[place + 1], details, count))
    return found


def _activation(name: str) -> list[str]:
    return [] if name == "identity" else [name]


def _details(layer: Any, inputs: Shape) -> list[str]:
    """Return what a layer was given, where it says something."""
    if layer.kind == "convolution":
        kernel = tuple(kernel for _, kernel, _, _ in layer.axes(inputs))
        size = _product(kernel) if len(kernel) > 1 else f"kernel {kernel[0]}"
        return [size, *_others(layer, ("filters", "kernel_size"))]
    if layer.kind == "pooling":
        windows = tuple(size for _, size, _ in layer.axes(inputs))
        return [f"{layer.method} {_product(windows)}", *_others(layer, ("method", "size"))]
    if layer.kind in ("global_pooling", "normalization"):
        return [layer.method, *_activation(getattr(layer, "activation", "identity"))]
    if layer.kind == "embedding":
        count = len(layer.levels)
        columns = "1 column" if count == 1 else f"{count} columns"
        return [f"{columns} to {layer.dimension}", *_others(layer, ("levels", "dimension"))]
    return _others(layer, ("units",))


def _others(layer: Layer, known: Sequence[str]) -> list[str]:
    """Return the attributes beside these that are not at their defaults, the activation always."""
    said = []
    for field in fields(layer):  # type: ignore[arg-type]
        value = getattr(layer, field.name)
        if field.name == "activation":
            said += _activation(value)
        elif field.name not in known and value != field.default:
            sizes = _product(value) if isinstance(value, tuple) else f"{value}"
            said.append(field.name if value is True else f"{field.name} {sizes}")
    return said


class Solid(NamedTuple):
    """The size of a box, in inches: that of its front, and the planes behind one another."""

    width: float
    height: float
    planes: int

    @property
    def depth(self) -> float:
        """What the planes behind the first one add to width and height."""
        return (self.planes - 1) * _STEP


def solid(shape: Shape, largest: int, most: int) -> Solid:
    """Return the size of what is drawn for a shape.

    Parameters
    ----------
    shape : int or tuple of int
    largest : int
        The most points along any axis of the network.
    most : int
        Most planes.

    Returns
    -------
    Solid
    """
    if not isinstance(shape, tuple):
        return Solid(_BAR, min(0.25 + 0.2 * math.log2(shape), 2.4), 1)
    channels, *points = shape
    sides = [max(_SIDE * math.sqrt(n / largest), 0.12) for n in points]
    height, width = sides if len(sides) == 2 else (_STRIP, sides[0])
    return Solid(width, height, min(channels, most, 1 + int(2 * math.log2(channels))))


class Place(NamedTuple):
    """Where a box is: the middle of what is drawn, and the line of boxes that it is in."""

    x: float
    y: float
    line: int
    left: float  # end of the column that the box has for itself


class Row:
    """Boxes from left to right, in as many lines as it takes.

    Parameters
    ----------
    ax : Axes
    boxes : list of Box
    shortcuts : sequence of (int, int)
        Boxes whose outputs are added in others.
    names : list of str
        Of the units of the last box.
    most : int
        Most planes of a stack, and most names: more than that are every second or third one.
    """

    def __init__(
        self,
        ax: Axes,
        boxes: list[Box],
        shortcuts: Sequence[tuple[int, int]],
        names: list[str],
        most: int,
    ) -> None:
        self.ax, self.boxes, self.shortcuts, self.names = ax, boxes, shortcuts, names
        points = [n for box in boxes if isinstance(box.shape, tuple) for n in box.shape[1:]]
        self.solids = [solid(box.shape, max(points, default=1), most) for box in boxes]
        self.named = range(0, len(names), max(1, math.ceil(len(names) / most)))
        last = self.solids[-1]
        self.solids[-1] = last._replace(height=max(last.height, _LINE * len(self.named)))
        self.heads = [self._text(box.name, "bottom", weight="bold") for box in boxes]
        self.feet = [self._text(box.text, "top") for box in boxes]
        self.labels = [self._text(names[i], "center", ha="left") for i in self.named]

    def _text(self, text: str, va: Any, **kwargs: Any) -> Any:
        style = {"ha": "center", "fontsize": _FONT, "color": "0.15", **kwargs}
        return self.ax.text(0.0, 0.0, text, va=va, **style)

    def fit(self, width: float, height: float) -> tuple[float, float]:
        """Place all boxes in lines that fit best into so many inches; return the size."""
        rooms = [width * share for share in np.geomspace(1.0, 8.0, 13)]

        def scale(room: float) -> float:
            needed = self.place(room)
            return min(width / needed[0], height / needed[1])

        return self.place(max(rooms, key=scale))

    def place(self, room: float) -> tuple[float, float]:
        """Find the places of all boxes in lines of at most so many inches; return the size."""
        lines = self._lines(room)
        width, top = 0.0, 0.0
        self.places: list[Place] = []
        for number, line in enumerate(lines):
            above, below = self._heights(line)
            x, y = _MARGIN, top - above
            for i in line:
                self.places.append(Place(x + self._column(i) / 2, y, number, x))
                x += self._column(i) + _GAP
            beside = extent(self.labels)[0] if i == len(self.boxes) - 1 else 0.0
            width, top = max(width, x - _GAP + beside), y - below
        return width + _MARGIN, -top

    def _column(self, i: int) -> float:
        texts = extent([self.heads[i], self.feet[i]])[0]
        return max(self.solids[i].width + self.solids[i].depth, texts)

    def _lines(self, room: float) -> list[list[int]]:
        """Return the boxes of as few lines as it takes, about as wide as one another."""
        count = len(self._filled(room))
        limit = sum(map(self._column, range(len(self.boxes)))) / count
        while len(self._filled(limit)) > count:
            limit *= 1.03
        return self._filled(limit)

    def _filled(self, room: float) -> list[list[int]]:
        """Return the boxes of each line if as many are put into each as there is room for."""
        lines: list[list[int]] = [[]]
        filled = 0.0
        for i in range(len(self.boxes)):
            column = self._column(i) + _GAP
            if lines[-1] and filled + column > room:
                lines.append([])
                filled = 0.0
            lines[-1].append(i)
            filled += column
        return lines

    def _heights(self, line: list[int]) -> tuple[float, float]:
        """Return what a line needs above and below its middle."""
        body = self._half(line) + (_ARC if self._arcs(line) else 0.0)
        head = extent([self.heads[i] for i in line])[1]
        foot = extent([self.feet[i] for i in line])[1]
        return body + head + 2 * _AIR, self._half(line) + foot + 2 * _AIR

    def _half(self, line: Sequence[int]) -> float:
        return max(self.solids[i].height + self.solids[i].depth for i in line) / 2

    def _arcs(self, line: Sequence[int]) -> list[tuple[int, int]]:
        return [(a, b) for a, b in self.shortcuts if a in line and b in line]

    def draw(self) -> list[list[Any]]:
        """Draw boxes, texts and arrows; return the planes of each box, the front one last."""
        planes = [self._draw_box(i) for i in range(len(self.boxes))]
        for number in range(self.places[-1].line + 1):
            line = [i for i, place in enumerate(self.places) if place.line == number]
            self._write(line)
            for pair in self._arcs(line):
                self._draw_arc(*pair, self._half(line))
        for i in range(1, len(self.boxes)):
            end = self.places[i].left + (self._column(i) - self.solids[i].width) / 2
            end -= self.solids[i].depth / 2
            self._draw_arrow(self._right(i - 1, i), end - 0.04, self.places[i].y)
        self._write_names()
        return planes

    def _right(self, i: int, following: int) -> float:
        """Return where the arrow to the next box begins."""
        if self.places[i].line != self.places[following].line:
            return 0.0
        return self.places[i].x + (self.solids[i].width + self.solids[i].depth) / 2 + 0.04

    def _draw_arrow(self, start: float, end: float, y: float) -> None:
        style = {"arrowstyle": "-|>", "color": GREY, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
        self.ax.annotate("", (end, y), (start, y), arrowprops=style)

    def front(self, i: int) -> tuple[float, float, float, float]:
        """Return left, right, bottom and top of the front of a box."""
        size, place = self.solids[i], self.places[i]
        left = place.x - (size.width + size.depth) / 2
        bottom = place.y - (size.height + size.depth) / 2
        return left, left + size.width, bottom, bottom + size.height

    def _draw_box(self, i: int) -> list[Any]:
        from matplotlib.patches import Rectangle

        size, (left, _, bottom, _) = self.solids[i], self.front(i)
        planes = []
        for number in range(size.planes - 1, -1, -1):
            corner = (left + number * _STEP, bottom + number * _STEP)
            color = _COLORS.get(self.boxes[i].kind, "white")
            plane = Rectangle(
                corner, size.width, size.height, facecolor=color, edgecolor="0.25", lw=0.7, zorder=2
            )
            planes.append(self.ax.add_patch(plane))
        return planes

    def _write(self, line: list[int]) -> None:
        """Put the texts above and below the boxes of a line."""
        half, arcs = self._half(line), _ARC if self._arcs(line) else 0.0
        for i in line:
            x, y, *_ = self.places[i]
            self.heads[i].set_position((x, y + half + arcs + _AIR))
            self.feet[i].set_position((x, y - half - _AIR))

    def _draw_arc(self, first: int, last: int, half: float) -> None:
        """Draw the way around the layers between: up, across and down into a box."""
        ends = []
        for i, side in ((first, 0.06), (last, -0.06)):
            top = self.places[i].y + (self.solids[i].height + self.solids[i].depth) / 2
            ends.append((self.places[i].x + side + self.solids[i].depth / 2, top + 0.02))
        (left, start), (right, end) = ends
        level = self.places[first].y + half + 0.7 * _ARC
        self.ax.plot([left, left, right], [start, level, level], color=GREY, lw=0.8)
        style = {"arrowstyle": "-|>", "color": GREY, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
        self.ax.annotate("", (right, end), (right, level), arrowprops=style)

    def _write_names(self) -> None:
        """Put the names beside their places on the last box, the first on top."""
        _, right, bottom, top = self.front(len(self.boxes) - 1)
        cell = (top - bottom) / max(len(self.names), 1)
        for number, label in zip(self.named, self.labels, strict=True):
            label.set_position((right + 0.06, top - (number + 0.5) * cell))

    def scale_texts(self, factor: float) -> None:
        """Make all texts smaller."""
        for text in (*self.heads, *self.feet, *self.labels):
            text.set_fontsize(_FONT * factor)

    def fill(self, i: int, values: NDArray[Any]) -> Any:
        """Draw values on the front of a box, from the lowest of its layer to its highest."""
        left, right, bottom, top = self.front(i)
        there = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
        low, high = there.min(), there.max()
        picture = front_values(values)
        if i == 0 and values.ndim == 3 and len(values) == 3:
            picture = (values.transpose(1, 2, 0) - low) / (high - low if high > low else 1.0)
        image = self.ax.imshow(
            picture,
            cmap=SEQUENTIAL,
            vmin=low,
            vmax=high if high > low else low + 1.0,
            extent=(left, right, bottom, top),
            interpolation="nearest",
            zorder=3,
        )
        return image


def front_values(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return what is drawn of a layer's values: all of a vector, else the strongest channel."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 1:
        return values[:, np.newaxis]
    strength = np.nansum(np.square(values).reshape(len(values), -1), axis=1)
    strongest: NDArray[np.float64] = values[int(np.argmax(strength))]
    return strongest if strongest.ndim == 2 else strongest[np.newaxis]
