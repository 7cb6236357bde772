"""Errata that units decide."""

from __future__ import annotations

import numpy as np
import pint
import pytest
import sympy as sp
from numpy.testing import assert_allclose

from femspin.fields.region import RegionFields
from femspin.interface.closed_forms import SpinOrbitConstants
from femspin.units import E_CHARGE, HBAR, M_E

UNIT = pint.UnitRegistry()
VOLT, AMPERE = UNIT.volt, UNIT.ampere
DOS = 1 / (UNIT.joule * UNIT.meter**3)
CHARGE = UNIT.coulomb


def same(a: pint.Quantity, b: pint.Quantity) -> bool:
    return bool((1 * a).is_compatible_with(1 * b))


def test_e5_the_electric_force_term_needs_one_over_hbar():
    """Every term of the kinetic equation is a rate of change of the density matrix."""
    field, slope = VOLT / UNIT.meter, UNIT.meter  # d/dk
    assert not same(CHARGE * field * slope, 1 / UNIT.second)
    assert same(CHARGE * field * slope / (UNIT.joule * UNIT.second), 1 / UNIT.second)
    # The force changes the upper index, k^j = -k_j: rho(k + q E t / hbar) moves with -d/dk_j.
    k, t, rate = sp.symbols("k t F")
    density = sp.Function("rho")(k - rate * t)
    assert sp.simplify(sp.diff(density, t) + rate * sp.diff(density, k)) == 0


def test_e6_the_spin_potential_is_the_density_over_e_nu():
    density, current = 1 / UNIT.meter**3, AMPERE / UNIT.meter**2
    conductance = 1 / (UNIT.ohm * UNIT.meter**2)
    assert same(conductance * density / (CHARGE * DOS), current)
    assert not same(conductance * density / (DOS / UNIT.meter), current)


def test_e11_a_strain_cannot_be_subtracted_from_a_velocity():
    velocity, strain = UNIT.meter / UNIT.second, UNIT.dimensionless
    assert not same(1 * velocity, 1 * strain)
    assert same(1 * velocity, strain * velocity)
    c = SpinOrbitConstants(strain_coupling=2e4, strain_perp=0.4, strain_par=0.3)
    assert_allclose([c.in_plane, c.out_of_plane], [-6e3, 8e3])


def test_e21_the_printed_spin_electric_field_is_a_force():
    """2 m omega alpha is a force per spin 1; divided by the charge it is a field."""
    printed = UNIT.kilogram / UNIT.second * UNIT.meter / UNIT.second
    assert same(printed, UNIT.newton)
    assert same(printed / CHARGE, VOLT / UNIT.meter)
    assert not same(printed, VOLT / UNIT.meter)


def test_e25_the_conductivity_is_two_e_squared_nu_d():
    """Free electrons: n e^2 tau / m with n = 2 int nu and D = v_F^2 tau / 3, nu per spin."""
    diffusion = UNIT.meter**2 / UNIT.second
    assert not same(CHARGE * DOS * diffusion, UNIT.siemens / UNIT.meter)
    assert same(CHARGE**2 * DOS * diffusion, UNIT.siemens / UNIT.meter)
    e, m, tau, hbar, k = sp.symbols("e m tau hbar k_F", positive=True)
    energy = hbar**2 * k**2 / (2 * m)
    density = k**3 / (6 * sp.pi**2)  # of one spin
    dos = sp.diff(density, k) / sp.diff(energy, k)
    d = (hbar * k / m) ** 2 * tau / 3
    assert sp.simplify(2 * density * e**2 * tau / m - 2 * e**2 * dos * d) == 0
    fields = RegionFields("Pt", 5e46, 8e-4)
    assert_allclose(fields.conductivity, 2 * E_CHARGE**2 * 5e46 * 8e-4, rtol=1e-15)


@pytest.mark.parametrize("kind", ["per particle", "as printed"])
def test_e27_the_peierls_phase_in_si_has_no_velocity_of_light(kind):
    field = UNIT.tesla * UNIT.meter
    phase = CHARGE / (UNIT.joule * UNIT.second) * field * UNIT.meter
    if kind == "as printed":
        phase = phase / (UNIT.meter / UNIT.second)
    assert same(phase, UNIT.dimensionless) == (kind == "per particle")
    # (e / hbar) A^{ib} is a rotation per length
    gauge = SpinOrbitConstants(M_E, 2e4).gauge
    assert_allclose(np.abs(gauge).max(), 2 * M_E * 2e4 / HBAR, rtol=1e-14)
