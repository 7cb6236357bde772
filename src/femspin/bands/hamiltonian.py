r"""Bands and operators of the eigenstates: the 4x4 Hamiltonian and what follows from it at one k.

The basis is rho (sublattice A, B) times sigma (spin along the Neel vector), hbar = 1.  Nothing
here uses the angles of Eqs. (5), (6), which are singular where eta vanishes; the unit vector
:math:`x = (\mathrm{Re}\,\eta, \mathrm{Im}\,\eta, \mathcal J)/\Delta` is smooth (errata B19).
Functions take k of shape (..., d) and return matrices of shape (..., 4, 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..units import Array
from .lattice import TwoSublattice

__all__ = [
    "BandFields",
    "anomalous_spin_current",
    "band_energy",
    "band_fields",
    "band_gradient",
    "diagonalizer",
    "eigenstate_spin",
    "gauge_field",
    "hamiltonian",
    "hopping_gradient",
    "hopping_terms",
    "ordinary_spin_current",
    "pauli_product",
    "projector",
    "spin_texture",
]

Complex = NDArray[np.complex128]

_PAULI: Complex = np.array(
    [[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex
)


def pauli_product(rho: int, sigma: int) -> Complex:
    """Return rho_a sigma^b as a 4x4 matrix; index 0 is the unit matrix."""
    product: Complex = np.kron(_PAULI[rho], _PAULI[sigma])
    return product


@dataclass(frozen=True)
class BandFields:
    """Hopping terms and gap with their first and second derivatives; d the dimension.

    Args:
        eta: Inter-sublattice hopping, shape (...).
        d_eta: Its gradient, shape (..., d).
        dd_eta: Its second derivatives, shape (..., d, d).
        T: Intra-sublattice hopping, shape (...).
        d_T: Its gradient.
        dd_T: Its second derivatives.
        Delta: Half the distance of the bands, shape (...).
        d_Delta: Its gradient.
        dd_Delta: Its second derivatives.
        exchange: J.
    """

    eta: Complex
    d_eta: Complex
    dd_eta: Complex
    T: Array
    d_T: Array
    dd_T: Array
    Delta: Array
    d_Delta: Array
    dd_Delta: Array
    exchange: float


def hopping_terms(model: TwoSublattice, k: Array) -> tuple[Complex, Array]:
    """Return eta and T at k, below Eq. (3); shape (...).

    Minus eta and T are the entries of the Hamiltonian (errata B20: the hopping parameters of the
    text are minus t and t').
    """
    e, ep = np.array(model.inter), np.array(model.intra).reshape(-1, model.dimension)
    eta: Complex = np.exp(-1j * (k @ e.T)) @ np.array(model.inter_amplitudes, dtype=complex)
    T: Array = -2 * np.cos(k @ ep.T) @ np.array(model.intra_amplitudes, dtype=float)
    return eta, T


def band_energy(model: TwoSublattice, k: Array, s: int) -> Array:
    """Return eps = T - s Delta, Eq. (7), shape (...); s = +1 is the lower band."""
    eta, T = hopping_terms(model, k)
    energy: Array = T - s * np.sqrt(eta.real**2 + eta.imag**2 + model.exchange**2)
    return energy


def band_gradient(model: TwoSublattice, k: Array, s: int) -> tuple[Array, Array]:
    """Return the energy of a band, shape (...), and its gradient, shape (..., d)."""
    ep = np.array(model.intra).reshape(-1, model.dimension)
    eta, d_eta = hopping_gradient(model, k)
    phase, tp = k @ ep.T, np.array(model.intra_amplitudes, dtype=float)
    Delta = np.sqrt(eta.real**2 + eta.imag**2 + model.exchange**2)
    d_Delta = (eta.conj()[..., None] * d_eta).real / Delta[..., None]
    energy = -2 * np.cos(phase) @ tp - s * Delta
    return energy, 2 * (np.sin(phase) * tp) @ ep - s * d_Delta


def hopping_gradient(model: TwoSublattice, k: Array) -> tuple[Complex, Complex]:
    """Return eta, shape (...), and its gradient, shape (..., d)."""
    e = np.array(model.inter)
    hop = np.exp(-1j * (k @ e.T)) * np.array(model.inter_amplitudes)
    return hop.sum(-1), -1j * (hop @ e)


def band_fields(model: TwoSublattice, k: Array) -> BandFields:
    """Return everything the coefficients need at k, analytically differentiated."""
    e, ep = np.array(model.inter), np.array(model.intra).reshape(-1, model.dimension)
    hop = np.exp(-1j * (k @ e.T)) * np.array(model.inter_amplitudes)
    eta, d_eta = hop.sum(-1), -1j * (hop @ e)
    dd_eta = -np.einsum("...m,mi,mj->...ij", hop, e, e)
    phase, tp = k @ ep.T, np.array(model.intra_amplitudes, dtype=float)
    cos, sin = np.cos(phase) * tp, np.sin(phase) * tp
    Delta = np.sqrt(abs(eta) ** 2 + model.exchange**2)
    d_Delta = (eta.conj()[..., None] * d_eta).real / Delta[..., None]
    curvature = (d_eta.conj()[..., :, None] * d_eta[..., None, :]).real
    curvature = curvature + (eta.conj()[..., None, None] * dd_eta).real
    curvature -= d_Delta[..., :, None] * d_Delta[..., None, :]
    return BandFields(
        eta,
        d_eta,
        dd_eta,
        -2 * cos.sum(-1),
        2 * sin @ ep,
        2 * np.einsum("...m,mi,mj->...ij", cos, ep, ep),
        Delta,
        d_Delta,
        curvature / Delta[..., None, None],
        model.exchange,
    )


def hamiltonian(model: TwoSublattice, k: Array, neel: tuple[float, float, float] = (0, 0, 1)) -> Complex:
    """Return H_k of the text below Eq. (3), shape (..., 4, 4).

    Args:
        model: The lattice.
        k: Wave vectors [1/a], shape (..., d).
        neel: Direction of the electron spin that the Neel vector favours on A.
    """
    eta, T = hopping_terms(model, k)
    H = T[..., None, None] * pauli_product(0, 0)
    H = H - eta.real[..., None, None] * pauli_product(1, 0)
    H = H - eta.imag[..., None, None] * pauli_product(2, 0)
    n = np.array(neel, dtype=float) / np.linalg.norm(neel)
    exchange = sum((n[a] * pauli_product(3, a + 1) for a in range(3)), np.zeros((4, 4)))
    result: Complex = H - model.exchange * exchange
    return result


def diagonalizer(model: TwoSublattice, k: Array) -> Complex:
    r"""Return V_k of Eqs. (S1.2), (S1.3) with :math:`V^\dagger HV = T - \Delta\rho_3\sigma^z`.

    The half angle comes from x itself, :math:`V = (X\cdot\rho + \Delta\rho_3\sigma^z)/
    \sqrt{2\Delta(\Delta + \mathcal J)}`, so that V is smooth for either sign of eta (errata B19).
    """
    eta, _ = hopping_terms(model, k)
    J = model.exchange
    Delta = np.sqrt(abs(eta) ** 2 + J**2)
    norm = np.sqrt(2 * Delta * (Delta + J))
    V = (eta.real / norm)[..., None, None] * pauli_product(1, 0)
    V = V + (eta.imag / norm)[..., None, None] * pauli_product(2, 0)
    result: Complex = V + ((Delta + J) / norm)[..., None, None] * pauli_product(3, 3)
    return result


def projector(s: int) -> Complex:
    """Return P_s of Eq. (S2.1), on the lower (+1) or the upper (-1) pair of eigenstates."""
    return (pauli_product(0, 0) + s * pauli_product(3, 3)) / 2


def _tau_perp(s: int) -> tuple[Complex, Complex]:
    """Return tau^x and tau^y of a pair of eigenstates as 4x4 matrices, Eqs. (S2.10)."""
    P = projector(s)
    return P @ pauli_product(1, 1), P @ pauli_product(2, 1)


def eigenstate_spin(model: TwoSublattice, k: Array, s: int) -> Complex:
    r"""Return the spin of the eigenstates, s tau_ks of Eqs. (8), (9), shape (..., 3, 4, 4).

    In the frame of V_k.  The transverse part follows the direction of eta: where it is complex
    (no site inversion) the spin turns with k although there is no spin-orbit coupling.
    """
    eta, _ = hopping_terms(model, k)
    x = eta / np.sqrt(abs(eta) ** 2 + model.exchange**2)  # sin(theta) e^{i phi}
    re, im = x.real[..., None, None], x.imag[..., None, None]
    tx, ty = _tau_perp(s)
    tz = projector(s) @ pauli_product(3, 0)
    along = np.broadcast_to(s * tz, (*re.shape[:-2], 4, 4))
    return np.stack([s * (re * tx + im * ty), -im * tx + re * ty, along], axis=-3)


def spin_texture(model: TwoSublattice, k: Array) -> tuple[Array, Array]:
    """Return sin(theta) and phi of the spin-momentum locking, Eqs. (5), (6), (9); shape (...).

    phi is the argument of eta with its quadrant (errata B19), 0 or pi with site inversion.
    """
    eta, _ = hopping_terms(model, k)
    return abs(eta) / np.sqrt(abs(eta) ** 2 + model.exchange**2), np.angle(eta)


def gauge_field(model: TwoSublattice, k: Array) -> tuple[Array, Array]:
    r"""Return the momentum-space gauge field A^perp, shape (..., d, 2), and A^z, shape (..., d).

    Eqs. (12a), (12b), :math:`-iV^\dagger\partial_iV = (A^z\rho_3 + A^\perp\cdot\rho\,\sigma^z)/2`,
    with the angles written through eta:
    :math:`A^z_i = \mathrm{Im}(\eta^*\partial_i\eta)/\Delta(\Delta + \mathcal J)`.
    """
    f = band_fields(model, k)
    J, Delta = f.exchange, f.Delta[..., None]
    turn = (f.eta.conj()[..., None] * f.d_eta).imag  # |eta|^2 d phi
    A_z = turn / (Delta * (Delta + J))
    # A^x + i A^y = i e^{i phi} (d theta + i sin(theta) d phi), theta = atan(|eta|/J)
    A = 1j * (f.d_eta - f.eta[..., None] * f.d_Delta / (Delta + J)) / Delta
    return np.stack([A.real, A.imag], axis=-1), A_z


def ordinary_spin_current(model: TwoSublattice, k: Array, s: int) -> Complex:
    """Return the ordinary spin current of the eigenstates, Eq. (10), shape (..., d, 3, 4, 4)."""
    velocity = band_gradient(model, k, s)[1]
    spin = eigenstate_spin(model, k, s)
    result: Complex = velocity[..., :, None, None, None] * spin[..., None, :, :, :]
    return result


def anomalous_spin_current(model: TwoSublattice, k: Array, s: int) -> Complex:
    """Return the anomalous spin current of the eigenstates, Eq. (11), shape (..., d, 3, 4, 4)."""
    A, _ = gauge_field(model, k)
    ax, ay = A[..., 0, None, None], A[..., 1, None, None]
    tx, ty = _tau_perp(s)
    rows = [-ay * tx + ax * ty, -s * (ax * tx + ay * ty), 0 * ax * tx]
    result: Complex = model.exchange * np.stack(rows, axis=-3)
    return result
