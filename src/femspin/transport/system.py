"""The transport problem: region blocks plus boundary terms, solved for mu."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..errors import SolverError
from ..fields.region import RegionFields
from ..units import Array
from .assembly.boundary import Boundary, Constraint, FluxLaw, build_constraint, contact_terms, face_terms
from .assembly.coefficients import Coefficients, coefficients, same_coefficients
from .assembly.covariant import Elements, carried_directions
from .assembly.kronecker import KroneckerBlocks
from .assembly.operator import BlockOperator
from .assembly.products import add_difference
from .assembly.regions import Blocks, apply_region, assemble_region, load_size
from .determinacy import require_determined
from .elements.space import Space
from .linear.auxiliary import auxiliary
from .linear.memory import require_memory
from .linear.refinement import refine
from .linear.solve import (
    DIRECT_RESORT,
    DirectSolver,
    KrylovSolver,
    LinearReport,
    LinearSolver,
    Method,
    solver_chain,
)

__all__ = ["LinearSystem", "SolverOptions", "TransportProblem", "TransportState"]

log = logging.getLogger("femspin")


# From this many right-hand sides on, up to this size, a factorisation pays off even in 3D.
_MANY, _MANY_DIRECT = 12, 80_000


@dataclass(frozen=True)
class SolverOptions:
    """Choices of the linear solver and the elements; see `linear_solver`.

    Args:
        tolerance: Relative residual that must be reached.
        elements: Whether elements carry spin, see `carried_directions`, or the directions by
            region.
    """

    method: Method = "auto"
    tolerance: float = 1e-11
    max_iterations: int = 500
    elements: Elements | Mapping[str, tuple[int, ...]] = "auto"


@dataclass(frozen=True)
class TransportState:
    """A solved transport problem.

    Args:
        mu: Potentials [meV], shape (n_dofs, 4).
        mu_low: What mu lacks of the extended-precision solution, shape (n_dofs, 4).
        coefficients: By conducting region, in solver units.
        blocks: Matrix and load of every region, for the consistent fluxes.
        laws: Flux laws of the faces.
        report: What the linear solver did.
    """

    mu: Array
    mu_low: Array
    coefficients: Mapping[str, Coefficients]
    blocks: Mapping[str, Blocks]
    laws: Mapping[str, FluxLaw]
    report: LinearReport


@dataclass(frozen=True)
class LinearSystem:
    """The matrix of the unknowns and its solver.

    Args:
        operator: The matrix by blocks.
        solver: Prepared solver.
        dimension: Space dimension.
    """

    operator: BlockOperator
    solver: LinearSolver
    dimension: int

    @cached_property
    def transposed(self) -> LinearSolver:
        """A solver of the transposed matrix."""
        return self.solver.transposed()

    @property
    def may_be_factorised(self) -> bool:
        """Whether a direct solver is a last resort that has not been tried."""
        small = self.operator.shape[0] <= DIRECT_RESORT[self.dimension]
        return self.solver.method != "direct" and small

    @cached_property
    def factorised(self) -> LinearSolver:
        """A direct solver, whatever the choice for single right-hand sides."""
        if self.solver.method == "direct":
            return self.solver
        return DirectSolver(self.operator.matrix, self.dimension)

    def for_many(self, columns: int, transposed: bool) -> LinearSolver:
        """Return the solver that is fastest for many right-hand sides at once."""
        if columns >= _MANY and self.operator.shape[0] <= _MANY_DIRECT:
            return self.factorised.transposed() if transposed else self.factorised
        return self.transposed if transposed else self.solver

    def products(self, columns: Array, transposed: bool) -> Array:
        """Return A or A^T times the columns of an array, shape (n_free, k)."""
        if self.solver.method == "direct":
            matrix = self.operator.matrix.T if transposed else self.operator.matrix
            return np.asarray(matrix @ columns)
        product = self.operator.multiply_transposed if transposed else self.operator.multiply
        return np.stack([product(np.ascontiguousarray(x)) for x in columns.T], axis=1)


class TransportProblem:
    """W1 on one mesh with one set of boundary conditions, for changing coefficients.

    Mesh, pattern and constraint are built once.  Regions whose fields did not change since the
    last solve keep their blocks.
    """

    def __init__(self, space: Space, boundary: Boundary, options: SolverOptions | None = None) -> None:
        self.space, self.boundary = space, boundary
        self.options = options or SolverOptions()
        self.constraint: Constraint = build_constraint(space, boundary)
        self._blocks: dict[str, tuple[RegionFields, Coefficients, Blocks]] = {}
        self._latest: tuple[TransportState, LinearSystem] | None = None

    def solve(
        self,
        fields: Mapping[str, RegionFields],
        laws: Mapping[str, FluxLaw] | None = None,
        guess: Array | None = None,
    ) -> TransportState:
        """Return the solution for the given fields of every conducting region.

        Args:
            fields: By region name.
            laws: Flux law of every flux face of the boundary.
            guess: Earlier mu [meV], shape (n_dofs, 4), to start an iteration from.

        Raises:
            SolverError: If the linear solver fails, or nothing fixes a spin component.
        """
        began = time.perf_counter()
        laws = laws or {}
        scaled = self.scaled(fields)
        if self._latest is None:
            require_memory(self.space, self.options.method, scaled)
            require_determined(self.space, self.boundary, self.constraint, scaled, laws)
        blocks = {name: self._region(name, fields[name], scaled[name]) for name in fields}
        extra, load = self._faces(laws)
        assembled = time.perf_counter()
        start_values = None
        if guess is not None:
            start_values = self.constraint.gather(guess.ravel()) / self.constraint.gather(
                np.ones(self.space.size)
            )
        system, found, words, setup = self._first_that_solves(
            self._systems(blocks, extra, scaled), scaled, blocks, extra, load, start_values
        )
        mu, low, residual = found
        now = time.perf_counter()
        report = LinearReport(
            system.solver.method,
            len(self.constraint.charge),
            system.solver.iterations,
            residual,
            now - began,
            words,
            assembled - began,
            setup,
            now - assembled - setup,
        )
        state = TransportState(mu, low, scaled, blocks, dict(laws), report)
        self._latest = (state, system)
        return state

    def _first_that_solves(
        self,
        systems: Iterator[LinearSystem],
        scaled: Mapping[str, Coefficients],
        blocks: Mapping[str, Blocks],
        extra: sp.csr_array,
        load: Array,
        guess: Array | None,
    ) -> tuple[LinearSystem, tuple[Array, Array, float], str, float]:
        """Return the first system that is solved, its solution, words on it, set-up time."""
        failed: SolverError | None = None
        words, setup, began, aged = "", 0.0, time.perf_counter(), False
        for system in systems:
            setup += time.perf_counter() - began
            if failed is not None and not aged:
                log.warning("%s; now: %s", failed, system.solver.choice)
                words += f"{failed}; then "
            aged = system.solver.aged
            log.info("linear solver: %s, %d unknowns", system.solver.choice, system.operator.shape[0])
            try:
                found = self._refine(system.solver, scaled, blocks, extra, load, guess)
            except SolverError as error:
                failed, began = error, time.perf_counter()
                continue
            return system, found, words + system.solver.choice, setup
        if failed is None:
            raise SolverError("no solver could be prepared for the transport system")
        raise SolverError(
            f'{failed}; try solver.method = "direct", more solver.max_iterations or a larger solver.tolerance'
        )

    def system(self, state: TransportState) -> LinearSystem:
        """Return the matrix behind a solution and a solver for it, kept from its solve if last."""
        if self._latest is None or self._latest[0] is not state:
            extra, _ = self._faces(state.laws)
            # Old factors are for solutions that may fall back on new ones.
            self._latest = None
            systems = self._systems(state.blocks, extra, state.coefficients)
            self._latest = (state, next(systems))
        return self._latest[1]

    def residual(
        self,
        coefficients: Mapping[str, Coefficients],
        laws: Mapping[str, FluxLaw],
        mu: Array,
        mu_low: Array | float = 0.0,
    ) -> Array:
        """Return b - K mu of the unknowns, cell by cell from the weak form, shape (n_free,).

        Args:
            coefficients: Of every conducting region, in solver units.
            laws: Flux law of every flux face.
            mu: Potentials [meV], shape (n_dofs, 4).
            mu_low: Rest of an extended-precision mu.
        """
        full = self.dof_residual(coefficients, laws, mu, mu_low)
        return self.constraint.gather(full.ravel()) + self.constraint.inflow

    def dof_residual(
        self,
        coefficients: Mapping[str, Coefficients],
        laws: Mapping[str, FluxLaw],
        mu: Array,
        mu_low: Array | float = 0.0,
    ) -> Array:
        """Return b - K mu of every dof, without what electrodes feed in, shape (n_dofs, 4).

        The arguments are those of `residual`.
        """
        extra, load = self._faces(laws)
        low = np.broadcast_to(mu_low, mu.shape)
        return self._full_residual(coefficients, extra, load, mu, low, {}).reshape(-1, 4)

    def _full_residual(
        self,
        scaled: Mapping[str, Coefficients],
        extra: sp.csr_array,
        load: Array,
        mu: Array,
        low: Array,
        blocks: Mapping[str, Blocks],
    ) -> Array:
        inflow = np.zeros_like(mu)
        for name, c in scaled.items():
            known = blocks.get(name)
            if isinstance(known, KroneckerBlocks):
                add_difference(known, mu, low, inflow)
                inflow -= known.load
            else:
                inflow += apply_region(self.space, name, c, mu, low)
        full: Array = load - inflow.ravel()
        return full - extra @ mu.ravel() - extra @ low.ravel() if extra.nnz else full

    def _systems(
        self, blocks: Mapping[str, Blocks], extra: sp.csr_array, scaled: Mapping[str, Coefficients]
    ) -> Iterator[LinearSystem]:
        """Yield the matrix with solvers, each for when those before it failed."""
        operator = BlockOperator(self.space, blocks, extra, self.constraint)
        options = self.options
        if self._latest is not None and isinstance(self._latest[1].solver, KrylovSolver):
            # While a magnetization turns the old preconditioner serves as well.
            kept = self._latest[1].solver.renewed(operator)
            if kept is not None:
                yield LinearSystem(operator, kept, self.space.dimension)
        chain = solver_chain(
            operator,
            self.space.dimension,
            options.method,
            options.max_iterations,
            lambda: auxiliary(self.space, scaled),
        )
        for solver in chain:
            yield LinearSystem(operator, solver, self.space.dimension)

    def scaled(self, fields: Mapping[str, RegionFields]) -> dict[str, Coefficients]:
        """Return the coefficients of every region, with the elements that suit it."""
        known = self._blocks
        return {
            name: known[name][1]
            if name in known and known[name][0] is f
            else coefficients(f, self._carried(name, f))
            for name, f in fields.items()
        }

    def _carried(self, name: str, fields: RegionFields) -> tuple[int, ...]:
        chosen = self.options.elements
        if isinstance(chosen, str):
            return carried_directions(self.space, name, fields, chosen, self.space.order)
        return chosen.get(name, ())

    def _refine(
        self,
        solver: LinearSolver,
        scaled: Mapping[str, Coefficients],
        blocks: Mapping[str, Blocks],
        extra: sp.csr_array,
        load: Array,
        guess: Array | None,
    ) -> tuple[Array, Array, float]:
        """Return mu, its low part and the relative residual; see `refine`."""

        def residual(x: NDArray[np.longdouble]) -> Array:
            mu, low = self._split(x)
            full = self._full_residual(scaled, extra, load, mu, low, blocks)
            return self.constraint.gather(full) + self.constraint.inflow

        start = np.zeros(len(self.constraint.charge), np.longdouble)
        known = None if guess is None else guess.astype(np.longdouble)
        size = np.linalg.norm(
            self.constraint.gather(
                sum((load_size(self.space, n, c) for n, c in scaled.items()), np.zeros(self.space.size))
            )
        )
        x, relative = refine(
            solver, residual, start, self.options.tolerance, known, float(size), self.constraint.charge
        )
        return (*self._split(x), relative)

    def _split(self, x: NDArray[np.longdouble]) -> tuple[Array, Array]:
        full = self.constraint.expand(x).reshape(-1, 4)
        mu = full.astype(float)
        return mu, (full - mu).astype(float)

    def _region(self, name: str, fields: RegionFields, scaled: Coefficients) -> Blocks:
        known = self._blocks.get(name)
        if known is not None and known[0] is fields:
            return known[2]
        if known is not None and same_coefficients(known[1], scaled):
            return known[2]
        blocks = assemble_region(self.space, name, scaled)
        self._blocks[name] = (fields, scaled, blocks)
        return blocks

    def _faces(self, laws: Mapping[str, FluxLaw]) -> tuple[sp.csr_array, Array]:
        """Return what the flux laws of all faces add to matrix and load."""
        matrix, load = self._contacts, np.zeros(self.space.size)
        for face in self.boundary.flux:
            extra, extra_load = face_terms(self.space, face, laws[face.name])
            matrix, load = sp.csr_array(matrix + extra), load + extra_load
        return matrix, load

    @cached_property
    def _contacts(self) -> sp.csr_array:
        """What contacts add to the matrix."""
        matrix = sp.csr_array((self.space.size, self.space.size))
        for contact in self.boundary.contacts:
            matrix = sp.csr_array(matrix + contact_terms(contact))
        return matrix
