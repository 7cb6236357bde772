"""Compiled kernels of matrices that are sums of scalar matrices times tensors; see `kronecker`.

A thread owns a range of rows, as in `kernels`.  Importing this module needs numba.
"""

import numpy as np
from numba import njit

from .kernels import geometry, outside

__all__ = [
    "add_spin_sum", "by_lowest_dof", "couple_sum", "couple_sum_transposed", "difference_sum",
    "fill_forms", "fill_forms_linear", "mark_slots", "multiply_sum",
]  # fmt: skip


@njit(nogil=True, cache=True)
def by_lowest_dof(dofs, cells, n_dofs):
    """Return cells ordered by their lowest dof, so that rows are visited while they are cached."""
    start, lowest = np.zeros(n_dofs + 1, np.int64), np.empty(len(cells), np.int32)
    for e in range(len(cells)):
        low = dofs[cells[e], 0]
        for i in range(1, dofs.shape[1]):
            low = min(low, dofs[cells[e], i])
        lowest[e] = low
        start[low + 1] += 1
    for i in range(n_dofs):
        start[i + 1] += start[i]
    ordered = np.empty_like(cells)
    for e in range(len(cells)):
        ordered[start[lowest[e]]] = cells[e]
        start[lowest[e]] += 1
    return ordered


@njit(nogil=True, cache=True)
def mark_slots(dofs, indptr, offsets, cells, touched):
    """Mark the slots that some cells touch."""
    n = dofs.shape[1]
    for e in cells:
        for i in range(n):
            start = indptr[dofs[e, i]]
            for m in range(n):
                touched[start + offsets[e, i * n + m]] = True


@njit(nogil=True, cache=True, error_model="numpy")
def fill_forms_linear(
    low, high, points, vertices, frame, mesh_cells, cells, dofs, indptr, offsets, position,
    slopes, size, column, signs, values
):  # fmt: skip
    """Add forms of linear simplices to their slots; pairs without a position are left out.

    `column` tells where the forms that `linear_forms` knows are stored.
    """
    n, d, many = slopes.shape[0], slopes.shape[1], len(signs)
    inverse, g, found = np.empty((d, d)), np.zeros((n, 3)), np.empty(many)
    for e in range(len(cells)):
        own = cells[e]
        if outside(dofs, own, low, high):
            continue
        volume = size * geometry(points, vertices, mesh_cells[own], frame, inverse)
        for i in range(n):
            for j in range(d):
                g[i, j] = 0.0
                for a in range(d):
                    g[i, j] += slopes[i, a] * inverse[a, j]
        for i in range(n):
            first = low <= dofs[own, i] < high
            for m in range(i, n):
                second = m > i and low <= dofs[own, m] < high
                p = position[indptr[dofs[own, i]] + offsets[own, i * n + m]]
                if p < 0 or not (first or second):
                    continue
                share = volume / (n * (n + 1))
                linear_forms(g[i], g[m], volume, n, 2 * share if m == i else share, column, found)
                if first:
                    for q in range(many):
                        values[p, q] += found[q]
                if second:
                    r = position[indptr[dofs[own, m]] + offsets[own, m * n + i]]
                    for q in range(many):
                        values[r, q] += signs[q] * found[q]


@njit(nogil=True, cache=True)
def linear_forms(one, two, volume, n, share, column, found):
    """Set the wanted forms of two linear functions, in the order of `kronecker`, by slopes."""
    x, y, z = volume * one[0], volume * one[1], volume * one[2]
    u, v, w = two[0], two[1], two[2]
    if column[0] >= 0:
        found[column[0]] = x * u + y * v + z * w
    if column[1] >= 0:
        found[column[1]] = x * u
    if column[2] >= 0:
        found[column[2]] = y * v
    if column[3] >= 0:
        found[column[3]] = z * w
    if column[4] >= 0:
        found[column[4]] = 0.5 * (x * v + y * u)
    if column[5] >= 0:
        found[column[5]] = 0.5 * (x * w + z * u)
    if column[6] >= 0:
        found[column[6]] = 0.5 * (y * w + z * v)
    if column[7] >= 0:
        found[column[7]] = 0.5 * (x * v - y * u)
    if column[8] >= 0:
        found[column[8]] = 0.5 * (x * w - z * u)
    if column[9] >= 0:
        found[column[9]] = 0.5 * (y * w - z * v)
    for j in range(3):
        if column[10 + j] >= 0:
            found[column[10 + j]] = 0.5 * volume / n * (two[j] - one[j])
        if column[13 + j] >= 0:
            found[column[13 + j]] = volume / n * (two[j] + one[j])
    if column[16] >= 0:
        found[column[16]] = share


