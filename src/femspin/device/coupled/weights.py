"""Between the nodes of a magnet and the conductors: who sees which moment, who gets which torque.

Cells of an F region that touches the magnet see the moment of the nearest facet of the interface;
cells of an F region that is itself the magnet see the mean of their own nodes.  Torque goes back
through the transposed weights, so that torque and spin pumping are reciprocal node by node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.spatial import cKDTree

from ...errors import CaseError
from ...magnets.space import TextureSpace
from ...magnets.vectors import normalized
from ...structure.model import Interface, Structure
from ...transport.elements.space import Space
from ...units import Array, Indices

__all__ = ["MagnetMap", "magnet_map"]


# Facets above and below an F are told apart, but only where they lie at the same lateral place.
_HEIGHT = 1e-3


@dataclass(frozen=True)
class MagnetMap:
    """The weights between nodes of a magnet, facets of its interfaces and cells of conductors.

    Args:
        space: Nodes of the magnet.
        magnet: Its region.
        faces: Facets of every interface with a conductor, as a slice of all, by name.
        facets: Mesh facets, shape (n_facets,).
        on_facets: Weights of the nodes in the direction of a facet, shape (n_facets, n).
        on_cells: The same for the cells of regions whose moments follow, (n_cells, n).
        from_facets: Share of every node in what a facet takes up, shape (n, n_facets).
        from_cells: Share of every node in what the moments of a cell take up, (n, n_cells).
    """

    space: TextureSpace
    magnet: str
    faces: Mapping[str, slice]
    facets: Indices
    on_facets: sp.csr_array
    on_cells: Mapping[str, sp.csr_array]
    from_facets: sp.csr_array
    from_cells: Mapping[str, sp.csr_array]

    def facet_directions(self, m: Array) -> Array:
        """Return the unit vectors at the facets, shape (n_facets, 3)."""
        return normalized(self.on_facets @ m)

    def cell_directions(self, region: str, m: Array) -> Array:
        """Return the unit vectors that the cells of a region see, shape (n_cells, 3)."""
        return normalized(self.on_cells[region] @ m)


def magnet_map(
    space: Space,
    texture: TextureSpace,
    magnet: str,
    conductors: tuple[str, ...],
    followers: tuple[str, ...],
    thickness_average: bool = False,
    plain: tuple[str, ...] = (),
) -> MagnetMap:
    """Return how a magnet and the conductors around it exchange moments and torque.

    Args:
        space: Transport space of the device.
        texture: Nodes of the magnet, on the mesh of the device (`region_space`).
        magnet: Region of the magnet: an FI, or a conducting F with moments of its own.
        conductors: Conducting regions.
        followers: Conducting regions with moments.
        thickness_average: Spread torque over the nodes of a column along z by volume, and let
            facets see their mean, instead of the nodes of the interface alone.
        plain: Insulators without moments, which take no share of those of an F.

    Raises:
        CaseError: If the nodes are not those of the region, or nothing touches the magnet.
    """
    structure = space.structure
    if texture.mesh is not structure.mesh or not np.array_equal(texture.cells, structure.cells(magnet)):
        raise CaseError(
            "dynamics.region",
            f"the nodes must be those of region {magnet!r} of the device;"
            " build them with region_space(structure, region)",
        )
    if magnet in conductors:
        return _own(space, texture, magnet)
    touching = [f for f in structure.interfaces.values() if f.second == magnet and f.first in conductors]
    if not touching:
        raise CaseError("dynamics.region", f"no conductor touches region {magnet!r}")
    ends = np.cumsum([0, *(len(f.facets) for f in touching)])
    faces = {f.name: slice(a, b) for f, a, b in zip(touching, ends[:-1], ends[1:], strict=True)}
    facets = np.concatenate([f.facets for f in touching])
    on_facets = _means(texture.node_of_vertex[structure.mesh.facets[:, facets]], texture.size)
    if thickness_average:
        on_facets = sp.csr_array(on_facets @ _columns(texture, on_facets).T)
    on_cells, from_cells = {}, {}
    for face in touching:
        if face.first not in followers:
            continue
        near = _nearest(structure, face.first, facets[faces[face.name]])
        pick = sp.csr_array(
            (np.ones(len(near)), (np.arange(len(near)), near + faces[face.name].start)),
            shape=(len(near), len(facets)),
        )
        on_cells[face.first] = sp.csr_array(pick @ on_facets)
        share = _share(structure, face, (*conductors, *plain))
        from_cells[face.first] = sp.csr_array(share * on_cells[face.first].T)
    return MagnetMap(
        texture, magnet, faces, facets, on_facets, on_cells, sp.csr_array(on_facets.T), from_cells
    )


def _own(space: Space, texture: TextureSpace, magnet: str) -> MagnetMap:
    """Return the map of a conducting magnet: every cell and its own nodes."""
    mesh = space.structure.mesh
    corners = texture.node_of_vertex[mesh.t[:, space.cells[space.in_region(magnet)]]]
    weights = _means(corners, texture.size)
    none = sp.csr_array((0, texture.size))
    return MagnetMap(
        texture,
        magnet,
        {},
        np.zeros(0, np.int64),
        none,
        {magnet: weights},
        sp.csr_array(none.T),
        {magnet: sp.csr_array(weights.T)},
    )


def _means(corners: Indices, n: int) -> sp.csr_array:
    """Return the mean over the columns of node numbers (k, n_rows), shape (n_rows, n)."""
    k, rows = corners.shape
    at = (np.repeat(np.arange(rows), k), corners.T.ravel())
    return sp.coo_array((np.full(rows * k, 1 / k), at), shape=(rows, n)).tocsr()


def _nearest(structure: Structure, region: str, facets: Indices) -> Indices:
    """Return the position in `facets` of the one nearest to each cell of a region, laterally."""
    mesh = structure.mesh
    scale = np.ones((mesh.dim(), 1))
    scale[-1] = _HEIGHT
    centres = (mesh.p[:, mesh.facets[:, facets]].mean(axis=1) * scale).T
    cells = (mesh.p[:, mesh.t[:, structure.cells(region)]].mean(axis=1) * scale).T
    return np.asarray(cKDTree(centres).query(cells)[1], np.int64)


def _columns(texture: TextureSpace, on_facets: sp.csr_array) -> sp.csr_array:
    """Return C, shape (n, n): what the surface nodes of a column get, spread by volume."""
    lateral = texture.positions[:, [k for k in texture.axes if k != texture.axes[-1]]]
    surface = np.unique(on_facets.indices)
    label = np.round(lateral[surface] / (1e-6 * texture.spacing)).astype(np.int64)
    _, first = np.unique(label, axis=0, return_index=True)
    column = np.zeros(texture.size, int)
    if lateral.shape[1]:
        column = cKDTree(lateral[surface][first]).query(lateral)[1]
    member = sp.csr_array((np.ones(texture.size), (np.arange(texture.size), column)))
    total = member.T @ texture.volumes
    spread = sp.diags_array(texture.volumes) @ member @ sp.diags_array(1 / total)
    return sp.csr_array(spread @ member.T)


def _share(structure: Structure, face: Interface, others: tuple[str, ...]) -> float:
    """Return the part of an F's moments that belongs to the magnet behind one interface."""
    areas = [
        other.area
        for other in structure.interfaces.values()
        if other.first == face.first and other.second not in others
    ]
    return face.area / sum(areas)
