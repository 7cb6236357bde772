"""Band edges and van Hove energies: where the velocity of a band vanishes."""

from __future__ import annotations

import numpy as np

from ..units import Array
from .hamiltonian import band_energy, band_fields
from .lattice import TwoSublattice

__all__ = ["band_edges", "critical_energies"]


_STARTS = {1: 200, 2: 40, 3: 12}
_STEPS = 60
_SAME = 1e-8


def critical_energies(model: TwoSublattice, s: int) -> Array:
    """Return the energies of all critical points of a band, ascending: edges and van Hove points.

    Found by damped Newton steps from a mesh; energies that agree to 1e-8 of the band are one.

    Args:
        model: The lattice.
        s: +1 lower band, -1 upper band.
    """
    d, n = model.dimension, _STARTS[model.dimension]
    axis = (np.arange(n) + 0.3) / n
    u = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
    corners = np.stack(np.meshgrid(*[np.array([0.0, 0.5])] * d, indexing="ij"), axis=-1)
    k = np.concatenate([u, corners.reshape(-1, d)]) @ model.reciprocal
    size = np.linalg.norm(model.reciprocal, axis=1).min()
    gradient, hessian = _derivatives(model, k, s)
    for _ in range(_STEPS):
        # pinv steps over directions in which the band is flat (lines of critical points)
        step = -np.einsum("nij,nj->ni", np.linalg.pinv(hessian, rcond=1e-10), gradient)
        length = np.linalg.norm(step, axis=1, keepdims=True)
        k = k + step * np.minimum(1, 0.02 * size / np.maximum(length, 1e-300))
        gradient, hessian = _derivatives(model, k, s)
    energy = band_energy(model, k, s)
    scale = float(np.ptp(energy)) + abs(model.exchange)
    still = np.linalg.norm(gradient, axis=1) < 1e-9 * scale / size
    found = np.sort(energy[still])
    return found[np.diff(found, prepend=-np.inf) > _SAME * scale]


def _derivatives(model: TwoSublattice, k: Array, s: int) -> tuple[Array, Array]:
    f = band_fields(model, k)
    return f.d_T - s * f.d_Delta, f.dd_T - s * f.dd_Delta


def band_edges(model: TwoSublattice) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return lowest and highest energy of the lower and of the upper band."""
    lower, upper = (critical_energies(model, s) for s in (1, -1))
    return (float(lower[0]), float(lower[-1])), (float(upper[0]), float(upper[-1]))
