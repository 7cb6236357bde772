r"""Discretisation errors of every reported number, from elements of the next order.

The dual-weighted residual of an output Q with an adjoint of the next higher order,
:math:`r(\mu_p)(z_{p+1})`, equals :math:`Q(\mu_{p+1}) - Q(\mu_p)` for a linear problem on one
mesh.  One primal solve of order p + 1 therefore gives the estimate of *every* output at once,
nonlinear ones (efficiencies, ratios) included; adjoints are needed only to say which cells the
error comes from (`femspin.studies.accuracy.adaptive`).

At corners and electrode edges the potentials are singular and order p + 1 is not much better
than p.  In a plane the better solution therefore has cells graded towards these points, where
nearly all of the error lies.  In space errors fall like :math:`p^{-s}`; s is taken from the orders
p - 1, p, p + 1 and what lies beyond p + 1 is added.

Errors at edges and others may cancel in the difference of two orders.  At edges with exponent
:math:`\lambda` they are :math:`c\, h^{2 \lambda} p^{-4 \lambda}` (I. Babuska and M. Suri, SIAM
Rev. 36, 578 (1994)), so order 1 on meshes with and without cells graded to the edges, which costs
little, tells what order p + 1 lacks there, whatever else cancels.

What the better solution lacks itself is estimated from how much better it is, and round-off from
what shaking all digits of the potentials does to every number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...device.build import build_device
from ...device.model import Device, Transport
from ...device.observables.mesh import discretised_numbers
from ...device.observables.quantity import flat_numbers, quantities
from ...device.steady import solve_transport
from ...errors import SolverError
from ...structure.corners import MOST_GRADED, graded_to_points, singular_points
from ...structure.edges import graded_to_edges, singular_edges
from ...structure.model import Structure
from ...transport.assembly.covariant import interpolation
from ...transport.linear.solve import Method
from ...units import Array
from .order_tail import tail_factor
from .round_off import ROUND_OFF, SHAKES, shaken_solutions

__all__ = [
    "ErrorBars",
    "Reading",
    "bars_are_affordable",
    "compare_orders",
    "enriched",
    "enriched_solution",
    "error_bars",
    "tail_factor",
    "without_accidents",
]


log = logging.getLogger("femspin")

Reading = Callable[[Device, Transport], dict[str, Any]]
"""What returns the nested numbers of a steady solution whose errors are wanted."""

# Beyond this many unknowns of the next order the estimate would cost more than the run.
_MOST_UNKNOWNS = 1_500_000
_EXACT = (
    "area",
    "balance_residual",
    "largest_balance_residual",
    "frequency",
    "angular_frequency",
    "duration",
    "outputs",
    "steps",
    "rejected_steps",
    "factorisations",
)
# Halvings of the cells at singular points.
_HALVINGS = 6
# Halvings of the cells at singular edges, of order 1, and how far its errors are from the rule
# p^(-4 lambda): 1.1 to 1.6 times less than it says of order 3.
_EDGE_HALVINGS, _NOT_YET = 2, 1.5
# What is left of singular errors then; the potential of two quarters that differ much is r^0.2.
_LEFT = 0.2
# Ratios of changes differ from those of errors.
_RESERVE = 3.0
# Unknowns of order p + 2 up to which they are solved to judge order 1.
_FEW = 20_000
# Of an integral by Simpson's rule, over its distance to that by the 3/8 rule: 9/5 and a reserve.
_SAMPLED = 2.0
# Of the largest change of a vector: a component whose change is smaller has it by accident.
_ACCIDENT = 0.1
_ESTIMATE_TOLERANCE = 1e-8


@dataclass(frozen=True)
class ErrorBars:
    """Estimated errors of the numbers of `discretised_numbers`.

    Args:
        table: Errors in the same nested form, positive, in the unit of the numbers.
        values: The numbers themselves, nested.
        better: Those of the next order.
        order: Order of the elements they come from.
        unknowns: Unknowns of that order.
        same_mesh: Those of the next order on the same mesh, without cells graded to singular
            points.
    """

    table: Mapping[str, Any]
    values: Mapping[str, Any]
    better: Mapping[str, float]
    order: int
    unknowns: int
    same_mesh: Mapping[str, float]

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers by dotted name."""
        return flat_numbers(self.values)


