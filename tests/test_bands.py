"""Torque coefficients: reference numbers, exact identities, integrators and their errors."""

from __future__ import annotations

import numpy as np
import pytest
from bands_reference import CASES, DATA, square_truth
from hypothesis import given, settings
from hypothesis import strategies as st
from marks import slow
from numpy.testing import assert_allclose

from femspin.bands import (
    COEFFICIENTS,
    MODELS,
    Hop,
    TwoSublattice,
    chain,
    chain_forms,
    chemical_potential,
    conductivity,
    electrons_per_site,
    from_hops,
    honeycomb,
    named_lattice,
    simple_cubic,
    square,
    square_forms,
    torque_coefficients,
    torque_velocities,
)
from femspin.bands.closed_forms import ferromagnetic_limit, printed_P_m, printed_P_n
from femspin.bands.contours import contour_integral
from femspin.bands.critical import band_edges, critical_energies
from femspin.bands.fermi_sums import fermi_sums, logistic_nodes
from femspin.bands.torques import drift_velocity, exchange_time
from femspin.errors import CaseError, SolverError
from femspin.units import E_CHARGE, HBAR

NAMES = {
    "Pm_printed": ("P_m", "paper_printed"),
    "Pn_printed": ("P_n", "paper_printed"),
    "Pmna_printed": ("P_m_na", "paper_printed"),
    "Pnna_printed": ("P_n_na", "paper_printed"),
    "Pm_s": ("P_m", "paper_corrected"),
    "Pn_fixed": ("P_n", "paper_corrected"),
    "Pmna_s": ("P_m_na", "paper_corrected"),
    "Pnna_s": ("P_n_na", "paper_corrected"),
    "Pnna_full": ("P_n_na", "complete"),
    "p_n": ("p_n", "complete"),
    "p_m": ("p_m", "complete"),
}
KSPACE = [c for c in CASES.values() if c["kind"].startswith("kspace")]


def of_case(case):
    i = case["inputs"]
    lattice = named_lattice(i["lattice"], i["t"], i["tp"], i["J"])
    return torque_coefficients(lattice, i["mu"], i["kT"])


# ---------------------------------------------------------------- reference numbers


@pytest.mark.parametrize("case", KSPACE, ids=lambda c: c["id"])
def test_coefficients_are_those_of_the_reference_program(case):
    found, wanted, rtol = of_case(case), case["outputs"], case["rel_accuracy"]
    assert_allclose(found.v2, wanted["v2"], rtol=rtol)
    assert_allclose(found.sums.dos, wanted["dos"], rtol=rtol)
    for name, (coefficient, model) in NAMES.items():
        assert_allclose(found.value(coefficient, model), wanted[name], rtol=rtol, atol=1e-3 * rtol)
    assert found.isotropic


def test_square_closed_forms_are_those_of_the_reference_program():
    wanted, found = CASES["K08"]["outputs"], square_forms(-2, 1)
    for mine, name in (
        (found.W, "W"),
        (found.p_n, "p_n"),
        (found.p_m, "p_m"),
        (found.P_n, "Pn_fixed"),
        (found.P_m_printed, "Pm_printed"),
        (found.P_n_printed, "Pn_printed"),
        (printed_P_m(-2, 1), "Pm_S625"),
        (printed_P_n(-2, 1), "Pn_S653"),
    ):
        assert_allclose(mine, wanted[name], rtol=CASES["K08"]["rel_accuracy"])


@pytest.mark.parametrize("row", DATA["table_square"], ids=lambda r: f"J{r[0]}mu{r[1]}")
def test_table_of_exact_and_approximate_coefficients(row):
    J, mu, P_m, approximate_m, P_n, approximate_n, corrected, p_n, p_m = row
    found, atol = torque_coefficients(square(1, 0, J), mu), DATA["table_accuracy"]
    for value, wanted in (
        (found.value("P_m", "paper_printed"), P_m),
        (printed_P_m(mu, J), approximate_m),
        (found.value("P_n", "paper_printed"), P_n),
        (printed_P_n(mu, J), approximate_n),
        (found.value("P_n", "paper_corrected"), corrected),
        (found.value("p_n"), p_n),
        (found.value("p_m"), p_m),
    ):
        assert_allclose(value, wanted, atol=atol)


