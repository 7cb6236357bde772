"""Textures and transport together: torque, stepping, spin pumping, limits of slow textures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.constants import e as E
from test_textured_transport import ferromagnet, stack

from femspin import build_device, case_from_table
from femspin.device.coupled.build import exact_texture, textured_transport
from femspin.device.coupled.regions import HBAR_SOLVER
from femspin.device.coupled.steps import run_coupled
from femspin.device.coupled.torque import CoupledTorque, node_rate, staggered_rates
from femspin.device.motion import QuasiStaticTorque
from femspin.device.observables.fluxes import driving_flux
from femspin.device.steady import solve_transport
from femspin.errors import CaseError
from femspin.fields.soc import cross_matrix
from femspin.interface.split import cell_integrals, cell_parts, flux_density
from femspin.magnets.explicit import RungeKutta
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.macrospin import Macrospin, integrate
from femspin.magnets.magnet import Ferromagnet
from femspin.magnets.midpoint import Midpoint
from femspin.magnets.space import region_space
from femspin.magnets.torques import surface_rate
from femspin.magnets.vectors import cross, dot, normalized
from femspin.units import ENERGY, FLUX, HBAR, LENGTH, MU_B, RATE, TIME

PLAIN = {"elements": "plain", "order": 1, "polarisation_form": "onsager"}
MIXING = {"G_s": "-1e13 S/m^2", "G_r": "4e14 S/m^2", "G_i": "5e13 S/m^2"}


def bilayer(dimension=1, metal=None, **more):
    """Return the case of a metal on an insulating magnet with a mixing conductance."""
    table = {
        "structure": {
            "dimension": dimension,
            "layers": [
                {"region": "YIG", "thickness": "2 nm", "cells": 2},
                {"region": "Pt", "thickness": "4 nm", "cells": 24},
            ],
        },
        "regions": {
            "Pt": metal or {"kind": "HM", "material": "Pt"},
            "YIG": {"kind": "FI", "magnet": {"saturation_magnetization": "1.4e5 A/m", "damping": 0.01}},
        },
        "interfaces": {"Pt|YIG": MIXING},
        "drive": {"electric_field": ["1e5 V/m", "3e4 V/m", "0 V/m"]},
        "magnetization": {"direction": [0.3, -0.5, 0.7]},
    } | more
    if dimension > 1:
        table["structure"] |= {"width": "8 nm", "cells_x": 4, "lateral": "periodic"}
    return case_from_table(table)


def sandwich():
    """Return an F between two insulating magnets, of which one moves."""
    table = {
        "structure": {
            "layers": [
                {"region": "YIG", "thickness": "2 nm"},
                {"region": "F", "thickness": "1.5 nm"},
                {"region": "Other", "thickness": "2 nm"},
            ]
        },
        "regions": {"F": ferromagnet(), "YIG": {"kind": "FI"}, "Other": {"kind": "FI"}},
        "drive": {"electric_field": ["1e5 V/m", "0 V/m", "0 V/m"]},
        "magnetization": {"direction": [0.3, -0.5, 0.7]},
    }
    return case_from_table(table)


def shaken(m, size=0.3, seed=1):
    return normalized(m + size * np.random.default_rng(seed).normal(size=m.shape))


def at_rest(device, coupled):
    return np.tile(device.direction, (coupled.map.space.size, 1))


# ----------------------------------------------------------------------------- torque
CASES = {
    "F, line": lambda: stack(ferromagnet()),
    "F, plane, covariant": lambda: stack(ferromagnet(), 2, solver={"elements": "covariant"}),
    "F, plane, first order": lambda: stack(ferromagnet(), 2, solver=PLAIN),
    "F, solid": lambda: stack(ferromagnet(), 3, solver=PLAIN),
    "F and face": lambda: stack(ferromagnet(), 2, interfaces={"F|YIG": MIXING}),
    "F between magnets": sandwich,
    "face, line": bilayer,
    "face, plane": lambda: bilayer(2),
    "paramagnet": lambda: stack(
        ferromagnet(kondo=ferromagnet()["kondo"] | {"curie_temperature": "5 K"}), interfaces={"F|YIG": MIXING}
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_flux_of_all_nodes_is_the_driving_flux_of_a_uniform_magnet(name):
    """Total over the lateral area, to the round-off of the linear solvers."""
    device = build_device(CASES[name]())
    expected = driving_flux(device, solve_transport(device, device.direction), "YIG")
    for average in (False, True):
        coupled = textured_transport(device, "YIG", thickness_average=average)
        found = coupled.solve(at_rest(device, coupled), accuracy=1e-12)
        total = found.flux.sum(axis=0) / device.structure.lateral_area("YIG") * FLUX
        np.testing.assert_allclose(total, expected, atol=1e-12 * np.abs(expected).max())


def test_cells_and_facets_see_the_moment_above_which_they_lie():
    device = build_device(stack(ferromagnet(), 2, "insulating"))
    coupled = textured_transport(device, "YIG")
    m = shaken(at_rest(device, coupled))
    nodes, mesh = coupled.map.space, device.structure.mesh
    top = np.isclose(nodes.positions[:, 2], nodes.positions[:, 2].max())
    order = np.argsort(nodes.positions[top, 0])
    surface, x = m[top][order], nodes.positions[top, 0][order]
    if device.structure.periods:
        x, surface = np.append(x, x[0] + 8.0), np.vstack([surface, surface[:1]])
    columns = normalized(0.5 * (surface[1:] + surface[:-1]))
    cells = mesh.p[0, mesh.t[:, device.structure.cells("F")]].mean(axis=0)
    expected = columns[np.searchsorted(x, cells) - 1]
    np.testing.assert_allclose(coupled.map.cell_directions("F", m), expected, atol=1e-15)


def test_node_rates_are_those_of_a_surface_torque():
    device = build_device(bilayer(2))
    coupled = textured_transport(device, "YIG")
    space, s = coupled.map.space, 7e-7
    m = shaken(at_rest(device, coupled))
    flux = coupled.solve(m).flux
    areas = space.surface(coupled.map.facets)
    at_surface = areas > 0
    assert np.abs(flux[~at_surface]).max() == 0
    torque = np.zeros_like(flux)
    torque[at_surface] = flux[at_surface] / areas[at_surface, None] * FLUX * (-0.5 * HBAR)
    expected = surface_rate(space, areas, torque, m, s)
    found = node_rate(flux, m, space.volumes, s)
    np.testing.assert_allclose(found, expected, atol=1e-14 * np.abs(expected).max())


def test_averaged_torque_moves_a_column_as_one():
    device = build_device(bilayer(2))
    coupled = textured_transport(device, "YIG", thickness_average=True)
    space = coupled.map.space
    turned = np.cos(2 * np.pi * space.positions[:, :1] / 8.0)
    m = normalized(at_rest(device, coupled) + turned * np.array([0.5, 0.0, 0.3]))
    rate = node_rate(coupled.solve(m).flux, m, space.volumes, 7e-7)
    for x in np.unique(space.positions[:, 0].round(6)):
        column = rate[np.isclose(space.positions[:, 0], x)]
        np.testing.assert_allclose(column, column[:1].repeat(len(column), 0), rtol=1e-12)


@pytest.mark.parametrize("solver", [PLAIN, {"elements": "plain", "order": 2}])
def test_moments_of_cells_are_their_share_of_the_interface_current(solver):
    device = build_device(stack(ferromagnet(), 2, solver=solver))
    coupled = textured_transport(device, "YIG")
    found = coupled.solve(shaken(at_rest(device, coupled)))
    region, c = coupled._following["F"], found.coefficients["F"]
    expected = cell_parts(device.space, c, found.mu, "F")["moments"]
    size = np.abs(expected).max()
    np.testing.assert_allclose(region.moments(c, found.mu), expected, atol=1e-13 * size)


# --------------------------------------------------------------------------- stepping
@pytest.mark.parametrize("name", ["F, line", "F, plane, covariant", "F, solid", "face, plane"])
def test_old_factors_solve_for_a_new_texture_to_the_accuracy_asked_for(name):
    """The error left in the flux is the one reported, a few iterations away."""
    device = build_device(CASES[name]())
    coupled = textured_transport(device, "YIG")
    first = coupled.solve(at_rest(device, coupled))
    m, accuracy = shaken(first.m, 0.02), 1e-6
    warm = coupled.solve(m, accuracy=accuracy, guess=first.unknowns)
    assert coupled.work.factorisations == 1
    assert 0 < warm.iterations <= 5
    exact = textured_transport(device, "YIG").solve(m, accuracy=1e-11)
    error = np.abs(warm.flux - exact.flux).max() / np.abs(exact.flux).max()
    assert error <= accuracy
    np.testing.assert_allclose(error, warm.error, rtol=0.1, atol=1e-10)


def test_factors_are_renewed_after_a_solution_took_many_iterations():
    device = build_device(stack(ferromagnet(), 2, solver=PLAIN))
    coupled = textured_transport(device, "YIG", refresh=2)
    m = at_rest(device, coupled)
    for size in (0.0, 0.4, 0.4):
        last = coupled.solve(shaken(m, size), accuracy=1e-8)
    assert coupled.work.factorisations == 2
    assert last.iterations <= 2


def test_krylov_preconditioners_serve_as_well():
    """The solution of the iterative solver is that of the direct one."""
    found = []
    for method in ("direct", "iterative"):
        device = build_device(stack(ferromagnet(), 2, solver=PLAIN | {"method": method}))
        coupled = textured_transport(device, "YIG", refresh=40)
        m = at_rest(device, coupled)
        first = coupled.solve(m, accuracy=1e-9)
        found.append(coupled.solve(shaken(m, 0.05), accuracy=1e-9, guess=first.unknowns).flux)
    size = np.abs(found[0]).max()
    # The preconditioner is approximate, and so is the error it measures.
    np.testing.assert_allclose(found[1], found[0], atol=1e-7 * size)


@pytest.mark.parametrize(("between", "order"), [("keep", 1), ("turn", 1), ("extrapolate", 2)])
def test_the_measured_error_of_a_kept_torque_falls_with_the_tolerance(between, order):
    """Halving the angle between solutions divides it by 2, or 4 if extrapolated."""
    device = build_device(bilayer(2))
    errors = []
    for angle in (0.02, 0.01):
        coupled = textured_transport(device, "YIG")
        torque = CoupledTorque(coupled, 7e-7, 1e-3, between, accuracy=1e-6)
        for k in range(3):
            v = np.array([np.cos(k * angle), np.sin(k * angle), 0.5])
            torque(k * 1e-12, normalized(np.tile(v, (coupled.map.space.size, 1))))
            if k == 1:
                torque.largest_error = 0.0
        errors.append(torque.largest_error)
        assert len(torque.solutions) == 3
        assert torque.angle_error > 0
    np.testing.assert_allclose(np.log2(errors[0] / errors[1]), order, atol=0.1)


def test_transport_is_solved_again_only_after_the_tolerance():
    device = build_device(bilayer())
    coupled = textured_transport(device, "YIG")
    torque = CoupledTorque(coupled, 7e-7, tolerance=0.1)
    for k, angle in enumerate([0.0, 0.05, 0.09, 0.12, 0.2, 0.25]):
        v = np.tile([np.cos(angle), np.sin(angle), 0.0], (coupled.map.space.size, 1))
        torque(float(k), v)
    assert torque.solutions == [0.0, 3.0, 5.0]


def test_a_uniform_texture_moves_as_the_macrospin():
    """The same trajectory as the macrospin of the [dynamics] table, with transport each step."""
    device = build_device(bilayer())
    field, damping, saturation = np.array([0.02, 0.01, 0.2]), 0.05, 1.4e5
    magnet = Ferromagnet(saturation, 0.0, damping)
    coupled = textured_transport(device, "YIG", thickness_average=True)
    torque = CoupledTorque(coupled, magnet.spin_density, 0.02, accuracy=1e-6)
    texture = ferromagnet_texture(coupled.map.space, magnet, field).with_torques(torque.external)
    start, times = np.array([0.8, 0.0, 0.6]), np.array([0.0, 1e-11, 2e-11])

    spin = Macrospin(saturation, damping, 2e-9, field, 0.0, np.array([0, 0, 1.0]), np.zeros(3))
    exact = QuasiStaticTorque(spin, lambda m: driving_flux(device, solve_transport(device, m), "YIG"))
    path = integrate(spin, exact, start, times, 1e-9).m
    errors = []
    for tolerance in (0.02, 0.01):
        torque = CoupledTorque(coupled, magnet.spin_density, tolerance, accuracy=1e-6)
        texture = replace(texture, torques=(torque.external,))
        scheme = RungeKutta(texture, tolerance=1e-9)
        history, report = run_coupled(scheme, texture, torque, texture.start(start), times)
        errors.append(np.abs(history.values - path[:, None]).max())
        assert errors[-1] < report["angle_error"]
        assert report["solutions"] > 10
    assert errors[1] < 0.6 * errors[0]


def test_an_implicit_step_converges_while_transport_is_held():
    device = build_device(bilayer())
    magnet = Ferromagnet(1.4e5, 4e-12, 0.05)
    coupled = textured_transport(device, "YIG")
    torque = CoupledTorque(coupled, magnet.spin_density, 0.05)
    texture = ferromagnet_texture(coupled.map.space, magnet, [0.0, 0.0, 0.2]).with_torques(torque.external)
    m = texture.start([0.8, 0.0, 0.6])
    history, report = run_coupled(Midpoint(texture, 0.5), texture, torque, m, np.array([0.0, 1e-11]))
    np.testing.assert_allclose(np.linalg.norm(history.m, axis=1), 1.0, atol=1e-12)
    assert set(report["seconds"]) == {"fields", "assembly", "factor", "solve", "torque", "magnetics"}
    assert report["steps"] >= 20


def test_compensated_interfaces_drive_the_sublattices_alike():
    """M is driven by the transverse flux, n not at all to first order in m."""
    rng = np.random.default_rng(2)
    n = normalized(rng.normal(size=(5, 3)))
    flux, volumes = rng.normal(size=(5, 3)), rng.uniform(1, 2, 5)
    tau_n, tau_m = staggered_rates(flux, n, np.zeros((5, 3)), volumes, 4.8e-6)
    np.testing.assert_allclose(tau_n, 0.0, atol=1e-15 * np.abs(tau_m).max())
    np.testing.assert_allclose(tau_m, node_rate(flux, n, volumes, 4.8e-6), rtol=1e-12)


def test_antiferromagnets_take_even_couplings_only():
    """A mixing conductance drives m of an antiferromagnet; G_i is refused."""
    even = {key: value for key, value in MIXING.items() if key != "G_i"}
    device = build_device(bilayer(interfaces={"Pt|YIG": even}))
    coupled = textured_transport(device, "YIG")
    torque = CoupledTorque(coupled, 4.8e-6)
    n = at_rest(device, coupled)
    _, tau_m = torque.staggered.rates(0.0, n, np.zeros_like(n))
    np.testing.assert_allclose(tau_m, torque(0.0, n), rtol=1e-12)
    assert np.abs(tau_m).max() > 0
    odd = CoupledTorque(textured_transport(build_device(bilayer()), "YIG"), 4.8e-6)
    with pytest.raises(CaseError, match="odd"):
        odd.staggered.rates(0.0, n, np.zeros_like(n))


# ---------------------------------------------------------------------- spin pumping
def charge_current(device, found):
    """Return the integral of the charge flux J^0 over the device, shape (3,)."""
    total = np.zeros(3)
    for name, c in found.coefficients.items():
        integrals = cell_integrals(device.space, c, found.mu, name)
        density = flux_density(c, integrals)
        total += np.einsum("n,nj->j", integrals.measure, density[..., 0])
    return total


RECIPROCAL = {
    "F, line": lambda d: stack(ferromagnet(), drive=d, solver=PLAIN),
    "F, plane": lambda d: stack(ferromagnet(), 2, drive=d, solver=PLAIN),
    "F and face": lambda d: stack(
        ferromagnet(), 2, drive=d, solver=PLAIN | {"order": 2}, interfaces={"F|YIG": MIXING}
    ),
    "face": lambda d: bilayer(2, drive=d),
    "first order": lambda d: stack(ferromagnet(theta_mode="first", polarisation=None), drive=d, solver=PLAIN),
}


@pytest.mark.parametrize("name", RECIPROCAL)
def test_pumped_current_is_reciprocal_to_the_torque(name):
    """Onsager: with moments and field reversed, I(turn) / (hbar turn) = -F(E) / (s / nu D).

    The torque of a field on a random texture against the charge current that a random motion
    pumps, with spin Hall effect, Rashba coupling, Hanle effect, polarisation and noncollinear
    exchange.
    """
    field, force = np.array([0.3, -0.2, 0.5]), 1e5
    still = ["0 V/m"] * 3
    forward, backward = (
        build_device(RECIPROCAL[name]({"electric_field": e, "magnetic_field": b}))
        for e, b in (
            ([f"{force} V/m", *still[1:]], [f"{x} T" for x in field]),
            (still, [f"{-x} T" for x in field]),
        )
    )
    driven, pumping = textured_transport(forward, "YIG"), textured_transport(backward, "YIG")
    m = shaken(at_rest(forward, driven))
    velocity = np.random.default_rng(3).normal(size=m.shape)
    velocity -= m * dot(m, velocity)
    flux = driven.solve(m, accuracy=1e-12).flux
    pumped = pumping.solve(-m, velocity, accuracy=1e-12)
    drive = -2 * E * force / ENERGY * LENGTH
    expected = -HBAR_SOLVER * np.sum(flux * cross(-m, velocity)) / drive
    assert charge_current(backward, pumped)[0] == pytest.approx(expected, rel=1e-10)


NORMAL = {"kind": "HM", "diffusion_constant": "5e-4 m^2/s", "spin_diffusion_length": "1.5 nm"}


def pumped_damping(conductivity, s, d):
    """Return hbar^2/(2 s d) times -c g / (g - c): added damping, and minus the added inertia.

    The face carries J = c (mu - hbar m x dm/dt) with c = (G_s - G_r + i G_i)/e^2 where i stands
    for m x, and the metal takes J = g mu, g = nu D tanh(t/l)/l: J = -hbar c g/(g - c) m x dm/dt.
    """
    c = complex(-1e13 - 4e14, 5e13) / E**2
    g = conductivity / (2 * E**2) / 1.5e-9 * np.tanh(4e-9 / 1.5e-9)
    return HBAR**2 / (2 * s * d) * (-c * g / (g - c)), HBAR**2 / (2 * s * d) * -c


@pytest.mark.parametrize("conductivity", [5e6, 5e13])
def test_pumping_adds_the_analytic_damping(conductivity):
    """With backflow, and for a metal that conducts so well that it is an ideal sink.

    Elements of order 2 have an error of order (h/l)^4 in the current, here with h = l/9.
    """
    metal = NORMAL | {"conductivity": f"{conductivity} S/m"}
    device = build_device(bilayer(metal=metal, drive={}))
    coupled = textured_transport(device, "YIG")
    s, speed = 7e-7, 1e-3
    m = np.tile([0.0, 0.0, 1.0], (coupled.map.space.size, 1))
    flux = coupled.solve(m, np.tile([speed, 0.0, 0.0], (len(m), 1)), accuracy=1e-12).flux
    rate = flux.sum(axis=0) * FLUX * HBAR / (2 * s * 2e-9) / (speed * RATE)
    backflow, ideal = pumped_damping(conductivity, s, 2e-9)
    np.testing.assert_allclose([rate[1], -rate[0]], [backflow.real, backflow.imag], rtol=9.0**-4)
    if conductivity > 1e10:  # g/c is 4e7 here
        np.testing.assert_allclose(rate[1], ideal.real, rtol=1e-6)


def test_a_resolved_ferromagnet_pumps_what_its_exchange_with_the_moments_implies():
    """F without a metal on it: every spin it takes from the moments is lost to the lattice.

    Uniform in F: (Gamma - omega x) mu = (Gamma_m - omega_m x) hbar Omega, for any direction.
    """
    f = ferromagnet(soc=None, polarisation=None, spin_hall_angle=None, scattering_time=None)
    layers = {
        "layers": [{"region": "YIG", "thickness": "2 nm"}, {"region": "F", "thickness": "1.5 nm", "cells": 3}]
    }
    device = build_device(
        case_from_table({"structure": layers, "regions": {"F": f, "YIG": {"kind": "FI"}}, "solver": PLAIN})
    )
    coupled = textured_transport(device, "YIG")
    m = np.tile([0.6, 0.0, 0.8], (coupled.map.space.size, 1))
    velocity = np.cross(m, [0.1, 0.7, -0.3])
    found = coupled.solve(m, velocity, accuracy=1e-12)
    c = found.coefficients["F"]
    whole = c.reaction[0, 0, 1:, 1:]
    exchange = c.moment_relaxation[0, 0] - cross_matrix(c.moment_omega[0, 0])
    source = HBAR_SOLVER * coupled.fields(m)["F"].rotation.T @ np.cross(m[0], velocity[0])
    mu = np.linalg.solve(whole, exchange @ source)
    np.testing.assert_allclose(found.mu[:, 1:], np.tile(mu, (len(found.mu), 1)), rtol=1e-9)
    lost = -c.dos * (whole - exchange) @ mu * 1.5
    turn = coupled.fields(m)["F"].rotation
    np.testing.assert_allclose(-found.flux.sum(axis=0), turn @ lost, rtol=1e-8)


def test_precession_decays_at_the_rate_of_the_pumped_damping():
    """(1 + b) dm/dt = -gamma m x B + (alpha + a) m x dm/dt in time.

    A step is repeated until its mean motion is the one that pumps: the error is of second order,
    and Richardson extrapolation leaves what repeated steps (1e-4 of the motion) leave.
    """
    device = build_device(bilayer(metal=NORMAL | {"conductivity": "5e6 S/m"}, drive={}))
    magnet = Ferromagnet(1.4e5, 0.0, 0.01)
    coupled = textured_transport(device, "YIG", thickness_average=True)
    field, angle, end = 0.5, 0.6, 4e-12
    rates = []
    for step in (0.4, 0.2, 0.1):
        torque = CoupledTorque(coupled, magnet.spin_density, 5e-2, accuracy=1e-6)
        texture = ferromagnet_texture(coupled.map.space, magnet, [0, 0, field])
        texture = texture.with_torques(torque.external)
        torque.velocity = lambda t, m, texture=texture: texture.rate(m, t / TIME) * RATE
        scheme = RungeKutta(texture, step=step, fixed=True)
        start = texture.start([np.sin(angle), 0, np.cos(angle)])
        m = run_coupled(scheme, texture, torque, start, np.array([0.0, end]))[0].m.mean(axis=0)
        after = np.arctan2(np.hypot(m[0], m[1]), m[2])
        rates.append(np.log(np.tan(angle / 2) / np.tan(after / 2)) / end)
    added = pumped_damping(5e6, magnet.spin_density, 2e-9)[0]
    alpha, inertia = 0.01 + added.real, 1 + added.imag
    expected = magnet.gamma * field * alpha / (alpha**2 + inertia**2)
    errors = np.array(rates) / expected - 1
    np.testing.assert_allclose(errors[:-1] / errors[1:], 4.0, rtol=0.1)
    assert abs(4 * errors[2] - errors[1]) / 3 < abs(errors[2]) / 10


# --------------------------------------------------------------------- slow textures
SLOW = json.loads((Path(__file__).parent / "data" / "slow_texture_refs.json").read_text())


def spiral_torque(period, cells, polarisation):
    """Return the torque in the middle of a long wire along dm/dz and along m x dm/dz [m/s].

    The wire carries 1e12 A/m^2; its exchange and spin-flip lengths are those of the reference.
    """
    p = SLOW["slow_texture"]["params"]
    precession, spin = 2 * p["D0"] / p["lambda_J"] ** 2, 0.5
    f = {
        "kind": "F",
        "conductivity": "1e6 S/m",
        "diffusion_constant": f"{2 * p['D0']} m^2/s",
        "spin_diffusion_length": f"{p['lambda_sf']} m",
        "polarisation": polarisation,
        "override": {"tau_parallel": "1 s", "tau_perpendicular": "1 s"},
        "kondo": {
            "spin": spin,
            "moment_density": "1e29 1/m^3",
            "curie_temperature": "1000 K",
            "exchange_energy": f"{HBAR * precession / spin / ENERGY} meV",
        },
    }
    layers = [{"region": "F", "thickness": "600 nm", "cells": cells}]
    device = build_device(
        case_from_table(
            {
                "structure": {"layers": layers},
                "regions": {"F": f},
                "drive": {"electric_field": ["0 V/m", "0 V/m", "1e6 V/m"], "temperature": "10 K"},
                # The wire ends blindly: its current is the drift that charge does not cancel.
                "solver": {"polarisation_form": "paper"},
            }
        )
    )
    coupled = textured_transport(device, "F")
    z, q = coupled.map.space.positions[:, 2], 2 * np.pi / period
    m = np.stack([np.cos(q * z), np.sin(q * z), 0 * z], axis=1)
    along = np.stack([-np.sin(q * z), np.cos(q * z), 0 * z], axis=1)
    s = p["Ms"] * HBAR / (2 * MU_B)
    flux = coupled.solve(m, accuracy=1e-9).flux
    rate = node_rate(flux, m, coupled.map.space.volumes, s)
    middle = np.argmin(np.abs(z - z.mean()))
    return np.array([rate[middle] @ along[middle], rate[middle, 2]]) * LENGTH / q


def exact_spiral(period, polarisation):
    """Return what `spiral_torque` tends to on fine meshes.

    N = A e + B z in the frame that turns with m, e along dm/dz: diffusion adds D q^2 to the
    relaxation of e, (G + D q^2) A + w B = P j q, G B = w A: P is that of the moments.
    """
    p = SLOW["slow_texture"]["params"]
    s, j, q = p["Ms"] * HBAR / (2 * MU_B), -p["J"] / E, 2 * np.pi / period / LENGTH
    w, G = 2 * p["D0"] / p["lambda_J"] ** 2, 2 * p["D0"] / p["lambda_sf"] ** 2
    A = polarisation * j * G / ((G + 2 * p["D0"] * q**2) * G + w**2)
    return np.array([-w * (w / G) * A, w * A]) * HBAR / (2 * s)


def test_the_torque_of_a_spiral_is_exact_at_any_period():
    """The adiabatic part of second order in the cells, whose moment is the mean of their nodes."""
    exact = exact_spiral(150.0, 0.9)
    errors = [np.abs(spiral_torque(150.0, n, 0.9) / exact - 1) for n in (300, 600)]
    np.testing.assert_allclose(np.log2(errors[0][0] / errors[1][0]), 2.0, atol=0.1)
    assert errors[1].max() < 1e-3


def test_the_torque_of_a_slow_texture_is_zhang_lis():
    """-(u . grad) m + xi m x (u . grad) m with u = b_J and xi of the reference, as q -> 0.

    Richardson extrapolation in the cell size and then in q, both of second order.
    """
    expected, P = SLOW["slow_texture"]["values"], 0.9

    def on_fine_cells(period):
        coarse, fine = (spiral_torque(period, n, P) for n in (600, 1200))
        return (4 * fine - coarse) / 3

    fast, slow = on_fine_cells(200.0), on_fine_cells(400.0)
    adiabatic, other = (4 * slow - fast) / 3
    # u is along the flow of the electrons, against the current.
    assert adiabatic == pytest.approx(P * expected["b_J"], rel=1e-5)
    assert -other / adiabatic == pytest.approx(expected["xi"], rel=1e-5)


# ------------------------------------------------------------------------- bad input
def test_nodes_of_another_region_are_refused():
    device = build_device(stack(ferromagnet()))
    with pytest.raises(CaseError, match="region_space"):
        textured_transport(device, "YIG", region_space(device.structure, "F"))


def test_replaced_layers_are_refused():
    device = build_device(stack(ferromagnet(model="exact")))
    with pytest.raises(CaseError, match=r"regions\.F\.model"):
        textured_transport(device, "YIG")


def test_a_state_refuses_a_law_that_varies_over_its_face():
    device = build_device(bilayer())
    coupled = textured_transport(device, "YIG")
    with pytest.raises(CaseError, match="varies"):
        exact_texture(device, coupled, at_rest(device, coupled))


def test_pumping_on_elements_that_carry_spin_is_refused():
    device = build_device(stack(ferromagnet(), 2, solver={"elements": "covariant"}))
    coupled = textured_transport(device, "YIG")
    m = at_rest(device, coupled)
    with pytest.raises(CaseError, match="plain"):
        coupled.solve(m, np.cross(m, [0, 0, 1.0]))


def test_a_magnet_that_touches_no_conductor_is_refused():
    table = {
        "structure": {
            "layers": [
                {"region": "YIG", "thickness": "2 nm"},
                {"region": "Gap", "thickness": "2 nm"},
                {"region": "Pt", "thickness": "2 nm"},
            ]
        },
        "regions": {"YIG": {"kind": "FI"}, "Gap": {"kind": "FI"}, "Pt": {"kind": "HM", "material": "Pt"}},
    }
    with pytest.raises(CaseError, match="touches"):
        textured_transport(build_device(case_from_table(table)), "YIG")


@pytest.mark.parametrize("wrong", [{"between": "guess"}, {"tolerance": 0.0}])
def test_wrong_choices_of_stepping_are_refused(wrong):
    with pytest.raises(CaseError, match="dynamics"):
        CoupledTorque(textured_transport(build_device(bilayer()), "YIG"), 1e-6, **wrong)
