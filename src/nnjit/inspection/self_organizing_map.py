"""A self-organizing map drawn: how far its units are apart, what they stand for, what they hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from nnjit.inspection._drawing import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SEQUENTIAL,
    SKY_BLUE,
    VERMILLION,
    YELLOW,
    default_names,
    new_axes,
    pyplot,
    strongest,
)
from nnjit.inspection._network import innermost, unwrapped
from nnjit.training.map_grid import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MapKind: TypeAlias = Literal["u_matrix", "planes", "hits", "segments"]

_KINDS = ("u_matrix", "planes", "hits", "segments")
_COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY_BLUE, VERMILLION, YELLOW)
# Numbers are written into units of at least so many inches.
_ROOM = 0.3


class SOMDisplay:
    """A self-organizing map: its units drawn where they lie, in one of four ways.

    'u_matrix'
        The mean distance of each unit's weights to those of its neighbours: dark valleys are
        clusters, bright ridges part them.
    'planes'
        The weights, one panel for each feature: where on the map rows have large values of it, and
        which features go together.
    'hits'
        How many rows each unit is nearest to: the size of the inner area goes by the square root of
        their number. If classes are known the colour is that of the most frequent one.
    'segments'
        The segments that units were joined into.

    Parameters
    ----------
    weights : array-like of shape (rows, columns, n_features)
        Weights of the units.
    topology : {"hexagonal", "rectangular"}, default="hexagonal"
        How the units lie.
    periodic : bool, default=False
        Whether the map closes upon itself.
    values : array-like of shape (rows, columns, n_features), default=None
        Weights in the units that the planes are to show; those of the map if None.
    hits : array-like of shape (rows, columns) or (rows, columns, n_classes), default=None
        Number of rows, or of rows of each class.
    segments : array-like of int of shape (rows, columns), default=None
        Segment of each unit.
    classes : array-like of shape (n_classes,), default=None
        Names of the classes.
    feature_names : list of str, default=None
        Names of the features; x0, x1, ... if None.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : list of matplotlib Axes
        All panels: several for 'planes'.
    figure_ : matplotlib Figure
    units_ : list of matplotlib PolyCollection
        The units in each panel, row by row.
    inner_ : matplotlib PolyCollection or None
        The areas that tell the hits.
    features_ : ndarray of int
        The features whose planes are drawn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnjit import SelfOrganizingMap
    >>> from nnjit.inspection import SOMDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> som = SelfOrganizingMap((5, 7)).fit(X)
    >>> display = SOMDisplay.from_estimator(som, X, y, kind="hits")
    >>> display.hits.sum()
    np.int64(150)
    """

    def __init__(
        self,
        weights: ArrayLike,
        *,
        topology: Literal["hexagonal", "rectangular"] = "hexagonal",
        periodic: bool = False,
        values: ArrayLike | None = None,
        hits: Any = None,
        segments: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        feature_names: Any = None,
    ) -> None:
        self.weights = weights
        self.topology = topology
        self.periodic = periodic
        self.values = values
        self.hits = hits
        self.segments = segments
        self.classes = classes
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        kind: MapKind = "u_matrix",
        feature_names: Any = None,
        ax: Axes | None = None,
        max_planes: int = 16,
    ) -> SOMDisplay:
        """Draw a fitted map.

        Parameters
        ----------
        estimator : estimator
            A fitted SelfOrganizingMap, alone or in a Pipeline or a search. Planes are in the units
            of `X` where all steps before it can be inverted (a scaler can).
        X : array-like of shape (n_samples, n_features), default=None
            Rows to count, as `estimator` takes them; 'hits' needs them.
        y : array-like of shape (n_samples,), default=None
            Their classes.
        kind : {"u_matrix", "planes", "hits", "segments"}, default="u_matrix"
            What to draw; see the class.
        feature_names : list of str, default=None
            Names of the features. If None, those the estimator or the steps before it know, or x0,
            x1, ...
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_planes : int, default=16
            Most planes drawn: of the features that differ most over the map, in its own units.

        Returns
        -------
        SOMDisplay
            Drawn.

        Raises
        ------
        TypeError
            If there is no self-organizing map.
        ValueError
            If 'hits' are asked for without X, or 'segments' of a map without.
        """
        som = innermost(estimator)
        if not hasattr(som, "topology"):
            raise TypeError(
                "A SelfOrganizingMap is needed, alone or in a Pipeline or a search; got "
                f"{type(som).__name__}."
            )
        check_is_fitted(som, "weights_")
        values, names = _in_units_of_rows(estimator, som)
        hits, classes = (None, None) if X is None else _counted(estimator, som, X, y)
        display = cls(
            som.weights_,
            topology=som.topology,
            periodic=som.periodic,
            values=values,
            hits=hits,
            segments=getattr(som, "segments_", None) if som.n_clusters is not None else None,
            classes=classes,
            feature_names=names if feature_names is None else feature_names,
        )
        return display.plot(kind, ax=ax, max_planes=max_planes)

    def plot(
        self, kind: MapKind = "u_matrix", *, ax: Axes | None = None, max_planes: int = 16
    ) -> SOMDisplay:
        """Draw the map.

        Parameters
        ----------
        kind : {"u_matrix", "planes", "hits", "segments"}, default="u_matrix"
            What to draw; see the class.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None. 'planes' divides it.
        max_planes : int, default=16
            Most planes drawn: of the features that differ most over the map, in its own units.

        Returns
        -------
        SOMDisplay
            This display.

        Raises
        ------
        ValueError
            If the kind is unknown, or what it shows is not there or of another shape.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}, got {kind!r}.")
        weights = np.asarray(self.weights, dtype=np.float64)
        if weights.ndim != 3:
            raise ValueError(
                f"Weights of shape (rows, columns, n_features) are drawn, got {weights.shape}."
            )
        rows, columns = weights.shape[:2]
        grid = Grid(rows, columns, self.topology == "hexagonal", bool(self.periodic))
        draw: Any = getattr(self, f"_draw_{kind}")
        self.units_: list[Any] = []
        self.inner_: Any = None
        draw(grid, weights, ax, max_planes)
        return self

    # One way each

    def _draw_u_matrix(
        self, grid: Grid, weights: NDArray[np.float64], ax: Axes | None, max_planes: int
    ) -> None:
        self._one_panel(grid, ax)
        first, second = grid.edges()
        flat = weights.reshape(grid.n_units, -1)
        apart = np.sqrt(np.square(flat[first] - flat[second]).sum(axis=1))
        total, count = np.zeros(grid.n_units), np.zeros(grid.n_units)
        for units in (first, second):
            np.add.at(total, units, apart)
            np.add.at(count, units, 1)
        units = self._draw_units(self.ax_, grid, array=total / np.maximum(count, 1))
        self._color_bar(self.ax_, units, label="mean distance to neighbours")
        self.ax_.set_title("U-matrix")

    def _draw_planes(
        self, grid: Grid, weights: NDArray[np.float64], ax: Axes | None, max_planes: int
    ) -> None:
        flat = weights.reshape(grid.n_units, -1)
        self.features_ = strongest(flat.std(axis=0), max_planes)
        values = flat
        if self.values is not None:
            values = np.asarray(self.values, dtype=np.float64).reshape(grid.n_units, -1)
        names = self.feature_names
        if names is None:
            names = default_names(values.shape[1])
        self.axes_ = _panels(ax, len(self.features_), _aspect(grid))
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        for panel, feature in zip(self.axes_, self.features_):
            units = self._draw_units(panel, grid, array=values[:, feature])
            self._color_bar(panel, units)
            panel.set_title(str(names[feature]), fontsize="medium")

    def _draw_hits(
        self, grid: Grid, weights: NDArray[np.float64], ax: Axes | None, max_planes: int
    ) -> None:
        if self.hits is None:
            raise ValueError("kind='hits' needs rows X, or hits.")
        hits = np.asarray(self.hits)
        if hits.shape[:2] != (grid.rows, grid.columns) or hits.ndim > 3:
            raise ValueError(
                f"The map has {grid.rows} x {grid.columns} units, but hits are of shape "
                f"{hits.shape}."
            )
        by_class = hits.reshape(grid.n_units, -1)
        counts = by_class.sum(axis=1)
        self._one_panel(grid, ax)
        self._draw_units(self.ax_, grid, facecolors="#f4f4f4", edgecolors="#d0d0d0")
        sizes = np.sqrt(counts / max(counts.max(), 1))
        classes = None if hits.ndim == 2 else self._class_names(by_class.shape[1])
        colors = [BLUE] * grid.n_units
        if classes is not None:
            colors = [_color(k) for k in by_class.argmax(axis=1)]
        self.inner_ = self._draw_units(
            self.ax_, grid, sizes=0.96 * sizes, facecolors=colors, edgecolors="none", inner=True
        )
        self._write_counts(grid, counts)
        if classes is not None:
            self._legend(classes, "class")
        self.ax_.set_title(f"hits of {int(counts.sum())} rows")

    def _draw_segments(
        self, grid: Grid, weights: NDArray[np.float64], ax: Axes | None, max_planes: int
    ) -> None:
        if self.segments is None:
            raise ValueError("kind='segments' needs a map with n_clusters, or segments.")
        segments = np.asarray(self.segments).reshape(-1)
        if len(segments) != grid.n_units:
            raise ValueError(
                f"The map has {grid.rows} x {grid.columns} units, but segments are of shape "
                f"{np.shape(self.segments)}."
            )
        self._one_panel(grid, ax)
        names, numbers = np.unique(segments, return_inverse=True)
        self._draw_units(self.ax_, grid, facecolors=[_color(k) for k in numbers])
        self._legend([str(name) for name in names], "segment")
        self.ax_.set_title(f"{len(names)} segments")

    # What they share

    def _one_panel(self, grid: Grid, ax: Axes | None) -> None:
        self.ax_ = new_axes("SOMDisplay", ax, _figure_size(grid))
        self.axes_, self.figure_ = [self.ax_], self.ax_.figure

    def _draw_units(
        self,
        ax: Axes,
        grid: Grid,
        *,
        sizes: Any = None,
        array: Any = None,
        inner: bool = False,
        **style: Any,
    ) -> Any:
        """Draw a hexagon or a square for each unit."""
        from matplotlib.collections import PolyCollection

        corners = _corners(grid)[np.newaxis]
        if sizes is not None:
            corners = corners * np.asarray(sizes)[:, np.newaxis, np.newaxis]
        y, x = grid.places()
        vertices: Any = np.column_stack([x, y])[:, np.newaxis] + corners
        if array is not None:  # colours side by side, without gaps
            style = {"cmap": SEQUENTIAL, "edgecolors": "face", "linewidths": 0.3, **style}
        style = {"edgecolors": "white", "linewidths": 0.6, **style}
        units = PolyCollection(vertices, **style)
        if array is not None:
            units.set_array(array)
        ax.add_collection(units)
        if not inner:
            self.units_.append(units)
            _frame(ax, grid)
        return units

    def _color_bar(self, ax: Axes, units: Any, label: str = "") -> None:
        """Draw the scale of the colours, as high as the map."""
        bar = self.figure_.colorbar(units, cax=ax.inset_axes((1.02, 0.0, 0.03, 1.0)), label=label)
        bar.ax.tick_params(labelsize="small" if label else "x-small")

    def _write_counts(self, grid: Grid, counts: NDArray[Any]) -> None:
        """Write the counts into the units, where they are large enough on paper."""
        box, dpi = self.ax_.get_window_extent(), self.figure_.dpi
        wide, high = _extent(grid)
        if min(box.width / wide, box.height / high) < _ROOM * dpi:
            return
        from matplotlib.patheffects import withStroke

        y, x = grid.places()
        for u in np.flatnonzero(counts):
            text = self.ax_.text(x[u], y[u], f"{counts[u]:g}", ha="center", va="center", fontsize=7)
            text.set_path_effects([withStroke(linewidth=1.6, foreground="white")])

    def _class_names(self, n: int) -> list[str]:
        names = list(range(n)) if self.classes is None else list(np.asarray(self.classes))
        if len(names) != n:
            raise ValueError(f"hits are of {n} classes, but there are {len(names)} names.")
        return [str(name) for name in names]

    def _legend(self, names: list[str], title: str) -> None:
        from matplotlib.patches import Patch

        handles = [Patch(color=_color(k), label=name) for k, name in enumerate(names)]
        self.ax_.legend(
            handles=handles,
            title=title,
            fontsize=8,
            title_fontsize=8,
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            ncols=math.ceil(len(names) / 16),
        )


