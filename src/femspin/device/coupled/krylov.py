"""The matrix of the unknowns on a fixed pattern, and GMRES with an old preconditioner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...transport.assembly.boundary import Constraint
from ...transport.elements.space import Space
from ...units import Array

__all__ = ["ReducedPattern", "reduced_pattern", "warm_gmres"]

AnyInteger = NDArray[np.integer]
Apply = Callable[[Array], Array]


@dataclass(frozen=True)
class ReducedPattern:
    """Where the entries of the block values go in the matrix of the unknowns.

    Args:
        kept: Flat positions in the block values, shape (n_kept,).
        target: Position of each in the data of the matrix, shape (n_kept,).
        indices: Columns, shape (nnz,).
        indptr: Row pointer, shape (n_free + 1,).
        one_to_one: Whether every entry of the matrix is one block value.
    """

    kept: AnyInteger
    target: AnyInteger
    indices: AnyInteger
    indptr: AnyInteger
    one_to_one: bool

    def matrix(self, values: Array) -> sp.csr_array:
        """Return the matrix of the unknowns from block values (n_slots, 4, 4)."""
        n = len(self.indptr) - 1
        data: Array = values.ravel()[self.kept]
        if not self.one_to_one:
            data = np.bincount(self.target, data, len(self.indices)).astype(float)
        return sp.csr_array((data, self.indices, self.indptr), shape=(n, n))


def reduced_pattern(space: Space, constraint: Constraint, needed: NDArray[np.bool_]) -> ReducedPattern:
    """Return the pattern of the matrix of the unknowns.

    Args:
        space: The scalar space.
        constraint: Unknowns behind the dofs.
        needed: Which block entries may be nonzero, shape (n_slots, 4, 4).
    """
    pattern = space.pattern
    row = np.repeat(np.arange(space.n_dofs), np.diff(pattern.indptr))
    component = np.arange(4)
    rows = constraint.unknown[(4 * row)[:, None] + component]
    columns = constraint.unknown[(4 * pattern.indices)[:, None] + component]
    rows, columns = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
    used = (rows >= 0) & (columns >= 0) & needed
    kept, n = np.flatnonzero(used.ravel()), len(constraint.charge)
    key = rows.ravel()[kept].astype(np.int64) * n + columns.ravel()[kept]
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    new = np.r_[True, ordered[1:] != ordered[:-1]]
    unique = ordered[new]
    indptr = np.searchsorted(unique, np.arange(n + 1) * n).astype(np.int32)
    target = np.cumsum(new) - 1
    return ReducedPattern(kept[order], target, (unique % n).astype(np.int32), indptr, bool(new.all()))


def warm_gmres(
    matrix: sp.csr_array, load: Array, start: Array, precondition: Apply, target: float, limit: int
) -> tuple[Array, Array, int]:
    """Return the solution, its residual and the iterations of right-preconditioned GMRES.

    Args:
        matrix: A, shape (n, n).
        load: b.
        start: Where to start.
        precondition: Approximate inverse of A.
        target: |b - A x| at which it stops.
        limit: Most iterations.
    """
    x, r = start, load - matrix @ start
    size = float(np.linalg.norm(r))
    if size <= target:
        return x, r, 0
    basis, images = [r / size], []
    hessenberg = np.zeros((limit + 1, limit))
    weights: Array = np.zeros(0)
    for k in range(limit):
        images.append(precondition(basis[k]))
        w = matrix @ images[k]
        for j, v in enumerate(basis):
            hessenberg[j, k] = v @ w
            w = w - hessenberg[j, k] * v
        hessenberg[k + 1, k] = np.linalg.norm(w)
        right = np.zeros(k + 2)
        right[0] = size
        weights = np.asarray(np.linalg.lstsq(hessenberg[: k + 2, : k + 1], right, rcond=None)[0])
        left = np.linalg.norm(hessenberg[: k + 2, : k + 1] @ weights - right)
        if left <= target or hessenberg[k + 1, k] <= 1e-15 * size:
            break
        basis.append(w / hessenberg[k + 1, k])
    x = x + sum(y * z for y, z in zip(weights, images, strict=True))
    return x, load - matrix @ x, len(weights)
