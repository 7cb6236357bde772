r"""Collinear mean field of two sublattices: ferrimagnets and antiferromagnets.

.. math::
    s_i = S_i B_{S_i}\!\left(\frac{\varepsilon_i}{k_BT}\right), \qquad
    \varepsilon_i = g_i\mu_B B + \sum_j J_{ij} s_j ,

with :math:`s = -\langle S_\parallel\rangle` counted along the axis of the field, so that a
positive spin means a moment along the field, as in `femspin.fields.kondo`.  Both spins may have
either sign.  There is no canting: beyond the spin-flop field of an antiferromagnet the collinear
state is not the ground state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ..errors import SolverError
from ..units import K_B, MU_B, Array
from .kondo import brillouin, brillouin_derivative

__all__ = [
    "SublatticeState",
    "Sublattices",
    "brillouin_derivative",
    "compensation_temperature",
    "ordering_temperature",
    "sublattice_spins",
]


@dataclass(frozen=True)
class Sublattices:
    """Two sublattices of local moments; exchange > 0 is ferromagnetic.

    Args:
        spin_A: S of a moment of sublattice A.
        spin_B: S of a moment of sublattice B.
        J_AA: Exchange of an A moment with all A moments, summed [J].
        J_BB: Exchange of a B moment with all B moments, summed [J].
        J_AB: Exchange of an A moment with all B moments, summed [J].
        g_A: g factor of A.
        g_B: g factor of B.
        ratio: B moments per A moment; it fixes J_BA = J_AB / ratio.
    """

    spin_A: float
    spin_B: float
    J_AA: float = 0.0
    J_BB: float = 0.0
    J_AB: float = 0.0
    g_A: float = 2.0
    g_B: float = 2.0
    ratio: float = 1.0

    def __post_init__(self) -> None:
        for name in ("spin_A", "spin_B", "ratio"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)!r}")

    @property
    def spins(self) -> Array:
        """S of A and B, shape (2,)."""
        return np.array([self.spin_A, self.spin_B])

    @property
    def exchange(self) -> Array:
        """J_ij, the sum over sublattice j seen by a moment of i [J], shape (2, 2)."""
        return np.array([[self.J_AA, self.J_AB], [self.J_AB / self.ratio, self.J_BB]])

    @property
    def zeeman(self) -> Array:
        """Splitting per tesla g mu_B [J/T], shape (2,)."""
        return MU_B * np.array([self.g_A, self.g_B])

    @property
    def sign(self) -> float:
        """Sign of s_A s_B in the ordered state."""
        return -1.0 if self.J_AB < 0 else 1.0


@dataclass(frozen=True)
class SublatticeState:
    """The sublattices at one temperature and field.

    Args:
        model: The sublattices.
        temperature: T [K].
        field: B along the axis [T].
        s_A: Spin of an A moment along the axis, of either sign.
        s_B: Spin of a B moment along the axis, of either sign.
    """

    model: Sublattices
    temperature: float
    field: float
    s_A: float
    s_B: float

    @property
    def spins(self) -> Array:
        """s_A and s_B, shape (2,)."""
        return np.array([self.s_A, self.s_B])

    @property
    def splitting(self) -> Array:
        """eps_L of A and B [J], of the sign of the spins, shape (2,)."""
        return self.model.zeeman * self.field + self.model.exchange @ self.spins

    @property
    def residual(self) -> float:
        """Largest defect of the mean-field equations."""
        x = self.splitting / (K_B * self.temperature)
        found = [brillouin(x[i], self.model.spins[i]) for i in range(2)]
        return float(np.abs(np.array(found) - self.spins).max())

    @property
    def moment(self) -> float:
        """Net moment per A moment along the axis, g_A s_A + ratio g_B s_B [mu_B]."""
        return self.model.g_A * self.s_A + self.model.ratio * self.model.g_B * self.s_B

    @property
    def neel(self) -> float:
        """Half the difference (s_A - s_B) / 2."""
        return 0.5 * (self.s_A - self.s_B)

    @property
    def susceptibility(self) -> Array:
        """Longitudinal response d s_i / d B [1/T], shape (2,); diverges at a Curie point."""
        return np.asarray(
            np.linalg.solve(
                np.eye(2) - self._slopes[:, None] * self.model.exchange, self._slopes * self.model.zeeman
            )
        )

    @property
    def stable(self) -> bool:
        """True where the state is a minimum of the free energy in s_A and s_B."""
        # The entropy alone has the second derivatives -1/(T slope).
        weight = np.array([1.0, self.model.ratio])
        hessian = np.diag(weight / np.maximum(self._slopes, 1e-300))
        hessian -= weight[:, None] * self.model.exchange
        return bool(np.linalg.eigvalsh(0.5 * (hessian + hessian.T)).min() > 0)

    @property
    def free_energy(self) -> float:
        """Mean-field free energy per A moment [J]."""
        kT, weight = K_B * self.temperature, np.array([1.0, self.model.ratio])
        x = self.splitting / kT
        entropy = [_log_partition(x[i], self.model.spins[i]) for i in range(2)]
        pair = self.spins @ (weight[:, None] * self.model.exchange) @ self.spins
        return float(-kT * (weight @ np.array(entropy)) + 0.5 * pair)

    @property
    def _slopes(self) -> Array:
        """Slopes d s_i / d eps_i [1/J], shape (2,)."""
        kT = K_B * self.temperature
        return np.array(
            [
                brillouin_derivative(e / kT, S) / kT
                for e, S in zip(self.splitting, self.model.spins, strict=True)
            ]
        )


def _log_partition(x: float, S: float) -> float:
    """Return ln of sinh((S+1/2)x)/sinh(x/2)."""
    y = abs(x)
    if y < 1e-6:
        return float(np.log(2 * S + 1) + S * (S + 1) * y * y / 6)
    return float(S * y + np.log(-np.expm1(-(2 * S + 1) * y)) - np.log(-np.expm1(-y)))


def ordering_temperature(model: Sublattices) -> float:
    r"""Return the critical temperature [K], of the Curie or the Neel kind; 0 if none.

    The largest eigenvalue of :math:`S_i(S_i+1)J_{ij}/3k_B`, where the linearised equations first
    have a solution on cooling.  For equal sublattices
    :math:`T_N = S(S+1)(J_{AA} + |J_{AB}|)/3k_B`.
    """
    chi = model.spins * (model.spins + 1) / (3 * K_B)
    w = chi[:, None] * model.exchange
    mean, half = 0.5 * (w[0, 0] + w[1, 1]), 0.5 * (w[0, 0] - w[1, 1])
    return float(max(mean + np.sqrt(half * half + w[0, 1] * w[1, 0]), 0.0))


def sublattice_spins(
    model: Sublattices, temperature: float, field: float = 0.0, orientation: int | None = None
) -> SublatticeState:
    """Return the self-consistent spins on the branch that starts from saturation.

    The branch is followed down from s_A = +-S_A, s_B = +-S_B, with the relative sign of the
    exchange between them, to the first solution.  Against the field that is a metastable state,
    and where it has ended the state the moments fall into.

    Args:
        model: The sublattices.
        temperature: T [K], > 0.
        field: B along the axis [T], of either sign.
        orientation: Sign of s_A on the branch; default the branch of lower free energy, +1 if
            both are equal.

    Raises:
        ValueError: If the temperature is not positive.
        SolverError: If the branch could not be followed.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be > 0 K, got {temperature!r}")
    if orientation is None:
        up, down = (sublattice_spins(model, temperature, field, o) for o in (1, -1))
        tie = abs(down.free_energy - up.free_energy) <= 1e-12 * abs(up.free_energy)
        return up if tie or up.free_energy < down.free_energy else down
    if field == 0 and temperature >= ordering_temperature(model):
        return SublatticeState(model, temperature, field, 0.0, 0.0)
    # Turned to the orientation, both spins start positive and raise each other.
    turn = np.sign(orientation) * np.array([1.0, model.sign])
    kT = K_B * temperature
    zeeman = turn * model.zeeman * field / kT
    own = np.diag(model.exchange) / kT
    mutual = np.abs(model.exchange[[0, 1], [1, 0]]) / kT

    def second(u: float) -> tuple[float, float]:
        s, slope = _own_spin(zeeman[1] + mutual[1] * u, own[1], model.spin_B)
        return s, slope * mutual[1]

    def first(u: float) -> tuple[float, float]:
        v, inner = second(u)
        s, slope = _own_spin(zeeman[0] + mutual[0] * v, own[0], model.spin_A)
        return s, slope * mutual[0] * inner

    u = _greatest_fixed_point(first, model.spin_A)
    spins = turn * np.array([u, second(u)[0]])
    return SublatticeState(model, temperature, field, float(spins[0]), float(spins[1]))


