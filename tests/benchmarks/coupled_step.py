"""Time per coupled step of a texture and transport, split by phase; not a test.

    python tests/benchmarks/coupled_step.py [--steps 20] [--film 2000] [--lateral 50]
                                            [--tolerance 0.01] [--repeats 3]

A Pt film on a thin F on a magnetic insulator.  A wall lies across the film and moves in the
current along x; every step moves it, and transport is solved again where a moment has turned by
half the tolerance.  Every time is the median of the repeats.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from femspin import build_device, case_from_table
from femspin.device.coupled.build import textured_transport
from femspin.device.coupled.steps import run_coupled
from femspin.device.coupled.torque import CoupledTorque
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.magnet import Ferromagnet
from femspin.magnets.midpoint import Midpoint
from femspin.magnets.walls import wall_profile

PHASES = ("magnetics", "fields", "assembly", "factor", "solve", "torque")


def film(dimension: int, lateral: int, response: bool):
    """Return the case: order 1, electrodes left and right, cells of 2 nm laterally."""
    f = {
        "kind": "F",
        "conductivity": "2e6 S/m",
        "diffusion_constant": "3e-4 m^2/s",
        "spin_diffusion_length": "4 nm",
        "kondo": {
            "spin": 2.5,
            "moment_density": "1e28 1/m^3",
            "exchange_energy": "20 meV",
            "curie_temperature": "559 K",
        },
    }
    if response:
        f |= {"mass": "1 m_e", "scattering_time": "2 fs", "polarisation": 0.3}
    pt = 8 if dimension == 2 else 6  # cells across Pt
    layers = [("YIG", "2 nm", 2), ("F", "0.6 nm", 2), ("Pt", "3 nm", pt)]
    structure = {
        "dimension": dimension,
        "lateral": "insulating",
        "width": f"{2 * lateral} nm",
        "cells_x": lateral,
        "layers": [{"region": n, "thickness": t, "cells": c} for n, t, c in layers],
    }
    if dimension == 3:
        structure |= {"depth": f"{2 * lateral} nm", "cells_y": lateral}
    return case_from_table(
        {
            "structure": structure,
            "regions": {"YIG": {"kind": "FI"}, "F": f, "Pt": {"kind": "HM", "material": "Pt"}},
            "drive": {
                "electrodes": {"left": {"voltage": f"{4e-4 * lateral} V"}, "right": {"voltage": "0 V"}}
            },
            "solver": {"order": 1},
        }
    )


def measure(dimension: int, lateral: int, response: bool, steps: int, tolerance: float) -> dict[str, Any]:
    """Return counts and times [ms per step, first solution in s] of one run."""
    device = build_device(film(dimension, lateral, response))
    coupled = textured_transport(device, "YIG")
    magnet = Ferromagnet(1.4e5, 4e-12, 0.05, anisotropy=1e5)
    torque = CoupledTorque(coupled, magnet.spin_density, tolerance)
    texture = ferromagnet_texture(coupled.map.space, magnet).with_torques(torque.external)
    m = wall_profile(coupled.map.space, lateral * 1e-9, magnet.wall_width)
    scheme = Midpoint(texture, 0.5)
    m, _ = scheme.advance(m, 0.0, 1e-6)  # the first solution and the first factors
    first = dict(coupled.work.seconds)
    solved, made = coupled.work.solutions, coupled.work.factorisations
    _, report = run_coupled(scheme, texture, torque, m, np.array([0.0, 0.5e-12 * steps]), lambda *_: 0.0)
    spent = {k: report["seconds"].get(k, 0.0) - first.get(k, 0.0) for k in PHASES}
    spent["magnetics"] += sum(first.values())
    count, iterations = report["steps"], coupled.work.iterations[solved:]
    return {
        "nodes": device.space.n_dofs,
        "magnet nodes": coupled.map.space.size,
        "steps": count,
        "solutions": report["solutions"] - solved,
        "factors": report["factorisations"] - made,
        "iterations": float(np.mean(iterations or [0])),
        "first solution [s]": sum(first.values()),
        "angle error": report["angle_error"],
        **{k: 1e3 * spent[k] / count for k in PHASES},
    }


def row(dimension: int, lateral: int, response: bool, steps: int, tolerance: float, repeats: int) -> str:
    """Return one row of the table: medians over the repeats."""
    runs = [measure(dimension, lateral, response, steps, tolerance) for _ in range(repeats)]
    one = {k: float(np.median([r[k] for r in runs])) for k in runs[0]}
    counts = ["nodes", "magnet nodes", "steps", "solutions", "factors"]
    columns = [
        f"{dimension}D",
        "all" if response else "reaction",
        *(f"{one[k]:.0f}" for k in counts),
        f"{one['iterations']:.1f}",
        *(f"{one[k]:.1f}" for k in PHASES),
        f"{one['first solution [s]']:.2f}",
        f"{one['angle error']:.1e}",
    ]
    return f"| {' | '.join(columns)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--film", type=int, default=2000, help="cells along x in 2D")
    parser.add_argument("--lateral", type=int, default=50, help="cells per side in 3D")
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    heads = [
        "",
        "varies",
        "nodes",
        "magnet nodes",
        "steps",
        "solutions",
        "factors",
        "iterations",
        *(f"{p} [ms/step]" for p in PHASES),
        "first solution [s]",
        "angle error",
    ]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|", flush=True)
    for dimension in (2, 3):  # compiles what is compiled
        measure(dimension, 10, True, 1, given.tolerance)
    for dimension, lateral in ((2, given.film), (3, given.lateral)):
        for response in (False, True):
            print(row(dimension, lateral, response, given.steps, given.tolerance, given.repeats), flush=True)


if __name__ == "__main__":
    main()
