"""Sensitivities of a stack from its exact derivatives, layer thicknesses included.

No mesh is made: the stack is solved in dual numbers, and the reported numbers follow from its
solution by the chain rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...case.schema import Case
from ...device.coefficients import dual_coefficients, is_smooth
from ...device.observables.said import GROUPS
from ...device.observables.stack import changes_in, numbers_below, quantities_below
from ...device.stack_problem import StackState, require_distinct, solved_state, stack_problem, stack_state
from ...dual import Dual, mapped
from ...errors import CaseError, SolverError, closest
from ...materials.parameters import complete_case
from ...units import E_CHARGE, Progress
from .elements import Sensitivities, choose_parameters

__all__ = ["SolvedStack", "solved_stack", "stack_sensitivities"]


_ROUND_OFF = 1e-10


@dataclass(frozen=True)
class SolvedStack:
    """A case of the method ``stack`` with its exact solution.

    Args:
        case: Completed.
        state: Its solution and coefficients.
    """

    case: Case
    state: StackState

    @cached_property
    def values(self) -> dict[str, float]:
        """All numbers by dotted name; without torques that are round-off of spin currents."""
        found = _numbers(self.state, tuple(GROUPS))
        # Of every face: two faces with one name can cancel in the mean that is reported.
        faces = [i.position for i in self.state.problem.interfaces]
        through = [self.state.solution.interface_flux(k)[1:] for k in faces]
        least = _ROUND_OFF * E_CHARGE * max((float(np.abs(j).max()) for j in through), default=0.0)
        idle = [
            name
            for name in self.state.problem.kinds
            if max(
                (
                    abs(v)
                    for k, v in found.items()
                    if k.startswith(f"torques.{name}.") and "_spin_current" in k
                ),
                default=0.0,
            )
            <= least
        ]
        heads = tuple(
            f"{table}.{name}." for name in idle for table in ("torques", "observables.torque_efficiency")
        )
        return {k: v for k, v in found.items() if not k.startswith(heads)}


def solved_stack(case: Case) -> SolvedStack:
    """Return the exact solution of a case; its material values are filled in.

    Raises:
        CaseError: If the case lacks values, or is no resolved stack of one dimension under a
            prescribed drive.
        SolverError: If its equations cannot be solved.
    """
    case, _ = complete_case(case)
    require_distinct(stack_problem(case), "an exact derivative", ', or solver.method = "auto"')
    try:
        return SolvedStack(case, stack_state(case))
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        raise SolverError(str(error)) from None


def _numbers(state: StackState, groups: Sequence[str]) -> dict[str, float]:
    """Return the numbers of some tables by dotted name."""
    return {k: v for k, v in numbers_below(groups, state).items() if np.isfinite(v)}


def stack_sensitivities(
    solved: SolvedStack,
    outputs: Sequence[str],
    parameters: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Sensitivities:
    """Return the derivatives of outputs by parameters of a stack.

    Args:
        solved: From `solved_stack`.
        outputs: Names of `SolvedStack.values`.
        parameters: Dotted paths or patterns; default every scalar of the case.
        progress: Called with one when all is done, which takes one solution.

    Raises:
        CaseError: If a name is unknown.
    """
    for name in outputs:
        if name not in solved.values:
            raise CaseError(name, f"the result has no such number{closest(name, solved.values)}")
    chosen = choose_parameters(solved.case, parameters)
    problem = solved.state.problem
    every = dual_coefficients(solved.case, chosen, problem.m)
    smooth = is_smooth(every)
    table, errors = np.full((len(outputs), len(chosen)), np.nan), np.full(len(chosen), np.inf)
    if smooth.any():
        state = solved_state(problem, mapped(lambda x: Dual(x.value, x.change[smooth]), every))
        table[:, smooth] = changes_in(state, outputs, smooth.sum())
        errors[smooth] = 0.0
    if progress is not None:
        progress(1.0)
    known = quantities_below(GROUPS, solved.state)
    return Sensitivities(tuple(known[name] for name in outputs), chosen, table, errors)
