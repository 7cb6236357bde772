"""Running a scan: which points are new, what they give, and the result of all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from ...case.files import input_digest
from ...case.messages import one_per_kind
from ...case.names import number_name
from ...case.scan import Scan
from ...case.schema import Case
from ...errors import CaseError, closest
from ...results.table import LOST, WALL, column_names, matching
from ..points import Coordinate, ScanPoints
from .result import PointResult, ScanResult
from .stacks import Solve
from .store import About, PointStore, Record, point_key
from .workers import solve_here, solve_points

__all__ = ["point_folder", "run_scan", "wanted_names"]

Progress = Callable[[int, int], None]


def point_folder(output: Path | str) -> Path:
    """Return where the finished points of a result folder are kept."""
    output = Path(output)
    return output.with_name(f"{output.name}.scan") / "points"


def run_scan(
    case: Case,
    solve: Solve,
    folder: Path | None = None,
    output: Path | str = "scan.out",
    progress: Progress | None = None,
    fresh: bool = False,
    here: bool = False,
    together: bool = False,
) -> ScanResult:
    """Return the results of all points of a case with [scan].

    All points are validated first.  Points run in parallel processes; each one is kept under
    ``<output>.scan/points`` as soon as it is finished, and a later run takes from there what has
    the same case and version.  A point that fails does not stop the others.

    Args:
        case: A case with [scan].
        solve: What returns the result table of a case; a function of a module.  Points kept by
            one such function are not told from those of another.
        folder: Where relative mesh paths start; default the folder of the case file.
        output: The result folder; `ScanResult.write` writes it.
        progress: Called with the number of finished points and of all points.
        fresh: Solve all points anew.
        here: Solve one point after the other in this process, without workers.
        together: Solve points that are exact stacks as one batch, which `solve` need not see.

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
    processes = 1 if here else min(points.scan.processes or _processors(), len(new))
    run = solve_here if here else partial(solve_points, processes=processes)
    outcomes = run(new, lambda key: points.case(todo[key]), store, folder, solve=solve, together=together)
    errors = collect.finish(outcomes, len(todo), progress or (lambda done, total: None))
    rows = tuple(collect.row(key, points.coordinates(k), errors.get(key, "")) for k, key in enumerate(keys))
    return ScanResult(
        case,
        folder,
        points.axes,
        rows,
        tuple(n for n in column_names(row.numbers for row in rows) if n not in points.scan.axes),
        collect.warnings(keys),
        estimates,
        len(new),
        processes,
        time.perf_counter() - began,
        stale,
        collect.about,
    )


def wanted_names(scan: Scan, numbers: Mapping[str, float]) -> tuple[tuple[str, ...], tuple[str, ...]]:
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
                raise CaseError(
                    f"scan.{setting}", f"no number {name!r} in the result{closest(name, numbers)}"
                )
        found.append(spelled)
    return found[0], found[1]


class _Collector:
    """Takes finished points from the store and keeps the numbers that were asked for."""

    def __init__(self, scan: Scan, store: PointStore) -> None:
        self.scan = scan
        self.wanted: tuple[tuple[str, ...], tuple[str, ...]] = (), ()
        self.store = store
        self.found: dict[str, Record] = {}
        self.about: dict[str, About] = {}

    def __call__(self, key: str) -> bool:
        """Return whether a point is there, and take it."""
        record = self.store.read(key)
        if record is None:
            return False
        if not self.found:  # names are checked as soon as one point is known
            self.wanted = wanted_names(self.scan, record.numbers)
        columns, y = self.wanted
        listed = () if columns else [name for name, about in record.about.items() if about.listed]
        chosen = matching((*columns, *y), record.numbers, listed)
        if LOST in record.numbers and any(name.startswith(WALL) for name in (*columns, *y)):
            chosen[LOST] = record.numbers[LOST]  # no number of a wall without whether it left
        self.found[key] = Record(chosen, record.warnings)
        self.about |= {name: record.about[name] for name in chosen if name in record.about}
        return True

    def missing(self, keys: Iterable[str], fresh: bool) -> list[str]:
        """Take what is there, or forget it if all is to be `fresh`; return the other keys."""
        for key in keys:
            if fresh:
                self.store.remove(key)
            else:
                self(key)
        return [key for key in keys if key not in self.found]

    def finish(
        self, outcomes: Generator[tuple[str, str | None], None, None], total: int, tell: Progress
    ) -> dict[str, str]:
        """Take points as they finish, telling how many of the total; return what went wrong."""
        errors: dict[str, str] = {}
        tell(len(self.found), total)
        with closing(outcomes):
            for key, error in outcomes:
                if error is None and not self(key):
                    error = f"its result cannot be read back from {self.store.folder}"
                if error is not None:
                    errors[key] = error
                tell(len(self.found) + len(errors), total)
        return errors

    def row(self, key: str, coordinates: dict[str, Coordinate], error: str) -> PointResult:
        """Return the row of a point, without numbers if it failed."""
        record = self.found.get(key)
        if record is None:
            return PointResult(coordinates, {}, error)
        return PointResult(coordinates, record.numbers, error, record.warnings)

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
                    {
                        "path": u.path,
                        "value": u.value.value,
                        "material": u.material,
                        "source": u.value.source,
                    },
                )
    return keys, tuple(estimates.values())


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
