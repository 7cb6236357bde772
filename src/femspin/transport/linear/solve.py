"""Linear solvers: direct for small systems, Krylov with a field-split preconditioner above.

The charge block is a Laplacian (algebraic multigrid); the spin block is reaction-dominated
with strong vertical coupling (incomplete factorisation, dofs numbered column by column).
The residual of the original equations is checked by the caller, `system`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...errors import SolverError
from ...units import Array
from ..assembly.operator import BlockOperator
from ..kernels.threads import compiled_available, run_each
from .auxiliary import Auxiliary
from .direct import DirectSolver
from .krylov import flexible_gmres, norm
from .preconditioner import BlockSplit, MatrixSplit, Preconditioner, reduced_stiffness

__all__ = [
    "DIRECT_RESORT",
    "SMALLEST_REDUCTION",
    "DirectSolver",
    "KrylovSolver",
    "LinearReport",
    "LinearSolver",
    "goes_direct",
    "linear_solver",
    "solver_chain",
]

log = logging.getLogger("femspin")

Apply = Callable[[Array], Array]
Method = Literal["auto", "direct", "iterative"]

# Of the residual by one iterative solution; more would be lost in single precision.
SMALLEST_REDUCTION = 1e-6
_DIRECT_LIMIT = {1: 10**9, 2: 30_000, 3: 5_000}
# Up to which size a direct solver is the last resort: minutes and a few GB.
DIRECT_RESORT = {1: 10**9, 2: 1_000_000, 3: 120_000}
# Iterations after which a harder but safer preconditioner is tried.
_PATIENCE = 100
# Unknowns up to which several right-hand sides are solved at the same time; above, memory bounds.
_TOGETHER = 400_000
# What the diagonal blocks of the incomplete factorisation are enlarged by, in turn.
_SHIFTS = (0.0, 0.5)


@dataclass(frozen=True)
class LinearReport:
    """What the linear solver did.

    Args:
        method: ``direct`` or ``iterative``.
        unknowns: Size of the system.
        iterations: Krylov iterations (0 if direct).
        residual: |b - A x| / |b|, recomputed cell by cell from the weak form.
        seconds: Wall time of assembly, set-up and solve.
        choice: What was used, in words, and what failed before it.
        assembly_s: Wall time of filling matrix and load.
        setup_s: Wall time of factors and preconditioners.
        solve_s: Wall time of the solution.
    """

    method: str
    unknowns: int
    iterations: int
    residual: float
    seconds: float
    choice: str = ""
    assembly_s: float = 0.0
    setup_s: float = 0.0
    solve_s: float = 0.0


class LinearSolver(Protocol):
    """A prepared solver that reduces a residual; refinement is left to the caller."""

    method: str
    choice: str
    iterations: int
    aged: bool

    def solve(self, load: Array, reduction: float | None = None) -> Array:
        """Return an approximate solution for one right-hand side.

        Args:
            load: Right-hand side.
            reduction: Residual over |load| that is enough; an iteration chooses by itself if None.
        """
        ...

    def solve_many(self, loads: Array) -> Array:
        """Return approximate solutions for the columns of `loads`, shape (n, k)."""
        ...

    def precondition(self, r: Array) -> Array:
        """Return a cheap approximate solution."""
        ...

    def transposed(self) -> LinearSolver:
        """Return a solver for the transposed matrix that shares what it can."""
        ...


def goes_direct(unknowns: int, dimension: int, method: Method) -> bool:
    """Return whether a system of some size is solved by factors."""
    return method == "direct" or (method == "auto" and unknowns <= _DIRECT_LIMIT[dimension])


def linear_solver(
    matrix: sp.csr_array,
    charge: NDArray[np.bool_],
    dimension: int,
    method: Method = "auto",
    max_iterations: int = 500,
    stiffness: Callable[[], sp.csr_array | None] | None = None,
) -> LinearSolver:
    """Return a prepared solver for a matrix with positive definite symmetric part.

    Args:
        matrix: Shape (n, n).
        charge: Which unknowns are charge potentials, shape (n,).
        dimension: Space dimension; decides up to which size a direct solve is faster.
        method: ``auto`` chooses by size.
        max_iterations: Limit of Krylov iterations per right-hand side.
        stiffness: Makes the auxiliary stiffness between the charge unknowns, for multigrid.

    Raises:
        SolverError: If the matrix is singular.
    """
    if goes_direct(matrix.shape[0], dimension, method):
        return DirectSolver(matrix, dimension)
    split = MatrixSplit(matrix, charge, stiffness and stiffness())
    products = (lambda x: matrix @ x, lambda x: matrix.T @ x)
    return KrylovSolver(products, split, max_iterations)


def solver_chain(
    operator: BlockOperator,
    dimension: int,
    method: Method,
    max_iterations: int,
    auxiliary: Callable[[], Auxiliary],
) -> Iterator[LinearSolver]:
    """Yield prepared solvers for a matrix given by blocks, each for when those before it failed.

    ``auto``: direct for small systems; else Krylov with the field split, then with a more
    diagonally dominant incomplete factorisation, then direct up to a size that memory allows.

    Args:
        operator: The matrix.
        dimension: Space dimension; decides up to which size a direct solve is faster.
        method: ``auto`` chooses by size; ``direct`` or ``iterative`` use only such solvers.
        max_iterations: Limit of Krylov iterations per right-hand side.
        auxiliary: Makes what multigrid is built from.

    Raises:
        SolverError: If the matrix is singular.
    """
    n, constraint = operator.shape[0], operator.constraint
    if goes_direct(n, dimension, method):
        yield DirectSolver(operator.matrix, dimension)
        return
    last = method == "auto" and n <= DIRECT_RESORT[dimension]
    made = auxiliary()
    if compiled_available():
        products = (operator.multiply, operator.multiply_transposed)
        for shift in _SHIFTS:
            try:
                split: Preconditioner = BlockSplit(operator, made, shift)
            except SolverError as error:
                log.info("%s", error)
                continue
            first = shift == 0
            most = min(max_iterations, _PATIENCE) if first else max_iterations
            yield KrylovSolver(products, split, most, patient=not first)
    else:
        reduced = reduced_stiffness(made, constraint)
        split = MatrixSplit(operator.matrix, constraint.charge, reduced)
        matrix = operator.matrix
        yield KrylovSolver((lambda x: matrix @ x, lambda x: matrix.T @ x), split, max_iterations)
    if last:
        yield DirectSolver(operator.matrix, dimension)


class KrylovSolver:
    """Flexible GMRES with a field-split preconditioner, to a small relative residual.

    Args:
        products: x -> A x and x -> A^T x.
        preconditioner: Approximate inverse.
        limit: Most iterations per right-hand side.
        patient: Whether a residual that is not small enough then is returned, to be reduced by
            another solution, or raised.
    """

    method = "iterative"
    aged = False
    reduction = SMALLEST_REDUCTION

    def __init__(
        self, products: tuple[Apply, Apply], preconditioner: Preconditioner, limit: int, patient: bool = True
    ) -> None:
        self._patient, self._fresh = patient, 0
        self.iterations = 0
        self.choice = f"flexible GMRES with {preconditioner.name}"
        self._products, self._preconditioner, self._limit = products, preconditioner, limit
        self._side = 0

    def renewed(self, operator: BlockOperator) -> KrylovSolver | None:
        """Return a solver of a similar matrix with the old factors, None if it has none of blocks.

        It gives up where one solution takes the iterations of all when the factors were new.
        """
        if not isinstance(self._preconditioner, BlockSplit):
            return None
        products = (operator.multiply, operator.multiply_transposed)
        split = self._preconditioner.renewed(operator)
        fresh = self._fresh or max(self.iterations, 1)
        other = KrylovSolver(products, split, min(fresh, self._limit), patient=False)
        other.aged, other._fresh = True, fresh
        return other

    def precondition(self, r: Array) -> Array:
        """Return one application of the preconditioner."""
        m = self._preconditioner
        return m.solve_transposed(r) if self._side else m.solve(r)

    def solve(self, load: Array, reduction: float | None = None) -> Array:
        """Return a solution whose residual is smaller than a reduction times |load|."""
        x, used = self._solved(load, reduction or self.reduction)
        self.iterations += used
        return x

    def _solved(self, load: Array, reduction: float) -> tuple[Array, int]:
        target = reduction * norm(load)
        product = self._products[self._side]
        x, left, used = flexible_gmres(
            product, np.asarray(load, float), None, self.precondition, target, self._limit
        )
        if not self._patient and not norm(left) <= 2 * target:
            raise SolverError(f"{self.choice} did not converge in {used} iterations")
        return x, used

    def solve_many(self, loads: Array) -> Array:
        """Return the solutions of all columns; zero columns cost nothing.

        Small systems are solved at the same time, a thread for each: a step of one is too short
        to be shared out.
        """
        found, columns = np.zeros_like(loads), np.flatnonzero(np.any(loads != 0, axis=0))
        rows = [np.ascontiguousarray(loads[:, k]) for k in columns]
        together = compiled_available() and len(loads) <= _TOGETHER
        solved = run_each(self._column, rows) if together else map(self._column, rows)
        for k, (x, used) in zip(columns, solved, strict=True):
            found[:, k] = x
            self.iterations += used
        return found

    def _column(self, load: Array) -> tuple[Array, int]:
        return self._solved(load, self.reduction)

    def transposed(self) -> KrylovSolver:
        """Return the solver of the transposed matrix, with the same preconditioner."""
        other = copy(self)
        other._side, other.iterations = 1 - self._side, 0
        return other
