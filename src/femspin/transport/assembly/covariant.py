r"""W1 on cells whose basis carries spin from node to point.

The basis is :math:`\varphi_i(x)\,W(x\leftarrow c)\,W(c\leftarrow x_i)`.  In the frame of the
centroid (`frames`) it is the scalar basis times a constant spin, and the covariant derivative is
:math:`\partial_j + a'_j`.  All tensors of the cell are turned into that frame at every quadrature
point, the usual element integrals are taken there, and nodes are turned back once:
:math:`K_e \to R^T K_e R`, :math:`R = \mathrm{diag}_i W(c\leftarrow x_i)`.  Every quantity
transforms as a tensor at c, so a local change of the spin frame changes nothing but the
components of the result, on any mesh and with any quadrature.

With frames that carry nothing the same code is the standard element, for tensors and gauge
fields that vary within a region; constants on standard elements take the faster route of
`assembly`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ...fields.region import RegionFields
from ...fields.soc import covariant_rotation
from ...units import LENGTH, Array
from ..elements.lagrange import node_values
from ..elements.orders import prolongation
from ..elements.space import Space, reference_nodes
from .coefficients import Coefficients
from .frames import CellFrames, GaugeFunction, carried_frames, plain_frames, varying_frames

__all__ = [
    "Elements",
    "Piece",
    "PointTensors",
    "apply_local",
    "back_to_nodes",
    "carried_directions",
    "in_cell_frame",
    "interpolation",
    "jet_products",
    "jets_of",
    "kept_pieces",
    "load_local",
    "matrix_local",
    "node_links",
    "piece_of",
    "pieces",
    "point_tensors",
    "turned_back",
]

Elements = Literal["auto", "covariant", "plain"]

_PIECE_BYTES = 4.0e7
_KEPT_BYTES = 2.0e7
# A uniform potential on elements of order p that carry spin loses (a h)^(2p) of its gauge terms,
# with a small factor: at these turns [rad] per cell, times p, a few 1e-3 (p = 1) to 1e-4 (p = 2).
_MOST_TURN = 0.25


def carried_directions(
    space: Space, name: str, fields: RegionFields, elements: Elements, order: int
) -> tuple[int, ...]:
    """Return the physical directions along which the elements of a region carry spin.

    ``plain``: none.  ``covariant``: all mesh directions, if there is a gauge field.  ``auto``:
    those along which a gauge field acts, the device is not periodic and no cell is so wide that
    spin would turn by more than 0.25 rad (order 1) or 0.5 rad (order 2) across it.  The reason:
    potentials that are the same everywhere along a direction, as in periodic or wide devices, are
    exact on plain elements of any width, while a carried basis resolves the turn of the spin
    frame.

    Args:
        space: The scalar space.
        name: The region.
        fields: Its coefficients.
        elements: ``auto``, ``covariant`` or ``plain``.
        order: Polynomial order the choice is made for.
    """
    axes, structure = space.structure.axes, space.structure
    strength = np.linalg.norm(fields.gauge * LENGTH, axis=1)
    if elements == "plain" or not strength[list(axes)].any():
        return ()
    if elements == "covariant":
        return axes
    corners = structure.mesh.p[:, structure.mesh.t[:, structure.cells(name)]]
    width = np.ptp(corners, axis=1).max(axis=1)
    periodic = {row for row, _ in structure.periods}
    return tuple(
        axis
        for row, axis in enumerate(axes)
        if row not in periodic and 0 < strength[axis] * width[row] <= _MOST_TURN * order
    )


@dataclass(frozen=True)
class Piece:
    """Some cells of a region with everything their integrals need.

    Args:
        cells: Positions among the conducting cells, shape (n,).
        place: Where they stand in the region's list of cells.
        jet: Derivatives and value of the scalar basis, shape (n, n_points, n_local, dim + 1).
        dx: Quadrature weights [nm^dim], shape (n, n_points).
        frames: Spin frames.
    """

    cells: NDArray[np.int64]
    place: slice
    jet: Array
    dx: Array
    frames: CellFrames


def pieces(space: Space, name: str, c: Coefficients) -> Iterator[Piece]:
    """Yield the cells of a region in pieces of bounded size.

    Those of a small region are kept with the space while its gauge field stays the same: they
    are asked for again and again while the magnetization moves.
    """
    cells = space.in_region(name)
    n_points = len(space.quadrature[1])
    each = 8 * n_points * (64 * (space.dimension + 1) ** 2 + 600)
    step = max(1, int(_PIECE_BYTES / each))
    frame_bytes = 8 * len(cells) * (27 * n_points + 9 * space.dofs.shape[1]) * 2
    starts = range(0, len(cells), step)
    if frame_bytes > _KEPT_BYTES:
        for start in starts:
            yield _piece(space, name, c, slice(start, start + step))
        return
    yield from kept_pieces(
        space, name, c, lambda: [_piece(space, name, c, slice(start, start + step)) for start in starts]
    )


def kept_pieces(space: Space, name: str, c: Coefficients, make: Callable[[], list[Piece]]) -> list[Piece]:
    """Return what `make` returns, kept with the space under a name while the gauge field is the same."""
    kept: dict[str, tuple[bytes, GaugeFunction | None, list[Piece]]] = space.kept_pieces
    key = repr(c.along).encode() + np.ascontiguousarray(c.gauge).tobytes()
    known = kept.get(name)
    if known is None or known[0] != key or known[1] is not c.gauge_function:
        kept[name] = known = (key, c.gauge_function, make())
    return known[2]


def _piece(space: Space, name: str, c: Coefficients, place: slice) -> Piece:
    return piece_of(space, c, space.in_region(name)[place], place)


def piece_of(space: Space, c: Coefficients, cells: NDArray[np.int64], place: slice = slice(None)) -> Piece:
    """Return some cells with everything their integrals need.

    Args:
        space: The scalar space.
        c: Coefficients of their region.
        cells: Positions among the conducting cells, shape (n,).
        place: Where they stand in the region's list of cells, if the coefficients vary.
    """
    jet, dx = space.jets(cells)
    jet = np.ascontiguousarray(jet.transpose(2, 3, 0, 1))
    axes, n_local = space.structure.axes, jet.shape[2]
    if c.gauge_function is None and not c.along:
        gauge = np.broadcast_to(c.at("gauge", place), (*dx.shape, 3, 3))
        return Piece(cells, place, jet, dx, plain_frames(gauge, n_local))
    centres = space.centroids(cells)
    nodes = space.node_positions(cells) - centres[:, None]
    points = space.quadrature_positions(cells) - centres[:, None]
    if c.gauge_function is not None:
        frames = varying_frames(nodes, points, centres, c.gauge_function, axes, c.along)
    else:
        frames = carried_frames(nodes, points, c.at("gauge", place), axes, c.along)
    return Piece(cells, place, jet, dx, frames)


def node_links(space: Space, name: str, c: Coefficients) -> Array:
    """Return W(c <- x_i) of the nodes of every cell of a region, shape (n, n_local, 3, 3)."""
    cells = space.in_region(name)
    centres = space.centroids(cells)
    nodes = space.node_positions(cells) - centres[:, None]
    if not c.along:
        return np.broadcast_to(np.eye(3), (*nodes.shape[:2], 3, 3))
    axes = space.structure.axes
    if c.gauge_function is not None:
        return varying_frames(nodes, nodes, centres, c.gauge_function, axes, c.along).links
    return carried_frames(nodes, nodes[:, :1], c.gauge, axes, c.along).links


def in_cell_frame(piece: Piece, local: Array) -> Array:
    """Return nodal potentials (n, n_local, 4, ...) as the centroid's frame sees them.

    In extended precision: what is left of a nearly constant potential after the turn is what
    drives a current.
    """
    result = local.astype(np.result_type(local, np.longdouble))
    links = piece.frames.links.astype(np.longdouble)
    result[:, :, 1:] = np.einsum("niab,nib...->nia...", links, result[:, :, 1:])
    return result


def back_to_nodes(piece: Piece, local: Array) -> Array:
    """Return R^T of nodal vectors (n, n_local, 4) given in the centroid's frame."""
    result = local.copy()
    result[:, :, 1:] = np.einsum("niab,nia->nib", piece.frames.links, local[:, :, 1:])
    return result


