"""Metals between two faces: the exact stack and its derivatives against elements and symmetry."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from marks import slow_unless

from femspin import build_device, case_from_table, simulate
from femspin.device.coefficients import extrapolated_derivative, with_parameters
from femspin.device.observables.mesh import discretised_numbers
from femspin.device.observables.quantity import flat_numbers, numbers_of
from femspin.device.observables.said import GROUPS
from femspin.device.observables.stack import numbers_below
from femspin.device.steady import solve_transport
from femspin.materials.parameters import complete_case
from femspin.simulation import solve_point
from femspin.studies.accuracy.error_bars import error_bars
from femspin.studies.sensitivity.elements import sensitivities
from femspin.studies.sensitivity.layers import solved_stack, stack_sensitivities
from femspin.studies.sweep.stacks import stack_tables

# The same steps in another order of sums: a few ulp times the dozens of joins.
ROUND_OFF = 1e-12
# Error bars of a smooth stack are the true errors within this factor.
EFFECTIVITY = 2.0

REGIONS = {
    "Pt": {
        "kind": "HM",
        "conductivity": "5e6 S/m",
        "dos": "2e47 1/(J*m^3)",
        "spin_diffusion_length": "1.5 nm",
        "spin_hall_angle": 0.1,
    },
    "Au": {
        "kind": "HM",
        "conductivity": "2e7 S/m",
        "dos": "1e47 1/(J*m^3)",
        "spin_diffusion_length": "4 nm",
        "spin_hall_angle": 0.02,
    },
    # The Rashba field sends the same spins to both faces, the spin Hall effect opposite ones.
    "F": {
        "kind": "F",
        "dos": "2e47 1/(J*m^3)",
        "diffusion_constant": "2e-4 m^2/s",
        "mass": "1 m_e",
        "scattering_time": "1 fs",
        "soc": {"rashba": "2e4 m/s"},
        "spin_hall_angle": 0.05,
        "kondo": {
            "spin": 2.5,
            "moment_density": "4e27 1/m^3",
            "exchange_energy": "5 meV",
            "curie_temperature": "559 K",
        },
    },
    "YIG": {"kind": "FI"},
    "EuS": {"kind": "FI"},
}
LAW = {"G_s": "-1e12 S/m^2", "G_r": "3e14 S/m^2", "G_i": "1e13 S/m^2"}
OTHER = {"G_s": "-2e12 S/m^2", "G_r": "1e14 S/m^2", "G_i": "4e13 S/m^2"}
PUMPED = {**LAW, "drift_flux": [f"{x} 1/(m^2*s)" for x in ("1e28", "3e27", "-2e27")]}
SINK = {"spin_potential": ["0 J", "0 J", "0 J"]}
HELD = {"spin_potential": ["0.1 meV", "0.05 meV", "-0.02 meV"]}
PLATINUM = (("YIG", 3), ("Pt", 5), ("EuS", 3))
TWICE = (("YIG", 3), ("Pt", 5), ("YIG", 3))

FACES = {
    "a sink above": ((("YIG", 3), ("Pt", 5)), {"Pt|YIG": LAW, "top": SINK}),
    "a sink below": ((("Pt", 5), ("YIG", 3)), {"Pt|YIG": LAW, "bottom": SINK}),
    "a conductance above": ((("YIG", 3), ("F", 3)), {"F|YIG": LAW, "top": {"G_s": "-1e14 S/m^2"}}),
    "two insulators": (PLATINUM, {"Pt|YIG": LAW, "Pt|EuS": OTHER}),
    "one of them tight": (PLATINUM, {"Pt|YIG": LAW}),
    "the other one tight": (PLATINUM, {"Pt|EuS": LAW}),
    "two insulators at 100 nm": ((("YIG", 3), ("Pt", 100), ("EuS", 3)), {"Pt|YIG": LAW, "Pt|EuS": OTHER}),
    "two metals": ((("YIG", 3), ("Pt", 5), ("Au", 4), ("EuS", 3)), {"Pt|YIG": LAW, "Au|EuS": OTHER}),
    "two metals under one insulator": (
        (("YIG", 3), ("Pt", 5), ("Au", 4), ("YIG", 3)),
        {"Pt|YIG": LAW, "Au|YIG": OTHER},
    ),
    "an insulator on both sides of a magnet": ((("YIG", 3), ("F", 2), ("YIG", 3)), {"F|YIG": LAW}),
    "a pumping insulator on both sides": (TWICE, {"Pt|YIG": PUMPED}),
    "a held potential on both sides": (TWICE, {"Pt|YIG": HELD}),
}
ONE_NAME = ["an insulator on both sides of a magnet", "a pumping insulator on both sides"]


def case_of(layers, interfaces, method="stack", **regions):
    """Return the case of layers (region, thickness in nm) under a field in the plane."""
    used = {name: copy.deepcopy(REGIONS[name]) for name, _ in layers}
    for name, change in regions.items():
        used[name] |= change
    return case_from_table(
        {
            "structure": {
                "dimension": 1,
                "layers": [{"region": r, "thickness": f"{d} nm"} for r, d in layers],
            },
            "regions": used,
            "interfaces": copy.deepcopy(interfaces),
            "magnetization": {"direction": [1, 1, 1]},
            "drive": {"electric_field": ["1e5 V/m", "3e4 V/m", "0 V/m"]},
            "solver": {"method": method},
        }
    )


def of_interfaces(numbers):
    """Return the currents of all interfaces, and the transparencies where there is one."""
    ends = ("charge_current", "spin_current.x", "spin_current.y", "spin_current.z")
    return {
        k: v
        for k, v in numbers.items()
        if (k.startswith("interfaces.") and k.endswith(ends))
        or (k.endswith("spin_transparency") and np.isfinite(v))
    }


def run(case):
    return of_interfaces(simulate(case, errors=False).values)


def without_mesh(case):
    """Return the numbers that fits and exact sensitivities take."""
    return of_interfaces(numbers_below(GROUPS, solved_stack(complete_case(case)[0]).state))


def current(numbers, interface):
    return np.array([numbers[f"interfaces.{interface}.spin_current.{a}"] for a in "xyz"])


def assert_same(found, expected, sampling=ROUND_OFF):
    """Compare two sets of numbers relative to the largest current and transparency."""
    assert set(found) == set(expected)
    for kind, tolerance in (("current", ROUND_OFF), ("transparency", sampling)):
        names = [k for k in found if kind in k]
        largest = max((abs(expected[k]) for k in names), default=0.0)
        for k in names:
            assert abs(found[k] - expected[k]) <= tolerance * largest, k


# ---------------------------------------------------------------- against the elements


@pytest.mark.parametrize("name", FACES)
def test_interfaces_of_the_exact_stack_are_those_of_the_elements_within_their_error_bars(name):
    layers, interfaces = FACES[name]
    exact = run(case_of(layers, interfaces))
    device = build_device(case_of(layers, interfaces, "direct"))
    transport = solve_transport(device, device.direction)
    found = of_interfaces(flat_numbers(discretised_numbers(device, transport)))
    bars = flat_numbers(error_bars(device, transport).table)
    for k, value in found.items():
        largest = max(abs(v) for n, v in found.items() if n.split(".")[-2] == k.split(".")[-2])
        assert abs(exact[k] - value) <= EFFECTIVITY * bars[k] + ROUND_OFF * largest, k
    assert np.abs(current(found, next(iter(interfaces)))).max() > 1e6 * max(
        bars[k] for k in found if "spin_current" in k
    )


@pytest.mark.parametrize("name", FACES)
def test_numbers_without_a_mesh_are_those_of_the_run(name):
    """The mean charge current of a run is sampled: Simpson's rule errs by 1e-7."""
    case = case_of(*FACES[name])
    assert_same(without_mesh(case), run(case), sampling=1e-6)


