"""The model of a fit: the numbers of all data rows and their derivatives by all parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...case.schema import Case
from ...device.coefficients import (
    FieldDerivatives,
    case_coefficients,
    changing,
    field_derivatives,
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


@dataclass
class _Memory:
    """Derivatives of coefficients that rows share: they do not depend on thicknesses."""

    case: Case | None = None
    derivatives: dict[str, FieldDerivatives] = field(default_factory=dict)


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

        The number is differentiated exactly; coefficients by parameters by extrapolated
        differences (round-off times about a hundred).

        Raises:
            SolverError: See `values`.
        """
        return np.concatenate([self._set_jacobian(s, x) for s in self.sets])

    def _paths(self, x: Sequence[float]) -> dict[str, float]:
        return {p.name: float(v) for p, v in zip(self.parameters, x, strict=True) if p.factor_of is None}

    def _state(self, s: ModelSet, row: int, x: Sequence[float]) -> tuple[Case, StackState]:
        case = with_parameters(s.cases[row], self._paths(x))
        problem = s.problems[row]
        try:
            return case, solved_state(problem, case_coefficients(case, problem.m))
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
        found = [self._number(s, k, x, self._state(s, k, x)[1]) for k in range(len(s.cases))]
        return factor * np.array(found)

    def _set_jacobian(self, s: ModelSet, x: Sequence[float]) -> Array:
        memory, rows = _Memory(), []
        for k in range(len(s.cases)):
            case, state = self._state(s, k, x)
            rows.append(self._row(s, k, x, case, state, memory))
        return np.array(rows)

    def _row(
        self, s: ModelSet, row: int, x: Sequence[float], case: Case, state: StackState, memory: _Memory
    ) -> Array:
        factor = 1.0 if s.factor is None else x[s.factor]
        value = self._number(s, row, x, state)
        free = [p for p in self.parameters if p.factor_of is None]
        slopes = [_derivative(case, p.name, state.problem.m, memory) for p in free]
        if slopes:
            state = solved_state(state.problem, changing(state.coefficients, slopes))
        slope = changes_in(state, [s.entry.y.result], len(slopes))[0]
        found = []
        for p in self.parameters:
            if p.factor_of is not None:
                found.append(value if self.sets[p.factor_of] is s else 0.0)
                continue
            found.append(factor * slope[free.index(p)])
        return np.array(found)


def _derivative(case: Case, path: str, m: Array, memory: _Memory) -> FieldDerivatives:
    """Return the derivative of the coefficients, from memory if only thicknesses differ."""
    if path.startswith("structure."):
        return field_derivatives(case, path, m)
    bare = case.model_copy(update={"structure": None})
    if memory.case is None or memory.case != bare:
        memory.case, memory.derivatives = bare, {}
    if path not in memory.derivatives:
        memory.derivatives[path] = field_derivatives(case, path, m)
    return memory.derivatives[path]
