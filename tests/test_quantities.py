"""Numbers know their unit, label and scale from where they are defined to every table."""

from __future__ import annotations

import copy
import csv
import json
import pickle

import numpy as np
import pytest
from layers import magnetic_layer

from femspin import simulate, sweep
from femspin.case import case_from_table
from femspin.device.observables.quantity import (
    ByName,
    Listed,
    Measure,
    Number,
    Unlisted,
    Vector,
    flat_numbers,
    numbers_of,
    quantities,
    units_of,
)
from femspin.device.observables.said import GROUPS

J = "A/m^2 (hbar/2e)"


def layers(dimension=1, **more):
    table = {
        "structure": {
            "layers": [
                {"region": "YIG", "thickness": "4 nm"},
                {"region": "F", "thickness": "1 nm", "cells": 2},
                {"region": "Pt", "thickness": "5 nm", "cells": 3},
            ]
        },
        "regions": {
            "YIG": {"kind": "FI"},
            "F": magnetic_layer("5e46 1/(J*m^3)"),
            "Pt": {"kind": "HM", "material": "Pt"},
        },
        "interfaces": {"F|YIG": {"G_r": "1e13 S/m^2"}},
        "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
        "magnetization": {"direction": [1, 1, 1]},
    } | more
    if dimension == 2:
        table["structure"] |= {"dimension": 2, "width": "20 nm", "cells_x": 4, "lateral": "insulating"}
        table["drive"] = {"electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 mV"}}}
    return case_from_table(table)


@pytest.fixture(scope="module")
def steady():
    return simulate(layers())


def test_every_number_of_a_solution_has_a_label_with_its_place(steady):
    found = steady.quantities
    for name, q in found.items():
        if name.startswith(tuple(f"{group}." for group in GROUPS)) and np.isfinite(q.value):
            place = name.removeprefix("observables.").split(".")[1]
            film = name.startswith("observables.charge.")
            followed = ".direction_seen_by_carriers." in name
            assert followed or film or place in q.label or name.split(".")[2] in q.label, (name, q.label)
            assert "." not in q.label or followed, (name, q.label)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("interfaces.Pt|F.spin_current.y", f"spin current J_y at Pt|F ({J})"),
        ("interfaces.Pt|F.parts.M.x", f"part M of J_x at Pt|F ({J})"),
        ("interfaces.Pt|F.M_on_moments.x", f"part M of J_x on moments at Pt|F ({J})"),
        ("interfaces.Pt|F.charge_current", "charge current at Pt|F (A/m^2)"),
        ("torques.YIG.torque.z", "torque per area t_z on YIG (J/m^2)"),
        ("torques.YIG.efficiency_field_like", "field-like efficiency of Pt on YIG"),
        ("regions.F.precession.x", "precession omega_x of F (rad/s)"),
        ("regions.F.lengths.spin_orbit", "spin-orbit length of F (m)"),
        ("conductances.F.M.G_r", "part M of the conductance G_r of F (S/m^2)"),
        ("observables.charge.sheet_conductance", "sheet conductance (S)"),
        ("observables.regions.Pt.mean_potential.x", "mean spin potential mu_x in Pt (meV)"),
        ("balance_residual", "balance residual"),
    ],
)
def test_titles_are_what_a_plot_would_say(steady, name, title):
    assert steady.quantities[name].title == title


def test_values_and_errors_of_quantities_are_those_of_the_report(steady):
    found = steady.quantities
    assert {n: q.value for n, q in found.items() if np.isfinite(q.value)} == pytest.approx(
        {n: v for n, v in numbers_of(steady.table).items() if np.isfinite(v)}, rel=0
    )
    report = steady.report["interfaces"]["Pt|F"]["spin_current"]
    for k, axis in enumerate("xyz"):
        q = found[f"interfaces.Pt|F.spin_current.{axis}"]
        assert (q.value, q.error) == (report["value"][k], report["error"][k])
    assert found["regions.F.dos"].error is None


def test_spin_currents_and_parts_of_an_interface_have_one_scale(steady):
    found = steady.quantities
    own = [q for n, q in found.items() if q.group == "spin currents at Pt|F"]
    assert len(own) == 3 * 7
    assert {q.scale for q in own} == {max(abs(q.value) for q in own)}
    vector = [found[f"torques.YIG.torque.{axis}"] for axis in "xyz"]
    assert {q.scale for q in vector} == {max(abs(q.value) for q in vector)}
    assert {q.group for q in vector} == {""}
    swapping = [q for n, q in found.items() if ".Pt.spin_swapping." in n]
    assert {q.scale for q in swapping} == {max(abs(q.value) for q in swapping)}


def test_no_error_is_smaller_than_the_round_off_of_its_scale(steady):
    for name, q in steady.quantities.items():
        if q.error is not None and np.isfinite(q.scale):
            assert q.error >= 0.99e-14 * q.scale, name


def test_result_json_holds_the_units_of_all_numbers_that_have_one(steady, tmp_path):
    table = json.loads((steady.write(tmp_path / "out") / "result.json").read_text())
    assert table["units"] == {n: q.unit for n, q in steady.quantities.items() if q.unit}
    assert table["units"]["interfaces.Pt|F.spin_current.x"] == J
    assert "units" not in steady.table  # which a scan makes for every point


