"""What is missing or doubtful in a case is said in one sentence that names the key."""

from __future__ import annotations

import numpy as np
import pytest

from femspin import case_from_table, simulate
from femspin.cli.rehearsal import rehearse
from femspin.device.build import build_device
from femspin.errors import CaseError
from femspin.materials.parameters import complete_case
from femspin.studies.sensitivity.layers import solved_stack

KONDO = {
    "spin": 2.5,
    "moment_density": "4e27 1/m^3",
    "exchange_energy": "5 meV",
    "curie_temperature": "559 K",
}
BARE = {
    "kind": "F",
    "dos": "2e47 1/(J*m^3)",
    "diffusion_constant": "2e-4 m^2/s",
    "spin_diffusion_length": "3 nm",
}
PT = {
    "kind": "HM",
    "conductivity": "5e6 S/m",
    "dos": "2e47 1/(J*m^3)",
    "spin_diffusion_length": "1.5 nm",
    "spin_hall_angle": 0.1,
}
REGIONS = {
    "Pt": PT,
    "F": BARE | {"kondo": KONDO},
    "Bare": BARE,
    "YIG": {"kind": "FI"},
    "MgO": {"kind": "FI"},
    "Oxide": {"kind": "I"},
}


def table(*layers, regions=None, **more) -> dict:
    thickness = {"F": "0.8 nm", "Bare": "0.8 nm"}
    return {
        "structure": {
            "dimension": 1,
            "layers": [{"region": n, "thickness": thickness.get(n, "4 nm")} for n in layers],
        },
        "regions": {n: (REGIONS | (regions or {}))[n] for n in layers},
        "magnetization": {"direction": [1, 1, 1]},
        "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
        "solver": {"method": "stack", "error_bars": False},
        **more,
    }


def warnings(given: dict) -> list[str]:
    case = case_from_table(given)
    found = simulate(case).table["warnings"]
    assert list(rehearse(case).warnings) == found  # what `check` says
    return found


def starting(found: list[str], beginning: str) -> list[str]:
    return [w for w in found if w.startswith(beginning)]


@pytest.mark.parametrize("layers", [("YIG", "Pt"), ("Pt", "YIG"), ("YIG", "Bare", "Pt")])
def test_a_metal_that_nothing_couples_to_the_magnet_is_warned_of(layers):
    metal = "Bare" if "Bare" in layers else "Pt"
    (found,) = starting(warnings(table(*layers)), f"interfaces.{metal}|YIG:")
    assert "G_r" in found
    for faces in ({f"{metal}|YIG": {"G_r": "1e14 S/m^2"}}, {f"YIG|{metal}": {"type": "insulating"}}):
        assert not starting(warnings(table(*layers, interfaces=faces)), "interfaces.")


def test_moments_that_couple_a_magnet_need_no_conductance():
    assert not starting(warnings(table("YIG", "F", "Pt")), "interfaces.")
    reduced = {"F": REGIONS["F"] | {"model": "exact"}}
    assert not starting(warnings(table("YIG", "F", "Pt", regions=reduced)), "interfaces.")


def test_an_f_without_moments_says_that_its_m_is_no_torque():
    given = table("Bare", "Pt")
    assert starting(warnings(given), "regions.Bare.kondo:")
    assert not starting(warnings(table("F", "Pt")), "regions.F.kondo:")
    still = {"Bare": {k: v for k, v in BARE.items() if k != "spin_diffusion_length"}}
    assert not starting(warnings(table("Bare", "Pt", regions=still)), "regions.Bare")  # no M
    result = simulate(case_from_table(given)).table
    entry = result["interfaces"]["Pt|Bare"]
    assert np.abs(entry["parts"]["M"]).max() > 0
    np.testing.assert_array_equal(entry["M_on_moments"], 0.0)
    assert result["torques"] == {}


