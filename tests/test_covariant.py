"""Gauge-covariant elements: twin, local spin rotations, pure gauge, helix, orders, exact split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse.linalg as spl
from marks import slow
from scipy.linalg import eigh, expm
from test_transport import CELLS, Waves, box, strong_source, unit_coefficients

from femspin.case.schema import Stack
from femspin.fields.soc import covariant_rotation, cross_matrix
from femspin.interface.split import SUBPARTS, cell_integrals, cell_parts, part_functionals
from femspin.structure.stack import build_stack
from femspin.transport.assembly.coefficients import Coefficients
from femspin.transport.assembly.covariant import interpolation, pieces
from femspin.transport.assembly.frames import GaugeFunction, carried_frames, rotation_by, varying_frames
from femspin.transport.assembly.regions import apply_region, assemble_region, block_matrix
from femspin.transport.elements.space import build_space


def covariant(space, **changes) -> Coefficients:
    """Return coefficients of order one on elements that carry spin along every mesh direction."""
    return replace(unit_coefficients(), along=space.structure.axes, **changes)


def shaken_box(dimension: int, cell: str, n: int, order: int):
    """Return the space on a box whose inner vertices are moved at random: unstructured."""
    space = box(dimension, cell, n, order)
    structure, rng = space.structure, np.random.default_rng(7)
    p = structure.mesh.p.copy()
    low, high = p.min(axis=1, keepdims=True), p.max(axis=1, keepdims=True)
    inside = np.all((p > low + 1e-9) & (p < high - 1e-9), axis=0)
    p[:, inside] += 0.25 * (high - low) / n * rng.uniform(-1, 1, size=(len(p), inside.sum()))
    mesh = type(structure.mesh)(p, structure.mesh.t)
    return build_space(replace(structure, mesh=mesh), ("F",), order)


def edge_dofs(space):
    """Return the dofs on the whole surface of a box."""
    x = space.locations
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    return np.flatnonzero(np.any((x < low + 1e-9) | (x > high - 1e-9), axis=0))


def bottom_dofs(space):
    return np.flatnonzero(space.locations[-1] < space.locations[-1].min() + 1e-9)


def solve_with(space, c, dofs, values, load=0.0):
    """Return mu with mu = values on `dofs`, natural conditions elsewhere, charge pinned there."""
    blocks = assemble_region(space, "F", c)
    matrix = block_matrix(space, {"F": blocks}).tocsr()
    mu = np.zeros((space.n_dofs, 4))
    mu[dofs] = values
    held = np.zeros((space.n_dofs, 4), bool)
    held[dofs] = True
    free = np.flatnonzero(~held.ravel())
    right = (blocks.load + load).ravel() - matrix @ mu.ravel()
    mu.ravel()[free] = spl.splu(matrix[free][:, free].tocsc()).solve(right[free])
    return mu


# --------------------------------------------------------------------------------- frames
def test_rotations_are_matrix_exponentials():
    """Rodrigues' formula, also for tiny and large angles."""
    rng = np.random.default_rng(1)
    for size in (1e-12, 1e-5, 0.04, 0.06, 1.0, 20.0):
        angle = rng.normal(size=3) * size
        np.testing.assert_allclose(rotation_by(angle), expm(cross_matrix(angle)), atol=2e-14)


@pytest.mark.parametrize("size", [1e-6, 0.04, 0.9, 4.0])
def test_carried_connection_is_the_transformed_gauge_field(size):
    """The field a' = W a W^T - (dW) W^T, the derivative taken by complex steps through W."""
    rng = np.random.default_rng(2)
    gauge, y, axes = rng.normal(size=(3, 3)) * size, rng.normal(size=(5, 2)), (0, 2)
    frames = carried_frames(y[None], y[None], gauge, axes, axes)
    for point in range(5):
        angle = y[point] @ gauge[list(axes)]
        W = expm(cross_matrix(angle))
        np.testing.assert_allclose(frames.links[0, point], W, atol=1e-13)
        for j in range(3):
            expected = W @ cross_matrix(gauge[j]) @ W.T
            if j in axes:
                h = 1e-30
                shifted = cross_matrix(angle).astype(complex) + 1j * h * cross_matrix(gauge[j])
                expected = expected - (expm(shifted).imag / h) @ W.T
            got = cross_matrix(frames.connection[0, point, j])
            np.testing.assert_allclose(got, expected, atol=1e-13 * max(1, size))


