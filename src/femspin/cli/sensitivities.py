"""``femspin sensitivities``: what every parameter of a case does to its results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..case import Case, load_case
from ..case.input_files import real_path
from ..errors import CaseError
from ..materials.parameters import complete_case
from ..results.folder import check_target, digest_of, holds, only_writer, to_json
from ..results.inputs import case_digest
from ..studies.sensitivity.case import case_sensitivities
from ..studies.sensitivity.elements import choose_parameters, table_rows
from ..studies.sensitivity.report import (
    SensitivityReport,
    plot_tornado,
    sensitivity_csv,
    sensitivity_summary,
    tornado_bars,
    write_sensitivities,
)
from .files import check_file, new_file
from .progress import progress_bar, with_file
from .run import left_out

__all__ = ["sensitivities"]

Progress = Callable[[float], None] | None

_FILES = (".json", ".csv", ".png")
_OTHER_FILES = (".txt", ".dat", ".tsv", ".md", ".pdf", ".svg", ".jpg", ".xlsx", ".html", ".toml")


def sensitivities(args: argparse.Namespace) -> int:
    """Print and write the sensitivities of a case file; return the exit code."""
    file = Path(args.case)
    case = load_case(file, args.set)
    digest = digest_of("sensitivities", case_digest(case, file.parent), args.outputs, args.parameters)
    targets = _targets(args, file, digest)
    try:
        for path, kind in targets:
            if kind == "folder":
                args.held.enter_context(only_writer(path))
        report = _report(case, file.parent, args)
        _write(report, targets, args.force, digest)
    except CaseError as error:
        raise with_file(error, file) from None
    if args.json:
        sys.stdout.write(_json(report))
    elif not args.quiet:
        _print(report, targets)
    return 0


_Target = tuple[Path, str]


def _targets(args: argparse.Namespace, file: Path, digest: str) -> tuple[_Target, ...]:
    """Return what will be written and as what kind, refusing early what cannot be."""
    found: list[_Target] = []
    if args.output is not None:
        path = Path(args.output)
        kind = path.suffix if path.suffix in _FILES and not path.is_dir() else "folder"
        found.append((path, kind))
    if args.csv is not None:
        found.append((Path(args.csv), ".csv"))
    for path, kind in found:
        _check_target(path, kind, file, args.force or holds(path, digest))
    return tuple(found)


def _check_target(path: Path, kind: str, file: Path, force: bool) -> None:
    option = "--output" if kind == "folder" else "--output, --csv"
    if kind == "folder":
        if path.is_file() or (path.suffix.lower() in _OTHER_FILES and not path.is_dir()):
            raise CaseError(
                option,
                f"{str(path)!r} is neither a folder nor a file that ends in"
                f" {', '.join(_FILES[:-1])} or {_FILES[-1]}",
            )
        check_target(path, force)
        for kept in (file, Path.cwd()):
            if real_path(kept).is_relative_to(real_path(path)):
                raise CaseError(option, f"{str(path)!r} would replace {str(kept)!r}")
    else:
        check_file(path, option, file)


def _report(case: Case, folder: Path, args: argparse.Namespace) -> SensitivityReport:
    complete, _ = complete_case(case)
    choose_parameters(complete, args.parameters)
    notes = tuple(f"steady state at the magnetization of the case; {note}" for note in left_out(case))
    with progress_bar(not (args.quiet or args.json)) as progress:
        completed, found, left = case_sensitivities(complete, folder, args.outputs, args.parameters, progress)
    if left:
        notes += (f"zero, left out: {', '.join(left)}",)
    method = "stack" if case.solver.method == "stack" else "finite elements"
    return SensitivityReport(completed, found, notes, method)


def _write(report: SensitivityReport, targets: Sequence[_Target], force: bool, digest: str) -> None:
    for target, kind in targets:
        if kind == "folder":
            write_sensitivities(report, target, force or holds(target, digest), digest)
            continue
        with new_file(target) as part:
            if kind == ".png":
                plot_tornado(report)[0].savefig(part, dpi=140, format="png")
            else:
                text = sensitivity_csv if kind == ".csv" else _json
                part.write_text(text(report), encoding="utf-8")


def _json(report: SensitivityReport) -> str:
    return to_json(sensitivity_summary(report))


def _print(report: SensitivityReport, targets: Sequence[_Target]) -> None:
    """Print a table per output, sorted by elasticity, and what the marks mean."""
    found = report.found
    if report.case.title:
        print(report.case.title)
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    for k in range(len(found.outputs)):
        _print_output(report, k)
    print("\nderivative: unit of the output per unit of the parameter; elasticity: (p/Q) dQ/dp")
    zero = [p for p in found.parameters if p.value == 0]
    if zero:
        scales = ", ".join(f"{report.name(p.path)} {p.scale:.3g} {p.spelled}".rstrip() for p in zero)
        print(f"* is zero; the elasticity is for a change by {scales}")
    for target, _ in targets:
        print(f"-> {target}")


def _print_output(report: SensitivityReport, k: int) -> None:
    found = report.found
    name, value = found.outputs[k], found.values[k]
    print(f"\n{name} = {value:.6e} {report.unit(name)}".rstrip())
    bars = tornado_bars(found, k) if value != 0 else _by_change(table_rows(found, k))
    shown = {row["parameter"] for row in bars}
    width = max((len(report.name(path)) for path in shown), default=9)
    print(f"  {'parameter':<{width}}  {'value':<22}{'derivative':>14}{'elasticity':>13}")
    for row in bars:
        given = f"{row['value']:.6g} {row['unit']}".strip()
        relative = _relative(row["elasticity"])
        mark = "*" if row["value"] == 0 else ""
        print(
            f"  {report.name(row['parameter']):<{width}}  {given:<22}{row['derivative']:>14.6e}"
            f"{relative:>13}{mark}"
        )
    lost = [r["parameter"] for r in table_rows(found, k) if np.isnan(r["derivative"])]
    idle = [p.path for p in found.parameters if p.path not in shown and p.path not in lost]
    for what, paths in (("no influence", idle), ("no smooth derivative", lost)):
        if paths:
            print(f"  {what}: {', '.join(map(report.name, paths))}")


def _relative(elasticity: float) -> str:
    if not np.isfinite(elasticity):
        return "-"
    return f"{elasticity:+.6f}" if abs(elasticity) < 1e3 else f"{elasticity:+.5e}"


def _by_change(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of an output that is zero, by the change that each parameter makes."""

    def change(row: Mapping[str, Any]) -> float:
        return abs(float(row["derivative"])) * float(row["scale"])

    return sorted((r for r in rows if change(r) > 0), key=change, reverse=True)
