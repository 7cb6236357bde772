"""`femspin check` refuses what `femspin run` refuses and warns as it does, without a run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from marks import slow

from femspin import CaseError, case_from_table, load_case, simulate
from femspin.case.messages import one_per_kind
from femspin.cli import rehearsal
from femspin.cli.main import main
from femspin.cli.rehearsal import rehearse
from femspin.device.observables.quantity import numbers_of
from femspin.simulation import sweep
from femspin.studies.sweep import scan_points

CASES = Path(__file__).parents[1] / "cases"
STACK = """
[structure]
dimension = 1
layers = [{ region = "M", thickness = "2 nm" }, { region = "Pt", thickness = "5 nm" }]
[regions.M]
kind = "FI"
magnet = { saturation_magnetization = "1.4e5 A/m", damping = 0.01 }
[regions.Pt]
kind = "HM"
conductivity = "2e6 S/m"
dos = "5e47 1/(J*m^3)"
spin_diffusion_length = "1.5 nm"
spin_hall_angle = 0.1
[interfaces."Pt|M"]
G_r = "-2e12 S/m^2"
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
magnetic_field = ["0 T", "0 T", "0.1 T"]
[magnetization]
direction = [1, 0, 1]
[output]
fields = false
plots = false
"""
LINE = """
[texture]
kind = "ferromagnet"
duration = "20 ps"
output_interval = "1 ps"
[texture.mesh]
shape = "line"
length = "60 nm"
width = "20 nm"
thickness = "1 nm"
cell = "2 nm"
[texture.magnet]
saturation_magnetization = "1e6 A/m"
exchange_stiffness = "15 pJ/m"
damping = 0.3
anisotropy = "1e6 J/m^3"
[texture.initial]
type = "wall"
[texture.wall]
[output]
fields = false
plots = false
"""
POINT = """
[texture]
kind = "ferromagnet"
duration = "200 ps"
output_interval = "2 ps"
[texture.mesh]
shape = "point"
length = "20 nm"
[texture.magnet]
saturation_magnetization = "1e6 A/m"
exchange_stiffness = "15 pJ/m"
damping = 0.1
anisotropy = "1e5 J/m^3"
[output]
fields = false
plots = false
"""
ANTI = POINT.replace('"ferromagnet"', '"antiferromagnet"').replace(
    'saturation_magnetization = "1e6 A/m"', 'sublattice_magnetization = "4e5 A/m"\nexchange_field = "100 T"'
)
SINE = """
[[texture.spin_orbit]]
polarisation = [0, 1, 0]
damping_like = "1 mT"
field_like = "0.5 mT"
signal = { shape = "sine", frequency = "20 GHz" }
[texture.line_shape]
frequency = "20 GHz"
low = "0.2 T"
high = "1 T"
"""

COUPLED = """
[structure]
layers = [{ region = "M", thickness = "2 nm" }, { region = "Pt", thickness = "4 nm", cells = 3 }]
[regions.M]
kind = "FI"
[regions.Pt]
kind = "HM"
material = "Pt"
[interfaces."Pt|M"]
G_r = "-1e14 S/m^2"
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
[texture]
kind = "ferromagnet"
region = "M"
torque_source = "transport"
duration = "5 ps"
[texture.magnet]
saturation_magnetization = "1e6 A/m"
exchange_stiffness = "10 pJ/m"
damping = 0.1
anisotropy = "1e5 J/m^3"
[output]
fields = false
plots = false
"""


def analysis(name: str, base: str = POINT, more: str = "") -> str:
    return base.replace("[texture]\n", f'[texture]\nanalysis = "{name}"\n', 1) + more


HYSTERESIS = '[texture.hysteresis]\ndirection = [0.2, 0, 1]\nlargest = "0.5 T"\npoints = 5\n'
THRESHOLD = """
[[texture.fields]]
field = ["0 T", "1 mT", "-0.1 T"]
[texture.threshold]
vary = "texture.fields.0.field.z"
low = "0 T"
high = "1 T"
tolerance = 0.2
"""

TEXTURES = {
    "wall in a sine": LINE + '[[texture.fields]]\nfield = ["0 T", "0 T", "10 mT"]\n'
    'signal = { shape = "sine", frequency = "150 GHz" }\n',
    "rotation": POINT.replace('"200 ps"', '"50 ps"\nrotation_axis = [0, 0, 1]')
    + "[texture.initial]\ndirection = [1, 0, 1]\n"
    '[[texture.fields]]\nfield = ["0 T", "0 T", "1 T"]\n',
    "relax": analysis("relax", LINE),
    "hysteresis": analysis("hysteresis", more=HYSTERESIS),
    "hysteresis of an antiferromagnet": analysis("hysteresis", ANTI, HYSTERESIS),
    "resonance": analysis("resonance", more="[texture.resonance]\n"),
    "resonance of an antiferromagnet": analysis("resonance", ANTI, "[texture.resonance]\n")
    .replace("200 ps", "20 ps")
    .replace('"2 ps"', '"0.05 ps"')
    .replace("damping = 0.1", "damping = 0.001"),
    "coupled": COUPLED,
    "coupled relax": analysis("relax", COUPLED.replace("1e5 V/m", "1e2 V/m")),
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "case.toml"


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "coupled relax" else n for n in TEXTURES]
)
def test_a_rehearsal_knows_the_numbers_of_a_texture(name, file):
    file.write_text(TEXTURES[name])
    case = load_case(file)
    before, after = rehearse(case), simulate(case)
    assert set(after.values) - set(before.values) == set()
    assert list(before.warnings) == list(after.warnings)


TIMES = {
    "steady": "",
    "dynamics": '[dynamics]\nmode = "run"\nduration = "0.5 ps"\noutput_interval = "0.5 ps"\n',
    "frequency": '[frequency]\nfrequency = ["1 GHz", "10 GHz"]\n',
    "transient": '[transient]\nduration = "1 ps"\noutput_interval = "0.5 ps"\n',
    "stack": '[solver]\nmethod = "stack"\n',
}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((n, "small") for n in TIMES),
        *(slow(n, "large") if n == "transient" else (n, "large") for n in TIMES),
    ],
)
def test_a_rehearsal_knows_the_numbers_of_a_device(name, size, file, monkeypatch):
    if size == "large":  # too large to be solved in a check
        monkeypatch.setattr(rehearsal, "_SOLVED_UP_TO", {1: 0, 2: 0, 3: 0})
    file.write_text(STACK + TIMES[name])
    case = load_case(file)
    before, after = rehearse(case), simulate(case)
    assert set(after.values) - set(before.values) == set()
    assert set(numbers_of(after.table)) == set(before.columns)
    assert list(before.warnings) == after.table["warnings"]


@pytest.mark.parametrize(
    "name", ["eus_pt", "ggg_pt", "biox_cu", "fgt_pt", "yig_pt", "scan_memory_loss_rashba"]
)
def test_the_names_of_shipped_cases_are_known_without_a_solution(name, monkeypatch):
    case = load_case(CASES / f"{name}.toml")
    case = case if case.scan is None else scan_points(case)[0][1]
    solved = rehearse(case)
    monkeypatch.setattr(rehearsal, "_SOLVED_UP_TO", {1: 0, 2: 0, 3: 0})
    generic = rehearse(case)
    assert set(generic.columns) == set(solved.columns)
    assert generic.warnings == solved.warnings


def both_refuse(file: Path, capsys, words: str) -> None:
    """Require that check and run end with exit code 2 and the same one line."""
    said = []
    for command in (["check"], ["run"]):
        assert main([*command, str(file)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1) or command == ["run"]
        said.append(err.splitlines()[-1])
    assert words in said[0]
    assert said[0] == said[1]


SCANNED = (
    LINE
    + """
