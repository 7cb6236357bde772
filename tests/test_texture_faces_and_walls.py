"""Faces that are not meshed, cells, seams, walls followed by identity, and units of numbers."""

from __future__ import annotations

import copy
import csv
import json
import pickle

import numpy as np
import pytest
import skfem

from femspin.case.load import case_from_table
from femspin.case.texture_drives import Signal
from femspin.cli.rehearsal import rehearse
from femspin.cli.texture import texture_lengths as lengths_of
from femspin.device.observables.quantity import Number, units_of
from femspin.errors import CaseError
from femspin.magnets.demagnetization import boundary_demagnetization
from femspin.magnets.energy import surface_twist
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.magnet import Ferromagnet
from femspin.magnets.space import mesh_space
from femspin.magnets.walls import Wall, find_walls
from femspin.simulation import sweep
from femspin.studies.sweep import ScanPoints
from femspin.studies.textures.numbers import undisturbed
from femspin.studies.textures.simulate import simulate_texture
from femspin.studies.textures.states import initial_texture, wall_frame
from femspin.studies.textures.system import build_texture_system
from femspin.studies.textures.wall import WallTrack
from femspin.units import HBAR, MU_B

LINE = {"shape": "line", "length": "120 nm", "width": "50 nm", "thickness": "2 nm", "cell": "2 nm"}
MAGNET = {
    "saturation_magnetization": "8e5 A/m",
    "exchange_stiffness": "13 pJ/m",
    "damping": 0.2,
    "anisotropy": "4e5 J/m^3",
}
WALL = {
    "kind": "ferromagnet",
    "duration": "10 ps",
    "mesh": LINE,
    "magnet": MAGNET | {"hard_anisotropy": "2e5 J/m^3"},
    "initial": {"type": "wall"},
    "wall": {},
}
AFM = WALL | {
    "kind": "antiferromagnet",
    "magnet": {
        "sublattice_magnetization": "4e5 A/m",
        "exchange_field": "10 T",
        "damping": 0.05,
        "exchange_stiffness": "13 pJ/m",
        "anisotropy": "4e5 J/m^3",
    },
}
CURRENT = {"density": ["-1e12 A/m^2", "0 A/m^2", "0 A/m^2"], "polarisation": 0.5, "beta": 0.4}
GONE = "the wall reached the end of the magnet or vanished"


def texture_lengths(case, folder=None):
    """Return what `check` says of a case: lengths and warnings."""
    found = rehearse(case, folder)
    return lengths_of(found.system) | {"warnings": list(found.warnings)}


def case(base=WALL, **change):
    return case_from_table({"texture": copy.deepcopy(base) | change})


def solved(base=WALL, **change):
    return simulate_texture(case(base, **change))


def system(base=WALL, **change):
    return build_texture_system(case(base, **change))


# ---------------------------------------------------------------- faces that are not meshed


D, A, K = 3e-3, 13e-12, 4e5
CHIRAL = Ferromagnet(saturation=8e5, exchange_stiffness=A, damping=0.2, bulk_dmi=D)


def twisted(magnet, m, extent, layers):
    """Return the least energy density [J/m^3] of an unmeshed line, and of one cell of a box.

    The box is periodic along x, so that m = m_0 + y m_y + z m_z with free m_y and m_z across: its
    least energy is that of a linear system, without any relaxation.
    """
    edges = np.linspace(-extent / 2, extent / 2, layers + 1)
    box = mesh_space(skfem.MeshHex.init_tensor(np.array([0.0, 1.0]), edges, edges), periodic=(0,))
    line = mesh_space(
        skfem.MeshLine(np.array([0.0, 1.0])),
        section=extent**2,
        periodic=(0,),
        faces=[(1, extent), (2, extent)],
    )
    flat = ferromagnet_texture(line, magnet)
    energy = flat.energy(flat.start(m), 0.0) / (line.volume * 1e-27)
    texture = ferromagnet_texture(box, magnet)
    y, z = box.positions[:, 1:].T
    q = magnet.bulk_dmi / (2 * magnet.exchange_stiffness) * 1e-9
    turned = m + q * (y[:, None] * np.cross([0, 1, 0], m) + z[:, None] * np.cross([0, 0, 1], m))
    return energy, texture.energy(texture.start(turned), 0.0) / (box.volume * 1e-27)


