"""Meshes: regions, interfaces, faces and measures of built-in stacks and of gmsh files."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import skfem
from hypothesis import given
from hypothesis import strategies as st

from femspin import build_device, case_from_table, simulate
from femspin.case.schema import Stack
from femspin.errors import CaseError, MeshError
from femspin.structure import build_stack, load_mesh
from femspin.structure.entities import number_facets
from femspin.structure.interfaces import find_interface, mesh_quality
from femspin.structure.model import facet_measures
from femspin.structure.stack import graded_cells, layer_edges

ROUND_OFF = 1e-12
MESHES = Path(__file__).parents[1] / "meshes"
CELLS = [(1, "line"), (2, "quad"), (2, "tri"), (3, "hex"), (3, "tet")]
ELEMENTS = {
    "line": skfem.ElementLineP1,
    "quad": skfem.ElementQuad1,
    "tri": skfem.ElementTriP1,
    "hex": skfem.ElementHex1,
    "tet": skfem.ElementTetP1,
}
KINDS = {"Pt": "HM", "F": "F", "YIG": "FI"}
THICKNESS = {"YIG": 4.0, "F": 1.0, "Pt": 5.0}
WIDTH, DEPTH = 3.0, 2.0
AREA = {1: 1.0, 2: WIDTH, 3: WIDTH * DEPTH}


def stack(dimension: int, cell: str, layers=None, kinds=KINDS, **table):
    """A stack of width 3 nm and depth 2 nm; layers are (region, nm) from the bottom."""
    layers = layers or list(THICKNESS.items())
    table = {"cells_x": 3, "cells_y": 2, **table}
    if dimension > 1:
        table["width"] = f"{WIDTH} nm"
    if dimension > 2:
        table["depth"] = f"{DEPTH} nm"
    case = Stack.model_validate(
        {
            "dimension": dimension,
            "cell": cell,
            **table,
            "layers": [
                x if isinstance(x, dict) else {"region": x[0], "thickness": f"{x[1]} nm"} for x in layers
            ],
        }
    )
    conductors = {name: 2e-9 for name, kind in kinds.items() if kind != "FI"}
    return build_stack(case, kinds, conductors)


def volumes(structure, cell: str):
    """Return the cell volumes by quadrature on the mapped elements."""
    basis = skfem.Basis(structure.mesh, ELEMENTS[cell](), intorder=4)
    return basis.dx.sum(axis=1)


# ------------------------------------------------------------------------------ built-in stacks


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_every_cell_of_a_stack_lies_in_the_layer_of_its_region(dimension, cell):
    structure = stack(dimension, cell)
    volume = volumes(structure, cell)
    assert structure.dimension == dimension
    assert sum(len(structure.cells(n)) for n in structure.regions) == structure.mesh.nelements
    for name, (low, high) in {"YIG": (-5, -1), "F": (-1, 0), "Pt": (0, 5)}.items():
        cells = structure.cells(name)
        z = structure.mesh.p[-1, structure.mesh.t[:, cells]]
        assert z.min() == low
        assert z.max() == high
        np.testing.assert_allclose(volume[cells].sum(), THICKNESS[name] * AREA[dimension], rtol=ROUND_OFF)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_interfaces_lie_in_their_plane_and_join_the_right_cells(dimension, cell):
    """Number and area of the facets are exact; the second region lies below the first."""
    structure = stack(dimension, cell)
    per_rectangle = 2 if cell == "tet" else 1
    count = {1: 1, 2: 3, 3: 6 * per_rectangle}[dimension]
    assert list(structure.interfaces) == ["Pt|F", "F|YIG"]
    middle = structure.mesh.p[-1, structure.mesh.t].mean(axis=0)
    for name, z in {"Pt|F": 0.0, "F|YIG": -1.0}.items():
        face = structure.interfaces[name]
        assert f"{face.first}|{face.second}" == name
        assert np.all(structure.mesh.p[-1, structure.mesh.facets[:, face.facets]] == z)
        assert len(face.facets) == count
        np.testing.assert_allclose(face.area, AREA[dimension], rtol=ROUND_OFF)
        for cells, region, above in (
            (face.cells_first, face.first, True),
            (face.cells_second, face.second, False),
        ):
            assert np.all(structure.region_of_cell[cells] == structure.regions.index(region))
            assert np.all((middle[cells] > z) == above)
            assert np.all((structure.mesh.f2t[:, face.facets] == cells).any(axis=0))


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_faces_of_a_stack_are_the_sides_of_its_conductors(dimension, cell):
    structure = stack(dimension, cell, lateral="insulating")
    side = {"bottom": AREA[dimension], "top": AREA[dimension]}
    if dimension > 1:  # the conductors are 6 nm thick
        side |= dict.fromkeys(("left", "right"), 6 * (DEPTH if dimension == 3 else 1))
    if dimension > 2:
        side |= dict.fromkeys(("front", "back"), 6 * WIDTH)
    assert set(structure.faces) == set(side)
    place = {
        "left": (0, 0),
        "right": (0, WIDTH),
        "front": (1, 0),
        "back": (1, DEPTH),
        "bottom": (-1, -1),
        "top": (-1, 5),
    }
    for name, facets in structure.faces.items():
        np.testing.assert_allclose(structure.facet_measures(facets).sum(), side[name], rtol=ROUND_OFF)
        row, value = place[name]
        assert np.all(structure.mesh.p[row, structure.mesh.facets[:, facets]] == value)
    assert structure.periods == ()


def test_periodic_stacks_name_their_periods():
    assert stack(1, "line").periods == ()
    assert stack(2, "quad").periods == ((0, WIDTH),)
    assert stack(3, "hex").periods == ((0, WIDTH), (1, DEPTH))


@given(
    thickness=st.floats(0.3, 300),
    decay=st.floats(0.1, 1e3),
    per_decay=st.floats(1, 40),
    growth=st.floats(1.0, 2.0),
)
def test_graded_cells_fill_the_layer_and_are_finest_at_its_ends(thickness, decay, per_decay, growth):
    ratio = 1 + (growth - 1) * min(1.0, 18 / per_decay)  # finer meshes grow more slowly
    if ratio < 1.02 and thickness * per_decay / decay > 1e3:
        return  # thousands of equal cells prove nothing more
    sizes = graded_cells(thickness, decay, per_decay, growth)
    np.testing.assert_allclose(sizes.sum(), thickness, rtol=ROUND_OFF)
    np.testing.assert_array_equal(sizes, sizes[::-1])
    half = sizes[: len(sizes) // 2]
    np.testing.assert_allclose(half[1:] / half[:-1], ratio, rtol=ROUND_OFF)
    assert sizes[0] <= min(decay / per_decay, thickness / 6) * (1 + ROUND_OFF)


def test_fixed_cell_counts_are_kept():
    layers = [
        {"region": "YIG", "thickness": "4 nm"},
        {"region": "F", "thickness": "1 nm", "cells": 7},
        {"region": "Pt", "thickness": "5 nm", "cells": 9},
    ]
    structure = stack(1, "line", layers)
    assert {n: len(structure.cells(n)) for n in ("F", "Pt")} == {"F": 7, "Pt": 9}
    heights = structure.mesh.p[0, structure.mesh.t[:, structure.cells("Pt")]]
    np.testing.assert_allclose(np.ptp(heights, axis=0), 5 / 9, rtol=ROUND_OFF)


@pytest.mark.parametrize(
    ("layers", "edges"),
    [
        (["YIG", "F", "Pt"], [-2, -1, 0, 1]),
        (["YIG", "F", "Pt", "F"], [-4, -3, -2, -1, 0]),
        (["F"], [-1, 0]),
        (["YIG", "Pt"], [-1, 0, 1]),
        (["Pt", "YIG"], [-2, -1, 0]),
        (["Pt", "Pt"], [0, 1, 2]),
    ],
)
def test_zero_height_is_the_top_of_the_uppermost_f_else_fi_else_the_bottom(layers, edges):
    case = Stack.model_validate({"layers": [{"region": n, "thickness": "1 nm"} for n in layers]})
    np.testing.assert_allclose(layer_edges(case, KINDS), edges, rtol=ROUND_OFF, atol=1e-15)


def test_a_region_on_both_sides_of_another_is_refused():
    """Opposite currents would be added up under one interface name."""
    with pytest.raises(CaseError, match=r"^structure\.layers: Pt lies above and below F"):
        stack(2, "quad", [("Pt", 2), ("F", 1), ("Pt", 3)], {"Pt": "HM", "F": "F"})


def test_a_repeated_region_has_one_interface_of_twice_the_area():
    layers = [("FI", 1), ("F", 1), ("Pt", 2), ("FI", 1), ("F", 1), ("Pt", 2)]
    structure = stack(2, "quad", layers, {"Pt": "HM", "F": "F", "FI": "FI"})
    face = structure.interfaces["Pt|F"]
    np.testing.assert_allclose(face.area, 2 * WIDTH, rtol=ROUND_OFF)
    heights = structure.mesh.p[-1, structure.mesh.t].mean(axis=0)
    assert np.all(heights[face.cells_first] > heights[face.cells_second])


def test_an_interface_between_equals_is_named_upper_then_lower():
    kinds = {"Cu": "HM", "Pt": "HM"}
    structure = stack(1, "line", [("Cu", 2), ("Pt", 2)], kinds)
    assert list(structure.interfaces) == ["Pt|Cu"]


def test_interfaces_are_found_in_either_order_and_otherwise_the_closest_is_named():
    interfaces = stack(1, "line").interfaces
    assert find_interface("F|Pt", interfaces, "p") is interfaces["Pt|F"]
    with pytest.raises(MeshError, match=r"^x\.y: no interface 'Pd\|F'; .*did you mean 'Pt\|F'"):
        find_interface("Pd|F", interfaces, "x.y")


# ------------------------------------------------------------------------- measures and quality


def test_quality_of_known_meshes():
    """A 3 x 4 rectangle in halves; a 3 x 4 x 12 box in Kuhn tetrahedra, longest edge 13."""
    quad = mesh_quality(skfem.MeshQuad.init_tensor([0.0, 3.0], [0.0, 4.0]))
    assert (quad.cells, quad.vertices, quad.smallest, quad.largest) == (1, 4, 3.0, 4.0)
    assert quad.aspect == pytest.approx(4 / 3, rel=ROUND_OFF)
    assert quad.shape == pytest.approx(1.0, rel=ROUND_OFF)
    triangles = mesh_quality(skfem.MeshTri.init_tensor(np.array([0.0, 3]), np.array([0.0, 4])))
    assert (triangles.cells, triangles.smallest, triangles.largest) == (2, 3.0, 5.0)
    assert triangles.shape == pytest.approx(1.0, rel=ROUND_OFF)
    box = [np.array([0.0, length]) for length in (3, 4, 12)]
    for mesh, cells, largest in (
        (skfem.MeshTet.init_tensor(*box), 6, 13.0),
        (skfem.MeshHex.init_tensor(*box), 1, 12.0),
    ):
        quality = mesh_quality(mesh)
        assert (quality.cells, quality.vertices) == (cells, 8)
        assert quality.smallest == pytest.approx(3.0, rel=ROUND_OFF)
        assert quality.largest == pytest.approx(largest, rel=ROUND_OFF)
        assert quality.shape == pytest.approx(1.0, rel=ROUND_OFF)


def test_a_sliver_has_a_shape_near_zero():
    """The third corner of a triangle at height h over the diagonal of a unit square."""
    height = 1e-3
    corner = np.array([0.5 - height, 0.5 + height])
    mesh = skfem.MeshTri(np.array([[0.0, 1.0, corner[0]], [0.0, 1.0, corner[1]]]), np.array([[0], [1], [2]]))
    assert mesh_quality(mesh).shape == pytest.approx(2 * height, rel=1e-9)


def test_a_cell_without_volume_is_refused():
    flat = skfem.MeshTri(np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]), np.array([[0], [1], [2]]))
    with pytest.raises(MeshError, match=r"^mesh: 1 of 1 cells have no volume"):
        mesh_quality(flat)


@pytest.mark.parametrize(("dimension", "cell"), CELLS)
def test_facet_measures_give_the_surface_of_a_sheared_block(dimension, cell):
    """A shear x += z/2 makes the sides oblique: parallelogram sides of height 10 and slope 1/2."""
    structure = stack(dimension, cell, lateral="insulating")
    mesh = structure.mesh
    if dimension > 1:
        p = mesh.p.copy()
        p[0] += 0.5 * p[-1]
        mesh = type(mesh)(p, mesh.t)
    oblique = 10 * np.sqrt(1.25)
    surface = {
        1: 2.0,
        2: 2 * WIDTH + 2 * oblique,
        3: 2 * WIDTH * DEPTH + 2 * oblique * DEPTH + 2 * 10 * WIDTH,
    }[dimension]
    measures = facet_measures(mesh, mesh.boundary_facets())
    np.testing.assert_allclose(measures.sum(), surface, rtol=ROUND_OFF)


# --------------------------------------------------------------------------------- gmsh meshes


@contextmanager
def gmsh_file(path: Path, **options):
    """A gmsh model that is written to `path` at the end, as MSH 4.1."""
    gmsh = pytest.importorskip("gmsh")
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        yield gmsh
        for name, value in {"MshFileVersion": 4.1, **options}.items():
            gmsh.option.setNumber(f"Mesh.{name}", value)
        gmsh.write(str(path))
    finally:
        gmsh.finalize()


def extrude(gmsh, dimension: int, recombine, names=tuple(THICKNESS)) -> dict[str, list]:
    """Extrude a point to a line, a rectangle and three layers; return entities by name.

    Cells are 1 nm wide, 1 nm deep and half a layer high.
    """
    geo, base = gmsh.model.geo, (0, gmsh.model.geo.addPoint(0, 0, 0))
    recombine = recombine if isinstance(recombine, dict) else dict.fromkeys(names, recombine)
    any_quads = all(recombine.values())
    base = geo.extrude([base], WIDTH, 0, 0, numElements=[3])[1]
    if dimension == 3:
        base = geo.extrude([base], 0, DEPTH, 0, numElements=[2], recombine=any_quads)[1]
    groups: dict[str, list] = {}
    for name, thickness in zip(names, THICKNESS.values(), strict=True):
        shift = (0, 0, thickness) if dimension == 3 else (0, thickness, 0)
        top, volume, *sides = geo.extrude([base], *shift, numElements=[2], recombine=recombine[name])
        groups.setdefault(name, []).append(volume[1])
        groups[f"below {name}"], groups[f"sides {name}"] = [base[1]], [abs(s[1]) for s in sides]
        base = top
    groups["top"] = [base[1]]
    geo.synchronize()
    return groups


def name_groups(gmsh, dimension: int, groups: dict[str, list], wanted) -> None:
    for name in wanted:
        gmsh.model.addPhysicalGroup(dimension, groups[name], name=name)


def layered(path: Path, dimension: int, recombine, faces=(), order: int = 1, **options) -> Path:
    """Write three layers YIG, F, Pt with named regions, and faces as they are in `extrude`."""
    with gmsh_file(path, **options) as gmsh:
        groups = extrude(gmsh, dimension, recombine)
        name_groups(gmsh, dimension, groups, THICKNESS)
        for face in faces:
            gmsh.model.addPhysicalGroup(
                dimension - 1,
                groups[face[0]] if isinstance(face, tuple) else groups[face],
                name=face[1] if isinstance(face, tuple) else face,
            )
        gmsh.model.mesh.generate(dimension)
        gmsh.model.mesh.setOrder(order)
    return path


def case_table(file: str) -> dict:
    """Return a case on a mesh with the regions YIG, F and Pt."""
    metal = {"dos": "5e46 1/(J*m^3)", "diffusion_constant": "5e-4 m^2/s", "spin_diffusion_length": "2 nm"}
    return {
        "mesh": {"file": file},
        "regions": {"Pt": {"kind": "HM", **metal}, "F": {"kind": "F", **metal}, "YIG": {"kind": "FI"}},
    }


GMSH = [(2, False, "tri"), (2, True, "quad"), (3, False, "tet"), (3, True, "hex")]


@pytest.mark.parametrize(("dimension", "recombine", "cell"), GMSH)
@pytest.mark.parametrize("binary", [0, 1])
def test_gmsh_meshes_keep_volumes_regions_interfaces_and_faces(tmp_path, dimension, recombine, cell, binary):
    """Each cell has its own exact volume, which a wrong order of vertices would not give."""
    path = layered(tmp_path / "m.msh", dimension, recombine, ["top", "sides Pt"], Binary=binary)
    structure = load_mesh(path, "nm", KINDS)
    assert type(structure.mesh).__name__.lower() == f"mesh{cell}1"
    assert structure.axes == ((0, 1, 2) if dimension == 3 else (0, 2))
    volume = volumes(structure, cell)
    boxes = 3 * (2 if dimension == 3 else 1)
    per_box = {"tri": 2, "quad": 1, "hex": 1, "tet": 3 * 2}[cell]
    for name, thickness in THICKNESS.items():
        cells = structure.cells(name)
        assert len(cells) == 2 * boxes * per_box
        np.testing.assert_allclose(volume[cells], thickness / 2 / per_box, rtol=1e-9)
    assert structure.quality.cells == structure.mesh.nelements
    assert structure.quality.shape == pytest.approx(1.0, rel=1e-9)
    assert list(structure.interfaces) == ["Pt|F", "F|YIG"]
    heights = structure.mesh.p[-1, structure.mesh.t].mean(axis=0)
    for name, z in {"Pt|F": 5.0, "F|YIG": 4.0}.items():
        face = structure.interfaces[name]
        np.testing.assert_allclose(structure.mesh.p[-1, structure.mesh.facets[:, face.facets]], z, rtol=1e-12)
        np.testing.assert_allclose(face.area, AREA[dimension], rtol=1e-12)
        assert np.all(heights[face.cells_first] > z)
        assert np.all(heights[face.cells_second] < z)
    sides = 5 * (2 if dimension == 2 else 2 * (WIDTH + DEPTH))
    area = {n: structure.facet_measures(f).sum() for n, f in structure.faces.items()}
    assert area == pytest.approx({"top": AREA[dimension], "sides Pt": sides}, rel=1e-12)


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1.0), ("angstrom", 0.1), ("um", 1e3)])
def test_coordinates_are_converted_to_nanometres(tmp_path, unit, factor):
    path = layered(tmp_path / "m.msh", 2, True)
    structure = load_mesh(path, unit, KINDS)
    assert structure.interfaces["Pt|F"].area == pytest.approx(factor * WIDTH, rel=1e-12)
    assert structure.quality.largest == pytest.approx(2.5 * factor, rel=1e-12)


def test_a_plane_mesh_may_be_drawn_in_x_and_z(tmp_path):
    path = tmp_path / "m.msh"
    drawn = layered(tmp_path / "xy.msh", 2, False)
    with gmsh_file(path) as gmsh:
        groups = extrude(gmsh, 2, False)
        name_groups(gmsh, 2, groups, THICKNESS)
        gmsh.model.mesh.generate(2)
        gmsh.model.mesh.affineTransform([1, 0, 0, 0, 0, 0, -1, 0, 0, 1, 0, 0])
    structure = load_mesh(path, "nm", KINDS)
    assert structure.axes == (0, 2)
    np.testing.assert_allclose(
        np.sort(structure.mesh.p, axis=1), np.sort(load_mesh(drawn, "nm", KINDS).mesh.p, axis=1), atol=1e-9
    )


def test_named_interfaces_are_interfaces_and_not_outer_faces(tmp_path):
    """In either order of the names, which do not get in the way of conditions on them."""
    names = [("below Pt", "F|Pt"), ("below F", "F|YIG")]
    structure = load_mesh(layered(tmp_path / "m.msh", 3, False, names), "nm", KINDS)
    assert list(structure.interfaces) == ["Pt|F", "F|YIG"]
    assert structure.faces == {}
    table = case_table("m.msh")
    table["interfaces"] = {"YIG|F": {"G_r": "1e14 S/m^2"}}
    assert list(build_device(case_from_table(table), tmp_path).flux_tables) == ["F|YIG"]


def test_outer_faces_have_a_conductor_on_exactly_one_side(tmp_path):
    """Between metal and insulator, but neither inside the metals nor on the insulator alone."""
    names = [("below F", "seed"), ("below Pt", "seam"), ("below YIG", "ground")]
    structure = load_mesh(layered(tmp_path / "m.msh", 3, False, names), "nm", KINDS)
    assert {n: len(f) for n, f in structure.faces.items()} == {"seed": 12, "seam": 0, "ground": 0}
    np.testing.assert_array_equal(
        np.sort(structure.faces["seed"]), np.sort(structure.interfaces["F|YIG"].facets)
    )
    table = case_table("m.msh")
    table["drive"] = {"electrodes": {"seam": {"voltage": "1 mV"}}}
    with pytest.raises(
        MeshError,
        match=r"^drive\.electrodes\.seam: the group 'seam' of the mesh"
        r" lies inside the device, at F\|Pt; .*known: seed",
    ):
        build_device(case_from_table(table), tmp_path)
    table["drive"] = {"electrodes": {"ground": {"voltage": "1 mV"}}}
    with pytest.raises(
        MeshError,
        match=r"^drive\.electrodes\.ground: the group 'ground' of the"
        r" mesh lies on the outside of YIG, which does not conduct;",
    ):
        build_device(case_from_table(table), tmp_path)


@pytest.mark.parametrize("file", ["hall_bar", "strip_2d"])
def test_shipped_meshes_are_small_and_as_their_readme_says(file):
    path = MESHES / f"{file}.msh"
    structure = load_mesh(path, "nm", KINDS)
    lines = (MESHES / "README.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(f"| `{path.name}"))
    assert f" {structure.quality.cells} " in row
    assert f" {structure.quality.vertices} points" in row
    for name in (*structure.regions, *structure.faces):
        assert f"`{name}`" in row
        assert structure.regions.count(name) or len(structure.faces[name])
    assert list(structure.interfaces) == ["Pt|F", "F|YIG"]
    corners = structure.mesh.facets[:, structure.interfaces["Pt|F"].facets]
    assert np.all(structure.mesh.p[-1, corners] == 0)
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("file", ["hall_bar", "strip_2d"])
def test_shipped_meshes_come_from_their_scripts(file, tmp_path):
    """The script gives regions, interfaces and electrodes of the same sizes."""
    pytest.importorskip("gmsh")
    script = tmp_path / f"{file}.py"
    script.write_text((MESHES / f"{file}.py").read_text(encoding="utf-8"), encoding="utf-8")
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
    old, new = (load_mesh(f / f"{file}.msh", "nm", KINDS) for f in (MESHES, tmp_path))
    assert old.regions == new.regions
    for name, face in old.interfaces.items():
        assert new.interfaces[name].area == pytest.approx(face.area, rel=1e-9)
    for name, facets in old.faces.items():
        area = old.facet_measures(facets).sum()
        assert new.facet_measures(new.faces[name]).sum() == pytest.approx(area, rel=1e-9)


def test_the_hall_bar_is_its_own_mirror_image():
    """Every cell has an image in x = 0 and in y = 0 with the same region."""
    structure = load_mesh(MESHES / "hall_bar.msh", "nm", KINDS)

    def cells(*flip):
        points = [tuple(p) for p in np.round(structure.mesh.p.T * flip, 6).tolist()]
        corners = (frozenset(points[k] for k in cell) for cell in structure.mesh.t.T)
        return set(zip(corners, structure.region_of_cell.tolist(), strict=True))

    original = cells(1, 1, 1)
    assert len(original) == structure.mesh.nelements
    assert cells(-1, 1, 1) == original
    assert cells(1, -1, 1) == original


FORMATS = {
    "2.2": {"MshFileVersion": 2.2},
    "2.2 binary": {"MshFileVersion": 2.2, "Binary": 1},
    "4.0": {"MshFileVersion": 4.0},
    "4.1 binary": {"Binary": 1},
    "parametric": {"SaveParametric": 1},
    "parametric 4.0": {"SaveParametric": 1, "MshFileVersion": 4.0},
    "parametric binary": {"SaveParametric": 1, "Binary": 1},
    "all": {"SaveAll": 1},
    "partitioned": {},
    "partitioned binary": {"Binary": 1},
    "partitioned 4.0": {"MshFileVersion": 4.0},
    "partitioned 2.2": {"MshFileVersion": 2.2},
    "second order": {},
    "second order binary": {"Binary": 1},
    "serendipity": {},
    "third order": {},
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("dimension", "recombine"), [(2, False), (3, True), (3, False)])
def test_one_mesh_is_one_structure_in_whatever_form_it_is_written(tmp_path, name, dimension, recombine):
    """Regions, interfaces, faces and every cell; cells of higher order by their corners."""
    found = []
    for path, options in ((tmp_path / "plain.msh", {}), (tmp_path / "m.msh", FORMATS[name])):
        with gmsh_file(path, **options) as gmsh:
            gmsh.option.setNumber("Mesh.SecondOrderIncomplete", name == "serendipity")
            groups = extrude(gmsh, dimension, recombine)
            name_groups(gmsh, dimension, groups, THICKNESS)
            name_groups(gmsh, dimension - 1, groups, ["top", "below F", "sides Pt"])
            gmsh.model.mesh.generate(dimension)
            if path.name == "m.msh":
                if "partitioned" in name:
                    gmsh.model.mesh.partition(3)
                order = {"second order": 2, "serendipity": 2, "third order": 3}
                gmsh.model.mesh.setOrder(order.get(name.removesuffix(" binary"), 1))
        found.append(load_mesh(path, "nm", KINDS))
    plain, other = found
    assert cell_set(other) == cell_set(plain)
    assert other.axes == plain.axes
    assert list(other.interfaces) == list(plain.interfaces)
    for key, face in plain.interfaces.items():
        assert other.interfaces[key].area == pytest.approx(face.area, rel=1e-12)
    for key, facets in plain.faces.items():
        area = plain.facet_measures(facets).sum()
        assert other.facet_measures(other.faces[key]).sum() == pytest.approx(area, rel=1e-12)
    assert plain.notes == ()
    higher = "order" in name or name == "serendipity"
    assert [("taken by their corners" in note) for note in other.notes] == [True] * higher
    if "second" in name or name == "serendipity":
        assert "nothing is lost" in other.notes[0]


def cell_set(structure):
    """Return the cells as sets of points with the names of their regions."""
    points = [tuple(p) for p in np.round(structure.mesh.p.T, 9).tolist()]
    return {
        (frozenset(points[k] for k in cell), structure.regions[region])
        for cell, region in zip(structure.mesh.t.T.tolist(), structure.region_of_cell, strict=True)
    }


@pytest.mark.parametrize("recombine", [False, True])
def test_the_curvature_that_second_order_cells_lose_is_told(tmp_path, recombine):
    """A quarter ring in six cells along its arc: the sagitta is R (1 - cos(angle / 2)).

    The node in the middle of a curved quadrilateral is that of the mean radius.
    """
    path = tmp_path / "m.msh"
    with gmsh_file(path) as gmsh:
        geo = gmsh.model.geo
        line = geo.extrude([(0, geo.addPoint(10, 0, 0))], 2, 0, 0, numElements=[1])[1]
        ring = geo.revolve([line], 0, 0, 0, 0, 0, 1, np.pi / 2, [6], recombine=recombine)[1]
        geo.synchronize()
        gmsh.model.addPhysicalGroup(2, [ring[1]], name="Pt")
        gmsh.model.mesh.generate(2)
        gmsh.model.mesh.setOrder(2)
    structure = load_mesh(path, "nm", {"Pt": "HM"})
    assert structure.mesh.nelements == (6 if recombine else 12)
    sagitta = 12 * (1 - np.cos(np.pi / 24))
    assert f"up to {sagitta:.2g} nm off the curved" in structure.notes[0]
    solution = simulate(
        case_from_table({**case_table("m.msh"), "regions": {"Pt": case_table("m.msh")["regions"]["Pt"]}}),
        tmp_path,
    )
    assert any("taken by their corners" in w for w in solution.table["warnings"])


def test_data_on_nodes_and_cells_and_other_sections_are_skipped(tmp_path):
    path = layered(tmp_path / "m.msh", 2, True)
    plain = load_mesh(path, "nm", KINDS)
    text = path.read_text()
    data = '1\n"T"\n1\n0.0\n3\n0\n1\n2\n1 0.5\n2 1.5\n'
    for name in ("NodeData", "ElementData", "ElementNodeData", "Comments", "Periodic"):
        text += f"${name}\n{data}$End{name}\n"
    path.write_text(text)
    assert cell_set(load_mesh(path, "nm", KINDS)) == cell_set(plain)


# ------------------------------------------------------------------------------ meshes refused


@pytest.mark.parametrize("form", ["2.2", "4.0", "4.1 binary", "partitioned"])
def test_a_damaged_mesh_is_read_or_refused_in_plain_words(tmp_path, form, capsys):
    """Changed bytes and numbers, lines left out and doubled: no words of Python, no warning."""
    path = tmp_path / "m.msh"
    with gmsh_file(path, **FORMATS[form]) as gmsh:
        groups = extrude(gmsh, 2, True)
        name_groups(gmsh, 2, groups, THICKNESS)
        gmsh.model.mesh.generate(2)
        if form == "partitioned":
            gmsh.model.mesh.partition(2)
    good, rng = path.read_bytes(), np.random.default_rng(2)
    words = [b"0", b"-1", b"3", b"nan", b"inf", b"1e300", b"99999999999999999999", b"x", b"1.5"]
    seen, said = {"read": 0, "refused": 0}, set()
    for _ in range(300):
        lines, kind = good.split(b"\n"), rng.integers(4)
        k = int(rng.integers(len(lines)))
        if kind == 0:
            changed = bytearray(good)
            changed[rng.integers(len(good))] = rng.integers(256)
            lines = [bytes(changed)]
        elif kind == 1:
            row = lines[k].split(b" ")
            row[rng.integers(len(row))] = words[rng.integers(len(words))]
            lines[k] = b" ".join(row)
        elif kind == 2:
            del lines[k]
        else:
            lines.insert(k, lines[rng.integers(len(lines))])
        path.write_bytes(b"\n".join(lines))
        try:
            load_mesh(path, "nm", KINDS)
            seen["read"] += 1
        except MeshError as error:
            seen["refused"] += 1
            said.add(str(error))
    assert min(seen.values()) > 0
    strange = re.compile(r"np\.|Error|ssize_t|0x|invalid literal|array|dtype|\n")
    assert [message for message in said if strange.search(message)] == []
    assert capsys.readouterr() == ("", "")


def refused(path: Path, match: str, kinds=KINDS, unit: str = "nm") -> MeshError:
    with pytest.raises(MeshError, match=match) as caught:
        load_mesh(path, unit, kinds)
    assert isinstance(caught.value, CaseError)
    return caught.value


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.msh", r"^mesh\.file: no such mesh file .*none\.msh")
    refused(tmp_path, r"^mesh\.file: .* is a folder, not a file")


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00\xff\x10" * 50, b"$MeshFormat\n9 0 8\n"])
def test_a_file_that_is_no_mesh_is_refused(tmp_path, content, capsys):
    path = tmp_path / "m.msh"
    path.write_bytes(content)
    refused(path, r"^mesh\.file: .*is not a readable gmsh mesh: it ")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("keep", [0.1, 0.4, 0.8, 0.97])
@pytest.mark.parametrize("binary", [0, 1])
def test_a_cut_off_file_is_refused(tmp_path, keep, binary):
    path = layered(tmp_path / "m.msh", 2, True, Binary=binary)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    refused(path, r"^mesh\.file: ")


def test_a_mesh_without_physical_groups_is_refused(tmp_path):
    with gmsh_file(tmp_path / "m.msh") as gmsh:
        extrude(gmsh, 2, True)
        gmsh.model.mesh.generate(2)
    refused(tmp_path / "m.msh", r"^mesh\.file: .*no physical groups")


def test_cells_in_no_group_are_refused(tmp_path):
    with gmsh_file(tmp_path / "m.msh", SaveAll=1) as gmsh:
        groups = extrude(gmsh, 2, True)
        name_groups(gmsh, 2, groups, ["Pt", "F"])
        gmsh.model.mesh.generate(2)
    refused(tmp_path / "m.msh", r"^mesh\.file: .*in part in no physical group.*SaveAll = 0")


@pytest.mark.parametrize("version", [2.2, 4.1])
@pytest.mark.parametrize(("dimension", "recombine"), [(2, False), (3, True)])
def test_surfaces_in_several_groups_belong_to_all_of_them(tmp_path, version, dimension, recombine):
    """In MSH 4.1 the tag of a surface is that of its first group alone."""
    path = tmp_path / "m.msh"
    with gmsh_file(path, MshFileVersion=version) as gmsh:
        groups = extrude(gmsh, dimension, recombine)
        name_groups(gmsh, dimension, groups, THICKNESS)
        for name, members in {
            "all": groups["top"] + groups["sides Pt"],
            "roof": groups["top"],
            "Pt|F": groups["below Pt"],
            "inner too": groups["below Pt"] + groups["sides Pt"],
        }.items():
            gmsh.model.addPhysicalGroup(dimension - 1, members, name=name)
        gmsh.model.mesh.generate(dimension)
    structure = load_mesh(path, "nm", KINDS)
    depth = DEPTH if dimension == 3 else 1.0
    sides = 2 * THICKNESS["Pt"] * (depth + (WIDTH if dimension == 3 else 0.0))
    areas = {n: structure.facet_measures(f).sum() for n, f in structure.faces.items()}
    assert areas == pytest.approx(
        {"all": WIDTH * depth + sides, "roof": WIDTH * depth, "inner too": sides}, rel=1e-12
    )


@pytest.mark.parametrize("version", [2.2, 4.1])
def test_cells_of_two_regions_are_refused(tmp_path, version):
    path = tmp_path / "m.msh"
    with gmsh_file(path, MshFileVersion=version) as gmsh:
        groups = extrude(gmsh, 3, True)
        name_groups(gmsh, 3, groups | {"Pt": groups["Pt"] + groups["F"]}, THICKNESS)
        gmsh.model.mesh.generate(3)
    named = ".*'F'.*'Pt'|.*'Pt'.*'F'" if version == 4.1 else ""
    refused(path, rf"^mesh\.file: 12 cells of .* are in two groups({named})")


def test_a_group_of_volumes_that_is_no_region_of_the_case_changes_nothing(tmp_path):
    found = []
    for first in ("metals", "Pt"):
        path = tmp_path / f"{first}.msh"
        with gmsh_file(path) as gmsh:
            groups = extrude(gmsh, 2, True)
            groups["metals"] = groups["Pt"] + groups["F"]
            name_groups(gmsh, 2, groups, dict.fromkeys([first, *THICKNESS, "metals"]))
            gmsh.model.mesh.generate(2)
        found.append(load_mesh(path, "nm", KINDS))
    plain = load_mesh(layered(tmp_path / "plain.msh", 2, True), "nm", KINDS)
    for structure in found:
        assert structure.regions == plain.regions
        np.testing.assert_array_equal(structure.region_of_cell, plain.region_of_cell)


def test_cells_in_a_group_without_a_name_are_refused(tmp_path):
    with gmsh_file(tmp_path / "m.msh") as gmsh:
        groups = extrude(gmsh, 2, True)
        name_groups(gmsh, 2, groups, ["Pt", "F"])
        gmsh.model.addPhysicalGroup(2, groups["YIG"])
        gmsh.model.mesh.generate(2)
    refused(tmp_path / "m.msh", r"^mesh\.file: 6 of 18 cells belong to no named region")


def test_a_region_the_case_does_not_know_is_refused_with_the_closest(tmp_path):
    path = layered(tmp_path / "m.msh", 2, True)
    refused(
        path,
        r"^regions\.Pt: the mesh has this region, the case has not;.*did you mean 'Ptt'",
        {"Ptt": "HM", "F": "F", "YIG": "FI"},
    )
    refused(path, r"^regions\.YIG2: not in the mesh;.*YIG.*did you mean 'YIG'", {**KINDS, "YIG2": "FI"})


def test_mixed_cell_types_are_refused(tmp_path):
    path = tmp_path / "m.msh"
    layered(path, 2, {"YIG": True, "F": False, "Pt": True})
    refused(path, r"^mesh\.file: .*mixes triangle and quad cells; use one type")


def test_prisms_are_refused(tmp_path):
    """Triangles extruded with recombination."""
    path = tmp_path / "m.msh"
    with gmsh_file(path) as gmsh:
        geo = gmsh.model.geo
        line = geo.extrude([(0, geo.addPoint(0, 0, 0))], 3, 0, 0, numElements=[3])[1]
        surface = geo.extrude([line], 0, 2, 0, numElements=[2])[1]
        volume = geo.extrude([surface], 0, 0, 5, numElements=[2], recombine=True)[1]
        geo.synchronize()
        gmsh.model.addPhysicalGroup(3, [volume[1]], name="Pt")
        gmsh.model.addPhysicalGroup(2, [surface[1]], name="bottom")
        gmsh.model.mesh.generate(3)
    refused(path, r"^mesh\.file: .*has prism cells, which are not read; make all tetrahedra", {"Pt": "HM"})


def test_a_mesh_of_lines_is_refused(tmp_path):
    path = tmp_path / "m.msh"
    with gmsh_file(path) as gmsh:
        groups = extrude(gmsh, 2, True)
        gmsh.model.addPhysicalGroup(1, groups["top"], name="top")
        gmsh.model.mesh.generate(1)
    refused(path, r"^mesh\.file: .*has no cells of type tetra.*\(got line\)")


def test_sizes_that_are_no_device_point_at_the_length_unit(tmp_path):
    path = layered(tmp_path / "m.msh", 2, True)
    refused(path, r"^mesh\.length_unit: the device would be 1e\+10 nm across.*'m'", unit="m")


def test_a_tilted_plane_mesh_is_refused(tmp_path):
    path = tmp_path / "m.msh"
    with gmsh_file(path) as gmsh:
        groups = extrude(gmsh, 2, False)
        name_groups(gmsh, 2, groups, THICKNESS)
        gmsh.model.mesh.generate(2)
        gmsh.model.mesh.affineTransform([1, 0, 0, 0, 0, 0.8, -0.6, 0, 0, 0.6, 0.8, 0])
    refused(path, r"^mesh\.file: a 2D mesh must lie in the plane z = 0 or y = 0")


def test_regions_that_touch_without_common_points_are_refused(tmp_path):
    """Two OpenCASCADE boxes that were not fragmented: an interface would be missing."""
    path = tmp_path / "m.msh"
    with gmsh_file(path) as gmsh:
        low = gmsh.model.occ.addBox(0, 0, -2, 2, 2, 2)
        high = gmsh.model.occ.addBox(0, 0, 0, 2, 2, 2)
        gmsh.model.occ.synchronize()
        gmsh.model.addPhysicalGroup(3, [low], name="F")
        gmsh.model.addPhysicalGroup(3, [high], name="Pt")
        gmsh.model.mesh.generate(3)
    refused(path, r"^mesh\.file: \d+ points of .* coincide.*fragment", {"Pt": "HM", "F": "F"})


@pytest.mark.parametrize("wrong", ["top", "below F", "sides F"])
def test_an_interface_name_on_other_facets_is_refused(tmp_path, wrong):
    path = layered(tmp_path / "m.msh", 2, True, [(wrong, "Pt|F")])
    refused(path, r"^mesh\.file: the group 'Pt\|F' has \d facets; .* share 3, of which 0 ")


def test_part_of_an_interface_is_no_interface(tmp_path):
    """A name for half of the facets would hide the other half."""
    path = tmp_path / "m.msh"
    with gmsh_file(path) as gmsh:
        geo = gmsh.model.geo
        lines = [geo.addLine(geo.addPoint(x, 0, 0), geo.addPoint(x + 1, 0, 0)) for x in (0, 5)]
        regions: dict[str, list] = {"Pt": [], "F": []}
        for line in lines:
            geo.mesh.setTransfiniteCurve(line, 2)
            for name, height in (("Pt", 2), ("F", -1)):
                regions[name].append(geo.extrude([(1, line)], 0, height, 0, numElements=[2])[1][1])
        geo.synchronize()
        name_groups(gmsh, 2, regions, regions)
        gmsh.model.addPhysicalGroup(1, lines[:1], name="Pt|F")
        gmsh.model.mesh.generate(2)
    refused(
        path, r"^mesh\.file: the group 'Pt\|F' has 1 facets; .* share 2, of which 1 ", {"Pt": "HM", "F": "F"}
    )


def test_a_case_with_a_bad_mesh_says_so_before_it_runs(tmp_path):
    """Relative paths start at the folder of the case."""
    layered(tmp_path / "m.msh", 2, True)
    device = build_device(case_from_table(case_table("m.msh")), tmp_path)
    assert set(device.structure.interfaces) == {"Pt|F", "F|YIG"}
    with pytest.raises(MeshError, match=r"^mesh\.file: no such mesh file"):
        build_device(case_from_table(case_table("n.msh")), tmp_path)


@pytest.mark.parametrize("kind", ["MeshTri", "MeshQuad", "MeshTet", "MeshHex"])
def test_facets_are_numbered_as_scikit_fem_does(kind):
    """Also on a mesh whose vertices and cells come in random order."""
    mesh_type = getattr(skfem, kind)
    x = np.linspace(0, 1, 5)
    mesh = mesh_type.init_tensor(*[x] * (2 if kind in ("MeshTri", "MeshQuad") else 3))
    rng = np.random.default_rng(0)
    place, cells = rng.permutation(mesh.nvertices), rng.permutation(mesh.nelements)
    p = np.empty_like(mesh.p)
    p[:, place] = mesh.p
    one, two = (mesh_type(p.copy(), place[mesh.t[:, cells]]) for _ in range(2))
    number_facets(one)
    assert hasattr(one, "_f2t")
    assert not hasattr(two, "_f2t")
    for name in ("facets", "t2f", "f2t"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
