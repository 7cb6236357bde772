"""One wall of a texture, followed by identity from output to output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...device.observables.quantity import Measure, measured
from ...magnets.walls import Wall, find_walls
from ...units import LENGTH, Array
from .states import wall_frame
from .system import TextureSystem

__all__ = ["LOST", "WALL_MEASURES", "WALL_REACH", "WALL_STOPS", "WallTrack", "state_numbers"]


LOST = {
    "left": "the wall reached the end of the magnet or vanished",
    "met": "the wall that was followed left the magnet or met another one; others remain",
    "unsure": "the wall cannot be told from others: it moved by more than half the distance to the"
    " next like it between two outputs; a shorter texture.output_interval follows it further",
}
"""What happened to a wall that is no longer followed."""

WALL_STOPS = ("wall left", "wall lost")
"""Why a run ends when its wall is gone, and when it cannot be told from others."""

WALL_REACH = 7.0
"""Widths of its way before a wall leaves that its velocities do not count.

The pull of its image is then exp(-14) of the anisotropy field.
"""

WALL_MEASURES: Mapping[str, Measure] = {
    "position": Measure("m", "position x of the wall"),
    "width": Measure("m", "width of the wall"),
    "tilt": Measure("rad", "tilt of the wall"),
    "displacement": Measure("m", "displacement of the wall"),
    "smallest_width": Measure("m", "smallest width of the wall"),
    "largest_width": Measure("m", "largest width of the wall"),
    "velocity": Measure("m/s", "velocity of the wall"),
    "fitted_velocity": Measure("m/s", "fitted velocity of the wall"),
    "final_velocity": Measure("m/s", "final velocity of the wall"),
    "largest_velocity": Measure("m/s", "largest velocity of the wall"),
    "tilt_rate": Measure("rad/s", "rate of the tilt of the wall"),
    "velocity_amplitude": Measure("m/s", "amplitude of the velocity of the wall"),
    "phase": Measure("rad", "phase of the velocity of the wall"),
    "displacement_amplitude": Measure("m", "amplitude of the displacement of the wall"),
    "undisturbed_until": Measure("s", "time without the pull of the ends of the wall"),
}


@dataclass
class WallTrack:
    """Follows the wall that is the first one at the start.

    A wall of the other sense is another wall, and so is one that lies beyond half the distance
    between walls of the same sense.  Along a periodic direction the position counts on.

    Args:
        system: The magnet.
        last: The wall at the last output, None before the first.
        gap: Distance [m] from it to the next wall of the same sense there.
        lost: Key of `LOST`, or an empty text.
    """

    system: TextureSystem
    last: Wall | None = None
    gap: float = np.inf
    lost: str = ""

    def follow(self, order: Array) -> Wall | None:
        """Return the wall in the next state of the order, shape (n, 3); None if it is lost."""
        axis, zero, across = wall_frame(self.system)
        walls = find_walls(self.system.space, order, across, axis, zero)
        period = self._period(across)
        if self.last is None and walls:
            wall: Wall | None = walls[0]
        else:
            wall = self._same(walls, period)
        if wall is not None:
            self.last, self.gap = wall, _gap(wall, walls, period)
        return wall

    def _same(self, walls: tuple[Wall, ...], period: float | None) -> Wall | None:
        """Return the wall that is the last one moved on."""
        last = self.last
        if last is None:
            self.lost = "left"
            return None
        alike = [_nearest_image(wall, last.position, period) for wall in walls if wall.width * last.width > 0]
        if not alike:
            self.lost = "met" if walls else "left"
            return None
        wall = min(alike, key=lambda w: abs(w.position - last.position))
        # An image is never further away than half the period, a jump beyond a quarter is a guess.
        limit = 0.5 * min(self.gap, _gap(wall, walls, period), (period or np.inf) / 2)
        if abs(wall.position - last.position) <= limit:
            return wall
        self.lost = "unsure" if len(alike) > 1 or period is not None else "met"
        return None

    def _period(self, across: int) -> float | None:
        space = self.system.space
        found = (p for k, p in space.periods if space.axes[k] == across)
        return next((p * LENGTH for p in found), None)


def state_numbers(wall: Wall | None) -> dict[str, Any]:
    """Return position, width and tilt of a wall, and whether it was lost, with their units."""
    if wall is None:
        return {"lost": 1}
    table = {"position": wall.position, "width": wall.width, "tilt": wall.tilt, "lost": 0}
    return measured(table, WALL_MEASURES)


def _gap(wall: Wall, walls: tuple[Wall, ...], period: float | None) -> float:
    """Return the distance [m] to the next other wall of the same sense, inf without one."""
    away = [
        abs(_nearest_image(other, wall.position, period).position - wall.position)
        for other in walls
        if other.width * wall.width > 0
    ]
    away.sort()
    return away[1] if len(away) > 1 else np.inf


def _nearest_image(wall: Wall, position: float, period: float | None) -> Wall:
    """Return a wall at the one of its periodic images that is nearest to a position [m]."""
    if period is None:
        return wall
    turns = round((position - wall.position) / period)
    return replace(wall, position=wall.position + turns * period)
