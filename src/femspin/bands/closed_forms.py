r"""Closed forms of the coefficients without intra-sublattice hopping, and the printed limits.

Zero temperature, hbar = 1, lengths in the site spacing a.  mu must lie inside a band:
:math:`\mathcal J < |\mu|`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import copysign, sqrt

from scipy.integrate import quad
from scipy.special import ellipkm1

from ..errors import CaseError

__all__ = [
    "ChainForms",
    "SquareForms",
    "chain_forms",
    "ferromagnetic_limit",
    "printed_P_m",
    "printed_P_n",
    "square_forms",
]


@dataclass(frozen=True)
class SquareForms:
    r"""Exact coefficients of the square lattice with t' = 0 at zero temperature.

    Args:
        W: :math:`\langle(\partial_x\eta)^2\rangle` on the Fermi line, an elliptic integral.
        p_n: :math:`\mathrm{sign}(\mu)\mathcal J^3/|\mu|(\mu^2 - \mathcal J^2)`.
        p_m: :math:`-\mathrm{sign}(\mu)(\mathcal J/|\mu|)^3\mu^2/2W`.
        P_n: Corrected (S6.53), errata B6: -p_n.
        P_m_printed: (S6.24) as printed, with the term that (S6.25) drops.
        P_n_printed: (S6.52) as printed, of which (S6.53) is an approximation.
    """

    W: float
    p_n: float
    p_m: float
    P_n: float
    P_m_printed: float
    P_n_printed: float


@dataclass(frozen=True)
class ChainForms:
    r"""Exact coefficients of the chain with t' = 0 at zero temperature; errata C.

    Args:
        p_n: :math:`-s\mathcal J^3/|\mu|e`, with :math:`e = \mu^2 - \mathcal J^2`.
        p_m: :math:`s\mathcal J^3/|\mu|(4t^2 - e)`.
        P_n: Algebra corrected, errata B5: -p_n.
        P_m_printed: (S6.24) as printed.
    """

    p_n: float
    p_m: float
    P_n: float
    P_m_printed: float


def _inside(mu: float, exchange: float, top: float) -> float:
    """Return |eta| on the Fermi surface; `top` is its largest value in the zone."""
    square = (abs(mu) - exchange) * (abs(mu) + exchange)
    if not 0 < square < top**2:
        edges = f"{exchange:.6g} to {sqrt(top**2 + exchange**2):.6g}"
        raise CaseError("chemical_potential", f"|mu| must lie inside a band, {edges} (got {mu:.6g})")
    return sqrt(square)


def square_forms(mu: float, exchange: float, t: float = 1.0) -> SquareForms:
    r"""Return the exact coefficients of the square lattice without t'; errata B6, C, E.

    .. math:: W = \frac{a^2}{2}\frac{\int_{\eta_\mu}^{4t}E\,K(1 - E^2/16t^2)\,dE}
                  {K(1 - \eta_\mu^2/16t^2)},\quad \eta_\mu^2 = \mu^2 - \mathcal J^2

    Raises:
        CaseError: If mu lies in the gap or outside the bands.
    """
    eta, s, D = _inside(mu, exchange, 4 * t), -copysign(1.0, mu), abs(mu)
    integral, _ = quad(
        lambda E: E * float(ellipkm1((E / (4 * t)) ** 2)), eta, 4 * t, epsabs=1e-14, epsrel=1e-13
    )
    W = integral / 2 / float(ellipkm1((eta / (4 * t)) ** 2))
    cube = (exchange / D) ** 3
    p_n = -cube * s * D**2 / eta**2
    ratio, bend = exchange**2 / eta**2, D**2 / (2 * W)
    return SquareForms(
        W,
        p_n,
        cube * s * bend,
        -p_n,
        cube * (2 - ratio + bend),
        cube * (s * D**2 / eta**2 + ratio - s * bend),
    )


def chain_forms(mu: float, exchange: float, t: float = 1.0) -> ChainForms:
    """Return the exact coefficients of the chain without t'; errata C.

    Raises:
        CaseError: If mu lies in the gap or outside the bands.
    """
    eta, s, D = _inside(mu, exchange, 2 * t), -copysign(1.0, mu), abs(mu)
    e, f, cube = eta**2, 4 * t**2 - eta**2, exchange**3
    p_n = -s * cube / (D * e)
    printed = cube / D**3 * (2 - exchange**2 / e + D**2 / f)
    return ChainForms(p_n, s * cube / (D * f), -p_n, printed)


def printed_P_m(mu: float, exchange: float) -> float:
    r"""Return :math:`2\mathcal J^3/|\mu|^3`, Eq. (S6.25).

    Drops the curvature of Delta: good for :math:`\mathcal J \ll |\mu| \ll t`, of the wrong sign
    next to the gap (errata E).
    """
    return 2 * (exchange / abs(mu)) ** 3


def printed_P_n(mu: float, exchange: float) -> float:
    r"""Return :math:`(\mathcal J/|\mu|)^3(\mathcal J^2/(\mu^2-\mathcal J^2) - \mathrm{sign}\mu)`.

    Eq. (S6.53).  Equal to the exact corrected value for mu < 0, where two errors cancel; wrong
    for mu > 0 (errata B6).
    """
    ratio = exchange**2 / (mu**2 - exchange**2)
    return (exchange / abs(mu)) ** 3 * (ratio - copysign(1.0, mu))


def ferromagnetic_limit(s: int) -> float:
    """Return P_m^na = P_n^na = 1 of Eq. (S7.31), and with it p_n, p_m for t -> 0.

    +1 in the lower band, -1 in the upper one (errata B8); two separate ferromagnets.
    """
    return float(s)
