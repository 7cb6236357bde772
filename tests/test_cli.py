"""The command line: what it prints where, what it returns, what it refuses, what it writes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from functools import cache
from pathlib import Path

import pytest
from marks import slow
from pydantic import ValidationError

from femspin import __version__
from femspin.case import case_from_table, load_case
from femspin.case import schema as case_schema
from femspin.case.schema import Case
from femspin.case.template import template
from femspin.cli.main import main
from femspin.materials import load_database

CASE = """
title = "a stack"
[structure]
layers = [
    { region = "YIG", thickness = "4 nm" },
    { region = "F", thickness = "1 nm", cells = 4 },
    { region = "Pt", thickness = "5 nm", cells = 8 },
]
[regions.YIG]
kind = "FI"
[regions.F]
kind = "F"
dos = "5e46 1/(J*m^3)"
diffusion_constant = "2e-4 m^2/s"
[regions.Pt]
kind = "HM"
material = "Pt"
[interfaces."F|YIG"]
G_r = "1e13 S/m^2"
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
[output]
fields = false
plots = false
"""
WRITTEN = ["case.toml", "currents.csv", "result.json"]


@pytest.fixture
def case(tmp_path):
    file = tmp_path / "case.toml"
    file.write_text(CASE)
    return file


@pytest.fixture
def call(capsys):
    """Return a function that runs the command line and returns code, stdout and stderr."""

    def run(*arguments):
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


PLAIN = ("--set", "output.plots=false")


def process(*arguments, **options):
    command = [sys.executable, "-m", "femspin", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def is_one_line(text):
    return re.fullmatch(r"femspin: [^\n]+\n", text) is not None


# ---------------------------------------------------------------- help and small commands


def test_help_lists_every_command_and_examples(call):
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    for command in ("run", "check", "template", "materials", "schema", "info"):
        assert re.search(rf"^    {command}\s+\w", out, re.MULTILINE)
    assert "examples:" in out
    assert call()[:2] == (2, out)


@pytest.mark.parametrize("command", ["run", "check", "template", "materials", "schema", "info"])
def test_every_command_has_help(command, call):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: femspin {command}")


def test_version_is_that_of_the_package(call):
    assert call("--version") == (0, f"femspin {__version__}\n", "")
    assert process("--version").stdout == f"femspin {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu", "x"], "unknown command 'rnu'; did you mean 'run'"),
        (["chek"], "did you mean 'check'"),
        (["zzz"], "unknown command 'zzz' (commands: run, check, "),
        (["run"], "the following arguments are required: case"),
        (["run", "x", "--forec"], "unrecognized arguments: --forec; did you mean '--force'"),
        (["run", "x", "--forc"], "did you mean '--force'"),
        (["run", "x", "y"], "unrecognized arguments: y"),
        (["check", "x", "--force"], "unrecognized arguments: --force"),
        (["run", "x", "-o"], "expected one argument"),
        (["run", "x\ny"], "no such case file"),
    ],
)
def test_bad_arguments_give_one_line_and_exit_code_2(arguments, words, call):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert is_one_line(err)
    assert words in err


def test_materials_lists_all_and_shows_one_with_its_sources(call):
    code, out, err = call("materials")
    assert (code, err) == (0, "")
    assert [line[:32].rstrip() for line in out.splitlines()] == list(load_database())
    code, out, err = call("materials", "Pt")
    assert (code, err) == (0, "")
    for value in load_database()["Pt"].values.values():
        assert value.key in out
        assert value.source in out


def test_an_unknown_material_suggests_the_closest(call):
    code, out, err = call("materials", "CoFeBB")
    assert (code, out) == (2, "")
    assert is_one_line(err)
    assert "unknown material 'CoFeBB'; did you mean 'CoFeB'" in err


def test_info_prints_versions(call):
    code, out, err = call("info")
    assert (code, err) == (0, "")
    versions = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert versions["femspin"] == __version__
    assert {"python", "numpy", "scipy", "scikit-fem"} <= set(versions)


def test_schema_is_json_and_has_every_section_and_type(call):
    code, out, err = call("schema")
    assert (code, err) == (0, "")
    schema = json.loads(out)
    assert set(schema["properties"]) == set(Case.model_fields)
    assert "required" not in schema  # a texture with a mesh of its own has no regions
    for name in ("Region", "Stack", "Kondo", "SpinOrbit", "Interface", "Electrode", "Dynamics"):
        assert schema["$defs"][name]["additionalProperties"] is False
    thickness = schema["$defs"]["Layer"]["properties"]["thickness"]
    assert thickness["type"] == "string"
    assert "quantity in m" in thickness["description"]


# ---------------------------------------------------------------- template


def inside(schema, node):
    """Yield the object schemas that a schema node allows."""
    if "$ref" in node:
        yield from inside(schema, schema["$defs"][node["$ref"].split("/")[-1]])
    for option in node.get("anyOf", ()):
        yield from inside(schema, option)
    yield node


def step(schema, nodes, key):
    """Return the schemas of a key of any of `nodes`."""
    found = []
    for node in nodes:
        deeper = node.get("properties", {}).get(key) or node.get("additionalProperties")
        if isinstance(deeper, dict):
            found += inside(schema, deeper)
    return found


def header(line):
    """Return the path of a TOML table header."""
    node, path = tomllib.loads(line), []
    while node:
        ((key, node),) = node.items()
        path.append(key)
    return path


def shown_keys():
    """Yield table path, key and text of every key of the template, commented out or not."""
    path = []
    for line in template().splitlines():
        text = line.removeprefix("# ")
        if re.match(r"\[\w", text):
            path = header(text.split("#")[0])
        elif re.match(r"\w+ = (?!\[$|\[\.\.\.)", text):
            # The one tensor that takes two lines is completed by a row.
            row = '["0 1/nm", "0 1/nm", "0 1/nm"]]' if text.endswith("],") else ""
            yield path, text.split(" = ")[0], text + row


SHOWN = {".".join((*path, key)): (path, key, text) for path, key, text in shown_keys()}


def test_the_template_shows_every_section():
    sections = {name.split(".")[0] for name in SHOWN}
    assert sections == set(Case.model_fields) - {"expected"}
    assert {"structure.cells_y", "regions.F.override.gauge", "interfaces.F|YIG.G_s"} <= set(SHOWN)


@cache
def case_model():
    return Case.model_json_schema()


@pytest.mark.parametrize("name", SHOWN)
def test_every_key_the_template_shows_exists_and_takes_the_value_shown(name):
    """Commented-out keys are what users uncomment."""
    path, key, text = SHOWN[name]
    if path[:1] == ["materials"]:
        table = tomllib.loads(f"{CASE}\n[materials.mine]\n{text}")
        assert case_from_table(table).materials["mine"]
        return
    schema = case_model()
    nodes = list(inside(schema, schema))
    for part in path:
        nodes = step(schema, nodes, part)
    models = [getattr(case_schema, n["title"]) for n in nodes if "properties" in n]
    assert [m for m in models if key in m.model_fields]
    try:
        models[0].model_validate(tomllib.loads(text))
    except ValidationError as error:
        wrong = [e for e in error.errors() if e["loc"][:1] == (key,)]
    else:
        wrong = []
    assert wrong == []


def test_the_template_is_valid_and_runs(call, tmp_path):
    code, out, err = call("template")
    assert (code, out, err) == (0, template(), "")
    file = tmp_path / "mine.toml"
    file.write_text(out)
    assert call("check", file)[0] == 0
    code, out, err = call("run", file)
    assert code == 0
    assert "Pt|F: spin current" in out
    assert (tmp_path / "mine.out/result.json").is_file()
    assert (tmp_path / "mine.out/fields.pvd").is_file()
    assert (tmp_path / "mine.out/profiles.png").is_file()


# ---------------------------------------------------------------- check


def test_check_shows_lengths_sizes_and_writes_nothing(case, call):
    code, out, err = call("check", case)
    assert (code, err) == (0, "")
    assert out.startswith(f"{case}: valid\n")
    for words in ("shortest length", "unknowns", "interfaces: Pt|F, F|YIG", "conductivity"):
        assert words in out
    assert "estimate without a source: regions.Pt.dos" in out
    assert [p.name for p in case.parent.iterdir()] == ["case.toml"]


def test_check_as_json_parses_and_quiet_prints_nothing(case, call):
    code, out, err = call("check", case, "--json")
    assert (code, err) == (0, "")
    table = json.loads(out)
    assert set(table) >= {"regions", "interfaces", "mesh", "estimates", "warnings"}
    assert table["regions"]["F"]["thickness"] == pytest.approx(1e-9)
    assert table["mesh"]["memory_estimate_bytes"] > 0
    assert call("check", case, "-q") == (0, "", "")


# ---------------------------------------------------------------- run


def test_run_writes_a_result_and_prints_it_on_stdout_only(case, call):
    code, out, err = call("run", case)
    folder = case.with_suffix(".out")
    assert code == 0
    assert out.startswith("a stack\n")
    assert f"-> {folder}\n" in out
    assert err.splitlines()[0].startswith("estimate: regions.Pt.")
    assert sorted(p.name for p in folder.iterdir()) == WRITTEN
    assert sorted(p.name for p in case.parent.iterdir()) == ["case.out", "case.toml"]


def test_run_as_json_prints_what_result_json_holds(case, call):
    code, out, err = call("run", case, "--json")
    assert (code, err) == (0, "")
    held = json.loads((case.with_suffix(".out") / "result.json").read_text())
    assert held.pop("files") == WRITTEN  # of the folder, not of the result
    assert json.loads(out) == held


def test_quiet_prints_nothing_but_writes(case, call):
    assert call("run", case, "-q") == (0, "", "")
    assert (case.with_suffix(".out") / "result.json").is_file()


def test_streams_of_a_real_process(case):
    """Standard output holds results and stderr logs, also where the log is asked for."""
    done = process("run", case, "-v", "--json", *PLAIN)
    assert done.returncode == 0
    assert json.loads(done.stdout)["title"] == "a stack"
    assert re.search(r"^femspin: mesh: \d+ cells", done.stderr)
    assert process("run", case, "--force", "-q", *PLAIN).stdout == ""
    bad = process("run", case, "--set", "title=other")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert is_one_line(bad.stderr)


def test_a_misspelt_expected_number_is_named_and_the_result_kept(case, call, tmp_path):
    case.write_text(CASE + '[expected]\n"interfaces.F|YIG.spin_curent.total.x" = 1.0\n')
    code, _, err = call("run", case)
    assert code == 2
    assert "expected.interfaces.F|YIG.spin_curent.total.x" in err
    assert "did you mean" in err
    assert (tmp_path / "case.out" / "result.json").is_file()


def test_an_earlier_result_is_replaced_only_by_force(case, call):
    assert call("run", case, "-q")[0] == 0
    result = case.with_suffix(".out") / "result.json"
    before = result.read_bytes()
    code, out, err = call("run", case, "--set", "title=other")
    assert (code, out) == (2, "")
    assert is_one_line(err)
    assert f"output.directory: '{result.parent}' holds a result; use --force to replace it" in err
    assert result.read_bytes() == before
    assert call("run", case, "-q", "--force", "--set", "title=other")[0] == 0
    assert json.loads(result.read_text())["title"] == "other"


def test_a_result_of_the_same_inputs_is_replaced_without_a_flag(case, call):
    case.write_text(CASE + '[expected]\n"interfaces.F|YIG.area" = 1.0\n')
    assert call("run", case, "-q")[0] == 0
    result = case.with_suffix(".out") / "result.json"
    before = json.loads(result.read_text())
    os.utime(result, (0, 0))
    assert call("run", case, "-q")[0] == 0  # the first command, a second time
    assert result.stat().st_mtime > 0
    assert json.loads(result.read_text())["interfaces"] == before["interfaces"]
    case.write_text(CASE)  # what is expected of numbers does not change them
    assert call("run", case, "-q")[0] == 0
    assert call("run", case, "-q", "--set", "drive.temperature=20 K")[0] == 2


def test_the_result_goes_where_option_or_case_say(case, call, tmp_path):
    assert call("run", case, "-q", "-o", tmp_path / "a" / "b")[0] == 0
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == WRITTEN
    assert call("run", case, "-q", "--set", "output.directory=mine")[0] == 0
    assert (tmp_path / "mine/result.json").is_file()
    setting = f"output.directory={tmp_path / 'absolute'}"
    assert call("run", case, "-q", "--set", setting)[0] == 0
    assert (tmp_path / "absolute/result.json").is_file()
    assert not case.with_suffix(".out").exists()


def refuses(call, case, *arguments):
    """Return the message of a run that must be refused and must leave everything as it was."""
    before = sorted(case.parent.rglob("*"))
    code, out, err = call("run", case, *arguments)
    assert (code, out) == (2, "")
    assert is_one_line(err)
    assert sorted(case.parent.rglob("*")) == before
    return err


def test_nothing_but_a_result_is_ever_replaced(case, call, monkeypatch, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("x")
    target = tmp_path / "notes"
    assert "is not an earlier result" in refuses(call, case, "-o", target, "--force")
    assert "would replace the case file" in refuses(call, case, "-o", case, "--force")
    assert "no folder can be made in" in refuses(call, case, "-o", case / "out")
    (target / "result.json").write_text('{"files": ["mine.txt"]}')
    (target / "inner").mkdir()
    assert "no part of a result: 'inner'" in refuses(call, case, "-o", target, "--force")
    (tmp_path / "result.json").write_text("{}")
    (target / "inner").rmdir()
    monkeypatch.chdir(target)
    assert "would replace the working folder" in refuses(call, case, "-o", ".", "--force")
    inner = target / "case.toml"
    inner.write_text(CASE)
    monkeypatch.chdir(tmp_path)
    assert "would replace the case file" in refuses(call, inner, "-o", target, "--force")


def test_a_link_to_a_result_stays_a_link(case, call, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert call("run", case, "-q", "-o", tmp_path / "link")[0] == 0
    assert call("run", case, "-q", "--force", "-o", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert sorted(p.name for p in (tmp_path / "real").iterdir()) == WRITTEN
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.toml", "link", "real"]


@pytest.mark.parametrize("source", [CASE, template()])
def test_a_resolved_case_reruns_to_the_same_bits(source, call, tmp_path):
    """Everything the result depends on stands in its case.toml, without loss of a digit."""
    file = tmp_path / "case.toml"
    file.write_text(source)
    options = ("-q", "--set", "output.plots=false")
    assert call("run", file, *options)[0] == 0
    assert call("run", tmp_path / "case.out/case.toml", *options, "-o", tmp_path / "again")[0] == 0
    first = json.loads((tmp_path / "case.out/result.json").read_text())
    again = json.loads((tmp_path / "again/result.json").read_text())
    assert again.pop("estimates") == []  # they are values of the case now
    first.pop("estimates")
    assert again == first
    texts = [(tmp_path / d / "currents.csv").read_text() for d in ("case.out", "again")]
    assert texts[0] == texts[1]
    cases = [load_case(tmp_path / d / "case.toml") for d in ("case.out", "again")]
    assert cases[0] == cases[1]


def test_a_title_the_terminal_cannot_show_does_not_stop_a_run(case):
    setting = "title=Grüße ₂"
    done = process("run", case, *PLAIN, "--set", setting, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.startswith("Gr??e ?\n")
    table = json.loads((case.with_suffix(".out") / "result.json").read_text(encoding="utf-8"))
    assert table["title"] == "Grüße ₂"


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m femspin schema | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def shell(line, **options):
    return subprocess.run(
        ["bash", "-c", line.replace("femspin", f"{sys.executable} -m femspin")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("femspin template >&-", 1, "standard output is closed"),
        ("femspin template > /dev/full", 1, "No space left on device: standard output"),
        slow("femspin info > /dev/full", 1, "No space left on device: standard output"),
        ("femspin info <&- > /dev/null", 0, ""),
        slow("femspin template 2>&- >&-", 1, ""),
        ("femspin check none.toml >&-", 2, "none.toml: no such case file"),
    ],
)
def test_closed_and_full_streams_give_one_line(line, code, words):
    done = shell(line)
    assert done.returncode == code
    assert done.stdout == ""
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)


def test_a_quiet_run_needs_no_output_and_keeps_results_apart_from_it(case):
    """A file that is opened next would get the number of a closed stream."""
    done = shell(f"femspin run {case} -q --set output.plots=false >&- 2>&-")
    assert done.returncode == 0
    json.loads((case.with_suffix(".out") / "result.json").read_text(encoding="utf-8"))


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(
    ("name", "code", "word", "seconds"),
    [
        ("SIGINT", 130, "interrupted", 0.3),
        ("SIGINT", 130, "interrupted", 0.6),
        slow("SIGINT", 130, "interrupted", 1.2),
        slow("SIGTERM", 143, "terminated", 0.3),
        ("SIGTERM", 143, "terminated", 0.6),
        slow("SIGTERM", 143, "terminated", 1.2),
        ("SIGHUP", 129, "terminated", 0.3),
        slow("SIGHUP", 129, "terminated", 0.6),
        slow("SIGHUP", 129, "terminated", 1.2),
    ],
)
def test_a_signal_at_any_moment_gives_one_line(name, code, word, seconds, case):
    """Also in the middle of an import, where Python turns it into other errors."""
    cells = [f"structure.layers.{k}.cells=10000" for k in (1, 2)]  # seconds of work
    process = subprocess.Popen(
        [sys.executable, "-m", "femspin", "run", str(case), "--set", cells[0], "--set", cells[1]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines() == [f"femspin: {word}; nothing was written"]
    assert [p.name for p in case.parent.iterdir()] == ["case.toml"]


def test_a_signal_that_the_caller_ignores_stays_ignored(case):
    done = shell(
        f"trap '' HUP; femspin run {case} -q --set output.plots=false & sleep 0.5; kill -HUP $!; wait $!"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_as_mesh_is_refused_in_one_line(tmp_path, call):
    file = tmp_path / "case.toml"
    file.write_text('mesh.file = "."\nregions.Pt = { kind = "HM", material = "Pt" }\n')
    code, _, err = call("run", file)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "mesh.file" in err


def test_simulate_refuses_what_is_no_case():
    from femspin import simulate
    from femspin.errors import CaseError

    for given in (3, {"structure": {}}):
        with pytest.raises(CaseError, match="must be a Case or the path of a case file"):
            simulate(given)


def test_little_is_imported_before_signals_are_listened_for():
    """What arrives earlier is a traceback of Python's own, so that this time has to be short."""
    code = "import sys, femspin.cli.start; print(*sys.modules)"
    idle = subprocess.run(
        [sys.executable, "-c", "import sys, threading; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    new = set(out.stdout.split()) - set(idle.stdout.split())
    assert "femspin.cli.stopping" in new
    assert not new & {"argparse", "inspect", "numpy", "pathlib", "pydantic", "re", "typing"}


def test_an_interrupt_that_turns_into_another_error_is_still_one(case, call, monkeypatch):
    from femspin.cli import main as module
    from femspin.cli import run, stopping

    def fail(*_):
        raise ImportError("numpy could not be loaded\n" * 50)

    monkeypatch.setattr(run, "simulate_transport", fail)
    monkeypatch.setattr(stopping._State, "got", int(signal.SIGINT))
    assert module.received() is not None
    code, out, err = call("run", case)
    assert (code, out) == (130, "")
    assert err == "femspin: interrupted; nothing was written\n"


def test_a_failed_solver_gives_one_line_exit_code_1_and_no_folder(case, call, monkeypatch):
    from femspin.cli import run
    from femspin.errors import SolverError

    def fail(*_):
        raise SolverError("no convergence\nafter 3 steps")

    monkeypatch.setattr(run, "simulate_transport", fail)
    code, out, err = call("run", case)
    assert (code, out) == (1, "")
    assert is_one_line(err)
    assert [p.name for p in case.parent.iterdir()] == ["case.toml"]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
        (MemoryError(), 1, "not enough memory"),
        (OSError(28, "No space left on device", "out/result.json"), 1, "No space left on device"),
    ],
)
def test_what_stops_a_run_gives_one_line_and_no_folder(error, code, words, case, call, monkeypatch):
    from femspin.results.solution import Solution

    def fail(*_):
        raise error

    monkeypatch.setattr(Solution, "_write_csv", fail)
    found, out, err = call("run", case)
    assert (found, out) == (code, "")
    assert is_one_line(err)
    assert words in err
    assert [p.name for p in case.parent.iterdir()] == ["case.toml"]


