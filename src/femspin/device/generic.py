"""A state that solves nothing but has every kind of number, for names and warnings."""

from __future__ import annotations

import numpy as np

from ..transport.linear.solve import LinearReport
from ..transport.system import TransportState
from .model import Device, Transport
from .steady import transport_of

__all__ = ["generic_transport"]


def generic_transport(device: Device) -> Transport:
    """Return currents of random potentials: all numbers that a solution can have, without one."""
    generic = np.random.default_rng(0).normal(size=(2, device.space.n_dofs, 4))
    # What a current along the layers reports needs one: the charge potential falls in the plane.
    plane = [row for row, axis in enumerate(device.space.structure.axes) if axis < 2]
    generic[0, :, 0] *= 1e-6
    generic[0, :, 0] += device.space.locations[plane].sum(axis=0)
    fields, laws = device.fields(device.direction), device.laws(device.direction)
    report = LinearReport("none", 0, 0, 0.0, 0.0)
    state = TransportState(generic[0], 0 * generic[1], device.problem.scaled(fields), {}, laws, report)
    return transport_of(device, device.direction, fields, state)
