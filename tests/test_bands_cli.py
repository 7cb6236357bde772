"""``femspin afm-torques``: what it writes and prints, and what it refuses in one line."""

from __future__ import annotations

import csv
import json
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from texture_setup import band_structures_once

from femspin.bands import COEFFICIENTS, MODELS, square, torque_coefficients
from femspin.bands.case import band_case_from_table, load_band_case, scaled_lattice
from femspin.bands.plots import band_path, plot_fermi_lines
from femspin.bands.study import study, study_table
from femspin.cli.main import main
from femspin.errors import CaseError
from femspin.units import E_CHARGE

CASE = """
title = "a band structure"
chemical_potential = "-1.5 eV"
temperature = "0 K"
lifetime = "10 fs"
spin_relaxation_time = "100 fs"
[lattice]
kind = "square"
constant = "0.3 nm"
t = "1 eV"
t_prime = "0.3 eV"
[exchange]
coupling = "0.32 eV"
spin = 2.5
[torque]
current_density = "1e12 A/m^2"
sublattice_magnetization = "4.25e5 A/m"
[scan]
chemical_potential = { start = "-3 eV", stop = "3 eV", points = 3 }
t_prime = { start = 0.0, stop = 0.4, points = 2 }
exchange = { start = 0.5, stop = 1.0, points = 2 }
"""
CASES = sorted((Path(__file__).parents[1] / "cases" / "bands").glob("*.toml"))


@pytest.fixture(scope="module", autouse=True)
def band_structures():
    """Work out every band structure once."""
    with band_structures_once():
        yield


@pytest.fixture
def case(tmp_path):
    file = tmp_path / "bands.toml"
    file.write_text(CASE)
    return file


