"""Errata of the band theory of antiferromagnetic torques, each from a calculation of its own.

B1-B9, B12, B18-B20 are identities of 4x4 matrices or facts of exactly soluble lattices; B10 and
C rest on the Boltzmann equation of the density matrix, which uses none of the formulas.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pint
import pytest
from numpy.testing import assert_allclose

sys.path.insert(0, str(Path(__file__).parents[1]))
from bands_reference import CASES, S0, SIGMA, angles, block, derivative, in_eigenframe

from femspin.bands import (
    TwoSublattice,
    conductivity,
    electrons_per_site,
    honeycomb,
    square,
    square_forms,
    torque_coefficients,
)
from femspin.bands.closed_forms import printed_P_n
from femspin.bands.contours import contour_integral
from femspin.bands.hamiltonian import (
    anomalous_spin_current,
    band_fields,
    diagonalizer,
    gauge_field,
    hamiltonian,
    pauli_product,
    spin_texture,
)
from femspin.bands.kernels import KERNELS, kernel_values
from femspin.bands.kinetic import KineticSetup, neel_drift
from femspin.bands.torques import drift_velocity, exchange_time
from femspin.units import E_CHARGE, HBAR

MODELS = [square(1, 0.3, 0.7), honeycomb(1, 0.3, 0.7)]
KINETIC = 3e-6  # of the Boltzmann equation, see test_bands_kinetic
NUMERICAL = 1e-7  # second numerical derivatives
K = np.random.default_rng(3).uniform(-2, 2, (5, 2))


def kernel(model, name, s, k=K):
    return kernel_values(model, k, s)[:, KERNELS.index(name)]


# ---------------------------------------------------------------- operators


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_b1_the_staggered_spin_has_the_opposite_sign_to_print(model):
    """(S4.6): Sigma_perp = +(i q/2 J) z x j_sA, so that the torque is minus the divergence."""
    V = diagonalizer(model, K)
    for i in (0, 1):
        dV = derivative(lambda k: diagonalizer(model, k), K, i)
        for s in (1, -1):
            current = anomalous_spin_current(model, K, s)[:, i]
            turned = [-current[:, 1], current[:, 0]]  # z x j
            for a in (0, 1):
                O = np.kron(SIGMA[2], SIGMA[a])  # noqa: E741
                first = (V @ O @ dV - dV.conj().swapaxes(1, 2) @ O @ V) / 2  # times q
                wanted = 0.5j / model.exchange * turned[a]
                assert_allclose(block(first, s, s), block(wanted, s, s), atol=1e-9)
                assert abs(block(first, s, s) + block(wanted, s, s)).max() > 0.1


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_b4_the_vector_of_the_anomalous_current_lacks_the_printed_first_term(model):
    """(S6.47): sin(theta) P.e = -(J/Delta) ddDelta + J dx.dx, read off V^+ (ddH sigma) V."""
    f, J = band_fields(model, K), model.exchange
    theta, phi = angles(model, K)
    A, _ = gauge_field(model, K)
    for i in (0, 1):
        ddH = derivative(lambda k: derivative(lambda q: hamiltonian(model, q), k, i), K, i)  # noqa: B023
        full = in_eigenframe(model, K, ddH @ np.kron(S0, SIGMA[0]))
        along = np.cos(phi)[:, None, None] * SIGMA[0] + np.sin(phi)[:, None, None] * SIGMA[1]
        part = np.einsum("kab,kba->k", block(full, 1, 1), along).real / 2
        metric = (A[:, i] ** 2).sum(-1)
        band = f.dd_T[:, i, i] - f.dd_Delta[:, i, i]
        found = (part - (band + f.Delta * metric) * np.sin(theta)) * np.tan(theta)
        right = -J / f.Delta * f.dd_Delta[:, i, i] + J * metric
        assert_allclose(found, right, atol=NUMERICAL)
        assert abs(J / f.Delta**2 * f.d_Delta[:, i] ** 2).max() > 0.1  # the printed first term


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_b3_b5_the_printed_diagrams_give_the_corrected_kernel(model):
    """(S6.45) with the sign s of the third part and (S6.47) corrected is (S6.52) corrected."""
    f, J = band_fields(model, K), model.exchange
    A, _ = gauge_field(model, K)
    metric = np.einsum("kia,kja->kij", A, A)
    outer = lambda a, b: a[:, :, None] * b[:, None, :]  # noqa: E731
    D = f.Delta[:, None, None]
    d_cos = -J / f.Delta[:, None] ** 2 * f.d_Delta
    dd_cos = 2 * J / D**3 * outer(f.d_Delta, f.d_Delta) - J / D**2 * f.dd_Delta
    last = J / D * (-J / D * f.dd_Delta + J * metric)
    for s in (1, -1):
        d_eps = f.d_T - s * f.d_Delta
        first = 2 * J / D * outer(d_eps, d_cos) - s * J * dd_cos + s * D * (1 - J**2 / D**2) * metric
        wanted = kernel(model, "P_n_corrected", s) / J
        symmetric = lambda X: (X + X.swapaxes(1, 2)) / 2  # noqa: E731
        assert_allclose(symmetric(first + s * last), symmetric(wanted), atol=1e-12)
        printed = kernel(model, "P_n_printed", s) / J
        assert abs(symmetric(printed - wanted)).max() > 0.1


def test_b19_the_angle_of_eta_needs_its_quadrant():
    """(6): atan loses the sign of eta; the spin of the square lattice reverses where eta < 0."""
    model, k = square(1, 0.3, 0.7), np.array([[2.5, 2.0]])
    _, angle = spin_texture(model, k)
    eta = band_fields(model, k).eta
    assert_allclose(np.exp(1j * angle), eta / abs(eta), atol=1e-14)
    assert_allclose(abs(angle), np.pi)
    assert abs(np.arctan(eta.imag / eta.real)) < 1e-12


def test_b20_hopping_parameters_enter_with_a_minus_and_once_per_pair():
    """The band bottom of the square lattice with only intra hopping is -4 t', not -8 t'."""
    model = square(1e-5, 1.0, 1e-4)
    energy = np.linalg.eigvalsh(hamiltonian(model, np.zeros((1, 2))))
    assert_allclose(energy, np.full((1, 4), -4.0), atol=3e-4)


# ---------------------------------------------------------------- coefficients


@pytest.mark.parametrize("model", [square(1, 0, 0.7), honeycomb(1, 0, 0.7)], ids=lambda m: m.name)
def test_b7_particle_hole_symmetry_makes_the_coefficients_odd_in_mu(model):
    """rho_3 sigma_y K maps H(-k) to -H(k) and leaves the spin of the carriers."""
    X = pauli_product(3, 2)
    mapped = X @ hamiltonian(model, -K).conj() @ X
    assert_allclose(mapped, -hamiltonian(model, K), atol=1e-13)
    for a in range(3):
        spin = np.kron(S0, SIGMA[a])
        assert_allclose(-X @ spin.conj() @ X, spin, atol=0)
    up, down = (torque_coefficients(model, mu) for mu in (1.2, -1.2))
    for name in ("p_n", "p_m", "P_m", "P_n"):
        value = up.value(name, "paper_corrected") + down.value(name, "paper_corrected")
        assert abs(value) < 1e-10


def test_b2_the_printed_coefficient_of_m_lacks_the_sign_of_the_band():
    """(S6.24) is even in mu, against the particle-hole symmetry."""
    up, down = (torque_coefficients(square(1, 0, 1), mu) for mu in (2.0, -2.0))
    printed = [x.value("P_m", "paper_printed") for x in (up, down)]
    assert_allclose(printed[0], printed[1], rtol=1e-12)
    assert_allclose(up.value("P_m", "paper_corrected"), -printed[0], rtol=1e-12)
    assert_allclose(down.value("P_m", "paper_corrected"), printed[1], rtol=1e-12)


def test_b6_the_closed_form_of_p_n_is_right_for_negative_mu_alone():
    """(S6.53) against the full average of the corrected diagrams."""
    for mu in (-3.0, -1.5, 1.5, 3.0):
        found = torque_coefficients(square(1, 0, 1), mu).value("P_n", "paper_corrected")
        assert_allclose(found, square_forms(mu, 1).P_n, rtol=1e-10)
        agrees = abs(printed_P_n(mu, 1) - found) < 1e-10 * abs(found)
        assert agrees == (mu < 0)


def test_b8_the_nonadiabatic_coefficients_change_sign_with_the_band():
    """(S7.31): two ferromagnets whose carriers are of the other spin; the kinetic equation."""
    model = square(0.05, 1.0, 2.0)
    found = torque_coefficients(model, 4.0, 0.2)
    for name in ("P_m_na", "P_n_na"):
        assert found.value(name, "paper_printed") > 0.9
        assert found.value(name, "paper_corrected") < -0.9
    assert neel_drift(model, KineticSetup(4.0, 0.2, 64))[0, 0] < -0.9


def test_b9_the_gap_in_the_denominator_is_that_of_the_wave_vector():
    """(S7.16) puts J for Delta; with Delta the power of J/Delta is 3."""
    model, mu, kT = square(1, 0.5, 0.8), -2.0, 0.2
    found = torque_coefficients(model, mu, kT)
    kinetic = neel_drift(model, KineticSetup(mu, kT, 112))[0, 0]
    band = found.value("P_n", "complete")
    assert_allclose(found.value("P_n_na", "complete") - band, kinetic, atol=KINETIC)
    constant_gap = found.value("P_n_na", "paper_corrected") - band
    assert abs(constant_gap - kinetic) > 1e3 * KINETIC


def test_b10_the_nonadiabatic_part_enters_with_the_opposite_sign():
    """(S7.29): P_n^na - P_n, not the sum, is what the kinetic equation gives."""
    model, mu, kT = square(0.3, 1.0, 2.0), -2.5, 0.2
    found = torque_coefficients(model, mu, kT)
    na, band = found.value("P_n_na"), found.value("P_n")
    kinetic = neel_drift(model, KineticSetup(mu, kT, 96))[0, 0]
    assert_allclose(na - band, kinetic, atol=KINETIC)
    assert abs(na + band - kinetic) > 1e3 * KINETIC


def test_c_the_missing_diagrams_change_the_coefficients():
    """Adiabatic vertex, interband order, interband current: of the same order in tau."""
    found = torque_coefficients(honeycomb(1, 0, 1), -1.5)
    assert_allclose(found.value("p_n"), -1.147953, atol=6e-7)
    assert_allclose(found.value("p_n", "paper_corrected"), -1.916228, atol=6e-7)
    assert_allclose(found.value("p_m"), 0.370307, atol=6e-7)
    assert_allclose(found.value("P_m", "paper_printed"), 0.111243, atol=6e-7)


# ---------------------------------------------------------------- valleys


def valley_integrals(model, mu):
    """Return the integral of z . d_j (x cross d_i x) over the lines of each valley, (2, 2, 2)."""

    def vector(k):
        f = band_fields(model, k)
        return np.stack([f.eta.real, f.eta.imag], -1) / f.Delta[:, None]

    def turn(k):
        x, dx = vector(k), [derivative(vector, k, i) for i in (0, 1)]
        return np.stack([x[:, 0] * d[:, 1] - x[:, 1] * d[:, 0] for d in dx], axis=-1)

    def integrand(k, s):
        change = np.stack([derivative(turn, k, j) for j in (0, 1)], axis=-1)  # [i, j]
        at_K = band_fields(model, k).eta  # the valleys differ in the chirality of eta
        chirality = np.imag(
            derivative(lambda q: band_fields(model, q).eta, k, 0).conj()
            * derivative(lambda q: band_fields(model, q).eta, k, 1)
        )
        first = (chirality > 0) & np.isfinite(at_K)
        both = np.stack([change * first[:, None, None], change * ~first[:, None, None]], axis=1)
        return s * both.reshape(len(k), 8)

    return contour_integral(model, mu, 1, integrand, 8)[0].reshape(2, 2, 2)


def test_b18_the_valleys_cancel_to_round_off():
    """(S6.20), (S6.46) on the honeycomb lattice: each valley is finite, the sum is not."""
    valleys = valley_integrals(honeycomb(1, 0, 0.5), -0.8)
    wanted = abs(CASES["K14"]["outputs"]["K"]["xy"])
    for pocket in valleys:
        assert_allclose(abs(pocket[0, 1]), wanted, atol=CASES["K14"]["abs_accuracy"])
        assert_allclose(pocket[0, 1], -pocket[1, 0], atol=1e-9)
    assert_allclose(valleys.sum(0), 0, atol=1e-11)  # 1e-16 over the squared step


def test_b18_the_square_of_the_gap_stands_below_the_valley_velocity():
    """(S6.27) next to a valley: x cross dx = (v/Delta)^2 (k_x y - k_y x), not v^2/Delta."""
    model = honeycomb(1, 0, 0.5)
    K_point = np.array([4 * np.pi / (3 * np.sqrt(3)), 0.0])
    small = 1e-4
    k = K_point + small * np.array([[1.0, 0.0]])
    f = band_fields(model, k)
    found = (f.eta.real * f.d_eta[:, 1].imag - f.eta.imag * f.d_eta[:, 1].real) / f.Delta**2
    v = 1.5
    assert_allclose(abs(found), [v**2 * small / f.Delta[0] ** 2], rtol=1e-3)
    assert abs(v**2 * small / f.Delta[0] - abs(found[0])) > 0.4 * abs(found[0])


# ---------------------------------------------------------------- units and conversions


def test_b11_electrons_push_the_order_along_their_flow():
    """Two ferromagnets, t -> 0, and u is against the conventional current."""
    p = torque_coefficients(square(0.02, 1.0, 2.0), -5.0).value("p_n")
    assert p > 0.99
    assert drift_velocity(p, 1e12, 4.8e-6)[0] < 0


def test_b12_the_conductivity_counts_both_degenerate_states():
    """Drude: n e^2 tau/m at the bottom of a band; (S6.23) is half of it."""
    model, t, a, tau = square(1, 0, 0.5), E_CHARGE, 3e-10, 1e-14
    mu = -np.sqrt(16.25) + 1e-4
    mass = HBAR**2 / (8 / np.sqrt(16.25) * t * a**2)
    drude = electrons_per_site(model, mu) / a**2 * E_CHARGE**2 * tau / mass
    full = conductivity(torque_coefficients(model, mu).v2, tau, t, a, 2)
    assert_allclose(full, drude, rtol=1e-3)


def test_b13_the_volume_of_a_site_turns_the_torque_into_a_velocity():
    """-hbar p j/2es with s = hbar N/v0 is -(v0/2N) p j/e, in m/s."""
    spin, volume, j = 2.5, 3e-29, 1e12
    s = HBAR * spin / volume
    wanted = -volume / (2 * spin) * j / E_CHARGE
    assert_allclose(drift_velocity(1.0, j, s), [wanted], rtol=1e-14)
    unit = pint.UnitRegistry()
    with_volume = unit("m**3 * A/m**2 / C")
    assert with_volume.check("[length]/[time]")
    assert not unit("A/m**2 / C").check("[length]/[time]")


def test_b14_the_spin_density_needs_hbar():
    """(S6.51), (S6.54): hbar P j A/(e J) is a density of numbers, P j A/(e J) is not."""
    unit = pint.UnitRegistry()
    density = unit("A/m**2 / (C * J) / m")
    assert not density.check("1/[length]**3")
    assert (density * unit("J*s")).check("1/[length]**3")


def test_b15_the_exchange_time_belongs_to_the_whole_exchange_energy():
    """hbar/tau_sd is the distance of the bands where eta = 0: 2 N J_sd."""
    model = TwoSublattice(((2.0,),), ((1.0,), (-1.0,)), (1.0, 1.0), (), (), 0.8)
    energies = np.linalg.eigvalsh(hamiltonian(model, np.array([[np.pi / 2]])))[0]
    assert_allclose(energies[-1] - energies[0], HBAR / exchange_time(0.8), rtol=1e-12)
