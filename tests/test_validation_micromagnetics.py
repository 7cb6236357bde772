"""Numbers published by others, or in the tests of other codes, from the case that gives them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from femspin import load_case
from femspin.results.expected import compare_expected
from femspin.studies.textures.simulate import simulate_texture

FOLDER = Path(__file__).parents[1] / "cases" / "validation" / "micromagnetics"
SLOW = {
    "fidimag_slonczewski_cpp",
    "finmag_wall_profile",
    "mumax3_dmi_wall_fine",
    "mumaxplus_afm_dispersion",
    "mumaxplus_langevin_heun",
    "mumaxplus_sp2_coercivity",
    "slonczewski_spin_current",
    "spin_pumping_default_step",
    "mmjl_zhangli_0",
    "mmjl_zhangli_1",
    "mmjl_zhangli_2",
    "mumaxplus_spin_flop",
    "fmr_standard_problem",
}
TILTED = ("dmi_standard_1d_bulk", "dmi_standard_1d_interfacial", "fidimag_dmi_edge")
"""Cases whose published numbers are components at the ends of a line."""
CONSERVED = "mumax3_energy_conservation2"
NAMES = [
    pytest.param(p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else [])
    for p in sorted(FOLDER.glob("*.toml"))
    if p.stem not in {*TILTED, CONSERVED}
]


def run(name):
    case = load_case(FOLDER / f"{name}.toml")
    return case, simulate_texture(case, FOLDER)


@pytest.mark.parametrize("name", NAMES)
def test_the_published_number_comes_out(name):
    case, result = run(name)
    assert case.expected
    for number in compare_expected(case.expected, result.values):
        assert number.holds, f"{number.name}: expected {number.expected}, found {number.found}"


@pytest.mark.parametrize("name", TILTED)
def test_dmi_tilts_the_ends_of_a_line_as_published(name):
    """The tilt is sin = sqrt(A/K) D/2A at the ends, and tan(theta/2) falls as exp(-x/Delta).

    Interfacial DMI tilts along the line, bulk DMI across it, of opposite sign at both ends: with
    2A dm/dnu = D m x (z x nu) and 2A dm/dnu = D_b nu x m at the outward normal nu, and m = z
    inside.
    """
    case, result = run(name)
    magnet = case.texture.magnet
    delta = np.sqrt(magnet.exchange_stiffness / magnet.anisotropy)
    strength = magnet.bulk_dmi or magnet.interfacial_dmi
    sine = delta * strength / (2 * magnet.exchange_stiffness)
    m = result.frames[-1][1]["m"]
    order = np.argsort(result.space.positions[:, 0])
    x = result.space.positions[order, 0] * 1e-9
    # at nu = x: m x (z x nu) = z x y = -x, and nu x m = x x z = -y
    along = -m[order, 1 if magnet.bulk_dmi else 0]
    slope = np.tan(0.5 * np.arcsin(sine))
    exact = np.sin(2 * np.arctan(slope * np.exp((x - x[-1]) / delta)))
    exact -= np.sin(2 * np.arctan(slope * np.exp((x[0] - x) / delta)))
    # at the ends of order (h/Delta)^2, an eighth of it at most; both tilts meet in exp(-L/2Delta)
    error = 0.125 * ((x[1] - x[0]) / delta) ** 2 + 4 * np.exp(-0.5 * (x[-1] - x[0]) / delta)
    assert np.abs(along - exact).max() < error * abs(sine)
    assert error < 3e-3
    across = m[order, 0 if magnet.bulk_dmi else 1]
    assert np.abs(across).max() < 1e-6


def test_two_anisotropies_keep_the_energy_to_1e_5_in_100_ps():
    _, result = run(CONSERVED)
    energy = result.history.column("energy")
    assert np.abs(energy / energy[0] - 1).max() < 1e-5


def test_every_case_names_its_source():
    files = sorted(FOLDER.glob("*.toml"))
    assert len(files) >= 20
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# ")
        assert load_case(file).title
