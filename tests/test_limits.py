"""Closed forms against reference numbers, and the exact multilayer solver against both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from femspin.device.observables.averages import spin_swapping, stack_averages
from femspin.fields.hall import isotropic_spin_hall, response, response_polarised
from femspin.fields.kernels import loss_kernel
from femspin.fields.region import RegionFields
from femspin.fields.soc import curvature_spin_hall, gauge_field, velocity_matrix
from femspin.studies import limits
from femspin.studies.magnetoresistance import charge_tensors, fit_amplitudes
from femspin.transport.assembly.boundary import mixing_conductance
from femspin.transport.layers.slab import local_laws, slab_operators
from femspin.transport.layers.stack import (
    Conductance,
    SpinFlux,
    SpinPotential,
    StackCase,
    StackLayer,
    admittance,
    solve_stack,
)
from femspin.units import E_CHARGE, HBAR, M_E, MU_B

REFS = json.loads((Path(__file__).parent / "data/analytic_refs.json").read_text())
PRINTED = 1e-9  # the reference numbers have ten digits
CONSTANTS = 1e-8  # masses and moments of CODATA 2018 and 2022 differ by up to 1.4e-9
EXACT = 1e-9
X, Y, Z = np.eye(3)
DIRECTIONS = np.array([X, -Y, Z, -Z, [0.6, 0.8, 0.0], [2 / 3, -1 / 3, 2 / 3]])
FILMS = [
    (key, float(d.removeprefix("d=").removesuffix("nm")) * 1e-9, tuple(v.values()))
    for key, rows in REFS["R01"]["values"].items()
    for d, v in rows.items()
]


def metal(sigma, length, theta=None, diffusion=5e-5, **changes) -> RegionFields:
    """A metal of conductivity `sigma` whose spins decay over `length`."""
    return RegionFields(
        name="metal",
        dos=sigma / (2 * E_CHARGE**2 * diffusion),
        diffusion=diffusion,
        relaxation=diffusion / length**2 * np.eye(3),
        theta=np.eye(12) if theta is None else theta,
        **changes,
    )


def spin_hall_metal(table, mode="first", scale=1.0, **changes) -> RegionFields:
    theta = response(spin_hall=isotropic_spin_hall(scale * table["theta"]), mode=mode)
    return metal(1 / table["rho"], table["lam"], theta, **changes)


def driven(fields, thickness, conductance=None):
    """Return the charge response of one layer on a face with a conductance."""
    face = Conductance(np.zeros((3, 3)) if conductance is None else conductance)
    averages = [
        stack_averages(
            solve_stack(StackCase([StackLayer(fields.with_drift(1e5 * e, 0 * e), thickness)], face))
        )
        for e in (X, Y)
    ]
    return charge_tensors(*averages)


def amplitudes(table, thickness, G_s=0.0, mode="first", scale=1.0, order="leading"):
    fields = spin_hall_metal(table, mode, scale)
    faces = [mixing_conductance(G_s, table["Gr"], table["Gi"], m) for m in DIRECTIONS]
    found = [driven(fields, thickness, face) for face in faces]
    return fit_amplitudes(DIRECTIONS, found, order)


# --------------------------------------------------------------- magnetoresistance of films


@pytest.mark.parametrize(("name", "thickness", "expected"), FILMS)
def test_spin_hall_magnetoresistance_is_chens(name, thickness, expected):
    """Mixing conductance faces and the first-order response give Chen's three amplitudes."""
    table = REFS["R01"]["params"][name]
    formula = limits.spin_hall_magnetoresistance(
        table["rho"], table["lam"], thickness, table["theta"], 0.0, table["Gr"], table["Gi"]
    )
    assert_allclose(formula, expected, rtol=PRINTED)
    found = amplitudes(table, thickness)
    assert_allclose((found.d0, found.d1), formula[:2], rtol=EXACT)
    assert_allclose(found.d2, formula[2], rtol=EXACT, atol=EXACT * abs(found.d1))
    assert found.residual < 1e-12 * abs(found.d1)


