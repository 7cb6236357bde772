"""Refined meshes: the same device with smaller cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spaces import at_order, shuffled
from test_structure import CELLS, stack

from femspin import build_device
from femspin.case.load import load_case
from femspin.device.steady import solve_transport
from femspin.errors import CaseError
from femspin.structure import load_mesh, refine
from femspin.structure.model import cell_volumes, facet_measures
from femspin.transport.elements.space import build_space

ROUND_OFF = 1e-12
ROOT = Path(__file__).parents[1]
SIMPLICES = [(1, "line"), (2, "tri"), (3, "tet")]
LAYERS = [
    {"region": name, "thickness": f"{nm} nm", "cells": cells}
    for name, nm, cells in (("YIG", 4, 2), ("F", 1, 1), ("Pt", 5, 2))
]


def block(dimension: int, cell: str, lateral: str = "insulating"):
    return stack(dimension, cell, LAYERS, lateral=lateral)


def hall_bar():
    return load_mesh(ROOT / "meshes" / "hall_bar.msh", "nm", group_kinds("hall_bar", 3))


def strip():
    return load_mesh(ROOT / "meshes" / "strip_2d.msh", "nm", group_kinds("strip_2d", 2))


def group_kinds(name: str, dimension: int) -> dict[str, str]:
    import meshio

    data = meshio.gmsh.read(str(ROOT / "meshes" / f"{name}.msh"))
    return {n: "F" if n == "F" else "HM" for n, (_, d) in data.field_data.items() if d == dimension}


def volumes(structure):
    """Return the volume of every region; halves of quads that are no parallelograms too."""
    mesh = structure.mesh
    if mesh.t.shape[0] == 4 and mesh.dim() == 2:
        p = mesh.p[:, mesh.t]
        d1, d2 = p[:, 2] - p[:, 0], p[:, 3] - p[:, 1]
        size = 0.5 * np.abs(d1[0] * d2[1] - d1[1] * d2[0])
    else:
        size = np.abs(cell_volumes(mesh))
    return np.array([size[structure.cells(name)].sum() for name in structure.regions])


def assert_same_device(finer, structure):
    """Regions, interfaces and faces keep their size, and the mesh has no hanging vertices."""
    np.testing.assert_allclose(volumes(finer), volumes(structure), rtol=ROUND_OFF)
    assert finer.regions == structure.regions
    assert finer.periods == structure.periods
    assert list(finer.interfaces) == list(structure.interfaces)
    assert list(finer.faces) == list(structure.faces)
    for name, face in structure.interfaces.items():
        np.testing.assert_allclose(finer.interfaces[name].area, face.area, rtol=ROUND_OFF)
    for name, facets in structure.faces.items():
        area = structure.facet_measures(facets).sum()
        found = finer.facet_measures(finer.faces[name]).sum()
        np.testing.assert_allclose(found, area, rtol=ROUND_OFF)
        low, high = (
            np.array(
                [s.mesh.p[:, s.mesh.facets[:, f]].min((1, 2)), s.mesh.p[:, s.mesh.facets[:, f]].max((1, 2))]
            )
            for s, f in ((structure, facets), (finer, finer.faces[name]))
        )
        np.testing.assert_allclose(low, high, atol=ROUND_OFF * np.abs(low).max())
    # A hanging vertex would leave facets with one cell inside the device.
    outside = [facet_measures(s.mesh, s.mesh.boundary_facets()).sum() for s in (finer, structure)]
    np.testing.assert_allclose(*outside, rtol=ROUND_OFF)
    assert_interfaces_are_complete(finer)


def assert_interfaces_are_complete(structure):
    """Every facet between two regions is in exactly one interface, cells in their regions."""
    left, right = structure.mesh.f2t
    of = np.append(structure.region_of_cell, -1)
    between = np.flatnonzero((right >= 0) & (of[left] != of[right]))
    listed = np.concatenate([f.facets for f in structure.interfaces.values()] or [[]])
    np.testing.assert_array_equal(np.sort(listed), between)
    for face in structure.interfaces.values():
        for cells, region in ((face.cells_first, face.first), (face.cells_second, face.second)):
            assert np.all(of[cells] == structure.regions.index(region))
            assert np.all((structure.mesh.f2t[:, face.facets] == cells).any(axis=0))
        np.testing.assert_array_equal(face.measures, structure.facet_measures(face.facets))


def assert_sides_match(structure):
    """The facets of periodic sides are the same up to the period, and their dofs are one."""
    mesh = structure.mesh
    for row, period in structure.periods:
        others = [k for k in range(mesh.dim()) if k != row]
        sides = []
        for plane in (0.0, period):
            here = (np.abs(mesh.p[row, mesh.facets] - plane) < ROUND_OFF).all(axis=0)
            corners = mesh.p[others][:, mesh.facets[:, here]].transpose(2, 1, 0).round(9)
            sides.append(sorted(tuple(sorted(map(tuple, c))) for c in corners.tolist()))
        assert sides[0]
        assert sides[0] == sides[1]
    if structure.periods:
        space = build_space(structure, ("F", "Pt"), 2)
        places = space.locations.copy()
        for row, period in structure.periods:
            places[row, places[row] > period - ROUND_OFF] = 0.0
        assert np.unique(places.round(9), axis=1).shape[1] == space.n_dofs


# ------------------------------------------------------------------------------------ all cells
@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("lateral", ["insulating", "periodic"])
def test_uniform_refinement_keeps_the_device_and_halves_every_edge(dimension, cell, lateral):
    structure = block(dimension, cell, lateral)
    for start in (structure, shuffled(structure)):
        finer = refine(refine(start))
        assert finer.mesh.nelements == start.mesh.nelements * 4**dimension
        assert finer.quality.smallest == pytest.approx(start.quality.smallest / 4, rel=ROUND_OFF)
        assert_same_device(finer, start)
        assert_sides_match(finer)


@pytest.mark.parametrize("lateral", ["insulating", "periodic"])
def test_uniform_refinement_of_triangles_keeps_their_shape(lateral):
    """All four children are similar to their parent."""
    structure = block(2, "tri", lateral)
    finer = refine(structure)
    angles = [np.sort(smallest_angles(s.mesh)) for s in (structure, finer)]
    np.testing.assert_allclose(angles[1], np.repeat(angles[0], 4), rtol=1e-10)


@pytest.mark.parametrize("mesh", [hall_bar, strip])
def test_uniform_refinement_keeps_the_faces_of_gmsh_meshes(mesh):
    structure = mesh()
    finer = refine(structure)
    assert finer.mesh.nelements == structure.mesh.nelements * 2**structure.dimension
    assert_same_device(finer, structure)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_refinement_keeps_a_face_inside_a_region(dimension, cell):
    structure = block(dimension, cell)
    mesh = structure.mesh
    heights = mesh.p[-1, mesh.t[:, structure.cells("Pt")]]
    above = mesh.p[-1, mesh.facets] - 0.5 * (heights.min() + heights.max())
    middle = np.flatnonzero((np.abs(above) < ROUND_OFF).all(axis=0))
    assert len(middle)
    assert np.all(structure.region_of_cell[mesh.f2t[:, middle]] == structure.regions.index("Pt"))
    structure = replace(structure, faces={**structure.faces, "plane": middle})
    assert_same_device(refine(structure), structure)
    if (dimension, cell) in SIMPLICES:
        assert_same_device(refine(structure, mesh.f2t[0, middle[:1]]), structure)


# ---------------------------------------------------------------------------------- chosen cells
@pytest.mark.parametrize(("dimension", "cell"), SIMPLICES)
@pytest.mark.parametrize("lateral", ["insulating", "periodic"])
@pytest.mark.parametrize("seed", [0, 1])
def test_four_rounds_of_random_refinement_keep_the_device(dimension, cell, lateral, seed):
    rng, structure = np.random.default_rng(seed), block(dimension, cell, lateral)
    finer = structure
    for _ in range(4):
        chosen = rng.choice(finer.mesh.nelements, max(1, finer.mesh.nelements // 50), False)
        before, finer = finer, refine(finer, chosen)
        grown = finer.mesh.nelements - before.mesh.nelements
        assert grown >= len(chosen) * (2**dimension - 1)
        assert_same_device(finer, structure)
        assert_sides_match(finer)


@pytest.mark.parametrize(("dimension", "cell"), SIMPLICES)
def test_chosen_cells_shrink_to_half_their_size_and_far_cells_stay(dimension, cell):
    structure = block(dimension, cell)
    middle = structure.mesh.p[:, structure.mesh.t].mean(axis=1)
    chosen = int(np.argmin(np.linalg.norm(middle - middle.min(axis=1)[:, None], axis=0)))
    finer = refine(structure, np.int64(chosen))
    old, new = structure.mesh, finer.mesh
    inside = barycentric(old, chosen, new.p[:, new.t].mean(axis=1)).min(axis=0) > 0
    largest = np.abs(cell_volumes(new))[inside].max()
    whole = np.abs(cell_volumes(old))[chosen]
    assert largest <= whole / 2**dimension * (1 + ROUND_OFF)
    kept = {tuple(c) for c in np.sort(new.t, axis=0).T.tolist()}
    far = int(np.argmax(np.linalg.norm(middle - middle.min(axis=1)[:, None], axis=0)))
    assert tuple(sorted(old.t[:, far].tolist())) in kept
    assert_same_device(finer, structure)


def barycentric(mesh, cell: int, points):
    """Return the barycentric coordinates of points in a cell, shape (n_corners, n)."""
    corners = np.vstack([mesh.p[:, mesh.t[:, cell]], np.ones(mesh.t.shape[0])])
    return np.linalg.solve(corners, np.vstack([points, np.ones(points.shape[1])]))


def test_random_refinement_keeps_the_electrodes_of_a_hall_bar():
    structure = hall_bar()
    chosen = np.random.default_rng(3).choice(structure.mesh.nelements, 5, False)
    assert_same_device(refine(structure, chosen), structure)


def test_refinement_towards_a_corner_grades_the_mesh():
    """Only the neighbourhood grows: five rounds at one corner add a bounded number of cells."""
    structure = block(3, "tet")
    added = []
    for _ in range(5):
        middle = structure.mesh.p[:, structure.mesh.t].mean(axis=1)
        low = structure.mesh.p.min(axis=1)[:, None]
        nearest = np.argsort(np.linalg.norm(middle - low, axis=0))[:1]
        finer = refine(structure, nearest)
        added.append(finer.mesh.nelements - structure.mesh.nelements)
        structure = finer
    assert structure.quality.smallest < 0.1
    assert added[-1] < 4 * added[0]


@pytest.mark.parametrize("cells", [[], np.zeros(0, int), np.zeros(30, bool)])
def test_refinement_of_no_cell_changes_nothing(cells):
    structure = block(2, "tri")
    finer = refine(structure, cells)
    np.testing.assert_array_equal(finer.mesh.p, structure.mesh.p)
    np.testing.assert_array_equal(finer.mesh.t, structure.mesh.t)
    assert_same_device(finer, structure)


def smallest_angles(mesh):
    """Return the smallest angle of every triangle [rad]."""
    p = mesh.p[:, mesh.t]
    angles = []
    for k in range(3):
        u, v = p[:, (k + 1) % 3] - p[:, k], p[:, (k + 2) % 3] - p[:, k]
        angles.append(np.arctan2(np.abs(u[0] * v[1] - u[1] * v[0]), (u * v).sum(axis=0)))
    return np.min(angles, axis=0)


@settings(max_examples=20)
@given(
    rounds=st.lists(
        st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5), min_size=1, max_size=3
    ),
    lateral=st.sampled_from(["insulating", "periodic"]),
    seed=st.integers(0, 99),
)
def test_bisected_triangles_keep_half_the_smallest_angle(rounds, lateral, seed):
    """The bound of Rivara, Int. J. Numer. Meth. Eng. 20, 745 (1984), whatever is marked."""
    structure = shuffled(block(2, "tri", lateral), seed)
    finer = structure
    for marks in rounds:
        finer = refine(finer, (np.array(marks) * finer.mesh.nelements).astype(int))
    limit = smallest_angles(structure.mesh).min() / 2
    assert smallest_angles(finer.mesh).min() >= limit * (1 - 1e-10)
    assert_same_device(finer, structure)
    assert_sides_match(finer)


@settings(max_examples=12)
@given(
    rounds=st.lists(
        st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4), min_size=1, max_size=3
    ),
    lateral=st.sampled_from(["insulating", "periodic"]),
    seed=st.integers(0, 99),
)
def test_bisected_tetrahedra_fill_the_device_whatever_is_marked(rounds, lateral, seed):
    structure = shuffled(block(3, "tet", lateral), seed)
    finer = structure
    for marks in rounds:
        finer = refine(finer, (np.array(marks) * finer.mesh.nelements).astype(int))
    assert_same_device(finer, structure)
    assert_sides_match(finer)


# ----------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(("dimension", "cell", "other"), [(2, "quad", "tri"), (3, "hex", "tet")])
def test_chosen_quads_and_hexahedra_are_refused_with_the_alternatives(dimension, cell, other):
    with pytest.raises(CaseError, match=rf"{cell} cells .* refine every cell, or use {other}"):
        refine(block(dimension, cell), [0])


@pytest.mark.parametrize("wrong", [-1, 10_000])
def test_cells_that_do_not_exist_are_refused(wrong):
    with pytest.raises(CaseError, match=rf"cells 0 to 29 \(got {wrong}\)"):
        refine(block(2, "tri"), [0, wrong])


@pytest.mark.parametrize("cells", [None, [0]])
def test_periodic_sides_that_do_not_match_are_refused(cells):
    """One side has a vertex that the other lacks."""
    structure = block(2, "tri", "periodic")
    mesh = structure.mesh
    points = mesh.p.copy()
    moved = np.flatnonzero((points[0] == 0) & (np.abs(points[1] - 2.5) < 1e-9))
    points[1, moved] += 0.3
    broken = replace(structure, mesh=type(mesh)(points, mesh.t))
    with pytest.raises(CaseError, match="two periodic sides, which do not match"):
        refine(broken, cells)


# -------------------------------------------------------------------------------------- solutions
SOLID = [
    "structure.dimension=2",
    "structure.cell='tri'",
    "structure.width='2 nm'",
    "structure.cells_x=1",
    "structure.cells_per_decay_length=4",
]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("changes", [[], SOLID])
@pytest.mark.parametrize("everything", [False, True])
def test_flux_of_a_shipped_stack_converges_under_refinement(order, changes, everything):
    """Twice the order per halving of all cells or of every chosen cell, to the exact stack."""
    device = build_device(load_case(ROOT / "cases" / "ggg_pt.toml", changes))
    exact = build_device(load_case(ROOT / "cases" / "ggg_pt.toml", ["solver.method='stack'"]))
    expected = solve_transport(exact, exact.direction).interfaces["Pt|F"].flux[1:]
    errors, structure = [], device.structure
    for _ in range(2):
        found = solve_transport(at_order(device, order, structure), device.direction)
        errors.append(np.abs(found.interfaces["Pt|F"].flux[1:] - expected).max())
        structure = refine(structure, np.arange(structure.mesh.nelements) if everything else None)
    assert np.log2(errors[0] / errors[1]) > 2 * order - 0.35
