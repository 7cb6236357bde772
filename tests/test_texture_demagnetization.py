"""Open-boundary demagnetization: boundary elements on tetrahedra, FFT on regular grids."""

from __future__ import annotations

import numpy as np
import pytest
import skfem
from texture_setup import CASES, fm

from femspin.errors import CaseError
from femspin.magnets.demagnetization import boundary_demagnetization, triangle_weights
from femspin.magnets.energy import BulkDMI
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.midpoint import Midpoint
from femspin.magnets.newell import brick_tensor, grid_demagnetization
from femspin.magnets.space import mesh_space

MAGNET = fm(exchange_stiffness=0.0, anisotropy=0.0)


def box(kind, cells, extent):
    axes = [np.linspace(0, e, n + 1) for e, n in zip(extent, cells, strict=True)]
    return mesh_space(kind.init_tensor(*axes))


def factors(space, term):
    """Return the magnetometric demagnetizing factors along x, y, z: energy over K_m V."""
    texture = ferromagnet_texture(space, MAGNET).with_terms(term)
    scale = MAGNET.shape_anisotropy * space.volume * 1e-27
    return np.array([texture.energy(texture.start(axis)) / scale for axis in np.eye(3)])


def random(space, seed):
    return np.random.default_rng(seed).normal(size=(space.size, 3))


def test_solid_angle_moments_of_triangles_are_those_of_quadrature():
    rng = np.random.default_rng(0)
    points, corners = rng.normal(size=(4, 3)) + np.array([0, 0, 3]), rng.normal(size=(3, 3, 3))
    x, w = np.polynomial.legendre.leggauss(40)
    x, w = (x + 1) / 2, w / 2
    u, v = np.meshgrid(x, x, indexing="ij")
    weight = np.outer(w, w) * (1 - u)
    shape = np.stack([1 - u - v * (1 - u), u, v * (1 - u)])
    found = triangle_weights(points, corners)
    for t, c in enumerate(corners):
        normal = np.cross(c[1] - c[0], c[2] - c[0])
        place = np.einsum("iuv,ik->uvk", shape, c)
        for p, point in enumerate(points):
            r = place - point
            kernel = (r @ normal) / np.linalg.norm(r, axis=2) ** 3 / (4 * np.pi)
            exact = (weight * kernel * shape).sum(axis=(1, 2))
            np.testing.assert_allclose(found[p, t], exact, atol=1e-13)


def test_the_factor_of_a_sphere_converges_to_one_third_with_order_two():
    errors = []
    for refinement in (2, 3, 4):
        space = mesh_space(skfem.MeshTet.init_ball(refinement).scaled(10.0))
        term = boundary_demagnetization(space, MAGNET)
        found = factors(space, term)
        errors.append(np.abs(found - 1 / 3).max())
        texture = ferromagnet_texture(space, MAGNET).with_terms(term)
        mean = space.mean(texture.effective_field(texture.start([0, 0, 1.0])))
        exact = -2 * MAGNET.shape_anisotropy / 8e5 / 3
        assert abs(mean[2] / exact - 1) < 4 * errors[-1]
    assert 3.4 < errors[0] / errors[1] < 4.8
    assert 3.4 < errors[1] / errors[2] < 4.8
    assert errors[2] < 0.005 / 3


@pytest.mark.parametrize(
    ("name", "extent"), [("SP5", (100, 100, 10)), ("SP4", (500, 125, 3)), ("cube", (7, 7, 7))]
)
def test_factors_of_prisms_on_a_grid_are_aharonis(name, extent):
    values = CASES["R30"]["outputs"][name]
    exact = [values[k] for k in ("Nx", "Ny", "Nz")]
    found = factors(
        box(skfem.MeshHex, (12, 8, 2), extent),
        grid_demagnetization(box(skfem.MeshHex, (12, 8, 2), extent), MAGNET),
    )
    # cells up to 42 nm by 16 nm by 1.5 nm: far cells by quadrature, (1/16)^6 of their share
    np.testing.assert_allclose(found, exact, atol=2e-8)
    assert found.sum() == pytest.approx(1.0, abs=1e-9)


def test_a_plane_mesh_with_a_thickness_is_a_film_of_one_brick():
    axes = np.linspace(0, 100, 17)
    film = mesh_space(skfem.MeshQuad.init_tensor(axes, axes), section=10.0)
    values = CASES["R30"]["outputs"]["SP5"]
    found = factors(film, grid_demagnetization(film, MAGNET))
    np.testing.assert_allclose(found, [values[k] for k in ("Nx", "Ny", "Nz")], atol=2e-8)


