"""Transport around a magnetization texture, solved again and again as the texture moves.

Mesh, pattern, the blocks of regions that do not change, and the factors of an earlier matrix are
kept.  A new texture costs the reaction of the cells that follow it, and a few iterations of GMRES
with the old factors as preconditioner from the old solution.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ..errors import SolverError
from ..fields.region import RegionFields
from ..transport.assembly import assemble_region
from ..transport.boundary import FluxLaw, contact_terms
from ..transport.coefficients import Coefficients
from ..transport.solve import DirectSolver, KrylovSolver, linear_solver
from ..transport.system import TransportProblem
from .coupling_faces import FacetFace
from .coupling_krylov import ReducedPattern, reduced_pattern, warm_gmres
from .coupling_map import MagnetMap
from .coupling_regions import HBAR_SOLVER, FollowingRegion
from .texture.vectors import cross

__all__ = ["TexturedSolution", "TexturedTransport", "Work"]

Array = NDArray[np.float64]
FieldsOf = Callable[[str, Array], RegionFields]
LawOf = Callable[[str, Array], FluxLaw]

_MOST_ROUNDS = 6
_MOST_ITERATIONS = 60
_STALLED = 0.5


@dataclass
class Work:
    """What solving has cost so far.

    Args:
        solutions: Solved problems.
        factorisations: Preconditioners made.
        iterations: Krylov iterations of every solution.
        seconds: Wall time by phase: fields, assembly, factor, solve, torque.
    """

    solutions: int = 0
    factorisations: int = 0
    iterations: list[int] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(
            ("fields", "assembly", "factor", "solve", "torque"), 0.0
        )
    )


@dataclass(frozen=True)
class TexturedSolution:
    """Transport around one texture, in solver units.

    Args:
        m: Directions of the nodes, shape (n, 3).
        mu: Potentials [meV], shape (n_dofs, 4).
        unknowns: The same as unknowns, shape (n_free,).
        flux: R J^mom taken up at every node [1/ps], shape (n, 3); its part normal to m
            drives m.
        coefficients: By conducting region.
        laws: By flux face.
        iterations: Krylov iterations.
        residual: |b - A x| / |b|.
        error: Estimated error of the flux over its largest value.
    """

    m: Array
    mu: Array
    unknowns: Array
    flux: Array
    coefficients: Mapping[str, Coefficients]
    laws: Mapping[str, FluxLaw]
    iterations: int
    residual: float
    error: float


class TexturedTransport:
    """W1 on one mesh for changing textures of one magnet.

    Args:
        problem: Mesh, conditions on faces, choices of solver and elements.
        map: Weights between magnet and conductors.
        faces: Faces with a flux law.
        fields_of: Fields of a region for directions (3,) or (n, 1, 3).
        law_of: Flux law of a face for directions (3,) or (n_facets, 3).
        at_rest: Direction that all other moments have, shape (3,).
        refresh: Iterations above which the next solution gets new factors.
    """

    def __init__(
        self,
        problem: TransportProblem,
        map: MagnetMap,
        faces: tuple[FacetFace, ...],
        fields_of: FieldsOf,
        law_of: LawOf,
        at_rest: Array,
        conductors: tuple[str, ...],
        refresh: int = 15,
    ) -> None:
        self.problem, self.map, self.faces = problem, map, faces
        self.refresh, self.work = refresh, Work()
        self._fields_of, self._law_of, self._at_rest = fields_of, law_of, at_rest
        self._conductors = conductors
        space = problem.space
        self._following = {name: FollowingRegion(space, name) for name in map.on_cells}
        self._still = {n: fields_of(n, at_rest) for n in conductors if n not in map.on_cells}
        self._fixed: tuple[Array, Array] | None = None
        self._pattern: ReducedPattern | None = None
        self._solver: Any = None
        self._fresh_iterations = 0
        self._turns = {n: fields_of(n, at_rest).rotation for n in conductors}
        contacts = [contact_terms(c) for c in problem.boundary.contacts]
        self._contacts = sum(contacts, sp.csr_array((space.size, space.size)))
        self._joined = problem.constraint.reduce(self._contacts) if contacts else None

    @property
    def section(self) -> float:
        """Extent of the directions that are not meshed [nm^(3 - dimension)]."""
        return self.map.space.section

    def fields(self, m: Array) -> dict[str, RegionFields]:
        """Return the fields of every conductor for a texture, as `TransportProblem` takes them."""
        found = {}
        for name in self._conductors:
            if name in self._still:
                found[name] = self._still[name]
            else:
                directions = self.map.cell_directions(name, m)
                found[name] = self._fields_of(name, directions[:, None])
        return found

    def laws(self, m: Array) -> dict[str, FluxLaw]:
        """Return the flux law of every face for a texture."""
        directions = self.map.facet_directions(m)
        return {
            face.name: self._law_of(
                face.name,
                directions[self.map.faces[face.name]] if self._touches(face) else self._at_rest,
            )
            for face in self.faces
        }

    def _touches(self, face: FacetFace) -> bool:
        return face.name in self.map.faces

    def solve(
        self,
        m: Array,
        velocity: Array | None = None,
        accuracy: float = 1e-6,
        guess: Array | None = None,
    ) -> TexturedSolution:
        """Return the solution for a texture.

        Args:
            m: Directions of the nodes, shape (n, 3).
            velocity: dm/dt [1/ps], shape (n, 3), which pumps spin; None leaves pumping out.
            accuracy: Relative error allowed in the flux that drives the nodes.
            guess: Unknowns to start from, shape (n_free,).

        Raises:
            SolverError: If the iteration fails with new factors, too.
        """
        clock = _Clock(self.work)
        fields = self.fields(m)
        coefficients, laws = self.problem.scaled(fields), self.laws(m)
        pumped = self._pumped(m, velocity, fields)
        clock.lap("fields")
        matrix, load = self._assemble(coefficients, laws, pumped)
        clock.lap("assembly")

        def error(x: Array, r: Array) -> float:
            return self._flux_error(x, r, coefficients, laws, pumped)

        x, r, iterations, left = self._solve(matrix, load, guess, accuracy, error, clock)
        mu = self._dofs(x)
        flux = self._flux(mu, coefficients, laws, pumped)
        clock.lap("torque")
        self.work.solutions += 1
        self.work.iterations.append(iterations)
        size = float(np.linalg.norm(load)) or 1.0
        residual = float(np.linalg.norm(r)) / size
        return TexturedSolution(
            m.copy(), mu, x, flux, coefficients, laws, iterations, residual, left
        )

    def _pumped(
        self, m: Array, velocity: Array | None, fields: Mapping[str, RegionFields]
    ) -> dict[str, Array]:
        """Return hbar R^T (m x dm/dt) of the cells and facets that follow the magnet [meV]."""
        if velocity is None:
            return {}
        turn = HBAR_SOLVER * cross(m, velocity)
        found = {
            name: (weights.T @ turn) @ fields[name].rotation
            for name, weights in self.map.from_cells.items()
        }
        facets = self.map.from_facets.T @ turn
        for face in self.faces:
            if self._touches(face):
                part = facets[self.map.faces[face.name]]
                found[face.name] = part @ fields[face.region].rotation
        return found

    def _assemble(
        self,
        coefficients: Mapping[str, Coefficients],
        laws: Mapping[str, FluxLaw],
        pumped: Mapping[str, Array],
    ) -> tuple[sp.csr_array, Array]:
        """Return matrix and right-hand side of the unknowns."""
        fixed_values, fixed_load = self._unchanged(coefficients)
        values, load = fixed_values.copy(), fixed_load.copy()
        space, constraint = self.problem.space, self.problem.constraint
        for name, region in self._following.items():
            region.add(coefficients[name], values, load)
            if name in pumped:
                load += region.pumping_load(coefficients[name], pumped[name])
        nothing = np.zeros(3)
        for face in self.faces:
            face.add(space, laws[face.name], pumped.get(face.name, nothing), values, load)
        flat = load.ravel()
        if constraint.fixed.any():
            shape = (space.size, space.size)
            pattern = space.pattern
            whole = sp.bsr_array((values, pattern.indices, pattern.indptr), shape=shape)
            flat = flat - whole @ constraint.fixed - self._contacts @ constraint.fixed
        if self._pattern is None:
            self._pattern = reduced_pattern(space, constraint, self._needed(values, coefficients))
        matrix = self._pattern.matrix(values)
        if self._joined is not None:
            matrix = sp.csr_array(matrix + self._joined)
        return matrix, constraint.gather(flat) + constraint.inflow

    def _unchanged(self, coefficients: Mapping[str, Coefficients]) -> tuple[Array, Array]:
        """Return values and load of the regions that do not follow the magnet."""
        if self._fixed is None:
            space = self.problem.space
            values = np.zeros((len(space.pattern.indices), 4, 4))
            load = np.zeros((space.n_dofs, 4))
            for name in self._still:
                blocks = assemble_region(space, name, coefficients[name])
                values += blocks.values
                load += blocks.load
            self._fixed = (values, load)
        return self._fixed

    def _needed(
        self, values: Array, coefficients: Mapping[str, Coefficients]
    ) -> NDArray[np.bool_]:
        """Return which block entries may ever differ from zero, shape (n_slots, 4, 4)."""
        needed = values != 0
        needed[:, 1:, 1:] = True
        needed[:, 0, 0] = True
        for name, region in self._following.items():
            if coefficients[name].theta.ndim > 2 or coefficients[name].along:
                needed[region.slots] = True
        return np.asarray(needed, bool)

    def _solve(
        self, matrix: sp.csr_array, load: Array, guess: Array | None, accuracy: float,
        error: Callable[[Array, Array], float], clock: _Clock,
    ) -> tuple[Array, Array, int, float]:  # fmt: skip
        """Return unknowns, residual, iterations and error; new factors where old ones fail."""
        fresh = self._solver is None
        if fresh:
            self._factorise(matrix, clock)
        x = np.zeros(len(load)) if guess is None else guess
        whole = float(np.linalg.norm(load))
        done, target, last = 0, accuracy * whole, np.inf
        # New factors are no help where iterations with them were as many.
        most = max(self.refresh, self._fresh_iterations)
        for _ in range(_MOST_ROUNDS):
            limit = _MOST_ITERATIONS if fresh else 2 * most
            before = x
            x, r, used = warm_gmres(matrix, load, x, self._precondition, target, limit)
            done += used
            clock.lap("solve")
            size, left = float(np.linalg.norm(r)), error(x, r)
            clock.lap("torque")
            # Where round-off stops the residual, the flux alone is judged.
            if left <= accuracy and (size <= target or size > _STALLED * last):
                break
            if size <= target:
                target = size * min(0.1, 0.3 * accuracy / left)
            elif not fresh:
                self._factorise(matrix, clock)
                fresh, x, size = True, before, np.inf
            last = size
        else:
            raise SolverError(
                f"the coupled transport left an error of {left:.1e} in the flux (allowed"
                f" {accuracy:.0e}) and a relative residual of {size / whole:.1e} after {done}"
                " iterations"
            )
        if fresh:
            self._fresh_iterations = done
        elif done > most:
            self._solver = None  # the next solution gets new factors
        return x, r, done, left

    def _factorise(self, matrix: sp.csr_array, clock: _Clock) -> None:
        problem, options = self.problem, self.problem.options
        vertices = problem._from_vertices if problem.space.order > 1 else None
        self._solver = linear_solver(
            matrix, problem.constraint.charge, problem.space.dimension, options.method,
            options.max_iterations, vertices,
        )  # fmt: skip
        self.work.factorisations += 1
        clock.lap("factor")

    def _precondition(self, r: Array) -> Array:
        if isinstance(self._solver, DirectSolver):
            return self._solver.solve(r)
        assert isinstance(self._solver, KrylovSolver)
        return np.asarray(self._solver._preconditioner.matvec(r))

    def _flux_error(
        self, x: Array, r: Array, coefficients: Mapping[str, Coefficients],
        laws: Mapping[str, FluxLaw], pumped: Mapping[str, Array],
    ) -> float:  # fmt: skip
        """Return the change of the flux by one more correction over its largest value."""
        mu, fixed = self._dofs(x), self.problem.constraint.fixed.reshape(-1, 4)
        change = self._dofs(self._precondition(r)) - fixed
        whole = self._flux(mu, coefficients, laws, pumped)
        undriven = {n: FluxLaw(law.conductance, np.zeros(3)) for n, law in laws.items()}
        miss = self._flux(change, coefficients, undriven, {})
        scale = float(np.abs(whole).max(initial=0.0))
        return float(np.abs(miss).max(initial=0.0)) / scale if scale > 0 else 0.0

    def _flux(
        self, mu: Array, coefficients: Mapping[str, Coefficients], laws: Mapping[str, FluxLaw],
        pumped: Mapping[str, Array],
    ) -> Array:  # fmt: skip
        """Return what every node takes up, shape (n, 3)."""
        total = np.zeros((self.map.space.size, 3))
        for name, region in self._following.items():
            found = region.moments(coefficients[name], mu, pumped.get(name))
            total += self.map.from_cells[name] @ (found @ self._turn(name).T)
        for face in self.faces:
            if self._touches(face):
                law, given = laws[face.name], pumped.get(face.name, np.zeros(3))
                inflow = face.inflow(self.problem.space, law, mu, given)
                share = self.map.from_facets[:, self.map.faces[face.name]]
                total += share @ (inflow @ self._turn(face.region).T)
        return total * self.section

    def _dofs(self, x: Array) -> Array:
        """Return mu of unknowns, shape (n_dofs, 4)."""
        return np.asarray(self.problem.constraint.expand(x), float).reshape(-1, 4)

    def _turn(self, region: str) -> Array:
        """Return R of a region; it does not depend on the directions."""
        return self._turns[region]


class _Clock:
    """Adds wall time to phases."""

    def __init__(self, work: Work) -> None:
        self._work, self._last = work, time.perf_counter()

    def lap(self, phase: str) -> None:
        """Add the time since the last lap to a phase."""
        now = time.perf_counter()
        self._work.seconds[phase] += now - self._last
        self._last = now
