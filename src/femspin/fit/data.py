"""Data files: CSV with a head per column, units in the heads or in the fit file."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic_core import PydanticCustomError

from ..case.quantity import parse_quantity
from ..errors import CaseError, closest
from ..scan.table import unit_of
from .schema import DataSet

__all__ = ["Measured", "read_measured"]

Array = NDArray[np.float64]

_LARGEST_FILE = 10_000_000
_HEAD = re.compile(r"(.*?)\s*(?:\[([^\]]*)\])?")
# Units of results as a quantity spells them, where they differ.
_SPELLED = {"A/m^2 (hbar/2e)": "A/m**2", "Ohm m": "ohm*m", "1/(J m^3)": "1/(J*m**3)"}


@dataclass(frozen=True)
class Measured:
    """One data set as read.

    Args:
        x: In the unit of the file, shape (n,).
        x_unit: That unit, or an empty text.
        y: In SI, shape (n,).
        sigma: In SI, shape (n,), or None.
        y_unit: Unit of the file, or an empty text.
        y_size: One unit of the file in SI.
    """

    x: Array
    x_unit: str
    y: Array
    sigma: Array | None
    y_unit: str
    y_size: float


def read_measured(data: DataSet, folder: Path, where: str) -> Measured:
    """Return the numbers of a data set.

    Args:
        data: The entry of the fit file.
        folder: Where relative file names start.
        where: Dotted path of the entry, for messages.

    Raises:
        CaseError: For a file, column, number or unit that is not there or not right.
    """
    heads, rows = _read(folder / data.file, f"{where}.file")
    x, x_head = _column(data.x.column, heads, rows, f"{where}.x.column")
    y, y_head = _column(data.y.column, heads, rows, f"{where}.y.column")
    x_unit = data.x.unit if data.x.unit is not None else x_head
    y_unit = data.y.unit if data.y.unit is not None else y_head
    size = _size(y_unit, unit_of(data.y.result, 1), f"{where}.y.unit", data.y.result)
    sigma = None
    if data.sigma is not None:
        sigma = _sigma(data, y, y_unit, heads, rows, where)
        if not np.all(sigma > 0):
            row = int(np.flatnonzero(~(sigma > 0))[0])
            raise CaseError(f"{where}.sigma", f"must be > 0 (got {sigma[row]:g} in row {row + 1})")
        sigma = sigma * size
    return Measured(x, x_unit, y * size, sigma, y_unit, size)


def _read(file: Path, where: str) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Return name and unit of every column, and the rows."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise CaseError(where, f"{str(file)!r} is larger than 10 MB")
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = [p.name for p in file.parent.glob("*.csv")] if file.parent.is_dir() else []
        raise CaseError(where, f"no such file: {str(file)!r}{closest(file.name, known)}") from None
    except UnicodeDecodeError:
        raise CaseError(where, f"{str(file)!r} is not UTF-8 text") from None
    except OSError as error:
        raise CaseError(where, f"{str(file)!r} cannot be read: {error.strerror}") from None
    lines = [x for x in text.splitlines() if x.strip() and not x.lstrip().startswith("#")]
    try:
        table = list(csv.reader(lines, skipinitialspace=True))
    except csv.Error as error:
        raise CaseError(where, f"{str(file)!r} is no CSV file: {error}") from None
    if len(table) < 2:
        raise CaseError(where, f"{str(file)!r} needs a line of heads and at least one row")
    heads = []
    for cell in table[0]:
        match = _HEAD.fullmatch(cell.strip())
        heads.append((match[1], match[2] or "") if match else (cell.strip(), ""))
    for k, row in enumerate(table[1:], 1):
        if len(row) != len(heads):
            raise CaseError(where, f"row {k} has {len(row)} cells, the head {len(heads)}")
    return heads, table[1:]


def _column(
    name: str, heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], where: str
) -> tuple[Array, str]:
    """Return the numbers of a column and the unit in its head."""
    names = [head for head, _ in heads]
    if name not in names:
        raise CaseError(where, f"no column {name!r}{closest(name, names)}; the file has"
                        f" {', '.join(names)}")  # fmt: skip
    if names.count(name) > 1:
        raise CaseError(where, f"the file has two columns {name!r}")
    k = names.index(name)
    values = []
    for number, row in enumerate(rows, 1):
        try:
            value = float(row[k])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise CaseError(where, f"row {number} of {name!r} must be a finite number"
                            f" (got {row[k]!r})")  # fmt: skip
        values.append(value)
    return np.array(values), heads[k][1]


def _size(unit: str, needed: str, where: str, what: str) -> float:
    """Return one `unit` in the unit of a result."""
    if unit == needed:
        return 1.0
    if not needed:
        raise CaseError(where, f"{what} has no unit (got {unit!r})")
    spelled = _SPELLED.get(needed, needed.replace("^", "**"))
    if not unit:
        raise CaseError(where, f"is missing: {what} is in {needed}; write the unit into the head,"
                        f' like "y [{spelled}]", or into y.unit')  # fmt: skip
    text = unit.replace("(hbar/2e)", "").replace("Ohm", "ohm").strip()
    try:
        return parse_quantity(f"1 {text}", spelled, f"1 {spelled}")
    except PydanticCustomError as error:
        raise CaseError(where, f"{error.message()} (got {unit!r})") from None


def _sigma(
    data: DataSet,
    y: Array,
    y_unit: str,
    heads: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    where: str,
) -> Array:
    """Return the standard deviations in the unit of y."""
    s = data.sigma
    assert s is not None
    if s.absolute is not None:
        return np.full_like(y, s.absolute)
    if s.relative is not None:
        return s.relative * np.abs(y)
    assert s.column is not None
    found, head = _column(s.column, heads, rows, f"{where}.sigma.column")
    if head and head != y_unit:
        needed = unit_of(data.y.result, 1)
        own = _size(head, needed, f"{where}.sigma.column", data.y.result)
        found = found * own / _size(y_unit, needed, f"{where}.y.unit", data.y.result)
    return found
