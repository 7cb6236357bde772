"""The exact multilayer solver against reference numbers, limits, identities and symmetries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import expm

from femspin.errors import SolverError
from femspin.fields.hall import isotropic_spin_hall, response
from femspin.fields.kondo import relaxation_tensor
from femspin.fields.region import RegionFields
from femspin.fields.soc import cross_matrix
from femspin.transport.layers.stack import (
    Conductance,
    Contact,
    Insulating,
    SpinFlux,
    SpinPotential,
    StackCase,
    StackLayer,
    admittance,
    admittance_parts,
    solve_stack,
)
from femspin.units import E_CHARGE

# Reference numbers: matrix exponentials over many slabs and a sparse solve, good to about
# twelve digits; 1e-9 of the largest entry leaves room for cancellation between entries.
REFERENCE = 1e-9
CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parent / "data/transport_cases.json").read_text())["cases"]
    if "z" in case["outputs"]
}
WITH_SPLIT = [name for name, case in CASES.items() if "decomposition" in case["outputs"]]
NM, MEV = 1e-9, 1e-3 * E_CHARGE


def reference_layer(table: dict) -> StackLayer:
    fields = RegionFields(
        name=table["name"],
        dos=table["nu"],
        diffusion=table["D"],
        gauge=np.array(table["a"]),
        omega=np.array(table["omega"]),
        relaxation=np.array(table["rate"]),
        theta=np.array(table["Theta"]),
    )
    return StackLayer(fields.with_drift(np.array(table["E"]), np.array(table["P"])), table["L"])


def reference_case(name: str) -> StackCase:
    table = CASES[name]["inputs"]

    def face(condition: dict):
        if condition["type"] == "mu":
            return SpinPotential(condition["value"])
        if condition["type"] == "robin":
            return Conductance(condition["G"], condition.get("JE", (0, 0, 0)))
        return Insulating()

    return StackCase(
        [reference_layer(layer) for layer in table["layers"]],
        face(table["bottom"]),
        face(table["top"]),
        frequency=table["W"],
        z_zero=table["n_below"],
    )


def random_layer(rng: np.random.Generator, thickness: float | None = None) -> StackLayer:
    """A layer with everything on: SOC, tilted m, all Hall angles, E and P."""
    direction = rng.normal(size=3)
    fields = RegionFields(
        name="random",
        dos=10 ** rng.uniform(46, 47.5),
        diffusion=10 ** rng.uniform(-4.3, -2.7),
        gauge=rng.normal(size=(3, 3)) * 10 ** rng.uniform(7, 9),
        omega=rng.normal(size=3) * 10 ** rng.uniform(11, 14.5),
        relaxation=relaxation_tensor(*10 ** rng.uniform(12, 14.5, 2), direction / np.linalg.norm(direction)),
        theta=response(0.3 * rng.normal(size=3), 0.3 * rng.normal(size=3), 0.2 * rng.normal(size=(3, 3))),
    ).with_drift(1e5 * rng.normal(size=3), rng.uniform(-0.5, 0.5, 3))
    return StackLayer(fields, thickness or 10 ** rng.uniform(-10, -7.5))


def plain(ell: float = 2 * NM, diffusion: float = 5e-4, **changes) -> RegionFields:
    """A metal without spin-orbit field whose spins decay over `ell`."""
    rate = diffusion / ell**2
    base = RegionFields("metal", 5e46, diffusion, relaxation=rate * np.eye(3))
    return replace(base, **changes)


def close(actual, expected, tolerance: float, scale: float | None = None) -> None:
    """Compare relative to the largest expected entry, or to `scale`."""
    size = float(np.abs(expected).max()) if scale is None else scale
    assert_allclose(actual, expected, rtol=0, atol=tolerance * size)


def largest(parts) -> float:
    return max(float(np.abs(part).max()) for part in parts.values())


# ------------------------------------------------------------------------- reference numbers


@pytest.mark.parametrize("name", CASES)
def test_profiles_match_the_reference(name):
    case, expected = reference_case(name), CASES[name]["outputs"]
    solution = solve_stack(case)
    z = expected["z"]
    close(solution.potential(z), np.array(expected["mu_J"]), REFERENCE)
    # Two cases carry no flux at all, so the flux is measured against nu D mu / thickness.
    layer = case.layers[0]
    natural = layer.fields.dos * layer.fields.diffusion / layer.thickness
    scale = natural * np.abs(expected["mu_J"]).max()
    close(solution.flux(z), np.array(expected["Jz"]), REFERENCE, scale)
    if np.abs(expected["Jz"]).max() > 1e-6 * scale:
        close(solution.flux(z), np.array(expected["Jz"]), REFERENCE)


@pytest.mark.parametrize("name", WITH_SPLIT)
def test_split_matches_the_reference(name):
    expected = CASES[name]["outputs"]["decomposition"]
    solution = solve_stack(reference_case(name))
    split = solution.split(0)
    scale = largest(expected)
    for part in ("M_relax", "M_prec", "M", "L_diag", "L_anti", "L", "S", "A", "E", "T", "B"):
        close(getattr(split, part), np.array(expected[part]), REFERENCE, scale)
    close(split.total, np.array(expected["Jz_top"]), REFERENCE, scale)
    close(solution.interface_flux(1)[1:], np.array(expected["Jz_top"]), REFERENCE, scale)


@pytest.mark.parametrize("name", WITH_SPLIT)
def test_admittance_and_its_parts_match_the_reference(name):
    case, expected = reference_case(name), CASES[name]["outputs"]
    layer = case.layers[0]
    G, drift = admittance([layer], case.bottom)
    close(G, np.array(expected["G_exact"]), REFERENCE)
    close(drift, np.array(expected["JE_exact"]), REFERENCE)
    G_parts, drift_parts = admittance_parts(layer, case.bottom)
    scale, drift_scale = largest(expected["G_parts"]), largest(expected["JE_parts"])
    for part in expected["G_parts"]:
        close(getattr(G_parts, part), np.array(expected["G_parts"][part]), REFERENCE, scale)
        close(getattr(drift_parts, part), np.array(expected["JE_parts"][part]), REFERENCE, drift_scale)
    close(G_parts.total, G, 1e-12, scale)
    close(drift_parts.total, drift, 1e-12, drift_scale)


@pytest.mark.parametrize("name", ["C15", "C15b", "C15c"])
def test_magnetoresistance_matches_the_reference(name):
    """Longitudinal and transverse current of a spin Hall metal on a magnetic insulator."""
    case, table = reference_case(name), CASES[name]
    layer, field = case.layers[0], table["inputs"]["layers"][0]["E"][0]
    current = -E_CHARGE * solve_stack(case).in_plane_current(0)[:, 0]
    close(
        current / (layer.thickness * layer.fields.conductivity * field),
        np.array(table["outputs"]["j_over_sigmaE_xy"]),
        REFERENCE,
    )


# ----------------------------------------------------------------------------- consistency


def test_two_half_layers_equal_one_layer():
    rng = np.random.default_rng(1)
    for frequency in (0.0, 3e12):
        layer = random_layer(rng, 6 * NM)
        top = SpinPotential(MEV * rng.normal(size=3))
        half = replace(layer, thickness=3 * NM)
        whole = solve_stack(StackCase([layer], top=top, frequency=frequency))
        halves = solve_stack(StackCase([half, half], top=top, frequency=frequency))
        z = np.linspace(0, 6 * NM, 13)
        close(halves.potential(z), whole.potential(z), 1e-12)
        close(halves.flux(z), whole.flux(z), 1e-12)
        close(halves.integral.sum(axis=0)[:4], whole.integral[0, :4], 1e-12)
        close(halves.integral.sum(axis=0)[4:], whole.integral[0, 4:], 1e-12)
        total = halves.in_plane_current(0) + halves.in_plane_current(1)
        close(total, whole.in_plane_current(0), 1e-12)


def test_integrals_agree_with_quadrature_of_the_profiles():
    """Gauss points converge spectrally: 40 of them resolve 6 nm to round-off."""
    rng = np.random.default_rng(2)
    points, weights = np.polynomial.legendre.leggauss(40)
    for _ in range(5):
        layer = random_layer(rng, 6 * NM)
        case = StackCase([layer], Insulating(), SpinPotential(MEV * rng.normal(size=3)))
        solution = solve_stack(case)
        z, w = 3 * NM * (points + 1), 3 * NM * weights
        mu, flux = solution.integrals(0)
        close(w @ solution.potential(z), mu, 1e-11)
        close(w @ solution.flux(z), flux, 1e-11)


def test_profiles_end_at_the_interface_values():
    rng = np.random.default_rng(3)
    layers = [random_layer(rng, 5 * NM) for _ in range(3)]
    case = StackCase(layers, SpinFlux((1e28, 0, 0)), Insulating(), {2: Contact(1e14)}, z_zero=1)
    solution = solve_stack(case)
    z = case.interfaces
    assert z[1] == 0.0
    for side in (1, -1):
        expected = [solution.interface_potential(k, side) for k in range(4)]
        close(solution.potential(z, side), np.array(expected), 1e-13)
    close(solution.flux(z), np.array([solution.interface_flux(k) for k in range(4)]), 1e-12)
    assert solution.potential(z[0]).shape == (4,)
    assert solution.potential(z.reshape(2, 2)).shape == (2, 2, 4)
    assert solution.potential(z[-1])[0] == 0.0
    close(solution.interface_flux(0), np.array([0, 1e28, 0, 0]), 1e-14)
    assert abs(solution.interface_flux(3)).max() < 1e-12 * 1e28


@pytest.mark.parametrize("frequency", [0.0, 2e12])
def test_parts_add_up_to_the_flux_through_both_faces(frequency):
    """Sum rule to 1e-12 of the largest part, up to hundreds of decay lengths."""
    rng = np.random.default_rng(4)
    for _ in range(60):
        layers = [random_layer(rng, 10 ** rng.uniform(-10, -6.7)) for _ in range(3)]
        top = SpinPotential(MEV * rng.normal(size=3))
        solution = solve_stack(StackCase(layers, top=top, frequency=frequency))
        for k in range(3):
            up, down = solution.split(k), solution.split(k, "bottom")
            scale = max(largest(up.parts()), largest(down.parts()))
            close(up.total, solution.interface_flux(k + 1)[1:], 1e-12, scale)
            close(down.total, -solution.interface_flux(k)[1:], 1e-12, scale)


# ---------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("ratio", [1e-4, 0.3, 5.0, 500.0])
def test_single_layer_follows_valet_fert(ratio):
    """G = -e^2 nu D / l tanh(L/l), and mu = cosh; 500 decay lengths neither overflow nor blur."""
    fields = plain(ell=2 * NM)
    layer = StackLayer(fields, ratio * 2 * NM)
    G, drift = admittance([layer])
    exact = -(E_CHARGE**2) * fields.dos * fields.diffusion / (2 * NM) * np.tanh(ratio)
    assert_allclose(G, exact * np.eye(3), rtol=1e-12, atol=0)
    assert not np.any(drift)
    solution = solve_stack(StackCase([layer], top=SpinPotential((0, 0, MEV))))
    depth = np.linspace(0, 1, 21)
    mu = solution.potential(layer.thickness * (1 - depth))[:, 3]
    # round-off per sub-slab accumulates over the layer
    exact = MEV * np.cosh(ratio * (1 - depth)) / np.cosh(ratio)
    assert_allclose(mu, exact, rtol=1e-11)


def test_thick_layer_keeps_its_surface_admittance():
    """Beyond 40 decay lengths more thickness changes nothing, with everything on."""
    rng = np.random.default_rng(5)
    for _ in range(5):
        layer = random_layer(rng)
        deep = np.sqrt(layer.fields.diffusion / np.linalg.eigvalsh(layer.fields.relaxation)[0])
        # E_z piles up mu^0 but no spin, so J_E saturates too
        G, drift = zip(
            *(admittance([replace(layer, thickness=n * deep)]) for n in (40, 100, 500)), strict=True
        )
        for n in (1, 2):
            close(G[n], G[0], 1e-11)
            close(drift[n], drift[0], 1e-11)


def test_thin_lossy_layer_keeps_its_relative_accuracy():
    """L/l = 1e-6: mu = J / (nu rate L) although nu D / L is 1e12 times larger."""
    fields = plain(ell=1e-3)
    case = StackCase([StackLayer(fields, NM)], SpinFlux((0, 0, 1e20)))
    mu = solve_stack(case).potential([0.0, NM])[:, 3]
    exact = 1e20 / (fields.dos * fields.relaxation[0, 0] * NM)
    assert_allclose(mu, exact, rtol=1e-11)


def test_alternating_response_is_a_complex_decay():
    """G(W) = -e^2 nu D kappa tanh(kappa L), kappa^2 = (rate + iW) / D."""
    fields = plain()
    for frequency in (1e9, 1e12, 1e14):
        rate = fields.relaxation[0, 0]
        kappa = np.sqrt((rate + 1j * frequency) / fields.diffusion)
        exact = -(E_CHARGE**2) * fields.dos * fields.diffusion * kappa * np.tanh(kappa * 3 * NM)
        G, _ = admittance([StackLayer(fields, 3 * NM)], frequency=frequency)
        assert_allclose(np.diag(G), exact, rtol=1e-13)


def test_precession_is_a_complex_decay_too():
    """Hanle: the circular component sees kappa^2 = (rate - i omega) / D."""
    fields = plain(omega=np.array([0, 0, 4e14]))
    kappa = np.sqrt((fields.relaxation[0, 0] - 4e14j) / fields.diffusion)
    exact = -(E_CHARGE**2) * fields.dos * fields.diffusion * kappa * np.tanh(kappa * 3 * NM)
    G, _ = admittance([StackLayer(fields, 3 * NM)])
    assert_allclose(G[0, 0] + 1j * G[1, 0], exact, rtol=1e-13)


def test_repeats_follow_from_the_admittance_of_what_lies_below():
    rng = np.random.default_rng(6)
    pair = [random_layer(rng, 2 * NM), random_layer(rng, 3 * NM)]
    below = admittance(pair)
    for repeats in range(2, 9):
        below = admittance(pair, Conductance(*below))
        stack = admittance(pair * repeats)
        close(stack[0], below[0], 1e-12)
        close(stack[1], below[1], 1e-12)
    solution = solve_stack(StackCase(pair * 100, top=SpinPotential((MEV, 0, 0))))
    exact = below[0][:, 0] * MEV / E_CHARGE**2 + below[1]
    close(solution.interface_flux(200)[1:], exact, 1e-9)  # eight pairs are nearly enough


@pytest.mark.parametrize("frequency", [0.0, 2e12])
def test_conductance_faces_stand_for_what_lies_beyond_them(frequency):
    """A layer replaced by its admittance below, or by its mirror image's above."""
    rng = np.random.default_rng(7)
    low, middle = random_layer(rng, 2 * NM), random_layer(rng, 3 * NM)
    top, z = SpinFlux((0, 1e28, 0)), np.linspace(0, 3 * NM, 5)
    full = solve_stack(StackCase([low, middle], top=top, frequency=frequency, z_zero=1))
    below = Conductance(*admittance([low], frequency=frequency))
    cut = solve_stack(StackCase([middle], below, top, frequency=frequency))
    close(cut.potential(z), full.potential(z), 1e-12)
    close(cut.flux(z), full.flux(z), 1e-12)

    metal = StackLayer(plain(), 4 * NM)  # its own mirror image
    full = solve_stack(StackCase([low, metal], frequency=frequency))
    above = Conductance(*admittance([metal], frequency=frequency))
    cut = solve_stack(StackCase([low], top=above, frequency=frequency))
    close(cut.lower[0, 1:4], full.lower[0, 1:4], 1e-12)
    close(cut.integral[0, 1:4], full.integral[0, 1:4], 1e-12)


