r"""From interface currents to the torque on the moments.

The moments of a thin F gain angular momentum :math:`-(\hbar/2) R J^M` per area and time, where
:math:`J^M` is the M part of the flux that leaves F (only its exchange with the moments, not what
the lattice or an external field takes).  The magnetization is antiparallel to the spin, so

.. math:: \dot m|_{SOT} = \frac{\gamma\hbar}{2 M_s d}\,(1 - m m^T)\, R\, J^M .
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..fields.region import RegionFields
from ..interface.flux import boundary_inflow, region_residual
from ..interface.reduced import ReducedLayer
from ..interface.report import InterfaceCurrents, Share
from ..interface.split import region_parts
from ..structure.model import Structure
from ..transport.space import Space
from ..transport.system import TransportState
from ..units import FLUX

__all__ = [
    "Efficiency", "efficiency", "magnet_flux", "moment_fluxes", "replaced_fluxes",
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


def magnet_flux(
    structure: Structure,
    space: Space,
    state: TransportState,
    fields: Mapping[str, RegionFields],
    share: Mapping[str, Share],
    magnet: str,
    replaced: Mapping[str, Array] | None = None,
) -> Array:
    """Return the flux whose transverse part drives an FI region [1/(m^2 s)], shape (3,).

    It is R J^M of the F regions that touch the magnet, plus what enters the conductors from the
    magnet through faces with a conductance, per area of the magnet's interfaces.

    Args:
        structure: The meshed device.
        space: The scalar space.
        state: Solved transport.
        fields: Coefficients of the conducting regions.
        share: How inflow is divided among faces.
        magnet: The FI region.
        replaced: By face, R J^M of a layer that the face stands for [1/(nm^2 ps)], (3,).
    """
    replaced = replaced or {}
    carried = moment_fluxes(space, state, fields)
    area, total = 0.0, np.zeros(3)
    for face in structure.interfaces.values():
        if face.second != magnet:
            continue
        area += face.area
        if face.first in carried:
            total += carried.pop(face.first)
        if face.name in replaced:
            total += replaced[face.name] * face.area
        elif face.name in state.laws:
            residual = region_residual(space, state, face.first)
            inflow = boundary_inflow(residual, share[face.first].weights[face.name])
            total += fields[face.first].rotation @ inflow[1:]
    return total / area * FLUX if area > 0 else total


def replaced_fluxes(
    layers: Sequence[ReducedLayer],
    fields: Mapping[str, RegionFields],
    interfaces: Mapping[str, InterfaceCurrents],
) -> dict[str, Array]:
    """Return R J^M of every reduced layer by the face that stands for it [1/(nm^2 ps)], (3,)."""
    return {
        layer.face: fields[layer.name].rotation @ interfaces[layer.interface].parts["moments"]
        for layer in layers
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
