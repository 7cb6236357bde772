"""Rows of numbers under named columns, along time or another scale."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ..units import Array

__all__ = ["Series"]


@dataclass(frozen=True)
class Series:
    """A table of numbers that becomes one CSV file and one picture.

    Args:
        name: Of the files.
        columns: Heads with units.
        rows: Shape (k, columns).
    """

    name: str
    columns: tuple[str, ...]
    rows: Array

    def column(self, name: str) -> Array:
        """Return one column by its head without unit, shape (k,)."""
        return self.rows[:, [c.split(" [")[0] for c in self.columns].index(name)]

    def write(self, file: Path) -> None:
        """Write the CSV file."""
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(self.columns)
            writer.writerows([repr(float(x)) for x in row] for row in self.rows)
