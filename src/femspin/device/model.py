"""A case turned into a problem, and its solved transport."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..case.schema import Case
from ..case.schema import Interface as InterfaceTable
from ..fields.build import Conditions, region_fields, turns
from ..fields.region import RegionFields
from ..interface.closed_forms import SpinOrbitConstants, spin_orbit_constants
from ..interface.currents import InterfaceCurrents, Share
from ..interface.reduced import LayerResponse, ReducedLayer, layer_response
from ..materials.parameters import RegionParameters, UsedValue
from ..structure import Structure
from ..transport.assembly.boundary import FluxLaw, flux_law
from ..transport.conditions import table_law, table_response
from ..transport.elements.space import Space
from ..transport.system import TransportProblem, TransportState
from ..units import Array
from .stack_problem import StackState

__all__ = ["Device", "Transport"]


@dataclass(frozen=True)
class Device:
    """A case turned into a problem: everything that does not change with the magnetization.

    Args:
        case: The completed case.
        used: Database values that entered it.
        parameters: Conducting regions by name.
        conditions: Temperature and fields.
        direction: Unit vector of the case's magnetization, shape (3,).
        structure: The mesh.
        space: Scalar finite-element space.
        problem: The transport problem.
        share: How inflow is divided among the faces of every region.
        flux_tables: Case tables of the faces with a flux law.
        reduced: F layers that are replaced by a face.
        folder: Where relative mesh paths start.
    """

    case: Case
    used: tuple[UsedValue, ...]
    parameters: Mapping[str, RegionParameters]
    conditions: Conditions
    direction: Array
    structure: Structure
    space: Space
    problem: TransportProblem
    share: Mapping[str, Share]
    flux_tables: Mapping[str, InterfaceTable]
    reduced: tuple[ReducedLayer, ...] = ()
    folder: Path | None = None

    @property
    def conductors(self) -> tuple[str, ...]:
        """Names of the meshed conducting regions."""
        gone = {layer.name for layer in self.reduced}
        return tuple(name for name in self.parameters if name not in gone)

    @property
    def kinds(self) -> dict[str, str]:
        """HM, F, FI or I of every region."""
        return {name: region.kind for name, region in self.case.regions.items()}

    def fields(self, m: Array) -> dict[str, RegionFields]:
        """Return the coefficients of every meshed conductor for the magnetization `m`."""
        return {n: self.region_fields(n, m) for n in self.conductors}

    def region_fields(self, name: str, m: Array) -> RegionFields:
        """Return the coefficients of one region for the magnetization `m`, once if it does not turn."""
        parameters = self.parameters[name]
        if turns(parameters, self.conditions):
            return region_fields(parameters, self.conditions, m)
        if name not in self._still:
            self._still[name] = region_fields(parameters, self.conditions, m)
        return self._still[name]

    @cached_property
    def _still(self) -> dict[str, RegionFields]:
        """Coefficients of regions that do not follow the magnetization."""
        return {}

    def laws(self, m: Array) -> dict[str, FluxLaw]:
        """Return the flux law of every face that has one, for the magnetization `m`."""
        laws = {name: table_law(table, m) for name, table in self.flux_tables.items()}
        for layer in self.reduced:
            response = layer_response(
                self.region_fields(layer.name, m),
                layer.thickness,
                layer.form,
                self.below(layer, m),
                self.spin_orbit(layer),
            )
            laws[layer.face] = flux_law(response.conductance, response.drift)
        return laws

    def spin_orbit(self, layer: ReducedLayer) -> SpinOrbitConstants | None:
        """Return the spin-orbit coupling of a reduced layer as the closed forms take it."""
        return spin_orbit_constants(layer.parameters, self.conditions.magnetic_field)

    def below(self, layer: ReducedLayer, m: Array) -> LayerResponse | None:
        """Return the response of what lies under a reduced layer, None if insulating."""
        if layer.table is None or layer.table.condition == "insulating":
            return None
        return LayerResponse(*table_response(layer.table, m))


@dataclass(frozen=True)
class Transport:
    """One solved transport problem.

    Args:
        m: Magnetization it was solved for, shape (3,).
        fields: Coefficients of every conducting region (SI).
        state: Potentials and blocks.
        interfaces: Currents by interface name.
        reduced_fields: Coefficients of every reduced layer (SI).
        exact: The solution of the multilayer that it samples, if it is one of distinct regions.
    """

    m: Array
    fields: Mapping[str, RegionFields]
    state: TransportState
    interfaces: Mapping[str, InterfaceCurrents]
    reduced_fields: Mapping[str, RegionFields] = field(default_factory=dict)
    exact: StackState | None = None

    @property
    def all_fields(self) -> dict[str, RegionFields]:
        """Coefficients of every conductor, layers replaced by a face included."""
        return {**self.fields, **self.reduced_fields}

    @property
    def balance(self) -> float:
        """Largest relative defect of the sum of parts over all interfaces."""
        return max((i.balance for i in self.interfaces.values()), default=0.0)
