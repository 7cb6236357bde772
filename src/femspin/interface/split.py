r"""Exact decomposition of an interface spin current into M, L, S, A and E.

For every conducting region and every cell of it, the integrals over the cell of

* M: exchange torque, :math:`-\Gamma N + \omega\times N` (relaxation, precession),
* L: spin loss, :math:`-D (K_+^{d} + K_-) N`,
* S: spin loss that turns the spin, :math:`-D K_+^{o} N`,
* A: gauge precession of the gradient, :math:`D\,C^{a\nu}_j \partial_j N^\nu`, nu = 1..3,
* E: drift, :math:`-C^{a\nu}_j s^{j\nu} + D\,C^{a0}_j \partial_j N^0`,

add up, with the flux B through the other faces, to the spin current that leaves through the
interface.  The sum is exact for every mesh, element and Theta because C and K are contractions
of the same Theta that the matrix holds.

On covariant elements the constant spin vector :math:`e_a` is no test function; its interpolant
:math:`v^{(a)}`, equal to e_a at every node, takes its place: M is weighted with it, and its
covariant derivative :math:`(D_j v^{(a)})^m` replaces :math:`-\epsilon^{abm} a^{jb}` in K and C.
The sum stays exact, and every part converges at the order of the elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..fields.kernels import gauge_kernel, loss_kernel
from ..fields.soc import covariant_rotation, cross_matrix
from ..transport.assembly.coefficients import Coefficients
from ..transport.assembly.covariant import Piece, in_cell_frame, jets_of, pieces, point_tensors
from ..transport.elements.space import Space
from ..transport.system import TransportState
from ..units import AnyArray

__all__ = [
    "PARTS",
    "SPLIT",
    "SUBPARTS",
    "CellIntegrals",
    "cell_integrals",
    "cell_parts",
    "flux_density",
    "flux_functionals",
    "part_functionals",
    "region_parts",
    "stored_spin",
]


PARTS = ("M", "L", "S", "A", "E")
"""The five parts of an interface spin current."""
SUBPARTS = ("M_relax", "M_prec", "L_diag", "L_anti", "S", "A", "E")
"""What the parts are made of; M = M_relax + M_prec, L = L_diag + L_anti."""
SPLIT = ("moments", *SUBPARTS)
"""Everything that is integrated over cells; ``moments`` is the share of M on local moments."""


@dataclass(frozen=True)
class CellIntegrals:
    """Integrals of mu over the cells of a region, in solver units.

    Args:
        measure: Cell measure, shape (n,).
        mu: Integral of mu, shape (n, 4).
        gradient: Integral of d_j mu along the mesh coordinates, shape (n, dim, 4).
        covariant: Integral of the covariant derivative D_j mu, shape (n, 3, 4).
    """

    measure: AnyArray
    mu: AnyArray
    gradient: AnyArray
    covariant: AnyArray


@dataclass(frozen=True)
class PartRows:
    """The parts as linear functionals of the jets of mu in some cells.

    Args:
        rows: Weights of (d_j mu^eta | mu^eta), shape (n, n_points, 8, 3, dim + 1, 4), with the
            parts in the order of `SPLIT`; integrated, or constant with n = n_points = 1.
        constant: What the drift adds in every cell, shape (n, 8, 3).
    """

    rows: AnyArray
    constant: AnyArray


def cell_integrals(space: Space, c: Coefficients, mu: AnyArray, name: str) -> CellIntegrals:
    """Return the integrals of mu and its derivatives over each cell of a region.

    Args:
        space: The scalar space.
        c: Coefficients of the region.
        mu: Potentials, real or complex, shape (n_dofs, 4).
        name: The region.
    """
    axes = list(space.structure.axes)
    found = (
        [_piece_integrals(p, c, mu[space.dofs[p.cells]], axes) for p in pieces(space, name, c)]
        if not c.uniform
        else [
            _moment_integrals(space, chunk, c, mu, axes)
            for chunk in space.vector_chunks(space.in_region(name))
        ]
    )
    return CellIntegrals(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _moment_integrals(
    space: Space, chunk: Any, c: Coefficients, mu: AnyArray, axes: list[int]
) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    both = np.einsum("eic,eik->eck", chunk.vector, mu[space.dofs[chunk.cells]])
    gradient, value = both[:, :-1], both[:, -1]
    covariant = np.einsum("jec,nc->nje", c.rotation, value)
    covariant[:, axes] += gradient
    return chunk.vector[:, :, -1].sum(axis=1), value, gradient, covariant


def _piece_integrals(
    piece: Piece, c: Coefficients, local: AnyArray, axes: list[int]
) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    """Return measure, mu, gradient and covariant derivative, turned back to the global frame."""
    jets = jets_of(piece, in_cell_frame(piece, local))
    value = jets[:, :, -1]
    connection = covariant_rotation(piece.frames.connection)
    turned = covariant_rotation(piece.frames.turned)
    covariant = np.einsum("nqjez,nqz->nqje", connection, value)
    covariant[:, :, axes] += jets[:, :, :-1]
    ordinary = covariant - np.einsum("nqjez,nqz->nqje", turned, value)
    back = piece.frames.turns

    def integral(field: AnyArray) -> AnyArray:
        field = field.copy()
        field[..., 1:] = np.einsum("nqba,nq...b->nq...a", back, field[..., 1:])
        found: AnyArray = np.einsum("nq,nq...->n...", piece.dx, field)
        return found

    return (piece.dx.sum(axis=1), integral(value), integral(ordinary[:, :, axes]), integral(covariant))


def cell_parts(space: Space, c: Coefficients, mu: AnyArray, name: str) -> Mapping[str, AnyArray]:
    """Return the integral of every sub-part over each cell of a region [1/ps per unit], (n, 3).

    ``moments`` is the share of M that acts on the local moments: all of M unless the region
    also relaxes spin to the lattice or precesses in an external field.

    References:
        PRB 108, 125309 (2023), Eqs. (33)-(39) as corrected by errata E7, E19, E28.
    """
    found = []
    if c.uniform:
        part = _uniform_rows(c, space.structure.axes)
        for chunk in space.vector_chunks(space.in_region(name)):
            jets = np.einsum("eic,eik->eck", chunk.vector, mu[space.dofs[chunk.cells]])
            measure = chunk.vector[:, :, -1].sum(axis=1)
            values = np.tensordot(jets, part.rows[0, 0], ((1, 2), (2, 3)))
            found.append(values + measure[:, None, None] * part.constant)
    else:
        for piece in pieces(space, name, c):
            jets = jets_of(piece, in_cell_frame(piece, mu[space.dofs[piece.cells]]))
            part = _piece_rows(piece, c, space.structure.axes)
            values = np.einsum("nqpack,nqck->npa", part.rows, jets, optimize=True)
            found.append(values + part.constant)
    return dict(zip(SPLIT, np.concatenate(found).swapaxes(0, 1), strict=True))


def part_functionals(
    space: Space, c: Coefficients, name: str
) -> Iterator[tuple[NDArray[np.int64], AnyArray]]:
    """Yield cells and the weights of mu at their nodes in the parts of `cell_parts`.

    Shape (n, n_local, 4, 8, 3), the parts in the order of `SPLIT`.
    """
    axes = space.structure.axes
    if c.uniform:
        rows = _uniform_rows(c, axes).rows[0, 0]
        for chunk in space.vector_chunks(space.in_region(name)):
            yield chunk.cells, np.einsum("pack,eic->eikpa", rows, chunk.vector, optimize=True)
        return
    for piece in pieces(space, name, c):
        rows = _piece_rows(piece, c, axes).rows
        local = np.einsum("nqpack,nqic->nikpa", rows, piece.jet, optimize=True)
        links = piece.frames.links
        local[:, :, 1:] = np.einsum("niba,nib...->nia...", links, local[:, :, 1:])
        yield piece.cells, local


def flux_functionals(
    space: Space, c: Coefficients, name: str
) -> Iterator[tuple[NDArray[np.int64], AnyArray]]:
    """Yield cells and the weights of mu at their nodes in the integrals of J^{j eta}.

    Shape (n, n_local, 4, 3, 4) = (cell, node, zeta, j, eta).
    """
    axes = list(space.structure.axes)
    if c.uniform:
        theta = -c.dos * c.diffusion * c.theta.reshape(3, 4, 3, 4)
        slope = theta[:, :, axes].transpose(2, 0, 1, 3)  # (c, j, eta, zeta)
        value = np.einsum("jekz,kzb->jeb", theta, c.rotation)
        rows = np.concatenate([slope, value[None]])
        for chunk in space.vector_chunks(space.in_region(name)):
            yield chunk.cells, np.einsum("cjeb,nic->nibje", rows, chunk.vector, optimize=True)
        return
    for piece in pieces(space, name, c):
        t = point_tensors(piece, c)
        theta = -t.theta * piece.dx[:, :, None, None, None, None]
        value = np.einsum("nqjkez,nqkzb->nqjeb", theta, t.rotation, optimize=True)
        rows = np.concatenate([theta[:, :, :, axes].transpose(0, 1, 3, 2, 4, 5), value[:, :, None]], axis=2)
        rows[..., 1:, :] = np.einsum("nqba,nqcjbz->nqcjaz", piece.frames.turns, rows[..., 1:, :])
        local = np.einsum("nqcjeb,nqic->nibje", rows, piece.jet, optimize=True)
        local[:, :, 1:] = np.einsum("niba,nib...->nia...", piece.frames.links, local[:, :, 1:])
        yield piece.cells, local


def _uniform_rows(c: Coefficients, axes: tuple[int, ...]) -> PartRows:
    """Return the rows per volume with K and C as in the paper."""
    K, C = loss_kernel(c.gauge, c.theta), gauge_kernel(c.gauge, c.theta)
    symmetric, antisymmetric = 0.5 * (K + K.T), 0.5 * (K - K.T)
    diagonal = np.diag(np.diag(symmetric))
    rows = np.zeros((8, 3, len(axes) + 1, 4))
    matrices = (
        cross_matrix(c.moment_omega) - c.moment_relaxation,
        -c.relaxation,
        cross_matrix(c.omega),
        -c.diffusion * diagonal,
        -c.diffusion * antisymmetric,
        -c.diffusion * (symmetric - diagonal),
    )
    for part, matrix in enumerate(matrices):
        rows[part, :, -1, 1:] = c.dos * matrix
    slope = c.dos * c.diffusion * C[:, list(axes)]
    rows[6, :, :-1, 1:], rows[7, :, :-1, 0] = slope[..., 1:], slope[..., 0]
    constant = np.zeros((8, 3))
    constant[7] = -np.einsum("ajn,jn->a", C, c.drift)
    return PartRows(rows[None, None], constant[None])


def _piece_rows(piece: Piece, c: Coefficients, axes: tuple[int, ...]) -> PartRows:
    """Return the rows at every quadrature point in the carried frames, weighted by dx."""
    t, frames = point_tensors(piece, c), piece.frames
    n, q = piece.dx.shape
    weight, slopes = _test_interpolant(piece, axes)  # v^b and (D_j v)^b of e_a
    pull = np.einsum("nqjba,nqjkbz->nqakz", slopes, t.theta[..., 1:, :], optimize=True)
    turned = covariant_rotation(frames.turned)
    K = np.einsum("nqakz,nqkzb->nqab", pull, turned, optimize=True)[..., 1:] @ frames.turns
    symmetric, antisymmetric = 0.5 * (K + K.swapaxes(2, 3)), 0.5 * (K - K.swapaxes(2, 3))
    diagonal = symmetric * np.eye(3)
    rows = np.zeros((n, q, 8, 3, len(axes) + 1, 4))
    local = (
        cross_matrix(c.at("moment_omega", piece.place)) - c.at("moment_relaxation", piece.place),
        -c.at("relaxation", piece.place),
        cross_matrix(c.at("omega", piece.place)),
    )
    back = frames.turns.swapaxes(2, 3)
    for part, matrix in enumerate(local):
        rows[:, :, part, :, -1, 1:] = c.dos * (weight.swapaxes(2, 3) @ frames.turns @ matrix @ back)
    for part, matrix in enumerate((-diagonal, -antisymmetric, -(symmetric - diagonal)), 3):
        rows[:, :, part, :, -1, 1:] = matrix @ back
    excess = covariant_rotation(frames.connection) - turned
    rows[:, :, 6, :, :-1, 1:] = -pull[:, :, :, list(axes), 1:]
    rows[:, :, 6, :, -1] = -np.einsum("nqakz,nqkzb->nqab", pull, excess, optimize=True)
    rows[:, :, 7, :, :-1, 0] = -pull[:, :, :, list(axes), 0]
    constant = np.zeros((n, 8, 3))
    constant[:, 7] = np.einsum("nqjba,nqjb,nq->na", slopes, t.forced[..., 1:], piece.dx, optimize=True)
    return PartRows(rows * piece.dx[:, :, None, None, None, None], constant)


def _test_interpolant(piece: Piece, axes: tuple[int, ...]) -> tuple[AnyArray, AnyArray]:
    """Return the interpolants of e_a and their covariant derivatives in the carried frame.

    Shapes (n, n_points, 3, 3) = (b, a) and (n, n_points, 3, 3, 3) = (j, b, a).
    """
    links = piece.frames.links
    flat = links.reshape(*links.shape[:2], 9)
    jets = jets_of(piece, flat).reshape(*piece.dx.shape, -1, 3, 3)
    weight = jets[:, :, -1]
    slopes = cross_matrix(piece.frames.connection) @ weight[:, :, None]
    slopes[:, :, list(axes)] += jets[:, :, :-1]
    return weight, slopes


def stored_spin(space: Space, c: Coefficients, mu_dot: AnyArray, name: str) -> AnyArray:
    """Return the rate at which spin is stored in every cell, weighted like M, shape (n, 3)."""
    return -cell_parts(space, c.storage, mu_dot, name)["M_relax"]


def flux_density(c: Coefficients, integrals: CellIntegrals) -> AnyArray:
    """Return the mean flux J = Theta f of each cell [1/(nm^2 ps)], shape (n, 3, 4)."""
    mean = integrals.covariant / integrals.measure[:, None, None]
    drift = c.drift if c.drift.ndim == 2 else c.drift.mean(axis=1)
    force = drift - c.dos * c.diffusion * mean
    theta = c.theta if c.theta.ndim == 2 else c.theta.mean(axis=1)
    flux: AnyArray = (theta @ force.reshape(-1, 12, 1)).reshape(-1, 3, 4)
    return flux


def region_parts(space: Space, state: TransportState, region: str) -> Mapping[str, AnyArray]:
    """Return every sub-part of a region per cell, shape (n, 3)."""
    return cell_parts(space, state.coefficients[region], state.mu, region)
