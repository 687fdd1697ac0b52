"""A whole C file: what it says of itself, what others may call, and all that they need."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from nnjit._version import __version__
from nnjit.interop.c.chain import Chain
from nnjit.interop.c.source import Source
from nnjit.interop.c.targets import Labels
from nnjit.interop.c.text import Real, comment, joined

__all__ = ["Program"]


@dataclass
class _Function:
    """A function that others may call."""

    head: str
    lines: list[str]
    says: str


@dataclass
class Program:
    """Collects the public part of a file.

    Attributes
    ----------
    source : Source
    of : str
        What it is the prediction of.
    real : Real
        The type of rows and outputs.
    """

    source: Source
    of: str
    real: Real
    notes: list[str] = field(default_factory=list)
    workspace: int = 0
    _macros: list[tuple[str, str, str]] = field(default_factory=list)
    _types: list[str] = field(default_factory=list)
    _tables: list[Labels] = field(default_factory=list)
    _functions: list[_Function] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What all names begin with."""
        return self.source.name

    def macro(self, label: str, value: int | str, says: str) -> str:
        """Define a constant of the preprocessor, and return its name."""
        name = f"{self.name.upper()}_{label}"
        self._macros.append((name, str(value), says))
        return name

    def table(self, labels: Labels) -> None:
        """Add a table of labels."""
        self._tables.append(labels)

    def type(self, text: str) -> None:
        """Declare a type."""
        self._types.append(text)

    def function(self, head: str, lines: Sequence[str], says: str) -> None:
        """Define a function that others may call."""
        self._functions.append(_Function(head, [*lines], says))

    def chain(self, label: str, chain: Chain, *, more: Sequence[str], x: str, says: str) -> None:
        """Define the function ``NAME_label(x, out)`` that goes through a chain.

        It has a twin, ``NAME_label_in(x, out, work)``, whose work space the caller has; else it
        lies on the stack.

        Parameters
        ----------
        label : str
        chain : Chain
        more : sequence of str
            Lines behind it.
        x : str
            Name of what comes in.
        says : str
        """
        real = self.source.real.name
        lines, size = chain.lines(x, "out", "work")
        self.workspace = max(self.workspace, size)
        name, both = f"{self.name}_{label}", f"const {real} *{x}, {real} *out"
        if not size:
            self.function(f"void {name}({both})", [*lines, *more], says)
            return
        inside = f"work, of {self.name.upper()}_WORKSPACE values, is yours."
        self.function(f"void {name}_in({both}, {real} *work)", [*lines, *more], f"{says} {inside}")
        own = [f"{real} work[{size}];", f"{name}_in({x}, out, work);"]
        self.function(f"void {name}({both})", own, says)

    # The file

    def text(self) -> str:
        """Return the file."""
        upper = self.name.upper()
        parts = [
            self._head(),
            f"#ifndef {upper}_DECLARED\n#define {upper}_DECLARED",
            "#include <stdint.h>",
            self._defines(),
            '#ifdef __cplusplus\nextern "C" {\n#endif',
            *self._types,
            *[table.declaration for table in self._tables],
            *[f"/* {_filled(one.says)} */\n{one.head};" for one in self._functions],
            "#ifdef __cplusplus\n}\n#endif",
            f"#endif /* {upper}_DECLARED */",
            f"#ifndef {upper}_HEADER",
            "#include <math.h>\n#include <string.h>",
            self._apart(),
            self.source.text(),
            *[table.definition for table in self._tables],
            *["\n".join([one.head, "{", *joined(one.lines), "}"]) for one in self._functions],
            f"#undef {upper}_APART\n#endif /* {upper}_HEADER */",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _head(self) -> str:
        size, each = self.source.constant_bytes, self.real.dtype.itemsize
        upper = self.name.upper()
        paragraphs = [
            f"{self.name}: the prediction of a fitted {comment(self.of)} as one file of C99, "
            f"written by nnjit {__version__}.",
            f"Constants: {self.source.n_constants:,} numbers, {size:,} bytes, const. Work space: "
            f"{self.workspace:,} values ({self.workspace * each:,} bytes) at most, on the stack of "
            "a call, or the caller's. Nothing is allocated, and no variable outlives a call: "
            "functions may be called by several threads at once.",
            *self.notes,
            f"Compile it on its own: cc -std=c99 -O2 -c {self.name}.c, and link with -lm. Where "
            f'its functions are called: #define {upper}_HEADER, then #include "{self.name}.c", '
            "which then only declares them.",
        ]
        return "/*\n" + "\n *\n".join(_filled(one, " * ", " * ") for one in paragraphs) + "\n */"

    def _defines(self) -> str:
        return "\n".join(
            f"#define {name} {value} /* {says} */" for name, value, says in self._macros
        )

    def _apart(self) -> str:
        """Return what tells a compiler of C that what comes in and out lies apart."""
        name = f"{self.name.upper()}_APART"
        return (
            f"#if defined(__STDC_VERSION__) && !defined(__cplusplus)\n#define {name} restrict\n"
            f"#else\n#define {name}\n#endif"
        )


def _filled(text: str, first: str = "", rest: str = "   ") -> str:
    return textwrap.fill(
        text, 98, initial_indent=first, subsequent_indent=rest, break_long_words=False
    )
