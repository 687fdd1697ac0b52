"""What the displays share: matplotlib on demand, colours, and which units to draw."""

from __future__ import annotations

import re
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
        if _extent([text])[0] > width:
            text.set_text(_in_two(text.get_text()))
    size = _extent(texts)
    scale = min(1.0, *(room / max(needed, 1e-9) for room, needed in zip((width, height), size)))
    for text in texts:
        text.set_fontsize(text.get_fontsize() * max(0.6, scale))
    return _extent(texts)[0]


def _extent(texts: Any) -> tuple[float, float]:
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
