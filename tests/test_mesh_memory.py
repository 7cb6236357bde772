"""Large meshes: what is kept of them, and that leaving the rest out changes nothing."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields

import numpy as np
import pytest
import skfem

from femspin import build_device, case_from_table
from femspin.structure import build_stack, entities, model
from femspin.structure.entities import facet_cells, facet_corners, find_facets, number_facets, region_sides
from femspin.structure.interfaces import mesh_quality, outer_facets
from femspin.structure.model import cell_volumes
from femspin.transport.elements.lagrange import consistent_dofs, lagrange_element
from femspin.transport.elements.numbering import shared_numbers
from femspin.transport.elements.space import build_space

KINDS = ("MeshTri1", "MeshQuad1", "MeshTet1", "MeshHex1")


def shuffled(kind: str, seed: int = 0):
    """Return points and cells of a block whose vertices and cells come in random order."""
    x = np.linspace(0, 1, 5)
    mesh_type = getattr(skfem, kind)
    mesh = mesh_type.init_tensor(*[x] * (2 if kind in ("MeshTri1", "MeshQuad1") else 3))
    rng = np.random.default_rng(seed)
    place, cells = rng.permutation(mesh.nvertices), rng.permutation(mesh.nelements)
    points = np.empty_like(mesh.p)
    points[:, place] = mesh.p
    return points, place[mesh.t[:, cells]]


def both(kind: str):
    """Return the same mesh as scikit-fem's and as this package's."""
    points, cells = shuffled(kind)
    return getattr(skfem, kind)(points, cells), getattr(entities, kind)(points, cells)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mesh_is_saved_like_that_of_scikit_fem(kind, tmp_path):
    for mesh, name in zip(both(kind), ("theirs.vtk", "ours.vtk"), strict=True):
        mesh.save(str(tmp_path / name))
    theirs, ours = (skfem.Mesh.load(str(tmp_path / n)) for n in ("theirs.vtk", "ours.vtk"))
    np.testing.assert_array_equal(ours.p, theirs.p)
    np.testing.assert_array_equal(ours.t, theirs.t)


def table(cell: str, order: int = 1, cells: int = 6, **structure) -> dict:
    """Return a stack of two metals on an insulator."""
    layers = [
        {"region": "FI", "thickness": "3 nm"},
        {"region": "F", "thickness": "1 nm"},
        {"region": "Pt", "thickness": "4 nm"},
    ]
    return {
        "structure": {
            "dimension": 3,
            "cell": cell,
            "width": "20 nm",
            "depth": "10 nm",
            "cells_x": cells,
            "cells_y": cells,
            "layers": layers,
            **structure,
        },
        "regions": {
            "FI": {"kind": "FI"},
            "F": {
                "kind": "F",
                "conductivity": "2e6 S/m",
                "diffusion_constant": "3e-4 m^2/s",
                "spin_diffusion_length": "4 nm",
                "mass": "1 m_e",
                "scattering_time": "2 fs",
                "polarisation": 0.3,
            },
            "Pt": {"kind": "HM", "material": "Pt", "mass": "1 m_e", "scattering_time": "5 fs"},
        },
        "interfaces": {"F|FI": {"G_r": "1e14 S/m^2"}},
        "magnetization": {"direction": [1, 0, 0]},
        "solver": {"order": order},
    }


# ---------------------------------------------------------------- facets


@pytest.mark.parametrize("first", ["facets", "t2f", "f2t"])
@pytest.mark.parametrize("kind", KINDS)
def test_facets_asked_for_late_have_the_numbers_of_scikit_fem(kind, first):
    """Whichever table is asked for first."""
    known, mesh = both(kind)
    getattr(mesh, first)
    for name in ("facets", "t2f", "f2t"):
        np.testing.assert_array_equal(getattr(mesh, name), getattr(known, name), err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_facets_whose_vertices_need_two_numbers_are_ordered_alike(kind, monkeypatch):
    """The vertices of a face of a large mesh do not fit into one whole number."""
    known, mesh = both(kind)
    monkeypatch.setattr(entities, "_LARGEST_KEY", 1)
    number_facets(mesh)
    for name in ("facets", "t2f", "f2t"):
        np.testing.assert_array_equal(getattr(mesh, name), getattr(known, name), err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_kept_sides_are_all_facets_without_two_cells_of_one_region(kind):
    """With numbers, vertices and cells as among all facets, and without numbering those."""
    known, mesh = both(kind)
    region = np.random.default_rng(1).integers(0, 3, mesh.nelements)
    sides = region_sides(mesh, region)
    assert not hasattr(mesh, "_facets")
    left, right = known.f2t
    expected = np.flatnonzero((right < 0) | (region[left] != region[right]))
    np.testing.assert_array_equal(sides.numbers, expected)
    np.testing.assert_array_equal(sides.corners, known.facets[:, expected])
    np.testing.assert_array_equal(sides.cells, known.f2t[:, expected])


@pytest.mark.parametrize("kind", KINDS)
def test_facets_are_looked_up_among_the_sides_and_else_among_all(kind):
    """The sides need no numbering of the others; any other facet brings it about."""
    known, mesh = both(kind)
    region = (mesh.p[0, mesh.t].mean(axis=0) > 0.5).astype(np.int16)
    numbers = region_sides(mesh, region).numbers
    every = np.arange(known.nfacets)
    for facets, late in ((numbers[::-1], True), (numbers[:0], True), (every, False)):
        np.testing.assert_array_equal(facet_corners(mesh, facets), known.facets[:, facets])
        np.testing.assert_array_equal(facet_cells(mesh, facets), known.f2t[:, facets])
        found = find_facets(mesh, known.facets[::-1, facets])
        np.testing.assert_array_equal(found, facets)
        assert hasattr(mesh, "_facets") != late
    assert find_facets(mesh, np.zeros((len(known.facets), 1), int)).tolist() == [-1]


@pytest.mark.parametrize("kind", KINDS)
def test_outer_facets_have_one_neighbour_among_the_cells(kind):
    """For whole regions, from the kept sides, and for any cells."""
    known, mesh = both(kind)
    region = np.random.default_rng(2).integers(0, 4, mesh.nelements)
    region_sides(mesh, region)
    whole, some = np.flatnonzero(region % 2 == 0), np.arange(mesh.nelements // 3)
    for cells, late in ((whole, True), (some, False)):
        inside = np.isin(known.f2t, cells)
        expected = np.flatnonzero(inside.sum(axis=0) == 1)
        np.testing.assert_array_equal(outer_facets(mesh, cells), expected)
        assert hasattr(mesh, "_facets") != late


@pytest.mark.parametrize("kind", KINDS)
def test_quality_and_volumes_do_not_depend_on_the_pieces(kind, monkeypatch):
    """Every cell is measured by itself."""
    mesh = both(kind)[1]
    chosen = np.arange(mesh.nelements)[::-2]
    expected = mesh_quality(mesh), cell_volumes(mesh), cell_volumes(mesh, chosen)
    monkeypatch.setattr(model, "_PIECE", 7)
    assert mesh_quality(mesh) == expected[0]
    np.testing.assert_array_equal(cell_volumes(mesh), expected[1])
    np.testing.assert_array_equal(cell_volumes(mesh, chosen), expected[2])
    np.testing.assert_array_equal(cell_volumes(mesh, slice(3, 17)), expected[1][3:17])


# ---------------------------------------------------------------- dofs


@pytest.mark.parametrize("lateral", ["periodic", "insulating"])
@pytest.mark.parametrize("contact", [False, True])
@pytest.mark.parametrize(("cell", "order"), [("tet", 1), ("tet", 2), ("hex", 1), ("hex", 2)])
def test_dofs_are_numbered_by_place_among_those_that_occur(cell, order, contact, lateral):
    """A sort of all (x, y, z, group) of all cells gives the same numbers."""
    given = table(cell, order, cells=3, lateral=lateral)
    if contact:
        given["interfaces"]["Pt|F"] = {"contact_conductance": "1e15 S/m^2"}
    space = build_device(case_from_table(given)).space
    mesh, cells = space.structure.mesh, space.cells
    element = lagrange_element(mesh, order)
    numbering = skfem.assembly.Dofs(mesh, element)
    own = consistent_dofs(element, mesh.t[:, cells], numbering.element_dofs[:, cells])
    group = space.group_of_region[space.structure.region_of_cell[cells]]
    used, compact = np.unique(own + numbering.N * group, return_inverse=True)
    places = skfem.Basis(mesh, element).doflocs[:, used % numbering.N]
    master, n_dofs = shared_numbers(places, used // numbering.N, space.structure.periods)
    assert space.n_dofs == n_dofs
    np.testing.assert_array_equal(space.dofs, master[compact.reshape(own.shape)].T)
    np.testing.assert_array_equal(space.number.ravel()[used], master)
    assert np.sum(space.number >= 0) == len(used)
    assert len(np.unique(space.group_of_region[space.group_of_region >= 0])) == 1 + contact


@pytest.mark.parametrize("periods", [(), ((0, 3.0),), ((0, 3.0), (1, 3.0))])
def test_numbers_are_the_lexicographic_ranks_of_places_and_groups(periods):
    """Of places with a common coordinate, all of which occur in both groups."""
    points = np.stack(np.meshgrid(*[np.arange(4.0)] * 3)).reshape(3, -1)
    rng = np.random.default_rng(3)
    chosen = np.r_[rng.permutation(64), rng.permutation(64)]
    group = np.repeat([0, 1], 64)[rng.permutation(128)]
    wrapped = points[:, chosen].copy()
    for row, period in periods:
        wrapped[row] %= period
    expected = np.unique(np.vstack([wrapped, group]), axis=1, return_inverse=True)[1].ravel()
    found, count = shared_numbers(points[:, chosen], group, periods)
    np.testing.assert_array_equal(found, expected)
    assert count == expected.max() + 1


# ---------------------------------------------------------------- memory


def held(*owners: object) -> int:
    """Return the bytes of all arrays that some objects hold, each counted once."""
    found = {}
    for owner in owners:
        for value in vars(owner).values():
            for array in value.values() if isinstance(value, dict) else [value]:
                whole = array if getattr(array, "base", None) is None else array.base
                if isinstance(whole, np.ndarray):
                    found[id(whole)] = whole.nbytes
    return sum(found.values())


def test_a_linear_space_keeps_nothing_for_the_facets_inside_regions():
    """Kept are two numbers per corner of a cell, and some for cells, nodes and sides."""
    space = build_device(case_from_table(table("tet", cells=24))).space
    mesh, sides = space.structure.mesh, space.structure.mesh._sides
    assert not hasattr(mesh, "_facets")
    cells, points = mesh.nelements, mesh.p.shape[1]
    assert cells > 50_000
    # t and dofs of 4 int32 each, the cell and its place in its region, the region;
    # p and locations of 3 floats each and the number;  numbers, corners and cells of the sides.
    kept = cells * (16 + 16 + 4 + 4 + 2) + points * (24 + 24 + 4) + held(sides)
    space.in_region("Pt")
    assert held(mesh, space.structure, space) <= kept
    assert held(sides) < 0.2 * kept


def test_a_mesh_and_its_space_never_need_much_more_than_a_sort_of_their_facets():
    """Key, order and sorted key of every facet of every cell, with a buffer and what is kept."""
    case = case_from_table(table("tet", cells=24))
    kinds = {name: region.kind for name, region in case.regions.items()}
    tracemalloc.start()
    structure = build_stack(case.structure, kinds, {"F": 4e-9, "Pt": 4e-9})
    space = build_space(structure, ("F", "Pt"), 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    slots = 4 * structure.mesh.nelements
    assert slots > 200_000
    assert peak < (8 + 8 + 8 + 4) * slots + held(structure.mesh, structure, space)


def test_narrow_numbers_are_wide_enough():
    """Cells and dofs are 32-bit numbers, regions 16-bit."""
    space = build_device(case_from_table(table("tet", cells=2))).space
    widths = {
        f.name: getattr(space, f.name).dtype
        for f in fields(space)
        if isinstance(getattr(space, f.name), np.ndarray)
    }
    assert widths["dofs"] == widths["cells"] == widths["number"] == np.int32
    assert widths["region_of_cell"] == np.int16
    assert len(space.structure.regions) < np.iinfo(np.int16).max
