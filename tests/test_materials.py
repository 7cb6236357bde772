"""The materials database: complete, consistent, with sources; and a case's own materials."""

import pickle
import tomllib
from importlib.resources import files

import pint
import pytest

from femspin.errors import CaseError
from femspin.materials import MATERIAL_KEYS, estimates, find_material, load_database, material_from_table

UREG = pint.UnitRegistry()
EINSTEIN = {"conductivity", "dos", "diffusion_constant"}
NAMES = sorted(load_database())


def si(name, key):
    value = find_material(name).values[key].value
    return UREG.Quantity(value).to_base_units().magnitude


@pytest.mark.parametrize("name", NAMES)
def test_every_value_has_a_source_and_a_status_of_its_own(name):
    text = (files("femspin.materials") / "database.toml").read_text(encoding="utf-8")
    record = tomllib.loads(text)[name]
    assert record["description"]
    assert all(note.strip() for note in record.get("notes", []))
    values = {k: v for k, v in record.items() if k not in ("description", "notes")}
    assert values
    for entry in values.values():
        assert set(entry) == {"value", "source", "status"}
        assert len(entry["source"]) > 5
        assert entry["status"] in ("read", "derived", "estimate")
        assert ("estimate" in entry["source"]) == (entry["status"] == "estimate")
        assert entry["source"].startswith("derived: ") == (entry["status"] == "derived")


@pytest.mark.parametrize("name", NAMES)
def test_no_record_overdetermines_the_einstein_relation(name):
    assert not set(find_material(name).values) >= EINSTEIN


@pytest.mark.parametrize("name", NAMES)
def test_every_value_parses_to_the_dimension_of_its_key(name):
    for key, value in find_material(name).values.items():
        assert value.key == key
        unit = MATERIAL_KEYS[key]
        assert isinstance(value.value, str) == bool(unit)
        quantity = UREG.Quantity(value.value)
        allowed = [unit, "m/s"] if key == "rashba" else [unit]
        assert any(quantity.check(UREG.Unit(u).dimensionality) for u in allowed), (key, value)


@pytest.mark.parametrize("name", NAMES)
def test_only_quantities_with_a_direction_may_be_negative(name):
    signed = {"spin_hall_angle", "polarisation", "rashba", "anisotropy", "dmi", "exchange_energy"}
    for key in set(find_material(name).values) - signed:
        assert si(name, key) > 0


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("Pt", "conductivity", 7e6),
        ("Pt", "spin_diffusion_length", 1.4e-9),
        ("Pt", "spin_hall_angle", 0.19),
        ("Pt (Rojas-Sanchez)", "spin_diffusion_length", 3.4e-9),
        ("Pt (Vlietstra, on YIG)", "spin_hall_angle", 0.08),
        ("Ta (Boris2)", "diffusion_constant", 2e-4),
        ("Py", "saturation_magnetization", 8e5),
        ("Co/Pt", "dmi", 1.5e-3),
        ("BiOx/Cu", "rashba", -0.46 * 1.602176634e-29),
        ("Cu", "mass", 1.3 * 9.1093837e-31),
    ],
)
def test_spot_values_in_si(name, key, expected):
    assert si(name, key) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "states", "atoms"),
    [
        ("Pt", 2.0, 6.62e28),
        ("Ta", 2.5, 5.55e28),
        ("W", 0.4, 6.32e28),
        ("Au", 0.293, 5.90e28),
        ("Cu", 0.295, 8.49e28),
    ],
)
def test_density_of_states_is_per_spin(name, states, atoms):
    """Half of (states per eV and atom, both spins) x (atoms per volume), to the digits given."""
    assert si(name, "dos") == pytest.approx(states * atoms / 2 / 1.602176634e-19, rel=0.02)


def test_moments_follow_from_the_lattice_constants():
    assert si("EuS/Pt", "moment_density") == pytest.approx(4 / 0.5968e-9**3, rel=5e-4)
    assert si("GGG/Pt", "moment_density") == pytest.approx(24 / 1.2383e-9**3, rel=5e-4)
    mu_b = 9.2740100783e-24
    assert si("EuS", "saturation_magnetization") == pytest.approx(28 * mu_b / 0.5968e-9**3, rel=5e-3)


