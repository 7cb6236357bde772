"""Domain walls along one direction: profile, position, width, tilt and velocity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import SolverError
from ...units import LENGTH
from .space import TextureSpace
from .vectors import normalized

__all__ = ["Wall", "find_wall", "wall_profile"]

Array = NDArray[np.float64]

_POINTS = 6


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
    """Return the wall of a texture averaged across `direction`.

    The nodes are averaged plane by plane; artanh of the component along the axis is interpolated
    over six planes around its zero, where it is a straight line for a wall at rest.

    Args:
        space: The nodal space.
        m: Directions, shape (n, 3).
        direction: Direction across the wall.
        axis: Unit vector of the domains.
        zero: Unit vector normal to it from which the tilt counts.

    Raises:
        SolverError: If there is no sign change or it is too close to an end.
    """
    x, mean = _planes(space, m, direction)
    along = mean @ np.asarray(axis, float)
    change = np.flatnonzero(np.sign(along[:-1]) * np.sign(along[1:]) <= 0)
    if len(change) == 0:
        raise SolverError("the texture has no wall along this direction")
    first = int(change[0]) - _POINTS // 2 + 1
    if first < 0 or first + _POINTS > len(x):
        raise SolverError("the wall has reached the end of the magnet")
    window = slice(first, first + _POINTS)
    grade = np.arctanh(np.clip(along[window], -1 + 1e-14, 1 - 1e-14))
    fit = np.polynomial.Polynomial.fit(grade, x[window], _POINTS - 1)
    centre = float(fit(0.0))
    zero = np.asarray(zero, float)
    third = np.cross(np.asarray(axis, float), zero)
    parts = [np.interp(centre, x, mean @ v) for v in (zero, third)]
    return Wall(
        centre * LENGTH, -float(fit.deriv()(0.0)) * LENGTH, float(np.arctan2(parts[1], parts[0]))
    )


def _planes(space: TextureSpace, m: Array, direction: int) -> tuple[Array, Array]:
    """Return the coordinates of the node planes [nm] and the mean of m on each."""
    x = space.positions[:, direction]
    label = np.round(x / (1e-6 * space.spacing)).astype(np.int64)
    _, first, group = np.unique(label, return_index=True, return_inverse=True)
    weight = np.bincount(group, space.volumes)
    columns = [np.bincount(group, space.volumes * m[:, k]) / weight for k in range(3)]
    return x[first], np.stack(columns, axis=1)