def test_summary_gives_electrodes_with_bars_and_spin_condition(tmp_path, call):
    """Voltage and current of each electrode as value ± bar of result.json, and what spins meet."""
    text = """
[structure]
layers = [{ region = "Pt", thickness = "4 nm" }]
[regions.Pt]
kind = "HM"
material = "Pt"
[drive.electrodes]
top = { voltage = "1 mV" }
bottom = { voltage = "0 V", spin = "sink" }
"""
    file = tmp_path / "film.toml"
    file.write_text(text)
    code, out, _ = call("run", file, "-o", tmp_path / "out")
    assert code == 0
    table = json.loads((tmp_path / "out" / "result.json").read_text())["electrodes"]
    assert [table[n]["spin"] for n in ("top", "bottom")] == ["blocked", "sink"]
    for name, entry in table.items():
        v, i = entry["voltage"], entry["current"]
        line = (
            f"electrode {name}: voltage {v['value']:.6e} ±{v['error']:.1e} V, current"
            f" {i['value']:.6e} ±{i['error']:.1e} A/m^2, spin {entry['spin']}"
        )
        assert line in out.splitlines()
    text += "[solver]\nerror_bars = false\n"
    file.write_text(text)
    code, out, _ = call("run", file, "-o", tmp_path / "bare")
    assert code == 0
    lines = [x for x in out.splitlines() if x.startswith("electrode ")]
    assert len(lines) == 2
    assert not any("±" in x for x in lines)


