"""What an estimator of tables saw, and what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from nnjit.estimators._table import ColumnReport
from nnjit.estimators._tabular_members import MemberFit

__all__ = ["MemberReport", "TableReport", "columns_in_words"]


class MemberReport(NamedTuple):
    """How a member was trained."""

    n_rows: int  # trained on
    n_held_out: int
    n_epochs: int
    best_epoch: int  # whose weights it has, from 1
    validation_loss: float | None  # of that epoch, of the rows held out
    validation_score: float | None  # likewise: accuracy, R2, or D2 of quantiles
    seconds: float

    @classmethod
    def of(cls, fit: MemberFit) -> MemberReport:
        """Return that of a training that has ended."""
        return cls(
            len(fit.rows[0]),
            len(fit.rows[1]),
            int(fit.member.n_iter_),
            fit.member.best_epoch_,
            fit.validation_loss,
            fit.score,
            fit.seconds,
        )

    def __str__(self) -> str:
        loss = "" if self.validation_loss is None else f", loss {self.validation_loss:.4g}"
        loss += "" if self.validation_score is None else f", score {self.validation_score:.4g}"
        return (
            f"{self.n_rows} rows, {self.n_held_out} held out: epoch {self.best_epoch} of "
            f"{self.n_epochs}{loss}, {self.seconds:.2f} s"
        )


@dataclass(frozen=True)
class TableReport:
    """What `report_` is; printed it is a text.

    Attributes
    ----------
    columns : list of ColumnReport
        Of each column its `name` and its `kind`, whether it is `used` or for what `reason` it was
        left out, cells that were missing (`n_missing`), categories (`n_levels`), and the `outputs`,
        what is made of it.
    members : list of MemberReport
        Of each member the rows trained on and held out, the epochs, the best one, its loss and
        score (accuracy or R2) for the rows held out, and the seconds that it took.
    recipe : dict
        What every parameter that is part of the recipe stood for.
    seconds : dict
        Seconds of the parts of the fit, and in all.
    """

    columns: list[ColumnReport]
    members: list[MemberReport]
    recipe: dict[str, Any]
    seconds: dict[str, float]

    def __str__(self) -> str:
        return "\n".join([columns_in_words(self.columns), self.of_members()])

    def of_members(self) -> str:
        """Return the lines about the members."""
        members = [_number_of(len(self.members), "member", "members")]
        members += [f"  {one}" for one in self.members]
        parts = ", ".join(f"{name} {value:.2f}" for name, value in self.seconds.items())
        return "\n".join([*members, f"seconds: {parts}"])


# Columns of a wide table that the text tells of.
_LISTED = 30


def columns_in_words(columns: list[ColumnReport]) -> str:
    """Return lines about the columns; nothing needs to be said of one of numbers alone."""
    kinds = Counter(column.kind for column in columns)
    lines = [
        f"{_number_of(len(columns), 'column', 'columns')}: "
        + ", ".join(f"{n} {kind}" for kind, n in kinds.items())
    ]
    told = [one for one in columns if not one.used or one.kind != "number" or one.n_missing]
    told.sort(key=lambda column: column.used)  # those left out first
    lines += [f"  {_in_words(column)}" for column in told[:_LISTED]]
    return "\n".join(lines + [f"  and {len(told) - _LISTED} more"] * (len(told) > _LISTED))


def _number_of(n: int, one: str, several: str) -> str:
    return f"{n} {one if n == 1 else several}"


def _in_words(column: ColumnReport) -> str:
    """Return a line about a column."""
    levels = f", {_number_of(column.n_levels, 'category', 'categories')}" * bool(column.n_levels)
    missing = f", {column.n_missing} missing" if column.n_missing else ""
    reason = "" if column.used else f", left out: {column.reason}"
    return f"{column.name}: {column.kind}{levels}{missing}{reason}"
