"""The numbers of a solution as plain tables, in SI, ready for `result.json`."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from .. import __version__
from ..analytic.stack import StackLayer, admittance_parts
from ..dynamics.torque import (
    Drive,
    acted_upon,
    drives,
    driving_flux,
    moment_axis,
    moment_fluxes,
)
from ..fields.lengths import lengths, resolved_rates
from ..fields.region import RegionFields
from ..fields.soc import LEVI_CIVITA
from ..fields.validity import ValidityWarning, validity
from ..installed import PACKAGES
from ..interface.neighbours import magnet_area
from ..interface.report import InterfaceCurrents, exchange
from ..interface.split import cell_integrals, flux_density
from ..materials.parameters import polarisation_squared
from ..structure import sides
from ..units import E_CHARGE, ENERGY, FLUX, HBAR, LENGTH, SPIN_CURRENT, TIME
from .input_warnings import coarse_mesh, doubtful_input, missing_input

if TYPE_CHECKING:
    from ..pipeline import Device, Transport

__all__ = [
    "CONVENTIONS", "by_metal", "charge_current", "conductance_table", "drive_entry",
    "electrode_table", "interface_table", "left_out", "region_table", "region_thickness",
    "torque_entry", "torque_fluxes", "torque_table", "validity_of", "versions", "warnings_of",
]  # fmt: skip

Array = NDArray[np.float64]

CONVENTIONS = {
    "spin_current": "e J^a in A/m^2: x A/m^2 carries the angular momentum (hbar/2e) x per area"
    " and time; positive from the second into the first region of an interface name (FI -> F ->"
    " HM)",
    "charge_current": "conventional current density in A/m^2, same direction",
    "spin_potential": "mu^a = mu_up - mu_dn along axis a, in meV",
    "charge_potential": "mu^0 = mu_up + mu_dn = twice the electrochemical potential, in meV",
    "outer_faces": "interfaces named by an outer face alone: positive into the device, parts are"
    " what becomes of the current in the region there",
    "parts": "M spin relaxation and precession, L and S spin loss by spin-orbit coupling, A gauge"
    " precession, E drift, T storage, B flux through the other faces; their sum is the spin"
    " current",
    "M_on_moments": "the share of M that is torque on the local moments; the rest of M is spin"
    " relaxation to the lattice and precession in an external field",
    "efficiency": "dm/dt = (gamma hbar / 2 e M_s d) j_c [damping_like m x (sigma x m) + field_like"
    " m x sigma], sigma = j x n, n from the metal to the magnet, j in the metal over or under the"
    " magnet",
    "region": "the number of a region in the fields is its position in mesh.regions",
    "torque": "angular momentum per area and time given to the local moments, J/m^2",
}

_PARTS = ("M_relax", "M_prec", "M", "L_diag", "L_anti", "L", "S", "A", "E", "T", "B")


def interface_table(currents: InterfaceCurrents) -> dict[str, Any]:
    """Return one interface: currents in A/m^2, parts, balance."""
    table: dict[str, Any] = {
        "area": currents.area,
        "charge_current": -currents.flux[0] * SPIN_CURRENT,
        "spin_current": currents.flux[1:] * SPIN_CURRENT,
    }
    if currents.source is not None:
        table["split_over"] = currents.source
        table["parts"] = {k: currents.parts[k] * SPIN_CURRENT for k in _PARTS}
        table["M_on_moments"] = currents.parts["moments"] * SPIN_CURRENT
        table["sum_of_parts"] = currents.total * SPIN_CURRENT
        table["balance_residual"] = currents.balance
    return table


def charge_current(device: Device, transport: Transport, region: str) -> Array:
    """Return the mean conventional current density of a region [A/m^2], shape (3,)."""
    space = device.space
    c = transport.state.coefficients[region]
    integrals = cell_integrals(space, c, transport.state.mu, region)
    density = flux_density(c, integrals)[:, :, 0]
    mean = integrals.measure @ density / integrals.measure.sum()
    return -mean * SPIN_CURRENT


def torque_table(device: Device, transport: Transport) -> dict[str, Any]:
    """Return torques on the moments of every F region and on every driven FI region.

    Efficiencies are those of one metal, or stand in a table of each metal's name where several
    drive the magnet.
    """
    return {
        name: _torque(device, transport, name, flux, m)
        for name, (flux, m) in torque_fluxes(device, transport).items()
    }


def torque_fluxes(device: Device, transport: Transport) -> dict[str, tuple[Array, Array]]:
    """Return R J^M [1/(m^2 s)] and the direction of the moments of every magnet, (3,) each."""
    seen = _all_fields(transport)
    found = {
        name: (flux, moment_axis(seen[name], transport.m))
        for name, flux in moment_fluxes(device, transport).items()
    }
    for name, kind in device.kinds.items():
        touching = any(f.second == name for f in device.structure.interfaces.values())
        if kind != "FI" or not touching:
            continue
        flux = driving_flux(device, transport, name)
        if np.any(flux) or acted_upon(device, transport, name):
            found[name] = (flux, transport.m)
    return found


def _torque(
    device: Device, transport: Transport, magnet: str, flux: Array, m: Array
) -> dict[str, Any]:
    table: dict[str, Any] = {"area": magnet_area(device, magnet), **torque_entry(flux, m)}
    return table | by_metal(drives(device, transport, magnet), lambda d: drive_entry(d, flux, m))


def torque_entry(flux: Array, m: Array) -> dict[str, Any]:
    """Return what a flux R J^M [1/(m^2 s)] does to moments along m."""
    return {
        "torque": -HBAR / 2 * flux,
        "transverse_spin_current": E_CHARGE * (flux - m * float(m @ flux)),
        "longitudinal_spin_current": E_CHARGE * float(m @ flux),
    }


def drive_entry(drive: Drive, flux: Array, m: Array) -> dict[str, Any]:
    """Return the efficiencies of a flux R J^M [1/(m^2 s)] and what they refer to."""
    xi = drive.per_current(flux, m)
    return {
        "efficiency_damping_like": xi.damping_like,
        "efficiency_field_like": xi.field_like,
        "current_density": drive.current,
        "current_density_of": drive.metal,
        **({} if drive.normal is None else {"normal": drive.normal.tolist()}),
        **left_out(drive.left_out(m)),
    }


def by_metal(
    found: Sequence[Drive], entry: Callable[[Drive], dict[str, Any]]
) -> dict[str, Any]:
    """Return the entry of the only drive, or those of several by the name of the metal."""
    if len(found) == 1:
        return entry(found[0])
    return {drive.metal: entry(drive) for drive in found}


def left_out(reason: str | None) -> dict[str, str]:
    """Return the part of a table that says why its numbers are null, empty if they are not."""
    return {} if reason is None else {"left_out": reason}


def electrode_table(device: Device, transport: Transport) -> dict[str, Any]:
    """Return voltage and current of every electrode.

    Currents are conventional, into the device: A in 3D, A/m in 2D, A/m^2 in 1D.
    """
    from ..interface.flux import region_residual

    contacts = device.problem.boundary.electrodes
    if not contacts:
        return {}
    total = sum(
        (region_residual(device.space, transport.state, n) for n in device.conductors),
        np.zeros_like(transport.state.mu),
    )
    exchanged = exchange(device.space, device.problem.boundary.contacts)
    if exchanged is not None:
        mu = transport.state.mu + transport.state.mu_low
        total = total + (exchanged @ mu.ravel()).reshape(-1, 4)
    unit = E_CHARGE / TIME / LENGTH ** (3 - device.space.dimension)
    table = {}
    for contact in contacts:
        table[contact.name] = {
            "voltage": -float(transport.state.mu[contact.dofs[0], 0]) * ENERGY / (2 * E_CHARGE),
            "current": -float(total[contact.dofs, 0].sum()) * unit,
            "current_unit": {1: "A/m^2", 2: "A/m", 3: "A"}[device.space.dimension],
        }
    return table


def region_table(device: Device, transport: Transport) -> dict[str, Any]:
    """Return what each conducting region was computed with, and its lengths."""
    table: dict[str, Any] = {}
    for name, f in _all_fields(transport).items():
        scale = lengths(f, resolved_rates(device.case))
        entry: dict[str, Any] = {
            "kind": device.kinds[name],
            "dos": f.dos,
            "diffusion_constant": f.diffusion,
            "conductivity": f.measured_conductivity,
            "drude_conductivity": f.conductivity,
            "gauge_field": f.gauge,
            "precession": f.omega,
            "relaxation": f.relaxation,
            "lengths": {
                k: getattr(scale, k)
                for k in ("relaxation", "precession", "spin_orbit", "gauge", "shortest")
            },
        }
        if f.moments is not None:
            entry["moments"] = {
                "direction_seen_by_carriers": f.m,
                "spin": f.moments.spin,
                "splitting": f.moments.splitting,
                "tau_parallel": 1 / f.moments.rate_parallel if f.moments.rate_parallel else None,
                "tau_perpendicular": 1 / f.moments.rate_perpendicular
                if f.moments.rate_perpendicular
                else None,
                "curie_temperature": f.moments.curie,
                "exchange_energy": f.moments.exchange_energy,
            }
        table[name] = entry
    return table


def conductance_table(device: Device, transport: Transport) -> dict[str, Any]:
    """Return the exact conductances of every F layer of a stack [S/m^2].

    The numerical admittance of the insulated layer, G = G_s + G_r m x m x + G_i m x, resolved
    about m (or z, without moments): G_s along it, G_r and G_i from the transverse block; the
    same for its M part alone.  Entries that this form lacks are in ``tensor``.
    """
    table: dict[str, Any] = {}
    for name, f in _all_fields(transport).items():
        thickness = region_thickness(device, name)
        if device.kinds[name] != "F" or thickness is None or device.case.structure is None:
            continue
        split, _ = admittance_parts(StackLayer(f, thickness))
        axis = np.array([0.0, 0.0, 1.0]) if f.m is None else f.m
        table[name] = {
            "tensor": np.asarray(split.total, float),
            **_about(np.asarray(split.total, float), axis),
            "M": _about(np.asarray(split.M, float), axis),
        }
    return table


def _about(G: Array, m: Array) -> dict[str, float]:
    """Return G_s, G_r, G_i of a tensor about the direction m."""
    along = float(m @ G @ m)
    across = 0.5 * (float(np.trace(G)) - along)
    turning = 0.5 * float(np.einsum("abc,a,cb->", LEVI_CIVITA, m, G))
    return {"G_s": along, "G_r": along - across, "G_i": turning}


def validity_of(device: Device, transport: Transport) -> tuple[ValidityWarning, ...]:
    """Return the conditions of the theory that the regions of a device fail."""
    found: list[ValidityWarning] = []
    for name, f in _all_fields(transport).items():
        thickness = region_thickness(device, name) if device.kinds[name] == "F" else None
        found += validity(device.parameters[name], f, thickness)
    return tuple(found)


def warnings_of(device: Device, transport: Transport) -> list[str]:
    """Return where the theory's own conditions fail, as sentences; see `validity_of`."""
    found = [f"mesh.file: {note}" for note in device.structure.notes]
    found += [w.sentence for w in validity_of(device, transport)]
    found += _drive_warnings(device) + _gain_warnings(device, transport)
    found += _electrode_warnings(device) + _corner_warnings(device)
    return found + coarse_mesh(device) + missing_input(device) + doubtful_input(device)


