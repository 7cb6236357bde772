"""The macrospin and its torque: analytic motion, conserved norm, signs, quasi-static coupling."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.constants import e as E

from femspin import build_device, case_from_table, load_case, simulate
from femspin.device.motion import QuasiStaticTorque
from femspin.device.observables.drive import efficiency
from femspin.device.observables.fluxes import driving_flux
from femspin.device.steady import solve_transport
from femspin.errors import CaseError, SolverError
from femspin.fields.build import region_fields, turns
from femspin.magnets.macrospin import Macrospin, integrate, relax
from femspin.results.solution import Solution
from femspin.units import HBAR, MU_0, MU_B

CASES = Path(__file__).parents[1] / "cases"

NONE = np.zeros(3)


def magnet(**changes) -> Macrospin:
    base = Macrospin(
        saturation=8e5,
        damping=0.02,
        thickness=2e-9,
        field=np.zeros(3),
        anisotropy=0.0,
        axis=np.array([0.0, 0.0, 1.0]),
        demagnetization=np.zeros(3),
    )
    return replace(base, **changes)


def no_torque(m):
    return NONE


def test_damped_precession_follows_the_closed_form():
    """tan(theta/2) decays as exp(-alpha w t), phi advances with w = gamma B / (1 + alpha^2)."""
    gamma, field, alpha, time = 1.7595e11, 0.11, 0.2, 5e-10
    spin = magnet(damping=alpha, field=np.array([0, 0, field]), g_factor=gamma * HBAR / MU_B)
    end = integrate(spin, no_torque, np.array([1.0, 0, 0]), np.array([0, time]), 1e-11).m[-1]
    rate = gamma * field / (1 + alpha**2)
    half, phi = np.exp(-alpha * rate * time), rate * time
    sine, cosine = 2 * half / (1 + half**2), (1 - half**2) / (1 + half**2)
    exact = [sine * np.cos(phi), sine * np.sin(phi), cosine]
    np.testing.assert_allclose(end, exact, atol=1e-9)
    # The same motion from an independent program, printed to ten digits.
    np.testing.assert_allclose(end, [-0.3015122891, 0.0362735272, 0.9527720455], atol=2e-9)


def test_energy_never_rises_without_drive_and_the_norm_is_one():
    spin = magnet(
        damping=0.05,
        field=np.array([0.02, 0.01, -0.1]),
        anisotropy=2e4,
        demagnetization=np.array([0.05, 0.15, 0.8]),
    )
    path = integrate(spin, no_torque, np.array([0.3, 0.2, 0.9]), np.linspace(0, 2e-9, 501), 1e-9)
    assert np.abs(np.linalg.norm(path.m, axis=1) - 1).max() < 1e-12
    assert np.diff(path.energy).max() < 1e-9 * np.ptp(path.energy)


def test_resonance_frequency_of_a_film_in_plane_is_kittels():
    """Small motion about B along x of a thin film: w = gamma sqrt(B (B + mu0 Ms))."""
    field = 0.2
    spin = magnet(damping=0.0, field=np.array([field, 0, 0]), demagnetization=np.array([0.0, 0, 1]))
    omega = spin.gamma * np.sqrt(field * (field + MU_0 * spin.saturation))
    start = np.array([1.0, 1e-4, 0.0])
    period = 2 * np.pi / omega
    path = integrate(spin, no_torque, start, np.array([0, period / 4, period]), 1e-12)
    np.testing.assert_allclose(path.m[2], path.m[0], atol=1e-8)
    np.testing.assert_allclose(path.m[1][1], 0.0, atol=1e-8)


def test_damping_like_torque_tilts_a_perpendicular_magnet_by_the_static_formula():
    """sin(2 theta) = 2 B_DL / B_K in the plane normal to p, below the threshold B_K / 2."""
    spin = magnet(anisotropy=1e5)
    p, b_k = np.array([0.0, 1.0, 0.0]), 2 * 1e5 / 8e5
    b_dl = 0.3 * b_k

    def torque(m):
        return -spin.gamma * b_dl * np.cross(m, np.cross(m, p))

    rest = relax(spin, torque, np.array([0.01, 0.0, 1.0]), 1e-9).m[-1]
    assert abs(rest[1]) < 1e-6
    np.testing.assert_allclose(abs(2 * rest[0] * rest[2]), 2 * b_dl / b_k, rtol=1e-6)


def test_torque_beyond_the_threshold_has_no_perpendicular_equilibrium_for_easy_plane():
    """A torque about the hard axis sustains rotation: relaxation says so instead of ending."""
    spin = magnet(damping=1.0, anisotropy=-1e5)
    p = np.array([0.0, 0.0, 1.0])

    def torque(m):
        return -spin.gamma * 0.05 * np.cross(m, p) + spin.gamma * 0.05 * np.cross(m, np.cross(m, p))

    with pytest.raises(SolverError, match="sustain an oscillation"):
        relax(spin, torque, np.array([1.0, 0.1, 0.2]), 1e-9, limit=300)


def stack(direction, **kondo):
    return {
        "structure": {
            "layers": [
                {"region": "FI", "thickness": "2 nm"},
                {"region": "F", "thickness": "1 nm"},
                {"region": "HM", "thickness": "5 nm"},
            ]
        },
        "regions": {
            "FI": {
                "kind": "FI",
                "magnet": {
                    "saturation_magnetization": "8e5 A/m",
                    "damping": 0.02,
                    "demagnetization": "thin_film",
                },
            },
            "F": {
                "kind": "F",
                "dos": "5e46 1/(J*m^3)",
                "diffusion_constant": "2e-4 m^2/s",
                "override": {"tau_parallel": "1 ps", "tau_perpendicular": "0.1 ps", "omega": ["0 1/ps"] * 3},
            },
            "HM": {
                "kind": "HM",
                "dos": "5e46 1/(J*m^3)",
                "diffusion_constant": "8e-4 m^2/s",
                "spin_diffusion_length": "1.5 nm",
                "spin_hall_angle": 0.1,
            },
        },
        "drive": {"electric_field": ["1e6 V/m", "0 V/m", "0 V/m"], "magnetic_field": ["0 T", "0 T", "1.2 T"]},
        "magnetization": {"direction": direction},
    }


def solved_for(direction):
    device = build_device(case_from_table(stack(direction)))
    solved = solve_transport(device, device.direction)
    flux = driving_flux(device, solved, "FI")
    return device, solved, flux


def test_absorbed_spin_drives_the_magnet_against_the_accumulated_spin():
    """Spin accumulates along -y below the metal; the electron moment is opposite to its spin."""
    device, solved, flux = solved_for([0, 0, 1])
    at_interface = solved.state.mu[device.space.interface_dofs(device.structure.interfaces["HM|F"])]
    assert at_interface[0, 2] < 0
    torque = magnet().interface_torque(device.direction, flux)
    assert torque[1] > 0
    # Only the Hanle precession in 1.2 T, of angle gamma B tau_sf = 6e-4, tilts it.
    assert abs(torque[0]) < 6e-4 * abs(torque[1])


def test_interface_torque_is_transverse_and_has_the_stated_prefactor():
    spin, flux = magnet(), np.array([1e26, -2e26, 3e26])
    m = np.array([0.6, 0.0, 0.8])
    torque = spin.interface_torque(m, flux)
    assert abs(torque @ m) < 1e-12 * np.linalg.norm(torque)
    expected = spin.gamma * HBAR / (2 * 8e5 * 2e-9) * (flux - m * (m @ flux))
    np.testing.assert_allclose(torque, expected, rtol=1e-14)


def test_efficiencies_resolve_the_torque_completely():
    """Flux: e J_perp = j_c [xi_DL m x (sigma x m) + xi_FL m x sigma] for sigma = j x n, n = -z."""
    m = np.array([0.48, 0.6, 0.64])
    current = np.array([3e11, 4e11, 1e9])
    flux = np.array([1e26, -2e26, 3e26])
    xi = efficiency(flux, m, current, [0, 0, -1], E)
    sigma = np.array([-0.8, 0.6, 0.0])
    built = 5e11 * (xi.damping_like * np.cross(m, np.cross(sigma, m)) + xi.field_like * np.cross(m, sigma))
    np.testing.assert_allclose(built, E * (flux - m * (m @ flux)), rtol=1e-12)
    assert efficiency(flux, sigma, current, [0, 0, -1], E).damping_like is None


def test_lattice_relaxation_and_external_field_exert_no_torque():
    """Only what the moments take drives the magnet, though M counts all relaxation."""
    table = stack([0, 0, 1])
    region = table["regions"]["F"]
    del region["override"]
    region["spin_diffusion_length"] = "1 nm"
    device = build_device(case_from_table(table))
    solved = solve_transport(device, device.direction)
    flux = driving_flux(device, solved, "FI")
    assert np.abs(solved.interfaces["HM|F"].parts["M"]).max() > 0
    assert not flux.any()


def test_robin_face_feeds_the_magnet_like_a_resolved_layer():
    """HM|FI with a conductance: what enters the metal is the driving flux itself."""
    table = stack([0, 0, 1])
    table["structure"]["layers"].pop(1)
    del table["regions"]["F"]
    table["interfaces"] = {"HM|FI": {"G_r": "1e14 S/m^2", "G_i": "1e13 S/m^2"}}
    device = build_device(case_from_table(table))
    solved = solve_transport(device, device.direction)
    flux = driving_flux(device, solved, "FI")
    mu = solved.state.mu[device.space.interface_dofs(device.structure.interfaces["HM|FI"])][0]
    mu_si = mu[1:] * 1e-3 * E
    expected = (
        1e14 * np.cross([0, 0, 1], np.cross([0, 0, 1], mu_si)) + 1e13 * np.cross([0, 0, 1], mu_si)
    ) / E**2
    np.testing.assert_allclose(flux, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.fixture(scope="module")
def moving():
    """Return a short run with transport solved at every step, and one with a tolerance."""
    result = {}
    for tolerance in (0.0, 0.1):
        table = stack([1, 0, 0.5])
        table["dynamics"] = {
            "duration": "20 ps",
            "output_interval": "10 ps",
            "transport_tolerance": tolerance,
            "frames": 2,
        }
        result[tolerance] = simulate(case_from_table(table))
    return result


def test_transport_tolerance_saves_solutions_and_bounds_the_error(moving):
    """The flux turns with m between solutions: the error is tolerance x torque x time at most."""
    exact, fast = moving[0.0], moving[0.1]
    assert fast.solutions < exact.solutions
    torque = np.linalg.norm(exact.trajectory.torque, axis=1).max() * 20e-12
    assert np.abs(fast.trajectory.m - exact.trajectory.m).max() < 0.1 * torque


def test_motion_is_written_as_history_and_series(moving, tmp_path):
    folder = moving[0.1].write(tmp_path / "out")
    history = np.genfromtxt(folder / "history.csv", delimiter=",", skip_header=1)
    assert history.shape == (3, 8)
    np.testing.assert_allclose(np.linalg.norm(history[:, 1:4], axis=1), 1, atol=1e-12)
    assert (folder / "fields.pvd").read_text().count("DataSet") == 2
    table = json.loads((folder / "result.json").read_text())
    np.testing.assert_allclose(table["dynamics"]["final"]["value"], history[-1, 1:4])


def test_torque_between_solutions_turns_with_the_magnetization():
    spin = magnet()
    calls = []

    def flux(m):
        calls.append(m)
        return np.cross(m, [0.0, 1.0, 0.0]) * 1e26

    torque = QuasiStaticTorque(spin, flux, tolerance=0.2)
    assert torque.renew(np.array([1.0, 0, 0]), 1e10) == 0.2 / 1e10
    m = np.array([np.cos(0.1), np.sin(0.1), 0])
    turned = torque(m)
    assert len(calls) == 1
    assert abs(turned @ m) < 1e-12 * np.linalg.norm(turned)


@pytest.mark.parametrize("missing", ["saturation_magnetization", "damping"])
def test_magnet_without_a_parameter_is_refused(missing):
    table = stack([0, 0, 1])
    del table["regions"]["FI"]["magnet"][missing]
    table["dynamics"] = {"duration": "1 ps"}
    with pytest.raises(CaseError, match=f"regions.FI.magnet.{missing}"):
        simulate(case_from_table(table))


def torque_on(table, magnet="FI"):
    device = build_device(case_from_table(table))
    return driving_flux(device, solve_transport(device, device.direction), magnet)


def robin_table():
    table = stack([0.3, 0.2, 1.0])
    table["structure"]["layers"].pop(1)
    del table["regions"]["F"]
    table["interfaces"] = {"HM|FI": {"G_r": "1e14 S/m^2", "G_i": "1e13 S/m^2"}}
    return table


def test_relaxation_given_as_a_raw_tensor_in_a_metal_is_no_torque():
    """The same rate as a length or as override.relaxation: the same torque on the magnet."""
    plain, raw = robin_table(), robin_table()
    rate = 8e-4 / 1.5e-9**2
    metal = raw["regions"]["HM"]
    del metal["spin_diffusion_length"]
    metal["override"] = {"relaxation": [[f"{rate * (i == j)!r} 1/s" for j in range(3)] for i in range(3)]}
    np.testing.assert_allclose(torque_on(raw), torque_on(plain), rtol=1e-10)


def test_inert_metal_on_the_other_side_leaves_the_torque_alone():
    """The torque is per volume of the magnet, not per area of all its interfaces."""
    plain, covered = robin_table(), robin_table()
    covered["structure"]["layers"].insert(0, {"region": "Cu", "thickness": "3 nm"})
    covered["regions"]["Cu"] = dict(covered["regions"]["HM"], spin_hall_angle=0.0)
    np.testing.assert_allclose(torque_on(covered), torque_on(plain), rtol=1e-10)


@pytest.mark.parametrize("method", ["auto", "stack"])
def test_conductance_below_the_layer_adds_to_the_torque_of_resolved_and_replaced_layers(method):
    """B of F|FI reaches the magnet through a resolved F and through one replaced by a face."""
    found = []
    for model in ("resolved", "exact"):
        table = stack([0.3, 0.2, 1.0])
        table["regions"]["F"]["model"] = model
        table["interfaces"] = {"F|FI": {"G_s": "-1e13 S/m^2", "G_i": "1e13 S/m^2"}}
        table["solver"] = {"method": method}
        found.append(torque_on(table))
    np.testing.assert_allclose(found[1], found[0], atol=1e-6 * np.abs(found[0]).max())


@pytest.mark.parametrize(
    "size", [{"dimension": 2, "width": "20 nm"}, {"dimension": 3, "width": "20 nm", "depth": "30 nm"}]
)
def test_torque_per_area_is_the_same_in_every_dimension(size):
    values = []
    for structure in ({}, size):
        table = stack([0.3, 0.2, 1.0])
        # F without a metal above it: its own torque per area, not per interface.
        table["structure"]["layers"].pop()
        del table["regions"]["HM"]
        table["regions"]["F"] |= {"spin_hall_angle": 0.1, "spin_diffusion_length": "1 nm"}
        table["interfaces"] = {"F|FI": {"G_s": "-1e14 S/m^2"}}  # else N is odd in z
        table["structure"] |= structure
        device = build_device(case_from_table(table))
        values.append(Solution(device, solve_transport(device, device.direction)).values)
    for key in ("torques.F.torque.y", "torques.FI.torque.y"):
        assert abs(values[0][key]) > 0
        np.testing.assert_allclose(values[1][key], values[0][key], rtol=1e-9)


def test_relaxation_leaves_the_top_of_the_energy():
    spin = magnet(field=np.array([0.0, 0.0, 0.1]))
    for start in ([0.0, 0.0, -1.0], [1e-9, 0.0, -1.0]):
        rest = relax(spin, no_torque, np.array(start), 1e-7)
        np.testing.assert_allclose(rest.m[-1], [0, 0, 1], atol=1e-6)


def test_paramagnet_hands_no_torque_to_a_magnet_it_does_not_follow():
    table = stack([1.0, 0.0, 0.0])
    del table["regions"]["F"]["override"]
    table["regions"]["F"] |= {
        "kondo": {"spin": 2.5, "moment_density": "1e28 1/m^3", "exchange_energy": "5 meV"}
    }
    assert not torque_on(table).any()
    table["regions"]["F"]["kondo"]["curie_temperature"] = "600 K"
    assert torque_on(table).any()


STACKS = ["eus_pt", "ggg_pt", "fgt_pt", "biox_cu"]
WAY = np.array([[1, 0, 0.2], [0.9, 0.3, 0.2], [0.9, 0.3, 0.2], [0.1, 0.2, 0.8], [1, 0, 0.2]])


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize(
    "change", [[], ["regions.{}.polarisation=0.3"], ["regions.{}.polarisation=[0, 0.3, 0]"]]
)
def test_regions_that_do_not_turn_are_those_whose_coefficients_are_the_same_for_all_directions(name, change):
    file = CASES / f"{name}.toml"
    metal = next(n for n, r in load_case(file).regions.items() if r.kind == "HM")
    device = build_device(load_case(file, [text.format(metal) for text in change]))
    for parameters in device.parameters.values():
        ways = [region_fields(parameters, device.conditions, m) for m in WAY / np.linalg.norm(WAY[0])]
        names = ("gauge", "omega", "relaxation", "theta", "drift", "moment_relaxation", "moment_omega")
        assert set(names) < {f.name for f in fields(ways[0])}
        same = all(np.array_equal(getattr(w, k), getattr(ways[0], k)) for w in ways for k in names)
        assert turns(parameters, device.conditions) != same, parameters.name


@pytest.mark.parametrize("name", STACKS)
def test_a_solution_does_not_know_the_way_of_the_magnetization_to_it(name):
    """What is kept of earlier directions is not part of the solution, to round-off."""
    case, latest = load_case(CASES / f"{name}.toml"), None
    device = build_device(case)
    for m in WAY / np.linalg.norm(WAY, axis=1, keepdims=True):
        latest = solve_transport(device, m, latest)
        alone = solve_transport(build_device(case), m)
        for face, i in alone.interfaces.items():
            found = latest.interfaces[face]
            size = max(np.abs(i.flux).max(), *(np.abs(v).max() for v in i.parts.values()), 0.0)
            np.testing.assert_allclose(found.flux, i.flux, rtol=0, atol=1e-12 * size)
            for key, part in i.parts.items():
                np.testing.assert_allclose(found.parts[key], part, rtol=0, atol=1e-12 * size)
