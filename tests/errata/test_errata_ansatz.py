"""Errata of the ansatz for the spin density in the layer, and of the numbers it leads to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from errata_symbols import D, is_zero
from numpy.testing import assert_allclose

from femspin.fields.hall import response
from femspin.fields.kernels import gauge_kernel
from femspin.fields.kondo import exchange_from_curie, kondo
from femspin.fields.region import RegionFields
from femspin.fields.soc import curvature_spin_hall
from femspin.interface.closed_forms import ClosedFormInput, SpinOrbitConstants, closed_forms
from femspin.interface.conductance import conductance_table, layer_conductance
from femspin.transport.layers.stack import (
    Insulating,
    SpinPotential,
    StackCase,
    StackLayer,
    admittance,
    admittance_parts,
    solve_stack,
)
from femspin.units import E_CHARGE, HBAR, M_E

NM = 1e-9
Z = np.array([0.0, 0.0, 1.0])


def magnet(omega: float, rate: float = 1e12) -> RegionFields:
    return RegionFields(
        "F", 5e46, 2e-4, omega=omega * Z, relaxation=rate * np.eye(3), theta=response((0, 0, 0)), m=Z
    )


def test_e17_thick_layers_precess_half_as_much_as_the_ansatz_says():
    """J_+ = -D kappa N_+ with kappa^2 = 1/ell^2 - i omega/D has slope omega ell / 2."""
    omega, ell = sp.symbols("omega ell", positive=True)
    kappa = sp.sqrt(1 / ell**2 - sp.I * omega / D)
    slope = sp.diff(-D * kappa, omega).subs(omega, 0)
    assert is_zero(slope - sp.I * ell / 2)
    assert not is_zero(slope - sp.I * ell)  # Eq. (43)
    fields = magnet(omega=5e10)  # omega tau = 0.05
    ratio = {}
    for thickness in (0.02 * NM, 600 * NM):
        row = conductance_table(fields, thickness, SpinOrbitConstants()).row("G_i")
        ratio[thickness] = row.exact / row.corrected
        exact, _ = admittance([StackLayer(fields, thickness)])
        expected = layer_conductance(fields, thickness)
        assert_allclose(exact, expected, rtol=0, atol=1e-9 * np.abs(exact).max())
    assert_allclose(ratio[0.02 * NM], 1, rtol=1e-5)
    assert_allclose(ratio[600 * NM], 0.5, rtol=2e-3)


def test_e17_fast_precession_shortens_the_layer_that_conducts():
    """At omega tau = 6.5 the printed G_i is 3.9 times too large and G_s - G_r 1.95 too small."""
    table = conductance_table(magnet(6.5e12), 600 * NM, SpinOrbitConstants())
    printed, exact = table.row("G_i").printed, table.row("G_i").exact
    assert_allclose(printed / exact, 3.9, rtol=0.02)
    strong, weak = table.row("G_s"), table.row("G_r")
    across = [strong.exact - weak.exact, strong.printed - weak.printed]
    assert_allclose(across[0] / across[1], 1.95, rtol=0.01)


def strained(**other: object) -> tuple[RegionFields, SpinOrbitConstants]:
    """Return a layer whose only gauge field is that of u_perp along z, and its constants."""
    soc = SpinOrbitConstants(M_E, 0.0, 0.0, 2e4, 0.1, 0.0)
    gauge = soc.gauge.copy()
    gauge[:2] = 0.0
    return replace(magnet(0.0), gauge=gauge, **other), soc


@pytest.mark.parametrize("thickness", [0.5 * NM, 3 * NM, 60 * NM])
def test_e18_the_field_of_the_strain_alone_is_cancelled_in_the_sum(thickness):
    """First order by hand: the relaxation of the turned density takes what A gives."""
    az, ell = sp.symbols("a_z ell", positive=True)
    z = sp.Symbol("z", real=True)
    turned = sp.integrate(-z * sp.exp(z / ell), (z, -sp.oo, 0))
    given, taken = D * az, -(D / ell**2) * az * turned
    assert is_zero(given + taken)
    fields, soc = strained()
    bare, _ = admittance([StackLayer(magnet(0.0), thickness)])
    parts, _ = admittance_parts(StackLayer(fields, thickness))
    scale = max(np.abs(g).max() for g in parts.parts().values())
    assert_allclose(parts.total, bare, rtol=0, atol=1e-10 * scale)
    table = conductance_table(fields, thickness, soc)
    assert abs(table.row("V_x_a").exact) > 1e-3 * abs(bare[0, 0])
    if thickness == 60 * NM:  # the whole A term of Eq. (59), and no trace of it in the sum
        form = closed_forms(ClosedFormInput(soc, 5e46, 2e-4, 1e-8, 1e-8))
        assert_allclose(table.row("V_x_a").exact, form.G_lambda_a, rtol=0.1)


def test_e18_a_remainder_survives_only_with_a_preferred_axis():
    fields, _ = strained(omega=2e12 * Z)
    total, _ = admittance([StackLayer(fields, 10 * NM)])
    bare, _ = admittance([StackLayer(magnet(2e12), 10 * NM)])
    assert np.abs(total - bare).max() > 1e-3 * np.abs(bare).max()


@pytest.mark.parametrize(("ratio", "expected"), [(0.5, 0.89), (1, 0.65), (3, 0.10), (10, 9e-5)])
def test_e19_density_and_current_cannot_both_vanish_at_the_back(ratio, expected):
    """Y' = A y with y = 0 at a point is zero; insulated, N(-ell_F) = N(0) / cosh(ell_F/ell)."""
    z, ell = sp.symbols("z ell", positive=True)
    n = sp.Function("n")
    both = sp.dsolve(n(z).diff(z, 2) - n(z) / ell**2, n(z), ics={n(0): 0, n(z).diff(z).subs(z, 0): 0})
    assert both.rhs == 0
    fields = magnet(0.0)
    length = float(np.sqrt(2e-4 / 1e12))
    layer = StackLayer(fields, ratio * length)
    solution = solve_stack(StackCase((layer,), Insulating(), SpinPotential((0, 0, 1e-22))))
    back = solution.interface_potential(0)[3] / 1e-22
    assert_allclose(back, 1 / np.cosh(ratio), rtol=1e-9)
    assert_allclose(back, expected, rtol=0.05)
    assert abs(solution.interface_flux(0)[3]) < 1e-9 * abs(solution.interface_flux(1)[3])


