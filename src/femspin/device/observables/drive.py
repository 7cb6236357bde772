"""What drives a magnet from a metal beside it, and the efficiencies it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...fields.soc import cross_matrix
from ...units import E_CHARGE, Array

__all__ = ["Drive", "Efficiency", "directed", "efficiency", "undirected"]

ROUND_OFF = 1e-10
"""Currents below this share of the largest of a device are round-off of it."""


@dataclass(frozen=True)
class Efficiency:
    """Torque efficiencies per current density, xi = e J / j_c resolved about sigma = j x n.

    The torque is (gamma hbar / 2 e M_s d) j_c [damping_like m x (sigma x m) + field_like
    m x sigma], with n from the metal to the magnet.  Both are None where m is along sigma or no
    current flows along the interface.
    """

    damping_like: float | None
    field_like: float | None


@dataclass(frozen=True)
class Drive:
    """What drives a magnet from one metal, as means over the metal above or below it.

    Args:
        metal: The region; the magnet itself where no other conductor is beside it.
        current: Conventional current density j [A/m^2], shape (3,).
        crossed_current: j x n with the normal n from the metal to the magnet [A/m^2], (3,).
        crossed_field: E x n of the electric field that drives charge [V/m], shape (3,).
        normal: Unit vector along the mean n, shape (3,); None where there is none.
        missing: Why there are no efficiencies, or None.
        missing_per_field: The same of those per field.
    """

    metal: str
    current: Array
    crossed_current: Array
    crossed_field: Array
    normal: Array | None
    missing: str | None
    missing_per_field: str | None

    def per_current(self, flux: Array, m: Array) -> Efficiency:
        """Return the efficiencies of a flux R J^M [1/(m^2 s)] per current density [1]."""
        return _resolved(flux, m, self.crossed_current, self.missing)

    def per_field(self, flux: Array, m: Array) -> Efficiency:
        """Return the efficiencies of a flux R J^M [1/(m^2 s)] per electric field [S/m]."""
        return _resolved(flux, m, self.crossed_field, self.missing_per_field)

    def left_out(self, m: Array) -> str | None:
        """Return why a magnet along m has no efficiencies, or None if it has."""
        if self.missing is not None:
            return self.missing
        nothing = _resolved(self.current, m, self.crossed_current, None).damping_like is None
        return "m is along sigma = j x n" if nothing else None


def undirected(metal: str, current: Array) -> Drive:
    """Return the drive of a magnet by its own current, about which nothing is resolved."""
    nothing = np.zeros(3)
    why = f"no other metal touches {metal}, so that sigma = j x n has no normal n"
    return Drive(metal, current, nothing, nothing, None, why, why)


def directed(
    metal: str,
    current: Array,
    crossed: Array,
    field: Array,
    normal: Array | None,
    conductivity: float,
    least: float,
    through: float = 0.0,
) -> Drive:
    """Return the drive by a metal, with the reasons why its efficiencies do not exist.

    Args:
        metal: The region.
        current: j [A/m^2], shape (3,).
        crossed: j x n [A/m^2], shape (3,).
        field: E x n [V/m], shape (3,).
        normal: n, shape (3,); None where there is none.
        conductivity: Of the metal [S/m].
        least: Flux below which a current is round-off [1/(m^2 s)].
        through: j n, what crosses the interface [A/m^2]; where it is more than what flows along
            it, the torque is that of a current through the magnet.
    """
    missing = missing_field = None
    if normal is None:
        missing = missing_field = (
            f"the normals from {metal} to the magnet cancel, so that sigma = j x n has no n"
        )
    else:
        if np.linalg.norm(crossed) <= E_CHARGE * least:
            missing = f"no current flows along the interface in {metal}"
        elif np.linalg.norm(crossed) <= abs(through):
            missing = missing_field = (
                f"the current in {metal} crosses the interface rather than flowing along it"
            )
        if missing_field is None and conductivity * np.linalg.norm(field) <= E_CHARGE * least:
            missing_field = f"no electric field acts along the interface in {metal}"
    return Drive(metal, current, crossed, field, normal, missing, missing_field)


def efficiency(
    flux: ArrayLike, m: ArrayLike, current: ArrayLike, normal: ArrayLike, charge: float
) -> Efficiency:
    """Return the torque efficiencies of a flux about sigma = j x n.

    Args:
        flux: R J^M [1/(m^2 s)], shape (3,).
        m: Magnetization direction, shape (3,).
        current: Charge current density in the metal [A/m^2], shape (3,).
        normal: Unit vector from the metal to the magnet, shape (3,).
        charge: Elementary charge [C].
    """
    crossed = np.cross(np.asarray(current, float), np.asarray(normal, float))
    scale = charge / E_CHARGE
    return _resolved(scale * np.asarray(flux, float), np.asarray(m, float), crossed, None)


def _resolved(flux: Array, m: Array, crossed: Array, missing: str | None) -> Efficiency:
    """Return the efficiencies of a flux about a vector j_c sigma."""
    size = np.linalg.norm(crossed)
    if missing is not None or size == 0:
        return Efficiency(None, None)
    turn: Any = cross_matrix(m)
    field = turn @ (crossed / size)
    damping = -turn @ field
    norm = damping @ damping
    if norm < 1e-12:
        return Efficiency(None, None)
    scaled = E_CHARGE * flux / size / norm
    return Efficiency(scaled @ damping, scaled @ field)
