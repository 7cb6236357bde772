r"""Torques of currents on a texture, as rotation rates :math:`\Omega` with dm/dt = Omega x m.

A torque that is perpendicular to m is written as a rotation, so every scheme of this folder
keeps |m| = 1 whatever drives it:

* Zhang-Li, :math:`-(u\cdot\nabla)m + \beta\,m\times(u\cdot\nabla)m`:
  :math:`\Omega = -m\times(u\cdot\nabla)m - \beta(u\cdot\nabla)m`;
* spin-orbit or Slonczewski, :math:`-w_D\,m\times(m\times p) - w_F\,m\times p`:
  :math:`\Omega = w_D\,m\times p + w_F\,p`;
* any other rate :math:`\tau` perpendicular to m: :math:`\Omega = m\times\tau`.

p is the direction of the moments of the absorbed carriers, opposite to their spin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..errors import CaseError
from ..units import LENGTH, RATE, TIME, Array
from .magnet import rate, velocity
from .space import TextureSpace
from .vectors import cross, cross_matrix, dot

__all__ = [
    "ExternalTorque",
    "SpinOrbitTorque",
    "SpinTransfer",
    "Torque",
    "TransferRates",
    "surface_rate",
    "transfer_slope",
]

Profile = Callable[[float], ArrayLike]


class Torque(Protocol):
    """A torque on a ferromagnet."""

    def rotation(self, space: TextureSpace, m: Array, time: float) -> Array:
        """Return Omega [rad/ps] of m at a time [ps], shape (n, 3)."""


def _value(given: ArrayLike | Profile, time: float) -> Array:
    """Return a number, array or function of time [s] at a time [ps]."""
    return np.asarray(given(time * TIME) if callable(given) else given, float)


def _column(values: Array) -> Array:
    """Return node values of shape (n,) as (n, 1); scalars stay as they are."""
    return values[:, None] if values.ndim == 1 else values


@dataclass(frozen=True)
class SpinOrbitTorque:
    """-w_D m x (m x p) - w_F m x p, in SI.

    Args:
        polarization: p, unit vector, shape (3,) or (n, 3).
        damping_like: w_D [1/s]: number, nodal values (n,), or a function of time [s].
        field_like: w_F [1/s]: number, nodal values (n,), or a function of time [s].
        staggered: Opposite sign on the two sublattices of an antiferromagnet.
    """

    polarization: ArrayLike
    damping_like: ArrayLike | Profile = 0.0
    field_like: ArrayLike | Profile = 0.0
    staggered: bool = False

    def __post_init__(self) -> None:
        size = np.linalg.norm(np.asarray(self.polarization, float), axis=-1)
        if np.abs(size - 1).max() > 1e-9:
            raise CaseError("torque.polarization", f"must be a unit vector, its length is {size}")

    def rates(self, time: float) -> tuple[Array, Array, Array]:
        """Return p, w_D and w_F [1/ps] at a time [ps], ready to multiply (n, 3)."""
        damping, field = (_column(rate(_value(v, time))) for v in (self.damping_like, self.field_like))
        return np.asarray(self.polarization, float), damping, field

    def rotation(self, space: TextureSpace, m: Array, time: float) -> Array:
        """Return w_D m x p + w_F p [rad/ps], shape (n, 3)."""
        p, damping, field = self.rates(time)
        return damping * cross(m, p) + field * p

    def slope(self, space: TextureSpace, m: Array, time: float) -> sp.csr_array:
        """Return dOmega/dm [rad/ps], shape (3 n, 3 n)."""
        p, damping, _ = self.rates(time)
        weight = np.repeat(np.broadcast_to(damping, (len(m), 1))[:, 0], 3)
        spin = cross_matrix(np.broadcast_to(p, m.shape))
        return sp.csr_array(sp.diags_array(-weight) @ spin)


@dataclass(frozen=True)
class TransferRates:
    """Velocities of the spin-transfer torque at one instant [nm/ps], shapes (3,) or (n, 3)."""

    u_n: Array
    u_m: Array
    beta: float


@dataclass(frozen=True)
class SpinTransfer:
    r"""Adiabatic and non-adiabatic torque of a current in the magnet, in SI.

    A ferromagnet uses u_n and beta.  In an antiferromagnet u_n moves n, u_m moves m, and
    :math:`\dot m` gains :math:`\beta n\times(u_n\cdot\nabla)n + \tau_{sd}\,n\times(\dot
    u_{st}\cdot\nabla)n`.  `magnet.drift_velocity` gives u of a current density.

    Args:
        u_n: Drift velocity [m/s], shape (3,) or (n, 3), or a function of time [s].
        beta: Ratio of the non-adiabatic to the adiabatic torque.
        u_m: Velocity that moves m of an antiferromagnet; by default u_n.
        u_st: Velocity of the staggered torque; by default u_n.
        tau_sd: hbar / (2 J_sd) [s]; 0 leaves the staggered torque out.
    """

    u_n: ArrayLike | Profile
    beta: float = 0.0
    u_m: ArrayLike | Profile | None = None
    u_st: ArrayLike | Profile | None = None
    tau_sd: float = 0.0

    def rates(self, time: float) -> TransferRates:
        """Return the velocities at a time [ps]."""
        u_n = velocity(_value(self.u_n, time))
        u_m = u_n if self.u_m is None else velocity(_value(self.u_m, time))
        return TransferRates(u_n, u_m, self.beta)

    def impulse(self, start: float, end: float) -> Array | None:
        """Return tau_sd (u_st(end) - u_st(start)) [nm], the kick of a changing current.

        A jump of the current is a kick of its size; None without one.
        """
        given = self.u_n if self.u_st is None else self.u_st
        if self.tau_sd == 0.0 or not callable(given):
            return None
        change = velocity(_value(given, end) - _value(given, start))
        return change * (self.tau_sd / TIME) if change.any() else None

    def rotation(self, space: TextureSpace, m: Array, time: float) -> Array:
        """Return -m x (u . grad) m - beta (u . grad) m [rad/ps], shape (n, 3)."""
        moved = space.along(self.rates(time).u_n, m)
        return -cross(m, moved) - self.beta * moved

    def slope(self, space: TextureSpace, m: Array, time: float) -> sp.csr_array:
        """Return dOmega/dm [rad/ps], shape (3 n, 3 n)."""
        return transfer_slope(space.along_matrix(self.rates(time).u_n), m, self.beta)


def transfer_slope(along: sp.csr_array, m: Array, beta: float) -> sp.csr_array:
    """Return dOmega/dm of Omega = -m x (G m) - beta G m with a matrix G, shape (3 n, 3 n)."""
    each = sp.csr_array(sp.kron(along, np.eye(3), format="csr"))
    turned = cross_matrix(m) + beta * sp.eye_array(m.size)
    return sp.csr_array(cross_matrix(along @ m) - turned @ each)


@dataclass(frozen=True)
class ExternalTorque:
    """Any torque given as a rate of m: the place where transport enters.

    Args:
        rate: dm/dt [1/s] of time [s] and m, shape (n, 3); the part along m is dropped.
    """

    rate: Callable[[float, Array], ArrayLike]

    def rotation(self, space: TextureSpace, m: Array, time: float) -> Array:
        """Return m x tau [rad/ps], shape (n, 3)."""
        return cross(m, np.asarray(self.rate(time * TIME, m), float) / RATE)

    def renew(self, m: Array) -> None:
        """Let a torque that follows m with a delay be that of m itself, at time 0."""
        follow = getattr(self.rate, "renew_at", None)
        if follow is not None:
            follow(0.0, m)


def surface_rate(
    space: TextureSpace, areas: Array, torque: ArrayLike, m: Array, spin_density: float
) -> Array:
    r"""Return dm/dt [1/s] of angular momentum put into the moments at a surface, shape (n, 3).

    .. math:: \dot m_i = -\frac{A_i}{s V_i}(1 - m m^T)\,T_i

    The sign: the moment is opposite to its angular momentum.  With all areas of a film of
    thickness d this is -T/(s d) on average.

    Args:
        space: The nodal space.
        areas: A_i [nm^2], shape (n,), see `TextureSpace.surface`.
        torque: T [J/m^2]: angular momentum per area and time, shape (3,) or (n, 3).
        m: Directions, shape (n, 3).
        spin_density: s [J s/m^3]; half of it for one sublattice of an antiferromagnet.
    """
    density = areas / (space.volumes * LENGTH) / spin_density
    load = np.broadcast_to(np.asarray(torque, float), m.shape)
    return -density[:, None] * (load - m * dot(m, load))
