"""Antiferromagnets: the rotor scheme for (n, m) and its twin of two sublattices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from texture_setup import CASES, afm, g_of, line, point, richardson

from femspin.errors import CaseError
from femspin.magnets.antiferromagnet import Rotor, StaggeredTorque, antiferromagnet_texture
from femspin.magnets.midpoint import Midpoint
from femspin.magnets.run import run_rotor, run_texture
from femspin.magnets.torques import SpinOrbitTorque, SpinTransfer
from femspin.magnets.two_sublattice import join, split, two_sublattice_texture
from femspin.magnets.walls import find_wall, wall_profile
from femspin.units import E_CHARGE, HBAR


def tilted(angle):
    return [np.sin(angle), 0, np.cos(angle)]


def order_two(errors):
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    return bool(np.all((ratios > 3.6) & (ratios < 4.4)))


# ---------------------------------------------------------------- macrospin


def test_the_rotor_scheme_follows_the_reference_macrospin_with_order_two():
    out = CASES["D03"]["outputs"]
    texture = antiferromagnet_texture(point(), afm())
    n, m = texture.start(tilted(0.3))
    errors = []
    for step in (0.08, 0.04, 0.02):
        last = run_rotor(Rotor(texture, step), n, m, [0, 20e-12]).m
        errors.append(np.abs(last[0, 0] - out["nm_n"]).max())
        assert np.abs(last[1, 0] - out["nm_m"]).max() < errors[-1]
    assert order_two(errors)
    assert errors[-1] < 2.4e-6


def test_the_two_sublattices_follow_their_reference_with_order_two():
    out = CASES["D03"]["outputs"]
    texture = two_sublattice_texture(point(), afm())
    n, m = antiferromagnet_texture(point(), afm()).start(tilted(0.3))
    errors = []
    for step in (0.08, 0.04):
        last = run_texture(Midpoint(texture, step), join(n, m), [0, 20e-12]).m
        errors.append(np.abs(split(last)[0][0] - out["sub_n"]).max())
    assert order_two(errors)


def test_energy_is_lost_at_the_rate_of_the_damping_in_a_field():
    case = CASES["D04"]
    texture = antiferromagnet_texture(point(), afm(), field=case["inputs"]["B"])
    n, m = texture.start(tilted(0.4))
    volume = texture.space.volume * 1e-27
    errors, losses = [], []
    for step in (0.04, 0.02):
        last = run_rotor(Rotor(texture, step), n, m, [0, 10e-12]).m
        errors.append(np.abs(last[0, 0] - case["outputs"]["n"]).max())
        change = (texture.energy(*last) - texture.energy(n, m)) / volume
        losses.append(abs(change / case["outputs"]["dE"] - 1))
    assert order_two(errors)
    assert order_two(losses)
    assert losses[1] < 1.4e-5


def wavy(magnet, **kwargs):
    space = line(magnet.wall_width, 10, 0.25)
    texture = antiferromagnet_texture(space, magnet, **kwargs)
    x = space.positions[:, 0]
    n, m = texture.start(np.stack([np.sin(x / 9), 0.4 * np.cos(x / 7), 1 + 0 * x], axis=1))
    return texture, n, m


def test_constraints_hold_to_rounding_with_every_torque():
    """|n| = 1 and n . m = 0 within 1e-12 over 400 steps."""
    magnet = afm(hard_anisotropy=1e4, interfacial_dmi=2e-4, homogeneous_dmi=(1e5, 2e5, 3e5))
    texture, n, m = wavy(
        magnet,
        field=[0.5, 1.0, 2.0],
        orbit=(SpinOrbitTorque((0, 1, 0), 5e8, 3e8), SpinOrbitTorque((1, 0, 0), 2e8, 1e8, True)),
        transfer=SpinTransfer(lambda t: [400 * np.sin(1e12 * t), 0, 0], 0.5, [200.0, 0, 0], tau_sd=1e-15),
        external=StaggeredTorque(lambda t, n, m: (1e8 * np.ones(3) * n[:, :1], 2e8 * n + 1e9 * m)),
    )
    last = run_rotor(Rotor(texture, 0.01), n, m, [0, 4e-12]).m
    assert np.abs(np.linalg.norm(last[0], axis=1) - 1).max() < 1e-12
    assert np.abs((last[0] * last[1]).sum(axis=1)).max() < 1e-12


def test_the_energy_of_a_damped_texture_never_rises():
    texture, n, m = wavy(afm(damping=0.02, interfacial_dmi=2e-4), field=[0, 0, 1.0])
    rotor = Rotor(texture, 0.15 * texture.longest_step)
    energies = run_rotor(
        rotor, n, m, np.arange(0, 3e-12, rotor.step * 1e-12), lambda _, n, m: texture.energy(n, m)
    ).values
    assert np.diff(energies).max() < 0


def test_without_damping_the_energy_oscillates_with_the_square_of_the_step():
    """A symplectic splitting: the error does not grow, and falls as dt^2."""
    texture, n, m = wavy(afm(damping=0.0, homogeneous_dmi=(0, 3e5, 0)), field=[0, 0, 1.0])
    scatter = []
    for step in (0.04, 0.02):
        rotor = Rotor(texture, step)
        energies = run_rotor(
            rotor, n, m, np.linspace(0, 4e-12, 101), lambda _, n, m: texture.energy(n, m)
        ).values
        scatter.append(np.ptp(energies))
    assert 3 < scatter[0] / scatter[1] < 5.5


def test_steps_above_the_stability_limit_are_unstable_and_below_stable():
    texture, n, _ = wavy(afm(damping=0.0))
    rough = np.random.default_rng(0).normal(size=n.shape)
    sizes = []
    for part in (0.95, 1.1):
        start, moment = texture.start([0, 0, 1.0] + 1e-6 * rough)
        rotor = Rotor(texture, 0.5 * texture.longest_step)
        rotor.step = part * texture.longest_step
        last = run_rotor(rotor, start, moment, [0, 300e-12 * rotor.step]).m
        sizes.append(np.abs(last[0][:, :2]).max())
    assert sizes[0] < 1e-4
    assert sizes[1] > 1e-2
    with pytest.raises(CaseError, match="stability limit"):
        Rotor(texture, 1.1 * texture.longest_step)


@pytest.mark.parametrize("field", [4.0, 6.0])
def test_the_spins_flop_between_4_and_6_tesla(field):
    """Below the instability n stays along z; above, m_z = B / (2 B_E - B_A)."""
    magnet = afm(damping=0.1)
    n, m = antiferromagnet_texture(point(), magnet).start(tilted(0.05))
    texture = two_sublattice_texture(point(), magnet, field=[0, 0, field])
    last = run_texture(Midpoint(texture, 0.1, tolerance=1e-3, longest=0.5), join(n, m), [0, 150e-12]).m
    order, moment = split(last)
    if field < CASES["D00"]["outputs"]["B_c_instability"]:
        out = CASES["D05_below"]["outputs"]
        assert abs(order[0, 2]) == pytest.approx(out["abs_n_z"], abs=1e-4)
        assert abs(moment[0, 2]) < 1e-4
    else:
        assert abs(order[0, 2]) < 1e-4
        assert moment[0, 2] == pytest.approx(field / (2 * 100.0 - 0.1), rel=1e-6)


@pytest.mark.parametrize("part", [0.9, 1.5])
def test_damping_like_torque_along_the_axis_starts_an_oscillation_at_alpha_w0(part):
    """Below alpha w_0 the tilt decays; above n turns in the plane at w_D / alpha."""
    magnet = afm(damping=0.05)
    threshold = magnet.damping * magnet.resonance
    torque = SpinOrbitTorque((0, 0, 1), part * threshold)
    texture = antiferromagnet_texture(point(), magnet, orbit=(torque,))
    n, m = texture.start([0.1, 0, 1.0])
    times = np.array([0, 60, *np.linspace(60.1, 62, 20)]) * 1e-12
    path = run_rotor(Rotor(texture, 0.02), n, m, times, lambda _, n, m: n[0]).values
    if part < 1:
        assert np.hypot(*path[-1, :2]) < 0.1
        assert path[-1, 2] > 0.99
        return
    phase = np.unwrap(np.arctan2(path[2:, 1], path[2:, 0]))
    rate = (phase[-1] - phase[0]) / (times[-1] - times[2])
    # order 2: (omega dt)^2 / 24
    error = (part * magnet.resonance * 0.02e-12) ** 2 / 24
    assert abs(path[-1, 2]) < 1e-3
    assert rate == pytest.approx(-part * magnet.resonance, rel=max(error, 1e-5))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["D06_0.9", "D06_1.5"])
def test_the_reference_oscillator_has_its_rotation_rate(name):
    case = CASES[name]
    torque = SpinOrbitTorque((0, 0, 1), case["inputs"]["omega_D"])
    texture = antiferromagnet_texture(point(), afm(), orbit=(torque,))
    n, m = texture.start(case["inputs"]["n0"])
    times = np.concatenate([[0], np.linspace(300, 400, 401)]) * 1e-12
    path = run_rotor(Rotor(texture, 0.02), n, m, times, lambda _, n, m: n[0]).values[1:]
    phase = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
    rate = (phase[-1] - phase[0]) / 100e-12
    assert path[-1, 2] == pytest.approx(case["outputs"]["n_z_final"], abs=1e-4)
    if name == "D06_1.5":
        assert rate == pytest.approx(case["outputs"]["formula"], rel=2e-5)
    else:
        # The reference precesses about n_z = 1 at w_0, faster by 1e-3 at its finite amplitude.
        assert rate == pytest.approx(case["outputs"]["rotation_rate"], rel=1e-4)


def nio():
    p = CASES["R26"]["inputs"]
    w_ex, w_e = 2 * np.pi * p["f_ex"], 2 * np.pi * p["f_e"]
    base = afm()
    s = base.spin_density
    magnet = replace(
        base,
        homogeneous_exchange=w_ex * s,
        anisotropy=0.5 * w_e * s,
        axis=(1.0, 0.0, 0.0),
        hard_anisotropy=50 * w_e * s,
        hard_axis=(0.0, 0.0, 1.0),
        damping=p["alpha"],
        exchange_stiffness=0.0,
    )
    return magnet, 2 * np.pi * p["sigma_over_2pi"]


def rotation_rate(magnet, rate_d, start, moment, duration=60e-12, step=0.02):
    """Return the mean rotation rate over the second half [rad/s]."""
    texture = antiferromagnet_texture(point(), magnet, orbit=(SpinOrbitTorque((0, 0, 1), rate_d),))
    n, m = texture.start(start, moment)
    times = np.linspace(0, duration, 401)
    path = run_rotor(Rotor(texture, step), n, m, times, lambda _, n, m: n[0]).values
    phase = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
    return abs(phase[-1] - phase[200]) / (times[-1] - times[200])


def test_a_biaxial_antiferromagnet_starts_and_stops_to_rotate_at_its_two_thresholds():
    """j_th1 from rest, and the lower j_th2 (numerical, hysteresis) from rotation."""
    out = CASES["R26"]["outputs"]
    magnet, sigma = nio()
    steady = rotation_rate(magnet, 3 * sigma * out["j_th1"], [1, 0, 0], [0, 0, 0])
    # Averaged over a time that is not a whole number of turns: 1e-3 of the ripple
    assert steady / (2 * np.pi) == pytest.approx(out["freq_numeric_Hz"], rel=2e-3)
    resting = [np.cos(0.25 * np.pi - 0.01), -np.sin(0.25 * np.pi - 0.01), 0]
    moving = 2e12 / (2 * np.pi * 27.5e12)
    for part, start, moment, turns in (
        (0.97 * out["j_th1"], resting, 0.0, False),
        (1.03 * out["j_th1"], resting, 0.0, True),
        (0.97 * out["j_th2_numeric"], [1, 0, 0], moving, False),
        (1.03 * out["j_th2_numeric"], [1, 0, 0], moving, True),
    ):
        rate = rotation_rate(magnet, sigma * part, start, [0, 0, moment], 80e-12, 0.05)
        assert bool(rate > 2e11) == turns, part


# ---------------------------------------------------------------- models agree


def wall_pair(magnet, **kwargs):
    """Return (n, m) and the two sublattices after 2 ps from the same wall."""
    space = line(magnet.wall_width, 20, 0.25)
    texture = antiferromagnet_texture(space, magnet, **kwargs)
    wall = wall_profile(space, 0.0, magnet.wall_width)
    n, m = texture.start(wall, -np.cross(texture.skew, wall))
    one = run_rotor(Rotor(texture, 0.01), n, m, [0, 2e-12]).m
    torques = (*kwargs.get("orbit", ()), *((kwargs["transfer"],) if "transfer" in kwargs else ()))
    twin = two_sublattice_texture(space, magnet, kwargs.get("field"), torques)
    other = split(run_texture(Midpoint(twin, 0.01), join(n, m), [0, 2e-12]).m)
    return one, other


@pytest.mark.parametrize(
    "kwargs",
    [
        {"transfer": SpinTransfer([400.0, 0, 0], 0.5), "orbit": (SpinOrbitTorque((0, 1, 0), 5e8),)},
        {"field": [1.0, 0.5, 2.0]},
        {"orbit": (SpinOrbitTorque((0, 1, 0), 3e10, staggered=True),)},
        {"orbit": (SpinOrbitTorque((0, 1, 0), 0.0, 1e11, staggered=True),)},
        {"orbit": (SpinOrbitTorque((1, 0, 0), 0.0, 2e11),)},
    ],
    ids=["current_and_orbit", "field", "staggered_damping_like", "staggered_field", "field_like"],
)
def test_the_two_models_agree_to_the_square_of_the_canting(kwargs):
    """|dn| of the order of |m|^2 + B_A/B_E (+ alpha |m|) over 2 ps."""
    one, other = wall_pair(afm(damping=0.05), **kwargs)
    canting = np.abs(one[1]).max()
    moved = np.abs(one[0] - wall_pair_start()).max()
    assert moved > 0.02
    assert np.abs(one[0] - other[0]).max() < 3 * (canting**2 + 1e-3 + 0.05 * canting) * max(moved, 0.1)


def wall_pair_start():
    magnet = afm()
    return wall_profile(line(magnet.wall_width, 20, 0.25), 0.0, magnet.wall_width)


def test_homogeneous_dmi_cants_the_sublattices_and_agrees_with_the_twin():
    """At rest m = -(d_h / a) x n; moving, both models agree."""
    d = (0.0, 1.7e6, 0.0)
    one, other = wall_pair(afm(damping=0.05, homogeneous_dmi=d))
    np.testing.assert_allclose(one[1][0], -np.cross(np.array(d) / 1.7e8, one[0][0]), atol=1e-5)
    assert np.abs(one[0] - other[0]).max() < 3e-3
    assert np.abs(one[1] - other[1]).max() < 3e-4


def test_homogeneous_dmi_keeps_order_two_in_a_field():
    texture, n, m = wavy(afm(homogeneous_dmi=(2e6, 1e6, 3e6)), field=[1.0, 0, 2.0])
    ends = [run_rotor(Rotor(texture, step), n, m, [0, 2e-12]).m for step in (0.04, 0.02, 0.01, 0.005)]
    errors = [np.abs(e - ends[-1]).max() for e in ends[:3]]
    assert 3.5 < errors[0] / errors[1] < 4.8


def test_an_external_torque_is_the_same_as_the_built_in_one():
    p, w = np.array([0.0, 1.0, 0.0]), 5e8

    def rates(time, n, m):
        return 0.0 * n, -w * np.cross(n, np.cross(n, p))

    ends = []
    for kwargs in ({"orbit": (SpinOrbitTorque(tuple(p), w),)}, {"external": StaggeredTorque(rates)}):
        texture, n, m = wavy(afm(), **kwargs)
        ends.append(run_rotor(Rotor(texture, 0.01), n, m, [0, 2e-12]).m)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-13)


# ---------------------------------------------------------------- walls


def wall_motion(magnet, cell, times, start=0.0, velocity=0.0, extent=30, tilt=0.0, **kwargs):
    """Return position and width of a wall at the times [m]; dt = 0.3 h / c."""
    space = line(magnet.wall_width, extent, cell)
    texture = antiferromagnet_texture(space, magnet, **kwargs)
    width = magnet.wall_width * np.sqrt(1 - (velocity / magnet.magnon_velocity) ** 2)
    profile = wall_profile(space, start * magnet.wall_width, width)
    turned = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    n, m = texture.start(profile @ turned.T)
    if velocity:
        m = texture.start(n, texture.moving(n, velocity))[1]
    step = 0.3 * cell * magnet.wall_width / magnet.magnon_velocity * 1e12

    def see(_, n, m):
        wall = find_wall(space, n)
        return wall.position, wall.width

    return run_rotor(Rotor(texture, step), n, m, times, see).values


def test_a_current_moves_a_wall_at_beta_u_over_alpha_with_a_contracted_width():
    """V = beta u / alpha and lambda sqrt(1 - (v - u)^2 / c^2).

    The mesh errs by (h/lambda)^4, the step in time, proportional to h, by less with its square.
    """
    case = CASES["D07"]
    p, out = case["inputs"], case["outputs"]
    times = np.linspace(0, 20e-12, 21)
    found = []
    for cell in (0.2, 0.1):
        path = wall_motion(
            afm(damping=p["alpha"]),
            cell,
            times,
            -8,
            extent=40,
            transfer=SpinTransfer([p["u_n"], 0, 0], p["beta"]),
        )
        found.append(((path[-1, 0] - path[-2, 0]) / 1e-12, path[-1, 1]))
    coarse, fine = np.abs(np.array(found) / [out["v_formula"], out["width_formula"]] - 1)
    assert (coarse / fine > 8).all()
    assert (fine < 1e-4).all()


def test_a_current_step_without_beta_shifts_a_wall_by_u_over_gamma():
    """X(t) = (u/Gamma)(1 - exp(-Gamma t))."""
    magnet, times = afm(damping=0.05), np.linspace(0, 6e-12, 7)
    gamma = magnet.momentum_relaxation
    paths = [
        wall_motion(magnet, cell, times, extent=20, transfer=SpinTransfer([200.0, 0, 0]))[:, 0]
        for cell in (0.2, 0.1)
    ]
    exact = 200 / gamma * (1 - np.exp(-gamma * times))
    limit = (4 * paths[1] - paths[0]) / 3
    # the rigid wall is exact to (u/c)^2 = 5e-4
    assert np.abs(limit - exact)[1:].max() < 1e-3 * exact[-1]


def test_a_changing_current_kicks_a_wall_by_the_staggered_torque():
    """A step of u_st gives the velocity (a tau_sd / s) u_st at once, which then decays."""
    magnet, tau = afm(damping=0.05), 2e-15
    kick = magnet.homogeneous_exchange * tau / magnet.spin_density * 400.0
    times = np.linspace(0, 4e-12, 5)
    transfer = SpinTransfer([0.0, 0, 0], u_st=lambda t: np.array([400.0 if t > 0 else 0.0, 0, 0]), tau_sd=tau)
    paths = [wall_motion(magnet, cell, times, extent=20, transfer=transfer)[:, 0] for cell in (0.2, 0.1)]
    gamma = magnet.momentum_relaxation
    exact = kick / gamma * (1 - np.exp(-gamma * times))
    limit = (4 * paths[1] - paths[0]) / 3
    assert np.abs(limit - exact)[1:].max() < 2e-3 * exact[-1]


@pytest.mark.parametrize(
    "name",
    ["D09a", pytest.param("D09b", marks=pytest.mark.slow), pytest.param("D09c", marks=pytest.mark.slow)],
)
def test_spin_orbit_torque_moves_a_neel_wall_at_the_exact_velocity(name):
    """Against the eigenvalue of the travelling wave, up to 0.82 c: saturation at c included.

    The wall starts at the velocity of the collective coordinate; what is left of the difference
    decays as exp(-Gamma t).
    """
    case = CASES[name]
    p, out = case["inputs"], case["outputs"]
    magnet = afm(damping=p["alpha"])
    torque = SpinOrbitTorque((0, 1, 0), p["omega_D"])
    # The domains rest at the angle where the torque and the anisotropy balance.
    tilt = -0.5 * np.arcsin(p["omega_D"] * magnet.spin_density / magnet.anisotropy)
    duration = {"D09a": 14e-12, "D09b": 30e-12, "D09c": 30e-12}[name]
    extent = {"D09a": 24, "D09b": 36, "D09c": 60}[name]
    times = np.linspace(0, duration, 9)
    found = []
    for cell in (0.2, 0.1):
        path = wall_motion(
            magnet,
            cell,
            times,
            -0.5 * out["v_collective"] * duration / magnet.wall_width,
            out["v_collective"],
            extent,
            tilt,
            orbit=(torque,),
        )
        found.append((path[-1, 0] - path[-2, 0]) / (times[-1] - times[-2]))
    limit, rest = richardson(*found, order=4)
    assert abs(limit - out["v_bvp"]) < rest + 2e-4 * out["v_bvp"]
    assert limit < magnet.magnon_velocity


def test_a_wall_coasts_as_a_relativistic_particle():
    """P = M v / sqrt(1 - v^2/c^2) decays as exp(-Gamma t); X from its integral."""
    magnet = afm(damping=0.001)
    c, gamma = magnet.magnon_velocity, magnet.momentum_relaxation
    times = np.linspace(0, 20e-12, 3)
    paths = [wall_motion(magnet, cell, times, -6, 0.6 * c)[:, 0] for cell in (0.2, 0.1, 0.05)]
    start = 0.6 / np.sqrt(1 - 0.36)
    exact = c / gamma * (np.arcsinh(start) - np.arcsinh(start * np.exp(-gamma * times)))
    ends = [p[-1] - p[0] for p in paths]
    # more than third order: the step in time is the smaller part
    assert (ends[1] - ends[0]) / (ends[2] - ends[1]) > 8
    # the adiabatic width is exact to 1e-3 at Gamma / w_0 = 0.045
    assert ends[2] == pytest.approx(exact[-1], rel=1.3e-3)


@pytest.mark.slow
def test_spin_hall_torque_moves_a_neel_wall_as_published():
    """V = pi lambda w_D / (2 alpha) with DMI holding the wall; published tolerance 0.5 percent."""
    p, out = CASES["R23"]["inputs"], CASES["R23"]["outputs"]
    # sublattice stiffness: 2 A - A_nn over both; homogeneous exchange from the cell coupling
    magnet = afm(
        sublattice_saturation=p["Ms"],
        exchange_stiffness=2 * p["aex"] - p["afmex_nn"],
        anisotropy=2 * p["ku1"],
        homogeneous_exchange=1.7e8,
        damping=p["alpha"],
        interfacial_dmi=-2 * p["D_DMI"],
        g_factor=g_of(p["gammaLL"]),
    )
    assert magnet.wall_width == pytest.approx(out["Delta"], rel=1e-9)
    # w_D per sublattice: hbar J theta / (2 e M_0 t) gamma
    rate = HBAR * p["theta_SH"] * p["J"] / (2 * E_CHARGE * p["t"] * p["Ms"] / p["gammaLL"])
    times = np.linspace(0, 6e-12, 7)
    found = []
    for cell in (0.2, 0.1):
        path = wall_motion(magnet, cell, times, extent=20, orbit=(SpinOrbitTorque((0, 1, 0), rate),))
        found.append((path[-1, 0] - path[-2, 0]) / 1e-12)
    limit, _ = richardson(*found, order=4)
    assert limit == pytest.approx(out["v"], rel=5e-3)
