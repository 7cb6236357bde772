"""Element integrals of the scalar basis, by quadrature or from those of the reference cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from skfem.quadrature import get_quadrature

from ...units import Array, Indices

__all__ = [
    "Moments",
    "ReferenceMoments",
    "affine_moments",
    "affine_vector",
    "basis_table",
    "quadrature_moments",
    "reference_moments",
]


@dataclass(frozen=True)
class Moments:
    """Element integrals of the scalar basis over some cells; phi_i,j means d_j phi_i.

    Args:
        cells: Positions among the conducting cells, shape (n,).
        matrix: Integrals of (phi_i,j phi_m,k | phi_i,j phi_m | phi_i phi_m,k | phi_i phi_m),
            shape (n, n_local^2, dim^2 + 2 dim + 1).
        vector: Integrals of (phi_i,j | phi_i), shape (n, n_local, dim + 1).
    """

    cells: Indices
    matrix: Array
    vector: Array


@dataclass(frozen=True)
class ReferenceMoments:
    """Element moments of the reference cell, for derivatives by its own coordinates.

    Args:
        matrix: Shape (n_local^2, (dim + 1)^2), the jets of test and trial function as columns.
        vector: Shape (n_local, dim + 1).
    """

    matrix: Array
    vector: Array


def reference_moments(element: Any, quadrature: int) -> ReferenceMoments:
    """Return the moments of the reference cell.

    Args:
        element: scikit-fem element.
        quadrature: scikit-fem order of a rule that is exact for products of two fields.
    """
    points, weights = get_quadrature(element.refdom, quadrature)
    table = basis_table(element, points)
    full = np.einsum("qic,qmk,q->imck", table, table, weights)
    rows = points.shape[0] + 1
    return ReferenceMoments(
        np.ascontiguousarray(full.reshape(-1, rows**2)), np.einsum("qic,q->ic", table, weights)
    )


def basis_table(element: Any, points: Array) -> Array:
    """Return derivatives and value of the basis at reference points, shape (q, n_local, dim + 1).

    Args:
        element: scikit-fem element.
        points: Shape (dim, q).
    """
    shape = (points.shape[1],)
    jets = []
    for i in range(len(element.doflocs)):
        value, slope = element.lbasis(points, i)
        jets.append(np.stack([np.broadcast_to(v, shape) for v in (*slope, value)], axis=1))
    return np.stack(jets, axis=1)


def affine_vector(reference: ReferenceMoments, inverse: Array, volume: Array) -> Array:
    """Return the moments of single basis functions, shape (n, n_local, dim + 1).

    Args:
        reference: Those of the reference cell.
        inverse: d(reference coordinate a)/dx_j of every cell, shape (n, dim, dim) = (a, j).
        volume: Signed volume over that of the reference cell, shape (n,).
    """
    return reference.vector @ (_turn(inverse) * np.abs(volume)[:, None, None])


def affine_moments(reference: ReferenceMoments, cells: Indices, inverse: Array, volume: Array) -> Moments:
    """Return the moments of affine cells; the arguments are those of `affine_vector`."""
    turn, d = _turn(inverse), inverse.shape[1]
    both = np.einsum("ecj,ekl->eckjl", turn, turn) * np.abs(volume)[:, None, None, None, None]
    order = np.arange((d + 1) ** 2).reshape(d + 1, d + 1)
    columns = np.concatenate([order[:d, :d].ravel(), order[:d, d], order[d]])
    both = both.reshape(len(cells), (d + 1) ** 2, -1)[:, :, columns]
    return Moments(cells, reference.matrix @ both, affine_vector(reference, inverse, volume))


def _turn(inverse: Array) -> Array:
    """Return what takes reference jets (derivatives, value) to jets, (n, dim + 1, dim + 1)."""
    n, d = inverse.shape[:2]
    turn = np.zeros((n, d + 1, d + 1))
    turn[:, :d, :d], turn[:, d, d] = inverse, 1.0
    return turn


def quadrature_moments(cells: Indices, jet: Array, dx: Array) -> Moments:
    """Return the moments from jets and weights at quadrature points, see `Space.jets`."""
    n, d = jet.shape[0], jet.shape[1] - 1
    flat = jet.transpose(2, 0, 1, 3).reshape(len(cells), n * (d + 1), -1)
    full = (flat * dx[:, None, :]) @ flat.transpose(0, 2, 1)
    full = full.reshape(len(cells), n, d + 1, n, d + 1)
    matrix = np.concatenate(
        [
            full[:, :, :d, :, :d].transpose(0, 1, 3, 2, 4).reshape(len(cells), n * n, d * d),
            full[:, :, :d, :, d].transpose(0, 1, 3, 2).reshape(len(cells), n * n, d),
            full[:, :, d, :, :d].reshape(len(cells), n * n, d),
            full[:, :, d, :, d].reshape(len(cells), n * n, 1),
        ],
        axis=2,
    )
    return Moments(cells, matrix, np.einsum("icep,ep->eic", jet, dx))
