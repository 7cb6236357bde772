"""Named conductances: published, corrected, contracted, and those of the resolved layer."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from reference import CASES, case_table

from femspin import build_device, case_from_table
from femspin.cli.main import main
from femspin.fields.build import Conditions, region_fields
from femspin.fields.hall import response
from femspin.fields.kernels import loss_kernel
from femspin.fields.kondo import relaxation_tensor, rotation
from femspin.fields.region import RegionFields
from femspin.fields.soc import cross_matrix
from femspin.fields.validity import validity, validity_conditions
from femspin.interface.closed_forms import (
    ClosedFormInput,
    SpinOrbitConstants,
    ansatz_length,
    closed_form_input,
    closed_forms,
    contracted_conductance,
    decay_tensor,
    spin_orbit_constants,
    spin_orbit_rates,
)
from femspin.interface.conductance import (
    conductance_table,
    layer_conductance,
    project_conductance,
    thin_conductance,
)
from femspin.materials.parameters import region_parameters
from femspin.studies.conductances import conductance_tables
from femspin.transport.layers.stack import StackLayer, admittance, admittance_parts
from femspin.units import E_CHARGE, HBAR, M_E

NM = 1e-9
REFERENCE = json.loads((Path(__file__).parent / "data/kondo_refs.json").read_text())
CLOSED = [name for name, case in CASES.items() if "closed_forms" in case["outputs"]]
NAMES = {  # names in the reference file
    "G_s_m": "Gs_m",
    "G_r_m": "Gr_m",
    "G_i_m": "Gi_m",
    "Omega_plus_zz": "Omp_zz",
    "Omega_plus_xx": "Omp_xx",
    "Omega_plus_xy": "Omp_xy",
    "Omega_plus_yz": "Omp_yz",
    "Omega_minus_xy": "Omm_xy",
    "Omega_minus_yz": "Omm_yz",
    "G_s_l": "Gs_l",
    "G_r_l": "Gr_l",
    "G_i_l": "Gi_l",
    "G_j_l": "Gj_l",
    "G_n_par": "Gn_par",
    "G_n_perp": "Gn_perp",
    "vector_a": "G_A_vec",
}
NEW = {"Omega_minus_yz": "Omm_zx", "Omega_plus_yz": "Omp_zx", "Omega_minus_unequal": "Omm_yz_aniso"}


def closed_input(name: str) -> ClosedFormInput:
    c = CASES[name]["inputs"]["closed"]
    soc = SpinOrbitConstants(c["m"], c["alpha"], c["beta"], c["lam"], c["u_perp"], c["u_par"], c["th0"])
    return ClosedFormInput(
        soc, c["nu"], c["D"], c["ell_par"], c["ell_perp"], 1 / c["tau_par"], 1 / c["tau_perp"], c["nmKsS"]
    )


def reference_fields(name: str) -> tuple[RegionFields, float]:
    """Return the F layer of a reference case, m along z."""
    table = CASES[name]["inputs"]["layers"][0]
    fields = RegionFields(
        name=table["name"],
        dos=table["nu"],
        diffusion=table["D"],
        gauge=np.array(table["a"]),
        omega=np.array(table["omega"]),
        relaxation=np.array(table["rate"]),
        theta=np.array(table["Theta"]),
        m=np.array([0.0, 0.0, 1.0]),
    )
    return fields, table["L"]


def random_input(rng: np.random.Generator, **fixed: float) -> ClosedFormInput:
    soc = SpinOrbitConstants(
        rng.uniform(0.1, 2) * M_E,
        *rng.uniform(-3e4, 3e4, 3),
        *rng.uniform(-0.5, 0.5, 2),
        tuple(rng.uniform(-0.3, 0.3, 3)),
    )
    ell = rng.uniform(0.5, 3, 2) * NM
    return ClosedFormInput(
        soc,
        5e46,
        2e-4,
        fixed.get("ell_par", ell[0]),
        fixed.get("ell_perp", ell[1]),
        *rng.uniform(0, 3e12, 2),
        rng.uniform(-1e-21, 1e-21),
    )


def fields_of(x: ClosedFormInput) -> RegionFields:
    """Return the layer the closed forms speak of: m along z, first order in theta^0."""
    m = np.array([0.0, 0.0, 1.0])
    return RegionFields(
        "F",
        x.dos,
        x.diffusion,
        x.soc.gauge,
        -x.exchange / HBAR * m,
        relaxation_tensor(x.rate_par, x.rate_perp, m),
        response(x.soc.hall, mode="eq38"),
        m=m,
    )


def random_layer(rng: np.random.Generator) -> StackLayer:
    """Return a layer with every term on, positive relaxation, any precession and angles."""
    root = rng.normal(size=(3, 3))
    fields = RegionFields(
        "F",
        5e46,
        2e-4,
        5e8 * rng.normal(size=(3, 3)) * rng.integers(0, 2),
        2e13 * rng.normal(size=3),
        2e12 * root @ root.T,
        response(*0.5 * rng.normal(size=(2, 3)), 0.3 * rng.normal(size=(3, 3))),
    )
    return StackLayer(fields, 10 ** rng.uniform(-1, 1) * NM)


# ------------------------------------------------------------------ closed forms


@pytest.mark.parametrize("form", ["printed", "corrected"])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_reproduce_the_reference(name, form):
    expected = CASES[name]["outputs"]["closed_forms"][form]
    found = closed_forms(closed_input(name), form)
    for key, other in (NAMES | (NEW if form == "corrected" else {})).items():
        value = np.array(getattr(found, key))
        size = max(np.abs(expected[other]).max(), 1e-300)
        assert np.abs(value - expected[other]).max() <= 1e-12 * size, key


def test_corrected_losses_are_four_times_the_printed_ones():
    """Errata E10; the other entries differ also in sign, mean length and lambda."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        x = random_input(rng)
        printed, corrected = (closed_forms(x, form) for form in ("printed", "corrected"))
        for name in ("Omega_plus_zz", "Omega_plus_xx", "Omega_plus_xy", "G_s_l", "G_r_l", "G_n_par"):
            assert_allclose(getattr(corrected, name), 4 * getattr(printed, name), rtol=1e-13)
        rates = [spin_orbit_rates(x.soc, x.diffusion, form) for form in ("printed", "corrected")]
        assert_allclose([rates[1].par, rates[1].perp], [4 * rates[0].par, 4 * rates[0].perp], rtol=1e-14)
        assert_allclose(np.array(rates[0].lengths) / rates[1].lengths, 2, rtol=1e-14)
        for name in ("G_s_m", "G_r_m", "G_i_m"):
            assert getattr(corrected, name) == getattr(printed, name)


