"""The [scan] table: which values of the case are varied, and what is tabled and plotted."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Discriminator, Field, Tag, create_model, model_validator
from pydantic_core import PydanticCustomError

from ..errors import closest
from .names import path_parts
from .quantity import parse_quantity
from .values import Table, own_defaults, refuse

__all__ = ["MOST_DIGITS", "Angle", "Plot", "Range", "Scan", "axis_length", "number_and_unit"]

_MOST_POINTS = 100_000
MOST_DIGITS = 15  # a rounded step reads as 0.15, not as 0.15000000000000002
_NOT_SCANNED = ("scan", "expected", "output", "title")
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(.*?)\s*", re.I | re.A)


def number_and_unit(value: Any) -> tuple[float, str] | None:
    """Return number and unit text of a number or a quantity, or None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value), ""
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return (float(match[1]), match[2]) if match and match[2] else None


def _end(value: Any) -> Any:
    _read(value)
    return value


def _read(value: Any) -> tuple[float, str]:
    """Return number and unit of an end of a range."""
    found = number_and_unit(value)
    if found is None or not math.isfinite(found[0]):
        raise PydanticCustomError("range_end", 'must be a finite number, or text with a unit, like "1 nm"')
    return found


def _angle(value: Any) -> Any:
    degrees(value)
    return value


def degrees(value: Any) -> float:
    """Return an angle in degrees; PydanticCustomError if the text is none."""
    return parse_quantity(value, "deg", "45 deg")


def _spaced(low: float, high: float, points: int, log: bool = False) -> list[float]:
    """Return numbers from one end to the other; both ends are exact, the others rounded."""
    inner = (np.geomspace if log else np.linspace)(low, high, points)[1:-1]
    return [low, *(float(f"{x:.{MOST_DIGITS}g}") for x in inner), high]


_Points = Annotated[int, Field(ge=2, le=_MOST_POINTS)]
_AngleText = Annotated[Any, AfterValidator(_angle)]

# "from" cannot be written as the name of an attribute, so these fields are made by a call.
_End = Annotated[Any, AfterValidator(_end)]
_RANGE: dict[str, Any] = {"from": (_End, ...), "to": (_End, ...), "points": (_Points, ...)}
_ANGLES: dict[str, Any] = {
    "from": (_AngleText | None, None),
    "to": (_AngleText | None, None),
    "points": (_Points | None, None),
}
_RangeEnds: Any = create_model("_RangeEnds", __base__=Table, **_RANGE)
_AngleEnds: Any = create_model("_AngleEnds", __base__=Table, **_ANGLES)


class Range(_RangeEnds):
    """Values from one end to the other, both included."""

    if TYPE_CHECKING:
        to: Any
        points: int
    spacing: Literal["linear", "log"] = "linear"

    @model_validator(mode="before")
    @classmethod
    def _paths_are_quoted(cls, data: Any) -> Any:
        if isinstance(data, dict) and data and not set(data) & set(cls.model_fields):
            inner = next(iter(data))
            if isinstance(data[inner], dict | list):
                raise PydanticCustomError(
                    "unquoted",
                    'the dotted path of an axis stands in quotes, like "drive.temperature" = ["2 K", "5 K"]',
                )
        return data

    @model_validator(mode="after")
    def _ends_agree(self) -> Range:
        try:
            low, high, unit = self._numbers()
        except PydanticCustomError as error:
            raise refuse("to", error.message()) from None
        if self.spacing == "log" and not low * high > 0:
            raise refuse("from", "a logarithmic range needs two ends of one sign, not zero")
        if low == high:
            raise refuse("to", "must differ from the other end, {n} {u}", n=f"{low:g}", u=unit)
        return self

    def _numbers(self) -> tuple[float, float, str]:
        """Return both ends in the unit of the first, and this unit."""
        low, unit = _read(getattr(self, "from"))
        high, other = _read(self.to)
        if bool(unit) != bool(other):
            raise PydanticCustomError("ends", "both ends of a range have a unit, or none")
        if other != unit:
            high = parse_quantity(self.to, unit, f"{low:g} {unit}")
        return low, high, unit

    @property
    def values(self) -> list[Any]:
        """The values as they would stand in the case, in the unit of the first end."""
        low, high, unit = self._numbers()
        numbers = _spaced(low, high, self.points, self.spacing == "log")
        if unit:
            return [f"{x!r} {unit}" for x in numbers]
        whole = all(isinstance(x, int) for x in (getattr(self, "from"), self.to))
        whole = whole and all(x.is_integer() for x in numbers)
        return [int(x) for x in numbers] if whole else numbers


