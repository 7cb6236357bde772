"""States of rest: stable under a small tilt, under drives that stand still, and without motion."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from texture_setup import afm, fm, line, point

from femspin.case.load import case_from_table
from femspin.errors import SolverError
from femspin.magnets.antiferromagnet import StaggeredTorque, antiferromagnet_texture
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.rest import TILT, stable, still_staggered, tilted
from femspin.magnets.run import relax_texture
from femspin.magnets.torques import SpinOrbitTorque, SpinTransfer
from femspin.magnets.walls import find_wall, wall_profile
from femspin.studies.textures.simulate import simulate_texture

CASES = Path(__file__).parents[1] / "cases"

FERRO = """
[texture]
kind = "ferromagnet"
[texture.mesh]
{mesh}
[texture.magnet]
saturation_magnetization = "8e5 A/m"
exchange_stiffness = "13 pJ/m"
damping = 0.02
anisotropy = "4e5 J/m^3"
"""
ANTI = """
[texture]
kind = "antiferromagnet"
duration = "20 ps"
output_interval = "0.05 ps"
[texture.mesh]
shape = "point"
length = "20 nm"
[texture.magnet]
sublattice_magnetization = "4.25e5 A/m"
exchange_field = "100 T"
exchange_stiffness = "5 pJ/m"
damping = 0.005
anisotropy = "4.25e4 J/m^3"
"""
POINT = 'shape = "point"\nlength = "20 nm"'
FILM = 'shape = "film"\nlength = "30 nm"\nwidth = "30 nm"\ncell = "10 nm"'
TORQUE = 1e-5  # default of relax_torque [T]


def solved(base, **texture):
    table = tomllib.loads(base)
    for key, value in texture.items():
        old = table["texture"].get(key)
        table["texture"][key] = old | value if isinstance(old, dict) else value
    return simulate_texture(case_from_table(table))


def loop(base, largest, points, **more):
    options = {"direction": [0, 0, 1], "largest": largest, "points": points}
    return solved(base, analysis="hysteresis", hysteresis=options, **more)


# ---------------------------------------------------------------- stability


@pytest.mark.parametrize("mesh", [POINT, FILM], ids=["point", "film"])
@pytest.mark.parametrize("start", [[0, 0, 1], [1e-3, 0, 1]])
def test_a_loop_along_the_easy_axis_is_a_square_as_wide_as_the_anisotropy_field(mesh, start):
    result = loop(FERRO.format(mesh=mesh), "2 T", 41, initial={"direction": start})
    step = 4.0 / 40
    assert result.values["texture.coercive_field"] == pytest.approx(1.0, abs=step)
    assert result.values["texture.loop_area"] == pytest.approx(4.0, abs=4 * step)
    along = result.curves[0].rows[:41, 1]
    np.testing.assert_allclose(np.abs(along), 1.0, atol=TORQUE**2)
    assert along[-1] < 0


@pytest.mark.parametrize(("field", "start", "end"), [(-3.0, [0, 0, 1], [0, 0, -1]), (0.0, [1, 0, 0], None)])
def test_relaxation_leaves_the_top_of_the_energy(field, start, end):
    result = solved(
        FERRO.format(mesh=POINT),
        analysis="relax",
        initial={"direction": start},
        fields=[{"field": ["0 T", "0 T", f"{field} T"]}],
    )
    m = result.frames[0][1]["m"]
    np.testing.assert_allclose(np.abs(m[:, 2]), 1.0, atol=TORQUE**2)
    if end is not None:
        np.testing.assert_allclose(m, np.broadcast_to(end, m.shape), atol=TORQUE)


def test_spins_flop_in_a_relaxation_and_in_a_loop():
    """Above the flop m = B/(2 B_E - B_A), 4.47 T; here at 8 T and 10 T with B_E = 100 T."""
    result = solved(ANTI, analysis="relax", fields=[{"field": ["0 T", "0 T", "8 T"]}])
    weak = 2 * 4.25e4 / (2 * 4.25e5)  # B_A of the model in n and m, B_sf^2 = 2 B_E B_A [T]
    assert np.sqrt(2 * 100 * weak) == pytest.approx(4.47, abs=0.01)
    fields = result.frames[0][1]
    # The torque B_SF-wise restoring n is (B^2 - B_sf^2)/2B_E = 0.22 T per rad.
    np.testing.assert_allclose(fields["n"][:, 2], 0.0, atol=TORQUE / 0.2)
    np.testing.assert_allclose(fields["m"][:, 2], 8 / 200, rtol=1e-3)
    rows = loop(ANTI, "10 T", 11).curves[0].rows
    np.testing.assert_allclose(rows[[0, 10], 1], [0.05, -0.05], rtol=1e-3)
    at_rest = np.abs(rows[:, 0]) < 4  # below the flop, and below where it ends
    np.testing.assert_allclose(rows[at_rest, 1], 0.0, atol=1e-6)


def test_a_wall_that_may_slide_stays_where_it_is_put():
    magnet = fm()
    space = line(magnet.wall_width, 20, 0.25)
    texture = ferromagnet_texture(space, magnet)
    where = 1.1 * magnet.wall_width
    start = wall_profile(space, where, magnet.wall_width, 0, 0.3)
    free = relax_texture(texture, texture.start(start), 1e-5, stays=False)
    tried = relax_texture(texture, texture.start(start), 1e-5)
    np.testing.assert_array_equal(tried, free)
    assert find_wall(space, tried).position == pytest.approx(where, abs=0.25 * magnet.wall_width)


def test_a_free_direction_is_kept():
    magnet = fm(anisotropy=-4e5)
    texture = ferromagnet_texture(point(), magnet)
    start = texture.start([0.6, 0.8, 0])
    np.testing.assert_array_equal(relax_texture(texture, start), start)


def test_a_state_short_of_its_switching_field_is_kept():
    """At 0.999 B_K the barrier is K (1 - h)^2 = 1e-6 K: less than what a bold descent passes."""
    magnet = fm()
    limit = 2 * magnet.anisotropy / magnet.saturation
    for ratio, sign in ((0.99, 1.0), (1.01, -1.0)):
        texture = ferromagnet_texture(point(), magnet, [0, 0, -ratio * limit])
        m = relax_texture(texture, texture.start([0, 0, 1.0]))
        assert np.sign(m[0, 2]) == sign


@pytest.mark.slow  # test_texture_stability keeps the claim
def test_a_rest_under_torque_that_is_unstable_is_left():
    """A torque along -z pulls m from +z once w_D exceeds alpha times the anisotropy."""
    magnet = fm(damping=0.3)
    limit = magnet.damping * 2 * magnet.anisotropy / magnet.saturation
    for ratio, sign in ((0.9, 1.0), (1.3, -1.0)):
        torque = SpinOrbitTorque((0.0, 0.0, -1.0), magnet.gamma * ratio * limit)
        texture = ferromagnet_texture(point(), magnet, torques=(torque,))
        m = relax_texture(texture, texture.start([0, 0, 1.0]))
        assert m[0, 2] == pytest.approx(sign, abs=1e-9)


@pytest.mark.slow
def test_a_rest_that_is_left_for_an_oscillation_is_called_unstable():
    """Above an easy plane held up by a field m turns at cos(theta) = (B - a/alpha)/M for ever.

    The torque left at the state along the field is 0, so that a large one is not the reason.
    """
    magnet = fm(anisotropy=-4e5, damping=0.3)
    hard = -2 * magnet.anisotropy / magnet.saturation
    torque = SpinOrbitTorque((0.0, 0.0, -1.0), magnet.gamma * magnet.damping * hard)
    field = (0.0, 0.0, 1.5 * hard)
    texture = ferromagnet_texture(point(), magnet, field=field, torques=(torque,))
    with pytest.raises(SolverError, match="sustain an oscillation") as told:
        relax_texture(texture, texture.start([0, 0, 1.0]))
    assert "the state at rest is unstable" in str(told.value)


def test_a_chain_of_unstable_states_ends_with_an_error():
    with pytest.raises(SolverError, match="no stable equilibrium"):
        stable(0.0, lambda x: x + 1.0)


def test_the_tilt_is_small_and_neither_uniform_nor_along_any_axis():
    for axis in np.eye(3):
        m = np.broadcast_to(axis, (50, 3))
        way = tilted(m) - m
        np.testing.assert_array_equal(tilted(-m), -tilted(m))
        across = way - np.outer(way @ axis, axis)
        assert np.linalg.norm(across.mean(axis=0)) > 0.3 * TILT
        assert np.ptp(across, axis=0).max() > TILT
        np.testing.assert_allclose(np.linalg.norm(m + way, axis=1), 1.0, atol=1e-14)
        assert np.linalg.norm(way, axis=1).max() < 5 * TILT


# ---------------------------------------------------------------- drives of time 0

SIGNALS = [{"shape": "pulse", "length": "1 ps"}, {"shape": "sine", "frequency": "1 GHz", "phase": "90 deg"}]


@pytest.mark.parametrize("signal", SIGNALS, ids=["pulse", "sine"])
@pytest.mark.parametrize(
    ("key", "drive"),
    [
        ("fields", {"field": ["2 T", "0 T", "0 T"]}),
        ("spin_orbit", {"polarisation": [0, 1, 0], "damping_like_rate": "3e9 1/s"}),
    ],
)
def test_an_antiferromagnet_rests_under_the_drives_of_time_0(key, drive, signal):
    start = {"direction": [0.3, 0.1, 1]}
    constant, signalled = (
        solved(ANTI, analysis="relax", initial=start, **{key: [d]}).frames[0][1]
        for d in (drive, drive | {"signal": signal})
    )
    for name in ("n", "m"):
        np.testing.assert_allclose(signalled[name], constant[name], atol=1e-14)
    size = {"fields": abs(constant["m"][0, 0]) - 0.01, "spin_orbit": constant["n"][0, 0] + 0.173}
    assert abs(size[key]) < 1e-3


def test_a_ferromagnet_rests_under_the_torque_of_time_0():
    drive = {"polarisation": [0, 1, 0], "damping_like": "0.1 T"}
    start = {"direction": [0.3, 0.1, 1]}
    constant, pulsed = (
        solved(FERRO.format(mesh=POINT), analysis="relax", initial=start, spin_orbit=[d]).frames[0][1]["m"]
        for d in (drive, drive | {"signal": SIGNALS[0]})
    )
    np.testing.assert_array_equal(pulsed, constant)
    assert abs(constant[0, 0]) > 0.05


def test_a_device_keeps_its_strength_of_time_0_while_the_magnet_relaxes():
    text = (CASES / "texture_coupled_switching.toml").read_text().split("[expected]")[0]
    table = tomllib.loads(text)
    layers = [("TmIG", "3 nm", 1), ("Pt", "4 nm", 4)]
    table["structure"] = {
        "dimension": 1,
        "layers": [{"region": r, "thickness": d, "cells": c} for r, d, c in layers],
    }
    table["drive"] = {"electric_field": ["2e5 V/m", "0 V/m", "0 V/m"]}
    table["texture"] |= {"analysis": "relax", "initial": {"direction": [0.1, 0, -1]}}
    table["texture"]["magnet"].pop("interfacial_dmi")
    found = []
    for signal in ({"shape": "constant"}, {"shape": "pulse", "length": "0.2 ns"}):
        table["texture"]["transport"]["signal"] = signal
        found.append(simulate_texture(case_from_table(table)).frames[-1][1]["m"])
    np.testing.assert_array_equal(found[1], found[0])
    assert found[0][:, 0].mean() > 0.1


def test_every_drive_of_an_antiferromagnet_stands_still():
    def fading(time):
        return np.exp(-time / 1e-12)

    texture = antiferromagnet_texture(
        point(),
        afm(),
        lambda x, t: np.array([2.0 * fading(t), 0, 0]),
        (SpinOrbitTorque((0, 1.0, 0), lambda t: 1e9 * fading(t), lambda t: 2e9 * fading(t)),),
        SpinTransfer(lambda t: 10 * fading(t) * np.array([1.0, 0, 0]), 0.1, tau_sd=1e-15),
        StaggeredTorque(lambda t, n, m: (fading(t) * n, fading(t) * m)),
    )
    quiet = still_staggered(texture)
    np.testing.assert_array_equal(quiet.field(5.0), texture.field(0.0))
    np.testing.assert_array_equal(quiet.orbit[0].rates(5.0)[1], texture.orbit[0].rates(0.0)[1])
    np.testing.assert_array_equal(quiet.transfer.rates(5.0).u_n, texture.transfer.rates(0.0).u_n)
    assert quiet.transfer.impulse(0.0, 5.0) is None
    n = texture.start([0, 0, 1.0])[0]
    np.testing.assert_array_equal(quiet.external.rates(5.0, n, n)[0], n)


# ---------------------------------------------------------------- start of a run

WEAK = {"homogeneous_dmi": ["0 J/m^3", "1.7e6 J/m^3", "0 J/m^3"]}  # d_h/a = 0.01


@pytest.mark.parametrize("relax", [True, False])
@pytest.mark.parametrize("scheme", ["rotor", "two_sublattice"])
def test_an_antiferromagnet_with_homogeneous_dmi_starts_at_rest(scheme, relax):
    result = solved(ANTI, magnet=WEAK, scheme=scheme, initial={"relax": relax})
    rows = result.history.rows
    assert rows[0, 4] == pytest.approx(-0.01, rel=1e-3)
    # Of two sublattices tan 2 theta = 2 d_h/(a + 2 K), of (n, m) tan theta = d_h/a: m differs by
    # (d_h/a)^3 + 2 K d_h/a^2, which turns n for 1/w_0 at the rate 2 gamma B_E m.  What the
    # relaxation leaves is relax_torque over B_A.
    differ = 0.01**3 + 0.01 * 2 * 4.25e4 / 1.7e8
    swing = differ * 200 / np.sqrt(2 * 100 * 0.1) + TORQUE / 0.1
    assert np.ptp(rows[:, 1:4], axis=0).max() < 2 * swing
    assert np.ptp(rows[:, 4:7], axis=0).max() < 2 * swing


def test_the_canting_of_homogeneous_dmi_is_that_of_relaxation():
    """Of two sublattices tan 2 theta = 2 d_h/(a + 2 K), with m = sin theta."""
    result = solved(ANTI, magnet=WEAK, analysis="relax", initial={"direction": [0, 0, 1]})
    exact = -np.sin(0.5 * np.arctan(2 * 0.01 / (1 + 2 * 4.25e4 / 1.7e8)))
    np.testing.assert_allclose(result.frames[0][1]["m"][:, 0], exact, rtol=1e-5)


def test_homogeneous_dmi_does_not_ring_beside_the_kick():
    """Of a start without canting n_y would swing by 0.6, whatever the kick."""
    kick = {"kick": 1e-3, "kick_axis": [0, 1, 0]}
    result = solved(ANTI, magnet=WEAK, analysis="resonance", resonance=kick)
    rows = result.history.rows
    assert np.ptp(rows[:, 2]) < 0.1 * np.ptp(rows[:, 1])
    # alpha a/2s over w_0 is alpha B_E/B_sf; the sampling misses (w_0 dt)^2/8 of the overshoot.
    ratio = 0.005 * 100 / np.sqrt(2 * 100 * 0.1)
    overshoot = np.exp(-np.pi * ratio / np.sqrt(1 - ratio**2))
    assert np.ptp(rows[:, 1]) == pytest.approx(1e-3 * (1 + overshoot), rel=1e-3)
