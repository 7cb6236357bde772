"""Numbers that carry their unit from where they are made to tables, files and the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Number", "number_units", "with_units"]


class Number(float):
    """A float with a unit; arithmetic gives plain floats.

    Args:
        value: In SI.
        unit: Like "m/s".
    """

    unit: str

    def __new__(cls, value: Any, unit: str) -> Number:
        """Return the number."""
        number = super().__new__(cls, value)
        number.unit = unit
        return number

    def __getnewargs__(self) -> tuple[float, str]:  # type: ignore[override]
        """Return what a copy is made from."""
        return float(self), self.unit


def with_units(table: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, Any]:
    """Return a table whose entries named in `units` carry their unit; others stay."""
    return {k: Number(v, units[k]) if k in units else v for k, v in table.items()}


def number_units(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the units of all numbers of a nested table that have one, by dotted name."""
    return dict(_units(table, ""))


def _units(entry: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(entry, Mapping):
        for key, value in entry.items():
            yield from _units(value, f"{name}.{key}" if name else str(key))
    elif isinstance(entry, Number) and entry.unit:
        yield name, entry.unit
