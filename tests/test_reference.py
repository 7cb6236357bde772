"""Finite elements against an independent program, through case files."""

from __future__ import annotations

import numpy as np
import pytest
from marks import slow
from reference import CASES, PAPER, STEADY, case_table, largest_part

from femspin import build_device, case_from_table, load_case, solve
from femspin.case import to_toml
from femspin.units import ENERGY, FLUX, LENGTH

PARTS = ("M_relax", "M_prec", "M", "L_diag", "L_anti", "L", "S", "A", "E", "B")


def run(table):
    return solve(build_device(case_from_table(table)))


def potentials(solution, z):
    """Return mu [J] at the reference heights that are mesh nodes, and which these are."""
    space = solution.device.space
    height = space.locations[-1] - space.locations[-1].max() + z[-1] / LENGTH
    nearest = np.abs(height[:, None] - z / LENGTH).argmin(axis=0)
    hit = np.abs(height[nearest] - z / LENGTH) < 1e-6
    return solution.transport.state.mu[nearest] * ENERGY, hit


@pytest.mark.parametrize("name", STEADY)
def test_case_file_reproduces_the_reference_to_1e_6_with_the_default_mesh(name, tmp_path):
    """P2 on the graded default mesh: mu, every part and the total, relative to the largest."""
    case, file = CASES[name], tmp_path / "case.toml"
    file.write_text(to_toml(case_table(case)))
    solution = solve(build_device(load_case(file)))
    expected = case["outputs"]
    mu, hit = potentials(solution, np.array(expected["z"]))
    reference = np.array(expected["mu_J"])
    assert hit[0]
    assert hit[-1]
    scale = np.abs(reference).max()
    np.testing.assert_allclose(mu[hit], reference[hit], rtol=0, atol=1e-6 * scale)
    if "decomposition" in expected and "HM" in solution.device.conductors:
        split, currents = expected["decomposition"], solution.interface("HM|F")
        scale = largest_part(split)
        for part in PARTS:
            np.testing.assert_allclose(
                currents.parts[part] * FLUX, split[part], rtol=0, atol=1e-6 * scale, err_msg=part
            )
        np.testing.assert_allclose(currents.flux[1:] * FLUX, split["Jz_top"], rtol=0, atol=1e-6 * scale)
        assert currents.balance < 1e-10


@pytest.mark.parametrize("name", ["C02", "C06", "C07", "C08", "C17"])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("cells", [7, 40])
def test_parts_add_up_to_the_flux_on_any_mesh(name, order, cells):
    """The sum rule is an identity of the discrete system, not a limit."""
    table = case_table(CASES[name])
    table["solver"] = {"order": order}
    for layer in table["structure"]["layers"]:
        layer["cells"] = cells
    assert run(table).transport.balance < 1e-12


@pytest.mark.parametrize("mode", ["exact", "first", "eq38", "hall"])
@pytest.mark.parametrize("cell", ["tri", "quad", "tet", "hex"])
@pytest.mark.parametrize("drive", [slow("field"), "electrodes"])
def test_parts_add_up_for_every_element_and_theta_mode(mode, cell, drive):
    """Free sides and a driven current: the solution varies laterally and the sum still holds."""
    table = case_table(CASES["C06"])
    table["structure"] |= {"cell": cell, "lateral": "insulating", "width": "3 nm", "cells_x": 3}
    table["structure"]["dimension"] = 2
    if cell in ("tet", "hex"):
        table["structure"] |= {"dimension": 3, "depth": "2 nm", "cells_y": 2}
    table["regions"]["F"]["theta_mode"] = mode
    for region in table["regions"].values():
        region["override"]["electric_field"] = ["0 V/m", "1e5 V/m", "2e4 V/m"]
        if drive == "electrodes":
            del region["override"]["electric_field"]
    if drive == "electrodes":
        table["drive"] = {"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}}}
    for layer in table["structure"]["layers"]:
        layer["cells"] = 4
    solution = run(table)
    assert np.abs(solution.interface("HM|F").parts["L"]).max() > 0
    assert solution.transport.balance < 1e-11


def currents_of(table, **structure):
    table["structure"] |= structure
    for layer in table["structure"]["layers"]:
        layer["cells"] = 10
    i = run(table).interface("HM|F")
    return np.concatenate([*i.parts.values(), i.flux[1:]])


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "structure",
    [
        {"dimension": 2, "cell": "quad", "width": "7 nm", "cells_x": 2},
        {"dimension": 3, "cell": "hex", "width": "7 nm", "depth": "5 nm", "cells_x": 2, "cells_y": 3},
    ],
)
def test_line_quad_and_hex_stacks_give_the_same_currents(structure, order):
    """Tensor-product elements contain the one-dimensional solution exactly."""
    table = case_table(CASES["C06"]) | {"solver": PAPER | {"order": order}}
    line = currents_of(table)
    table = case_table(CASES["C06"]) | {"solver": PAPER | {"order": order}}
    other = currents_of(table, **structure)
    np.testing.assert_allclose(other, line, rtol=0, atol=1e-9 * np.abs(line).max())


