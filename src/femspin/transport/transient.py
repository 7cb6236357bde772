r"""Spin transport in time: :math:`\nu\,\partial_t\mu^a` added to W1, stepped with error control.

The scheme is the diagonally implicit Runge-Kutta method of order 3 with three stages that all
have the same matrix :math:`K + M/(\gamma h)`.  It is L-stable, so fast modes are damped and not
reflected, and its last stage is the end of the step, so that charge and prescribed potentials,
which have no time derivative, hold there exactly.

References:
    R. Alexander, SIAM J. Numer. Anal. 14, 1006 (1977).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ..errors import SolverError
from ..fields.region import RegionFields
from ..units import TIME, AnyArray
from .assembly.boundary import FluxLaw
from .linear.refinement import refine
from .linear.solve import LinearReport, LinearSolver, linear_solver
from .storage import StorageSystem, split_precision, storage_system
from .system import TransportProblem, TransportState

__all__ = ["TransientResult", "TransientState", "solve_transient"]

Drive = Callable[[float], float]

_GAMMA = 0.43586652150845899942  # root of g^3 - 3 g^2 + 3 g/2 - 1/6
_STAGES = np.array(
    [
        [_GAMMA, 0.0, 0.0],
        [(1 - _GAMMA) / 2, _GAMMA, 0.0],
        [-(6 * _GAMMA**2 - 16 * _GAMMA + 1) / 4, (6 * _GAMMA**2 - 20 * _GAMMA + 5) / 4, _GAMMA],
    ]
)
_TIMES = _STAGES.sum(axis=1)
_SECOND = (1 - 2 * _GAMMA) / (1 - _GAMMA)
# Weights minus those of the embedded method of order 2 that uses the first two stages.
_ERROR = _STAGES[2] - np.array([1 - _SECOND, _SECOND, 0.0])
_FIRST_LEVEL = 5
_FINEST_LEVEL = 40
_FACTORS = 4


@dataclass(frozen=True)
class TransientState:
    """The device at one time.

    The balance of currents holds to round-off with `mu_dot`, the slope of the last stage of the
    step that ends here: exactly what the discrete equation gives for d_t mu at this mu.

    Args:
        time: [s].
        drive: Scale of all sources, its limit from earlier times.
        state: Potentials; coefficients and laws hold the sources as scaled by the drive.
        mu_dot: d_t mu [meV/ps], shape (n_dofs, 4); meaningless for charge.
    """

    time: float
    drive: float
    state: TransportState
    mu_dot: AnyArray


@dataclass(frozen=True)
class TransientResult:
    """A solution in time.

    Args:
        states: One per output time after the initial one, or the last one only.
        ends: Of the accepted steps [s], shape (steps,).
        rejected: Steps repeated with a smaller one.
        factorisations: Matrices factorised.
    """

    states: tuple[TransientState, ...]
    ends: tuple[float, ...]
    rejected: int
    factorisations: int

    @property
    def steps(self) -> int:
        """Number of accepted steps."""
        return len(self.ends)

    @property
    def times(self) -> AnyArray:
        """Times of the states [s], shape (n,)."""
        return np.array([s.time for s in self.states])


def solve_transient(
    problem: TransportProblem,
    fields: Mapping[str, RegionFields],
    laws: Mapping[str, FluxLaw] | None,
    times: ArrayLike,
    initial: AnyArray | None = None,
    drive: Drive | None = None,
    tolerance: float | None = 1e-5,
    breaks: Sequence[float] = (),
    observe: Callable[[TransientState], None] | None = None,
) -> TransientResult:
    r"""Return the potentials at given times.

    .. math:: M\dot\mu + K\mu = g(t)\, b, \qquad \mu = g(t)\,\mu_{prescribed} ,

    with the drive g scaling every source: electric fields, electrodes, prescribed potentials
    and fluxes.  Steps are output intervals divided by powers of two, so that output times are
    hit exactly and matrices stay factorised.

    Args:
        problem: Mesh and conditions.
        fields: By region name, at unit drive.
        laws: Flux law of every flux face of the boundary, at unit drive.
        times: Ascending [s], shape (n,); the first is the initial time, the others are output.
        initial: mu at the initial time [meV], shape (n_dofs, 4); N^a/nu for given densities.
            Charge follows from the spins and is ignored.  Default zero.
        drive: g of the time [s]; default 1 (a step, from a zero initial state).
        tolerance: Allowed error per step, root mean square over the device, relative to the
            largest of the solution so far and of the steady solution at the largest drive so
            far.  None takes one step per output interval.
        breaks: Times [s] at which the drive jumps; g must give the later value there.
        observe: Called with every output state; then only the last one is kept.

    Raises:
        SolverError: If a linear solver fails or no step is small enough.
        ValueError: If the times are not finite and ascending.
    """
    grid = np.asarray(times, float)
    if grid.ndim != 1 or len(grid) < 2 or not np.all(np.isfinite(grid)):
        raise ValueError("times must be two or more finite numbers")
    if not np.all(np.diff(grid) > 0):
        raise ValueError("times must be ascending")
    stops = sorted({float(b) for b in breaks if grid[0] < b < grid[-1]})
    outputs, jumps = set(grid[1:].tolist()), set(stops)
    march = _March(problem, storage_system(problem, fields, laws), drive or _always, tolerance)
    march.begin(float(grid[0]), initial)
    states, start = [], float(grid[0])
    for end in sorted(outputs | jumps):
        march.advance(start, end)
        if end in outputs:
            states.append(march.state(end))
            if observe is not None:
                observe(states[-1])
                del states[:-1]
        if end in jumps:
            march.hold(march.drive(end))
        start = end
    return TransientResult(tuple(states), tuple(march.ends), march.rejected, march.factorisations)


def _always(_: float) -> float:
    return 1.0


class _March:
    """The stepping: potentials in extended precision, factors of recent steps, step control."""

    def __init__(
        self, problem: TransportProblem, system: StorageSystem, drive: Drive, tolerance: float | None
    ) -> None:
        self.problem, self.system, self.drive, self.tolerance = problem, system, drive, tolerance
        self.ends: list[float] = []
        self.rejected = self.factorisations = 0
        self._solvers: dict[float, LinearSolver] = {}
        self._began = time.perf_counter()
        self._mu: AnyArray = np.zeros((problem.space.n_dofs, 4), np.longdouble)
        self._slope = np.zeros_like(self._mu)
        self._residual, self._method, self._iterations = 0.0, "direct", 0
        self._present = 0.0  # drive at the end of the last step
        self._largest, self._peak = 0.0, 0.0  # of the solution and of the drive so far
        self._wanted: float | None = None  # step that was fine last [s]

    # ------------------------------------------------------------------ states
    def begin(self, start: float, initial: AnyArray | None) -> None:
        """Set the initial state."""
        if initial is not None:
            if np.shape(initial) != self._mu.shape:
                raise ValueError(f"initial must have shape {self._mu.shape}")
            self._mu = np.asarray(initial, np.longdouble).copy()
        self.hold(self.drive(start))
        self._largest = self._size(self._mu)

    def hold(self, drive: float) -> None:
        """Set the prescribed potentials to their values at a drive (after a jump of it)."""
        c = self.system.constraint
        flat = np.where(c.unknown < 0, drive * c.fixed, self._mu.ravel())
        self._mu = flat.reshape(-1, 4)

    def state(self, when: float) -> TransientState:
        """Return the present state."""
        system = self.system.driven(self._present)
        report = LinearReport(
            self._method,
            len(system.constraint.charge),
            self._iterations,
            self._residual,
            time.perf_counter() - self._began,
        )
        mu, low = split_precision(self._mu)
        state = TransportState(mu, low, system.coefficients, system.blocks, system.laws, report)
        return TransientState(when, self._present, state, self._slope.astype(float))

    # ------------------------------------------------------------------ steps
    def advance(self, start: float, end: float) -> None:
        """Step from one output time [s] to the next, in 2^level equal parts of it or mixed."""
        span, level, position = end - start, 0, 0
        if self.tolerance is not None:
            level = _FIRST_LEVEL
            if self._wanted is not None:
                level = min(_FINEST_LEVEL, max(0, round(np.log2(span / self._wanted))))
        while position < 2**level:
            h = span / 2**level
            last = position + 1 == 2**level
            arrival = end if last else start + (position + 1) * h
            error = self._try(start + position * h, h, arrival)
            limit = np.inf if self.tolerance is None else self.tolerance
            if error > limit:
                more = max(1, int(np.ceil(np.log2(2 * error / limit) / 3)))
                level, position, self.rejected = (level + more, position * 2**more, self.rejected + 1)
                if level > _FINEST_LEVEL:
                    raise SolverError(
                        f"no time step is small enough at {start:.6g} s: the error stays at"
                        f" {error:.1e} (allowed {limit:.0e}); a jump of the drive must be named"
                    )
                continue
            position, self._wanted = position + 1, h
            self.ends.append(arrival)
            # Twice the step makes eight times the error; twice that is spared for safety.
            if error < limit / 16 and level > 0 and position % 2 == 0 and not last:
                level, position, self._wanted = level - 1, position // 2, 2 * h

    def _try(self, begin: float, h: float, arrival: float) -> float:
        """Take one step of `h` [s] and return its relative error; keep it if small enough."""
        # Round-off of the interval must not ask for a new factor.
        width = float(f"{h / TIME:.10e}")
        slopes: list[AnyArray] = []
        mu, relative, drive = self._mu, 0.0, 0.0
        for row, part in zip(_STAGES, _TIMES, strict=True):
            final = len(slopes) == 2
            when = np.nextafter(arrival, begin) if final else begin + part * h
            drive = self.drive(float(when))
            self._peak = max(self._peak, abs(drive))
            base = self._mu + width * sum(
                (a * k for a, k in zip(row, slopes, strict=False)), np.zeros_like(mu)
            )
            mu, relative = self._stage(drive, base, _GAMMA * width, mu)
            slopes.append((mu - base) / (_GAMMA * width))
        defect = width * sum((w * k for w, k in zip(_ERROR, slopes, strict=True)), np.zeros_like(mu))
        size = self._size(mu)
        scale = max(self._largest, size)
        if self.tolerance is not None and self._peak > 0:
            scale = max(scale, self._peak * self._steady)
        error = 0.0 if self.tolerance is None else self._error(defect, _GAMMA * width)
        relative_error = error / scale if scale > 0 else 0.0
        if not np.isfinite(relative_error):
            raise SolverError(f"the solution is not finite at {arrival:.6g} s")
        if self.tolerance is None or relative_error <= self.tolerance:
            self._mu, self._slope, self._present = mu, slopes[-1], drive
            self._residual, self._largest = relative, max(self._largest, size)
        return relative_error

    def _error(self, defect: AnyArray, width: float) -> float:
        """Return the size of the embedded error estimate.

        Unfiltered it would be dominated by stiff modes, which the scheme itself damps.
        """
        stored = self.system.weight @ defect.astype(float).ravel() / width
        c = self.system.constraint
        x = self._solver(width).solve(c.gather(stored))
        return self._size(np.where(c.unknown >= 0, x[c.unknown], 0.0).reshape(-1, 4))

    def _stage(self, drive: float, base: AnyArray, width: float, guess: AnyArray) -> tuple[AnyArray, float]:
        """Solve M (mu - base)/width + K mu = drive b."""
        system, solver = self.system.driven(drive), self._solver(width)
        c = system.constraint

        def expand(x: AnyArray) -> AnyArray:
            return np.asarray(c.expand(x)).reshape(-1, 4)

        def residual(x: AnyArray) -> AnyArray:
            full = expand(x)
            mu_dot = ((full - base) / width).astype(float)
            return system.residual(*split_precision(full), mu_dot)

        start = np.zeros(len(c.charge), np.longdouble)
        near = start.copy()
        near[c.unknown[c.unknown >= 0]] = guess.ravel()[c.unknown >= 0]
        x, relative = refine(solver, residual, start, self.problem.options.tolerance, near, charge=c.charge)
        self._iterations = solver.iterations
        return expand(x), relative

    def _solver(self, width: float) -> LinearSolver:
        """Return the solver of K + M/width, kept for the most recent steps."""
        solver = self._solvers.pop(width, None)
        if solver is None:
            if len(self._solvers) >= _FACTORS:
                del self._solvers[next(iter(self._solvers))]
            solver = self._prepare(sp.csr_array(self.system.stiffness + self.system.mass * (1 / width)))
            self.factorisations += 1
        self._solvers[width] = solver
        self._method = solver.method
        return solver

    def _prepare(self, matrix: sp.csr_array) -> LinearSolver:
        options = self.problem.options
        return linear_solver(
            matrix,
            self.system.constraint.charge,
            self.problem.space.dimension,
            options.method,
            options.max_iterations,
        )

    # ------------------------------------------------------------------ sizes
    def _size(self, mu: AnyArray) -> float:
        return self.system.size(mu)

    @cached_property
    def _steady(self) -> float:
        """Size of the steady solution at unit drive; zero where there is none."""
        start = np.zeros(len(self.system.constraint.charge), np.longdouble)
        expand = self.system.constraint.expand

        def residual(x: AnyArray) -> AnyArray:
            full = np.asarray(expand(x)).reshape(-1, 4)
            return self.system.residual(*split_precision(full), np.zeros(full.shape))

        try:
            solver = self._prepare(self.system.stiffness)
            x, _ = refine(
                solver, residual, start, self.problem.options.tolerance, charge=self.system.constraint.charge
            )
        except SolverError:
            return 0.0
        return self._size(np.asarray(expand(x)).reshape(-1, 4))
