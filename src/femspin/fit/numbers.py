"""The numbers of a stack under the names of the result table, from the exact solution alone.

They agree with those of `femspin run` but for the sampling of the potentials on the line mesh
there, and depend smoothly on every parameter: no mesh changes under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analytic.stack import StackLayer, admittance_parts
from ..dynamics.torque import efficiency, moment_axis
from ..fields.soc import cross_matrix
from ..results.observables import (
    RegionAverage,
    bulk_spin_current,
    field_response,
    stack_averages,
)
from ..results.report import _about
from ..scan.store import numbers_of
from ..units import E_CHARGE, ENERGY, HBAR
from .problem import StackInterface, StackState

__all__ = ["GROUPS", "all_numbers", "number"]

Array = NDArray[np.float64]
_PARTS = ("M_relax", "M_prec", "M", "L_diag", "L_anti", "L", "S", "A", "E", "T")


def number(state: StackState, name: str) -> float:
    """Return one number by its dotted name; NaN where it does not exist in this state."""
    group = next(key for key in GROUPS if name.startswith(f"{key}."))
    return _numbers_below(group, state).get(name, np.nan)


def all_numbers(state: StackState) -> dict[str, float]:
    """Return all numbers by dotted name."""
    return {k: v for group in GROUPS for k, v in _numbers_below(group, state).items()}


def _numbers_below(group: str, state: StackState) -> dict[str, float]:
    return {f"{group}.{k}": v for k, v in numbers_of(GROUPS[group](state)).items()}


def _flux(state: StackState, interface: StackInterface) -> Array:
    """Return the flux of charge and spin into the first region [1/(m^2 s)], shape (4,)."""
    flux = state.solution.interface_flux(interface.position)
    return np.asarray(interface.sign * flux, float)


def _named(state: StackState) -> dict[str, list[StackInterface]]:
    """Return the faces of every interface by its name: two where one FI lies on both sides."""
    found: dict[str, list[StackInterface]] = {}
    for interface in state.problem.interfaces:
        found.setdefault(interface.name, []).append(interface)
    return found


def _mean_flux(state: StackState, faces: list[StackInterface]) -> Array:
    """Return the flux into the first region per area of all faces [1/(m^2 s)], shape (4,)."""
    return np.asarray(np.mean([_flux(state, face) for face in faces], axis=0), float)


def _moments(state: StackState, region: str) -> Array:
    """Return the integral of M on the moments of a region [1/(m^2 s)], shape (3,)."""
    f, k = state.fields(region), state.layer(region)
    exchange = cross_matrix(f.moment_omega) - f.moment_relaxation
    return np.asarray(exchange @ (f.dos * state.solution.integrals(k)[0][1:]), float)


def _splits(state: StackState, interface: StackInterface) -> bool:
    return interface.second in state.problem.names and state.problem.kinds[interface.second] == "F"


def _parts(state: StackState, interface: StackInterface) -> dict[str, Array]:
    """Return the parts of the flux out of the second region [1/(m^2 s)], shape (3,) each."""
    k, s = state.layer(interface.second), state.solution
    split = s.split(k)
    parts = {key: np.asarray(getattr(split, key), float) for key in _PARTS}
    outflow = s.interface_flux(k + 1)[1:] - s.interface_flux(k)[1:]
    return {**parts, "B": _flux(state, interface)[1:] - outflow}


def _interfaces(state: StackState) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, faces in _named(state).items():
        flux = E_CHARGE * _mean_flux(state, faces)
        entry: dict[str, Any] = {"charge_current": -flux[0], "spin_current": flux[1:]}
        interface = faces[0]  # only an insulator has two, and its side is not split
        if _splits(state, interface):
            parts = _parts(state, interface)
            entry["parts"] = {k: E_CHARGE * v for k, v in parts.items()}
            entry["M_on_moments"] = E_CHARGE * _moments(state, interface.second)
        table[name] = entry
    return table


def _averages(state: StackState) -> dict[str, RegionAverage]:
    return {a.name: a for a in stack_averages(state.solution)}


def _torque_fluxes(state: StackState) -> dict[str, tuple[Array, str]]:
    """Return the flux R J^M on every magnet, and the metal whose current drives it."""
    problem = state.problem
    found: dict[str, tuple[Array, str]] = {}
    for name in problem.names:
        f = state.fields(name)
        if f.moment_relaxation.any() or f.moment_omega.any():
            above = [i.first for i in problem.interfaces if i.second == name]
            flux = f.rotation @ _moments(state, name)
            found[name] = flux, next(iter(above), name)
    for name, kind in problem.kinds.items():
        touching = [i for i in problem.interfaces if i.second == name]
        if kind == "FI" and touching:
            flux = sum((_driving(state, i) for i in touching), np.zeros(3))
            if np.any(flux):
                found[name] = flux, _metal(state, [i.first for i in touching])
    return found


def _driving(state: StackState, interface: StackInterface) -> Array:
    """Return what drives an insulator through one of its faces, see `driving_flux`."""
    f, problem = state.fields(interface.first), state.problem
    total = f.rotation @ _flux(state, interface)[1:]
    carries = f.moment_relaxation.any() or f.moment_omega.any()
    if carries and f.ordered:
        magnets = [i for i in problem.interfaces
                   if i.first == interface.first and problem.kinds[i.second] == "FI"]  # fmt: skip
        total = total + f.rotation @ _moments(state, interface.first) / len(magnets)
    return np.asarray(total, float)


def _axis(state: StackState, name: str) -> Array:
    """Return the direction about which torques on a magnet are resolved, shape (3,)."""
    conducts = name in state.problem.names
    return moment_axis(state.fields(name) if conducts else None, state.problem.m)


def _metal(state: StackState, touching: list[str]) -> str:
    kinds = state.problem.kinds
    behind = [i.first for i in state.problem.interfaces if i.second in touching]
    return next((n for n in [*touching, *behind] if kinds[n] == "HM"), touching[0])


def _torques(state: StackState) -> dict[str, Any]:
    averages = _averages(state)
    table: dict[str, Any] = {}
    for name, (flux, metal) in _torque_fluxes(state).items():
        current, m = averages[metal].charge_current, _axis(state, name)
        xi = efficiency(flux, m, current, E_CHARGE)
        table[name] = {
            "torque": -HBAR / 2 * flux,
            "transverse_spin_current": E_CHARGE * (flux - m * float(m @ flux)),
            "longitudinal_spin_current": E_CHARGE * float(m @ flux),
            "efficiency_damping_like": xi.damping_like,
            "efficiency_field_like": xi.field_like,
            "current_density": current,
        }
    return table


def _currents(state: StackState) -> dict[str, Any]:
    return {name: a.charge_current for name, a in _averages(state).items()}


def _conductances(state: StackState) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for layer in state.solution.case.layers:
        name, m = layer.fields.name, layer.fields.m
        if state.problem.kinds[name] == "F":
            split, _ = admittance_parts(StackLayer(layer.fields, layer.thickness))
            axis = np.array([0.0, 0.0, 1.0]) if m is None else m
            total, exchange = np.asarray(split.total, float), np.asarray(split.M, float)
            table[name] = {**_about(total, axis), "M": _about(exchange, axis)}
    return table


def _regions(state: StackState) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name in state.problem.names:
        f = state.fields(name)
        table[name] = {"dos": f.dos, "diffusion_constant": f.diffusion,
                       "conductivity": f.measured_conductivity,
                       "drude_conductivity": f.conductivity, "precession": f.omega}  # fmt: skip
        if f.moments is not None:
            keys = ("spin", "splitting", "curie_temperature", "exchange_energy")
            values = (f.moments.spin, f.moments.splitting, f.moments.curie,
                      f.moments.exchange_energy)  # fmt: skip
            table[name]["moments"] = dict(zip(keys, values, strict=True))
    return table


def _torque_efficiency(state: StackState) -> dict[str, Any]:
    averages = _averages(state)
    table: dict[str, Any] = {}
    for name, (flux, metal) in _torque_fluxes(state).items():
        a, m = averages[metal], _axis(state, name)
        current = efficiency(flux, m, a.charge_current, E_CHARGE)
        field = efficiency(flux, m, a.electric_field, E_CHARGE)
        table[name] = {
            "damping_like": current.damping_like, "field_like": current.field_like,
            "damping_like_per_field": field.damping_like,
            "field_like_per_field": field.field_like,
        }  # fmt: skip
    return table


def _fates(state: StackState) -> dict[str, Any]:
    averages = _averages(state)
    return {name: _fate(state, faces, averages) for name, faces in _named(state).items()}


def _film(state: StackState) -> dict[str, Any]:
    return _charge(list(_averages(state).values()))


def _layers(state: StackState) -> dict[str, Any]:
    return {
        name: {
            "charge": _charge([a]),
            "mean_potential": a.mu[1:] / ENERGY,
            "spin_density": a.spin_density,
            "areal_spin_density": a.areal_density,
        }
        for name, a in _averages(state).items()
    }


def _charge(averages: list[RegionAverage]) -> dict[str, float]:
    response = field_response(averages)
    if response is None:
        return {}
    return {
        "longitudinal_conductivity": response.longitudinal,
        "transverse_conductivity": response.transverse,
        "sheet_conductance": response.sheet,
        "longitudinal_resistivity": response.resistivity[0],
        "transverse_resistivity": response.resistivity[1],
    }


def _fate(
    state: StackState, faces: list[StackInterface], averages: Mapping[str, RegionAverage]
) -> dict[str, Any]:
    """Return transparency and memory loss of an interface, from the mean over its faces."""
    interface, flux = faces[0], _mean_flux(state, faces)[1:]
    average = averages[interface.first]
    current = average.charge_current * np.array([1.0, 1.0, 0.0])
    bulk = float(np.linalg.norm(bulk_spin_current(average.fields, current)))
    arrived = E_CHARGE * float(np.linalg.norm(flux))
    entry: dict[str, Any] = {"spin_transparency": arrived / bulk if bulk > 0 else None}
    if _splits(state, interface):
        behind = sum(
            (_flux(state, i)[1:] for i in state.problem.interfaces
             if i.first == interface.second and state.problem.kinds[i.second] == "FI"),
            np.zeros(3),
        )  # fmt: skip
        incoming, absorbed = -flux, -(_moments(state, interface.second) + behind)
        size = float(incoming @ incoming)
        entry["absorbed_by_moments"] = E_CHARGE * absorbed
        entry["spin_memory_loss"] = 1 - float(absorbed @ incoming) / size if size > 0 else None
    return entry


GROUPS: dict[str, Callable[[StackState], dict[str, Any]]] = {
    "interfaces": _interfaces,
    "torques": _torques,
    "charge_current_density": _currents,
    "conductances": _conductances,
    "regions": _regions,
    "observables.torque_efficiency": _torque_efficiency,
    "observables.interfaces": _fates,
    "observables.charge": _film,
    "observables.regions": _layers,
}
"""Tables of numbers by the beginning of their names."""
