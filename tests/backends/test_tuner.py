"""The choice between one thread and several, on a clock that only the work moves."""

import pytest

from nnjit.backends import tuner


class Clock:
    """Time, and work that takes some: seconds per unit of each way, stalls of the parallel one."""

    def __init__(self, serial, parallel, stalls=()):
        self.now, self.serial, self.parallel, self.stalls = 100.0, serial, parallel, list(stalls)
        self.pieces = []

    def perf_counter(self):
        return self.now

    def work(self, parallel, first, last):
        self.pieces.append((parallel, last - first))
        self.now += (last - first) * (self.parallel if parallel else self.serial)
        if parallel and self.stalls:
            self.now += self.stalls.pop(0)
        return True

    def shared(self):
        """Share of the units that ran in parallel."""
        units = sum(n for _, n in self.pieces)
        return sum(n for parallel, n in self.pieces if parallel) / units


class Warm:
    cold = False


@pytest.fixture
def run(monkeypatch):
    """Runs so many units by a `Tuner` (a new one unless given) against a clock."""
    machine = tuner._Machine
    for name in ("retry_at", "pause", "serial_time"):
        monkeypatch.setattr(machine, name, {"pause": tuner.RETRY}.get(name, 0.0))

    def run(clock, units, job=None):
        monkeypatch.setattr(tuner, "time", clock)
        job = job or tuner.Tuner(Warm)
        job.run(clock.work, 0, units)
        assert sum(n for _, n in clock.pieces) >= units
        return job

    return run


def test_the_faster_way_goes_on(run):
    faster, slower = Clock(100e-6, 60e-6), Clock(100e-6, 99e-6)
    run(faster, 5000)
    assert faster.shared() > 0.99
    run(slower, 5000)
    assert slower.shared() < 0.02
    assert tuner._Machine.pause > tuner.RETRY


def test_a_slow_first_piece_does_not_have_threads_win(run):
    class Cold(Clock):
        def work(self, parallel, first, last):
            if not self.pieces:
                self.now += 100 * self.serial
            return super().work(parallel, first, last)

    clock = Cold(100e-6, 120e-6)
    run(clock, 5000)
    assert clock.shared() < 0.02


def test_serial_pieces_last_until_threads_are_tried_again(run):
    clock = Clock(100e-6, 2e-3)
    run(clock, 20_000)
    lengths = [n * clock.serial for parallel, n in clock.pieces if not parallel]
    assert max(lengths) > 0.9 * tuner.PIECE  # not a hundred calls where four do
    assert max(lengths) <= tuner.PIECE
    assert len(lengths) < 2.0 / tuner.PIECE + 50


def test_threads_that_wake_up_slowly_are_waited_for(run):
    clock = Clock(100e-6, 60e-6, stalls=(0.002, 0.008))
    run(clock, 500)
    assert clock.shared() > 0.9


def test_a_busy_machine_is_tried_less_and_less_often(run):
    clock = Clock(100e-6, 2e-3)
    job = run(clock, 20_000)
    assert clock.shared() < 0.01
    assert clock.now - 100.0 < 1.15 * 20_000 * clock.serial
    gaps, trials = [], [i for i, (parallel, _) in enumerate(clock.pieces) if parallel]
    for before, after in zip(trials[:-1], trials[1:], strict=True):
        if after > before + 1:
            gaps.append(sum(n for _, n in clock.pieces[before + 1 : after]))
    assert all(later > 1.5 * sooner for sooner, later in zip(gaps[:-1], gaps[1:], strict=True))
    # When it is free again, one stall on the way does not decide.
    clock.parallel, clock.stalls, clock.pieces = 60e-6, [0.004], []
    clock.now = tuner._Machine.retry_at
    run(clock, 1000, job)
    assert clock.shared() > 0.9
    assert tuner._Machine.pause == tuner.RETRY


def test_a_job_ends_when_the_work_says_so(run, monkeypatch):
    clock = Clock(100e-6, 60e-6)
    monkeypatch.setattr(tuner, "time", clock)
    calls = []

    def stops(parallel, first, last):
        clock.work(parallel, first, last)
        calls.append((first, last))
        return len(calls) < 3

    tuner.Tuner(Warm).run(stops, 0, 1000)
    assert len(calls) == 3
    assert [last for _, last in calls[:-1]] == [first for first, _ in calls[1:]]
