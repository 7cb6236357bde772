"""The numbers of a stack under the names of the result table, from the exact solution alone.

They agree with those of `femspin run` but for the sampling of the potentials on the line mesh
there, and depend smoothly on every parameter: no mesh changes under way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ...fields.soc import cross_matrix
from ...interface.currents import face_source
from ...transport.layers.stack import StackLayer, admittance_parts
from ...units import E_CHARGE, ENERGY, Array
from ..neighbours import driving_metals, far_side
from ..stack_problem import StackInterface, StackState
from .conductances import resolved_about
from .fluxes import ROUND_OFF, Drive, directed, moment_axis, undirected
from .losses import interface_loss, loss_entry, transparency
from .quantities import numbers_of
from .table import RegionAverage, efficiency_entry, field_response, response_table, stack_averages
from .torques import by_metal, drive_entry, torque_entry

__all__ = ["GROUPS", "all_numbers", "number"]

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
    outflow = s.interface_flux(k + 1)[1:] - s.interface_flux(k)[1:]
    return {
        **_region_parts(state, interface.second), "B": _flux(state, interface)[1:] - outflow
    }  # fmt: skip


def _region_parts(state: StackState, region: str) -> dict[str, Array]:
    """Return all parts of a region but B [1/(m^2 s)], shape (3,) each."""
    split = state.solution.split(state.layer(region))
    return {key: np.asarray(getattr(split, key), float) for key in _PARTS}


def _interfaces(state: StackState) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, faces in _named(state).items():
        interface = faces[0]  # only an insulator has two, and its side is not split
        parts = _parts(state, interface) if _splits(state, interface) else None
        table[name] = _currents_entry(
            state, _mean_flux(state, faces), interface.second, parts, sign=1
        )
    problem, solution = state.problem, state.solution
    ends = (("bottom", problem.bottom, 0, 1), ("top", problem.top, len(problem.names), -1))
    for side, key, position, sign in ends:
        if key != side:
            continue  # insulating, or the interface with an insulator
        flux = sign * np.asarray(solution.interface_flux(position), float)
        region = problem.names[0 if side == "bottom" else -1]
        parts = None
        if face_source([region], problem.kinds) is not None:
            parts, k = _region_parts(state, region), state.layer(region)
            parts = {name: -value for name, value in parts.items()}
            outflow = solution.interface_flux(k + 1)[1:] - solution.interface_flux(k)[1:]
            parts["B"] = flux[1:] + outflow
        table[side] = _currents_entry(state, flux, region, parts, sign=-1)
    return table


def _currents_entry(
    state: StackState, flux: Array, source: str, parts: Mapping[str, Array] | None, sign: int
) -> dict[str, Any]:
    """Return one interface or outer face as a table; `sign` is that of the moments of `source`."""
    entry: dict[str, Any] = {"charge_current": -E_CHARGE * flux[0],
                             "spin_current": E_CHARGE * flux[1:]}  # fmt: skip
    if parts is not None:
        entry["parts"] = {k: E_CHARGE * v for k, v in parts.items()}
        entry["M_on_moments"] = sign * E_CHARGE * _moments(state, source)
    return entry


def _averages(state: StackState) -> dict[str, RegionAverage]:
    return {a.name: a for a in stack_averages(state.solution)}


def _least(state: StackState) -> float:
    """Return the flux below which a current is round-off [1/(m^2 s)], as `round_off` does."""
    sizes = [0.0]
    for a in stack_averages(state.solution):
        f = a.fields
        sizes += [np.abs(f.drift).max(), f.dos * f.diffusion * np.abs(a.gradient[:, 0]).max()]
    count = len(state.problem.names)
    sizes += [np.abs(state.solution.interface_flux(k)).max() for k in range(count + 1)]
    return ROUND_OFF * float(max(sizes))


def _pairs(state: StackState) -> list[tuple[str, str]]:
    return [(i.first, i.second) for i in state.problem.interfaces]


def _drives(
    state: StackState, magnet: str, averages: Mapping[str, RegionAverage]
) -> tuple[Drive, ...]:
    """Return what drives a magnet from every metal beside it, see `femspin.device.observables.fluxes`."""
    kinds, least = state.problem.kinds, _least(state)
    metals = driving_metals(magnet, kinds, [
        (i.first, i.second) for i in state.problem.interfaces if _passes_spin(state, i)
    ])  # fmt: skip
    found = []
    for metal, ends in (metals or driving_metals(magnet, kinds, _pairs(state))).items():
        a = averages[metal]
        heights = [
            -i.sign if i.first == metal else i.sign
            for i in state.problem.interfaces
            if metal in (i.first, i.second) and {i.first, i.second} - {metal} <= set(ends)
        ]
        n = np.array([0.0, 0.0, np.mean(heights)])
        found.append(directed(
            metal, a.charge_current, np.cross(a.charge_current, n),
            np.cross(a.electric_field, n), n if n.any() else None, a.fields.conductivity, least,
        ))  # fmt: skip
    if not found and magnet in state.problem.names:
        found = [undirected(magnet, averages[magnet].charge_current)]
    return tuple(found)


def _passes_spin(state: StackState, interface: StackInterface) -> bool:
    problem = state.problem
    if problem.kinds[interface.second] in ("HM", "F") or problem.kinds[interface.first] == "F":
        return True
    return (problem.bottom if interface.position == 0 else problem.top) is not None


def _torque_fluxes(state: StackState) -> dict[str, tuple[Array, Array]]:
    """Return the flux R J^M on every magnet and the direction of its moments, (3,) each."""
    problem = state.problem
    found: dict[str, tuple[Array, Array]] = {}
    for name in problem.names:
        f = state.fields(name)
        if f.has_moments:
            found[name] = f.rotation @ _moments(state, name), moment_axis(f, problem.m)
    for name, kind in problem.kinds.items():
        touching = [i for i in problem.interfaces if i.second == name]
        if kind == "FI" and touching:
            flux = sum((_driving(state, i) for i in touching), np.zeros(3))
            if np.any(flux) or any(_acts(state, i) for i in touching):
                found[name] = flux, problem.m
    return found


def _acts(state: StackState, interface: StackInterface) -> bool:
    """Return whether something hands an insulator spin, even where that happens to be zero."""
    problem, f, c = state.problem, state.fields(interface.first), state.coefficients
    key = problem.bottom if interface.position == 0 else problem.top
    law = c.laws.get(key or "")
    couples = law is not None and bool(np.any(law.conductance) or np.any(law.drift))
    moments = f.has_moments and f.ordered
    return couples or moments or key in c.potentials


def _driving(state: StackState, interface: StackInterface) -> Array:
    """Return what drives an insulator through one of its faces, see `driving_flux`."""
    f, problem = state.fields(interface.first), state.problem
    total = f.rotation @ _flux(state, interface)[1:]
    if f.has_moments and f.ordered:
        magnets = [i for i in problem.interfaces
                   if i.first == interface.first and problem.kinds[i.second] == "FI"]  # fmt: skip
        total = total + f.rotation @ _moments(state, interface.first) / len(magnets)
    return np.asarray(total, float)


def _torques(state: StackState) -> dict[str, Any]:
    averages = _averages(state)
    return {
        name: torque_entry(flux, m) | by_metal(
            _drives(state, name, averages), partial(drive_entry, flux=flux, m=m)
        )
        for name, (flux, m) in _torque_fluxes(state).items()
    }  # fmt: skip


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
            table[name] = {**resolved_about(total, axis), "M": resolved_about(exchange, axis)}
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
    return {
        name: by_metal(
            _drives(state, name, averages), partial(efficiency_entry, flux=flux, m=m)
        )
        for name, (flux, m) in _torque_fluxes(state).items()
    }


def _fates(state: StackState) -> dict[str, Any]:
    averages = _averages(state)
    return {name: _fate(state, faces, averages) for name, faces in _named(state).items()}


def _film(state: StackState) -> dict[str, Any]:
    return response_table(field_response(_averages(state).values(), _least(state)))


def _layers(state: StackState) -> dict[str, Any]:
    least = _least(state)
    return {
        name: {
            "charge": response_table(field_response([a], least)),
            "mean_potential": a.mu[1:] / ENERGY,
            "spin_density": a.spin_density,
            "areal_spin_density": a.areal_density,
        }
        for name, a in _averages(state).items()
    }


def _fate(
    state: StackState, faces: list[StackInterface], averages: Mapping[str, RegionAverage]
) -> dict[str, Any]:
    """Return transparency and memory loss of an interface, from the mean over its faces."""
    interface, flux, least = faces[0], _mean_flux(state, faces)[1:], _least(state)
    n = np.array([[0.0, 0.0, np.mean([i.sign for i in faces])]])  # zero if it is on both sides
    a = averages[interface.first]
    entry: dict[str, Any] = {
        "spin_transparency": transparency(
            a.fields, E_CHARGE * flux, a.charge_current[None], n, np.ones(1), least
        )
    }
    if _splits(state, interface):
        pairs, kinds = _pairs(state), state.problem.kinds
        behind = far_side((interface.first, interface.second), kinds, pairs)
        handed = sum((_moments(state, name) for name in behind), np.zeros(3))
        handed += sum(
            (_flux(state, i)[1:] for i in state.problem.interfaces
             if i.first in behind and kinds[i.second] == "FI"),
            np.zeros(3),
        )  # fmt: skip
        entry |= loss_entry(interface_loss(-flux, -handed, least))
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
