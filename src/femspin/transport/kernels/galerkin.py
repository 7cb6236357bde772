# mypy: ignore-errors
"""Compiled kernels of Galerkin products on rows without their diagonal; see `galerkin`.

Every coarse row is summed in double precision by itself, so that the result does not depend on
the number of threads.  Needs numba.
"""

import numpy as np
from numba import njit

__all__ = [
    "bottlenecks",
    "change_rows",
    "count_changed",
    "fill_rows",
    "keep_entries",
    "mark_coarse",
    "mark_fine",
    "restrict_tensors",
    "row_sums",
    "times_down",
    "times_up",
    "transpose",
]


@njit(nogil=True, cache=True)
def bottlenecks(low, high, matrix, least, strength, found):
    """Set how strongly neighbours are joined: by their coupling or by two over a third node.

    Args:
        low: First row.
        high: One behind the last row.
        matrix: Row pointer, columns and values.
        least: Part of the largest coupling of a row from which on a coupling is taken as it is.
        strength: Of every coupling.
        found: Result, shape of the values.
    """
    indptr, columns, _ = matrix
    own = np.zeros(len(indptr) - 1, np.float32)
    for i in range(low, high):
        largest = np.float32(0.0)
        for p in range(indptr[i], indptr[i + 1]):
            if columns[p] != i:
                own[columns[p]] = strength[p]
                largest = max(largest, strength[p])
        for p in range(indptr[i], indptr[i + 1]):
            j, best = columns[p], strength[p]
            if j != i and best < least * largest:
                for q in range(indptr[j], indptr[j + 1]):
                    if columns[q] != j:
                        best = max(best, min(own[columns[q]], strength[q]))
            found[p] = best
        for p in range(indptr[i], indptr[i + 1]):
            own[columns[p]] = 0.0


@njit(nogil=True, cache=True)
def keep_entries(low, high, matrix, least, joined, kept, count):
    """Mark and count entries off the diagonal, but for a part of what joins the two nodes.

    Returns:
        Whether none of them is positive.
    """
    indptr, columns, data = matrix
    negative = True
    for i in range(low, high):
        count[i] = 0
        for p in range(indptr[i], indptr[i + 1]):
            kept[p] = columns[p] != i and not abs(data[p]) < least * joined[p]
            count[i] += kept[p]
            negative &= not kept[p] or data[p] <= 0.0
    return negative


@njit(nogil=True, cache=True)
def fill_rows(low, high, matrix, kept, bounds, rows):
    """Part rows into diagonal and single-precision rest, which keeps the sum of the row.

    Args:
        low: First row.
        high: One behind the last row.
        matrix: Row pointer, columns (ascending) and values.
        kept: Which entries are kept; the others go to the diagonal.
        bounds: Begin, middle and end of the rows; begin is given.
        rows: Columns, values and diagonal to set.
    """
    indptr, columns, data = matrix
    begin, middle, end = bounds
    for i in range(low, high):
        at, total = begin[i], 0.0
        middle[i] = at
        for p in range(indptr[i], indptr[i + 1]):
            total += data[p]
            if kept[p]:
                rows[0][at], rows[1][at] = columns[p], data[p]
                total -= rows[1][at]
                at += 1
                if columns[p] < i:
                    middle[i] = at
        rows[2][i], end[i] = total, at


@njit(nogil=True, cache=True)
def transpose(indptr, indices, weights, pointer, rows, data):
    """Set row pointer, columns and values of the transposed matrix."""
    for p in range(len(indices)):
        pointer[indices[p] + 1] += 1
    for j in range(len(pointer) - 1):
        pointer[j + 1] += pointer[j]
    at = pointer[:-1].copy()
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            q = at[indices[p]]
            rows[q], data[q] = i, weights[p]
            at[indices[p]] = q + 1


@njit(nogil=True, cache=True)
def longer(a, size):
    """Return an array of at least a size that begins with another one."""
    if size <= len(a):
        return a
    found = np.empty(max(size, 2 * len(a)), a.dtype)
    found[: len(a)] = a
    return found


@njit(nogil=True, cache=True)
def times_up(low, high, which, bounds, fine, up, count):
    """Return columns and values of some rows of A P, one after the other.

    Args:
        low: First position in `which`.
        high: One behind the last position.
        which: Fine rows.
        bounds: Begin, middle and end of the rows of A.
        fine: Columns, values and diagonal of A.
        up: Row pointer, columns and values of P.
        count: Lengths of the rows, to set, one for each of `which`.
    """
    begin, _, end = bounds
    indices, values, diagonal = fine
    pointer, columns, weights = up
    n = 0
    for k in columns:
        n = max(n, k + 1)
    place = np.full(n, -1, np.int64)
    size = 16 * (high - low)
    found, sums, at = np.empty(size, np.int32), np.empty(size), 0
    for s in range(low, high):
        i, first = which[s], at
        for p in range(begin[i] - 1, end[i]):
            j, value = i, diagonal[i]
            if p >= begin[i]:
                j, value = indices[p], np.float64(values[p])
            if at + pointer[j + 1] - pointer[j] > len(found):
                found, sums = longer(found, at + n), longer(sums, at + n)
            for t in range(pointer[j], pointer[j + 1]):
                q = place[columns[t]]
                if q >= first:
                    sums[q] += value * weights[t]
                else:
                    place[columns[t]] = at
                    found[at], sums[at] = columns[t], value * weights[t]
                    at += 1
        count[s] = at - first
    return found[:at], sums[:at]


