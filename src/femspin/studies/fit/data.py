"""Data files: tables with a head per column, units in the heads or in the fit file.

Cells are separated by commas, semicolons or tabs; numbers have decimal points, or commas.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import PydanticCustomError

from ...case.input_files import UnreadableError, read_regular
from ...case.quantity import parse_quantity
from ...errors import CaseError, closest
from ...units import Array
from .schema import DataSet

__all__ = ["Measured", "in_si", "read_measured"]


_LARGEST_FILE = 10_000_000
_SEPARATORS = (",", ";", "\t")
_GAPS = frozenset(("", "nan", "-nan", "na", "n/a", "#n/a", "null", "none"))
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_HEAD = re.compile(r"(.*?)\s*(?:\[([^\]]*)\])?")
# Units of results as a quantity spells them, where they differ.
_SPELLED = {"A/m^2 (hbar/2e)": "A/m**2", "Ohm m": "ohm*m", "1/(J m^3)": "1/(J*m**3)"}


@dataclass(frozen=True)
class Measured:
    """One data set as read.

    Args:
        x: In the unit of the file, shape (n,).
        x_unit: That unit, or an empty text.
        y: In the unit of the file, or in SI, see `in_si`; shape (n,).
        sigma: In that of `sigma_unit`, or in SI; shape (n,), or None.
        y_unit: Unit of the file, or an empty text.
        sigma_unit: Unit of sigma in the file.
        y_size: One unit of the file in SI; NaN before `in_si`.
        rows: Numbers of the rows in the file, from 1; those without numbers are left out.
        notes: What was done to read it, as sentences.
    """

    x: Array
    x_unit: str
    y: Array
    sigma: Array | None
    y_unit: str
    sigma_unit: str = ""
    y_size: float = math.nan
    rows: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def read_measured(data: DataSet, folder: Path, where: str) -> Measured:
    """Return the numbers of a data set, as they stand in the file.

    Args:
        data: The entry of the fit file.
        folder: Where relative file names start.
        where: Dotted path of the entry, for messages.

    Raises:
        CaseError: For a file, column or number that is not there or not right.
    """
    wanted = [data.x.column, data.y.column]
    if data.sigma is not None and data.sigma.column is not None:
        wanted.append(data.sigma.column)
    heads, rows = _read(folder / data.file, wanted, f"{where}.file")
    rows, numbers, notes = _complete(rows, [_place(n, heads, where, data) for n in wanted], where)
    x, x_head = _column(data.x.column, heads, rows, numbers, f"{where}.x.column")
    y, y_head = _column(data.y.column, heads, rows, numbers, f"{where}.y.column")
    x_unit = data.x.unit if data.x.unit is not None else x_head
    y_unit = data.y.unit if data.y.unit is not None else y_head
    sigma, sigma_unit = None, y_unit
    if data.sigma is not None:
        sigma, sigma_unit = _sigma(data, y, y_unit, heads, rows, numbers, where)
        if not np.all(sigma > 0):
            k = int(np.flatnonzero(~(sigma > 0))[0])
            raise CaseError(f"{where}.sigma", f"must be > 0 (got {sigma[k]:g} in row {numbers[k]})")
    return Measured(x, x_unit, y, sigma, y_unit, sigma_unit, rows=tuple(numbers), notes=notes)


def in_si(found: Measured, data: DataSet, needed: str, where: str) -> Measured:
    """Return a data set with y and sigma in SI.

    Args:
        found: From `read_measured`.
        data: The entry of the fit file.
        needed: Unit of its result.
        where: Dotted path of the entry, for messages.

    Raises:
        CaseError: If a unit is missing or does not fit the result.
    """
    size = _size(found.y_unit, needed, f"{where}.y.unit", data.y.result)
    sigma = found.sigma
    if sigma is not None:
        own = size
        if found.sigma_unit != found.y_unit:
            own = _size(found.sigma_unit, needed, f"{where}.sigma.column", data.y.result)
        sigma = sigma * own
    return replace(found, y=found.y * size, sigma=sigma, y_size=size)


def _read(file: Path, wanted: Sequence[str], where: str) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Return name and unit of every column, and the rows.

    No message tells what stands in a file that is no table.
    """
    name = repr(str(file))
    try:
        text = read_regular(file, _LARGEST_FILE).decode("utf-8-sig")
    except FileNotFoundError:
        known = [p.name for p in file.parent.glob("*.csv")] if file.parent.is_dir() else []
        raise CaseError(where, f"no such file: {name}{closest(file.name, known)}") from None
    except UnreadableError as error:
        raise CaseError(where, f"{name} {error}") from None
    except UnicodeDecodeError:
        raise CaseError(where, f"{name} is not UTF-8 text") from None
    lines = [x for x in text.splitlines() if x.strip() and not x.lstrip().startswith("#")]
    if len(lines) < 2:
        raise CaseError(where, f"{name} needs a line of heads and at least one row")
    return _table(lines, wanted, name, where)


