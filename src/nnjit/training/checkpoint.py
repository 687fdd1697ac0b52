"""A run on disk: written while it trains, and gone on from after a crash.

A checkpoint is a NumPy archive of plain arrays, one of which holds JSON. There is no pickle in
it, so opening a stranger's file runs no code.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np

from nnjit._types import Array
from nnjit._version import __version__
from nnjit._warnings import warn
from nnjit.training.engine import Engine, Layers, Optimizer
from nnjit.training.state import TrainingState
from nnjit.training.stopping import ScoreMonitor
from nnjit.training.validation import Rows

__all__ = ["FORMAT", "Checkpoint", "fingerprint", "read", "write"]

FORMAT = 1
_META = "meta"

Arrays: TypeAlias = dict[str, Array]
Tree: TypeAlias = dict[str, Any]  # nested dictionaries; what JSON holds, and arrays


class Checkpoint:
    """The file of one run.

    Parameters
    ----------
    path : str or path-like
        The file; its predecessor is kept beside it as ``path + ".previous"``.
    interval : int or float
        Epochs (int) or seconds (float) between two writes. The end of the run is always written.
    identity : dict of str to str
        What has to be the same for the run to be gone on from.

    Attributes
    ----------
    found : bool
        Whether there is a run to go on from.

    Raises
    ------
    ValueError
        If there is a file, but of another run, or none that can be read.
    """

    def __init__(
        self, path: str | os.PathLike[str], interval: float, identity: dict[str, str]
    ) -> None:
        self.path = os.fspath(path)
        self.identity = identity
        self._by_epochs = isinstance(interval, Integral)
        self._interval = interval
        self._rows: Arrays = {}
        self._written_at = time.monotonic()
        self._epochs = 0
        self._found = _newest_sound(self.path)
        if self._found is not None:
            _refuse_another_run(self.path, self._found[0]["identity"], identity)

    @property
    def found(self) -> bool:
        return self._found is not None

    def split(self, draw: Callable[[], Rows]) -> Rows:
        """Return the held-out division of the rows: the one of the file, else what `draw` gives.

        Parameters
        ----------
        draw : callable
            Returns the training rows and the validation rows.
        """
        if self._found is not None:
            arrays = self._found[1]
            rows, held_out = arrays["training_rows"], arrays["validation_rows"]
        else:
            rows, held_out = draw()
        self._rows = {"training_rows": rows, "validation_rows": held_out}
        return rows, held_out

    def resume(self, engine: Engine, state: TrainingState) -> None:
        """Put a run where the file says it was; nothing happens if there is none.

        Parameters
        ----------
        engine : engine
            Gets the weights.
        state : TrainingState
            Everything else.
        """
        if self._found is None:
            return
        meta, arrays = self._found
        engine.pack(*_layers(arrays, "weights"))
        state.rng = _restored_generator(state.rng, _join_tree(meta["rng"], arrays, "rng."))
        state.order[:] = arrays["order"]
        state.loss_curve = arrays["loss_curve"].tolist()
        for name in ("epoch", "samples_seen", "loss", "skipped_batches", "converged"):
            setattr(state, name, meta[name])
        solver, monitor = state.solver, state.monitor
        solver.rate, solver.steps = meta["rate"], meta["steps"]
        solver.arrays = _join_tree({}, arrays, "solver.")
        monitor.best, monitor.count = meta["best"], meta["count"]
        if isinstance(monitor, ScoreMonitor):
            monitor.scores[:] = arrays["scores"].tolist()
            monitor.best_weights = _layers(arrays, "best_weights")
        self._epochs = state.epoch

    def after_epoch(
        self, engine: Engine, state: TrainingState, optimizer: Optimizer, over: bool
    ) -> None:
        """Write if it is time to, or if the run is over.

        Parameters
        ----------
        engine, state, optimizer
            The run, between two epochs.
        over : bool
            Whether this was its last epoch.
        """
        since = (
            state.epoch - self._epochs if self._by_epochs else time.monotonic() - self._written_at
        )
        if since < self._interval and not over:
            return
        write(self.path, *self._contents(engine, state, optimizer))
        self._epochs, self._written_at = state.epoch, time.monotonic()

    def _contents(
        self, engine: Engine, state: TrainingState, optimizer: Optimizer
    ) -> tuple[Tree, Arrays]:
        solver, monitor = state.solver, state.monitor
        generator = state.rng.get_state(legacy=False)
        meta = {
            "identity": self.identity,
            "rng": _split_tree(generator, "rng.")[0],
            "rate": float(solver.rate),
            "steps": int(optimizer.t),
            "best": float(monitor.best),
            "count": int(monitor.count),
            "epoch": state.epoch,
            "samples_seen": int(state.samples_seen),
            "loss": state.loss_curve[-1],
            "skipped_batches": int(state.skipped_batches),
            "converged": bool(state.converged),
        }
        arrays = {
            "order": state.order,
            "loss_curve": np.array(state.loss_curve, dtype=np.float64),
            **self._rows,
            **_flat_layers("weights", engine.unpack()),
            **_split_tree(generator, "rng.")[1],
            **{f"solver.{name}": np.asarray(a) for name, a in optimizer.state().items()},
        }
        if isinstance(monitor, ScoreMonitor):
            arrays["scores"] = np.array(monitor.scores, dtype=np.float64)
            arrays.update(_flat_layers("best_weights", monitor.best_weights))
        return meta, arrays


def _newest_sound(path: str) -> tuple[Tree, Arrays] | None:
    """Contents of the file, or of its predecessor if it is damaged or missing."""
    damaged = []
    for candidate in (path, previous(path)):
        if not os.path.exists(candidate):
            continue
        try:
            contents = read(candidate)
        except (OSError, zipfile.BadZipFile, KeyError, EOFError) as error:
            damaged.append(f"{candidate}: {error}")
            continue
        if damaged:
            warn(
                f"The checkpoint is damaged ({damaged[0]}). Training goes on from the one before "
                f"it, {candidate}.",
                module="nnjit",
            )
        return contents
    if damaged:
        raise ValueError(
            f"No checkpoint can be read ({'; '.join(damaged)}). Remove the file to train from the "
            "start."
        )
    return None


def _refuse_another_run(path: str, theirs: dict[str, str], ours: dict[str, str]) -> None:
    different = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    if different:
        raise ValueError(
            f"The checkpoint {path!r} is of another run: {', '.join(different)} differ. Fit with "
            "the same parameters and data to go on with it, name another file, or remove it."
        )


def previous(path: str) -> str:
    """Name of the checkpoint before the newest."""
    return path + ".previous"


def write(path: str, meta: Tree, arrays: Arrays) -> None:
    """Write a checkpoint so that at any moment a whole one is on disk.

    The new file is complete and flushed to the disk before it takes its name; the old one is
    kept under ``path + ".previous"``.

    Parameters
    ----------
    path : str
    meta : dict
        What JSON can hold.
    arrays : dict of str to ndarray
    """
    meta = {**meta, "format": FORMAT, "nnjit": __version__}
    meta["digest"] = _digest(meta, arrays)
    packed = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    stream = io.BytesIO()
    contents: dict[str, Any] = {_META: packed, **arrays}
    np.savez(stream, **contents)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(stream.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.replace(path, previous(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise
    _flush_folder(os.path.dirname(path) or ".")


def _flush_folder(folder: str) -> None:
    """Make the new name last through a power failure, where folders can be flushed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def read(path: str) -> tuple[Tree, Arrays]:
    """Read a checkpoint and check that it is whole.

    Parameters
    ----------
    path : str

    Returns
    -------
    meta : dict
    arrays : dict of str to ndarray

    Raises
    ------
    OSError, KeyError, zipfile.BadZipFile
        If the file is truncated or otherwise damaged, or something else.
    ValueError
        If it was written by a version of nnjit with another format.
    """
    with open(path, "rb") as file:
        stream = io.BytesIO(file.read())
    try:
        with np.load(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(bytes(arrays.pop(_META)))
        version = meta["format"]
    except (ValueError, TypeError, AttributeError) as error:  # a pickle, a bare array, no JSON
        raise OSError(f"not a checkpoint ({error})") from None
    if version != FORMAT:
        raise ValueError(
            f"The checkpoint {path!r} has format {version}, written by nnjit "
            f"{meta.get('nnjit')}; this is nnjit {__version__}, which reads format {FORMAT}."
        )
    digest = meta.pop("digest")
    if digest != _digest(meta, arrays):
        raise OSError("its contents do not match its digest")
    return meta, arrays


def _digest(meta: Tree, arrays: Arrays) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        _digest_array(digest, name, arrays[name])
    return digest.hexdigest()


def _digest_array(digest: hashlib._Hash, name: str, array: Array) -> None:
    digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).data if array.size else b"")


