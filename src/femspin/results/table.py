"""The table of a scan: which numbers, their units, and its files."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LOST", "WALL", "Column", "column_names", "matching", "write_csv", "write_netcdf", "write_parquet"]

WALL = "texture.wall"
LOST = f"{WALL}.lost"
"""Whether the wall of a texture left the magnet, so that its other numbers end there."""


@dataclass(frozen=True)
class Column:
    """One column: name, unit (or an empty text), a number or text per point, and a label."""

    name: str
    unit: str
    values: Sequence[Any]
    label: str = ""

    @property
    def head(self) -> str:
        """Name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


def matching(
    names: Iterable[str], numbers: Mapping[str, float], also: Collection[str] = ()
) -> dict[str, float]:
    """Return the numbers of some names; a name also stands for all numbers below it.

    Args:
        names: Dotted names of numbers, vectors or tables.
        numbers: By dotted name.
        also: Names of numbers that are taken as well.
    """
    wanted = {*names, *also}
    heads = tuple(f"{name}." for name in names)
    return {k: v for k, v in numbers.items() if k in wanted or k.startswith(heads)}


def column_names(rows: Iterable[Mapping[str, float]]) -> tuple[str, ...]:
    """Return the names of all rows, in the order in which they appear first."""
    return tuple(dict.fromkeys(name for row in rows for name in row))


def write_csv(columns: Sequence[Column], file: Path) -> None:
    """Write one row per point; cells without a number are empty."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(column.head for column in columns)
        for row in zip(*(column.values for column in columns), strict=True):
            writer.writerow(map(_cell, row))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return str(value)


def write_parquet(columns: Sequence[Column], file: Path) -> bool:
    """Write the same table as Parquet, and return whether pyarrow is there to do so."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return False
    arrays = {column.head: pyarrow.array(list(column.values)) for column in columns}
    pyarrow.parquet.write_table(pyarrow.table(arrays), file)
    return True


def write_netcdf(columns: Sequence[Column], file: Path) -> bool:
    """Write the same table as netCDF, and return whether xarray is there to do so."""
    try:
        import xarray
    except ImportError:
        return False
    variables = {
        column.name.replace("/", "_"): (
            "point",
            np.array(column.values),
            {k: v for k, v in (("units", column.unit), ("long_name", column.label)) if v},
        )
        for column in columns
    }
    xarray.Dataset(variables).to_netcdf(file)
    return True