@pytest.mark.parametrize("m", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.48, 0.6, 0.64)])
def test_bulk_dmi_twists_a_thin_line_by_its_natural_boundary_condition(m):
    """Both missing directions e give -(D^2/4A) (1 - (m.e)^2); the box differs by (q d)^2."""
    m = np.array(m, float)
    exact = -(D**2) / (4 * A) * (2 - m[1] ** 2 - m[2] ** 2)
    errors = []
    for extent in (0.4, 0.2):
        line, box = twisted(CHIRAL, m, extent, 4)
        assert line == pytest.approx(exact, rel=1e-12)
        errors.append(abs(box - exact) / (D**2 / (4 * A)))
    assert errors[1] < 1e-3  # (q d)^2 = 5e-4
    assert errors[1] < 0.3 * errors[0] + 1e-12


def test_the_twist_is_that_of_the_faces_a_shape_leaves_out():
    """A film has the normal, a line both directions, a macrospin all; periodic ones none."""
    dmi = MAGNET | {"bulk_dmi": "3 mJ/m^2", "anisotropy": "0 J/m^3"}
    full = D**2 / (4 * A)
    shapes = {
        ("line", ()): (2, 1, 1),
        ("line", ("y",)): (1, 1, 0),
        ("line", ("y", "z")): (0, 0, 0),
        ("film", ()): (1, 1, 0),
        ("film", ("z",)): (0, 0, 0),
        ("point", ("x", "y")): (1, 1, 0),
        ("point", ()): (2, 2, 2),
    }
    for (shape, periodic), share in shapes.items():
        mesh = LINE | {"shape": shape, "periodic": list(periodic), "width": "10 nm"}
        if shape == "point":
            del mesh["cell"]
        built = system(mesh=mesh, magnet=dmi, initial={}, wall=None)
        term = surface_twist(built.space, built.magnet)
        found = np.zeros(3) if term is None else term.strengths * built.magnet.spin_density * 1e12
        np.testing.assert_allclose(found, full * np.array(share), rtol=1e-12)


def test_an_easy_axis_keeps_the_twist_near_the_faces_of_a_wide_magnet():
    """Least mean of A t'^2 + K t^2 - D t': -(D^2/4A) tanh(x)/x with x = (d/2) sqrt(K/A)."""
    width = 100e-9
    magnet = Ferromagnet(saturation=8e5, exchange_stiffness=A, damping=0.2, bulk_dmi=D, anisotropy=K)
    line = mesh_space(skfem.MeshLine(np.array([0.0, 1.0])), periodic=(0,), faces=[(1, 100.0)])
    found = surface_twist(line, magnet).strengths[2] * magnet.spin_density * 1e12
    height = np.linspace(-width / 2, width / 2, 20001)
    root = np.sqrt(K / A)
    angle = D / (2 * A * root) * np.sinh(root * height) / np.cosh(root * width / 2)
    slope = np.gradient(angle, height)
    energy = np.trapezoid(A * slope**2 + K * angle**2 - D * slope, height) / width
    assert found == pytest.approx(-energy, rel=1e-4)


def test_energy_of_the_twist_has_its_gradient_and_matrix():
    line = mesh_space(skfem.MeshLine(np.linspace(0, 3, 4)), faces=[(1, 1.0), (2, 2.0)])
    term = surface_twist(line, CHIRAL)
    rng = np.random.default_rng(3)
    m, step = rng.standard_normal((2, line.size, 3))
    change = (term.energy(m + 1e-3 * step, 0.0) - term.energy(m - 1e-3 * step, 0.0)) / 2e-3
    assert np.vdot(term.gradient(m, 0.0), step) == pytest.approx(change, rel=1e-9)
    np.testing.assert_allclose(term.matrix(m) @ m.ravel(), term.gradient(m, 0.0).ravel())


