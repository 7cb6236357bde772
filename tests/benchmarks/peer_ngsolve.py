"""femspin against NGSolve: same mesh, order, coefficients, tolerance; not a test.

    python tests/benchmarks/peer_ngsolve.py [--quick] [--elements P1 P2 Q1 Q2]
        [--sizes 1e4 1e5 3e5 1e6] [--repeats 3] [--threads 2] [--methods ...] [--json FILE]

femspin makes the mesh and hands NGSolve its vertices and cells as they are.  NGSolve solves with
every method that is feasible; the fastest counts.  The generation and compilation of C++ code for
its forms is not counted.  Both reach a relative residual of 1e-10, recomputed from the equations.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from film import ELEMENTS, TOLERANCE, in_child, machine, markdown, measure_femspin, save, write
from ngsolve_film import measure_ngsolve

# Up to these unknowns a method is tried.  Those that treat charge node by node need very many
# iterations on flat cells, and a direct factor of tetrahedra fills fast.
LIMITS = {
    "diagonal": 1.1e4,
    "block Jacobi": 1.1e4,
    "block Gauss-Seidel": 1.1e4,
    "h1amg": 4e6,
    "Cholesky": 1.2e6,
    "h1amg, block Jacobi": 1.2e5,
    "h1amg, columns": 4e6,
    "Cholesky, columns": 1.2e6,
    "PARDISO": 3e4,
    "UMFPACK": 3e4,
}
AMG_ORDER_2 = 1.2e5  # hundreds of iterations on quadratic elements
QUICK = ("Cholesky", "h1amg, columns", "Cholesky, columns", "PARDISO")
COLUMNS = {
    "element": "element",
    "unknowns": "unknowns",
    "code": "code",
    "method": "method",
    "first_assembly_s": "assembly, first [s]",
    "again_assembly_s": "again [s]",
    "setup_s": "set-up [s]",
    "solve_s": "solve [s]",
    "total_s": "all [s]",
    "total_cpu_s": "all, CPU [s]",
    "again_total_s": "all again [s]",
    "iterations": "its",
    "residual": "residual",
    "peak_MB": "peak [MB]",
    "baseline_MB": "of it at start [MB]",
    "difference": "currents differ",
}


def limit(method: str, element: str) -> float:
    """Return the unknowns up to which a method is tried."""
    slow = ELEMENTS[element][1] > 1 and "h1amg" in method
    return min(LIMITS[method], AMG_ORDER_2) if slow else LIMITS[method]


def compare(element: str, size: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one element and size: femspin, and every method of NGSolve."""
    with tempfile.TemporaryDirectory() as folder:
        problem = str(Path(folder) / "problem.npz")
        job = {"element": element, "unknowns": size, "repeats": given.repeats, "problem": problem}
        own = in_child(__file__, job | {"code": "femspin"}, given.threads)
        wanted = given.methods or (QUICK if given.quick else LIMITS)
        methods = [m for m in wanted if own["unknowns"] <= limit(m, element)]
        job = {"code": "NGSolve", "problem": problem, "repeats": given.repeats, "methods": methods}
        peer = in_child(__file__, job, given.threads)
        best = min(peer["results"], key=_time)
        job |= {"methods": [best["method"]], "repeats": 1}
        alone = peer if given.quick else in_child(__file__, job, given.threads)
    rows = [femspin_row(element, own)]
    for result in sorted(peer["results"], key=_time):
        memory = alone if result is best else {}
        rows.append(ngsolve_row(element, own, peer, memory, result))
    return rows


def _time(result: dict[str, Any]) -> float:
    reached = result["residual"] <= TOLERANCE
    return float(result["setup_s"] + result["solve_s"]) if reached else float("inf")


def femspin_row(element: str, own: dict[str, Any]) -> dict[str, Any]:
    """Return the row of femspin."""
    renamed = {
        "setup_s": own["first_setup_s"],
        "solve_s": own["first_solve_s"],
        "total_s": own["first_s"],
        "total_cpu_s": own["first_cpu_s"],
        "again_total_s": own["again_s"],
    }
    return own | renamed | {"element": element, "code": "femspin"}


def ngsolve_row(
    element: str, own: dict[str, Any], peer: dict[str, Any], memory: dict[str, Any], result: dict[str, Any]
) -> dict[str, Any]:
    """Return the row of one method; the currents are compared with femspin's."""
    pairs = [
        (a, b)
        for mine, other in zip(own["currents"], result["currents"], strict=True)
        for a, b in zip(mine, other, strict=True)
    ]
    rest = result["setup_s"] + result["solve_s"]
    return result | {
        "element": element,
        "code": "NGSolve",
        "unknowns": peer["unknowns"],
        "first_assembly_s": peer["first_assembly_s"],
        "again_assembly_s": peer["again_assembly_s"],
        "total_s": peer["first_assembly_s"] + rest,
        "total_cpu_s": peer["first_assembly_cpu_s"] + result["cpu_s"],
        "again_total_s": peer["again_assembly_s"] + rest,
        "difference": max(abs(a - b) for a, b in pairs) / max(abs(a) for a, _ in pairs),
        "compile_s": peer["compile_s"],
        "peak_MB": memory.get("peak_MB"),
        "baseline_MB": memory.get("baseline_MB"),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e4, 1e5, 3e5, 1e6])
    parser.add_argument("--elements", nargs="+", default=list(ELEMENTS), choices=list(ELEMENTS))
    parser.add_argument("--methods", nargs="+", choices=list(LIMITS), help="of NGSolve")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="P1 with 1e4 unknowns only")
    parser.add_argument("--json", default="results/peer_ngsolve.json")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        job = json.loads(given.job)
        measure = measure_femspin if job["code"] == "femspin" else measure_ngsolve
        print(json.dumps(measure(job)))
        return
    if given.quick:
        given.sizes, given.elements = [1e4], ["P1"]
    rows: list[dict[str, Any]] = []
    content = {"machine": machine("ngsolve"), "threads": given.threads, "rows": rows}
    for element in given.elements:
        for size in given.sizes:
            found = compare(element, int(size), given)
            print("\n".join(markdown(found, COLUMNS).splitlines()[2:]), flush=True)
            rows += found
            save(given.json, content)  # what is known, should a later size fail
    write(given.json, markdown(rows, COLUMNS), content)


if __name__ == "__main__":
    main()
