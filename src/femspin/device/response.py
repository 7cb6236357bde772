"""[frequency] and [transient]: transport that follows sources in time, for a fixed m."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case.time import Frequency, Transient
from ..errors import CaseError
from ..interface.currents import InterfaceCurrents, require_balance
from ..transport.harmonic import HarmonicState, solve_harmonics
from ..transport.system import TransportState
from ..transport.transient import TransientResult, TransientState, solve_transient
from ..units import Progress
from .currents import device_currents
from .response_tables import FrequencyResponse, TransientResponse

if TYPE_CHECKING:
    from .model import Device, Transport

__all__ = ["require_resolved", "time_response", "with_half_steps"]

Frames = tuple[tuple[float, "Transport"], ...]


def require_resolved(device: Device) -> None:
    """Refuse [frequency] and [transient] for layers that are not resolved by the mesh.

    Raises:
        CaseError: Naming the table.
    """
    case = device.case
    table = "frequency" if case.frequency is not None else "transient"
    if case.frequency is None and case.transient is None:
        return
    if case.solver.method == "stack":
        raise CaseError(table, 'needs the finite elements; leave out solver.method = "stack"')
    if device.reduced:
        names = ", ".join(layer.name for layer in device.reduced)
        raise CaseError(table, f"a reduced layer stores no spin; resolve {names} with a mesh")


def time_response(
    device: Device, steady: Transport, progress: Progress | None = None
) -> tuple[FrequencyResponse | TransientResponse | None, Frames]:
    """Return currents at the frequencies or in the time a case asks for, and field frames.

    Args:
        device: The problem.
        steady: Its steady solution at full drive.
        progress: Called with the fraction that is done.

    Raises:
        SolverError: If a linear solver or the time step control fails.
    """
    case = device.case
    if case.frequency is not None:
        return _at_frequencies(device, steady, case.frequency), ()
    if case.transient is not None:
        return _in_time(device, steady, case.transient, progress)
    return None, ()


def _at_frequencies(device: Device, steady: Transport, table: Frequency) -> FrequencyResponse:
    laws = device.laws(steady.m)
    states = solve_harmonics(device.problem, steady.fields, laws, table.angular)
    currents = tuple(
        _currents(device, state, state.mu_dot, f" at {w:.6g} rad/s")
        for state, w in zip(states, table.angular, strict=True)
    )
    return FrequencyResponse(tuple(table.angular), currents, device.space.dimension)


def _in_time(
    device: Device, steady: Transport, table: Transient, progress: Progress | None
) -> tuple[TransientResponse, Frames]:
    times = table.times
    chosen = {times[k] for k in np.linspace(1, len(times) - 1, table.frames).round().astype(int)}
    rows: list[tuple[float, float, Mapping[str, InterfaceCurrents]]] = []
    frames: list[tuple[float, Transport]] = []

    def observe(now: TransientState) -> None:
        currents = _currents(device, now.state, now.mu_dot, f" at {now.time:.6g} s")
        rows.append((now.time, now.drive, currents))
        if now.time in chosen:
            frames.append((now.time, replace(steady, state=now.state, interfaces=currents)))
        if progress is not None:
            progress(now.time / table.duration)

    result = _solved(device, steady, table, times, table.tolerance, observe)
    when, drive, currents = zip(*rows, strict=True)
    facts = (result.ends, result.rejected, result.factorisations)
    response = TransientResponse(when, drive, currents, device.space.dimension, *facts)
    return response, tuple(frames)


def with_half_steps(device: Device, steady: Transport, response: TransientResponse) -> TransientResponse:
    """Return the end of a transient by two steps in place of every one.

    Args:
        device: The problem.
        steady: Its steady solution at full drive.
        response: The transient.

    Raises:
        SolverError: If a linear solver fails.
    """
    table = device.case.transient
    assert table is not None
    whole = np.array([0.0, *response.ends])
    halves = np.stack([0.5 * (whole[:-1] + whole[1:]), whole[1:]], axis=1).ravel()
    result = _solved(device, steady, table, [0.0, *halves.tolist()], None, None)
    end = result.states[-1]
    currents = _currents(device, end.state, end.mu_dot, f" at {end.time:.6g} s")
    return replace(response, interfaces=(*response.interfaces[:-1], currents), ends=result.ends)


def _solved(
    device: Device,
    steady: Transport,
    table: Transient,
    times: Sequence[float],
    tolerance: float | None,
    observe: Callable[[TransientState], None] | None,
) -> TransientResult:
    return solve_transient(
        device.problem,
        steady.fields,
        device.laws(steady.m),
        times,
        steady.state.mu if table.drive == "off" else None,
        table.scale,
        tolerance,
        () if table.pulse_length is None else (table.pulse_length,),
        observe,
    )


def _currents(
    device: Device, state: TransportState | HarmonicState, mu_dot: Any, when: str
) -> dict[str, InterfaceCurrents]:
    """Return the currents through every interface of a conductor, with storage."""
    found = device_currents(device, state, mu_dot)
    require_balance(device.space, state, found, when)
    return found
