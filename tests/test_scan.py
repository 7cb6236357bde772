"""Scans: which points they have, that all are kept, and what the table and the plot say."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
import tomllib
from functools import partial

import numpy as np
import pytest

from femspin import simulate
from femspin.case import case_from_table, dump_case
from femspin.case.load import load_case
from femspin.cli.main import main
from femspin.device.observables.quantity import Measure, numbers_of
from femspin.errors import CaseError, FemspinError, SolverError
from femspin.simulation import sweep
from femspin.studies.sweep import scan_points
from femspin.studies.sweep.run import point_folder
from femspin.studies.sweep.store import PointStore, Record, point_key

BASE = """
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
mass = "1 m_e"
scattering_time = "1 fs"
[regions.Pt]
kind = "HM"
material = "Pt"
[interfaces."F|YIG"]
G_r = "1e13 S/m^2"
[drive]
electric_field = ["1e5 V/m", "0 V/m", "0 V/m"]
magnetic_field = ["0 T", "0.3 T", "0.4 T"]
"""
TEMPERATURES = '"drive.temperature" = ["2 K", "5 K", "10 K", "20 K"]'
ZIP = 'mode = "zip"'
THICKNESS = '"structure.layers.Pt.thickness" = { from = "1 nm", to = "9 nm", points = 5 }'
ANGLE = 'angle = { plane = "xy", from = "0 deg", to = "360 deg", points = 13 }'


def scan_case(axes, head="", tail="", base=BASE):
    return case_from_table(tomllib.loads(f"{base}\n[scan]\n{head}\n[scan.axes]\n{axes}\n{tail}"))


# What workers solve with in place of the transport problem; they import this module.


def temperature_of(case, folder):
    """Return the temperature, and leave a line for every call."""
    if folder is not None:
        with (folder / "calls").open("a") as stream:
            stream.write(f"{case.drive.temperature}\n")
    torque = Measure("J/m^2", "torque", listed=True)(np.full(3, case.drive.temperature))
    return {"torques": {"F": {"torque": torque}, "nothing": None}}


def bare_numbers(case, folder):
    return {"T": case.drive.temperature, "pair": {"x": 1.0, "y": 2.0}}


def fails_at_5_k(case, folder):
    if case.drive.temperature == 5:
        raise SolverError("no convergence\nat all")
    return temperature_of(case, folder)


def divides_at_5_k(case, folder):
    table = temperature_of(case, folder)
    _ = 1 / (case.drive.temperature - 5)
    return table


def kills_at_5_k(case, folder):
    table = temperature_of(case, folder)
    if case.drive.temperature == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return table


def exits_once_at_5_k(case, folder):
    table = temperature_of(case, folder)
    if case.drive.temperature == 5 and calls(folder).count(5) == 1:
        os._exit(3)
    return table


def calls(folder):
    file = folder / "calls"
    return [float(line) for line in file.read_text().splitlines()] if file.exists() else []


def temperatures(result):
    return [p.numbers.get("torques.F.torque.x") for p in result.points]


# ---------------------------------------------------------------- points


def test_grid_has_all_combinations_with_the_last_axis_fastest():
    points = scan_points(scan_case(f"{TEMPERATURES}\n{THICKNESS}"))
    assert len(points) == 20
    found = [tuple(coordinates.values()) for coordinates, _ in points]
    assert found == [(t, d) for t in (2, 5, 10, 20) for d in (1, 3, 5, 7, 9)]
    for (t, d), (_, case) in zip(found, points, strict=True):
        assert case.drive.temperature == t
        assert case.structure.layers[2].thickness == pytest.approx(d * 1e-9, rel=1e-15)


def test_zip_goes_along_all_axes_at_once():
    axes = f'{TEMPERATURES}\n"regions.Pt.spin_hall_angle" = [0.1, 0.2, 0.3, 0.4]'
    points = scan_points(scan_case(axes, 'mode = "zip"'))
    assert [tuple(c.values()) for c, _ in points] == [(2, 0.1), (5, 0.2), (10, 0.3), (20, 0.4)]
    assert [case.regions["Pt"].spin_hall_angle for _, case in points] == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize(
    ("axis", "coordinates", "unit"),
    [
        ('"regions.Pt.spin_hall_angle" = { from = 0.1, to = 0.4, points = 4 }', (0.1, 0.2, 0.3, 0.4), ""),
        (
            '"regions.Pt.spin_hall_angle" = { from = 0.01, to = 1, points = 3, spacing = "log" }',
            (0.01, 0.1, 1),
            "",
        ),
        ('"structure.layers.1.cells" = { from = 2, to = 6, points = 3 }', (2, 4, 6), ""),
        ('"structure.layers.1.thickness" = ["500 pm", "2 nm"]', (500, 2000), "pm"),
        ('"drive.magnetic_field.2" = { from = "0 mT", to = "1 T", points = 3 }', (0, 500, 1000), "mT"),
        ('"regions.F.theta_mode" = ["exact", "first"]', ("exact", "first"), ""),
        ('"magnetization.direction" = [[1, 0, 0], [0, 0, 1]]', ("[1, 0, 0]", "[0, 0, 1]"), ""),
        ('"regions.F.soc.rashba" = ["0 eV*angstrom", "1e4 m/s"]', ("0 eV*angstrom", "1e4 m/s"), ""),
    ],
)
def test_coordinates_are_numbers_in_the_unit_of_the_case_where_possible(axis, coordinates, unit):
    points = scan_points(scan_case(axis))
    assert points.axes[0].coordinates == coordinates
    assert points.axes[0].unit == unit


@pytest.mark.parametrize("plane", ["xy", "yx", "xz", "zx", "yz", "zy"])
def test_angle_turns_the_magnetization_from_the_first_to_the_second_axis(plane):
    first, second = ("xyz".index(letter) for letter in plane)
    values = 'values = ["0 deg", "30 deg", "90 deg", "3.141592653589793 rad", "-90 deg"]'
    points = scan_points(scan_case(f'angle = {{ plane = "{plane}", {values} }}'))
    directions = np.array([case.magnetization.direction for _, case in points])
    half, root = 0.5, math.sqrt(0.75)
    expected = np.zeros((5, 3))
    expected[:, first], expected[:, second] = (1, root, 0, -1, 0), (0, half, 1, 0, -1)
    np.testing.assert_allclose(directions, expected, atol=1e-15)
    assert np.all((directions == expected) | (directions == directions[1]))  # quarters are exact
    assert all(case.drive.magnetic_field == [0, 0.3, 0.4] for _, case in points)


def test_angle_turns_the_field_of_each_point_and_keeps_its_size():
    axes = 'angle = { plane = "zx", of = "field", values = ["0 deg", "90 deg", "45 deg"] }\n'
    axes += '"drive.magnetic_field.0" = ["0 T", "1.2 T"]'
    points = scan_points(scan_case(axes))
    fields = np.array([case.drive.magnetic_field for _, case in points])
    np.testing.assert_allclose(fields[:, 1], 0, atol=0)
    np.testing.assert_allclose(np.linalg.norm(fields, axis=1), [0.5, 1.3] * 3, rtol=1e-14)
    np.testing.assert_allclose(fields[:2, 2], [0.5, 1.3], rtol=1e-15)
    np.testing.assert_allclose(fields[2:4, 0], [0.5, 1.3], rtol=1e-15)
    np.testing.assert_allclose(fields[4:, 0], fields[4:, 2], rtol=1e-15)
    assert all(case.magnetization.direction == [0, 0, 1] for _, case in points)


def test_angle_of_both_keeps_the_magnetization_along_the_field():
    axes = 'angle = { plane = "xy", of = "both", values = ["0 deg", "60 deg"] }'
    for _, case in scan_points(scan_case(axes)):
        m, field = np.array(case.magnetization.direction), np.array(case.drive.magnetic_field)
        np.testing.assert_allclose(field, 0.5 * m, rtol=1e-15)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("", r"scan\.axes: must not be empty"),
        ('"drive.temperature" = []', r'scan\.axes\."drive\.temperature": must not be empty'),
        ('"drive.temperature" = "5 K"', "must be a list"),
        ('drive.temperature = ["5 K"]', "the dotted path of an axis stands in quotes"),
        ('"drive.temprature" = ["5 K"]', r'"drive\.temprature": .*did you mean \'temperature\''),
        ('"drve.temperature" = ["5 K"]', "did you mean 'drive'"),
        ('"drive.temperature.x" = ["5 K"]', r"drive\.temperature is no table"),
        ('"regions.Ft.dos" = ["1e46 1/(J*m^3)"]', "no region 'Ft'; did you mean 'F'"),
        ('"structure.layers.3.thickness" = ["1 nm"]', "'3' is no entry of .*layers; 0 to 2"),
        ('"structure.layers.Co.thickness" = ["1 nm"]', "'Co' is no entry"),
        (
            '"drive.temperature" = ["5 K", "5 nm"]',
            r'"drive\.temperature": at the value "5 nm": drive\.temperature: has a unit of another',
        ),
        (
            '"drive.temperature" = { from = "1 K", to = "5 nm", points = 3 }',
            r'"drive\.temperature"\.to: has a unit of another quantity',
        ),
        ('"drive.temperature" = { from = "1 K", to = 5, points = 3 }', "both ends of a range"),
        ('"drive.temperature" = { from = true, to = 5, points = 3 }', "finite number, or text"),
        ('"drive.temperature" = { from = "0 K", to = "5 K", points = 3 }', r'"0\.0 K".*> 0'),
        (
            '"drive.temperature" = { from = "0 K", to = "5 K", points = 3, spacing = "log" }',
            "two ends of one sign",
        ),
        ('"drive.temperature" = { from = "5 K", to = "5 K", points = 3 }', "must differ"),
        ('"drive.temperature" = { from = "1 K", to = "5 K", points = 1 }', "must be >= 2"),
        ('"drive.temperature" = { from = "1 K", to = "5 K" }', r"points: is missing"),
        ('"drive.temperature" = { from = "1 K", to = "5 K", step = 3 }', "step: unknown key"),
        ('"drive.temperature" = ["5 K"]\n"drive.temperature.x" = ["5 K"]', "set the same key"),
        (
            '"structure.layers.2.thickness" = ["5 nm"]\n"structure.layers.Pt.thickness" = ["5 nm"]',
            "set the same key",
        ),
        ('"output.plots" = [true]', "'output.plots' cannot be scanned"),
        ('angle = ["0 deg"]', "is a table with plane"),
        ('angle = { plane = "xx", values = ["0 deg"] }', r"angle\.plane: must be 'xy'"),
        ('angle = { plane = "xy", values = ["0 nm"] }', "unit of another quantity"),
        ('angle = { plane = "xy", values = ["0 deg"], points = 3 }', "give either values or from"),
        ('angle = { plane = "xy", from = "0 deg" }', r"angle\.to: give from, to and points"),
        ('"x" = { plane = "xy", values = ["0 deg"] }', "x is not an angle"),
        (
            'angle = { plane = "xy", values = ["0 deg"] }\n"magnetization.direction" = [[1, 0, 0]]',
            "both set the magnetization",
        ),
        (
            'angle = { plane = "xy", of = "field", values = ["0 deg"] }\n'
            '"drive.magnetic_field" = [["0 T", "0 T", "0 T"]]',
            "needs a field",
        ),
        ('"regions.Pt.material" = ["Pt", "Pd2"]', '"Pd2": .*unknown material'),
        (
            '"drive.temperature" = { from = "1 K", to = "5 K", points = 99999 }\n'
            '"regions.Pt.spin_hall_angle" = [0.1, 0.2]',
            "199998 points; at most 100000",
        ),
    ],
)
def test_bad_axis_is_refused_with_its_name_and_value(axes, message):
    with pytest.raises(CaseError, match=message):
        scan_points(scan_case(axes))


def test_zip_of_unequal_lengths_is_refused():
    axes = f'{TEMPERATURES}\n"regions.Pt.spin_hall_angle" = [0.1, 0.2]'
    with pytest.raises(CaseError, match=r"has 4, regions\.Pt\.spin_hall_angle has 2"):
        scan_case(axes, 'mode = "zip"')


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        ('[scan.plot]\nx = "temperature"', r"plot\.x: no such axis; did you mean 'drive\.temp"),
        ("[scan.plot]\ny = []", r"plot\.y: must not be empty"),
    ],
)
def test_bad_plot_is_refused(tail, message):
    with pytest.raises(CaseError, match=message):
        scan_case(TEMPERATURES, tail=tail)


def test_a_scan_comes_back_from_its_dump():
    case = scan_case(f"{THICKNESS}\n{TEMPERATURES}\n{ANGLE}")
    assert case_from_table(dump_case(case)) == case


# ---------------------------------------------------------------- keys and store


def test_key_covers_what_the_numbers_depend_on():
    case = case_from_table(tomllib.loads(BASE))
    same = case.model_copy(update={"title": "another", "output": None})
    key = point_key(case)
    assert point_key(same) == key
    assert point_key(case, "another mesh") != key
    hot = case_from_table(tomllib.loads(BASE + 'temperature = "301 K"'))
    assert point_key(hot) != key


def test_store_returns_what_it_was_given_and_nothing_for_damaged_files(tmp_path):
    store = PointStore(tmp_path / "points")
    record = Record({"a.x": 0.1 + 0.2, "b": math.inf}, ("a warning",))
    store.write("key", record)
    assert store.read("key") == record
    store.write("gap", Record({"c": math.nan}))
    assert math.isnan(store.read("gap").numbers["c"])
    assert [p.name for p in sorted(store.folder.iterdir())] == ["gap.json", "key.json"]
    (store.folder / "key.json").write_text('{"numbers": {"a":')
    assert store.read("key") is None
    assert store.read("another") is None


def test_numbers_of_a_point_are_those_of_its_solution():
    solution = simulate(case_from_table(tomllib.loads(BASE)))
    found = {k: v for k, v in numbers_of(solution.table).items() if not math.isnan(v)}
    assert found == {k: v for k, v in solution.values.items() if not k.startswith("inputs.")}


# ---------------------------------------------------------------- running


def test_a_failing_point_is_recorded_and_the_others_finish(tmp_path):
    case = scan_case(TEMPERATURES, "processes = 2")
    result = sweep(case, tmp_path, tmp_path / "out", solve=fails_at_5_k, here=True)
    assert temperatures(result) == [2, None, 10, 20]
    assert [p.error for p in result.points] == ["", "no convergence\\nat all", "", ""]
    result.write(tmp_path / "out")
    rows = list(csv.reader((tmp_path / "out/table.csv").read_text().splitlines()))
    assert rows[0][0] == "drive.temperature [K]"
    assert rows[0][-1] == "error"
    assert set(rows[2][1:-1]) == {""}
    assert all(float(cell) > 0 for row in (rows[1], rows[3], rows[4]) for cell in row[1:-1])
    facts = json.loads((tmp_path / "out/scan.json").read_text())
    assert facts["failures"] == [
        {"row": 1, "coordinates": {"drive.temperature": 5.0}, "error": "no convergence\\nat all"}
    ]
    # Failures are tried again; what is there is not.
    again = sweep(case, tmp_path, tmp_path / "out", solve=temperature_of, here=True)
    assert temperatures(again) == [2, 5, 10, 20]
    assert sorted(calls(tmp_path)) == [2, 5, 10, 20]


def test_any_exception_is_recorded_with_its_name(tmp_path):
    case = scan_case(TEMPERATURES, "processes = 1")
    result = sweep(case, None, tmp_path / "out", solve=divides_at_5_k, here=True)
    assert [p.error for p in result.points if p.error] == ["ZeroDivisionError: float division by zero"]


def test_a_point_that_kills_its_worker_is_retried_once_and_the_others_are_untouched(tmp_path):
    axes = '"drive.temperature" = { from = "1 K", to = "12 K", points = 12 }'
    result = sweep(scan_case(axes, "processes = 2"), tmp_path, tmp_path / "out", solve=kills_at_5_k)
    assert temperatures(result) == [1, 2, 3, 4, None, 6, 7, 8, 9, 10, 11, 12]
    assert result.points[4].error == "its process died twice, killed by SIGKILL"
    assert len(result.failures) == 1
    made = calls(tmp_path)
    assert sorted(made) == sorted([*range(1, 13), 5])
    assert made[-1] == 5  # alone, after all others


def test_a_worker_that_dies_by_accident_costs_nothing(tmp_path):
    case = scan_case(TEMPERATURES, "processes = 2")
    result = sweep(case, tmp_path, tmp_path / "out", solve=exits_once_at_5_k)
    assert temperatures(result) == [2, 5, 10, 20]
    assert not result.failures


def test_workers_that_cannot_start_end_the_scan(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import tomllib\nfrom femspin.case import case_from_table\n"
        "from femspin.simulation import sweep\n"
        f"case = case_from_table(tomllib.loads('''{BASE}\n[scan.axes]\n{TEMPERATURES}'''))\n"
        "sweep(case, None, 'out')\n"
    )
    run = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 1
    assert f"{FemspinError.__name__}: the worker processes of the scan do not start" in run.stderr
    assert '__name__ == "__main__"' in run.stderr


def test_a_rerun_solves_only_what_is_new(tmp_path):
    output = tmp_path / "out"
    case = scan_case(TEMPERATURES)
    first = sweep(case, tmp_path, output, solve=temperature_of, here=True)
    files = {p: p.stat().st_mtime_ns for p in point_folder(output).iterdir()}
    assert (len(files), first.computed) == (4, 4)
    second = sweep(case, tmp_path, output, solve=temperature_of, here=True)
    assert second.computed == 0
    assert second.points == first.points
    assert {p: p.stat().st_mtime_ns for p in point_folder(output).iterdir()} == files
    assert len(calls(tmp_path)) == 4
    longer = scan_case(TEMPERATURES.replace('"20 K"', '"20 K", "30 K", "2000 mK"'))
    third = sweep(longer, tmp_path, output, solve=temperature_of, here=True)
    assert temperatures(third) == [2, 5, 10, 20, 30, 2]
    assert third.computed == 1
    fresh = sweep(case, tmp_path, output, fresh=True, solve=temperature_of, here=True)
    assert fresh.computed == 4
    assert len(calls(tmp_path)) == 9


def test_progress_counts_up_to_the_number_of_points(tmp_path):
    seen = []
    sweep(
        scan_case(TEMPERATURES, "processes = 2"),
        None,
        tmp_path / "out",
        lambda done, total: seen.append((done, total)),
        solve=temperature_of,
        here=True,
    )
    assert seen == [(k, 4) for k in range(5)]


def test_serial_and_parallel_scans_write_the_same_tables(tmp_path):
    texts = []
    for processes in (1, 2):
        axes = f'"drive.temperature" = ["2 K", "300 K"]\n{ANGLE}'
        case = scan_case(axes, f"processes = {processes}", base=SHORT)
        output = tmp_path / f"out{processes}"
        sweep(case, None, output, here=processes == 1).write(output)
        result = json.loads((output / "result.json").read_text())
        result["inputs"].pop("scan")
        texts.append(((output / "table.csv").read_text(), result))
        assert result["points"][13]["coordinates"] == {"drive.temperature": 300, "angle": 0}
    assert texts[0] == texts[1]


SHORT = BASE + "[output]\nfields = false\nplots = false\n"


def test_a_point_has_the_numbers_of_a_run_of_its_own(tmp_path):
    case = scan_case('"regions.Pt.spin_hall_angle" = [0.05, 0.2]', "processes = 1")
    result = sweep(case, None, tmp_path / "out", here=True)
    for (_, single), point in zip(scan_points(case), result.points, strict=True):
        values = simulate(single).values
        assert len(point.numbers) > 10
        for name, value in point.numbers.items():
            scale = 1e-9 if name == "balance_residual" else abs(values[name]) * 1e-10
            assert value == pytest.approx(values[name], rel=1e-10, abs=max(scale, 1e-6)), name


# ---------------------------------------------------------------- table and plot


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A scan of thickness and angle with its result folder."""
    folder = tmp_path_factory.mktemp("scan")
    axes = f'{ANGLE}\n"structure.layers.Pt.thickness" = ["2 nm", "4 nm"]'
    tail = '[scan.plot]\nx = "angle"\ny = ["interfaces.Pt|F.spin_current", "balance_residual"]'
    result = sweep(scan_case(axes, "processes = 2", tail), None, folder / "out", here=True)
    return result, result.write(folder / "out")


