r"""Meshes refined where the reported currents need it.

The error of an output Q is :math:`r(\mu_h)(z - I_h z)`: the residual of the solution, weighted
with what its adjoint z lacks on the mesh.  Both are evaluated with elements of the next order,
where the residual of every basis function, neighbours included, times its weight tells what the
surroundings of that node contribute (Richter and Wick, J. Comput. Appl. Math. 279, 192 (2015),
with nodal functions as partition of unity).  One adjoint serves all outputs: that of their sum,
each over its allowed error and with the sign of its own error, so that nothing cancels
(Hartmann and Houston, SIAM J. Sci. Comput. 24, 979 (2003)).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...device.build import build_device
from ...device.functionals import device_functionals
from ...device.model import Device, Transport
from ...device.observables.quantity import flat_numbers, quantities
from ...device.steady import solve_transport
from ...errors import CaseError, SolverError
from ...interface.functionals import Functional
from ...structure.corners import graded_to_points, singular_points
from ...structure.model import Structure
from ...structure.refine import refine
from ...transport.adjoint import adjoint_solutions
from ...transport.assembly.covariant import interpolation
from ...units import Array, Indices
from .error_bars import ErrorBars, compare_orders, enriched_solution

__all__ = ["Level", "Refined", "adapt", "goal_errors", "goal_scales", "level_table", "require_simplices"]


log = logging.getLogger("femspin")

# Of the estimated error that the refined cells carry: little, because the cells that must follow
# to keep the mesh conforming are many times more.
_FRACTION = 0.3
_MOST_LEVELS = 40
_ROUGH = 1e-5  # an adjoint that only chooses cells
_HALVINGS = 2  # of the cells at singular points, per mesh


@dataclass(frozen=True)
class Level:
    """One mesh on the way.

    Args:
        unknowns: Of the problem.
        cells: Of the mesh.
        error: Largest estimated relative error of the goal.
        worst: Which output has it.
    """

    unknowns: int
    cells: int
    error: float
    worst: str


@dataclass(frozen=True)
class Refined:
    """The outcome of adaptive refinement.

    Args:
        device: The problem on the last mesh.
        transport: Its solution.
        bars: Errors of its numbers.
        levels: All meshes, the last one included.
    """

    device: Device
    transport: Transport
    bars: ErrorBars
    levels: tuple[Level, ...]


def adapt(
    device: Device,
    m: Array,
    target: float,
    max_unknowns: int,
    progress: Callable[[Level], None] | None = None,
) -> Refined:
    """Return the solution on a mesh refined until the goal is met.

    The goal: the estimated error of every spin current and part, relative to the largest part
    of its interface, and of every electrode's voltage and current, relative to the largest of
    all electrodes, is below `target`.

    Args:
        device: The problem on a mesh of lines, triangles or tetrahedra.
        m: Magnetization direction, shape (3,).
        target: Allowed relative error.
        max_unknowns: Of the problem, at which refinement gives up.
        progress: Called after every level.

    Raises:
        CaseError: If the mesh cannot be refined locally.
        SolverError: If the target is not reached; the message says what it would need.
    """
    require_simplices(device)
    levels: list[Level] = []
    while True:
        transport = solve_transport(device, m)
        finer, better = enriched_solution(device, transport)
        bars = compare_orders(device, transport, finer, better)
        errors = goal_errors(bars)
        worst = max(errors, key=errors.__getitem__, default="")
        level = Level(
            transport.state.report.unknowns, device.structure.quality.cells, errors.get(worst, 0.0), worst
        )
        levels.append(level)
        log.info("refinement: %d unknowns, error %.1e (%s)", level.unknowns, level.error, worst)
        if progress is not None:
            progress(level)
        if level.error <= target:
            return Refined(device, transport, bars, tuple(levels))
        _require_room(levels, target, max_unknowns)
        missed = [name for name, error in errors.items() if error > target]
        indicator = _cell_indicators(device, transport, finer, better, bars, missed)
        structure = refine(device.structure, _chosen(device, indicator))
        if _singular(bars, missed) > target / 2:
            points = singular_points(device.structure, device.conductors)
            structure = graded_to_points(structure, points, _HALVINGS)
        device = _on(device, structure, _fell_back(transport) or _fell_back(better))


def _on(device: Device, structure: Structure, direct: bool) -> Device:
    """Return the device on another mesh, with factors if incomplete ones do not hold on it."""
    options = device.problem.options
    assert not isinstance(options.elements, str)  # one kind of elements on all meshes
    finer = build_device(device.case, device.folder, structure, device.space.order, options.elements)
    method = "direct" if direct else options.method
    finer.problem.options = replace(finer.problem.options, method=method)
    return finer


def _fell_back(transport: Transport) -> bool:
    """Return whether factors had to serve where an iteration was tried."""
    report = transport.state.report
    return report.method == "direct" and "did not converge" in report.choice


def _singular(bars: ErrorBars, missed: list[str]) -> float:
    """Return the largest relative error that only cells graded to singular points take away."""
    scales = goal_scales(bars.values)
    return max((abs(bars.better[n] - bars.same_mesh[n]) / scales[n] for n in missed), default=0.0)


def goal_errors(bars: ErrorBars) -> dict[str, float]:
    """Return the relative errors of the outputs that the goal counts, by name."""
    errors, scales = flat_numbers(bars.table), goal_scales(bars.values)
    return {name: errors[name] / scale for name, scale in scales.items() if name in errors}


def goal_scales(table: Mapping[str, Any]) -> dict[str, float]:
    """Return what the error of every output of the goal is compared with, by name.

    Args:
        table: Numbers of `discretised_numbers`.
    """
    return {name: q.scale for name, q in quantities(table).items() if q.goal and q.scale > 0}


def require_simplices(device: Device) -> None:
    """Refuse a mesh that cannot be refined locally.

    Raises:
        CaseError: If the method is exact, or the cells are quadrilaterals or hexahedra.
    """
    if device.case.solver.method == "stack":
        raise CaseError("solver.target_error", "the stack method is exact and has no mesh")
    mesh = device.structure.mesh
    if mesh.t.shape[0] != mesh.dim() + 1:
        raise CaseError(
            "solver.target_error",
            "adaptive refinement needs lines, triangles or tetrahedra; this mesh has"
            f" {'quadrilaterals' if mesh.dim() == 2 else 'hexahedra'}"
            f' (structure.cell = "{"tri" if mesh.dim() == 2 else "tet"}")',
        )


def _require_room(levels: list[Level], target: float, max_unknowns: int) -> None:
    """Raise if the next mesh would be too large, with what the target would need."""
    last = levels[-1]
    if last.unknowns < max_unknowns and len(levels) < _MOST_LEVELS:
        return
    need = ""
    first = levels[max(0, len(levels) - 4)]
    if last.unknowns > first.unknowns and last.error < first.error:
        rate = np.log(first.error / last.error) / np.log(last.unknowns / first.unknowns)
        need = f"; about {last.unknowns * (last.error / target) ** (1 / rate):.1g} would be needed"
    raise SolverError(
        f"solver.target_error: {target:g} is not reached with {last.unknowns} unknowns (estimated"
        f" error {last.error:.1e} of {last.worst}, solver.max_unknowns = {max_unknowns}){need}"
    )


def _cell_indicators(
    device: Device, transport: Transport, finer: Device, better: Transport, bars: ErrorBars, missed: list[str]
) -> Array:
    """Return what every conducting cell contributes to the outputs that miss the target."""
    state, space = better.state, finer.space
    weights = _combined_weights(device_functionals(finer, better, device), bars, missed)
    z = adjoint_solutions(finer.problem, state, [weights], _ROUGH, rough=True)[0]
    up = interpolation(device.space, space, state.coefficients)
    down = interpolation(space, device.space, state.coefficients)
    lacking = z.ravel() - up @ (down @ z.ravel())
    mu = (up @ transport.state.mu.ravel()).reshape(-1, 4)
    residual = finer.problem.dof_residual(state.coefficients, state.laws, mu)
    free = finer.problem.constraint.unknown >= 0
    at_dofs = np.abs(np.where(free, residual.ravel() * lacking, 0.0)).reshape(-1, 4).sum(axis=1)
    count = np.bincount(space.dofs.ravel(), minlength=space.n_dofs)
    indicator: Array = (at_dofs / count)[space.dofs].sum(axis=1)
    return indicator


def _combined_weights(functionals: Mapping[str, Functional], bars: ErrorBars, missed: list[str]) -> Array:
    """Return the weights of the sum of all outputs over their scales, with their errors' signs."""
    scales = goal_scales(bars.values)
    total = np.zeros_like(next(iter(functionals.values())).weights)
    for name in missed:
        if name in functionals:
            sign = np.sign(bars.better[name] - bars.numbers[name])
            total += sign / scales[name] * functionals[name].weights
    return total


def _chosen(device: Device, indicator: Array) -> Indices:
    """Return the mesh cells that carry most of the error, the largest first."""
    order = np.argsort(-indicator, kind="stable")
    reached = np.cumsum(indicator[order])
    count = int(np.searchsorted(reached, _FRACTION * reached[-1]))
    last = indicator[order[min(count, len(order) - 1)]]
    equal = indicator >= last * (1 - 1e-6)  # cells that are images of each other stay so
    return np.sort(device.space.cells[equal])


def level_table(levels: tuple[Level, ...]) -> list[dict[str, Any]]:
    """Return the levels as plain tables for `result.json`."""
    return [{"unknowns": x.unknowns, "cells": x.cells, "error": x.error, "output": x.worst} for x in levels]
