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
import secrets
import stat
import time
from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit._version import __version__
from nnjit._warnings import warn
from nnjit.core.compiler.interrupts import Interrupts
from nnjit.training import format_1
from nnjit.training.archive import Arrays, DamagedError, require, shown, unpack
from nnjit.training.engine import Engine, Optimizer
from nnjit.training.snapshot import (
    GENERATORS,
    RunTerms,
    Snapshot,
    Tree,
    checked,
    parameter_names,
)
from nnjit.training.state import TrainingState
from nnjit.training.validation import Rows
from nnjit.training.watching import Watch

__all__ = [
    "FORMAT",
    "Checkpoint",
    "fingerprint",
    "previous",
    "read",
    "refuse_generator",
    "refuse_no_file",
    "restored_generator",
    "split_tree",
    "write",
]

FORMAT = 2
_READ = (1, 2)  # formats
_META = "meta"
_MOST_TEXT = 2**20  # bytes of JSON: Python's objects take many times as much


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
    terms : RunTerms
        What the file's values have to fit.
    rng : numpy.random.RandomState
        The run's; only NumPy's own generators can be written.

    Attributes
    ----------
    found : bool
        Whether there is a run to go on from.

    Raises
    ------
    ValueError
        If there is a file, but of another run, or none that can be read; if no file can be there;
        if the generator is not one of NumPy's.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        interval: float,
        identity: dict[str, str],
        terms: RunTerms,
        rng: np.random.RandomState,
    ) -> None:
        self.path = os.fsdecode(path)
        self.identity = identity
        self._by_epochs = isinstance(interval, Integral)
        self._interval = interval
        self._rows: Arrays = {}
        self._written_at = time.monotonic()
        self._epochs = 0
        refuse_no_file(self.path)
        refuse_generator(rng)
        self._found, self._damaged = _newest_sound(self.path, identity, terms)

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
        found = None if self._found is None else self._found.rows
        rows, held_out = draw() if found is None else found
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
        found = self._found
        engine.pack(found.parameters)
        state.rng = restored_generator(state.rng, found.rng)
        state.order[:] = found.order
        state.loss_curve = found.loss_curve
        state.loss = found.loss_curve[-1]
        for name in ("epoch", "samples_seen", "skipped_batches", "converged"):
            setattr(state, name, getattr(found, name))
        solver, monitor = state.solver, state.monitor
        solver.rate, solver.steps, solver.arrays = found.rate, found.steps, found.solver_state
        solver.seed = found.solver_state["seed"]
        monitor.best, monitor.count = found.best, found.count
        state.rate_curve = found.rates
        if monitor.watch is not None:
            monitor.watch.scores[:] = found.scores
            monitor.watch.losses[:] = found.validation_losses
        if monitor.restore and found.best_parameters is not None:
            monitor.best_weights = found.best_parameters
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
        meta, arrays = self._contents(engine, state, optimizer)
        if not all(np.isfinite(a).all() for name, a in arrays.items() if "parameters." in name):
            return  # the next epoch diverges: the last file is the better one to have
        if self._damaged:  # it must not take the place of the one before it, which is sound
            with contextlib.suppress(FileNotFoundError):
                os.remove(self.path)
            self._damaged = False
        write(self.path, meta, arrays)
        self._epochs, self._written_at = state.epoch, time.monotonic()

    def _contents(
        self, engine: Engine, state: TrainingState, optimizer: Optimizer
    ) -> tuple[Tree, Arrays]:
        solver, monitor = state.solver, state.monitor
        generator = state.rng.get_state(legacy=False)
        moved = optimizer.state()
        meta = {
            "identity": self.identity,
            "network": engine.network.to_state(),
            "rng": split_tree(generator, "rng.")[0],
            "rate": float(solver.rate),
            "steps": int(moved["steps"]),
            "best": float(monitor.best),
            "count": int(monitor.count),
            "epoch": state.epoch,
            "samples_seen": int(state.samples_seen),
            "loss": state.loss_curve[-1],
            "skipped_batches": int(state.skipped_batches),
            "converged": bool(state.converged),
        }
        if engine.network.is_random:
            meta["seed"] = int(moved["seed"])
        arrays = {
            "order": state.order,
            "loss_curve": np.array(state.loss_curve, dtype=np.float64),
            **self._rows,
            **_named("parameters", engine, engine.unpack()),
            **split_tree(generator, "rng.")[1],
            "solver.learning_rate": np.asarray(moved["learning_rate"]),
            "solver.powers": np.asarray(moved["powers"]),
            **{f"solver.vectors.{name}": a for name, a in moved["vectors"].items()},
        }
        arrays.update(_curves(state, monitor.watch))
        if monitor.best_weights is not None and monitor.restore:
            best = [np.asarray(a, engine.dtype) for a in monitor.best_weights]
            arrays.update(_named("best_parameters", engine, best))
        return meta, arrays


