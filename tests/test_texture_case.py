"""[texture] of a case file: messages, drives, initial states, meshes, checkpoints, commands."""

from __future__ import annotations

import copy
import json
import os
import random
import signal
import time
import tomllib
import warnings
from functools import partial
from pathlib import Path

import matplotlib.pyplot
import meshio
import numpy as np
import pytest
from marks import slow
from texture_setup import band_structures_once

from femspin import case_from_table, load_case
from femspin.case import dump_case, to_toml
from femspin.case.files import input_digest
from femspin.case.texture_drives import Signal
from femspin.cli.main import main
from femspin.errors import CaseError
from femspin.magnets import checkpoint as checkpoint_module
from femspin.magnets.torques import ExternalTorque
from femspin.results.texture_plots import plot_snapshot
from femspin.simulation import sweep
from femspin.studies.textures.keeper import Keeper
from femspin.studies.textures.motion import start_motion
from femspin.studies.textures.numbers import topological_charge
from femspin.studies.textures.simulate import simulate_texture
from femspin.studies.textures.states import initial_texture
from femspin.studies.textures.system import build_texture_system
from femspin.units import K_B

CASES = Path(__file__).parents[1] / "cases"

WALL = """
[texture]
kind = "ferromagnet"
duration = "40 ps"
output_interval = "1 ps"
checkpoint = "1 ns"
[texture.mesh]
shape = "line"
length = "160 nm"
cell = "2 nm"
[texture.magnet]
saturation_magnetization = "8e5 A/m"
exchange_stiffness = "13 pJ/m"
damping = 0.1
anisotropy = "4e5 J/m^3"
hard_anisotropy = "1e5 J/m^3"
[texture.initial]
type = "wall"
position = "-20 nm"
[texture.wall]
[texture.current]
density = ["-3e12 A/m^2", "0 A/m^2", "0 A/m^2"]
polarisation = 0.5
beta = 0.2
[output]
plots = false
"""

STAGGERED = """
[texture]
kind = "antiferromagnet"
duration = "4 ps"
output_interval = "0.1 ps"
checkpoint = "1 ns"
[texture.mesh]
shape = "line"
length = "160 nm"
cell = "2 nm"
[texture.magnet]
sublattice_magnetization = "4.25e5 A/m"
exchange_field = "100 T"
exchange_stiffness = "5 pJ/m"
damping = 0.01
anisotropy = "4.25e4 J/m^3"
[texture.initial]
type = "wall"
[texture.wall]
[texture.current]
density = ["2e12 A/m^2", "0 A/m^2", "0 A/m^2"]
p_n = 1.0
p_m = 0.5
beta = 0.1
tau_sd = "1 fs"
signal = { shape = "sine", frequency = "1 THz" }
[[texture.spin_orbit]]
polarisation = [0, 1, 0]
damping_like_rate = "1e9 1/s"
[output]
plots = false
"""


def merged(table: dict, change: dict) -> dict:
    """Return tables with those of `change` laid over them; a value of "-" removes the key."""
    table = copy.deepcopy(table)
    for key, value in change.items():
        if value == "-":
            table.pop(key)
        elif isinstance(value, dict) and isinstance(table.get(key), dict):
            table[key] = merged(table[key], value)
        else:
            table[key] = value
    return table


def case(change: str = "", base: str = WALL):
    return case_from_table(merged(tomllib.loads(base), tomllib.loads(change)))


# ---------------------------------------------------------------- messages

DEVICE = """
structure = { layers = [{ region = "YIG", thickness = "4 nm" }, { region = "Pt", thickness = "3 nm" }] }
regions.YIG.kind = "FI"
regions.Pt = { kind = "HM", material = "Pt" }
"""
SPINS = "texture.spin_orbit = [{ polarisation = [0, 1, 0]"

