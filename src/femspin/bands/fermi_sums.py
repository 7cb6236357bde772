"""Fermi-surface averages of all kernels, with an error estimate, by the method that fits.

=========  ==========================  ========================================================
dimension  zero temperature            finite temperature
=========  ==========================  ========================================================
1          Fermi points                mesh, or a sum of Fermi points over energy where it is cold
2          exact Fermi lines           mesh, or a sum of Fermi lines over energy where it is cold
3          lines across the surface    mesh, or a sum of surfaces over energy where it is cold
=========  ==========================  ========================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial.legendre import leggauss

from ..errors import SolverError
from ..units import Array
from .contours import contour_integral
from .critical import critical_energies
from .kernels import KERNELS, kernel_values
from .lattice import TwoSublattice
from .mesh import mesh_integral, needed_mesh
from .simplex import point_sum
from .surfaces import surface_integral

__all__ = ["FermiSums", "fermi_sums", "logistic_nodes"]


_LARGEST_MESH = {1: 2**20, 2: 1600, 3: 160}
_SHARP = {1: "points", 2: "contour", 3: "surface"}
_GAUSS_ORDERS = (4, 7, 12, 20)
_PIECE_ORDERS = (6, 10, 16)
_GOOD_MESH = 2e-3  # of a mesh in three dimensions, below which a sum of surfaces is not tried
_SUM_OF_SURFACES = 1e-3  # smallest tolerance of such a sum, which takes half a minute
_TAIL = 38.0  # -f' is below 1e-16 of its maximum beyond this many k_B T
_NEXT_TO_VAN_HOVE = 1e-9


@dataclass(frozen=True)
class FermiSums:
    """Averages <X> over the Fermi surface of both bands, without the double degeneracy.

    Args:
        values: <X> of the kernels by name, shape (d, d); velocity tensor under ``v2``.
        errors: Estimates of their absolute errors.
        dos: <1>, states per energy, a^d and pseudo-spin.
        dos_error: Estimate of its error.
        method: ``contour``, ``points``, ``surface``, ``mesh`` or ``energy sum``.
        size: Points per direction of the last mesh, or energies of an energy sum; else 0.
    """

    values: dict[str, Array]
    errors: dict[str, Array]
    dos: float
    dos_error: float
    method: str
    size: int


def fermi_sums(model: TwoSublattice, mu: float, kT: float = 0.0, tolerance: float = 1e-9) -> FermiSums:
    """Return the Fermi-surface averages of all kernels.

    Args:
        model: The lattice.
        mu: Chemical potential, in the unit of the hopping.
        kT: Temperature in the same unit; 0 for a sharp Fermi surface.
        tolerance: Of each average relative to its absolute sum; what cannot be reached shows
            in the errors.

    Raises:
        SolverError: At zero temperature, if mu is a van Hove energy to within round-off.
    """
    count = len(KERNELS) * model.dimension**2 + 1
    if kT <= 0:
        value, error, method, size = _sharp(model, mu, count, tolerance)
    else:
        value, error, method, size = _thermal(model, mu, kT, count, tolerance)
    d = model.dimension
    tensors, bounds = value[:-1].reshape(-1, d, d), error[:-1].reshape(-1, d, d)
    return FermiSums(
        dict(zip(KERNELS, tensors, strict=True)),
        dict(zip(KERNELS, bounds, strict=True)),
        float(value[-1]),
        float(error[-1]),
        method,
        size,
    )


def _kernel(model: TwoSublattice) -> Callable[[Array, int], Array]:
    def kernel(k: Array, s: int) -> Array:
        X = kernel_values(model, k, s).reshape(len(k), len(KERNELS) * model.dimension**2)
        return np.concatenate([X, np.ones((len(k), 1))], axis=1)

    return kernel


def _sharp(model: TwoSublattice, mu: float, count: int, tolerance: float) -> tuple[Array, Array, str, int]:
    """Return averages at zero temperature; only surfaces look at the tolerance."""
    kernel, method = _kernel(model), _SHARP[model.dimension]
    if model.dimension == 3:
        parts = [surface_integral(model, mu, s, kernel, count, tolerance) for s in (1, -1)]
    else:
        one_band = contour_integral if model.dimension == 2 else point_sum
        parts = [one_band(model, mu, s, kernel, count)[:2] for s in (1, -1)]
    return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1], method, 0


def _thermal(
    model: TwoSublattice, mu: float, kT: float, count: int, tolerance: float
) -> tuple[Array, Array, str, int]:
    """Return averages at a temperature, by doubling a mesh or from sums at sharp energies."""
    largest = _LARGEST_MESH[model.dimension]
    n = needed_mesh(model, kT, tolerance)
    if n > largest and model.dimension < 3:
        return _energy_sum(model, mu, kT, count, tolerance)
    value, error, size, n = _doubled_mesh(model, mu, kT, count, tolerance, n)
    if model.dimension == 3 and _relative(error, size) > max(tolerance, _GOOD_MESH):
        cold = _energy_sum(model, mu, kT, count, max(tolerance, _SUM_OF_SURFACES))
        if _relative(cold[1], size) < _relative(error, size):
            return cold
    return value, error, "mesh", n


def _doubled_mesh(
    model: TwoSublattice, mu: float, kT: float, count: int, tolerance: float, n: int
) -> tuple[Array, Array, Array, int]:
    """Return averages, errors and absolute sums of the mesh that suffices, or of the largest."""
    largest = _LARGEST_MESH[model.dimension]
    n = min(max(8, 2 * (n // 4)), largest // 2)
    value, size = _mesh(model, mu, kT, count, n)
    while True:
        n *= 2
        last = value
        value, size = _mesh(model, mu, kT, count, n)
        error = abs(value - last) + 1e-15 * size * np.log2(n)
        if _relative(error, size) <= tolerance or 2 * n > largest:
            return value, error, size, n


def _relative(error: Array, size: Array) -> float:
    """Return the largest error over the absolute sum, or a thousandth of the largest of those.

    Averages that symmetry makes zero are judged by the largest one.
    """
    scale = np.maximum(size, 1e-3 * size.max())
    return float(np.max(error / np.where(scale > 0, scale, 1)))


def _mesh(model: TwoSublattice, mu: float, kT: float, count: int, n: int) -> tuple[Array, Array]:
    parts = [mesh_integral(model, mu, kT, s, _kernel(model), count, n) for s in (1, -1)]
    return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]


def _energy_sum(
    model: TwoSublattice, mu: float, kT: float, count: int, tolerance: float
) -> tuple[Array, Array, str, int]:
    r"""Return :math:`\int dE\,(-f'(E - \mu))\,I(E)` of sharp averages I.

    Gauss quadrature of the weight -f' where no van Hove energy lies within reach, otherwise
    double-exponential quadrature between them.
    """
    breaks = np.concatenate([critical_energies(model, s) for s in (1, -1)])
    inside = np.sort(breaks[abs(breaks - mu) < _TAIL * kT])
    if len(inside):
        return _between(model, mu, kT, count, inside, tolerance)
    value = np.zeros(count)
    for step, order in enumerate(_GAUSS_ORDERS):
        last = value
        x, w = logistic_nodes(order)
        sharp = [_sharp(model, mu + kT * a, count, tolerance) for a in x]
        value = np.asarray(sum(c * v for c, (v, *_) in zip(w, sharp, strict=True)))
        size = np.asarray(sum(c * abs(v) for c, (v, *_) in zip(w, sharp, strict=True)))
        own = np.asarray(sum(c * e for c, (_, e, *_) in zip(w, sharp, strict=True)))
        error = abs(value - last) + own
        if step and np.all(error <= tolerance * np.maximum(size, 1e-3 * size.max())):
            break
    return value, error, "energy sum", order


def logistic_nodes(order: int) -> tuple[Array, Array]:
    r"""Return nodes and weights of Gauss quadrature with -f' of unit temperature.

    The monic polynomials of :math:`\mathrm{sech}^2\pi x` obey
    :math:`p_{n+1} = xp_n - \frac{n^4}{4(4n^2 - 1)}p_{n-1}`.
    """
    n = np.arange(1, order)
    off = np.sqrt(n**4 / (4.0 * (4 * n**2 - 1)))
    x, vectors = np.linalg.eigh(np.diag(off, 1) + np.diag(off, -1))
    return 2 * np.pi * x, vectors[0] ** 2


def _between(
    model: TwoSublattice, mu: float, kT: float, count: int, breaks: Array, tolerance: float
) -> tuple[Array, Array, str, int]:
    """Return the energy sum piece by piece between van Hove energies."""
    pieces = _pieces(mu, kT, breaks, tolerance)
    first, *finer = _piece_rules(model.dimension)
    start = [_piece(model, mu, kT, count, piece, first, tolerance) for piece in pieces]
    size = np.sum([x[1] for x in start], axis=0)
    total, error, used = np.zeros(count), np.zeros(count), 0
    for piece, (coarse, absolute, own, n) in zip(pieces, start, strict=True):
        value, change, used = coarse, np.zeros(count), used + n
        if not absolute.any():  # outside the bands
            continue
        for rule in finer:
            last = value
            value, _, own, n = _piece(model, mu, kT, count, piece, rule, tolerance)
            used, change = used + n, abs(value - last)
            if np.all(change <= own) or _relative(change, size) <= tolerance / len(pieces):
                break
        total, error = total + value, error + change + own
    return total, error, "energy sum", used


def _pieces(mu: float, kT: float, breaks: Array, tolerance: float) -> list[tuple[float, float]]:
    """Return the energies between which there is no van Hove energy, ascending.

    A piece is also cut at mu, where the weight is largest, and ends where the weight has fallen
    to less than the tolerance of its own largest.
    """
    reach = (np.log(1 / tolerance) + 4) * kT
    found = []
    for low, high in pairwise(sorted([mu - _TAIL * kT, *breaks, mu, mu + _TAIL * kT])):
        cut = (low, min(high, low + reach)) if low >= mu else (max(low, high - reach), high)
        if cut[1] > cut[0]:
            found.append(cut)
    return found


def _piece_rules(dimension: int) -> list[tuple[Array, Array]]:
    """Return quadratures from 0 to 1: distances to the nearer end, negative from 1, and weights.

    Double-exponential where an average diverges at a van Hove energy; in three dimensions, where
    it goes like a square root, Gauss quadrature over an angle.
    """
    rules = []
    if dimension == 3:
        for order in _PIECE_ORDERS:
            x, w = leggauss(order)
            angle = np.pi / 4 * (1 - abs(x))
            q = np.sin(angle) ** 2
            rules.append((np.where(x < 0, q, -q), w * np.pi / 4 * np.sin(2 * angle)))
        return rules
    for h in (0.5, 0.25, 0.125):
        t = np.arange(-3.2, 3.2 + h / 2, h)
        q = np.exp(-np.pi * np.sinh(abs(t)))
        gap = q / (1 + q)
        rules.append((np.where(t < 0, gap, -gap), h * np.pi * np.cosh(t) * q / (1 + q) ** 2))
    return rules


def _piece(
    model: TwoSublattice,
    mu: float,
    kT: float,
    count: int,
    ends: tuple[float, float],
    rule: tuple[Array, Array],
    tolerance: float,
) -> tuple[Array, Array, Array, int]:
    """Return the sum over one piece, its absolute sum and what is left out."""
    low, high = ends
    gap, weight = (high - low) * abs(rule[0]), (high - low) * rule[1]
    E = np.where(rule[0] > 0, low + gap, high - gap)
    weight = weight / (4 * kT) / np.cosh((E - mu) / (2 * kT)) ** 2
    nearest = _NEXT_TO_VAN_HOVE * (abs(mu) + model.exchange)
    value, size, error = np.zeros(count), np.zeros(count), np.zeros(count)
    used = 0
    for e, w, g in zip(E, weight, gap, strict=True):
        if g < nearest:
            e = low + nearest if abs(e - low) < abs(e - high) else high - nearest
        try:
            X, own, *_ = _sharp(model, float(e), count, tolerance)
        except SolverError:
            continue
        used += 1
        value, size, error = value + w * X, size + w * abs(X), error + w * own
        if g < nearest:
            error = error + w * abs(X)
    return value, size, error, used
