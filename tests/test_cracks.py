"""Parts of a mesh that touch without sharing nodes are refused; gaps, bends and films pass."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay
from test_structure import gmsh_file

from femspin.errors import MeshError
from femspin.structure import entities
from femspin.structure.cracks import require_no_cracks
from femspin.structure.gmsh import load_mesh
from femspin.structure.overlap import require_no_overlap

KINDS = ("MeshTri1", "MeshQuad1", "MeshTet1", "MeshHex1")


def dimension(kind: str) -> int:
    return 2 if kind in KINDS[:2] else 3


def block(kind: str, cells, low, high):
    """Return points and cells of a box with so many cells along each direction."""
    ticks = [np.linspace(a, b, n + 1) for n, a, b in zip(cells, low, high, strict=True)]
    mesh = getattr(entities, kind).init_tensor(*ticks)
    return mesh.p.copy(), mesh.t.copy()


def joined(*parts):
    """Return the points and cells of parts, without joining what lies in one place."""
    points, cells, count = [], [], 0
    for p, t in parts:
        points.append(p)
        cells.append(t + count)
        count += p.shape[1]
    return np.hstack(points), np.hstack(cells)


def merged(points, cells):
    """Return the same with points in one place made one."""
    _, first, same = np.unique(np.round(points, 9), axis=1, return_index=True, return_inverse=True)
    return points[:, first], same.ravel()[cells]


def check(kind: str, points, cells) -> None:
    mesh = getattr(entities, kind)(np.ascontiguousarray(points), np.ascontiguousarray(cells))
    require_no_overlap(mesh, "a.msh")
    sides = entities.region_sides(mesh, np.zeros(mesh.nelements, np.int16))
    require_no_cracks(mesh, sides, "a.msh")


def pair(kind: str, below: int, above: int, gap: float = 0.0, shift: float = 0.0):
    """Return two boxes on each other with so many cells along every lateral side."""
    sides = dimension(kind) - 1
    one = block(kind, [below] * sides + [2], [0.0] * sides + [-1.0], [1.0] * sides + [0.0])
    two = block(
        kind,
        [above] * sides + [2],
        [shift] + [0.0] * (sides - 1) + [gap],
        [1.0 + shift] + [1.0] * (sides - 1) + [gap + 1.0],
    )
    return joined(one, two)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("below", "above"), [(1, 1), (1, 2), (2, 2), (3, 4), (2, 7)])
def test_blocks_that_touch_without_common_points_are_refused(kind, below, above):
    """The number is that of all facets on both sides: every one of them lies on others."""
    each = {"MeshTri1": 1, "MeshQuad1": 1, "MeshTet1": 2, "MeshHex1": 1}[kind]
    number = each * (below ** (dimension(kind) - 1) + above ** (dimension(kind) - 1))
    with pytest.raises(MeshError, match=rf"^mesh\.file: {number} facets of 'a\.msh' lie on others"):
        check(kind, *pair(kind, below, above))


@pytest.mark.parametrize("kind", KINDS)
def test_hanging_nodes_are_refused_and_the_same_nodes_pass(kind):
    with pytest.raises(MeshError, match="mesh both sides together"):
        check(kind, *merged(*pair(kind, 1, 2)))
    with pytest.raises(MeshError, match="mesh both sides together"):
        check(kind, *merged(*pair(kind, 2, 4)))
    check(kind, *merged(*pair(kind, 3, 3)))


def test_diagonals_that_cross_are_refused_though_all_nodes_are_shared():
    """Triangles of a square cut along one diagonal, on those cut along the other one."""
    points, cells = pair("MeshTet1", 3, 3)
    half = points.shape[1] // 2
    check("MeshTet1", *merged(points, cells))
    points[0, half:] = 1.0 - points[0, half:]  # the mirror image has the other diagonals
    with pytest.raises(MeshError, match=r"^mesh\.file: 36 facets .* lie on others without sharing"):
        check("MeshTet1", *merged(points, cells))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [0.9, 0.99])
def test_blocks_that_share_a_narrow_strip_are_refused(kind, shift):
    """No middle of a facet lies on another one."""
    with pytest.raises(MeshError, match="2 facets" if kind != "MeshTet1" else "[34] facets"):
        check(kind, *pair(kind, 1, 1, shift=shift))
    check(kind, *pair(kind, 1, 1, shift=1.0))  # they share an edge only, as a staircase does


@pytest.mark.parametrize("kind", KINDS)
def test_round_off_of_a_file_hides_no_crack_and_a_gap_is_none(kind):
    for gap in (-1e-9, 1e-9):
        with pytest.raises(MeshError, match="lie on others"):
            check(kind, *pair(kind, 2, 3, gap=gap))
    check(kind, *pair(kind, 2, 3, gap=1e-3))


@pytest.mark.parametrize("kind", KINDS)
def test_an_l_shape_a_frame_and_blocks_that_share_an_edge_are_no_cracks(kind):
    size = dimension(kind)
    points, cells = block(kind, [6] * size, [0.0] * size, [6.0] * size)
    middle = points[:, cells].mean(axis=1)
    quarter = np.all(middle[:2] > 3, axis=0)
    hole = np.all(abs(middle[:2] - 3) < 1, axis=0)
    diagonal = np.prod(middle[:2] - 3, axis=0) < 0
    slot = (abs(middle[0] - 2.5) < 0.5) & (middle[1] > 2)  # one cell wide
    for gone in (quarter, hole, diagonal, slot):
        check(kind, points, cells[:, ~gone])


@pytest.mark.parametrize("kind", KINDS)
def test_an_annulus_is_no_crack_unless_its_seam_is_open(kind):
    """The seam of a closed ring has the same nodes twice if nobody joined them."""
    size = dimension(kind)
    points, cells = block(kind, [24, 4, 2][:size], [0.0] * size, [2 * np.pi, 1.0, 0.5][:size])
    ring = np.array([(1 + points[1]) * np.cos(points[0]), (1 + points[1]) * np.sin(points[0]), *points[2:]])
    check(kind, *merged(ring, cells))
    with pytest.raises(MeshError, match="lie on others"):
        check(kind, ring, cells)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thickness", [0.3, 1e-3])
def test_thin_films_with_wide_cells_are_no_cracks(kind, thickness):
    """Of one layer of cells: its two surfaces face away from each other, however close."""
    size = dimension(kind)
    points, cells = block(kind, [4] * (size - 1) + [1], [0.0] * size, [1.0] * size)
    wide = [400.0] * (size - 1)
    check(kind, points * np.array([*wide, thickness])[:, None], cells)
    points, cells = block(kind, [4] * (size - 1) + [3], [0.0] * size, [1.0] * size)
    heights = np.array([0.0, 100.0, 100.0 + thickness, 200.0])
    points[-1] = heights[np.rint(3 * points[-1]).astype(int)]
    points[:-1] *= 400
    check(kind, points, cells)
    with_gap = cells[:, abs(points[-1, cells].mean(axis=0) - 100 - thickness / 2) > thickness]
    check(kind, points, with_gap)  # the film cut out: a gap of its thickness


@pytest.mark.parametrize("size", [2, 3])
def test_random_conforming_meshes_are_no_cracks(size):
    """Delaunay meshes of random points, without some of their cells."""
    rng = np.random.default_rng(1)
    points = rng.random((size, 400))
    cells = Delaunay(points.T).simplices.T
    corners = points[:, cells]
    volume = abs(np.linalg.det((corners[:, 1:] - corners[:, :1]).transpose(2, 0, 1)))
    keep = (volume > 1e-7) & (rng.random(cells.shape[1]) < 0.8)
    used, number = np.unique(cells[:, keep], return_inverse=True)
    check(KINDS[0 if size == 2 else 2], points[:, used], number.reshape(size + 1, -1))


def test_cells_of_very_different_size_are_compared_once():
    """One facet on a thousand small ones."""
    with pytest.raises(MeshError, match=r"^mesh\.file: 1001 facets"):
        check("MeshQuad1", *pair("MeshQuad1", 1, 1000))


# --------------------------------------------------------------------------------- from gmsh
def write(path, points, cells):
    """Write tetrahedra below and above z = 0 as the regions F and Pt (MSH 2.2)."""
    lines = [
        "$MeshFormat",
        "2.2 0 8",
        "$EndMeshFormat",
        "$PhysicalNames",
        "2",
        '3 1 "F"',
        '3 2 "Pt"',
        "$EndPhysicalNames",
        "$Nodes",
        f"{points.shape[1]}",
    ]
    lines += [f"{k} {x!r} {y!r} {z!r}" for k, (x, y, z) in enumerate(points.T.tolist(), start=1)]
    lines += ["$EndNodes", "$Elements", f"{cells.shape[1]}"]
    for k, (cell, z) in enumerate(zip(cells.T + 1, points[2, cells].mean(axis=0), strict=True)):
        lines.append(f"{k + 1} 4 2 {1 + (z > 0)} {1 + (z > 0)} {' '.join(map(str, cell))}")
    path.write_text("\n".join([*lines, "$EndElements", ""]))
    return path


def test_a_file_whose_triangles_match_is_read_and_one_with_crossed_diagonals_is_refused(tmp_path):
    kinds = {"Pt": "HM", "F": "F"}
    points, cells = pair("MeshTet1", 3, 3)
    good = load_mesh(write(tmp_path / "good.msh", *merged(points, cells)), "nm", kinds)
    assert good.interfaces["Pt|F"].measures.sum() == pytest.approx(1.0)
    half = points.shape[1] // 2
    points[0, half:] = 1.0 - points[0, half:]
    path = write(tmp_path / "bad.msh", *merged(points, cells))
    with pytest.raises(MeshError, match=r"36 facets of .*bad\.msh' lie on others.*, 0\) nm"):
        load_mesh(path, "nm", kinds)


def test_a_file_with_every_node_twice_says_how_to_join_them(tmp_path):
    path = write(tmp_path / "m.msh", *pair("MeshTet1", 2, 2))
    with pytest.raises(MeshError, match=r"^mesh\.file: 9 points .*removeDuplicateNodes"):
        load_mesh(path, "nm", {"Pt": "HM", "F": "F"})


def test_layers_of_gmsh_that_were_meshed_apart_are_refused(tmp_path):
    """Two rectangles with lines of their own at the common height, in other steps."""
    path = tmp_path / "m.msh"
    with gmsh_file(path) as gmsh:
        geo, groups = gmsh.model.geo, {}
        for name, x, steps, height in (("F", 0.0, 3, -2.0), ("Pt", 0.1, 4, 2.0)):
            ends = [geo.addPoint(x + 6 * k, 0, 0) for k in (0, 1)]
            line = geo.addLine(*ends)
            geo.mesh.setTransfiniteCurve(line, steps + 1)
            groups[name] = geo.extrude([(1, line)], 0, height, 0, numElements=[2])[1][1]
        geo.synchronize()
        for name, surface in groups.items():
            gmsh.model.addPhysicalGroup(2, [surface], name=name)
        gmsh.model.mesh.generate(2)
    with pytest.raises(MeshError, match=r"^mesh\.file: 7 facets of .* lie on others"):
        load_mesh(path, "nm", {"Pt": "HM", "F": "F"})
