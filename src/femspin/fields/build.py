"""From the parameters of a region and the outer conditions to its transport coefficients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..case.schema import Case, Kondo
from ..dual import Dual, as_array, change_of, stacked
from ..materials.parameters import RegionParameters
from ..units import HBAR, MU_B, Array
from .hall import hall_angle, isotropic_spin_hall, response, response_polarised
from .kondo import MomentState, curie_temperature, exchange_from_curie, kondo, relaxation_tensor, rotation
from .region import RegionFields
from .soc import curvature_spin_hall, gauge_field, velocity_matrix

__all__ = ["Conditions", "case_conditions", "moment_direction", "region_fields", "turns"]


@dataclass(frozen=True)
class Conditions:
    """Outer conditions, in SI.

    Args:
        temperature: T [K].
        magnetic_field: B [T], shape (3,).
        electric_field: Prescribed uniform E [V/m], shape (3,); zero if electrodes drive.
        onsager: Use the Onsager-symmetric form of a conductivity polarisation; the paper's
            leaves spin currents in equilibrium.
    """

    temperature: float = 300.0
    magnetic_field: Array = field(default_factory=lambda: np.zeros(3))
    electric_field: Array = field(default_factory=lambda: np.zeros(3))
    onsager: bool = True


def _moments(parameters: RegionParameters, along: Any, temperature: float) -> MomentState | None:
    """Return the thermal state of a region's moments with field components `along` them [T]."""
    k = parameters.region.kondo
    if k is None:
        return None
    assert k.spin is not None
    assert k.moment_density is not None
    return kondo(
        temperature,
        k.spin,
        k.moment_density,
        parameters.dos,
        _coupling(k),
        _exchange(k),
        along,
        k.g_factor,
        parameters.name,
    )


def _coupling(k: Kondo) -> Any:
    if k.coupling is not None:
        return k.coupling
    assert k.exchange_energy is not None
    assert k.moment_density is not None
    return k.exchange_energy / k.moment_density


def _exchange(k: Kondo) -> Any:
    if k.exchange is not None:
        return k.exchange
    assert k.spin is not None
    return exchange_from_curie(k.curie_temperature, k.spin) if k.curie_temperature else 0.0


def case_conditions(case: Case) -> Conditions:
    """Return the temperature and fields of a case, and the form of its polarisation."""
    drive, form = case.drive, case.solver.polarisation_form
    return Conditions(
        temperature=drive.temperature,
        magnetic_field=stacked(drive.magnetic_field or [0.0, 0.0, 0.0]),
        electric_field=stacked(drive.electric_field or [0.0, 0.0, 0.0]),
        onsager=form != "paper",
    )


def moment_direction(parameters: RegionParameters, conditions: Conditions, m: Array) -> Array:
    """Return the direction of a region's moments, shape (3,), before the rotation R.

    Ordered moments follow the magnetization `m`; moments above their ordering temperature
    follow the magnetic field, whatever the magnetization of the neighbour does.
    """
    b = as_array(conditions.magnetic_field, float)
    size: Any = np.linalg.norm(b)
    if follows_magnetization(parameters, conditions):
        return m
    if size > 0:
        return as_array(b / size)
    # A field that sets in turns them at once: a kink.
    turns = np.where(change_of(b).any(axis=1), np.nan, 0.0)
    return as_array(Dual(m, np.multiply.outer(turns, np.ones_like(m)))) if isinstance(b, Dual) else m


def follows_magnetization(parameters: RegionParameters, conditions: Conditions) -> bool:
    """Return whether moments are part of the magnetization: below their ordering temperature.

    Moments without a temperature of their own, given by their effects alone, are.
    """
    k = parameters.region.kondo
    if k is None or k.spin is None:
        return True
    return curie_temperature(_exchange(k), k.spin) > conditions.temperature


def turns(parameters: RegionParameters, conditions: Conditions) -> bool:
    """Return whether the coefficients of a region change with the direction of the magnetization."""
    region = parameters.region
    polarisations = (region.polarisation, None if region.override is None else region.override.polarisation)
    axis = _has_axis(parameters) or any(not isinstance(p, list | None) for p in polarisations)
    return axis and (not np.any(conditions.magnetic_field) or follows_magnetization(parameters, conditions))