def test_varying_frames_of_a_constant_field_are_the_closed_form():
    """Gauss integration over the rays is exact to degree 5 in y: error (a y)^7."""
    rng = np.random.default_rng(3)
    gauge, y = rng.normal(size=(3, 3)), 0.1 * rng.normal(size=(4, 6, 3))
    flat = GaugeFunction(
        lambda x: np.broadcast_to(gauge, (len(x), 3, 3)), lambda x: np.zeros((len(x), 3, 3, 3))
    )
    axes = (0, 1, 2)
    exact = carried_frames(y, y, gauge, axes, axes)
    found = varying_frames(y, y, np.zeros((4, 3)), flat, axes, axes)
    size = np.linalg.norm(gauge) * np.linalg.norm(y, axis=-1).max()
    np.testing.assert_allclose(found.turns, exact.turns, atol=1e-14)
    np.testing.assert_allclose(found.connection, exact.connection, atol=size**7)
    differences = GaugeFunction(flat.value)
    again = varying_frames(y, y, np.zeros((4, 3)), differences, axes, axes)
    np.testing.assert_allclose(again.connection, found.connection, atol=1e-10)


# ------------------------------------------------------------------------- kernel and twin
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_kernel_equals_basis_functions_written_out(dimension, cell, order):
    """Basis phi W(x<-c) W(c<-x_i) in the global frame, derivative by chain rule and expm."""
    space = shaken_box(dimension, cell, 2, order)
    c, axes = covariant(space), space.structure.axes
    cells = space.in_region("F")[:2]
    matrix, load = global_frame_element(space, c, cells)
    blocks = assemble_region(one_cell(space, cells), "F", c)
    dense = block_matrix(space, {"F": blocks}).toarray()
    scale = np.abs(matrix).max()
    np.testing.assert_allclose(dense, matrix, atol=1e-12 * scale)
    np.testing.assert_allclose(blocks.load.ravel(), load, atol=1e-12 * np.abs(load).max())
    assert len(axes) == dimension


def one_cell(space, cells):
    """Return the space with its region cut down to some cells."""
    region = np.full(len(space.region_of_cell), -1)
    region[cells] = 0
    return replace(space, region_of_cell=region)


def global_frame_element(space, c, cells):
    """Return matrix and load of some cells from the basis as a reader would write it."""
    axes, theta = list(space.structure.axes), c.theta.reshape(3, 4, 3, 4)
    jet, dx = space.jets(cells)
    centres, nodes = space.centroids(cells), space.node_positions(cells)
    points = space.quadrature_positions(cells)
    size = space.size
    matrix, load = np.zeros((size, size)), np.zeros(size)
    for e, cell in enumerate(cells):
        links = [four(expm(gauge_along(c, x - centres[e], axes))) for x in nodes[e]]
        for q in range(dx.shape[1]):
            y = points[e, q] - centres[e]
            W, slope = four(expm(gauge_along(c, y, axes))), []
            for j in axes:
                z = gauge_along(c, y, axes) + 1e-30j * cross_matrix(c.gauge[j])
                slope.append(four(expm(z).imag / 1e-30, 0.0))
            D = np.zeros((3, 4, len(nodes[e]), 4))
            value = np.zeros((4, len(nodes[e]), 4))
            for i, link in enumerate(links):
                phi, base = jet[i, -1, e, q], W.T @ link
                value[:, i] = phi * base
                for j in range(3):
                    D[j, :, i] = phi * c.rotation[j] @ base
                for row, j in enumerate(axes):
                    D[j, :, i] += jet[i, row, e, q] * base + phi * slope[row].T @ link
            dofs = (4 * space.dofs[cell][:, None] + np.arange(4)).ravel()
            D, value = D.reshape(3, 4, -1), value.reshape(4, -1)
            local = c.dos * c.diffusion * np.einsum("jem,jekz,kzn->mn", D, theta, D)
            local += c.dos * np.einsum("em,ez,zn->mn", value, c.reaction, value)
            matrix[np.ix_(dofs, dofs)] += dx[e, q] * local
            load[dofs] += dx[e, q] * np.einsum("jem,jekz,kz->m", D, theta, c.drift)
    return matrix, load