def test_factors_of_a_prism_by_boundary_elements_converge_to_aharonis():
    exact = CASES["R30"]["outputs"]["SP5"]["Nz"]
    errors = []
    for cells in ((10, 10, 2), (20, 20, 4)):
        space = box(skfem.MeshTet, cells, (100, 100, 10))
        errors.append(abs(factors(space, boundary_demagnetization(space, MAGNET))[2] - exact))
    # edges are singular: the charge of an edge cell is off by its own share, between h and h^2
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] < 0.02 * exact


@pytest.mark.parametrize("method", ["grid", "split grid", "boundary"])
def test_the_operator_is_symmetric_and_the_field_derives_from_the_energy(method):
    if "grid" in method:
        space = box(skfem.MeshHex, (4, 3, 2), (5, 4, 3))
        term = grid_demagnetization(space, MAGNET, 2 if "split" in method else None)
    else:
        space = box(skfem.MeshTet, (4, 3, 2), (5, 4, 3))
        term = boundary_demagnetization(space, MAGNET)
    a, b = random(space, 1), random(space, 2)
    one, other = np.vdot(a, term.gradient(b, 0.0)), np.vdot(b, term.gradient(a, 0.0))
    size = np.linalg.norm(a) * np.linalg.norm(term.gradient(b, 0.0))
    assert abs(one - other) < 1e-13 * size
    difference = term.energy(a + b, 0.0) - term.energy(a - b, 0.0)
    assert abs(difference - 2 * np.vdot(b, term.gradient(a, 0.0))) < 1e-13 * size


def test_collocation_without_symmetrization_is_nearly_symmetric_for_smooth_textures():
    asymmetry = []
    for cells in (3, 6):
        space = box(skfem.MeshTet, (cells,) * 3, (6, 6, 6))
        term = boundary_demagnetization(space, MAGNET, symmetric=False)
        x = space.positions / 6
        a = np.stack([np.sin(x[:, 1]), x[:, 2], x[:, 0] ** 2], axis=1)
        b = np.stack([x[:, 0], 1 - x[:, 1], np.cos(x[:, 2])], axis=1)
        one, other = np.vdot(a, term.gradient(b, 0.0)), np.vdot(b, term.gradient(a, 0.0))
        asymmetry.append(abs(one - other) / abs(one))
    assert asymmetry[1] < 0.6 * asymmetry[0]


def test_both_methods_agree_on_a_texture():
    """A vortex in a box, energies to the order of the tetrahedral mesh."""
    energies = []
    for kind, cells, method in (
        (skfem.MeshHex, (24, 24, 6), grid_demagnetization),
        (skfem.MeshTet, (8, 8, 2), boundary_demagnetization),
        (skfem.MeshTet, (16, 16, 4), boundary_demagnetization),
    ):
        space = box(kind, cells, (40, 40, 10))
        x, y, _ = space.positions.T - 20
        texture = ferromagnet_texture(space, MAGNET).with_terms(method(space, MAGNET))
        m = texture.start(np.stack([-y, x, 8 + 0 * x], axis=1))
        energies.append(texture.energy(m) / (MAGNET.shape_anisotropy * space.volume * 1e-27))
    errors = np.abs(np.array(energies[1:]) - energies[0])
    assert errors[1] < 0.6 * errors[0]
    assert errors[1] < 0.01


def test_newells_tensor_and_the_quadrature_for_far_bricks_meet():
    edges = np.array([1.0, 0.9, 0.5])
    direction = np.array([[0.7, 0.5, 0.4], [1.0, 0.0, 0.0], [0.1, 0.9, 0.2]])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    near, far = (brick_tensor(direction * r, edges) for r in (15.999999, 16.000001))
    # the quadrature misses (1/16)^6 = 6e-8 of the tensor
    assert np.abs(near - far).max() < 1e-6 * np.abs(near).max()
    assert np.abs(brick_tensor(np.zeros((1, 3)), edges)[:3].sum() - 1) < 1e-12


def test_the_midpoint_rule_lowers_the_energy_with_demagnetization():
    magnet = fm(anisotropy=0.0, damping=0.3)
    axes = np.linspace(0, 60, 13)
    space = mesh_space(skfem.MeshQuad.init_tensor(axes, axes), section=5.0)
    texture = ferromagnet_texture(space, magnet).with_terms(grid_demagnetization(space, magnet))
    m = texture.start(np.array([1.0, 0.2, 0.5]) + 0.5 * np.sin(space.positions / 9))
    scheme, clock, energy = Midpoint(texture, 2.0), 0.0, texture.energy(m)
    for _ in range(10):
        m, clock = scheme.advance(m, clock, 1e9)
        assert texture.energy(m) < energy
        energy = texture.energy(m)


