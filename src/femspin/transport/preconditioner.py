"""The field split: spin by an incomplete factorisation, then charge by multigrid.

The spin block is reaction-dominated with strong vertical coupling (incomplete factorisation, dofs
numbered column by column); the charge block is a Laplacian.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from ..errors import SolverError
from .ilu import BlockILU
from .operator import BlockOperator
from .threads import compiled_available

__all__ = ["BlockSplit", "MatrixSplit", "Preconditioner", "charge_inverse"]

Array = NDArray[np.float64]
Apply = Callable[[Array], Array]

_CHARGE_DIRECT = 8_000
_NEARLY_M = 0.2


class Preconditioner(Protocol):
    """An approximate inverse of a matrix and of its transposed."""

    def solve(self, r: Array) -> Array:
        """Return about A^-1 r."""
        ...

    def solve_transposed(self, r: Array) -> Array:
        """Return about A^-T r."""
        ...


class BlockSplit:
    """The field split of a block operator; needs numba.

    Args:
        operator: The matrix.
        vertices: Interpolation of charge unknowns from those of linear elements, shape
            (n_charge, n_linear), where the elements are of higher order.
    """

    def __init__(self, operator: BlockOperator, vertices: sp.csr_array | None) -> None:
        self._operator = operator
        charge = operator.constraint.charge
        self._charge_at = np.flatnonzero(charge)
        self._spin_at = np.flatnonzero(~charge)
        unknown = operator.constraint.unknown.reshape(-1, 4)
        self._spin_dof = np.flatnonzero((unknown[:, 1:] >= 0).ravel())
        self._charge_of_dof = unknown[:, 0]
        self._spin = _singular(lambda: BlockILU(*operator.spin_blocks()))
        self._charge = charge_inverse(operator.charge_matrix, vertices)

    def solve(self, r: Array) -> Array:
        """Return about A^-1 r: spin first, then charge."""
        z = np.empty_like(r)
        spin = self._spin.solve(self._spread(r))
        z[self._spin_at] = spin[self._spin_dof]
        full = np.zeros((len(spin) // 3, 4))
        full[:, 1:] = spin.reshape(-1, 3)
        left = r[self._charge_at] - self._charge_sum(self._operator.couple(full))
        z[self._charge_at] = self._charge(left)
        return z

    def solve_transposed(self, r: Array) -> Array:
        """Return about A^-T r: charge first, then spin."""
        z = np.empty_like(r)
        charge = self._charge(r[self._charge_at])
        z[self._charge_at] = charge
        of_dof = np.where(self._charge_of_dof >= 0, z[self._charge_of_dof], 0.0)
        coupled = self._operator.couple_transposed(of_dof)[:, 1:].ravel()
        right = self._spread(r) - coupled
        z[self._spin_at] = self._spin.solve_transposed(right)[self._spin_dof]
        return z

    def _spread(self, r: Array) -> Array:
        """Return the spin unknowns as values of all dofs, shape (3 n_dofs,)."""
        full = np.zeros(3 * len(self._charge_of_dof))
        full[self._spin_dof] = r[self._spin_at]
        return full

    def _charge_sum(self, of_dof: Array) -> Array:
        """Return sums over the dofs of every charge unknown, shape (n_charge,)."""
        free = self._charge_of_dof >= 0
        size = len(self._charge_at) + len(self._spin_at)
        sums = np.bincount(self._charge_of_dof[free], of_dof[free], minlength=size)
        return np.asarray(sums[self._charge_at], float)


class MatrixSplit:
    """The field split of a sparse matrix.

    Args:
        matrix: Shape (n, n).
        charge: Which unknowns are charge potentials, shape (n,).
        vertices: See `BlockSplit`.
    """

    def __init__(
        self, matrix: sp.csr_array, charge: NDArray[np.bool_], vertices: sp.csr_array | None
    ) -> None:
        self._spin_at, self._charge_at = np.flatnonzero(~charge), np.flatnonzero(charge)
        spin_rows, charge_rows = matrix[self._spin_at], matrix[self._charge_at]
        self._coupling = sp.csr_array(charge_rows[:, self._spin_at])
        self._spin, self._spin_transposed = _incomplete(spin_rows[:, self._spin_at])
        self._charge = charge_inverse(charge_rows[:, self._charge_at], vertices)

    def solve(self, r: Array) -> Array:
        """Return about A^-1 r: spin first, then charge."""
        z = np.empty_like(r)
        z[self._spin_at] = self._spin(r[self._spin_at])
        z[self._charge_at] = self._charge(r[self._charge_at] - self._coupling @ z[self._spin_at])
        return z

    def solve_transposed(self, r: Array) -> Array:
        """Return about A^-T r: charge first, then spin."""
        z = np.empty_like(r)
        z[self._charge_at] = self._charge(r[self._charge_at])
        left = r[self._spin_at] - self._coupling.T @ z[self._charge_at]
        z[self._spin_at] = self._spin_transposed(left)
        return z


def _incomplete(spin: sp.csr_array) -> tuple[Apply, Apply]:
    """Return the action of an incomplete factorisation and of its transposed."""
    if compiled_available() and spin.shape[0] % 3 == 0:
        blocks = sp.bsr_array(spin, blocksize=(3, 3))
        blocks.sort_indices()
        found = _singular(lambda: BlockILU(
            blocks.indptr, blocks.indices, blocks.data.astype(np.float32)
        ))  # fmt: skip
        return found.solve, found.solve_transposed
    options = {"drop_tol": 1e-3, "fill_factor": 4, "diag_pivot_thresh": 0.0}
    factor = _singular(lambda: spl.spilu(sp.csc_array(spin), permc_spec="NATURAL", **options))
    return factor.solve, lambda r: np.asarray(factor.solve(r, "T"))


def _singular(factorise: Callable[[], Any]) -> Any:
    try:
        return factorise()
    except (RuntimeError, ZeroDivisionError):
        raise SolverError("the incomplete factorisation of the spin block failed") from None


def charge_inverse(block: sp.csr_array, vertices: sp.csr_array | None) -> Apply:
    """Return an approximate, symmetric inverse of the charge block.

    Classical multigrid follows the strong couplings of flat cells if the matrix is nearly an
    M-matrix (first order).  Elements of higher order are not: they are smoothed and corrected on
    linear elements.

    Args:
        block: Shape (n_charge, n_charge).
        vertices: See `BlockSplit`.
    """
    import pyamg

    # The Hall part of the charge block is antisymmetric; multigrid needs the symmetric part.
    laplacian = sp.csr_matrix(0.5 * (block + block.T))
    if laplacian.shape[0] <= _CHARGE_DIRECT:
        factor = spl.splu(
            laplacian.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
        direct: Apply = factor.solve
        return direct
    nearly_m = _positive_share(laplacian) < _NEARLY_M
    if vertices is not None and not nearly_m:
        return _two_orders(laplacian, vertices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if nearly_m:
            levels = pyamg.ruge_stuben_solver(
                laplacian, max_coarse=300, strength=("classical", {"theta": 0.25})
            )
        else:
            levels = pyamg.smoothed_aggregation_solver(
                laplacian, max_coarse=300, strength=("symmetric", {"theta": 0.25})
            )
    cycle: Apply = levels.aspreconditioner().matvec
    return cycle


def _positive_share(matrix: sp.csr_matrix) -> float:
    """Return the positive entries off the diagonal over all of them, by magnitude."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    outside = matrix.data[rows != matrix.indices]
    whole = np.abs(outside).sum()
    return float(outside[outside > 0].sum() / whole) if whole > 0 else 0.0


def _two_orders(laplacian: sp.csr_matrix, vertices: sp.csr_array) -> Apply:
    """Return a cycle of symmetric Gauss-Seidel sweeps around classical multigrid at order 1."""
    from pyamg.relaxation.relaxation import gauss_seidel

    up = sp.csr_matrix(vertices)
    coarse = charge_inverse(sp.csr_matrix(up.T @ laplacian @ up), None)

    def cycle(r: Array) -> Array:
        x = np.zeros_like(r)
        gauss_seidel(laplacian, x, r, iterations=2, sweep="symmetric")
        x += up @ coarse(up.T @ (r - laplacian @ x))
        gauss_seidel(laplacian, x, r, iterations=2, sweep="symmetric")
        return x

    return cycle