def region_fields(
    parameters: RegionParameters, conditions: Conditions, m: Array | None = None
) -> RegionFields:
    """Return the coefficients of one conducting region for the magnetization direction `m`.

    Tensors that vary with an array of directions have its leading axes: with (cells, 1, 3) or
    (cells, points, 3) they are what the elements take.

    Args:
        parameters: Completed region.
        conditions: Temperature, magnetic and electric field.
        m: Direction of the moments (along the field they feel), shape (..., 3), normalized here;
            default z.

    Raises:
        ValueError: As `response_polarised`.
        CaseError: If moments cannot stay along a direction against the field.

    References:
        PRB 108, 125309 (2023), Eqs. (4)-(15), (26)-(31); errata E4, E9, E25, E28.
    """
    region, b = parameters.region, as_array(conditions.magnetic_field, float)
    m = np.array([0.0, 0.0, 1.0]) if m is None else np.asarray(m, float)
    m = m / np.linalg.norm(m, axis=-1, keepdims=True)
    axis = moment_direction(parameters, conditions, m)
    turn = rotation(region.kondo.rotation if region.kondo else (0.0, 0.0, 0.0))
    seen = axis @ turn
    moments = _moments(parameters, axis @ b if b.any() else 0.0, conditions.temperature)
    gauge = _gauge(parameters)
    omega, moment_omega = _omega(parameters, moments, seen, b)
    relaxation, moment_relaxation = _relaxation(parameters, conditions, moments, seen)
    hall, larmor, spin_hall = _angles(parameters, gauge, omega, b)
    polarisation = _polarisation(parameters, seen)
    if conditions.onsager and polarisation.any():
        theta = response_polarised(polarisation, hall, larmor, spin_hall, region.theta_mode)
        drift_polarisation = np.zeros(3)  # Theta itself spin-polarises the drift current
    else:
        theta = response(hall, larmor, spin_hall, region.theta_mode)
        drift_polarisation = polarisation
    fields = RegionFields(
        name=parameters.name,
        dos=parameters.dos,
        diffusion=parameters.diffusion,
        gauge=gauge,
        omega=omega,
        relaxation=relaxation,
        theta=theta,
        rotation=turn,
        moment_relaxation=moment_relaxation,
        moment_omega=moment_omega,
        moments=moments,
        m=seen if _has_axis(parameters) else None,
        ordered=follows_magnetization(parameters, conditions),
    )
    override = region.override
    own = override.electric_field if override is not None else None
    field_ = conditions.electric_field if own is None else stacked(own)
    return fields.with_drift(field_, drift_polarisation)


def _has_axis(parameters: RegionParameters) -> bool:
    region = parameters.region
    override = region.override
    return region.kondo is not None or (override is not None and override.tau_parallel is not None)


def _gauge(parameters: RegionParameters) -> Array:
    region = parameters.region
    if region.override is not None and region.override.gauge is not None:
        return stacked(region.override.gauge)
    if region.soc is None:
        return np.zeros((3, 3))
    assert region.mass is not None
    soc = region.soc
    velocity = velocity_matrix(
        soc.rashba or 0.0, soc.dresselhaus or 0.0, soc.strain_coupling or 0.0, soc.strain
    )
    return gauge_field(velocity, region.mass)


def _omega(
    parameters: RegionParameters, moments: MomentState | None, m: Array, b: Array
) -> tuple[Array, Array]:
    """Return the whole precession and its exchange part [rad/s], shape (..., 3) each."""
    region = parameters.region
    if region.override is not None and region.override.omega is not None:
        omega = stacked(region.override.omega)
        return omega, omega if region.kind == "F" else np.zeros(3)
    zeeman = region.g_factor * MU_B / HBAR * b
    exchange = np.zeros(3) if moments is None else as_array(moments.precession)[..., None] * m
    return zeeman + exchange, exchange


def _relaxation(
    parameters: RegionParameters, conditions: Conditions, moments: MomentState | None, m: Array
) -> tuple[Array, Array]:
    """Return the whole relaxation tensor and the part due to the moments [1/s], (..., 3, 3) each."""
    override = parameters.region.override
    background = parameters.background_rate(conditions.onsager)
    if override is not None and override.relaxation is not None:
        whole = stacked(override.relaxation)
        return whole, whole if parameters.region.kind == "F" else np.zeros((3, 3))
    if override is not None and override.tau_parallel and override.tau_perpendicular:
        given = relaxation_tensor(1 / override.tau_parallel, 1 / override.tau_perpendicular, m)
        if parameters.region.kind != "F":  # no moments that could take up the spin
            return background * np.eye(3) + given, np.zeros((3, 3))
        by_moments = given
    elif moments is not None:
        by_moments = relaxation_tensor(moments.rate_parallel, moments.rate_perpendicular, m)
    else:
        by_moments = np.zeros((3, 3))
    return background * np.eye(3) + by_moments, by_moments


def _angles(parameters: RegionParameters, gauge: Array, omega: Array, b: Array) -> tuple[Array, Array, Array]:
    """Return Hall angles (3,), Larmor angles (..., 3) and spin Hall angles (3, 3)."""
    region, override = parameters.region, parameters.region.override
    tau, mass = region.scattering_time, region.mass
    hall, larmor = np.zeros(3), np.zeros(3)
    if tau is not None:
        larmor = omega * tau
        if mass is not None:
            hall = hall_angle(b, tau, mass)
    spin_hall = isotropic_spin_hall(region.spin_hall_angle or 0.0)
    curved = region.soc is None or region.soc.curvature
    if gauge.any() and curved and tau is not None and mass is not None:
        spin_hall = spin_hall + curvature_spin_hall(gauge, tau, mass)
    if override is not None:
        if override.hall_angles is not None:
            hall = stacked(override.hall_angles)
        if override.larmor_angles is not None:
            larmor = stacked(override.larmor_angles)
        if override.spin_hall_angles is not None:
            spin_hall = stacked(override.spin_hall_angles)
    return hall, larmor, spin_hall


def _polarisation(parameters: RegionParameters, m: Array) -> Array:
    """Return P^a, the polarisation of the conductivity in electron spin, shape of `m`.

    The published P is that of the moments of the carriers, which are opposite to their spins.
    """
    override = parameters.region.override
    raw = None if override is None else override.polarisation
    p = parameters.region.polarisation if raw is None else raw
    if p is None:
        return np.zeros(3)
    along_moments = stacked(p) if isinstance(p, list) else p * m
    return along_moments if raw is not None else -along_moments
