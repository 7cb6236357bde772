r"""Parameters of a ferromagnet and of a two-sublattice antiferromagnet, in SI.

Inside this folder energies are divided by the density of angular momentum s, s = M_s/gamma of
a ferromagnet and 2 M_0/gamma of an antiferromagnet.  Every coefficient is then a rate and the
only units are nm and ps: A/s in nm^2/ps, D/s in nm/ps, K/s and gamma B in rad/ps.  The
functions `rate`, `velocity` and `diffusivity` are the only conversions.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..errors import CaseError
from ..units import DIFFUSION, E_CHARGE, HBAR, LENGTH, MU_0, MU_B, RATE, TIME

__all__ = [
    "Antiferromagnet",
    "Ferromagnet",
    "damping_like_rate",
    "diffusivity",
    "drift_velocity",
    "joule",
    "rate",
    "velocity",
]

Vector = tuple[float, float, float]


def rate(value: Any) -> Any:
    """Return a rate given in 1/s in 1/ps."""
    return value / RATE


def velocity(value: Any) -> Any:
    """Return a velocity given in m/s in nm/ps."""
    return value * (TIME / LENGTH)


def diffusivity(value: Any) -> Any:
    """Return A/s given in m^2/s in nm^2/ps."""
    return value / DIFFUSION


def joule(value: float, s: float) -> float:
    """Return an internal energy [nm^3/ps] in J, for the angular-momentum density s [J s/m^3]."""
    return value * s * LENGTH**3 / TIME


def drift_velocity(polarization: float, current: Any, s: float) -> Any:
    """Return u = -(hbar p / 2 e s) j_c [m/s] of a conventional current density [A/m^2]."""
    return -HBAR * polarization / (2 * E_CHARGE * s) * np.asarray(current, float)


def damping_like_rate(spin_current: float, s: float, thickness: float) -> float:
    """Return w_D = hbar J_s / (2 e s d) [1/s] of an absorbed transverse spin current [A/m^2]."""
    return HBAR * spin_current / (2 * E_CHARGE * s * thickness)


def _check(parameters: Any, positive: tuple[str, ...], axes: tuple[str, ...]) -> None:
    for item in fields(parameters):
        value = np.asarray(getattr(parameters, item.name), float)
        if not np.isfinite(value).all():
            raise CaseError(f"magnet.{item.name}", f"must be finite, got {value}")
    for name in positive:
        if not getattr(parameters, name) > 0:
            raise CaseError(f"magnet.{name}", f"must be positive, got {getattr(parameters, name):g}")
    for name in ("exchange_stiffness", "damping"):
        if getattr(parameters, name) < 0:
            raise CaseError(f"magnet.{name}", f"must be >= 0, got {getattr(parameters, name):g}")
    for name in axes:
        norm = float(np.linalg.norm(getattr(parameters, name)))
        if abs(norm - 1) > 1e-9:
            raise CaseError(f"magnet.{name}", f"must be a unit vector, its length is {norm:g}")


@dataclass(frozen=True)
class Ferromagnet:
    r"""A ferromagnet or ferrimagnetic insulator, in SI.

    .. math:: w = A|\nabla m|^2 - K(m\cdot k)^2 + K_h(m\cdot h)^2 + K_1(m_1^2m_2^2 + m_2^2m_3^2
        + m_3^2m_1^2) + D(m_z\nabla\cdot m - m\cdot\nabla m_z) + D_b\,m\cdot\nabla\times m
        - M_sB\cdot m

    Args:
        saturation: M_s [A/m].
        exchange_stiffness: A [J/m].
        damping: Gilbert alpha.
        anisotropy: Uniaxial K [J/m^3]; positive makes `axis` easy.
        axis: Unit vector k.
        hard_anisotropy: K_h [J/m^3]; positive makes `hard_axis` hard.
        hard_axis: Unit vector h.
        cubic_anisotropy: K_1 [J/m^3].
        cubic_axes: Two of the three cubic axes, orthogonal unit vectors.
        interfacial_dmi: D [J/m^2] of a film with normal z.
        bulk_dmi: D_b [J/m^2].
        thin_film: Add the local demagnetization mu_0 M_s^2 m_z^2 / 2 of a thin film.
        g_factor: g > 0.
    """

    saturation: float
    exchange_stiffness: float
    damping: float
    anisotropy: float = 0.0
    axis: Vector = (0.0, 0.0, 1.0)
    hard_anisotropy: float = 0.0
    hard_axis: Vector = (0.0, 1.0, 0.0)
    cubic_anisotropy: float = 0.0
    cubic_axes: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    interfacial_dmi: float = 0.0
    bulk_dmi: float = 0.0
    thin_film: bool = False
    g_factor: float = 2.0

    def __post_init__(self) -> None:
        _check(self, ("saturation", "g_factor"), ("axis", "hard_axis"))
        axes = np.asarray(self.cubic_axes, float)
        if np.abs(axes @ axes.T - np.eye(2)).max() > 1e-9:
            raise CaseError("magnet.cubic_axes", "must be two orthogonal unit vectors")

    @property
    def gamma(self) -> float:
        """Gyromagnetic ratio g mu_B / hbar [rad/(s T)]."""
        return self.g_factor * MU_B / HBAR

    @property
    def spin_density(self) -> float:
        """Angular-momentum density s = M_s / gamma [J s/m^3]."""
        return self.saturation / self.gamma

    @property
    def shape_anisotropy(self) -> float:
        """mu_0 M_s^2 / 2 [J/m^3]."""
        return 0.5 * MU_0 * self.saturation**2

    @property
    def wall_width(self) -> float:
        """Lambda = sqrt(A/K) [m]."""
        return float(np.sqrt(self.exchange_stiffness / self.anisotropy))

    @property
    def walker_field(self) -> float:
        """B_W = alpha K_h / M_s [T]."""
        return self.damping * self.hard_anisotropy / self.saturation

    @property
    def walker_velocity(self) -> float:
        """v_W = gamma K_h lambda / M_s [m/s], the adiabatic depinning velocity."""
        return self.gamma * self.hard_anisotropy * self.wall_width / self.saturation


@dataclass(frozen=True)
class Antiferromagnet:
    r"""A collinear antiferromagnet with two equal sublattices, in SI.

    .. math:: w = \tfrac a2|m|^2 + A|\nabla n|^2 - K(n\cdot k)^2 + K_h(n\cdot h)^2
        + D(n_z\nabla\cdot n - n\cdot\nabla n_z) + d_h\cdot(n\times m) - 2M_0B\cdot m

    with n = (m_A - m_B)/2 and m = (m_A + m_B)/2 of the sublattice magnetization directions.

    Args:
        sublattice_saturation: M_0 of one sublattice [A/m].
        homogeneous_exchange: a = 4 M_0 B_E [J/m^3].
        exchange_stiffness: A [J/m].
        damping: Gilbert alpha.
        anisotropy: K = M_0 B_A [J/m^3]; positive makes `axis` easy.
        axis: Unit vector k.
        hard_anisotropy: K_h [J/m^3]; positive makes `hard_axis` hard.
        hard_axis: Unit vector h.
        interfacial_dmi: D [J/m^2] of a film with normal z.
        homogeneous_dmi: d_h [J/m^3], shape (3,).
        g_factor: g > 0.
    """

    sublattice_saturation: float
    homogeneous_exchange: float
    exchange_stiffness: float
    damping: float
    anisotropy: float = 0.0
    axis: Vector = (0.0, 0.0, 1.0)
    hard_anisotropy: float = 0.0
    hard_axis: Vector = (0.0, 1.0, 0.0)
    interfacial_dmi: float = 0.0
    homogeneous_dmi: Vector = (0.0, 0.0, 0.0)
    g_factor: float = 2.0

    def __post_init__(self) -> None:
        positive = ("sublattice_saturation", "homogeneous_exchange", "g_factor")
        _check(self, positive, ("axis", "hard_axis"))

    @property
    def gamma(self) -> float:
        """Gyromagnetic ratio g mu_B / hbar [rad/(s T)]."""
        return self.g_factor * MU_B / HBAR

    @property
    def spin_density(self) -> float:
        """Angular-momentum density s = 2 M_0 / gamma [J s/m^3]."""
        return 2 * self.sublattice_saturation / self.gamma

    @property
    def inertia(self) -> float:
        """Rho = s^2 / a [J s^2/m^3]."""
        return self.spin_density**2 / self.homogeneous_exchange

    @property
    def exchange_field(self) -> float:
        """B_E = a / (4 M_0) [T]."""
        return self.homogeneous_exchange / (4 * self.sublattice_saturation)

    @property
    def anisotropy_field(self) -> float:
        """B_A = K / M_0 [T]."""
        return self.anisotropy / self.sublattice_saturation

    @property
    def wall_width(self) -> float:
        """Lambda = sqrt(A/K) [m]."""
        return float(np.sqrt(self.exchange_stiffness / self.anisotropy))

    @property
    def magnon_velocity(self) -> float:
        """C = sqrt(2 A a) / s [m/s], the limit of walls and magnons."""
        return float(np.sqrt(2 * self.exchange_stiffness * self.homogeneous_exchange)) / self.spin_density

    @property
    def resonance(self) -> float:
        """w_0 = sqrt(2 K a) / s [rad/s]."""
        return float(np.sqrt(2 * self.anisotropy * self.homogeneous_exchange)) / self.spin_density

    @property
    def momentum_relaxation(self) -> float:
        """Gamma = alpha a / s [1/s]."""
        return self.damping * self.homogeneous_exchange / self.spin_density

    @property
    def wall_energy(self) -> float:
        """4 sqrt(A K) [J/m^2]."""
        return 4 * float(np.sqrt(self.exchange_stiffness * self.anisotropy))

    @property
    def wall_mass(self) -> float:
        """M_dw = 2 rho / lambda [kg/m^2]; M_dw c^2 is the wall energy."""
        return 2 * self.inertia / self.wall_width

    @property
    def spin_flop_field(self) -> float | None:
        """sqrt(B_A (2 B_E - B_A)) [T], where the two phases have equal energy.

        None where B_A > B_E: there n never flops, a field B_E along the axis turns one sublattice
        over (the field at which both states have equal energy).
        """
        b_a, b_e = self.anisotropy_field, self.exchange_field
        return float(np.sqrt(b_a * (2 * b_e - b_a))) if 0 < b_a <= b_e else None
