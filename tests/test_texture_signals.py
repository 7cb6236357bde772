"""Drives that change in time: no edge is missed, no kick is lost, and steps resolve the rates."""

from __future__ import annotations

import copy
import tomllib
from itertools import pairwise

import numpy as np
import pytest
from marks import slow
from scipy.integrate import solve_ivp
from test_texture_coupled import LINE, Interrupted, T
from test_texture_coupled import case as device_case

from femspin import case_from_table
from femspin.case.texture_drives import Signal
from femspin.magnets.intervals import smooth_parts
from femspin.studies.textures.clock import drive_breaks
from femspin.studies.textures.keeper import Keeper
from femspin.studies.textures.simulate import simulate_texture
from femspin.units import E_CHARGE, HBAR, MU_B, TIME

GAMMA = 2 * MU_B / HBAR

POINT = """
[texture]
kind = "ferromagnet"
duration = "600 ps"
output_interval = "150 ps"
[texture.mesh]
shape = "point"
length = "20 nm"
[texture.magnet]
saturation_magnetization = "8e5 A/m"
exchange_stiffness = "13 pJ/m"
damping = 0.02
anisotropy = "4e5 J/m^3"
[[texture.fields]]
field = ["0.1 T", "0 T", "0 T"]
"""

ROTOR = """
[texture]
kind = "antiferromagnet"
duration = "10 ps"
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

WALL = """
[texture]
kind = "antiferromagnet"
duration = "12 ps"
output_interval = "0.5 ps"
frames = 1
checkpoint = "1 ns"
[texture.mesh]
shape = "line"
length = "120 nm"
cell = "2 nm"
[texture.magnet]
sublattice_magnetization = "4.25e5 A/m"
exchange_field = "100 T"
exchange_stiffness = "5 pJ/m"
damping = 0.02
anisotropy = "4.25e4 J/m^3"
[texture.initial]
type = "wall"
[texture.wall]
[texture.current]
density = ["1e12 A/m^2", "0 A/m^2", "0 A/m^2"]
p_n = 0.4
tau_sd = "20 fs"
beta = 0.0
"""

_TURN = 0.1  # largest rotation per step of the rotor scheme [rad]


def run(text: str, keeper=None, **texture):
    """Return the result of a case with keys of [texture] merged in."""
    table = tomllib.loads(text)
    merge(table["texture"], texture)
    return simulate_texture(case_from_table(table), keeper=keeper)


def merge(table: dict, changes: dict) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            merge(table[key], value)
        else:
            table[key] = copy.deepcopy(value)


def pulse(start: float, length: float, **more) -> dict:
    return {"shape": "pulse", "start": f"{start!r} s", "length": f"{length!r} s"} | more


# ---------------------------------------------------------------- breaks


def test_a_signal_knows_where_it_is_not_smooth():
    shapes = {
        (0.0,): Signal(),
        (1e-9, 2e-9): Signal(start="1 ns", rise="1 ns"),
        (1e-9, 2e-9, 4e-9, 5e-9): Signal(shape="pulse", start="1 ns", rise="1 ns", length="4 ns"),
        (0.0, 3e-9): Signal(shape="pulse", length="3 ns"),
        (2e-9,): Signal(shape="sine", start="2 ns", frequency="1 GHz"),
        (0.0, 1e-9, 3e-9): Signal(shape="sequence", times=["1 ns", "3 ns"], values=[1.0, -2.0]),
    }
    for expected, signal in shapes.items():
        assert signal.breaks == pytest.approx(expected)


def test_every_part_of_a_run_sees_one_side_of_a_jump():
    """Starts and lengths at random, in seconds, against a clock in ps: never the other side."""
    rng = np.random.default_rng(5)
    for _ in range(2000):
        start, length = (10 ** rng.uniform(-15, -8, 2)).tolist()
        signal = Signal(shape="pulse", start=f"{start!r} s", length=f"{length!r} s")
        end = (start + length) * 1.3 / TIME
        parts = smooth_parts(0.0, end, np.array(signal.breaks) / TIME)
        if length > 1e-12 * start:
            assert len(parts) == 3
            for part, value in zip(parts, (0.0, 1.0, 0.0), strict=True):
                assert signal.scale(part.start * TIME) == value
                assert signal.scale(part.stop * TIME) == value
        for one, other in pairwise(parts):
            assert other.before == one.stop
            assert other.start > one.stop


def test_a_break_at_an_output_time_is_met_from_both_sides():
    """Also where the output time and the break differ by round-off."""
    for shift in (-2, 0, 2):
        at = 300.0 * (1 + shift * np.finfo(float).eps)
        (first,), (second,) = (smooth_parts(*span, [at]) for span in ((0, 300.0), (300.0, 500.0)))
        assert first.stop < at < second.start
        assert second.before is not None
    assert smooth_parts(0.0, 1.0, [])[0].before is None


# ---------------------------------------------------------------- pulses


def exact_macrospin(start: float, length: float, times: np.ndarray) -> np.ndarray:
    """Return m of the macrospin under a field pulse, integrated edge by edge, shape (k, 3)."""
    stiff, damping = 2 * 4e5 / 8e5, 0.02

    def rate(_, m, field):
        torque = -GAMMA * np.cross(m, [field, 0, stiff * m[2]])
        return (torque + damping * np.cross(m, torque)) / (1 + damping**2)

    m, found = np.array([0.0, 0.0, 1.0]), {}
    edges = (0.0, start, start + length, times[-1])
    for (a, b), field in zip(pairwise(edges), (0.0, 0.1, 0.0), strict=True):
        inside = [t for t in times if a <= t <= b]
        path = solve_ivp(
            rate,
            (a, b),
            m,
            args=(field,),
            rtol=1e-10,
            atol=1e-12,
            t_eval=[*inside, *([] if b in inside else [b])],
        )
        m = path.y[:, -1]
        found |= dict(zip(inside, path.y.T, strict=False))
    return np.array([found[t] for t in times])


@pytest.mark.parametrize("scheme", ["midpoint", "runge_kutta"])
@pytest.mark.parametrize("length", [2.3e-12, 60e-12])
def test_a_pulse_between_outputs_acts_in_full(scheme, length):
    """The error stays below what was allowed per step, whenever the pulse comes."""
    for start in (502e-12, 502.6e-12):
        signal = pulse(start, length)
        result = run(POINT, scheme=scheme, fields=[{"field": ["0.1 T", "0 T", "0 T"], "signal": signal}])
        rows = result.history.rows
        expected = exact_macrospin(start, length, rows[:, 0])
        allowed = result.values["texture.steps"] * result.case.texture.tolerance
        assert np.abs(expected[-1, :2]).max() > 2 * allowed
        assert np.abs(rows[:, 1:4] - expected).max() < allowed


def test_fixed_steps_end_at_the_edges_of_a_pulse():
    """Heun's error is of order 2 although no step length divides the pulse."""
    start, length, errors = 20.3e-12, 7.7e-12, []
    for step in (0.2, 0.1):
        result = run(
            POINT,
            scheme="heun",
            step=f"{step} ps",
            duration="60 ps",
            output_interval="60 ps",
            fields=[{"field": ["0.1 T", "0 T", "0 T"], "signal": pulse(start, length)}],
        )
        rows = result.history.rows
        errors.append(np.abs(rows[:, 1:4] - exact_macrospin(start, length, rows[:, 0])).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


def exact_rotor(length: float, end: float) -> np.ndarray:
    """Return n at the end after a pulse of damping-like torque, edge by edge, shape (3,)."""
    a, s, stiffness, damping = 4 * 4.25e5 * 100, 2 * 4.25e5 / GAMMA, 4.25e4, 0.005

    def rate(_, y, torque):
        n, m = y[:3], y[3:]
        order = np.array([0, 0, -2 * stiffness * n[2]])
        n_dot = np.cross(n, a * m) / s
        pushed = np.cross(n, np.cross(n, [0, 1.0, 0]))
        m_dot = np.cross(n, order) / s + damping * np.cross(n, n_dot) - torque * pushed
        return np.concatenate([n_dot, m_dot])

    y = np.array([0, 0, 1.0, 0, 0, 0])
    for span, torque in ((length, 5e10), (end - length, 0.0)):
        y = solve_ivp(rate, (0, span), y, args=(torque,), method="DOP853", rtol=1e-10, atol=1e-13).y[:, -1]
    return y[:3]


@pytest.mark.parametrize("length", [0.02e-12, 0.5e-12])
@pytest.mark.parametrize("scheme", ["rotor", "two_sublattice"])
def test_an_antiferromagnet_takes_up_a_pulse_shorter_than_its_step(length, scheme):
    orbit = {"polarisation": [0, 1, 0], "damping_like_rate": "5e10 1/s", "signal": pulse(3.01e-12, length)}
    n = run(ROTOR, spin_orbit=[orbit], scheme=scheme).history.rows[-1, 1:4]
    expected = exact_rotor(length, 10e-12 - 3.01e-12)
    assert np.abs(n - expected).max() < _TURN**2 * abs(expected[0])


def test_the_solved_device_is_pulsed_in_full_whatever_the_output_interval():
    """The pulse lies between outputs, while transport rests and the steps are long."""
    found, allowed = [], 0.0
    for interval in ("100 ps", "0.5 ps"):
        result = simulate_texture(
            device_case(
                LINE
                | {
                    "texture.initial": {"relax": True},
                    "texture.duration": "200 ps",
                    "drive": {"electric_field": ["3e6 V/m", "0 V/m", "0 V/m"]},
                    "texture.fields": [{"field": ["5 mT", "0 T", "0 T"]}],
                    "texture.output_interval": interval,
                    T + "signal": pulse(130.5e-12, 9e-12),
                }
            )
        )
        rows = result.history.rows
        found.append(rows[-1, 1:4] - rows[0, 1:4])
        allowed += result.values["texture.steps"] * result.case.texture.tolerance
        allowed += result.values["texture.transport.angle_error"]
    assert np.abs(found[1]).max() > 2 * allowed
    np.testing.assert_allclose(found[0], found[1], atol=allowed)


def test_steps_sample_every_sine():
    """At rest in a field along m a step could be as long as the run."""
    field = {"field": ["0 T", "0 T", "0.1 T"], "signal": {"shape": "sine", "frequency": "50 GHz"}}
    for scheme in ("midpoint", "runge_kutta"):
        result = run(POINT, scheme=scheme, fields=[field], duration="200 ps", output_interval="50 ps")
        assert result.values["texture.steps"] >= 20 * 200e-12 * 50e9


@pytest.mark.parametrize("scheme", ["midpoint", slow("runge_kutta"), "rotor"])
def test_a_run_resumed_at_the_edge_of_a_pulse_is_the_same_bit_for_bit(scheme, tmp_path):
    if scheme == "rotor":
        changes = {"current": {"signal": pulse(0.0, 4e-12)}}
        text = WALL
    else:
        # Checkpoints are every 100th of the outputs: the edges are at outputs of their own.
        changes = {
            "scheme": scheme,
            "checkpoint": "1 ns",
            "output_interval": "50 ps",
            "fields": [{"field": ["0.1 T", "0 T", "0 T"], "signal": pulse(350e-12, 50e-12)}],
        }
        text = POINT
    reference = run(text, **changes)
    this, path = reference.case, tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        simulate_texture(this, keeper=Interrupted(path, this, 1e-9))
    result = simulate_texture(this, keeper=Keeper(path, this, 1e9, resuming=True))
    np.testing.assert_array_equal(result.history.rows, reference.history.rows)
    assert result.numbers["steps"] == reference.numbers["steps"]


# ---------------------------------------------------------------- the kick of a changing current


@pytest.mark.parametrize(
    "signal",
    [
        {},
        slow({"shape": "pulse", "length": "6 ps"}),
        {"shape": "sine", "frequency": "100 GHz", "phase": "90 deg"},
    ],
    ids=["constant", "pulse", "sine"],
)
def test_a_current_from_time_zero_kicks_like_one_that_starts_just_after(signal):
    paths = [
        run(WALL, current={"signal": signal | {"start": f"{start} s"}}).wall.rows[:, 1]
        for start in ("0", "1e-22")
    ]
    assert np.abs(paths[0]).max() > 1e-11
    np.testing.assert_allclose(*paths, atol=1e-8 * np.abs(paths[0]).max())


def test_a_wall_ends_where_both_kicks_of_its_current_take_it():
    """(1 + a tau_sd/s) u / Gamma without beta: the current gives its momentum twice."""
    x = run(WALL, current={"p_st": 0.4}).wall.rows[:, 1]
    s, a = 2 * 4.25e5 / GAMMA, 4 * 4.25e5 * 100
    u, decay = -HBAR * 0.4 / (2 * E_CHARGE * s) * 1e12, 0.02 * a / s
    expected = (1 + a * 20e-15 / s) * u / decay * (1 - np.exp(-decay * 12e-12))
    assert x[-1] - x[0] == pytest.approx(expected, rel=_TURN**2)


# ---------------------------------------------------------------- reports and steps


def test_the_reported_torque_covers_every_frame_of_a_pulse():
    """Transport is solved at time 0, where the pulse is off, and at the end, where it is too."""
    result = simulate_texture(
        device_case(
            LINE
            | {
                "texture.initial": {"relax": True},
                "texture.duration": "40 ps",
                "texture.output_interval": "1 ps",
                "texture.frames": 41,
                "texture.fields": [{"field": ["0 T", "0 T", "20 mT"]}],
                T + "tolerance": 0.3,
                T + "signal": pulse(10e-12, 8e-12, rise="2 ps"),
            }
        )
    )
    found = result.numbers["transport"]
    shown = max(np.linalg.norm(f["torque"], axis=1).max() for _, f in result.frames) / GAMMA
    assert found["solutions"] == 2
    assert shown > 0
    assert found["largest_torque"] >= shown * (1 - 1e-12)
    assert 0 < found["relative_torque_error"] < 0.3
    assert found["angle_error"] > 0


FAST = {
    "hard axis": (
        10e-12,
        {
            "magnet": {"anisotropy": "0 J/m^3", "hard_anisotropy": "4e4 J/m^3", "hard_axis": [0, 0, 1]},
            "initial": {"direction": [1, 0, 0.3]},
        },
    ),
    "field and torque": (
        10e-12,
        {
            "magnet": {"anisotropy": "100 J/m^3"},
            "initial": {"direction": [0.5, 0.2, 1]},
            "fields": [{"field": ["3 T", "1 T", "4 T"]}],
            "spin_orbit": [{"polarisation": [1, 0, 0], "damping_like_rate": "1e10 1/s"}],
        },
    ),
    "rotation": (
        5e-12,
        {
            "magnet": {"damping": 0.02},
            "initial": {"direction": [0.3, 0.1, 1]},
            "spin_orbit": [{"polarisation": [0, 0, 1], "damping_like_rate": "1.5e11 1/s"}],
        },
    ),
}


@pytest.mark.parametrize("parts", [20, slow(200)])
@pytest.mark.parametrize("name", FAST)
def test_the_default_step_of_an_antiferromagnet_resolves_what_drives_it(name, parts):
    """Whatever the output interval, phases are right to the error of order 2 of that step."""
    duration, changes = FAST[name]
    exact = run(
        ROTOR, duration=f"{duration} s", output_interval=f"{duration / 20} s", step="2 fs", **changes
    ).history.rows
    result = run(ROTOR, duration=f"{duration} s", output_interval=f"{duration / parts} s", **changes)
    rows = result.history.rows[:: parts // 20]
    turned = result.values["texture.steps"] * _TURN
    assert np.abs(rows[:, 1:4] - exact[:, 1:4]).max() < turned * _TURN**2 / 12


def test_all_drives_of_a_case_are_cut():
    table = tomllib.loads(POINT)["texture"] | {
        "fields": [{"field": ["0 T", "0 T", "1 T"], "signal": pulse(1e-12, 2e-12)}],
        "spin_orbit": [{"polarisation": [0, 1, 0], "damping_like": "1 T", "signal": {"start": "5 ps"}}],
        "current": {
            "density": ["1e12 A/m^2", "0 A/m^2", "0 A/m^2"],
            "polarisation": 0.5,
            "signal": {"start": "7 ps"},
        },
    }
    assert drive_breaks(case_from_table({"texture": table}).texture) == pytest.approx([1, 3, 5, 7])
