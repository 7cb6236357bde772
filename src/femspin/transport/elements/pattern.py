"""The sparsity pattern of a scalar space: which dofs share a cell, and where pairs are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...units import AnyArray
from ..kernels.threads import compiled_available, run_parts

__all__ = ["Pattern", "build_pattern"]


# Below this many pairs of local dofs numpy is faster than loading the compiled kernels.
_COMPILED_FROM = 400_000
# Dofs from which on rows are found in two threads.
_HALVED_FROM = 5_000


@dataclass(frozen=True)
class Pattern:
    """Sparsity of the block matrix: where the blocks of every cell go.

    Args:
        indptr: CSR row pointer of the scalar graph, shape (n_dofs + 1,).
        indices: CSR columns, ascending in every row, shape (n_slots,).
        dofs: Scalar dofs of each cell, shape (n_cells, n_local).
        offsets: Place within its row of local pair (i, m) of every cell, in the narrowest type,
            shape (n_cells, n_local^2).
    """

    indptr: AnyArray
    indices: AnyArray
    dofs: AnyArray
    offsets: AnyArray

    def slots(self, cells: Any = slice(None)) -> AnyArray:
        """Return the slots of the local pairs of some cells, shape (n, n_local^2)."""
        starts = self.indptr[self.dofs[cells]]
        found: AnyArray = np.repeat(starts, self.dofs.shape[1], axis=1) + self.offsets[cells]
        return found


def build_pattern(dofs: AnyArray, n_dofs: int) -> Pattern:
    """Return the pattern of cells with the given dofs.

    Args:
        dofs: Scalar dofs of each cell, shape (n_cells, n_local).
        n_dofs: Number of scalar dofs.
    """
    if compiled_available() and dofs.size * dofs.shape[1] >= _COMPILED_FROM:
        return compiled_pattern(dofs, n_dofs)
    return sorted_pattern(dofs, n_dofs)


def sorted_pattern(dofs: AnyArray, n_dofs: int) -> Pattern:
    """Return the pattern by sorting all pairs."""
    n = dofs.shape[1]
    key = np.repeat(dofs, n, axis=1).astype(np.int64) * n_dofs + np.tile(dofs, (1, n))
    unique, slots = np.unique(key, return_inverse=True)
    indptr = np.searchsorted(unique, np.arange(n_dofs + 1) * n_dofs)
    offsets = slots.reshape(key.shape) - np.repeat(indptr[dofs], n, axis=1)
    return Pattern(
        indptr.astype(np.int32),
        (unique % n_dofs).astype(np.int32),
        dofs,
        offsets.astype(_narrowest(np.diff(indptr))),
    )


def compiled_pattern(dofs: AnyArray, n_dofs: int) -> Pattern:
    """Return the pattern row by row, without a list of all pairs."""
    from ..kernels.pattern import fill_pattern, occurrences

    own = np.ascontiguousarray(dofs, np.int32)
    start = np.zeros(n_dofs + 1, np.int64)
    np.cumsum(np.bincount(own.ravel(), minlength=n_dofs), out=start[1:])
    where = (own, start, occurrences(own, start))
    bounds = [0, n_dofs // 2, n_dofs] if n_dofs >= _HALVED_FROM else [0, n_dofs]
    narrow: Any = np.uint8
    while True:
        counts = np.zeros(n_dofs, np.int32)
        offsets = np.empty((len(own), own.shape[1] ** 2), narrow)
        columns = run_parts(fill_pattern, bounds, *where, counts, offsets)
        wanted = _narrowest(counts)
        if wanted == np.dtype(narrow):
            break
        narrow = wanted  # long rows: once more with a type that holds their places
    indptr = np.zeros(n_dofs + 1, np.int32)
    np.cumsum(counts, out=indptr[1:])
    return Pattern(indptr, np.concatenate(columns), own, offsets)


def _narrowest(counts: AnyArray) -> Any:
    """Return the unsigned type that holds the places in rows of the given lengths."""
    return np.min_scalar_type(max(int(counts.max(initial=1)) - 1, 0))
