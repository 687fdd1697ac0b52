"""Embeddings of columns: what becomes of numbers and of categories before the first weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnjit.inspection._drawing import BLUE, GREY, SEQUENTIAL, pyplot, strongest
from nnjit.inspection._embeddings import EmbeddedCategory, EmbeddedNumber, embedded_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_PANEL = (4.2, 3.4)  # inches
# Height of the histogram of the rows, as a share of the axes; its bins; the largest point's area.
_STRIP, _BINS, _AREA = 0.16, 40, 120.0


class EmbeddingDisplay:
    r"""What the embeddings of a network make of its columns.

    Of a number (`PeriodicEmbedding`, `PiecewiseLinear` in `nnjit.layers`) each output is a curve
    over the range of the column, the number itself, where it is handed on, a dashed one. Below
    stands how the rows are distributed. The steeper a curve, the more the network can tell there;
    where there are many rows and all curves are flat it cannot.

    The vectors of categories (`Embedding`) are drawn along the two directions in which they differ
    most, their principal axes; the labels say how much of the variance these have. Categories that
    the network takes for similar lie near each other. The area of a point is how many rows have
    the category; those that no row has, whose vectors are as they were drawn at random, are
    circles.

    Parameters
    ----------
    columns : list of EmbeddedNumber or EmbeddedCategory
        What to draw, a panel each.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        Of the panels.
    ax_ : matplotlib Axes
        The first of these.
    figure_ : matplotlib Figure
    lines_ : list of list of matplotlib Line2D
        Of each panel, one for each output of a number's embedding.
    points_ : list of matplotlib PathCollection or None
        Of each panel, the categories.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import EmbeddedNumber, EmbeddingDisplay
    >>> age = np.linspace(0, 80, 50)
    >>> outputs = np.column_stack([age / 80, np.cos(age / 10)])
    >>> display = EmbeddingDisplay([EmbeddedNumber("age", age, outputs)]).plot()
    >>> len(display.lines_[0])
    2
    """

    def __init__(self, columns: Sequence[EmbeddedNumber | EmbeddedCategory]) -> None:
        self.columns = columns

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        features: Any = None,
        max_columns: int = 6,
        member: int | None = None,
        max_labels: int = 30,
        ax: Axes | None = None,
    ) -> EmbeddingDisplay:
        """Draw what the embeddings of a fitted network make of its columns.

        Parameters
        ----------
        estimator : estimator
            A fitted NetworkClassifier or NetworkRegressor whose first layers are embeddings, alone
            or in a Pipeline, TransformedTargetRegressor or search, or a TabularClassifier or
            TabularRegressor.
        X : array-like of shape (n_samples, n_features), default=None
            Rows as `estimator` takes them, by which ranges are chosen and whose distribution is
            drawn.
        features : int, str or list of such, default=None
            Columns to draw, by their numbers in a row as the network gets it or by their names; of
            tables these are the names of encoded columns. If None, the first `max_columns` that
            are embedded.
        max_columns : int, default=6
            Most columns to draw if `features` is None.
        member : int, default=None
            Which of the networks of a table's estimator, each of which has embeddings of its own;
            the first with the most kinds of them if None.
        max_labels : int, default=30
            Most categories of a column to name, those with the most rows.
        ax : matplotlib Axes, default=None
            Where to draw a single column; a new figure if None.

        Returns
        -------
        EmbeddingDisplay
            Drawn.

        Raises
        ------
        TypeError
            If there is no network with embeddings.
        ValueError
            If `features` are none that are embedded, there is no such member, or `ax` is given
            for several columns.
        """
        if max_columns < 1:
            raise ValueError(f"At least one column has to be drawn, got {max_columns=}.")
        found = embedded_columns(cls.__name__, estimator, X, features, max_columns, member)
        return cls(found).plot(ax=ax, max_labels=max_labels)

    def plot(self, ax: Axes | None = None, *, max_labels: int = 30) -> EmbeddingDisplay:
        """Draw the columns.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw a single column; a new figure if None.
        max_labels : int, default=30
            Most categories of a column to name, those with the most rows.

        Returns
        -------
        EmbeddingDisplay
            This display.

        Raises
        ------
        ValueError
            If there are no columns, or several for one `ax`.
        """
        self.axes_ = self._panels(ax)
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self.lines_: list[list[Any]] = []
        self.points_: list[Any] = []
        for axes, column in zip(self.axes_, self.columns):
            numbers = isinstance(column, EmbeddedNumber)
            self.lines_.append(_draw_number(axes, column) if numbers else [])
            self.points_.append(None if numbers else _draw_category(axes, column, max_labels))
        return self

    def _panels(self, ax: Axes | None) -> list[Axes]:
        """Return the axes of all columns."""
        count = len(self.columns)
        if count < 1 or (ax is not None and count > 1):
            raise ValueError(f"One column is drawn to one ax, and one at least; there are {count}.")
        plt = pyplot(type(self).__name__)
        if ax is not None:
            return [ax]
        wide = min(count, _COLUMNS)
        high = math.ceil(count / wide)
        size = (_PANEL[0] * wide, _PANEL[1] * high)
        grid = plt.subplots(high, wide, figsize=size, layout="constrained", squeeze=False)[1]
        for unused in grid.ravel()[count:]:
            unused.set_axis_off()
        return list(grid.ravel()[:count])


def _draw_number(ax: Axes, column: Any) -> list[Any]:
    """Draw the outputs of a number's embedding, and return their lines."""
    from matplotlib import colormaps

    values = np.asarray(column.values, np.float64)
    outputs = np.asarray(column.outputs, np.float64)
    if outputs.ndim != 2 or len(outputs) != len(values):
        raise ValueError(
            f"{len(values)} values of {column.name!r} need as many rows of outputs, got an array "
            f"of shape {outputs.shape}."
        )
    colors = colormaps[SEQUENTIAL](np.linspace(0.0, 0.9, outputs.shape[1]))
    lines = []
    for number, (output, color) in enumerate(zip(outputs.T, colors)):
        itself = np.allclose(output, values, rtol=1e-4, atol=1e-6)
        style: Any = {"color": GREY, "linestyle": "--"} if itself else {"color": color}
        label = "itself" if itself else f"output {number}"
        lines += ax.plot(values, output, linewidth=1.5, label=label, **style)
    if column.rows is not None:
        _draw_rows(ax, np.asarray(column.rows, np.float64))
    ax.set_xlabel(str(column.name))
    ax.set_ylabel("embedding")
    return lines


