"""Classical (Ruge-Stueben) coarsening: interpolations, and the coarse matrices between them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..kernels.threads import run_by_rows
from .auxiliary import without_positive_couplings
from .galerkin import Int32, Rows, Transfer, galerkin, galerkin_held, hold, row_pointer, rows_of, transfer

__all__ = ["Hierarchy", "hierarchy", "interpolations"]

_COARSEST = 150
_THRESHOLD = 0.25
_LEVELS = 30


@dataclass(frozen=True)
class Hierarchy:
    """Interpolations and a matrix on all levels, from fine to coarse.

    Args:
        transfers: Interpolations.
        matrices: One more.
    """

    transfers: list[Transfer]
    matrices: list[Rows]

    def held(self, held: NDArray[np.bool_]) -> tuple[list[Rows], list[Rows]]:
        """Return the matrices and those of the same with some unknowns held, which share entries.

        Args:
            held: Of the finest level, shape (n,).
        """
        shared, other, changed = hold(self.matrices[0], held)
        free, less = [shared], [other]
        for between, coarse in zip(self.transfers, self.matrices[1:], strict=True):
            shared, other, changed = galerkin_held(coarse, less[-1], changed, between)
            free.append(shared)
            less.append(other)
        return free, less


def hierarchy(matrix: sp.csr_array, auxiliary: sp.csr_array | None) -> Hierarchy:
    """Return a matrix on levels found by classical coarsening; needs numba.

    Args:
        matrix: Symmetric, positive definite, shape (n, n).
        auxiliary: Of the same shape, which the coarsening follows instead.
    """
    finest = rows_of(matrix)
    given = finest if auxiliary is None else rows_of(auxiliary)
    if given.values.max(initial=0.0) > 0.0:
        given = rows_of(without_positive_couplings(given.csr()))
    found = _coarsened(given)
    if given is finest:
        return found
    matrices = [finest]
    for between in found.transfers:
        matrices.append(galerkin(matrices[-1], between))
    return Hierarchy(found.transfers, matrices)


def interpolations(matrix: sp.csr_array) -> list[sp.csr_array]:
    """Return the interpolations of classical coarsening, from fine to coarse.

    Args:
        matrix: Symmetric, positive definite, shape (n, n).  Positive entries off its diagonal
            are lumped, as coarsening cannot follow them.
    """
    import pyamg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pyamg.ruge_stuben_solver(
            sp.csr_matrix(without_positive_couplings(matrix)),
            max_coarse=_COARSEST,
            strength=("classical", {"theta": _THRESHOLD}),
            CF=("RS", {"second_pass": True}),
        )
    return [sp.csr_array(level.P) for level in found.levels[:-1]]


def _coarsened(finest: Rows) -> Hierarchy:
    """Return a matrix on the levels of its own couplings."""
    transfers: list[Transfer] = []
    matrices = [finest]
    while len(matrices[-1].diagonal) > _COARSEST and len(matrices) < _LEVELS:
        between = _interpolation(matrices[-1])
        if between is None:
            break
        transfers.append(between)
        matrices.append(galerkin(matrices[-1], between))
    return Hierarchy(transfers, matrices)


def _interpolation(matrix: Rows) -> Transfer | None:
    """Return the interpolation from the next level, None where there is none."""
    from ..kernels.interpolation import interpolate, strong_couplings

    n, entries = len(matrix.diagonal), (matrix.indices, matrix.values)
    count = np.empty(n, np.int32)
    strong = np.concatenate(
        run_by_rows(strong_couplings, n, matrix.begin, matrix.end, *entries, _THRESHOLD, count)
    )
    pointer = row_pointer(count)
    coarse = _splitting(pointer, strong)
    if coarse.all() or not coarse.any():
        return None
    number = np.cumsum(coarse, dtype=np.int32) - 1
    pieces = run_by_rows(
        interpolate, n, matrix.bounds, (*entries, matrix.diagonal), pointer, strong, coarse, number, count
    )
    columns, weights = map(np.concatenate, zip(*pieces, strict=True))
    return transfer((row_pointer(count), columns, weights), int(number[-1]) + 1)


def _splitting(pointer: Int32, strong: Int32) -> NDArray[np.bool_]:
    """Return which nodes are coarse, by Ruge and Stueben's two passes over strong couplings."""
    from pyamg import amg_core

    from ..kernels.galerkin import transpose

    n, ones = len(pointer) - 1, np.empty(len(strong), np.int8)
    back, rows = np.zeros(n + 1, np.int32), np.empty_like(strong)
    transpose(pointer, strong, ones, back, rows, np.empty_like(ones))
    found, influence = np.empty(n, np.int32), np.zeros(n, np.int32)
    amg_core.rs_cf_splitting(n, pointer, strong, back, rows, influence, found)
    amg_core.rs_cf_splitting_pass2(n, pointer, strong, found)
    return found.astype(bool)
