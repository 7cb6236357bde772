r"""Products of derivatives on right-angled cells, right to order h^4.

On cells that are rectangles or boxes along the axes the energies of exchange and of DMI are sums
over edges.  Of an edge of length h with the cross-section a, to order :math:`h^5`,

.. math::
    \tfrac ah|m_r - m_l|^2 &= a\int|m'|^2 - \tfrac{ah^3}{12}|m''|^2 \\
    a\,m_l\times m_r &= a\int m\times m' - \tfrac{ah^3}{6}\,m'\times m''

without terms at its ends.  What is missing is added at the nodes, where :math:`m'` and :math:`m''`
are divided differences; an end without slope has its mirror image for a neighbour, any other is
left out and its neighbour stands for it.  Second derivatives of linear elements err by
:math:`k^2h^2/12` of a wave: a wall becomes 0.21 (h/lambda)^2 too narrow, and the moments of waves
too slow.  Rows of cells of unequal lengths are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..units import Array, Indices

__all__ = ["Edges", "grid_edges"]


_FLAT = 1e-9
_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Edges:
    """The edges along one direction of a mesh of right-angled cells; lengths in nm.

    Args:
        size: Number of nodes n.
        ends: Lower and upper node of each edge, shape (2, n_edges).
        length: h [nm], shape (n_edges,).
        section: a [nm^2], shape (n_edges,).
    """

    size: int
    ends: Indices
    length: Array
    section: Array

    def _table(self, values: Array, rows: Indices, columns: Indices) -> sp.csr_array:
        return sp.csr_array((values, (rows, columns)), (self.size, self.size))

    def _difference(self, values: Array) -> sp.csr_array:
        """Return the matrix that gives values times (m_r - m_l), shape (n_edges, n)."""
        rows = np.tile(np.arange(len(values)), 2)
        columns = np.concatenate([self.ends[1], self.ends[0]])
        entries = np.concatenate([values, -values])
        return sp.csr_array((entries, (rows, columns)), (len(values), self.size))

    @cached_property
    def _inside(self) -> Array:
        """1 at nodes with an edge on both sides, 0 elsewhere, shape (n,)."""
        low, high = (np.bincount(end, minlength=self.size) > 0 for end in self.ends)
        return np.asarray(low & high, float)

    def _missing(self, there: Array) -> Array:
        """Return the sum of a h^3 [nm^5] of each node: half an edge, or all without another end.

        Args:
            there: 1 at nodes that take part, 0 elsewhere, shape (n,).
        """
        share = there[self.ends]
        cube = self.section * self.length**3 / np.maximum(share.sum(axis=0), 1)
        low, high = (
            np.bincount(end, cube * part, self.size) for end, part in zip(self.ends, share, strict=True)
        )
        return np.asarray(low + high)

    @cached_property
    def _span(self) -> Array:
        """h_l + h_r [nm], shape (n,); twice the one edge of an end."""
        low, high = (np.bincount(end, self.length, self.size) for end in self.ends)
        return np.where(self._inside > 0, low + high, 2 * np.maximum(low + high, _TINY))

    def _gather(self, low: float, high: float) -> sp.csr_array:
        """Return the sum over edges, `low` times those that begin and `high` those that end."""
        count = len(self.length)
        rows = np.concatenate([self.ends[0], self.ends[1]])
        entries = np.repeat([low, high], count)
        return sp.csr_array((entries, (rows, np.tile(np.arange(count), 2))), (self.size, count))

    @cached_property
    def _first(self) -> sp.csr_array:
        """Divided difference (m_r - m_l)/(h_l + h_r) [1/nm] of the nodes inside."""
        steps = self._gather(1.0, 1.0) @ self._difference(np.ones(len(self.length)))
        return sp.csr_array(sp.diags_array(self._inside / self._span) @ steps)

    @cached_property
    def _second(self) -> sp.csr_array:
        """Second divided difference [1/nm^2], at ends with their mirror image."""
        slopes = self._gather(1.0, -1.0) @ self._difference(1 / self.length)
        twice = np.where(self._inside > 0, 2.0, 4.0)
        return sp.csr_array(sp.diags_array(twice / self._span) @ slopes)

    def exchange(self, sloped: bool) -> sp.csr_array:
        """Return the matrix of the integral of |m'|^2 [nm], shape (n, n), symmetric.

        Args:
            sloped: Whether m may have a slope at free ends.
        """
        steps = self._difference(np.sqrt(self.section / self.length))
        there = self._inside if sloped else np.ones(self.size)
        curved = sp.diags_array(np.sqrt(self._missing(there) / 12)) @ self._second
        return sp.csr_array(steps.T @ steps + curved.T @ curved)

    @cached_property
    def turns(self) -> sp.csr_array:
        """The matrix of the integral of p q' - p' q [nm^2], shape (n, n), antisymmetric."""
        plain = self._table(self.section, self.ends[0], self.ends[1])
        weight = sp.diags_array(self._missing(self._inside) / 6)
        curved = self._first.T @ weight @ self._second
        return sp.csr_array(plain - plain.T + curved - curved.T)


def grid_edges(
    mesh: Any, cells: Indices, node_of_vertex: Indices, section: float
) -> tuple[Edges, ...] | None:
    """Return the edges along each coordinate of a mesh; None if a cell is not right-angled.

    Args:
        mesh: The scikit-fem mesh.
        cells: Cells of the region, shape (n_cells,).
        node_of_vertex: Node of each vertex; periodic images share one.
        section: Extent of the directions that are not meshed [nm^(3 - dimension)].
    """
    dimension = mesh.dim()
    corners = mesh.t[:, cells]
    if len(corners) != 2**dimension:
        return None
    extent = np.ptp(mesh.p[:, corners], axis=1)
    size = int(node_of_vertex.max()) + 1
    found: list[list[Indices]] = [[] for _ in range(dimension)]
    count = np.zeros(len(cells), np.int64)
    for one, other in combinations(corners, 2):
        step = mesh.p[:, other] - mesh.p[:, one]
        moved = np.abs(step) > _FLAT * extent
        for k in range(dimension):
            along = moved[k] & (moved.sum(axis=0) == 1)
            count += along
            ends = np.where(step[k] > 0, (one, other), (other, one))
            found[k].append(np.vstack([np.flatnonzero(along)[None], ends[:, along]]))
    if (count != dimension * 2 ** (dimension - 1)).any():
        return None
    share = section * extent.prod(axis=0) / 2 ** (dimension - 1)
    return tuple(
        _merged(np.hstack(found[k]), extent[k], share / extent[k], node_of_vertex, size)
        for k in range(dimension)
    )


def _merged(edges: Indices, extent: Array, area: Array, node_of_vertex: Indices, size: int) -> Edges:
    """Return the edges of cells, rows cell, lower and upper vertex, each of them once."""
    cell, ends = edges[0], node_of_vertex[edges[1:]]
    kept = ends[0] != ends[1]  # one cell across a periodic direction
    cell, ends = cell[kept], ends[:, kept]
    label, first, same = np.unique(ends[0] * size + ends[1], return_index=True, return_inverse=True)
    section = np.bincount(same, area[cell], len(label)).astype(float)
    return Edges(size, ends[:, first], extent[cell[first]], section)
