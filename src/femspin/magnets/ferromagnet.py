r"""The equation of motion of a texture of unit vectors.

.. math:: \dot m = -m\times\omega + \alpha m\times\dot m + \Omega_\tau\times m

with :math:`\omega = \gamma B_{eff}` and the torques of `torques`.  The same class serves the two
sublattices of an antiferromagnet, stacked (`two_sublattice`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..errors import CaseError
from ..units import K_B, LENGTH, RATE, TIME, Array
from .energy import FieldFunction, Term, ferromagnet_terms, total_matrix, zeeman
from .magnet import Ferromagnet, joule
from .space import TextureSpace
from .torques import Torque
from .vectors import cross, normalized

__all__ = ["Texture", "ThermalField", "ferromagnet_texture"]


@dataclass(frozen=True)
class ThermalField:
    r"""Random field of the fluctuation-dissipation theorem, constant during one step.

    .. math:: \langle\omega_i\omega_j\rangle = \frac{2\alpha k_BT}{s V_i\,\Delta t}\delta_{ij}

    (Brown, Phys. Rev. 130, 1677 (1963), in the Gilbert form.)  With the midpoint rule the noise
    is that of Stratonovich.

    Args:
        temperature: T [K].
        seed: Seed of the random numbers.
    """

    temperature: float
    seed: int = 0

    def generator(self) -> np.random.Generator:
        """Return a fresh generator."""
        return np.random.default_rng(self.seed)

    def deviation(self, texture: Texture, step: float) -> Array:
        """Return the standard deviation of omega [rad/ps] of a step [ps], shape (n, 1)."""
        energy = K_B * self.temperature / texture.spin_density / LENGTH**3 * TIME
        return np.sqrt(2 * texture.damping * energy / (texture.volumes * step))[:, None]


@dataclass(frozen=True)
class Texture:
    """A magnet as a system of unit vectors with energy, damping and torques.

    Args:
        space: The nodal space.
        volumes: Weights V_i in omega_i = -dE/dm_i / V_i [nm^3], shape (n,).
        spin_density: s [J s/m^3].
        gamma: Gyromagnetic ratio [rad/(s T)].
        damping: Gilbert alpha.
        terms: Energy.
        torques: What moves m besides the energy.
        thermal: Random field; only schemes of fixed step take it.
    """

    space: TextureSpace
    volumes: Array
    spin_density: float
    gamma: float
    damping: float
    terms: tuple[Term, ...]
    torques: tuple[Torque, ...] = ()
    thermal: ThermalField | None = None

    def with_torques(self, *torques: Torque) -> Texture:
        """Return the texture with more torques."""
        return replace(self, torques=(*self.torques, *torques))

    def with_terms(self, *terms: Term) -> Texture:
        """Return the texture with more energy terms, such as demagnetization."""
        return replace(self, terms=(*self.terms, *terms))

    def with_damping(self, damping: float) -> Texture:
        """Return the texture with another Gilbert damping."""
        return replace(self, damping=damping)

    def energy(self, m: Array, time: float = 0.0) -> float:
        """Return the energy [J] at a time [ps]."""
        total = sum(term.energy(m, time) for term in self.terms)
        return joule(float(total), self.spin_density)

    def energies(self, m: Array, time: float = 0.0) -> dict[str, float]:
        """Return the energy [J] of every kind of term."""
        parts: dict[str, float] = {}
        for term in self.terms:
            name = type(term).__name__
            value = joule(term.energy(m, time), self.spin_density)
            parts[name] = parts.get(name, 0.0) + value
        return parts

    def precession(self, m: Array, time: float = 0.0) -> Array:
        """Return omega = gamma B_eff [rad/ps], shape (n, 3)."""
        total = np.zeros_like(m)
        for term in self.terms:
            total -= term.gradient(m, time)
        return total / self.volumes[:, None]

    def secant_precession(self, before: Array, after: Array, time: float) -> Array:
        """Return omega of a step such that the energy law holds exactly, shape (n, 3)."""
        total = np.zeros_like(before)
        for term in self.terms:
            total -= term.secant(before, after, time)
        return total / self.volumes[:, None]

    def effective_field(self, m: Array, time: float = 0.0) -> Array:
        """Return B_eff [T], shape (n, 3)."""
        return self.precession(m, time) * (RATE / self.gamma)

    def torque_rotation(self, m: Array, time: float) -> Array:
        """Return the rotation rate of all torques [rad/ps], shape (n, 3)."""
        total = np.zeros_like(m)
        for torque in self.torques:
            total += torque.rotation(self.space, m, time)
        return total

    def rotation(self, m: Array, time: float, noise: Array | None = None) -> Array:
        """Return Omega = m x dm/dt [rad/ps], explicit in the damping, shape (n, 3)."""
        drive = self.precession(m, time) + self.torque_rotation(m, time)
        if noise is not None:
            drive = drive + noise
        rate = cross(drive, m)
        turn = cross(m, rate)
        # m x (T + alpha m x T) = m x T - alpha T for T perpendicular to a unit vector m
        return (turn - self.damping * rate) / (1 + self.damping**2)

    def rate(self, m: Array, time: float = 0.0) -> Array:
        """Return dm/dt [1/ps], shape (n, 3)."""
        return cross(self.rotation(m, time), m)

    def torque_size(self, m: Array, time: float = 0.0) -> float:
        """Return the largest |m x B_eff| [T], zero at equilibrium."""
        size = np.linalg.norm(cross(m, self.effective_field(m, time)), axis=1)
        return float(size.max())

    def stiffness(self, m: Array) -> sp.csr_array:
        """Return -d omega / d m of the sparse terms [rad/ps], shape (3 n, 3 n)."""
        weight = sp.diags_array(np.repeat(1 / self.volumes, 3))
        return sp.csr_array(weight @ total_matrix(self.terms, m))

    def start(self, m: ArrayLike) -> Array:
        """Return unit vectors at every node from one vector or one per node, shape (n, 3).

        Raises:
            CaseError: If the shape is wrong or a vector is zero.
        """
        given = np.asarray(m, float)
        n = len(self.volumes)
        if given.shape not in {(3,), (n, 3)}:
            raise CaseError("m", f"must have shape (3,) or ({n}, 3), got {given.shape}")
        if not np.isfinite(given).all() or np.linalg.norm(given, axis=-1).min() == 0.0:
            raise CaseError("m", "every vector must be finite and not zero")
        return normalized(np.array(np.broadcast_to(given, (n, 3))))


def ferromagnet_texture(
    space: TextureSpace,
    magnet: Ferromagnet,
    field: ArrayLike | FieldFunction | None = None,
    torques: tuple[Torque, ...] = (),
    thermal: ThermalField | None = None,
) -> Texture:
    """Return the equation of motion of a ferromagnet.

    Args:
        space: The nodal space.
        magnet: Parameters, SI.
        field: External B [T]: shape (3,) or (n, 3), or a function of position [m] and time [s].
        torques: Torques.
        thermal: Random field.
    """
    terms = ferromagnet_terms(space, magnet)
    if field is not None:
        terms = (*terms, zeeman(space, field, magnet.gamma))
    return Texture(
        space, space.volumes, magnet.spin_density, magnet.gamma, magnet.damping, terms, torques, thermal
    )
