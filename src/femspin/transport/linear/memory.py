"""How much memory a solution takes, before it is begun."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...errors import SolverError
from ..assembly.coefficients import Coefficients, block_tensors
from ..assembly.compiled import between_jets, pays_off
from ..assembly.kronecker import split_tensors
from ..elements.space import Space
from .solve import Method, goes_direct

__all__ = ["available_bytes", "estimated_bytes", "require_memory", "resident_bytes", "stored_numbers"]

# Measured peaks.  Iterative: factors and coarse levels per slot of the pattern, vectors
# per dof.  Direct: libraries, and a factor per slot (1D, 2D) or per pair of dofs (3D).
_PER_SLOT, _PER_DOF = 125.0, 750.0
_DIRECT_PER_SLOT = {1: 1000.0, 2: 1875.0, 3: 0.0}
_DIRECT_PER_PAIR = 22.0
_LIBRARIES = 1.2e8
_CHECK_FROM = 100_000


def stored_numbers(space: Space, coefficients: Mapping[str, Coefficients]) -> float:
    """Return how many numbers the matrix takes per pair of nodes, on average.

    Args:
        space: The scalar space.
        coefficients: Of every conducting region.
    """
    axes, total = space.structure.axes, 0.0
    for name, c in coefficients.items():
        numbers = 16
        if c.uniform and pays_off(space):
            tensors = between_jets(space.dimension, block_tensors(c, axes).matrix)[0]
            numbers = len(split_tensors(tensors)[0])
        total += numbers * len(space.in_region(name)) / len(space.cells)
    return total


def estimated_bytes(
    space: Space, method: Method = "auto", numbers: float = 16.0, with_bars: bool = False
) -> int:
    """Return the peak memory of assembly and solution, beyond what the process holds [bytes].

    Args:
        space: The scalar space.
        method: Choice of the linear solver.
        numbers: How many the matrix takes per pair of nodes, see `stored_numbers`.
        with_bars: Whether the next order is solved for error bars too, beside what is kept.
    """
    p, d = space.order, space.dimension
    slots, dofs = float(len(space.pattern.indices)), float(space.n_dofs)
    total = _LIBRARIES + _solution_bytes(slots, dofs, d, method, numbers)
    if with_bars:
        # A node of order p has p + 2 neighbours along a direction on average, with itself.
        more, neighbours = ((p + 1) / p) ** d, ((p + 3) / (p + 2)) ** d
        total += _solution_bytes(more * neighbours * slots, more * dofs, d, method, numbers)
    return int(total)


def _solution_bytes(slots: float, dofs: float, dimension: int, method: Method, numbers: float) -> float:
    if not goes_direct(int(4 * dofs), dimension, method):
        return (_PER_SLOT + 8 * numbers) * slots + _PER_DOF * dofs
    pairs = _DIRECT_PER_PAIR * dofs**2 if dimension == 3 else 0.0
    return _DIRECT_PER_SLOT[dimension] * slots + pairs


def resident_bytes() -> int:
    """Return what the process holds now [bytes]; zero where the system does not tell."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int | None:
    """Return what memory the process may still take [bytes], None where nobody tells."""
    found = []
    info = Path("/proc/meminfo")
    if info.exists():
        lines = [row.split() for row in info.read_text().splitlines()]
        found += [1024 * int(row[1]) for row in lines if row[0] == "MemAvailable:"]
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip().isdigit():
        found.append(int(limit.read_text()) - int(used.read_text()))
    return min(found, default=None)


def require_memory(space: Space, method: Method, coefficients: Mapping[str, Coefficients]) -> None:
    """Refuse a solution that cannot fit.

    Args:
        space: The scalar space.
        method: Choice of the linear solver.
        coefficients: Of every conducting region.

    Raises:
        SolverError: If the estimate exceeds what is available.
    """
    if space.size < _CHECK_FROM:
        return
    needed = estimated_bytes(space, method, stored_numbers(space, coefficients))
    available = available_bytes()
    if available is not None and needed > available:
        raise SolverError(
            f"{space.size} unknowns need about {needed / 1e9:.1f} GB more, and"
            f" {available / 1e9:.1f} GB are available; use fewer cells, a lower solver.order, or"
            ' solver.method = "iterative"'
        )
