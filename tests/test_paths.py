"""One way to name a value of a case and a number of a result, wherever it is named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import femspin
from femspin import Case, CaseError, build_device, case_from_table, load_case, simulate
from femspin.case.load import dump_case, set_key
from femspin.case.names import number_name, path_parts
from femspin.case.parameters import find_parameter, with_parameters
from femspin.case.paths import resolved_path
from femspin.cli.main import main
from femspin.errors import closest
from femspin.materials.parameters import complete_case
from femspin.results.texture_result import TextureResult
from femspin.studies.sensitivity.elements import choose_outputs, choose_parameters
from femspin.studies.sweep import ScanResult, scan_points

ROOT = Path(__file__).parents[1]
STACK = """
[structure]
layers = [
    { region = "YIG", thickness = "4 nm" },
    { region = "Pt", thickness = "5 nm", cells = 6 },
]
[regions.YIG]
kind = "FI"
[regions.Pt]
kind = "HM"
material = "Pt"
[interfaces."Pt|YIG"]
G_r = "-1e13 S/m^2"
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
[magnetization]
direction = [1, 0, 0]
[solver]
method = "stack"
[output]
fields = false
plots = false
"""
SCAN = """
[scan]
columns = ["interfaces.YIG|Pt.spin_current.y"]
[scan.axes]
"structure.layers.Pt.thickness" = ["2 nm", "5 nm"]
"""
MACROSPIN = """
[texture]
kind = "ferromagnet"
duration = "10 ps"
[texture.mesh]
shape = "point"
length = "10 nm"
[texture.magnet]
saturation_magnetization = "1e6 A/m"
exchange_stiffness = "10 pJ/m"
damping = 0.1
[[texture.fields]]
field = ["0 T", "0 T", "1 T"]
[texture.initial]
direction = [1, 0, 0.1]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "case.toml"
    path.write_text(STACK)
    return path


PATHS = [
    ("structure.layers.Pt.thickness", ("structure", "layers", "1", "thickness")),
    ("structure.layers.1.thickness", ("structure", "layers", "1", "thickness")),
    ("interfaces.Pt|YIG.G_r", ("interfaces", "Pt|YIG", "G_r")),
    ('interfaces."YIG|Pt".G_r', ("interfaces", "Pt|YIG", "G_r")),
    ("interfaces.'Pt|YIG'.G_r", ("interfaces", "Pt|YIG", "G_r")),
    ("drive.electric_field.0", ("drive", "electric_field", "0")),
    ("drive.electric_field.x", ("drive", "electric_field", "0")),
]


@pytest.mark.parametrize(("name", "parts"), PATHS)
def test_a_path_means_the_same_in_set_scans_fits_and_sensitivities(name, parts, file):
    case = load_case(file)
    table = dump_case(case)
    assert resolved_path(name, table, "here", Case) == parts
    value = "1e12 S/m^2" if parts[-1] == "G_r" else "3e-9 m" if "layers" in parts else "7 V/m"
    changed = load_case(file, [f"{name}={value}"])
    by_scan = scan_points(case_from_table({**table, "scan": {"axes": {name: [value]}}}))[0][1]
    assert changed == by_scan != case
    complete, _ = complete_case(case)
    parameter = find_parameter(complete, name)
    assert choose_parameters(complete, [name]) == (parameter,)
    assert path_parts(parameter.path) == parts


def test_patterns_of_parameters_name_layers_by_their_region(file):
    complete, _ = complete_case(load_case(file))
    found = choose_parameters(complete, ["structure.layers.Pt.*"])
    assert [p.path for p in found] == ["structure.layers.1.thickness"]


def test_a_layer_that_stands_twice_is_named_by_its_position():
    table = {"structure": {"layers": [{"region": "Pt"}, {"region": "F"}, {"region": "Pt"}]}}
    with pytest.raises(CaseError, match=r"has 'Pt' 2 times; say which, by its position: 0, 2"):
        set_key(table, "structure.layers.Pt.thickness=1 nm")
    set_key(table, "structure.layers.2.thickness=1 nm")
    assert table["structure"]["layers"][2] == {"region": "Pt", "thickness": "1 nm"}


@pytest.mark.parametrize(
    "name",
    [
        "interfaces.Pt|YIG.spin_current.y",
        "interfaces.YIG|Pt.spin_current.y",
        'interfaces."Pt|YIG".spin_current.y',
        "interfaces.Pt|YIG.spin_current.1",
    ],
)
def test_a_number_of_the_result_has_one_name_everywhere(name, file, capsys):
    values = simulate(file).values
    right = "interfaces.Pt|YIG.spin_current.y"
    assert number_name(name, values) == right
    assert choose_outputs([name], values) == (right,)
    file.write_text(STACK + f"[expected]\n'{name}' = {values[right]!r}\n")
    assert main(["run", str(file)]) == 0
    assert "all 1 expected numbers are reproduced" in capsys.readouterr().out


