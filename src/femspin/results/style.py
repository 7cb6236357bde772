"""How pictures look: colours, names and units as one reads them."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["COLOURS", "PART_COLOURS", "blank", "readable", "spelled_unit"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of curves; told apart by most eyes."""

PART_COLOURS = {
    "M": "#0072b2",
    "L": "#d55e00",
    "S": "#e69f00",
    "A": "#009e73",
    "E": "#cc79a7",
    "B": "#999999",
}
"""Of the parts of a spin current."""

_SIGNS = (
    (r"\bangstrom\b", "Å"),
    (r"\bhbar\b", "ħ"),
    (r"\bum\b", "µm"),
    (r"\bohm\b", "Ω"),
    (r"\^2", "²"),
    (r"\^3", "³"),
    (r"\*", " "),
    (r" \((ħ/2e)\)", r", \1"),
)


def blank(size: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """Return an empty figure of a size in inches, and its axes as `Figure.subplots` has them.

    It belongs to no window and is forgotten when nobody holds it any more.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def readable(name: str) -> str:
    """Return a dotted name as words."""
    for head in ("texture.", "drive.", "regions.", "interfaces.", "torques.", "observables."):
        name = name.removeprefix(head)
    return name.replace("_", " ").replace(".", " ")


def spelled_unit(unit: str) -> str:
    """Return a unit with its signs."""
    for text, sign in _SIGNS:
        unit = re.sub(text, sign, unit)
    return unit