def gauge_along(c, y, axes):
    return cross_matrix(y @ c.gauge[axes])


def four(turn, charge=1.0):
    full = np.zeros((4, 4), turn.dtype)
    full[0, 0], full[1:, 1:] = charge, turn
    return full


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_general_kernel_on_plain_frames_is_the_moment_kernel(dimension, cell):
    """Tensors given cell by cell, carried nowhere, give the matrix of the block kernel."""
    space, c = box(dimension, cell, 2, 2), unit_coefficients()
    n = len(space.in_region("F"))
    per_cell = replace(c, theta=np.broadcast_to(c.theta, (n, 1, 12, 12)))
    fast, general = assemble_region(space, "F", c), assemble_region(space, "F", per_cell)
    scale = np.abs(fast.values).max()
    np.testing.assert_allclose(general.values, fast.values, atol=1e-14 * scale)
    np.testing.assert_allclose(general.load, fast.load, atol=1e-14 * np.abs(fast.load).max())


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_cellwise_operator_equals_the_matrix(dimension, cell):
    """`apply_region` is K mu - b on carried elements too, and adds the low part of mu."""
    space = box(dimension, cell, 2, 2)
    c = covariant(space)
    blocks = assemble_region(space, "F", c)
    mu = np.random.default_rng(0).normal(size=(space.n_dofs, 4))
    matrix = block_matrix(space, {"F": blocks})
    expected = (matrix @ mu.ravel()).reshape(-1, 4) - blocks.load
    scale = np.abs(expected).max()
    for high, low in ((1.0, 0.0), (0.25, 0.75)):
        got = apply_region(space, "F", c, high * mu, low * mu)
        np.testing.assert_allclose(got, expected, atol=1e-13 * scale)


# ------------------------------------------------------------------- local spin rotations
class LocalRotation:
    """g(x) = exp(t(x) x) with a smooth, strongly varying t, and what it does to a gauge field."""

    def __init__(self, axes: tuple[int, ...], gauge) -> None:
        rng = np.random.default_rng(5)
        self.axes, self.gauge = list(axes), gauge
        self.wave = rng.normal(size=(3, 3, len(axes))) * 1.5  # (component, wave, direction)
        self.size, self.phase = rng.normal(size=(3, 3)), rng.uniform(0, 6, size=(3, 3))

    def angle(self, x):
        return np.einsum(
            "aw,...aw->...a", self.size, np.sin(np.einsum("awj,...j->...aw", self.wave, x) + self.phase)
        )

    def slope(self, x):
        wave = np.cos(np.einsum("awj,...j->...aw", self.wave, x) + self.phase)
        return np.einsum("aw,awj,...aw->...ja", self.size, self.wave, wave)

    def turn(self, x):
        return self._series(x)[0]

    def _series(self, x):
        """Return g and the left Jacobian of exp, also for complex x."""
        t = self.angle(x)
        size = np.sqrt(np.sum(t * t, axis=-1))[..., None, None]
        hat = np.einsum("abc,...b->...ac", cross_matrix(np.eye(3)).transpose(1, 0, 2), t)
        square = hat @ hat
        g = np.eye(3) + np.sin(size) / size * hat + (1 - np.cos(size)) / size**2 * square
        left = np.eye(3) + (1 - np.cos(size)) / size**2 * hat + (size - np.sin(size)) / size**3 * square
        return g, left

    def value(self, x):
        g, left = self._series(x)
        turned = np.einsum("...ab,jb->...ja", g, self.gauge)
        moved = np.einsum("...ab,...jb->...ja", left, self.slope(x))
        for row, axis in enumerate(self.axes):
            turned[..., axis, :] -= moved[..., row, :]
        return turned

    def gradient(self, x):
        found = []
        for k in range(x.shape[-1]):
            step = np.zeros(x.shape[-1], complex)
            step[k] = 1e-30j
            found.append(self.value(x + step).imag / 1e-30)
        return np.stack(found, axis=-3)


