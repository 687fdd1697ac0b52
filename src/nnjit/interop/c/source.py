"""The parts of a C file as they are collected: constants, and functions that use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnjit._types import Array
from nnjit.interop.c.formulas import activation_lines
from nnjit.interop.c.text import DOUBLE, Real, comment, identifier, joined, lines_of, literals

__all__ = ["Source"]


class Source:
    """Constants and static functions of a file.

    Parameters
    ----------
    name : str
        What all names begin with.
    real : Real
        The type of a network's numbers.

    Attributes
    ----------
    n_constants, constant_bytes : int
        Numbers that are constants, and their size.
    """

    def __init__(self, name: str, real: Real) -> None:
        self.name, self.real = name, real
        self.n_constants = self.constant_bytes = 0
        self._constants: list[str] = []
        self._functions: list[str] = []
        self._known: dict[Any, str] = {}
        self._taken: set[str] = set()

    def constant(self, label: str, values: Any, real: Real | None = None) -> str:
        """Return the name of an array of constants, the same for the same numbers."""
        real = self.real if real is None else real
        array = np.ravel(values).astype(real.dtype)
        return self._array(label, array, real.name, literals(array, real))

    def doubles(self, label: str, values: Any) -> str:
        """Return the name of an array of constants that are double in any case."""
        return self.constant(label, values, DOUBLE)

    def integers(self, label: str, values: Any) -> str:
        """Return the name of an array of whole numbers."""
        array = np.ravel(values).astype(np.int32)
        return self._array(label, array, "int32_t", [*map(str, array.tolist())])

    def _array(self, label: str, array: Array, kind: str, items: Sequence[str]) -> str:
        key = (kind, array.tobytes())
        if key not in self._known:
            name = self._known[key] = self._unused(label)
            head = f"static const {kind} {name}[{len(items)}] = {{"
            self._constants.append("\n".join([head, *lines_of(items), "};"]))
            self.n_constants += len(items)
            self.constant_bytes += array.nbytes
        return self._known[key]

    def function(
        self, label: str, parameters: str, body: Sequence[str], *, result: str = "void", of: str
    ) -> str:
        """Return the name of a static function, the same for the same text.

        Parameters
        ----------
        label : str
            What its name ends with, if that is not taken.
        parameters : str
        body : sequence of str
            Lines.
        result : str
        of : str
            What it computes, for a comment.
        """
        key = (result, parameters, tuple(body))
        if key not in self._known:
            name = self._known[key] = self._unused(label)
            head = [f"/* {comment(of)} */", f"static {result} {name}({parameters})", "{"]
            self._functions.append("\n".join([*head, *joined(body), "}"]))
        return self._known[key]

    def _unused(self, label: str) -> str:
        name, number = f"{self.name}_{identifier(label)}", 2
        while name in self._taken:
            name, number = f"{self.name}_{identifier(label)}_{number}", number + 1
        self._taken.add(name)
        return name

    def activation(self, name: str) -> str | None:
        """Return the name of a function of one number, None for the identity."""
        if name == "identity":
            return None
        body = activation_lines(name, self.real)
        return self.function(
            f"phi_{name}", f"{self.real.name} z", body, result=self.real.name, of=name
        )

    def call(self, function: str, argument: str) -> str:
        """Return the call of a function of math.h in the network's type."""
        return f"{function}{self.real.suffix}({argument})"

    def text(self) -> str:
        """Return all of it, constants first."""
        return "\n\n".join([*self._constants, *self._functions])
