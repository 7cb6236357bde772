"""Block incomplete factorisation without fill, for the spin block.

With unknowns numbered column by column the strong vertical coupling of thin layers is factorised
almost exactly.  The kernels are compiled on first use (and cached) and need numba.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["BlockILU", "compiled_available"]

Array = NDArray[np.float64]


def compiled_available() -> bool:
    """Return whether numba is installed."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


class BlockILU:
    """ILU(0) of a matrix of 3 x 3 blocks; `solve` applies the inverse of the factors."""

    def __init__(self, matrix: sp.bsr_array) -> None:
        self._factor, self._solve = _kernels()
        matrix = matrix.copy()
        matrix.sort_indices()
        self._indptr = matrix.indptr.astype(np.int64)
        self._indices = matrix.indices.astype(np.int64)
        self._data = np.ascontiguousarray(matrix.data, float)
        self._diagonal = np.zeros(len(self._indptr) - 1, np.int64)
        if not self._factor(self._indptr, self._indices, self._data, self._diagonal):
            raise ZeroDivisionError("a diagonal block is singular")

    def solve(self, right: Array) -> Array:
        """Return the solution of L U x = right."""
        x = np.array(right, float)
        self._solve(self._indptr, self._indices, self._data, self._diagonal, x)
        return x


@cache
def _kernels() -> tuple[Any, Any]:
    from numba import njit

    @njit(cache=True, error_model="numpy")
    def invert(a):  # type: ignore[no-untyped-def]
        """Invert a 3 x 3 block in place; return False if it is singular."""
        c00 = a[1, 1] * a[2, 2] - a[1, 2] * a[2, 1]
        c01 = a[1, 2] * a[2, 0] - a[1, 0] * a[2, 2]
        c02 = a[1, 0] * a[2, 1] - a[1, 1] * a[2, 0]
        det = a[0, 0] * c00 + a[0, 1] * c01 + a[0, 2] * c02
        if det == 0.0:
            return False
        c10 = a[0, 2] * a[2, 1] - a[0, 1] * a[2, 2]
        c11 = a[0, 0] * a[2, 2] - a[0, 2] * a[2, 0]
        c12 = a[0, 1] * a[2, 0] - a[0, 0] * a[2, 1]
        c20 = a[0, 1] * a[1, 2] - a[0, 2] * a[1, 1]
        c21 = a[0, 2] * a[1, 0] - a[0, 0] * a[1, 2]
        c22 = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
        a[0, 0], a[0, 1], a[0, 2] = c00 / det, c10 / det, c20 / det
        a[1, 0], a[1, 1], a[1, 2] = c01 / det, c11 / det, c21 / det
        a[2, 0], a[2, 1], a[2, 2] = c02 / det, c12 / det, c22 / det
        return True

    @njit(cache=True)
    def factor(indptr, indices, data, diagonal):  # type: ignore[no-untyped-def]
        n = len(indptr) - 1
        where = np.full(n, -1, np.int64)
        block = np.zeros((3, 3))
        for i in range(n):
            for p in range(indptr[i], indptr[i + 1]):
                where[indices[p]] = p
            for p in range(indptr[i], indptr[i + 1]):
                k = indices[p]
                if k == i:
                    diagonal[i] = p
                if k >= i:
                    continue
                d = diagonal[k]
                for r in range(3):
                    for c in range(3):
                        block[r, c] = (
                            data[p, r, 0] * data[d, 0, c]
                            + data[p, r, 1] * data[d, 1, c]
                            + data[p, r, 2] * data[d, 2, c]
                        )
                for r in range(3):
                    for c in range(3):
                        data[p, r, c] = block[r, c]
                for q in range(d + 1, indptr[k + 1]):
                    t = where[indices[q]]
                    if t >= 0:
                        for r in range(3):
                            for c in range(3):
                                data[t, r, c] -= (
                                    block[r, 0] * data[q, 0, c]
                                    + block[r, 1] * data[q, 1, c]
                                    + block[r, 2] * data[q, 2, c]
                                )
            if not invert(data[diagonal[i]]):
                return False
            for p in range(indptr[i], indptr[i + 1]):
                where[indices[p]] = -1
        return True

    @njit(cache=True)
    def solve(indptr, indices, data, diagonal, x):  # type: ignore[no-untyped-def]
        n = len(indptr) - 1
        for i in range(n):
            for p in range(indptr[i], diagonal[i]):
                k = 3 * indices[p]
                for r in range(3):
                    x[3 * i + r] -= (
                        data[p, r, 0] * x[k] + data[p, r, 1] * x[k + 1] + data[p, r, 2] * x[k + 2]
                    )
        for i in range(n - 1, -1, -1):
            a, b, c = x[3 * i], x[3 * i + 1], x[3 * i + 2]
            for p in range(diagonal[i] + 1, indptr[i + 1]):
                k = 3 * indices[p]
                a -= data[p, 0, 0] * x[k] + data[p, 0, 1] * x[k + 1] + data[p, 0, 2] * x[k + 2]
                b -= data[p, 1, 0] * x[k] + data[p, 1, 1] * x[k + 1] + data[p, 1, 2] * x[k + 2]
                c -= data[p, 2, 0] * x[k] + data[p, 2, 1] * x[k + 1] + data[p, 2, 2] * x[k + 2]
            d = diagonal[i]
            for r in range(3):
                x[3 * i + r] = data[d, r, 0] * a + data[d, r, 1] * b + data[d, r, 2] * c

    return factor, solve
