"""Scalar spaces of order 1 to 4: nodes, shared dofs, integrals, prolongation, orders."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse.linalg as spl
from marks import slow
from numpy.polynomial import legendre
from reference import CASES, case_table
from test_transport import CELLS, Waves, strong_source, unit_coefficients

from femspin import build_device, case_from_table
from femspin.case.schema import Stack
from femspin.device.steady import solve_transport
from femspin.interface.currents import shares
from femspin.structure import build_stack, load_mesh
from femspin.structure.interfaces import find_pairs
from femspin.transport.assembly.regions import assemble_region, block_matrix
from femspin.transport.conditions import build_boundary
from femspin.transport.elements.lagrange import LagrangeElement
from femspin.transport.elements.orders import prolongation
from femspin.transport.elements.space import build_space, reference_nodes
from femspin.transport.layers.stack import StackCase, StackLayer, solve_stack
from femspin.transport.system import TransportProblem
from femspin.units import FLUX

ROUND_OFF = 1e-12
KINDS = {"Pt": "HM", "F": "F"}
SIZE = np.array([1.3, 0.9, 2.0])  # width, depth [nm]; F is 0.8 nm high and Pt 1.2 nm
MESHES = Path(__file__).parents[1] / "meshes"


def two_layers(dimension: int, cell: str, lateral: str = "insulating", n: int = 2):
    """Return a box of F under Pt; z = 0 is where they touch."""
    table = {
        "dimension": dimension,
        "cell": cell,
        "lateral": lateral,
        "cells_x": n,
        "cells_y": n,
        "layers": [
            {"region": "F", "thickness": "0.8 nm", "cells": n},
            {"region": "Pt", "thickness": "1.2 nm", "cells": n},
        ],
    }
    if dimension > 1:
        table["width"] = "1.3 nm"
    if dimension > 2:
        table["depth"] = "0.9 nm"
    return build_stack(Stack.model_validate(table), KINDS, {})


def symmetries(refdom) -> list[list[int]]:
    """Return the orders in which the corners of a cell may be listed."""
    if refdom.nnodes == refdom.dim() + 1:
        return [list(p) for p in permutations(range(refdom.nnodes))]
    turns = []
    for axes in permutations(range(refdom.dim())):
        for flips in product((0, 1), repeat=refdom.dim()):
            turned = np.abs(refdom.p[list(axes)] - np.array(flips)[:, None])
            turns.append([int(np.flatnonzero((c == refdom.p.T).all(axis=1))[0]) for c in turned.T])
    return turns


def shuffled(structure, seed: int = 5):
    """Return the structure with other vertex numbers and every cell listed in another order."""
    rng, mesh = np.random.default_rng(seed), structure.mesh
    number = rng.permutation(mesh.nvertices)
    points = np.empty_like(mesh.p)
    points[:, number] = mesh.p
    turns = np.array(symmetries(mesh.refdom))
    chosen = turns[rng.integers(len(turns), size=mesh.nelements)]
    cells = np.take_along_axis(number[mesh.t], chosen.T, axis=0)
    other = type(mesh)(points, np.ascontiguousarray(cells, np.int32))
    pairs = [(f.first, f.second) for f in structure.interfaces.values()]
    known = {tuple(f): k for k, f in enumerate(np.sort(other.facets, axis=0).T.tolist())}
    faces = {
        name: np.array([known[tuple(f)] for f in np.sort(number[mesh.facets[:, k]], 0).T.tolist()])
        for name, k in structure.faces.items()
    }
    interfaces = find_pairs(other, structure.regions, structure.region_of_cell, pairs)
    return replace(structure, mesh=other, interfaces=interfaces, faces=faces)


def gmsh_quads():
    """Return a shipped unstructured mesh of quadrilaterals that are no parallelograms."""
    return load_mesh(MESHES / "strip_2d.msh", "nm", strip_kinds())


def strip_kinds() -> dict[str, str]:
    import meshio

    data = meshio.gmsh.read(str(MESHES / "strip_2d.msh"))
    names = [n for n, (_, dim) in data.field_data.items() if dim == 2]
    return {name: "HM" for name in names}


def polynomial(dimension: int, order: int, seed: int = 1):
    """Return a random polynomial of full degree and its gradient, of points (dim, ...)."""
    powers = [p for p in product(range(order + 1), repeat=dimension) if sum(p) <= order]
    factors = np.random.default_rng(seed).normal(size=len(powers))

    def value(x):
        return sum(
            f * np.prod([x[k] ** p for k, p in enumerate(power)], axis=0)
            for f, power in zip(factors, powers, strict=True)
        )

    def gradient(x):
        total = np.zeros_like(x)
        for f, power in zip(factors, powers, strict=True):
            for k in range(dimension):
                if power[k]:
                    lower = [p - (j == k) for j, p in enumerate(power)]
                    total[k] += f * power[k] * np.prod([x[j] ** p for j, p in enumerate(lower)], axis=0)
        return total

    return value, gradient


def box_integral(function, low, high, points: int = 8) -> float:
    """Return the integral of a function of points (dim, n) over a box by Gauss quadrature."""
    x, w = legendre.leggauss(points)
    nodes = [0.5 * (b - a) * (x + 1) + a for a, b in zip(low, high, strict=True)]
    weights = [0.5 * (b - a) * w for a, b in zip(low, high, strict=True)]
    grid = np.stack([g.ravel() for g in np.meshgrid(*nodes, indexing="ij")])
    weight = np.prod([g.ravel() for g in np.meshgrid(*weights, indexing="ij")], axis=0)
    return float((function(grid) * weight).sum())


def extent(dimension: int):
    axes = {1: [2], 2: [0, 2], 3: [0, 1, 2]}[dimension]
    low = np.array([0.0, 0.0, -0.8])[axes]
    return low, low + SIZE[axes]


# ------------------------------------------------------------------------------------- elements
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_lagrange_functions_are_one_at_their_node_and_zero_at_the_others(dimension, cell, order):
    element = LagrangeElement(two_layers(dimension, cell).mesh.refdom, order)
    values = [element.lbasis(element.doflocs.T, i)[0] for i in range(len(element.doflocs))]
    np.testing.assert_allclose(np.stack(values), np.eye(len(values)), atol=ROUND_OFF)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_lagrange_elements_of_order_one_and_two_equal_those_of_scikit_fem(dimension, cell, order):
    """Same order of nodes, functions and derivatives, so that one class may replace all ten."""
    known = build_space(two_layers(dimension, cell), ("F", "Pt"), order).basis.elem
    element = LagrangeElement(known.refdom, order)
    points = np.random.default_rng(0).uniform(0, 0.3, size=(dimension, 20))
    np.testing.assert_array_equal(element.doflocs, known.doflocs)
    for i in range(len(element.doflocs)):
        value, gradient = element.lbasis(points, i)
        expected, slope = known.lbasis(points, i)
        np.testing.assert_allclose(value, np.broadcast_to(expected, value.shape), atol=ROUND_OFF)
        wide = np.stack([np.broadcast_to(s, value.shape) for s in slope])
        np.testing.assert_allclose(gradient, wide, atol=ROUND_OFF)


# -------------------------------------------------------------------------------- shared dofs
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("lateral", ["insulating", "periodic"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_every_cell_finds_its_dofs_at_its_own_nodes(dimension, cell, lateral, order):
    """Also across periodic sides, whatever the order in which cells list their corners."""
    structure = shuffled(two_layers(dimension, cell, lateral))
    space = build_space(structure, ("F", "Pt"), order)
    everywhere = np.arange(len(space.cells))
    gap = space.node_positions(everywhere) - space.locations.T[space.dofs]
    for row, period in structure.periods:
        gap[..., row] -= period * np.round(gap[..., row] / period)
    np.testing.assert_allclose(gap, 0, atol=ROUND_OFF)
    simplex = cell in ("line", "tri", "tet")
    across = 2 * order
    free = across + (lateral == "insulating")
    assert space.n_dofs == free ** (dimension - 1) * (2 * across + 1)
    assert space.dofs.shape[1] == len(reference_nodes(space))
    local = {
        1: order + 1,
        2: (order + 1) * (order + 2) // 2,
        3: (order + 1) * (order + 2) * (order + 3) // 6,
    }[dimension]
    assert space.dofs.shape[1] == (local if simplex else (order + 1) ** dimension)


def meshes():
    for dimension, cell in CELLS:
        yield f"{cell}", two_layers(dimension, cell)
        yield f"{cell} shuffled", shuffled(two_layers(dimension, cell))
    yield "gmsh quads", gmsh_quads()
    yield "gmsh quads shuffled", shuffled(gmsh_quads())


MESH = dict(meshes())


@pytest.mark.parametrize("name", MESH)
@pytest.mark.parametrize("order", [3, 4])
def test_polynomials_of_the_order_of_the_space_are_reproduced(name, order):
    """Values and gradients at the quadrature points of every cell, to round-off."""
    structure = MESH[name]
    space = build_space(structure, structure.regions, order)
    cells = np.arange(len(space.cells))
    middle, scale = structure.mesh.p.mean(axis=1)[:, None], np.ptp(structure.mesh.p)
    value, gradient = polynomial(structure.dimension, order)
    nodal = value((space.locations - middle) / scale)[space.dofs]
    jet, dx = space.jets(cells)
    found = np.einsum("ei,icep->cep", nodal, jet)
    x = (space.quadrature_positions(cells).transpose(2, 0, 1) - middle[..., None]) / scale
    small = np.sqrt(dx.sum(axis=1).min() ** (2 / structure.dimension))
    np.testing.assert_allclose(found[-1], value(x), atol=100 * ROUND_OFF)
    np.testing.assert_allclose(found[:-1] * small, gradient(x) * small / scale, atol=100 * ROUND_OFF)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_moments_integrate_products_of_values_and_gradients_exactly(dimension, cell, order):
    space = build_space(shuffled(two_layers(dimension, cell)), ("F", "Pt"), order)
    (p, dp), (q, dq) = (polynomial(dimension, order, seed) for seed in (1, 2))
    u, v = p(space.locations)[space.dofs], q(space.locations)[space.dofs]
    moments = space.moments(np.arange(len(space.cells)))
    n, d = u.shape[1], dimension
    found = np.einsum("ei,em,eimk->k", u, v, moments.matrix.reshape(-1, n, n, (d + 1) ** 2))
    low, high = extent(dimension)
    exact = [
        box_integral(lambda x, j=j, k=k: dp(x)[j] * dq(x)[k], low, high) for j in range(d) for k in range(d)
    ]
    exact += [box_integral(lambda x, j=j: dp(x)[j] * q(x), low, high) for j in range(d)]
    exact += [box_integral(lambda x, k=k: p(x) * dq(x)[k], low, high) for k in range(d)]
    exact += [box_integral(lambda x: p(x) * q(x), low, high)]
    np.testing.assert_allclose(found, exact, atol=10 * ROUND_OFF * np.abs(exact).max())


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_face_and_contact_masses_integrate_products_exactly(dimension, cell, order):
    """Over the plane z = 0 between two regions joined by a contact, and over the top."""
    structure = shuffled(two_layers(dimension, cell))
    space = build_space(structure, ("F", "Pt"), order, ["Pt|F"])
    (p, _), (q, _) = (polynomial(dimension, order, seed) for seed in (1, 2))
    u, v = p(space.locations), q(space.locations)
    low, high = extent(dimension)

    def plane(z):
        if dimension == 1:
            return float(p(np.array([[z]]))[0] * q(np.array([[z]]))[0])
        at = lambda x: np.vstack([x, np.full(x.shape[1], z)])  # noqa: E731
        return box_integral(lambda x: p(at(x)) * q(at(x)), low[:-1], high[:-1])

    face = structure.interfaces["Pt|F"]
    for mass in space.contact_masses(face):
        np.testing.assert_allclose(u @ (mass @ v), plane(0.0), rtol=100 * ROUND_OFF)
    top = structure.faces["top"]
    mass, load = space.facet_mass(top, structure.mesh.f2t[0, top])
    np.testing.assert_allclose(u @ (mass @ v), plane(1.2), rtol=100 * ROUND_OFF)
    np.testing.assert_allclose(load.sum(), np.prod((high - low)[:-1]), rtol=ROUND_OFF)
    means = space.facet_means(top, structure.mesh.f2t[0, top], space.locations.T)
    corners = structure.mesh.p[:, structure.mesh.facets[:, top]].mean(axis=1).T
    np.testing.assert_allclose(means, corners, atol=ROUND_OFF)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("lateral", ["insulating", "periodic"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_dofs_of_a_contact_come_in_pairs_at_one_place(dimension, cell, lateral, order):
    structure = shuffled(two_layers(dimension, cell, lateral))
    space = build_space(structure, ("F", "Pt"), order, ["Pt|F"])
    face = structure.interfaces["Pt|F"]
    raw = space.raw_facet_dofs(face.facets)
    pairs = np.unique([space.numbers("Pt")[raw], space.numbers("F")[raw]], axis=1)
    side = 2 * order + (lateral == "insulating")
    assert pairs.shape[1] == side ** (dimension - 1)
    assert not np.intersect1d(*pairs).size
    np.testing.assert_allclose(*(space.locations[:, k] for k in pairs), atol=ROUND_OFF)
    for name, dofs in zip(("Pt", "F"), pairs, strict=True):
        np.testing.assert_array_equal(space.interface_dofs(face, name), np.sort(dofs))
        np.testing.assert_allclose(space.locations[-1, dofs], 0, atol=ROUND_OFF)


# ------------------------------------------------------------------------------- prolongation
@pytest.mark.parametrize("name", MESH)
@pytest.mark.parametrize("orders", [(1, 2), (1, 3), (2, 3)])
def test_prolongation_keeps_the_field_of_the_lower_order(name, orders):
    """A random field, not only polynomials: the same values at every quadrature point."""
    structure = MESH[name]
    coarse, fine = (build_space(structure, structure.regions, p) for p in orders)
    field = np.random.default_rng(0).normal(size=coarse.n_dofs)
    finer = prolongation(coarse, fine) @ field
    nodal = np.einsum("ei,ni->en", field[coarse.dofs], values_at(coarse, reference_nodes(fine)))
    np.testing.assert_allclose(finer[fine.dofs], nodal, atol=10 * ROUND_OFF)


def values_at(space, points):
    return np.stack(
        [
            np.broadcast_to(space.basis.elem.lbasis(points.T, i)[0], len(points))
            for i in range(space.dofs.shape[1])
        ],
        axis=1,
    )


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("lateral", ["insulating", "periodic"])
@pytest.mark.parametrize("contacts", [(), ("Pt|F",)])
def test_prolongations_compose_and_carry_the_masses_of_faces_and_contacts(dimension, cell, lateral, contacts):
    """P32 P21 = P31, rows add up to one, and the coarse masses are P^T M P."""
    structure = shuffled(two_layers(dimension, cell, lateral))
    one, two, three = (build_space(structure, ("F", "Pt"), p, contacts) for p in (1, 2, 3))
    whole = prolongation(one, three)
    parts = prolongation(two, three) @ prolongation(one, two)
    assert abs(whole - parts).max() < 10 * ROUND_OFF
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=ROUND_OFF)
    face = structure.interfaces["Pt|F"]
    masses = zip(one.contact_masses(face), three.contact_masses(face), strict=True)
    top = structure.faces["top"]
    cells = structure.mesh.f2t[0, top]
    for low, high in [*masses, (one.facet_mass(top, cells)[0], three.facet_mass(top, cells)[0])]:
        assert abs(whole.T @ high @ whole - low).max() < 10 * ROUND_OFF * abs(low).max()


def test_prolongation_between_different_meshes_is_refused():
    a, b = (build_space(two_layers(1, "line", n=n), ("F", "Pt"), 1) for n in (2, 3))
    with pytest.raises(ValueError, match="cells of one mesh"):
        prolongation(a, b)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_positions_of_nodes_points_and_centroids_belong_to_the_cells_asked_for(dimension, cell):
    structure = two_layers(dimension, cell, "periodic")
    space = build_space(structure, ("Pt",), 3)
    cells = np.array([1, 0])
    corners = structure.mesh.p[:, structure.mesh.t[:, space.cells[cells]]]
    np.testing.assert_allclose(space.centroids(cells), corners.mean(axis=1).T, atol=ROUND_OFF)
    nodes = space.node_positions(cells)
    assert nodes.shape == (2, space.dofs.shape[1], dimension)
    n = corners.shape[1]
    np.testing.assert_allclose(nodes[:, :n], corners.transpose(2, 1, 0), atol=ROUND_OFF)
    points = space.quadrature_positions(cells)
    jet, dx = space.jets(cells)
    np.testing.assert_allclose(np.einsum("icep,eid->cepd", jet, nodes)[-1], points, atol=ROUND_OFF)
    np.testing.assert_allclose(
        np.einsum("ep,epd->ed", dx, points) / dx.sum(axis=1)[:, None], space.centroids(cells), atol=ROUND_OFF
    )


# ------------------------------------------------------------------------------------- orders
def manufactured_error(dimension: int, cell: str, order: int, n: int) -> float:
    """Return the L2 error of W1 with every term on and exact Dirichlet data on a shuffled mesh."""
    structure = shuffled(two_layers(dimension, cell, n=n))
    structure = replace(
        structure, regions=("F",), interfaces={}, region_of_cell=np.zeros(structure.mesh.nelements, int)
    )
    space, c = build_space(structure, ("F",), order), unit_coefficients()
    exact = Waves(structure.axes)
    cells = np.arange(len(space.cells))
    jet, dx = space.jets(cells)

    def at(points):
        x = np.zeros((3, *points.shape[1:]))
        x[list(structure.axes)] = points
        return x

    points = at(space.quadrature_positions(cells).transpose(2, 0, 1))
    load = np.zeros((space.n_dofs, 4))
    local = np.einsum("iep,aep,ep->eia", jet[:, -1], strong_source(c, exact, points), dx)
    np.add.at(load, space.dofs, local)
    blocks = assemble_region(space, "F", c)
    matrix = block_matrix(space, {"F": blocks}).tocsr()
    outer = structure.mesh.boundary_facets()
    edge = space.facet_dofs(outer, structure.mesh.f2t[0, outer])
    held = np.zeros((space.n_dofs, 4), bool)
    held[edge] = True
    held = held.ravel()
    mu = np.where(held, exact.value(at(space.locations)).T.ravel(), 0.0)
    right = (load + blocks.load).ravel() - matrix @ mu
    mu[~held] = spl.spsolve(matrix[~held][:, ~held].tocsc(), right[~held])
    found = np.einsum("iep,eia->aep", jet[:, -1], mu.reshape(-1, 4)[space.dofs])
    return float(np.sqrt((((found - exact.value(points)) ** 2) * dx).sum()))


@pytest.mark.parametrize(("dimension", "cell"), [slow(*cell) if cell[0] == 3 else cell for cell in CELLS])
def test_cubic_potentials_converge_at_order_four(dimension, cell):
    """Every term on, strong form by hand, cells listed in any order."""
    coarse, fine = {1: (8, 16), 2: (4, 8), 3: (2, 4)}[dimension]
    errors = [manufactured_error(dimension, cell, 3, n) for n in (coarse, fine)]
    assert np.log2(errors[0] / errors[1]) > 4 - 0.25


def at_order(device, order: int, structure=None):
    """Return a device with another order of its elements, on another mesh if one is given."""
    structure = structure or device.structure
    contacts = [n for n, t in device.case.interfaces.items() if t.condition == "contact"]
    space = build_space(structure, device.conductors, order, contacts)
    faces = build_boundary(device.case, space, device.conductors)
    return replace(
        device,
        structure=structure,
        space=space,
        problem=TransportProblem(space, faces.boundary, device.problem.options),
        share=shares(space, device.conductors, faces.outer, faces.electrodes, faces.joined),
    )


def flux_error(table, order: int, cells: int) -> float:
    """Return the relative error of the spin flux through HM|F against the exact stack."""
    for layer in table["structure"]["layers"]:
        layer["cells"] = cells
    device = build_device(case_from_table(table))
    exact = build_device(case_from_table(table | {"solver": {"method": "stack"}}))
    found = solve_transport(at_order(device, order), device.direction).interfaces["HM|F"]
    expected = solve_transport(exact, exact.direction).interfaces["HM|F"].flux[1:]
    assert found.balance < 1e-10
    return float(np.abs(found.flux[1:] - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    "contact", [None, {"contact_spin_conductance": "3e14 S/m^2"}, {"contact_conductance": "1e15 S/m^2"}]
)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_interface_flux_converges_at_twice_the_order(order, contact):
    """Also through contacts; order 6 for cubic elements."""
    table = case_table(CASES["C06"])
    if contact is not None:
        table["interfaces"]["HM|F"] = contact
    coarse, fine = (8, 16) if order < 3 else (4, 8)
    errors = [flux_error(table, order, n) for n in (coarse, fine)]
    assert np.log2(errors[0] / errors[1]) > 2 * order - 0.35


def periodic_fluxes(cell: str | None, cells: int):
    """Return the flux by cubic elements on a line or a solid of it, and the exact one."""
    table = case_table(CASES["C06"])
    for layer in table["structure"]["layers"]:
        layer["cells"] = cells
    if cell is not None:
        dimension = 2 if cell in ("quad", "tri") else 3
        size = {"dimension": dimension, "cell": cell, "width": "2 nm", "cells_x": 1, "cells_y": 1}
        table["structure"] |= size | ({"depth": "1 nm"} if dimension == 3 else {})
    device = build_device(case_from_table(table))
    found = solve_transport(at_order(device, 3), device.direction).interfaces["HM|F"]
    fields = device.fields(device.direction)
    layers = [StackLayer(fields[x["name"]], x["L"]) for x in CASES["C06"]["inputs"]["layers"]]
    return found.flux, solve_stack(StackCase(tuple(layers))).interface_flux(1) / FLUX


@pytest.mark.parametrize("cell", ["quad", "hex"])
def test_periodic_quads_and_hexahedra_give_the_flux_of_the_line(cell):
    """The solution on the line is the solution on the product mesh: equal to solver tolerance."""
    line, solid = periodic_fluxes(None, 4)[0], periodic_fluxes(cell, 4)[0]
    np.testing.assert_allclose(solid, line, rtol=0, atol=1e-10 * np.abs(line).max())


@pytest.mark.parametrize("cell", ["tri", "tet"])
def test_flux_through_periodic_cubic_simplices_converges_at_order_six(cell):
    errors = []
    for cells in (4, 8):
        found, exact = periodic_fluxes(cell, cells)
        errors.append(np.abs(found - exact)[1:].max())
    assert np.log2(errors[0] / errors[1]) > 6 - 0.35