def test_a_replaced_layer_leaves_the_other_face_of_its_metal_alone():
    layers, interfaces = (("F", 0.6), ("Pt", 5), ("EuS", 3)), {"Pt|EuS": LAW}
    resolved = run(case_of(layers, interfaces))
    replaced = run(case_of(layers, interfaces, F={"model": "exact"}))
    assert_same(replaced, resolved)


def test_stacks_solved_together_have_the_currents_of_each_face():
    cases = [case_of(*faces) for faces in FACES.values()]
    cases += [case_of((("YIG", 3), ("Pt", d), ("EuS", 3)), {"Pt|YIG": LAW}) for d in (1, 9)]
    for case, table in zip(cases, stack_tables(cases, solve_point), strict=True):
        assert_same(of_interfaces(numbers_of(table())), run(case))


# ---------------------------------------------------------------- symmetry


@pytest.mark.parametrize("numbers", [run, without_mesh])
def test_equal_faces_carry_opposite_currents(numbers):
    """Inversion leaves spins alone and turns the field, to which the currents are linear."""
    found = numbers(case_of(PLATINUM, {"Pt|YIG": LAW, "Pt|EuS": LAW}))
    one, other = (current(found, f"Pt|{name}") for name in ("YIG", "EuS"))
    assert np.abs(one).max() > 1e9
    assert np.abs(one + other).max() <= ROUND_OFF * np.abs(one).max()
    key = "observables.interfaces.Pt|{}.spin_transparency"
    assert found[key.format("YIG")] == pytest.approx(found[key.format("EuS")], rel=ROUND_OFF)


