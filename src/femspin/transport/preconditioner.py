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

from ..errors import SolverError
from .auxiliary import Auxiliary
from .boundary import Constraint
from .ilu import BlockILU
from .multigrid import SpinMultigrid, charge_cycle, interpolations
from .operator import BlockOperator, charge_embedding, reduced_charge
from .threads import compiled_available

__all__ = ["BlockSplit", "MatrixSplit", "Preconditioner", "charge_inverse", "reduced_stiffness"]

Array = NDArray[np.float64]
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
        charge = operator.constraint.charge
        self._charge_at = np.flatnonzero(charge)
        self._spin_at = np.flatnonzero(~charge)
        unknown = operator.constraint.unknown.reshape(-1, 4)
        self._free = unknown[:, 1:] >= 0
        self._spin_dof = np.flatnonzero(self._free.ravel())
        self._charge_of_dof = unknown[:, 0]
        indptr, indices, blocks = operator.spin_blocks()
        if shift:
            rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
            blocks[rows == indices] *= 1 + shift
        self._spin = _singular(lambda: BlockILU(indptr, indices, blocks))
        laplacian = operator.charge_stiffness
        ups = interpolations(laplacian if auxiliary.stiffness is None else auxiliary.stiffness)
        self._coarse = SpinMultigrid(laplacian, auxiliary.reaction, ups)
        self._charge = _charge_levels(operator, auxiliary, ups)

    def renewed(self, operator: BlockOperator) -> BlockSplit:
        """Return the same factors beside a similar matrix."""
        other = copy(self)
        other._operator = operator
        return other

    def solve(self, r: Array) -> Array:
        """Return about A^-1 r: spin first, then charge."""
        right, full = self._spread(r), np.zeros((len(self._free), 4))
        full[:, 1:] = self._spin.solve(right.ravel()).reshape(-1, 3)
        left = right - self._operator.of_dofs(full)[:, 1:] * self._free
        full[:, 1:] += self._coarse.correct(left)
        z = np.empty_like(r)
        z[self._spin_at] = full[:, 1:].ravel()[self._spin_dof]
        full[:, 1:] *= self._free
        coupled = self._charge_sum(self._operator.couple(full))
        z[self._charge_at] = self._charge(r[self._charge_at] - coupled)
        return z

    def solve_transposed(self, r: Array) -> Array:
        """Return about A^-T r: charge first, then spin."""
        z = np.empty_like(r)
        z[self._charge_at] = self._charge(r[self._charge_at])
        of_dof = np.where(self._charge_of_dof >= 0, z[self._charge_of_dof], 0.0)
        coupled = self._operator.couple_transposed(of_dof)[:, 1:]
        right, full = (self._spread(r) - coupled) * self._free, np.zeros((len(self._free), 4))
        full[:, 1:] = self._coarse.correct(right, transposed=True) * self._free
        left = right - self._operator.of_dofs_transposed(full)[:, 1:] * self._free
        spin = full[:, 1:] + self._spin.solve_transposed(left.ravel()).reshape(-1, 3)
        z[self._spin_at] = spin.ravel()[self._spin_dof]
        return z

    def _spread(self, r: Array) -> Array:
        """Return the spin unknowns as values of all dofs, shape (n_dofs, 3)."""
        full = np.zeros(self._free.size)
        full[self._spin_dof] = r[self._spin_at]
        return full.reshape(-1, 3)

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


def _charge_levels(
    operator: BlockOperator, auxiliary: Auxiliary, ups: list[sp.csr_array]
) -> Apply:
    """Return the inverse of the charge block, on the levels of the spin where it has all dofs.

    Args:
        operator: The matrix.
        auxiliary: What other levels are built from.
        ups: Interpolations to all scalar dofs.
    """
    embed = charge_embedding(operator.constraint)
    small, shared = embed.shape[1] <= _CHARGE_DIRECT, embed.nnz == embed.shape[1]
    if small or not shared or not ups:
        return charge_inverse(
            operator.charge_matrix, reduced_stiffness(auxiliary, operator.constraint)
        )
    free = np.flatnonzero(np.diff(embed.indptr))
    return charge_cycle(operator.charge_matrix, [sp.csr_array(ups[0][free]), *ups[1:]])


def _factorised(laplacian: sp.csr_array) -> Apply:
    factor = spl.splu(
        sp.csc_matrix(laplacian), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )  # fmt: skip
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
    return charge_cycle(laplacian, interpolations(laplacian if auxiliary is None else auxiliary))
