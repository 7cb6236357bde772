"""The matrix of the unknowns on a fixed pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...transport.assembly.boundary import Constraint
from ...transport.elements.space import Space
from ...units import Array

__all__ = ["ReducedPattern", "reduced_pattern"]

AnyInteger = NDArray[np.integer]


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
