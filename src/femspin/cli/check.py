"""``femspin check``: validate, and show what the case implies before it is run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..case import load_case
from ..error_bars import bars_are_affordable
from ..errors import CaseError
from ..fields.lengths import lengths, resolved_rates
from ..interface.conductance import layer_conductance, thin_conductance
from ..pipeline import Device, Transport, build_device
from ..results.report import region_thickness, warnings_of
from ..results.write import to_json
from ..scan import scan_points
from ..transport.memory import estimated_bytes, resident_bytes, stored_numbers
from ..units import LENGTH
from .run import with_file

__all__ = ["check", "check_table"]


def check(args: argparse.Namespace) -> int:
    """Check a case file; return the exit code."""
    file = Path(args.case)
    case = load_case(file, args.set)
    try:
        if case.texture is not None:
            from .texture import check_texture

            return check_texture(args, case, file)
        device = build_device(case, file.parent)
        if case.scan is not None:
            scan_points(case)
    except CaseError as error:
        raise with_file(error, file) from None
    table = check_table(device)
    if case.scan is not None:
        table["scan"] = {"points": case.scan.points, "summary": case.scan.summary}
    if args.json:
        sys.stdout.write(to_json(table))
    elif not args.quiet:
        _print(table, file)
    return 0


def check_table(device: Device) -> dict[str, Any]:
    """Return derived lengths, conductances, mesh size, memory estimate and warnings."""
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
            "longest_cell_over_shortest_length": _resolution(device, name, scale.shortest),
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
        "warnings": warnings_of(device, _unsolved(device, fields)) + _coarse(regions),
    }


def _resolution(device: Device, region: str, shortest: float) -> float:
    """Return the largest vertical cell extent over the shortest length of a region."""
    mesh = device.structure.mesh
    z = mesh.p[-1, mesh.t[:, device.structure.cells(region)]]
    return float(np.ptp(z, axis=0).min()) * LENGTH / shortest


def _coarse(regions: dict[str, Any]) -> list[str]:
    return [
        f"{name}: even the thinnest cells are {entry['longest_cell_over_shortest_length']:.2g}"
        " shortest lengths high; refine the mesh"
        for name, entry in regions.items()
        if entry["longest_cell_over_shortest_length"] > 0.5
    ]


def _unsolved(device: Device, fields: Any) -> Transport:
    return Transport(device.direction, fields, None, {})  # type: ignore[arg-type]


def memory_estimate(device: Device) -> int:
    """Return the estimated peak memory of the run [bytes]: what is there now, and the solution.

    With the solution of the next order, where error bars are asked for and not given up.
    """
    solver = device.case.solver
    bars = solver.error_bars and solver.method != "stack" and bars_are_affordable(device)
    numbers = stored_numbers(device.space, device.problem.scaled(device.fields(device.direction)))
    method = device.problem.options.method
    return resident_bytes() + estimated_bytes(device.space, method, numbers, bars)


def _print(table: dict[str, Any], file: Path) -> None:
    print(f"{file}: valid")
    for name, r in table["regions"].items():
        print(f"\n{name} ({r['kind']})")
        print(f"  conductivity        {r['conductivity']:.4g} S/m"
              f" (Drude {r['drude_conductivity']:.4g} S/m)")  # fmt: skip
        print(f"  DOS per spin        {r['dos']:.4g} 1/(J m^3)")
        print(f"  diffusion constant  {r['diffusion_constant']:.4g} m^2/s")
        for key in ("relaxation", "precession", "spin_orbit", "shortest"):
            print(f"  {key.replace('_', '-') + ' length':19} {_nm(r[f'{key}_length'])}")
        if "mean_spin" in r:
            print(f"  mean spin of a moment {r['mean_spin']:.4g},"
                  f" T_C {r['curie_temperature']:.4g} K")  # fmt: skip
        if "conductance_layer" in r:
            for key, text in (("layer", "G of the layer (a^z = 0, Theta = 1)"),
                              ("thin", "G to leading order in the thickness")):  # fmt: skip
                print(f"  {text} [S/m^2]")
                for row in np.atleast_2d(r[f"conductance_{key}"]):
                    print("    " + " ".join(f"{x:12.4e}" for x in row))
    mesh = table["mesh"]
    print(f"\nmesh: {mesh['cells']} cells, {mesh['vertices']} vertices, aspect ratio"
          f" {mesh['aspect_ratio']:.3g}, {mesh['unknowns']} unknowns, about"
          f" {mesh['memory_estimate_bytes'] / 1e6:.0f} MB")  # fmt: skip
    print("interfaces: " + ", ".join(table["interfaces"]))
    if "scan" in table:
        print(f"scan: {table['scan']['summary']}")
    for path in table["estimates"]:
        print(f"estimate without a source: {path}")
    for warning in table["warnings"]:
        print(f"warning: {warning}")


def _nm(length: float) -> str:
    return "none" if not np.isfinite(length) else f"{length / LENGTH:.4g} nm"
