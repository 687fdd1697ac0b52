"""What a checkpoint has to hold, and the check of each value before anything uses it.

Compiled code takes row numbers as they are, NumPy's generators a state as it is: a value out of
its range is a read outside an array. The digest in a file only shows that it is whole; whoever
wrote it can also have computed the digest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nnjit._types import Array
from nnjit.formulas.registry import Solver, find_solver
from nnjit.layers.network import Network
from nnjit.training.archive import Arrays, DamagedError, require, shown
from nnjit.training.solvers import StochasticSolver
from nnjit.training.validation import Rows

__all__ = [
    "GENERATORS",
    "RunTerms",
    "Snapshot",
    "Tree",
    "Values",
    "checked",
    "generator_state",
    "parameter_names",
]

Tree: TypeAlias = dict[str, Any]  # nested dictionaries; what JSON holds, and arrays

# A run of this many bytes of losses, scores and rates, at most 32 for an epoch, is longer than any.
_MOST_HISTORY = 2**30
_LARGEST_INT = 2**63 - 1


@dataclass(frozen=True)
class RunTerms:
    """What is known of a run, and so of its checkpoint, before it begins.

    Attributes
    ----------
    n_samples : int
        Rows of the data, training and validation.
    sample_weight : ndarray of shape (n_samples,) or None
        Their weights.
    network : Network
        The network that is trained.
    dtype : dtype
        Of the engine's parameters.
    solver : StochasticSolver
        As it is before the first epoch.
    shuffle : bool
        Whether the rows are shuffled.
    patience : int or inf
        The monitor's.
    held_out : bool
        Whether some of the rows are validation rows.
    samples_seen, n_losses, n_scores, count : int
        What earlier runs of the same estimator leave behind: rows trained on, lengths of the loss
        curve and the validation scores, epochs without improvement.
    defaults : dict of str to str
        What parameters are that a file's identity does not have, as it was written before them.
    scored : bool
        Whether the score of validation rows ends training.
    watched : bool
        Whether scores are recorded.
    restores : bool
        Whether the weights of the best score, or of the lowest loss, are kept.
    in_blocks : bool
        Whether rows are read in blocks, so that no order is kept, and of rows held out the ends of
        their runs.
    n_rates, n_validation_losses : int or None
        Lengths of the curves of rates and validation losses as earlier runs leave them; None where
        there is no such curve.
    """

    n_samples: int
    sample_weight: Array | None
    network: Network
    dtype: np.dtype[Any]
    solver: StochasticSolver
    shuffle: bool
    patience: float
    held_out: bool
    samples_seen: int
    n_losses: int
    n_scores: int
    count: int
    defaults: Mapping[str, str] = field(default_factory=dict)
    scored: bool = False
    watched: bool = False
    restores: bool = False
    in_blocks: bool = False
    n_rates: int | None = None
    n_validation_losses: int | None = None

    @property
    def rule(self) -> Solver:
        """What the solver keeps and counts."""
        return find_solver(self.solver.name)

    @property
    def most_bytes(self) -> int:
        """Size that no file of this run exceeds."""
        rows = 2 * self.n_samples + self.n_losses + self.n_scores
        rows += (self.n_rates or 0) + (self.n_validation_losses or 0)
        vectors = 2 + len(self.solver.vector_names)  # with the parameters and the best ones
        return 8 * (vectors * self.network.n_parameters + rows) + _MOST_HISTORY

    @property
    def most_entries(self) -> int:
        """Number of arrays that no file of this run, or of one of another depth, exceeds."""
        return 4096 + 8 * len(self.network.layers)


@dataclass(frozen=True)
class Snapshot:
    """A run between two epochs; the attributes are those of `TrainingState` and its parts."""

    rows: Rows | None
    order: NDArray[np.int64]
    parameters: list[Array]
    solver_state: Tree
    rng: Tree
    epoch: int
    samples_seen: int
    loss_curve: list[float]
    skipped_batches: int
    converged: bool
    rate: float
    steps: int
    best: float
    count: int
    scores: list[float]
    best_parameters: list[Array] | None
    validation_losses: list[float]
    rates: list[float] | None


def checked(meta: Tree, arrays: Arrays, terms: RunTerms) -> Snapshot:
    """Return the contents of a checkpoint, all of them checked.

    Parameters
    ----------
    meta : dict
        What JSON may hold, of any kind.
    arrays : dict of str to ndarray
        Numbers of any kind.
    terms : RunTerms
        The run that is to go on.

    Returns
    -------
    Snapshot
        Its arrays are new: writable, aligned and in native byte order.

    Raises
    ------
    DamagedError
        If a value is missing or cannot be that of a run like this.
    """
    values = Values(meta, arrays)
    require(values.network() == terms.network.to_state(), "its network is another one")
    rows = _rows(values, terms)
    order = _order(values, rows, terms)
    n_rows = _rows_of_epoch(order, rows, terms)
    epoch = values.integer("epoch", 1)
    loss_curve = _loss_curve(values, terms, epoch)
    scores = _history(values, "scores", terms.n_scores + epoch) if terms.watched else []
    solver_state, rate, steps = _solver(values, terms, epoch * n_rows * _most_steps(terms))
    samples_seen = _samples_seen(values, terms, epoch * n_rows, rate)
    skipped = values.integer("skipped_batches", 0, epoch * n_rows)
    if terms.sample_weight is None:  # all epochs have the same steps, but in windows
        same = terms.network.window is not None or steps % epoch == 0
        require(skipped == 0 and same, "steps and epochs do not go together")
    count = values.integer("count", 0, terms.count + epoch)
    converged = values.boolean("converged")
    require(converged == (count > terms.patience), "count and converged contradict each other")
    return Snapshot(
        rows=rows,
        order=order,
        parameters=_parameters(values, "parameters", (terms.dtype,), terms),
        solver_state=solver_state,
        rng=generator_state(values),
        epoch=epoch,
        samples_seen=samples_seen,
        loss_curve=loss_curve,
        skipped_batches=skipped,
        converged=converged,
        rate=rate,
        steps=steps,
        best=_best(
            values,
            scores[terms.n_scores :] if terms.scored else loss_curve[terms.n_losses :],
            terms.scored,
        ),
        count=count,
        scores=scores,
        # Before the first score they are the estimator's own, of either precision.
        best_parameters=(
            _parameters(values, "best_parameters", _FLOATS, terms) if terms.restores else None
        ),
        validation_losses=(
            []
            if terms.n_validation_losses is None
            else _history(values, "validation_losses", terms.n_validation_losses + epoch)
        ),
        rates=_rates(values, terms, epoch),
    )


def _loss_curve(values: Values, terms: RunTerms, epoch: int) -> list[float]:
    curve = _history(values, "loss_curve", terms.n_losses + epoch)
    losses = curve[terms.n_losses :]
    require(not any(map(math.isnan, losses)), "a loss is not a number")
    require(values.real("loss") == losses[-1], "the loss is not the last of the curve")
    return curve


def _samples_seen(values: Values, terms: RunTerms, rows: int, rate: float) -> int:
    """Return the rows trained on, so many in this run, after which the rate is this one."""
    seen = values.integer("samples_seen")
    require(seen == terms.samples_seen + rows, "samples_seen is not that of this epoch")
    require(
        terms.solver.schedule.reaches(rate, terms.solver.rate, seen),
        "the learning rate is none of the schedule",
    )
    return seen


class Values:
    """The contents of a file, each asked for by name, kind and range."""

    def __init__(self, meta: Tree, arrays: Arrays) -> None:
        self._meta = meta
        self._arrays = arrays

    def _plain(self, name: str, kind: type) -> Any:
        value: Any = self._meta
        for part in name.split("."):
            require(type(value) is dict and part in value, f"{name} is missing")
            value = value[part]
        require(type(value) is kind, f"{name} is {shown(value)}, not of type {kind.__name__}")
        return value

    def has(self, name: str) -> bool:
        """Return whether there is an array of that name."""
        return name in self._arrays

    def network(self) -> Tree:
        found: Tree = self._plain("network", dict)
        return found

    def text(self, name: str) -> str:
        found: str = self._plain(name, str)
        return found

    def boolean(self, name: str) -> bool:
        found: bool = self._plain(name, bool)
        return found

    def integer(self, name: str, low: int = 0, high: int = _LARGEST_INT) -> int:
        found: int = self._plain(name, int)
        require(low <= found <= high, f"{name} is out of its range")
        return found

    def real(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        found: float = self._plain(name, float)
        require(low <= found <= high, f"{name} is out of its range")
        return found

    def array(
        self, name: str, dtypes: Sequence[Any], shape: tuple[int | None, ...], as_dtype: Any = None
    ) -> Array:
        """Return a copy in native byte order and C order; a length of None is any."""
        require(name in self._arrays, f"{name} is missing")
        array = self._arrays[name]
        native = array.dtype.newbyteorder("=")
        require(native in [np.dtype(dtype) for dtype in dtypes], f"{name} has dtype {array.dtype}")
        fits = len(shape) == array.ndim and all(
            wanted in (None, length) for wanted, length in zip(shape, array.shape)
        )
        require(fits, f"{name} has shape {array.shape}")
        with np.errstate(all="ignore"):  # what overflows is refused
            return np.array(array, dtype=native if as_dtype is None else as_dtype, order="C")


def _most_steps(terms: RunTerms) -> int:
    """Return the most steps that an epoch makes for each row: that of a window each."""
    points = terms.network.window
    return 1 if points is None else -(-terms.network.shape[1] // points)


_FLOATS = (np.float64, np.float32)
_INTEGERS = (np.int64, np.int32)  # row numbers of a 32-bit machine


def _rows(values: Values, terms: RunTerms) -> Rows | None:
    """Training and validation rows: each row once, if it has a weight."""
    if not terms.held_out:
        return None
    training, validation = (
        values.array(name, _INTEGERS, (None,), np.intp)
        for name in ("training_rows", "validation_rows")
    )
    if terms.in_blocks:
        _check_runs(training, validation, terms)
        return training, validation
    require(len(training) >= 1 and len(validation) >= 2, "too few training or validation rows")
    together = np.sort(np.concatenate([training, validation]))
    weight = terms.sample_weight
    divisions = [np.arange(terms.n_samples), *([] if weight is None else np.nonzero(weight))]
    require(
        any(np.array_equal(together, rows) for rows in divisions),
        "training_rows and validation_rows are no division of the rows",
    )
    # Else there is no score.
    require(weight is None or weight[validation].sum() != 0, "validation_rows have no weight")
    return training, validation


def _check_runs(training: Array, ends: Array, terms: RunTerms) -> None:
    """Refuse what are no runs of rows that leave some to be trained on, and have some weight."""
    runs = ends[: len(ends) // 2 * 2].reshape(-1, 2)
    pairs = len(training) == 0 and 0 < len(ends) == runs.size
    sound = pairs and bool((np.diff([0, *ends, terms.n_samples]) >= 0).all())
    count = int((runs[:, 1] - runs[:, 0]).sum()) if sound else 0
    require(2 <= count < terms.n_samples, "validation_rows are no runs of the rows")
    weight = terms.sample_weight
    there = weight is None or any(weight[first:last].sum() != 0 for first, last in runs)
    require(there, "validation_rows have no weight")


def _rows_of_epoch(order: Array, rows: Rows | None, terms: RunTerms) -> int:
    if not terms.in_blocks:
        return len(order)
    held_out = 0 if rows is None else int((rows[1][1::2] - rows[1][::2]).sum())
    return terms.n_samples - held_out


def _order(values: Values, rows: Rows | None, terms: RunTerms) -> NDArray[np.int64]:
    order = values.array("order", _INTEGERS, (None,), np.int64)
    if terms.in_blocks:
        require(len(order) == 0, "there is an order of rows that are read in blocks")
        return order
    visited = np.arange(terms.n_samples) if rows is None else rows[0]
    if terms.shuffle:
        same = np.array_equal(np.sort(order), np.sort(visited))
    else:
        same = np.array_equal(order, visited)
    require(same, "order is no permutation of the training rows")
    return order


def _history(values: Values, name: str, length: int) -> list[float]:
    found: list[float] = values.array(name, (np.float64,), (length,)).tolist()
    return found


def _rates(values: Values, terms: RunTerms, epoch: int) -> list[float] | None:
    """Rate of each epoch's last step; NaN throughout of a file from before they were kept."""
    if terms.n_rates is None:
        return None
    length = terms.n_rates + epoch
    return _history(values, "rates", length) if values.has("rates") else [math.nan] * length


