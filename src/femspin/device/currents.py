"""The currents of a state through every interface and outer face of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..interface.currents import (
    InterfaceCurrents,
    face_source,
    interface_currents,
    outer_currents,
    outer_faces,
)
from ..transport.harmonic import HarmonicState
from ..transport.system import TransportState
from ..units import Array

if TYPE_CHECKING:
    from .model import Device
__all__ = ["device_currents"]


def device_currents(
    device: Device, state: TransportState | HarmonicState, mu_dot: Array | None = None
) -> dict[str, InterfaceCurrents]:
    """Return the currents through every interface of a conductor and every open outer face.

    Args:
        device: The problem.
        state: Solved transport, as for `interface_currents`.
        mu_dot: As for `interface_currents`.
    """
    space, share, kinds = device.space, device.share, device.kinds
    found = {
        name: interface_currents(
            space, state, share, face, device.conductors, kinds[face.second] == "F", mu_dot
        )
        for name, face in device.structure.interfaces.items()
        if face.first in device.conductors
    }
    electrodes = {e.name for e in device.problem.boundary.electrodes}
    replaced = {layer.face for layer in device.reduced}
    for name, regions in outer_faces(space, share).items():
        if name not in replaced:
            found[name] = outer_currents(
                space, state, share, name, face_source(regions, kinds), name in electrodes, mu_dot
            )
    return found
