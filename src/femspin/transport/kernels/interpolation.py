# mypy: ignore-errors
"""Compiled kernels of classical interpolation; see `coarsening`.  Needs numba."""

import numpy as np
from numba import njit

__all__ = ["interpolate", "strong_couplings"]


@njit(nogil=True, cache=True)
def strong_couplings(low, high, begin, end, indices, values, threshold, count):
    """Return the columns of the strong couplings of rows low to high, one after the other.

    Args:
        low: First row.
        high: One behind the last row.
        begin: Where the rows begin.
        end: One behind their last entries.
        indices: Columns.
        values: Entries off the diagonal.
        threshold: Part of the largest of its row from which on a coupling is strong.
        count: How many there are in every row, to set.
    """
    size = 0
    for i in range(low, high):
        size += end[i] - begin[i]
    found, at = np.empty(size, np.int32), 0
    for i in range(low, high):
        largest, first = np.float32(0.0), at
        for p in range(begin[i], end[i]):
            largest = max(largest, abs(values[p]))
        for p in range(begin[i], end[i]):
            if values[p] != 0.0 and abs(values[p]) >= threshold * largest:
                found[at] = indices[p]
                at += 1
        count[i] = at - first
    return found[:at]


@njit(nogil=True, cache=True)
def shared_coupling(k, place, first, bounds, entries, pointer, strong):
    """Return the sum of negative couplings of k to coarse neighbours of a row; 0 if none is strong.

    Those neighbours have a place from `first` on.
    """
    begin, _, end = bounds
    indices, values, _ = entries
    shared, total = False, 0.0
    for q in range(pointer[k], pointer[k + 1]):
        shared |= place[strong[q]] >= first
    for q in range(begin[k], end[k]):
        if place[indices[q]] >= first and values[q] < 0.0:
            total += values[q]
    return total if shared else 0.0


@njit(nogil=True, cache=True)
def interpolate(low, high, bounds, entries, pointer, strong, coarse, number, count):
    """Return columns and weights of the modified classical interpolation to rows low to high.

    Weak neighbours are lumped, strong fine ones are replaced by the coarse neighbours shared
    with them; those that share none count as weak.

    Args:
        low: First row.
        high: One behind the last row.
        bounds: Begin, middle and end of the rows.
        entries: Columns, values and diagonal.
        pointer: Row pointer of the strong couplings.
        strong: Their columns.
        coarse: Which nodes are coarse.
        number: Their numbers.
        count: Lengths of the rows, to set.
    """
    begin, _, end = bounds
    indices, values, diagonal = entries
    place = np.full(len(coarse), -1, np.int64)
    size = high - low + pointer[high] - pointer[low]
    found, weights, at = np.empty(size, np.int32), np.empty(size), 0
    for i in range(low, high):
        first, s = at, pointer[i]
        if coarse[i]:
            found[at], weights[at] = number[i], 1.0
            count[i] = 1
            at += 1
            continue
        left = diagonal[i]
        for p in range(begin[i], end[i]):
            j = indices[p]
            if s == pointer[i + 1] or strong[s] != j:
                left += values[p]
                continue
            s += 1
            if coarse[j]:
                place[j] = at
                found[at], weights[at] = number[j], values[p]
                at += 1
        s = pointer[i]
        for p in range(begin[i], end[i]):
            k = indices[p]
            if s == pointer[i + 1] or strong[s] != k:
                continue
            s += 1
            if coarse[k]:
                continue
            total = shared_coupling(k, place, first, bounds, entries, pointer, strong)
            if total == 0.0:
                left += values[p]
                continue
            for q in range(begin[k], end[k]):
                if place[indices[q]] >= first and values[q] < 0.0:
                    weights[place[indices[q]]] += values[p] * (values[q] / total)
        for q in range(first, at):
            weights[q] /= -left
        count[i] = at - first
    return found[:at], weights[:at].astype(np.float32)
