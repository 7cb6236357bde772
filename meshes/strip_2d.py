"""Write strip_2d.msh: the cross-section of a Pt | F | YIG strip, drawn in the plane of gmsh.

    python strip_2d.py

needs gmsh (``pip install "femspin[mesh]"``).  Lengths are in nanometres.  The second coordinate
of a plane mesh is the growth direction z; z = 0 is the interface of Pt and F::

          z
        5 |  ____________
          | |     Pt     |
    left  0 |____________| right
          | |     F      |
       -1 | |____________|
          | |    YIG     |
       -5 | |____________|
          +--------------------- x
            0            40

``left`` and ``right`` are the sides of Pt.
"""

from __future__ import annotations

from pathlib import Path

import gmsh

WIDTH, CELLS = 40.0, 10
BOTTOM = -5.0
LAYERS = {  # from the bottom: thickness, and the tops of its rows of cells as fractions
    "YIG": (4.0, [0.5, 1.0]),
    "F": (1.0, [0.25, 0.5, 0.75, 1.0]),
    "Pt": (5.0, [0.1, 0.3, 0.7, 0.9, 1.0]),
}


def build() -> None:
    """Fill the current model: a line extruded upwards, one region after the other."""
    geo = gmsh.model.geo
    line = geo.addLine(geo.addPoint(0, BOTTOM, 0), geo.addPoint(WIDTH, BOTTOM, 0))
    geo.mesh.setTransfiniteCurve(line, CELLS + 1)
    groups = []
    below = None
    for name, (thickness, tops) in LAYERS.items():
        if below is not None:
            groups.append((1, line, f"{name}|{below}"))
        # Extrusion returns the upper line, the surface, and its two sides.
        upper, surface, *sides = geo.extrude(
            [(1, line)], 0, thickness, 0, numElements=[1] * len(tops), heights=tops
        )
        groups.append((2, surface[1], name))
        line, below = upper[1], name
    geo.synchronize()
    for dimension, side in sides:  # of the uppermost region
        x = gmsh.model.getBoundingBox(dimension, abs(side))[0]
        groups.append((dimension, abs(side), "left" if x < WIDTH / 2 else "right"))
    for dimension, entity, name in groups:
        gmsh.model.addPhysicalGroup(dimension, [entity], name=name)
    gmsh.model.mesh.generate(2)


def main() -> None:
    """Write the mesh beside this script."""
    file = Path(__file__).with_suffix(".msh")
    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    try:
        build()
        gmsh.option.setNumber("Mesh.MshFileVersion", 4.1)
        gmsh.write(str(file))
        nodes, _, _ = gmsh.model.mesh.getNodes()
        triangles, _ = gmsh.model.mesh.getElementsByType(2)
    finally:
        gmsh.finalize()
    print(f"{file.name}: {len(nodes)} points, {len(triangles)} cells")


if __name__ == "__main__":
    main()
