"""Energy terms on meshes: fields are derivatives of energies, and profiles are analytic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import skfem
from texture_setup import CASES, afm, fm, g_of, line, meshes, richardson

from femspin.errors import CaseError
from femspin.magnets.energy import BulkDMI, Exchange, InterfacialDMI, uniaxial, zeeman
from femspin.magnets.ferromagnet import ferromagnet_texture
from femspin.magnets.magnet import damping_like_rate, drift_velocity
from femspin.magnets.run import relax_texture
from femspin.magnets.space import mesh_space, region_space
from femspin.magnets.walls import find_wall, wall_profile

EVERY_TERM = {
    "anisotropy": 4e5,
    "axis": (0.0, 0.6, 0.8),
    "hard_anisotropy": 1e5,
    "cubic_anisotropy": 2e5,
    "cubic_axes": ((0.6, 0.8, 0.0), (0.0, 0.0, 1.0)),
    "interfacial_dmi": 1e-3,
    "bulk_dmi": 7e-4,
    "thin_film": True,
}


def field(x, time):
    """Return a field [T] that varies in space [m] and time [s]."""
    return np.stack([0.1 * np.sin(x[:, 0] / 3e-9), 0 * x[:, 0], 0.2 + 1e9 * time + 0 * x[:, 0]], 1)


def meshed(kind):
    return mesh_space(meshes()[kind], section=1.0 if kind in ("tet", "hex") else 2.0)


@pytest.fixture(params=["line", "tri", "quad", "tet", "hex"])
def texture(request):
    space = meshed(request.param)
    return ferromagnet_texture(space, fm(**EVERY_TERM), field=field)


def random(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_the_effective_field_is_minus_the_derivative_of_the_energy(texture):
    """-M_s V_i B_i = dE/dm_i, by central differences of step h = 1e-4.

    The energy is a polynomial of degree 4, so the error is h^2 of its size, 1e-8, and rounding
    1e-16/h of the energy.
    """
    m, h = texture.start(random((texture.space.size, 3))), 1e-4
    weight = 8e5 * texture.space.volumes * 1e-27
    field_of_m = texture.effective_field(m, 0.3)
    for node in range(0, len(m), 7):
        for k in range(3):
            step = np.zeros_like(m)
            step[node, k] = h
            slope = (texture.energy(m + step, 0.3) - texture.energy(m - step, 0.3)) / (2 * h)
            size = 8e5 * weight[node] * np.abs(field_of_m).max() / 8e5
            assert abs(slope + weight[node] * field_of_m[node, k]) < 1e-6 * size


def test_the_discrete_gradient_gives_the_energy_difference_exactly(texture):
    before, change = (texture.start(random((texture.space.size, 3))), random((texture.space.size, 3), 1))
    after = before + 0.5 * change
    omega = texture.secant_precession(before, after, 0.3)
    work = -texture.spin_density * 1e-15 * np.vdot(omega * texture.space.volumes[:, None], 0.5 * change)
    difference = texture.energy(after, 0.3) - texture.energy(before, 0.3)
    size = max(abs(v) for v in texture.energies(after, 0.3).values())
    assert abs(work - difference) < 1e-12 * size


def test_the_stiffness_matrix_is_the_derivative_of_the_precession(texture):
    m, d, h = (texture.start(random((texture.space.size, 3))), random((texture.space.size, 3), 1), 1e-4)
    slope = (texture.precession(m + h * d) - texture.precession(m - h * d)) / (2 * h)
    product = (texture.stiffness(m) @ d.ravel()).reshape(d.shape)
    # third derivatives of the cubic term and rounding: h^2 and 1e-16/h
    assert np.abs(slope + product).max() < 1e-7 * np.abs(product).max()


@pytest.mark.parametrize("kind", ["line", "tri", "quad", "tet", "hex"])
def test_volumes_and_a_linear_gradient_are_exact(kind):
    space = meshed(kind)
    extent = {"line": 6 * 2, "tri": 24 * 2, "quad": 24 * 2, "tet": 72, "hex": 72}[kind]
    assert space.volume == pytest.approx(extent, rel=1e-13)
    slope = space.along(np.array([1.0, 0, 0]), 0.25 * space.positions[:, :1])
    np.testing.assert_allclose(slope, 0.25, rtol=1e-12)


@pytest.mark.parametrize(("sharpened", "order"), [(False, 2), (True, 4)])
def test_slopes_of_a_wave_converge_with_order_2_and_sharpened_with_order_4(sharpened, order):
    """On a lattice by sin(kh)/(kh) = 1 - (kh)^2/6; sharpened times 1 + (1 - cos kh)/3."""
    errors = []
    for count in (12, 24, 48):
        line_of = skfem.MeshLine(np.linspace(0, 2 * np.pi, count + 1))
        space = replace(mesh_space(line_of, periodic=(0,)), sharpened=sharpened)
        x = space.positions[:, :1]
        slope = space.along(np.array([1.0, 0, 0]), np.sin(x))
        h = 2 * np.pi / count
        factor = np.sin(h) / h * (1 + (1 - np.cos(h)) / 3 if sharpened else 1)
        np.testing.assert_allclose(slope, factor * np.cos(x), atol=1e-12)
        errors.append(abs(factor - 1))
    ratios = np.array(errors[:-1]) / errors[1:]
    # the next order changes the ratio by less than (kh)^2 = 0.27
    np.testing.assert_allclose(ratios, 2.0**order, rtol=0.27)


@pytest.mark.parametrize("kind", ["line", "tri", "quad", "tet", "hex"])
def test_a_sharpened_linear_gradient_is_exact(kind):
    space = replace(meshed(kind), sharpened=True)
    slope = space.along(np.array([1.0, 0, 0]), 0.25 * space.positions[:, :1])
    np.testing.assert_allclose(slope, 0.25, rtol=1e-12)
    np.testing.assert_allclose(space.mass.sum(axis=1), space.volumes, rtol=1e-13)


def helix(wave, axis_two, count=24):
    """Return a periodic line along x and m = x-hat-or-z cos + second axis sin of k x."""
    space = mesh_space(skfem.MeshLine(np.linspace(0, 2 * np.pi / wave, count + 1)), periodic=(0,))
    phase = wave * space.positions[:, 0]
    m = np.zeros((space.size, 3))
    m[:, 2], m[:, axis_two] = np.cos(phase), np.sin(phase)
    return space, m


def test_energies_of_helices_are_those_of_the_lattice():
    """Per volume, exchange A (2s/h)^2 (1 + s^2/3) and DMI D sin(kh)/h (1 + 2 s^2/3).

    Here s = sin(kh/2), and the square of the slope is -D2 + h^2 D2^2/12 of second differences D2.
    """
    wave, count = 0.3, 24
    h = 2 * np.pi / wave / count
    s = np.sin(wave * h / 2)
    space, cycloid = helix(wave, 0)
    _, screw = helix(wave, 1)
    exchange = Exchange(space, 2.0).energy(cycloid, 0.0) / space.volume
    assert exchange == pytest.approx(2.0 * (2 / h * s) ** 2 * (1 + s**2 / 3), rel=1e-12)
    # m_z div m - m . grad m_z = cos(kx) k cos(kx) + sin(kx) k sin(kx) = k
    lattice = 2.0 * np.sin(wave * h) / h * (1 + 2 * s**2 / 3)
    chiral = InterfacialDMI(space, 2.0).energy(cycloid, 0.0) / space.volume
    assert chiral == pytest.approx(lattice, rel=1e-12)
    # m . curl m = m_z d_x m_y - m_y d_x m_z = k
    bulk = BulkDMI(space, 2.0).energy(screw, 0.0) / space.volume
    assert bulk == pytest.approx(lattice, rel=1e-12)
    assert abs(BulkDMI(space, 2.0).energy(cycloid, 0.0)) < 1e-12
    assert abs(InterfacialDMI(space, 2.0).energy(screw, 0.0)) < 1e-12


def periodic_grid(dimension, count):
    edges = [np.linspace(0, 2 * np.pi, count + 1)] * dimension
    kind = {1: skfem.MeshLine, 2: skfem.MeshQuad, 3: skfem.MeshHex}[dimension]
    return kind(edges[0]) if dimension == 1 else kind.init_tensor(*edges)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_exchange_and_dmi_of_oblique_waves_err_by_order_4_on_grids(dimension):
    """Of m = x-hat cos(k.r) + z-hat sin(k.r), k = (1, 1, ...): |k|^2 A and -k_x D per volume."""
    errors = []
    for count in (12, 24):
        space = mesh_space(periodic_grid(dimension, count), periodic=range(dimension))
        phase = space.positions[:, :dimension].sum(axis=1)
        m = np.stack([np.cos(phase), 0 * phase, np.sin(phase)], axis=1)
        exchange = Exchange(space, 1.0).energy(m, 0.0) / space.volume / dimension
        dmi = -InterfacialDMI(space, 1.0).energy(m, 0.0) / space.volume
        errors.append([exchange - 1, dmi - 1])
    first, second = np.abs(errors)
    # the next order changes the ratio by less than (kh)^2 = 0.27
    np.testing.assert_allclose(first / second, 16, rtol=0.27)


@pytest.mark.parametrize("kind", ["line", "quad", "hex"])
def test_grids_with_uneven_cells_weigh_exchange_by_the_same_rule(kind):
    """Linear slopes cost A |grad m|^2 V exactly, and the matrices keep their symmetry.

    Where no DMI tilts them, ends are mirrors, and a slope there costs more.
    """
    rng = np.random.default_rng(3)
    edges = [np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.5, 6))]) for _ in range(3)]
    mesh = {
        "line": lambda: skfem.MeshLine(edges[0]),
        "quad": lambda: skfem.MeshQuad.init_tensor(*edges[:2]),
        "hex": lambda: skfem.MeshHex.init_tensor(*edges),
    }[kind]()
    space = mesh_space(mesh)
    slope = np.zeros(3)
    slope[: mesh.dim()] = rng.normal(size=mesh.dim())
    value = space.positions @ slope
    one = np.ones(space.size)
    exact = slope @ slope * space.volume
    assert value @ (space.sloped_exchange @ value) == pytest.approx(exact, rel=1e-12)
    assert value @ (space.exchange @ value) > exact
    for matrix in (space.exchange, space.sloped_exchange):
        assert abs(matrix - matrix.T).max() < 1e-13
        assert np.linalg.eigvalsh(matrix.toarray()).min() > -1e-12
    for k in range(3):
        # 1 d_k f - f d_k 1
        assert one @ (space.turns[k] @ value) == pytest.approx(slope[k] * space.volume, abs=1e-11)
        assert abs(space.turns[k] + space.turns[k].T).max() < 1e-13


def test_the_energy_of_exchange_keeps_small_angles_on_fine_cells():
    """A sum of squares: m . S m rounds to 1e-16 |S|, here 1000 times the energy."""
    space = mesh_space(skfem.MeshLine(np.linspace(0, 1e-3, 21)))
    angle = 1e-9 * space.positions[:, 0] / 1e-3
    m = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
    exact = (1e-9 / 1e-3) ** 2 * space.volume
    # angles of 5e-11 between nodes hold the rounding of m, 1e-16
    assert Exchange(space, 1.0).energy(m, 0.0) == pytest.approx(exact, rel=0.05)


def test_a_slanted_cell_leaves_linear_elements():
    mesh = skfem.MeshQuad.init_tensor(np.arange(4.0), np.arange(3.0))
    assert mesh_space(mesh).edges is not None
    corners = mesh.p + 0.1 * mesh.p[::-1]
    slanted = mesh_space(skfem.MeshQuad(corners, mesh.t))
    assert slanted.edges is None
    assert slanted.exchange is slanted.stiffness
    assert mesh_space(meshes()["tri"]).edges is None
    assert replace(mesh_space(mesh), sharpened=False).edges is None


def relaxed_wall(cell, dmi=0.0, **changes):
    p = CASES["D11"]["inputs"]
    magnet = fm(exchange_stiffness=p["A"], anisotropy=p["K"], interfacial_dmi=dmi, **changes)
    space = line(magnet.wall_width, 24, cell)
    texture = ferromagnet_texture(space, magnet)
    # D > 0 lowers the energy of a wall that turns against the cycloid: m_x < 0 from +z to -z.
    m = wall_profile(space, 0.0, magnet.wall_width, tilt=np.pi if dmi else 0.3)
    return texture, relax_texture(texture, texture.start(m), 1e-8), magnet


def wall_energy(cell, dmi):
    """Return the energy of a wall above that of the same line without one [J/m^2]."""
    texture, m, _ = relaxed_wall(cell, dmi)
    domain = relax_texture(texture, texture.start([0.05, 0.0, 1.0]), 1e-8)
    return (texture.energy(m) - texture.energy(domain)) / 1e-18


def test_wall_energy_is_4_sqrt_ak_minus_pi_d():
    p = CASES["D11"]
    for dmi, exact in ((0.0, 4 * np.sqrt(5e-12 * 4.25e4)), (p["inputs"]["D"], p["outputs"]["E_neel"])):
        values = [wall_energy(cell, dmi) for cell in (0.4, 0.2, 0.1)]
        # order 4; the next one changes the ratio by less than (h/lambda)^2 = 0.16
        steps = np.diff(values)
        assert steps[0] / steps[1] == pytest.approx(16, rel=0.16)
        # the tilt of the ends reaches the wall with exp(-12) = 6e-6
        assert abs(values[2] - exact) < 2e-5 * exact


def test_wall_profile_is_the_hyperbolic_tangent_of_width_sqrt_a_over_k():
    p = CASES["R17"]
    widths = []
    for cell in (0.4, 0.2, 0.1):
        magnet = fm(**{"exchange_stiffness": p["inputs"]["A"], "anisotropy": p["inputs"]["K"]})
        space = line(magnet.wall_width, 24, cell)
        texture = ferromagnet_texture(space, magnet)
        m = relax_texture(texture, wall_profile(space, 0.0, 1.1 * magnet.wall_width, tilt=1.0), 1e-8)
        wall = find_wall(space, m)
        widths.append(wall.width)
        assert abs(wall.position) < 1e-12
        assert wall.tilt == pytest.approx(1.0, abs=1e-9)
    errors = np.abs(np.array(widths) / p["outputs"]["Delta"] - 1)
    # order 4; the next one changes the ratio by less than (h/lambda)^2 = 0.16
    np.testing.assert_allclose(errors[:-1] / errors[1:], 16, rtol=0.16)
    assert errors[2] < 3e-5


def test_interfacial_dmi_tilts_the_edges_of_a_film_by_its_boundary_condition():
    """At the edge |m_x| = D / (2 sqrt(A K)), reached with order 2."""
    p = CASES["D11"]
    tilts = []
    for cell in (0.2, 0.1, 0.05):
        texture, _, _ = relaxed_wall(cell, p["inputs"]["D"])
        m = relax_texture(texture, texture.start([0.05, 0.0, 1.0]), 1e-8)
        tilts.append(m[:, 0])
        assert m[0, 0] * m[-1, 0] < 0
    edge = [abs(t[-1]) for t in tilts]
    exact = p["outputs"]["edge_tilt_sin"]
    errors = np.abs(np.array(edge) - exact)
    assert 3.4 < errors[0] / errors[1] < 4.6
    limit, rest = richardson(edge[1], edge[2])
    assert abs(limit - exact) < rest


def test_the_sign_of_interfacial_dmi_selects_the_neel_wall():
    for dmi in (2e-4, -2e-4):
        texture, _, magnet = relaxed_wall(0.2, dmi)
        start = wall_profile(texture.space, 0.0, magnet.wall_width, tilt=0.5 * np.pi + 0.1)
        tilt = find_wall(texture.space, relax_texture(texture, start, 1e-7)).tilt
        # E_wall = 4 sqrt(AK) + pi D cos(tilt), from the integral of w over n = (sech, 0, -tanh)
        assert np.cos(tilt) == pytest.approx(-np.sign(dmi), abs=1e-6)


def test_derived_quantities_are_those_of_the_reference():
    for magnet, case in ((afm(), CASES["D00"]),):
        out = case["outputs"]
        found = {
            "s": magnet.spin_density,
            "rho": magnet.inertia,
            "wall_width": magnet.wall_width,
            "magnon_velocity": magnet.magnon_velocity,
            "omega0": magnet.resonance,
            "Gamma": magnet.momentum_relaxation,
            "B_E": magnet.exchange_field,
            "B_A": magnet.anisotropy_field,
            "wall_energy": magnet.wall_energy,
            "wall_mass": magnet.wall_mass,
            "B_sf_thermodynamic": magnet.spin_flop_field,
        }
        for name, value in found.items():
            assert value == pytest.approx(out[name], rel=1e-12), name


def test_currents_convert_to_velocities_and_rates():
    p = CASES["F05"]
    i, o = p["inputs"], p["outputs"]
    # the reference constants have 10 digits
    assert drift_velocity(1.0, i["jc"], i["s_afm"]) == pytest.approx(o["u_afm"], rel=1e-9)
    assert drift_velocity(1.0, i["jc"], i["s_fm"]) == pytest.approx(o["u_fm"], rel=1e-9)
    rate = damping_like_rate(i["Js"], i["s_fm"], i["d"])
    assert rate == pytest.approx(o["omega_DL_fm"], rel=1e-9)
    assert rate / fm().gamma == pytest.approx(o["B_DL_fm"], rel=1e-9)


def test_a_field_function_sees_positions_in_metres_and_time_in_seconds():
    space = mesh_space(meshes()["line"])
    term = zeeman(space, field, 1e11)
    found = term.precession(2.0)
    np.testing.assert_allclose(found, 0.1 * field(space.positions * 1e-9, 2e-12), rtol=1e-13)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"saturation": 0.0}, "magnet.saturation"),
        ({"damping": -0.1}, "magnet.damping"),
        ({"axis": (0.0, 0.0, 2.0)}, "magnet.axis"),
        ({"exchange_stiffness": float("nan")}, "magnet.exchange_stiffness"),
        ({"cubic_axes": ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))}, "magnet.cubic_axes"),
    ],
)
def test_impossible_parameters_are_refused_by_name(changes, path):
    with pytest.raises(CaseError, match="must be") as caught:
        fm(**changes)
    assert caught.value.path == path


def test_wrong_meshes_and_states_are_refused():
    with pytest.raises(CaseError, match="linear cells"):
        mesh_space(skfem.MeshTri2())
    with pytest.raises(CaseError, match="one per coordinate"):
        mesh_space(meshes()["tri"], axes=(0,))
    space = mesh_space(meshes()["tri"])
    texture = ferromagnet_texture(space, fm())
    with pytest.raises(CaseError, match="must have shape"):
        texture.start(np.zeros((2, 3)))
    with pytest.raises(CaseError, match="not zero"):
        texture.start([0.0, 0.0, 0.0])


def test_a_region_of_a_device_gives_its_own_nodes_and_surface():
    from femspin import build_device, case_from_table

    magnet = {"saturation_magnetization": "1.4e5 A/m", "damping": 0.1}
    case = case_from_table(
        {
            "structure": {
                "layers": [
                    {"region": "YIG", "thickness": "2 nm", "cells": 2},
                    {"region": "Pt", "thickness": "3 nm", "cells": 6},
                ],
                "dimension": 2,
                "width": "10 nm",
                "cells_x": 5,
            },
            "regions": {"YIG": {"kind": "FI", "magnet": magnet}, "Pt": {"kind": "HM", "material": "Pt"}},
            "interfaces": {"Pt|YIG": {"G_r": "5e14 S/m^2"}},
        }
    )
    structure = build_device(case).structure
    space = region_space(structure, "YIG", section=4.0)
    assert space.axes == (0, 2)
    assert space.volume == pytest.approx(10 * 2 * 4, rel=1e-12)
    areas = space.surface(structure.interfaces["Pt|YIG"].facets)
    assert areas.sum() == pytest.approx(10 * 4, rel=1e-12)
    top = space.positions[:, 2].max()
    assert set(space.positions[areas > 0, 2]) == {top}
    with pytest.raises(CaseError, match="did you mean 'YIG'"):
        region_space(structure, "YIK")


def test_gamma_follows_the_g_factor():
    assert fm(g_factor=g_of(1.7e11)).gamma == pytest.approx(1.7e11, rel=1e-12)


def test_anisotropy_and_field_may_differ_from_node_to_node():
    """Without exchange every node is a particle of its own: w = -K (m.k)^2 - M_s B.m."""
    space, magnet = mesh_space(meshes()["quad"], section=2.0), fm(exchange_stiffness=0.0)
    rng = np.random.default_rng(5)
    constant, b = rng.uniform(1e4, 9e4, space.size), rng.normal(size=(space.size, 3))
    axes = rng.normal(size=(space.size, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    bare = ferromagnet_texture(space, replace(magnet, anisotropy=0.0), field=b)
    texture = bare.with_terms(uniaxial(space, magnet, constant, axes))
    m = texture.start(rng.normal(size=(space.size, 3)))
    along = (m * axes).sum(axis=1)
    density = -constant * along**2 - 8e5 * (b * m).sum(axis=1)
    assert texture.energy(m) == pytest.approx(1e-27 * space.volumes @ density, rel=1e-12)
    found = texture.effective_field(m)
    np.testing.assert_allclose(found, b + (2 * constant * along / 8e5)[:, None] * axes, rtol=1e-11)
    product = texture.stiffness(m) @ m.ravel()
    local = uniaxial(space, magnet, constant, axes).gradient(m, 0.0) / space.volumes[:, None]
    np.testing.assert_allclose(product, local.ravel(), rtol=1e-12)


def test_uniform_anisotropy_of_every_node_is_that_of_the_magnet():
    space = mesh_space(meshes()["hex"])
    magnet = fm(anisotropy=3e4, axis=(0.0, 0.6, 0.8))
    m = random((space.size, 3))
    given = ferromagnet_texture(space, magnet).energies(m)["Uniaxial"]
    nodes = np.full(space.size, 3e4)
    one = ferromagnet_texture(space, fm(anisotropy=0.0))
    for axis in (magnet.axis, np.tile(magnet.axis, (space.size, 1))):
        found = one.with_terms(uniaxial(space, magnet, nodes, axis)).energies(m)["Uniaxial"]
        assert found == pytest.approx(given, rel=1e-13)


@pytest.mark.parametrize(
    ("constant", "axis", "path"),
    [
        (np.ones(3), (0, 0, 1.0), "constant"),
        (np.nan, (0, 0, 1.0), "constant"),
        (1.0, np.ones((2, 3)), "axis"),
        (1.0, (0, 0, 2.0), "axis"),
    ],
)
def test_anisotropy_of_a_wrong_shape_is_refused_by_name(constant, axis, path):
    with pytest.raises(CaseError) as caught:
        uniaxial(mesh_space(meshes()["quad"]), fm(), constant, axis)
    assert caught.value.path == path
