"""Networks whose rows are series or images: one case, and what their layers make of it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from nnjit._types import Array
from nnjit.backends import select
from nnjit.estimators._arrays import common_dtype, engine_input
from nnjit.estimators._assigned import refuse_non_finite
from nnjit.estimators._base import NetworkEstimator
from nnjit.inspection._drawing import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY_BLUE, VERMILLION
from nnjit.inspection._network import find_network, innermost
from nnjit.layers.network import Network
from nnjit.layers.recurrence.layer import RecurrentLayer
from nnjit.layers.tied.spec import TiedDense

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What belongs to a convolution: how its outputs come about.
_PART_OF_IT = ("normalization", "parametric", "scaling", "residual", "dropout", "noise")
_CHANNEL_COLORS = (BLACK, BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY_BLUE)


class Stack(NamedTuple):
    """A fitted network whose rows are series or images, and its parameters."""

    estimator: Any
    network: Network
    arrays: list[Array]

    def parameters_of(self, number: int) -> dict[str, Array]:
        """Return the arrays of a layer by name; tied weights are those of the other, transposed."""
        owners, layer = self.network.parameters(), self.network.layers[number]
        own = {
            parameter.name: array
            for (owner, parameter), array in zip(owners, self.arrays, strict=True)
            if owner == number
        }
        if isinstance(layer, TiedDense):
            own["weights"] = self.parameters_of(number - layer.back)["weights"].T
        return own


def find_stack(estimator: Any, X: Any = None) -> tuple[Stack, Any]:
    """Return the network of nnjit inside an estimator, and rows as it gets them."""
    part, X, _ = find_network(estimator, X, weights=False, any_kind=True)
    network, arrays = part._give_parameters(None if X is None else X.shape[1])
    refuse_non_finite(part._as_attributes(arrays))
    return Stack(part, network, arrays), X


def find_arrays(display: str, estimator: Any, X: Any = None) -> tuple[Stack, Any]:
    """Return the same of a network for series or images.

    Raises
    ------
    TypeError
        If it is another network.
    """
    part = innermost(estimator)
    if not isinstance(part, NetworkEstimator):
        find_network(estimator, any_kind=True)  # says what is needed
    check_is_fitted(part, "coefs_")
    if not getattr(part, "input_shape_", ()):
        raise TypeError(
            f"{display} needs a network for series or images, got {type(part).__name__}."
        )
    return find_stack(estimator, X)


def find_case(display: str, estimator: Any, x: Any) -> tuple[Stack, Any]:
    """Return the network, and a single case as the one row that it gets.

    Raises
    ------
    ValueError
        If there are more.
    """
    stack, rows = find_arrays(display, estimator, as_cases(estimator, x))
    if len(rows) != 1:
        raise ValueError(f"One case is drawn; x has {len(rows)} cases.")
    return stack, rows


def as_cases(estimator: Any, x: Any) -> Any:
    """Return an array of cases where x is a case alone: with its axes, or as a row."""
    if hasattr(x, "iloc") or isinstance(x, list) or not hasattr(x, "ndim"):
        return x
    part = innermost(estimator)
    shape = tuple(getattr(part, "input_shape_", ()))
    if _is_other_series(part, x, shape):
        axes = (-1, shape[0]) if part.channels_last else (shape[0], -1)
        return np.asarray(x).reshape(1, *axes)
    alone = x.ndim == len(shape) and x.shape[:1] != (1,) and x.size == np.prod(shape)
    plane = len(shape) == 3 and x.shape == shape[1:]
    return np.asarray(x)[np.newaxis] if alone or plane or x.ndim == 1 else x


def _is_other_series(part: Any, x: Any, shape: tuple[int, ...]) -> bool:
    """Whether an array is one series of another length than those of the fit, not rows of them."""
    values = np.prod(shape)
    if len(shape) != 2 or x.ndim not in (1, 2) or x.shape[-1] == values or x.size == values:
        return False
    channels = 1 if x.ndim == 1 else x.shape[1 if part.channels_last else 0]
    return bool(channels == shape[0])


def case_number(rows: Any, case: Any) -> int:
    """Return the number of a case, counted from the end where it is negative.

    Raises
    ------
    ValueError
        If there is none.
    """
    number = operator.index(case)
    if not -len(rows) <= number < len(rows):
        cases = "1 case" if len(rows) == 1 else f"{len(rows)} cases"
        raise ValueError(f"X has {cases}, there is none with number {number}.")
    return number % len(rows)


def case_of(stack: Stack, row: Any) -> NDArray[np.float64]:
    """Return a row in its shape, (channels, points...); NaN behind the end of a series."""
    return np.array(row, np.float64).reshape(stack.network.shape)


def valid_points(case: NDArray[np.float64]) -> int:
    """Return the points of time that a series has."""
    return int((~np.isnan(case).all(axis=0)).sum())


def layer_outputs(stack: Stack, rows: Any, count: int) -> NDArray[np.float64]:
    """Return what comes out of the first `count` layers for each row, in its shape.

    Behind the end of a series there is NaN.
    """
    first = stack.network.first(count)
    engine = select.make_engine(first, common_dtype(stack.arrays))
    engine.pack(stack.arrays[: len(first.parameters())])
    given = stack.estimator._engine_rows(engine_input(rows, engine.dtype))
    shape = first.shapes[-1]
    values = np.array(engine.predict(given), np.float64)
    if not isinstance(shape, tuple):
        return values
    values = values.reshape(len(values), *shape)
    if (table := first.lengths[-1]) is not None:
        missing = np.isnan(np.asarray(rows)).reshape(len(values), *stack.network.shape)
        lengths = table[(~missing.all(axis=1)).sum(axis=1)]
        behind = np.arange(shape[-1]) >= lengths[:, np.newaxis]
        values[np.broadcast_to(behind[:, np.newaxis], values.shape)] = np.nan
    return values


def all_values(stack: Stack, row: Any) -> list[NDArray[np.float64]]:
    """Return a single row and what every layer makes of it, each in its shape."""
    values = [np.array(row, np.float64).reshape(stack.network.shape or -1)]
    for count, layer in enumerate(stack.network.layers[:-1], start=1):
        changed = not getattr(layer, "random", False)  # in predictions there is no such layer
        values.append(layer_outputs(stack, row, count)[0] if changed else values[-1])
    outputs = predicted(stack, row, "activation")[0]
    if stack.network.target_shape:  # those of each point
        outputs = outputs.T.copy()
        outputs[:, np.isnan(values[0]).all(axis=0)] = np.nan
    return [*values, outputs]


def logits(stack: Stack, rows: Any) -> NDArray[np.float64]:
    """Return the logits of rows."""
    return predicted(stack, rows, "logits")


def predicted(stack: Stack, rows: Any, output: str) -> NDArray[np.float64]:
    """Return outputs of rows, 'activation' or 'logits'."""
    engine = select.make_engine(stack.network, common_dtype(stack.arrays))
    engine.pack(stack.arrays)
    given = stack.estimator._engine_rows(engine_input(rows, engine.dtype))
    return np.asarray(engine.predict(given, output=output), np.float64)


def is_plain(network: Network) -> bool:
    """Whether all layers that a prediction goes through are dense, and rows are vectors."""
    kinds = {one.kind for one in network.layers}
    return not network.shape and kinds <= {"dense", "dropout", "noise"}


def convolution_number(network: Network, layer: Any) -> int:
    """Return the place among all layers of a convolution that is given by its own number.

    Raises
    ------
    ValueError
        If there is none.
    """
    kinds = [one.kind for one in network.layers]
    return _number_among([i for i, kind in enumerate(kinds) if kind == "convolution"], layer)


def recurrent_number(network: Network, layer: Any) -> int:
    """Return the same of a recurrent layer."""
    layers = enumerate(network.layers)
    places = [i for i, one in layers if isinstance(one, RecurrentLayer)]
    return _number_among(places, layer, "recurrent")


def _number_among(places: list[int], layer: Any, what: str = "convolution") -> int:
    number = operator.index(layer)
    if not places:
        raise ValueError(f"The network has no {what} layers.")
    if not -len(places) <= number < len(places):
        layers = "1 {} layer" if len(places) == 1 else f"{len(places)} {{}} layers"
        raise ValueError(
            f"The network has {layers.format(what)}: layer must be from {-len(places)} "
            f"to {len(places) - 1}, got {number}."
        )
    return places[number]


def convolution_end(network: Network, place: int) -> int:
    """Return the number of layers up to the end of a convolution, before pooling."""
    end = place + 1
    while end < len(network.layers) and network.layers[end].kind in _PART_OF_IT:
        end += 1
    return end


class Block(NamedTuple):
    """A layer of weights, and the normalization and the parametric activation behind it."""

    name: str
    place: int  # its number among all layers
    end: int  # layers up to the end of its activation
    activation: str


def blocks_of(network: Network) -> list[Block]:
    """Return what makes new values by weights, the output layer last."""
    counts: dict[str, int] = {}
    found = []
    for place, layer in enumerate(network.layers):
        names = [one.name for one in layer.parameters(network.shapes[place])]
        if "weights" not in names and layer.kind != "tied":
            continue
        counts[layer.kind] = counts.get(layer.kind, -1) + 1
        end, acting = place + 1, layer
        for kind in ("normalization", "parametric"):
            if end < len(network.layers) and network.layers[end].kind == kind:
                end, acting = end + 1, network.layers[end]
        last = place == len(network.layers) - 1
        name = "output" if last else f"{layer.kind} {counts[layer.kind]}"
        # the states of gated cells are bounded by a tanh
        usual = "tanh" if isinstance(acting, RecurrentLayer) else "identity"
        # a mix with the value itself has neither the activation's range nor its flat ends
        mixed = acting.kind == "parametric"
        activation = usual if mixed else getattr(acting, "activation", usual)
        found.append(Block(name, place, end, activation))
    return found


def block_values(stack: Stack, rows: Any, block: Block) -> NDArray[np.float64]:
    """Return a layer's activations (n_values, units): of a convolution, all points of all rows."""
    values = layer_outputs(stack, rows, block.end)
    values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
    return values[~np.isnan(values).any(axis=1)]


def draw_case(ax: Axes, case: NDArray[Any], *, pale: bool = False) -> Any:
    """Draw an image in grey or, of three channels, in colours; of a series a line per channel.

    `pale` leaves out the dark, for what is drawn over it.
    """
    if case.ndim == 3:
        low, high = np.nanmin(case), np.nanmax(case)
        scaled = (case - low) / (high - low if high > low else 1.0)
        ax.set_xticks([])
        ax.set_yticks([])
        scaled = 0.4 + 0.6 * scaled if pale else scaled
        if len(case) == 3:
            return ax.imshow(scaled.transpose(1, 2, 0), interpolation="nearest")
        return ax.imshow(scaled.mean(axis=0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    few = len(case) <= len(_CHANNEL_COLORS)
    lines = []
    for number, values in enumerate(case):
        color, width = (_CHANNEL_COLORS[number], 1.4) if few else (GREY, 0.7)
        (line,) = ax.plot(values, color=color, lw=width, label=f"channel {number}")
        lines.append(line)
    if few and len(case) > 1:
        ax.legend(fontsize="small")
    return lines