def _color(k: int) -> Any:
    """Return the colour of a class or segment; those after the seventh are lighter and darker."""
    from matplotlib.colors import to_rgb

    color = np.array(to_rgb(_COLORS[k % len(_COLORS)]))
    turn = k // len(_COLORS) % 3
    if turn == 1:
        color = 0.45 * color + 0.55
    elif turn == 2:
        color = 0.55 * color
    return tuple(color)


def _corners(grid: Grid) -> NDArray[np.float64]:
    """Return the corners of a unit around its middle, x and y."""
    if not grid.hexagonal:
        return np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    angles = np.pi / 6 + np.pi / 3 * np.arange(6)
    return np.column_stack([np.cos(angles), np.sin(angles)]) / math.sqrt(3)


def _extent(grid: Grid) -> tuple[float, float]:
    """Return width and height of the map."""
    y, x = grid.places()
    corners = _corners(grid)
    return float(np.ptp(x) + np.ptp(corners[:, 0])), float(np.ptp(y) + np.ptp(corners[:, 1]))


def _aspect(grid: Grid) -> float:
    wide, high = _extent(grid)
    return wide / high


def _figure_size(grid: Grid) -> tuple[float, float]:
    aspect = min(max(_aspect(grid), 0.3), 4.0)
    height = math.sqrt(24.0 / aspect)
    return height * aspect + 1.6, height + 0.5