def test_a_twist_that_is_an_estimate_or_left_out_is_said():
    thick = LINE | {"shape": "film", "thickness": "20 nm", "width": "8 nm"}
    bulk = MAGNET | {"bulk_dmi": "3 mJ/m^2"}
    warned = texture_lengths(case(mesh=thick, magnet=bulk, initial={}, wall=None), None)
    assert any("twists m by 2.3 rad" in w for w in warned["warnings"])
    interfacial = MAGNET | {"interfacial_dmi": "3 mJ/m^2"}
    for width, periodic, words in (("5 nm", [], True), ("5 nm", ["y"], False), ("1 um", [], False)):
        mesh = LINE | {"width": width, "periodic": periodic}
        for base in (WALL, AFM):
            kind = interfacial if base is WALL else base["magnet"] | {"interfacial_dmi": "3 mJ/m^2"}
            table = texture_lengths(case(base, mesh=mesh, magnet=kind), None)
            assert any("a strip 5 nm wide" in w for w in table["warnings"]) is words


# ---------------------------------------------------------------- cells


@pytest.mark.parametrize("base", [WALL, AFM])
@pytest.mark.parametrize("shape", ["line", "film", "box"])
def test_cells_longer_than_a_wall_are_refused_and_above_half_warned_of(base, shape):
    """sqrt(A/K) = 5.70 nm."""

    def mesh(cell):
        return LINE | {"shape": shape, "width": "4 nm", "cell": cell}

    with pytest.raises(CaseError, match=r"6 nm along x are longer than the wall width of 5\.7"):
        solved(base, mesh=mesh("6 nm"))
    with pytest.raises(CaseError, match=r"texture\.mesh\.cell"):
        texture_lengths(case(base, mesh=mesh("6 nm")), None)
    warned = texture_lengths(case(base, mesh=mesh("4 nm")), None)["warnings"]
    assert any("0.7 times the wall width" in w for w in warned)
    assert not texture_lengths(case(base, mesh=mesh("2 nm")), None)["warnings"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"magnet": MAGNET | {"interfacial_dmi": "6 mJ/m^2"}}, "length 2A/|D| of the interfacial"),
        (
            {
                "magnet": MAGNET | {"anisotropy": "0 J/m^3"},
                "magnetostatics": "full",
                "wall": None,
                "initial": {"type": "vortex", "radius": "50 nm"},
            },
            "exchange length",
        ),
        (
            {
                "magnet": MAGNET | {"anisotropy": "0 J/m^3"},
                "wall": None,
                "initial": {"type": "vortex", "radius": "5 nm"},
            },
            "radius of the vortex",
        ),
        (
            {
                "magnet": MAGNET | {"anisotropy": "0 J/m^3", "cubic_anisotropy": "-1e6 J/m^3"},
                "initial": {"type": "wall", "width": "4 nm"},
            },
            "cubic wall width",
        ),
    ],
)
def test_every_length_of_the_magnet_counts(change, name):
    mesh = LINE | {"shape": "film", "length": "60 nm", "width": "60 nm", "cell": "6 nm"}
    with pytest.raises(CaseError, match="are longer than the") as caught:
        solved(mesh=mesh, **change)
    assert name in caught.value.problem


def test_a_uniform_texture_on_coarse_cells_is_warned_of_and_not_refused():
    result = solved(mesh=LINE | {"cell": "12 nm"}, initial={}, wall=None)
    assert any("2.1 times the wall width" in w for w in result.warnings)


def test_a_texture_that_turns_from_node_to_node_is_said(tmp_path):
    m = np.tile([0.0, 0.0, 1.0], (61, 1))
    m[30:, 2] = -1
    np.save(tmp_path / "jump.npy", m)
    start = {"type": "file", "file": str(tmp_path / "jump.npy")}
    result = solved(duration="1 fs", initial=start, wall=None)
    assert any("180 deg from node to node" in w for w in result.warnings)


# ---------------------------------------------------------------- seams


@pytest.mark.parametrize("base", [WALL, AFM])
def test_one_wall_on_a_periodic_line_is_refused(base):
    with pytest.raises(CaseError, match="one wall does not fit the periodic direction x"):
        solved(base, mesh=LINE | {"periodic": ["x"]})


