"""Sensitivities as tables, as a picture, and as a result folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...case.load import dump_case
from ...case.parameters import by_region
from ...case.schema import Case
from ...case.toml import to_toml
from ...results.facts import versions
from ...results.folder import result_folder, to_json
from ...results.style import blank
from .elements import Sensitivities, table_rows

__all__ = [
    "SensitivityReport",
    "plot_tornado",
    "sensitivity_csv",
    "sensitivity_summary",
    "tornado_bars",
    "write_sensitivities",
]

_RAISES, _LOWERS = "#0072b2", "#d55e00"
_MOST_BARS, _MOST_PANELS = 10, 12
_NO_INFLUENCE = 1e-9  # of the largest elasticity of the output
_COLUMNS = (
    "output",
    "output_value",
    "output_unit",
    "parameter",
    "value",
    "unit",
    "derivative",
    "elasticity",
    "change_if_zero",
)


@dataclass(frozen=True)
class SensitivityReport:
    """Sensitivities of a case with what a reader needs beside them.

    Args:
        case: Completed.
        found: The derivatives.
        notes: What they are derivatives of, as sentences.
        method: ``finite elements`` or ``stack``.
    """

    case: Case
    found: Sensitivities
    notes: tuple[str, ...]
    method: str

    def unit(self, output: str) -> str:
        """Return the unit of an output, or an empty text."""
        return next((q.unit for q in self.found.quantities if q.path == output), "")

    def name(self, path: str) -> str:
        """Return the path of a parameter with the region in place of the number of a layer."""
        return by_region(self.case, path)


def sensitivity_summary(report: SensitivityReport) -> dict[str, Any]:
    """Return everything as plain data, in SI; what does not exist is NaN."""
    found = report.found
    outputs = {
        name: {
            "value": float(found.values[k]),
            "unit": report.unit(name),
            "label": found.quantities[k].label,
            "parameters": [_entry(report, row) for row in table_rows(found, k)],
        }
        for k, name in enumerate(found.outputs)
    }
    return {
        "title": report.case.title,
        "method": report.method,
        "magnetization": np.asarray(report.case.magnetization.direction, float),
        "notes": list(report.notes),
        "outputs": outputs,
        "errors": {
            report.name(p.path): float(e) for p, e in zip(found.parameters, found.errors, strict=True)
        },
        "versions": versions(),
    }


def _entry(report: SensitivityReport, row: Mapping[str, Any]) -> dict[str, Any]:
    entry = {k: row[k] for k in ("parameter", "value", "unit", "derivative", "elasticity")}
    entry["parameter"] = report.name(row["parameter"])
    if row["value"] == 0:
        entry["change_if_zero"] = row["scale"]
    return entry


def sensitivity_csv(report: SensitivityReport) -> str:
    """Return one line per output and parameter, in SI."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for k, name in enumerate(report.found.outputs):
        head = [name, _cell(report.found.values[k]), report.unit(name)]
        for row in table_rows(report.found, k):
            numbers = [_cell(row[key]) for key in ("derivative", "elasticity")]
            change = _cell(row["scale"]) if row["value"] == 0 else ""
            writer.writerow(
                [*head, report.name(row["parameter"]), _cell(row["value"]), row["unit"], *numbers, change]
            )
    return text.getvalue()


def _cell(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else ""


def write_sensitivities(
    report: SensitivityReport, folder: Path | str, overwrite: bool = False, digest: str = ""
) -> Path:
    """Write the result folder in one piece and return it.

    Args:
        report: The sensitivities.
        folder: The result folder.
        overwrite: Replace an earlier result.
        digest: Of all that they depend on, kept in the result.

    Raises:
        CaseError: If the folder exists and is no earlier result, or holds one of another
            digest and `overwrite` is False.
    """
    target = Path(folder)
    summary = sensitivity_summary(report)
    with result_folder(target, overwrite) as part:
        (part / "sensitivities.json").write_text(to_json(summary), encoding="utf-8")
        (part / "sensitivities.csv").write_text(sensitivity_csv(report), encoding="utf-8")
        inputs = {
            "command": "sensitivities",
            "title": report.case.title,
            "inputs": dump_case(report.case),
            "inputs_digest": digest,
            "versions": versions(),
        }
        (part / "result.json").write_text(to_json(inputs), encoding="utf-8")
        resolved = to_toml(dump_case(report.case), "Resolved case: every default filled in.")
        (part / "case.toml").write_text(resolved, encoding="utf-8")
        figure, _ = plot_tornado(report)
        figure.savefig(part / "sensitivities.png", dpi=140)
    return target


def tornado_bars(found: Sensitivities, output: int) -> list[Mapping[str, Any]]:
    """Return the rows of `table_rows` that influence an output, the largest first."""
    rows = [r for r in table_rows(found, output) if np.isfinite(r["elasticity"])]
    least = _NO_INFLUENCE * max((abs(r["elasticity"]) for r in rows), default=0.0)
    return [r for r in rows if abs(r["elasticity"]) > least]


def plot_tornado(report: SensitivityReport) -> tuple[Any, Any]:
    """Plot the largest elasticities of every output, one panel each; (figure, axes).

    At most ten bars and twelve panels; a zero parameter has a hatched bar.
    """
    outputs = range(min(len(report.found.outputs), _MOST_PANELS))
    columns = min(2, len(outputs))
    bars = [tornado_bars(report.found, k)[:_MOST_BARS] for k in outputs]
    lines = -(-len(outputs) // columns)
    heights = [1.2 + max(len(b) for b in bars[columns * i : columns * (i + 1)]) for i in range(lines)]
    size = (5.6 * columns, 0.6 + 0.25 * sum(heights))
    figure, panels = blank(size, lines, columns, squeeze=False, height_ratios=heights)
    for panel in panels.flat[len(outputs) :]:
        panel.set_axis_off()
    for k, panel in zip(outputs, panels.flat, strict=False):
        _draw(panel, report, k, bars[k])
    if report.case.title:
        figure.suptitle(report.case.title, fontsize="medium")
    return figure, panels


def _draw(panel: Any, report: SensitivityReport, output: int, rows: Sequence[Mapping[str, Any]]) -> None:
    sizes = [row["elasticity"] for row in rows]
    colours = [_RAISES if x > 0 else _LOWERS for x in sizes]
    drawn = panel.barh(range(len(rows)), sizes, color=colours, height=0.72)
    for bar, row in zip(drawn, rows, strict=True):
        if row["value"] == 0:
            bar.set(hatch="////", facecolor="white", edgecolor=bar.get_facecolor())
    panel.set_yticks(range(len(rows)), [_short(report.name(r["parameter"])) for r in rows], fontsize=8)
    panel.invert_yaxis()
    panel.axvline(0, color="0.3", linewidth=0.8)
    panel.set_title(report.found.quantities[output].label, fontsize=9)
    panel.set_xlabel("elasticity", fontsize=8)
    panel.tick_params(axis="x", labelsize=8)
    panel.grid(axis="x", color="0.9", linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)


def _short(path: str) -> str:
    """Return a path for people: ``Pt spin hall angle``, ``electric field x``, ``strain xy``."""
    for head in ("regions.", "drive.", "interfaces.", "structure.layers."):
        path = path.removeprefix(head)
    parts = path.split(".")
    axes = ""
    while len(parts) > 1 and parts[-1] in ("0", "1", "2"):
        axes = "xyz"[int(parts.pop())] + axes
    return " ".join([*parts, axes]).replace("_", " ").strip()
