"""Where the bumps of a radial-basis-function network lie, and how far they reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._drawing import (
    BLUE,
    GREEN,
    GREY,
    NEGATIVE,
    ORANGE,
    POSITIVE,
    PURPLE,
    SEQUENTIAL,
    SKY_BLUE,
    VERMILLION,
    YELLOW,
    default_names,
    new_axes,
)
from nnjit.inspection._network import find_network, known_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLASS_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE, YELLOW)


class CentersDisplay:
    r"""Centres of a radial layer as points, each with a circle as far as it reaches.

    The radius is the width s of the bump, where it has fallen to exp(-1/2) = 0.61 of its height.
    Of more than two features two are drawn: the circles are then cuts through the centres.

    The colour of a circle says what its output weights are for: the class whose weight is the
    largest, or the sign of the weight of a regressor (blue negative, orange positive); grey where
    there is no single such thing.

    Parameters
    ----------
    centers : array-like of shape (n_centers, n_features)
        Centres.
    widths : array-like of shape (n_centers,)
        Widths.
    weights : array-like of shape (n_centers, n_outputs), default=None
        Weights of the output layer.
    classes : array-like of shape (n_classes,), default=None
        Class labels; None for a regressor. With two classes one output will do, which is positive
        for the second.
    X : array-like of shape (n_samples, n_features), default=None
        Rows to draw behind the circles.
    y : array-like of shape (n_samples,), default=None
        Their classes, or their values.
    feature_names : list of str, default=None
        Names of the features; x0, x1, ... if None.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    circles_ : list of matplotlib Circle
        In the order of the centres.
    points_ : matplotlib PathCollection
        The centres.
    rows_ : list of matplotlib PathCollection
        The rows of X: of each class, or all of them.

    Examples
    --------
    >>> from nnjit.inspection import CentersDisplay
    >>> display = CentersDisplay([[0, 0], [3, 1]], [1, 2], weights=[[0.5], [-2]]).plot()
    >>> [circle.radius for circle in display.circles_]
    [1.0, 2.0]
    """

    def __init__(
        self,
        centers: ArrayLike,
        widths: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        feature_names: Any = None,
    ) -> None:
        self.centers = centers
        self.widths = widths
        self.weights = weights
        self.classes = classes
        self.X = X
        self.y = y
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        features: tuple[int, int] = (0, 1),
        feature_names: Any = None,
        ax: Axes | None = None,
    ) -> CentersDisplay:
        """Draw the centres of a fitted radial-basis-function network.

        Parameters
        ----------
        estimator : estimator
            A fitted RBFClassifier or RBFRegressor, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        X : array-like of shape (n_samples, n_features), default=None
            Rows to draw behind the circles, as `estimator` takes them. They are drawn as the
            network gets them: scaled, if a scaler comes before it.
        y : array-like of shape (n_samples,), default=None
            Their classes, or their values.
        features : tuple of int, default=(0, 1)
            The two features to draw, by their numbers.
        feature_names : list of str, default=None
            Names of the network's inputs. If None, those the estimator or the steps before it
            know, or x0, x1, ...
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        CentersDisplay
            Drawn.

        Raises
        ------
        TypeError
            If there is no network with centres.
        ValueError
            If there are fewer than two features or not those asked for.
        """
        network, X, y = find_network(estimator, X, y, any_kind=True)
        if not hasattr(network, "centers_"):
            raise TypeError(
                "A network with centres is needed (RBFClassifier or RBFRegressor), got "
                f"{type(network).__name__}."
            )
        classes = getattr(network, "classes_", None)
        outputs = network.coefs_.shape[1]
        if isinstance(classes, list) or (classes is not None and outputs not in (1, len(classes))):
            classes = None
        display = cls(
            network.centers_,
            network.widths_,
            weights=network.coefs_,
            classes=classes,
            X=X,
            y=y if y is None or np.ndim(y) == 1 else None,
            feature_names=known_names(estimator) if feature_names is None else feature_names,
        )
        return display.plot(ax=ax, features=features)

    def plot(self, ax: Axes | None = None, *, features: tuple[int, int] = (0, 1)) -> CentersDisplay:
        """Draw the centres and their reach.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        features : tuple of int, default=(0, 1)
            The two features to draw, by their numbers.

        Returns
        -------
        CentersDisplay
            This display.

        Raises
        ------
        ValueError
            If there are fewer than two features or not those asked for, or shapes do not go
            together.
        """
        centers, widths, columns = self._checked(features)
        names = self.feature_names
        if names is None:
            names = default_names(centers.shape[1])
        self.ax_ = new_axes("CentersDisplay", ax, (6.8, 6.0))
        self.figure_ = self.ax_.figure
        self.rows_ = [] if self.X is None else self._draw_rows(columns)
        self._draw_circles(centers[:, columns], widths)
        self.ax_.set_aspect("equal", adjustable="box")
        self.ax_.autoscale_view()
        self.ax_.set_xlabel(str(names[columns[0]]))
        self.ax_.set_ylabel(str(names[columns[1]]))
        self.ax_.set_title(f"{len(centers)} centres, each with a circle of its width")
        self._draw_legend()
        return self

    def _checked(
        self, features: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], list[int]]:
        """Return centres, widths and the two columns."""
        centers = np.asarray(self.centers, dtype=np.float64)
        widths = np.asarray(self.widths, dtype=np.float64)
        if centers.ndim != 2 or centers.shape[1] < 2:
            raise ValueError(
                f"Centres with two features or more are drawn, got an array of shape "
                f"{centers.shape}."
            )
        if widths.shape != (len(centers),):
            raise ValueError(f"{len(centers)} centres need as many widths, got {widths.shape}.")
        columns = [int(feature) for feature in features]
        if len(columns) != 2 or not all(0 <= column < centers.shape[1] for column in columns):
            raise ValueError(
                f"features must be two numbers from 0 to {centers.shape[1] - 1}, got {features!r}."
            )
        return centers, widths, columns

    def _draw_rows(self, columns: list[int]) -> list[Any]:
        at = np.asarray(self.X)[:, columns].astype(np.float64)
        left, up = at.T
        style: Any = {"s": 9, "linewidths": 0, "alpha": 0.55, "zorder": 1}
        if self.y is None:
            return [self.ax_.scatter(left, up, color=GREY, **style)]
        labels = np.asarray(self.y)
        if self.classes is None:
            rows = self.ax_.scatter(left, up, c=labels, cmap=SEQUENTIAL, **style)
            self.figure_.colorbar(rows, ax=self.ax_, label="target", fraction=0.046, pad=0.03)
            return [rows]
        return [
            self.ax_.scatter(left[own], up[own], color=_class_color(k), **style)
            for k, own in enumerate(labels == name for name in np.asarray(self.classes))
        ]

    def _draw_circles(self, centers: NDArray[np.float64], widths: NDArray[np.float64]) -> None:
        from matplotlib.patches import Circle

        colors = self._circle_colors(len(centers))
        self.circles_ = [
            Circle((x, y), float(width), facecolor="none", edgecolor=color, linewidth=1.2, zorder=2)
            for (x, y), width, color in zip(centers, widths, colors)
        ]
        for circle in self.circles_:
            self.ax_.add_patch(circle)
        self.points_ = self.ax_.scatter(
            centers[:, 0],
            centers[:, 1],
            s=34,
            c=colors,
            edgecolors="white",
            linewidths=0.8,
            zorder=3,
        )

    def _circle_colors(self, n: int) -> list[str]:
        if self.weights is None:
            return [GREY] * n
        weights = np.asarray(self.weights, dtype=np.float64)
        weights = weights[:, np.newaxis] if weights.ndim == 1 else weights
        if len(weights) != n:
            raise ValueError(f"{n} centres need as many rows of weights, got {len(weights)}.")
        if weights.shape[1] == 1 and self.classes is None:
            return [POSITIVE if weight > 0 else NEGATIVE for weight in weights[:, 0]]
        if self.classes is None:
            return [GREY] * n
        if weights.shape[1] == 1:
            weights = np.hstack([-weights, weights])
        return [_class_color(k) for k in weights.argmax(axis=1)]

    def _draw_legend(self) -> None:
        from matplotlib.lines import Line2D

        if self.weights is None:
            return
        if self.classes is not None:
            meaning = {
                str(name): _class_color(k) for k, name in enumerate(np.asarray(self.classes))
            }
            title = "class of the largest weight"
        elif np.asarray(self.weights).reshape(len(self.circles_), -1).shape[1] == 1:
            meaning, title = {"positive": POSITIVE, "negative": NEGATIVE}, "output weight"
        else:
            return
        handles = [
            Line2D([], [], linestyle="", marker="o", color=color, label=label)
            for label, color in meaning.items()
        ]
        self.ax_.legend(handles=handles, title=title, fontsize=8, title_fontsize=8)


def _class_color(k: int) -> str:
    return _CLASS_COLORS[k % len(_CLASS_COLORS)]