def test_expected_numbers_of_a_case_changed_by_set_are_not_passed_over_in_silence(file, capsys):
    file.write_text(STACK + "[expected]\n'interfaces.Pt|YIG.spin_current.y' = 1.0\n")
    assert main(["run", str(file), "--set", "drive.temperature=20 K"]) == 0
    assert "1 of 1 [expected] numbers differ" in capsys.readouterr().err
    file.write_text(STACK + "[expected]\n'interfaces.Pt|YIG.spin_curent.y' = 1.0\n")
    assert main(["run", str(file), "--force", "--set", "drive.temperature=20 K"]) == 2
    assert "did you mean" in capsys.readouterr().err


# ---------------------------------------------------------------- simulate


def test_simulate_takes_a_path_or_a_case(file):
    right = simulate(load_case(file)).values
    assert simulate(str(file)).values == right
    assert simulate(file).values == right


def test_simulate_solves_all_points_of_a_scan(file):
    file.write_text(STACK + SCAN)
    told = []
    found = simulate(file, progress=told.append)
    assert isinstance(found, ScanResult)
    assert told[-1] == 1.0
    column = {c.name: c.values for c in found.table}["interfaces.Pt|YIG.spin_current.y"]
    for k, thickness in enumerate(["2 nm", "5 nm"]):
        table = dump_case(load_case(file, [f"structure.layers.Pt.thickness={thickness}"]))
        del table["scan"]
        one = simulate(case_from_table(table)).values["interfaces.Pt|YIG.spin_current.y"]
        # One batch of the exact solver and one point alone: round-off.
        np.testing.assert_allclose(column[k], one, rtol=1e-12)
    assert [p.name for p in file.parent.iterdir()] == ["case.toml"]


def test_simulate_gives_the_result_of_a_texture(file):
    file.write_text(MACROSPIN)
    found = simulate(file)
    assert isinstance(found, TextureResult)
    assert found.values["texture.duration"] == pytest.approx(1e-11)


def test_simulate_names_the_function_for_other_files(file):
    file.write_text('case = "a.toml"\n[parameters]\n[[data]]\n')
    with pytest.raises(CaseError, match=r"femspin fit.*femspin\.fit"):
        simulate(file)
    file.write_text('[lattice]\nkind = "square"\n')
    with pytest.raises(CaseError, match=r"femspin afm-torques.*femspin\.bands\.study\.study"):
        simulate(file)


def test_files_are_found_beside_the_case_wherever_python_runs(tmp_path, monkeypatch):
    states = tmp_path / "beside"
    states.mkdir()
    np.save(states / "start.npy", np.tile([1.0, 0.0, 0.1], (1, 1)))
    text = MACROSPIN.replace("direction = [1, 0, 0.1]", 'type = "file"\nfile = "start.npy"')
    (states / "case.toml").write_text(text)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    relative = os.path.relpath(states / "case.toml")
    case = femspin.load_case(relative)
    monkeypatch.chdir(tmp_path)  # what the path was relative to must not matter any more
    moved = simulate(case).values
    (elsewhere / "case.toml").write_text(MACROSPIN)
    assert moved["texture.final.m.z"] == simulate(elsewhere / "case.toml").values["texture.final.m.z"]


def test_the_mesh_of_a_case_is_found_beside_it(tmp_path, monkeypatch):
    case = Path(__file__).parents[1] / "cases" / "hall_bar.toml"
    monkeypatch.chdir(tmp_path)
    device = build_device(load_case(case))
    assert "Pt" in device.kinds


# ---------------------------------------------------------------- vectors that are left out


@pytest.mark.parametrize(
    ("setting", "parts", "list_"),
    [
        ("drive.magnetic_field.z=1 T", ("drive", "magnetic_field"), ["0.0 T", "0.0 T", "1 T"]),
        ("drive.electric_field.0=1 V/m", ("drive", "electric_field"), ["1 V/m", "0.0 V/m", "0.0 V/m"]),
        ("magnetization.direction.x=1", ("magnetization", "direction"), [1, 0.0, 1.0]),
        (
            "texture.magnet.cubic_axes.0.y=1",
            ("texture", "magnet", "cubic_axes"),
            [[1.0, 1, 0.0], [0.0, 1.0, 0.0]],
        ),
        (
            "regions.F.soc.strain.x.x=0.1",
            ("regions", "F", "soc", "strain"),
            [[0.1, 0.0, 0.0], [0.0] * 3, [0.0] * 3],
        ),
        (
            "interfaces.F|Pt.conductance.0.1=1 S/m^2",
            ("interfaces", "F|Pt", "conductance"),
            [["0.0 S/m**2", "1 S/m^2", "0.0 S/m**2"], ["0.0 S/m**2"] * 3, ["0.0 S/m**2"] * 3],
        ),
    ],
)
def test_a_component_of_a_vector_that_is_left_out_starts_from_its_default(setting, parts, list_):
    table = {"regions": {"F": {"kind": "F"}}}
    set_key(table, setting)
    for part in parts:
        table = table[part]
    assert table == list_


