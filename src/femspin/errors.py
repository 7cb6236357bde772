"""The errors femspin raises on purpose; the command line turns each into one line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["CaseError", "FemspinError", "MeshError", "SolverError", "closest"]


class FemspinError(Exception):
    """Base class: a message a user can act on, and the exit code of the command line."""

    exit_code = 1


class CaseError(FemspinError):
    """The case file asks for something that is unknown, inconsistent or out of range.

    Args:
        path: Dotted path in the case file, e.g. ``regions.Pt.spin_hall_angle``.
        problem: What is wrong there and what is allowed.
        file: The case file, if the case came from one.
    """

    exit_code = 2

    def __init__(self, path: str, problem: str, file: str | None = None) -> None:
        self.path, self.problem, self.file = path, problem, file
        super().__init__(path, problem, file)

    def __str__(self) -> str:
        where = f"{self.file}: " if self.file else ""
        return f"{where}{self.path}: {self.problem}" if self.path else f"{where}{self.problem}"


class MeshError(CaseError):
    """The mesh does not carry what the case needs (regions, interfaces, units, quality)."""


class SolverError(FemspinError):
    """The linear or time solver did not reach its tolerance; no result is written."""


def closest(word: str, known: Iterable[str], then: str = "") -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known word, whatever its case.

    Args:
        word: What was given.
        known: What is allowed.
        then: What the message goes on with, after the hint or in place of it.
    """
    words: dict[str, list[str]] = {}
    for name in known:
        words.setdefault(str(name).casefold(), []).append(str(name))
    match = get_close_matches(word.casefold(), words, n=1, cutoff=0.5)
    if not match:
        return f"; {then}" if then else ""
    best = get_close_matches(word, words[match[0]], n=1, cutoff=0.0)[0]
    return f"; did you mean '{best}'?" + (f" {then}" if then else "")
