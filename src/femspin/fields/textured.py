"""Transport coefficients of a region whose moments point in many directions at once.

Every tensor of `region_fields` that depends on the direction of the moments gets the leading
axes of the directions; what does not keeps its shape.  No loop runs over directions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..case.schema import Kondo
from ..materials.parameters import RegionParameters
from ..units import E_CHARGE, HBAR, K_B, MU_B, Array
from . import build
from .build import Conditions, moment_direction, region_fields
from .hall import ThetaMode, polarised, response, response_matrix
from .kondo import MomentState, bracket, curie_temperature, moments_lost, rotation, spinodal_point
from .region import RegionFields
from .soc import cross_matrix

__all__ = ["brillouin_array", "mean_spins", "textured_fields", "textured_response"]


_SERIES = (4 / 18243225, -1382 / 638512875, 2 / 93555, -1 / 4725, 2 / 945, -1 / 45)


def textured_fields(parameters: RegionParameters, conditions: Conditions, m: ArrayLike) -> RegionFields:
    """Return the coefficients of one conducting region for an array of directions.

    Tensors that vary have the leading axes of `m`: with (cells, 1, 3) or (cells, points, 3) they
    are what the elements take.  `moments` is kept only where all directions share it.

    Args:
        parameters: Completed region.
        conditions: Temperature, magnetic and electric field.
        m: Directions of the moments, shape (..., 3); they are normalized.

    Raises:
        ValueError: As `response_polarised`.
        CaseError: If moments cannot stay along a direction against the field.

    References:
        PRB 108, 125309 (2023), Eqs. (4)-(15), (26)-(31); errata E4, E9, E25, E28.
    """
    unit = np.asarray(m, float)
    unit = unit / np.linalg.norm(unit, axis=-1, keepdims=True)
    axis = moment_direction(parameters, conditions, unit)
    base = region_fields(parameters, conditions, axis.reshape(-1, 3)[0])
    if axis.ndim == 1:  # the moments follow the field: nothing varies
        return base
    region, b = parameters.region, np.asarray(conditions.magnetic_field, float)
    turn = rotation(region.kondo.rotation if region.kondo else (0.0, 0.0, 0.0))
    seen = axis @ turn
    state = base.moments
    if state is not None and b.any():
        state = _states(parameters, axis @ b, conditions.temperature)
    omega, moment_omega = build._omega(parameters, state, seen, b)
    relaxation, moment_relaxation = build._relaxation(parameters, conditions, state, seen)
    hall, larmor, spin_hall = build._angles(parameters, base.gauge, omega, b)
    polarisation = build._polarisation(parameters, seen)
    onsager = conditions.onsager and polarisation.any()
    theta = textured_response(hall, larmor, spin_hall, region.theta_mode, polarisation if onsager else None)
    override = region.override
    own = override.electric_field if override is not None else None
    fields = replace(
        base,
        omega=omega,
        relaxation=relaxation,
        theta=theta,
        moment_omega=moment_omega,
        moment_relaxation=moment_relaxation,
        moments=base.moments if not b.any() else None,
        m=seen if base.m is not None else None,
    )
    force = conditions.electric_field if own is None else np.array(own)
    return _driven(fields, force, np.zeros(3) if onsager else polarisation)


def _driven(fields: RegionFields, electric_field: Array, polarisation: Array) -> RegionFields:
    """Return the fields with s^{j0} = sigma_c E^j / q, s^{ja} = P^a s^{j0}."""
    charge = -fields.conductivity / E_CHARGE * np.asarray(electric_field, float)
    drift = np.zeros((*polarisation.shape[:-1], 3, 4))
    drift[..., 0] = charge
    drift[..., 1:] = charge[:, None] * polarisation[..., None, :]
    return replace(fields, drift=drift)


def textured_response(
    hall: Array, larmor: Array, spin_hall: Array, mode: ThetaMode, polarisation: Array | None = None
) -> Array:
    """Return Theta for arrays of Larmor angles or polarisations, shape (..., 12, 12).

    Args:
        hall: theta^0_k, shape (3,).
        larmor: theta_L^a, shape (..., 3).
        spin_hall: theta_C^{ka}, shape (3, 3).
        mode: See `response`.
        polarisation: P^a of the Onsager-symmetric form, shape (..., 3); None for the other.

    Raises:
        ValueError: For |P| >= 1.

    References:
        PRB 108, 125309 (2023), Eqs. (26), (27), (31); errata E8, E9.
    """
    if polarisation is not None:
        if mode in ("hall", "eq38"):
            larmor, spin_hall = np.zeros(3), np.zeros((3, 3))
        return polarised(polarisation, _matrix(hall, larmor, spin_hall), mode)
    if mode in ("eq38", "hall") or not larmor.any():
        return response(hall, (0.0, 0.0, 0.0), spin_hall, mode)
    matrix = _matrix(hall, larmor, spin_hall)
    if mode == "first":
        return 2 * np.eye(12) - matrix
    return np.asarray(np.linalg.inv(matrix), float)


def _matrix(hall: Array, larmor: Array, spin_hall: Array) -> Array:
    """Return M of M J = f, shape (..., 12, 12)."""
    fixed = response_matrix(hall, (0.0, 0.0, 0.0), spin_hall)
    matrix = np.broadcast_to(fixed, (*larmor.shape[:-1], 12, 12)).copy()
    precession = cross_matrix(larmor)
    for i in range(3):
        spin = slice(4 * i + 1, 4 * i + 4)
        matrix[..., spin, spin] -= precession
    return matrix


def _states(parameters: RegionParameters, along: Array, temperature: float) -> MomentState:
    """Return the states of moments that feel different field components `along` them [T].

    Its rates have the shape of `along` with two axes appended, its precession with one, so that
    they multiply tensors and vectors.

    Raises:
        CaseError: If some moments cannot stay along their direction against the field.
    """
    k: Any = parameters.region.kondo
    assert isinstance(k, Kondo)
    assert k.spin is not None
    assert k.moment_density is not None
    S, exchange, coupling = k.spin, build._exchange(k), build._coupling(k)
    zeeman = k.g_factor * MU_B * along
    s = mean_spins(temperature, S, exchange, zeeman)
    if np.isnan(s).any():
        worst = float(along.flat[np.argmin(zeeman)])
        raise moments_lost(temperature, S, exchange, worst, k.g_factor, parameters.name)
    splitting = np.where(s > 0, zeeman + exchange * s, 0.0)
    flip, squared = _thermal_weights(splitting / (K_B * temperature), s, S)
    prefactor = 2 * np.pi / HBAR * k.moment_density * parameters.dos * coupling**2
    parallel = prefactor * flip
    perpendicular = 0.5 * parallel + 0.5 * prefactor * squared
    found: dict[str, Any] = {
        "spin": s,
        "splitting": splitting,
        "spin_squared": squared,
        "rate_parallel": parallel[..., None, None],
        "rate_perpendicular": perpendicular[..., None, None],
        "precession": (k.moment_density * coupling / HBAR * s)[..., None],
        "curie": curie_temperature(exchange, S),
        "exchange_energy": k.moment_density * coupling,
    }
    return MomentState(**found)


def brillouin_array(x: Array, S: float) -> Array:
    """Return S B_S of an array; see `brillouin`.

    References:
        PRB 108, 125309 (2023), below Eq. (5).
    """
    return (S + 0.5) * _langevin((S + 0.5) * x) - 0.5 * _langevin(0.5 * x)


def _langevin(z: Array) -> Array:
    """Return coth z - 1/z to full precision."""
    large = np.abs(z) > 0.2
    safe = np.where(large, z, 1.0)
    return np.where(large, 1 / np.tanh(safe) - 1 / safe, z / 3 - _series(z, large))


def _series(z: Array, large: Any) -> Array:
    """Return z/3 - (coth z - 1/z) where z is not large."""
    z = np.where(large, 0.0, z)
    w = z * z
    series = np.zeros_like(w)
    for c in _SERIES:
        series = series * w + c
    return -z * w * series


def _zeeman_argument(x: Array, weiss: float, S: float) -> Array:
    """Return y = x - weiss S B_S(x), near T_C without the cancellation of its linear terms."""
    linear = 1 - weiss * S * (S + 1) / 3
    if abs(linear) > 0.5:
        return x - weiss * brillouin_array(x, S)
    bend = (S + 0.5) * _langevin_bend((S + 0.5) * x) - 0.5 * _langevin_bend(0.5 * x)
    return linear * x + weiss * bend


def _langevin_bend(z: Array) -> Array:
    """Return z/3 - (coth z - 1/z), where z is small to full precision."""
    large = np.abs(z) > 0.2
    return np.where(large, z / 3 - _langevin(z), _series(z, large))


def mean_spins(temperature: float, S: float, exchange: float, zeeman: Array) -> Array:
    """Return s >= 0 of `mean_spin` for an array of Zeeman splittings [J], to round-off.

    Like there nan marks splittings at which no moment s >= 0 exists.

    Args:
        temperature: T [K], > 0.
        S: Spin of a moment.
        exchange: Weiss exchange J0 [J].
        zeeman: g mu_B B along the moment [J], any shape.

    References:
        PRB 108, 125309 (2023), mean field of Eq. (2); errata E31.
    """
    kT = K_B * temperature
    y, weiss = np.asarray(zeeman, float) / kT, exchange / kT
    start, end = spinodal_point(weiss, S)
    gone, free = y < end, (y == 0) & (start == 0)
    safe = np.where(gone | free, 1.0, y)
    low, high = bracket(safe, weiss, S, start)
    while True:
        middle = 0.5 * (low + high)
        if not np.any((low < middle) & (middle < high)):  # neighbouring numbers
            break
        above = _zeeman_argument(middle, weiss, S) > safe
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    s = brillouin_array(high, S)
    s = np.where(s > S * (1 - 4 * np.finfo(float).eps), S, s)
    return np.where(gone, np.nan, np.where(free, 0.0, s))


def _thermal_weights(x: Array, s: Array, S: float) -> tuple[Array, Array]:
    """Return x s / (4 sinh^2(x/2)) and <S_par^2> = S(S+1) - s coth(x/2)."""
    full, q = S * (S + 1), 2 * S * S + 2 * S + 1
    y = np.clip(x, 1e-4, 600.0)
    flip = np.where(x > 600, 0.0, y * s / (4 * np.sinh(y / 2) ** 2))
    squared = np.where(x > 600, full - s, full - s / np.tanh(y / 2))
    tiny = x < 1e-4
    return (
        np.where(tiny, full / 3 * (1 - x * x * (1 / 12 + q / 30)), flip),
        np.where(tiny, full / 3 * (1 - x * x * (1 / 6 - q / 15)), squared),
    )
