"""Time schemes of a ferromagnet: exact norm, energy law, orders, known motions, noise."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import skfem
from marks import slow
from texture_setup import CASES, GAMMA, fm, g_of, line, meshes, point

from femspin.errors import CaseError, SolverError
from femspin.magnets import checkpoint as checkpoint_module
from femspin.magnets.checkpoint import load_checkpoint, restore_scheme, save_checkpoint, take_checkpoint
from femspin.magnets.explicit import Heun, RungeKutta
from femspin.magnets.ferromagnet import ThermalField, ferromagnet_texture
from femspin.magnets.magnet import damping_like_rate
from femspin.magnets.midpoint import Midpoint
from femspin.magnets.run import relax_texture, run_texture
from femspin.magnets.space import mesh_space
from femspin.magnets.torques import ExternalTorque, SpinOrbitTorque, SpinTransfer, surface_rate
from femspin.magnets.walls import wall_profile
from femspin.units import K_B, MU_0


def wave(space, texture):
    """Return a smooth texture that is not an equilibrium."""
    phase = space.positions.sum(axis=1) / 4
    return texture.start(np.array([0.3, 0.2, 1.0]) + 0.3 * np.sin(phase)[:, None])


def undriven(kind="tri"):
    magnet = fm(damping=0.1, hard_anisotropy=1e5, cubic_anisotropy=1e5, interfacial_dmi=1e-3)
    space = mesh_space(meshes()[kind])
    return ferromagnet_texture(space, magnet, field=[0.1, 0.2, 0.3])


def driven(damping=0.1):
    """Return a wall under a field in time, a current and spin-orbit torques, and its start."""
    magnet = fm(damping=damping, hard_anisotropy=1e5)
    space = line(magnet.wall_width, 7, 0.2)
    texture = ferromagnet_texture(
        space,
        magnet,
        field=lambda x, t: np.array([0.1, 0.0, 0.3 * np.cos(2e11 * t)]),
        torques=(SpinTransfer([100.0, 0, 0], beta=0.2), SpinOrbitTorque((0, 1, 0), 1e10, 5e9)),
    )
    return texture, wall_profile(space, 0.0, magnet.wall_width)


@pytest.mark.parametrize("kind", ["line", "tri", "quad", "tet", "hex"])
@pytest.mark.parametrize("step", [0.01, 0.1, 1.0, 10.0])
def test_the_midpoint_rule_lowers_the_energy_by_its_dissipation_at_any_step(kind, step):
    """E_1 - E_0 = -alpha s sum V |m_1 - m_0|^2 / dt, to the accuracy of the Newton iteration."""
    texture = undriven(kind)
    m = wave(texture.space, texture)
    scheme, clock = Midpoint(texture, step), 0.0
    for _ in range(5):
        after, clock = scheme.advance(m, clock, 1e9)
        change = texture.energy(after) - texture.energy(m)
        moved = texture.volumes @ ((after - m) ** 2).sum(axis=1)
        lost = 0.1 * texture.spin_density * 1e-15 * moved / step
        size = max(abs(v) for v in texture.energies(m).values())
        assert change < 0
        assert abs(change + lost) < 1e-9 * size
        assert np.abs(np.linalg.norm(after, axis=1) - 1).max() < 5e-15
        m = after


def test_without_damping_the_midpoint_rule_keeps_the_energy():
    texture = undriven().with_damping(0.0)
    m = wave(texture.space, texture)
    energy = texture.energy(m)
    m = run_texture(Midpoint(texture, 0.05), m, [0, 10e-12]).m
    assert texture.energy(m) == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize(
    ("scheme", "steps", "order"),
    [
        (partial(RungeKutta, fixed=True), (0.05, 0.025), 5),
        (Heun, (0.025, 0.0125), 2),
        (Midpoint, (0.025, 0.0125), 2),
    ],
)
def test_schemes_have_their_orders_with_every_torque(scheme, steps, order):
    texture, m = driven()
    times = [0, 3e-12]
    exact = run_texture(RungeKutta(texture, 1e-12, step=0.005, fixed=True), m, times).m
    errors = []
    for step in steps:
        found = run_texture(scheme(texture, step=step), m, times).m
        assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 5e-15
        errors.append(np.abs(found - exact).max())
    measured = np.log2(errors[0] / errors[1])
    assert order - 0.3 < measured < order + 0.8


@pytest.mark.parametrize("scheme", [partial(RungeKutta), partial(Midpoint, step=1e-3)])
def test_adaptive_steps_bring_the_error_down_with_the_tolerance(scheme):
    """The global error stays below the number of steps times the tolerance."""
    texture, m = driven()
    times = [0, 3e-12]
    exact = run_texture(RungeKutta(texture, 1e-12, step=0.01, fixed=True), m, times).m
    errors = []
    for tolerance in (1e-4, 1e-5, 1e-6):
        stepper = scheme(texture, tolerance=tolerance)
        found = run_texture(stepper, m, times).m
        errors.append(np.abs(found - exact).max())
        assert errors[-1] < tolerance * stepper.steps
    assert errors[2] < errors[0] / 5


def test_stiff_exchange_does_not_limit_the_implicit_step():
    """On a mesh forty times finer than the wall, steps of 300 explicit limits stay accurate."""
    magnet = fm(damping=0.1)
    space = line(magnet.wall_width, 8, 0.025)
    texture = ferromagnet_texture(space, magnet, field=[0, 0, 0.05])
    m = wall_profile(space, 0.0, magnet.wall_width)
    limit = 2.8 / (GAMMA * 2 * 1.3e-11 / 8e5 * 4 / (space.spacing * 1e-9) ** 2 * 1e-12)
    coarse, fine = (
        run_texture(Midpoint(texture, step), m, [0, 30 * limit * 30e-12]).m
        for step in (300 * limit, 75 * limit)
    )
    assert np.abs(coarse - fine).max() < 1e-2


def test_damped_precession_follows_the_closed_form():
    case = CASES["R16"]
    p = case["inputs"]
    magnet = fm(anisotropy=0.0, damping=p["alpha"], g_factor=g_of(p["gamma"]))
    texture = ferromagnet_texture(point(), magnet, field=[0, 0, p["B"]])
    scheme = RungeKutta(texture, 1e-11)
    m = run_texture(scheme, texture.start(p["m0"]), [0, p["t"]]).m
    np.testing.assert_allclose(m[0], case["outputs"]["m"], atol=1e-9)


def test_resonance_and_linewidth_are_those_of_the_reference_motion():
    case = CASES["F01"]
    p = case["inputs"]
    texture = ferromagnet_texture(point(), fm(), field=[0, 0, p["B_z"]])
    start = texture.start([np.sin(p["theta0"]), 0, np.cos(p["theta0"])])
    times = np.linspace(0, 0.2e-9, 401)
    path = run_texture(RungeKutta(texture, 1e-11), start, times, lambda _, m: m[0]).values
    phase = np.unwrap(np.arctan2(path[:, 1], path[:, 0]))
    size = np.hypot(path[:, 0], path[:, 1])
    omega = (phase[-1] - phase[0]) / times[-1]
    # the reference is integrated at 1e-11
    assert omega == pytest.approx(case["outputs"]["omega"], rel=1e-8)
    assert -np.log(size[-1] / size[0]) / times[-1] == pytest.approx(case["outputs"]["decay"], rel=1e-8)


def test_damping_like_torque_tilts_a_perpendicular_magnet_as_the_reference():
    case = CASES["F02_0.49"]
    p = case["inputs"]
    magnet = fm(damping=p["alpha"])
    torque = SpinOrbitTorque(tuple(p["pol"]), magnet.gamma * p["B_DL"])
    texture = ferromagnet_texture(point(), magnet, torques=(torque,))
    m = relax_texture(texture, texture.start([-0.5, 0, 0.8]), 1e-8)
    # close to the fold the tilt is the square root of the torque left: 1e-8/0.2
    np.testing.assert_allclose(m[0], case["outputs"]["m_static_formula"], atol=1e-6)


@pytest.mark.parametrize("ratio", [0.05, 0.1, 0.2, 0.3])
def test_switching_by_damping_like_torque_starts_at_the_exact_threshold(ratio):
    """In-plane field along the current, p across it: the up state ends at the fold."""
    case = CASES["R25"]
    p = case["inputs"]
    magnet = fm(
        saturation=p["Ms"], anisotropy=0.5 * p["Ms"] * p["BKeff"], exchange_stiffness=0.0, damping=0.5
    )
    critical = case["outputs"][f"Bx/BK={ratio}"]["Jc_exact"]
    up = {}
    for part in (0.99, 1.01):
        spin_current = p["theta"] * part * critical
        w_d = damping_like_rate(spin_current, magnet.spin_density, p["tF"])
        texture = ferromagnet_texture(
            point(),
            magnet,
            field=[-ratio * p["BKeff"], 0, 0],
            torques=(SpinOrbitTorque((0, 1, 0), lambda t, w=w_d: w * min(1.0, t / 2e-9)),),
        )
        end = run_texture(RungeKutta(texture, 1e-6), texture.start([0, 0, 1.0]), [0, 6e-9]).m
        up[part] = end[0, 2] > 0.3
    assert up == {0.99: True, 1.01: False}


def thermal_line(nodes, temperature, alpha, field):
    magnet = fm(anisotropy=0.0, exchange_stiffness=0.0, damping=alpha)
    space = mesh_space(skfem.MeshLine(np.arange(nodes + 1.0)), section=20.0, periodic=(0,))
    return ferromagnet_texture(space, magnet, field=[0, 0, field], thermal=ThermalField(temperature, seed=7))


@pytest.mark.parametrize("scheme", [Heun, Midpoint])
def test_the_thermal_field_leads_to_the_boltzmann_distribution(scheme):
    """<m_z> is Langevin's function of M_s V B / k T, within five standard errors."""
    texture = thermal_line(3000, 300.0, 1.0, 0.5)
    argument = 8e5 * 20e-27 * 0.5 / (K_B * 300.0)
    exact = 1 / np.tanh(argument) - 1 / argument
    start = texture.start([0, 0, 1.0])
    last = run_texture(scheme(texture, step=0.5), start, np.array([0, 100e-12]), lambda _, m: m[:, 2]).values[
        -1
    ]
    spread = np.sqrt(1 - 2 * exact / argument - exact**2)
    assert abs(last.mean() - exact) < 5 * spread / np.sqrt(len(last))
    assert last.std() == pytest.approx(spread, rel=5 / np.sqrt(len(last)))


