"""What a case asks of a texture: motion, equilibrium, loop, threshold or resonance."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...case.schema import Case
from ...results.texture_result import TextureResult
from ...units import Progress
from .keeper import Keeper
from .motion import start_motion
from .numbers import run_numbers, texture_facts
from .rehearsal import rehearsed
from .rest import relaxed
from .run import run_motion
from .states import initial_texture
from .system import TextureSystem, TransportTorque, build_texture_system
from .warnings import case_warnings, refuse_unfit_texture

__all__ = ["rehearse_texture", "simulate_texture"]


def simulate_texture(
    case: Case,
    folder: Path | None = None,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
    transport: TransportTorque | None = None,
) -> TextureResult:
    """Return what a texture case asks for: motion, equilibrium, loop, threshold or resonance.

    Args:
        case: A case with [texture].
        folder: Where relative paths start; default the folder of the case file.
        progress: Called with the fraction of the work that is done.
        keeper: Checkpoints of a run; by default none.
        transport: Makes the torque of `torque_source = "transport"` instead of the device of
            the case.

    Raises:
        FemspinError: If the case is wrong or a solver fails.
    """
    folder = case.folder if folder is None else folder
    return _simulated(case, build_texture_system(case, folder, transport), folder, progress, keeper)


def rehearse_texture(case: Case, folder: Path | None = None) -> tuple[TextureSystem, TextureResult]:
    """Return the magnet of a case and a result with all its names, without solving anything.

    Args:
        case: A case with [texture].
        folder: Where relative paths start; default the folder of the case file.

    Raises:
        CaseError: What `simulate_texture` refuses before it solves.
    """
    folder = case.folder if folder is None else folder
    system = build_texture_system(case, folder)
    with np.errstate(all="ignore"):
        return system, _simulated(case, rehearsed(system), folder)


def _simulated(
    case: Case,
    system: TextureSystem,
    folder: Path | None,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> TextureResult:
    refuse_unfit_texture(system)
    if system.table.analysis != "run":
        from .analyses import analysed

        return analysed(case, system, progress)
    order, canting = initial_texture(system), None
    if system.table.initial.relax and (keeper is None or keeper.load() is None):
        order, canting = relaxed(system, order)
    motion, state = start_motion(system, order, canting)
    run = run_motion(system, motion, state, progress, keeper)
    return TextureResult(
        case,
        system.space,
        run_numbers(system, run),
        run.history,
        run.wall_series,
        run.frames,
        warnings=(*case_warnings(system, case), *run.warnings),
        folder=folder,
        facts=texture_facts(system, motion),
        seconds=run.seconds,
        device=system.device,
        potentials=run.potentials,
    )