def turned_tensors(space, c, g):
    """Return the tensors of `c` at every quadrature point after the local rotation."""
    points = space.quadrature_positions(space.in_region("F"))
    G = g.turn(points)
    U = np.zeros((*G.shape[:2], 4, 4))
    U[..., 0, 0], U[..., 1:, 1:] = 1.0, G
    theta = np.einsum("nqea,jakb,nqzb->nqjekz", U, c.theta.reshape(3, 4, 3, 4), U)
    return replace(
        c,
        theta=theta.reshape(*G.shape[:2], 12, 12),
        relaxation=G @ c.relaxation @ G.swapaxes(-1, -2),
        omega=np.einsum("nqab,b->nqa", G, c.omega),
        drift=np.einsum("nqea,ja->nqje", U, c.drift),
        gauge_function=GaugeFunction(g.value, g.gradient),
    )


@pytest.mark.parametrize(
    ("dimension", "cell", "order"),
    [
        slow(d, c, order) if (d, order) == (3, 2) else (d, c, order)
        for order in (1, 2)
        for d, c in ((1, "line"), (2, "tri"), (3, "tet"), (2, "quad"))
    ],
)
def test_local_spin_rotations_change_nothing_but_components(dimension, cell, order):
    """The nodes turn, mu -> g mu, and the interface current is the same.

    On unstructured meshes, with precession, anisotropic relaxation and Theta on; the Wilson lines
    are exact to round-off.
    """
    space = shaken_box(dimension, cell, 3 if dimension < 3 else 2, order)
    flat = unit_coefficients().gauge
    # Constant a written as a function too, so that both sides take the same quadrature.
    same = GaugeFunction(
        lambda x: np.broadcast_to(flat, (len(x), 3, 3)), lambda x: np.zeros((len(x), dimension, 3, 3))
    )
    c = covariant(space, gauge_function=same)
    g = LocalRotation(space.structure.axes, flat)
    dofs = bottom_dofs(space)
    values = np.random.default_rng(4).normal(size=(len(dofs), 4))
    turn = np.zeros((space.n_dofs, 4, 4))
    turn[:, 0, 0], turn[:, 1:, 1:] = 1.0, g.turn(space.locations.T)
    mu = solve_with(space, c, dofs, values)
    rotated = turned_tensors(space, c, g)
    other = solve_with(space, rotated, dofs, np.einsum("dab,db->da", turn[dofs], values))
    scale = np.abs(mu).max()
    np.testing.assert_allclose(other, np.einsum("dab,db->da", turn, mu), atol=1e-11 * scale)
    flux = apply_region(space, "F", c, mu)[dofs]
    again = np.einsum("dba,db->da", turn[dofs], apply_region(space, "F", rotated, other)[dofs])
    currents = flux.sum(axis=0), again.sum(axis=0)
    np.testing.assert_allclose(currents[1], currents[0], atol=1e-11 * np.abs(flux).max())
    # The same rotation on plain elements is a mesh error: the test can fail.
    plain = replace(rotated, along=())
    crude = solve_with(space, plain, dofs, np.einsum("dab,db->da", turn[dofs], values))
    assert np.abs(crude - np.einsum("dab,db->da", turn, mu)).max() > 1e-4 * scale


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_random_rotations_of_the_nodes_conjugate_the_element_matrices(dimension, cell):
    """Links W(c <- x_i) g_i^T in place of W: K_im -> g_i K_im g_m^T, with any random g_i."""
    space = shaken_box(dimension, cell, 2, 2)
    c = covariant(space)
    rng = np.random.default_rng(8)
    g = rotation_by(rng.normal(size=(space.n_dofs, 3)) * 2)
    before = assemble_region(space, "F", c)
    kept = list(pieces(space, "F", c))
    for piece in kept:
        turned = piece.frames.links @ g[space.dofs[piece.cells]].swapaxes(-1, -2)
        object.__setattr__(piece.frames, "links", turned)
    after = assemble_region(space, "F", c)
    full = np.zeros((space.n_dofs, 4, 4))
    full[:, 0, 0], full[:, 1:, 1:] = 1.0, g
    rows = np.repeat(np.arange(space.n_dofs), np.diff(space.pattern.indptr))
    expected = full[rows] @ before.values @ full[space.pattern.indices].swapaxes(1, 2)
    np.testing.assert_allclose(after.values, expected, atol=1e-13 * np.abs(expected).max())


