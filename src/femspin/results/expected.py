"""The numbers a case says it gives, compared with those it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..case.names import number_name
from ..case.values import ExpectedNumber
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
    expected: Mapping[str, float | ExpectedNumber], values: Mapping[str, float]
) -> tuple[Expectation, ...]:
    """Return the comparison of an [expected] table with the numbers of a solution.

    Args:
        expected: Dotted names to a number, or to one with its tolerances; see
            `femspin.case.names.number_name`.
        values: `Solution.values`.

    Raises:
        CaseError: If a name is not a number of the result.
    """
    result = []
    for given, entry in expected.items():
        path, name = f"expected.{given}", number_name(given, values)
        wanted = entry if isinstance(entry, ExpectedNumber) else ExpectedNumber(value=entry)
        if name not in values:
            raise CaseError(path, f"the result has no such number{closest(given, values)}")
        value, found = wanted.value, values[name]
        rtol = _RTOL if wanted.rtol is None else wanted.rtol
        allowed = (wanted.atol or 0.0) + rtol * abs(value)
        result.append(Expectation(name, value, found, abs(found - value) <= allowed))
    return tuple(result)
