"""The stages in order: a case becomes a meshed problem, the problem a solution."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..case.load import load_case
from ..case.schema import Case, Dynamics
from ..case.values import INSULATORS
from ..errors import CaseError, SolverError
from ..fields.build import Conditions, case_conditions, region_fields
from ..fields.region import RegionFields
from ..interface.currents import balanced, device_currents, face_mean, require_balance, shares
from ..interface.reduced import find_reduced, reduced_parts
from ..materials.parameters import (
    RegionParameters,
    complete_case,
    polarisation_squared,
    region_parameters,
)
from ..results.solution import Solution
from ..structure import Structure, build_stack, load_mesh
from ..transport.assembly.covariant import carried_directions
from ..transport.conditions import build_boundary, contact_names
from ..transport.elements.space import build_space
from ..transport.layers.lengths import mesh_lengths, resolved_rates
from ..transport.system import SolverOptions, TransportProblem, TransportState
from ..units import ENERGY, FLUX, LENGTH
from .layered import exact_transport, require_stack
from .model import Device, Transport
from .motion import QuasiStaticTorque, macrospin, magnet_name, run_dynamics
from .neighbours import magnet_thickness
from .observables.fluxes import driving_flux
from .response import require_resolved, time_response

if TYPE_CHECKING:
    from ..results.texture_result import TextureResult
    from ..studies.accuracy.error_bars import ErrorBars
    from ..studies.sweep import ScanResult

__all__ = [
    "Device", "Transport", "build_device", "changed_device", "simulate", "simulate_transport",
    "solve", "solve_transport", "transport_of",
]  # fmt: skip

Array = NDArray[np.float64]
Progress = Callable[[float], None]

log = logging.getLogger("femspin")


def build_device(
    case: Case,
    folder: Path | None = None,
    structure: Structure | None = None,
    order: int | None = None,
    elements: Mapping[str, tuple[int, ...]] | None = None,
) -> Device:
    """Return the meshed problem of a case.

    Args:
        case: A validated case.
        folder: Where relative mesh paths start; default the folder of the case file.
        structure: A mesh to take instead of the one the case describes.
        order: Polynomial order to take instead of the one the case names; 1, 2 or 3.
        elements: Directions along which elements carry spin, instead of the case's choice.

    Raises:
        CaseError: If parameters are missing or inconsistent, or names do not match the mesh.
    """
    if not case.regions:
        raise CaseError("texture", "this needs a device; the case has only a texture with a mesh"
                        " of its own, for `femspin run`")  # fmt: skip
    folder = case.folder if folder is None else folder
    case, used = complete_case(case)
    parameters = {
        name: region_parameters(name, region)
        for name, region in case.regions.items()
        if region.kind not in INSULATORS
    }
    conditions = case_conditions(case)
    direction = np.array(case.magnetization.direction, float)
    direction /= np.linalg.norm(direction)
    try:
        fields = {n: region_fields(p, conditions, direction) for n, p in parameters.items()}
    except ValueError as error:
        raise CaseError("regions", str(error)) from None
    meshed, reduced = find_reduced(case, parameters)
    conductors = tuple(n for n in parameters if n not in {layer.name for layer in reduced})
    if structure is None:
        structure = _structure(meshed, parameters, fields, conditions, folder)
    log.info("mesh: %d cells, %d vertices", structure.quality.cells, structure.quality.vertices)
    contacts = contact_names(meshed, structure)
    space = build_space(structure, conductors, order or case.solver.order, contacts)
    polarised = {n for n, p in parameters.items() if polarisation_squared(p.region)}
    faces = build_boundary(
        meshed, space, conductors, [layer.face for layer in reduced], polarised
    )
    case = case.with_electrodes(faces.tables_of_electrodes)
    method = "direct" if case.solver.method == "stack" else case.solver.method
    if elements is None:
        elements = {
            n: carried_directions(space, n, fields[n], case.solver.elements, space.order)
            for n in conductors
        }
    options = SolverOptions(method, case.solver.tolerance, case.solver.max_iterations, elements)
    device = Device(
        case, used, parameters, conditions, direction, structure, space,
        TransportProblem(space, faces.boundary, options),
        shares(
            space, conductors, faces.outer, faces.electrodes, faces.joined,
            faces.boundary.contacts,
        ),
        faces.tables, reduced, folder,
    )  # fmt: skip
    if case.solver.method == "stack":
        require_stack(device)
    for layer in reduced:
        if layer.form in ("corrected", "printed") and device.spin_orbit(layer) is None:
            raise CaseError(
                f"regions.{layer.name}.model",
                "the closed forms need spin-orbit coupling of the form (9)-(11) with u_yz = u_zx"
                f" (got {layer.form!r}); use exact, layer or thin",
            )
    require_resolved(device)
    return device


def changed_device(device: Device, case: Case, boundary: bool = True) -> Device:
    """Return the device on the same mesh for a completed case with other numbers.

    Args:
        device: The problem.
        case: Differs from its case in continuous parameters only.
        boundary: Whether conditions on faces may have changed, too.
    """
    parameters = {name: region_parameters(name, case.regions[name]) for name in device.parameters}
    changed = replace(device, case=case, parameters=parameters, conditions=case_conditions(case))
    if not boundary:
        return changed
    meshed, reduced = find_reduced(case, parameters)
    faces = build_boundary(
        meshed, device.space, device.conductors, [layer.face for layer in reduced]
    )
    problem = TransportProblem(device.space, faces.boundary, device.problem.options)
    return replace(changed, problem=problem, flux_tables=faces.tables, reduced=reduced)


def _structure(
    case: Case,
    parameters: Mapping[str, RegionParameters],
    fields: Mapping[str, RegionFields],
    conditions: Conditions,
    folder: Path | None,
) -> Structure:
    kinds = {name: region.kind for name, region in case.regions.items()}
    if case.structure is not None:
        rates = resolved_rates(case)
        seen = {n: [f, *_while_turning(case, parameters[n], conditions)]
                for n, f in fields.items()}  # fmt: skip
        decay = {n: np.concatenate([mesh_lengths(f, rates) for f in each])
                 for n, each in seen.items()}  # fmt: skip
        return build_stack(case.structure, kinds, decay)
    assert case.mesh is not None
    path = Path(case.mesh.file)
    path = path if path.is_absolute() or folder is None else folder / path
    return load_mesh(path, case.mesh.length_unit, kinds)


def _while_turning(
    case: Case, parameters: RegionParameters, conditions: Conditions
) -> Iterator[RegionFields]:
    """Yield the coefficients of a region along the way of a magnetization that moves.

    One mesh serves all its directions: the corners, edges and faces of a cube stand for them.
    """
    if parameters.region.kind != "F" or (case.dynamics is None and case.texture is None):
        return
    for m in product((-1.0, 0.0, 1.0), repeat=3):
        if any(m):
            with contextlib.suppress(CaseError):  # moments that the field does not let stay there
                yield region_fields(parameters, conditions, np.array(m) / np.linalg.norm(m))


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
        are solved one after the other in this process (`femspin.studies.sweep.run_scan` uses several and
        keeps finished points).

    Raises:
        FemspinError: If the case is wrong or a solver fails.
    """
    if isinstance(case, str | Path):
        case = load_case(case)
    elif not isinstance(case, Case):
        raise CaseError("case", "must be a Case or the path of a case file; case_from_table makes"
                        f" a Case of a dictionary (got {type(case).__name__})")  # fmt: skip
    if case.scan is not None:
        return _scanned(case, folder, progress)
    if case.texture is not None:
        from ..studies.textures.run import simulate_texture

        return simulate_texture(case, folder, progress)
    return simulate_transport(case, folder, progress, errors)


