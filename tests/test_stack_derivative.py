"""Exact derivatives of the stack solver, and of the chain from parameters to coefficients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from marks import slow_unless

from femspin import case_from_table, load_case
from femspin.case.load import dump_case
from femspin.device.coefficients import (
    case_coefficients,
    dual_coefficients,
    extrapolated_derivative,
    field_derivatives,
    find_parameter,
    is_smooth,
    scalar_parameters,
    with_parameters,
)
from femspin.device.stack_problem import solved_state, stack_case, stack_problem
from femspin.dual import Dual, change_of, value_of
from femspin.errors import CaseError, SolverError
from femspin.fields.hall import response_polarised
from femspin.fields.kondo import curie_temperature
from femspin.fields.region import RegionFields
from femspin.materials.parameters import complete_case
from femspin.transport.layers.stack import (
    Conductance,
    Contact,
    SpinFlux,
    SpinPotential,
    StackCase,
    StackLayer,
    admittance,
    solve_stack,
)
from femspin.units import E_CHARGE, K_B

CASES = Path(__file__).parents[1] / "cases"
STACKS = ("scan_smr_yig_pt", "scan_ahe_angle", "scan_smr_ggg_pt", "scan_conductance_eus_pt")

# Extrapolated differences of a solve good to about 1e-14 with steps down to 1e-4 of the scale.
ROUND_OFF = 1e-10


def completed(name, **changes):
    case, _ = complete_case(load_case(CASES / f"{name}.toml"))
    return case.model_copy(update={"scan": None, **changes})


def arrays(found, layers):
    """Return everything a solution or its derivative offers, as a list of arrays."""
    split = [
        np.stack([v for face in ("top", "bottom") for v in found.split(k, face).parts().values()])
        for k in range(layers)
    ]
    return [
        found.lower[:, :4],
        found.lower[:, 4:],
        found.upper[:, :4],
        found.upper[:, 4:],
        found.integral[:, :4],
        found.integral[:, 4:],
        np.stack([found.in_plane_current(k) for k in range(layers)]),
        *split,
        np.stack([found.interface_potential(k, -1) for k in range(layers + 1)]),
        np.stack([found.interface_flux(k) for k in range(layers + 1)]),
    ]


def values(found):
    return [value_of(a) for a in found]


def tangents(found, k=0):
    """Return the changes of dual arrays by parameter k."""
    return [change_of(a, k + 1)[k] for a in found]


def real(found):
    return [np.concatenate([np.real(a).ravel(), np.imag(a).ravel()]) for a in found]


def deviation(exact, compared, base, scale):
    """Return the largest difference relative to derivative plus value over scale."""
    return max(
        np.abs(a - b).max() / (np.abs(b).max() + np.abs(v).max() / scale + 1e-300)
        for a, b, v in zip(exact, compared, base, strict=True)
    )


def assert_derivative(make, scale=1.0):
    """Compare the tangent along a curve of stacks make(x) at 0 with extrapolated differences."""
    case = make(0.0)
    n = len(case.layers)
    compared, _ = extrapolated_derivative(lambda x: real(arrays(solve_stack(make(x)), n)), 0.0, scale)
    found = arrays(solve_stack(make(Dual(0.0, [1.0]))), n)
    exact, base = real(tangents(found)), real(values(found))
    for a, b in zip(values(found), arrays(solve_stack(case), n), strict=True):
        assert np.array_equal(a, b)
    assert max(np.abs(x).max() for x in exact) > 0
    assert deviation(exact, compared, base, scale) < ROUND_OFF


# ---------------------------------------------------------------- whole cases


@pytest.mark.parametrize("name", slow_unless(("scan_smr_ggg_pt",), STACKS))
def test_tangent_is_the_derivative_of_the_whole_solve_for_every_parameter(name):
    """From the case file's scalars to potentials, fluxes, in-plane currents and parts."""
    case = completed(name)
    problem, parameters = stack_problem(case), scalar_parameters(case)
    n = len(problem.names)
    found = arrays(solved_state(problem, dual_coefficients(case, parameters)).solution, n)
    base = values(found)

    def solved(x, path):
        changed = with_parameters(case, {path: x})
        return arrays(solve_stack(stack_case(problem, case_coefficients(changed))), n)

    kinds = {p.kind for p in parameters}
    assert {"material", "exchange", "thickness", "temperature", "field", "drive"} <= kinds
    for k, p in enumerate(parameters):
        compared, _ = extrapolated_derivative(lambda x, path=p.path: solved(x, path), p.value, p.scale)
        assert deviation(tangents(found, k), compared, base, p.scale) < ROUND_OFF, p.path


