"""Incomplete factorisations without fill, of 3 x 3 blocks for the spin block and of scalars.

With unknowns numbered column by column the strong vertical coupling of thin layers is factorised
almost exactly.  Large blocks are cut in two, between columns, for two threads; what couples the
halves is left out.  The kernels are compiled on first use (and cached) and need numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .threads import run_parts

__all__ = ["BlockILU", "ScalarILU"]

Array = NDArray[np.float64]

# Nodes from which on a block is cut in two, with any number of threads.
_CUT_FROM = 20_000


class BlockILU:
    """ILU(0) of a matrix of 3 x 3 blocks; `solve` applies the inverse of the factors.

    Args:
        indptr: Row pointer of the blocks, shape (n + 1,).
        indices: Columns, ascending in every row.
        values: Blocks, shape (n_blocks, 3, 3), single or double precision; overwritten.

    Raises:
        ZeroDivisionError: If a diagonal block is singular.
    """

    def __init__(self, indptr: NDArray[Any], indices: NDArray[Any], values: NDArray[Any]) -> None:
        from .ilu_kernels import ilu_factor

        n = len(indptr) - 1
        self._bounds = [0, n // 2, n] if n >= _CUT_FROM else [0, n]
        self._factors = (indptr, indices, values, np.zeros(n, np.int64))
        if not all(run_parts(ilu_factor, self._bounds, *self._factors)):
            raise ZeroDivisionError("a diagonal block is singular")

    def solve(self, right: Array) -> Array:
        """Return the solution of L U x = right, shape (3 n,)."""
        from .ilu_kernels import ilu_solve

        x = np.array(right, float)
        run_parts(ilu_solve, self._bounds, *self._factors, x)
        return x

    def solve_transposed(self, right: Array) -> Array:
        """Return the solution of (L U)^T x = right, shape (3 n,)."""
        from .ilu_kernels import ilu_solve_transposed

        x = np.array(right, float)
        run_parts(ilu_solve_transposed, self._bounds, *self._factors, x)
        return x


class ScalarILU:
    """ILU(0) of a sparse matrix, in single precision.

    Args:
        matrix: Shape (n, n).

    Raises:
        ZeroDivisionError: If a pivot vanishes.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        from .ilu_kernels import scalar_factor

        matrix = sp.csr_array(matrix)
        matrix.sort_indices()
        values = matrix.data.astype(np.float32)
        diagonal = np.zeros(matrix.shape[0], np.int64)
        if not scalar_factor(matrix.indptr, matrix.indices, values, diagonal):
            raise ZeroDivisionError("a pivot vanishes")
        self._factors = (matrix.indptr, matrix.indices, values, diagonal)

    def solve(self, right: Array) -> Array:
        """Return the solution of L U x = right, shape (n,)."""
        from .ilu_kernels import scalar_solve

        x = np.array(right, float)
        scalar_solve(*self._factors, x)
        return x