def test_eus_pt_exchange_splitting_is_of_the_published_order():
    splitting = si("EuS/Pt", "spin") * si("EuS/Pt", "exchange_energy")
    assert splitting / 1.602176634e-22 == pytest.approx(1.03, abs=0.01)  # meV


def test_unknown_material_names_the_closest_and_the_known():
    with pytest.raises(CaseError) as error:
        find_material("EuS/Pd", path="regions.F.material")
    message = str(error.value)
    assert message.startswith("regions.F.material: unknown material 'EuS/Pd'; did you mean 'EuS/Pt'")
    assert "? known: Pt, " in message


def test_a_case_material_comes_before_the_database():
    own = material_from_table("Pt", {"conductivity": "2e6 S/m"}, "materials.Pt")
    assert find_material("Pt", {"Pt": own}) is own
    assert find_material("Ta", {"Pt": own}) is load_database()["Ta"]


def test_a_case_material_keeps_value_source_and_status():
    table = {
        "description": "our film",
        "conductivity": "2e6 S/m",
        "spin_hall_angle": {"value": 0.1, "source": "own measurement"},
        "dos": {"value": "4e47 1/(J*m^3)", "source": "doi:10.1/x", "status": "read"},
        "notes": ["grown at 300 K"],
    }
    material = material_from_table("film", table, "materials.film")
    assert material.name == "film"
    assert material.description == "our film"
    assert material.notes == ("grown at 300 K",)
    bare, sourced, read = (material.values[k] for k in ("conductivity", "spin_hall_angle", "dos"))
    assert (bare.value, bare.source, bare.status) == ("2e6 S/m", "no source given", "estimate")
    assert (sourced.value, sourced.source, sourced.status) == (0.1, "own measurement", "case")
    assert read.status == "read"
    assert pickle.loads(pickle.dumps(material)) == material


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"spin_hal_angle": 0.1},
            r"^materials\.film\.spin_hal_angle: unknown key .*did you mean 'spin_hall_angle'",
        ),
        (
            {"dos": {"value": "1 1/(J*m^3)", "sourc": "x"}},
            r"^materials\.film\.dos\.sourc: unknown key .*did you mean 'source'",
        ),
        ({"dos": {"value": "1 1/(J*m^3)"}}, r"^materials\.film\.dos: source is missing"),
        ({"dos": {"source": "x"}}, r"^materials\.film\.dos: value is missing"),
        ({"dos": {"value": "1", "source": " "}}, r"^materials\.film\.dos\.source: must be a text"),
        (
            {"dos": {"value": "1", "source": "x", "status": "sure"}},
            r"^materials\.film\.dos\.status: must be one of read, derived, estimate, case",
        ),
        ({"dos": True}, r"^materials\.film\.dos: must be a number or a text .* got True"),
        ({"dos": {"value": [1], "source": "x"}}, r"^materials\.film\.dos\.value: must be"),
        ({"notes": "one"}, r"^materials\.film\.notes: must be a list of texts"),
        ({"description": 1}, r"^materials\.film\.description: must be a text"),
    ],
)
def test_a_bad_case_material_says_where_and_what(change, message):
    with pytest.raises(CaseError, match=message):
        material_from_table("film", {"conductivity": "2e6 S/m", **change}, "materials.film")


def test_a_case_material_that_is_no_table_is_refused():
    with pytest.raises(CaseError, match=r"^materials\.film: must be a table"):
        material_from_table("film", 7, "materials.film")


def test_estimates_lists_only_used_values_without_a_reading():
    pt = find_material("Pt")
    used = ["conductivity", "mass", "dos", "rashba"]
    assert [value.key for value in estimates(pt, used)] == ["mass", "dos"]
    assert estimates(pt, ["conductivity", "spin_hall_angle"]) == ()
