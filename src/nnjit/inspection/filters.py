"""What the filters of a convolution layer look for: images, or curves of a series."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._cases import convolution_number, find_arrays
from nnjit.inspection._drawing import (
    BLUE,
    GREY,
    SEQUENTIAL,
    mosaic,
    new_axes,
    sign_colors,
    strongest,
    symmetric_limit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Curves of at most this many points show them.
_POINTS_UP_TO = 12
# Width and height of the air between the cells of curves, as shares of a cell.
_AIR = 0.25


class FilterDisplay:
    """The filters of a convolution layer: a small image each, or a curve for series.

    Of a layer that reads one channel the weights are drawn: orange is positive, blue negative,
    white zero. Of more channels it is one of them that is asked for, or the norm of the weights
    over the channels, which says where a filter looks and not for what. All filters are on one
    scale. Those beyond `max_filters` are left out, the ones with the smallest weights first, and
    the picture says so.

    Parameters
    ----------
    filters : array-like of shape (time, channels, filters) or (height, width, channels, filters)
        Weights of a convolution layer.
    layer_name : str, default='convolution'
        Name of the layer, for the title.

    Attributes
    ----------
    values_ : ndarray of shape (n_drawn, time) or (n_drawn, height, width)
        What is drawn of each filter.
    filters_ : ndarray of int
        The filters drawn.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage or None
        All images as one; None for series.
    lines_ : list of matplotlib Line2D
        The curves of series, each shifted to its cell and scaled.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import FilterDisplay
    >>> edges = np.array([[-1.0, 1.0], [-1.0, 1.0]])[:, :, np.newaxis, np.newaxis]
    >>> display = FilterDisplay(edges).plot()
    >>> display.values_
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """

    def __init__(self, filters: ArrayLike, *, layer_name: str = "convolution") -> None:
        self.filters = filters
        self.layer_name = layer_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        layer: int = 0,
        *,
        channel: int | Literal["norm"] | None = None,
        ax: Axes | None = None,
        max_filters: int = 36,
    ) -> FilterDisplay:
        """Draw the filters of a convolution layer of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted network with convolution layers, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        layer : int, default=0
            Number of the convolution layer, negative from the last one.
        channel : int or 'norm', default=None
            Which input channel's weights, of those of a filter's group; 'norm' for the norm over
            all of them. None for the only channel, or else the norm.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_filters : int, default=36
            Most filters drawn.

        Returns
        -------
        FilterDisplay
            Drawn.

        Raises
        ------
        TypeError
            If the network is not one for series or images.
        ValueError
            If there is no such layer or channel.
        """
        stack, _ = find_arrays(cls.__name__, estimator)
        place = convolution_number(stack.network, layer)
        weights = stack.parameters_of(place)["weights"]
        kinds = [one.kind for one in stack.network.layers[:place]]
        display = cls(weights, layer_name=f"convolution {kinds.count('convolution')}")
        return display.plot(ax=ax, channel=channel, max_filters=max_filters)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        channel: int | Literal["norm"] | None = None,
        max_filters: int = 36,
    ) -> FilterDisplay:
        """Draw the filters.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        channel : int or 'norm', default=None
            Which input channel's weights; 'norm' for the norm over all of them. None for the only
            channel, or else the norm.
        max_filters : int, default=36
            Most filters drawn.

        Returns
        -------
        FilterDisplay
            This display.

        Raises
        ------
        ValueError
            If there is no such channel, or the filters are of neither series nor images.
        """
        filters = np.asarray(self.filters, dtype=np.float64)
        if filters.ndim not in (3, 4) or not filters.size:
            raise ValueError(
                "Filters have the shape (time, channels, filters) or (height, width, channels, "
                f"filters), got {filters.shape}."
            )
        chosen, what = self._chosen(filters, channel)
        drawn = np.moveaxis(chosen, -1, 0)
        strength = np.square(drawn.reshape(len(drawn), -1)).sum(axis=1)
        self.filters_ = strongest(strength, max_filters)
        self.values_ = drawn[self.filters_]
        signed = what != "norm over the channels"
        self.image_: Any = None
        self.lines_: list[Any] = []
        if self.values_.ndim == 3:
            self._draw_images(ax, signed)
        else:
            self._draw_curves(ax)
        self.figure_ = self.ax_.figure
        title = f"{self.layer_name}, {what}"
        if len(self.filters_) < len(drawn):
            title += f"\n{len(self.filters_)} of {len(drawn)} filters: the largest weights"
        self.ax_.set_title(title, fontsize="medium")
        return self

    def _chosen(
        self, filters: NDArray[np.float64], channel: int | Literal["norm"] | None
    ) -> tuple[NDArray[np.float64], str]:
        """Return what is drawn of all filters, (points, filters), and what that is."""
        count = filters.shape[-2]
        if channel is None:
            channel = 0 if count == 1 else "norm"
        if channel == "norm":
            return np.sqrt(np.square(filters).sum(axis=-2)), "norm over the channels"
        number = operator.index(channel)
        if not -count <= number < count:
            raise ValueError(
                f"The filters read {count} channels: channel must be from {-count} to {count - 1} "
                f"or 'norm', got {channel}."
            )
        what = "one image each" if filters.ndim == 4 else "one curve each"
        return filters[..., number, :], what if count == 1 else f"channel {number % count}"

    def _draw_images(self, ax: Axes | None, signed: bool) -> None:
        n, height, width = self.values_.shape
        # about as wide as high
        columns = min(n, math.ceil(math.sqrt(n * (height + 1) / (width + 1))))
        picture = mosaic(self.values_, columns)
        shape = picture.shape[0] / picture.shape[1]
        self.ax_ = new_axes("FilterDisplay", ax, (6.4, 0.8 + 5.2 * min(shape, 1.4)))
        limit = symmetric_limit(self.values_)
        cmap: Any = sign_colors() if signed else SEQUENTIAL
        if not signed:
            from matplotlib import colormaps

            cmap = colormaps[SEQUENTIAL]
        self.image_ = self.ax_.imshow(
            picture,
            cmap=cmap.with_extremes(bad="0.35" if signed else "white"),
            vmin=-limit if signed else 0.0,
            vmax=limit,
            interpolation="nearest",
        )
        self.ax_.set_xticks([])
        self.ax_.set_yticks([])
        self.ax_.figure.colorbar(
            self.image_,
            ax=self.ax_,
            label="weight" if signed else "norm of the weights",
            fraction=0.046,
            pad=0.03,
            aspect=40,
        )

    def _draw_curves(self, ax: Axes | None) -> None:
        n, points = self.values_.shape
        columns = math.ceil(math.sqrt(n))
        rows = math.ceil(n / columns)
        self.ax_ = new_axes("FilterDisplay", ax, (6.4, 1.0 + 1.1 * max(rows, 2)))
        limit = symmetric_limit(self.values_)
        # A cell is one wide and one high, its middle is zero.
        x = np.linspace(0.0, 1.0, points) if points > 1 else np.array([0.5])
        for place, values in enumerate(self.values_):
            left, zero = place % columns * (1 + _AIR), -(place // columns) * (1 + _AIR)
            self.ax_.plot([left, left + 1], [zero, zero], color=GREY, lw=0.6, zorder=1)
            self.ax_.plot([left, left], [zero - 0.5, zero + 0.5], color=GREY, lw=0.6, zorder=1)
            (line,) = self.ax_.plot(
                left + x,
                zero + values / (2 * limit),
                color=BLUE,
                lw=1.4,
                marker="o" if points <= _POINTS_UP_TO else None,
                ms=3,
            )
            self.lines_.append(line)
            self.ax_.text(
                left + 0.03, zero + 0.48, str(self.filters_[place]), va="top", fontsize="x-small",
                color=GREY,
            )  # fmt: skip
        self.ax_.set_xlim(-_AIR / 2, columns * (1 + _AIR) - _AIR / 2)
        self.ax_.set_ylim(-rows * (1 + _AIR) + 0.5 + _AIR / 2, 0.5 + _AIR / 2)
        self.ax_.axis("off")
        self.ax_.text(
            0.5, -0.01, f"{points} points of time; upright lines reach from {-limit:.2g} to "
            f"{limit:.2g}", transform=self.ax_.transAxes, ha="center", va="top", fontsize="small",
            color=GREY,
        )  # fmt: skip
