"""Torques on magnets and the efficiencies of what drives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...units import E_CHARGE, HBAR, SPIN_CURRENT_UNIT, Array
from .drive import Drive, Efficiency
from .fluxes import acted_upon, drives, driving_flux, moment_axis, moment_fluxes, round_off
from .quantity import Measure, measured

if TYPE_CHECKING:
    from ..model import Device, Transport
__all__ = [
    "TorqueEfficiency",
    "by_metal",
    "drive_entry",
    "efficiency_entry",
    "left_out",
    "torque_efficiencies",
    "torque_entry",
    "torque_fluxes",
]

_TORQUE = {
    "torque": Measure("J/m^2", "torque per area t", "on", listed=True),
    "transverse_spin_current": Measure(SPIN_CURRENT_UNIT, "spin current J{} across m", "into"),
    "longitudinal_spin_current": Measure(SPIN_CURRENT_UNIT, "spin current along m", "into"),
}


def torque_fluxes(device: Device, transport: Transport) -> dict[str, tuple[Array, Array]]:
    """Return R J^M [1/(m^2 s)] and the direction of the moments of every magnet, (3,) each."""
    seen = transport.all_fields
    least = round_off(device, transport)
    found = {
        name: (flux, moment_axis(seen[name], transport.m))
        for name, flux in moment_fluxes(device, transport).items()
    }
    for name, kind in device.kinds.items():
        touching = any(f.second == name for f in device.structure.interfaces.values())
        if kind != "FI" or not touching:
            continue
        flux = driving_flux(device, transport, name)
        if np.linalg.norm(flux) > least or acted_upon(device, transport, name):
            found[name] = (flux, transport.m)
    return found


def torque_entry(flux: Array, m: Array) -> dict[str, Any]:
    """Return what a flux R J^M [1/(m^2 s)] does to moments along m."""
    numbers = {
        "torque": -HBAR / 2 * flux,
        "transverse_spin_current": E_CHARGE * (flux - m * (m @ flux)),
        "longitudinal_spin_current": E_CHARGE * (m @ flux),
    }
    return measured(numbers, _TORQUE)


def drive_entry(drive: Drive, flux: Array, m: Array) -> dict[str, Any]:
    """Return the efficiencies of a flux R J^M [1/(m^2 s)] and what they refer to."""
    xi = drive.per_current(flux, m)
    return {
        "efficiency_damping_like": _efficiency("damping-like", drive, listed=True)(xi.damping_like),
        "efficiency_field_like": _efficiency("field-like", drive, listed=True)(xi.field_like),
        "current_density": Measure("A/m^2", f"current density j{{}} in {drive.metal}", "at")(drive.current),
        "current_density_of": drive.metal,
        **({} if drive.normal is None else {"normal": drive.normal.tolist()}),
        **left_out(drive.left_out(m)),
    }


def _efficiency(kind: str, drive: Drive, unit: str = "", listed: bool = False) -> Measure:
    """Return what the efficiency of a drive is, per current (a bare number) or per field [S/m (hbar/2e)]."""
    per = "torque per field in" if unit else "efficiency of"
    return Measure(unit, f"{kind} {per} {drive.metal}", "on", listed=listed)


def by_metal(found: Sequence[Drive], entry: Callable[[Drive], dict[str, Any]]) -> dict[str, Any]:
    """Return the entry of the only drive, or those of several by the name of the metal."""
    if len(found) == 1:
        return entry(found[0])
    return {drive.metal: entry(drive) for drive in found}


def left_out(reason: str | None) -> dict[str, str]:
    """Return the part of a table that says why its numbers are null, empty if they are not."""
    return {} if reason is None else {"left_out": reason}


@dataclass(frozen=True)
class TorqueEfficiency:
    """Damping-like and field-like torque of one magnet by the current in one metal.

    Args:
        magnet: F or FI region.
        metal: Region whose current and field they are divided by.
        per_current: e J / j [1], see `femspin.device.observables.drive.Efficiency`.
        per_field: e J / E [S/m], resolved about E x n.
        missing: Why some of them do not exist, or None.
    """

    magnet: str
    metal: str
    per_current: Efficiency
    per_field: Efficiency
    missing: str | None = None


def torque_efficiencies(device: Device, transport: Transport) -> tuple[TorqueEfficiency, ...]:
    """Return the torque efficiencies of every F and every driven FI region for each metal."""
    return tuple(
        TorqueEfficiency(
            name,
            drive.metal,
            drive.per_current(flux, m),
            drive.per_field(flux, m),
            drive.left_out(m) or drive.missing_per_field,
        )
        for name, (flux, m) in torque_fluxes(device, transport).items()
        for drive in drives(device, transport, name)
    )


def efficiency_entry(drive: Drive, flux: Array, m: Array) -> dict[str, Any]:
    """Return the efficiencies of a flux R J^M [1/(m^2 s)] per current and per field."""
    current, field = drive.per_current(flux, m), drive.per_field(flux, m)
    return {
        "metal": drive.metal,
        "damping_like": _efficiency("damping-like", drive)(current.damping_like),
        "field_like": _efficiency("field-like", drive)(current.field_like),
        "damping_like_per_field": _efficiency("damping-like", drive, "S/m (hbar/2e)")(field.damping_like),
        "field_like_per_field": _efficiency("field-like", drive, "S/m (hbar/2e)")(field.field_like),
        **left_out(drive.left_out(m) or drive.missing_per_field),
    }
