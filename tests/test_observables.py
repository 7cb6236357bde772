"""Measured numbers of finite-element solutions against closed forms, symmetries and identities."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from reference import CASES, case_table
from test_stack import reference_case

from femspin import build_device, case_from_table, solve
from femspin.case import to_toml
from femspin.cli.main import main
from femspin.device.observables.averages import field_response, region_averages, stack_averages
from femspin.device.observables.losses import bulk_spin_current, spin_memory_loss, spin_transparency
from femspin.device.observables.mesh import discretised_numbers
from femspin.device.observables.torques import torque_efficiencies
from femspin.device.steady import solve_transport
from femspin.errors import CaseError
from femspin.fields.kondo import rotation
from femspin.studies import limits
from femspin.studies.magnetoresistance import (
    angular_scan,
    charge_response,
    hanle_magnetoresistance,
    smr_amplitudes,
)
from femspin.transport.layers.stack import solve_stack
from femspin.units import E_CHARGE, FLUX, HBAR, M_E

REFS = json.loads((Path(__file__).parent / "data/analytic_refs.json").read_text())
DEFAULT_MESH = 1e-6  # what P2 on the graded default mesh promises
X, Y, Z = np.eye(3)


def quantity(value, unit):
    return f"{float(value)!r} {unit}"


def film_table(table, thickness, G_s=0.0, mode="first", **structure):
    """A spin Hall film of a reference problem on an insulating magnet."""
    layers = [
        {"region": "FI", "thickness": "1 nm", "cells": 1},
        {"region": "N", "thickness": quantity(thickness, "m")},
    ]
    regions = {
        "FI": {"kind": "FI"},
        "N": {
            "kind": "HM",
            "conductivity": quantity(1 / table["rho"], "S/m"),
            "diffusion_constant": quantity(table.get("D", 5e-5), "m**2/s"),
            "spin_diffusion_length": quantity(table["lam"], "m"),
            "spin_hall_angle": table["theta"],
            "theta_mode": mode,
        },
    }
    face = {"G_s": quantity(G_s, "S/m**2")}
    face |= {key: quantity(table.get(key[0] + key[2:], 0.0), "S/m**2") for key in ("G_r", "G_i")}
    return {"structure": {"layers": layers, **structure}, "regions": regions, "interfaces": {"N|FI": face}}


def build(table):
    return build_device(case_from_table(table))


def stack_table(layers, faces=None, drive=None, **regions):
    """A line stack of regions given by their tables, from bottom to top."""
    return {
        "structure": {"layers": [{"region": n, "thickness": quantity(t, "m")} for n, t in layers]},
        "regions": regions,
        "interfaces": faces or {},
        "drive": drive or {},
    }


def metal(sigma, length, diffusion=1e-3, kind="HM", **changes):
    return {
        "kind": kind,
        "conductivity": quantity(sigma, "S/m"),
        "diffusion_constant": quantity(diffusion, "m**2/s"),
        "spin_diffusion_length": quantity(length, "m"),
        **changes,
    }


# --------------------------------------------------------------- magnetoresistance


@pytest.mark.parametrize("name", ["A_textbook", "B_Vlietstra2013"])
@pytest.mark.parametrize("d", [1, 3, 35])
def test_finite_elements_give_chens_magnetoresistance(name, d):
    found = smr_amplitudes(build(film_table(REFS["R01"]["params"][name], d * 1e-9)), "leading")
    expected = tuple(REFS["R01"]["values"][name][f"d={d}nm"].values())
    assert_allclose((found.d0, found.d1, found.d2), expected, rtol=DEFAULT_MESH)
    assert found.residual < 1e-12 * abs(found.d1)


def test_finite_elements_give_the_magnetoresistance_of_a_spin_sink():
    table = REFS["R02"]["params"]
    device = build(film_table(table, table["d"], -table["Gs_abs"]))
    found = smr_amplitudes(device, "leading")
    expected = tuple(REFS["R02"]["values"].values())
    assert_allclose((found.d0, found.d1, found.d2), expected, rtol=DEFAULT_MESH)


def test_finite_elements_give_the_hanle_magnetoresistance():
    table, fields = REFS["R03"]["params"], [1, 3, 6, 9, 15]
    found = hanle_magnetoresistance(build(film_table(table, table["d"])), fields, "leading")
    expected = np.array([list(REFS["R03"]["values"][f"B={b}T"].values()) for b in fields])
    assert_allclose(found.longitudinal, expected[:, 0], rtol=DEFAULT_MESH)
    assert_allclose(found.transverse, -expected[:, 1], rtol=DEFAULT_MESH)
    assert np.array_equal(found.field, fields)


def test_exact_resistivity_differs_from_the_leading_order_by_the_fourth():
    table = REFS["R01"]["params"]["A_textbook"]
    device = build(film_table(table, 3e-9, mode="exact"))
    exact, leading = (smr_amplitudes(device, order) for order in ("exact", "leading"))
    # rho/rho_0 - 1 = -x + x^2 with x of order theta^2
    assert_allclose(exact.d0 - leading.d0, leading.d0**2, rtol=0.02)
    assert exact.residual < abs(exact.d0 * exact.d1)


def test_film_without_spin_hall_effect_has_no_magnetoresistance():
    table = REFS["R02"]["params"] | {"theta": 0.0}
    found = smr_amplitudes(build(film_table(table, 5e-9, mode="exact")))
    assert (found.d0, found.d1, found.d2, found.residual) == (0, 0, 0, 0)
    assert_allclose(found.resistivity, table["rho"], rtol=1e-12)


def test_scans_in_three_planes_follow_the_amplitudes():
    """rho_L is even in m and rho_T has an even and an odd part."""
    table = REFS["R02"]["params"]
    device = build(film_table(table, table["d"], -table["Gs_abs"]))
    a = smr_amplitudes(device, "leading")
    angles = np.linspace(0.1, 0.1 + np.pi, 4)
    for plane in ("xy", "yz", "xz"):
        scan = angular_scan(device, plane, angles, order="leading")
        m = scan.directions
        assert_allclose(m[0], -m[-1], atol=1e-15)
        longitudinal = a.d0 + a.d1 * (1 - m[:, 1] ** 2)
        transverse = a.d1 * m[:, 0] * m[:, 1] + a.d2 * m[:, 2]
        assert_allclose(scan.longitudinal, longitudinal, rtol=0, atol=1e-14)
        assert_allclose(scan.transverse, transverse, rtol=0, atol=1e-14)


def paramagnet():
    moments = {"spin": 3.5, "moment_density": "1e28 1/m**3", "exchange_energy": "2 meV"}
    pt = metal(2e6, 2e-9, diffusion=5e-5, spin_hall_angle=0.08)
    f = {"kind": "F", "dos": "5e46 1/(J*m**3)", "diffusion_constant": "2e-4 m**2/s", "kondo": moments}
    drive = {"temperature": "10 K", "magnetic_field": ["0 T", "0 T", "3 T"]}
    return stack_table([("F", 4e-10), ("Pt", 4e-9)], drive=drive, F=f, Pt=pt)


def test_paramagnet_follows_the_field_and_not_the_magnetization():
    """Above its ordering temperature only a rotating field changes the resistivity."""
    device = build(paramagnet())
    still = angular_scan(device, "yz", [0.0, 1.0, 2.0])
    assert np.ptp(still.longitudinal) == np.ptp(still.transverse) == 0
    turning = smr_amplitudes(device, rotate="B")
    assert turning.d1 > 100 * turning.residual
    scan = angular_scan(device, "yz", [0.0, np.pi / 2], rotate="B")
    assert_allclose(np.diff(scan.longitudinal), turning.d1, rtol=0.01)
    weaker = angular_scan(device, "yz", [0.0, np.pi / 2], rotate="B", size=1.0)
    assert 0 < np.diff(weaker.longitudinal)[0] < 0.5 * turning.d1


# --------------------------------------------------------------- symmetries


def anisotropic_table(mode="exact"):
    """Rashba, Dresselhaus, strain, exchange along m, all Hall angles."""
    f = {
        "kind": "F",
        "dos": "5e46 1/(J*m**3)",
        "diffusion_constant": "2e-4 m**2/s",
        "mass": "1 m_e",
        "scattering_time": "4 fs",
        "theta_mode": mode,
        "soc": {
            "rashba": "2e4 m/s",
            "dresselhaus": "1e4 m/s",
            "strain_coupling": "2e4 m/s",
            "strain": [[0, 0.3, 0.2], [0.3, 0, 0.4], [0.2, 0.4, 0]],
        },
        "kondo": {
            "spin": 2.5,
            "moment_density": "1e28 1/m**3",
            "exchange_energy": "5 meV",
            "curie_temperature": "200 K",
        },
    }
    pt = metal(
        2e6, 2e-9, diffusion=5e-5, spin_hall_angle=0.1, mass="1 m_e", scattering_time="4 fs", theta_mode=mode
    )
    drive = {"temperature": "50 K", "electric_field": ["2e4 V/m", "1e4 V/m", "0 V/m"]}
    return stack_table([("F", 1e-9), ("Pt", 5e-9)], drive=drive, F=f, Pt=pt)


@pytest.mark.parametrize("mode", ["exact", "first"])
def test_resistivity_obeys_onsager(mode):
    """rho_xy(m, B) = rho_yx(-m, -B), for any spin-orbit coupling."""
    device = build(anisotropic_table(mode))
    m, b = np.array([0.48, -0.6, 0.64]), np.array([1.0, -5.0, 8.0])
    forward, reversed_ = charge_response(device, m, b), charge_response(device, -m, -b)
    off = abs(forward.excess[0, 1])
    assert abs(forward.excess[0, 1] - forward.excess[1, 0]) > 1e-3 * off  # not symmetric itself
    assert_allclose(forward.resistivity, reversed_.resistivity.T, rtol=1e-9)
    assert_allclose(forward.excess, reversed_.excess.T, rtol=0, atol=1e-6 * off)


def test_only_odd_part_of_the_transverse_resistivity_is_antisymmetric():
    table = REFS["R02"]["params"]
    device = build(film_table(table, table["d"]))
    up, down = (charge_response(device, m).change("leading") for m in (Z, -Z))
    assert_allclose(up[0, 1], -up[1, 0], rtol=1e-10)
    assert_allclose(up[1, 0], -down[1, 0], rtol=1e-10)
    assert_allclose(up[0, 0], down[0, 0], rtol=1e-12)
    tilted = charge_response(device, X + Y).change("leading")
    assert_allclose(tilted[0, 1], tilted[1, 0], rtol=1e-10)


def test_response_does_not_depend_on_sources_other_than_the_field():
    table = anisotropic_table()
    plain = charge_response(build(table))
    table["interfaces"]["top"] = {"spin_flux": ["1e28 1/(m**2*s)", "-2e28 1/(m**2*s)", "1e28 1/(m**2*s)"]}
    table["regions"]["F"]["override"] = {"electric_field": ["0 V/m", "0 V/m", "0 V/m"]}
    driven = charge_response(build(table))
    scale = np.abs(plain.excess).max()
    assert_allclose(driven.excess, plain.excess, rtol=0, atol=1e-9 * scale)


def test_response_of_the_whole_is_that_of_regions_in_parallel():
    found = charge_response(build(anisotropic_table()))
    sheet = sum(r.sheet_conductance for r in found.regions.values())
    assert_allclose(found.sheet_conductance, sheet, rtol=1e-13)
    assert_allclose(found.resistivity @ found.conductivity, np.eye(2), atol=1e-15)
    assert_allclose(found.thickness, 6e-9, rtol=1e-12)
    change = found.resistivity * found.nominal - np.eye(2)
    assert_allclose(found.change(), change, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("direction", "plane"), [(0.0, "xz"), (0.3, "xz"), (0.3, "yz")])
def test_noncollinear_exchange_shifts_the_anomalous_hall_effect(direction, plane):
    """sigma_yx of F is sigma P theta_C (R^T m)_z: shifted in angle by the rotation R.

    P is the published polarisation, theta_C raw: of the opposite sign to a published angle.
    """
    table = anisotropic_table("first")
    phi = direction * np.array([0.6, 0.8, 0.0])
    f = table["regions"]["F"]
    f |= {"polarisation": 0.3, "soc": {"rashba": "2e4 m/s"}}
    f["kondo"]["rotation"] = phi.tolist()
    f["override"] = {
        "gauge": [["0 1/m"] * 3] * 3,
        "larmor_angles": [0, 0, 0],
        "spin_hall_angles": [[0, 0, 0], [0, 0, 0], [0, 0, 0.03]],
    }
    device = build(table)
    scan = angular_scan(device, plane, np.linspace(0, 2 * np.pi, 7))
    parts, drude = [r.regions["F"] for r in scan.responses], device.fields(Z)["F"].conductivity
    hall = [part.excess[1, 0] * part.nominal / drude for part in parts]
    expected = 0.3 * 0.03 * (scan.directions @ rotation(phi))[:, 2]
    assert_allclose(hall, expected, rtol=0, atol=1e-12)


# --------------------------------------------------------------- averages and densities


@pytest.mark.parametrize("name", ["C02", "C06", "C07", "C15b"])
def test_finite_element_averages_are_those_of_the_exact_solver(name):
    exact = {a.name: a for a in stack_averages(solve_stack(reference_case(name)))}
    device = build(case_table(CASES[name]))
    found = region_averages(device, solve_transport(device, device.direction))
    assert {a.name for a in found} == set(exact)
    scale = max(np.abs(a.flux).max() for a in exact.values())
    for average in found:
        other = exact[average.name]
        assert_allclose(average.thickness, other.thickness, rtol=1e-12)
        size = np.abs(other.mu).max()
        assert_allclose(average.mu[1:], other.mu[1:], rtol=0, atol=DEFAULT_MESH * size)
        assert_allclose(average.flux, other.flux, rtol=0, atol=DEFAULT_MESH * scale)
        excess = average.charge_current - average.fields.conductivity * average.prescribed_field
        size = np.abs(average.charge_current).max() or 1.0
        assert_allclose(average.excess_current, excess, rtol=0, atol=1e-12 * size)


@pytest.mark.parametrize(
    "structure",
    [
        {"dimension": 2, "cell": "quad", "width": "7 nm", "cells_x": 2},
        {"dimension": 3, "cell": "hex", "width": "7 nm", "depth": "5 nm"},
    ],
)
def test_averages_do_not_depend_on_the_dimension_of_a_stack(structure):
    table = anisotropic_table()
    for layer in table["structure"]["layers"]:
        layer["cells"] = 6
    line = build(table)
    table["structure"] |= structure
    other = build(table)
    pairs = zip(*(region_averages(d, solve_transport(d, Z)) for d in (line, other)), strict=True)
    for a, b in pairs:
        assert_allclose(b.thickness, a.thickness, rtol=1e-12)
        assert_allclose(b.flux, a.flux, rtol=0, atol=1e-9 * np.abs(a.flux).max())
        assert_allclose(b.mu[1:], a.mu[1:], rtol=0, atol=1e-9 * np.abs(a.mu).max())


def test_edelstein_density_per_area_is_exact():
    """N^y = 2 alpha tau nu q E_x, uniform; the field lies between x and y."""
    alpha, tau, dos = 15192.67449, 4e-15, 5e46
    f = {
        "kind": "F",
        "dos": quantity(dos, "1/(J*m**3)"),
        "diffusion_constant": "2e-4 m**2/s",
        "mass": quantity(M_E, "kg"),
        "scattering_time": quantity(tau, "s"),
        "soc": {"rashba": quantity(alpha, "m/s")},
    }
    drive = {"electric_field": ["3e4 V/m", "-4e4 V/m", "0 V/m"]}
    solution = solve(build(stack_table([("F", 2e-9)], drive=drive, F=f)))
    along = limits.edelstein_density(alpha, tau, dos, 3e4)
    across = limits.edelstein_density(alpha, tau, dos, 4e4)
    entry = solution.table["observables"]["regions"]["F"]
    expected = np.array([across, along, 0.0])
    assert_allclose(entry["spin_density"], expected, rtol=0, atol=1e-11 * np.abs(across))
    assert_allclose(entry["areal_spin_density"], 2e-9 * entry["spin_density"], rtol=1e-12)


def test_edelstein_density_of_a_two_dimensional_gas():
    table = REFS["R14"]["params"]
    mass = table["mstar_over_me"] * M_E
    dos = mass / (2 * np.pi * HBAR**2) / 3e-9
    f = {
        "kind": "F",
        "dos": quantity(dos, "1/(J*m**3)"),
        "diffusion_constant": "1e-2 m**2/s",
        "mass": quantity(mass, "kg"),
        "scattering_time": quantity(table["tau"], "s"),
        "soc": {"rashba": quantity(table["alpha_velocity"], "m/s")},
    }
    drive = {"electric_field": [quantity(table["E"], "V/m"), "0 V/m", "0 V/m"]}
    device = build(stack_table([("F", 3e-9)], drive=drive, F=f))
    (average,) = region_averages(device, solve_transport(device, Z))
    expected = -2 * REFS["R14"]["values"]["S_over_hbar_per_m2"]  # S = N/2, electrons
    assert_allclose(average.areal_density[1], expected, rtol=1e-8)


def test_helix_winds_with_the_gauge_field_and_decays_without_it():
    table = REFS["R10"]["params"]
    gauge = [["0 1/m"] * 3, ["0 1/m"] * 3, ["0 1/m", quantity(table["phi_per_m"], "1/m"), "0 1/m"]]
    f = metal(1e6, table["lam"], kind="F", override={"gauge": gauge})
    faces = {"bottom": {"spin_potential": ["0 meV", "0 meV", "1 meV"]}}
    case = stack_table([("F", table["L"])], faces, F=f)
    case["structure"]["growth"] = 1.0  # a helix is no finer at the faces than in the middle
    device = build(case)
    state = solve_transport(device, Z).state
    z = (device.space.locations[-1] - device.space.locations[-1].min()) * 1e-9
    exact = limits.pure_gauge_helix(z, table["lam"], table["L"], table["phi_per_m"])
    assert_allclose(state.mu[:, 1:], exact, rtol=0, atol=DEFAULT_MESH)


def test_field_response_is_the_response_along_the_given_field():
    device = build(anisotropic_table())
    transport = solve_transport(device, Z)
    averages = region_averages(device, transport)
    found, tensor = field_response(averages), charge_response(device, Z)
    e = np.array([2.0, 1.0]) / np.sqrt(5)
    assert_allclose(found.longitudinal, e @ tensor.conductivity @ e, rtol=1e-10)
    across = np.array([-e[1], e[0]]) @ tensor.conductivity @ e
    assert_allclose(found.transverse, across, rtol=0, atol=1e-9 * found.longitudinal)
    assert_allclose(found.sheet, found.longitudinal * 6e-9, rtol=1e-10)
    assert_allclose(found.field, [2e4, 1e4], rtol=1e-12)


def test_electrodes_measure_the_same_sheet_conductance():
    """A bar between contacts: mean field and mean current give the conductivity back."""
    table = stack_table(
        [("N", 4e-9)],
        drive={"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}}},
        N=metal(3e6, 2e-9),
    )
    table["structure"] |= {"dimension": 2, "width": "50 nm", "cells_x": 4, "lateral": "insulating"}
    device = build(table)
    (average,) = region_averages(device, solve_transport(device, Z))
    assert_allclose(average.electric_field, [1e-3 / 50e-9, 0, 0], rtol=1e-9, atol=1e-6)
    assert_allclose(field_response([average]).sheet, 3e6 * 4e-9, rtol=1e-9)


# --------------------------------------------------------------- interfaces


@pytest.mark.parametrize("t", ["1", "3.4", "10"])
def test_finite_elements_give_the_spin_memory_loss_of_an_interface_layer(t):
    table, expected = REFS["R05"]["params"], REFS["R05"]["values"][f"t={t}nm"]
    lossy = metal(1e-9 / table["rb_Ohm_m2"], 1e-9 / table["delta"])
    film = metal(1 / table["rho_N"], table["lsf"])
    faces = {"bottom": {"spin_flux": ["0 1/(m**2*s)", "1e28 1/(m**2*s)", "0 1/(m**2*s)"]}}
    layers = [("I", 1e-9), ("N", float(t) * 1e-9)]
    device = build(stack_table(layers, faces, I=lossy, N=film))
    transport = solve_transport(device, Z)
    assert_allclose(transport.interfaces["N|I"].flux[2] * FLUX / 1e28, expected["R_SML"], rtol=DEFAULT_MESH)
    carried = region_averages(device, transport)[1]
    assert carried.name == "N"
    share = carried.flux[2, 2] * carried.thickness / (1e28 * table["lsf"])
    assert_allclose(share, expected["ISHE_factor"], rtol=DEFAULT_MESH)


def sink_table(delta, length=2e-9, **f):
    """A layer F of thickness delta times its length between a spin Hall metal and a sink."""
    layers = [("FI", 1e-9), ("F", delta * length), ("N", 5e-9)]
    drive = {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]}
    faces = {"F|FI": {"spin_potential": ["0 meV"] * 3}}
    n = metal(3e6, 1.5e-9, spin_hall_angle=0.08, theta_mode="first")
    return stack_table(layers, faces, drive, FI={"kind": "FI"}, F=metal(1e6, length, kind="F", **f), N=n)


@pytest.mark.parametrize("delta", [0.1, 0.9, 3.0])
def test_loss_before_a_perfect_sink_measures_delta(delta):
    device = build(sink_table(delta))
    loss = spin_memory_loss(device, solve_transport(device, Z), "N|F")
    assert_allclose(loss.lost, limits.layer_loss(delta), rtol=DEFAULT_MESH)
    assert_allclose(loss.delta, delta, rtol=DEFAULT_MESH)
    assert loss.incoming[1] != 0


def test_all_spin_reaches_the_moments_where_nothing_else_relaxes_it():
    tau = {"tau_parallel": "0.1 ps", "tau_perpendicular": "0.05 ps"}
    device = build(sink_table(0.5, override=tau))
    loss = spin_memory_loss(device, solve_transport(device, Z), "N|F")
    with_lattice = loss.lost
    table = sink_table(0.5, override=tau)
    del table["regions"]["F"]["spin_diffusion_length"]
    device = build(table)
    loss = spin_memory_loss(device, solve_transport(device, Z), "N|F")
    assert abs(loss.lost) < 1e-10
    assert 0.01 < with_lattice < 1
    assert_allclose(loss.absorbed, loss.incoming, rtol=0, atol=1e-10 * np.abs(loss.incoming).max())


def test_everything_is_lost_without_moments_or_a_magnet():
    table = sink_table(0.5)
    del table["interfaces"]["F|FI"]
    device = build(table)
    loss = spin_memory_loss(device, solve_transport(device, Z), "N|F")
    assert (loss.lost, loss.delta) == (1.0, None)
    still = build(table | {"drive": {}})
    nothing = spin_memory_loss(still, solve_transport(still, Z), "N|F")
    assert (nothing.lost, nothing.delta) == (None, None)
    with pytest.raises(ValueError, match="nothing is split there"):
        spin_memory_loss(device, solve_transport(device, Z), "F|FI")


def test_replaced_layer_loses_what_the_resolved_one_does():
    table = anisotropic_table()
    table["interfaces"]["bottom"] = {"G_s": "-1e13 S/m**2", "G_r": "1e14 S/m**2"}
    resolved = build(table)
    table["regions"]["F"]["model"] = "exact"
    replaced = build(table)
    m = np.array([0.6, 0.0, 0.8])
    loss, other = (spin_memory_loss(d, solve_transport(d, m), "Pt|F") for d in (resolved, replaced))
    # Without a magnet below, what leaves F downwards is no torque on moments.
    size = np.abs(loss.incoming).max()
    assert_allclose(other.incoming, loss.incoming, rtol=0, atol=DEFAULT_MESH * size)
    assert_allclose(other.absorbed, loss.absorbed, rtol=0, atol=DEFAULT_MESH * size)
    name = "observables.interfaces.Pt|F.spin_memory_loss"
    assert_allclose(solve(replaced).values[name], solve(resolved).values[name], rtol=1e-4)


@pytest.mark.parametrize("d", [1e-9, 4e-9])
def test_transparency_of_a_film_on_a_perfect_sink(d):
    """1 - 1/cosh(d/lambda) of the bulk spin Hall current arrives."""
    n = metal(3e6, 1.5e-9, spin_hall_angle=0.08, theta_mode="first")
    faces = {"N|FI": {"spin_potential": ["0 meV"] * 3}}
    drive = {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]}
    table = stack_table([("FI", 1e-9), ("N", d)], faces, drive, FI={"kind": "FI"}, N=n)
    device = build(table)
    transport = solve_transport(device, Z)
    (average,) = region_averages(device, transport)
    current = average.charge_current
    bulk = bulk_spin_current(average.fields, current)
    assert_allclose(bulk, [0, 0.08 * current[0], 0], rtol=0, atol=1e-10 * abs(bulk[1]))
    arrived = spin_transparency(device, transport, "N|FI") * current[0] / (3e6 * 1e5)
    assert_allclose(arrived, 1 - 1 / np.cosh(d / 1.5e-9), rtol=DEFAULT_MESH)


@pytest.mark.parametrize("mode", ["exact", "first"])
def test_bulk_spin_current_is_the_spin_hall_angle_times_the_current(mode):
    """-Theta_SH is J^{zy} / J^{x0} without gradients; particles carry -e."""
    table = film_table(REFS["R01"]["params"]["A_textbook"], 3e-9, mode=mode)
    fields = build(table).fields(Z)["N"]
    found = bulk_spin_current(fields, np.array([2e10, 1e10, 0.0]))
    angle = REFS["R01"]["params"]["A_textbook"]["theta"]
    assert_allclose(found, angle * np.array([-1e10, 2e10, 0.0]), rtol=1e-12, atol=1e-3)


def test_two_channel_interface_between_electrodes_is_valet_and_ferts():
    """Onsager polarisation along z, driven by a voltage; the interface is a thin layer."""
    table, expected = REFS["R06"]["params"], REFS["R06"]["values"]
    beta, gamma, thin = table["beta"], table["gamma"], 1e-9
    f = metal(1 / (table["rhoF_star"] * (1 - beta**2)), table["lF"], kind="F", polarisation=[0, 0, beta])
    i = metal(thin / (table["rb_star"] * (1 - gamma**2)), 1.0, kind="F", polarisation=[0, 0, gamma])
    del i["spin_diffusion_length"]
    n = metal(1 / table["rhoN"], table["lN"])
    electrodes = {"bottom": {"voltage": "1 mV", "spin": "sink"}, "top": {"voltage": "0 V", "spin": "sink"}}
    layers = [("F", 18 * table["lF"]), ("I", thin), ("N", 18 * table["lN"])]
    device = build(stack_table(layers, drive={"electrodes": electrodes}, F=f, I=i, N=n))
    transport = solve_transport(device, Z)
    for name in ("I|F", "N|I"):
        flux = transport.interfaces[name].flux
        assert_allclose(-flux[3] / flux[0], expected["P_J"], rtol=DEFAULT_MESH)  # of the moments


@pytest.mark.parametrize("b", [0, 0.05, 0.2])
def test_finite_elements_give_the_nonlocal_hanle_curve(b):
    table = REFS["R07"]["params"]
    wire = metal(1e7, table["lam"], diffusion=table["D"])
    faces = {"bottom": {"spin_flux": ["1e26 1/(m**2*s)", "0 1/(m**2*s)", "0 1/(m**2*s)"]}}
    drive = {"magnetic_field": ["0 T", "0 T", quantity(b, "T")]}
    length = table["lam"]
    layers = [("A", table["L"]), ("B", 18 * length)]
    device = build(stack_table(layers, faces, drive, A=wire, B=wire))
    transport = solve_transport(device, Z)
    z = device.space.locations[-1]
    at = np.argmin(np.abs(z - z.min() - table["L"] * 1e9))
    fields = transport.fields["A"]
    unit = 1e26 * length / (fields.dos * fields.diffusion)
    found = transport.state.mu[at, 1] * 1e-3 * E_CHARGE / unit
    expected = REFS["R07"]["values"][f"B={b}T"]
    assert_allclose(found, expected, rtol=0, atol=DEFAULT_MESH)


@pytest.mark.parametrize("ratio", [0.1, 1, 5])
def test_flux_into_a_thin_layer_is_reduced_by_tanh(ratio):
    f = metal(2e6, 3e-9, kind="F")
    faces = {"top": {"spin_potential": ["1 meV", "0 meV", "0 meV"]}}
    device = build(stack_table([("F", ratio * 3e-9)], faces, F=f))
    (average,) = region_averages(device, solve_transport(device, Z))
    expected = REFS["R13"]["values"][f"ellF/ell={ratio}"]["Nbar_noflux"]
    mean = average.mu[1] / (1e-3 * E_CHARGE) * ratio
    assert_allclose(mean, expected, rtol=DEFAULT_MESH)


# --------------------------------------------------------------- torque, table, command


def test_efficiency_per_field_is_that_per_current_times_the_conductivity():
    device = build(
        sink_table(
            0.5,
            override={
                "tau_parallel": "0.1 ps",
                "tau_perpendicular": "0.05 ps",
                "omega": ["0 1/s", "0 1/s", "2e13 1/s"],
            },
        )
    )
    transport = solve_transport(device, Z)
    found = {t.magnet: t for t in torque_efficiencies(device, transport)}["F"]
    average = {a.name: a for a in region_averages(device, transport)}[found.metal]
    current, field = (np.linalg.norm(v) for v in (average.charge_current, average.electric_field))
    assert found.metal == "N"
    per_field, per_current = (
        np.hypot(xi.damping_like, xi.field_like) for xi in (found.per_field, found.per_current)
    )
    assert_allclose(per_field, per_current * current / field, rtol=1e-12)
    # Current and field are parallel up to the transverse magnetoresistance.
    assert_allclose(found.per_field.damping_like, found.per_current.damping_like * current / field, rtol=1e-5)


def test_result_holds_every_observable_and_they_can_be_expected():
    device = build(anisotropic_table())
    solution = solve(device)
    table = solution.table["observables"]
    direct = discretised_numbers(device, solution.transport)["observables"]
    for key in ("spin_transparency", "spin_memory_loss", "equivalent_delta"):
        assert table["interfaces"]["Pt|F"][key] == direct["interfaces"]["Pt|F"][key]
    assert 0 < table["interfaces"]["Pt|F"]["spin_transparency"] < 1
    assert set(table) == {"torque_efficiency", "interfaces", "charge", "regions"}
    for name in (
        "observables.torque_efficiency.F.damping_like_per_field",
        "observables.interfaces.Pt|F.spin_memory_loss",
        "observables.charge.sheet_conductance",
        "observables.regions.F.charge.transverse_conductivity",
        "observables.regions.F.areal_spin_density.y",
        "observables.regions.F.spin_swapping.swap",
    ):
        assert np.isfinite(solution.values[name])


def test_observables_of_a_case_without_a_drive_are_zero_or_absent():
    table = anisotropic_table() | {"drive": {}}
    found = solve(build(table)).table["observables"]
    assert found["charge"] == {}
    assert found["interfaces"]["Pt|F"]["spin_memory_loss"] is None
    assert found["interfaces"]["Pt|F"]["spin_transparency"] is None


def test_bad_requests_are_refused():
    device = build(anisotropic_table())
    with pytest.raises(ValueError, match="plane must be one of xy, yz, xz"):
        angular_scan(device, "zx", [0.0])
    with pytest.raises(ValueError, match="rotate must be m or B"):
        smr_amplitudes(device, rotate="E")  # type: ignore[arg-type]
    with pytest.raises(CaseError, match=r"drive\.magnetic_field: a field that rotates"):
        smr_amplitudes(device, rotate="B")
    with pytest.raises(ValueError, match="must not be zero"):
        charge_response(device, np.zeros(3))
    table = anisotropic_table()
    table["drive"] = {"electrodes": {"bottom": {"voltage": "1 mV"}, "top": {"voltage": "0 V"}}}
    with pytest.raises(CaseError, match=r"drive\.electrodes: resistivities are the response"):
        charge_response(build(table))


def test_smr_command_prints_amplitudes_and_scans(tmp_path, capsys):
    file = tmp_path / "film.toml"
    table = REFS["R01"]["params"]["A_textbook"]
    file.write_text(to_toml(film_table(table, 3e-9) | {"title": "a film"}))
    assert main(["smr", str(file), "--angles", "4"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a film\nrho = 8.600000e-07 Ohm m")
    assert re.search(r"^d1 = [34]\.\d{6}e-04$", out, re.MULTILINE)
    assert out.count("plane") == 3
    assert main(["smr", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scans"] == {}
    assert found["amplitudes"]["d1"] == pytest.approx(4.01e-4, rel=0.01)
    assert main(["smr", str(file), "--rotate", "B"]) == 2
    assert "a field that rotates must not be zero" in capsys.readouterr().err
    assert main(["smr", str(file), "--angles", "-1"]) == 2
    assert "must be 0 or more" in capsys.readouterr().err
