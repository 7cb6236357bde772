"""Compiled products of assembled blocks with vectors."""

from __future__ import annotations

from numba import njit

__all__ = ["add_spin", "couple", "couple_transposed", "hold", "multiply", "multiply_transposed"]


@njit(nogil=True, cache=True)
def multiply(low, high, indptr, indices, entries, x, y):
    """Add the product of 4 x 4 blocks with x to rows low to high of y."""
    for i in range(low, high):
        a, b, c, d = y[i, 0], y[i, 1], y[i, 2], y[i, 3]
        for p in range(indptr[i], indptr[i + 1]):
            e, v = entries[p], x[indices[p]]
            a += e[0, 0] * v[0] + e[0, 1] * v[1] + e[0, 2] * v[2] + e[0, 3] * v[3]
            b += e[1, 0] * v[0] + e[1, 1] * v[1] + e[1, 2] * v[2] + e[1, 3] * v[3]
            c += e[2, 0] * v[0] + e[2, 1] * v[1] + e[2, 2] * v[2] + e[2, 3] * v[3]
            d += e[3, 0] * v[0] + e[3, 1] * v[1] + e[3, 2] * v[2] + e[3, 3] * v[3]
        y[i, 0], y[i, 1], y[i, 2], y[i, 3] = a, b, c, d


@njit(nogil=True, cache=True)
def multiply_transposed(indptr, indices, entries, x, y):
    """Add the product of the transposed 4 x 4 blocks with x to y."""
    for i in range(len(indptr) - 1):
        v = x[i]
        for p in range(indptr[i], indptr[i + 1]):
            e, out = entries[p], y[indices[p]]
            for z in range(4):
                out[z] += e[0, z] * v[0] + e[1, z] * v[1] + e[2, z] * v[2] + e[3, z] * v[3]


@njit(nogil=True, cache=True)
def add_spin(slots, entries, values):
    """Add the spin parts (3 x 3) of blocks to the values of their slots."""
    for p in range(len(slots)):
        out, e = values[slots[p]], entries[p]
        for a in range(3):
            for b in range(3):
                out[a, b] += e[a + 1, b + 1]


@njit(nogil=True, cache=True)
def hold(indptr, indices, held, values):
    """Turn rows and columns of held spin components (n_dofs, 3) into those of the identity."""
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            for a in range(3):
                for b in range(3):
                    if held[i, a] or held[j, b]:
                        values[p, a, b] = 1.0 if i == j and a == b else 0.0


@njit(nogil=True, cache=True)
def couple(low, high, indptr, indices, entries, x, y):
    """Add what spin potentials x (n, 4) do to the charge rows low to high of y (n,)."""
    for i in range(low, high):
        total = y[i]
        for p in range(indptr[i], indptr[i + 1]):
            e, v = entries[p], x[indices[p]]
            total += e[0, 1] * v[1] + e[0, 2] * v[2] + e[0, 3] * v[3]
        y[i] = total


@njit(nogil=True, cache=True)
def couple_transposed(indptr, indices, entries, x, y):
    """Add the transposed of `couple`: what charge values x (n,) do to the spin columns of y."""
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            e, out = entries[p], y[indices[p]]
            for z in range(1, 4):
                out[z] += e[0, z] * x[i]