def test_contact_is_a_series_resistance():
    """G_below and g in series; g -> infinity is an ideal contact, g -> 0 lets g mu/e^2 pass."""
    rng = np.random.default_rng(8)
    low, high = random_layer(rng, 2 * NM), StackLayer(plain(), 4 * NM)
    top = SpinPotential((MEV, 2 * MEV, 0))
    tensor = np.array([[3.0, 1.0, 0.0], [-1.0, 2.0, 0.5], [0.0, 0.5, 4.0]]) * 1e14
    for spin in (1e15, tensor):
        solution = solve_stack(StackCase([low, high], top=top, contacts={1: Contact(spin)}))
        jump = solution.interface_potential(1, -1) - solution.interface_potential(1, 1)
        matrix = spin * np.eye(3) if np.ndim(spin) == 0 else spin
        flux = solution.interface_flux(1)[1:]
        close(matrix @ jump[1:] / E_CHARGE**2, flux, 1e-12)
        G, drift = admittance([low])
        series = np.linalg.inv(np.eye(3) - G @ np.linalg.inv(matrix))
        cut = solve_stack(StackCase([high], Conductance(series @ G, series @ drift), top))
        close(cut.interface_flux(0)[1:], flux, 1e-12)

    ideal = solve_stack(StackCase([low, high], top=top)).interface_flux(1)
    for spin in (1e30, np.inf):
        case = StackCase([low, high], top=top, contacts={1: Contact(spin)})
        close(solve_stack(case).interface_flux(1), ideal, 1e-12)
    quiet = StackLayer(replace(low.fields, drift=np.zeros((3, 4))), low.thickness)
    case = StackCase([quiet, high], top=top, contacts={1: Contact(1.0)})
    mu = solve_stack(case).interface_potential(1)[1:]
    close(solve_stack(case).interface_flux(1)[1:], -mu / E_CHARGE**2, 1e-9)