class Angle(_AngleEnds):
    """A rotation of the magnetization, of the magnetic field (keeping |B|), or of both."""

    if TYPE_CHECKING:
        to: Any
        points: int
    plane: Literal["xy", "yx", "xz", "zx", "yz", "zy"] = Field(
        description="the direction is the first axis at 0 deg and the second at 90 deg"
    )
    of: Literal["magnetization", "field", "both"] = "magnetization"
    values: Annotated[list[_AngleText], Field(min_length=1)] | None = Field(
        default=None, description="angles, instead of from, to and points"
    )

    @model_validator(mode="after")
    def _given_once(self) -> Angle:
        ends = [k for k in ("from", "to", "points") if getattr(self, k) is not None]
        if self.values is not None and ends:
            raise refuse(ends[0], "give either values or from, to and points")
        if self.values is None:
            for key in ("from", "to", "points"):
                if key not in ends:
                    raise refuse(key, "give from, to and points, or values")
        return self

    @property
    def degrees(self) -> list[float]:
        """The angles [deg]."""
        if self.values is not None:
            return [degrees(x) for x in self.values]
        return _spaced(degrees(getattr(self, "from")), degrees(self.to), self.points)


def _form(entry: Any) -> str:
    if isinstance(entry, Angle | Range):
        return "angle" if isinstance(entry, Angle) else "range"
    if isinstance(entry, dict):
        return "angle" if {"plane", "of", "values"} & set(entry) else "range"
    return "values"


_Values = Annotated[list[Any], Field(min_length=1)]
_Axis = Annotated[
    Annotated[_Values, Tag("values")] | Annotated[Range, Tag("range")] | Annotated[Angle, Tag("angle")],
    Discriminator(_form),
]


def axis_length(axis: list[Any] | Range | Angle) -> int:
    """Return how many values an axis has."""
    if isinstance(axis, Angle):
        return len(axis.values) if axis.values is not None else axis.points
    return axis.points if isinstance(axis, Range) else len(axis)


class Plot(Table):
    """The picture of a scan."""

    x: str | None = Field(default=None, description="an axis; default: the last one")
    y: Annotated[list[str], Field(min_length=1, max_length=6)] | None = Field(
        default=None, description="names of numbers or vectors, one panel each; default: spin current"
    )


class Scan(Table):
    """The case is solved for all combinations (grid) or tuples (zip) of values."""

    mode: Literal["grid", "zip"] = "grid"
    processes: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, description="default: one per processor"
    )
    axes: Annotated[dict[str, _Axis], Field(min_length=1)] = Field(
        description="dotted path of the case, or angle; the last one varies fastest"
    )
    columns: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="names of numbers, vectors or tables; default: currents and torques"
    )
    plot: Plot = own_defaults(Plot)

    @model_validator(mode="after")
    def _axes_agree(self) -> Scan:
        self._angle_is_an_angle()
        paths = {name: path_parts(name) for name in self.axes}
        for name, parts in paths.items():
            if not parts or parts[0] in _NOT_SCANNED:
                raise refuse("axes", "{n} cannot be scanned", n=repr(name))
            for other, longer in paths.items():
                if name != other and longer[: len(parts)] == parts:
                    raise refuse("axes", "{a} and {b} set the same key", a=name, b=other)
        x = self.plot.x
        if x is not None and x not in self.axes:
            raise refuse(
                "plot.x", "no such axis{hint}", hint=closest(x, self.axes, f"axes: {', '.join(self.axes)}")
            )
        return self

    def _angle_is_an_angle(self) -> None:
        for name, axis in self.axes.items():
            if isinstance(axis, Angle) and name != "angle":
                raise refuse(
                    "axes",
                    "{n} is not an angle; a rotation is the axis angle = {f}",
                    n=name,
                    f='{ plane = "xy", ... }',
                )
            if name == "angle" and not isinstance(axis, Angle):
                raise refuse(
                    "axes.angle",
                    "is a table with plane, from, to and points, like {f}",
                    f='{ plane = "xy", from = "0 deg", to = "360 deg", points = 37 }',
                )
        angle = self.axes.get("angle")
        if isinstance(angle, Angle) and angle.of != "field":
            for name in self.axes:
                if path_parts(name)[:1] == ("magnetization",):
                    raise refuse("axes", "angle and {n} both set the magnetization", n=name)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Scan:
        sizes = {name: axis_length(axis) for name, axis in self.axes.items()}
        if self.mode == "zip" and len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise refuse("axes", "a zip scan needs axes of one length; {all}", all=listed)
        if self.points > _MOST_POINTS:
            raise refuse("axes", "{n} points; at most {most}", n=self.points, most=_MOST_POINTS)
        return self

    @property
    def points(self) -> int:
        """How many points the scan has."""
        sizes = [axis_length(axis) for axis in self.axes.values()]
        return math.prod(sizes) if self.mode == "grid" else sizes[0]

    @property
    def summary(self) -> str:
        """Number of points and the axes, in one line."""
        axes = [f"{name} ({axis_length(axis)})" for name, axis in self.axes.items()]
        joined = (" x " if self.mode == "grid" else " with ").join(axes)
        return f"{self.points} point{'s' if self.points > 1 else ''}: {joined}"