def test_folder_holds_table_facts_case_and_plot(solved):
    result, folder = solved
    pytest.importorskip("pyarrow")
    assert {p.name for p in folder.iterdir()} == {
        "case.toml",
        "result.json",
        "scan.json",
        "scan.png",
        "table.csv",
        "table.parquet",
    }
    facts = json.loads((folder / "scan.json").read_text())
    assert (facts["points"], facts["failed"], facts["computed"]) == (26, 0, 24)  # 0 and 360 deg
    assert facts["versions"]["femspin"]
    assert load_case(folder / "case.toml") == result.case
    assert list(load_case(folder / "case.toml").scan.axes) == list(result.case.scan.axes)


def test_csv_reads_back(solved):
    result, folder = solved
    with (folder / "table.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 26
    assert [float(r["angle [deg]"]) for r in rows[:3]] == [0, 0, 30]
    assert float(rows[1]["structure.layers.Pt.thickness [nm]"]) == 4
    head = "interfaces.Pt|F.spin_current.y [A/m^2 (hbar/2e)]"
    found = [float(r[head]) for r in rows]
    assert found == [p.numbers["interfaces.Pt|F.spin_current.y"] for p in result.points]
    expected = {"torques.YIG.efficiency_damping_like", "charge_current_density.Pt.x [A/m^2]"}
    assert expected <= set(rows[0])


def test_parquet_reads_back(solved):
    parquet = pytest.importorskip("pyarrow.parquet")
    result, folder = solved
    table = parquet.read_table(folder / "table.parquet").to_pydict()
    for column in result.table:
        np.testing.assert_equal(table[column.head], list(column.values))


def test_netcdf_takes_the_place_of_parquet_where_pyarrow_is_missing(solved, tmp_path, monkeypatch):
    xarray = pytest.importorskip("xarray")
    result, _ = solved
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    folder = result.write(tmp_path / "out")
    assert not (folder / "table.parquet").exists()
    with xarray.open_dataset(folder / "table.nc") as data:
        for column in result.table:
            np.testing.assert_array_equal(data[column.name].values, np.array(column.values))
            assert data[column.name].attrs.get("units", "") == column.unit
            assert data[column.name].attrs.get("long_name", "") == column.label
    axis = result.table[0]
    assert (axis.name, axis.label) == ("angle", "angle of the magnetization from x to y")


def test_table_needs_neither_pyarrow_nor_xarray(solved, tmp_path, monkeypatch):
    for name in ("pyarrow", "xarray"):
        monkeypatch.setitem(sys.modules, name, None)
    folder = solved[0].write(tmp_path / "out")
    assert {p.name for p in folder.glob("table.*")} == {"table.csv"}


def test_all_numbers_of_a_solver_that_lists_none_are_columns(tmp_path):
    result = sweep(scan_case(TEMPERATURES), None, tmp_path / "out", solve=bare_numbers, here=True)
    assert result.columns == ("T", "pair.x", "pair.y")
    assert [c.head for c in result.table][1:4] == ["T", "pair.x", "pair.y"]


def test_columns_can_be_chosen_by_name_or_by_the_head_of_a_name(tmp_path):
    case = scan_case(
        TEMPERATURES, 'processes = 1\ncolumns = ["torques.F"]', '[scan.plot]\ny = ["torques.nothing"]'
    )
    result = sweep(case, None, tmp_path / "out", solve=temperature_of, here=True)
    assert result.columns == (*(f"torques.F.torque.{a}" for a in "xyz"), "torques.nothing")
    assert [c.head for c in result.table][1] == "torques.F.torque.x [J/m^2]"
    assert math.isnan(result.points[0].numbers["torques.nothing"])


def test_a_number_that_is_an_axis_has_one_column(tmp_path):
    axes = '"regions.F.diffusion_constant" = ["1e-4 m^2/s", "2e-4 m^2/s"]'
    case = scan_case(axes, 'processes = 1\ncolumns = ["regions.F"]')
    heads = [c.head for c in sweep(case, None, tmp_path / "out", here=True).table]
    assert len(set(heads)) == len(heads)
    assert heads[0] == "regions.F.diffusion_constant [m^2/s]"


@pytest.mark.parametrize(
    ("head", "tail", "setting"),
    [('columns = ["torques.G"]', "", "columns"), ("", '[scan.plot]\ny = ["torques.G"]', "plot.y")],
)
def test_unknown_number_is_refused_after_the_first_point(tmp_path, head, tail, setting):
    case = scan_case(TEMPERATURES, f"processes = 1\n{head}", tail)
    with pytest.raises(CaseError, match=rf"scan\.{setting}: no number 'torques\.G'.*did you mean"):
        sweep(case, tmp_path, tmp_path / "out", solve=temperature_of, here=True)
    assert len(calls(tmp_path)) <= 2


def test_plot_has_labels_with_units_and_one_curve_per_value_of_the_other_axis(solved):
    figure, panels = solved[0].plot()
    assert panels[0].get_ylabel() == "spin current J at Pt|F\n(A/m², ħ/2e)"
    assert panels[-1].get_xlabel() == "angle of the magnetization from x to y (deg)"
    assert len(panels[0].lines) == 2 * 3
    assert len(panels[1].lines) == 2
    np.testing.assert_array_equal(panels[1].lines[0].get_xdata(), np.arange(0, 361, 30))
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "Pt thickness"
    assert [t.get_text() for t in legend.get_texts()] == ["2 nm", "4 nm"]
    assert [t.get_text() for t in panels[0].get_legend().get_texts()] == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("axes", "head", "curves"),
    [
        ('"regions.F.theta_mode" = ["exact", "first"]', "", 1),
        (f'"regions.Pt.spin_hall_angle" = [0.1, 0.2, 0.3, 0.4]\n{TEMPERATURES}', "", 4),
        (f'"regions.Pt.spin_hall_angle" = [0.1, 0.2, 0.3, 0.4]\n{TEMPERATURES}', ZIP, 1),
        (
            '"regions.Pt.spin_hall_angle" = { from = 0.1, to = 0.4, points = 30 }\n'
            '"drive.temperature" = { from = "1 K", to = "10 K", points = 2, spacing = "log" }',
            "",
            30,
        ),
    ],
)
def test_plots_of_other_shapes(tmp_path, axes, head, curves):
    case = scan_case(axes, f"{head}\nprocesses = 1", '[scan.plot]\ny = ["torques.F.torque.x"]')
    result = sweep(case, None, tmp_path / "out", solve=temperature_of, here=True)
    figure, (panel,) = result.plot()
    assert len(panel.lines) == curves
    figure.savefig(tmp_path / "scan.png")
    if 'spacing = "log"' in axes:
        assert panel.get_xscale() == "log"
        assert len(figure.legends[0].get_texts()) <= 12


