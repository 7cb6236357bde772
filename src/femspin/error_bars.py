r"""Discretisation errors of every reported number, from elements of the next order.

The dual-weighted residual of an output Q with an adjoint of the next higher order,
:math:`r(\mu_p)(z_{p+1})`, equals :math:`Q(\mu_{p+1}) - Q(\mu_p)` for a linear problem on one
mesh.  One primal solve of order p + 1 therefore gives the estimate of *every* output at once,
nonlinear ones (efficiencies, ratios) included; adjoints are needed only to say which cells the
error comes from (`femspin.adaptive`).

At corners and electrode edges the potentials are singular and order p + 1 is not much better
than p.  There errors fall like :math:`p^{-s}`; s is taken from the orders p - 1, p, p + 1 and
what lies beyond p + 1 is added.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from .pipeline import Device, Transport, build_device, solve_transport
from .results.solution import discretised_numbers, flat_numbers
from .transport.covariant import interpolation

__all__ = [
    "ErrorBars",
    "compare_orders",
    "enriched",
    "enriched_solution",
    "error_bars",
    "tail_factor",
]

Array = NDArray[np.float64]

log = logging.getLogger("femspin")

# Beyond this many unknowns of the next order the estimate would cost more than the run.
_MOST_UNKNOWNS = 1_500_000
# Round-off of the numbers themselves, relative to the largest of their group.
_ROUND_OFF = 1e-14
_LARGEST_TAIL = 2.5
_EXACT = ("area", "balance_residual")
_ESTIMATE_TOLERANCE = 1e-8


@dataclass(frozen=True)
class ErrorBars:
    """Estimated errors of the numbers of `discretised_numbers`.

    Args:
        table: Errors in the same nested form, positive, in the unit of the numbers.
        numbers: The numbers themselves, by dotted name.
        better: Those of the next order.
        order: Order of the elements they come from.
        unknowns: Unknowns of that order.
    """

    table: Mapping[str, Any]
    numbers: Mapping[str, float]
    better: Mapping[str, float]
    order: int
    unknowns: int


def enriched(device: Device, step: int = 1) -> Device:
    """Return the device on the same mesh with elements of another order."""
    options = device.problem.options
    assert not isinstance(options.elements, str)
    finer = build_device(
        device.case, device.folder, device.structure, device.space.order + step, options.elements
    )
    finer.problem.options = replace(finer.problem.options, tolerance=_ESTIMATE_TOLERANCE)
    return finer


def error_bars(device: Device, transport: Transport) -> ErrorBars | None:
    """Return the error of every number that depends on the mesh, or None for huge problems.

    Args:
        device: The problem.
        transport: Its solution.

    Raises:
        SolverError: If a solve of another order fails.
    """
    if device.case.solver.method == "stack":
        # Exact up to round-off, but for averages of what is sampled on the mesh.
        finer = enriched(device)
        tables = [discretised_numbers(device, transport),
                  discretised_numbers(finer, solve_transport(finer, transport.m))]  # fmt: skip
        floor, unknowns = transport.state.report.residual, transport.state.report.unknowns
        return _bars(max(_ROUND_OFF, floor), tables, 0, unknowns)
    size = _unknowns_of_next_order(device)
    if size > _MOST_UNKNOWNS:
        log.warning("no error bars: elements of the next order would have about %d unknowns", size)
        return None
    return compare_orders(device, transport, *enriched_solution(device, transport))


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
    device: Device, transport: Transport, finer: Device, better: Transport
) -> ErrorBars:
    """Return the errors of a solution from that of the next order, see `error_bars`.

    Args:
        device: The problem.
        transport: Its solution.
        finer: The same with elements of the next order, from `enriched`.
        better: Its solution.
    """
    tables = [discretised_numbers(device, transport), discretised_numbers(finer, better)]
    if device.space.order > 1:
        coarser = enriched(device, -1)
        worse = solve_transport(coarser, transport.m, rough=True)
        tables.append(discretised_numbers(coarser, worse))
    floor = max(_ROUND_OFF, transport.balance)
    return _bars(floor, tables, finer.space.order, finer.space.size)


def _bars(floor: float, tables: list[dict[str, Any]], order: int, unknowns: int) -> ErrorBars:
    numbers, better = flat_numbers(tables[0]), flat_numbers(tables[1])
    return ErrorBars(_compare(floor, *tables), numbers, better, order, unknowns)


def _unknowns_of_next_order(device: Device) -> int:
    space, d = device.space, device.space.dimension
    return int(space.size * ((space.order + 1) / space.order) ** d)


def _compare(floor: float, value: Any, better: Any, coarse: Any = None) -> Any:
    """Return the errors of nested numbers; leaves that are no numbers have none."""
    if isinstance(value, Mapping):
        return {
            key: _compare(floor, v, better.get(key), None if coarse is None else coarse.get(key))
            for key, v in value.items()
            if key not in _EXACT
        }
    if not _numeric(value) or not _numeric(better):
        return None
    value, better = np.asarray(value, float), np.asarray(better, float)
    change = np.abs(better - value)
    factor = 1.0
    if coarse is not None and _numeric(coarse):
        before = float(np.abs(value - np.asarray(coarse, float)).max())
        factor = tail_factor(float(change.max()), before)
    error = factor * change + floor * np.abs(value).max()
    return error if error.shape else float(error)


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float | np.ndarray | np.floating) and not isinstance(
        value, bool
    )


def tail_factor(change: float, before: float) -> float:
    r"""Return the error of order 2 over its distance to order 3, from 1 up.

    With errors :math:`E_p \propto p^{-s}`, s from the ratio of the changes 2 to 3 and 1 to 2.
    Smooth solutions have a large s and the factor 1; it is bounded by 2.5, because changes that
    cancel by accident tell nothing.

    Args:
        change: |Q_3 - Q_2|.
        before: |Q_2 - Q_1|.
    """
    if change == 0 or before == 0:
        return 1.0
    ratio = change / before

    def mismatch(s: float) -> float:
        return (2.0**-s - 3.0**-s) / (1 - 2.0**-s) - ratio

    slow, fast = 0.9, 40.0
    if mismatch(slow) < 0:
        return _LARGEST_TAIL
    if mismatch(fast) > 0:
        return 1.0
    s = brentq(mismatch, slow, fast)
    return min(1 / (1 - (2 / 3) ** s), _LARGEST_TAIL)