def test_contacts_and_the_onsager_form_are_differentiated():
    """A polarised metal with cross response, contacts and a conductance as the lower face."""
    table = dump_case(completed("scan_ahe_angle"))
    table["solver"]["polarisation_form"] = "onsager"
    table["interfaces"] = {
        "Pt|F": {"contact_conductance": "2e15 S/m^2", "contact_spin_conductance": "6e14 S/m^2"},
        "Fe3GeTe2|F": {
            "G_r": "3e14 S/m^2",
            "G_i": "1e14 S/m^2",
            "G_s": "-1e13 S/m^2",
            "drift_flux": ["1e28 1/(m^2*s)", "0 1/(m^2*s)", "0 1/(m^2*s)"],
        },
    }
    case, _ = complete_case(case_from_table(table))
    problem = stack_problem(case)
    assert problem.contacts == {1: "Pt|F"}
    assert problem.bottom == "Fe3GeTe2|F"
    stack = stack_case(problem, case_coefficients(case))
    assert isinstance(stack.bottom, Conductance)
    names = [p for p in scalar_parameters(case) if p.kind == "interface"]
    assert {p.path.split(".")[-1] for p in names} >= {"G_r", "G_i", "contact_spin_conductance"}
    names.append(find_parameter(case, "regions.F.polarisation"))
    for p in names:
        found = arrays(solved_state(problem, dual_coefficients(case, [p])).solution, 2)
        compared, _ = extrapolated_derivative(
            lambda x, p=p: arrays(
                solve_stack(stack_case(problem, case_coefficients(with_parameters(case, {p.path: x})))), 2
            ),
            p.value,
            p.scale,
        )
        assert deviation(tangents(found), compared, values(found), p.scale) < ROUND_OFF, p.path


# ---------------------------------------------------------------- raw stacks


def tensors(seed=1):
    """Return two layers without any symmetry, and a direction to change the first along."""
    r = np.random.default_rng(seed)

    def one(name, size):
        m = r.standard_normal((3, 3))
        return RegionFields(
            name,
            5e46 * size,
            3e-4 * size,
            gauge=3e8 * r.standard_normal((3, 3)),
            omega=2e12 * r.standard_normal(3),
            relaxation=1e12 * (m @ m.T + np.eye(3)),
            theta=response_polarised(
                0.3 * r.random(3), 0.1 * r.random(3), 0.1 * r.random(3), 0.1 * r.standard_normal((3, 3))
            ),
            drift=1e28 * r.standard_normal((3, 4)),
        )

    a, b, c = one("a", 1.0), one("b", 2.0), one("c", 0.7)
    keys = ("gauge", "omega", "relaxation", "theta", "drift")
    along = {k: getattr(c, k) - getattr(a, k) for k in keys}
    return a, b, RegionFields("a", 0.4 * a.dos, 0.3 * a.diffusion, **along)


def shifted(fields, change, x):
    keys = ("dos", "diffusion", "gauge", "omega", "relaxation", "theta", "drift")
    new = {k: getattr(fields, k) + x * getattr(change, k) for k in keys}
    return replace(fields, **new)


