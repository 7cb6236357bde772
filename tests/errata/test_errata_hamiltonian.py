"""Errata of the Hamiltonian, its fields and the moments, each from a calculation of its own."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from errata_symbols import (
    GAUGE,
    SPACE,
    VELOCITY,
    A,
    alpha,
    beta,
    commutator,
    components,
    e,
    hbar,
    is_zero,
    lam,
    m,
    s,
    spin,
    u_xy,
    u_yz,
    u_zx,
)
from numpy.testing import assert_allclose
from scipy.linalg import expm
from sympy import LeviCivita

from femspin.fields.build import Conditions, region_fields
from femspin.fields.hall import response, response_matrix
from femspin.fields.kondo import kondo, rotation
from femspin.fields.soc import (
    curvature_spin_hall,
    gauge_field,
    spin_electric_field,
    spin_magnetic_field,
    velocity_matrix,
)
from femspin.units import E_CHARGE, HBAR, M_E, MU_B

P = sp.symbols("P_x P_y P_z", real=True)
OPERATORS = [spin(list(2 * m / e * VELOCITY[i, :])) for i in SPACE]  # A^i = A^{ib} s^b


def rashba_and_strain() -> sp.Matrix:
    """Return V_R + V_S as printed in Eqs. (A2), (A4)."""
    rashba = 2 * alpha * (P[1] * s[0] - P[0] * s[1])
    strain = (
        2
        * lam
        * (
            s[0] * (u_zx * P[2] - u_xy * P[1])
            + s[1] * (u_xy * P[0] - u_yz * P[2])
            + s[2] * (u_yz * P[1] - u_zx * P[0])
        )
    )
    return rashba + strain


def cross_terms() -> sp.Matrix:
    """Return the terms of (P - e A)^2 / 2m linear in A."""
    return sum((-e / m * P[i] * OPERATORS[i] for i in SPACE), sp.zeros(2, 2))


def test_e1_dresselhaus_coupling_has_opposite_signs_for_x_and_y():
    coupling = cross_terms() - rashba_and_strain()
    printed = 2 * beta * (P[0] * s[0] + P[1] * s[1])
    corrected = 2 * beta * (P[0] * s[0] - P[1] * s[1])
    assert is_zero(coupling - corrected)
    assert not is_zero(coupling - printed)
    c = velocity_matrix(dresselhaus=3.0)
    assert (c[0, 0], c[1, 1]) == (-3.0, 3.0)
    # Only so alpha = beta leaves one component of the spin that couples to the momentum.
    assert np.linalg.matrix_rank(velocity_matrix(2.0, 2.0)) == 1
    assert np.linalg.matrix_rank(velocity_matrix(2.0) + np.diag([-2.0, -2.0, 0.0])) == 2


def test_e2_the_constant_of_the_square_contains_the_product_of_rashba_and_strain():
    square = sum((e**2 / (2 * m) * a * a for a in OPERATORS), sp.zeros(2, 2))
    constant = sp.expand(square[0, 0])
    assert is_zero(square - constant * sp.eye(2))
    printed = m * (alpha**2 + beta**2 + lam**2 * (u_xy**2 + u_yz**2 + u_zx**2))
    corrected = m * ((alpha - u_xy * lam) ** 2 + beta**2 + lam**2 * (u_yz**2 + u_zx**2))
    assert is_zero(constant - corrected)
    assert is_zero(constant - printed + 2 * alpha * lam * u_xy * m)


def test_e3_the_kinetic_energy_is_minus_the_square_of_the_covariant_derivative():
    x, k, field = sp.symbols("x k A_0", real=True)
    wave = sp.exp(sp.I * k * x)

    def derivative(f):  # d/dx + (i e / hbar) A_x with the lower index A_x = -A^x
        return sp.diff(f, x) - sp.I * e / hbar * field * f

    energy = (hbar * k - e * field) ** 2 / (2 * m)
    square = hbar**2 / (2 * m) * derivative(derivative(wave)) / wave
    assert is_zero(-square - energy)
    assert not is_zero(square - energy)


def test_e4_the_exchange_field_has_no_half():
    """Mean field of -K_s S.s and g mu_B B.s as e Phi^a s^a; the density turns about e Phi/hbar."""
    zeeman, n_k = sp.symbols("b nK", positive=True)
    mean = sp.symbols("S_x S_y S_z", real=True)
    hamiltonian = spin([0, 0, zeeman]) - n_k * spin(mean)
    phi = components(hamiltonian)
    for a in SPACE:
        field = zeeman if a == 2 else 0
        assert is_zero(phi[a] - (field - n_k * mean[a]))
        assert not is_zero(phi[a] - (field - n_k * mean[a] / 2))
    density = spin(sp.symbols("N_x N_y N_z", real=True))
    turned = components(-sp.I / hbar * commutator(hamiltonian, density))
    expected = sp.Matrix(phi).cross(sp.Matrix(components(density))) / hbar
    assert is_zero(sp.Matrix(turned) - expected)
    state = kondo(10.0, 3.5, 1e27, 1e47, 2e-49, 1e-22, 1.0)
    assert_allclose(HBAR * state.precession, 1e27 * 2e-49 * state.spin, rtol=1e-14)


def test_e4_product_adds_zeeman_and_exchange_with_equal_weight():
    from femspin import case_from_table
    from femspin.materials.parameters import region_parameters

    case = case_from_table(
        {
            "structure": {"layers": [{"region": "F", "thickness": "1 nm"}]},
            "regions": {
                "F": {
                    "kind": "F",
                    "dos": "5e46 1/(J*m**3)",
                    "diffusion_constant": "2e-4 m**2/s",
                    "kondo": {
                        "spin": 3.5,
                        "moment_density": "1e27 1/m**3",
                        "exchange_energy": "1 meV",
                        "curie_temperature": "20 K",
                    },
                }
            },
        }
    )
    conditions = Conditions(temperature=5.0, magnetic_field=np.array([0, 0, 2.0]))
    fields = region_fields(region_parameters("F", case.regions["F"]), conditions)
    assert fields.moments is not None
    expected = 2 * MU_B * 2.0 + 1e-3 * E_CHARGE * fields.moments.spin
    assert_allclose(HBAR * fields.omega, [0, 0, expected], rtol=1e-12)


def test_e8_the_response_to_an_ordinary_hall_field():
    """(1 + theta x)^-1 = (1 + theta theta^T - theta x) / (1 + theta^2), 1 - theta x at first."""
    t = sp.Matrix(sp.symbols("t_x t_y t_z", real=True))
    cross = sp.Matrix(3, 3, lambda i, j: sum(LeviCivita(i, k, j) * t[k] for k in SPACE))
    closed = (sp.eye(3) + t * t.T - cross) / (1 + t.dot(t))
    assert is_zero((sp.eye(3) + cross) * closed - sp.eye(3))
    angles = (0.3, -0.2, 0.4)
    values = dict(zip(t, angles, strict=True))
    exact = np.array(closed.subs(values), float)
    first = np.array((sp.eye(3) - cross).subs(values), float)
    for matrix, mode in ((exact, "hall"), (first, "eq38")):
        assert_allclose(response(angles, mode=mode), np.kron(matrix, np.eye(4)), atol=1e-15)


def test_e9_the_spin_lorentz_force_enters_charge_and_spin_with_half():
    """Spins +-1/2 see B^0 +- B^a / 2; add and subtract the laws of the two spin species."""
    charge, spin_current, hall, spin_hall = sp.symbols("J0 Ja theta_0 theta_a")
    up, down = (charge + spin_current) / 2, (charge - spin_current) / 2
    # spin_hall = e tau B^a / m, as Eq. (30) prints it
    forces = (hall + spin_hall / 2) * up, (hall - spin_hall / 2) * down
    assert is_zero(sum(forces) - hall * charge - spin_hall / 2 * spin_current)
    assert is_zero(forces[0] - forces[1] - hall * spin_current - spin_hall / 2 * charge)
    a = gauge_field(velocity_matrix(2e4, 1e4), M_E)
    printed = -E_CHARGE * 4e-15 / M_E * spin_magnetic_field(a)
    assert_allclose(curvature_spin_hall(a, 4e-15, M_E), printed / 2, rtol=1e-14)


def test_e9_the_edelstein_density_needs_the_half():
    """A Fermi sea displaced by q E tau sees the field 2 c^{ib} q E_i tau and polarises."""
    from femspin.fields.kernels import gauge_kernel, loss_kernel

    mass, scattering, dos, diffusion, field = M_E, 4e-15, 5e46, 2e-4, 1e5
    velocity = velocity_matrix(2e4)
    # H = -2 c^{ib} hbar dk_i s^b shifts the levels by +-h/2: n_up - n_dn = -nu h, nu per spin.
    expected = 2 * dos * velocity[0] * (-E_CHARGE * field * scattering)
    a = gauge_field(velocity, mass)
    found = []
    for factor in (1.0, 2.0):  # corrected, and as printed
        angle = factor * curvature_spin_hall(a, scattering, mass)
        theta = response((0, 0, 0), (0, 0, 0), angle, "first")
        drift = np.zeros((3, 4))
        drift[0, 0] = 2 * E_CHARGE**2 * dos * diffusion * field / -E_CHARGE
        made = -np.einsum("ajn,jn->a", gauge_kernel(a, theta), drift)
        loss = diffusion * loss_kernel(a, np.eye(12))
        found.append(np.linalg.solve(loss, made))
    assert_allclose(found[0], expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    assert_allclose(found[1], 2 * expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def curvature_operators(fields: list[sp.Matrix], x: sp.Symbol) -> sp.Matrix:
    """Return B^{ia} = -(1/2) eps^{ijk} F_jk of A^i(x), lower index -A^i, from Eq. (17)."""
    lower = [-f for f in fields]

    def strength(j: int, k: int) -> sp.Matrix:
        slopes = sp.diff(lower[k], x) * int(j == 0) - sp.diff(lower[j], x) * int(k == 0)
        return slopes + sp.I * e / hbar * commutator(lower[j], lower[k])

    rows = []
    for i in SPACE:
        total = sp.zeros(2, 2)
        for j in SPACE:
            for k in SPACE:
                total -= sp.Rational(1, 2) * LeviCivita(i, j, k) * strength(j, k)
        rows.append(components(total))
    return sp.Matrix(rows)


def test_e21_the_printed_spin_electric_field_is_minus_e_times_the_field():
    w = sp.symbols("omega_H", real=True)
    n = sp.symbols("n_x n_y n_z", real=True)
    phi = spin([hbar * w / e * x for x in n])
    # E^j = c F_0j = (i e / hbar) [Phi, A_j] in a uniform field, lower index A_j = -A^j.
    field = sp.Matrix([components(sp.I * e / hbar * commutator(phi, -OPERATORS[j])) for j in SPACE])
    c = 2 * m * w
    printed = sp.Matrix(
        [  # rows: spin, columns: space, Eqs. (A17)-(A19)
            [
                c * lam * (-u_xy * n[2] - u_zx * n[1]) + c * alpha * n[2],
                c * lam * u_yz * n[1] + c * beta * n[2],
                c * lam * u_yz * n[2],
            ],
            [
                c * lam * u_zx * n[0] + c * beta * n[2],
                c * lam * (-u_xy * n[2] - u_yz * n[0]) + c * alpha * n[2],
                c * lam * u_zx * n[2],
            ],
            [
                c * lam * u_xy * n[0] - c * (alpha * n[0] + beta * n[1]),
                c * lam * u_xy * n[1] - c * (alpha * n[1] + beta * n[0]),
                -c * lam * (u_yz * n[0] + u_zx * n[1]),
            ],
        ]
    ).T
    assert is_zero(field + printed / e)
    assert not is_zero(field - printed)
    values = {
        alpha: 2e4,
        beta: 1e4,
        lam: 3e4,
        u_xy: 0.1,
        u_yz: 0.2,
        u_zx: 0.3,
        m: M_E,
        w: 1e13,
        n[0]: 0.6,
        n[1]: 0.0,
        n[2]: 0.8,
        e: -E_CHARGE,
        hbar: HBAR,
    }
    strain = [[0, 0.1, 0.3], [0.1, 0, 0.2], [0.3, 0.2, 0]]
    a = gauge_field(velocity_matrix(2e4, 1e4, 3e4, strain), M_E)
    found = spin_electric_field(a, 1e13 * np.array([0.6, 0.0, 0.8]))
    assert_allclose(found, np.array(field.subs(values), float), rtol=1e-12, atol=1e-6)


def test_e22_the_third_spin_magnetic_field_counts_one_line_twice():
    field = curvature_operators(OPERATORS, sp.Symbol("x")) * e * hbar / (4 * m**2)
    v, w = u_yz * lam, u_zx * lam
    a_ = alpha - u_xy * lam
    third = [-a_ * v + beta * w, -a_ * w + beta * v, a_**2 - beta**2]
    assert is_zero(field[:, 2] - sp.Matrix(third))
    lines = [
        [lam**2 * u_xy * x for x in (u_yz, u_zx, u_xy)],
        [lam * u_yz * (u_xy * lam - alpha), lam * u_zx * (u_xy * lam - alpha), a_**2],
        [
            lam * (-u_yz * alpha + u_zx * beta),
            lam * (-u_zx * alpha + u_yz * beta),
            -2 * lam**2 * u_xy * alpha,
        ],
        [0, 0, alpha**2 - beta**2],
    ]
    printed = sp.Matrix([sum(line[i] for line in lines) for i in SPACE])
    assert not is_zero(field[:, 2] - printed)
    lines[2][2] = -2 * lam * u_xy * alpha
    del lines[1]
    corrected = sp.Matrix([sum(line[i] for line in lines) for i in SPACE])
    assert is_zero(field[:, 2] - corrected)
    # The other two are right as printed, (A20) and (A21).
    first = [v * v, v * w, lam**2 * u_yz * u_xy - lam * (u_yz * alpha + u_zx * beta)]
    second = [w * v, w * w, lam**2 * u_zx * u_xy - lam * (u_zx * alpha + u_yz * beta)]
    assert is_zero(field[:, 0] - sp.Matrix(first))
    assert is_zero(field[:, 1] - sp.Matrix(second))
    values = {alpha: 2e4, beta: 1e4, lam: 3e4, u_xy: 0.1, u_yz: 0.2, u_zx: 0.3}
    strain = [[0, 0.1, 0.3], [0.1, 0, 0.2], [0.3, 0.2, 0]]
    gauge = gauge_field(velocity_matrix(2e4, 1e4, 3e4, strain), M_E)
    expected = 4 * M_E**2 / (-E_CHARGE * HBAR) * np.array(field.subs(values), float)
    assert_allclose(spin_magnetic_field(gauge), expected, rtol=1e-12, atol=1e-6)


def test_e23_curl_and_commutator_of_the_curvature_have_the_same_sign():
    """(A16) with A_j = +A^{ja} gives the curl the wrong sign, with -A^{ja} the right one."""
    x = sp.Symbol("x", real=True)
    profile = [[sp.Function(f"f{i}{a}")(x) for a in SPACE] for i in SPACE]
    field = curvature_operators([spin(row) for row in profile], x)

    def printed(sign: int) -> sp.Matrix:
        lower = [[sign * f for f in row] for row in profile]

        def entry(i: int, a: int):
            total = sp.Integer(0)
            for j in SPACE:
                for k in SPACE:
                    slopes = sp.diff(lower[k][a], x) * int(j == 0) - sp.diff(lower[j][a], x) * int(k == 0)
                    product = sum(
                        LeviCivita(a, b, c) * lower[j][b] * lower[k][c] for b in SPACE for c in SPACE
                    )
                    total += LeviCivita(i, j, k) * (slopes - e / hbar * product)
            return -total / 2

        return sp.Matrix(3, 3, entry)

    assert is_zero(field - printed(-1))
    assert not is_zero(field - printed(1))
    gauge, curl = gauge_field(velocity_matrix(2e4, 1e4), M_E), np.arange(9.0).reshape(3, 3) * 1e16
    difference = spin_magnetic_field(gauge, curl) - spin_magnetic_field(gauge)
    assert_allclose(difference, -HBAR / E_CHARGE * curl, rtol=1e-9, atol=1e-9)


def test_e24_the_polarisation_of_the_conductivity_follows_the_exchange_field():
    """The sum int nu f'(eps + e Phi s) is nu - nu' e Phi s: kappa = -[ln nu]' e Phi, no half."""
    eps, phi, slope, moment = sp.symbols("epsilon Phi c nKS", real=True)
    spread = sp.Symbol("w", positive=True)
    dos = 1 + slope * eps

    def weight(shift):
        peak = sp.exp(-((eps + shift) ** 2) / spread**2) / (sp.sqrt(sp.pi) * spread)
        return sp.integrate(sp.expand(dos * peak), (eps, -sp.oo, sp.oo))

    up, down = weight(phi / 2), weight(-phi / 2)  # s = +-1/2
    kappa = sp.simplify(2 * (up - down) / (up + down))  # f' kappa_a s^a
    assert is_zero(kappa + slope * phi)
    exchange = kappa.subs(phi, -moment)  # e Phi = -n_m K_s <S>
    assert is_zero(exchange - slope * moment)
    assert not is_zero(exchange + slope * moment / 2)  # as printed