def test_charge_flux_meets_every_resistance():
    """mu^0 drops by J0 (L / nu D + e^2 / g)."""
    lower, upper = plain(diffusion=2e-4), plain()
    layers = [StackLayer(lower, 3 * NM), StackLayer(upper, 2 * NM)]
    contacts = {1: Contact(1e15, charge=2e14)}
    solution = solve_stack(StackCase(layers, contacts=contacts, charge_flux=1e28))
    drops = [3 * NM / (lower.dos * 2e-4), E_CHARGE**2 / 2e14, 2 * NM / (upper.dos * 5e-4)]
    assert_allclose(solution.interface_potential(0)[0], 1e28 * sum(drops), rtol=1e-14)
    assert_allclose(solution.interface_potential(1, -1)[0], 1e28 * sum(drops[1:]), rtol=1e-14)
    assert_allclose(solution.potential(2 * NM)[0] / 1e28, drops[2] + drops[1] + drops[0] / 3)
    mean = 1e28 * (drops[2] + drops[1] + drops[0] / 2)
    assert_allclose(solution.integrals(0)[0][0], 3 * NM * mean, rtol=1e-13)
    assert_allclose(solution.flux([0, 1e-9, 4e-9])[:, 0], 1e28, rtol=0)


# ------------------------------------------------------------------------------ symmetries


