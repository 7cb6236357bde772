"""Spin currents through outer faces and into electrodes that sink spin."""

from __future__ import annotations

import numpy as np
import pytest

from femspin import case_from_table, simulate
from femspin.device.build import build_device
from femspin.device.functionals import device_functionals
from femspin.simulation import solve
from femspin.studies.sensitivity.elements import sensitivities
from femspin.studies.sensitivity.layers import solved_stack
from femspin.transport.layers.stack import Insulating, SpinPotential, StackCase, StackLayer, solve_stack
from femspin.units import E_CHARGE

F = {
    "kind": "F",
    "dos": "2e47 1/(J*m^3)",
    "diffusion_constant": "2e-4 m^2/s",
    "kondo": {
        "spin": 2.5,
        "moment_density": "4e27 1/m^3",
        "exchange_energy": "5 meV",
        "curie_temperature": "559 K",
    },
}
PT = {
    "kind": "HM",
    "conductivity": "5e6 S/m",
    "dos": "2e47 1/(J*m^3)",
    "spin_diffusion_length": "1.5 nm",
    "spin_hall_angle": 0.1,
}
POTENTIAL = {"spin_potential": ["0.1 meV", "0.2 meV", "-0.1 meV"]}
FLUX = {"spin_flux": ["1e26 1/(m^2*s)", "-2e26 1/(m^2*s)", "3e26 1/(m^2*s)"]}
ABSORBING = {"G_s": "-2e14 S/m^2", "G_r": "1e14 S/m^2", "G_i": "3e13 S/m^2"}


def table(faces, method="stack", layers=("F", "Pt"), **more) -> dict:
    return {
        "structure": {
            "dimension": 1,
            "layers": [
                {"region": n, "thickness": d} for n, d in (("F", "0.8 nm"), ("Pt", "4 nm")) if n in layers
            ],
        },
        "regions": {n: {"F": F, "Pt": PT}[n] for n in layers},
        "interfaces": faces,
        "magnetization": {"direction": [1, 1, 1]},
        "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
        "solver": {"method": method},
        **more,
    }


@pytest.mark.parametrize("method", ["stack", "direct"])
@pytest.mark.parametrize("side", ["bottom", "top"])
@pytest.mark.parametrize("face", [POTENTIAL, FLUX, ABSORBING], ids=["potential", "flux", "G"])
def test_currents_through_outer_faces_are_reported_like_interfaces(face, side, method):
    solution = simulate(case_from_table(table({side: face}, method)))
    found = solution.table["interfaces"]
    assert set(found) == {"Pt|F", side}
    entry = found[side]
    if face is FLUX:  # particles into the metal
        np.testing.assert_allclose(entry["spin_current"], E_CHARGE * np.array([1e26, -2e26, 3e26]), rtol=1e-9)
    assert np.abs(entry["spin_current"]).max() > 1e6
    assert set(solution.errors["interfaces"][side]) >= {"spin_current"}
    if side == "top":  # of Pt, over which nothing is split
        assert "parts" not in entry
        return
    assert entry["split_over"] == "F"
    size = max(np.abs(v).max() for v in entry["parts"].values())
    np.testing.assert_allclose(entry["sum_of_parts"], entry["spin_current"], rtol=0, atol=1e-9 * size)
    # What enters below and does not leave above stays in F: the same parts, turned.
    for part in ("M_relax", "M_prec", "A", "E"):
        np.testing.assert_allclose(
            entry["parts"][part], -found["Pt|F"]["parts"][part], rtol=0, atol=1e-12 * size
        )
    np.testing.assert_allclose(entry["parts"]["B"], found["Pt|F"]["spin_current"], rtol=0, atol=1e-9 * size)


def test_all_routes_agree_on_the_current_through_an_outer_face():
    case = {
        m: case_from_table(table({"bottom": POTENTIAL, "top": ABSORBING}, m)) for m in ("stack", "direct")
    }
    devices = {m: build_device(c) for m, c in case.items()}
    exact = solved_stack(devices["stack"].case).values
    names = [k for k in exact if k.startswith(("interfaces.bottom", "interfaces.top"))]
    assert any(".parts.M." in k for k in names)
    size = max(abs(exact[k]) for k in names if ".spin_current." in k)
    for method, tolerance in (("stack", 1e-10), ("direct", 1e-5)):
        values = solve(devices[method]).values
        for name in names:
            assert abs(values[name] - exact[name]) < tolerance * size, (method, name)


