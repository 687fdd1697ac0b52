"""Members trained beside one another: results, Ctrl-C, errors, warnings, time."""

import contextvars
import threading
import time
import warnings

import numba
import pytest
from sklearn import config_context, get_config
from threadpoolctl import OpenBLASController, threadpool_info

from nnjit._warnings import warn
from nnjit.core.compiler.interrupts import Interrupts
from nnjit.core.jobs import threads
from nnjit.training import members
from nnjit.training.blas import single_threaded_blas
from nnjit.training.members import Stopped, fit_members, interrupted, stop_if_asked

COUNTS = pytest.mark.parametrize("n_threads", [1, 2, 4])


def training(epochs, begun=None, ended=None):
    """A fit as the loop has it: epochs of a millisecond, of which it returns the number."""

    def fit():
        done = 0
        try:
            while done < epochs:
                if done:
                    stop_if_asked()
                time.sleep(0.001)
                done += 1
                if begun is not None:
                    begun.set()
        except KeyboardInterrupt as reason:
            interrupted(reason)
        return done

    return fit


@COUNTS
def test_results_come_in_order(n_threads):
    def fit(number):
        time.sleep(0.01 * (5 - number))
        return number

    found = fit_members([lambda n=n: fit(n) for n in range(5)], n_threads=n_threads)
    assert found.results == list(range(5))
    assert found.complete == [True] * 5
    assert not found.interrupted


def test_so_many_run_at_once_and_no_more():
    barrier, running, most = threading.Barrier(2, timeout=60), [], []

    def fit():
        running.append(1)
        most.append(len(running))
        barrier.wait()
        running.pop()
        return threading.get_ident()

    found = fit_members([fit] * 4, n_threads=2)
    assert max(most) == 2
    assert threading.get_ident() not in found.results


def test_one_thread_is_the_callers_own():
    assert (
        fit_members([threading.get_ident] * 3, n_threads=1).results == [threading.get_ident()] * 3
    )
    assert fit_members([threading.get_ident]).results == [threading.get_ident()]


@COUNTS
def test_members_have_the_callers_context_and_configuration(n_threads):
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(3)

    def fit():
        found = variable.get()
        variable.set(4)
        return found, get_config()["assume_finite"]

    with config_context(assume_finite=True):
        found = fit_members([fit] * 3, n_threads=n_threads)
    assert found.results == [(3, True)] * 3
    assert variable.get() == 3


@COUNTS
def test_an_error_is_raised_as_it_was_and_stops_the_others(n_threads):
    failed, error, after = threading.Event(), OSError("no space"), []

    def fails():
        failed.set()
        raise error

    def long():
        failed.wait(60)
        after.append(training(100_000)())

    with warnings.catch_warnings(), pytest.raises(OSError, match="no space") as caught:
        warnings.simplefilter("error")  # nobody warns of an interruption
        fit_members([fails, long, long, long, long, long], n_threads=n_threads)
    assert caught.value is error
    assert len(after) <= n_threads - 1
    assert all(epochs < 100_000 for epochs in after)


