"""Walls in noise and on meshes without planes, whole charges, and what `check` and files say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import skfem
from texture_setup import band_structures_once, fm

from femspin.case.load import case_from_table
from femspin.cli.main import main
from femspin.cli.texture import texture_lengths
from femspin.errors import CaseError
from femspin.magnets.space import mesh_space
from femspin.magnets.walls import find_wall, static_width, wall_profile
from femspin.studies.textures.numbers import topological_charge
from femspin.studies.textures.system import build_texture_system
from femspin.units import HBAR, MU_0, MU_B

CASES = Path(__file__).parents[1] / "cases"
WIDTH = 6.0


def directions(along):
    """Return unit vectors in the x-z plane with the given z component."""
    along = np.clip(along, -1, 1)
    return np.stack([np.sqrt(1 - along**2), 0 * along, along], axis=1)


# ---------------------------------------------------------------- walls


@pytest.mark.parametrize("cells", [10, 4])
@pytest.mark.parametrize("size", [0.01, 0.1, 0.3])
def test_noise_moves_position_and_width_by_at_most_twice_the_least_possible(cells, size):
    """The bound of Cramer and Rao for s on every plane: var X = s^2 lambda h/(4/3).

    From sum sech^4 t = 4 lambda/(3 h); var lambda has sum t^2 sech^4 t = (pi^2/9 - 2/3) lambda/h
    instead, of which the planes within 1.5 lambda hold 87 %.
    """
    h = WIDTH / cells
    space = mesh_space(skfem.MeshLine(np.arange(-90, 90 + h / 2, h)))
    x, rng, found = space.positions[:, 0], np.random.default_rng(4), []
    for _ in range(60):
        position = rng.uniform(-h, h)
        noise = size * rng.standard_normal(space.size)
        wall = find_wall(space, directions(noise - np.tanh((x - position) / WIDTH)))
        found.append((wall.position * 1e9 - position, wall.width * 1e9 - WIDTH))
    errors = np.sqrt((np.array(found) ** 2).mean(axis=0))
    least = size * np.sqrt(h * WIDTH / np.array([4 / 3, 0.87 * (np.pi**2 / 9 - 2 / 3)]))
    assert (errors < 2 * least).all()


def test_position_of_a_noisy_wall_lies_among_its_changes_of_sign():
    space = mesh_space(skfem.MeshLine(np.linspace(-100, 100, 201)))
    x, rng = space.positions[:, 0], np.random.default_rng(2)
    for _ in range(100):
        along = np.clip(0.3 * rng.standard_normal(space.size) - np.tanh(x / 11.4), -1, 1)
        change = np.flatnonzero(along[:-1] * along[1:] <= 0)
        position = find_wall(space, directions(along)).position * 1e9
        assert x[change[0]] <= position <= x[change[-1] + 1]


def test_a_smooth_wall_that_is_no_tangent_keeps_the_order_of_its_interpolation():
    """The artanh = sinh(1.2 t)/1.2: halving the cells takes 2^5 from the error of the slope."""
    found = []
    for cells in (4, 8):
        h = WIDTH / cells
        space = mesh_space(skfem.MeshLine(np.arange(-72, 72 + h / 2, h)))
        t = np.clip((space.positions[:, 0] - 0.1) / WIDTH, -3.5, 3.5)
        wall = find_wall(space, directions(-np.tanh(np.sinh(1.2 * t) / 1.2)))
        found.append(abs(wall.width * 1e9 / WIDTH - 1))
    assert found[0] < 1e-3
    assert found[1] < found[0] / 2**4


def unstructured(shift):
    mesh = skfem.MeshTri.init_tensor(np.linspace(-60, 60, 81), np.linspace(-15, 15, 21))
    inner = (abs(mesh.p[0]) < 59.9) & (abs(mesh.p[1]) < 14.9)
    points = mesh.p.copy()
    points[:, inner] += np.random.default_rng(0).uniform(-shift, shift, (2, inner.sum()))
    return mesh_space(skfem.MeshTri(points, mesh.t), section=2.0)


@pytest.mark.parametrize("slant", [0.0, 0.02, 0.1, 0.3])
def test_a_mesh_without_planes_gives_the_wall_of_one_with_planes(slant):
    """Bins of the spacing h widen a wall by (h/lambda)^2/12; slanted, their mean y scatters."""
    found = []
    for shift in (0.0, 0.3):
        space = unstructured(shift)
        x, y = space.positions[:, :2].T
        m = wall_profile(space, 1.7e-9, WIDTH * 1e-9)
        if slant:
            m = directions(-np.tanh((x - 1.7 - slant * y) / WIDTH))
        found.append(find_wall(space, m))
    plain, rough = found
    # y scatters by 30/sqrt(12) over the nodes, of which 2 lambda/h columns of 21 share the wall
    scatter = slant * 30 / np.sqrt(12) / np.sqrt(21 * 2 * WIDTH / 1.5)
    assert rough.position * 1e9 == pytest.approx(1.7, abs=2 * scatter + 1.5**2 / WIDTH / 24)
    # the smeared wall is no tangent: the fit has the width of all of it, not of its centre
    smeared = (slant * 30 / WIDTH) ** 2 / 12
    allowed = (1.5 / WIDTH) ** 2 / 12 + smeared / 4 + 2 * scatter / WIDTH
    assert rough.width == pytest.approx(plain.width, rel=allowed)


# ---------------------------------------------------------------- charge


def closed(x, y, radius, width):
    r = np.hypot(x, y)
    theta = 2 * np.arctan2(np.sinh(radius / width), np.sinh(np.minimum(r / width, 300)))
    phi = np.arctan2(y, x)
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], 1)


@pytest.mark.parametrize("kind", ["quad", "triangle", "hexahedron", "tetrahedron"])
@pytest.mark.parametrize("cell", [4.0, 2.0])
def test_charge_of_a_closed_skyrmion_is_minus_one_on_any_mesh(kind, cell):
    edges = np.linspace(-40, 40, round(80 / cell) + 1)
    layers = np.array([0.0, 1.0, 3.0])
    meshes = {
        "quad": skfem.MeshQuad,
        "triangle": skfem.MeshTri,
        "hexahedron": skfem.MeshHex,
        "tetrahedron": skfem.MeshTet,
    }
    solid = kind in ("hexahedron", "tetrahedron")
    mesh = meshes[kind].init_tensor(edges, edges, *([layers] if solid else []))
    space = mesh_space(mesh, periodic=(0, 1))
    x, y, z = space.positions.T
    # of another radius in every layer, on the same background at the periodic edges
    m = closed(x, y, 8.0 + z, 3.0)
    assert topological_charge(space, m) == pytest.approx(-1.0, abs=1e-12)
    assert topological_charge(space, -m) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kind", ["MeshQuad", "MeshTri"])
def test_charge_of_an_open_film_is_the_solid_angle_that_it_covers(kind):
    """The stereographic map of a square covers the integral of 4/(1 + r^2)^2."""
    edges = np.linspace(-1, 1, 41)
    space = mesh_space(getattr(skfem, kind).init_tensor(edges, edges))
    x, y, _ = space.positions.T
    r2 = x**2 + y**2
    m = np.stack([2 * x, 2 * y, 1 - r2], axis=1) / (1 + r2)[:, None]
    points, weights = np.polynomial.legendre.leggauss(30)
    gx, gy = np.meshgrid(points, points)
    exact = weights @ (4 / (1 + gx**2 + gy**2) ** 2) @ weights / (4 * np.pi)
    # great circles cut the corners of the boundary: of order h^2
    assert topological_charge(space, m) == pytest.approx(exact, abs=0.05**2)


# ---------------------------------------------------------------- band structure


def current(path, **change):
    text = (CASES / "texture_afm_wall_current.toml").read_text().split("[expected]")[0]
    table = tomllib.loads(text)
    table["texture"]["current"] |= {"band_structure": str(path), **change}
    return build_texture_system(case_from_table(table)).transfer()


@pytest.fixture(scope="module", autouse=True)
def band_structures():
    """Work out every band structure once."""
    with band_structures_once():
        yield


@pytest.fixture(scope="module")
def coefficients(tmp_path_factory):
    """Return the coefficients.json of the band case of the shipped wall, without its scans."""
    file = tmp_path_factory.mktemp("bands") / "square.toml"
    text = (CASES / "bands" / "afm_square.toml").read_text()
    file.write_text(text[: text.index("[scan]")])
    assert main(["afm-torques", str(file), "-q", "--set", "plots=false"]) == 0
    return file.with_suffix(".out") / "coefficients.json"


def test_coefficients_keep_the_spin_relaxation_time_of_their_case(coefficients):
    for name in ("coefficients.json", "result.json"):
        table = json.loads(coefficients.with_name(name).read_text())
        assert table["spin_relaxation_time_s"] == pytest.approx(100e-15, rel=1e-12)
    worked_out = current(CASES / "bands" / "afm_square.toml")
    assert worked_out.beta > 0
    assert current(coefficients).beta == pytest.approx(worked_out.beta, rel=1e-12)


def test_coefficients_of_an_older_version_ask_for_what_they_lack(coefficients, tmp_path):
    table = json.loads(coefficients.read_text())
    del table["spin_relaxation_time_s"]
    old = tmp_path / "coefficients.json"
    old.write_text(json.dumps(table))
    old.with_name("result.json").write_text(coefficients.with_name("result.json").read_text())
    with pytest.raises(CaseError, match="spin_relaxation_time: is needed, or beta"):
        current(old)
    assert current(old, beta=0.02).beta == 0.02
    given = current(old, spin_relaxation_time="200 fs")
    assert given.beta == pytest.approx(current(coefficients).beta / 2, rel=1e-12)


# ---------------------------------------------------------------- check

FILM = {
    "kind": "ferromagnet",
    "magnetostatics": "thin_film",
    "analysis": "relax",
    "mesh": {"shape": "line", "length": "120 nm", "width": "50 nm", "thickness": "1 nm", "cell": "1 nm"},
    "magnet": {
        "saturation_magnetization": "8e5 A/m",
        "exchange_stiffness": "13 pJ/m",
        "damping": 0.02,
        "anisotropy": "6e5 J/m^3",
        "hard_anisotropy": "1e5 J/m^3",
    },
}


def checked(**change):
    case = case_from_table({"texture": FILM | change})
    return texture_lengths(build_texture_system(case))


def test_check_gives_the_width_that_the_stray_field_of_a_film_leaves():
    table = checked()
    exact = np.sqrt(13e-12 / (6e5 - 0.5 * MU_0 * 8e5**2))
    assert table["wall_width"] == pytest.approx(exact, rel=1e-12)
    walker = 2 * MU_B / HBAR * 1e5 * exact / 8e5
    assert table["walker_velocity"] == pytest.approx(walker, rel=1e-9)
    in_plane = checked(magnet=FILM["magnet"] | {"axis": [1, 0, 0]})
    assert in_plane["wall_width"] == pytest.approx(np.sqrt(13e-12 / 6e5), rel=1e-12)


def test_check_says_that_a_film_without_easy_axis_has_no_wall(tmp_path, capsys):
    weak = FILM["magnet"] | {"anisotropy": "3e5 J/m^3"}
    table = checked(magnet=weak)
    assert table["wall_width"] is None
    assert not {"walker_velocity", "cell_over_wall_width"} & set(table)
    assert static_width(fm(anisotropy=3e5, saturation=8e5, thin_film=True)) is None
    file = tmp_path / "film.toml"
    file.write_text(
        "[texture]\nkind = 'ferromagnet'\nmagnetostatics = 'thin_film'\nanalysis = 'relax'\n"
        "mesh = { shape = 'line', length = '120 nm', width = '50 nm', thickness = '1 nm',"
        " cell = '1 nm' }\nmagnet = { saturation_magnetization = '8e5 A/m', damping = 0.1,"
        " exchange_stiffness = '13 pJ/m', anisotropy = '3e5 J/m^3' }\n"
    )
    assert main(["check", str(file)]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "wall_width" in x)
    assert line.split() == ["wall_width", "none"]


def test_check_prints_amplitudes_and_not_the_drives_of_time_zero():
    sine = {"shape": "sine", "frequency": "1 GHz"}
    table = checked(
        analysis="run",
        duration="1 ns",
        output_interval="10 ps",
        spin_orbit=[
            {"polarisation": [0, 1, 0], "damping_like": "5 mT", "field_like": "1 mT", "signal": sine}
        ],
        current={
            "density": ["1e12 A/m^2", "0 A/m^2", "0 A/m^2"],
            "polarisation": 0.5,
            "signal": {"start": "0.1 ns"},
        },
    )
    assert table["spin_orbit.0.damping_like_field"] == pytest.approx(5e-3, rel=1e-9)
    assert table["spin_orbit.0.field_like_field"] == pytest.approx(1e-3, rel=1e-9)
    assert abs(table["u_n"][0]) > 1
