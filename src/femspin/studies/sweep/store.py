"""Finished points on disk: one file each, written under a temporary name and renamed.

What is known of the numbers is the same of most points and stands in files of its own.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ... import __version__
from ...case.load import dump_case
from ...case.schema import Case
from ...results.installed import code_digest

__all__ = ["About", "PointStore", "Record", "point_key"]

_NO_INFLUENCE = ("title", "expected", "output", "scan")


class About(NamedTuple):
    """Unit and label of a number, and whether a scan shows it unless told otherwise."""

    unit: str = ""
    label: str = ""
    listed: bool = False


@dataclass(frozen=True)
class Record:
    """What is kept of one solved point.

    Args:
        numbers: By dotted name as in `Solution.values`, without the inputs; NaN where a number
            does not exist at this point.
        warnings: Sentences on where the theory fails.
        about: What is known of the numbers.
    """

    numbers: dict[str, float]
    warnings: tuple[str, ...] = ()
    about: dict[str, About] = field(default_factory=dict)


class PointStore:
    """A folder of finished points.

    Args:
        folder: Where they are, and beside it ``about``; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._about: dict[str, dict[str, About]] = {}
        self._made: dict[tuple[str, ...], dict[str, About]] = {}
        self._names: dict[int, str] = {}  # of what is in _made, by identity

    def read(self, key: str) -> Record | None:
        """Return a finished point, or None if there is no readable one."""
        try:
            table = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            if table["checksum"] != _checksum(key, table["numbers"], table["warnings"], table["about"]):
                return None
            numbers = {str(k): float(v) for k, v in table["numbers"].items()}
            return Record(numbers, tuple(map(str, table["warnings"])), self._known(str(table["about"])))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, key: str, record: Record) -> None:
        """Write a finished point in one piece."""
        # JSON has no infinity and no NaN: they stand as text, which float() reads.
        numbers = {k: v if math.isfinite(v) else repr(v) for k, v in record.numbers.items()}
        about = self._keep(record.about)
        table = {
            "femspin": __version__,
            "code": code_digest(),
            "numbers": numbers,
            "warnings": record.warnings,
            "about": about,
            "checksum": _checksum(key, numbers, record.warnings, about),
        }
        _write(self.folder / f"{key}.json", json.dumps(table, ensure_ascii=False, allow_nan=False))

    def about(self, numbers: tuple[str, ...], make: Callable[[], dict[str, About]]) -> dict[str, About]:
        """Return what is known of numbers, made once for those of one name and unit.

        Args:
            numbers: Names and units.
            make: Makes the table.
        """
        if numbers not in self._made:
            self._made[numbers] = make()
        return self._made[numbers]

    def _keep(self, about: dict[str, About]) -> str:
        """Return the name under which a table on numbers is kept; write it if it is new."""
        if id(about) in self._names:
            return self._names[id(about)]
        text = json.dumps(about, ensure_ascii=False, sort_keys=True)
        name = _digest(text)
        if name not in self._about:
            _write(self._about_file(name), text)
            self._about[name] = about
        if any(about is made for made in self._made.values()):
            self._names[id(about)] = name
        return name

    def _known(self, name: str) -> dict[str, About]:
        """Return a table on numbers by its name; ValueError if it is not what was kept."""
        if name not in self._about:
            text = self._about_file(name).read_text(encoding="utf-8")
            if _digest(text) != name:
                raise ValueError(name)
            self._about[name] = {str(k): About(*v) for k, v in json.loads(text).items()}
        return self._about[name]

    def _about_file(self, name: str) -> Path:
        return self.folder.with_name("about") / f"{name}.json"

    def stale(self, keys: Collection[str]) -> int:
        """Return how many points, beside those with these keys, another code has kept here."""
        others = (p for p in self.folder.glob("*.json") if p.stem not in keys)
        return sum(_code(p) != code_digest() for p in others)

    def remove(self, key: str) -> None:
        """Forget a finished point."""
        (self.folder / f"{key}.json").unlink(missing_ok=True)


def _checksum(key: str, numbers: Mapping[str, Any], warnings: Sequence[str], about: str) -> str:
    """Return what tells whether a point is as it was written, and under its own name."""
    return _digest(json.dumps([key, dict(numbers), list(warnings), about], sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(file: Path, text: str) -> None:
    """Write a file in one piece."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.stem}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _code(file: Path) -> str:
    """Return the digest of the code that kept a point; an empty text if it is not known."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["code"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def point_key(case: Case, files: str = "") -> str:
    """Return the name of a point: a hash of all that its numbers depend on.

    Args:
        case: The case with its material values filled in.
        files: Digest of the files it reads, see `case.files`.
    """
    table = {k: v for k, v in dump_case(case).items() if k not in _NO_INFLUENCE}
    text = json.dumps([code_digest(), files, table], sort_keys=True)
    return _digest(text)[:32]