def with_charge(turn: np.ndarray) -> np.ndarray:
    """The 4 x 4 matrix that turns the spin and leaves the charge."""
    full = np.eye(4)
    full[1:, 1:] = turn
    return full


def rotated(layer: StackLayer, turn: np.ndarray) -> StackLayer:
    """The same layer seen in a spin frame turned by `turn`."""
    f, full = layer.fields, np.kron(np.eye(3), with_charge(turn))
    drift = np.concatenate([f.drift[:, :1], f.drift[:, 1:] @ turn.T], axis=1)
    return replace(
        layer,
        fields=replace(
            f,
            gauge=f.gauge @ turn.T,
            omega=turn @ f.omega,
            relaxation=turn @ f.relaxation @ turn.T,
            theta=full @ f.theta @ full.T,
            drift=drift,
        ),
    )


def test_turning_the_spin_frame_turns_the_result():
    rng = np.random.default_rng(9)
    for frequency in (0.0, 5e12):
        layers = [random_layer(rng, 3 * NM) for _ in range(3)]
        turn, G = expm(cross_matrix(rng.normal(size=3))), -1e15 * np.eye(3)
        G[0, 1], mu = 3e14, MEV * rng.normal(size=3)
        one = solve_stack(StackCase(layers, Conductance(G), SpinPotential(mu), frequency=frequency))
        two = solve_stack(
            StackCase(
                [rotated(layer, turn) for layer in layers],
                Conductance(turn @ G @ turn.T),
                SpinPotential(turn @ mu),
                frequency=frequency,
            )
        )
        z = np.linspace(0, 9 * NM, 10)
        full = with_charge(turn)
        close(two.potential(z), one.potential(z) @ full.T, 1e-11)
        close(two.flux(z), one.flux(z) @ full.T, 1e-11)
        close(two.split(1).M, turn @ one.split(1).M, 1e-11)


