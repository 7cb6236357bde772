"""Compiled twins of `slab.slab_maps` and `windows.solve_windows`, for large batches.

They are compiled on first use and cached; without numba they are plain Python, correct and slow.
Products run over rows, so that the inner loop is one of a fixed number of neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...units import AnyArray
from .slab import TAYLOR_DEGREE

try:
    from numba import njit
except ImportError:  # pragma: no cover

    def njit(**_: Any) -> Any:  # type: ignore[no-redef]
        """Leave a function as it is."""
        return lambda function: function


__all__ = ["compiled_maps", "compiled_windows"]


_njit: Any = njit(cache=True, error_model="numpy")


def compiled_maps(generator: AnyArray, norm: AnyArray, thickness: AnyArray) -> AnyArray:
    """Return the two-port maps of m slabs, shape (m, 14, 7); see `slab.slab_maps`."""
    doublings = np.ceil(np.log2(np.maximum(norm * thickness, 1.0)))
    doublings = np.where(np.isfinite(doublings), doublings, 0).astype(np.int64)
    result = np.zeros((len(generator), 14, 7), generator.dtype)
    _maps(np.ascontiguousarray(generator), thickness / 2.0**doublings, doublings, result)
    return result


def compiled_windows(bottom: AnyArray, blocks: AnyArray, top: AnyArray, values: AnyArray) -> AnyArray:
    """Return the unknowns of block rows, shape (B, 6 n + 6); see `windows.solve_windows`."""
    dtype = np.result_type(blocks, values)
    unknown = np.zeros(values.shape, dtype)
    given = (np.ascontiguousarray(x, dtype) for x in (bottom, blocks, top, values))
    _windows(*given, unknown)
    return unknown


@_njit
def _maps(generator, height, doublings, result):  # type: ignore[no-untyped-def]
    dtype = generator.dtype
    step, series = np.zeros((8, 8), dtype), np.zeros((8, 8), dtype)
    transfer, inputs = np.zeros((8, 8), dtype), np.zeros((8, 7), dtype)
    half, small = np.zeros((14, 7), dtype), np.zeros((3, 10), dtype)
    for s in range(len(generator)):
        h = height[s]
        for i in range(8):
            for j in range(8):
                step[i, j] = generator[s, i, j] * h
        _taylor(step, series, transfer)
        _short_map(transfer, series, h, inputs, small, result[s])
        for _ in range(doublings[s]):
            half[:] = result[s]
            _join(half, h, small, inputs, result[s])
            h *= 2.0


@_njit
def _taylor(step, series, transfer):  # type: ignore[no-untyped-def]
    """Set transfer = exp(step) and series = (exp(step) - 1) / step."""
    for i in range(8):
        for j in range(8):
            series[i, j] = step[i, j] / TAYLOR_DEGREE
        series[i, i] += 1.0
    for k in range(TAYLOR_DEGREE - 1, 0, -1):
        for i in range(8):
            for j in range(8):
                transfer[i, j] = 0.0
            for m in range(8):
                factor = step[i, m]
                if factor != 0.0:  # a quarter: nothing depends on mu^0, and 1 stays 1
                    for j in range(8):
                        transfer[i, j] += factor * series[m, j]
        if k == 1:
            break
        for i in range(8):
            for j in range(8):
                series[i, j] = transfer[i, j] / k
            series[i, i] += 1.0
    for i in range(8):
        transfer[i, i] += 1.0


@_njit
def _short_map(transfer, series, h, inputs, small, out):  # type: ignore[no-untyped-def]
    """Set the map of a slab from exp and its integral, both 8 x 8."""
    inputs[:] = 0.0
    for i in range(3):
        inputs[i, i] = 1.0
        for j in range(3):
            small[i, j] = transfer[3 + i, 3 + j]
            small[i, 3 + j] = -transfer[3 + i, j]
            small[i, 6 + j] = 1.0 if i == j else 0.0
        small[i, 9] = -transfer[3 + i, 7]
    inputs[7, 6] = 1.0
    _solve_three(small)
    for i in range(3):
        for j in range(7):
            inputs[3 + i, j] = out[i, j] = small[i, 3 + j]
    for i in range(11):
        for j in range(7):
            out[3 + i, j] = 0.0
        for m in range(8):
            if i < 3:
                factor = transfer[i, m]
            elif i == 3:
                factor = transfer[6, m]
            else:
                factor = h * series[i - 4, m]
            for j in range(7):
                out[3 + i, j] += factor * inputs[m, j]


@_njit
def _join(half, height, small, middle, out):  # type: ignore[no-untyped-def]
    """Set the map of two equal slabs on top of each other."""
    for i in range(3):
        for j in range(7):
            total = half[3 + i, 3] * half[0, j]
            total += half[3 + i, 4] * half[1, j]
            total += half[3 + i, 5] * half[2, j]
            if j < 3:
                small[i, j] = -total
                small[i, 3 + j] = half[3 + i, j]
            elif j < 6:
                small[i, 3 + j] = total
            else:
                small[i, 9] = total + half[3 + i, 6]
        small[i, i] += 1.0
    _solve_three(small)
    for i in range(3):
        for j in range(7):
            middle[i, j] = small[i, 3 + j]
    for i in range(3):
        for j in range(7):
            total = half[i, 0] * middle[0, j] + half[i, 1] * middle[1, j]
            total += half[i, 2] * middle[2, j]
            middle[3 + i, j] = total + half[i, j] if j > 2 else total
    for i in range(14):
        for j in range(7):
            below = half[i, 3] * middle[3, j] + half[i, 4] * middle[4, j]
            below += half[i, 5] * middle[5, j]
            above = half[i, 0] * middle[0, j] + half[i, 1] * middle[1, j]
            above += half[i, 2] * middle[2, j]
            below = below + half[i, j] if j < 3 or j == 6 else below
            above = above + half[i, j] if j > 2 else above
            if i < 3:
                out[i, j] = below
            elif i < 6:
                out[i, j] = above
            else:
                out[i, j] = below + above
            if i == 6:
                middle[6, j] = below
    for j in range(7):
        out[13, j] += height * middle[6, j]


@_njit
def _solve_three(rows):  # type: ignore[no-untyped-def]
    """Replace the right seven columns of three rows by the solution with the left three."""
    for c in range(3):
        pivot = c
        for r in range(c + 1, 3):
            if abs(rows[r, c]) > abs(rows[pivot, c]):
                pivot = r
        if pivot != c:
            for j in range(c, 10):
                rows[c, j], rows[pivot, j] = rows[pivot, j], rows[c, j]
        for r in range(c + 1, 3):
            factor = rows[r, c] / rows[c, c]
            for j in range(c + 1, 10):
                rows[r, j] -= factor * rows[c, j]
    for c in range(2, -1, -1):
        for j in range(3, 10):
            for k in range(c + 1, 3):
                rows[c, j] -= rows[c, k] * rows[k, j]
            rows[c, j] /= rows[c, c]


@_njit
def _windows(bottom, blocks, top, values, unknown):  # type: ignore[no-untyped-def]
    count, n = blocks.shape[:2]
    window = np.zeros((9, 13), blocks.dtype)
    upper = np.zeros((n, 6, 13), blocks.dtype)
    for b in range(count):
        window[:] = 0.0
        for i in range(3):
            for j in range(6):
                window[i, j] = bottom[b, i, j]
            window[i, 12] = values[b, i]
        for k in range(n):
            for i in range(6):
                for j in range(12):
                    window[3 + i, j] = blocks[b, k, i, j]
                window[3 + i, 12] = values[b, 6 * k + 3 + i]
            _eliminate(window, 9)
            for i in range(6):
                for j in range(13):
                    upper[k, i, j] = window[i, j]
            for i in range(3):
                for j in range(6):
                    window[i, j] = window[6 + i, 6 + j]
                    window[i, 6 + j] = 0.0
                window[i, 12] = window[6 + i, 12]
        for i in range(3):
            for j in range(6):
                window[3 + i, j] = top[b, i, j]
                window[3 + i, 6 + j] = 0.0
            window[3 + i, 12] = values[b, 6 * n + 3 + i]
        _eliminate(window, 6)
        _back(window, unknown[b, 6 * n :])
        for k in range(n - 1, -1, -1):
            for i in range(6):
                for j in range(6):
                    upper[k, i, 12] -= upper[k, i, 6 + j] * unknown[b, 6 * k + 6 + j]
            _back(upper[k], unknown[b, 6 * k : 6 * k + 6])


@_njit
def _eliminate(window, rows):  # type: ignore[no-untyped-def]
    """Bring the first six columns of some rows to triangular form, with row pivoting."""
    for c in range(6):
        pivot = c
        for r in range(c + 1, rows):
            if abs(window[r, c]) > abs(window[pivot, c]):
                pivot = r
        if pivot != c:
            for j in range(c, 13):
                window[c, j], window[pivot, j] = window[pivot, j], window[c, j]
        for r in range(c + 1, rows):
            factor = window[r, c] / window[c, c]
            for j in range(c + 1, 13):
                window[r, j] -= factor * window[c, j]


@_njit
def _back(triangle, found):  # type: ignore[no-untyped-def]
    """Solve with the triangle in the first six columns; the right-hand side is the last one."""
    for c in range(5, -1, -1):
        total = triangle[c, 12]
        for k in range(c + 1, 6):
            total -= triangle[c, k] * found[k]
        found[c] = total / triangle[c, c]