# ------------------------------------------------------------------------- exact solutions
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_pure_gauge_solution_is_the_rotated_one_without_field(dimension, cell, order):
    """Field along one spin axis: W(x) mu_0 at every node and the same current, however coarse."""
    space = shaken_box(dimension, cell, 2, order)
    axis = np.array([0.48, -0.6, 0.64])
    gauge = np.outer([7.0, -5.0, 6.0], axis)  # up to 4 rad across a cell
    # Nothing is carried out of the mesh, and there a field is no pure gauge.
    gauge[[j for j in range(3) if j not in space.structure.axes]] = 0.0
    free = replace(
        unit_coefficients(),
        theta=np.eye(12),
        relaxation=np.eye(3),
        omega=0.3 * axis,
        gauge=np.zeros((3, 3)),
        rotation=np.zeros((3, 4, 4)),
        drift=np.zeros((3, 4)),
    )
    field = replace(free, gauge=gauge, rotation=covariant_rotation(gauge), along=space.structure.axes)
    dofs, x = bottom_dofs(space), space.locations.T
    W = rotation_by(-x @ gauge[list(space.structure.axes)])
    values = np.zeros((len(dofs), 4))
    values[:, 1:] = [0.3, 1.0, -0.5]
    mu = solve_with(space, free, dofs, values)
    expected = mu.copy()
    expected[:, 1:] = np.einsum("dab,db->da", W, mu[:, 1:])
    found = solve_with(space, field, dofs, expected[dofs])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    flux = apply_region(space, "F", free, mu)[dofs].sum(axis=0)
    turned = apply_region(space, "F", field, found)[dofs]
    turned[:, 1:] = np.einsum("dba,db->da", W[dofs], turned[:, 1:])
    np.testing.assert_allclose(turned.sum(axis=0), flux, atol=1e-10 * np.abs(flux).max())


def helix_rates(cells_per_pitch: float, along: bool, order: int = 1):
    """Return the lowest decay rates [Gamma] of a film with alpha = beta, one pitch square."""
    q = 1.0  # a^x = a^y = q (-1, 1, 0): alpha = beta; the helix turns by sqrt(2) q along x + y
    pitch = 2 * np.pi / (2 * q)
    n = round(cells_per_pitch)
    table = {
        "dimension": 3,
        "cell": "hex",
        "lateral": "insulating",
        "cells_x": n,
        "cells_y": n,
        "width": f"{pitch} nm",
        "depth": f"{pitch} nm",
        "layers": [{"region": "F", "thickness": "0.3 nm", "cells": 1}],
    }
    space = build_space(build_stack(Stack.model_validate(table), {"F": "F"}, {}), ("F",), order)
    gauge = q * np.array([[-1.0, 1, 0], [-1, 1, 0], [0, 0, 0]])
    gamma = 0.05
    c = Coefficients(
        1.0,
        1.0,
        np.eye(12),
        covariant_rotation(gauge),
        gauge,
        gamma * np.eye(3),
        np.zeros(3),
        np.zeros((3, 4)),
        np.zeros((3, 3)),
        np.zeros(3),
        (0, 1, 2) if along else (),
    )
    spin = np.flatnonzero(np.arange(space.size) % 4)
    matrix = block_matrix(space, {"F": assemble_region(space, "F", c)}).toarray()
    mass = block_matrix(space, {"F": assemble_region(space, "F", c.storage)}).toarray()
    values = eigh(matrix[np.ix_(spin, spin)], mass[np.ix_(spin, spin)], eigvals_only=True)
    return values[:3] / gamma


