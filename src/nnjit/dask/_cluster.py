"""The parts of a data set on a cluster, and tasks over all of them.

A task is of one part and goes to the worker that has it. Dask computes what a lost worker had
again on another one, as long as it knows how; what all parts are told, such as the parameters, is
told anew then.
"""

from __future__ import annotations

import contextlib
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, TypeVar

import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import delayed
from dask.utils import is_dataframe_like, is_series_like
from distributed import Client, default_client, get_worker, wait, worker_client
from distributed.comm.core import CommClosedError

from nnjit.dask._part import Part
from nnjit.dask._rows import Facts, check_rows, facts_of

__all__ = [
    "CheckedRows",
    "Parts",
    "client_of",
    "connected",
    "is_collection",
    "parts_of",
    "pieces_of",
    "refuse_without_rows",
]

T = TypeVar("T")
# Workers may be lost while those lost before are made up for.
_ATTEMPTS = 10
_LOST = (
    "Rows are lost with the workers that held them, and Dask does not know how to make them again, "
    "since they were scattered to the workers. Load them by tasks (dask.array.from_zarr, "
    "dask.dataframe.read_parquet, ...), or scatter them again."
)


def is_collection(X: Any) -> bool:
    """Whether X is a Dask array or data frame."""
    return bool(is_dask_collection(X))


def client_of(client: Client | None) -> Client:
    """Return the client given, or the one that is there.

    Raises
    ------
    ValueError
        If there is none, or one that is to be awaited.
    """
    try:
        found: Client = default_client() if client is None else client
    except ValueError:
        raise ValueError(
            "There is no Dask client to fit on: make one, distributed.Client(...), or give client="
        ) from None
    if getattr(found, "asynchronous", False):
        raise ValueError("A fit waits for its tasks, so client must not be asynchronous.")
    return found


@contextlib.contextmanager
def connected(client: Client | None) -> Iterator[Client]:
    """Yield the client to fit on.

    A fit that is itself a task, such as one of a search, leaves its place on the worker to the
    tasks of the fit, which would else wait for it for ever.

    Raises
    ------
    RuntimeError
        If the client is closed, of which Dask says many things.
    """
    with contextlib.ExitStack() as stack:
        try:
            get_worker()
        except ValueError:
            client = client_of(client)
        else:
            own = stack.enter_context(worker_client())
            client = own if client is None else client
        try:
            yield client
        except Exception as error:
            if getattr(client, "status", None) in ("closing", "closed"):
                raise RuntimeError("The Dask client is closed.") from error
            raise


# From collections to parts


def parts_of(X: Any, y: Any, sample_weight: Any) -> list[tuple[Any, Any, Any]]:
    """Return the parts of collections as delayed objects, those of the same rows together.

    Raises
    ------
    TypeError
        If some of them are no collections.
    ValueError
        If they are cut into other parts.
    """
    given = {"X": X, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight})
    for name, one in given.items():
        refuse_without_rows(name, one)
        if not is_collection(one):
            raise TypeError(
                f"{name} is of type {type(one).__name__}, but others of {', '.join(given)} are "
                "Dask collections: all have to be, cut into the same parts of rows."
            )
    _refuse_other_cuts(given)
    parts = [pieces_of(one) for one in given.values()]
    for name, pieces in zip(given, parts):
        if len(pieces) != len(parts[0]):
            raise ValueError(
                f"{name} has {len(pieces)} parts, but X has {len(parts[0])}: the parts of both "
                "have to hold the same rows."
            )
    if sample_weight is None:
        parts.append([None] * len(parts[0]))
    return list(zip(*parts))


def refuse_without_rows(name: str, collection: Any) -> None:
    """Raise if a collection is no array and no frame, so that nobody knows its rows."""
    frame = is_dataframe_like(collection) or is_series_like(collection)
    if is_collection(collection) and not (frame or isinstance(collection, da.Array)):
        raise TypeError(
            f"{name} is of type {type(collection).__name__}, but a Dask array or data frame is "
            "needed: from_delayed of dask.array or dask.dataframe makes one."
        )


def _refuse_other_cuts(given: dict[str, Any]) -> None:
    """Raise if arrays whose chunks are known are cut otherwise than X."""
    chunks = {name: one.chunks[0] for name, one in given.items() if hasattr(one, "chunks")}
    own = chunks.get("X")
    for name, other in chunks.items():
        if own is None or np.isnan([*own, *other]).any() or own == other:
            continue
        raise ValueError(
            f"The parts of {name} have {_few(other)} rows, those of X {_few(own)}: both have to "
            f"be cut in the same way. {name}.rechunk({{0: X.chunks[0]}}) does that."
        )


def _few(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes[:5])) + (", ..." if len(sizes) > 5 else "")


