"""Published numbers as case files: every case of cases/validation gives what its source says."""

from __future__ import annotations

from pathlib import Path

import pytest

from femspin import load_case, simulate
from femspin.results.expected import compare_expected

FOLDER = Path(__file__).parents[1] / "cases" / "validation"
SLOW = {"annulus", "bernevig_helix", "device", "wire"}
CASES = [
    pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else [])
    for part in ("transport", "devices")
    for p in sorted((FOLDER / part).glob("*.toml"))
]


@pytest.mark.parametrize("path", CASES)
def test_case_gives_the_published_numbers(path):
    solution = simulate(load_case(path), path.parent)
    found = compare_expected(solution.device.case.expected, solution.values)
    assert found
    for number in found:
        assert number.holds, f"{number.name}: published {number.expected}, found {number.found}"
    assert path.read_text().startswith("#")  # names its source
