"""A network as data: what goes in, the layers in order, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nnjit.layers.dense.spec import Dense
from nnjit.layers.layer import Layer, Parameter

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
    """

    inputs: int
    layers: tuple[Layer, ...]
    loss: str
    output: str

    @property
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

    def parameters(self) -> Iterator[tuple[int, Parameter]]:
        """Yield (number of the layer, parameter), layer by layer."""
        for number, (layer, inputs) in enumerate(zip(self.layers, self.sizes, strict=False)):
            for parameter in layer.parameters(inputs):
                yield number, parameter

    @property
    def work(self) -> int:
        """Multiply-adds of the forward pass for each row."""
        return sum(
            layer.work(inputs) for layer, inputs in zip(self.layers, self.sizes, strict=False)
        )


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
    layers = [Dense(units, activation) for units in hidden]
    return Network(inputs, (*layers, Dense(outputs)), loss, output)