@njit(nogil=True, cache=True, error_model="numpy")
def fill_forms(
    low, high, points, vertices, frame, mesh_cells, cells, dofs, indptr, offsets, position,
    reference, forms, signs, values
):  # fmt: skip
    """Add forms of affine cells of any order from the moments of the reference cell."""
    n, d, many = dofs.shape[1], points.shape[0], len(forms)
    rows = d + 1
    inverse, turned, found = np.empty((d, d)), np.empty((rows * rows, many)), np.empty(many)
    for e in range(len(cells)):
        own = cells[e]
        if outside(dofs, own, low, high):
            continue
        volume = geometry(points, vertices, mesh_cells[own], frame, inverse)
        turn_forms(inverse, volume, forms, turned)
        for i in range(n):
            first = low <= dofs[own, i] < high
            for m in range(i, n):
                second = m > i and low <= dofs[own, m] < high
                p = position[indptr[dofs[own, i]] + offsets[own, i * n + m]]
                if p < 0 or not (first or second):
                    continue
                found[:] = 0.0
                for k in range(rows * rows):
                    w = reference[i * n + m, k]
                    if w != 0.0:
                        for q in range(many):
                            found[q] += w * turned[k, q]
                if first:
                    for q in range(many):
                        values[p, q] += found[q]
                if second:
                    r = position[indptr[dofs[own, m]] + offsets[own, m * n + i]]
                    for q in range(many):
                        values[r, q] += signs[q] * found[q]


@njit(nogil=True, cache=True)
def turn_forms(inverse, volume, forms, turned):
    """Set forms between jets of the reference cell, F X F^T times the volume, for all X."""
    d = len(inverse)
    rows = d + 1
    turn, half = np.zeros((rows, rows)), np.empty((rows, rows))
    turn[:d, :d], turn[d, d] = inverse, 1.0
    for q in range(len(forms)):
        for a in range(rows):
            for k in range(rows):
                half[a, k] = 0.0
                for j in range(rows):
                    half[a, k] += volume * turn[a, j] * forms[q, j, k]
        for a in range(rows):
            for c in range(rows):
                turned[a * rows + c, q] = 0.0
                for k in range(rows):
                    turned[a * rows + c, q] += half[a, k] * turn[c, k]


@njit(nogil=True, cache=True, fastmath={"contract"})
def three_sums(begin, end, indices, values, q, x, sums):
    """Set three rows of sums_q = sum_p values_pq x_p; as many as there are registers for."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    e, f, g, h = 0.0, 0.0, 0.0, 0.0
    k, r, m, n = 0.0, 0.0, 0.0, 0.0
    for p in range(begin, end):
        j = np.uint64(indices[p])  # no check for places counted from the end
        one, two, three = values[p, q], values[p, q + 1], values[p, q + 2]
        t, u, v, w = x[j, 0], x[j, 1], x[j, 2], x[j, 3]
        a += one * t
        b += one * u
        c += one * v
        d += one * w
        e += two * t
        f += two * u
        g += two * v
        h += two * w
        k += three * t
        r += three * u
        m += three * v
        n += three * w
    sums[q, 0], sums[q, 1], sums[q, 2], sums[q, 3] = a, b, c, d
    sums[q + 1, 0], sums[q + 1, 1], sums[q + 1, 2], sums[q + 1, 3] = e, f, g, h
    sums[q + 2, 0], sums[q + 2, 1], sums[q + 2, 2], sums[q + 2, 3] = k, r, m, n


@njit(nogil=True, cache=True, fastmath={"contract"})
def one_sum(begin, end, indices, values, q, x, sums):
    """Set one row of sums_q = sum_p values_pq x_p."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for p in range(begin, end):
        j, s = np.uint64(indices[p]), values[p, q]
        a += s * x[j, 0]
        b += s * x[j, 1]
        c += s * x[j, 2]
        d += s * x[j, 3]
    sums[q, 0], sums[q, 1], sums[q, 2], sums[q, 3] = a, b, c, d


