"""What becomes of the spin current at an interface: what arrives, what reaches moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dual import as_array
from ...fields.region import RegionFields
from ...interface.split import cell_integrals, flux_density
from ...units import E_CHARGE, FLUX, SPIN_CURRENT, SPIN_CURRENT_UNIT, Array
from ..neighbours import far_side, interface_footprint, neighbours
from .fluxes import moment_flux, round_off
from .quantity import Measure, measured
from .torques import left_out

if TYPE_CHECKING:
    from ..model import Device, Transport

__all__ = [
    "InterfaceLoss",
    "bulk_spin_current",
    "interface_loss",
    "is_inner",
    "loss_entry",
    "spin_memory_loss",
    "spin_transparency",
    "transparency",
]

_FATE = {
    "absorbed_by_moments": Measure(SPIN_CURRENT_UNIT, "spin current J{} absorbed by moments", "behind"),
    "spin_memory_loss": Measure("", "spin memory loss", "at"),
    "equivalent_delta": Measure("", "equivalent delta", "at"),
}


_NO_LOSS = 1e-12  # share of a current that is round-off of it


@dataclass(frozen=True)
class InterfaceLoss:
    r"""Fate of the spin current that enters an F region through an interface.

    Args:
        incoming: e J^a into F [A/m^2], shape (3,).
        absorbed: The part handed to moments behind the interface, same unit: the M parts that
            are torque on local moments of F and of the conductors it leads to (in the spin
            frame of the carriers, before the rotation R), and what enters FI regions there.
        lost: 1 - absorbed along the incoming direction, over incoming; None if nothing comes
            in.  It can leave [0, 1] where F, or what lies behind it, makes spins of its own.
        delta: Thickness over spin diffusion length of the lossy layer in front of a perfect
            sink that loses as much, :math:`J_M/J_{in} = 1/\cosh\delta`; None if none does.
        missing: Why there is no loss, or None.
    """

    incoming: Array
    absorbed: Array
    lost: float | None
    delta: float | None
    missing: str | None = None


def spin_memory_loss(device: Device, transport: Transport, interface: str) -> InterfaceLoss:
    """Return how much of the spin current into an F region never reaches moments.

    Moments count wherever they lie behind the interface: in the F region, in an FI region beside
    it, and in all that the spin reaches from there without coming back.

    Args:
        device: The problem.
        transport: Its solution.
        interface: Name of an interface whose second region is F.

    Raises:
        ValueError: If the second region is no F.
    """
    currents = transport.interfaces[interface]
    if currents.source is None or not is_inner(device, interface):
        raise ValueError(f"{interface}: its second region is no F, so nothing is split there")
    absorbed = -handed_to_moments(device, transport, interface) / currents.area
    return interface_loss(-currents.flux[1:] * FLUX, absorbed * FLUX, round_off(device, transport))


def interface_loss(incoming: Array, absorbed: Array, least: float) -> InterfaceLoss:
    """Return the fate of a spin flux [1/(m^2 s)], without a loss where it is round-off.

    Args:
        incoming: What enters, shape (3,).
        absorbed: What moments absorb, shape (3,).
        least: Size below which a flux is round-off.
    """
    size = np.linalg.norm(incoming)
    lost: Any = None
    delta: Any = None
    missing = None
    if size <= least:
        missing = "no spin current enters"
    else:
        lost = 1 - absorbed @ incoming / size**2
        if abs(lost) <= _NO_LOSS:
            delta = 0.0  # the root of round-off is none
        elif 0 <= lost < 1:
            delta = np.arccosh(1 / (1 - lost))
    return InterfaceLoss(incoming * E_CHARGE, absorbed * E_CHARGE, lost, delta, missing)


def is_inner(device: Device, name: str) -> bool:
    """Return whether currents of this name cross an interface, not an outer face."""
    return name in device.structure.interfaces or any(x.interface == name for x in device.reduced)


def handed_to_moments(device: Device, transport: Transport, interface: str) -> Array:
    """Return the flux that leaves moments behind an interface [1/ps per unit], shape (3,).

    In the spin frame of the carriers, and negative where moments absorb spin, like M.
    """
    pairs = [n.pair for n in neighbours(device)]
    start, goal = interface.split("|")
    behind = far_side((start, goal), device.kinds, pairs)
    replaced = {layer.name: layer for layer in device.reduced}
    total = np.zeros(3)
    for region in behind:
        if region in replaced:
            layer = replaced[region]
            currents = transport.interfaces[layer.interface]
            into = layer.magnet is not None and device.kinds[layer.magnet] == "FI"
            total += (currents.parts["moments"] + into * currents.parts["B"]) * currents.area
        else:
            total += moment_flux(device, transport, region)
    faces = {layer.face for layer in device.reduced}
    for name, face in device.structure.interfaces.items():
        if face.first in behind and device.kinds[face.second] == "FI" and name not in faces:
            total += transport.interfaces[name].flux[1:] * face.area
    return total


def spin_transparency(device: Device, transport: Transport, interface: str) -> float | None:
    """Return |e J| at an interface over the bulk spin Hall current of its first region.

    The bulk value is that of `bulk_spin_current` for the current along the interface in the
    part of the region over or under it; None if the region has no spin Hall effect or no
    current.

    References:
        Pai et al., PRB 92, 064426 (2015).
    """
    metal, part = _metal(interface), interface_footprint(device, interface)
    c = transport.state.coefficients[metal]
    integrals = cell_integrals(device.space, c, transport.state.mu, metal)
    weights = integrals.measure * part.weights
    current = -flux_density(c, integrals)[:, :, 0] * SPIN_CURRENT
    return transparency(
        transport.fields[metal],
        transport.interfaces[interface].flux[1:] * SPIN_CURRENT,
        current,
        part.normals,
        weights / weights.sum(),
        round_off(device, transport),
    )


def transparency(
    fields: RegionFields, arrived: Array, current: Array, normals: Array, weights: Array, least: float
) -> float | None:
    """Return the size of a spin current over that of the bulk, None without a bulk current.

    Args:
        fields: Of the metal.
        arrived: Spin current [A/m^2], shape (3,).
        current: Conventional current densities in the metal [A/m^2], shape (n, 3).
        normals: Of the interface beside them, shape (n, 3).
        weights: Shares in the mean, shape (n,).
        least: Flux below which a current is round-off [1/(m^2 s)].
    """
    along = current - normals * np.einsum("nd,nd->n", current, normals)[:, None]
    if np.linalg.norm(weights @ along) <= E_CHARGE * least:
        return None
    bulk: Any = np.linalg.norm(weights @ bulk_spin_current(fields, along, normals))
    return np.linalg.norm(arrived) / bulk if bulk > 0 else None


def bulk_spin_current(
    fields: RegionFields, current: Array, normal: Array | tuple[float, ...] = (0.0, 0.0, 1.0)
) -> Array:
    """Return the spin current e J^{na} [A/m^2] that a uniform charge current makes, (..., 3).

    Gradients of mu vanish and no spin drift is prescribed; Theta then gives J^{na} and the
    charge current from the same forces.

    Args:
        fields: Coefficients of the metal.
        current: Conventional current density [A/m^2], shape (..., 3).
        normal: The direction n, shape (..., 3).
    """
    theta = fields.theta.reshape(3, 4, 3, 4)
    inverse = np.linalg.inv(theta[:, 0, :, 0])
    force = -np.einsum("jk,...k->...j", inverse, as_array(current, float))
    found: Array = np.einsum("...i,iaj,...j->...a", normal, theta[:, 1:, :, 0], force)
    return found


def loss_entry(loss: InterfaceLoss) -> dict[str, Any]:
    """Return the fate of a spin current as a table."""
    numbers = {
        "absorbed_by_moments": loss.absorbed,
        "spin_memory_loss": loss.lost,
        "equivalent_delta": loss.delta,
    }
    return measured(numbers, _FATE) | left_out(loss.missing)


def _metal(interface: str) -> str:
    return interface.split("|")[0]
