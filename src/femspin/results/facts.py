"""What every result says of itself: conventions of sign and unit, and versions."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from .. import __version__
from .installed import PACKAGES

__all__ = ["CONVENTIONS", "versions"]


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


@cache
def versions() -> Mapping[str, str]:
    """Return the versions a result depends on."""
    return {
        "femspin": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(terse=True),
        **{name: version(name) for name in PACKAGES},
    }
