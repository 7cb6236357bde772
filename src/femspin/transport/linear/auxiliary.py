r"""What multigrid is built from: linear elements on the nodes of any element, lumped reaction.

Matrices of flat hexahedra and of elements of higher order have positive couplings, which classical
multigrid cannot follow.  The nodes of every cell span small simplices; linear elements on them
give a matrix with the same unknowns that is spectrally equivalent, with constants that do not
depend on size, grading or coefficients (Orszag, J. Comput. Phys. 37, 70 (1980)), and on box
meshes it has no positive couplings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, product
from math import factorial

import numpy as np
import scipy.sparse as sp

from ...fields.soc import covariant_rotation
from ...units import Array, Indices
from ..assembly.coefficients import Coefficients
from ..assembly.compiled import measures_compiled, pays_off
from ..elements.space import Space, reference_nodes
from ..kernels.threads import run_by_rows

__all__ = ["Auxiliary", "auxiliary", "linear_stiffness", "small_simplices", "without_positive_couplings"]


_CHUNK = 200_000
# Orders (a, b, c, d) of the vertices whose cut joins the middles of edges ac and bd.
_TURNS = ([0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2])


@dataclass(frozen=True)
class Auxiliary:
    """What the coarse levels need beyond the matrix.

    Args:
        stiffness: Of linear elements on the nodes, shape (n_dofs, n_dofs); None where the
            elements are linear ones on simplices themselves.
        reaction: What relaxes, precesses or is lost in gauge fields at every node, 3 x 3 tensors
            times the node's share of volume, shape (n_dofs, 3, 3).
    """

    stiffness: sp.csr_array | None
    reaction: Array


def auxiliary(space: Space, coefficients: Mapping[str, Coefficients]) -> Auxiliary:
    """Return what multigrid is built from.

    Args:
        space: The scalar space.
        coefficients: Of every conducting region.
    """
    linear = space.order == 1 and space.dofs.shape[1] == space.dimension + 1
    stiffness = None
    if not linear:
        factors = {name: c.dos * c.diffusion for name, c in coefficients.items()}
        stiffness = linear_stiffness(space, factors)
    reaction = np.zeros((space.n_dofs, 3, 3))
    measures = measures_compiled(space) if pays_off(space) else space.measures
    for name, c in coefficients.items():
        _add_reaction(space, name, c, measures, reaction)
    return Auxiliary(stiffness, reaction)


def _add_reaction(space: Space, name: str, c: Coefficients, measures: Array, reaction: Array) -> None:
    """Add nu (Gamma - omega x) + nu D a . a of a region's cells, shared among their nodes."""
    cells = space.in_region(name)
    turns = covariant_rotation(c.gauge)[..., 1:, 1:]
    loss = np.einsum("...jab,...jac->...bc", turns, turns)
    tensor = c.dos * (_of_cells(c.reaction)[..., 1:, 1:] + c.diffusion * _of_cells(loss))
    if tensor.ndim == 2 and pays_off(space):
        from ..kernels.auxiliary import add_shares, add_tensor

        shares = np.zeros(space.n_dofs)
        add_shares(cells, space.dofs, measures, shares)
        run_by_rows(add_tensor, len(shares), shares, tensor, reaction)
        return
    dofs, n, measures = space.dofs[cells], space.n_dofs, measures[cells] / space.dofs.shape[1]
    if tensor.ndim == 2:
        shares = np.repeat(measures, dofs.shape[1])
        reaction += np.bincount(dofs.ravel(), shares, n)[:, None, None] * tensor
        return
    shares = measures[:, None, None] * tensor
    for k in range(dofs.shape[1]):
        np.add.at(reaction, dofs[:, k], shares)


def _of_cells(tensor: Array) -> Array:
    """Return the mean over quadrature points, where a tensor has them."""
    return tensor.mean(axis=1) if tensor.ndim > 2 else tensor


