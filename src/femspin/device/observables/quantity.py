"""Numbers that know what they are: unit, label and scale, from where they are made to every table.

A result is a nested table of plain values.  Those that are quantities carry a `Measure`; they
are floats and arrays as any others, and arithmetic gives plain ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...dual import Dual
from ...units import AnyArray

__all__ = [
    "ByName",
    "Listed",
    "Measure",
    "Number",
    "Quantity",
    "Unlisted",
    "Vector",
    "changes_of",
    "flat_numbers",
    "measured",
    "numbers_and_units",
    "numbers_of",
    "quantities",
    "units_of",
]

AXES = "xyz"
_NO_NUMBERS = ("inputs", "versions", "conventions", "estimates", "warnings", "units")


@dataclass(frozen=True)
class Measure:
    """What a number is, given where it is defined.

    Args:
        unit: Like "m/s"; empty for a bare number.
        label: What it is called in pictures, without its place: "spin current J".  A component is
            appended to it, or takes the place of a pair of braces.
        where: The word between label and place: "at".
        scale: Numbers of one scale are compared with the largest among them; a pair of braces
            stands for the place.  Empty: a vector with its largest component, a number with
            nothing but itself.
        listed: Whether a scan shows it unless told otherwise.
        goal: Whether adaptive refinement looks at its error.
    """

    unit: str = ""
    label: str = ""
    where: str = "of"
    scale: str = ""
    listed: bool = False
    goal: bool = False

    def __call__(self, value: Any) -> Any:
        """Return a value that knows it is this; None and text stay as they are."""
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, Dual):
            return Changing(value, self)
        if isinstance(value, np.ndarray | complex):
            found = np.array(value).view(Vector)
            found.measure = self
            return found
        return Number(value, self)


_PLAIN = Measure()


class Number(float):
    """A float that knows what it is.

    Args:
        value: In SI.
        measure: What it is, or its unit alone.
        label: What it is called, beside a unit.
    """

    measure: Measure

    def __new__(cls, value: Any, measure: Measure | str, label: str = "") -> Number:
        """Return the number."""
        number = super().__new__(cls, value)
        number.measure = Measure(measure, label) if isinstance(measure, str) else measure
        return number

    def __getnewargs__(self) -> tuple[float, Measure]:  # type: ignore[override]
        """Return what a copy is made from."""
        return float(self), self.measure

    @property
    def unit(self) -> str:
        """The unit alone."""
        return self.measure.unit


class Vector(np.ndarray[Any, np.dtype[Any]]):
    """An array that knows what it is."""

    measure: Measure = _PLAIN

    def __array_finalize__(self, obj: Any) -> None:
        """Take over what a copy or a part of an array is."""
        self.measure = getattr(obj, "measure", _PLAIN)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what a pickled array is made from."""
        return _vector, (np.asarray(self), self.measure)

    def __deepcopy__(self, memo: Any) -> Vector:
        """Return a copy that knows what it is."""
        return self.copy()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        """Return a plain array: what follows from a quantity is another one."""
        plain = [np.asarray(x) if isinstance(x, Vector) else x for x in inputs]
        if out is not None:
            options["out"] = tuple(np.asarray(x) if isinstance(x, Vector) else x for x in out)
        return getattr(ufunc, method)(*plain, **options)


class Changing(Dual):
    """A dual number or array that knows what it is."""

    def __init__(self, dual: Dual, measure: Measure) -> None:
        super().__init__(dual.value, dual.change)
        self.measure = measure


def _vector(values: AnyArray, measure: Measure) -> Any:
    return measure(values)


class ByName(dict[str, Any]):
    """A table whose keys are names of regions, interfaces, electrodes or metals."""


class Listed(dict[str, Any]):
    """A table all of whose numbers a scan shows unless told otherwise."""


class Unlisted(dict[str, Any]):
    """A table whose numbers a scan leaves out unless told otherwise."""


