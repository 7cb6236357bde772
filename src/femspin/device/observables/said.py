r"""What a solution says, before any number is reported; and every number that follows from it.

A solution on a mesh and the exact one of a multilayer say the same: averages of mu and its
gradient over each region, which are exact functionals of the discrete solution, consistent
interface fluxes with their parts, and what these hand to magnets.  Nothing is differentiated at
a facet and nothing is solved again.  All reported numbers are algebra on that, written once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...dual import as_array
from ...fields.region import RegionFields
from ...fields.soc import LEVI_CIVITA
from ...interface.currents import InterfaceCurrents
from ...transport.layers.balance import FluxSplit
from ...transport.layers.lengths import lengths
from ...transport.layers.stack import StackLayer, admittance_parts
from ...units import ENERGY, SPIN_CURRENT, SPIN_CURRENT_UNIT, Array
from .averages import RegionAverage, field_response, response_table, spin_swapping
from .drive import Drive
from .losses import InterfaceLoss, loss_entry
from .quantity import ByName, Measure, measured
from .torques import by_metal, drive_entry, efficiency_entry, torque_entry

__all__ = [
    "BALANCE",
    "DISCRETISED",
    "GROUPS",
    "LARGEST_BALANCE",
    "Said",
    "interface_table",
    "observables",
    "resolved_about",
]

_PARTS = ("M_relax", "M_prec", "M", "L_diag", "L_anti", "L", "S", "A", "E", "T", "B")
_COMPARED = ("M", "L", "S", "A", "E", "B")
"""Parts that are compared with the largest of their interface; the others are parts of these."""

_AREA = {d: Measure(unit, "area") for d, unit in ((1, ""), (2, "nm"), (3, "nm^2"))}
_CHARGE = Measure("A/m^2", "charge current", "at", "charge currents", listed=True)
_J = Measure(SPIN_CURRENT_UNIT, "spin current J", "at", "spin currents at {}", listed=True, goal=True)
_PART = {
    k: Measure(
        SPIN_CURRENT_UNIT, f"part {k} of J", "at", _J.scale if k in _COMPARED else "", goal=k in _COMPARED
    )
    for k in _PARTS
}
_ON_MOMENTS = Measure(SPIN_CURRENT_UNIT, "part M of J{} on moments", "at")
_SUM = Measure(SPIN_CURRENT_UNIT, "sum of the parts of J", "at")
_TRANSPARENCY = Measure("", "spin transparency", "at")
BALANCE = Measure("", "balance residual", "at")
"""What the parts of a spin current lack of it, over the largest."""
LARGEST_BALANCE = Measure("", "balance residual", listed=True)
"""The largest of all interfaces."""
_CURRENT = Measure("A/m^2", "current density j", "in", "charge currents", listed=True)
_CONDUCTANCE = {k: Measure("S/m^2", f"conductance {k}") for k in ("G_s", "G_r", "G_i")}
_PART_M = {k: Measure("S/m^2", f"part M of the conductance {k}") for k in _CONDUCTANCE}
_REGION = {
    "dos": Measure("1/(J m^3)", "density of states"),
    "diffusion_constant": Measure("m^2/s", "diffusion constant"),
    "conductivity": Measure("S/m", "conductivity"),
    "drude_conductivity": Measure("S/m", "Drude conductivity"),
    "gauge_field": Measure("1/m", "gauge field"),
    "precession": Measure("rad/s", "precession omega"),
    "relaxation": Measure("1/s", "relaxation"),
}
_LENGTHS = {
    k: Measure("m", f"{k.replace('_', '-')} length")
    for k in ("relaxation", "precession", "spin_orbit", "gauge", "shortest")
}
_MOMENTS = {
    "spin": Measure("", "mean spin of a moment"),
    "splitting": Measure("J", "Zeeman splitting of a moment"),
    "tau_parallel": Measure("s", "spin relaxation time along the moments"),
    "tau_perpendicular": Measure("s", "spin relaxation time across the moments"),
    "curie_temperature": Measure("K", "Curie temperature"),
    "exchange_energy": Measure("J", "Kondo exchange"),
}
_SWAPPING = {
    k: Measure("", f"spin swapping: {k}", "in", "spin swapping in {}")
    for k in ("identity", "swap", "trace", "remainder")
}
_AVERAGE = {
    "mean_potential": Measure("meV", "mean spin potential mu", "in"),
    "spin_density": Measure("1/m^3", "spin density N", "in"),
    "areal_spin_density": Measure("1/m^2", "areal spin density N", "in"),
}


class Said(ABC):
    """What one solution says, in SI unless told otherwise; every piece is made when asked for."""

    dimension = 1
    """Of the space in which areas are measured."""
    kinds: Mapping[str, str]
    """HM, F, FI or I of every region."""
    rates: tuple[float, ...]
    """Angular frequencies [rad/s] at which lengths count, see `femspin.transport.layers.lengths`."""
    fields: Mapping[str, RegionFields]
    """Coefficients of every conductor, layers replaced by a face included."""
    interfaces: Mapping[str, InterfaceCurrents]
    """Currents by interface and outer face, in solver units."""
    averages: Mapping[str, RegionAverage]
    """Of every conductor in which mu is known."""
    magnets: Mapping[str, tuple[Array, Array]]
    """R J^M [1/(m^2 s)] and the direction of the moments of every magnet, shape (3,) each."""
    least: float
    """Flux below which a current is round-off [1/(m^2 s)]."""
    layers: Mapping[str, float]
    """Thickness of every F that is a layer of a stack [m]."""

    @abstractmethod
    def current(self, region: str) -> Array:
        """Return the mean conventional current density of a region [A/m^2], shape (3,)."""

    @abstractmethod
    def area(self, magnet: str) -> float:
        """Return the area to which torques on a magnet refer [nm^2, nm or 1]."""

    @abstractmethod
    def drives(self, magnet: str) -> tuple[Drive, ...]:
        """Return what drives a magnet from every metal beside it."""

    @abstractmethod
    def inner(self, name: str) -> bool:
        """Return whether currents of this name cross an interface, not an outer face."""

    @abstractmethod
    def transparency(self, interface: str) -> float | None:
        """Return |e J| at an interface over the bulk spin Hall current of its first region."""

    @abstractmethod
    def loss(self, interface: str) -> InterfaceLoss:
        """Return how much of the spin current into an F region never reaches moments."""

    @property
    @abstractmethod
    def electrodes(self) -> Mapping[str, Any]:
        """Voltage and current of every electrode."""


def observables(said: Said, groups: Collection[str]) -> dict[str, Any]:
    """Return the tables of some groups of numbers.

    Args:
        said: What a solution says.
        groups: Some of `GROUPS`.
    """
    found: dict[str, Any] = {}
    for group in groups:
        *heads, last = group.split(".")
        table = found
        for head in heads:
            table = table.setdefault(head, {})
        table[last] = GROUPS[group](said)
    return found


def interface_table(currents: InterfaceCurrents, dimension: int) -> dict[str, Any]:
    """Return one interface of a device of some dimension: currents in A/m^2, parts, balance."""
    table: dict[str, Any] = {
        "area": _AREA[dimension](currents.area),
        "charge_current": _CHARGE(-currents.flux[0] * SPIN_CURRENT),
        "spin_current": _J(currents.flux[1:] * SPIN_CURRENT),
    }
    if currents.source is not None:
        table["split_over"] = currents.source
        table["parts"] = {k: _PART[k](currents.parts[k] * SPIN_CURRENT) for k in _PARTS}
        table["M_on_moments"] = _ON_MOMENTS(currents.parts["moments"] * SPIN_CURRENT)
        table["sum_of_parts"] = _SUM(currents.total * SPIN_CURRENT)
        table["balance_residual"] = BALANCE(currents.balance)
    return table


def _interfaces(said: Said) -> dict[str, Any]:
    return ByName((name, interface_table(i, said.dimension)) for name, i in said.interfaces.items())


def _torques(said: Said) -> dict[str, Any]:
    """Return torques on the moments of every F region and on every driven FI region.

    Efficiencies are those of one metal, or stand in a table of each metal's name where several
    drive the magnet.
    """
    found = ByName()
    for name, (flux, m) in said.magnets.items():
        driven = by_metal(said.drives(name), partial(drive_entry, flux=flux, m=m))
        found[name] = {"area": _AREA[said.dimension](said.area(name)), **torque_entry(flux, m), **driven}
    return found


def _electrodes(said: Said) -> dict[str, Any]:
    return ByName(said.electrodes)


def _currents(said: Said) -> dict[str, Any]:
    return ByName((name, _CURRENT(said.current(name))) for name in said.averages)


def _conductances(said: Said) -> dict[str, Any]:
    """Return the exact conductances of every F layer of a stack [S/m^2].

    The numerical admittance of the insulated layer, G = G_s + G_r m x m x + G_i m x, resolved
    about m (or z, without moments): G_s along it, G_r and G_i from the transverse block; the
    same for its M part alone.  Entries that this form lacks are in ``tensor``.
    """
    table = ByName()
    for name, thickness in said.layers.items():
        f = said.fields[name]
        known = isinstance(thickness, float)  # what is dual cannot be looked up
        split = (_known_admittance if known else _admittance)(f, thickness)
        axis = np.array([0.0, 0.0, 1.0]) if f.m is None else f.m
        table[name] = {
            "tensor": as_array(split.total, float),
            **measured(resolved_about(as_array(split.total, float), axis), _CONDUCTANCE),
            "M": measured(resolved_about(as_array(split.M, float), axis), _PART_M),
        }
    return table


def _admittance(fields: RegionFields, thickness: float) -> FluxSplit:
    """Return the admittance of an insulated layer by its parts."""
    return admittance_parts(StackLayer(fields, thickness))[0]


_known_admittance = lru_cache(maxsize=100)(_admittance)


def resolved_about(G: Array, m: Array) -> dict[str, float]:
    """Return G_s, G_r, G_i of a tensor about the direction m."""
    along = m @ G @ m
    across = 0.5 * (np.trace(G) - along)
    turning = 0.5 * np.einsum("abc,a,cb->", LEVI_CIVITA, m, G)
    return {"G_s": along, "G_r": along - across, "G_i": turning}


def _regions(said: Said) -> dict[str, Any]:
    """Return what each conducting region was computed with, and its lengths."""
    return ByName((name, _region(said, name, f)) for name, f in said.fields.items())


def _region(said: Said, name: str, f: RegionFields) -> dict[str, Any]:
    scale = lengths(f, said.rates)
    entry: dict[str, Any] = {
        "kind": said.kinds[name],
        "dos": f.dos,
        "diffusion_constant": f.diffusion,
        "conductivity": f.measured_conductivity,
        "drude_conductivity": f.conductivity,
        "gauge_field": f.gauge,
        "precession": f.omega,
        "relaxation": f.relaxation,
    }
    entry = measured(entry, _REGION)
    entry["lengths"] = {k: measure(getattr(scale, k)) for k, measure in _LENGTHS.items()}
    if (state := f.moments) is not None:
        moments = {
            "direction_seen_by_carriers": f.m,
            "spin": state.spin,
            "splitting": state.splitting,
            "tau_parallel": 1 / state.rate_parallel if state.rate_parallel else None,
            "tau_perpendicular": 1 / state.rate_perpendicular if state.rate_perpendicular else None,
            "curie_temperature": state.curie,
            "exchange_energy": state.exchange_energy,
        }
        entry["moments"] = measured(moments, _MOMENTS)
    return entry


def _torque_efficiency(said: Said) -> dict[str, Any]:
    return ByName(
        (name, by_metal(said.drives(name), partial(efficiency_entry, flux=flux, m=m)))
        for name, (flux, m) in said.magnets.items()
    )


def _fates(said: Said) -> dict[str, Any]:
    found = ByName()
    for name, currents in said.interfaces.items():
        if said.inner(name):
            found[name] = {"spin_transparency": _TRANSPARENCY(said.transparency(name))}
            if currents.source is not None:
                found[name] |= loss_entry(said.loss(name))
    return found


def _film(said: Said) -> dict[str, Any]:
    return response_table(field_response(said.averages.values(), said.least))


def _averages(said: Said) -> dict[str, Any]:
    return ByName((name, _average(a, said.least)) for name, a in said.averages.items())


def _average(average: RegionAverage, least: float) -> dict[str, Any]:
    swapping = spin_swapping(average.fields)
    values = {
        "mean_potential": average.mu[1:] / ENERGY,
        "spin_density": average.spin_density,
        "areal_spin_density": average.areal_density,
    }
    return {
        "charge": response_table(field_response([average], least)),
        **measured(values, _AVERAGE),
        "spin_swapping": {k: measure(getattr(swapping, k)) for k, measure in _SWAPPING.items()},
    }


GROUPS: dict[str, Callable[[Said], dict[str, Any]]] = {
    "interfaces": _interfaces,
    "torques": _torques,
    "electrodes": _electrodes,
    "charge_current_density": _currents,
    "observables.torque_efficiency": _torque_efficiency,
    "observables.interfaces": _fates,
    "observables.charge": _film,
    "observables.regions": _averages,
    "conductances": _conductances,
    "regions": _regions,
}
"""Tables of numbers by the beginning of their names, in the order of the result."""

DISCRETISED = tuple(g for g in GROUPS if g not in ("conductances", "regions"))
"""Groups whose numbers depend on mesh and elements."""
