# mypy: ignore-errors
"""Compiled kernels of lumped reaction; see `auxiliary`.  Needs numba."""

from numba import njit

__all__ = ["add_shares", "add_tensor"]


@njit(nogil=True, cache=True)
def add_shares(cells, dofs, measures, shares):
    """Add equal parts of the volumes of some cells to the shares of their nodes."""
    for cell in cells:
        part = measures[cell] / dofs.shape[1]
        for k in range(dofs.shape[1]):
            shares[dofs[cell, k]] += part


@njit(nogil=True, cache=True)
def add_tensor(low, high, shares, tensor, reaction):
    """Add shares times a tensor to the tensors of nodes low to high."""
    for i in range(low, high):
        if shares[i] != 0.0:
            for a in range(3):
                for b in range(3):
                    reaction[i, a, b] += shares[i] * tensor[a, b]
