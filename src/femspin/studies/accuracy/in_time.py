"""Errors of what follows sources in time: by mesh and elements, and by the steps.

Numbers at frequencies are read off every discretisation that error bars compare, and those at the
end of a transient off the better ones.  Its steps are judged by halves of them: the scheme is of
third order, so that they leave an eighth of the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...device.model import Device, Transport
from ...device.observables.mesh import discretised_numbers
from ...device.observables.quantity import numbers_of
from ...device.response import time_response, with_half_steps
from ...device.response_tables import FrequencyResponse, TransientResponse
from .error_bars import ErrorBars, Reading, error_bars, without_accidents
from .round_off import ROUND_OFF, SHAKES

__all__ = ["response_error_bars"]

Response = FrequencyResponse | TransientResponse

# Error over what half steps change: 8/7 where the order is the full one, 2 where stiffness takes two
# orders away.
_SPARED = 2.0


def response_error_bars(device: Device, transport: Transport, response: Response) -> ErrorBars | None:
    """Return the errors of the numbers of a steady solution and of its response in time.

    Args:
        device: The problem.
        transport: Its steady solution.
        response: At the frequencies or in the time that its case asks for.

    Raises:
        SolverError: If a solve of another order fails.
    """
    bars = error_bars(device, transport, _reading(device, response))
    if bars is None:
        return None
    key, value = response.key, response.table
    errors = _sum(bars.table[key], _round_off(value))
    if isinstance(response, TransientResponse):
        errors = _sum(errors, _changes(value, with_half_steps(device, transport, response).table))
    return replace(bars, table={**bars.table, key: errors})


def _round_off(table: Any, level: float = 0.0) -> Any:
    """Return the round-off of the currents in a nested table: of the largest of each interface."""
    if isinstance(table, Mapping):
        if "spin_current" in table:
            shares = (table["spin_current"], *table.get("parts", {}).values())
            noise = max(ROUND_OFF, table.get("balance_residual", 0.0))
            level = SHAKES * noise * max(abs(x) for s in shares for x in numbers_of({"": s}).values())
        return {k: _round_off(v, level) for k, v in table.items()}
    return level


def _reading(device: Device, response: Response) -> Reading:
    """Return what reads steady numbers and the response of any discretisation."""

    def read(other: Device, steady: Transport) -> dict[str, Any]:
        numbers, found = discretised_numbers(other, steady), response
        if other is not device:
            if isinstance(response, TransientResponse) and other.space.order <= device.space.order:
                return numbers  # as long a run as the first, for the sake of a factor
            again, _ = time_response(other, steady)
            assert again is not None
            found = again
        return {**numbers, found.key: found.table}

    return read


def _changes(value: Any, other: Any) -> Any:
    """Return what finer steps change in a nested table, as errors of its numbers."""
    if isinstance(value, Mapping):
        return {k: _changes(v, other[k]) for k, v in value.items()}
    if not isinstance(value, float | np.ndarray):
        return 0.0
    return without_accidents(_SPARED * np.abs(np.asarray(value) - np.asarray(other)))


def _sum(errors: Any, more: Any) -> Any:
    """Return nested errors with others added; where there are none of the first kind, none."""
    if isinstance(errors, Mapping):
        return {k: _sum(v, more[k]) for k, v in errors.items()}
    if errors is None:
        return None
    total = np.asarray(errors) + more
    return total if total.shape else float(total)
