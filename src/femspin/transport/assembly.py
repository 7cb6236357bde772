"""Block assembly: element moments times small tensors, scattered into one block matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .coefficients import Coefficients, block_tensors
from .space import Space

__all__ = ["RegionBlocks", "apply_region", "assemble_region", "block_matrix"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RegionBlocks:
    """What one region adds to the system, on the pattern of the whole space.

    Args:
        values: Block values, shape (n_slots, 4, 4).
        load: Right-hand side, shape (n_dofs, 4).
    """

    values: Array
    load: Array


def assemble_region(space: Space, name: str, c: Coefficients) -> RegionBlocks:
    """Return matrix and load of W1 restricted to one region."""
    pattern, cells = space.pattern, space.in_region(name)
    tensors = block_tensors(c, space.structure.axes)
    values = np.zeros((len(pattern.indices), 16))
    load = np.zeros((space.n_dofs, 4))
    for piece in space.chunks(cells):
        local = (piece.matrix @ tensors.matrix).reshape(-1, 16)
        values += _scatter(pattern.slots[piece.cells].ravel(), local, len(values))
        forced = (piece.vector @ tensors.vector).reshape(-1, 4)
        load += _scatter(space.dofs[piece.cells].ravel(), forced, space.n_dofs)
    return RegionBlocks(values.reshape(-1, 4, 4), load)


def apply_region(
    space: Space, name: str, c: Coefficients, mu: Array, mu_low: Array | float = 0.0
) -> Array:
    r"""Return the residual of W1 on one region at every dof, shape (n_dofs, 4).

    Testing W1 on the region alone with each basis function leaves
    :math:`(K\mu - b)_{i\eta} = -\oint \phi_i J_n^\eta`: zero inside, the inflow on its boundary.

    The stored matrix annihilates a constant potential only to round-off of its largest entries,
    which on fine meshes exceeds the fluxes; here derivatives act on the difference from the mean
    of the cell, so the balance of currents holds to round-off of the fluxes themselves.

    Args:
        space: The scalar space.
        name: Region.
        c: Its coefficients.
        mu: Potentials [meV], shape (n_dofs, 4).
        mu_low: Rest of an extended-precision mu.
    """
    cells, tensors, d = (
        space.in_region(name),
        block_tensors(c, space.structure.axes),
        space.dimension,
    )
    # Moments with a derivative of the trial function: the first d^2, and the second d of the 2d.
    kills_constants = np.r_[0 : d * d, d * d + d : d * d + 2 * d]
    keeps = np.r_[d * d : d * d + d, d * d + 2 * d]
    low = np.broadcast_to(np.asarray(mu_low, float), mu.shape)
    residual = np.zeros((space.n_dofs, 4))
    n = space.dofs.shape[1]
    for piece in space.chunks(cells):
        dofs = space.dofs[piece.cells]
        local, rest = mu[dofs], low[dofs]
        deviation = (local - local.mean(axis=1, keepdims=True)) + rest
        out = -piece.vector @ tensors.vector
        for which, field in ((kills_constants, deviation), (keeps, local + rest)):
            blocks = piece.matrix[:, :, which] @ tensors.matrix[which]
            blocks = blocks.reshape(-1, n, n, 4, 4).transpose(0, 1, 3, 2, 4)
            out += (blocks.reshape(-1, 4 * n, 4 * n) @ field.reshape(-1, 4 * n, 1)).reshape(
                -1, n, 4
            )
        residual += _scatter(dofs.ravel(), out.reshape(-1, 4), space.n_dofs)
    return residual


def _scatter(target: NDArray[np.int64], values: Array, size: int) -> Array:
    """Return the sums of rows of `values` (n, k) that share a target, shape (size, k)."""
    k = values.shape[1]
    where = (k * target[:, None] + np.arange(k)).ravel()
    return np.asarray(np.bincount(where, values.ravel(), minlength=k * size), float).reshape(
        size, k
    )


def block_matrix(space: Space, blocks: Mapping[str, RegionBlocks]) -> sp.bsr_array:
    """Return the sum of the regions' matrices, shape (4 n_dofs, 4 n_dofs)."""
    pattern = space.pattern
    values = sum(b.values for b in blocks.values())
    shape = (space.size, space.size)
    return sp.bsr_array((values, pattern.indices, pattern.indptr), shape=shape)
