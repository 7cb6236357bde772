"""Consistent interface fluxes: residuals of one side, never derivatives of the solution."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..transport.assembly.regions import apply_region
from ..transport.elements.space import Space
from ..transport.system import TransportState
from ..units import Array, Indices

__all__ = ["boundary_inflow", "face_share", "region_residual"]


def region_residual(space: Space, state: TransportState, region: str) -> Array:
    """Return the particle inflow of a region at every dof, shape (n_dofs, 4)."""
    return apply_region(space, region, state.coefficients[region], state.mu, state.mu_low)


def face_share(space: Space, faces: Mapping[str, tuple[Indices, Indices]]) -> dict[str, Array]:
    """Return the share of every face in the inflow of each dof, shape (n_dofs,).

    Where faces meet, the inflow of a common dof is divided in proportion to the faces' mass
    there, so that the fluxes of all faces add up to the whole.

    Args:
        space: The scalar space.
        faces: Facets and the cells from which their trace is taken, by name.
    """
    masses = {name: space.facet_mass(f, c)[0].diagonal() for name, (f, c) in faces.items()}
    total = sum(masses.values(), np.zeros(space.n_dofs))
    safe = np.where(total > 0, total, 1.0)
    return {name: mass / safe for name, mass in masses.items()}


def boundary_inflow(residual: Array, share: Array) -> Array:
    """Return the total inflow through one face, shape (4,) (charge, spin x, y, z)."""
    return share @ residual
