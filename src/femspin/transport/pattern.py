"""The sparsity pattern of a scalar space: which dofs share a cell, and where pairs are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .threads import compiled_available

__all__ = ["Pattern", "build_pattern"]

Indices = NDArray[Any]

# Below this many pairs of local dofs numpy is faster than loading the compiled kernels.
_COMPILED_FROM = 400_000


@dataclass(frozen=True)
class Pattern:
    """Sparsity of the block matrix: where the blocks of every cell go.

    Args:
        indptr: CSR row pointer of the scalar graph, shape (n_dofs + 1,).
        indices: CSR columns, ascending in every row, shape (n_slots,).
        slots: Slot of local pair (i, m) of every cell, shape (n_cells, n_local^2).
    """

    indptr: Indices
    indices: Indices
    slots: Indices


def build_pattern(dofs: Indices, n_dofs: int) -> Pattern:
    """Return the pattern of cells with the given dofs.

    Args:
        dofs: Scalar dofs of each cell, shape (n_cells, n_local).
        n_dofs: Number of scalar dofs.
    """
    if compiled_available() and dofs.size * dofs.shape[1] >= _COMPILED_FROM:
        return compiled_pattern(dofs, n_dofs)
    return sorted_pattern(dofs, n_dofs)


def sorted_pattern(dofs: Indices, n_dofs: int) -> Pattern:
    """Return the pattern by sorting all pairs."""
    n = dofs.shape[1]
    key = np.repeat(dofs, n, axis=1).astype(np.int64) * n_dofs + np.tile(dofs, (1, n))
    unique, slots = np.unique(key, return_inverse=True)
    indptr = np.searchsorted(unique, np.arange(n_dofs + 1) * n_dofs)
    return Pattern(
        indptr.astype(np.int32), (unique % n_dofs).astype(np.int32),
        slots.reshape(key.shape).astype(np.int32),
    )  # fmt: skip


def compiled_pattern(dofs: Indices, n_dofs: int) -> Pattern:
    """Return the pattern row by row, without a list of all pairs."""
    from .kernels import count_columns, fill_pattern

    own = np.ascontiguousarray(dofs, np.int32)
    start = np.zeros(n_dofs + 1, np.int64)
    np.cumsum(np.bincount(own.ravel(), minlength=n_dofs), out=start[1:])
    # Where every dof occurs, in the order of the cells.
    places = np.argsort(own.ravel(), kind="stable").astype(np.int32)
    indptr = np.zeros(n_dofs + 1, np.int64)
    np.cumsum(count_columns(own, start, places), out=indptr[1:])
    indices = np.empty(indptr[-1], np.int32)
    slots = np.empty((len(own), own.shape[1] ** 2), np.int32)
    fill_pattern(own, start, places, indptr, indices, slots)
    return Pattern(indptr.astype(np.int32), indices, slots)
