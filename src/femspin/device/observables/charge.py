"""Currents of charge: of regions and of electrodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...interface.currents import exchange
from ...interface.split import cell_integrals, flux_density
from ...units import E_CHARGE, ENERGY, LENGTH, SPIN_CURRENT, TIME, Array
from .quantity import Measure

if TYPE_CHECKING:
    from ..model import Device, Transport

__all__ = ["charge_current", "electrode_table"]

_VOLTAGE = Measure("V", "voltage", "of", "voltages of electrodes", listed=True, goal=True)


def charge_current(device: Device, transport: Transport, region: str) -> Array:
    """Return the mean conventional current density of a region [A/m^2], shape (3,)."""
    space = device.space
    c = transport.state.coefficients[region]
    integrals = cell_integrals(space, c, transport.state.mu, region)
    density = flux_density(c, integrals)[:, :, 0]
    mean = integrals.measure @ density / integrals.measure.sum()
    found: Array = -mean * SPIN_CURRENT
    return found


def electrode_table(device: Device, transport: Transport) -> dict[str, Any]:
    """Return voltage, current and spin condition of every electrode.

    Currents are conventional, into the device: A in 3D, A/m in 2D, A/m^2 in 1D.  `spin` is
    ``sink`` or ``blocked``, defaults written out.
    """
    from ...interface.flux import region_residual

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
    size = E_CHARGE / TIME / LENGTH ** (3 - device.space.dimension)
    unit = {1: "A/m^2", 2: "A/m", 3: "A"}[device.space.dimension]
    current = Measure(unit, "current", "into", "currents of electrodes", listed=True, goal=True)
    table = {}
    for contact in contacts:
        table[contact.name] = {
            "voltage": _VOLTAGE(-float(transport.state.mu[contact.dofs[0], 0]) * ENERGY / (2 * E_CHARGE)),
            "current": current(-float(total[contact.dofs, 0].sum()) * size),
            "current_unit": unit,
            "spin": "sink" if len(contact.sinks) else "blocked",
        }
    return table