@COUNTS
def test_time_that_is_over_ends_members_in_silence_but_the_first_has_begun(n_threads):
    fits = [training(5), *[training(100_000)] * 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        late = fit_members([training(100_000)] * 5, n_threads=n_threads, max_time=0.0)
        found = fit_members(fits, n_threads=n_threads, max_time=0.5)
        ample = fit_members([training(3)] * 3, n_threads=n_threads, max_time=600.0)
    assert late.results[0] >= 1
    assert len(late.results) <= n_threads
    assert found.results[0] == 5
    assert found.complete == [True] + [False] * (len(found.results) - 1)
    assert 2 <= len(found.results) <= 5
    assert all(1 <= epochs < 100_000 for epochs in found.results)
    assert not found.interrupted
    assert ample.results == [3] * 3


@COUNTS
def test_ctrl_c_of_one_stops_all_and_warns_once(n_threads):
    """As if it came while the member runs: KeyboardInterrupt in its own thread."""
    begun = threading.Event()

    def stopped():
        try:
            if n_threads > 1:
                begun.wait(60)
            raise KeyboardInterrupt
        except KeyboardInterrupt as reason:
            interrupted(reason)
        return "stopped"

    fits = [stopped, training(100_000, begun), training(100_000), training(100_000)]
    with pytest.warns(UserWarning) as caught:
        found = fit_members(fits, n_threads=n_threads)
    assert [str(one.message) for one in caught] == ["Training interrupted by user."]
    assert caught[0].filename == __file__
    assert found.interrupted
    assert found.results[0] == "stopped"
    assert len(found.results) == 1 if n_threads == 1 else 2 <= len(found.results) <= n_threads
    assert found.complete == [False] * len(found.results)


@COUNTS
def test_a_member_that_ctrl_c_met_before_it_trained_is_not_there(n_threads):
    def early():
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted by user"):
        found = fit_members([training(3), early, early], n_threads=n_threads)
    assert len(found.results) == 1
    assert found.results[0] == 3 if n_threads == 1 else 1 <= found.results[0] <= 3
    with warnings.catch_warnings(), pytest.raises(KeyboardInterrupt):
        warnings.simplefilter("error")
        fit_members([early] * 3, n_threads=n_threads)


@COUNTS
def test_each_warning_reaches_the_caller_once(n_threads):
    def fit(number):
        warn("all say this")
        warn(f"number {number}", RuntimeWarning)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_members([lambda n=n: fit(n) for n in range(3)], n_threads=n_threads)
    found = [(str(one.message), one.category, one.filename) for one in caught]
    assert found == [
        ("all say this", UserWarning, __file__),
        *[(f"number {n}", RuntimeWarning, __file__) for n in range(3)],
    ]


@COUNTS
def test_filters_of_warnings_are_left_as_they_were(n_threads):
    before = list(warnings.filters)

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            time.sleep(0.001)

    fit_members([fit] * 20, n_threads=n_threads)
    assert warnings.filters == before


def test_blas_has_its_threads_again_when_members_that_limit_it_overlap():
    """The second one begins within the first one's block, and ends it after the first one's end."""

    def blas():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    running, within = [], threading.Event()

    def early():
        with single_threaded_blas():
            running.append(threading.current_thread())
            within.wait(60)

    def late():
        while not running:
            time.sleep(0.001)
        with single_threaded_blas():
            within.set()
            running[0].join(60)

    before = blas()
    OpenBLASController.clear_controlling_thread(force=True)  # as before the first fit
    fit_members([early, late], n_threads=2)
    assert blas() == before


def test_a_warning_made_an_error_is_raised_to_the_caller():
    with warnings.catch_warnings(), pytest.raises(UserWarning, match="loud"):
        warnings.simplefilter("error")
        fit_members([lambda: warn("loud")] * 3, n_threads=2)


def test_members_of_members_run_one_after_the_other():
    def fit():
        return fit_members([threading.get_ident] * 3).results

    found = fit_members([fit] * 2, n_threads=2).results
    assert all(len(set(idents)) == 1 for idents in found)
    found = fit_members([lambda: fit_members([threading.get_ident] * 2, n_threads=2)] * 2)
    assert len(found.results) == 2


@COUNTS
def test_members_of_a_member_stop_with_it_and_it_with_them(n_threads):
    def inner(*fits, **options):
        return lambda: fit_members(fits, n_threads=1, **options)

    long = training(100_000)
    found = fit_members([inner(long, long)] * 3, n_threads=n_threads, max_time=0.1)
    assert not any(found.complete)
    assert [one.complete for one in found.results] == [[False]] * len(found.results)
    own = fit_members([inner(long, max_time=0.02), training(3)], n_threads=n_threads)
    assert own.complete == [True, True]
    assert own.results[0].complete == [False]

    def stopped():
        interrupted(KeyboardInterrupt())

    with pytest.warns(UserWarning) as caught:
        found = fit_members([inner(stopped, long), long], n_threads=n_threads)
    assert [str(one.message) for one in caught] == ["Training interrupted by user."]
    assert found.interrupted
    assert found.results[0].interrupted
    assert not any(found.complete)


def test_many_callers_at_once_have_all_their_results():
    results = {}

    def call(number):
        fits = [lambda n=n: (number, n) for n in range(20)]
        results[number] = [fit_members(fits, n_threads=2).results for _ in range(20)]

    callers = [threading.Thread(target=call, args=[number]) for number in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for number in range(6):
        assert results[number] == [[(number, n) for n in range(20)]] * 20


def test_where_no_thread_can_be_started_the_caller_does_all(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    found = fit_members([threading.get_ident] * 3, n_threads=2).results
    assert found == [threading.get_ident()] * 3


def test_kernels_leave_the_cores_to_other_members(monkeypatch):
    monkeypatch.setattr(threads, "_forked", False)
    together, left = threading.Barrier(2, timeout=60), threading.Event()

    def early():
        together.wait()
        found = threads.free_threads(), threads.crowded()
        together.wait()
        return found

    def late():
        together.wait()
        found = threads.free_threads(), threads.crowded()
        together.wait()
        left.wait(60)
        return found, threads.free_threads(), threads.crowded()

    class Company(threads.Company):
        def leave(self):
            super().leave()
            left.set()

    monkeypatch.setattr(members, "Company", Company)
    found = fit_members([early, late], n_threads=2).results
    alone = 1 if numba.config.DISABLE_JIT else 2
    assert found == [(1, True), ((1, True), alone, False)]


class Handled(Exception):
    """What a signal's handler raises."""


@pytest.mark.parametrize("raised", [KeyboardInterrupt, Handled])
def test_the_waiting_thread_hears_ctrl_c(raised, monkeypatch):
    """The handler that the user has decides what it means."""
    begun, told = threading.Event(), []

    def deliver(self):
        if begun.is_set() and not told:
            told.append(1)
            raise raised

    monkeypatch.setattr(Interrupts, "deliver", deliver)
    fits = [training(100_000, begun), training(100_000), training(100_000)]
    if raised is Handled:
        with pytest.raises(Handled):
            fit_members(fits, n_threads=2)
        return
    with pytest.warns(UserWarning, match="interrupted by user"):
        found = fit_members(fits, n_threads=2)
    assert found.interrupted
    assert found.complete == [False] * 2
    assert all(1 <= epochs < 100_000 for epochs in found.results)


def test_nobody_stops_who_is_no_member():
    stop_if_asked()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interrupted(Stopped())
    with pytest.warns(UserWarning, match="interrupted by user"):
        interrupted(KeyboardInterrupt())
    assert members._MEMBER.get() is None
