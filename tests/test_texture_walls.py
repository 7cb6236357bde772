"""Ferromagnetic domain walls under field, current and spin-orbit torque.

Velocities on two meshes are extrapolated: the error of linear elements is of order (h/lambda)^2.
"""

from __future__ import annotations

import numpy as np
import pytest
from marks import slow
from texture_setup import CASES, GAMMA, fm, g_of, line, richardson

from femspin.errors import SolverError
from femspin.magnets.explicit import RungeKutta
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.run import run_texture
from femspin.magnets.torques import SpinTransfer
from femspin.magnets.walls import find_wall, wall_profile
from femspin.units import MU_0


def motion(magnet, cell, times, start, field=None, u=0.0, beta=0.0, extent=30):
    """Return position [m], width [m] and tilt [rad] at the times, shape (k, 3)."""
    position, width, tilt = start
    space = line(magnet.wall_width, extent, cell)
    torques = (SpinTransfer([u, 0, 0], beta),) if u else ()
    texture = ferromagnet_texture(space, magnet, field=field, torques=torques)

    def see(_, m):
        wall = find_wall(space, m)
        return wall.position, wall.width, wall.tilt

    m = wall_profile(space, position, width, tilt=tilt)
    return run_texture(RungeKutta(texture, 1e-7), m, times, see).values


def speed(path, times):
    """Return the mean velocity over the second half [m/s]."""
    half = len(times) // 2
    return (path[-1, 0] - path[half, 0]) / (times[-1] - times[half])


@pytest.mark.parametrize("ratio", [slow(0.25), slow(0.5), 0.9])
def test_a_wall_below_walkers_field_moves_as_his_exact_solution(ratio):
    case = CASES["R18"]
    p, out = case["inputs"], case["outputs"][f"H/HW={ratio}"]
    magnet = fm(
        exchange_stiffness=p["A"],
        saturation=p["Ms"],
        anisotropy=p["K"],
        hard_anisotropy=p["Kp"],
        damping=p["alpha"],
        g_factor=g_of(p["gamma0"] / MU_0),
    )
    assert magnet.walker_field == pytest.approx(case["outputs"]["B_W_T"], rel=1e-9)
    field = [0, 0, ratio * magnet.walker_field]
    times = np.linspace(0, 0.1e-9, 3)
    found = []
    for cell in (0.2, 0.1):
        start = (0.0, out["Delta"], np.radians(out["phi_deg"]))
        path = motion(magnet, cell, times, start, field)
        found.append((speed(path, times), path[-1, 1], path[-1, 2]))
    for k, exact in enumerate((out["v"], out["Delta"], np.radians(out["phi_deg"]))):
        limit, rest = richardson(found[0][k], found[1][k])
        # besides the mesh, the start is the exact profile of the continuum and not of the mesh
        assert abs(limit - exact) < rest + 2e-4 * abs(exact)


@pytest.mark.parametrize("case", [slow("field"), "current"])
def test_a_wall_without_hard_axis_turns_while_it_moves(case):
    """Beyond breakdown with K_h = 0: v = alpha gamma lambda B/(1+alpha^2), phi' = gamma B/(1+..).

    Under a current v = (1 + alpha beta) u/(1 + alpha^2), phi' = (beta - alpha) u/((1+..) lambda).
    """
    case_1 = CASES["R19"]["inputs"]["case1"]
    out = CASES["R19"]["outputs"]
    magnet = fm(
        exchange_stiffness=case_1["A"],
        saturation=case_1["Ms"],
        anisotropy=case_1["K"],
        damping=case_1["alpha"],
    )
    times = np.linspace(0, 0.1e-9, 9)
    field, u, beta = None, case_1["u"], case_1["beta"]
    exact = np.array([out["case1_v_Kp0"], out["case1_phidot"]])
    if case == "field":
        field, u, beta, alpha = [0, 0, 5e-3], 0.0, 0.0, magnet.damping
        turn = magnet.gamma * 5e-3 / (1 + alpha**2)
        exact = np.array([alpha * magnet.wall_width * turn, turn])
    found = []
    for cell in (0.2, 0.1):
        path = motion(magnet, cell, times, (0.0, magnet.wall_width, 0.0), field, u, beta)
        tilt = np.unwrap(path[:, 2])
        found.append((speed(path, times), (tilt[-1] - tilt[4]) / (times[-1] - times[4])))
    for k in range(2):
        limit, rest = richardson(found[0][k], found[1][k])
        assert abs(limit - exact[k]) < rest + 1e-4 * abs(exact[k])


