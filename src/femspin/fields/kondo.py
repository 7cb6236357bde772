r"""Local moments coupled to conduction electrons: Weiss field, relaxation and precession.

The moments feel :math:`\varepsilon_L = g\mu_B B + J_0 s` with :math:`s = -\langle S_\parallel
\rangle = S B_S(\varepsilon_L/k_BT)`; the magnetisation direction is
:math:`m = \langle S\rangle/\langle S_\parallel\rangle`, along the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..dual import Dual, as_array, change_of, stacked, value_of
from ..errors import CaseError, SolverError
from ..units import HBAR, K_B, MU_B, Array
from .soc import cross_matrix

__all__ = [
    "MomentState",
    "brillouin",
    "brillouin_derivative",
    "curie_temperature",
    "exchange_from_curie",
    "kondo",
    "mean_spin",
    "moments_lost",
    "relaxation_tensor",
    "rotation",
    "spinodal",
    "spinodal_point",
]


_NOISE = 4 * float(np.finfo(float).eps)
_MOST_STEPS = 200  # where the branch ends steps halve the distance only
_LANGEVIN = (1 / 45, -2 / 945, 1 / 4725, -2 / 93555, 1382 / 638512875, -4 / 18243225)
_BELL = (1 / 3, -1 / 15, 2 / 189, -1 / 675, 2 / 10395, -1382 / 58046625, 4 / 1403325, -3617 / 10854718875)


@dataclass(frozen=True)
class MomentState:
    """Thermal state of the moments and what it does to conduction spins.

    All but the last two may be arrays, of moments that feel different fields.

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

    spin: Any
    splitting: Any
    spin_squared: Any
    rate_parallel: Any
    rate_perpendicular: Any
    precession: Any
    curie: float
    exchange_energy: float

    @property
    def perturbative(self) -> bool:
        """True where the golden rule behind the rates holds: n_m K_s <= eps_L (errata E30)."""
        return bool(np.all(abs(self.exchange_energy) <= self.splitting))


def brillouin(x: Any, S: float) -> Any:
    """Return S B_S = (S+1/2) coth((S+1/2) x) - (1/2) coth(x/2), odd in x, of the shape of x.

    References:
        PRB 108, 125309 (2023), below Eq. (5).
    """
    # The poles 1/x of the two coth cancel; Langevin functions leave them out from the start.
    return (S + 0.5) * _langevin((S + 0.5) * x) - 0.5 * _langevin(0.5 * x)


def _langevin(z: Any) -> Any:
    """Return coth z - 1/z to full precision."""
    large = np.abs(z) > 0.2
    if large.all():
        return 1 / np.tanh(z) - 1 / z
    far = np.where(large, z, 1.0)
    return np.where(large, 1 / np.tanh(far) - 1 / far, z / 3 - _series(np.where(large, 0.0, z)))


def _langevin_bend(z: Any) -> Any:
    """Return z/3 - (coth z - 1/z), where z is small to full precision."""
    large = np.abs(z) > 0.2
    return np.where(large, z / 3 - _langevin(z), _series(np.where(large, 0.0, z)))


def _series(z: Any) -> Any:
    """Return z/3 - (coth z - 1/z) of a small z."""
    w = z * z
    return z * w * _polynomial(w, _LANGEVIN)


def _polynomial(w: Any, coefficients: tuple[float, ...]) -> Any:
    """Return a polynomial by Horner's scheme, constant first."""
    total: Any = 0.0
    for c in reversed(coefficients):
        total = c + total * w
    return total


def curie_temperature(exchange: float, S: float) -> float:
    """Return the mean-field T_C = J0 S (S+1) / (3 k_B) [K] of a Weiss exchange J0 [J]."""
    return exchange * S * (S + 1) / (3 * K_B)


def exchange_from_curie(curie: float, S: float) -> float:
    """Return the Weiss exchange J0 = sum_m J_nm [J] of a Curie temperature [K]."""
    return 3 * K_B * curie / (S * (S + 1))