def parameter_names(network: Network, prefix: str) -> list[str]:
    """Return what a network's parameters are called in a file."""
    return [f"{prefix}.{layer}.{parameter.name}" for layer, parameter in network.parameters()]


def _parameters(values: Values, prefix: str, dtypes: Sequence[Any], terms: RunTerms) -> list[Array]:
    network = terms.network
    arrays = [
        values.array(name, dtypes, parameter.shape, terms.dtype)
        for name, (_, parameter) in zip(parameter_names(network, prefix), network.parameters())
    ]
    require(all(np.isfinite(a).all() for a in arrays), f"{prefix} are not finite")
    for array, (layer, parameter) in zip(arrays, network.parameters()):
        if parameter.name == "variance":
            require((array >= 0).all(), f"{prefix}.{layer}.variance is negative")
    return arrays


def _best(values: Values, watched: list[float], highest: bool) -> float:
    """Lowest loss or highest score; an earlier run's may be better than all of this one's."""
    best = values.real("best")
    numbers = [value for value in watched if not math.isnan(value)]
    if highest:
        require(max(numbers, default=-math.inf) <= best < math.inf, "best is not the best score")
    else:
        require(-math.inf < best <= min(numbers), "best is not the lowest loss")
    return best


def _solver(values: Values, terms: RunTerms, most_steps: int) -> tuple[Tree, float, int]:
    """State of the engine's optimizer, the next rate, and the number of steps."""
    rule, solver = terms.rule, terms.solver
    rate = values.real("rate", 0.0, solver.rate)
    steps = values.integer("steps", 0, most_steps)
    last_rate = values.array("solver.learning_rate", (np.float64,), ())
    require(0.0 <= last_rate <= solver.rate, "solver.learning_rate is too large")
    powers = values.array("solver.powers", (np.float64,), (len(rule.powers),))
    require(_are_powers(powers, steps, terms), "solver.powers are not those of the step")
    vectors = {name: _vector(values, name, terms) for name in solver.vector_names}
    state = {"learning_rate": last_rate, "steps": steps, "powers": powers, "vectors": vectors}
    state["seed"] = values.integer("seed") if terms.network.is_random else 0
    return state, rate, steps


