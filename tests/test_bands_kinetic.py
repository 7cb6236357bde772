"""The Boltzmann equation of the 4x4 density matrix gives the complete coefficients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bands_reference import CASES
from marks import slow, slow_unless
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation
from test_bands import LOW

from femspin.bands import TwoSublattice, chain, honeycomb, square, torque_coefficients
from femspin.bands.kinetic import KineticSetup, canting_drift, neel_drift, staggered_drift

# (hbar/tau Delta)^2 = 1e-8, (Q tau v)^4 = 3e-6 with v <= 4
KINETIC = 3e-6
SHIFTED = TwoSublattice(((2.0,),), ((1.3,), (-0.7,)), (1.0, 0.8), ((2.0,),), (0.2,), 0.8)
STATES = {
    "square, lower band": (square(1, 0.3, 0.8), -1.5, 0.15, 80),
    "square, upper band": (square(1, 0.3, 0.8), 1.7, 0.15, 56),
    "square, without t'": (square(1, 0, 1), -2.0, 0.15, 72),
    "square, near a ferromagnet": (square(0.3, 1, 2), -2.5, 0.2, 96),
    "honeycomb": (honeycomb(1, 0.3, 0.8), -1.5, 0.2, 80),
    "chain": (chain(1, 0.2, 0.8), -1.3, 0.1, 200),
    "chain with shifted sites": (SHIFTED, -1.3, 0.15, 200),
    "low symmetry": (LOW, -1.2, 0.2, 52),
}
FAST = ("chain", "chain with shifted sites", "low symmetry")


@pytest.mark.parametrize("name", slow_unless((*FAST, "square, lower band"), STATES))
def test_spiral_drifts_with_the_complete_p_n(name):
    lattice, mu, kT, n = STATES[name]
    found = neel_drift(lattice, KineticSetup(mu, kT, n))
    wanted = torque_coefficients(lattice, mu, kT).tensors["complete"]["p_n"]
    assert_allclose(found, wanted, atol=KINETIC * (1 + abs(wanted).max()))


@pytest.mark.parametrize("name", slow_unless(FAST, STATES))
def test_canting_wave_drifts_with_the_complete_p_m(name):
    lattice, mu, kT, n = STATES[name]
    found = canting_drift(lattice, KineticSetup(mu, kT, n))
    wanted = torque_coefficients(lattice, mu, kT).tensors["complete"]["p_m"]
    assert_allclose(found, wanted, atol=KINETIC * (1 + abs(wanted).max()))


@pytest.mark.parametrize("name", [slow("square, lower band"), slow("honeycomb"), "low symmetry"])
def test_staggered_torque_of_an_alternating_current_is_p_n_up_to_omega_squared(name):
    lattice, mu, kT, n = STATES[name]
    wanted = torque_coefficients(lattice, mu, kT).tensors["complete"]["p_st"]
    setup = KineticSetup(mu, kT, n)
    rest = [abs(staggered_drift(lattice, setup, w) - wanted).max() for w in (0.04, 0.02)]
    assert rest[0] < 2e-3 * (1 + abs(wanted).max())
    assert_allclose(rest[0] / rest[1], 4, rtol=0.1)


def test_the_paper_corrected_coefficients_miss_diagrams_of_the_same_order():
    """Errata C: the difference is no matter of accuracy."""
    lattice, mu, kT, n = STATES["honeycomb"]
    found = neel_drift(lattice, KineticSetup(mu, kT, n))[0, 0]
    paper = torque_coefficients(lattice, mu, kT).value("p_n", "paper_corrected")
    assert abs(found - paper) > 0.1 * abs(found)


@pytest.mark.parametrize(("name", "function"), [("p_n", neel_drift), slow("p_m", canting_drift)])
def test_kinetic_coefficients_are_those_of_the_reference_program(name, function):
    case = CASES["K13"]
    i = case["inputs"]
    lattice, setup = square(i["t"], i["tp"], i["J"]), KineticSetup(i["mu"], i["kT"], 80)
    assert_allclose(function(lattice, setup)[0, 0], case["outputs"][name], rtol=case["rel_accuracy"])


def test_error_of_the_kinetic_coefficients_is_of_second_order_in_the_rate():
    """What the formulas leave out is of order (hbar/tau Delta)^2."""
    lattice, mu, kT, n = STATES["chain"]
    wanted = torque_coefficients(lattice, mu, kT).value("p_n")
    rest = [neel_drift(lattice, KineticSetup(mu, kT, n, tau=x))[0, 0] - wanted for x in (40, 80)]
    assert_allclose(rest[0] / rest[1], 4, rtol=0.05)


def test_drift_of_the_neel_spiral_does_not_depend_on_its_wave_number():
    """Even where an electron turns by a radian between collisions, Q tau v = 1."""
    lattice, mu, kT, n = STATES["chain"]
    setup = KineticSetup(mu, kT, n)
    found = [neel_drift(lattice, replace(setup, wave=w))[0, 0] for w in (0.01, 0.8)]
    assert_allclose(found[1], found[0], rtol=1e-7)


@pytest.mark.parametrize("seed", slow_unless([0], range(4)))
def test_a_rotation_of_all_spins_changes_nothing(seed):
    lattice, mu, kT, _ = STATES["honeycomb"]
    turn = Rotation.random(random_state=seed).as_matrix()
    setup = KineticSetup(mu, kT, 24)
    turned = replace(setup, neel=tuple(turn[:, 2]), axis=tuple(turn[:, 0]))
    for function in (neel_drift, canting_drift):
        here, there = function(lattice, setup), function(lattice, turned)
        # round-off over the wave number, 1e-16/1e-6
        assert_allclose(there, here, atol=1e-8 * np.max(abs(here)) + 1e-8)
