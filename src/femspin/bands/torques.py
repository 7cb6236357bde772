r"""From coefficients to velocities, in SI: what a current density does to n and m.

.. math:: (\dot n)_{STT} &= -(u_n\cdot\nabla)n \\
          (\dot m)_{STT} &= -\Pi_n(u_m\cdot\nabla)m - n\,[m\cdot(\dot n)_{STT}]
              + \beta\,n\times(u_n\cdot\nabla)n
              + \tau_{sd}\,n\times(\partial_tu_{st}\cdot\nabla)n

n and m are directions of the magnetization (errata B16); the projection keeps n.m = 0 (B17).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import CaseError
from ..units import E_CHARGE, HBAR, Array
from .coefficients import Coefficients, TorqueModel

__all__ = ["TorqueVelocities", "drift_velocity", "exchange_time", "torque_velocities"]


@dataclass(frozen=True)
class TorqueVelocities:
    """What enters the equations of motion of an antiferromagnet.

    Args:
        u_n: Drift velocity of n [m/s], shape (d,).
        u_m: Drift velocity of m [m/s], shape (d,).
        u_st: Velocity of the staggered torque of a changing current [m/s], shape (d,).
        tau_sd: hbar/2J [s], errata B15.
        beta: tau_sd/tau_s; 0 without spin relaxation.
    """

    u_n: Array
    u_m: Array
    u_st: Array
    tau_sd: float
    beta: float


def drift_velocity(p: ArrayLike, current_density: ArrayLike, s: float) -> Array:
    r"""Return :math:`u = -\hbar\,p\,j_c/2es` [m/s]; errata B11-B13.

    Args:
        p: Dimensionless coefficient, a number or a tensor (gradient, current).
        current_density: Conventional current density j_c [A/m^2], shape (d,).
        s: Angular-momentum density [J s/m^3]: 2 M_0/gamma with the magnetization M_0 of one
            sublattice, hbar N/v_0 with the spin N of a site of volume v_0.  Twice the spin of
            one sublattice: the same formula with M_s/gamma holds for a ferromagnet.
    """
    j = np.atleast_1d(np.asarray(current_density, dtype=float))
    tensor = np.asarray(p, dtype=float)
    moved = tensor * j if tensor.ndim == 0 else tensor @ j
    velocity: Array = -HBAR / (2 * E_CHARGE * s) * moved
    return velocity


def exchange_time(exchange: float) -> float:
    """Return tau_sd = hbar/2J [s] of the exchange energy J = N J_sd [J]; errata B15."""
    return HBAR / (2 * exchange)


def torque_velocities(
    coefficients: Coefficients,
    current_density: ArrayLike,
    s: float,
    hopping: float,
    model: TorqueModel = "complete",
    spin_relaxation_time: float | None = None,
) -> TorqueVelocities:
    """Return the velocities u_n, u_m, u_st, the time tau_sd and beta, in SI.

    Args:
        coefficients: Of the band structure.
        current_density: Conventional current density [A/m^2]; shape (d,), or a number along x.
        s: Angular-momentum density [J s/m^3], see `drift_velocity`.
        hopping: Unit of energy of the lattice [J].
        model: Of the coefficients.
        spin_relaxation_time: tau_s of the electrons [s]; without it beta = 0 and a direct
            current makes no staggered torque.

    Raises:
        CaseError: For a density, energy or time that is not positive.
    """
    d = coefficients.lattice.dimension
    for name, value in (("s", s), ("hopping", hopping), ("spin_relaxation_time", spin_relaxation_time)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise CaseError(name, f"must be a positive number (got {value!r})")
    j = np.atleast_1d(np.asarray(current_density, dtype=float))
    if j.shape == (1,) and d > 1:
        j = np.concatenate([j, np.zeros(d - 1)])
    if j.shape != (d,) or not np.all(np.isfinite(j)):
        raise CaseError("current_density", f"must be {d} finite numbers (got {j.tolist()})")
    table = coefficients.tensors[model]
    u_n, u_m, u_st = (drift_velocity(table[name], j, s) for name in ("p_n", "p_m", "p_st"))
    tau_sd = exchange_time(coefficients.lattice.exchange * hopping)
    beta = 0.0 if spin_relaxation_time is None else tau_sd / spin_relaxation_time
    return TorqueVelocities(u_n, u_m, u_st, tau_sd, beta)