@pytest.mark.parametrize("scheme", [Heun, slow(Midpoint)])
def test_free_moments_forget_their_direction_at_the_rate_of_neel_and_brown(scheme):
    """<m_z> = exp(-2 D t), D = alpha gamma k T / ((1 + alpha^2) M_s V)."""
    alpha = 0.5
    texture = thermal_line(3000, 300.0, alpha, 0.0)
    rate = 2 * alpha * GAMMA * K_B * 300.0 / ((1 + alpha**2) * 8e5 * 20e-27)
    end = run_texture(scheme(texture, step=0.25), texture.start([0, 0, 1.0]), [0, 1 / rate]).m
    # the variance of m_z at that time is at most 1/3
    assert abs(end[:, 2].mean() - np.exp(-1)) < 5 * np.sqrt(1 / 3 / len(end))


def test_the_noise_amplitude_is_that_of_fluctuation_and_dissipation():
    texture = thermal_line(10, 300.0, 0.3, 0.0)
    sigma = texture.thermal.deviation(texture, 0.2) * 1e12 / GAMMA
    exact = np.sqrt(2 * 0.3 * K_B * 300.0 / (GAMMA * 8e5 * 20e-27 * 0.2e-12))
    np.testing.assert_allclose(sigma, exact, rtol=1e-12)


