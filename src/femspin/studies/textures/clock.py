r"""What sets the time steps of a texture: where its drives are not smooth, and how fast they act.

The rates of an antiferromagnet follow from the equation of motion of an angle of n,

.. math:: \ddot\varphi + \Gamma\dot\varphi + \tfrac12\omega_0^2\sin 2\varphi
    = \frac{a}{s} w_D + \frac{a}{s} w_F\cos\varphi, \qquad \Gamma = \alpha a / s .
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...case.texture import Texture as TextureTable
from ...case.texture_drives import Signal
from ...magnets.antiferromagnet import AntiferroTexture
from ...units import TIME, Array
from .system import TextureSystem

__all__ = ["drive_breaks", "drive_signals", "longest_step", "resonance_rate", "rotor_rate"]


_PARTS = 20  # steps in a period of a sine, at least


def drive_signals(table: TextureTable) -> list[Signal]:
    """Return the signals of all drives of a [texture]."""
    drives: list[Any] = [*table.fields, *table.spin_orbit, table.current, table.transport]
    return [drive.signal for drive in drives if drive is not None]


def drive_breaks(table: TextureTable) -> Array:
    """Return the times [ps] where a drive is not smooth, ascending."""
    times = {b for signal in drive_signals(table) for b in signal.breaks}
    return np.array(sorted(times)) / TIME


def longest_step(table: TextureTable) -> float:
    """Return the longest step [ps] that sees every sine; infinite without one."""
    fastest = max((s.frequency or 0.0 for s in drive_signals(table)), default=0.0)
    return 1 / (_PARTS * fastest * TIME) if fastest else np.inf


def resonance_rate(texture: AntiferroTexture) -> float:
    """Return the resonance of the easy axis of an antiferromagnet [1/ps], zero without one."""
    magnet = texture.magnet
    return magnet.resonance * TIME if magnet.anisotropy > 0 else 0.0


def rotor_rate(system: TextureSystem, texture: AntiferroTexture) -> float:
    """Return the rate [1/ps] that a step of the rotor scheme has to resolve.

    The stiffest uniform mode in the field, the damping, sines of the drives, and the rotation
    that torques can drive until the end of the run.
    """
    magnet, turn = texture.magnet, texture.stiffness_rate
    weak = float(np.linalg.norm(magnet.homogeneous_dmi)) ** 2 / (2 * magnet.homogeneous_exchange)
    local = abs(magnet.anisotropy) + abs(magnet.hard_anisotropy) + weak
    stiffest = np.sqrt(2 * local * magnet.homogeneous_exchange) / magnet.spin_density * TIME
    sines = [2 * np.pi * (s.frequency or 0.0) * TIME for s in drive_signals(system.table)]
    return float(
        max(
            stiffest + _field_rate(system) + _torque_rate(system, texture), magnet.damping * turn, *sines, 0.0
        )
    )


def _field_rate(system: TextureSystem) -> float:
    """Return gamma B [1/ps] of all fields at their largest, field-like torques included."""
    table, gamma = system.table, system.magnet.gamma * TIME
    fields = [np.linalg.norm(d.field) * d.signal.largest for d in table.fields]
    alike = [abs(d.field_along_moments) * d.signal.largest for d in table.spin_orbit if not d.staggered]
    return float(gamma * (sum(fields) + sum(alike)))


def _torque_rate(system: TextureSystem, texture: AntiferroTexture) -> float:
    """Return how fast torques at their largest may turn n [1/ps]."""
    total = 0.0
    drives = [d.model_copy(update={"signal": Signal()}) for d in system.table.spin_orbit]
    steady = replace(system, table=system.table.model_copy(update={"spin_orbit": drives}))
    for drive, torque in zip(system.table.spin_orbit, steady.orbit(), strict=True):
        _, damping_like, field_like = (
            float(np.abs(x).max()) * drive.signal.largest for x in torque.rates(0.0)
        )
        if drive.staggered:
            total += damping_like + np.sqrt(texture.stiffness_rate * field_like)
        else:
            total += _rotation_rate(system, texture, damping_like, drive.signal)
    return float(total)


def _rotation_rate(system: TextureSystem, texture: AntiferroTexture, torque: float, signal: Signal) -> float:
    """Return how fast w_D [1/ps] may turn n: only above a threshold does n keep rotating."""
    push = texture.stiffness_rate * torque
    if push <= 0.5 * resonance_rate(texture) ** 2:
        return float(np.sqrt(push))
    acts = min(system.table.duration, signal.length or np.inf) / TIME
    decay = texture.magnet.damping * texture.stiffness_rate
    return float(push * min(acts, 1 / decay if decay > 0 else np.inf))
