"""Transport around a magnetization texture, from a device."""

from __future__ import annotations

import numpy as np

from ...errors import CaseError
from ...fields.build import moment_direction, region_fields
from ...fields.region import RegionFields
from ...magnets.space import TextureSpace, region_space
from ...transport.assembly.boundary import FluxLaw
from ...transport.conditions import table_law
from ...transport.elements.space import outer_cells
from ...transport.system import TransportState
from ...units import Array
from ..model import Device
from .faces import FacetFace, facet_face
from .transport import TexturedTransport
from .weights import magnet_map

__all__ = ["exact_texture", "textured_transport"]


def textured_transport(
    device: Device,
    magnet: str,
    texture: TextureSpace | None = None,
    thickness_average: bool = False,
    refresh: int = 15,
) -> TexturedTransport:
    """Return the transport problem of a device for textures of one of its magnets.

    Args:
        device: The meshed problem.
        magnet: Region of the magnet: an FI, or an F with moments whose own texture moves.
        texture: Nodes of the magnet; by default those of the region.
        thickness_average: See `magnet_map`.
        refresh: Krylov iterations above which the next solution gets new factors.

    Raises:
        CaseError: If a layer of the device is replaced by its conductance, or the region is
            no magnet that a conductor touches.
    """
    for layer in device.reduced:
        raise CaseError(
            f"regions.{layer.name}.model",
            'must be "resolved" around a texture; the conductance'
            f" of a replaced layer is that of one direction (got {layer.form!r})",
        )
    nodes = texture or region_space(device.structure, magnet)
    followers = tuple(n for n in device.conductors if _follows(device, n))
    weights = magnet_map(
        device.space,
        nodes,
        magnet,
        device.conductors,
        followers,
        thickness_average,
        tuple(n for n, kind in device.kinds.items() if kind == "I"),
    )

    def fields_of(name: str, m: Array) -> RegionFields:
        return region_fields(device.parameters[name], device.conditions, m)

    def law_of(name: str, m: Array) -> FluxLaw:
        return table_law(device.flux_tables[name], m)

    faces = tuple(_face(device, face.name) for face in device.problem.boundary.flux)
    return TexturedTransport(
        device.problem, weights, faces, fields_of, law_of, device.direction, device.conductors, refresh
    )


def _follows(device: Device, name: str) -> bool:
    """Return whether a region is an F whose moments follow the magnetization, not the field."""
    parameters = device.parameters[name]
    ways = (moment_direction(parameters, device.conditions, v) for v in np.eye(3))
    return parameters.region.kind == "F" and bool(np.array_equal(list(ways), np.eye(3)))


def _face(device: Device, name: str) -> FacetFace:
    structure = device.structure
    known = structure.interfaces.get(name)
    if known is not None:
        return facet_face(device.space, name, known.facets, known.cells_first)
    facets = structure.faces[name]
    return facet_face(device.space, name, facets, outer_cells(device.space, facets))


def exact_texture(device: Device, coupled: TexturedTransport, m: Array) -> TransportState:
    """Return the state around a texture, refined to the solver's full precision.

    What `transport_of` turns into interface currents and their parts.

    Args:
        device: The meshed problem.
        coupled: Its transport problem for textures.
        m: Directions of the nodes, shape (n, 3).

    Raises:
        CaseError: If a face with a flux law touches the magnet: the law of a state is one for
            all of its face.
    """
    touching = sorted(set(coupled.map.faces) & set(device.flux_tables))
    if touching:
        raise CaseError(
            f"interfaces.{touching[0]}",
            "has a flux law that varies with the texture; only TexturedTransport.solve takes it into account",
        )
    return device.problem.solve(coupled.fields(m), device.laws(device.direction))
