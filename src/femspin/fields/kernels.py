"""The tensors that turn spin density into spin loss and gauge precession."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..dual import as_array
from ..units import Array
from .soc import LEVI_CIVITA, cross_matrix

__all__ = ["gauge_kernel", "loss_kernel", "thin_loss_kernel", "thin_response"]


_SPIN = [1, 2, 3, 5, 6, 7, 9, 10, 11]  # the spin components of 4 i + eta


def loss_kernel(a: ArrayLike, theta: ArrayLike) -> Array:
    """Return K^{ac} [unit of a^2], shape (..., 3, 3), of a (..., 3, 3) and Theta (..., 12, 12).

    K^{ac} = -eps^{abm} a^{ib} Theta^{im}_{jn} eps^{ndc} a^{jd}; the paper's Omega^{ac} is
    D ell^c K^{ac}.

    References:
        PRB 108, 125309 (2023), Eq. (36); errata E10, E14.
    """
    gauge, turn = gauge_kernel(a, theta)[..., 1:], cross_matrix(a)
    found: Array = -gauge.reshape(*gauge.shape[:-2], 9) @ turn.reshape(*turn.shape[:-3], 9, 3)
    return found


def gauge_kernel(a: ArrayLike, theta: ArrayLike) -> Array:
    """Return C^{a nu}_j [unit of a], shape (..., 3, 3, 4) = (..., a, j, nu).

    C^{a nu}_j = eps^{abm} a^{ib} Theta^{im}_{j nu}; the paper's Gamma^{ac} is -D C^{ac}_z.

    References:
        PRB 108, 125309 (2023), Eq. (37).
    """
    theta = as_array(theta, float)
    turn, rows = np.moveaxis(cross_matrix(a), -2, -3), theta[..., _SPIN, :]
    found: Array = turn.reshape(*turn.shape[:-2], 9) @ rows
    return found.reshape(*found.shape[:-1], 3, 4)


def thin_response(theta: ArrayLike) -> Array:
    """Return the in-plane 8 x 8 response of a film with J^z = 0 (Schur complement of Theta)."""
    theta = as_array(theta, float)
    p, z = slice(0, 8), slice(8, 12)
    found: Array = theta[p, p] - theta[p, z] @ np.linalg.solve(theta[z, z], theta[z, p])
    return found


def thin_loss_kernel(a: ArrayLike, theta: ArrayLike) -> Array:
    """Return K of a film much thinner than its decay lengths: in-plane a and response only.

    References:
        Errata E20.
    """
    a = as_array(a, float)[:2]
    spin = thin_response(theta).reshape(2, 4, 2, 4)[:, 1:, :, 1:]
    found: Array = -np.einsum("abm,ib,imjn,ndc,jd->ac", LEVI_CIVITA, a, spin, LEVI_CIVITA, a)
    return found
