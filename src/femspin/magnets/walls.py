"""Domain walls along one direction: profile, position, width, tilt and velocity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SolverError
from ..units import LENGTH, Array
from .magnet import Antiferromagnet, Ferromagnet
from .space import TextureSpace
from .vectors import normalized

__all__ = ["Wall", "find_wall", "find_walls", "static_width", "wall_profile"]


_POINTS = 6
_EDGE = 1 - 1e-14
_REACH = 1.5  # the component is tanh(1.5) = 0.905 there
_BIAS = 7.94  # see `_interpolated`
_BALANCE = 1.66 / _BIAS
_SETTLED = 1e-13
_ROUNDS = 30


@dataclass(frozen=True)
class Wall:
    """A 180-degree wall between domains along +axis and -axis.

    Args:
        position: Where the component along the axis vanishes [m].
        width: lambda [m] of -tanh((x - X)/lambda): positive for a wall from + to -.
        tilt: Angle of the moment at the centre about the axis, from `zero` [rad].
    """

    position: float
    width: float
    tilt: float


def static_width(magnet: Ferromagnet | Antiferromagnet) -> float | None:
    """Return lambda [m] of a wall at rest, None where no two domains are stable.

    Across a thin film with a normal easy axis the demagnetization takes mu_0 M_s^2/2 from K.
    """
    stiffness = magnet.anisotropy
    if isinstance(magnet, Ferromagnet) and magnet.thin_film and abs(magnet.axis[2]) > 1 - 1e-9:
        stiffness -= magnet.shape_anisotropy
    if not (stiffness > 0 and magnet.exchange_stiffness > 0):
        return None
    return float(np.sqrt(magnet.exchange_stiffness / stiffness))


def wall_profile(
    space: TextureSpace, position: float, width: float, direction: int = 0, tilt: float = 0.0
) -> Array:
    """Return the wall from +z to -z along a direction, shape (n, 3).

    Args:
        space: The nodal space.
        position: X [m].
        width: lambda [m]; negative for a wall from -z to +z.
        direction: Direction x, y or z along which the texture changes.
        tilt: Angle in the x-y plane of the moment at the centre, from x [rad].
    """
    x = (space.positions[:, direction] * LENGTH - position) / width
    # exp(-|x|) cannot overflow far from the wall
    small = np.exp(-np.abs(x))
    plane = 2 * small / (1 + small**2)
    return normalized(np.stack([plane * np.cos(tilt), plane * np.sin(tilt), -np.tanh(x)], axis=1))


def find_wall(
    space: TextureSpace,
    m: Array,
    direction: int = 0,
    axis: ArrayLike = (0.0, 0.0, 1.0),
    zero: ArrayLike = (1.0, 0.0, 0.0),
) -> Wall:
    """Return the first wall of a texture averaged across `direction`; see `find_walls`.

    Raises:
        SolverError: If there is no sign change or it is too close to an end.
    """
    profile = _profile(space, m, direction, axis, zero)
    crossings = _crossings(profile.along)
    if not crossings:
        raise SolverError("the texture has no wall along this direction")
    wall = _wall(profile, *crossings[0])
    if wall is None:
        raise SolverError("the wall has reached the end of the magnet")
    return wall


def find_walls(
    space: TextureSpace,
    m: Array,
    direction: int = 0,
    axis: ArrayLike = (0.0, 0.0, 1.0),
    zero: ArrayLike = (1.0, 0.0, 0.0),
) -> tuple[Wall, ...]:
    """Return all walls of a texture averaged across `direction`, by position.

    The nodes are averaged plane by plane, or over bins of one spacing where the mesh has no
    planes.  A wall lies where the component along the axis passes from more than half its
    largest value to less than minus that.  Where the profile is smooth, artanh of the component is
    interpolated over six planes around its zero, where it is a straight line for a wall at rest.
    Where noise would spoil that, a hyperbolic tangent is fitted to all planes of the wall; where
    even that fails, a straight line joins the two domains.  The position always lies among the
    changes of sign.  A wall too close to an end to be measured is left out; of a periodic
    direction all walls within one period are found, those across its seam, too.

    Args:
        space: The nodal space.
        m: Directions, shape (n, 3).
        direction: Direction across the wall.
        axis: Unit vector of the domains.
        zero: Unit vector normal to it from which the tilt counts.
    """
    profile = _profile(space, m, direction, axis, zero)
    period = _period(space, direction)
    if period is None:
        found = (_wall(profile, *crossing) for crossing in _crossings(profile.along))
        return tuple(wall for wall in found if wall is not None)
    low, high = float(profile.x[0]), float(profile.x[0]) + period
    tiled = profile.tiled(period)
    kept = []
    for crossing in _crossings(tiled.along):
        wall = _wall(tiled, *crossing)
        if wall is not None and low <= wall.position / LENGTH < high:
            kept.append(wall)
    return tuple(kept)


@dataclass(frozen=True)
class _Profile:
    """A texture averaged across a direction.

    Args:
        x: Coordinates of the planes [nm].
        along: Component along the axis of the domains.
        plane: Components along `zero` and along axis x zero.
        weight: Volume of the planes.
    """

    x: Array
    along: Array
    plane: tuple[Array, Array]
    weight: Array

    def tiled(self, period: float) -> _Profile:
        """Return three periods [nm], the second one in place."""
        x = np.concatenate([self.x - period, self.x, self.x + period])
        first, third = (np.tile(v, 3) for v in self.plane)
        return _Profile(x, np.tile(self.along, 3), (first, third), np.tile(self.weight, 3))


def _profile(space: TextureSpace, m: Array, direction: int, axis: ArrayLike, zero: ArrayLike) -> _Profile:
    x, mean, weight = _planes(space, m, direction)
    up, zero = np.asarray(axis, float), np.asarray(zero, float)
    return _Profile(x, mean @ up, (mean @ zero, mean @ np.cross(up, zero)), weight)


def _period(space: TextureSpace, direction: int) -> float | None:
    """Return the period [nm] of a direction, None of one with ends."""
    return next((p for k, p in space.periods if space.axes[k] == direction), None)


def _wall(profile: _Profile, begin: int, left: int, right: int, end: int) -> Wall | None:
    """Return the wall of a crossing (see `_crossings`), None if it is too close to an end."""
    x, along, weight = profile.x, profile.along, profile.weight
    change = left + np.flatnonzero(along[left:right] * along[left + 1 : right + 1] <= 0)
    first = int(change[len(change) // 2]) - _POINTS // 2 + 1
    if first < 0 or first + _POINTS > len(x):
        return None
    between = (float(x[change[0]]), float(x[change[-1] + 1]))
    near = slice(first, first + _POINTS)
    own = slice(max(first - begin, 0), first + _POINTS - begin)
    centre, width = _straight(x, along, left, right)
    fitted = _fitted(x[begin:end], along[begin:end], weight[begin:end], own, (centre, width))
    if fitted is not None:
        centre, width = fitted
        smooth = _interpolated(x, along, near, fitted)
        if smooth is not None and between[0] <= smooth[0] <= between[1]:
            centre, width = smooth
    centre = min(max(centre, between[0]), between[1])
    parts = [np.interp(centre, x, v) for v in profile.plane]
    return Wall(centre * LENGTH, width * LENGTH, float(np.arctan2(parts[1], parts[0])))


def _crossings(along: Array) -> list[tuple[int, int, int, int]]:
    """Return where both domains of every wall begin and end, as numbers of planes.

    These are the first and the last plane of the domain before the wall, the first plane of that
    after it, and one more than its last.
    A domain begins where the component passes half of what both signs reach, so that noise around
    zero makes no walls.
    """
    half = 0.5 * min(float(along.max()), -float(along.min()))
    if not half > 0:
        return []
    inside = np.flatnonzero(np.abs(along) >= half)
    flips = np.flatnonzero(along[inside[:-1]] * along[inside[1:]] < 0)
    begins = [0, *(int(inside[k + 1]) for k in flips[:-1])]
    ends = [*(int(inside[k]) + 1 for k in flips[1:]), len(along)]
    return [
        (begin, int(inside[k]), int(inside[k + 1]), end)
        for begin, k, end in zip(begins, flips, ends, strict=True)
    ]


def _straight(x: Array, along: Array, left: int, right: int) -> tuple[float, float]:
    """Return X and lambda [nm] of the straight line of artanh between two planes."""
    a, b = np.arctanh(np.clip(along[[left, right]], -_EDGE, _EDGE))
    width = float((x[right] - x[left]) / (a - b))
    return float(x[left] + a * width), width


def _fitted(
    x: Array, along: Array, weight: Array, near: slice, start: tuple[float, float]
) -> tuple[float, float] | None:
    """Return X and lambda [nm] of the tangent that fits best within 1.5 lambda, or None.

    Fitting the component itself, not its artanh, weighs the planes as noise of equal size on all
    moments does.  The width of the window is that of the fit before.
    """
    centre, width = start
    found: tuple[float, float] | None = start
    for _ in range(3):
        chosen = np.abs(x - centre) <= _REACH * abs(width)
        chosen[near] = True
        found = _tangent(x[chosen], along[chosen], weight[chosen], (centre, width))
        if found is None or not x[0] < found[0] < x[-1]:
            return None
        centre, width = found
    return found


def _tangent(x: Array, along: Array, weight: Array, start: tuple[float, float]) -> tuple[float, float] | None:
    """Return X and lambda [nm] of -tanh((x - X)/lambda) by Gauss-Newton; None if it fails."""
    root = np.sqrt(weight)
    origin, scale = start
    line = np.array([0.0, 1.0])  # artanh = -(line[0] + line[1] (x - origin)/scale)
    shape = np.stack([np.ones_like(x), (x - origin) / scale], axis=1)

    def misfit(line: Array) -> Array:
        return root * (along + np.tanh(shape @ line))

    rest = misfit(line)
    for _ in range(_ROUNDS):
        slope = (root * (1 - np.tanh(shape @ line) ** 2))[:, None] * shape
        step = -np.linalg.lstsq(slope, rest, rcond=None)[0]
        while rest @ rest < (new := misfit(line + step)) @ new and np.abs(step).max() > _SETTLED:
            step = step / 2
        line, rest = line + step, new
        if np.abs(step).max() <= _SETTLED:
            break
    if not line[1] > 0:
        return None
    return float(origin - line[0] / line[1] * scale), float(scale / line[1])


def _interpolated(
    x: Array, along: Array, near: slice, fitted: tuple[float, float]
) -> tuple[float, float] | None:
    """Return X and lambda [nm] of the polynomial through six planes, None if noise spoils it.

    The n planes within 1.5 lambda must be monotone.  Let noise of size s sit on artanh, one value
    per plane: the slope of the polynomial errs by 1.66 s/h (the norm of its six weights at
    midpoint).  A line through a cubic profile that it misses by r on average errs by
    7.94 r/(n h).  The polynomial is the better one where r > 0.209 n s; where its slope differs
    from that of the line by more than the line can err, it follows noise that s has missed.
    """
    centre, width = fitted
    chosen = np.abs(x - centre) <= _REACH * abs(width)
    chosen[near] = True
    grade = np.arctanh(np.clip(along, -_EDGE, _EDGE))
    if np.any(np.diff(grade[chosen]) * width >= 0):
        return None
    line = (x[chosen] - centre) / width
    noise = _noise(x[chosen], grade[chosen] + line)
    # artanh to first order: a plane that noise turned into the axis cannot count too much
    miss = (along[chosen] + np.tanh(line)) * np.cosh(np.clip(line, -20, 20)) ** 2
    square = float(miss @ miss) / len(miss)
    if square - noise <= (_BALANCE * len(miss)) ** 2 * noise:
        return None
    fit = np.polynomial.Polynomial.fit(grade[near], x[near], _POINTS - 1)
    slope = -float(fit.deriv()(0.0))
    if abs(1 / slope - 1 / width) > _BIAS * np.sqrt(square) / np.ptp(x[chosen]):
        return None
    return float(fit(0.0)), slope


def _noise(x: Array, values: Array) -> float:
    """Return the variance of independent noise: the part of five neighbours off any cubic."""
    x = np.lib.stride_tricks.sliding_window_view(x, 5)
    gap = x[:, :, None] - x[:, None, :] + np.eye(5)
    weight = 1 / gap.prod(axis=2)
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    parts = np.einsum("ij,ij->i", weight, np.lib.stride_tricks.sliding_window_view(values, 5))
    return float(parts @ parts) / len(parts)


def _planes(space: TextureSpace, m: Array, direction: int) -> tuple[Array, Array, Array]:
    """Return coordinates [nm], mean of m and weight of the node planes.

    Planes closer than half a spacing are those of an unstructured mesh, each of a few nodes; they
    are gathered in bins of one spacing, each at the mean coordinate of its nodes.
    """
    x = space.positions[:, direction]
    labels = np.unique(np.round(x / (1e-6 * space.spacing)).astype(np.int64), return_inverse=True)
    group = labels[1]
    if len(labels[0]) > 1 and np.diff(labels[0]).min() < 0.5e6:
        bins = np.floor((x - x.min()) / space.spacing).astype(np.int64)
        group = np.unique(bins, return_inverse=True)[1]
    weight = np.bincount(group, space.volumes).astype(float)
    columns = [np.bincount(group, space.volumes * v) / weight for v in (x, *m.T)]
    return columns[0], np.stack(columns[1:], axis=1), weight
