"""Conductances of a thin magnetic metal from its coefficients, for comparison and checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..fields.kernels import loss_kernel, thin_loss_kernel
from ..fields.region import RegionFields
from ..fields.soc import cross_matrix
from ..units import E_CHARGE

__all__ = ["layer_conductance", "thin_conductance"]

Array = NDArray[np.float64]


def layer_conductance(fields: RegionFields, thickness: float) -> Array:
    r"""Return G [S/m^2] of a layer with a^z = 0 and Theta = 1, exact there, shape (3, 3).

    :math:`G = -e^2\nu D\,X\tanh(X\ell_F)` with
    :math:`X^2 = K + (\Gamma - \omega\times)/D`.

    Args:
        fields: Coefficients; a^z and Theta are ignored.
        thickness: ell_F [m].

    References:
        Errata E17.
    """
    gauge = fields.gauge.copy()
    gauge[2] = 0.0
    square = (
        loss_kernel(gauge, np.eye(12))
        + (fields.relaxation - cross_matrix(fields.omega)) / fields.diffusion
    )
    values, vectors = np.linalg.eig(square.astype(complex))
    root = np.sqrt(values)
    function = vectors @ np.diag(root * np.tanh(root * thickness)) @ np.linalg.inv(vectors)
    return -(E_CHARGE**2) * fields.dos * fields.diffusion * function.real


def thin_conductance(fields: RegionFields, thickness: float) -> Array:
    """Return G [S/m^2] to leading order in a thickness below all lengths, exact in Theta.

    References:
        Errata E20.
    """
    loss = fields.diffusion * thin_loss_kernel(fields.gauge, fields.theta)
    reaction = fields.relaxation - cross_matrix(fields.omega)
    return -(E_CHARGE**2) * fields.dos * thickness * (reaction + loss)