def brillouin_derivative(x: Any, S: float) -> Any:
    r"""Return d/dx of `brillouin`, :math:`\tfrac14\sinh^{-2}\tfrac x2 - (S+\tfrac12)^2
    \sinh^{-2}(S+\tfrac12)x`, to round-off also at x = 0, where it is S(S+1)/3.
    """  # noqa: D205
    n = 2 * S + 1
    return 0.25 * (n * n * _bell(0.5 * n * x) - _bell(0.5 * x))


def _bell(y: Any) -> Any:
    """Return 1/y^2 - 1/sinh(y)^2, to full precision: beyond 350 the second term is nothing."""
    y = np.abs(y)
    large = y >= 0.3
    far = np.where(large, y, 1.0)
    direct = 1 / far**2 - 1 / np.sinh(np.minimum(far, 350.0)) ** 2
    if large.all():
        return direct
    near = np.where(large, 0.0, y)
    return np.where(large, direct, _polynomial(near * near, _BELL))


def spinodal(temperature: float, S: float, exchange: float) -> float:
    """Return the Zeeman splitting g mu_B B [J], <= 0, below which no s >= 0 solves its equation.

    Zero without order.  Below T_C moments stay metastable against a field up to here.

    Args:
        temperature: T [K], > 0.
        S: Spin of a moment.
        exchange: Weiss exchange J0 [J], of either sign.
    """
    kT = K_B * temperature
    return kT * spinodal_point(exchange / kT, S)[1]


@lru_cache(maxsize=256)
def spinodal_point(weiss: float, S: float) -> tuple[float, float]:
    """Return x >= 0 and y <= 0 where y = x - weiss S B_S(x) begins to grow with x.

    From there on y grows without bound, so that every y above has one x, the stable solution.

    Args:
        weiss: J0 / k_B T.
        S: Spin of a moment.
    """
    if weiss * brillouin_derivative(0.0, S) <= 1 + _NOISE:
        return 0.0, 0.0
    # The slope of S B_S falls with x and is below 1/4 sinh^-2(x/2): at the upper end weiss times
    # it is below 1/4.
    low, high = 0.0, 2 * float(np.arcsinh(np.sqrt(weiss)))
    while low < (middle := 0.5 * (low + high)) < high:  # until they are neighbouring numbers
        if weiss * brillouin_derivative(middle, S) > 1:
            low = middle
        else:
            high = middle
    return high, min(float(_zeeman_argument(high, weiss, S)), 0.0)


def _zeeman_argument(x: Any, weiss: float, S: float) -> Any:
    """Return y = x - weiss S B_S(x), near T_C without the cancellation of its linear terms."""
    linear = 1 - weiss * S * (S + 1) / 3
    if abs(linear) > 0.5:
        return x - weiss * brillouin(x, S)
    bend = (S + 0.5) * _langevin_bend((S + 0.5) * x) - 0.5 * _langevin_bend(0.5 * x)
    return linear * x + weiss * bend


def mean_spin(temperature: float, S: float, exchange: float, field: ArrayLike, g: float = 2.0) -> Any:
    """Return s >= 0, the largest solution of s = S B_S((g mu_B B + J0 s) / k_B T), to round-off.

    For a field against the moment (``field < 0``) this is the metastable branch.  Where that
    branch has ended, see `spinodal`, and against any field above T_C, no moment s >= 0 exists and
    nan is returned.

    Args:
        temperature: T [K], > 0.
        S: Spin of a moment.
        exchange: Weiss exchange J0 [J], of either sign.
        field: Component of B along the moment [T], any shape, which is that of the result.
        g: g factor of the moment.

    References:
        PRB 108, 125309 (2023), mean field of Eq. (2); errata E31.
    """
    given: tuple[Any, ...] = (temperature, exchange, field, g)
    s = _mean_spin(S, *map(value_of, given))
    if Dual not in map(type, given):
        return s
    # The implicit function theorem, from the change of x at fixed s.
    x = (g * MU_B * as_array(field) + exchange * s) / (K_B * temperature)
    slope = brillouin_derivative(value_of(x), S)
    left = 1 - slope * value_of(exchange) / (K_B * value_of(temperature))
    change = slope * change_of(x) / np.where(left > _CRITICAL, left, np.inf)
    counts = [change_of(v, len(change)).reshape(len(change), -1).any(axis=1) for v in given[:3]]
    lost = np.multiply.outer(np.any(counts, axis=0), left <= _CRITICAL)
    return Dual(s, np.where(lost, np.nan, change))


