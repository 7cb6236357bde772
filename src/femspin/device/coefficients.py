r"""The chain rule from the scalars of a case to the coefficients of the transport equation.

A case has parameters (a spin Hall angle, an exchange energy, a thickness); the solvers see
coefficients: `RegionFields`, flux laws, contact conductances, prescribed potentials and layer
thicknesses.  This module lists the parameters, sets them, and differentiates the coefficients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

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
from ..case.values import INSULATORS
from ..dual import Dual, mapped
from ..errors import SolverError
from ..fields.build import Conditions, case_conditions, region_fields
from ..fields.kondo import MomentState
from ..fields.region import RegionFields
from ..interface.closed_forms import spin_orbit_constants
from ..interface.reduced import LayerResponse, ReducedLayer, find_reduced, layer_response
from ..materials.parameters import RegionParameters, region_parameters
from ..transport.conditions import contact_conductances, table_response
from ..units import Array
from .extrapolation import extrapolated_derivative

__all__ = [
    "CaseCoefficients",
    "FieldDerivatives",
    "Parameter",
    "case_coefficients",
    "changing",
    "coefficients_under",
    "extrapolated_derivative",
    "field_derivatives",
    "find_parameter",
    "magnetization_direction",
    "parameter_value",
    "scalar_parameters",
    "with_parameters",
]


_ARRAYS = ("gauge", "omega", "relaxation", "theta", "drift", "rotation", "moment_relaxation", "moment_omega")
_MOMENTS = tuple(f.name for f in fields(MomentState))


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
        error: Estimated error, relative to derivative plus value over parameter scale, the
            largest over all arrays.
    """

    parameter: Parameter
    error: float


def case_coefficients(case: Case, m: Array | None = None) -> CaseCoefficients:
    """Return the coefficients of a completed case.

    Args:
        case: A completed case; no mesh is made.
        m: Magnetization direction, shape (3,); default that of the case.

    Raises:
        CaseError: If parameters are missing or inconsistent.
    """
    return _coefficients(without_repetition(case), magnetization_direction(case, m), None)


def magnetization_direction(case: Case, m: Array | None = None) -> Array:
    """Return the unit vector of a magnetization, shape (3,); default that of the case."""
    direction = np.asarray(case.magnetization.direction if m is None else m, float)
    found: Array = direction / np.linalg.norm(direction)
    return found


def _coefficients(case: Case, m: Array, only: str | None) -> CaseCoefficients:
    """Return the coefficients; with `only`, those that a parameter of this region changes."""
    parameters = {
        name: region_parameters(name, region)
        for name, region in case.regions.items()
        if region.kind not in INSULATORS and only in (None, name)
    }
    return coefficients_under(case, parameters, case_conditions(case), m, only is None)


def coefficients_under(
    case: Case,
    parameters: Mapping[str, RegionParameters],
    conditions: Conditions,
    m: Array,
    whole: bool = True,
) -> CaseCoefficients:
    """Return the coefficients of a completed case under other conditions than its own.

    Args:
        case: Completed.
        parameters: Of its conducting regions, or of some.
        conditions: Temperature and fields.
        m: Unit vector, shape (3,).
        whole: Whether those of faces and thicknesses are wanted, too.
    """
    found = {n: region_fields(p, conditions, m) for n, p in parameters.items()}
    meshed, reduced = _reduced(case, parameters)
    stack = case.structure
    tables = meshed.interfaces if whole else {}
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
        {key: np.array(t.spin_potential) for key, t in tables.items() if t.condition == "spin_potential"},
        np.array([x.thickness for x in stack.layers] if stack and whole else []),
        {k: (e.voltage or 0.0, e.current or 0.0) for k, e in case.drive.electrodes.items()},
    )


def _reduced(case: Case, parameters: Mapping[str, RegionParameters]) -> tuple[Case, tuple[ReducedLayer, ...]]:
    """Return the case without its reduced layers, and those of them that are known."""
    gone = {n for n, r in case.regions.items() if r.model != "resolved"}
    if gone <= set(parameters):
        return find_reduced(case, parameters)
    if not gone & set(parameters):
        return case, ()
    everything = {n: region_parameters(n, r) for n, r in case.regions.items() if r.kind not in INSULATORS}
    meshed, layers = find_reduced(case, everything)
    return meshed, tuple(layer for layer in layers if layer.name in parameters)


def _jumps(table: Any) -> tuple[float, float]:
    charge, spin = contact_conductances(table)
    return np.inf if charge is None else charge, spin


def _layer_law(layer: ReducedLayer, own: RegionFields, conditions: Conditions, m: Array) -> LayerResponse:
    table = layer.table
    below = None
    if table is not None and table.condition != "insulating":
        below = LayerResponse(*table_response(table, m))
    constants = spin_orbit_constants(layer.parameters, conditions.magnetic_field)
    return layer_response(own, layer.thickness, layer.form, below, constants)


