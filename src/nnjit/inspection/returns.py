"""The course of an agent's learning: the return of each episode by the steps made so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from nnjit.inspection._drawing import BLUE, GREEN, ORANGE, PURPLE, VERMILLION, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CURVES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)
_MOST_SHARE = 10  # a mean over more than a tenth of the episodes would hide the course


class ReturnDisplay:
    """Return of each episode that an agent learned from, and the mean of the last ones.

    Parameters
    ----------
    returns : array-like of shape (n_episodes,)
        Sum of the rewards of each episode.
    steps : array-like of shape (n_episodes,), default=None
        Steps made when it ended, from the beginning of learning; None for the episodes' numbers.
    window : int, default=100
        Episodes that the mean is taken of, or a tenth of all where that is less.
    name : str, default=None
        Name of the agent, for a legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : matplotlib Line2D
        A point for each episode.
    line_ : matplotlib Line2D
        The mean over `window_` episodes, drawn from where there are so many.
    window_ : int
        Episodes that the mean was taken of.

    Examples
    --------
    >>> from nnjit.inspection import ReturnDisplay
    >>> display = ReturnDisplay([9, 20, 35, 80, 200], window=2).plot()
    >>> display.line_.get_ydata().tolist()
    [14.5, 27.5, 57.5, 140.0]
    """

    def __init__(
        self,
        returns: ArrayLike,
        *,
        steps: ArrayLike | None = None,
        window: int = 100,
        name: str | None = None,
    ) -> None:
        self.returns = returns
        self.steps = steps
        self.window = window
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, window: int = 100, ax: Any = None, name: str | None = None
    ) -> ReturnDisplay:
        """Draw how an agent of `nnjit.agents` has learned.

        Parameters
        ----------
        estimator : agent
            A fitted agent.
        window : int, default=100
            Episodes that the mean is taken of, or a tenth of all where that is less.
        ax : matplotlib Axes, default=None
            Where to draw, such as that of another agent's display; a new figure if None.
        name : str, default=None
            Name of the agent, for a legend.

        Returns
        -------
        ReturnDisplay
            Drawn.

        Raises
        ------
        TypeError
            If it is no agent.
        ValueError
            If no episode came to its end.
        sklearn.exceptions.NotFittedError
            If it has not learned yet.
        """
        if not hasattr(estimator, "act"):
            raise TypeError(
                "ReturnDisplay draws how an agent of nnjit.agents has learned, got "
                f"{type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        display = cls(estimator.returns_, steps=estimator.episode_ends_, window=window, name=name)
        return display.plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> ReturnDisplay:
        """Draw the points and their mean.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        ReturnDisplay
            This display.

        Raises
        ------
        ValueError
            If there is no episode, or there are not as many steps as returns.
        """
        returns, steps = self._checked()
        self.ax_ = ax = new_axes("ReturnDisplay", ax, (6.4, 3.6))
        self.figure_ = ax.figure
        color = _CURVES[len(ax.lines) // 2 % len(_CURVES)]
        self.window_ = min(int(self.window), max(2, len(returns) // _MOST_SHARE), len(returns))
        (self.points_,) = ax.plot(steps, returns, ".", ms=3, alpha=0.35, color=color)
        mean = _mean_of_last(returns, self.window_)
        label = self.name or f"mean of {self.window_} episodes"
        (self.line_,) = ax.plot(steps[self.window_ - 1 :], mean, color=color, label=label)
        ax.set_xlabel("episode" if self.steps is None else "step")
        ax.set_ylabel("return of an episode")
        ax.grid(visible=True, color="0.9")
        ax.set_axisbelow(True)
        ax.legend()
        return self

    def _checked(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        returns = np.asarray(self.returns, dtype=np.float64)
        if returns.ndim != 1 or not len(returns):
            raise ValueError(
                "No episode has come to its end, so there is no return to draw: learn for longer."
                if not returns.size
                else f"returns must have one axis, got the shape {returns.shape}."
            )
        if self.window < 1:
            raise ValueError(f"window must be at least 1, got {self.window!r}.")
        if self.steps is None:
            return returns, np.arange(1.0, len(returns) + 1)
        steps = np.asarray(self.steps, dtype=np.float64)
        if steps.shape != returns.shape:
            raise ValueError(
                f"There must be as many steps as returns, got {steps.shape} and {returns.shape}."
            )
        return returns, steps


def _mean_of_last(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the mean of each value and the count - 1 before it, from where there are so many."""
    return np.convolve(values, np.full(count, 1.0 / count), mode="valid")