def test_the_same_seed_gives_the_same_path_and_another_seed_another():
    paths = []
    for seed in (1, 1, 2):
        texture = replace(thermal_line(5, 300.0, 0.1, 0.1), thermal=ThermalField(300.0, seed))
        start = texture.start([0, 0, 1.0])
        paths.append(run_texture(Heun(texture, 0.1), start, [0, 2e-12]).m)
    assert (paths[0] == paths[1]).all()
    assert np.abs(paths[0] - paths[2]).max() > 1e-3


def test_noise_refuses_adaptive_steps():
    with pytest.raises(SolverError, match="fixed time step"):
        Midpoint(thermal_line(3, 300.0, 0.1, 0.0), 0.1, tolerance=1e-4)
    with pytest.raises(SolverError, match="fixed time step"):
        RungeKutta(thermal_line(3, 300.0, 0.1, 0.0))


def test_an_external_torque_is_the_same_as_the_built_in_one():
    magnet = fm(damping=0.1)
    space = line(magnet.wall_width, 6, 0.25)
    p, w_d, w_f = np.array([0.0, 1.0, 0.0]), 1e10, 4e9

    def rates(time, m):
        return -w_d * np.cross(m, np.cross(m, p)) - w_f * np.cross(m, p) + 3e9 * m

    ends = []
    for torque in (SpinOrbitTorque(tuple(p), w_d, w_f), ExternalTorque(rates)):
        texture = ferromagnet_texture(space, magnet, torques=(torque,))
        m = wall_profile(space, 0.0, magnet.wall_width)
        ends.append(run_texture(RungeKutta(texture, 1e-8, fixed=True, step=0.05), m, [0, 5e-12]).m)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-12)


