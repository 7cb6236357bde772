"""Sums over the Fermi points of a chain, and the filled share of a crystal by tetrahedra."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

from ..errors import SolverError
from ..units import Array, Indices
from .contours import band_bounds, bracketed_roots
from .hamiltonian import band_energy, band_gradient, hopping_gradient
from .lattice import TwoSublattice

__all__ = ["point_sum", "tetrahedra_below"]

Kernel = Callable[[Array, int], Array]

_FIRST = 16
_DEEPEST = 45
_SHIFT = (0.137, 0.071, 0.223)
_SLAB = 12  # layers of the mesh held at a time
# Six tetrahedra of a cube along its main diagonal: corners in the order of a path along edges.
_PATHS = [np.cumsum([[0, 0, 0], *np.eye(3, dtype=int)[list(p)]], axis=0) for p in permutations(range(3))]


def point_sum(
    model: TwoSublattice, mu: float, s: int, kernel: Kernel, count: int
) -> tuple[Array, Array, float]:
    r"""Return :math:`\int\frac{dk}{2\pi}X\,\delta(\mu - \epsilon_{ks})` of a chain and its error.

    Every Fermi point is enclosed by a bound on the curvature of the band and polished to
    round-off; the error estimate is what round-off in mu does to the sum.

    Args:
        model: The lattice, in one dimension.
        mu: Energy.
        s: Band.
        kernel: See `femspin.bands.contours.contour_integral`.
        count: Numbers per point.

    Returns:
        Integrals and errors, shape (count,), and the share of the zone below mu.

    Raises:
        SolverError: If mu is a van Hove energy within round-off.
    """
    points, below = _fermi_points(model, mu, s)
    if not len(points):
        return np.zeros(count), np.zeros(count), below

    def terms(shift: float) -> Array:
        u = _polish(model, mu + shift, s, points)
        k = u[:, None] @ model.reciprocal
        slope = band_gradient(model, k, s)[1] @ model.reciprocal.T
        return kernel(k, s).reshape(len(u), count) / abs(slope) / model.cell_volume

    scale = 1e-13 * (abs(mu) + model.exchange)
    here = terms(0.0)
    error = abs(terms(scale) - here).sum(0) + 1e-15 * abs(here).sum(0)
    return here.sum(0), error, below


def _fermi_points(model: TwoSublattice, mu: float, s: int) -> tuple[Array, float]:
    """Return the fractional positions of the Fermi points and the share of the zone below mu."""
    bounds, b = band_bounds(model), model.reciprocal
    low, side = np.arange(_FIRST) / _FIRST + _SHIFT[0] / _FIRST, 1 / _FIRST
    brackets, below = [], 0.0
    for _ in range(_DEEPEST):
        k = (low + side / 2)[:, None] @ b
        energy, gradient = band_gradient(model, k, s)
        g = (gradient @ b.T)[:, 0]
        eta, d_eta = hopping_gradient(model, k)
        half = np.full((len(low), 1), side / 2)
        H = bounds.curvature(np.abs(eta), np.abs(d_eta @ b.T), half)[:, 0, 0]
        missed = abs(energy - mu) > side / 2 * abs(g) + side**2 / 8 * H
        below += side * np.count_nonzero(missed & (energy < mu))
        sure = ~missed & (abs(g) > side / 2 * H)
        brackets.append(np.stack([low[sure], low[sure] + side], axis=1))
        low, side = low[~missed & ~sure], side / 2
        if not len(low):
            break
        low = np.concatenate([low, low + side])
    else:
        raise SolverError(f"mu = {mu:.15g} is a van Hove energy; move it a little")
    found = np.concatenate(brackets)
    ends = [band_energy(model, found[:, i, None] @ b, s) - mu for i in (0, 1)]
    crosses = (ends[0] < 0) != (ends[1] < 0)
    whole = found[~crosses & (ends[0] < 0)]
    below += float((whole[:, 1] - whole[:, 0]).sum())

    def at(x: Array, _: Indices) -> tuple[Array, Array]:
        energy, gradient = band_gradient(model, x[:, None] @ b, s)
        return energy - mu, (gradient @ b.T)[:, 0]

    roots = bracketed_roots(at, found[crosses, 0], found[crosses, 1])
    part = np.where(ends[0][crosses] < 0, roots - found[crosses, 0], found[crosses, 1] - roots)
    return roots, below + float(part.sum())


def _polish(model: TwoSublattice, mu: float, s: int, u: Array) -> Array:
    """Return the Fermi points of a slightly different mu, by Newton steps."""
    for _ in range(3):
        k = u[:, None] @ model.reciprocal
        energy, gradient = band_gradient(model, k, s)
        u = u - (energy - mu) / (gradient @ model.reciprocal.T)[:, 0]
    return u


def tetrahedra_below(model: TwoSublattice, mu: float, s: int, n: int) -> float:
    """Return the share of the zone of a crystal below mu, with an error of order n^-2.

    Linear in every tetrahedron.

    Args:
        model: The lattice, in three dimensions.
        mu: Energy.
        s: Band.
        n: Cells of the mesh per direction.
    """
    below = 0.0
    for first in range(0, n, _SLAB):
        layers = min(_SLAB, n - first)
        energy = band_energy(model, _mesh(model, n, first, layers), s)
        for path in _PATHS:
            corners = [tuple(slice(a, a + m) for a, m in zip(c, (layers, n, n), strict=True)) for c in path]
            e = np.stack([energy[c].ravel() for c in corners])
            below += float(_occupied(np.sort(e, axis=0), mu).sum())
    return below / (6 * n**3)


def _mesh(model: TwoSublattice, n: int, first: int, layers: int) -> Array:
    axes = [
        (np.arange(m + 1) + f + x) / n - 0.5
        for m, f, x in zip((layers, n, n), (first, 0, 0), _SHIFT, strict=True)
    ]
    grid: Array = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ model.reciprocal
    return grid


def _occupied(e: Array, mu: float) -> Array:
    """Return the share of each tetrahedron below mu; e sorted, shape (4, N)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (mu - e[0]) ** 3 / ((e[1] - e[0]) * (e[2] - e[0]) * (e[3] - e[0]))
        d = (e[3] - mu) ** 3 / ((e[3] - e[0]) * (e[3] - e[1]) * (e[3] - e[2]))
        b = (mu - e[1]) ** 3 / ((e[1] - e[0]) * (e[2] - e[1]) * (e[3] - e[1]))
    share: Array = np.select([mu <= e[0], mu <= e[1], mu < e[2], mu < e[3]], [0 * a, a, a - b, 1 - d], 1.0)
    return share
