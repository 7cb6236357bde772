r"""From interface currents to the torque on the moments.

The moments of a thin F gain angular momentum :math:`-(\hbar/2) R J^M` per area and time, where
:math:`J^M` is the M part of the flux that leaves F (only its exchange with the moments, not what
the lattice or an external field takes).  The magnetization is antiparallel to the spin, so

.. math:: \dot m|_{SOT} = \frac{\gamma\hbar}{2 M_s d}\,(1 - m m^T)\, R\, J^M .

:math:`R J^M` is thus the flux of moments (over :math:`\gamma\hbar/2`) that the magnet absorbs.  A
current j beside it drives moments along :math:`\sigma = \hat\jmath\times n` into it, n being the
normal from the metal to the magnet, if the metal has the sign of Pt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...fields.region import RegionFields
from ...interface.currents import InterfaceCurrents, face_mean
from ...interface.split import cell_integrals, flux_density, region_parts
from ...structure.model import Interface
from ...structure.sides import Footprint
from ...units import E_CHARGE, ENERGY, FLUX, LENGTH, SPIN_CURRENT, Array
from ..neighbours import footprints, magnet_area
from .drive import ROUND_OFF, Drive, directed, undirected

if TYPE_CHECKING:
    from ..model import Device, Transport

__all__ = ["acted_upon", "drives", "driving_flux", "moment_axis", "moment_flux", "moment_fluxes", "round_off"]


def moment_flux(device: Device, transport: Transport, region: str) -> Array:
    """Return the integral of M on the moments of a meshed conductor, before R, shape (3,).

    In solver units (1/ps for a 3D mesh), summed over the volume of the region.
    """
    found: InterfaceCurrents | None = next(
        (
            i
            for i in transport.interfaces.values()
            if i.source == region and i.name in device.structure.interfaces
        ),
        None,
    )
    if found is not None:  # the stack method knows it without a mesh
        return found.parts["moments"] * found.area
    total: Array = region_parts(device.space, transport.state, region)["moments"].sum(axis=0)
    return total


def moment_fluxes(device: Device, transport: Transport) -> dict[str, Array]:
    """Return R J^M [1/(m^2 s)] of every F region with moments, per area of the magnet, (3,)."""
    found = {}
    for name, region in transport.fields.items():
        if region.has_moments:
            total = region.rotation @ moment_flux(device, transport, name)
            found[name] = total / magnet_area(device, name) * FLUX
    for layer in device.reduced:
        rotation = transport.reduced_fields[layer.name].rotation
        parts = transport.interfaces[layer.interface].parts
        found[layer.name] = rotation @ parts["moments"] * FLUX
    return found


def driving_flux(device: Device, transport: Transport, magnet: str) -> Array:
    """Return the flux whose transverse part drives an FI region [1/(m^2 s)], shape (3,).

    It is R J^M of the ordered F regions that touch the magnet, plus what enters the conductors
    from the magnet through faces with a conductance or a spin potential, per area of the magnet:
    the torque of its whole volume.  An F between several FI regions is shared among them by
    area.  Moments that follow the field instead of the magnetization (a paramagnet) hand it
    nothing.
    """
    structure, state = device.structure, transport.state
    reduced = {layer.face: layer for layer in device.reduced}
    held = {face.name for face in device.problem.boundary.potential}
    total = np.zeros(3)
    for face in structure.interfaces.values():
        if face.second != magnet:
            continue
        if face.name in reduced:  # the layer touches the magnet, its upper neighbour does not
            layer = reduced[face.name]
            fields = transport.reduced_fields[layer.name]
            parts = transport.interfaces[layer.interface].parts
            own = parts["moments"] if fields.ordered else np.zeros(3)
            total += fields.rotation @ (own + parts["B"]) * face.area
            continue
        if face.first not in transport.fields:
            continue
        fields = transport.fields[face.first]
        if fields.has_moments and fields.ordered:
            own = moment_flux(device, transport, face.first)
            total += fields.rotation @ own * _share_of_magnet(device, face)
        if face.name in state.laws:
            # The weak form carries exactly the flux of the law at the mean potential.
            area, mu = face_mean(device.space, state.mu, face.name)
            law = state.laws[face.name]
            total += fields.rotation @ (law.conductance @ mu[1:] + law.drift) * area
        elif face.name in held:
            total += fields.rotation @ transport.interfaces[face.name].flux[1:] * face.area
    return total / magnet_area(device, magnet) * FLUX


def acted_upon(device: Device, transport: Transport, magnet: str) -> bool:
    """Return whether something hands an FI region spin, even where that happens to be zero."""
    replaced = {layer.face for layer in device.reduced}
    held = {face.name for face in device.problem.boundary.potential}
    for face in device.structure.interfaces.values():
        if face.second != magnet:
            continue
        law, fields = transport.state.laws.get(face.name), transport.fields.get(face.first)
        couples = law is not None and bool(np.any(law.conductance) or np.any(law.drift))
        moments = fields is not None and fields.has_moments and fields.ordered
        if face.name in replaced or face.name in held or couples or moments:
            return True
    return False


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
    replaced = {layer.face for layer in device.reduced}
    areas = [
        other.area
        for other in device.structure.interfaces.values()
        if other.first == face.first and device.kinds[other.second] == "FI" and other.name not in replaced
    ]
    return face.area / sum(areas)


def round_off(device: Device, transport: Transport) -> float:
    """Return the flux [1/(m^2 s)] below which a current is round-off of the largest one."""
    mu = transport.state.mu
    space = device.space
    extent = float(np.ptp(space.locations, axis=1).max()) * LENGTH
    sizes = [0.0]
    for name, f in transport.fields.items():
        across = np.ptp(mu[space.dofs[space.in_region(name)], 0]) * ENERGY
        sizes += [np.abs(f.drift).max(), f.dos * f.diffusion * across / extent]
    sizes += [np.abs(i.flux).max() * FLUX for i in transport.interfaces.values()]
    return ROUND_OFF * float(max(sizes))


def drives(device: Device, transport: Transport, magnet: str) -> tuple[Drive, ...]:
    """Return what drives a magnet from every metal beside it, HM where there is one.

    Args:
        device: The problem.
        transport: Its solution.
        magnet: F or FI region.
    """
    least = round_off(device, transport)
    return tuple(
        _drive(device, transport, metal, part, least)
        for metal, part in footprints(device, magnet).items()
        if metal in transport.fields
    )


def _drive(device: Device, transport: Transport, metal: str, part: Footprint | None, least: float) -> Drive:
    state, fields = transport.state, transport.fields[metal]
    c = state.coefficients[metal]
    integrals = cell_integrals(device.space, c, state.mu, metal)
    current = -flux_density(c, integrals)[:, :, 0] * SPIN_CURRENT
    field = np.zeros_like(current)
    slope = integrals.gradient[:, :, 0] / integrals.measure[:, None]
    field[:, list(device.structure.axes)] = slope * (ENERGY / LENGTH / (2 * E_CHARGE))
    field += -E_CHARGE / fields.conductivity * fields.drift[:, 0]
    weights = integrals.measure if part is None else integrals.measure * part.weights
    weights = weights / weights.sum()
    if part is None:
        return undirected(metal, weights @ current)
    return directed(
        metal,
        weights @ current,
        weights @ np.cross(current, part.normals),
        weights @ np.cross(field, part.normals),
        part.direction,
        fields.conductivity,
        least,
        float(weights @ np.sum(current * part.normals, axis=1)),
    )
