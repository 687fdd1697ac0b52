"""Progress of a fit, read from the lines that `verbose=True` prints."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from typing import TextIO

__all__ = ["fit_progress"]

_EPOCH = re.compile(r"Iteration (\d+), loss = (\S+)")
_BAR_WIDTH = 24
_SECONDS_BETWEEN_DRAWS = 0.05


class _ProgressLine:
    """A text stream that shows the epochs written to it as one line, drawn over and over.

    Where the output is no terminal, a line is written every `max_epochs / 10` epochs.

    Attributes
    ----------
    messages : list of str
        Lines that are no epoch, such as why the fit stopped; validation scores are dropped.
    seconds_after_first_epoch : float
        From the end of the first epoch, which waits for the compiler, to the end of the last.
    """

    def __init__(self, stream: TextIO, label: str, max_epochs: int) -> None:
        self.stream = stream
        self.label = label
        self.max_epochs = max_epochs
        self.messages: list[str] = []
        self._live = stream.isatty()
        self._pending = ""
        self._drawn_at = 0.0
        self._last: tuple[int, str] | None = None
        self._shown: tuple[int, str] | None = None
        self._first_epoch_at: float | None = None
        self.seconds_after_first_epoch = 0.0

    def write(self, text: str) -> int:
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._take(line.strip())
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        """Show the last epoch and end the line."""
        if self._last is not None and self._last != self._shown:
            self._draw(self._last)
        if self._live and self._shown is not None:
            self.stream.write("\n")
        self.stream.flush()

    def _take(self, line: str) -> None:
        match = _EPOCH.match(line)
        if match is None:
            if line and not line.startswith("Validation score"):
                self.messages.append(line)
            return
        now = time.perf_counter()
        if self._first_epoch_at is None:
            self._first_epoch_at = now
        self.seconds_after_first_epoch = now - self._first_epoch_at
        self._last = int(match[1]), match[2]
        if self._live:
            due = now - self._drawn_at >= _SECONDS_BETWEEN_DRAWS
        else:
            due = self._last[0] == 1 or self._last[0] % max(1, self.max_epochs // 10) == 0
        if due:
            self._draw(self._last)

    def _draw(self, last: tuple[int, str]) -> None:
        epoch, loss = last
        self._drawn_at = time.perf_counter()
        self._shown = last
        done = min(_BAR_WIDTH, _BAR_WIDTH * epoch // self.max_epochs)
        bar = "#" * done + "." * (_BAR_WIDTH - done)
        text = f"{self.label:<13} [{bar}] epoch {epoch:>4}/{self.max_epochs}  loss {loss}"
        self.stream.write(f"\r{text}" if self._live else f"{text}\n")
        self.stream.flush()


@contextlib.contextmanager
def fit_progress(
    label: str, max_epochs: int, stream: TextIO | None = None
) -> Iterator[_ProgressLine]:
    """Turn what a verbose fit prints inside the block into one progress line.

    Parameters
    ----------
    label : str
        Name shown at the line's beginning.
    max_epochs : int
        The epoch number at which the bar is full.
    stream : text stream, optional
        Where the line goes; standard output by default.

    Yields
    ------
    object
        With `messages`, the fit's other lines, and `seconds_after_first_epoch`.
    """
    line = _ProgressLine(stream or sys.stdout, label, max_epochs)
    try:
        with contextlib.redirect_stdout(line):
            yield line
    finally:
        line.close()
