"""Magnetoresistance where no current can flow is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from femspin import build_device, case_from_table
from femspin.cli.main import main
from femspin.errors import CaseError
from femspin.studies.magnetoresistance import (
    angular_scan,
    charge_response,
    hanle_magnetoresistance,
    smr_amplitudes,
)

ROOT = Path(__file__).parents[1]
CASE = """
[structure]
dimension = 2
width = "30 nm"
cells_x = 3
lateral = "{lateral}"
layers = [{{region="YIG",thickness="2 nm"}}, {{region="Pt",thickness="4 nm",cells=4}}]
[regions.YIG]
kind = "FI"
[regions.Pt]
kind = "HM"
conductivity = "5e6 S/m"
dos = "2e47 1/(J*m^3)"
spin_diffusion_length = "1.5 nm"
spin_hall_angle = 0.1
[interfaces."Pt|YIG"]
G_s = "-1e12 S/m^2"
G_r = "3e14 S/m^2"
[drive]
magnetic_field = ["0 T", "0 T", "1 T"]
"""


def film(dimension, lateral="periodic"):
    """Return the device of Pt on an insulating magnet."""
    layers = [
        {"region": "YIG", "thickness": "2 nm", "cells": 1},
        {"region": "Pt", "thickness": "4 nm", "cells": 4},
    ]
    structure = {"dimension": dimension, "layers": layers}
    if dimension > 1:
        structure |= {"width": "9 nm", "cells_x": 2, "lateral": lateral}
    if dimension > 2:
        structure |= {"depth": "9 nm", "cells_y": 2}
    table = {
        "structure": structure,
        "regions": {
            "YIG": {"kind": "FI"},
            "Pt": {
                "kind": "HM",
                "conductivity": "5e6 S/m",
                "dos": "2e47 1/(J*m^3)",
                "spin_diffusion_length": "1.5 nm",
                "spin_hall_angle": 0.1,
            },
        },
        "interfaces": {"Pt|YIG": {"G_s": "-1e12 S/m^2", "G_r": "3e14 S/m^2"}},
        "drive": {"magnetic_field": ["0 T", "0 T", "1 T"]},
    }
    return build_device(case_from_table(table))


@pytest.mark.parametrize(("dimension", "ends"), [(2, "x"), (3, "x and y")])
def test_a_film_that_ends_sideways_has_no_sheet_response(dimension, ends):
    device = film(dimension, "insulating")
    message = rf"^structure\.lateral: no current flows along {ends}, where"
    for ask in (
        charge_response,
        smr_amplitudes,
        lambda d: smr_amplitudes(d, rotate="B"),
        lambda d: angular_scan(d, "xy", [0.0]),
        lambda d: hanle_magnetoresistance(d, [1.0]),
    ):
        with pytest.raises(CaseError, match=message):
            ask(device)


def test_a_mesh_from_a_file_has_no_sheet_response():
    """No mesh from a file is periodic."""
    metal = {
        "kind": "HM",
        "conductivity": "5e6 S/m",
        "diffusion_constant": "1e-4 m^2/s",
        "spin_diffusion_length": "3 nm",
        "spin_hall_angle": 0.1,
    }
    table = {
        "mesh": {"file": str(ROOT / "meshes/strip_2d.msh"), "length_unit": "nm"},
        "regions": {"Pt": metal, "F": metal | {"kind": "F"}, "YIG": {"kind": "FI"}},
    }
    with pytest.raises(CaseError, match=r"^mesh\.file: no current flows along x.*electrodes"):
        charge_response(build_device(case_from_table(table)))


def test_a_periodic_film_responds_as_one_that_resolves_its_normal_alone():
    """The solution is the same polynomial in z; assembled sums differ by round-off."""
    one, two = (charge_response(film(d), [0.3, 0.5, 0.8]).excess for d in (1, 2))
    assert np.abs(one).max() > 1e-3
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-11 * np.abs(one).max())


@pytest.mark.parametrize(("lateral", "code"), [("insulating", 2), ("periodic", 0)])
def test_the_command_fails_only_where_no_current_flows(lateral, code, tmp_path, capsys):
    case = tmp_path / "case.toml"
    case.write_text(CASE.format(lateral=lateral))
    assert main(["smr", str(case)]) == code
    printed = capsys.readouterr()
    assert ("no current flows along x" in printed.err) == (code == 2)
    assert ("d1" in printed.out) == (code == 0)