@pytest.mark.parametrize("phi", [[0.7, -0.4, 1.1], [0.0, 0.0, 2.0]])
def test_e27_a_rotation_of_spins_by_phi_is_exp_minus_i_phi_s(phi):
    """With s = sigma / 2; the printed A s / 2 turns by half the angle."""
    pauli = [np.array(x, complex) for x in s]
    generator = sum(f * x for f, x in zip(phi, pauli, strict=True))
    for factor, expected in ((1.0, rotation(phi)), (0.5, rotation(0.5 * np.array(phi)))):
        turn = expm(-1j * factor * generator)
        found = [
            [2 * np.trace(pauli[a] @ turn @ pauli[b] @ turn.conj().T).real for b in SPACE] for a in SPACE
        ]
        assert_allclose(found, expected, atol=1e-14)


def test_the_gauge_field_and_response_used_above_are_those_of_the_package():
    strain = {u_xy: 0.1, u_yz: 0.2, u_zx: 0.3, alpha: 2e4, beta: 1e4, lam: 3e4, m: M_E, hbar: HBAR}
    tensor = [[0, 0.1, 0.3], [0.1, 0, 0.2], [0.3, 0.2, 0]]
    found = gauge_field(velocity_matrix(2e4, 1e4, 3e4, tensor), M_E)
    assert_allclose(found, np.array(GAUGE.subs(strain), float), rtol=1e-13, atol=1e-6)
    assert is_zero(A - (alpha - sp.Symbol("u_par", real=True) * lam))
    assert_allclose(response_matrix() - np.eye(12), 0)