# What is changed, where the message must point, and what it must say.
BROKEN = {
    "typo": ("texture.durtion = '1 ns'", "texture.durtion", "did you mean 'duration'"),
    "typo in the magnet": ("texture.magnet.dampin = 0.1", "texture.magnet.dampin", "did you mean 'damping'"),
    "kind": ("texture.kind = 'ferrimagnet'", "texture.kind", "did you mean 'ferromagnet'"),
    "bare number": ("texture.duration = 1e-9", "texture.duration", "number and a unit of s"),
    "wrong unit": (
        "texture.magnet.exchange_stiffness = '1 J/m^2'",
        "texture.magnet.exchange_stiffness",
        "use J/m",
    ),
    "no mesh": ("texture.mesh = '-'", "texture.region", "either a region"),
    "both meshes": ("texture.region = 'YIG'", "texture.region", "either a region"),
    "unused device": (DEVICE, "structure", "not used"),
    "unknown region": (
        DEVICE + "texture.mesh = '-'\ntexture.region = 'YG'",
        "texture.region",
        "did you mean 'YIG'",
    ),
    "no M_s": (
        "texture.magnet.saturation_magnetization = '-'",
        "texture.magnet.saturation_magnetization",
        "is missing",
    ),
    "foreign constant": (
        "texture.magnet.exchange_field = '100 T'",
        "texture.magnet.exchange_field",
        "not for a texture of kind",
    ),
    "no P": ("texture.current.polarisation = '-'", "texture.current.polarisation", "is missing"),
    "p_n of a ferromagnet": (
        "texture.current.p_n = 1.0",
        "texture.current.p_n",
        "only for an antiferromagnet",
    ),
    "scheme": ("texture.scheme = 'rotor'", "texture.scheme", "allowed: auto, midpoint"),
    "temperature without step": ("texture.temperature = '300 K'", "texture.step", "needed"),
    "cells": ("texture.mesh.cell = ['1 nm', '1 nm']", "texture.mesh.cell", "1 meshed direction"),
    "too many nodes": (
        "texture.mesh.cell = '1e-11 m'\ntexture.mesh.length = '1e-3 m'",
        "texture.mesh.cell",
        "allowed 2000000",
    ),
    "wall axes": ("texture.wall.zero = [0, 0, 1]", "texture.wall.zero", "normal to axis"),
    "pulse": (
        "texture.current.signal = { shape = 'pulse' }",
        "texture.current.signal.length",
        'comes with shape = "pulse"',
    ),
    "sequence": (
        "texture.current.signal = { shape = 'sequence', times = ['0 s', '1 ns'], values = [0.0, 1.0, 2.0] }",
        "texture.current.signal.values",
        "as many",
    ),
    "two strengths": (
        f"{SPINS}, damping_like = '1 mT', spin_current = '1e10 A/m^2' }}]",
        "texture.spin_orbit.0.spin_current",
        "give one of",
    ),
    "no strength": (SPINS + " }]", "texture.spin_orbit.0.damping_like", "has no strength"),
    "analysis": ("texture.analysis = 'hysteresis'", "texture.hysteresis", "comes with"),
    "table without analysis": (
        "texture.hysteresis = { largest = '1 T' }",
        "texture.hysteresis",
        "comes with",
    ),
    "threshold path": (
        "texture.analysis = 'threshold'\ntexture.threshold = { vary = 'drive', low = '1 T', high = '2 T' }",
        "texture.threshold.vary",
        "below texture",
    ),
    "transport without device": (
        "texture.torque_source = 'transport'",
        "texture.torque_source",
        "needs a region",
    ),
    "file": ("texture.initial.type = 'file'", "texture.initial.file", "comes with"),
    "interval": ("texture.output_interval = '1 s'", "texture.output_interval", "at most"),
    "two motions": ("transient.duration = '1 ps'", "texture", "one of [dynamics]"),
}

BROKEN_STAGGERED = {
    "P of an antiferromagnet": (
        "texture.current.polarisation = 0.5",
        "texture.current.polarisation",
        "only for a ferromagnet",
    ),
    "no coefficient": ("texture.current.p_n = '-'", "texture.current.p_n", "p_n or band_struct"),
    "both": ("texture.current.band_structure = 'a.toml'", "texture.current.p_n", "give either"),
    "two exchanges": (
        "texture.magnet.homogeneous_exchange = '1e8 J/m^3'",
        "texture.magnet.homogeneous_exchange",
        "give either",
    ),
    "stray field": ("texture.magnetostatics = 'full'", "texture.magnetostatics", "no stray"),
    "heat": (
        "texture.temperature = '300 K'\ntexture.step = '1 fs'",
        "texture.temperature",
        "only for a ferromagnet",
    ),
}


@pytest.mark.parametrize(
    ("base", "name"), [(WALL, n) for n in BROKEN] + [(STAGGERED, n) for n in BROKEN_STAGGERED]
)
def test_what_is_wrong_is_said_in_one_line(base, name):
    change, path, words = (BROKEN if base is WALL else BROKEN_STAGGERED)[name]
    with pytest.raises(CaseError) as caught:
        case(change, base)
    assert caught.value.path == path
    assert words in caught.value.problem
    assert "\n" not in str(caught.value)


