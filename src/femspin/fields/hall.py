r"""Hall, spin Hall and Larmor response: the 12 x 12 matrix Theta with J = Theta f.

Fluxes and forces carry the composite index :math:`I = 4 i + \eta` (i: x, y, z; eta: charge,
then spin x, y, z).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..dual import as_array, value_of, zeros_for
from ..units import E_CHARGE, Array
from .soc import LEVI_CIVITA, cross_matrix

__all__ = [
    "THETA_MODES",
    "ThetaMode",
    "hall_angle",
    "isotropic_spin_hall",
    "response",
    "response_matrix",
    "response_polarised",
]

ThetaMode = Literal["exact", "first", "eq38", "hall"]
THETA_MODES: tuple[ThetaMode, ...] = ("exact", "first", "eq38", "hall")


def hall_angle(magnetic_field: ArrayLike, scattering_time: float, mass: float) -> Array:
    """Return the ordinary Hall angles theta^0_k = q tau B_k / m with q = -|e|, shape (3,).

    References:
        PRB 108, 125309 (2023), Eq. (29).
    """
    return -E_CHARGE * scattering_time / mass * as_array(magnetic_field, float)


def isotropic_spin_hall(angle: float) -> Array:
    """Return theta_C^{ka} = -theta_SH delta_ka of a metal with a published angle, shape (3, 3).

    Published angles are positive for Pt: there conventional current along +x sends electrons with
    spin along +y, moment along -y, towards +z.  The bulk spin current is
    J^{zy} = -theta_SH J^{x0}, as in Chen et al., PRB 87, 144411 (2013).
    """
    return -angle * np.eye(3)


def response_matrix(
    hall: ArrayLike = (0.0, 0.0, 0.0), larmor: ArrayLike = (0.0, 0.0, 0.0), spin_hall: ArrayLike | None = None
) -> Array:
    """Return M of M J = f, shape (..., 12, 12); M - 1 is antisymmetric.

    Args:
        hall: theta^0_k, shape (3,).
        larmor: theta_L^a = omega^a tau, shape (..., 3).
        spin_hall: theta_C^{ka}, shape (3, 3) = (space k, spin a).

    References:
        PRB 108, 125309 (2023), Eqs. (26), (27); errata E9.
    """
    precession = -cross_matrix(larmor)
    leading = precession.shape[:-2]
    matrix: Array = zeros_for((*leading, 3, 4, 3, 4), precession, hall, spin_hall)
    matrix[...] = np.eye(12).reshape(3, 4, 3, 4)
    deflection = np.einsum("ikj,k->ij", LEVI_CIVITA, as_array(hall, float))
    for eta in range(4):
        matrix[..., :, eta, :, eta] += deflection
    for i in range(3):
        matrix[..., i, 1:, i, 1:] += precession
    if spin_hall is not None:
        mixing = np.einsum("ikj,ka->aij", LEVI_CIVITA, as_array(spin_hall, float))
        for a in range(3):
            matrix[..., :, 0, :, a + 1] += mixing[a]
            matrix[..., :, a + 1, :, 0] += mixing[a]
    return matrix.reshape(*leading, 12, 12)


def response(
    hall: ArrayLike = (0.0, 0.0, 0.0),
    larmor: ArrayLike = (0.0, 0.0, 0.0),
    spin_hall: ArrayLike | None = None,
    mode: ThetaMode = "exact",
) -> Array:
    """Return Theta, shape (..., 12, 12), in one of four modes; its symmetric part is positive.

    Args:
        hall: theta^0_k, shape (3,).
        larmor: theta_L^a, shape (..., 3).
        spin_hall: theta_C^{ka}, shape (3, 3).
        mode: ``exact`` M^-1; ``first`` 2 - M; ``eq38`` first order in theta^0 alone;
            ``hall`` exact in theta^0 alone.

    Raises:
        ValueError: If the mode is unknown.

    References:
        PRB 108, 125309 (2023), Eqs. (31), (38); errata E8.
    """
    if mode == "exact":
        return as_array(np.linalg.inv(response_matrix(hall, larmor, spin_hall)), float)
    if mode == "first":
        return 2 * np.eye(12) - response_matrix(hall, larmor, spin_hall)
    if mode == "eq38":
        return 2 * np.eye(12) - response_matrix(hall)
    if mode == "hall":
        return as_array(np.linalg.inv(response_matrix(hall)), float)
    raise ValueError(f"Theta mode must be one of {', '.join(THETA_MODES)}, got {mode!r}")


def response_polarised(
    polarisation: ArrayLike,
    hall: ArrayLike = (0.0, 0.0, 0.0),
    larmor: ArrayLike = (0.0, 0.0, 0.0),
    spin_hall: ArrayLike | None = None,
    mode: ThetaMode = "exact",
) -> Array:
    r"""Return Theta of a metal with polarised conductivity, Onsager-symmetric, (..., 12, 12).

    :math:`\Theta_P = (1\otimes\Pi^{-1} + M - 1)^{-1}` with
    :math:`\Pi = 1 + P^a(|0\rangle\langle a| + |a\rangle\langle 0|)`: a gradient of the charge
    potential drives a spin current and a gradient of the spin potential a charge current.
    The modes of first order in the angles have
    :math:`\Theta_P = \Pi - [(M - 1)\Pi + \Pi(M - 1)]/2`, in which both channels are deflected by
    the same angle, as in (T28).

    Args:
        polarisation: P^a of the electron spins, shape (..., 3).
        hall: theta^0_k, shape (3,).
        larmor: theta_L^a, shape (..., 3).
        spin_hall: theta_C^{ka}, shape (3, 3).
        mode: See `response`.

    Raises:
        ValueError: If |P| >= 1, or the mode is unknown.
    """
    if mode not in THETA_MODES:
        raise ValueError(f"Theta mode must be one of {', '.join(THETA_MODES)}, got {mode!r}")
    if mode in ("hall", "eq38"):
        larmor, spin_hall = (0.0, 0.0, 0.0), None
    matrix = response_matrix(hall, larmor, spin_hall)
    p = as_array(polarisation, float)
    if np.sum(value_of(p) ** 2, axis=-1).max() >= 1.0:
        raise ValueError("the conductivity polarisation must satisfy |P| < 1")
    pi = np.empty_like(p, shape=(*p.shape[:-1], 4, 4))
    pi[...] = np.eye(4)
    pi[..., 0, 1:] = pi[..., 1:, 0] = p
    if mode in ("exact", "hall"):
        inverse = np.kron(np.eye(3), np.linalg.inv(pi) - np.eye(4))
        return as_array(np.linalg.inv(matrix + inverse), float)
    spread, angles = np.kron(np.eye(3), pi), matrix - np.eye(12)
    return spread - 0.5 * (angles @ spread + spread @ angles)
