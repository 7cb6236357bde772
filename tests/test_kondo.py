"""Local moments: Weiss field, spin relaxation, precession, and two coupled sublattices."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marks import slow
from numpy.testing import assert_allclose

from femspin.errors import SolverError
from femspin.fields import mean_field
from femspin.fields.kondo import brillouin, curie_temperature, exchange_from_curie, kondo, mean_spin
from femspin.fields.mean_field import (
    Sublattices,
    SublatticeState,
    brillouin_derivative,
    compensation_temperature,
    ordering_temperature,
    sublattice_spins,
)
from femspin.interface.closed_forms import ClosedFormInput, SpinOrbitConstants, closed_forms
from femspin.units import HBAR, K_B, MU_B

REFERENCE = json.loads((Path(__file__).parent / "data/kondo_refs.json").read_text())
POINTS = [(s, point) for s in ("R12", "R12b") for point in REFERENCE[s]["values"]]
spins = st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])


def levels(x: float, S: float) -> tuple[float, float]:
    """Return <m> and <m^2> of the Boltzmann weights e^{x m} over m = -S..S, by summation."""
    m = np.arange(-S, S + 0.5)
    weight = np.exp(x * m - abs(x) * S)
    weight /= weight.sum()
    return float(weight @ m), float(weight @ m**2)


# ------------------------------------------------------------------ reference numbers


@pytest.mark.parametrize(("series", "point"), POINTS)
def test_moments_rates_and_conductances_reproduce_the_reference(series, point):
    """To the 1.4e-9 by which mu_B differs between editions of CODATA, times eps_L / k_B T < 8."""
    p, expected = REFERENCE[series]["params"], REFERENCE[series]["values"][point]
    temperature, field = (float(part[2:].rstrip("KT")) for part in point.split(","))
    state = kondo(
        temperature,
        p["S"],
        p["n_m"],
        p["nu_F"],
        p["nmKs_J"] / p["n_m"],
        exchange_from_curie(p["TC"], p["S"]),
        field,
        p["g"],
    )
    for name in ("spin", "splitting", "spin_squared", "rate_parallel", "rate_perpendicular"):
        if name in expected:
            found = getattr(state, name)
            assert_allclose(found, expected[name], rtol=1e-8)
    form = closed_forms(
        ClosedFormInput(
            SpinOrbitConstants(),
            p["nu_F"],
            1.0,
            p["ell_F"],
            p["ell_F"],
            state.rate_parallel,
            state.rate_perpendicular,
            -p["nmKs_J"] * state.spin,
        )
    )
    assert_allclose(form.G_s_m, expected["G_s"], rtol=1e-8)
    # G_r is a difference, as good as its terms.
    assert_allclose(form.G_r_m, expected["G_r"], rtol=1e-8, atol=1e-8 * abs(expected["G_s"]))
    assert_allclose(form.G_i_m, expected["G_i"], rtol=1e-8)


# ------------------------------------------------------------------ one sublattice


@given(spins, st.floats(-40, 40))
def test_brillouin_is_the_thermal_mean_over_the_levels(S, x):
    # Below |x| = 1e-3 two poles of size 1/x cancel: 2 eps / x.
    noise = 4e-16 / max(abs(x), 1e-4)
    assert abs(brillouin(x, S) - levels(x, S)[0]) <= 4e-15 * S + noise
    assert brillouin(-x, S) == -brillouin(x, S)


@given(spins, st.floats(-40, 40))
def test_brillouin_derivative_is_the_thermal_variance(S, x):
    mean, square = levels(x, S)
    variance = square - mean**2
    assert abs(brillouin_derivative(x, S) - variance) <= 1e-13 * S * S


def test_frozen_moments_are_saturated_and_do_not_flip_spins():
    """T -> 0: s = S, no thermal flip, and the transverse rate of a static moment S."""
    S, exchange = 3.5, exchange_from_curie(20.0, 3.5)
    state = kondo(0.01, S, 1e27, 1e47, 1e-49, exchange)
    assert state.spin == S
    assert state.rate_parallel == 0.0
    prefactor = np.pi / HBAR * 1e27 * 1e47 * 1e-98
    assert_allclose(state.rate_perpendicular, prefactor * (S * (S + 1) - S), rtol=1e-14)
    assert_allclose(state.spin_squared, S * S, rtol=1e-14)


@pytest.mark.parametrize("S", [0.5, 1.0, 2.5, 3.5])
def test_order_vanishes_as_a_square_root_at_the_curie_temperature(S):
    """s^2 = 10/3 S^2 (S+1)^2 / (2 S^2 + 2 S + 1) (1 - T/T_C) to leading order."""
    curie = 30.0
    exchange = exchange_from_curie(curie, S)
    leading = np.sqrt(10 / 3 * (S * (S + 1)) ** 2 / (2 * S * S + 2 * S + 1))
    errors = []
    for t in (1e-2, 1e-3, 1e-4):
        s = mean_spin(curie * (1 - t), S, exchange, 0.0)
        errors.append(abs(s / (leading * np.sqrt(t)) - 1))
    assert_allclose(np.array(errors[:-1]) / errors[1:], 10, rtol=0.1)  # the next term is O(t)


def test_nothing_is_ordered_above_the_curie_temperature_without_a_field():
    exchange = exchange_from_curie(30.0, 2.0)
    assert_allclose(curie_temperature(exchange, 2.0), 30.0, rtol=1e-15)
    for temperature in (30.0, 30.1, 300.0):
        assert mean_spin(temperature, 2.0, exchange, 0.0) == 0.0


@pytest.mark.parametrize("S", [0.5, 2.0, 3.5])
def test_rates_become_isotropic_where_the_moments_are_free(S):
    """For x -> 0: 1/tau_par = 1/tau_perp = (2 pi / hbar) n nu K^2 S(S+1)/3, approached as x^2."""
    full = 2 * np.pi / HBAR * 1e27 * 1e47 * 1e-98 * S * (S + 1) / 3
    state = kondo(300.0, S, 1e27, 1e47, 1e-49)
    assert_allclose([state.rate_parallel, state.rate_perpendicular], full, rtol=1e-12)
    ratio = []
    for field in (5.0, 10.0):
        state = kondo(300.0, S, 1e27, 1e47, 1e-49, 0.0, field)
        ratio.append(1 - state.rate_parallel / full)
    assert_allclose(ratio[1] / ratio[0], 4, rtol=0.01)


@pytest.mark.parametrize("S", [0.5, 2.0, 3.5])
def test_series_for_small_splitting_joins_the_formula(S):
    """Rates just below and above the switch at x = 1e-4 agree to the noise of the formula."""
    unit = 100 * K_B / (2 * MU_B)  # field of x = 1 at 100 K
    below, above = (kondo(100.0, S, 1e27, 1e47, 1e-49, 0.0, x * unit) for x in (0.9e-4, 1.1e-4))
    # 2 eps / x^2 relative, from poles that cancel
    assert_allclose(below.rate_parallel, above.rate_parallel, rtol=1e-7)
    assert_allclose(below.rate_perpendicular, above.rate_perpendicular, rtol=1e-7)
    assert_allclose(below.spin / 0.9, above.spin / 1.1, rtol=1e-7)


def test_a_field_against_the_moments_leaves_them_metastable_until_the_branch_ends():
    S, exchange, temperature = 3.5, exchange_from_curie(20.0, 3.5), 15.0
    fields = -np.linspace(0, 3, 301)
    found = np.array([mean_spin(temperature, S, exchange, b) for b in fields])
    kT = K_B * temperature
    alive = found > 0
    assert alive[0]
    assert not alive[-1]
    assert np.all(np.diff(alive.astype(int)) <= 0)  # once ended it does not come back
    for s, b in zip(found[alive], fields[alive], strict=True):
        assert abs(brillouin((2 * MU_B * b + exchange * s) / kT, S) - s) < 1e-12
        assert exchange * brillouin_derivative((2 * MU_B * b + exchange * s) / kT, S) < kT


@given(spins, st.floats(0.02, 3.0), st.floats(0.0, 20.0))
def test_mean_spin_solves_its_equation_and_stays_within_bounds(S, t, field):
    exchange, temperature = exchange_from_curie(50.0, S), 50.0 * t
    s = mean_spin(temperature, S, exchange, field)
    assert 0 <= s <= S
    x = (2 * MU_B * field + exchange * s) / (K_B * temperature)
    assert abs(brillouin(x, S) - s) < 1e-12 + 4e-16 / max(x, 1e-4)


@given(spins, st.floats(0.02, 2.0), st.floats(0.0, 20.0))
def test_mean_spin_falls_with_temperature_and_grows_with_field(S, t, field):
    exchange = exchange_from_curie(50.0, S)
    here = mean_spin(50.0 * t, S, exchange, field)
    assert mean_spin(50.0 * t * 1.02, S, exchange, field) <= here + 1e-12
    assert mean_spin(50.0 * t, S, exchange, field + 0.1) >= here - 1e-12


@given(spins, st.floats(0.02, 3.0), st.floats(0.0, 20.0))
def test_longitudinal_relaxation_is_never_faster_than_twice_the_transverse(S, t, field):
    """1/tau_perp >= 1/(2 tau_par), with equality only for moments without <S_par^2>."""
    state = kondo(50.0 * t, S, 1e27, 1e47, 1e-49, exchange_from_curie(50.0, S), field)
    assert state.rate_parallel >= 0
    assert state.rate_perpendicular > 0.5 * state.rate_parallel
    assert_allclose(state.precession, 1e27 * 1e-49 * state.spin / HBAR, rtol=1e-15)


# ------------------------------------------------------------------ two sublattices


def test_ordering_temperature_of_equal_sublattices_is_the_textbook_one():
    """Both for an antiferromagnet and a ferromagnet k T_N = S(S+1) (J_AA + |J_AB|) / 3."""
    for sign in (-1, 1):
        model = Sublattices(2.5, 2.5, 3 * K_B, 3 * K_B, sign * 7 * K_B)
        assert_allclose(ordering_temperature(model), 2.5 * 3.5 * 10 / 3, rtol=1e-14)
    assert ordering_temperature(Sublattices(1.0, 1.0, -K_B, -K_B)) == 0.0


@pytest.mark.parametrize("t", [0.1, 0.6, 0.95, 0.999, 1.2])
@pytest.mark.parametrize("field", [0.0, 0.5, 5.0])
def test_equal_ferromagnetic_sublattices_are_one_ferromagnet(t, field):
    S, curie = 2.0, 40.0
    exchange = exchange_from_curie(curie, S)
    model = Sublattices(S, S, 0.3 * exchange, 0.3 * exchange, 0.7 * exchange)
    state = sublattice_spins(model, t * curie, field)
    expected = mean_spin(t * curie, S, exchange, field)
    assert_allclose([state.s_A, state.s_B], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("t", [0.1, slow(0.6), 0.95, slow(0.999)])
def test_an_antiferromagnet_without_field_is_two_opposite_ferromagnets(t):
    S, neel = 2.5, 80.0
    exchange = exchange_from_curie(neel, S)
    model = Sublattices(S, S, 0.2 * exchange, 0.2 * exchange, -0.8 * exchange)
    assert_allclose(ordering_temperature(model), neel, rtol=1e-14)
    for orientation in (1, -1):
        state = sublattice_spins(model, t * neel, 0.0, orientation)
        expected = orientation * mean_spin(t * neel, S, exchange, 0.0)
        assert_allclose([state.s_A, -state.s_B], expected, rtol=0, atol=1e-9)
        assert_allclose(state.neel, expected, rtol=0, atol=1e-9)
        assert abs(state.moment) < 1e-9
    assert compensation_temperature(model) is None


def test_a_second_sublattice_without_coupling_is_a_paramagnet():
    model = Sublattices(1.0, 3.5, J_AA=exchange_from_curie(50.0, 1.0))
    state = sublattice_spins(model, 20.0, 3.0)
    assert_allclose(state.s_B, brillouin(2 * MU_B * 3.0 / (K_B * 20.0), 3.5), rtol=1e-14)
    expected = mean_spin(20.0, 1.0, model.J_AA, 3.0)
    assert_allclose(state.s_A, expected, rtol=1e-12)


FERRIMAGNET = Sublattices(  # rare-earth-like B: large, weakly coupled, with a compensation point
    1.0, 3.5, J_AA=250 * K_B, J_BB=4 * K_B, J_AB=-30 * K_B, ratio=0.4
)


def test_a_ferrimagnet_orders_where_the_linear_problem_says():
    """Just below the critical temperature s ~ sqrt(T_c - T) on both sublattices, above nothing."""
    critical = ordering_temperature(FERRIMAGNET)
    found = np.array([sublattice_spins(FERRIMAGNET, critical * (1 - t), 0.0, 1).spins for t in (1e-3, 1e-4)])
    assert_allclose(found[0] / found[1], np.sqrt(10), rtol=1e-2)
    chi = FERRIMAGNET.spins * (FERRIMAGNET.spins + 1) / (3 * K_B)
    vector = (chi[:, None] * FERRIMAGNET.exchange) @ found[1]
    assert_allclose(vector, critical * found[1], rtol=1e-3)
    assert sublattice_spins(FERRIMAGNET, critical * (1 + 1e-9)).spins.tolist() == [0.0, 0.0]


def test_the_net_moment_of_a_ferrimagnet_changes_sign_at_compensation():
    compensation = compensation_temperature(FERRIMAGNET)
    assert compensation is not None
    below, at, above = (
        sublattice_spins(FERRIMAGNET, compensation * f, 0.0, 1).moment for f in (0.9, 1.0, 1.1)
    )
    assert below < 0 < above
    assert abs(at) < 1e-9
    # In a small field the stable branch is the one with the moment along it, on either side.
    for factor, sign in ((0.9, -1), (1.1, 1)):
        for field in (0.01, -0.01):
            state = sublattice_spins(FERRIMAGNET, compensation * factor, field)
            assert np.sign(state.s_A) == sign * np.sign(field)
            assert state.moment * field > 0
    assert compensation_temperature(Sublattices(1, 2, J_AB=K_B)) is None
    assert compensation_temperature(Sublattices(1, 2.5, J_AA=K_B, J_AB=-K_B)) is None


couplings = st.floats(-20.0, 20.0)


@st.composite
def models(draw):
    return Sublattices(
        draw(spins),
        draw(spins),
        draw(couplings) * K_B,
        draw(couplings) * K_B,
        draw(couplings) * K_B,
        draw(st.floats(1.5, 2.5)),
        draw(st.floats(1.5, 2.5)),
        draw(st.floats(0.3, 3.0)),
    )


@given(models(), st.floats(0.5, 200.0), st.floats(-10.0, 10.0), st.sampled_from([1, -1]))
def test_sublattice_spins_solve_their_equations_on_either_branch(model, temperature, field, sign):
    state = sublattice_spins(model, temperature, field, sign)
    assert np.all(np.abs(state.spins) <= model.spins)
    noise = 1e-15 / np.maximum(np.abs(state.splitting) / (K_B * temperature), 1e-4).min()
    assert state.residual < 1e-12 + noise
    mirror = sublattice_spins(model, temperature, -field, -sign)
    assert_allclose(mirror.spins, -state.spins, rtol=0, atol=1e-9)


@given(models(), st.floats(0.02, 0.98), st.sampled_from([1, -1]))
def test_the_ordered_branch_follows_its_orientation_without_a_field(model, t, sign):
    critical = ordering_temperature(model)
    if critical < 1e-3 or model.J_AB == 0:
        return
    state = sublattice_spins(model, t * critical, 0.0, sign)
    chosen = state.spins * sign * np.array([1.0, model.sign])
    assert np.all(chosen >= 0)
    assert chosen.max() > 0
    hotter = sublattice_spins(model, 1.01 * t * critical, 0.0, sign)
    weight = np.array([1.0, model.ratio])
    # The exchange energy rises with temperature: the heat capacity is positive.
    energies = [-0.5 * s.spins @ (weight[:, None] * model.exchange) @ s.spins for s in (state, hotter)]
    assert energies[1] >= energies[0] - 1e-9 * abs(energies[0])


@given(models(), st.floats(0.05, 2.0), st.floats(0.1, 5.0))
def test_free_energy_is_stationary_and_gives_the_moment(model, t, field):
    """-dF/dB = moment mu_B along a branch."""
    temperature = t * max(ordering_temperature(model), 5.0)
    states = [sublattice_spins(model, temperature, b, 1) for b in (field - 1e-3, field + 1e-3)]
    middle = sublattice_spins(model, temperature, field, 1)
    if not middle.stable or np.abs(states[1].spins - states[0].spins).max() > 0.01:
        return  # a branch ends between the two fields
    slope = -(states[1].free_energy - states[0].free_energy) / 2e-3
    assert_allclose(slope, middle.moment * MU_B, rtol=1e-4, atol=1e-6 * MU_B)


def test_susceptibility_is_the_slope_of_the_spins_and_has_the_neel_cusp():
    """Curie-Weiss above T_N, continuous there and falling below: parallel susceptibility."""
    S, exchange = 2.5, 10 * K_B
    model = Sublattices(S, S, 0.1 * exchange, 0.1 * exchange, -exchange)
    neel = ordering_temperature(model)
    chi = {}
    for t in (0.3, 0.9, 1 - 1e-6, 1 + 1e-6, 1.5, 3.0):
        state = sublattice_spins(model, t * neel, 0.0, 1)
        chi[t] = state.susceptibility.sum()
        up, down = (sublattice_spins(model, t * neel, b, 1).spins for b in (1e-3, -1e-3))
        if abs(t - 1) > 1e-3:
            assert_allclose((up - down) / 2e-3, state.susceptibility, rtol=1e-6)
    weiss = S * (S + 1) / 3 * (model.J_AA + model.J_AB) / K_B
    for t in (1 + 1e-6, 1.5, 3.0):
        expected = 2 * 2 * MU_B * S * (S + 1) / 3 / (K_B * (t * neel - weiss))
        assert_allclose(chi[t], expected, rtol=1e-12)
    assert_allclose(chi[1 - 1e-6], chi[1 + 1e-6], rtol=1e-5)
    assert chi[0.3] < chi[0.9] < chi[1 - 1e-6]
    assert chi[1 + 1e-6] > chi[1.5] > chi[3.0]


def test_susceptibility_of_a_ferromagnet_diverges_twice_as_fast_above_the_curie_point():
    """Landau: chi(T_C + d) = 2 chi(T_C - d)."""
    model = Sublattices(1.5, 1.5, J_AA=5 * K_B, J_BB=5 * K_B, J_AB=5 * K_B)
    curie = ordering_temperature(model)
    above, below = (
        sublattice_spins(model, curie * (1 + d), 0.0, 1).susceptibility.sum() for d in (1e-4, -1e-4)
    )
    assert_allclose(above / below, 2, rtol=1e-3)


def test_negative_exchange_inside_a_sublattice_is_followed_too():
    """As in garnets, where both sublattices would rather be antiferromagnetic in themselves."""
    model = Sublattices(2.5, 2.5, -10 * K_B, -25 * K_B, -60 * K_B, ratio=1.5)
    critical = ordering_temperature(model)
    for t in (0.01, 0.5, 0.9, 0.999, 1 - 1e-6):
        state = sublattice_spins(model, t * critical, 0.0, 1)
        assert state.s_A > 0 > state.s_B
        assert state.stable
        assert state.residual < 1e-12


def test_a_state_between_two_branches_is_not_stable():
    model = Sublattices(2.0, 2.0, 5 * K_B, 5 * K_B, 5 * K_B)
    assert not SublatticeState(model, 0.5 * ordering_temperature(model), 0.0, 0.0, 0.0).stable


def test_wrong_input_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="spin_A must be > 0, got 0"):
        Sublattices(0, 1)
    with pytest.raises(ValueError, match="temperature must be > 0 K"):
        sublattice_spins(FERRIMAGNET, 0.0)
    with pytest.raises(SolverError, match="did not converge"):
        mean_field._greatest_fixed_point(lambda u: (0.999999 * u, 2.0), 1.0, limit=3)