def pieces_of(collection: Any) -> list[Any]:
    """Return the parts of rows of a collection, each whole in the other directions."""
    if is_dataframe_like(collection) or not hasattr(collection, "chunks"):
        return list(collection.to_delayed())
    if collection.ndim > 1:
        collection = collection.rechunk(dict.fromkeys(range(1, collection.ndim), -1))
    return list(collection.to_delayed().ravel())


# Rows that are checked, and parts that are ready to be trained on


class CheckedRows:
    """The parts' rows, checked by their workers.

    Parameters
    ----------
    client : Client
    estimator : estimator
        With the parameters alone.
    parts : list of tuple
        What `parts_of` returned.
    """

    def __init__(self, client: Client, estimator: Any, parts: list[tuple[Any, Any, Any]]) -> None:
        self.client = client
        model = delayed(estimator, pure=False, traverse=False)
        checked = delayed(check_rows, pure=False)
        rows = [checked(model, number, *part) for number, part in enumerate(parts)]
        self.rows: list[Any] = client.compute(rows)
        classes = hasattr(estimator, "predict_proba")
        facts = [client.submit(facts_of, one, classes, pure=False) for one in self.rows]
        found: list[Facts] = _gather(client, facts, self.rows)
        self.sizes = [one.n_rows for one in found]
        self.facts = [one for one in found if one.n_rows]
        if not self.facts:
            raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")

    def prepared(self, prepare: Callable[..., Part], *how: Any) -> Parts:
        """Return the parts that a function makes of these rows, which are left to Dask."""
        shared = [delayed(one, pure=False, traverse=False) for one in how]
        made = delayed(prepare, pure=False)
        parts: list[Any] = self.client.compute([made(rows, *shared) for rows in self.rows])
        self.rows = []
        return Parts(self.client, parts)


def _gather(client: Client, futures: list[Any], needed: list[Any]) -> list[Any]:
    """Return results; say so if what they need is lost for good."""
    try:
        return list(client.gather(futures))
    except CancelledError:
        _refuse_lost(needed)
        raise


def _refuse_lost(needed: list[Any]) -> None:
    """Say so if what is needed is lost for good."""
    if any(one.cancelled() for one in needed):
        raise RuntimeError(_LOST) from None


class Parts:
    """Parts on workers.

    Parameters
    ----------
    client : Client
    parts : list of Future
        Of `Part`; as long as they are held, Dask makes what is lost again.
    """

    def __init__(self, client: Client, parts: list[Any]) -> None:
        self._client, self._parts = client, parts
        self._name = f"nnjit-{uuid.uuid4().hex}"
        self._calls = 0
        self._places: list[list[str]] | None = None
        # Those of the last call are held until the next is under way: a group of tasks that is
        # never empty is one group, of which the scheduler keeps no more than that.
        self._last: list[Any] = []

    def each(self, function: Callable[[Part, Any, int], T], given: Any) -> list[T]:
        """Return what a function makes of each part, in order.

        Parameters
        ----------
        function : callable
            Of a part, what is given and the part's number; the same each time it is called.
        given : object
            Sent to the workers, once to each.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._once(function, given)
            except (CancelledError, CommClosedError, TimeoutError):  # with a worker
                _refuse_lost(self._parts)
                if attempt == _ATTEMPTS - 1:
                    raise
                self._places = None
        raise AssertionError("unreachable")

    def _once(self, function: Callable[..., T], given: Any) -> list[T]:
        client, call = self._client, self._calls
        self._calls += 1
        # A task of its own: workers hand its result on to one another, and Dask makes it again if
        # its worker is lost. `Client.scatter` may wait for ever for a worker that is.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            shared = client.submit(
                _Sent(given), key=(f"{self._name}-given", call), pure=False, retries=_ATTEMPTS
            )
        tasks = [
            client.submit(
                _placed,
                function,
                part,
                shared,
                number,
                key=(self._name, call, number),
                pure=False,
                workers=places or None,
                allow_other_workers=bool(places),
            )
            for number, (part, places) in enumerate(zip(self._parts, self._where()))
        ]
        self._last = [shared, *tasks]
        found = client.gather(tasks)
        for (place, _), places in zip(found, self._where()):
            if place not in places:  # a part has come to another worker
                self._places = None
                break
        return [result for _, result in found]

    def _where(self) -> list[list[str]]:
        """Return the workers that hold each part."""
        if self._places is None:
            wait(self._parts)  # until those of lost workers are made again
            found = self._client.who_has(self._parts)
            self._places = [list(found[part.key]) for part in self._parts]
        return self._places


class _Sent:
    """A task whose result has come with it, out of sight of what looks for tasks in arguments."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __call__(self) -> Any:
        return self._value


def _placed(function: Callable[..., T], part: Part, given: Any, number: int) -> tuple[str, T]:
    """Return on which worker this is, and what a function makes of a part."""
    from distributed import get_worker

    return get_worker().address, function(part, given, number)
