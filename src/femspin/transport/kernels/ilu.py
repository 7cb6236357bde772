"""Compiled kernels of the block incomplete factorisation; see `ilu`.  Needs numba."""

import numpy as np
from numba import njit

__all__ = ["ilu_factor", "ilu_solve", "ilu_solve_transposed", "scalar_factor", "scalar_solve"]


@njit(cache=True, error_model="numpy")
def invert(a):
    """Invert a 3 x 3 block in place; return False if it is singular."""
    c00 = a[1, 1] * a[2, 2] - a[1, 2] * a[2, 1]
    c01 = a[1, 2] * a[2, 0] - a[1, 0] * a[2, 2]
    c02 = a[1, 0] * a[2, 1] - a[1, 1] * a[2, 0]
    det = a[0, 0] * c00 + a[0, 1] * c01 + a[0, 2] * c02
    if det == 0.0:
        return False
    c10 = a[0, 2] * a[2, 1] - a[0, 1] * a[2, 2]
    c11 = a[0, 0] * a[2, 2] - a[0, 2] * a[2, 0]
    c12 = a[0, 1] * a[2, 0] - a[0, 0] * a[2, 1]
    c20 = a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1]
    c21 = a[0, 2] * a[1, 0] - a[0, 0] * a[1, 2]
    c22 = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
    a[0, 0], a[0, 1], a[0, 2] = c00 / det, c10 / det, c20 / det
    a[1, 0], a[1, 1], a[1, 2] = c01 / det, c11 / det, c21 / det
    a[2, 0], a[2, 1], a[2, 2] = c02 / det, c12 / det, c22 / det
    return True


@njit(nogil=True, cache=True)
def ilu_factor(low, high, indptr, indices, data, diagonal):
    """Factorise the rows and columns low to high in place; return False at a singular block."""
    where = np.full(len(indptr) - 1, -1, np.int64)
    block = np.zeros((3, 3))
    for i in range(low, high):
        for p in range(indptr[i], indptr[i + 1]):
            where[indices[p]] = p
        for p in range(indptr[i], indptr[i + 1]):
            k = indices[p]
            if k == i:
                diagonal[i] = p
            if k >= i or k < low:
                continue
            d = diagonal[k]
            for r in range(3):
                for c in range(3):
                    block[r, c] = (
                        data[p, r, 0] * data[d, 0, c]
                        + data[p, r, 1] * data[d, 1, c]
                        + data[p, r, 2] * data[d, 2, c]
                    )
            for r in range(3):
                for c in range(3):
                    data[p, r, c] = block[r, c]
            for q in range(d + 1, indptr[k + 1]):
                t = where[indices[q]]
                if t >= 0:
                    for r in range(3):
                        for c in range(3):
                            data[t, r, c] -= (
                                block[r, 0] * data[q, 0, c]
                                + block[r, 1] * data[q, 1, c]
                                + block[r, 2] * data[q, 2, c]
                            )
        if not invert(data[diagonal[i]]):
            return False
        for p in range(indptr[i], indptr[i + 1]):
            where[indices[p]] = -1
    return True


@njit(nogil=True, cache=True)
def ilu_solve(low, high, indptr, indices, data, diagonal, x):
    """Turn the rows low to high of x into the solution of L U x = x."""
    for i in range(low, high):
        for p in range(indptr[i], diagonal[i]):
            if indices[p] < low:
                continue
            k = 3 * indices[p]
            for r in range(3):
                x[3 * i + r] -= data[p, r, 0] * x[k] + data[p, r, 1] * x[k + 1] + data[p, r, 2] * x[k + 2]
    for i in range(high - 1, low - 1, -1):
        a, b, c = x[3 * i], x[3 * i + 1], x[3 * i + 2]
        for p in range(diagonal[i] + 1, indptr[i + 1]):
            if indices[p] >= high:
                break
            k = 3 * indices[p]
            a -= data[p, 0, 0] * x[k] + data[p, 0, 1] * x[k + 1] + data[p, 0, 2] * x[k + 2]
            b -= data[p, 1, 0] * x[k] + data[p, 1, 1] * x[k + 1] + data[p, 1, 2] * x[k + 2]
            c -= data[p, 2, 0] * x[k] + data[p, 2, 1] * x[k + 1] + data[p, 2, 2] * x[k + 2]
        d = diagonal[i]
        for r in range(3):
            x[3 * i + r] = data[d, r, 0] * a + data[d, r, 1] * b + data[d, r, 2] * c


