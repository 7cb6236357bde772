"""What a case asks for, whatever it is: a solution, a texture's result, the table of a scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .case.load import load_case
from .case.schema import Case, Dynamics
from .device.build import build_device, log
from .device.model import Device, Transport
from .device.motion import QuasiStaticTorque, macrospin, magnet_name, run_dynamics
from .device.neighbours import magnet_thickness
from .device.observables.fluxes import driving_flux
from .device.response import time_response
from .device.steady import solve_transport
from .errors import CaseError, SolverError
from .materials.parameters import complete_case
from .results.solution import Solution
from .units import LENGTH, Array, Progress

if TYPE_CHECKING:
    from .results.texture_result import TextureResult
    from .studies.accuracy.error_bars import ErrorBars
    from .studies.conductances import ConductanceTables
    from .studies.fit import FitResult
    from .studies.magnetoresistance import SmrAmplitudes
    from .studies.sensitivity.elements import Sensitivities
    from .studies.sweep import ScanResult
__all__ = [
    "Progress",
    "as_case",
    "conductances",
    "fit",
    "magnetoresistance",
    "sensitivities",
    "simulate",
    "simulate_transport",
    "solve",
    "solve_point",
    "sweep",
]


def simulate(
    case: Case | str | Path,
    folder: Path | None = None,
    progress: Progress | None = None,
    errors: bool | None = None,
) -> Solution | TextureResult | ScanResult:
    """Return what a case asks for: a solution, a texture's result, or the table of a scan.

    Args:
        case: A validated case, or the path of a case file.
        folder: Where relative paths start; default the folder of the case file.
        progress: Called with the fraction of a motion, or of the points of a scan, that is done.
        errors: Whether to estimate discretisation errors of transport; default as the case says.

    Returns:
        A `Solution`; with [texture] a `TextureResult`; with [scan] a `ScanResult`, whose points
        are solved one after the other in this process (`sweep` uses several and keeps
        finished points).

    Raises:
        FemspinError: If the case is wrong or a solver fails.
    """
    case = as_case(case)
    if case.scan is not None:
        return _scanned(case, folder, progress)
    if case.texture is not None:
        from .studies.textures.simulate import simulate_texture

        return simulate_texture(case, folder, progress)
    return simulate_transport(case, folder, progress, errors)


def _scanned(case: Case, folder: Path | None, progress: Progress | None) -> ScanResult:
    """Return the table of a scan; nothing is kept on disk."""
    report = None if progress is None else lambda done, n: progress(done / max(n, 1))
    with TemporaryDirectory(prefix="femspin") as kept:
        return sweep(case, folder, Path(kept) / "scan", report, here=True)


def sweep(
    case: Case | str | Path,
    folder: Path | None = None,
    output: Path | str = "scan.out",
    progress: Callable[[int, int], None] | None = None,
    fresh: bool = False,
    solve: Callable[[Case, Path | None], Mapping[str, Any]] | None = None,
    here: bool = False,
) -> ScanResult:
    """Return the results of all points of a case with [scan], solved in several processes.

    Finished points are kept under ``<output>.scan/points``, and a later run takes from there what
    has the same case and the same code.

    Args:
        case: A case with [scan], or the path of its file.
        folder: Where relative paths start; default the folder of the case file.
        output: The result folder; `ScanResult.write` writes it.
        progress: Called with the number of finished points and of all points.
        fresh: Solve all points anew.
        solve: What returns the result table of a case instead of `simulate`; a function of a
            module.  Points kept by one such function are not told from those of another.
        here: Solve one point after the other in this process, without workers.

    Raises:
        CaseError: If an axis or value is not allowed, or a name is not a number of the result.
    """
    from .studies.sweep import run_scan

    own = solve is None
    return run_scan(as_case(case), solve or solve_point, folder, output, progress, fresh, here, together=own)


def solve_point(case: Case, folder: Path | None) -> Mapping[str, Any]:
    """Return the result table of one point of a scan."""
    if case.texture is not None:
        from .studies.textures.simulate import simulate_texture

        return simulate_texture(case, folder).table
    return simulate_transport(case, folder, errors=False).table


def simulate_transport(
    case: Case, folder: Path | None = None, progress: Progress | None = None, errors: bool | None = None
) -> Solution:
    """Return the solution of a case: transport, and the motion of the magnetization if asked.

    Args:
        case: A validated case without [texture]; its [scan] is passed over.
        folder: Where relative mesh paths start; default the folder of the case file.
        progress: Called with the fraction of the motion that is done.
        errors: Whether to estimate discretisation errors; default as the case says.

    Raises:
        FemspinError: If the case is wrong or a solver fails.
    """
    if case.texture is not None:
        raise CaseError("texture", "is not part of this computation; use femspin.simulate")
    device = build_device(case, folder)
    levels: tuple[dict[str, Any], ...] = ()
    bars: ErrorBars | None = None
    if case.solver.target_error is not None:
        from .studies.accuracy.adaptive import adapt, level_table

        refined = adapt(device, device.direction, case.solver.target_error, case.solver.max_unknowns)
        device, levels = refined.device, tuple(level_table(refined.levels))
        bars = refined.bars if case.dynamics is None else None
    solution = replace(solve(device, progress), levels=levels)
    if solution.response is not None:
        bars = None  # those of the refinement are of the steady numbers alone
    if not (case.solver.error_bars if errors is None else errors):
        return solution
    if bars is None:
        from .studies.accuracy.error_bars import error_bars
        from .studies.accuracy.in_time import response_error_bars
        from .studies.accuracy.motion import motion_error_bars

        try:
            if solution.response is None:
                bars = error_bars(device, solution.transport)
            else:
                bars = response_error_bars(device, solution.transport, solution.response)
            if bars is not None and solution.trajectory is not None:
                bars = motion_error_bars(device, solution.transport, solution.trajectory, bars)
        except SolverError as error:  # the solution itself is not in doubt
            log.warning("no error bars: %s", error)
    return solution if bars is None else replace(solution, errors=bars.table)


def solve(device: Device, progress: Progress | None = None) -> Solution:
    """Return the solution of a meshed problem; see `simulate`."""
    if device.case.dynamics is None:
        steady = solve_transport(device, device.direction)
        response, frames = time_response(device, steady, progress)
        return Solution(device, steady, frames=frames, response=response)
    return _moving(device, device.case.dynamics, progress)


def _moving(device: Device, options: Dynamics, progress: Progress | None) -> Solution:
    magnet = magnet_name(device.case)
    spin = macrospin(device.case, magnet_thickness(device, magnet) / LENGTH)
    latest: list[Transport] = []

    def flux(m: Array) -> Array:
        latest[:] = [solve_transport(device, m, latest[0] if latest else None)]
        return driving_flux(device, latest[0], magnet)

    torque = QuasiStaticTorque(spin, flux, options.transport_tolerance)
    report = None if progress is None else lambda t: progress(t / options.duration)
    trajectory = run_dynamics(options, spin, torque, device.direction, report)
    chosen = np.unique(np.linspace(0, len(trajectory.time) - 1, options.frames).round().astype(int))
    frames = tuple((float(trajectory.time[k]), solve_transport(device, trajectory.m[k])) for k in chosen)
    # The torques of a history are within the tolerance of the transport; those of the end are exact.
    final = spin.interface_torque(trajectory.m[-1], driving_flux(device, frames[-1][1], magnet))
    torques = np.concatenate([trajectory.torque[:-1], final[None]])
    return Solution(device, frames[-1][1], replace(trajectory, torque=torques), frames, torque.solutions)


def fit(path: str | Path) -> FitResult:
    """Return the parameters that a fit file asks for, with errors and correlations.

    Args:
        path: A fit file; paths in it start in its folder.

    Raises:
        CaseError: If the file, its data or its case are wrong, or the data do not determine the
            parameters.
        SolverError: If the fit does not converge.
    """
    from .studies.fit import build_model, fit_model, load_fit

    return fit_model(build_model(load_fit(path), Path(path).parent))


def sensitivities(
    case: Case | str | Path,
    outputs: Sequence[str] | None = None,
    parameters: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Sensitivities:
    """Return the derivatives of reported numbers by numbers of a case, in SI.

    Args:
        case: A case, or the path of a case file; of its steady state.
        outputs: Names or patterns of numbers; default the spin currents and torques driven.
        parameters: Dotted paths or patterns; default every scalar of the case.
        progress: Called with the fraction of the work that is done.

    Raises:
        FemspinError: If a name is unknown or a solver fails.
    """
    from .studies.sensitivity.case import case_sensitivities

    case = as_case(case)
    complete, _ = complete_case(case)
    return case_sensitivities(complete, case.folder, outputs, parameters, progress)[1]


def magnetoresistance(case: Case | str | Path, rotate: Literal["m", "B"] = "m") -> SmrAmplitudes:
    """Return the amplitudes of the spin Hall magnetoresistance of a case.

    Args:
        case: A case, or the path of a case file.
        rotate: ``m`` alone, or ``B`` with the moments along it, as for a paramagnet.

    Raises:
        FemspinError: If electrodes drive the device, B is to rotate and is zero, or a solver fails.
    """
    from .studies.magnetoresistance import smr_amplitudes

    return smr_amplitudes(build_device(as_case(case)), rotate=rotate)


def conductances(case: Case | str | Path) -> ConductanceTables:
    """Return the conductances of every F region of a case, with conditions of validity, by name.

    Args:
        case: A case, or the path of a case file.

    Raises:
        CaseError: If no region is of kind F.
    """
    from .studies.conductances import conductance_tables

    return conductance_tables(build_device(as_case(case)))


def as_case(case: Case | str | Path) -> Case:
    """Return a case, read from a file if its path is given.

    Raises:
        CaseError: If it is neither, or the file is wrong.
    """
    if isinstance(case, str | Path):
        return load_case(case)
    if not isinstance(case, Case):
        raise CaseError(
            "case",
            "must be a Case or the path of a case file; case_from_table makes"
            f" a Case of a dictionary (got {type(case).__name__})",
        )
    return case
