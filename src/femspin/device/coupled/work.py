"""What solving transport again and again has cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["PhaseClock", "Work"]


@dataclass
class Work:
    """What solving has cost so far.

    Args:
        solutions: Solved problems.
        factorisations: Preconditioners made.
        iterations: Krylov iterations of every solution.
        seconds: Wall time by phase: fields, assembly, factor, solve, torque.
    """

    solutions: int = 0
    factorisations: int = 0
    iterations: list[int] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("fields", "assembly", "factor", "solve", "torque"), 0.0)
    )


class PhaseClock:
    """Adds wall time to the phases of `Work`."""

    def __init__(self, work: Work) -> None:
        self._work, self._last = work, time.perf_counter()

    def lap(self, phase: str) -> None:
        """Add the time since the last lap to a phase."""
        now = time.perf_counter()
        self._work.seconds[phase] += now - self._last
        self._last = now
