"""The turning of a mean direction about an axis, added up step by step.

Between two outputs a direction may turn by more than half a turn: angles of recorded samples
would alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...magnets.space import TextureSpace
from ...units import Array

__all__ = ["Turning", "normal_frame", "unwrapped"]


_NOTHING = 1e-9  # part of the mean direction across the axis below which it has no angle


@dataclass
class Turning:
    """The angle of the mean direction about an axis.

    Args:
        space: The nodal space.
        first: Unit vector from which the angle counts, shape (3,).
        second: Unit vector at a right angle to it, in the sense of the turning, shape (3,).
        angle: Angle so far [rad], whole turns included.
    """

    space: TextureSpace
    first: Array
    second: Array
    angle: float = 0.0
    _last: float | None = field(default=None, repr=False)

    def see(self, order: Array) -> None:
        """Take note of the direction after a step, nodal values of shape (n, 3)."""
        mean = self.space.mean(order)
        x, y = float(mean @ self.first), float(mean @ self.second)
        if x * x + y * y <= _NOTHING**2:
            return
        now = float(np.arctan2(y, x))
        if self._last is None:
            self.angle = self.angle or now
        else:
            self.angle += float(np.angle(np.exp(1j * (now - self._last))))
        self._last = now

    def restore(self, angle: float, order: Array) -> None:
        """Take up a saved angle [rad] at a state."""
        self.see(order)
        self.angle = angle


def normal_frame(axis: Sequence[float] | Array) -> tuple[Array, Array]:
    """Return two unit vectors normal to an axis, right-handed with it, each of shape (3,)."""
    unit = np.asarray(axis, float) / np.linalg.norm(axis)
    helper = np.eye(3)[int(np.argmin(np.abs(unit)))]
    first = np.cross(helper, unit)
    first /= np.linalg.norm(first)
    return first, np.cross(unit, first)


def unwrapped(angles: Array, guide: Array) -> Array:
    """Return angles [rad] with the whole turns that a guide, followed closely, makes meanwhile.

    Args:
        angles: Modulo 2 pi, shape (k,).
        guide: An angle that turns along, whole turns included, shape (k,).
    """
    found = np.array(angles, float)
    for k in range(1, len(found)):
        expected = found[k - 1] + guide[k] - guide[k - 1]
        found[k] += 2 * np.pi * np.round((expected - found[k]) / (2 * np.pi))
    return found
