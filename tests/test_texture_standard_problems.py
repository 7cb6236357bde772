"""muMAG standard problems 3, 4 and 5 against published numbers.

Results converge with order 2.  The published ones are those of finite differences with cells of
2 to 5 nm and hold the errors of their own cells: tolerances are the spread between them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import skfem
from texture_setup import PROBLEMS, fm, g_of

from femspin.magnets.explicit import RungeKutta
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.newell import grid_demagnetization
from femspin.magnets.run import relax_texture, run_texture
from femspin.magnets.space import mesh_space
from femspin.magnets.torques import SpinTransfer
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
        # The published flower keeps its symmetry: from L = 8.3 l_ex on a twisted one is lower.
        rest = relax_texture(texture, texture.start(start), 1e-4, stays=False)
        parts = texture.energies(rest)
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


def test_the_single_domain_limit_of_problem_3_is_the_published_one_to_a_thousandth():
    """Flower and vortex have equal energy at L = 8.4687 l_ex, to 8.477 among extrapolations."""
    coarse, fine = crossing(8)[0], crossing(12)[0]
    limit = (144 * fine - 64 * coarse) / 80
    assert limit == pytest.approx(PROBLEMS["3"]["single_domain_limit"], rel=1e-3)


@pytest.mark.slow
def test_partial_energies_of_problem_3_are_the_published_ones():
    edge, (flower, vortex) = crossing(24)
    published = PROBLEMS["3"]
    assert edge == pytest.approx(published["single_domain_limit"], rel=0.005)
    assert flower["GridDemagnetization"] == pytest.approx(published["demagnetization_flower"], rel=0.01)
    assert vortex["Exchange"] == pytest.approx(published["exchange_vortex"], rel=0.02)
    assert vortex["Uniaxial"] == pytest.approx(published["anisotropy_vortex"], rel=0.02)


SIDES = (500.0, 125.0)
FIELD_1, FIELD_2 = (-24.6e-3, 4.3e-3, 0.0), (-35.5e-3, -6.3e-3, 0.0)


def film(cells):
    """Return the space of problem 4 with nodes at corners of the cells, and its stray field."""
    axes = [np.linspace(0, side, k * cells + 1) for side, k in zip(SIDES, (4, 1), strict=True)]
    space = mesh_space(skfem.MeshQuad.init_tensor(*axes), section=3.0)
    return space, grid_demagnetization(space, permalloy())


def difference_film(cells):
    """Return the same with nodes at the centres of the cells: finite differences."""
    counts = (4 * cells, cells)
    h = SIDES[1] / cells
    axes = [(np.arange(k) + 0.5) * h for k in counts]
    space = mesh_space(skfem.MeshQuad.init_tensor(*axes), section=3.0)
    order = np.lexsort(np.round(space.positions[:, 1::-1] / h).T)
    to_grid = sp.csr_array(sp.eye_array(space.size).tocsr()[order])
    ones = [np.ones(k - 1) for k in counts]
    steps = [sp.diags_array([-u, u], offsets=[0, 1], shape=(len(u), len(u) + 1)) for u in ones]
    along_x, along_y = (sp.csr_array(d.T @ d) for d in steps)
    laplace = sp.kron(along_x, sp.eye_array(cells)) + sp.kron(sp.eye_array(4 * cells), along_y)
    volumes = np.full(space.size, 3.0 * h**2)
    stiffness = sp.csr_array(3.0 * (to_grid.T @ laplace @ to_grid))
    space = replace(space, volumes=volumes, stiffness=stiffness, sharpened=False)
    bricks = grid_demagnetization(film(cells)[0], permalloy(), parts=1)
    one = sp.csr_array(sp.eye_array(space.size))
    return space, replace(bricks, sharpening=one, interpolation=to_grid)


def switching(discrete, field, times):
    """Return <m> of problem 4 at the times [s]; field None gives the S state.

    A torque of 1e-6 T left in the S state moves <m> at 1 ns under field 2 by less than 1e-3.
    """
    space, demagnetization = discrete
    magnet = permalloy()
    texture = ferromagnet_texture(space, magnet).with_terms(demagnetization)
    state = relax_texture(texture, texture.start([1, 0.1, 0]), 1e-7)
    if field is None:
        return space.mean(state)
    driven = ferromagnet_texture(space, magnet, field=field).with_terms(demagnetization)
    return run_texture(RungeKutta(driven, 1e-5), state, times, lambda _, m: space.mean(m)).values


def first_zero(discrete):
    """Return the time [s] at which <m_x> first vanishes under field 1, and <m_y> there."""
    path = switching(discrete, FIELD_1, np.arange(0, 0.142e-9, 1e-12))
    k = int(np.flatnonzero(path[:, 0] < 0)[0])
    part = path[k - 1, 0] / (path[k - 1, 0] - path[k, 0])
    return (k - 1 + part) * 1e-12, path[k - 1, 1] + part * (path[k, 1] - path[k - 1, 1])


def within_published(found, *names, error=0.0):
    """Assert that <m> lies between the results of the published codes, widened by their error."""
    rows = np.vstack([np.atleast_2d(PROBLEMS["4"][name]) for name in names])
    used = slice(0, 2) if names[0] == "s_state" else slice(0, 3)
    assert (found >= rows.min(axis=0) - error)[used].all(), (found, rows)
    assert (found <= rows.max(axis=0) + error)[used].all(), (found, rows)


def test_the_s_state_of_problem_4_is_the_published_one():
    coarse, fine = (switching(film(cells), None, ()) for cells in (12, 24))
    limit = (4 * fine - coarse) / 3
    within_published(limit, "s_state", "s_state_others")
    # mumax3 itself is at 3.9 nm: half a thousandth
    np.testing.assert_allclose(limit, PROBLEMS["4"]["s_state"], atol=1e-3)


def test_the_first_zero_of_problem_4_comes_at_the_published_time():
    """OOMMF's series is that of cells of 2.5 nm: from 5 to 3.1 nm its own zero moves by 1.4e-3."""
    zeros = np.array([first_zero(film(cells)) for cells in (8, 16)])
    limit = (4 * zeros[1] - zeros[0]) / 3
    assert limit[0] == pytest.approx(PROBLEMS["4"]["first_zero"], rel=1.4e-3)
    assert limit[1] == pytest.approx(PROBLEMS["4"]["my_at_first_zero"], rel=1.4e-3)


