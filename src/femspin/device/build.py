"""The stages in order: a case becomes a meshed problem, the problem a solution."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from ..case.schema import Case
from ..errors import CaseError
from ..fields.build import Conditions, case_conditions, region_fields
from ..fields.region import RegionFields
from ..interface.currents import shares
from ..interface.reduced import CLOSED_FORMS, find_reduced
from ..materials.parameters import RegionParameters, complete_case, conductor_parameters, polarisation_squared
from ..structure import Structure, build_stack, load_mesh
from ..transport.assembly.covariant import carried_directions
from ..transport.conditions import build_boundary, contact_names
from ..transport.elements.space import build_space
from ..transport.layers.lengths import mesh_lengths, resolved_rates
from ..transport.system import SolverOptions, TransportProblem
from ..units import Array
from .coefficients import magnetization_direction
from .model import Device
from .response import require_resolved
from .stack_problem import stack_problem

__all__ = ["build_device", "changed_device"]

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
    _require_regions(case)
    folder = case.folder if folder is None else folder
    case, used = complete_case(case)
    parameters = conductor_parameters(case)
    conditions = case_conditions(case)
    direction = magnetization_direction(case)
    fields = _fields(parameters, conditions, direction)
    meshed, reduced = find_reduced(case, parameters)
    conductors = tuple(n for n in parameters if n not in {layer.name for layer in reduced})
    if structure is None:
        structure = _structure(meshed, parameters, fields, conditions, folder)
    log.info("mesh: %d cells, %d vertices", structure.quality.cells, structure.quality.vertices)
    contacts = contact_names(meshed, structure)
    space = build_space(structure, conductors, order or case.solver.order, contacts)
    polarised = {n for n, p in parameters.items() if polarisation_squared(p.region)}
    faces = build_boundary(meshed, space, conductors, [layer.face for layer in reduced], polarised)
    case = case.with_electrodes(faces.tables_of_electrodes)
    if elements is None:
        elements = {
            n: carried_directions(space, n, fields[n], case.solver.elements, space.order) for n in conductors
        }
    device = Device(
        case,
        used,
        parameters,
        conditions,
        direction,
        structure,
        space,
        TransportProblem(space, faces.boundary, _solver_options(case, elements)),
        shares(space, conductors, faces.outer, faces.electrodes, faces.joined, faces.boundary.contacts),
        faces.tables,
        reduced,
        folder,
    )
    _require_solvable(device)
    return device


def changed_device(device: Device, case: Case) -> Device:
    """Return the device on the same mesh for a completed case with other numbers.

    Args:
        device: The problem.
        case: Differs from its case in continuous parameters only.
    """
    parameters = conductor_parameters(case)
    meshed, reduced = find_reduced(case, parameters)
    faces = build_boundary(meshed, device.space, device.conductors, [layer.face for layer in reduced])
    problem = TransportProblem(device.space, faces.boundary, device.problem.options)
    return replace(
        device,
        case=case,
        parameters=parameters,
        conditions=case_conditions(case),
        problem=problem,
        flux_tables=faces.tables,
        reduced=reduced,
    )


def _require_regions(case: Case) -> None:
    if not case.regions:
        raise CaseError(
            "texture",
            "this needs a device; the case has only a texture with a mesh of its own, for `femspin run`",
        )


def _fields(
    parameters: Mapping[str, RegionParameters], conditions: Conditions, direction: Array
) -> dict[str, RegionFields]:
    """Return the coefficients of every conductor, or refuse those that contradict each other."""
    try:
        return {n: region_fields(p, conditions, direction) for n, p in parameters.items()}
    except ValueError as error:
        raise CaseError("regions", str(error)) from None


def _solver_options(case: Case, elements: Mapping[str, tuple[int, ...]]) -> SolverOptions:
    """Return how a case solves transport; beside the exact solution of a stack, directly."""
    solver = case.solver
    method = "direct" if solver.method == "stack" else solver.method
    return SolverOptions(method, solver.tolerance, solver.max_iterations, elements)


def _require_solvable(device: Device) -> None:
    """Refuse what the solver or the model of a layer cannot do for the device."""
    if device.case.solver.method == "stack":
        stack_problem(device.case)  # says what it cannot do
    for layer in device.reduced:
        if layer.form in CLOSED_FORMS and device.spin_orbit(layer) is None:
            raise CaseError(
                f"regions.{layer.name}.model",
                "the closed forms need spin-orbit coupling of the form (9)-(11) with u_yz = u_zx"
                f" (got {layer.form!r}); use exact, layer or thin",
            )
    require_resolved(device)


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
        seen = {n: [f, *_while_turning(case, parameters[n], conditions)] for n, f in fields.items()}
        decay = {n: np.concatenate([mesh_lengths(f, rates) for f in each]) for n, each in seen.items()}
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