def test_spin_sink_conductance_lowers_the_magnetoresistance():
    table = REFS["R02"]["params"]
    args = (table["rho"], table["lam"], table["d"], table["theta"], -table["Gs_abs"])
    formula = limits.spin_hall_magnetoresistance(*args, table["Gr"], table["Gi"])
    assert_allclose(formula, tuple(REFS["R02"]["values"].values()), rtol=PRINTED)
    found = amplitudes(table, table["d"], -table["Gs_abs"])
    assert_allclose((found.d0, found.d1, found.d2), formula, rtol=EXACT)
    closed = limits.spin_hall_magnetoresistance(*args[:4], 0.0, table["Gr"], table["Gi"])
    assert formula[1] < closed[1]


def test_magnetoresistance_without_spin_hall_effect_vanishes():
    table = REFS["R02"]["params"] | {"theta": 0.0}
    found = amplitudes(table, table["d"], -table["Gs_abs"])
    assert (found.d0, found.d1, found.d2) == (0.0, 0.0, 0.0)
    assert limits.spin_hall_magnetoresistance(1e-7, 1e-9, 5e-9, 0.0, -1e12, 1e14) == (0, 0, 0)


def test_exact_magnetoresistance_leaves_chens_in_fourth_order():
    """Exact response and exact inversion: the relative deviation is quadratic in the angle."""
    table = REFS["R01"]["params"]["A_textbook"]
    formula = np.array(REFS["R01"]["values"]["A_textbook"]["d=3nm"]["drho1"])
    errors = []
    for scale in (1.0, 0.5, 0.25):
        found = amplitudes(table, 3e-9, mode="exact", scale=scale, order="exact")
        errors.append(abs(found.d1 / (scale**2 * formula) - 1))
    assert errors[0] < 0.02
    assert_allclose(np.log2(np.array(errors[:2]) / errors[1:]), 2.0, rtol=0, atol=0.01)


def hanle(table, b, direction, mode="first", scale=1.0):
    omega = table["g"] * MU_B * b / HBAR * np.asarray(direction)
    fields = spin_hall_metal(table, mode, scale, omega=omega, diffusion=table["D"])
    return driven(fields, table["d"])


@pytest.mark.parametrize("b", [1, 3, 6, 9, 15])
def test_hanle_magnetoresistance_has_its_closed_form(b):
    table, expected = REFS["R03"]["params"], REFS["R03"]["values"][f"B={b}T"]
    args = (table["lam"], table["d"], table["theta"], table["D"])
    along, across = limits.hanle_magnetoresistance(*args, b)
    assert_allclose(along, expected["dRho_perp_minus_par_over_rho"], rtol=CONSTANTS)
    assert_allclose(-across, expected["dRho_T_over_rho_Bz"], rtol=CONSTANTS)  # its sign is free
    at = {name: hanle(table, b, u).change("leading") for name, u in zip("xyz", (X, Y, Z), strict=True)}
    # The change of rho_L is a difference of numbers of size d0.
    size = abs(at["y"][0, 0])
    for name in "xz":
        assert_allclose(at[name][0, 0] - at["y"][0, 0], along, rtol=0, atol=1e-13 * size)
    assert_allclose(at["y"][0, 0], hanle(table, 0.0, Y).change("leading")[0, 0], rtol=1e-13)
    assert_allclose(at["z"][1, 0], across, rtol=EXACT)
    assert_allclose(at["z"][0, 1], -across, rtol=EXACT)


def test_exact_hanle_magnetoresistance_leaves_the_closed_form_in_fourth_order():
    table = REFS["R03"]["params"]
    args = (table["lam"], table["d"], table["theta"], table["D"])
    across = limits.hanle_magnetoresistance(*args, 9.0)[1]
    errors = []
    for scale in (1.0, 0.5, 0.25):
        found = hanle(table, 9.0, Z, "exact", scale).change()[1, 0]
        errors.append(abs(found / (scale**2 * across) - 1))
    assert_allclose(np.log2(np.array(errors[:2]) / errors[1:]), 2.0, rtol=0, atol=0.02)


# --------------------------------------------------------------- interfaces and spin valves


