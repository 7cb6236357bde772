"""Equilibria, loops, thresholds, resonances and line shapes of a texture case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...case.load import case_from_table, dump_case
from ...case.paths import replaced, resolved_path
from ...case.schema import Case
from ...device.observables.quantity import Number
from ...errors import CaseError, SolverError
from ...magnets.magnet import Antiferromagnet
from ...magnets.two_sublattice import join
from ...results.series import Series
from ...results.texture_result import TextureResult
from ...units import Array, Progress
from .device import transport_numbers
from .instability import INSTABILITY_PARTS, Branch, instability
from .line_shape import line_shape
from .motion import start_motion
from .numbers import run_numbers, texture_facts, topological_charge
from .recorder import TextureRun
from .rehearsal import rehearsed
from .resonance import order_fields, resonance
from .rest import relaxed
from .run import run_motion
from .states import initial_texture
from .steady import acts_damping_like, refuse_what_moves, steady_orbit
from .system import TextureSystem, build_texture_system
from .wall import LOST, WallTrack, state_numbers
from .warnings import case_warnings, state_warnings

__all__ = ["analysed", "hysteresis", "threshold"]

_MOST_BISECTIONS = 200
_SAME_MOMENT = 1e-3  # of the means of two states


def analysed(case: Case, system: TextureSystem, progress: Progress | None) -> TextureResult:
    """Return the result of an analysis other than a run.

    Raises:
        FemspinError: If it does not suit the magnet or a solver fails.
    """
    analyses = {
        "relax": _relax,
        "hysteresis": hysteresis,
        "threshold": threshold,
        "resonance": resonance,
        "line_shape": _line_shape,
    }
    result = analyses[system.table.analysis](case, system, progress or (lambda _: None))
    return replace(
        result,
        folder=system.folder,
        facts=texture_facts(system),
        warnings=(*case_warnings(system, case), *result.warnings),
    )


def _relax(case: Case, system: TextureSystem, progress: Progress) -> TextureResult:
    """Return the equilibrium under the fields and torques of time 0."""
    initial = initial_texture(system)
    order, canting = relaxed(system, initial, driven=True)
    fields = order_fields(order, canting)
    numbers: dict[str, Any] = {
        "energy": Number(_energy(system, order, canting), "J", "energy"),
        "final": {name: system.space.mean(values) for name, values in fields.items()},
    }
    if {0, 1} <= set(system.space.axes) and np.linalg.norm(order, axis=1).min() > 0:
        numbers["topological_charge"] = topological_charge(system.space, order)
    if system.coupled is not None:
        fields["torque"] = system.coupled(0.0, order)
        numbers["transport"] = transport_numbers(system.coupled, system.magnet.gamma)
    warnings = state_warnings(system, [order])
    if system.table.wall is not None:
        track = WallTrack(system)
        track.follow(initial)
        numbers["wall"] = state_numbers(track.follow(order))
        if track.lost:
            warnings = (f"{LOST[track.lost]} while the texture relaxed", *warnings)
    progress(1.0)
    potentials = () if system.coupled is None else (system.coupled.potentials(0.0),)
    return TextureResult(
        case,
        system.space,
        numbers,
        frames=((0.0, fields),),
        warnings=warnings,
        device=system.device,
        potentials=potentials,
    )


def _energy(system: TextureSystem, order: Array, canting: Array | None, field: Any = None) -> float:
    if canting is None:
        return system.ferromagnet(field, driven=field is None).energy(order)
    return system.sublattices(field, driven=field is None).energy(join(order, canting))


# ---------------------------------------------------------------- hysteresis


def hysteresis(case: Case, system: TextureSystem, progress: Progress) -> TextureResult:
    """Return the loop of the equilibrium against the field, with coercive field and remanence.

    Raises:
        CaseError: If a drive changes, or a torque has no energy.
        SolverError: If there is no equilibrium.
    """
    options = system.table.hysteresis
    assert options is not None
    steady, system = _loop_drives(system)
    unit = np.array(options.direction) / np.linalg.norm(options.direction)
    down = np.linspace(options.largest, -options.largest, options.points)
    strengths = np.concatenate([down, down[::-1][1:]])
    order, canting = initial_texture(system), None
    rows, frames = [], []
    for k, strength in enumerate(strengths):
        field = steady + strength * unit
        order, canting = relaxed(system, order, field, canting=canting)
        moment = order if canting is None else canting
        mean = system.space.mean(moment)
        rows.append([strength, float(mean @ unit), *mean])
        if k in (0, options.points // 2, options.points - 1):
            frames.append((float(k), order_fields(order, canting)))
        progress((k + 1) / len(strengths))
    table = np.array(rows)
    first, second = table[: options.points], table[options.points - 1 :]
    coercive = [_crossing(b[:, 0], b[:, 1], _moment_left(system)) for b in (first, second)]
    numbers: dict[str, Any] = {
        "remanence": float(np.interp(0.0, first[::-1, 0], first[::-1, 1])),
        "saturation": float(table[0, 1]),
        "loop_area": Number(abs(np.trapezoid(table[:, 1], table[:, 0])), "T", "area of the loop"),
    }
    if None not in coercive:
        down_field, up_field = (float(x) for x in coercive if x is not None)
        numbers |= {
            "coercive_field": Number(0.5 * (up_field - down_field), "T", "coercive field"),
            "loop_shift": Number(0.5 * (up_field + down_field), "T", "shift of the loop"),
        }
    open_ends: list[float] = []
    if not system.antiferromagnetic:  # whose opposite state has the same moment
        ends = zip((0, options.points - 1), frames[::2], strict=True)
        open_ends = [
            float(strengths[k])
            for k, (_, fields) in ends
            if not _forgotten(system, steady + strengths[k] * unit, fields["m"], unit)
        ]
        numbers["saturated"] = int(not open_ends)
    heads = ("B [T]", "m along B", "m_x", "m_y", "m_z")
    return TextureResult(
        case,
        system.space,
        numbers,
        frames=tuple(frames),
        curves=(Series("loop", heads, table),),
        warnings=_minor_loop(open_ends),
    )


def _forgotten(system: TextureSystem, field: Array, m: Array, unit: Array) -> bool:
    """Return whether the opposite texture ends in the same moment along the field as m does."""
    try:
        other, _ = relaxed(system, -m, field)
    except SolverError:
        return False
    return abs(float(system.space.mean(other - m) @ unit)) < _SAME_MOMENT


def _minor_loop(fields: list[float]) -> tuple[str, ...]:
    """Return a sentence if a loop is not closed by saturation at these fields [T]."""
    if not fields:
        return ()
    places = " and ".join(f"{field:.4g} T" for field in fields)
    return (
        f"a minor loop: at {places} the opposite state is stable as well, so that coercive"
        " field, remanence and area depend on the history; raise"
        " texture.hysteresis.largest",
    )


def _loop_drives(system: TextureSystem) -> tuple[Array, TextureSystem]:
    """Return the steady field of a loop [T], field-like torques included, and the magnet alone.

    Whether a state is stable under a torque without energy depends on the damping, which a
    relaxation does not see.
    """
    refuse_what_moves(system, "a loop")
    for k, torque in enumerate(system.orbit()):
        if acts_damping_like(torque):
            raise CaseError(
                f"texture.spin_orbit.{k}",
                "a loop takes field-like torques alone, as"
                " with a damping-like one a state has no energy; drop it, or sweep the"
                ' field of a run (signal.shape = "sequence")',
            )
    return steady_orbit(system)


def _moment_left(system: TextureSystem) -> float:
    """Return the moment below which a state at rest has none: what `relax_torque` leaves."""
    options, magnet = system.table.hysteresis, system.magnet
    assert options is not None
    stiff = magnet.exchange_field if isinstance(magnet, Antiferromagnet) else options.largest
    return float(system.table.relax_torque / stiff)


def _crossing(x: Array, y: Array, nothing: float) -> float | None:
    """Return where a branch of a loop changes sign: the middle of the step it jumps in.

    Where |y| stays at `nothing` between both signs, as below a spin flop, it is the middle of
    that stretch; None of a branch without both signs.
    """
    seen = np.flatnonzero(np.abs(y) > nothing)
    change = np.flatnonzero(y[seen[:-1]] * y[seen[1:]] < 0)
    if not len(change):
        return None
    k, end = (int(seen[i]) for i in (change[0], change[0] + 1))
    if end > k + 1:
        return float(0.5 * (x[k + 1] + x[end - 1]))
    if abs(y[k + 1] - y[k]) > 0.5:
        return float(0.5 * (x[k] + x[k + 1]))
    return float(x[k] - y[k] * (x[k + 1] - x[k]) / (y[k + 1] - y[k]))


# ---------------------------------------------------------------- threshold


def threshold(case: Case, system: TextureSystem, progress: Progress) -> TextureResult:
    """Return the value of a key at which a run switches or a state at rest loses its stability.

    Raises:
        CaseError: If the path leads nowhere, or both ends have the same outcome.
        SolverError: If there is no state at rest.
    """
    options = system.table.threshold
    assert options is not None
    _, _, unit = options.bracket
    find = _unstable_from if options.criterion == "unstable" else _switches_from
    if system.rehearsal:
        low, high, _ = options.bracket
        _varied(case, system, low)
        value, tried = 0.5 * (low + high), [[low, 0.0, -1.0], [high, 1.0, 1.0]]
    else:
        low, high, value, tried = find(case, system, progress)
    changed = _varied(case, system, high)
    last = _run_of(changed)
    numbers = {
        "threshold": Number(value, unit, "threshold"),
        "bracket": Number(high - low, unit, "width of the last bracket of the threshold"),
        "runs": len(tried),
        "just_above": run_numbers(changed, last),
    }
    if options.criterion == "unstable":
        first, end, _ = options.bracket
        numbers["looked_every"] = Number((end - first) / INSTABILITY_PARTS, unit, "distance of looks")
    measure = "growth rate [1/s]" if options.criterion == "unstable" else "measure"
    heads = (f"{options.vary} [{unit}]", "beyond", measure)
    curve = Series("bisection", heads, np.array(sorted(tried)))
    return TextureResult(
        case,
        system.space,
        numbers,
        last.history,
        last.wall_series,
        last.frames,
        (curve,),
        device=changed.device,
        potentials=last.potentials,
    )


_Found = tuple[float, float, float, list[list[float]]]
"""Both ends of the last bracket, the threshold, and rows of value, beyond and measure."""


def _unstable_from(case: Case, system: TextureSystem, progress: Progress) -> _Found:
    """Return where the growth rate of a small motion about the state at rest vanishes."""
    options = system.table.threshold
    assert options is not None
    low, high, unit = options.bracket
    branch = Branch(lambda value: _varied(case, system, value))
    found = instability(branch, low, high, options.tolerance, progress)
    if found is None:
        part = (high - low) / INSTABILITY_PARTS
        problem = (
            f"{high:g} {unit} is not beyond the threshold (unstable): the state at rest is"
            f" stable at all values from low on that were looked at, {part:.3g} {unit}"
            " apart; a narrower window of instability needs a narrower range"
        )
        raise CaseError("texture.threshold.high", problem)
    tried = [[v, float(g > 0), g] for v, g in found.rates.items() if np.isfinite(g)]
    return found.low, found.high, found.threshold, tried


def _switches_from(case: Case, system: TextureSystem, progress: Progress) -> _Found:
    """Return the middle of the bracket within which a run begins to switch, by bisection."""
    options = system.table.threshold
    assert options is not None
    low, high, unit = options.bracket
    tried: list[list[float]] = []

    def beyond(value: float) -> bool:
        changed = _varied(case, system, value)
        found = _reversal(_run_of(changed), changed.antiferromagnetic)
        tried.append([value, float(found > 0), found])
        return found > 0

    for value, wanted, key in ((low, False, "low"), (high, True, "high")):
        if beyond(value) != wanted:
            state = "beyond" if not wanted else "not beyond"
            problem = f"{value:g} {unit} is {state} the threshold ({options.criterion})"
            raise CaseError(f"texture.threshold.{key}", problem)
    width = high - low
    for _ in range(_MOST_BISECTIONS):
        if high - low <= options.tolerance * 0.5 * (low + high):
            break
        middle = 0.5 * (low + high)
        low, high = (low, middle) if beyond(middle) else (middle, high)
        progress(
            float(np.clip(np.log(width / (high - low)) / np.log(width / (options.tolerance * high)), 0, 1))
        )
    return low, high, 0.5 * (low + high), tried


def _varied(case: Case, system: TextureSystem, value: float) -> TextureSystem:
    """Return the case with another value of the varied key."""
    options = system.table.threshold
    assert options is not None
    unit = options.bracket[2]
    table = dump_case(case)
    table["texture"] |= {"analysis": "run"}
    del table["texture"]["threshold"]
    parts = resolved_path(options.vary, table, "texture.threshold.vary", Case)
    table = replaced(table, parts, f"{value!r} {unit}" if unit else value, Case)
    try:
        varied = case_from_table(table)
    except CaseError as error:
        raise CaseError(
            "texture.threshold.vary", f"at {value:g} {unit}".rstrip() + f": {error.path}: {error.problem}"
        ) from None
    given: Any = system.external
    changed = build_texture_system(
        varied, system.folder, None if given is None or system.coupled is not None else lambda _: given
    )
    return rehearsed(changed) if system.rehearsal else changed


def _run_of(system: TextureSystem) -> TextureRun:
    """Return the run of a case."""
    order, canting = initial_texture(system), None
    if system.table.initial.relax:
        order, canting = relaxed(system, order)
    motion, state = start_motion(system, order, canting)
    return run_motion(system, motion, state)


def _reversal(run: TextureRun, staggered: bool) -> float:
    """Return the reversed part of the mean direction, positive where it has switched."""
    name = "n" if staggered else "m"
    mean = np.stack([run.column(f"{name}_{a}") for a in "xyz"], axis=1)
    return float(-(mean[0] @ mean[-1]) / (mean[0] @ mean[0]))


# ---------------------------------------------------------------- resonance


def _line_shape(case: Case, system: TextureSystem, progress: Progress) -> TextureResult:
    if system.antiferromagnetic:
        raise CaseError("texture.analysis", '"line_shape" is for a ferromagnet')
    try:
        numbers, curve, m, warnings = line_shape(system, initial_texture(system), progress)
    except np.linalg.LinAlgError as error:
        raise SolverError(f"the response has no solution ({error})") from None
    frames = ((0.0, {"m": m}),)
    return TextureResult(case, system.space, numbers, frames=frames, curves=(curve,), warnings=warnings)