# ---------------------------------------------------------------- hard identities


@pytest.mark.parametrize("build", [square, honeycomb, chain])
def test_without_intra_hopping_every_coefficient_is_odd_in_mu(build):
    """Particle-hole symmetry; the printed formulas break it (errata B7)."""
    lattice = build(1, 0, 0.8)
    up, down = torque_coefficients(lattice, 1.3), torque_coefficients(lattice, -1.3)
    for model in ("complete", "paper_corrected"):
        for name in COEFFICIENTS:
            slack = up.error(name, model) + down.error(name, model) + 1e-15
            assert abs(up.value(name, model) + down.value(name, model)) <= slack
    printed = [x.value("P_m", "paper_printed") for x in (up, down)]
    assert_allclose(printed[0], printed[1], rtol=1e-10)


@pytest.mark.parametrize(("build", "energies"), [(square, (-5, 5)), (honeycomb, (-6, 4.5))])
def test_two_separate_ferromagnets_have_drift_coefficients_one(build, energies):
    """Of order t^2: 1 - p_n and 1 - p_m for t -> 0, + in the lower and - in the upper band."""
    for mu, s in zip(energies, (1, -1), strict=True):
        rest = []
        for t in (0.02, 0.01):
            found = torque_coefficients(build(t, 1.0, 2.0), mu)
            rest.append([found.value("p_n") - s, found.value("p_m") - s])
            assert abs(np.array(rest[-1])).max() < 0.05
        assert_allclose(rest[0], 4 * np.array(rest[1]), rtol=0.02)
        for name in ("P_m_na", "P_n_na"):  # (S7.31) with the missing sign
            value = found.value(name, "paper_corrected")
            assert_allclose(value, ferromagnetic_limit(s), atol=0.02)


@pytest.mark.parametrize("mu", [-3.9, -2.0, -1.2, -1.001, 1.001, 1.5, 3.0])
def test_square_lattice_has_its_closed_forms(mu):
    found, exact = torque_coefficients(square(1, 0, 1), mu), square_forms(mu, 1)
    J = 1
    assert_allclose(exact.p_n, np.sign(mu) * J**3 / (abs(mu) * (mu**2 - J**2)), rtol=1e-13)
    for name, model, wanted in (
        ("p_n", "complete", exact.p_n),
        ("p_m", "complete", exact.p_m),
        ("P_n", "paper_corrected", exact.P_n),
        ("P_m", "paper_printed", exact.P_m_printed),
        ("P_n", "paper_printed", exact.P_n_printed),
    ):
        assert abs(found.value(name, model) - wanted) <= found.error(name, model) + 1e-12 * abs(wanted)


@pytest.mark.parametrize("mu", [-2.1, -1.3, -0.81, 0.9, 1.7])
def test_chain_has_its_closed_forms(mu):
    found, exact = torque_coefficients(chain(1, 0, 0.8), mu), chain_forms(mu, 0.8)
    for name, model, wanted in (
        ("p_n", "complete", exact.p_n),
        ("p_m", "complete", exact.p_m),
        ("P_n", "paper_corrected", exact.P_n),
        ("P_m", "paper_printed", exact.P_m_printed),
    ):
        assert abs(found.value(name, model) - wanted) <= found.error(name, model) + 1e-13 * abs(wanted)


def test_complete_coefficients_split_into_band_and_interband_parts():
    """p_n = P_n^na - P_n in every model, and p_st = p_n in the complete one (errata C)."""
    found = torque_coefficients(honeycomb(1, 0.2, 0.7), -1.1)
    for model in MODELS:
        value = found.value("P_n_na", model) - found.value("P_n", model)
        assert_allclose(value, found.value("p_n", model), rtol=1e-12)
    assert found.value("p_st") == found.value("p_n")


