"""What the hidden units do: the distribution of their values, dead and saturated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnjit.estimators._names import hidden_layer_activations
from nnjit.formulas import find_activation
from nnjit.inspection._cases import block_values, blocks_of, find_stack
from nnjit.inspection._drawing import BLUE, GREY, VERMILLION, new_axes
from nnjit.inspection._network import (
    find_network,
    hidden_activations,
    holds_stack,
    layer_names,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_BINS = 60
# So near to an end of the range the derivative is below 2% of tanh's largest, 4% of logistic's.
NEAR = 0.01


class ActivationDisplay:
    """Distribution of each hidden layer's activations over some rows.

    Each layer is a histogram of all its values: rows times units, of a convolution rows and points
    times filters, which are its units. Beside it stand, for 'relu', the share of values that are
    zero and of units that are zero on every row (dead: no gradient reaches them); for 'tanh',
    'logistic' and others of a bounded range the share of values and of units that are always
    within 0.01 of an end of the range (saturated).

    Parameters
    ----------
    values : list of ndarray of shape (n_samples, units)
        Activations of each hidden layer.
    activation : str or sequence of str
        Name of what computed them, such as 'relu', or of that of each layer.
    layer_names : list of str, default=None
        One per layer.
    n_rows : int, default=None
        Number of rows, for the title; that of the first layer's values if None.

    Attributes
    ----------
    inactive_values_ : ndarray of shape (n_layers,)
        Share of values that are zero or saturated; NaN where neither can be, as for 'identity'.
    inactive_units_ : ndarray of shape (n_layers,)
        Share of units that are so on every row.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    histograms_ : list of matplotlib artists
        One filled histogram per layer.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import ActivationDisplay
    >>> hidden = np.array([[0.0, 2.0], [0.0, 0.5]])  # the first unit is dead
    >>> ActivationDisplay([hidden], "relu").plot().inactive_units_
    array([0.5])
    """

    def __init__(
        self,
        values: list[NDArray[Any]],
        activation: str | Sequence[str],
        *,
        layer_names: list[str] | None = None,
        n_rows: int | None = None,
    ) -> None:
        self.values = values
        self.activation = activation
        self.layer_names = layer_names
        self.n_rows = n_rows

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, *, ax: Axes | None = None) -> ActivationDisplay:
        """Run rows through a fitted network and draw its hidden layers.

        Parameters
        ----------
        estimator : estimator
            A fitted MLP or network for series or images, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, as `estimator` takes them; some hundreds will do.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        ActivationDisplay
            Drawn.

        Raises
        ------
        ValueError
            If the network has no hidden layer.
        """
        if holds_stack(estimator):
            return cls._of_layers(estimator, X).plot(ax=ax)
        network, X, _ = find_network(estimator, X)
        if len(network.coefs_) == 1:
            raise ValueError("The network has no hidden layer whose activations could be drawn.")
        hidden = hidden_activations(network, X)
        return cls(hidden, network.activation, layer_names=layer_names(network)[1:-1]).plot(ax=ax)

    @classmethod
    def _of_layers(cls, estimator: Any, X: Any) -> ActivationDisplay:
        """Return the display of a network of other layers, by its engine."""
        stack, rows = find_stack(estimator, X)
        blocks = blocks_of(stack.network)[:-1]
        if not blocks:
            raise ValueError("The network has no hidden layer whose activations could be drawn.")
        return cls(
            [block_values(stack, rows, block) for block in blocks],
            [block.activation for block in blocks],
            layer_names=[block.name for block in blocks],
            n_rows=len(rows),
        )

    def plot(self, ax: Axes | None = None) -> ActivationDisplay:
        """Draw the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        ActivationDisplay
            This display.
        """
        n = len(self.values)
        self._entries = [
            find_activation(name) for name in hidden_layer_activations(self.activation, n)
        ]
        self.inactive_values_, self.inactive_units_ = self._inactive_shares()
        self.ax_ = new_axes("ActivationDisplay", ax, (7.2, 1.4 + 0.85 * n))
        self.figure_ = self.ax_.figure
        low, high = self._range()
        bins = np.linspace(low, high, N_BINS + 1)
        self.histograms_ = [self._draw(i, bins) for i in range(n)]
        names = self.layer_names or [f"layer {i + 1}" for i in range(n)]
        labels = [f"{name}\n{v.shape[1]} units" for name, v in zip(names, self.values)]
        self.ax_.set_yticks(np.arange(n), labels)
        self.ax_.set_ylim(n - 0.85, -0.95)
        self.ax_.set_xlim(low, high)
        kinds = dict.fromkeys(entry.name for entry in self._entries)
        self.ax_.set_xlabel(f"activation ({', '.join(kinds)})")
        zeros = "; zeros are not drawn" if any(entry.dies for entry in self._entries) else ""
        self.ax_.set_title(
            f"{self.n_rows or len(self.values[0])} rows; heights relative within each layer{zeros}",
            fontsize="medium",
        )
        for side in ("top", "right", "left"):
            self.ax_.spines[side].set_visible(False)
        return self

    def _inactive(self, values: NDArray[Any], entry: Any) -> NDArray[np.bool_] | None:
        """Return which values of an activation have (next to) no derivative."""
        if entry.dies:
            return np.asarray(values <= 0.0)
        if entry.bounded:
            low, high = entry.range
            return np.asarray((values < low + NEAR) | (values > high - NEAR))
        return None

    def _inactive_shares(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shares = np.full((2, len(self.values)), np.nan)
        for i, (values, entry) in enumerate(zip(self.values, self._entries)):
            inactive = self._inactive(values, entry)
            if inactive is not None:
                shares[:, i] = inactive.mean(), inactive.all(axis=0).mean()
        return shares[0], shares[1]

    def _range(self) -> tuple[float, float]:
        ranges = np.array([entry.range for entry in self._entries])
        ends = ranges[:, 0].min(), ranges[:, 1].max()
        pooled = np.concatenate([np.ravel(v) for v in self.values])
        seen = np.quantile(pooled, [0.001, 0.999])
        low, high = np.where(np.isfinite(ends), ends, seen)
        return float(low), float(high if high > low else low + 1.0)

    def _draw(self, i: int, bins: NDArray[np.float64]) -> Any:
        values = np.ravel(self.values[i])
        dies = self._entries[i].dies
        drawn = values[values > 0.0] if dies else values
        counts = np.histogram(drawn, bins)[0]
        heights = 0.75 * counts / max(1, counts.max())
        fill = self.ax_.fill_between(
            bins, i, i - np.append(heights, heights[-1]), step="post", color=BLUE, alpha=0.85, lw=0
        )
        self.ax_.axhline(i, color=GREY, lw=0.8, zorder=0)
        if not np.isnan(self.inactive_values_[i]):
            word, unit = ("zero", "dead") if dies else ("saturated",) * 2
            n_units = self.values[i].shape[1]
            n_inactive = round(self.inactive_units_[i] * n_units)
            self.ax_.text(
                1.02,
                i - 0.4,
                f"{self.inactive_values_[i]:.0%} of values {word}\n"
                f"{n_inactive} of {n_units} units {unit}",
                transform=self.ax_.get_yaxis_transform(),
                va="center",
                fontsize="small",
                color=VERMILLION if n_inactive else "black",
            )
        return fill