@njit(nogil=True, cache=True)
def times_down(low, high, which, down, starts, stops, product, rows):
    """Return columns and values off the diagonal of some rows of P^T (A P).

    Args:
        low: First position in `which`.
        high: One behind the last position.
        which: Coarse rows.
        down: Row pointer, columns and values of P^T.
        starts: Where the rows of A P begin.
        stops: One behind their last entries.
        product: Columns and values of A P.
        rows: What to set, one for each of `which`: how many entries left of the diagonal, how
            many in all, and the diagonal.
    """
    pointer, fine, weights = down
    columns, values = product
    n = len(pointer) - 1
    place, sums = np.full(n, -1, np.int32), np.zeros(n)
    size = 32 * (high - low)
    found, kept, at = np.empty(size, np.int32), np.empty(size, np.float32), 0
    for s in range(low, high):
        row, first = which[s], at
        place[row] = s
        for p in range(pointer[row], pointer[row + 1]):
            i, weight = fine[p], np.float64(weights[p])
            if at + stops[i] - starts[i] > len(found):
                found, kept = longer(found, at + n), longer(kept, at + n)
            for q in range(starts[i], stops[i]):
                j = columns[q]
                sums[j] += weight * values[q]
                if place[j] != s:
                    place[j] = s
                    found[at] = j
                    at += 1
        found[first:at].sort()
        total, left = sums[row], 0
        sums[row] = 0.0
        for q in range(first, at):
            j = found[q]
            kept[q] = sums[j]
            # What rounding takes from an entry goes to the diagonal: smooth vectors see no change.
            total += sums[j] - kept[q]
            sums[j] = 0.0
            left += j < row
        rows[0][s], rows[1][s], rows[2][s] = left, at - first, total
    return found[:at], kept[:at]


@njit(nogil=True, cache=True)
def count_changed(bounds, indices, held, changed, count):
    """Mark the rows that change when some unknowns are held, and count their entries left."""
    begin, _, end = bounds
    for i in range(len(held)):
        found = 0
        for p in range(begin[i], end[i]):
            found += not held[indices[p]]
        changed[i] = held[i] or found < end[i] - begin[i]
        count[i] = 0 if held[i] else found


@njit(nogil=True, cache=True)
def change_rows(bounds, indices, values, diagonal, held, which, changed_bounds):
    """Copy rows without their entries to held unknowns; held rows are empty, diagonal too."""
    begin, _, end = bounds
    for i in which:
        at = changed_bounds[0][i]
        changed_bounds[1][i] = at
        if held[i]:
            diagonal[i] = 0.0
            changed_bounds[2][i] = at
            continue
        for p in range(begin[i], end[i]):
            j = indices[p]
            if held[j]:
                continue
            indices[at], values[at] = j, values[p]
            at += 1
            if j < i:
                changed_bounds[1][i] = at
        changed_bounds[2][i] = at


@njit(nogil=True, cache=True)
def mark_coarse(indptr, indices, fine, coarse):
    """Mark the coarse unknowns from which marked fine ones are interpolated."""
    for i in range(len(fine)):
        if fine[i]:
            for p in range(indptr[i], indptr[i + 1]):
                coarse[indices[p]] = True


@njit(nogil=True, cache=True)
def mark_fine(indptr, indices, fine, coarse):
    """Mark the fine unknowns that are interpolated from marked coarse ones."""
    for i in range(len(fine)):
        fine[i] = False
        for p in range(indptr[i], indptr[i + 1]):
            fine[i] |= coarse[indices[p]]


@njit(nogil=True, cache=True)
def restrict_tensors(low, high, indptr, indices, weights, fine, coarse):
    """Set coarse tensors (n, 9) to P^T times the fine ones."""
    for i in range(low, high):
        for c in range(9):
            coarse[i, c] = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            for c in range(9):
                coarse[i, c] += weights[p] * fine[indices[p], c]


@njit(nogil=True, cache=True)
def row_sums(low, high, begin, end, values, diagonal, sums):
    """Set the sums of the rows of a matrix."""
    for i in range(low, high):
        total = diagonal[i]
        for p in range(begin[i], end[i]):
            total += values[p]
        sums[i] = total