def test_corrected_forms_equal_the_contraction_where_lengths_are_equal():
    rng = np.random.default_rng(2)
    for _ in range(50):
        x = random_input(rng, ell_par=1.3 * NM, ell_perp=1.3 * NM)
        form, tensor = closed_forms(x), contracted_conductance(fields_of(x), 1.3 * NM)
        for part, g in form.tensors().items():
            exact = getattr(tensor, part)
            assert_allclose(g, exact, rtol=0, atol=1e-12 * max(np.abs(exact).max(), 1.0))
        plus, minus = tensor.Omega_plus, tensor.Omega_minus
        for value, found in (
            (form.Omega_plus_zz, plus[2, 2]),
            (form.Omega_plus_xx, plus[0, 0]),
            (form.Omega_plus_xx, plus[1, 1]),
            (form.Omega_plus_xy, plus[0, 1]),
            (form.Omega_plus_yz, plus[1, 2]),
            (form.Omega_plus_yz, plus[2, 0]),
            (form.Omega_minus_xy, minus[0, 1]),
            (form.Omega_minus_yz, minus[1, 2]),
            (form.Omega_minus_yz, minus[2, 0]),
        ):
            assert_allclose(value, found, rtol=0, atol=1e-12 * np.abs(tensor.Omega).max())


