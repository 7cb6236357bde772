"""Linear solvers: direct for small systems, Krylov with a field-split preconditioner above.

The charge block is a Laplacian (algebraic multigrid); the spin block is reaction-dominated
with strong vertical coupling (incomplete factorisation, dofs numbered column by column).
The residual of the original equations is checked by the caller, `system`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from ..errors import SolverError
from .ilu import BlockILU
from .threads import compiled_available

__all__ = [
    "DirectSolver",
    "KrylovSolver",
    "LinearReport",
    "LinearSolver",
    "linear_solver",
    "refine",
]

Array = NDArray[np.float64]
Method = Literal["auto", "direct", "iterative"]

_SINGULAR = (
    "the transport system is singular: a spin component or a potential is not fixed by any"
    " relaxation, contact or reference"
)
_PIVOT_CHECK = 100_000
_CHARGE_DIRECT = 60_000
_REFINEMENTS = 6
_EXACT = 1e-16
_CANCELLED = 1e-4
# Assembled and cell-wise operator agree to round-off only; below this a direct solve is exact.
_ROUND_OFF = 1e-11
_DIRECT_LIMIT = {1: 10**9, 2: 150_000, 3: 20_000}


@dataclass(frozen=True)
class LinearReport:
    """What the linear solver did.

    Args:
        method: ``direct`` or ``iterative``.
        unknowns: Size of the system.
        iterations: Krylov iterations (0 if direct).
        residual: |b - A x| / |b|, recomputed cell by cell from the weak form.
        seconds: Wall time of assembly, set-up and solve.
    """

    method: str
    unknowns: int
    iterations: int
    residual: float
    seconds: float


class LinearSolver(Protocol):
    """A prepared solver that reduces a residual; refinement is left to the caller."""

    method: str
    iterations: int

    def solve(self, load: Array) -> Array:
        """Return an approximate solution for one right-hand side."""
        ...

    def solve_many(self, loads: Array) -> Array:
        """Return approximate solutions for the columns of `loads`, shape (n, k)."""
        ...

    def transposed(self) -> LinearSolver:
        """Return a solver for the transposed matrix that shares what it can."""
        ...


def linear_solver(
    matrix: sp.csr_array,
    charge: NDArray[np.bool_],
    dimension: int,
    method: Method = "auto",
    max_iterations: int = 500,
    vertices: Callable[[], sp.csr_array] | None = None,
) -> LinearSolver:
    """Return a prepared solver for a matrix with positive definite symmetric part.

    Args:
        matrix: Shape (n, n).
        charge: Which unknowns are charge potentials, shape (n,).
        dimension: Space dimension; decides up to which size a direct solve is faster.
        method: ``auto`` chooses by size.
        max_iterations: Limit of Krylov iterations per right-hand side.
        vertices: Makes the interpolation of charge unknowns from those of linear elements,
            shape (n_charge, n_linear), where the elements are of higher order.

    Raises:
        SolverError: If the matrix is singular.
    """
    if method == "auto":
        method = "direct" if matrix.shape[0] <= _DIRECT_LIMIT[dimension] else "iterative"
    if method == "direct":
        return DirectSolver(matrix, dimension)
    return KrylovSolver(matrix, charge, max_iterations, vertices and vertices())


class DirectSolver:
    """Sparse LU."""

    method = "direct"
    iterations = 0

    def __init__(self, matrix: sp.csr_array, dimension: int) -> None:
        self._side = "N"
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
            pivots = np.abs(self._factor.U.diagonal())
            if pivots.min() < 1e-14 * pivots.max():
                raise SolverError(_SINGULAR)

    def solve(self, load: Array) -> Array:
        """Return the solution to working precision."""
        x: Array = self._factor.solve(load, self._side)
        if not np.all(np.isfinite(x)):
            raise SolverError(_SINGULAR)
        return x

    def solve_many(self, loads: Array) -> Array:
        """Return the solutions for all columns at once."""
        return self.solve(np.asfortranarray(loads))

    def transposed(self) -> DirectSolver:
        """Return the solver of the transposed matrix, with the same factors."""
        other = copy(self)
        other._side = "T" if self._side == "N" else "N"
        return other


class KrylovSolver:
    """Flexible GMRES with the field-split preconditioner, to a relative residual of 1e-7."""

    method = "iterative"
    reduction = 1e-7

    def __init__(
        self,
        matrix: sp.csr_array,
        charge: NDArray[np.bool_],
        max_iterations: int,
        vertices: sp.csr_array | None = None,
    ) -> None:
        self.iterations = 0
        self._matrix, self._charge, self._limit = matrix, charge, max_iterations
        self._vertices = vertices
        split = _field_split(matrix, charge, vertices)
        self._preconditioner = spl.LinearOperator(matrix.shape, split)

    def solve(self, load: Array) -> Array:
        """Return a solution whose residual is smaller than `reduction` times |load|."""
        from pyamg.krylov import fgmres

        residuals: list[float] = []
        restart = min(60, self._limit)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the caller judges the residual
            x, _ = fgmres(
                self._matrix, load, tol=self.reduction, restart=restart,
                maxiter=max(1, self._limit // restart), M=self._preconditioner,
                residuals=residuals,
            )  # fmt: skip
        self.iterations += max(0, len(residuals) - 1)
        return np.asarray(x).ravel()

    def solve_many(self, loads: Array) -> Array:
        """Return the solutions column by column; zero columns cost nothing."""
        found = np.zeros_like(loads)
        for k in np.flatnonzero(np.any(loads != 0, axis=0)):
            found[:, k] = self.solve(np.ascontiguousarray(loads[:, k]))
        return found

    def transposed(self) -> KrylovSolver:
        """Return a solver of the transposed matrix, with a preconditioner of its own."""
        transposed = sp.csr_array(self._matrix.T)
        return KrylovSolver(transposed, self._charge, self._limit, self._vertices)


def refine(
    solver: LinearSolver,
    residual: Callable[[Any], Array],
    start: Any,
    tolerance: float,
    guess: Any = None,
    size: float = 0.0,
) -> tuple[Any, float]:
    """Return the unknowns in extended precision and the relative residual reached.

    Iterative refinement: solutions rounded to doubles would leave
    residuals that matter for the balance of currents on fine meshes.

    Args:
        solver: Reduces a residual.
        residual: b - A x of extended-precision unknowns.
        start: Zeros of extended precision, real or complex, shape (n_free,); the residual there
            is the scale of the relative one.
        tolerance: Relative residual that must be reached.
        guess: Unknowns to start from.
        size: |b| before loads of neighbouring cells cancel: a residual of its round-off is none.

    Raises:
        SolverError: If the tolerance is not reached.
    """
    x, r = start, residual(start)
    scale = max(float(np.linalg.norm(r)), _CANCELLED * size)
    if scale == 0.0:
        return x, 0.0
    if guess is not None:
        at_guess = residual(guess)
        if np.linalg.norm(at_guess) < scale:
            x, r = guess, at_guess
    relative = float(np.linalg.norm(r)) / scale
    for _ in range(_REFINEMENTS):
        if relative < _EXACT:
            break
        trial = x + solver.solve(r)
        after = residual(trial)
        progress = float(np.linalg.norm(after)) / scale
        if not progress < relative:
            break
        x, r = trial, after
        stalled, relative = progress > 0.3 * relative, progress
        if stalled or (solver.method == "iterative" and relative < tolerance):
            break
    if not relative <= max(tolerance, _ROUND_OFF):
        raise SolverError(
            f"the {solver.method} solver left a relative residual of {relative:.1e} after"
            f" {solver.iterations} iterations (allowed {tolerance:.0e}); {len(x)} unknowns"
        )
    return x, relative


def _field_split(
    matrix: sp.csr_array, charge: NDArray[np.bool_], vertices: sp.csr_array | None
) -> Callable[[Array], Array]:
    """Return the block Gauss-Seidel preconditioner: spin first, then charge."""
    spin_at, charge_at = np.flatnonzero(~charge), np.flatnonzero(charge)
    spin = sp.csc_matrix(matrix[spin_at][:, spin_at])
    coupling = matrix[charge_at][:, spin_at]
    # The Hall part of the charge block is antisymmetric; multigrid needs the symmetric part.
    block = matrix[charge_at][:, charge_at]
    laplacian = sp.csr_matrix(0.5 * (block + block.T))
    multigrid = _charge_solver(laplacian, vertices)
    incomplete = _spin_factor(spin)

    def apply(r: Array) -> Array:
        r = np.asarray(r).ravel()
        if not np.all(np.isfinite(r)):  # the iteration has broken down
            raise SolverError("the iterative solver broke down: the preconditioner overflowed")
        z = np.empty_like(r)
        z[spin_at] = incomplete(r[spin_at])
        z[charge_at] = multigrid(r[charge_at] - coupling @ z[spin_at])
        return z

    return apply


def _charge_solver(
    laplacian: sp.csr_matrix, vertices: sp.csr_array | None
) -> Callable[[Array], Array]:
    """Return an approximate inverse of the charge block.

    Classical multigrid follows the strong couplings of flat cells if the matrix is nearly an
    M-matrix (first order).  Elements of higher order are not: a direct factor is cheap up to a
    size, and above it they are smoothed and corrected on linear elements.
    """
    import pyamg

    rows = np.repeat(np.arange(laplacian.shape[0]), np.diff(laplacian.indptr))
    entries, outside = laplacian.data, rows != laplacian.indices
    positive = np.abs(entries[outside & (entries > 0)]).sum()
    nearly_m = positive < 0.2 * np.abs(entries[outside]).sum()
    if not nearly_m and laplacian.shape[0] <= _CHARGE_DIRECT:
        factor = spl.splu(
            laplacian.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )  # fmt: skip
        direct: Callable[[Array], Array] = factor.solve
        return direct
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
    cycle: Callable[[Array], Array] = levels.aspreconditioner().matvec
    return cycle


def _two_orders(laplacian: sp.csr_matrix, vertices: sp.csr_array) -> Callable[[Array], Array]:
    """Return a cycle of symmetric Gauss-Seidel sweeps around classical multigrid at order 1."""
    from pyamg.relaxation.relaxation import gauss_seidel

    up = sp.csr_matrix(vertices)
    coarse = _charge_solver(sp.csr_matrix(up.T @ laplacian @ up), None)

    def cycle(r: Array) -> Array:
        x = np.zeros_like(r)
        gauss_seidel(laplacian, x, r, iterations=2, sweep="symmetric")
        x += up @ coarse(up.T @ (r - laplacian @ x))
        gauss_seidel(laplacian, x, r, iterations=2, sweep="symmetric")
        return x

    return cycle


def _spin_factor(spin: sp.csc_matrix) -> Callable[[Array], Array]:
    """Return the action of an incomplete factorisation of the spin block."""
    try:
        if compiled_available() and spin.shape[0] % 3 == 0:
            return BlockILU(sp.bsr_array(spin, blocksize=(3, 3))).solve
        options = {"drop_tol": 1e-3, "fill_factor": 4, "diag_pivot_thresh": 0.0}
        factor = spl.spilu(spin, permc_spec="NATURAL", **options)
    except (RuntimeError, ZeroDivisionError) as error:
        raise SolverError(f"the spin block is singular ({error})") from None
    solve: Callable[[Array], Array] = factor.solve
    return solve
