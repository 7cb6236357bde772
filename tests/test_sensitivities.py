"""Sensitivities: differences of whole solves, adjoint and tangent, exact stack, scaling laws."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from layers import magnetic_layer
from marks import slow

from femspin import CaseError, build_device, case_from_table, load_case
from femspin.case.load import dump_case, read_table
from femspin.case.parameters import without_repetition
from femspin.cli.main import main
from femspin.device.build import changed_device
from femspin.device.coefficients import extrapolated_derivative, with_parameters
from femspin.device.functionals import device_functionals
from femspin.device.observables.mesh import discretised_numbers
from femspin.device.observables.quantity import flat_numbers
from femspin.device.steady import solve_transport
from femspin.materials.parameters import complete_case
from femspin.studies.sensitivity.elements import (
    choose_outputs,
    choose_parameters,
    default_outputs,
    is_output,
    possible_outputs,
    sensitivities,
)
from femspin.studies.sensitivity.layers import solved_stack, stack_sensitivities

CASES = Path(__file__).parents[1] / "cases"

# Powers of a length L in every unit when hbar, e, k_B and m_e keep their values: then masses stay,
# times go with L^2, energies with 1/L^2, currents with 1/L^2.
POWERS = {
    "m": 1,
    "s": 2,
    "J": -2,
    "K": -2,
    "T": -2,
    "V/m": -3,
    "kg": 0,
    "m/s": -1,
    "m**2/s": 0,
    "S/m": -1,
    "1/(J*m**3)": -1,
    "1/m**3": -3,
    "J*m**3": 1,
    "": 0,
}
# Powers of a mass M when hbar, e, k_B and lengths keep theirs, where no field brings in mu_B:
# times go with M, energies with 1/M, currents with 1/M.
MASS_POWERS = {
    "m": 0,
    "s": 1,
    "J": -1,
    "K": -1,
    "kg": 1,
    "m/s": -1,
    "m**2/s": -1,
    "V/m": -1,
    "S/m": 0,
    "1/(J*m**3)": 1,
    "1/m**3": 0,
    "J*m**3": -1,
    "": 0,
}

CONTACT = {
    "structure": {
        "dimension": 2,
        "width": "12 nm",
        "cells_x": 5,
        "lateral": "insulating",
        "layers": [
            {"region": "YIG", "thickness": "3 nm"},
            {"region": "F", "thickness": "0.8 nm", "cells": 2},
            {"region": "Pt", "thickness": "4 nm", "cells": 4},
        ],
    },
    "regions": {
        "YIG": {"kind": "FI"},
        "F": magnetic_layer(),
        "Pt": {
            "kind": "HM",
            "dos": "4e47 1/(J*m^3)",
            "conductivity": "2e6 S/m",
            "spin_diffusion_length": "1.5 nm",
            "spin_hall_angle": 0.1,
        },
    },
    "interfaces": {
        "Pt|F": {"contact_conductance": "2e15 S/m^2", "contact_spin_conductance": "6e14 S/m^2"},
        "F|YIG": {"G_r": "2e13 S/m^2", "G_i": "1e13 S/m^2"},
    },
    "drive": {
        "temperature": "200 K",
        "magnetic_field": ["0 T", "0.3 T", "0.4 T"],
        "electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}},
    },
    "magnetization": {"direction": [1, 1, 1]},
}

CARRIED = {
    "structure": {
        "dimension": 3,
        "width": "3 nm",
        "depth": "3 nm",
        "cells_x": 2,
        "cells_y": 2,
        "lateral": "insulating",
        "layers": [
            {"region": "F", "thickness": "1 nm", "cells": 2},
            {"region": "Pt", "thickness": "2 nm", "cells": 2},
        ],
    },
    "regions": {
        "F": magnetic_layer(
            soc={
                "rashba": "0.4 eV*angstrom",
                "strain_coupling": "2e4 m/s",
                "strain": [[0, 0.02, 0.03], [0.02, 0, 0.05], [0.03, 0.05, 0]],
            }
        ),
        "Pt": {
            "kind": "HM",
            "dos": "4e47 1/(J*m^3)",
            "conductivity": "2e6 S/m",
            "spin_diffusion_length": "1.5 nm",
            "spin_hall_angle": 0.1,
        },
    },
    "drive": {
        "temperature": "200 K",
        "electrodes": {"left": {"voltage": "1 mV"}, "right": {"voltage": "0 V"}},
    },
    "magnetization": {"direction": [1, 1, 1]},
    "solver": {"elements": "covariant", "order": 1},
}

# A layer replaced by its conductance: its thickness is no matter of the mesh.
REPLACED = {
    **CONTACT,
    "structure": {"layers": CONTACT["structure"]["layers"]},
    "regions": CONTACT["regions"] | {"F": CONTACT["regions"]["F"] | {"model": "exact"}},
    "interfaces": {"F|YIG": CONTACT["interfaces"]["F|YIG"]},
    "drive": {"temperature": "200 K", "electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
}


@cache
def solved(name):
    """Return device and solution of a shipped case or of a table above."""
    table = {"contact": CONTACT, "carried": CARRIED, "replaced": REPLACED}.get(name)
    case = load_case(CASES / f"{name}.toml") if table is None else case_from_table(table)
    device = build_device(case, CASES)
    return device, solve_transport(device, device.direction)


@cache
def numbers(name):
    return flat_numbers(discretised_numbers(*solved(name)))


@cache
def stack(name, *changes):
    case, _ = complete_case(load_case(CASES / f"{name}.toml", ["solver.method=stack", *changes]))
    return solved_stack(case)


def kind(name):
    """Return what numbers have in common whose round-off is that of the largest of them.

    Charge fluxes in one dimension, for example, are round-off of spin fluxes.
    """
    parts = name.split(".")
    if parts[0] == "interfaces":
        return ("interfaces",)
    if "spin_swapping" in parts:
        return ("spin_swapping",)
    return tuple(p for k, p in enumerate(parts) if k != 1 and p not in ("x", "y", "z"))


def largest_of_kinds(names, sizes):
    """Return the largest size of the kind of every number, by kind."""
    found = {}
    for name, size in zip(names, sizes, strict=True):
        found[kind(name)] = max(found.get(kind(name), 0.0), float(abs(size)))
    return found


def driven(values, least=1e-3):
    """Return the numbers whose derivatives are more than round-off.

    Numbers carry a round-off of about 1e-13 of the largest of their kind (products of stiffness
    and potentials), and differences over 3e-3 of the scale 300 times that: below 1e-3 of the
    largest it would exceed the 1e-6 that is asked for.  In F without spin Hall effect nothing
    but round-off is what a transparency divides by.
    """
    largest = largest_of_kinds(values, values.values())
    return [
        n
        for n, v in values.items()
        if is_output(n) and abs(v) > least * largest[kind(n)] and "F|YIG.spin_tr" not in n
    ]


def whole_derivative(name, parameter, outputs):
    """Return the derivatives of outputs from solutions with other parameters on the same mesh."""
    device, transport = solved(name)

    def at(x):
        case = with_parameters(without_repetition(device.case), {parameter.path: x})
        other = changed_device(device, case)
        found = flat_numbers(discretised_numbers(other, solve_transport(other, transport.m)))
        return [np.array(found.get(n, np.nan)) for n in outputs]

    return np.array(extrapolated_derivative(at, parameter.value, parameter.scale, 6, 1e-9)[0])


def by_elasticity(found):
    """Return derivatives times parameter over the largest such change of the output."""
    scale = np.array([abs(p.value) or p.scale for p in found.parameters])
    change = found.derivatives * scale
    return change, np.abs(change).max(axis=1)


def follows_the_field(name, output, parameter):
    """Moments of GGG that turn away from m belong to no magnet any more: torques jump."""
    turns = parameter.path.startswith(("drive.magnetic_field", "regions.F.kondo.rotation"))
    return name == "ggg_pt" and ".GGG." in output and turns


def strides(*names):
    """Return every name twice: with one in eight of its parameters, and with all of them, slow."""
    return [(name, 8) for name in names] + [slow(name, 1) for name in names]


def paths_of(name, stride):
    return [p.path for p in choose_parameters(solved(name)[0].case)][::stride]


# ---------------------------------------------------------------- against whole solves


@pytest.mark.parametrize(
    ("name", "stride"),
    [*strides("eus_pt", "ggg_pt", "biox_cu", "contact", "replaced"), slow("fgt_pt", 8), slow("fgt_pt", 1)],
)
def test_every_number_has_the_derivative_of_whole_solves_by_every_parameter(name, stride):
    outputs, paths = driven(numbers(name)), paths_of(name, stride)
    found = sensitivities(*solved(name), outputs, paths)
    assert found.errors.max() < 1e-9
    change, largest = by_elasticity(found)
    for j, parameter in enumerate(found.parameters):
        scale = abs(parameter.value) or parameter.scale
        compared = whole_derivative(name, parameter, outputs) * scale
        for k, output in enumerate(outputs):
            if not follows_the_field(name, output, parameter):
                gap = abs(change[k, j] - compared[k])
                assert gap <= 1e-6 * largest[k], (output, parameter.path)


def test_covariant_elements_in_3d_are_differentiated_with_their_frames():
    """A gauge field along every axis: the elements change with it."""
    device, transport = solved("carried")
    assert transport.state.coefficients["F"].along == (0, 1, 2)
    outputs = [n for n in driven(numbers("carried")) if "observables" not in n]
    paths = ["regions.F.soc.*", "regions.F.mass"]
    found = sensitivities(device, transport, outputs, paths)
    assert sum(".strain." in p.path for p in found.parameters) == 3
    change, largest = by_elasticity(found)
    for j, parameter in enumerate(found.parameters):
        scale = abs(parameter.value) or parameter.scale
        compared = whole_derivative("carried", parameter, outputs) * scale
        assert np.all(np.abs(change[:, j] - compared) <= 1e-6 * largest), parameter.path


def test_the_tables_differentiated_cover_contacts_laws_electrodes_and_replaced_layers():
    paths = {p.path for p in choose_parameters(solved("contact")[0].case)}
    assert {
        "interfaces.Pt|F.contact_conductance",
        "interfaces.Pt|F.contact_spin_conductance",
        "interfaces.F|YIG.G_r",
        "drive.electrodes.left.voltage",
        "drive.temperature",
    } <= paths
    replaced = {p.path for p in choose_parameters(solved("replaced")[0].case)}
    assert "structure.layers.1.thickness" in replaced
    assert "structure.layers.2.thickness" not in replaced


# ---------------------------------------------------------------- adjoint, tangent, functionals


@pytest.mark.parametrize(("name", "stride"), [*strides("eus_pt", "contact", "carried"), slow("fgt_pt", 1)])
def test_adjoint_rows_are_tangent_rows(name, stride):
    """To 1e-9 of the largest change of their kind; charge through a face is round-off of all charge."""
    device, transport = solved(name)
    affine = device_functionals(device, transport)
    outputs = [n for n in driven(numbers(name), 0.0) if n in affine]
    assert len(outputs) > 20
    paths = paths_of(name, stride)
    one = sensitivities(device, transport, outputs, paths, method="adjoint")
    two = sensitivities(device, transport, outputs, paths, method="tangent")
    largest = largest_of_kinds(outputs, by_elasticity(two)[1])
    gap = np.abs(by_elasticity(one)[0] - by_elasticity(two)[0]).max(axis=1)
    for output, value in zip(outputs, gap, strict=True):
        size = largest[kind(output)]
        if output.endswith(".charge_current"):
            size = max(size, largest["charge_current_density",])
        assert value <= 1e-9 * size, output


@pytest.mark.parametrize("name", ["eus_pt", "fgt_pt", "biox_cu", "contact", "carried"])
def test_functionals_are_the_differences_of_the_result_table(name):
    """Affine numbers: one difference, of any size, is exact to round-off."""
    from dataclasses import replace

    from femspin.device.steady import transport_of

    device, transport = solved(name)
    step = np.random.default_rng(3).normal(size=transport.state.mu.shape)
    state = replace(transport.state, mu=transport.state.mu + step)
    moved = transport_of(device, transport.m, transport.fields, state)
    after = flat_numbers(discretised_numbers(device, moved))
    functionals = device_functionals(device, transport)
    sizes = [np.vdot(np.abs(f.weights), np.abs(step)) for f in functionals.values()]
    largest = largest_of_kinds(functionals, sizes)
    for path, f in functionals.items():
        difference = after.get(path, 0.0) - numbers(name).get(path, 0.0)
        gap = abs(difference - np.vdot(f.weights, step))
        assert gap <= 1e-12 * largest[kind(path)] + 1e-9 * abs(difference), path


# ---------------------------------------------------------------- exact stack


@pytest.mark.parametrize("name", ["eus_pt", "ggg_pt", slow("fgt_pt"), "biox_cu"])
def test_elements_approach_the_exact_sensitivities_of_the_stack(name):
    """The elements solve to about 1e-7 on the meshes of the cases (errors of order h^4)."""
    exact = stack(name)
    outputs = [n for n in default_outputs(numbers(name)) if n in exact.values]
    assert any("spin_current" in n for n in outputs)
    found = sensitivities(*solved(name), outputs)
    paths = [p.path for p in found.parameters]
    compared = stack_sensitivities(exact, outputs, paths)
    change, largest = by_elasticity(found)
    assert np.all(np.abs(change - by_elasticity(compared)[0]).max(axis=1) <= 2e-6 * largest)


def test_stack_thicknesses_have_the_derivative_of_whole_solves():
    exact = stack("eus_pt")
    outputs = list(default_outputs(exact.values))
    found = stack_sensitivities(exact, outputs, ["structure.layers.*"])
    assert [p.path for p in found.parameters] == [
        "structure.layers.1.thickness",
        "structure.layers.2.thickness",
    ]
    for j, p in enumerate(found.parameters):
        compared, _ = extrapolated_derivative(
            lambda x, path=p.path: [
                np.array([solved_stack(with_parameters(exact.case, {path: x})).values[n] for n in outputs])
            ],
            p.value,
            p.scale,
        )
        np.testing.assert_allclose(found.derivatives[:, j], compared[0], rtol=1e-8)


def test_a_stack_with_a_replaced_layer_is_refused():
    case, _ = complete_case(case_from_table({**REPLACED, "solver": {"method": "stack"}}))
    with pytest.raises(CaseError, match=r"regions\.F\.model: an exact derivative"):
        solved_stack(case)


@pytest.mark.parametrize("form", ["exact", "thin", "corrected"])
def test_a_replaced_layer_with_hall_and_spin_hall_angles_has_derivatives(form):
    """Of mass, scattering time and field, by central differences of whole runs."""
    table = read_table(CASES / "ggg_pt.toml")
    del table["expected"]
    table["regions"]["F"]["model"] = form
    case = complete_case(case_from_table(table))[0]
    device = build_device(case)
    names = ["regions.F.mass", "regions.F.scattering_time", "drive.magnetic_field.2"]
    output = "interfaces.Pt|F.spin_current.y"
    found = sensitivities(device, solve_transport(device, device.direction), [output], names)
    for parameter, slope in zip(found.parameters, found.derivatives[0], strict=True):
        step = 1e-3 * (parameter.value or 1.0)
        ends = []
        for sign in (1, -1, 2, -2):
            moved = build_device(with_parameters(case, {parameter.path: parameter.value + sign * step}))
            ends.append(
                flat_numbers(discretised_numbers(moved, solve_transport(moved, moved.direction)))[output]
            )
        expected = (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * step)
        size = abs(found.values[0] / (parameter.value or 1.0))
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-9 * size)


# ---------------------------------------------------------------- identities


@pytest.mark.parametrize("name", ["eus_pt", "ggg_pt", "fgt_pt"])
def test_currents_are_linear_in_the_field_and_efficiencies_do_not_depend_on_its_size(name):
    outputs = list(default_outputs(numbers(name)))
    found = sensitivities(*solved(name), outputs, ["drive.electric_field.*"])
    value = np.array([p.value for p in found.parameters])
    total = (found.derivatives * value).sum(axis=1) / found.values
    expected = [1.0 if "spin_current" in n else 0.0 for n in outputs]
    np.testing.assert_allclose(total, expected, atol=1e-9)


def test_currents_between_electrodes_are_linear_in_the_voltages():
    outputs = ["electrodes.left.current", "interfaces.Pt|F.spin_current.y", "torques.F.efficiency_field_like"]
    found = sensitivities(*solved("contact"), outputs, ["drive.electrodes.*"])
    value = np.array([p.value for p in found.parameters])
    total = (found.derivatives * value).sum(axis=1) / found.values
    np.testing.assert_allclose(total, [1, 1, 0], atol=1e-9)


@pytest.mark.parametrize("name", ["eus_pt", "ggg_pt", slow("fgt_pt"), "biox_cu"])
def test_elasticities_of_a_stack_add_up_to_the_dimension_of_the_output(name):
    """No number changes if all lengths are measured in units that keep hbar, e, k_B and m_e.

    Q(L^w p) = L^w_Q Q(p) for all L, so sum_p w_p (p/Q) dQ/dp = w_Q; j goes with 1/L^4.
    """
    exact = stack(name)
    outputs = list(default_outputs(exact.values))
    found = stack_sensitivities(exact, outputs)
    share = found.derivatives * np.array([p.value for p in found.parameters])
    share /= found.values[:, None]
    total = share @ np.array([POWERS[p.unit] for p in found.parameters])
    expected = np.array([-4.0 if "spin_current" in n else 0.0 for n in outputs])
    np.testing.assert_allclose(total, expected, atol=1e-9 * np.abs(share).max())


def test_elasticities_of_elements_add_up_to_the_dimension_at_fixed_lengths():
    """Without a magnetic field m_e does not enter: masses may be rescaled, the mesh stays."""
    outputs = list(default_outputs(numbers("biox_cu")))
    found = sensitivities(*solved("biox_cu"), outputs)
    share = found.derivatives * np.array([p.value for p in found.parameters])
    share /= found.values[:, None]
    total = share @ np.array([MASS_POWERS[p.unit] for p in found.parameters])
    np.testing.assert_allclose(total, -1.0, atol=1e-9 * np.abs(share).max())


# ---------------------------------------------------------------- choice of outputs, parameters


def test_names_are_known_before_solving():
    device, _ = solved("eus_pt")
    possible = possible_outputs(device)
    assert set(default_outputs(numbers("eus_pt"))) <= set(possible)
    assert not any(n.endswith(("area", "balance_residual")) for n in possible)
    wanted = choose_outputs(["interfaces.*.spin_current.y"], possible)
    assert wanted == ("interfaces.Pt|F.spin_current.y", "interfaces.F|EuS.spin_current.y")
    assert len(choose_outputs(["interfaces.Pt|F.parts.M"], possible)) == 3


def test_default_outputs_leave_out_what_is_negligible():
    values = {
        "interfaces.a|b.spin_current.x": 1.0,
        "interfaces.a|b.spin_current.y": 2e-6,
        "interfaces.b|c.spin_current.x": 0.9e-6,
        "torques.b.efficiency_damping_like": 1e-9,
        "torques.b.efficiency_field_like": 0.0,
        "torques.b.torque.x": 5.0,
    }
    assert default_outputs(values) == tuple(list(values)[:2] + list(values)[3:4])


def test_a_parameter_without_derivative_has_none():
    """At the Curie temperature itself the splitting has a vertical slope."""
    table = dump_case(complete_case(load_case(CASES / "eus_pt.toml"))[0])
    table["regions"]["F"]["kondo"]["curie_temperature"] = "10 K"
    table["interfaces"], table["expected"] = {}, {}
    table["drive"]["magnetic_field"] = ["0 T", "0 T", "0 T"]
    device = build_device(case_from_table(table))
    transport = solve_transport(device, device.direction)
    name = "interfaces.Pt|F.spin_current.x"
    found = sensitivities(device, transport, [name], ["drive.temperature", "regions.Pt.spin_hall_angle"])
    assert np.isnan(found.derivatives[0, 0])
    assert np.isinf(found.errors[0])
    assert np.isfinite(found.derivatives[0, 1])


# ---------------------------------------------------------------- command line


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


@pytest.fixture
def file(tmp_path):
    target = tmp_path / "case.toml"
    target.write_text((CASES / "eus_pt.toml").read_text(encoding="utf-8"), encoding="utf-8")
    return target


NAME = "interfaces.Pt|F.spin_current.y"


def test_tables_are_sorted_and_say_what_they_are(call, file):
    code, out, err = call("sensitivities", file)
    assert code == 0
    assert err == (
        "note: steady state at the magnetization of the case; [dynamics]: the motion of the"
        " magnetization is left out\n"
    )
    block = out.split(f"\n{NAME} = ")[1].split("\n\n")[0].splitlines()
    rows = [line.split() for line in block[2:] if "no influence" not in line]
    sizes = [abs(float(row[-1].rstrip("*"))) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    # the gauge field is the product of the two, the curvature bends a little more by the mass
    assert {row[0] for row in rows[:2]} == {"regions.F.mass", "regions.F.soc.rashba"}
    assert next(r for r in rows if r[0] == "drive.electric_field.0")[-1] == "+1.000000"
    assert next(r for r in rows if r[0] == "drive.electric_field.1")[-1].endswith("*")
    assert "drive.electric_field.1 6e+05 V/m" in out


def test_json_csv_and_folder_hold_the_same_numbers(call, file, tmp_path):
    folder, table = tmp_path / "out", tmp_path / "t.csv"
    arguments = (
        "sensitivities",
        file,
        "--outputs",
        "interfaces.*.spin_current.y",
        "--parameters",
        "structure.*",
        "--json",
        "--set",
        "solver.method=stack",
        "-o",
        folder,
        "--csv",
        table,
    )
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    summary = json.loads(out)
    assert summary == json.loads((folder / "sensitivities.json").read_text(encoding="utf-8"))
    assert summary["method"] == "stack"
    assert list(summary["outputs"]) == [NAME]  # that at EuS is round-off
    assert any("F|EuS" in note for note in summary["notes"])
    rows = summary["outputs"][NAME]["parameters"]
    names = [row["parameter"] for row in rows]
    assert {"structure.layers.F.thickness", "structure.layers.Pt.thickness"} <= set(names)
    text = table.read_text(encoding="utf-8")
    assert text == (folder / "sensitivities.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    assert [line["parameter"] for line in lines] == names
    assert [float(line["derivative"]) for line in lines] == [r["derivative"] for r in rows]
    assert sorted(p.name for p in folder.iterdir()) == [
        "case.toml",
        "result.json",
        "sensitivities.csv",
        "sensitivities.json",
        "sensitivities.png",
    ]
    assert call(*arguments, "--set", "title=other")[0] == 2  # holds a result of other inputs
    assert call(*arguments)[0] == 0
    assert call(*arguments, "--force")[0] == 0


@pytest.mark.parametrize("suffix", ["json", "csv", "png"])
def test_one_file_is_written_under_its_name(call, file, tmp_path, suffix):
    target = tmp_path / f"found.{suffix}"
    arguments = ("--parameters", "regions.Pt.*", "--outputs", NAME, "-o", target)
    code, out, _ = call("sensitivities", file, *arguments)
    assert code == 0
    assert out.endswith(f"-> {target}\n")
    assert target.stat().st_size > 100
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.toml", target.name]


def test_a_zero_output_has_derivatives_without_elasticities(call, file):
    code, out, _ = call(
        "sensitivities",
        file,
        "--set",
        "magnetization.direction=[0, 1, 0]",
        "--set",
        'drive.magnetic_field=["0 T", "1 T", "0 T"]',
        "--outputs",
        "interfaces.F|EuS.charge_current",
        "--parameters",
        "drive.*",
        "--set",
        "solver.method=stack",
    )
    assert code == 0
    assert "no influence" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--outputs", "interfaces.Pt|F.spin_curent.y"], f"; did you mean '{NAME}'"),
        (["--outputs", "torque.*"], "'torque.*' matches no number of the result"),
        (["--parameters", "regions.Pt.spin_hal"], "did you mean 'regions.Pt.spin_hall_angle'"),
        (["--parameters", "regions.X.*"], "no parameter matches 'regions.X.*'"),
        (["--parameters", "structure.layers.Pt.thickness"], "the thickness of a meshed layer"),
        (["--parameters", "structure.*"], 'solver.method = "stack" differentiates by it'),
        (["--outputs", "interfaces.F|EuS.spin_current"], "all of it is zero"),
        (["--set", 'drive.electric_field=["0 V/m", "0 V/m", "0 V/m"]'], "name outputs"),
        (["--set", "solver.method=stack", "--outputs", "electrodes.a.current"], "is no number"),
        (["-o", "/no/such/folder/x.json"], "lies in no folder that exists"),
        (["--paramters", "x"], "did you mean '--parameters'"),
    ],
)
def test_bad_requests_give_one_line_and_exit_code_2(arguments, words, call, file):
    code, out, err = call("sensitivities", file, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("femspin: ")
    assert err.count("\n") == 1


def test_typos_are_found_before_anything_is_solved(call, file, monkeypatch):
    import femspin.studies.sensitivity.case as study

    def refuse(*_):
        raise AssertionError("solved")

    monkeypatch.setattr(study, "solve_transport", refuse)
    assert call("sensitivities", file, "--outputs", "interfaces.Pt|F.spin_curent")[0] == 2
    assert call("sensitivities", file, "--parameters", "regions.Pt.mas")[0] == 2
    with pytest.raises(AssertionError, match="solved"):
        call("sensitivities", file)


def test_the_case_itself_is_never_overwritten(call, file):
    before = file.read_bytes()
    for arguments in (["--csv", file], ["-o", file.parent]):
        assert call("sensitivities", file, *arguments)[0] == 2
    assert file.read_bytes() == before
