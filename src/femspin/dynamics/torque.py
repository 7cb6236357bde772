r"""From interface currents to the torque on the moments.

The moments of a thin F gain angular momentum :math:`-(\hbar/2) R J^M` per area and time, where
:math:`J^M` is the M part of the flux that leaves F (only its exchange with the moments, not what
the lattice or an external field takes).  The magnetization is antiparallel to the spin, so

.. math:: \dot m|_{SOT} = \frac{\gamma\hbar}{2 M_s d}\,(1 - m m^T)\, R\, J^M .
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..fields.region import RegionFields
from ..interface.report import face_mean
from ..interface.split import region_parts
from ..structure.model import Interface
from ..transport.space import Space
from ..transport.system import TransportState
from ..units import FLUX

if TYPE_CHECKING:
    from ..pipeline import Device, Transport

__all__ = [
    "Efficiency", "driving_flux", "efficiency", "moment_axis", "moment_fluxes",
    "replaced_fluxes",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Efficiency:
    """Torque efficiencies per current density, xi = e J / j_c resolved about sigma = z x j.

    The torque is (gamma hbar / 2 e M_s d) j_c [damping_like m x (sigma x m) + field_like
    m x sigma]; both are None where m is along sigma or no current flows in the plane.
    """

    damping_like: float | None
    field_like: float | None


def moment_fluxes(
    space: Space, state: TransportState, fields: Mapping[str, RegionFields]
) -> dict[str, Array]:
    """Return R times the integral of M on the moments of every region with moments, (3,) each.

    In solver units (1/ps for a 3D mesh), summed over the volume of the region.
    """
    result = {}
    for name, region in fields.items():
        if region.moment_relaxation.any() or region.moment_omega.any():
            integral = region_parts(space, state, name)["moments"].sum(axis=0)
            result[name] = region.rotation @ integral
    return result


def driving_flux(device: Device, transport: Transport, magnet: str) -> Array:
    """Return the flux whose transverse part drives an FI region [1/(m^2 s)], shape (3,).

    It is R J^M of the ordered F regions that touch the magnet, plus what enters the conductors
    from the magnet through faces with a conductance or a spin potential, per lateral area of the
    magnet: the torque of its whole volume.  An F between several FI regions is shared among them
    by area.  Moments that follow the field instead of the magnetization (a paramagnet) hand it
    nothing.
    """
    structure, state = device.structure, transport.state
    carried = moment_fluxes(device.space, state, transport.fields)
    reduced = {layer.face: layer for layer in device.reduced}
    held = {face.name for face in device.problem.boundary.potential}
    total = np.zeros(3)
    for face in structure.interfaces.values():
        if face.second != magnet:
            continue
        if face.first in carried and transport.fields[face.first].ordered:
            total += carried[face.first] * _share_of_magnet(device, face)
        if face.name in reduced:
            layer = reduced[face.name]
            fields = transport.reduced_fields[layer.name]
            parts = transport.interfaces[layer.interface].parts
            own = parts["moments"] if fields.ordered else np.zeros(3)
            total += fields.rotation @ (own + parts["B"]) * face.area
        elif face.name in state.laws:
            # The weak form carries exactly the flux of the law at the mean potential.
            area, mu = face_mean(device.space, state.mu, face.name)
            law = state.laws[face.name]
            inflow = (law.conductance @ mu[1:] + law.drift) * area
            total += transport.fields[face.first].rotation @ inflow
        elif face.name in held:
            inflow = transport.interfaces[face.name].flux[1:] * face.area
            total += transport.fields[face.first].rotation @ inflow
    return total / structure.lateral_area(magnet) * FLUX


def moment_axis(fields: RegionFields | None, m: Array) -> Array:
    """Return the direction about which torques on a region are resolved, shape (3,).

    That of its moments, which in a paramagnet is not the magnetization.

    Args:
        fields: Of the region; None for a magnet without carriers.
        m: Magnetization direction, shape (3,).
    """
    if fields is None or fields.m is None:
        return m
    axis: Array = fields.rotation @ fields.m
    return axis


def _share_of_magnet(device: Device, face: Interface) -> float:
    """Return the part of an F's moments that belongs to the FI behind one of its interfaces."""
    areas = [
        other.area
        for other in device.structure.interfaces.values()
        if other.first == face.first and device.kinds[other.second] == "FI"
    ]
    return face.area / sum(areas)


def replaced_fluxes(device: Device, transport: Transport) -> dict[str, Array]:
    """Return R J^M of every reduced layer [1/(nm^2 ps)], shape (3,), by its region."""
    return {
        layer.name: transport.reduced_fields[layer.name].rotation
        @ transport.interfaces[layer.interface].parts["moments"]
        for layer in device.reduced
    }


def efficiency(flux: ArrayLike, m: ArrayLike, current: ArrayLike, charge: float) -> Efficiency:
    """Return the torque efficiencies of a flux.

    Args:
        flux: R J^M [1/(m^2 s)], shape (3,).
        m: Magnetization direction, shape (3,).
        current: Charge current density in the metal [A/m^2], shape (3,).
        charge: Elementary charge [C].
    """
    flux, m, current = (np.asarray(v, float) for v in (flux, m, current))
    plane = np.array([current[0], current[1], 0.0])
    size = float(np.linalg.norm(plane))
    sigma = np.cross([0.0, 0.0, 1.0], plane / size) if size > 0 else np.zeros(3)
    damping, field = np.cross(m, np.cross(sigma, m)), np.cross(m, sigma)
    norm = float(damping @ damping)
    if norm < 1e-12:
        return Efficiency(None, None)
    scaled = charge * flux / size / norm
    return Efficiency(float(scaled @ damping), float(scaled @ field))