def enriched(device: Device, step: int = 1, structure: Structure | None = None) -> Device:
    """Return the device with elements of another order, on the same mesh or another one."""
    options = device.problem.options
    assert not isinstance(options.elements, str)
    finer = build_device(
        device.case, device.folder, structure or device.structure, device.space.order + step, options.elements
    )
    finer.problem.options = replace(
        finer.problem.options, tolerance=_ESTIMATE_TOLERANCE, method=options.method
    )
    return finer


def error_bars(device: Device, transport: Transport, read: Reading = discretised_numbers) -> ErrorBars | None:
    """Return the error of every number that depends on the mesh, or None for huge problems.

    Args:
        device: The problem.
        transport: Its solution.
        read: What is compared.

    Raises:
        SolverError: If a solve of another order fails.
    """
    if device.case.solver.method == "stack":
        tables = _stack_tables(device, transport)
        floor, unknowns = transport.state.report.residual, transport.state.report.unknowns
        return _bars(device, transport, max(ROUND_OFF, floor), tables, 0, unknowns)
    size = _unknowns_of_order(device, device.space.order + 1)
    if size > _MOST_UNKNOWNS:
        log.warning("no error bars: elements of the next order would have about %d unknowns", size)
        return None
    return compare_orders(device, transport, *enriched_solution(device, transport), read)


def _stack_tables(device: Device, transport: Transport) -> _Tables:
    """Return the numbers of an exact solution: exact up to round-off, but for averages on the mesh."""
    numbers = discretised_numbers(device, transport)
    if transport.exact is not None:
        return _Tables(numbers, numbers)
    finer = enriched(device)
    better = solve_transport(finer, transport.m, rough=True)
    return _Tables(numbers, discretised_numbers(finer, better), sampled=True)


def enriched_solution(device: Device, transport: Transport) -> tuple[Device, Transport]:
    """Return the device with elements of the next order and its solution, from a good guess.

    Args:
        device: The problem.
        transport: Its solution.
    """
    finer = enriched(device)
    weights = interpolation(device.space, finer.space, transport.state.coefficients)
    mu = (weights @ transport.state.mu.ravel()).reshape(-1, 4)
    guess = replace(transport, state=replace(transport.state, mu=mu))
    return finer, solve_transport(finer, transport.m, guess, rough=True)


def compare_orders(
    device: Device,
    transport: Transport,
    finer: Device,
    better: Transport,
    read: Reading = discretised_numbers,
) -> ErrorBars:
    """Return the errors of a solution from that of the next order, see `error_bars`.

    Args:
        device: The problem.
        transport: Its solution.
        finer: The same with elements of the next order, from `enriched`.
        better: Its solution.
        read: What is compared.
    """
    order = device.space.order
    tables = _Tables(read(device, transport), read(finer, better), read=read)
    if order > 1:
        tables = replace(tables, coarse=tables.of(enriched(device, -1), transport))
    elif _unknowns_of_order(device, order + 2) <= _FEW:
        tables = replace(tables, best=tables.of(enriched(device, 2), transport))
    tables = replace(tables, graded=_graded_numbers(tables, device, transport))
    tables = _with_edges(tables, device, transport)
    floor = max(ROUND_OFF, transport.balance)
    return _bars(device, transport, floor, tables, finer.space.order, finer.space.size)


def _graded_numbers(tables: _Tables, device: Device, transport: Transport) -> dict[str, Any] | None:
    """Return the numbers on a plane mesh graded to its singular points, None if there are none."""
    order = device.space.order + 1
    if device.space.dimension != 2 or _unknowns_of_order(device, order) > MOST_GRADED:
        return None
    points = singular_points(device.structure, device.conductors)
    if not points.size:
        return None
    structure = graded_to_points(device.structure, points, _HALVINGS)
    finer = build_device(device.case, device.folder, structure, order)
    # Incomplete factors hardly hold on cells that become so small.
    method: Method = "iterative" if finer.problem.options.method == "iterative" else "direct"
    finer.problem.options = replace(finer.problem.options, tolerance=_ESTIMATE_TOLERANCE, method=method)
    try:
        return tables.of(finer, transport)
    except SolverError as error:
        log.warning("error bars without a mesh graded to singular points: %s", error)
        return None


