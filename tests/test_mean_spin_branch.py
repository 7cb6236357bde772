"""The metastable branch of local moments: where it ends, and what is said beyond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from femspin import build_device, case_from_table
from femspin.cli.main import main
from femspin.device.steady import solve_transport
from femspin.errors import CaseError, SolverError
from femspin.fields.build import region_fields
from femspin.fields.kondo import (
    brillouin,
    brillouin_derivative,
    exchange_from_curie,
    kondo,
    mean_spin,
    spinodal,
)
from femspin.fields.mean_field import Sublattices, sublattice_spins
from femspin.studies.magnetoresistance import smr_amplitudes
from femspin.units import K_B, MU_B

EPS = float(np.finfo(float).eps)
SPINS = (0.5, 1.0, 2.5, 3.5)
REDUCED = (0.05, 0.3, 0.8, 0.95, 0.995, 1 - 1e-4, 1 - 1e-7)
CURIE = 16.5


def end_of_branch(S, t):
    """Return T [K], J0 [J] and the field [T] at which the branch of g = 2 ends."""
    exchange = exchange_from_curie(CURIE, S)
    return t * CURIE, exchange, spinodal(t * CURIE, S, exchange) / (2 * MU_B)


# ------------------------------------------------------------------ where the branch ends


@pytest.mark.parametrize("t", REDUCED[:-1])
def test_the_spinodal_of_spin_one_half_has_its_closed_form(t):
    """Where cosh^2(x/2) = 1/t: x = 2 artanh r, s = r/2 with r = sqrt(1 - t)."""
    exchange = exchange_from_curie(CURIE, 0.5)
    r = np.sqrt(1 - t)
    expected = 2 * np.arctanh(r) - 2 * r / t
    found = spinodal(t * CURIE, 0.5, exchange) / (K_B * t * CURIE)
    # Some rounding errors of either term; that of r, eps / (1 - t), cancels between the two.
    assert abs(found - expected) <= 16 * EPS * 2 * r / t


@pytest.mark.parametrize("S", SPINS)
@pytest.mark.parametrize("t", REDUCED)
def test_the_branch_is_followed_to_its_end_and_not_beyond(S, t):
    """1e-9 before the end there is a stable solution, 1e-9 behind it there is none.

    T / T_C is known to eps, and the field at the end goes with (1 - T/T_C)^(3/2): near T_C some
    eps / (1 - t) is added.
    """
    temperature, exchange, end = end_of_branch(S, t)
    margin = 1e-9 + 16 * EPS / (1 - t)
    assert end < 0
    before, behind = end * (1 - margin), end * (1 + margin)
    s = mean_spin(temperature, S, exchange, before)
    kT = K_B * temperature
    x = (2 * MU_B * before + exchange * s) / kT
    assert s > 0
    assert abs(brillouin(x, S) - s) <= 16 * EPS * S * exchange * S / kT
    gap = 1 - exchange / kT * brillouin_derivative(x, S)
    assert gap > 0  # stable
    assert np.isnan(mean_spin(temperature, S, exchange, behind))
    many = mean_spin(temperature, S, exchange, np.array([before, behind]))
    assert abs(many[0] - s) <= 64 * EPS * exchange * S / kT * S / gap
    assert np.isnan(many[1])


@pytest.mark.parametrize("field", [-0.1, -0.4, -0.4268, -0.4270, -0.4273, 0.3])
def test_one_sublattice_is_on_the_branch_of_two_uncoupled_ones(field):
    """Two root finders: in s from saturation, and in the argument x of the Brillouin function."""
    S, temperature = 3.5, 0.8 * CURIE
    exchange = exchange_from_curie(CURIE, S)
    two = sublattice_spins(Sublattices(S, S, exchange, exchange), temperature, field, 1).s_A
    kT = K_B * temperature
    x = (2 * MU_B * field + exchange * two) / kT
    gap = 1 - exchange / kT * brillouin_derivative(x, S)
    tolerance = 64 * EPS * S / gap  # a root where the slope is nearly 1
    assert two > 1.3
    assert abs(mean_spin(temperature, S, exchange, field) - two) <= tolerance
    many = mean_spin(temperature, S, exchange, np.array([[field]]))
    assert abs(many[0, 0] - two) <= tolerance


@pytest.mark.parametrize("field", [1e-30, 1e-18, 1e-12, 1e-6])
def test_tiny_fields_above_the_curie_temperature_magnetise_by_curie_weiss(field):
    S, temperature = 2.0, 1.1 * CURIE
    exchange = exchange_from_curie(CURIE, S)
    expected = S * (S + 1) / 3 * 2 * MU_B * field / (K_B * (temperature - CURIE))
    # The next term is of second order in s / S < 1e-6; 1 - T_C/T is known to 11 eps.
    assert_allclose(mean_spin(temperature, S, exchange, field), expected, rtol=1e-11)
    many = mean_spin(temperature, S, exchange, np.array([0.0, field]))
    assert_allclose(many, [0.0, expected], rtol=1e-11)


@pytest.mark.parametrize("exchange", [0.0, -5 * K_B])
def test_moments_without_order_have_their_one_solution(exchange):
    for field in (1e-9, 1.0, 300.0):
        s = mean_spin(10.0, 2.5, exchange, field)
        x = (2 * MU_B * field + exchange * s) / (10.0 * K_B)
        assert s > 0
        assert_allclose(brillouin(x, 2.5), s, rtol=64 * EPS)
    assert spinodal(10.0, 2.5, exchange) == 0.0
    assert mean_spin(10.0, 2.5, exchange, 0.0) == 0.0
    assert np.isnan(mean_spin(10.0, 2.5, exchange, -1.0))


def test_a_field_that_is_no_number_gives_none():
    assert np.isnan(mean_spin(10.0, 2.5, 5 * K_B, np.array([np.nan]))).all()


# ------------------------------------------------------------------ what is said beyond


def stack(field, direction, temperature="10 K"):
    """Return EuS with its interface layer under Pt; the layer orders below 16.5 K."""
    return {
        "structure": {
            "layers": [
                {"region": "EuS", "thickness": "2 nm", "cells": 1},
                {"region": "F", "thickness": "0.3 nm", "cells": 2},
                {"region": "Pt", "thickness": "3 nm", "cells": 4},
            ]
        },
        "regions": {
            "EuS": {"kind": "FI"},
            "F": {
                "kind": "F",
                "dos": "8.3e47 1/(J*m^3)",
                "conductivity": "1.667e6 S/m",
                "kondo": {
                    "spin": 3.5,
                    "moment_density": "1.9e27 1/m^3",
                    "exchange_energy": "0.3 meV",
                    "curie_temperature": "16.5 K",
                },
            },
            "Pt": {"kind": "HM", "material": "Pt"},
        },
        "drive": {
            "electric_field": ["1e5 V/m", "0 V/m", "0 V/m"],
            "temperature": temperature,
            "magnetic_field": ["0 T", "0 T", f"{field} T"],
        },
        "magnetization": {"direction": direction},
    }


def device(field, direction, temperature="10 K"):
    return build_device(case_from_table(stack(field, direction, temperature)))


def test_moments_that_cannot_stay_are_refused_with_the_field_they_could_bear():
    temperature, exchange, end = end_of_branch(3.5, 0.6)
    with pytest.raises(CaseError, match=rf"1\.5 T point against.*up to {abs(end):.4g} T"):
        kondo(temperature, 3.5, 1e27, 1e47, 1e-49, exchange, -1.5)
    with pytest.raises(CaseError, match=r"moments of F \(spin 3\.5, T_C = 16\.5 K\)"):
        kondo(temperature, 3.5, 1e27, 1e47, 1e-49, exchange, -1.5, region="F")


@pytest.mark.parametrize("field", [np.nan, np.inf, np.array([0.1, np.nan])])
def test_a_field_that_is_no_number_is_not_taken_for_one_against_the_moments(field):
    _, exchange, _ = end_of_branch(3.5, 0.6)
    with pytest.raises(SolverError, match=r"moments of F is no finite number"):
        kondo(10.0, 3.5, 1e27, 1e47, 1e-49, exchange, field, region="F")


def test_a_case_with_moments_that_cannot_stay_is_refused():
    with pytest.raises(CaseError, match=r"^drive\.magnetic_field: .*cannot stay along m at 10 K"):
        device(2.0, [0.1, 0, -1])


@pytest.mark.parametrize("command", ["check", "run", "smr"])
def test_commands_end_with_the_reason_and_the_code_of_a_wrong_case(command, tmp_path, capsys):
    case = tmp_path / "case.toml"
    case.write_text("""
