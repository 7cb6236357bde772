r"""The exact split of the spin flux through a face of a layer into its causes.

Integrating the spin continuity equation over a layer and sorting the gauge torque
:math:`-\epsilon^{abc}a^{jb}J^{jc}` by what drives the flux gives, with
:math:`\bar N = \nu\int\mu\,dz`, the kernels K (loss) and C (gauge) and the parts
:math:`K_\pm` symmetric and antisymmetric, d diagonal, o off-diagonal,

.. math::
    J^{za}(\text{top}) = \underbrace{-\Gamma\bar N + \omega\times\bar N}_{M}
    \underbrace{- D(K_+^d + K_-)\bar N}_{L}
    \underbrace{- D K_+^o\bar N}_{S}
    \underbrace{+ D C^{ab}_z\Delta N^b}_{A}
    \underbrace{- C^{a\eta}_j s^{j\eta} L + D C^{a0}_z\Delta N^0}_{E}
    \underbrace{- iW\bar N}_{T}
    + \underbrace{J^{za}(\text{bottom})}_{B} .

The sum does not depend on the spin frame or gauge; the parts do, and of them only M and B
are torque on moments.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields

import numpy as np
from numpy.typing import ArrayLike

from ...dual import as_array
from ...fields.kernels import gauge_kernel, loss_kernel
from ...fields.region import RegionFields
from ...fields.soc import cross_matrix
from ...units import AnyArray

__all__ = ["FluxSplit", "layer_sources"]


@dataclass(frozen=True)
class FluxSplit:
    """Contributions to the spin flux that leaves a layer through one of its faces.

    All parts have the same shape, (..., 3) for fluxes [1/(m^2 s)] and for the drift part of an
    admittance, (3, 3) for conductances [S/m^2].

    Args:
        M_relax: Spin given to moments and lattice by relaxation.
        M_prec: Precession about the exchange field.
        L_diag: Loss to the spin-orbit field, diagonal part.
        L_anti: Loss to the spin-orbit field, antisymmetric part.
        S: Loss to the spin-orbit field, symmetric off-diagonal part.
        A: Gauge precession of the diffusing spins.
        E: Spins made by the electric field through the spin-orbit field.
        T: Storage, -d_t of the spins in the layer.
        B: Flux that enters through the other face.
    """

    M_relax: AnyArray
    M_prec: AnyArray
    L_diag: AnyArray
    L_anti: AnyArray
    S: AnyArray
    A: AnyArray
    E: AnyArray
    T: AnyArray
    B: AnyArray

    @property
    def M(self) -> AnyArray:
        """Relaxation and exchange precession together."""
        return self.M_relax + self.M_prec

    @property
    def L(self) -> AnyArray:
        """Diagonal and antisymmetric loss together."""
        return self.L_diag + self.L_anti

    @property
    def total(self) -> AnyArray:
        """Sum of all parts: the flux through the face, to round-off."""
        return sum(self.parts().values(), start=np.zeros_like(self.B))

    def parts(self) -> dict[str, AnyArray]:
        """Return the nine parts by name."""
        return {item.name: getattr(self, item.name) for item in dataclass_fields(self)}


def layer_sources(
    fields: RegionFields,
    thickness: ArrayLike,
    integral: AnyArray,
    rise: AnyArray,
    entering: AnyArray,
    frequency: ArrayLike = 0.0,
    drive: ArrayLike = 1.0,
) -> FluxSplit:
    """Return the split of the flux leaving a layer; all arrays may have leading axes, as of stacks.

    Args:
        fields: Coefficients of the layer.
        thickness: Its thickness [m].
        integral: Integral of mu^a over the layer [J m], shape (..., 3).
        rise: mu^eta at the top minus mu^eta at the bottom [J], shape (..., 4).
        entering: Flux in through the other face [1/(m^2 s)], shape (..., 3).
        frequency: Angular frequency W [rad/s].
        drive: Scale of the drift forces.

    References:
        PRB 108, 125309 (2023), Eqs. (33), (35)-(37); errata E7, E14, E19, E28.
    """
    dos, diffusion = (as_array(x)[..., None] for x in (fields.dos, fields.diffusion))
    density, jump = dos * integral, dos * rise
    loss, gauge = loss_kernel(fields.gauge, fields.theta), gauge_kernel(fields.gauge, fields.theta)
    symmetric = 0.5 * (loss + np.moveaxis(loss, -1, -2))
    diagonal = symmetric * np.eye(3)
    made = np.einsum("...ajn,...jn->...a", gauge, fields.drift)
    flow = diffusion[..., None] * gauge[..., 2, :]

    def times(matrix: AnyArray, vector: AnyArray) -> AnyArray:
        found: AnyArray = (matrix @ vector[..., None])[..., 0]
        return found

    return FluxSplit(
        M_relax=-times(fields.relaxation, density),
        M_prec=times(cross_matrix(fields.omega), density),
        L_diag=-diffusion * times(diagonal, density),
        L_anti=-diffusion * times(loss - symmetric, density),
        S=-diffusion * times(symmetric - diagonal, density),
        A=times(flow[..., 1:], jump[..., 1:]),
        E=flow[..., 0] * jump[..., :1] - (as_array(drive) * as_array(thickness))[..., None] * made,
        T=-1j * as_array(frequency)[..., None] * density if np.any(frequency) else 0.0 * density,
        B=entering,
    )
