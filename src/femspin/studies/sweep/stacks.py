"""Points of a scan with ``solver.method = "stack"``, solved together.

The layers of all points go through the exact solver as one batch; building a point and reading
off its numbers are those of `femspin.simulate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...case.schema import Case
from ...device.build import build_device
from ...device.layered import StackProblem, exact_transports, stack_problem
from ...device.model import Transport
from ...device.steady import balanced_transport, with_reduced
from ...results.solution import Solution

__all__ = ["Solve", "stack_tables"]

Table = Callable[[], Mapping[str, Any]]
Solve = Callable[[Case, Path | None], Mapping[str, Any]]
"""What solves a case, found relative to a folder, and returns its result table."""


def stack_tables(cases: Sequence[Case], solve: Solve, folder: Path | None = None) -> list[Table]:
    """Return a function per case that returns its result table, or raises what is wrong with it.

    Args:
        cases: Cases that `workers.solved_together` accepts.
        solve: What returns the result table of one case, for those that fail together.
        folder: Where relative paths start.
    """
    problems = [_problem(case, folder) for case in cases]
    try:
        solved = exact_transports([p for p in problems if isinstance(p, StackProblem)])
    except Exception:  # solved one by one they tell which of them is to blame
        return [partial(solve, case, folder) for case in cases]
    found = iter(solved)
    return [_table(p, next(found)) if isinstance(p, StackProblem) else _raising(p) for p in problems]


def _problem(case: Case, folder: Path | None) -> StackProblem | Exception:
    try:
        device = build_device(case, folder)
        return stack_problem(device, device.direction)
    except Exception as error:  # raised again where the table of this point is asked for
        return error


def _table(problem: StackProblem, found: Transport | Exception) -> Table:
    if isinstance(found, Exception):
        return _raising(found)

    def table() -> Mapping[str, Any]:
        whole = balanced_transport(problem.device, with_reduced(problem.device, found))
        return Solution(problem.device, whole).table

    return table


def _raising(error: Exception) -> Table:
    def table() -> Mapping[str, Any]:
        raise error

    return table