def test_vortex_and_wide_skyrmion_do_not_fit_periodic_films():
    mesh = LINE | {"shape": "film", "width": "120 nm", "periodic": ["y"], "cell": "4 nm"}
    for kind, radius in (("vortex", "10 nm"), ("skyrmion", "60 nm")):
        initial = {"type": kind, "radius": radius}
        with pytest.raises(CaseError, match="period"):
            solved(mesh=mesh, initial=initial, wall=None)
    solved(mesh=LINE | {"shape": "film", "width": "20 nm", "periodic": ["y"]}, duration="1 fs")


def test_the_stray_field_of_a_periodic_magnet_is_refused():
    for mesh in (LINE | {"shape": "film", "periodic": ["x"]}, LINE | {"periodic": ["y"]}):
        with pytest.raises(CaseError, match="magnetostatics"):
            case(mesh=mesh, magnetostatics="full", initial={}, wall=None)


# ---------------------------------------------------------------- walls followed by identity


def profile(places, first=1.0, width=5.0, length=200.0, periodic=False):
    """Return space and texture with walls at some places [nm], the first of a sense."""
    x = np.linspace(-length / 2, length / 2, 201)
    space = mesh_space(skfem.MeshLine(x), periodic=(0,) if periodic else ())
    x = space.positions[:, 0]
    angle = np.zeros(len(x))
    for turn in (-1, 0, 1) if periodic else (0,):
        for k, place in enumerate(places):
            angle += (-1) ** k * 2 * np.arctan(np.exp((x - place - turn * length) / width))
    m = np.stack([np.sin(angle), 0 * x, first * np.cos(angle)], axis=1)
    return space, m


@pytest.mark.parametrize("places", [(-60.0,), (-60.0, 10.0), (-60.0, 10.0, 55.0)])
def test_all_walls_are_found_with_their_sense(places):
    space, m = profile(places)
    walls = find_walls(space, m)
    assert [np.sign(w.width) for w in walls] == [(-1) ** k for k in range(len(places))]
    np.testing.assert_allclose([w.position * 1e9 for w in walls], places, atol=0.02)


class Fixed:
    """What a track asks of a system: mesh and frame."""

    def __init__(self, space):
        self.space = space
        self.table = case(initial={}, mesh=LINE).texture


def followed(states, periodic=False):
    """Return positions [nm] of the followed wall and what happened to it."""
    spaces = [profile(p, periodic=periodic) for p in states]
    track = WallTrack(Fixed(spaces[0][0]))
    found = [track.follow(m) for _, m in spaces]
    return [None if w is None else round(w.position * 1e9) for w in found], track.lost


def test_the_first_wall_is_followed_until_it_meets_another_one():
    """Two walls annihilate and a third of the same sense remains: that is another wall."""
    places, lost = followed([(-60, 10, 60), (-50, 0, 60), (-40, -12, 60), (60,)])
    assert places == [-60, -50, -40, None]
    assert lost in ("met", "unsure")


def test_a_wall_of_the_other_sense_is_another_wall():
    space, m = profile((-60, 10))
    track = WallTrack(Fixed(space))
    assert track.follow(m).position == pytest.approx(-60e-9, abs=1e-11)
    assert track.follow(profile((10,), first=-1.0)[1]) is None
    assert track.lost == "met"


def test_a_jump_beyond_half_the_distance_between_walls_is_not_followed():
    assert followed([(-60, 0, 60), (-25, 0, 60)]) == ([-60, -25], "")
    places, lost = followed([(-60, -30, 0, 80), (9, 40, 70, 92)])
    assert places == [-60, None]
    assert lost == "unsure"


def test_position_counts_on_across_a_periodic_seam():
    """The seam lies at -100 nm."""
    states = [(-40, 60), (-70, 40), (-95, 20), (-120, 0), (-150, -20)]
    assert followed(states, periodic=True) == ([-40, -70, -95, -120, -150], "")
    for state in states:
        assert len(find_walls(*profile(state, periodic=True))) == 2