def test_persistent_spin_helix_decays_at_the_exact_rate_on_a_coarse_mesh():
    """For alpha = beta three modes, uniform along the axis and two helices, decay at Gamma only.

    With six cells per pitch; plain elements add (q h)^2-like relaxation that is not there.
    """
    np.testing.assert_allclose(helix_rates(6, True), 1.0, rtol=1e-10)
    plain = helix_rates(6, False)
    assert plain[2] > 1.5


# -------------------------------------------------------------------- orders and the split
def manufactured_error(dimension: int, cell: str, order: int, n: int) -> float:
    """Return the rms error of the inner nodes for Dirichlet data of two waves per component."""
    space = box(dimension, cell, n, order)
    c, axes = covariant(space), list(space.structure.axes)
    exact = Waves(tuple(axes))

    def at(points):  # (n, q, dim) -> (3, n, q)
        x = np.zeros((3, *points.shape[:-1]))
        x[axes] = np.moveaxis(points, -1, 0)
        return x

    load = np.zeros((space.n_dofs, 4))
    for piece in pieces(space, "F", c):
        source = strong_source(c, exact, at(space.quadrature_positions(piece.cells)))
        source = np.moveaxis(source, 0, -1)
        source[..., 1:] = np.einsum("nqab,nqb->nqa", piece.frames.turns, source[..., 1:])
        local = np.einsum("nqi,nqa,nq->nia", piece.jet[..., -1], source, piece.dx)
        local[..., 1:] = np.einsum("niab,nia->nib", piece.frames.links, local[..., 1:])
        np.add.at(load, space.dofs[piece.cells], local)
    # strong_source holds the drift's torque a x Theta s; its load is assembled with the matrix.
    nodal = exact.value(at(space.locations.T[None]))[:, 0].T
    edge = edge_dofs(space)
    mu = solve_with(space, c, edge, nodal[edge], load)
    inner = np.setdiff1d(np.arange(space.n_dofs), edge)
    return float(np.sqrt(np.mean((mu - nodal)[inner] ** 2)))