LATE = {
    "missing file": (
        "texture.initial = { type = 'file', file = 'no.npy' }",
        "texture.initial.file",
        "cannot be read",
    ),
    "wall outside": (
        "texture.initial.position = '90 nm'",
        "texture.initial.position",
        "from -80 to 80 nm along x; got 90 nm",
    ),
    "step too long": ("texture.step = '1 ns'", "texture.step", "stability limit"),
    "stray field of a line": ("texture.magnetostatics = 'full'", "texture.magnetostatics", "rectangles"),
    "line shape without drive": (
        "texture.analysis = 'line_shape'\ntexture.current = '-'\n"
        "texture.line_shape = { frequency = '5 GHz', low = '10 mT', high = '90 mT' }\n"
        "texture.initial = { type = 'uniform' }\ntexture.wall = '-'",
        "texture.spin_orbit",
        "nothing alternates",
    ),
    "threshold leads nowhere": (
        "texture.analysis = 'threshold'\n"
        "texture.threshold = { vary = 'texture.magnet.dampng.x', low = 0.1, high = 1.0 }",
        "texture.threshold.vary",
        "dampng: unknown key; did you mean 'damping'",
    ),
    "bands": (
        "texture.current.band_structure = 'no.toml'\ntexture.current.p_n = '-'\ntexture.current.p_m = '-'",
        "texture.current.band_structure",
        "no such case file",
    ),
}


@pytest.mark.parametrize("name", LATE)
def test_what_only_shows_with_the_mesh_is_said_in_one_line(name, tmp_path):
    change, path, words = LATE[name]
    base = STAGGERED if name in ("step too long", "bands") else WALL
    with pytest.raises(CaseError) as caught:
        simulate_texture(case(change, base), tmp_path)
    assert caught.value.path == path
    assert words in caught.value.problem


def test_other_commands_say_that_there_is_no_device(tmp_path, capsys):
    file = tmp_path / "wall.toml"
    file.write_text(WALL)
    for command in ("conductances", "smr"):
        assert main([command, str(file)]) == 2
        assert "texture" in capsys.readouterr().err


@pytest.mark.parametrize("base", [WALL, STAGGERED])
def test_a_resolved_case_loads_to_an_equal_case(base):
    first = case(base=base)
    assert case_from_table(tomllib.loads(to_toml(dump_case(first)))) == first


# ---------------------------------------------------------------- drives


def test_signals_are_what_their_keys_say():
    pulse = Signal(shape="pulse", start="1 ns", length="4 ns", rise="1 ns")
    assert [pulse.scale(t * 1e-9) for t in (0, 1, 1.5, 2, 4, 4.5, 5, 9)] == pytest.approx(
        [0, 0, 0.5, 1, 1, 0.5, 0, 0]
    )
    sine = Signal(shape="sine", frequency="1 GHz", phase="90 deg")
    assert sine.scale(0.25e-9) == pytest.approx(0.0, abs=1e-15)
    assert sine.scale(0.5e-9) == pytest.approx(-1.0)
    steps = Signal(shape="sequence", times=["0 s", "1 ns", "3 ns"], values=[0.0, 1.0, -1.0])
    assert [steps.scale(t * 1e-9) for t in (0, 0.5, 1, 2, 3, 8)] == pytest.approx([0, 0.5, 1, 0, -1, -1])
    assert Signal().constant


def test_strengths_of_spin_orbit_torque_are_converted_alike():
    """B_DL, w_D and J_s that mean the same give the same rate."""
    point = "texture.current = '-'\ntexture.mesh.thickness = '2 nm'\n"
    rates = []
    for strength in ("damping_like = '20.569 mT'", "spin_current = '1e11 A/m^2'"):
        system = build_texture_system(case(f"{point}{SPINS}, {strength} }}]"))
        rates.append(float(np.asarray(system.orbit()[0].damping_like)))
    assert rates[0] == pytest.approx(rates[1], rel=1e-4)  # the digits of B_DL


def test_fields_add_up_and_keep_their_own_times():
    fields = """
    [[texture.fields]]
    field = ["0 T", "0 T", "1 T"]
    [[texture.fields]]
    field = ["2 T", "0 T", "0 T"]
    signal = { shape = "pulse", length = "1 ns" }
    """
    system = build_texture_system(case(fields))
    np.testing.assert_allclose(system.field(None, 0.5e-9), [2, 0, 1])
    np.testing.assert_allclose(system.field(None, 2e-9), [0, 0, 1])
    np.testing.assert_allclose(system.steady_field, [0, 0, 1])


@pytest.fixture
def band_structures():
    """Work out every band structure once."""
    with band_structures_once():
        yield


@pytest.mark.usefixtures("band_structures")
def test_coefficients_can_be_read_from_a_result_of_afm_torques(tmp_path):
    bands = tmp_path / "square.toml"
    text = (CASES / "bands" / "afm_square.toml").read_text()
    bands.write_text(text[: text.index("[scan]")])
    assert main(["afm-torques", str(bands), "-q", "--set", "plots=false"]) == 0
    change = "texture.current.p_n = '-'\ntexture.current.p_m = '-'\ntexture.current.tau_sd = '-'\n"
    change += "texture.current.beta = '-'\ntexture.current.spin_relaxation_time = '100 fs'\n"
    found = []
    for name in ("square.toml", "square.out/coefficients.json"):
        system = build_texture_system(
            case(f"{change}texture.current.band_structure = '{name}'", STAGGERED), tmp_path
        )
        transfer = system.transfer()
        peak = [np.asarray(u(0.25e-12)) for u in (transfer.u_n, transfer.u_m, transfer.u_st)]
        found.append([*np.concatenate(peak), transfer.tau_sd, transfer.beta])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    assert found[0][-1] == pytest.approx(found[0][-2] / 100e-15)