@njit(nogil=True, cache=True)
def ilu_solve_transposed(low, high, indptr, indices, data, diagonal, x):
    """Turn the rows low to high of x into the solution of (L U)^T x = x."""
    for i in range(low, high):
        d = data[diagonal[i]]
        a, b, c = x[3 * i], x[3 * i + 1], x[3 * i + 2]
        for r in range(3):
            x[3 * i + r] = d[0, r] * a + d[1, r] * b + d[2, r] * c
        a, b, c = x[3 * i], x[3 * i + 1], x[3 * i + 2]
        for p in range(diagonal[i] + 1, indptr[i + 1]):
            if indices[p] >= high:
                break
            k, e = 3 * indices[p], data[p]
            for r in range(3):
                x[k + r] -= e[0, r] * a + e[1, r] * b + e[2, r] * c
    for i in range(high - 1, low - 1, -1):
        a, b, c = x[3 * i], x[3 * i + 1], x[3 * i + 2]
        for p in range(indptr[i], diagonal[i]):
            if indices[p] < low:
                continue
            k, e = 3 * indices[p], data[p]
            for r in range(3):
                x[k + r] -= e[0, r] * a + e[1, r] * b + e[2, r] * c


@njit(nogil=True, cache=True)
def scalar_factor(low, high, bounds, indices, values, diagonal, enlarged, factors, pivots):
    """Factorise the rows and columns low to high of a scalar matrix; False at a vanishing pivot.

    Args:
        low: First row.
        high: One behind the last row.
        bounds: Begin, middle (of what is right of the diagonal) and end of the rows.
        indices: Columns, ascending.
        values: Entries off the diagonal.
        diagonal: The diagonal.
        enlarged: Its factor before the factorisation.
        factors: L and U off the diagonal, to set.
        pivots: Inverse pivots, to set.
    """
    begin, middle, end = bounds
    where = np.full(len(diagonal), -1, np.int32)
    for i in range(low, high):
        for p in range(begin[i], end[i]):
            where[indices[p]] = p
            factors[p] = values[p]
        pivot = diagonal[i] * enlarged
        if pivot == 0.0:  # a row of a held unknown is empty
            pivot = 1.0
        for p in range(begin[i], middle[i]):
            k = indices[p]
            if k < low:
                continue
            factors[p] *= pivots[k]
            for q in range(middle[k], end[k]):
                j = indices[q]
                if j == i:
                    pivot -= factors[p] * factors[q]
                elif where[j] >= 0:
                    factors[where[j]] -= factors[p] * factors[q]
        if pivot == 0.0:
            return False
        pivots[i] = 1.0 / pivot
        for p in range(begin[i], end[i]):
            where[indices[p]] = -1
    return True


@njit(nogil=True, cache=True)
def scalar_solve(low, high, bounds, indices, factors, pivots, x):
    """Turn the rows low to high of x into the solution of L U x = x."""
    begin, middle, end = bounds
    for i in range(low, high):
        total = x[i]
        for p in range(begin[i], middle[i]):
            j = indices[p]
            if j >= low:
                total -= factors[p] * x[j]
        x[i] = total
    for i in range(high - 1, low - 1, -1):
        total = x[i]
        for p in range(middle[i], end[i]):
            j = indices[p]
            if j >= high:
                break
            total -= factors[p] * x[j]
        x[i] = total * pivots[i]
