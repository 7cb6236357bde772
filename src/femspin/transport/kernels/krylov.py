# mypy: ignore-errors
"""Compiled kernels of Gram-Schmidt in blocks of columns; see `krylov`.

A block stays in the cache while it is subtracted and multiplied again.  Blocks have a fixed
length and every one its own sums, so that the result does not depend on the number of threads.
Needs numba.
"""

from numba import njit

__all__ = ["BLOCK", "along", "combine", "less", "scaled"]

BLOCK = 2048


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def along(low, high, basis, count, w, sums):
    """Set row k of the sums, for blocks low to high, to the products of w with the basis."""
    for k in range(low, high):
        first, last = k * BLOCK, min((k + 1) * BLOCK, len(w))
        part = w[first:last]
        for j in range(count):
            v, total = basis[j, first:last], 0.0
            for i in range(len(part)):
                total += v[i] * part[i]
            sums[k, j] = total


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def less(low, high, basis, count, parts, w, sums):
    """Subtract parts of the basis from w, then as `along`; the last sum is |w|^2."""
    for k in range(low, high):
        first, last = k * BLOCK, min((k + 1) * BLOCK, len(w))
        part = w[first:last]
        for j in range(count):
            v, factor = basis[j, first:last], parts[j]
            for i in range(len(part)):
                part[i] -= factor * v[i]
        for j in range(count):
            v, total = basis[j, first:last], 0.0
            for i in range(len(part)):
                total += v[i] * part[i]
            sums[k, j] = total
        total = 0.0
        for i in range(len(part)):
            total += part[i] * part[i]
        sums[k, count] = total


@njit(nogil=True, cache=True)
def scaled(low, high, factor, w, out):
    """Set `out` to a factor times w."""
    for i in range(low, high):
        out[i] = factor * w[i]


@njit(nogil=True, cache=True)
def combine(low, high, weights, images, x):
    """Add weighted rows of the images to x."""
    for i in range(low, high):
        total = 0.0
        for k in range(len(weights)):
            total += weights[k] * images[k, i]
        x[i] += total
