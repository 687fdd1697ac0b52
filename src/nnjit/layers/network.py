"""A network as data: what goes in, the layers in order, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnjit.formulas.registry import LOSSES
from nnjit.layers.dense.spec import Dense
from nnjit.layers.layer import Layer, Parameter, Shape, size_of
from nnjit.layers.registry import find_kind

__all__ = ["Network", "mlp"]

# Factor on the learning rate of biases where it is divided by the root of a weight's inputs, as
# RealMLP has it.
_RATE_OF_BIASES = 0.1
# Kinds of layers that have no units of their own and belong to the layer before them.
_BEHIND = (
    "augmentation",
    "dropout",
    "global_pooling",
    "noise",
    "normalization",
    "parametric",
    "piecewise",
    "pooling",
    "residual",
    "scaling",
)


@dataclass(frozen=True)
class Network:
    """A chain of layers with a loss at its end.

    Attributes
    ----------
    inputs : int
        Features of a row.
    layers : tuple of Layer
        The outputs of the last one are the logits. It is dense, or, where each point of a series
        has a target of its own, a convolution of kernel size 1.
    loss : str
        Name of the training loss; '' for a network that is the beginning of another (see `first`)
        and may end in any layer.
    output : str
        Name of the output activation, which makes outputs of the logits.
    loss_parameters : tuple of (str, float or tuple of float)
        Parameters of the loss that are not at the defaults of its entry, one number for all
        outputs or one for each.
    groups : tuple of int
        Numbers of logits of each softmax where there are several, one after the other; ``()`` for
        a single one, of all logits.
    shape : tuple of int
        (channels, time) or (channels, height, width) of a row that is a series or an image, in C
        order; ``()`` for a vector.
    parametrization : {'standard', 'ntk'}
        With 'ntk' the learning rate of weights that add up n values is divided by the root of n,
        and that of biases by 10, as if the weights were ``W / sqrt(n)`` with W trained at the rate
        itself. A. Jacot, F. Gabriel and C. Hongler, "Neural tangent kernel", NeurIPS 2018.

    Raises
    ------
    ValueError
        If that is no network.
    """

    inputs: int
    layers: tuple[Layer, ...]
    loss: str
    output: str
    loss_parameters: tuple[tuple[str, float | tuple[float, ...]], ...] = ()
    groups: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    parametrization: str = "standard"

    def __post_init__(self) -> None:
        self._settle_layers()
        if self.parametrization not in ("standard", "ntk"):
            raise ValueError(
                f"parametrization must be 'standard' or 'ntk', got {self.parametrization!r}."
            )
        if not self.layers or (self.loss and not _gives_logits(self.layers[-1])):
            raise ValueError(
                "A network ends in a dense layer without an activation, or in a convolution of "
                f"kernel size 1 without one, whose outputs are the logits: {self}."
            )
        if self.shape and (len(self.shape) not in (2, 3) or size_of(self.shape) != self.inputs):
            raise ValueError(
                "The shape of a row is (channels, time) or (channels, height, width), of as many "
                f"values as there are inputs: {self.shape} for {self.inputs} inputs."
            )
        if not all(isinstance(size, Integral) and size >= 1 for size in self.sizes):
            raise ValueError(
                f"A network has at least one input, and each layer one output: {self}."
            )
        for first, number in self.shortcuts:
            if first < 0 or first == number or self.shapes[first] != self.shapes[number]:
                raise ValueError(
                    f"A residual layer adds what came into a layer below it, of as many values: "
                    f"layer {number} of {self}."
                )
        self._check_order()
        self._check_loss_parameters()
        if self.groups and sum(self.groups) != self.outputs:
            raise ValueError(f"Groups of {self.groups} logits are not all of them: {self}.")
        if self.groups and self.target_shape:
            raise ValueError(
                f"A target at every point of a series is one of a single softmax, not of groups of "
                f"{self.groups} logits: {self}."
            )

    def _settle_layers(self) -> None:
        """Have layers enter what follows from those before them."""
        if not any(hasattr(layer, "settled") for layer in self.layers):
            return
        layers, shapes = [*self.layers], [self.shape or self.inputs]
        for number, layer in enumerate(layers):
            with _naming(number, layer):
                if hasattr(layer, "settled"):
                    layers[number] = layer.settled(layers[:number], shapes)
                shapes.append(layers[number].outputs(shapes[-1]))
        object.__setattr__(self, "layers", tuple(layers))

    def _check_order(self) -> None:
        trained = min((number for number, _ in self.parameters()), default=len(self.layers))
        for number, layer in enumerate(self.layers):
            if number > trained and getattr(layer, "changes_rows", False):
                raise ValueError(
                    f"Layer {number}, {_text(layer)}, changes the rows: it has to come first, but "
                    f"layer {trained}, {_text(self.layers[trained])}, has parameters."
                )

    def _check_loss_parameters(self) -> None:
        names = [name for name, _ in self.loss_parameters]
        if len(set(names)) < len(names):
            raise ValueError(f"A parameter of the loss is given twice: {names}.")
        for name, value in self.loss_parameters:
            for one in value if isinstance(value, tuple) else (value,):
                unbounded = isinstance(one, Real) and one == math.inf and name in self._unbounded()
                if not isinstance(one, Real) or not (math.isfinite(one) or unbounded):
                    raise ValueError(f"{name} of the loss must be finite numbers, got {value!r}.")

    def _unbounded(self) -> tuple[str, ...]:
        """Return the parameters of the loss that may be infinite."""
        entry = LOSSES.get((self.loss, self.output))
        return entry.unbounded if entry else ()

    def __str__(self) -> str:
        layers = " -> ".join(map(_text, (self.shape or self.inputs, *self.layers)))
        options = "".join(f", {name}={value!r}" for name, value in self.loss_parameters)
        if self.parametrization != "standard":
            options += f", parametrization {self.parametrization!r}"
        return f"{layers}, output {self.output!r}, loss {self.loss!r}{options}"

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of a row: of the inputs, and of the outputs of every layer."""
        shapes: list[Shape] = [self.shape or self.inputs]
        for number, layer in enumerate(self.layers):
            with _naming(number, layer):
                shapes.append(layer.outputs(shapes[-1]))
        return tuple(shapes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Values of a row: the inputs, and the outputs of every layer."""
        return tuple(map(size_of, self.shapes))

    @cached_property
    def lengths(self) -> tuple[NDArray[np.int64] | None, ...]:
        """Points of time that a series of n points has as an input and behind each layer, by n.

        An array for n from 0 to that of the inputs, None where there is no series: rows are
        vectors or images, or time is gone.
        """
        if len(self.shape) != 2:
            return (None,) * (len(self.layers) + 1)
        found: list[NDArray[np.int64] | None] = [np.arange(self.shape[-1] + 1, dtype=np.int64)]
        for layer, after in zip(self.layers, self.shapes[1:], strict=True):
            before, length = found[-1], getattr(layer, "length", None)
            if getattr(layer, "by_points", False):
                length = None
            if before is None or not isinstance(after, tuple):
                found.append(None)
            else:
                found.append(
                    before
                    if length is None
                    else np.array([*map(length, before.tolist())], np.int64)
                )
        return tuple(found)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Return the inputs, and the units of every layer that makes new ones by a matrix.

        These are what an estimator calls layers. Normalization and the like belong to the one
        below them.
        """
        widths = [self.inputs]
        for layer, before, after in zip(self.layers, self.shapes, self.sizes[1:], strict=False):
            own = any(one.trained and len(one.shape) >= 2 for one in layer.parameters(before))
            if own or layer.kind == "tied":
                widths.append(after)
        return tuple(widths)

    @cached_property
    def shortcuts(self) -> tuple[tuple[int, int], ...]:
        """Return (number of the layer whose inputs are added, that of the one that adds them)."""
        spans = [getattr(layer, "span", None) for layer in self.layers]
        return tuple((k - span, k) for k, span in enumerate(spans) if span is not None)

    @cached_property
    def joins_rows(self) -> bool:
        """Whether in training what comes out for a row depends on its minibatch's other rows."""
        return any(getattr(layer, "joins_rows", False) for layer in self.layers)

    @property
    def outputs(self) -> int:
        """Logits of a target: outputs of the last layer, of a series those at each point."""
        last = self.shapes[-1]
        return last[0] if isinstance(last, tuple) else last

    @property
    def steps(self) -> int:
        """Targets of a row: one, or one for each point of time that the last layer gives out."""
        return self.sizes[-1] // self.outputs

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of a row's targets: ``(steps,)`` where each point has one of its own, else ()."""
        return (self.steps,) if self.loss and isinstance(self.shapes[-1], tuple) else ()

    @cached_property
    def carried(self) -> tuple[int, ...]:
        """How many values of a series each layer leaves from one window of it to the next."""
        found = []
        for layer, inputs in zip(self.layers, self.shapes, strict=False):
            carried = getattr(layer, "carried", None)
            found.append(0 if carried is None else carried(inputs))
        return tuple(found)

    @cached_property
    def carries(self) -> bool:
        """Whether it can go over a series window by window, states being carried on.

        Then each layer goes forward in time or makes each point out of that point alone, for as
        long as there are points.
        """
        return any(self.carried) and self.first_joining is None

    @cached_property
    def first_joining(self) -> int | None:
        """Number of the first layer that needs a whole series for a prediction, if any does."""
        for number, (layer, shape) in enumerate(zip(self.layers, self.shapes, strict=False)):
            alone = any(getattr(layer, name, False) for name in ("by_points", "changes_rows"))
            goes_on = self.carried[number] or alone
            if isinstance(shape, tuple) and (len(shape) == 3 or not goes_on):
                return number
        return None

    @cached_property
    def window(self) -> int | None:
        """Points of the windows of a series that are trained on one after the other.

        They are those behind which its recurrent layers cut backpropagation, where each point has
        a target of its own; None where series are trained on as a whole.
        """
        changes = any(getattr(layer, "changes_rows", False) for layer in self.layers)
        if not self.target_shape or not self.carries or changes or self.joins_rows:
            return None
        cuts = {getattr(one, "truncate", None) for one, n in zip(self.layers, self.carried) if n}
        points = cuts.pop()
        return points if not cuts and points is not None and points < self.shape[1] else None

    def of_points(self, points: int) -> Network:
        """Return the network of the same layers for series of so many points."""
        channels = self.shape[0]
        return replace(self, inputs=channels * points, shape=(channels, points))

    @cached_property
    def is_random(self) -> bool:
        """Whether layers draw at random in training, as dropout does."""
        return any(getattr(layer, "random", False) for layer in self.layers)

    @property
    def hidden_ends(self) -> tuple[int, ...]:
        """Numbers of layers up to the end of each hidden layer.

        A hidden layer is what an estimator calls so: one that has units of its own, and the
        normalization, dropout, pooling and sum behind it.
        """
        starts = [
            # flattened values are the inputs of what follows
            number - (number > 0 and self.layers[number - 1].kind == "flatten")
            for number, layer in enumerate(self.layers)
            if layer.kind not in (*_BEHIND, "flatten")
        ]
        return tuple(starts[1:])

    def first(self, count: int) -> Network:
        """Return the network of the first layers, which predicts and has no loss.

        Its parameters are the first of this one's.
        """
        return Network(self.inputs, self.layers[:count], "", "identity", shape=self.shape)

    def halves(self, number: int) -> tuple[Network, Network]:
        """Return the networks of the layers before one whose outputs are vectors, and behind it."""
        width, layers = self.sizes[number + 1], self.layers[number + 1 :]
        return self.first(number), replace(self, inputs=width, layers=layers, shape=())

    def parameters(self) -> tuple[tuple[int, Parameter], ...]:
        """Return (number of the layer, parameter), layer by layer."""
        return self._parameters

    @cached_property
    def _parameters(self) -> tuple[tuple[int, Parameter], ...]:
        ntk = self.parametrization == "ntk"
        return tuple(
            (number, _with_ntk_rate(parameter) if ntk else parameter)
            for number, (layer, inputs) in enumerate(zip(self.layers, self.shapes, strict=False))
            for parameter in layer.parameters(inputs)
        )

    def packing(self) -> tuple[int, ...]:
        """Return the order in which one vector holds all parameters, as numbers of theirs.

        First those that are penalized, then the others, then what no solver trains, each in the
        order of `parameters`: for an MLP all weight matrices and then all biases, as scikit-learn
        has them.
        """
        return self._packing

    @cached_property
    def _packing(self) -> tuple[int, ...]:
        ranks = [(not one.trained, not one.penalized) for _, one in self.parameters()]
        return tuple(sorted(range(len(ranks)), key=ranks.__getitem__))

    @cached_property
    def n_parameters(self) -> int:
        """Elements of all parameters."""
        return sum(parameter.size for _, parameter in self.parameters())

    @cached_property
    def work(self) -> int:
        """Multiply-adds of the forward pass for each row."""
        return sum(
            layer.work(inputs) for layer, inputs in zip(self.layers, self.shapes, strict=False)
        )

    def to_state(self) -> dict[str, Any]:
        """Return the network as what JSON can hold; see `from_state`."""
        state: dict[str, Any] = {
            "inputs": int(self.inputs),
            "layers": [{"kind": layer.kind, **_plain(asdict(layer))} for layer in self.layers],  # type: ignore[call-overload]
            "loss": self.loss,
            "output": self.output,
        }
        if self.loss_parameters:
            state["loss_parameters"] = [
                [name, _listed(value)] for name, value in self.loss_parameters
            ]
        if self.groups:
            state["groups"] = list(self.groups)
        if self.shape:
            state["shape"] = list(map(int, self.shape))
        if self.parametrization != "standard":
            state["parametrization"] = self.parametrization
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Network:
        """Return the network of which `to_state` made this.

        Parameters
        ----------
        state : dict

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            If it is of no network, or of one with a kind of layer that is not known.
        """
        optional: dict[str, Any] = {
            "loss_parameters": [], "groups": [], "shape": [], "parametrization": "standard"
        }  # fmt: skip
        if isinstance(state, Mapping):
            state = {**optional, **state}
        _check_names("network", state, [field.name for field in fields(cls)])
        layers = [_layer(entry) for entry in state["layers"]]
        given = [
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in state["loss_parameters"]
        ]
        groups, shape = tuple(state["groups"]), tuple(state["shape"])
        return cls(
            state["inputs"],
            tuple(layers),
            state["loss"],
            state["output"],
            tuple(given),
            groups,
            shape,
            state["parametrization"],
        )


def _with_ntk_rate(parameter: Parameter) -> Parameter:
    """Return weights or biases with the learning rate that 'ntk' has, all others as they are."""
    if parameter.name == "weights":
        inputs = math.prod(parameter.shape[:-1])
        return parameter._replace(rate=parameter.rate / math.sqrt(inputs))
    if parameter.name == "biases":
        return parameter._replace(rate=parameter.rate * _RATE_OF_BIASES)
    return parameter


@contextmanager
def _naming(number: int, layer: Layer) -> Iterator[None]:
    """Have an error say which layer does not fit."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"Layer {number}, {_text(layer)}, does not fit: {error}") from None


def _layer(state: Any) -> Layer:
    """Return a layer from its kind and its attributes."""
    if not isinstance(state, Mapping) or not isinstance(state.get("kind"), str):
        raise ValueError(f"A layer has no kind: {state!r:.80}.")
    kind = find_kind(state["kind"])
    attributes = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in state.items()
        if name != "kind"
    }
    _check_names(f"{state['kind']} layer", attributes, [field.name for field in fields(kind)])
    layer: Layer = kind(**attributes)
    return layer


def _check_names(what: str, state: Any, names: Sequence[str]) -> None:
    if not isinstance(state, Mapping) or set(state) != set(names):
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(f"The data of a {what} are {', '.join(names)}; got {found!s:.200}.")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with Python's numbers in place of NumPy's, and lists in that of tuples."""
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [*map(_plain_value, value)]
    return value.item() if hasattr(value, "item") else value


def _listed(value: float | tuple[float, ...]) -> Any:
    """Return a number, or a list of some."""
    return [float(one) for one in value] if isinstance(value, tuple) else float(value)


def _gives_logits(layer: Any) -> bool:
    """Whether a layer may be the last one of a network with a loss."""
    if layer.kind in ("dense", "tied"):
        return bool(layer.activation == "identity")
    plain = {"kernel_size": 1, "activation": "identity", "stride": 1, "dilation": 1, "groups": 1}
    return layer.kind == "convolution" and all(
        getattr(layer, name) == value for name, value in plain.items()
    )


def _text(part: Any) -> str:
    """Return an input's or a layer's text, with what is not at its default."""
    if not hasattr(part, "kind"):
        return str(part)
    values = [(field, getattr(part, field.name)) for field in fields(part)]
    shown = [
        f"{value!r}" if number == 0 else f"{field.name}={value!r}"
        for number, (field, value) in enumerate(values)
        if value != ("identity" if field.name == "activation" else field.default)
    ]
    return f"{part.kind}({', '.join(shown)})"


def mlp(
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    activation: str | Sequence[str],
    loss: str,
    output: str,
    *,
    loss_parameters: Sequence[tuple[str, float | tuple[float, ...]]] = (),
    groups: Sequence[int] = (),
    dropout: float | Sequence[float] = 0.0,
    input_dropout: float = 0.0,
    normalization: str | None = None,
    residual: bool = False,
    parametrization: str = "standard",
) -> Network:
    """Return a multi-layer perceptron.

    A hidden layer is a dense layer, normalization (and then the activation), dropout, and the sum
    with what came in, each where it is asked for.

    Parameters
    ----------
    inputs : int
        Features of a row.
    hidden : sequence of int
        Units of the hidden layers.
    outputs : int
        Units of the last layer.
    activation : str or sequence of str
        Of the hidden layers, or of each.
    loss, output : str
        Names of the loss and of the output activation.
    loss_parameters, groups : sequence
        See `Network`.
    dropout : float or sequence of float
        Share of the values dropped behind the hidden layers, or behind each.
    input_dropout : float
        Share of the inputs dropped.
    normalization : {'batch', 'layer'} or None
        What is done to the pre-activations of the hidden layers.
    residual : bool
        Whether the inputs of a hidden layer are added to its outputs where it has as many.
    parametrization : {'standard', 'ntk'}
        See `Network`.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If that is no network, or a sequence is not as long as there are hidden layers.
    """
    return _mlp(
        inputs,
        tuple(hidden),
        outputs,
        _each("activation", activation, len(hidden)),
        loss,
        output,
        tuple(loss_parameters),
        tuple(groups),
        _each("dropout", dropout, len(hidden)),
        input_dropout,
        normalization,
        residual,
        parametrization,
    )


def _each(name: str, given: Any, count: int) -> tuple[Any, ...]:
    """Return one for each of `count` hidden layers."""
    if isinstance(given, str | Real):
        return (given,) * count
    if len(given) != count:
        raise ValueError(f"{name} has {len(given)} values, but there are {count} hidden layers.")
    return tuple(given)


@lru_cache(maxsize=64)
def _mlp(
    inputs: int,
    hidden: tuple[int, ...],
    outputs: int,
    activations: tuple[str, ...],
    loss: str,
    output: str,
    loss_parameters: tuple[Any, ...],
    groups: tuple[int, ...],
    dropouts: tuple[float, ...],
    input_dropout: float,
    normalization: str | None,
    residual: bool,
    parametrization: str,
) -> Network:
    """Make a network, which for a small one takes as long as some epochs, once."""
    layers = [find_kind("dropout")(input_dropout)] if input_dropout else []
    before = inputs
    for units, activation, dropout in zip(hidden, activations, dropouts, strict=True):
        block = _hidden_layer(units, activation, normalization, dropout)
        if residual and units == before:
            block.append(find_kind("residual")(len(block)))
        layers += block
        before = units
    layers.append(Dense(outputs, "identity"))
    return Network(
        inputs,
        tuple(layers),
        loss,
        output,
        loss_parameters,
        groups,
        parametrization=parametrization,
    )


def _hidden_layer(
    units: int, activation: str, normalization: str | None, dropout: float
) -> list[Layer]:
    """Return the layers of the network that are called one hidden layer."""
    layers: list[Layer] = [Dense(units, activation)]
    if normalization:
        layers = [Dense(units, "identity"), find_kind("normalization")(normalization, activation)]
    if dropout:
        layers.append(find_kind("dropout")(dropout))
    return layers
