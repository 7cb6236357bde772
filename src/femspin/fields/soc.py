r"""Spin-orbit coupling as an SU(2) gauge field.

The Hamiltonian :math:`H_{so} = -2 c^{ib} P_i s^b` with :math:`s=\sigma/2` defines the velocity
matrix :math:`c^{ib}` (row: space i, column: spin b); the gauge field is
:math:`a^{ib} = (e/\hbar) A^{ib} = 2 m c^{ib}/\hbar`, independent of the sign of the charge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..dual import as_array, stacked, zeros_for
from ..units import E_CHARGE, HBAR, Array

__all__ = [
    "LEVI_CIVITA",
    "cofactor",
    "covariant_rotation",
    "cross_matrix",
    "curvature_spin_hall",
    "gauge_field",
    "spin_electric_field",
    "spin_magnetic_field",
    "velocity_matrix",
]


LEVI_CIVITA: Array = np.zeros((3, 3, 3))
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    LEVI_CIVITA[_i, _j, _k], LEVI_CIVITA[_i, _k, _j] = 1.0, -1.0
LEVI_CIVITA.setflags(write=False)


def cross_matrix(vector: ArrayLike) -> Array:
    """Return the matrix of v x (.), shape (..., 3, 3), for vectors of shape (..., 3)."""
    found: Array = np.einsum("abc,...b->...ac", LEVI_CIVITA, as_array(vector, float))
    return found


def velocity_matrix(
    rashba: float = 0.0,
    dresselhaus: float = 0.0,
    strain_coupling: float = 0.0,
    strain: ArrayLike | None = None,
) -> Array:
    """Return the spin-orbit velocity matrix c^{ib} [m/s], shape (3, 3) = (space, spin).

    Args:
        rashba: alpha = alpha_R / hbar [m/s].
        dresselhaus: beta of a [001] film [m/s].
        strain_coupling: lambda [m/s], multiplies the shear strains.
        strain: Strain tensor u_ij, shape (3, 3); only u_xy, u_yz, u_zx enter.

    References:
        PRB 108, 125309 (2023), Eqs. (9)-(11); sign of (A3) corrected, errata E1.
    """
    u = as_array(
        stacked(strain) if isinstance(strain, list) else np.zeros((3, 3)) if strain is None else strain
    )
    in_plane = rashba - u[0, 1] * strain_coupling
    v, w = u[1, 2] * strain_coupling, u[2, 0] * strain_coupling
    return stacked([[-dresselhaus, in_plane, w], [-in_plane, dresselhaus, -v], [-w, v, 0.0]])


def gauge_field(velocity: ArrayLike, mass: float) -> Array:
    """Return a^{ib} = 2 m c^{ib} / hbar [1/m], same shape as `velocity` [m/s]; mass in kg.

    References:
        PRB 108, 125309 (2023), Eqs. (7), (9)-(11).
    """
    return 2.0 * mass / HBAR * as_array(velocity, float)


def cofactor(a: ArrayLike) -> Array:
    """Return cof(a)^{ia} = (1/2) eps^{ijk} eps^{abc} a^{jb} a^{kc}, shape (3, 3)."""
    a = as_array(a, float)
    found: Array = 0.5 * np.einsum("ijk,abc,jb,kc->ia", LEVI_CIVITA, LEVI_CIVITA, a, a)
    return found


def spin_magnetic_field(a: ArrayLike, curl: ArrayLike | None = None) -> Array:
    r"""Return the curvature B^{ia} [T] of the gauge field, shape (3, 3) = (space, spin).

    :math:`e B^{ia} = \hbar\,[\mathrm{cof}(a)^{ia} + (\nabla\times a^a)^i]` with the electron
    charge :math:`-|e|` for e.

    Args:
        a: Gauge field [1/m].
        curl: (curl a^a)^i [1/m^2], for a gauge field that varies in space.

    References:
        PRB 108, 125309 (2023), Eq. (17); errata E22, E23.
    """
    field = cofactor(a) if curl is None else cofactor(a) + np.asarray(curl, float)
    return -HBAR / E_CHARGE * field


def spin_electric_field(a: ArrayLike, omega: ArrayLike) -> Array:
    """Return the spin electric field E^{ja} [V/m] of a uniform a and precession omega.

    References:
        PRB 108, 125309 (2023), Eqs. (17), (A17)-(A19); errata E21.
    """
    a, omega = np.asarray(a, float), np.asarray(omega, float)
    found: Array = HBAR / E_CHARGE * np.einsum("abc,jb,c->ja", LEVI_CIVITA, a, omega)
    return found


def curvature_spin_hall(a: ArrayLike, scattering_time: float, mass: float) -> Array:
    r"""Return theta_C^{ka} = (hbar tau / 2m) cof(a)^{ka}, shape (3, 3) = (space, spin).

    The factor 1/2 belongs to N^0 = n_up + n_dn, N^a = n_up - n_dn; the printed text has none.

    References:
        PRB 108, 125309 (2023), Eq. (30); errata E9.
    """
    return HBAR * scattering_time / (2.0 * mass) * cofactor(a)


def covariant_rotation(a: ArrayLike) -> Array:
    """Return T_j of the covariant derivative d_j + T_j, shape (3, 4, 4) [unit of a].

    Row and column 0 (charge) vanish; (T_j mu)^a = eps^{abc} a^{jb} mu^c.

    References:
        PRB 108, 125309 (2023), Eq. (7).
    """
    a = as_array(a, float)
    rotation = zeros_for((*a.shape[:-1], 4, 4), a)
    rotation[..., 1:, 1:] = cross_matrix(a)
    return rotation
