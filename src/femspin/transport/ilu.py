"""Block incomplete factorisation without fill, for the spin block.

With unknowns numbered column by column the strong vertical coupling of thin layers is factorised
almost exactly.  The kernels are compiled on first use (and cached) and need numba.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["BlockILU"]

Array = NDArray[np.float64]


class BlockILU:
    """ILU(0) of a matrix of 3 x 3 blocks; `solve` applies the inverse of the factors."""

    def __init__(self, matrix: sp.bsr_array) -> None:
        from .ilu_kernels import ilu_factor

        matrix = matrix.copy()
        matrix.sort_indices()
        self._indptr = matrix.indptr.astype(np.int64)
        self._indices = matrix.indices.astype(np.int64)
        self._data = np.ascontiguousarray(matrix.data, float)
        self._diagonal = np.zeros(len(self._indptr) - 1, np.int64)
        if not ilu_factor(self._indptr, self._indices, self._data, self._diagonal):
            raise ZeroDivisionError("a diagonal block is singular")

    def solve(self, right: Array) -> Array:
        """Return the solution of L U x = right."""
        from .ilu_kernels import ilu_solve

        x = np.array(right, float)
        ilu_solve(self._indptr, self._indices, self._data, self._diagonal, x)
        return x
