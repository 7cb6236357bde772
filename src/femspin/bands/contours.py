r"""Exact Fermi lines in two dimensions: integrals over eps = mu, and the lines themselves.

The Brillouin zone is cut into boxes, in fractional coordinates :math:`k = u b_1 + v b_2`.  A bound
on the second derivatives of the band over a box proves either that the line misses it, or that
the line crosses it once and without a turn along one axis; any other box is cut in four.  So no
pocket is missed and nothing is assumed about the shape: open lines, several pockets, lines next
to a van Hove point (boxes shrink towards it geometrically).  In a box the line is a smooth graph
and Gauss quadrature converges exponentially; the difference of two orders is the error estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from ..errors import SolverError
from ..units import Array
from .hamiltonian import band_gradient, hopping_gradient
from .lattice import TwoSublattice

__all__ = [
    "BandBounds",
    "Boxes",
    "FermiLine",
    "band_bounds",
    "bracketed_roots",
    "contour_integral",
    "fermi_boxes",
    "fermi_points",
]

Kernel = Callable[[Array, int], Array]

_FIRST = 12  # boxes per direction at the start
_OFFSET = (0.137, 0.071)  # keeps box sides off symmetric lines
_DEEPEST = 90
_MOST_BOXES = 150_000
_MOST_STEPS = 80
_ORDERS = (8, 12)
_STEEP = 0.6  # share of the gradient that may change within an accepted box


@dataclass(frozen=True)
class BandBounds:
    """Bounds on second derivatives of a band in fractional coordinates.

    Args:
        slope: Largest |d_a eta|, shape (d,).
        bend: Largest |d_a d_b eta|, shape (d, d).
        intra: Largest |d_a d_b T|, shape (d, d).
        exchange: J.
    """

    slope: Array
    bend: Array
    intra: Array
    exchange: float

    def curvature(self, eta: Array, d_eta: Array, half: Array) -> Array:
        """Return bounds of |d_a d_b eps| over boxes, shape (N, d, d).

        Args:
            eta: |eta| at the centres of the boxes, shape (N,).
            d_eta: |d_a eta| there, shape (N, d).
            half: Half the sides of the boxes, shape (N, d).
        """
        slope = np.minimum(self.slope, d_eta + half @ self.bend)
        reach = (slope * half).sum(1)
        Delta = np.sqrt(np.maximum(0.0, eta - reach) ** 2 + self.exchange**2)
        share = np.minimum(1.0, (eta + reach) / Delta)[:, None, None]
        spread = slope[:, :, None] * slope[:, None, :] / Delta[:, None, None]
        bound: Array = self.intra + share * self.bend + spread
        return bound


def band_bounds(model: TwoSublattice) -> BandBounds:
    """Return the bounds of a lattice, from the absolute values of its hopping parameters."""
    B = model.reciprocal
    e = abs(np.array(model.inter) @ B.T)
    ep = abs(np.array(model.intra).reshape(-1, model.dimension) @ B.T)
    t, tp = abs(np.array(model.inter_amplitudes)), abs(np.array(model.intra_amplitudes))
    return BandBounds(
        t @ e, np.einsum("m,ma,mb->ab", t, e, e), 2 * np.einsum("m,ma,mb->ab", tp, ep, ep), model.exchange
    )


@dataclass(frozen=True)
class Boxes:
    """Boxes that one Fermi line crosses once each, in fractional coordinates.

    Args:
        low: Lower corners with the graph axis first, (value, parameter), shape (N, 2).
        side: Side lengths in the same order, shape (N, 2).
        axis: Axis along which the energy is monotonic, 0 or 1, shape (N,).
        begin: First parameter of the line within the box, shape (N,).
        end: Last parameter, shape (N,).
        s: Band.
        below: Area of the zone with energy below mu in boxes without a line.
        corners: Whether energy is below mu at the four corners (value, parameter) =
            (low, first), (low, last), shape (N, 2).
    """

    low: Array
    side: Array
    axis: NDArray[np.int64]
    begin: Array
    end: Array
    s: int
    below: float
    corners: NDArray[np.bool_]


@dataclass(frozen=True)
class FermiLine:
    """Points of the Fermi lines in pieces: wave vectors [1/a], shape (pieces, points, 2)."""

    k: Array
    s: int


class _Band:
    """Energy minus mu of one band and its gradient in fractional coordinates."""

    def __init__(self, model: TwoSublattice, mu: float, s: int) -> None:
        self.model, self.mu, self.s = model, mu, s
        self.B = model.reciprocal

    def centre(self, k: Array) -> tuple[Array, Array, Array, Array]:
        """Return energy minus mu, its gradient, |eta| and |d eta| in fractional coordinates."""
        energy, gradient = band_gradient(self.model, k, self.s)
        eta, d_eta = hopping_gradient(self.model, k)
        return energy - self.mu, gradient @ self.B.T, np.abs(eta), np.abs(d_eta @ self.B.T)

    def wave_vector(self, axis: NDArray[np.int64], value: Array, parameter: Array) -> Array:
        first = np.where(axis == 0, value, parameter)
        second = np.where(axis == 0, parameter, value)
        k: Array = first[..., None] * self.B[0] + second[..., None] * self.B[1]
        return k

    def along(
        self, axis: NDArray[np.int64], value: Array, parameter: Array, which: int
    ) -> tuple[Array, Array]:
        """Return energy minus mu and its derivative to the value (0) or the parameter (1)."""
        k = self.wave_vector(axis, value, parameter)
        energy, gradient = band_gradient(self.model, k, self.s)
        g = gradient @ self.B.T
        return energy - self.mu, np.where((axis == 0) == (which == 0), g[..., 0], g[..., 1])


def fermi_boxes(model: TwoSublattice, mu: float, s: int) -> Boxes:
    """Return the boxes that the Fermi line of one band crosses.

    Raises:
        SolverError: If mu is so close to a van Hove energy that the line cannot be told apart
            from its crossing point in floating point.
    """
    band, bounds = _Band(model, mu, s), band_bounds(model)
    grid = np.arange(_FIRST) / _FIRST
    u, v = np.meshgrid(grid + _OFFSET[0] / _FIRST, grid + _OFFSET[1] / _FIRST, indexing="ij")
    low = np.stack([u.ravel(), v.ravel()], axis=-1)
    side, found, below = np.full(low.shape, 1.0 / _FIRST), [], 0.0
    for _ in range(_DEEPEST):
        axis, cut, decided, missed, full = _sort(band, bounds, low, side)
        below += float(side[full].prod(1).sum())
        if np.any(decided):
            found.append(_accept(band, low[decided], side[decided], axis[decided]))
        left = ~(decided | missed)
        low, side = _halved(low[left], side[left], cut[left])
        if not len(low):
            return _joined(found, s, below)
        if len(low) > _MOST_BOXES:
            break
    raise SolverError(f"the Fermi line at mu = {mu:.15g} runs into a van Hove point; move mu a little")


def _halved(low: Array, side: Array, cut: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return both halves of boxes, each cut across one of its axes."""
    rows = np.arange(len(low))
    side = side.copy()
    side[rows, cut] /= 2
    second = low.copy()
    second[rows, cut] += side[rows, cut]
    return np.concatenate([low, second]), np.concatenate([side, side])


