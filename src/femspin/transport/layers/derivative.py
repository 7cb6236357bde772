r"""The exact derivative of a stack solution by anything that enters it.

With the chain :math:`K x = b` factored once, every change solves
:math:`K\,dx = db - dK\,x`; the maps of the slabs are differentiated by the product rule through
their own algorithm.  Everything is exact to round-off, at zero and at finite frequency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...fields.region import RegionFields
from ...units import E_CHARGE, ENERGY, AnyArray
from .balance import FluxSplit
from .balance_derivative import changed_sources
from .case import Contact, Face, SpinPotential, StackCase, StackLayer
from .dual import Dual
from .slab import CHARGE_INTEGRAL, DRIVE, FLUX_INTEGRAL, FLUX_TOP, MU_BOTTOM, MU_INTEGRAL, RISE, SlabOperators
from .slab_derivative import changed_slabs
from .stack import (
    INSULATING,
    Columns,
    StackSolution,
    charge_potential,
    face_condition,
    in_common_units,
    solve_columns,
)

__all__ = [
    "ContactChange",
    "LayerChange",
    "StackChange",
    "StackTangent",
    "admittance_derivatives",
    "constant_fields",
    "stack_derivatives",
]


def constant_fields(name: str = "") -> RegionFields:
    """Return the derivative of coefficients that do not change: zero in every array."""
    return RegionFields(name, 0.0, 0.0, theta=np.zeros((12, 12)), rotation=np.zeros((3, 3)))


@dataclass(frozen=True)
class LayerChange:
    """The derivative of one layer.

    Args:
        fields: Derivatives of dos, diffusion, gauge, omega, relaxation, theta and drift in the
            place of their values; see `constant_fields`.
        thickness: Derivative of the thickness [m].
    """

    fields: RegionFields = field(default_factory=constant_fields)
    thickness: float = 0.0


@dataclass(frozen=True)
class ContactChange:
    """The derivative of a contact: of its spin and charge conductance [S/m^2]."""

    spin: ArrayLike = 0.0
    charge: float = 0.0


@dataclass(frozen=True)
class StackChange:
    """The derivative of a stack by one parameter; what is not given does not change.

    Args:
        layers: By position, bottom to top.
        bottom: A face of the same kind as that of the case, with derivatives in it.
        top: Likewise.
        contacts: By interface.
        frequency: Of the angular frequency [rad/s].
        charge_flux: Of J^{z0} [1/(m^2 s)].
    """

    layers: Mapping[int, LayerChange] = field(default_factory=dict)
    bottom: Face | None = None
    top: Face | None = None
    contacts: Mapping[int, ContactChange] = field(default_factory=dict)
    frequency: float = 0.0
    charge_flux: float = 0.0

    def layer(self, k: int) -> LayerChange:
        """Return the change of layer k, which may be none."""
        return self.layers.get(k) or LayerChange()


@dataclass(frozen=True)
class StackTangent:
    """The derivative of a `StackSolution` by one parameter, per unit of the parameter.

    Positions are those that move with the layers: a fixed interface, not a fixed z.

    Args:
        solution: What is differentiated.
        change: By what.
        lower: Derivative of the state (mu, J) at the bottom of each layer, shape (n, 8).
        upper: At the top of each layer.
        integral: Of the integral over each layer.
        in_plane: Of the in-plane laws of each layer, shape (n, 8, 9).
    """

    solution: StackSolution
    change: StackChange
    lower: AnyArray
    upper: AnyArray
    integral: AnyArray
    in_plane: AnyArray

    def interface_potential(self, k: int, side: int = 1) -> AnyArray:
        """Return the derivative of mu^eta [J] at interface k, see `StackSolution`, shape (4,)."""
        return self._interface(k, side)[:4]

    def interface_flux(self, k: int) -> AnyArray:
        """Return the derivative of J^{z eta} [1/(m^2 s)] through interface k, shape (4,)."""
        return self._interface(k, 1)[4:]

    def integrals(self, k: int) -> tuple[AnyArray, AnyArray]:
        """Return the derivatives of the integrals of mu and J over layer k, shape (4,) each."""
        return self.integral[k, :4], self.integral[k, 4:]

    def in_plane_current(self, k: int) -> AnyArray:
        """Return the derivative of the integrated in-plane current of layer k, shape (2, 4)."""
        laws, case = self.solution.operators.in_plane[k], self.solution.case
        new = laws[:, :8] @ self.integral[k] + laws[:, 8] * self.change.layer(k).thickness
        new = new + self.in_plane[k, :, :8] @ self.solution.integral[k]
        found: AnyArray = (new + self.in_plane[k, :, 8] * case.layers[k].thickness).reshape(2, 4)
        return found

    def split(self, k: int, face: Literal["top", "bottom"] = "top") -> FluxSplit:
        """Return the derivative of `StackSolution.split`, part by part."""
        if face not in ("top", "bottom"):
            raise ValueError(f"face must be top or bottom, got {face!r}")
        s, change = self.solution, self.change
        entering = self.lower[k, 5:] if face == "top" else -self.upper[k, 5:]
        return changed_sources(
            s.case.layers[k],
            change.layer(k).fields,
            change.layer(k).thickness,
            Dual(s.integral[k, 1:4], self.integral[k, 1:4]),
            Dual(s.upper[k, :4] - s.lower[k, :4], self.upper[k, :4] - self.lower[k, :4]),
            entering,
            Dual(np.array(s.case.frequency), np.array(change.frequency)),
        )

    def _interface(self, k: int, side: int) -> AnyArray:
        count = len(self.lower)
        if not 0 <= k <= count:
            raise ValueError(f"interface must be 0 to {count}, got {k}")
        found: AnyArray = self.lower[k] if k < count and (side > 0 or k == 0) else self.upper[k - 1]
        return found


def stack_derivatives(
    case: StackCase, changes: Sequence[StackChange]
) -> tuple[StackSolution, tuple[StackTangent, ...]]:
    """Return the solution of a stack and its derivative by every parameter.

    Args:
        case: The stack.
        changes: Derivative of the stack by each parameter.

    Raises:
        SolverError: If the spin potential is not determined, or continuity is missed.
        ValueError: If a changed layer, contact or face does not exist in the case.
    """
    columns = solve_columns(case)
    solution = columns.solution(case)
    if not changes:
        return solution, ()
    found = _tangents(case, columns, changes)
    tangents = tuple(
        StackTangent(
            solution,
            change,
            found.lower[p, ..., 0],
            found.upper[p, ..., 0],
            found.integral[p, ..., 0],
            found.in_plane[p],
        )
        for p, change in enumerate(changes)
    )
    return solution, tangents


def admittance_derivatives(
    layers: Sequence[StackLayer],
    changes: Sequence[StackChange],
    bottom: Face = INSULATING,
    contacts: Mapping[int, Contact] | None = None,
    frequency: float = 0.0,
) -> tuple[tuple[AnyArray, AnyArray], ...]:
    """Return the derivatives of `stack.admittance` by every parameter.

    Returns:
        dG [S/m^2], shape (3, 3), and dJ_E [1/(m^2 s)], shape (3,), for each change.
    """
    if not changes:
        return ()
    case = StackCase(layers, bottom, SpinPotential((0, 0, 0)), contacts or {}, frequency)
    flux = _tangents(case, solve_columns(case, probe=True), changes).upper[:, -1, 5:]
    return tuple((x[:, 1:] * (E_CHARGE**2 / ENERGY), x[:, 0]) for x in flux)


@dataclass(frozen=True)
class _Tangents:
    """Derivatives of states, shape (P, n, 8, m), and of in-plane laws, shape (P, n, 8, 9)."""

    lower: AnyArray
    upper: AnyArray
    integral: AnyArray
    in_plane: AnyArray


@dataclass(frozen=True)
class _Slabs:
    """Derivatives of every slab by every parameter; see `SlabChange`, with shape (P, n, ...)."""

    maps: AnyArray
    flux: AnyArray
    height: AnyArray
    in_plane: AnyArray


def _tangents(case: StackCase, columns: Columns, changes: Sequence[StackChange]) -> _Tangents:
    """Return the derivatives of all columns by all parameters; one solution of the chain."""
    _check(case, changes)
    c, slabs = columns, _slabs(case, columns.operators, changes)
    ratio = c.operators.flux / c.unit
    dratio = slabs.flux / c.unit
    right = [_sources(case, c, ratio, slabs, dratio, p, x) for p, x in enumerate(changes)]
    values = np.concatenate(right, axis=1)
    count, m = len(changes), len(c.drive)
    solved, _ = c.matrix.solve(values)
    nodes = np.moveaxis(solved.reshape(*solved.shape[:2], count, m), 2, 0)
    inputs = np.zeros((count, *c.inputs.shape), np.result_type(nodes, c.inputs))
    inputs[:, :, MU_BOTTOM] = nodes[:, c.node, :3]
    change = dratio[:, :, None, None] * c.inputs[:, FLUX_TOP]
    inputs[:, :, FLUX_TOP] = (nodes[:, c.node + 1, 3:] - change) / ratio[:, None, None]
    out = slabs.maps @ c.inputs + c.maps @ inputs
    jumps = [_jump_change(case, x, c.drive) for x in changes]
    charge = [charge_potential(o[:, RISE], j) for o, j in zip(out, jumps, strict=True)]
    mu0 = np.stack(charge)
    flux0 = np.array([x.charge_flux for x in changes])
    lower = _states(c, mu0[:, 0], nodes[:, c.node], flux0)
    upper = _states(c, mu0[:, 1], nodes[:, c.node + 1], flux0)
    integral = _integrals(case, c, slabs, out, mu0[:, 0], changes)
    return _Tangents(lower, upper, integral, slabs.in_plane)


def _check(case: StackCase, changes: Sequence[StackChange]) -> None:
    for change in changes:
        for k in change.layers:
            if not 0 <= k < len(case.layers):
                raise ValueError(f"change of layer {k}, but the stack has {len(case.layers)}")
        for k in change.contacts:
            if k not in case.contacts:
                raise ValueError(f"change of a contact at interface {k}, where there is none")
        for name in ("bottom", "top"):
            face = getattr(change, name)
            if face is not None and type(face) is not type(getattr(case, name)):
                raise ValueError(f"change of the {name} face: it must be of the same kind")


def _slabs(case: StackCase, operators: SlabOperators, changes: Sequence[StackChange]) -> _Slabs:
    """Return the derivatives of the slabs; those that do not change are left out of the work."""
    n = len(case.layers)
    pairs = [
        (p, k)
        for p, x in enumerate(changes)
        for k in range(n)
        if k in x.layers or x.frequency or x.charge_flux
    ]
    p, k = np.array(pairs, int).reshape(-1, 2).T
    own = [changes[a].layer(b) for a, b in pairs]
    found = (
        changed_slabs(
            [case.layers[b].fields for b in k],
            [x.fields for x in own],
            (case.thickness[k], np.array([x.thickness for x in own])),
            (case.frequency, np.array([changes[a].frequency for a in p])),
            (case.charge_flux, np.array([changes[a].charge_flux for a in p])),
            SlabOperators(*(getattr(operators, f.name)[k] for f in fields(operators))),
        )
        if pairs
        else None
    )
    shapes = {"maps": (14, 7), "flux": (), "height": (), "in_plane": (8, 9)}
    arrays = {}
    for key, shape in shapes.items():
        dtype = float if found is None else getattr(found, key).dtype
        arrays[key] = np.zeros((len(changes), n, *shape), dtype)
        if found is not None:
            arrays[key][p, k] = getattr(found, key)
    return _Slabs(**arrays)


def _sources(
    case: StackCase, c: Columns, ratio: AnyArray, slabs: _Slabs, dratio: AnyArray, p: int, change: StackChange
) -> AnyArray:
    """Return db - dK x of one parameter, shape (6 n + 6, m)."""
    m = len(c.drive)
    bottom, low = _face_change(case.bottom, change.bottom, 1, c.unit)
    top, high = _face_change(case.top, change.top, -1, c.unit)
    first = np.multiply.outer(low, c.drive) - bottom @ c.nodes[0]
    last = np.multiply.outer(high, c.drive) - top @ c.nodes[-1]
    rows = in_common_units(slabs.maps[p], ratio)
    turn = (dratio[p] / ratio)[:, None, None]
    same = in_common_units(c.maps, ratio)
    rows[:, :3, MU_BOTTOM] += same[:, :3, MU_BOTTOM] * turn
    rows[:, :3, DRIVE:] += same[:, :3, DRIVE:] * turn
    rows[:, 3:, FLUX_TOP] -= same[:, 3:, FLUX_TOP] * turn
    common = c.inputs.copy()
    common[:, FLUX_TOP] *= ratio[:, None, None]
    inner = np.zeros((len(c.nodes) - 1, 6, m), np.result_type(rows, common))
    inner[c.node] = rows @ common
    for k, contact in change.contacts.items():
        drop = _resistance_change(case.contacts[k], contact) * (c.unit / ENERGY)
        inner[c.node[k] - 1, 3:] = -drop @ c.nodes[c.node[k], 3:]
    return np.concatenate([first, inner.reshape(-1, m), last])


def _face_change(case: Face, change: Face | None, inward: int, unit: float) -> tuple[AnyArray, AnyArray]:
    """Return the derivatives of the rows (3, 6) and values (3,) of `face_condition`."""
    if change is None:
        return np.zeros((3, 6)), np.zeros(3)
    rows, values = face_condition(change, inward, unit)
    fixed = slice(0, 3) if isinstance(case, SpinPotential) else slice(3, 6)
    rows = rows.copy()
    rows[:, fixed] -= np.eye(3)
    return rows, values


def _resistance_change(contact: Contact, change: ContactChange) -> AnyArray:
    """Return the derivative of `Contact.resistance`, shape (3, 3)."""
    slope = np.asarray(change.spin, float)
    tensor = slope * np.eye(3) if slope.ndim == 0 else slope
    inverted = contact.resistance / E_CHARGE**2
    return np.asarray(-(E_CHARGE**2) * inverted @ tensor @ inverted)


def _jump_change(case: StackCase, change: StackChange, drive: AnyArray) -> AnyArray:
    """Return the derivative of the drops of mu^0 at contacts [meV], shape (n, m)."""
    jump = np.zeros((len(case.layers), len(drive)))
    for k, contact in case.contacts.items():
        slope = change.charge_flux / contact.charge
        if k in change.contacts:
            slope -= case.charge_flux / contact.charge**2 * change.contacts[k].charge
        jump[k] = slope * E_CHARGE**2 / ENERGY * drive
    return jump


def _states(c: Columns, mu0: AnyArray, spins: AnyArray, flux0: AnyArray) -> AnyArray:
    """Return derivatives of (mu, J) in SI, shape (P, n, 8, m)."""
    count, n, m = mu0.shape
    found = np.empty((count, n, 8, m), np.result_type(mu0, spins))
    found[:, :, 0], found[:, :, 1:4] = ENERGY * mu0, ENERGY * spins[:, :, :3]
    found[:, :, 4] = flux0[:, None, None] * c.drive
    found[:, :, 5:] = c.unit * spins[:, :, 3:]
    return found


def _integrals(
    case: StackCase, c: Columns, slabs: _Slabs, out: AnyArray, mu0: AnyArray, changes: Sequence[StackChange]
) -> AnyArray:
    """Return derivatives of the integrated states in SI, shape (P, n, 8, m)."""
    o, thickness = c.operators, case.thickness
    height = (thickness / o.length)[:, None]
    found = np.empty((len(changes), len(thickness), 8, len(c.drive)), np.result_type(out, mu0))
    found[:, :, 0] = out[:, :, CHARGE_INTEGRAL] + height * mu0
    found[:, :, 0] += slabs.height[:, :, None] * c.charge[0]
    found[:, :, 1:4] = out[:, :, MU_INTEGRAL]
    found[:, :, :4] *= (ENERGY * o.length)[:, None, None]
    inside = (c.maps @ c.inputs)[:, FLUX_INTEGRAL]
    found[:, :, 5:] = out[:, :, FLUX_INTEGRAL] * (o.flux * o.length)[:, None, None]
    found[:, :, 5:] += inside * (slabs.flux * o.length)[:, :, None, None]
    for p, x in enumerate(changes):
        grown = np.array([x.layer(k).thickness for k in range(len(thickness))])
        total = x.charge_flux * thickness + case.charge_flux * grown
        found[p, :, 4] = np.multiply.outer(total, c.drive)
    return found
