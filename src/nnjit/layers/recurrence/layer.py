"""What recurrent layers share as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from nnjit.layers.axes import channels, checked_size
from nnjit.layers.layer import Parameter, Shape

__all__ = ["STEPS", "RecurrentLayer", "Regions"]

STEPS = 16  # points whose inputs go through the weights at once where nothing is kept of others
# What the arithmetic of a gate costs, and a point of time whatever is done there, in multiply-adds:
# a network of few units does little else.
_GATE_WORK, _POINT_WORK = 8, 300
_REVERSE = "reverse_"  # what the names of the second direction's parameters begin with


class Regions(NamedTuple):
    """Values of a row that one direction keeps, by what they are."""

    planes: int  # of all gates, one gate after the other
    states: int  # in front of each point and behind the last one
    fed: int  # what of the states enters the recurrent product, where some is dropped
    mask: int  # factors on that
    last: int  # states at a row's own end
    delta: int  # of the states at one point


@dataclass(frozen=True)
class RecurrentLayer:
    """Base of the recurrent layers: units that carry a state from one point of time to the next.

    A cell says how many blocks of weights a unit has (`gates`), how many of them, the last ones,
    have recurrent biases of their own (`recurrent_gates`), how many values of a unit are carried
    (`states`), and how many it keeps of each point beside these (`planes`).
    """

    gates: ClassVar[int]
    recurrent_gates: ClassVar[int] = 0
    states: ClassVar[int] = 1
    planes: ClassVar[int]
    kind: ClassVar[str]

    units: int
    bidirectional: bool = False
    return_sequences: bool = False
    recurrent_dropout: float = 0.0
    truncate: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", checked_size(self.units, "units"))
        for name in ("bidirectional", "return_sequences"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        if not 0.0 <= self.recurrent_dropout < 1.0:
            raise ValueError(
                f"recurrent_dropout is from 0 to less than 1, got {self.recurrent_dropout!r}."
            )
        if self.truncate is not None:
            object.__setattr__(self, "truncate", checked_size(self.truncate, "truncate"))
            if self.bidirectional:
                raise ValueError(
                    "truncate does not go with bidirectional=True: what comes later in a series "
                    "would have to be known."
                )

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return small layers of the kind, for tests."""
        return (
            cls(3),
            cls(5, return_sequences=True),
            cls(2, bidirectional=True),
            cls(3, bidirectional=True, return_sequences=True),
            cls(4, return_sequences=True, truncate=3),
            cls(6, recurrent_dropout=0.4),
        )

    @property
    def random(self) -> bool:
        """Whether it draws at random in training."""
        return self.recurrent_dropout > 0.0

    @property
    def directions(self) -> int:
        """How many times it goes over a series: forward, and backward if bidirectional."""
        return 2 if self.bidirectional else 1

    def outputs(self, inputs: Shape) -> Shape:
        """Return (states, time), or the number of last states."""
        _, *time = self._series(inputs)
        states = self.units * self.directions
        return (states, *time) if self.return_sequences else states

    def parameters(self, inputs: Shape) -> tuple[Parameter, ...]:
        """Return the weights of what comes in, those of the states, and biases, by direction."""
        width, found = self.units * self.gates, []
        channels = self._series(inputs)[0]
        for prefix in ("", _REVERSE)[: self.directions]:
            found += [
                Parameter(f"{prefix}weights", (channels, width), True),
                Parameter(f"{prefix}recurrent_weights", (self.units, width), True),
                Parameter(f"{prefix}biases", (width,), False),
            ]
            if self.recurrent_gates:
                own = (self.units * self.recurrent_gates,)
                found.append(Parameter(f"{prefix}recurrent_biases", own, False))
        return tuple(found)

    def carried(self, inputs: Shape) -> int:
        """Return how many values of a series' state one window of it leaves to the next.

        None where a direction begins at the end of a series.
        """
        self._series(inputs)
        return 0 if self.bidirectional else self.units * self.states

    def regions(self, inputs: Shape, training: bool) -> Regions:
        """Return what each direction keeps of a row, for its backward pass or for some points."""
        points = self._series(inputs)[1]
        steps = points if training else min(points, STEPS)
        drops = self.random
        return Regions(
            planes=self.planes * steps * self.units,
            states=self.states * (steps + 1) * self.units,
            fed=drops * steps * self.units,
            mask=drops * self.units,
            last=self.states * self.units,
            delta=training * self.states * self.units,
        )

    def spares(self, inputs: Shape, training: bool) -> tuple[int, int, int]:
        """Return the values of a row for its length, for states of a point, and for inputs."""
        channels, points = self._series(inputs)
        return 2, self.units, training * channels * min(points, STEPS)

    def kept(self, inputs: Shape) -> int:
        """Return what its backward pass keeps of each row."""
        return self._kept(inputs, True)

    def kept_forward(self, inputs: Shape) -> int:
        """Return the same where there is none: it does not grow with the points."""
        return self._kept(inputs, False)

    def _kept(self, inputs: Shape, training: bool) -> int:
        each = sum(self.regions(inputs, training))
        return self.directions * each + sum(self.spares(inputs, training))

    def work(self, inputs: Shape) -> int:
        """Return the multiply-adds of its forward pass for each row, and what costs as much."""
        channels, points = self._series(inputs)
        width = self.units * self.gates
        products = (channels + self.units) * width
        return self.directions * points * (products + _GATE_WORK * width + _POINT_WORK)

    def _series(self, inputs: Shape) -> tuple[int, ...]:
        shape = channels(inputs, self.kind)
        if len(shape) != 2:
            raise ValueError(
                f"A {self.kind} layer takes series of shape (channels, time), but it gets images "
                f"of shape {shape}."
            )
        return shape
