"""Errata of the loss kernel Omega, the gauge term Gamma and the conductances made of them.

The algebra starts from motional narrowing of the precession about Omega^b = -a^{ib} v_i, not
from the tensors of the package.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import sympy as sp
from errata_symbols import (
    GAUGE,
    NUMBERS,
    SPACE,
    STRAIN,
    VELOCITY,
    A,
    D,
    alpha,
    antisymmetric,
    beta,
    ell,
    hbar,
    is_zero,
    lam,
    m,
    motional_narrowing,
    p,
    response,
    symmetric,
    tau,
    theta,
    u_par,
)
from numpy.testing import assert_allclose
from sympy import LeviCivita

from femspin.fields.hall import response as hall_response
from femspin.fields.kernels import gauge_kernel, loss_kernel, thin_loss_kernel
from femspin.fields.region import RegionFields
from femspin.interface.closed_forms import (
    ClosedFormInput,
    SpinOrbitConstants,
    closed_forms,
    contracted_conductance,
    spin_orbit_rates,
)
from femspin.units import E_CHARGE, HBAR

UNIT = m**2 / hbar**2
LOSS = motional_narrowing(GAUGE.subs(STRAIN), response())
PLUS, MINUS = symmetric(LOSS), antisymmetric(LOSS)
TX, TY, TZ = theta
# Printed entries of Omega / (D ell), Eqs. (47), (48), (51), (52), (56), (57).
PRINTED = {
    "zz": 2 * UNIT * (A**2 + beta**2 + p**2),
    "xx": UNIT * (A**2 + beta**2 + 3 * p**2),
    "xy": UNIT * (2 * beta * A + p**2),
    "yz": -UNIT * p * (alpha - beta - u_par),
    "-xy": UNIT * ((beta**2 - A**2) * TZ + (A - beta) * p * TY - (A - beta) * p * TX),
    "-yz": UNIT * (-(beta - A) * p * TZ - p**2 * TY - p**2 * TX),
}


def constants() -> SpinOrbitConstants:
    values = {str(k): v for k, v in NUMBERS.items()}
    return SpinOrbitConstants(
        values["m"],
        values["alpha"],
        values["beta"],
        values["lambda"],
        values["u_perp"],
        values["u_par"],
        tuple(values[f"theta_{x}"] for x in "xyz"),
    )


def number(expression: sp.Expr) -> float:
    return float(expression.subs(NUMBERS).subs(hbar, HBAR))


def forms(form: str = "corrected"):
    """Return closed forms with D ell = 1 m^3/s, e^2 nu = 1: Omega is K, G is -K."""
    return closed_forms(ClosedFormInput(constants(), 1 / E_CHARGE**2, 1.0, 1.0, 1.0), form)


def test_the_kernel_of_the_package_is_that_of_motional_narrowing():
    found = loss_kernel(constants().gauge, hall_response(constants().hall, mode="eq38"))
    expected = np.array([[number(x) for x in row] for row in LOSS.tolist()])
    assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_e7_the_epsilon_of_the_boundary_condition_belongs_to_the_exchange_field_alone():
    """An antisymmetric tensor times eps^{abc} without a sum over b is a symmetric one."""
    o = sp.symbols("o_12 o_13 o_23")
    omega = sp.Matrix([[0, o[0], o[1]], [-o[0], 0, o[2]], [-o[1], -o[2], 0]])

    def printed(a: int, c: int):
        return -sum(LeviCivita(a, b, c) for b in SPACE) * omega[a, c]

    tensor = sp.Matrix(3, 3, printed)
    assert is_zero(tensor - tensor.T)
    assert not is_zero(tensor + omega)
    g = forms().tensors()["L"]
    assert_allclose(g - np.diag(np.diag(g)), -contracted().K_minus, rtol=1e-10, atol=1.0)


def contracted():
    theta_matrix = hall_response(constants().hall, mode="eq38")
    fields = RegionFields("F", 1 / E_CHARGE**2, 1.0, constants().gauge, theta=theta_matrix)
    return contracted_conductance(fields, 1.0)


@pytest.mark.parametrize(("entry", "at"), [("zz", (2, 2)), ("xx", (0, 0)), ("xx", (1, 1)), ("xy", (0, 1))])
def test_e10_losses_are_four_times_the_printed_ones(entry, at):
    assert is_zero(PLUS[at] - 4 * PRINTED[entry])
    assert not is_zero(PLUS[at] - PRINTED[entry])
    name = f"Omega_plus_{entry}"
    assert_allclose(getattr(forms(), name), number(PLUS[at]), rtol=1e-12)
    assert_allclose(getattr(forms("printed"), name), number(PRINTED[entry]), rtol=1e-12)


def test_e10_rates_are_those_of_a_two_dimensional_electron_gas():
    """Dyakonov and Perel: 1/tau_z = 4 alpha_R^2 k_F^2 tau / hbar^2, twice the in-plane rate.

    With D = v_F^2 tau / 2 and alpha_R = hbar alpha that is 8 D m^2 alpha^2 / hbar^2.
    """
    k_f = sp.Symbol("k_F", positive=True)
    phi = sp.Symbol("phi", real=True)
    # Rashba field hbar Omega = 2 alpha hbar k (sin, -cos, 0) on the Fermi circle
    field = 2 * alpha * k_f * sp.Matrix([sp.sin(phi), -sp.cos(phi), 0])
    rates = [
        tau * sp.integrate(sum(field[b] ** 2 for b in SPACE if b != a), (phi, 0, 2 * sp.pi)) / (2 * sp.pi)
        for a in SPACE
    ]
    diffusion = (hbar * k_f / m) ** 2 * tau / 2
    assert is_zero(rates[2] - 8 * diffusion * UNIT * alpha**2)
    assert is_zero(rates[0] - 4 * diffusion * UNIT * alpha**2)
    soc = SpinOrbitConstants(constants().mass, constants().rashba)
    found, printed = (spin_orbit_rates(soc, 2e-4, form) for form in ("corrected", "printed"))
    expected = number(8 * UNIT * alpha**2) * 2e-4
    assert_allclose([found.par, 2 * found.perp], expected, rtol=1e-12)
    assert_allclose([printed.par, 2 * printed.perp], expected / 4, rtol=1e-12)
    assert_allclose(printed.lengths, 2 * np.array(found.lengths), rtol=1e-12)


def test_e11_a_factor_lambda_is_missing_in_the_coupling_of_y_and_z():
    restored = -UNIT * p * (alpha - beta - u_par * lam)
    for at in ((1, 2), (2, 0)):
        assert is_zero(PLUS[at] - 4 * restored)
        assert not is_zero(PLUS[at] - 4 * PRINTED["yz"])
    assert_allclose(forms().Omega_plus_yz, number(PLUS[1, 2]), rtol=1e-12)
    assert_allclose(forms("printed").Omega_plus_yz, number(PRINTED["yz"]), rtol=1e-12)


def test_e12_e13_the_spin_orbit_fields_of_the_hall_effect_have_other_signs():
    """In general Omega_-^{ac} = D ell (4 m^2/hbar^2) theta . (c^a x c^c)."""
    c = VELOCITY.subs(STRAIN)
    for a, b in product(SPACE, repeat=2):
        general = 4 * UNIT * sp.Matrix(theta).dot(c[:, a].cross(c[:, b]))
        assert is_zero(MINUS[a, b] - general)
    xy = 4 * UNIT * ((A**2 - beta**2) * TZ - (A - beta) * p * (TX + TY))
    yz = 4 * UNIT * (p**2 * (TX + TY) - p * (A + beta) * TZ)
    assert is_zero(MINUS[0, 1] - xy)
    assert is_zero(MINUS[1, 2] - yz)
    assert is_zero(MINUS[2, 0] - yz)
    for sign in (1, -1):
        assert not is_zero(MINUS[0, 1] - sign * 4 * PRINTED["-xy"])
        assert not is_zero(MINUS[1, 2] - sign * 4 * PRINTED["-yz"])
    assert_allclose(forms().Omega_minus_xy, number(xy), rtol=1e-12)
    assert_allclose(forms().Omega_minus_yz, number(yz), rtol=1e-12)
    for key, name in (("-xy", "Omega_minus_xy"), ("-yz", "Omega_minus_yz")):
        assert_allclose(getattr(forms("printed"), name), number(PRINTED[key]), rtol=1e-12)


def test_e14_unequal_lengths_give_the_mean_length_and_an_antisymmetric_rest():
    """Omega^{ac} = D K^{ac} ell^c, so yz and zy have different lengths."""
    par, perp = sp.symbols("ell_par ell_perp", positive=True)
    omega = D * LOSS.subs(dict.fromkeys(theta, 0)) * sp.diag(perp, perp, par)
    plus, minus = symmetric(omega), antisymmetric(omega)
    entry = -4 * UNIT * D * p * (A - beta)
    assert is_zero(plus[1, 2] - (par + perp) / 2 * entry)
    assert is_zero(minus[1, 2] - (par - perp) / 2 * entry)
    assert not is_zero(plus[1, 2] - par * entry)
    found = closed_forms(ClosedFormInput(constants(), 1.0, 2e-4, 3e-9, 1e-9))
    values = {par: 3e-9, perp: 1e-9, D: 2e-4}
    assert_allclose(found.Omega_plus_yz, number(plus[1, 2].subs(values)), rtol=1e-12)
    assert_allclose(found.Omega_minus_unequal, number(minus[1, 2].subs(values)), rtol=1e-12)


def test_e15_e16_the_gauge_precession_is_about_a_z_turned_by_the_hall_angle():
    """The torque -a^j x J^j of J^j = -D Theta_jz d_z N, integrated, is D (a^j Theta_jz) x N(0)."""
    a = GAUGE.subs(STRAIN)
    axis = [sum(a[j, b] * response()[j, 2] for j in SPACE) for b in SPACE]
    scale = 2 * m / hbar
    corrected = [-p - A * TX + beta * TY, p - A * TY + beta * TX, -p * (TX + TY)]
    printed = [p - alpha * TX + beta * TY, -p - alpha * TY + beta * TX, 0]
    assert is_zero([x - scale * y for x, y in zip(axis, corrected, strict=True)])
    assert not is_zero([x - scale * y for x, y in zip(axis, printed, strict=True)])
    # Without strain in the plane the Rashba and Dresselhaus fields are right as printed.
    rest = [(x - scale * y).subs({lam: 0}) for x, y in zip(axis, printed, strict=True)]
    assert is_zero(rest)
    for form, vector in (("corrected", corrected), ("printed", printed)):
        expected = [number(scale * sp.sympify(x)) for x in vector]
        assert_allclose(forms(form).vector_a, expected, rtol=1e-12, atol=1e-3)
    flow = gauge_kernel(constants().gauge, hall_response(constants().hall, mode="eq38"))[:, 2, 1:]
    assert_allclose(forms().tensors()["A"], flow, rtol=1e-12, atol=1e-3)
    assert_allclose(forms().G_lambda_a, -forms("printed").G_lambda_a, rtol=1e-14)


def test_e20_thin_layers_do_not_lose_spin_to_the_gauge_field_along_z():
    """With J^z = 0 nothing moves along z: the velocities are those in the plane."""
    plane = sp.diag(1, 1, 0)
    thin = motional_narrowing(GAUGE.subs(STRAIN), plane)
    expected = (
        4
        * UNIT
        * sp.Matrix(
            [
                [A**2 + beta**2 + 2 * p**2, 2 * beta * A, -p * (A - beta)],
                [2 * beta * A, A**2 + beta**2 + 2 * p**2, -p * (A - beta)],
                [-p * (A - beta), -p * (A - beta), 2 * (A**2 + beta**2)],
            ]
        )
    )
    assert is_zero(thin - expected)
    whole = LOSS.subs(dict.fromkeys(theta, 0))
    assert is_zero((whole - thin).diagonal() - 4 * UNIT * p**2 * sp.Matrix([[1, 1, 2]]))
    found = thin_loss_kernel(constants().gauge, np.eye(12))
    reference = np.array([[number(x) for x in row] for row in thin.tolist()])
    assert_allclose(found, reference, rtol=0, atol=1e-12 * np.abs(reference).max())


def test_e26_the_fields_along_x_and_y_have_the_same_coefficient_and_sign():
    """G_j (x + y) x mu: with z x, the antisymmetric tensor of Omega_-."""
    g_i, g_j = sp.symbols("G_i G_j")
    mu = sp.Matrix(sp.symbols("mu_x mu_y mu_z"))
    loss = -ell * D * MINUS * mu
    field = sp.Matrix([g_j, g_j, g_i]).cross(mu)
    solution = sp.solve([sp.expand(x) for x in (field - loss)[:2]], [g_i, g_j], dict=True)[0]
    assert is_zero((field - loss).subs(solution))
    assert is_zero(solution[g_i] - D * ell * MINUS[0, 1])
    assert is_zero(solution[g_j] - D * ell * MINUS[1, 2])
    tensor = forms().tensors()["L"]
    assert_allclose(0.5 * (tensor - tensor.T), -contracted().K_minus, rtol=1e-10, atol=1.0)


def test_e29_two_scalar_rates_do_not_describe_the_decay():
    """K is a tensor with three eigenvalues, and the decay along z leaves a^z out."""
    soc = SpinOrbitConstants(9.1093837139e-31, 2e4, 1e4, 2e4, 0.5, 0.3)
    diffusion = 8e-4
    eigenvalues = np.linalg.eigvalsh(diffusion * loss_kernel(soc.gauge, np.eye(12)))
    assert_allclose(eigenvalues, [5.2e13, 1.85e14, 2.37e14], rtol=0.01)
    decay = np.linalg.eigvalsh(diffusion * thin_loss_kernel(soc.gauge, np.eye(12)))
    assert np.all(decay <= eigenvalues + 1.0)
    rates = spin_orbit_rates(soc, diffusion)
    assert_allclose([rates.par, rates.perp], [1.89e14, 1.42e14], rtol=0.01)
    assert not np.any(np.isclose(rates.par, eigenvalues, rtol=0.01))
    # They are the diagonal of D K, and eigenvalues only for p = 0 and alpha beta = 0.
    diagonal = np.diag(diffusion * loss_kernel(soc.gauge, np.eye(12)))
    assert_allclose([rates.perp, rates.perp, rates.par], diagonal, rtol=1e-12)
    simple = SpinOrbitConstants(soc.mass, 2e4)
    rates = spin_orbit_rates(simple, diffusion)
    eigenvalues = np.linalg.eigvalsh(diffusion * loss_kernel(simple.gauge, np.eye(12)))
    assert_allclose([rates.perp, rates.perp, rates.par], eigenvalues, rtol=1e-12)