def test_a_plain_insulator_takes_no_torque():
    found = warnings(table("MgO", "F", "Pt"))
    (said,) = starting(found, "regions.MgO.kind:")
    assert 'kind = "I"' in said
    given = table("Oxide", "F", "Pt")
    assert not starting(warnings(given), "regions.Oxide")
    case = case_from_table(given)
    plain = simulate(case).table
    assert set(plain["torques"]) == {"F"}
    magnetic = simulate(case_from_table(table("YIG", "F", "Pt"))).table
    assert set(magnetic["torques"]) == {"F", "YIG"}
    np.testing.assert_array_equal(plain["torques"]["F"]["torque"], magnetic["torques"]["F"]["torque"])
    exact = solved_stack(build_device(case).case).values
    assert {k.split(".")[1] for k in exact if k.startswith("torques.")} == {"F"}


def test_an_f_between_a_magnet_and_a_plain_insulator_hands_all_its_torque_to_the_magnet():
    given = table("YIG", "F", "Oxide")
    for method in ("stack", "direct"):
        given["solver"]["method"] = method
        given["interfaces"] = {"F|Oxide": {"spin_potential": ["1 meV", "0 meV", "0 meV"]}}
        case = case_from_table(given)
        torques = simulate(case).table["torques"]
        assert np.abs(torques["F"]["torque"]).max() > 0
        np.testing.assert_allclose(torques["YIG"]["torque"], torques["F"]["torque"], rtol=1e-12)
    exact = solved_stack(build_device(case).case).values
    assert exact["torques.YIG.torque.x"] == pytest.approx(exact["torques.F.torque.x"], rel=1e-12)


@pytest.mark.parametrize(("key", "value"), [("magnet", {"damping": 0.1}), ("kondo", KONDO)])
def test_a_plain_insulator_with_moments_or_transport_is_refused(key, value):
    given = table("Oxide", "Pt", regions={"Oxide": {"kind": "I", key: value}})
    with pytest.raises(CaseError, match=rf"regions\.Oxide\.{key}: a plain insulator carries no"):
        case_from_table(given)


def test_spin_hall_angles_beyond_one_are_warned_of():
    big = {"Pt": PT | {"spin_hall_angle": -10}}
    assert starting(warnings(table("F", "Pt", regions=big)), "regions.Pt.spin_hall_angle:")
    raw = {"Pt": PT | {"override": {"spin_hall_angles": (2 * np.eye(3)).tolist()}}}
    found = warnings(table("F", "Pt", regions=raw))
    assert starting(found, "regions.Pt.override.spin_hall_angles:")
    assert not starting(warnings(table("F", "Pt")), "regions.Pt")


# ---------------------------------------------------------------- relaxation


def rates(*values) -> list:
    return [[f"{v if a == b else 0.0!r} 1/s" for b in range(3)] for a, v in enumerate(values)]


def test_relaxation_that_creates_spin_is_refused():
    given = table("F", "Pt", regions={"Pt": PT | {"override": {"relaxation": rates(1e13, 1e13, -1e12)}}})
    with pytest.raises(CaseError, match=r"Pt\.override\.relaxation: creates spin.*-1e\+12"):
        case_from_table(given)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ({"relaxation": rates(1e13, 1e13, 2.1e13)}, "relaxation"),
        ({"relaxation": rates(1e13, 1e13, 2e13)}, None),
        ({"tau_parallel": "1 ps", "tau_perpendicular": "2.1 ps"}, "tau_perpendicular"),
        ({"tau_parallel": "1 ps", "tau_perpendicular": "2 ps"}, None),
    ],
)
def test_relaxation_that_no_spin_one_half_can_have_is_warned_of(override, key):
    """T_2 <= 2 T_1: no rate above the sum of the two others (4:4:8 of Rashba is the limit)."""
    found = warnings(table("F", "Pt", regions={"F": BARE | {"override": override}}))
    assert bool(starting(found, "regions.F.override.")) == (key is not None)
    assert key is None or starting(found, f"regions.F.override.{key}:")


# ---------------------------------------------------------------- models of a layer

RASHBA = {"soc": {"rashba": "2e4 m/s", "dresselhaus": "7e3 m/s"}, "mass": "1 m_e", "scattering_time": "1 fs"}


