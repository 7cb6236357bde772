"""muMAG standard problems 3, 4 and 5 against published numbers.

The magnetization of a brick is the mean of its corners, so results converge with order 2 and are
extrapolated; what is compared is the spread between the published codes.
"""

from __future__ import annotations

import numpy as np
import pytest
import skfem
from texture_setup import PROBLEMS, fm, g_of

from femspin.dynamics.texture.explicit import RungeKutta
from femspin.dynamics.texture.ferromagnet import ferromagnet_texture
from femspin.dynamics.texture.newell import grid_demagnetization
from femspin.dynamics.texture.run import relax_texture, run_texture
from femspin.dynamics.texture.space import mesh_space
from femspin.dynamics.texture.torques import SpinTransfer
from femspin.units import MU_0


def permalloy(**changes):
    return fm(**({"anisotropy": 0.0, "g_factor": g_of(2.211e5 / MU_0)} | changes))


def cube(cells, edge):
    """Return the energies over K_m V of flower and vortex of a cube of edge L/l_ex."""
    shape = 0.5 * MU_0 * 8e5**2
    length = np.sqrt(1.3e-11 / shape) * 1e9
    magnet = permalloy(anisotropy=0.1 * shape)
    grid = np.linspace(-0.5, 0.5, cells + 1) * edge * length
    space = mesh_space(skfem.MeshHex.init_tensor(grid, grid, grid))
    texture = ferromagnet_texture(space, magnet).with_terms(grid_demagnetization(space, magnet))
    x, y, z = space.positions.T / length
    flower = np.stack([0.02 * x * z, 0.02 * y * z, np.ones_like(x)], axis=1)
    vortex = np.stack([-z, 2 * np.exp(-(x**2 + z**2) / 4), x], axis=1)
    found = []
    for start in (flower, vortex):
        parts = texture.energies(relax_texture(texture, texture.start(start), 1e-4))
        scaled = {k: v / (shape * space.volume * 1e-27) for k, v in parts.items()}
        scaled["Uniaxial"] += 0.1
        found.append(scaled)
    return found


def crossing(cells):
    """Return the edge at which both states have equal energy, and the energies there."""
    edges = (8.2, 8.4, 8.6)
    states = [cube(cells, edge) for edge in edges]
    gap = [sum(a.values()) - sum(b.values()) for a, b in states]
    roots = np.roots(np.polyfit(edges, gap, 2))
    return float(roots[np.argmin(np.abs(roots - 8.4))]), states[1]


def test_the_single_domain_limit_of_problem_3_is_the_published_one_to_1_percent():
    """Flower and vortex have equal energy at L = 8.47 l_ex (8.47 to 8.57 among codes)."""
    coarse, fine = crossing(8)[0], crossing(12)[0]
    limit = (144 * fine - 64 * coarse) / 80
    assert limit == pytest.approx(PROBLEMS["3"]["single_domain_limit"], rel=0.002)


@pytest.mark.slow
def test_partial_energies_of_problem_3_are_the_published_ones():
    edge, (flower, vortex) = crossing(24)
    published = PROBLEMS["3"]
    assert edge == pytest.approx(published["single_domain_limit"], rel=0.005)
    assert flower["GridDemagnetization"] == pytest.approx(
        published["demagnetization_flower"], rel=0.01
    )
    assert vortex["Exchange"] == pytest.approx(published["exchange_vortex"], rel=0.02)
    assert vortex["Uniaxial"] == pytest.approx(published["anisotropy_vortex"], rel=0.02)


def switching(cells, field, duration):
    """Return <m> of problem 4 in time; field None gives the S state."""
    magnet = permalloy()
    mesh = skfem.MeshQuad.init_tensor(
        np.linspace(0, 500, 4 * cells + 1), np.linspace(0, 125, cells + 1)
    )
    space = mesh_space(mesh, section=3.0)
    demagnetization = grid_demagnetization(space, magnet)
    texture = ferromagnet_texture(space, magnet).with_terms(demagnetization)
    state = relax_texture(texture, texture.start([1, 0.1, 0]), 1e-5)
    if field is None:
        return space.mean(state)
    driven = ferromagnet_texture(space, magnet, field=field).with_terms(demagnetization)
    times = np.arange(0, duration, 1e-12)
    return run_texture(RungeKutta(driven, 1e-5), state, times, lambda _, m: space.mean(m)).values


