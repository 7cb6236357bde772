"""How time and memory of femspin grow with the number of unknowns; not a test.

    python tests/benchmarks/scaling.py [--sizes 1e4 3e4 1e5 3e5 1e6] [--element P1]
        [--repeats 1] [--threads 2] [--quick] [--json FILE] [--image FILE]

The film of `film.py`, 100 nm wide, with at least six layers of cells in the magnetic metal and
four components.  Every size is solved in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from film import ELEMENTS, in_child, machine, markdown, measure_femspin, save, write

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "performance_scaling.png"
FEWEST_LAYERS = 6

COLUMNS = {
    "unknowns": "unknowns",
    "lateral": "cells along x and y",
    "layers": "layers",
    "layers_F": "of them in F",
    "mesh_s": "mesh and space [s]",
    "first_assembly_s": "assembly, first [s]",
    "again_assembly_s": "again [s]",
    "first_setup_s": "set-up [s]",
    "first_solve_s": "solve [s]",
    "first_s": "all, first [s]",
    "first_cpu_s": "CPU [s]",
    "again_s": "all again [s]",
    "only_F_s": "F changed [s]",
    "iterations": "its",
    "residual": "residual",
    "peak_MB": "peak [MB]",
    "baseline_MB": "of it at start [MB]",
}
FITTED = (
    "first_assembly_s",
    "again_assembly_s",
    "first_setup_s",
    "first_solve_s",
    "first_s",
    "first_cpu_s",
    "again_s",
    "only_F_s",
    "mesh_s",
    "iterations",
    "memory_MB",
)


def exponent(rows: list[dict[str, Any]], key: str) -> float | None:
    """Return p of the fit c N^p through what the iterative solver needed, None without two."""
    points = [
        (math.log(r["unknowns"]), math.log(r[key])) for r in rows if r["method"] == "iterative" and r.get(key)
    ]
    if len(points) < 2:
        return None
    x, y = (sum(v) / len(points) for v in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def plot(rows: list[dict[str, Any]], exponents: dict[str, float | None], path: Path) -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = (
        (
            "time [s]",
            {
                "first_s": "first solution",
                "again_s": "again, all new",
                "only_F_s": "again, F new",
                "first_assembly_s": "assembly",
                "first_setup_s": "set-up",
                "first_solve_s": "solve",
            },
        ),
        ("peak memory above start [MB]", {"memory_MB": "memory"}),
        ("iterations", {"iterations": "iterations"}),
    )
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), constrained_layout=True)
    for axis, (label, curves) in zip(axes, panels, strict=True):
        for key, name in curves.items():
            known = [r for r in rows if r.get(key)]
            p = exponents.get(key)
            text = name if p is None else f"{name}, $N^{{{p:.2f}}}$"
            if known:
                axis.loglog([r["unknowns"] for r in known], [r[key] for r in known], "o-", label=text)
        axis.set(xlabel="unknowns N", ylabel=label)
        axis.grid(True, which="both", alpha=0.2)
        axis.legend(fontsize=8)
    axes[2].set(yscale="linear")
    axes[2].set_ylim(bottom=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Print the table, write the numbers and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e4, 3e4, 1e5, 3e5, 1e6])
    parser.add_argument("--element", default="P1", choices=list(ELEMENTS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="1e4 and 3e4 only")
    parser.add_argument("--json", default="results/scaling.json")
    parser.add_argument("--image", type=Path, default=IMAGE)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        print(json.dumps(measure_femspin(json.loads(given.job))))
        return
    rows: list[dict[str, Any]] = []
    content: dict[str, Any] = {"machine": machine(), "threads": given.threads, "rows": rows}
    for size in [1e4, 3e4] if given.quick else given.sizes:
        job = {"element": given.element, "unknowns": int(size), "repeats": given.repeats}
        row = in_child(__file__, job, given.threads)
        if row["layers_F"] < FEWEST_LAYERS:
            raise SystemExit(f"only {row['layers_F']} layers of cells in F")
        rows.append(row | {"memory_MB": row["peak_MB"] - row["baseline_MB"]})
        print(markdown(rows[-1:], COLUMNS).splitlines()[-1], flush=True)
        save(given.json, content)  # what is known, should a later size fail
    exponents = {key: exponent(rows, key) for key in FITTED}
    fits = {"unknowns": "p of N^p", **exponents}
    content["exponents"] = exponents
    plot(rows, exponents, given.image)
    write(given.json, markdown([*rows, fits], COLUMNS), content)


if __name__ == "__main__":
    main()
