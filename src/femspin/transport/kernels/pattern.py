"""Compiled kernels of the sparsity pattern; see `pattern`.  Needs numba."""

import numpy as np
from numba import njit

__all__ = ["fill_pattern", "occurrences"]


@njit(nogil=True, cache=True)
def occurrences(dofs, start):
    """Return the local dofs (cell n_local + i) that are each dof, in the order of the cells."""
    n = dofs.shape[1]
    places, at = np.empty(dofs.size, np.int32), start[:-1].copy()
    for e in range(len(dofs)):
        for i in range(n):
            d = dofs[e, i]
            places[at[d]] = e * n + i
            at[d] += 1
    return places


@njit(nogil=True, cache=True)
def fill_pattern(low, high, dofs, start, places, counts, offsets):
    """Return the columns of some rows, ascending; set their numbers and the places of pairs."""
    n, rows = dofs.shape[1], len(start) - 1
    seen, where = np.full(rows, -1, np.int32), np.empty(rows, np.int32)
    indices, end = np.empty(16 * (high - low) + 64, np.int32), 0
    for row in range(low, high):
        begin = end
        most = end + (start[row + 1] - start[row]) * n
        if most > len(indices):
            longer = np.empty(2 * most, np.int32)
            longer[:end] = indices[:end]
            indices = longer
        for p in range(start[row], start[row + 1]):
            cell = places[p] // n
            for m in range(n):
                column = dofs[cell, m]
                if seen[column] != row:
                    seen[column] = row
                    k = end
                    while k > begin and indices[k - 1] > column:
                        indices[k] = indices[k - 1]
                        k -= 1
                    indices[k] = column
                    end += 1
        counts[row] = end - begin
        for k in range(begin, end):
            where[indices[k]] = k - begin
        for p in range(start[row], start[row + 1]):
            cell, i = places[p] // n, places[p] % n
            for m in range(n):
                offsets[cell, i * n + m] = where[dofs[cell, m]]
    return indices[:end].copy()
