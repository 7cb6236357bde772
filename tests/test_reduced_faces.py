"""The faces that stand for reduced layers, and what is written about faces beside electrodes."""

from __future__ import annotations

import re

import meshio
import numpy as np
import pytest
from marks import slow

from femspin import CaseError, build_device, case_from_table, simulate, solve
from femspin.interface.reduced import REDUCTIONS

MAGNET = {
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
METAL = {
    "kind": "HM",
    "conductivity": "5e6 S/m",
    "dos": "2e47 1/(J*m^3)",
    "spin_diffusion_length": "1.5 nm",
    "spin_hall_angle": 0.1,
}
REGIONS = {
    "F": MAGNET,
    "G": MAGNET | {"soc": {"rashba": "1e4 m/s"}},
    "Pt": METAL,
    "Au": METAL | {"spin_hall_angle": 0.03},
    "YIG": {"kind": "FI"},
    "EuS": {"kind": "FI"},
}
THICKNESS = {"F": "0.6 nm", "G": "1.2 nm", "Pt": "5 nm", "Au": "4 nm", "YIG": "3 nm", "EuS": "3 nm"}
ALONG_X = {"electric_field": ["1e5 V/m", "3e4 V/m", "0 V/m"]}
ACROSS = {"electric_field": ["0 V/m", "1e5 V/m", "0 V/m"]}
SIDES = {"electrodes": {"left": {"voltage": "2 mV"}, "right": {"voltage": "0 V"}}}
EXTENT = {
    1: {},
    2: {"width": "20 nm", "cells_x": 5},
    3: {"width": "20 nm", "cells_x": 3, "depth": "10 nm", "cells_y": 2},
}
PARTS = ("M", "L", "S", "A", "E")


def device_case(layers, dimension=1, model="exact", drive=ALONG_X, interfaces=None, **structure):
    """Return a case of layers with default thicknesses, F and G reduced unless told otherwise."""
    names = layers.split()
    regions = {n: dict(REGIONS[n]) for n in names}
    for name in {"F", "G"} & set(names):
        regions[name]["model"] = model
    stack = {
        "dimension": dimension,
        **EXTENT[dimension],
        **structure,
        "layers": [{"region": n, "thickness": THICKNESS[n]} for n in names],
    }
    return case_from_table(
        {
            "structure": stack,
            "regions": regions,
            "drive": drive,
            "interfaces": interfaces or {},
            "magnetization": {"direction": [1, 1, 1]},
            "output": {"plots": False},
        }
    )


def solved(*arguments, **options):
    return solve(build_device(device_case(*arguments, **options)))


def written(solution, name, folder):
    """Return the measures of the cells of a written interface, and its cell data."""
    solution.write(folder)
    mesh = meshio.read(folder / f"interface_{name.replace('|', '--')}.vtu")
    corners = mesh.points[mesh.cells[0].data]
    if corners.shape[1] == 2:
        measures = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)
    else:
        diagonals = corners[:, 2] - corners[:, 0], corners[:, -1] - corners[:, 1]
        measures = 0.5 * np.linalg.norm(np.cross(*diagonals), axis=1)
    return measures, {key: data[0] for key, data in mesh.cell_data.items()}


# ------------------------------------------------------------------------- written reduced layers


@pytest.mark.parametrize(
    ("layers", "dimension", "structure"),
    [
        ("F Pt", 2, {"lateral": "insulating"}),
        ("YIG F Pt", 2, {"lateral": "insulating", "cell": "tri"}),
        slow("YIG F Pt", 3, {}),
        ("F Pt", 3, {"cell": "tet"}),
    ],
)
@pytest.mark.parametrize("model", REDUCTIONS)
def test_written_currents_of_a_reduced_layer_add_up_to_the_reported_ones(
    layers, dimension, structure, model, tmp_path
):
    """The spin potential varies along the insulating sides, so the facets differ there."""
    solution = solved(layers, dimension, model, ACROSS, **structure)
    measures, data = written(solution, "Pt|F", tmp_path / "out")
    table = solution.table["interfaces"]["Pt|F"]
    size = max(np.abs(v).max() for v in (*table["parts"].values(), table["spin_current"]))
    assert measures.sum() == pytest.approx(table["area"], rel=1e-12)
    assert not data["J_0"].any()
    for key, reported in {"J": table["spin_current"], **table["parts"]}.items():
        if key in data:
            mean = measures @ data[key] / measures.sum()
            np.testing.assert_allclose(mean, reported, rtol=0, atol=1e-12 * size)
    assert {"J", *PARTS} <= set(data)
    varies = np.ptp(data["J"], axis=0).max() > 1e-3 * np.abs(data["J"]).max()
    assert varies == ("lateral" in structure)


