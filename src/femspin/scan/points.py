"""The points of a scan: coordinates, and the case of every point."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import PydanticCustomError

from ..case.load import case_from_table, dump_case
from ..case.messages import dotted, shown
from ..case.quantity import parse_quantity
from ..case.scan import MOST_DIGITS, Angle, Range, Scan, number_and_unit, path_parts
from ..case.schema import Case
from ..case.values import INSULATORS
from ..errors import CaseError, closest
from ..materials.parameters import UsedValue, complete_case, region_parameters

__all__ = ["Axis", "Coordinate", "ScanPoints", "replaced", "resolved_path", "scan_points"]

Coordinate = float | str

# Tables whose keys are names: a path through an unknown name is a slip, not a new entry.
_NAMED = {("regions",): "region", ("materials",): "material",
          ("drive", "electrodes"): "electrode"}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """One axis of a scan.

    Args:
        name: Dotted path as it stands in the case, or ``angle``.
        parts: The path, with positions in lists as numbers.
        values: What is written into the case, or angles in degrees.
        coordinates: The same as numbers in `unit` where possible, else as text.
        unit: Unit of the coordinates, or an empty text.
        rotation: The rotation, for ``angle``.
        log: Whether the values are spaced logarithmically.
    """

    name: str
    parts: tuple[str, ...]
    values: tuple[Any, ...]
    coordinates: tuple[Coordinate, ...]
    unit: str = ""
    rotation: Angle | None = None
    log: bool = False

    @property
    def numeric(self) -> bool:
        """Whether the coordinates are numbers."""
        return all(isinstance(x, float) for x in self.coordinates)

    @property
    def setting(self) -> str:
        """Name of the axis in messages."""
        return dotted(("scan", "axes", self.name))


class ScanPoints(Sequence[tuple[dict[str, Coordinate], Case]]):
    """Coordinates by axis name and the case of every point; cases are made when asked for.

    The order is that of the case: the last axis of a grid varies fastest.

    Args:
        case: A case with [scan].

    Raises:
        CaseError: If an axis leads nowhere.
    """

    def __init__(self, case: Case) -> None:
        if case.scan is None:
            raise CaseError("scan", "the case has no [scan]")
        self.scan: Scan = case.scan
        self.base = dump_case(case)
        for key in ("scan", "expected"):
            self.base.pop(key, None)
        if "magnetization" not in case.model_fields_set:  # a default stays one at every point
            self.base.pop("magnetization", None)
        self.axes = tuple(_axis(n, entry, self.base) for n, entry in case.scan.axes.items())

    def __len__(self) -> int:
        return self.scan.points

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.coordinates(index % len(self)), self.case(index % len(self))

    def positions(self, index: int) -> tuple[int, ...]:
        """Return the position on every axis."""
        if self.scan.mode == "zip":
            return (index,) * len(self.axes)
        sizes = tuple(len(axis.values) for axis in self.axes)
        return tuple(int(k) for k in np.unravel_index(index, sizes))

    def coordinates(self, index: int) -> dict[str, Coordinate]:
        """Return the coordinates of a point by axis name."""
        positions = self.positions(index)
        return {a.name: a.coordinates[k] for a, k in zip(self.axes, positions, strict=True)}

    def case(self, index: int) -> Case:
        """Return the validated case of a point.

        Raises:
            CaseError: Naming the axis and the value that the case does not take.
        """
        table, rotated = self.base, None
        for axis, k in zip(self.axes, self.positions(index), strict=True):
            if axis.rotation is not None:
                rotated = (axis.rotation, axis.values[k])
            else:
                table = _replaced(table, axis.parts, axis.values[k])
        try:
            case = case_from_table(table)
            if rotated is not None:  # last, so that it turns the field of this point
                case = case_from_table(_turned(table, case, *rotated))
        except CaseError as error:
            raise self.blamed(index, error) from None
        return case

    def completed(self, index: int) -> tuple[Case, tuple[UsedValue, ...]]:
        """Return the case of a point with its material values filled in, and these.

        Raises:
            CaseError: If it lacks parameters or they contradict each other.
        """
        case = self.case(index)
        try:
            case, used = complete_case(case)
            for name, region in case.regions.items():
                if region.kind not in INSULATORS:
                    region_parameters(name, region)
        except CaseError as error:
            raise self.blamed(index, error) from None
        return case, used

    def blamed(self, index: int, error: CaseError) -> CaseError:
        """Return an error of a point's case as one that names the axis and its value."""
        chosen = [
            (axis, shown(axis.coordinates[k] if axis.rotation else axis.values[k]))
            for axis, k in zip(self.axes, self.positions(index), strict=True)
        ]
        guilty = [(a, v) for a, v in chosen if _same_place(dotted(a.parts), error.path)]
        if not guilty and len(chosen) > 1:
            values = ", ".join(f"{axis.name} = {value}" for axis, value in chosen)
            return CaseError("scan.axes", f"at {values}: {error.path}: {error.problem}")
        axis, value = (guilty or chosen)[0]
        return CaseError(axis.setting, f"at the value {value}: {error.path}: {error.problem}")


def scan_points(case: Case) -> ScanPoints:
    """Return the points of a case with [scan], all of them validated.

    Raises:
        CaseError: Naming the axis and the value that is not allowed.
    """
    points = ScanPoints(case)
    for index in range(len(points)):
        points.completed(index)
    return points


