"""Torques on magnets and the efficiencies of what drives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...units import E_CHARGE, HBAR, Array
from ..neighbours import magnet_area
from .fluxes import Drive, acted_upon, drives, driving_flux, moment_axis, moment_fluxes

if TYPE_CHECKING:
    from ..model import Device, Transport
__all__ = ["by_metal", "drive_entry", "left_out", "torque_entry", "torque_fluxes", "torque_table"]


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
    seen = transport.all_fields
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