def _scanned(case: Case, folder: Path | None, progress: Progress | None) -> ScanResult:
    """Return the table of a scan; nothing is kept on disk."""
    from ..studies.sweep import run_scan

    report = None if progress is None else lambda done, n: progress(done / max(n, 1))
    with TemporaryDirectory(prefix="femspin") as kept:
        return run_scan(case, folder, Path(kept) / "scan", report, here=True)


def simulate_transport(
    case: Case,
    folder: Path | None = None,
    progress: Progress | None = None,
    errors: bool | None = None,
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
        from ..studies.accuracy.adaptive import adapt, level_table

        refined = adapt(
            device, device.direction, case.solver.target_error, case.solver.max_unknowns
        )
        device, levels = refined.device, tuple(level_table(refined.levels))
        bars = refined.bars if case.dynamics is None else None
    solution = replace(solve(device, progress), levels=levels)
    if not (case.solver.error_bars if errors is None else errors):
        return solution
    if bars is None:
        from ..studies.accuracy.error_bars import error_bars

        try:
            bars = error_bars(device, solution.transport)
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
    chosen = np.unique(
        np.linspace(0, len(trajectory.time) - 1, options.frames).round().astype(int)
    )
    frames = tuple(
        (float(trajectory.time[k]), solve_transport(device, trajectory.m[k])) for k in chosen
    )
    return Solution(device, frames[-1][1], trajectory, frames, torque.solutions)


def solve_transport(
    device: Device, m: Array, guess: Transport | None = None, rough: bool = False
) -> Transport:
    """Return potentials and interface currents for the magnetization direction `m`.

    Args:
        device: The problem.
        m: Unit vector, shape (3,).
        guess: An earlier solution to start an iterative solver from.
        rough: Whether currents that miss their parts will do.

    Raises:
        SolverError: If the linear solver does not reach its tolerance, or parts do not balance.
    """
    transport = _solved(device, m, guess)
    return transport if rough else balanced_transport(device, transport)


def _solved(device: Device, m: Array, guess: Transport | None) -> Transport:
    if device.case.solver.method == "stack":
        return _with_reduced(device, exact_transport(device, m))
    fields = device.fields(m)
    if guess is not None:  # regions that do not depend on m keep their assembled blocks
        fields = {n: _keep(guess.fields[n], f) for n, f in fields.items()}
    state = device.problem.solve(fields, device.laws(m), None if guess is None else guess.state.mu)
    return transport_of(device, m, fields, state)


def balanced_transport(device: Device, transport: Transport) -> Transport:
    """Return the transport as it is.

    Raises:
        SolverError: If the parts of a spin current do not add up to it.
    """
    require_balance(device.space, transport.state, transport.interfaces)
    return transport


def transport_of(
    device: Device, m: Array, fields: Mapping[str, RegionFields], state: TransportState
) -> Transport:
    """Return the currents that a state means, whether or not it solves the equations."""
    currents = device_currents(device, state)
    return _with_reduced(device, Transport(m, fields, state, currents))


def _with_reduced(device: Device, transport: Transport) -> Transport:
    """Return the transport with the currents of reduced layers under their own names."""
    if not device.reduced:
        return transport
    interfaces, fields = dict(transport.interfaces), {}
    for layer in device.reduced:
        fields[layer.name] = f = device.region_fields(layer.name, transport.m)
        area, mu = face_mean(device.space, transport.state.mu, layer.face)
        law = transport.state.laws[layer.face]
        # A face with a flux law carries exactly that flux in the weak form; charge is blocked.
        flux = np.concatenate([[0.0], law.conductance @ mu[1:] + law.drift])
        parts = reduced_parts(
            f, layer.thickness, layer.form, mu[1:] * ENERGY, device.below(layer, transport.m),
            device.spin_orbit(layer),
        )  # fmt: skip
        scaled = {name: value / FLUX for name, value in parts.items()}
        interfaces.pop(layer.face, None)
        interfaces[layer.interface] = balanced(layer.interface, area, flux, layer.name, scaled)
    return replace(transport, interfaces=interfaces, reduced_fields=fields)


def _keep(old: RegionFields, new: RegionFields) -> RegionFields:
    same = all(
        np.array_equal(getattr(old, key), getattr(new, key))
        for key in ("gauge", "omega", "relaxation", "theta", "drift")
    )
    return old if same else new
