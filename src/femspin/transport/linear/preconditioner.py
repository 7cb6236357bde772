"""The field split: spin by an incomplete factorisation and coarse levels, charge by multigrid.

The spin block has strong vertical coupling and reaction (incomplete factorisation, dofs numbered
column by column) and diffusion over many cells (coarse levels); the charge block is a Laplacian.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from ...errors import SolverError
from ...units import Array
from ..assembly.boundary import Constraint
from ..assembly.operator import BlockOperator, charge_embedding, reduced_charge
from ..kernels.threads import compiled_available, run_beside, run_by_rows
from .auxiliary import Auxiliary
from .coarsening import Hierarchy, hierarchy, interpolations
from .galerkin import Rows
from .ilu import BlockILU
from .multigrid import ChargeMultigrid, SpinMultigrid, sweeping_cycle

__all__ = ["BlockSplit", "MatrixSplit", "Preconditioner", "charge_inverse", "reduced_stiffness"]

Apply = Callable[[Array], Array]

_CHARGE_DIRECT = 8_000


class Preconditioner(Protocol):
    """An approximate inverse of a matrix and of its transposed.

    Attributes:
        name: What it does, in words.
    """

    name: str

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
        auxiliary: What coarse levels are built from.
        shift: What the diagonal blocks are enlarged by before they are factorised.
    """

    def __init__(self, operator: BlockOperator, auxiliary: Auxiliary, shift: float = 0.0) -> None:
        self._operator = operator
        self.name = "spin by ILU(0) and multigrid, charge by multigrid"
        if shift:
            self.name += f", diagonal enlarged by {shift:g}"
        unknown = operator.constraint.unknown.reshape(-1, 4)
        self._unknown = unknown[:, 1:].astype(np.int32)
        self._charge_at = np.flatnonzero(operator.constraint.charge)
        self._embed = charge_embedding(operator.constraint)
        self._spin, levels = run_beside(
            lambda: _spin_factors(operator, shift),
            lambda: hierarchy(operator.charge_stiffness, auxiliary.stiffness),
        )
        free, self._charge = _charge_levels(operator, auxiliary, levels)
        self._coarse = SpinMultigrid(free[1:], auxiliary.reaction, levels.transfers)

    def renewed(self, operator: BlockOperator) -> BlockSplit:
        """Return the same factors beside a similar matrix."""
        other = copy(self)
        other._operator = operator
        return other

    def solve(self, r: Array) -> Array:
        """Return about A^-1 r: spin first, then charge."""
        from ..kernels.split import fill, finish, left_over

        n, z, right = len(self._unknown), np.empty(len(r)), self._spread(r)
        spin, full = self._spin.solve(right.ravel()).reshape(-1, 3), np.empty((n, 4))
        run_by_rows(fill, n, spin, full, row=4)
        product = self._operator.of_dofs(full)
        run_by_rows(left_over, n, self._unknown, right, product, right, row=8)
        self._coarse.correct(right, spin)
        run_by_rows(finish, n, self._unknown, spin, z, full, row=8)
        coupled = self._embed.T @ self._operator.couple(full)
        z[self._charge_at] = self._charge(r[self._charge_at] - coupled)
        return z

    def solve_transposed(self, r: Array) -> Array:
        """Return about A^-T r: charge first, then spin."""
        from ..kernels.split import finish, left_over

        n, z, right = len(self._unknown), np.empty(len(r)), self._spread(r)
        charge = self._charge(r[self._charge_at])
        coupled = self._operator.couple_transposed(self._embed @ charge)
        run_by_rows(left_over, n, self._unknown, right, coupled, right, row=8)
        spin, full = np.zeros_like(right), np.empty((n, 4))
        self._coarse.correct(right, spin, transposed=True)
        run_by_rows(finish, n, self._unknown, spin, z, full, row=8)
        product = self._operator.of_dofs_transposed(full)
        run_by_rows(left_over, n, self._unknown, right, product, right, row=8)
        spin += self._spin.solve_transposed(right.ravel()).reshape(-1, 3)
        run_by_rows(finish, n, self._unknown, spin, z, full, row=8)
        z[self._charge_at] = charge
        return z

    def _spread(self, r: Array) -> NDArray[np.float32]:
        """Return the spin unknowns as values of all dofs, shape (n_dofs, 3)."""
        from ..kernels.split import spread

        right = np.empty(self._unknown.shape, np.float32)
        run_by_rows(spread, len(right), self._unknown, r, right, row=4)
        return right


