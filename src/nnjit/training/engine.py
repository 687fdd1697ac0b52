"""What training expects of an engine: the object that holds a network and does its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.layers.network import Network

__all__ = ["Engine", "Optimizer", "TrainResult"]


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
    # One base rate for each minibatch of the next call instead, in order; None where there is none.
    rates: NDArray[np.float64] | None

    @property
    def t(self) -> int:
        """Number of updates done."""

    def averages(self) -> list[Array] | None:
        """Return the parameters' averages as `Engine.unpack` does; None where there are none."""

    def state(self) -> dict[str, Any]:
        """Return copies of everything that `load_state` needs to go on bit for bit.

        'learning_rate', 'steps', 'powers' (float64, of the hyperparameters that the solver names),
        'vectors': by name, the parameters' packing; and 'seed', if layers may draw at random.
        """

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""


class Engine(Protocol):
    """One network in one precision. Its parameters are in the order of `network.parameters`."""

    network: Network
    dtype: np.dtype[Any]
    # Arithmetic of one call of `train`, so that Ctrl-C is heard; None for the loop's own.
    work_per_call: float | None

    @property
    def work_per_row(self) -> int:
        """Multiply-adds of the forward pass for each row."""

    def pack(self, arrays: Sequence[Array], rows: int | None = None) -> None:
        """Copy parameters in.

        If only a dense prediction of so many `rows` follows, they may be read where they are.
        """

    def unpack(self) -> list[Array]:
        """Return copies of the parameters."""

    def dataset(self, X: Any, y: Array, sample_weight: Array | None = None) -> Any:
        """Return samples and targets in the form that this engine trains on."""

    def windows(self, X: Any, y: Array, sample_weight: Array | None = None) -> Any:
        """Return series as `dataset` does, to be trained on in windows of ``network.window``."""

    def optimizer(self, kind: str, **hyperparameters: Any) -> Optimizer:
        """Return a new solver's state.

        Beside the solver's own there are clip_norm, clip_value and average, and `seed`, 0 if it
        is left out, of what layers draw at random. An engine raises a ValueError that names those
        that it does not have.
        """

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
        """Return the loss over all samples and its gradient at the packed parameters.

        Both vectors hold the parameters in the order that `network.packing` says.
        """

    def predict(self, X: Any, output: Literal["activation", "logits"] = "activation") -> Array:
        """Return the network's outputs (n_samples, n_outputs)."""

    def predict_checked(self, X: Any) -> tuple[Array, bool]:
        """Return the outputs, and whether they, the logits and an ndarray X are surely finite."""

    def predict_samples(self, X: Any, n: int, seed: int) -> Array:
        """Return the outputs (n, n_samples, n_outputs) of n passes that draw as training does."""

    def release(self) -> None:
        """Drop the buffers of training; the parameters stay."""