@pytest.mark.parametrize("frequency", [0.0, 3e12], ids=["steady", "harmonic"])
def test_every_tensor_thickness_face_and_contact_at_once(frequency):
    """All inputs move together; the harmonic case is complex and its frequency moves too."""
    a, b, direction = tensors()
    g = np.array([[3e14, 1e13, 0], [-1e13, 4e14, 0], [0, 2e13, 2e14]])
    turn = 5e13 * np.array([[-1.0, 0.2, 0], [-0.2, -1, 0], [0, 0, -0.5]])

    def make(x):
        layers = (StackLayer(shifted(a, direction, x), 3e-9 + 1e-9 * x), StackLayer(b, 2e-9))
        return StackCase(
            layers,
            Conductance((4 + x) * turn, np.array([1e27, 0, 2e26]) + x * np.array([1e27, 0, 0])),
            SpinPotential(np.array([1e-23, 2e-23, 0]) - x * np.array([0, 2e-23, 0])),
            {1: Contact(g * (1 + 0.5 * x), 1e15 * (1 + x))},
            frequency=frequency * (1 + 0.2 * x),
            charge_flux=1e29 * (1 + 0.3 * x),
        )

    assert_derivative(make)


def test_a_prescribed_flux_is_differentiated():
    a, b, _ = tensors(2)

    def make(x):
        return StackCase(
            (StackLayer(a, 3e-9), StackLayer(b, 2e-9)), top=SpinFlux((1 + x) * np.array([1e27, 0, 0]))
        )

    assert_derivative(make)


def test_thick_layers_keep_the_derivative_of_what_decays():
    """Forty decay lengths: doublings in between, and nothing grows."""
    a, b, direction = tensors(3)

    def make(x):
        return StackCase((StackLayer(shifted(a, direction, x), 200e-9 * (1 + x)), StackLayer(b, 2e-9)))

    assert_derivative(make)


def test_admittance_is_differentiated():
    a, _, direction = tensors(4)

    def at(x):
        return list(admittance([StackLayer(shifted(a, direction, x), 1e-9 * (1 + x))]))

    G, drift = tangents(at(Dual(0.0, [1.0])))
    (compared, flux), _ = extrapolated_derivative(at, 0.0, 1.0)
    assert np.abs(G - compared).max() < ROUND_OFF * np.abs(compared).max()
    assert np.abs(drift - flux).max() < ROUND_OFF * np.abs(flux).max()


def test_what_does_not_change_has_no_derivative():
    a, b, direction = tensors(5)
    still = Dual(0.0, [0.0, 1.0])
    case = StackCase((StackLayer(shifted(a, direction, still), 1e-9), StackLayer(b, 2e-9)))
    found = arrays(solve_stack(case), 2)
    assert not any(np.any(x) for x in tangents(found, 0))
    assert any(np.any(x) for x in tangents(found, 1))


@pytest.mark.parametrize("frequency", [0.0, 3e12], ids=["steady", "harmonic"])
def test_every_input_alone_and_all_at_once_have_the_same_derivatives(frequency):
    """Whatever else is dual: the product rule is linear in the changes."""
    a, b, direction = tensors(6)
    g = np.array([[3e14, 1e13, 0], [-1e13, 4e14, 0], [0, 2e13, 2e14]])
    turn = 5e13 * np.array([[-1.0, 0.2, 0], [-0.2, -1, 0], [0, 0, -0.5]])

    def solved(x):
        keys = ("dos", "diffusion", "gauge", "omega", "relaxation", "theta", "drift")
        parts = {k: getattr(a, k) + x[i] * getattr(direction, k) for i, k in enumerate(keys)}
        x = x[len(keys) :]
        case = StackCase(
            (StackLayer(replace(a, **parts), 3e-9 + 1e-9 * x[0]), StackLayer(b, 2e-9)),
            Conductance(turn * (1 + x[1]), np.array([1e27, 0, 0]) * (1 + x[2])),
            SpinPotential(np.array([1e-23, 2e-23, 0]) * (1 + x[3])),
            {1: Contact(g * (1 + x[4]), 1e15 * (1 + x[5]))},
            frequency=frequency + 1e12 * x[6],
            charge_flux=1e29 * (1 + x[7]),
        )
        return arrays(solve_stack(case), 2)

    count = 15
    every = solved([Dual(0.0, e) for e in np.eye(count)])
    for k in range(count):
        alone = solved([Dual(0.0, [1.0]) if j == k else 0.0 for j in range(count)])
        for one, all_of_them, base in zip(tangents(alone), tangents(every, k), values(every), strict=True):
            size = np.abs(all_of_them).max() + np.abs(base).max()
            assert np.abs(one - all_of_them).max() <= 1e-13 * size