def _draw_rows(ax: Axes, rows: NDArray[np.float64]) -> None:
    """Draw the distribution of the rows along the lower edge."""
    counts, edges = np.histogram(rows, _BINS)
    ax.stairs(
        _STRIP * counts / counts.max(),
        edges,
        fill=True,
        color=GREY,
        alpha=0.35,
        linewidth=0,
        transform=ax.get_xaxis_transform(),
    )


def _along_principal_axes(
    vectors: NDArray[np.float64], learned: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places along the two principal axes of learned vectors, and their shares of these."""
    basis = vectors[learned] if learned.any() else vectors
    mean = basis.mean(axis=0)
    _, sizes, ways = np.linalg.svd(basis - mean, full_matrices=False)
    ways = ways[:2] * np.sign(ways[:2].sum(axis=1, keepdims=True))  # else as the LAPACK likes
    places = np.zeros((len(vectors), 2))
    places[:, : len(ways)] = (vectors - mean) @ ways.T
    squares = np.pad(np.square(sizes), (0, 2))
    return places, squares[:2] / max(squares.sum(), np.finfo(np.float64).tiny)


def _draw_category(ax: Axes, column: Any, max_labels: int) -> Any:
    """Draw the vectors of categories, and return their points."""
    from matplotlib.colors import to_rgba

    vectors = np.asarray(column.vectors, np.float64)
    if vectors.ndim != 2 or len(column.levels) != len(vectors):
        raise ValueError(
            f"{len(column.levels)} categories of {column.name!r} need as many vectors, got an "
            f"array of shape {vectors.shape}."
        )
    counts = np.ones(len(vectors)) if column.counts is None else np.asarray(column.counts)
    places, shares = _along_principal_axes(vectors, counts > 0)
    largest = max(counts.max(), 1) if column.counts is not None else _AREA / 30
    points = ax.scatter(
        places[:, 0],
        places[:, 1],
        s=np.maximum(12.0, _AREA * counts / largest),
        facecolors=[to_rgba(BLUE, 0.7 * float(count > 0)) for count in counts],
        edgecolors=GREY,
        linewidths=0.8,
    )
    for level in strongest(counts, max_labels) if max_labels else ():
        ax.annotate(
            str(column.levels[level]),
            places[level],
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=7,
        )
    ax.set_xlabel(f"first principal axis ({shares[0]:.0%})")
    if vectors.shape[1] > 1:
        ax.set_ylabel(f"second principal axis ({shares[1]:.0%})")
    else:
        ax.set_yticks([])
    ax.set_title(str(column.name))
    return points
