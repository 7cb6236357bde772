"""A texture in time: what is recorded, when it stops, and how it is taken up again."""

from __future__ import annotations

import hashlib
import json
import time as clock_of_the_wall
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .case.files import input_digest
from .case.load import dump_case
from .case.schema import Case
from .dynamics.texture.checkpoint import (
    Checkpoint,
    load_checkpoint,
    restore_scheme,
    save_checkpoint,
    take_checkpoint,
)
from .dynamics.texture.walls import find_wall
from .errors import CaseError, SolverError
from .results.texture_result import Series, TextureResult
from .texture_motion import Motion, State, check_canting, start_motion
from .texture_numbers import field_warnings, run_numbers, sampling_warning, texture_facts
from .texture_rest import relaxed
from .texture_states import initial_texture, wall_frame
from .texture_system import TextureSystem, TransportTorque, build_texture_system
from .texture_transport import phase_seconds, torque_warning
from .texture_turns import Turning, normal_frame, unwrapped
from .units import TIME

__all__ = [
    "Keeper", "TextureRun", "checkpoint_file", "run_motion", "simulate_texture",
]  # fmt: skip

Array = NDArray[np.float64]
Progress = Callable[[float], None]

_LOOKS = 50  # steps of a fixed length that are looked at in a run
_KEPT = 100  # states of a run that may become checkpoints
_SWITCHED = -0.5  # component along the initial mean direction


def simulate_texture(
    case: Case,
    folder: Path | None = None,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
    transport: TransportTorque | None = None,
) -> TextureResult:
    """Return what a texture case asks for: motion, equilibrium, loop, threshold or resonance.

    Args:
        case: A case with [texture].
        folder: Where relative paths start.
        progress: Called with the fraction of the work that is done.
        keeper: Checkpoints of a run; by default none.
        transport: Makes the torque of `torque_source = "transport"` instead of the device of
            the case.

    Raises:
        FemspinError: If the case is wrong or a solver fails.
    """
    system = build_texture_system(case, folder, transport)
    if system.table.analysis != "run":
        from .texture_analysis import analysed

        return analysed(case, system, progress)
    order, canting = initial_texture(system), None
    if system.table.initial.relax and (keeper is None or keeper.load() is None):
        order, canting = relaxed(system, order)
    motion, state = start_motion(system, order, canting)
    run = run_motion(system, motion, state, progress, keeper)
    return TextureResult(
        case, system.space, run_numbers(system, run), run.history, run.wall_series, run.frames,
        warnings=(*field_warnings(system), *run.warnings), folder=folder,
        facts=texture_facts(system, motion), seconds=run.seconds,
        device=system.device, potentials=run.potentials,
    )  # fmt: skip


@dataclass(frozen=True)
class TextureRun:
    """What was recorded of a motion.

    Args:
        columns: Names of the columns with units.
        rows: One row per output time, shape (k, columns).
        frames: Times [s] with fields of the nodes by name.
        stopped: Why it ended: time, relaxed, switched, or wall left.
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
class Keeper:
    """Checkpoints of a run beside its result.

    Args:
        path: File; its ending is replaced by .h5 or .npz.
        case: The case, whose checkpoint only it may take up.
        interval: Time of the clock between checkpoints [s].
        resuming: Take up what is there.
        folder: Where relative paths in the case start.
    """

    path: Path
    case: Case
    interval: float
    resuming: bool = False
    folder: Path | None = None
    _last: float = field(default_factory=clock_of_the_wall.monotonic)

    @property
    def file(self) -> Path:
        """The checkpoint that is there, or the path where there is none."""
        for ending in (".h5", ".npz"):
            if self.path.with_suffix(ending).is_file():
                return self.path.with_suffix(ending)
        return self.path

    @property
    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return clock_of_the_wall.monotonic() - self._last >= self.interval

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of what is there, in whatever form that is."""
        written = save_checkpoint(self.path.with_suffix(".h5"), checkpoint)
        for ending in {".h5", ".npz"} - {written.suffix}:
            self.path.with_suffix(ending).unlink(missing_ok=True)
        self._last = clock_of_the_wall.monotonic()

    def load(self) -> Checkpoint | None:
        """Return the checkpoint to take up, None without one.

        Raises:
            CaseError: If it belongs to another case.
        """
        if not self.resuming or not self.file.is_file():
            return None
        found = load_checkpoint(self.file)
        if not np.array_equal(found.fields.get("case", np.zeros(0)), self.digest):
            raise CaseError("--resume", f"{self.file} belongs to another case or version of it;"
                            " run without --resume")  # fmt: skip
        return found

    @cached_property
    def digest(self) -> Array:
        """Numbers that tell cases apart, but for what does not change the motion."""
        table = dump_case(self.case)
        for key in ("expected", "output", "title"):
            table.pop(key, None)
        table["texture"].pop("checkpoint")
        files = input_digest(self.case, self.folder)
        text = json.dumps([table, files] if files else table, sort_keys=True).encode()
        return np.frombuffer(hashlib.sha256(text).digest(), np.uint8).astype(float)

    def clear(self) -> None:
        """Remove the checkpoint of a run that is complete."""
        for ending in (".h5", ".npz"):
            self.path.with_suffix(ending).unlink(missing_ok=True)


