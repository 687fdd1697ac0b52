"""Steps one after the other, and where their values lie in the work space.

A value is what comes in, or what comes out of a step. It lies in the work space from the step that
makes it to the last one that reads it; other values may lie there before and behind that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

__all__ = ["Chain", "Step"]


@dataclass(frozen=True)
class Step:
    """A call of a function ``f(x, h)``, or ``f(x, other, h, work, states, n)`` of some of these.

    Attributes
    ----------
    function : str
        Its name in C.
    size : int
        Values that come out.
    in_place : bool
        Whether h may be x.
    scratch : int
        Values of work space that it uses and leaves to nobody.
    counts : bool
        Whether it gets the points n of a series.
    needs_zeros : bool
        Whether it reads behind the end of a series, where zeros have to be.
    points : callable or None
        Returns the C expression of the points that come out of n, None where they stay.
    states : bool
        Whether it gets what a stream carries from point to point.
    """

    function: str
    size: int
    in_place: bool = False
    scratch: int = 0
    counts: bool = False
    needs_zeros: bool = True
    points: Callable[[str], str] | None = None
    states: bool = False


@dataclass
class _Placed:
    """A step with the values that it reads, and that it makes."""

    step: Step
    reads: list[int]
    value: int
    count: str
    scratch_at: int = 0


@dataclass
class Chain:
    """Steps from an input, value 0, to a last value."""

    width: int  # of the input
    sizes: list[int] = field(default_factory=list)
    last: int = 0  # number of the value that the next step reads
    count: str = ""  # the C variable with the points of the series there
    _lines: list[tuple[str, int]] = field(default_factory=list)
    _steps: list[_Placed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sizes = [self.width]

    def add(self, step: Step, other: int | None = None) -> None:
        """Have a step read the last value, and another one."""
        self.sizes.append(step.size)
        value = len(self.sizes) - 1
        reads = [self.last] if other is None else [self.last, other]
        self._steps.append(_Placed(step, reads, value, self.count))
        self.last = value
        if step.points is not None and self.count:
            self.let("n", step.points(self.count))

    def let(self, stem: str, expression: str) -> None:
        """Count the points of a series by a C expression from here on, in which {x} is `last`."""
        self.count = f"{stem}{len(self._lines) + 1}"
        # stands behind the step that comes last now
        self._lines.append((f"const int32_t {self.count} = {expression};", len(self._steps)))

    def needs_zeros(self, value: int) -> bool:
        """Whether any step reads a value behind the end of a series."""
        return any(value in one.reads and one.step.needs_zeros for one in self._steps)

    def lines(self, x: str, out: str, work: str) -> tuple[list[str], int]:
        """Return the calls in C, and how many values of work space they take.

        Parameters
        ----------
        x, out, work : str
            C expressions of the input, of where the last value goes, and of the work space.
        """
        places, size = self._places()

        def of(value: int) -> str:
            if value == 0:
                return x
            if value == self.last:
                return out
            return f"{work} + {places[value]}" if places[value] else work

        lines = []
        for number in range(len(self._steps) + 1):
            lines += [
                text.replace("{x}", of(self._before(number)))
                for text, behind in self._lines
                if behind == number
            ]
            if number < len(self._steps):
                lines.append(self._call(self._steps[number], of, work))
        if not self._steps:
            raise ValueError("There is nothing to compute.")
        return _read_counts(lines), size

    def _before(self, number: int) -> int:
        return self._steps[number - 1].value if number else 0

    def _call(self, one: _Placed, of: Callable[[int], str], work: str) -> str:
        arguments = [*map(of, one.reads), of(one.value)]
        if one.step.scratch:
            arguments.append(f"{work} + {one.scratch_at}" if one.scratch_at else work)
        if one.step.states:
            arguments.append("states")
        if one.step.counts:
            arguments.append(one.count)
        return f"{one.step.function}({', '.join(arguments)});"

    def _places(self) -> tuple[dict[int, int], int]:
        """Return where in the work space values lie, and its size."""
        last_use = {value: k for k, one in enumerate(self._steps) for value in one.reads}
        busy: dict[int, tuple[int, int]] = {}  # (start, end) of the values that are there
        places, size = {}, 0
        for k, one in enumerate(self._steps):
            source = one.reads[0]
            inside = source in busy and last_use[source] == k
            if one.value != self.last:
                if one.step.in_place and inside and self.sizes[source] >= one.step.size:
                    start = busy.pop(source)[0]
                else:
                    start = _gap(busy.values(), one.step.size)
                busy[one.value] = (start, start + one.step.size)
                places[one.value] = start
                size = max(size, start + one.step.size)
            if one.step.scratch:
                one.scratch_at = _gap(busy.values(), one.step.scratch)
                size = max(size, one.scratch_at + one.step.scratch)
            for value in one.reads:
                if last_use[value] == k:
                    busy.pop(value, None)
        return places, size


def _read_counts(lines: list[str]) -> list[str]:
    """Return lines without the counts of points that none behind them reads."""
    kept: list[str] = []
    for line in reversed(lines):
        count = re.match(r"const int32_t (\w+) =", line)
        if count is None or any(re.search(rf"\b{count[1]}\b", one) for one in kept):
            kept.append(line)
    return kept[::-1]


def _gap(busy: Iterable[tuple[int, int]], size: int) -> int:
    """Return the first place that so many values fit in."""
    start = 0
    for begin, end in sorted(busy):
        if begin - start >= size:
            break
        start = max(start, end)
    return start