def _own_spin(y: float, own: float, S: float) -> tuple[float, float]:
    """Return the largest s = S B_S(y + own s) and its derivative to y."""

    def map_(s: float) -> tuple[float, float]:
        x = y + own * s
        return brillouin(x, S), own * brillouin_derivative(x, S)

    if own > 0:
        s = _greatest_fixed_point(map_, S)
    elif own < 0:  # s - S B_S(y + own s) grows with s: one root

        def excess(s: float) -> float:
            return s - map_(s)[0]

        saturated = excess(S) <= 0 or excess(-S) >= 0  # to round-off
        s = float(np.copysign(S, y)) if saturated else _root(excess, -S, S, S)
    else:
        s = brillouin(y, S)
    slope = brillouin_derivative(y + own * s, S)
    gain = 1 - own * slope
    return s, slope / gain if gain > 0 else np.inf


def _greatest_fixed_point(
    map_: Callable[[float], tuple[float, float]], top: float, limit: int = 200
) -> float:
    """Return the largest u <= top of u = f(u) for an increasing f that returns f and f'.

    For u > 0, f is concave: Newton steps from above do not pass a root, and below a point with
    f(u) < u and f' >= 1 there is none, so that steps may grow.  A step that passes a root, to
    f(u) > u, has come to the convex side, where there is one root between the two points.
    """
    u = top
    value, slope = map_(u)
    stride = 1.0
    for _ in range(limit):
        if value >= u or u - value <= 1e-16 * top:
            return u
        if slope < 1:
            trial, stride = u - (u - value) / (1 - slope), 1.0
        else:
            trial, stride = u - stride * (u - value), 2 * stride
        trial = max(trial, -top)
        found = map_(trial)
        # Below a root by less than round-off can show is as good as on it.
        if found[0] > trial + 1e-15 * top:
            return _root(lambda x: x - map_(x)[0], trial, u, top)
        u, (value, slope) = trial, found
    raise SolverError(f"mean field did not converge in {limit} steps")


