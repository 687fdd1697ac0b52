"""What a layer looks at: its weights as images or as a heat map."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnjit.inspection._cases import blocks_of, find_stack
from nnjit.inspection._drawing import (
    default_names,
    fit_texts,
    mosaic,
    new_axes,
    sign_colors,
    strongest,
    symmetric_limit,
)
from nnjit.inspection._network import find_network, holds_stack, known_names, layer_names
from nnjit.layers.network import Network
from nnjit.layers.recurrence.layer import RecurrentLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Inches that a figure without a layout leaves beside its axes.
_USUAL_MARGIN = 0.5


class _Layer(NamedTuple):
    """A layer's name, its weights, and names of their rows and columns, None where they follow."""

    name: str
    weights: Any
    names: Any
    unit_names: Any = None


class WeightsDisplay:
    """Weights of a layer: one image per unit, or features by units.

    Orange is positive, blue negative, white zero, on one scale. Units and features beyond
    `max_units` and `max_features` are left out, the ones with the smallest weights first, and
    the picture says so. Of a convolution the features are the points of the kernel, channel by
    channel at each, and the units are the filters; of a recurrent layer the units are those of each
    gate, such as r0, r1, ... of a GRU's reset gate.

    Parameters
    ----------
    weights : array-like of shape (n_features, n_units), or (kernel..., channels, filters)
        Weights of the layer.
    image_shape : tuple of int, default=None
        Shape of the picture that a row of inputs is; None for a heat map.
    feature_names : list of str, default=None
        Names for the heat map's rows; if None x0, x1, ..., or the point of the kernel and the
        channel.
    unit_names : list of str, default=None
        Names for the heat map's columns; their numbers if None.
    layer_name : str, default='first layer'
        Name of the layer, for the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
    units_ : ndarray of int
        The units drawn.
    features_ : ndarray of int
        The features drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from nnjit.inspection import WeightsDisplay
    >>> display = WeightsDisplay(np.eye(4), image_shape=(2, 2)).plot(max_units=2)
    >>> display.units_
    array([0, 1])
    """

    def __init__(
        self,
        weights: ArrayLike,
        *,
        image_shape: tuple[int, int] | None = None,
        feature_names: Any = None,
        unit_names: Any = None,
        layer_name: str = "first layer",
    ) -> None:
        self.weights = weights
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.unit_names = unit_names
        self.layer_name = layer_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        layer: int = 0,
        *,
        image_shape: tuple[int, int] | None = None,
        feature_names: Any = None,
        parameter: str = "weights",
        ax: Axes | None = None,
        max_units: int = 36,
        max_features: int = 30,
    ) -> WeightsDisplay:
        """Draw the weights of a layer of a fitted network, the first one if none is named.

        Parameters
        ----------
        estimator : estimator
            A fitted MLP or network for series or images, alone or in a Pipeline,
            TransformedTargetRegressor or search.
        layer : int, default=0
            Number of the layer among those that have weights, negative from the last one.
        image_shape : tuple of int, default=None
            Shape of the picture that a row of inputs is; None for a heat map.
        feature_names : list of str, default=None
            Names of the layer's inputs. If None, for the first layer those the estimator or the
            steps before it know, or x0, x1, ...; of arrays of channels the point and the channel;
            else the number of the unit, channel or state.
        parameter : str, default='weights'
            Which weights of the layer: of a recurrent one also 'recurrent_weights',
            'reverse_weights' and 'reverse_recurrent_weights', as in ``layer_parameters_``.
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_units, max_features : int, default=36, 30
            Most units drawn, and most rows of a heat map.

        Returns
        -------
        WeightsDisplay
            Drawn.

        Raises
        ------
        ValueError
            If there is no such layer, or as `plot` says.
        """
        if holds_stack(estimator):
            found = _of_stack(estimator, layer, parameter)
        else:
            _check_parameter(parameter, ["weights"])
            found = _of_mlp(estimator, layer)
        names = found.names if feature_names is None else feature_names
        display = cls(
            found.weights,
            image_shape=image_shape,
            feature_names=names,
            unit_names=found.unit_names,
            layer_name=found.name,
        )
        return display.plot(ax=ax, max_units=max_units, max_features=max_features)

    def plot(
        self, ax: Axes | None = None, *, max_units: int = 36, max_features: int = 30
    ) -> WeightsDisplay:
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.
        max_units, max_features : int, default=36, 30
            Most units drawn, and most rows of a heat map.

        Returns
        -------
        WeightsDisplay
            This display.

        Raises
        ------
        ValueError
            If `image_shape` does not hold as many pixels as there are features, or the number
            of names differs from that of features.
        """
        weights = np.asarray(self.weights, dtype=np.float64)
        weights = weights.reshape(-1, weights.shape[-1])
        self.units_ = strongest(np.square(weights).sum(axis=0), max_units)
        if self.image_shape is not None:
            self.features_ = np.arange(len(weights))
            self._draw_images(ax, weights)
        else:
            self.features_ = strongest(np.square(weights).sum(axis=1), max_features)
            self._draw_heat_map(ax, weights)
        self.figure_ = self.ax_.figure
        self.figure_.colorbar(
            self.image_, ax=self.ax_, label="weight", fraction=0.046, pad=0.03, aspect=40
        )
        if self.image_shape is None:
            self._make_room_for_names(own=ax is None)
        return self

    def _draw_images(self, ax: Axes | None, weights: NDArray[np.float64]) -> None:
        assert self.image_shape is not None
        height, width = self.image_shape
        if height * width != len(weights):
            raise ValueError(
                f"image_shape={self.image_shape} has {height * width} pixels, but the network "
                f"has {len(weights)} inputs."
            )
        n = len(self.units_)
        columns = math.ceil(math.sqrt(n))
        rows = math.ceil(n / columns)
        pictures = weights[:, self.units_].T.reshape(n, height, width)
        self.ax_ = new_axes("WeightsDisplay", ax, (6.4, 0.8 + 5.2 * rows / columns))
        self._show(mosaic(pictures, columns))
        self.ax_.set_xticks([])
        self.ax_.set_yticks([])
        self.ax_.set_title(self._heading(weights, f"{self._title()}, one image per unit"))

    def _draw_heat_map(self, ax: Axes | None, weights: NDArray[np.float64]) -> None:
        names = self.feature_names
        if names is None:
            names = _default_names(np.shape(self.weights))
        if len(names) != len(weights):
            raise ValueError(f"{len(weights)} feature names are needed, got {len(names)}.")
        height = 1.4 + 0.24 * max(len(self.features_), 6)
        self.ax_ = new_axes("WeightsDisplay", ax, (7.0, height))
        self._show(weights[np.ix_(self.features_, self.units_)], aspect="auto")
        self.ax_.set_yticks(
            np.arange(len(self.features_)), [str(names[i]) for i in self.features_], fontsize=9
        )
        step = max(1, math.ceil(len(self.units_) / 12))
        ticks = np.arange(0, len(self.units_), step)
        columns = range(weights.shape[1]) if self.unit_names is None else self.unit_names
        self.ax_.set_xticks(ticks, [str(columns[self.units_[i]]) for i in ticks])
        self.ax_.set_xlabel(self._units())
        title = self._title()
        if len(self.features_) < len(weights):
            title += f", {len(self.features_)} of {len(weights)} features"
        self.ax_.set_title(self._heading(weights, title))

    def _make_room_for_names(self, own: bool) -> None:
        """Have the names end within the figure, and not over what is left of the axes."""
        names = self.ax_.get_yticklabels()
        figure: Any = self.figure_
        row = self.ax_.get_window_extent().height / figure.dpi / len(names)
        box = self.ax_.get_position()
        figure_width = figure.bbox.width / figure.dpi
        room = 4.0 if own else 0.45 * box.width * figure_width + _USUAL_MARGIN
        width = fit_texts(names, room, row)
        self.ax_.set_yticklabels(
            [name.get_text() for name in names], fontsize=names[0].get_fontsize()
        )
        over = (width - _USUAL_MARGIN) / figure_width
        if own:
            figure.set_figwidth(max(7.0, 5.5 + width))
        elif figure.get_layout_engine() is None and over > 0:
            self.ax_.set_position((box.x0 + over, box.y0, box.width - over, box.height))

    def _title(self) -> str:
        first = self.layer_name == "first layer"
        if "," in self.layer_name:  # what they are is said
            return self.layer_name
        return "first-layer weights" if first else f"weights of {self.layer_name}"

    def _units(self) -> str:
        if self.unit_names is not None:
            return "gate and unit"
        filters = np.ndim(self.weights) > 2
        article = "the " if self.layer_name == "first layer" else ""
        return f"{'filter' if filters else 'unit'} of {article}{self.layer_name}"

    def _heading(self, weights: NDArray[np.float64], title: str) -> str:
        if len(self.units_) < weights.shape[1]:
            title += f"\n{len(self.units_)} of {weights.shape[1]} units: the largest weights"
        return title

    def _show(self, values: NDArray[np.float64], **kwargs: Any) -> None:
        limit = symmetric_limit(values[np.isfinite(values)])
        cmap = sign_colors().with_extremes(bad="0.35")
        self.image_ = self.ax_.imshow(
            values, cmap=cmap, vmin=-limit, vmax=limit, interpolation="nearest", **kwargs
        )


def _of_mlp(estimator: Any, layer: int) -> _Layer:
    network, _, _ = find_network(estimator)
    number = _checked_number(layer, len(network.coefs_))
    weights = network.coefs_[number]
    if number == 0:
        return _Layer("first layer", weights, known_names(estimator))
    return _Layer(layer_names(network)[number + 1], weights, _unit_names(len(weights)))


def _of_stack(estimator: Any, layer: int, parameter: str) -> _Layer:
    stack, _ = find_stack(estimator)
    blocks = blocks_of(stack.network)
    block = blocks[_checked_number(layer, len(blocks))]
    given = stack.parameters_of(block.place)
    _check_parameter(parameter, [name for name in given if name.endswith("weights")])
    weights, recurrent = given[parameter], stack.network.layers[block.place]
    if isinstance(recurrent, RecurrentLayer):
        name = block.name if parameter == "weights" else f"{block.name}, {parameter}"
        row = "state" if parameter.endswith("recurrent_weights") else "channel"
        rows = [f"{row} {i}" for i in range(len(weights))]
        return _Layer(name, weights, rows, _gate_names(recurrent))
    if weights.ndim > 2:
        return _Layer(block.name, weights, None)
    return _Layer(block.name, weights, _input_names(estimator, stack.network, block.place))


def _check_parameter(parameter: str, known: list[str]) -> None:
    if parameter not in known:
        names = " or ".join(map(repr, known))
        raise ValueError(f"The layer's weights are {names}, got parameter={parameter!r}.")


def _gate_names(layer: RecurrentLayer) -> list[str] | None:
    """Return names of the columns of a recurrent layer's weights: the gate and the unit."""
    gates = {"gru": "rzn", "lstm": "ifgo"}.get(layer.kind)
    if gates is None:
        return None
    return [f"{gate}{unit}" for gate in gates for unit in range(layer.units)]


