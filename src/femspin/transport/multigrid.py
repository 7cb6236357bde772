r"""Algebraic multigrid below the incomplete factorisation of the spin block.

An incomplete factorisation leaves what varies slowly over many cells.  On coarse levels the spin
block is taken as one Laplacian for all components plus a 3 x 3 tensor per node,

.. math:: K \approx s\,1 + \mathrm{diag}_i B_i,

with the symmetric part s of the charge block, which is diffusion alone, and lumped relaxation,
precession and loss in gauge fields B (`auxiliary`).  Lumped tensors are never smaller than the
consistent ones, so that the correction never overshoots.  Levels come from classical
(Ruge-Stueben) coarsening, which follows the strong couplings of flat cells.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
from numpy.typing import NDArray

from .auxiliary import without_positive_couplings
from .ilu import ScalarILU
from .threads import compiled_available

__all__ = ["SpinMultigrid", "charge_cycle", "interpolations"]

Array = NDArray[np.float64]

_COARSEST = 150
_THRESHOLD = 0.25
_STABLE = 0.01


@dataclass(frozen=True)
class Level:
    """One level: s, the inverses of s_ii + B_i, B, and the interpolation from the next.

    Args:
        indptr: Row pointer of s, shape (n + 1,).
        indices: Columns.
        data: Values of s.
        tensor: B, shape (n, 3, 3).
        inverse: Of s_ii + B_i, shape (n, 3, 3).
        up: Interpolation from the next level, shape (n, n_next); None on the last.
    """

    indptr: NDArray[Any]
    indices: NDArray[Any]
    data: Array
    tensor: Array
    inverse: Array
    up: sp.csr_array | None


class SpinMultigrid:
    """Coarse-level corrections for the spin block.

    Args:
        scalar: s, symmetric, shape (n, n).
        tensor: B, shape (n, 3, 3).
        ups: Interpolations.
    """

    def __init__(self, scalar: sp.csr_array, tensor: Array, ups: list[sp.csr_array]) -> None:
        # The finest level belongs to the incomplete factorisation: only the coarse ones are kept.
        self._ups = ups
        self.levels: list[Level] = []
        for k, up in enumerate(ups):
            scalar = sp.csr_array(up.T @ scalar @ up)
            # Lumped: B of a coarse node is that of the nodes it stands for.
            tensor = (up.T @ tensor.reshape(len(tensor), 9)).reshape(-1, 3, 3)
            self.levels.append(_level(scalar, tensor, ups[k + 1] if k + 1 < len(ups) else None))
        self._dense = la.lu_factor(_dense(self.levels[-1])) if ups else None

    def correct(self, r: Array, transposed: bool = False) -> Array:
        """Return the correction from all levels but the finest, for a residual (n, 3)."""
        if not self._ups:
            return np.zeros_like(r)
        up = self._ups[0]
        return np.asarray(up @ self._cycle(0, np.asarray(up.T @ r), transposed))

    def _cycle(self, k: int, r: Array, transposed: bool) -> Array:
        from .multigrid_kernels import residual, sweep

        level = self.levels[k]
        if level.up is None:
            assert self._dense is not None
            return np.asarray(la.lu_solve(self._dense, r.ravel(), trans=int(transposed))).reshape(
                -1, 3
            )
        inverse, tensor = level.inverse, level.tensor
        if transposed:
            inverse, tensor = inverse.swapaxes(1, 2), tensor.swapaxes(1, 2)
        s = (level.indptr, level.indices, level.data)
        x, left = np.zeros_like(r), np.empty_like(r)
        sweep(*s, inverse, r, x, True)
        residual(*s, tensor, r, x, left)
        x += level.up @ self._cycle(k + 1, np.asarray(level.up.T @ left), transposed)
        sweep(*s, inverse, r, x, False)
        return x


def interpolations(matrix: sp.csr_array) -> list[sp.csr_array]:
    """Return the interpolations of classical (Ruge-Stueben) coarsening, from fine to coarse.

    Args:
        matrix: Symmetric, positive definite, shape (n, n).  Positive entries off its diagonal
            are lumped, as coarsening cannot follow them.
    """
    import pyamg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hierarchy = pyamg.ruge_stuben_solver(
            sp.csr_matrix(without_positive_couplings(matrix)), max_coarse=_COARSEST,
            strength=("classical", {"theta": _THRESHOLD}), CF=("RS", {"second_pass": True}),
        )  # fmt: skip
    return [sp.csr_array(level.P) for level in hierarchy.levels[:-1]]


def charge_cycle(matrix: sp.csr_array, ups: list[sp.csr_array]) -> Callable[[Array], Array]:
    """Return one symmetric multigrid cycle for a symmetric matrix.

    Incomplete factorisations smooth: on flat cells of higher order they follow couplings that
    the coarsening missed.  A slightly enlarged diagonal keeps them stable where the matrix is no
    M-matrix.  Without numba: Gauss-Seidel sweeps.

    Args:
        matrix: Shape (n, n).
        ups: Interpolations; the coarse matrices are those of `matrix` between them.
    """
    if not compiled_available():
        return _sweeping_cycle(matrix, ups)
    operators = [sp.csr_array(matrix)]
    for up in ups:
        coarse = sp.csr_array(up.T @ operators[-1] @ up)
        # Coarse nodes whose fine ones all have prescribed potentials stand alone.
        operators.append(sp.csr_array(coarse + sp.diags_array(1.0 * (coarse.diagonal() == 0))))
    smoothers = [
        ScalarILU(sp.csr_array(a + sp.diags_array(_STABLE * a.diagonal()))) for a in operators[:-1]
    ]
    dense = la.lu_factor(operators[-1].toarray())

    def cycle(k: int, r: Array) -> Array:
        if k == len(ups):
            return np.asarray(la.lu_solve(dense, r))
        x = smoothers[k].solve(r)
        x += ups[k] @ cycle(k + 1, ups[k].T @ (r - operators[k] @ x))
        return x + smoothers[k].solve(r - operators[k] @ x)

    return lambda r: cycle(0, r)


def _sweeping_cycle(matrix: sp.csr_array, ups: list[sp.csr_array]) -> Callable[[Array], Array]:
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


def _level(operator: sp.csr_array, tensor: Array, up: sp.csr_array | None) -> Level:
    diagonal = operator.diagonal()
    inverse = np.linalg.inv(tensor + np.eye(3) * diagonal[:, None, None])
    return Level(operator.indptr, operator.indices, operator.data, tensor, inverse, up)


def _dense(level: Level) -> Array:
    n = len(level.tensor)
    scalar = sp.csr_array((level.data, level.indices, level.indptr), shape=(n, n)).toarray()
    full = np.einsum("ij,ab->iajb", scalar, np.eye(3))
    full[np.arange(n), :, np.arange(n), :] += level.tensor
    return full.reshape(3 * n, 3 * n)
