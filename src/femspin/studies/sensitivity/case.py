"""The sensitivities of a case, by the method that solves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...case import Case
from ...device.build import build_device
from ...device.observables.mesh import discretised_numbers
from ...device.observables.quantity import flat_numbers
from ...device.steady import solve_transport
from ...errors import CaseError
from ...units import Progress
from .elements import (
    Sensitivities,
    choose_outputs,
    default_outputs,
    is_output,
    possible_outputs,
    sensitivities,
)
from .layers import solved_stack, stack_sensitivities

__all__ = ["case_sensitivities"]

_ZERO = 1e-10  # of the largest number of the same kind: round-off


Found = tuple[Case, Sensitivities, list[str]]


def case_sensitivities(
    case: Case,
    folder: Path | None = None,
    outputs: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Found:
    """Return a case with the values its meshed problem has, its sensitivities and what is zero.

    Args:
        case: Completed; its motion and scan are passed over.
        folder: Where relative paths start; default the folder of the case file.
        outputs: Names or patterns; default the spin currents and torques that are driven.
        parameters: Dotted paths or patterns; default every scalar of the case.
        progress: Called with the fraction of the work that is done.

    Raises:
        FemspinError: If a name is unknown or a solver fails.
    """
    if case.solver.method == "stack":
        solved = solved_stack(case)
        names, left = _outputs(outputs, solved.values)
        return case, stack_sensitivities(solved, names, parameters, progress), left
    return _elements(case, folder, outputs, parameters, progress)


def _elements(
    case: Case,
    folder: Path | None,
    outputs: Sequence[str] | None,
    parameters: Sequence[str] | None,
    progress: Progress | None,
) -> Found:
    device = build_device(case, folder)
    if outputs:
        choose_outputs(outputs, possible_outputs(device))
    transport = solve_transport(device, device.direction)
    values = flat_numbers(discretised_numbers(device, transport))
    names, left = _outputs(outputs, values)
    found = sensitivities(device, transport, names, parameters, progress=progress)
    return device.case, found, left


def _outputs(wanted: Sequence[str] | None, values: Mapping[str, float]) -> tuple[tuple[str, ...], list[str]]:
    """Return the outputs, and those that patterns mean but that are zero."""
    if not wanted:
        names = default_outputs(values)
        if not names:
            raise CaseError("--outputs", "no spin current and no torque is driven; name outputs")
        return names, []
    names = choose_outputs(wanted, [name for name in values if is_output(name)])
    largest: dict[str, float] = {}
    for name, value in values.items():
        kind = _kind(name)
        largest[kind] = max(largest.get(kind, 0.0), abs(value))
    left = [
        name for name in names if name not in wanted and abs(values[name]) <= _ZERO * largest[_kind(name)]
    ]
    kept = tuple(name for name in names if name not in left)
    if not kept:
        raise CaseError("--outputs", f"all of it is zero: {', '.join(left)}")
    return kept, left


def _kind(name: str) -> str:
    """Return what numbers of different interfaces, magnets and axes have in common."""
    parts = name.split(".")
    return ".".join(p for k, p in enumerate(parts) if k != 1 and p not in ("x", "y", "z"))
