"""The passes of a network whose layers join the rows of a minibatch, cut there into phases."""

from typing import NamedTuple

import numpy as np

from nnjit.core.jobs.records import address_of

__all__ = ["Segments", "cut"]


class Cut(NamedTuple):
    """Where a segment ends."""

    position: int  # of the next one's first step in the passes, see `nnjit.core.jobs.segments`
    join_at: int  # unit (job, step, parts): puts together what the parts have measured
    step_at: int


class Segments(NamedTuple):
    """The steps of a network, two for each layer that joins rows, and what lies between them."""

    steps: list  # records
    addresses: np.ndarray  # of these
    cuts: list  # in the order of their positions

    def phases(self, start, close, following):
        """The phases, of which the first one has the number `start`.

        Those in the middle are followed by the next; `close` ends the last, and then comes the
        phase `following`.
        """
        ends = [*self.cuts, None]
        found, first = [], 0
        for number, end in enumerate(ends, start=start + 1):
            if end is None:
                last = 2 * len(self.steps) + 1
                found.append(("segment_task", close, following, first, last, 0, 0))
            else:
                found.append(
                    ("segment_task", "after_segment", number, first, end.position, *end[1:])
                )
                first = end.position
        return found


def cut(program):
    """The `Segments` of a program for training."""
    steps, halves = [], []
    layers = {id(step): number for number, step in enumerate(program.of_layer)}
    for step in program.steps:
        number = layers.get(id(step))
        if number is None or not getattr(program.network.layers[number], "joins_rows", False):
            steps.append(step)
            continue
        first, second, *joins = program.kind(number).make_halves(program, step)
        steps += [first, second]
        halves.append((len(steps) - 1, second, *joins))
    n = len(steps)
    forward = [Cut(at, values, address_of(step)) for at, step, values, _ in halves]
    # the step at `at` is gone through backward at position 2 n - at
    backward = [
        Cut(2 * n - at + 1, deltas, address_of(step)) for at, step, _, deltas in halves if deltas
    ]
    return Segments(
        steps, np.array([address_of(step) for step in steps], np.int64), forward + backward[::-1]
    )