@pytest.mark.parametrize("numbers", [run, without_mesh])
def test_nothing_passes_an_insulator_without_a_conductance(numbers):
    found = numbers(case_of(PLATINUM, {"Pt|YIG": LAW}))
    alone = numbers(case_of(PLATINUM[:2], {"Pt|YIG": LAW}))
    largest = np.abs(current(found, "Pt|YIG")).max()
    assert largest > 1e9
    assert np.abs(current(found, "Pt|EuS")).max() <= ROUND_OFF * largest
    assert found["observables.interfaces.Pt|EuS.spin_transparency"] <= ROUND_OFF
    shared = {k: v for k, v in found.items() if "EuS" not in k}
    assert_same(shared, alone)


@pytest.mark.parametrize("numbers", [run, without_mesh])
def test_a_stack_upside_down_exchanges_its_faces(numbers):
    """Inversion again: it also exchanges the two insulators."""
    tables = {"Pt|YIG": LAW, "Pt|EuS": OTHER}
    up, down = (numbers(case_of(layers, tables)) for layers in (PLATINUM, PLATINUM[::-1]))
    for name in tables:
        largest = np.abs(current(up, name)).max()
        assert np.abs(current(up, name) + current(down, name)).max() <= ROUND_OFF * largest


def test_faces_many_decay_lengths_apart_do_not_know_of_each_other():
    """60 decay lengths between them leave exp(-60) < 1e-26 of the other face."""
    thick = run(case_of((("YIG", 3), ("Pt", 90), ("EuS", 3)), {"Pt|YIG": LAW, "Pt|EuS": OTHER}))
    for name, layers in (("Pt|YIG", (("YIG", 3), ("Pt", 90))), ("Pt|EuS", (("Pt", 90), ("EuS", 3)))):
        alone = run(case_of(layers, {name: LAW if "YIG" in name else OTHER}))
        expected = current(alone, name)
        assert np.abs(current(thick, name) - expected).max() <= ROUND_OFF * np.abs(expected).max()


# ---------------------------------------------------------------- one name on both sides


@pytest.mark.parametrize("numbers", [run, without_mesh])
@pytest.mark.parametrize("metal", ["Pt", "F"])
@pytest.mark.parametrize("table", [LAW, PUMPED, HELD])
def test_two_faces_of_one_name_have_the_mean_of_two_names(numbers, metal, table):
    layers = (("YIG", 3), (metal, 4), ("EuS", 3))
    apart = numbers(case_of(layers, {f"{metal}|YIG": table, f"{metal}|EuS": table}))
    both = numbers(case_of((*layers[:2], layers[0]), {f"{metal}|YIG": table}))
    faces = [current(apart, f"{metal}|{name}") for name in ("YIG", "EuS")]
    mean = np.mean(faces, axis=0)
    assert np.abs(current(both, f"{metal}|YIG") - mean).max() <= ROUND_OFF * np.abs(faces).max()