@pytest.mark.slow
def test_thermal_motion_has_the_energy_of_equipartition():
    """<K V (m_x^2 + m_y^2)> = k_B T: half of it for each transverse component."""
    table = tomllib.loads(WALL)
    table["texture"] |= {
        "duration": "20 ns",
        "output_interval": "20 ps",
        "temperature": "100 K",
        "seed": 3,
        "step": "0.5 ps",
        "initial": {},
        "mesh": {"shape": "point", "length": "10 nm", "width": "10 nm", "thickness": "10 nm"},
    }
    table["texture"]["magnet"] |= {"hard_anisotropy": "0 J/m^3", "damping": 0.5}
    for key in ("wall", "current"):
        del table["texture"][key]
    result = simulate_texture(case_from_table(table))
    m = np.stack([result.history.column(f"m_{a}") for a in "xy"], axis=1)[50:]
    energy = 4e5 * 1e-24 * (m**2).sum(axis=1)
    # The samples are independent, 20 ps apart where m^2 forgets in 1/(2 alpha gamma B_K) = 6 ps;
    # the mean of an exponential distribution over n of them has the deviation 1/sqrt(n).
    samples = len(m)
    ratio = energy.mean() / (K_B * 100)
    anharmonic = K_B * 100 / (4e5 * 1e-24)
    assert abs(ratio - 1) < 4 / np.sqrt(samples) + anharmonic


@pytest.mark.slow
def test_a_torque_of_transport_enters_where_a_given_one_does():
    """The same torque, once given and once returned by a stand-in of the transport solver."""
    table = merged(tomllib.loads(WALL), tomllib.loads(DEVICE))
    table["structure"] |= {"dimension": 2, "width": "100 nm", "cells_x": 50}
    table["structure"]["lateral"] = "insulating"
    # The stages of Runge-Kutta are unit vectors, for which both forms are the same; adaptive
    # steps would go to the limit of stability, where what is rounded off grows.
    table["texture"] |= {"region": "YIG", "duration": "1 ps", "scheme": "runge_kutta"}
    table["texture"]["step"] = "2 fs"
    for key in ("mesh", "current"):
        del table["texture"][key]
    table["texture"]["initial"]["position"] = "50 nm"
    given = merged(table, tomllib.loads(f"{SPINS}, damping_like_rate = '1e10 1/s' }}]"))
    table["texture"]["torque_source"] = "transport"
    p = np.array([0.0, 1.0, 0.0])

    def transport(system):
        assert system.space.size > 51
        return ExternalTorque(lambda _, m: -1e10 * np.cross(m, np.cross(m, p)))

    first = simulate_texture(case_from_table(given)).frames[-1][1]["m"]
    second = simulate_texture(case_from_table(table), transport=transport).frames[-1][1]["m"]
    np.testing.assert_allclose(first, second, atol=1e-10)


# ---------------------------------------------------------------- initial states and meshes

FILM = """
[texture]
kind = "ferromagnet"
[texture.mesh]
shape = "film"
length = "60 nm"
width = "60 nm"
thickness = "1 nm"
cell = "1 nm"
[texture.magnet]
saturation_magnetization = "8e5 A/m"
exchange_stiffness = "13 pJ/m"
damping = 0.1
anisotropy = "8e5 J/m^3"
"""


def test_a_skyrmion_has_charge_minus_one_and_a_vortex_one_half():
    """Within the O(h^2/w^2) of the elements and what is left beyond the film."""
    table = "texture.initial = { type = 'skyrmion', radius = '10 nm' }"
    system = build_texture_system(case(table, FILM))
    error = (1.0 / 4.03) ** 2  # cell over wall width
    assert topological_charge(system.space, initial_texture(system)) == pytest.approx(-1.0, abs=error)
    table = "texture.initial = { type = 'vortex', radius = '4 nm', polarity = -1 }"
    m = initial_texture(build_texture_system(case(table, FILM)))
    charge = topological_charge(system.space, m)
    left = 4 / np.hypot(4, 30)  # m_z at the middle of the edges
    assert -0.5 < charge < -0.5 * (1 - left) + 0.02


