"""Write hall_bar.msh: a Pt Hall bar with a magnetic film under its crossing.

    python hall_bar.py

needs gmsh (``pip install "femspin[mesh]"``).  Lengths are in nanometres; z points from the
insulator to the heavy metal, and z = 0 is the interface of Pt and F::

        y                                z
        |      probe_left                |   ________________   5
        |         |  |                   |  |       Pt       |
        |   ______|  |______             |  |______....______|  0
        |  |      :  :      |            |       | F  |        -0.8
        |  |source:  : drain|            |       |YIG |
        |  |______:__:______|            |       |____|        -6.8
        |         |  |                   |
        |     probe_right                |
        +------------------- x           +------------------- x

A plane triangulation, finer around the crossing, is extruded layer by layer and every prism cut
into three tetrahedra.  The mesh of one quarter is mirrored in x = 0 and y = 0, so that both probes
see the same mesh: without a Hall effect there is no voltage between them, where an unsymmetric
mesh of this size shows one as large as the Hall voltage of the case.
"""

from __future__ import annotations

from pathlib import Path

import gmsh
import numpy as np

LENGTH, WIDTH = 200.0, 40.0  # the bar, along x and y
ARM_WIDTH, ARM_LENGTH = 20.0, 30.0  # one arm on either side
PAD = 40.0  # side of the square film of F and YIG under the crossing
FINE, COARSE = 8.0, 14.0  # lateral mesh sizes around the crossing and at the ends

# Heights of the cell layers, thin where spin accumulates.
CUTS = {"Pt": (0.0, 0.6, 1.6, 3.4, 4.4, 5.0), "F": (-0.8, -0.6, -0.2, 0.0), "YIG": (-6.8, -2.8, -0.8)}
ENDS = {  # axis and place of the electrodes
    "source": (0, -LENGTH / 2),
    "drain": (0, LENGTH / 2),
    "probe_left": (1, WIDTH / 2 + ARM_LENGTH),
    "probe_right": (1, -WIDTH / 2 - ARM_LENGTH),
}
TRIANGLE, TETRAHEDRON = 2, 4  # gmsh's numbers of the element types


def quarter() -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, 2) and triangles (m, 3) of the quarter x > 0, y > 0."""
    x, y = LENGTH / 2, WIDTH / 2
    pad, arm, end = PAD / 2, ARM_WIDTH / 2, WIDTH / 2 + ARM_LENGTH
    corners = {
        "a": (0, 0, FINE),
        "b": (pad, 0, FINE),
        "c": (x, 0, COARSE),
        "d": (x, y, COARSE),
        "e": (pad, y, FINE),
        "f": (arm, y, FINE),
        "g": (arm, end, COARSE),
        "h": (0, end, COARSE),
        "i": (0, y, FINE),
    }
    geo = gmsh.model.geo
    point = {name: geo.addPoint(u, v, 0, size) for name, (u, v, size) in corners.items()}
    line: dict[str, int] = {}
    for loop in ("abefi", "bcde", "ifgh"):
        sides = [p + q for p, q in zip(loop, loop[1:] + loop[0], strict=True)]
        for p, q in sides:
            if p + q not in line:
                line[p + q] = geo.addLine(point[p], point[q])
                line[q + p] = -line[p + q]
        geo.addPlaneSurface([geo.addCurveLoop([line[side] for side in sides])])
    geo.synchronize()
    gmsh.model.mesh.generate(2)
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    _, triangles = gmsh.model.mesh.getElementsByType(TRIANGLE)
    row = np.zeros(int(tags.max()) + 1, int)
    row[tags] = np.arange(len(tags))
    return coordinates.reshape(-1, 3)[:, :2], row[triangles].reshape(-1, 3)


def mirrored(
    points: np.ndarray, triangles: np.ndarray, rank: np.ndarray, axis: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, triangles and ranks with their mirror images across the plane axis = 0."""
    n = len(points)
    off_plane = np.flatnonzero(np.abs(points[:, axis]) > 1e-9)
    image = np.arange(n)
    image[off_plane] = n + np.arange(len(off_plane))
    flip = np.where(np.arange(2) == axis, -1.0, 1.0)
    return (
        np.vstack([points, points[off_plane] * flip]),
        np.vstack([triangles, image[triangles]]),
        np.concatenate([rank, rank[off_plane]]),
    )