def _sort(
    band: _Band, bounds: BandBounds, low: Array, side: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return of every box: graph axis, where to cut it, whether decided, missed, full."""
    half, rows = side / 2, np.arange(len(low))
    energy, g, eta, d_eta = band.centre((low + half) @ band.B)
    H = bounds.curvature(eta, d_eta, half)
    bend = np.einsum("nab,na,nb->n", H, half, half) / 2
    missed = abs(energy) > (half * abs(g)).sum(1) + bend
    change = np.einsum("nab,nb->na", H, half)  # how far each component can move in the box
    sure = _STEEP * abs(g) > change
    scaled = (abs(g) - change) * half
    axis = np.where(
        sure[:, 0] & sure[:, 1] | (sure[:, 0] == sure[:, 1]),
        np.where(scaled[:, 0] >= scaled[:, 1], 0, 1),
        np.where(sure[:, 0], 0, 1),
    )
    clear = _sides_clear(axis, energy, g, bend, half)
    decided = sure[rows, axis] & (sure[rows, 1 - axis] | clear) & ~missed
    # Cut what keeps the box undecided: the larger part of the change of the gradient, or of the
    # uncertainty of the energy on the two sides.
    part = H[rows, axis] * half
    side_part = np.einsum("nab,na,nb->na", H, half, half) / 2
    side_part[rows, 1 - axis] += half[rows, 1 - axis] * abs(g[rows, 1 - axis])
    part = np.where(sure[rows, axis][:, None], side_part, part)
    cut = np.where(part[:, 0] >= part[:, 1], 0, 1)
    return axis, cut, decided, missed, missed & (energy < 0)


def _sides_clear(
    axis: NDArray[np.int64], energy: Array, g: Array, bend: Array, half: Array
) -> NDArray[np.bool_]:
    """Return whether the line provably misses the two sides that bound the graph axis."""
    rows = np.arange(len(axis))
    across = half[rows, axis] * g[rows, axis]
    spread = half[rows, 1 - axis] * abs(g[rows, 1 - axis]) + bend
    clear: NDArray[np.bool_] = np.minimum(abs(energy + across), abs(energy - across)) > spread
    return clear


def _accept(band: _Band, low: Array, side: Array, axis: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Return low (value, parameter), side, axis, begin, end of boxes, and corner signs."""
    rows = np.arange(len(low))
    low = np.stack([low[rows, axis], low[rows, 1 - axis]], axis=1)
    side = np.stack([side[rows, axis], side[rows, 1 - axis]], axis=1)
    corner = [
        [band.along(axis, low[:, 0] + a * side[:, 0], low[:, 1] + b * side[:, 1], 0)[0] for b in (0, 1)]
        for a in (0, 1)
    ]
    crosses = [(corner[0][b] < 0) != (corner[1][b] < 0) for b in (0, 1)]
    ends = [low[:, 1].copy(), low[:, 1] + side[:, 1]]
    for a in (0, 1):  # the line may leave through the side at the low or the high value
        leaves = (corner[a][0] < 0) != (corner[a][1] < 0)
        which = leaves & ~(crosses[0] & crosses[1])
        value = low[:, 0] + a * side[:, 0]
        point = _roots(band, axis[which], value[which], low[which, 1], (low + side)[which, 1], 1)
        first = which & ~crosses[0] & (crosses[1] | (a == _first_side(corner, crosses)))
        for b, mask in ((0, first), (1, which & ~first)):
            ends[b][mask] = point[mask[which]]
    empty = ~(crosses[0] | crosses[1]) & ((corner[0][0] < 0) == (corner[0][1] < 0))
    ends[1] = np.where(empty, ends[0], ends[1])
    below = np.stack([corner[0][0] < 0, corner[0][1] < 0], axis=1)
    return low, side, axis, ends[0], ends[1], below


def _first_side(corner: list[list[Array]], crosses: list[NDArray[np.bool_]]) -> NDArray[np.int64]:
    """Return at which value, low or high, a line enters that leaves through both such sides.

    At the first parameter the whole edge has one sign; the line comes in where the energy, going
    up or down along the graph axis, is next to mu.
    """
    rising = corner[1][0] > corner[0][0]
    first: NDArray[np.int64] = np.where((corner[0][0] < 0) == rising, 1, 0)
    return first


def _joined(found: list[tuple[NDArray[Any], ...]], s: int, below: float) -> Boxes:
    if not found:
        none, pair = np.zeros(0), np.zeros((0, 2))
        return Boxes(pair, pair, none.astype(np.int64), none, none, s, below, np.zeros((0, 2), dtype=bool))
    low, side, axis, begin, end, corners = (np.concatenate(x) for x in zip(*found, strict=True))
    return Boxes(low, side, axis.astype(np.int64), begin, end, s, below, corners.astype(bool))


def _roots(band: _Band, axis: NDArray[np.int64], fixed: Array, low: Array, high: Array, which: int) -> Array:
    """Return where the energy passes mu along the value (which = 0) or the parameter (1)."""

    def at(x: Array, i: NDArray[np.int64]) -> tuple[Array, Array]:
        value, parameter = (x, fixed[i]) if which == 0 else (fixed[i], x)
        return band.along(axis[i], value, parameter, which)

    shape = low.shape
    axis, fixed = np.broadcast_to(axis, shape).ravel(), np.broadcast_to(fixed, shape).ravel()
    return bracketed_roots(at, low.ravel(), high.ravel()).reshape(shape)


def bracketed_roots(
    function: Callable[[Array, NDArray[np.int64]], tuple[Array, Array]], low: Array, high: Array
) -> Array:
    """Return where functions that change sign between two points pass zero, shape (N,).

    Newton steps kept within a bracket that shrinks at every step.

    Args:
        function: Of arguments and the indices of the functions; returns values and slopes.
        low: Lower points, shape (N,).
        high: Upper points, shape (N,).
    """
    which = np.arange(len(low))
    found, a, b = (low + high) / 2, low.copy(), high.copy()
    rising = function(b, which)[0] > function(a, which)[0]
    x, move = found.copy(), abs(b - a)
    for _ in range(_MOST_STEPS):
        if not len(which):
            break
        f, slope = function(x, which)
        left = (f < 0) == rising
        a, b = np.where(left, x, a), np.where(left, b, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = x - f / slope
            trusted = (new >= a) & (new <= b) & (abs(new - x) <= move / 2)
        new = np.where(trusted | (f == 0), np.where(f == 0, x, new), (a + b) / 2)
        move, x = abs(new - x), new
        found[which] = x
        on = move > 2e-16 * (1 + abs(x))
        which, rising = which[on], rising[on]
        a, b, x, move = a[on], b[on], x[on], move[on]
    return found


def _nodes(band: _Band, boxes: Boxes, at: Array) -> tuple[Array, Array, Array]:
    """Return k, value and weight-free slope at relative positions along the line of each box."""
    length = boxes.end - boxes.begin
    parameter = boxes.begin[:, None] + length[:, None] * at
    axis = np.broadcast_to(boxes.axis[:, None], parameter.shape)
    low = np.broadcast_to(boxes.low[:, :1], parameter.shape)
    high = low + boxes.side[:, :1]
    value = _roots(band, axis, parameter, low, high, 0)
    slope = band.along(axis, value, parameter, 0)[1]
    return band.wave_vector(axis, value, parameter), value, slope


def contour_integral(
    model: TwoSublattice, mu: float, s: int, kernel: Kernel, count: int
) -> tuple[Array, Array, float]:
    r"""Return the integral over the Fermi line of a band, its error, and the filled share.

    .. math:: \int\frac{d^2k}{(2\pi)^2}X\,\delta(\mu - \epsilon_{ks})
              = \frac1{A_{cell}}\int dv\,\frac{X}{|\partial_u\epsilon|}

    Args:
        model: The lattice, in two dimensions.
        mu: Energy.
        s: Band.
        kernel: Function of k, shape (N, 2), and s that returns shape (N, ...) with `count`
            numbers per point.
        count: See above.

    Returns:
        Integrals and error estimates, shape (count,), and the share of the zone below mu.
    """
    boxes, band = fermi_boxes(model, mu, s), _Band(model, mu, s)
    results, size, areas = [], np.zeros(count), []
    for order in _ORDERS:
        x, w = leggauss(order)
        k, value, slope = _nodes(band, boxes, (x + 1) / 2)
        length = (boxes.end - boxes.begin)[:, None] / 2 * w
        X = kernel(k.reshape(-1, 2), s).reshape(-1, count)
        weight = (length / abs(slope)).reshape(-1, 1) / model.cell_volume
        results.append((X * weight).reshape(len(boxes.side), order, count).sum(1))
        size = (abs(X) * weight).sum(0)
        areas.append(_area(boxes, value, slope, length))
    # The difference of the orders is the error of the lower one: an upper bound by far.
    error = abs(results[1] - results[0]).sum(0) + _rounding(model, mu, boxes) * size
    return results[1].sum(0), error, boxes.below + areas[1]


def _rounding(model: TwoSublattice, mu: float, boxes: Boxes) -> float:
    """Return what round-off in the energy does to an integral, relative to its absolute sum.

    A line known to within 1e-16 of the energy moves by that over the slope, and all that varies
    over a box varies by the ratio to its width; narrow boxes stand where the slope is small.
    """
    if not len(boxes.side):
        return 0.0
    return 1e-14 + 1e-15 / float(boxes.side.min())


def _area(boxes: Boxes, value: Array, slope: Array, length: Array) -> float:
    """Return the area below mu in the boxes with a line."""
    depth = np.where(slope > 0, value - boxes.low[:, :1], boxes.low[:, :1] + boxes.side[:, :1] - value)
    before, after = boxes.begin - boxes.low[:, 1], boxes.low[:, 1] + boxes.side[:, 1] - boxes.end
    outside = boxes.corners[:, 0] * before + boxes.corners[:, 1] * after
    return float((depth * length).sum() + (outside * boxes.side[:, 0]).sum())


def fermi_points(model: TwoSublattice, mu: float, s: int, points: int = 4) -> FermiLine:
    """Return points of the Fermi lines of a band, for pictures."""
    boxes, band = fermi_boxes(model, mu, s), _Band(model, mu, s)
    k, _, _ = _nodes(band, boxes, np.linspace(0, 1, points))
    return FermiLine(k[boxes.end > boxes.begin], s)
