"""Textures driven by the solved device of a case: limits, resuming, report, refusals."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path

import meshio
import numpy as np
import pytest
from marks import slow

from femspin import case_from_table, load_case, simulate
from femspin.case.load import dump_case
from femspin.cli.main import main
from femspin.device.coupled.torque import node_rate
from femspin.errors import CaseError
from femspin.magnets.vectors import normalized
from femspin.magnets.walls import wall_profile
from femspin.studies.textures.keeper import Keeper
from femspin.studies.textures.rest import relaxed
from femspin.studies.textures.simulate import simulate_texture
from femspin.studies.textures.states import initial_texture
from femspin.studies.textures.system import build_texture_system
from femspin.units import ENERGY, HBAR

CASES = Path(__file__).parents[1] / "cases"

FILM = """
[structure]
dimension = 2
lateral = "insulating"
width = "60 nm"
cells_x = 30
layers = [
    { region = "YIG", thickness = "2 nm", cells = 1 },
    { region = "Pt", thickness = "4 nm", cells = 8 },
]
[regions.YIG]
kind = "FI"
[regions.Pt]
kind = "HM"
conductivity = "5e6 S/m"
diffusion_constant = "5e-4 m^2/s"
spin_diffusion_length = "1.5 nm"
spin_hall_angle = 0.1
[interfaces."Pt|YIG"]
G_s = "0 S/m^2"
G_r = "4e14 S/m^2"
[drive.electrodes]
left = { voltage = "0.03 V" }
right = { voltage = "0 V" }
[solver]
order = 1
[texture]
kind = "ferromagnet"
region = "YIG"
torque_source = "transport"
duration = "40 ps"
output_interval = "2 ps"
frames = 4
checkpoint = "1 ns"
[texture.transport]
tolerance = 0.02
[texture.magnet]
saturation_magnetization = "1.4e5 A/m"
exchange_stiffness = "4 pJ/m"
damping = 0.1
anisotropy = "4e4 J/m^3"
[texture.initial]
type = "wall"
position = "30 nm"
[texture.wall]
[output]
plots = false
"""

METAL = {
    "structure.layers": [
        {"region": "Pt", "thickness": "3 nm", "cells": 4},
        {"region": "F", "thickness": "1 nm", "cells": 2},
    ],
    "texture.region": "F",
    "regions.YIG": "-",
    "interfaces": {},
    "drive.temperature": "10 K",
    "regions.F": {
        "kind": "F",
        "conductivity": "1e6 S/m",
        "diffusion_constant": "3e-4 m^2/s",
        "spin_diffusion_length": "5 nm",
        "polarisation": 0.3,
        "kondo": {
            "spin": 0.5,
            "moment_density": "9e28 1/m^3",
            "exchange_energy": "0.4 eV",
            "curie_temperature": "1000 K",
        },
        "override": {"tau_parallel": "1 ns", "tau_perpendicular": "5 fs"},
    },
}

LINE = {
    "structure": {
        "layers": [
            {"region": "YIG", "thickness": "2 nm", "cells": 1},
            {"region": "Pt", "thickness": "4 nm", "cells": 16},
        ]
    },
    "drive": {"electric_field": ["2e5 V/m", "0 V/m", "0 V/m"]},
    "texture.initial": {"direction": [0.3, 0.1, 1.0]},
    "texture.wall": "-",
    "texture.transport.thickness_average": True,
}

STAGGERED = {
    "texture.kind": "antiferromagnet",
    "texture.duration": "2 ps",
    "texture.output_interval": "0.1 ps",
    "texture.magnet.damping": 0.01,
    "texture.magnet.saturation_magnetization": "-",
    "texture.magnet.sublattice_magnetization": "4.25e5 A/m",
    "texture.magnet.exchange_field": "100 T",
}


def tables(*changes: dict) -> dict:
    """Return the tables of the film with values set by dotted path; "-" removes."""
    table = tomllib.loads(FILM)
    for path, value in (item for change in changes for item in change.items()):
        *parents, last = path.split(".")
        node = table
        for key in parents:
            node = node.setdefault(key, {})
        if value == "-":
            del node[last]
        else:
            node[last] = copy.deepcopy(value)
    return table


def case(*changes: dict):
    return case_from_table(tables(*changes))


def without_transport(table: dict, **more) -> dict:
    """Return a case without the torques of transport and with others."""
    table = copy.deepcopy(table)
    for key in ("torque_source", "transport"):
        del table["texture"][key]
    table["texture"] |= more
    return table


# ---------------------------------------------------------------- messages

T = "texture.transport."
WRONG = {
    "table alone": ({"texture.torque_source": "given"}, "texture.transport", "only there"),
    "own mesh": (
        {"texture.region": "-", "texture.mesh": {"shape": "point", "length": "5 nm"}},
        "texture.torque_source",
        "needs a region",
    ),
    "hysteresis": (
        {"texture.analysis": "hysteresis", "texture.hysteresis": {"largest": "1 T"}},
        "texture.analysis",
        "one of run, relax, threshold",
    ),
    "typo": ({T + "tolerence": 0.1}, T + "tolerence", "did you mean 'tolerance'"),
    "tolerance": ({T + "tolerance": 2.0}, T + "tolerance", "0.3"),
    "between": ({T + "between": "guess"}, T + "between", "turn"),
    "pulse": ({T + "signal": {"shape": "pulse"}}, T + "signal.length", "comes with"),
    "drive of a given torque": (
        {
            "texture.torque_source": "given",
            "texture.transport": "-",
            "texture.analysis": "threshold",
            "texture.threshold": {"vary": "drive.electric_field.0", "low": "1 V/m", "high": "2 V/m"},
        },
        "texture.threshold.vary",
        "below texture",
    ),
    "pumping antiferromagnet": (
        STAGGERED | {T + "spin_pumping": True},
        T + "spin_pumping",
        "only for a ferromagnet",
    ),
    "two sublattices": (STAGGERED | {"texture.scheme": "two_sublattice"}, "texture.scheme", "use rotor"),
}

LATE = {
    "metal without moments": ({"texture.region": "Pt"}, "texture.region", "has no moments"),
    "F without moments": (
        METAL | {"regions.F.kondo": "-", "regions.F.override": "-"},
        "regions.F.kondo",
        "is needed",
    ),
    "paramagnet": (
        METAL | {"regions.F.kondo.curie_temperature": "5 K"},
        "regions.F.kondo",
        "not ordered at 10 K",
    ),
    "exact stack": (LINE | {"solver.method": "stack", "solver.order": 2}, "solver.method", "one direction"),
    "adaptive mesh": ({"solver.target_error": 1e-3}, "solver.target_error", "not refined"),
    "insulated magnet": (
        {
            "structure.layers": [{"region": r, "thickness": "2 nm"} for r in ("YIG", "Air", "Pt")],
            "interfaces": {},
            "regions.Air": {"kind": "FI"},
        },
        "texture.region",
        "no conductor touches",
    ),
    "odd coupling": (STAGGERED | {"interfaces.Pt|YIG.G_i": "1e13 S/m^2"}, "texture.region", "cancel"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(name):
    change, path, words = WRONG[name]
    with pytest.raises(CaseError) as caught:
        case(change)
    assert caught.value.path == path
    assert words in caught.value.problem
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", LATE)
def test_what_only_shows_with_the_device_is_said_in_one_line(name):
    change, path, words = LATE[name]
    with pytest.raises(CaseError) as caught:
        simulate_texture(case(change))
    assert caught.value.path == path
    assert words in caught.value.problem
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- uniform limit


def test_a_uniform_film_moves_as_the_macrospin_of_the_same_case():
    """EuS/Pt of the shipped case: [dynamics] with transport at every step against a texture.

    The torque kept between solutions is off by at most the angle error that is reported.
    """
    table = tomllib.loads((CASES / "eus_pt.toml").read_text())
    del table["expected"]
    own = table["regions"]["EuS"]["magnet"]
    table["structure"]["layers"][0]["cells"] = 2
    table["dynamics"] = {"duration": "10 ps", "output_interval": "2 ps"}
    path = simulate(case_from_table(table), errors=False).trajectory
    del table["dynamics"]
    table["texture"] = {
        "kind": "ferromagnet",
        "region": "EuS",
        "torque_source": "transport",
        "magnetostatics": "thin_film",
        "duration": "10 ps",
        "output_interval": "2 ps",
        "scheme": "runge_kutta",
        "tolerance": 1e-7,
        "transport": {"tolerance": 0.01, "thickness_average": True},
        "magnet": {
            "saturation_magnetization": own["saturation_magnetization"],
            "damping": own["damping"],
            "exchange_stiffness": "1 pJ/m",
        },
        "initial": {"direction": table["magnetization"]["direction"]},
        "fields": [{"field": table["drive"]["magnetic_field"]}],
    }
    result = simulate_texture(case_from_table(table))
    m = np.stack([result.history.column(f"m_{a}") for a in "xyz"], axis=1)
    found = result.numbers["transport"]
    assert found["solutions"] > 10
    assert found["angle_error"] < 1e-4
    steps = result.numbers["steps"] * 1e-7  # what both integrators may miss
    assert np.abs(m - path.m).max() < found["angle_error"] + 2 * steps
    # a uniform film does not mind that its one cell is longer than the exchange length
    assert all(w.startswith("texture.region: cells of") for w in result.warnings)


def film_torque(table, direction):
    """Return B_DL and B_FL [T] about p = y of the device solved for one direction."""
    system = build_texture_system(case_from_table(table))
    unit = np.array(direction) / np.linalg.norm(direction)
    return system, mean_fields(system, np.tile(unit, (system.space.size, 1)))


def mean_fields(system, m):
    magnet = system.magnet
    flux = system.coupled.transport.solve(m, accuracy=1e-9).flux
    rate = node_rate(flux, m, system.space.volumes, magnet.spin_density)
    mean, v = system.space.mean(rate) / magnet.gamma, m[0]
    p = np.array([0.0, 1.0, 0.0])
    shapes = np.stack([-np.cross(v, np.cross(v, p)), -np.cross(v, p)], axis=1)
    return np.linalg.lstsq(shapes, mean, rcond=None)[0]


@pytest.mark.parametrize("metal", [False, True])
def test_torque_around_a_wide_spiral_is_that_of_the_uniform_magnet(metal):
    """What spins diffuse and what the mean of two nodes misses are of second order in the period.

    The spiral turns through the direction of the spins, y.  A small spin Hall angle keeps its own
    second order, by which the torque of the uniform magnet depends on m, out of sight.
    """
    change = METAL | {"regions.F.polarisation": "-"} if metal else {}
    table = tables(
        change,
        {
            "structure.width": "240 nm",
            "structure.cells_x": 60,
            "structure.lateral": "periodic",
            "drive.electrodes": "-",
            "drive.electric_field": ["5e5 V/m", "0 V/m", "0 V/m"],
            "regions.Pt.spin_hall_angle": 0.01,
        },
    )
    system, (damping_like, field_like) = film_torque(table, [0.6, 0.0, 0.8])
    space = system.space
    x, errors = space.positions[:, 0], []
    columns = [np.flatnonzero(x == u) for u in np.unique(x)]
    p = np.array([0.0, 1.0, 0.0])
    for turns in (2, 1):
        angle = 2 * np.pi * turns * x / 240
        m = np.stack([0 * x, np.sin(angle), np.cos(angle)], axis=1)
        flux = system.coupled.transport.solve(m, accuracy=1e-9).flux
        rate = node_rate(flux, m, space.volumes, system.magnet.spin_density) / system.magnet.gamma
        mean = [np.average(rate[k], axis=0, weights=space.volumes[k]) for k in columns]
        at = m[[k[0] for k in columns]]
        local = -damping_like * np.cross(at, np.cross(at, p)) - field_like * np.cross(at, p)
        errors.append(np.abs(mean - local).max() / np.hypot(damping_like, field_like))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.2)
    length, cell, wave = 5.0 if metal else 1.5, 4.0, 2 * np.pi / 240
    assert errors[1] < (length * wave) ** 2 + (cell * wave) ** 2 / 2


def test_wall_velocity_is_that_of_collective_coordinates_with_the_uniform_torque():
    """tan(phi) = -(B_DL/alpha + B_FL)/B_D, v = (pi/2) gamma lambda B_DL cos(phi)/alpha.

    The wall is rigid there: torques bend the domains by B/B_K, spins diffuse over 1.5 nm of the
    10 nm of the wall.
    """
    shipped = load_case(CASES / "texture_coupled_wall.toml")
    system = build_texture_system(shipped, CASES)
    magnet = system.magnet
    damping_like, field_like = mean_fields(system, np.tile([0.0, 0.0, 1.0], (system.space.size, 1)))
    dmi = magnet.interfacial_dmi / (magnet.saturation * magnet.wall_width)
    phi = np.pi - np.arctan((damping_like / magnet.damping + field_like) / dmi)
    expected = 0.5 * np.pi * magnet.gamma * magnet.wall_width * damping_like * np.cos(phi)
    expected /= magnet.damping
    # the shipped case has this number; test_texture_cases checks that it is reproduced
    found = shipped.expected
    bend = np.hypot(damping_like, field_like) / (2 * magnet.anisotropy / magnet.saturation)
    allowed = bend + (1.5e-9 / magnet.wall_width) ** 2
    assert allowed < 0.05
    assert found["texture.wall.final_velocity"].value == pytest.approx(expected, rel=allowed)
    assert found["texture.wall.tilt"].value == pytest.approx(phi, rel=allowed)


def test_switching_field_of_a_dot_is_the_exact_fold():
    """Bisection of the electric field: B_DL = 0.43058515 B_K for |B_x| = B_K/10.

    Pt lies above the dot: current and field along +x hold it up, a field along -x lets it switch.

    The ramp overshoots the fold a little, as in texture_sot_switching.toml.
    """
    table = tables(LINE)
    anisotropy, saturation = 4e4, 1.4e5
    field = 2 * anisotropy / saturation
    _, (damping_like, _) = film_torque(table, [0.0, 0.0, 1.0])
    fold = 2e5 * 0.43058515 * field / abs(damping_like)
    texture = table["texture"]
    texture |= {
        "analysis": "threshold",
        "duration": "1.5 ns",
        "output_interval": "20 ps",
        "stop": "switched",
        "tolerance": 1e-4,
        "initial": {"relax": True},
        "fields": [{"field": [f"{-0.1 * field} T", "0 T", "0 T"]}],
        "threshold": {
            "vary": "drive.electric_field.0",
            "low": f"{0.98 * fold} V/m",
            "high": f"{1.02 * fold} V/m",
            "tolerance": 0.01,
        },
    }
    texture["magnet"]["damping"] = 0.5
    texture["transport"] |= {"tolerance": 0.05, "signal": {"rise": "0.5 ns"}}
    result = simulate_texture(case_from_table(table))
    # G_r alone has no field-like torque; its coefficients depend on m to the order theta^2.
    assert result.numbers["threshold"] == pytest.approx(fold, rel=0.02)
    assert result.numbers["just_above"]["transport"]["solutions"] > 5


def test_rest_under_the_torque_of_transport_is_rest_under_the_same_torque_given():
    """Equilibrium below the fold, with the last solution that of the equilibrium itself."""
    table = tables(LINE)
    table["texture"] |= {"analysis": "relax", "relax_torque": "1e-6 T"}
    table["texture"]["fields"] = [{"field": ["50 mT", "0 T", "20 mT"]}]
    _, (damping_like, field_like) = film_torque(table, [0.3, 0.1, 1.0])
    result = simulate_texture(case_from_table(table))
    m = result.frames[-1][1]["m"]
    torque = build_texture_system(case_from_table(table)).coupled
    np.testing.assert_allclose(
        result.frames[-1][1]["torque"], torque(0.0, m), atol=2e-4 * np.abs(torque(0.0, m)).max()
    )  # both to the accuracy of the solver, 1e-4
    given = without_transport(
        table,
        spin_orbit=[
            {"polarisation": [0, 1, 0], "damping_like": f"{damping_like} T", "field_like": f"{field_like} T"}
        ],
    )
    expected = simulate_texture(case_from_table(given)).frames[-1][1]["m"]
    size = abs(damping_like) / (2 * 4e4 / 1.4e5)
    # The spin Hall effect of the spin current makes the torque depend on m to order theta^2.
    np.testing.assert_allclose(m, expected, atol=size * 0.1**2)


def test_an_antiferromagnet_takes_the_torque_of_transport_as_a_given_one():
    table = tables(LINE, STAGGERED)
    table["texture"]["initial"] = {"direction": [1.0, 0.0, 0.2]}
    system, _ = film_torque(table, [1.0, 0.0, 0.2] / np.sqrt(1.04))
    n = np.tile([1.0, 0.0, 0.2] / np.sqrt(1.04), (system.space.size, 1))
    p = np.array([0.0, 1.0, 0.0])
    rate = system.space.mean(system.coupled(0.0, n))
    strength = -rate @ np.cross(n[0], np.cross(n[0], p)) / 1.0
    result = simulate_texture(case_from_table(table))
    given = without_transport(
        table, spin_orbit=[{"polarisation": [0, 1, 0], "damping_like_rate": f"{strength} 1/s"}]
    )
    expected = simulate_texture(case_from_table(given))
    alone = simulate_texture(case_from_table(without_transport(table))).history.rows
    effect = np.abs(expected.history.rows - alone)[:, 1:4].max()
    assert effect > 1e-3
    miss = np.abs(result.history.rows - expected.history.rows)[:, 1:4].max()
    # theta^2 of the torque, and what was kept of it between solutions
    assert miss < effect * (0.1**2 + result.numbers["transport"]["relative_torque_error"])
    assert result.numbers["transport"]["solutions"] > 1


# ---------------------------------------------------------------- drive in time, pumping


def test_flux_is_linear_in_all_sources_of_the_device():
    """A factor of the drive, and what is pumped beside it, to the accuracy of the solver."""
    table = tables()
    table["drive"] = {
        "electrodes": {"left": {"voltage": "0.02 V", "spin": "sink"}, "right": {"voltage": "0 V"}}
    }
    table["interfaces"]["top"] = {"spin_flux": ["1e29 1/(m^2*s)", "0 1/(m^2*s)", "2e29 1/(m^2*s)"]}
    weak = copy.deepcopy(table)
    weak["drive"]["electrodes"]["left"]["voltage"] = "0.006 V"
    weak["interfaces"]["top"]["spin_flux"] = ["3e28 1/(m^2*s)", "0 1/(m^2*s)", "6e28 1/(m^2*s)"]
    first, second = (build_texture_system(case_from_table(t)) for t in (table, weak))
    m = wall_profile(first.space, 30e-9, 8e-9)
    rng = np.random.default_rng(3)
    velocity = np.cross(m, rng.normal(size=m.shape)) * 1e-2
    one, other = first.coupled.transport, second.coupled.transport
    expected = other.solve(m, velocity, accuracy=1e-11)
    scaled = one.solve(m, velocity, accuracy=1e-11, drive=0.3)
    apart = 0.3 * one.solve(m, accuracy=1e-11).flux + one.solve(m, velocity, accuracy=1e-11, drive=0.0).flux
    size = np.abs(expected.flux).max()
    for found in (scaled.flux, apart):
        np.testing.assert_allclose(found, expected.flux, atol=1e-10 * size)
    np.testing.assert_allclose(scaled.mu, expected.mu, atol=1e-9 * np.abs(expected.mu).max())


def test_a_pulse_scales_the_torque_without_new_solutions():
    table = tables()
    pulse = {"shape": "pulse", "rise": "1 ps", "length": "4 ps"}
    table["texture"]["transport"]["signal"] = pulse
    system = build_texture_system(case_from_table(table))
    m = wall_profile(system.space, 30e-9, 8e-9)
    whole = system.coupled(2e-12, m)
    for time, factor in ((0.0, 0.0), (0.5e-12, 0.5), (2e-12, 1.0), (3.5e-12, 0.5), (9e-12, 0.0)):
        np.testing.assert_allclose(system.coupled(time, m), factor * whole, rtol=1e-12)
        np.testing.assert_allclose(
            system.coupled.potentials(time), factor * system.coupled.solution.mu, rtol=1e-12
        )
    assert system.coupled.transport.work.solutions == 1


@pytest.mark.slow  # test_coupling keeps the claim
def test_a_case_with_spin_pumping_has_the_added_damping():
    """G_r and a metal: precession decays with alpha + a; see `pumped_damping` of test_coupling.

    The pumped flux of a step is that of its start, an error of first order: half the step halves
    it, and extrapolation leaves the second order.
    """
    from test_coupling import pumped_damping

    table = tables(LINE)
    table["drive"] = {}
    table["regions"]["Pt"] |= {"spin_hall_angle": 0.0}
    table["structure"]["layers"][1]["cells"] = 24
    table["solver"]["order"] = 2
    table["interfaces"]["Pt|YIG"] = {"G_s": "-1e13 S/m^2", "G_r": "4e14 S/m^2", "G_i": "5e13 S/m^2"}
    table["texture"] |= {
        "duration": "10 ps",
        "output_interval": "10 ps",
        "frames": 1,
        "scheme": "runge_kutta",
        "fields": [{"field": ["0 T", "0 T", "0.5 T"]}],
        "initial": {"direction": [0.6, 0.0, 0.8]},
    }
    table["texture"]["magnet"] |= {"damping": 0.01, "anisotropy": "0 J/m^3"}
    table["texture"]["transport"] = {
        "spin_pumping": True,
        "thickness_average": True,
        "tolerance": 0.05,
        "accuracy": 1e-7,
    }
    rates = []
    for step in ("0.2 ps", "0.1 ps"):
        table["texture"]["step"] = step
        final = simulate_texture(case_from_table(table)).numbers["final"]["m"]
        after = np.arctan2(np.hypot(final[0], final[1]), final[2])
        rates.append(np.log(np.tan(np.arctan2(0.6, 0.8) / 2) / np.tan(after / 2)) / 10e-12)
    magnet = build_texture_system(case_from_table(table)).magnet
    added = pumped_damping(5e6, magnet.spin_density, 2e-9)[0]
    alpha, inertia = 0.01 + added.real, 1 + added.imag
    expected = magnet.gamma * 0.5 * alpha / (alpha**2 + inertia**2)
    coarse, fine = np.array(rates) / expected - 1
    assert abs(2 * fine - coarse) < max(abs(fine) / 5, 9.0**-4)


# ---------------------------------------------------------------- resuming

RUNS = {
    "midpoint": {"drive.electrodes.left.voltage": "0.1 V"},
    "metal, extrapolated": METAL | {T + "between": "extrapolate"},
    "runge_kutta": {
        "texture.scheme": "runge_kutta",
        "texture.duration": "10 ps",
        "texture.output_interval": "0.5 ps",
    },
    "pumping under a sine": {
        T + "spin_pumping": True,
        T + "signal": {"shape": "sine", "frequency": "100 GHz"},
        "drive.electrodes.left.voltage": "0.1 V",
        "texture.duration": "4 ps",
        "texture.output_interval": "0.4 ps",
    },
    "thermal": {
        "texture.temperature": "1 K",
        "texture.depth": "1 nm",
        "texture.step": "0.2 ps",
        "texture.duration": "4 ps",
        "texture.output_interval": "0.4 ps",
    },
    "rotor": STAGGERED,
}


class Interrupted(Keeper):
    """Checkpoints of a run that ends after some of them."""

    left = 7

    def save(self, checkpoint):
        super().save(checkpoint)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", [slow(n) if n == "thermal" else n for n in RUNS])
def test_an_interrupted_run_resumes_to_the_same_numbers(name, tmp_path, monkeypatch):
    """Bit for bit: history, torque fields, potentials, counts, and the errors reported.

    Transport gets new factors on the way, so that those of the checkpoint are not the first.
    """
    this = case(RUNS[name])
    built = build_texture_system

    def often_factorised(*arguments):
        system = built(*arguments)
        system.coupled.transport.refresh = 1
        return system

    monkeypatch.setattr("femspin.studies.textures.simulate.build_texture_system", often_factorised)
    reference = simulate_texture(this)
    path = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        simulate_texture(this, keeper=Interrupted(path, this, 1e-9))
    keeper = Keeper(path, this, 1e9, resuming=True)
    assert keeper.load() is not None
    result = simulate_texture(this, keeper=keeper)
    np.testing.assert_array_equal(result.history.rows, reference.history.rows)
    for (t, fields), (t0, fields0) in zip(result.frames, reference.frames, strict=True):
        assert t == t0
        assert "torque" in fields
        for key, values in fields.items():
            np.testing.assert_array_equal(values, fields0[key])
    for mu, mu0 in zip(result.potentials, reference.potentials, strict=True):
        np.testing.assert_array_equal(mu, mu0)
    assert result.numbers["transport"] == reference.numbers["transport"]
    assert reference.numbers["transport"]["factorisations"] > 1 or name in ("rotor", "thermal")
    assert reference.numbers["transport"]["solutions"] > 3


# ---------------------------------------------------------------- report


def test_result_says_what_transport_took_and_is_reproducible(tmp_path, capsys):
    """Two runs give the same result.json; wall times are in timings.json."""
    file = tmp_path / "film.toml"
    file.write_text(FILM.replace("40 ps", "10 ps"))
    assert main(["check", str(file)]) == 0
    assert "transport_unknowns" in capsys.readouterr().out
    texts = []
    for name in ("a", "b"):
        assert main(["run", str(file), "-o", str(tmp_path / name)]) == 0
        texts.append((tmp_path / name / "result.json").read_text())
    out = capsys.readouterr().out
    assert texts[0] == texts[1]
    table = json.loads(texts[0])
    found = table["texture"]["transport"]
    assert set(found) == {
        "solutions",
        "skipped",
        "factorisations",
        "iterations",
        "most_iterations",
        "largest_torque",
        "largest_torque_error",
        "relative_torque_error",
        "angle_error",
    }
    # One solution for the first frame; then every step renews transport or leaves it out.
    assert found["solutions"] + found["skipped"] == table["texture"]["steps"] + 1
    assert 0 < found["largest_torque_error"] < 0.02 * found["largest_torque"] * 2
    assert 0 < found["angle_error"] < 1e-3
    seconds = json.loads((tmp_path / "a" / "timings.json").read_text())
    assert set(seconds) == {"magnetics", "transport_assembly", "transport_solve"}
    assert all(value > 0 for value in seconds.values())
    for words in ("transport.solutions", "transport.skipped", "time: magnetics"):
        assert words in out
    again = load_case(tmp_path / "a" / "case.toml")
    assert again.texture == load_case(file).texture


def test_field_series_hold_torque_and_potentials(tmp_path):
    """Nodal torques of the last frame are dm/dt of the solution; mu is that of the device."""
    this = case(METAL, {"texture.duration": "4 ps", "texture.output_interval": "1 ps"})
    result = simulate_texture(this)
    folder = result.write(tmp_path / "out")
    frames = len(result.frames)
    for name in ("fields", "transport"):
        assert len(list(folder.glob(f"{name}_*.vtu"))) == frames
        assert (folder / f"{name}.pvd").read_text().count("timestep") == frames
    mesh = meshio.read(folder / f"fields_{frames - 1:04d}.vtu")
    m, torque = mesh.point_data["m"], mesh.point_data["torque"]
    assert np.abs(torque).max() > 0
    np.testing.assert_allclose(np.einsum("ij,ij->i", m, torque), 0.0, atol=1e-12 * np.abs(torque).max())
    device = meshio.read(folder / f"transport_{frames - 1:04d}.vtu")
    assert set(device.point_data) == {"mu", "mu_0"}
    x, mu = device.points[:, 0], device.point_data["mu_0"]
    # The electrodes: mu_0 = -2 e V in meV.
    np.testing.assert_allclose(mu[np.isclose(x, 0.0)], -60.0, rtol=1e-12)
    np.testing.assert_allclose(mu[np.isclose(x, 60.0)], 0.0, atol=1e-9)


def test_different_fields_of_carriers_and_magnet_are_pointed_out():
    table = tables({"texture.duration": "1 ps", "texture.output_interval": "0.5 ps"})
    table["drive"]["magnetic_field"] = ["0 T", "0 T", "0.1 T"]
    assert "magnetic_field" in simulate_texture(case_from_table(table)).warnings[0]
    table["texture"]["fields"] = [{"field": ["0 T", "0 T", "0.1 T"]}]
    assert not simulate_texture(case_from_table(table)).warnings


# ---------------------------------------------------------------- vortex under a current

SLOW = json.loads((Path(__file__).parent / "data" / "slow_texture_refs.json").read_text())
POLARISATION = 0.9


def vortex_case(duration, cells, scale=1.0, ratio=None):
    """Return permalloy of 100 x 100 x 10 nm under the torque of transport, or Zhang and Li's.

    Lengths of exchange and spin flip are `scale` times those of the reference, at the same ratio.
    The current is such that P j is 1e12 A/m^2.

    Args:
        duration: Of the run.
        cells: Along x and y.
        scale: Of both lengths.
        ratio: beta of the Zhang-Li torque; None for the torque of transport.
    """
    p = SLOW["slow_texture"]["params"]
    exchange, flip = scale * p["lambda_J"], scale * p["lambda_sf"]
    energy = HBAR * 2 * p["D0"] / exchange**2 / 0.5 / ENERGY
    voltage = p["J"] / POLARISATION * 1e-6 * 1e-7
    table = {
        "structure": {
            "dimension": 3,
            "lateral": "insulating",
            "width": "100 nm",
            "depth": "100 nm",
            "cells_x": cells,
            "cells_y": cells,
            "layers": [{"region": "Py", "thickness": "10 nm", "cells": 1}],
        },
        "regions": {
            "Py": {
                "kind": "F",
                "conductivity": "1e6 S/m",
                "diffusion_constant": f"{2 * p['D0']} m^2/s",
                "spin_relaxation_time": f"{flip**2 / (2 * p['D0'])} s",
                "polarisation": POLARISATION,
                "override": {"tau_parallel": "1 s", "tau_perpendicular": "1 s"},
                "kondo": {
                    "spin": 0.5,
                    "moment_density": "1e29 1/m^3",
                    "curie_temperature": "1000 K",
                    "exchange_energy": f"{energy} meV",
                },
            }
        },
        "drive": {
            "temperature": "10 K",
            "electrodes": {
                "left": {"voltage": f"{voltage} V", "spin": "sink"},
                "right": {"voltage": "0 V", "spin": "sink"},
            },
        },
        "solver": {"order": 1},
        "texture": {
            "kind": "ferromagnet",
            "region": "Py",
            "magnetostatics": "full",
            "frames": 2,
            "duration": duration,
            "output_interval": "20 ps",
            "tolerance": 1e-4,
            "magnet": {
                "saturation_magnetization": f"{p['Ms']} A/m",
                "exchange_stiffness": "13 pJ/m",
                "damping": 0.1,
            },
            "initial": {"type": "vortex", "center": ["50 nm", "50 nm"], "radius": "10 nm", "relax": True},
        },
    }
    if ratio is None:
        table["texture"] |= {
            "torque_source": "transport",
            "transport": {"tolerance": 0.02, "between": "extrapolate"},
        }
    else:
        table["texture"]["current"] = {
            "density": [f"{p['J']} A/m^2", "0 A/m^2", "0 A/m^2"],
            "polarisation": 1 / (1 + ratio**2),
            "beta": ratio,
        }
    return case_from_table(table)


def test_torque_on_a_vortex_is_zhang_lis_away_from_its_core():
    """With the coefficients that lambda_J and lambda_sf imply, up to (lambda_J/r)^2.

    In the core, of the radius R, both parts may depart by (lambda_J/R)^2 of the larger one and by
    what cells of h miss of its curvature, (h/R)^2/2.
    """
    expected, radius, cell = SLOW["slow_texture"]["values"], 10.0, 2.5
    length = SLOW["slow_texture"]["params"]["lambda_J"] * 1e9
    system = build_texture_system(vortex_case("1 ns", 40))
    space = system.space
    x, y = (space.positions[:, :2] - 50).T
    core = np.full_like(x, radius)
    m = normalized(np.stack([-y, x, core], axis=1))
    slope = space.along(np.array([1.0, 0.0, 0.0]), m)
    flux = system.coupled.transport.solve(m, accuracy=1e-8).flux
    rate = node_rate(flux, m, space.volumes, system.magnet.spin_density) * 1e-9
    distance = np.hypot(x, y)
    inside = np.abs(x) < 46  # the sinks take the spins of the last nodes
    found = {}
    for name, some in (("core", distance < 10), ("far", (distance > 30) & inside)):
        shapes = np.stack([slope[some].ravel(), np.cross(m, slope)[some].ravel()], axis=1)
        found[name] = np.linalg.lstsq(shapes, rate[some].ravel(), rcond=None)[0]
    b = expected["b_J"]
    far, near = (length / 30) ** 2, (length / radius) ** 2 + 0.5 * (cell / radius) ** 2
    np.testing.assert_allclose(found["far"], [b, -expected["xi"] * b], atol=far * b)
    np.testing.assert_allclose(found["core"], [b, -expected["xi"] * b], atol=near * b)
    assert found["core"][1] / found["far"][1] > 1.5


@pytest.mark.slow
def test_a_vortex_moved_by_transport_follows_the_zhang_li_trajectory():
    """Fifth standard problem for 2 ns, on the same mesh of 5 nm.

    Two things differ.  The ratio of the non-adiabatic part departs by no more than
    (lambda_J/R)^2, in the core of radius R: a Zhang-Li trajectory with as much more of it
    everywhere bounds the distance.  And both discretise the slope of m, of which a central
    difference over h misses (h/R)^2/6: a trajectory of so much less current bounds what is left
    where the lengths are a tenth.  The first is of second order in the lengths.
    """
    ratio = SLOW["slow_texture"]["values"]["xi"]
    length = SLOW["slow_texture"]["params"]["lambda_J"] * 1e9

    def path(current=1.0, **options):
        table = dump_case(vortex_case("2 ns", 20, **options))
        if "current" in table["texture"]:
            table["texture"]["current"]["polarisation"] *= current
        result = simulate_texture(case_from_table(table))
        return result.history.rows[:, 1:3], result

    def apart(first, second):
        return np.linalg.norm(first - second, axis=1).max()

    exact, first = path(ratio=ratio)
    system = build_texture_system(first.case)
    m = relaxed(system, initial_texture(system))[0]
    steepest = np.linalg.norm(system.space.along(np.array([1.0, 0.0, 0.0]), m), axis=1).max()
    more, _ = path(ratio=ratio + (length * steepest) ** 2)
    less, _ = path(ratio=ratio, current=1 - (5.0 * steepest) ** 2 / 6)
    whole, half, tenth = (path(scale=s) for s in (1.0, 0.5, 0.1))
    for _, result in (whole, half, tenth):
        assert result.numbers["transport"]["angle_error"] < 0.01
    assert apart(whole[0], exact) < apart(more, exact)
    assert apart(tenth[0], exact) < apart(less, exact)
    found = apart(whole[0], tenth[0]) / apart(half[0], tenth[0])
    # (1 - 0.1^2)/(0.5^2 - 0.1^2) is 4.1; the sinks at both ends add a first order, 2.25.
    assert 2.25 < found < 4.2
