"""Compiled kernels between unknowns and dofs; see `operator`.  Needs numba."""

from numba import njit

__all__ = ["expand", "gather"]


@njit(nogil=True, cache=True)
def expand(low, high, unknown, x, full):
    """Set dofs low to high to their unknowns, prescribed ones to zero."""
    for i in range(low, high):
        full[i] = x[unknown[i]] if unknown[i] >= 0 else 0.0


@njit(nogil=True, cache=True)
def gather(low, high, unknown, full, sums):
    """Add dofs low to high to the sums of their unknowns."""
    for i in range(low, high):
        if unknown[i] >= 0:
            sums[unknown[i]] += full[i]