@pytest.mark.parametrize(("name", "expected"), REFS["R05"]["values"].items())
def test_spin_memory_loss_of_an_interface_layer(name, expected):
    table = REFS["R05"]["params"]
    thickness = float(name.removeprefix("t=").removesuffix("nm")) * 1e-9
    length, delta = table["lsf"], table["delta"]
    behind = limits.spin_resistance(table["rho_N"], length, thickness)
    share = limits.spin_memory_loss(delta, table["rb_Ohm_m2"], behind)
    assert_allclose(share, expected["R_SML"], rtol=PRINTED)
    lossy = StackLayer(metal(1e-9 / table["rb_Ohm_m2"], 1e-9 / delta), 1e-9)
    film = StackLayer(metal(1 / table["rho_N"], length), thickness)
    solution = solve_stack(StackCase([lossy, film], SpinFlux((0, 1e30, 0))))
    assert_allclose(solution.interface_flux(1)[2] / 1e30, share, rtol=EXACT)
    carried = solution.integrals(1)[1][2] / (1e30 * length)
    assert_allclose(carried, expected["ISHE_factor"], rtol=EXACT)
    assert_allclose(carried, share * np.tanh(thickness / length / 2), rtol=EXACT)


def test_layer_loss_is_that_before_a_perfect_sink():
    lossy = StackLayer(metal(1e6, 2e-9), 1.4e-9)
    solution = solve_stack(StackCase([lossy], SpinFlux((1e30, 0, 0)), SpinPotential((0, 0, 0))))
    lost = 1 - solution.interface_flux(1)[1] / 1e30
    assert_allclose(lost, limits.layer_loss(0.7), rtol=EXACT)
    assert_allclose(limits.spin_memory_loss(0.7, 1e-15, 0.0), 1 - lost, rtol=EXACT)


def ferromagnet(table, sign=1) -> StackLayer:
    """A thick F of the two-channel model: l^2 = D (1 - beta^2) tau, rho* = rho / (1 - beta^2)."""
    beta, length, diffusion = table["beta"], table["lF"], 1e-3
    sigma = 1 / (table["rhoF_star"] * (1 - beta**2))
    bare = metal(sigma, length / np.sqrt(1 - beta**2), diffusion=diffusion)
    theta = response_polarised((0, 0, sign * beta))
    return StackLayer(
        RegionFields("F", bare.dos, diffusion, relaxation=bare.relaxation, theta=theta), 40 * length
    )


def resistive_interface(table, sign=1) -> StackLayer:
    """An interface r_ud = 2 r_b (1 -+ gamma): a layer without relaxation, of any thickness."""
    gamma, thickness, diffusion = table["gamma"], 1e-10, 1e-3
    sigma = thickness / (table["rb_star"] * (1 - gamma**2))
    dos = sigma / (2 * E_CHARGE**2 * diffusion)
    return StackLayer(
        RegionFields("I", dos, diffusion, theta=response_polarised((0, 0, sign * gamma))), thickness
    )


def resistance(layers) -> tuple[float, np.ndarray]:
    """Return resistance times area and spin polarisation of the current at every interface."""
    ends = SpinPotential((0, 0, 0)), SpinPotential((0, 0, 0))
    solution = solve_stack(StackCase(layers, *ends, charge_flux=1e30))
    drop = solution.interface_potential(0)[0] - solution.interface_potential(len(layers))[0]
    flux = np.array([solution.interface_flux(k) for k in range(len(layers) + 1)])
    return drop / (2 * E_CHARGE**2 * 1e30), flux[:, 3] / 1e30


def test_two_channel_interface_is_valet_and_ferts():
    """Onsager form of the polarisation, charge current along z, interface as a layer."""
    table, expected = REFS["R06"]["params"], REFS["R06"]["values"]
    r_f, r_n = table["rhoF_star"] * table["lF"], table["rhoN"] * table["lN"]
    args = (table["beta"], r_f, r_n, table["gamma"], table["rb_star"])
    polarisation = limits.interface_polarisation(*args)
    extra = limits.interface_spin_resistance(*args)
    assert_allclose(polarisation, expected["P_J"], rtol=PRINTED)
    assert_allclose(extra, expected["r_SI"], rtol=PRINTED)
    layers = [
        ferromagnet(table),
        resistive_interface(table),
        StackLayer(metal(1 / table["rhoN"], table["lN"]), 40 * table["lN"]),
    ]
    total, share = resistance(layers)
    assert_allclose(share[1:3], polarisation, rtol=EXACT)
    ohmic = sum(layer.thickness / layer.fields.conductivity for layer in layers)
    assert_allclose(total - ohmic, extra, rtol=EXACT)
    bare = table["rb_star"] * (1 - table["gamma"] ** 2)
    assert_allclose(total - ohmic + bare, expected["drop_total_single_interface_Ohm_m2"], rtol=1e-9)


