r"""Energy terms of a texture: each gives its energy, its gradient and the matrix of a Newton step.

A term knows :math:`E(m)` in nm^3/ps (energy over s, see `magnet`) of nodal vectors m, shape
(n, 3), and :math:`\partial E/\partial m_i`.  The precession vector at a node, gamma times the
effective field, is :math:`\omega_i = -V_i^{-1}\,\partial E/\partial m_i`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..errors import CaseError
from ..units import LENGTH, TIME, Array
from .magnet import Antiferromagnet, Ferromagnet, diffusivity, rate, velocity
from .space import TextureSpace
from .walls import static_width

__all__ = [
    "BulkDMI",
    "Cubic",
    "Exchange",
    "FieldFunction",
    "InterfacialDMI",
    "Quadratic",
    "SurfaceTwist",
    "Term",
    "Uniaxial",
    "Zeeman",
    "ferromagnet_terms",
    "staggered_terms",
    "surface_twist",
    "total_matrix",
    "uniaxial",
    "zeeman",
]

FieldFunction = Callable[[Array, float], ArrayLike]
"""B(x, t) [T] of positions [m], shape (n, 3), and time [s]; returns shape (3,) or (n, 3)."""


class Term(Protocol):
    """One part of the energy."""

    def energy(self, m: Array, time: float) -> float:
        """Return E [nm^3/ps] at a time [ps]."""

    def gradient(self, m: Array, time: float) -> Array:
        """Return dE/dm [nm^3/ps], shape (n, 3)."""

    def secant(self, before: Array, after: Array, time: float) -> Array:
        """Return g with g . (after - before) = E(after) - E(before) and g(m, m) = dE/dm."""

    def matrix(self, m: Array) -> sp.csr_array | None:
        """Return d^2E/dm^2 [nm^3/ps], shape (3 n, 3 n), or None if the term is long-range."""


class Quadratic:
    """A term with E = m . g(m) / 2, for which the gradient at the midpoint is exact."""

    def energy(self, m: Array, time: float) -> float:
        """Return E [nm^3/ps]."""
        return 0.5 * float(np.vdot(m, self.gradient(m, time)))

    def gradient(self, m: Array, time: float) -> Array:
        """Return dE/dm [nm^3/ps], shape (n, 3)."""
        raise NotImplementedError

    def secant(self, before: Array, after: Array, time: float) -> Array:
        """Return the gradient at the midpoint: exact for a quadratic energy."""
        return self.gradient(0.5 * (before + after), time)


@dataclass(frozen=True)
class Exchange(Quadratic):
    """A |grad m|^2.

    Args:
        space: The nodal space.
        stiffness: A/s [nm^2/ps].
        sloped: Whether DMI gives m a slope at free ends.
    """

    space: TextureSpace
    stiffness: float
    sloped: bool = False

    @cached_property
    def _scaled(self) -> sp.csr_array:
        matrix = self.space.sloped_exchange if self.sloped else self.space.exchange
        return sp.csr_array(2 * self.stiffness * matrix)

    @cached_property
    def fastest(self) -> float:
        """Bound on the rate [rad/ps] at which exchange turns a moment."""
        return 2 * self.stiffness * self.space.steepest

    @cached_property
    def _pairs(self) -> tuple[Array, Array, Array]:
        """Nodes i < j that exchange couples and -2 A S_ij [nm^3/ps]."""
        upper = sp.coo_array(sp.triu(self._scaled, 1))
        return upper.row, upper.col, -upper.data

    def energy(self, m: Array, time: float) -> float:
        """Return E [nm^3/ps], from differences: on fine meshes m . S m cancels to rounding."""
        i, j, weight = self._pairs
        step = m[i] - m[j]
        return 0.5 * float(weight @ np.einsum("ij,ij->i", step, step))

    def gradient(self, m: Array, time: float) -> Array:
        """Return 2 A S m."""
        product: Array = self._scaled @ m
        return product

    def matrix(self, m: Array) -> sp.csr_array:
        """Return 2 A S for the three components."""
        return sp.csr_array(sp.kron(self._scaled, np.eye(3), format="csr"))


@dataclass(frozen=True)
class Uniaxial(Quadratic):
    """-K (m . k)^2; negative K makes a hard axis.

    Args:
        volumes: V_i [nm^3], shape (n,).
        strength: K/s [1/ps], scalar or shape (n,).
        axis: Unit vector k, shape (3,) or (n, 3).
    """

    volumes: Array
    strength: float | Array
    axis: Array

    @cached_property
    def _weight(self) -> Array:
        return -2 * self.volumes * self.strength

    def gradient(self, m: Array, time: float) -> Array:
        """Return -2 K V (m . k) k."""
        along = m @ self.axis if self.axis.ndim == 1 else (m * self.axis).sum(axis=1)
        return (self._weight * along)[:, None] * self.axis

    def matrix(self, m: Array) -> sp.csr_array:
        """Return -2 K V k k^T node by node."""
        axes = np.broadcast_to(self.axis, m.shape)
        return _node_blocks(self._weight[:, None, None] * axes[:, :, None] * axes[:, None, :])


@dataclass(frozen=True)
class Cubic:
    """K_1 (m_1^2 m_2^2 + m_2^2 m_3^2 + m_3^2 m_1^2) along three orthogonal axes.

    Args:
        volumes: V_i [nm^3], shape (n,).
        strength: K_1/s [1/ps].
        axes: Rows are the axes, shape (3, 3).
    """

    volumes: Array
    strength: float
    axes: Array

    def energy(self, m: Array, time: float) -> float:
        """Return E [nm^3/ps]."""
        x, y, z = ((m @ self.axes.T) ** 2).T
        return self.strength * float(self.volumes @ (x * y + y * z + z * x))

    def gradient(self, m: Array, time: float) -> Array:
        """Return dE/dm [nm^3/ps], shape (n, 3)."""
        return self.secant(m, m, time)

    def secant(self, before: Array, after: Array, time: float) -> Array:
        """Return the discrete gradient: E is quadratic in the squares of the components."""
        first, last = before @ self.axes.T, after @ self.axes.T
        square = 0.5 * (first**2 + last**2)
        others = square.sum(axis=1, keepdims=True) - square
        slope = (self.strength * self.volumes)[:, None] * (first + last) * others
        found: Array = slope @ self.axes
        return found

    def matrix(self, m: Array) -> sp.csr_array:
        """Return the second derivative at m, node by node."""
        local = m @ self.axes.T
        square = local**2
        block = 4 * local[:, :, None] * local[:, None, :]
        for k in range(3):
            block[:, k, k] = 2 * (square.sum(axis=1) - square[:, k])
        block *= (self.strength * self.volumes)[:, None, None]
        return _node_blocks(np.einsum("ai,nab,bj->nij", self.axes, block, self.axes))


@dataclass(frozen=True)
class InterfacialDMI(Quadratic):
    r"""D (m_z div m - m . grad m_z) of a film with normal z.

    The weak form carries the natural boundary condition 2 A d_nu m = D m x (z x nu).

    Args:
        space: The nodal space.
        strength: D/s [nm/ps].
    """

    space: TextureSpace
    strength: float

    def gradient(self, m: Array, time: float) -> Array:
        """Return dE/dm [nm^3/ps], shape (n, 3)."""
        x, y, _ = self.space.turns
        out = np.empty_like(m)
        out[:, 0] = -(x @ m[:, 2])
        out[:, 1] = -(y @ m[:, 2])
        out[:, 2] = x @ m[:, 0] + y @ m[:, 1]
        return self.strength * out

    def matrix(self, m: Array) -> sp.csr_array:
        """Return the constant matrix of the gradient."""
        x, y, _ = self.space.turns
        return _coupling({(0, 2): -x, (1, 2): -y, (2, 0): x, (2, 1): y}, self.strength)


@dataclass(frozen=True)
class BulkDMI(Quadratic):
    r"""D_b m . curl m, with its natural boundary condition 2 A d_nu m = D_b nu x m.

    Args:
        space: The nodal space.
        strength: D_b/s [nm/ps].
    """

    space: TextureSpace
    strength: float

    def gradient(self, m: Array, time: float) -> Array:
        """Return dE/dm [nm^3/ps], shape (n, 3)."""
        x, y, z = self.space.turns
        return self.strength * np.stack(
            [y @ m[:, 2] - z @ m[:, 1], z @ m[:, 0] - x @ m[:, 2], x @ m[:, 1] - y @ m[:, 0]], axis=1
        )

    def matrix(self, m: Array) -> sp.csr_array:
        """Return the constant matrix of the gradient."""
        x, y, z = self.space.turns
        parts = {(0, 2): y, (0, 1): -z, (1, 0): z, (1, 2): -x, (2, 1): x, (2, 0): -y}
        return _coupling(parts, self.strength)


@dataclass(frozen=True)
class SurfaceTwist(Quadratic):
    r"""What bulk DMI gains by the twist between free faces of directions that are not meshed.

    Across a thin magnet m is m_0 + s (D_b/2A) e x m_0 at the height s along the normal e, as the
    natural boundary condition of `BulkDMI` asks.  Exchange and DMI of this twist add
    -(D_b^2/4A) (1 - (m . e)^2), written as the sum over the two axes normal to e.

    Args:
        volumes: V_i [nm^3], shape (n,).
        strengths: Of m_x^2, m_y^2 and m_z^2 [1/ps], shape (3,).
    """

    volumes: Array
    strengths: Array

    def gradient(self, m: Array, time: float) -> Array:
        """Return dE/dm [nm^3/ps], shape (n, 3)."""
        return -2 * self.volumes[:, None] * self.strengths * m

    def matrix(self, m: Array) -> sp.csr_array:
        """Return the constant diagonal matrix of the gradient."""
        return sp.csr_array(sp.diags_array(np.kron(-2 * self.volumes, self.strengths)))


def surface_twist(space: TextureSpace, magnet: Ferromagnet) -> SurfaceTwist | None:
    """Return the twist across the directions that are not meshed, None without one.

    An easy axis lets the twist reach its width lambda into the magnet only: of a small twist out
    of it the part tanh(x)/x is left over an extent of 2 x lambda.
    """
    if not (magnet.bulk_dmi and magnet.exchange_stiffness and space.faces):
        return None
    largest = magnet.bulk_dmi**2 / (4 * magnet.exchange_stiffness)
    width = static_width(magnet)
    strengths = np.zeros(3)
    for axis, extent in space.faces:
        half = 0.0 if width is None else 0.5 * extent * LENGTH / width
        strengths[np.arange(3) != axis] += largest * (np.tanh(half) / half if half else 1.0)
    return SurfaceTwist(space.volumes, rate(strengths / magnet.spin_density))


@dataclass(frozen=True)
class Zeeman:
    """-M_s B . m with a field of position and time.

    Args:
        volumes: V_i [nm^3], shape (n,).
        precession: gamma B [rad/ps] of a time [ps], shape (3,) or (n, 3).
    """

    volumes: Array
    precession: Callable[[float], Array]

    def energy(self, m: Array, time: float) -> float:
        """Return E [nm^3/ps]."""
        return float(np.vdot(m, self.gradient(m, time)))

    def gradient(self, m: Array, time: float) -> Array:
        """Return -V gamma B."""
        return -self.volumes[:, None] * np.broadcast_to(self.precession(time), m.shape)

    def secant(self, before: Array, after: Array, time: float) -> Array:
        """Return the gradient, which does not depend on m."""
        return self.gradient(before, time)

    def matrix(self, m: Array) -> sp.csr_array:
        """Return zero."""
        return sp.csr_array((3 * len(m), 3 * len(m)))


def zeeman(
    space: TextureSpace, field: ArrayLike | FieldFunction, gamma: float, volumes: Array | None = None
) -> Zeeman:
    """Return the Zeeman term of a constant field [T] or of a field function.

    Args:
        space: The nodal space.
        field: B [T], shape (3,) or (n, 3), or a function of position [m] and time [s].
        gamma: Gyromagnetic ratio [rad/(s T)].
        volumes: Weights instead of those of the space.
    """
    weights = space.volumes if volumes is None else volumes
    if callable(field):
        where, function = space.positions * LENGTH, field

        def precession(time: float) -> Array:
            found: Array = rate(gamma * np.asarray(function(where, time * TIME), float))
            return found

        return Zeeman(weights, precession)
    constant = rate(gamma * np.asarray(field, float))
    return Zeeman(weights, lambda _: constant)


def uniaxial(space: TextureSpace, magnet: Ferromagnet, constant: ArrayLike, axis: ArrayLike) -> Uniaxial:
    """Return -K (m . k)^2 with K and k that may differ from node to node.

    It comes on top of the anisotropy of the magnet: `texture.with_terms(uniaxial(...))`.

    Args:
        space: The nodal space.
        magnet: Parameters, SI; only s = M_s/gamma is used.
        constant: K [J/m^3], scalar or shape (n,).
        axis: Unit vectors k, shape (3,) or (n, 3).

    Raises:
        CaseError: If a shape is wrong, a value is not finite or an axis is no unit vector.
    """
    strength, axes = np.asarray(constant, float), np.asarray(axis, float)
    if strength.shape not in {(), (space.size,)} or not np.isfinite(strength).all():
        raise CaseError("constant", f"must be finite, one or {space.size} numbers; got {strength.shape}")
    if axes.shape not in {(3,), (space.size, 3)}:
        raise CaseError("axis", f"must have shape (3,) or ({space.size}, 3), got {axes.shape}")
    if not (np.abs(np.linalg.norm(axes, axis=-1) - 1) < 1e-9).all():
        raise CaseError("axis", "must hold unit vectors")
    return Uniaxial(space.volumes, rate(strength / magnet.spin_density), axes)


def ferromagnet_terms(space: TextureSpace, magnet: Ferromagnet) -> tuple[Term, ...]:
    """Return the terms of a ferromagnet without field and without long-range demagnetization."""
    s, v = magnet.spin_density, space.volumes
    terms: list[Term] = []
    if magnet.exchange_stiffness:
        sloped = bool(magnet.interfacial_dmi or magnet.bulk_dmi)
        terms.append(Exchange(space, diffusivity(magnet.exchange_stiffness / s), sloped))
    terms.extend(_anisotropy(v, magnet.anisotropy / s, magnet.axis))
    terms.extend(_anisotropy(v, -magnet.hard_anisotropy / s, magnet.hard_axis))
    if magnet.thin_film:
        terms.extend(_anisotropy(v, -magnet.shape_anisotropy / s, (0.0, 0.0, 1.0)))
    if magnet.cubic_anisotropy:
        first, second = np.asarray(magnet.cubic_axes, float)
        axes = np.stack([first, second, np.cross(first, second)])
        terms.append(Cubic(v, rate(magnet.cubic_anisotropy / s), axes))
    if magnet.interfacial_dmi:
        terms.append(InterfacialDMI(space, velocity(magnet.interfacial_dmi / s)))
    if magnet.bulk_dmi:
        terms.append(BulkDMI(space, velocity(magnet.bulk_dmi / s)))
    twist = surface_twist(space, magnet)
    if twist is not None:
        terms.append(twist)
    return tuple(terms)


def staggered_terms(space: TextureSpace, magnet: Antiferromagnet) -> tuple[Term, ...]:
    """Return the terms of an antiferromagnet that depend on n alone."""
    s, v = magnet.spin_density, space.volumes
    terms: list[Term] = []
    if magnet.exchange_stiffness:
        sloped = bool(magnet.interfacial_dmi)
        terms.append(Exchange(space, diffusivity(magnet.exchange_stiffness / s), sloped))
    terms.extend(_anisotropy(v, magnet.anisotropy / s, magnet.axis))
    terms.extend(_anisotropy(v, -magnet.hard_anisotropy / s, magnet.hard_axis))
    if magnet.interfacial_dmi:
        terms.append(InterfacialDMI(space, velocity(magnet.interfacial_dmi / s)))
    return tuple(terms)


def total_matrix(terms: tuple[Term, ...], m: Array) -> sp.csr_array:
    """Return the sum of the second derivatives at m, shape (3 n, 3 n).

    Of a long-range term only its near part counts, if it has one: enough for a Newton iteration.
    """
    total = sp.csr_array((3 * len(m), 3 * len(m)))
    for term in terms:
        part = term.matrix(m)
        if part is None and hasattr(term, "near_matrix"):
            part = term.near_matrix()
        if part is not None:
            total = total + part
    return sp.csr_array(total)


def _anisotropy(volumes: Array, strength: float, axis: ArrayLike) -> list[Term]:
    if strength == 0:
        return []
    return [Uniaxial(volumes, rate(strength), np.asarray(axis, float))]


def _coupling(parts: dict[tuple[int, int], sp.csr_array], strength: float) -> sp.csr_array:
    """Return the matrix over interleaved components from its scalar blocks."""
    n = 3 * next(iter(parts.values())).shape[0]
    total = sp.csr_array((n, n))
    for (row, column), block in parts.items():
        unit = np.zeros((3, 3))
        unit[row, column] = strength
        total = total + sp.kron(block, unit, format="csr")
    return sp.csr_array(total)


def _node_blocks(blocks: Array) -> sp.csr_array:
    """Return the block-diagonal matrix of (n, 3, 3) blocks."""
    n = len(blocks)
    return sp.csr_array(sp.bsr_array((blocks, np.arange(n), np.arange(n + 1))))
