"""The model of a fit: the numbers of all data rows and their derivatives by all parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...case.schema import Case
from ...device.coefficients import (
    Parameter,
    case_coefficients,
    dual_coefficients,
    require_smooth,
    with_parameters,
)
from ...device.observables.quantity import Quantity
from ...device.observables.stack import changes_in, number
from ...device.stack_problem import StackProblem, StackState, solved_state
from ...errors import SolverError
from ...units import Array
from ..points import Axis
from .data import Measured
from .schema import DataSet, Fit

__all__ = ["FitModel", "FreeParameter", "ModelSet"]


@dataclass(frozen=True)
class FreeParameter:
    """One unknown of a fit.

    Args:
        name: Dotted path in the case, or ``scale of <data set>``.
        start: First value, in SI.
        low: Lower bound, in SI.
        high: Upper bound, in SI.
        log: Whether its logarithm is varied.
        unit: SI unit as the case file writes it, or an empty text.
        size: What changes are relative to: |start|, or the parameter's own scale at zero.
        factor_of: Position of the data set that it multiplies, or None for a path.
    """

    name: str
    start: float
    low: float
    high: float
    log: bool
    unit: str
    size: float
    factor_of: int | None = None


@dataclass(frozen=True)
class ModelSet:
    """One data set with the completed case of every row.

    Args:
        label: Its name.
        entry: What the fit file says.
        measured: The data.
        cases: Of every row, with the parameters at their start.
        problems: Frame of every row.
        factor: Position of its free factor among the parameters, or None.
        axis: What x is.
        result: What y is.
    """

    label: str
    entry: DataSet
    measured: Measured
    cases: tuple[Case, ...]
    problems: tuple[StackProblem, ...]
    factor: int | None
    axis: Axis
    result: Quantity


@dataclass(frozen=True)
class FitModel:
    """All data sets and parameters of a fit, in SI.

    Args:
        fit: The fit file.
        parameters: The unknowns.
        sets: The data.
    """

    fit: Fit
    parameters: tuple[FreeParameter, ...]
    sets: tuple[ModelSet, ...]

    @property
    def y(self) -> Array:
        """All data, in SI."""
        return np.concatenate([s.measured.y for s in self.sets])

    @property
    def absolute(self) -> bool:
        """Whether the standard deviations of the data are known."""
        return all(s.measured.sigma is not None for s in self.sets)

    @property
    def sigma(self) -> Array:
        """Standard deviations; where they are not known, the rms of y in each set."""
        found = []
        for s in self.sets:
            rms = float(np.sqrt(np.mean(s.measured.y**2))) or 1.0
            own = s.measured.sigma
            found.append(np.full(len(s.measured.y), rms) if own is None else own)
        return np.concatenate(found)

    def rows(self, k: int) -> slice:
        """Return where the rows of data set k stand."""
        sizes = [len(s.measured.y) for s in self.sets]
        return slice(sum(sizes[:k]), sum(sizes[: k + 1]))

    def values(self, x: Sequence[float]) -> Array:
        """Return the numbers of all rows for parameter values in SI, shape (n,).

        Raises:
            SolverError: If a number does not exist, or a stack cannot be solved.
        """
        return np.concatenate([self._set_values(s, x) for s in self.sets])

    def jacobian(self, x: Sequence[float]) -> Array:
        """Return the derivatives of all rows by all parameters, per SI unit, shape (n, p).

        Exact to round-off: every row is one solution in dual numbers.

        Raises:
            SolverError: See `values`.
        """
        return np.concatenate([self._set_jacobian(s, x) for s in self.sets])

    def _paths(self, x: Sequence[float]) -> dict[str, float]:
        return {p.name: float(v) for p, v in zip(self.parameters, x, strict=True) if p.factor_of is None}

    def _state(self, s: ModelSet, row: int, x: Sequence[float], dual: bool = False) -> StackState:
        """Return the solution of a row, with its changes by the free parameters if it is dual."""
        case = with_parameters(s.cases[row], self._paths(x))
        problem, c = s.problems[row], None
        try:
            if dual and self._paths(x):
                own = [
                    Parameter(p.name, float(v), p.unit, "", p.size)
                    for p, v in zip(self.parameters, x, strict=True)
                    if p.factor_of is None
                ]
                c = dual_coefficients(case, own, problem.m)
                require_smooth(c, own)
            return solved_state(problem, c or case_coefficients(case, problem.m))
        except (SolverError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise SolverError(self._where(s, row, x) + str(error)) from None

    def _where(self, s: ModelSet, row: int, x: Sequence[float]) -> str:
        values = ", ".join(
            f"{p.name} = {v:.6g} {p.unit}".rstrip() for p, v in zip(self.parameters, x, strict=True)
        )
        number = s.measured.rows[row] if s.measured.rows else row + 1
        return f"{s.label}, row {number}, at {values}: "

    def _number(self, s: ModelSet, row: int, x: Sequence[float], state: StackState) -> float:
        found = number(state, s.entry.y.result)
        if not np.isfinite(found):
            raise SolverError(self._where(s, row, x) + f"{s.entry.y.result} does not exist")
        return found

    def _set_values(self, s: ModelSet, x: Sequence[float]) -> Array:
        factor = 1.0 if s.factor is None else x[s.factor]
        found = [self._number(s, k, x, self._state(s, k, x)) for k in range(len(s.cases))]
        return factor * np.array(found)

    def _set_jacobian(self, s: ModelSet, x: Sequence[float]) -> Array:
        return np.array([self._row(s, k, x) for k in range(len(s.cases))])

    def _row(self, s: ModelSet, row: int, x: Sequence[float]) -> Array:
        state = self._state(s, row, x, dual=True)
        value, result = self._number(s, row, x, state), s.entry.y.result
        free = [p for p in self.parameters if p.factor_of is None]
        slopes = iter(changes_in(state, [result], len(free))[0])
        factor = 1.0 if s.factor is None else x[s.factor]
        found = []
        for p in self.parameters:
            if p.factor_of is None:
                found.append(factor * next(slopes))
            else:
                found.append(value if self.sets[p.factor_of] is s else 0.0)
        return np.array(found)
