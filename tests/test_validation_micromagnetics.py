"""Numbers published by others, or in the tests of other codes, from the case that gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from femspin import load_case
from femspin.results.expected import compare_expected
from femspin.studies.textures.simulate import simulate_texture

FOLDER = Path(__file__).parents[1] / "cases" / "validation" / "micromagnetics"
SLOW = {
    "fidimag_slonczewski_cpp", "finmag_wall_profile", "mumax3_dmi_wall_fine",
    "mumaxplus_afm_dispersion", "mumaxplus_langevin_heun", "mumaxplus_sp2_coercivity",
    "slonczewski_spin_current", "spin_pumping_default_step", "mmjl_zhangli_0", "mmjl_zhangli_1",
    "mmjl_zhangli_2", "mumaxplus_spin_flop",
}  # fmt: skip
NAMES = [
    pytest.param(p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else [])
    for p in sorted(FOLDER.glob("*.toml"))
]


@pytest.mark.parametrize("name", NAMES)
def test_the_published_number_comes_out(name):
    case = load_case(FOLDER / f"{name}.toml")
    result = simulate_texture(case, FOLDER)
    assert case.expected
    for number in compare_expected(case.expected, result.values):
        assert number.holds, f"{number.name}: expected {number.expected}, found {number.found}"


def test_every_case_names_its_source():
    files = sorted(FOLDER.glob("*.toml"))
    assert len(files) >= 20
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# ")
        assert load_case(file).title
