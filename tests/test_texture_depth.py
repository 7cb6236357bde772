"""A magnet in a 1D or 2D device needs its extents where energies are not per volume."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from femspin import case_from_table
from femspin.errors import CaseError
from femspin.studies.textures.system import build_texture_system

WIDTH, HEIGHT, MS = 60.0, 20.0, 1.4e6
BASE = {
    "structure": {
        "dimension": 2,
        "lateral": "insulating",
        "width": f"{WIDTH} nm",
        "cells_x": 30,
        "layers": [
            {"region": "YIG", "thickness": f"{HEIGHT} nm", "cells": 10},
            {"region": "Pt", "thickness": "4 nm", "cells": 4},
        ],
    },
    "regions": {
        "YIG": {"kind": "FI"},
        "Pt": {
            "kind": "HM",
            "conductivity": "3e6 S/m",
            "diffusion_constant": "5e-4 m^2/s",
            "spin_diffusion_length": "1.5 nm",
        },
    },
    "texture": {
        "kind": "ferromagnet",
        "region": "YIG",
        "analysis": "relax",
        "magnet": {"saturation_magnetization": f"{MS} A/m", "exchange_stiffness": "13 pJ/m", "damping": 0.5},
    },
}


def system(structure: dict | None = None, **texture):
    """Return the magnet of the device, with keys of the device and the texture replaced."""
    table = copy.deepcopy(BASE)
    table["structure"] |= structure or {}
    table["texture"] |= texture
    return build_texture_system(case_from_table(table))


def factors(built) -> np.ndarray:
    """Return the demagnetizing factors: energies of uniform m over mu0 Ms^2 V/2."""
    size = 0.5 * 4e-7 * np.pi * MS**2 * built.space.volume * 1e-27
    return (
        np.array([built.ferromagnet().energy(np.tile(row, (built.space.size, 1))) for row in np.eye(3)])
        / size
    )


def bar(width: float, height: float) -> float:
    """Return the factor along the height of an infinite bar (Brown, Magnetostatic Principles)."""
    r = height / width
    terms = (1 - r * r) / (2 * r) * np.log(1 + r * r) + r * np.log(r) + 2 * np.arctan(1 / r)
    return float(terms / np.pi)


def test_a_deep_magnet_of_a_2d_device_has_the_stray_field_of_a_bar():
    """The ends are WIDTH/depth of it; interpolation between nodes leaves (h/HEIGHT)^2."""
    found = factors(system(magnetostatics="full", depth="60 um"))
    expected = np.array([1 - bar(WIDTH, HEIGHT), 0.0, bar(WIDTH, HEIGHT)])
    np.testing.assert_allclose(found, expected, atol=(2 / HEIGHT) ** 2 + WIDTH / 60e3)


def test_a_shallow_one_is_a_plate_across_the_depth():
    found = factors(system(magnetostatics="full", depth="0.5 nm"))
    assert found[1] > 0.9
    assert found.sum() == pytest.approx(1.0, abs=(2 / HEIGHT) ** 2)


def test_the_volume_of_a_device_without_depth_follows_from_the_given_extent():
    assert system(depth="7 nm").space.volume == pytest.approx(7 * WIDTH * HEIGHT)
    line = {"dimension": 1}
    table = copy.deepcopy(BASE)
    for key in ("width", "cells_x", "lateral"):
        del table["structure"][key]
    table["structure"] |= line
    table["texture"]["depth"] = "7 nm"
    built = build_texture_system(case_from_table(table))
    assert built.space.volume == pytest.approx(49 * HEIGHT)


THERMAL = {"analysis": "run", "temperature": "20 K", "step": "50 fs", "duration": "1 ps"}
DEEP = {"dimension": 3, "depth": "30 nm", "cells_y": 2}
REFUSED = {
    "stray field": ({}, {"magnetostatics": "full"}, "is missing: the stray field depends"),
    "temperature": ({}, THERMAL, "is missing: thermal motion depends on the extent"),
    "three dimensions": (DEEP, {"depth": "3 nm"}, "has all three directions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_extents_that_are_missing_or_twice_there_are_refused(name):
    structure, texture, words = REFUSED[name]
    with pytest.raises(CaseError, match=rf"texture\.depth: .*{words}"):
        system(structure, **texture)


def test_a_mesh_of_its_own_takes_no_depth():
    table = {"texture": copy.deepcopy(BASE["texture"])}
    del table["texture"]["region"]
    table["texture"] |= {
        "depth": "3 nm",
        "mesh": {"shape": "film", "length": "8 nm", "width": "8 nm", "thickness": "1 nm", "cell": "2 nm"},
    }
    with pytest.raises(CaseError, match=r"texture\.depth: only with a region"):
        case_from_table(table)