# ---------------------------------------------------------------- command line


def write_case(folder, axes, head="processes = 2", base=SHORT):
    file = folder / "case.toml"
    file.write_text(f"{base}\n[scan]\n{head}\n[scan.axes]\n{axes}\n")
    return file


@pytest.fixture
def here(monkeypatch):
    """Let the command solve the points of a scan in the process of the test."""
    monkeypatch.setattr("femspin.cli.scan.sweep", partial(sweep, here=True))


@pytest.mark.usefixtures("here")
def test_run_writes_the_scan_and_check_says_how_many_points(tmp_path, capsys):
    axes = f'"regions.Pt.spin_hall_angle" = [0.1, 0.2]\n{TEMPERATURES}'
    file = write_case(tmp_path, axes, "processes = 1")
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "scan: 8 points: regions.Pt.spin_hall_angle (2) x drive.temperature (4)" in out
    assert main(["run", str(file)]) == 0
    out, err = capsys.readouterr()
    assert "8 solved, 0 failed" in out
    assert "%|" not in err  # no bar away from a terminal
    assert (tmp_path / "case.out/table.csv").is_file()
    assert main(["run", str(file), "--set", "title=other"]) == 2
    assert "--force" in capsys.readouterr().err
    assert main(["run", str(file)]) == 0  # the same inputs
    assert "0 solved, 0 failed" in capsys.readouterr().out
    assert main(["run", str(file), "--force", "--fresh", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["points"]) == 8


def test_check_and_run_refuse_a_bad_axis_with_the_file(tmp_path, capsys):
    file = write_case(tmp_path, '"drive.temprature" = ["5 K"]')
    for command in ("check", "run"):
        assert main([command, str(file)]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f'femspin: {file}: scan.axes."drive.temprature": at the value')
        assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["case.toml"]


@pytest.mark.usefixtures("here")
def test_run_says_which_points_failed_and_returns_1(tmp_path, capsys):
    base = SHORT.replace("[structure]", '[structure]\ndimension = 2\nwidth = "5 nm"')
    file = write_case(tmp_path, '"solver.method" = ["stack", "direct"]', base=base)
    assert main(["run", str(file)]) == 1
    out, err = capsys.readouterr()
    assert "2 solved, 1 failed" in out
    assert "femspin: failed at solver.method = stack: solver.method: the stack method needs" in err
    rows = list(csv.reader((tmp_path / "case.out/table.csv").read_text().splitlines()))
    assert rows[1][-1]
    assert not rows[2][-1]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.usefixtures("here")
def test_an_interrupted_scan_keeps_its_points_and_a_rerun_resumes(tmp_path, capsys):
    axes = '"regions.Pt.spin_hall_angle" = { from = 0.01, to = 0.4, points = 60 }'
    file = write_case(tmp_path, axes)
    command = [sys.executable, "-m", "femspin", "run", str(file)]
    points = point_folder(tmp_path / "case.out")
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 40
    while len(list(points.glob("*.json"))) < 8 and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130
    assert err.startswith("femspin: interrupted; ")
    assert err.count("\n") == 1
    kept = {p: p.stat().st_mtime_ns for p in points.glob("*.json")}
    assert 8 <= len(kept) < 60
    assert not (tmp_path / "case.out").exists()
    assert main(["run", str(file)]) == 0
    out, err = capsys.readouterr()
    assert "interrupted" not in err
    assert f"{60 - len(kept)} solved, 0 failed" in out
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
