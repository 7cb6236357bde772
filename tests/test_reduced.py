"""Layers replaced by their conductance, and the exact stack method, through case files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from marks import slow
from reference import CASES, PAPER, STEADY, case_table, largest_part

from femspin import CaseError, build_device, case_from_table, solve
from femspin.case.load import read_table
from femspin.units import ENERGY, FLUX, LENGTH

BILAYERS = [n for n in STEADY if len(CASES[n]["inputs"]["layers"]) == 2]
PARTS = ("M_relax", "M_prec", "L_diag", "L_anti", "S", "A", "E", "B")


def run(table):
    return solve(build_device(case_from_table(table)))


def table_of(name, model="resolved", method="stack"):
    table = case_table(CASES[name]) | {"solver": PAPER | {"method": method}}
    if model != "resolved":
        table["regions"]["F"]["model"] = model
    return table


def deviation(solution, name):
    """Return the largest deviation from the reference split, over its largest part."""
    split, currents = CASES[name]["outputs"]["decomposition"], solution.interface("HM|F")
    errors = [np.abs(currents.parts[p] * FLUX - split[p]).max() for p in PARTS]
    errors.append(np.abs(currents.flux[1:] * FLUX - split["Jz_top"]).max())
    return max(errors) / largest_part(split)


@pytest.mark.parametrize("name", BILAYERS)
def test_stack_method_reproduces_the_reference_to_1e_9(name):
    solution = run(table_of(name))
    assert solution.transport.state.report.method == "stack"
    assert deviation(solution, name) < 1e-9
    assert solution.transport.balance < 1e-12
    z = np.array(CASES[name]["outputs"]["z"]) / LENGTH
    height = solution.device.space.locations[-1]
    reference = np.array(CASES[name]["outputs"]["mu_J"])
    for k in (0, -1):  # the two outer faces are always nodes
        node = np.abs(height - z[k]).argmin()
        mu = solution.transport.state.mu[node] * ENERGY
        np.testing.assert_allclose(mu, reference[k], atol=1e-9 * np.abs(reference).max())


@pytest.mark.parametrize("name", [n for n in STEADY if n not in BILAYERS])
def test_stack_method_takes_every_face_condition(name):
    """Robin and prescribed potentials on the faces of a single layer."""
    solution = run(table_of(name))
    reference = np.array(CASES[name]["outputs"]["mu_J"])
    height = solution.device.space.locations[-1]
    ends = solution.transport.state.mu[[height.argmin(), height.argmax()]] * ENERGY
    np.testing.assert_allclose(ends, reference[[0, -1]], atol=1e-9 * np.abs(reference).max())


@pytest.mark.parametrize("name", BILAYERS)
@pytest.mark.parametrize(("method", "accuracy"), [("stack", 1e-9), ("auto", 1e-6)])
def test_exact_reduction_changes_nothing(name, method, accuracy):
    """The admittance of the resolved layer stands for it, with all its parts."""
    solution = run(table_of(name, "exact", method))
    assert "F" not in solution.device.conductors
    assert deviation(solution, name) < accuracy
    assert solution.transport.balance < 1e-12


@pytest.mark.parametrize("name", ["C07", "C17"])
def test_layer_form_is_exact_without_in_plane_response(name):
    """Theta = 1 and only a^z (pure gauge, C17) or no gauge field at all (C07): total exact."""
    solution = run(table_of(name, "layer"))
    reference = CASES[name]["outputs"]["decomposition"]["Jz_top"]
    found = solution.interface("HM|F").flux[1:] * FLUX
    np.testing.assert_allclose(found, reference, atol=1e-9 * np.abs(reference).max())


@pytest.mark.parametrize("name", ["C05", "C07", "C08"])
def test_thin_form_converges_linearly_in_the_thickness(name):
    """The relative error of the leading order in ell_F falls at least as ell_F."""
    errors = []
    for thickness in ("0.1 nm", "0.05 nm"):
        flux = {}
        for model in ("resolved", "thin"):
            table = table_of(name, model)
            table["structure"]["layers"][0]["thickness"] = thickness
            flux[model] = run(table).interface("HM|F").flux[1:]
        errors.append(np.abs(flux["thin"] - flux["resolved"]).max() / np.abs(flux["resolved"]).max())
    assert errors[1] < 0.6 * errors[0]


def test_condition_below_a_reduced_layer_is_part_of_its_response():
    """F on a spin sink: the Robin condition at F|FI moves into the admittance."""
    for method in ("auto", "stack"):
        flux = []
        for model in ("resolved", "exact"):
            table = table_of("C08", model, method)
            table["regions"]["FI"] = {"kind": "FI"}
            table["structure"]["layers"].insert(0, {"region": "FI", "thickness": "2 nm"})
            table["interfaces"] = {"F|FI": {"G_s": "-3e13 S/m^2", "G_i": "1e13 S/m^2"}}
            solution = run(table)
            current = solution.interface("HM|F")
            assert np.abs(current.parts["B"]).max() > 0
            assert current.balance < 1e-12
            flux.append(np.concatenate([current.flux, current.parts["M"], current.parts["B"]]))
        np.testing.assert_allclose(flux[1], flux[0], atol=1e-6 * np.abs(flux[0]).max())


@pytest.mark.parametrize("moving", [False, slow(True)])
def test_reduced_layer_drives_the_magnet_like_the_resolved_one(moving):
    table = read_table(Path(__file__).parents[1] / "cases" / "fgt_pt.toml")
    if not moving:
        del table["dynamics"], table["expected"]
    solved = []
    for model in ("resolved", "exact"):
        table["regions"]["F"]["model"] = model
        solved.append(solve(build_device(case_from_table(table))))
    final = ("dynamics.final.x",) if moving else ()
    for key in ("torques.F.torque.y", "torques.Fe3GeTe2.torque.y", *final):
        np.testing.assert_allclose(solved[1].values[key], solved[0].values[key], rtol=1e-6)


def test_reduced_layer_works_in_three_dimensions():
    table = table_of("C08", "exact", "auto")
    table["structure"] |= {"dimension": 3, "width": "4 nm", "depth": "4 nm"}
    table["structure"]["layers"][1]["cells"] = 8
    line = table_of("C08", "exact", "auto")
    line["structure"]["layers"][1]["cells"] = 8
    a, b = run(table).interface("HM|F"), run(line).interface("HM|F")
    np.testing.assert_allclose(a.flux, b.flux, atol=1e-9 * np.abs(b.flux).max())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["structure"]["layers"].reverse(), r"regions\.F\.model.*directly above"),
        (
            lambda t: t["structure"]["layers"].append({"region": "F", "thickness": "1 nm"}),
            r"regions\.F\.model.*several layers",
        ),
        (lambda t: t["regions"]["HM"].update(model="exact"), r"regions\.HM\.model"),
        (lambda t: t["regions"]["F"].update(model="exat"), r"regions\.F\.model"),
        (
            lambda t: t["interfaces"].update(bottom={"spin_flux": ["1e27 1/(m^2*s)"] * 3}),
            r"regions\.F\.model.*spin_flux",
        ),
    ],
)
def test_layer_that_cannot_be_replaced_is_refused(change, message):
    table = table_of("C08", "exact")
    change(table)
    with pytest.raises(CaseError, match=message):
        run(table)


def test_stack_method_refuses_what_it_cannot_do():
    table = table_of("C08")
    table["structure"] |= {"dimension": 2, "width": "2 nm"}
    with pytest.raises(CaseError, match=r"solver\.method.*dimension 1"):
        run(table)


def test_corrected_closed_forms_reach_the_exact_layer_when_it_is_thin():
    """Rashba and Dresselhaus coupling with exchange: the error falls at least as ell_F."""
    errors = []
    for thickness in ("0.2 nm", "0.1 nm"):
        flux = {}
        for model in ("resolved", "corrected"):
            table = table_of("C11", model)
            table["regions"]["F"]["mass"] = "1 m_e"
            table["structure"]["layers"][0]["thickness"] = thickness
            flux[model] = run(table).interface("HM|F").flux[1:]
        errors.append(np.abs(flux["corrected"] - flux["resolved"]).max() / np.abs(flux["resolved"]).max())
    assert errors[0] < 0.05
    assert errors[1] < 0.6 * errors[0]


def test_printed_closed_forms_lose_a_factor_four_of_the_spin_loss():
    """Errata E10, for a layer so thin that its thickness limits the decay length in both."""
    loss = {}
    for model in ("corrected", "printed"):
        table = table_of("C11", model)
        table["regions"]["F"]["mass"] = "1 m_e"
        table["structure"]["layers"][0]["thickness"] = "0.01 nm"
        currents = run(table).interface("HM|F")
        assert currents.balance < 1e-12
        loss[model] = currents.parts["L_diag"]
    largest = np.abs(loss["corrected"]).max()
    np.testing.assert_allclose(loss["corrected"], 4 * loss["printed"], atol=0.02 * largest)


def test_closed_forms_need_a_gauge_field_of_their_kind():
    table = table_of("C17", "corrected")  # a^z with all components is not of the form (9)-(11)
    with pytest.raises(CaseError, match=r"regions\.F\.model.*closed forms"):
        run(table)


def test_condition_on_the_upper_side_of_a_replaced_layer_is_refused():
    table = table_of("C08", "thin")
    table["interfaces"]["HM|F"] = {"contact_conductance": "1e15 S/m^2"}
    with pytest.raises(CaseError, match=r"interfaces\.HM\|F: F is replaced by a face"):
        run(table)
