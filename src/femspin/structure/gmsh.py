"""Meshes from gmsh (.msh 4.1) whose physical names are region, interface and electrode names."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case.values import INSULATORS
from ..errors import MeshError, closest
from .entities import MeshHex1, MeshQuad1, MeshTet1, MeshTri1, find_facets
from .interfaces import find_interfaces, mesh_quality, outer_facets
from .model import Interface, Structure
from .overlap import require_no_overlap

__all__ = ["load_mesh"]

Indices = NDArray[Any]

_UNIT = {"nm": 1.0, "um": 1e3, "angstrom": 0.1, "m": 1e9}
_CELLS = {"tetra": MeshTet1, "hexahedron": MeshHex1, "triangle": MeshTri1, "quad": MeshQuad1}
_FACETS = {"tetra": "triangle", "hexahedron": "quad", "triangle": "line", "quad": "line"}
# gmsh lists a hexahedron around its bottom and top; scikit-fem by distance from vertex 0.
_HEX_ORDER = [0, 4, 3, 1, 7, 5, 2, 6]


def load_mesh(path: Path, length_unit: str, kinds: Mapping[str, str]) -> Structure:
    """Return the structure of a gmsh file.

    Args:
        path: The .msh file.
        length_unit: Unit of its coordinates: nm, um, angstrom or m.
        kinds: HM, F or FI of every region of the case.

    Raises:
        MeshError: If the file cannot be read, mixes cell types, has cells without a region,
            regions that the case does not know, or sizes that cannot be a device.
    """
    data = _read(path)
    cell_type = _cell_type(data, path)
    points, axes = _coordinates(data, cell_type, _UNIT[length_unit])
    cells, tags = _cells(data, cell_type, kinds, path)
    if cell_type == "hexahedron":
        cells = cells[:, _HEX_ORDER]
    _check_size(points, length_unit)
    touched = np.zeros(points.shape[1], bool)
    touched[cells] = True
    used = np.flatnonzero(touched)
    points, cells = np.ascontiguousarray(points[:, used]), (np.cumsum(touched) - 1)[cells]
    _check_joined(points, path)
    mesh = _CELLS[cell_type](points, np.ascontiguousarray(cells.T))
    require_no_overlap(mesh, str(path))
    names = {int(tag): name for name, (tag, dim) in data.field_data.items() if dim == len(axes)}
    regions, region_of_cell = _regions(names, tags, kinds)
    conducting = np.flatnonzero(
        np.isin(region_of_cell, [k for k, n in enumerate(regions) if kinds[n] not in INSULATORS])
    )
    interfaces = find_interfaces(mesh, regions, region_of_cell, kinds)
    named = _named_facets(data, mesh, _FACETS[cell_type], used, len(axes) - 1)
    return Structure(
        mesh=mesh,
        axes=axes,
        regions=regions,
        region_of_cell=region_of_cell,
        interfaces=interfaces,
        faces=_outer_faces(named, interfaces, regions, outer_facets(mesh, conducting)),
        periods=(),
        quality=mesh_quality(mesh),
    )


def _read(path: Path) -> Any:
    import meshio

    if not path.is_file():
        raise MeshError("mesh.file", f"no such mesh file (got {str(path)!r})")
    silent = io.StringIO()  # meshio prints its warnings
    try:
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            data = meshio.gmsh.read(str(path))
    except Exception as error:  # damaged files fail in many ways inside meshio
        reason = str(error).splitlines()[0] if str(error) else "damaged, or of another kind"
        problem = f"is not a readable gmsh 4.1 mesh: {reason}"
        if "Incompatible cell data" in reason:  # how meshio reports entities without a group
            problem = "is in part in no physical group; write it with Mesh.SaveAll = 0"
        raise MeshError("mesh.file", f"{str(path)!r} {problem}") from None
    if "gmsh:physical" not in data.cell_data:
        raise MeshError(
            "mesh.file", f"{str(path)!r} has no physical groups; name the regions in gmsh"
        )
    return data


def _cell_type(data: Any, path: Path) -> str:
    present = {block.type for block in data.cells}
    other = sorted(present - {*_CELLS, "line", "vertex"})
    if other:
        raise MeshError("mesh.file", f"{str(path)!r} has {', '.join(other)} cells;"
                        f" allowed: first-order {', '.join(_CELLS)}")  # fmt: skip
    for family in (("tetra", "hexahedron"), ("triangle", "quad")):
        here = [t for t in family if t in present]
        if len(here) > 1:
            kinds = " and ".join(here)
            raise MeshError("mesh.file", f"{str(path)!r} mixes {kinds} cells; use one type")
        if here:
            return here[0]
    raise MeshError("mesh.file", f"{str(path)!r} has no cells of type {', '.join(_CELLS)}"
                    f" (got {', '.join(sorted(present)) or 'none'})")  # fmt: skip


def _coordinates(
    data: Any, cell_type: str, unit: float
) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    points = np.asarray(data.points, float).T * unit
    if cell_type in ("tetra", "hexahedron"):
        return points, (0, 1, 2)
    extent = np.ptp(points, axis=1)
    flat = np.flatnonzero(extent <= 1e-9 * extent.max())
    if points.shape[0] == 2 or 2 in flat:
        return points[:2], (0, 2)  # a plane mesh drawn in x, y: its y is the growth direction z
    if 1 in flat:
        return points[[0, 2]], (0, 2)
    raise MeshError("mesh.file", "a 2D mesh must lie in the plane z = 0 or y = 0")


def _block(data: Any, cell_type: str) -> tuple[Indices, Indices]:
    """Return the cells (n, n_vertices) and physical tags (n,) of one type."""
    cells, tags = [], []
    for block, physical in zip(data.cells, data.cell_data["gmsh:physical"], strict=True):
        if block.type == cell_type:
            cells.append(block.data)
            tags.append(physical)
    if not cells:
        return np.zeros((0, 2), int), np.zeros(0, int)
    return np.concatenate(cells).astype(np.int64), np.concatenate(tags).astype(np.int64)


def _check_size(points: NDArray[np.float64], length_unit: str) -> None:
    largest = float(np.ptp(points, axis=1).max())
    if not 0.1 <= largest <= 1e7:
        raise MeshError(
            "mesh.length_unit",
            f"the device would be {largest:.3g} nm across; allowed 0.1 nm to 1 cm"
            f" (got {length_unit!r})",
        )


def _check_joined(points: NDArray[np.float64], path: Path) -> None:
    """Refuse points in one place: parts of the mesh that touch but do not hang together."""
    grid = np.round((points - points.min(axis=1, keepdims=True)) / (1e-9 * np.ptp(points)))
    double = points.shape[1] - np.unique(grid, axis=1).shape[1]
    if double:
        raise MeshError(
            "mesh.file", f"{double} points of {str(path)!r} coincide with another one:"
            " neighbouring regions must share theirs (gmsh: fragment the volumes)",
        )  # fmt: skip


def _cells(data: Any, cell_type: str, kinds: Mapping[str, str], path: Path) -> tuple[Indices, ...]:
    """Return the cells (n, n_vertices) and their physical tags (n,), of regions where they can be.

    A cell may be in other groups too, but in one region only: in 4.1 groups have lists of their
    cells, in 2.2 a cell in two groups is written twice.
    """
    cells, tags = _block(data, cell_type)
    regions = {n: _in_group(data, cell_type, n) for n in kinds if n in data.cell_sets}
    double = np.sum(list(regions.values()), axis=0) > 1 if regions else np.zeros(len(cells), bool)
    rows = np.sort(cells, axis=1).T
    order = np.lexsort(rows)
    double[order[1:]] |= np.all(rows[:, order[1:]] == rows[:, order[:-1]], axis=0)
    if double.any():
        shared = [repr(name) for name, inside in regions.items() if np.any(inside & double)]
        where = f" ({', '.join(shared)})" if len(shared) > 1 else ""
        raise MeshError("mesh.file", f"{int(double.sum())} cells of {str(path)!r} are in two"
                        f" groups{where}; a cell belongs to one region")  # fmt: skip
    for name, inside in regions.items():
        tags[inside] = data.field_data[name][0]
    return cells, tags


def _in_group(data: Any, cell_type: str, name: str) -> NDArray[np.bool_]:
    """Return which cells of a type, as `_block` lists them, are in a group of a 4.1 file."""
    parts = [
        np.isin(np.arange(len(block.data)), own)
        for block, own in zip(data.cells, data.cell_sets[name], strict=True)
        if block.type == cell_type
    ]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def _regions(
    names: Mapping[int, str], tags: Indices, kinds: Mapping[str, str]
) -> tuple[tuple[str, ...], Indices]:
    found, kind_of_cell = np.unique(tags, return_inverse=True)
    missing = int(np.isin(tags, list(names), invert=True).sum())
    if missing:
        raise MeshError("mesh.file", f"{missing} of {len(tags)} cells belong to no named region")
    present = [names[t] for t in found.tolist()]
    for name in present:
        if name not in kinds:
            raise MeshError(
                f"regions.{name}", "the mesh has this region, the case has not;"
                f" regions of the case: {', '.join(kinds)}{closest(name, kinds)}",
            )  # fmt: skip
    for name in kinds:
        if name not in present:
            raise MeshError(
                f"regions.{name}", "not in the mesh;"
                f" regions of the mesh: {', '.join(present)}{closest(name, present)}",
            )  # fmt: skip
    regions = tuple(kinds)
    index = np.array([regions.index(name) for name in present], np.int16)
    return regions, index[kind_of_cell.ravel()]


def _named_facets(
    data: Any, mesh: Any, facet_type: str, used: Indices, dimension: int
) -> dict[str, Indices]:
    """Return facet numbers of every named group of surfaces (3D) or lines (2D)."""
    names = {name: int(tag) for name, (tag, dim) in data.field_data.items() if dim == dimension}
    facets, tags = _block(data, facet_type)
    if not len(facets):
        return {}
    known = np.isin(facets, used).all(axis=1)
    number = np.full(len(facets), -1)
    number[known] = find_facets(mesh, np.searchsorted(used, facets[known]).T)
    found = {}
    for name, tag in names.items():
        # In a 4.1 file a surface may be in several groups; its tag is that of the first.
        listed = name in data.cell_sets
        inside = _in_group(data, facet_type, name) if listed else tags == tag
        found[name] = np.unique(number[inside & (number >= 0)])
    return found


def _outer_faces(
    named: Mapping[str, Indices],
    interfaces: Mapping[str, Interface],
    regions: tuple[str, ...],
    outer: Indices,
) -> dict[str, Indices]:
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
                "mesh.file", f"the group {name!r} has {len(facets)} facets; the two regions share"
                f" {len(shared)}, of which {np.isin(shared, facets).sum()} are in the group",
            )  # fmt: skip
    return faces