def test_derivatives_of_two_faces_of_one_name_are_the_mean_of_two_names():
    """What changes one law of the two faces changes both laws of the two names."""
    layers, twice = (("YIG", 3), ("F", 2), ("EuS", 3)), (("YIG", 3), ("F", 2), ("YIG", 3))
    apart = solved_stack(complete_case(case_of(layers, {"F|YIG": LAW, "F|EuS": LAW}))[0])
    both = solved_stack(complete_case(case_of(twice, {"F|YIG": LAW}))[0])
    outputs = [[f"interfaces.F|{n}.spin_current.{a}" for a in "xyz"] for n in ("YIG", "EuS")]
    mean = stack_sensitivities(both, outputs[0])
    first, second = (stack_sensitivities(apart, names) for names in outputs)
    columns = {p.path: k for k, p in enumerate(first.parameters)}
    assert {"interfaces.F|YIG.G_r", "structure.layers.1.thickness"} <= set(columns)
    for j, p in enumerate(mean.parameters):
        paths = {p.path, p.path.replace("F|YIG", "F|EuS")}
        expected = 0.5 * sum(
            found.derivatives[:, columns[path]] for found in (first, second) for path in paths
        )
        size = np.abs(expected).max() + np.abs(first.values).max() / p.scale
        assert np.abs(mean.derivatives[:, j] - expected).max() <= 1e-10 * size, p.path


@pytest.mark.parametrize("name", slow_unless(("a pumping insulator on both sides",), ONE_NAME))
def test_two_faces_of_one_name_have_the_derivative_of_whole_runs(name):
    """Extrapolated differences of runs, good to about 1e-10 of value over scale."""
    exact = solved_stack(complete_case(case_of(*FACES[name]))[0])
    outputs = list(of_interfaces(exact.values))
    found = stack_sensitivities(exact, outputs)
    kinds = {p.kind for p in found.parameters}
    assert {"material", "interface", "thickness", "drive"} <= kinds
    for j, p in enumerate(found.parameters):

        def along(x, path=p.path):
            numbers = run(with_parameters(exact.case, {path: x}))
            return [np.array(numbers[n]) for n in outputs]

        compared, _ = extrapolated_derivative(along, p.value, p.scale, 8, 1e-11)
        for i, n in enumerate(outputs):
            like = [
                abs(v)
                for v, m in zip(found.values, outputs, strict=True)
                if m.split(".")[-2] == n.split(".")[-2]
            ]
            size = abs(float(compared[i])) + max(like) / p.scale
            assert abs(found.derivatives[i, j] - compared[i]) <= 1e-8 * size, (n, p.path)


@pytest.mark.parametrize("name", ONE_NAME)
def test_elements_approach_the_derivatives_of_two_faces_of_one_name(name):
    """The elements solve to about 1e-7 on these meshes (errors of order h^4)."""
    layers, interfaces = FACES[name]
    device = build_device(case_of(layers, interfaces, "direct"))
    transport = solve_transport(device, device.direction)
    (key,) = interfaces
    outputs = [f"interfaces.{key}.spin_current.{a}" for a in "xyz"]
    found = sensitivities(device, transport, outputs)
    exact = solved_stack(complete_case(case_of(layers, interfaces))[0])
    compared = stack_sensitivities(exact, outputs, [p.path for p in found.parameters])
    scales = np.array([p.scale for p in found.parameters])
    change = np.abs(found.derivatives - compared.derivatives) * scales
    largest = max(np.abs(compared.derivatives * scales).max(), np.abs(compared.values).max())
    assert change.max() <= 2e-6 * largest


def test_equal_faces_of_one_name_add_up_to_nothing_with_all_derivatives():
    exact = solved_stack(complete_case(case_of(TWICE, {"Pt|YIG": LAW}))[0])
    one = np.abs(current(run(case_of(PLATINUM, {"Pt|YIG": LAW, "Pt|EuS": LAW})), "Pt|YIG")).max()
    outputs = [f"interfaces.Pt|YIG.spin_current.{a}" for a in "xyz"]
    found = stack_sensitivities(exact, outputs)
    assert np.abs(found.values).max() <= ROUND_OFF * one
    scales = np.array([p.scale for p in found.parameters])
    assert np.abs(found.derivatives * scales).max() <= 1e-10 * one
    # The torque is round-off too, and the sum of the two faces is no measure of it.
    assert not any(k.startswith(("torques", "observables.torque")) for k in exact.values)


def test_layers_of_one_region_between_two_faces_are_one_layer():
    split = (("YIG", 3), ("Pt", 2), ("Pt", 3), ("EuS", 3))
    tables = {"Pt|YIG": LAW, "Pt|EuS": OTHER}
    assert_same(run(case_of(split, tables)), run(case_of(PLATINUM, tables)))