def test_admittance_is_reciprocal_without_precession_and_hall_angles():
    """Onsager: G = G^T when omega = 0 and Theta = 1."""
    rng = np.random.default_rng(10)
    for _ in range(20):
        layers = [
            replace(layer, fields=replace(layer.fields, omega=np.zeros(3), theta=np.eye(12)))
            for layer in (random_layer(rng) for _ in range(2))
        ]
        G, _ = admittance(layers)
        close(G, G.T, 1e-12)


def test_admittance_only_dissipates():
    """-sym(G) >= 0, whatever the fields and angles."""
    rng = np.random.default_rng(11)
    for _ in range(200):
        G, _ = admittance([random_layer(rng)])
        assert np.linalg.eigvalsh(-(G + G.T)).min() >= -1e-13 * np.abs(G).max()


def test_a_gauge_field_along_z_alone_is_only_a_twist():
    """mu(z) = exp(-z a_z x) mu_0(z): at z = 0 nothing happens, though the parts change."""
    rng = np.random.default_rng(12)
    a_z = 4e8 * rng.normal(size=3)
    free = StackLayer(plain(diffusion=2e-4), 3 * NM)
    twisted = replace(free, fields=replace(free.fields, gauge=np.outer([0, 0, 1], a_z)))
    hall = plain(theta=response(spin_hall=isotropic_spin_hall(0.1)))
    metal = StackLayer(hall.with_drift(np.array([1e5, 3e4, 0]), np.zeros(3)), 5 * NM)
    one = solve_stack(StackCase([free, metal], z_zero=1))
    two = solve_stack(StackCase([twisted, metal], z_zero=1))
    close(two.interface_flux(1), one.interface_flux(1), 1e-12)
    close(two.interface_potential(1), one.interface_potential(1), 1e-12)
    for z in (-3 * NM, -1.2 * NM):
        twist = expm(-z * cross_matrix(a_z))
        close(two.potential(z)[1:], twist @ one.potential(z)[1:], 1e-12)
        close(two.flux(z)[1:], twist @ one.flux(z)[1:], 1e-12, np.abs(one.upper[0, 4:]).max())
    assert largest({"A": two.split(0).A}) > 0.1 * largest({"J": one.interface_flux(1)})
    assert not np.any(one.split(0).A)


