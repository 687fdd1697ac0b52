"""The course of a fit: loss, validation score and learning rate by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILLION, pyplot
from nnjit.inspection._network import find_network
from nnjit.inspection._rates import learning_rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A loss that falls by more than this factor is drawn on a logarithmic scale.
LOGARITHMIC_FROM = 20.0
_VALIDATION = "validation"  # mark of lines that are drawn beside another one
_CURVES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE)


class LossCurveDisplay:
    """Training loss by epoch, with panels for the validation score and the learning rate.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        Training loss of each epoch.
    validation_score : array-like of shape (n_epochs,), default=None
        Score on the held-out rows after each epoch; drawn in a panel of its own.
    learning_rate : array-like of shape (n_epochs,), default=None
        Learning rate of each epoch; drawn in a panel of its own.
    validation_loss : array-like of shape (n_epochs,), default=None
        Loss of the validation rows after each epoch; drawn beside the training loss, dashed.
    score_name : str, default='validation score'
        Label of the score's axis.
    name : str, default=None
        Name of the curve, for a legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the loss.
    axes_ : list of matplotlib Axes
        All panels, that of the loss first. Pass it as `ax` to draw a second fit into them.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One line per panel.
    validation_line_ : matplotlib Line2D or None
        That of the validation loss.

    Notes
    -----
    A curve that is shorter than that of the training loss is of the last epochs.

    Examples
    --------
    >>> from nnjit.inspection import LossCurveDisplay
    >>> display = LossCurveDisplay([1.2, 0.6, 0.4]).plot()
    >>> display.ax_.get_ylabel()
    'training loss'
    """

    def __init__(
        self,
        loss: ArrayLike,
        *,
        validation_score: ArrayLike | None = None,
        learning_rate: ArrayLike | None = None,
        validation_loss: ArrayLike | None = None,
        score_name: str = "validation score",
        name: str | None = None,
    ) -> None:
        self.loss = loss
        self.validation_score = validation_score
        self.learning_rate = learning_rate
        self.validation_loss = validation_loss
        self.score_name = score_name
        self.name = name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, name: str | None = None
    ) -> LossCurveDisplay:
        """Draw what a fitted estimator recorded.

        The learning rate has a panel only if it changed.

        Parameters
        ----------
        estimator : estimator
            A network fitted by a stochastic solver, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        ax : matplotlib Axes or list of them, default=None
            Where to draw; a new figure if None.
        name : str, default=None
            Name of the curve, for a legend.

        Returns
        -------
        LossCurveDisplay
            Drawn.

        Raises
        ------
        ValueError
            If the solver records no loss curve ('lbfgs').
        """
        network, _, _ = find_network(estimator, weights=False, any_kind=True)
        if not hasattr(network, "loss_curve_"):
            raise ValueError(
                f"The network was fitted by solver={network.solver!r}, which records no loss "
                "curve; the stochastic solvers do."
            )
        rates = learning_rates(network)
        varies = rates is not None and len(rates) > 1 and np.ptp(rates) > 0
        by_loss = getattr(network, "scoring", None) == "loss"  # the score is minus the loss then
        display = cls(
            network.loss_curve_,
            validation_score=None if by_loss else getattr(network, "validation_scores_", None),
            learning_rate=rates if varies else None,
            validation_loss=getattr(network, "validation_loss_curve_", None),
            score_name=_score_name(network),
            name=name,
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> LossCurveDisplay:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or list of them, default=None
            Axes to divide into the panels, or the `axes_` of another display; None for a new
            figure.

        Returns
        -------
        LossCurveDisplay
            This display.
        """
        below = [
            (values, label, draw)
            for values, label, draw in (
                (self.validation_score, self.score_name, self._draw_score),
                (self.learning_rate, "learning rate", self._draw_rate),
            )
            if values is not None
        ]
        self.axes_ = self._panels(ax, len(below))
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        before = [line for line in self.ax_.lines if line.get_gid() != _VALIDATION]
        color = _CURVES[len(before) % len(_CURVES)]
        self.lines_ = [self._draw_loss(self.ax_, color)]
        for panel, (values, label, draw) in zip(self.axes_[1:], below):
            self.lines_.append(draw(panel, np.asarray(values), color))
            panel.set_ylabel(label)
        for panel in self.axes_:
            panel.grid(visible=True, color="0.9")
            panel.set_axisbelow(True)
            panel.tick_params(labelbottom=panel is self.axes_[-1])
        self.axes_[-1].set_xlabel("epoch")
        self._number_epochs()
        if self.name is not None or self.validation_line_ is not None:
            self.ax_.legend()
        return self

    def _panels(self, ax: Any, n_below: int) -> list[Axes]:
        if ax is not None and not hasattr(ax, "plot"):
            given = list(np.ravel(ax))
            if len(given) < 1 + n_below:
                raise ValueError(f"{1 + n_below} axes are needed, got {len(given)}.")
            return given[: 1 + n_below]
        plt = pyplot("LossCurveDisplay")
        if ax is None:
            panels = plt.subplots(
                1 + n_below,
                sharex=True,
                squeeze=False,
                figsize=(6.4, 3.6 + 1.4 * n_below),
                height_ratios=[1.0] + [0.5] * n_below,
                layout="constrained",
            )[1]
            return list(panels[:, 0])
        from mpl_toolkits.axes_grid1 import make_axes_locatable

        divider = make_axes_locatable(ax)
        return [
            ax,
            *(
                divider.append_axes("bottom", size="45%", pad=0.15, sharex=ax)
                for _ in range(n_below)
            ),
        ]

    def _number_epochs(self) -> None:
        """Give the panels ticks at whole epochs; there is no epoch 0."""
        from matplotlib.ticker import MaxNLocator

        first, last = self.ax_.dataLim.intervalx
        margin = min(0.05 * (last - first), 0.5) or 0.5
        for panel in self.axes_:
            panel.set_xlim(first - margin, last + max(margin, 0.03 * (last - first)))
            panel.xaxis.set_major_locator(
                MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
            )

    def _epochs(self, values: Any) -> NDArray[np.intp]:
        """Return the numbers of the last epochs, as many as there are values."""
        last = max(len(np.asarray(self.loss)), len(values))
        return np.arange(last - len(values) + 1, last + 1)

    def _draw_loss(self, ax: Axes, color: str) -> Any:
        loss = np.asarray(self.loss, dtype=np.float64)
        style: dict[str, Any] = {
            "color": color,
            "marker": "o" if len(loss) <= 20 else None,
            "ms": 4,
        }
        label, shown, self.validation_line_ = self.name, loss, None
        if self.validation_loss is not None:
            label = "training" if self.name is None else f"{self.name}, training"
        (line,) = ax.plot(self._epochs(loss), loss, label=label, **style)
        if self.validation_loss is not None:
            watched = np.asarray(self.validation_loss, dtype=np.float64)
            label = "validation" if self.name is None else f"{self.name}, validation"
            (self.validation_line_,) = ax.plot(
                self._epochs(watched), watched, ls="--", label=label, gid=_VALIDATION, **style
            )
            shown = np.concatenate([loss, watched])
        finite = shown[np.isfinite(shown)]
        if len(finite) and finite.min() > 0 and finite.max() > LOGARITHMIC_FROM * finite.min():
            ax.set_yscale("log")
        ax.set_ylabel("training loss" if self.validation_loss is None else "loss")
        return line

    def _draw_score(self, ax: Axes, score: Any, color: str) -> Any:
        epochs = self._epochs(score)
        (line,) = ax.plot(epochs, score, color=color)
        if np.isfinite(score).any():
            best = int(np.nanargmax(score))
            ax.plot(epochs[best], score[best], "o", color=color, mec="black", ms=7)
            ax.axvline(epochs[best], color=GREY, lw=1, ls=":")
            ax.text(
                0.99,
                0.05 + 0.13 * len(ax.texts),
                f"best {score[best]:.3f}, epoch {epochs[best]}",
                transform=ax.transAxes,
                ha="right",
                fontsize="small",
                color=color,
                bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
            )
        return line

    def _draw_rate(self, ax: Axes, rate: Any, color: str) -> Any:
        (line,) = ax.plot(self._epochs(rate), rate, color=color, drawstyle="steps-mid", lw=1.5)
        # A logarithm would hide a wave, all but whose ends are of the same order.
        low, usual, high = rate.min(), np.median(rate), rate.max()
        wave = usual > high / 10 and len(np.unique(rate)) > len(rate) / 2
        if low > 0 and high > LOGARITHMIC_FROM / 5 * low and not wave:
            ax.set_yscale("log")
        return line


def _score_name(network: Any) -> str:
    """Return what the validation scores of a network are called."""
    scoring = getattr(network, "scoring", None)
    if isinstance(scoring, str):
        return f"validation {scoring}"
    if scoring is not None:
        return "validation score"
    return "validation accuracy" if hasattr(network, "classes_") else "validation R²"
