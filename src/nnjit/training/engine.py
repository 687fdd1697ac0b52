"""What training expects of an engine: the object that holds a network and does its arithmetic."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array

__all__ = ["Engine", "Layers", "Optimizer", "TrainResult"]

# The weight matrices (fan_in, fan_out) of all layers, and the biases (fan_out,).
Layers: TypeAlias = tuple[list[Array], list[Array]]


class TrainResult(Protocol):
    """What a run of minibatches reports."""

    @property
    def loss(self) -> float:
        """Sum over the minibatches of loss times rows."""

    @property
    def skipped(self) -> int:
        """Minibatches left out because their weights sum to zero."""

    @property
    def finite(self) -> bool:
        """Whether every loss was; the run stops before the first update by one that was not."""


class Optimizer(Protocol):
    """State of a stochastic solver beside an engine's parameters."""

    learning_rate: float

    @property
    def t(self) -> int:
        """Number of updates done."""

    def state(self) -> dict[str, Any]:
        """Return copies of everything that `load_state` needs to go on bit for bit."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""


class Engine(Protocol):
    """One network in one precision."""

    dtype: np.dtype[Any]
    layer_units: tuple[int, ...]
    # Arithmetic of one call of `train`, so that Ctrl-C is heard; None for the loop's own.
    work_per_call: float | None

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""

    def pack(self, coefs: list[Array], intercepts: list[Array]) -> None:
        """Copy parameters in."""

    def unpack(self) -> Layers:
        """Return copies of the parameters."""

    def dataset(self, X: Any, y: Array, sample_weight: Array | None = None) -> Any:
        """Return samples and targets in the form that this engine trains on."""

    def optimizer(self, kind: str, **hyperparameters: Any) -> Optimizer:
        """Return a new solver's state."""

    def train(
        self,
        dataset: Any,
        order: NDArray[np.int64],
        batch_size: int,
        optimizer: Optimizer,
        alpha: float,
        first: int,
        last: int,
    ) -> TrainResult:
        """Run the minibatches first..last-1 of an epoch that visits the samples in `order`."""

    def train_epochs(
        self,
        dataset: Any,
        orders: NDArray[np.int64],
        batch_size: int,
        optimizer: Optimizer,
        alpha: float,
    ) -> list[float]:
        """Run whole epochs, one for each row of `orders`; return each epoch's sum of losses.

        A sum that is not finite is the last one; that epoch stopped before the update.
        """

    def loss_gradient(self, packed: Array, dataset: Any, alpha: float) -> tuple[float, Array]:
        """Return the loss over all samples and its gradient at the packed parameters."""

    def predict(self, X: Any, output: Literal["activation", "logits"] = "activation") -> Array:
        """Return the network's outputs (n_samples, n_outputs)."""

    def predict_checked(self, X: Any) -> tuple[Array, bool]:
        """Return the outputs, and whether they, the logits and an ndarray X are surely finite."""

    def release(self) -> None:
        """Drop the buffers of training; the parameters stay."""
