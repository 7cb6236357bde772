"""The result of a sweep: one row of numbers per point."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from ...case.files import resolve_files
from ...case.load import dump_case
from ...case.schema import Case
from ...case.toml import to_toml, toml_key, toml_value
from ...results.facts import CONVENTIONS, versions
from ...results.folder import result_folder, to_json
from ...results.inputs import case_digest
from ...results.style import readable
from ...results.table import Column, write_csv, write_netcdf, write_parquet
from ...units import Array
from ..points import Axis, Coordinate
from .store import About

__all__ = ["PointResult", "ScanResult"]


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
        about: Unit and label of numbers, by dotted name.
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
    about: dict[str, About] = field(default_factory=dict)

    def unit(self, name: str) -> str:
        """Return the unit of a number, or an empty text where it has none or it is not known."""
        return self._about(name).unit

    def label(self, name: str) -> str:
        """Return what pictures call a number: "spin current J_y at Pt|F"."""
        return self._about(name).label or readable(name)

    def _about(self, name: str) -> About:
        return self.about.get(name, About())

    @property
    def coordinates(self) -> dict[str, list[Coordinate]]:
        """Coordinates of all points, by axis."""
        return {a.name: [p.coordinates[a.name] for p in self.points] for a in self.axes}

    @property
    def numbers(self) -> dict[str, Array]:
        """The columns, NaN where a point has no such number."""
        return {n: np.array([p.numbers.get(n, nan) for p in self.points]) for n in self.columns}

    @property
    def failures(self) -> tuple[tuple[int, PointResult], ...]:
        """Position and result of every point that failed."""
        return tuple((k, p) for k, p in enumerate(self.points) if p.error)

    @property
    def table(self) -> tuple[Column, ...]:
        """Axes, numbers (NaN where there is none) and error."""
        along = self.coordinates
        axes = [Column(a.name, a.unit, along[a.name], a.label) for a in self.axes]
        numbers = [Column(n, self.unit(n), v.tolist(), self.label(n)) for n, v in self.numbers.items()]
        warned = [Column("warnings", "", ["; ".join(p.warnings) for p in self.points])]
        return (
            *axes,
            *numbers,
            *(warned if self.warnings else ()),
            Column("error", "", [p.error for p in self.points]),
        )

    @property
    def summary(self) -> dict[str, Any]:
        """What `result.json` holds: every point with its numbers, by name and in SI."""
        return {
            "title": self.case.title,
            "conventions": CONVENTIONS,
            "axes": [{"name": a.name, "unit": a.unit, "label": a.label} for a in self.axes],
            "columns": [{"name": n, "unit": self.unit(n), "label": self.label(n)} for n in self.columns],
            "points": [
                {
                    "coordinates": p.coordinates,
                    "error": p.error or None,
                    "numbers": {n: p.numbers[n] for n in self.columns if n in p.numbers},
                    **({"warnings": p.warnings} if p.warnings else {}),
                }
                for p in self.points
            ],
            "estimates": self.estimates,
            "warnings": self.warnings,
            "inputs": dump_case(self.case),
            "inputs_digest": case_digest(self.case, self.folder),
            "versions": versions(),
        }

    @property
    def facts(self) -> dict[str, Any]:
        """What `scan.json` holds: how the scan was made and what failed."""
        assert self.case.scan is not None
        return {
            "mode": self.case.scan.mode,
            "axes": [{"name": a.name, "unit": a.unit, "values": a.coordinates} for a in self.axes],
            "points": len(self.points),
            "failed": len(self.failures),
            "failures": [
                {"row": k, "coordinates": p.coordinates, "error": p.error} for k, p in self.failures
            ],
            "computed": self.computed,
            "processes": self.processes,
            "seconds": self.seconds,
            "versions": versions(),
        }

    def plot(self) -> tuple[Any, Any]:
        """Return figure and axes of ``plot.y`` against ``plot.x``, see `plot.plot_scan`."""
        from .plot import plot_scan

        return plot_scan(self.case, self.axes, self.coordinates, self.numbers, self._about)

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
                figure, _ = self.plot()
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
        text += [f"{toml_key(name)} = {toml_value(axis)}" for name, axis in axes.items()]
        return "\n".join(text) + "\n"
