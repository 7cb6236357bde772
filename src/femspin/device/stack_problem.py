"""A case of the stack method without a mesh: its layers, faces and interfaces by name.

All of this follows from the list of layers alone; values and derivatives of all coefficients are
then put into this frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ..case.parameters import without_repetition
from ..case.schema import Case, Stack
from ..case.values import INSULATORS
from ..errors import CaseError
from ..fields.region import RegionFields
from ..interface.reduced import ReducedLayer, find_reduced
from ..materials.parameters import conductor_parameters
from ..transport.layers.stack import (
    Conductance,
    Contact,
    Face,
    Insulating,
    SpinPotential,
    StackCase,
    StackLayer,
    StackSolution,
    solve_stack,
)
from ..units import Array
from .coefficients import CaseCoefficients, case_coefficients, magnetization_direction

__all__ = [
    "StackInterface",
    "StackProblem",
    "StackState",
    "require_distinct",
    "solved_state",
    "stack_case",
    "stack_problem",
    "stack_state",
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
        kinds: HM, F, FI or I of every region.
        names: Region of each conducting layer from bottom to top, without reduced ones.
        members: Positions in ``structure.layers`` that make up each of them.
        interfaces: Of the conductors, in the order of the results.
        bottom: Key of the condition on the lowest face, or None.
        top: Key of the condition on the highest face, or None.
        contacts: Key of the contact at each interface that has one.
        m: Magnetization direction, shape (3,).
        reduced: F layers that are replaced by a face.
    """

    kinds: Mapping[str, str]
    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    interfaces: tuple[StackInterface, ...]
    bottom: str | None
    top: str | None
    contacts: Mapping[int, str]
    m: Array
    reduced: tuple[ReducedLayer, ...] = ()

    @property
    def distinct(self) -> bool:
        """Whether every conducting region is one layer of the stack."""
        return not self.reduced and len(set(self.names)) == len(self.names)


@dataclass(frozen=True)
class StackState:
    """A solved stack: solution and coefficients, from which every number follows."""

    problem: StackProblem
    solution: StackSolution
    coefficients: CaseCoefficients

    def layers(self, region: str) -> list[int]:
        """Return the positions of the layers of a conducting region."""
        return [k for k, name in enumerate(self.problem.names) if name == region]

    def fields(self, region: str) -> RegionFields:
        """Return the coefficients of a conducting region."""
        return self.coefficients.fields[region]


def stack_problem(case: Case, m: Array | None = None) -> StackProblem:
    """Return the frame of a case.

    Args:
        case: A completed case.
        m: Magnetization direction, shape (3,); default that of the case.

    Raises:
        CaseError: Naming what the stack solver cannot do.
    """
    case = without_repetition(case)
    stack = _require_stack(case)
    kinds = {name: r.kind for name, r in case.regions.items()}
    meshed: Case = case
    reduced: tuple[ReducedLayer, ...] = ()
    if any(r.model != "resolved" for r in case.regions.values()):
        meshed, reduced = find_reduced(case, conductor_parameters(case))
    gone = {layer.name for layer in reduced}
    listed = [(k, x.region) for k, x in enumerate(stack.layers) if x.region not in gone]
    names: list[str] = []
    members: list[tuple[int, ...]] = []
    for k, name in listed:
        if kinds[name] in INSULATORS:
            continue
        if names and names[-1] == name:
            members[-1] = (*members[-1], k)
        else:
            names.append(name)
            members.append((k,))
    regions = [name for _, name in listed]
    first, last = regions.index(names[0]), len(regions) - 1 - regions[::-1].index(names[-1])
    below = regions[first - 1] if first > 0 else None
    above = regions[last + 1] if last + 1 < len(regions) else None
    keys = [k for k, t in meshed.interfaces.items() if t.condition in _CONDITIONS]
    keys += [layer.face for layer in reduced]
    return StackProblem(
        kinds,
        tuple(names),
        tuple(members),
        _interfaces(regions, kinds, names, below, above),
        _condition(keys, "bottom", names[0], below),
        _condition(keys, "top", names[-1], above),
        _contacts(case, names),
        magnetization_direction(case, m),
        reduced,
    )


_CONDITIONS = ("conductance", "spin_flux", "spin_potential")


def _require_stack(case: Case) -> Stack:
    """Return the layers; refuse a case that is not a one-dimensional stack with a prescribed drive."""
    stack = case.structure
    if stack is None or stack.dimension != 1:
        raise CaseError("solver.method", "the stack method needs a [structure] of dimension 1")
    if case.drive.electrodes:
        raise CaseError("solver.method", "the stack method takes an electric field, no electrodes")
    kinds = [case.regions[layer.region].kind for layer in stack.layers]
    inside = "".join("i" if kind in INSULATORS else "c" for kind in kinds).strip("i")
    if "i" in inside:
        raise CaseError(
            "solver.method", "the stack method needs conducting layers without an insulator between them"
        )
    return stack


def require_distinct(problem: StackProblem, what: str, instead: str = "") -> None:
    """Refuse a stack with a reduced layer, or with a region in two separate layers.

    Args:
        problem: The frame.
        what: What cannot do it, for the message.
        instead: What does it, to end the message with.

    Raises:
        CaseError: Naming the layer.
    """
    for layer in problem.reduced:
        raise CaseError(
            f"regions.{layer.name}.model",
            f'{what} needs every layer resolved (got {layer.form!r}); use "resolved"{instead}',
        )
    for name in problem.names:
        if problem.names.count(name) > 1:
            raise CaseError(
                "structure.layers",
                f"{name} fills two separate layers; {what} needs regions of different names{instead}",
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


def _condition(keys: Iterable[str], side: str, outermost: str, beyond: str | None) -> str | None:
    """Return the key of what holds on an outer face of the conductors."""
    for key in keys:
        if key == side or (beyond is not None and set(key.split("|")) == {outermost, beyond}):
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
        StackLayer(c.fields[name], c.thickness[list(own)].sum())
        for name, own in zip(problem.names, problem.members, strict=True)
    )
    contacts = {k: Contact(c.contacts[key][1], c.contacts[key][0]) for k, key in problem.contacts.items()}
    return StackCase(layers, _face(problem.bottom, c), _face(problem.top, c), contacts)


def stack_state(case: Case, m: Array | None = None) -> StackState:
    """Return the exact solution of a completed case.

    Args:
        case: Completed.
        m: Magnetization direction, shape (3,); default that of the case.

    Raises:
        CaseError: See `stack_problem`.
        SolverError: If the spin potential is not determined.
    """
    problem = stack_problem(case, m)
    return solved_state(problem, case_coefficients(case, problem.m))


def solved_state(problem: StackProblem, c: CaseCoefficients) -> StackState:
    """Return the exact solution of a stack with these coefficients, dual if they are.

    Raises:
        SolverError: If the spin potential is not determined.
    """
    return StackState(problem, solve_stack(stack_case(problem, c)), c)


def _face(key: str | None, c: CaseCoefficients) -> Face:
    if key is None:
        return Insulating()
    if key in c.potentials:
        return SpinPotential(c.potentials[key])
    return Conductance(c.laws[key].conductance, c.laws[key].drift)
