r"""Exact spin transport through laterally uniform multilayers.

Every layer is uniform, so the transport equations are ordinary differential equations in z
with constant coefficients; `femspin.transport.layers.slab` tells how they are integrated.  Potentials
and fluxes are continuous from layer to layer, or jump at a contact conductance;
:math:`J^{z0}` is the same everywhere and :math:`\mu^0 = 0` at the very top.

Fluxes count particles and are positive along +z.  With an angular frequency all results are
complex amplitudes of :math:`e^{iWt}`; the charge follows without delay.

A case with dual numbers in it (`femspin.dual`) has a solution with dual numbers, exact to
round-off: its changes are those at interfaces that move with the layers, not at a fixed z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...dual import as_array, value_of
from ...units import E_CHARGE, ENERGY, AnyArray
from .balance import FluxSplit, layer_sources
from .case import Conductance, Contact, Face, Insulating, SpinFlux, SpinPotential, StackCase, StackLayer
from .chain import solve_chain
from .slab import (
    CHARGE_INTEGRAL,
    DRIVE,
    FLUX_INTEGRAL,
    FLUX_TOP,
    MU_BOTTOM,
    MU_INTEGRAL,
    RISE,
    SlabOperators,
    local_laws,
    middle_state,
    slab_maps,
    slab_operators,
)

__all__ = [
    "Conductance",
    "Contact",
    "Face",
    "Insulating",
    "SpinFlux",
    "SpinPotential",
    "StackCase",
    "StackLayer",
    "StackSolution",
    "admittance",
    "admittance_parts",
    "solve_stack",
]

INSULATING = Insulating()


@dataclass(frozen=True)
class StackSolution:
    """Potentials and fluxes in a stack, exact to round-off.

    States hold mu^eta [J] and then J^{z eta} [1/(m^2 s)], eta = charge, x, y, z; they are
    complex if the frequency is not zero.

    Args:
        case: What was solved.
        lower: State at the bottom of each layer, shape (n, 8).
        upper: State at the top of each layer, shape (n, 8).
        integral: Integral of the state over each layer [J m, 1/(m s)], shape (n, 8).
        operators: Local laws of the layers.
        mismatch: Continuity error relative to the terms that balance.
    """

    case: StackCase
    lower: AnyArray
    upper: AnyArray
    integral: AnyArray
    operators: SlabOperators
    mismatch: float

    def potential(self, z: ArrayLike, side: int = 1) -> AnyArray:
        """Return mu^eta [J] at z [m], shape (..., 4) for z of shape (...).

        Args:
            z: Positions within the stack.
            side: At an interface, +1 takes the layer above and -1 the layer below; they
                differ only at a contact.
        """
        return self._state(z, side)[..., :4]

    def flux(self, z: ArrayLike) -> AnyArray:
        """Return J^{z eta} [1/(m^2 s)] at z [m], shape (..., 4)."""
        return self._state(z, 1)[..., 4:]

    def interface_potential(self, k: int, side: int = 1) -> AnyArray:
        """Return mu^eta [J] at interface k, in the layer above (+1) or below (-1), shape (4,)."""
        return self._interface(k, side)[:4]

    def interface_flux(self, k: int) -> AnyArray:
        """Return J^{z eta} [1/(m^2 s)] through interface k, shape (4,)."""
        return self._interface(k, 1)[4:]

    def integrals(self, k: int) -> tuple[AnyArray, AnyArray]:
        """Return the integrals over layer k of mu^eta [J m] and J^{z eta} [1/(m s)], (4,) each."""
        return self.integral[k, :4], self.integral[k, 4:]

    def in_plane_current(self, k: int) -> AnyArray:
        """Return the integral over layer k of J^{p eta}, p = x, y [1/(m s)], shape (2, 4)."""
        laws = self.operators.in_plane[k]
        thickness = self.case.layers[k].thickness
        found: AnyArray = (laws[:, :8] @ self.integral[k] + laws[:, 8] * thickness).reshape(2, 4)
        return found

    def split(self, k: int, face: Literal["top", "bottom"] = "top") -> FluxSplit:
        """Return the causes of the spin flux that leaves layer k through one of its faces.

        For the top face the parts add up to J^{za}, for the bottom face to -J^{za}, the flux
        that leaves downwards.
        """
        if face not in ("top", "bottom"):
            raise ValueError(f"face must be top or bottom, got {face!r}")
        entering = self.lower[k, 5:] if face == "top" else -self.upper[k, 5:]
        layer = self.case.layers[k]
        rise = self.upper[k, :4] - self.lower[k, :4]
        return layer_sources(
            layer.fields, layer.thickness, self.integral[k, 1:4], rise, entering, self.case.frequency
        )

    def _interface(self, k: int, side: int) -> AnyArray:
        """Return (mu, J) at interface k, shape (8,)."""
        count = len(self.lower)
        if not 0 <= k <= count:
            raise ValueError(f"interface must be 0 to {count}, got {k}")
        found: AnyArray = self.lower[k] if k < count and (side > 0 or k == 0) else self.upper[k - 1]
        return found

    def _state(self, z: ArrayLike, side: int) -> AnyArray:
        """Return (mu, J) at z, shape (..., 8): two maps meet at each point."""
        z = np.asarray(z, float)
        where, edges = z.ravel(), self.case.interfaces
        slack = 1e-12 * (edges[-1] - edges[0])
        if np.any(where < edges[0] - slack) or np.any(where > edges[-1] + slack):
            raise ValueError(f"z must lie within [{edges[0]:.6g}, {edges[-1]:.6g}] m")
        k = np.searchsorted(edges, where + np.copysign(slack, side), "right") - 1
        k = np.clip(k, 0, len(self.lower) - 1)
        ops, length, flux = self.operators, self.operators.length[k], self.operators.flux[k]
        below = np.clip(where - edges[k], 0.0, None) / length
        above = np.clip(edges[k + 1] - where, 0.0, None) / length
        twice = np.concatenate([k, k])
        maps = slab_maps(ops.generator[twice], ops.norm[twice], np.concatenate([below, above]))
        lower, upper = maps[: len(k)], maps[len(k) :]
        inputs = np.ones((len(k), 7, 1), self.lower.dtype)
        inputs[:, MU_BOTTOM, 0] = self.lower[k, 1:4] / ENERGY
        inputs[:, FLUX_TOP, 0] = self.upper[k, 5:] / flux[:, None]
        middle = middle_state(lower, upper) @ inputs
        inputs[:, MU_BOTTOM] = middle[:, :3]
        rise = (upper[:, RISE, None] @ inputs)[:, 0, 0]
        state = np.empty((len(k), 8), self.lower.dtype)
        state[:, 0] = self.upper[k, 0] - ENERGY * rise
        state[:, 1:4] = ENERGY * middle[:, :3, 0]
        state[:, 4] = self.case.charge_flux
        state[:, 5:] = flux[:, None] * middle[:, 3:, 0]
        return state.reshape(*z.shape, 8)


def solve_stack(case: StackCase) -> StackSolution:
    """Return the exact potentials and fluxes of a stack.

    Raises:
        SolverError: If the spin potential is not determined, or continuity is missed.
    """
    return solve_columns(case).solution(case)


def admittance(
    layers: Sequence[StackLayer],
    bottom: Face = INSULATING,
    contacts: Mapping[int, Contact] | None = None,
    frequency: float = 0.0,
) -> tuple[AnyArray, AnyArray]:
    """Return G and J_E of the flux out of the top of a stack, J^{za} = G_ab mu^b/e^2 + J_E^a.

    Args:
        layers: From bottom to top.
        bottom: Condition on the bottom face.
        contacts: Contact conductances as in `StackCase`.
        frequency: Angular frequency W [rad/s].

    Returns:
        G [S/m^2], shape (3, 3), and J_E [1/(m^2 s)], shape (3,); both can be given as they are
        to `Conductance` for the bottom face of a stack above.
    """
    case = StackCase(layers, bottom, SpinPotential((0, 0, 0)), contacts or {}, frequency)
    flux = solve_columns(case, probe=True).upper[-1, 5:]
    return flux[:, 1:] * (E_CHARGE**2 / ENERGY), flux[:, 0]


def admittance_parts(
    layer: StackLayer, bottom: Face = INSULATING, frequency: float = 0.0
) -> tuple[FluxSplit, FluxSplit]:
    """Return the split of `admittance` of a single layer, part by part.

    Returns:
        The parts of G [S/m^2], shape (3, 3) each, and of J_E [1/(m^2 s)], shape (3,) each.
    """
    case = StackCase((layer,), bottom, SpinPotential((0, 0, 0)), frequency=frequency)
    found = solve_columns(case, probe=True)
    lower, upper, integral = (x[0].T for x in (found.lower, found.upper, found.integral))
    parts = layer_sources(
        layer.fields,
        layer.thickness,
        integral[:, 1:4],
        upper[:, :4] - lower[:, :4],
        lower[:, 5:],
        frequency,
        found.drive,
    ).parts()
    scale = E_CHARGE**2 / ENERGY
    return (
        FluxSplit(**{name: scale * part[1:].T for name, part in parts.items()}),
        FluxSplit(**{name: part[0] for name, part in parts.items()}),
    )


@dataclass(frozen=True)
class Columns:
    """States under m drives at once: column 0 is the case, the others probe its top face.

    States have shape (n, 8, m), `drive` shape (m,).

    Args:
        drive: Scale of the drive.
        operators: Local laws of the layers.
        lower: State at the bottom of each layer.
        upper: State at the top.
        integral: Integral of the state.
        mismatch: Continuity error.
    """

    drive: AnyArray
    operators: SlabOperators
    lower: AnyArray
    upper: AnyArray
    integral: AnyArray
    mismatch: float

    def solution(self, case: StackCase) -> StackSolution:
        """Return the first column as the solution of the case."""
        return StackSolution(
            case, self.lower[..., 0], self.upper[..., 0], self.integral[..., 0], self.operators, self.mismatch
        )


def solve_columns(case: StackCase, probe: bool = False) -> Columns:
    """Solve a case, and with `probe` also for mu^a(top) = 1 meV along x, y, z undriven."""
    drive = np.array([1.0, 0.0, 0.0, 0.0]) if probe else np.ones(1)
    thickness, laws = case.thickness, local_laws(case.fields, case.frequency)
    operators = slab_operators(laws, thickness, case.charge_flux)
    height = thickness / operators.length
    maps = slab_maps(operators.generator, operators.norm, height)
    unit = float(np.exp(np.mean(np.log(value_of(operators.flux)))))
    ratio = operators.flux / unit
    bottom = face_condition(case.bottom, 1, unit)
    top = face_condition(case.top, -1, unit)
    low, high = np.multiply.outer(bottom[1], drive), np.multiply.outer(top[1], drive)
    if probe:
        high[:, 1:] = np.eye(3)
    elements = _with_contacts(case, in_common_units(maps, ratio), unit)
    nodes, mismatch = solve_chain(elements, (bottom[0], low), (top[0], high), drive)

    node = np.arange(len(thickness))
    for k in case.contacts:
        node[k:] += 1
    driven = np.broadcast_to(drive, (len(maps), 1, len(drive)))
    spins = [nodes[node, :3], nodes[node + 1, 3:] / ratio[:, None, None]]
    out = maps @ np.concatenate([*spins, driven], axis=1)
    charge = charge_potential(out[:, RISE], _charge_jumps(case, drive))

    def state(mu0: AnyArray, spins: AnyArray) -> AnyArray:
        scaled = [
            ENERGY * mu0[:, None],
            ENERGY * spins[:, :3],
            case.charge_flux * driven,
            unit * spins[:, 3:],
        ]
        return np.concatenate(scaled, axis=1)

    mu0 = out[:, CHARGE_INTEGRAL] + height[:, None] * charge[0]
    mu = np.concatenate([mu0[:, None], out[:, MU_INTEGRAL]], axis=1)
    flux = out[:, FLUX_INTEGRAL] * (operators.flux * operators.length)[:, None, None]
    flux0 = case.charge_flux * np.multiply.outer(thickness, drive)
    integral = np.concatenate([mu * (ENERGY * operators.length)[:, None, None], flux0[:, None], flux], axis=1)
    lower, upper = state(charge[0], nodes[node]), state(charge[1], nodes[node + 1])
    return Columns(drive, operators, lower, upper, integral, mismatch)


def face_condition(face: Face, inward: int, unit: float) -> tuple[AnyArray, AnyArray]:
    """Return rows (3, 6) and values (3,) of ``rows @ (mu, J) = values``, in meV and `unit`."""
    rows = np.zeros((3, 6))
    if isinstance(face, SpinPotential):
        rows[:, :3] = np.eye(3)
        return rows, as_array(face.mu) / ENERGY
    rows[:, 3:] = np.eye(3)
    if isinstance(face, SpinFlux):
        return rows, as_array(face.flux) / unit
    if isinstance(face, Conductance):
        slope = -inward * as_array(face.G) * (ENERGY / E_CHARGE**2 / unit)
        return np.concatenate([slope, np.eye(3)], axis=1), inward * as_array(face.drift) / unit
    return rows, np.zeros(3)


def in_common_units(maps: AnyArray, ratio: AnyArray) -> AnyArray:
    """Return the first six rows of maps with fluxes in one unit, `ratio` times finer."""
    rows, ratio = maps[:, :6].copy(), ratio[:, None, None]
    rows[:, :3, MU_BOTTOM] *= ratio
    rows[:, :3, DRIVE:] *= ratio
    rows[:, 3:, FLUX_TOP] /= ratio
    return rows


def _with_contacts(case: StackCase, elements: AnyArray, unit: float) -> AnyArray:
    """Return the elements with one of zero thickness inserted at each contact."""
    if not case.contacts:
        return elements
    where = sorted(case.contacts)
    drops = np.stack([case.contacts[k].resistance for k in where])
    rows = np.zeros_like(drops, shape=(len(where), 6, 7))
    rows[:, :3, FLUX_TOP] = rows[:, 3:, MU_BOTTOM] = np.eye(3)
    rows[:, 3:, FLUX_TOP] = -drops * (unit / ENERGY)
    return np.insert(elements, where, rows, axis=0)


def _charge_jumps(case: StackCase, drive: AnyArray) -> AnyArray:
    """Return the drop of mu^0 at the interface below each layer [meV], shape (n, m)."""
    jump = np.zeros((len(case.layers), len(drive)))
    for k, contact in case.contacts.items():
        own = case.charge_flux * E_CHARGE**2 / contact.charge / ENERGY * drive
        jump = jump + np.multiply.outer(np.arange(len(jump)) == k, own)
    return jump


def charge_potential(rise: AnyArray, jump: AnyArray) -> AnyArray:
    """Return mu^0 [meV] at the bottom and top of each layer, shape (2, n, m)."""
    lower = -np.cumsum((rise - jump)[::-1], axis=0)[::-1] - jump
    return np.stack([lower, lower + rise])
