r"""Fermi surfaces in three dimensions: integrals over eps = mu, and the share of the zone below.

Lines through the zone, along each axis of the fractional coordinates :math:`k = u\cdot b`, meet
the surface in points that a bound on the curvature of the band encloses, however close two sheets
lie.
A point on a line along axis a counts with the smooth weight
:math:`w_a = g_a^4/\sum_bg_b^4`, :math:`g = \partial_u\epsilon`, which vanishes where the line only
touches the surface, so that

.. math:: \int d^3u\,X\,\delta(\mu - \epsilon)
          = \sum_a\int du_b\,du_c\sum_{points}\frac{w_a}{|g_a|}X

has smooth integrands and equally spaced lines converge fast.  Every separate piece of the surface
has its own lines: the zone is cut into boxes, those that the same bound proves empty are dropped,
and each connected rest is cut again until the piece fills its region.  So no pocket is missed,
however small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from ..units import Array
from .contours import band_bounds, bracketed_roots
from .hamiltonian import band_energy, band_gradient, hopping_gradient
from .lattice import TwoSublattice

__all__ = ["Region", "fermi_regions", "filled_share", "surface_integral"]

Kernel = Callable[[Array, int], Array]

_BOXES = 16  # per direction of a region
_OFFSET = (0.137, 0.071, 0.223)  # in boxes; keeps their sides off symmetric planes
_SMALLEST = 1e-6  # side of a region; a pocket of this size lies within about 1e-11 of an edge
_SMALLER = 0.7  # a region is cut again while one of its sides shrinks by more
_POWER = 4
_STRETCHES = 12  # per line at the start
_DEEPEST = 14
_LINES = (12, 18, 26, 40, 60, 90)  # per direction, even
_ROUGH = 1e-3  # tolerance from which on the two largest numbers of lines are left out
_CHUNK = 20_000


@dataclass(frozen=True)
class _Cut:
    """Boxes of a region: which connected piece each belongs to, 0 for boxes without surface."""

    low: Array
    step: Array
    pieces: NDArray[np.int64]
    piece: int

    def holds(self, u: Array) -> NDArray[np.bool_]:
        """Return which points lie in boxes of the piece."""
        n = len(self.pieces)
        place = np.floor((u - self.low) / self.step + 1e-9).astype(int)
        whole = self.step * n > 1 - 1e-9
        inside = np.all(whole | ((place >= 0) & (place < n)), axis=1)
        i, j, k = np.where(whole, place % n, np.clip(place, 0, n - 1)).T
        found: NDArray[np.bool_] = inside & (self.pieces[i, j, k] == self.piece)
        return found


@dataclass(frozen=True)
class Region:
    """A part of the zone that holds one piece of a Fermi surface, in fractional coordinates.

    Args:
        low: Lower corner, shape (3,).
        side: Side lengths, shape (3,); 1 along axes in which the piece goes through the zone.
        cuts: How the zone was cut to it; together they tell its piece from others.
    """

    low: Array
    side: Array
    cuts: tuple[_Cut, ...] = ()

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Axes along which the region is the whole zone."""
        full: NDArray[np.bool_] = self.side > 1 - 1e-9
        return full


class _Band3:
    """Energy minus mu and its gradient in fractional coordinates, with bounds on the curvature."""

    def __init__(self, model: TwoSublattice, mu: float, s: int) -> None:
        self.model, self.mu, self.s = model, mu, s
        self.B, self.bounds = model.reciprocal, band_bounds(model)

    def gradient(self, u: Array) -> tuple[Array, Array]:
        """Return energy minus mu, shape (N,), and its gradient, shape (N, 3)."""
        energy, gradient = band_gradient(self.model, u @ self.B, self.s)
        return energy - self.mu, gradient @ self.B.T

    def enclosed(self, u: Array, half: Array) -> tuple[Array, Array, Array]:
        """Return energy minus mu, gradient, and bounds of second derivatives in boxes around u."""
        energy, g = self.gradient(u)
        eta, d_eta = hopping_gradient(self.model, u @ self.B)
        H = self.bounds.curvature(np.abs(eta), np.abs(d_eta @ self.B.T), half)
        return energy, g, H


def fermi_regions(model: TwoSublattice, mu: float, s: int) -> list[Region]:
    """Return a region for every separate piece of the Fermi surface of a band.

    Pieces that boxes of a sixteenth of their region do not separate share one.  Pockets smaller
    than 1e-6 of the zone are left out.

    Args:
        model: The lattice, in three dimensions.
        mu: Energy.
        s: Band.
    """
    start = Region(np.array(_OFFSET) / _BOXES, np.ones(3))
    return list(_cut(_Band3(model, mu, s), start))