_CRITICAL = 1e-8  # of 1 - ds/dx dx/ds: nearer to a critical point there is no derivative


def _mean_spin(S: float, temperature: float, exchange: float, field: ArrayLike, g: float) -> Any:
    kT = K_B * temperature
    y, weiss = g * MU_B * np.asarray(field, float) / kT, exchange / kT
    start, end = spinodal_point(weiss, S)
    gone, free = ~(y >= end), (y == 0) & (start == 0)
    s = brillouin(_root(np.where(gone | free, 1.0, y), weiss, S, start), S)
    s = np.where(s > S * (1 - _NOISE), S, s)
    return np.where(gone, np.nan, np.where(free, 0.0, s))[()]


def _root(y: Array, weiss: float, S: float, start: float) -> Array:
    """Return x of the branch with x - weiss S B_S(x) = y.

    In x the equation has one root, also where s has two that merge.  The left side grows, convex
    with order and concave against it (weiss < 0): Newton steps from above, or below, come closer
    from one side only, and end when round-off turns them back.
    """
    if weiss < 0:  # S B_S(x) <= x S(S+1)/3
        sign, low, high = 1.0, y / (1 - weiss * S * (S + 1) / 3), y
    else:
        sign, low, high = -1.0, np.maximum(y, start), y + weiss * S
        linear = 1 - weiss * S * (S + 1) / 3
        if start == 0 and linear > 0:  # S B_S(x) <= x S(S+1)/3; in tiny fields that is all
            high = np.minimum(high, y / linear)
    x = low if weiss < 0 else high
    for _ in range(_MOST_STEPS):
        slope = 1 - weiss * brillouin_derivative(x, S)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.clip(x - (_zeeman_argument(x, weiss, S) - y) / slope, low, high)
        if not np.any(on := sign * (new - x) > 0):
            break
        x = np.where(on, new, x)
    return x


def kondo(
    temperature: float,
    S: float,
    moment_density: float,
    dos: float,
    coupling: float,
    exchange: float = 0.0,
    field: Any = 0.0,
    g: float = 2.0,
    region: str | None = None,
) -> MomentState:
    """Return the self-consistent moments and the spin relaxation they cause.

    Args:
        temperature: T [K].
        S: Spin of a moment.
        moment_density: n_m [1/m^3].
        dos: Density of states per spin nu [1/(J m^3)].
        coupling: Kondo exchange K_s [J m^3].
        exchange: Weiss exchange J0 [J].
        field: Component of B along the moments [T], any shape, which is that of the numbers
            returned.
        g: g factor of the moments.
        region: Name of the region, for the error message.

    Raises:
        CaseError: If the moments cannot stay along their direction against the field.
        SolverError: If the field is no finite number.

    References:
        PRB 108, 125309 (2023), Eqs. (4), (5), (15); errata E4 (no 1/2), E25 (nu per spin).
    """
    if not np.all(np.isfinite(field)):
        raise SolverError(
            f"the field along the moments{f' of {region}' if region else ''} is no finite number: a drive"
            " or a motion has left the range of numbers"
        )
    s = mean_spin(temperature, S, exchange, field, g)
    if np.any(np.isnan(s)):
        raise moments_lost(temperature, S, exchange, float(np.min(field)), g, region)
    splitting = np.where(s > 0, g * MU_B * as_array(field) + exchange * s, 0.0)[()]
    prefactor = 2 * np.pi / HBAR * moment_density * dos * coupling**2
    flip, squared = _thermal_weights(splitting / (K_B * temperature), s, S)
    rate_parallel = prefactor * flip
    return MomentState(
        spin=s,
        splitting=splitting,
        spin_squared=squared,
        rate_parallel=rate_parallel,
        rate_perpendicular=0.5 * rate_parallel + 0.5 * prefactor * squared,
        precession=moment_density * coupling * s / HBAR,
        curie=curie_temperature(exchange, S),
        exchange_energy=moment_density * coupling,
    )