def test_a_pair_on_a_periodic_line_keeps_its_velocity_across_the_seam(tmp_path):
    """A wall under a current without hard axis and beta = alpha moves with u exactly."""
    x = np.linspace(-50, 50, 101)[:-1]
    angle = 2 * np.arctan(np.exp((x + 20) / 5.7)) - 2 * np.arctan(np.exp((x - 30) / 5.7))
    np.save(tmp_path / "two.npy", np.stack([np.sin(angle), 0 * x, np.cos(angle)], axis=1))
    result = solved(
        mesh=LINE | {"length": "100 nm", "cell": "1 nm", "periodic": ["x"]},
        duration="0.4 ns",
        output_interval="20 ps",
        magnet=MAGNET,
        initial={"type": "file", "file": str(tmp_path / "two.npy")},
        current=CURRENT | {"beta": 0.2, "density": ["-2e12 A/m^2", "0 A/m^2", "0 A/m^2"]},
    )
    u = HBAR * 0.5 * 2 * MU_B / HBAR / (2 * 1.602176634e-19 * 8e5) * 2e12
    numbers = result.numbers["wall"]
    assert numbers["displacement"] == pytest.approx(u * 0.4e-9, rel=0.02)  # (h/lambda)^2 = 0.03
    assert numbers["velocity"] == pytest.approx(u, rel=0.02)
    assert numbers["lost"] == 0


@pytest.mark.parametrize("base", [WALL, AFM])
def test_relax_says_that_the_wall_has_gone(base):
    gradient = [{"field": ["0 T", "0 T", "2 T" if base is WALL else "0 T"]}]
    drives = (
        {"fields": gradient}
        if base is WALL
        else {"spin_orbit": [{"polarisation": [0, 1, 0], "damping_like": "50 mT"}]}
    )
    result = solved(base, analysis="relax", mesh=LINE | {"length": "60 nm"}, **drives)
    if result.numbers["wall"]["lost"]:
        assert any(w.startswith(GONE) for w in result.warnings)
        assert set(result.numbers["wall"]) == {"lost"}
    else:
        assert base is AFM
    kept = solved(base, analysis="relax", mesh=LINE | {"length": "60 nm"})
    assert kept.numbers["wall"]["lost"] == 0
    assert not kept.warnings


def scan_of_walls():
    raw = {
        "texture": copy.deepcopy(WALL)
        | {
            "duration": "0.2 ns",
            "output_interval": "5 ps",
            "mesh": LINE,
            "initial": {"type": "wall", "position": "30 nm"},
            "fields": [{"field": ["0 T", "0 T", "0 T"]}],
        }
    }
    raw["scan"] = {
        "columns": ["texture.wall.velocity"],
        "processes": 1,
        "plot": {"y": ["texture.wall.velocity"]},
        "axes": {"texture.fields.0.field.2": ["0 T", "40 mT", "45 mT"]},
    }
    return case_from_table(raw)