@njit(nogil=True, cache=True)
def row_sums(begin, end, indices, values, x, sums):
    """Set sums_q = sum_p values_pq x_p over the slots of a row, shape (n_forms, 4)."""
    begin, end = np.uint64(begin), np.uint64(end)
    many, q = values.shape[1], 0
    while q + 3 <= many:
        three_sums(begin, end, indices, values, q, x, sums)
        q += 3
    while q < many:
        one_sum(begin, end, indices, values, q, x, sums)
        q += 1


@njit(nogil=True, cache=True)
def multiply_sum(low, high, indptr, indices, values, tensors, x, y):
    """Add the product of sum_q M_q T_q with x to rows low to high of y."""
    sums = np.empty((values.shape[1], 4))
    for i in range(low, high):
        if indptr[i] < indptr[i + 1]:
            row_sums(indptr[i], indptr[i + 1], indices, values, x, sums)
            turn(tensors, sums, y[i])


@njit(nogil=True, cache=True)
def turn(tensors, sums, out):
    """Add sum_q T_q sums_q to the components of a dof."""
    a, b, c, d = out[0], out[1], out[2], out[3]
    for q in range(len(tensors)):
        t = tensors[q]
        s, u, v, w = sums[q, 0], sums[q, 1], sums[q, 2], sums[q, 3]
        a += t[0, 0] * s + t[0, 1] * u + t[0, 2] * v + t[0, 3] * w
        b += t[1, 0] * s + t[1, 1] * u + t[1, 2] * v + t[1, 3] * w
        c += t[2, 0] * s + t[2, 1] * u + t[2, 2] * v + t[2, 3] * w
        d += t[3, 0] * s + t[3, 1] * u + t[3, 2] * v + t[3, 3] * w
    out[0], out[1], out[2], out[3] = a, b, c, d


@njit(nogil=True, cache=True)
def difference_sum(low, high, indptr, indices, values, kills, tensors, x, x_low, y):
    """Add the product with x + x_low; matrices that annihilate constants take differences."""
    many, longest = values.shape[1], 0
    for i in range(low, high):
        longest = max(longest, indptr[i + 1] - indptr[i])
    plain, beside = np.empty((longest, 4)), np.empty((longest, 4))
    sums = np.empty((many, 4))
    for i in range(low, high):
        begin, end = indptr[i], indptr[i + 1]
        if begin == end:
            continue
        for p in range(begin, end):
            j = indices[p]
            for z in range(4):
                plain[p - begin, z] = x[j, z] + x_low[j, z]
                beside[p - begin, z] = (x[j, z] - x[i, z]) + (x_low[j, z] - x_low[i, z])
        for q in range(many):
            taken = beside if kills[q] else plain
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for p in range(end - begin):
                s = values[begin + p, q]
                a += s * taken[p, 0]
                b += s * taken[p, 1]
                c += s * taken[p, 2]
                d += s * taken[p, 3]
            sums[q, 0], sums[q, 1], sums[q, 2], sums[q, 3] = a, b, c, d
        turn(tensors, sums, y[i])


@njit(nogil=True, cache=True)
def add_spin_sum(low, high, slots, values, tensors, out):
    """Add the spin parts of a sum, tensors (n_forms, 9), to the blocks of its slots."""
    block = np.empty(9)
    for p in range(low, high):
        block[:] = 0.0
        for q in range(len(tensors)):
            s = values[p, q]
            for b in range(9):
                block[b] += s * tensors[q, b]
        row = out[slots[p]]
        for b in range(9):
            row[b] += block[b]


@njit(nogil=True, cache=True)
def couple_sum(low, high, indptr, indices, values, rows, x, y):
    """Add what spin potentials x (n, 4) do to the charge rows low to high of y, by (q, 3) rows."""
    sums = np.empty((values.shape[1], 4))
    for i in range(low, high):
        if indptr[i] < indptr[i + 1]:
            row_sums(indptr[i], indptr[i + 1], indices, values, x, sums)
            total = y[i]
            for q in range(len(rows)):
                total += rows[q, 0] * sums[q, 1]
                total += rows[q, 1] * sums[q, 2] + rows[q, 2] * sums[q, 3]
            y[i] = total


@njit(nogil=True, cache=True)
def couple_sum_transposed(low, high, indptr, indices, values, rows, x, y):
    """Add what charge values x (n,) do to the spin columns of y; `rows` carry the signs."""
    for i in range(low, high):
        for q in range(len(rows)):
            total = 0.0
            for p in range(indptr[i], indptr[i + 1]):
                total += values[p, q] * x[indices[p]]
            for z in range(3):
                y[i, z + 1] += total * rows[q, z]
