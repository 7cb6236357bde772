"""What the exact solution of a stack says, without any mesh.

The numbers agree with those of `femspin run` but for the sampling of the potentials on the line
mesh there, and depend smoothly on every parameter: no mesh changes under way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ...dual import value_of
from ...fields.soc import cross_matrix
from ...interface.currents import InterfaceCurrents, balanced, face_source
from ...units import E_CHARGE, FLUX, Array
from ..neighbours import driving_metals, far_side
from ..stack_problem import StackInterface, StackState
from .averages import RegionAverage, stack_averages
from .drive import ROUND_OFF, Drive, directed, undirected
from .fluxes import moment_axis
from .losses import InterfaceLoss, interface_loss, transparency
from .quantity import Quantity, changes_of, numbers_of, quantities
from .said import GROUPS, Said, observables

__all__ = ["StackSaid", "changes_in", "groups_of", "number", "numbers_below", "quantities_below"]

_PARTS = ("M_relax", "M_prec", "L_diag", "L_anti", "S", "A", "E", "T")


def number(state: StackState, name: str) -> float:
    """Return one number by its dotted name; NaN where it does not exist in this state."""
    return numbers_below(groups_of([name]), state).get(name, np.nan)


def groups_of(names: Collection[str]) -> list[str]:
    """Return the groups that some numbers belong to."""
    return [g for g in GROUPS if any(name.startswith(f"{g}.") for name in names)]


def changes_in(state: StackState, names: Sequence[str], count: int) -> Array:
    """Return the derivatives of numbers of a dual state by all its parameters, shape (n, count)."""
    found = changes_of(observables(StackSaid(state), groups_of(names)))
    return np.array([found.get(name, np.zeros(count)) for name in names])


def numbers_below(groups: Collection[str], state: StackState) -> dict[str, float]:
    """Return the numbers of some groups by dotted name."""
    return numbers_of(observables(StackSaid(state), groups))


def quantities_below(groups: Collection[str], state: StackState) -> dict[str, Quantity]:
    """Return the numbers of some groups with all that is known of them, by dotted name."""
    return quantities(observables(StackSaid(state), groups))


class StackSaid(Said):
    """What the exact solution of a stack says.

    Args:
        state: Solution and coefficients; beside the interfaces only one of distinct regions says
            anything.
        interfaces: To take instead of its own.
    """

    rates = ()
    electrodes: Mapping[str, Any] = {}

    def __init__(self, state: StackState, interfaces: Mapping[str, InterfaceCurrents] | None = None) -> None:
        self.state, self.problem, self.solution = state, state.problem, state.solution
        self.kinds = self.problem.kinds
        self._drives: dict[str, tuple[Drive, ...]] = {}
        self.fields = {name: state.fields(name) for name in dict.fromkeys(self.problem.names)}
        if interfaces is not None:
            self.interfaces = dict(interfaces)

    @cached_property
    def averages(self) -> dict[str, RegionAverage]:  # type: ignore[override]
        """Of every layer."""
        return {a.name: a for a in stack_averages(self.solution)}

    @cached_property
    def least(self) -> float:  # type: ignore[override]
        """Flux below which a current is round-off [1/(m^2 s)], as that of a mesh."""
        sizes = [0.0]
        for a in self.averages.values():
            f = a.fields
            through = f.dos * f.diffusion * a.gradient[:, 0]
            sizes += [np.abs(value_of(x)).max() for x in (f.drift, through)]
        sizes += [np.abs(value_of(j)).max() for j in self._through]
        return ROUND_OFF * float(max(sizes))

    @property
    def largest_drivable(self) -> float:
        """Flux that the potentials could drive across the stack [1/(nm^2 ps)]."""
        s = self.solution
        potentials = np.maximum(np.abs(s.lower[:, :4]), np.abs(s.upper[:, :4])).max(axis=1)
        slopes = [x.fields.dos * x.fields.diffusion for x in s.case.layers] * potentials
        return float(slopes.max() / s.case.thickness.sum() / FLUX)

    @property
    def layers(self) -> dict[str, float]:  # type: ignore[override]
        """Thickness of every F [m]."""
        layers = self.solution.case.layers
        return {x.fields.name: x.thickness for x in layers if self.kinds[x.fields.name] == "F"}

    @cached_property
    def _through(self) -> list[Array]:
        """Flux of charge and spin along z through every boundary of the layers [1/(m^2 s)]."""
        return [self.solution.interface_flux(k) for k in range(len(self.problem.names) + 1)]

    @cached_property
    def _named(self) -> dict[str, list[StackInterface]]:
        """The faces of every interface by its name: two where one FI lies on both sides."""
        found: dict[str, list[StackInterface]] = {}
        for interface in self.problem.interfaces:
            found.setdefault(interface.name, []).append(interface)
        return found

    @cached_property
    def interfaces(self) -> dict[str, InterfaceCurrents]:  # type: ignore[override]
        """Currents by interface and open outer face, in solver units."""
        found = {}
        for name, faces in self._named.items():
            source = faces[0].second if self._splits(faces[0]) else None
            total = np.sum(np.stack([self._into(face) for face in faces]), axis=0)
            found[name] = self._currents(name, total, float(len(faces)), source, 1)
        ends = (("bottom", self.problem.bottom, 0, 1), ("top", self.problem.top, -1, -1))
        for side, key, end, into in ends:
            if key == side:  # else insulating, or the interface with an insulator
                source = face_source([self.problem.names[end]], self.kinds)
                found[side] = self._currents(side, into * self._through[end], 1.0, source, -1)
        return found

    def _currents(
        self, name: str, flux: Array, area: float, source: str | None, sign: int
    ) -> InterfaceCurrents:
        """Return a flux out of a region, or into it with the sign -1, split over its volume."""
        scale = FLUX * area
        if source is None:
            return InterfaceCurrents(name, area, flux / scale, None, {}, 0.0)
        layers = self.state.layers(source)
        splits = [self.solution.split(k) for k in layers]
        parts = {key: sign * np.sum(np.stack([getattr(x, key) for x in splits]), axis=0) for key in _PARTS}
        outflow = np.sum(np.stack([self._through[k + 1] - self._through[k] for k in layers]), axis=0)
        parts["B"] = flux[1:] - sign * outflow[1:]
        parts["moments"] = sign * self._moments(source)
        scaled = {key: value / scale for key, value in parts.items()}
        return balanced(name, area, flux / scale, source, scaled)

    def _into(self, interface: StackInterface) -> Array:
        """Return the flux of charge and spin into the first region [1/(m^2 s)], shape (4,)."""
        return interface.sign * self._through[interface.position]

    def _mean(self, faces: Sequence[StackInterface]) -> Array:
        """Return the flux into the first region per area of all faces [1/(m^2 s)], shape (4,)."""
        found: Array = np.mean(np.stack([self._into(face) for face in faces]), axis=0)
        return found

    def _moments(self, region: str) -> Array:
        """Return the integral of M on the moments of a region [1/(m^2 s)], shape (3,)."""
        f = self.fields[region]
        exchange = cross_matrix(f.moment_omega) - f.moment_relaxation
        mu = np.sum(np.stack([self.solution.integrals(k)[0][1:] for k in self.state.layers(region)]), axis=0)
        found: Array = exchange @ (f.dos * mu)
        return found

    def _splits(self, interface: StackInterface) -> bool:
        return interface.second in self.problem.names and self.kinds[interface.second] == "F"

    @property
    def touching(self) -> list[tuple[str, str]]:
        """Pairs of regions that touch, one of them a conductor, as interfaces name them."""
        return [(i.first, i.second) for i in self.problem.interfaces]

    @cached_property
    def magnets(self) -> dict[str, tuple[Array, Array]]:  # type: ignore[override]
        """R J^M and the direction of the moments of every magnet."""
        found: dict[str, tuple[Array, Array]] = {}
        for name, f in self.fields.items():
            if f.has_moments:
                found[name] = f.rotation @ self._moments(name), moment_axis(f, self.problem.m)
        for name, kind in self.kinds.items():
            touching = [i for i in self.problem.interfaces if i.second == name]
            if kind == "FI" and touching:
                flux = sum((self._driving(i) for i in touching), np.zeros(3))
                if np.linalg.norm(flux) > self.least or any(self._acts(i) for i in touching):
                    found[name] = flux, self.problem.m
        return found

    def _end(self, interface: StackInterface) -> str | None:
        """Return the key of the condition at an outermost interface."""
        return self.problem.bottom if interface.position == 0 else self.problem.top

    def _acts(self, interface: StackInterface) -> bool:
        """Return whether something hands an insulator spin, even where that happens to be zero."""
        f, c, key = self.fields[interface.first], self.state.coefficients, self._end(interface)
        law = c.laws.get(key or "")
        couples = law is not None and bool(np.any(law.conductance) or np.any(law.drift))
        return couples or (f.has_moments and f.ordered) or key in c.potentials

    def _driving(self, interface: StackInterface) -> Array:
        """Return what drives an insulator through one of its faces, see `driving_flux`."""
        f = self.fields[interface.first]
        total = f.rotation @ self._into(interface)[1:]
        if f.has_moments and f.ordered:
            magnets = [
                i
                for i in self.problem.interfaces
                if i.first == interface.first and self.kinds[i.second] == "FI"
            ]
            total = total + f.rotation @ self._moments(interface.first) / len(magnets)
        return total

    def current(self, region: str) -> Array:
        """Return the mean conventional current density of a region [A/m^2], shape (3,)."""
        return self.averages[region].charge_current

    def area(self, magnet: str) -> float:
        """Return the area to which torques on a magnet refer."""
        return 1.0

    def drives(self, magnet: str) -> tuple[Drive, ...]:
        """Return what drives a magnet from every metal beside it."""
        if magnet not in self._drives:
            self._drives[magnet] = self._found_drives(magnet)
        return self._drives[magnet]

    def _found_drives(self, magnet: str) -> tuple[Drive, ...]:
        open_ones = [(i.first, i.second) for i in self.problem.interfaces if self._passes_spin(i)]
        metals = driving_metals(magnet, self.kinds, open_ones)
        metals = metals or driving_metals(magnet, self.kinds, self.touching)
        found = []
        for metal, ends in metals.items():
            a = self.averages[metal]
            heights = [
                -i.sign if i.first == metal else i.sign
                for i in self.problem.interfaces
                if metal in (i.first, i.second) and {i.first, i.second} - {metal} <= set(ends)
            ]
            n = np.array([0.0, 0.0, np.mean(heights)])
            turn = -cross_matrix(n)
            crossed, field = turn @ a.charge_current, turn @ a.electric_field
            normal = n if n.any() else None
            found.append(
                directed(metal, a.charge_current, crossed, field, normal, a.fields.conductivity, self.least)
            )
        if not found and magnet in self.problem.names:
            found = [undirected(magnet, self.averages[magnet].charge_current)]
        return tuple(found)

    def _passes_spin(self, interface: StackInterface) -> bool:
        if self.kinds[interface.second] in ("HM", "F") or self.kinds[interface.first] == "F":
            return True
        return self._end(interface) is not None

    def inner(self, name: str) -> bool:
        """Return whether currents of this name cross an interface, not an outer face."""
        return name in self._named

    def transparency(self, interface: str) -> float | None:
        """Return |e J| at an interface over the bulk spin Hall current of its first region."""
        faces = self._named[interface]
        n = np.array([[0.0, 0.0, np.mean([i.sign for i in faces])]])  # zero if it is on both sides
        a, arrived = self.averages[faces[0].first], E_CHARGE * self._mean(faces)[1:]
        return transparency(a.fields, arrived, a.charge_current[None], n, np.ones(1), self.least)

    def loss(self, interface: str) -> InterfaceLoss:
        """Return how much of the spin current into an F region never reaches moments."""
        faces = self._named[interface]
        behind = far_side((faces[0].first, faces[0].second), self.kinds, self.touching)
        handed = sum((self._moments(name) for name in behind), np.zeros(3))
        handed = handed + sum(
            (
                self._into(i)[1:]
                for i in self.problem.interfaces
                if i.first in behind and self.kinds[i.second] == "FI"
            ),
            np.zeros(3),
        )
        return interface_loss(-self._mean(faces)[1:], -handed, self.least)