def _frame(ax: Axes, grid: Grid) -> None:
    """Show the whole map, row 0 on top, without axes."""
    y, x = grid.places()
    corners = _corners(grid)
    margin = 0.05
    ax.set_xlim(x.min() + corners[:, 0].min() - margin, x.max() + corners[:, 0].max() + margin)
    ax.set_ylim(y.max() + corners[:, 1].max() + margin, y.min() + corners[:, 1].min() - margin)
    ax.set_aspect("equal", adjustable="box")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _panels(ax: Axes | None, count: int, aspect: float) -> list[Axes]:
    """Return so many axes in rows; a given one is divided, and becomes the first."""
    plt = pyplot("SOMDisplay")
    columns = math.ceil(math.sqrt(count / min(max(aspect, 0.5), 2.0)))
    rows = math.ceil(count / columns)
    if ax is None:
        size = (2.5 * columns * min(max(aspect, 0.7), 1.6) + 0.4, 2.2 * rows + 0.2)
        figure = plt.figure(figsize=size, layout="constrained")
        grid, first = figure.add_gridspec(rows, columns), None
    else:
        figure, spec, box = ax.figure, ax.get_subplotspec(), ax.get_position()
        edges = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        grid = (
            figure.add_gridspec(rows, columns, **edges)
            if spec is None
            else spec.subgridspec(rows, columns)
        )
        ax.set_subplotspec(grid[0])
        first = ax
    places = [grid[k // columns, k % columns] for k in range(count)]
    axes = [figure.add_subplot(place) for place in places[0 if first is None else 1 :]]
    return axes if first is None else [first, *axes]


def _in_units_of_rows(estimator: Any, som: Any) -> tuple[Any, Any]:
    """Return the weights as rows that the estimator takes, and the names of their features.

    Where a step before the map cannot be inverted, they are as the map has them.
    """
    values = som.weights_.reshape(-1, som.weights_.shape[-1])
    names, own = getattr(som, "feature_names_in_", None), True
    for part in reversed([part for part in unwrapped(estimator) if hasattr(part, "steps")]):
        if len(part.steps) > 1:
            try:
                values = part[:-1].inverse_transform(values)
            except (AttributeError, ValueError, NotImplementedError):
                own = False
                break
    if own:
        names = getattr(estimator, "feature_names_in_", names)
        return np.asarray(values).reshape(*som.weights_.shape[:2], -1), names
    if names is None:
        names = _names_before(estimator, som.n_features_in_)
    return som.weights_, names


def _names_before(estimator: Any, count: int) -> Any:
    """Return the names that the steps of a Pipeline give to what the map gets."""
    for part in unwrapped(estimator):
        if hasattr(part, "steps") and len(part.steps) > 1:
            try:
                names = part[:-1].get_feature_names_out()
            except (AttributeError, ValueError):
                return None
            return names if len(names) == count else None
    return None


def _counted(estimator: Any, som: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Return how many rows, or of each class, are nearest to each unit, and the classes."""
    for part in unwrapped(estimator):
        if len(getattr(part, "steps", ())) > 1:
            X = part[:-1].transform(X)
    units = som.transform(X).argmin(axis=1)
    shape = som.weights_.shape[:2]
    if y is None:
        return np.bincount(units, minlength=math.prod(shape)).reshape(shape), None
    classes, numbers = np.unique(np.asarray(y), return_inverse=True)
    if len(numbers) != len(units):
        raise ValueError(f"X has {len(units)} rows, but y has {len(numbers)}.")
    hits = np.zeros((math.prod(shape), len(classes)), np.int64)
    np.add.at(hits, (units, numbers), 1)
    return hits.reshape(*shape, -1), classes
