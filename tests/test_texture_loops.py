"""Loops and line shapes: what acts on the magnet acts in its numbers, or is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from marks import slow, slow_unless
from scipy.integrate import solve_ivp

from femspin.case.load import case_from_table
from femspin.errors import CaseError, SolverError
from femspin.studies.textures.simulate import simulate_texture
from femspin.units import HBAR, MU_0, MU_B

GAMMA = 2 * MU_B / HBAR
MS, ALPHA, FREQUENCY = 8e5, 0.01, 8e9
SINE = {"shape": "sine", "frequency": "8 GHz"}

POINT = {"shape": "point", "length": "100 nm"}
MAGNET = {"saturation_magnetization": "8e5 A/m", "exchange_stiffness": "13 pJ/m"}
LOOP = {
    "kind": "ferromagnet",
    "analysis": "hysteresis",
    "relax_torque": "0.1 uT",
    "mesh": POINT,
    "magnet": MAGNET | {"damping": 0.1, "anisotropy": "4e5 J/m^3"},
    # No field of the loop is the one it jumps at, 0.5 T, nor 0.2 T from it.
    "hysteresis": {"direction": [1, 0, 1], "largest": "1.49 T", "points": 150},
}
STAGGERED_LOOP = {
    "kind": "antiferromagnet",
    "analysis": "hysteresis",
    "mesh": POINT,
    "magnet": {
        "sublattice_magnetization": "4e5 A/m",
        "exchange_field": "10 T",
        "damping": 0.05,
        "exchange_stiffness": "5 pJ/m",
        "anisotropy": "2e5 J/m^3",
    },
    "hysteresis": {"direction": [0, 0, 1], "largest": "1 T", "points": 5},
}
LINE = {
    "kind": "ferromagnet",
    "analysis": "line_shape",
    "magnetostatics": "thin_film",
    "relax_torque": "0.1 nT",
    "mesh": POINT,
    "magnet": MAGNET | {"damping": ALPHA},
    "initial": {"direction": [1, 1, 0]},
    "spin_orbit": [
        {"polarisation": [0, 1, 0], "damping_like": "0.2 mT", "field_like": "0.1 mT", "signal": SINE}
    ],
    "line_shape": {
        "frequency": "8 GHz",
        "direction": [1, 1, 0],
        "low": "50 mT",
        "high": "100 mT",
        "points": 101,
    },
}


def solved(base, **more):
    """Return the result of a case with keys of [texture] replaced."""
    return simulate_texture(case_from_table({"texture": copy.deepcopy(base) | more}))


def refused(base, path, words, **more):
    with pytest.raises(CaseError) as caught:
        solved(base, **more)
    assert caught.value.path == path
    assert words in caught.value.problem
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- hysteresis


def test_steady_field_like_torque_moves_a_loop_as_its_field_does():
    torque = [{"polarisation": [1, 0, 1], "field_like": "0.2 T"}]
    values, plain = solved(LOOP, spin_orbit=torque).values, solved(LOOP).values
    step = 0.02  # a jump lies in the middle of a step; 0.2 T are ten whole ones
    assert values["texture.loop_shift"] == pytest.approx(-0.2, abs=1e-3 * step)
    assert values["texture.coercive_field"] == pytest.approx(plain["texture.coercive_field"], abs=1e-3 * step)


def test_loop_under_a_field_like_torque_has_the_states_that_rest_under_it():
    torque = [{"polarisation": [0.3, 1, 0.2], "field_like": "0.2 T"}]
    result = solved(LOOP, spin_orbit=torque)
    rows = next(c for c in result.curves if c.name == "loop").rows
    p = np.array([0.3, 1, 0.2]) / np.linalg.norm([0.3, 1, 0.2])
    unit = np.array([1, 0, 1]) / np.sqrt(2)
    for strength, _, *m in rows:
        # -m x B - B_FL m x p, written out
        easy = 2 * 4e5 / MS * np.array([0, 0, m[2]])
        left = np.cross(m, strength * unit + easy) + 0.2 * np.cross(m, p)
        assert np.linalg.norm(left) < 1e-7  # relax_torque


def test_field_like_torque_moves_the_loop_of_an_antiferromagnet():
    """Across the easy axis m = B/(2 B_E + B_A) along B; here B is the field and the torque."""
    base = STAGGERED_LOOP | {"hysteresis": {"direction": [1, 0, 0], "largest": "1 T", "points": 9}}
    torque = [{"polarisation": [1, 0, 0], "field_like": "0.25 T"}]
    values = solved(base, spin_orbit=torque).values
    rest = 1e-5 / 10.0  # moment that relax_torque leaves
    slope = values["texture.saturation"] / 1.25
    assert values["texture.remanence"] == pytest.approx(0.25 * slope, abs=rest)
    assert values["texture.loop_shift"] == pytest.approx(-0.25, abs=rest / slope)


CURRENT = {"density": ["1e12 A/m^2", "0 A/m^2", "0 A/m^2"], "polarisation": 0.5}
REFUSED_LOOP = {
    "damping_like": (
        {"spin_orbit": [{"polarisation": [0, 1, 0], "damping_like": "0.2 T"}]},
        "texture.spin_orbit.0",
        "field-like",
    ),
    "rate": (
        {"spin_orbit": [{"polarisation": [0, 1, 0], "damping_like_rate": "1e9 1/s"}]},
        "texture.spin_orbit.0",
        "field-like",
    ),
    "sine torque": (
        {"spin_orbit": [{"polarisation": [0, 1, 0], "field_like": "0.2 T", "signal": SINE}]},
        "texture.spin_orbit.0.signal",
        "change",
    ),
    "field with a start": (
        {
            "fields": [
                {"field": ["0 T", "0 T", "0 T"]},
                {"field": ["0 T", "0.1 T", "0 T"], "signal": {"start": "1 ps"}},
            ]
        },
        "texture.fields.1.signal",
        "change",
    ),
    "current": ({"current": CURRENT}, "texture.current", "no current"),
    "heat": ({"temperature": "300 K", "step": "10 fs"}, "texture.temperature", "at rest"),
}


@pytest.mark.parametrize("name", REFUSED_LOOP)
def test_loop_refuses_what_it_would_leave_out(name):
    more, path, words = REFUSED_LOOP[name]
    refused(LOOP, path, words, **more)


@pytest.mark.parametrize("strength", ["damping_like", "field_like"])
def test_loop_refuses_a_staggered_torque(strength):
    torque = {"polarisation": [1, 0, 0], strength: "1 mT", "staggered": True}
    where = "texture.spin_orbit.0" + (".staggered" if strength == "field_like" else "")
    refused(STAGGERED_LOOP, where, "field-like", spin_orbit=[torque])


def test_loop_without_moment_has_no_coercive_field():
    """Below the spin flop a field along the easy axis leaves m = 0."""
    values = solved(STAGGERED_LOOP).values
    assert "texture.coercive_field" not in values
    assert "texture.loop_shift" not in values
    assert np.isfinite([values["texture." + k] for k in ("remanence", "loop_area")]).all()


def test_resonance_refuses_a_field_that_starts_later():
    base = {k: v for k, v in LOOP.items() if k != "hysteresis"}
    field = [{"field": ["0 T", "0.1 T", "0 T"], "signal": {"start": "1 ps"}}]
    refused(base, "texture.fields.0.signal", "change", analysis="resonance", resonance={}, fields=field)


# ---------------------------------------------------------------- line shape

ALONG = np.array([1, 1, 0]) / np.sqrt(2)


def crossed(a, b):
    """Return a x b of two vectors; `np.cross` takes ten times as long for so few numbers."""
    (x, y, z), (u, v, w) = a, b
    return np.array([y * w - z * v, z * u - x * w, x * v - y * u])


def rate(m, field, damping_like=()):
    """Return dm/dt of a film, by the equation as it is written: [1/s]."""
    total = -GAMMA * crossed(m, field - MU_0 * MS * np.array([0, 0, m[2]]))
    for strength, p in damping_like:
        total -= GAMMA * strength * crossed(m, crossed(m, p))
    return (total + ALPHA * crossed(m, total)) / (1 + ALPHA**2)


def locked_in(strength, steady):
    """Return the complex amplitude of m_x at 8 GHz, from the motion under a small cosine.

    The start decays at alpha gamma (2 B + M)/2 + w_D > 0.9/ns, in 20 ns to below 1e-7.
    """
    w, small = 2 * np.pi * FREQUENCY, 0.01
    y = np.array([0.0, 1.0, 0.0])

    def motion(t, m):
        shake = small * np.cos(w * t)
        return rate(m, strength * ALONG + shake * 1e-4 * y, [(shake * 2e-4, y), (steady, ALONG)])

    start, period = 20e-9, 1 / FREQUENCY
    times = start + np.linspace(0, 2 * period, 64, endpoint=False)
    m = solve_ivp(
        motion,
        (0, times[-1]),
        ALONG,
        "DOP853",
        times,
        rtol=1e-10,
        atol=1e-13,
        first_step=1e-12,
        max_step=2e-11,
    ).y[0]
    return 2 * np.mean(m * np.exp(-1j * w * times)) / small


@pytest.mark.parametrize("steady", [0.5e-3, slow(-0.5e-3)])
def test_line_under_a_steady_damping_like_torque_is_that_of_the_motion(steady):
    torque = {"polarisation": [1, 1, 0], "damping_like": f"{steady} T"}
    result = solved(LINE, spin_orbit=[*LINE["spin_orbit"], torque])
    rows = next(c for c in result.curves if c.name == "line_shape").rows
    row = rows[51]  # on the line, at 75.5 mT
    expected = ALONG[0] * locked_in(row[0], steady)
    # The square of the angle of the motion, (2e-6 T/2 mT)^2, and what is left of the start.
    assert row[1] + 1j * row[2] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("steady", [0.5e-3, slow(-0.5e-3)])
def test_steady_damping_like_torque_changes_the_width_by_kittels_slope(steady):
    """The decay rate is (alpha gamma (2 B + M) / 2 + w_D), the width that over dw/dB."""
    torque = {"polarisation": [1, 1, 0], "damping_like": f"{steady} T"}
    values = solved(LINE, spin_orbit=[*LINE["spin_orbit"], torque]).values
    centre, film, omega = values["texture.resonance_field"], MU_0 * MS, 2 * np.pi * FREQUENCY
    width = ALPHA * omega / GAMMA + 2 * steady * omega / GAMMA / (2 * centre + film)
    second = ALPHA**2 * (1 + film / centre)
    assert values["texture.linewidth"] == pytest.approx(width, rel=2 * second)
    assert "texture.torque_ratio" not in values


def test_steady_field_like_torque_moves_the_line_as_its_field_does():
    torque = {"polarisation": [1, 1, 0], "field_like": "5 mT"}
    values = solved(LINE, spin_orbit=[*LINE["spin_orbit"], torque]).values
    plain = solved(LINE).values
    moved = values["texture.resonance_field"] - plain["texture.resonance_field"]
    # of the misfit of a line of the other field range
    assert moved == pytest.approx(-5e-3, abs=1e-4 * plain["texture.linewidth"])


def test_state_that_a_steady_torque_makes_unstable_has_no_line():
    torque = {"polarisation": [1, 1, 0], "damping_like": "-20 mT"}
    with pytest.raises(SolverError, match="unstable"):
        solved(LINE, spin_orbit=[*LINE["spin_orbit"], torque])


def spin_orbit(**signal):
    return {"spin_orbit": [LINE["spin_orbit"][0] | {"signal": SINE | signal}]}


FIELD = ["0 T", "1 mT", "0 T"]
REFUSED_LINE = {
    "phase": (spin_orbit(phase="90 deg"), "texture.spin_orbit.0.signal", "phase"),
    "start": (spin_orbit(start="1 ps"), "texture.spin_orbit.0.signal", "start"),
    "rise": (spin_orbit(rise="1 ps"), "texture.spin_orbit.0.signal", "rise"),
    "frequency": (spin_orbit(frequency="9 GHz"), "texture.spin_orbit.0.signal.frequency", "9e+09 Hz"),
    "field with a start": (
        {"fields": [{"field": FIELD, "signal": {"start": "1 ps"}}]},
        "texture.fields.0.signal",
        "start",
    ),
    "pulse": (
        {"fields": [{"field": FIELD, "signal": {"shape": "pulse", "length": "1 ps"}}]},
        "texture.fields.0.signal",
        "shape",
    ),
    "current": ({"current": CURRENT}, "texture.current", "no current"),
    "large mesh": (
        {
            "mesh": {"shape": "line", "length": "1 um", "cell": "2 nm"},
            "spin_orbit": [*LINE["spin_orbit"], {"polarisation": [1, 0, 0], "damping_like": "1 mT"}],
        },
        "texture.spin_orbit",
        "at most 450 nodes",
    ),
}


@pytest.mark.parametrize("name", REFUSED_LINE)
def test_line_refuses_what_it_would_leave_out(name):
    more, path, words = REFUSED_LINE[name]
    refused(LINE, path, words, **more)


# ---------------------------------------------------------------- torque ratio

SECOND = ALPHA**2 * (1 + MU_0 * MS / 0.04)  # of order alpha^2: the far pole of the response


@pytest.mark.parametrize("seed", slow_unless((0,), range(6)))
def test_torque_ratio_is_that_of_the_torques_for_any_anisotropy(seed):
    """Anisotropies with m along or across their axes, so that m stays with the field."""
    rng = np.random.default_rng(seed)
    across = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    angle, fields = rng.uniform(0, np.pi), rng.uniform(0, 0.03, 2)
    tilted = np.cos(angle) * across + np.sin(angle) * np.array([0, 0, 1])
    magnet = LINE["magnet"] | {
        "anisotropy": f"{fields[0] * MS / 2} J/m^3",
        "axis": [1, 1, 0],
        "hard_anisotropy": f"{fields[1] * MS / 2} J/m^3",
        "hard_axis": tilted.tolist(),
    }
    wanted = rng.uniform(-3, 3)
    torque = LINE["spin_orbit"][0] | {"damping_like": f"{wanted * 1e-4} T"}
    field = [{"field": [f"{x} T" for x in 0.01 * rng.uniform(-1, 1) * ALONG]}]
    options = LINE["line_shape"] | {"low": "1 mT", "high": "250 mT", "points": 251}
    values = solved(LINE, magnet=magnet, spin_orbit=[torque], fields=field, line_shape=options).values
    assert values["texture.torque_ratio"] == pytest.approx(wanted, rel=2 * SECOND, abs=2 * SECOND)


def test_field_of_the_current_counts_as_a_field_like_torque():
    field = [{"field": ["0 T", "0.1 mT", "0 T"], "signal": SINE}]
    values = solved(LINE, fields=field).values
    assert values["texture.torque_ratio"] == pytest.approx(1.0, rel=2 * SECOND)


NO_RATIO = {
    "m turns with the field": {"fields": [{"field": ["20 mT", "0 T", "0 T"]}]},
    "two axes of torques": {"fields": [{"field": ["0 T", "0 T", "0.1 mT"], "signal": SINE}]},
    "torque out of the plane of the resistance": {
        "spin_orbit": [LINE["spin_orbit"][0] | {"polarisation": [0, 1, 1]}]
    },
    "no field-like torque": {"spin_orbit": [LINE["spin_orbit"][0] | {"field_like": "0 T"}]},
}


@pytest.mark.parametrize("name", NO_RATIO)
def test_torque_ratio_is_left_out_where_its_formula_does_not_hold(name):
    values = solved(LINE | {"relax_torque": "1 uT"}, **NO_RATIO[name]).values
    assert "texture.torque_ratio" not in values
    assert "texture.resonance_field" in values


# ---------------------------------------------------------------- alternating wall

WALL = {
    "kind": "antiferromagnet",
    "duration": "60 ps",
    "output_interval": "0.5 ps",
    "mesh": {"shape": "line", "length": "160 nm", "cell": "4 nm"},
    "magnet": STAGGERED_LOOP["magnet"] | {"exchange_field": "100 T", "anisotropy": "4e4 J/m^3"},
    "initial": {"type": "wall"},
    "wall": {},
}


def wall(*signals, **more):
    """Return the numbers of a wall under currents and torques with these signals."""
    current = {
        "density": CURRENT["density"],
        "p_n": 0.3,
        "tau_sd": "10 fs",
        "beta": 0.01,
        "signal": {"shape": "sine", "frequency": "100 GHz"} | signals[0],
    }
    fields = [{"field": ["0 T", "1 nT", "0 T"], "signal": {"shape": "sine"} | s} for s in signals[1:]]
    return solved(WALL, current=current, fields=fields, **more).values


@pytest.mark.parametrize("signal", [{"start": "2.5 ps"}, slow({"phase": "90 deg"})])
def test_phase_of_a_wall_is_relative_to_its_drive(signal):
    plain, found = (wall(s)["texture.wall.alternating.phase"] for s in ({}, signal))
    # what is left after 30 ps of the start: exp(-Gamma 30 ps) below 1e-6
    assert found == pytest.approx(plain, abs=1e-3)


def test_two_frequencies_or_phases_have_no_single_phase():
    short = {"duration": "20 ps"}
    for other in ({"frequency": "90 GHz"}, {"frequency": "100 GHz", "phase": "45 deg"}):
        assert "texture.wall.alternating.phase" not in wall({}, other, **short)
    assert "texture.wall.alternating.phase" in wall({}, {"frequency": "100 GHz"}, **short)


@pytest.mark.parametrize("angle", [30, slow(45)])
def test_a_loop_switches_at_the_field_of_stoner_and_wohlfarth(angle):
    """B = B_K (cos^(2/3) + sin^(2/3))^(-3/2); the state is left at the first field beyond it.

    Before the last fields the barrier is only some 0.03 rad away, which no step may pass.
    """
    a = np.radians(angle)
    exact = 0.5 * 0.5 * (np.cos(a) ** (2 / 3) + np.sin(a) ** (2 / 3)) ** -1.5
    points = 1001
    case = LOOP | {
        "magnet": MAGNET | {"damping": 0.5, "anisotropy": "1e5 J/m^3"},
        "initial": {"direction": [1, 0, 1]},
        "hysteresis": {
            "direction": [float(np.sin(a)), 0, float(np.cos(a))], "points": points,
            "largest": f"{1.03 * exact} T",
        },
    }  # fmt: skip
    result = simulate_texture(case_from_table({"title": "loop", "texture": case}))
    loop = result.curves[0].rows
    for branch, sign in ((loop[:points], -1), (loop[points - 1 :], 1)):
        k = int(np.argmax(np.abs(np.diff(branch[:, 1]))))
        last, first = sign * branch[k : k + 2, 0]
        assert last < exact < first
