"""The transport problem: region blocks plus boundary terms, solved for mu."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..fields.region import RegionFields
from .assembly import RegionBlocks, apply_region, assemble_region, block_matrix
from .boundary import (
    Boundary,
    Constraint,
    FluxLaw,
    build_constraint,
    contact_terms,
    face_terms,
)
from .coefficients import Coefficients, coefficients
from .solve import LinearReport, LinearSolver, Method, linear_solver, refine
from .space import Space

__all__ = ["SolverOptions", "TransportProblem", "TransportState"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SolverOptions:
    """Choices of the linear solver; see `linear_solver`.

    Args:
        tolerance: Relative residual that must be reached.
    """

    method: Method = "auto"
    tolerance: float = 1e-11
    max_iterations: int = 500


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
    blocks: Mapping[str, RegionBlocks]
    laws: Mapping[str, FluxLaw]
    report: LinearReport


class TransportProblem:
    """W1 on one mesh with one set of boundary conditions, for changing coefficients.

    Mesh, pattern and constraint are built once.  Regions whose fields did not change since the
    last solve keep their blocks.
    """

    def __init__(
        self, space: Space, boundary: Boundary, options: SolverOptions | None = None
    ) -> None:
        self.space, self.boundary = space, boundary
        self.options = options or SolverOptions()
        self.constraint: Constraint = build_constraint(space, boundary)
        self._blocks: dict[str, tuple[RegionFields, RegionBlocks]] = {}

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
            SolverError: If the linear solver fails.
        """
        began = time.perf_counter()
        laws = laws or {}
        scaled = {name: coefficients(f) for name, f in fields.items()}
        blocks = {name: self._region(name, fields[name], scaled[name]) for name in fields}
        extra, load = self._faces(laws)
        matrix = sp.csr_array(block_matrix(self.space, blocks).tocsr() + extra)
        solver = linear_solver(
            self.constraint.reduce(matrix), self.constraint.charge, self.space.dimension,
            self.options.method, self.options.max_iterations,
        )  # fmt: skip
        start_values = None
        if guess is not None:
            start_values = self.constraint.gather(guess.ravel()) / self.constraint.gather(
                np.ones(self.space.size)
            )
        mu, low, residual = self._refine(solver, scaled, extra, load, start_values)
        report = LinearReport(
            solver.method, len(self.constraint.charge), solver.iterations, residual,
            time.perf_counter() - began,
        )  # fmt: skip
        return TransportState(mu, low, scaled, blocks, dict(laws), report)

    def _refine(
        self,
        solver: LinearSolver,
        scaled: Mapping[str, Coefficients],
        extra: sp.csr_array,
        load: Array,
        guess: Array | None,
    ) -> tuple[Array, Array, float]:
        """Return mu, its low part and the relative residual; see `refine`."""

        def residual(x: NDArray[np.longdouble]) -> Array:
            mu, low = self._split(x)
            inflow = np.zeros_like(mu)
            for name, c in scaled.items():
                inflow += apply_region(self.space, name, c, mu, low)
            full = load - inflow.ravel() - extra @ mu.ravel() - extra @ low.ravel()
            return self.constraint.gather(full) + self.constraint.inflow

        start = np.zeros(len(self.constraint.charge), np.longdouble)
        known = None if guess is None else guess.astype(np.longdouble)
        x, relative = refine(solver, residual, start, self.options.tolerance, known)
        return (*self._split(x), relative)

    def _split(self, x: NDArray[np.longdouble]) -> tuple[Array, Array]:
        full = self.constraint.expand(x).reshape(-1, 4)
        mu = full.astype(float)
        return mu, (full - mu).astype(float)

    def _region(self, name: str, fields: RegionFields, scaled: Coefficients) -> RegionBlocks:
        known = self._blocks.get(name)
        if known is not None and known[0] is fields:
            return known[1]
        blocks = assemble_region(self.space, name, scaled)
        self._blocks[name] = (fields, blocks)
        return blocks

    def _faces(self, laws: Mapping[str, FluxLaw]) -> tuple[sp.csr_array, Array]:
        """Return what the flux laws of all faces add to matrix and load."""
        size = self.space.size
        matrix, load = sp.csr_array((size, size)), np.zeros(size)
        for face in self.boundary.flux:
            extra, extra_load = face_terms(self.space, face, laws[face.name])
            matrix, load = matrix + extra, load + extra_load
        for contact in self.boundary.contacts:
            matrix = matrix + contact_terms(contact)
        return sp.csr_array(matrix), load
