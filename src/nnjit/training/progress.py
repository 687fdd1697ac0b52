"""What ``verbose=2`` prints: a table with a line per epoch."""

from __future__ import annotations

import time

_BLANK = "-"


class EpochTable:
    """Prints a heading, then one line per epoch; times count from the table's making."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._headed = False

    def row(
        self,
        epoch: int,
        loss: float,
        score: float | None = None,
        rate: float | None = None,
        validation_loss: float | None = None,
    ) -> None:
        """Print the line of an epoch.

        Parameters
        ----------
        epoch : int
        loss : float
            Training loss.
        score : float or None
            Validation score; a dash if None.
        rate : float or None
            Learning rate of the epoch's last step; a dash if None.
        validation_loss : float or None
            In a column that is there if it is in the first row.
        """
        if not self._headed:
            self._headed = True
            more = "" if validation_loss is None else f"{'val. loss':>14}"
            print(f"{'epoch':>6}{'loss':>14}{more}{'validation':>12}{'rate':>12}{'time':>10}")
        validation = _BLANK if score is None else f"{score:.4f}"
        shown_rate = _BLANK if rate is None else f"{rate:.3g}"
        seconds = time.perf_counter() - self._start
        more = "" if validation_loss is None else f"{validation_loss:>14.6f}"
        print(f"{epoch:>6}{loss:>14.6f}{more}{validation:>12}{shown_rate:>12}{seconds:>8.2f} s")
