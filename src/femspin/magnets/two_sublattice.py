r"""The exact twin of the (n, m) model: Landau-Lifshitz-Gilbert equations of both sublattices.

.. math:: \dot m_X = \tfrac1s m_X\times(w_m\pm w_n) + \alpha\,m_X\times\dot m_X + \tau_X

The directions are stacked as (m_A, m_B), shape (2 n, 3), each with half the volume, so that
:math:`\omega_X = -(2/V)\,\partial E/\partial m_X` and every scheme for a ferromagnet applies.
The anisotropy acts on each sublattice, as that of a single ion does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..units import RATE, TIME, Array
from .antiferromagnet import StaggeredTorque
from .energy import Exchange, FieldFunction, InterfacialDMI, Term, Uniaxial, Zeeman, zeeman
from .ferromagnet import Texture
from .magnet import Antiferromagnet, diffusivity, rate, velocity
from .space import TextureSpace
from .torques import SpinOrbitTorque, SpinTransfer, Torque, transfer_slope
from .vectors import cross, normalized

__all__ = ["StackedTorque", "Sublattices", "join", "split", "two_sublattice_texture"]


def split(stack: Array) -> tuple[Array, Array]:
    """Return n = (m_A - m_B)/2 and m = (m_A + m_B)/2, shapes (n, 3)."""
    half = len(stack) // 2
    return 0.5 * (stack[:half] - stack[half:]), 0.5 * (stack[:half] + stack[half:])


def join(n: Array, m: Array) -> Array:
    """Return the stack of unit vectors m_A, m_B along m + n and m - n, shape (2 n, 3)."""
    stack = np.concatenate([m + n, m - n])
    found: Array = stack / np.linalg.norm(stack, axis=1, keepdims=True)
    return found


@dataclass(frozen=True)
class _OfOrder:
    """A quadratic term of n as a term of the stack."""

    term: Term

    def energy(self, m: Array, time: float) -> float:
        return self.term.energy(split(m)[0], time)

    def gradient(self, m: Array, time: float) -> Array:
        half = 0.5 * self.term.gradient(split(m)[0], time)
        return np.concatenate([half, -half])

    def secant(self, before: Array, after: Array, time: float) -> Array:
        return self.gradient(0.5 * (before + after), time)

    def matrix(self, m: Array) -> sp.csr_array | None:
        inner = self.term.matrix(split(m)[0])
        return (
            None
            if inner is None
            else sp.csr_array(sp.kron(np.array([[0.25, -0.25], [-0.25, 0.25]]), inner, format="csr"))
        )


@dataclass(frozen=True)
class _Bilinear:
    """sum_i V_i m_A . M m_B: homogeneous exchange and homogeneous DMI.

    Of unit vectors a |m|^2 / 2 = a (1 + m_A . m_B) / 4, and d_h . (n x m) = d_h . (m_A x m_B) / 2.
    The energy is the first form, which does not cancel where the sublattices are opposite.
    """

    volumes: Array
    block: Array

    def energy(self, m: Array, time: float) -> float:
        half, alike = len(self.volumes), self.block[0, 0]
        a, b = m[:half], m[half:]
        skew = self.block - alike * np.eye(3)
        sums = 0.5 * alike * np.einsum("ij,ij->i", a + b, a + b)
        return float(self.volumes @ (sums + np.einsum("ia,ab,ib->i", a, skew, b)))

    def gradient(self, m: Array, time: float) -> Array:
        half = len(self.volumes)
        a, b = m[:half], m[half:]
        found: Array = np.tile(self.volumes, 2)[:, None] * np.concatenate([b @ self.block.T, a @ self.block])
        return found

    def secant(self, before: Array, after: Array, time: float) -> Array:
        return self.gradient(0.5 * (before + after), time)

    def matrix(self, m: Array) -> sp.csr_array:
        v = sp.diags_array(self.volumes)
        upper, lower = sp.kron(v, self.block), sp.kron(v, self.block.T)
        return sp.csr_array(sp.block_array([[None, upper], [lower, None]], format="csr"))


@dataclass(frozen=True)
class Sublattices:
    """A torque on the two sublattices.

    Args:
        torque: Spin-orbit torque (uniform or staggered) or spin-transfer torque.
    """

    torque: SpinOrbitTorque | SpinTransfer

    def rotation(self, space: TextureSpace, m: Array, time: float) -> Array:
        """Return Omega [rad/ps] of the stack, shape (2 n, 3)."""
        half = len(m) // 2
        if isinstance(self.torque, SpinOrbitTorque):
            sign = -1.0 if self.torque.staggered else 1.0
            first, second = (self.torque.rotation(space, part, time) for part in (m[:half], m[half:]))
            return np.concatenate([first, sign * second])
        u = self.torque.rates(time)
        n, sum_ = split(m)
        v_n, v_m = space.along(u.u_n, n), space.along(u.u_m, sum_)
        moved = np.concatenate([v_m + v_n, v_m - v_n])
        return -cross(m, moved) - u.beta * moved

    def slope(self, space: TextureSpace, m: Array, time: float) -> sp.csr_array:
        """Return dOmega/dm of the stack [rad/ps], shape (6 n, 6 n)."""
        half = len(m) // 2
        if isinstance(self.torque, SpinOrbitTorque):
            sign = -1.0 if self.torque.staggered else 1.0
            first, second = (self.torque.slope(space, x, time) for x in (m[:half], m[half:]))
            return sp.csr_array(sp.block_diag([first, sign * second]))
        u = self.torque.rates(time)
        of_n, of_m = space.along_matrix(u.u_n), space.along_matrix(u.u_m)
        alike, other = 0.5 * (of_m + of_n), 0.5 * (of_m - of_n)
        along = sp.csr_array(sp.block_array([[alike, other], [other, alike]]))
        return transfer_slope(along, m, u.beta)


@dataclass(frozen=True)
class StackedTorque:
    """A torque given as rates of n and m, on the two sublattices.

    Args:
        torque: Rates of a unit vector n and of m.
    """

    torque: StaggeredTorque

    def rotation(self, space: TextureSpace, m: Array, time: float) -> Array:
        """Return Omega [rad/ps] of the stack, shape (2 n, 3)."""
        n, sum_ = split(m)
        of_n, of_m = (
            np.asarray(r, float) / RATE for r in self.torque.rates(time * TIME, normalized(n), sum_)
        )
        return cross(m, np.concatenate([of_m + of_n, of_m - of_n]))

    def renew(self, m: Array) -> None:
        """Let a torque that follows n with a delay be that of this stack, at time 0."""
        if self.torque.renew is not None:
            self.torque.renew(normalized(split(m)[0]))


def two_sublattice_texture(
    space: TextureSpace,
    magnet: Antiferromagnet,
    field: ArrayLike | FieldFunction | None = None,
    torques: tuple[SpinOrbitTorque | SpinTransfer, ...] = (),
    external: StaggeredTorque | None = None,
) -> Texture:
    """Return the equations of motion of both sublattices; advance them with `Midpoint`.

    Args:
        space: The nodal space.
        magnet: Parameters, SI.
        field: External B [T]: shape (3,) or a function of position [m] and time [s].
        torques: Spin-orbit and spin-transfer torques; the staggered torque of a changing
            current (tau_sd) is not part of this model.
        external: Torque of transport.
    """
    s, v = magnet.spin_density, space.volumes
    weights = 0.5 * np.concatenate([v, v])
    terms: list[Term] = [_Bilinear(v, _pair(magnet))]
    if magnet.exchange_stiffness:
        rate_of_exchange = diffusivity(magnet.exchange_stiffness / s)
        terms.append(_OfOrder(Exchange(space, rate_of_exchange, bool(magnet.interfacial_dmi))))
    for strength, axis in ((magnet.anisotropy, magnet.axis), (-magnet.hard_anisotropy, magnet.hard_axis)):
        if strength:
            terms.append(Uniaxial(weights, rate(strength / s), np.asarray(axis, float)))
    if magnet.interfacial_dmi:
        terms.append(_OfOrder(InterfacialDMI(space, velocity(magnet.interfacial_dmi / s))))
    if field is not None:
        terms.append(_stacked_field(space, magnet, field, weights))
    drive: tuple[Torque, ...] = tuple(Sublattices(t) for t in torques)
    if external is not None:
        drive = (*drive, StackedTorque(external))
    return Texture(space, weights, s, magnet.gamma, magnet.damping, tuple(terms), drive)


def _pair(magnet: Antiferromagnet) -> Array:
    """Return the coupling of m_A to m_B [1/ps], shape (3, 3)."""
    s = magnet.spin_density
    x, y, z = rate(np.asarray(magnet.homogeneous_dmi) / (2 * s))
    # d . (a x b) = a . (b x d) = a_i (epsilon_ijk d_k) b_j
    skew = np.array([[0, z, -y], [-z, 0, x], [y, -x, 0]])
    found: Array = rate(magnet.homogeneous_exchange / (4 * s)) * np.eye(3) + skew
    return found


def _stacked_field(
    space: TextureSpace, magnet: Antiferromagnet, field: ArrayLike | FieldFunction, weights: Array
) -> Zeeman:
    where = replace(space, positions=np.concatenate([space.positions] * 2))
    if not callable(field):
        constant = np.asarray(field, float)
        field = np.concatenate([constant] * 2) if constant.ndim == 2 else constant
    return zeeman(where, field, magnet.gamma, weights)
