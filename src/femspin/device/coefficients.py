r"""The chain rule from the scalars of a case to the coefficients of the transport equation.

A case has parameters (a spin Hall angle, an exchange energy, a thickness); the solvers see
coefficients: `RegionFields`, flux laws, contact conductances, prescribed potentials and layer
thicknesses.  This module lists the parameters, sets them, and differentiates the coefficients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case.names import path_parts
from ..case.parameters import (
    Parameter,
    find_parameter,
    parameter_value,
    scalar_parameters,
    with_parameters,
    without_repetition,
)
from ..case.schema import Case
from ..dual import Dual, change_of, mapped, stacked, value_of
from ..errors import SolverError
from ..fields.build import Conditions, case_conditions, region_fields
from ..fields.region import RegionFields
from ..interface.closed_forms import spin_orbit_constants
from ..interface.reduced import CLOSED_FORMS, LayerResponse, ReducedLayer, find_reduced, layer_response
from ..materials.parameters import RegionParameters, conductor_parameters
from ..transport.conditions import contact_conductances, table_response
from ..units import Array
from .extrapolation import extrapolated_derivative

__all__ = [
    "CaseCoefficients",
    "FieldDerivatives",
    "Parameter",
    "case_coefficients",
    "coefficients_under",
    "dual_coefficients",
    "extrapolated_derivative",
    "field_derivatives",
    "find_parameter",
    "is_smooth",
    "magnetization_direction",
    "parameter_value",
    "require_smooth",
    "scalar_parameters",
    "slope_of",
    "with_parameters",
]


FindFields = Callable[[RegionParameters, Conditions, Array], RegionFields]


@dataclass(frozen=True)
class CaseCoefficients:
    """What the solvers see of a case, in SI; also the type of its derivatives.

    Args:
        fields: By region, of every conductor (also of reduced layers).
        laws: G [S/m^2] and J_E [1/(m^2 s)] of every face with a flux law, by its key in
            ``case.interfaces``, or by the face that stands for a reduced layer.
        contacts: Charge (infinite if mu^0 is continuous) and spin coefficient [S/m^2] of every
            contact, by its key; they multiply the jumps of mu^0 and mu^a.
        potentials: Prescribed mu^a [J] by key, shape (3,).
        thickness: Of every layer of the stack [m], bottom to top; empty for a mesh.
        electrodes: Voltage [V] and current [A] by name, zero where not given.
    """

    fields: Mapping[str, RegionFields]
    laws: Mapping[str, LayerResponse]
    contacts: Mapping[str, tuple[float, float]]
    potentials: Mapping[str, Array]
    thickness: Array
    electrodes: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class FieldDerivatives(CaseCoefficients):
    """The derivative of `CaseCoefficients` by one parameter, per SI unit of the parameter.

    The `RegionFields` hold derivatives in place of values: ``name`` is the region, ``moments``
    and ``m`` are derivatives too (None where the region has none).

    Args:
        parameter: By which parameter.
    """

    parameter: Parameter


def case_coefficients(
    case: Case, m: Array | None = None, find_fields: FindFields = region_fields
) -> CaseCoefficients:
    """Return the coefficients of a completed case.

    Args:
        case: A completed case; no mesh is made.
        m: Magnetization direction, shape (3,); default that of the case.
        find_fields: `region_fields` or what remembers them.

    Raises:
        CaseError: If parameters are missing or inconsistent.
    """
    return _coefficients(without_repetition(case), magnetization_direction(case, m), find_fields)


def _coefficients(case: Case, m: Array, find_fields: FindFields = region_fields) -> CaseCoefficients:
    return coefficients_under(case, conductor_parameters(case), case_conditions(case), m, find_fields)


def magnetization_direction(case: Case, m: Array | None = None) -> Array:
    """Return the unit vector of a magnetization, shape (3,); default that of the case."""
    direction = np.asarray(case.magnetization.direction if m is None else m, float)
    found: Array = direction / np.linalg.norm(direction)
    return found


def coefficients_under(
    case: Case,
    parameters: Mapping[str, RegionParameters],
    conditions: Conditions,
    m: Array,
    find_fields: FindFields = region_fields,
) -> CaseCoefficients:
    """Return the coefficients of a completed case under other conditions than its own.

    Args:
        case: Completed.
        parameters: Of its conducting regions.
        conditions: Temperature and fields.
        m: Unit vector, shape (3,).
        find_fields: `region_fields` or what remembers them.
    """
    found = {n: find_fields(p, conditions, m) for n, p in parameters.items()}
    meshed, reduced = find_reduced(case, parameters)
    stack, tables = case.structure, meshed.interfaces
    laws = {
        key: LayerResponse(*table_response(t, m))
        for key, t in tables.items()
        if t.condition in ("conductance", "spin_flux")
    }
    for layer in reduced:
        laws[layer.face] = _layer_law(layer, found[layer.name], conditions, m)
    return CaseCoefficients(
        found,
        laws,
        {key: _jumps(t) for key, t in tables.items() if t.condition == "contact"},
        {
            key: stacked(t.spin_potential or [])
            for key, t in tables.items()
            if t.condition == "spin_potential"
        },
        stacked([x.thickness for x in stack.layers] if stack else []),
        {k: (e.voltage or 0.0, e.current or 0.0) for k, e in case.drive.electrodes.items()},
    )


def _jumps(table: Any) -> tuple[float, float]:
    charge, spin = contact_conductances(table)
    return np.inf if charge is None else charge, spin


def _layer_law(layer: ReducedLayer, own: RegionFields, conditions: Conditions, m: Array) -> LayerResponse:
    table = layer.table
    below = None
    if table is not None and table.condition != "insulating":
        below = LayerResponse(*table_response(table, m))
    constants = None
    if layer.form in CLOSED_FORMS:
        constants = spin_orbit_constants(layer.parameters, conditions.magnetic_field)
    return layer_response(own, layer.thickness, layer.form, below, constants)


def dual_coefficients(
    case: Case, parameters: Sequence[Parameter], m: Array | None = None
) -> CaseCoefficients:
    """Return the coefficients of a case as dual numbers that change with some of its parameters.

    Exact to round-off: the functions that make the coefficients, called with dual numbers, and the
    implicit function theorem at the root of the mean field.  Only the laws of layers reduced by
    approximate forms are differentiated by extrapolated differences.  A parameter without a
    derivative there, such as the temperature at the Curie temperature, leaves NaN among its
    changes; see `is_smooth`.

    Args:
        case: A completed case.
        parameters: See `find_parameter`.
        m: Magnetization direction, shape (3,); default that of the case.
    """
    base, direction, count = without_repetition(case), magnetization_direction(case, m), len(parameters)
    own = np.eye(count)
    varied = with_parameters(base, {p.path: Dual(p.value, own[k]) for k, p in enumerate(parameters)})
    reduced = {
        n: r.model_copy(update={"model": "exact"}) for n, r in varied.regions.items() if r.model != "resolved"
    }
    varied = varied.model_copy(update={"regions": {**varied.regions, **reduced}})
    with np.errstate(divide="ignore", invalid="ignore"):
        found = _coefficients(varied, direction)
    laws = dict(found.laws)
    for layer in find_reduced(base, conductor_parameters(base))[1]:
        if layer.form != "exact":
            laws[layer.face] = _law_by_differences(base, layer, parameters, direction)
    full: CaseCoefficients = mapped(
        lambda x: Dual(value_of(x), change_of(x, count)), replace(found, laws=laws)
    )
    return full


def _law_by_differences(
    case: Case, layer: ReducedLayer, parameters: Sequence[Parameter], m: Array
) -> LayerResponse:
    """Return the law of a reduced layer with changes by extrapolated differences."""

    def law(values: Mapping[str, float]) -> list[Array]:
        found = _coefficients(with_parameters(case, values), m).laws[layer.face]
        return [found.conductance, found.drift]

    value = law({})
    changes = []
    for p in parameters:
        parts = path_parts(p.path)
        if parts[0] == "regions" and parts[1] != layer.name:
            changes.append([np.zeros_like(v) for v in value])
            continue
        slope, error = extrapolated_derivative(lambda x, p=p: law({p.path: x}), p.value, p.scale)  # type: ignore[misc]
        changes.append(slope if error <= _WORST else [v * np.nan for v in slope])
    found: Any = [Dual(v, np.stack(c)) for v, c in zip(value, zip(*changes, strict=True), strict=True)]
    return LayerResponse(*found)


_WORST = 1e-6  # a worse estimate means a kink or a divergence nearby, not round-off


def is_smooth(c: CaseCoefficients) -> NDArray[np.bool_]:
    """Return which parameters of dual coefficients have a derivative there, shape (P,)."""
    found: list[Any] = []

    def look(x: Dual) -> Dual:
        found.append(np.isfinite(x.change.reshape(len(x.change), -1)).all(axis=1))
        return x

    mapped(look, c)
    smooth: NDArray[np.bool_] = np.logical_and.reduce(np.array(found), axis=0)
    return smooth


def require_smooth(c: CaseCoefficients, parameters: Sequence[Parameter]) -> None:
    """Refuse dual coefficients without a derivative by one of their parameters.

    Raises:
        SolverError: Naming the first.
    """
    for p, smooth in zip(parameters, is_smooth(c), strict=True):
        if not smooth:
            raise SolverError(
                f"{p.path}: the coefficients have no smooth derivative at {p.value:g} {p.spelled}".rstrip()
            )


def field_derivatives(case: Case, path: str, m: Array | None = None) -> FieldDerivatives:
    """Return the derivative of all coefficients of a case by one of its parameters.

    Args:
        case: A completed case.
        path: Dotted path of a parameter, see `find_parameter`.
        m: Magnetization direction, shape (3,); default that of the case.

    Raises:
        CaseError: If the path is no parameter of the case.
        SolverError: If the coefficients are not smooth there (e.g. T at the Curie temperature).
    """
    parameter = find_parameter(case, path)
    found = dual_coefficients(case, [parameter], m)
    require_smooth(found, [parameter])
    return slope_of(found, parameter)


def slope_of(c: CaseCoefficients, parameter: Parameter, position: int = 0) -> FieldDerivatives:
    """Return the changes of dual coefficients by the parameter at a position among theirs."""
    found: CaseCoefficients = mapped(lambda x: x.change[position], c)
    return FieldDerivatives(**vars(found), parameter=parameter)
