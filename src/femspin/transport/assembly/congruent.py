"""Congruent cells: translated cells of a uniform region share their element matrices.

Layered meshes have a few dozen shapes.  For elements that carry spin the matrix of a cell in the
frame of its centroid, and the links to its nodes, depend on the shape of the cell alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...units import AnyArray, Array
from ..elements.affine import reference_frame
from ..elements.space import Space
from ..kernels.threads import compiled_available
from .coefficients import Coefficients
from .covariant import jet_products, kept_pieces, load_local, piece_of, turned_back

__all__ = ["SharedElements", "congruent_cells", "congruent_residuals", "shared_blocks", "shared_elements"]


# Round-off of coordinates within which shapes are taken for the same.
_ROUND_OFF = 16 * np.finfo(float).eps
_CHUNK = 4_000
# Cells from which on loading the compiled kernel pays off.
_COMPILED_FROM = 5_000


def congruent_cells(space: Space, name: str) -> tuple[AnyArray, AnyArray]:
    """Return one cell of every shape in a region, and the shape of every cell.

    Args:
        space: The scalar space.
        name: Region.

    Returns:
        Positions in the list of the region's cells, shape (n_shapes,), and numbers of shapes,
        shape (n_cells,).
    """
    if name not in space.kept_shapes:
        mesh, cells = space.structure.mesh, space.cells[space.in_region(name)]
        corners = np.asarray(reference_frame(mesh)) if space.affine else np.arange(len(mesh.t))
        near = _ROUND_OFF * np.abs(mesh.p).max(axis=1)
        if compiled_available() and len(cells) >= _COMPILED_FROM:
            found = _hashed_shapes(mesh, cells, corners, near)
        else:
            found = _sorted_shapes(mesh, cells, corners, near)
        space.kept_shapes[name] = found
    return space.kept_shapes[name]


def _hashed_shapes(mesh: Any, cells: AnyArray, corners: AnyArray, near: Array) -> tuple[AnyArray, AnyArray]:
    """Return the same from edges in whole units of round-off, which may split a shape."""
    from ..kernels.shape import find_shapes

    first, shape = find_shapes(mesh.p, mesh.t, cells, corners, near, _CHUNK)
    if len(first):
        return first, shape
    return np.arange(len(cells)), np.arange(len(cells), dtype=np.int32)


def _sorted_shapes(mesh: Any, cells: AnyArray, corners: AnyArray, near: Array) -> tuple[AnyArray, AnyArray]:
    """Return the same by sorting every component of every edge."""
    ends = mesh.p[:, mesh.t[corners][:, cells]]
    edges = ends[:, 1:] - ends[:, :1]
    numbers = np.stack([_clusters(column, near[j]) for j, axis in enumerate(edges) for column in axis])
    _, first, shape = np.unique(_joined(numbers), return_index=True, return_inverse=True)
    if not np.array_equal(numbers, numbers[:, first[shape]]):  # a collision of keys
        first = shape = np.arange(numbers.shape[1])
    return first, shape.astype(np.int32)


def _clusters(values: Array, near: float) -> AnyArray:
    """Return numbers that tell values apart which differ by more than round-off, shape (n,)."""
    known = np.unique(values)
    starts = known[np.r_[True, np.diff(known) > near]]
    return np.searchsorted(starts, values, side="right")


def _joined(numbers: AnyArray) -> AnyArray:
    """Return one key for every column of numbers (k, n): as digits, or scattered over 64 bits."""
    keys, size = np.zeros(numbers.shape[1], np.uint64), 1
    for row in numbers:
        size *= int(row.max(initial=0)) + 1
        factor = row.max(initial=0) + 1 if size < 2**63 else 0x9E3779B97F4A7C15
        keys = keys * np.uint64(factor) + row.astype(np.uint64)
    return keys


@dataclass(frozen=True)
class SharedElements:
    """Element matrices of the shapes of a uniform region.

    Args:
        cells: Positions of the region's cells among the conducting cells, shape (n,).
        shape: Shape of every cell, shape (n,).
        slopes: What acts on the derivatives of a field, between nodal values in the frame of the
            cell, shape (n_shapes, 4 n_local, 4 n_local).
        values: The same for the values of a field.
        matrix: Both, between the nodes, shape (n_shapes, n_local, n_local, 4, 4).
        load: Shape (n_shapes, n_local, 4).
        links: W(c <- x_i), shape (n_shapes, n_local, 3, 3).
    """

    cells: AnyArray
    shape: AnyArray
    slopes: Array
    values: Array
    matrix: Array
    load: Array
    links: Array


def shared_elements(space: Space, name: str, c: Coefficients) -> SharedElements | None:
    """Return the elements of a uniform region that carries spin; None where sharing is no gain.

    Args:
        space: The scalar space.
        name: Region.
        c: Its coefficients.
    """
    if not (c.constant and c.along and c.gauge_function is None):
        return None
    first, shape = congruent_cells(space, name)
    cells, axes = space.in_region(name), space.structure.axes
    if 2 * len(first) > len(cells) or len(first) > _CHUNK:
        return None
    (piece,) = kept_pieces(space, f"shapes of {name}", c, lambda: [piece_of(space, c, cells[first])])
    slopes, values = jet_products(piece, c, axes)
    flat = (len(first), 4 * space.dofs.shape[1], 4 * space.dofs.shape[1])
    return SharedElements(
        cells,
        shape,
        slopes.swapaxes(2, 3).reshape(flat),
        values.swapaxes(2, 3).reshape(flat),
        turned_back(piece, slopes + values),
        load_local(piece, c, axes),
        piece.frames.links,
    )


def shared_blocks(elements: SharedElements) -> Iterator[tuple[AnyArray, Array, Array]]:
    """Yield cells with their element matrices (n, n_local^2, 16) and loads (n, n_local, 4)."""
    matrix = elements.matrix.reshape(*elements.load.shape[:1], -1, 16)
    for start in range(0, len(elements.cells), _CHUNK):
        place = slice(start, start + _CHUNK)
        shape = elements.shape[place]
        yield elements.cells[place], matrix[shape], elements.load[shape]


def congruent_residuals(
    space: Space, elements: SharedElements, mu: Array, mu_low: Array
) -> Iterator[tuple[AnyArray, Array]]:
    """Yield cells with their K mu - b at their nodes, shape (n, n_local, 4).

    Derivatives act on the deviation from the mean of the cell, in the frame of its centroid; see
    `covariant.in_cell_frame`.

    Args:
        space: The scalar space.
        elements: Of a region.
        mu: Potentials [meV], shape (n_dofs, 4).
        mu_low: Rest of an extended-precision mu, shape (n_dofs, 4).
    """
    exact = elements.links.astype(np.longdouble)
    for start in range(0, len(elements.cells), _CHUNK):
        place = slice(start, start + _CHUNK)
        cells, shape = elements.cells[place], elements.shape[place]
        dofs = space.dofs[cells]
        local = mu[dofs].astype(np.longdouble) + mu_low[dofs]
        local[:, :, 1:] = np.einsum("niab,nib->nia", exact[shape], local[:, :, 1:])
        n = len(cells)
        deviation = (local - local.mean(axis=1, keepdims=True)).astype(float).reshape(n, -1, 1)
        value = local.astype(float).reshape(n, -1, 1)
        out = elements.slopes[shape] @ deviation + elements.values[shape] @ value
        out = out.reshape(n, -1, 4)
        out[:, :, 1:] = np.einsum("niab,nia->nib", elements.links[shape], out[:, :, 1:])
        yield cells, out - elements.load[shape]
