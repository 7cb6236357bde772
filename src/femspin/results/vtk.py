"""Fields for ParaView: the volume, the interfaces, and a series in time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import meshio
import numpy as np

from ..interface.currents import face_mean, fed_in, outer_faces
from ..interface.flux import region_residual
from ..interface.reduced import ReducedLayer, reduced_parts
from ..interface.split import PARTS, cell_integrals, cell_parts, flux_density
from ..transport.elements.space import outer_cells
from ..transport.system import TransportState
from ..units import DENSITY, ENERGY, FLUX, LENGTH, SPIN_CURRENT, Array, Indices

if TYPE_CHECKING:
    from ..device.model import Device, Transport

__all__ = ["interface_mesh", "volume_mesh", "write_series"]


_VTK_CELL = {
    "MeshLine1": "line",
    "MeshTri1": "triangle",
    "MeshQuad1": "quad",
    "MeshTet1": "tetra",
    "MeshHex1": "hexahedron",
}
_VTK_FACET = {"MeshTri1": "line", "MeshQuad1": "line", "MeshTet1": "triangle", "MeshHex1": "quad"}
# scikit-fem numbers the corners of a hexahedron by distance from corner 0, VTK around its faces.
_HEX_ORDER = [0, 3, 6, 2, 1, 5, 7, 4]


def _points(coordinates: Array, axes: Sequence[int]) -> Array:
    """Return mesh coordinates as points in space, shape (n, 3), in nm."""
    points = np.zeros((coordinates.shape[1], 3))
    points[:, list(axes)] = coordinates.T
    return points


def volume_mesh(device: Device, transport: Transport) -> meshio.Mesh:
    """Return the device with potentials, densities, currents and part densities.

    Every region has its own copy of the vertices on its boundary, because densities jump where
    the density of states does.  Point data: mu_0 and mu [meV], N [1/m^3], m.  Cell data: region
    (index in the order of `result.json`), J_0 and J_x, J_y, J_z by spin component and direction of
    flow [A/m^2], densities of M, L, S, A, E [A/m^3].
    """
    structure, mesh = device.structure, device.structure.mesh
    points, cells, point_data, cell_data = [], [], [], []
    offset = 0
    for index, name in enumerate(structure.regions):
        here = structure.cells(name)
        used, local = np.unique(mesh.t[:, here], return_inverse=True)
        corners = local.reshape(mesh.t[:, here].shape).T + offset
        cells.append(corners[:, _HEX_ORDER] if corners.shape[1] == 8 else corners)
        points.append(_points(mesh.p[:, used], structure.axes))
        offset += len(used)
        conducts = name in device.conductors
        point_data.append(_point_fields(device, transport, name if conducts else None, used))
        cell_data.append(_cell_fields(device, transport, name if conducts else None, len(here)))
        cell_data[-1]["region"] = np.full(len(here), index)
    kind = _VTK_CELL[type(mesh).__name__]
    return meshio.Mesh(
        np.concatenate(points),
        [(kind, np.concatenate(cells))],
        point_data={k: np.concatenate([d[k] for d in point_data]) for k in point_data[0]},
        cell_data={k: [np.concatenate([d[k] for d in cell_data])] for k in cell_data[0]},
    )


def _point_fields(
    device: Device, transport: Transport, region: str | None, vertices: Indices
) -> dict[str, Array]:
    n = len(vertices)
    if region is None:
        m = np.tile(transport.m, (n, 1))
        return {"mu_0": np.zeros(n), "mu": np.zeros((n, 3)), "N": np.zeros((n, 3)), "m": m}
    dofs = device.space.numbers(region)[device.space.numbering.nodal_dofs[0, vertices]]
    mu = transport.state.mu[dofs]
    fields = transport.fields[region]
    dos = transport.state.coefficients[region].dos
    m = np.zeros(3) if fields.m is None else fields.rotation @ fields.m
    return {"mu_0": mu[:, 0], "mu": mu[:, 1:], "N": dos * mu[:, 1:] * DENSITY, "m": np.tile(m, (n, 1))}


def _cell_fields(device: Device, transport: Transport, region: str | None, n: int) -> dict[str, Array]:
    names = ("J_0", "J_x", "J_y", "J_z", *PARTS)
    if region is None:
        return {name: np.zeros((n, 3)) for name in names}
    space, c = device.space, transport.state.coefficients[region]
    integrals = cell_integrals(space, c, transport.state.mu, region)
    flux = flux_density(c, integrals) * SPIN_CURRENT
    flux[:, :, 0] *= -1  # charge current is conventional
    data = {name: flux[:, :, k] for k, name in enumerate(names[:4])}
    if device.kinds[region] != "F":  # the split is over the volume of F
        return data | {name: np.zeros((n, 3)) for name in PARTS}
    parts = cell_parts(space, c, transport.state.mu, region)
    density = SPIN_CURRENT / LENGTH / integrals.measure[:, None]
    data["M"] = (parts["M_relax"] + parts["M_prec"]) * density
    data["L"] = (parts["L_diag"] + parts["L_anti"]) * density
    for name in ("S", "A", "E"):
        data[name] = parts[name] * density
    return data


def interface_mesh(device: Device, transport: Transport, name: str) -> meshio.Mesh | None:
    """Return an interface or outer face as a surface with its currents [A/m^2], None in 1D.

    ``J_0`` and ``J`` are the consistent flux recovered on the facets; their integrals are the
    reported currents.  ``M`` to ``E`` are the part densities of the source region collected onto
    the nearest facet: their integrals are the reported parts, while locally ``J`` also contains
    what flows sideways.  Of a reduced layer all are those of its response at each facet.  Of an
    outer face there are ``J_0`` and ``J``, positive into the device.
    """
    structure, mesh = device.structure, device.structure.mesh
    if mesh.dim() == 1:
        return None
    layer = next((x for x in device.reduced if x.interface == name), None)
    if name in outer_faces(device.space, device.share):
        facets, data = structure.faces[name], _outer_currents(device, transport, name)
    elif layer is None:
        facets, data = structure.interfaces[name].facets, _currents(device, transport, name)
    else:
        facets, data = _replaced_currents(device, transport, layer)
    corners = mesh.facets[:, facets]
    used, local = np.unique(corners, return_inverse=True)
    cells = local.reshape(corners.shape).T
    if cells.shape[1] == 4:
        cells = _around(mesh.p[:, used], cells)
    return meshio.Mesh(
        _points(mesh.p[:, used], structure.axes),
        [(_VTK_FACET[type(mesh).__name__], cells)],
        cell_data={key: [values * SPIN_CURRENT] for key, values in data.items()},
    )


def _currents(device: Device, transport: Transport, name: str) -> dict[str, Array]:
    """Return the currents through the facets of an interface per area [1/(nm^2 ps)]."""
    flux = _recovered_flux(device, transport, name)
    measures = device.structure.interfaces[name].measures[:, None]
    parts = _collected_parts(device, transport, name)
    # charge current is conventional
    return {"J_0": -flux[:, 0], "J": flux[:, 1:]} | {k: v / measures for k, v in parts.items()}


def _outer_currents(device: Device, transport: Transport, name: str) -> dict[str, Array]:
    """Return the currents into the device through facets of an outer face [1/(nm^2 ps)]."""
    space, facets = device.space, device.structure.faces[name]
    electrode = name in {e.name for e in device.problem.boundary.electrodes}
    load = np.zeros((space.n_dofs, 4))
    for region in outer_faces(space, device.share)[name]:
        share = device.share[region]
        here = share.weights[name]
        load += here[:, None] * _inflow(device, transport.state, region)
        if electrode:
            load[:, 0] += (here > 0) * fed_in(space, transport.state, share)
    flux = _density_on(device, facets, outer_cells(space, facets), load)
    return {"J_0": -flux[:, 0], "J": flux[:, 1:]}


def _density_on(device: Device, facets: Indices, cells: Indices, load: Array) -> Array:
    """Return the mean over each facet of the density whose integrals are a load, (n, k)."""
    import scipy.sparse as sp
    import scipy.sparse.linalg as spl

    space = device.space
    mass, _ = space.facet_mass(facets, cells)
    dofs = space.facet_dofs(facets, cells)
    density = np.zeros((space.n_dofs, load.shape[1]))
    solved = spl.spsolve(sp.csc_matrix(mass[dofs][:, dofs]), load[dofs])
    density[dofs] = solved.reshape(len(dofs), load.shape[1])
    return space.facet_means(facets, cells, density)


def _replaced_currents(
    device: Device, transport: Transport, layer: ReducedLayer
) -> tuple[Indices, dict[str, Array]]:
    """Return the facets that stand for a reduced layer and its currents per area [1/(nm^2 ps)]."""
    structure, space, state = device.structure, device.space, transport.state
    inner = structure.interfaces.get(layer.face)
    facets = structure.faces[layer.face] if inner is None else inner.facets
    mu = space.facet_means(facets, outer_cells(space, facets), state.mu)[:, 1:]
    law = state.laws[layer.face]
    data = {"J_0": np.zeros(len(facets)), "J": mu @ law.conductance.T + law.drift}
    # The parts are affine in mu, and the reported ones belong to its mean over the face.
    apart = mu - face_mean(space, state.mu, layer.face)[1][1:]
    reported = transport.interfaces[layer.interface].parts
    for part, slope in _part_slopes(device, transport, layer, np.abs(apart).max() or 1.0).items():
        data[part] = reported[part] + apart @ slope
    return facets, data


def _part_slopes(device: Device, transport: Transport, layer: ReducedLayer, step: float) -> dict[str, Array]:
    """Return d part^a / d mu^b of a reduced layer [1/(nm^2 ps meV)], shape (b, a) = (3, 3).

    Args:
        device: The problem.
        transport: Its solution.
        layer: The layer.
        step: Difference of mu [meV]; any will do for what is affine.
    """
    fields = transport.reduced_fields[layer.name]
    below, coupling = device.below(layer, transport.m), device.spin_orbit(layer)
    none, *each = (
        reduced_parts(fields, layer.thickness, layer.form, mu * ENERGY, below, coupling)
        for mu in (np.zeros(3), *(step * np.eye(3)))
    )
    return {key: np.stack([parts[key] - none[key] for parts in each]) / (step * FLUX) for key in PARTS}


def _around(points: Array, cells: Indices) -> Indices:
    """Order the corners of plane quadrilaterals around them, as VTK wants."""
    corner = points[:, cells].transpose(1, 2, 0)
    middle = corner.mean(axis=1, keepdims=True)
    u = corner[:, 0] - middle[:, 0]
    normal = np.cross(u, corner[:, 1] - middle[:, 0])
    other = np.cross(u, corner[:, 2] - middle[:, 0])
    flat = np.linalg.norm(normal, axis=1) < np.linalg.norm(other, axis=1)
    normal = np.where(flat[:, None], other, normal)
    v = np.cross(normal, u)
    rest = corner - middle
    angle = np.arctan2(
        np.einsum("nkd,nd->nk", rest, v)
        * np.linalg.norm(u, axis=1)[:, None]
        / np.linalg.norm(v, axis=1)[:, None],
        np.einsum("nkd,nd->nk", rest, u),
    )
    return np.take_along_axis(cells, np.argsort(angle, axis=1), axis=1)


def _recovered_flux(device: Device, transport: Transport, name: str) -> Array:
    """Return the mean flux of every facet, shape (n, 4), from the residual by a mass solve."""
    face = device.structure.interfaces[name]
    side = face.second if face.second in device.conductors else face.first
    sign = -1.0 if side == face.second else 1.0
    cells = face.cells_second if side == face.second else face.cells_first
    weights = device.share[side].weights
    if name not in weights:
        return np.zeros((len(face.facets), 4))
    load = sign * weights[name][:, None] * _inflow(device, transport.state, side)
    return _density_on(device, face.facets, cells, load)


def _inflow(device: Device, state: TransportState, side: str) -> Array:
    """Return the inflow of a region at every dof without what electrodes feed in, (n_dofs, 4)."""
    residual, share = region_residual(device.space, state, side), device.share[side]
    if np.any(share.electrode):
        residual[:, 0] -= fed_in(device.space, state, share)
    return residual


def _collected_parts(device: Device, transport: Transport, name: str) -> dict[str, Array]:
    """Return the part integrals of the source region by nearest facet, shape (n, 3) each."""
    from scipy.spatial import cKDTree

    currents = transport.interfaces.get(name)
    if currents is None or currents.source is None:
        return {}
    structure, mesh = device.structure, device.structure.mesh
    face = structure.interfaces[name]
    middle = mesh.p[:, mesh.facets[:, face.facets]].mean(axis=1)
    cells = structure.cells(currents.source)
    centre = mesh.p[:, mesh.t[:, cells]].mean(axis=1)
    _, nearest = cKDTree(middle.T).query(centre.T)
    space, c = device.space, transport.state.coefficients[currents.source]
    parts = dict(cell_parts(space, c, transport.state.mu, currents.source))
    parts["M"], parts["L"] = parts["M_relax"] + parts["M_prec"], parts["L_diag"] + parts["L_anti"]
    return {
        key: np.stack(
            [np.bincount(nearest, parts[key][:, a], minlength=len(face.facets)) for a in range(3)], axis=1
        )
        for key in PARTS
    }


def write_series(path: Path, times: Sequence[float], files: Sequence[str]) -> None:
    """Write a ParaView series (.pvd) of files at the given times [s]."""
    root = ElementTree.Element("VTKFile", type="Collection", version="0.1")
    collection = ElementTree.SubElement(root, "Collection")
    for time, file in zip(times, files, strict=True):
        ElementTree.SubElement(
            collection, "DataSet", timestep=repr(float(time)), group="", part="0", file=file
        )
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