@dataclass(frozen=True)
class Quantity:
    """One number of a result.

    Args:
        path: Dotted name, such as ``interfaces.Pt|F.spin_current.y``.
        value: In SI; NaN where the number does not exist.
        unit: Like "A/m^2", or empty.
        error: Estimated error by mesh and elements, None where there is none.
        scale: Magnitude that errors are compared with: the largest of the numbers of its kind, or
            of the components of its vector; NaN where none is finite.
        label: For pictures: "spin current J_y at Pt|F".
        group: What the numbers of its kind have in common; empty if there are no others.
        listed: Whether a scan shows it unless told otherwise.
        goal: Whether adaptive refinement looks at its error.
    """

    path: str
    value: float
    unit: str = ""
    error: float | None = None
    scale: float = math.nan
    label: str = ""
    group: str = ""
    listed: bool = False
    goal: bool = False

    @property
    def title(self) -> str:
        """Label and unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


def measured(table: Mapping[str, Any], measures: Mapping[str, Measure | str]) -> dict[str, Any]:
    """Return a table whose entries named in `measures` know what they are; others stay."""
    found = dict(table)
    for key in measures.keys() & table.keys():
        measure = measures[key]
        found[key] = (Measure(measure) if isinstance(measure, str) else measure)(table[key])
    return found


class _Leaf(NamedTuple):
    """One number in a table: keys to it, names among them, axis, value (None for no number), change."""

    path: str
    names: tuple[str, ...]
    axis: str
    value: float | None
    measure: Measure
    listed: bool
    change: AnyArray | None = None


def _leaves(table: Mapping[str, Any]) -> list[_Leaf]:
    """Return the numbers in a table."""
    found: list[_Leaf] = []
    _gather(found, table, "", (), None)
    return found


def _gather(found: list[_Leaf], entry: Any, path: str, names: tuple[str, ...], listed: bool | None) -> None:
    """Append the numbers in an entry; `listed` says so of all of them, None leaves it to each."""
    if isinstance(entry, Mapping):
        if isinstance(entry, Listed | Unlisted):
            listed = isinstance(entry, Listed)
        named = isinstance(entry, ByName)
        for key, value in entry.items():
            below = (*names, str(key)) if named else names
            _gather(found, value, f"{path}.{key}" if path else str(key), below, listed)
        return
    measure: Measure = getattr(entry, "measure", _PLAIN)
    shown = measure.listed if listed is None else listed
    if isinstance(entry, Dual):
        if entry.shape in ((), (3,)):
            for axis, one in zip(AXES, entry, strict=True) if entry.ndim else (("", entry),):
                name = f"{path}.{axis}" if axis else path
                found.append(_Leaf(name, names, axis, float(one.value), measure, shown, one.change))
    elif isinstance(entry, np.ndarray):
        if entry.shape == (3,):
            for axis, value in zip(AXES, entry.tolist(), strict=True):
                found.append(_Leaf(f"{path}.{axis}", names, axis, float(value), measure, shown))
    elif entry is None:
        found.append(_Leaf(path, names, "", None, measure, shown))
    elif isinstance(entry, int | float | np.floating) and not isinstance(entry, bool):
        found.append(_Leaf(path, names, "", float(entry), measure, shown))


def numbers_of(table: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a result table by dotted name; what is None becomes NaN."""
    found = {k: v for k, v in table.items() if k not in _NO_NUMBERS}
    return {x.path: math.nan if x.value is None else x.value for x in _leaves(found)}


def numbers_and_units(table: Mapping[str, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return what `numbers_of` does, and the unit of each number in the same order."""
    leaves = _leaves({k: v for k, v in table.items() if k not in _NO_NUMBERS})
    numbers = {x.path: math.nan if x.value is None else x.value for x in leaves}
    return numbers, tuple(x.measure.unit for x in leaves)


def flat_numbers(table: Mapping[str, Any]) -> dict[str, float]:
    """Return the single numbers of a nested table by dotted name; what is None is left out."""
    return {x.path: x.value for x in _leaves(table) if x.value is not None}


def changes_of(table: Mapping[str, Any]) -> dict[str, AnyArray]:
    """Return the changes (P,) of the dual numbers of a table by dotted name."""
    return {x.path: x.change for x in _leaves(table) if x.change is not None}


def units_of(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the units of all numbers of a nested table that have one, by dotted name."""
    return {x.path: x.measure.unit for x in _leaves(table) if x.measure.unit}


def quantities(table: Mapping[str, Any], errors: Mapping[str, Any] | None = None) -> dict[str, Quantity]:
    """Return the numbers of a result table with all that is known of them, by dotted name.

    Args:
        table: Nested; its inputs and facts are passed over.
        errors: Of some of its numbers, in the same nested form.
    """
    leaves = _leaves({k: v for k, v in table.items() if k not in _NO_NUMBERS})
    bars = {} if errors is None else flat_numbers(errors)
    largest: dict[str, float] = {}
    for x in leaves:
        if x.value is not None and math.isfinite(x.value):
            largest[_group(x)] = max(largest.get(_group(x), 0.0), abs(x.value))
    return {
        x.path: Quantity(
            x.path,
            math.nan if x.value is None else x.value,
            x.measure.unit,
            bars.get(x.path),
            largest.get(_group(x), math.nan),
            _label(x),
            _group(x) if x.measure.scale else "",
            x.listed,
            x.measure.goal,
        )
        for x in leaves
    }


def _group(leaf: _Leaf) -> str:
    scale = leaf.measure.scale
    if scale:
        return scale.replace("{}", " by ".join(leaf.names))
    return leaf.path[:-2] if leaf.axis else leaf.path


def _label(leaf: _Leaf) -> str:
    """Return the label with component and place; of a number that has none, its name as words."""
    m = leaf.measure
    if not m.label:
        return leaf.path.replace("_", " ").replace(".", " ")
    component = f"_{leaf.axis}" if leaf.axis else ""
    what = m.label.replace("{}", component) if "{}" in m.label else m.label + component
    return f"{what} {m.where} {' by '.join(leaf.names)}" if leaf.names else what
