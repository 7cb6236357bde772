r"""Averages at finite temperature: a uniform mesh with the weight -f'.

The integrand is periodic and analytic in k with poles where eps = mu +- i pi k_B T, so the sum
over a shifted uniform mesh converges exponentially, like :math:`e^{-2\pi n y}` with
:math:`y = \pi k_BT/\max|\partial_u\epsilon|`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, log, pi

import numpy as np

from ..units import Array
from .hamiltonian import band_energy
from .lattice import TwoSublattice

__all__ = ["mesh_integral", "mesh_occupation", "needed_mesh"]

Kernel = Callable[[Array, int], Array]

_CHUNK = 200_000
_CUT = 36.0  # beyond this many k_B T the weight is below 1e-15


def needed_mesh(model: TwoSublattice, kT: float, accuracy: float) -> int:
    """Return how many points per direction, even, give a relative accuracy at a temperature."""
    B = model.reciprocal
    e, ep = abs(np.array(model.inter) @ B.T), abs(np.array(model.intra) @ B.T)
    steepest = np.abs(model.inter_amplitudes) @ e
    if len(ep):
        steepest = steepest + 2 * np.abs(model.intra_amplitudes) @ ep
    half = ceil(log(1 / accuracy) * float(steepest.max()) / (4 * pi**2 * kT))
    return 2 * max(4, half)


def mesh_integral(
    model: TwoSublattice, mu: float, kT: float, s: int, kernel: Kernel, count: int, n: int
) -> tuple[Array, Array]:
    r"""Return :math:`\int\frac{d^dk}{(2\pi)^d}X(-f')` of one band and the integral of :math:`|X|`.

    Args:
        model: The lattice, in any dimension.
        mu: Chemical potential.
        kT: Temperature, > 0, in the unit of the energies.
        s: Band.
        kernel: See `femspin.bands.contours.contour_integral`.
        count: Numbers per point.
        n: Points per direction, even.

    Returns:
        Both integrals, shape (count,).
    """
    total, size = np.zeros(count), np.zeros(count)
    for k in _points(model, n):
        x = (band_energy(model, k, s) - mu) / (2 * kT)
        near = abs(x) < _CUT / 2
        if np.any(near):
            weight = 1 / (4 * kT) / np.cosh(x[near, None]) ** 2
            X = kernel(k[near], s).reshape(-1, count) * weight
            total += X.sum(0)
            size += abs(X).sum(0)
    norm = n**model.dimension * model.cell_volume / 2
    return total / norm, size / norm


def mesh_occupation(model: TwoSublattice, mu: float, kT: float, n: int) -> float:
    """Return electrons per site, 0 to 2, at a temperature."""
    total = 0.0
    for k in _points(model, n):
        for s in (1, -1):
            x = (band_energy(model, k, s) - mu) / (2 * kT)
            total += float((0.5 - 0.5 * np.tanh(x)).sum())
    return float(2 * total / n**model.dimension)


def _points(model: TwoSublattice, n: int) -> Iterator[Array]:
    """Yield half the points of an even mesh in pieces that fit into memory, shape (N, d).

    The other half are their opposites, at which everything that is averaged has equal values.
    """
    d = model.dimension
    for first in range(0, n**d // 2, _CHUNK):
        index = np.arange(first, min(first + _CHUNK, n**d // 2))
        u = [(index // n**a % n + 0.5) / n - 0.5 for a in range(d)]
        yield np.stack(u, axis=-1) @ model.reciprocal
