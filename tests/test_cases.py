"""Every shipped case runs and gives the numbers its file promises."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest

from femspin import load_case, simulate
from femspin.results.expected import compare_expected

FOLDER = Path(__file__).parents[1] / "cases"
CASES = sorted(p for p in FOLDER.glob("*.toml") if not p.stem.startswith(("scan_", "fit_", "texture_")))
LONG = ("hall_bar", "fgt_pt", "pulse_ggg_pt")
PARAMS = [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in LONG else []) for p in CASES]


@pytest.fixture(scope="module", params=PARAMS)
def solved(request):
    return request.param, simulate(load_case(request.param), request.param.parent)


def test_case_gives_its_expected_numbers(solved):
    _, solution = solved
    expected = solution.device.case.expected
    assert len(expected) >= 4
    for number in compare_expected(expected, solution.values):
        assert number.holds, f"{number.name}: expected {number.expected}, found {number.found}"


def test_case_header_says_what_it_shows(solved):
    path, solution = solved
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 3
    assert solution.device.case.title


def test_parts_of_every_interface_add_up(solved):
    _, solution = solved
    assert solution.transport.balance < 1e-10


def test_result_folder_is_complete_and_its_fields_read_back(solved, tmp_path):
    """Meshio reads every field file; the volume holds mu, N, m, currents and part densities."""
    assert_complete(solved[1], tmp_path / "out")


def test_a_device_on_a_mesh_file_balances_and_its_folder_is_complete(tmp_path):
    """The shipped Hall bar, of the first order."""
    path = FOLDER / "hall_bar.toml"
    solution = simulate(load_case(path, ["solver.order=1"]), path.parent, errors=False)
    assert solution.device.space.dimension == 3
    assert solution.transport.balance < 1e-10
    assert_complete(solution, tmp_path / "out")


def assert_complete(solution, output):
    folder = solution.write(output)
    names = {p.name for p in folder.iterdir()}
    assert {"result.json", "case.toml", "currents.csv", "fields.pvd", "profiles.png"} <= names
    volume = meshio.read(folder / "fields_0000.vtu")
    assert {"mu_0", "mu", "N", "m"} <= set(volume.point_data)
    assert {"J_0", "J_x", "J_y", "J_z", "M", "L", "S", "A", "E", "region"} <= set(volume.cell_data)
    for data in (*volume.point_data.values(), *(c[0] for c in volume.cell_data.values())):
        assert np.all(np.isfinite(data))
    if solution.device.space.dimension > 1:
        for name in solution.transport.interfaces:
            surface = meshio.read(folder / f"interface_{name.replace('|', '--')}.vtu")
            assert surface.cell_data["J"][0].shape[1] == 3
