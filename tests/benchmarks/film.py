"""The film that the benchmarks solve, and how they measure.

A heavy metal of 10 nm on a magnetic metal of 1 nm, 100 x 100 nm wide, with electrodes left and
right: charge and three spin components, spin Hall, Larmor and Hall angles, a gauge field,
exchange precession and anisotropic relaxation.  Cells are graded in z.

Only the standard library is imported at the top: the peak memory of a child process starts from
that of its parent.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ELEMENTS = {"P1": ("tet", 1), "P2": ("tet", 2), "Q1": ("hex", 1), "Q2": ("hex", 2)}
WIDTH = 100.0  # [nm]
TOLERANCE = 1e-10
DIRECTIONS = ((1.0, 2.0, 0.5), (-0.4, 1.0, 2.0))  # of m: the first solution and the second
# Cells per decay length and growth, from coarse to fine.
_GRADINGS = (
    (2, 2.0),
    (3, 1.6),
    (4, 1.4),
    (4, 1.3),
    (6, 1.3),
    (8, 1.3),
    (8, 1.25),
    (8, 1.2),
    (8, 1.16),
    (8, 1.13),
    (8, 1.1),
    (10, 1.08),
    (12, 1.07),
    (14, 1.06),
)


# ---------------------------------------------------------------- measuring


class Stopwatch:
    """Wall and CPU seconds of a with-block; CPU counts all threads of the process."""

    wall = cpu = 0.0

    def __enter__(self) -> Stopwatch:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu


def peak_memory() -> float:
    """Return the peak resident memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_child(script: str, job: dict[str, Any], threads: int) -> dict[str, Any]:
    """Return what `script --job ...` prints as its last line, run in a process of its own.

    Raises:
        RuntimeError: If it fails.
    """
    names = ("OMP", "NUMBA", "MKL", "OPENBLAS")
    # NGSolve calls its compiler by name; it stands beside the interpreter.
    folder = str(Path(sys.executable).parent)
    environment = os.environ | {f"{n}_NUM_THREADS": str(threads) for n in names}
    environment["PATH"] = folder + os.pathsep + os.environ.get("PATH", "")
    done = subprocess.run(
        [sys.executable, script, "--job", json.dumps(job | {"threads": threads})],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(script).name} {job}\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def median(values: list[float | None]) -> float | None:
    """Return the median of what was measured, None if nothing was."""
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def machine(*packages: str) -> dict[str, str]:
    """Return processor, cores, memory, system and versions, without the name of the host."""
    from importlib.metadata import PackageNotFoundError, version

    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = {
        "processor": models[0] if models else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
    for name in ("femspin", "numpy", "scipy", "scikit-fem", "numba", *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def markdown(rows: list[dict[str, Any]], columns: dict[str, str]) -> str:
    """Return a table of the rows; `columns` maps keys to heads."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row.get(k)) for k in columns) + " |" for row in rows]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value:.1e}"


def save(path: str, content: dict[str, Any]) -> None:
    """Write a JSON file; the folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write(path: str, table: str, content: dict[str, Any]) -> None:
    """Print machine and table, and write everything to a JSON file."""
    threads = f"; {content['threads']} threads" if "threads" in content else ""
    shown = ", ".join(f"{k} {v}" for k, v in content["machine"].items())
    print(f"\n{shown}{threads}.\n\n{table}", flush=True)
    save(path, content)
    print(f"\nwritten: {path}")


# ---------------------------------------------------------------- the problem


def film_case(cell: str, order: int, lateral: int, grading: tuple[float, float], layers: int = 0):
    """Return the case.

    Args:
        cell: ``tet`` or ``hex``.
        order: Polynomial order.
        lateral: Cells along x and along y; 0 for the line through the film.
        grading: Cells per decay length and growth.
        layers: Cells across the magnetic metal, if not graded.
    """
    from femspin import case_from_table

    magnetic = {"region": "F", "thickness": "1 nm"} | ({"cells": layers} if layers else {})
    structure = {
        "cells_per_decay_length": grading[0],
        "growth": grading[1],
        "layers": [magnetic, {"region": "HM", "thickness": "10 nm"}],
    }
    drive = {"magnetic_field": ["0.1 T", "0 T", "0.5 T"]}
    if lateral:
        structure |= {
            "dimension": 3,
            "cell": cell,
            "lateral": "insulating",
            "width": f"{WIDTH} nm",
            "depth": f"{WIDTH} nm",
            "cells_x": lateral,
            "cells_y": lateral,
        }
        drive["electrodes"] = {"left": {"voltage": "10 mV"}, "right": {"voltage": "0 V"}}
    return case_from_table(
        {
            "structure": structure,
            "regions": {
                "F": {
                    "kind": "F",
                    "conductivity": "2e6 S/m",
                    "diffusion_constant": "3e-4 m^2/s",
                    "spin_diffusion_length": "4 nm",
                    "mass": "1 m_e",
                    "scattering_time": "2 fs",
                    "polarisation": 0.3,
                    "soc": {"rashba": "0.03 eV*angstrom", "dresselhaus": "0.01 eV*angstrom"},
                    "kondo": {
                        "spin": 2.5,
                        "moment_density": "1e28 1/m^3",
                        "exchange_energy": "20 meV",
                        "curie_temperature": "559 K",
                    },
                },
                "HM": {"kind": "HM", "material": "Pt", "mass": "1 m_e", "scattering_time": "5 fs"},
            },
            "drive": drive,
            "magnetization": {"direction": list(DIRECTIONS[0])},
            "solver": {"order": order, "elements": "plain", "tolerance": TOLERANCE},
        }
    )


def film_grid(element: str, unknowns: int, layers: int = 0) -> tuple[int, tuple[float, float]]:
    """Return lateral cells and grading that come closest to a number of unknowns.

    The nodes of a column grow with the eighth root of the unknowns, the rest is lateral.
    """
    import numpy as np

    from femspin import build_device

    order = ELEMENTS[element][1]
    wanted = 25 * (unknowns / 1e4) ** 0.125
    nodes = {g: build_device(film_case("", order, 0, g, layers)).space.n_dofs for g in _GRADINGS}
    grading = min(nodes, key=lambda g: abs(nodes[g] - wanted))
    lateral = (np.sqrt(unknowns / 4 / nodes[grading]) - 1) / order
    return max(2, round(float(lateral))), grading


def film_device(element: str, unknowns: int, layers: int = 0):
    """Return the meshed problem with about the given number of unknowns."""
    from femspin import build_device

    cell, order = ELEMENTS[element]
    return build_device(film_case(cell, order, *film_grid(element, unknowns, layers), layers))


# ---------------------------------------------------------------- femspin


def measure_femspin(job: dict[str, Any]) -> dict[str, Any]:
    """Return times, iterations, residual, memory and interface currents of femspin.

    Args:
        job: ``element``, ``unknowns``, ``repeats``, ``layers``, and ``problem``: a file to write
            for the peer, if any.
    """
    import numpy as np

    import femspin.device.build  # noqa: F401  (the baseline counts the import)
    from femspin.transport.elements.pattern import build_pattern

    warm_up(job["element"])
    baseline = peak_memory()
    runs: list[dict[str, Any]] = []
    peak, device = 0.0, None
    for _ in range(job["repeats"]):
        device = None  # one problem in memory at a time
        with Stopwatch() as mesh:
            device = film_device(job["element"], job["unknowns"], job.get("layers", 0))
        # The sparsity pattern is built with the boundary conditions: counted as assembly here.
        with Stopwatch() as pattern:
            build_pattern(device.space.dofs, device.space.n_dofs)
        run, solution = _solutions(device)
        run["first_assembly_s"] += pattern.wall
        run["first_s"] += pattern.wall
        run["first_cpu_s"] += pattern.cpu
        runs.append(run | {"mesh_s": mesh.wall - pattern.wall})
        peak = peak or peak_memory()
    assert device is not None
    numbers = {k: median([r[k] for r in runs]) for k in runs[0]}
    if job.get("problem"):
        write_problem(device, job["problem"], solution.pop("mu"), solution["currents"])
    z = np.unique(device.structure.mesh.p[2])
    return numbers | {
        "unknowns": int(device.space.size),
        "cells": len(device.space.cells),
        "lateral": int(device.case.structure.cells_x),
        "layers_F": int(np.sum(z < -1e-9)),
        "layers": len(z) - 1,
        "method": solution["method"],
        "iterations": solution["iterations"],
        "residual": solution["residual"],
        "currents": solution["currents"].tolist(),
        "peak_MB": peak,
        "baseline_MB": baseline,
        "runs": runs,
    }


def warm_up(*elements: str) -> None:
    """Solve small problems, so that compiled kernels are loaded before anything is measured.

    Args:
        elements: Those that are measured; default all.
    """
    from dataclasses import replace

    from femspin.transport.system import TransportProblem

    for element in elements or ELEMENTS:
        device = film_device(element, 32_000)  # large enough for all kernels
        options = replace(device.problem.options, method="iterative")
        TransportProblem(device.space, device.problem.boundary, options).solve(
            device.fields(device.direction)
        )


def _solutions(device) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Return the times of three solutions, and what the first found.

    The first builds everything; the second has new coefficients in all regions; in the third only
    those of the magnetic metal are new.
    """
    from dataclasses import replace

    import numpy as np

    found: dict[str, float | None] = {}
    first = device.fields(np.array(DIRECTIONS[0]))
    other = device.fields(np.array(DIRECTIONS[1]))
    kept = {name: other[name] if name != "F" else replace(first["F"]) for name in first}
    solution: dict[str, Any] = {}
    for name, fields in (("first", first), ("again", other), ("only_F", kept)):
        with Stopwatch() as watch:
            state = device.problem.solve(fields)
        found |= {f"{name}_s": watch.wall, f"{name}_cpu_s": watch.cpu}
        for part in ("assembly_s", "setup_s", "solve_s"):
            found[f"{name}_{part}"] = getattr(state.report, part, None)
        if not solution:
            report = state.report
            solution = {
                "mu": state.mu,
                "currents": half_currents(device, state),
                "method": report.method,
                "iterations": int(report.iterations),
                "residual": float(report.residual),
            }
        del state
    return found, solution


def half_weights(device):
    """Return the test functions of the interface currents, shape (2, n_dofs).

    Piecewise linear, one at the vertices of the interface that are not on an electrode, zero at
    all others; the second only at those of the left half.
    """
    import numpy as np

    from femspin.transport.elements.orders import prolongation

    linear = device.space.of_order(1)
    face = next(iter(device.structure.interfaces.values()))
    dofs = linear.interface_dofs(face)
    x = linear.locations[0, dofs]
    eps = 1e-9 * WIDTH
    chosen = np.zeros((2, linear.n_dofs))
    inner = (x > eps) & (x < WIDTH - eps)
    chosen[0, dofs[inner]] = 1.0
    chosen[1, dofs[inner & (x < WIDTH / 2 + eps)]] = 1.0
    return (prolongation(linear, device.space) @ chosen.T).T


def half_currents(device, state):
    """Return the particle currents [1/ps] through the interface and its left half, (2, 4)."""
    from femspin.interface.flux import region_residual

    return half_weights(device) @ region_residual(device.space, state, "F")


# ---------------------------------------------------------------- the same mesh for a peer


def write_problem(device, path: str, mu, currents) -> None:
    """Write mesh, coefficients and solution of the first direction to a NumPy archive.

    Vertices [nm] as femspin numbers them; cells in the order of VTK; coefficients in nm, ps, meV
    as the weak form names them (`docs/theory.md`).
    """
    import numpy as np

    structure, space = device.structure, device.space
    mesh = structure.mesh
    fields = device.fields(np.array(DIRECTIONS[0]))
    regions = list(fields)
    arrays = {
        "points": mesh.p.T,
        "order": space.order,
        "regions": regions,
        "mu_vertices": mu[_vertex_dofs(device)],
        "currents": currents,
        "potential": [e.potential for e in device.problem.boundary.electrodes],
    }
    corners = _vtk_order(mesh)
    for name, c in device.problem.scaled(fields).items():
        arrays[f"cells_{name}"] = mesh.t[corners][:, structure.cells(name)].T
        for key in ("dos", "diffusion", "theta", "gauge", "relaxation", "omega", "drift"):
            arrays[f"{key}_{name}"] = getattr(c, key)
    for electrode in device.problem.boundary.electrodes:
        facets = mesh.facets[:, structure.faces[electrode.name]].T
        arrays[f"face_{electrode.name}"] = _around(mesh.p, facets)
    arrays["electrodes"] = [e.name for e in device.problem.boundary.electrodes]
    interface = next(iter(structure.interfaces.values()))
    arrays["interface"] = np.unique(mesh.facets[:, interface.facets])
    np.savez(path, **arrays)


def _vertex_dofs(device):
    """Return the scalar dof at every vertex of the mesh."""
    raw = device.space.basis.dofs.nodal_dofs[0]
    return device.space.numbers("F")[raw]


def _vtk_order(mesh) -> list[int]:
    """Return which corner of a scikit-fem cell is the k-th of VTK's."""
    import numpy as np

    if mesh.t.shape[0] == 4:
        return [0, 1, 2, 3]
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    own = np.asarray(mesh.refdom.p if hasattr(mesh.refdom, "p") else mesh.elem().doflocs.T).T
    return [int(np.flatnonzero((own == c).all(axis=1))[0]) for c in corners]


def _around(points, facets):
    """Return facets with their corners in cyclic order, as seen from outside."""
    import numpy as np

    if facets.shape[1] == 3:
        return facets
    yz = points[1:, facets] - points[1:, facets].mean(axis=2, keepdims=True)
    order = np.argsort(np.arctan2(yz[1], yz[0]), axis=1)
    return np.take_along_axis(facets, order, axis=1)