def test_meshes_that_a_method_cannot_take_are_refused():
    with pytest.raises(CaseError, match="tetrahedra"):
        boundary_demagnetization(box(skfem.MeshHex, (2, 2, 2), (1, 1, 1)), MAGNET)
    with pytest.raises(CaseError, match="open grid of rectangles"):
        grid_demagnetization(box(skfem.MeshTet, (2, 2, 2), (1, 1, 1)), MAGNET)
    uneven = mesh_space(skfem.MeshQuad.init_tensor(np.array([0, 1, 3.0]), np.array([0, 1.0])))
    with pytest.raises(CaseError, match="equal bricks"):
        grid_demagnetization(uneven, MAGNET)


def test_long_range_terms_leave_the_sparse_matrix_of_the_others_exact():
    space = box(skfem.MeshTet, (2, 2, 2), (3, 3, 3))
    assert boundary_demagnetization(space, MAGNET).matrix(random(space, 0)) is None
    assert BulkDMI(space, 1.0).matrix(random(space, 0)) is not None


def texture_energy(cells, parts):
    """Return the energy over K_m V of a smooth texture with d_nu m = 0 at the edges of a film."""
    edges = np.linspace(0, 40, cells + 1)
    space = mesh_space(skfem.MeshQuad.init_tensor(edges, edges), section=10.0)
    x, y, _ = np.pi * space.positions.T / 40
    turn, tilt = 0.8 * np.cos(x) * np.cos(y) + 0.5 * np.cos(2 * y), 0.5 * np.cos(2 * x)
    m = np.stack([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)], axis=1)
    term = grid_demagnetization(space, MAGNET, parts)
    texture = ferromagnet_texture(space, MAGNET).with_terms(term)
    return texture.energy(m) / (MAGNET.shape_anisotropy * space.volume * 1e-27)


def test_what_a_grid_misses_is_only_the_steps_between_its_bricks():
    """E(h, p) = E + c (h/p)^2 + O(h^4): (E_1 - E_2)/(E_2 - E_4) = (1 - 1/4)/(1/4 - 1/16) = 4.

    Without the steps, (4 E_2 - E_1)/3, the energy converges with order 4.
    """
    found = np.array([[texture_energy(cells, p) for p in (1, 2, 4)] for cells in (8, 16, 32)])
    ratio = (found[:, 0] - found[:, 1]) / (found[:, 1] - found[:, 2])
    assert np.abs(ratio[1:] - 4).max() < np.abs(ratio[0] - 4)
    assert ratio[-1] == pytest.approx(4, rel=0.01)
    smooth = (4 * found[:, 1] - found[:, 0]) / 3
    steps = np.abs(np.diff(smooth))
    assert (steps[:-1] / steps[1:] > 12).all()
    # by default a film has two bricks per edge
    assert texture_energy(8, None) == found[0, 1]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_bricks_hold_the_volume_and_the_moment_of_the_magnet(parts):
    """An L of 3 cells: the bricks of the missing quarter stay empty."""
    grid = np.linspace(0, 8, 3)
    corner = skfem.MeshQuad.init_tensor(grid, grid).restrict([0, 1, 2])
    space = mesh_space(corner, section=2.0)
    term = grid_demagnetization(space, MAGNET, parts)
    m = random(space, 3)
    bricks = term.interpolation @ (term.sharpening @ m)
    volume = float(np.prod(term.edges))
    np.testing.assert_allclose(volume * bricks.sum(axis=0), space.volumes @ m, rtol=1e-13)
    filled = np.asarray(term.interpolation.sum(axis=1)).ravel()
    assert filled.sum() * volume == pytest.approx(space.volume, rel=1e-13)
    assert set(np.round(filled, 12)) == {0.0, 1.0}
    a, b = random(space, 1), random(space, 2)
    one, other = np.vdot(a, term.gradient(b, 0.0)), np.vdot(b, term.gradient(a, 0.0))
    size = np.linalg.norm(a) * np.linalg.norm(term.gradient(b, 0.0))
    assert abs(one - other) < 1e-13 * size


def test_a_grid_needs_a_brick_per_cell():
    film = mesh_space(skfem.MeshQuad(), section=1.0)
    with pytest.raises(CaseError, match="positive whole number"):
        grid_demagnetization(film, MAGNET, 0)
