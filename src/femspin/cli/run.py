"""``femspin run``: a case file in, a result folder out."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..case import Case, load_case
from ..case.files import input_files
from ..case.input_files import real_path
from ..errors import CaseError
from ..results.expected import compare_expected
from ..results.folder import check_target, holds, only_writer, to_json
from ..results.inputs import case_digest
from ..simulation import simulate_transport
from .progress import judged, progress_bar, with_file

__all__ = ["left_out", "output_folder", "refuse_to_replace_inputs", "run", "say_what_is_left_out"]


def output_folder(case: Case, file: Path, given: str | None) -> Path:
    """Return the result folder: the option, else the case's, else ``<case>.out`` beside it."""
    if given is not None:
        return Path(given)
    if case.output.directory is not None:
        return file.parent / case.output.directory
    return file.with_suffix(".out")


def run(args: argparse.Namespace) -> int:
    """Run a case file; return the exit code."""
    file = Path(args.case)
    case = load_case(file, args.set)
    folder = output_folder(case, file, args.output)
    start = time.perf_counter()
    try:
        args.force = args.force or holds(folder, case_digest(case, file.parent))
        _check_folder(folder, case, file, args.force)
        args.held.enter_context(only_writer(folder))
        if case.scan is not None:
            from .scan import run_scan_case

            return run_scan_case(args, case, file, folder)
        if case.texture is not None:
            from .texture import run_texture_case

            return run_texture_case(args, case, file, folder)
        if args.resume:
            raise CaseError("--resume", "only a case with [texture] keeps checkpoints")
        moving = case.dynamics is not None or case.transient is not None
        with progress_bar(moving and not args.quiet) as progress:
            solution = simulate_transport(case, file.parent, progress)
        solution.write(folder, overwrite=args.force)
        # Only now: a misspelt name in [expected] must not cost the result of a long run.
        expected = compare_expected(case.expected, solution.values)
    except CaseError as error:
        raise with_file(error, file) from None
    if args.json:
        sys.stdout.write(to_json(solution.report))
    elif not args.quiet:
        _summary(solution.table, solution.errors, folder, time.perf_counter() - start)
    return judged(expected, args)


def efficiency_lines(magnet: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the lines of the summary on a magnet, one per metal whose current drives it."""
    rows = (
        [entry]
        if "current_density_of" in entry
        else [row for row in entry.values() if isinstance(row, Mapping)]
    )
    found = []
    for row in rows:
        metal, dl = row["current_density_of"], row["efficiency_damping_like"]
        if dl is None:
            found.append(f"{magnet}: no torque efficiency of {metal}: {row['left_out']}")
            continue
        side = "" if abs(row["normal"][2]) < 0.5 else (" above it" if row["normal"][2] < 0 else " below it")
        size = float(np.linalg.norm(row["current_density"]))
        found.append(
            f"{magnet}: torque efficiency of {metal}{side} (j = {size:.4e} A/m^2 there)"
            f" damping-like {dl:.4e}, field-like {row['efficiency_field_like']:.4e}"
        )
    return found


def electrode_line(name: str, entry: Mapping[str, Any], bars: Mapping[str, Any] | None) -> str:
    """Return what an electrode does: voltage, current with their error bars, spin condition.

    Args:
        name: Of the electrode.
        entry: Its part of the table of electrodes.
        bars: The errors of these numbers, None if there are none.
    """
    units = {"voltage": "V", "current": entry["current_unit"]}
    cells = [
        f"{key} {entry[key]:.6e}" + ("" if bars is None else f" ±{bars[key]:.1e}") + f" {unit}"
        for key, unit in units.items()
    ]
    return f"electrode {name}: {', '.join(cells)}, spin {entry['spin']}"


def _bar(bars: Mapping[str, Any], key: str) -> float:
    """Return the largest error of the components of a row of the summary."""
    names = {"total": "spin_current", "M on moments": "M_on_moments"}
    error = bars[names[key]] if key in names else bars["parts"][key]
    return float(np.max(error))


def _check_folder(folder: Path, case: Case, file: Path, force: bool) -> None:
    """Refuse early, before the work, what writing would refuse after it."""
    refuse_to_replace_inputs(folder, case, file)
    check_target(folder, force)


def refuse_to_replace_inputs(folder: Path, case: Case, file: Path) -> None:
    """Refuse a result folder that would take the place of what the run starts from.

    Raises:
        CaseError: Naming what.
    """
    kept = {"the case file": file, "the working folder": Path.cwd()}
    kept |= {f"the file of {key}": path for key, path in input_files(case, file.parent).items()}
    for what, path in kept.items():
        if real_path(path).is_relative_to(real_path(folder)):
            raise CaseError("output.directory", f"{str(folder)!r} would replace {what}")


_LEFT_OUT = {
    "dynamics": "the motion of the magnetization is left out",
    "frequency": "the response at its frequencies is left out",
    "transient": "the response in time is left out",
    "scan": "the case stands for itself, not for the points of its scan",
}


def left_out(case: Case) -> list[str]:
    """Return the tables that a command on the steady state of a case passes over, in words."""
    return [f"[{key}]: {text}" for key, text in _LEFT_OUT.items() if getattr(case, key) is not None]


def say_what_is_left_out(case: Case) -> None:
    """Say which tables a command on the steady state of a case passes over."""
    for note in left_out(case):
        print(f"note: {note}", file=sys.stderr)


def _summary(table: dict[str, Any], errors: Mapping[str, Any] | None, folder: Path, seconds: float) -> None:
    """Print the currents of every interface, torques, warnings, and one line of facts."""
    if table["title"]:
        print(table["title"])
    for name, entry in table["interfaces"].items():
        head = f"\n{name}: spin current [A/m^2, hbar/2e]" + " " * 8 + "x            y            z"
        bars = None if errors is None else errors["interfaces"][name]
        print(head + ("" if bars is None else "        error"))
        rows = [("total", entry["spin_current"])]
        rows += [(k, v) for k, v in entry.get("parts", {}).items() if k in "MLSAETB" and np.any(v)]
        moments = entry.get("M_on_moments")
        if moments is not None and not np.allclose(moments, entry["parts"]["M"], rtol=1e-3):
            rows.insert(2, ("M on moments", moments))
        for key, value in rows:
            line = f"  {key:<14}{'':18}" + "".join(f"{x + 0.0:13.4e}" for x in value)
            print(line + ("" if bars is None else f"     ±{_bar(bars, key):.1e}"))
    for name, entry in table["torques"].items():
        print()
        for line in efficiency_lines(name, entry):
            print(line)
    for name, entry in table["electrodes"].items():
        print(electrode_line(name, entry, None if errors is None else errors["electrodes"][name]))
    if "dynamics" in table:
        m = ", ".join(f"{x:.6f}" for x in table["dynamics"]["final"])
        print(f"\nmagnetization at the end: ({m})")
    for entry in table["estimates"]:
        print(
            f"estimate: {entry['path']} = {entry['value']} ({entry['material']}; {entry['source']})",
            file=sys.stderr,
        )
    for warning in table["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    solver = table["solver"]
    print(
        f"\n{solver['unknowns']} unknowns, {solver['method']}, residual {solver['residual']:.1e},"
        f" balance {table['balance_residual']:.1e}, {seconds:.1f} s -> {folder}"
    )