def _vector(values: Values, name: str, terms: RunTerms) -> Array:
    """One of the solver's vectors, packed."""
    full = f"solver.vectors.{name}"
    vector = values.array(full, (terms.dtype,), (terms.network.n_parameters,))
    if name in terms.rule.squares:  # one may have overflowed: such a parameter stands still
        require((vector >= 0.0).all(), f"{full} is negative or not a number")
    else:
        require(np.isfinite(vector).all(), f"{full} is not finite")
    return vector


def _are_powers(powers: Array, steps: int, terms: RunTerms) -> bool:
    """Whether they are powers of the solver's hyperparameters."""
    if not ((powers >= 0.0) & (powers <= 1.0)).all():
        return False
    bases = {**terms.rule.hyperparameters, **terms.solver.hyperparameters}
    wanted = [bases[name] ** steps for name in terms.rule.powers]
    # One rounding for each step.
    return bool(np.allclose(powers, wanted, rtol=1e-12 + 1e-15 * steps, atol=1e-300))


# Generators. Their state goes to C code that does not look at it again.


def _mersenne_twister(values: Values) -> Tree:
    key = values.array("rng.state.key", (np.uint32,), (624,))
    require(key[0] >> 31 or key[1:].any(), "rng.state.key gives zeros only")
    return {"state": {"key": key, "pos": values.integer("rng.state.pos", 0, 624)}}


