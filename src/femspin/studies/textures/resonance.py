"""Small motion of a texture: eigenmodes about equilibrium, and the ring-down after a kick."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...case.schema import Case
from ...case.texture import MOST_OUTPUTS
from ...device.observables.quantity import ByName, Measure, Number, measured
from ...errors import CaseError
from ...magnets.modes import Modes, antiferromagnet_modes, ring_down, texture_modes
from ...magnets.two_sublattice import join
from ...magnets.vectors import rotate
from ...results.series import Series
from ...results.texture_result import TextureResult
from ...units import Array, Progress
from .motion import start_motion
from .recorder import TextureRun
from .rest import relaxed
from .run import run_motion
from .states import initial_texture
from .steady import refuse_what_moves
from .system import TextureSystem

__all__ = ["order_fields", "resonance"]

_SAMPLES = 8  # of the fastest mode in a period of it
_MOVES = 0.1  # of a kick that must move the texture somewhere

_MODE = {
    "frequency": Measure("Hz", "frequency", "of mode"),
    "decay_rate": Measure("1/s", "decay rate", "of mode"),
    "linewidth": Measure("Hz", "full width", "of mode"),
}


def order_fields(order: Array, canting: Array | None) -> dict[str, Array]:
    """Return the fields of a state by the names of a result, shape (n, 3) each."""
    return {"m": order} if canting is None else {"n": order, "m": canting}


def resonance(case: Case, system: TextureSystem, progress: Progress) -> TextureResult:
    """Return eigenmodes about equilibrium, and the spectrum of the ring-down after a kick."""
    options = system.table.resonance
    assert options is not None
    if system.orbit() or system.transfer() is not None:
        raise CaseError(
            "texture.analysis",
            "a resonance is that of the magnet without torques; drop spin_orbit and current",
        )
    refuse_what_moves(system, "a resonance")
    order, canting = relaxed(system, initial_texture(system))
    modes = _modes(system, order, canting, options.modes)
    progress(0.3)
    numbers: dict[str, Any] = {
        "modes": ByName(
            (str(k), measured({"frequency": w / (2 * np.pi), "decay_rate": g, "linewidth": g / np.pi}, _MODE))
            for k, (w, g) in enumerate(zip(modes.frequency, modes.decay, strict=True))
        ),
        "equilibrium": {k: system.space.mean(v) for k, v in order_fields(order, canting).items()},
    }
    heads = ("mode", "frequency [Hz]", "decay rate [1/s]")
    rows = np.column_stack([np.arange(len(modes.decay)), modes.frequency / (2 * np.pi), modes.decay])
    curves = [Series("modes", heads, rows)]
    history = None
    warnings: tuple[str, ...] = ()
    across = np.linalg.norm(np.cross(_kick_axis(system, order), order), axis=1)
    if options.kick > 0 and across.max() < _MOVES:
        warnings = (
            "ring_down is left out: a kick about texture.resonance.kick_axis does not move"
            " a texture along that axis; choose one across it",
        )
    elif options.kick > 0:
        run = _kicked(_resolving(system, float(modes.frequency.max())), order)
        history = run.history
        curves.append(_spectrum(run, system.antiferromagnetic))
        peak = _peak(curves[-1].rows)
        nearest = int(np.argmin(np.abs(modes.frequency / (2 * np.pi) - peak)))
        numbers["ring_down"] = {
            "frequency": Number(peak, "Hz", "frequency of the ring-down"),
            "nearest_mode": nearest,
            "over_mode": peak * 2 * np.pi / modes.frequency[nearest],
        }
    progress(1.0)
    fields = order_fields(order, canting)
    if len(modes.shape[0]) == system.space.size:
        for k, shape in enumerate(modes.shape):
            fields |= {f"mode_{k}_re": np.real(shape), f"mode_{k}_im": np.imag(shape)}
    return TextureResult(
        case, system.space, numbers, history, frames=((0.0, fields),), curves=tuple(curves), warnings=warnings
    )


def _modes(system: TextureSystem, order: Array, canting: Array | None, count: int) -> Modes:
    """Return the lowest modes; those of an antiferromagnet in a field by its sublattices."""
    if system.rehearsal:
        count = min(count, len(order) * (1 if canting is None else 2))
        return Modes(np.arange(1.0, count + 1), np.ones(count), np.zeros((count, *order.shape)))
    if canting is None:
        return texture_modes(system.ferromagnet(driven=False), order, count)
    staggered = system.antiferromagnet(driven=False)
    if staggered.precession is None:
        return antiferromagnet_modes(staggered, order, count)
    return texture_modes(system.sublattices(driven=False), join(order, canting), count)


def _resolving(system: TextureSystem, fastest: float) -> TextureSystem:
    """Return the system with outputs close enough for modes up to an angular frequency [rad/s].

    Raises:
        CaseError: If the case asks for outputs that alias, or would need too many.
    """
    table, period = system.table, 2 * np.pi / fastest if fastest > 0 else np.inf
    if table.times[1] * _SAMPLES <= period:
        return system
    if table.output_interval is not None:
        if 2 * table.output_interval < period:
            return system
        raise CaseError(
            "texture.output_interval",
            f"{table.output_interval:.4g} s are less than"
            f" two samples in a period of {period:.4g} s of the fastest mode: its"
            " spectrum would alias; leave it out, or ask for fewer modes",
        )
    if table.duration * _SAMPLES > period * MOST_OUTPUTS:
        raise CaseError(
            "texture.duration",
            f"takes more than {MOST_OUTPUTS} samples with"
            f" {_SAMPLES} in a period of {period:.4g} s of the fastest mode; make it"
            " shorter, or ask for fewer modes",
        )
    closer = {"output_interval": period / _SAMPLES}
    return replace(system, table=table.model_copy(update=closer))


def _kicked(system: TextureSystem, order: Array) -> TextureRun:
    options = system.table.resonance
    assert options is not None
    unit = _kick_axis(system, order)
    angle = np.broadcast_to(options.kick * unit, order.shape)
    motion, state = start_motion(system, rotate(np.array(angle), order))
    return run_motion(system, motion, state)


def _kick_axis(system: TextureSystem, order: Array) -> Array:
    """Return the unit vector about which the order is turned, by default across its mean."""
    options = system.table.resonance
    assert options is not None
    given = options.kick_axis
    if given is None:
        mean = system.space.mean(order)
        given = np.cross(mean, np.eye(3)[int(np.argmin(np.abs(mean)))]).tolist()
    return np.asarray(np.array(given) / (np.linalg.norm(given) or 1.0), float)


def _spectrum(run: TextureRun, staggered: bool) -> Series:
    """Return the power of the mean direction, all components added, against frequency."""
    name = "n" if staggered else "m"
    total: Array = np.zeros(0)
    for a in "xyz":
        omega, power = ring_down(run.time, run.column(f"{name}_{a}"))
        total = power if not len(total) else total + power
    keep = omega <= omega[-1] / 2
    return Series(
        "spectrum", ("frequency [Hz]", "power"), np.column_stack([omega[keep] / (2 * np.pi), total[keep]])
    )


def _peak(rows: Array) -> float:
    """Return the frequency of the largest power, by a parabola through its logarithm."""
    k = int(np.argmax(rows[1:-1, 1])) + 1
    a, b, c = np.log(rows[k - 1 : k + 2, 1])
    shift = 0.5 * (a - c) / (a - 2 * b + c)
    return float(rows[k, 0] + shift * (rows[1, 0] - rows[0, 0]))