def _table(
    lines: list[str], wanted: Sequence[str], name: str, where: str
) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Return heads and rows with the separator that finds the wanted columns, or fits best."""
    tables = []
    for separator in _SEPARATORS:
        try:
            table = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
        except csv.Error:
            continue
        heads = [_head(cell) for cell in table[0]]
        found = sum(n in [head for head, _ in heads] for n in wanted)
        even = sum(len(row) == len(heads) for row in table) / len(table)
        tables.append((found, even, len(heads), heads, table[1:]))
    # Where the heads are no help, the separator that gives all rows as many cells as the head.
    best = max(tables, key=lambda t: t[:3], default=None)
    if best is None or best[2] < 2 or (not best[0] and not _is_table(best[3], best[4])):
        raise CaseError(
            where,
            f"{name} is no table: it needs a line of heads and rows of numbers,"
            " separated by commas, semicolons or tabs",
        )
    _, _, _, heads, rows = best
    for k, row in enumerate(rows, 1):
        if len(row) != len(heads):
            raise CaseError(where, f"row {k} has {len(row)} cells, the head {len(heads)}")
    return heads, rows


def _head(cell: str) -> tuple[str, str]:
    match = _HEAD.fullmatch(cell.strip())
    return (match[1], match[2] or "") if match else (cell.strip(), "")


def _is_table(heads: Sequence[Any], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the rows fit the heads and most hold numbers: heads may then be shown."""
    even = all(len(row) == len(heads) for row in rows)
    return even and all(sum(_number(c) is not None for c in row) >= 2 for row in rows)


def _place(name: str, heads: Sequence[tuple[str, str]], where: str, data: DataSet) -> int:
    """Return the position of a column."""
    key = {data.x.column: "x", data.y.column: "y"}.get(name, "sigma")
    names = [head for head, _ in heads]
    if name not in names:
        raise CaseError(
            f"{where}.{key}.column",
            f"no column {name!r}" + closest(name, names, f"the file has {', '.join(n[:40] for n in names)}"),
        )
    if names.count(name) > 1:
        raise CaseError(f"{where}.{key}.column", f"the file has two columns {name!r}")
    return names.index(name)


def _complete(
    rows: list[list[str]], columns: Sequence[int], where: str
) -> tuple[list[list[str]], list[int], tuple[str, ...]]:
    """Return the rows without gaps in some columns, their numbers from 1, and what was done."""
    gaps = [k for k, row in enumerate(rows, 1) if any(_is_gap(row[c]) for c in columns)]
    kept = [k for k in range(1, len(rows) + 1) if k not in set(gaps)]
    if not kept:
        raise CaseError(f"{where}.file", "no row has a number in each of its columns")
    cells = [rows[k - 1][c].strip() for k in kept for c in columns]
    notes: list[str] = []
    if gaps:
        shown = ", ".join(map(str, gaps[:5])) + (", ..." if len(gaps) > 5 else "")
        notes.append(f"{'row' if len(gaps) == 1 else 'rows'} {shown} left out: no number there")
    commas = [c for c in cells if _COMMA.fullmatch(c)]
    if commas:
        points = [c for c in cells if "." in c]
        if points:
            raise CaseError(
                f"{where}.file",
                "has decimal points and commas in its numbers"
                f" (got {points[0][:40]!r} and {commas[0][:40]!r}); use one of"
                " them, and nothing between thousands",
            )
        notes.append(f"commas in numbers are decimal commas, like {commas[0]!r}")
    return [rows[k - 1] for k in kept], kept, tuple(notes)


def _is_gap(cell: str) -> bool:
    return cell.strip().lower() in _GAPS


def _number(cell: str) -> float | None:
    """Return the number in a cell, None if there is none."""
    cell = cell.strip()
    try:
        value = float(cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _column(
    name: str,
    heads: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[int],
    where: str,
) -> tuple[Array, str]:
    """Return the numbers of a column and the unit in its head."""
    k = [head for head, _ in heads].index(name)
    values = []
    for number, row in zip(numbers, rows, strict=True):
        value = _number(row[k])
        if value is None:
            raise CaseError(where, f"row {number} of {name!r} must be a finite number (got {row[k][:40]!r})")
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
        raise CaseError(
            where,
            f"is missing: {what} is in {needed}; write the unit into the head,"
            f' like "y [{spelled}]", or into y.unit',
        )
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
    numbers: Sequence[int],
    where: str,
) -> tuple[Array, str]:
    """Return the standard deviations and their unit."""
    s = data.sigma
    assert s is not None
    if s.absolute is not None:
        return np.full_like(y, s.absolute), y_unit
    if s.relative is not None:
        return s.relative * np.abs(y), y_unit
    assert s.column is not None
    found, head = _column(s.column, heads, rows, numbers, f"{where}.sigma.column")
    return found, head or y_unit