class MatrixSplit:
    """The field split of a sparse matrix.

    Args:
        matrix: Shape (n, n).
        charge: Which unknowns are charge potentials, shape (n,).
        auxiliary: Stiffness of linear elements between the charge unknowns, shape
            (n_charge, n_charge), where the elements are not linear ones on simplices themselves.
    """

    name = "spin by incomplete factors, charge by multigrid"

    def __init__(
        self, matrix: sp.csr_array, charge: NDArray[np.bool_], auxiliary: sp.csr_array | None
    ) -> None:
        self._spin_at, self._charge_at = np.flatnonzero(~charge), np.flatnonzero(charge)
        spin_rows, charge_rows = matrix[self._spin_at], matrix[self._charge_at]
        self._coupling = sp.csr_array(charge_rows[:, self._spin_at])
        self._spin, self._spin_transposed = _incomplete(spin_rows[:, self._spin_at])
        block = sp.csr_array(charge_rows[:, self._charge_at])
        self._charge = charge_inverse(sp.csr_array(0.5 * (block + block.T)), auxiliary)

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
        found = _singular(lambda: BlockILU(blocks.indptr, blocks.indices, blocks.data.astype(np.float32)))
        return found.solve, found.solve_transposed
    options = {"drop_tol": 1e-3, "fill_factor": 4, "diag_pivot_thresh": 0.0}
    factor = _singular(lambda: spl.spilu(sp.csc_array(spin), permc_spec="NATURAL", **options))
    return factor.solve, lambda r: np.asarray(factor.solve(r, "T"))


def _singular(factorise: Callable[[], Any]) -> Any:
    try:
        return factorise()
    except (RuntimeError, ZeroDivisionError):
        raise SolverError("the incomplete factorisation of the spin block failed") from None


def _spin_factors(operator: BlockOperator, shift: float) -> BlockILU:
    """Return the incomplete factors of the spin block, its diagonal blocks enlarged by a shift."""
    indptr, indices, blocks = operator.spin_blocks()
    if shift:
        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        blocks[rows == indices] *= 1 + shift
    found: BlockILU = _singular(lambda: BlockILU(indptr, indices, blocks))
    return found


def _charge_levels(
    operator: BlockOperator, auxiliary: Auxiliary, levels: Hierarchy
) -> tuple[list[Rows], Apply]:
    """Return the levels of the spin and the inverse of the charge block.

    Charge uses the interpolations of the spin where each of its unknowns is one dof.

    Args:
        operator: The matrix.
        auxiliary: What other levels are built from.
        levels: The charge block between all scalar dofs.
    """
    constraint = operator.constraint
    unknown = constraint.unknown[::4]
    place, count = np.flatnonzero(unknown >= 0), int(constraint.charge.sum())
    if count <= _CHARGE_DIRECT or len(place) > count or not levels.transfers:
        matrix = reduced_charge(levels.matrices[0].csr(), constraint)
        return levels.matrices, charge_inverse(matrix, reduced_stiffness(auxiliary, constraint))
    free, held = levels.held(unknown < 0)
    cycle, n = ChargeMultigrid(held, levels.transfers), len(unknown)

    def inverse(r: Array) -> Array:
        right = np.zeros(n, np.float32)
        right[place] = r
        return cycle.solve(right)[place].astype(float)

    return free, inverse


def _factorised(laplacian: sp.csr_array) -> Apply:
    factor = spl.splu(
        sp.csc_matrix(laplacian),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    solve: Apply = factor.solve
    return solve


def reduced_stiffness(auxiliary: Auxiliary, constraint: Constraint) -> sp.csr_array | None:
    """Return the auxiliary stiffness between the charge unknowns; None where none is needed."""
    if auxiliary.stiffness is None:
        return None
    return reduced_charge(auxiliary.stiffness, constraint)


def charge_inverse(laplacian: sp.csr_array, auxiliary: sp.csr_array | None) -> Apply:
    """Return an approximate, symmetric inverse of the charge block.

    Small blocks are factorised; above, one cycle of multigrid.  Its levels come from linear
    elements, whose strong couplings classical multigrid follows on flat cells too.

    Args:
        laplacian: Charge block without the Hall effect, which is antisymmetric; shape
            (n_charge, n_charge).
        auxiliary: See `MatrixSplit`.
    """
    if laplacian.shape[0] <= _CHARGE_DIRECT:
        return _factorised(laplacian)
    if not compiled_available():
        followed = laplacian if auxiliary is None else auxiliary
        return sweeping_cycle(laplacian, interpolations(followed))
    levels = hierarchy(laplacian, auxiliary)
    cycle = ChargeMultigrid(levels.matrices, levels.transfers)
    return lambda r: cycle.solve(r).astype(float)
