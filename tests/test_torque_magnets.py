"""Which magnet a torque belongs to, about which direction it is resolved, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

from femspin import build_device, case_from_table, load_case, simulate
from femspin.device.observables.losses import interface_loss
from femspin.errors import CaseError
from femspin.simulation import solve
from femspin.studies.sensitivity.layers import solved_stack
from femspin.units import E_CHARGE, HBAR

SHIPPED = Path(__file__).parents[1] / "cases"
PT = {
    "kind": "HM",
    "conductivity": "5e6 S/m",
    "dos": "2e47 1/(J*m^3)",
    "spin_diffusion_length": "1.5 nm",
    "spin_hall_angle": 0.1,
}
F = {
    "kind": "F",
    "dos": "2e47 1/(J*m^3)",
    "diffusion_constant": "2e-4 m^2/s",
    "mass": "1 m_e",
    "scattering_time": "1 fs",
    "soc": {"rashba": "2e4 m/s"},
    "kondo": {
        "spin": 2.5,
        "moment_density": "4e27 1/m^3",
        "exchange_energy": "5 meV",
        "curie_temperature": "559 K",
    },
}
REGIONS = {"Pt": PT, "Au": PT | {"spin_hall_angle": 0.03}, "F": F, "YIG": {"kind": "FI"}}
MIXING = {"Pt|YIG": {"G_s": "-1e12 S/m^2", "G_r": "3e14 S/m^2", "G_i": "1e13 S/m^2"}}


def table(layers, regions=None, m=(1, 1, 1), field=None, **tables) -> dict:
    """Return a case of layers (region, thickness in nm), driven along x and a little along y."""
    used = {name for name, _ in layers}
    drive = {"electric_field": ["1e5 V/m", "3e4 V/m", "0 V/m"]}
    if field is not None:
        drive["magnetic_field"] = [f"{b!r} T" for b in field]
    return {
        "structure": {"dimension": 1, "layers": [{"region": r, "thickness": f"{d} nm"} for r, d in layers]},
        "regions": {k: copy.deepcopy(v) for k, v in (REGIONS | (regions or {})).items() if k in used},
        "magnetization": {"direction": list(m)},
        "drive": drive,
        **tables,
    }


def result(*args, **kind) -> dict:
    return solve(build_device(case_from_table(table(*args, **kind)))).table


# ---------------------------------------------------------------- relaxation without moments


def test_the_spin_that_a_heavy_metal_relaxes_reaches_no_moments_however_it_is_given():
    tau = (1.5e-9) ** 2 / (5e6 / (2 * E_CHARGE**2 * 2e47))
    bare = {k: v for k, v in PT.items() if k != "spin_diffusion_length"}
    rate = [[f"{(a == b) / tau!r} 1/s" for b in range(3)] for a in range(3)]
    ways = (
        bare | {"spin_relaxation_time": f"{tau!r} s"},
        bare | {"override": {"relaxation": rate}},
        bare
        | {
            "spin_relaxation_time": "1 s",
            "override": {"tau_parallel": f"{tau!r} s", "tau_perpendicular": f"{tau!r} s"},
        },
    )
    found = [result([("YIG", 3), ("Pt", 5)], {"Pt": way}, interfaces=MIXING)["torques"] for way in ways]
    for torques in found:
        assert set(torques) == {"YIG"}
        np.testing.assert_allclose(torques["YIG"]["torque"], found[0]["YIG"]["torque"], rtol=1e-9)


# ---------------------------------------------------------------- paramagnets


@pytest.mark.parametrize("field", [None, (0, 0, 1e-9), (0, 1e-9, 0), (2.0, 2.0, 2.0)])
def test_moments_above_their_ordering_temperature_hand_no_torque_to_an_insulator(field):
    """Also where they happen to lie along its magnetization, (1, 1, 1)."""
    hot = {"F": F | {"kondo": F["kondo"] | {"curie_temperature": "50 K"}}}
    layers = [("YIG", 3), ("F", 0.6), ("Pt", 5)]
    assert "YIG" not in result(layers, hot, field=field)["torques"]
    assert "YIG" in result(layers, field=field)["torques"]


def test_torques_on_a_paramagnet_are_resolved_about_its_moments():
    """Nothing that happens there depends on the `magnetization` of the case."""
    free = {"F": F | {"kondo": {k: v for k, v in F["kondo"].items() if k != "curie_temperature"}}}
    found = []
    for m in ((0, 0, 1), (1, 0, 0), (1, 1, 1)):
        given = table([("F", 0.6), ("Pt", 5)], free, m, (0.0, 3.0, 4.0))
        given["drive"]["temperature"] = "10 K"
        device = build_device(case_from_table(given))
        numbers = solve(device).values | {
            f"stack.{k}": v for k, v in solved_stack(device.case).values.items()
        }
        found.append(
            {
                k: v
                for k, v in numbers.items()
                if k.removeprefix("stack.").startswith(("torques.F", "observables.torque_eff"))
            }
        )
    assert any(k.startswith("stack.torques.F.efficiency") for k in found[0])
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-12)
    keys = [k for k in found[0] if k.startswith("torques.F.efficiency")]
    assert len(keys) == 2
    for key in keys:
        assert found[0][f"stack.{key}"] == pytest.approx(found[0][key], rel=1e-6)


# ---------------------------------------------------------------- prescribed potentials


@pytest.mark.parametrize("method", ["direct", "stack"])
@pytest.mark.parametrize("layers", [[("YIG", 3), ("Pt", 5)], [("YIG", 3), ("F", 0.6), ("Pt", 5)]])
def test_spin_that_enters_an_insulator_at_a_given_potential_is_torque_on_it(layers, method):
    face = f"{layers[1][0]}|YIG"
    faces = {face: {"spin_potential": ["0 J", "1e-25 J", "0 J"]}}
    given = table(layers, interfaces=faces, solver={"method": method})
    given["structure"]["cells_per_decay_length"] = 40
    device = build_device(case_from_table(given))
    solution = solve(device)
    found = solution.table["torques"]["YIG"]["torque"]
    flux = np.asarray(solution.table["interfaces"][face]["spin_current"]) / E_CHARGE
    if layers[1][0] == "F":
        flux = flux - 2 / HBAR * np.asarray(solution.table["torques"]["F"]["torque"])
    np.testing.assert_allclose(-2 / HBAR * found, flux, rtol=1e-10)
    exact = solved_stack(device.case).values
    size = np.linalg.norm(found)
    for axis, value in zip("xyz", found, strict=True):
        assert abs(exact[f"torques.YIG.torque.{axis}"] - value) < 1e-3 * size


# ---------------------------------------------------------------- one name in several places


def test_an_f_in_places_that_differ_is_refused():
    for layers in (
        [("F", 0.6), ("Pt", 5), ("Au", 4), ("F", 0.6)],
        [("YIG", 3), ("F", 0.6), ("Pt", 5), ("YIG", 3), ("F", 0.7), ("Pt", 5)],
    ):
        with pytest.raises(CaseError, match=r"structure\.layers: F stands in 2 places"):
            build_device(case_from_table(table(layers)))


def test_equal_cells_of_a_superlattice_have_the_conductances_of_one():
    once = [("YIG", 3), ("F", 0.6), ("Pt", 5)]
    one, two = (result(layers)["conductances"]["F"] for layers in (once, once * 2))
    np.testing.assert_array_equal(one["tensor"], two["tensor"])


# ---------------------------------------------------------------- corners


@pytest.mark.parametrize(("dimension", "sink"), [(2, True), (3, False), (3, True)])
def test_a_face_that_ends_on_a_spin_sink_is_warned_of_where_bars_do_not_cover_it(dimension, sink):
    """In a plane they do, see the tests of error bars on strips."""
    spin = {"spin": "sink"} if sink else {}
    given = table([("YIG", 2), ("Pt", 4)], interfaces=MIXING)
    given["structure"] |= {"dimension": dimension, "width": "20 nm", "cells_x": 6, "lateral": "insulating"}
    if dimension == 3:
        given["structure"] |= {"depth": "10 nm", "cells_y": 1, "cells_per_decay_length": 1}
    given["drive"] = {"electrodes": {"left": {"voltage": "2 mV"} | spin, "right": {"voltage": "0 V"} | spin}}
    given["solver"] = {"error_bars": False}
    warnings = simulate(case_from_table(given)).table["warnings"]
    expected = "interfaces.Pt|YIG: left fixes the spin potential at its edge"
    assert any(w.startswith(expected) for w in warnings) == (sink and dimension == 3)


@pytest.mark.parametrize("method", ["auto", "stack"])
def test_a_paramagnet_hands_an_insulator_no_torque_not_even_round_off(method):
    case = load_case(SHIPPED / "ggg_pt.toml", [f"solver.method={method}"])
    assert list(simulate(case, errors=False).table["torques"]) == ["F"]


def test_a_loss_of_round_off_is_none_and_has_no_layer_that_would_lose_as_much():
    spin = np.array([3.0, -1.0, 2.0])
    for lost in (1e-16, 0.0, -1e-16):
        assert interface_loss(spin, (1 - lost) * spin, 0.0).delta == 0.0
    loss = interface_loss(spin, (1 - 1e-6) * spin, 0.0)
    assert loss.delta == pytest.approx(np.arccosh(1 / (1 - 1e-6)), rel=1e-9)
