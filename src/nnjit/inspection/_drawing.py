"""What the displays share: matplotlib on demand, colours, and which units to draw."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# M. Okabe and K. Ito, "Color Universal Design", 2002: told apart with every kind of colour vision.
BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#767676"

# The sign's code in all displays: blue is negative, orange positive.
NEGATIVE, POSITIVE = BLUE, VERMILLION
SEQUENTIAL = "viridis"


def pyplot(display: str) -> Any:
    """Return `matplotlib.pyplot`.

    Parameters
    ----------
    display : str
        Who asks; named in the message.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{display} needs matplotlib to draw. Install it with `pip install matplotlib`, "
            "or nnjit with `pip install 'nnjit[plot]'`."
        ) from error
    return plt


def new_axes(display: str, ax: Axes | None, figsize: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure if it is None."""
    plt = pyplot(display)
    if ax is not None:
        return ax
    axes: Axes = plt.subplots(figsize=figsize, layout="constrained")[1]
    return axes


def two_panels(
    display: str,
    ax: Axes | None,
    figsize: tuple[float, float],
    shares: tuple[float, float],
    *,
    beside: bool,
) -> tuple[Axes, Axes, Axes]:
    """Return two axes, one beside or below the other, of these shares, and one for a colour bar.

    A given `ax` is divided, and becomes the first.
    """
    plt = pyplot(display)
    if ax is None:
        ratios = {"width_ratios" if beside else "height_ratios": shares}
        grid = (1, 2) if beside else (2, 1)
        first, second = plt.subplots(
            *grid, figsize=figsize, layout="constrained", sharex=not beside, **ratios
        )[1]
        return first, second, second.inset_axes((1.02, 0.0, 0.025, 1.0))
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    size = f"{100 * shares[1] / shares[0]:.0f}%"
    shared: dict[str, Any] = {} if beside else {"sharex": ax}
    divider = make_axes_locatable(ax)
    second = divider.append_axes("right" if beside else "bottom", size=size, pad=0.15, **shared)
    bar = divider.append_axes("right", size="4%", pad=0.1)
    if not beside:  # as high as both
        bar.set_axes_locator(divider.new_locator(nx=2, ny=0, ny1=-1))
    return ax, second, bar


def stacked_panels(
    display: str, ax: Axes | None, figsize: tuple[float, float], shares: Sequence[float]
) -> tuple[list[Axes], Axes]:
    """Return axes below one another, of these shares of the height, with one axis of time.

    A given `ax` is divided, and becomes the first. The other axes returned are for a colour bar
    beside the second.
    """
    plt = pyplot(display)
    if ax is None:
        ax = plt.figure(figsize=figsize, layout="constrained").add_subplot()
    figure: Any = ax.figure
    spec, box = ax.get_subplotspec(), ax.get_position()
    if spec is None:
        edges = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        grid = figure.add_gridspec(len(shares), 1, height_ratios=shares, **edges)
    else:
        grid = spec.subgridspec(len(shares), 1, height_ratios=shares)
    ax.set_subplotspec(grid[0])
    axes = [ax, *(figure.add_subplot(grid[i], sharex=ax) for i in range(1, len(shares)))]
    return axes, axes[1].inset_axes((1.02, 0.0, 0.025, 1.0))


def whole_points(ax: Axes) -> None:
    """Number whole points of time alone."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def mosaic(pictures: NDArray[Any], columns: int) -> NDArray[np.float64]:
    """Return pictures (n, height, width) side by side; NaN is the frame between them."""
    n, height, width = pictures.shape
    rows = math.ceil(n / columns)
    whole = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), np.nan)
    for place, picture in enumerate(pictures):
        top = place // columns * (height + 1) + 1
        left = place % columns * (width + 1) + 1
        whole[top : top + height, left : left + width] = picture
    return whole


def sign_colors() -> Any:
    """Return the colour map of signed values: white is zero, and large ones are darker."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = ["#00466E", NEGATIVE, "white", POSITIVE, "#8A3A00"]
    return LinearSegmentedColormap.from_list("sign", stops)


def fit_texts(texts: Any, width: float, height: float) -> float:
    """Make texts fit by writing the longer ones in two lines, then all of them smaller.

    They lose no letter and at most four tenths of their size.

    Parameters
    ----------
    texts : list of matplotlib Text
    width, height : float
        Room for each, in inches.

    Returns
    -------
    float
        Width of the widest then, which may still be more.
    """
    for text in texts:
        if extent([text])[0] > width:
            text.set_text(_in_two(text.get_text()))
    size = extent(texts)
    scale = min(1.0, *(room / max(needed, 1e-9) for room, needed in zip((width, height), size)))
    for text in texts:
        text.set_fontsize(text.get_fontsize() * max(0.6, scale))
    return extent(texts)[0]


def extent(texts: Any) -> tuple[float, float]:
    """Return the largest width and the largest height of texts, in inches."""
    boxes = [(text.get_window_extent(), text.figure.dpi) for text in texts]
    return (
        max((box.width / dpi for box, dpi in boxes), default=0.0),
        max((box.height / dpi for box, dpi in boxes), default=0.0),
    )


def _in_two(text: str) -> str:
    """Break a long text after the separator that is nearest to its middle."""
    middle = len(text) / 2
    places = [match.end() for match in re.finditer(r"[\s_\-/.,:;]", text.rstrip())]
    if len(text) < 16 or not places:
        return text
    place = min(places, key=lambda end: abs(end - middle))
    return f"{text[:place]}\n{text[place:]}"


def strongest(strength: NDArray[Any], at_most: int) -> NDArray[np.intp]:
    """Return the indices of the `at_most` largest values, in ascending order."""
    if at_most < 1:
        raise ValueError(f"At least one unit has to be drawn, got {at_most}.")
    if len(strength) <= at_most:
        return np.arange(len(strength))
    return np.sort(np.argsort(-strength, kind="stable")[:at_most])


def symmetric_limit(values: NDArray[Any]) -> float:
    """Return the largest magnitude, for a colour scale whose middle is zero."""
    largest = float(np.abs(values).max(initial=0.0))
    return largest if largest > 0 and np.isfinite(largest) else 1.0


def default_names(n: int) -> list[str]:
    """Return 'x0', 'x1', ..., as scikit-learn calls features without names."""
    return [f"x{i}" for i in range(n)]