def test_two_channel_spin_valve_is_valet_and_ferts():
    table, expected = REFS["R06"]["params"], REFS["R06"]["values"]
    r_f, r_n = table["rhoF_star"] * table["lF"], table["rhoN"] * table["lN"]
    args = (table["beta"], r_f, r_n, 5e-8 / table["lN"], table["gamma"], table["rb_star"])
    change = limits.spin_valve_resistance(*args)
    assert_allclose(change, expected["dRA_AP_minus_P_tN50nm"], rtol=PRINTED)
    middle = [StackLayer(metal(1 / table["rhoN"], table["lN"]), 5e-8)]
    parallel, antiparallel = (
        resistance(
            [
                ferromagnet(table),
                resistive_interface(table),
                *middle,
                resistive_interface(table, sign),
                ferromagnet(table, sign),
            ]
        )[0]
        for sign in (1, -1)
    )
    assert_allclose(antiparallel - parallel, change, rtol=EXACT)


@pytest.mark.parametrize(("name", "expected"), REFS["R07"]["values"].items())
def test_nonlocal_hanle_curve_of_a_spin_valve(name, expected):
    """Spins along x injected at the end of a long wire precess about B along the wire."""
    table, b = REFS["R07"]["params"], float(name.removeprefix("B=").removesuffix("T"))
    args = (table["L"], table["lam"], table["D"], b, table["g"])
    assert_allclose(limits.hanle_spin_valve(*args), expected, rtol=0, atol=CONSTANTS)
    omega = table["g"] * MU_B * b / HBAR * Z
    wire = metal(1e7, table["lam"], diffusion=table["D"], omega=omega)
    flux = 1e25
    solution = solve_stack(StackCase([StackLayer(wire, 40 * table["lam"])], SpinFlux(flux * X)))
    unit = flux * table["lam"] / (wire.dos * wire.diffusion)
    signal = solution.potential(table["L"])[1] / unit
    assert_allclose(signal, limits.hanle_spin_valve(*args), rtol=0, atol=EXACT)


@pytest.mark.parametrize(("name", "expected"), REFS["R13"]["values"].items())
def test_thin_layer_takes_tanh_of_the_flux_into_a_thick_one(name, expected):
    """Insulated behind: neither 1 (thick) nor ell_F/ell (thin) but tanh between them."""
    ratio = float(name.split("=")[1])
    fields = metal(2e6, 3e-9)
    layer = StackLayer(fields, ratio * 3e-9)
    thick = -(E_CHARGE**2) * fields.dos * fields.diffusion / 3e-9
    reduction = limits.thin_layer_reduction(ratio)
    assert_allclose(reduction, expected["exact_noflux_tanh"], rtol=PRINTED)
    assert_allclose(np.diag(admittance([layer])[0]) / thick, reduction, rtol=EXACT)
    held = solve_stack(StackCase([layer], top=SpinPotential((1e-22, 0, 0))))
    mean = held.integrals(0)[0][1] / (1e-22 * 3e-9)
    assert_allclose(mean, expected["Nbar_noflux"], rtol=PRINTED)


# --------------------------------------------------------------- spin-orbit coupling


def electron_gas(beta=1.0):
    """Return gauge field, velocity, mass and D of the reference gas; beta in units of alpha."""
    table = REFS["R09"]["params"]
    alpha, mass = table["alpha_vel"], table["mstar_over_me"] * M_E
    return gauge_field(velocity_matrix(alpha, beta * alpha), mass), alpha, mass, table["D"]


