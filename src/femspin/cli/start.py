"""The entry of the command line: signals and closed streams, before anything large is imported."""

from __future__ import annotations

import io
import os
import sys

from .stopping import ClosedStream, NamedOutput, listen, rest

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process and return its exit code."""
    _open_streams()
    listen()
    from .main import main as command

    try:
        return command()
    finally:
        rest()


def _open_streams() -> None:
    """Put something in place of standard streams that the caller has closed.

    Else the next file that is opened, perhaps a result, gets the number of the stream, and what
    a library prints goes into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = ClosedStream()
    elif isinstance(sys.stdout, io.TextIOWrapper):
        raw = io.BufferedWriter(NamedOutput(sys.stdout.fileno(), "w", closefd=False))
        sys.stdout = io.TextIOWrapper(
            raw, sys.stdout.encoding, sys.stdout.errors, line_buffering=sys.stdout.line_buffering
        )
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