# ---------------------------------------------------------------- parameters and chain rule


def test_coefficients_are_those_of_the_device():
    from femspin import build_device

    for name in STACKS:
        case = completed(name)
        device, found = build_device(case), case_coefficients(case)
        for region, fields in device.fields(device.direction).items():
            for key in ("gauge", "omega", "relaxation", "theta", "drift", "moment_omega"):
                assert np.array_equal(getattr(found.fields[region], key), getattr(fields, key))


def test_derivatives_of_closed_expressions_are_exact():
    """d(nu)/d(sigma), d(D/l^2)/dl and d(drift)/dE are known; 1e-12 is far above round-off."""
    case = completed("scan_smr_yig_pt")
    pt = case_coefficients(case).fields["Pt"]
    length = case.regions["Pt"].spin_diffusion_length
    by_length = field_derivatives(case, "regions.Pt.spin_diffusion_length").fields
    expected = -2 * pt.diffusion / length**3 * np.eye(3)
    np.testing.assert_allclose(by_length["Pt"].relaxation, expected, rtol=1e-12)
    assert not by_length["F"].relaxation.any()
    by_sigma = field_derivatives(case, "regions.Pt.conductivity").fields["Pt"]
    assert by_sigma.diffusion == pytest.approx(1 / (2 * E_CHARGE**2 * pt.dos), rel=1e-12)
    by_field = field_derivatives(case, "drive.electric_field.1").fields["Pt"]
    assert by_field.drift[1, 0] == pytest.approx(-pt.conductivity / E_CHARGE, rel=1e-12)
    by_layer = field_derivatives(case, "structure.layers.Pt.thickness")
    np.testing.assert_allclose(by_layer.thickness, [0, 0, 1], atol=1e-12)


def test_the_mean_field_is_differentiated_to_round_off():
    """From s = S B_S((z + J s) / kT): ds/dT = -(x f'/T) / (1 - J f'/kT), f' the variance of S."""
    case = completed("scan_smr_yig_pt")
    state = case_coefficients(case).fields["F"].moments
    kondo_table, temperature = case.regions["F"].kondo, case.drive.temperature
    exchange = 3 * K_B * kondo_table.curie_temperature / (kondo_table.spin * (kondo_table.spin + 1))
    variance = state.spin_squared - state.spin**2
    x = state.splitting / (K_B * temperature)
    expected = -x * variance / temperature / (1 - exchange * variance / (K_B * temperature))
    found = field_derivatives(case, "drive.temperature").fields["F"].moments.spin
    assert curie_temperature(exchange, kondo_table.spin) == pytest.approx(559)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", STACKS)
def test_all_parameters_at_once_are_each_of_them_alone(name):
    """The product rule is linear in the changes: to the last bit but the order of sums."""
    case = completed(name)
    parameters = scalar_parameters(case)
    every = dual_coefficients(case, parameters)
    assert is_smooth(every).all()
    for k, p in enumerate(parameters):
        alone = field_derivatives(case, p.path)
        for region, f in every.fields.items():
            for key in ("dos", "gauge", "omega", "relaxation", "theta", "drift", "rotation", "moment_omega"):
                one, of_all = getattr(alone.fields[region], key), getattr(f, key).change[k]
                np.testing.assert_allclose(of_all, one, rtol=1e-14, atol=1e-14 * np.abs(one).max(initial=0))
        assert np.array_equal(every.thickness.change[k], alone.thickness)


@pytest.mark.parametrize("name", slow_unless(STACKS[:1], STACKS))
def test_coefficients_change_as_differences_say(name):
    """Through parsed parameters, mean field, Brillouin functions and rotations."""
    case = completed(name)
    for p in scalar_parameters(case):
        found = field_derivatives(case, p.path)
        for region, f in found.fields.items():
            keys = ("dos", "diffusion", "gauge", "omega", "relaxation", "theta", "drift", "rotation")

            def at(x, p=p, region=region, keys=keys):
                own = case_coefficients(with_parameters(case, {p.path: x})).fields[region]
                return [np.array(getattr(own, k)) for k in keys]

            compared, _ = extrapolated_derivative(at, p.value, p.scale)
            for k, b, v in zip(keys, compared, at(p.value), strict=True):
                size = np.abs(b).max() + np.abs(v).max() / p.scale
                assert np.abs(getattr(f, k) - b).max() <= 1e-12 * size, (p.path, region, k)