def _with_edges(tables: _Tables, device: Device, transport: Transport) -> _Tables:
    """Return tables with what the error at singular edges is compared with, if there are any."""
    if device.space.dimension != 3:
        return tables
    held, sizes = _held(device), [f.conductivity for f in transport.fields.values()]
    contrast = max(sizes) / min(sizes)
    exponents = singular_edges(device.structure, device.conductors, held, contrast)[1]
    if not exponents.size:
        return tables
    order, s = device.space.order, 4 * float(exponents.min())
    pair, levels = _order_one(tables, device, transport, held)
    if pair is not None:
        fall = 1 / (1 - 2 ** (-0.5 * s * levels))
    else:  # orders alone, smooth errors included
        pair = (tables.value, tables.better) if tables.coarse is None else (tables.coarse, tables.value)
        low = max(order - 1, 1)
        fall = 1 / (low**-s - (low + 1.0) ** -s)
    tail = 1 / (1 - (order / (order + 1)) ** s)
    share = _NOT_YET * fall * (order + 1.0) ** -s
    return replace(tables, edges=pair, edge_share=share, edge_tail=tail)


def _held(device: Device) -> list[str]:
    """Return the faces of a device that hold a potential."""
    boundary = device.problem.boundary
    return [e.name for e in boundary.electrodes] + [p.name for p in boundary.potential]


def _order_one(
    tables: _Tables, device: Device, transport: Transport, held: list[str]
) -> tuple[tuple[Any, Any] | None, int]:
    """Return numbers of order 1 on the mesh and on one graded to edges, and the halvings."""
    structure, names = device.structure, device.conductors
    if structure.mesh.t.shape[0] != 4:  # hexahedra
        return None, 0
    levels = 0
    while levels < _EDGE_HALVINGS:
        finer = graded_to_edges(structure, names, held, 1)
        if levels and 4 * finer.mesh.nvertices > device.space.size:  # costs more than the run
            break
        structure, levels = finer, levels + 1
    known = {1: tables.value, 2: tables.coarse}.get(device.space.order)
    step = 1 - device.space.order
    try:
        plain = known or tables.of(enriched(device, step), transport)
        return (plain, tables.of(enriched(device, step, structure), transport)), levels
    except SolverError as error:
        log.warning("error bars without a mesh graded to singular edges: %s", error)
        return None, 0


def bars_are_affordable(device: Device) -> bool:
    """Return whether a device is small enough for error bars."""
    return _unknowns_of_order(device, device.space.order + 1) <= _MOST_UNKNOWNS


def _unknowns_of_order(device: Device, order: int) -> int:
    space = device.space
    return int(space.size * (order / space.order) ** space.dimension)


@dataclass(frozen=True)
class _Tables:
    """Numbers of one device from several discretisations, or one part of them.

    Args:
        value: Those in question.
        better: Of the next order.
        coarse: Of the order before.
        best: Of the order after the next.
        graded: Of the next order on a mesh graded to singular points.
        edges: A pair whose difference grows with the error at singular edges.
        edge_share: What the next order lacks there, over this difference.
        edge_tail: Error over the distance to the next order where all of it comes from there.
        sampled: Whether they come from the exact solution at the nodes.
        read: What returns the numbers of a solution.
    """

    value: Any
    better: Any
    coarse: Any = None
    best: Any = None
    graded: Any = None
    edges: tuple[Any, Any] | None = None
    edge_share: float = 0.0
    edge_tail: float = 1.0
    sampled: bool = False
    read: Reading = discretised_numbers

    def of(self, other: Device, transport: Transport) -> dict[str, Any]:
        """Return the numbers of another discretisation of the device of a solution."""
        return self.read(other, solve_transport(other, transport.m, rough=True))

    def at(self, key: str) -> _Tables:
        """Return the part under a key."""

        def part(table: Any) -> Any:
            return None if table is None else table.get(key)

        edges = None if self.edges is None else (part(self.edges[0]), part(self.edges[1]))
        return replace(
            self,
            value=self.value[key],
            better=part(self.better),
            coarse=part(self.coarse),
            best=part(self.best),
            graded=part(self.graded),
            edges=edges,
        )