@pytest.mark.parametrize(
    "path",
    [
        "regions.F.override.gauge.x.y",
        "regions.F.override.hall_angles.z",
        "texture.wall.zero.x",
        "regions.F.polarisation.z",
        "structure.layers.0.cells",
        "texture.resonance.kick_axis.x",
    ],
)
def test_what_is_computed_where_it_is_left_out_does_not_start_from_zero(path):
    table = {"regions": {"F": {"kind": "F"}}}
    with pytest.raises(CaseError, match=r"is not in the case, and what is left out is no zero"):
        set_key(table, f"{path}=1")


def test_a_scan_along_a_field_that_the_case_leaves_out_sets_it(file):
    assert load_case(file).drive.magnetic_field is None
    axis = '[scan]\n[scan.axes]\n"drive.magnetic_field.z" = ["1 T", "2 T"]\n'
    file.write_text(STACK + axis + '"magnetization.direction.x" = [0.5]\n')
    found = [case for _, case in scan_points(load_case(file))]
    assert [c.drive.magnetic_field for c in found] == [[0, 0, 1], [0, 0, 2]]
    assert [c.magnetization.direction for c in found] == [[0.5, 0, 0]] * 2


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("drive.magnetic_field.z", "is not set in the case; give it the value there"),
        ("regions.Pt.spin_diffusion_lenght", "did you mean 'regions.Pt.spin_diffusion_length'?"),
        ("regions.pt.spin_hall_angle", "no region 'pt'; did you mean 'Pt'?"),
        ("regions.Pt.soc", "is a table; name a number in it, as rashba"),
        ("drive.electric_field", "stands for several numbers; name one of them: drive.electric"),
    ],
)
def test_what_is_no_parameter_is_said_with_what_is_near(path, words, file):
    complete, _ = complete_case(load_case(file))
    with pytest.raises(CaseError) as error:
        find_parameter(complete, path)
    assert words in str(error.value)
    with pytest.raises(CaseError) as error:
        choose_parameters(complete, [path])
    assert words in str(error.value)
    if "lenght" not in path and path != "regions.Pt.soc":
        with pytest.raises(CaseError) as error:
            with_parameters(complete, {path: 1.0})
        assert words in str(error.value)


def test_a_misspelt_region_is_no_new_region(file, capsys):
    assert main(["check", str(file), "--set", "regions.pt.spin_hall_angle=0.2"]) == 2
    assert "--set: no region 'pt'; did you mean 'Pt'? the case has" in capsys.readouterr().err


def test_the_closest_word_is_found_whatever_its_case():
    assert closest("PT", ["Pt", "Ta"]) == "; did you mean 'Pt'?"
    assert closest("eus", ["EuS", "YIG"]) == "; did you mean 'EuS'?"
    assert closest("g_R", ["g_r", "G_R", "G_r"]) == "; did you mean 'g_r'?"
    assert closest("xyz", ["Pt"], "allowed: Pt") == "; allowed: Pt"
    assert closest("pt", ["Pt"], "allowed: Pt") == "; did you mean 'Pt'? allowed: Pt"
    assert closest("xyz", ["Pt"]) == ""


def test_a_case_built_in_python_equals_that_of_the_same_tables():
    built = femspin.Case(
        regions={"Pt": femspin.Region(kind="HM", material="Pt"), "YIG": femspin.Region(kind="FI")},
        structure=femspin.Stack(
            layers=[
                femspin.Layer(region="YIG", thickness="10 nm"),
                femspin.Layer(region="Pt", thickness="5 nm"),
            ]
        ),
    )
    table = {
        "regions": {"Pt": {"kind": "HM", "material": "Pt"}, "YIG": {"kind": "FI"}},
        "structure": {
            "layers": [{"region": "YIG", "thickness": "10 nm"}, {"region": "Pt", "thickness": "5 nm"}]
        },
    }
    assert built == case_from_table(table)


def test_a_case_with_other_values_keeps_its_folder_and_the_rest():
    case = load_case(ROOT / "cases/eus_pt.toml")
    other = case.with_values({"structure.layers.Pt.thickness": "7 nm", "drive.temperature": "20 K"})
    assert other.folder == case.folder
    assert other.structure.layers[-1].thickness == pytest.approx(7e-9, rel=1e-15)
    assert other.drive.temperature == 20
    assert (
        other.with_values(
            {
                "structure.layers.Pt.thickness": f"{case.structure.layers[-1].thickness!r} m",
                "drive.temperature": f"{case.drive.temperature!r} K",
            }
        )
        == case
    )


def test_a_value_that_is_not_allowed_names_its_path():
    case = load_case(ROOT / "cases/eus_pt.toml")
    with pytest.raises(CaseError, match=r"drive.temperature: .*unit"):
        case.with_values({"drive.temperature": 20})
    with pytest.raises(CaseError, match=r"did you mean 'Pt'\?"):
        case.with_values({"regions.pt.dos": "1e47 1/(J*m^3)"})


def test_quantities_of_pint_are_read_like_their_text():
    import pint

    unit = pint.UnitRegistry()
    case = load_case(ROOT / "cases/eus_pt.toml")
    text = case.with_values({"structure.layers.Pt.thickness": "0.6 nm"})
    assert case.with_values({"structure.layers.Pt.thickness": 6 * unit.angstrom}) == text
