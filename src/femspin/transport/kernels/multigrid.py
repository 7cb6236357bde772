"""Compiled kernels of the multigrid cycles, in single precision; see `multigrid`.

All work on rows low to high.  Sweeps start from zero and keep to the columns between low and
high, so that halves of a level are swept at the same time.  Needs numba.
"""

import numpy as np
from numba import njit

__all__ = [
    "add",
    "add_three",
    "inverses",
    "remainder",
    "residual",
    "restrict",
    "restrict_three",
    "sweep_back",
    "sweep_from_zero",
    "times",
]


@njit(nogil=True, cache=True)
def sweep_from_zero(low, high, begin, middle, indices, values, inverse, transposed, r, x):
    """Sweep (n, 3) values upwards, node by node (Gauss-Seidel), from x = 0."""
    for i in range(low, high):
        a, b, c = r[i, 0], r[i, 1], r[i, 2]
        for p in range(begin[i], middle[i]):
            j = indices[p]
            if j >= low:
                s = values[p]
                a -= s * x[j, 0]
                b -= s * x[j, 1]
                c -= s * x[j, 2]
        m = inverse[i]
        if transposed:
            x[i, 0] = m[0, 0] * a + m[1, 0] * b + m[2, 0] * c
            x[i, 1] = m[0, 1] * a + m[1, 1] * b + m[2, 1] * c
            x[i, 2] = m[0, 2] * a + m[1, 2] * b + m[2, 2] * c
        else:
            x[i, 0] = m[0, 0] * a + m[0, 1] * b + m[0, 2] * c
            x[i, 1] = m[1, 0] * a + m[1, 1] * b + m[1, 2] * c
            x[i, 2] = m[2, 0] * a + m[2, 1] * b + m[2, 2] * c


@njit(nogil=True, cache=True)
def remainder(low, high, begin, middle, end, indices, values, x, left):
    """Set `left` to the residual after `sweep_from_zero`: what the sweep left out."""
    zero = np.float32(0.0)
    for i in range(low, high):
        a, b, c = zero, zero, zero
        for p in range(middle[i], end[i]):
            j, s = indices[p], values[p]
            a -= s * x[j, 0]
            b -= s * x[j, 1]
            c -= s * x[j, 2]
        for p in range(begin[i], middle[i]):
            j, s = indices[p], values[p]
            if j >= low:
                break
            a -= s * x[j, 0]
            b -= s * x[j, 1]
            c -= s * x[j, 2]
        left[i, 0], left[i, 1], left[i, 2] = a, b, c


@njit(nogil=True, cache=True)
def sweep_back(low, high, begin, middle, end, indices, values, inverse, transposed, r, old, x):
    """Sweep (n, 3) values downwards; other rows than these are read from their old values."""
    for i in range(high - 1, low - 1, -1):
        a, b, c = r[i, 0], r[i, 1], r[i, 2]
        for p in range(begin[i], middle[i]):
            j, s = indices[p], values[p]
            a -= s * old[j, 0]
            b -= s * old[j, 1]
            c -= s * old[j, 2]
        for p in range(middle[i], end[i]):
            j, s = indices[p], values[p]
            if j < high:
                a -= s * x[j, 0]
                b -= s * x[j, 1]
                c -= s * x[j, 2]
            else:
                a -= s * old[j, 0]
                b -= s * old[j, 1]
                c -= s * old[j, 2]
        m = inverse[i]
        if transposed:
            x[i, 0] = m[0, 0] * a + m[1, 0] * b + m[2, 0] * c
            x[i, 1] = m[0, 1] * a + m[1, 1] * b + m[2, 1] * c
            x[i, 2] = m[0, 2] * a + m[1, 2] * b + m[2, 2] * c
        else:
            x[i, 0] = m[0, 0] * a + m[0, 1] * b + m[0, 2] * c
            x[i, 1] = m[1, 0] * a + m[1, 1] * b + m[1, 2] * c
            x[i, 2] = m[2, 0] * a + m[2, 1] * b + m[2, 2] * c


@njit(nogil=True, cache=True)
def residual(low, high, begin, end, indices, values, excess, r, x, left):
    """Set `left` to r - A x of scalars, with differences of x where its rounding would matter."""
    for i in range(low, high):
        own = x[i]
        a = r[i] - excess[i] * own
        for p in range(begin[i], end[i]):
            a -= values[p] * (x[indices[p]] - own)
        left[i] = a


@njit(nogil=True, cache=True)
def restrict(low, high, indptr, indices, weights, fine, coarse):
    """Set coarse scalars to P^T times the fine ones."""
    for i in range(low, high):
        a = np.float32(0.0)
        for p in range(indptr[i], indptr[i + 1]):
            a += weights[p] * fine[indices[p]]
        coarse[i] = a


@njit(nogil=True, cache=True)
def restrict_three(low, high, indptr, indices, weights, fine, coarse):
    """Set coarse (n, 3) values to P^T times the fine ones."""
    zero = np.float32(0.0)
    for i in range(low, high):
        a, b, c = zero, zero, zero
        for p in range(indptr[i], indptr[i + 1]):
            j, w = indices[p], weights[p]
            a += w * fine[j, 0]
            b += w * fine[j, 1]
            c += w * fine[j, 2]
        coarse[i, 0], coarse[i, 1], coarse[i, 2] = a, b, c


@njit(nogil=True, cache=True)
def add(low, high, indptr, indices, weights, coarse, fine):
    """Add P times coarse scalars to the fine ones."""
    for i in range(low, high):
        for p in range(indptr[i], indptr[i + 1]):
            fine[i] += weights[p] * coarse[indices[p]]


@njit(nogil=True, cache=True)
def add_three(low, high, indptr, indices, weights, coarse, fine):
    """Add P times coarse (n, 3) values to the fine ones."""
    for i in range(low, high):
        for p in range(indptr[i], indptr[i + 1]):
            j, w = indices[p], weights[p]
            fine[i, 0] += w * coarse[j, 0]
            fine[i, 1] += w * coarse[j, 1]
            fine[i, 2] += w * coarse[j, 2]


@njit(nogil=True, cache=True, error_model="numpy")
def inverses(low, high, tensor, diagonal, inverse):
    """Set `inverse` to those of diagonal 1 + tensor, n blocks of 3 x 3."""
    for i in range(low, high):
        m, d = tensor[i], diagonal[i]
        a, e, k = m[0, 0] + d, m[1, 1] + d, m[2, 2] + d
        b, c, f = m[0, 1], m[0, 2], m[1, 2]
        o, g, h = m[1, 0], m[2, 0], m[2, 1]
        x, y, z = e * k - f * h, f * g - o * k, o * h - e * g
        scale = 1.0 / (a * x + b * y + c * z)
        n = inverse[i]
        n[0, 0], n[0, 1], n[0, 2] = scale * x, scale * (c * h - b * k), scale * (b * f - c * e)
        n[1, 0], n[1, 1], n[1, 2] = scale * y, scale * (a * k - c * g), scale * (c * o - a * f)
        n[2, 0], n[2, 1], n[2, 2] = scale * z, scale * (b * g - a * h), scale * (a * e - b * o)


@njit(nogil=True, cache=True)
def times(matrix, r, found):
    """Set the product of a dense matrix with r, summed in double precision."""
    for i in range(len(found)):
        total = 0.0
        for j in range(len(r)):
            total += matrix[i, j] * r[j]
        found[i] = total
