"""What the displays share: matplotlib on demand, colours, and which units to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# M. Okabe and K. Ito, "Color Universal Design", 2002: told apart with every kind of colour vision.
BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#767676"

# Blue and red stay apart for the colour-blind, and white is zero.
DIVERGING = "RdBu_r"
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
