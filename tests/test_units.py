"""Units that laboratories and papers use are read where their meaning is unique."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError
from scipy import constants

from femspin import CaseError, case_from_table, simulate, units
from femspin.case.quantity import _DAILY, _convert, parse_quantity
from femspin.materials.parameters import complete_case
from femspin.studies.sweep import scan_points
from femspin.units import MU_0

ROOT = Path(__file__).parents[1]
STACK = {
    "structure": {
        "layers": [{"region": "M", "thickness": "2 nm"}, {"region": "Pt", "thickness": "5 nm", "cells": 6}]
    },
    "regions": {"M": {"kind": "FI"}, "Pt": {"kind": "HM", "material": "Pt"}},
    "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
    "solver": {"method": "stack"},
}
TEXTURE = {
    "texture": {
        "kind": "ferromagnet",
        "mesh": {"shape": "point", "length": "10 nm"},
        "magnet": {"saturation_magnetization": "1e6 A/m", "exchange_stiffness": "10 pJ/m", "damping": 0.1},
        "fields": [{"field": ["0 T", "0 T", "0.1 T"]}],
    }
}


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("250 Oe", "T", 0.025),
        ("2.5 kOe", "T", 0.25),
        ("5 G", "T", 5e-4),
        ("3 kG", "T", 0.3),
        ("2 mG", "T", 2e-7),
        ("7 gauss", "T", 7e-4),
        ("1 Gs", "T", 1e-4),
        ("1 oersted", "T", 1e-4),
        ("80 kA/m", "T", 8e4 * MU_0),  # B = mu_0 H
        ("800 emu/cm^3", "A/m", 8e5),
        ("800 emu/cc", "A/m", 8e5),
        ("1.7 T", "A/m", 1.7 / MU_0),  # mu_0 M
        ("4e6 erg/cm^3", "J/m**3", 4e5),
        ("1e-6 erg/cm", "J/m", 1e-11),
        ("0.5 erg/cm^2", "J/m**2", 5e-4),
        ("20 uohm*cm", "ohm*m", 2e-7),
        ("20 µΩ cm", "ohm*m", 2e-7),
        ("5e4 1/(ohm*cm)", "S/m", 5e6),
        ("3 GV/m", "V/m", 3e9),
        ("5 GHz", "1/s", 5e9),
    ],
)
def test_units_of_the_laboratory_are_read(text, unit, value):
    assert parse_quantity(text, unit, "") == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("1 kG", "A/m", "may mean M or 4 pi M; write M in emu/cm^3"),
        ("1000 Oe", "A/m", "may mean M or 4 pi M"),
        ("20 uohm*cm", "S/m", 'resistivity = "20 uohm*cm"'),
        ("5 MS/m", "ohm*m", 'conductivity = "5 MS/m"'),
        ("0.5 T", "J/m**3", "K = M_s B_K/2"),
        ("5 kOe", "J/m**3", "K = mu_0 M_s H_K/2"),
        ("1 mJ/m^2", "J/m**3", "divide it by the thickness"),
        ("1 pJ/m", "J/m**2", "divide it by its thickness d"),
        ("300 meV*angstrom^2", "J/m", "A = D M_s/(2 g mu_B)"),
        ("5e19 1/m^2", "S/m**2", "multiply by e^2/h"),
        ("1 fohm*m^2", "S/m**2", "its inverse"),
        ("1 mT", "m", "another quantity; use m or a multiple"),
    ],
)
def test_what_is_another_quantity_says_what_to_write(text, unit, words):
    with pytest.raises(PydanticCustomError) as caught:
        parse_quantity(text, unit, "")
    assert words in caught.value.message()


def with_metal(**keys):
    return STACK | {"regions": {**STACK["regions"], "Pt": {"kind": "HM", **keys}}}


def test_a_resistivity_stands_for_its_conductivity():
    rest = {"dos": "5e47 1/(J*m^3)", "spin_diffusion_length": "1.5 nm", "spin_hall_angle": 0.1}
    one = simulate(case_from_table(with_metal(resistivity="20 uohm*cm", **rest)))
    other = simulate(case_from_table(with_metal(conductivity="5e6 S/m", **rest)))
    assert one.values == pytest.approx(other.values, rel=1e-12, abs=1e-300, nan_ok=True)
    complete, _ = complete_case(one.device.case)
    assert complete.regions["Pt"].conductivity == pytest.approx(5e6, rel=1e-15)
    assert complete.regions["Pt"].resistivity is None
    own = {"materials": {"ours": {"resistivity": {"value": "40 uohm*cm", "source": "four-point"}}}}
    table = with_metal(material=["Pt", "ours"]) | own
    complete, used = complete_case(case_from_table(table))
    assert complete.regions["Pt"].conductivity == pytest.approx(2.5e6, rel=1e-15)
    assert "40 uohm*cm" in next(u.value.source for u in used if u.material == "ours")


def test_a_resistivity_given_wins_over_the_material_and_may_be_scanned():
    table = with_metal(material="Pt") | {
        "scan": {"axes": {"regions.Pt.resistivity": ["20 uohm*cm", "50 uohm*cm"]}}
    }
    found = [
        complete_case(case)[0].regions["Pt"].conductivity for _, case in scan_points(case_from_table(table))
    ]
    assert found == pytest.approx([5e6, 2e6], rel=1e-15)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"conductivity": "5e6 S/m", "resistivity": "20 uohm*cm"}, "give either conductivity or"),
        ({"conductivity": "20 uohm*cm"}, "conductivity: is a resistivity; give it as resistivity ="),
        ({"resistivity": "0 ohm*m"}, "must be > 0"),
    ],
)
def test_conductivity_and_resistivity_are_not_mixed_up(keys, words):
    with pytest.raises(CaseError, match=words):
        case_from_table(with_metal(**keys))
    if len(keys) == 2:
        own = {"materials": {"ours": keys}}
        with pytest.raises(CaseError, match=words):
            complete_case(case_from_table(with_metal(material=["Pt", "ours"]) | own))


def test_fields_and_magnetizations_are_read_wherever_they_stand():
    table = {
        "texture": TEXTURE["texture"]
        | {
            "fields": [{"field": ["0 Oe", "500 Oe", "1 kG"]}],
            "spin_orbit": [{"polarisation": [0, 1, 0], "damping_like": "20 Oe", "field_like": "800 A/m"}],
            "magnet": {
                "saturation_magnetization": "1000 emu/cm^3",
                "exchange_stiffness": "1e-6 erg/cm",
                "anisotropy": "1e6 erg/cm^3",
                "interfacial_dmi": "0.3 erg/cm^2",
                "damping": 0.1,
            },
        }
    }
    texture = case_from_table(table).texture
    assert texture.fields[0].field == pytest.approx([0, 0.05, 0.1], rel=1e-14)
    assert texture.spin_orbit[0].damping_like == pytest.approx(2e-3, rel=1e-14)
    assert texture.spin_orbit[0].field_like == pytest.approx(4 * math.pi * 1e-7 * 800, rel=1e-9)
    magnet = texture.magnet
    numbers = (
        magnet.saturation_magnetization,
        magnet.exchange_stiffness,
        magnet.anisotropy,
        magnet.interfacial_dmi,
    )
    assert numbers == pytest.approx((1e6, 1e-11, 1e5, 3e-4), rel=1e-14)
    drive = STACK | {"drive": {**STACK["drive"], "magnetic_field": ["0 Oe", "0 A/m", "2 kOe"]}}
    assert case_from_table(drive).drive.magnetic_field[2] == pytest.approx(0.2, rel=1e-14)


def test_an_axis_may_mix_units_of_one_field():
    scan = {"axes": {"texture.fields.0.field.z": ["100 Oe", "20 mT", "8 kA/m"]}}
    points = scan_points(case_from_table(TEXTURE | {"scan": scan}))
    axis = points.axes[0]
    assert axis.unit == "Oe"
    assert axis.coordinates == pytest.approx((100, 200, 8e3 * MU_0 * 1e4), rel=1e-14)
    assert points[1][1].texture.fields[0].field[2] == pytest.approx(0.02, rel=1e-14)
    ends = {"axes": {"texture.fields.0.field.z": {"from": "100 Oe", "to": "20 mT", "points": 3}}}
    points = scan_points(case_from_table(TEXTURE | {"scan": ends}))
    assert points.axes[0].coordinates == pytest.approx((100, 150, 200), rel=1e-12)


def test_a_resolved_case_in_si_comes_back_bit_for_bit():
    table = with_metal(material="Pt") | {"drive": {"magnetic_field": ["0 T", "0 T", "123 Oe"]}}
    case, _ = complete_case(case_from_table(table))
    from femspin.case import dump_case

    assert dump_case(case_from_table(dump_case(case))) == dump_case(case)


@pytest.mark.parametrize(("unit", "text"), [(unit, text) for unit, row in _DAILY.items() for text in row])
@given(st.floats(-1e9, 1e9))
def test_units_of_every_day_are_read_bit_for_bit_as_by_the_units_library(unit, text, number):
    read = _convert(number, text, {"unit": unit, "example": "1"}, False)
    assert read == number * _DAILY[unit][text]


def test_a_case_of_everyday_units_does_not_load_the_units_library():
    code = (
        "import sys; from femspin import load_case; load_case('cases/eus_pt.toml');"
        " assert 'pint' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_constants_are_those_of_codata():
    """Exact ones to the last digit, measured ones within the changes between its editions."""
    exact = [constants.e, constants.k, constants.hbar]
    own = [units.E_CHARGE, units.K_B, units.HBAR]
    assert own == pytest.approx(exact, rel=1e-15)
    for own, theirs in (
        (units.MU_B, constants.physical_constants["Bohr magneton"][0]),
        (units.M_E, constants.m_e),
        (units.MU_0, constants.mu_0),
    ):
        assert own == pytest.approx(theirs, rel=1e-8)
