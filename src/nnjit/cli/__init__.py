"""The command line, `python -m nnjit COMMAND`: one file per command.

A command is a module with `add_parser(subparsers)` and `run(arguments)`; `run` returns the
exit status and raises `UserError` for anything its user can mend.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from nnjit._version import __version__
from nnjit.cli import cache, demo, info, warmup
from nnjit.cli.errors import UserError

__all__ = ["main"]

_COMMANDS = (demo, info, warmup, cache)
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; `sys.argv[1:]` by default.

    Returns
    -------
    int
        0 on success, 2 for a mistake in the arguments or the data, or too little memory for
        them (one line on stderr).
    """
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except UserError as error:
        sys.stdout.flush()
        print(f"nnjit: error: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        sys.stdout.flush()
        print(f"nnjit: error: out of memory: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nnjit: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; keep the interpreter's last flush quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nnjit", description="Compiled neural networks for scikit-learn users."
    )
    parser.add_argument("--version", action="version", version=f"nnjit {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(subparsers)
    return parser
