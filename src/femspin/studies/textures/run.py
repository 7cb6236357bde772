"""A texture in time: what is recorded, when it stops, and how it is taken up again."""

from __future__ import annotations

import time as clock_of_the_wall
from collections.abc import Sequence

import numpy as np

from ...errors import CaseError
from ...magnets.checkpoint import Checkpoint, restore_scheme, take_checkpoint
from ...magnets.walls import Wall
from ...results.installed import code_digest
from ...units import TIME, Progress
from .device import phase_seconds, torque_warning
from .keeper import ANEW, Keeper, code_numbers
from .motion import Motion, State, check_canting
from .numbers import sampling_warning
from .recorder import Recorder, TextureRun
from .system import TextureSystem
from .wall import LOST, WALL_REACH
from .warnings import state_warnings

__all__ = ["run_motion"]

_LOOKS = 50  # steps of a fixed length that are looked at in a run
_TREMBLES = 400  # rows of a rehearsed run
_KEPT = 100  # states of a run that may become checkpoints


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
    if system.rehearsal:
        return _rehearsed_run(system, motion, state)
    times, began = system.table.times, clock_of_the_wall.perf_counter()
    recorder = Recorder(system, motion)
    if recorder.turnings:
        motion.watch = recorder.watch
    chosen = _frame_indices(len(times), system.table.frames)
    every = max(1, (len(times) - 1) // _KEPT)
    start, state, stopped = _begin(recorder, state, keeper, chosen)
    for k in range(start + 1, len(times)):
        if stopped:
            break
        state = _advance(motion, state, times, k)
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
    coupled = system.coupled
    if coupled is not None:
        coupled.finish(end, motion.order(state))
    warnings = _warnings(recorder, state)
    unrest = motion.unrest(state, end / TIME)
    return TextureRun(
        recorder.columns,
        np.array(recorder.rows),
        recorder.named_frames(),
        stopped or "time",
        unrest,
        int(motion.scheme.steps),
        warnings,
        {} if coupled is None else phase_seconds(coupled, clock_of_the_wall.perf_counter() - began),
        tuple(recorder.potentials),
        None if motion.judge is None else motion.judge.error,
        {name: np.array(recorder.angles)[:, k] for k, name in enumerate(recorder.turnings)},
    )


def _advance(motion: Motion, state: State, times: Sequence[float], k: int) -> State:
    """Return the state at output k [s]; now and then a step of a fixed length is judged."""
    done, looked = int(motion.scheme.steps), max(1, (len(times) - 1) // _LOOKS)
    after = motion.advance(state, times[k - 1] / TIME, times[k] / TIME)
    if motion.judge is not None and (k - 1) % looked == 0:
        steps = max(1, int(motion.scheme.steps) - done)
        length = (times[k] - times[k - 1]) / TIME / steps
        ahead = min(looked, len(times) - k)
        motion.judge.look(state, times[k - 1] / TIME, length, steps * ahead)
    return after


def _warnings(recorder: Recorder, state: State) -> tuple[str, ...]:
    """Return sentences on what happened in a run that ended in a state."""
    system, motion, lost = recorder.system, recorder.motion, recorder.track.lost
    found = list(state_warnings(system, [*(f[0] for f in recorder.frames), motion.order(state)]))
    if lost:
        words = (
            f", and velocities leave out the last {WALL_REACH:g} widths of its way"
            " (texture.wall.undisturbed_until)"
        )
        found.insert(0, f"{LOST[lost]}; the run ends there{'' if lost == 'unsure' else words}")
    told = [
        sampling_warning(system),
        torque_warning(system.coupled),
        "" if motion.judge is None else motion.judge.warning(),
        check_canting(np.array([[recorder.canting, 0.0, 0.0]])),
    ]
    return (*found, *filter(None, told))


def _rehearsed_run(system: TextureSystem, motion: Motion, state: State) -> TextureRun:
    """Return the record of a magnet that trembles about its first state."""
    recorder = Recorder(system, motion)
    recorder.record(state, 0.0)
    recorder.add_frame(state, 0.0)
    times = np.array(system.table.times)
    times = times[:: 1 + len(times) // _TREMBLES]
    first = np.array(recorder.rows[0])
    noise = 1e-6 * np.random.default_rng(0).standard_normal((len(times), len(first)))
    rows = first + noise * np.maximum(np.abs(first), 1e-30)
    rows[:, 0] = times
    return TextureRun(
        recorder.columns,
        rows,
        recorder.named_frames(),
        "time",
        0.0,
        0,
        potentials=tuple(recorder.potentials),
        step_error=None if motion.judge is None else 0.0,
        angles=dict.fromkeys(recorder.turnings, np.zeros(len(times))),
    )


def _begin(
    recorder: Recorder, state: State, keeper: Keeper | None, chosen: set[int]
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
    try:
        return _taken_up(recorder, state, saved)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        raise CaseError("--resume", f"the checkpoint does not fit the case; {ANEW}") from None


def _taken_up(recorder: Recorder, state: State, saved: Checkpoint) -> tuple[int, State, str]:
    """Return output index and state of a checkpoint; `ValueError` where it is none of this run."""
    fields, system, names = saved.fields, recorder.system, recorder.motion.names
    index, times = float(fields["index"]), system.table.times
    found = tuple(np.asarray(fields[n], float) for n in names)
    same = [f.shape == s.shape and bool(np.isfinite(f).all()) for f, s in zip(found, state, strict=True)]
    if not (all(same) and index.is_integer() and 0 < index < len(times)):
        raise ValueError("state")
    k = int(index)
    if saved.clock != times[k] / TIME or fields["rows"].shape != (k + 1, len(recorder.columns)):
        raise ValueError("clock")
    if fields["angles"].shape != (k + 1, len(recorder.turnings)):
        raise ValueError("angles")
    if fields["frame_times"].shape != fields["frames"].shape[:1]:
        raise ValueError("frames")
    recorder.rows = fields["rows"].tolist()
    recorder.angles = fields["angles"].tolist()
    recorder.canting = float(fields["canting"])
    order = recorder.motion.order(tuple(fields[n] for n in recorder.motion.names))
    for turning, angle in zip(recorder.turnings.values(), recorder.angles[-1], strict=True):
        turning.restore(angle, order)
    if recorder.system.table.wall is not None:
        *_, position, width, tilt = recorder.rows[-1]
        recorder.track.last = Wall(position, width, tilt)
        recorder.track.gap = float(fields["wall_gap"])
    recorder.frame_times = fields["frame_times"].tolist()
    recorder.frames = list(fields["frames"])
    restore_scheme(recorder.motion.scheme, saved)
    recorder.motion.scheme.steps = int(fields["steps"])
    if recorder.motion.judge is not None:
        recorder.motion.judge.restore(fields["judge"])
    if system.coupled is not None:
        head, recorder.potentials = "coupled_", list(fields["potentials"])
        system.coupled.restore({k.removeprefix(head): v for k, v in fields.items() if k.startswith(head)})
    return k, found, ""


def _checkpoint(
    recorder: Recorder, state: State, time: float, index: int, keeper: Keeper | None
) -> Checkpoint:
    fields = dict(zip(recorder.motion.names, state, strict=True))
    if keeper is not None and keeper.due:
        fields |= {
            "rows": np.array(recorder.rows),
            "frame_times": np.array(recorder.frame_times),
            "frames": np.array(recorder.frames),
            "index": np.array(float(index)),
            "angles": np.array(recorder.angles),
            "canting": np.array(recorder.canting),
            "case": keeper.digest,
            "code": code_numbers(code_digest()),
            "steps": np.array(float(recorder.motion.scheme.steps)),
            "wall_gap": np.array(recorder.track.gap),
        }
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
