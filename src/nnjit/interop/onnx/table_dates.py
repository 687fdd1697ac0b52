"""Parts of dates, as nodes of a graph."""

from __future__ import annotations

import numpy as np

from nnjit.estimators._table.text import MICROSECONDS_OF_A_DAY
from nnjit.interop.onnx.graph import Graph, Value

__all__ = ["NOT_A_TIME", "part_of"]

NOT_A_TIME = int(np.iinfo(np.int64).min)
# Shifts of the days since 1970-01-01: to 0000-03-01, and so that a Monday is 0.
_TO_MARCH, _TO_MONDAY = 719_468, 3
_DAYS_OF_AN_ERA = 146_097


def part_of(graph: Graph, moments: Value, name: str, first: int) -> Value:
    """Return a part of dates, float64.

    Parameters
    ----------
    graph : Graph
    moments : Value
        Microseconds since 1970-01-01, int64.
    name : {"days", "year", "month", "day", "weekday", "hour"}
    first : int
        The moment from which days are counted.

    Notes
    -----
    After H. Hinnant, "chrono-compatible low-level date algorithms".
    """
    if name == "days":
        return graph.cast(moments - first, np.float64) / MICROSECONDS_OF_A_DAY
    days, rest = _divided(graph, moments, MICROSECONDS_OF_A_DAY)
    if name == "hour":
        return graph.cast(rest, np.float64) * (24 / MICROSECONDS_OF_A_DAY)
    if name == "weekday":
        return graph.cast(_divided(graph, days + _TO_MONDAY, 7)[1], np.float64)
    # Years begin in March, so that a leap day is the last of one.
    era, day_of_era = _divided(graph, days + _TO_MARCH, _DAYS_OF_AN_ERA)
    leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096
    year_of_era = (day_of_era - leaps) / 365
    day_of_year = day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100)
    month = (day_of_year * 5 + 2) / 153  # 0 is March
    if name == "day":
        return graph.cast(day_of_year - (month * 153 + 2) / 5 + 1, np.float64)
    in_next = graph.cast(month >= 10, np.int64)
    if name == "month":
        return graph.cast(month + 3 - in_next * 12, np.float64)
    return graph.cast(era * 400 + year_of_era + in_next, np.float64)


def _divided(graph: Graph, value: Value, by: int) -> tuple[Value, Value]:
    """Return quotient, rounded down, and rest of whole numbers."""
    rest = graph.add("Mod", value, np.array(by))
    return (value - rest) / by, rest
