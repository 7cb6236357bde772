"""The stages in order: a case becomes a meshed problem, the problem a solution."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .case.schema import Case, Dynamics
from .case.schema import Interface as InterfaceTable
from .dynamics.run import QuasiStaticTorque, macrospin, magnet_name, run_dynamics
from .dynamics.torque import magnet_flux
from .errors import CaseError
from .fields.build import Conditions, region_fields
from .fields.lengths import mesh_scale
from .fields.region import RegionFields
from .interface.report import InterfaceCurrents, Share, interface_currents, shares
from .materials.parameters import RegionParameters, UsedValue, complete_case, region_parameters
from .results.solution import Solution
from .structure import Structure, build_stack, load_mesh
from .transport.boundary import FluxLaw
from .transport.conditions import build_boundary, table_law
from .transport.space import Space, build_space
from .transport.system import SolverOptions, TransportProblem, TransportState

__all__ = ["Device", "Transport", "build_device", "simulate", "solve", "solve_transport"]

Array = NDArray[np.float64]
Progress = Callable[[float], None]

log = logging.getLogger("femspin")


@dataclass(frozen=True)
class Device:
    """A case turned into a problem: everything that does not change with the magnetization.

    Args:
        case: The completed case.
        used: Database values that entered it.
        parameters: Conducting regions by name.
        conditions: Temperature and fields.
        direction: Unit vector of the case's magnetization, shape (3,).
        structure: The mesh.
        space: Scalar finite-element space.
        problem: The transport problem.
        share: How inflow is divided among the faces of every region.
        flux_tables: Case tables of the faces with a flux law.
        folder: Where relative mesh paths start.
    """

    case: Case
    used: tuple[UsedValue, ...]
    parameters: Mapping[str, RegionParameters]
    conditions: Conditions
    direction: Array
    structure: Structure
    space: Space
    problem: TransportProblem
    share: Mapping[str, Share]
    flux_tables: Mapping[str, InterfaceTable]
    folder: Path | None = None

    @property
    def conductors(self) -> tuple[str, ...]:
        """Names of the conducting regions."""
        return tuple(self.parameters)

    @property
    def kinds(self) -> dict[str, str]:
        """HM, F or FI of every region."""
        return {name: region.kind for name, region in self.case.regions.items()}

    def fields(self, m: Array) -> dict[str, RegionFields]:
        """Return the coefficients of every conducting region for the magnetization `m`."""
        return {n: region_fields(p, self.conditions, m) for n, p in self.parameters.items()}

    def laws(self, m: Array) -> dict[str, FluxLaw]:
        """Return the flux law of every face that has one, for the magnetization `m`."""
        return {name: table_law(table, m) for name, table in self.flux_tables.items()}


@dataclass(frozen=True)
class Transport:
    """One solved transport problem.

    Args:
        m: Magnetization it was solved for, shape (3,).
        fields: Coefficients of every conducting region (SI).
        state: Potentials and blocks.
        interfaces: Currents by interface name.
    """

    m: Array
    fields: Mapping[str, RegionFields]
    state: TransportState
    interfaces: Mapping[str, InterfaceCurrents]

    @property
    def balance(self) -> float:
        """Largest relative defect of the sum of parts over all interfaces."""
        return max((i.balance for i in self.interfaces.values()), default=0.0)


def build_device(case: Case, folder: Path | None = None) -> Device:
    """Return the meshed problem of a case.

    Args:
        case: A validated case.
        folder: Where relative mesh paths start; default the working directory.

    Raises:
        CaseError: If parameters are missing or inconsistent, or names do not match the mesh.
    """
    case, used = complete_case(case)
    parameters = {
        name: region_parameters(name, region)
        for name, region in case.regions.items()
        if region.kind != "FI"
    }
    conditions = _conditions(case)
    direction = np.array(case.magnetization.direction, float)
    direction /= np.linalg.norm(direction)
    kinds = {name: region.kind for name, region in case.regions.items()}
    try:
        fields = {n: region_fields(p, conditions, direction) for n, p in parameters.items()}
    except ValueError as error:
        raise CaseError("regions", str(error)) from None
    if case.structure is not None:
        decay = {name: mesh_scale(f) for name, f in fields.items()}
        structure = build_stack(case.structure, kinds, decay)
    else:
        assert case.mesh is not None
        path = Path(case.mesh.file)
        path = path if path.is_absolute() or folder is None else folder / path
        structure = load_mesh(path, case.mesh.length_unit, kinds)
    log.info("mesh: %d cells, %d vertices", structure.quality.cells, structure.quality.vertices)
    space = build_space(structure, tuple(parameters), case.solver.order)
    boundary, flux_tables, outer = build_boundary(case, space, tuple(parameters))
    options = SolverOptions(case.solver.method, case.solver.tolerance, case.solver.max_iterations)
    return Device(
        case, used, parameters, conditions, direction, structure, space,
        TransportProblem(space, boundary, options), shares(space, tuple(parameters), outer),
        flux_tables, folder,
    )  # fmt: skip


def simulate(case: Case, folder: Path | None = None, progress: Progress | None = None) -> Solution:
    """Return the solution of a case: transport, and the motion of the magnetization if asked.

    Args:
        case: A validated case.
        folder: Where relative mesh paths start.
        progress: Called with the fraction of the motion that is done.

    Raises:
        FemspinError: If the case is wrong or a solver fails.
    """
    device = build_device(case, folder)
    return solve(device, progress)


def solve(device: Device, progress: Progress | None = None) -> Solution:
    """Return the solution of a meshed problem; see `simulate`."""
    if device.case.dynamics is None:
        return Solution(device, solve_transport(device, device.direction))
    return _moving(device, device.case.dynamics, progress)


def _moving(device: Device, options: Dynamics, progress: Progress | None) -> Solution:
    magnet = magnet_name(device.case)
    heights = device.structure.mesh.p[
        -1, device.structure.mesh.t[:, device.structure.cells(magnet)]
    ]
    spin = macrospin(device.case, float(np.ptp(heights)))
    latest: list[Transport] = []

    def flux(m: Array) -> Array:
        latest[:] = [solve_transport(device, m, latest[0] if latest else None)]
        return magnet_flux(
            device.structure, device.space, latest[0].state, latest[0].fields,
            device.share, magnet,
        )  # fmt: skip

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


def solve_transport(device: Device, m: Array, guess: Transport | None = None) -> Transport:
    """Return potentials and interface currents for the magnetization direction `m`.

    Args:
        device: The problem.
        m: Unit vector, shape (3,).
        guess: An earlier solution to start an iterative solver from.

    Raises:
        SolverError: If the linear solver does not reach its tolerance.
    """
    fields = device.fields(m)
    if guess is not None:  # regions that do not depend on m keep their assembled blocks
        fields = {n: _keep(guess.fields[n], f) for n, f in fields.items()}
    state = device.problem.solve(fields, device.laws(m), None if guess is None else guess.state.mu)
    interfaces = {
        name: interface_currents(
            device.space, state, device.share, face, device.conductors,
            split=device.kinds[face.second] == "F",
        )
        for name, face in device.structure.interfaces.items()
        if face.first in device.conductors
    }  # fmt: skip
    return Transport(m, fields, state, interfaces)


def _keep(old: RegionFields, new: RegionFields) -> RegionFields:
    same = all(
        np.array_equal(getattr(old, key), getattr(new, key))
        for key in ("gauge", "omega", "relaxation", "theta", "drift")
    )
    return old if same else new


def _conditions(case: Case) -> Conditions:
    drive = case.drive
    form = case.solver.polarisation_form
    onsager = form == "onsager" or (form == "auto" and bool(drive.electrodes))
    return Conditions(
        temperature=drive.temperature,
        magnetic_field=np.array(drive.magnetic_field or [0.0, 0.0, 0.0]),
        electric_field=np.array(drive.electric_field or [0.0, 0.0, 0.0]),
        onsager=onsager,
    )
