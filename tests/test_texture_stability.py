"""Loss of stability by the modes about rest, and fixed steps that are judged."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import skfem
from marks import slow
from texture_setup import afm, fm, line

from femspin.case.load import case_from_table
from femspin.errors import CaseError, SolverError
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.run import relax_texture
from femspin.magnets.small_motion import growth, newton_rest, small_motion
from femspin.magnets.space import mesh_space
from femspin.magnets.torques import ExternalTorque, SpinOrbitTorque, SpinTransfer
from femspin.magnets.two_sublattice import Sublattices, two_sublattice_texture
from femspin.magnets.vectors import normalized
from femspin.studies.textures.simulate import simulate_texture
from femspin.units import HBAR, MU_0, MU_B

GAMMA = 2 * MU_B / HBAR
FERRO = {
    "kind": "ferromagnet",
    "duration": "10 ps",
    "mesh": {"shape": "point", "length": "10 nm", "width": "10 nm", "thickness": "2 nm"},
    "magnet": {"saturation_magnetization": "8e5 A/m", "exchange_stiffness": "13 pJ/m", "damping": 0.01},
}
ANTI = {
    "kind": "antiferromagnet",
    "duration": "10 ps",
    "mesh": {"shape": "point", "length": "5 nm"},
    "magnet": {
        "sublattice_magnetization": "4e5 A/m",
        "exchange_field": "1 T",
        "damping": 0.02,
        "exchange_stiffness": "1 pJ/m",
        "anisotropy": "2e4 J/m^3",
    },
}
B_E, B_A = 1.0, 0.05


def solved(base, magnet=None, **more):
    table = copy.deepcopy(base) | copy.deepcopy(more)
    table["magnet"] = table["magnet"] | (magnet or {})
    return simulate_texture(case_from_table({"texture": table}))


# ---------------------------------------------------------------- small motion


def test_slopes_of_torques_are_the_derivatives_of_their_rotations():
    """Rotations are linear or quadratic in m, so that central differences are exact."""
    rng = np.random.default_rng(1)
    space = line(fm().wall_width, 4, 0.5)
    one = normalized(rng.standard_normal((space.size, 3)))
    both = np.concatenate([one, normalized(rng.standard_normal((space.size, 3)))])
    orbit = SpinOrbitTorque((0.6, 0, 0.8), 1e9, 3e9)
    transfer = SpinTransfer(np.array([50.0, 0, 0]), 0.3, np.array([20.0, 0, 0]))
    stacked = [Sublattices(t) for t in (orbit, transfer, SpinOrbitTorque((0, 0, 1.0), 1e9, 2e9, True))]
    for torque, m in [(orbit, one), (transfer, one), *((t, both) for t in stacked)]:
        way = rng.standard_normal(m.shape)
        ends = [torque.rotation(space, m + sign * way, 0.0) for sign in (1, -1)]
        central = 0.5 * (ends[0] - ends[1])
        slope = (torque.slope(space, m, 0.0) @ way.ravel()).reshape(m.shape)
        np.testing.assert_allclose(slope, central, atol=1e-13 * np.abs(central).max())


def test_an_external_torque_has_the_same_small_motion_as_the_one_it_copies():
    space = line(fm().wall_width, 2, 0.5)
    orbit = SpinOrbitTorque((0, 0, -1.0), 2e9, 0.0)

    def rate(time, m):
        return np.cross(orbit.rotation(space, m, 0.0), m) * 1e12

    m = np.tile([0, 0, 1.0], (space.size, 1))
    texture = ferromagnet_texture(space, fm())
    given, copied = (growth(texture.with_torques(t), m) for t in (orbit, ExternalTorque(rate)))
    assert copied == pytest.approx(given, rel=1e-5)  # (1e-3 rad)^2 of the difference quotient


@pytest.mark.parametrize("cells", [80, 480])
def test_growth_of_a_line_under_torque_is_that_of_its_uniform_mode(cells):
    """(w_D - alpha gamma B_K)/(1 + alpha^2), of all modes and of those nearest to rest alike."""
    magnet = fm()
    space = line(magnet.wall_width, 20, 20 / cells)
    torque = SpinOrbitTorque((0, 0, -1.0), 3.6e9)
    texture = ferromagnet_texture(space, magnet, torques=(torque,))
    field = 2 * magnet.anisotropy / magnet.saturation
    exact = (3.6e9 - magnet.damping * magnet.gamma * field) / (1 + magnet.damping**2)
    found = growth(texture, np.tile([0, 0, 1.0], (space.size, 1))) * 1e12
    assert found == pytest.approx(exact, rel=1e-7)


def test_newton_finds_the_state_at_rest_whether_or_not_it_is_stable():
    magnet = afm(homogeneous_exchange=4 * 4.25e5 * 1.0, anisotropy=0.05 * 4.25e5)
    space = line(1e-8, 2, 1)
    texture = two_sublattice_texture(space, magnet, [0, 0, 0.5])  # beyond the flop
    start = np.repeat([[0.02, 0.01, 1.0], [0.01, -0.02, -1.0]], space.size, axis=0)
    m = newton_rest(texture, normalized(start))
    np.testing.assert_allclose(m[:, 2], np.repeat([1.0, -1.0], space.size), atol=1e-15)
    assert growth(texture, m) > 0
    assert small_motion(texture, m)[2].shape == (4 * space.size, 4 * space.size)


# ---------------------------------------------------------------- rest under torques


@pytest.mark.parametrize("damping", [slow(0.05), 0.5])
@pytest.mark.parametrize(("ratio", "sign"), [(0.95, 1), slow(1.4, -1), (2.5, -1)])
def test_relaxation_leaves_what_a_torque_makes_unstable_at_the_damping_of_the_case(damping, ratio, sign):
    """Along the axis w_D = alpha gamma B_K; against the torque m is stable at any strength."""
    torque = {"polarisation": [0, 0, -1], "damping_like": f"{ratio * damping} T"}
    result = solved(
        FERRO,
        {"damping": damping, "anisotropy": "4e5 J/m^3"},
        analysis="relax",
        initial={"direction": [0.1, 0, 1]},
        spin_orbit=[torque],
    )
    assert result.values["texture.final.m.z"] == pytest.approx(sign, abs=1e-8)


def test_relaxation_of_an_antiferromagnet_that_a_torque_turns_forever_is_an_error():
    """Above alpha w_0 the axis is unstable, and nothing else is at rest: n rotates."""
    magnet = afm(homogeneous_exchange=4 * 4.25e5 * B_E, anisotropy=4.25e5 * B_A, damping=0.1)
    resonance = magnet.gamma * np.sqrt(B_A * (2 * B_E + B_A))
    space = mesh_space(skfem.MeshLine(np.array([0.0, 1.0])), periodic=(0,))
    for ratio in (0.9, 1.5):
        torque = SpinOrbitTorque((0, 0, 1.0), ratio * 0.1 * resonance)
        texture = two_sublattice_texture(space, magnet, torques=(torque,))
        start = normalized(np.array([[0.1, 0, 1.0], [-0.1, 0, -1.0]]))
        if ratio < 1:
            m = relax_texture(texture, start)
            np.testing.assert_allclose(m[:, 2], [1, -1], atol=1e-9)
            continue
        with pytest.raises(SolverError, match="oscillation"):
            relax_texture(texture, start, limit=50)


def test_a_field_like_torque_is_the_field_it_is_even_without_damping():
    torque = {"polarisation": [0, 0, -1], "field_like": "1.2 T"}
    magnet = {"damping": 0.0, "anisotropy": "4e5 J/m^3"}  # 1 T
    result = solved(FERRO, magnet, analysis="relax", spin_orbit=[torque])
    assert result.values["texture.final.m.z"] == pytest.approx(-1, abs=1e-8)


# ---------------------------------------------------------------- thresholds


def threshold(base, vary, low, high, magnet=None, tolerance=1e-3, **more):
    options = {"vary": vary, "low": low, "high": high, "criterion": "unstable", "tolerance": tolerance}
    values = solved(base, magnet, analysis="threshold", threshold=options, **more).values
    return values["texture.threshold"], values["texture.bracket"]


@pytest.mark.parametrize("damping", [0.003, slow(0.1), 0.5])
@pytest.mark.parametrize("field", [slow(0.3), 2.0])
@pytest.mark.parametrize("start", [[0, 0, 1], [0.2, 0, 1]])
def test_auto_oscillation_of_a_ferromagnet_starts_at_alpha_b(damping, field, start):
    exact = damping * field
    found, bracket = threshold(
        FERRO,
        "texture.spin_orbit.0.damping_like",
        f"{0.3 * exact} T",
        f"{2.1 * exact} T",
        {"damping": damping},
        initial={"direction": start},
        fields=[{"field": ["0 T", "0 T", f"{field} T"]}],
        spin_orbit=[{"polarisation": [0, 0, -1], "damping_like": "1 T", "signal": {"rise": "1 ns"}}],
    )
    assert found == pytest.approx(exact, rel=1e-8)  # the growth rate is linear in the torque
    assert bracket <= 1e-3 * exact


def test_auto_oscillation_of_a_film_in_its_plane_starts_at_the_mean_of_both_stiffnesses():
    """B + mu_0 M_s/2: an ellipse, whose frequency the torque shifts in second order."""
    exact = 0.01 * (0.2 + 0.5 * MU_0 * 8e5)
    found, _ = threshold(
        FERRO,
        "texture.spin_orbit.0.damping_like",
        "0.001 T",
        "0.02 T",
        magnetostatics="thin_film",
        fields=[{"field": ["0.2 T", "0 T", "0 T"]}],
        initial={"direction": [1, 0, 0]},
        spin_orbit=[{"polarisation": [-1, 0, 0], "damping_like": "1 T"}],
    )
    assert found == pytest.approx(exact, rel=1e-8)


def test_reversal_by_a_field_along_the_axis_is_at_the_anisotropy_field():
    found, _ = threshold(
        FERRO,
        "texture.fields.0.field.2",
        "0.1 T",
        "1.7 T",
        {"anisotropy": "4e5 J/m^3"},
        fields=[{"field": ["0 T", "0 T", "0 T"]}],
        initial={"direction": [0, 0, -1]},
    )
    assert found == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("tolerance", [1e-2, slow(1e-4)])
def test_a_state_that_ceases_to_exist_is_a_threshold(tolerance):
    """The fold of Stoner and Wohlfarth at 45 degrees: half the anisotropy field."""
    found, _ = threshold(
        FERRO,
        "texture.fields.0.field.0",
        "0.45 T",
        "0.53 T",
        {"anisotropy": "4e5 J/m^3", "axis": [1, 1, 0]},
        tolerance=tolerance,
        fields=[{"field": ["0 T", "0 T", "0 T"]}],
        initial={"direction": [-1, -1, 0]},
    )
    assert found == pytest.approx(0.5, rel=tolerance)


@pytest.mark.parametrize("damping", [1e-4, slow(0.02), 0.3])
@pytest.mark.parametrize("b_e", [1.0, 1000.0])
def test_spins_lose_the_easy_axis_at_the_stability_field_of_two_sublattices(damping, b_e):
    exact = np.sqrt(B_A * (2 * b_e + B_A))
    found, _ = threshold(
        ANTI,
        "texture.fields.0.field.2",
        f"{0.3 * exact} T",
        f"{1.7 * exact} T",
        {"damping": damping, "exchange_field": f"{b_e} T"},
        tolerance=1e-4,
        duration="1 ps",
        fields=[{"field": ["0 T", "0 T", "0 T"]}],
        initial={"direction": [0.001, 0, 1]},
    )
    assert found == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("scheme", ["auto", "two_sublattice"])
def test_auto_oscillation_of_an_antiferromagnet_starts_at_alpha_times_its_resonance(scheme):
    exact = 0.02 * GAMMA * np.sqrt(B_A * (2 * B_E + B_A))
    found, _ = threshold(
        ANTI,
        "texture.spin_orbit.0.damping_like_rate",
        f"{0.2 * exact} 1/s",
        f"{1.9 * exact} 1/s",
        scheme=scheme,
        initial={"direction": [0.1, 0, 1]},
        spin_orbit=[{"polarisation": [0, 0, 1], "damping_like_rate": "1e9 1/s"}],
    )
    # Beyond alpha^2, the two circular modes share the damping of the exchange.
    assert found == pytest.approx(exact, rel=2e-3)


def test_a_threshold_says_at_which_end_the_state_is_on_the_wrong_side():
    more = {
        "fields": [{"field": ["0 T", "0 T", "1 T"]}],
        "spin_orbit": [{"polarisation": [0, 0, -1], "damping_like": "1 T"}],
    }
    for low, high, key in (("0.02 T", "0.05 T", "low"), ("1 mT", "5 mT", "high")):
        with pytest.raises(CaseError) as caught:
            threshold(FERRO, "texture.spin_orbit.0.damping_like", low, high, **more)
        assert caught.value.path == f"texture.threshold.{key}"


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"temperature": "10 K", "step": "10 fs"}, "texture.temperature"),
        (
            {"fields": [{"field": ["0 T", "0 T", "1 T"], "signal": {"shape": "sine", "frequency": "1 GHz"}}]},
            "texture.fields.0.signal",
        ),
    ],
)
def test_the_loss_of_stability_refuses_drives_that_never_rest(more, path):
    torque = [{"polarisation": [0, 0, -1], "damping_like": "1 T"}]
    with pytest.raises(CaseError) as caught:
        threshold(FERRO, "texture.spin_orbit.0.damping_like", "0.001 T", "1 T", spin_orbit=torque, **more)
    assert caught.value.path == path


# ---------------------------------------------------------------- moments of antiferromagnets


def test_a_loop_of_an_antiferromagnet_flops_and_saturates_as_two_sublattices_do():
    """In the flop m = B/(2 B_E - B_A), beyond it 1; n stays along z until unstable."""
    options = {"largest": "4 T", "points": 41}
    rows = solved(ANTI, analysis="hysteresis", hysteresis=options).curves[0].rows
    field, moment = rows[:, 0], rows[:, 1]
    assert np.abs(moment).max() <= 1 + 1e-9
    leaves = np.sqrt(B_A * (2 * B_E + B_A))
    flopped = np.abs(field) > leaves
    exact = np.clip(field / (2 * B_E - B_A), -1, 1)
    np.testing.assert_allclose(moment[flopped], exact[flopped], atol=1e-5)
    returns = (2 * B_E - B_A) * np.sqrt(B_A / (2 * B_E + B_A))
    np.testing.assert_allclose(moment[np.abs(field) < returns], 0.0, atol=1e-6)


@pytest.mark.parametrize("field", [1.0, 3.0])
def test_relaxation_has_moment_and_energy_of_two_sublattices(field):
    result = solved(
        ANTI,
        analysis="relax",
        fields=[{"field": ["0 T", "0 T", f"{field} T"]}],
        initial={"direction": [1, 0, 0.01]},
    ).values
    m = min(1.0, field / (2 * B_E - B_A))
    assert result["texture.final.m.z"] == pytest.approx(m, abs=1e-6)
    # a m^2/2 - K (m.k)^2 - 2 M_0 B m, with a = 4 M_0 B_E and K = M_0 B_A
    density = 4e5 * (2 * B_E * m**2 - B_A * m**2 - 2 * field * m)
    assert result["texture.energy"] == pytest.approx(density * 5e-27, rel=1e-6)


def test_the_two_models_have_the_same_energy_of_the_same_state():
    """The sublattices count the anisotropy of m as well, of the order m^2 = (B/2 B_E)^2."""
    magnet = {"exchange_field": "1000 T"}
    more = {"fields": [{"field": ["0 T", "0 T", "2 T"]}], "initial": {"direction": [1, 0, 0]}}
    one, other = (
        solved(ANTI, magnet, scheme=s, duration="1 fs", **more).values["texture.initial.energy"]
        for s in ("rotor", "two_sublattice")
    )
    assert other == pytest.approx(one, rel=1e-4)


def test_the_n_m_model_warns_where_m_is_large_and_refuses_what_is_beyond_saturation():
    more = {"initial": {"direction": [1, 0, 0]}, "duration": "1 ps"}
    (warning,) = solved(ANTI, fields=[{"field": ["0 T", "0 T", "0.8 T"]}], **more).warnings
    assert "two_sublattice" in warning
    assert not solved(ANTI, fields=[{"field": ["0 T", "0 T", "0.3 T"]}], **more).warnings
    with pytest.raises(SolverError, match="beyond saturation"):
        solved(ANTI, fields=[{"field": ["0 T", "0 T", "3 T"]}], **more)


@pytest.mark.parametrize("hard", ["0 J/m^3", "1e4 J/m^3"])
def test_an_antiferromagnet_with_a_hard_axis_runs(hard):
    values = solved(
        ANTI,
        {"anisotropy": "-2e4 J/m^3", "hard_anisotropy": hard, "exchange_field": "60 T"},
        initial={"direction": [0.3, 0.2, 0.1]},
        duration="20 ps",
    ).values
    assert values["texture.final.energy"] < values["texture.initial.energy"]


def test_spins_flop_only_where_the_anisotropy_is_below_the_exchange():
    field, weak = 1.0, afm(homogeneous_exchange=4 * 4.25e5)
    assert weak.spin_flop_field == pytest.approx(np.sqrt(0.1 * 1.9))
    for strong in (1.2, 2.5):
        magnet = afm(homogeneous_exchange=4 * 4.25e5 * field, anisotropy=strong * 4.25e5)
        assert magnet.spin_flop_field is None


# ---------------------------------------------------------------- fixed steps

STIFF = {"anisotropy": "4e5 J/m^3", "damping": 0.02}  # precession at gamma 1 T
TILT = {"initial": {"direction": [1, 0.2, 0.3]}}
THERMAL = {"temperature": "300 K"} | TILT


@pytest.mark.parametrize("scheme", ["heun", "midpoint", "runge_kutta"])
def test_a_fixed_step_that_does_not_resolve_the_motion_is_refused(scheme):
    with pytest.raises(CaseError) as caught:
        solved(FERRO, STIFF, scheme=scheme, step="50 ps", duration="2 ns", output_interval="50 ps", **TILT)
    assert caught.value.path == "texture.step"


@pytest.mark.parametrize("heat", [{}, {"temperature": "300 K"}])
def test_heuns_method_is_refused_where_precession_grows(heat):
    """|R|^2 = 1 + y^4/4 at z = iy beats the damping beyond y^3 = 8 alpha, 3.1 ps here."""
    run = {"scheme": "heun", "duration": "4 ns", "output_interval": "4 ps"} | heat
    start = {"initial": {"direction": [0.2, 0.0, 1.0]}}
    with pytest.raises(CaseError, match="unstable") as caught:
        solved(FERRO, STIFF, step="4 ps", **run, **start)
    assert caught.value.path == "texture.step"
    solved(FERRO, STIFF, step="2.5 ps", **run, **start)


def test_a_thermal_step_warns_of_the_temperature_it_would_seem_to_have():
    """y^3/8 alpha less y^2/4 at first order, 10 percent at 1.5 ps."""
    run = {"scheme": "heun", "step": "1.5 ps", "duration": "0.3 ns", "output_interval": "3 ps"}
    (warning,) = solved(FERRO, STIFF, **run, **THERMAL).warnings
    y = GAMMA * 1.0 * 1.5e-12
    damped = 1 / (1 - y**3 / (8 * 0.02)) - 1
    share = float(warning.split("about ")[1].split(" %")[0]) / 100
    assert share == pytest.approx(damped, abs=y**2)
    midpoint = run | {"scheme": "midpoint"}
    assert not solved(FERRO, STIFF, **midpoint, **THERMAL).warnings


def test_the_estimated_error_of_free_precession_is_that_of_its_phase():
    """A step of the midpoint rule that should turn by y misses y^3/12 of it."""
    run = {"scheme": "midpoint", "step": "0.5 ps", "duration": "100 ps", "output_interval": "5 ps"}
    values = solved(
        FERRO,
        {"damping": 0.0},
        fields=[{"field": ["0 T", "0 T", "1 T"]}],
        initial={"direction": [1, 0, 0]},
        **run,
    ).values
    y = GAMMA * 0.5e-12
    assert values["texture.step_error"] == pytest.approx(200 * y**3 / 12, rel=0.02)
    turned = np.arctan2(values["texture.final.m.y"], values["texture.final.m.x"])
    miss = np.angle(np.exp(1j * (turned - GAMMA * 100e-12)))
    assert abs(miss) == pytest.approx(values["texture.step_error"], rel=0.02)


def test_adaptive_steps_have_no_error_of_a_fixed_step():
    values = solved(FERRO, STIFF, **TILT).values
    assert "texture.step_error" not in values


def test_the_rotor_scheme_tells_its_error():
    """Kick and drift of an oscillator miss (w h)^3/24 of its phase."""
    magnet = {"exchange_field": "100 T", "damping": 0.0}
    resonance = GAMMA * np.sqrt(2 * 100 * B_A)
    run = {"step": "0.05 ps", "duration": "40 ps", "initial": {"direction": [0.05, 0, 1]}}
    found = solved(ANTI, magnet, **run).values["texture.step_error"]
    bound = 800 * (resonance * 0.05e-12) ** 3 / 24 * 0.05
    assert 0.3 * bound < found < 3 * bound


# ---------------------------------------------------------------- angles between outputs


@pytest.mark.parametrize("outputs", ["25 ps", "77 ps"])
def test_a_rotation_faster_than_the_outputs_does_not_alias(outputs):
    values = solved(
        FERRO,
        {"damping": 0.0},
        fields=[{"field": ["0 T", "0 T", "1 T"]}],
        duration="2 ns",
        output_interval=outputs,
        rotation_axis=[0, 0, 1],
        initial={"direction": [1, 0, 0.5]},
    ).values
    assert values["texture.rotation.angular_frequency"] == pytest.approx(GAMMA, rel=1e-3)


def test_the_tilt_of_a_wall_that_turns_between_outputs_does_not_alias():
    """Far beyond the breakdown the wall precesses at gamma B/(1 + alpha^2)."""
    case = {
        "kind": "ferromagnet",
        "duration": "0.4 ns",
        "output_interval": "40 ps",
        "wall": {},
        "mesh": {"shape": "line", "length": "120 nm", "cell": "2 nm"},
        "magnet": FERRO["magnet"] | {"damping": 0.02, "anisotropy": "4e5 J/m^3"},
        "initial": {"type": "wall"},
        "fields": [{"field": ["0 T", "0 T", "1 T"]}],
    }
    found = solved(case).values["texture.wall.tilt_rate"]
    assert abs(found) == pytest.approx(GAMMA / (1 + 0.02**2), rel=0.02)


def test_a_ring_down_is_sampled_as_its_modes_ask_for():
    case = {
        "analysis": "resonance",
        "duration": "5 ns",
        "resonance": {"kick_axis": [1, 0, 0]},
        "fields": [{"field": ["0 T", "0 T", "1 T"]}],
    }
    values = solved(FERRO, **case).values
    assert values["texture.ring_down.over_mode"] == pytest.approx(1, abs=0.01)
    with pytest.raises(CaseError) as caught:
        solved(FERRO, output_interval="25 ps", **case)
    assert caught.value.path == "texture.output_interval"


# ---------------------------------------------------------------- rest that is met exactly

SPIN_FILM = {
    "kind": "ferromagnet",
    "magnetostatics": "thin_film",
    "relax_torque": "0.1 nT",
    "mesh": {"shape": "point", "length": "100 nm", "width": "100 nm", "thickness": "5 nm"},
    "magnet": FERRO["magnet"],
}


def test_a_step_that_lands_exactly_on_the_equilibrium_is_at_rest():
    result = solved(
        SPIN_FILM,
        analysis="relax",
        initial={"direction": [-0.98, 1.44, -1.53]},
        fields=[{"field": ["0.33050999999999997 T", "0.49816 T", "0.8142999999999999 T"]}],
    )
    m = result.frames[0][1]["m"][0]
    field = np.array([0.33050999999999997, 0.49816, 0.8142999999999999])
    field[2] -= MU_0 * 8e5 * m[2]
    np.testing.assert_allclose(np.cross(m, field), 0.0, atol=1e-9)


def test_a_brick_far_smaller_than_its_exchange_length_relaxes():
    """One brick with stiff exchange moves as a whole, so |m x B| vanishes in its mean field."""
    lengths = ["2.843 nm", "0.5686 nm", "0.05686 nm"]
    result = solved(
        {
            "kind": "ferromagnet",
            "magnetostatics": "full",
            "relax_torque": "0.1 uT",
            "mesh": {
                "shape": "box",
                "length": lengths[0],
                "width": lengths[1],
                "thickness": lengths[2],
                "cell": lengths,
            },
            "magnet": FERRO["magnet"] | {"damping": 0.5},
        },
        analysis="relax",
        initial={"direction": [1, 1, 1]},
        fields=[{"field": ["-33.1 mT", "-33.1 mT", "-33.1 mT"]}],
    )
    m = result.frames[0][1]["m"]
    assert np.ptp(m, axis=0).max() < 1e-4
    assert np.linalg.norm(m.mean(axis=0)) == pytest.approx(1, abs=1e-6)


# ---------------------------------------------------------------- lines without a resonance


def test_a_sweep_without_a_resonance_gives_no_line():
    drive = {
        "polarisation": [0, 1, 0],
        "damping_like": "0.2 mT",
        "field_like_torque": "-0.1 mT",
        "signal": {"shape": "sine", "frequency": "8 GHz"},
    }
    options = {"frequency": "8 GHz", "direction": [1, 1, 0], "axis": [1, 0, 0], "points": 81}
    oblique = FERRO["magnet"] | {"anisotropy": "1e5 J/m^3", "axis": [1, 0, 1]}
    for magnet, low, high, found in (
        (FERRO["magnet"], "50 mT", "0.1 T", True),
        (oblique, "50 mT", "0.4 T", False),
    ):
        result = solved(
            SPIN_FILM | {"magnet": magnet},
            analysis="line_shape",
            spin_orbit=[drive],
            initial={"direction": [1, 1, 0]},
            line_shape=options | {"low": low, "high": high},
        )
        assert ("texture.resonance_field" in result.values) is found
        assert bool(result.warnings) is not found
        if not found:
            assert "texture.linewidth" not in result.values
            assert "left out" in result.warnings[0]
