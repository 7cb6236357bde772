"""A case of the stack method without a mesh: its layers, faces and interfaces by name.

What `femspin.device.layered` reads off a mesh follows from the list of layers alone; values and
derivatives of all coefficients are then put into this frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from ..case.schema import Case
from ..case.values import INSULATORS
from ..errors import CaseError
from ..fields.kondo import MomentState
from ..fields.region import RegionFields
from ..transport.layers.derivative import ContactChange, LayerChange, StackChange, StackTangent
from ..transport.layers.stack import (
    Conductance,
    Contact,
    Face,
    Insulating,
    SpinPotential,
    StackCase,
    StackLayer,
    StackSolution,
)
from ..units import Array
from .coefficients import CaseCoefficients, FieldDerivatives

__all__ = [
    "StackInterface",
    "StackProblem",
    "StackState",
    "moved",
    "stack_case",
    "stack_change",
    "stack_problem",
]

T = TypeVar("T")


@dataclass(frozen=True)
class StackInterface:
    """An interface with at least one conducting side.

    Args:
        name: ``first|second`` as in every result.
        first: The region its currents flow into.
        second: The other one.
        position: Interface of the `StackCase`, counted from the bottom.
        sign: +1 if `first` lies above.
    """

    name: str
    first: str
    second: str
    position: int
    sign: int


@dataclass(frozen=True)
class StackProblem:
    """The frame of a stack: what no continuous parameter changes.

    Args:
        kinds: HM, F or FI of every region.
        names: Conducting regions from bottom to top, one layer each.
        members: Positions in ``structure.layers`` that make up each of them.
        interfaces: Of the conductors, in the order of the results.
        bottom: Key of the condition on the lowest face, or None.
        top: Key of the condition on the highest face, or None.
        contacts: Key of the contact at each interface that has one.
        m: Magnetization direction, shape (3,).
    """

    kinds: Mapping[str, str]
    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    interfaces: tuple[StackInterface, ...]
    bottom: str | None
    top: str | None
    contacts: Mapping[int, str]
    m: Array


@dataclass(frozen=True)
class StackState:
    """A solved stack: solution and coefficients, from which every number follows."""

    problem: StackProblem
    solution: StackSolution
    coefficients: CaseCoefficients

    def layer(self, region: str) -> int:
        """Return the position of a conducting region."""
        return self.problem.names.index(region)

    def fields(self, region: str) -> RegionFields:
        """Return the coefficients of a conducting region."""
        return self.coefficients.fields[region]


def stack_problem(case: Case) -> StackProblem:
    """Return the frame of a case that `femspin.device.layered.require_stack` accepts.

    Raises:
        CaseError: For a region in two separate layers, or a replaced one.
    """
    assert case.structure is not None
    regions = [layer.region for layer in case.structure.layers]
    kinds = {name: r.kind for name, r in case.regions.items()}
    for name, region in case.regions.items():
        if region.model != "resolved":
            raise CaseError(
                f"regions.{name}.model", f'a fit resolves every layer; use "resolved" (got {region.model!r})'
            )
    names: list[str] = []
    members: list[tuple[int, ...]] = []
    for k, name in enumerate(regions):
        if kinds[name] in INSULATORS:
            continue
        if names and names[-1] == name:
            members[-1] = (*members[-1], k)
        elif name in names:
            raise CaseError(
                "structure.layers",
                f"{name} fills two separate layers; a fit needs regions of different names",
            )
        else:
            names.append(name)
            members.append((k,))
    first, last = members[0][0], members[-1][-1]
    below = regions[first - 1] if first > 0 else None
    above = regions[last + 1] if last + 1 < len(regions) else None
    contacts = _contacts(case, names)
    direction = np.asarray(case.magnetization.direction, float)
    return StackProblem(
        kinds,
        tuple(names),
        tuple(members),
        _interfaces(regions, kinds, names, below, above),
        _condition(case, "bottom", names[0], below),
        _condition(case, "top", names[-1], above),
        contacts,
        direction / np.linalg.norm(direction),
    )


def _interfaces(
    regions: list[str], kinds: Mapping[str, str], names: list[str], below: str | None, above: str | None
) -> tuple[StackInterface, ...]:
    """Return the interfaces, named and sorted as `find_interfaces` does."""
    rank = {"HM": 0, "F": 1, "FI": 2, "I": 3}
    listed = list(dict.fromkeys(reversed(regions)))
    order = {name: (rank[kinds[name]], listed.index(name)) for name in listed}
    chain = [below, *names, above]
    found = []
    for k in range(len(names) + 1):
        low, high = chain[k], chain[k + 1]
        if low is None or high is None:
            continue
        first, second = sorted((low, high), key=lambda n: order[n])
        sign = 1 if first == high else -1
        found.append(StackInterface(f"{first}|{second}", first, second, k, sign))
    return tuple(sorted(found, key=lambda i: (order[i.first], order[i.second])))


def _condition(case: Case, side: str, outermost: str, beyond: str | None) -> str | None:
    """Return the key of the table that holds on an outer face of the conductors."""
    for key, table in case.interfaces.items():
        here = key == side or (beyond is not None and set(key.split("|")) == {outermost, beyond})
        if here and table.condition in ("conductance", "spin_flux", "spin_potential"):
            return key
    return None


def _contacts(case: Case, names: list[str]) -> dict[int, str]:
    pairs = {
        frozenset(key.split("|")): key
        for key, table in case.interfaces.items()
        if table.condition == "contact"
    }
    found = {k: pairs.get(frozenset(names[k - 1 : k + 1])) for k in range(1, len(names))}
    return {k: key for k, key in found.items() if key is not None}


def stack_case(problem: StackProblem, c: CaseCoefficients) -> StackCase:
    """Return the stack with these coefficients."""
    layers = tuple(
        StackLayer(c.fields[name], float(c.thickness[list(own)].sum()))
        for name, own in zip(problem.names, problem.members, strict=True)
    )
    contacts = {k: Contact(c.contacts[key][1], c.contacts[key][0]) for k, key in problem.contacts.items()}
    return StackCase(layers, _face(problem.bottom, c), _face(problem.top, c), contacts)


def stack_change(problem: StackProblem, d: FieldDerivatives) -> StackChange:
    """Return the derivative of the stack."""
    layers = {
        k: LayerChange(d.fields[name], float(d.thickness[list(own)].sum()))
        for k, (name, own) in enumerate(zip(problem.names, problem.members, strict=True))
        if d.thickness[list(own)].any() or _changes(d.fields[name])
    }
    contacts = {
        k: ContactChange(d.contacts[key][1], d.contacts[key][0]) for k, key in problem.contacts.items()
    }
    bottom, top = (None if key is None else _face(key, d) for key in (problem.bottom, problem.top))
    return StackChange(layers, bottom, top, contacts)


def _changes(f: RegionFields) -> bool:
    arrays = ("gauge", "omega", "relaxation", "theta", "drift")
    return bool(f.dos or f.diffusion or any(getattr(f, k).any() for k in arrays))


def _face(key: str | None, c: CaseCoefficients) -> Face:
    if key is None:
        return Insulating()
    if key in c.potentials:
        return SpinPotential(c.potentials[key])
    return Conductance(c.laws[key].conductance, c.laws[key].drift)


def moved(state: StackState, tangent: StackTangent, d: FieldDerivatives, step: float) -> StackState:
    """Return the state moved along a tangent: everything plus step times its derivative.

    A function of the state has the derivative of the function along a parameter; no equation is
    solved again.
    """
    c, s, p = state.coefficients, state.solution, state.problem
    changed = {n: _moved_fields(f, d.fields[n], step) for n, f in c.fields.items()}
    new = CaseCoefficients(
        changed, c.laws, c.contacts, c.potentials, c.thickness + step * d.thickness, c.electrodes
    )
    layers = tuple(
        StackLayer(changed[name], float(new.thickness[list(own)].sum()))
        for name, own in zip(p.names, p.members, strict=True)
    )
    solution = StackSolution(
        replace(s.case, layers=layers),
        s.lower + step * tangent.lower,
        s.upper + step * tangent.upper,
        s.integral + step * tangent.integral,
        replace(s.operators, in_plane=s.operators.in_plane + step * tangent.in_plane),
        s.mismatch,
    )
    return StackState(p, solution, new)


def _moved_fields(f: RegionFields, d: RegionFields, step: float) -> RegionFields:
    arrays = (
        "dos",
        "diffusion",
        "gauge",
        "omega",
        "relaxation",
        "theta",
        "drift",
        "rotation",
        "moment_relaxation",
        "moment_omega",
    )
    values: dict[str, Any] = {k: getattr(f, k) + step * getattr(d, k) for k in arrays}
    moments = None
    if f.moments is not None and d.moments is not None:
        moments = MomentState(**_sum(f.moments, d.moments, step))
    m = None if f.m is None or d.m is None else f.m + step * d.m
    return RegionFields(f.name, **values, moments=moments, m=m, ordered=f.ordered)


def _sum(a: MomentState, b: MomentState, step: float) -> dict[str, float]:
    names: Iterable[str] = (x.name for x in fields(MomentState))
    return {k: getattr(a, k) + step * getattr(b, k) for k in names}