def test_current_into_a_fixed_potential_is_that_of_the_decaying_spin():
    """It is e J = (sigma / 2 e lambda) tanh(d / lambda) mu into a film that ends insulated."""
    plain = PT | {"spin_hall_angle": 0.0}
    given = table({"bottom": POTENTIAL}, "stack", ("Pt",)) | {"regions": {"Pt": plain}}
    found = simulate(case_from_table(given), errors=False).table["interfaces"]["bottom"]
    mu = np.array([0.1, 0.2, -0.1]) * 1e-3  # in volts
    expected = 5e6 / (2 * 1.5e-9) * np.tanh(4 / 1.5) * mu
    np.testing.assert_allclose(found["spin_current"], expected, rtol=1e-12)


def strip(spin: str) -> dict:
    return {
        "structure": {
            "dimension": 2,
            "width": "20 nm",
            "cells_x": 12,
            "lateral": "insulating",
            "layers": [{"region": "Pt", "thickness": "3 nm", "cells": 8}],
        },
        "regions": {"Pt": PT},
        "interfaces": {"top": FLUX},
        "drive": {
            "electrodes": {
                "left": {"voltage": "1 mV", "spin": spin},
                "right": {"voltage": "0 V", "spin": "blocked"},
            }
        },
    }


def test_spin_that_a_sink_electrode_absorbs_is_reported_with_its_charge():
    solution = simulate(case_from_table(strip("sink")))
    entry = solution.table["interfaces"]["left"]
    assert set(solution.table["interfaces"]) == {"left", "top"}
    assert np.any(np.abs(solution.errors["interfaces"]["left"]["spin_current"]) > 0)
    # Spin comes in above; the sink takes some of it, the rest relaxes.
    assert np.abs(entry["spin_current"]).max() > 1e6
    # Charge into the device per area, as the electrode has it (A/m in two dimensions).
    current = solution.table["electrodes"]["left"]["current"]
    assert entry["charge_current"] == pytest.approx(current / 3e-9, rel=1e-10)
    blocked = simulate(case_from_table(strip("blocked")), errors=False).table
    assert set(blocked["interfaces"]) == {"top"}


def test_derivatives_of_currents_through_outer_faces_by_adjoint_and_tangent_agree():
    device = build_device(case_from_table(table({"bottom": POTENTIAL}, "direct")))
    transport = solve(device).transport
    names = ["interfaces.bottom.spin_current.y", "interfaces.bottom.parts.M.x", "interfaces.bottom.parts.B.z"]
    assert set(names) <= set(device_functionals(device, transport))
    parameters = ["regions.Pt.spin_diffusion_length", "interfaces.bottom.spin_potential.1"]
    found = [
        sensitivities(device, transport, names, parameters, method).derivatives
        for method in ("adjoint", "tangent")
    ]
    assert np.all(found[0] != 0)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_refinement_also_aims_at_outer_faces():
    given = table({"bottom": POTENTIAL}, "direct", ("Pt",))
    given["structure"]["layers"][0]["cells"] = 8
    given["solver"] = {"target_error": 1e-5}
    refined = simulate(case_from_table(given))
    layer = StackLayer(refined.transport.fields["Pt"], 4e-9)
    mu = np.array([0.1, 0.2, -0.1]) * 1e-3 * E_CHARGE
    exact = E_CHARGE * solve_stack(StackCase((layer,), SpinPotential(mu), Insulating())).interface_flux(0)[1:]
    found = refined.table["interfaces"]["bottom"]["spin_current"]
    assert np.abs(found - exact).max() < 3e-5 * np.abs(exact).max()


@pytest.mark.parametrize("moving", ["frequency", "transient"])
def test_outer_faces_are_reported_in_time_too(moving):
    more = {
        "frequency": {"frequency": {"frequency": ["1 GHz", "1 THz"]}},
        "transient": {"transient": {"duration": "1 ps", "output_interval": "0.1 ps"}},
    }
    solution = simulate(case_from_table(table({"bottom": POTENTIAL}, "direct", **more[moving])), errors=False)
    found = solution.table[moving]
    entry = found["0"]["interfaces"] if moving == "frequency" else found["final"]
    assert set(entry) == {"Pt|F", "bottom"}
    assert entry["bottom"]["balance_residual"] < 1e-9


def test_field_files_of_outer_faces_hold_the_reported_currents(tmp_path):
    import meshio

    solution = simulate(case_from_table(strip("sink")), errors=False)
    surface = meshio.read(solution.write(tmp_path / "out") / "interface_left.vtu")
    ends = surface.points[surface.cells[0].data]
    sizes = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    entry = solution.table["interfaces"]["left"]
    for name, value in (("J", entry["spin_current"]), ("J_0", entry["charge_current"])):
        mean = sizes @ surface.cell_data[name][0] / sizes.sum()
        np.testing.assert_allclose(mean, value, rtol=1e-9, atol=1e-9 * np.abs(value).max())
