"""Block rows of many chains at once: block elimination with row pivoting in a window.

Node after node, its six unknowns are eliminated from the three rows that are left of what lies
below and the six rows of the element above; these are the rows a pivoted band factorisation may
choose from, so the result agrees with `femspin.transport.layers.chain.factor_chain` to round-off.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...units import AnyArray
from .chain import Factor

__all__ = ["factor_by", "solve_windows"]


def factor_by(solve: Callable[[AnyArray, AnyArray, AnyArray, AnyArray], AnyArray]) -> Factor:
    """Return what `solve_chain` asks for, column by column of the right-hand sides.

    Args:
        solve: What solves the block rows, `solve_windows` or its compiled twin.
    """

    def factor(bottom: AnyArray, blocks: AnyArray, top: AnyArray) -> Callable[[AnyArray], AnyArray]:
        def columns(values: AnyArray) -> AnyArray:
            return np.stack([solve(bottom, blocks, top, v) for v in np.moveaxis(values, -1, 0)], axis=-1)

        return columns

    return factor


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