@pytest.mark.slow  # texture_fm_wall_current keeps the claim
def test_below_breakdown_a_current_moves_the_wall_at_beta_u_over_alpha():
    case = CASES["R19"]
    p = case["inputs"]["case2"]
    magnet = fm(
        exchange_stiffness=p["A"],
        saturation=p["Ms"],
        anisotropy=p["K"],
        hard_anisotropy=p["Kp"],
        damping=p["alpha"],
        g_factor=g_of(p["gamma0"] / MU_0),
    )
    times = np.linspace(0, 0.1e-9, 3)
    phi = np.radians(case["outputs"]["case2_phi_deg"])
    width = np.sqrt(p["A"] / (p["K"] + p["Kp"] * np.sin(phi) ** 2))
    found = [
        speed(motion(magnet, cell, times, (0.0, width, phi), u=p["u"], beta=p["beta"], extent=20), times)
        for cell in (0.2, 0.1)
    ]
    limit, rest = richardson(*found)
    assert abs(limit - case["outputs"]["case2_v_below_breakdown"]) < rest + 1e-3 * 5.0


def test_the_adiabatic_torque_alone_only_shifts_and_tilts_a_wall():
    """Beta = 0 below breakdown: the wall comes to rest with a tilt."""
    magnet = fm(hard_anisotropy=2e5, damping=0.5)
    times = np.linspace(0, 0.4e-9, 9)
    path = motion(magnet, 0.4, times, (0.0, magnet.wall_width, 0.0), u=50.0, extent=20)
    assert abs(path[-1, 0] - path[-2, 0]) / 0.05e-9 < 1e-3 * 50.0
    assert abs(path[-1, 2]) > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("drive", ["current", "field"])
def test_a_wall_from_rest_reaches_the_steady_velocity_of_the_reference(drive):
    """From rest with hard axis: beta u / alpha, and gamma lambda(phi) B / alpha."""
    p = CASES["F03"]["inputs"]
    magnet = fm(hard_anisotropy=p["Kh"], damping=p["alpha"])
    times = np.linspace(0, 0.8e-9, 17)
    kwargs = {"u": p["u"], "beta": p["beta"]}
    exact = CASES["F03"]["outputs"]["v_formula"]
    if drive == "field":
        phi = 0.5 * np.arcsin(8e-3 / magnet.walker_field)
        width = np.sqrt(1.3e-11 / (4e5 + p["Kh"] * np.sin(phi) ** 2))
        kwargs, exact = {"field": [0, 0, 8e-3]}, GAMMA * width * 8e-3 / p["alpha"]
    found = []
    for cell in (0.25, 0.125):
        path = motion(
            magnet, cell, times, (-8 * magnet.wall_width, magnet.wall_width, 0.0), extent=40, **kwargs
        )
        found.append((path[-1, 0] - path[-3, 0]) / (times[-1] - times[-3]))
    limit, rest = richardson(*found)
    # what is left of the start decays as exp(-alpha gamma (2 K_h / M_s) t / 2): below 1e-3
    assert abs(limit - exact) < rest + 1e-3 * exact


def test_walls_break_down_between_5_percent_below_and_above_walkers_field():
    """The tilt stays below 45 degrees under B_W and runs away above it."""
    magnet = fm(hard_anisotropy=2e5, damping=0.5)
    times = np.linspace(0, 0.5e-9, 26)
    tilts = []
    for part in (0.95, 1.05):
        field = [0, 0, part * magnet.walker_field]
        start = (-10 * magnet.wall_width, 0.95 * magnet.wall_width, 0.6)
        path = motion(magnet, 0.42, times, start, field, extent=42)
        tilts.append(np.unwrap(path[:, 2]).max())
    assert tilts[0] < np.pi / 4
    assert tilts[1] > np.pi / 2


def test_find_wall_recovers_position_width_and_tilt_of_a_profile():
    magnet = fm()
    space = line(magnet.wall_width, 20, 0.1)
    for width in (5e-9, -5e-9):
        wall = find_wall(space, wall_profile(space, 3e-9, width, tilt=-0.7))
        assert wall.position == pytest.approx(3e-9, abs=1e-15)
        assert wall.width == pytest.approx(width, rel=1e-9)
        # the tilt is interpolated linearly between planes
        assert wall.tilt == pytest.approx(-0.7, abs=1e-12)


def test_a_texture_without_a_wall_or_with_one_at_the_end_is_refused():
    magnet = fm()
    space = line(magnet.wall_width, 20, 0.5)
    with pytest.raises(SolverError, match="no wall"):
        find_wall(space, np.tile([0.0, 0.0, 1.0], (space.size, 1)))
    with pytest.raises(SolverError, match="end of the magnet"):
        find_wall(space, wall_profile(space, 9.9 * magnet.wall_width, magnet.wall_width))
