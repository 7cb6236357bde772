"""Many chains of slabs and contacts at once: block elimination with row pivoting in a window.

Node after node, its six unknowns are eliminated from the three rows that are left of what lies
below and the six rows of the element above; these are the rows a pivoted band factorisation may
choose from, so the result agrees with `femspin.transport.layers.chain` to round-off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...units import AnyArray
from .chain import CONTINUITY, UNDETERMINED
from .slab import DRIVE, FLUX_TOP, MU_BOTTOM

__all__ = ["ChainSolutions", "solve_chains", "solve_windows"]

WindowSolve = Callable[[AnyArray, AnyArray, AnyArray, AnyArray], AnyArray]

_REFINED = 1e-6  # largest relative change by one step of iterative refinement


@dataclass(frozen=True)
class ChainSolutions:
    """States at the nodes of B chains.

    Args:
        nodes: (mu, J) at the nodes, shape (B, nodes, 6).
        mismatch: Mismatch at the interfaces relative to the terms that balance, shape (B,).
        determined: Whether refinement left the state as it is, shape (B,).
    """

    nodes: AnyArray
    mismatch: AnyArray
    determined: NDArray[np.bool_]

    @property
    def errors(self) -> dict[int, str]:
        """What is wrong with a chain, by its number."""
        wrong = {int(k): UNDETERMINED for k in np.flatnonzero(~self.determined)}
        for k in np.flatnonzero(self.determined & ~(self.mismatch <= CONTINUITY)):
            wrong[int(k)] = (
                f"stack: interface continuity is missed by {self.mismatch[k]:.1e} of the largest"
                f" term (allowed {CONTINUITY:.0e})"
            )
        return wrong


def solve_chains(
    elements: AnyArray, bottom: tuple[AnyArray, AnyArray], top: tuple[AnyArray, AnyArray], solve: WindowSolve
) -> ChainSolutions:
    """Return the states of chains; one that cannot be solved does not disturb the others.

    Args:
        elements: The first six rows of the two-port maps, shape (B, n, 6, 7).
        bottom: Condition ``rows @ (mu, J) = values`` on the lowest node, (B, 3, 6) and (B, 3).
        top: Condition on the highest node, likewise.
        solve: What solves the block rows, `solve_windows` or its compiled twin.
    """
    count, n = elements.shape[:2]
    blocks = np.zeros((count, n, 6, 12), elements.dtype)
    blocks[..., 0:3] = -elements[..., MU_BOTTOM]
    blocks[..., 9:12] = -elements[..., FLUX_TOP]
    blocks[..., [0, 1, 2], [3, 4, 5]] += 1.0
    blocks[..., [3, 4, 5], [6, 7, 8]] += 1.0
    drive = elements[..., DRIVE].reshape(count, -1)
    values = np.concatenate([bottom[1], drive, top[1]], axis=1).astype(elements.dtype)
    rows = bottom[0], blocks, top[0]
    unknown = solve(*rows, values)
    change = solve(*rows, _mismatch(*rows, unknown, values)[0])
    # The comparison fails for nan, too.
    determined = np.abs(change).max(axis=1) <= _REFINED * np.abs(unknown).max(axis=1)
    unknown = unknown + change
    mismatch, terms = _mismatch(*rows, unknown, values)
    largest = np.maximum(terms.max(axis=1), 1e-300)
    relative = np.abs(mismatch).max(axis=1) / largest
    return ChainSolutions(unknown.reshape(count, n + 1, 6), relative, determined)


def _mismatch(
    bottom: AnyArray, blocks: AnyArray, top: AnyArray, unknown: AnyArray, values: AnyArray
) -> tuple[AnyArray, AnyArray]:
    """Return values - matrix @ unknown, and the size of the terms summed in each row."""
    count, n = blocks.shape[:2]
    state = unknown.reshape(count, n + 1, 6)
    pairs = np.concatenate([state[:, :-1], state[:, 1:]], axis=2)

    def apply(low: AnyArray, rows: AnyArray, high: AnyArray, state: AnyArray, pairs: AnyArray) -> AnyArray:
        ends = (low @ state[:, 0, :, None])[..., 0], (high @ state[:, -1, :, None])[..., 0]
        middle = (rows @ pairs[..., None])[..., 0].reshape(count, -1)
        return np.concatenate([ends[0], middle, ends[1]], axis=1)

    sizes = apply(*map(np.abs, (bottom, blocks, top, state, pairs))) + np.abs(values)
    return values - apply(bottom, blocks, top, state, pairs), sizes


def solve_windows(bottom: AnyArray, blocks: AnyArray, top: AnyArray, values: AnyArray) -> AnyArray:
    """Return the unknowns of block rows, shape (B, 6 n + 6); not finite where singular.

    Args:
        bottom: Rows of the lowest node, shape (B, 3, 6).
        blocks: Rows of the elements over their two nodes, shape (B, n, 6, 12).
        top: Rows of the highest node, shape (B, 3, 6).
        values: Right-hand sides of all rows, shape (B, 6 n + 6).
    """
    count, n = blocks.shape[:2]
    left = np.concatenate([bottom, values[:, :3, None]], axis=2)
    upper = np.zeros((count, n, 6, 13), np.result_type(blocks, values))
    for k in range(n):
        window = np.zeros((count, 9, 13), upper.dtype)
        window[:, :3, :6], window[:, :3, 12] = left[..., :6], left[..., 6]
        window[:, 3:, :12], window[:, 3:, 12] = blocks[:, k], values[:, 6 * k + 3 : 6 * k + 9]
        _eliminate(window)
        upper[:, k], left = window[:, :6], window[:, 6:, 6:]
    last = np.concatenate([left, np.concatenate([top, values[:, -3:, None]], axis=2)], axis=1)
    _eliminate(last)
    unknown = np.empty((count, n + 1, 6), upper.dtype)
    unknown[:, n] = _back(last[..., :6], last[..., 6])
    for k in reversed(range(n)):
        known = (upper[:, k, :, 6:12] @ unknown[:, k + 1, :, None])[..., 0]
        unknown[:, k] = _back(upper[:, k, :, :6], upper[:, k, :, 12] - known)
    return unknown.reshape(count, -1)


def _eliminate(window: AnyArray) -> None:
    """Bring the first six columns to triangular form, with row pivoting, in place."""
    every = np.arange(len(window))
    for c in range(6):
        size = np.abs(window[:, c:, c])
        pivot = c + size.argmax(axis=1)
        chosen = window[every, pivot, c:]
        window[every, pivot, c:] = window[:, c, c:]
        window[:, c, c:] = chosen
        factor = window[:, c + 1 :, c] / chosen[:, :1]
        window[:, c + 1 :, c:] -= factor[:, :, None] * chosen[:, None]


def _back(triangle: AnyArray, values: AnyArray) -> AnyArray:
    """Return the solution with upper triangular matrices, shapes (B, 6, 6) and (B, 6)."""
    found = np.empty_like(values)
    for c in reversed(range(6)):
        known = np.einsum("bk,bk->b", triangle[:, c, c + 1 :], found[:, c + 1 :])
        found[:, c] = (values[:, c] - known) / triangle[:, c, c]
    return found
