"""Serial or parallel, decided while the work runs.

Sharing work costs microseconds on an idle machine; where another process holds a core, a
thread that was put aside in the middle of a task keeps the others waiting for milliseconds.
Nobody can tell in advance, and one thread gives the same bits as several, so a long job is run
in pieces, the pieces are timed, and the faster way goes on. What one job learns about a busy
machine holds for the next ones.

While other networks of one caller train on all other cores, threads are not tried.
"""

import time

from nnjit.core.jobs import threads

__all__ = ["Tuner"]

# Serial seconds of this process before the parallel driver is compiled or loaded.
FIRST_TRY_COLD = 0.05
# Aimed lengths of the first pieces and of the later ones, and the least units of one.
FIRST_PIECE, PIECE = 0.001, 0.02
TRIAL = 2
# Serial pieces before threads are tried: the first one finds cold caches and untouched memory,
# and would have threads win that do not.
SERIAL_TRIALS = 2
# Parallel must be this much faster than serial to be kept, and loses after so many pieces in
# a row that were not, fewer on a machine known to be busy; the first one wakes the threads up.
GAIN, LOSSES, BUSY_LOSSES = 0.95, 3, 2
# Seconds until parallel is tried again after it lost; doubled each time it loses.
RETRY, RETRY_MOST = 0.01, 2.0


class _Machine:
    """What is known about the machine by all jobs of this process."""

    retry_at = 0.0
    pause = RETRY
    serial_time = 0.0  # seconds of work that threads might have shared


class Tuner:
    """Timings of one job, in seconds per unit (a minibatch, a block of rows).

    Parameters
    ----------
    runner : Runner
        What the job calls; its first parallel call costs a compilation.
    """

    def __init__(self, runner):
        self._runner = runner
        self._serial = None  # best so far
        self._serial_pieces = 0
        self._parallel = None  # last
        self._losses = 0  # in a row

    def run(self, function, first, last):
        """Call `function(parallel, start, stop)` piece by piece until it returns False."""
        while first < last:
            parallel = self._wants_parallel()
            units = min(self._units(parallel), last - first)
            if parallel and self._runner.cold:
                function(True, first, first)  # compile: not to be timed
            begin = time.perf_counter()
            if not function(parallel, first, first + units):
                return
            self._record(parallel, (time.perf_counter() - begin) / units, units)
            first += units

    def _wants_parallel(self):
        if self._serial_pieces < SERIAL_TRIALS or threads.crowded():
            return False
        if self._runner.cold and _Machine.serial_time < FIRST_TRY_COLD:
            return False
        won = self._parallel is not None and self._losses == 0
        return won or time.perf_counter() >= _Machine.retry_at

    def _units(self, parallel):
        known = self._parallel if parallel else self._serial
        if known is None or self._serial_pieces < SERIAL_TRIALS:
            return TRIAL
        if parallel and self._losses > 0:
            # Waking up may take milliseconds: so long a piece that it does not decide alone.
            return max(TRIAL, int(FIRST_PIECE / self._serial))
        trying = self._parallel is None and not threads.crowded()
        length = FIRST_PIECE if trying else PIECE
        if not parallel:  # until threads are tried again
            length = max(length, min(PIECE, _Machine.retry_at - time.perf_counter()))
        return max(TRIAL, int(length / known))

    def _record(self, parallel, seconds, units):
        if not parallel:
            self._serial = seconds if self._serial is None else min(self._serial, seconds)
            self._serial_pieces += 1
            _Machine.serial_time += seconds * units
            return
        self._parallel = seconds
        if seconds <= GAIN * self._serial:
            self._losses, _Machine.pause = 0, RETRY
            return
        self._losses += 1
        if self._losses >= (BUSY_LOSSES if _Machine.pause > RETRY else LOSSES):
            _Machine.retry_at = time.perf_counter() + _Machine.pause
            _Machine.pause = min(2.0 * _Machine.pause, RETRY_MOST)
            self._parallel, self._losses = None, 0  # to be tried afresh
