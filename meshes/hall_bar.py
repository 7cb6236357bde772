"""Write hall_bar.msh: a Pt Hall bar with a magnetic film under its crossing.

    python hall_bar.py

needs gmsh (``pip install "femspin[mesh]"``).  Lengths are in nanometres; z points from the
insulator to the heavy metal and z = 0 is the interface of Pt and F::

        y                                z
        |      probe_left                |   ________________  5
        |        |  |                    |  |       Pt       |
        |  ______|  |______              |  |______..._______| 0
        | |      :  :      |             |      | F |         -0.8
        | |source:  : drain|             |      |YIG|
        | |______:__:______|             |      |___|         -6.8
        |        |  |                    |
        |     probe_right                |
        +------------------- x           +------------------- x

A plane triangulation, finer around the crossing, is extruded layer by layer.  Every prism is
cut into three tetrahedra along the diagonals that start at its lowest-numbered column, which
keeps neighbours conforming.  Half of the plane mesh is the mirror image of the other, numbered
alike, so that the two probes see the same mesh: without a Hall effect their voltage vanishes.
"""

from __future__ import annotations

from pathlib import Path

import gmsh
import numpy as np

LENGTH, WIDTH = 200.0, 40.0  # the bar, along x and y
ARM_WIDTH, ARM_LENGTH = 20.0, 30.0  # one arm on either side
PAD = 40.0  # side of the square film of F and YIG under the crossing
FINE, COARSE = 6.5, 13.0  # lateral mesh sizes in the crossing and at the ends

PT_LAYERS = (0.6, 1.0, 1.8, 1.0, 0.6)  # from z = 0 upwards, fine where spin accumulates
F_LAYERS = (0.2, 0.4, 0.2)  # from z = 0 downwards
YIG_LAYERS = (1.0, 2.0, 3.0)

TRIANGLE, TETRAHEDRON = 2, 4  # gmsh's numbers of the element types


def half_plane() -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, 2) and triangles (m, 3) of the half y > 0 of the bar and one arm."""
    x, y = LENGTH / 2, WIDTH / 2
    pad, arm, end = PAD / 2, ARM_WIDTH / 2, WIDTH / 2 + ARM_LENGTH
    corners = {
        "a": (-x, 0, COARSE), "b": (-pad, 0, FINE), "c": (pad, 0, FINE), "d": (x, 0, COARSE),
        "e": (x, y, COARSE), "f": (pad, y, FINE), "g": (arm, y, FINE), "h": (arm, end, COARSE),
        "i": (-arm, end, COARSE), "j": (-arm, y, FINE), "k": (-pad, y, FINE), "l": (-x, y, COARSE),
    }  # fmt: skip
    point = {n: gmsh.model.geo.addPoint(u, v, 0, h) for n, (u, v, h) in corners.items()}
    lines: dict[str, int] = {}
    for loop in ("abkl", "bcfgjk", "cdef", "jghi"):
        sides = []
        for p, q in zip(loop, loop[1:] + loop[0], strict=True):
            if q + p in lines:
                sides.append(-lines[q + p])
            else:
                lines[p + q] = gmsh.model.geo.addLine(point[p], point[q])
                sides.append(lines[p + q])
        gmsh.model.geo.addPlaneSurface([gmsh.model.geo.addCurveLoop(sides)])
    gmsh.model.geo.synchronize()
    gmsh.model.mesh.generate(2)
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    points = coordinates.reshape(-1, 3)[:, :2]
    _, corners_of = gmsh.model.mesh.getElementsByType(TRIANGLE)
    row = {int(t): k for k, t in enumerate(tags)}
    return points, np.array([row[int(t)] for t in corners_of]).reshape(-1, 3)


def mirrored(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return points, triangles and a rank of every point that mirror images share."""
    n = len(points)
    image = np.arange(n)
    off_axis = np.abs(points[:, 1]) > 1e-9
    image[off_axis] = n + np.arange(off_axis.sum())
    both = np.vstack([points, points[off_axis] * (1, -1)])
    rank = np.concatenate([np.arange(n), np.flatnonzero(off_axis)])
    return both, np.vstack([triangles, image[triangles][:, ::-1]]), rank


