"""Running a scan: which points are new, what they give, and the result of all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

from ..case.files import input_digest, resolve_files
from ..case.load import _toml_key, _toml_value, dump_case, to_toml
from ..case.messages import one_per_kind
from ..case.paths import number_name
from ..case.scan import Scan
from ..case.schema import Case
from ..errors import CaseError, closest
from ..results.inputs import case_digest
from ..results.report import CONVENTIONS, versions
from ..results.write import result_folder, to_json
from .points import Axis, Coordinate, ScanPoints
from .store import PointStore, Record, point_key
from .table import (
    LOST,
    WALL,
    Column,
    column_names,
    matching,
    unit_of,
    write_csv,
    write_netcdf,
    write_parquet,
)
from .workers import Solve, solve_here, solve_point, solve_points

__all__ = ["PointResult", "ScanResult", "point_folder", "run_scan"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PointResult:
    """One row of the table.

    Args:
        coordinates: By axis name.
        numbers: By dotted name; empty for a point that failed.
        error: What went wrong, or an empty text.
        warnings: Sentences on where the theory fails at this point.
    """

    coordinates: dict[str, Coordinate]
    numbers: dict[str, float]
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanResult:
    """Everything a scan found.

    Args:
        case: The case, with [scan].
        folder: Where relative mesh paths start.
        axes: The axes.
        points: Results in the order of the case.
        columns: Names of the numbers in the table.
        warnings: Sentences on where the theory fails, with the number of points they are true of.
        estimates: Material values without a source that entered.
        computed: Points solved in this run; the others were there or are repeated.
        processes: Worker processes.
        seconds: Duration of the run [s].
        units: Of numbers that carry their own, by dotted name.
        stale: Points that another state of the code had kept, and which were not used.
    """

    case: Case
    folder: Path | None
    axes: tuple[Axis, ...]
    points: tuple[PointResult, ...]
    columns: tuple[str, ...]
    warnings: dict[str, int]
    estimates: tuple[dict[str, Any], ...]
    computed: int
    processes: int
    seconds: float
    stale: int = 0
    units: dict[str, str] = field(default_factory=dict)

    def unit(self, name: str) -> str:
        """Return the unit of a number, or an empty text where it has none or it is not known."""
        return self.units.get(name) or unit_of(name, self.dimension)

    @property
    def failures(self) -> tuple[tuple[int, PointResult], ...]:
        """Position and result of every point that failed."""
        return tuple((k, p) for k, p in enumerate(self.points) if p.error)

    @property
    def dimension(self) -> int:
        """Dimension of the mesh, on which the unit of a total current depends."""
        return self.case.structure.dimension if self.case.structure is not None else 3

    @property
    def table(self) -> tuple[Column, ...]:
        """Axes, numbers (NaN where there is none) and error."""
        axes = [
            Column(a.name, a.unit, [p.coordinates[a.name] for p in self.points])
            for a in self.axes
        ]  # fmt: skip
        numbers = [
            Column(n, self.unit(n), [p.numbers.get(n, nan) for p in self.points])
            for n in self.columns
        ]
        warned = [Column("warnings", "", ["; ".join(p.warnings) for p in self.points])]
        return (
            *axes, *numbers, *(warned if self.warnings else ()),
            Column("error", "", [p.error for p in self.points]),
        )  # fmt: skip

    @property
    def summary(self) -> dict[str, Any]:
        """What `result.json` holds: every point with its numbers, by name and in SI."""
        return {
            "title": self.case.title,
            "conventions": CONVENTIONS,
            "axes": [{"name": a.name, "unit": a.unit} for a in self.axes],
            "columns": [
                {"name": name, "unit": self.unit(name)} for name in self.columns
            ],
            "points": [
                {"coordinates": p.coordinates, "error": p.error or None,
                 "numbers": {n: p.numbers[n] for n in self.columns if n in p.numbers},
                 **({"warnings": p.warnings} if p.warnings else {})}
                for p in self.points
            ],
            "estimates": self.estimates,
            "warnings": self.warnings,
            "inputs": dump_case(self.case),
            "inputs_digest": case_digest(self.case, self.folder),
            "versions": versions(),
        }  # fmt: skip

    @property
    def facts(self) -> dict[str, Any]:
        """What `scan.json` holds: how the scan was made and what failed."""
        assert self.case.scan is not None
        return {
            "mode": self.case.scan.mode,
            "axes": [
                {"name": a.name, "unit": a.unit, "values": a.coordinates} for a in self.axes
            ],
            "points": len(self.points),
            "failed": len(self.failures),
            "failures": [
                {"row": k, "coordinates": p.coordinates, "error": p.error}
                for k, p in self.failures
            ],
            "computed": self.computed,
            "processes": self.processes,
            "seconds": self.seconds,
            "versions": versions(),
        }  # fmt: skip

    def write(self, folder: Path | str, overwrite: bool = False) -> Path:
        """Write the result folder in one piece and return it.

        Raises:
            CaseError: If the folder exists and is no earlier result, or holds one of other inputs
            and `overwrite` is False.
        """
        target = Path(folder)
        with result_folder(target, overwrite) as part:
            (part / "result.json").write_text(to_json(self.summary), encoding="utf-8")
            (part / "scan.json").write_text(to_json(self.facts), encoding="utf-8")
            (part / "case.toml").write_text(self._resolved(), encoding="utf-8")
            table = self.table
            write_csv(table, part / "table.csv")
            if not write_parquet(table, part / "table.parquet"):
                write_netcdf(table, part / "table.nc")
            if self.case.output.plots and len(self.failures) < len(self.points):
                from .plot import plot_scan

                figure, _ = plot_scan(self)
                figure.savefig(part / "scan.png", dpi=150)
        return target

    def _resolved(self) -> str:
        table = dump_case(self.case)
        resolve_files(table, self.folder)
        # Sub-tables would come after lists; the order of the axes is that of the rows.
        axes = table["scan"].pop("axes")
        lines = ["The scan, with every default filled in.  It reruns as it is."]
        lines += [f"{k} {v}" for k, v in versions().items()]
        text = [to_toml(table, "\n".join(lines)), "[scan.axes]"]
        text += [f"{_toml_key(name)} = {_toml_value(axis)}" for name, axis in axes.items()]
        return "\n".join(text) + "\n"


def point_folder(output: Path | str) -> Path:
    """Return where the finished points of a result folder are kept."""
    output = Path(output)
    return output.with_name(f"{output.name}.scan") / "points"


def run_scan(
    case: Case,
    folder: Path | None = None,
    output: Path | str = "scan.out",
    progress: Progress | None = None,
    fresh: bool = False,
    solve: Solve = solve_point,
    here: bool = False,
) -> ScanResult:
    """Return the results of all points of a case with [scan].

    All points are validated first.  Points run in parallel processes; each one is kept under
    ``<output>.scan/points`` as soon as it is finished, and a later run takes from there what has
    the same case and version.  A point that fails does not stop the others.

    Args:
        case: A case with [scan].
        folder: Where relative mesh paths start; default the folder of the case file.
        output: The result folder; `ScanResult.write` writes it.
        progress: Called with the number of finished points and of all points.
        fresh: Solve all points anew.
        solve: What returns the result table of a case; a function of a module.  Points kept by
            one such function are not told from those of another.
        here: Solve one point after the other in this process, without workers.

    Raises:
        CaseError: If an axis or value is not allowed, or a name is not a number of the result.
    """
    began = time.perf_counter()
    folder = case.folder if folder is None else folder
    points = ScanPoints(case)
    store = PointStore(point_folder(output))
    keys, estimates = _keys(points, folder)
    collect = _Collector(points.scan, store)
    todo: dict[str, int] = {}
    for index, key in enumerate(keys):
        todo.setdefault(key, index)  # a point that stands there twice is solved once
    new = collect.missing(todo, fresh)
    stale = store.stale(todo) if new else 0
    processes = min(points.scan.processes or _processors(), len(new))
    tell = progress or (lambda done, total: None)
    tell(len(collect.found), len(todo))
    errors: dict[str, str] = {}
    case_of = _case_of(points, todo)
    outcomes: Generator[tuple[str, str | None], None, None]
    if here:
        processes, outcomes = 1, solve_here(new, case_of, store, folder, solve)
    else:
        outcomes = solve_points(new, case_of, store, folder, processes, solve)
    with closing(outcomes):
        for key, error in outcomes:
            if error is None and not collect(key):
                error = f"its result cannot be read back from {store.folder}"
            if error is not None:
                errors[key] = error
            tell(len(collect.found) + len(errors), len(todo))
    rows = tuple(
        PointResult(points.coordinates(k), collect.numbers(key), errors.get(key, ""),
                    collect.sentences(key))
        for k, key in enumerate(keys)
    )  # fmt: skip
    names = column_names(row.numbers for row in rows)
    columns = tuple(n for n in names if n not in points.scan.axes)
    return ScanResult(
        case, folder, points.axes, rows, columns,
        collect.warnings(keys), estimates, len(new), processes, time.perf_counter() - began,
        stale, collect.units,
    )  # fmt: skip


def _case_of(points: ScanPoints, rows: Mapping[str, int]) -> Callable[[str], Case]:
    return lambda key: points.case(rows[key])


def wanted_names(
    scan: Scan, numbers: Mapping[str, float]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names in columns and plot.y as the result has them.

    Args:
        scan: The table of the case.
        numbers: Of one point, by dotted name.

    Raises:
        CaseError: If one means no number; names the closest.
    """
    found = []
    for setting, names in (("columns", scan.columns), ("plot.y", scan.plot.y)):
        spelled = tuple(number_name(name, numbers) for name in names or ())
        for name in spelled:
            if not matching((name,), numbers):
                raise CaseError(f"scan.{setting}", f"no number {name!r} in the result"
                                f"{closest(name, numbers)}")  # fmt: skip
        found.append(spelled)
    return found[0], found[1]