def test_written_parts_of_an_exact_layer_add_up_on_every_facet(tmp_path):
    solution = solved("YIG F Pt", 2, "exact", ACROSS, lateral="insulating")
    _, data = written(solution, "Pt|F", tmp_path / "out")
    size = max(np.abs(data[part]).max() for part in PARTS)
    total = sum(data[part] for part in PARTS)
    np.testing.assert_allclose(total, data["J"], rtol=0, atol=1e-11 * size)


def test_written_parts_of_a_leaking_layer_lack_what_passes_its_lower_side(tmp_path):
    """B is no part that is written; it is what the others lack of J."""
    law = {"F|YIG": {"G_s": "-1e12 S/m^2", "G_r": "3e14 S/m^2"}}
    solution = solved("YIG F Pt", 2, "exact", ACROSS, law, lateral="insulating")
    measures, data = written(solution, "Pt|F", tmp_path / "out")
    rest = data["J"] - sum(data[part] for part in PARTS)
    passed = solution.table["interfaces"]["Pt|F"]["parts"]["B"]
    size = max(np.abs(data[part]).max() for part in PARTS)
    assert np.abs(passed).max() > 1e-3 * size
    np.testing.assert_allclose(measures @ rest / measures.sum(), passed, rtol=0, atol=1e-11 * size)


@pytest.mark.parametrize("dimension", [2, slow(3)])
def test_a_run_with_a_reduced_layer_writes_the_uniform_flux_of_the_line(dimension, tmp_path):
    """Error bars included; periodic sides leave every facet the current of the 1D stack."""
    line = solved("F Pt", 1).table["interfaces"]["Pt|F"]["spin_current"]
    solution = simulate(device_case("F Pt", dimension))
    assert solution.errors is not None
    _, data = written(solution, "Pt|F", tmp_path / "out")
    expected = np.broadcast_to(line, data["J"].shape)
    np.testing.assert_allclose(data["J"], expected, rtol=0, atol=1e-9 * np.abs(line).max())


# ------------------------------------------------------------------------- a face of one's own


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ("YIG F Pt YIG", r"regions\.F\.model"),
        ("YIG F Pt YIG G Pt", r"regions\.[FG]\.model"),
        ("YIG F Pt EuS G Pt", r"regions\.G\.model"),
    ],
)
def test_a_law_that_would_spread_to_other_places_is_refused(layers, path):
    with pytest.raises(
        CaseError,
        match=rf"^{path}: Pt and \w+ would touch in [23] places.*"
        r'different names, or set model = "resolved"',
    ):
        build_device(device_case(layers))


@pytest.mark.parametrize("key", ["Pt|YIG", "YIG|Pt"])
@pytest.mark.parametrize("table", [{"G_r": "3e14 S/m^2"}, {"type": "insulating"}])
def test_a_second_law_on_the_face_of_a_reduced_layer_is_refused(key, table):
    match = rf"^interfaces\.{re.escape(key)}: this face stands for F .*F\|YIG instead"
    with pytest.raises(CaseError, match=match):
        build_device(device_case("YIG F Pt", interfaces={key: table}))