def jets_of(piece: Piece, local: Array) -> Array:
    """Return derivatives and value of a field at the quadrature points.

    Derivatives are taken of the deviation from the cell's mean, which they do not see, so that
    they are exact to round-off of the deviation.

    Args:
        piece: The cells.
        local: Nodal values in the frame of the cell, shape (n, n_local, k).

    Returns:
        Shape (n, n_points, dim + 1, k); row dim is the value.
    """
    deviation = (local - local.mean(axis=1, keepdims=True)).astype(_double(local))
    value: Array = local.astype(_double(local))
    slopes = np.einsum("nqic,nik->nqck", piece.jet[..., :-1], deviation, optimize=True)
    values = np.einsum("nqi,nik->nqk", piece.jet[..., -1], value, optimize=True)
    return np.concatenate([slopes, values[:, :, None]], axis=2)


def _double(values: Array) -> type:
    return complex if np.iscomplexobj(values) else float


@dataclass(frozen=True)
class PointTensors:
    """Tensors of W1 at quadrature points in the carried frames, without quadrature weights.

    Args:
        theta: nu D Theta', shape (n, n_points, 3, 3, 4, 4) = (j, k, eta, zeta).
        rotation: T'_j of the carried connection, shape (n, n_points, 3, 4, 4).
        reaction: nu (Gamma - omega x)', shape (n, n_points, 4, 4).
        forced: (Theta s)', shape (n, n_points, 3, 4).
    """

    theta: Array
    rotation: Array
    reaction: Array
    forced: Array