class _Collector:
    """Takes finished points from the store and keeps the numbers that were asked for."""

    def __init__(self, scan: Scan, store: PointStore) -> None:
        self.scan = scan
        self.wanted: tuple[tuple[str, ...], tuple[str, ...]] = (), ()
        self.store = store
        self.found: dict[str, Record] = {}
        self.units: dict[str, str] = {}

    def __call__(self, key: str) -> bool:
        """Return whether a point is there, and take it."""
        record = self.store.read(key)
        if record is None:
            return False
        if not self.found:  # names are checked as soon as one point is known
            self.wanted = wanted_names(self.scan, record.numbers)
        columns, y = self.wanted
        chosen = matching((*columns, *y), record.numbers, defaults=not columns)
        if LOST in record.numbers and any(name.startswith(WALL) for name in (*columns, *y)):
            chosen[LOST] = record.numbers[LOST]  # no number of a wall without whether it left
        self.found[key] = Record(chosen, record.warnings)
        self.units |= record.units
        return True

    def missing(self, keys: Iterable[str], fresh: bool) -> list[str]:
        """Take what is there, or forget it if all is to be `fresh`; return the other keys."""
        for key in keys:
            if fresh:
                self.store.remove(key)
            else:
                self(key)
        return [key for key in keys if key not in self.found]

    def numbers(self, key: str) -> dict[str, float]:
        """Return the numbers of a point, none for one that failed."""
        return self.found[key].numbers if key in self.found else {}

    def sentences(self, key: str) -> tuple[str, ...]:
        """Return the warnings of a point."""
        return self.found[key].warnings if key in self.found else ()

    def warnings(self, keys: Sequence[str]) -> dict[str, int]:
        """Return one warning of each kind, and of how many points it is true."""
        return one_per_kind(self.found[k].warnings for k in keys if k in self.found)


def _keys(points: ScanPoints, folder: Path | None) -> tuple[list[str], tuple[Any, ...]]:
    """Validate all points; return their keys and the estimates among their values."""
    keys: list[str] = []
    digests: dict[Path, str] = {}
    estimates: dict[str, dict[str, Any]] = {}
    for index in range(len(points)):
        case, used = points.completed(index)
        keys.append(point_key(case, input_digest(case, folder, digests)))
        for u in used:
            if u.value.status == "estimate":
                estimates.setdefault(
                    f"{u.path} {u.material}",
                    {"path": u.path, "value": u.value.value, "material": u.material,
                     "source": u.value.source},
                )  # fmt: skip
    return keys, tuple(estimates.values())


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