def _cut(band: _Band3, region: Region) -> Iterator[Region]:
    step = region.side / _BOXES
    index = np.stack(np.meshgrid(*[np.arange(_BOXES)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    half = np.broadcast_to(step / 2, index.shape)
    energy, g, H = band.enclosed(region.low + (index + 0.5) * step, half)
    reach = (half * abs(g)).sum(1) + np.einsum("nab,a,b->n", H, step, step) / 8
    pieces, count = _connected(~(abs(energy) > reach).reshape((_BOXES,) * 3), region.whole)
    for piece in range(1, count + 1):
        first, length = _extent(pieces == piece, region.whole)
        cut = _Cut(region.low, step, pieces, piece)
        smaller = Region(region.low + first * step, length * step, (*region.cuts, cut))
        if length.min() >= _SMALLER * _BOXES:
            yield smaller
        elif smaller.side.max() > _SMALLEST:
            yield from _cut(band, smaller)


def _connected(kept: NDArray[np.bool_], whole: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Return the connected pieces of boxes, numbered from 1, and how many there are."""
    pieces, count = label(kept, np.ones((3, 3, 3)))
    parent = np.arange(count + 1)

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    n = len(kept)
    for axis in np.flatnonzero(whole):
        last, first = (np.take(pieces, i, axis) for i in (-1, 0))
        others = [a for a in range(3) if a != axis]
        for shift in np.ndindex(3, 3):
            moved = first
            for a, x in enumerate(shift):
                moved = np.roll(moved, x - 1, a)
                if x != 1 and not whole[others[a]]:  # what was rolled around does not touch
                    moved = moved.copy()
                    edge: list[slice | int] = [slice(None)] * 2
                    edge[a] = 0 if x == 2 else n - 1
                    moved[tuple(edge)] = 0
            for a, b in np.unique(np.stack([last.ravel(), moved.ravel()], 1), axis=0):
                if a and b:
                    parent[max(root(a), root(b))] = min(root(a), root(b))
    roots = np.array([root(i) for i in range(count + 1)])
    names = np.unique(roots[1:])
    renamed = np.searchsorted(names, roots) + 1
    renamed[0] = 0
    return renamed[pieces], len(names)


def _extent(boxes: NDArray[np.bool_], whole: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return the first box of a piece and its length in boxes along each axis, shape (3,)."""
    n, first, length = len(boxes), np.zeros(3), np.zeros(3)
    for a in range(3):
        used = np.flatnonzero(boxes.any(axis=tuple(b for b in range(3) if b != a)))
        first[a], length[a] = used[0], used[-1] - used[0] + 1
        if whole[a]:  # a piece may lie across the border of the zone: leave out the widest gap
            gaps = np.diff(np.append(used, used[0] + n))
            widest = int(np.argmax(gaps))
            first[a] = (used[widest] + gaps[widest]) % n
            length[a] = n - gaps[widest] + 1
    return first, length


@dataclass(frozen=True)
class _Points:
    """Points of a Fermi surface: u, gradient, shape (N, 3), and what each counts, shape (N,)."""

    u: Array
    g: Array
    weight: Array


def _points(band: _Band3, region: Region, n: int, alone: bool) -> _Points:
    """Return the points of one piece on n x n lines along each axis.

    One piece through the whole zone is its own image under inversion, so half the lines do.
    """
    halved = alone and bool(region.whole.all())
    found = [_along(band, region, axis, n, halved) for axis in range(3)]
    return _Points(*(np.concatenate(x) for x in zip(*found, strict=True)))


def _along(band: _Band3, region: Region, axis: int, n: int, halved: bool) -> tuple[Array, Array, Array]:
    b, c = (axis + 1) % 3, (axis + 2) % 3
    low = np.zeros(3) if halved else region.low
    nodes = [low[x] + (np.arange(n) + 0.5) * region.side[x] / n for x in (b, c)]
    if halved:
        nodes[0] = nodes[0][: n // 2]
    first, second = (x.ravel() for x in np.meshgrid(*nodes, indexing="ij"))
    base = np.zeros((len(first), 3))
    base[:, b], base[:, c] = first, second
    u = _crossings(band, base, axis, float(region.low[axis]), float(region.side[axis]))
    for cut in region.cuts:
        u = u[cut.holds(u)]
    g = band.gradient(u)[1]
    # Scaled to the region, so that a flat piece is met by lines across it.
    share = (g * region.side) ** 2
    share = share / share.sum(1, keepdims=True)
    share = share ** (_POWER // 2)
    weight = share[:, axis] / share.sum(1) / abs(g[:, axis])
    return u, g, weight * region.side[b] * region.side[c] / n**2 * (2 if halved else 1)


def _crossings(band: _Band3, base: Array, axis: int, low: float, side: float) -> Array:
    """Return where lines along an axis cross the Fermi surface, shape (N, 3).

    Stretches of a line too short to tell are dropped: there the line touches the surface, and
    the point has no weight.
    """
    line = np.repeat(np.arange(len(base)), _STRETCHES)
    h = side / _STRETCHES / 2
    centre = np.tile(low + (2 * np.arange(_STRETCHES) + 1) * h, len(base))
    brackets = []
    for _ in range(_DEEPEST):
        u = base[line]
        u[:, axis] = centre
        half = np.zeros((len(u), 3))
        half[:, axis] = h
        energy, g, H = band.enclosed(u, half)
        g, bend = g[:, axis], H[:, axis, axis]
        missed = abs(energy) > h * abs(g) + h**2 / 2 * bend
        sure = ~missed & (abs(g) > h * bend)
        brackets.append((line[sure], centre[sure] - h, centre[sure] + h))
        left = ~(missed | sure)
        h /= 2
        line = np.repeat(line[left], 2)
        centre = (centre[left][:, None] + np.array([-h, h])).ravel()
        if not len(line):
            break
    line, a, b = (np.concatenate(x) for x in zip(*brackets, strict=True))

    def at(x: Array, i: NDArray[np.int64]) -> tuple[Array, Array]:
        u = base[line[i]]
        u[:, axis] = x
        energy, g = band.gradient(u)
        return energy, g[:, axis]

    everything = np.arange(len(line))
    crosses = (at(a, everything)[0] < 0) != (at(b, everything)[0] < 0)
    line, a, b = line[crosses], a[crosses], b[crosses]
    u = base[line]
    u[:, axis] = bracketed_roots(at, a, b)
    found: Array = u
    return found


def surface_integral(
    model: TwoSublattice, mu: float, s: int, kernel: Kernel, count: int, tolerance: float
) -> tuple[Array, Array]:
    r"""Return the integral over the Fermi surface of a band, and its error.

    .. math:: \int\frac{d^3k}{(2\pi)^3}X\,\delta(\mu - \epsilon_{ks})

    Args:
        model: The lattice, in three dimensions.
        mu: Energy.
        s: Band.
        kernel: See `femspin.bands.contours.contour_integral`; tensors of 3 x 3 first.
        count: Numbers per point.
        tolerance: Of each integral relative to its absolute sum; lines are added until it is
            reached or there are 90 x 90 for each axis and piece; 40 x 40 for 1e-3 and more.

    Returns:
        Integrals and error estimates, shape (count,).
    """
    band, B = _Band3(model, mu, s), model.reciprocal
    total, error = np.zeros(count), np.zeros(count)
    regions = fermi_regions(model, mu, s)
    for region in regions:

        def sums(n: int, region: Region = region) -> tuple[Array, Array]:
            value, size = np.zeros(count), np.zeros(count)
            points = _points(band, region, n, len(regions) == 1)
            for i in range(0, len(points.u), _CHUNK):
                X = kernel(points.u[i : i + _CHUNK] @ B, s).reshape(-1, count)
                X = X * points.weight[i : i + _CHUNK, None]
                value, size = value + X.sum(0), size + abs(X).sum(0)
            return value / model.cell_volume, size / model.cell_volume

        value, own = _refined(sums, tolerance)
        total, error = total + value, error + own
    return total, error


def _refined(sums: Callable[[int], tuple[Array, Array]], tolerance: float) -> tuple[Array, Array]:
    """Return sums over ever more lines, and their error estimate, until that is small."""
    change: Array | None = None
    last = sums(_LINES[0])[0]
    for n in _LINES[1:] if tolerance < _ROUGH else _LINES[1:-2]:
        value, size = sums(n)
        # The change is the error of fewer lines, an upper bound by far; once in a while that of
        # one component is small by chance, so the largest of its tensor counts for all of them,
        # and the change before counts as well.
        before, change = change, _largest_of_tensors(abs(value - last))
        error = change + 1e-14 * size
        if before is not None:
            error = np.maximum(error, before / 20)
            if np.all(error <= tolerance * np.maximum(size, 1e-3 * size.max())):
                break
        last = value
    return value, error


def _largest_of_tensors(change: Array) -> Array:
    """Return changes with the largest of every nine, the components of a tensor, in all nine."""
    whole = len(change) // 9 * 9
    largest = change[:whole].reshape(-1, 9).max(1, initial=0.0)
    return np.concatenate([np.repeat(largest, 9), change[whole:]])


def filled_share(model: TwoSublattice, mu: float, s: int, lines: int) -> float | None:
    r"""Return the share of the zone in which the energy of a band lies below mu, 0 to 1.

    The volume within the surface, :math:`\int d^3u\,u_a\,\partial_{u_a}\epsilon\,\delta(\mu -
    \epsilon)` for an axis a along which no piece of the surface goes through the zone, modulo 1.

    Args:
        model: The lattice, in three dimensions.
        mu: Energy.
        s: Band.
        lines: Per direction and piece.

    Returns:
        The share; None where the surface goes through the zone along every axis.
    """
    band, regions = _Band3(model, mu, s), fermi_regions(model, mu, s)
    if not regions:
        return 1.0 if band_energy(model, np.zeros((1, 3)), s)[0] < mu else 0.0
    closed = ~np.any([region.whole for region in regions], axis=0)
    if not np.any(closed):
        return None
    total = 0.0
    for region in regions:
        points = _points(band, region, lines, len(regions) == 1)
        centre = np.where(closed, region.low + region.side / 2, 0)
        if not np.all(closed):  # sheets: only one origin for all of them
            centre = np.zeros(3)
        along = ((points.u - centre) * points.g)[:, closed].mean(1)
        total += float((along * points.weight).sum())
    return total % 1.0
