"""``femspin check``: validate, and show what the case implies before it is run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case import Case, load_case
from ..case.load import read_table
from ..case.messages import one_per_kind
from ..device.model import Device
from ..device.observables.input_warnings import resolution
from ..device.observables.regions import region_thickness
from ..errors import CaseError
from ..interface.conductance import layer_conductance, thin_conductance
from ..materials.parameters import passed_over
from ..results.expected import compare_expected
from ..results.folder import holds, refuse_target, to_json
from ..results.inputs import case_digest
from ..transport.layers.lengths import lengths, resolved_rates
from ..transport.linear.memory import estimated_bytes, resident_bytes, stored_numbers
from ..units import LENGTH
from .progress import with_file
from .rehearsal import Rehearsal, rehearse
from .run import output_folder, refuse_to_replace_inputs

if TYPE_CHECKING:
    from ..studies.points import ScanPoints

__all__ = ["check", "check_table"]


def check(args: argparse.Namespace) -> int:
    """Check a case file, a fit file or a band structure; return the exit code."""
    file = Path(args.case)
    table = read_table(file)
    if "lattice" in table:
        return _check_bands(args, file)
    if {"case", "parameters", "data"} <= set(table):
        return _check_fit(args, file)
    case = load_case(file, args.set)
    try:
        folder = output_folder(case, file, None)
        refuse_to_replace_inputs(folder, case, file)
        refuse_target(folder, True)
        found, table = _checked(case, file.parent)
        notes = _passed_over(case) + _held(folder, case_digest(case, file.parent))
    except CaseError as error:
        raise with_file(error, file) from None
    table |= {"warnings": found, "notes": notes}
    if args.json:
        sys.stdout.write(to_json(table))
    elif not args.quiet:
        print(f"{file}: valid")
        _print_of(case)(table)
        if case.scan is not None:
            print(f"scan: {case.scan.summary}; the numbers above are those of its first point")
        for kind in ("warning", "note"):
            for text in table[f"{kind}s"]:
                print(f"{kind}: {text}")
    return 0


def _print_of(case: Case) -> Callable[[Any], None]:
    if case.texture is None:
        return _print
    from .texture import print_texture

    return print_texture


def _passed_over(case: Case) -> list[str]:
    """Return a sentence on every database value that the case leaves no room for."""
    return [
        f"{u.path}: {u.value.value} of {u.material} is not used; the other two of conductivity, dos and"
        " diffusion_constant are given and fix it"
        for u in passed_over(case)
    ]


def _held(folder: Path, digest: str) -> list[str]:
    """Return a sentence if a run needs --force to replace what is in its result folder."""
    if not (folder / "result.json").is_file() or holds(folder, digest):
        return []
    return [
        f"output.directory: {str(folder)!r} holds a result of other inputs, which a run"
        " replaces with --force only"
    ]


def _checked(case: Case, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the warnings of a case and what it implies, at the first point if it has a scan.

    Raises:
        FemspinError: What a run would raise.
    """
    if case.scan is None:
        rehearsal = rehearse(case, folder)
        compare_expected(case.expected, rehearsal.values)
        return list(rehearsal.warnings), _implied(case, rehearsal)
    from ..studies.sweep import scan_points
    from ..studies.sweep.run import wanted_names

    points = scan_points(case)
    rehearsals = [_rehearsed_point(points, k, folder) for k in points.corners]
    wanted_names(case.scan, rehearsals[0].columns)
    table = _implied(points.case(points.corners[0]), rehearsals[0])
    table["scan"] = {"points": case.scan.points, "summary": case.scan.summary}
    return list(one_per_kind(r.warnings for r in rehearsals)), table


def _rehearsed_point(points: ScanPoints, index: int, folder: Path) -> Rehearsal:
    try:
        return rehearse(points.case(index), folder)
    except CaseError as error:
        raise points.blamed(index, error) from None


def _implied(case: Case, rehearsal: Rehearsal) -> dict[str, Any]:
    if case.texture is None:
        return check_table(rehearsal.system, rehearsal.warnings)
    from .texture import texture_lengths

    return dict(texture_lengths(rehearsal.system))


def _check_bands(args: argparse.Namespace, file: Path) -> int:
    """Check a band structure: its lattice, and that something conducts in its state."""
    from ..bands.case import load_band_case
    from ..bands.study import study

    case = load_band_case(file, args.set)
    try:
        refuse_target(file.with_suffix(".out"), True)
        found = study(case.model_copy(update={"scan": None}))
    except CaseError as error:
        raise with_file(error, file) from None
    table = {"lattice": found.coefficients.lattice.name, "mu_over_t": found.coefficients.mu, "warnings": []}
    if args.json:
        sys.stdout.write(to_json(table))
    elif not args.quiet:
        print(
            f"{file}: valid, a band structure for `femspin afm-torques`: {table['lattice']},"
            f" mu = {table['mu_over_t']:.6g} t"
        )
    return 0


