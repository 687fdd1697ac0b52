"""Which form of training a network gets: the one place where sizes decide.

The bounds are estimates from arithmetic and published latencies (a launch from Python 10 us and
more, a wait of the whole grid 1 to 2 us, a wait of one block 20 ns), and from fits on an H100:
blocks that took slices through 784-100-10 by themselves needed some 400 us a minibatch, nearly all
of it for the 49 tiles and more that each works through one after the other, while most of the
device was idle. What is chosen depends on shapes and precision, and on the device only where it
lacks cooperative launches or room for the blocks; the sums, and so the bits, follow from `rows`,
`step` and the tile.
"""

from typing import NamedTuple

import numpy as np

from nnjit.backends.cuda._cuda import SIMULATED
from nnjit.backends.cuda.products import Tile
from nnjit.backends.cuda.updates import RANGE_PER_THREAD

__all__ = ["Choice", "choose", "pass_values", "prediction_rows", "prediction_tile", "tile_for"]

GRID_TILE = Tile(16, 16, 4, 4, 16)
# Twice the arithmetic per word of shared memory, for float32 where it still makes enough tiles.
LARGE_TILE, LARGE_COUNT = Tile(16, 16, 8, 8, 8), 128
# More and smaller tiles where those would leave most of a large GPU idle.
SMALL_TILE, FEW_TILES = Tile(16, 16, 2, 2, 32), 64
SLICE_TILE = Tile(8, 32, 2, 2, 16)
# The simulator starts a Python thread for each.
SIMULATED_TILE = Tile(2, 2, 1, 2, 3)

# Multiply-adds of a minibatch's forward pass that one block gets through by itself while a grid
# would wait for itself twice.
ONE_BLOCK_WORK = 100_000
# Most slices of a minibatch, each with a gradient of its own, and most parameters of these: with
# more, a block that works alone takes longer than the grid with all its waits.
MOST_SLICES, MOST_SLICE_PARAMETERS = 64, 20_000
# Rows that the whole grid takes through the network at a time; bounds the workspace.
GRID_ROWS = 8192
# Partial sums of a weight gradient: at least so many rows each, and so many tiles in all.
LEAST_STEP, ENOUGH_TILES = 256, 512
# Shared memory of a block that needs no special request, less what alignment may take.
SHARED_BYTES = 48 * 1024 - 256
# Elements of the workspace of a prediction.
PREDICTION_ELEMENTS = 1 << 26


class Choice(NamedTuple):
    """How minibatches are trained."""

    form: str  # 'slices', 'grid' or 'phases', see kernels.py
    tile: Tile
    rows: int  # in a slice or in a pass
    step: int  # rows in one partial gradient
    slots: int  # partial gradients
    blocks: int  # that have work at the same time
    shared_params: bool
    shared_work: bool
    shared_bytes: int  # dynamic shared memory of a block


def tile_for(form, single=False, shapes=()):
    """Tile of a form for results of these shapes."""
    if SIMULATED:
        return SIMULATED_TILE
    if form == "slices":
        return SLICE_TILE
    tiles = [-(-m // LARGE_TILE.rows) * -(-n // LARGE_TILE.columns) for m, n in shapes]
    return LARGE_TILE if single and tiles and min(tiles) >= LARGE_COUNT else GRID_TILE


def prediction_tile(rows, units, single):
    """Tile of one layer of a prediction; it does not change the bits."""
    narrow = units <= GRID_TILE.columns
    return tile_for("phases", single and not narrow, [(rows, units)])


def choose(layer_units, batch_size, dtype, cooperative=True, row_values=None):
    """Choose by the units of every layer, the rows of a minibatch and the precision.

    `row_values` are the values of a pass for each row, where there are more than activations and
    deltas.
    """
    pairs = list(zip(layer_units[:-1], layer_units[1:]))
    n_weights = sum(a * b for a, b in pairs)
    n_params = n_weights + sum(layer_units[1:])
    alone = batch_size * n_weights <= ONE_BLOCK_WORK
    tile = tile_for("slices")
    slots = 1 if alone else -(-batch_size // tile.rows)
    if alone or (cooperative and slots <= MOST_SLICES and n_params <= MOST_SLICE_PARAMETERS):
        rows = batch_size if slots == 1 else tile.rows
        values = (row_values or pass_values(layer_units)) * rows
        return _slices(n_params, values, rows, slots, tile, np.dtype(dtype).itemsize)
    single = np.dtype(dtype) == np.float32
    return _grid(pairs, n_params, batch_size, "grid" if cooperative else "phases", single)


def _slices(n_params, values, rows, slots, tile, itemsize):
    fixed = (np.prod(tile.a_shape) + np.prod(tile.b_shape)) * itemsize + 8 * tile.threads
    room = SHARED_BYTES - int(fixed)
    work = values * itemsize
    shared_params = n_params * itemsize <= room
    room -= n_params * itemsize if shared_params else 0
    shared_work = work <= room
    dynamic = shared_params * n_params * itemsize + shared_work * work
    blocks = 1 if slots == 1 else max(slots, _ranges(n_params, tile))
    return Choice(
        "slices", tile, rows, rows, slots, blocks, shared_params, shared_work, int(dynamic)
    )


def _grid(pairs, n_params, batch_size, form, single):
    rows = min(batch_size, GRID_ROWS)
    a, b = max(pairs, key=lambda pair: pair[0] * pair[1])  # most of the work
    tile = _smaller_if_few(tile_for(form, single, [(rows, b), (a, b)]), rows, b)
    tiles = [-(-a // tile.rows) * -(-b // tile.columns) for a, b in pairs]
    pieces = max(1, min(rows // LEAST_STEP, ENOUGH_TILES // sum(tiles)))
    step = -(-rows // pieces)
    forward = max(-(-rows // tile.rows) * -(-max(a, b) // tile.columns) for a, b in pairs)
    slots = -(-rows // step)
    blocks = max(forward, slots * max(tiles), _ranges(n_params, tile))
    return Choice(form, tile, rows, step, slots, blocks, False, False, 0)


def _smaller_if_few(tile, rows, columns):
    few = -(-rows // tile.rows) * -(-columns // tile.columns) < FEW_TILES
    return SMALL_TILE if few and tile == GRID_TILE else tile


def _ranges(n_params, tile):
    return -(-n_params // (tile.threads * RANGE_PER_THREAD))


def pass_values(layer_units, kept=0):
    """Values of a pass for each row: all activations, two deltas, and what else is kept."""
    return sum(layer_units) + 2 * max(layer_units[1:]) + kept


def prediction_rows(layer_units, n):
    """Rows that a prediction takes through the network at a time."""
    return max(1, min(n, PREDICTION_ELEMENTS // sum(layer_units)))