def test_torque_and_field_values_may_differ_by_node_and_in_time():
    space = point()
    uniform = ferromagnet_texture(space, fm(), torques=(SpinOrbitTorque((0, 1, 0), 1e10),))
    nodal = ferromagnet_texture(
        space, fm(), torques=(SpinOrbitTorque(np.tile([0.0, 1, 0], (2, 1)), lambda t: [1e10, 2e10]),)
    )
    m = uniform.start([0.3, 0.1, 1.0])
    first, second = uniform.torque_rotation(m, 0.0), nodal.torque_rotation(m, 0.0)
    np.testing.assert_allclose(second, first * [[1.0], [2.0]], rtol=1e-14)


def test_angular_momentum_put_in_at_a_face_spreads_over_the_thickness():
    """On average -T/(s d), transverse to m; only nodes of the face are driven."""
    mesh = skfem.MeshHex.init_tensor(np.linspace(0, 4, 3), np.linspace(0, 4, 3), np.linspace(0, 3, 4))
    space = mesh_space(mesh)
    top = mesh.facets_satisfying(lambda x: x[2] > 3 - 1e-9)
    areas, s = space.surface(top), fm().spin_density
    m = np.tile([0.0, 0.0, 1.0], (space.size, 1))
    rate = surface_rate(space, areas, [1e-7, 0, 5e-7], m, s)
    np.testing.assert_allclose(space.mean(rate), [-1e-7 / (s * 3e-9), 0, 0], rtol=1e-12)
    assert set(np.flatnonzero(rate[:, 0])) == set(np.flatnonzero(space.positions[:, 2] == 3.0))


@pytest.mark.parametrize("with_h5py", [True, False])
@pytest.mark.parametrize("kind", ["runge_kutta", "adaptive", "midpoint", "heun"])
def test_a_resumed_run_is_the_same_bit_for_bit(kind, with_h5py, tmp_path, monkeypatch):
    if not with_h5py:
        monkeypatch.setattr(checkpoint_module, "find_spec", lambda name: None)
    elif checkpoint_module.find_spec("h5py") is None:
        pytest.skip("h5py is not installed")
    texture, m = driven()
    noisy = replace(texture, thermal=ThermalField(300.0, 3))
    make = {
        "runge_kutta": lambda: RungeKutta(texture, 1e-6),
        "adaptive": lambda: Midpoint(texture, 0.01, tolerance=1e-5),
        "midpoint": lambda: Midpoint(noisy, 0.02),
        "heun": lambda: Heun(noisy, 0.02),
    }[kind]

    def go_on(scheme, m, clock, end):
        while clock < end:
            m, clock = scheme.advance(m, clock, end)
        return m, clock

    scheme = make()
    m, clock = go_on(scheme, m, 0.0, 0.5)
    path = save_checkpoint(tmp_path / "run", take_checkpoint(scheme, clock, m=m))
    assert path.suffix == (".h5" if with_h5py else ".npz")
    ahead, end = go_on(scheme, m, clock, 1.0)
    saved, other = load_checkpoint(path), make()
    restore_scheme(other, saved)
    again, end_again = go_on(other, saved.fields["m"], saved.clock, 1.0)
    assert (again == ahead).all()
    assert end_again == end


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(CaseError, match="no file"):
        load_checkpoint(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(CaseError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "bad.npz")


@pytest.mark.parametrize("scheme", [RungeKutta, Heun, Midpoint])
def test_a_step_that_is_not_positive_is_refused(scheme):
    with pytest.raises(CaseError, match="positive"):
        scheme(ferromagnet_texture(point(), fm()), step=0.0)


def test_relaxation_that_cannot_end_says_so():
    magnet = fm(anisotropy=-1e5, damping=0.5)
    torque = SpinOrbitTorque((0, 0, 1), 0.05 * GAMMA)
    texture = ferromagnet_texture(point(), magnet, torques=(torque,))
    with pytest.raises(SolverError, match="sustain an oscillation"):
        relax_texture(texture, texture.start([1, 0.1, 0.2]), 1e-6, limit=60)


def test_a_thin_film_resonates_at_kittels_frequency():
    """In the plane of the film: w^2 = (gamma)^2 B (B + mu_0 M_s), from a quarter period."""
    magnet = fm(anisotropy=0.0, thin_film=True, damping=0.0)
    texture = ferromagnet_texture(point(), magnet, field=[0.2, 0, 0])
    omega = GAMMA * np.sqrt(0.2 * (0.2 + MU_0 * 8e5))
    period = 2 * np.pi / omega
    start = texture.start([1, 1e-4, 0])
    path = run_texture(RungeKutta(texture, 1e-12), start, [0, period / 4, period], lambda _, m: m[0]).values
    np.testing.assert_allclose(path[2], path[0], atol=1e-8)
    assert abs(path[1, 1]) < 1e-8
