r"""Spin-torque ferromagnetic resonance: the rectified voltage of a texture against the field.

About the equilibrium m_0 in each field, a drive that oscillates as cos wt moves m by
Re(delta exp(iwt)) with, in the plane normal to m_0,

.. math:: [i\omega(1 - \alpha\,m_0\times) - m_0\times(W + \lambda)]\,\delta = \Omega\times m_0 .

A steady damping-like torque -w_D m x (m x p) adds :math:`w_D (m_0\cdot p)\,\delta` on the left.
The resistance follows (m.k)^2, so that the product with the current cos wt has the mean
:math:`\langle (m_0\cdot k)\,\mathrm{Re}(\delta\cdot k)\rangle` up to a factor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.sparse.linalg import spsolve

from ...case.texture_drives import Signal
from ...device.observables.quantity import Measure, measured
from ...errors import CaseError, SolverError
from ...magnets.ferromagnet import Texture
from ...magnets.magnet import rate
from ...magnets.run import relax_texture
from ...magnets.small_motion import DENSE, growth, small_motion
from ...magnets.vectors import cross, dot
from ...results.series import Series
from ...units import RATE, TIME, Array
from .rest import relaxed
from .steady import plain_sine, refuse_what_moves, steady_orbit
from .system import TextureSystem

__all__ = ["line_shape", "lorentzians", "response"]


_MOST_MISFIT = 1e-3  # of the range of the signal
_ALIGNED = 1e-3  # angle [rad] up to which directions count as the same


def line_shape(
    system: TextureSystem, order: Array, progress: Callable[[float], None]
) -> tuple[dict[str, Any], Series, Array, tuple[str, ...]]:
    """Return the numbers of the fitted line, the signal against the field, the last m, warnings.

    Without a resonance within the sweep the numbers are left out, and a warning says why.

    Args:
        system: A ferromagnet whose alternating drives have sine signals at one frequency.
        order: Where to start, shape (n, 3).
        progress: Called with the fraction that is done.

    Raises:
        CaseError: If no drive alternates, one changes otherwise, there is a current, or
            demagnetization is long-range.
        SolverError: If a steady torque makes the state unstable, or the line does not fit.
    """
    options = system.table.line_shape
    assert options is not None
    if system.demagnetization is not None:
        raise CaseError("texture.magnetostatics", 'a line shape takes "none" or "thin_film"')
    refuse_what_moves(system, "a line shape", options.frequency)
    drive = _drive(system)
    rest = _AtRest(system)
    direction = np.array(options.direction) / np.linalg.norm(options.direction)
    axis = np.array(options.axis) / np.linalg.norm(options.axis)
    if system.rehearsal:
        names = (*_NAMES, "misfit", "torque_ratio")
        numbers = measured(dict.fromkeys(names, 0.0), _MEASURES)
        return numbers, Series("line_shape", (), np.zeros((0, 0))), order, ()
    strengths = np.linspace(options.low, options.high, options.points)
    omega = 2 * np.pi * options.frequency * TIME
    rows, means = [], []
    m = order
    for k, strength in enumerate(strengths[::-1]):
        m, texture = rest.at(strength * direction, m)
        delta = response(texture, m, omega, drive.rotation(m))
        mean = system.space.mean((m @ axis) * (delta @ axis))
        rows.append([strength, mean.real, mean.imag])
        means.append(system.space.mean(m))
        progress((k + 1) / len(strengths))
    found = np.array(rows[::-1])
    numbers = _fitted(found[:, 0], found[:, 1])
    fit = lorentzians(found[:, 0], *(numbers[k] for k in _NAMES))
    heads = ("B [T]", "signal", "out of phase", "fit")
    curve = Series("line_shape", heads, np.column_stack([found, fit]))
    problem = _no_line(numbers, options.low, options.high)
    if problem:
        warning = (
            f"{', '.join(_NAMES)} are left out: {problem}; sweep texture.line_shape.low and"
            " high across the resonance"
        )
        return {"misfit": numbers["misfit"]}, curve, m, (warning,)
    numbers |= _torque_ratio(rest, drive, numbers, strengths, np.array(means[::-1]))
    numbers = measured(numbers, _MEASURES)
    return numbers, curve, m, ()


def _no_line(numbers: dict[str, float], low: float, high: float) -> str:
    """Return why a fit is not that of a line within the sweep, empty where it is."""
    centre, width, misfit = (numbers[k] for k in ("resonance_field", "linewidth", "misfit"))
    if not low <= centre <= high:
        return (
            f"the fitted resonance field, {centre:.4g} T, lies outside the sweep from {low:g} to {high:g} T"
        )
    if width > high - low:
        return f"the fitted linewidth, {width:.4g} T, exceeds the sweep of {high - low:g} T"
    if misfit > _MOST_MISFIT:
        return (
            f"the line misses the signal by {misfit:.2g} of its range (allowed"
            f" {_MOST_MISFIT:g}): it is no line of one resonance"
        )
    return ""


class _AtRest:
    """The magnet of a case at rest under its steady drives and a swept field."""

    def __init__(self, system: TextureSystem) -> None:
        self.steady, self.system = steady_orbit(system)
        self.torques = self.system.orbit()
        if self.torques and 2 * system.space.size > DENSE:
            raise CaseError(
                "texture.spin_orbit",
                "a steady damping-like torque needs a mesh of"
                f" at most {DENSE // 2} nodes in a line shape, where the stability of"
                " the state is checked",
            )

    def at(self, field: Array, m: Array) -> tuple[Array, Texture]:
        """Return m at rest in a field [T] more, near a texture, and the equation of motion.

        Raises:
            SolverError: If there is no state at rest, or it is unstable.
        """
        total = self.steady + field
        texture = self.system.ferromagnet(total, driven=False).with_torques(*self.torques)
        if self.torques:
            m = relax_texture(texture, m, self.system.table.relax_torque, stays=False)
        else:
            m, _ = relaxed(self.system, m, total)
        if self.torques and growth(texture, m) >= 0:
            raise SolverError(
                f"m is unstable at a field of {np.linalg.norm(field):g} T under the"
                " steady damping-like torque: it oscillates by itself"
            )
        return m, texture


def response(texture: Texture, m: Array, omega: float, rotation: Array) -> NDArray[np.complex128]:
    """Return the complex amplitude of m, shape (n, 3), for a small alternating rotation rate.

    Args:
        texture: The magnet in its field; of torques it may have steady spin-orbit torques.
        m: Equilibrium, shape (n, 3).
        omega: Angular frequency [rad/ps].
        rotation: Amplitude of Omega [rad/ps], shape (n, 3).
    """
    basis, inertia, motion = small_motion(texture, m)
    load = basis.T @ cross(rotation, m).ravel()
    matrix = sp.csc_array(1j * omega * inertia - motion)
    found = basis @ spsolve(matrix, load.astype(complex))
    return np.asarray(found).reshape(len(m), 3)


@dataclass(frozen=True)
class _Drive:
    """Alternating torques: Omega = m x d + f, with d and f in rad/ps, shapes (3,)."""

    damping_like: Array
    field_like: Array

    def rotation(self, m: Array) -> Array:
        """Return the amplitude of Omega [rad/ps], shape (n, 3)."""
        return cross(m, np.broadcast_to(self.damping_like, m.shape)) + self.field_like


def _drive(system: TextureSystem) -> _Drive:
    """Return the amplitudes of all drives with a sine signal.

    Raises:
        CaseError: If there is none.
    """
    table, gamma = system.table, system.magnet.gamma
    damping, field, found = np.zeros(3), np.zeros(3), False
    for drive in table.fields:
        if plain_sine(drive.signal):
            # dm/dt = -gamma m x B is a rotation at the rate gamma B
            field += rate(gamma * np.array(drive.field))
            found = True
    steady = [d.model_copy(update={"signal": Signal()}) for d in table.spin_orbit]
    peak = replace(system, table=table.model_copy(update={"spin_orbit": steady})).orbit()
    for given, torque in zip(table.spin_orbit, peak, strict=True):
        if plain_sine(given.signal):
            p, w_d, w_f = torque.rates(0.0)
            damping, field, found = damping + w_d * p, field + w_f * p, True
    if not found:
        raise CaseError(
            "texture.spin_orbit",
            'nothing alternates; give a drive the signal { shape = "sine", frequency = ... }',
        )
    return _Drive(damping, field)


_NAMES = ("symmetric", "antisymmetric", "resonance_field", "linewidth", "offset")
_MEASURES = {
    "resonance_field": Measure("T", "resonance field"),
    "linewidth": Measure("T", "half width at half maximum"),
    "symmetric": Measure("", "symmetric amplitude"),
    "antisymmetric": Measure("", "antisymmetric amplitude"),
    "offset": Measure("", "offset of the line"),
    "misfit": Measure("", "misfit of the line"),
    "torque_ratio": Measure("", "torque ratio B_DL/B_FL"),
}


def lorentzians(
    field: Array, symmetric: float, antisymmetric: float, centre: float, width: float, offset: float
) -> Array:
    """Return S w^2/(x^2 + w^2) + A x w/(x^2 + w^2) + offset with x = field - centre."""
    x = field - centre
    shape: Array = (symmetric * width**2 + antisymmetric * x * width) / (x**2 + width**2) + offset
    return shape


def _fitted(field: Array, signal: Array) -> dict[str, float]:
    """Return amplitudes, resonance field, half width at half maximum and misfit of a line."""
    size = float(np.ptp(signal))
    if size == 0.0:
        raise SolverError(
            "the signal vanishes: m has no component along the resistance axis, or the drive does not turn it"
        )
    span = float(np.ptp(field))
    best: tuple[float, Any] | None = None
    for centre in field[np.argsort(-np.abs(signal - np.median(signal)))[:3]]:
        for width in (0.003, 0.02, 0.1):
            start = [size, size, centre, width * span, 0.0]
            try:
                found, _ = curve_fit(lorentzians, field, signal / size, [1.0, 1.0, *start[2:]], maxfev=20_000)
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
    numbers = zip(_NAMES, (s * size, sign * a * size, centre, abs(width), offset * size), strict=True)
    return {**{k: float(v) for k, v in numbers}, "misfit": misfit}


def _torque_ratio(
    rest: _AtRest, drive: _Drive, numbers: dict[str, float], strengths: Array, means: Array
) -> dict[str, float]:
    r"""Return B_DL / B_FL from the two amplitudes, nothing where the formula does not hold.

    With tangent vectors 1 along the damping-like torque and 2 = m x 1, and the stiffness fields
    B_ab of uniform turns at resonance,

    .. math:: B_{DL}/B_{FL} = \frac{S B_{22}}{A\omega/\gamma + S B_{12}}

    which is (S/A) sqrt(B_22/B_11) without B_12, and (S/A) sqrt(1 + B_eff/B) of a thin film (Liu
    et al., Phys. Rev. Lett. 106, 036601 (2011)).  It needs a uniform m that does not turn along
    the line, one axis of both torques and the resistance normal to m, and no steady damping-like
    torque, which would mix S and A.
    """
    options = rest.system.table.line_shape
    assert options is not None
    centre = numbers["resonance_field"]
    if rest.torques or not options.low <= centre <= options.high:
        return {}
    away = np.abs(strengths - centre)
    near = away <= max(2 * numbers["linewidth"], float(away.min()))
    unit = means[np.argmin(away)]
    direction = np.array(options.direction) / np.linalg.norm(options.direction)
    start = np.tile(unit / np.linalg.norm(unit), (rest.system.space.size, 1))
    m, texture = rest.at(centre * direction, start)
    turned = np.linalg.norm(np.concatenate([means[near], m]) - m[0], axis=1)
    first = _common_axis(m[0], drive, np.array(options.axis))
    if first is None or turned.max() > _ALIGNED:
        return {}
    second = np.cross(m[0], first)
    stiff = _stiffness_fields(texture, m, second)
    quotient = 2 * np.pi * options.frequency / texture.gamma * numbers["antisymmetric"]
    below = np.sign(m[0] @ direction) * quotient + numbers["symmetric"] * (stiff @ first)
    return {"torque_ratio": float(numbers["symmetric"] * (stiff @ second) / below)}


def _common_axis(m: Array, drive: _Drive, axis: Array) -> Array | None:
    """Return the unit vector normal to m along both torques and the resistance, None without."""
    damping, field, seen = (v - m * (m @ v) for v in (drive.damping_like, drive.field_like, axis))
    size = max(float(np.linalg.norm(damping)), float(np.linalg.norm(field)))
    if np.linalg.norm(field) <= _ALIGNED * size or np.linalg.norm(seen) <= _ALIGNED:
        return None
    first: Array = field / np.linalg.norm(field)
    if np.linalg.norm(damping) > _ALIGNED * size:
        first = damping / np.linalg.norm(damping)
    off = [np.linalg.norm(np.cross(first, v)) / np.linalg.norm(v) for v in (field, seen)]
    return None if max(off) > _ALIGNED else first


def _stiffness_fields(texture: Texture, m: Array, turned: Array) -> Array:
    """Return the field [T] against a uniform deviation of m, per unit of it, shape (3,)."""
    local = dot(m, texture.precession(m))
    deviation = np.broadcast_to(turned, m.shape)
    against = (texture.stiffness(m) @ deviation.ravel()).reshape(m.shape) + local * deviation
    mean: Array = texture.volumes @ against / texture.volumes.sum()
    return mean * RATE / texture.gamma
