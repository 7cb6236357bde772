"""Congruent cells of a uniform region share the matrices of elements that carry spin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_covariant import shaken_box
from test_transport import CELLS, box, unit_coefficients

from femspin.transport.assembly import congruent
from femspin.transport.assembly import regions as assembly
from femspin.transport.assembly.congruent import congruent_cells, shared_elements
from femspin.transport.assembly.regions import apply_region, assemble_region
from femspin.transport.elements.affine import reference_frame


def results(space, c):
    """Return matrix, load and residual of the region."""
    mu, low = np.random.default_rng(3).normal(size=(2, space.n_dofs, 4))
    blocks = assemble_region(space, "F", c)
    return blocks.values, blocks.load, apply_region(space, "F", c, mu, 1e-9 * low)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
@pytest.mark.parametrize("order", [1, 2])
def test_shared_elements_are_those_of_every_cell(dimension, cell, order, monkeypatch):
    space = box(dimension, cell, 5, order)
    axes = space.structure.axes
    for along in {axes, axes[-1:]}:
        c = replace(unit_coefficients(), along=along)
        assert shared_elements(space, "F", c) is not None
        shared = results(space, c)
        monkeypatch.setattr(assembly, "shared_elements", lambda *_: None)
        for one, two in zip(shared, results(space, c), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-12 * np.abs(two).max(), rtol=0)
        monkeypatch.undo()


def test_a_layered_mesh_has_as_many_shapes_as_kinds_of_cells_and_layer_heights():
    """Six tetrahedra of a box, in layers of one height; round-off of coordinates does not tell."""
    space = box(3, "tet", 7, 1)
    first, shape = congruent_cells(space, "F")
    heights = np.round(np.diff(np.unique(space.structure.mesh.p[2])), 9)
    assert len(first) == 6 * len(np.unique(heights))
    assert np.array_equal(np.unique(shape), np.arange(len(first)))
    corners = space.structure.mesh.p[:, space.structure.mesh.t[:, space.cells]]
    edges = corners[:, 1:] - corners[:, :1]
    np.testing.assert_allclose(edges, edges[..., first[shape]], atol=1e-14)


def test_cells_that_differ_by_a_billionth_are_two_shapes():
    """Sixteen units of round-off are taken for the same, nothing that a user could mean."""
    space = box(1, "line", 8, 1)
    assert len(congruent_cells(space, "F")[0]) == 1
    moved = box(1, "line", 8, 1)
    points = moved.structure.mesh.p
    points[0, np.argsort(points[0])[4]] += 1e-9
    assert len(congruent_cells(moved, "F")[0]) == 3


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_shapes_by_hashing_differ_by_round_off_only_and_are_those_by_sorting_or_parts(dimension, cell):
    pytest.importorskip("numba")
    space = box(dimension, cell, 6, 1)
    mesh = space.structure.mesh
    corners = np.asarray(reference_frame(mesh))
    near = congruent._ROUND_OFF * np.abs(mesh.p).max(axis=1)
    given = (mesh, space.cells[space.in_region("F")], corners, near)
    first, shape = congruent._hashed_shapes(*given)
    _, by_sorting = congruent._sorted_shapes(*given)
    assert len(first) <= 4 * (by_sorting.max() + 1)
    np.testing.assert_array_equal(by_sorting[first][shape], by_sorting)
    np.testing.assert_array_equal(shape[first], np.arange(len(first)))
    ends = mesh.p[:, mesh.t[corners][:, space.cells]]
    edges = ends[:, 1:] - ends[:, :1]
    off = np.abs(edges - edges[..., first[shape]]).max(axis=(1, 2))
    assert np.all(off <= near)


def test_more_shapes_than_are_worth_sharing_are_left_apart(monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(congruent, "_CHUNK", 10)
    monkeypatch.setattr(congruent, "_COMPILED_FROM", 0)
    first, shape = congruent_cells(shaken_box(3, "tet", 3, 1), "F")
    np.testing.assert_array_equal(first, np.arange(len(shape)))
    np.testing.assert_array_equal(shape, np.arange(len(shape)))


@pytest.mark.parametrize(("dimension", "cell"), [(2, "tri"), (3, "tet")])
def test_unstructured_cells_share_nothing(dimension, cell):
    space = shaken_box(dimension, cell, 4, 1)
    c = replace(unit_coefficients(), along=space.structure.axes)
    assert shared_elements(space, "F", c) is None


def test_tensors_of_single_cells_share_nothing():
    space = box(3, "tet", 3, 1)
    n = len(space.in_region("F"))
    c = replace(unit_coefficients(), along=space.structure.axes)
    for moved in (
        replace(c, relaxation=np.broadcast_to(c.relaxation, (n, 1, 3, 3))),
        replace(c, drift=np.broadcast_to(c.drift, (n, 1, 3, 4))),
        replace(c, along=()),
    ):
        assert shared_elements(space, "F", moved) is None
