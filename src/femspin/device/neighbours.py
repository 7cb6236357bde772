"""Which regions touch, layers replaced by a face included; which metals drive a magnet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..structure.model import cell_volumes
from ..structure.sides import Facets, Footprint, footprint, side_area
from ..transport.elements.space import outer_cells
from ..units import LENGTH, AnyArray

if TYPE_CHECKING:
    from .model import Device

__all__ = [
    "Neighbours",
    "driving_metals",
    "far_side",
    "footprints",
    "interface_footprint",
    "magnet_area",
    "magnet_thickness",
    "neighbours",
]

Pair = tuple[str, str]


@dataclass(frozen=True)
class Neighbours:
    """Two regions that touch, by way of the mesh or of a face that stands for one of them.

    Args:
        first: As in the names of interfaces.
        second: The other one.
        face: Name of the face in the mesh.
        facets: Its facets, shape (n,).
        cells: The mesh cell of the first side at each facet, shape (n,).
    """

    first: str
    second: str
    face: str
    facets: AnyArray
    cells: AnyArray

    @property
    def pair(self) -> Pair:
        """The names of the two regions."""
        return self.first, self.second


def neighbours(device: Device) -> tuple[Neighbours, ...]:
    """Return all pairs of regions that touch.

    A face that stands for a replaced layer is no interface of the regions that it separates in
    the mesh: the layer touches both.
    """
    structure = device.structure
    replaced = {layer.face: layer for layer in device.reduced}
    found = []
    for face in structure.interfaces.values():
        layer = replaced.pop(face.name, None)
        pairs = [(face.first, face.second)]
        if layer is not None and layer.magnet is not None:
            pairs = [(layer.metal, layer.name), (layer.name, layer.magnet)]
        found += [Neighbours(a, b, face.name, face.facets, face.cells_first) for a, b in pairs]
    for layer in replaced.values():
        facets = structure.faces[layer.face]
        cells = outer_cells(device.space, facets)
        found.append(Neighbours(layer.metal, layer.name, layer.face, facets, cells))
    return tuple(found)


def driving_metals(
    magnet: str, kinds: Mapping[str, str], pairs: Collection[Pair]
) -> dict[str, tuple[str, ...]]:
    """Return the metals whose currents drive a magnet, with the regions they end at towards it.

    These are the HM regions that touch it, or touch it through F regions alone; without any, the
    F regions that touch it; without these, there is none.

    Args:
        magnet: F or FI region.
        kinds: Kind of every region.
        pairs: Regions that touch.
    """
    found: dict[str, tuple[str, ...]] = {}
    level, seen = [magnet], {magnet}
    while level:
        ends: dict[str, tuple[str, ...]] = {}
        following: list[str] = []
        for region in level:
            for other in _touching(region, pairs):
                if kinds[other] == "HM" and other not in found:
                    ends[other] = (*ends.get(other, ()), region)
                elif kinds[other] == "F" and other not in seen:
                    seen.add(other)
                    following.append(other)
        found |= ends
        level = following
    if found:
        return found
    return {other: (magnet,) for other in _touching(magnet, pairs) if kinds[other] == "F"}


def far_side(interface: Pair, kinds: Mapping[str, str], pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Return the conductors that spin can reach through an interface without turning back.

    Args:
        interface: The regions it comes from and goes to.
        kinds: Kind of every region.
        pairs: Regions that touch.
    """
    start, goal = interface
    pairs, found = list(pairs), [goal]
    for region in found:
        found += [
            other
            for other in _touching(region, pairs)
            if kinds[other] in ("HM", "F") and other not in (*found, start)
        ]
    return tuple(found)


def _touching(region: str, pairs: Iterable[Pair]) -> list[str]:
    found = [b if a == region else a for a, b in pairs if region in (a, b)]
    return list(dict.fromkeys(found))


def _towards(device: Device, region: str, others: Collection[str]) -> Facets | None:
    """Return the facets of a region with some others, normals towards the region; None if none."""
    parts = []
    for n in neighbours(device):
        if region not in n.pair or not {n.first, n.second} - {region} <= set(others):
            continue
        facets = Facets.of(device.structure, n.facets, n.cells)
        parts.append(facets if n.second == region else facets.turned)
    return Facets.joined(parts) if parts else None


def magnet_area(device: Device, magnet: str) -> float:
    """Return the area of a magnet to which torques per area refer [nm^2, nm or 1].

    That of its interfaces with conductors, of the larger side where it has two; without any, of
    those with insulators, and of a region alone its volume over its extent along z.
    """
    structure, kinds = device.structure, device.kinds
    key = ("area", magnet)
    if key not in structure.kept_sides:
        touching = _touching(magnet, [n.pair for n in neighbours(device)])
        conducting = [n for n in touching if kinds[n] in ("HM", "F")]
        facets = _towards(device, magnet, conducting or touching)
        area = structure.lateral_area(magnet) if facets is None else side_area(structure, facets)
        structure.kept_sides[key] = area
    return float(structure.kept_sides[key])


def magnet_thickness(device: Device, magnet: str) -> float:
    """Return the volume of a magnet over its `magnet_area` [m]."""
    structure = device.structure
    volume = np.abs(cell_volumes(structure.mesh, structure.cells(magnet))).sum()
    return float(volume / magnet_area(device, magnet)) * LENGTH


def footprints(device: Device, magnet: str) -> dict[str, Footprint | None]:
    """Return the part of each driving metal over or under a magnet.

    None stands for the magnet itself, where no other conductor carries a current beside it.
    """
    structure, kinds = device.structure, device.kinds
    key = ("footprints", magnet)
    if key not in structure.kept_sides:
        every = neighbours(device)
        open_ones = [n.pair for n in every if _passes_spin(device, n)]
        metals = driving_metals(magnet, kinds, open_ones)
        metals = metals or driving_metals(magnet, kinds, [n.pair for n in every])
        found: dict[str, Footprint | None] = {}
        for metal, ends in metals.items():
            found[metal] = _footprint(device, magnet, metal, ends)
        if not found and magnet in device.conductors:
            found[magnet] = None
        structure.kept_sides[key] = found
    kept: dict[str, Footprint | None] = structure.kept_sides[key]
    return kept


def interface_footprint(device: Device, name: str) -> Footprint:
    """Return the part of the first region of an interface over or under it.

    Its normals point into the second region.

    Args:
        device: The problem.
        name: ``first|second``, also of a layer replaced by a face.
    """
    key = ("interface", name)
    structure = device.structure
    if key not in structure.kept_sides:
        first, second = name.split("|")
        structure.kept_sides[key] = _footprint(device, second, first, (second,))
    kept: Footprint = structure.kept_sides[key]
    return kept


def _passes_spin(device: Device, n: Neighbours) -> bool:
    """Return whether spin reaches an insulator from a metal; between conductors it may."""
    boundary = device.problem.boundary
    named = {f.name for f in boundary.flux} | {f.name for f in boundary.potential}
    return device.kinds[n.second] in ("HM", "F") or device.kinds[n.first] == "F" or n.face in named


def _footprint(device: Device, magnet: str, metal: str, ends: Collection[str]) -> Footprint:
    border = _towards(device, metal, ends)
    assert border is not None
    border = border.turned  # from the metal to the magnet
    own = None
    if magnet not in ends:
        between = [n for n, kind in device.kinds.items() if kind == "F"]
        own = _towards(device, magnet, between)
    whole = device.case.structure is not None  # layers of a stack all have one outline
    return footprint(device.structure, metal, border, own, whole)