def _input_names(estimator: Any, network: Network, place: int) -> Any:
    """Return the names of what comes into a dense layer."""
    if place and network.layers[place - 1].kind == "flatten":
        shape = network.shapes[place - 1]
        if isinstance(shape, tuple):
            points = [*np.ndindex(*shape[1:])]
            return [_place_name(point, c, shape[0]) for c in range(shape[0]) for point in points]
    trained = any(number < place for number, _ in network.parameters())
    if not trained and not network.shape:
        return known_names(estimator)
    return _unit_names(network.sizes[place])


def _unit_names(count: int) -> list[str]:
    return [f"unit {i}" for i in range(count)]


def _checked_number(layer: int, count: int) -> int:
    """Return the number of a layer of weights, from 0 on."""
    number = operator.index(layer)
    if not -count <= number < count:
        raise ValueError(
            f"The network has {count} layers of weights: layer must be from {-count} to "
            f"{count - 1}, got {number}."
        )
    return number % count


def _default_names(shape: tuple[int, ...]) -> list[str]:
    """Return names for the rows of weights; of a convolution points come first, as in memory."""
    if len(shape) < 3:
        return default_names(shape[0])
    *kernel, channels, _ = shape
    points = np.ndindex(*kernel)
    return [_place_name(point, c, channels) for point in points for c in range(channels)]


def _place_name(point: tuple[int, ...], channel: int, channels: int) -> str:
    """Return the name of a channel at a point, which of a single channel is enough."""
    where = f"point {', '.join(map(str, point))}"
    return where if channels == 1 else f"{where}; channel {channel}"
