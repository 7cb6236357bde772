"""Two-sublattice lattices: where an electron can hop, and how an order breaks the choice.

Lengths are in units of the lattice constant a and energies in units of the hopping t unless a
caller says otherwise; hbar = 1.  Only ratios enter the coefficients.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from ..errors import CaseError, closest
from ..units import Array

__all__ = [
    "LATTICES",
    "Hop",
    "TwoSublattice",
    "chain",
    "from_hops",
    "honeycomb",
    "named_lattice",
    "simple_cubic",
    "square",
]


_ON_LATTICE = 1e-9
_LARGEST_RATIO = 1e6


@dataclass(frozen=True)
class Hop:
    """One hop of an electron from a site to another.

    Args:
        start: Sublattice where it starts, ``A`` or ``B``.
        end: Sublattice where it ends.
        vector: From the first to the second site [a].
        amplitude: Hopping parameter [t]; the Hamiltonian has minus this number.
    """

    start: str
    end: str
    vector: tuple[float, ...]
    amplitude: float = 1.0


@dataclass(frozen=True)
class TwoSublattice:
    r"""A collinear antiferromagnet on two sublattices A and B, the moments of B opposite to A.

    .. math:: H_k = T_k - \mathrm{Re}\,\eta_k\rho_1 - \mathrm{Im}\,\eta_k\rho_2
                    - \mathcal J\rho_3\sigma^z,\quad
              \eta_k = \sum_\mu t_\mu e^{-ik\cdot e_\mu},\quad
              T_k = -2\sum_\nu t'_\nu\cos k\cdot e'_\nu

    Amplitudes are real, so that T is even and eta(-k) is the conjugate of eta(k); the terms that
    the theory drops vanish only then (errata B18).

    Args:
        vectors: Lattice vectors of the magnetic cell, rows, shape (d, d) with d = 1, 2, 3.
        inter: Vectors from A to B of all inter-sublattice hops, shape (p, d).
        inter_amplitudes: t_mu, shape (p,).
        intra: Vectors of the hops within a sublattice, one of each pair +-e', shape (q, d).
        intra_amplitudes: t'_nu, shape (q,).
        exchange: J = N J_sd > 0, half the gap.
        name: For messages.

    Raises:
        CaseError: If the vectors do not form such a lattice.
    """

    vectors: tuple[tuple[float, ...], ...]
    inter: tuple[tuple[float, ...], ...]
    inter_amplitudes: tuple[float, ...]
    intra: tuple[tuple[float, ...], ...]
    intra_amplitudes: tuple[float, ...]
    exchange: float
    name: str = "custom"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def dimension(self) -> int:
        """Number of dimensions d."""
        return len(self.vectors)

    @property
    def reciprocal(self) -> Array:
        """Reciprocal lattice vectors, rows, shape (d, d), b_i . a_j = 2 pi delta_ij."""
        return 2 * np.pi * np.linalg.inv(np.array(self.vectors)).T

    @property
    def cell_volume(self) -> float:
        """Length, area or volume of the magnetic cell with its two sites [a^d]."""
        return float(abs(np.linalg.det(np.array(self.vectors))))

    @property
    def has_site_inversion(self) -> bool:
        """Whether every site is a centre of inversion, so that eta is real."""
        hops = {(_key(e), t) for e, t in zip(self.inter, self.inter_amplitudes, strict=True)}
        return all(
            (_key([-x for x in e]), t) in hops for e, t in zip(self.inter, self.inter_amplitudes, strict=True)
        )

    def with_(self, exchange: float | None = None, intra_scale: float | None = None) -> TwoSublattice:
        """Return the lattice with another exchange energy, or intra amplitudes times a factor."""
        scale = 1.0 if intra_scale is None else intra_scale
        return replace(
            self,
            exchange=self.exchange if exchange is None else exchange,
            intra_amplitudes=tuple(scale * t for t in self.intra_amplitudes),
        )


def square(t: float = 1.0, t_prime: float = 0.0, exchange: float = 1.0) -> TwoSublattice:
    """Return the square lattice of site spacing a with hops to nearest and diagonal neighbours."""
    return TwoSublattice(
        ((1, 1), (1, -1)),
        ((1, 0), (-1, 0), (0, 1), (0, -1)),
        (t,) * 4,
        ((1, 1), (1, -1)),
        (t_prime,) * 2,
        exchange,
        "square",
    )


def honeycomb(t: float = 1.0, t_prime: float = 0.0, exchange: float = 1.0) -> TwoSublattice:
    """Return the honeycomb lattice of nearest-neighbour distance a; it has no site inversion."""
    d = np.array([[0, 1], [sqrt(3) / 2, -0.5], [-sqrt(3) / 2, -0.5]])
    intra = tuple(tuple(x.tolist()) for x in (d[0] - d[1], d[1] - d[2], d[2] - d[0]))
    return TwoSublattice(
        intra[:2], tuple(tuple(x.tolist()) for x in d), (t,) * 3, intra, (t_prime,) * 3, exchange, "honeycomb"
    )


def chain(t: float = 1.0, t_prime: float = 0.0, exchange: float = 1.0) -> TwoSublattice:
    """Return the chain of site spacing a with two sites per cell."""
    return TwoSublattice(((2,),), ((1,), (-1,)), (t,) * 2, ((2,),), (t_prime,), exchange, "chain")


def simple_cubic(t: float = 1.0, t_prime: float = 0.0, exchange: float = 1.0) -> TwoSublattice:
    """Return the cubic lattice of site spacing a, neighbours antiparallel, six diagonals in T."""
    inter = [s * x for x in np.eye(3) for s in (1, -1)]
    intra = [[1, 1, 0], [1, -1, 0], [0, 1, 1], [0, 1, -1], [1, 0, 1], [1, 0, -1]]
    return TwoSublattice(
        ((1, 1, 0), (1, 0, 1), (0, 1, 1)),
        tuple(tuple(e.tolist()) for e in inter),
        (t,) * 6,
        tuple(tuple(float(x) for x in e) for e in intra),
        (t_prime,) * 6,
        exchange,
        "cubic",
    )


LATTICES = {"square": square, "honeycomb": honeycomb, "chain": chain, "cubic": simple_cubic}
"""Builders of the named lattices."""


def named_lattice(name: str, t: float = 1.0, t_prime: float = 0.0, exchange: float = 1.0) -> TwoSublattice:
    """Return a lattice by name.

    Raises:
        CaseError: For an unknown name.
    """
    if name not in LATTICES:
        raise CaseError(
            "lattice.kind", f"must be {', '.join(LATTICES)} or custom{closest(name, LATTICES)} (got {name!r})"
        )
    return LATTICES[name](t, t_prime, exchange)


def from_hops(
    vectors: ArrayLike, hops: Iterable[Hop], exchange: float, path: str = "lattice.hops"
) -> TwoSublattice:
    """Return the lattice of a full list of hops, both directions of each.

    Args:
        vectors: Lattice vectors of the magnetic cell, rows [a], shape (d, d).
        hops: Every hop with its reverse.
        exchange: J [t].
        path: Of the list in a case file, for messages.

    Raises:
        CaseError: If the hops are not Hermitian, or if they break the equality of the two
            sublattices on which the double degeneracy of the bands rests.
    """
    table: dict[tuple[str, str, tuple[int, ...]], Hop] = {}
    for k, hop in enumerate(hops):
        key = (hop.start, hop.end, _key(hop.vector))
        if {hop.start, hop.end} - {"A", "B"}:
            raise CaseError(f"{path}.{k}", f"sublattices are A and B (got {hop.start!r} to {hop.end!r})")
        if key in table:
            raise CaseError(f"{path}.{k}", "this hop is listed twice")
        table[key] = hop
    _check_hermitian(table, path)
    _check_equal_sublattices(table, path)
    inter = [h for (a, b, _), h in table.items() if (a, b) == ("A", "B")]
    intra: dict[tuple[int, ...], Hop] = {}
    for (a, b, step), h in table.items():
        if (a, b) == ("A", "A") and tuple(-x for x in step) not in intra:
            intra[step] = h
    return TwoSublattice(
        tuple(tuple(float(x) for x in row) for row in np.atleast_2d(np.asarray(vectors))),
        tuple(h.vector for h in inter),
        tuple(h.amplitude for h in inter),
        tuple(h.vector for h in intra.values()),
        tuple(h.amplitude for h in intra.values()),
        exchange,
    )


def _check_hermitian(table: dict[tuple[str, str, tuple[int, ...]], Hop], path: str) -> None:
    for k, ((a, b, key), hop) in enumerate(table.items()):
        back = table.get((b, a, tuple(-x for x in key)))
        found = "none" if back is None else f"amplitude {back.amplitude:.6g}"
        if back is None or back.amplitude != hop.amplitude:
            raise CaseError(
                f"{path}.{k}",
                f"not Hermitian: the hop {a} to {b} by {_shown(hop.vector)} with"
                f" amplitude {hop.amplitude:.6g} needs its reverse, {b} to {a} by"
                f" {_shown([-x for x in hop.vector])} with the same amplitude (got {found})",
            )


def _check_equal_sublattices(table: dict[tuple[str, str, tuple[int, ...]], Hop], path: str) -> None:
    for k, ((a, b, key), hop) in enumerate(table.items()):
        other = {"A": "B", "B": "A"}[a]
        twin = table.get((other, other, key))
        if a == b and (twin is None or twin.amplitude != hop.amplitude):
            found = "none" if twin is None else f"amplitude {twin.amplitude:.6g}"
            raise CaseError(
                f"{path}.{k}",
                f"breaks the sublattice structure: the hop {a} to {a} by"
                f" {_shown(hop.vector)} needs its twin {other} to {other} with the same"
                f" amplitude (got {found})",
            )


def _check(lattice: TwoSublattice) -> None:
    """Check shapes, then lattice vectors, then hops."""
    d = len(lattice.vectors)
    if d not in (1, 2, 3) or any(len(row) != d for row in lattice.vectors):
        raise CaseError(
            "lattice.vectors",
            "must be d rows of d numbers with d = 1, 2 or 3"
            f" (got {d} rows of {[len(r) for r in lattice.vectors]})",
        )
    for name in ("inter", "intra"):
        rows, amplitudes = getattr(lattice, name), getattr(lattice, f"{name}_amplitudes")
        if any(len(row) != d for row in rows) or len(rows) != len(amplitudes):
            raise CaseError(f"lattice.{name}", f"must be vectors of {d} numbers with one amplitude each")
    everything = np.concatenate(
        [
            np.ravel(x).astype(float)
            for x in (
                lattice.vectors,
                lattice.inter,
                lattice.inter_amplitudes,
                lattice.intra,
                lattice.intra_amplitudes,
                [lattice.exchange],
            )
        ]
    )
    if not np.all(np.isfinite(everything)):
        raise CaseError("lattice", "has a number that is not finite")
    size = np.linalg.norm(np.array(lattice.vectors, dtype=float), axis=1)
    if lattice.cell_volume <= 1e-9 * np.prod(size):
        raise CaseError("lattice.vectors", "must be linearly independent")
    _check_energies(lattice)
    _check_hops(lattice)


def _check_energies(lattice: TwoSublattice) -> None:
    if not any(lattice.inter_amplitudes):
        raise CaseError(
            "lattice.inter",
            "needs a hop between the sublattices; without one there are two separate ferromagnets",
        )
    if not lattice.exchange > 0:
        raise CaseError(
            "exchange",
            f"must be > 0 (got {lattice.exchange:.6g}); the sign is in the direction of the moments",
        )
    scale = max(abs(t) for t in (*lattice.inter_amplitudes, *lattice.intra_amplitudes))
    if not 1 / _LARGEST_RATIO < lattice.exchange / scale < _LARGEST_RATIO:
        raise CaseError(
            "exchange",
            "must lie within a factor 1e6 of the largest hopping"
            f" (got a ratio of {lattice.exchange / scale:.6g})",
        )


def _check_hops(lattice: TwoSublattice) -> None:
    """Check that inter hops end on one sublattice and intra hops on their own."""
    inverse = np.linalg.inv(np.array(lattice.vectors, dtype=float))
    first = np.array(lattice.inter[0], dtype=float)
    if _on_lattice(first, inverse):
        raise CaseError(
            "lattice.inter.0",
            f"breaks the sublattice structure: {_shown(first)} is a lattice vector, so it leads from A to A",
        )
    seen: set[tuple[int, ...]] = set()
    for k, e in enumerate(lattice.inter):
        if not _on_lattice(np.array(e) - first, inverse):
            raise CaseError(
                f"lattice.inter.{k}",
                f"breaks the sublattice structure: {_shown(e)}"
                f" differs from {_shown(first)} by no lattice vector",
            )
        if _key(e) in seen:
            raise CaseError(f"lattice.inter.{k}", f"lists {_shown(e)} twice")
        seen.add(_key(e))
    pairs: dict[tuple[int, ...], float] = {}
    for k, (e, t) in enumerate(zip(lattice.intra, lattice.intra_amplitudes, strict=True)):
        if not _on_lattice(np.array(e), inverse) or not any(_key(e)):
            raise CaseError(
                f"lattice.intra.{k}",
                f"breaks the sublattice structure: {_shown(e)}"
                " is no lattice vector, so it does not end on its own"
                " sublattice",
            )
        back = tuple(-x for x in _key(e))
        if back in pairs and pairs[back] != t:
            raise CaseError(
                f"lattice.intra.{k}",
                f"not Hermitian: {_shown(e)} and its reverse"
                f" have the amplitudes {t:.6g} and {pairs[back]:.6g}",
            )
        if back in pairs or _key(e) in pairs:
            raise CaseError(
                f"lattice.intra.{k}",
                f"lists {_shown(e)} twice; give one of each pair, the reverse is implied",
            )
        pairs[_key(e)] = t


def _on_lattice(vector: Array, inverse: Array) -> bool:
    steps = vector @ inverse
    return bool(np.all(abs(steps - np.round(steps)) < _ON_LATTICE * (1 + abs(steps))))


def _key(vector: Iterable[float]) -> tuple[int, ...]:
    """Return a vector as integers, so that equal vectors compare equal despite round-off."""
    return tuple(round(float(x) * 1e9) for x in vector)


def _shown(vector: Sequence[float] | Array) -> str:
    return "(" + ", ".join(f"{float(x):.6g}" for x in vector) + ")"