def test_rows_of_a_scan_say_whose_wall_left(tmp_path):
    result = sweep(scan_of_walls(), tmp_path, tmp_path / "out", here=True)
    assert [p.numbers["texture.wall.lost"] for p in result.points] == [0, 1, 1]
    assert [len(p.warnings) for p in result.points] == [0, 1, 1]
    assert len(result.warnings) == 1  # one text for both, whenever they left
    result.write(tmp_path / "out")
    with (tmp_path / "out" / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [bool(r["warnings"]) for r in rows] == [False, True, True]
    assert {"texture.wall.velocity [m/s]", "texture.wall.lost"} <= set(rows[0])
    summary = json.loads((tmp_path / "out" / "result.json").read_text())
    assert ["warnings" in p for p in summary["points"]] == [False, True, True]
    _, panels = result.plot()
    hollow = [line for line in panels[0].lines if line.get_markerfacecolor() == "white"]
    assert [len(line.get_xdata()) for line in hollow] == [2]


# ---------------------------------------------------------------- tilt, sequences, currents, loops


@pytest.mark.parametrize(
    ("direction", "axis", "across"),
    [("x", [0, 0, 1], 0), ("y", [0, 0, 1], 1), ("y", [1, 0, 0], 1), ("x", [0, 1, 0], 0)],
)
def test_tilt_zero_is_a_neel_wall_along_every_direction(direction, axis, across):
    mesh = LINE | {"shape": "film", "length": "60 nm", "width": "60 nm"}
    built = system(mesh=mesh, wall={"direction": direction, "axis": axis})
    m = initial_texture(built)
    centre = m[np.abs(built.space.positions[:, across]).argmin()]
    assert abs(centre[across]) == pytest.approx(1.0, abs=1e-12)
    _, zero, found = wall_frame(built)
    assert found == across
    assert zero[across] == pytest.approx(1.0)


def test_a_sequence_is_off_before_its_first_time_and_held_after_its_last():
    signal = Signal(shape="sequence", times=["50 ps", "100 ps"], values=[1, 3], start="10 ps")
    found = [signal.scale(t * 1e-12) for t in (0.0, 10.0, 59.9, 60.0, 85.0, 110.0, 500.0)]
    np.testing.assert_allclose(found, [0, 0, 0, 1, 2, 3, 3], rtol=1e-12)


def test_a_late_sequence_moves_nothing_before():
    late = {"shape": "sequence", "times": ["50 ps", "100 ps"], "values": [1, 1]}
    result = solved(
        duration="50 ps",
        mesh={"shape": "point", "length": "10 nm"},
        wall=None,
        magnet=MAGNET | {"anisotropy": "0 J/m^3"},
        initial={"direction": [1, 0, 0.01]},
        fields=[{"field": ["0 T", "0 T", "0.2 T"], "signal": late}],
    )
    assert result.numbers["late_range"]["m"].max() == 0.0


NO_EFFECT = "texture.current has no effect"


@pytest.mark.parametrize("base", [WALL, AFM])
def test_a_current_along_which_nothing_changes_is_said(base):
    sizes = {"polarisation": 0.5} if base is WALL else {"p_n": 0.5}
    along_y = {"density": ["0 A/m^2", "1e12 A/m^2", "0 A/m^2"]} | sizes
    along_x = {"density": ["1e12 A/m^2", "0 A/m^2", "0 A/m^2"]} | sizes
    point = {"shape": "point", "length": "10 nm"}
    free = base["magnet"] | ({"hard_anisotropy": "0 J/m^3"} if base is WALL else {})
    changes = [
        ({"current": along_y}, True),
        ({"current": along_x}, False),
        ({"current": along_x, "initial": {}, "wall": None}, True),
        ({"current": along_x, "initial": {}, "wall": None, "mesh": point}, True),
    ]
    for change, expected in changes:
        result = solved(base, duration="0.1 ps", output_interval="0.1 ps", magnet=free, **change)
        assert any(NO_EFFECT in w for w in result.warnings) is expected


def test_a_loop_that_is_not_saturated_says_so():
    """B_K = 2 K/M_s = 1 T: the moment stays up to 0.5 T and turns within 1.2 T."""
    loop = WALL | {
        "analysis": "hysteresis",
        "wall": None,
        "mesh": {"shape": "point", "length": "10 nm"},
        "initial": {"direction": [1, 0.2, 0.3]},
        "magnet": MAGNET,
    }
    for largest, direction, saturated in (
        ("0.5 T", [0, 0, 1], 0),
        ("1.2 T", [0, 0.02, 1], 1),
        ("0.5 T", [1, 0, 0], 1),
    ):
        options = {"direction": direction, "largest": largest, "points": 5}
        result = solved(loop, hysteresis=options)
        assert result.numbers["saturated"] == saturated
        assert any("minor loop" in w for w in result.warnings) is not bool(saturated)


# ---------------------------------------------------------------- accuracy of the stray field


def test_the_sum_of_demagnetizing_factors_tells_the_error_of_tetrahedra():
    """It is 1 for every body: what is missing is three times the error of a cube's factor."""
    magnet = Ferromagnet(saturation=8e5, exchange_stiffness=13e-12, damping=0.1)
    errors = []
    for cells in (4, 8):
        edges = np.linspace(0, 20, cells + 1)
        space = mesh_space(skfem.MeshTet.init_tensor(edges, edges, edges))
        term = boundary_demagnetization(space, magnet)
        up = np.tile([0.0, 0.0, 1.0], (space.size, 1))
        factor = 2 * term.energy(up, 0.0) / (term.strength * space.volume)
        assert term.trace == pytest.approx(3 * factor, rel=1e-9)
        errors.append(1 - term.trace)
    assert 0.05 < errors[0] < 0.08
    assert errors[1] < errors[0] / 2.8  # between first and second order


def test_a_coarse_stray_field_of_tetrahedra_is_said():
    mesh = {
        "shape": "box",
        "length": "20 nm",
        "width": "20 nm",
        "thickness": "20 nm",
        "cell": "5 nm",
        "triangles": True,
    }
    result = solved(
        mesh=mesh, magnetostatics="full", duration="1 fs", step="1 fs", initial={}, wall=None, magnet=MAGNET
    )
    assert any("6.7 % too small" in w for w in result.warnings)
    assert result.values["texture_facts.sum_of_demagnetizing_factors"] < 0.94


# ---------------------------------------------------------------- units


def test_numbers_keep_their_units_where_tables_are_copied():
    table = {"a": {"b": Number(2.0, "m")}, "c": 1.0, "d": np.zeros(3)}
    assert units_of(table) == {"a.b": "m"}
    again = pickle.loads(pickle.dumps(copy.deepcopy(table)))
    assert units_of(again) == {"a.b": "m"}
    assert again["a"]["b"] == 2.0


UNITLESS = {
    "texture.steps",
    "texture.switched",
    "texture.wall.lost",
    "texture_facts.nodes",
    "texture.rotation.turns",
    "texture.remanence",
    "texture.saturation",
    "texture.runs",
    "texture.saturated",
}


@pytest.mark.parametrize(
    "change",
    [
        {"rotation_axis": [0, 0, 1], "duration": "1 ps"},
        {"analysis": "relax"},
        {
            "analysis": "resonance",
            "resonance": {"modes": 2},
            "duration": "20 ps",
            "mesh": {"shape": "point", "length": "9 nm"},
            "initial": {},
            "wall": None,
        },
        {
            "analysis": "hysteresis",
            "hysteresis": {"largest": "1.2 T", "points": 5},
            "wall": None,
            "mesh": {"shape": "point", "length": "9 nm"},
            "initial": {"direction": [0.1, 0, 1]},
        },
    ],
    ids=["run", "relax", "resonance", "hysteresis"],
)
def test_every_number_of_a_texture_has_its_unit(change):
    result = solved(**change)
    vectors = (".m.", ".n.", "equilibrium.", "ring_down.nearest_mode", "ring_down.over_mode")
    for name in result.values:
        if name not in UNITLESS and not any(v in name for v in vectors):
            assert result.units.get(name), name
    assert result.table["units"] == result.units


def test_check_shows_units():
    table = texture_lengths(case(), None)
    assert table["wall_width"].unit == "m"
    assert table["walker_field"].unit == "T"
    assert table["spin_density"].unit == "J s/m^3"


def test_a_resumed_run_follows_the_same_wall(tmp_path):
    """What the track knows of the last output stands in a checkpoint."""
    track = WallTrack(Fixed(profile((-60, 0, 60))[0]), Wall(-60e-9, 5e-9, 0.0), 120e-9)
    assert track.follow(profile((59, 70))[1]) is None
    assert track.lost == "met"


# ---------------------------------------------------------------- other magnets of a device


TWO_MAGNETS = {
    "structure": {
        "dimension": 1,
        "layers": [
            {"region": "TmIG", "thickness": "3 nm", "cells": 2},
            {"region": "Pt", "thickness": "4 nm", "cells": 4},
            {"region": "YIG", "thickness": "3 nm", "cells": 2},
        ],
    },
    "regions": {
        "TmIG": {"kind": "FI"},
        "YIG": {"kind": "FI"},
        "Pt": {
            "kind": "HM",
            "conductivity": "3e6 S/m",
            "diffusion_constant": "5e-4 m^2/s",
            "spin_diffusion_length": "1.5 nm",
            "spin_hall_angle": 0.1,
        },
    },
    "interfaces": {
        f"Pt|{magnet}": {"G_s": "0 S/m^2", "G_r": "2e14 S/m^2", "G_i": "0 S/m^2"}
        for magnet in ("TmIG", "YIG")
    },
    "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
    "texture": {
        "kind": "ferromagnet",
        "region": "TmIG",
        "torque_source": "transport",
        "duration": "1 ps",
        "magnet": MAGNET | {"saturation_magnetization": "1e5 A/m"},
    },
}


def test_magnets_that_do_not_follow_the_texture_are_named_with_their_direction():
    words = "the moments of YIG rest along [0.0, 0.0, 1.0]"
    found = texture_lengths(case_from_table(copy.deepcopy(TWO_MAGNETS)), None)["warnings"]
    assert [words in w for w in found if "follows the texture" in w] == [True]
    given = copy.deepcopy(TWO_MAGNETS) | {"magnetization": {"direction": [1, 0, 0]}}
    found = texture_lengths(case_from_table(given), None)["warnings"]
    assert not any("follows the texture" in w for w in found)


def test_points_of_a_scan_keep_a_default_direction_a_default():
    table = copy.deepcopy(TWO_MAGNETS)
    table["scan"] = {"axes": {"texture.magnet.damping": [0.1, 0.2]}}
    _, point = ScanPoints(case_from_table(table))[0]
    assert "magnetization" not in point.model_fields_set


@pytest.mark.parametrize("kind", ["MeshLine", "MeshTri", "MeshQuad", "MeshTet", "MeshHex"])
def test_the_largest_turn_is_that_along_an_edge(kind):
    """A helix along x with 0.3 rad per cell."""
    mesh = getattr(skfem, kind)
    edges = np.arange(0.0, 4.0)
    dimension = {"MeshLine": 1, "MeshTri": 2, "MeshQuad": 2}.get(kind, 3)
    grid = mesh(edges) if dimension == 1 else mesh.init_tensor(*[edges] * dimension)
    space = mesh_space(grid)
    angle = 0.3 * space.positions[:, 0]
    m = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    assert space.largest_turn(m) == pytest.approx(0.3, rel=1e-12)
    assert space.cell_extents == pytest.approx(dict.fromkeys(range(dimension), 1.0))


# ---------------------------------------------------------------- velocities of a wall that left


def wall_rows(v=100.0, width=5e-9, end=50e-9, dt=1e-11):
    """Return rows of a wall at velocity v whose image pulls with v exp(-2d/width)."""
    rows, x, t = [], 0.0, 0.0
    while x < end - 0.5 * width:
        rows.append([t, x, width, 0.0, v])
        for _ in range(100):
            x += (v + 50 * v * np.exp(-2 * max(end - x, 0) / width)) * dt / 100
        t += dt
    return np.array(rows)


def test_velocities_of_a_wall_that_left_leave_out_the_pull_of_the_end():
    rows = wall_rows()
    assert np.abs(np.diff(rows[:, 1]) / np.diff(rows[:, 0])).max() > 110  # the pull is seen
    free = undisturbed(rows, "wall left")
    assert len(free) == np.sum(rows[-1, 1] - rows[:, 1] > 35e-9) > 5  # of 46 nm
    v = np.diff(free[:, 1]) / np.diff(free[:, 0])
    # 7 widths from the last row: d >= 7 widths, the pull is at most 50 exp(-14) of v.
    assert np.all(np.abs(v / 100.0 - 1) <= 50 * np.exp(-14))
    for stopped in ("time", "wall lost"):
        assert undisturbed(rows, stopped) is rows
    assert len(undisturbed(rows[-3:], "wall left")) == 0


def test_a_wall_that_left_has_the_velocity_of_one_far_from_the_end():
    """The same wall in a long and in a short magnet, which it leaves."""
    drive = {"fields": [{"field": ["0 T", "0 T", "40 mT"]}], "wall": {}}
    start = {"initial": {"type": "wall", "position": "-20 nm"}}
    short = solved(
        WALL, mesh=LINE | {"length": "120 nm"}, duration="1 ns", output_interval="2 ps", **drive, **start
    )
    numbers = short.numbers["wall"]
    assert numbers["lost"] == 1
    assert any("undisturbed_until" in w for w in short.warnings)
    until = float(numbers["undisturbed_until"])
    assert 0 < until < float(short.numbers["duration"])
    long = solved(
        WALL,
        mesh=LINE | {"length": "220 nm"},
        duration=f"{until!r} s",
        output_interval="2 ps",
        **drive,
        **start,
    )
    assert long.numbers["wall"]["lost"] == 0
    assert float(long.numbers["wall"]["undisturbed_until"]) == pytest.approx(until)
    for key in ("velocity", "largest_velocity"):
        assert float(numbers[key]) == pytest.approx(float(long.numbers["wall"][key]), rel=1e-3)