[[texture.spin_orbit]]
polarisation = [0, 1, 0]
spin_current = "1e11 A/m^2"
[scan]
processes = 1
"""
)
AXIS = '[scan.axes]\n"texture.spin_orbit.0.spin_current" = ["1e10 A/m^2", "2e10 A/m^2"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            SCANNED + '[scan.axes]\n"texture.spin_orbit.0.spin_curent" = ["1 A/m^2"]\n',
            "unknown key; did you mean 'spin_current'",
        ),
        (
            SCANNED + '[scan.axes]\n"texture.spin_orbit.0.spin_current" = [2e10, 3e10]\n',
            "must be text with a number and a unit of A/m^2",
        ),
        (
            SCANNED + '[scan.axes]\n"texture.spin_orbit.spin_current" = ["1e10 A/m^2"]\n',
            "'spin_current' is no entry of the list texture.spin_orbit; 0 to 0",
        ),
        slow(
            SCANNED + 'columns = ["texture.wall.speed"]\n' + AXIS,
            "scan.columns: no number 'texture.wall.speed' in the result",
        ),
        (
            SCANNED + 'plot = { y = ["texture.wal"] }\n' + AXIS,
            "scan.plot.y: no number 'texture.wal' in the result; did you mean",
        ),
        (
            LINE + '[expected]\n"texture.wall.speed" = 1.0\n',
            "expected.texture.wall.speed: the result has no such number",
        ),
        (POINT + '[expected]\n"texture.wall.velocity" = 1.0\n', "the result has no such number"),
        (STACK + '[expected]\n"interfaces.Pt|M.spin_curent.x" = 1.0\n', "did you mean"),
        (
            STACK + '[dynamics]\nduration = "0.5 ps"\noutput_interval = "0.5 ps"\n'
            '[expected]\n"dynamics.finale.x" = 1.0\n',
            "did you mean",
        ),
        (
            STACK.replace("damping = 0.01 ", "").replace('A/m",', 'A/m"') + "[dynamics]\n",
            "regions.M.magnet.damping: the region that moves needs it",
        ),
        (
            STACK.replace("dimension = 1", 'dimension = 2\nwidth = "20 nm"\ncells_x = 2')
            + "[solver]\ntarget_error = 0.1\n",
            "solver.target_error: adaptive refinement needs",
        ),
        (
            analysis("resonance", more="[texture.resonance]\n")
            + '[[texture.spin_orbit]]\npolarisation = [0, 1, 0]\ndamping_like = "1 mT"\n',
            "a resonance is that of the magnet without torques",
        ),
        (
            analysis(
                "line_shape",
                more=SINE.replace(
                    'shape = "sine", frequency = "20 GHz"', 'shape = "sine", frequency = "9 GHz"'
                ),
            ),
            "a line shape",
        ),
        (
            analysis("threshold", more=THRESHOLD.replace("fields.0.field.z", "fields.0.feld.z")),
            "texture.threshold.vary: at 0 T: texture.fields.0.feld: unknown key",
        ),
        (
            analysis("threshold", more=THRESHOLD.replace("fields.0.field.z", "fields.1.field.z")),
            "'1' is no entry of the list texture.fields; 0 to 0",
        ),
    ],
)
def test_check_refuses_what_run_refuses_in_the_same_words(text, words, file, capsys):
    file.write_text(text)
    both_refuse(file, capsys, words)


def test_check_refuses_a_result_in_place_of_its_inputs(file, capsys):
    file.write_text(STACK + 'directory = "."\n')
    assert main(["check", str(file)]) == 2
    assert "would replace the case file" in capsys.readouterr().err


def test_check_warns_of_a_face_that_creates_spin_as_run_does(file, capsys):
    file.write_text(STACK.replace('G_r = "-2e12', 'G_s = "1e12 S/m^2"\nG_r = "2e12'))
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert main(["run", str(file)]) == 0
    warning = "warning: interfaces.Pt|M: the conductance creates spin (G + G^T has a positive"
    assert warning in out
    assert warning in capsys.readouterr().err


def test_check_of_a_scan_takes_what_the_axes_supply(file, capsys):
    """A key that only an axis gives is not missed, and the last value of an axis is looked at."""
    text = STACK.replace('conductivity = "2e6 S/m"\n', "") + "[scan]\n[scan.axes]\n"
    file.write_text(text + '"regions.Pt.conductivity" = ["2e6 S/m", "3e6 S/m"]\n')
    assert main(["check", str(file)]) == 0
    capsys.readouterr()
    file.write_text(STACK + '[scan]\n[scan.axes]\n"interfaces.Pt|M.G_r" = ["-1e12 S/m^2", "1e12 S/m^2"]\n')
    assert main(["check", str(file), "--json"]) == 0
    assert len([w for w in json.loads(capsys.readouterr().out)["warnings"] if "creates spin" in w]) == 1


def test_a_scan_with_an_unknown_column_ends_before_its_points(tmp_path):
    table = load_case_table(
        STACK + '[scan]\ncolumns = ["no"]\n[scan.axes]\n"drive.temperature" = ["10 K", "20 K"]\n'
    )
    with pytest.raises(CaseError, match=r"scan\.columns: no number 'no'"):
        sweep(case_from_table(table), output=tmp_path / "out", here=True)


def load_case_table(text: str) -> dict:
    import tomllib

    return tomllib.loads(text)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fit_smr_torque.toml", "a fit for `femspin fit`"),
        ("bands/afm_honeycomb.toml", "a band structure for `femspin afm-torques`"),
    ],
)
def test_check_knows_fits_and_band_structures(name, words, capsys):
    assert main(["check", str(CASES / name)]) == 0
    assert words in capsys.readouterr().out


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            STACK.replace("[regions.Pt]", '[regions.Pt.soc]\nrashba = "1e3 m/s"\n[regions.Pt]', 1).replace(
                'kind = "HM"\n', 'kind = "HM"\n[regions.Pt.kondo]\n'
            ),
            r"regions.Pt.kondo.conductivity: unknown key.* is a key of \[regions.Pt\]: put it above"
            r" \[regions.Pt.kondo\]",
        ),
        (
            POINT.replace(
                "[output]",
                '[[texture.fields]]\nfield = ["0 T", "0 T", "1 T"]\ntemperature = "10 K"\n[output]',
            ),
            r"temperature is a key of \[texture\]: put it above \[texture.fields\]",
        ),
    ],
)
def test_a_key_below_the_wrong_head_says_where_it_belongs(text, words, file, capsys):
    file.write_text(text)
    assert main(["check", str(file)]) == 2
    err = capsys.readouterr().err
    assert re.search(words, err), err
    assert err.count("\n") == 1


def test_warnings_of_one_kind_are_one_line_with_the_number_of_points():
    far = "F: the layer is {} decay lengths thick"
    points = [[far.format(0.5), "Pt: other"], [far.format("1e-3")], [], ["F1: other", "F2: other"]]
    assert one_per_kind(points) == {
        f"{far.format(0.5)} (numbers of the first such point)": 2,
        "Pt: other": 1,
        "F1: other": 1,
        "F2: other": 1,
    }


@pytest.mark.parametrize("name", ["Pt<a>", 'Pt"', "Pt?", "Pt*"])
def test_names_of_regions_fit_into_names_of_files_on_any_system(name):
    table = load_case_table(STACK)
    table["regions"][name] = table["regions"].pop("Pt")
    table["structure"]["layers"][1]["region"] = name
    table["interfaces"] = {}
    with pytest.raises(CaseError, match=r"a region name is printable.*without"):
        case_from_table(table)


def test_files_that_shipped_cases_speak_of_exist():
    for case in [*CASES.glob("*.toml"), *CASES.glob("bands/*.toml")]:
        for name in re.findall(r"[\w./-]+\.(?:toml|csv|msh|json|md|py)\b", case.read_text()):
            places = (case.parent / name, CASES.parent / name)
            assert any(p.exists() for p in places), f"{case.name} speaks of {name}"


# ---------------------------------------------------------------- the same words as the run


def test_run_and_check_warn_of_coarse_cells_in_the_same_words(file, capsys):
    """A layer of 5 nm in two cells: 2.5 nm over the spin diffusion length of 1.5 nm."""
    file.write_text(STACK.replace('thickness = "5 nm"', 'thickness = "5 nm", cells = 2'))
    assert main(["check", str(file)]) == 0
    checked = [x for x in capsys.readouterr().out.splitlines() if x.startswith("warning: ")]
    assert main(["run", str(file)]) == 0
    ran = [x for x in capsys.readouterr().err.splitlines() if x.startswith("warning: ")]
    assert checked == ran
    (coarse,) = [x for x in ran if "shortest length" in x]
    ratio, shortest = map(float, re.findall(r"are (\S+) times .* length, (\S+) nm", coarse)[0])
    assert ratio == pytest.approx(2.5 / shortest, rel=0.05)  # two digits are shown
    assert "structure.layers: " in coarse
    assert "(at most 0.5)" in coarse
    file.write_text(file.read_text() + '[solver]\nmethod = "stack"\n')  # has no mesh to refine
    assert main(["check", str(file)]) == 0
    assert "shortest length," not in capsys.readouterr().out


def test_check_of_a_scan_says_each_kind_of_warning_once(file, capsys):
    text = STACK.replace('thickness = "5 nm"', 'thickness = "5 nm", cells = 2')
    axis = '[scan]\n[scan.axes]\n"regions.Pt.spin_diffusion_length" = ["1 nm", "1.5 nm"]\n'
    file.write_text(text + axis)
    assert main(["check", str(file), "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert len([w for w in warnings if "shortest length" in w]) == 1


@pytest.mark.parametrize("kind", ["system", "foreign", "file"])
def test_check_refuses_a_result_folder_that_run_refuses(kind, file, capsys):
    folder = {"system": Path("/etc"), "foreign": file.parent / "mine", "file": file.parent / "taken"}[kind]
    (file.parent / "mine").mkdir()
    (file.parent / "mine" / "thesis.tex").write_text("mine")
    (file.parent / "taken").write_text("mine")
    file.write_text(STACK + f'directory = "{folder}"\n')
    both_refuse(file, capsys, "output.directory: ")
    both_refuse(file, capsys, "exists and is not an earlier result")
    assert (file.parent / "mine" / "thesis.tex").read_text() == "mine"


def test_check_notes_a_database_value_that_two_given_ones_replace(tmp_path, capsys):
    file = tmp_path / "case.toml"
    given = STACK.replace('G_r = "-2e12', 'G_r = "2e12').replace(
        'kind = "HM"', 'kind = "HM"\nmaterial = "Pt"'
    )
    file.write_text(given.replace("dos =", 'diffusion_constant = "2e-4 m^2/s" #'))
    assert main(["check", str(file)]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note:")]
    assert len(notes) == 1
    assert notes[0].startswith("note: regions.Pt.dos: 4.15e47 1/(J*m^3) of Pt is not used")
    file.write_text(given)  # which gives conductivity and dos: Pt has no third one
    assert main(["check", str(file)]) == 0
    assert "note:" not in capsys.readouterr().out


def test_check_notes_a_result_of_other_inputs_that_a_run_would_not_replace(file, capsys):
    file.write_text(STACK)
    assert main(["run", str(file), "-q"]) == 0
    capsys.readouterr()
    assert main(["check", str(file)]) == 0
    assert "--force" not in capsys.readouterr().out
    assert main(["check", str(file), "--set", "drive.temperature=20 K", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert len(table["notes"]) == 1
    assert "--force" in table["notes"][0]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{ value = 1.0, rtoll = 0.1 }", "rtoll: unknown key; did you mean 'rtol'?"),
        ("{ value = 1.0, rtol = -0.1 }", "rtol: must be >= 0 (got -0.1)"),
        ("{ value = 1.0, atol = -1 }", "atol: must be >= 0 (got -1)"),
        ("{ value = 1.0, rtol = nan }", "rtol: must be a finite number"),
        ("{ rtol = 0.1 }", "value: is missing"),
        ('"1.0"', "must be a number or a table"),
        ("true", "must be a number or a table"),
    ],
)
def test_an_expected_number_that_is_none_is_named(entry, words, file, capsys):
    file.write_text(STACK + f'[expected]\n"interfaces.Pt|M.spin_current.y" = {entry}\n')
    both_refuse(file, capsys, words)


def test_every_condition_of_the_theory_says_value_limit_and_key():
    from femspin.case.region import Region
    from femspin.fields.validity import _KEYS, ValidityWarning

    for code, key in _KEYS.items():
        assert key.split(".")[0] in Region.model_fields
        sentence = ValidityWarning(code, "Pt", "words", 2.0, 1.0).sentence
        assert sentence == f"regions.Pt.{key}: words"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[drive]\nmagnetic_field = ["1 T", "0 T", "0 T"]\n', "drive.magnetic_field: not used"),
        ('[drive]\ntemperature = "10 K"\n', "drive.temperature: not used"),
        ("[magnetization]\ndirection = [1, 0, 0]\n", "magnetization.direction: not used"),
        ("[solver]\norder = 1\n", "solver.order: not used"),
    ],
)
def test_what_a_texture_with_its_own_mesh_does_not_use_is_refused(table, words, file, capsys):
    file.write_text(LINE + table)
    both_refuse(file, capsys, words)
    file.write_text(LINE + '[drive]\ntemperature = "300 K"\n[solver]\norder = 2\n')  # defaults
    assert main(["check", str(file)]) == 0
