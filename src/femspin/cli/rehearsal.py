"""What a run builds and says before it solves anything large.

A check must refuse and warn as the run does.  So it goes the way of the run: the same device or
magnet, the same tables of numbers, the same warnings.  What is solved in no time (small devices)
is solved; in place of a large solution stands a generic one, in place of a motion its first
instant, so that only the values differ, not the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..case.schema import Case
from ..device.build import build_device
from ..device.generic import generic_transport
from ..device.model import Device, Transport
from ..device.motion import macrospin, magnet_name
from ..device.observables.fluxes import driving_flux
from ..device.observables.quantity import flat_numbers, numbers_of
from ..device.response_tables import FrequencyResponse, TransientResponse
from ..device.steady import solve_transport
from ..interface.currents import InterfaceCurrents
from ..magnets.macrospin import Trajectory
from ..results.solution import Solution
from ..transport.determinacy import require_determined
from ..transport.linear.memory import require_memory

__all__ = ["Rehearsal", "rehearse"]

_SOLVED_UP_TO = {1: 40_000, 2: 8_000, 3: 4_000}  # unknowns, by dimension: about a second


@dataclass(frozen=True)
class Rehearsal:
    """What is known of a run beforehand.

    Args:
        table: Like that of the result; numbers that must be computed first have no meaning.
        warnings: Sentences that the run will say, too.
        system: Device, or magnet with its drives.
    """

    table: Mapping[str, Any]
    warnings: tuple[str, ...]
    system: Any

    @property
    def values(self) -> dict[str, float]:
        """Numbers that [expected] may name, by dotted name."""
        texture = {k: v for k, v in self.table.items() if k in ("texture", "texture_facts")}
        return flat_numbers(texture or dict(self.table))

    @property
    def columns(self) -> dict[str, float]:
        """Numbers that a scan may put into its table."""
        return numbers_of(self.table)


def rehearse(case: Case, folder: Path | None = None) -> Rehearsal:
    """Return what a run of a case without [scan] builds and says.

    Args:
        case: A validated case.
        folder: Where relative paths start; default the folder of the case file.

    Raises:
        FemspinError: What the run would raise.
    """
    if case.texture is None:
        return _rehearsed_transport(build_device(case, folder))
    from ..studies.textures.simulate import rehearse_texture

    system, result = rehearse_texture(case, folder)
    return Rehearsal(result.table, tuple(result.warnings), system)


def _rehearsed_transport(device: Device) -> Rehearsal:
    case = device.case
    if case.solver.target_error is not None:
        from ..studies.accuracy.adaptive import require_simplices

        require_simplices(device)
    transport = _transport(device)
    trajectory = None
    if case.dynamics is not None:
        magnet = magnet_name(case)
        macrospin(case, device.structure.height(magnet))
        driving_flux(device, transport, magnet)
        one, rows = np.zeros(1), np.zeros((1, 3))
        trajectory = Trajectory(one, rows, rows, one, 0, True)
    solution = Solution(device, transport, trajectory, response=_response(device, transport))
    table = solution.table
    return Rehearsal(table, tuple(table["warnings"]), device)


def _transport(device: Device) -> Transport:
    """Return the solution where it takes no time, or else a state in its place."""
    unknowns = len(device.problem.constraint.charge)
    if device.case.solver.method == "stack" or unknowns <= _SOLVED_UP_TO[device.space.dimension]:
        return solve_transport(device, device.direction)
    problem = device.problem
    scaled = problem.scaled(device.fields(device.direction))
    require_memory(device.space, problem.options.method, scaled)
    require_determined(
        device.space, problem.boundary, problem.constraint, scaled, device.laws(device.direction)
    )
    return generic_transport(device)


def _response(device: Device, steady: Transport) -> FrequencyResponse | TransientResponse | None:
    """Return a response with the numbers that [frequency] or [transient] will give."""
    case, dimension = device.case, device.space.dimension
    if case.frequency is not None:
        found = {name: _complex(i) for name, i in steady.interfaces.items()}
        angular = tuple(case.frequency.angular)
        return FrequencyResponse(angular, (found,) * len(angular), dimension)
    if case.transient is not None:
        ends = (0.0, case.transient.duration)
        return TransientResponse(ends, (1.0, 1.0), (steady.interfaces,) * 2, dimension, (), 0, 0)
    return None


def _complex(currents: InterfaceCurrents) -> InterfaceCurrents:
    parts = {name: (1 + 1j) * value for name, value in currents.parts.items()}
    return replace(currents, flux=(1 + 1j) * currents.flux, parts=parts)