@pytest.mark.parametrize("model", ["exact", "thin"])
def test_reduced_layers_with_faces_of_their_own_do_not_know_of_each_other(model):
    """EuS keeps the two metals apart, so each bilayer is as if it were alone."""
    both = solved("YIG F Pt EuS G Au", model=model).table["interfaces"]
    for layers, name in (("YIG F Pt", "Pt|F"), ("EuS G Au", "Au|G")):
        alone = solved(layers, model=model).table["interfaces"][name]
        assert both[name]["area"] == alone["area"]
        size = np.abs(alone["spin_current"]).max()
        np.testing.assert_allclose(
            both[name]["spin_current"], alone["spin_current"], rtol=0, atol=1e-10 * size
        )


def test_an_fi_region_of_another_name_above_the_metal_keeps_its_own_law():
    """Reduced and resolved F agree beside a spin-mixing conductance on the other side of Pt."""
    law = {"Pt|EuS": {"G_s": "-1e12 S/m^2", "G_r": "3e14 S/m^2"}}
    exact, resolved = (
        solved("YIG F Pt EuS", model=model, interfaces=law).table["interfaces"]
        for model in ("exact", "resolved")
    )
    for name in ("Pt|F", "Pt|EuS"):
        reference = resolved[name]["spin_current"]
        found, size = exact[name]["spin_current"], np.abs(reference).max()
        # the discretisation error of the resolved layer, as in test_reduced
        np.testing.assert_allclose(found, reference, rtol=0, atol=1e-6 * size)


# ------------------------------------------------------------------------- what drives the layer


@pytest.mark.parametrize("model", REDUCTIONS)
def test_a_reduced_layer_between_electrodes_is_refused(model):
    case = device_case("F Pt", 2, model, SIDES, lateral="insulating")
    match = r'^regions\.F\.model: electrodes .*"resolved" for F, or .* drive\.electric_field'
    with pytest.raises(CaseError, match=match):
        build_device(case)


@pytest.mark.parametrize(("dimension", "drive"), [(2, ALONG_X), (3, ALONG_X), (3, ACROSS)])
def test_a_field_that_insulating_sides_compensate_is_refused(dimension, drive):
    case = device_case("F Pt", dimension, drive=drive, lateral="insulating")
    axis = "y" if drive is ACROSS else "x"
    with pytest.raises(CaseError, match=rf"^regions\.F\.model: insulating sides .* along {axis} "):
        build_device(case)


# ------------------------------------------------------------------------- beside electrodes


def test_no_charge_is_written_to_pass_an_insulator_between_electrodes(tmp_path):
    law = {"Pt|YIG": {"G_s": "-1e12 S/m^2", "G_r": "3e14 S/m^2", "G_i": "1e13 S/m^2"}}
    solution = solved("YIG Pt", 2, drive=SIDES, interfaces=law, lateral="insulating")
    _, data = written(solution, "Pt|YIG", tmp_path / "out")
    current = np.abs(solution.table["charge_current_density"]["Pt"]).max()
    assert current > 1e11
    assert np.abs(data["J_0"]).max() < 1e-12 * current


@pytest.mark.parametrize(
    ("layers", "dimension", "interfaces", "names"),
    [
        ("F Pt", 2, {}, ["Pt|F"]),
        ("YIG F Pt", 3, {}, ["Pt|F"]),
        ("F Pt Au", 2, {"Au|Pt": {"contact_conductance": "1e15 S/m^2"}}, ["Pt|F", "Au|Pt"]),
        ("F Pt Au", 2, {"Au|Pt": {"contact_spin_conductance": "1e15 S/m^2"}}, ["Pt|F", "Au|Pt"]),
    ],
)
def test_written_currents_next_to_electrodes_add_up_to_the_reported_ones(
    layers, dimension, interfaces, names, tmp_path
):
    solution = solved(layers, dimension, "resolved", SIDES, interfaces, lateral="insulating")
    current = np.abs(solution.table["charge_current_density"]["Pt"]).max()
    for name in names:
        measures, data = written(solution, name, tmp_path / name[0])
        table = solution.table["interfaces"][name]
        mean = measures @ data["J_0"] / measures.sum()
        assert abs(mean - table["charge_current"]) < 1e-12 * current
        size = np.abs(table["spin_current"]).max()
        mean = measures @ data["J"] / measures.sum()
        np.testing.assert_allclose(mean, table["spin_current"], rtol=0, atol=1e-12 * size)