def _corner_warnings(device: Device) -> list[str]:
    """Return the interfaces on which a face with a fixed spin potential ends.

    What such a face takes up at the common edge is shared with the interface by area, which is
    accurate to first order in the cell size only.  The same holds for a magnet's face whose
    conductance or potential takes up spin.
    """
    boundary, space = device.problem.boundary, device.space
    fixed = {e.name: e.sinks for e in boundary.electrodes if len(e.sinks)}
    fixed |= {p.name: p.dofs for p in boundary.potential}
    absorbing = {f.name for f in boundary.flux} | {p.name for p in boundary.potential}
    return [
        f"interfaces.{name}: {end} fixes the spin potential at its edge; what {end} absorbs there"
        " is shared by area, so the spin current converges slowly and its error bar is too small"
        for name, face in device.structure.interfaces.items()
        for end, dofs in fixed.items()
        if ({face.first, face.second} <= set(device.conductors) or name in absorbing)
        and name != end
        and np.isin(dofs, space.interface_dofs(face)).any()
    ]


def _drive_warnings(device: Device) -> list[str]:
    """Return why nothing, or nothing along some direction, can flow."""
    case, found = device.case, []
    field = device.conditions.electric_field
    periodic = {device.structure.axes[row] for row, _ in device.structure.periods}
    for axis in device.structure.axes:
        if field[axis] != 0 and axis not in periodic:
            found.append(
                f"drive.electric_field: {field[axis]:.3g} V/m drive no current along"
                f" {'xyz'[axis]}, where the device ends at insulating faces; charge builds up"
                " until the field is cancelled; use drive.electrodes, or a periodic direction"
            )
    voltages = {e.voltage for e in case.drive.electrodes.values() if e.voltage is not None}
    currents = [e.current for e in case.drive.electrodes.values() if e.current]
    sources = any(
        t.condition in ("spin_potential", "spin_flux") or t.drift_flux is not None
        for t in case.interfaces.values()
    )
    own = any(
        r.override is not None and r.override.electric_field is not None
        for r in case.regions.values()
    )
    if not (np.any(field) or own or len(voltages) > 1 or currents or sources):
        found.append("drive: no field, voltage, current or spin source; everything is zero")
    return found