def _root(excess: Callable[[float], float], low: float, high: float, scale: float) -> float:
    """Return the root between two points of opposite sign, to round-off."""
    tight = 4 * float(np.finfo(float).eps)
    return float(brentq(excess, low, high, xtol=1e-17 * scale, rtol=tight, maxiter=500))


def compensation_temperature(model: Sublattices, samples: int = 200) -> float | None:
    """Return the temperature [K] at which the net moment vanishes below ordering, or None.

    Without a field; if there are several, the highest.

    Args:
        model: The sublattices.
        samples: Temperatures scanned between 0 and the ordering temperature.
    """
    critical = ordering_temperature(model)
    if critical == 0 or model.sign > 0:
        return None

    def moment(temperature: float) -> float:
        state = sublattice_spins(model, temperature, 0.0, 1)
        # Both spins vanish at the ordering temperature: their ratio does not.
        return state.moment / float(np.abs(state.spins).max())

    grid = critical * np.linspace(0.01, 0.999, samples)
    values = [moment(t) for t in grid]
    if max(map(abs, values)) < 1e-9:  # an antiferromagnet is compensated everywhere
        return None
    for k in range(samples - 1, 0, -1):
        if values[k - 1] * values[k] < 0:
            return float(brentq(moment, grid[k - 1], grid[k], rtol=1e-12))
    return None
