"""What the filters of a convolution layer make of one image or series."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._cases import (
    case_of,
    convolution_end,
    convolution_number,
    draw_case,
    find_case,
    layer_outputs,
)
from nnjit.inspection._drawing import (
    SEQUENTIAL,
    mosaic,
    sign_colors,
    strongest,
    symmetric_limit,
    two_panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Beside this many maps of a series each has its number.
_NUMBERS_UP_TO = 20


class FeatureMapDisplay:
    """Feature maps: what each filter of a layer finds where in one case, beside the case.

    Of an image each map is an image, of a series a line of a heat map below the curve. All maps are
    on one scale: dark to yellow from zero on where none is negative, as behind a ReLU; else blue is
    negative, orange positive, white zero.
    Maps beyond `max_maps` are left out, the weakest first, and the picture says so. Behind the end
    of a series nothing is drawn.

    Parameters
    ----------
    case : array-like of shape (channels, time) or (channels, height, width)
        What the network gets, NaN behind the end of a series.
    maps : array-like of shape (filters, time) or (filters, height, width)
        What the layer makes of it; the axes may be shorter than those of the case.
    layer_name : str, default='convolution'
        Name of the layer, for the title.

    Attributes
    ----------
    maps_ : ndarray of int
        The maps drawn.
    ax_ : matplotlib Axes
        The panel of the case.
    axes_ : list of matplotlib Axes
        The panel of the case, and that of the maps.
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
        The maps.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.functional import convolve
    >>> from nnjit.inspection import FeatureMapDisplay
    >>> series = np.sin(np.arange(50.0)).reshape(1, 1, 50)
    >>> difference = np.array([[[-1.0]], [[1.0]]])
    >>> display = FeatureMapDisplay(series[0], convolve(series, difference)[0]).plot()
    >>> display.maps_
    array([0])
    """

    def __init__(
        self, case: ArrayLike, maps: ArrayLike, *, layer_name: str = "convolution"
    ) -> None:
        self.case = case
        self.maps = maps
        self.layer_name = layer_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Any,
        layer: int = 0,
        *,
        ax: Axes | None = None,
        max_maps: int = 16,
    ) -> FeatureMapDisplay:
        """Run a case through a fitted network up to a convolution layer and draw what comes out.

        Parameters
        ----------
        estimator : estimator
            A fitted network with convolution layers, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        x : array-like
            One case, as `estimator` takes it; alone, or as the only one of X.
        layer : int, default=0
            Number of the convolution layer, negative from the last one. What it is joined by,
            activation and normalization, belongs to it; pooling does not.
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; a new figure if None.
        max_maps : int, default=16
            Most maps drawn.

        Returns
        -------
        FeatureMapDisplay
            Drawn.

        Raises
        ------
        TypeError
            If the network is not one for series or images.
        ValueError
            If there is no such layer, or `x` is more than one case.
        """
        stack, rows = find_case(cls.__name__, estimator, x)
        place = convolution_number(stack.network, layer)
        maps = layer_outputs(stack, rows, convolution_end(stack.network, place))[0]
        kinds = [one.kind for one in stack.network.layers[:place]]
        name = f"convolution {kinds.count('convolution')}"
        display = cls(case_of(stack, rows[0]), maps, layer_name=name)
        return display.plot(ax=ax, max_maps=max_maps)

    def plot(self, ax: Axes | None = None, *, max_maps: int = 16) -> FeatureMapDisplay:
        """Draw the case and the maps.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to divide into the panels; a new figure if None.
        max_maps : int, default=16
            Most maps drawn.

        Returns
        -------
        FeatureMapDisplay
            This display.
        """
        case = np.asarray(self.case, dtype=np.float64)
        maps = np.asarray(self.maps, dtype=np.float64)
        strength = np.square(np.nan_to_num(maps)).reshape(len(maps), -1).sum(axis=1)
        self.maps_ = strongest(strength, max_maps)
        shown = maps[self.maps_]
        self.ax_, maps_ax, bar = self._panels(ax, case, shown)
        self.axes_ = [self.ax_, maps_ax]
        self.figure_ = self.ax_.figure
        draw_case(self.ax_, case)
        title = f"{self.layer_name}: {len(maps)} maps of {'×'.join(map(str, maps.shape[1:]))}"
        if len(shown) < len(maps):
            title += f", the {len(shown)} strongest"
        if case.ndim == 3:
            self._draw_images(maps_ax, shown)
            self.ax_.set_title("input", fontsize="medium")
            maps_ax.set_title(title, fontsize="medium")
        else:
            self._draw_lines(maps_ax, shown, case.shape[-1])
            self.ax_.set_ylabel("input")
            self.ax_.tick_params(labelbottom=False)
            self.ax_.set_title(title, fontsize="medium")
        self.figure_.colorbar(self.image_, cax=bar, label="activation")
        return self

    def _panels(self, ax: Axes | None, case: Any, shown: Any) -> tuple[Axes, Axes, Axes]:
        if case.ndim == 3:
            return two_panels("FeatureMapDisplay", ax, (8.6, 4.6), (1.0, 1.9), beside=True)
        height = 2.6 + 0.16 * max(len(shown), 6)
        return two_panels("FeatureMapDisplay", ax, (7.2, height), (1.0, 1.3), beside=False)

    def _colors(self, shown: NDArray[np.float64]) -> dict[str, Any]:
        from matplotlib import colormaps

        limit = symmetric_limit(shown[np.isfinite(shown)])
        if (shown < 0).any():
            return {"cmap": sign_colors().with_extremes(bad="0.35"), "vmin": -limit, "vmax": limit}
        return {"cmap": colormaps[SEQUENTIAL].with_extremes(bad="white"), "vmin": 0, "vmax": limit}

    def _draw_images(self, ax: Axes, shown: NDArray[np.float64]) -> None:
        columns = math.ceil(math.sqrt(len(shown) * shown.shape[1] / shown.shape[2]))
        picture = mosaic(shown, min(len(shown), columns))
        self.image_ = ax.imshow(picture, interpolation="nearest", **self._colors(shown))
        ax.set_xticks([])
        ax.set_yticks([])

    def _draw_lines(self, ax: Axes, shown: NDArray[np.float64], points: int) -> None:
        colors = self._colors(shown)
        colors["cmap"] = colors["cmap"].with_extremes(bad="white")
        self.image_ = ax.imshow(
            shown,
            aspect="auto",
            interpolation="nearest",
            # a map that has fewer points is stretched over the case
            extent=(-0.5, points - 0.5, len(shown) - 0.5, -0.5),
            **colors,
        )
        step = max(1, math.ceil(len(shown) / _NUMBERS_UP_TO))
        ticks = np.arange(0, len(shown), step)
        ax.set_yticks(ticks, [str(self.maps_[i]) for i in ticks], fontsize="small")
        ax.set_ylabel("filter")
        ax.set_xlabel("time")
        ax.set_xlim(-0.5, points - 0.5)
