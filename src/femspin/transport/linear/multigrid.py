r"""Algebraic multigrid below the incomplete factorisation of the spin block.

An incomplete factorisation leaves what varies slowly over many cells.  On coarse levels the spin
block is taken as one Laplacian for all components plus a 3 x 3 tensor per node,

.. math:: K \approx s\,1 + \mathrm{diag}_i B_i,

with the symmetric part s of the charge block, which is diffusion alone, and lumped relaxation,
precession and loss in gauge fields B (`auxiliary`).  Lumped tensors are never smaller than the
consistent ones, so that the correction never overshoots.  Levels come from classical
(Ruge-Stueben) coarsening, which follows the strong couplings of flat cells (`coarsening`).

Cycles work in single precision: they precondition an iteration that is flexible.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from numpy.typing import NDArray

from ...errors import SolverError
from ...units import Array
from ..kernels.threads import run_by_rows, run_parts
from .galerkin import Rows, Transfer
from .ilu import halves, scalar_factors
from .krylov import conjugate_gradients

__all__ = ["ChargeMultigrid", "SpinMultigrid", "sweeping_cycle"]

Single = NDArray[np.float32]

# A slightly enlarged diagonal keeps the factors stable where a matrix is no M-matrix.
_ENLARGED = 1.01
# What the charge block is solved to, and the most cycles for it.
_ENOUGH, _MOST_CYCLES = 0.3, 60
# Rows from which on sweeps are cut in two: below, waking a thread takes longer.
_CUT_FROM = 5_000


@dataclass(frozen=True)
class SpinLevel:
    """One level: s, the inverses of s_ii + B_i, and where sweeps are cut.

    Args:
        matrix: s.
        inverse: Of s_ii + B_i, shape (n, 3, 3).
        cuts: Bounds of the rows swept at the same time.
    """

    matrix: Rows
    inverse: Single
    cuts: list[int]


class SpinMultigrid:
    """Coarse-level corrections for the spin block; needs numba.

    Args:
        coarse: s on all levels but the finest, which belongs to the incomplete factorisation.
        tensor: B on the finest, shape (n, 3, 3).
        transfers: Interpolations, as many as `coarse`.

    Raises:
        SolverError: If the coarsest level is singular.
    """

    def __init__(self, coarse: Sequence[Rows], tensor: Array, transfers: Sequence[Transfer]) -> None:
        self._transfers = transfers
        self._levels: list[SpinLevel] = []
        for matrix, between in zip(coarse, transfers, strict=True):
            # Lumped: B of a coarse node is that of the nodes it stands for.
            tensor = _restricted(between, tensor)
            self._levels.append(_spin_level(matrix, tensor))
        self._last = _inverse(_dense(coarse[-1], tensor)) if coarse else None

    def correct(self, r: Single, x: Single, transposed: bool = False) -> None:
        """Add the correction from all levels but the finest to x, for a residual r, (n, 3)."""
        if self._levels:
            self._descend(0, r, x, transposed)

    def _descend(self, k: int, left: Single, x: Single, transposed: bool) -> None:
        """Add the correction from level k and those below to x, on the level above."""
        from ..kernels.multigrid import add_three, restrict_three

        between = self._transfers[k]
        fine, coarse = between.sizes
        r = np.empty((coarse, 3), np.float32)
        run_by_rows(restrict_three, coarse, *between.down, left, r, row=20)
        run_by_rows(add_three, fine, *between.up, self._cycle(k, r, transposed), x, row=10)

    def _cycle(self, k: int, r: Single, transposed: bool) -> Single:
        from ..kernels.multigrid import remainder, sweep_back, sweep_from_zero

        if k + 1 == len(self._levels):
            assert self._last is not None
            inverse = self._last.T if transposed else self._last
            return _times(inverse, r.ravel()).reshape(-1, 3)
        level = self._levels[k]
        s, cuts, last = level.matrix, level.cuts, (level.inverse, transposed, r)
        entries = (s.indices, s.values)
        x, left = np.empty_like(r), np.empty_like(r)
        run_parts(sweep_from_zero, cuts, s.begin, s.middle, *entries, *last, x, row=40)
        run_parts(remainder, cuts, *s.bounds, *entries, x, left, row=30)
        self._descend(k + 1, left, x, transposed)
        old = x.copy() if len(cuts) > 2 else x
        run_parts(sweep_back, cuts, *s.bounds, *entries, *last, old, x, row=70)
        return x


class ChargeMultigrid:
    """An approximate inverse of a symmetric matrix by multigrid cycles; needs numba.

    Incomplete factorisations smooth: on flat cells of higher order they follow couplings that
    the coarsening missed.  Where cells are stretched and of changing size, as local refinement
    leaves them, a cycle may still take away a tenth of an error only: conjugate gradients repeat
    it until enough is gone, which otherwise is after the first.

    Args:
        levels: The matrix and its Galerkin products; empty rows stand for held unknowns.
        transfers: Interpolations, one less than `levels`.

    Raises:
        SolverError: If a factorisation fails.
    """

    def __init__(self, levels: Sequence[Rows], transfers: Sequence[Transfer]) -> None:
        self._levels, self._transfers = levels, transfers
        try:
            self._smoothers = scalar_factors(levels[:-1], _ENLARGED)
        except ZeroDivisionError:
            raise SolverError("the incomplete factorisation of the charge block failed") from None
        self._excess = [_excess(a) for a in levels[:-1]]
        dense = levels[-1].csr().toarray()
        dense[np.diag_indices_from(dense)] += levels[-1].diagonal == 0
        self._last = _inverse(dense)

    def solve(self, r: NDArray[Any]) -> Single:
        """Return about A^-1 r, shape (n,)."""
        size = float(np.abs(r).max(initial=0.0))
        if not self._smoothers or not 0.0 < size < np.inf:
            return self.cycle(r)
        right = (r / size).astype(np.float32)  # its square stays within single precision
        found = conjugate_gradients(self._product, right, self.cycle, _ENOUGH, _MOST_CYCLES)
        return np.asarray(size * found, np.float32)

    def cycle(self, r: NDArray[Any]) -> Single:
        """Return A^-1 r as far as one cycle comes, shape (n,)."""
        return self._cycle(0, np.asarray(r, np.float32))

    def _product(self, x: Single) -> Single:
        from ..kernels.multigrid import residual

        a, left = self._levels[0], np.empty_like(x)
        matrix = (a.begin, a.end, a.indices, a.values, self._excess[0])
        run_by_rows(residual, len(x), *matrix, np.zeros_like(x), x, left, row=20)
        return -left

    def _cycle(self, k: int, r: Single) -> Single:
        from ..kernels.multigrid import add, residual, restrict

        if k == len(self._smoothers):
            return _times(self._last, r)
        a, between, n = self._levels[k], self._transfers[k], len(r)
        matrix = (a.begin, a.end, a.indices, a.values, self._excess[k])
        x, left = r.copy(), np.empty_like(r)
        self._smoothers[k].solve(x)
        run_by_rows(residual, n, *matrix, r, x, left, row=20)
        coarse = np.empty(between.sizes[1], np.float32)
        run_by_rows(restrict, len(coarse), *between.down, left, coarse, row=10)
        run_by_rows(add, n, *between.up, self._cycle(k + 1, coarse), x, row=5)
        run_by_rows(residual, n, *matrix, r, x, left, row=20)
        self._smoothers[k].solve(left)
        x += left
        return x


def sweeping_cycle(matrix: sp.csr_array, ups: list[sp.csr_array]) -> Callable[[Array], Array]:
    """Return one symmetric multigrid cycle with Gauss-Seidel sweeps; does not need numba.

    Args:
        matrix: Symmetric, shape (n, n).
        ups: Interpolations; the coarse matrices are those of `matrix` between them.
    """
    from pyamg.multilevel import MultilevelSolver
    from pyamg.relaxation.smoothing import change_smoothers

    levels, operator = [], sp.csr_matrix(matrix)
    for up in (*ups, None):
        level = MultilevelSolver.Level()
        level.A = operator
        levels.append(level)
        if up is not None:
            level.P, level.R = sp.csr_matrix(up), sp.csr_matrix(up.T)
            operator = sp.csr_matrix(level.R @ operator @ level.P)
    hierarchy = MultilevelSolver(levels)
    sweeps = ("gauss_seidel", {"sweep": "symmetric"})
    change_smoothers(hierarchy, sweeps, sweeps)
    cycle: Callable[[Array], Array] = hierarchy.aspreconditioner().matvec
    return cycle


def _restricted(between: Transfer, tensor: Array) -> Array:
    from ..kernels.galerkin import restrict_tensors

    coarse = np.empty((between.sizes[1], 9))
    run_by_rows(restrict_tensors, len(coarse), *between.down, tensor.reshape(len(tensor), 9), coarse)
    return coarse.reshape(-1, 3, 3)


def _spin_level(matrix: Rows, tensor: Array) -> SpinLevel:
    from ..kernels.multigrid import inverses

    inverse = np.empty(tensor.shape, np.float32)
    run_by_rows(inverses, len(tensor), tensor, matrix.diagonal, inverse)
    return SpinLevel(matrix, inverse, halves(len(tensor), _CUT_FROM))


def _inverse(matrix: Array) -> Array:
    """Return an inverse, in double precision: rounding would lose all but nearly free potentials.

    Raises:
        SolverError: If the matrix is singular.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", la.LinAlgWarning)  # of relaxation that is weak
        try:
            found = np.asarray(la.inv(matrix))
        except la.LinAlgError:
            raise SolverError("the coarsest level of multigrid is singular") from None
    if not np.all(np.isfinite(found)):
        raise SolverError("the coarsest level of multigrid is singular")
    return found


def _times(matrix: Array, r: Single) -> Single:
    """Return a product; the threads of BLAS would go on spinning and slow down the others."""
    from ..kernels.multigrid import times

    found = np.empty(len(r), np.float32)
    times(matrix, r, found)
    return found


def _excess(matrix: Rows) -> Single:
    """Return the sums of the rows, shape (n,)."""
    from ..kernels.galerkin import row_sums

    sums = np.empty(len(matrix.diagonal), np.float32)
    entries = (matrix.begin, matrix.end, matrix.values, matrix.diagonal)
    run_by_rows(row_sums, len(sums), *entries, sums)
    return sums


def _dense(matrix: Rows, tensor: Array) -> Array:
    n = len(tensor)
    full = np.einsum("ij,ab->iajb", matrix.csr().toarray(), np.eye(3))
    full[np.arange(n), :, np.arange(n), :] += tensor
    found: Array = full.reshape(3 * n, 3 * n)
    return found
