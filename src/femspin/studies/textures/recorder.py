"""What a run records: output rows, frames, angles and the wall that is followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...results.series import Series
from ...units import TIME, Array
from .motion import Motion, State, check_canting
from .states import wall_frame
from .system import TextureSystem
from .turns import Turning, normal_frame, unwrapped
from .wall import WALL_STOPS, WallTrack

__all__ = ["Recorder", "TextureRun"]


_SWITCHED = -0.5  # component along the initial mean direction


@dataclass(frozen=True)
class TextureRun:
    """What was recorded of a motion.

    Args:
        columns: Names of the columns with units.
        rows: One row per output time, shape (k, columns).
        frames: Times [s] with fields of the nodes by name.
        stopped: Why it ended: time, relaxed, switched, wall left or wall lost.
        unrest: |dm/dt|/gamma [T] at the end.
        steps: Time steps.
        seconds: Wall time [s] of magnetics and transport, where transport is solved.
        potentials: mu of the device [meV] at every frame, shape (n_dofs, 4).
        step_error: Estimated error [rad] of fixed steps, added up over the run; at a temperature
            that of one step.  None of adaptive steps.
        angles: Angles [rad] at the output times, followed step by step, shape (k,): "rotation" of
            the mean direction about the rotation axis, "wall" of that across the wall.
    """

    columns: tuple[str, ...]
    rows: Array
    frames: tuple[tuple[float, dict[str, Array]], ...]
    stopped: str
    unrest: float
    steps: int
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    potentials: tuple[Array, ...] = ()
    step_error: float | None = None
    angles: Mapping[str, Array] = field(default_factory=dict)

    def column(self, name: str) -> Array:
        """Return one column by name without unit, shape (k,)."""
        return self.rows[:, [c.split(" ")[0] for c in self.columns].index(name)]

    @property
    def time(self) -> Array:
        """Output times [s]."""
        return self.rows[:, 0]

    @property
    def history(self) -> Series:
        """Mean direction and energy against time."""
        return Series("history", self.columns, self.rows)

    @property
    def wall_series(self) -> Series | None:
        """Position, width, tilt and velocity of the wall against time, None without tracking."""
        if "wall_position" not in {c.split(" ")[0] for c in self.columns}:
            return None
        names = ("time", "wall_position", "wall_width", "wall_tilt")
        found = np.stack([self.column(n) for n in names], axis=1)
        seen = np.isfinite(found).all(axis=1)
        found = found[seen]
        speed = np.gradient(found[:, 1], found[:, 0]) if len(found) > 1 else np.zeros(len(found))
        tilt = unwrapped(found[:, 3], self.angles["wall"][seen])
        rows = np.column_stack([found[:, :3], tilt, speed])
        heads = ("time [s]", "position [m]", "width [m]", "tilt [rad]", "velocity [m/s]")
        return Series("wall", heads, rows)


@dataclass
class Recorder:
    """Rows and frames so far; all of it goes into a checkpoint."""

    system: TextureSystem
    motion: Motion
    rows: list[list[float]] = field(default_factory=list)
    frame_times: list[float] = field(default_factory=list)
    frames: list[Array] = field(default_factory=list)
    potentials: list[Array] = field(default_factory=list)
    angles: list[list[float]] = field(default_factory=list)
    canting: float = 0.0
    track: WallTrack = field(init=False)

    def __post_init__(self) -> None:
        self.track = WallTrack(self.system)

    @cached_property
    def turnings(self) -> dict[str, Turning]:
        """Angles that are followed step by step: about the rotation axis, and of the wall."""
        table, space = self.system.table, self.system.space
        found = {}
        if table.rotation_axis is not None:
            found["rotation"] = Turning(space, *normal_frame(table.rotation_axis))
        if table.wall is not None:
            axis, zero, _ = wall_frame(self.system)
            found["wall"] = Turning(space, zero, np.cross(axis, zero))
        return found

    def watch(self, order: Array) -> None:
        """See m or n after a step."""
        for turning in self.turnings.values():
            turning.see(order)

    @property
    def columns(self) -> tuple[str, ...]:
        """Heads of the recorded rows."""
        anti = self.system.antiferromagnetic
        names = ["time [s]", *(f"{'n' if anti else 'm'}_{a}" for a in "xyz")]
        if anti:
            names += [f"m_{a}" for a in "xyz"]
        names.append("energy [J]")
        if self.system.table.wall is not None:
            names += ["wall_position [m]", "wall_width [m]", "wall_tilt [rad]"]
        return tuple(names)

    def record(self, state: State, time: float) -> None:
        """Add one row at a time [s]."""
        space, motion = self.system.space, self.motion
        row = [time, *space.mean(motion.order(state))]
        canting = motion.canting(state)
        if canting is not None:
            row += [*space.mean(canting)]
            if motion.names == ("n", "m"):
                check_canting(canting)
                self.canting = max(self.canting, float(np.linalg.norm(canting, axis=1).max()))
        row.append(motion.energy(state, time / TIME))
        if self.system.table.wall is not None:
            row += self._wall(motion.order(state))
        self.rows.append([float(x) for x in row])
        self.angles.append([turning.angle for turning in self.turnings.values()])

    def _wall(self, order: Array) -> list[float]:
        wall = self.track.follow(order)
        return [np.nan] * 3 if wall is None else [wall.position, wall.width, wall.tilt]

    def add_frame(self, state: State, time: float) -> None:
        """Keep the fields at a time [s]."""
        canting, coupled = self.motion.canting(state), self.system.coupled
        parts = [self.motion.order(state), *(() if canting is None else (canting,))]
        if coupled is not None:
            parts.append(coupled(time, parts[0]))
            self.potentials.append(coupled.potentials(time))
        self.frame_times.append(time)
        self.frames.append(np.stack(parts))

    def stopped(self, state: State, time: float) -> str:
        """Return why the run ends here, or an empty text."""
        table = self.system.table
        if self.track.lost:
            return WALL_STOPS[self.track.lost == "unsure"]
        if table.stop == "relaxed":
            quiet = self.motion.unrest(state, time / TIME) < table.relax_torque
            return "relaxed" if quiet and time > 0 else ""
        if table.stop == "switched":
            first, now = np.array(self.rows[0][1:4]), np.array(self.rows[-1][1:4])
            return "switched" if first @ now < _SWITCHED * (first @ first) else ""
        return ""

    def named_frames(self) -> tuple[tuple[float, dict[str, Array]], ...]:
        """Return times and fields by name."""
        names = ["n", "m"] if self.system.antiferromagnetic else ["m"]
        if self.system.coupled is not None:
            names.append("torque")
        return tuple(
            (t, dict(zip(names, parts, strict=True)))
            for t, parts in zip(self.frame_times, self.frames, strict=True)
        )
