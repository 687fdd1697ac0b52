"""How much gradient reaches each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.estimators._arrays import pack_parameters, unpack_parameters
from nnjit.inspection._cases import Stack, blocks_of, find_stack
from nnjit.inspection._drawing import BLUE, ORANGE, VERMILLION, new_axes
from nnjit.inspection._network import (
    find_network,
    holds_stack,
    layer_names,
    layer_units,
    loss_gradient,
)
from nnjit.inspection.gradient_check import double_engine

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Arrays of weights that layers have by name, and what is said of them.
_MATRICES = {
    "weights": "",
    "recurrent_weights": "states",
    "reverse_weights": "backward",
    "reverse_recurrent_weights": "backward\nstates",
}
_NOTHING = np.full(1, np.nan)  # weights without biases of their own


def _relative(gradient: NDArray[np.float64], weights: NDArray[np.float64]) -> Any:
    """Return norms of gradients beside those of weights, 0 where there are none."""
    return np.divide(gradient, weights, out=np.zeros_like(weights), where=weights > 0)


class GradientFlowDisplay:
    """Norm of the loss gradient by each layer's weights and biases, for one batch.

    Norms that fall by orders of magnitude towards the input are a vanishing gradient, norms that
    grow an exploding one. The number at each layer is the norm of the weight gradient beside that
    of the weights themselves: times the learning rate it is the relative size of an SGD step.

    Parameters
    ----------
    weight_norms, bias_norms : array-like of shape (n_layers,)
        Euclidean norms of the gradient; NaN for weights without biases of their own. A recurrent
        layer counts as several: its weights of the inputs and those of the states, and the same of
        a second direction.
    relative : array-like of shape (n_layers,), default=None
        Norm of the weight gradient divided by that of the weights.
    layer_names : list of str, default=None
        One per layer of weights.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    weight_points_, bias_points_ : matplotlib Line2D

    Examples
    --------
    >>> from nnjit.inspection import GradientFlowDisplay
    >>> display = GradientFlowDisplay([1e-4, 0.3], [2e-5, 0.1]).plot()  # it vanishes
    >>> display.weight_points_.get_ydata()
    array([1.e-04, 3.e-01])
    """

    def __init__(
        self,
        weight_norms: ArrayLike,
        bias_norms: ArrayLike,
        *,
        relative: ArrayLike | None = None,
        layer_names: list[str] | None = None,
    ) -> None:
        self.weight_norms = weight_norms
        self.bias_norms = bias_norms
        self.relative = relative
        self.layer_names = layer_names

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, ax: Axes | None = None
    ) -> GradientFlowDisplay:
        """Draw the gradient of the mean loss over a batch, L2 term left out.

        Parameters
        ----------
        estimator : estimator
            A fitted MLP or network for series or images, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The batch, as `estimator` takes it.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Its targets.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        GradientFlowDisplay
            Drawn.
        """
        if holds_stack(estimator):
            return cls._of_layers(estimator, X, y).plot(ax=ax)
        network, X, y = find_network(estimator, X, y)
        gradient = loss_gradient(network, X, y)
        weight_norms = np.array([np.linalg.norm(g) for g in gradient.weights])
        sizes = np.array([np.linalg.norm(weights) for weights in network.coefs_])
        units = layer_units(network)
        names = [
            f"{name}\n{fan_in}×{fan_out}"
            for name, fan_in, fan_out in zip(layer_names(network)[1:], units[:-1], units[1:])
        ]
        display = cls(
            weight_norms,
            np.array([np.linalg.norm(g) for g in gradient.biases]),
            relative=_relative(weight_norms, sizes),
            layer_names=names,
        )
        return display.plot(ax=ax)

    @classmethod
    def _of_layers(cls, estimator: Any, X: Any, y: Any) -> GradientFlowDisplay:
        """Return the display of a network of other layers, by its engine."""
        stack, _ = find_stack(estimator)
        part, X, y = find_network(estimator, X, y, any_kind=True)
        engine, dataset = double_engine(part, X, y, None)
        network = stack.network
        packed = engine.loss_gradient(pack_parameters(network, stack.arrays), dataset, 0.0)[1]
        gradient = Stack(part, network, unpack_parameters(network, packed, packed.dtype))
        norms, names = [], []
        for block in blocks_of(network):
            slopes, weights = gradient.parameters_of(block.place), stack.parameters_of(block.place)
            for name, label in _MATRICES.items():
                if name in weights:
                    biases = slopes.get(name.replace("weights", "biases"), _NOTHING)
                    arrays = slopes[name], biases, weights[name]
                    norms.append([np.linalg.norm(array) for array in arrays])
                    sizes_of_it = "×".join(map(str, weights[name].shape))
                    names.append("\n".join(filter(None, (block.name, label, sizes_of_it))))
        weight_norms, bias_norms, sizes = np.transpose(norms)
        relative = _relative(weight_norms, sizes)
        return cls(weight_norms, bias_norms, relative=relative, layer_names=names)

    def plot(self, ax: Axes | None = None) -> GradientFlowDisplay:
        """Draw the norms on a logarithmic scale.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        GradientFlowDisplay
            This display.
        """
        weights = np.asarray(self.weight_norms, dtype=np.float64)
        biases = np.asarray(self.bias_norms, dtype=np.float64)
        n = len(weights)
        place = np.arange(n)
        self.ax_ = new_axes("GradientFlowDisplay", ax, (max(5.0, 1.6 + 1.15 * n), 4.0))
        self.figure_ = self.ax_.figure
        positive = np.concatenate([weights, biases])
        positive = positive[np.isfinite(positive) & (positive > 0)]
        floor, top = (positive.min(), positive.max()) if len(positive) else (1e-3, 1.0)
        # Two decades at least, so that small differences do not look large, and room on top.
        bottom = 10.0 ** np.floor(min(np.log10(floor) - 0.3, np.log10(top) - 1.5))
        self.ax_.set_yscale("log")
        self.ax_.set_ylim(bottom, top * (top / bottom) ** 0.25)
        self.ax_.set_xlim(-0.5, n - 0.5)
        # Dots: a logarithmic scale has no zero for the foot of a bar.
        self.weight_points_ = self._draw(weights, BLUE, "o", "weights")
        self.bias_points_ = self._draw(biases, ORANGE, "s", "biases")
        self._annotate(weights, biases, float(self.ax_.get_ylim()[0]))
        names = self.layer_names or [f"layer {i + 1}" for i in range(n)]
        self.ax_.set_xticks(place, names)
        self.ax_.set_ylabel("norm of the loss gradient")
        if self.relative is not None:
            self.ax_.set_title("numbers: weight gradient / weights", fontsize="medium")
        self.ax_.grid(visible=True, axis="y", color="0.9")
        self.ax_.set_axisbelow(True)
        self.ax_.legend(loc="upper right", ncols=2)
        return self

    def _draw(self, norms: Any, color: str, marker: str, label: str) -> Any:
        place = np.arange(len(norms))
        (points,) = self.ax_.plot(
            place,
            np.where(norms == 0, np.nan, norms),  # a line to zero would have no end
            color=color,
            marker=marker,
            ms=7,
            lw=1,
            ls=":",
            label=label,
        )
        return points

    def _annotate(self, weights: Any, biases: Any, bottom: float) -> None:
        relative = None if self.relative is None else np.asarray(self.relative)
        for i, (weight, bias) in enumerate(zip(weights, biases)):
            if relative is not None and weight > 0:
                self._write(i, weight, f"{relative[i]:.1e}", "black", above=not weight < bias)
            # A logarithmic scale has no place for it.
            zero = [name for name, norm in (("weights", weight), ("biases", bias)) if norm == 0]
            if zero:
                self._write(i, bottom, f"{' and '.join(zero)}: zero", VERMILLION, above=True)

    def _write(self, x: float, y: float, text: str, color: str, above: bool) -> None:
        self.ax_.annotate(
            text,
            (x, y),
            xytext=(0, 6 if above else -6),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize="small",
            color=color,
        )
