"""Serial or parallel, decided while the work runs.

A fork and join costs a microsecond on an idle machine and a time slice of the scheduler (many
milliseconds) when another process holds a core. Nobody can tell in advance, and both drivers
give the same bits, so a long job is run in pieces, the pieces are timed, and the faster driver
goes on. What one job learns about a busy machine holds for the next ones.
"""

import time

__all__ = ["Pace"]

# Serial seconds of this process before the parallel driver is compiled or loaded.
FIRST_TRY_COLD = 0.05
# Aimed length of a piece at first and later, and how many units a trial gets.
FIRST_PIECE, PIECE = 0.001, 0.02
TRIAL = 4
# Parallel must be this much faster than serial to be kept.
GAIN = 0.95
# Seconds until parallel is tried again after it lost; doubled each time it loses.
RETRY, RETRY_MOST = 0.05, 2.0


class _Machine:
    """What is known about the machine by all jobs of this process."""

    retry_at = 0.0
    pause = RETRY
    serial_time = 0.0  # seconds of work that threads might have shared


class Pace:
    """Timings of one job, in seconds per unit (a minibatch, a block of rows).

    Parameters
    ----------
    runner : Runner
        What the job calls; its first parallel call costs a compilation.
    """

    def __init__(self, runner):
        self._runner = runner
        self._serial = None
        self._parallel = None

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
        if self._serial is None:
            return False
        cold = self._runner.cold
        if cold and _Machine.serial_time < FIRST_TRY_COLD:
            return False
        if self._parallel is None or self._parallel > GAIN * self._serial:
            return time.perf_counter() >= _Machine.retry_at
        return True

    def _units(self, parallel):
        known = self._parallel if parallel else self._serial
        if known is None or (parallel and known > GAIN * self._serial):
            return TRIAL
        piece = PIECE if self._parallel is not None else FIRST_PIECE
        return max(TRIAL, int(piece / known))

    def _record(self, parallel, seconds, units):
        if not parallel:
            self._serial = seconds if self._serial is None else min(self._serial, seconds)
            _Machine.serial_time += seconds * units
            return
        self._parallel = seconds
        if seconds > GAIN * self._serial:
            _Machine.retry_at = time.perf_counter() + _Machine.pause
            _Machine.pause = min(2.0 * _Machine.pause, RETRY_MOST)
        else:
            _Machine.pause = RETRY