@pytest.mark.parametrize(("name", "beta"), [("Rashba_only", 0.0), ("R+D", 0.5), ("PSH_alpha=beta", 1.0)])
def test_dyakonov_perel_rates_are_the_eigenvalues_of_the_loss_kernel(name, beta):
    gauge, alpha, mass, diffusion = electron_gas(beta)
    rates = sorted(limits.dyakonov_perel_rates(alpha, beta * alpha, mass, diffusion))
    assert_allclose(rates, REFS["R09"]["values"][name]["rates_s"], rtol=CONSTANTS)
    scale = rates[-1]
    found = diffusion * np.linalg.eigvalsh(loss_kernel(gauge, np.eye(12)))
    assert_allclose(found, rates, rtol=0, atol=1e-14 * scale)
    still = limits.covariant_rates(gauge, np.zeros(3), diffusion)
    assert_allclose(still, rates, rtol=0, atol=1e-14 * scale)


def test_persistent_helix_lives_for_ever_at_its_wave_number():
    expected = REFS["R09"]["values"]
    gauge, alpha, mass, diffusion = electron_gas()
    q = limits.helix_wave_number(alpha, mass)
    assert_allclose(q, expected["PSH_Q"], rtol=CONSTANTS)
    assert_allclose(2 * np.pi / q, expected["PSH_pitch_m"], rtol=CONSTANTS)
    at = {
        along: limits.covariant_rates(gauge, q * np.array([1, along, 0]) / np.sqrt(2), diffusion)
        for along in (1, -1)
    }
    scale = diffusion * q**2
    assert at[1].min() == pytest.approx(0, abs=1e-14 * scale)
    assert at[-1].min() > 0.1 * scale  # only along one diagonal


def test_slowest_rashba_wave_decays_at_seven_sixteenths():
    expected = REFS["R09"]["values"]
    gauge, alpha, mass, diffusion = electron_gas(0.0)
    q0 = 2 * mass * alpha / HBAR
    assert_allclose(q0, expected["Rashba_q0"], rtol=CONSTANTS)
    wave = np.sqrt(15 / 16) * q0
    slowest = limits.covariant_rates(gauge, wave * X, diffusion)[0]
    assert_allclose(slowest / (diffusion * q0**2), 7 / 16, rtol=1e-13)
    assert_allclose(slowest, expected["Rashba_min_rate"], rtol=CONSTANTS)
    for other in (0.99 * wave, 1.01 * wave):
        assert limits.covariant_rates(gauge, other * X, diffusion)[0] > slowest


def test_rashba_gas_has_an_oscillating_evanescent_mode():
    """The gas varies along x; the stack calls the direction of variation z."""
    gauge, alpha, mass, diffusion = electron_gas(0.0)
    kappa = limits.rashba_decay(alpha, mass)
    expected = complex(*REFS["R09"]["values"]["Rashba_evanescent_kappa"])
    assert_allclose(kappa, expected, rtol=CONSTANTS)
    turned = RegionFields("gas", 1e46, diffusion, gauge=gauge[[2, 1, 0]])
    laws = slab_operators(local_laws(turned), np.array(1e-5))
    modes = np.linalg.eigvals(laws.generator[:6, :6]) / laws.length
    for mode in (kappa, kappa.conjugate(), -kappa):
        assert np.abs(modes - mode).min() < EXACT * abs(kappa)


@pytest.mark.parametrize(("name", "expected"), REFS["R10"]["values"].items())
def test_pure_gauge_turns_plain_diffusion_into_a_helix(name, expected):
    table, z = REFS["R10"]["params"], float(name.removeprefix("x=").removesuffix("nm")) * 1e-9
    length, thickness, k = table["lam"], table["L"], table["phi_per_m"]
    formula = limits.pure_gauge_helix(z, length, thickness, k)
    assert_allclose(formula, expected, rtol=0, atol=PRINTED)
    gauge = np.zeros((3, 3))
    gauge[2, 1] = k
    layer = StackLayer(metal(1e6, length, gauge=gauge), thickness)
    solution = solve_stack(StackCase([layer], SpinPotential(1e-22 * Z)))
    assert_allclose(solution.potential(z)[1:] / 1e-22, formula, rtol=0, atol=EXACT)


