"""Fits on rows that are read in blocks: which rows are held out, and what is gone through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from nnjit._types import Array
from nnjit.estimators._rows import PreparedRows, in_memory
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators._watching import Given, ValidationRows, held_out_rows
from nnjit.layers.network import Network
from nnjit.rows._source import ArrayRows, RowSource, block_rows, whole
from nnjit.training.blocks import BlockedRows, Blocks, BlockwiseObjective
from nnjit.training.engine import Engine
from nnjit.training.lbfgs import Objective, objective_of
from nnjit.training.reading import are_read
from nnjit.training.validation import HeldOutRuns, Rows

if TYPE_CHECKING:
    from nnjit.training.checkpoint import Checkpoint

__all__ = ["ArrayInBlocks", "RowsInBlocks", "divide", "objective_in_blocks", "rows_in_blocks"]


class ArrayInBlocks:
    """An array as rows that are read, so that it is trained on as they are.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        As the engine takes it.
    """

    def __init__(self, X: Array) -> None:
        self.X, self.shape, self.dtype = X, X.shape, X.dtype

    def read(self, start: int, stop: int) -> Array:
        """Return the rows start, ..., stop - 1."""
        return self.X[start:stop]

    def block_starts(self) -> NDArray[np.int64]:
        """Return where blocks begin."""
        return ArrayRows(self.X).block_starts(block_rows(self.X.shape[1], self.dtype.itemsize))


def rows_in_blocks(X: Any, network: Network) -> Any:
    """Return rows, as the engine takes them, as ones that are read.

    Raises
    ------
    ValueError
        If they are sparse or on a device, or series to be cut into windows.
    """
    if network.window is not None:
        raise ValueError("truncate takes X in memory, not rows that are read in blocks.")
    if are_read(X):
        return X
    if sp.issparse(X) or not isinstance(X, np.ndarray):
        raise ValueError("shuffle='blocks' needs dense X in memory or in a file.")
    return ArrayInBlocks(X)


class RowsInBlocks:
    """Rows that epochs read in blocks; see `RowsInMemory`.

    Parameters
    ----------
    call : TrainingCall
    read : Rows
        Those of the call, as they are read.
    blocks : Blocks
    """

    def __init__(self, call: TrainingCall, read: Any, blocks: Blocks) -> None:
        self.call, self.read, self.blocks = call, read, blocks
        self.order = np.empty(0, np.int64)  # each epoch draws one of the blocks
        self.n_rows = blocks.n_training

    @property
    def numbers(self) -> Any:
        """Numbers of all rows: those that are held out are not told apart."""
        return range(len(self.call.target))

    def dataset(self, engine: Engine, shuffle: bool) -> BlockedRows:
        """Return what the training loop goes through."""
        target, sample_weight = self.call.target, self.call.sample_weight
        return BlockedRows(engine, self.read, target, sample_weight, self.blocks, shuffle)


def divide(
    estimator: Any, call: TrainingCall, read: Any, checkpoint: Checkpoint | None
) -> tuple[RowsInBlocks, ValidationRows | None]:
    """Return the rows to train on, as they are read, and those to validate on."""
    blocks, watched = Blocks(read.block_starts(), len(call.target)), call.watched
    if estimator.early_stopping and watched is None:
        blocks = _hold_out(estimator, blocks, checkpoint)
        watched = _held_out_runs(call.X, call.target, call.sample_weight, blocks, call.given)
    return RowsInBlocks(call, read, blocks), watched


def _hold_out(estimator: Any, blocks: Blocks, checkpoint: Checkpoint | None) -> Blocks:
    """Return blocks of which runs of rows are held out; a warm start finds its own again."""

    def draw() -> Rows:  # as a checkpoint has them: no rows are listed but the ends of runs
        kept = getattr(estimator, "_validation_split", None)
        if isinstance(kept, HeldOutRuns) and kept.n_samples == blocks.n_rows:
            return blocks.starts[:0], kept.runs.ravel()
        drawn = blocks.hold_out(estimator.validation_fraction, estimator._random_state)
        return blocks.starts[:0], drawn.held_out.ravel()

    runs = (draw() if checkpoint is None else checkpoint.split(draw))[1].reshape(-1, 2)
    estimator._validation_split = HeldOutRuns(runs, blocks.n_rows)
    return Blocks(blocks.starts, blocks.n_rows, runs)


def _held_out_runs(
    X: Any, target: Array, sample_weight: Array | None, blocks: Blocks, given: Given
) -> ValidationRows:
    """Return the rows that blocks hold out, read into memory if they are few.

    Raises
    ------
    ValueError
        If their weights sum to zero.
    """
    numbers = blocks.held_out_rows()
    if not isinstance(X, PreparedRows):
        return held_out_rows(X, target, sample_weight, numbers, given)
    if sample_weight is not None:
        sample_weight = sample_weight[numbers]
        if sample_weight.sum() == 0:
            raise ValueError("The sample weights of the rows held out for validation sum to 0.")
    part = X.part(blocks.held_out)
    return ValidationRows(
        in_memory(part),
        target[numbers],
        sample_weight,
        lambda: _given(given, part.source, numbers),
        False,
    )


def _given(given: Given, source: RowSource, numbers: Any) -> Given:
    """Return the rows held out, which are those of a source, as the user has them."""
    weight = given.weight_of_rows
    return Given(
        source,
        _safe_indexing(whole(given.y), numbers),
        None if weight is None else _safe_indexing(whole(weight), numbers),
    )


def objective_in_blocks(engine: Engine, call: TrainingCall, alpha: float) -> Objective:
    """Return the loss and gradient of all rows, which are read in each evaluation."""
    blocks = Blocks(call.X.block_starts(), len(call.X))
    rows = BlockedRows(engine, call.X, call.target, call.sample_weight, blocks, shuffle=False)
    return objective_of(BlockwiseObjective(engine), rows, alpha)