def checkpoint_file(result: Path) -> Path:
    """Return where the checkpoint of a result folder is kept; its ending says in what form."""
    return result.with_name(f"{result.name}.checkpoint.h5")


@dataclass
class _Recorder:
    """Rows and frames so far; all of it goes into a checkpoint."""

    system: TextureSystem
    motion: Motion
    rows: list[list[float]] = field(default_factory=list)
    frame_times: list[float] = field(default_factory=list)
    frames: list[Array] = field(default_factory=list)
    potentials: list[Array] = field(default_factory=list)
    angles: list[list[float]] = field(default_factory=list)
    canting: float = 0.0

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
        axis, zero, across = wall_frame(self.system)
        try:
            wall = find_wall(self.system.space, order, across, axis, zero)
        except SolverError:
            return [np.nan] * 3
        return [wall.position, wall.width, wall.tilt]

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
        if table.wall is not None and not np.isfinite(self.rows[-1][-1]):
            return "wall left"
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


def run_motion(
    system: TextureSystem,
    motion: Motion,
    state: State,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> TextureRun:
    """Return the recorded motion from time 0 to the duration or a stop condition.

    At fixed output times the scheme forgets what a checkpoint does not hold, whether or not one
    is written, so that a run that was cut off and resumed does the same arithmetic.

    Raises:
        SolverError: If a step fails.
    """
    times, began = system.table.times, clock_of_the_wall.perf_counter()
    recorder = _Recorder(system, motion)
    if recorder.turnings:
        motion.watch = recorder.watch
    chosen = _frame_indices(len(times), system.table.frames)
    every = max(1, (len(times) - 1) // _KEPT)
    looked = max(1, (len(times) - 1) // _LOOKS)
    start, state, stopped = _begin(recorder, state, keeper, chosen)
    for k in range(start + 1, len(times)):
        if stopped:
            break
        before, done = state, int(motion.scheme.steps)
        state = motion.advance(state, times[k - 1] / TIME, times[k] / TIME)
        if motion.judge is not None and (k - 1) % looked == 0:
            steps = max(1, int(motion.scheme.steps) - done)
            length = (times[k] - times[k - 1]) / TIME / steps
            ahead = min(looked, len(times) - k)
            motion.judge.look(before, times[k - 1] / TIME, length, steps * ahead)
        recorder.record(state, times[k])
        stopped = recorder.stopped(state, times[k])
        if k in chosen or stopped:
            recorder.add_frame(state, times[k])
        if k % every == 0:
            saved = _checkpoint(recorder, state, times[k], k, keeper)
            if keeper is not None and "case" in saved.fields and not stopped:
                keeper.save(saved)
        if progress is not None:
            progress(times[k] / times[-1])
    end = recorder.rows[-1][0]
    warnings: tuple[str, ...] = ()
    if stopped == "wall left":
        warnings = (f"the wall reached the end of the magnet or vanished at {end:.4g} s; the run"
                    " ends there",)  # fmt: skip
    if system.coupled is not None:
        system.coupled.finish(end, motion.order(state))
    told = [
        sampling_warning(system), torque_warning(system.coupled),
        "" if motion.judge is None else motion.judge.warning(),
        check_canting(np.array([[recorder.canting, 0.0, 0.0]])),
    ]  # fmt: skip
    warnings = (*warnings, *filter(None, told))
    unrest = motion.unrest(state, end / TIME)
    return TextureRun(
        recorder.columns, np.array(recorder.rows), recorder.named_frames(), stopped or "time",
        unrest, int(motion.scheme.steps), warnings,
        {} if system.coupled is None else
        phase_seconds(system.coupled, clock_of_the_wall.perf_counter() - began),
        tuple(recorder.potentials), None if motion.judge is None else motion.judge.error,
        {name: np.array(recorder.angles)[:, k] for k, name in enumerate(recorder.turnings)},
    )  # fmt: skip


def _begin(
    recorder: _Recorder, state: State, keeper: Keeper | None, chosen: set[int]
) -> tuple[int, State, str]:
    """Return output index, state and stop reason to start from."""
    saved = None if keeper is None else keeper.load()
    if saved is None:
        recorder.watch(recorder.motion.order(state))
        recorder.record(state, 0.0)
        stopped = recorder.stopped(state, 0.0)
        if 0 in chosen or stopped:
            recorder.add_frame(state, 0.0)
        return 0, state, stopped
    fields = saved.fields
    recorder.rows = fields["rows"].tolist()
    recorder.angles = fields["angles"].tolist()
    recorder.canting = float(fields["canting"])
    order = recorder.motion.order(tuple(fields[n] for n in recorder.motion.names))
    for turning, angle in zip(recorder.turnings.values(), recorder.angles[-1], strict=True):
        turning.restore(angle, order)
    recorder.frame_times = fields["frame_times"].tolist()
    recorder.frames = list(fields["frames"])
    restore_scheme(recorder.motion.scheme, saved)
    recorder.motion.scheme.steps = int(fields["steps"])
    if recorder.motion.judge is not None:
        recorder.motion.judge.restore(fields["judge"])
    if recorder.system.coupled is not None:
        head, recorder.potentials = "coupled_", list(fields["potentials"])
        recorder.system.coupled.restore(
            {k.removeprefix(head): v for k, v in fields.items() if k.startswith(head)}
        )
    return int(fields["index"]), tuple(fields[n] for n in recorder.motion.names), ""


def _checkpoint(
    recorder: _Recorder, state: State, time: float, index: int, keeper: Keeper | None
) -> Checkpoint:
    fields = dict(zip(recorder.motion.names, state, strict=True))
    if keeper is not None and keeper.due:
        fields |= {
            "rows": np.array(recorder.rows), "frame_times": np.array(recorder.frame_times),
            "frames": np.array(recorder.frames), "index": np.array(float(index)),
            "angles": np.array(recorder.angles), "canting": np.array(recorder.canting),
            "case": keeper.digest, "steps": np.array(float(recorder.motion.scheme.steps)),
        }  # fmt: skip
        if recorder.motion.judge is not None:
            fields["judge"] = recorder.motion.judge.state()
        if recorder.system.coupled is not None:
            saved = recorder.system.coupled.state()
            fields |= {f"coupled_{name}": value for name, value in saved.items()}
            fields["potentials"] = np.array(recorder.potentials)
    return take_checkpoint(recorder.motion.scheme, time / TIME, **fields)


def _frame_indices(outputs: int, frames: int) -> set[int]:
    """Return the output times at which fields are kept: the last one and others in between."""
    if frames == 1:
        return {outputs - 1}
    return {int(k) for k in np.linspace(0, outputs - 1, min(frames, outputs)).round()}