def resolved_path(name: str, base: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parts of a dotted path with names of layers replaced by their positions.

    Args:
        name: Dotted path as in ``[scan.axes]``.
        base: Tables of the case, as `dump_case` returns them.

    Raises:
        CaseError: If it leads through a name that the case lacks; names the closest one.
    """
    return _resolved(name, base)


def replaced(base: Any, parts: Sequence[str], value: Any) -> Any:
    """Return nested tables with the value at a path replaced; what does not change is shared."""
    return _replaced(base, parts, value)


def _same_place(axis: str, path: str) -> bool:
    a, b = f"{axis}.", f"{path}."
    return a.startswith(b) or b.startswith(a)


def _axis(name: str, entry: list[Any] | Range | Angle, base: Mapping[str, Any]) -> Axis:
    if isinstance(entry, Angle):
        angles = tuple(entry.degrees)
        turns_m = entry.of == "magnetization"
        turned = ("magnetization", "direction") if turns_m else ("drive", "magnetic_field")
        return Axis(name, turned, angles, angles, "deg", entry)
    values = tuple(entry.values if isinstance(entry, Range) else entry)
    coordinates, unit = _coordinates(values)
    parts = _resolved(name, base)
    log = isinstance(entry, Range) and entry.spacing == "log"
    return Axis(name, parts, values, coordinates, unit, log=log)


def _coordinates(values: Sequence[Any]) -> tuple[tuple[Coordinate, ...], str]:
    """Return the values as numbers in the unit of the first one, or as text."""
    found = [number_and_unit(value) for value in values]
    first = found[0]
    numbers: list[float] = []
    for value, pair in zip(values, found, strict=True):
        if first is None or pair is None or bool(pair[1]) != bool(first[1]):
            break
        try:
            number = pair[0]
            if pair[1] != first[1]:
                number = float(f"{parse_quantity(value, first[1], '1 nm'):.{MOST_DIGITS}g}")
            numbers.append(number)
        except PydanticCustomError:
            break
    if first is not None and len(numbers) == len(values):
        return tuple(numbers), first[1]
    texts = (v if isinstance(v, str) else json.dumps(v, default=str) for v in values)
    return tuple(texts), ""


def _resolved(name: str, base: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the path of an axis with names of layers replaced by their positions."""
    parts: list[str] = []
    node: Any = base
    for part in path_parts(name):
        found: Any = None
        if isinstance(node, Mapping):
            what = _NAMED.get(tuple(parts))
            if what is not None and part not in node:
                raise _no_such(name, what, part, node)
            found = node.get(part, {})
        elif isinstance(node, list):
            part = _position(name, part, node)
            found = node[int(part)]
        elif node is not None:
            raise CaseError(dotted(("scan", "axes", name)), f"{dotted(parts)} is no table")
        parts.append(part)
        node = found
    return tuple(parts)


def _position(name: str, part: str, entries: list[Any]) -> str:
    """Return the position in a list that a number, or the region of a layer, stands for."""
    regions = [e.get("region", "") if isinstance(e, Mapping) else "" for e in entries]
    if part.isascii() and part.isdecimal() and int(part[:9]) < len(entries):
        return str(int(part))
    if part in regions and regions.count(part) == 1:
        return str(regions.index(part))
    allowed = f"0 to {len(entries) - 1}" + "".join(f" or {r!r}" for r in regions if r)
    raise CaseError(dotted(("scan", "axes", name)), f"{part!r} is no entry of the list; {allowed}")


def _no_such(name: str, what: str, part: str, known: Mapping[str, Any]) -> CaseError:
    hint = closest(part, known)
    listed = ", ".join(known) or "none"
    return CaseError(
        dotted(("scan", "axes", name)), f"no {what} {part!r}{hint}; the case has {listed}"
    )


def _replaced(node: Any, parts: Sequence[str], value: Any) -> Any:
    """Return nested tables with one value replaced; what does not change is shared."""
    if not parts:
        return value
    first, rest = parts[0], parts[1:]
    if isinstance(node, list):
        k = int(first)
        return [*node[:k], _replaced(node[k], rest, value), *node[k + 1 :]]
    return {**node, first: _replaced(node.get(first, {}), rest, value)}


def _turned(table: Any, case: Case, rotation: Angle, angle: float) -> Any:
    """Return the tables of a point with magnetization or field along the angle."""
    direction = [0.0, 0.0, 0.0]
    first, second = ("xyz".index(letter) for letter in rotation.plane)
    direction[first], direction[second] = _cosine(angle), _cosine(angle - 90)
    if rotation.of != "field":
        table = _replaced(table, ("magnetization", "direction"), direction)
    if rotation.of != "magnetization":
        size = math.hypot(*(case.drive.magnetic_field or [0.0]))
        if size == 0:
            raise CaseError("drive.magnetic_field", "a rotation of the field needs a field")
        field = [f"{size * x!r} T" for x in direction]
        table = _replaced(table, ("drive", "magnetic_field"), field)
    return table


def _cosine(angle: float) -> float:
    """Return the cosine of an angle in degrees, exact at multiples of 90 degrees."""
    quarters, rest = divmod(angle, 90.0)
    if rest == 0:
        return (1.0, 0.0, -1.0, 0.0)[int(quarters % 4)]
    return math.cos(math.radians(angle))
