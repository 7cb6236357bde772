"""Conditions under which the theory holds, as data: what was compared with what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..materials.parameters import RegionParameters
from ..units import ENERGY, HBAR, LENGTH
from .kernels import loss_kernel
from .region import RegionFields
from .soc import cofactor

__all__ = ["ValidityWarning", "validity", "validity_conditions"]

# Angles enter first-order modes with an error of their square.
LARGEST_ANGLE = 0.1

_KEYS = {
    "perturbative_exchange": "kondo.exchange_energy",
    "mean_free_path": "scattering_time",
    "mean_free_path_spin": "scattering_time",
    "gauge_mean_free_path": "scattering_time",
    "omega_tau": "scattering_time",
    "first_order_angle": "theta_mode",
    "neglected_angle": "theta_mode",
}


@dataclass(frozen=True)
class ValidityWarning:
    """One condition of the theory, ``value <= limit``, and how it stands.

    Args:
        code: Short name of the condition, stable for programs.
        region: Region it concerns.
        message: What is compared and what fails, one sentence without the region.
        value: What is compared, in SI.
        limit: What it must not exceed, same unit.
    """

    code: str
    region: str
    message: str
    value: float
    limit: float

    @property
    def sentence(self) -> str:
        """The message behind the key of the case that decides it."""
        return f"regions.{self.region}.{_KEYS[self.code]}: {self.message}"

    @property
    def holds(self) -> bool:
        """True where the value does not exceed the limit."""
        return self.value <= self.limit


def validity(
    parameters: RegionParameters, fields: RegionFields, thickness: float | None = None
) -> tuple[ValidityWarning, ...]:
    """Return the conditions of the theory that a region fails; see `validity_conditions`."""
    found = validity_conditions(parameters, fields, thickness)
    return tuple(c for c in found if not c.holds)


def validity_conditions(
    parameters: RegionParameters, fields: RegionFields, thickness: float | None = None
) -> tuple[ValidityWarning, ...]:
    """Return every condition of the theory that can be checked for a region.

    Codes: ``perturbative_exchange`` n_m K_s <= eps_L; ``mean_free_path`` and
    ``mean_free_path_spin`` sqrt(3 D tau) <= thickness and <= spin decay length;
    ``gauge_mean_free_path`` rotation by the gauge field over a mean free path; ``omega_tau``
    precession between collisions; ``first_order_angle`` and ``neglected_angle`` Hall, Larmor and
    spin Hall angles in modes that expand in them or leave them out.

    Args:
        parameters: Completed region.
        fields: Its coefficients.
        thickness: Its thickness [m], if it is a layer between a magnet and a metal.

    References:
        PRB 108, 125309 (2023), text around Eqs. (3), (5), (23), (38); errata E30.
    """
    found: list[ValidityWarning] = []

    def add(code: str, message: str, value: float, limit: float) -> None:
        found.append(ValidityWarning(code, fields.name, message, float(value), float(limit)))

    if fields.moments is not None:
        size, splitting = abs(fields.moments.exchange_energy), fields.moments.splitting
        add(
            "perturbative_exchange",
            f"n_m K_s = {size / ENERGY:.3g} meV against eps_L = {splitting / ENERGY:.3g} meV; the"
            " golden rule behind the relaxation rates needs n_m K_s << eps_L",
            size,
            splitting,
        )
    tau = parameters.region.scattering_time
    if tau is not None:
        for condition in _mean_free_path(fields, tau, thickness):
            add(*condition)
        turn = float(np.linalg.norm(fields.omega)) * tau
        add(
            "omega_tau",
            f"precession between two collisions, omega tau = {turn:.3g}; diffusion needs it below 1",
            turn,
            1.0,
        )
    for condition in _angles(parameters, fields):
        add(*condition)
    return tuple(found)


_Condition = tuple[str, str, float, float]


def _mean_free_path(fields: RegionFields, tau: float, thickness: float | None) -> list[_Condition]:
    """Return the conditions on the mean free path sqrt(3 D tau)."""
    free = float(np.sqrt(3 * fields.diffusion * tau))
    start = f"mean free path sqrt(3 D tau) = {free / LENGTH:.3g} nm against the "
    found: list[_Condition] = []
    if thickness is not None:
        found.append(
            (
                "mean_free_path",
                f"{start}thickness {thickness / LENGTH:.3g} nm; drift-diffusion needs a shorter one",
                free,
                thickness,
            )
        )
    loss = loss_kernel(fields.gauge, fields.theta) + fields.relaxation / fields.diffusion
    fastest = float(np.linalg.eigvalsh(0.5 * (loss + loss.T)).max())
    if fastest > 0:
        ell = 1 / np.sqrt(fastest)
        found.append(
            (
                "mean_free_path_spin",
                f"{start}shortest spin decay length"
                f" {ell / LENGTH:.3g} nm; spin diffusion needs a shorter one",
                free,
                ell,
            )
        )
    rotation = float(np.linalg.norm(fields.gauge, axis=1).max())
    if rotation > 0:
        found.append(
            (
                "gauge_mean_free_path",
                "the spin-orbit field turns spins by"
                f" {free * rotation:.3g} rad over one mean free path of {free / LENGTH:.3g}"
                " nm; motional narrowing needs it below 1 rad",
                free * rotation,
                1.0,
            )
        )
    return found


def _angles(parameters: RegionParameters, fields: RegionFields) -> list[_Condition]:
    """Return the conditions on angles of the modes that are not exact in them."""
    region, mode = parameters.region, parameters.region.theta_mode
    found: list[_Condition] = []
    if mode in ("first", "eq38"):
        # The symmetric part holds the polarisation, which is no angle.
        largest = 0.5 * float(np.abs(fields.theta - fields.theta.T).max())
        found.append(
            (
                "first_order_angle",
                f"{mode!r} is of first order in angles, of which the"
                f' largest is {largest:.3g} (at most {LARGEST_ANGLE:g}); "exact" takes'
                " any",
                largest,
                LARGEST_ANGLE,
            )
        )
    if mode not in ("eq38", "hall"):
        return found
    override = region.override
    spin_hall, larmor = abs(region.spin_hall_angle or 0.0), 0.0
    if override is not None and override.spin_hall_angles is not None:
        spin_hall = float(np.abs(override.spin_hall_angles).max())
    if override is not None and override.larmor_angles is not None:
        larmor = float(np.linalg.norm(override.larmor_angles))
    if region.scattering_time is not None:
        tau = region.scattering_time
        larmor = max(larmor, float(np.linalg.norm(fields.omega)) * tau)
        if region.mass is not None and (region.soc is None or region.soc.curvature):
            factor = HBAR * tau / (2 * region.mass)
            larmor = max(larmor, factor * float(np.abs(cofactor(fields.gauge)).max()))
    # A spin Hall angle that was given is lost whole, however small it is.
    left_out, limit = (spin_hall, 0.0) if spin_hall > 0 else (larmor, LARGEST_ANGLE)
    which = "spin Hall" if spin_hall > 0 else "Larmor"
    found.append(
        (
            "neglected_angle",
            f'{mode!r} leaves out the {which} angle of {left_out:.3g} (at most {limit:g}); "exact" does not',
            left_out,
            limit,
        )
    )
    return found