def test_e28_the_edelstein_drive_comes_from_the_charge_field():
    """C^{a nu}_j s^{j nu} summed over nu = 1..3 alone, as in Eq. (35), is zero without P."""
    gauge = SpinOrbitConstants(M_E, 2e4).gauge
    theta = response(spin_hall=curvature_spin_hall(gauge, 4e-15, M_E))
    fields = replace(magnet(0.0), gauge=gauge, theta=theta)
    fields = fields.with_drift(np.array([1e5, 0.0, 0.0]), np.zeros(3))
    C = gauge_kernel(gauge, theta)
    spins_only = np.einsum("ajn,jn->a", C[:, :, 1:], fields.drift[:, 1:])
    whole = np.einsum("ajn,jn->a", C, fields.drift)
    assert np.all(spins_only == 0)
    assert abs(whole[1]) > 0
    _, offset = admittance_parts(StackLayer(fields, 2 * NM))
    assert_allclose(offset.E, -2 * NM * whole, rtol=1e-9, atol=1e-9 * np.abs(whole).max() * NM)


def test_e30_the_published_conductance_needs_an_exchange_above_the_splitting():
    """G_i = 1e13 S/m^2 in EuS/Pt with ell_F = 0.6 nm, nu = 5e46: n_m K_s = 2.9 meV > eps_L."""
    spin, temperature = 3.5, 10.0
    exchange = exchange_from_curie(16.5, spin)
    bare = kondo(temperature, spin, 1e27, 5e46, 0.0, exchange)
    needed = 1e13 * HBAR / (E_CHARGE**2 * 5e46 * 0.6 * NM) / bare.spin
    assert_allclose(needed / (1e-3 * E_CHARGE), 3.0, atol=0.2)
    assert_allclose(bare.splitting / (1e-3 * E_CHARGE), 0.77, atol=0.02)
    state = kondo(temperature, spin, 1e27, 5e46, needed / 1e27, exchange)
    assert not state.perturbative
    form = closed_forms(
        ClosedFormInput(
            SpinOrbitConstants(), 5e46, 2e-4, 0.6 * NM, 0.6 * NM, exchange=-state.exchange_energy * state.spin
        )
    )
    assert_allclose(form.G_i_m, 1e13, rtol=1e-12)