def small_simplices(nodes: Array, order: int, simplex: bool) -> Indices:
    """Return the simplices that the nodes of a reference cell span, shape (n, dim + 1).

    The lattice of nodes is cut into cubes and every cube into simplices along its diagonal (Kuhn);
    a simplex of the reference is the part of such a lattice where coordinates do not increase.

    Args:
        nodes: Reference coordinates of the nodes, shape (n_local, dim).
        order: Polynomial order of the element.
        simplex: Whether the cell is a simplex.
    """
    d = nodes.shape[1]
    steps = np.rint(nodes * order).astype(int)
    if simplex:  # reference coordinates are differences of ordered lattice coordinates
        steps = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    known = {tuple(map(int, row)): k for k, row in enumerate(steps)}
    found = []
    for corner in product(range(order), repeat=d):
        for path in permutations(range(d)):
            walk = [tuple(corner)]
            for axis in path:
                walk.append(tuple(x + (k == axis) for k, x in enumerate(walk[-1])))
            if all(point in known for point in walk):
                found.append([known[point] for point in walk])
    return np.array(found)


def linear_stiffness(space: Space, conductivity: Mapping[str, float]) -> sp.csr_array:
    """Return the stiffness matrix of linear elements on the nodes, shape (n_dofs, n_dofs).

    Args:
        space: The scalar space.
        conductivity: Factor of the Laplacian in every region.
    """
    n, total = space.n_dofs, sp.csr_array((space.n_dofs, space.n_dofs))
    for name, factor in conductivity.items():
        for small, cells in _cuts(space, space.in_region(name)):
            step = max(1, _CHUNK // len(small))
            for start in range(0, len(cells), step):
                piece = cells[start : start + step]
                points = space.node_positions(piece)[:, small]
                dofs = space.dofs[piece][:, small]
                part = _stiffness(points.reshape(-1, *points.shape[2:]), dofs.reshape(-1, dofs.shape[2]), n)
                total = sp.csr_array(total + factor * part)
    return total


def _cuts(space: Space, cells: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Yield ways to cut the reference cell, each with the cells that it suits.

    Inside a tetrahedron are octahedra that may be cut along three diagonals; the shortest makes
    the fewest obtuse angles.
    """
    nodes, order = reference_nodes(space), space.order
    simplex = space.structure.mesh.t.shape[0] == space.dimension + 1
    if not (simplex and space.dimension == 3 and order > 1):
        yield small_simplices(nodes, order, simplex), cells
        return
    corners = space.structure.mesh.p[:, space.structure.mesh.t[:, space.cells[cells]]]
    lengths = [
        np.linalg.norm(corners[:, a] + corners[:, c] - corners[:, b] - corners[:, d], axis=0)
        for a, b, c, d in _TURNS
    ]
    shortest = np.argmin(lengths, axis=0)
    weights = np.column_stack([1 - nodes.sum(axis=1), nodes])
    for k, turn in enumerate(_TURNS):
        turned = weights[:, turn][:, 1:]
        yield small_simplices(turned, order, True), cells[shortest == k]


def _stiffness(points: Array, dofs: Indices, n: int) -> sp.csr_array:
    """Return the sum of the stiffness matrices of simplices, shape (n, n)."""
    d = points.shape[2]
    edges = points[:, 1:] - points[:, :1]
    volume = np.abs(np.linalg.det(edges)) / factorial(d)
    good = volume > 1e-14 * np.abs(edges).max(axis=(1, 2)) ** d
    edges, volume, dofs = edges[good], volume[good], dofs[good]
    slopes = np.linalg.inv(edges).swapaxes(1, 2)
    slopes = np.concatenate([-slopes.sum(axis=1, keepdims=True), slopes], axis=1)
    local = slopes @ slopes.swapaxes(1, 2) * volume[:, None, None]
    rows = np.broadcast_to(dofs[:, :, None], local.shape)
    columns = np.broadcast_to(dofs[:, None, :], local.shape)
    return sp.coo_array((local.ravel(), (rows.ravel(), columns.ravel())), shape=(n, n)).tocsr()


def without_positive_couplings(matrix: sp.csr_array) -> sp.csr_array:
    """Return a matrix with positive entries off the diagonal added to it, itself without any."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    positive = (matrix.data > 0) & (rows != matrix.indices)
    if not positive.any():
        return matrix
    moved = np.bincount(rows[positive], matrix.data[positive], minlength=matrix.shape[0])
    kept = (np.where(positive, 0.0, matrix.data), matrix.indices, matrix.indptr)
    lumped = sp.csr_array(sp.csr_array(kept, shape=matrix.shape) + sp.diags_array(moved))
    lumped.eliminate_zeros()
    return lumped