def _electrode_warnings(device: Device) -> list[str]:
    """Return the electrodes that hold back the spin current of a polarised metal.

    One on another metal does so, too, if spins reach it.
    """
    boundary, space = device.problem.boundary, device.space
    polarised = [n for n in device.conductors if polarisation_squared(device.case.regions[n])]
    return [
        f"drive.electrodes.{e.name}.spin: blocked on the polarised metal {name}; spins gather"
        ' there and add to the resistance; "sink" lets them pass'
        for e in boundary.electrodes
        for name in polarised
        if not len(e.sinks) and np.isin(e.dofs, space.dofs[space.in_region(name)]).any()
    ] + _near_electrodes(device, polarised)


def _near_electrodes(device: Device, polarised: list[str]) -> list[str]:
    """Return the blocked electrodes within a spin diffusion length of a polarised metal."""
    space, found = device.space, []
    at = space.locations
    own = {n: np.unique(space.dofs[space.in_region(n)]) for n in device.conductors}
    for e in device.problem.boundary.electrodes:
        metals = [n for n, dofs in own.items() if np.isin(e.dofs, dofs).any()]
        if len(e.sinks) or set(metals) & set(polarised):
            continue
        reach = max(device.parameters[n].region.spin_diffusion_length or 0.0 for n in metals)
        for name in polarised:
            away = KDTree(at[:, own[name]].T).query(at[:, e.dofs].T)[0].min()
            if away * LENGTH < reach:
                found.append(
                    f"drive.electrodes.{e.name}.spin: blocked {away:.3g} nm from the polarised"
                    f" metal {name}, within the spin diffusion length of {' and '.join(metals)};"
                    ' where spins pass into the contact, set "sink"'
                )
    return found