def field_derivatives(case: Case, path: str, m: Array | None = None) -> FieldDerivatives:
    """Return the derivative of all coefficients of a case by one of its parameters.

    The chain runs through unit-aware parsing, root finders of the mean field and Brillouin
    functions, so it is differentiated numerically: central differences extrapolated to step
    zero (Ridders), with the error estimate that the extrapolation gives, typically 1e-12.

    Args:
        case: A completed case.
        path: Dotted path of a parameter, see `find_parameter`.
        m: Magnetization direction, shape (3,); default that of the case.

    Raises:
        CaseError: If the path is no parameter of the case.
        SolverError: If the coefficients are not smooth there (e.g. T at the Curie temperature).
    """
    parameter = find_parameter(case, path)
    base, direction = without_repetition(case), magnetization_direction(case, m)
    parts = path_parts(parameter.path)
    only = parts[1] if parts[0] == "regions" else None

    def values(x: float) -> list[Array]:
        changed = with_parameters(base, {parameter.path: x})
        return _flat(_coefficients(changed, direction, only))

    derivative, error = extrapolated_derivative(values, parameter.value, parameter.scale)
    if not error <= _WORST:
        raise SolverError(
            f"{parameter.path}: the coefficients have no smooth derivative at"
            f" {parameter.value:g} {parameter.spelled}".rstrip()
            + f" (error {error:.1e})"
        )
    like = _coefficients(base, direction, None)
    part = _coefficients(base, direction, only) if only else like
    return _unflat(like, part, derivative, parameter, error)


def changing(c: CaseCoefficients, slopes: Sequence[FieldDerivatives]) -> CaseCoefficients:
    """Return coefficients as dual numbers that carry their derivatives by several parameters."""

    def dual(value: Any, *changes: Any) -> Any:
        return Dual(value, np.stack(changes))

    found: CaseCoefficients = mapped(dual, c, *slopes)
    return found


_WORST = 1e-6  # a worse estimate means a kink or a divergence nearby, not round-off


def _flat(c: CaseCoefficients) -> list[Array]:
    """Return all numbers as a list of arrays in a fixed order."""
    found: list[Array] = []
    for f in c.fields.values():
        found += [np.array(f.dos), np.array(f.diffusion), *(getattr(f, k) for k in _ARRAYS)]
        if f.moments is not None:
            found += [np.array(getattr(f.moments, k)) for k in _MOMENTS]
        if f.m is not None:
            found.append(f.m)
    for law in c.laws.values():
        found += [law.conductance, law.drift]
    found += [np.array(x) for pair in c.contacts.values() for x in pair]
    found += list(c.potentials.values())
    found += [c.thickness, *(np.array(x) for pair in c.electrodes.values() for x in pair)]
    return [np.asarray(x, float) for x in found]


def _unflat(
    like: CaseCoefficients, part: CaseCoefficients, values: list[Array], parameter: Parameter, error: float
) -> FieldDerivatives:
    """Return the derivatives in the form of `like`; zero what is not in `part`."""
    queue = iter(values)

    def one() -> float:
        return float(next(queue))

    def tangent(f: RegionFields) -> RegionFields:
        dos, diffusion = one(), one()
        arrays: dict[str, Any] = {k: next(queue) for k in _ARRAYS}
        moments = None if f.moments is None else MomentState(**{k: one() for k in _MOMENTS})
        m = None if f.m is None else next(queue)
        return RegionFields(f.name, dos, diffusion, **arrays, moments=moments, m=m)

    own = {name: tangent(f) for name, f in part.fields.items()}
    laws = {k: LayerResponse(next(queue), next(queue)) for k in part.laws}
    contacts = {k: (one(), one()) for k in part.contacts}
    potentials = {k: next(queue) for k in part.potentials}
    thickness = next(queue)
    electrodes = {k: (one(), one()) for k in part.electrodes}
    return FieldDerivatives(
        {n: own[n] if n in own else _zero(f) for n, f in like.fields.items()},
        {k: laws.get(k, LayerResponse(np.zeros((3, 3)), np.zeros(3))) for k in like.laws},
        {k: contacts.get(k, (0.0, 0.0)) for k in like.contacts},
        {k: potentials.get(k, np.zeros(3)) for k in like.potentials},
        thickness if thickness.size else np.zeros_like(like.thickness),
        electrodes,
        parameter,
        error,
    )


def _zero(f: RegionFields) -> RegionFields:
    arrays: dict[str, Any] = {k: np.zeros_like(getattr(f, k)) for k in _ARRAYS}
    moments = None if f.moments is None else MomentState(**dict.fromkeys(_MOMENTS, 0.0))
    m = None if f.m is None else np.zeros(3)
    return replace(f, dos=0.0, diffusion=0.0, **arrays, moments=moments, m=m)
