"""Built-in layered stacks, graded towards interfaces and against the shortest decay length."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skfem import MeshLine

from ..case.schema import Layer, Stack
from ..case.values import INSULATORS
from ..errors import CaseError
from ..units import LENGTH, Array
from .entities import MeshHex1, MeshQuad1, MeshTet1, MeshTri1, facet_corners
from .interfaces import find_interfaces, mesh_quality, outer_facets
from .model import Structure, pieces

__all__ = ["build_stack", "graded_cells", "layer_edges"]


_MESHES = {"line": MeshLine, "quad": MeshQuad1, "tri": MeshTri1, "hex": MeshHex1, "tet": MeshTet1}
_DEFAULT_CELL = {1: "line", 2: "quad", 3: "hex"}
_AXES = {1: (2,), 2: (0, 2), 3: (0, 1, 2)}
_FACES = {0: ("left", "right"), 1: ("front", "back"), 2: ("bottom", "top")}
_FEWEST = 8
_PER_DECAY = 18.0  # the default resolution, at which `growth` is meant
_MOST_CELLS = 5_000
_MOST_IN_TOTAL = 5_000_000
_INSULATOR_CELLS = 4


def graded_cells(thickness: float, decay: ArrayLike, per_decay: float, growth: float) -> Array:
    """Return cell sizes across a layer, finest at both ends, that add up to `thickness`.

    Cells grow away from the faces because what comes from there has decayed.  What oscillates
    more than it decays is resolved as far as it reaches.

    Args:
        thickness: Layer thickness [nm].
        decay: Lengths 1/lambda of solutions exp(lambda z) [nm]; complex where they oscillate.
        per_decay: Cells per length at the ends.
        growth: Ratio of neighbouring cells towards the middle; finer meshes grow more slowly,
            so that every cell shrinks in proportion.
    """
    growth = 1 + (growth - 1) * min(1.0, _PER_DECAY / per_decay)
    lengths = np.atleast_1d(decay)
    scales = np.abs(lengths)
    at_face = np.minimum(scales / per_decay, thickness / _FEWEST)
    # Diffusion alone never turns by more than 45 degrees over what it decays.
    slope = (growth - 1) * np.minimum(np.sqrt(2) * np.abs(lengths.real) / scales, 1.0)
    half: list[float] = []
    reach = 0.0
    while reach < thickness / 2 or not half:
        half.append(float((at_face + slope * reach).min()))
        reach += half[-1]
        if len(half) > _MOST_CELLS:
            raise CaseError(
                "structure.growth",
                f"the layer would have more than {2 * _MOST_CELLS} cells; allow more growth, fewer"
                f" cells_per_decay_length, or set cells (got {growth})",
            )
    sizes = np.array(half + half[::-1])
    found: Array = sizes * (thickness / sizes.sum())
    return found


def layer_edges(stack: Stack, kinds: Mapping[str, str]) -> Array:
    """Return the heights [nm] of the layer boundaries, shape (n_layers + 1,).

    z = 0 is the upper side of the topmost F layer, else of the topmost FI layer, else the
    bottom: F fills -ell_F < z < 0 under a heavy metal.
    """
    thickness = np.array([layer.thickness / LENGTH for layer in stack.layers])
    edges = np.concatenate([[0.0], np.cumsum(thickness)])
    for kind in ("F", "FI"):
        tops = [k for k, layer in enumerate(stack.layers) if kinds[layer.region] == kind]
        if tops:
            found: Array = edges - edges[tops[-1] + 1]
            return found
    return edges


def build_stack(stack: Stack, kinds: Mapping[str, str], decay_lengths: Mapping[str, ArrayLike]) -> Structure:
    """Return the meshed stack.

    Args:
        stack: The [structure] table.
        kinds: HM, F or FI of every region.
        decay_lengths: Lengths 1/lambda of the solutions exp(lambda z) in every conducting region
            [m], as `graded_cells` takes them.
    """
    edges = layer_edges(stack, kinds)
    cuts = [
        _layer_cuts(stack, layer, low, high, decay_lengths.get(layer.region))
        for layer, low, high in zip(stack.layers, edges[:-1], edges[1:], strict=True)
    ]
    z = np.concatenate([cuts[0], *(c[1:] for c in cuts[1:])])
    columns = {1: 1, 2: stack.cells_x, 3: stack.cells_x * stack.cells_y}[stack.dimension]
    total = columns * (len(z) - 1)
    if total > _MOST_IN_TOTAL:
        raise CaseError("structure.cells_x", f"the stack would have {total} cells (allowed {_MOST_IN_TOTAL})")
    axes = _AXES[stack.dimension]
    lateral = [
        np.linspace(0.0, (extent or 0.0) / LENGTH, cells + 1)
        for extent, cells in ((stack.width, stack.cells_x), (stack.depth, stack.cells_y))
    ][: stack.dimension - 1]
    mesh_type = _MESHES[stack.cell or _DEFAULT_CELL[stack.dimension]]
    mesh = mesh_type(z) if stack.dimension == 1 else mesh_type.init_tensor(*lateral, z)
    layer_of_cell = _layers(mesh, edges)
    # Upper layers first, so that among equals an interface is named upper|lower.
    regions = tuple(dict.fromkeys(layer.region for layer in reversed(stack.layers)))
    index = np.array([regions.index(layer.region) for layer in stack.layers], np.int16)
    region_of_cell = index[layer_of_cell]
    conducting = np.flatnonzero(
        np.isin(region_of_cell, [k for k, n in enumerate(regions) if kinds[n] not in INSULATORS])
    )
    _refuse_sandwich([layer.region for layer in stack.layers], kinds)
    _refuse_different_blocks(stack, kinds)
    periodic = stack.lateral == "periodic"
    return Structure(
        mesh=mesh,
        axes=axes,
        regions=regions,
        region_of_cell=region_of_cell,
        interfaces=find_interfaces(mesh, regions, region_of_cell, kinds),
        faces=_box_faces(mesh, axes, conducting),
        periods=tuple((k, float(np.ptp(c))) for k, c in enumerate(lateral)) if periodic else (),
        quality=mesh_quality(mesh),
    )


def _layers(mesh: Any, edges: Array) -> NDArray[np.int64]:
    """Return the layer in which the middle of every cell lies, shape (n_cells,)."""
    found = [
        np.searchsorted(edges, mesh.p[-1, mesh.t[:, cells]].mean(axis=0)) - 1
        for cells in pieces(mesh.nelements)
    ]
    return np.concatenate(found)


def _refuse_sandwich(names: list[str], kinds: Mapping[str, str]) -> None:
    """Refuse a stack in which one interface name would stand for two opposite directions."""
    pairs = list(pairwise(names))
    for one, other in pairs:
        conduct = not {kinds[one], kinds[other]} & set(INSULATORS)
        if conduct and one != other and (other, one) in pairs:
            raise CaseError(
                "structure.layers",
                f"{one} lies above and below {other}: currents through the two interfaces would"
                " add up under one name; give the two layers regions of different names",
            )


def _refuse_different_blocks(stack: Stack, kinds: Mapping[str, str]) -> None:
    """Refuse an F in places that differ: its parts, torques and conductances would be mixed."""
    found: dict[str, set[tuple[str | None, str | None, float]]] = {}
    blocks = [(name, list(own)) for name, own in groupby(stack.layers, lambda x: x.region)]
    names: list[str | None] = [None, *(name for name, _ in blocks), None]
    for k, (name, own) in enumerate(blocks):
        thickness = round(sum(layer.thickness for layer in own), 15)
        found.setdefault(name, set()).add((names[k], names[k + 2], thickness))
    for name, places in found.items():
        if kinds[name] == "F" and len(places) > 1:
            raise CaseError(
                "structure.layers",
                f"{name} stands in {len(places)} places of different thickness or between"
                " different neighbours, which one set of results cannot describe; give the layers"
                " regions of different names",
            )


def _layer_cuts(stack: Stack, layer: Layer, low: float, high: float, decay: ArrayLike | None) -> Array:
    if layer.cells is not None:
        return np.linspace(low, high, layer.cells + 1)
    if decay is None:
        return np.linspace(low, high, _INSULATOR_CELLS + 1)
    lengths = np.asarray(decay) / LENGTH
    sizes = graded_cells(high - low, lengths, stack.cells_per_decay_length, stack.growth)
    cuts = low + np.concatenate([[0.0], np.cumsum(sizes)])
    cuts[-1] = high  # neighbours must share this coordinate exactly
    return cuts


def _box_faces(
    mesh: MeshLine, axes: tuple[int, ...], conducting: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Return the outer facets of the conductors that lie in the planes of a box, by name."""
    outer = outer_facets(mesh, conducting)
    middle = mesh.p[:, facet_corners(mesh, outer)].mean(axis=1)
    touched = np.zeros(mesh.p.shape[1], bool)
    for row in mesh.t:
        touched[row[conducting]] = True
    inside = mesh.p[:, touched]
    faces = {}
    for row, axis in enumerate(axes):
        span = np.ptp(inside[row])
        for name, plane in zip(_FACES[axis], (inside[row].min(), inside[row].max()), strict=True):
            faces[name] = outer[np.abs(middle[row] - plane) < 1e-9 * span]
    return faces