@pytest.mark.parametrize(
    ("dimension", "cell", "n", "order"),
    [
        slow(d, c, n, order) if d == 3 and order == 2 else (d, c, n, order)
        for order in (1, 2)
        for d, c, n in ((1, "line", 16), (2, "tri", 12), (2, "quad", 12), (3, "tet", 8), (3, "hex", 8))
    ],
)
def test_nodal_values_converge_at_full_order(dimension, cell, n, order):
    """Order p + 1 with every term on and a non-Abelian field, as on plain elements."""
    coarse, fine = (manufactured_error(dimension, cell, order, k) for k in (n // 2, n))
    assert np.log2(coarse / fine) > order + 1 - 0.25


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("carried", [True, False])
def test_parts_add_up_to_the_consistent_flux(dimension, cell, order, carried):
    """M + L + S + A + E + the residual of all nodes = 0 to round-off, for any mu."""
    space = shaken_box(dimension, cell, 2, order)
    c = covariant(space) if carried else unit_coefficients()
    mu = np.random.default_rng(6).normal(size=(space.n_dofs, 4))
    parts = cell_parts(space, c, mu, "F")
    total = sum(parts[key].sum(axis=0) for key in SUBPARTS)
    flux = -apply_region(space, "F", c, mu).sum(axis=0)[1:]
    scale = max(np.abs(parts[key]).sum() for key in SUBPARTS)
    np.testing.assert_allclose(flux, total, atol=1e-14 * scale)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("carried", [True, False])
def test_part_functionals_are_the_parts(dimension, cell, carried):
    """The weights of mu in the parts reproduce their differences."""
    space = shaken_box(dimension, cell, 2, 2)
    c = covariant(space) if carried else unit_coefficients()
    mu = np.random.default_rng(6).normal(size=(space.n_dofs, 4))
    parts, nothing = cell_parts(space, c, mu, "F"), cell_parts(space, c, 0 * mu, "F")
    expected = np.stack([parts[key] - nothing[key] for key in parts], axis=1)
    found = np.concatenate(
        [
            np.einsum("nikpa,nik->npa", weights, mu[space.dofs[cells]])
            for cells, weights in part_functionals(space, c, "F")
        ]
    )
    np.testing.assert_allclose(found, expected, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize(("order", "rate"), [(1, 2), (2, 4)])
def test_parts_converge_to_those_of_plain_elements(order, rate):
    """Same limit part by part; in 1D at twice the order of the elements."""
    gaps = []
    for n in (8, 16):
        found = []
        for m, along in ((n, (2,)), (8 * n, ())):
            space = box(1, "line", m, 2 if not along else order)
            c = replace(unit_coefficients(), along=along)
            dofs = bottom_dofs(space)
            mu = solve_with(space, c, dofs, np.array([[0.0, 1.0, -0.4, 0.7]]))
            parts = cell_parts(space, c, mu, "F")
            found.append(np.stack([parts[key].sum(axis=0) for key in SUBPARTS]))
        gaps.append(np.abs(found[0] - found[1]).max())
    assert np.log2(gaps[0] / gaps[1]) > rate - 0.3


def test_cell_integrals_of_carried_elements_are_those_of_the_field():
    """Integrals of mu, grad mu, D mu in the global frame, of a field the elements hold exactly."""
    space = box(3, "tet", 2, 1)
    c = covariant(space)
    axis = np.array([0.0, 0.6, 0.8])
    gauge = np.outer([1.0, -2.0, 0.5], axis)
    c = replace(c, gauge=gauge, rotation=covariant_rotation(gauge))
    W = rotation_by(-space.locations.T @ gauge)
    mu = np.zeros((space.n_dofs, 4))
    mu[:, 0] = space.locations.T @ [1.0, 2.0, 3.0]
    mu[:, 1:] = W @ np.array([1.0, 0.5, -0.2])
    found = cell_integrals(space, c, mu, "F")
    np.testing.assert_allclose(found.covariant[:, :, 1:], 0.0, atol=1e-14)
    np.testing.assert_allclose(found.covariant[:, :, 0], np.outer(found.measure, [1.0, 2.0, 3.0]), atol=1e-14)
    expected = -np.einsum("jb,nc,abc->nja", gauge, found.mu[:, 1:], LEVI)
    np.testing.assert_allclose(found.gradient[:, :, 1:], expected, atol=1e-14)


LEVI = cross_matrix(np.eye(3)).transpose(1, 0, 2)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_interpolation_between_orders_is_that_of_the_carried_basis(dimension, cell):
    """Order 1 to 2 in the frame of the cell: a covariantly constant field stays one, and back."""
    space = box(dimension, cell, 3, 1)
    finer = space.of_order(2)
    axis, axes = np.array([0.6, 0.0, 0.8]), list(space.structure.axes)
    gauge = np.outer([1.0, -2.0, 1.5], axis)
    c = replace(covariant(space), gauge=gauge, rotation=covariant_rotation(gauge))
    fields = []
    for s in (space, finer):
        mu = np.ones((s.n_dofs, 4))
        mu[:, 1:] = rotation_by(-s.locations.T @ gauge[axes]) @ np.array([1.0, 0.5, -0.2])
        fields.append(mu.ravel())
    up, down = interpolation(space, finer, {"F": c}), interpolation(finer, space, {"F": c})
    np.testing.assert_allclose(up @ fields[0], fields[1], atol=1e-13)
    np.testing.assert_allclose(down @ fields[1], fields[0], atol=1e-13)
    plain = interpolation(space, finer, {"F": replace(c, along=())})
    assert np.abs(plain @ fields[0] - fields[1]).max() > 1e-2