def _check_fit(args: argparse.Namespace, file: Path) -> int:
    """Check a fit file: its case, parameters and data."""
    from ..studies.fit import build_model, load_fit

    if args.set:
        raise CaseError("--set", "replaces a key of a case; a fit file has none of its own")
    try:
        refuse_target(file.with_suffix(".out"), True)
        model = build_model(load_fit(file), file.parent)
    except CaseError as error:
        raise with_file(error, file) from None
    table: dict[str, Any] = {
        "parameters": [p.name for p in model.parameters],
        "data": {s.label: len(s.measured.y) for s in model.sets},
        "warnings": [],
    }
    if args.json:
        sys.stdout.write(to_json(table))
    elif not args.quiet:
        print(f"{file}: valid, a fit for `femspin fit`")
        print("parameters: " + ", ".join(table["parameters"]))
        print("data: " + ", ".join(f"{k} ({n} rows)" for k, n in table["data"].items()))
    return 0


def check_table(device: Device, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Return derived lengths, conductances, mesh size, memory estimate and warnings.

    Args:
        device: The problem.
        warnings: Those of a run, see `femspin.cli.rehearsal.rehearse`.
    """
    fields = device.fields(device.direction)
    regions: dict[str, Any] = {}
    for name, f in fields.items():
        scale = lengths(f, resolved_rates(device.case))
        z = device.structure.mesh.p[-1, device.structure.mesh.t[:, device.structure.cells(name)]]
        entry: dict[str, Any] = {
            "kind": device.kinds[name],
            "conductivity": f.measured_conductivity,
            "drude_conductivity": f.conductivity,
            "dos": f.dos,
            "diffusion_constant": f.diffusion,
            "relaxation_length": scale.relaxation,
            "precession_length": scale.precession,
            "spin_orbit_length": scale.spin_orbit,
            "shortest_length": scale.shortest,
            "longest_cell_over_shortest_length": resolution(device, name, scale.shortest),
        }
        if device.kinds[name] == "F":
            thickness = region_thickness(device, name) or float(np.ptp(z)) * LENGTH
            entry["thickness"] = thickness
            entry["conductance_layer"] = layer_conductance(f, thickness)
            entry["conductance_thin"] = thin_conductance(f, thickness)
        if f.moments is not None:
            entry["mean_spin"] = f.moments.spin
            entry["curie_temperature"] = f.moments.curie
        regions[name] = entry
    quality = device.structure.quality
    return {
        "regions": regions,
        "interfaces": {n: i.area for n, i in device.structure.interfaces.items()},
        "mesh": {
            "cells": quality.cells,
            "vertices": quality.vertices,
            "aspect_ratio": quality.aspect,
            "shape": quality.shape,
            "unknowns": len(device.problem.constraint.charge),
            "memory_estimate_bytes": memory_estimate(device),
        },
        "estimates": [u.path for u in device.used if u.value.status == "estimate"],
        "warnings": list(warnings),
    }


def memory_estimate(device: Device) -> int:
    """Return the estimated peak memory of the run [bytes]: what is there now, and the solution.

    With the solution of the next order, where error bars are asked for and not given up.
    """
    from ..studies.accuracy.error_bars import bars_are_affordable

    solver = device.case.solver
    bars = solver.error_bars and solver.method != "stack" and bars_are_affordable(device)
    numbers = stored_numbers(device.space, device.problem.scaled(device.fields(device.direction)))
    method = device.problem.options.method
    return resident_bytes() + estimated_bytes(device.space, method, numbers, bars)


def _print(table: dict[str, Any]) -> None:
    for name, r in table["regions"].items():
        print(f"\n{name} ({r['kind']})")
        print(f"  conductivity        {r['conductivity']:.4g} S/m (Drude {r['drude_conductivity']:.4g} S/m)")
        print(f"  DOS per spin        {r['dos']:.4g} 1/(J m^3)")
        print(f"  diffusion constant  {r['diffusion_constant']:.4g} m^2/s")
        for key in ("relaxation", "precession", "spin_orbit", "shortest"):
            print(f"  {key.replace('_', '-') + ' length':19} {_nm(r[f'{key}_length'])}")
        if "mean_spin" in r:
            print(f"  mean spin of a moment {r['mean_spin']:.4g}, T_C {r['curie_temperature']:.4g} K")
        if "conductance_layer" in r:
            for key, text in (
                ("layer", "G of the layer (a^z = 0, Theta = 1)"),
                ("thin", "G to leading order in the thickness"),
            ):
                print(f"  {text} [S/m^2]")
                for row in np.atleast_2d(r[f"conductance_{key}"]):
                    print("    " + " ".join(f"{x:12.4e}" for x in row))
    mesh = table["mesh"]
    print(
        f"\nmesh: {mesh['cells']} cells, {mesh['vertices']} vertices, aspect ratio"
        f" {mesh['aspect_ratio']:.3g}, {mesh['unknowns']} unknowns, about"
        f" {mesh['memory_estimate_bytes'] / 1e6:.0f} MB"
    )
    print("interfaces: " + ", ".join(table["interfaces"]))
    for path in table["estimates"]:
        print(f"estimate without a source: {path}")


def _nm(length: float) -> str:
    return "none" if not np.isfinite(length) else f"{length / LENGTH:.4g} nm"
