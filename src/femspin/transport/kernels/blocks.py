r"""Compiled kernels: block assembly straight from vertices and tensors to rows of blocks.

The twin in numpy is `assembly`.  A thread owns a range of rows; it visits every cell that touches
them and writes nothing else, so that sums are taken in the same order with any number of threads.
All kernels take the jets of the scalar basis, (derivatives | value), and tensors between jets.

Importing this module needs numba; kernels are compiled on first use and kept on disk, for which
they must stand on their own in a module.
"""

import numpy as np
from numba import njit

__all__ = ["apply", "apply_linear", "fill", "fill_linear", "geometry", "linear_slopes", "measures", "outside"]


@njit(nogil=True, cache=True, error_model="numpy")
def geometry(points, vertices, cell, frame, inverse):
    """Set d(reference a)/dx_j of an affine cell; return its volume over the reference's."""
    d = points.shape[0]
    f = inverse
    origin = vertices[frame[0], cell]
    if d == 1:
        length = points[0, vertices[frame[1], cell]] - points[0, origin]
        f[0, 0] = 1.0 / length
        return abs(length)
    if d == 2:
        a = points[0, vertices[frame[1], cell]] - points[0, origin]
        b = points[0, vertices[frame[2], cell]] - points[0, origin]
        c = points[1, vertices[frame[1], cell]] - points[1, origin]
        e = points[1, vertices[frame[2], cell]] - points[1, origin]
        det = a * e - b * c
        f[0, 0], f[0, 1], f[1, 0], f[1, 1] = e / det, -b / det, -c / det, a / det
        return abs(det)
    v1, v2, v3 = vertices[frame[1], cell], vertices[frame[2], cell], vertices[frame[3], cell]
    x1, y1, z1 = (
        points[0, v1] - points[0, origin],
        points[1, v1] - points[1, origin],
        points[2, v1] - points[2, origin],
    )
    x2, y2, z2 = (
        points[0, v2] - points[0, origin],
        points[1, v2] - points[1, origin],
        points[2, v2] - points[2, origin],
    )
    x3, y3, z3 = (
        points[0, v3] - points[0, origin],
        points[1, v3] - points[1, origin],
        points[2, v3] - points[2, origin],
    )
    det = x1 * (y2 * z3 - y3 * z2) - x2 * (y1 * z3 - y3 * z1) + x3 * (y1 * z2 - y2 * z1)
    f[0, 0], f[0, 1], f[0, 2] = (
        (y2 * z3 - y3 * z2) / det,
        (x3 * z2 - x2 * z3) / det,
        (x2 * y3 - x3 * y2) / det,
    )
    f[1, 0], f[1, 1], f[1, 2] = (
        (y3 * z1 - y1 * z3) / det,
        (x1 * z3 - x3 * z1) / det,
        (x3 * y1 - x1 * y3) / det,
    )
    f[2, 0], f[2, 1], f[2, 2] = (
        (y1 * z2 - y2 * z1) / det,
        (x2 * z1 - x1 * z2) / det,
        (x1 * y2 - x2 * y1) / det,
    )
    return abs(det)


@njit(nogil=True, cache=True)
def outside(dofs, own, low, high):
    """Return whether no dof of a cell lies in a range."""
    for i in range(dofs.shape[1]):  # noqa: SIM110
        if low <= dofs[own, i] < high:
            return False
    return True


@njit(nogil=True, cache=True)
def linear_slopes(slopes, inverse, g):
    """Set the derivatives of linear functions in a cell from those in the reference cell."""
    n, d = slopes.shape
    for i in range(n):
        for j in range(d):
            g[i, j] = 0.0
            for a in range(d):
                g[i, j] += slopes[i, a] * inverse[a, j]


@njit(nogil=True, cache=True, error_model="numpy")
def fill_linear(
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
    tensors,
    values,
):
    """Add the blocks of linear simplices; `position` tells where a slot is stored."""
    n, d = slopes.shape
    inverse, g = np.empty((d, d)), np.empty((n, d))
    left, right = np.empty((d, 16)), np.empty(16)
    block, mass = np.empty(16), np.empty(16)
    for e in range(len(cells)):
        own = cells[e]
        if outside(dofs, own, low, high):
            continue
        t = tensors[e if tensors.shape[0] > 1 else 0]
        volume = size * geometry(points, vertices, mesh_cells[own], frame, inverse)
        linear_slopes(slopes, inverse, g)
        for b in range(16):
            mass[b] = t[d, d, b] * (volume / (n * (n + 1)))
        for i in range(n):
            if dofs[own, i] < low or dofs[own, i] >= high:
                continue
            test_linear(t, g[i], volume, n, mass, left, right)
            for m in range(n):
                for b in range(16):
                    block[b] = right[b]
                for k in range(d):
                    w = g[m, k]
                    for b in range(16):
                        block[b] += w * left[k, b]
                if m == i:
                    for b in range(16):
                        block[b] += mass[b]
                row = values[position[indptr[dofs[own, i]] + offsets[own, i * n + m]]]
                for b in range(16):
                    row[b] += block[b]


