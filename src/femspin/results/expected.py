"""The numbers a case says it gives, compared with those it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..case.paths import number_name
from ..errors import CaseError, closest

__all__ = ["Expectation", "compare_expected"]

_RTOL = 1e-6


@dataclass(frozen=True)
class Expectation:
    """One expected number: its dotted name, what was expected and found, and whether it holds."""

    name: str
    expected: float
    found: float
    holds: bool


def compare_expected(
    expected: Mapping[str, Any], values: Mapping[str, float]
) -> tuple[Expectation, ...]:
    """Return the comparison of an [expected] table with the numbers of a solution.

    Args:
        expected: Dotted names to a number, or to {value, rtol, atol}; see
            `femspin.case.paths.number_name`.
        values: `Solution.values`.

    Raises:
        CaseError: If a name is not a number of the result.
    """
    result = []
    for given, entry in expected.items():
        path, name = f"expected.{given}", number_name(given, values)
        table = entry if isinstance(entry, Mapping) else {"value": entry}
        unknown = set(table) - {"value", "rtol", "atol"}
        if unknown or "value" not in table:
            raise CaseError(path, "needs a number, or a table with value and rtol or atol")
        if name not in values:
            raise CaseError(path, f"the result has no such number{closest(given, values)}")
        value, found = float(table["value"]), values[name]
        allowed = float(table.get("atol", 0.0)) + float(table.get("rtol", _RTOL)) * abs(value)
        result.append(Expectation(name, value, found, abs(found - value) <= allowed))
    return tuple(result)
