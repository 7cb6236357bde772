# mypy: ignore-errors
"""Compiled kernels between unknowns and values of the dofs; see `preconditioner`.  Needs numba.

All take the unknown behind every spin component, -1 where it is held, shape (n_dofs, 3), and
work on dofs low to high.
"""

from numba import njit

__all__ = ["fill", "finish", "left_over", "spread"]


@njit(nogil=True, cache=True)
def spread(low, high, unknown, r, right):
    """Set (n_dofs, 3) values to those of their unknowns, zero where held."""
    for i in range(low, high):
        for a in range(3):
            u = unknown[i, a]
            right[i, a] = r[u] if u >= 0 else 0.0


@njit(nogil=True, cache=True)
def fill(low, high, spin, full):
    """Set (n_dofs, 4) values to those of the spin, and none of charge."""
    for i in range(low, high):
        full[i, 0] = 0.0
        for a in range(3):
            full[i, 1 + a] = spin[i, a]


@njit(nogil=True, cache=True)
def left_over(low, high, unknown, right, product, left):
    """Set `left` to what a product with (n_dofs, 4) values leaves of the right, zero if held."""
    for i in range(low, high):
        for a in range(3):
            held = unknown[i, a] < 0
            left[i, a] = 0.0 if held else right[i, a] - product[i, 1 + a]


@njit(nogil=True, cache=True)
def finish(low, high, unknown, spin, z, full):
    """Set the unknowns and the (n_dofs, 4) values, without charge, to values of the spin."""
    for i in range(low, high):
        full[i, 0] = 0.0
        for a in range(3):
            u = unknown[i, a]
            full[i, 1 + a] = 0.0
            if u >= 0:
                z[u] = spin[i, a]
                full[i, 1 + a] = spin[i, a]
