"""Division of chosen simplices, with matching periodic sides.

Every edge of a chosen cell is halved, so that flat cells of thin layers become finer in all
directions.  A cell with split edges is bisected at each of them, the longest first.  The split
edges and their order belong to the edges, not to a cell: neighbours, and cells at two periodic
sides, divide a common face in the same way whatever is split.  Only for the shape of the cells
are further edges split: in a triangle with a split edge the longest one is split as well (Plaza
and Carey, Appl. Numer. Math. 32, 195 (2000)).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..units import Array, Indices
from .images import image_steps

__all__ = ["bisect"]


_FACTOR = 2**32  # more than there are vertices


def bisect(
    mesh: Any, periods: tuple[tuple[int, float], ...], chosen: Indices
) -> tuple[Array, Indices, Indices, Indices]:
    """Return points, cells, their parents, and the two old vertices in whose middle a point lies.

    The shapes are (dim, n_points), (dim + 1, n_cells), (n_cells,) and (n_points, 2); an old vertex
    stands for itself twice.

    Args:
        mesh: Lines, triangles or tetrahedra.
        periods: Periodic rows with their periods [nm].
        chosen: Cells to divide.
    """
    pairs = np.array(list(combinations(range(mesh.dim() + 1), 2)))
    key = _keys(mesh.t[pairs])
    known, edge_of_cell = np.unique(key, return_inverse=True)
    edge_of_cell = edge_of_cell.reshape(key.shape)
    edges = np.stack(np.divmod(known, _FACTOR))
    middle = 0.5 * (mesh.p[:, edges[0]] + mesh.p[:, edges[1]])
    steps = image_steps(middle, periods)
    image = np.unique(steps, axis=1, return_inverse=True)[1].ravel()
    rank = _ranks(np.linalg.norm(mesh.p[:, edges[0]] - mesh.p[:, edges[1]], axis=0), image)
    split = np.flatnonzero(_split(pairs, edge_of_cell, image, rank, chosen))
    cells, parent = _divided(mesh, pairs, known[split], rank[split])
    old = np.arange(mesh.nvertices)
    ends = np.concatenate([np.stack([old, old], axis=1), edges[:, split].T])
    return np.hstack([mesh.p, middle[:, split]]), cells, parent, ends


def _keys(ends: NDArray[np.integer]) -> Indices:
    """Return one number for each edge of cells, from its ends (n_pairs, 2, n_cells)."""
    sorted_ends = np.sort(ends.astype(np.int64), axis=1)
    return sorted_ends[:, 0] * _FACTOR + sorted_ends[:, 1]


def _ranks(length: Array, image: Indices) -> Indices:
    """Return the place of each edge in one order of all by length, equal for periodic images."""
    longest = np.zeros(image.max() + 1)
    np.maximum.at(longest, image, length)
    rank = np.empty(len(longest), np.int64)
    rank[np.argsort(longest, kind="stable")] = np.arange(len(longest))
    return rank[image]


def _split(
    pairs: Indices, edge_of_cell: Indices, image: Indices, rank: Indices, chosen: Indices
) -> NDArray[np.bool_]:
    """Return which edges are split, shape (n_edges,).

    Args:
        pairs: Local corners of the edges of a cell, shape (n_pairs, 2).
        edge_of_cell: Shape (n_pairs, n_cells).
        image: A number of each edge that periodic images share.
        rank: Place in the order of lengths.
        chosen: Cells of which all edges are split.
    """
    triangles = [
        [k for k, pair in enumerate(pairs.tolist()) if set(pair) <= set(corners)]
        for corners in combinations(range(pairs.max() + 1), 3)
    ]
    split = np.zeros(image.max() + 1, bool)
    split[image[edge_of_cell[:, chosen]]] = True
    before = -1
    while split.sum() > before:
        before = split.sum()
        for own in triangles:
            sides = edge_of_cell[own]
            longest = np.take_along_axis(sides, np.argmax(rank[sides], axis=0)[None], axis=0)[0]
            split[image[longest[split[image[sides]].any(axis=0)]]] = True
    return split[image]


def _divided(mesh: Any, pairs: Indices, keys: Indices, rank: Indices) -> tuple[Indices, Indices]:
    """Return cells and their parents after bisection at all split edges, the longest first.

    Args:
        mesh: The mesh.
        pairs: Local corners of the edges of a cell, shape (n_pairs, 2).
        keys: The split edges, ascending; their middles are numbered after the vertices.
        rank: Their places in the order of lengths.
    """
    cells, parent = mesh.t.astype(np.int64), np.arange(mesh.nelements)
    done = [(cells[:, :0], parent[:0])]
    keys, rank = np.append(keys, -1), np.append(rank, -1)  # what a search beyond the end finds
    while cells.shape[1]:
        key = _keys(cells[pairs])
        place = np.searchsorted(keys[:-1], key)
        height = np.where(keys[place] == key, rank[place], -1)
        first = np.argmax(height, axis=0)
        whole = height.max(axis=0) < 0
        done.append((cells[:, whole], parent[whole]))
        cells, parent, first = cells[:, ~whole], parent[~whole], first[~whole]
        column = np.arange(cells.shape[1])
        middle = mesh.nvertices + place[:, ~whole][first, column]
        halves = []
        for corner in pairs[first].T:
            half = cells.copy()
            half[corner, column] = middle
            halves.append(half)
        cells, parent = np.concatenate(halves, axis=1), np.concatenate([parent, parent])
    return np.concatenate([c for c, _ in done], axis=1), np.concatenate([p for _, p in done])