@pytest.mark.slow
def test_finite_differences_in_place_of_elements_give_the_published_digits_of_oommf():
    """Problem 4 with cells of 2.5 nm, field 1: what is not mesh is right to six digits."""
    published, discrete = PROBLEMS["4"], difference_film(50)
    end = switching(discrete, FIELD_1, [0, 1e-9])[-1]
    np.testing.assert_allclose(end, published["end1"], atol=1e-6)
    time, my = first_zero(discrete)
    assert time == pytest.approx(published["first_zero"], abs=5e-15)
    assert my == pytest.approx(published["my_at_first_zero"], abs=5e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("field", "name"), [(FIELD_1, "field1"), (FIELD_2, "field2")])
def test_problem_4_ends_after_1_ns_between_the_published_results(field, name):
    """Cells of 3.1 nm, as the published 2 to 4 nm.

    The ringing spreads them: by 0.06 (field 1) and 0.035 (field 2) in <m_y>.  The published codes
    are finite differences, whose error on these cells is known from ours; under field 2 the limit,
    <m_x> = -0.964, lies half of it outside their range.
    """
    end = switching(film(40), field, [0, 1e-9])[-1]
    error = 0.0
    if name == "field2":
        error = np.abs(switching(difference_film(40), field, [0, 1e-9])[-1] - end)
    within_published(end, name, f"{name}_others", error=error)
    if name == "field1":
        # no farther from OOMMF at 2.5 nm than mumax3 at 3.9 nm
        mumax, oommf = np.array(PROBLEMS["4"]["field1"]), np.array(PROBLEMS["4"]["end1"])
        assert np.abs(end - oommf).max() < np.abs(mumax - oommf).max()


@pytest.mark.slow
def test_problem_5_is_driven_to_the_published_rest_state():
    """Vortex in a square under a current along +x, xi = 0.05: <m> at 1 ns and at rest.

    Cells of 3.1 nm in two layers.  At 1 ns the published codes differ by 1.5 percent along x and
    2.5 along y.  At rest they agree to 0.5 percent, all with the error of finite differences: with
    2.5 nm in one layer 1.7 percent of <m_x>, 0.2116 in place of the limit 0.2152.
    The rest state does not depend on the damping; with 1 it comes sooner.
    """
    published, magnet = PROBLEMS["5"], permalloy(damping=0.1)
    grid = np.linspace(-50, 50, 33)
    mesh = skfem.MeshHex.init_tensor(grid, grid, np.linspace(0, 10, 3))
    space = mesh_space(mesh)
    texture = ferromagnet_texture(space, magnet).with_terms(grid_demagnetization(space, magnet))
    x, y, _ = space.positions.T
    state = relax_texture(texture, texture.start(np.stack([-y, x, 10 + 0 * x], axis=1)), 1e-5)
    # a conventional current along +x: u = -72 m/s
    driven = texture.with_torques(SpinTransfer([-published["u"], 0, 0], published["xi"]))
    moved = run_texture(RungeKutta(driven, 1e-4), state, [0, 1e-9]).m
    first, other = (np.array(published[k]) for k in ("one_ns", "one_ns_other"))
    assert (np.abs(space.mean(moved)[:2] - first) < np.abs(first - other)).all()
    rest = run_texture(RungeKutta(driven.with_damping(1.0), 1e-4), moved, [0, 4e-9]).m
    np.testing.assert_allclose(space.mean(rest)[:2], published["final"], rtol=0.015)