@njit(nogil=True, cache=True, error_model="numpy")
def test_linear(t, g, volume, n, mass, left, right):
    """Set what a linear test function of slope g leaves to multiply slopes, and values."""
    d = len(g)
    for k in range(d):
        for b in range(16):
            left[k, b] = t[d, k, b] * (volume / n)
        for j in range(d):
            w = g[j] * volume
            for b in range(16):
                left[k, b] += w * t[j, k, b]
    for b in range(16):
        right[b] = mass[b]
    for j in range(d):
        w = g[j] * (volume / n)
        for b in range(16):
            right[b] += w * t[j, d, b]


@njit(nogil=True, cache=True)
def turn_tensors(t, inverse, volume, half, turned, used):
    """Set tensors between jets of the reference cell; return how many, those in `used`, are not 0."""
    d = len(inverse)
    rows = d + 1
    # T'_{a k} = sum_j inverse_{a j} T_{j k}, then the same for k; the value row stays.
    for a in range(rows):
        for k in range(rows):
            for b in range(16):
                half[a, k, b] = volume * t[d, k, b] if a == d else 0.0
            if a < d:
                for j in range(d):
                    w = volume * inverse[a, j]
                    for b in range(16):
                        half[a, k, b] += w * t[j, k, b]
    count = 0
    for a in range(rows):
        for c in range(rows):
            out, largest = turned[a * rows + c], 0.0
            for b in range(16):
                out[b] = half[a, d, b] if c == d else 0.0
            if c < d:
                for k in range(d):
                    w = inverse[c, k]
                    for b in range(16):
                        out[b] += w * half[a, k, b]
            for b in range(16):
                largest = max(largest, abs(out[b]))
            if largest > 0.0:
                used[count] = a * rows + c
                count += 1
    return count


@njit(nogil=True, cache=True, error_model="numpy")
def fill(
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
    tensors,
    values,
):
    """Add the blocks of affine cells of any order from the moments of the reference cell."""
    n, d = dofs.shape[1], points.shape[0]
    rows = d + 1
    inverse, turned = np.empty((d, d)), np.empty((rows * rows, 16))
    half, block = np.empty((rows, rows, 16)), np.empty(16)
    used = np.empty(rows * rows, np.int64)
    for e in range(len(cells)):
        own = cells[e]
        if outside(dofs, own, low, high):
            continue
        t = tensors[e if tensors.shape[0] > 1 else 0]
        volume = geometry(points, vertices, mesh_cells[own], frame, inverse)
        count = turn_tensors(t, inverse, volume, half, turned, used)
        for i in range(n):
            if dofs[own, i] < low or dofs[own, i] >= high:
                continue
            for m in range(n):
                pair = i * n + m
                for b in range(16):
                    block[b] = 0.0
                for q in range(count):
                    w = reference[pair, used[q]]
                    out = turned[used[q]]
                    for b in range(16):
                        block[b] += w * out[b]
                row = values[position[indptr[dofs[own, i]] + offsets[own, pair]]]
                for b in range(16):
                    row[b] += block[b]


@njit(nogil=True, cache=True)
def take(mu, mu_low, dofs, own, local, deviation):
    """Set nodal values of a cell, and those less their mean."""
    n = dofs.shape[1]
    for z in range(4):
        mean = 0.0
        for i in range(n):
            mean += mu[dofs[own, i], z]
        mean /= n
        for i in range(n):
            value, rest = mu[dofs[own, i], z], mu_low[dofs[own, i], z]
            local[i, z] = value + rest
            deviation[i, z] = (value - mean) + rest


@njit(nogil=True, cache=True, error_model="numpy")
def linear_jet(g, local, deviation, jet):
    """Set the slopes of linear potentials and their mean value in a cell."""
    n, d = g.shape
    for z in range(4):
        for k in range(d):
            jet[k, z] = 0.0
            for i in range(n):
                jet[k, z] += g[i, k] * deviation[i, z]
        jet[d, z] = 0.0
        for i in range(n):
            jet[d, z] += local[i, z] / n


