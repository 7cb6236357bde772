"""The result folder of a fit: `fit.json`, `fit.csv`, `fit.png`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from ...results.facts import versions
from ...results.folder import digest_of, result_folder, to_json
from .model import FitModel
from .solve import FitResult

__all__ = ["fit_inputs", "fit_summary", "write_fit"]


def fit_summary(result: FitResult) -> dict[str, Any]:
    """Return what `fit.json` holds, in SI."""
    model = result.model
    names = [p.name for p in model.parameters]
    errors = result.errors
    table = {
        p.name: {
            "value": result.values[k],
            "error": errors[k],
            "unit": p.unit,
            "start": p.start,
            "min": p.low,
            "max": p.high,
            "log": p.log,
            "at_bound": p.name in result.at_bound,
        }
        for k, p in enumerate(model.parameters)
    }
    sets = {
        s.label: {
            "file": s.entry.file,
            "rows": len(s.measured.y),
            "chi2": result.set_chi2(k),
            "x": s.axis.name,
            "y": s.entry.y.result,
            "unit": s.result.unit,
            "notes": list(s.measured.notes),
        }
        for k, s in enumerate(model.sets)
    }
    errors_from = "the given sigmas" if result.absolute else "the scatter (reduced chi2 set to 1)"
    return {
        "title": model.fit.title,
        "status": "converged",
        "message": result.message,
        "warnings": list(result.warnings),
        "evaluations": result.steps,
        "parameters": table,
        "correlation": {"order": names, "matrix": result.correlation},
        "undetermined_signs": [
            {"parameters": list(m.names), "values": dict(zip(names, m.values, strict=True)), "chi2": m.chi2}
            for m in result.mirrors
        ],
        "errors_from": errors_from,
        "chi2": result.chi2,
        "dof": result.dof,
        "reduced_chi2": result.reduced,
        "p_value": result.probability,
        "data": sets,
        "versions": versions(),
    }


def fit_inputs(result: FitResult) -> dict[str, Any]:
    """Return what `result.json` holds: the fit file, and the completed case of every set."""
    return {
        "title": result.model.fit.title,
        "fit": result.model.fit.model_dump(mode="json", exclude_none=True),
        "cases": {s.label: s.cases[0].model_dump(mode="json", exclude_none=True) for s in result.model.sets},
        "inputs_digest": fit_digest(result.model),
        "versions": versions(),
    }


def fit_digest(model: FitModel) -> str:
    """Return a hash of all that a fit depends on: the fit file, its cases and its data."""
    sets = [
        [
            [case.model_dump(mode="json", exclude_none=True) for case in s.cases],
            s.measured.x,
            s.measured.y,
            s.measured.sigma,
        ]
        for s in model.sets
    ]
    return digest_of("fit", model.fit.model_dump(mode="json", exclude_none=True), sets)


def write_fit(result: FitResult, folder: Path | str, overwrite: bool = False) -> Path:
    """Write the result folder in one piece and return it.

    Raises:
        CaseError: If the folder exists and is no earlier result, or holds one of other inputs
            and `overwrite` is False.
    """
    from .plot import plot_fit

    target = Path(folder)
    with result_folder(target, overwrite) as part:
        (part / "fit.json").write_text(to_json(fit_summary(result)), encoding="utf-8")
        (part / "result.json").write_text(to_json(fit_inputs(result)), encoding="utf-8")
        _write_csv(result, part / "fit.csv")
        plot_fit(result)[0].savefig(part / "fit.png", dpi=150)
    return target


def _write_csv(result: FitResult, file: Path) -> None:
    """Write one row per datum: x in the unit of the file, data, sigma and model in SI, residual."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["data set", "x", "x unit", "data", "sigma", "model", "residual / sigma", "unit"])
        for k, s in enumerate(result.model.sets):
            rows = result.model.rows(k)
            numbers = np.column_stack(
                [
                    s.measured.x,
                    s.measured.y,
                    result.model.sigma[rows],
                    result.predicted[rows],
                    result.residuals[rows],
                ]
            ).tolist()
            unit = s.result.unit
            for x, *row in numbers:
                writer.writerow([s.label, repr(x), s.axis.unit, *map(repr, row), unit])
