r"""The named conductances of the theory, as published and corrected, and by direct contraction.

The theory closes the continuity equation of a layer of thickness :math:`\ell_F` with
:math:`N^a(z) = N^a(0)e^{z/\ell^a}` [Eq. (34)] and writes the spin current at its top as
:math:`e\mathbf J = (G_M + G_L + G_S + G_A)\boldsymbol\mu` (:math:`\mu^a` in volts).  For a
magnetization along z and :math:`u_{yz} = u_{zx} = u_\perp`, :math:`u_{xy} = u_\parallel` each
term is a few named numbers, `closed_forms`; for any direction and any response it is a
contraction of tensors, `femspin.interface.contraction`.  Both share the exponential ansatz, whose
error only the resolved layer shows (`femspin.interface.conductance`).

With :math:`A = \alpha - u_\parallel\lambda` and :math:`p = u_\perp\lambda` the form ``printed``
is the published text and ``corrected`` differs from it as the errata say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..fields.hall import hall_angle
from ..fields.region import RegionFields
from ..fields.soc import cross_matrix, gauge_field, velocity_matrix
from ..materials.parameters import RegionParameters
from ..units import E_CHARGE, HBAR, M_E, Array
from .contraction import ContractedConductance, contracted_conductance, decay_tensor

__all__ = [
    "ClosedFormInput",
    "ClosedForms",
    "ContractedConductance",
    "Form",
    "SpinOrbitConstants",
    "SpinOrbitRates",
    "ansatz_length",
    "closed_form_input",
    "closed_forms",
    "contracted_conductance",
    "decay_tensor",
    "magnetization_axis",
    "spin_orbit_constants",
    "spin_orbit_rates",
]

Form = Literal["printed", "corrected"]
FORMS: tuple[Form, ...] = ("printed", "corrected")


@dataclass(frozen=True)
class SpinOrbitConstants:
    """Spin-orbit coupling of a layer with u_yz = u_zx, as the closed forms take it, in SI.

    Args:
        mass: Effective mass m [kg].
        rashba: alpha [m/s].
        dresselhaus: beta [m/s].
        strain_coupling: lambda [m/s].
        strain_perp: u_perp = u_yz = u_zx.
        strain_par: u_par = u_xy.
        hall: Ordinary Hall angles theta_C^{k0}, 3 numbers.
    """

    mass: float = M_E
    rashba: float = 0.0
    dresselhaus: float = 0.0
    strain_coupling: float = 0.0
    strain_perp: float = 0.0
    strain_par: float = 0.0
    hall: Sequence[float] = (0.0, 0.0, 0.0)

    @property
    def in_plane(self) -> float:
        """A = alpha - u_par lambda [m/s]."""
        return self.rashba - self.strain_par * self.strain_coupling

    @property
    def out_of_plane(self) -> float:
        """The velocity p = u_perp lambda [m/s]."""
        return self.strain_perp * self.strain_coupling

    @property
    def gauge(self) -> Array:
        """Gauge field a^{ib} of Eqs. (9)-(11) [1/m], shape (3, 3)."""
        u = np.zeros((3, 3))
        u[0, 1] = self.strain_par
        u[1, 2] = u[2, 0] = self.strain_perp
        velocity = velocity_matrix(self.rashba, self.dresselhaus, self.strain_coupling, u)
        return gauge_field(velocity, self.mass)


@dataclass(frozen=True)
class ClosedFormInput:
    """What the closed forms depend on, in SI.

    Args:
        soc: Spin-orbit coupling and Hall angles.
        dos: nu per spin [1/(J m^3)].
        diffusion: D [m^2/s].
        ell_par: Decay length of the spin along m [m]; ell_F in a thin layer, Eq. (34).
        ell_perp: Decay length of the spin across m [m].
        rate_par: 1/tau_par [1/s], Eq. (4).
        rate_perp: 1/tau_perp [1/s], Eq. (5).
        exchange: n_m K_s <S_par> [J]; negative for K_s > 0, because <S_par> is antiparallel
            to m.
    """

    soc: SpinOrbitConstants
    dos: float
    diffusion: float
    ell_par: float
    ell_perp: float
    rate_par: float = 0.0
    rate_perp: float = 0.0
    exchange: float = 0.0


@dataclass(frozen=True)
class ClosedForms:
    r"""The named conductances for m along z, G in S/m^2 and Omega = D ell K in m/s.

    Args:
        form: ``printed`` or ``corrected``.
        G_s_m: Spin-sink conductance, Eq. (41).
        G_r_m: Real part of the mixing conductance, Eq. (42).
        G_i_m: Imaginary part of the mixing conductance, Eq. (43).
        Omega_plus_zz: Eq. (47); errata E10.
        Omega_plus_xx: Eq. (48), = yy; errata E10.
        Omega_plus_xy: Eq. (56); errata E10.
        Omega_plus_yz: Eq. (57), = zx; errata E10, E11, E14.
        Omega_minus_xy: Eq. (51); errata E10, E12.
        Omega_minus_yz: Eq. (52), = zx; errata E10, E13, E14.
        Omega_minus_unequal: Part of Omega_-^{yz} (and, reversed, of Omega_-^{zx}) that remains
            without a Hall angle where ell_par and ell_perp differ; 0 as printed; errata E14.
        G_s_l: Loss of the spin along z, Eq. (45).
        G_r_l: Anisotropy of the loss, Eq. (46).
        G_i_l: Spin-orbit field along z, Eq. (49).
        G_j_l: Spin-orbit field along x + y, Eq. (50).
        G_n_par: Symmetric coupling of x and y, Eq. (54).
        G_n_perp: Symmetric coupling of z with x and y, Eq. (55).
        G_lambda_a: Field of the strain along x - y, Eq. (59); errata E15.
        G_alpha_a: Field of Rashba coupling and Hall effect, Eq. (60); errata E16.
        G_beta_a: Field of Dresselhaus coupling and Hall effect, Eq. (61).
        vector_a: V of e J^A = V x mu, Eq. (58), shape (3,); errata E15, E16.
    """

    form: Form
    G_s_m: float
    G_r_m: float
    G_i_m: float
    Omega_plus_zz: float
    Omega_plus_xx: float
    Omega_plus_xy: float
    Omega_plus_yz: float
    Omega_minus_xy: float
    Omega_minus_yz: float
    Omega_minus_unequal: float
    G_s_l: float
    G_r_l: float
    G_i_l: float
    G_j_l: float
    G_n_par: float
    G_n_perp: float
    G_lambda_a: float
    G_alpha_a: float
    G_beta_a: float
    vector_a: Array

    def tensors(self, m: ArrayLike = (0.0, 0.0, 1.0)) -> dict[str, Array]:
        """Return the conductances of M, L, S and A [S/m^2], shape (3, 3) each.

        Args:
            m: Unit vector of Eq. (40), shape (3,); the others are tied to the axes.

        References:
            PRB 108, 125309 (2023), Eqs. (40), (44), (53), (58); errata E26.
        """
        z, field = np.array([0.0, 0.0, 1.0]), np.array([self.G_j_l, self.G_j_l, self.G_i_l])
        symmetric = np.full((3, 3), self.G_n_perp)
        symmetric[0, 1] = symmetric[1, 0] = self.G_n_par
        np.fill_diagonal(symmetric, 0.0)
        across, turn = cross_matrix(z), cross_matrix(m)
        return {
            "M": self.G_s_m * np.eye(3) + self.G_r_m * turn @ turn + self.G_i_m * turn,
            "L": self.G_s_l * np.eye(3) + self.G_r_l * across @ across + cross_matrix(field),
            "S": symmetric,
            "A": cross_matrix(self.vector_a),
        }


def closed_forms(x: ClosedFormInput, form: Form = "corrected") -> ClosedForms:
    """Return all named conductances for m along z, to first order in the Hall angle.

    The corrected form equals `contracted_conductance` to round-off for ell_par = ell_perp.

    Raises:
        ValueError: If the form is unknown.

    References:
        PRB 108, 125309 (2023), Eqs. (41)-(61); errata E10-E16.
    """
    _check(form)
    weight = E_CHARGE**2 * x.dos
    omega = _omega(x, form)
    vector, named = _vector(x, form)
    return ClosedForms(
        form=form,
        G_s_m=-weight * x.ell_par * x.rate_par,
        G_r_m=weight * (x.ell_perp * x.rate_perp - x.ell_par * x.rate_par),
        G_i_m=-weight * x.ell_perp * x.exchange / HBAR,
        **omega,
        G_s_l=-weight * omega["Omega_plus_zz"],
        G_r_l=weight * (omega["Omega_plus_xx"] - omega["Omega_plus_zz"]),
        G_i_l=weight * omega["Omega_minus_xy"],
        G_j_l=weight * omega["Omega_minus_yz"],
        G_n_par=-weight * omega["Omega_plus_xy"],
        G_n_perp=-weight * omega["Omega_plus_yz"],
        **named,
        vector_a=vector,
    )


def _check(form: str) -> None:
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")


def _omega(x: ClosedFormInput, form: Form) -> dict[str, float]:
    """Return the entries of Omega [m/s], Eqs. (47), (48), (51), (52), (56), (57)."""
    c = x.soc
    A, b, p = c.in_plane, c.dresselhaus, c.out_of_plane
    tx, ty, tz = c.hall
    scale = x.diffusion * (c.mass / HBAR) ** 2
    par, perp = x.ell_par * scale, x.ell_perp * scale
    if form == "printed":
        return {
            "Omega_plus_zz": 2 * par * (A * A + b * b + p * p),
            "Omega_plus_xx": perp * (A * A + b * b + 3 * p * p),
            "Omega_plus_xy": perp * (2 * b * A + p * p),
            "Omega_plus_yz": -par * p * (c.rashba - b - c.strain_par),
            "Omega_minus_xy": perp * ((b * b - A * A) * tz + (A - b) * p * (ty - tx)),
            "Omega_minus_yz": par * ((A - b) * p * tz - p * p * (tx + ty)),
            "Omega_minus_unequal": 0.0,
        }
    mean = 0.5 * (par + perp)
    return {
        "Omega_plus_zz": 8 * par * (A * A + b * b + p * p),
        "Omega_plus_xx": 4 * perp * (A * A + b * b + 3 * p * p),
        "Omega_plus_xy": 4 * perp * (2 * b * A + p * p),
        "Omega_plus_yz": -4 * mean * p * (A - b),
        "Omega_minus_xy": 4 * perp * ((A * A - b * b) * tz - (A - b) * p * (tx + ty)),
        "Omega_minus_yz": 4 * mean * (p * p * (tx + ty) - (A + b) * p * tz),
        "Omega_minus_unequal": -2 * (par - perp) * p * (A - b),
    }


def _vector(x: ClosedFormInput, form: Form) -> tuple[Array, dict[str, float]]:
    """Return V of e J^A = V x mu [S/m^2], shape (3,), and its named parts, Eqs. (58)-(61)."""
    c = x.soc
    A, b, p = c.in_plane, c.dresselhaus, c.out_of_plane
    tx, ty, _ = c.hall
    scale = E_CHARGE**2 * x.dos * 2 * x.diffusion * c.mass / HBAR
    rashba = c.rashba if form == "printed" else A
    strain = p if form == "printed" else -p
    extra = 0.0 if form == "printed" else -p * (tx + ty)
    vector = scale * np.array([strain - rashba * tx + b * ty, -strain - rashba * ty + b * tx, extra])
    angle = float(np.linalg.norm(c.hall))
    return vector, {
        "G_lambda_a": scale * strain,
        "G_alpha_a": scale * angle * rashba,
        "G_beta_a": scale * angle * b,
    }


@dataclass(frozen=True)
class SpinOrbitRates:
    """Spin relaxation by spin-orbit coupling, for m along z.

    Args:
        par: 1/tau_par^SOC [1/s], Eq. (D4).
        perp: 1/tau_perp^SOC [1/s], Eq. (D5).
        diffusion: D [m^2/s].
    """

    par: float
    perp: float
    diffusion: float

    @property
    def lengths(self) -> tuple[float, float]:
        """Lengths sqrt(D tau) along and across z [m]; infinite without coupling."""
        return _length(self.diffusion, self.par), _length(self.diffusion, self.perp)


def _length(diffusion: float, rate: float) -> float:
    return float(np.sqrt(diffusion / rate)) if rate > 0 else np.inf


def spin_orbit_rates(
    soc: SpinOrbitConstants,
    diffusion: float,
    form: Form = "corrected",
    decay: Literal["uniform", "z"] = "uniform",
) -> SpinOrbitRates:
    """Return the spin relaxation rates due to spin-orbit coupling.

    Args:
        soc: Spin-orbit coupling.
        diffusion: D [m^2/s].
        form: ``printed`` is Eqs. (D4), (D5); the corrected rates are four times as large.
        decay: ``uniform`` for a spin density without gradients (diagonal of D K), ``z`` for
            the decay along z and for thin layers, where a^z only rotates; errata E20, E29.

    Raises:
        ValueError: If the form or decay is unknown, or printed is asked for with ``z``.
    """
    _check(form)
    A, b, p = soc.in_plane, soc.dresselhaus, soc.out_of_plane
    plane = A * A + b * b
    scale = diffusion * (soc.mass / HBAR) ** 2 * (1 if form == "printed" else 4)
    if decay == "uniform":
        return SpinOrbitRates(2 * scale * (plane + p * p), scale * (plane + 3 * p * p), diffusion)
    if decay != "z" or form == "printed":
        raise ValueError(f"decay must be uniform, or z with the corrected form, got {decay!r}")
    return SpinOrbitRates(2 * scale * plane, scale * (plane + 2 * p * p), diffusion)


def ansatz_length(ell: float, thickness: float) -> float:
    """Return the length of Eq. (34) [m]: ell tanh(ell_F / ell).

    It is what an insulated layer has, and has both limits of Eq. (34): ell where the layer is
    thick, ell_F where it is thin.
    """
    return thickness if np.isinf(ell) else ell * float(np.tanh(thickness / ell))


def magnetization_axis(fields: RegionFields) -> Array:
    """Return the direction m the conductances refer to, shape (3,); z without moments."""
    return np.array([0.0, 0.0, 1.0]) if fields.m is None else fields.m


def closed_form_input(
    fields: RegionFields, soc: SpinOrbitConstants, thickness: float, form: Form = "corrected"
) -> ClosedFormInput:
    """Return the input of the closed forms for a region.

    Relaxation and precession are the whole of the region's, lattice and Zeeman parts included,
    as in the exact split.  The decay lengths are those of Eqs. (D1)-(D5), printed or corrected,
    limited by the thickness, Eq. (34).

    Args:
        fields: Coefficients of the region.
        soc: Its spin-orbit coupling.
        thickness: ell_F [m].
        form: Which spin-orbit relaxation enters the lengths.
    """
    m = magnetization_axis(fields)
    par = float(m @ fields.relaxation @ m)
    perp = 0.5 * (float(np.trace(fields.relaxation)) - par)
    loss = spin_orbit_rates(soc, fields.diffusion, form, "uniform" if form == "printed" else "z")
    return ClosedFormInput(
        soc=soc,
        dos=fields.dos,
        diffusion=fields.diffusion,
        ell_par=ansatz_length(_length(fields.diffusion, par + loss.par), thickness),
        ell_perp=ansatz_length(_length(fields.diffusion, perp + loss.perp), thickness),
        rate_par=par,
        rate_perp=perp,
        exchange=-HBAR * float(fields.omega @ m),
    )


def spin_orbit_constants(
    parameters: RegionParameters, magnetic_field: ArrayLike = (0.0, 0.0, 0.0)
) -> SpinOrbitConstants | None:
    """Return the spin-orbit coupling of a region in the terms of the closed forms.

    A gauge field given in numbers is read as alpha, beta and u_perp lambda.

    Args:
        parameters: Completed region.
        magnetic_field: B [T], shape (3,), for the Hall angles.

    Returns:
        The constants, or None if the closed forms do not cover the region: u_yz and u_zx
        differ, or a given gauge field is not of the form of Eqs. (9)-(11).
    """
    region, override = parameters.region, parameters.region.override
    mass = M_E if region.mass is None else region.mass
    angles = np.zeros(3)
    if region.scattering_time is not None and region.mass is not None:
        angles = hall_angle(magnetic_field, region.scattering_time, mass)
    if override is not None and override.hall_angles is not None:
        angles = np.array(override.hall_angles)
    hall = tuple(float(t) for t in angles)
    if override is not None and override.gauge is not None:
        return _from_gauge(np.array(override.gauge), mass, hall)
    if region.soc is None:
        return SpinOrbitConstants(mass, hall=hall)
    soc = region.soc
    u = np.zeros((3, 3)) if soc.strain is None else np.array(soc.strain)
    if u[1, 2] != u[2, 0]:
        return None
    return SpinOrbitConstants(
        mass,
        soc.rashba or 0.0,
        soc.dresselhaus or 0.0,
        soc.strain_coupling or 0.0,
        float(u[1, 2]),
        float(u[0, 1]),
        hall,
    )


def _from_gauge(gauge: Array, mass: float, hall: tuple[float, ...]) -> SpinOrbitConstants | None:
    """Return constants with this gauge field (lambda = p, u_perp = 1), or None."""
    c = HBAR / (2 * mass) * gauge
    found = SpinOrbitConstants(mass, c[0, 1], c[1, 1], c[0, 2], 1.0, 0.0, hall)
    close = np.abs(found.gauge - gauge).max() <= 1e-9 * np.abs(gauge).max()
    return found if close else None
