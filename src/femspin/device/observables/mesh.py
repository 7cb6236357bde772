"""What a solution on a mesh says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ...interface.currents import InterfaceCurrents
from ...transport.layers.lengths import resolved_rates
from ...units import Array
from ..model import Device, Transport
from ..neighbours import magnet_area
from .averages import RegionAverage, region_averages
from .charge import charge_current, electrode_table
from .drive import Drive
from .fluxes import drives, round_off
from .losses import InterfaceLoss, is_inner, spin_memory_loss, spin_transparency
from .regions import region_thickness
from .said import DISCRETISED, Said, observables
from .stack import StackSaid
from .torques import torque_fluxes

__all__ = ["MeshSaid", "discretised_numbers", "said_by"]


def discretised_numbers(device: Device, transport: Transport) -> dict[str, Any]:
    """Return the tables of `Solution.table` whose numbers depend on mesh and elements."""
    return observables(said_by(device, transport), DISCRETISED)


def said_by(device: Device, transport: Transport) -> Said:
    """Return what a solution says, without sampling on the mesh where it is an exact one."""
    if transport.exact is not None:
        return StackSaid(transport.exact, transport.interfaces)
    return MeshSaid(device, transport)


class MeshSaid(Said):
    """What a solution of finite elements, or one sampled on their mesh, says.

    Args:
        device: The problem.
        transport: Its solution.
    """

    def __init__(self, device: Device, transport: Transport) -> None:
        self.device, self.transport = device, transport
        self.dimension = device.space.dimension
        self.kinds, self.rates = device.kinds, resolved_rates(device.case)
        self.fields = transport.all_fields

    @property
    def interfaces(self) -> Mapping[str, InterfaceCurrents]:  # type: ignore[override]
        """Currents by interface and outer face, in solver units."""
        return self.transport.interfaces

    @cached_property
    def averages(self) -> dict[str, RegionAverage]:  # type: ignore[override]
        """Of every meshed conductor."""
        return {a.name: a for a in region_averages(self.device, self.transport)}

    @cached_property
    def magnets(self) -> dict[str, tuple[Array, Array]]:  # type: ignore[override]
        """R J^M and the direction of the moments of every magnet."""
        return torque_fluxes(self.device, self.transport)

    @cached_property
    def least(self) -> float:  # type: ignore[override]
        """Flux below which a current is round-off [1/(m^2 s)]."""
        return round_off(self.device, self.transport)

    @property
    def layers(self) -> dict[str, float]:  # type: ignore[override]
        """Thickness of every F that is a layer of a stack [m]."""
        if self.device.case.structure is None:
            return {}
        found = {n: region_thickness(self.device, n) for n in self.fields if self.kinds[n] == "F"}
        return {name: thickness for name, thickness in found.items() if thickness is not None}

    def current(self, region: str) -> Array:
        """Return the mean conventional current density of a region [A/m^2], shape (3,)."""
        return charge_current(self.device, self.transport, region)

    def area(self, magnet: str) -> float:
        """Return the area to which torques on a magnet refer [nm^2, nm or 1]."""
        return magnet_area(self.device, magnet)

    def drives(self, magnet: str) -> tuple[Drive, ...]:
        """Return what drives a magnet from every metal beside it."""
        return drives(self.device, self.transport, magnet)

    def inner(self, name: str) -> bool:
        """Return whether currents of this name cross an interface, not an outer face."""
        return is_inner(self.device, name)

    def transparency(self, interface: str) -> float | None:
        """Return |e J| at an interface over the bulk spin Hall current of its first region."""
        return spin_transparency(self.device, self.transport, interface)

    def loss(self, interface: str) -> InterfaceLoss:
        """Return how much of the spin current into an F region never reaches moments."""
        return spin_memory_loss(self.device, self.transport, interface)

    @property
    def electrodes(self) -> dict[str, Any]:
        """Voltage and current of every electrode."""
        return electrode_table(self.device, self.transport)
