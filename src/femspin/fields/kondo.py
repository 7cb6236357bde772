r"""Local moments coupled to conduction electrons: Weiss field, relaxation and precession.

The moments feel :math:`\varepsilon_L = g\mu_B B + J_0 s` with :math:`s = -\langle S_\parallel
\rangle = S B_S(\varepsilon_L/k_BT)`; the magnetisation direction is
:math:`m = \langle S\rangle/\langle S_\parallel\rangle`, along the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..units import HBAR, K_B, MU_B
from .soc import cross_matrix

__all__ = [
    "MomentState", "brillouin", "curie_temperature", "exchange_from_curie", "kondo",
    "mean_spin", "relaxation_tensor", "rotation",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MomentState:
    """Thermal state of the moments and what it does to conduction spins.

    Args:
        spin: s = -<S_par> >= 0.
        splitting: eps_L [J], the Zeeman splitting of one moment.
        spin_squared: <S_par^2>.
        rate_parallel: 1/tau_par [1/s].
        rate_perpendicular: 1/tau_perp [1/s].
        precession: e Phi / hbar from exchange, along m [rad/s].
        curie: Mean-field Curie temperature [K].
        exchange_energy: n_m K_s [J].
    """

    spin: float
    splitting: float
    spin_squared: float
    rate_parallel: float
    rate_perpendicular: float
    precession: float
    curie: float
    exchange_energy: float

    @property
    def perturbative(self) -> bool:
        """True where the golden rule behind the rates holds: n_m K_s <= eps_L (errata E30)."""
        return abs(self.exchange_energy) <= self.splitting


def brillouin(x: float, S: float) -> float:
    """Return S B_S = (S+1/2) coth((S+1/2) x) - (1/2) coth(x/2), odd in x.

    References:
        PRB 108, 125309 (2023), below Eq. (5).
    """
    # The poles 1/x of the two coth cancel; Langevin functions leave them out from the start.
    return (S + 0.5) * _langevin((S + 0.5) * x) - 0.5 * _langevin(0.5 * x)


def _langevin(z: float) -> float:
    """Return coth z - 1/z to full precision."""
    if abs(z) > 0.2:
        return float(1 / np.tanh(z) - 1 / z)
    w = z * z
    series = 0.0
    for c in (4 / 18243225, -1382 / 638512875, 2 / 93555, -1 / 4725, 2 / 945, -1 / 45, 1 / 3):
        series = series * w + c
    return z * series


def curie_temperature(exchange: float, S: float) -> float:
    """Return the mean-field T_C = J0 S (S+1) / (3 k_B) [K] of a Weiss exchange J0 [J]."""
    return exchange * S * (S + 1) / (3 * K_B)


def exchange_from_curie(curie: float, S: float) -> float:
    """Return the Weiss exchange J0 = sum_m J_nm [J] of a Curie temperature [K]."""
    return 3 * K_B * curie / (S * (S + 1))


def mean_spin(
    temperature: float, S: float, exchange: float, field: float, g: float = 2.0
) -> float:
    """Return s >= 0, the largest solution of s = S B_S((g mu_B B + J0 s) / k_B T).

    For a field against the moment (``field < 0``) this is the metastable branch; where that
    branch has ended, or above T_C, zero is returned.

    Args:
        temperature: T [K], > 0.
        S: Spin of a moment.
        exchange: Weiss exchange J0 [J], of either sign.
        field: Component of B along the moment [T].
        g: g factor of the moment.

    References:
        PRB 108, 125309 (2023), mean field of Eq. (2); errata E31.
    """
    kT, zeeman = K_B * temperature, g * MU_B * field

    def excess(s: float) -> float:
        return brillouin((zeeman + exchange * s) / kT, S) - s

    if excess(S) >= 0:  # saturated to round-off
        return float(S)
    # Every root lies below S, and s -> S B_S is concave on the branch, so scanning down from
    # saturation the first sign change is the stable root.
    grid = S * (1 - np.linspace(0, 1, 65) ** 2)
    low = None
    for upper, lower in pairwise(grid):
        if excess(lower) > 0:
            low = (lower, upper)
            break
    if low is None:
        # The root may hide below the last grid point (T just below T_C, or a tiny field).
        small = 1e-9 * S
        if field < 0 or excess(small) <= 0:
            return 0.0
        low = (small, grid[-2])
    from scipy.optimize import brentq  # here: most cases have no local moments

    return float(brentq(excess, *low, xtol=1e-300, rtol=4 * np.finfo(float).eps))


def kondo(
    temperature: float,
    S: float,
    moment_density: float,
    dos: float,
    coupling: float,
    exchange: float = 0.0,
    field: float = 0.0,
    g: float = 2.0,
) -> MomentState:
    """Return the self-consistent moments and the spin relaxation they cause.

    Args:
        temperature: T [K].
        S: Spin of a moment.
        moment_density: n_m [1/m^3].
        dos: Density of states per spin nu [1/(J m^3)].
        coupling: Kondo exchange K_s [J m^3].
        exchange: Weiss exchange J0 [J].
        field: Component of B along the moments [T].
        g: g factor of the moments.

    References:
        PRB 108, 125309 (2023), Eqs. (4), (5), (15); errata E4 (no 1/2), E25 (nu per spin).
    """
    s = mean_spin(temperature, S, exchange, field, g)
    splitting = g * MU_B * field + exchange * s if s > 0 else 0.0
    x = splitting / (K_B * temperature)
    prefactor = 2 * np.pi / HBAR * moment_density * dos * coupling**2
    flip, squared = _thermal_weights(x, s, S)
    rate_parallel = prefactor * flip
    rate_perpendicular = 0.5 * rate_parallel + 0.5 * prefactor * squared
    return MomentState(
        spin=s,
        splitting=splitting,
        spin_squared=squared,
        rate_parallel=float(rate_parallel),
        rate_perpendicular=float(rate_perpendicular),
        precession=moment_density * coupling * s / HBAR,
        curie=curie_temperature(exchange, S),
        exchange_energy=moment_density * coupling,
    )


def _thermal_weights(x: float, s: float, S: float) -> tuple[float, float]:
    """Return x s / (4 sinh^2(x/2)) and <S_par^2> = S(S+1) - s coth(x/2)."""
    full = S * (S + 1)
    if x < 1e-4:
        q = 2 * S * S + 2 * S + 1
        return full / 3 * (1 - x * x * (1 / 12 + q / 30)), full / 3 * (
            1 - x * x * (1 / 6 - q / 15)
        )
    if x > 600:  # sinh overflows; the moments are frozen
        return 0.0, full - s
    return float(x * s / (4 * np.sinh(x / 2) ** 2)), float(full - s / np.tanh(x / 2))


def relaxation_tensor(rate_parallel: float, rate_perpendicular: float, m: ArrayLike) -> Array:
    """Return Gamma_ab = 1/tau_perp + (1/tau_par - 1/tau_perp) m m^T [unit of the rates].

    Args:
        rate_parallel: 1/tau_par.
        rate_perpendicular: 1/tau_perp.
        m: Unit direction of the moments, shape (..., 3).

    Returns:
        Tensor of shape (..., 3, 3).
    """
    m = np.asarray(m, float)
    projector = m[..., :, None] * m[..., None, :]
    return rate_perpendicular * np.eye(3) + (rate_parallel - rate_perpendicular) * projector


def rotation(phi: ArrayLike) -> Array:
    """Return R = exp(phi x), shape (3, 3): the rotation between moments and carriers.

    With noncollinear exchange s~ = R s and the moments seen by the carriers are m~ = R^T m.

    References:
        PRB 108, 125309 (2023), App. C; errata E27.
    """
    phi = np.asarray(phi, float)
    angle = float(np.linalg.norm(phi))
    if angle == 0.0:
        return np.eye(3)
    k = cross_matrix(phi / angle)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)
