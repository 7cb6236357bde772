"""Transport around a magnetization texture, solved again and again as the texture moves.

Mesh, pattern, the blocks of regions that do not change, and the factors of an earlier matrix are
kept.  A new texture costs the reaction of the cells that follow it, and a few iterations of GMRES
with the old factors as preconditioner from the old solution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...errors import SolverError
from ...fields.region import RegionFields
from ...magnets.vectors import cross
from ...transport.assembly.boundary import FluxLaw, contact_terms
from ...transport.assembly.coefficients import Coefficients
from ...transport.assembly.regions import assemble_region
from ...transport.linear.auxiliary import auxiliary
from ...transport.linear.krylov import flexible_gmres
from ...transport.linear.preconditioner import reduced_stiffness
from ...transport.linear.solve import linear_solver
from ...transport.system import TransportProblem
from ...units import Array
from .faces import FacetFace
from .pattern import ReducedPattern, reduced_pattern
from .regions import HBAR_SOLVER, FollowingRegion
from .weights import MagnetMap
from .work import PhaseClock, Work

__all__ = ["TexturedSolution", "TexturedTransport", "Work"]

FieldsOf = Callable[[str, Array], RegionFields]
LawOf = Callable[[str, Array], FluxLaw]

_MOST_ROUNDS = 6
_MOST_ITERATIONS = 60
_STALLED = 0.5


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
        drive: Factor of all sources of the device.
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
    drive: float = 1.0


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
        self._factors_of: Array | None = None
        resting = {n: fields_of(n, at_rest) for n in conductors}
        self._turns = {n: f.rotation for n, f in resting.items()}
        space, scaled = problem.space, problem.scaled(resting)
        self._stiffness = lambda: reduced_stiffness(auxiliary(space, scaled), problem.constraint)
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
                face.name, directions[self.map.faces[face.name]] if self._touches(face) else self._at_rest
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
        drive: float = 1.0,
    ) -> TexturedSolution:
        """Return the solution for a texture.

        Args:
            m: Directions of the nodes, shape (n, 3).
            velocity: dm/dt [1/ps], shape (n, 3), which pumps spin; None leaves pumping out.
            accuracy: Relative error allowed in the flux that drives the nodes.
            guess: Unknowns to start from, shape (n_free,).
            drive: Factor of all sources of the device; 0 leaves only what is pumped.

        Raises:
            SolverError: If the iteration fails with new factors, too.
        """
        clock = PhaseClock(self.work)
        fields = self.fields(m)
        coefficients, laws = self.problem.scaled(fields), self.laws(m)
        pumped = self._pumped(m, velocity, fields)
        clock.lap("fields")
        laws = {n: FluxLaw(law.conductance, drive * law.drift) for n, law in laws.items()}
        matrix, load = self._assemble(coefficients, laws, pumped, drive)
        clock.lap("assembly")

        def error(x: Array, r: Array) -> float:
            return self._flux_error(x, r, coefficients, laws, pumped, drive)

        made = self.work.factorisations
        x, r, iterations, left = self._solve(matrix, load, guess, accuracy, error, clock)
        if self.work.factorisations > made:
            self._factors_of = m.copy()
        mu = self._dofs(x, drive)
        flux = self._flux(mu, coefficients, laws, pumped)
        clock.lap("torque")
        self.work.solutions += 1
        self.work.iterations.append(iterations)
        size = float(np.linalg.norm(load)) or 1.0
        residual = float(np.linalg.norm(r)) / size
        return TexturedSolution(m.copy(), mu, x, flux, coefficients, laws, iterations, residual, left, drive)

    def recalled(self, m: Array, unknowns: Array, flux: Array, drive: float) -> TexturedSolution:
        """Return an earlier solution from what is kept of it in a checkpoint."""
        coefficients, laws = self.problem.scaled(self.fields(m)), self.laws(m)
        return TexturedSolution(
            m, self._dofs(unknowns, drive), unknowns, flux, coefficients, laws, 0, np.nan, np.nan, drive
        )

    def state(self) -> dict[str, Array]:
        """Return what a resumed run needs besides its solutions: counts and the factors' texture.

        The matrix depends on the texture alone, so its factors are made again from that.
        """
        of = None if self._solver is None else self._factors_of
        return {
            "factors_of": np.zeros((0, 3)) if of is None else of,
            "fresh_iterations": np.array(float(self._fresh_iterations)),
            "iterations": np.array(self.work.iterations, float),
            "factorisations": np.array(float(self.work.factorisations)),
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take up a saved state."""
        work, m = self.work, state["factors_of"]
        self._fresh_iterations = int(state["fresh_iterations"])
        work.iterations = [int(k) for k in state["iterations"]]
        work.solutions = len(work.iterations)
        self._solver = None
        if len(m):
            clock = PhaseClock(work)
            matrix, _ = self._assemble(self.problem.scaled(self.fields(m)), self.laws(m), {}, 1.0)
            clock.lap("assembly")
            self._factorise(matrix, clock)
            self._factors_of = m
        work.factorisations = int(state["factorisations"])

    def _pumped(
        self, m: Array, velocity: Array | None, fields: Mapping[str, RegionFields]
    ) -> dict[str, Array]:
        """Return hbar R^T (m x dm/dt) of the cells and facets that follow the magnet [meV]."""
        if velocity is None:
            return {}
        turn = HBAR_SOLVER * cross(m, velocity)
        found = {
            name: (weights.T @ turn) @ fields[name].rotation for name, weights in self.map.from_cells.items()
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
        drive: float,
    ) -> tuple[sp.csr_array, Array]:
        """Return matrix and right-hand side of the unknowns."""
        fixed_values, fixed_load = self._unchanged(coefficients)
        values, load = fixed_values.copy(), fixed_load.copy()
        space, constraint = self.problem.space, self.problem.constraint
        for name, region in self._following.items():
            region.add(coefficients[name], values, load)
        load *= drive
        for name, region in self._following.items():
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
            fixed = drive * constraint.fixed
            flat = flat - whole @ fixed - self._contacts @ fixed
        if self._pattern is None:
            self._pattern = reduced_pattern(space, constraint, self._needed(values, coefficients))
        matrix = self._pattern.matrix(values)
        if self._joined is not None:
            matrix = sp.csr_array(matrix + self._joined)
        return matrix, constraint.gather(flat) + drive * constraint.inflow

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

    def _needed(self, values: Array, coefficients: Mapping[str, Coefficients]) -> NDArray[np.bool_]:
        """Return which block entries may ever differ from zero, shape (n_slots, 4, 4)."""
        needed = values != 0
        needed[:, 1:, 1:] = True
        needed[:, 0, 0] = True
        for name, region in self._following.items():
            if coefficients[name].theta.ndim > 2 or coefficients[name].along:
                needed[region.slots] = True
        return np.asarray(needed, bool)

    def _solve(
        self,
        matrix: sp.csr_array,
        load: Array,
        guess: Array | None,
        accuracy: float,
        error: Callable[[Array, Array], float],
        clock: PhaseClock,
    ) -> tuple[Array, Array, int, float]:
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
            x, r, used = flexible_gmres(matrix.__matmul__, load, x, self._precondition, target, limit)
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

    def _factorise(self, matrix: sp.csr_array, clock: PhaseClock) -> None:
        problem, options = self.problem, self.problem.options
        self._solver = linear_solver(
            matrix,
            problem.constraint.charge,
            problem.space.dimension,
            options.method,
            options.max_iterations,
            self._stiffness,
        )
        self.work.factorisations += 1
        clock.lap("factor")

    def _precondition(self, r: Array) -> Array:
        return np.asarray(self._solver.precondition(r))

    def _flux_error(
        self,
        x: Array,
        r: Array,
        coefficients: Mapping[str, Coefficients],
        laws: Mapping[str, FluxLaw],
        pumped: Mapping[str, Array],
        drive: float,
    ) -> float:
        """Return the change of the flux by one more correction over its largest value."""
        mu, change = self._dofs(x, drive), self._dofs(self._precondition(r), 0.0)
        whole = self._flux(mu, coefficients, laws, pumped)
        undriven = {n: FluxLaw(law.conductance, np.zeros(3)) for n, law in laws.items()}
        miss = self._flux(change, coefficients, undriven, {})
        scale = float(np.abs(whole).max(initial=0.0))
        return float(np.abs(miss).max(initial=0.0)) / scale if scale > 0 else 0.0

    def _flux(
        self,
        mu: Array,
        coefficients: Mapping[str, Coefficients],
        laws: Mapping[str, FluxLaw],
        pumped: Mapping[str, Array],
    ) -> Array:
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

    def _dofs(self, x: Array, drive: float) -> Array:
        """Return mu of unknowns, shape (n_dofs, 4)."""
        constraint = self.problem.constraint
        mu = np.asarray(constraint.expand(x), float)
        if drive != 1.0:
            mu = mu - (1 - drive) * constraint.fixed
        return mu.reshape(-1, 4)

    def _turn(self, region: str) -> Array:
        """Return R of a region; it does not depend on the directions."""
        return self._turns[region]
