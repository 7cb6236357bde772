"""What acts on a texture that rests: drives that do not change, and sines of one frequency."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...case.texture_drives import Signal
from ...errors import CaseError
from ...magnets.torques import SpinOrbitTorque
from ...units import Array
from .system import TextureSystem

__all__ = ["acts_damping_like", "at_full_strength", "plain_sine", "refuse_what_moves", "steady_orbit"]


def refuse_what_moves(system: TextureSystem, name: str, frequency: float | None = None) -> None:
    """Refuse what an analysis of rest states would leave out without a word.

    Args:
        system: The magnet and its drives.
        name: What the message calls the analysis.
        frequency: Of the sine [Hz] that drives may have; None allows constant drives alone.

    Raises:
        CaseError: If there is a current, a temperature or a signal of another kind.
    """
    table = system.table
    if table.current is not None:
        raise CaseError(
            "texture.current", f'{name} takes no current in the magnet; drop it, or use analysis = "run"'
        )
    if table.temperature is not None:
        raise CaseError(
            "texture.temperature", f'{name} is that of the magnet at rest; drop it, or use analysis = "run"'
        )
    for k, drive in enumerate(table.fields):
        _check_signal(drive.signal, f"texture.fields.{k}.signal", name, frequency)
    for k, torque in enumerate(table.spin_orbit):
        _check_signal(torque.signal, f"texture.spin_orbit.{k}.signal", name, frequency)


def at_full_strength(system: TextureSystem, name: str) -> TextureSystem:
    """Return the system under drives that have come to their full strength and do not change.

    Args:
        system: The magnet and its drives.
        name: What the message calls the analysis.

    Raises:
        CaseError: If there is a temperature, or a drive that does not stay as it is.
    """
    table, still = system.table, {"signal": Signal()}
    if table.temperature is not None:
        raise CaseError("texture.temperature", f"{name} is that of the magnet at rest; drop it")
    changed: dict[str, Any] = {}
    for key in ("fields", "spin_orbit"):
        drives = getattr(table, key)
        for k, drive in enumerate(drives):
            _check_stays(drive.signal, f"texture.{key}.{k}.signal", name)
        changed[key] = [drive.model_copy(update=still) for drive in drives]
    for key in ("current", "transport"):
        drive = getattr(table, key)
        if drive is not None:
            _check_stays(drive.signal, f"texture.{key}.signal", name)
            changed[key] = drive.model_copy(update=still)
    if system.coupled is not None:
        system.coupled.signal = None
    return replace(system, table=table.model_copy(update=changed))


def _check_stays(signal: Signal, path: str, name: str) -> None:
    if signal.shape != "constant":
        raise CaseError(
            path,
            f"{name} takes drives that stay as they are, at their full strength;"
            f' got shape = "{signal.shape}"',
        )


def plain_sine(signal: Signal) -> bool:
    """Return whether a drive is sin(2 pi f t) from the start on."""
    since = (signal.start, signal.rise, signal.phase)
    return signal.shape == "sine" and since == (0.0, 0.0, 0.0)


def _check_signal(signal: Signal, path: str, name: str, frequency: float | None) -> None:
    if signal.constant:
        return
    if frequency is None:
        raise CaseError(
            path, f'{name} takes drives that do not change; drop the signal, or use analysis = "run"'
        )
    if not plain_sine(signal):
        raise CaseError(
            path,
            f"{name} takes drives that do not change, and sines in phase with"
            " the current; drop start, rise and phase, and other shapes",
        )
    if signal.frequency != frequency:
        problem = f"the drive has {signal.frequency:g} Hz, {name} {frequency:g} Hz"
        raise CaseError(f"{path}.frequency", problem)


def acts_damping_like(torque: SpinOrbitTorque) -> bool:
    """Return whether a torque has a damping-like part."""
    return callable(torque.damping_like) or bool(np.any(torque.damping_like))


def steady_orbit(system: TextureSystem) -> tuple[Array, TextureSystem]:
    """Return the steady field [T] with field-like torques, and the system with the other torques.

    A steady field-like torque -w_F m x p is that of the field (w_F/gamma) p, exactly; the system
    that is returned keeps the steady damping-like torques alone.

    Raises:
        CaseError: If a field-like torque is staggered.
    """
    table = system.table
    field, kept = system.steady_field, []
    for k, drive in enumerate(table.spin_orbit):
        if not drive.signal.constant:
            continue
        torque = system.orbit()[k]
        if drive.field_along_moments and drive.staggered:
            raise CaseError(
                f"texture.spin_orbit.{k}.staggered",
                'a loop takes no staggered field-like torque; use analysis = "relax" or "run"',
            )
        field = field + drive.field_along_moments * np.asarray(torque.polarization, float)
        if acts_damping_like(torque):
            kept.append(drive.model_copy(update={"field_like": 0.0, "field_like_torque": None}))
    return field, replace(system, table=table.model_copy(update={"spin_orbit": kept}))