def _pcg(values: Values) -> Tree:
    state, increment = (
        values.integer(f"rng.state.{name}", 0, 2**128 - 1) for name in ("state", "inc")
    )
    require(increment % 2, "rng.state.inc is even")  # its period would be short
    return {"state": {"state": state, "inc": increment}, **_half(values)}


def _philox(values: Values) -> Tree:
    counter, key, buffer = (
        values.array(f"rng.{name}", (np.uint64,), (length,))
        for name, length in (("state.counter", 4), ("state.key", 2), ("buffer", 4))
    )
    return {
        "state": {"counter": counter, "key": key},
        "buffer": buffer,
        "buffer_pos": values.integer("rng.buffer_pos", 0, 4),
        **_half(values),
    }


def _small_fast_chaotic(values: Values) -> Tree:
    return {"state": {"state": values.array("rng.state.state", (np.uint64,), (4,))}} | _half(values)


def _half(values: Values) -> Tree:
    """The 32 bits that a generator of 64 keeps for the next call."""
    return {
        "has_uint32": values.integer("rng.has_uint32", 0, 1),
        "uinteger": values.integer("rng.uinteger", 0, 2**32 - 1),
    }


# By the names that `numpy.random.RandomState.get_state` gives.
GENERATORS: dict[str, tuple[type[np.random.BitGenerator], Callable[[Values], Tree]]] = {
    "MT19937": (np.random.MT19937, _mersenne_twister),
    "PCG64": (np.random.PCG64, _pcg),
    "PCG64DXSM": (np.random.PCG64DXSM, _pcg),
    "Philox": (np.random.Philox, _philox),
    "SFC64": (np.random.SFC64, _small_fast_chaotic),
}


def generator_state(values: Values) -> Tree:
    """State of a generator, of those in `GENERATORS` and as `RandomState.set_state` takes it."""
    name = values.text("rng.bit_generator")
    if name not in GENERATORS:
        raise DamagedError(f"there is no generator {shown(name)}")
    gauss = values.real("rng.gauss")
    require(math.isfinite(gauss), "rng.gauss is not finite")
    return {
        "bit_generator": name,
        "has_gauss": values.integer("rng.has_gauss", 0, 1),
        "gauss": gauss,
        **GENERATORS[name][1](values),
    }