def fingerprint(*arrays: Any) -> str:
    """Hash of the contents of dense or CSR arrays, whatever their memory order.

    Parameters
    ----------
    *arrays : ndarray, CSR or None

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none\n")
        elif hasattr(array, "indptr"):
            digest.update(f"sparse {array.shape}\n".encode())
            for part in (array.data, array.indices, array.indptr):
                _digest_array(digest, "", part)
        else:
            _digest_array(digest, "", array)
    return digest.hexdigest()


# The parts of a checkpoint


def _flat_layers(prefix: str, layers: Layers) -> Arrays:
    """Dictionary of the weights and biases of all layers."""
    coefs, intercepts = layers
    return {f"{prefix}.{i}": a for i, a in enumerate(coefs)} | {
        f"{prefix}.bias.{i}": a for i, a in enumerate(intercepts)
    }


def _layers(arrays: Arrays, prefix: str) -> Layers:
    """Weights and biases again."""
    n_layers = sum(name.startswith(f"{prefix}.bias.") for name in arrays)
    return (
        [arrays[f"{prefix}.{i}"] for i in range(n_layers)],
        [arrays[f"{prefix}.bias.{i}"] for i in range(n_layers)],
    )


def _split_tree(tree: Tree, prefix: str) -> tuple[Tree, Arrays]:
    """Divide nested dictionaries into what JSON holds, and arrays under dotted names."""
    plain: Tree = {}
    arrays: Arrays = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            plain[name], inside = _split_tree(value, f"{prefix}{name}.")
            arrays.update(inside)
        elif isinstance(value, np.ndarray):
            arrays[prefix + name] = value
        else:
            plain[name] = value
    return plain, arrays


def _join_tree(plain: Tree, arrays: Arrays, prefix: str) -> Tree:
    """Undo `_split_tree`."""
    tree = dict(plain)
    for name, value in plain.items():
        if isinstance(value, dict):
            tree[name] = _join_tree(value, arrays, f"{prefix}{name}.")
    for name, array in arrays.items():
        rest = name.removeprefix(prefix)
        if rest != name and "." not in rest:
            tree[rest] = array
    return tree


def _restored_generator(rng: np.random.RandomState, state: Tree) -> np.random.RandomState:
    """Put a generator into a state; NumPy's global one is left alone and replaced."""
    if (
        rng is np.random.mtrand._rand
        or rng.get_state(legacy=False)["bit_generator"] != state["bit_generator"]
    ):
        rng = np.random.RandomState(getattr(np.random, state["bit_generator"])())
    rng.set_state(state)
    return rng