def test_edelstein_density_of_a_rashba_gas():
    """The density per area is independent of D and of the thickness of the layer."""
    table = REFS["R14"]["params"]
    alpha, mass, tau = table["alpha_velocity"], table["mstar_over_me"] * M_E, table["tau"]
    per_area = mass / (2 * np.pi * HBAR**2)
    expected = limits.edelstein_density(alpha, tau, per_area, table["E"])
    assert_allclose(-expected / 2, REFS["R14"]["values"]["S_over_hbar_per_m2"], rtol=CONSTANTS)
    gauge = gauge_field(velocity_matrix(alpha), mass)
    theta = response(spin_hall=curvature_spin_hall(gauge, tau, mass))
    for thickness, diffusion in ((1e-9, 1e-3), (7e-9, 5e-2)):
        gas = RegionFields("gas", per_area / thickness, diffusion, gauge=gauge, theta=theta)
        layer = StackLayer(gas.with_drift(table["E"] * X, 0 * X), thickness)
        found = stack_averages(solve_stack(StackCase([layer])))[0].areal_density
        assert_allclose(found, [0, expected, 0], rtol=0, atol=EXACT * abs(expected))


# --------------------------------------------------------------- response tensor


def test_response_inverts_the_coupled_flux_equations():
    table, expected = REFS["R11"]["params"], REFS["R11"]["values"]
    theta = response(table["theta_C0"], table["theta_L"], np.transpose(table["theta_Ca"]))
    order = np.arange(12).reshape(3, 4).T.ravel()  # the reference counts charge x, y, z first
    listed = theta[np.ix_(order, order)]
    assert_allclose(listed @ np.arange(0.1, 1.25, 0.1), expected["J"], rtol=0, atol=PRINTED)
    assert_allclose(listed[0], expected["Theta_row0"], rtol=0, atol=PRINTED)
    assert_allclose(listed[11], expected["Theta_row11"], rtol=0, atol=PRINTED)


@pytest.mark.parametrize("kind", ["tL_only_z", "tC0_only_z"])
def test_response_to_one_angle_is_the_textbook_rotation(kind):
    angle, along, across = REFS["R11"]["values"]["longitudinal_check"][kind].values()
    spins = response(larmor=angle * Z).reshape(3, 4, 3, 4)[0, :, 0]
    charge = response(hall=angle * Z).reshape(3, 4, 3, 4)[:, 0, :, 0]
    block = spins[1:3, 1:3] if kind == "tL_only_z" else charge[:2, :2]
    assert_allclose(np.abs(block), [[along, across], [across, along]], rtol=1e-14)
    assert block[0, 1] == -block[1, 0]


def test_spin_hall_deflection_alone_swaps_without_a_trace():
    for angle in (0.05, 0.4):
        fields = metal(1e6, 1e-9, response(spin_hall=isotropic_spin_hall(angle)))
        found = spin_swapping(fields)
        swap = limits.spin_hall_swapping(angle)
        assert_allclose((found.swap, found.identity), (swap, 1 - swap), rtol=1e-12)
        assert abs(found.trace) < 1e-15
        assert found.remainder < 1e-15


def test_swapped_currents_follow_lifshits_and_dyakonov():
    table = REFS["R15"]["params"]
    found = limits.swap_currents(table["q0"], table["kappa"])
    assert_allclose(found, REFS["R15"]["values"]["q"], rtol=1e-14)


@pytest.mark.parametrize("direction", [X, Z, [0.48, 0.6, 0.64]])
def test_anomalous_hall_conductivity_is_minus_polarisation_times_spin_hall_angle(direction):
    """Exact in the first-order response when only theta_C^{zz} deflects."""
    spin_hall = np.zeros((3, 3))
    spin_hall[2, 2] = 0.03
    polarisation = 0.4 * np.asarray(direction)
    fields = metal(1e6, 2e-9, response(spin_hall=spin_hall, mode="first"))
    averages = [
        stack_averages(solve_stack(StackCase([StackLayer(fields.with_drift(1e5 * e, polarisation), 3e-9)])))
        for e in (X, Y)
    ]
    excess = charge_tensors(*averages).excess
    angle = limits.anomalous_hall_angle(polarisation, spin_hall)
    assert_allclose(excess, [[0, -angle], [angle, 0]], rtol=0, atol=1e-14)
