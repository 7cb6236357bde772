r"""What is averaged over the Fermi surface: one kernel per coefficient and model.

:math:`\langle X\rangle = V^{-1}\sum_{k,s}X\,\delta(\mu - \epsilon_{ks})`.  A kernel is a tensor:
its first index is the direction of the gradient of the order, its second that of the current.
"""

from __future__ import annotations

import numpy as np

from ..units import Array
from .hamiltonian import BandFields, band_fields
from .lattice import TwoSublattice

__all__ = ["KERNELS", "kernel_values"]


KERNELS = (
    "v2",
    "P_m_printed",
    "P_n_printed",
    "P_m_na_printed",
    "P_n_na_printed",
    "P_m_corrected",
    "P_n_corrected",
    "P_m_na_corrected",
    "P_n_na_corrected",
    "P_n_complete",
    "P_n_na_complete",
    "p_n_complete",
    "p_m_complete",
    "p_m_spin_current",
)
"""Names of the kernels in the order of `kernel_values`.

v2 is the velocity tensor, the denominator of all coefficients.  Printed: (S6.24), (S6.52),
(S7.23), (S7.30); corrected: errata B2-B5, B8; complete: errata B9 and C; p_m_spin_current: what
the spin current of the same electrons brings to the canted moments.
"""


def kernel_values(model: TwoSublattice, k: Array, s: int) -> Array:
    """Return the kernels at points of one band, shape (N, number of kernels, d, d).

    Args:
        model: The lattice.
        k: Wave vectors [1/a], shape (N, d).
        s: +1 lower band, -1 upper band.
    """
    f = band_fields(model, k)
    d_eps = f.d_T - s * f.d_Delta
    v2 = _outer(d_eps, d_eps)
    paper = (*_printed(f, d_eps, s), *_corrected(f, d_eps, s))
    return np.stack([v2, *paper, *_complete(f, d_eps, s), _spin_current(f, s)], axis=1)


def _outer(a: Array, b: Array) -> Array:
    product: Array = a[..., :, None] * b[..., None, :]
    return product


def _moving_axis(f: BandFields) -> Array:
    """Return d_i x . d_j x of the unit vector x; A_i . A_j of Eq. (12a)."""
    eta = (f.d_eta.conj()[..., :, None] * f.d_eta[..., None, :]).real
    metric: Array = (eta - _outer(f.d_Delta, f.d_Delta)) / (f.Delta**2)[..., None, None]
    return metric


def _printed(f: BandFields, d_eps: Array, s: int) -> tuple[Array, Array, Array, Array]:
    """Return P_m, P_n, P_m^na, P_n^na as in Eqs. (S6.24), (S6.52), (S7.23), (S7.30)."""
    J, D = f.exchange, f.Delta[..., None, None]
    m = J**2 * (2 * J / D**3 * _outer(f.d_Delta, f.d_Delta) - J / D**2 * f.dd_Delta)
    n = J * (
        s * J**2 / D**2 * f.dd_Delta
        - 2 * J**2 / D**3 * _outer(f.d_T, f.d_Delta)
        + (s * (D**2 - J**2) + J**2) / D * _moving_axis(f)
    )
    forward = _outer(f.d_T, d_eps)
    return m, n, J / D * forward, (J / D) ** 2 * forward


def _corrected(f: BandFields, d_eps: Array, s: int) -> tuple[Array, Array, Array, Array]:
    """Return the same diagrams without the slips: errata B2, B5, B8."""
    J, D = f.exchange, f.Delta[..., None, None]
    m, _, m_na, n_na = _printed(f, d_eps, s)
    n = J * (s * D * _moving_axis(f) - 2 * J**2 / D**3 * _outer(f.d_T, f.d_Delta))
    return s * m, n, s * m_na, s * n_na


def _complete(f: BandFields, d_eps: Array, s: int) -> tuple[Array, Array, Array, Array]:
    """Return P_n, P_n^na, p_n, p_m of all diagrams of order tau: errata B9, C."""
    cube = (f.exchange / f.Delta[..., None, None]) ** 3
    spread = (f.d_eta.conj()[..., :, None] * f.d_eta[..., None, :]).real
    mixed = _outer(f.d_T, f.d_Delta)
    bent = (f.eta.conj()[..., None, None] * f.dd_eta).real
    forward = _outer(f.d_T, f.d_T)
    return (
        cube * (s * spread - mixed),
        s * cube * _outer(f.d_T, d_eps),
        s * cube * (forward - spread),
        cube * (s * forward + mixed - s * bent),
    )


def _spin_current(f: BandFields, s: int) -> Array:
    r"""Return :math:`\mathcal J\partial_m[v_i\sigma_x]`, the spin current of a uniform canting m.

    Its divergence is the torque on the moments if electrons lose no spin elsewhere.
    """
    c2 = ((f.exchange / f.Delta) ** 2)[..., None, None]
    spread = (f.d_eta.conj()[..., :, None] * f.d_eta[..., None, :]).real + _outer(f.d_T, f.d_T)
    bent: Array = (1 - c2) * f.dd_T - s * f.dd_Delta + s * c2 / f.Delta[..., None, None] * spread
    return f.exchange * bent
