"""Meshes from gmsh (.msh) whose physical names are region, interface and electrode names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case.input_files import UnreadableError, read_regular
from ..case.values import INSULATORS
from ..errors import MeshError, closest
from ..units import AnyArray
from .cracks import require_no_cracks
from .entities import MeshHex1, MeshQuad1, MeshTet1, MeshTri1, facet_cells, find_facets, region_sides
from .interfaces import find_interfaces, mesh_quality, outer_facets
from .model import Interface, Structure
from .msh import parse_msh
from .msh_cells import BadMeshError, Block, MshFile
from .overlap import require_no_overlap

__all__ = ["load_mesh"]


_UNIT = {"nm": 1.0, "um": 1e3, "angstrom": 0.1, "m": 1e9}
_CELLS = {"tetra": MeshTet1, "hexahedron": MeshHex1, "triangle": MeshTri1, "quad": MeshQuad1}
_FACETS = {"tetra": "triangle", "hexahedron": "quad", "triangle": "line", "quad": "line"}
# gmsh lists a hexahedron around its bottom and top; scikit-fem by distance from vertex 0.
_HEX_ORDER = [0, 4, 3, 1, 7, 5, 2, 6]
_LARGEST_FILE = 20_000_000_000
_ONE_TYPE = {
    2: "all triangles (no recombination) or all quads (Mesh.RecombineAll = 1)",
    3: "all tetrahedra (no recombination) or all hexahedra (recombined surfaces, extruded with Recombine)",
}


def load_mesh(path: Path, length_unit: str, kinds: Mapping[str, str]) -> Structure:
    """Return the structure of a gmsh file (MSH 2.2, 4.0 or 4.1, text or binary).

    Cells of second and higher order are taken by their corners; `Structure.notes` says how much
    of their curvature is lost.

    Args:
        path: The .msh file.
        length_unit: Unit of its coordinates: nm, um, angstrom or m.
        kinds: HM, F or FI of every region of the case.

    Raises:
        MeshError: If the file cannot be read, mixes cell types, has cells without a region,
            regions that the case does not know, parts that overlap or touch without common nodes,
            or sizes that cannot be a device.
    """
    data = _read(path)
    shape = _cell_shape(data, path)
    blocks = [b for b in data.blocks if b.shape == shape]
    cells, regions_of = _cells(blocks, data, kinds, path)
    touched = np.zeros(len(data.points), bool)
    touched[cells] = True
    used = np.flatnonzero(touched)
    cells = (np.cumsum(touched) - 1)[cells]
    points, axes = _coordinates(data.points[used], shape, _UNIT[length_unit])
    _check_size(points, length_unit)
    _check_joined(points, path)
    if shape == "hexahedron":
        cells = cells[:, _HEX_ORDER]
    mesh = _CELLS[shape](np.ascontiguousarray(points), np.ascontiguousarray(cells.T))
    require_no_overlap(mesh, str(path))
    regions, region_of_cell = regions_of
    conducting = np.flatnonzero(
        np.isin(region_of_cell, [k for k, n in enumerate(regions) if kinds[n] not in INSULATORS])
    )
    require_no_cracks(mesh, region_sides(mesh, region_of_cell), str(path))
    interfaces = find_interfaces(mesh, regions, region_of_cell, kinds)
    named = _named_facets(data, mesh, _FACETS[shape], used, len(axes) - 1)
    faces = _outer_faces(named, interfaces, regions, outer_facets(mesh, conducting))
    return Structure(
        mesh=mesh,
        axes=axes,
        regions=regions,
        region_of_cell=region_of_cell,
        interfaces=interfaces,
        faces=faces,
        periods=(),
        quality=mesh_quality(mesh),
        notes=_curvature(blocks, data.points * _UNIT[length_unit]),
        unusable=_unusable(named, faces, mesh, regions, region_of_cell),
    )


def _read(path: Path) -> MshFile:
    name = repr(str(path))
    try:
        data = parse_msh(read_regular(path, _LARGEST_FILE))
    except FileNotFoundError:
        raise MeshError("mesh.file", f"no such mesh file (got {name})") from None
    except UnreadableError as error:
        raise MeshError("mesh.file", f"{name} {error}") from None
    except BadMeshError as error:
        raise MeshError("mesh.file", f"{name} is not a readable gmsh mesh: {error}") from None
    if not any(block.groups for block in data.blocks):
        raise MeshError("mesh.file", f"{name} has no physical groups; name the regions in gmsh")
    return data


def _cell_shape(data: MshFile, path: Path) -> str:
    present = {block.shape for block in data.blocks if len(block.nodes)}
    dimension = max((b.dimension for b in data.blocks if len(b.nodes)), default=0)
    if dimension < 2:
        raise MeshError(
            "mesh.file",
            f"{str(path)!r} has no cells of type {', '.join(_CELLS)}"
            f" (got {', '.join(sorted(present)) or 'none'})",
        )
    here = [b.shape for b in data.blocks if b.dimension == dimension and len(b.nodes)]
    shapes = sorted(set(here), key=here.index)
    other = [s for s in shapes if s not in _CELLS]
    if other:
        raise MeshError(
            "mesh.file",
            f"{str(path)!r} has {' and '.join(other)} cells, which are not read; make {_ONE_TYPE[3]}",
        )
    if len(shapes) > 1:
        kinds = " and ".join(s for s in _CELLS if s in shapes)
        raise MeshError(
            "mesh.file", f"{str(path)!r} mixes {kinds} cells; use one type: {_ONE_TYPE[dimension]}"
        )
    return shapes[0]


def _coordinates(
    points: NDArray[np.float64], shape: str, unit: float
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    points = points.T * unit
    if shape in ("tetra", "hexahedron"):
        return points, (0, 1, 2)
    extent = np.ptp(points, axis=1)
    flat = np.flatnonzero(extent <= 1e-9 * extent.max())
    if 2 in flat:
        return points[:2], (0, 2)  # a plane mesh drawn in x, y: its y is the growth direction z
    if 1 in flat:
        return points[[0, 2]], (0, 2)
    raise MeshError("mesh.file", "a 2D mesh must lie in the plane z = 0 or y = 0")


def _curvature(blocks: list[Block], points: NDArray[np.float64]) -> tuple[str, ...]:
    """Return how far the nodes of cells of higher order lie off the straight cells.

    Nodes of a straight second-order cell are means of corners: of an edge, a face or all.
    """
    curved = [b for b in blocks if b.curved]
    if not curved:
        return ()
    known = {6: 2, 8: 2, 9: 2, 10: 2, 20: 2, 27: 2}
    off = 0.0
    for block in curved:
        if block.nodes.shape[1] not in known or len(block.corners[0]) == block.nodes.shape[1]:
            return (
                "the cells of the mesh are of higher order; they are taken by their corners,"
                " with straight edges",
            )
        corners, nodes = points[block.corners], points[block.nodes]
        mids = 0.5 * (corners[:, :, None] + corners[:, None, :]).reshape(len(nodes), -1, 3)
        whole = corners.mean(axis=1, keepdims=True)
        if block.shape == "hexahedron":  # face centres are means of two opposite edge centres
            mids = np.concatenate(
                [mids, 0.5 * (mids[:, :, None] + mids[:, None, :]).reshape(len(nodes), -1, 3)], axis=1
            )
        mids = np.concatenate([mids, whole], axis=1)
        for k in range(block.corners.shape[1], nodes.shape[1]):
            away = np.linalg.norm(mids - nodes[:, k : k + 1], axis=2).min(axis=1)
            off = max(off, float(away.max()))
    size = float(np.ptp(points, axis=0).max())
    if off <= 1e-9 * size:
        return (
            "the cells of the mesh are of second order; they are taken by their corners (all"
            " edges are straight, so that nothing is lost)",
        )
    return (
        f"the cells of the mesh are of second order; they are taken by their corners, with"
        f" straight edges, which are up to {off:.2g} nm off the curved ones",
    )


def _check_size(points: NDArray[np.float64], length_unit: str) -> None:
    largest = float(np.ptp(points, axis=1).max())
    if not 0.1 <= largest <= 1e7:
        raise MeshError(
            "mesh.length_unit",
            f"the device would be {largest:.3g} nm across; allowed 0.1 nm to 1 cm (got {length_unit!r})",
        )


def _check_joined(points: NDArray[np.float64], path: Path) -> None:
    """Refuse points in one place: parts of the mesh that touch but do not hang together."""
    grid = np.round((points - points.min(axis=1, keepdims=True)) / (1e-9 * np.ptp(points)))
    double = points.shape[1] - np.unique(grid, axis=1).shape[1]
    if double:
        raise MeshError(
            "mesh.file",
            f"{double} points of {str(path)!r} coincide with another one:"
            " neighbouring regions must share theirs (gmsh: fragment the volumes, or call"
            " gmsh.model.mesh.removeDuplicateNodes() where the two sides are meshed alike)",
        )


def _cells(
    blocks: list[Block], data: MshFile, kinds: Mapping[str, str], path: Path
) -> tuple[AnyArray, tuple[tuple[str, ...], AnyArray]]:
    """Return the corners of the cells, shape (n, corners), and the regions with that of each.

    A cell may be in other groups too, but in one region only: in 4.x entities have lists of their
    groups, in 2.x a cell in two groups is written twice.
    """
    bare = sum(len(b.nodes) for b in blocks if not b.groups)
    if bare:
        raise MeshError(
            "mesh.file",
            f"{str(path)!r} is in part in no physical group ({bare}"
            " cells); name all regions or write it with Mesh.SaveAll = 0",
        )
    names = [[data.names[b.dimension, g] for g in b.groups if (b.dimension, g) in data.names] for b in blocks]
    cells = np.concatenate([b.corners for b in blocks])
    of = np.repeat(np.arange(len(blocks)), [len(b.nodes) for b in blocks])
    inside = [list(dict.fromkeys(n for n in own if n in kinds)) for own in names]
    double = np.array([len(own) > 1 for own in inside])[of]
    shared = {n for own in inside if len(own) > 1 for n in own}
    rows = np.sort(cells, axis=1).T
    order = np.lexsort(rows)
    double[order[1:]] |= np.all(rows[:, order[1:]] == rows[:, order[:-1]], axis=0)
    if double.any():
        where = f" ({', '.join(map(repr, sorted(shared)))})" if shared else ""
        raise MeshError(
            "mesh.file",
            f"{int(double.sum())} cells of {str(path)!r} are in two"
            f" groups{where}; a cell belongs to one region",
        )
    chosen = [(own or known or [""])[0] for own, known in zip(inside, names, strict=True)]
    missing = sum(len(b.nodes) for b, name in zip(blocks, chosen, strict=True) if not name)
    if missing:
        raise MeshError("mesh.file", f"{missing} of {len(cells)} cells belong to no named region")
    regions, index = _regions(chosen, kinds)
    return cells, (regions, index[of])


def _regions(chosen: list[str], kinds: Mapping[str, str]) -> tuple[tuple[str, ...], AnyArray]:
    """Return the regions of the case, and which of them each name chosen is."""
    present = sorted(set(chosen))
    for name in present:
        if name not in kinds:
            raise MeshError(
                f"regions.{name}",
                "the mesh has this region, the case has not;"
                f" regions of the case: {', '.join(kinds)}{closest(name, kinds)}",
            )
    for name in kinds:
        if name not in present:
            raise MeshError(
                f"regions.{name}",
                f"not in the mesh; regions of the mesh: {', '.join(present)}{closest(name, present)}",
            )
    regions = tuple(kinds)
    return regions, np.array([regions.index(name) for name in chosen], np.int16)


def _named_facets(
    data: MshFile, mesh: Any, shape: str, used: AnyArray, dimension: int
) -> dict[str, AnyArray]:
    """Return facet numbers of every named group of surfaces (3D) or lines (2D)."""
    found: dict[str, list[AnyArray]] = {name: [] for (own, _), name in data.names.items() if own == dimension}
    blocks = [b for b in data.blocks if b.shape == shape and b.groups]
    if not blocks or not found:
        return {name: np.zeros(0, int) for name in found}
    corners = np.concatenate([b.corners for b in blocks])
    known = np.isin(corners, used).all(axis=1)
    number = np.full(len(corners), -1)
    number[known] = find_facets(mesh, np.searchsorted(used, corners[known]).T)
    ends = np.cumsum([0, *(len(b.nodes) for b in blocks)])
    for block, low, high in zip(blocks, ends[:-1], ends[1:], strict=True):
        names = {data.names.get((dimension, g), "") for g in block.groups}
        for name in names & set(found):
            found[name].append(number[low:high])
    none = np.zeros(0, int)
    every = {name: np.unique(np.concatenate([none, *parts])) for name, parts in found.items()}
    return {name: facets[facets >= 0] for name, facets in every.items()}


def _unusable(
    named: Mapping[str, AnyArray],
    faces: Mapping[str, AnyArray],
    mesh: Any,
    regions: tuple[str, ...],
    region_of_cell: AnyArray,
) -> dict[str, str]:
    """Return why groups of facets are no outer face of a conductor."""
    found = {}
    for name, facets in named.items():
        if name in faces and len(faces[name]):
            continue
        if not len(facets):
            found[name] = "has no sides of cells"
            continue
        beside = facet_cells(mesh, facets)
        pairs = {
            tuple(sorted({regions[region_of_cell[k]] for k in pair if k >= 0})) for pair in beside.T.tolist()
        }
        outer = bool((beside < 0).any())
        where = " and ".join("|".join(pair) for pair in sorted(pairs))
        found[name] = (
            f"lies on the outside of {where}, which does not conduct"
            if outer
            else f"lies inside the device, at {where}"
        )
    return found


def _outer_faces(
    named: Mapping[str, AnyArray],
    interfaces: Mapping[str, Interface],
    regions: tuple[str, ...],
    outer: AnyArray,
) -> dict[str, AnyArray]:
    """Return the named facets on the outside of the conductors, without the interfaces.

    Interfaces follow from the regions; a mesh that names them too must mean the same facets.
    """
    faces = {}
    for name, facets in named.items():
        first, _, second = name.partition("|")
        if first not in regions or second not in regions:
            faces[name] = facets[np.isin(facets, outer)]
            continue
        face = interfaces.get(name) or interfaces.get(f"{second}|{first}")
        shared = np.zeros(0, int) if face is None else np.sort(face.facets)
        if not np.array_equal(facets, shared):
            raise MeshError(
                "mesh.file",
                f"the group {name!r} has {len(facets)} facets; the two regions share"
                f" {len(shared)}, of which {np.isin(shared, facets).sum()} are in the group",
            )
    return faces