def whole() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, triangles and ranks of the whole plane mesh."""
    points, triangles = quarter()
    half = mirrored(points, triangles, np.arange(len(points)), axis=0)
    return mirrored(*half, axis=1)


def tetrahedra(triangles: np.ndarray, rank: np.ndarray, n: int, levels: np.ndarray) -> np.ndarray:
    """Return the tetrahedra of extruded triangles; point p of level k has number p + k n.

    Every side of a prism is cut along the diagonal that starts at the bottom of its column of
    lower rank, so neighbours agree.
    """
    a, b, c = np.take_along_axis(triangles, np.argsort(rank[triangles], axis=1), axis=1).T
    prisms = [(a + k * n, b + k * n, c + k * n) for k in levels[:-1]]
    return np.vstack(
        [
            np.column_stack(corners)
            for a, b, c in prisms
            for corners in ((a, b, c, c + n), (a, b, b + n, c + n), (a, a + n, b + n, c + n))
        ]
    )


def faces(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the faces of tetrahedra, corners ascending, and how many cells own each."""
    corners = np.vstack([np.delete(cells, k, axis=1) for k in range(4)])
    return np.unique(np.sort(corners, axis=1), axis=0, return_counts=True)


def common(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the faces that two groups of cells share."""
    both = np.vstack([faces(first)[0], faces(second)[0]])
    unique, owners = np.unique(both, axis=0, return_counts=True)
    return unique[owners == 2]


def positive(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the cells with positive volume: two corners are swapped where it is negative."""
    a, b, c, d = (points[cells[:, k]] for k in range(4))
    negative = np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) < 0
    return np.where(negative[:, None], cells[:, [1, 0, 2, 3]], cells)


def build() -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return points (n, 3), the cells of every region and the triangles of every surface."""
    plane, triangles, rank = whole()
    under = triangles[(np.abs(plane[triangles].mean(axis=1)) < PAD / 2).all(axis=1)]
    heights = np.unique(np.concatenate(list(CUTS.values())))
    n = len(plane)
    points = np.column_stack([np.tile(plane, (len(heights), 1)), np.repeat(heights, n)])
    regions = {
        name: tetrahedra(triangles if name == "Pt" else under, rank, n, np.searchsorted(heights, cuts))
        for name, cuts in CUTS.items()
    }
    used, flat = np.unique(np.vstack(list(regions.values())), return_inverse=True)
    points = points[used]  # there are none below the bare arms
    pieces = np.split(flat.reshape(-1, 4), np.cumsum([len(c) for c in regions.values()])[:-1])
    regions = {n: positive(points, c) for n, c in zip(regions, pieces, strict=True)}
    surfaces = {"Pt|F": common(regions["Pt"], regions["F"]), "F|YIG": common(regions["F"], regions["YIG"])}
    corners, owners = faces(regions["Pt"])
    outer = corners[owners == 1]
    for name, (axis, place) in ENDS.items():
        surfaces[name] = outer[np.all(np.abs(points[outer, axis] - place) < 1e-9, axis=1)]
    return points, regions, surfaces


def write(
    file: Path, points: np.ndarray, regions: dict[str, np.ndarray], surfaces: dict[str, np.ndarray]
) -> None:
    """Write MSH 4.1 with one physical group per region and surface."""
    gmsh.model.add(file.stem)
    entities = []
    for dimension, groups in ((3, regions), (2, surfaces)):
        for name, cells in groups.items():
            entities.append((gmsh.model.addDiscreteEntity(dimension), dimension, cells))
            gmsh.model.addPhysicalGroup(dimension, [entities[-1][0]], name=name)
    gmsh.model.mesh.addNodes(3, entities[0][0], np.arange(1, len(points) + 1), points.ravel())
    for entity, dimension, cells in entities:
        kind = TETRAHEDRON if dimension == 3 else TRIANGLE
        gmsh.model.mesh.addElementsByType(entity, kind, [], (cells + 1).ravel())
    gmsh.model.mesh.reclassifyNodes()
    gmsh.option.setNumber("Mesh.MshFileVersion", 4.1)
    gmsh.write(str(file))


def main() -> None:
    """Write the mesh beside this script."""
    file = Path(__file__).with_suffix(".msh")
    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        points, regions, surfaces = build()
        write(file, points, regions, surfaces)
    finally:
        gmsh.finalize()
    cells = {name: len(c) for name, c in regions.items()}
    print(f"{file.name}: {len(points)} points, {sum(cells.values())} cells {cells}")


if __name__ == "__main__":
    main()
