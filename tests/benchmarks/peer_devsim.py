"""femspin against DEVSIM on spin Hall magnetoresistance: same mesh; not a test.

    python tests/benchmarks/peer_devsim.py [--cells 50 200 ...] [--lateral 40] [--repeats 3]
        [--quick] [--json FILE]

Pt on a magnetic insulator: three spin potentials with a spin diffusion length, the spin Hall
current as their source and a spin-mixing conductance G_r, G_i at the interface.  Chen et al.
(PRB 87, 144411) give the resistivities in closed form.  DEVSIM takes finite volumes on the
nodes of femspin's mesh (in 2D on its triangles), femspin finite elements of order 1 and 2.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from film import Stopwatch, in_child, machine, markdown, median, peak_memory, write

PT = {"conductivity": 2.5e6, "length": 1.5e-9, "thickness": 3e-9, "angle": 0.1, "G_r": 4e14, "G_i": 5e13}
M = (0.6, 0.48, 0.64)
WIDTH = 20.0  # [nm] in 2D
MOST_CELLS_2D = 100

COLUMNS = {
    "dimension": "dimension",
    "nodes": "nodes",
    "code": "code",
    "order": "order",
    "build_s": "mesh and model [s]",
    "solve_s": "solve [s]",
    "cpu_s": "CPU [s]",
    "longitudinal_error": "error of rho_L",
    "transverse_error": "error of rho_T",
    "peak_MB": "peak [MB]",
    "baseline_MB": "of it at start [MB]",
}


def smr_case(dimension: int, order: int, cells: int, lateral: int) -> Any:
    """Return the case; Theta to first order, as in the closed form."""
    from femspin import case_from_table

    structure: dict[str, Any] = {
        "dimension": dimension,
        "layers": [
            {"region": "YIG", "thickness": "1 nm", "cells": 1},
            {"region": "Pt", "thickness": f"{PT['thickness']} m", "cells": cells},
        ],
    }
    if dimension == 2:
        structure |= {"cell": "tri", "width": f"{WIDTH} nm", "cells_x": lateral}
    return case_from_table(
        {
            "structure": structure,
            "regions": {
                "YIG": {"kind": "FI"},
                "Pt": {
                    "kind": "HM",
                    "conductivity": f"{PT['conductivity']} S/m",
                    "diffusion_constant": "4e-4 m^2/s",
                    "theta_mode": "first",
                    "spin_diffusion_length": f"{PT['length']} m",
                    "spin_hall_angle": PT["angle"],
                },
            },
            "interfaces": {
                "Pt|YIG": {"G_s": "0 S/m^2", "G_r": f"{PT['G_r']} S/m^2", "G_i": f"{PT['G_i']} S/m^2"}
            },
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
            "magnetization": {"direction": list(M)},
            "solver": {"order": order},
        }
    )


def closed_form() -> tuple[float, float]:
    """Return the relative changes of rho_L and rho_T."""
    from femspin.studies.limits import spin_hall_magnetoresistance

    d0, d1, d2 = spin_hall_magnetoresistance(
        1 / PT["conductivity"], PT["length"], PT["thickness"], PT["angle"], 0.0, PT["G_r"], PT["G_i"]
    )
    return d0 + d1 * (1 - M[1] ** 2), d1 * M[0] * M[1] + d2 * M[2]


def errors(fall: Any) -> dict[str, float]:
    """Return the relative errors of the resistivities.

    Args:
        fall: (mu^a(top) - mu^a(interface)) / (d s / nu D): the share of the spin Hall current of
            polarisation y that flows back with polarisation a, shape (3,).
    """
    found = (-(PT["angle"] ** 2) * fall[1], PT["angle"] ** 2 * fall[0])
    exact = closed_form()
    names = ("longitudinal_error", "transverse_error")
    return {n: abs(a / b - 1) for n, a, b in zip(names, found, exact, strict=True)}


def measure_femspin(job: dict[str, Any]) -> dict[str, Any]:
    """Return times and errors of femspin; the mesh goes to a file for the peer."""
    import numpy as np

    from femspin import build_device

    case = smr_case(job["dimension"], job["order"], job["cells"], job["lateral"])
    small = build_device(smr_case(job["dimension"], job["order"], 8, 4))
    small.problem.solve(small.fields(small.direction), small.laws(small.direction))
    baseline, runs = peak_memory(), []
    for _ in range(job["repeats"]):
        with Stopwatch() as build:
            device = build_device(case)
        with Stopwatch() as work:
            state = device.problem.solve(device.fields(device.direction), device.laws(device.direction))
        runs.append((build.wall, work.wall, build.cpu + work.cpu))
    peak = peak_memory()
    c = state.coefficients["Pt"]
    z = device.space.locations[-1]
    ends = [state.mu[np.abs(z - end) < 1e-9 * np.ptp(z), 1:].mean(axis=0) for end in (z.max(), z.min())]
    source = (c.theta @ c.drift.ravel()).reshape(3, 4)[2, 2]
    fall = (ends[0] - ends[1]) / (np.ptp(z) * source / (c.dos * c.diffusion))
    if job.get("mesh"):
        mesh, cells = device.structure.mesh, device.structure.cells("Pt")
        used, t = np.unique(mesh.t[:, cells], return_inverse=True)
        np.savez(job["mesh"], points=mesh.p[:, used].T, cells=t.reshape(mesh.t.shape[0], -1).T)
    times = [median([r[k] for r in runs]) for k in range(3)]
    return errors(fall) | {
        "nodes": device.space.n_dofs,
        "peak_MB": peak,
        "baseline_MB": baseline,
        **dict(zip(("build_s", "solve_s", "cpu_s"), times, strict=True)),
    }


# ---------------------------------------------------------------- DEVSIM


def measure_devsim(job: dict[str, Any]) -> dict[str, Any]:
    """Return times and errors of DEVSIM on the mesh in a file.

    Lengths in spin diffusion lengths, spin potentials in units of lambda s / nu D.
    """
    import devsim
    import numpy as np

    data = np.load(job["mesh"])
    points = (data["points"] - data["points"].min(axis=0)) / (1e9 * PT["length"])
    baseline, runs = peak_memory(), []
    for k in range(job["repeats"]):
        device = f"film{k}"
        with Stopwatch() as build:
            (_line if job["dimension"] == 1 else _triangles)(devsim, device, points, data["cells"])
            _model(devsim, device)
        with Stopwatch() as work:
            devsim.solve(type="dc", absolute_error=1e30, relative_error=1e-10, maximum_iterations=5)
        values = np.array(
            [devsim.get_node_model_values(device=device, region="Pt", name=f"mu_{a}") for a in "xyz"]
        )
        last = "y" if job["dimension"] == 2 else "x"
        height = np.array(devsim.get_node_model_values(device=device, region="Pt", name=last))
        runs.append((build.wall, work.wall, build.cpu + work.cpu))
        devsim.delete_device(device=device)
        devsim.delete_mesh(mesh=device)
    ends = [values[:, np.abs(height - end) < 1e-9].mean(axis=1) for end in (height.max(), height.min())]
    times = [median([r[k] for r in runs]) for k in range(3)]
    return errors((ends[0] - ends[1]) / np.ptp(height)) | {
        "nodes": len(height),
        "peak_MB": peak_memory(),
        "baseline_MB": baseline,
        **dict(zip(("build_s", "solve_s", "cpu_s"), times, strict=True)),
    }


def _line(devsim: Any, device: str, points: Any, _: Any) -> None:
    z = sorted(float(p) for p in points[:, 0])
    devsim.create_1d_mesh(mesh=device)
    for k, position in enumerate(z):
        tag = {0: "interface", len(z) - 1: "top"}.get(k, "")
        devsim.add_1d_mesh_line(mesh=device, pos=position, ps=1e3, tag=tag)
    for end in ("interface", "top"):  # a contact without equations is a free end
        devsim.add_1d_contact(mesh=device, name=end, tag=end, material="metal")
    devsim.add_1d_region(mesh=device, material="Pt", region="Pt", tag1="interface", tag2="top")
    devsim.finalize_mesh(mesh=device)
    devsim.create_device(mesh=device, device=device)


def _triangles(devsim: Any, device: str, points: Any, cells: Any) -> None:
    import numpy as np

    bottom = np.flatnonzero(points[:, 1] < 1e-9)
    bottom = bottom[np.argsort(points[bottom, 0])]
    coordinates = np.column_stack([points, np.zeros(len(points))]).ravel().tolist()
    elements: list[int] = []
    for cell in cells.tolist():
        elements += [2, 0, *cell]  # a triangle of the first physical group
    for a, b in zip(bottom[:-1].tolist(), bottom[1:].tolist(), strict=True):
        elements += [1, 1, a, b]
    devsim.create_gmsh_mesh(
        mesh=device, coordinates=coordinates, physical_names=["Pt", "interface"], elements=elements
    )
    devsim.add_gmsh_region(mesh=device, gmsh_name="Pt", region="Pt", material="Pt")
    devsim.add_gmsh_contact(
        mesh=device, gmsh_name="interface", region="Pt", material="metal", name="interface"
    )
    devsim.finalize_mesh(mesh=device)
    devsim.create_device(mesh=device, device=device)


def _model(devsim: Any, device: str) -> None:
    """Set div J + mu = 0, J = -grad mu + s, and J = G mu at the interface.

    At a contact DEVSIM replaces the whole balance of a node, so its loss is repeated there, and
    what enters is divided by the volume over which it integrates.
    """
    import numpy as np

    at = {"device": device, "region": "Pt"}
    # s along the edge: the height's share of its unit vector.
    up = "unitx" if devsim.get_dimension(device=device) == 1 else "unity"
    m = np.array(M)
    turn = np.array([[0, -m[2], m[1]], [m[2], 0, -m[0]], [-m[1], m[0], 0]])
    G = (PT["G_r"] * turn @ turn + PT["G_i"] * turn) * 2 * PT["length"] / PT["conductivity"]
    for a in "xyz":
        devsim.node_solution(name=f"mu_{a}", **at)
        devsim.edge_from_node_model(node_model=f"mu_{a}", **at)
        source = f" + {up}" if a == "y" else ""
        flux = f"-(mu_{a}@n1 - mu_{a}@n0) * EdgeInverseLength{source}"
        devsim.edge_model(name=f"J_{a}", equation=flux, **at)
        for n, sign in (("n0", ""), ("n1", "-")):
            slope = f"{sign}EdgeInverseLength"
            devsim.edge_model(name=f"J_{a}:mu_{a}@{n}", equation=slope, **at)
        devsim.node_model(name=f"loss_{a}", equation=f"mu_{a}", **at)
        devsim.node_model(name=f"loss_{a}:mu_{a}", equation="1", **at)
        devsim.equation(
            name=f"spin_{a}", variable_name=f"mu_{a}", node_model=f"loss_{a}", edge_model=f"J_{a}", **at
        )
    share = "ContactSurfaceArea / NodeVolume"
    for row, a in enumerate("xyz"):
        slopes = {
            b: f"({float(-G[row, col])!r}) * {share}" + (" + 1" if a == b else "")
            for col, b in enumerate("xyz")
        }
        models = {f"in_{a}": " + ".join(f"({k}) * mu_{b}" for b, k in slopes.items())}
        models |= {f"in_{a}:mu_{b}": k for b, k in slopes.items()}
        for name, equation in models.items():
            devsim.contact_node_model(device=device, contact="interface", name=name, equation=equation)
        devsim.contact_equation(
            device=device, contact="interface", name=f"spin_{a}", node_model=f"in_{a}", edge_model=f"J_{a}"
        )


# ---------------------------------------------------------------- both


def compare(dimension: int, cells: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one mesh: femspin of order 1 and 2, DEVSIM."""
    with tempfile.TemporaryDirectory() as folder:
        job = {
            "dimension": dimension,
            "cells": cells,
            "lateral": given.lateral,
            "repeats": given.repeats,
            "mesh": str(Path(folder) / "mesh.npz"),
        }
        rows = []
        for order in (1, 2):
            found = in_child(__file__, job | {"order": order, "code": "femspin"}, given.threads)
            rows.append(found | {"code": "femspin", "order": order})
        found = in_child(__file__, job | {"code": "DEVSIM"}, given.threads)
        rows.append(found | {"code": "DEVSIM", "order": "finite volumes"})
    return [r | {"dimension": dimension} for r in rows]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[25, 100, 400, 1600], help="across the film")
    parser.add_argument("--lateral", type=int, default=50, help="along the film, in 2D")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one mesh in 1D and 2D")
    parser.add_argument("--json", default="results/peer_devsim.json")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        job = json.loads(given.job)
        measure = measure_femspin if job["code"] == "femspin" else measure_devsim
        print(json.dumps(measure(job)))
        return
    cells = given.cells[:1] if given.quick else given.cells
    meshes = [(1, c) for c in cells] + [(2, c) for c in cells if c <= MOST_CELLS_2D]
    rows: list[dict[str, Any]] = []
    for dimension, across in meshes:
        rows += compare(dimension, across, given)
    content = {"machine": machine("devsim"), "threads": given.threads, "rows": rows}
    write(given.json, markdown(rows, COLUMNS), content)


if __name__ == "__main__":
    main()
