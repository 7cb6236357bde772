"""Incomplete factorisations without fill, of 3 x 3 blocks for the spin block and of scalars.

With unknowns numbered column by column the strong vertical coupling of thin layers is factorised
almost exactly.  Large blocks are cut in two, between columns, for two threads; what couples the
halves is left out.  The kernels are compiled on first use (and cached) and need numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.threads import run_jobs, run_parts
from .galerkin import Rows

__all__ = ["BlockILU", "ScalarILU", "halves", "scalar_factors"]

Values = NDArray[Any]

# Rows from which on a matrix is cut in two, with any number of threads.
_CUT_FROM = 20_000
_SCALARS_CUT_FROM = 50_000


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
        from ..kernels.ilu import ilu_factor

        n = len(indptr) - 1
        self._bounds = halves(n, _CUT_FROM)
        self._factors = (indptr, indices, values, np.zeros(n, np.int64))
        if not all(run_parts(ilu_factor, self._bounds, *self._factors)):
            raise ZeroDivisionError("a diagonal block is singular")

    def solve(self, right: Values) -> Values:
        """Return the solution of L U x = right in its precision, shape (3 n,)."""
        from ..kernels.ilu import ilu_solve

        x = np.array(right)
        run_parts(ilu_solve, self._bounds, *self._factors, x)
        return x

    def solve_transposed(self, right: Values) -> Values:
        """Return the solution of (L U)^T x = right in its precision, shape (3 n,)."""
        from ..kernels.ilu import ilu_solve_transposed

        x = np.array(right)
        run_parts(ilu_solve_transposed, self._bounds, *self._factors, x)
        return x


class ScalarILU:
    """ILU(0) of a symmetric matrix, in single precision, which shares its pattern.

    Args:
        matrix: Its rows; empty ones, diagonal too, are those of the identity.
        factors: L and U off the diagonal, shape of the entries.
        pivots: Their inverses, shape (n,).
    """

    def __init__(self, matrix: Rows, factors: Values, pivots: Values) -> None:
        self._bounds = halves(len(pivots), _SCALARS_CUT_FROM)
        self._factors = (matrix.bounds, matrix.indices, factors, pivots)

    def solve(self, x: NDArray[np.float32]) -> None:
        """Turn x, shape (n,), into the solution of L U x = x."""
        from ..kernels.ilu import scalar_solve

        run_parts(scalar_solve, self._bounds, *self._factors, x, row=20)


def scalar_factors(matrices: Sequence[Rows], enlarged: float = 1.0) -> list[ScalarILU]:
    """Return incomplete factorisations of some matrices, computed at the same time.

    Args:
        matrices: Symmetric.
        enlarged: Factor of the diagonals before they are factorised.

    Raises:
        ZeroDivisionError: If a pivot vanishes.
    """
    from ..kernels.ilu import scalar_factor

    found, jobs = [], []
    for a in matrices:
        n = len(a.diagonal)
        factors, pivots = np.empty_like(a.values), np.empty(n, np.float32)
        found.append(ScalarILU(a, factors, pivots))
        given = (a.bounds, a.indices, a.values, a.diagonal, enlarged, factors, pivots)
        jobs += [partial(scalar_factor, *part, *given) for part in pairwise(halves(n, _SCALARS_CUT_FROM))]
    if not all(run_jobs(jobs)):
        raise ZeroDivisionError("a pivot vanishes")
    return found


def halves(n: int, least: int) -> list[int]:
    """Return where n rows are cut for two threads, from `least` rows on."""
    return [0, n // 2, n] if n >= least else [0, n]