def prisms_to_tetrahedra(
    triangles: np.ndarray, rank: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Return the tetrahedra between two levels; `lower` and `upper` number their points."""
    a, b, c = np.take_along_axis(triangles, np.argsort(rank[triangles], axis=1), axis=1).T
    return np.vstack([
        np.column_stack([lower[a], lower[b], lower[c], upper[c]]),
        np.column_stack([lower[a], lower[b], upper[b], upper[c]]),
        np.column_stack([lower[a], upper[a], upper[b], upper[c]]),
    ])  # fmt: skip


def faces_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted faces of tetrahedra, and how many cells own each."""
    faces = np.vstack([np.delete(cells, k, axis=1) for k in range(4)])
    return np.unique(np.sort(faces, axis=1), axis=0, return_counts=True)


def common(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the faces that two sets of faces share."""
    faces, count = np.unique(np.vstack([first, second]), axis=0, return_counts=True)
    return faces[count == 2]


def outward(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the cells with positive volume: two corners swapped where it is negative."""
    a, b, c, d = (points[cells[:, k]] for k in range(4))
    negative = np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) < 0
    cells = cells.copy()
    cells[negative] = cells[negative][:, [1, 0, 2, 3]]
    return cells


def build() -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return points (n, 3), the cells of every region and the faces of every surface."""
    plane, triangles, rank = mirrored(*half_plane())
    centre = plane[triangles].mean(axis=1)
    under = triangles[(np.abs(centre) < PAD / 2).all(axis=1)]
    cuts = {
        "Pt": np.cumsum((0.0, *PT_LAYERS)),
        "F": -np.cumsum((0.0, *F_LAYERS))[::-1],
        "YIG": -np.cumsum((sum(F_LAYERS), *YIG_LAYERS))[::-1],
    }
    heights = np.unique(np.round(np.concatenate(list(cuts.values())), 9))
    n = len(plane)
    points = np.column_stack([np.tile(plane, (len(heights), 1)), np.repeat(heights, n)])
    regions = {}
    for name, cut in cuts.items():
        levels = np.searchsorted(heights, np.round(cut, 9))
        base = triangles if name == "Pt" else under
        regions[name] = np.vstack([
            prisms_to_tetrahedra(base, rank, np.arange(n) + k * n, np.arange(n) + (k + 1) * n)
            for k in levels[:-1]
        ])  # fmt: skip
        regions[name] = outward(points, regions[name])
    faces = {name: faces_of(cells) for name, cells in regions.items()}
    surfaces = {
        "Pt|F": common(faces["Pt"][0], faces["F"][0]),
        "F|YIG": common(faces["F"][0], faces["YIG"][0]),
    }
    outer = faces["Pt"][0][faces["Pt"][1] == 1]
    middle = points[outer].mean(axis=1)
    for name, axis, place in (
        ("source", 0, -LENGTH / 2), ("drain", 0, LENGTH / 2),
        ("probe_left", 1, WIDTH / 2 + ARM_LENGTH), ("probe_right", 1, -WIDTH / 2 - ARM_LENGTH),
    ):  # fmt: skip
        surfaces[name] = outer[np.abs(middle[:, axis] - place) < 1e-9]
    used = np.unique(np.vstack(list(regions.values())))  # no points below the bare bar
    number = np.zeros(len(points), int)
    number[used] = np.arange(len(used))
    return (
        points[used],
        {name: number[cells] for name, cells in regions.items()},
        {name: number[cells] for name, cells in surfaces.items()},
    )


def write(file: Path, points: np.ndarray, groups: dict[int, dict[str, np.ndarray]]) -> None:
    """Write discrete entities, one per named group, as MSH 4.1.

    Args:
        file: The .msh file.
        points: Shape (n, 3).
        groups: Cells by name, by dimension.
    """
    gmsh.model.add(file.stem)
    element_type = {2: TRIANGLE, 3: TETRAHEDRON}
    first = True
    tag = 0
    for dimension, named in groups.items():
        for name, cells in named.items():
            entity = gmsh.model.addDiscreteEntity(dimension)
            if first:  # gmsh keeps all nodes with one entity
                gmsh.model.mesh.addNodes(dimension, entity, range(1, len(points) + 1), points.ravel())
                first = False
            numbers = np.arange(tag + 1, tag + len(cells) + 1)
            tag += len(cells)
            gmsh.model.mesh.addElementsByType(
                entity, element_type[dimension], numbers, (cells + 1).ravel()
            )
            gmsh.model.addPhysicalGroup(dimension, [entity], name=name)
    gmsh.option.setNumber("Mesh.MshFileVersion", 4.1)
    gmsh.write(str(file))


def main() -> None:
    """Write the mesh beside this script."""
    file = Path(__file__).with_suffix(".msh")
    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        points, regions, surfaces = build()
        write(file, points, {3: regions, 2: surfaces})
    finally:
        gmsh.finalize()
    cells = {name: len(c) for name, c in regions.items()}
    print(f"{file.name}: {len(points)} points, {sum(cells.values())} cells {cells}")


if __name__ == "__main__":
    main()