def refuse_no_file(path: str) -> None:
    """Raise where no checkpoint can be read or written, before hours go into one."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise ValueError(
            f"The checkpoint {path!r} cannot be written: there is no folder {folder!r}."
        )
    for name in (path, previous(path)):
        if os.path.exists(name) and not os.path.isfile(name):
            raise ValueError(
                f"The checkpoint {path!r} cannot be written: {name!r} is a folder or a device."
            )


def refuse_generator(rng: np.random.RandomState) -> None:
    name = rng.get_state(legacy=False)["bit_generator"]
    if name not in GENERATORS:
        raise ValueError(
            f"checkpoint needs one of NumPy's generators ({', '.join(GENERATORS)}); random_state "
            f"has {name}."
        )


def _newest_sound(
    path: str, identity: dict[str, str], terms: RunTerms
) -> tuple[Snapshot | None, bool]:
    """Contents of the file, or of its predecessor if it is damaged or missing.

    Second: whether the file is damaged.
    """
    damaged: list[str] = []
    for candidate in (path, previous(path)):
        try:
            found = _of_run(candidate, identity, terms)
        except FileNotFoundError:
            continue
        except OSError as error:
            damaged.append(f"{candidate}: {error}")
            continue
        if damaged:
            warn(
                f"The checkpoint is damaged ({damaged[0]}). Training goes on from the one before "
                f"it, {candidate}.",
                module="nnjit",
            )
        return found, bool(damaged)
    if damaged:
        raise ValueError(
            f"No checkpoint can be read ({'; '.join(damaged)}). Remove the file to train from the "
            "start."
        )
    return None, False


def _of_run(path: str, identity: dict[str, str], terms: RunTerms) -> Snapshot:
    """Contents of a file, of which nothing is believed.

    Raises
    ------
    OSError
        If it cannot be read, or is not a checkpoint of this run although it says so.
    ValueError
        If it says that it is of another run, or has another format.
    """
    meta, arrays = read(path, terms, _MOST_TEXT + 4 * len(json.dumps(identity)))
    theirs = meta.get("identity")
    if type(theirs) is not dict or not all(type(text) is str for text in theirs.values()):
        raise DamagedError("it does not say which run it is of")
    _refuse_another_run(path, {**terms.defaults, **theirs}, identity)
    if meta["format"] == 1:
        meta, arrays = format_1.in_present_form(meta, arrays, terms)
    return checked(meta, arrays, terms)


def _refuse_another_run(path: str, theirs: dict[str, str], ours: dict[str, str]) -> None:
    different = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    if different:
        names = ", ".join(map(shown, different[:50]))
        raise ValueError(
            f"The checkpoint {path!r} is of another run: {names} differ. Fit with "
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
    stream, interrupts = io.BytesIO(), Interrupts()
    contents: dict[str, Any] = {_META: packed, **arrays}
    with interrupts:  # of a Ctrl-C in there zipfile makes an error of its own
        np.savez(stream, **contents)
    interrupts.deliver()
    # Of nobody else, in a folder where others can write: a new file, and no link that is there.
    temporary = f"{path}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(stream.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):  # the first, or another process was sooner
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


def read(
    path: str, terms: RunTerms | None = None, most_text: int = _MOST_TEXT
) -> tuple[Tree, Arrays]:
    """Read a checkpoint and check that it is whole.

    Parameters
    ----------
    path : str
    terms : RunTerms or None
        The run that it is of, which limits the size.
    most_text : int
        Bytes of its JSON.

    Returns
    -------
    meta : dict
    arrays : dict of str to ndarray

    Raises
    ------
    OSError
        If the file is truncated or otherwise damaged, or something else.
    ValueError
        If it was written by a version of nnjit with another format.
    """
    content = _content(path, None if terms is None else terms.most_bytes)
    arrays = unpack(content, 2**16 if terms is None else terms.most_entries)
    text = arrays.pop(_META, None)
    if text is None or text.dtype != np.uint8 or text.ndim != 1 or text.size > most_text:
        raise DamagedError("not a checkpoint")
    try:
        meta = json.loads(text.tobytes())
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"not a checkpoint ({error})") from None
    version = meta.get("format") if type(meta) is dict else None
    require(type(version) is int, "it has no format")
    if version not in _READ:
        raise ValueError(
            f"The checkpoint {path!r} has format {shown(version)}, written by nnjit "
            f"{shown(meta.get('nnjit'))}; this is nnjit {__version__}, which reads "
            f"formats {_READ[0]} to {_READ[-1]}."
        )
    digest = meta.pop("digest", None)
    require(digest == _digest(meta, arrays), "its contents do not match its digest")
    return meta, arrays


def _content(path: str, limit: int | None) -> bytes:
    """All bytes of a file, if it is one and not larger than the limit."""
    no_waiting = getattr(os, "O_NONBLOCK", 0)  # for the writer of a pipe
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | no_waiting)) as file:
        status = os.fstat(file.fileno())
        require(stat.S_ISREG(status.st_mode), "not a file")
        require(limit is None or status.st_size <= limit, "larger than one of this run can be")
        content: bytes = file.read(status.st_size)
    return content


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


def _curves(state: TrainingState, watch: Watch | None) -> Arrays:
    """Return what was recorded of each epoch where there is something to record."""
    curves = {"rates": state.rate_curve}
    if watch is not None:
        curves |= {"scores": watch.scores, "validation_losses": watch.curve}
    return {
        name: np.array(curve, dtype=np.float64)
        for name, curve in curves.items()
        if curve is not None
    }


def _named(prefix: str, engine: Engine, parameters: list[Array]) -> Arrays:
    """Return a network's parameters under their names."""
    return dict(zip(parameter_names(engine.network, prefix), parameters, strict=True))


def split_tree(tree: Tree, prefix: str) -> tuple[Tree, Arrays]:
    """Divide nested dictionaries into what JSON holds, and arrays under dotted names."""
    plain: Tree = {}
    arrays: Arrays = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            plain[name], inside = split_tree(value, f"{prefix}{name}.")
            arrays.update(inside)
        elif isinstance(value, np.ndarray):
            arrays[prefix + name] = value
        else:
            plain[name] = value
    return plain, arrays


def restored_generator(rng: np.random.RandomState, state: Tree) -> np.random.RandomState:
    """Put a generator into a state; NumPy's global one is left alone and replaced."""
    if (
        rng is np.random.mtrand._rand
        or rng.get_state(legacy=False)["bit_generator"] != state["bit_generator"]
    ):
        rng = np.random.RandomState(GENERATORS[state["bit_generator"]][0]())
    rng.set_state(state)
    return rng