def test_a_field_that_sets_in_turns_moments_above_their_ordering_temperature():
    """They follow any field at once: a kink at zero, for the field alone."""
    case = completed("scan_smr_ggg_pt")
    drive = case.drive.model_copy(update={"magnetic_field": [0.0, 0.0, 0.0]})
    case = case.model_copy(update={"drive": drive})
    with pytest.raises(SolverError, match=r"drive\.magnetic_field\.0.*no smooth derivative"):
        field_derivatives(case, "drive.magnetic_field.0")
    assert np.isfinite(field_derivatives(case, "drive.temperature").fields["F"].omega).all()


def test_a_kink_is_refused_by_name():
    """At the Curie temperature without a field the order vanishes like a square root."""
    case = completed("scan_conductance_eus_pt")
    curie = case.regions["F"].kondo.curie_temperature
    drive = case.drive.model_copy(update={"temperature": curie, "magnetic_field": None})
    with pytest.raises(SolverError, match=r"drive\.temperature.*no smooth derivative"):
        field_derivatives(case.model_copy(update={"drive": drive}), "drive.temperature")


def test_parameters_are_listed_set_and_found():
    case = completed("scan_ahe_angle")
    found = {p.path: p for p in scalar_parameters(case)}
    assert found["regions.Pt.spin_hall_angle"].kind == "material"
    assert found["regions.F.soc.rashba"].unit == "m/s"
    assert found["structure.layers.2.thickness"].value == 5e-9
    assert "regions.F.kondo.spin" not in found
    assert "structure.layers.0.thickness" not in found  # an insulator
    assert "regions.F.soc.strain.1.0" not in found
    changed = with_parameters(case, {"regions.F.soc.strain.0.1": 0.5})
    assert changed.regions["F"].soc.strain[0][1] == changed.regions["F"].soc.strain[1][0] == 0.5
    assert case.regions["F"].soc.strain[0][1] == 0.02
    assert find_parameter(case, "structure.layers.Pt.thickness").path in found
    assert find_parameter(case, "regions.F.soc.strain.1.0").path == "regions.F.soc.strain.0.1"
    with pytest.raises(CaseError, match=r"did you mean 'regions\.Pt\.spin_hall_angle'"):
        find_parameter(case, "regions.Pt.spin_hal_angle")


@pytest.mark.parametrize("form", ["exact", "layer", "thin", "corrected"])
def test_reduced_layers_have_derivatives_of_their_law(form):
    case = completed("scan_smr_yig_pt")
    regions = dict(case.regions)
    regions["F"] = regions["F"].model_copy(update={"model": form})
    case = case.model_copy(update={"regions": regions})
    for path in ("regions.F.kondo.exchange_energy", "structure.layers.F.thickness"):
        p = find_parameter(case, path)
        found = field_derivatives(case, path).laws["Pt|YIG"]
        (compared,), _ = extrapolated_derivative(
            lambda x, p=p: [case_coefficients(with_parameters(case, {p.path: x})).laws["Pt|YIG"].conductance],
            p.value,
            p.scale,
        )
        assert np.abs(compared).max() > 0
        assert np.abs(found.conductance - compared).max() < 1e-12 * np.abs(compared).max()
    assert not field_derivatives(case, "regions.Pt.dos").laws["Pt|YIG"].conductance.any()


def test_extrapolation_is_exact_for_polynomials_and_honest_about_kinks():
    (found,), error = extrapolated_derivative(lambda x: [np.array([x**5, 3 * x])], 2.0, 2.0)
    np.testing.assert_allclose(found, [80, 3], rtol=1e-12)
    assert error < 1e-11
    _, error = extrapolated_derivative(lambda x: [np.array(np.sqrt(max(x - 1, 0)))], 1.0, 1.0)
    assert error > 1e-3
    _, error = extrapolated_derivative(lambda x: [np.array(np.cbrt(x - 1))], 1.0, 1.0)
    assert error > 1e-3