@pytest.mark.parametrize(
    ("cell", "order", "expected"), [("tri", 1, 2), ("tri", 2, 4), ("tet", 1, 2), ("tet", 2, 4)]
)
def test_currents_on_simplices_converge_at_twice_the_order(cell, order, expected):
    """P1 currents converge as h^2, P2 as h^4, against the reference."""
    case = CASES["C06"]
    split = case["outputs"]["decomposition"]
    errors = []
    for refine in (1, 2):
        table = case_table(case) | {"solver": PAPER | {"order": order}}
        table["structure"] |= {"dimension": 2, "cell": cell, "width": "2 nm", "cells_x": 2 * refine}
        if cell == "tet":
            table["structure"] |= {"dimension": 3, "depth": "2 nm", "cells_y": 2 * refine}
        for layer, cells in zip(table["structure"]["layers"], (3, 9), strict=True):
            layer["cells"] = cells * refine
        flux = run(table).interface("HM|F").flux[1:] * FLUX
        errors.append(np.abs(flux - split["Jz_top"]).max())
    assert np.log2(errors[0] / errors[1]) > expected - 0.35


def test_uniform_edelstein_density_without_a_gradient():
    """N^y = 2 alpha tau nu q E_x needs the factor 1/2 in the curvature spin Hall angle (E9)."""
    case = CASES["C14"]
    solution = run(case_table(case))
    dos = solution.transport.fields["F"].dos
    density = dos * solution.transport.state.mu[:, 2] * ENERGY
    np.testing.assert_allclose(density, case["outputs"]["N2_edelstein"], rtol=1e-10)


def test_conserved_helix_component_carries_no_current():
    """Alpha = beta conserves (1, -1, 0): the prescribed potential extends uniformly."""
    solution = run(case_table(CASES["C13"]))
    mu = solution.transport.state.mu
    np.testing.assert_allclose(mu, np.broadcast_to(mu[-1], mu.shape), atol=1e-12 * np.abs(mu).max())


def test_microscopic_input_gives_the_reference_of_its_raw_coefficients():
    """C08 from spin, density, Kondo exchange, temperature, field, Rashba constant and mass."""
    case = CASES["C08"]
    layer, given = case["inputs"]["layers"][0], case["outputs"]["kondo"]["inputs"]
    table = case_table(case)
    table["regions"]["F"] = {
        "kind": "F",
        "dos": f"{layer['nu']!r} 1/(J*m^3)",
        "mass": "1 m_e",
        "diffusion_constant": f"{layer['D']!r} m^2/s",
        "scattering_time": "4 fs",
        "soc": {"rashba": f"{layer['soc']['alpha']!r} m/s"},
        "kondo": {
            "spin": given["S"],
            "moment_density": f"{given['n_m']!r} 1/m^3",
            "coupling": f"{given['Ks']!r} J*m^3",
        },
        "override": {"hall_angles": [0.0, 0.0, 0.0]},  # the reference leaves it out
    }
    table["drive"] = {
        "electric_field": ["1e5 V/m", "0 V/m", "0 V/m"],
        "magnetic_field": ["0 T", "0 T", f"{given['B0']!r} T"],
        "temperature": f"{given['T']!r} K",
    }
    solution, split = run(table), case["outputs"]["decomposition"]
    currents, scale = solution.interface("HM|F"), largest_part(split)
    moments = solution.transport.fields["F"].moments
    np.testing.assert_allclose(-moments.spin, case["outputs"]["kondo"]["S_par"], rtol=1e-9)
    for part in PARTS:
        np.testing.assert_allclose(
            currents.parts[part] * FLUX, split[part], rtol=0, atol=1e-6 * scale, err_msg=part
        )