@njit(nogil=True, cache=True, error_model="numpy")
def apply_linear(
    low,
    high,
    points,
    vertices,
    frame,
    mesh_cells,
    cells,
    dofs,
    slopes,
    size,
    tensors,
    forced,
    mu,
    mu_low,
    out,
):
    """Add K mu - b of linear simplices to the rows of their dofs."""
    n, d = slopes.shape
    inverse, g = np.empty((d, d)), np.empty((n, d))
    local, deviation = np.empty((n, 4)), np.empty((n, 4))
    jet, flux = np.empty((d + 1, 4)), np.empty((d + 1, 4))
    for e in range(len(cells)):
        own = cells[e]
        if outside(dofs, own, low, high):
            continue
        t = tensors[e if tensors.shape[0] > 1 else 0]
        force = forced[e if forced.shape[0] > 1 else 0]
        volume = size * geometry(points, vertices, mesh_cells[own], frame, inverse)
        take(mu, mu_low, dofs, own, local, deviation)
        linear_slopes(slopes, inverse, g)
        linear_jet(g, local, deviation, jet)
        for j in range(d + 1):
            for x in range(4):
                total = -force[j, x]
                for k in range(d + 1):
                    if j == d and k == d:
                        continue
                    for z in range(4):
                        total += t[j, k, 4 * x + z] * jet[k, z]
                flux[j, x] = volume * total
        for i in range(n):
            row = dofs[own, i]
            if row < low or row >= high:
                continue
            for x in range(4):
                total = flux[d, x] / n
                for j in range(d):
                    total += g[i, j] * flux[j, x]
                share = volume / (n * (n + 1))
                for z in range(4):
                    total += share * t[d, d, 4 * x + z] * (local[i, z] + n * jet[d, z])
                out[row, x] += total


@njit(nogil=True, inline="always")  # a call at every node costs a tenth of `apply`
def node_jet(table, inverse, local, deviation, slope, jet):
    """Set the derivatives and the value of potentials at a node of the quadrature."""
    n, d = len(local), len(inverse)
    jet[:] = 0.0
    slope[:] = 0.0
    for i in range(n):
        for z in range(4):
            jet[d, z] += table[i, d] * local[i, z]
        for a in range(d):
            for z in range(4):
                slope[a, z] += table[i, a] * deviation[i, z]
    for a in range(d):
        for j in range(d):
            for z in range(4):
                jet[j, z] += inverse[a, j] * slope[a, z]


@njit(nogil=True, cache=True, error_model="numpy")
def apply(
    low,
    high,
    points,
    vertices,
    frame,
    mesh_cells,
    cells,
    dofs,
    table,
    weights,
    tensors,
    forced,
    mu,
    mu_low,
    out,
):
    """Add K mu - b of affine cells of any order, by quadrature."""
    nodes, n, d = table.shape[0], table.shape[1], points.shape[0]
    inverse = np.empty((d, d))
    local, deviation = np.empty((n, 4)), np.empty((n, 4))
    slope, jet, flux = np.empty((d, 4)), np.empty((d + 1, 4)), np.empty((d + 1, 4))
    total, back = np.empty((n, 4)), np.empty((d + 1, 4))
    for e in range(len(cells)):
        own = cells[e]
        if outside(dofs, own, low, high):
            continue
        t = tensors[e if tensors.shape[0] > 1 else 0]
        force = forced[e if forced.shape[0] > 1 else 0]
        volume = geometry(points, vertices, mesh_cells[own], frame, inverse)
        take(mu, mu_low, dofs, own, local, deviation)
        total[:] = 0.0
        for q in range(nodes):
            node_jet(table[q], inverse, local, deviation, slope, jet)
            for j in range(d + 1):
                for x in range(4):
                    value = -force[j, x]
                    for k in range(d + 1):
                        for z in range(4):
                            value += t[j, k, 4 * x + z] * jet[k, z]
                    flux[j, x] = weights[q] * volume * value
            for x in range(4):
                back[d, x] = flux[d, x]
                for a in range(d):
                    back[a, x] = 0.0
                    for j in range(d):
                        back[a, x] += inverse[a, j] * flux[j, x]
            for i in range(n):
                for a in range(d + 1):
                    for x in range(4):
                        total[i, x] += table[q, i, a] * back[a, x]
        for i in range(n):
            row = dofs[own, i]
            if low <= row < high:
                for x in range(4):
                    out[row, x] += total[i, x]


@njit(nogil=True, cache=True, error_model="numpy")
def measures(points, vertices, frame, mesh_cells, size, out):
    """Set the volumes of affine cells, `size` times that of their maps."""
    d = points.shape[0]
    inverse = np.empty((d, d))
    for e in range(len(mesh_cells)):
        out[e] = size * geometry(points, vertices, mesh_cells[e], frame, inverse)