def test_random_directions_follow_their_seed_and_relax_downhill():
    change = "[texture]\nanalysis = 'relax'\n[texture.initial]\ntype = 'random'\nseed = {}"
    small = FILM.replace("60 nm", "12 nm")
    first, second, other = (
        initial_texture(build_texture_system(case(change.format(s), small))) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.1
    start = build_texture_system(case(change.format(1), small))
    result = simulate_texture(case(change.format(1), small))
    assert result.numbers["energy"] < start.ferromagnet().energy(first)


def test_a_texture_starts_from_the_fields_of_a_result(tmp_path):
    first = simulate_texture(case())
    first.write(tmp_path / "out")
    last = len(first.frames) - 1
    change = f"texture.initial = {{ type = 'file', file = 'out/fields_{last:04d}.vtu' }}"
    system = build_texture_system(case(change.replace("type", "position = '0 nm', type")), tmp_path)
    np.testing.assert_allclose(initial_texture(system), first.frames[-1][1]["m"], atol=1e-12)


@pytest.mark.parametrize("triangles", [False, True])
@pytest.mark.parametrize("shape", ["line", "film", "box"])
def test_walls_rest_on_every_mesh_and_fields_read_back(shape, triangles, tmp_path):
    if shape == "line" and triangles:
        pytest.skip("a line has one kind of cell")
    sizes = 'width = "4 nm"\nthickness = "4 nm"\ncell = "2 nm"\n'
    mesh = f'[texture.mesh]\nshape = "{shape}"\nlength = "40 nm"\n{sizes}'
    change = f"{mesh}triangles = {str(triangles).lower()}\n"
    table = tomllib.loads(WALL)
    del table["texture"]["current"]
    table["texture"] |= {"duration": "4 ps", "frames": 2}
    table["texture"]["initial"]["position"] = "0 nm"
    table = merged(table, tomllib.loads(change))
    result = simulate_texture(case_from_table(table))
    assert abs(result.values["texture.wall.position"]) < 1e-11
    assert result.values["texture_facts.volume"] == pytest.approx(40e-9 * 16e-18)
    folder = result.write(tmp_path / "out")
    mesh = meshio.read(folder / "fields_0001.vtu")
    assert mesh.point_data["m"].shape == (len(mesh.points), 3)
    volumes = {"line": 40.0, "film": 160.0, "box": 640.0}
    assert np.ptp(mesh.points, axis=0).max() == pytest.approx(40.0)
    assert measure(mesh) == pytest.approx(volumes[shape])


def measure(mesh) -> float:
    """Return length, area or volume of a mesh by the corners of its cells in VTK order."""
    (block,) = mesh.cells
    p = mesh.points[block.data]
    if block.type == "line":
        return float(np.linalg.norm(p[:, 1] - p[:, 0], axis=1).sum())
    if block.type in ("triangle", "quad"):
        cross = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
        total = 0.5 * np.linalg.norm(cross, axis=1).sum()
        return float(total * (2 if block.type == "quad" else 1))
    third = p[:, 3] if block.type == "tetra" else p[:, 4]
    second = p[:, 2] if block.type == "tetra" else p[:, 3]
    triple = np.einsum("ij,ij->i", np.cross(p[:, 1] - p[:, 0], second - p[:, 0]), third - p[:, 0])
    return float(np.abs(triple).sum() / (6 if block.type == "tetra" else 1))


def test_the_magnet_may_be_a_region_of_a_device():
    """A 3D stack: the texture lives on the nodes of one layer."""
    table = tomllib.loads(WALL)
    del table["texture"]["mesh"]
    table["texture"]["region"] = "F"
    table["texture"] |= {"duration": "2 ps", "frames": 1}
    table["texture"]["initial"]["position"] = "30 nm"  # x starts at 0 in a stack
    table["structure"] = {
        "dimension": 3,
        "width": "60 nm",
        "depth": "4 nm",
        "cells_x": 30,
        "cells_y": 2,
        "lateral": "insulating",
        "layers": [
            {"region": "F", "thickness": "2 nm", "cells": 2},
            {"region": "Pt", "thickness": "2 nm", "cells": 2},
        ],
    }
    table["regions"] = {"F": {"kind": "FI"}, "Pt": {"kind": "HM", "material": "Pt"}}
    result = simulate_texture(case_from_table(table))
    assert result.space.size == 31 * 3 * 3
    assert result.values["texture_facts.volume"] == pytest.approx(60e-9 * 4e-9 * 2e-9)
    spins = merged(table, tomllib.loads(f"{SPINS}, spin_current = '1e11 A/m^2' }}]"))
    system = build_texture_system(case_from_table(spins))
    assert system.thickness == pytest.approx(2e-9)


def test_full_magnetostatics_turns_a_thin_square_into_the_plane():
    film = FILM.replace("60 nm", "10 nm").replace('anisotropy = "8e5 J/m^3"', "")
    change = (
        "texture.magnetostatics = 'full'\ntexture.analysis = 'relax'\n"
        "texture.initial.direction = [1, 0.3, 0.5]\ntexture.relax_torque = '0.1 mT'"
    )
    result = simulate_texture(case(change, film))
    assert abs(result.values["texture.final.m.z"]) < 1e-3


# ---------------------------------------------------------------- energy, stops


@pytest.mark.parametrize("scheme", ["midpoint", "runge_kutta", "rotor", "two_sublattice"])
def test_energy_never_rises_without_drive(scheme):
    base = STAGGERED if scheme in ("rotor", "two_sublattice") else WALL
    table = tomllib.loads(base)
    del table["texture"]["current"]
    table["texture"].pop("spin_orbit", None)
    table["texture"] |= {"scheme": scheme, "frames": 1}
    del table["texture"]["wall"]
    table["texture"]["initial"] = {"type": "random", "seed": 5}
    table["texture"]["mesh"]["length"] = "24 nm"
    if scheme == "two_sublattice":
        table["texture"] |= {"duration": "0.4 ps", "output_interval": "20 fs"}
    result = simulate_texture(case_from_table(table))
    energy = result.history.column("energy")
    assert np.diff(energy).max() < 1e-12 * np.abs(energy).max()
    assert energy[-1] < energy[0]


def test_both_models_of_an_antiferromagnet_agree_to_the_canting_squared():
    change = "texture.current = '-'\ntexture.duration = '1 ps'\ntexture.mesh.cell = '4 nm'\n"
    first = simulate_texture(case(change, STAGGERED))
    second = simulate_texture(case(change + "texture.scheme = 'two_sublattice'\n", STAGGERED))
    n = first.frames[-1][1]["n"]
    canting = np.linalg.norm(first.frames[-1][1]["m"], axis=1).max()
    # (n, m) drops what is of order B_A/B_E = 1e-3 and m^2.
    assert np.abs(n - second.frames[-1][1]["n"]).max() < 1e-3 + canting**2


def test_a_run_stops_when_it_has_switched_or_relaxed():
    drive = "texture.initial = { type = 'uniform', direction = [0.02, 0, 1], position = '0 nm' }\n"
    drive += "texture.current = '-'\ntexture.wall = '-'\ntexture.mesh.length = '4 nm'\n"
    field = "[[texture.fields]]\nfield = ['0 T', '0 T', '-2 T']\n"
    result = simulate_texture(case(drive + "texture.duration = '1 ns'\ntexture.stop = 'switched'\n" + field))
    assert result.numbers["stopped"] == "switched"
    assert result.values["texture.duration"] < 1e-9
    assert result.values["texture.switching_time"] < result.values["texture.duration"]
    result = simulate_texture(
        case(drive + "texture.duration = '9 ns'\ntexture.stop = 'relaxed'\ntexture.relax_torque = '1 mT'\n")
    )
    assert result.numbers["stopped"] == "relaxed"
    assert result.values["texture.unrest"] < 1e-3


def test_a_wall_that_leaves_ends_the_run_with_a_warning():
    result = simulate_texture(case("texture.initial.position = '70 nm'\ntexture.duration='2 ns'"))
    assert result.numbers["stopped"] == "wall left"
    assert "end of the magnet" in result.warnings[0]


# ---------------------------------------------------------------- checkpoints


def hot_wall():
    return case("texture.temperature = '100 K'\ntexture.step = '0.2 ps'\ntexture.duration='20 ps'")


RUNS = {
    "midpoint": lambda: case(),
    "runge_kutta": lambda: case("texture.scheme = 'runge_kutta'"),
    "thermal": hot_wall,
    "rotor": lambda: case(base=STAGGERED),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize(
    ("name", "moments"), [(n, 2 if n == "midpoint" else 1) for n in RUNS] + [slow(n, 5) for n in RUNS]
)
def test_a_killed_run_resumes_to_the_same_numbers(name, moments, tmp_path):
    """Random moments for each of four kinds of run: the same history bit for bit."""
    this = RUNS[name]()
    began = time.perf_counter()
    reference = simulate_texture(this)
    seconds = time.perf_counter() - began
    rng = random.Random(name)
    resumed = 0
    for k in range(moments):
        path = tmp_path / f"{k}.checkpoint"
        # The first one late, so that there is a checkpoint whatever the load of the machine.
        killed_run(this, path, (rng.uniform(0.1, 1.0) if k else 1.0) * seconds)
        keeper = Keeper(path, this, 1e-9, resuming=True)
        resumed += keeper.load() is not None
        result = simulate_texture(this, keeper=keeper)
        np.testing.assert_array_equal(result.history.rows, reference.history.rows)
        np.testing.assert_array_equal(result.wall.rows, reference.wall.rows)
        for (t, fields), (t0, fields0) in zip(result.frames, reference.frames, strict=True):
            assert t == t0
            for key, values in fields.items():
                np.testing.assert_array_equal(values, fields0[key])
        assert result.numbers["steps"] == reference.numbers["steps"]
    assert resumed > 0


def killed_run(this, path: Path, seconds: float) -> None:
    """Run a case in a process that is killed after a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of the test runner
        child = os.fork()
    if child == 0:
        try:
            simulate_texture(this, keeper=Keeper(path, this, 1e-9))
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_checkpoints_work_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "find_spec", lambda name: None)
    this = case("texture.duration = '4 ps'")
    keeper = Keeper(tmp_path / "a.checkpoint", this, 1e-9)
    reference = simulate_texture(this, keeper=keeper)
    assert keeper.file.suffix == ".npz"
    again = simulate_texture(this, keeper=Keeper(keeper.path, this, 1e-9, resuming=True))
    np.testing.assert_array_equal(again.history.rows, reference.history.rows)


def test_a_checkpoint_replaces_one_of_the_other_form(tmp_path, monkeypatch):
    """Else a resumed run would take up the older of the two."""
    this = case("texture.duration = '4 ps'")
    keeper = Keeper(tmp_path / "a.checkpoint", this, 1e-9)
    for form in (None, checkpoint_module.find_spec, None):
        with monkeypatch.context() as patch:
            if form is None:
                patch.setattr(checkpoint_module, "find_spec", lambda name: None)
            simulate_texture(this, keeper=keeper)
            written = keeper.file
        assert [p.name for p in tmp_path.iterdir()] == [written.name]
    assert written.suffix == ".npz"


def test_a_checkpoint_in_hdf5_names_the_extra_where_h5py_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "find_spec", lambda name: None)
    this = case("texture.duration = '4 ps'")
    keeper = Keeper(tmp_path / "a.checkpoint", this, 1e-9, resuming=True)
    keeper.path.with_suffix(".h5").write_bytes(b"")
    with pytest.raises(CaseError, match=r"a\.h5 needs h5py; pip install 'femspin\[textures\]'"):
        simulate_texture(this, keeper=keeper)
    extras = tomllib.loads((CASES.parent / "pyproject.toml").read_text())
    extras = extras["project"]["optional-dependencies"]
    assert any(line.startswith("h5py") for line in extras["textures"])


def test_a_checkpoint_of_another_case_is_refused(tmp_path):
    this, other = case("texture.duration = '4 ps'"), case("texture.duration = '5 ps'")
    keeper = Keeper(tmp_path / "a.checkpoint", this, 1e-9)
    simulate_texture(this, keeper=keeper)
    with pytest.raises(CaseError, match="another case"):
        simulate_texture(other, keeper=Keeper(keeper.path, other, 1e-9, resuming=True))


def test_a_checkpoint_is_refused_when_a_file_that_the_case_reads_has_changed(tmp_path):
    start = initial_texture(build_texture_system(case()))
    np.save(tmp_path / "start.npy", start)
    change = "texture.initial = { type = 'file', file = 'start.npy', position = '-' }\n"
    this = case(change + "texture.duration = '2 ps'")
    keeper = Keeper(tmp_path / "a.checkpoint", this, 1e-9, folder=tmp_path)
    simulate_texture(this, tmp_path, keeper=keeper)
    taken_up = Keeper(keeper.path, this, 1e-9, resuming=True, folder=tmp_path)
    assert taken_up.load() is not None
    np.save(tmp_path / "start.npy", -start)
    changed = Keeper(keeper.path, this, 1e-9, resuming=True, folder=tmp_path)
    with pytest.raises(CaseError, match="another case"):
        changed.load()


@pytest.mark.parametrize("name", ["start.npy", "bands/coefficients.json", "bands/result.json"])
def test_the_digest_follows_the_content_of_every_file_that_a_case_reads(name, tmp_path):
    """The exchange time of a band structure comes from the result beside its coefficients."""
    change = "texture.initial = { type = 'file', file = 'start.npy' }\n" + "".join(
        f"texture.current.{key} = '-'\n" for key in ("p_n", "p_m", "tau_sd")
    )
    this = case(change + "texture.current.band_structure = 'bands/coefficients.json'", STAGGERED)
    (tmp_path / "bands").mkdir()
    for file in ("start.npy", "bands/coefficients.json", "bands/result.json"):
        (tmp_path / file).write_text("first")
    before = input_digest(this, tmp_path)
    assert input_digest(this, tmp_path) == before != ""
    (tmp_path / name).write_text("second")
    assert input_digest(this, tmp_path) != before


# ---------------------------------------------------------------- command line


def test_command_runs_checks_and_scans_a_texture(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("femspin.cli.scan.sweep", partial(sweep, here=True))
    file = tmp_path / "wall.toml"
    text = WALL.replace("40 ps", "4 ps").replace("plots = false", "plots = true")
    file.write_text(text + '[expected]\n"texture.duration" = { value = 4e-12, rtol = 1e-9 }\n')
    assert main(["check", str(file)]) == 0
    assert "wall_width" in capsys.readouterr().out
    assert main(["run", str(file)]) == 0
    out = capsys.readouterr().out
    assert "wall.velocity" in out
    assert "expected numbers are reproduced" in out
    folder = tmp_path / "wall.out"
    names = {p.name for p in folder.iterdir()}
    assert {"history.png", "wall.png", "snapshot.png", "history.csv", "wall.csv"} <= names
    assert not list(tmp_path.glob("*.checkpoint*"))
    table = json.loads((folder / "result.json").read_text())
    assert table["texture"]["stopped"] == "time"
    rows = np.loadtxt(folder / "history.csv", delimiter=",", skiprows=1)
    assert rows.shape == (5, 8)
    assert (
        main(
            [
                "run",
                str(folder / "case.toml"),
                "-o",
                str(tmp_path / "again"),
                "-q",
                "--set",
                "output.plots=false",
            ]
        )
        == 0
    )
    again = np.loadtxt(tmp_path / "again" / "history.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(rows, again)
    text = text.replace("plots = true", "plots = false")
    file.write_text(text + '[scan.axes]\n"texture.magnet.damping" = [0.1, 0.2]\n')
    assert main(["run", str(file), "-o", str(tmp_path / "scan"), "-q"]) == 0
    head = (tmp_path / "scan" / "table.csv").read_text().splitlines()[0]
    assert "texture.wall.velocity" in head


def test_resume_says_when_there_is_nothing_to_resume(tmp_path, capsys):
    file = tmp_path / "wall.toml"
    file.write_text(WALL.replace("40 ps", "2 ps"))
    assert main(["run", str(file), "--resume", "-q"]) == 0
    assert "starting from the beginning" in capsys.readouterr().err
    assert main(["run", str(CASES / "texture_st_fmr.toml"), "--resume", "-o", str(tmp_path / "x")]) == 2
    assert "keeps no checkpoint" in capsys.readouterr().err
    assert main(["run", str(CASES / "yig_pt.toml"), "--resume", "-o", str(tmp_path / "x")]) == 2
    assert "only a case with [texture]" in capsys.readouterr().err


def test_expected_numbers_that_fail_are_named(tmp_path, capsys):
    file = tmp_path / "wall.toml"
    file.write_text(WALL.replace("40 ps", "2 ps") + '[expected]\n"texture.duration" = 1.0\n')
    assert main(["run", str(file), "-q"]) == 1
    assert "FAILED: expected texture.duration = 1" in capsys.readouterr().err


def test_a_misspelt_expected_number_is_named_and_the_result_kept(tmp_path, capsys):
    file = tmp_path / "wall.toml"
    file.write_text(WALL.replace("40 ps", "2 ps") + '[expected]\n"texture.durtion" = 1.0\n')
    assert main(["run", str(file), "-q"]) == 2
    assert "did you mean 'texture.duration'" in capsys.readouterr().err
    assert (tmp_path / "wall.out" / "result.json").is_file()


@pytest.mark.parametrize(("width", "points"), [("2 nm", True), ("40 nm", False)])
def test_a_strip_is_drawn_as_components_of_its_nodes_and_a_film_as_a_plane(width, points):
    base = WALL.replace('shape = "line"', f'shape = "film"\nwidth = "{width}"\nthickness = "1 nm"')
    system = build_texture_system(case("texture.duration = '4 ps'", base))
    m = initial_texture(system)
    figure, axis = plot_snapshot(system.space, {"m": m})
    lines = axis.get_lines()
    assert len(lines) == (3 if points else 0)
    for a, line in enumerate(lines):
        order = np.lexsort((m[:, a], system.space.positions[:, 0]))
        assert sorted(line.get_ydata()) == sorted(m[order, a])
        assert len(line.get_xdata()) == system.space.size
    matplotlib.pyplot.close(figure)


def test_motions_choose_the_scheme_that_suits_them():
    names = {}
    for key, base in (("wall", WALL), ("afm", STAGGERED), ("point", WALL)):
        table = tomllib.loads(base)
        if key == "point":
            del table["texture"]["current"], table["texture"]["wall"]
            table["texture"]["mesh"] = {"shape": "point", "length": "10 nm"}
            table["texture"]["initial"] = {}
        system = build_texture_system(case_from_table(table))
        motion, _ = start_motion(system, initial_texture(system))
        names[key] = type(motion.scheme).__name__
    assert names == {"wall": "Midpoint", "afm": "Rotor", "point": "RungeKutta"}


def test_shipped_cases_load():
    for path in CASES.glob("texture_*.toml"):
        assert load_case(path).texture is not None
