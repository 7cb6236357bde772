"""Numbers of a texture run: final state, switching, rotation, wall, charge; SI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...case.texture_drives import Signal
from ...device.observables.quantity import Measure, Number, Unlisted, measured
from ...magnets.space import TextureSpace
from ...magnets.vectors import normalized
from ...units import Array, Indices
from .device import transport_numbers
from .motion import Motion
from .system import TextureSystem
from .wall import WALL_MEASURES, WALL_REACH, WALL_STOPS

if TYPE_CHECKING:
    from .recorder import TextureRun

__all__ = ["run_numbers", "sampling_warning", "texture_facts", "topological_charge", "undisturbed"]


_PARTS = {
    "MeshQuad1": ((0, 1, 2), (0, 2, 3)),
    "MeshHex1": ((0, 1, 3, 4), (0, 3, 2, 4), (2, 3, 4, 6), (3, 4, 6, 7), (3, 4, 5, 7), (1, 3, 4, 5)),
}
"""Corners of the triangles or tetrahedra of a cell."""


def _mean(order: str, when: str) -> Measure:
    return Measure("", f"mean {order}{{}} {when}")


def run_numbers(system: TextureSystem, run: TextureRun) -> dict[str, Any]:
    """Return the numbers of a run as `result.json` holds them, SI."""
    order = "n" if system.antiferromagnetic else "m"
    mean = np.stack([run.column(f"{order}_{a}") for a in "xyz"], axis=1)
    half = len(run.rows) // 2
    energies = [
        Number(run.column("energy")[k], "J", f"energy at the {when}")
        for k, when in ((0, "start"), (-1, "end"))
    ]
    table: dict[str, Any] = {
        "stopped": run.stopped,
        "duration": Number(run.time[-1], "s", "duration"),
        "steps": run.steps,
        "unrest": Number(run.unrest, "T", "unrest at the end"),
        "switched": int(mean[0] @ mean[-1] < 0),
        "initial": Unlisted({order: _mean(order, "at the start")(mean[0]), "energy": energies[0]}),
        "final": {order: _mean(order, "at the end")(mean[-1]), "energy": energies[1]},
        "late_mean": {order: _mean(order, "in the second half")(mean[half:].mean(axis=0))},
        "late_range": {
            order: Measure("", f"range of {order}{{}} in the second half")(np.ptp(mean[half:], axis=0))
        },
        "largest_energy_rise": Number(
            np.diff(run.column("energy")).max(initial=-np.inf), "J", "largest rise of the energy"
        ),
    }
    if run.step_error is not None:
        table["step_error"] = Number(run.step_error, "rad", "error of a step")
    if system.antiferromagnetic:
        table["final"]["m"] = _mean("m", "at the end")(np.array([run.column(f"m_{a}")[-1] for a in "xyz"]))
    if system.coupled is not None:
        table["transport"] = transport_numbers(system.coupled, system.magnet.gamma)
    table["switching_time"] = Number(_first_reversal(run.time, mean), "s", "switching time")
    if {0, 1} <= set(system.space.axes) and run.frames:
        table["topological_charge"] = topological_charge(system.space, run.frames[-1][1][order])
    if system.table.rotation_axis is not None and half > 2:
        table["rotation"] = _rotation(run.time, run.angles["rotation"])
    if run.wall_series is not None:
        rows = run.wall_series.rows
        free = undisturbed(rows, run.stopped)
        table["wall"] = _wall_numbers(rows, free)
        table["wall"]["lost"] = int(run.stopped in WALL_STOPS)
        drive = _alternating(system)
        if drive is not None and len(free):
            found = _locked_in(free, *drive)
            table["wall"]["alternating"] = measured(found, WALL_MEASURES)
    return table


def _alternating(system: TextureSystem) -> tuple[float, float] | None:
    """Return frequency [Hz] and phase of the drives with a sine signal, as sin(w t + phase).

    None without one, and of drives that differ in frequency or phase.
    """
    table = system.table
    signals: list[Signal] = [drive.signal for drive in table.fields]
    signals += [drive.signal for drive in table.spin_orbit]
    signals += [drive.signal for drive in (table.current, table.transport) if drive is not None]
    found = {
        (s.frequency, s.phase - 2 * np.pi * s.frequency * s.start) for s in signals if s.frequency is not None
    }
    return found.pop() if len(found) == 1 else None


def _locked_in(rows: Array, frequency: float, advance: float) -> dict[str, float]:
    """Return the velocity at the frequency of the drive, from the position of the second half.

    The position is fitted by a line and both phases; v = amplitude sin(w t + advance + phase)
    where the drive is sin(w t + advance), with a phase from -pi to pi.
    """
    time, position = rows[len(rows) // 2 :, :2].T
    w = 2 * np.pi * frequency
    if len(time) < 5 or w * (time[-1] - time[0]) < 2 * np.pi or w * (time[1] - time[0]) > np.pi:
        return {}
    shapes = np.stack([np.ones_like(time), (time - time[0]) * w, np.cos(w * time), np.sin(w * time)], axis=1)
    _, _, a, b = np.linalg.lstsq(shapes, position, rcond=None)[0]
    # x = a cos + b sin gives v = w (b cos - a sin)
    phase = np.angle(np.exp(1j * (np.arctan2(b, -a) - advance)))
    return {
        "velocity_amplitude": float(w * np.hypot(a, b)),
        "phase": float(phase),
        "displacement_amplitude": float(np.hypot(a, b)),
    }


def sampling_warning(system: TextureSystem) -> str:
    """Return a sentence if outputs are too far apart to see a wall follow the drive, or none."""
    drive = None if system.table.wall is None else _alternating(system)
    interval = system.table.times[1]
    if drive is None or 2 * drive[0] * interval <= 1:
        return ""
    return (
        f"texture.wall.alternating is left out: outputs every {interval:.4g} s are less than"
        f" two in a period of {1 / drive[0]:.4g} s; set texture.output_interval"
    )


def topological_charge(space: TextureSpace, values: Array) -> float:
    r"""Return :math:`\frac1{4\pi}\int m\cdot(\partial_xm\times\partial_ym)\,dx\,dy`.

    The integral over a film, averaged over its thickness; -1 of a skyrmion with its core down.
    It is the solid angle that the directions cover (Berg and Luescher, Nucl. Phys. B 190, 412
    (1981)): whole on a closed texture at any cell, and what is covered where the film has edges.
    In 3D the solid angles of the faces of every tetrahedron are the flux of a field without
    sources, linear in it, so that each section of a closed texture counts the same whole number.
    """
    place = np.zeros((space.mesh.p.shape[1], 3))
    place[:, space.axes] = space.mesh.p.T
    corners = _simplices(space)
    m, p = normalized(values)[space.node_of_vertex[corners]], place[corners]
    if len(corners) == 3:
        turn = np.sign(np.cross(p[1] - p[0], p[2] - p[0])[:, 2])
        return float(turn @ _solid_angle(m) / (4 * np.pi))
    turn = np.sign(np.einsum("ij,ij->i", np.cross(p[1] - p[0], p[2] - p[0]), p[3] - p[0]))
    # The field (x - p_k)/3V has unit flux through the face opposite to corner k alone.
    lever = (p.mean(axis=0) - p)[:, :, 2] / 3
    faces = ((1, 2, 3), (0, 3, 2), (0, 1, 3), (0, 2, 1))
    total = sum(lever[k] @ (turn * _solid_angle(m[list(face)])) for k, face in enumerate(faces))
    return float(total / np.ptp(p[:, :, 2]) / (4 * np.pi))


def _simplices(space: TextureSpace) -> Indices:
    """Return the corners of the triangles or tetrahedra of all cells, shape (3 or 4, n).

    The halves of a tensor grid fit together.
    """
    cells = space.mesh.t[:, space.cells]
    parts = _PARTS.get(type(space.mesh).__name__)
    return cells if parts is None else np.hstack([cells[list(part)] for part in parts])


def _solid_angle(corners: Array) -> Array:
    """Return the signed solid angle of spherical triangles of unit vectors, shape (3, n, 3)."""
    a, b, c = corners
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    pairs = [np.einsum("ij,ij->i", u, v) for u, v in ((a, b), (b, c), (c, a))]
    return np.asarray(2 * np.arctan2(volume, 1 + sum(pairs)))


def _first_reversal(time: Array, mean: Array) -> float:
    """Return when the component along the initial direction first vanishes [s], or NaN."""
    along = mean @ mean[0]
    change = np.flatnonzero((along[:-1] > 0) & (along[1:] <= 0))
    if not len(change):
        return float("nan")
    k = int(change[0])
    part = along[k] / (along[k] - along[k + 1])
    return float(time[k] + part * (time[k + 1] - time[k]))


def _rotation(time: Array, angle: Array) -> dict[str, float]:
    """Return the mean turning over the second half of a run, of an angle followed by steps."""
    half = len(time) // 2
    rate = float(np.polyfit(time[half:] - time[half], angle[half:], 1)[0])
    return {
        "angular_frequency": Number(rate, "rad/s", "angular frequency of rotation"),
        "frequency": Number(rate / (2 * np.pi), "Hz", "frequency of rotation"),
        "turns": float((angle[-1] - angle[0]) / (2 * np.pi)),
    }


def undisturbed(rows: Array, stopped: str) -> Array:
    """Return the rows of a wall before the end of the magnet, or another wall, draws it in.

    A wall is drawn towards its image behind a free end as exp(-2d/lambda) of its distance d.  Of
    one that left or met another the last `WALL_REACH` widths of its way are dropped.

    Args:
        rows: Time, position, width, ... of every output, shape (k, 5).
        stopped: Why the run ended.
    """
    if stopped != WALL_STOPS[0] or not len(rows):
        return rows
    far = np.abs(rows[:, 1] - rows[-1, 1]) > WALL_REACH * np.median(np.abs(rows[:, 2]))
    return rows[: np.flatnonzero(far)[-1] + 1] if far.any() else rows[:0]


def _wall_numbers(every: Array, rows: Array) -> dict[str, Any]:
    """Return position, width and tilt at the end, and velocities; nothing without rows.

    `velocity` is the mean over the second half, `final_velocity` over the last output interval;
    the oscillation is what is left of the position after its mean drift over the second half.

    Args:
        every: All rows.
        rows: Those of velocities and of the range of widths, see `undisturbed`.
    """
    if not len(every):
        return {}
    table: dict[str, Any] = {
        "position": float(every[-1, 1]),
        "width": float(every[-1, 2]),
        "tilt": float(every[-1, 3]),
        "displacement": float(every[-1, 1] - every[0, 1]),
    }
    if not len(rows):
        return measured(table, WALL_MEASURES)
    time, position, width, tilt = rows[:, :4].T
    half = len(rows) // 2
    late = slice(half, None)
    table |= {
        "smallest_width": float(width.min()),
        "largest_width": float(width.max()),
        "undisturbed_until": float(time[-1]),
    }
    if len(rows) > 3:
        slope = np.polyfit(time[late] - time[half], position[late], 1)
        table["velocity"] = float((position[-1] - position[half]) / (time[-1] - time[half]))
        table["fitted_velocity"] = float(slope[0])
        table["final_velocity"] = float((position[-1] - position[-2]) / (time[-1] - time[-2]))
        table["largest_velocity"] = float(np.abs(rows[:, 4]).max())
        table["tilt_rate"] = float((tilt[-1] - tilt[half]) / (time[-1] - time[half]))
    return measured(table, WALL_MEASURES)


def texture_facts(system: TextureSystem, motion: Motion | None = None) -> dict[str, Any]:
    """Return facts on mesh and scheme."""
    facts: dict[str, Any] = {
        "nodes": system.space.size,
        "volume": Number(system.space.volume * 1e-27, "m^3", "volume"),
        "spacing": Number(system.space.spacing * 1e-9, "m", "spacing of the nodes"),
    }
    trace = getattr(system.demagnetization, "trace", None)
    if trace is not None:
        facts["sum_of_demagnetizing_factors"] = trace
    if motion is not None:
        facts["scheme"] = type(motion.scheme).__name__
    if system.device is not None:
        problem = system.device.problem
        facts["transport"] = {
            "unknowns": len(problem.constraint.charge),
            "cells": system.device.structure.quality.cells,
        }
    if system.bands is not None:
        u = system.transfer()
        assert u is not None
        facts["bands"] = {
            "p_n": system.bands.p_n,
            "p_m": system.bands.p_m,
            "p_st": system.bands.p_st,
            "tau_sd": Number(system.bands.tau_sd, "s", "spin relaxation time tau_sd"),
            "beta": u.beta,
        }
    return facts