# ---------------------------------------------------------------- integrators and their errors


SLOW = [slow(mu) for mu in (-5.2782, -1.5, -0.799, 0.2, 1.7, 1.841, 1.999, 2.001)]


@pytest.mark.parametrize("mu", [-0.801, 0.399, *SLOW])
def test_error_estimate_covers_the_truth_next_to_band_edges_and_van_hove_energies(mu):
    """Edges -5.2792.., 0.4; van Hove -0.8, 1.84, 2: within 1e-3 of each."""
    v2, dos, p_n, p_m = square_truth(mu, 0.3, 0.8)
    found = torque_coefficients(square(1, 0.3, 0.8), mu)
    assert abs(found.v2 - v2) <= found.sums.errors["v2"][0, 0] + 1e-15
    assert abs(found.sums.dos - dos) <= found.sums.dos_error
    assert abs(found.value("p_n") - p_n / v2) <= found.error("p_n")
    assert abs(found.value("p_m") - p_m / v2) <= found.error("p_m")
    assert found.error("p_n") < 1e-8 * (1 + abs(found.value("p_n")))


@pytest.mark.parametrize("J", [0.1, 1.0])
@pytest.mark.parametrize("distance", [1e-3, 1e-5])
def test_error_estimate_covers_the_truth_at_the_edges_of_the_gap(J, distance):
    """Without t' the whole zone boundary is a band edge, and p_n diverges there."""
    mu = -J - distance
    found, exact = torque_coefficients(square(1, 0, J), mu), square_forms(mu, J)
    assert abs(found.value("p_n") - exact.p_n) <= found.error("p_n")
    assert abs(found.value("p_m") - exact.p_m) <= found.error("p_m")
    assert found.error("p_n") < 1e-6 * abs(exact.p_n)


def test_open_and_closed_lines_and_several_pockets_are_found():
    """The filled share grows by the density of states across changes of topology."""
    lattice = square(1, 0.3, 0.8)
    for mu, s in ((-0.9, 1), (-0.7, 1), (0.3, 1), (1.0, -1), (1.9, -1), (2.3, -1)):

        def share(x, s=s):
            return contour_integral(lattice, x, s, lambda k, _: np.ones((len(k), 1)), 1)

        (dos,), _, _ = share(mu)
        h = 1e-4
        slope = (share(mu + h)[2] - share(mu - h)[2]) / (2 * h)
        assert_allclose(slope, dos * lattice.cell_volume, rtol=1e-5)


@pytest.mark.parametrize("kT", [0.15, slow(0.05)])
def test_mesh_error_estimate_covers_a_finer_mesh(kT):
    lattice = honeycomb(1, 0.1, 0.6)
    rough, fine = (fermi_sums(lattice, -0.9, kT, x) for x in (1e-4, 1e-12))
    assert rough.size < fine.size
    for name, value in fine.values.items():
        change = abs(rough.values[name] - value)
        assert np.all(change <= rough.errors[name] + fine.errors[name]), name


def test_energy_sums_and_meshes_agree_where_both_work():
    """Below about 0.02 t the Fermi lines of nearby energies replace the mesh."""
    lattice, mu, kT = square(1, 0.3, 0.8), -1.5, 0.005
    cold, warm = fermi_sums(lattice, mu, kT, 1e-8), fermi_sums(lattice, mu, kT, 1e-3)
    assert (cold.method, warm.method) == ("energy sum", "mesh")
    for name, value in cold.values.items():
        slack = warm.errors[name] + cold.errors[name]
        assert np.all(abs(warm.values[name] - value) <= slack), name


@pytest.mark.slow
def test_energy_sum_across_a_van_hove_energy_agrees_with_the_mesh():
    lattice, mu, kT = square(1, 0.3, 0.8), -0.8, 0.005
    cold, warm = fermi_sums(lattice, mu, kT, 1e-8), fermi_sums(lattice, mu, kT, 1e-3)
    assert (cold.method, warm.method) == ("energy sum", "mesh")
    for name, value in cold.values.items():
        slack = warm.errors[name] + cold.errors[name]
        assert np.all(abs(warm.values[name] - value) <= slack), name


