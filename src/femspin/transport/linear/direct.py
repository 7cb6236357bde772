"""Direct solvers: LU by LAPACK of a band, by PARDISO where it is installed and suits, by SuperLU."""

from __future__ import annotations

import sys
import weakref
from copy import copy
from functools import cache
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from scipy.linalg import get_lapack_funcs

from ...errors import SolverError
from ...units import Array, Indices

__all__ = ["DirectSolver"]


_SINGULAR = (
    "the transport system is singular: a spin component or a potential is not fixed by any"
    " relaxation, contact or reference"
)
_PIVOT_CHECK = 100_000
# Diagonals beside the main one up to which a matrix is a band.
_WIDEST = 80
# Unknowns from which on PARDISO is faster, by dimension.
_PARDISO_FROM = {2: 100_000, 3: 10_000}


class Factors(Protocol):
    """A factorised matrix.

    Attributes:
        name: The library, in words.
    """

    name: str

    def solve(self, right: Array, side: str) -> Array:
        """Return A^-1 right (side N) or A^-T right (side T), for one or more columns."""
        ...


class DirectSolver:
    """Sparse LU.

    Args:
        matrix: Shape (n, n), real or complex.
        dimension: Space dimension; a line is banded in its own order.

    Raises:
        SolverError: If the matrix is singular.
    """

    method = "direct"
    aged = False
    iterations = 0

    def __init__(self, matrix: sp.csr_array, dimension: int) -> None:
        self._side = "N"
        self._factors = _factorise(matrix, dimension)
        self.choice = f"sparse LU ({self._factors.name})"

    def solve(self, load: Array, reduction: float | None = None) -> Array:
        """Return the solution to working precision."""
        x = self._factors.solve(load, self._side)
        if not np.all(np.isfinite(x)):
            raise SolverError(_SINGULAR)
        return x

    def solve_many(self, loads: Array) -> Array:
        """Return the solutions for all columns at once."""
        return self.solve(np.asfortranarray(loads))

    def precondition(self, r: Array) -> Array:
        """Return the solution: a direct solver is its own best preconditioner."""
        return self.solve(r)

    def transposed(self) -> DirectSolver:
        """Return the solver of the transposed matrix, with the same factors."""
        other = copy(self)
        other._side = "T" if self._side == "N" else "N"
        return other


def _factorise(matrix: sp.csr_array, dimension: int) -> Factors:
    if dimension == 1:  # banded in its own order, if no far ends are joined
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        below = rows - matrix.indices
        if max(below.max(initial=0), -below.min(initial=0)) <= _WIDEST:
            return BandFactors(matrix, below)
    large = matrix.shape[0] >= _PARDISO_FROM.get(dimension, np.inf)
    if large and matrix.dtype == float and pardiso_available():
        found = PardisoFactors(matrix)
        if not found.perturbed:
            return found
        # PARDISO goes on with pivots of its own where a matrix is singular: SuperLU tells.
    return SuperFactors(matrix, dimension)


class BandFactors:
    """LAPACK's band LU with partial pivoting.

    Args:
        matrix: Shape (n, n), without duplicate entries.
        below: Row minus column of every entry, shape (nnz,).

    Raises:
        SolverError: If the matrix is singular.
    """

    name = "LAPACK band"

    def __init__(self, matrix: sp.csr_array, below: Indices) -> None:
        self._lower, self._upper = int(below.max(initial=0)), int(-below.min(initial=0))
        diagonal = self._lower + self._upper
        band = np.zeros((diagonal + self._lower + 1, matrix.shape[0]), matrix.dtype, order="F")
        band[diagonal + below, matrix.indices] = matrix.data
        factorise, self._solve = get_lapack_funcs(("gbtrf", "gbtrs"), (band,))
        self._band, self._pivots, failed = factorise(band, self._lower, self._upper, overwrite_ab=True)
        if failed:
            raise SolverError(_SINGULAR)
        _require_pivots(self._band[diagonal])

    def solve(self, right: Array, side: str) -> Array:
        """Return A^-1 right (side N) or A^-T right (side T), for one or more columns."""
        return np.asarray(
            self._solve(self._band, self._lower, self._upper, right, self._pivots, trans=int(side == "T"))[0]
        )


def _require_pivots(diagonal: Array) -> None:
    """Refuse a small matrix of which a pivot is round-off of the largest."""
    pivots = np.abs(diagonal)
    if len(pivots) <= _PIVOT_CHECK and pivots.min() < 1e-14 * pivots.max():
        raise SolverError(_SINGULAR)


class SuperFactors:
    """SuperLU.

    Args:
        matrix: Shape (n, n).
        dimension: Space dimension.

    Raises:
        SolverError: If the matrix is singular.
    """

    name = "SuperLU"

    def __init__(self, matrix: sp.csr_array, dimension: int) -> None:
        # A line is banded in its own order.  In 2D and 3D the symmetric ordering fills least,
        # and the positive symmetric part makes pivoting unnecessary.
        line = dimension == 1
        try:
            self._factor = spl.splu(
                sp.csc_matrix(matrix),
                permc_spec="NATURAL" if line else "MMD_AT_PLUS_A",
                diag_pivot_thresh=1.0 if line else 0.0,
                options={} if line else {"SymmetricMode": True},
            )
        except RuntimeError as error:
            raise SolverError(_SINGULAR) from error
        if matrix.shape[0] <= _PIVOT_CHECK:
            _require_pivots(self._factor.U.diagonal())

    def solve(self, right: Array, side: str) -> Array:
        """Return A^-1 right (side N) or A^-T right (side T), for one or more columns."""
        return np.asarray(self._factor.solve(right, side))


class PardisoFactors:
    """PARDISO of Intel's MKL, through pypardiso; threaded.

    Args:
        matrix: Real, shape (n, n).

    Attributes:
        perturbed: Pivots that were replaced because they nearly vanish.
    """

    name = "PARDISO"

    def __init__(self, matrix: sp.csr_array) -> None:
        from pypardiso import PyPardisoSolver

        own = sp.csr_matrix(matrix)
        own.sort_indices()
        self._matrix = own
        # The transposed matrix by the same arrays, which pypardiso solves with the same factors.
        self._transposed = sp.csc_matrix((own.data, own.indices, own.indptr), shape=own.shape)
        self._solver: Any = PyPardisoSolver()
        self._solver.factorize(own)
        self.perturbed = int(self._solver.get_iparm(14))
        weakref.finalize(self, self._solver.free_memory)

    def solve(self, right: Array, side: str) -> Array:
        """Return A^-1 right (side N) or A^-T right (side T), for one or more columns."""
        matrix = self._matrix if side == "N" else self._transposed
        return np.asarray(self._solver.solve(matrix, np.asarray(right, float)))


@cache
def pardiso_available() -> bool:
    """Return whether pypardiso and its library are there; it crashes with several on Windows."""
    if sys.platform == "win32" or find_spec("pypardiso") is None:
        return False
    try:
        from pypardiso import PyPardisoSolver

        PyPardisoSolver()
    except (ImportError, OSError):  # pypardiso without MKL
        return False
    return True
