# mypy: ignore-errors
"""Compiled kernels of meshes with few shapes of cells; see `congruent` and `compiled`.

Needs numba.
"""

import numpy as np
from numba import njit

from .blocks import geometry
from .sum import pair_forms

__all__ = ["find_shapes", "gather_forms", "local_forms"]


@njit(nogil=True, cache=True)
def find_shapes(points, vertices, mesh_cells, corners, near, most):
    """Return one cell of every shape and the shape of every cell; shape -1 if there are too many.

    Edges from the first of `corners` to the others are counted in units of `near`.
    """
    n, d, k = len(mesh_cells), points.shape[0], len(corners) - 1
    size = 64
    while size < 4 * most:
        size *= 2
    table, keys, own = np.full(size, -1, np.int32), np.empty((most, d * k), np.int64), 0
    first, shape, edges = np.empty(most, np.int64), np.full(n, -1, np.int32), np.empty(d * k)
    for e in range(n):
        origin, mixed = vertices[corners[0], mesh_cells[e]], np.uint64(0)
        for a in range(k):
            end = vertices[corners[a + 1], mesh_cells[e]]
            for j in range(d):
                edges[a * d + j] = np.rint((points[j, end] - points[j, origin]) / near[j])
        for c in range(d * k):
            mixed = (mixed ^ np.uint64(np.int64(edges[c]))) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(32)
        at = np.int64(mixed & np.uint64(size - 1))
        while table[at] >= 0 and not same(keys[table[at]], edges):
            at = (at + 1) % size
        if table[at] < 0:
            if own == most:
                return first[:0], shape[:0]
            for c in range(d * k):
                keys[own, c] = np.int64(edges[c])
            table[at], first[own] = own, e
            own += 1
        shape[e] = table[at]
    return first[:own].copy(), shape


@njit(nogil=True, cache=True)
def same(key, edges):
    """Return whether whole numbers agree."""
    for c in range(len(key)):  # noqa: SIM110
        if key[c] != np.int64(edges[c]):
            return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def local_forms(points, vertices, frame, mesh_cells, n, reference, jets, terms, ranges, signs):
    """Return the forms between the n functions of some cells, (n_cells, n, n, n_forms).

    The other arguments are those of `sum_kernels.fill_forms`.
    """
    d, many = points.shape[0], len(signs)
    inverse, turn = np.empty((d, d)), np.zeros((d + 1, d + 1))
    weights, local = np.empty((many, len(jets))), np.empty((many, reference.shape[1]))
    found = np.empty((len(mesh_cells), n, n, many))
    turn[d, d] = 1.0
    for e in range(len(mesh_cells)):
        volume = geometry(points, vertices, mesh_cells[e], frame, inverse)
        turn[:d, :d] = inverse
        pair_forms(turn, volume, reference, jets, terms, ranges, weights, local)
        for q in range(many):
            pair = -1
            for i in range(n):
                for m in range(i, n):
                    pair += 1
                    found[e, m, i, q] = signs[q] * local[q, pair]
                    found[e, i, m, q] = local[q, pair]
    return found


@njit(nogil=True, cache=True)
def gather_forms(low, high, start, places, cells, shape, local, indptr, offsets, position, longest, values):
    """Set forms row by row: sums over the cells of a dof stay in the cache until they are done.

    `places` holds the local dofs (cell n + i) of every dof, in the order of `cells` and `shape`.
    """
    n, many = local.shape[1], local.shape[3]
    row = np.empty((longest, many))
    for i in range(low, high):
        if start[i] == start[i + 1]:
            continue
        begin, end = indptr[i], indptr[i + 1]
        row[: end - begin] = 0.0
        for s in range(start[i], start[i + 1]):
            k, a = places[s] // n, places[s] % n
            mine, own = local[shape[k], a], cells[k]
            for m in range(n):
                o = np.uint64(offsets[own, a * n + m])
                for q in range(many):
                    row[o, q] += mine[m, q]
        for o in range(end - begin):
            p = position[begin + o]
            if p >= 0:
                for q in range(many):
                    values[p, q] = row[o, q]