@pytest.fixture
def call(capsys):
    def run(*arguments):
        code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return the folder of the case after a run, its exit code and what it printed."""
    folder, out, err = tmp_path_factory.mktemp("bands"), StringIO(), StringIO()
    (folder / "bands.toml").write_text(CASE)
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["afm-torques", str(folder / "bands.toml")])
    return folder, code, out.getvalue(), err.getvalue()


def test_result_folder_holds_tables_and_pictures(done):
    where, code, out, err = done
    assert code == 0
    folder = where / "bands.out"
    assert {p.name for p in folder.iterdir()} == {
        "bands.png",
        "case.toml",
        "coefficients.csv",
        "coefficients.json",
        "coefficients_chemical_potential.png",
        "coefficients_exchange.png",
        "coefficients_t_prime.png",
        "fermi_lines.png",
        "result.json",
    }
    assert "p_n" in out
    assert "-> " in out
    # the t' scan starts at t' = 0 and mu = -1.5 eV; the scan of mu has one point above the bands
    assert "1 of 7 points of scans have no result" in err


def test_table_has_a_row_per_point_and_model_with_errors(done):
    with (done[0] / "bands.out" / "coefficients.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == (1 + 3 + 2 + 2) * len(MODELS)
    wanted = torque_coefficients(square(1, 0.3, 0.8), -1.5)
    for row in rows[:3]:
        assert row["scan"] == "state"
        for name in COEFFICIENTS:
            assert_allclose(float(row[name]), wanted.value(name, row["model"]), rtol=1e-9)
            assert float(row[f"{name}_error"]) < 1e-9
            assert_allclose(float(row[f"{name}_xx"]), float(row[name]), rtol=1e-9)


def test_json_output_is_the_result(case, call, tmp_path):
    quick = ("--set", "scan={}", "--set", "plots=false")
    _, out, _ = call("afm-torques", case, "--json", *quick, "-o", tmp_path / "out")
    printed = json.loads(out)
    written = json.loads((tmp_path / "out" / "result.json").read_text())
    assert printed["coefficients"] == written["coefficients"]
    assert written["inputs"]["temperature"] == "0.0 K"
    assert_allclose(
        printed["torque"]["u_n"][0] / printed["torque"]["u_m"][0],
        printed["coefficients"]["complete"]["p_n"]["value"]
        / printed["coefficients"]["complete"]["p_m"]["value"],
        rtol=1e-9,
    )


def test_the_result_says_that_p_m_misses_spin_balance(case, call, tmp_path):
    quick = ("--set", "scan={}", "--set", "plots=false")
    code, _, err = call("afm-torques", case, *quick, "-o", tmp_path / "out")
    assert code == 0
    assert len([line for line in err.splitlines() if line.startswith("warning: p_m")]) == 1
    written = json.loads((tmp_path / "out" / "result.json").read_text())
    balance = written["spin_balance"]
    wanted = torque_coefficients(square(1, 0.3, 0.8), -1.5)
    assert_allclose(balance["p_m_complete"], wanted.value("p_m"), rtol=1e-9)
    assert_allclose(balance["p_m_of_spin_current"]["tensor"], wanted.p_m_balance[0], atol=1e-9)
    assert balance["conserved"] is False
    assert "spin is not conserved" in written["warnings"][0]
    with (tmp_path / "out" / "coefficients.csv").open() as stream:
        row = next(csv.DictReader(stream))
    assert_allclose(float(row["p_m_of_spin_current"]), wanted.p_m_balance[0][0, 0], rtol=1e-9)


def test_the_resolved_case_gives_the_same_numbers(done, call, tmp_path):
    one, two = done[0] / "bands.out", tmp_path / "two"
    call("afm-torques", one / "case.toml", "-q", "-o", two, "--set", "plots=false")
    for name in ("coefficients.csv", "coefficients.json"):
        assert (one / name).read_text() == (two / name).read_text()
    resolved = [tomllib.loads((folder / "case.toml").read_text()) for folder in (one, two)]
    assert resolved[0] | {"plots": False} == resolved[1]


def test_an_earlier_result_of_other_inputs_is_replaced_only_by_force(case, call, tmp_path):
    quick = ("-q", "--set", "plots=false", "--set", "scan={}", "-o", tmp_path / "out")
    other = (*quick, "--set", "title='another'")
    assert call("afm-torques", case, *quick)[0] == 0
    assert call("afm-torques", case, *quick)[0] == 0  # the same numbers come out again
    code, _, err = call("afm-torques", case, *other)
    assert code == 2
    assert "--force" in err
    assert call("afm-torques", case, *other, "--force")[0] == 0
    code, _, err = call("afm-torques", case, "-o", tmp_path)
    assert code == 2


def test_points_without_states_keep_their_row_and_say_why(case, call, tmp_path):
    scan = 'scan={chemical_potential={start="-2 eV", stop="0.6 eV", points=2}}'
    code, _, err = call("afm-torques", case, "--set", scan, "--set", "plots=false", "-o", tmp_path / "out")
    assert code == 0
    assert "1 of 2 points of scans have no result" in err
    with (tmp_path / "out" / "coefficients.csv").open() as stream:
        last = list(csv.DictReader(stream))[-1]
    assert last["p_n"] == ""
    assert "in the gap" in last["problem"]


BROKEN = {
    "unknown section": ("latice={}", "latice", "did you mean 'lattice'"),
    "unknown key": ('lattice.tprime="0.1 eV"', "lattice.tprime", "did you mean 't_prime'"),
    "unknown lattice": ('lattice.kind="honycomb"', "lattice.kind", "did you mean 'honeycomb'"),
    "bare number": ("lattice.t=1.0", "lattice.t", "eV"),
    "wrong unit": ('lattice.constant="0.3 eV"', "lattice.constant", "unit of another quantity"),
    "unknown unit": ('lattice.t="1 evv"', "lattice.t", "unknown unit"),
    "negative hopping": ('lattice.t="-1 eV"', "lattice.t", "must be > 0"),
    "negative temperature": ('temperature="-1 K"', "temperature", "between 0 and 1e6 K"),
    "both densities": ("filling=0.5", "chemical_potential", "either"),
    "mu in the gap": ('chemical_potential="0.6 eV"', "chemical_potential", "in the gap"),
    "two exchanges": ('exchange.energy="1 eV"', "exchange.coupling", "not together"),
    "exchange scan through zero": ("scan.exchange.start=-1.0", "scan.exchange", "positive"),
    "unknown model": ('model="complet"', "model", "did you mean 'complete'"),
    "scan of something else": ("scan.mu={}", "scan.mu", "unknown key"),
    "vectors of a named lattice": ("lattice.vectors=[[1.0]]", "lattice.vectors", "only for kind"),
    "text for a number": ('exchange.spin="2.5"', "exchange.spin", "number"),
    "too many points": ("scan.t_prime.points=99999", "scan.t_prime.points", "<= 2000"),
    "thickness of a chain": (
        'lattice={kind="chain",constant="1 nm",t="1 eV",thickness="1 nm"}',
        "lattice",
        "thickness",
    ),
    "no vectors": ('lattice={kind="custom",constant="1 nm",t="1 eV"}', "lattice.vectors", "needed"),
    "hop off its sublattice": (
        'lattice={kind="custom",constant="1 nm",t="1 eV",vectors=[[2.0]],inter=[[1.0],[-1.0]],'
        'intra=[[1.0]],t_prime="0.1 eV"}',
        "lattice.intra.0",
        "breaks the sublattice structure",
    ),
    "not Hermitian": (
        'lattice={kind="custom",constant="1 nm",t="1 eV",vectors=[[2.0]],'
        'hops=[{start="A",end="B",vector=[1.0]}]}',
        "lattice.hops.0",
        "not Hermitian",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_input_is_refused_in_one_line_that_names_the_place(name, case, call, tmp_path):
    override, path, text = BROKEN[name]
    code, out, err = call("afm-torques", case, "--set", override, "-o", tmp_path / "out")
    assert code == 2
    assert not out
    assert len(err.splitlines()) == 1
    assert f"{case}: {path}" in err
    assert text in err
    assert not (tmp_path / "out").exists()


def test_missing_and_foreign_files_are_refused(call, tmp_path):
    code, _, err = call("afm-torques", tmp_path / "none.toml")
    assert (code, "no such case file" in err) == (2, True)
    foreign = tmp_path / "stack.toml"
    foreign.write_text("[structure]\n")
    code, _, err = call("afm-torques", foreign)
    assert (code, "femspin run" in err) == (2, True)
    empty = tmp_path / "one.toml"
    empty.write_text('title = "x"\n')
    code, _, err = call("afm-torques", empty)
    assert code == 2
    assert "lattice: is missing" in err


def test_filling_replaces_the_chemical_potential():
    table = tomllib.loads(CASE)
    del table["chemical_potential"], table["scan"]
    table["filling"] = 0.7
    result = study(band_case_from_table(table))
    assert_allclose(result.coefficients.mu, -0.792866135478, rtol=1e-8)


def test_units_of_the_case_enter_as_ratios():
    table = tomllib.loads(CASE)
    del table["scan"]
    here = study_table(study(band_case_from_table(table)))
    table["lattice"] |= {"t": "2 eV", "t_prime": "0.6 eV"}
    table |= {"chemical_potential": "-3 eV", "exchange": {"energy": "1.6 eV"}}
    there = study_table(study(band_case_from_table(table)))
    for name in COEFFICIENTS:
        one, two = (x["coefficients"]["complete"][name]["value"] for x in (here, there))
        assert_allclose(one, two, rtol=1e-9)
    assert_allclose(there["conductivity"]["value"], 2 * here["conductivity"]["value"], rtol=1e-9)
    assert_allclose(there["chemical_potential_eV"], -3)
    assert here["conductivity"]["unit"] == "S"


def test_a_custom_lattice_with_the_vectors_of_the_square_is_the_square():
    table = tomllib.loads(CASE)
    table["lattice"] |= {
        "kind": "custom",
        "vectors": [[1.0, 1.0], [1.0, -1.0]],
        "inter": [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]],
        "intra": [[1.0, 1.0], [1.0, -1.0]],
    }
    lattice = scaled_lattice(band_case_from_table(table))
    mine, named = (torque_coefficients(x, -1.5) for x in (lattice, square(1, 0.3, 0.8)))
    assert_allclose(mine.value("p_m"), named.value("p_m"), rtol=1e-12)


@pytest.mark.parametrize("kind", ["square", "honeycomb", "chain", "cubic"])
def test_the_band_path_starts_and_turns_at_named_points(kind):
    table = tomllib.loads(CASE)
    table["lattice"]["kind"] = kind
    lattice = scaled_lattice(band_case_from_table(table))
    k, arc, marks = band_path(lattice)
    assert len(k) == len(arc)
    assert np.all(np.diff(arc) >= 0)
    assert_allclose([x for _, x in marks][-1], arc[-1])
    if kind == "honeycomb":  # at K the hopping between the sublattices vanishes
        from femspin.bands.hamiltonian import hopping_terms

        at = np.argmin(abs(arc - dict(marks[1:2])["K"]))
        assert abs(hopping_terms(lattice, k[at : at + 1])[0]) < 1e-12


def test_fermi_lines_are_drawn_only_where_there_are_some():
    table = tomllib.loads(CASE)
    del table["scan"]
    table |= {"temperature": "3000 K", "chemical_potential": "0.6 eV"}
    assert plot_fermi_lines(study(band_case_from_table(table))) is None
    table["chemical_potential"] = "-1.5 eV"
    found = plot_fermi_lines(study(band_case_from_table(table)))
    assert found is not None


@pytest.mark.parametrize("file", CASES, ids=lambda p: p.stem)
def test_shipped_band_cases_load_and_conduct(file):
    case = load_band_case(file, ["scan={}"])
    result = study(case)
    assert result.coefficients.isotropic
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert len(header) >= 3
    assert case.title


def test_case_tables_round_trip():
    case = band_case_from_table(tomllib.loads(CASE))
    again = band_case_from_table(case.model_dump(mode="json", exclude_none=True))
    assert again == case
    assert_allclose(case.exchange.total, 0.8 * E_CHARGE, rtol=1e-12)
    with pytest.raises(CaseError):
        band_case_from_table({})
