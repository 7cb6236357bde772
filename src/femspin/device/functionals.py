"""Reported numbers that are affine in the potentials, as functionals of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..interface.currents import Share, exchange, face_source, outer_faces
from ..interface.functionals import (
    Functional,
    current_functionals,
    electrode_functionals,
    interface_functionals,
    outer_functionals,
)
from ..transport.elements.orders import prolongation
from ..units import Array
from .model import Device, Transport

__all__ = ["device_functionals"]


def device_functionals(
    device: Device, transport: Transport, coarse: Device | None = None
) -> dict[str, Functional]:
    """Return every output of a solution that is affine in mu, by its name in the result.

    Args:
        device: The problem.
        transport: Its solution.
        coarse: The same device with elements of a lower order, whose test functions then weigh
            the residual at faces: the currents as the lower order defines them, with adjoints
            that are smooth up to the face.
    """
    space, state = device.space, transport.state
    share, traces = _lifted(device, coarse)
    found: list[Functional] = []
    for name in transport.interfaces:
        face = device.structure.interfaces.get(name)
        if face is None or not {face.first, face.second} & set(device.conductors):
            continue  # of a reduced layer: its flux law is no residual
        split = device.kinds[face.second] == "F"
        found += interface_functionals(space, state, share, face, device.conductors, split)
    for name, regions in outer_faces(space, share).items():
        if name in transport.interfaces:
            source = face_source(regions, device.kinds)
            found += outer_functionals(space, state, share, name, regions, source)
    for name in device.conductors:
        found += current_functionals(space, state, name)
    electrodes = device.problem.boundary.electrodes
    found += electrode_functionals(
        space, state, electrodes, traces, exchange(space, device.problem.boundary.contacts)
    )
    return {f.path: f for f in found}


def _lifted(device: Device, coarse: Device | None) -> tuple[Mapping[str, Share], dict[str, Array] | None]:
    """Return the shares and electrode traces, those of a lower order interpolated."""
    if coarse is None:
        return device.share, None
    lift = prolongation(coarse.space, device.space)
    share = {
        name: replace(
            device.share[name],
            weights={face: lift @ w for face, w in s.weights.items()},
            electrode=lift @ s.electrode,
        )
        for name, s in coarse.share.items()
    }
    traces = {}
    for face in coarse.problem.boundary.electrodes:
        one = np.zeros(coarse.space.n_dofs)
        one[face.dofs] = 1.0
        traces[face.name] = lift @ one
    return share, traces