def point_tensors(piece: Piece, c: Coefficients) -> PointTensors:
    """Return the tensors of W1 turned into the frames of some cells."""
    turn = _four(piece.frames.turns)
    back = turn.swapaxes(-1, -2)
    theta = c.at("theta", piece.place)
    theta = theta.reshape(*theta.shape[:-2], 3, 4, 3, 4).swapaxes(-3, -2)
    drift = c.at("drift", piece.place)
    forced = np.einsum("...jkez,...kz->...je", theta, drift)
    reaction = c.dos * c.at("reaction", piece.place)
    shape = piece.dx.shape
    turned = turn[:, :, None, None] @ theta @ back[:, :, None, None]
    return PointTensors(
        c.dos * c.diffusion * np.broadcast_to(turned, (*shape, 3, 3, 4, 4)),
        covariant_rotation(piece.frames.connection),
        np.broadcast_to(turn @ reaction @ back, (*shape, 4, 4)),
        np.broadcast_to(forced @ back, (*shape, 3, 4)),
    )


def _four(turns: Array) -> Array:
    """Return rotations of (charge, spin), shape (..., 4, 4)."""
    full = np.zeros((*turns.shape[:-2], 4, 4))
    full[..., 0, 0], full[..., 1:, 1:] = 1.0, turns
    return full


def jet_tensor(piece: Piece, t: PointTensors, axes: tuple[int, ...]) -> Array:
    """Return the tensor between the jets of test and trial function.

    Weighted by dx, shape (n, n_points, dim + 1, 4, dim + 1, 4).
    """
    rows, d = list(axes), len(axes)
    n, q = piece.dx.shape
    flat = t.theta.swapaxes(3, 4).reshape(n, q, 12, 12)
    turn = t.rotation.reshape(n, q, 12, 4)
    right = flat @ turn
    left = turn.swapaxes(2, 3) @ flat
    full = np.empty((n, q, d + 1, 4, d + 1, 4))
    full[:, :, :d, :, :d] = t.theta[:, :, rows][:, :, :, rows].swapaxes(3, 4)
    full[:, :, :d, :, d] = right.reshape(n, q, 3, 4, 4)[:, :, rows]
    full[:, :, d, :, :d] = left.reshape(n, q, 4, 3, 4)[:, :, :, rows]
    full[:, :, d, :, d] = turn.swapaxes(2, 3) @ right + t.reaction
    return full * piece.dx[:, :, None, None, None, None]


def matrix_local(piece: Piece, c: Coefficients, axes: tuple[int, ...]) -> Array:
    """Return the element matrices between nodes, shape (n, n_local, n_local, 4, 4)."""
    slopes, values = jet_products(piece, c, axes)
    return turned_back(piece, slopes + values)