def test_unequal_lengths_mix_symmetric_and_antisymmetric_parts_of_omega():
    """Errata E14: Omega_-^{yz} keeps a part without Hall angle, and K does not."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        x = random_input(rng)
        x = replace(x, soc=replace(x.soc, hall=(0.0, 0.0, 0.0)))
        ell = np.array([x.ell_perp, x.ell_perp, x.ell_par])
        tensor, form = contracted_conductance(fields_of(x), ell), closed_forms(x)
        scale = np.abs(tensor.Omega).max()
        assert_allclose(tensor.Omega_minus[1, 2], form.Omega_minus_unequal, atol=1e-12 * scale)
        assert_allclose(tensor.Omega_minus[2, 0], -form.Omega_minus_unequal, atol=1e-12 * scale)
        assert_allclose(tensor.Omega_plus[1, 2], form.Omega_plus_yz, atol=1e-12 * scale)
        assert np.abs(tensor.K_minus).max() < 1e-12 * np.abs(tensor.K).max()
        assert_allclose(tensor.K_plus, tensor.K, atol=1e-12 * np.abs(tensor.K).max())


def test_lengths_may_be_one_number_three_or_a_tensor():
    fields = fields_of(random_input(np.random.default_rng(4)))
    one = contracted_conductance(fields, 2 * NM).total
    assert_allclose(contracted_conductance(fields, [2 * NM] * 3).total, one, rtol=1e-15)
    m = np.array([0.6, 0.0, 0.8])
    tensor = decay_tensor(2 * NM, 2 * NM, m)
    assert_allclose(contracted_conductance(fields, tensor).total, one, rtol=1e-13, atol=1e-2)
    assert_allclose(decay_tensor(3 * NM, NM, m) @ m, 3 * NM * m, rtol=1e-14)


def test_dyakonov_perel_rates_are_the_textbook_ones():
    """Spin-orbit loss of a Rashba and Dresselhaus film, and its eigenvalues 4 D m^2 (a +- b)^2."""
    p = REFERENCE["R09"]["params"]
    mass = p["mstar_over_me"] * M_E
    ratio = {"Rashba_only": 0.0, "PSH_alpha=beta": 1.0, "R+D": None}
    for name, expected in REFERENCE["R09"]["values"].items():
        beta = p["beta_vel"] * ratio[name] if ratio[name] is not None else 0.5 * p["alpha_vel"]
        soc = SpinOrbitConstants(mass, p["alpha_vel"], beta)
        loss = p["D"] * loss_kernel(soc.gauge, np.eye(12))
        assert_allclose(np.linalg.eigvalsh(loss), expected, rtol=2e-9, atol=1e-5 * max(expected))
        rates = spin_orbit_rates(soc, p["D"])
        assert_allclose(rates.par, expected[2], rtol=2e-9)
        assert_allclose(rates.perp, np.mean(expected[:2]), rtol=2e-9)
        assert rates == spin_orbit_rates(soc, p["D"], decay="z")


def test_equal_rashba_and_dresselhaus_leave_one_spin_direction_without_loss():
    """The kernel has eigenvalues {0, q^2, q^2}, q = 4 m alpha / hbar, and keeps (1, -1, 0)."""
    soc = SpinOrbitConstants(M_E, 2e4, 2e4)
    K = loss_kernel(soc.gauge, np.eye(12))
    q = 4 * M_E * 2e4 / HBAR
    assert_allclose(np.linalg.eigvalsh(K), [0, q * q, q * q], atol=1e-14 * q * q)
    assert np.abs(K @ [1, -1, 0]).max() < 1e-14 * q * q
    fields = RegionFields("F", 5e46, 2e-4, soc.gauge)
    g, _ = admittance([StackLayer(fields, 4 * NM)])
    assert np.abs(g @ [1, -1, 0]).max() < 1e-12 * np.abs(g).max()
    p = REFERENCE["R09"]["params"]
    helix = 4 * p["mstar_over_me"] * M_E * p["alpha_vel"] / HBAR
    assert_allclose(REFERENCE["R09"]["PSH_Q"], helix, rtol=1e-8)


def test_thin_and_thick_lengths_are_the_limits_of_the_ansatz():
    assert_allclose(ansatz_length(2 * NM, 200 * NM), 2 * NM, rtol=1e-15)
    assert_allclose(ansatz_length(2 * NM, 1e-3 * NM), 1e-3 * NM, rtol=1e-6)
    assert ansatz_length(np.inf, 3 * NM) == 3 * NM


def test_unknown_forms_are_refused():
    x = closed_input("C05")
    with pytest.raises(ValueError, match="form must be one of printed, corrected, got 'published'"):
        closed_forms(x, "published")
    with pytest.raises(ValueError, match="decay must be uniform"):
        spin_orbit_rates(x.soc, 1e-4, "printed", "z")


# ------------------------------------------------------------------ the resolved layer


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if "G_parts" in c["outputs"]])
def test_exact_conductances_and_parts_reproduce_the_reference(name):
    """Relative to the largest part, so that cancellation between parts is allowed for."""
    fields, thickness = reference_fields(name)
    table, expected = conductance_table(fields, thickness), CASES[name]["outputs"]
    scale = max(np.abs(g).max() for g in expected["G_parts"].values())
    for part, g in expected["G_parts"].items():
        if part in table.exact.parts():
            assert_allclose(getattr(table.exact, part), g, rtol=0, atol=1e-9 * scale)
    assert_allclose(table.exact.total, expected["G_exact"], rtol=0, atol=1e-9 * scale)
    for row in table.rows:
        if row.exact is not None:
            whole = project_conductance(row.name, table.exact.total, table.m)
            assert_allclose(sum(row.parts.values()), whole, rtol=0, atol=1e-10 * scale)
            assert row.printed is None
            assert row.corrected is None


@pytest.mark.parametrize(("order", "rotating"), [(1, True), (2, False)])
def test_thin_layers_reach_the_thin_limit(order, rotating):
    """The error falls with the thickness, and as its square without rotation along z."""
    fields = fields_of(random_input(np.random.default_rng(5)))
    if not rotating:
        gauge = fields.gauge.copy()
        gauge[2] = 0
        fields = replace(fields, gauge=gauge, theta=np.eye(12))
    errors = []
    for thickness in (2e-2 * NM, 1e-2 * NM):
        g, _ = admittance([StackLayer(fields, thickness)])
        thin = thin_conductance(fields, thickness)
        errors.append(np.abs(g - thin).max() / np.abs(thin).max())
    assert_allclose(np.log2(errors[0] / errors[1]), order, atol=0.1)


def test_thick_layers_reach_the_ansatz_where_components_decay_independently():
    """Rashba coupling and relaxation only: the ansatz is exact but for e^{-2 ell_F / ell}."""
    soc = SpinOrbitConstants(M_E, 2e4)
    m = np.array([0.0, 0.0, 1.0])
    fields = RegionFields("F", 5e46, 2e-4, soc.gauge, relaxation=relaxation_tensor(1e12, 2e12, m), m=m)
    table = conductance_table(fields, 40 * NM, soc)
    assert_allclose(
        table.corrected["M"] + table.corrected["L"],
        table.exact.total,
        rtol=1e-12,
        atol=1e-12 * np.abs(table.exact.total).max(),
    )
    par, perp = table.lengths
    errors = []
    for thickness in (8 * NM, 10 * NM):
        g, _ = admittance([StackLayer(fields, thickness)])
        errors.append(np.abs(g - contracted_conductance(fields, [perp, perp, par]).total).max())
    # tanh = 1 - 2 e^{-2x}; the component with the longer decay length dominates
    assert_allclose(np.log(errors[0] / errors[1]), 4 * NM / max(par, perp), rtol=0.05)


@pytest.mark.parametrize("thickness", [0.3 * NM, 2 * NM, 30 * NM])
def test_corrected_forms_are_exact_at_any_thickness_where_components_decay_independently(thickness):
    """With ell = ell^a tanh(ell_F / ell^a), the length an insulated layer has."""
    soc = SpinOrbitConstants(M_E, 2e4)
    m = np.array([0.0, 0.0, 1.0])
    fields = RegionFields("F", 5e46, 2e-4, soc.gauge, relaxation=relaxation_tensor(1e12, 2e12, m), m=m)
    table = conductance_table(fields, thickness, soc)
    for name in ("G_s_m", "G_r_m", "G_s_l", "G_r_l", "G_s", "G_r"):
        row = table.row(name)
        assert row.error < 1e-11, name
        if name.endswith("l"):
            assert abs(row.printed) < 0.6 * abs(row.exact)
    assert {c.code: c.holds for c in table.validity}["ansatz_error"]


def test_layer_conductance_is_exact_without_rotation_and_hall_effect():
    rng = np.random.default_rng(6)
    for _ in range(20):
        layer = random_layer(rng)
        gauge = layer.fields.gauge.copy()
        gauge[2] = 0
        fields = replace(layer.fields, gauge=gauge, theta=np.eye(12))
        g, _ = admittance([StackLayer(fields, layer.thickness)])
        expected = layer_conductance(fields, layer.thickness)
        assert_allclose(g, expected, rtol=0, atol=1e-9 * np.abs(g).max())


def test_conductance_is_symmetric_without_precession_and_hall_effect():
    """Onsager; the parts are not symmetric, only their sum is."""
    rng, largest = np.random.default_rng(7), 0.0
    for _ in range(50):
        layer = random_layer(rng)
        fields = replace(layer.fields, omega=np.zeros(3), theta=np.eye(12))
        parts, _ = admittance_parts(StackLayer(fields, layer.thickness))
        g = parts.total
        assert np.abs(g - g.T).max() < 1e-10 * max(np.abs(x).max() for x in parts.parts().values())
        largest = max(
            largest,
            np.abs(parts.A + parts.A.T).max() / np.abs(g).max(),
            np.abs(parts.M - parts.M.T).max() / np.abs(g).max(),
        )
    assert largest > 0.1


def test_every_layer_dissipates():
    """-sym(G) >= 0 for 1000 layers with all terms on, resolved and thin."""
    rng = np.random.default_rng(8)
    for _ in range(1000):
        layer = random_layer(rng)
        g, _ = admittance([layer])
        for value in (g, thin_conductance(layer.fields, layer.thickness)):
            assert np.linalg.eigvalsh(value + value.T).max() <= 1e-9 * np.abs(value).max()


def test_a_gauge_field_along_z_alone_changes_no_conductance():
    """It is a rotation of the spin frame: parts of the size of the sum cancel (errata E18)."""
    rate = 1e12 * np.eye(3)
    bare = RegionFields("F", 5e46, 2e-4, relaxation=rate)
    gauge = np.zeros((3, 3))
    gauge[2] = [3e8, -2e8, 1e8]
    for thickness in (0.5 * NM, 3 * NM, 40 * NM):
        expected, _ = admittance([StackLayer(bare, thickness)])
        parts, _ = admittance_parts(StackLayer(replace(bare, gauge=gauge), thickness))
        scale = max(np.abs(g).max() for g in parts.parts().values())
        assert_allclose(parts.total, expected, rtol=0, atol=1e-10 * scale)
        assert np.abs(parts.A).max() > 0.02 * np.abs(expected).max()
        assert np.abs(parts.L).max() > 0.02 * np.abs(expected).max()


@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.integers(0, 10**6))
def test_conductances_turn_with_the_spin_frame(phi, seed):
    """G -> R G R^T for a rotation of all spins; K and C turn alike."""
    turn, rng = rotation(phi), np.random.default_rng(seed)
    layer = random_layer(rng)
    f = replace(layer.fields, theta=response(0.3 * rng.normal(size=3)))
    turned = replace(f, gauge=f.gauge @ turn.T, omega=turn @ f.omega, relaxation=turn @ f.relaxation @ turn.T)
    for conductance in (
        lambda x: admittance([StackLayer(x, layer.thickness)])[0],
        lambda x: thin_conductance(x, layer.thickness),
        lambda x: contracted_conductance(x, NM).total,
    ):
        g = conductance(f)
        expected = turn @ g @ turn.T
        assert_allclose(conductance(turned), expected, rtol=0, atol=1e-9 * np.abs(g).max())


def test_magnetic_conductances_do_not_depend_on_the_direction_of_the_moments():
    """Without spin-orbit coupling: G_s, G_r, G_i refer to m, whatever its angle."""
    expected = None
    for m in ([0, 0, 1], [0.6, 0, 0.8], [0, -1, 0], [1 / 3, -2 / 3, 2 / 3]):
        m = np.array(m, float)
        fields = RegionFields(
            "F", 5e46, 2e-4, np.zeros((3, 3)), 8e12 * m, relaxation_tensor(1e12, 3e12, m), m=m
        )
        table = conductance_table(fields, 0.2 * NM, SpinOrbitConstants())
        found = [[r.printed, r.corrected, r.exact] for r in map(table.row, ("G_s", "G_r", "G_i"))]
        expected = found if expected is None else expected
        assert_allclose(found, expected, rtol=1e-10)
        assert_allclose(table.row("G_i").exact, E_CHARGE**2 * 5e46 * 0.2 * NM * 8e12, rtol=0.01)


# ------------------------------------------------------------------ tables of case files


def device(name: str, **region):
    table = case_table(CASES[name])
    table["regions"]["F"] |= region
    return build_device(case_from_table(table))


def test_a_gauge_field_in_numbers_is_read_as_constants():
    """Of alpha, u_par and lambda only A = alpha - u_par lambda and p can be read back."""
    found = spin_orbit_constants(device("C06").parameters["F"])
    c = CASES["C06"]["inputs"]["closed"]
    assert_allclose(
        [found.in_plane, found.dresselhaus, found.out_of_plane],
        [c["alpha"] - c["u_par"] * c["lam"], c["beta"], c["u_perp"] * c["lam"]],
        rtol=1e-8,
    )
    assert_allclose(found.gauge, CASES["C06"]["inputs"]["layers"][0]["a"], rtol=1e-12, atol=1e-4)
    assert_allclose(found.hall, c["th0"], rtol=1e-15)


def test_a_gauge_field_of_another_form_has_no_closed_forms():
    d = device("C17")  # only a^z, with a component along z
    ((table, _),) = conductance_tables(d).values()
    assert table.printed is None
    assert table.row("G_s_m").corrected is None
    assert table.row("G_s_m").error is None
    assert {"contraction_error", "thin"} <= {c.code for c in table.validity}
    assert "ansatz_error" not in {c.code for c in table.validity}


SOC_CASE = """
[structure]
layers = [{ region = "F", thickness = "0.5 nm" }, { region = "Pt", thickness = "3 nm" }]
[regions.F]
kind = "F"
dos = "5e46 1/(J*m^3)"
diffusion_constant = "2e-4 m^2/s"
mass = "1 m_e"
scattering_time = "0.5 fs"
theta_mode = "eq38"
[regions.F.soc]
rashba = "2e4 m/s"
dresselhaus = "1e4 m/s"
strain_coupling = "2e4 m/s"
strain = [[0, 0.3, 0.4], [0.3, 0, 0.4], [0.4, 0.4, 0]]
[regions.F.kondo]
spin = 3.5
moment_density = "1e27 1/m^3"
exchange_energy = "0.2 meV"
curie_temperature = "20 K"
[regions.Pt]
kind = "HM"
material = "Pt"
[drive]
temperature = "10 K"
magnetic_field = ["0 T", "0 T", "2 T"]
"""


@pytest.fixture
def case(tmp_path):
    file = tmp_path / "case.toml"
    file.write_text(SOC_CASE)
    return file


@pytest.fixture
def call(capsys):
    def run(*arguments):
        code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return run


def test_constants_of_a_region_are_those_of_its_case(case):
    from femspin.case import load_case

    d = build_device(load_case(case))
    soc = spin_orbit_constants(d.parameters["F"], d.conditions.magnetic_field)
    assert_allclose(
        [soc.rashba, soc.dresselhaus, soc.strain_coupling, soc.strain_perp, soc.strain_par],
        [2e4, 1e4, 2e4, 0.4, 0.3],
        rtol=1e-12,
    )
    fields = d.fields(d.direction)["F"]
    assert_allclose(soc.gauge, fields.gauge, rtol=1e-12)
    assert_allclose(response(soc.hall, mode="eq38"), fields.theta, atol=1e-15)
    x = closed_form_input(fields, soc, 0.5 * NM)
    assert_allclose(x.exchange, -HBAR * fields.omega[2], rtol=1e-14)
    assert_allclose(x.rate_par, fields.moments.rate_parallel, rtol=1e-14)
    assert_allclose(x.rate_perp, fields.moments.rate_perpendicular, rtol=1e-14)
    table = conductance_table(fields, 0.5 * NM, soc)
    for name in ("G_s_m", "G_i_m", "G_s_l", "G_n_par"):
        assert table.row(name).error < 0.05, name
    assert table.row("G_lambda_a").exact is None
    assert table.row("G_lambda_a").corrected == -table.row("G_lambda_a").printed
    unequal = d.parameters["F"].region.model_copy(deep=True)
    unequal.soc.strain[1][2] = unequal.soc.strain[2][1] = 0.1
    assert spin_orbit_constants(region_parameters("F", unequal)) is None


def test_the_command_prints_the_three_forms_side_by_side(case, call):
    code, out, err = call("conductances", case)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("F: 0.5 nm, m = (0, 0, 1)")
    assert lines[1].split() == ["equation", "printed", "corrected", "exact", "error"]
    assert lines[2].split()[:3] == ["G_s_m", "Eq.", "(41)"]
    assert any(" ansatz_error " in line for line in lines)
    assert call("conductances", case, "-q") == (0, "", "")


def test_json_and_csv_hold_what_the_table_shows(case, call, tmp_path):
    target = tmp_path / "g.csv"
    code, out, err = call("conductances", case, "--json", "--csv", target)
    assert (code, err) == (0, "")
    table = json.loads(out)["F"]
    assert table["thickness"] == pytest.approx(0.5e-9)
    rows = list(csv.DictReader(target.read_text().splitlines()))
    assert [r["name"] for r in rows] == list(table["conductances"])
    for row in rows:
        entry = table["conductances"][row["name"]]
        for column in ("printed", "corrected", "exact"):
            value = None if row[column] == "" else float(row[column])
            assert value == entry[column]
        assert (row["region"], row["unit"], row["equation"]) == ("F", "S/m^2", entry["equation"])
    exact = table["tensors"]["exact"]
    parts = sum(np.array(exact[p]) for p in ("M", "L", "S", "A", "E", "B"))
    total = np.array(exact["total"])
    assert_allclose(parts, total, rtol=0, atol=1e-12 * np.abs(total).max())
    conditions = {v["code"]: v for v in table["validity"]}
    assert {"thin", "thick", "ansatz_error", "perturbative_exchange"} <= set(conditions)
    for c in conditions.values():
        assert c["holds"] == (c["value"] <= c["limit"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.toml", "g.csv"]


def test_the_command_refuses_in_one_line(case, call, tmp_path):
    before = case.read_text()
    code, out, err = call("conductances", case, "--csv", case)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is the case file" in err
    assert case.read_text() == before
    code, out, err = call("conductances", case, "--csv", tmp_path / "none" / "g.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "lies in no folder that exists" in err
    metal = tmp_path / "metal.toml"
    metal.write_text(
        '[structure]\nlayers = [{ region = "Pt", thickness = "3 nm" }]\n'
        '[regions.Pt]\nkind = "HM"\nmaterial = "Pt"\n'
    )
    code, out, err = call("conductances", metal)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert 'regions: no region of kind "F" has conductances to show (got Pt: HM)' in err


# ------------------------------------------------------------------ validity


def parameters_of(table):
    case = case_from_table(
        {"structure": {"layers": [{"region": "F", "thickness": "1 nm"}]}, "regions": {"F": table}}
    )
    return region_parameters("F", case.regions["F"])


BASE = {"kind": "F", "dos": "5e46 1/(J*m**3)", "diffusion_constant": "2e-4 m**2/s", "mass": "1 m_e"}


def codes(table, thickness=1 * NM, **conditions):
    parameters = parameters_of(BASE | table)
    fields = region_fields(parameters, Conditions(**conditions))
    return {w.code: w for w in validity(parameters, fields, thickness)}


def test_a_layer_within_the_theory_has_no_warnings():
    assert codes({"scattering_time": "0.1 fs"}) == {}


def test_each_broken_condition_is_named_with_value_and_limit():
    found = codes({"scattering_time": "10 fs"})
    assert set(found) == {"mean_free_path"}
    assert found["mean_free_path"].region == "F"
    assert_allclose(found["mean_free_path"].value, np.sqrt(3 * 2e-4 * 1e-14), rtol=1e-12)
    assert found["mean_free_path"].limit == NM
    moments = {
        "spin": 3.5,
        "moment_density": "1e27 1/m**3",
        "exchange_energy": "3 meV",
        "curie_temperature": "16.5 K",
    }
    found = codes({"kondo": moments}, temperature=10.0)
    assert set(found) == {"perturbative_exchange"}
    assert found["perturbative_exchange"].value == pytest.approx(3e-3 * E_CHARGE)
    assert found["perturbative_exchange"].limit == pytest.approx(1.2138e-22, rel=1e-4)
    angles = {"hall_angles": [0, 0, 0.3]}
    found = codes({"theta_mode": "first", "override": angles})
    assert set(found) == {"first_order_angle"}
    assert found["first_order_angle"].value == pytest.approx(0.3)
    assert codes({"theta_mode": "exact", "override": angles}) == {}
    found = codes({"theta_mode": "hall", "spin_hall_angle": 0.4, "scattering_time": "0.1 fs"})
    assert set(found) == {"neglected_angle"}
    found = codes({"override": {"omega": ["0 1/s", "0 1/s", "3e16 1/s"]}, "scattering_time": "0.1 fs"})
    assert set(found) == {"omega_tau"}
    found = codes({"soc": {"rashba": "1e6 m/s", "curvature": False}, "scattering_time": "0.2 fs"})
    assert set(found) == {"gauge_mean_free_path", "mean_free_path_spin"}


def test_conditions_that_hold_are_reported_as_such():
    parameters = parameters_of(BASE | {"scattering_time": "0.1 fs"})
    found = validity_conditions(parameters, region_fields(parameters, Conditions()), NM)
    assert {c.code for c in found} == {"mean_free_path", "omega_tau"}
    assert all(c.holds for c in found)


def test_precession_of_the_ansatz_is_twice_the_exact_one_in_thick_layers():
    """Errata E17, and the table says so."""
    m = np.array([0.0, 0.0, 1.0])
    fields = RegionFields("F", 5e46, 2e-4, omega=2e11 * m, relaxation=1e12 * np.eye(3), m=m)
    table = conductance_table(fields, 300 * NM, SpinOrbitConstants())
    row = table.row("G_i")
    assert_allclose(row.corrected / row.exact, 2, rtol=0.02)
    fields = replace(fields, omega=5e12 * m)
    table = conductance_table(fields, 300 * NM, SpinOrbitConstants())
    conditions = {c.code: c for c in table.validity}
    assert not conditions["precession_in_decay"].holds
    assert not conditions["ansatz_error"].holds
    assert conditions["thick"].holds
    kappa = np.sqrt((1e12 - 5e12j) / 2e-4)
    expected = -(E_CHARGE**2) * 5e46 * 2e-4 * kappa
    assert_allclose(table.row("G_i").exact, expected.imag, rtol=1e-9)
    assert_allclose(table.exact.total[0, 0], expected.real, rtol=1e-9)
    assert_allclose(cross_matrix(m) @ cross_matrix(m), np.diag([-1, -1, 0]))


@pytest.mark.parametrize("model", ["exact", "layer", "thin", "corrected", "printed"])
def test_command_shows_a_replaced_layer_like_the_resolved_one(model, capsys):
    file = Path(__file__).parents[1] / "cases" / "fgt_pt.toml"
    tables = []
    for which in ("resolved", model):
        assert main(["conductances", str(file), "--json", "--set", f"regions.F.model={which}"]) == 0
        tables.append(json.loads(capsys.readouterr().out))
    assert tables[0] == tables[1]
