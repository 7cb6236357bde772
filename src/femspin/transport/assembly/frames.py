r"""Parallel transport of spin within cells: what makes the elements gauge-covariant.

Along a straight segment from x to y a spin vector that does not change in the sense of the
covariant derivative :math:`D_j = \partial_j + a_j`, :math:`a_j = a^j\times`, turns by the Wilson
line :math:`W(y\leftarrow x) = P\exp(-\int_x^y a_j\,dx^j)`.  Seen in a frame carried along the
rays from the centroid c of a cell (Fock-Schwinger gauge), the gauge field becomes

.. math:: a'_j(c+y) = \int_0^1 s\,y^k\,F'_{kj}(c+sy)\,ds,\qquad
    F_{kj} = \partial_k a_j - \partial_j a_k + [a_k, a_j],

which vanishes at c and wherever the field is pure gauge.  In directions that are no mesh
coordinates, or along which nothing is carried, a is only turned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...fields.soc import cross_matrix
from ...units import Array

__all__ = ["CellFrames", "GaugeFunction", "carried_frames", "plain_frames", "rotation_by", "varying_frames"]


# Nodes and weights of 3-point Gauss integration on [0, 1]: exact to degree 5 along a ray, two
# orders beyond what quadratic elements need.
_GAUSS = np.polynomial.legendre.leggauss(3)
_NODES, _WEIGHTS = 0.5 * (_GAUSS[0] + 1), 0.5 * _GAUSS[1]
_SMALL = 0.05
_EXACT = 1e-14
_MOST_STEPS = 4096


@dataclass(frozen=True)
class CellFrames:
    """Spin frames of n cells, carried from their centroids c.

    Args:
        links: W(c <- x_i) of the nodes, shape (n, n_local, 3, 3).
        turns: W(c <- x_q) of the quadrature points, shape (n, n_points, 3, 3).
        connection: a'^{jb} at the quadrature points in the carried frame [1/nm], shape
            (n, n_points, 3, 3): the covariant derivative of a vector given in that frame is its
            derivative plus a'_j x.
        turned: a^{jb} at the quadrature points, only turned into that frame, same shape: the
            difference between the covariant and the ordinary derivative.
    """

    links: Array
    turns: Array
    connection: Array
    turned: Array

    def part(self, which: slice) -> CellFrames:
        """Return the frames of some of the cells."""
        return CellFrames(self.links[which], self.turns[which], self.connection[which], self.turned[which])


@dataclass(frozen=True)
class GaugeFunction:
    """A gauge field that varies in space.

    Args:
        value: a^{jb} [1/nm] at points (n, dim) [nm] in mesh coordinates, shape (n, 3, 3).
        gradient: d_k a^{jb} along the mesh coordinates, shape (n, dim, 3, 3); without it
            extrapolated central differences are taken (relative error about 1e-10).
    """

    value: Callable[[Array], Array]
    gradient: Callable[[Array], Array] | None = None

    def slope(self, x: Array, scale: float) -> Array:
        """Return d_k a^{jb} at points (n, dim), shape (n, dim, 3, 3).

        Args:
            x: Points [nm].
            scale: Length of a cell [nm], which sets the step of differences.
        """
        if self.gradient is not None:
            return np.asarray(self.gradient(x), float)
        found = []
        for k in range(x.shape[1]):
            step = np.zeros(x.shape[1])
            step[k] = 2e-3 * scale
            wide, narrow = (
                (self.value(x + f * step) - self.value(x - f * step)) / (2 * f * step[k]) for f in (2.0, 1.0)
            )
            found.append((4 * narrow - wide) / 3)
        return np.stack(found, axis=1)


def rotation_by(angle: ArrayLike) -> Array:
    """Return exp(angle x), shape (..., 3, 3), for rotation vectors of shape (..., 3)."""
    turn = cross_matrix(angle)
    first, second, _ = _rodrigues(np.linalg.norm(np.asarray(angle, float), axis=-1))
    return np.eye(3) + first * turn + second * (turn @ turn)


def plain_frames(gauge: Array, n_local: int) -> CellFrames:
    """Return frames that carry nothing: the standard elements.

    Args:
        gauge: a^{jb} at the quadrature points [1/nm], shape (n, n_points, 3, 3).
        n_local: Number of nodes of a cell.
    """
    n, points = gauge.shape[:2]
    one = np.eye(3)
    links = np.broadcast_to(one, (n, n_local, 3, 3))
    return CellFrames(links, np.broadcast_to(one, (n, points, 3, 3)), gauge, gauge)


def carried_frames(
    nodes: Array, points: Array, gauge: Array, axes: tuple[int, ...], along: tuple[int, ...]
) -> CellFrames:
    r"""Return the frames for a gauge field that is constant in every cell, in closed form.

    With :math:`\theta = y^k a^k` over the carried directions, :math:`W = e^{\theta\times}` and

    .. math:: a'^j = W a^j - \int_0^1 e^{s\theta\times} ds\; a^j

    for a carried direction j, and :math:`W a^j` for any other.

    Args:
        nodes: x_i - c [nm], shape (n, n_local, dim).
        points: x_q - c [nm], shape (n, n_points, dim).
        gauge: a^{jb} [1/nm], shape (3, 3) or (n, 1, 3, 3).
        axes: Physical direction of each mesh coordinate.
        along: Physical directions along which spin is carried.
    """
    rows = [axes.index(j) for j in along]
    field = np.broadcast_to(gauge, (*np.broadcast_shapes(gauge.shape[:-2], (1, 1)), 3, 3))
    used = field[..., list(along), :]
    links = rotation_by(np.einsum("nik,nikb->nib", nodes[..., rows], _over(used, nodes)))
    angle = np.einsum("nqk,nqkb->nqb", points[..., rows], _over(used, points))
    turns = rotation_by(angle)
    turned = np.einsum("nqab,nqjb->nqja", turns, _over(field, points))
    connection = turned.copy()
    first, second, third = _rodrigues(np.linalg.norm(angle, axis=-1))
    turn = cross_matrix(angle)
    difference = (first - second) * turn + (second - third) * (turn @ turn)
    connection[:, :, list(along)] = np.einsum("nqab,nqjb->nqja", difference, _over(used, points))
    return CellFrames(links, turns, connection, turned)


def varying_frames(
    nodes: Array,
    points: Array,
    centres: Array,
    gauge: GaugeFunction,
    axes: tuple[int, ...],
    along: tuple[int, ...],
) -> CellFrames:
    """Return the frames for a gauge field that varies in space, by quadrature along the rays.

    Args:
        nodes: x_i - c [nm], shape (n, n_local, dim).
        points: x_q - c [nm], shape (n, n_points, dim).
        centres: c [nm], shape (n, dim).
        gauge: The field.
        axes: Physical direction of each mesh coordinate.
        along: Physical directions along which spin is carried; those of all mesh coordinates
            or none.
    """
    n, n_points, dim = points.shape
    at_points = (centres[:, None] + points).reshape(-1, dim)
    here = gauge.value(at_points).reshape(n, n_points, 3, 3)
    if not along:
        return plain_frames(here, nodes.shape[1])
    scale = float(np.linalg.norm(nodes, axis=-1).max())
    links, turns = (
        _wilson_lines(gauge, np.repeat(centres, ray.shape[1], axis=0), ray.reshape(-1, dim), axes)
        for ray in (nodes, points)
    )
    turns = turns.reshape(n, n_points, 3, 3)
    rays, starts = points.reshape(-1, dim), np.repeat(centres, n_points, axis=0)
    inner = np.zeros((n * n_points, 3, 3))
    for s, weight in zip(_NODES, _WEIGHTS, strict=True):
        where = starts + s * rays
        carried = _wilson_lines(gauge, starts, s * rays, axes)
        bent = np.einsum("pk,pkjb->pjb", rays, _curvature(gauge, where, axes, scale))
        inner += weight * s * np.einsum("pab,pjb->pja", carried, bent)
    turned = np.einsum("nqab,nqjb->nqja", turns, here)
    connection = turned.copy()
    connection[:, :, list(along)] = inner.reshape(n, n_points, 3, 3)[:, :, list(along)]
    return CellFrames(links.reshape(*nodes.shape[:2], 3, 3), turns, connection, turned)


def _over(field: Array, points: Array) -> Array:
    """Return a field (..., k, 3) at every point, shape (n, n_points, k, 3)."""
    return np.broadcast_to(field, (*points.shape[:2], *field.shape[-2:]))


def _rodrigues(angle: Array) -> tuple[Array, Array, Array]:
    """Return sin t/t, (1 - cos t)/t^2, (t - sin t)/t^3 with two axes appended."""
    t = angle[..., None, None]
    safe = np.where(t > _SMALL, t, 1.0)
    square = t * t
    series = 1 / 6 - square / 120 * (1 - square / 42 * (1 - square / 72))
    third = np.where(t > _SMALL, (safe - np.sin(safe)) / safe**3, series)
    return np.sinc(t / np.pi), 0.5 * np.sinc(0.5 * t / np.pi) ** 2, third


def _curvature(gauge: GaugeFunction, x: Array, axes: tuple[int, ...], scale: float) -> Array:
    """Return F_kj as vectors, k over mesh coordinates and j over space, (n, dim, 3, 3)."""
    a, slope = gauge.value(x), gauge.slope(x, scale)
    field = slope + np.cross(a[:, list(axes), None], a[:, None])
    for row, axis in enumerate(axes):
        field[:, :, axis] -= slope[:, row][:, list(axes)]
    return field


def _wilson_lines(gauge: GaugeFunction, starts: Array, rays: Array, axes: tuple[int, ...]) -> Array:
    """Return W(c <- c + y) along rays y from points c, shape (n, 3, 3), to round-off.

    Sixth-order Magnus steps, their number doubled until nothing changes.
    """
    result = _magnus(gauge, starts, rays, axes, 1)
    steps = 2
    while steps <= _MOST_STEPS:
        finer = _magnus(gauge, starts, rays, axes, steps)
        change = np.abs(finer - result).max(initial=0.0)
        result, steps = finer, 2 * steps
        if change < 10 * _EXACT:
            break
    return result


def _magnus(gauge: GaugeFunction, starts: Array, rays: Array, axes: tuple[int, ...], steps: int) -> Array:
    """Return the ordered product of `steps` rotations, each from three Gauss points.

    References:
        S. Blanes et al., Phys. Rep. 470, 151 (2009), Eq. (253), for dW/ds = W A(s), which
        reverses the sign of every commutator.
    """
    product = np.broadcast_to(np.eye(3), (len(rays), 3, 3))
    for k in range(steps):
        low, middle, high = (
            np.einsum("nk,nkb->nb", rays, gauge.value(starts + (k + s) / steps * rays)[:, axes]) / steps
            for s in _NODES
        )
        first, second = middle, np.sqrt(15) / 3 * (high - low)
        third = 10 / 3 * (high - 2 * middle + low)
        once = _commutator(first, second)
        twice = -_commutator(first, 2 * third + once) / 60
        angle = first + third / 12 + _commutator(-20 * first - third + once, second + twice) / 240
        product = product @ rotation_by(angle)
    return product


def _commutator(u: Array, v: Array) -> Array:
    return -np.cross(u, v)
