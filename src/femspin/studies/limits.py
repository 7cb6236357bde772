r"""Closed forms: limits of the transport equations that have a formula, for checks and estimates.

Signs follow this package: :math:`J^{za} = G_{ab}\mu^b/e^2` enters the metal with
:math:`G = G_s + G_r\,m\times m\times + G_i\,m\times` and :math:`-G_s \ge 0`; the z axis points
from the magnet into the metal, E lies along x.  The formulas of a film on a magnet are even in
the spin Hall angle, whose sign differs between texts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..fields.soc import cross_matrix
from ..units import E_CHARGE, HBAR, MU_B, Array

__all__ = [
    "anomalous_hall_angle",
    "covariant_rates",
    "dyakonov_perel_rates",
    "edelstein_density",
    "film_factor",
    "hanle_magnetoresistance",
    "hanle_spin_valve",
    "helix_wave_number",
    "interface_polarisation",
    "interface_spin_resistance",
    "layer_loss",
    "pure_gauge_helix",
    "rashba_decay",
    "spin_hall_magnetoresistance",
    "spin_hall_swapping",
    "spin_memory_loss",
    "spin_resistance",
    "spin_valve_resistance",
    "swap_currents",
    "thin_layer_reduction",
]

Complex = NDArray[np.complex128]


def film_factor(thickness: float, length: complex, loading: complex = 0.0) -> complex:
    r"""Return R, the share of the spin Hall current that flows back and heals the resistance.

    .. math:: R = \frac{2\lambda}{d}\tanh\frac{d}{2\lambda}
              \,\frac{1 + g\coth(d/2\lambda)}{1 + 2 g\coth(d/\lambda)}

    so that the resistivity of a film is :math:`\rho(1 - \theta^2 R)` to second order in the
    spin Hall angle.

    Args:
        thickness: d [m].
        length: Spin diffusion length lambda [m]; complex in a magnetic field.
        loading: g = rho G lambda of the absorption conductance G on one face.
    """
    x = thickness / length
    free = 2 / x * np.tanh(x / 2)
    return complex(free * (1 + loading / np.tanh(x / 2)) / (1 + 2 * loading / np.tanh(x)))


def spin_hall_magnetoresistance(
    resistivity: float,
    length: float,
    thickness: float,
    spin_hall_angle: float,
    G_s: float = 0.0,
    G_r: float = 0.0,
    G_i: float = 0.0,
) -> tuple[float, float, float]:
    r"""Return (d0, d1, d2) of a film on an insulating magnet, relative to its resistivity.

    For a current along x and a normal along z

    .. math:: \rho_L = \rho\,[1 + d_0 + d_1(1 - m_y^2)],\qquad
              \rho_T = \rho\,[d_1 m_x m_y + d_2 m_z]

    with :math:`\rho_T = E_y/j_x`.  To second order in the spin Hall angle, with the
    absorption :math:`g_\parallel = -G_s`, :math:`g_\perp = -G_s + G_r + iG_i` and
    :math:`t = \tanh(d/2\lambda)`,

    .. math:: d_0 = -\theta^2 R(g_\parallel),\qquad
        d_1 - i d_2 = \theta^2\,\frac{2\rho\lambda^2 t^2}{d}\,\frac{g_\perp - g_\parallel}
        {(1 + 2\rho\lambda g_\parallel\coth\frac d\lambda)
         (1 + 2\rho\lambda g_\perp\coth\frac d\lambda)} .

    Args:
        resistivity: rho [Ohm m].
        length: Spin diffusion length [m].
        thickness: d [m].
        spin_hall_angle: theta.
        G_s: Spin-sink conductance, not positive [S/m^2].
        G_r: Real part of the mixing conductance [S/m^2].
        G_i: Its imaginary part [S/m^2].

    References:
        Chen et al., PRB 87, 144411 (2013) for G_s = 0; Zhang, Bergeret and Golovach,
        Nano Lett. 19, 6330 (2019).
    """
    along, across = -G_s, complex(-G_s + G_r, G_i)
    scale = resistivity * length
    slope = 2 * scale / np.tanh(thickness / length)
    d0 = -(spin_hall_angle**2) * film_factor(thickness, length, scale * along).real
    rest = 2 * scale * length / thickness * np.tanh(thickness / (2 * length)) ** 2
    rest = spin_hall_angle**2 * rest * (across - along)
    rest = rest / ((1 + slope * along) * (1 + slope * across))
    return d0, float(rest.real), -float(rest.imag)


def hanle_magnetoresistance(
    length: float,
    thickness: float,
    spin_hall_angle: float,
    diffusion: float,
    magnetic_field: float,
    g_factor: float = 2.0,
) -> tuple[float, float]:
    r"""Return what a magnetic field adds to the resistivity of a bare film, relative to it.

    The first number is :math:`\rho_L` for B across y minus that for B along y (which changes
    nothing), the second is :math:`\rho_T = E_y/j_x` for B along z:

    .. math:: \theta^2\,\mathrm{Re}[R(\lambda) - R(\Lambda)],\qquad
              \theta^2\,\mathrm{Im}\,R(\Lambda),\qquad
              \Lambda^{-2} = \lambda^{-2} + i\,g\mu_B B/\hbar D .

    Args:
        length: Spin diffusion length [m].
        thickness: d [m].
        spin_hall_angle: theta.
        diffusion: D [m^2/s].
        magnetic_field: B [T], along z for the second number.
        g_factor: g of the conduction electrons.

    References:
        Dyakonov, PRL 99, 126601 (2007); Velez et al., PRL 116, 016603 (2016).
    """
    omega = g_factor * MU_B * magnetic_field / HBAR
    turned = 1 / np.sqrt(complex(length**-2, omega / diffusion))
    free, held = film_factor(thickness, length), film_factor(thickness, turned)
    return spin_hall_angle**2 * (free - held).real, spin_hall_angle**2 * held.imag


def spin_resistance(resistivity: float, length: float, thickness: float = np.inf) -> float:
    r"""Return :math:`\rho\lambda\coth(d/\lambda)` [Ohm m^2] of a layer, insulated behind."""
    return resistivity * length / float(np.tanh(thickness / length))


def layer_loss(delta: float) -> float:
    r"""Return the share :math:`1 - 1/\cosh\delta` lost in a layer before a perfect sink."""
    return 1 - 1 / float(np.cosh(delta))


def spin_memory_loss(delta: float, interface_resistance: float, spin_resistance: float) -> float:
    r"""Return the share of an injected spin current that a lossy interface lets through.

    .. math:: \frac{r_I}{r_I\cosh\delta + r_N\sinh\delta},\qquad r_I = r_b/\delta

    Args:
        delta: Thickness over spin diffusion length of the interface layer.
        interface_resistance: r_b [Ohm m^2].
        spin_resistance: r_N of what lies behind [Ohm m^2], see `spin_resistance`.

    References:
        Rojas-Sanchez et al., PRL 112, 106602 (2014).
    """
    own = interface_resistance / delta
    return float(own / (own * np.cosh(delta) + spin_resistance * np.sinh(delta)))


def interface_polarisation(
    beta: float, r_f: float, r_n: float, gamma: float = 0.0, r_b: float = 0.0
) -> float:
    r"""Return the current polarisation at an F/N interface, (beta r_F + gamma r_b) / sum of r.

    Args:
        beta: Polarisation of the bulk conductivity of F.
        r_f: rho* l of F [Ohm m^2], rho* = rho / (1 - beta^2).
        r_n: rho l of N [Ohm m^2].
        gamma: Polarisation of the interface conductance.
        r_b: Interface resistance r_b* [Ohm m^2].

    References:
        Valet and Fert, PRB 48, 7099 (1993).
    """
    return (beta * r_f + gamma * r_b) / (r_f + r_n + r_b)


def interface_spin_resistance(
    beta: float, r_f: float, r_n: float, gamma: float = 0.0, r_b: float = 0.0
) -> float:
    r"""Return r_SI [Ohm m^2], what spin accumulation adds to the resistance of F/N.

    .. math:: r_{SI} = \frac{r_N(\beta^2 r_F + \gamma^2 r_b) + r_F r_b(\beta-\gamma)^2}
                            {r_F + r_N + r_b}

    The arguments are those of `interface_polarisation`.

    References:
        Valet and Fert, PRB 48, 7099 (1993).
    """
    mixed = r_n * (beta**2 * r_f + gamma**2 * r_b) + r_f * r_b * (beta - gamma) ** 2
    return mixed / (r_f + r_n + r_b)


def spin_valve_resistance(
    beta: float, r_f: float, r_n: float, spacing: float, gamma: float = 0.0, r_b: float = 0.0
) -> float:
    r"""Return resistance times area, antiparallel minus parallel, of F/N/F [Ohm m^2].

    .. math:: 2(\beta r_F + \gamma r_b)^2\left[\frac{1}{X + r_N\tanh(t/2)}
              - \frac{1}{X + r_N\coth(t/2)}\right],\qquad X = r_F + r_b

    Args:
        beta: Polarisation of the conductivity of both thick F.
        r_f: rho* l of F [Ohm m^2].
        r_n: rho l of N [Ohm m^2].
        spacing: t, thickness of N over its spin diffusion length.
        gamma: Polarisation of the interface conductance.
        r_b: Interface resistance r_b* [Ohm m^2].

    References:
        Valet and Fert, PRB 48, 7099 (1993).
    """
    own, half = r_f + r_b, float(np.tanh(spacing / 2))
    return 2 * (beta * r_f + gamma * r_b) ** 2 * (1 / (own + r_n * half) - 1 / (own + r_n / half))


def hanle_spin_valve(
    distance: float, length: float, diffusion: float, magnetic_field: float, g_factor: float = 2.0
) -> float:
    r"""Return the nonlocal signal over its value at L = 0, B = 0, for B across the spins.

    .. math:: \mathrm{Re}\left[\frac{\lambda_\omega}{\lambda} e^{-L/\lambda_\omega}\right],\qquad
              \lambda_\omega = \lambda/\sqrt{1 + i\omega\tau},\quad \tau = \lambda^2/D

    Args:
        distance: L between injector and detector on a long wire [m].
        length: lambda [m].
        diffusion: D [m^2/s].
        magnetic_field: B [T].
        g_factor: g of the conduction electrons.

    References:
        Johnson and Silsbee, PRL 55, 1790 (1985); Jedema et al., Nature 416, 713 (2002).
    """
    phase = g_factor * MU_B * magnetic_field / HBAR * length**2 / diffusion
    turned = length / np.sqrt(1 + 1j * phase)
    return float((turned / length * np.exp(-distance / turned)).real)


def dyakonov_perel_rates(
    rashba: float, dresselhaus: float, mass: float, diffusion: float
) -> tuple[float, float, float]:
    r"""Return the relaxation rates [1/s] of uniform spins along [1-10], [110] and z.

    .. math:: \frac{4Dm^2}{\hbar^2}\{(\alpha-\beta)^2,\ (\alpha+\beta)^2,\ 2(\alpha^2+\beta^2)\}

    Args:
        rashba: alpha [m/s].
        dresselhaus: beta [m/s].
        mass: m [kg].
        diffusion: D [m^2/s].

    References:
        PRB 108, 125309 (2023), Eqs. (47), (48); errata E10.
    """
    unit = diffusion * (2 * mass / HBAR) ** 2
    first, second = unit * (rashba - dresselhaus) ** 2, unit * (rashba + dresselhaus) ** 2
    return first, second, first + second


def covariant_rates(gauge: ArrayLike, wave_vector: ArrayLike, diffusion: float) -> Array:
    r"""Return the decay rates of spin waves of a covariant diffusion, ascending, shape (3,).

    The eigenvalues of :math:`-D\,(i q_j + a^j\times)^2` [1/s], for Theta = 1.

    Args:
        gauge: a^{ib} [1/m], shape (3, 3).
        wave_vector: q [1/m], shape (3,).
        diffusion: D [m^2/s].

    References:
        Bernevig, Orenstein and Zhang, PRL 97, 236601 (2006).
    """
    waves = 1j * np.asarray(wave_vector, float)[:, None, None] * np.eye(3)
    covariant = waves + cross_matrix(gauge)
    return np.linalg.eigvalsh(diffusion * np.einsum("jba,jbc->ac", covariant.conj(), covariant))


def helix_wave_number(rashba: float, mass: float) -> float:
    r"""Return Q = 4 m alpha / hbar [1/m] of the persistent spin helix at alpha = beta."""
    return 4 * mass * rashba / HBAR


def rashba_decay(rashba: float, mass: float) -> complex:
    r"""Return kappa [1/m] of the oscillating evanescent spin mode of a Rashba gas.

    :math:`\kappa^2 = \tfrac12 q_0^2(-1 + i\sqrt7)` with :math:`q_0 = 2m\alpha/\hbar`; its
    complex conjugate is a mode, too.

    References:
        Stanescu and Galitski, PRB 75, 125307 (2007).
    """
    return complex(2 * mass * rashba / HBAR * np.sqrt((-1 + 1j * np.sqrt(7)) / 2))


def pure_gauge_helix(z: ArrayLike, length: float, thickness: float, gauge: float) -> Array:
    r"""Return mu^a(z) / mu^z(0) of a film with a^{zy} = k, held at z = 0, shape (..., 3).

    .. math:: \frac{\cosh[(L-z)/\lambda]}{\cosh(L/\lambda)}\,(-\sin kz,\ 0,\ \cos kz)

    The gauge field only turns the spins: undone by a rotation, it leaves plain diffusion.

    Args:
        z: Positions [m], shape (...).
        length: lambda [m].
        thickness: L, insulated at z = L [m].
        gauge: k [1/m].
    """
    z = np.asarray(z, float)
    size = np.cosh((thickness - z) / length) / np.cosh(thickness / length)
    turn = np.stack([-np.sin(gauge * z), np.zeros_like(z), np.cos(gauge * z)], axis=-1)
    found: Array = size[..., None] * turn
    return found


def thin_layer_reduction(ratio: ArrayLike) -> Array:
    r"""Return tanh(ell_F / ell): spin flux into a layer over that into a thick one.

    The layer is insulated behind; the same number is its mean density over ell_F times the
    density at the surface, times ell_F / ell.

    References:
        PRB 108, 125309 (2023), Eq. (34); errata E19.
    """
    found: Array = np.tanh(np.asarray(ratio, float))
    return found


def edelstein_density(rashba: float, scattering_time: float, dos: float, electric_field: float) -> float:
    r"""Return N^y [1/m^3] of a Rashba gas in a field along x, :math:`2\alpha\tau\nu q E_x`.

    The spin density is half of it, in units of hbar; q is negative for electrons.

    Args:
        rashba: alpha [m/s].
        scattering_time: tau [s].
        dos: nu per spin [1/(J m^3)], or [1/(J m^2)] for a density per area.
        electric_field: E_x [V/m].

    References:
        Edelstein, Solid State Commun. 73, 233 (1990); errata E9.
    """
    return -2 * rashba * scattering_time * dos * E_CHARGE * electric_field


def anomalous_hall_angle(polarisation: ArrayLike, spin_hall: ArrayLike) -> float:
    r"""Return sigma_yx / sigma = - P^a theta_C^{za}, to first order in both.

    With noncollinear exchange P lies along R^T m.

    Args:
        polarisation: P^a of the conductivity, shape (3,).
        spin_hall: theta_C^{ka}, shape (3, 3) = (space, spin).

    References:
        PRB 108, 125309 (2023), App. C, Fig. 4.
    """
    return -float(np.asarray(spin_hall, float)[2] @ np.asarray(polarisation, float))


def spin_hall_swapping(spin_hall_angle: float) -> float:
    r"""Return the swapping coefficient :math:`\theta^2/(1+2\theta^2)` of an isotropic metal.

    Two spin Hall deflections turn J^{ia} into J^{ai}; the coefficient multiplies J^{ai}, with
    no term in the trace, unlike the form of `swap_currents`.
    """
    return spin_hall_angle**2 / (1 + 2 * spin_hall_angle**2)


def swap_currents(flux: ArrayLike, kappa: float) -> Array:
    r"""Return spin currents with swapping, shape (3, 3) = (space, spin).

    .. math:: J_{ij} = J^0_{ij} + \kappa\,(J^0_{ji} - \delta_{ij} J^0_{kk})

    References:
        Lifshits and Dyakonov, PRL 103, 186601 (2009).
    """
    flux = np.asarray(flux, float)
    found: Array = flux + kappa * (flux.T - np.trace(flux) * np.eye(3))
    return found
