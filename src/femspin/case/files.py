"""The files that a case reads besides itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import CaseError
from .input_files import UnreadableError, open_regular, real_path
from .load import dump_case
from .schema import Case

__all__ = ["input_digest", "input_files", "leave_out_files", "resolve_files"]

_FILE_KEYS = (("mesh", "file"), ("texture", "initial", "file"), ("texture", "current", "band_structure"))


def input_files(case: Case, folder: Path | None = None) -> dict[str, Path]:
    """Return the files that a case names, by the dotted path of their keys.

    Args:
        case: The case.
        folder: Where relative paths start; default the folder of the case file, or else the
            working folder.
    """
    folder = case.folder if folder is None else folder
    tables = _tables(dump_case(case))
    return {".".join(keys): (folder or Path()) / node[keys[-1]] for keys, node in tables}


def resolve_files(table: dict[str, Any], folder: Path | None) -> None:
    """Make the paths of files in the tables of a case absolute.

    Args:
        table: Tables of a case; changed in place.
        folder: Where relative paths start; None leaves them as they are.
    """
    if folder is not None:
        for keys, node in _tables(table):
            node[keys[-1]] = str(real_path(folder / node[keys[-1]]))


def _tables(table: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the keys of every file that is given, with the table that holds the last of them."""
    for keys in _FILE_KEYS:
        node = table
        for key in keys[:-1]:
            node = node.get(key, {})
        if keys[-1] in node:
            yield keys, node


def leave_out_files(table: dict[str, Any]) -> None:
    """Remove the names of files from the tables of a case; changed in place."""
    for keys, node in list(_tables(table)):
        del node[keys[-1]]


def input_digest(case: Case, folder: Path | None = None, known: dict[Path, str] | None = None) -> str:
    """Return a hash of the content of all files that a case reads, empty if it reads none.

    Args:
        case: The case.
        folder: Where relative paths start; the working folder if None.
        known: Hashes of files; what is missing is added.

    Raises:
        CaseError: If one cannot be read.
    """
    known = {} if known is None else known
    parts = []
    for key, file in input_files(case, folder).items():
        # The coefficients of a band structure take the exchange time from the result beside them.
        beside = file.parent / "result.json"
        for path in (file, beside) if file.suffix == ".json" and beside.is_file() else (file,):
            if path not in known:
                known[path] = _digest(path, key)
            parts.append(f"{key} {known[path]}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""


def _digest(file: Path, key: str) -> str:
    try:
        with open_regular(file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    except FileNotFoundError:
        raise CaseError(key, f"{str(file)!r} cannot be read: no such file") from None
    except UnreadableError as error:
        raise CaseError(key, f"{str(file)!r} {error}") from None
