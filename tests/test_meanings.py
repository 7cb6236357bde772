"""What a key means: conductivity, spin diffusion length, polarisation and electrodes."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from femspin import case_from_table, simulate
from femspin.device.observables.warnings import warnings_of
from femspin.fields.hall import THETA_MODES, response_polarised
from femspin.units import SPIN_CURRENT

CO = {
    "kind": "F",
    "conductivity": "4e6 S/m",
    "diffusion_constant": "1e-3 m^2/s",
    "spin_diffusion_length": "5 nm",
    "polarisation": 0.4,
    "spin_hall_angle": 0.05,
}
PT = {
    "kind": "HM",
    "conductivity": "5e6 S/m",
    "diffusion_constant": "5e-4 m^2/s",
    "spin_diffusion_length": "1.5 nm",
    "spin_hall_angle": 0.1,
}


def bilayer(dimension=1, field=(0, 0, 1e5), co=None, **more):
    stack = {
        "dimension": dimension,
        "layers": [{"region": "Co", "thickness": "2 nm"}, {"region": "Pt", "thickness": "4 nm"}],
    }
    if dimension == 2:
        stack |= {"width": "30 nm", "cells_x": 12, "lateral": "insulating"}
    table = {
        "structure": stack,
        "regions": {"Co": {**CO, **(co or {})}, "Pt": PT},
        "magnetization": {"direction": [1, 0, 1]},
        "solver": {"error_bars": False, **more.pop("solver", {})},
        **more,
    }
    if field is not None:
        table["drive"] = {"electric_field": [f"{v} V/m" for v in field]}
    return case_from_table(table)


# ------------------------------------------------------------------------------ equilibrium


@pytest.mark.parametrize("mode", THETA_MODES)
@pytest.mark.parametrize(("dimension", "field"), [(1, (0, 0, 1e5)), (2, (1e5, 0, 0))])
def test_a_field_that_charge_cancels_leaves_no_spin_current(dimension, field, mode):
    """Equilibrium: the electrochemical potential is flat and nothing flows (second law).

    The size to compare with is the spin current P sigma E of the form that does not obey this.
    """
    solution = simulate(bilayer(dimension, field, {"theta_mode": mode}))
    flux = solution.interface("Pt|Co").flux * SPIN_CURRENT
    drift = 0.4 * 4e6 * 1e5
    assert np.abs(flux[1:]).max() < 1e-9 * drift
    paper = bilayer(dimension, field, solver={"polarisation_form": "paper"})
    assert np.abs(simulate(paper).interface("Pt|Co").flux[1:]).max() * SPIN_CURRENT > 1e-6 * drift


polarisations = st.tuples(*[st.floats(-0.55, 0.55)] * 3)
angles = st.tuples(*[st.floats(-2, 2)] * 3)


@given(polarisations, angles, angles, st.lists(st.floats(-1, 1), min_size=9, max_size=9))
@settings(max_examples=50, deadline=None)
def test_polarised_response_is_reciprocal_and_dissipates_in_every_mode(p, hall, larmor, spin_hall):
    """Onsager: Theta(P, theta^0, theta_L)^T = T Theta(-P, -theta^0, -theta_L) T, T odd in spin.

    Dissipation: the symmetric part is positive for all angles.
    """
    theta_c = np.reshape(spin_hall, (3, 3))
    odd = np.kron(np.eye(3), np.diag([1.0, -1.0, -1.0, -1.0]))
    p, hall, larmor = (np.array(v) for v in (p, hall, larmor))
    for mode in THETA_MODES:
        one = response_polarised(p, hall, larmor, theta_c, mode)
        other = response_polarised(-p, -hall, -larmor, theta_c, mode)
        np.testing.assert_allclose(one.T, odd @ other @ odd, atol=1e-11)
        assert np.linalg.eigvalsh(one + one.T).min() > 0


# ---------------------------------------------------------------------------- decay lengths


@pytest.mark.parametrize("form", ["auto", "onsager", "paper"])
@pytest.mark.parametrize("mode", ["exact", "first"])
@pytest.mark.parametrize("P", [0.0, 0.4, 0.76])
def test_spin_decays_over_the_spin_diffusion_length(P, mode, form):
    """A film of thickness d with mu fixed on top has the mean (l/d) tanh(d/l) of it."""
    case = case_from_table(
        {
            "structure": {"layers": [{"region": "Py", "thickness": "12 nm"}]},
            "regions": {
                "Py": {
                    "kind": "HM",
                    "conductivity": "4e6 S/m",
                    "theta_mode": mode,
                    "diffusion_constant": "1e-3 m^2/s",
                    "polarisation": [0, 0, P],
                    "spin_diffusion_length": "5 nm",
                }
            },
            "interfaces": {"top": {"spin_potential": ["0 meV", "0 meV", "1 meV"]}},
            "solver": {"polarisation_form": form, "method": "stack"},
        }
    )
    found = simulate(case, errors=False).table["observables"]["regions"]["Py"]["mean_potential"]
    # the exact potential is averaged as sampled on the nodes of the mesh (order 4: 1e-7)
    assert found[2] == pytest.approx(5 / 12 * np.tanh(12 / 5), rel=1e-6)


def valet_fert(parallel, **electrode):
    """Return the resistance times area of Co|Cu|Co between spin sinks, and of the closed form."""
    beta, rho, length, rho_n, length_n = 0.46, 7.5e-8, 38e-9, 6e-9, 450e-9
    thick, spacer = 400e-9, 20e-9
    F = {
        "kind": "HM",
        "conductivity": f"{1 / (rho * (1 - beta**2))!r} S/m",
        "diffusion_constant": "3e-3 m^2/s",
        "spin_diffusion_length": "38 nm",
    }
    case = case_from_table(
        {
            "structure": {
                "layers": [
                    {"region": "F1", "thickness": "400 nm"},
                    {"region": "N", "thickness": "20 nm"},
                    {"region": "F2", "thickness": "400 nm"},
                ]
            },
            "regions": {
                "F1": {**F, "polarisation": [0, 0, beta]},
                "F2": {**F, "polarisation": [0, 0, beta if parallel else -beta]},
                "N": {
                    "kind": "HM",
                    "conductivity": f"{1 / rho_n!r} S/m",
                    "diffusion_constant": "1e-2 m^2/s",
                    "spin_diffusion_length": "450 nm",
                },
            },
            "drive": {
                "electrodes": {
                    "top": {"voltage": "1 mV", **electrode},
                    "bottom": {"voltage": "0 V", **electrode},
                }
            },
            "solver": {"error_bars": False},
        }
    )
    solution = simulate(case)
    found = 1e-3 / solution.table["electrodes"]["top"]["current"]
    # J = 1, v = (mu_up - mu_dn)/2e: J_s = beta - v'/rho* in F, -v'/rho_N in N; v = A sinh(x/l)
    # from the sink.  About the middle of N, v is odd (parallel) or even (antiparallel).
    a, b = thick / length, spacer / (2 * length_n)
    spread = 1 / np.tanh(b) if parallel else np.tanh(b)
    amplitude = beta / (np.cosh(a) / (rho * length) + np.sinh(a) * spread / (rho_n * length_n))
    half = rho * (1 - beta**2) * thick + beta * amplitude * np.sinh(a)
    return found, 2 * half + rho_n * spacer


@pytest.mark.parametrize("parallel", [True, False])
def test_valet_and_fert_s_multilayer_with_their_spin_diffusion_lengths(parallel):
    """PRB 48, 7099 (1993), bulk asymmetry, ends at spin sinks: closed form of the half stack."""
    found, exact = valet_fert(parallel)
    assert found == pytest.approx(exact, rel=1e-6)


# ----------------------------------------------------------------------------- conductivity


@pytest.mark.parametrize("mode", THETA_MODES)
@pytest.mark.parametrize("other", ["dos", "diffusion_constant"])
@pytest.mark.parametrize("angle", [-0.33, 0.1, 0.8])
def test_a_thick_film_conducts_as_its_conductivity_says(angle, other, mode):
    """In every theta_mode, whatever else is given; the edges change it by theta^2 l/d."""
    value = {"dos": "5e46 1/(J*m^3)", "diffusion_constant": "1e-4 m^2/s"}[other]
    case = case_from_table(
        {
            "structure": {"layers": [{"region": "W", "thickness": "40000 nm"}]},
            "regions": {
                "W": {
                    "kind": "HM",
                    "conductivity": "5e5 S/m",
                    other: value,
                    "spin_diffusion_length": "1.5 nm",
                    "spin_hall_angle": angle,
                    "theta_mode": mode,
                }
            },
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
            "solver": {"method": "stack"},
        }
    )
    table = simulate(case, errors=False).table
    edges = 4 * angle**2 * 1.5 / 40000
    conductivity = table["observables"]["charge"]["longitudinal_conductivity"]
    assert conductivity == pytest.approx(5e5, rel=edges)
    assert table["regions"]["W"]["conductivity"] == pytest.approx(5e5, rel=1e-12)
    drude = 5e5 * (1 + 2 * angle**2 if mode == "exact" else 1)
    assert table["regions"]["W"]["drude_conductivity"] == pytest.approx(drude, rel=1e-12)


def test_conductivity_from_dos_and_diffusion_constant_is_the_drude_one():
    """Sigma_c = 2 e^2 nu D; the measured one stands beside it."""
    region = {k: v for k, v in PT.items() if k != "conductivity"}
    case = case_from_table(
        {
            "structure": {"layers": [{"region": "Pt", "thickness": "4 nm"}]},
            "regions": {"Pt": {**region, "dos": "2e47 1/(J*m^3)"}},
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
            "solver": {"method": "stack"},
        }
    )
    entry = simulate(case, errors=False).table["regions"]["Pt"]
    drude = 2 * 1.602176634e-19**2 * 2e47 * 5e-4
    assert entry["drude_conductivity"] == pytest.approx(drude, rel=1e-12)
    assert entry["conductivity"] == pytest.approx(drude / 1.02, rel=1e-12)


def test_three_of_conductivity_dos_and_diffusion_constant_must_agree_as_measured():
    from femspin.errors import CaseError

    drude = 2 * 1.602176634e-19**2 * 2e47 * 5e-4
    for sigma, fits in ((drude / 1.02, True), (drude, False)):
        table = {
            "structure": {"layers": [{"region": "Pt", "thickness": "4 nm"}]},
            "regions": {"Pt": {**PT, "dos": "2e47 1/(J*m^3)", "conductivity": f"{sigma!r} S/m"}},
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
            "solver": {"method": "stack"},
        }
        if fits:
            simulate(case_from_table(table), errors=False)
        else:
            with pytest.raises(CaseError, match=r"regions\.Pt\.conductivity.*disagree"):
                simulate(case_from_table(table), errors=False)


def test_the_resolved_case_names_the_drude_values_and_reruns_to_the_same_numbers(tmp_path):
    from femspin import load_case

    case = bilayer(field=(1e5, 0, 0))
    solution = simulate(case)
    folder = solution.write(tmp_path / "out")
    text = (folder / "case.toml").read_text()
    assert "Drude conductivity 5100000" in text
    again = simulate(load_case(folder / "case.toml"))
    np.testing.assert_array_equal(again.transport.state.mu, solution.transport.state.mu)


# ------------------------------------------------------------------------------- electrodes


def test_electrodes_on_a_polarised_metal_are_spin_sinks_by_default(tmp_path):
    """Blocked spins add a resistance that Valet and Fert do not have."""
    assert valet_fert(True)[0] == pytest.approx(valet_fert(True, spin="sink")[0], rel=1e-12)
    blocked, exact = valet_fert(True, spin="blocked")
    assert blocked - exact > 0.5e-15
    electrodes = {"top": {"voltage": "1 mV"}, "bottom": {"voltage": "0 V"}}
    case = bilayer(field=None, drive={"electrodes": electrodes})
    solution = simulate(case)
    resolved = solution.device.case.drive.electrodes
    assert {k: e.spin for k, e in resolved.items()} == {"top": "sink", "bottom": "sink"}
    text = (solution.write(tmp_path / "out") / "case.toml").read_text()
    assert 'spin = "sink"' in text
    assert not any("spin: blocked" in w for w in warnings_of(solution.device, solution.transport))


def test_a_blocked_electrode_on_a_polarised_metal_is_warned_of(caplog):
    electrodes = {"top": {"voltage": "1 mV"}, "bottom": {"voltage": "0 V", "spin": "blocked"}}
    with caplog.at_level(logging.WARNING):
        solution = simulate(bilayer(field=None, drive={"electrodes": electrodes}))
    found = warnings_of(solution.device, solution.transport)
    assert any(w.startswith("drive.electrodes.bottom.spin: blocked on the polarised metal Co") for w in found)


def test_electrodes_on_leads_of_a_stack_with_polarised_layers_are_sinks():
    """A cap thinner than its spin diffusion length must not hold back what F injects."""
    layers = [{"region": r, "thickness": "4 nm"} for r in ("Cap", "Co", "Pt")]
    electrodes = {"top": {"voltage": "1 mV"}, "bottom": {"voltage": "0 V"}}
    case = case_from_table(
        {
            "structure": {"layers": layers},
            "drive": {"electrodes": electrodes},
            "regions": {"Cap": {**PT, "spin_hall_angle": 0.0}, "Co": CO, "Pt": PT},
            "solver": {"error_bars": False},
        }
    )
    device = simulate(case).device
    assert {e.spin for e in device.case.drive.electrodes.values()} == {"sink"}


def test_a_blocked_electrode_near_a_polarised_metal_is_warned_of():
    electrodes = {"top": {"voltage": "1 mV", "spin": "blocked"}, "bottom": {"voltage": "0 V"}}
    for thickness, told in (("1 nm", 1), ("9 nm", 0)):
        case = case_from_table(
            {
                "structure": {
                    "layers": [
                        {"region": "Co", "thickness": "2 nm"},
                        {"region": "Pt", "thickness": thickness},
                    ]
                },
                "regions": {"Co": CO, "Pt": PT},
                "drive": {"electrodes": electrodes},
                "solver": {"error_bars": False},
            }
        )
        solution = simulate(case)
        found = [
            w
            for w in warnings_of(solution.device, solution.transport)
            if w.startswith("drive.electrodes.top.spin: blocked")
        ]
        assert len(found) == told


def test_a_current_across_the_layers_has_no_efficiency_and_no_sheet_response():
    """Strays of the Hall effects along the layers drive nothing that torques are quotients of."""
    co = {**CO, "override": {"tau_parallel": "1 ps", "tau_perpendicular": "0.1 ps"}}
    case = case_from_table(
        {
            "structure": {
                "dimension": 2,
                "width": "20 nm",
                "cells_x": 8,
                "lateral": "insulating",
                "layers": [
                    {"region": "Pt", "thickness": "4 nm"},
                    {"region": "Co", "thickness": "2 nm"},
                    {"region": "Cap", "thickness": "4 nm"},
                ],
            },
            "regions": {"Pt": PT, "Co": co, "Cap": {**PT, "spin_hall_angle": 0.0}},
            "magnetization": {"direction": [0.2, 1, 0.1]},
            "drive": {"electrodes": {"top": {"voltage": "1 mV"}, "bottom": {"voltage": "0 V"}}},
            "solver": {"error_bars": False},
        }
    )
    table = simulate(case).table
    for metal in ("Pt", "Cap"):
        row = table["torques"]["Co"][metal]
        assert row["efficiency_damping_like"] is None
        assert "crosses the interface" in row["left_out"]
    assert table["observables"]["charge"] == {}


@pytest.mark.parametrize("mode", ["eq38", "hall"])
def test_a_spin_hall_angle_that_the_mode_leaves_out_is_told(mode):
    """However small: all of its effect is gone."""
    case = bilayer(field=(1e5, 0, 0), co={"theta_mode": mode})
    solution = simulate(case)
    found = warnings_of(solution.device, solution.transport)
    told = f"regions.Co.theta_mode: '{mode}' leaves out the spin Hall angle of 0.05"
    assert any(w.startswith(told) for w in found)


@pytest.mark.parametrize("method", ["auto", "stack"])
def test_a_magnet_whose_torque_is_zero_is_listed(method):
    case = case_from_table(
        {
            "structure": {
                "layers": [{"region": "YIG", "thickness": "3 nm"}, {"region": "Pt", "thickness": "4 nm"}]
            },
            "regions": {"YIG": {"kind": "FI"}, "Pt": {**PT, "spin_hall_angle": 0.0}},
            "interfaces": {"Pt|YIG": {"G_r": "5e14 S/m^2"}},
            "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
            "solver": {"method": method, "error_bars": False},
        }
    )
    torque = simulate(case).table["torques"]["YIG"]
    np.testing.assert_array_equal(torque["torque"], 0.0)
    assert torque["efficiency_damping_like"] == 0.0


@pytest.mark.parametrize("mode", ["exact", "first"])
def test_magnetoresistance_is_relative_to_the_measured_resistivity(mode):
    """Chen: d0 < 0, spin accumulation at the faces lowers the resistance below the bulk's."""
    from femspin.studies.magnetoresistance import charge_response

    case = case_from_table(
        {
            "structure": {"layers": [{"region": "Pt", "thickness": "4 nm"}]},
            "regions": {"Pt": {**PT, "theta_mode": mode}},
            "solver": {"method": "stack"},
        }
    )
    found = charge_response(simulate(case, errors=False).device)
    assert found.nominal == pytest.approx(5e6, rel=1e-12)
    lam = 1.5 / 4
    expected = 0.1**2 * 2 * lam * np.tanh(1 / (2 * lam))  # of the conductivity, first order
    assert found.excess[0, 0] == pytest.approx(expected, rel=0.05)
