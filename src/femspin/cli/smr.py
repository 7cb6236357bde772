"""``femspin smr``: the magnetoresistance of a case, amplitudes and angular scans."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..case import load_case
from ..device.build import build_device
from ..device.model import Device
from ..errors import CaseError
from ..results.folder import to_json
from ..studies.magnetoresistance import PLANES, angular_scan, smr_amplitudes
from .progress import with_file
from .run import say_what_is_left_out

__all__ = ["smr"]


def smr(args: argparse.Namespace) -> int:
    """Print the magnetoresistance of a case file; return the exit code."""
    if args.angles < 0:
        raise CaseError("--angles", f"must be 0 or more, got {args.angles}")
    file = Path(args.case)
    case = load_case(file, args.set)
    say_what_is_left_out(case)
    try:
        table = _table(build_device(case, file.parent), args.angles, args.rotate)
    except CaseError as error:
        raise with_file(error, file) from None
    if args.json:
        sys.stdout.write(to_json(table))
    elif not args.quiet:
        _print(table)
    return 0


def _table(device: Device, count: int, rotate: Literal["m", "B"]) -> dict[str, Any]:
    found = smr_amplitudes(device, rotate=rotate)
    angles = np.linspace(0.0, 2 * np.pi, count, endpoint=False)
    scans = {}
    for plane in PLANES if count else ():
        scan = angular_scan(device, plane, angles, rotate)
        scans[plane] = {
            "angle": np.degrees(angles),
            "longitudinal": scan.longitudinal,
            "transverse": scan.transverse,
        }
    return {
        "title": device.case.title,
        "resistivity": found.resistivity,
        "amplitudes": {"d0": found.d0, "d1": found.d1, "d2": found.d2},
        "residual": found.residual,
        "rotated": rotate,
        "scans": scans,
    }


def _print(table: dict[str, Any]) -> None:
    if table["title"]:
        print(table["title"])
    u = table["rotated"].lower()  # b is the direction of B
    print(f"rho = {table['resistivity']:.6e} Ohm m, current along x, normal along z")
    print(f"rho_L/rho = 1 + d0 + d1 (1 - {u}_y^2)   rho_T/rho = d1 {u}_x {u}_y + d2 {u}_z")
    for name, value in table["amplitudes"].items():
        print(f"{name} = {value:.6e}")
    print(f"largest deviation from this form {table['residual']:.1e}")
    for plane, scan in table["scans"].items():
        print(
            f"\n{table['rotated']} in the {plane} plane, angle [deg] from {plane[0]} to"
            f" {plane[1]}, rho_L/rho - 1, rho_T/rho"
        )
        rows = zip(scan["angle"], scan["longitudinal"], scan["transverse"], strict=True)
        for angle, along, across in rows:
            print(f"{angle:8.2f} {along + 0.0:14.6e} {across + 0.0:14.6e}")
