"""The conductance of a layer with exponential spin density, for any direction and response.

The named conductances of `femspin.interface.closed_forms` are its entries for m along z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..fields.kernels import gauge_kernel, loss_kernel
from ..fields.kondo import relaxation_tensor
from ..fields.region import RegionFields
from ..fields.soc import cross_matrix
from ..units import E_CHARGE, Array

__all__ = ["ContractedConductance", "contracted_conductance", "decay_tensor"]


@dataclass(frozen=True)
class ContractedConductance:
    """The conductance of the exponential ansatz and the tensors it is made of.

    Args:
        K: Loss kernel K^{ac} [1/m^2], shape (3, 3); K_plus and K_minus are its parts.
        Omega: D K^{ab} ell^{bc} [m/s], Eq. (36), shape (3, 3).
        Gamma: -D C^{ac}_z [m/s], Eq. (37), shape (3, 3).
        M_relax: Conductance of the relaxation [S/m^2], shape (3, 3), as all below.
        M_prec: Conductance of the precession.
        L_diag: Loss by the diagonal of K_plus.
        L_anti: Loss by K_minus.
        S: Loss by the rest of K_plus.
        A: Gauge precession.
    """

    K: Array
    Omega: Array
    Gamma: Array
    M_relax: Array
    M_prec: Array
    L_diag: Array
    L_anti: Array
    S: Array
    A: Array

    @property
    def K_plus(self) -> Array:
        """Symmetric part of K."""
        return 0.5 * (self.K + self.K.T)

    @property
    def K_minus(self) -> Array:
        """Antisymmetric part of K."""
        return 0.5 * (self.K - self.K.T)

    @property
    def Omega_plus(self) -> Array:
        """Symmetric part of Omega."""
        return 0.5 * (self.Omega + self.Omega.T)

    @property
    def Omega_minus(self) -> Array:
        """Antisymmetric part of Omega."""
        return 0.5 * (self.Omega - self.Omega.T)

    @property
    def M(self) -> Array:
        """Relaxation and precession together."""
        return self.M_relax + self.M_prec

    @property
    def L(self) -> Array:
        """Diagonal and antisymmetric loss together."""
        return self.L_diag + self.L_anti

    @property
    def total(self) -> Array:
        """The conductance of the ansatz."""
        return self.M + self.L + self.S + self.A


def contracted_conductance(fields: RegionFields, lengths: ArrayLike) -> ContractedConductance:
    r"""Return the conductance of the ansatz (34) for any magnetization and any response.

    .. math:: G = e^2\nu\,[(-\Gamma + \omega\times - D K)\,\ell + D C_z]

    The split is made on K, not on Omega, so that unequal lengths do not mix its parts.

    Args:
        fields: Coefficients of the layer.
        lengths: Decay lengths [m]: one number, one per spin component, or a tensor (3, 3), such
            as `decay_tensor` of lengths along and across m.

    References:
        PRB 108, 125309 (2023), Eqs. (34)-(37); errata E7, E14.
    """
    given = np.asarray(lengths, float)
    ell = given if given.ndim == 2 else np.diag(np.broadcast_to(given, 3))
    K = loss_kernel(fields.gauge, fields.theta)
    plus, minus = 0.5 * (K + K.T), 0.5 * (K - K.T)
    diagonal = np.diag(np.diag(plus))
    flow = fields.diffusion * gauge_kernel(fields.gauge, fields.theta)[:, 2, 1:]
    weight = E_CHARGE**2 * fields.dos
    loss = -weight * fields.diffusion
    return ContractedConductance(
        K=K,
        Omega=fields.diffusion * K @ ell,
        Gamma=-flow,
        M_relax=-weight * fields.relaxation @ ell,
        M_prec=weight * cross_matrix(fields.omega) @ ell,
        L_diag=loss * diagonal @ ell,
        L_anti=loss * minus @ ell,
        S=loss * (plus - diagonal) @ ell,
        A=weight * flow,
    )


def decay_tensor(ell_par: float, ell_perp: float, m: ArrayLike) -> Array:
    """Return ell_perp + (ell_par - ell_perp) m m^T [m], shape (3, 3)."""
    return relaxation_tensor(ell_par, ell_perp, m)
