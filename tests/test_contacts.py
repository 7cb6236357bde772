"""Contact conductances between conductors: potentials jump, fluxes do not."""

from __future__ import annotations

import numpy as np
import pytest
from reference import CASES, PAPER, case_table

from femspin import CaseError, build_device, case_from_table, solve
from femspin.units import E_CHARGE


def run(table):
    return solve(build_device(case_from_table(table)))


def with_contact(name, method="auto", **contact):
    table = case_table(CASES[name]) | {"solver": PAPER | {"method": method}}
    table["interfaces"]["HM|F"] = contact
    return table


@pytest.mark.parametrize("name", ["C02", "C06", "C07", "C17"])
@pytest.mark.parametrize("value", ["1e13 S/m^2", "1e15 S/m^2"])
def test_elements_agree_with_the_exact_stack_across_a_spin_contact(name, value):
    table = with_contact(name, contact_spin_conductance=value)
    # Twice the default resolution, 16 times the accuracy: the parts of C17 cancel in the flux.
    table["structure"]["cells_per_decay_length"] = 36
    elements = run(table).interface("HM|F")
    exact = run(with_contact(name, "stack", contact_spin_conductance=value)).interface("HM|F")
    scale = max(np.abs(v).max() for v in exact.parts.values())
    for part, expected in exact.parts.items():
        np.testing.assert_allclose(elements.parts[part], expected, atol=1e-6 * scale, err_msg=part)
    np.testing.assert_allclose(elements.flux, exact.flux, atol=1e-6 * scale)
    assert elements.balance < 1e-12


def test_jump_of_the_potential_is_the_flux_over_the_conductance():
    solution = run(with_contact("C07", contact_spin_conductance="3e14 S/m^2"))
    space, face = solution.device.space, solution.device.structure.interfaces["HM|F"]
    mu = [solution.transport.state.mu[space.interface_dofs(face, n)][0] for n in ("HM", "F")]
    flux = solution.interface("HM|F").flux
    unit = 1e-3 * E_CHARGE / E_CHARGE**2 / 1e30
    np.testing.assert_allclose(flux[1:], 3e14 * unit * (mu[1] - mu[0])[1:], rtol=1e-9)
    assert mu[0][0] == pytest.approx(mu[1][0], abs=1e-15)


def test_ideal_contact_is_no_contact():
    """The difference vanishes in proportion to 1/g."""
    open_ = run(case_table(CASES["C06"])).interface("HM|F").flux
    gaps = []
    for value in ("1e17 S/m^2", "1e18 S/m^2"):
        flux = run(with_contact("C06", contact_spin_conductance=value)).interface("HM|F").flux
        gaps.append(np.abs(flux - open_).max() / np.abs(open_).max())
    assert gaps[1] < 0.11 * gaps[0]
    assert gaps[1] < 1e-2


@pytest.mark.parametrize(
    "structure",
    [
        {},
        {"dimension": 2, "width": "3 nm", "cells_x": 2},
        {"dimension": 3, "width": "3 nm", "depth": "2 nm", "lateral": "insulating"},
    ],
)
def test_charge_contact_is_a_resistance_in_series(structure):
    """Two metals without spin-orbit coupling: A R = L1/sigma1 + L2/sigma2 + 1/g."""
    metal = {"kind": "HM", "dos": "5e46 1/(J*m^3)", "spin_diffusion_length": "2 nm"}
    table = {
        "structure": {
            "layers": [
                {"region": "A", "thickness": "4 nm", "cells": 3},
                {"region": "B", "thickness": "6 nm", "cells": 4},
            ],
            **structure,
        },
        "regions": {"A": metal | {"conductivity": "2e6 S/m"}, "B": metal | {"conductivity": "5e6 S/m"}},
        "interfaces": {"A|B": {"contact_conductance": "1e15 S/m^2"}},
        "drive": {"electrodes": {"bottom": {"voltage": "1 mV"}, "top": {"voltage": "0 V"}}},
    }
    solution = run(table)
    resistance = 4e-9 / 2e6 + 6e-9 / 5e6 + 1 / 1e15
    expected = 1e-3 / resistance
    current = solution.device.case.structure
    assert current is not None
    density = -solution.interface("A|B").flux[0] * E_CHARGE * 1e30
    np.testing.assert_allclose(abs(density), expected, rtol=1e-10)


def test_half_the_charge_conductance_is_the_default_of_the_spin_contact():
    one = run(with_contact("C07", contact_conductance="2e14 S/m^2")).interface("HM|F").flux
    two = (
        run(with_contact("C07", contact_conductance="2e14 S/m^2", contact_spin_conductance="1e14 S/m^2"))
        .interface("HM|F")
        .flux
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("interfaces", "message"),
    [
        ({"top": {"contact_conductance": "1e14 S/m^2"}}, r"interfaces\.top"),
        ({"HM|F": {"contact_conductance": "-1e14 S/m^2"}}, r"interfaces\.HM\|F"),
        ({"HM|F": {"contact_conductance": "1e14 S/m^2", "G_r": "1 S/m^2"}}, "one condition"),
        ({"HM|F": {"G_r": "1e14 S/m^2"}}, "two conductors"),
        ({"HM|X": {"contact_conductance": "1e14 S/m^2"}}, r"interfaces\.HM\|X"),
    ],
)
def test_contact_that_makes_no_sense_is_refused(interfaces, message):
    table = case_table(CASES["C07"])
    table["interfaces"] = interfaces
    with pytest.raises(CaseError, match=message):
        run(table)


def test_conductors_cannot_be_declared_insulated_from_each_other():
    """The potentials are continuous there; silence would be a wrong number."""
    table = case_table(CASES["C07"])
    table["interfaces"] = {"HM|F": {"type": "insulating"}}
    with pytest.raises(CaseError, match=r"interfaces\.HM\|F\.type: two conductors"):
        run(table)
