"""Members: networks that are trained beside one another, on a core each.

A member is a fit, a call without arguments. As many run at once as there are cores, each in a
thread of Python's, in which compiled code computes on that core alone and leaves the interpreter to
the others. So the cores share nothing but the members, whatever these are, and the bits are those
of one after the other. While fewer are left than cores, kernels share the free ones as ever. BLAS
computes on one thread meanwhile.

Ctrl-C, an error of one and the end of the time have every member stop after its present call of
compiled code, as Ctrl-C does with a single network: it keeps what it has learned.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sklearn import config_context, get_config

from nnjit._warnings import MLP_MODULE, Kept, kept_back, warn
from nnjit.core.compiler.interrupts import Interrupts
from nnjit.core.jobs.threads import Company, free_threads
from nnjit.training.blas import single_threaded_blas

__all__ = ["Members", "Stopped", "fit_members", "interrupted", "stop_if_asked"]

T = TypeVar("T")

# Seconds between two looks for Ctrl-C, where the system does not wake who waits for a thread.
_PAUSE = 0.05
_INTERRUPTED = "Training interrupted by user."


class Stopped(KeyboardInterrupt):
    """Ends training as Ctrl-C does, but in silence: the time is over, or another member failed."""


@dataclass
class Members(Generic[T]):
    """What became of fits.

    Attributes
    ----------
    results : list
        What those that had begun returned, in order; at least one.
    complete : list of bool
        Whether each came to its own end.
    interrupted : bool
        Whether the user broke them off.
    """

    results: list[T]
    complete: list[bool]
    interrupted: bool


def fit_members(
    fits: Sequence[Callable[[], T]],
    *,
    n_threads: int | None = None,
    max_time: float | None = None,
) -> Members[T]:
    """Call fits, several at once where there are several cores.

    They have the caller's context and scikit-learn's configuration. What belongs to more than one
    of them, a generator say, they must not change.

    Parameters
    ----------
    fits : sequence of callable
        Each trains one network and returns something.
    n_threads : int or None
        How many run at once; None for as many as there are free cores.
    max_time : float or None
        Seconds from now after which members stop and no other begins.

    Returns
    -------
    Members

    Raises
    ------
    Exception
        That of the first fit, in order, that raised one; the others are stopped.

    Warns
    -----
    Warning
        Each text of the fits' own warnings once, when all are over. "Training interrupted by
        user." after Ctrl-C: the members that had begun have what they learned.
    """
    crew = _Crew(fits, None if max_time is None else time.monotonic() + max_time)
    if n_threads is None:
        n_threads = free_threads() if len(fits) > 1 else 1
    try:
        if n_threads > 1 and len(fits) > 1:
            _run_at_once(crew, n_threads)
        crew.work()  # what no other thread has begun
    except KeyboardInterrupt:  # just between two of them
        crew.stop(KeyboardInterrupt)
    return crew.outcome()


def stop_if_asked() -> None:
    """Raise KeyboardInterrupt if the member that runs here is to stop; for between two calls."""
    member = _MEMBER.get()
    if member is not None:
        member.crew.raise_if_over()


def interrupted(reason: KeyboardInterrupt) -> None:
    """Tell of training that a KeyboardInterrupt ended: the user, unless others know of it."""
    by_user = not isinstance(reason, Stopped)
    if by_user:
        warn(_INTERRUPTED)
    member = _MEMBER.get()
    while member is not None:
        if by_user:
            member.crew.stop(KeyboardInterrupt)
        if member.crew.over() is not None:
            member.complete = False
        member = member.crew.within


class _Member(Generic[T]):
    """One fit that has begun."""

    result: T

    def __init__(self, crew: _Crew[T], fit: Callable[[], T]) -> None:
        self.crew, self._fit = crew, fit
        self.done, self.complete = False, True
        self.error: BaseException | None = None
        self.warnings: list[Kept] = []

    def run(self) -> None:
        """Call the fit, in a context of its own."""
        copy_context().run(self._run)

    def _run(self) -> None:
        _MEMBER.set(self)
        with kept_back() as self.warnings:
            try:
                self.result = self._fit()
                self.done = True
            except BaseException as error:
                self.error = error
                self.crew.stop(type(error))


_MEMBER: ContextVar[_Member[Any] | None] = ContextVar("nnjit_member", default=None)


class _Crew(Generic[T]):
    """The members of one call, and whether and why they are to stop."""

    def __init__(self, fits: Sequence[Callable[[], T]], deadline: float | None) -> None:
        self._fits, self._deadline, self.size = fits, deadline, len(fits)
        self._members: list[_Member[T]] = []
        self._reason: type[KeyboardInterrupt] | None = None
        self.within = _MEMBER.get()  # the member whose fit these are, if any
        self._lock = threading.Lock()

    def work(self) -> None:
        """Run one member after the other, until all have begun or no other is to begin."""
        while (member := self._begin()) is not None:
            member.run()

    def _begin(self) -> _Member[T] | None:
        with self._lock:
            number = len(self._members)
            if number == len(self._fits) or (number and self.over() is not None):
                return None
            member = _Member(self, self._fits[number])
            self._members.append(member)
            return member

    def stop(self, reason: type[BaseException]) -> None:
        """Have all members stop: by the user's Ctrl-C, else in silence."""
        if issubclass(reason, KeyboardInterrupt) and not issubclass(reason, Stopped):
            self._reason = KeyboardInterrupt
        elif self._reason is None:
            self._reason = Stopped

    def raise_if_over(self) -> None:
        """Raise that, if they are."""
        reason = self.over()
        if reason is not None:
            raise reason

    def over(self) -> type[KeyboardInterrupt] | None:
        """Return how members are told to stop; None while they are not."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        if self._reason is None and late:
            self._reason = Stopped
        if self._reason is None and self.within is not None:
            self._reason = self.within.crew.over()
        return self._reason

    def outcome(self) -> Members[T]:
        """Return what became of the members that have ended; warn of what they would warn of."""
        done = [one for one in self._members if one.done]
        by_user = self._reason is KeyboardInterrupt
        told = dict.fromkeys(kept for one in self._members for kept in one.warnings)
        if by_user and done:
            told[Kept(_INTERRUPTED, UserWarning, MLP_MODULE)] = None
        for kept in told:
            warn(*kept)
        self._raise_error(needed=not done)
        return Members([one.result for one in done], [one.complete for one in done], by_user)

    def _raise_error(self, needed: bool) -> None:
        """Raise what a member did; a KeyboardInterrupt only if no member has ended."""
        errors = [one.error for one in self._members if one.error is not None]
        for one in self._members:
            one.error = None  # whose traceback leads here
        errors.sort(key=lambda error: isinstance(error, KeyboardInterrupt))
        if errors and (needed or not isinstance(errors[0], KeyboardInterrupt)):
            raise errors[0]
        if needed:
            raise KeyboardInterrupt


# Held by the one call that runs members in threads; others meanwhile are content with their own.
_at_work = threading.Lock()


def _after_fork() -> None:
    global _at_work
    _at_work = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _run_at_once(crew: _Crew[Any], n_threads: int) -> None:
    """Run members in so many threads, unless another call does so; answer Ctrl-C meanwhile."""
    interrupts, lock = Interrupts(), _at_work
    # checks of scikit-learn's change the filters of warnings and set them back, in any order
    with interrupts, warnings.catch_warnings():
        if not lock.acquire(blocking=False):
            return
        try:
            # by who waits: members that limited it one after the other would leave it limited
            with single_threaded_blas():
                _wait(_start(crew, n_threads), crew, interrupts)
        finally:
            lock.release()
    interrupts.deliver()


def _start(crew: _Crew[Any], n_threads: int) -> list[threading.Thread]:
    number = min(n_threads, crew.size)
    company, config = Company(n_threads, number), get_config()

    def work() -> None:
        with company.joined(), config_context(**config):
            crew.work()

    threads = []
    for _ in range(number):
        thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more
            company.leave()
        else:
            threads.append(thread)
    return threads


def _wait(threads: list[threading.Thread], crew: _Crew[Any], interrupts: Interrupts) -> None:
    """Wait for the threads' ends, which Ctrl-C brings nearer."""
    error: BaseException | None = None
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join(_PAUSE)
                interrupts.deliver()
            except KeyboardInterrupt:
                crew.stop(KeyboardInterrupt)
            except BaseException as raised:  # by the user's handler of a signal
                crew.stop(Stopped)
                error = raised
    if error is not None:
        raise error