def _gain_warnings(device: Device, transport: Transport) -> list[str]:
    """Return the faces whose conductance creates spin instead of absorbing it."""
    found = []
    for name in device.flux_tables:
        G = transport.state.laws[name].conductance if transport.state else np.zeros((3, 3))
        largest = np.linalg.eigvalsh(G + G.T).max()
        if largest > 1e-9 * np.abs(G).max() > 0:
            gain = largest * E_CHARGE**2 * FLUX / ENERGY
            found.append(
                f"interfaces.{name}: the conductance creates spin (G + G^T has a positive"
                f" eigenvalue, {gain:.3g} S/m^2); absorption needs G_s <= 0 and G_s <= G_r"
            )
    return found


def _all_fields(transport: Transport) -> dict[str, RegionFields]:
    return {**transport.fields, **transport.reduced_fields}


def region_thickness(device: Device, region: str) -> float | None:
    """Return the thickness of a region [m]: of its layers that touch, or as the mesh has it."""
    if device.case.structure is None:
        return sides.region_thickness(device.structure, region) * LENGTH
    layers = device.case.structure.layers
    blocks = (list(block) for name, block in groupby(layers, lambda x: x.region) if name == region)
    return sum(x.thickness for x in next(blocks, [])) or None


@cache
def versions() -> Mapping[str, str]:
    """Return the versions a result depends on."""
    return {
        "femspin": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(terse=True),
        **{name: version(name) for name in PACKAGES},
    }
