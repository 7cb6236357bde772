"""Marks of parameters shared by the tests."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*values: Any, id: str | None = None) -> Any:
    """Return the values of one parametrisation that only `python -m pytest -m slow` runs."""
    return pytest.param(*values, marks=pytest.mark.slow, id=id)


def slow_unless(fast: Any, values: Any) -> list[Any]:
    """Return values of a parameter of which all but those in `fast` are slow."""
    return [v if v in fast else slow(v) for v in values]
