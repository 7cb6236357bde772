"""Averages of a solution over its regions, and the response of charge that they mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dual import stacked
from ...fields.region import RegionFields
from ...fields.soc import covariant_rotation
from ...interface.split import cell_integrals
from ...structure.sides import region_thickness
from ...transport.layers.stack import StackSolution
from ...units import E_CHARGE, ENERGY, LENGTH, Array
from .quantity import Measure, measured

if TYPE_CHECKING:
    from ..model import Device, Transport
__all__ = [
    "FieldResponse",
    "RegionAverage",
    "SpinSwapping",
    "field_response",
    "region_averages",
    "response_table",
    "spin_swapping",
    "stack_averages",
]

_RESPONSE = {
    "longitudinal_conductivity": Measure("S/m", "conductivity along the field", scale="conductivities in {}"),
    "transverse_conductivity": Measure("S/m", "Hall conductivity", scale="conductivities in {}"),
    "sheet_conductance": Measure("S", "sheet conductance"),
    "longitudinal_resistivity": Measure("Ohm m", "resistivity along the field", scale="resistivities in {}"),
    "transverse_resistivity": Measure("Ohm m", "Hall resistivity", scale="resistivities in {}"),
}


@dataclass(frozen=True)
class RegionAverage:
    """Averages over one conducting region, in SI.

    Args:
        name: Region name.
        thickness: See `femspin.structure.sides.region_thickness` [m].
        fields: Coefficients of the region.
        mu: Mean mu^eta [J], shape (4,).
        gradient: Mean d_j mu^eta [J/m], shape (3, 4).
    """

    name: str
    thickness: float
    fields: RegionFields
    mu: Array
    gradient: Array

    @cached_property
    def flux(self) -> Array:
        r"""Mean flux :math:`J = \Theta[s - \nu D(\partial + T)\mu]` [1/(m^2 s)], (3, 4)."""
        return self._response(self.fields.drift + self._diffusive)

    @cached_property
    def charge_current(self) -> Array:
        """Mean conventional current density [A/m^2], shape (3,)."""
        return -E_CHARGE * self.flux[:, 0]

    @property
    def excess_current(self) -> Array:
        """What the current density has beyond sigma_c E [A/m^2], without cancellation, (3,)."""
        theta, drift = self.fields.theta - np.eye(12), self.fields.drift
        excess = (theta @ drift.ravel()).reshape(3, 4) + self._response(self._diffusive)
        return -E_CHARGE * excess[:, 0]

    @property
    def prescribed_field(self) -> Array:
        """The prescribed electric field [V/m], shape (3,)."""
        return -E_CHARGE / self.fields.conductivity * self.fields.drift[:, 0]

    @property
    def electric_field(self) -> Array:
        r"""Mean field that drives charge, :math:`E - \nabla\mu^0/2q` [V/m], shape (3,)."""
        return self.prescribed_field + self.gradient[:, 0] / (2 * E_CHARGE)

    @property
    def spin_density(self) -> Array:
        r"""Mean spin density :math:`N^a = \nu\mu^a` [1/m^3], twice the spin in hbar, (3,)."""
        return self.fields.dos * self.mu[1:]

    @property
    def areal_density(self) -> Array:
        """Spins per area N^a times thickness [1/m^2], shape (3,)."""
        return self.thickness * self.spin_density

    @property
    def _diffusive(self) -> Array:
        turn = covariant_rotation(self.fields.gauge)
        return -self.fields.dos * self.fields.diffusion * (self.gradient + turn @ self.mu)

    def _response(self, force: Array) -> Array:
        return (self.fields.theta @ force.ravel()).reshape(3, 4)


@dataclass(frozen=True)
class FieldResponse:
    """Charge response to the electric field that a solution happens to have.

    Args:
        field: Mean in-plane electric field [V/m], shape (2,).
        longitudinal: j.E / E^2, conductivity along the field [S/m].
        transverse: j.(z x E) / E^2, which is sigma_yx for E along x, the anomalous and
            ordinary Hall conductivity [S/m].
        sheet: Longitudinal conductivity times thickness [S].
    """

    field: Array
    longitudinal: float
    transverse: float
    sheet: float

    @property
    def resistivity(self) -> tuple[float, float]:
        """Longitudinal and transverse (E_y / j_x for j along x) resistivity [Ohm m].

        From one field direction, so the anisotropy of the film enters the second order in the
        transverse conductivity only approximately; `magnetoresistance.charge_response` inverts
        the whole tensor.
        """
        size = self.longitudinal**2 + self.transverse**2
        return self.longitudinal / size, -self.transverse / size


@dataclass(frozen=True)
class SpinSwapping:
    r"""Isotropic part of the spin-spin response of a region.

    .. math:: \Theta^{ia}_{jb} = A\,\delta_{ij}\delta_{ab} + B\,\delta_{ib}\delta_{aj}
              + C\,\delta_{ia}\delta_{jb}

    Args:
        identity: A.
        swap: B, what J^{ai} contributes to J^{ia}.
        trace: C; the Lifshits-Dyakonov form has C = -B, spin Hall deflection alone C = 0.
        remainder: Norm of the anisotropic rest over the norm of the whole block.
    """

    identity: float
    swap: float
    trace: float
    remainder: float


def region_averages(device: Device, transport: Transport) -> tuple[RegionAverage, ...]:
    """Return the averages over every meshed conductor of a finite-element solution."""
    space, found = device.space, []
    axes = list(space.structure.axes)
    for name, fields in transport.fields.items():
        integrals = cell_integrals(space, transport.state.coefficients[name], transport.state.mu, name)
        measure = integrals.measure.sum()
        gradient = np.zeros((3, 4))
        gradient[axes] = integrals.gradient.sum(axis=0) / measure * (ENERGY / LENGTH)
        mu = integrals.mu.sum(axis=0) / measure * ENERGY
        thickness = region_thickness(device.structure, name) * LENGTH
        found.append(RegionAverage(name, thickness, fields, mu, gradient))
    return tuple(found)


def stack_averages(solution: StackSolution) -> tuple[RegionAverage, ...]:
    """Return the averages over every layer of an exact multilayer solution.

    Raises:
        ValueError: If the solution has a frequency.
    """
    if solution.case.frequency:
        raise ValueError("averages are defined for a steady solution; the frequency must be 0")
    found = []
    for k, layer in enumerate(solution.case.layers):
        slope = (solution.upper[k, :4] - solution.lower[k, :4]) / layer.thickness
        gradient = np.zeros_like(slope, shape=(3, 4))
        gradient[2] = slope
        mu = solution.integrals(k)[0] / layer.thickness
        found.append(RegionAverage(layer.fields.name, layer.thickness, layer.fields, mu, gradient))
    return tuple(found)


def field_response(averages: Iterable[RegionAverage], least: float = 0.0) -> FieldResponse | None:
    """Return the charge response of regions in parallel, or None without an in-plane field.

    Where the field points across the plane more than along it (a current perpendicular to the
    layers), what flows in the plane is no response to what acts there.

    Args:
        averages: Of the regions.
        least: Flux below which a current is round-off [1/(m^2 s)]; a field that drives no more
            is none.
    """
    averages = tuple(averages)
    thickness = stacked([a.thickness for a in averages])
    share = thickness / thickness.sum()
    mean = share @ stacked([a.electric_field for a in averages])
    field, normal = mean[:2], mean[2]
    current = share @ stacked([a.charge_current[:2] for a in averages])
    square = field @ field
    conductivity = max(a.fields.conductivity for a in averages)
    if conductivity * square**0.5 <= E_CHARGE * least or square <= normal**2:
        return None
    along = current @ field / square
    across = (current[1] * field[0] - current[0] * field[1]) / square
    return FieldResponse(field, along, across, along * thickness.sum())


def spin_swapping(fields: RegionFields) -> SpinSwapping:
    """Return the spin swapping coefficients of a region from its response.

    References:
        Lifshits and Dyakonov, PRL 103, 186601 (2009).
    """
    block = fields.theta.reshape(3, 4, 3, 4)[:, 1:, :, 1:]
    one = np.eye(3)
    forms = [np.einsum(f"{p},{q}->iajb", one, one) for p, q in (("ij", "ab"), ("ib", "aj"))]
    forms.append(np.einsum("ia,jb->iajb", one, one))
    basis = np.stack([f.ravel() for f in forms], axis=1)
    fit = np.linalg.solve(basis.T @ basis, basis.T @ block.ravel())
    rest: Any = np.linalg.norm(block.ravel() - basis @ fit) / np.linalg.norm(block)
    return SpinSwapping(fit[0], fit[1], fit[2], rest)


def response_table(response: FieldResponse | None) -> dict[str, Any]:
    """Return a charge response as a table, empty if there is none."""
    if response is None:
        return {}
    numbers = {
        "longitudinal_conductivity": response.longitudinal,
        "transverse_conductivity": response.transverse,
        "sheet_conductance": response.sheet,
        "longitudinal_resistivity": response.resistivity[0],
        "transverse_resistivity": response.resistivity[1],
    }
    return measured(numbers, _RESPONSE)
