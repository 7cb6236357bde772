"""``solver.method = "stack"``: the exact solution of a one-dimensional case.

The matrix-exponential solver replaces the finite elements; its potentials are sampled at the
nodes of the line mesh, so that fields, plots and tables come out as usual.  Many cases, as in a
scan, are solved together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..case.values import INSULATORS
from ..errors import CaseError
from ..fields.region import RegionFields
from ..fields.soc import cross_matrix
from ..interface.currents import InterfaceCurrents, balanced, face_source
from ..structure.model import Interface
from ..transport.assembly.boundary import FluxLaw
from ..transport.assembly.coefficients import coefficients
from ..transport.conditions import contact_conductances
from ..transport.layers.balance import FluxSplit
from ..transport.layers.batched import solve_stacks
from ..transport.layers.stack import (
    Conductance,
    Contact,
    Face,
    Insulating,
    SpinPotential,
    StackCase,
    StackLayer,
    StackSolution,
    solve_stack,
)
from ..transport.linear.solve import LinearReport
from ..transport.system import TransportState
from ..units import E_CHARGE, ENERGY, FLUX, LENGTH, Array

if TYPE_CHECKING:
    from .model import Device, Transport

__all__ = ["StackProblem", "exact_transport", "exact_transports", "require_stack", "stack_problem"]


def require_stack(device: Device) -> None:
    """Refuse a case that is not a one-dimensional stack with a prescribed drive.

    Raises:
        CaseError: Naming what the stack solver cannot do.
    """
    case = device.case
    if case.structure is None or case.structure.dimension != 1:
        raise CaseError("solver.method", "the stack method needs a [structure] of dimension 1")
    if case.drive.electrodes:
        raise CaseError("solver.method", "the stack method takes an electric field, no electrodes")
    kinds = [device.kinds[layer.region] for layer in case.structure.layers]
    inside = "".join("i" if kind in INSULATORS else "c" for kind in kinds).strip("i")
    if "i" in inside:
        raise CaseError(
            "solver.method", "the stack method needs conducting layers without an insulator between them"
        )


@dataclass(frozen=True)
class StackProblem:
    """The multilayer that a device is for one magnetization.

    Args:
        device: The problem.
        m: Magnetization, shape (3,).
        names: Region of each conducting layer, from bottom to top.
        heights: Boundaries of these layers [nm].
        fields: Coefficients of every conducting region (SI).
        laws: Flux law of every face that has one.
        case: Layers, faces and contacts as the exact solver takes them.
    """

    device: Device
    m: Array
    names: list[str]
    heights: Array
    fields: dict[str, RegionFields]
    laws: dict[str, FluxLaw]
    case: StackCase


def stack_problem(device: Device, m: Array) -> StackProblem:
    """Return the multilayer of a device for the magnetization `m`.

    Args:
        device: A device that `require_stack` accepts.
        m: Unit vector, shape (3,).
    """
    fields = {name: device.region_fields(name, m) for name in device.parameters}
    names, heights = _layers(device)
    thickness = np.diff(heights) * LENGTH
    laws = device.laws(m)
    bottom, top = (_condition(device, laws, side, names) for side in ("bottom", "top"))
    case = StackCase(
        tuple(StackLayer(fields[n], t) for n, t in zip(names, thickness, strict=True)),
        bottom,
        top,
        _contacts(device, names),
    )
    return StackProblem(device, m, names, heights, fields, laws, case)


def exact_transport(device: Device, m: Array) -> Transport:
    """Return the exact potentials and interface currents for the magnetization `m`.

    Raises:
        SolverError: If the spin potential is not determined.
    """
    began = time.perf_counter()
    problem = stack_problem(device, m)
    solution = solve_stack(problem.case)
    z, above = _places(problem)
    mu = np.empty((len(z), 4))
    for side, here in ((1, above), (-1, ~above)):
        mu[here] = solution.potential(z[here], side) / ENERGY
    return _transport(problem, solution, mu, time.perf_counter() - began)


def exact_transports(problems: Sequence[StackProblem]) -> list[Transport | Exception]:
    """Return what `exact_transport` finds for each problem, or the error it raises; all at once.

    Args:
        problems: Multilayers with any numbers of layers.
    """
    found: dict[int, Transport | Exception] = {}
    counts = [len(problem.names) for problem in problems]
    for count in sorted(set(counts)):
        where = [k for k, n in enumerate(counts) if n == count]
        found.update(zip(where, _solved([problems[k] for k in where]), strict=True))
    return [found[k] for k in range(len(problems))]


def _solved(problems: Sequence[StackProblem]) -> list[Transport | Exception]:
    """Return the solutions of multilayers with one number of layers."""
    began = time.perf_counter()
    batch = solve_stacks([problem.case for problem in problems])
    places = [_places(problem) for problem in problems]
    which = np.repeat(np.arange(len(places)), [len(z) for z, _ in places])
    z, above = (np.concatenate([place[j] for place in places]) for j in range(2))
    mu = batch.sample(which, z, np.where(above, 1, -1))[:, :4] / ENERGY
    starts = np.cumsum([len(z) for z, _ in places])[:-1]
    each = (time.perf_counter() - began) / len(problems)
    return [
        _attempt(problem)
        if k in batch.errors
        else _transport(problem, batch.solution(k, problem.case), sampled, each)
        for k, (problem, sampled) in enumerate(zip(problems, np.split(mu, starts), strict=True))
    ]


def _attempt(problem: StackProblem) -> Transport | Exception:
    """Return what a problem that failed among others gives by itself, most likely its error."""
    try:
        return exact_transport(problem.device, problem.m)
    except Exception as error:  # handed on as it is
        return error


def _transport(problem: StackProblem, solution: StackSolution, mu: Array, seconds: float) -> Transport:
    """Return the transport that a solution means; mu at the dofs [meV]."""
    from .model import Transport

    device, fields, names = problem.device, problem.fields, problem.names
    report = LinearReport("stack", 8 * len(names), 0, solution.mismatch, seconds)
    meshed = {name: fields[name] for name in device.conductors}
    scaled = {name: coefficients(f) for name, f in meshed.items()}
    state = TransportState(mu, np.zeros_like(mu), scaled, {}, problem.laws, report)
    return Transport(problem.m, meshed, state, _interfaces(device, solution, names, fields))


def _layers(device: Device) -> tuple[list[str], Array]:
    """Return the conducting layers from bottom to top and their boundaries [nm]."""
    structure = device.structure
    z = structure.mesh.p[0, structure.mesh.t]
    names: list[str] = []
    heights: list[float] = []
    for cell in np.argsort(z.mean(axis=0)):
        name = structure.regions[structure.region_of_cell[cell]]
        if name not in device.conductors:
            continue
        if not names or names[-1] != name:
            names.append(name)
            heights.append(float(z[:, cell].min()))
        last = float(z[:, cell].max())
    return names, np.array([*heights, last])


def _places(problem: StackProblem) -> tuple[Array, NDArray[np.bool_]]:
    """Return z of every dof within the stack [m], and whether its cell lies above it."""
    device, heights = problem.device, problem.heights
    edges, space = problem.case.interfaces, device.space
    at = np.clip((space.locations[-1] - heights[0]) * LENGTH + edges[0], edges[0], edges[-1])
    mesh = device.structure.mesh
    middle = np.zeros(space.n_dofs)
    middle[space.dofs] = mesh.p[-1, mesh.t[:, space.cells]].mean(axis=0)[:, None]
    return at, middle > space.locations[-1]


def _contacts(device: Device, names: list[str]) -> dict[int, Contact]:
    """Return the contact at every boundary between two layers that has one."""
    tables = {
        frozenset(key.split("|")): table
        for key, table in device.case.interfaces.items()
        if table.condition == "contact"
    }
    found = {}
    for k in range(1, len(names)):
        table = tables.get(frozenset((names[k - 1], names[k])))
        if table is not None:
            charge, spin = contact_conductances(table)
            found[k] = Contact(spin, np.inf if charge is None else charge)
    return found


def _condition(device: Device, laws: dict[str, FluxLaw], side: str, names: list[str]) -> Face:
    """Return the condition on the lowest or highest face of the conductors."""
    outermost = names[0] if side == "bottom" else names[-1]
    aliases = {side} | {
        name
        for name, face in device.structure.interfaces.items()
        if face.first == outermost and _lies_at(device, face, side)
    }
    for face in device.problem.boundary.potential:
        if face.name in aliases:
            return SpinPotential(face.value * ENERGY)
    for name in aliases:
        if name in laws:
            law = laws[name]
            return Conductance(law.conductance * E_CHARGE**2 * FLUX / ENERGY, law.drift * FLUX)
    return Insulating()


def _interfaces(
    device: Device, solution: StackSolution, names: list[str], fields: dict[str, RegionFields]
) -> dict[str, InterfaceCurrents]:
    """Return the currents of every interface with at least one conducting side."""
    flux = np.array([solution.interface_flux(k) for k in range(len(names) + 1)]) / FLUX
    result = {}
    for name, face in device.structure.interfaces.items():
        if face.first not in device.conductors:
            continue
        total = _inflow(device, face, names, flux)
        split = device.kinds[face.second] == "F" and face.second in device.conductors
        result[name] = (
            _split(solution, names, fields[face.second], name, face.area, total)
            if split
            else InterfaceCurrents(name, face.area, total / face.area, None, {}, 0.0)
        )
    boundary = device.problem.boundary
    named = {f.name for f in boundary.flux} | {f.name for f in boundary.potential}
    named -= {layer.face for layer in device.reduced}
    for side, region, into in (("bottom", names[0], flux[0]), ("top", names[-1], -flux[-1])):
        if side not in named:
            continue
        source = face_source([region], device.kinds)
        result[side] = (
            InterfaceCurrents(side, 1.0, into, None, {}, 0.0)
            if source is None
            else _split(solution, names, fields[region], side, 1.0, into, -1)
        )
    return result


def _inflow(device: Device, face: Interface, names: list[str], flux: Array) -> Array:
    """Return the flux into the first region of an interface, summed over its faces, (4,).

    Args:
        device: The problem.
        face: The interface.
        names: Region of each layer.
        flux: Flux along z through every boundary of the layers, shape (n_layers + 1, 4).
    """
    if face.second not in device.conductors:
        # Other faces of the same metal may touch nothing, or another insulator.
        below, above = (_lies_at(device, face, side) for side in ("bottom", "top"))
        return np.asarray(flux[0] * below - flux[-1] * above)
    total = np.zeros(4)
    for k, (low, high) in enumerate(pairwise(names), start=1):
        total += flux[k] * ((low, high) == (face.second, face.first))
        total -= flux[k] * ((low, high) == (face.first, face.second))
    return total


def _lies_at(device: Device, face: Interface, side: str) -> bool:
    """Return whether the lowest or highest face of the conductors belongs to an interface."""
    return bool(np.isin(device.structure.faces[side], face.facets).all())


def _split(
    solution: StackSolution,
    names: list[str],
    fields: RegionFields,
    name: str,
    area: float,
    total: Array,
    sign: int = 1,
) -> InterfaceCurrents:
    """Return the split of a current over all layers of a region, -1 if it flows into that."""
    layers = [k for k, layer in enumerate(names) if layer == fields.name]
    splits: list[FluxSplit] = [solution.split(k) for k in layers]
    parts = {
        key: sign * np.sum([getattr(x, key) for x in splits], axis=0) / FLUX / area
        for key in ("M_relax", "M_prec", "L_diag", "L_anti", "S", "A", "E", "T")
    }
    outflow = np.sum([solution.interface_flux(k + 1) - solution.interface_flux(k) for k in layers], axis=0)
    parts["B"] = (total - sign * outflow / FLUX)[1:] / area
    density = fields.dos * np.sum([solution.integrals(k)[0][1:] for k in layers], axis=0)
    exchange = cross_matrix(fields.moment_omega) - fields.moment_relaxation
    parts["moments"] = sign * exchange @ density / FLUX / area
    return balanced(name, area, total / area, fields.name, parts)
