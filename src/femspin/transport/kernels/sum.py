"""Compiled kernels of matrices that are sums of scalar matrices times tensors; see `kronecker`.

A thread owns a range of rows, as in `kernels`.  Importing this module needs numba.
"""

import numpy as np
from numba import njit

from .blocks import geometry, linear_slopes, outside

__all__ = [
    "add_spin_sum",
    "by_lowest_dof",
    "couple_sum",
    "couple_sum_transposed",
    "difference_sum",
    "fill_forms",
    "fill_forms_linear",
    "mark_slots",
    "multiply_sum",
]


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
def mark_slots(dofs, indptr, offsets, cells, chosen, touched):
    """Mark the slots between chosen dofs that some cells touch."""
    n = dofs.shape[1]
    for e in cells:
        for i in range(n):
            if not chosen[dofs[e, i]]:
                continue
            start = indptr[dofs[e, i]]
            for m in range(n):
                touched[start + offsets[e, i * n + m]] |= chosen[dofs[e, m]]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_forms_linear(
    low,
    high,
    points,
    vertices,
    frame,
    mesh_cells,
    cells,
    dofs,
    indptr,
    offsets,
    position,
    slopes,
    size,
    column,
    signs,
    values,
):
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
        linear_slopes(slopes, inverse, g)
        for i in range(n):
            first = low <= dofs[own, i] < high
            for m in range(i, n):
                second = m > i and low <= dofs[own, m] < high
                p = position[indptr[dofs[own, i]] + offsets[own, i * n + m]]
                if p < 0 or not (first or second):
                    continue
                share = volume / (n * (n + 1))
                own_share = 2 * share if m == i else share
                linear_forms(g, i, m, volume, own_share, column, found)
                if first:
                    for q in range(many):
                        values[p, q] += found[q]
                if second:
                    r = position[indptr[dofs[own, m]] + offsets[own, m * n + i]]
                    for q in range(many):
                        values[r, q] += signs[q] * found[q]


@njit(nogil=True, cache=True)
def linear_forms(g, i, m, volume, share, column, found):
    """Set the wanted forms of two linear functions, in the order of `kronecker`, by slopes."""
    n = len(g)
    x, y, z = volume * g[i, 0], volume * g[i, 1], volume * g[i, 2]
    u, v, w = g[m, 0], g[m, 1], g[m, 2]
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
            found[column[10 + j]] = 0.5 * volume / n * (g[m, j] - g[i, j])
        if column[13 + j] >= 0:
            found[column[13 + j]] = volume / n * (g[m, j] + g[i, j])
    if column[16] >= 0:
        found[column[16]] = share


@njit(nogil=True, cache=True, error_model="numpy")
def fill_forms(
    low,
    high,
    points,
    vertices,
    frame,
    mesh_cells,
    cells,
    dofs,
    indptr,
    offsets,
    position,
    reference,
    jets,
    terms,
    ranges,
    signs,
    values,
):
    """Add forms of affine cells of any order from the moments of the reference cell.

    `reference` holds sums and differences of moments with two jets of the reference cell each,
    `jets`, for the local pairs i <= m; a form takes those of one kind, `ranges`.
    """
    n, d, many = dofs.shape[1], points.shape[0], len(signs)
    inverse, turn = np.empty((d, d)), np.zeros((d + 1, d + 1))
    weights, local = np.empty((many, len(jets))), np.empty((many, reference.shape[1]))
    starts, mine = np.empty(n, np.int64), np.empty(n, np.bool_)
    turn[d, d] = 1.0
    for e in range(len(cells)):
        own = cells[e]
        if not find_rows(dofs, own, low, high, indptr, starts, mine):
            continue
        volume = geometry(points, vertices, mesh_cells[own], frame, inverse)
        turn[:d, :d] = inverse
        pair_forms(turn, volume, reference, jets, terms, ranges, weights, local)
        pair = -1
        for i in range(n):
            for m in range(i, n):
                pair += 1
                p = position[starts[i] + offsets[own, i * n + m]]
                if p >= 0 and mine[i]:
                    for q in range(many):
                        values[np.uint64(p), q] += local[q, pair]
                if p >= 0 and m > i and mine[m]:
                    r = np.uint64(position[starts[m] + offsets[own, m * n + i]])
                    for q in range(many):
                        values[r, q] += signs[q] * local[q, pair]


@njit(nogil=True, cache=True)
def find_rows(dofs, own, low, high, indptr, starts, mine):
    """Set where the rows of a cell start and which lie in a range; return whether any does."""
    found = False
    for i in range(dofs.shape[1]):
        row = dofs[own, i]
        starts[i], mine[i] = indptr[row], low <= row < high
        found = found or mine[i]
    return found


@njit(nogil=True, cache=True)
def pair_forms(turn, volume, reference, jets, terms, ranges, weights, local):
    """Set the forms of all pairs of a cell, (n_forms, n_pairs), and the weights they took."""
    weight_moments(turn, volume, jets, terms, ranges, weights)
    for q in range(len(ranges)):
        combine(reference, ranges[q, 0], ranges[q, 1], weights[q], local[q])


@njit(nogil=True, cache=True, fastmath={"contract"})
def combine(reference, begin, end, weights, out):
    """Set a sum of moments over all pairs; three at a time, so that it is seldom read back."""
    for p in range(len(out)):
        out[p] = 0.0
    k = begin
    while k + 3 <= end:
        a, b, c = weights[k], weights[k + 1], weights[k + 2]
        r, s, t = reference[k], reference[k + 1], reference[k + 2]
        for p in range(len(out)):
            out[p] += a * r[p] + b * s[p] + c * t[p]
        k += 3
    while k < end:
        a, r = weights[k], reference[k]
        for p in range(len(out)):
            out[p] += a * r[p]
        k += 1


@njit(nogil=True, cache=True)
def weight_moments(turn, volume, jets, terms, ranges, weights):
    """Set what multiplies the moments of the reference cell in every form.

    A form is a sum of `terms` (jet, jet, weight), shape (n_forms, n_terms, 3).
    """
    for q in range(len(terms)):
        for k in range(ranges[q, 0], ranges[q, 1]):
            a, b, total = jets[k, 0], jets[k, 1], 0.0
            for s in range(terms.shape[1]):
                j, m, w = terms[q, s]
                total += w * turn[a, int(j)] * turn[b, int(m)]
            weights[q, k] = volume * total


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