# ---------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("setting", "where", "value"),
    [
        ("drive.temperature=20 K", "drive.temperature", 20.0),
        ('drive.temperature="20 K"', "drive.temperature", 20.0),
        (" solver.order = 1 ", "solver.order", 1),
        ("title=plain words", "title", "plain words"),
        ("title='true'", "title", "true"),
        ("title=a=b", "title", "a=b"),
        ("magnetization.direction=[1, 0, 0]", "magnetization.direction", [1.0, 0.0, 0.0]),
        ("structure.layers.2.thickness=7e-9 m", "structure.layers.2.thickness", 7e-9),
        ("structure.layers.1.cells=9", "structure.layers.1.cells", 9),
        ('interfaces."F|YIG".G_r=5 S/m^2', "interfaces.F|YIG.G_r", 5.0),
        ("interfaces.'F|YIG'.G_i=5 S/m^2", "interfaces.F|YIG.G_i", 5.0),
        ("interfaces.F|YIG.G_r=5 S/m^2", "interfaces.F|YIG.G_r", 5.0),
        ("interfaces.YIG|F.G_r=5 S/m^2", "interfaces.F|YIG.G_r", 5.0),
        ("structure.layers.Pt.thickness=7e-9 m", "structure.layers.2.thickness", 7e-9),
        ("drive.electric_field.y=5 V/m", "drive.electric_field.1", 5.0),
        ("regions.F.soc={ rashba = '3 m/s' }", "regions.F.soc.rashba", 3.0),
        ("regions.F.kondo.spin=1.5", "regions.F.kondo.spin", 1.5),
    ],
)
def test_set_replaces_or_adds_one_key(setting, where, value, case):
    node = load_case(case, [setting])
    for part in where.split("."):
        if isinstance(node, dict):
            node = node[part]
        else:
            node = node[int(part)] if isinstance(node, list) else getattr(node, part)
    assert node == value


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("solver.order", "--set: must be key.path=value (got 'solver.order')"),
        ("=1", "--set: must be key.path=value"),
        ("", "--set: must be key.path=value"),
        ("solver..order=1", "--set: 'solver..order' is not a dotted path"),
        ("#=1", "--set: '#' is not a dotted path"),
        ("[a]=1", "--set: '[a]' is not a dotted path"),
        ("a\nb=1", "--set: 'a\\nb' is not a dotted path"),
        ("title.x=1", "--set: title.x: title is no table"),
        ("structure.layers.9.cells=1", "'9' is no entry of the list structure.layers; 0 to 2 or "),
        ("structure.layers.-1.cells=1", "'-1' is no entry of the list"),
        ("structure.layers.x=1", "'x' is no entry of the list"),
        ("structure.layers.0000000000009.x=1", "is no entry of the list"),
        ("structure.layers.0.0=1", "structure.layers.0.0: unknown key"),
        ("solver.ordre=1", "solver.ordre: unknown key; did you mean 'order'"),
        ("solver.order=7", "solver.order: must be 1 or 2 (got 7)"),
        ("solver.order=", 'solver.order: must be 1 or 2 (got "")'),
        ("title=2020-01-01", "title: no key takes a date or a time"),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(setting, words, case, call):
    assert words in refuses(call, case, "--set", setting)


def test_settings_are_applied_in_order(case, call):
    code, out, _ = call("check", case, "--set", "title=a", "--set", "title=1", "--json")
    assert (code, out) == (2, "")
    assert load_case(case, ["title=1", "title=b"]).title == "b"
