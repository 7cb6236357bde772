"""The steady solution of a meshed problem for one direction of the magnetization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..fields.region import RegionFields
from ..interface.currents import balanced, face_mean, require_balance
from ..interface.reduced import reduced_parts
from ..transport.system import TransportState
from ..units import ENERGY, FLUX, Array
from .currents import device_currents
from .layered import exact_transport
from .model import Device, Transport

__all__ = ["balanced_transport", "solve_transport", "transport_of", "with_reduced"]


def solve_transport(
    device: Device, m: Array, guess: Transport | None = None, rough: bool = False
) -> Transport:
    """Return potentials and interface currents for the magnetization direction `m`.

    Args:
        device: The problem.
        m: Unit vector, shape (3,).
        guess: An earlier solution to start an iterative solver from.
        rough: Whether currents that miss their parts will do.

    Raises:
        SolverError: If the linear solver does not reach its tolerance, or parts do not balance.
    """
    transport = _solved(device, m, guess)
    return transport if rough else balanced_transport(device, transport)


def _solved(device: Device, m: Array, guess: Transport | None) -> Transport:
    if device.case.solver.method == "stack":
        return with_reduced(device, exact_transport(device, m))
    fields = device.fields(m)
    state = device.problem.solve(fields, device.laws(m), None if guess is None else guess.state.mu)
    return transport_of(device, m, fields, state)


def balanced_transport(device: Device, transport: Transport) -> Transport:
    """Return the transport as it is.

    Raises:
        SolverError: If the parts of a spin current do not add up to it.
    """
    require_balance(device.space, transport.state, transport.interfaces)
    return transport


def transport_of(
    device: Device, m: Array, fields: Mapping[str, RegionFields], state: TransportState
) -> Transport:
    """Return the currents that a state means, whether or not it solves the equations."""
    currents = device_currents(device, state)
    return with_reduced(device, Transport(m, fields, state, currents))


def with_reduced(device: Device, transport: Transport) -> Transport:
    """Return the transport with the currents of reduced layers under their own names."""
    if not device.reduced:
        return transport
    interfaces, fields = dict(transport.interfaces), {}
    for layer in device.reduced:
        fields[layer.name] = f = device.region_fields(layer.name, transport.m)
        area, mu = face_mean(device.space, transport.state.mu, layer.face)
        law = transport.state.laws[layer.face]
        # A face with a flux law carries exactly that flux in the weak form; charge is blocked.
        flux = np.concatenate([[0.0], law.conductance @ mu[1:] + law.drift])
        parts = reduced_parts(
            f,
            layer.thickness,
            layer.form,
            mu[1:] * ENERGY,
            device.below(layer, transport.m),
            device.spin_orbit(layer),
        )
        scaled = {name: value / FLUX for name, value in parts.items()}
        interfaces.pop(layer.face, None)
        interfaces[layer.interface] = balanced(layer.interface, area, flux, layer.name, scaled)
    return replace(transport, interfaces=interfaces, reduced_fields=fields)
