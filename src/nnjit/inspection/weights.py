"""What the first layer looks at: its weights as images or as a heat map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._drawing import (
    default_names,
    fit_texts,
    new_axes,
    sign_colors,
    strongest,
    symmetric_limit,
)
from nnjit.inspection._network import find_network, known_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches that a figure without a layout leaves beside its axes.
_USUAL_MARGIN = 0.5


class WeightsDisplay:
    """First-layer weights: one image per unit, or features by units.

    Orange is positive, blue negative, white zero, on one scale. Units and features beyond
    `max_units` and `max_features` are left out, the ones with the smallest weights first, and
    the picture says so.

    Parameters
    ----------
    weights : array-like of shape (n_features, n_units)
        Weights of the first layer.
    image_shape : tuple of int, default=None
        Shape of the picture that a row of inputs is; None for a heat map.
    feature_names : list of str, default=None
        Names for the heat map's rows; x0, x1, ... if None.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
    units_ : ndarray of int
        The units drawn.
    features_ : ndarray of int
        The features drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import WeightsDisplay
    >>> display = WeightsDisplay(np.eye(4), image_shape=(2, 2)).plot(max_units=2)
    >>> display.units_
    array([0, 1])
    """

    def __init__(
        self,
        weights: ArrayLike,
        *,
        image_shape: tuple[int, int] | None = None,
        feature_names: Any = None,
    ) -> None:
        self.weights = weights
        self.image_shape = image_shape
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, int] | None = None,
        feature_names: Any = None,
        ax: Axes | None = None,
        max_units: int = 36,
        max_features: int = 30,
    ) -> WeightsDisplay:
        """Draw the first layer of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted MLP, alone or in a Pipeline, TransformedTargetRegressor or search.
        image_shape : tuple of int, default=None
            Shape of the picture that a row of inputs is; None for a heat map.
        feature_names : list of str, default=None
            Names of the network's inputs. If None, those the estimator or the steps before it
            know, or x0, x1, ...
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_units, max_features : int, default=36, 30
            Most units drawn, and most rows of a heat map.

        Returns
        -------
        WeightsDisplay
            Drawn.
        """
        network, _, _ = find_network(estimator)
        if feature_names is None:
            feature_names = known_names(estimator)
        display = cls(network.coefs_[0], image_shape=image_shape, feature_names=feature_names)
        return display.plot(ax=ax, max_units=max_units, max_features=max_features)

    def plot(
        self, ax: Axes | None = None, *, max_units: int = 36, max_features: int = 30
    ) -> WeightsDisplay:
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_units, max_features : int, default=36, 30
            Most units drawn, and most rows of a heat map.

        Returns
        -------
        WeightsDisplay
            This display.

        Raises
        ------
        ValueError
            If `image_shape` does not hold as many pixels as there are features, or the number
            of names differs from that of features.
        """
        weights = np.asarray(self.weights, dtype=np.float64)
        self.units_ = strongest(np.square(weights).sum(axis=0), max_units)
        if self.image_shape is not None:
            self.features_ = np.arange(len(weights))
            self._draw_images(ax, weights)
        else:
            self.features_ = strongest(np.square(weights).sum(axis=1), max_features)
            self._draw_heat_map(ax, weights)
        self.figure_ = self.ax_.figure
        self.figure_.colorbar(
            self.image_, ax=self.ax_, label="weight", fraction=0.046, pad=0.03, aspect=40
        )
        if self.image_shape is None:
            self._make_room_for_names(own=ax is None)
        return self

    def _draw_images(self, ax: Axes | None, weights: NDArray[np.float64]) -> None:
        assert self.image_shape is not None
        height, width = self.image_shape
        if height * width != len(weights):
            raise ValueError(
                f"image_shape={self.image_shape} has {height * width} pixels, but the network "
                f"has {len(weights)} inputs."
            )
        n = len(self.units_)
        columns = math.ceil(math.sqrt(n))
        rows = math.ceil(n / columns)
        # NaN is drawn as the frame between the pictures.
        mosaic = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), np.nan)
        for place, unit in enumerate(self.units_):
            top = place // columns * (height + 1) + 1
            left = place % columns * (width + 1) + 1
            mosaic[top : top + height, left : left + width] = weights[:, unit].reshape(
                height, width
            )
        self.ax_ = new_axes("WeightsDisplay", ax, (6.4, 0.8 + 5.2 * rows / columns))
        self._show(mosaic)
        self.ax_.set_xticks([])
        self.ax_.set_yticks([])
        self.ax_.set_title(self._heading(weights, "first-layer weights, one image per unit"))

    def _draw_heat_map(self, ax: Axes | None, weights: NDArray[np.float64]) -> None:
        names = self.feature_names
        if names is None:
            names = default_names(len(weights))
        if len(names) != len(weights):
            raise ValueError(f"{len(weights)} feature names are needed, got {len(names)}.")
        height = 1.4 + 0.24 * max(len(self.features_), 6)
        self.ax_ = new_axes("WeightsDisplay", ax, (7.0, height))
        self._show(weights[np.ix_(self.features_, self.units_)], aspect="auto")
        self.ax_.set_yticks(
            np.arange(len(self.features_)), [str(names[i]) for i in self.features_], fontsize=9
        )
        step = max(1, math.ceil(len(self.units_) / 12))
        ticks = np.arange(0, len(self.units_), step)
        self.ax_.set_xticks(ticks, [str(self.units_[i]) for i in ticks])
        self.ax_.set_xlabel("unit of the first layer")
        title = "first-layer weights"
        if len(self.features_) < len(weights):
            title += f", {len(self.features_)} of {len(weights)} features"
        self.ax_.set_title(self._heading(weights, title))

    def _make_room_for_names(self, own: bool) -> None:
        """Have the names end within the figure, and not over what is left of the axes."""
        names = self.ax_.get_yticklabels()
        figure: Any = self.figure_
        row = self.ax_.get_window_extent().height / figure.dpi / len(names)
        box = self.ax_.get_position()
        figure_width = figure.bbox.width / figure.dpi
        room = 4.0 if own else 0.45 * box.width * figure_width + _USUAL_MARGIN
        width = fit_texts(names, room, row)
        self.ax_.set_yticklabels(
            [name.get_text() for name in names], fontsize=names[0].get_fontsize()
        )
        over = (width - _USUAL_MARGIN) / figure_width
        if own:
            figure.set_figwidth(max(7.0, 5.5 + width))
        elif figure.get_layout_engine() is None and over > 0:
            self.ax_.set_position((box.x0 + over, box.y0, box.width - over, box.height))

    def _heading(self, weights: NDArray[np.float64], title: str) -> str:
        if len(self.units_) < weights.shape[1]:
            title += f"\n{len(self.units_)} of {weights.shape[1]} units: the largest weights"
        return title

    def _show(self, values: NDArray[np.float64], **kwargs: Any) -> None:
        limit = symmetric_limit(values[np.isfinite(values)])
        cmap = sign_colors().with_extremes(bad="0.35")
        self.image_ = self.ax_.imshow(
            values, cmap=cmap, vmin=-limit, vmax=limit, interpolation="nearest", **kwargs
        )
