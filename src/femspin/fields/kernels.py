"""The tensors that turn spin density into spin loss and gauge precession."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..dual import as_array
from ..units import Array
from .soc import LEVI_CIVITA, cross_matrix

__all__ = ["gauge_kernel", "loss_kernel", "thin_loss_kernel", "thin_response"]


def loss_kernel(a: ArrayLike, theta: ArrayLike) -> Array:
    """Return K^{ac} [unit of a^2], shape (3, 3).

    K^{ac} = -eps^{abm} a^{ib} Theta^{im}_{jn} eps^{ndc} a^{jd}; the paper's Omega^{ac} is
    D ell^c K^{ac}.

    References:
        PRB 108, 125309 (2023), Eq. (36); errata E10, E14.
    """
    found: Array = -np.dot(gauge_kernel(a, theta)[..., 1:].reshape(3, 9), cross_matrix(a).reshape(9, 3))
    return found


def gauge_kernel(a: ArrayLike, theta: ArrayLike) -> Array:
    """Return C^{a nu}_j [unit of a], shape (3, 3, 4) = (a, j, nu).

    C^{a nu}_j = eps^{abm} a^{ib} Theta^{im}_{j nu}; the paper's Gamma^{ac} is -D C^{ac}_z.

    References:
        PRB 108, 125309 (2023), Eq. (37).
    """
    rows = as_array(theta, float).reshape(3, 4, 3, 4)[:, 1:].reshape(9, 12)
    found: Array = np.dot(np.moveaxis(cross_matrix(a), 1, 0).reshape(3, 9), rows).reshape(3, 3, 4)
    return found


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
