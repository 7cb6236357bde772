"""What a gmsh mesh consists of: shapes of cells, blocks of cells, the file as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..units import AnyArray

__all__ = ["CORNERS", "DIMENSION", "SHAPE", "TYPES", "BadMeshError", "Block", "MshFile"]


DIMENSION = {"point": 0, "line": 1, "triangle": 2, "quad": 2}


CORNERS = {
    "point": 1,
    "line": 2,
    "triangle": 3,
    "quad": 4,
    "tetra": 4,
    "hexahedron": 8,
    "prism": 6,
    "pyramid": 5,
}


# Element types by shape: type of gmsh and number of nodes; corners come first in all of them.
TYPES = {
    "point": {15: 1},
    "line": {1: 2, 8: 3, 26: 4, 27: 5, 28: 6, 62: 7, 63: 8, 64: 9, 65: 10, 66: 11},
    "triangle": {
        2: 3,
        9: 6,
        20: 9,
        21: 10,
        22: 12,
        23: 15,
        24: 15,
        25: 21,
        42: 28,
        43: 36,
        44: 45,
        45: 55,
        46: 66,
    },
    "quad": {
        3: 4,
        10: 9,
        16: 8,
        36: 16,
        37: 25,
        38: 36,
        39: 12,
        40: 16,
        41: 20,
        47: 49,
        48: 64,
        49: 81,
        50: 100,
        51: 121,
    },
    "tetra": {4: 4, 11: 10, 29: 20, 30: 35, 31: 56, 71: 84, 72: 120, 73: 165, 74: 220, 75: 286},
    "hexahedron": {5: 8, 12: 27, 17: 20, 92: 64, 93: 125, 94: 216, 95: 343, 96: 512, 97: 729, 98: 1000},
    "prism": {6: 6, 13: 18, 18: 15, 90: 40, 91: 75},
    "pyramid": {7: 5, 14: 14, 19: 13, 118: 30, 119: 55},
}


SHAPE = {kind: (shape, n) for shape, kinds in TYPES.items() for kind, n in kinds.items()}


class BadMeshError(Exception):
    """The file is no mesh that can be read; the text says why."""


@dataclass(frozen=True)
class Block:
    """Elements of one type that are in the same groups.

    Args:
        shape: point, line, triangle, quad, tetra, hexahedron, prism or pyramid.
        nodes: Rows of the points of each element, corners first, shape (n, nodes).
        groups: Numbers of the physical groups of its dimension.
    """

    shape: str
    nodes: AnyArray
    groups: tuple[int, ...]

    @property
    def dimension(self) -> int:
        """Dimension of the elements."""
        return DIMENSION.get(self.shape, 3)

    @property
    def corners(self) -> AnyArray:
        """The corner nodes, shape (n, corners)."""
        return self.nodes[:, : CORNERS[self.shape]]

    @property
    def curved(self) -> bool:
        """Whether the elements have nodes besides their corners."""
        return bool(self.nodes.shape[1] > CORNERS[self.shape])


@dataclass
class MshFile:
    """The content of a file.

    Args:
        version: Of the format, such as 4.1.
        points: Coordinates, shape (n, 3).
        blocks: All elements.
        names: Of physical groups, by dimension and number.
    """

    version: float = 0.0
    points: AnyArray = field(default_factory=lambda: np.zeros((0, 3)))
    blocks: list[Block] = field(default_factory=list)
    names: dict[tuple[int, int], str] = field(default_factory=dict)
