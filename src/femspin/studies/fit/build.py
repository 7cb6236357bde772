"""From a fit file to its model: every name, path, unit and row is checked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...case.defaults import table_problem
from ...case.input_files import UnreadableError, open_regular
from ...case.load import case_from_table, dump_case, read_table
from ...case.names import number_name, path_parts
from ...case.paths import replaced, resolved_path
from ...case.schema import Case
from ...device.build import build_device
from ...device.coefficients import Parameter, find_parameter
from ...device.observables.quantity import Quantity
from ...device.observables.said import GROUPS
from ...device.observables.stack import quantities_below
from ...device.stack_problem import require_distinct, stack_problem, stack_state
from ...errors import CaseError, closest
from ...materials.parameters import complete_case
from ..points import ScanPoints
from .data import in_si, read_measured
from .model import FitModel, FreeParameter, ModelSet
from .schema import DataSet, Fit

__all__ = ["build_model"]


def build_model(fit: Fit, folder: Path) -> FitModel:
    """Return the model of a fit file: every name, path, unit and row is checked.

    Args:
        fit: The validated fit file.
        folder: Where relative file names start.

    Raises:
        CaseError: Naming what is wrong, with the closest known word.
    """
    table, parameters = _started(fit, _base(fit, folder))
    named = {p.name for p in parameters}
    sets = []
    for k, entry in enumerate(fit.data):
        factor = None
        if entry.scale:
            factor = len(parameters)
            parameters.append(
                FreeParameter(f"scale of {entry.label}", 1.0, -np.inf, np.inf, False, "", 1.0, k)
            )
        sets.append(_model_set(entry, f"data.{k}", table, named, folder, factor))
    return FitModel(fit, tuple(parameters), tuple(sets))


def _base(fit: Fit, folder: Path) -> dict[str, Any]:
    """Return the tables of the case."""
    if isinstance(fit.case, dict):
        file = None
        try:
            case = case_from_table(fit.case)
        except CaseError as error:
            raise CaseError(f"case.{error.path}", error.problem) from None
    else:
        file = str(folder / fit.case)
        _refuse_special(folder / fit.case)
        case = case_from_table(read_table(file), file)
    if case.solver.method != "stack":
        raise CaseError(
            "solver.method",
            'a fit needs solver.method = "stack", the exact solution'
            f" of a 1D stack (got {case.solver.method!r})",
            file,
        )
    for key in ("dynamics", "frequency", "transient"):
        if getattr(case, key) is not None:
            raise CaseError(key, f"a fit compares steady states; leave out [{key}]", file)
    table = dump_case(case)
    for key in ("scan", "expected", "output"):
        table.pop(key, None)
    return table


def _refuse_special(file: Path) -> None:
    """Refuse what is no regular file; one that is missing is for the reader to tell."""
    try:
        with open_regular(file):
            pass
    except FileNotFoundError:
        pass
    except UnreadableError as error:
        raise CaseError("case", f"{str(file)!r} {error}") from None


def _started(fit: Fit, base: dict[str, Any]) -> tuple[dict[str, Any], list[FreeParameter]]:
    """Return the tables with all parameters at their start, and the parameters."""
    table = base
    for name, entry in fit.parameters.items():
        table = _set(table, name, entry.start, f"parameters.{name}", "start")
    case = _checked(table, "parameters")
    found: list[FreeParameter] = []
    for name, entry in fit.parameters.items():
        where = f"parameters.{name}"
        p = _found(case, name, where)
        if p.path in [q.name for q in found]:
            raise CaseError(where, "the same parameter stands there twice")
        low = _bound(table, name, entry.min, where, "min", p)
        high = _bound(table, name, entry.max, where, "max", p)
        if not low <= p.value <= high or not low < high:
            raise CaseError(
                f"{where}.start",
                f"must lie between min and max (got {entry.start!r}, {entry.min!r}, {entry.max!r})",
            )
        if not np.isfinite(low) and (entry.log or _only_positive(table, name, p)):
            low = 1e-4 * p.value
        if entry.log and not (p.value > 0 and low > 0):
            raise CaseError(f"{where}.log", "a logarithm needs a start and bounds > 0")
        found.append(FreeParameter(p.path, p.value, low, high, entry.log, p.spelled, p.scale))
    return table, found


def _set(table: dict[str, Any], name: str, value: Any, where: str, key: str) -> dict[str, Any]:
    """Return the tables with one value replaced."""
    parts = _resolved(name, table, where)
    try:
        changed: dict[str, Any] = replaced(table, parts, value, Case)
        if len(parts) == 6 and parts[3] == "strain":  # a strain is symmetric
            changed = replaced(changed, (*parts[:4], parts[5], parts[4]), value, Case)
    except (AttributeError, ValueError, IndexError, TypeError):
        raise CaseError(where, "leads nowhere in the case") from None
    try:
        case_from_table(changed)
    except CaseError as error:
        path = where if not key or "unknown key" in error.problem else f"{where}.{key}"
        raise _explained(error, path, parts) from None
    return changed


def _explained(error: CaseError, where: str, parts: Sequence[str]) -> CaseError:
    """Return an error of the case as one of the entry of the fit file that caused it."""
    own = ".".join(parts)
    if error.path == own:
        return CaseError(where, error.problem)
    return CaseError(where, f"{error.path}: {error.problem}")


def _resolved(name: str, table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    parts = resolved_path(name, table, where, Case)
    if problem := table_problem(parts, Case):
        raise CaseError(where, problem)
    known = list(Case.model_fields)
    if parts[0] not in known:
        raise CaseError(where, f"the case has no table {parts[0]!r}{closest(parts[0], known)}")
    return parts


def _checked(table: Mapping[str, Any], where: str) -> Case:
    try:
        return complete_case(case_from_table(table))[0]
    except CaseError as error:
        raise CaseError(where, f"{error.path}: {error.problem}") from None


def _found(case: Case, name: str, where: str) -> Parameter:
    try:
        return find_parameter(case, name)
    except CaseError as error:
        raise CaseError(where, error.problem) from None


def _bound(table: dict[str, Any], name: str, value: Any, where: str, key: str, p: Parameter) -> float:
    """Return a bound in SI."""
    if value is None:
        return -np.inf if key == "min" else np.inf
    case = _checked(_set(table, name, value, where, key), where)
    return find_parameter(case, p.path).value


def _only_positive(table: dict[str, Any], name: str, p: Parameter) -> bool:
    """Return whether the case file takes no negative value of a parameter."""
    value = f"{-p.scale!r} {p.unit}" if p.unit else -p.scale
    try:
        case_from_table(replaced(table, resolved_path(name, table, name, Case), value, Case))
    except CaseError:
        return p.value > 0
    return False


def _model_set(
    entry: DataSet, where: str, table: dict[str, Any], named: set[str], folder: Path, factor: int | None
) -> ModelSet:
    """Return a data set with the cases of all rows."""
    for name, value in entry.set.items():
        path = f'{where}.set."{name}"'
        _refuse_parameter(_resolved(name, table, path), named, path)
        table = _set(table, name, value, path, "")
    measured = read_measured(entry, folder, where)
    axis_name = "angle" if entry.x.path is None else entry.x.path
    unit = measured.x_unit or ("deg" if entry.x.angle is not None else "")
    values: list[Any] = [f"{v!r} {unit}" if unit else v for v in measured.x.tolist()]
    axis: Any = values
    if entry.x.angle is not None:
        if entry.x.angle.of != "magnetization":
            _refuse_parameter(("drive", "magnetic_field"), named, f"{where}.x.angle")
        axis = {**entry.x.angle.model_dump(), "values": values}
    else:
        path = f"{where}.x.path"
        _refuse_parameter(_resolved(axis_name, table, path), named, path)
    points = _points(table, axis_name, axis, where)
    cases = []
    for k in range(len(points)):
        try:
            cases.append(points.completed(k)[0])
        except CaseError as error:
            problem = f"row {measured.rows[k]}: {error.problem}"
            raise CaseError(f"{where}.x", problem) from None
    try:
        build_device(cases[0], folder)
        problems = tuple(stack_problem(case) for case in cases)
        for frame in problems:
            require_distinct(frame, "a fit")
    except CaseError as error:
        raise CaseError(where, f"{error.path}: {error.problem}") from None
    for name in named:
        _found(cases[0], name, f"parameters.{name}")
    result = _result(entry.y.result, cases[0], f"{where}.y.result")
    measured = in_si(measured, entry, result.unit, where)
    return ModelSet(entry.label, entry, measured, tuple(cases), problems, factor, points.axes[0], result)


def _refuse_parameter(parts: Sequence[str], named: set[str], where: str) -> None:
    """Refuse a value of a data set that would overwrite a parameter."""
    for name in named:
        other = path_parts(name)
        n = min(len(parts), len(other))
        if tuple(parts[:n]) == tuple(other[:n]):
            raise CaseError(where, f"{name} is a parameter of the fit")


def _points(table: dict[str, Any], name: str, axis: Any, where: str) -> ScanPoints:
    try:
        return ScanPoints(case_from_table({**table, "scan": {"axes": {name: axis}}}))
    except CaseError as error:
        raise CaseError(f"{where}.x", f"{error.path}: {error.problem}") from None


def _result(name: str, case: Case, where: str) -> Quantity:
    """Return a number of the result; one solution of the stack tells.

    Raises:
        CaseError: If there is no such number.
    """
    known = quantities_below(GROUPS, stack_state(case))
    if name in known:
        return known[name]
    spelled = number_name(name, known)
    hint = f"; it is called {spelled!r} here" if spelled in known else closest(name, known)
    inner = [k for k in known if k.startswith(f"{name}.")]
    if inner:
        hint = f"; it stands for several: {', '.join(inner[:4])}"
    elif not any(name.startswith(f"{group}.") for group in GROUPS):
        hint += f"; names begin with {', '.join(GROUPS)}"
    raise CaseError(where, f"no number {name!r} that a fit can use{hint}")
