r"""Adjoint solves: what a residual anywhere does to an output.

For an output :math:`Q = q\cdot\mu` of the solution of :math:`K\mu = b`, the adjoint
:math:`K^T z = q` gives the change :math:`\delta Q = z\cdot\delta r` under any change
:math:`\delta r` of the residual :math:`b - K\mu`: of a coefficient, of the mesh, of the elements.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from ..errors import SolverError
from ..units import Array
from .linear.solve import LinearSolver
from .system import LinearSystem, TransportProblem, TransportState

__all__ = ["adjoint_solutions", "reduced_weights", "tangent_solutions"]


log = logging.getLogger("femspin")

_TOLERANCE = 1e-9
_REFINEMENTS = 4


def adjoint_solutions(
    problem: TransportProblem,
    state: TransportState,
    weights: Sequence[Array],
    tolerance: float = _TOLERANCE,
    rough: bool = False,
) -> list[Array]:
    """Return the adjoint z of every output, shape (n_dofs, 4) each; zero where mu is prescribed.

    The factorisation or preconditioner of the primal solve is reused if `state` is the latest
    solution of `problem`.

    Args:
        problem: Mesh and conditions.
        state: Its solution.
        weights: q of every output, shape (n_dofs, 4) each.
        tolerance: Relative residual that an iterative solver must reach.
        rough: Whether whatever is reached will do.

    Raises:
        SolverError: If a relative residual stays above the tolerance.
    """
    if not weights:
        return []
    loads = np.stack([reduced_weights(problem, q) for q in weights], axis=1)
    return _expanded(problem, _solve(problem, state, loads, True, tolerance, rough))


def tangent_solutions(
    problem: TransportProblem,
    state: TransportState,
    residuals: Sequence[Array],
    tolerance: float = _TOLERANCE,
    rough: bool = False,
) -> list[Array]:
    """Return the change of mu, shape (n_dofs, 4) each, caused by changes of the residual.

    Args:
        problem: Mesh and conditions.
        state: Its solution.
        residuals: Changes of b - K mu of the unknowns, shape (n_free,) each.
        tolerance: Relative residual that an iterative solver must reach.
        rough: Whether whatever is reached will do.

    Raises:
        SolverError: If a relative residual stays above the tolerance.
    """
    if not residuals:
        return []
    loads = np.stack(residuals, axis=1)
    return _expanded(problem, _solve(problem, state, loads, False, tolerance, rough))


def reduced_weights(problem: TransportProblem, weights: Array) -> Array:
    """Return the weights of the unknowns in an output, shape (n_free,)."""
    return problem.constraint.gather(weights.ravel())


def _expanded(problem: TransportProblem, columns: Array) -> list[Array]:
    unknown = problem.constraint.unknown
    full = np.where((unknown >= 0)[:, None], columns[unknown], 0.0)
    return [full[:, k].reshape(-1, 4) for k in range(full.shape[1])]


def _solve(
    problem: TransportProblem,
    state: TransportState,
    loads: Array,
    transposed: bool,
    tolerance: float,
    rough: bool = False,
) -> Array:
    """Return solutions of A x = loads or A^T x = loads, refined until nothing is gained.

    Where an iteration fails, factors serve as for the solution itself, if memory allows.
    """
    system = problem.system(state)
    x, relative = _refined(system, system.for_many(loads.shape[1], transposed), loads, transposed, tolerance)
    kind = "adjoint" if transposed else "tangent"
    if not relative <= tolerance and not rough and system.may_be_factorised:
        log.warning("the iterative %s solve left a relative residual of %.1e; now: direct", kind, relative)
        direct = system.factorised
        solver = direct.transposed() if transposed else direct
        x, relative = _refined(system, solver, loads, transposed, tolerance)
    if not relative <= tolerance and not rough:
        raise SolverError(
            f"the {kind} solve left a relative residual of {relative:.1e} (allowed"
            f' {tolerance:.0e}); try solver.method = "direct" or more solver.max_iterations'
        )
    return x


def _refined(
    system: LinearSystem, solver: LinearSolver, loads: Array, transposed: bool, tolerance: float
) -> tuple[Array, float]:
    """Return solutions of one solver and the largest relative residual left."""
    size = np.linalg.norm(loads, axis=0)
    size[size == 0] = 1.0
    x, r = np.zeros_like(loads), loads
    relative = np.ones(loads.shape[1])
    for _ in range(_REFINEMENTS):
        try:
            trial = x + solver.solve_many(r)
        except SolverError:  # an impatient iteration; what there is so far may do
            break
        after = loads - system.products(trial, transposed)
        progress = np.linalg.norm(after, axis=0) / size
        if not progress.max() < relative.max():
            break
        x, r, relative = trial, after, progress
        if relative.max() < (1e-11 if solver.method == "direct" else tolerance):
            break
    return x, float(relative.max(initial=0.0) if np.any(loads) else 0.0)