def moments_lost(
    temperature: float, S: float, exchange: float, field: float, g: float, region: str | None
) -> CaseError:
    """Return the error for moments that turn away from a direction the field points against.

    No magnitude is left to compute with: s = 0 solves no mean field in a magnetic field.

    Args:
        temperature: T [K].
        S: Spin of a moment.
        exchange: Weiss exchange J0 [J].
        field: Component of B along the moments [T], beyond the end of the branch.
        g: g factor of the moments.
        region: Name of the region, if known.
    """
    limit, curie = spinodal(temperature, S, exchange), curie_temperature(exchange, S)
    where = f" of {region}" if region else ""
    return CaseError(
        "drive.magnetic_field",
        f"the moments{where} (spin {S:g}, T_C = {curie:.4g} K) cannot stay"
        f" along m at {temperature:g} K: {abs(field):.4g} T point against them and they are"
        f" metastable only up to {abs(limit / (g * MU_B)):.4g} T; turn m towards the field, or"
        " lower the field or drive.temperature",
    )


def _thermal_weights(x: Any, s: Any, S: float) -> tuple[Any, Any]:
    """Return x s / (4 sinh^2(x/2)) and <S_par^2> = S(S+1) - s coth(x/2)."""
    full, q = S * (S + 1), 2 * S * S + 2 * S + 1
    y = np.minimum(np.maximum(x, 1e-4), 600.0)  # beyond, sinh overflows; the moments are frozen
    flip = np.where(x > 600, 0.0, y * s / (4 * np.sinh(y / 2) ** 2))
    squared = full - s / np.tanh(y / 2)
    tiny = x < 1e-4
    return (
        np.where(tiny, full / 3 * (1 - x * x * (1 / 12 + q / 30)), flip)[()],
        np.where(tiny, full / 3 * (1 - x * x * (1 / 6 - q / 15)), squared)[()],
    )


def relaxation_tensor(rate_parallel: ArrayLike, rate_perpendicular: ArrayLike, m: ArrayLike) -> Array:
    """Return Gamma_ab = 1/tau_perp + (1/tau_par - 1/tau_perp) m m^T [unit of the rates].

    Args:
        rate_parallel: 1/tau_par, shape (...) or ().
        rate_perpendicular: 1/tau_perp, shape (...) or ().
        m: Unit direction of the moments, shape (..., 3).

    Returns:
        Tensor of shape (..., 3, 3).
    """
    m = as_array(m, float)
    parallel = as_array(rate_parallel, float)[..., None, None]
    perpendicular = as_array(rate_perpendicular, float)[..., None, None]
    projector = m[..., :, None] * m[..., None, :]
    found: Array = perpendicular * np.eye(3) + (parallel - perpendicular) * projector
    return found


def rotation(phi: ArrayLike) -> Array:
    """Return R = exp(phi x), shape (3, 3): the rotation between moments and carriers.

    With noncollinear exchange s~ = R s and the moments seen by the carriers are m~ = R^T m.

    References:
        PRB 108, 125309 (2023), App. C; errata E27.
    """
    phi = stacked(phi) if isinstance(phi, list) else as_array(phi, float)
    angle = np.linalg.norm(phi)
    if angle == 0.0:
        return np.eye(3) + cross_matrix(phi)  # which may change
    k = cross_matrix(phi / angle)
    found: Array = np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)
    return found