def _bars(
    device: Device, transport: Transport, floor: float, tables: _Tables, order: int, unknowns: int
) -> ErrorBars:
    shaken = [discretised_numbers(device, t) for t in shaken_solutions(device, transport)]
    best = tables.better if tables.graded is None else tables.graded
    scales = {name: q.scale for name, q in quantities(tables.value).items()}
    return ErrorBars(
        _compare(floor, tables, shaken, scales),
        tables.value,
        flat_numbers(best),
        order,
        unknowns,
        flat_numbers(tables.better),
    )


def _compare(
    floor: float, tables: _Tables, shaken: list[Any], scales: Mapping[str, float], path: str = ""
) -> Any:
    """Return the errors of nested numbers; leaves that are no numbers have none.

    Args:
        floor: Round-off of numbers relative to their scale.
        tables: The numbers.
        shaken: The same with all digits shaken.
        scales: By name of a number.
        path: Of the table.
    """
    if isinstance(tables.value, Mapping):
        return {
            key: _compare(
                floor,
                tables.at(key),
                [t[key] for t in shaken if key in t],
                scales,
                f"{path}.{key}" if path else key,
            )
            for key, value in tables.value.items()
            if key not in _EXACT or isinstance(value, Mapping)
        }
    if not _numeric(tables.value) or not _numeric(tables.better):
        return None
    value = np.asarray(tables.value, float)
    scale = scales.get(f"{path}.x" if value.shape else path, 0.0)
    error = _discretisation(value, tables) + floor * max(float(np.abs(value).max()), scale)
    changes = [np.asarray(t, float) - value for t in shaken if _numeric(t)]
    if changes:
        error = error + SHAKES * np.sqrt(np.mean(np.square(changes), axis=0))
    return error if error.shape else float(error)


def _discretisation(value: Array, tables: _Tables) -> Array:
    """Return the error of one number or vector by its mesh and elements."""

    def change(a: Any, b: Any) -> Array | None:
        if not _numeric(a) or not _numeric(b):
            return None
        found: Array | None = np.abs(np.asarray(a, float) - np.asarray(b, float))
        return found

    step = change(tables.better, value)
    assert step is not None
    step = without_accidents(step)
    if tables.sampled:
        return np.asarray(_SAMPLED * step)
    before, after = change(value, tables.coarse), change(tables.best, tables.better)
    factor, lacking = 1.0, 0.0
    if before is not None:
        factor = tail_factor(float(step.max()), float(before.max()))
        lacking = _lacking(float(step.max()), float(before.max()))
    elif after is not None:
        lacking = _lacking(float(after.max()), float(step.max()))
    graded = change(tables.graded, value)
    at_edges = None if tables.edges is None else change(*tables.edges)
    if graded is None:
        beyond = 0.0 if at_edges is None else tables.edge_share * float(at_edges.max())
        factor = max(factor, tables.edge_tail)
        return np.asarray(np.maximum(factor * step, step + beyond) + lacking * step.max())
    moved = change(tables.graded, tables.better)
    assert moved is not None
    graded = without_accidents(graded)
    return np.asarray(graded + _LEFT * moved.max() + lacking * step.max())


def without_accidents(change: Array) -> Array:
    """Return the changes of a vector, where a component that is small has it by accident."""
    return np.asarray(np.maximum(change, _ACCIDENT * change.max()))


def _lacking(after: float, before: float) -> float:
    """Return what the better of two solutions lacks over the change to it.

    Errors fall from order to order by about the ratio of two changes in a row.
    """
    if before == 0:
        return 0.0
    return min(_RESERVE * after / before, 1.0)


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.floating) and not isinstance(value, bool)
