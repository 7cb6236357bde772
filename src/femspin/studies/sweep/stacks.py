"""Points of a scan with ``solver.method = "stack"``, solved together.

The layers of all points go through the exact solver as one batch.  No point has a mesh; its
numbers are those of `femspin.simulate` but for what that says of its mesh.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...case.schema import Case
from ...case.values import INSULATORS
from ...device.coefficients import CaseCoefficients, FindFields, case_coefficients
from ...device.observables.said import GROUPS, LARGEST_BALANCE, observables
from ...device.observables.stack import StackSaid
from ...device.observables.warnings import stack_validity, stack_warnings
from ...device.stack_problem import StackProblem, StackState, stack_case, stack_problem
from ...fields.build import Conditions, region_fields
from ...fields.region import RegionFields
from ...interface.currents import require_balanced
from ...materials.parameters import RegionParameters, complete_case, conductor_parameters
from ...transport.layers.batched import BatchSolution, solve_stacks
from ...transport.layers.case import StackCase
from ...units import Array

__all__ = ["Solve", "stack_tables"]

Table = Callable[[], Mapping[str, Any]]
Solve = Callable[[Case, Path | None], Mapping[str, Any]]
"""What solves a case, found relative to a folder, and returns its result table."""


@dataclass(frozen=True)
class _Point:
    """A point without mesh: its completed case, frame, coefficients and layers."""

    case: Case
    problem: StackProblem
    coefficients: CaseCoefficients
    layers: StackCase


def stack_tables(cases: Sequence[Case], solve: Solve, folder: Path | None = None) -> list[Table]:
    """Return a function per case that returns its result table, or raises what is wrong with it.

    Args:
        cases: Cases that `workers.solved_together` accepts.
        solve: What returns the result table of one case, for those that fail together.
        folder: Where relative paths start.
    """
    alone: list[Table] = [partial(solve, case, folder) for case in cases]
    find_fields = _remembered()
    points = [_point(case, find_fields) for case in cases]
    by_size: dict[int, list[int]] = {}
    for k, point in enumerate(points):
        if point is not None:
            by_size.setdefault(len(point.problem.names), []).append(k)
    found = list(alone)
    for places in by_size.values():
        chosen = [p for k in places if (p := points[k]) is not None]
        try:
            batch = solve_stacks([p.layers for p in chosen])
        except Exception:  # solved one by one they tell which of them is to blame
            continue
        for row, (k, point) in enumerate(zip(places, chosen, strict=True)):
            if row not in batch.errors:
                found[k] = partial(_table, point, batch, row)
    return found


def _remembered() -> FindFields:
    """Return `region_fields` that finds a region no anew where it is as at the point before.

    What follows from its coefficients alone is then found once, too.
    """
    known: dict[str, tuple[Any, RegionFields]] = {}

    def find(parameters: RegionParameters, conditions: Conditions, m: Array) -> RegionFields:
        outer = [np.ravel(getattr(conditions, f.name)) for f in fields(conditions)]
        key = parameters, np.concatenate([*outer, m]).tolist()
        if known.get(parameters.name, ("", None))[0] != key:
            known[parameters.name] = key, region_fields(parameters, conditions, m)
        return known[parameters.name][1]

    return find


def _point(case: Case, find_fields: FindFields) -> _Point | None:
    """Return a point, or None for one that needs a mesh or is wrong: solved alone it tells why."""
    try:
        case, _ = complete_case(case)
        problem = stack_problem(case)
        if not problem.distinct or not _fits(case, problem):
            return None
        coefficients = case_coefficients(case, problem.m, find_fields)
        return _Point(case, problem, coefficients, stack_case(problem, coefficients))
    except Exception:  # raised again where the table of this point is asked for
        return None


def _fits(case: Case, problem: StackProblem) -> bool:
    """Return whether all conditions of a case lie on faces of its own that take them."""
    known = {problem.bottom, problem.top, *problem.contacts.values()}
    borders = [{i.first, i.second} for i in problem.interfaces if problem.kinds[i.second] in INSULATORS]
    return all(
        key in known or (table.condition == "insulating" and set(key.split("|")) in borders)
        for key, table in case.interfaces.items()
    )


def _table(point: _Point, batch: BatchSolution, row: int) -> Mapping[str, Any]:
    """Return the result table of a point.

    Raises:
        SolverError: If the parts of a spin current do not add up to it.
    """
    solution = batch.solution(row, point.layers)
    said = StackSaid(StackState(point.problem, solution, point.coefficients))
    require_balanced(said.interfaces, said.largest_drivable)
    parameters = conductor_parameters(point.case)
    invalid = stack_validity(said, parameters)
    balance = max((i.balance for i in said.interfaces.values()), default=0.0)
    return {
        "magnetization": point.problem.m,
        **observables(said, GROUPS),
        "balance_residual": LARGEST_BALANCE(balance),
        "solver": {
            "method": "stack",
            "choice": "",
            "unknowns": 8 * len(point.problem.names),
            "iterations": 0,
            "residual": solution.mismatch,
            "transport_solutions": 1,
        },
        "warnings": stack_warnings(point.case, said, parameters, invalid),
        "validity": [asdict(w) for w in invalid],
    }