def test_a_model_without_the_spin_current_that_the_field_drives_says_so():
    for model, dropped in (("layer", True), ("thin", False), ("exact", False)):
        regions = {"F": REGIONS["F"] | RASHBA | {"model": model}}
        found = starting(warnings(table("YIG", "F", "Pt", regions=regions)), "regions.F.model:")
        assert bool(found) == dropped
    plain = {"F": REGIONS["F"] | {"model": "layer"}}  # nothing is left out without coupling
    assert not starting(warnings(table("YIG", "F", "Pt", regions=plain)), "regions.F.model:")


@pytest.mark.parametrize("model", ["layer", "thin"])
def test_parts_of_a_thin_replaced_layer_are_those_of_the_resolved_one(model):
    """L and S apart: they differ by the thickness over the decay lengths, squared (1 %)."""
    found = []
    for form in (model, "resolved"):
        regions = {"F": REGIONS["F"] | RASHBA | {"model": form}}
        given = table("YIG", "F", "Pt", regions=regions)
        given["structure"]["layers"][1]["thickness"] = "0.1 nm"
        found.append(simulate(case_from_table(given)).table["interfaces"]["Pt|F"]["parts"])
    size = max(np.abs(found[1][k]).max() for k in "LS")
    assert np.abs(found[1]["S"]).max() > 0.1 * size
    for part in ("L", "S"):
        np.testing.assert_allclose(found[0][part], found[1][part], rtol=0, atol=0.03 * size)


# ---------------------------------------------------------------- nothing but round-off


@pytest.mark.parametrize("method", ["stack", "direct"])
def test_no_quotients_of_round_off_where_no_current_flows(method):
    """The field points along z, where the stack ends: charge builds up and cancels it."""
    given = table("YIG", "F", "Pt")
    given["drive"]["electric_field"] = ["0 V/m", "0 V/m", "1e5 V/m"]
    given["solver"]["method"] = method
    found = simulate(case_from_table(given)).table
    for entry in found["observables"]["torque_efficiency"].values():
        for key in ("damping_like", "field_like", "damping_like_per_field"):
            assert entry[key] is None
        assert "flows along the interface in Pt" in entry["left_out"]
    loss = found["observables"]["interfaces"]["Pt|F"]
    assert loss["spin_memory_loss"] is None
    assert loss["left_out"] == "no spin current enters"
    assert loss["spin_transparency"] is None
    assert found["observables"]["charge"] == {}


def test_a_small_but_real_current_keeps_its_efficiency():
    regions = {"Pt": PT | {"spin_hall_angle": 1e-6}}
    small = simulate(case_from_table(table("F", "Pt", regions=regions))).table
    usual = simulate(case_from_table(table("F", "Pt"))).table
    for key in ("efficiency_damping_like", "efficiency_field_like"):
        ratio = small["torques"]["F"][key] / usual["torques"]["F"][key]
        assert ratio == pytest.approx(1e-5, rel=0.05)  # theta^2 = 1 % of the mode exact


def test_the_exact_stack_takes_a_case_as_it_is_written():
    """A resistivity or a material is filled in, not passed over."""
    table = {
        "structure": {
            "layers": [{"region": "M", "thickness": "2 nm"}, {"region": "Pt", "thickness": "5 nm"}]
        },
        "regions": {"M": {"kind": "FI"}, "Pt": {"kind": "HM", "material": "Pt", "resistivity": "20 uohm*cm"}},
        "interfaces": {"Pt|M": {"G_r": "-1e14 S/m^2"}},
        "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
        "magnetization": {"direction": [1, 0, 0]},
        "solver": {"method": "stack"},
    }
    case = case_from_table(table)
    found = solved_stack(case).values
    name = "interfaces.Pt|M.spin_current.y"
    assert found[name] == pytest.approx(solved_stack(complete_case(case)[0]).values[name])
    assert found[name] == pytest.approx(simulate(case).values[name], rel=1e-9)
    del table["regions"]["Pt"]["resistivity"]
    assert solved_stack(case_from_table(table)).values[name] != pytest.approx(found[name])