def first_zero(path):
    """Return the time [s] at which <m_x> first vanishes and <m_y> there."""
    k = int(np.flatnonzero(path[:, 0] < 0)[0])
    part = path[k - 1, 0] / (path[k - 1, 0] - path[k, 0])
    return (k - 1 + part) * 1e-12, path[k - 1, 1] + part * (path[k, 1] - path[k - 1, 1])


FIELD_1 = (-24.6e-3, 4.3e-3, 0.0)


def test_the_s_state_of_problem_4_is_the_published_one():
    coarse, fine = switching(16, None, 0), switching(32, None, 0)
    # mumax3 itself is at 3.9 nm: half a thousandth
    np.testing.assert_allclose((4 * fine - coarse) / 3, PROBLEMS["4"]["s_state"], atol=1e-3)


def test_the_first_zero_of_problem_4_comes_at_the_published_time():
    zeros = np.array([first_zero(switching(cells, FIELD_1, 0.15e-9)) for cells in (12, 20)])
    limit = (400 * zeros[1] - 144 * zeros[0]) / 256
    # the published series differ by half a percent among codes
    assert limit[0] == pytest.approx(PROBLEMS["4"]["first_zero"], rel=3e-3)
    assert limit[1] == pytest.approx(PROBLEMS["4"]["my_at_first_zero"], rel=3e-3)


@pytest.mark.slow
def test_problem_4_ends_after_1_ns_as_published():
    """Field 1, extrapolated from 5 and 3.1 nm.

    The ringing makes <m_y> differ by 0.024 between these meshes; a third of that is left to the
    next order, of which the published codes at 3.9 nm have their own.
    """
    coarse, fine = (switching(cells, FIELD_1, 1.0005e-9)[-1] for cells in (25, 40))
    weight = (40 / 25) ** 2
    limit = (weight * fine - coarse) / (weight - 1)
    for name in ("field1", "end1"):
        np.testing.assert_allclose(limit, PROBLEMS["4"][name], atol=0.008)


@pytest.mark.slow
def test_problem_5_is_driven_to_the_published_rest_state():
    """Vortex in a square under a current along +x, xi = 0.05: <m> at rest and at 1 ns.

    Published codes differ by 0.5 percent at rest and by 7 percent at 1 ns.  The meshes of 5 and
    3.1 nm differ by 8 percent along x and 13 along y; a quarter of what the extrapolation adds
    is left to the next order.
    """
    published = PROBLEMS["5"]
    magnet, ends, early = permalloy(damping=0.1), [], []
    for cells in (20, 32):
        grid = np.linspace(-50, 50, cells + 1)
        space = mesh_space(skfem.MeshQuad.init_tensor(grid, grid), section=10.0)
        x, y, _ = space.positions.T
        texture = ferromagnet_texture(space, magnet).with_terms(
            grid_demagnetization(space, magnet)
        )
        start = texture.start(np.stack([-y, x, 10 + 0 * x], axis=1))
        state = relax_texture(texture, start, 1e-5)
        # a conventional current along +x: u = -72 m/s
        transfer = SpinTransfer([-published["u"], 0, 0], published["xi"])
        scheme = RungeKutta(texture.with_torques(transfer), 1e-4)
        path = run_texture(
            scheme, state, [0, 1e-9, 11.13e-9], lambda _, m, s=space: s.mean(m)
        ).values
        early.append(path[1, :2])
        ends.append(path[2, :2])
    weight = (32 / 20) ** 2
    rest = (weight * ends[1] - ends[0]) / (weight - 1)
    one_ns = (weight * early[1] - early[0]) / (weight - 1)
    assert rest[0] == pytest.approx(published["final"][0], rel=0.03)
    assert rest[1] == pytest.approx(published["final"][1], rel=0.15)
    np.testing.assert_allclose(one_ns, published["one_ns"], rtol=0.07)