[structure]
layers = [{region="EuS",thickness="2 nm"},{region="F",thickness="1 nm"}]
[regions.EuS]
kind = "FI"
[regions.F]
kind = "F"
dos = "8e47 1/(J*m^3)"
conductivity = "2e6 S/m"
kondo = {spin=3.5,moment_density="2e27 1/m^3",exchange_energy="0.3 meV",curie_temperature="16 K"}
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
magnetic_field = ["0 T", "0 T", "2 T"]
temperature = "10 K"
[magnetization]
direction = [0, 0, -1]
""")
    assert main([command, str(case)]) == 2
    assert "2 T point against them" in capsys.readouterr().err


def test_a_direction_that_turns_against_the_field_is_refused_when_it_is_met():
    """Amplitudes of magnetoresistance need m along z and -z, in the same field."""
    along = device(2.0, [0.1, 0, 1])
    assert along.fields(along.direction)["F"].moments.spin > 2
    with pytest.raises(CaseError, match="cannot stay along m"):
        solve_transport(along, np.array([0.0, 0.0, -1.0]))
    with pytest.raises(CaseError, match="cannot stay along m"):
        smr_amplitudes(along)


def test_textures_that_turn_against_the_field_name_the_region():
    along = device(2.0, [0, 0, 1])
    m = np.array([[0, 0, 1.0], [0.6, 0, 0.8], [0, 0.6, -0.8]])
    with pytest.raises(CaseError, match=r"moments of F .* 1\.6 T point against them"):
        region_fields(along.parameters["F"], along.conditions, m)
    weaker = replace(along.conditions, magnetic_field=np.array([0, 0, 0.5]))
    assert np.isfinite(region_fields(along.parameters["F"], weaker, m).relaxation).all()


@pytest.mark.parametrize(
    ("field", "temperature"), [(0.0, "10 K"), (0.5, "10 K"), (2.0, "16.6 K"), (2.0, "300 K")]
)
def test_metastable_free_and_disordered_moments_keep_every_direction(field, temperature):
    """Without a field, against one they can bear, and above T_C, where they follow it."""
    there = device(field, [0, 0, -1], temperature)
    for m in (*np.eye(3), *-np.eye(3)):
        state = region_fields(there.parameters["F"], there.conditions, m).moments
        assert np.isfinite(state.spin)
        assert state.spin > 0
        assert np.isfinite(solve_transport(there, m).interfaces["Pt|F"].flux).all()
