"""Derivatives of smooth functions that can only be evaluated: extrapolated differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import CaseError
from ..units import Array

__all__ = ["extrapolated_derivative"]


def extrapolated_derivative(
    function: Callable[[float], list[Array]], x: float, scale: float, levels: int = 11, enough: float = 1e-13
) -> tuple[list[Array], float]:
    """Return the derivatives of several arrays by one number, and their relative error.

    Central differences with steps that are halved from scale/16 on, extrapolated in the square
    of the step; of every array the entry of the tableau with the smallest error estimate.

    Args:
        function: Returns the arrays.
        x: Where.
        scale: Over which x changes the arrays noticeably.
        levels: Most halvings.
        enough: Relative error at which to stop.

    Returns:
        The derivatives, and the largest estimated error of any array over the sum of its
        derivative and its value over scale.

    References:
        Ridders, Adv. Eng. Softw. 4, 75 (1982).
    """
    size = [_size(np.where(np.isfinite(v), v, 0.0)) for v in function(x)]
    best: list[Array] = []
    error = np.full(len(size), np.inf)
    row: list[list[Array]] = []
    step = scale / 16
    for _ in range(levels):
        above = row
        try:
            row = _next_row(function, x, step, row)
        except (ValueError, CaseError):  # the step leaves the range of the parameter
            row, step = [], step / 2
            continue
        best = best or list(row[0])
        for k in range(1, len(row)):
            for i, new in enumerate(row[k]):
                estimate = max(_size(new - row[k - 1][i]), _size(new - above[k - 1][i]))
                if estimate < error[i]:
                    best[i], error[i] = new, estimate
        if np.all(_relative(best, error, size, scale) <= enough):
            break
        step /= 2
    if not best:
        return [np.full_like(v, np.nan) for v in function(x)], np.inf
    return best, float(_relative(best, error, size, scale).max(initial=0.0))


def _next_row(
    function: Callable[[float], list[Array]], x: float, step: float, above: list[list[Array]]
) -> list[list[Array]]:
    """Return the next row of the tableau, from the plain difference to the highest order."""
    high, low = x + step, x - step
    width = high - low
    row = [[_difference(a, b) / width for a, b in zip(function(high), function(low), strict=True)]]
    for k, coarse in enumerate(above, 1):
        gain = 4.0**k - 1
        row.append([a + (a - b) / gain for a, b in zip(row[-1], coarse, strict=True)])
    return row


def _difference(a: Array, b: Array) -> Array:
    """Return a - b, zero where both are the same infinity (an ideal contact)."""
    return np.subtract(a, b, out=np.zeros_like(a), where=a != b)


def _size(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0))


def _relative(best: list[Array], error: Array, size: list[float], scale: float) -> Array:
    total = [_size(b) + s / scale for b, s in zip(best, size, strict=True)]
    return np.array([e / t if t > 0 else 0.0 for e, t in zip(error, total, strict=True)])
