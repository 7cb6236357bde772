"""``femspin afm-torques``: torque coefficients of an antiferromagnetic band structure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import __version__
from ..bands.case import BandCase, load_band_case
from ..bands.coefficients import COEFFICIENTS, MODELS
from ..bands.study import SCANS, BandStudy, study, study_csv, study_table
from ..case.input_files import real_path
from ..case.toml import to_toml
from ..errors import CaseError
from ..results.folder import check_target, digest_of, holds, only_writer, result_folder, to_json
from .progress import progress_bar, with_file

__all__ = ["afm_torques", "write_study"]


def afm_torques(args: argparse.Namespace) -> int:
    """Work out a band case and write its result folder; return the exit code."""
    file = Path(args.case)
    case = load_band_case(file, args.set)
    folder = Path(args.output) if args.output is not None else file.with_suffix(".out")
    try:
        args.force = args.force or holds(folder, _digest(case))
        _check_folder(folder, file, args.force)
        args.held.enter_context(only_writer(folder))
        with progress_bar(case.scan is not None and not args.quiet) as progress:
            result = study(case, progress)
        write_study(result, folder, args.force)
    except CaseError as error:
        raise with_file(error, file) from None
    if args.json:
        sys.stdout.write(to_json(study_table(result)))
    elif not args.quiet:
        _print(result, folder)
    return 0


def _digest(case: BandCase) -> str:
    return digest_of("afm-torques", case.model_dump(mode="json"))


def _check_folder(folder: Path, file: Path, force: bool) -> None:
    """Refuse early, before the work, what writing would refuse after it."""
    check_target(folder, force)
    for what, path in (("the case file", file), ("the working folder", Path.cwd())):
        if real_path(path).is_relative_to(real_path(folder)):
            raise CaseError("--output", f"{str(folder)!r} would replace {what}")


def write_study(result: BandStudy, folder: Path, overwrite: bool = False) -> None:
    """Write tables and pictures of a study, all of them or none.

    Args:
        result: The study.
        folder: Result folder.
        overwrite: Replace an earlier result of other inputs.

    Raises:
        CaseError: If the folder exists and may not be replaced.
    """
    table = study_table(result)
    case = result.case.model_dump(mode="json", exclude_none=True)
    with result_folder(folder, overwrite) as part:
        everything = {
            "command": "afm-torques",
            "femspin": __version__,
            **table,
            "inputs": case,
            "inputs_digest": _digest(result.case),
        }
        (part / "result.json").write_text(to_json(everything), encoding="utf-8")
        (part / "coefficients.json").write_text(to_json(_points(result, table)), encoding="utf-8")
        (part / "coefficients.csv").write_text(study_csv(result), encoding="utf-8")
        text = to_toml(case, f"Resolved case of femspin afm-torques {__version__}.")
        (part / "case.toml").write_text(text, encoding="utf-8")
        if result.case.plots:
            for name, (figure, _) in _pictures(result):
                figure.savefig(part / f"{name}.png", dpi=140)


def _points(result: BandStudy, table: dict[str, Any]) -> dict[str, Any]:
    """Return the state and all points of the scans with tensors and errors."""
    points = []
    for point in result.points:
        found = point.coefficients
        entry: dict[str, Any] = {"scan": point.scan, "value": point.value}
        if found is None:
            entry["problem"] = point.problem
        else:
            entry |= {
                "mu_over_t": found.mu,
                "exchange_over_t": found.lattice.exchange,
                "v2": found.v2,
                "method": found.sums.method,
                "coefficients": found.tensors,
                "errors": found.errors,
            }
        points.append(entry)
    tau_s = table["spin_relaxation_time_s"]
    return {"spin_relaxation_time_s": tau_s, "state": table["coefficients"], "points": points}


def _pictures(result: BandStudy) -> Iterator[tuple[str, tuple[Any, Any]]]:
    from ..bands.plots import plot_bands, plot_fermi_lines, plot_scan

    yield "bands", plot_bands(result)
    lines = plot_fermi_lines(result)
    if lines is not None:
        yield "fermi_lines", lines
    for name in SCANS:
        if result.scan(name):
            yield f"coefficients_{name}", plot_scan(result, name)


def _print(result: BandStudy, folder: Path) -> None:
    """Print the coefficients of the state, and what the scans could not give."""
    table, found = study_table(result), result.coefficients
    if table["title"]:
        print(table["title"])
    print(
        f"{found.lattice.name}: mu = {found.mu:.6g} t = {table['chemical_potential_eV']:.6g} eV,"
        f" J = {found.lattice.exchange:.6g} t, k_B T = {found.kT:.4g} t"
        f" ({table['method']})"
    )
    print(f"{'':8}" + "".join(f"{model:>18}{'error':>10}" for model in MODELS))
    for name in COEFFICIENTS:
        cells = (f"{found.value(name, m) + 0.0:>18.9f}{found.error(name, m):>10.1e}" for m in MODELS)
        print(f"{name:<8}" + "".join(cells))
    if not found.isotropic:
        print("not isotropic: these are averages over directions; tensors in coefficients.json")
    sigma = table["conductivity"]
    print(f"conductivity {sigma['value']:.6e} {sigma['unit']}, tau_sd {table['tau_sd_s']:.4e} s")
    if result.velocities is not None:
        v = result.velocities
        for name, u in (("u_n", v.u_n), ("u_m", v.u_m), ("u_st", v.u_st)):
            print(f"{name:<5}" + " ".join(f"{x + 0.0:.6e}" for x in u) + " m/s")
        print(f"beta {v.beta:.4g}")
    for warning in table["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    lost = [p for p in result.points if p.coefficients is None]
    if lost:
        print(
            f"{len(lost)} of {len(result.points)} points of scans have no result; see the column problem",
            file=sys.stderr,
        )
    print(f"-> {folder}")
