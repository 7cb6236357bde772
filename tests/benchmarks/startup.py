"""How long femspin takes to start, to check a case and to solve one; not a test.

    python tests/benchmarks/startup.py [--repeats 3] [--json FILE]

Every command runs in a process of its own, as a user starts it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from film import machine, markdown, median, write

CASE = str(Path(__file__).parents[2] / "cases" / "eus_pt.toml")
COLUMNS = {"what": "", "wall_s": "wall [s]", "cpu_s": "CPU [s]", "limit_s": "limit [s]"}


def commands(folder: str) -> list[tuple[str, float | None, list[str]]]:
    """Return name, limit [s] and arguments of everything that is timed."""
    return [
        ("python alone", None, ["-c", "pass"]),
        ("import femspin", 0.5, ["-c", "import femspin"]),
        ("femspin check cases/eus_pt.toml", 1.5, ["-m", "femspin", "check", CASE]),
        (
            "femspin run cases/eus_pt.toml",
            5.0,
            ["-m", "femspin", "run", CASE, "--force", "-o", str(Path(folder) / "eus_pt")],
        ),
    ]


def timed(arguments: list[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of a Python process.

    Raises:
        RuntimeError: If it fails.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{arguments}\n{done.stderr[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", default="results/startup.json")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for what, limit, arguments in commands(folder):
            runs = [timed(arguments) for _ in range(given.repeats)]
            rows.append(
                {
                    "what": what,
                    "wall_s": median([r[0] for r in runs]),
                    "cpu_s": median([r[1] for r in runs]),
                    "limit_s": limit,
                    "runs": runs,
                }
            )
    write(given.json, markdown(rows, COLUMNS), {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