# ------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StackLayer(plain(), -NM), r"layer 'metal': thickness must be > 0 and finite"),
        (lambda: StackLayer(plain(), np.nan), "thickness must be > 0 and finite, got nan"),
        (lambda: StackLayer(plain(dos=0.0), NM), "density of states must be > 0"),
        (lambda: StackLayer(plain(gauge=np.zeros(3)), NM), r"gauge must have shape \(3, 3\)"),
        (lambda: StackLayer(plain(omega=np.full(3, np.inf)), NM), "omega must be finite"),
        (lambda: StackCase([]), "at least one layer"),
        (lambda: StackCase([StackLayer(plain(), NM)], z_zero=2), "z_zero must be 0 to 1, got 2"),
        (lambda: StackCase([StackLayer(plain(), NM)], contacts={1: Contact(1e14)}), "contact at interface 1"),
        (lambda: StackCase([StackLayer(plain(), NM)], frequency=np.nan), "frequency must be"),
        (lambda: SpinPotential((1.0, 2.0)), r"spin potential must have shape \(3,\)"),
        (lambda: Conductance(np.eye(2)), "face conductance G must have shape"),
        (lambda: Contact(0.0), "contact spin conductance must be > 0"),
        (lambda: Contact(-np.eye(3)), "symmetric part must be positive"),
    ],
)
def test_bad_input_says_what_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_points_outside_the_stack_are_refused():
    solution = solve_stack(StackCase([StackLayer(plain(), NM)]))
    with pytest.raises(ValueError, match="z must lie within"):
        solution.potential(1.1 * NM)
    with pytest.raises(ValueError, match="face must be top or bottom"):
        solution.split(0, "side")
    with pytest.raises(ValueError, match="interface must be 0 to 1, got -1"):
        solution.interface_flux(-1)


def test_spins_that_can_neither_relax_nor_leave_are_refused():
    lossless = StackLayer(plain(relaxation=np.zeros((3, 3))), NM)
    with pytest.raises(SolverError, match="spin potential is not determined"):
        solve_stack(StackCase([lossless, lossless], SpinFlux((1e28, 0, 0))))
