"""The points of a scan: coordinates, and the case of every point."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import PydanticCustomError

from ..case.load import case_from_plain, dump_case, plain_values
from ..case.messages import dotted, shown
from ..case.paths import replaced, resolved_path
from ..case.quantity import parse_quantity
from ..case.scan import MOST_DIGITS, Angle, Range, Scan, number_and_unit
from ..case.schema import Case
from ..errors import CaseError
from ..materials.parameters import UsedValue, complete_case, conductor_parameters
from ..results.style import readable

__all__ = ["Axis", "Coordinate", "ScanPoints", "scan_points"]

Coordinate = float | str


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
        label: What tables and pictures call it, in words.
    """

    name: str
    parts: tuple[str, ...]
    values: tuple[Any, ...]
    coordinates: tuple[Coordinate, ...]
    unit: str = ""
    rotation: Angle | None = None
    log: bool = False
    label: str = ""

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
        _set_different_keys(self.axes)

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
                table = replaced(table, axis.parts, plain_values(axis.values[k], axis.parts, None), Case)
        try:
            case = case_from_plain(table)
            if rotated is not None:  # last, so that it turns the field of this point
                case = case_from_plain(_turned(table, case, *rotated))
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
            conductor_parameters(case)
        except CaseError as error:
            raise self.blamed(index, error) from None
        return case, used

    @property
    def corners(self) -> tuple[int, ...]:
        """The first point, and those in which one axis is at its last value instead."""
        if self.scan.mode == "zip":
            return tuple(dict.fromkeys((0, len(self) - 1)))
        sizes = [len(axis.values) for axis in self.axes]
        steps = [math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
        ends = ((size - 1) * step for size, step in zip(sizes, steps, strict=True))
        return tuple(dict.fromkeys((0, *ends)))

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


def _same_place(axis: str, path: str) -> bool:
    a, b = f"{axis}.", f"{path}."
    return a.startswith(b) or b.startswith(a)


def _axis(name: str, entry: list[Any] | Range | Angle, base: Mapping[str, Any]) -> Axis:
    if isinstance(entry, Angle):
        angles = tuple(entry.degrees)
        turns_m = entry.of == "magnetization"
        turned = ("magnetization", "direction") if turns_m else ("drive", "magnetic_field")
        return Axis(name, turned, angles, angles, "deg", entry, label=_turning(entry))
    values = tuple(entry.values if isinstance(entry, Range) else entry)
    coordinates, unit = _coordinates(values)
    parts = resolved_path(name, base, dotted(("scan", "axes", name)), Case)
    log = isinstance(entry, Range) and entry.spacing == "log"
    return Axis(name, parts, values, coordinates, unit, log=log, label=_label(parts, base))


def _turning(rotation: Angle) -> str:
    """Return what an axis that rotates something is called."""
    what = {"magnetization": "magnetization", "field": "magnetic field", "both": "magnetization and field"}[
        rotation.of
    ]
    first, second = rotation.plane
    return f"angle of the {what} from {first} to {second}"


def _label(path: Sequence[str], base: Mapping[str, Any]) -> str:
    """Return what an axis of a key is called: layers by their region, components by their letter."""
    parts = list(path)
    if parts[:2] == ["structure", "layers"] and len(parts) > 3:
        parts = [base["structure"]["layers"][int(parts[2])]["region"], *parts[3:]]
    if parts[-1] in ("0", "1", "2") and len(parts) > 1 and parts[-2] not in ("layers", "axes"):
        parts[-1] = "xyz"[int(parts[-1])]
    return readable(".".join(parts))


def _set_different_keys(axes: Sequence[Axis]) -> None:
    """Refuse two axes that name one key in two ways, as a layer by region and by position."""
    for k, axis in enumerate(axes):
        for other in axes[:k]:
            short = min(len(axis.parts), len(other.parts))
            same = axis.parts[:short] == other.parts[:short]
            if same and axis.rotation is None and other.rotation is None:
                raise CaseError(axis.setting, f"{other.name} and {axis.name} set the same key")


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


def _turned(table: Any, case: Case, rotation: Angle, angle: float) -> Any:
    """Return the tables of a point with magnetization or field along the angle."""
    direction = [0.0, 0.0, 0.0]
    first, second = ("xyz".index(letter) for letter in rotation.plane)
    direction[first], direction[second] = _cosine(angle), _cosine(angle - 90)
    if rotation.of != "field":
        table = replaced(table, ("magnetization", "direction"), direction, Case)
    if rotation.of != "magnetization":
        size = math.hypot(*(case.drive.magnetic_field or [0.0]))
        if size == 0:
            raise CaseError("drive.magnetic_field", "a rotation of the field needs a field")
        field = [f"{size * x!r} T" for x in direction]
        table = replaced(table, ("drive", "magnetic_field"), field, Case)
    return table


def _cosine(angle: float) -> float:
    """Return the cosine of an angle in degrees, exact at multiples of 90 degrees."""
    quarters, rest = divmod(angle, 90.0)
    if rest == 0:
        return (1.0, 0.0, -1.0, 0.0)[int(quarters % 4)]
    return math.cos(math.radians(angle))