def jet_products(piece: Piece, c: Coefficients, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the element matrices in the frames of the cells, (n, n_local, n_local, 4, 4).

    The first is what acts on derivatives of the trial function, the second on its value.
    """
    n, q, n_local, rows = piece.jet.shape
    full = jet_tensor(piece, point_tensors(piece, c), axes)
    # (i, c) @ (c, a c' b) at every point, then the sum over points and c' with the trial jets.
    half = (piece.jet @ full.reshape(n, q, rows, -1)).reshape(n, q, n_local, 4, rows, 4)
    found = []
    for some in (slice(0, rows - 1), slice(rows - 1, rows)):
        part = half[:, :, :, :, some].transpose(0, 2, 3, 5, 1, 4).reshape(n, n_local * 16, -1)
        trial = piece.jet[..., some].transpose(0, 1, 3, 2).reshape(n, -1, n_local)
        found.append((part @ trial).reshape(n, n_local, 4, 4, n_local).transpose(0, 1, 4, 2, 3))
    return found[0], found[1]


def turned_back(piece: Piece, local: Array) -> Array:
    """Return R^T K R of element matrices given in the frames of the cells."""
    turn = _four(piece.frames.links)
    return np.asarray(turn.swapaxes(-1, -2)[:, :, None] @ local @ turn[:, None])


def load_local(piece: Piece, c: Coefficients, axes: tuple[int, ...]) -> Array:
    """Return the element loads at the nodes, shape (n, n_local, 4)."""
    return back_to_nodes(piece, _load(piece, point_tensors(piece, c), axes))


def _load(piece: Piece, t: PointTensors, axes: tuple[int, ...]) -> Array:
    value = np.einsum("nqjea,nqje->nqa", t.rotation, t.forced)
    jets = np.concatenate([t.forced[:, :, list(axes)], value[:, :, None]], axis=2)
    found: Array = np.einsum("nqic,nqca,nq->nia", piece.jet, jets, piece.dx, optimize=True)
    return found


def apply_local(piece: Piece, c: Coefficients, axes: tuple[int, ...], local: Array) -> Array:
    """Return K mu - b of every cell at its nodes, in the frame of the cell's centroid.

    Args:
        piece: The cells.
        c: Coefficients of the region.
        axes: Physical direction of each mesh coordinate.
        local: mu of the nodes in that frame, from `in_cell_frame`, shape (n, n_local, 4).
    """
    t = point_tensors(piece, c)
    n, q, _, rows = piece.jet.shape
    jets = jets_of(piece, local).reshape(n, q, rows * 4, 1)
    full = jet_tensor(piece, t, axes).reshape(n, q, rows * 4, rows * 4)
    out = (full @ jets).reshape(n, q, rows, 4)
    found: Array = np.einsum("nqic,nqca->nia", piece.jet, out, optimize=True) - _load(piece, t, axes)
    return found


def interpolation(coarse: Space, fine: Space, coefficients: Mapping[str, Coefficients]) -> sp.csr_array:
    """Return the interpolation between two orders on one mesh, shape (4 n_fine, 4 n_coarse).

    Between carried elements in the frame of the cell in which a dof of `fine` is evaluated.

    Args:
        coarse: Space to evaluate; of either the lower or the higher order.
        fine: Space whose dofs are wanted.
        coefficients: Of every conducting region.
    """
    scalar = prolongation(coarse, fine).tocoo()
    plain = sp.csr_array(sp.kron(scalar, sp.eye_array(4)))
    carried = {name: c for name, c in coefficients.items() if not c.uniform}
    if not carried:
        return plain
    weights = node_values(coarse.element, reference_nodes(fine))
    rows, columns, values, done = [], [], [], np.zeros(fine.n_dofs, bool)
    for name, c in carried.items():
        cells = fine.in_region(name)
        dofs, place = np.unique(fine.dofs[cells], return_index=True)
        new = ~done[dofs]
        dofs, (cell, node) = dofs[new], np.divmod(place[new], fine.dofs.shape[1])
        done[dofs] = True
        back = _four(node_links(fine, name, c)[cell, node]).swapaxes(-1, -2)
        there = _four(node_links(coarse, name, c)[cell])
        found = back[:, None] @ there * weights[node][:, :, None, None]  # (dof, node, 4, 4)
        row = 4 * dofs[:, None, None, None] + np.arange(4)[:, None]
        column = 4 * coarse.dofs[cells[cell]][:, :, None, None] + np.arange(4)
        rows.append(np.broadcast_to(row, found.shape).ravel())
        columns.append(np.broadcast_to(column, found.shape).ravel())
        values.append(found.ravel())
    block = sp.coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=plain.shape
    ).tocsr()
    keep = sp.diags_array(np.repeat(~done, 4).astype(float))
    return sp.csr_array(keep @ plain + block)
