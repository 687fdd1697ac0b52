"""Which part of an image or a series speaks for a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._cases import case_of, draw_case, find_case
from nnjit.inspection._drawing import new_axes, sign_colors, symmetric_limit
from nnjit.inspection._relevance import activation_map, find_target, occlusion, pooled_at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LABELS = {
    "class_activation": ("class activation map", "activation times output weight"),
    "occlusion": ("occlusion", "fall of the log odds where hidden"),
}


class RelevanceDisplay:
    """Which points of a case speak for a class (orange) or against it (blue).

    Parameters
    ----------
    case : array-like of shape (channels, time) or (channels, height, width)
        What the network gets, NaN behind the end of a series.
    relevance : array-like of shape (time,) or (height, width)
        How far each point speaks for the class.
    method : {'class_activation', 'occlusion'}, default=None
        How that was found out, for title and label.
    target : str, default=None
        What the points speak for, for the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
        The relevance, over an image or behind a series.

    Notes
    -----
    Where a network ends in global mean pooling and the output layer, the logit of a class is the
    mean over the points of ``sum_c w_c a_c(p)``, plus a bias: these sums are the class activation
    map. Of fewer points than the case has, as behind pooling, it is stretched over the case.

    Other networks are asked what they say of the case when a window of it is hidden: the relevance
    of a point is how far the log odds of the class, ``log(p / (1 - p))``, fall, in the mean over
    the windows that hold the point; of a regressor how far the output falls.

    References
    ----------
    B. Zhou et al., "Learning deep features for discriminative localization", CVPR 2016.

    M. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014
    (occlusion).

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import RelevanceDisplay
    >>> series = np.sin(np.arange(20.0)).reshape(1, 20)
    >>> display = RelevanceDisplay(series, series[0] ** 2, target="class 1").plot()
    >>> display.ax_.get_title()
    'class 1'
    """

    def __init__(
        self,
        case: ArrayLike,
        relevance: ArrayLike,
        *,
        method: Literal["class_activation", "occlusion"] | None = None,
        target: str | None = None,
    ) -> None:
        self.case = case
        self.relevance = relevance
        self.method = method
        self.target = target

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        x: Any,
        *,
        target: Any = None,
        method: Literal["auto", "class_activation", "occlusion"] = "auto",
        window: int | tuple[int, ...] | None = None,
        fill: float | Literal["mean"] = "mean",
        ax: Axes | None = None,
    ) -> RelevanceDisplay:
        """Draw which part of a case speaks for an output of a fitted network.

        Parameters
        ----------
        estimator : estimator
            A fitted network for series or images, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        x : array-like
            One case, as `estimator` takes it; alone, or as the only one of X.
        target : object, default=None
            A class; the number of an output where there are no classes, or several columns of them.
            None for the class that is predicted, or the first output.
        method : {'auto', 'class_activation', 'occlusion'}, default='auto'
            'auto' is the class activation map where the network has one, else occlusion.
        window : int or tuple of int, default=None
            Points of the window that is hidden, one number for all axes or one for each; an eighth
            of each axis if None.
        fill : float or 'mean', default='mean'
            What hides the window: a number, or the mean of each channel of the case.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        RelevanceDisplay
            Drawn.

        Raises
        ------
        TypeError
            If the network is not one for series or images.
        ValueError
            If there is no such class or output, `x` is more than one case, the network has no class
            activation map, or a target at every point, or the window does not fit.
        """
        if method not in ("auto", *_LABELS):
            raise ValueError(
                f"method is 'auto', 'class_activation' or 'occlusion', got {method!r}."
            )
        stack, rows = find_case(cls.__name__, estimator, x)
        wanted = find_target(stack, rows, target)
        if method == "auto":
            method = "occlusion" if pooled_at(stack) is None else "class_activation"
        if method == "class_activation":
            relevance = activation_map(stack, rows, wanted)
        else:
            relevance = occlusion(stack, rows, wanted, window, fill)
        case = case_of(stack, rows[0])
        return cls(case, relevance, method=method, target=wanted.name).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> RelevanceDisplay:
        """Draw the case and the relevance of its points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        RelevanceDisplay
            This display.

        Raises
        ------
        ValueError
            If the relevance has other points than the case.
        """
        case = np.asarray(self.case, dtype=np.float64)
        relevance = np.asarray(self.relevance, dtype=np.float64)
        if case.shape[1:] != relevance.shape or case.ndim not in (2, 3):
            raise ValueError(
                "A case has the shape (channels, time) or (channels, height, width), and its "
                f"relevance one value for each point: {case.shape} and {relevance.shape}."
            )
        size = (5.4, 4.6) if case.ndim == 3 else (7.2, 3.2)
        self.ax_ = new_axes("RelevanceDisplay", ax, size)
        self.figure_ = self.ax_.figure
        draw = self._draw_image if case.ndim == 3 else self._draw_series
        limit = symmetric_limit(relevance[np.isfinite(relevance)])
        draw(case, relevance, limit)
        name, label = _LABELS.get(self.method or "", ("", "relevance"))
        self.ax_.set_title(", ".join(filter(None, (self.target, name))), fontsize="medium")
        self._draw_scale(limit, f"{label}\n(orange: for, blue: against)")
        return self

    def _draw_image(
        self, case: NDArray[np.float64], relevance: NDArray[np.float64], limit: float
    ) -> None:
        draw_case(self.ax_, case, pale=True)
        # Little relevance lets the image be seen.
        alpha = 0.8 * (np.abs(np.nan_to_num(relevance)) / limit) ** 0.7
        self.image_ = self.ax_.imshow(
            relevance, cmap=sign_colors(), vmin=-limit, vmax=limit, alpha=np.clip(alpha, 0, 1)
        )

    def _draw_series(
        self, case: NDArray[np.float64], relevance: NDArray[np.float64], limit: float
    ) -> None:
        draw_case(self.ax_, case)
        low, high = self.ax_.get_ylim()
        self.image_ = self.ax_.imshow(
            relevance[np.newaxis],
            cmap=sign_colors(),
            vmin=-limit,
            vmax=limit,
            alpha=0.75,
            aspect="auto",
            interpolation="nearest",
            extent=(-0.5, len(relevance) - 0.5, low, high),
            zorder=0,
        )
        self.ax_.set_xlim(-0.5, len(relevance) - 0.5)
        self.ax_.set_ylim(low, high)
        self.ax_.set_xlabel("time")

    def _draw_scale(self, limit: float, label: str) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        solid = ScalarMappable(Normalize(-limit, limit), sign_colors())
        self.figure_.colorbar(solid, ax=self.ax_, label=label, fraction=0.046, pad=0.03, aspect=30)
