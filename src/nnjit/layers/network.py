"""A network as data: what goes in, the layers in order, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from numbers import Integral
from typing import Any

from nnjit.layers.dense.spec import Dense
from nnjit.layers.layer import Layer, Parameter
from nnjit.layers.registry import find_kind

__all__ = ["Network", "mlp"]


@dataclass(frozen=True)
class Network:
    """A chain of layers with a loss at its end.

    Attributes
    ----------
    inputs : int
        Features of a row.
    layers : tuple of Layer
        The last one is dense; its outputs are the logits.
    loss : str
        Name of the training loss.
    output : str
        Name of the output activation, which makes outputs of the logits.

    Raises
    ------
    ValueError
        If that is no network.
    """

    inputs: int
    layers: tuple[Layer, ...]
    loss: str
    output: str

    def __post_init__(self) -> None:
        if not self.layers or self.layers[-1] != Dense(self.layers[-1].outputs(1)):
            raise ValueError(
                "A network ends in a dense layer without an activation, whose outputs are the "
                f"logits: {self}."
            )
        if not all(isinstance(size, Integral) and size >= 1 for size in self.sizes):
            raise ValueError(
                f"A network has at least one input, and each layer one output: {self}."
            )

    def __str__(self) -> str:
        layers = " -> ".join(map(_text, (self.inputs, *self.layers)))
        return f"{layers}, output {self.output!r}, loss {self.loss!r}"

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Values of a row: the inputs, and the outputs of every layer."""
        sizes = [self.inputs]
        for layer in self.layers:
            sizes.append(layer.outputs(sizes[-1]))
        return tuple(sizes)

    @property
    def outputs(self) -> int:
        """Outputs of the last layer."""
        return self.sizes[-1]

    def parameters(self) -> tuple[tuple[int, Parameter], ...]:
        """Return (number of the layer, parameter), layer by layer."""
        return self._parameters

    @cached_property
    def _parameters(self) -> tuple[tuple[int, Parameter], ...]:
        return tuple(
            (number, parameter)
            for number, (layer, inputs) in enumerate(zip(self.layers, self.sizes, strict=False))
            for parameter in layer.parameters(inputs)
        )

    def packing(self) -> tuple[int, ...]:
        """Return the order in which one vector holds all parameters, as numbers of theirs.

        First those that are penalized, then the others, each in the order of `parameters`: for an
        MLP all weight matrices and then all biases, as scikit-learn has them.
        """
        return self._packing

    @cached_property
    def _packing(self) -> tuple[int, ...]:
        penalized = [parameter.penalized for _, parameter in self.parameters()]
        return tuple(sorted(range(len(penalized)), key=lambda number: not penalized[number]))

    @cached_property
    def n_parameters(self) -> int:
        """Elements of all parameters."""
        return sum(parameter.size for _, parameter in self.parameters())

    @cached_property
    def work(self) -> int:
        """Multiply-adds of the forward pass for each row."""
        return sum(
            layer.work(inputs) for layer, inputs in zip(self.layers, self.sizes, strict=False)
        )

    def to_state(self) -> dict[str, Any]:
        """Return the network as what JSON can hold; see `from_state`."""
        return {
            "inputs": int(self.inputs),
            "layers": [{"kind": layer.kind, **_plain(asdict(layer))} for layer in self.layers],  # type: ignore[call-overload]
            "loss": self.loss,
            "output": self.output,
        }

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
        _check_names("network", state, [field.name for field in fields(cls)])
        layers = [_layer(entry) for entry in state["layers"]]
        return cls(state["inputs"], tuple(layers), state["loss"], state["output"])


def _layer(state: Any) -> Layer:
    """Return a layer from its kind and its attributes."""
    if not isinstance(state, Mapping) or not isinstance(state.get("kind"), str):
        raise ValueError(f"A layer has no kind: {state!r:.80}.")
    kind = find_kind(state["kind"])
    attributes = {name: value for name, value in state.items() if name != "kind"}
    _check_names(f"{state['kind']} layer", attributes, [field.name for field in fields(kind)])
    layer: Layer = kind(**attributes)
    return layer


def _check_names(what: str, state: Any, names: Sequence[str]) -> None:
    if not isinstance(state, Mapping) or set(state) != set(names):
        found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise ValueError(f"The data of a {what} are {', '.join(names)}; got {found!s:.200}.")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with Python's numbers in place of NumPy's."""
    return {
        name: value.item() if hasattr(value, "item") else value for name, value in values.items()
    }


def _text(part: Any) -> str:
    """Return an input's or a layer's text, with what is not at its default."""
    if not hasattr(part, "kind"):
        return str(part)
    values = [(field, getattr(part, field.name)) for field in fields(part)]
    shown = [
        f"{value!r}" if number == 0 else f"{field.name}={value!r}"
        for number, (field, value) in enumerate(values)
        if value != field.default
    ]
    return f"{part.kind}({', '.join(shown)})"


def mlp(
    inputs: int, hidden: Sequence[int], outputs: int, activation: str, loss: str, output: str
) -> Network:
    """Return a multi-layer perceptron.

    Parameters
    ----------
    inputs : int
        Features of a row.
    hidden : sequence of int
        Units of the hidden layers.
    outputs : int
        Units of the last layer.
    activation : str
        Of the hidden layers.
    loss, output : str
        Names of the loss and of the output activation.

    Returns
    -------
    Network
    """
    return _mlp(inputs, tuple(hidden), outputs, activation, loss, output)


@lru_cache(maxsize=64)
def _mlp(
    inputs: int, hidden: tuple[int, ...], outputs: int, activation: str, loss: str, output: str
) -> Network:
    """Make a network, which for a small one takes as long as some epochs, once."""
    layers = [Dense(units, activation) for units in hidden]
    return Network(inputs, (*layers, Dense(outputs)), loss, output)
