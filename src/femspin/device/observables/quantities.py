"""Numbers by dotted names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["flat_numbers", "numbers_of"]


def numbers_of(table: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a result table by dotted name; what is None becomes NaN."""
    skipped = ("inputs", "versions", "conventions", "estimates", "warnings", "units")
    return {
        name: value
        for key, entry in table.items()
        if key not in skipped
        for name, value in _numbers(entry, str(key))
    }


def _numbers(entry: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(entry, Mapping):
        for key, value in entry.items():
            yield from _numbers(value, f"{name}.{key}")
    elif isinstance(entry, np.ndarray) and entry.shape == (3,):
        for axis, value in zip("xyz", entry.tolist(), strict=True):
            yield f"{name}.{axis}", float(value)
    elif entry is None:
        yield name, math.nan
    elif isinstance(entry, int | float | np.floating) and not isinstance(entry, bool):
        yield name, float(entry)


def flat_numbers(table: Mapping[str, Any]) -> dict[str, float]:
    """Return the single numbers of a nested table by dotted name."""
    return dict(_flatten(table))


def _flatten(table: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(table, dict):
        for key, value in table.items():
            yield from _flatten(value, f"{path}.{key}" if path else str(key))
    elif isinstance(table, np.ndarray) and table.shape == (3,):
        for axis, value in zip("xyz", table.tolist(), strict=True):
            yield f"{path}.{axis}", float(value)
    elif (isinstance(table, int | float) and not isinstance(table, bool)) or isinstance(table, np.floating):
        yield path, float(table)