def test_gauss_nodes_of_the_thermal_weight_have_the_logistic_moments():
    """<x^2> = pi^2/3, <x^4> = 7 pi^4/15 in units of k_B T."""
    x, w = logistic_nodes(6)
    moments = [np.sum(w * x**n) for n in (0, 1, 2, 4)]
    assert_allclose(moments, [1, 0, np.pi**2 / 3, 7 * np.pi**4 / 15], rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_surface_estimate_covers_the_mesh_extrapolated_to_zero_temperature():
    lattice, mu = simple_cubic(1, 0.1, 0.8), -2.3
    sharp = torque_coefficients(lattice, mu)
    warm = [torque_coefficients(lattice, mu, kT, 1e-5) for kT in (0.3, 0.15)]
    for name in ("p_n", "p_m"):
        values = [x.value(name) for x in warm]
        limit = (4 * values[1] - values[0]) / 3  # the leading error is of order kT^2
        left = abs(values[1] - values[0]) / 3  # and the next one smaller than the first
        assert abs(sharp.value(name) - limit) <= sharp.error(name) + left


def test_van_hove_energies_of_the_square_lattice():
    tp, J = 0.3, 0.8
    lattice = square(1, tp, J)
    edge = -4 * tp - np.sqrt(16 + J**2)
    assert_allclose(critical_energies(lattice, 1), [edge, -J, 4 * tp - J], atol=1e-10)
    (low, high), (start, top) = band_edges(lattice)
    assert_allclose([low, high, start, top], [edge, 4 * tp - J, J, -4 * tp + np.sqrt(16 + J**2)])


def test_a_van_hove_energy_itself_is_refused_at_zero_temperature():
    with pytest.raises(SolverError, match="van Hove"):
        torque_coefficients(square(1, 0.3, 0.8), -0.8)


# ---------------------------------------------------------------- invariances


def rotated(lattice, angle):
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = lambda rows: tuple(tuple(r) for r in (np.array(rows) @ R.T).tolist())  # noqa: E731
    return R, TwoSublattice(
        turn(lattice.vectors),
        turn(lattice.inter),
        lattice.inter_amplitudes,
        turn(lattice.intra),
        lattice.intra_amplitudes,
        lattice.exchange,
    )


LOW = TwoSublattice(
    ((1.3, 0.2), (-0.1, 1.1)),
    ((0.4, 0.3), (-0.9, 0.1), (0.5, -0.8)),
    (1.0, 0.7, 0.5),
    ((1.3, 0.2), (-0.1, 1.1), (1.2, 1.3)),
    (0.3, -0.2, 0.15),
    0.8,
)


@settings(max_examples=10, deadline=None)
@given(angle=st.floats(-3, 3), mu=st.floats(-2.2, -1.2))
def test_a_rotated_lattice_has_the_rotated_tensors(angle, mu):
    R, turned = rotated(LOW, angle)
    here, there = torque_coefficients(LOW, mu), torque_coefficients(turned, mu)
    for model in MODELS:
        for name in COEFFICIENTS:
            p, slack = here.tensors[model][name], here.errors[model][name].sum()
            slack += there.errors[model][name].sum() + 1e-11 * abs(p).sum()
            assert np.all(abs(there.tensors[model][name] - R @ p @ R.T) <= slack), (model, name)


@settings(max_examples=8, deadline=None)
@given(mu=st.floats(-2.2, -1.2), m=st.integers(-1, 2))
def test_origin_cell_and_names_of_the_sublattices_do_not_matter(mu, m):
    """Swapped sublattices, other lattice vectors, the other hop of a pair, another sign of eta."""
    a, b = np.array(LOW.vectors)
    others = [
        TwoSublattice(
            LOW.vectors,
            tuple(tuple(-x for x in e) for e in LOW.inter),
            LOW.inter_amplitudes,
            LOW.intra,
            LOW.intra_amplitudes,
            LOW.exchange,
        ),
        TwoSublattice(
            (tuple((a + m * b).tolist()), tuple(b.tolist())),
            LOW.inter,
            LOW.inter_amplitudes,
            LOW.intra,
            LOW.intra_amplitudes,
            LOW.exchange,
        ),
        TwoSublattice(
            LOW.vectors,
            LOW.inter,
            LOW.inter_amplitudes,
            tuple(tuple(-x for x in e) for e in LOW.intra),
            LOW.intra_amplitudes,
            LOW.exchange,
        ),
        TwoSublattice(
            LOW.vectors,
            LOW.inter,
            tuple(-t for t in LOW.inter_amplitudes),
            LOW.intra,
            LOW.intra_amplitudes,
            LOW.exchange,
        ),
    ]
    here = torque_coefficients(LOW, mu)
    for lattice in others:
        there = torque_coefficients(lattice, mu)
        for name in COEFFICIENTS:
            p, q = here.tensors["complete"][name], there.tensors["complete"][name]
            slack = here.errors["complete"][name] + there.errors["complete"][name]
            assert np.all(abs(p - q) <= slack + 1e-11 * abs(p).sum()), name


def test_the_full_list_of_hops_gives_the_same_lattice():
    lattice = square(1, 0.3, 0.8)
    hops = []
    for e in lattice.inter:
        hops += [Hop("A", "B", e, 1.0), Hop("B", "A", tuple(-x for x in e), 1.0)]
    for e in lattice.intra:
        for X in "AB":
            hops += [Hop(X, X, e, 0.3), Hop(X, X, tuple(-x for x in e), 0.3)]
    mine = torque_coefficients(from_hops(lattice.vectors, hops, 0.8), -1.5)
    assert_allclose(mine.value("p_n"), torque_coefficients(lattice, -1.5).value("p_n"), rtol=1e-12)


# ---------------------------------------------------------------- refused models


def test_hops_without_their_reverse_are_not_hermitian():
    hops = [Hop("A", "B", (1.0,), 1.0), Hop("B", "A", (-1.0,), 0.5)]
    with pytest.raises(CaseError, match=r"not Hermitian.*needs its reverse"):
        from_hops([[2.0]], hops, 1.0)
    with pytest.raises(CaseError, match="not Hermitian"):
        TwoSublattice(((2,),), ((1,), (-1,)), (1, 1), ((2,), (-2,)), (0.1, 0.2), 1.0)


def test_hops_that_break_the_sublattices_are_refused():
    both = [Hop("A", "B", (1.0,), 1.0), Hop("B", "A", (-1.0,), 1.0)]
    unequal = [*both, Hop("A", "A", (2.0,), 0.1), Hop("A", "A", (-2.0,), 0.1)]
    with pytest.raises(CaseError, match=r"breaks the sublattice structure.*twin B to B"):
        from_hops([[2.0]], unequal, 1.0)
    with pytest.raises(CaseError, match=r"lattice\.intra\.0.*breaks the sublattice structure"):
        TwoSublattice(((2,),), ((1,),), (1,), ((1,),), (0.1,), 1.0)
    with pytest.raises(CaseError, match=r"lattice\.inter\.0.*leads from A to A"):
        TwoSublattice(((2,),), ((2,),), (1,), (), (), 1.0)
    with pytest.raises(CaseError, match="differs from"):
        TwoSublattice(((2,),), ((1,), (0.5,)), (1, 1), (), (), 1.0)


@pytest.mark.parametrize(
    ("mu", "kT", "where"),
    [(0.0, 0.0, "in the gap"), (0.0, 0.01, "in the gap"), (-9.0, 0.0, "outside the bands")],
)
def test_a_chemical_potential_without_states_is_refused(mu, kT, where):
    with pytest.raises(CaseError, match=where):
        torque_coefficients(square(1, 0, 1), mu, kT)


def test_a_lattice_that_conducts_along_one_axis_only_is_refused():
    wires = TwoSublattice(((2, 0), (0, 1)), ((1, 0), (-1, 0)), (1, 1), (), (), 0.8)
    with pytest.raises(CaseError, match="some directions only"):
        torque_coefficients(wires, -1.3)


def test_closed_forms_outside_the_bands_are_refused():
    for forms in (square_forms, chain_forms):
        with pytest.raises(CaseError, match="inside a band"):
            forms(0.5, 1.0)


# ---------------------------------------------------------------- filling and SI


QUICK = [(square, 0.0), (honeycomb, 0.1)]
FILLINGS = [
    (build, kT, filling)
    if build is chain or ((build, kT) in QUICK and filling == 0.9)
    else slow(build, kT, filling)
    for kT in (0.0, 0.1)
    for build in (square, honeycomb, chain)
    for filling in (0.3, 0.9, 1.4)
]


@pytest.mark.parametrize(("build", "kT", "filling"), FILLINGS)
def test_chemical_potential_gives_back_the_filling(build, kT, filling):
    lattice = build(1, 0.2, 0.7)
    mu = chemical_potential(lattice, filling, kT)
    assert_allclose(electrons_per_site(lattice, mu, kT), filling, atol=1e-9)


def test_half_filling_without_intra_hopping_is_the_middle_of_the_gap():
    assert_allclose(chemical_potential(square(1, 0, 0.7), 1.0, 0.1), 0, atol=1e-8)
    with pytest.raises(CaseError, match="lies in the gap"):
        chemical_potential(square(1, 0, 0.7), 1.0)


def test_conductivity_is_that_of_a_degenerate_pair_of_bands():
    """Low filling: sigma = n e^2 tau/m with the mass of the band bottom, n per site and spin."""
    lattice, t, a, tau = square(1, 0, 0.5), E_CHARGE, 3e-10, 1e-14
    bottom = -np.sqrt(16 + 0.25)
    mu = bottom + 1e-4
    found = torque_coefficients(lattice, mu)
    sheet = conductivity(found.v2, tau, t, a, 2)
    curvature = 4 * 2 / np.sqrt(16.25)  # d^2 eps/dk^2 = eta t_x''/Delta at k = 0, in t a^2
    mass = HBAR**2 / (curvature * t * a**2)
    density = electrons_per_site(lattice, mu) / a**2
    assert_allclose(sheet, density * E_CHARGE**2 * tau / mass, rtol=1e-3)


def test_drift_velocity_has_the_reference_size_and_sign():
    i, o = CASES["F05"]["inputs"], CASES["F05"]["outputs"]
    digits = 1e-9  # the reference has ten digits of hbar
    assert_allclose(drift_velocity(i["p"], i["jc"], i["s_afm"]), [o["u_afm"]], rtol=digits)
    assert_allclose(drift_velocity(i["p"], i["jc"], i["s_fm"]), [o["u_fm"]], rtol=digits)


def test_velocities_follow_the_tensors_and_beta_the_spin_relaxation():
    found = torque_coefficients(LOW, -1.5)
    j, s, t = np.array([1e11, -3e11]), 4.8e-6, E_CHARGE
    v = torque_velocities(found, j, s, t, spin_relaxation_time=1e-13)
    scale = -HBAR / (2 * E_CHARGE * s)
    assert_allclose(v.u_n, scale * found.tensors["complete"]["p_n"] @ j, rtol=1e-14)
    assert_allclose(v.u_m, scale * found.tensors["complete"]["p_m"] @ j, rtol=1e-14)
    assert_allclose(v.tau_sd, HBAR / (2 * 0.8 * E_CHARGE), rtol=1e-14)
    assert_allclose(v.beta, exchange_time(0.8 * E_CHARGE) / 1e-13, rtol=1e-14)
    assert torque_velocities(found, j, s, t).beta == 0
    for bad in ({"s": 0.0}, {"current_density": [1.0, 2.0, 3.0]}, {"hopping": -1.0}):
        with pytest.raises(CaseError, match=next(iter(bad))):
            torque_velocities(**{"coefficients": found, "current_density": j, "s": s, "hopping": t, **bad})
