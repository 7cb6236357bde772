r"""Spin-torque ferromagnetic resonance: the rectified voltage of a texture against the field.

About the equilibrium m_0 in each field, a drive that oscillates as cos wt moves m by
Re(delta exp(iwt)) with, in the plane normal to m_0,

.. math:: [i\omega(1 - \alpha\,m_0\times) - m_0\times(W + \lambda)]\,\delta = \Omega\times m_0 .

The resistance follows (m.k)^2, so that the product with the current cos wt has the mean
:math:`\langle (m_0\cdot k)\,\mathrm{Re}(\delta\cdot k)\rangle` up to a factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.sparse.linalg import spsolve

from .case.texture_drives import Signal
from .dynamics.texture.ferromagnet import Texture
from .dynamics.texture.magnet import Ferromagnet, rate
from .dynamics.texture.vectors import cross, dot
from .errors import CaseError, SolverError
from .results.texture_result import Series
from .texture_motion import relaxed
from .texture_system import TextureSystem
from .units import TIME

__all__ = ["line_shape", "lorentzians", "response"]

Array = NDArray[np.float64]


def line_shape(
    system: TextureSystem, order: Array, progress: Callable[[float], None]
) -> tuple[dict[str, Any], Series, Array]:
    """Return the numbers of the fitted line, the signal against the field, and the last m.

    Args:
        system: A ferromagnet whose alternating drives have sine signals at one frequency.
        order: Where to start, shape (n, 3).
        progress: Called with the fraction that is done.

    Raises:
        CaseError: If no drive alternates, or demagnetization is long-range.
        SolverError: If the line does not fit.
    """
    options = system.table.line_shape
    assert options is not None
    if system.demagnetization is not None:
        raise CaseError("texture.magnetostatics", 'a line shape takes "none" or "thin_film"')
    direction = np.array(options.direction) / np.linalg.norm(options.direction)
    axis = np.array(options.axis) / np.linalg.norm(options.axis)
    strengths = np.linspace(options.low, options.high, options.points)
    rows = []
    m = order
    for k, strength in enumerate(strengths[::-1]):
        field = system.steady_field + strength * direction
        m, _ = relaxed(system, m, field)
        texture = system.ferromagnet(field, driven=False)
        omega = 2 * np.pi * options.frequency * TIME
        delta = response(texture, m, omega, _drive(system, m))
        shift = (m @ axis) * (delta @ axis)
        mean = system.space.volumes @ shift / system.space.volume
        rows.append([strength, mean.real, mean.imag])
        progress((k + 1) / len(strengths))
    found = np.array(rows[::-1])
    numbers = _fitted(found[:, 0], found[:, 1])
    numbers |= _torque_ratio(system, numbers)
    fit = lorentzians(found[:, 0], *(numbers[k] for k in _NAMES))
    heads = ("B [T]", "signal", "out of phase", "fit")
    return numbers, Series("line_shape", heads, np.column_stack([found, fit])), m


def response(texture: Texture, m: Array, omega: float, rotation: Array) -> NDArray[np.complex128]:
    """Return the complex amplitude of m, shape (n, 3), for a small alternating rotation rate.

    Args:
        texture: The magnet in its field, without torques.
        m: Equilibrium, shape (n, 3).
        omega: Angular frequency [rad/ps].
        rotation: Amplitude of Omega [rad/ps], shape (n, 3).
    """
    helper = np.eye(3)[np.argmin(np.abs(m), axis=1)]
    first = cross(helper, m)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = cross(m, first)
    n = len(m)
    rows = 3 * np.arange(n)[:, None, None] + np.arange(3)[None, :, None]
    columns = 2 * np.arange(n)[:, None, None] + np.arange(2)[None, None, :]
    values = np.stack([first, second], axis=2)
    basis = sp.csr_array(
        (values.ravel(), (np.broadcast_to(rows, values.shape).ravel(),
                          np.broadcast_to(columns, values.shape).ravel())), (3 * n, 2 * n)
    )  # fmt: skip
    local = sp.diags_array(np.repeat(dot(m, texture.precession(m))[:, 0], 2))
    restoring = basis.T @ texture.stiffness(m) @ basis + local
    turn = sp.kron(sp.eye_array(n), np.array([[0.0, -1.0], [1.0, 0.0]]), format="csr")
    matrix = 1j * omega * (sp.eye_array(2 * n) - texture.damping * turn) - turn @ restoring
    load = basis.T @ cross(rotation, m).ravel()
    found = basis @ spsolve(sp.csc_array(matrix), load.astype(complex))
    return np.asarray(found).reshape(n, 3)


def _drive(system: TextureSystem, m: Array) -> Array:
    """Return the amplitude of the alternating rotation rate [rad/ps], shape (n, 3)."""
    table, gamma = system.table, system.magnet.gamma
    options = table.line_shape
    assert options is not None
    total, found = np.zeros_like(m), False
    for drive in table.fields:
        if _alternates(drive.signal, options.frequency, "fields"):
            # dm/dt = -gamma m x B is a rotation at the rate gamma B
            total += rate(gamma * np.array(drive.field))
            found = True
    orbit = system.orbit()
    amplitudes = [_peak_rates(system, k) for k in range(len(orbit))]
    for k, torque in enumerate(table.spin_orbit):
        if _alternates(torque.signal, options.frequency, "spin_orbit"):
            p = np.asarray(orbit[k].polarization, float)
            damping, field_like = amplitudes[k]
            total += rate(damping) * cross(m, np.broadcast_to(p, m.shape)) + rate(field_like) * p
            found = True
    if not found:
        raise CaseError("texture.spin_orbit", "nothing alternates; give a drive the signal"
                        ' { shape = "sine", frequency = ... }')  # fmt: skip
    return total


def _peak_rates(system: TextureSystem, index: int) -> tuple[float, float]:
    """Return w_D and w_F [1/s] of a torque without its signal."""
    table = system.table
    drives = [d.model_copy(update={"signal": Signal()}) for d in table.spin_orbit]
    steady = replace(system, table=table.model_copy(update={"spin_orbit": drives}))
    torque = steady.orbit()[index]
    return float(np.asarray(torque.damping_like)), float(np.asarray(torque.field_like))


def _alternates(signal: Signal, frequency: float, where: str) -> bool:
    if signal.shape != "sine":
        return False
    if signal.frequency != frequency:
        problem = f"the drive has {signal.frequency:g} Hz, the line shape {frequency:g} Hz"
        raise CaseError(f"texture.{where}", problem)
    return True


_NAMES = ("symmetric", "antisymmetric", "resonance_field", "linewidth", "offset")


def lorentzians(
    field: Array, symmetric: float, antisymmetric: float, centre: float, width: float,
    offset: float,
) -> Array:  # fmt: skip
    """Return S w^2/(x^2 + w^2) + A x w/(x^2 + w^2) + offset with x = field - centre."""
    x = field - centre
    shape: Array = (symmetric * width**2 + antisymmetric * x * width) / (x**2 + width**2) + offset
    return shape


def _fitted(field: Array, signal: Array) -> dict[str, float]:
    """Return amplitudes, resonance field, half width at half maximum and misfit of a line."""
    size = float(np.ptp(signal))
    if size == 0.0:
        raise SolverError("the signal vanishes: m has no component along the resistance axis, or"
                          " the drive does not turn it")  # fmt: skip
    span = float(np.ptp(field))
    best: tuple[float, Any] | None = None
    for centre in field[np.argsort(-np.abs(signal - np.median(signal)))[:3]]:
        for width in (0.003, 0.02, 0.1):
            start = [size, size, centre, width * span, 0.0]
            try:
                found, _ = curve_fit(lorentzians, field, signal / size,
                                     [1.0, 1.0, *start[2:]], maxfev=20_000)  # fmt: skip
            except RuntimeError:
                continue
            misfit = float(np.abs(lorentzians(field, *found) - signal / size).max())
            if best is None or misfit < best[0]:
                best = (misfit, found)
    if best is None:
        raise SolverError("the line does not fit two Lorentzians; widen the range of the field")
    misfit, (s, a, centre, width, offset) = best
    # A negative width is the same line with the other sign of the antisymmetric part.
    sign = np.sign(width)
    numbers = zip(_NAMES, (s * size, sign * a * size, centre, abs(width), offset * size),
                  strict=True)  # fmt: skip
    return {**{k: float(v) for k, v in numbers}, "misfit": misfit}


def _torque_ratio(system: TextureSystem, numbers: dict[str, float]) -> dict[str, float]:
    """Return B_DL / B_FL of a thin film from the two amplitudes.

    (S/A) sqrt(1 + B_eff/B) (Liu et al., Phys. Rev. Lett. 106, 036601 (2011)), with the easy-plane
    field B_eff; the sign depends on the directions of field and current.
    """
    magnet = system.magnet
    assert isinstance(magnet, Ferromagnet)
    plane = 2 * (magnet.shape_anisotropy if magnet.thin_film else 0.0) / magnet.saturation
    if abs(magnet.axis[2]) == 1.0:
        plane -= 2 * magnet.anisotropy / magnet.saturation
    if plane <= 0 or numbers["antisymmetric"] == 0.0:
        return {}
    ratio = numbers["symmetric"] / numbers["antisymmetric"]
    return {"torque_ratio": ratio * float(np.sqrt(1 + plane / numbers["resonance_field"]))}