def test_totals_of_electrodes_have_the_unit_of_the_dimension():
    found = simulate(layers(2)).quantities
    assert found["electrodes.left.current"].title == "current into left (A/m)"
    assert found["electrodes.left.voltage"].unit == "V"
    currents = [found[f"electrodes.{n}.current"] for n in ("left", "right")]
    assert currents[0].scale == currents[1].scale == max(abs(q.value) for q in currents)


def test_areas_have_the_unit_of_the_dimension(steady):
    for dimension, unit, found in ((1, "", steady.quantities), (2, "nm", simulate(layers(2)).quantities)):
        areas = {n: q.unit for n, q in found.items() if n.endswith(".area")}
        assert {"interfaces.Pt|F.area", "torques.YIG.area"} <= set(areas), dimension
        assert set(areas.values()) == {unit}


def test_amplitudes_keep_unit_and_say_which_part_they_are():
    case = layers(frequency={"frequency": ["1 GHz"]})
    found = simulate(case).quantities
    q = found["frequency.0.interfaces.Pt|F.spin_current.im.x"]
    assert q.title == f"im spin current J_x of 1 GHz at Pt|F ({J})"
    assert q.listed
    assert found["frequency.0.frequency"].title == "frequency (Hz)"


def test_a_scan_hands_units_and_labels_to_its_files(tmp_path):
    case = layers(scan={"axes": {"drive.temperature": ["5 K", "10 K"]}})
    found = sweep(case, output=tmp_path / "out", here=True)
    folder = found.write(tmp_path / "out")
    with (folder / "table.csv").open(newline="") as stream:
        head = next(csv.reader(stream))
    assert f"interfaces.Pt|F.spin_current.x [{J}]" in head
    columns = json.loads((folder / "result.json").read_text())["columns"]
    entry = {c["name"]: c for c in columns}["torques.YIG.torque.x"]
    assert entry["label"] == "torque per area t_x on YIG"
    assert entry["unit"] == "J/m^2"
    listed = {n for n, q in simulate(case.with_values({"scan": None})).quantities.items() if q.listed}
    assert set(found.columns) == listed


# ------------------------------------------------------------------------------- the pieces


def test_quantities_are_plain_in_arithmetic():
    length, field = Measure("m", "length"), Measure("T", "field B")
    number, vector = length(2.0), field(np.array([1.0, 2.0, 3.0]))
    assert type(number * 2) is float
    for result in (
        vector * 2,
        vector + vector,
        np.sqrt(vector),
        vector @ vector,
        vector.copy() * number,
        np.linalg.norm(vector),
    ):
        assert not isinstance(result, Vector)
    plain = np.zeros(3)
    plain += vector
    assert type(plain) is np.ndarray
    np.testing.assert_array_equal(plain, [1, 2, 3])
    vector *= 2
    np.testing.assert_array_equal(np.asarray(vector), [2, 4, 6])


def test_copies_and_parts_of_vectors_keep_what_they_are():
    measure = Measure("T", "field B")
    vector = measure(np.array([1.0, 2.0, 3.0]))
    for again in (
        copy.copy(vector),
        copy.deepcopy(vector),
        pickle.loads(pickle.dumps(vector)),
        vector.copy(),
        vector[:],
        copy.deepcopy({"B": vector})["B"],
    ):
        assert isinstance(again, Vector)
        assert again.measure == measure
        np.testing.assert_array_equal(np.asarray(again), [1, 2, 3])
    assert pickle.loads(pickle.dumps(vector)) is not vector


def test_copies_of_numbers_keep_what_they_are():
    number = Number(2.0, Measure("m", "length"))
    for again in (copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
        assert again == 2.0
        assert again.measure == number.measure


def test_tables_say_which_numbers_a_scan_lists():
    table = Listed({"a": 1.0, "b": Unlisted({"c": Measure("m", listed=True)(2.0)}), "d": None})
    found = quantities({"t": table, "free": Measure(listed=True)(1.0), "bare": 3})
    assert {n for n, q in found.items() if q.listed} == {"t.a", "t.d", "free"}
    assert np.isnan(found["t.d"].value)
    assert flat_numbers({"t": table}) == {"t.a": 1.0, "t.b.c": 2.0}
    assert units_of({"t": table}) == {"t.b.c": "m"}


def test_names_within_names_are_joined_and_facts_are_no_numbers():
    current = Measure("A", "current", "into", "currents at {}")
    table = ByName(a=ByName(b=current(1.0), c=current(-3.0)))
    found = quantities({"x": table, "inputs": {"y": 1.0}})
    assert list(found) == ["x.a.b", "x.a.c"]
    assert found["x.a.b"].label == "current into a by b"
    assert found["x.a.b"].group == "currents at a by b"


def test_what_is_no_number_stays_as_it_is():
    measure = Measure("m")
    assert measure(None) is None
    assert measure("none") == "none"
    assert list(quantities({"a": True, "b": "text", "c": [1.0], "d": np.zeros((2, 2))})) == []
